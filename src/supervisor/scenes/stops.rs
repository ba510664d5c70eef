//! Stops: "ok" only when nothing is left, and signals for nobody else.

use super::Scene;
use crate::model::life::{Exit, State};
use crate::sys::signal::Signal;

#[test]
fn a_stop_is_answered_when_nothing_is_left() {
    let mut scene = Scene::new("stop");
    scene.start("");
    let leader = scene.leader(0);
    let member = scene.world().fork(leader, false);
    let verdict = scene.answer("stop target=api");
    assert!(verdict.starts_with("ok count=1"), "{verdict}");
    let world = scene.see();
    assert!(!world.lives(leader) && !world.lives(member));
    assert!(
        world.signals.contains(&(leader, Signal::INT)),
        "the kill signal"
    );
    assert!(
        world
            .signals
            .iter()
            .all(|(_, signal)| *signal != Signal::KILL)
    );
}

#[test]
fn what_takes_no_notice_is_killed_when_its_time_is_over() {
    let mut scene = Scene::new("stubborn");
    scene.start("kill_timeout=1000");
    let leader = scene.leader(0);
    scene.world().processes.get_mut(&leader).unwrap().stubborn = true;
    let mut client = scene.ask("stop target=api");
    scene.pass(999);
    assert!(scene.see().lives(leader) && client.verdict().is_none());
    scene.pass(2);
    assert!(!scene.see().lives(leader));
    scene.pass(2100);
    assert!(client.verdict().unwrap().starts_with("ok"));
}

#[test]
fn an_escaped_member_is_found_and_ended_too() {
    for stubborn in [false, true] {
        let mut scene = Scene::new(&format!("escaped-{stubborn}"));
        scene.start("kill_timeout=1000");
        let leader = scene.leader(0);
        let member = scene.world().fork(leader, true);
        let below = scene.world().fork(member, true);
        for pid in [member, below] {
            scene.world().processes.get_mut(&pid).unwrap().stubborn = stubborn;
        }
        let mut client = scene.ask("stop target=api");
        scene.pass(500);
        if stubborn {
            // The leader has ended, and that is not enough.
            assert_eq!(
                (scene.state(0), scene.program(0).life.pid),
                (State::Stopping, 0)
            );
            assert_eq!(client.verdict(), None);
        }
        scene.pass(5000);
        assert!(client.verdict().unwrap().starts_with("ok"));
        assert_eq!(scene.see().of(0), []);
    }
}

#[test]
fn what_cannot_be_ended_is_named_in_time_and_is_not_stopped() {
    let mut scene = Scene::new("stuck");
    scene.start("");
    let leader = scene.leader(0);
    scene.world().processes.get_mut(&leader).unwrap().stuck = true;
    scene.world().processes.get_mut(&leader).unwrap().stubborn = true;
    let mut client = scene.ask("stop target=api");
    scene.pass(1600 + 1400);
    assert_eq!(client.verdict(), None);
    scene.pass(600 + 2000);
    let verdict = client.verdict().unwrap();
    assert!(verdict.starts_with("error code=timeout"), "{verdict}");
    assert!(verdict.contains(&format!("pid%20{leader}")), "{verdict}");
    assert_eq!(scene.state(0), State::Stopping);
    scene.world().processes.get_mut(&leader).unwrap().stuck = false;
    scene.pass(60_000);
    assert_eq!(scene.state(0), State::Stopped);
}

#[test]
fn a_restart_is_a_new_process_after_the_end_of_the_old_one() {
    let mut scene = Scene::new("restart");
    scene.start("kill_timeout=1000");
    let leader = scene.leader(0);
    scene.world().processes.get_mut(&leader).unwrap().stubborn = true;
    let mut client = scene.ask("restart target=api");
    scene.pass(900);
    assert_eq!((client.verdict(), scene.leader(0)), (None, leader));
    scene.pass(3000);
    assert!(client.verdict().unwrap().starts_with("ok"));
    assert_ne!(scene.leader(0), leader);
    assert_eq!(scene.state(0), State::Online);
}

#[test]
fn a_number_that_is_another_process_by_now_is_not_signalled() {
    let mut scene = Scene::new("reused");
    scene.start("kill_timeout=1000");
    let leader = scene.leader(0);
    let member = scene.world().fork(leader, true);
    scene.world().processes.get_mut(&member).unwrap().stubborn = true;
    scene.ask("stop target=api");
    scene.pass(10);
    assert!(!scene.see().lives(leader));
    scene.world().reuse(leader);
    scene.pass(5000);
    assert_eq!(scene.state(0), State::Stopped);
    assert!(scene.see().lives(leader), "it is a stranger's");
}

#[test]
fn a_program_is_not_stopped_while_nobody_can_look() {
    let mut scene = Scene::new("blind");
    scene.start("");
    let leader = scene.leader(0);
    scene.world().blind = Some(libc::EMFILE);
    let mut client = scene.ask("stop target=api");
    scene.pass(1000);
    assert!(!scene.see().lives(leader));
    assert_eq!((client.verdict(), scene.state(0)), (None, State::Stopping));
    scene.world().blind = None;
    scene.pass(4000);
    assert!(client.verdict().unwrap().starts_with("ok"));
}

#[test]
fn a_program_that_is_deleted_is_stopped_before_and_leaves_no_record() {
    let mut scene = Scene::new("delete");
    scene.start("");
    let leader = scene.leader(0);
    assert!(scene.answer("delete target=api").starts_with("ok"));
    assert!(scene.daemon().programs.is_empty() && !scene.see().lives(leader));
    assert!(!scene.home.records(0).folder().exists());
    let gone = scene.answer("stop target=api");
    assert!(gone.starts_with("error code=not-found"), "{gone}");
}

#[test]
fn a_stop_that_another_client_takes_back_is_no_stop() {
    let mut scene = Scene::new("overtaken");
    scene.start("kill_timeout=1000");
    let leader = scene.leader(0);
    scene.world().processes.get_mut(&leader).unwrap().stubborn = true;
    let mut stop = scene.ask("stop target=api");
    let mut restart = scene.ask("restart target=api");
    scene.pass(5000);
    assert!(restart.verdict().unwrap().starts_with("ok"));
    let verdict = stop.verdict().unwrap();
    assert!(verdict.starts_with("error code=busy"), "{verdict}");
    assert_eq!(scene.state(0), State::Online);
}

#[test]
fn a_program_without_treekill_is_its_leader_alone() {
    let mut scene = Scene::new("alone");
    scene.start("treekill=false");
    let leader = scene.leader(0);
    let member = scene.world().fork(leader, false);
    scene.world().processes.get_mut(&member).unwrap().program = None;
    assert!(scene.answer("stop target=api").starts_with("ok"));
    assert!(scene.see().lives(member) && !scene.see().lives(leader));
}

#[test]
fn an_end_that_stop_exit_codes_name_is_the_last_one() {
    let mut scene = Scene::new("codes");
    scene.start("stop_exit_codes=7");
    let leader = scene.leader(0);
    scene.world().die(leader, Exit::Code(7));
    scene.pass(10);
    assert_eq!(scene.state(0), State::Stopped);
}
