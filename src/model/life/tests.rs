//! Every cell of the table, and the restart policy.

use super::policy::EXP_BACKOFF_MAX;
use super::*;
use crate::model::spec::Spec;

pub fn policy() -> Policy {
    Policy::of(&Spec::default())
}

const PID: i32 = 4711;

/// A life in each situation that the table at the head of the module has a column for, reached by events.
pub fn situation(column: &str) -> Life {
    let mut life = Life::default();
    let policy = policy();
    let mut go = |events: &[(Event, u64)]| {
        for (event, now) in events {
            life.step(*event, &policy, *now);
        }
    };
    let online = [
        (Event::Start, 0),
        (Event::Spawned(PID), 0),
        (Event::Executed, 0),
    ];
    match column {
        "stopped" => {}
        "launching" => go(&online[..1]),
        "forked" => go(&online[..2]),
        "online" => go(&online),
        "stopping" => {
            go(&online);
            go(&[(Event::Stop, 10)]);
        }
        "restarting" => {
            go(&online);
            go(&[(Event::Restart, 10)]);
        }
        "leaderless" => {
            go(&online);
            go(&[(Event::Stop, 10), (Event::Exited(Exit::Code(0), true), 11)]);
        }
        "swept" => {
            go(&online);
            go(&[(Event::Exited(Exit::Code(0), true), 11)]);
        }
        "waiting" => {
            go(&online);
            go(&[
                (Event::Exited(Exit::Code(1), false), 1),
                (Event::Spawned(PID), 1),
                (Event::Executed, 1),
                (Event::Exited(Exit::Code(1), false), 2),
            ]);
        }
        "errored" => {
            let strict = Policy {
                max_restarts: 0,
                ..policy.clone()
            };
            for (event, now) in online {
                life.step(event, &strict, now);
            }
            life.step(Event::Exited(Exit::Code(1), false), &strict, 1);
        }
        other => panic!("no column {other}"),
    }
    life
}

const COLUMNS: [&str; 10] = [
    "stopped",
    "launching",
    "forked",
    "online",
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
    use Action::*;
    use State::*;
    use Want::*;
    type Cell = Option<(State, Want, Option<Action>)>;
    let spawn: Cell = Some((Launching, Up, Some(Spawn)));
    let stopped: Cell = Some((Stopped, Down, None));
    let down: Cell = Some((Stopping, Down, Some(Terminate)));
    let up: Cell = Some((Stopping, Up, Some(Terminate)));
    let stay_up: Cell = Some((Stopping, Up, None));
    let stay_down: Cell = Some((Stopping, Down, None));
    let kill = |want| Some((Stopping, want, Some(Kill)));
    let dead = Event::Exited(Exit::Code(1), false);
    let left = Event::Exited(Exit::Code(1), true);
    // In the order of COLUMNS.
    let table: [(Event, u64, [Cell; 10]); 10] = [
        (
            Event::Start,
            20,
            [
                spawn, None, None, None, stay_up, stay_up, stay_up, stay_up, spawn, spawn,
            ],
        ),
        (
            Event::Restart,
            20,
            [
                spawn, None, up, up, stay_up, stay_up, stay_up, stay_up, spawn, spawn,
            ],
        ),
        (
            Event::Stop,
            20,
            [
                None, stopped, down, down, stay_down, stay_down, stay_down, stay_down, stopped,
                stopped,
            ],
        ),
        (
            Event::Spawned(PID),
            20,
            [
                None,
                Some((Launching, Up, None)),
                None,
                None,
                None,
                None,
                None,
                None,
                None,
                None,
            ],
        ),
        (
            Event::NotSpawned,
            20,
            [
                None,
                Some((Waiting, Up, None)),
                None,
                None,
                None,
                None,
                None,
                None,
                None,
                None,
            ],
        ),
        (
            Event::Executed,
            20,
            [
                None,
                None,
                Some((Online, Up, None)),
                None,
                None,
                None,
                None,
                None,
                None,
                None,
            ],
        ),
        (
            dead,
            20,
            [
                None, None, spawn, spawn, stopped, spawn, None, None, None, None,
            ],
        ),
        (
            left,
            20,
            [
                None, None, up, up, stay_down, stay_up, None, None, None, None,
            ],
        ),
        (
            Event::Gone,
            20,
            [
                None, None, None, None, None, None, stopped, spawn, None, None,
            ],
        ),
        (
            Event::Deadline,
            10_000,
            [
                None,
                None,
                None,
                None,
                kill(Down),
                kill(Up),
                kill(Down),
                kill(Up),
                spawn,
                None,
            ],
        ),
    ];
    for (event, now, cells) in table {
        for (column, cell) in COLUMNS.iter().zip(cells) {
            let before = situation(column);
            let mut life = before.clone();
            let action = life.step(event, &policy(), now);
            match cell {
                None => assert_eq!((&life, action), (&before, None), "{event:?} when {column}"),
                Some(expected) => {
                    assert_eq!(
                        (life.state, life.want, action),
                        expected,
                        "{event:?} when {column}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_early_deadline_does_nothing() {
    for column in ["stopping", "waiting"] {
        let mut life = situation(column);
        let at = life.deadline.unwrap();
        assert_eq!(life.step(Event::Deadline, &policy(), at - 1), None);
        assert_eq!(life.deadline, Some(at));
        assert!(life.step(Event::Deadline, &policy(), at).is_some());
    }
}

/// Runs that end after `lasted` ms until the program rests; the delay before each restart.
fn delays(policy: &Policy, lasted: u64, most: usize) -> (Vec<u64>, Life) {
    let mut life = Life::default();
    let mut now = 0;
    let mut delays = Vec::new();
    let mut action = life.step(Event::Start, policy, now);
    while action == Some(Action::Spawn) && delays.len() < most {
        life.step(Event::Spawned(PID), policy, now);
        life.step(Event::Executed, policy, now);
        now += lasted;
        let ended = now;
        action = life.step(Event::Exited(Exit::Code(1), false), policy, now);
        if let Some(at) = life.deadline {
            now = at;
            action = life.step(Event::Deadline, policy, now);
        }
        delays.push(now - ended);
    }
    (delays, life)
}

#[test]
fn unstable_runs_back_off_and_then_give_up() {
    let (waits, life) = delays(&policy(), 1, 100);
    assert_eq!(waits.len(), 17);
    assert_eq!(waits[..8], [0, 50, 100, 200, 400, 800, 1600, 3200]);
    assert!(waits[8..16].iter().all(|wait| *wait == 5000));
    assert_eq!(
        (life.state, life.restarts, life.unstable),
        (State::Errored, 16, 17)
    );
}

#[test]
fn stable_runs_are_restarted_at_once_for_ever() {
    let (waits, life) = delays(&policy(), 1000, 50);
    assert!(waits.iter().all(|wait| *wait == 0));
    assert_eq!((waits.len(), life.unstable, life.restarts), (50, 0, 50));
}

#[test]
fn configured_delays_are_kept() {
    let fixed = Policy {
        restart_delay: 70,
        max_restarts: 3,
        ..policy()
    };
    assert_eq!(delays(&fixed, 1, 100).0, [70, 70, 70, 0]);
    let growing = Policy {
        exp_backoff_restart_delay: 100,
        ..policy()
    };
    assert_eq!(delays(&growing, 1, 5).0, [100, 150, 225, 337, 505]);
    assert_eq!(growing.delay(1000), EXP_BACKOFF_MAX);
    let (last, _) = delays(
        &Policy {
            restart_delay: u64::MAX,
            ..policy()
        },
        1,
        1,
    );
    assert_eq!(last.len(), 1);
}

#[test]
fn a_program_that_has_finished_is_left_alone() {
    for policy in [
        Policy {
            autorestart: false,
            ..policy()
        },
        Policy {
            stop_exit_codes: vec![0, 7],
            ..policy()
        },
    ] {
        let mut life = situation("online");
        assert_eq!(
            life.step(Event::Exited(Exit::Code(7), false), &policy, 5),
            None
        );
        assert_eq!(
            (life.state, life.want, life.exit),
            (State::Stopped, Want::Down, Some(Exit::Code(7)))
        );
    }
    let mut life = situation("online");
    let code = Policy {
        stop_exit_codes: vec![9],
        ..policy()
    };
    let action = life.step(Event::Exited(Exit::Signal(9), false), &code, 5);
    assert_eq!(action, Some(Action::Spawn), "a signal is no exit code");
}

#[test]
fn a_restart_that_is_asked_for_ignores_the_policy() {
    let policy = Policy {
        autorestart: false,
        restart_delay: 5000,
        ..policy()
    };
    let mut life = situation("restarting");
    let action = life.step(Event::Exited(Exit::Code(0), false), &policy, 20);
    assert_eq!(
        (action, life.restarts, life.unstable),
        (Some(Action::Spawn), 1, 0)
    );
}

#[test]
fn no_time_to_end_means_sigkill_at_once() {
    let policy = Policy {
        kill_timeout: 0,
        ..policy()
    };
    let mut life = situation("online");
    assert_eq!(life.step(Event::Stop, &policy, 5), Some(Action::Kill));
    assert_eq!(
        life.step(Event::Deadline, &policy, 5 + KILL_AGAIN),
        Some(Action::Kill)
    );
}

#[test]
fn a_refused_process_is_tried_again_and_burns_no_try() {
    let mut life = Life::default();
    let (mut now, mut waits) = (0, Vec::new());
    life.step(Event::Start, &policy(), now);
    for _ in 0..9 {
        life.step(Event::NotSpawned, &policy(), now);
        assert_eq!(life.state, State::Waiting);
        waits.push(life.deadline.unwrap() - now);
        now = life.deadline.unwrap();
        assert_eq!(
            life.step(Event::Deadline, &policy(), now),
            Some(Action::Spawn)
        );
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    assert_eq!(life.unstable, 0);
}

#[test]
fn an_end_that_was_asked_for_is_not_unstable() {
    for column in ["stopping", "restarting"] {
        let mut life = situation(column);
        life.step(Event::Exited(Exit::Signal(2), false), &policy(), 11);
        assert_eq!(life.unstable, 0, "{column}");
    }
}
