//! A daemon that was killed, and the next one: there, gone, could not look.

use super::Scene;
use crate::model::life::{Exit, State, Want};
use crate::supervisor::driver::fake::world::Child;
use crate::supervisor::store::state::Boot;
use crate::sys::signal::Signal;

#[test]
fn what_lives_is_adopted_and_stopped_like_a_child() {
    let mut scene = Scene::new("there");
    scene.start("");
    let leader = scene.leader(0);
    let member = scene.world().fork(leader, true);
    let run = scene.program(0).life.run;
    scene.kill_daemon(Boot::Same, |_| {});
    assert_eq!((scene.leader(0), scene.state(0)), (leader, State::Online));
    assert_eq!(scene.program(0).life.run, run);
    assert!(scene.see().signals.is_empty());
    assert!(scene.answer("stop target=api").starts_with("ok"));
    assert!(!scene.see().lives(leader) && !scene.see().lives(member));
}

#[test]
fn the_death_of_an_adopted_program_is_noticed_and_its_status_known() {
    let mut scene = Scene::new("dies");
    scene.start("");
    let leader = scene.leader(0);
    scene.kill_daemon(Boot::Same, |_| {});
    scene.pass(2000);
    scene.world().die(leader, Exit::Code(3));
    scene.pass(1100);
    assert_ne!(scene.leader(0), leader);
    let life = &scene.program(0).life;
    assert_eq!(
        (life.exit, life.restarts, life.state),
        (Some(Exit::Code(3)), 1, State::Online)
    );
}

#[test]
fn what_has_ended_meanwhile_is_started_again() {
    let mut scene = Scene::new("gone");
    scene.start("");
    let leader = scene.leader(0);
    scene.kill_daemon(Boot::Same, |world| world.die(leader, Exit::Code(1)));
    scene.pass(10);
    assert_eq!(
        (scene.state(0), scene.program(0).life.restarts),
        (State::Online, 1)
    );
    assert!(scene.see().lives(scene.leader(0)));
}

#[test]
fn what_is_left_of_it_is_ended_first() {
    let mut scene = Scene::new("remains");
    scene.start("");
    let leader = scene.leader(0);
    let member = scene.world().fork(leader, true);
    scene.kill_daemon(Boot::Same, |world| world.die(leader, Exit::Code(1)));
    scene.pass(3000);
    assert!(!scene.see().lives(member));
    assert_eq!(scene.state(0), State::Online);
}

#[test]
fn a_number_that_a_stranger_has_by_now_is_not_the_program() {
    let mut scene = Scene::new("stranger");
    scene.start("");
    let leader = scene.leader(0);
    scene.kill_daemon(Boot::Same, |world| {
        world.die(leader, Exit::Code(1));
        world.reuse(leader);
    });
    assert!(scene.see().lives(leader), "a stranger has its number");
    scene.pass(10);
    assert_ne!(scene.leader(0), leader);
    assert!(scene.answer("stop target=api").starts_with("ok"));
    assert!(scene.see().lives(leader));
}

/// The third result of a look: no second copy, no end.
#[test]
fn what_could_not_be_looked_at_counts_as_running_until_it_is_seen() {
    for alive in [true, false] {
        let mut scene = Scene::new(&format!("unseen-{alive}"));
        scene.start("");
        let leader = scene.leader(0);
        scene.kill_daemon(Boot::Same, |world| {
            world.blind = Some(libc::EMFILE);
            if !alive {
                world.die(leader, Exit::Code(1));
            }
        });
        scene.pass(5000);
        assert_eq!((scene.state(0), scene.leader(0)), (State::Online, leader));
        let run = scene.program(0).run.as_ref().unwrap();
        assert!(
            run.unseen
                .as_ref()
                .unwrap()
                .contains("treating it as running")
        );
        scene.world().blind = None;
        scene.pass(1100);
        assert_eq!(scene.leader(0) == leader, alive);
        assert_eq!(scene.state(0), State::Online);
        assert_eq!(scene.program(0).run.as_ref().unwrap().unseen, None);
    }
}

#[test]
fn after_a_boot_what_was_wanted_is_started_and_nothing_is_looked_for() {
    let mut scene = Scene::new("boot");
    scene.start("");
    scene.answer("start name=idle script=/bin/x cwd=/ want=down");
    let leader = scene.leader(0);
    scene.kill_daemon(Boot::Another, |world| {
        world.processes.clear();
        world.reuse(leader);
    });
    scene.pass(10);
    assert_ne!(scene.leader(0), leader);
    assert_eq!(
        (scene.state(0), scene.state(1)),
        (State::Online, State::Stopped)
    );
    assert_eq!(scene.program(0).life.restarts, 0);
}

#[test]
fn a_stop_under_way_is_carried_on() {
    let mut scene = Scene::new("stopping");
    scene.start("kill_timeout=1000");
    let leader = scene.leader(0);
    scene.world().processes.get_mut(&leader).unwrap().stubborn = true;
    scene.ask("stop target=api");
    scene.kill_daemon(Boot::Same, |_| {});
    assert_eq!(
        (scene.state(0), scene.program(0).life.want),
        (State::Stopping, Want::Down)
    );
    scene.pass(1100);
    assert!(!scene.see().lives(leader));
    assert_eq!(scene.state(0), State::Stopped);
}

#[test]
fn a_paused_program_is_found_paused_and_can_be_resumed() {
    let mut scene = Scene::new("paused-adopted");
    scene.start("");
    scene.answer("pause target=api");
    let leader = scene.leader(0);
    scene.kill_daemon(Boot::Same, |_| {});
    assert_eq!((scene.state(0), scene.leader(0)), (State::Paused, leader));
    assert!(scene.answer("resume target=api").starts_with("ok"));
    assert_eq!(scene.see().signals.last(), Some(&(leader, Signal::CONT)));
}

#[test]
fn a_child_on_its_way_to_the_program_is_not_started_twice() {
    let mut scene = Scene::new("on-its-way");
    scene.world().child = Child::Hangs;
    scene.ask("start name=api script=/bin/x cwd=/");
    let leader = scene.leader(0);
    scene.kill_daemon(Boot::Same, |world| world.answer(leader, Child::Executes));
    scene.pass(100);
    assert_eq!((scene.leader(0), scene.state(0)), (leader, State::Online));
}

#[test]
fn a_process_whose_record_is_lost_is_found_by_its_environment() {
    let mut scene = Scene::new("unrecorded");
    scene.start("");
    let leader = scene.leader(0);
    let record = scene.home.records(0).pid();
    scene.kill_daemon(Boot::Same, |_| std::fs::remove_file(record).unwrap());
    scene.pass(10);
    assert_eq!((scene.leader(0), scene.state(0)), (leader, State::Online));
}

#[test]
fn a_wait_for_the_restart_begins_again() {
    let mut scene = Scene::new("waiting");
    scene.start("restart_delay=500");
    let leader = scene.leader(0);
    scene.world().die(leader, Exit::Code(1));
    scene.pass(300);
    scene.kill_daemon(Boot::Same, |_| {});
    scene.pass(490);
    assert_eq!(scene.state(0), State::Waiting);
    scene.pass(20);
    assert_eq!(scene.state(0), State::Online);
}

#[test]
fn what_was_errored_or_stopped_stays_so() {
    let mut scene = Scene::new("rests");
    scene.start("max_restarts=0");
    let leader = scene.leader(0);
    scene.world().die(leader, Exit::Code(1));
    scene.pass(10);
    scene.start("force=true");
    scene.answer("stop target=1");
    scene.kill_daemon(Boot::Same, |_| {});
    scene.pass(1000);
    assert_eq!(
        (scene.state(0), scene.state(1)),
        (State::Errored, State::Stopped)
    );
}
