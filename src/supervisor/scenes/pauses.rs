//! Pause, resume, signals.

use super::Scene;
use crate::model::life::State;
use crate::supervisor::driver::fake::world::Child;
use crate::sys::pid::Pid;
use crate::sys::signal::Signal;

fn stopped(scene: &Scene, pid: Pid) -> bool {
    scene.see().processes[&pid].stat.is_stopped()
}

#[test]
fn a_pause_stops_all_members_and_a_resume_continues_them() {
    let mut scene = Scene::new("pause");
    scene.start("");
    let leader = scene.leader(0);
    let grouped = scene.world().fork(leader, false);
    let escaped = scene.world().fork(leader, true);
    let pids = [leader, grouped, escaped];
    assert!(scene.answer("pause target=api").starts_with("ok count=1"));
    assert_eq!(scene.state(0), State::Paused);
    assert!(pids.iter().all(|pid| stopped(&scene, *pid)));
    assert!(scene.answer("resume target=api").starts_with("ok count=1"));
    assert_eq!(scene.state(0), State::Online);
    assert!(pids.iter().all(|pid| !stopped(&scene, *pid)));
}

#[test]
fn a_start_or_a_stop_of_a_paused_program_is_carried_out() {
    let mut scene = Scene::new("paused");
    scene.start("");
    scene.answer("pause target=api");
    let leader = scene.leader(0);
    assert!(scene.answer("restart target=api").starts_with("ok"));
    assert_ne!(scene.leader(0), leader);
    scene.answer("pause target=api");
    assert!(scene.answer("stop target=api").starts_with("ok"));
    assert_eq!(
        (scene.state(0), scene.see().of(0)),
        (State::Stopped, vec![])
    );
}

#[test]
fn a_pause_is_not_answered_while_something_runs() {
    let mut scene = Scene::new("runs-on");
    scene.start("");
    let leader = scene.leader(0);
    let member = scene.world().fork(leader, true);
    let stuck = |scene: &Scene, stuck: bool| {
        scene.world().processes.get_mut(&member).unwrap().stuck = stuck;
    };
    stuck(&scene, true);
    let mut client = scene.ask("pause target=api");
    scene.pass(100);
    assert_eq!(client.verdict(), None);
    assert!(stopped(&scene, leader) && !stopped(&scene, member));
    stuck(&scene, false);
    scene.pass(10);
    assert!(client.verdict().unwrap().starts_with("ok"));
    assert!(stopped(&scene, member));
    // What never stops is named.
    assert!(scene.answer("resume target=api").starts_with("ok"));
    stuck(&scene, true);
    let verdict = scene.answer("pause target=api");
    assert!(verdict.starts_with("error code=timeout"), "{verdict}");
    assert!(verdict.contains(&format!("pid%20{member}")), "{verdict}");
}

#[test]
fn a_pause_of_what_is_not_launched_in_time_fails() {
    let mut scene = Scene::new("launching");
    scene.world().child = Child::Hangs;
    let _start = scene.ask("start name=api script=/bin/x cwd=/");
    let mut client = scene.ask("pause target=api");
    scene.pass(1990);
    assert_eq!(client.verdict(), None);
    scene.pass(30);
    let verdict = client.verdict().unwrap();
    assert!(verdict.starts_with("error code=timeout"), "{verdict}");
}

#[test]
fn what_does_not_run_is_not_paused_resumed_or_signalled() {
    let mut scene = Scene::new("at-rest");
    scene.start("");
    scene.answer("stop target=api");
    for request in [
        "pause target=api",
        "resume target=api",
        "signal signal=HUP target=api",
    ] {
        let verdict = scene.answer(request);
        assert!(verdict.starts_with("error code=not-running"), "{verdict}");
    }
    assert_eq!(scene.state(0), State::Stopped);
}

#[test]
fn a_signal_goes_to_the_leader_alone() {
    let mut scene = Scene::new("signal");
    scene.start("");
    let leader = scene.leader(0);
    let member = scene.world().fork(leader, false);
    scene.world().processes.get_mut(&leader).unwrap().stubborn = true;
    assert!(
        scene
            .answer("signal signal=HUP target=api")
            .starts_with("ok")
    );
    let signals = scene.see().signals.clone();
    assert_eq!(signals, [(leader, Signal::new(libc::SIGHUP).unwrap())]);
    assert!(scene.see().lives(member));
}
