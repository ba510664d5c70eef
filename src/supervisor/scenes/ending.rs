//! The end of the daemon.

use super::Scene;
use crate::model::life::{State, Want};
use crate::supervisor::daemon::shutdown::Ending;
use crate::supervisor::store::state::Boot;

/// Until the end has come, or ten seconds are over.
fn end(scene: &mut Scene) -> u64 {
    let begin = scene.see().now;
    while !scene.daemon().finished() && scene.see().now < begin + 10_000 {
        scene.pass(10);
    }
    assert!(scene.daemon().finished());
    scene.see().now - begin
}

#[test]
fn kill_stops_and_forgets_all_programs() {
    let mut scene = Scene::new("kill");
    scene.start("instances=3");
    let mut client = scene.ask("kill");
    end(&mut scene);
    assert!(client.verdict().unwrap().starts_with("ok"));
    assert!((0..3).all(|id| scene.see().of(id).is_empty()));
    scene.kill_daemon(Boot::Same, |_| {});
    assert!(scene.daemon().programs.is_empty());
}

#[test]
fn kill_keep_leaves_all_programs_running() {
    let mut scene = Scene::new("keep");
    scene.start("");
    let leader = scene.leader(0);
    let mut client = scene.ask("kill keep=true");
    end(&mut scene);
    assert!(client.verdict().unwrap().starts_with("ok"));
    assert!(scene.see().signals.is_empty());
    scene.kill_daemon(Boot::Same, |_| {});
    assert_eq!((scene.leader(0), scene.state(0)), (leader, State::Online));
}

#[test]
fn a_signal_stops_all_programs_and_the_next_daemon_starts_those_that_were_wanted() {
    let mut scene = Scene::new("sigterm");
    scene.start("");
    scene.answer("start name=idle script=/bin/x cwd=/ want=down");
    scene.daemon().end(Ending::Keep);
    end(&mut scene);
    assert_eq!(scene.see().of(0), []);
    scene.kill_daemon(Boot::Same, |_| {});
    scene.pass(10);
    assert_eq!(
        (scene.state(0), scene.state(1)),
        (State::Online, State::Stopped)
    );
    assert_eq!(scene.program(0).life.want, Want::Up);
}

#[test]
fn what_cannot_be_ended_is_named_and_does_not_hold_up_the_end() {
    let mut scene = Scene::new("kill-stuck");
    scene.start("");
    let leader = scene.leader(0);
    scene.world().processes.get_mut(&leader).unwrap().stuck = true;
    let mut client = scene.ask("kill");
    let took = end(&mut scene);
    // The kill timeout, the kills, the log writer that is not there, the clients.
    assert!(took < 1600 + 2000 + 2000 + 1000 + 100, "{took}");
    let verdict = client.verdict().unwrap();
    assert!(verdict.starts_with("error code=timeout"), "{verdict}");
    assert!(verdict.contains(&format!("pid%20{leader}")), "{verdict}");
    scene.kill_daemon(Boot::Same, |_| {});
    // The next daemon goes on ending it.
    assert_eq!(
        (scene.leader(0), scene.program(0).life.want),
        (leader, Want::Down)
    );
}

#[test]
fn nothing_is_started_while_the_daemon_ends() {
    let mut scene = Scene::new("busy");
    scene.start("");
    let leader = scene.leader(0);
    scene.world().processes.get_mut(&leader).unwrap().stubborn = true;
    let _kill = scene.ask("kill");
    for request in ["start name=b script=/bin/x cwd=/", "restart target=api"] {
        let verdict = scene.answer(request);
        assert!(verdict.starts_with("error code=busy"), "{verdict}");
    }
}
