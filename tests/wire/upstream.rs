//! The upstream of one case: keeps every byte that reaches it, and says what it is told.
//!
//! One listener per case, so that what a proxy smuggles, repeats or leaves on a kept
//! connection is charged to the case that caused it. It answers only requests that it could
//! read strictly to their end.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use super::case::{Move, OK, Play, spelled_out};
use super::meeting::Meeting;
use super::message::{Message, Side};
use super::play::PATIENCE;

/// How soon a proxy tells the upstream that its client is gone. A tenth of a second is asked
/// for; ten times that leaves room for a machine that compiles meanwhile.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// What reached an upstream on one connection.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Every byte.
    pub bytes: Vec<u8>,
    /// Whether the proxy ended the connection in time, where that was waited for.
    pub hung_up: bool,
}

/// An upstream on loopback.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    closing: Arc<AtomicBool>,
    accepting: JoinHandle<Vec<JoinHandle<()>>>,
    record: Arc<Mutex<Vec<Taken>>>,
}

impl Upstream {
    /// Listens, and plays `moves` on the first connection.
    pub fn start(moves: Vec<Move>, meeting: Arc<Meeting>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        let closing = Arc::new(AtomicBool::new(false));
        let record = Arc::new(Mutex::new(Vec::new()));
        let (told, kept) = (Arc::clone(&closing), Arc::clone(&record));
        let accepting = thread::spawn(move || {
            let mut moves = Some(moves);
            let mut connections = Vec::new();
            for stream in listener.incoming() {
                if told.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let script = moves.take().unwrap_or_default();
                let connection = Connection::new(stream, &kept);
                let meeting = Arc::clone(&meeting);
                connections.push(thread::spawn(move || connection.run(&script, &meeting)));
            }
            connections
        });
        Self {
            address,
            closing,
            accepting,
            record,
        }
    }

    /// What reached it, by connection. To be asked when the proxy is gone, so that nothing
    /// more can come.
    pub fn finish(self) -> Vec<Taken> {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, so that it sees the flag.
        let _ = TcpStream::connect(self.address);
        let connections = self.accepting.join().expect("accepting does not panic");
        for connection in connections {
            connection.join().expect("a script does not panic");
        }
        let record = self.record.lock().expect("no holder of the record panics");
        record.clone()
    }
}

/// One connection from the proxy.
struct Connection {
    stream: TcpStream,
    record: Arc<Mutex<Vec<Taken>>>,
    number: usize,
    /// Bytes of requests that have been answered or read.
    read: usize,
}

/// Why a connection is served no longer.
struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Connection {
    fn new(stream: TcpStream, record: &Arc<Mutex<Vec<Taken>>>) -> Self {
        stream
            .set_nodelay(true)
            .expect("a socket takes TCP_NODELAY");
        let mut taken = record.lock().expect("no holder of the record panics");
        taken.push(Taken::default());
        Self {
            stream,
            number: taken.len() - 1,
            record: Arc::clone(record),
            read: 0,
        }
    }

    fn run(mut self, script: &[Move], meeting: &Meeting) {
        let mut played = Ok(());
        for step in script {
            if played.is_ok() {
                played = match step {
                    Move::Send(bytes) => self.send(bytes),
                    Move::Play(play) => self.play(*play, meeting),
                };
            }
        }
        while played.is_ok() {
            played = self.take(true).and_then(|()| self.send(OK));
        }
    }

    fn play(&mut self, play: Play, meeting: &Meeting) -> Result<(), Over> {
        match play {
            Play::Take => self.take(true),
            Play::TakeHead => self.take(false),
            Play::TakeBody(count) => {
                self.read += count;
                while self.bytes().len() < self.read {
                    self.fill()?;
                }
                Ok(())
            }
            Play::Send(bytes) => self.send(bytes),
            Play::SendLong(pieces) => self.send(&spelled_out(pieces)),
            Play::AwaitRelease => meeting.await_release().then_some(()).ok_or(Over),
            Play::Tell => {
                meeting.tell();
                Ok(())
            }
            Play::CloseAndTell => {
                // Both ways, so that it is closed when the client hears of it.
                self.stream.shutdown(Shutdown::Both)?;
                meeting.tell();
                Err(Over)
            }
            Play::AwaitHangUp => self.await_hang_up(),
            Play::Close => Err(Over),
            Play::Reset => {
                SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
                Err(Over)
            }
        }
    }

    /// Reads a request: its head, or all of it.
    fn take(&mut self, whole: bool) -> Result<(), Over> {
        let mut continued = false;
        loop {
            let found = Message::read(&self.bytes()[self.read..], Side::Request);
            match found {
                // What cannot be read is not answered; the judge will see it.
                Err(_) => return Err(Over),
                Ok(Some(message)) if !whole => {
                    self.read += message.head_bytes;
                    return Ok(());
                }
                Ok(Some(message)) if message.whole => {
                    self.read += message.bytes;
                    return Ok(());
                }
                Ok(Some(message)) if !continued && waits(&message) => {
                    continued = true;
                    self.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                }
                Ok(_) => self.fill()?,
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Over> {
        self.stream.write_all(bytes)?;
        Ok(())
    }

    fn await_hang_up(&mut self) -> Result<(), Over> {
        self.stream.set_read_timeout(Some(TOLD_WITHIN))?;
        let ended = loop {
            let count = self.stream.read(&mut [0; 4096]);
            match count {
                Ok(0) => break true,
                Ok(_) => {}
                Err(fault) => break fault.kind() == io::ErrorKind::ConnectionReset,
            }
        };
        let mut taken = self.record.lock().expect("no holder of the record panics");
        taken[self.number].hung_up = ended;
        Err(Over)
    }

    fn bytes(&self) -> Vec<u8> {
        let taken = self.record.lock().expect("no holder of the record panics");
        taken[self.number].bytes.clone()
    }

    fn fill(&mut self) -> Result<(), Over> {
        let mut bytes = [0; 64 * 1024];
        // Longer than any client waits, so that this never decides a case.
        self.stream.set_read_timeout(Some(PATIENCE * 4))?;
        let count = self.stream.read(&mut bytes)?;
        if count == 0 {
            return Err(Over);
        }
        let mut taken = self.record.lock().expect("no holder of the record panics");
        taken[self.number].bytes.extend_from_slice(&bytes[..count]);
        Ok(())
    }
}

/// Whether who sent this waits to be told to go on (RFC 9110 §10.1.1).
fn waits(message: &Message) -> bool {
    let expectations = message.values("expect");
    expectations
        .iter()
        .any(|value| value.eq_ignore_ascii_case(b"100-continue"))
}
