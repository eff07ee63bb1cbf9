//! The conversation with an HTTP proxy that opens a way to an upstream (`CONNECT`, RFC 9110
//! §9.3.6).
//!
//! The upstream's host and port go to the proxy as they stand in its URL: whoever opens the way
//! knows where it leads. Any 2xx is the way; everything else is a no, with a reason for the
//! log, and so is an upstream that speaks before it was asked. What passes through the way, TLS
//! among it, is not known here.

use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tollring_config::limits::{HOST_BYTES_MAX, PROXY_CREDENTIALS_BYTES_MAX};
use tollring_config::{BaseUrl, UpstreamProxy};
use tollring_http1::{HeadLimits, Method, Parsed, ResponseFault, ResponseHead};

use super::failure::Cause;
use crate::net::buffer::BLOCK_BYTES;
use crate::net::deadline::{Action, Cut};
use crate::net::stream::Broken;
use crate::net::{Buffer, Buffers, Stream};

/// Bounds of a proxy's answer; it says little more than yes.
const ANSWER_HEAD: HeadLimits = HeadLimits {
    head_bytes: 16 * 1024,
    head_fields: 100,
    target_bytes: 0,
};

/// Interim answers before it; as arbitrary as for upstreams.
const INTERIM_MAX: usize = 8;

const _: () = assert!(
    2 * HOST_BYTES_MAX + PROXY_CREDENTIALS_BYTES_MAX * 4 / 3 + 200 < BLOCK_BYTES,
    "the longest question must fit a block"
);
const _: () = assert!(
    ANSWER_HEAD.head_bytes < BLOCK_BYTES,
    "the longest answer must fit a block"
);

/// How one upstream is asked for at its proxy.
pub(crate) struct Proxy {
    /// Where the proxy is.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    /// The whole question, credentials included.
    question: Box<[u8]>,
    /// Whether we say who we are.
    shows_credentials: bool,
}

/// Why a proxy opened no way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    /// It wants to know who we are (RFC 9110 §15.5.8).
    #[error("the proxy wants credentials (407); write them as http://user:password@… in `proxy`")]
    NoCredentials,
    /// It knows who we are, and will not have us.
    #[error("the proxy does not take the user and password in `proxy` (407)")]
    WrongCredentials,
    /// It answered with another status that is not 2xx.
    #[error("the proxy answered {0}")]
    Refused(u16),
    /// What it answered is not HTTP.
    #[error("what the proxy answered is malformed: {0}")]
    Malformed(ResponseFault),
    /// More interim answers than anybody needs.
    #[error("the proxy does not come to its answer")]
    Undecided,
    /// Bytes behind its answer, which would be taken for the upstream's.
    #[error("something came through the proxy before the upstream was asked anything")]
    Unasked,
    /// The connection ended within the conversation, or its time was over.
    #[error("the proxy did not answer: {}", .0.word())]
    Silent(Cause),
}

impl ProxyFault {
    /// What an attempt failed by.
    pub(crate) const fn cause(self) -> Cause {
        match self {
            Self::NoCredentials | Self::WrongCredentials => Cause::ProxyUnauthorized,
            Self::Refused(_) => Cause::ProxyRefused,
            Self::Malformed(_) | Self::Undecided | Self::Unasked => Cause::Malformed,
            Self::Silent(cause) => cause,
        }
    }
}

impl Proxy {
    /// The way to a URL through a proxy.
    pub(crate) fn new(proxy: &UpstreamProxy, base: &BaseUrl) -> Self {
        let (host, port) = (&base.host, base.port);
        let target = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let mut question = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(credentials) = &proxy.credentials {
            question.push_str("Proxy-Authorization: Basic ");
            BASE64_STANDARD.encode_string(credentials.expose(), &mut question);
            question.push_str("\r\n");
        }
        question.push_str("\r\n");
        Self {
            host: proxy.host.clone(),
            port: proxy.port,
            question: question.into_bytes().into(),
            shows_credentials: proxy.credentials.is_some(),
        }
    }

    /// Has the way opened, over a connection to the proxy on which nothing was said, within
    /// `limit`.
    ///
    /// # Errors
    /// Why it was not; the connection is of no use any more.
    pub(crate) async fn open(
        &self,
        stream: &mut Stream,
        limit: Duration,
        buffers: &Rc<Buffers>,
    ) -> Result<(), ProxyFault> {
        // The deadline of reading is that of the whole conversation.
        let watch = Rc::clone(stream.reader.watch());
        watch.arm(limit, Action::CloseBoth);
        let opened = self.converse(stream, buffers.block()).await;
        watch.disarm();
        opened
    }

    async fn converse(&self, stream: &mut Stream, mut block: Buffer) -> Result<(), ProxyFault> {
        block.extend_from_slice(&self.question);
        let whole = 0..block.len();
        let sent = stream.writer.write(&mut block, whole).await;
        sent.map_err(silent)?;
        block.clear();
        let mut hearing = Hearing::new(self);
        loop {
            stream.reader.read(&mut block).await.map_err(silent)?;
            if hearing.look(&mut block)? {
                return Ok(());
            }
        }
    }

    /// The same over a connection that blocks and has a deadline of its own.
    ///
    /// # Errors
    /// What the system says, or a [`ProxyFault`] in its clothes.
    pub(crate) fn open_blocking(&self, mut stream: impl Read + Write) -> io::Result<()> {
        stream.write_all(&self.question)?;
        let mut hearing = Hearing::new(self);
        let mut arrived = Vec::new();
        let mut room = [0; 1024];
        loop {
            let count = stream.read(&mut room)?;
            if count == 0 {
                return Err(io::Error::other(ProxyFault::Silent(Cause::Closed)));
            }
            arrived.extend_from_slice(&room[..count]);
            if hearing.look(&mut arrived).map_err(io::Error::other)? {
                return Ok(());
            }
        }
    }
}

/// Has a way opened as a worker would, for whoever looks whether it can be.
///
/// # Errors
/// What the system says, or a [`ProxyFault`] in its clothes.
pub fn open(stream: impl Read + Write, proxy: &UpstreamProxy, base: &BaseUrl) -> io::Result<()> {
    Proxy::new(proxy, base).open_blocking(stream)
}

/// What came of a proxy's answer so far.
struct Hearing {
    head: ResponseHead,
    interim: usize,
    shown_credentials: bool,
}

impl Hearing {
    const fn new(proxy: &Proxy) -> Self {
        Self {
            head: ResponseHead::new(),
            interim: 0,
            shown_credentials: proxy.shows_credentials,
        }
    }

    /// Looks at everything that has come; says whether the way is open, or more must come.
    fn look(&mut self, arrived: &mut Vec<u8>) -> Result<bool, ProxyFault> {
        loop {
            // As if HEAD had been asked: a 2xx has no body, whatever its fields say.
            let parsed = self.head.parse(arrived, Method::Head, &ANSWER_HEAD);
            if parsed.map_err(ProxyFault::Malformed)? == Parsed::Partial {
                return Ok(false);
            }
            match self.head.status {
                200..=299 if arrived.len() == self.head.len => return Ok(true),
                200..=299 => return Err(ProxyFault::Unasked),
                407 if self.shown_credentials => return Err(ProxyFault::WrongCredentials),
                407 => return Err(ProxyFault::NoCredentials),
                100 | 102..=199 if self.interim < INTERIM_MAX => {
                    self.interim += 1;
                    arrived.drain(..self.head.len);
                }
                100 | 102..=199 => return Err(ProxyFault::Undecided),
                status => return Err(ProxyFault::Refused(status)),
            }
        }
    }
}

/// How a connection ended on which nobody said why.
fn silent(broken: Broken) -> ProxyFault {
    ProxyFault::Silent(match broken {
        Broken::Closed | Broken::Unannounced => Cause::Closed,
        Broken::Reset => Cause::Reset,
        Broken::Cut(Cut::Deadline) => Cause::TimedOut,
        Broken::Cut(Cut::ClientGone) => Cause::ClientGone,
        Broken::Cut(Cut::Drain) => Cause::Stopped,
    })
}

#[cfg(test)]
mod tests {
    use tollring_config::Secret;

    use super::*;

    fn proxy(host: &str, credentials: Option<&str>) -> Proxy {
        let proxy = UpstreamProxy {
            host: "proxy".into(),
            port: 3128,
            authority: "proxy:3128".into(),
            credentials: credentials.map(Secret::new),
        };
        let base = BaseUrl {
            host: host.into(),
            port: 443,
            path: "/v1".into(),
            authority: host.into(),
            tls: true,
            socket: None,
        };
        Proxy::new(&proxy, &base)
    }

    #[test]
    fn the_question_names_host_and_port_even_where_the_port_is_the_usual_one() {
        let question = |host, credentials| {
            let question = proxy(host, credentials).question;
            String::from_utf8_lossy(&question).into_owned()
        };
        assert_eq!(
            question("api.test", None),
            "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n"
        );
        // The example of RFC 7617 §2.
        assert_eq!(
            question("::1", Some("Aladdin:open sesame")),
            "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\
             Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
        );
    }

    #[track_caller]
    fn check(answer: &str, expected: Result<bool, ProxyFault>) {
        let asked = proxy("api.test", None);
        // Whole, and byte by byte: the last of them decides.
        let whole = Hearing::new(&asked).look(&mut answer.as_bytes().to_vec());
        assert_eq!(whole, expected, "{answer:?}");
        let (mut hearing, mut arrived) = (Hearing::new(&asked), Vec::new());
        let mut looked = Ok(false);
        for byte in answer.bytes() {
            if looked != Ok(false) {
                break;
            }
            arrived.push(byte);
            looked = hearing.look(&mut arrived);
        }
        let unasked = expected == Err(ProxyFault::Unasked);
        assert!(
            looked == expected || (unasked && looked == Ok(true)),
            "{answer:?}"
        );
    }

    #[test]
    fn any_2xx_is_the_way_and_its_framing_means_nothing() {
        for head in [
            "HTTP/1.0 200 Connection established\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 299\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            check(head, Ok(true));
        }
    }

    #[test]
    fn everything_else_is_a_no_with_a_reason() {
        check("HTTP/1.1 200 OK\r\n", Ok(false));
        check("HTTP/1.1 200 OK\r\n\r\nx", Err(ProxyFault::Unasked));
        check("HTTP/1.1 403 No\r\n\r\n", Err(ProxyFault::Refused(403)));
        check("HTTP/1.1 101 Go\r\n\r\n", Err(ProxyFault::Refused(101)));
        check("HTTP/1.1 407 Who\r\n\r\n", Err(ProxyFault::NoCredentials));
        let garbage = ProxyFault::Malformed(ResponseFault::StatusLine);
        check("SSH-2.0-OpenSSH\r\n", Err(garbage));
        check(
            &"HTTP/1.1 100 \r\n\r\n".repeat(9),
            Err(ProxyFault::Undecided),
        );
        let asked = proxy("api.test", Some("u:p"));
        let mut answer = b"HTTP/1.1 407 No\r\n\r\n".to_vec();
        let heard = Hearing::new(&asked).look(&mut answer);
        assert_eq!(heard, Err(ProxyFault::WrongCredentials));
    }

    #[test]
    fn an_answer_that_never_ends_is_not_read_on() {
        let mut endless = b"HTTP/1.1 200 OK\r\na: ".to_vec();
        endless.resize(ANSWER_HEAD.head_bytes, b'a');
        let heard = Hearing::new(&proxy("api.test", None)).look(&mut endless);
        assert!(matches!(heard, Err(ProxyFault::Malformed(_))), "{heard:?}");
    }
}
