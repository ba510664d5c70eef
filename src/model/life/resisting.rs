//! Programs that survive SIGKILL.

use super::tests::{policy, situation};
use super::*;

#[test]
fn what_survives_sigkill_is_killed_less_and_less_often_and_soon_said_to_resist() {
    for column in ["stopping", "leaderless", "restarting", "swept"] {
        let mut life = situation(column);
        let (mut waits, mut resisted_after) = (Vec::new(), None);
        let first = life.deadline.unwrap();
        for _ in 0..10 {
            let now = life.deadline.unwrap();
            assert_eq!(
                life.step(Event::Deadline, &policy(), now),
                Some(Action::Kill)
            );
            waits.push(life.deadline.unwrap() - now);
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
        let now = life.deadline.unwrap() - 1;
        for again in [Event::Stop, Event::Restart, Event::Start] {
            let mut life = life.clone();
            assert_eq!(life.step(again, &policy(), now), Some(Action::Kill));
            assert!(!life.resists() && life.deadline == Some(now + 500));
            assert_eq!(life.step(again, &policy(), now), None, "once");
        }
        let gone = match life.pid {
            0 => Event::Gone,
            _ => Event::Exited(Exit::Signal(9), false),
        };
        life.step(gone, &policy(), now);
        assert!(life.kills == 0 && !life.resists());
    }
}
