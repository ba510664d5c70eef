//! Passing file descriptors over a Unix socket. `unix(7)` SCM_RIGHTS

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;

use super::check_size;

/// A queue of bytes to send, some with a descriptor.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Chunk>,
    /// The numbers of queued bytes and descriptors.
    queued: (usize, usize),
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    sent: usize,
    fd: Option<Rc<OwnedFd>>,
}

impl Outbox {
    /// Queues bytes, and a descriptor to send with the first of them. The descriptor is shared, not duplicated, so this
    /// process needs no free descriptor.
    pub fn push(&mut self, bytes: Vec<u8>, fd: Option<Rc<OwnedFd>>) {
        self.queued.0 += bytes.len();
        self.queued.1 += usize::from(fd.is_some());
        match self.queue.back_mut() {
            Some(last) if fd.is_none() => last.bytes.extend_from_slice(&bytes),
            _ => self.queue.push_back(Chunk { bytes, sent: 0, fd }),
        }
    }

    /// Whether everything was sent.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The number of queued bytes.
    pub fn len(&self) -> usize {
        self.queued.0
    }

    /// The number of queued descriptors. Each stays open in this process until it is sent.
    pub fn descriptors(&self) -> usize {
        self.queued.1
    }

    /// The queued bytes, without their descriptors.
    pub fn bytes(&self) -> Vec<u8> {
        let rest = self.queue.iter().filter_map(|p| p.bytes.get(p.sent..));
        rest.flatten().copied().collect()
    }

    /// Sends until the queue is empty or the socket's buffer is full.
    ///
    /// # Errors
    /// As `sendmsg(2)`, except `EAGAIN`.
    pub fn flush(&mut self, stream: &impl AsFd) -> io::Result<()> {
        while let Some(chunk) = self.queue.front_mut() {
            let rest = chunk.bytes.get(chunk.sent..).unwrap_or_default();
            match send(stream, rest, chunk.fd.as_deref()) {
                Ok(n) => {
                    chunk.sent += n;
                    self.queued.0 = self.queued.0.saturating_sub(n);
                    // The descriptor was sent with the first byte.
                    let sent = usize::from(chunk.fd.take().is_some());
                    self.queued.1 = self.queued.1.saturating_sub(sent);
                    if chunk.sent >= chunk.bytes.len() {
                        self.queue.pop_front();
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Whether two descriptors refer to the same socket, pipe or file. `fstat(2)`
pub fn is_same(one: &impl AsFd, other: &impl AsFd) -> bool {
    let identity = |fd: i32| {
        // SAFETY: a stat is plain data, and the kernel writes one.
        unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            let done = libc::fstat(fd, &raw mut stat);
            (done == 0).then_some((stat.st_dev, stat.st_ino))
        }
    };
    let one = identity(one.as_fd().as_raw_fd());
    one.is_some() && one == identity(other.as_fd().as_raw_fd())
}

/// A buffer for the control messages of a few descriptors, aligned as `cmsg(3)` requires.
type Control = [u64; 16];

/// Sends once, possibly a part. `sendmsg(2)`
fn send(stream: &impl AsFd, bytes: &[u8], fd: Option<&OwnedFd>) -> io::Result<usize> {
    let mut part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut control: Control = [0; 16];
    // SAFETY: the message is plain data; its pointers are to this stack and to `bytes`, which the kernel only reads; the
    // control message fits into its buffer.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        if let Some(fd) = fd {
            let size = size_of::<libc::c_int>() as libc::c_uint;
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(size) as _;
            let head = libc::CMSG_FIRSTHDR(&raw const message);
            if !head.is_null() {
                (*head).cmsg_level = libc::SOL_SOCKET;
                (*head).cmsg_type = libc::SCM_RIGHTS;
                (*head).cmsg_len = libc::CMSG_LEN(size) as _;
                let data = libc::CMSG_DATA(head).cast::<libc::c_int>();
                std::ptr::write_unaligned(data, fd.as_raw_fd());
            }
        }
        let flags = libc::MSG_NOSIGNAL;
        let stream = stream.as_fd().as_raw_fd();
        check_size(libc::sendmsg(stream, &raw const message, flags))
    }
}

/// Receives once: bytes into `buffer`, descriptors at the end of `fds`. Returns the number of bytes. `recvmsg(2)`
///
/// `None` in `fds` is a descriptor that was lost because this process is at its limit. It keeps the order: later
/// descriptors still belong to the lines that they were sent with.
///
/// # Errors
/// As `recvmsg(2)`.
pub fn receive(
    stream: &impl AsFd,
    buffer: &mut [u8],
    fds: &mut VecDeque<Option<OwnedFd>>,
) -> io::Result<usize> {
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut control: Control = [0; 16];
    // SAFETY: the message is plain data; its pointers are to this stack and to `buffer`; the control messages are read
    // with the macros of cmsg(3); nothing else owns the new descriptors.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of::<Control>() as _;
        let flags = libc::MSG_CMSG_CLOEXEC;
        let stream = stream.as_fd().as_raw_fd();
        let n = check_size(libc::recvmsg(stream, &raw mut message, flags))?;
        let mut head = libc::CMSG_FIRSTHDR(&raw const message);
        while !head.is_null() {
            if ((*head).cmsg_level, (*head).cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let empty = libc::CMSG_LEN(0) as usize;
                let bytes = ((*head).cmsg_len as usize).saturating_sub(empty);
                let data = libc::CMSG_DATA(head).cast::<libc::c_int>();
                for at in 0..bytes / size_of::<libc::c_int>() {
                    let fd = std::ptr::read_unaligned(data.add(at));
                    fds.push_back(Some(OwnedFd::from_raw_fd(fd)));
                }
            }
            head = libc::CMSG_NXTHDR(&raw const message, head);
        }
        // Descriptors are sent one at a time, so exactly one was lost.
        if message.msg_flags & libc::MSG_CTRUNC != 0 {
            fds.push_back(None);
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn descriptors_arrive_in_order_with_their_bytes() {
        let (one, other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        other.set_nonblocking(true).unwrap();
        let mut outbox = Outbox::default();
        let mut ends = Vec::new();
        for line in ["plain\n", "first\n", "second\n", "plain\n"] {
            let fd = (line != "plain\n").then(|| {
                let (out, into) = fd::pipe().unwrap();
                ends.push(out);
                Rc::new(into)
            });
            outbox.push(line.as_bytes().to_vec(), fd);
        }
        assert_eq!((outbox.len(), outbox.descriptors()), (25, 2));
        outbox.flush(&one).unwrap();
        assert!(outbox.is_empty());
        assert_eq!((outbox.len(), outbox.descriptors()), (0, 0));
        let (mut text, mut fds) = (Vec::new(), VecDeque::new());
        let mut buffer = [0; 64];
        while let Ok(n @ 1..) = receive(&other, &mut buffer, &mut fds) {
            text.extend_from_slice(&buffer[..n]);
        }
        assert_eq!(text, b"plain\nfirst\nsecond\nplain\n");
        assert_eq!(fds.len(), 2);
        for (into, out) in fds.iter().zip(&ends) {
            let into = into.as_ref().unwrap();
            fd::write(into.as_fd(), b"x").unwrap();
            assert_eq!(fd::read(out.as_fd(), &mut buffer).unwrap(), 1);
        }
    }

    #[test]
    fn a_duplicate_is_the_same_socket_and_a_peer_is_not() {
        let (one, other) = UnixStream::pair().unwrap();
        assert!(is_same(&one, &one.try_clone().unwrap()));
        assert!(!is_same(&one, &other));
    }

    #[test]
    fn bytes_stay_queued_while_the_peer_does_not_read() {
        let (one, other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        let mut outbox = Outbox::default();
        outbox.push(vec![b'x'; 4 << 20], None);
        outbox.flush(&one).unwrap();
        assert!(outbox.len() < 4 << 20 && !outbox.is_empty());
        assert_eq!(outbox.bytes().len(), outbox.len());
        drop(other);
        assert!(outbox.flush(&one).is_err());
    }
}
