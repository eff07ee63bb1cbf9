//! Reads and writes through TLS: moves records between the socket and a session.
//!
//! A waiting connection holds its session and no block. What is written leaves as records
//! of at most 16 KiB, whatever the protocol itself has to say before them. What TLS is and
//! whom it believes is decided in `tls`.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use super::{Broken, PARK_AFTER, Reader, Stream, Writer, receive};
use crate::net::buffer::{Buffer, Buffers};
use crate::net::deadline::Action;
use crate::net::system::{send_now, shutdown};
use crate::tls::session::{Opened, RECORD_CONTENT_MAX, Session, UNOPENED_BYTES_MAX};

/// The TLS of one connection, shared by its two directions.
pub(crate) struct Seal {
    session: RefCell<Session>,
    buffers: Rc<Buffers>,
    /// Whether records are on their way: nothing may come between.
    writing: Cell<bool>,
}

/// What the receiving direction holds besides.
pub(super) struct Opening {
    pub(super) seal: Rc<Seal>,
    /// What arrived, from `from` on not looked at yet.
    arrived: Buffer,
    from: usize,
}

/// Why there is no TLS on a connection.
#[derive(Debug)]
pub(crate) enum Unshaken {
    /// The connection came to an end.
    Broken(Broken),
    /// The peer broke the protocol, or one of us does not believe the other.
    Refused(rustls::Error),
}

impl Seal {
    /// Sends a few bytes at once if nothing else is on its way; never waits.
    pub(crate) fn say_now(&self, fd: RawFd, bytes: &[u8]) {
        if self.writing.get() {
            return;
        }
        let Ok(mut session) = self.session.try_borrow_mut() else {
            return;
        };
        let mut sealed = Vec::new();
        if session.seal(bytes, &mut sealed).is_ok() && !send_whole(fd, &sealed) {
            // Records are numbered: one that was made has to leave, if only later.
            session.leaving().append(&mut sealed);
        }
    }

    /// Says that nothing more will come, if that goes at once; never waits.
    fn say_goodbye_now(&self, fd: RawFd) {
        let mut sealed = Vec::new();
        let is_free = !self.writing.get();
        if is_free && self.session.borrow_mut().seal_close(&mut sealed).is_ok() {
            send_whole(fd, &sealed);
        }
    }

    /// The certificate that the peer showed and we believed.
    pub(crate) fn peer(&self) -> Option<crate::tls::Certificate> {
        let session = self.session.borrow();
        session
            .peer_certificate()
            .and_then(crate::tls::Certificate::read)
    }
}

/// Sends records at once, or none of them. Where the kernel takes a part, the connection ends,
/// for nobody could make sense of what follows.
fn send_whole(fd: RawFd, records: &[u8]) -> bool {
    let sent = send_now(fd, records);
    if 0 < sent && sent < records.len() {
        shutdown(fd, libc::SHUT_RDWR);
    }
    sent > 0
}

impl Stream {
    /// Goes through the handshake of `session`, within `limit`. From then on everything is
    /// sealed. `arrived` holds what has come of it already, if anything.
    pub(crate) async fn shake_hands(
        &mut self,
        mut session: Session,
        limit: Duration,
        mut arrived: Buffer,
        buffers: &Rc<Buffers>,
    ) -> Result<(), Unshaken> {
        let mut leaving = buffers.none();
        self.reader.watch.arm(limit, Action::CloseBoth);
        let shaken = loop {
            let mut nothing = Vec::new();
            let (used, opened) = session.open(&mut arrived, &mut nothing);
            arrived.drop_front(used);
            leaving.append(session.leaving());
            let goes_on = opened.is_ok() && session.is_shaking();
            // The last words of the one who connects leave with its first request.
            if !leaving.is_empty() && (goes_on || opened.is_err() || session.waits_to_be_heard()) {
                let whole = 0..leaving.len();
                let written = self.writer.write_socket(&mut leaving, whole).await;
                leaving.clear();
                if let (Err(broken), Ok(_)) = (written, &opened) {
                    break Err(Unshaken::Broken(broken));
                }
            }
            match opened {
                Err(fault) => break Err(Unshaken::Refused(fault)),
                Ok(Opened::Closed) => break Err(Unshaken::Broken(Broken::Closed)),
                Ok(_) if !goes_on => break Ok(()),
                Ok(_) => {}
            }
            if arrived.len() >= UNOPENED_BYTES_MAX {
                let fault = rustls::InvalidMessage::HandshakePayloadTooLarge;
                break Err(Unshaken::Refused(fault.into()));
            }
            arrived.reserve_block(1);
            if let Err(broken) = self.reader.read_socket(&mut arrived).await {
                break Err(Unshaken::Broken(broken));
            }
        };
        self.reader.watch.disarm();
        shaken?;
        session.leaving().append(&mut leaving);
        let seal = Rc::new(Seal {
            session: RefCell::new(session),
            buffers: Rc::clone(buffers),
            writing: Cell::new(false),
        });
        self.writer.seal = Some(Rc::clone(&seal));
        self.reader.opening = Some(Box::new(Opening {
            seal,
            arrived,
            from: 0,
        }));
        Ok(())
    }

    /// Says through TLS that this is the end of a connection on which nothing is under way
    /// (RFC 8446 §6.1). In the clear the end itself says so.
    pub(crate) fn say_goodbye_now(&self) {
        if let Some(seal) = self.seal() {
            seal.say_goodbye_now(self.fd());
        }
    }

    /// The TLS of this connection, if it has any.
    pub(crate) fn seal(&self) -> Option<&Rc<Seal>> {
        self.writer.seal.as_ref()
    }
}

impl Opening {
    /// Whether something arrived that nobody has looked at.
    pub(super) fn holds_something(&self) -> bool {
        self.from < self.arrived.len() || self.seal.session.borrow().holds_news()
    }

    /// Opens what is here; `None` when more must arrive.
    fn open(&mut self, block: &mut Buffer, fd: RawFd) -> Option<Result<usize, Broken>> {
        let held = block.len();
        let mut session = self.seal.session.borrow_mut();
        let waiting = session.leaving().len();
        let (used, opened) = session.open(&mut self.arrived[self.from..], block);
        // What the protocol itself answers (that nothing is renegotiated, why it is over) may be
        // what the peer waits for, so it does not wait for our next word.
        let is_free = !self.seal.writing.get();
        if session.leaving().len() > waiting && is_free && send_whole(fd, session.leaving()) {
            session.leaving().clear();
        }
        self.from += used;
        if self.from == self.arrived.len() {
            // A connection that waits holds no block.
            self.arrived = self.seal.buffers.none();
            self.from = 0;
        }
        match opened {
            Ok(Opened::Content) => Some(Ok(block.len() - held)),
            Ok(Opened::Ready | Opened::NeedMore) => None,
            Ok(Opened::Closed) => Some(Err(Broken::Closed)),
            Err(_) => {
                session.leaving().clear();
                Some(Err(Broken::Reset))
            }
        }
    }
}

impl Reader {
    /// [`Reader::read`] through TLS.
    pub(super) async fn read_sealed(&mut self, block: &mut Buffer) -> Result<usize, Broken> {
        let fd = self.fd();
        let Self {
            half,
            watch,
            opening,
        } = self;
        let opening = opening.as_mut().expect("whoever reads sealed has a seal");
        loop {
            if opening.holds_something()
                && let Some(outcome) = opening.open(block, fd)
            {
                return outcome;
            }
            opening.arrived.drop_front(opening.from);
            opening.from = 0;
            if opening.arrived.len() >= UNOPENED_BYTES_MAX {
                return Err(Broken::Reset);
            }
            if opening.arrived.capacity() == 0 {
                opening.arrived = opening.seal.buffers.block();
            }
            opening.arrived.reserve_block(1);
            // An end that was not announced may have been made by anybody (RFC 8446 §6.1).
            match receive(half, watch, &mut opening.arrived).await {
                Err(Broken::Closed) => return Err(Broken::Unannounced),
                Err(broken) => return Err(broken),
                Ok(_) => {}
            }
        }
    }

    /// [`Reader::read_idle`] through TLS.
    pub(super) async fn read_sealed_idle(
        &mut self,
        limit: Duration,
        buffers: &Rc<Buffers>,
    ) -> Result<Option<Buffer>, Broken> {
        let holds_something = |reader: &Self| {
            let opening = reader.opening.as_ref();
            opening.is_some_and(|opening| opening.holds_something())
        };
        if !holds_something(self) {
            let Some(arrived) = self.read_socket_idle(limit, buffers).await? else {
                return Ok(None);
            };
            if let Some(opening) = &mut self.opening {
                opening.arrived = arrived;
                opening.from = 0;
            }
        }
        // Records may come in pieces, and not every record has content.
        self.watch.set_idle(true);
        self.watch.arm(limit.max(PARK_AFTER), Action::CloseReading);
        let mut block = buffers.block();
        let outcome = self.read_sealed(&mut block).await;
        self.watch.set_idle(false);
        self.watch.disarm();
        outcome.map(|_| Some(block))
    }
}

impl Writer {
    /// [`Writer::write`] through TLS.
    pub(super) async fn write_sealed(
        &mut self,
        seal: &Rc<Seal>,
        block: &Buffer,
        range: Range<usize>,
    ) -> Result<(), Broken> {
        let mut sealed = seal.buffers.block();
        let mut start = range.start;
        seal.writing.set(true);
        let outcome = loop {
            let end = range.end.min(start + RECORD_CONTENT_MAX);
            let content = &block[start..end];
            if seal
                .session
                .borrow_mut()
                .seal(content, &mut sealed)
                .is_err()
            {
                break Err(Broken::Reset);
            }
            let whole = 0..sealed.len();
            if let Err(broken) = self.write_socket(&mut sealed, whole).await {
                break Err(broken);
            }
            sealed.clear();
            start = end;
            if start == range.end {
                break Ok(());
            }
        };
        seal.writing.set(false);
        outcome
    }

    /// [`Writer::write_both`] through TLS: one record where both fit into one.
    pub(super) async fn write_both_sealed(
        &mut self,
        seal: &Rc<Seal>,
        head: &mut Buffer,
        body: &Buffer,
        range: Range<usize>,
    ) -> Result<(), Broken> {
        let held = head.len();
        if held + range.len() <= RECORD_CONTENT_MAX {
            head.reserve_block(range.len());
            head.extend_from_slice(&body[range]);
            let whole = 0..head.len();
            let outcome = self.write_sealed(seal, head, whole).await;
            head.truncate(held);
            return outcome;
        }
        self.write_sealed(seal, head, 0..held).await?;
        self.write_sealed(seal, body, range).await
    }

    /// Says that nothing more will come.
    pub(super) async fn close_sealed(&mut self, seal: &Rc<Seal>) {
        let mut sealed = seal.buffers.block();
        if seal.session.borrow_mut().seal_close(&mut sealed).is_ok() {
            let whole = 0..sealed.len();
            seal.writing.set(true);
            // A peer that is gone already does not need to be told.
            let _ = self.write_socket(&mut sealed, whole).await;
            seal.writing.set(false);
        }
    }
}
