//! The restart policy.

use super::policy::EXP_BACKOFF_MAX;
use super::tests::{Action, FAILED, SPAWNED, act, due, effects, policy, situation};
use super::transitions::KILL_AGAIN;
use super::*;

/// Runs that end after `lasted` ms until the program rests; the delay before each restart.
fn delays(policy: &Policy, lasted: u64, most: usize) -> (Vec<u64>, Life) {
    let mut life = Life::default();
    let mut now = 0;
    let mut delays = Vec::new();
    let mut action = act(&mut life, Event::Start, policy, now);
    while action == Some(Action::Spawn) && delays.len() < most {
        let run = life.run;
        effects(&mut life, SPAWNED(run), policy, now);
        effects(&mut life, Event::Executed(run), policy, now);
        now += lasted;
        let ended = now;
        action = act(&mut life, FAILED(run), policy, now);
        if let Some((_, at)) = life.deadline {
            now = at;
            action = due(&mut life, policy);
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
            act(
                &mut life,
                Event::Exited(RunId(1), Exit::Code(7), Members::Gone),
                &policy,
                5
            ),
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
    let action = act(
        &mut life,
        Event::Exited(RunId(1), Exit::Signal(9), Members::Gone),
        &code,
        5,
    );
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
    let action = act(
        &mut life,
        Event::Exited(RunId(1), Exit::Code(0), Members::Gone),
        &policy,
        20,
    );
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
    assert_eq!(act(&mut life, Event::Stop, &policy, 5), Some(Action::Kill));
    assert_eq!(
        (life.deadline.unwrap().1, due(&mut life, &policy)),
        (5 + KILL_AGAIN, Some(Action::Kill))
    );
}

#[test]
fn a_refused_process_is_tried_again_and_burns_no_try() {
    let mut life = Life::default();
    let (mut now, mut waits) = (0, Vec::new());
    effects(&mut life, Event::Start, &policy(), now);
    for _ in 0..9 {
        let run = life.run;
        effects(&mut life, Event::NotSpawned(run), &policy(), now);
        assert_eq!(life.state, State::Waiting);
        let (_, at) = life.deadline.unwrap();
        waits.push(at - now);
        now = at;
        assert_eq!(due(&mut life, &policy()), Some(Action::Spawn));
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    assert_eq!(life.unstable, 0);
}

#[test]
fn an_end_that_was_asked_for_is_not_unstable() {
    for column in ["stopping", "restarting"] {
        let mut life = situation(column);
        act(
            &mut life,
            Event::Exited(RunId(1), Exit::Signal(2), Members::Gone),
            &policy(),
            11,
        );
        assert_eq!(life.unstable, 0, "{column}");
    }
}
