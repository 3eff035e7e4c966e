//! Messages with descriptors over a stream socket: four bytes of length, then JSON; descriptors ride on the length.

use crate::failure::{Doing as _, Failure};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Largest message: room for the longest argument list that a kernel takes by default.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Most descriptors with one message.
const DESCRIPTORS_MAX: usize = 4;

/// One end.
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// Two ends that are closed at exec.
    pub(crate) fn pair() -> io::Result<(Channel, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        Ok((Channel(ours), theirs))
    }

    /// The end that the parent gave us as standard input, where programs that we start will not have it.
    pub(crate) fn from_stdin() -> io::Result<Channel> {
        Ok(Channel(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?))
    }

    /// Sends a message and descriptors.
    pub(crate) fn send(&self, message: &impl Serialize, with: &[BorrowedFd<'_>]) -> io::Result<()> {
        let body = serde_json::to_vec(message)?;
        let length = u32::try_from(body.len()).ok().filter(|n| *n as usize <= MESSAGE_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("message to the sandbox is too long"))?;
        let head = length.to_le_bytes();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !with.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(with)) {
            return Err(io::Error::other("too many descriptors with one message"));
        }
        let sent = retry(|| sendmsg(&self.0, &[IoSlice::new(&head)], &mut ancillary, SendFlags::NOSIGNAL))?;
        self.send_all(&head[sent..])?;
        self.send_all(&body)
    }

    fn send_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = retry(|| rustix::net::send(&self.0, bytes, SendFlags::NOSIGNAL))?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Waits for a message. `None` when the other side is gone.
    pub(crate) fn receive<M: DeserializeOwned>(&self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        let (mut head, mut with) = ([0u8; 4], Vec::new());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut head)];
        let got = match retry(|| recvmsg(&self.0, into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)) {
            Err(Errno::CONNRESET) => return Ok(None),
            other => other?.bytes,
        };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                with.extend(descriptors);
            }
        }
        if got == 0 || !self.receive_all(&mut head[got..])? {
            return Ok(None);
        }
        let length = u32::from_le_bytes(head) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(io::Error::other("message from the sandbox is too long"));
        }
        let mut body = vec![0; length];
        if !self.receive_all(&mut body)? {
            return Ok(None);
        }
        Ok(Some((serde_json::from_slice(&body)?, with)))
    }

    /// Fills the buffer; false when the other side is gone before.
    fn receive_all(&self, mut buffer: &mut [u8]) -> io::Result<bool> {
        while !buffer.is_empty() {
            match retry(|| rustix::io::read(&self.0, &mut *buffer)) {
                Ok(0) | Err(Errno::CONNRESET) => return Ok(false),
                got => buffer = &mut buffer[got?..],
            }
        }
        Ok(true)
    }

    /// As [`receive`](Self::receive), where an end of file is a failure too.
    pub(crate) fn expect<M: DeserializeOwned>(&self, doing: &str) -> Result<(M, Vec<OwnedFd>), Failure> {
        let gone = || io::Error::from(io::ErrorKind::UnexpectedEof);
        self.receive().and_then(|m| m.ok_or_else(gone)).doing(doing)
    }
}

impl From<OwnedFd> for Channel {
    fn from(end: OwnedFd) -> Self {
        Channel(end)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn retry<T>(call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    rustix::io::retry_on_intr(call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Order;
    use std::io::{Read as _, Seek as _, Write as _};

    fn connected() -> (Channel, Channel) {
        let (ours, theirs) = Channel::pair().unwrap();
        (ours, Channel(theirs))
    }

    #[test]
    fn messages_and_descriptors_arrive_and_an_end_is_seen() {
        let (here, there) = connected();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        file.rewind().unwrap();
        let long = Order::Remove { path: "x".repeat(300_000) };
        let (sent, with) = (long.clone(), file);
        let sender = std::thread::spawn(move || {
            here.send(&sent, &[]).unwrap();
            here.send(&Order::Write { path: "/a".into(), mode: 0o644 }, &[with.as_fd()]).unwrap();
        });
        assert_eq!(there.receive::<Order>().unwrap().unwrap().0, long);
        let (order, mut with) = there.receive::<Order>().unwrap().unwrap();
        assert_eq!(order, Order::Write { path: "/a".into(), mode: 0o644 });
        let mut content = String::new();
        std::fs::File::from(with.remove(0)).read_to_string(&mut content).unwrap();
        assert_eq!(content, "content");
        sender.join().unwrap();
        assert!(there.receive::<Order>().unwrap().is_none());
        assert!(there.expect::<Order>("waiting").is_err());
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused() {
        let (here, there) = connected();
        here.send_all(&u32::MAX.to_le_bytes()).unwrap();
        assert!(there.receive::<Order>().is_err());
    }
}
