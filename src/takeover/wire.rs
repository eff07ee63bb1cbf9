//! The bytes between the two processes of a takeover: one byte a message, and with it a
//! descriptor where the message is one.
//!
//! A message of one byte cannot be cut in two, and the kernel does not join messages
//! that carry descriptors, so there is nothing to parse.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tollring_engine::Inherited;

use super::Handover;

/// The version of this conversation; another one is not understood.
const HELLO: u8 = b'1';
/// A listener of the data port.
const DATA: u8 = b'd';
/// The same, one that a third process keeps open as well.
const DATA_KEPT: u8 = b'k';
/// The listener of the admin port.
const ADMIN: u8 = b'a';
/// There are no more.
const END: u8 = b'e';
/// The new process takes clients.
const SERVING: u8 = b's';
/// The old one does not any more.
const LEFT: u8 = b'l';

/// How long either side waits for a word that the other has ready.
const WORD: Duration = Duration::from_secs(5);

/// How long the running process waits for the new one to start: names may have to be resolved.
const START: Duration = Duration::from_secs(60);

/// One end of a takeover.
#[derive(Debug)]
pub(super) struct Wire(UnixStream);

impl Wire {
    /// Begins, with a process of the same user.
    ///
    /// # Errors
    /// `PermissionDenied` when the other side is another user's.
    pub(super) fn with(stream: UnixStream) -> io::Result<Self> {
        if socket_peercred(&stream)?.uid != rustix::process::geteuid() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        stream.set_write_timeout(Some(WORD))?;
        Ok(Self(stream))
    }

    /// The process at the other end.
    pub(super) fn peer(&self) -> Option<u32> {
        let peer = socket_peercred(&self.0).ok()?;
        u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
    }

    /// Says which version of this conversation we speak.
    pub(super) fn say_hello(&self) -> io::Result<()> {
        self.say(HELLO)
    }

    /// Waits for the new process to say what it speaks.
    pub(super) fn await_hello(&self) -> io::Result<()> {
        self.expect(HELLO, WORD)
    }

    /// Says that the new process takes clients.
    pub(super) fn say_serving(&self) -> io::Result<()> {
        self.say(SERVING)
    }

    /// Waits for the new process to take clients.
    pub(super) fn await_serving(&self) -> io::Result<()> {
        self.expect(SERVING, START)
    }

    /// Says that the old process takes nobody any more.
    pub(super) fn say_left(&self) -> io::Result<()> {
        self.say(LEFT)
    }

    /// Waits for the old process to take nobody any more.
    pub(super) fn await_left(&self) -> io::Result<()> {
        self.expect(LEFT, WORD)
    }

    fn say(&self, word: u8) -> io::Result<()> {
        (&self.0).write_all(&[word])
    }

    fn expect(&self, word: u8, limit: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(limit))?;
        let mut heard = [0];
        (&self.0).read_exact(&mut heard)?;
        if heard[0] == word {
            return Ok(());
        }
        let told = format!("it said {:?} where {:?} was due", heard[0], word);
        Err(io::Error::new(io::ErrorKind::InvalidData, told))
    }

    /// Sends every listener.
    pub(super) fn send(&self, handover: &Handover) -> io::Result<()> {
        for inherited in &handover.data {
            let word = if inherited.kept { DATA_KEPT } else { DATA };
            self.send_one(word, &inherited.socket)?;
        }
        if let Some(admin) = &handover.admin {
            self.send_one(ADMIN, admin)?;
        }
        self.say(END)
    }

    fn send_one(&self, word: u8, listener: &TcpListener) -> io::Result<()> {
        let descriptors = [listener.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("a descriptor does not fit its message"));
        }
        sendmsg(
            &self.0,
            &[IoSlice::new(&[word])],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
        Ok(())
    }

    /// Receives every listener.
    pub(super) fn receive(&self) -> io::Result<Handover> {
        self.0.set_read_timeout(Some(WORD))?;
        let mut handover = Handover {
            data: Vec::new(),
            admin: None,
        };
        loop {
            let (word, descriptor) = self.receive_one()?;
            match (word, descriptor.map(TcpListener::from)) {
                (DATA | DATA_KEPT, Some(socket)) => handover.data.push(Inherited {
                    socket,
                    kept: word == DATA_KEPT,
                }),
                (ADMIN, Some(socket)) => handover.admin = Some(socket),
                (END, None) => return Ok(handover),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    fn receive_one(&self) -> io::Result<(u8, Option<OwnedFd>)> {
        let mut word = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            &self.0,
            &mut [IoSliceMut::new(&mut word)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        Ok((word[0], descriptor))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;

    fn pair() -> (Wire, Wire) {
        let (one, other) = UnixStream::pair().unwrap();
        (Wire::with(one).unwrap(), Wire::with(other).unwrap())
    }

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    #[test]
    fn every_listener_arrives_as_what_it_was_sent_as() {
        let (old, new) = pair();
        let sent = Handover {
            data: [false, true, false]
                .map(|kept| Inherited {
                    socket: listener(),
                    kept,
                })
                .into(),
            admin: Some(listener()),
        };
        old.send(&sent).unwrap();
        let received = new.receive().unwrap();
        let told = |handover: &Handover| -> Vec<_> {
            let data = handover.data.iter();
            data.map(|one| (one.socket.local_addr().unwrap(), one.kept))
                .collect()
        };
        assert_eq!(told(&received), told(&sent));
        let address = |handover: &Handover| handover.admin.as_ref().unwrap().local_addr().unwrap();
        assert_eq!(address(&received), address(&sent));
    }

    #[test]
    fn a_process_that_dies_half_way_is_noticed() {
        let (old, new) = pair();
        old.send_one(DATA, &listener()).unwrap();
        drop(old);
        let fault = new.receive().unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn another_version_is_not_understood() {
        let (old, new) = pair();
        new.say(b'2').unwrap();
        assert_eq!(
            old.await_hello().unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn the_other_end_is_named() {
        assert_eq!(pair().0.peer(), Some(std::process::id()));
    }
}
