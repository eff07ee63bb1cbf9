//! One connection's TLS: opens what came, seals what leaves.
//!
//! A state machine over rustls' unbuffered interface, so that where bytes wait is ours to
//! say. Ciphertext is decrypted where it lies and copied once, to where it is wanted;
//! what is sealed is written once, to where it leaves from. Records that the protocol
//! itself wants to send (a handshake's, tickets, alerts) wait in [`Session::leaving`] and
//! go before anything else.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
    WriteTraffic,
};
use rustls::{ClientConfig, Error, ProtocolVersion, ServerConfig};

/// The most content of one record (RFC 8446 §5.1).
pub(crate) const RECORD_CONTENT_MAX: usize = 16 * 1024;

/// What one end holds of the other's bytes without being able to open them. The longest message
/// that the library takes is 64 KiB; this is twice that, for those who cut it into many records.
pub(crate) const UNOPENED_BYTES_MAX: usize = 128 * 1024;

/// Type, version and length of a record.
const RECORD_HEADER_BYTES: usize = 5;

/// What sealing adds to the content of a record at the most: header, nonce and tag of
/// TLS 1.2, or header, type and tag of TLS 1.3, and something to spare.
const RECORD_OVERHEAD: usize = 64;

/// Which end of a connection we are.
enum Side {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// One connection's TLS.
pub(crate) struct Session {
    side: Side,
    leaving: Vec<u8>,
    /// Content that was opened and found no room yet.
    opened: Vec<u8>,
    /// How it ended, once it has: told after the content that came before.
    ended: Option<Result<Opened, Error>>,
    /// Bytes in front of what arrived that the library has looked at and not done with: records
    /// with the beginning of a message of the protocol's own, or with nothing at all.
    begun: usize,
}

/// What came of looking at what arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// The handshake is over, and so is what arrived.
    Ready,
    /// More must arrive.
    NeedMore,
    /// There is content.
    Content,
    /// The peer said that nothing more will come.
    Closed,
}

impl Session {
    /// The end that clients connect to.
    ///
    /// # Errors
    /// When the configuration and the library do not agree.
    pub(crate) fn accept(config: &Arc<ServerConfig>) -> Result<Self, Error> {
        let side = UnbufferedServerConnection::new(Arc::clone(config))?;
        Ok(Self::new(Side::Server(Box::new(side))))
    }

    /// The end that connects to `name`, whose certificate must have it.
    ///
    /// # Errors
    /// When the configuration and the library do not agree.
    pub(crate) fn connect(
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, Error> {
        let side = UnbufferedClientConnection::new(Arc::clone(config), name)?;
        Ok(Self::new(Side::Client(Box::new(side))))
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            leaving: Vec::new(),
            opened: Vec::new(),
            ended: None,
            begun: 0,
        }
    }

    /// The records that must leave before anything else; whoever sends them clears this.
    pub(crate) fn leaving(&mut self) -> &mut Vec<u8> {
        &mut self.leaving
    }

    /// Whether what is leaving should leave at once although the handshake is over. A client's
    /// last words can wait for its first request. A server of TLS 1.2 ends the handshake
    /// itself; and one of TLS 1.3 has tickets, which are the only sign that the client's last
    /// words were heard: without one, a client that obeys Nagle sends its request when they are
    /// acknowledged, 40 ms later. Where the request has come with them, the answer takes them.
    pub(crate) fn waits_to_be_heard(&self) -> bool {
        match &self.side {
            Side::Server(side) => {
                side.protocol_version() == Some(ProtocolVersion::TLSv1_2) || !self.holds_news()
            }
            Side::Client(_) => false,
        }
    }

    /// Whether the handshake goes on.
    pub(crate) fn is_shaking(&self) -> bool {
        match &self.side {
            Side::Server(side) => side.is_handshaking(),
            Side::Client(side) => side.is_handshaking(),
        }
    }

    /// The peer's certificate, where it showed one that was believed.
    pub(crate) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        let chain = match &self.side {
            Side::Server(side) => side.peer_certificates(),
            Side::Client(side) => side.peer_certificates(),
        };
        chain?.first()
    }

    /// Whether there is something to tell without anything more arriving.
    pub(crate) fn holds_news(&self) -> bool {
        !self.opened.is_empty() || self.ended.is_some()
    }

    /// Looks at what arrived, until there is content, or nothing more to look at. Content is
    /// appended to `content` as far as its capacity goes; the rest waits. Returns how many
    /// bytes of `sealed` are used up, and what came of it; the others must be there again, and
    /// in front, the next time.
    ///
    /// # Errors
    /// When the peer broke the protocol, or is not believed. What it is to be told is in
    /// [`Session::leaving`].
    pub(crate) fn open(
        &mut self,
        sealed: &mut [u8],
        content: &mut Vec<u8>,
    ) -> (usize, Result<Opened, Error>) {
        let before = content.len();
        take_room(&mut self.opened, content);
        if content.len() > before {
            return (0, Ok(Opened::Content));
        }
        if let Some(ended) = &self.ended {
            return (0, ended.clone());
        }
        let mut used = 0;
        // The library is shown one record at a time, and the beginning of one at the last.
        let mut end = record_end(sealed, self.begun);
        loop {
            let until = end.unwrap_or(sealed.len());
            let shown = &mut sealed[used..until];
            let mut room = Room {
                content,
                opened: &mut self.opened,
                leaving: &mut self.leaving,
            };
            let (discard, turn) = match &mut self.side {
                Side::Server(side) => advance(side.process_tls_records(shown), &mut room),
                Side::Client(side) => advance(side.process_tls_records(shown), &mut room),
            };
            used += discard;
            let has_content = content.len() > before;
            let (at_rest, opened) = match turn {
                Ok(Turn::Ended(Opened::Closed)) => {
                    self.begun = 0;
                    self.ended = Some(Ok(Opened::Closed));
                    (true, Opened::Closed)
                }
                Ok(Turn::Ended(opened)) => (true, opened),
                // What the library may still have to say can wait until something is sealed.
                Ok(Turn::Again) => (has_content && end == Some(used), Opened::Ready),
                Err(fault) => {
                    self.say_why(&mut sealed[used..]);
                    self.begun = 0;
                    self.ended = Some(Err(fault.clone()));
                    // Content that came before the fault is not the fault's to take away.
                    return (used, told(has_content, Err(fault)));
                }
            };
            if !at_rest {
                continue;
            }
            let is_full = !self.opened.is_empty() || content.len() == content.capacity();
            match end {
                Some(seen) if opened != Opened::Closed => {
                    self.begun = seen - used;
                    if seen == sealed.len() || (has_content && is_full) {
                        return (used, told(has_content, Ok(opened)));
                    }
                    end = record_end(sealed, seen);
                }
                _ => return (used, told(has_content, Ok(opened))),
            }
        }
    }

    /// Collects what goes with a fault: what was to be said before it, which may be what the
    /// peer needs to read the alert, and the alert (RFC 8446 §6.2). No step more, for then the
    /// library would look at the same bytes and fail again, which it does not expect.
    fn say_why(&mut self, rest: &mut [u8]) {
        let (mut content, mut opened) = (Vec::new(), Vec::new());
        loop {
            let held = self.leaving.len();
            let mut room = Room {
                content: &mut content,
                opened: &mut opened,
                leaving: &mut self.leaving,
            };
            let (_, turn) = match &mut self.side {
                Side::Server(side) => advance(side.process_tls_records(rest), &mut room),
                Side::Client(side) => advance(side.process_tls_records(rest), &mut room),
            };
            if is_alert(&self.leaving[held..]) || !matches!(turn, Ok(Turn::Again)) {
                return;
            }
        }
    }

    /// Seals content of at most [`RECORD_CONTENT_MAX`] bytes behind what `out` holds, after
    /// whatever must leave before it.
    ///
    /// # Errors
    /// When the handshake is not over, or the keys are used up.
    pub(crate) fn seal(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.write(out, content.len() + RECORD_OVERHEAD, |traffic, room| {
            traffic.encrypt(content, room)
        })
    }

    /// Seals the word that nothing more will come (RFC 8446 §6.1).
    ///
    /// # Errors
    /// As [`Session::seal`].
    pub(crate) fn seal_close(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.write(out, RECORD_OVERHEAD, |traffic, room| {
            traffic.queue_close_notify(room)
        })
    }

    fn write(
        &mut self,
        out: &mut Vec<u8>,
        room: usize,
        mut record: impl FnMut(&mut dyn Traffic, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), Error> {
        if let Some(Err(fault)) = &self.ended {
            // Nothing follows the alert that ends a connection (RFC 8446 §6.2).
            return Err(fault.clone());
        }
        // The library wants to find what it has begun with, or it panics; it does not look at
        // it here. Nearly always that is nothing, and then this allocates nothing.
        let begun = &mut *vec![0; self.begun];
        let mut leaving = std::mem::take(&mut self.leaving);
        let result = loop {
            let turn = match &mut self.side {
                Side::Server(side) => traffic(
                    side.process_tls_records(begun),
                    &mut leaving,
                    out,
                    room,
                    &mut record,
                ),
                Side::Client(side) => traffic(
                    side.process_tls_records(begun),
                    &mut leaving,
                    out,
                    room,
                    &mut record,
                ),
            };
            match turn {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(fault) => break Err(fault),
            }
        };
        leaving.clear();
        self.leaving = leaving;
        result
    }
}

/// Where the pieces of a record go.
struct Room<'a> {
    content: &'a mut Vec<u8>,
    opened: &'a mut Vec<u8>,
    leaving: &'a mut Vec<u8>,
}

/// What one turn of the state machine came to.
enum Turn {
    Again,
    Ended(Opened),
}

/// Takes one step, and says how many bytes of what arrived it used up.
fn advance<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    room: &mut Room<'_>,
) -> (usize, Result<Turn, Error>) {
    let mut discard = status.discard;
    let state = match status.state {
        Ok(state) => state,
        Err(fault) => return (discard, Err(fault)),
    };
    let turn = match state {
        ConnectionState::ReadTraffic(mut traffic) => match traffic.next_record() {
            Some(Ok(record)) => {
                discard += record.discard;
                place(record.payload, room);
                Ok(Turn::Again)
            }
            Some(Err(fault)) => Err(fault),
            None => Ok(Turn::Again),
        },
        ConnectionState::EncodeTlsData(mut record) => {
            grow(room.leaving, |space| match record.encode(space) {
                Ok(count) => Ok(count),
                Err(EncodeError::InsufficientSize(size)) => Err(size),
                // Each record is encoded once.
                Err(EncodeError::AlreadyEncoded) => Ok(0),
            });
            Ok(Turn::Again)
        }
        // They are kept in order in `leaving`, and go before anything that is sealed later.
        ConnectionState::TransmitTlsData(sent) => {
            sent.done();
            Ok(Turn::Again)
        }
        ConnectionState::BlockedHandshake => Ok(Turn::Ended(Opened::NeedMore)),
        ConnectionState::WriteTraffic(_) => Ok(Turn::Ended(Opened::Ready)),
        ConnectionState::PeerClosed | ConnectionState::Closed => Ok(Turn::Ended(Opened::Closed)),
        // Early data is never offered; a state we do not know cannot be gone on from.
        _ => Err(Error::General("an unexpected state of TLS".to_owned())),
    };
    (discard, turn)
}

/// Where the record that begins at `start` ends, once all of it is there (RFC 8446 §5.1).
fn record_end(arrived: &[u8], start: usize) -> Option<usize> {
    let header = arrived.get(start..start + RECORD_HEADER_BYTES)?;
    let length = u16::from_be_bytes([header[3], header[4]]);
    let end = start + RECORD_HEADER_BYTES + usize::from(length);
    (end <= arrived.len()).then_some(end)
}

/// Whether a record is an alert: it says so, or it is sealed by TLS 1.3 and of the length of
/// two bytes, their type and their tag, which no other message has (RFC 8446 §5.2, §6).
fn is_alert(record: &[u8]) -> bool {
    matches!(record, [21, ..] | [23, 3, 3, 0, 19, ..])
}

/// Content is told before whatever came after it.
fn told(has_content: bool, opened: Result<Opened, Error>) -> Result<Opened, Error> {
    if has_content {
        Ok(Opened::Content)
    } else {
        opened
    }
}

/// Puts content where there is room, and keeps the rest.
fn place(payload: &[u8], room: &mut Room<'_>) {
    let free = room.content.capacity() - room.content.len();
    let (now, later) = payload.split_at(payload.len().min(free));
    room.content.extend_from_slice(now);
    room.opened.extend_from_slice(later);
}

/// Moves what waits to where there is room by now.
fn take_room(opened: &mut Vec<u8>, content: &mut Vec<u8>) {
    if opened.is_empty() {
        return;
    }
    let count = opened.len().min(content.capacity() - content.len());
    content.extend_from_slice(&opened[..count]);
    opened.drain(..count);
    if opened.is_empty() {
        // A connection that waits holds no memory for it.
        *opened = Vec::new();
    }
}

/// What can be written once the handshake is over, whichever end we are.
trait Traffic {
    fn encrypt(&mut self, content: &[u8], room: &mut [u8]) -> Result<usize, EncryptError>;
    fn queue_close_notify(&mut self, room: &mut [u8]) -> Result<usize, EncryptError>;
}

impl<Data> Traffic for WriteTraffic<'_, Data> {
    fn encrypt(&mut self, content: &[u8], room: &mut [u8]) -> Result<usize, EncryptError> {
        WriteTraffic::encrypt(self, content, room)
    }

    fn queue_close_notify(&mut self, room: &mut [u8]) -> Result<usize, EncryptError> {
        WriteTraffic::queue_close_notify(self, room)
    }
}

/// Writes one record, if nothing has to leave before it; says whether it did.
fn traffic<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    leaving: &mut Vec<u8>,
    out: &mut Vec<u8>,
    room: usize,
    record: &mut impl FnMut(&mut dyn Traffic, &mut [u8]) -> Result<usize, EncryptError>,
) -> Result<bool, Error> {
    match status.state? {
        ConnectionState::WriteTraffic(mut traffic) => {
            out.append(leaving);
            let held = out.len();
            out.resize(held + room, 0);
            match record(&mut traffic, &mut out[held..]) {
                Ok(count) => {
                    out.truncate(held + count);
                    Ok(true)
                }
                Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    out.resize(held + required_size, 0);
                    let count = record(&mut traffic, &mut out[held..]);
                    let count = count.map_err(|fault| Error::General(fault.to_string()))?;
                    out.truncate(held + count);
                    Ok(true)
                }
                Err(EncryptError::EncryptExhausted) => Err(Error::EncryptError),
            }
        }
        ConnectionState::EncodeTlsData(mut record) => {
            grow(leaving, |space| match record.encode(space) {
                Ok(count) => Ok(count),
                Err(EncodeError::InsufficientSize(size)) => Err(size),
                Err(EncodeError::AlreadyEncoded) => Ok(0),
            });
            Ok(false)
        }
        ConnectionState::TransmitTlsData(sent) => {
            sent.done();
            Ok(false)
        }
        // The peer closed its side; ours may still speak.
        ConnectionState::PeerClosed => Ok(false),
        _ => Err(Error::HandshakeNotComplete),
    }
}

/// Appends what `encode` writes, with the room it turns out to need.
fn grow(
    out: &mut Vec<u8>,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, InsufficientSizeError>,
) {
    let held = out.len();
    let mut room = 0;
    loop {
        out.resize(held + room, 0);
        match encode(&mut out[held..]) {
            Ok(count) => return out.truncate(held + count),
            Err(InsufficientSizeError { required_size }) => room = required_size,
        }
    }
}

#[cfg(test)]
mod tests;
