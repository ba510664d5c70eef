//! Clients that connect to a port repeatedly and count the results, while something happens to the server.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{LIMIT, wait_until};

/// The number of concurrent clients.
const VISITORS: usize = 2;
/// The pause between two connections of a client.
const PAUSE: Duration = Duration::from_millis(1);

/// The results.
#[derive(Default)]
struct Counts {
    answered: AtomicUsize,
    refused: AtomicUsize,
    lost: AtomicUsize,
    over: AtomicBool,
}

/// The clients of one port.
pub struct Visitors {
    counts: Arc<Counts>,
    threads: Vec<JoinHandle<()>>,
}

/// The kind of server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// It answers HTTP requests.
    Http,
    /// It answers each connection.
    Plain,
}

fn visit(port: u16, server: Server, counts: &Counts) {
    let address = ([127, 0, 0, 1], port).into();
    let mut stream = match TcpStream::connect_timeout(&address, LIMIT) {
        Ok(stream) => stream,
        Err(_) => {
            counts.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
    };
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let asked = match server {
        Server::Http => stream.write_all(b"GET / HTTP/1.0\r\n\r\n"),
        Server::Plain => Ok(()),
    };
    let mut text = String::new();
    let answer = asked.and_then(|()| stream.read_to_string(&mut text));
    let count = match answer {
        Ok(1..) => &counts.answered,
        Ok(0) => &counts.lost,
        Err(e) => {
            assert_ne!(e.kind(), ErrorKind::WouldBlock, "no answer in {LIMIT:?}");
            &counts.lost
        }
    };
    count.fetch_add(1, Ordering::Relaxed);
}

impl Visitors {
    /// Starts the clients.
    pub fn begin(port: u16, server: Server) -> Visitors {
        let counts = Arc::new(Counts::default());
        let threads = (0..VISITORS).map(|_| {
            let counts = Arc::clone(&counts);
            std::thread::spawn(move || {
                while !counts.over.load(Ordering::Relaxed) {
                    visit(port, server, &counts);
                    std::thread::sleep(PAUSE);
                }
            })
        });
        let threads = threads.collect();
        Visitors { counts, threads }
    }

    /// Waits until each client got another answer.
    #[track_caller]
    pub fn are_answered(&self) {
        let count = || self.counts.answered.load(Ordering::Relaxed);
        let before = count();
        let enough = before + 2 * VISITORS;
        wait_until("visitors are answered", || count() >= enough);
    }

    /// Stops the clients. Returns how many connections were refused, and how many got no answer.
    #[track_caller]
    pub fn end(self) -> (usize, usize) {
        self.counts.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        (count(&self.counts.refused), count(&self.counts.lost))
    }
}
