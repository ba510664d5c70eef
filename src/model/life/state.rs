//! The states of a program.

/// What is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// At rest.
    Stopped,
    /// A process was asked for (pid 0), or forked and has not executed the program yet.
    Launching,
    /// The program runs.
    Online,
    /// It runs, and was stopped by SIGSTOP until it is resumed.
    Paused,
    /// Its end was asked for; with pid 0 the leader has ended and others of it have not.
    Stopping,
    /// It will be launched at the deadline.
    Waiting,
    /// At rest: it failed too often.
    Errored,
}

/// All states, for tables and tests.
pub const STATES: [State; 7] = [
    State::Stopped,
    State::Launching,
    State::Online,
    State::Paused,
    State::Stopping,
    State::Waiting,
    State::Errored,
];

impl State {
    /// The word that users see.
    pub fn word(self) -> &'static str {
        match self {
            State::Stopped => "stopped",
            State::Launching => "launching",
            State::Online => "online",
            State::Paused => "paused",
            State::Stopping => "stopping",
            State::Waiting => "waiting restart",
            State::Errored => "errored",
        }
    }

    /// The state of a word.
    pub fn from_word(word: &str) -> Option<State> {
        STATES.into_iter().find(|state| state.word() == word)
    }
}
