use super::*;
use crate::sys::fd;

fn connected() -> (LogLink, UnixStream) {
    let (end, other) = UnixStream::pair().unwrap();
    end.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    let link = LogLink {
        end: Some(end),
        found: true,
        ..LogLink::default()
    };
    (link, other)
}

fn report(to: &UnixStream, report: &Report, fd: Option<OwnedFd>) {
    let mut outbox = Outbox::default();
    outbox.push(report.to_line().to_bytes(), fd.map(Rc::new));
    outbox.flush(to).unwrap();
}

/// What has arrived at the other side: lines, and the number of descriptors.
fn arrived(from: &UnixStream) -> (String, usize) {
    let (mut text, mut fds) = (Vec::new(), VecDeque::new());
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = passing::receive(from, &mut buffer, &mut fds) {
        text.extend_from_slice(&buffer[..n]);
    }
    (String::from_utf8(text).unwrap(), fds.len())
}

fn null() -> Rc<OwnedFd> {
    Rc::new(fd::open_null().unwrap())
}

#[test]
fn each_kept_descriptor_has_a_slot_that_none_before_had() {
    let (mut link, writer) = connected();
    // What the log writer keeps is not known yet.
    assert_eq!(link.keep(b"a".to_vec(), null()), None);
    report(&writer, &Report::Hello { link: LINK_VERSION }, None);
    let (slot, name) = (41, b"a".to_vec());
    let fd = fd::open_null().unwrap();
    report(&writer, &Report::Kept { slot, name }, Some(fd));
    report(&writer, &Report::Recovered, None);
    while !link.recovered() {
        link.receive().unwrap();
    }
    let kept = link.take_kept().unwrap();
    assert_eq!((kept.len(), kept[0].0), (1, 41));
    link.drop_kept(41);
    assert_eq!(link.keep(b"a".to_vec(), null()), Some(42));
    link.flush();
    let (text, fds) = arrived(&writer);
    assert_eq!(
        (text.as_str(), fds),
        ("drop slot=41\nkeep slot=42 name=a\n", 1)
    );
}

#[test]
fn what_is_dropped_before_it_was_sent_costs_no_descriptor() {
    let (mut link, writer) = connected();
    link.recovered = true;
    let kept = null();
    for _ in 0..1000 {
        let slot = link.keep(b"a".to_vec(), Rc::clone(&kept)).unwrap();
        link.flush();
        link.drop_kept(slot);
    }
    assert_eq!(Rc::strong_count(&kept), 1);
    report(&writer, &Report::Hello { link: LINK_VERSION }, None);
    link.receive().unwrap();
    link.flush();
    assert_eq!(arrived(&writer), (String::new(), 0));
}

#[test]
fn what_could_not_be_received_is_asked_for_again() {
    let (mut link, writer) = connected();
    report(&writer, &Report::Hello { link: LINK_VERSION }, None);
    let (slot, name) = (3, b"a".to_vec());
    report(&writer, &Report::Kept { slot, name }, None);
    report(&writer, &Report::Recovered, None);
    let notes = link.receive().unwrap();
    assert!(notes[0].contains("trying again"), "{notes:?}");
    assert!(link.is_incomplete() && !link.recovered() && link.take_kept().is_none());
    link.recall();
    link.flush();
    assert_eq!(arrived(&writer).0, "recall\n");
    let (slot, name) = (3, b"a".to_vec());
    let fd = fd::open_null().unwrap();
    report(&writer, &Report::Kept { slot, name }, Some(fd));
    report(&writer, &Report::Recovered, None);
    while !link.recovered() {
        link.receive().unwrap();
    }
    assert_eq!(link.take_kept().unwrap().len(), 1);
}

#[test]
fn a_log_writer_is_replaced_only_when_what_it_has_kept_is_here() {
    let (mut link, writer) = connected();
    report(
        &writer,
        &Report::Hello {
            link: LINK_VERSION + 1,
        },
        None,
    );
    link.receive().unwrap();
    link.flush();
    assert_eq!(arrived(&writer).0, "");
    report(&writer, &Report::Recovered, None);
    link.receive().unwrap();
    link.flush();
    assert_eq!(arrived(&writer).0, "bye\n");
}

#[test]
fn what_waits_for_a_log_writer_that_does_not_read_is_bounded() {
    let (mut link, _other) = connected();
    link.told = Some(0);
    let lines = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        link.order(&Order::Note {
            lines: lines.clone(),
        });
        assert!(link.output.len() <= MOST_WAITING + (1 << 20) + 100);
    }
    assert!(link.was_given_up() && !link.was_given_up() && link.stream().is_none());
}

#[test]
fn a_question_that_was_dropped_is_never_answered_by_yes() {
    let mut link = LogLink::default();
    let first = link.drain(vec![1], false);
    assert!(!link.done(first));
    for _ in 0..2 * MOST_ASKED {
        link.drain(vec![1], false);
    }
    assert_eq!(link.asked.len(), MOST_ASKED);
    assert!(!link.done(first) && !link.done(link.tokens));
    link.hear_done(link.tokens, None);
    assert!(link.done(link.tokens));
}
