//! Asks upstreams about their health, beside the requests and off the workers.
//!
//! A few threads take whatever check is due, each a plain connection with a deadline: nothing
//! here is in a hurry, and an upstream that hangs holds up one of them for one timeout. They
//! start with the first check that a snapshot asks for. What a check means for an upstream is
//! its lane's to decide.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use socket2::Socket;
use tollring_config::HealthCheck;

use super::local;
use super::origin::Origin;
use super::way::Kept;

/// Threads that check. A dozen upstreams that hang for a second of each five leave them time.
const THREADS: usize = 4;

/// Bytes of an answer that are looked at for its status line.
const ANSWER_BYTES: usize = 512;

/// Keeps asking.
pub(crate) struct Prober(Arc<Shared>);

struct Shared {
    plan: Mutex<Plan>,
    changed: Condvar,
}

#[derive(Default)]
struct Plan {
    /// The earliest first.
    due: BinaryHeap<Reverse<Check>>,
    /// Rises with every snapshot: what was taken out before is not put back.
    generation: u64,
    threads: usize,
    stopped: bool,
}

/// One upstream to be asked, and when.
struct Check {
    due: Instant,
    kept: Kept,
}

impl PartialEq for Check {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Check {}

impl PartialOrd for Check {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Check {
    fn cmp(&self, other: &Self) -> Ordering {
        self.due.cmp(&other.due)
    }
}

impl Prober {
    /// Asks nobody yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            plan: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// Asks these from now on, and nobody else. The first round is spread over an interval, so
    /// that a thousand upstreams are not all asked in one moment.
    pub(crate) fn follow(&self, lanes: &[Kept]) {
        let checked: Vec<_> = lanes
            .iter()
            .filter(|kept| kept.care.health.is_some())
            .collect();
        let now = Instant::now();
        let count = u32::try_from(checked.len()).unwrap_or(u32::MAX);
        let mut plan = self.0.lock();
        plan.generation += 1;
        plan.due.clear();
        for (place, kept) in (0..).zip(checked) {
            let interval = kept.care.health.as_ref().map(|check| check.interval);
            let due = now + interval.unwrap_or_default() * place / count;
            let kept = kept.clone();
            plan.due.push(Reverse(Check { due, kept }));
        }
        let wanted = plan.due.len().min(THREADS);
        while plan.threads < wanted {
            plan.threads += 1;
            let shared = Arc::clone(&self.0);
            let thread = thread::Builder::new().name("prober".to_owned());
            if let Err(fault) = thread.spawn(move || shared.check_for_ever()) {
                tracing::warn!(%fault, "upstreams are checked by fewer threads than meant");
                break;
            }
        }
        drop(plan);
        self.0.changed.notify_all();
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn check_for_ever(&self) {
        while let Some((kept, generation)) = self.take_due() {
            let Some(check) = &kept.care.health else {
                continue;
            };
            let passed = passes(&kept, check);
            let mut plan = self.lock();
            if plan.generation != generation {
                continue;
            }
            kept.lane.checked(check, passed);
            let due = Instant::now() + check.interval;
            let kept = kept.clone();
            plan.due.push(Reverse(Check { due, kept }));
            drop(plan);
            self.changed.notify_one();
        }
    }

    /// Waits for the next check; `None` when there will be none.
    fn take_due(&self) -> Option<(Kept, u64)> {
        let mut plan = self.lock();
        while !plan.stopped {
            let now = Instant::now();
            let wait = match plan.due.peek() {
                Some(Reverse(check)) if check.due <= now => {
                    let generation = plan.generation;
                    return plan
                        .due
                        .pop()
                        .map(|Reverse(check)| (check.kept, generation));
                }
                Some(Reverse(check)) => check.due - now,
                None => Duration::from_secs(60),
            };
            let waited = self.changed.wait_timeout(plan, wait);
            plan = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        // The plan is whole after every statement that holds the lock.
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether any address of an upstream answers as it should, each within its part of the time.
fn passes(kept: &Kept, check: &HealthCheck) -> bool {
    let addresses = kept.lane.origin.addresses();
    let ends = Instant::now() + check.timeout;
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    addresses.into_iter().any(|address| {
        let limit = ends.saturating_duration_since(Instant::now()) / left;
        left = left.saturating_sub(1).max(1);
        let asked = (&*kept.authority, &*check.path);
        match status(&kept.lane.origin, address, asked, limit) {
            Ok(status) => check.status.contains(&status),
            Err(fault) => {
                let origin = &kept.lane.origin.name;
                tracing::debug!(%origin, %address, %fault, "a check failed");
                false
            }
        }
    })
}

/// The status an address of an origin answers a check with.
///
/// # Errors
/// What the system says, `TimedOut` after `limit`, or `InvalidData` for what is not HTTP or whom
/// we do not believe.
fn status(
    origin: &Origin,
    address: SocketAddr,
    (authority, path): (&str, &str),
    limit: Duration,
) -> io::Result<u16> {
    let ends = Instant::now() + limit;
    // The system takes no timeout of zero.
    let limit = limit.max(Duration::from_millis(1));
    let stream = match &origin.socket {
        Some(path) => Socket::from(local::connect(path, limit)?),
        None => Socket::from(TcpStream::connect_timeout(&address, limit)?),
    };
    let mut stream = Hurried { stream, ends };
    if let Some(proxy) = &origin.proxy {
        proxy.open_blocking(&mut stream)?;
    }
    let Some(secure) = origin.secure.load_full() else {
        return ask(stream, authority, path);
    };
    let session = ClientConnection::new(Arc::clone(&secure.config), secure.name.clone());
    let mut session = session.map_err(io::Error::other)?;
    ask(
        rustls::Stream::new(&mut session, &mut stream),
        authority,
        path,
    )
}

/// A connection whose every step ends at one time.
struct Hurried {
    stream: Socket,
    ends: Instant,
}

impl Hurried {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }
}

impl Read for Hurried {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(room)
    }
}

impl Write for Hurried {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Asks over a connection.
fn ask(mut stream: impl Read + Write, authority: &str, path: &str) -> io::Result<u16> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: tollring-health\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = [0; ANSWER_BYTES];
    let mut filled = 0;
    loop {
        let count = stream.read(&mut answer[filled..])?;
        filled += count;
        if let Some(end) = memchr::memchr(b'\n', &answer[..filled]) {
            return status_of(&answer[..end]).ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
        if count == 0 || filled == answer.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// The status of a status line (RFC 9112 §4).
fn status_of(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (b'0' | b'1', b' ', digits) = (*rest.first()?, *rest.get(1)?, rest.get(2..5)?) else {
        return None;
    };
    let ended = matches!(rest.get(5), None | Some(b' ' | b'\r'));
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (ended && digits.iter().all(u8::is_ascii_digit)).then_some(status)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::super::origin::Origins;
    use super::*;
    use crate::tls::Keys;
    use std::net::TcpListener;
    use tollring_config::{BaseUrl, UpstreamTls};

    #[test]
    fn a_status_line_is_read_strictly() {
        for (line, expected) in [
            ("HTTP/1.1 200 OK\r", Some(200)),
            ("HTTP/1.0 503\r", Some(503)),
            ("HTTP/1.1 204", Some(204)),
            ("HTTP/2 200", None),
            ("HTTP/1.1 2000", None),
            ("HTTP/1.1  200", None),
            ("HTTP/1.1 +20 OK", None),
            ("220 mail.example ESMTP", None),
            ("", None),
        ] {
            assert_eq!(status_of(line.as_bytes()), expected, "{line:?}");
        }
    }

    /// One that is reached in the clear.
    fn origin() -> Arc<Origin> {
        let base = BaseUrl {
            tls: false,
            socket: None,
            host: "127.0.0.1".into(),
            port: 1,
            path: "".into(),
            authority: "up.test".into(),
        };
        Origins::new(1).find(&base, (&UpstreamTls::default(), None), &Keys::none())
    }

    #[test]
    fn one_that_accepts_and_says_nothing_fails_in_time() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let limit = Duration::from_millis(20);
        let fault = status(&origin(), address, ("a", "/"), limit).unwrap_err();
        let kinds = [io::ErrorKind::TimedOut, io::ErrorKind::WouldBlock];
        assert!(kinds.contains(&fault.kind()), "{fault}");
    }

    #[test]
    fn an_answer_in_pieces_is_put_together() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let count = peer.read(&mut asked).unwrap();
            for piece in ["HTTP/1.1 2", "04 No", " Content\r\n\r\n"] {
                peer.write_all(piece.as_bytes()).unwrap();
            }
            String::from_utf8(asked[..count].to_vec()).unwrap()
        });
        let asked = ("up.test", "/health?x=1");
        let status = status(&origin(), address, asked, Duration::from_secs(5));
        assert_eq!(status.unwrap(), 204);
        let asked = server.join().unwrap();
        assert!(asked.starts_with("GET /health?x=1 HTTP/1.1\r\nHost: up.test\r\n"));
    }
}
