//! Launches that take too long.

use super::tests::{Action, FAILED, SPAWNED, act, due, effects, policy, situation};
use super::*;

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

/// A launch whose pipes or sockets are never made has an end, too.
#[test]
fn a_launch_that_is_never_prepared_is_late_and_tried_again() {
    let mut life = situation("launching");
    let policy = policy();
    let one = RunId(1);
    let timeout = Deadline::StartTimeout(one);
    effects(&mut life, Event::Preparing(one), &policy, 20);
    assert_eq!(effects(&mut life, Event::Preparing(one), &policy, 21), []);
    let late = effects(&mut life, Event::Deadline(timeout), &policy, 20_020);
    let again = Effect::Arm(Deadline::RestartDelay, 20_120);
    let fail = Effect::Fail(one, Trouble::Late);
    assert_eq!(late, [Effect::Publish, fail, again]);
    assert_eq!(due(&mut life, &policy), Some(Action::Spawn));
    // What was prepared in time has the whole time for its child.
    effects(&mut life, Event::Preparing(RunId(2)), &policy, 30_000);
    effects(&mut life, SPAWNED(RunId(2)), &policy, 31_000);
    let timeout = Deadline::StartTimeout(RunId(2));
    assert_eq!(life.deadline, Some((timeout, 51_000)));
}
