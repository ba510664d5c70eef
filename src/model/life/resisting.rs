//! Programs that survive SIGKILL.

use super::tests::{Action, act, due, effects, policy, situation};
use super::*;

#[test]
fn what_survives_sigkill_is_killed_less_and_less_often_and_soon_said_to_resist() {
    for column in ["stopping", "leaderless", "restarting", "swept"] {
        let mut life = situation(column);
        let (mut waits, mut resisted_after) = (Vec::new(), None);
        let (_, first) = life.deadline.unwrap();
        for _ in 0..10 {
            let (_, now) = life.deadline.unwrap();
            assert_eq!(due(&mut life, &policy()), Some(Action::Kill));
            waits.push(life.deadline.unwrap().1 - now);
            if life.resists() {
                resisted_after.get_or_insert(now - first);
            }
        }
        assert_eq!(
            waits,
            [
                500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000
            ],
            "{column}"
        );
        // A command is answered within the kill timeout and two seconds.
        assert_eq!(resisted_after, Some(1500), "{column}");
        let now = life.deadline.unwrap().1 - 1;
        for again in [Event::Stop, Event::Restart, Event::Start] {
            let mut life = life.clone();
            assert_eq!(act(&mut life, again, &policy(), now), Some(Action::Kill));
            assert!(!life.resists() && life.deadline.unwrap().1 == now + 500);
            assert_eq!(act(&mut life, again, &policy(), now), None, "once");
        }
        let gone = if life.pid == 0 {
            Event::Gone(life.run)
        } else {
            Event::Exited(life.run, Exit::Signal(9), Members::Gone)
        };
        let ended = effects(&mut life, gone, &policy(), now);
        assert!(life.kills == 0 && !life.resists());
        assert!(ended.contains(&Effect::Note(Note::EndedAtLast)));
    }
}

/// Each is said once in an end, however often it is tried.
#[test]
fn that_it_is_killed_and_that_it_resists_is_noted_once() {
    let mut life = situation("stopping");
    let mut notes = Vec::new();
    for round in 0..2 {
        for _ in 0..5 {
            let (deadline, at) = life.deadline.unwrap();
            let found = effects(&mut life, Event::Deadline(deadline), &policy(), at);
            notes.extend(found.into_iter().filter(|e| matches!(e, Effect::Note(_))));
        }
        if round == 0 {
            let (_, at) = life.deadline.unwrap();
            notes.extend(effects(&mut life, Event::Stop, &policy(), at - 1));
            notes.retain(|e| matches!(e, Effect::Note(_)));
        }
    }
    let said = [Note::Killing, Note::Resists].map(Effect::Note);
    assert_eq!(notes, said);
}
