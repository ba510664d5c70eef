//! Descriptors that go from one process to another with bytes. `unix(7)` SCM_RIGHTS

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;

use super::check_size;

/// Bytes that wait to go out in their order, some with a descriptor.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Parcel>,
    /// How many bytes wait, and how many descriptors.
    waiting: (usize, usize),
}

#[derive(Debug)]
struct Parcel {
    bytes: Vec<u8>,
    sent: usize,
    fd: Option<Rc<OwnedFd>>,
}

impl Outbox {
    /// Adds bytes, and the descriptor that goes with the first of them. It is shared, not duplicated: sending one needs
    /// no free descriptor.
    pub fn push(&mut self, bytes: Vec<u8>, fd: Option<Rc<OwnedFd>>) {
        self.waiting.0 += bytes.len();
        self.waiting.1 += usize::from(fd.is_some());
        match self.queue.back_mut() {
            Some(last) if fd.is_none() => last.bytes.extend_from_slice(&bytes),
            _ => self.queue.push_back(Parcel { bytes, sent: 0, fd }),
        }
    }

    /// Whether everything has gone out.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.waiting.0
    }

    /// How many descriptors wait: each is one of this process until it has gone out.
    pub fn descriptors(&self) -> usize {
        self.waiting.1
    }

    /// The bytes that wait, without their descriptors.
    pub fn bytes(&self) -> Vec<u8> {
        let rest = self.queue.iter().filter_map(|p| p.bytes.get(p.sent..));
        rest.flatten().copied().collect()
    }

    /// Sends what the other side takes.
    pub fn flush(&mut self, stream: &impl AsFd) -> io::Result<()> {
        while let Some(parcel) = self.queue.front_mut() {
            let rest = parcel.bytes.get(parcel.sent..).unwrap_or_default();
            match send(stream, rest, parcel.fd.as_deref()) {
                Ok(n) => {
                    parcel.sent += n;
                    self.waiting.0 = self.waiting.0.saturating_sub(n);
                    // With the first byte it is on its way.
                    let sent = usize::from(parcel.fd.take().is_some());
                    self.waiting.1 = self.waiting.1.saturating_sub(sent);
                    if parcel.sent >= parcel.bytes.len() {
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

/// Whether two descriptors are of one socket, pipe or file. `fstat(2)`
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

/// Room for the control message of a few descriptors, aligned as `cmsg(3)` wants it.
type Control = [u64; 16];

/// Sends once, perhaps not all. `sendmsg(2)`
fn send(stream: &impl AsFd, bytes: &[u8], fd: Option<&OwnedFd>) -> io::Result<usize> {
    let mut part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut control: Control = [0; 16];
    // SAFETY: the message is zeroed plain data; every pointer in it is to this stack or to `bytes`, which the kernel
    // only reads; the control message is written within its room.
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

/// Receives once: bytes into `buffer`, and the descriptors that came with them behind `fds`. `recvmsg(2)`
///
/// `None` in `fds` is a descriptor that was sent and lost, because this process may open no more: the descriptors
/// behind it still belong to the lines that they were sent with.
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
    // SAFETY: the message is zeroed plain data; every pointer in it is to this stack or to `buffer`; what the kernel
    // wrote of control messages is walked with its own macros; the descriptors are new and nobody else's.
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
        // One descriptor is sent at a time, so it is that one.
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
    fn descriptors_arrive_in_the_order_of_the_bytes_that_they_came_with() {
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
    fn copies_are_one_socket_and_pairs_are_two() {
        let (one, other) = UnixStream::pair().unwrap();
        assert!(is_same(&one, &one.try_clone().unwrap()));
        assert!(!is_same(&one, &other));
    }

    #[test]
    fn what_the_other_side_does_not_take_waits() {
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
