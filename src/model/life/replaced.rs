//! Two runs of one program side by side.

use super::tests::{PID, effects, policy, situation};
use super::*;

const OLD: RunId = RunId(1);
const NEW: RunId = RunId(2);

/// A program whose first run is on its way to its end while the second one runs.
fn two_runs() -> Life {
    let mut life = situation("online");
    let mut asked = Vec::new();
    life.replace(&policy(), 100, &mut asked);
    let stop_timeout = Deadline::StopTimeout(OLD);
    assert_eq!(
        asked,
        [
            Effect::Publish,
            Effect::Spawn(NEW),
            Effect::Arm(stop_timeout, 1700),
            Effect::Signal(OLD, Purpose::Terminate)
        ]
    );
    effects(&mut life, Event::Spawned(NEW, PID + 1), &policy(), 101);
    effects(&mut life, Event::Executed(NEW), &policy(), 102);
    assert_eq!((life.state, life.pid), (State::Online, PID + 1));
    life
}

#[test]
fn the_death_of_the_old_run_does_not_touch_the_new_one() {
    let mut life = two_runs();
    let present = |life: &Life| (life.state, life.pid, life.run, life.restarts, life.exit);
    let before = present(&life);
    let left = Event::Exited(OLD, Exit::Code(1), Members::Remain);
    assert_eq!(effects(&mut life, left, &policy(), 200), []);
    assert_eq!(present(&life), before);
    let over = effects(&mut life, Event::Gone(OLD), &policy(), 210);
    let stop_timeout = Deadline::StopTimeout(OLD);
    assert_eq!(over, [Effect::Cancel(stop_timeout), Effect::Drop(OLD)]);
    assert_eq!(present(&life), before);
    // It is over: nothing is heard of it again.
    assert_eq!(effects(&mut life, Event::Gone(OLD), &policy(), 220), []);
}

#[test]
fn the_death_of_the_new_run_does_not_touch_the_old_one() {
    let mut life = two_runs();
    let failed = Event::Exited(NEW, Exit::Code(1), Members::Gone);
    let found = effects(&mut life, failed, &policy(), 200);
    assert!(found.contains(&Effect::Drop(NEW)) && found.contains(&Effect::Spawn(RunId(3))));
    assert!(!found.contains(&Effect::Drop(OLD)));
    let over = Event::Exited(OLD, Exit::Code(0), Members::Gone);
    assert!(effects(&mut life, over, &policy(), 201).contains(&Effect::Drop(OLD)));
    assert_eq!((life.state, life.run), (State::Launching, RunId(3)));
}

#[test]
fn an_old_run_that_does_not_end_is_killed_again_and_again() {
    let mut life = two_runs();
    let kill = Effect::Signal(OLD, Purpose::Kill);
    let again = Deadline::KillAgain(OLD);
    let first = Event::Deadline(Deadline::StopTimeout(OLD));
    assert_eq!(effects(&mut life, first, &policy(), 1699), []);
    let arm = |at| Effect::Arm(again, at);
    assert_eq!(
        effects(&mut life, first, &policy(), 1700),
        [arm(2200), kill]
    );
    assert_eq!(
        effects(&mut life, Event::Deadline(again), &policy(), 2200),
        [arm(3200), kill]
    );
    assert_eq!((life.state, life.kills), (State::Online, 0));
}

#[test]
fn a_program_is_not_stopped_before_the_last_of_its_runs_is_over() {
    let mut life = two_runs();
    effects(&mut life, Event::Stop, &policy(), 200);
    let over = Event::Exited(NEW, Exit::Code(0), Members::Gone);
    effects(&mut life, over, &policy(), 201);
    assert_eq!((life.state, life.pid), (State::Stopping, 0));
    let last = Event::Exited(OLD, Exit::Code(0), Members::Gone);
    let found = effects(&mut life, last, &policy(), 202);
    assert_eq!(life.state, State::Stopped);
    assert!(found.contains(&Effect::Drop(OLD)) && found.contains(&Effect::RemovePidFile));
}
