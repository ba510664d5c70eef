//! A terminal whose screen can be read.

use std::process::Command;

use rpm::sys::signal::Signal;

use super::wait::{wait_for_end, wait_until};
use super::{Home, proc};

/// A separate tmux server with one terminal, in which a shell runs. `$RPM` is the client.
pub struct Tmux<'a> {
    home: &'a Home,
    server: i32,
}

impl Tmux<'_> {
    /// A terminal of this size. `settings` are assignments for the environment of its shell.
    #[track_caller]
    pub fn start<'a>(
        home: &'a Home,
        columns: u32,
        rows: u32,
        settings: &[(&str, &str)],
    ) -> Tmux<'a> {
        let size = [columns, rows].map(|n| n.to_string());
        let shell = "exec env PS1='$ ' bash --norc --noprofile";
        let words = ["new-session", "-d", "-x", &size[0], "-y", &size[1], shell];
        let mut command = Tmux::command(home, &words);
        command.env("RPM", home.client()).env("LANG", "C.UTF-8");
        command.env_remove("LC_ALL").env_remove("LC_CTYPE");
        command.envs(settings.iter().copied());
        home.run(command).ok();
        let server = home
            .run(Tmux::command(home, &["display-message", "-p", "#{pid}"]))
            .ok();
        let tmux = Tmux {
            home,
            server: server.stdout.trim().parse().unwrap(),
        };
        tmux.wait_for("the prompt", |screen| screen.starts_with("$"));
        tmux
    }

    fn command(home: &Home, words: &[&str]) -> Command {
        let socket = home.base.join("tmux");
        let socket = socket.to_str().unwrap();
        let all = [&["tmux", "-S", socket, "-f", "/dev/null"], words].concat();
        home.command(&all)
    }

    #[track_caller]
    fn tmux(&self, words: &[&str]) -> String {
        let output = super::run::finish(Tmux::command(self.home, words));
        output.unwrap_or_else(|e| panic!("{e}")).ok().stdout
    }

    /// Presses keys, by their names in tmux.
    #[track_caller]
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Types a line.
    #[track_caller]
    pub fn type_line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.press(&["Enter"]);
    }

    /// Changes the size.
    #[track_caller]
    pub fn resize(&self, columns: u32, rows: u32) {
        let size = [columns, rows].map(|n| n.to_string());
        self.tmux(&["resize-window", "-x", &size[0], "-y", &size[1]]);
    }

    /// The text of the screen.
    #[track_caller]
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The same with the escape sequences of its colours.
    #[track_caller]
    pub fn coloured_screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Expands a format of tmux, such as `#{cursor_flag}`.
    #[track_caller]
    pub fn format(&self, format: &str) -> String {
        self.tmux(&["display-message", "-p", format])
            .trim_end()
            .to_owned()
    }

    /// Waits until the screen satisfies a condition, and returns it.
    #[track_caller]
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(what, || {
                last = self.screen();
                is_so(&last)
            });
        }));
        assert!(found.is_ok(), "no {what} on this screen:\n{last}");
        last
    }

    /// Waits until the screen contains this text.
    #[track_caller]
    pub fn wait_for_text(&self, part: &str) -> String {
        self.wait_for(part, |screen| screen.contains(part))
    }

    /// The descendant of the shell with this name.
    #[track_caller]
    pub fn child(&self, name: &str) -> i32 {
        let below = proc::descendants(self.server);
        let found = below.into_iter().find(|pid| proc::name(*pid) == name);
        found.unwrap_or_else(|| panic!("no {name} runs in the terminal"))
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        // Its programs lose their terminal.
        proc::kill(self.server, Signal::TERM);
        wait_for_end(self.server);
    }
}
