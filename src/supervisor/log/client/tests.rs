use super::*;
use crate::sys::fd;

fn connected() -> (LogClient, UnixStream) {
    let (stream, other) = UnixStream::pair().unwrap();
    stream.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    let log = LogClient {
        stream: Some(stream),
        was_running: true,
        ..LogClient::default()
    };
    (log, other)
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
fn each_kept_descriptor_has_a_new_slot() {
    let (mut log, writer) = connected();
    // The kept descriptors are not known yet.
    assert_eq!(log.keep(b"a".to_vec(), null()), None);
    report(&writer, &Report::Hello { link: LINK_VERSION }, None);
    let (slot, name) = (41, b"a".to_vec());
    let fd = fd::open_null().unwrap();
    report(&writer, &Report::Kept { slot, name }, Some(fd));
    report(&writer, &Report::Recovered, None);
    while !log.recovered() {
        log.receive().unwrap();
    }
    let kept = log.take_kept().unwrap();
    assert_eq!((kept.len(), kept[0].0), (1, 41));
    log.drop_kept(41);
    assert_eq!(log.keep(b"a".to_vec(), null()), Some(42));
    log.flush();
    let (text, fds) = arrived(&writer);
    assert_eq!(
        (text.as_str(), fds),
        ("drop slot=41\nkeep slot=42 name=a\n", 1)
    );
}

#[test]
fn a_descriptor_that_is_dropped_before_it_is_sent_is_closed() {
    let (mut log, writer) = connected();
    log.recovered = true;
    let kept = null();
    for _ in 0..1000 {
        let slot = log.keep(b"a".to_vec(), Rc::clone(&kept)).unwrap();
        log.flush();
        log.drop_kept(slot);
    }
    assert_eq!(Rc::strong_count(&kept), 1);
    report(&writer, &Report::Hello { link: LINK_VERSION }, None);
    log.receive().unwrap();
    log.flush();
    assert_eq!(arrived(&writer), (String::new(), 0));
}

#[test]
fn descriptors_that_could_not_be_received_are_requested_again() {
    let (mut log, writer) = connected();
    report(&writer, &Report::Hello { link: LINK_VERSION }, None);
    let (slot, name) = (3, b"a".to_vec());
    report(&writer, &Report::Kept { slot, name }, None);
    report(&writer, &Report::Recovered, None);
    let events = log.receive().unwrap();
    let is_note =
        |event: &Event| matches!(event, Event::Note(text) if text.contains("trying again"));
    assert!(events.iter().any(is_note), "{events:?}");
    assert!(log.is_incomplete() && !log.recovered() && log.take_kept().is_none());
    log.recall();
    log.flush();
    assert_eq!(arrived(&writer).0, "recall\n");
    let (slot, name) = (3, b"a".to_vec());
    let fd = fd::open_null().unwrap();
    report(&writer, &Report::Kept { slot, name }, Some(fd));
    report(&writer, &Report::Recovered, None);
    while !log.recovered() {
        log.receive().unwrap();
    }
    assert_eq!(log.take_kept().unwrap().len(), 1);
}

#[test]
fn a_log_writer_is_replaced_only_after_it_has_returned_its_descriptors() {
    let (mut log, writer) = connected();
    report(
        &writer,
        &Report::Hello {
            link: LINK_VERSION + 1,
        },
        None,
    );
    log.receive().unwrap();
    log.flush();
    assert_eq!(arrived(&writer).0, "");
    report(&writer, &Report::Recovered, None);
    log.receive().unwrap();
    log.flush();
    assert_eq!(arrived(&writer).0, "bye\n");
}

#[test]
fn the_output_for_a_log_writer_that_does_not_read_is_bounded() {
    let (mut log, _other) = connected();
    log.initial = Some(0);
    let lines = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        log.order(&Order::Note {
            lines: lines.clone(),
        });
        assert!(log.output.len() <= MAX_WAITING + (1 << 20) + 100);
    }
    assert!(log.was_given_up() && !log.was_given_up() && log.stream().is_none());
}

#[test]
fn a_dropped_request_never_counts_as_done() {
    let mut log = LogClient::default();
    let first = log.drain(vec![1], false);
    assert!(!log.done(first));
    for _ in 0..2 * MAX_PENDING {
        log.drain(vec![1], false);
    }
    assert_eq!(log.pending.len(), MAX_PENDING);
    assert!(!log.done(first) && !log.done(log.last_token));
    log.receive_done(log.last_token, None);
    assert!(log.done(log.last_token));
}
