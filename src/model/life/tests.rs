//! Every cell of the table, and the effects of each step.

use super::*;
use crate::model::spec::Spec;

pub fn policy() -> Policy {
    Policy::of(&Spec::default())
}

pub const PID: i32 = 4711;

/// What a step asks to be done with processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Spawn,
    Terminate,
    Kill,
    Suspend,
    Continue,
}

/// An event of the present run.
pub type Of = fn(RunId) -> Event;

pub const SPAWNED: Of = |run| Event::Spawned(run, PID);
pub const FAILED: Of = |run| Event::Exited(run, Exit::Code(1), Members::Gone);

/// All effects of an event.
pub fn effects(life: &mut Life, event: Event, policy: &Policy, now: u64) -> Vec<Effect> {
    let mut effects = Vec::new();
    life.step(event, policy, now, &mut effects);
    effects
}

/// Takes an event and says what is to be done with processes: at most one thing, and for the present run.
pub fn act(life: &mut Life, event: Event, policy: &Policy, now: u64) -> Option<Action> {
    let effects = effects(life, event, policy, now);
    let actions = effects.iter().filter_map(|effect| match effect {
        Effect::Spawn(run) => Some((*run, Action::Spawn)),
        Effect::Signal(run, Purpose::Terminate) => Some((*run, Action::Terminate)),
        Effect::Signal(run, Purpose::Kill) => Some((*run, Action::Kill)),
        Effect::Signal(run, Purpose::Suspend) => Some((*run, Action::Suspend)),
        Effect::Signal(run, Purpose::Continue) => Some((*run, Action::Continue)),
        _ => None,
    });
    let actions: Vec<(RunId, Action)> = actions.collect();
    assert!(actions.len() < 2, "{actions:?}");
    let (run, action) = *actions.first()?;
    assert_eq!(run, life.run);
    Some(action)
}

/// The deadline that is armed has come.
pub fn due(life: &mut Life, policy: &Policy) -> Option<Action> {
    let (deadline, at) = life.deadline.unwrap();
    act(life, Event::Deadline(deadline), policy, at)
}

/// A life in each situation that the table at the head of the module has a column for, reached by events.
pub fn situation(column: &str) -> Life {
    let mut life = Life::default();
    let policy = policy();
    let mut go = |events: &[(Of, u64)]| {
        for (event, now) in events {
            let event = event(life.run);
            effects(&mut life, event, &policy, *now);
        }
    };
    let online: [(Of, u64); 3] = [(|_| Event::Start, 0), (SPAWNED, 0), (Event::Executed, 0)];
    let left: Of = |run| Event::Exited(run, Exit::Code(0), Members::Remain);
    match column {
        "stopped" => {}
        "launching" => go(&online[..1]),
        "forked" => go(&online[..2]),
        "online" => go(&online),
        "paused" => {
            go(&online);
            go(&[(|_| Event::Pause, 5)]);
        }
        "stopping" => {
            go(&online);
            go(&[(|_| Event::Stop, 10)]);
        }
        "restarting" => {
            go(&online);
            go(&[(|_| Event::Restart, 10)]);
        }
        "leaderless" => {
            go(&online);
            go(&[(|_| Event::Stop, 10), (left, 11)]);
        }
        "swept" => {
            go(&online);
            go(&[(left, 11)]);
        }
        "waiting" => {
            go(&online);
            go(&[(FAILED, 1), (SPAWNED, 1), (Event::Executed, 1), (FAILED, 2)]);
        }
        "errored" => {
            let strict = Policy {
                max_restarts: 0,
                ..policy.clone()
            };
            for (event, now) in online {
                let event = event(life.run);
                effects(&mut life, event, &strict, now);
            }
            effects(&mut life, FAILED(RunId(1)), &strict, 1);
        }
        other => panic!("no column {other}"),
    }
    life
}

const COLUMNS: [&str; 11] = [
    "stopped",
    "launching",
    "forked",
    "online",
    "paused",
    "stopping",
    "restarting",
    "leaderless",
    "swept",
    "waiting",
    "errored",
];

#[test]
fn every_situation_is_what_its_name_says() {
    use State::*;
    let expect = [
        ("stopped", Stopped, 0, Want::Down),
        ("launching", Launching, 0, Want::Up),
        ("forked", Launching, PID, Want::Up),
        ("online", Online, PID, Want::Up),
        ("paused", Paused, PID, Want::Up),
        ("stopping", Stopping, PID, Want::Down),
        ("restarting", Stopping, PID, Want::Up),
        ("leaderless", Stopping, 0, Want::Down),
        ("swept", Stopping, 0, Want::Up),
        ("waiting", Waiting, 0, Want::Up),
        ("errored", Errored, 0, Want::Up),
    ];
    assert_eq!(expect.map(|row| row.0), COLUMNS);
    for (column, state, pid, want) in expect {
        let life = situation(column);
        assert_eq!(
            (life.state, life.pid, life.want),
            (state, pid, want),
            "{column}"
        );
    }
}

/// Every cell: in the situation, the event leads to the state, the want and the action. `None`: nothing changes at all.
#[test]
fn every_cell_of_the_table() {
    use State::*;
    use Want::*;
    type Cell = Option<(State, Want, Option<Action>)>;
    const NO: Cell = None;
    let spawn: Cell = Some((Launching, Up, Some(Action::Spawn)));
    let stopped: Cell = Some((Stopped, Down, None));
    let down: Cell = Some((Stopping, Down, Some(Action::Terminate)));
    let up: Cell = Some((Stopping, Up, Some(Action::Terminate)));
    let stay_up: Cell = Some((Stopping, Up, None));
    let stay_down: Cell = Some((Stopping, Down, None));
    let online: Cell = Some((Online, Up, None));
    let go_on: Cell = Some((Online, Up, Some(Action::Continue)));
    let hold: Cell = Some((Paused, Up, Some(Action::Suspend)));
    let wait: Cell = Some((Waiting, Up, None));
    let forked: Cell = Some((Launching, Up, None));
    let late: Cell = Some((Launching, Up, Some(Action::Kill)));
    let kill = |want| Some((Stopping, want, Some(Action::Kill)));
    let left: Of = |run| Event::Exited(run, Exit::Code(1), Members::Remain);
    #[rustfmt::skip]
    // In the order of COLUMNS.
    let table: [(&str, Of, [Cell; 11]); 14] = [
        ("Start", |_| Event::Start,
            [spawn, NO, NO, NO, go_on, stay_up, stay_up, stay_up, stay_up, spawn, spawn]),
        ("Restart", |_| Event::Restart,
            [spawn, NO, up, up, up, stay_up, stay_up, stay_up, stay_up, spawn, spawn]),
        ("Stop", |_| Event::Stop,
            [NO, stopped, down, down, down, stay_down, stay_down, stay_down, stay_down, stopped, stopped]),
        ("Pause", |_| Event::Pause,
            [NO, NO, NO, hold, NO, NO, NO, NO, NO, NO, NO]),
        ("Resume", |_| Event::Resume,
            [NO, NO, NO, NO, go_on, NO, NO, NO, NO, NO, NO]),
        ("Recalled", |_| Event::Recalled,
            [NO, spawn, NO, NO, NO, NO, NO, NO, NO, wait, NO]),
        ("Rebooted", |_| Event::Rebooted,
            [NO, spawn, NO, NO, NO, NO, NO, NO, NO, spawn, spawn]),
        ("Spawned", SPAWNED,
            [NO, forked, NO, NO, NO, NO, NO, NO, NO, NO, NO]),
        ("NotSpawned", Event::NotSpawned,
            [NO, wait, NO, NO, NO, NO, NO, NO, NO, NO, NO]),
        ("Executed", Event::Executed,
            [NO, NO, online, NO, NO, NO, NO, NO, NO, NO, NO]),
        ("NotExecuted", Event::NotExecuted,
            [NO, NO, forked, NO, NO, NO, NO, NO, NO, NO, NO]),
        ("Exited", FAILED,
            [NO, NO, spawn, spawn, spawn, stopped, spawn, NO, NO, NO, NO]),
        ("Exited, some remain", left,
            [NO, NO, up, up, up, stay_down, stay_up, NO, NO, NO, NO]),
        ("Gone", Event::Gone,
            [NO, NO, NO, NO, NO, NO, NO, stopped, spawn, NO, NO]),
    ];
    let check = |name: &str, event: Event, column: &str, now: u64, cell: Cell| {
        let before = situation(column);
        let mut life = before.clone();
        let action = act(&mut life, event, &policy(), now);
        let found = (life.state, life.want, action);
        match cell {
            None => assert_eq!((&life, action), (&before, None), "{name} when {column}"),
            Some(expected) => assert_eq!(found, expected, "{name} when {column}"),
        }
    };
    for (name, event, cells) in table {
        for (column, cell) in COLUMNS.iter().zip(cells) {
            check(name, event(situation(column).run), column, 20, cell);
        }
    }
    let deadlines = [
        NO,
        NO,
        late,
        NO,
        NO,
        kill(Down),
        kill(Up),
        kill(Down),
        kill(Up),
        spawn,
        NO,
    ];
    for (column, cell) in COLUMNS.iter().zip(deadlines) {
        let (deadline, at) = situation(column)
            .deadline
            .unwrap_or((Deadline::RestartDelay, 0));
        check(
            "Deadline",
            Event::Deadline(deadline),
            column,
            at + 10_000,
            cell,
        );
    }
}

/// A run that is over changes nothing, whatever is said of it.
#[test]
fn an_event_of_another_run_does_nothing() {
    let events: [Of; 8] = [
        SPAWNED,
        Event::NotSpawned,
        Event::Executed,
        Event::NotExecuted,
        FAILED,
        Event::Gone,
        |run| Event::Deadline(Deadline::StopTimeout(run)),
        |run| Event::Deadline(Deadline::StartTimeout(run)),
    ];
    for column in COLUMNS {
        let before = situation(column);
        for event in events {
            for other in [RunId(before.run.0 + 1), RunId(before.run.0.wrapping_sub(1))] {
                let mut life = before.clone();
                assert_eq!(effects(&mut life, event(other), &policy(), 99_999), []);
                assert_eq!(life, before, "{:?} when {column}", event(other));
            }
        }
    }
}

#[test]
fn an_early_deadline_does_nothing() {
    for column in ["forked", "stopping", "waiting"] {
        let mut life = situation(column);
        let (deadline, at) = life.deadline.unwrap();
        assert_eq!(
            act(&mut life, Event::Deadline(deadline), &policy(), at - 1),
            None
        );
        assert_eq!(life.deadline, Some((deadline, at)));
        assert!(due(&mut life, &policy()).is_some());
    }
}

/// The complete list of what is done, in order.
#[test]
fn the_effects_of_a_step_are_complete_and_in_order() {
    use Effect::*;
    let (one, three) = (RunId(1), RunId(3));
    let desired = Save(super::Save::Desired);
    let counts = Save(super::Save::Counts);
    let start_timeout = Deadline::StartTimeout(one);
    let (stop_timeout, kill_again) = (Deadline::StopTimeout(one), Deadline::KillAgain(one));
    let exited = |exit| Note(super::Note::Exited(exit));
    #[rustfmt::skip]
    let cases: Vec<(&str, Event, u64, Vec<Effect>)> = vec![
        ("stopped", Event::Start, 20, vec![Publish, desired, Spawn(one)]),
        ("launching", Event::Spawned(one, PID), 20, vec![Arm(start_timeout, 20_020)]),
        ("launching", Event::NotSpawned(one), 20, vec![Publish, Arm(Deadline::RestartDelay, 120)]),
        ("launching", Event::Stop, 20, vec![Publish, desired, RemovePidFile, ReleasePorts]),
        ("launching", Event::HandedOver, 20, vec![Spawn(one)]),
        ("forked", Event::Executed(one), 20, vec![Publish, Cancel(start_timeout)]),
        ("forked", Event::NotExecuted(one), 20, vec![Cancel(start_timeout)]),
        ("forked", Event::HandedOver, 20, vec![Arm(start_timeout, 20_020)]),
        ("forked", Event::Deadline(start_timeout), 20_000,
            vec![Fail(one, Trouble::Late), Signal(one, Purpose::Kill), Arm(kill_again, 25_000)]),
        ("online", Event::Stop, 20,
            vec![Publish, desired, Arm(stop_timeout, 1620), Signal(one, Purpose::Terminate), ReleasePorts]),
        ("online", Event::Shutdown, 20,
            vec![Publish, Arm(stop_timeout, 1620), Signal(one, Purpose::Terminate), ReleasePorts]),
        ("online", Event::Restart, 20,
            vec![Publish, Arm(stop_timeout, 1620), Signal(one, Purpose::Terminate)]),
        ("online", Event::Exited(one, Exit::Code(1), Members::Gone), 20,
            vec![Publish, counts, Drop(one), exited(Exit::Code(1)), Spawn(RunId(2))]),
        ("online", Event::Exited(one, Exit::Code(0), Members::Remain), 20,
            vec![Publish, counts, exited(Exit::Code(0)), Fail(one, Trouble::Background),
                Arm(stop_timeout, 1620), Signal(one, Purpose::Terminate)]),
        ("online", Event::Exited(one, Exit::Code(0), Members::Remain), 1000,
            vec![Publish, counts, exited(Exit::Code(0)),
                Arm(stop_timeout, 2600), Signal(one, Purpose::Terminate)]),
        ("paused", Event::Start, 20, vec![Publish, Signal(one, Purpose::Continue)]),
        ("stopping", Event::Start, 20, vec![desired]),
        ("stopping", Event::Exited(one, Exit::Signal(2), Members::Gone), 20,
            vec![Publish, desired, RemovePidFile, Drop(one), Cancel(stop_timeout), ReleasePorts]),
        ("stopping", Event::Exited(one, Exit::Signal(2), Members::Remain), 20, vec![counts]),
        ("stopping", Event::Deadline(stop_timeout), 9000,
            vec![Note(super::Note::Killing), Arm(kill_again, 9500), Signal(one, Purpose::Kill)]),
        ("stopping", Event::HandedOver, 20, vec![Arm(stop_timeout, 1610)]),
        ("leaderless", Event::Gone(one), 20,
            vec![Publish, desired, RemovePidFile, Drop(one), Cancel(stop_timeout), ReleasePorts]),
        ("waiting", Event::Deadline(Deadline::RestartDelay), 52, vec![Publish, counts, Spawn(three)]),
        ("waiting", Event::Stop, 20,
            vec![Publish, desired, RemovePidFile, Cancel(Deadline::RestartDelay), ReleasePorts]),
        ("errored", Event::Stop, 20, vec![Publish, desired]),
        ("errored", Event::Recalled, 20, vec![RemovePidFile]),
        ("errored", Event::Rebooted, 20, vec![Publish, desired, Spawn(RunId(2))]),
        ("stopped", Event::Recalled, 20, vec![RemovePidFile]),
    ];
    for (column, event, now, expected) in cases {
        let mut life = situation(column);
        let found = effects(&mut life, event, &policy(), now);
        assert_eq!(found, expected, "{event:?} when {column}");
    }
    let strict = Policy {
        max_restarts: 0,
        ..policy()
    };
    assert_eq!(
        effects(&mut situation("online"), FAILED(one), &strict, 20),
        [
            Publish,
            desired,
            RemovePidFile,
            Drop(one),
            exited(Exit::Code(1)),
            ReleasePorts,
            Note(super::Note::GivesUp(1))
        ]
    );
}

#[test]
fn a_late_child_is_killed_again_and_again_and_so_it_is_when_it_is_stopped() {
    let mut life = situation("forked");
    let policy = policy();
    assert_eq!(due(&mut life, &policy), Some(Action::Kill));
    assert_eq!(life.deadline, Some((Deadline::KillAgain(RunId(1)), 25_000)));
    let again = effects(
        &mut life,
        Event::Deadline(Deadline::KillAgain(RunId(1))),
        &policy,
        25_000,
    );
    let kill = Effect::Signal(RunId(1), Purpose::Kill);
    assert_eq!(
        again,
        [kill, Effect::Arm(Deadline::KillAgain(RunId(1)), 30_000)]
    );
    assert_eq!(
        act(&mut life, Event::Stop, &policy, 25_001),
        Some(Action::Kill)
    );
    assert_eq!(
        life.deadline,
        Some((Deadline::StopTimeout(RunId(1)), 26_601))
    );
    effects(&mut life, FAILED(RunId(1)), &policy, 25_002);
    assert_eq!(life.state, State::Stopped);
    // The next run is not late.
    effects(&mut life, Event::Start, &policy, 26_000);
    effects(&mut life, SPAWNED(RunId(2)), &policy, 26_000);
    assert_eq!(
        act(&mut life, Event::Stop, &policy, 26_001),
        Some(Action::Terminate)
    );
}

#[test]
fn the_end_of_the_daemon_keeps_what_is_wanted_on_record() {
    let mut life = situation("online");
    effects(&mut life, Event::Shutdown, &policy(), 20);
    assert_eq!(life.recorded(), (Want::Up, State::Stopping));
    let ended = effects(
        &mut life,
        Event::Exited(RunId(1), Exit::Code(0), Members::Gone),
        &policy(),
        21,
    );
    assert!(ended.contains(&Effect::Save(Save::Counts)));
    assert!(!ended.contains(&Effect::Save(Save::Desired)));
    assert_eq!(life.recorded(), (Want::Up, State::Launching));
    // Whoever stops it all the same wants it down.
    let stopped = effects(&mut life, Event::Stop, &policy(), 22);
    assert_eq!(life.recorded(), (Want::Down, State::Stopped));
    assert_eq!(stopped, []);
    let mut stopped = situation("stopped");
    effects(&mut stopped, Event::Shutdown, &policy(), 20);
    assert_eq!(stopped.recorded(), (Want::Down, State::Stopped));
}
