//! Launches and deaths.

use super::Scene;
use crate::model::life::{Exit, State};
use crate::supervisor::driver::fake::world::Child;
use crate::sys::signal::Signal;

#[test]
fn a_start_is_answered_when_the_program_is_executed_and_not_before() {
    let mut scene = Scene::new("executed");
    scene.world().child = Child::Hangs;
    let mut client = scene.ask("start name=api script=/bin/x cwd=/");
    scene.pass(5000);
    assert_eq!((client.verdict(), scene.state(0)), (None, State::Launching));
    let leader = scene.leader(0);
    scene.world().answer(leader, Child::Executes);
    scene.pass(1);
    assert!(client.verdict().unwrap().starts_with("ok"));
    let row = format!("pid={} ", leader.get());
    assert!(
        client.text.contains("status=online") && client.text.contains(&row),
        "{}",
        client.text
    );
    assert_eq!(scene.daemon().timers.next(), None, "nothing wakes it");
}

#[test]
fn what_cannot_be_executed_is_said_and_is_in_the_list_no_more() {
    let mut scene = Scene::new("fails");
    scene.world().child = Child::Fails;
    let verdict = scene.answer("start name=api script=/bin/x cwd=/");
    assert!(verdict.starts_with("error code=exec-failed"), "{verdict}");
    assert!(scene.daemon().programs.is_empty());
    scene.world().child = Child::Executes;
    scene.start("");
    assert_eq!(scene.state(0), State::Online, "its number is free again");
}

#[test]
fn a_start_for_which_there_is_no_process_fails() {
    let mut scene = Scene::new("refused");
    scene.world().no_process = Some(libc::EAGAIN);
    let verdict = scene.answer("start name=api script=/bin/x cwd=/");
    assert!(verdict.contains("creating%20a%20process"), "{verdict}");
    assert!(scene.daemon().programs.is_empty());
}

#[test]
fn a_restart_for_which_there_is_no_process_is_tried_again() {
    let mut scene = Scene::new("refused-later");
    scene.start("");
    scene.world().no_process = Some(libc::EAGAIN);
    let leader = scene.leader(0);
    scene.world().die(leader, Exit::Code(1));
    scene.pass(50);
    assert_eq!(
        (scene.state(0), scene.program(0).life.pid),
        (State::Waiting, 0)
    );
    scene.world().no_process = None;
    scene.pass(100);
    assert_eq!(scene.state(0), State::Online);
}

#[test]
fn a_child_that_hangs_is_given_up_and_killed_again_and_again() {
    let mut scene = Scene::new("late");
    scene.world().child = Child::Hangs;
    let mut client = scene.ask("start name=api script=/bin/x cwd=/");
    let leader = scene.leader(0);
    scene.world().processes.get_mut(&leader).unwrap().stuck = true;
    scene.pass(19_999);
    assert!(scene.see().signals.is_empty() && client.verdict().is_none());
    scene.pass(2);
    let kills = |scene: &Scene| {
        let signals = scene.see().signals.clone();
        signals
            .iter()
            .filter(|(_, signal)| *signal == Signal::KILL)
            .count()
    };
    assert!(kills(&scene) > 0);
    let before = kills(&scene);
    scene.pass(20_000);
    assert!(kills(&scene) > before);
    // The failed start cannot be undone, and is answered all the same.
    let verdict = client.verdict().unwrap();
    assert!(verdict.contains("took%20more%20than%2020%20s"), "{verdict}");
    scene.world().processes.get_mut(&leader).unwrap().stuck = false;
    scene.pass(60_000);
    assert_eq!(scene.state(0), State::Stopped);
}

#[test]
fn a_crash_is_followed_by_one_new_run_with_a_number_of_its_own() {
    let mut scene = Scene::new("crash");
    scene.start("");
    for count in 1..=5 {
        let leader = scene.leader(0);
        let run = scene.program(0).life.run;
        scene.pass(2000);
        scene.world().die(leader, Exit::Code(1));
        scene.pass(1);
        assert_ne!(scene.leader(0), leader);
        let life = &scene.program(0).life;
        assert_eq!(
            (life.run, life.restarts, life.state),
            (run.next(), count, State::Online)
        );
        assert_eq!(life.exit, Some(Exit::Code(1)));
    }
}

#[test]
fn a_program_that_fails_too_often_is_errored_and_started_again_when_asked_to() {
    let mut scene = Scene::new("errored");
    scene.start("max_restarts=2");
    for _ in 0..3 {
        scene.pass(300);
        let leader = scene.leader(0);
        scene.world().die(leader, Exit::Code(1));
        scene.pass(300);
    }
    assert_eq!(scene.state(0), State::Errored);
    assert!(scene.answer("restart target=api").starts_with("ok"));
    assert_eq!(scene.state(0), State::Online);
}

#[test]
fn a_leader_that_leaves_a_member_at_once_has_gone_to_the_background() {
    let mut scene = Scene::new("background");
    scene.start("");
    let leader = scene.leader(0);
    let member = scene.world().fork(leader, true);
    scene.world().processes.get_mut(&member).unwrap().stubborn = true;
    scene.pass(10);
    scene.world().die(leader, Exit::Code(0));
    scene.pass(1000);
    let failure = scene.program(0).failure.clone().unwrap();
    assert!(failure.why().contains("put itself in the background"));
    assert_eq!(scene.state(0), State::Stopping);
    scene.pass(2000);
    assert!(
        !scene.see().lives(member),
        "the rest is ended before the next run"
    );
    assert_eq!(scene.state(0), State::Online);
}

#[test]
fn two_programs_of_one_name_are_one_too_many() {
    let mut scene = Scene::new("twice");
    scene.start("");
    let again = scene.answer("start name=api script=/bin/x cwd=/");
    assert!(again.starts_with("error code=exists"), "{again}");
    assert_eq!(scene.daemon().programs.len(), 1);
    // Several instances of one are meant.
    scene.start("instances=3 force=true");
    assert_eq!(scene.daemon().programs.len(), 4);
}

#[test]
fn a_client_that_hangs_up_has_its_request_carried_out_all_the_same() {
    let mut scene = Scene::new("hangs-up");
    let client = scene.ask("start name=api script=/bin/x cwd=/ instances=20");
    drop(client.stream);
    scene.pass(100);
    let programs = &scene.daemon().programs;
    assert_eq!(programs.len(), 20);
    assert!(programs.values().all(|p| p.life.state == State::Online));
}
