//! The client of one case: does what it is told and keeps every byte it hears.
//!
//! It understands just enough to know when an answer has ended. Whether what it heard is
//! right is the judge's business.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::case::{Act, Step, spelled_out};
use super::meeting::Meeting;
use super::message::{Message, Side, find};
use super::place::Place;
use super::play::PATIENCE;

/// Between two bytes of a client that drips.
const DRIP_EVERY: Duration = Duration::from_millis(50);

/// How a connection ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The proxy closed it.
    Closed,
    /// The proxy reset it.
    Reset,
    /// It stayed open and nothing came for as long as a case may take.
    Silence,
    /// The client itself ended it.
    Vanished,
}

/// What a client heard.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Every byte.
    pub bytes: Vec<u8>,
    /// How it ended.
    pub end: End,
}

/// Does what the steps say, then reads to the end of the connection.
///
/// # Errors
/// When nobody listens at `address`.
pub fn talk(
    address: SocketAddr,
    place: &Place,
    steps: &[Step],
    meeting: &Meeting,
) -> io::Result<Heard> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut client = Client {
        stream,
        place,
        heard: Vec::new(),
        answered: 0,
        to_head: false,
        deadline: Instant::now() + PATIENCE,
    };
    for step in steps {
        let went_on = match step {
            Step::Send(bytes) => client.send(bytes),
            Step::Act(act) => client.act(*act, meeting),
        };
        if let Err(end) = went_on {
            meeting.release();
            return Ok(client.done(end));
        }
    }
    loop {
        if let Err(end) = client.read() {
            meeting.release();
            return Ok(client.done(end));
        }
    }
}

struct Client<'a> {
    stream: TcpStream,
    place: &'a Place,
    heard: Vec<u8>,
    /// Bytes of answers that have been read on purpose.
    answered: usize,
    /// Whether the first request is a HEAD.
    to_head: bool,
    deadline: Instant,
}

impl Client<'_> {
    fn done(self, end: End) -> Heard {
        Heard {
            bytes: self.heard,
            end,
        }
    }

    fn act(&mut self, act: Act, meeting: &Meeting) -> Result<(), End> {
        match act {
            Act::Send(bytes) => self.send(bytes),
            Act::SendLong(pieces) => self.send(&spelled_out(pieces)),
            Act::Drip(bytes) => {
                let bytes = self.place.put_in(bytes);
                bytes.chunks(1).try_for_each(|byte| self.send(byte))
            }
            Act::DripUntilAnswered(bytes) => self.drip_until_answered(bytes),
            Act::ReadAnswer => self.read_answer(),
            Act::ReadUntil(needle) => {
                while find(&self.heard[self.answered..], needle).is_none() {
                    self.read()?;
                }
                Ok(())
            }
            Act::AwaitUpstream => match meeting.await_word() {
                true => Ok(()),
                false => Err(End::Silence),
            },
            Act::Release => {
                meeting.release();
                Ok(())
            }
            Act::FinishSending => {
                let _ = self.stream.shutdown(Shutdown::Write);
                Ok(())
            }
            Act::Vanish => {
                let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
                Err(End::Vanished)
            }
        }
    }

    /// Sends; that the other side has closed is seen when it is read.
    fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        if self.answered == 0 && bytes.starts_with(b"HEAD ") {
            self.to_head = true;
        }
        let _ = self.stream.write_all(&self.place.put_in(bytes));
        Ok(())
    }

    fn drip_until_answered(&mut self, bytes: &[u8]) -> Result<(), End> {
        let before = self.heard.len();
        let bytes = self.place.put_in(bytes);
        for byte in bytes.chunks(1).cycle() {
            self.send(byte)?;
            match self.read_within(DRIP_EVERY) {
                Err(End::Silence) if Instant::now() < self.deadline => {}
                Err(end) => return Err(end),
                Ok(()) if self.heard.len() > before => return Ok(()),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Reads to the end of a final answer.
    fn read_answer(&mut self) -> Result<(), End> {
        let mut at = self.answered;
        loop {
            let side = Side::Answer {
                to_head: self.to_head && self.answered == 0,
                ended: false,
            };
            match Message::read(&self.heard[at..], side) {
                Ok(Some(message)) if message.whole => {
                    at += message.bytes;
                    if message.status() >= 200 {
                        self.answered = at;
                        return Ok(());
                    }
                }
                // What cannot be read is left to the judge.
                Err(_) => return Ok(()),
                Ok(_) => self.read()?,
            }
        }
    }

    fn read(&mut self) -> Result<(), End> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.read_within(left.max(Duration::from_millis(1)))
    }

    fn read_within(&mut self, limit: Duration) -> Result<(), End> {
        let mut bytes = [0; 64 * 1024];
        let _ = self.stream.set_read_timeout(Some(limit));
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(End::Closed),
            Ok(count) => {
                self.heard.extend_from_slice(&bytes[..count]);
                Ok(())
            }
            Err(fault) => Err(match fault.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => End::Silence,
                _ => End::Reset,
            }),
        }
    }
}
