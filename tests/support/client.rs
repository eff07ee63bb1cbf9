//! An HTTP/1.1 client that hides nothing: it sends the bytes it is given and tells every
//! byte, chunk and close it sees.
//!
//! It is strict where a lenient client would hide a fault of the gateway: a body cut short
//! is reported as such, and bytes after an answer are never swallowed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::SockRef;

use super::expect::PATIENCE;
use super::message::{Answer, Framing, Head, Request, lossy};
use super::wire::Wire;

/// Bytes asked of the kernel at once; large, for the transfers of hundreds of megabytes.
const READ_BYTES: usize = 256 * 1024;

fn socket(url: &str) -> io::Result<TcpStream> {
    let address = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .unwrap_or(url);
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// A connection to the gateway.
pub struct Client {
    stream: Wire,
    inbox: Vec<u8>,
    scratch: Box<[u8]>,
}

/// The next part of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Some of it: one whole chunk where the body is chunked.
    Data(Vec<u8>),
    /// It is whole.
    End,
    /// The connection ended before the body did.
    CutShort,
}

impl Client {
    /// Connects to `http://address`.
    ///
    /// # Panics
    /// When nobody listens there.
    #[track_caller]
    pub fn connect(url: &str) -> Self {
        Self::try_connect(url).unwrap_or_else(|fault| panic!("cannot connect to {url}: {fault}"))
    }

    /// Connects, or says why not.
    pub fn try_connect(url: &str) -> io::Result<Self> {
        Ok(Self::over(Wire::plain(socket(url)?)))
    }

    /// Connects to `https://address` and shakes hands with who is called `name`.
    pub fn try_secure(url: &str, name: &str, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).expect("a test knows names");
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(Self::over(Wire::connect(socket(url)?, tls)?))
    }

    /// The same, where nothing is in the way.
    #[track_caller]
    pub fn secure(url: &str, name: &str, config: &Arc<ClientConfig>) -> Self {
        Self::try_secure(url, name, config)
            .unwrap_or_else(|fault| panic!("no TLS with {url} as {name}: {fault}"))
    }

    fn over(stream: Wire) -> Self {
        Self {
            stream,
            inbox: Vec::new(),
            scratch: vec![0; READ_BYTES].into(),
        }
    }

    /// The connection itself.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.stream
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes)
            .expect("the gateway takes what is sent");
    }

    /// Sends bytes as they are, where the gateway may already have closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn ask(&mut self, request: &Request) -> Answer {
        self.send(request.bytes());
        self.answer_to(request.method())
    }

    /// Reads an answer to anything but HEAD, interim ones left out.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// Reads an answer to a request of this method, interim ones left out.
    #[track_caller]
    pub fn answer_to(&mut self, method: &str) -> Answer {
        let head = loop {
            let head = self.head();
            if head.status >= 200 {
                break head;
            }
        };
        let mut framing = head.framing(method);
        let mut body = Vec::new();
        let whole = loop {
            match self.piece(&mut framing) {
                Piece::Data(data) => body.extend(data),
                Piece::End => break true,
                Piece::CutShort => break false,
            }
        };
        Answer {
            status: head.status,
            fields: head.fields,
            body,
            whole,
        }
    }

    /// Reads a head.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        match self.try_head() {
            Ok(Some(head)) => head,
            Ok(None) => panic!("the connection closed without an answer"),
            Err(fault) => panic!("no answer: {fault}; had {:?}", lossy(&self.inbox)),
        }
    }

    /// Reads a head; none when the connection ends cleanly before its first byte.
    pub fn try_head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.inbox, b"\r\n\r\n") {
                let text = lossy(&self.inbox[..end]);
                self.inbox.drain(..end + 4);
                return Head::read(&text).map(Some);
            }
            if self.fill()? == 0 {
                let nothing = self.inbox.is_empty();
                let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "a head cut short");
                return if nothing { Ok(None) } else { Err(cut()) };
            }
        }
    }

    /// Reads the next part of a body and moves `framing` on.
    #[track_caller]
    pub fn piece(&mut self, framing: &mut Framing) -> Piece {
        match framing {
            Framing::Length(0) => Piece::End,
            Framing::Length(left) => {
                if self.inbox.is_empty() && self.fill_or_close() == 0 {
                    return Piece::CutShort;
                }
                let taken = self.inbox.len().min(*left);
                *left -= taken;
                Piece::Data(self.inbox.drain(..taken).collect())
            }
            Framing::Chunked => self.chunk(),
            Framing::UntilClose => {
                if self.inbox.is_empty() && self.fill_or_close() == 0 {
                    return Piece::End;
                }
                Piece::Data(std::mem::take(&mut self.inbox))
            }
        }
    }

    /// Reads one whole chunk, or the last one with its trailers.
    fn chunk(&mut self) -> Piece {
        let Some(line_end) = self.fill_until(|inbox| find(inbox, b"\r\n")) else {
            return Piece::CutShort;
        };
        let line = lossy(&self.inbox[..line_end]);
        let digits = line.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(digits, 16)
            .unwrap_or_else(|_| panic!("not a chunk size: {line:?}"));
        if size == 0 {
            // Trailers, if any, end with an empty line.
            let last = line_end;
            let end = self.fill_until(|inbox| find(&inbox[last..], b"\r\n\r\n"));
            let Some(end) = end else {
                return Piece::CutShort;
            };
            self.inbox.drain(..last + end + 4);
            return Piece::End;
        }
        let start = line_end + 2;
        let whole = |inbox: &[u8]| (inbox.len() >= start + size + 2).then_some(start + size);
        let Some(end) = self.fill_until(whole) else {
            return Piece::CutShort;
        };
        assert_eq!(
            &self.inbox[end..end + 2],
            b"\r\n",
            "a chunk does not end where it says"
        );
        let data = self.inbox[start..end].to_vec();
        self.inbox.drain(..end + 2);
        Piece::Data(data)
    }

    /// Reads so many bytes of whatever comes.
    #[track_caller]
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let whole = self.fill_until(|inbox| (inbox.len() >= count).then_some(()));
        let had = lossy(&self.inbox);
        whole.unwrap_or_else(|| panic!("closed before {count} bytes; had {had:?}"));
        self.inbox.drain(..count).collect()
    }

    /// Whether the gateway closes this connection without another byte.
    ///
    /// # Panics
    /// When neither a byte nor the end comes in time.
    #[track_caller]
    pub fn is_closed(&mut self) -> bool {
        self.inbox.is_empty() && self.fill_or_close() == 0
    }

    /// What has come and has not been looked at.
    pub fn unread(&self) -> &[u8] {
        &self.inbox
    }

    /// Says that nothing more will be sent; answers are still read.
    pub fn finish_sending(&self) {
        self.stream
            .shutdown(Shutdown::Write)
            .expect("the connection is open");
    }

    /// Ends the connection as a crashing client does, with a reset.
    pub fn reset(self) {
        SockRef::from(&*self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("a socket takes a linger time");
    }

    fn fill(&mut self) -> io::Result<usize> {
        let count = loop {
            match self.stream.read(&mut self.scratch) {
                // A machine that was frozen and thawed says this of reads with a timeout
                // (signal(7)); nothing has happened.
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.inbox.extend_from_slice(&self.scratch[..count]);
        Ok(count)
    }

    /// Reads some; a reset counts as a close, because both end what was said.
    #[track_caller]
    fn fill_or_close(&mut self) -> usize {
        match self.fill() {
            Ok(count) => count,
            Err(fault) if fault.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(fault) => panic!("nothing came: {fault}; had {:?}", lossy(&self.inbox)),
        }
    }

    fn fill_until<T>(&mut self, found: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        loop {
            if let Some(found) = found(&self.inbox) {
                return Some(found);
            }
            if self.fill_or_close() == 0 {
                return None;
            }
        }
    }
}

/// The events of a stream, as they come.
pub struct Events<'a> {
    client: &'a mut Client,
    framing: Framing,
    text: Vec<u8>,
}

impl Client {
    /// Reads the body behind `head` as server-sent events.
    pub fn events(&mut self, head: &Head) -> Events<'_> {
        Events {
            framing: head.framing("POST"),
            client: self,
            text: Vec::new(),
        }
    }
}

impl Iterator for Events<'_> {
    type Item = String;

    /// The next event without its empty line; none when the body has ended, well or not.
    fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.text, b"\n\n") {
                let event = lossy(&self.text[..end]);
                self.text.drain(..end + 2);
                return Some(event);
            }
            match self.client.piece(&mut self.framing) {
                Piece::Data(data) => self.text.extend(data),
                Piece::End | Piece::CutShort => return None,
            }
        }
    }
}

/// Where `needle` first begins.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
