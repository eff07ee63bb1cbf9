//! HTTP/1.1 as both ends of this bench speak it: heads, bodies by length or in chunks.
//!
//! It shares nothing with the gateway's own parser, and says of an answer only what a client
//! can know: its status, or that it was cut, or that there was none. It judges nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long a client waits for an answer. More than any deadline of the gateway's file.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Told {
    /// A whole answer with this status; 200 only when it is the answer to this very request.
    Status(u16),
    /// An answer that ended before its end.
    Cut,
    /// Nothing: the connection ended before an answer, or was not to be had.
    Nothing,
    /// The answer to somebody else's request.
    Strange,
    /// Nothing within [`PATIENCE`].
    Late,
}

impl Told {
    /// The one good end.
    pub(crate) const WELL: Self = Self::Status(200);

    /// As the tables say it.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            Self::Cut => "cut".to_owned(),
            Self::Nothing => "nothing".to_owned(),
            Self::Strange => "strange".to_owned(),
            Self::Late => "late".to_owned(),
        }
    }
}

/// The head of a message.
pub(crate) struct Head {
    /// Its first line.
    pub(crate) first: String,
    /// Its fields, in small letters.
    fields: String,
}

impl Head {
    /// The value of a field, in small letters.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let of_line = |line: &'_ str| line.split_once(':').map(|(name, _)| name.len());
        let line = self
            .fields
            .lines()
            .find(|line| of_line(line) == Some(name.len()) && line.starts_with(name))?;
        Some(line[name.len() + 1..].trim())
    }

    fn status(&self) -> Option<u16> {
        self.first.split(' ').nth(1)?.parse().ok()
    }
}

/// One connection.
pub(crate) struct Talk {
    /// For what only a socket can do.
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
    /// Whether the other side said that it ends here.
    pub(crate) over: bool,
}

impl Talk {
    /// Over a connection that was made.
    pub(crate) fn over(stream: TcpStream) -> Self {
        // Both ends write a message at once; waiting to join it to the next would be measured.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            unread: Vec::new(),
            over: false,
        }
    }

    /// A new connection.
    pub(crate) async fn to(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::over(TcpStream::connect(address).await?))
    }

    /// A new connection from another address of this machine, which takes in only
    /// `receive_bytes` that nobody reads; 0: as many as usual.
    pub(crate) async fn from(
        source: Ipv4Addr,
        address: SocketAddr,
        receive_bytes: u32,
    ) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if receive_bytes > 0 {
            socket.set_recv_buffer_size(receive_bytes)?;
        }
        socket.bind((IpAddr::V4(source), 0).into())?;
        Ok(Self::over(socket.connect(address).await?))
    }

    /// Sends all of it.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends all of it, a byte at a time.
    pub(crate) async fn drip(&mut self, bytes: &[u8], gap: Duration) -> io::Result<()> {
        for byte in bytes {
            self.stream.write_all(std::slice::from_ref(byte)).await?;
            tokio::time::sleep(gap).await;
        }
        Ok(())
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.unread).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next head.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` when the other side has ended.
    pub(crate) async fn head(&mut self) -> io::Result<Head> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.unread[..end]).into_owned();
                self.unread.drain(..end + 4);
                let (first, fields) = text.split_once("\r\n").unwrap_or((&text, ""));
                return Ok(Head {
                    first: first.to_owned(),
                    fields: fields.to_ascii_lowercase(),
                });
            }
            self.more().await?;
        }
    }

    /// The body that belongs to a head.
    ///
    /// # Errors
    /// As for [`Talk::head`], and `InvalidData` for what is no body.
    pub(crate) async fn body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.field("transfer-encoding") == Some("chunked") {
            return self.chunks().await;
        }
        let length = head.field("content-length").unwrap_or("0");
        let length = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
        self.exactly(length).await
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.more().await?;
        }
        let rest = self.unread.split_off(length);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                    break end;
                }
                self.more().await?;
            };
            let line = self.exactly(end + 2).await?;
            let size = std::str::from_utf8(&line).ok().map(str::trim);
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.ok_or(io::ErrorKind::InvalidData)?;
            let chunk = self.exactly(size + 2).await?;
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    /// Asks, and says what came of it.
    pub(crate) async fn ask(&mut self, request: &[u8], id: u64) -> Told {
        let asked = async {
            // The answer to what could not be sent whole may say why.
            let _ = self.send(request).await;
            self.answer(id).await
        };
        let told = timeout(PATIENCE, asked).await.unwrap_or(Told::Late);
        self.over |= !matches!(told, Told::Status(_));
        told
    }

    /// What the next answer says, to the request of this id.
    pub(crate) async fn answer(&mut self, id: u64) -> Told {
        let (head, status) = loop {
            let Ok(head) = self.head().await else {
                return Told::Nothing;
            };
            match head.status() {
                Some(100..=199) => {}
                Some(status) => break (head, status),
                None => return Told::Strange,
            }
        };
        let Ok(body) = self.body(&head).await else {
            return Told::Cut;
        };
        self.over = head.field("connection") == Some("close");
        if status != 200 {
            return Told::Status(status);
        }
        let body = String::from_utf8_lossy(&body);
        let is_stream = head.field("content-type") == Some("text/event-stream");
        if !body.contains(&format!("\"id\":\"{id}\"")) {
            Told::Strange
        } else if is_stream && !body.ends_with("data: [DONE]\n\n") {
            Told::Cut
        } else {
            Told::WELL
        }
    }
}
