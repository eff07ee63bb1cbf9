//! A scripted peer: a provider on a thread that answers as the test tells it.
//!
//! A script is a closure over one connection, read from top to bottom: take a call, send
//! some bytes, wait, reset. What reached the provider is counted here, outside the gateway,
//! because a meter must not be checked against itself.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};
use serde_json::Value;
use socket2::SockRef;

use super::client::find;
use super::expect::{PATIENCE, eventually};
use super::wire::Wire;

/// Enough for a script; a thousand of these threads should not be felt.
const STACK_BYTES: usize = 256 * 1024;

/// A provider on loopback, gone when dropped.
pub struct Provider {
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// What reached a provider.
#[derive(Default)]
struct Seen {
    calls: Mutex<Vec<Call>>,
    connections: AtomicUsize,
    closing: AtomicBool,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: String,
    /// The request target.
    pub target: String,
    /// Field names in lower case, values as they came.
    pub fields: Vec<(String, String)>,
    /// The body without its framing; empty when the script let it go by.
    pub body: Vec<u8>,
    /// Bytes of the body, kept or not.
    pub body_bytes: usize,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
}

/// One connection, from the provider's side.
pub struct Peer {
    stream: Wire,
    inbox: Vec<u8>,
    seen: Arc<Seen>,
    /// Which connection this is, counted from 0.
    pub number: usize,
}

impl Provider {
    /// Runs `script` for every connection, each on its own thread.
    pub fn start(script: impl Fn(Peer) + Send + Sync + 'static) -> Self {
        Self::start_over(|socket| Ok(Wire::plain(socket)), script)
    }

    /// The same through TLS; a client that does not come through the handshake is not seen.
    pub fn start_secure(
        config: Arc<ServerConfig>,
        script: impl Fn(Peer) + Send + Sync + 'static,
    ) -> Self {
        let accept = move |socket| {
            let tls = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            Wire::accept(socket, tls)
        };
        Self::start_over(accept, script)
    }

    fn start_over(
        accept: impl Fn(TcpStream) -> io::Result<Wire> + Send + Sync + 'static,
        script: impl Fn(Peer) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Seen::default());
        let script = Arc::new((accept, script));
        let provider = Self {
            address,
            seen: Arc::clone(&seen),
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.closing.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let number = seen.connections.fetch_add(1, Ordering::SeqCst);
                let seen = Arc::clone(&seen);
                let script = Arc::clone(&script);
                thread::Builder::new()
                    .stack_size(STACK_BYTES)
                    .spawn(move || {
                        let (accept, script) = &*script;
                        if let Ok(stream) = accept(stream) {
                            script(Peer::new(stream, seen, number));
                        }
                    })
                    .expect("the machine has threads");
            }
        });
        provider
    }

    /// Answers every call with the bytes `answer` gives, on connections that stay open.
    pub fn answering(answer: impl Fn(&Call) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(move |mut peer| {
            while let Some(call) = peer.call() {
                if peer.send(answer(&call)).is_err() {
                    return;
                }
            }
        })
    }

    /// An address where nobody listens, for a while at least.
    pub fn nowhere() -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        format!("http://{}", listener.local_addr().expect("it is bound"))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://127.0.0.1:port`.
    pub fn secure_url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every call that was read to its end, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.seen
            .calls
            .lock()
            .expect("no holder of the list panics")
            .clone()
    }

    /// How many calls were read to their end.
    pub fn calls_total(&self) -> usize {
        self.seen
            .calls
            .lock()
            .expect("no holder of the list panics")
            .len()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many calls were read.
    #[track_caller]
    pub fn await_calls(&self, count: usize) {
        eventually(&format!("{count} calls at the provider"), || {
            (self.calls_total() >= count).then_some(())
        });
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.seen.closing.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, so that it sees the flag and the port is freed.
        let _ = TcpStream::connect(self.address);
    }
}

impl Call {
    /// The first value of a field; the name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the gateway sends valid JSON")
    }
}

impl Peer {
    fn new(stream: Wire, seen: Arc<Seen>, number: usize) -> Self {
        stream
            .set_nodelay(true)
            .expect("a socket takes TCP_NODELAY");
        Self {
            stream,
            inbox: Vec::new(),
            seen,
            number,
        }
    }

    /// Reads a whole request and counts it; none when the connection ends first.
    pub fn call(&mut self) -> Option<Call> {
        self.read_call(true)
    }

    /// The same for a body too long to keep.
    pub fn call_without_body(&mut self) -> Option<Call> {
        self.read_call(false)
    }

    /// Reads so many bytes of whatever comes; none when the connection ends first.
    pub fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        self.fill_until(|inbox| (inbox.len() >= count).then_some(()))?;
        Some(self.inbox.drain(..count).collect())
    }

    /// Reads a head and `body_bytes` of what follows it; such a call is not counted.
    pub fn call_head_and(&mut self, body_bytes: usize) -> Option<()> {
        let end = self.fill_until(|inbox| find(inbox, b"\r\n\r\n"))?;
        self.fill_until(|inbox| (inbox.len() >= end + 4 + body_bytes).then_some(()))
    }

    fn read_call(&mut self, keep: bool) -> Option<Call> {
        let end = self.fill_until(|inbox| find(inbox, b"\r\n\r\n"))?;
        let head = String::from_utf8_lossy(&self.inbox[..end]).into_owned();
        self.inbox.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let mut call = Call {
            method: word(),
            target: word(),
            fields: Vec::new(),
            body: Vec::new(),
            body_bytes: 0,
            connection: self.number,
        };
        for line in lines {
            let (name, value) = line.split_once(':')?;
            call.fields
                .push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        self.read_body(&mut call, keep)?;
        let mut calls = self
            .seen
            .calls
            .lock()
            .expect("no holder of the list panics");
        calls.push(call.clone());
        Some(call)
    }

    fn read_body(&mut self, call: &mut Call, keep: bool) -> Option<()> {
        if call.field("transfer-encoding") == Some("chunked") {
            loop {
                let line_end = self.fill_until(|inbox| find(inbox, b"\r\n"))?;
                let digits = String::from_utf8_lossy(&self.inbox[..line_end]).into_owned();
                let size = usize::from_str_radix(&digits, 16).ok()?;
                self.inbox.drain(..line_end + 2);
                self.take(size, call, keep)?;
                self.fill_until(|inbox| (inbox.len() >= 2).then_some(()))?;
                self.inbox.drain(..2);
                if size == 0 {
                    return Some(());
                }
            }
        }
        let length = call
            .field("content-length")
            .map_or(Some(0), |text| text.parse().ok())?;
        self.take(length, call, keep)
    }

    fn take(&mut self, mut left: usize, call: &mut Call, keep: bool) -> Option<()> {
        call.body_bytes += left;
        while left > 0 {
            if self.inbox.is_empty() && self.fill() == 0 {
                return None;
            }
            let taken = self.inbox.len().min(left);
            left -= taken;
            let taken = self.inbox.drain(..taken);
            if keep {
                call.body.extend(taken);
            }
        }
        Some(())
    }

    /// Sends bytes as they are, in one write.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Passes on what comes to another address, and what comes from there, until both ends have
    /// nothing more to say: a proxy that has opened a way.
    pub fn carry(mut self, to: SocketAddr) {
        let Ok(mut there) = TcpStream::connect(to) else {
            return;
        };
        let ends = (self.stream.try_clone(), there.try_clone());
        let (mut client, mut server) = (ends.0.expect("a socket"), ends.1.expect("a socket"));
        let back = thread::spawn(move || {
            let _ = io::copy(&mut server, &mut client);
            let _ = client.shutdown(Shutdown::Write);
        });
        let _ = there.write_all(&self.inbox);
        let _ = io::copy(&mut self.stream, &mut there);
        let _ = there.shutdown(Shutdown::Write);
        let _ = back.join();
    }

    /// Says by TLS that nothing more will come.
    pub fn say_goodbye(&mut self) -> io::Result<()> {
        self.stream.say_goodbye()
    }

    /// Sends bytes, or gives up after `patience` without room for one.
    pub fn send_within(&mut self, bytes: &[u8], patience: Duration) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(patience))?;
        let sent = self.stream.write(bytes);
        self.stream.set_write_timeout(None)?;
        sent
    }

    /// Sends bytes and waits until the gateway has taken them from its kernel, so that what
    /// is sent next comes to it as another read.
    pub fn send_apart(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.send(bytes)?;
        eventually("the gateway to read what the provider sent", || {
            (self.bytes_unread() == 0).then_some(())
        });
        Ok(())
    }

    /// Bytes that have arrived for the gateway and that it has not read.
    ///
    /// Not counted: bytes that the gateway has and its kernel has not yet acknowledged, which
    /// it puts off for 40 ms in the hope of company.
    fn bytes_unread(&self) -> u64 {
        let (Ok(ours), Ok(theirs)) = (self.stream.local_addr(), self.stream.peer_addr()) else {
            return 0;
        };
        let table = fs::read_to_string("/proc/net/tcp").expect("Linux tells of its sockets");
        let ends = format!(" {} {} ", hex_address(theirs), hex_address(ours));
        let line = table.lines().find(|line| line.contains(&ends));
        let queues = line.and_then(|line| line.split_whitespace().nth(4));
        let receiving = queues
            .and_then(|queues| queues.split_once(':'))
            .map(|pair| pair.1);
        receiving.map_or(0, |digits| u64::from_str_radix(digits, 16).unwrap_or(0))
    }

    /// Waits for the gateway to end the connection; false when it does not in time.
    pub fn await_hang_up(&mut self) -> bool {
        self.stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket takes a timeout");
        loop {
            match self.stream.read(&mut [0; 4096]) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(fault) => return fault.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        SockRef::from(&*self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("a socket takes a linger time");
    }

    fn fill(&mut self) -> usize {
        let mut bytes = [0; 64 * 1024];
        let count = self.stream.read(&mut bytes).unwrap_or(0);
        self.inbox.extend_from_slice(&bytes[..count]);
        count
    }

    fn fill_until<T>(&mut self, found: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        loop {
            if let Some(found) = found(&self.inbox) {
                return Some(found);
            }
            if self.fill() == 0 {
                return None;
            }
        }
    }
}

/// An IPv4 socket address as `/proc/net/tcp` writes it.
fn hex_address(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else {
        panic!("tests use IPv4 loopback")
    };
    // The kernel prints the address as one number of the machine's own byte order.
    let number = u32::from_ne_bytes(address.ip().octets());
    format!("{number:08X}:{:04X}", address.port())
}
