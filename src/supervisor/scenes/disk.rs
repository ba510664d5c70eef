//! A disk that answers late, never, or not at all: programs are served all the same, and nobody is told that what is not
//! on record is.

use super::Scene;
use crate::model::life::{Exit, State, Want};
use crate::supervisor::driver::fake::world::Disk;
use crate::supervisor::store::state::Boot;

#[test]
fn a_disk_that_hangs_holds_up_no_stop_restart_or_crash() {
    let mut scene = Scene::new("disk-hangs");
    scene.start("");
    scene.world().disk = Disk::Hangs;
    let leader = scene.leader(0);
    scene.pass(2000);
    scene.world().die(leader, Exit::Code(1));
    scene.pass(10);
    assert_eq!(scene.state(0), State::Online);
    let leader = scene.leader(0);
    for request in ["restart target=api", "stop target=api"] {
        let mut client = scene.ask(request);
        scene.pass(1900);
        assert_eq!(client.verdict(), None, "it waits for the record");
        scene.pass(200);
        assert!(client.verdict().is_some());
        assert!(!scene.see().lives(leader));
    }
    assert_eq!(scene.state(0), State::Stopped);
    assert!(scene.answer("list").starts_with("ok"));
}

#[test]
fn sync_fails_in_time_and_succeeds_when_the_disk_answers() {
    let mut scene = Scene::new("disk-sync");
    scene.start("");
    assert!(scene.answer("sync").starts_with("ok"));
    scene.world().disk = Disk::Hangs;
    scene.answer("stop target=api");
    let mut client = scene.ask("sync");
    scene.pass(1900);
    assert_eq!(client.verdict(), None);
    scene.pass(200);
    let verdict = client.verdict().unwrap();
    assert!(verdict.contains("does%20not%20answer"), "{verdict}");
    let mut late = scene.ask("sync");
    scene.pass(500);
    scene.world().disk = Disk::Answers;
    scene.pass(10);
    assert!(late.verdict().unwrap().starts_with("ok"));
}

#[test]
fn a_program_whose_pipes_are_not_made_is_given_up_and_the_others_are_served() {
    let mut scene = Scene::new("disk-pipes");
    scene.start("");
    scene.world().disk = Disk::Hangs;
    let mut client = scene.ask("start name=b script=/bin/x cwd=/");
    assert!(scene.answer("list").starts_with("ok"));
    scene.pass(9_000);
    assert_eq!(client.verdict(), None);
    assert_eq!(scene.program(1).life.pid, 0);
    scene.pass(15_000);
    let verdict = client.verdict().unwrap();
    assert!(verdict.starts_with("error code=exec-failed"), "{verdict}");
    assert!(verdict.contains("more%20than%2020%20s"), "{verdict}");
    assert_eq!(scene.state(0), State::Online);
    assert_eq!(scene.see().of(1), []);
}

#[test]
fn pipes_that_are_made_late_are_used() {
    let mut scene = Scene::new("disk-late");
    scene.world().disk = Disk::Hangs;
    let mut client = scene.ask("start name=api script=/bin/x cwd=/");
    scene.pass(15_000);
    assert_eq!(client.verdict(), None);
    scene.world().disk = Disk::Answers;
    scene.pass(10);
    assert!(client.verdict().unwrap().starts_with("ok"));
    assert_eq!(scene.state(0), State::Online);
    scene.pass(2000);
    assert_eq!(scene.daemon().timers.next(), None);
}

#[test]
fn what_is_recorded_while_the_disk_hangs_outlives_the_daemon() {
    let mut scene = Scene::new("disk-killed");
    scene.start("");
    scene.start("force=true");
    scene.world().disk = Disk::Hangs;
    scene.answer("stop target=0");
    let leader = scene.leader(1);
    scene.kill_daemon(Boot::Same, |world| world.disk = Disk::Answers);
    assert_eq!(
        (scene.state(0), scene.program(0).life.want),
        (State::Stopped, Want::Down)
    );
    assert_eq!((scene.state(1), scene.leader(1)), (State::Online, leader));
}

#[test]
fn a_writer_that_cannot_be_made_is_tried_again_and_what_it_missed_is_written_then() {
    let mut scene = Scene::new("disk-refuses");
    scene.start("");
    scene.pass(2000);
    scene.world().disk = Disk::Refuses;
    scene.world().writer = None;
    scene.pass(3000);
    let verdict = scene.answer("stop target=api");
    assert!(verdict.starts_with("error"), "{verdict}");
    assert!(verdict.contains("the%20next%20daemon"), "{verdict}");
    assert_eq!(scene.state(0), State::Stopped);
    scene.world().disk = Disk::Answers;
    scene.pass(61_000);
    assert!(scene.answer("sync").starts_with("ok"));
    scene.kill_daemon(Boot::Another, |_| {});
    assert_eq!(
        (scene.state(0), scene.program(0).life.want),
        (State::Stopped, Want::Down)
    );
}

#[test]
fn a_list_that_is_renewed_while_a_program_is_deleted_does_not_bring_it_back() {
    let mut scene = Scene::new("disk-renewed");
    scene.start("");
    scene.world().disk = Disk::Hangs;
    let mut client = scene.ask("delete target=api");
    scene.pass(500);
    assert_eq!((client.verdict(), scene.state(0)), (None, State::Stopped));
    // As it is done when most of it is outdated.
    scene.daemon().renew_store();
    scene.world().disk = Disk::Answers;
    scene.pass(3000);
    assert!(client.verdict().unwrap().starts_with("ok"));
    scene.kill_daemon(Boot::Same, |_| {});
    assert!(scene.daemon().programs.is_empty());
}
