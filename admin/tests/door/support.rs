//! A door on a free port with a scripted gateway behind it, and a client that sends bytes.
//!
//! The client speaks raw sockets, so that a test may also send what no client
//! library would.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tollring_admin::{
    BucketStats, Door, Gateway, Io, LatencySnapshot, MemoryStats, OpenDoor, PoolStats, Readiness,
    ReloadFault, Reloaded, Stats, TokenStats, UpstreamStats, WorkerStats, open,
};
use tollring_config::{NanoUsd, Scope, Secret, Unit, UnixSeconds, Window};

/// What the operator of these tests shows.
pub(crate) const TOKEN: &str = "adm_canary_7f3a";

/// How long a test waits for what must happen before it fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// A gateway that answers as it was told to.
pub(crate) struct Script {
    pub(crate) readiness: Mutex<Readiness>,
    pub(crate) requests_total: AtomicU64,
    pub(crate) reload: Box<dyn Fn() -> Result<Reloaded, ReloadFault> + Send + Sync>,
    pub(crate) reloads: AtomicU64,
}

impl Default for Script {
    fn default() -> Self {
        Self::reloading(|| {
            Ok(Reloaded {
                version: 8,
                changes: vec!["models.fast: added".into()],
            })
        })
    }
}

impl Script {
    pub(crate) fn reloading(
        reload: impl Fn() -> Result<Reloaded, ReloadFault> + Send + Sync + 'static,
    ) -> Self {
        Self {
            readiness: Mutex::new(Readiness::Ready),
            requests_total: AtomicU64::new(1_000),
            reload: Box::new(reload),
            reloads: AtomicU64::new(0),
        }
    }
}

fn busy_worker() -> WorkerStats {
    WorkerStats {
        id: 0,
        core: Some(2),
        connections: 11,
        connections_total: 12,
        turned_away_total: 17,
        handshakes_total: 18,
        handshakes_failed_total: 19,
        handshakes_refused_total: 20,
        tunnels: 63,
        requests_total: 13,
        in_flight: 14,
        buffers_borrowed: 15,
        panics_total: 16,
    }
}

impl Gateway for Script {
    fn stats(&self) -> Stats {
        stats(self.requests_total.load(Ordering::Relaxed))
    }

    fn readiness(&self) -> Readiness {
        *self.readiness.lock().unwrap()
    }

    fn reload(&self) -> Result<Reloaded, ReloadFault> {
        self.reloads.fetch_add(1, Ordering::Relaxed);
        (self.reload)()
    }
}

/// A reading in which no two numbers are the same, so that none can stand in for another.
pub(crate) fn stats(requests_total: u64) -> Stats {
    let (input, output) = (41, 42);
    let tokens = TokenStats { input, output };
    Stats {
        version: "0.1.0",
        uptime_s: 77,
        io: Io::IoUring,
        io_flags: vec!["COOP_TASKRUN", "SINGLE_ISSUER"],
        snapshot_version: 7,
        workers: vec![
            busy_worker(),
            WorkerStats {
                id: 1,
                core: None,
                ..WorkerStats::default()
            },
        ],
        requests_total,
        in_flight: 21,
        connections: 22,
        memory: MemoryStats {
            used_bytes: 23,
            bound_bytes: Some(24),
            pressure: "none",
        },
        latency: latency(),
        overhead: LatencySnapshot {
            buckets: vec![(40, 3)],
            sum_us: 99,
            count: 3,
            max_us: 38,
        },
        statuses: BTreeMap::from([(200, 31), (402, 32)]),
        refusals: BTreeMap::from([("quota_exhausted", 33)]),
        failures: BTreeMap::from([("connect/refused".into(), 34)]),
        tokens,
        cost: NanoUsd(1_250_000_001),
        buckets: vec![BucketStats {
            scope: Scope::Tenant,
            scope_id: "acme".into(),
            name: "prepaid balance".into(),
            unit: Unit::Usd,
            window: Window::Total,
            limit: 25_000_000_000,
            used: 1_500_000_000,
            held: 500_000_000,
            remaining: 23_000_000_000,
            resets_at: Some(UnixSeconds(0)),
        }],
        pools: vec![PoolStats {
            origin: "http://127.0.0.1:9000".into(),
            idle: 51,
            open: 52,
            opened_total: 53,
            reused_total: 54,
        }],
        upstreams: vec![upstream()],
        holds_dropped_total: 61,
    }
}

fn latency() -> LatencySnapshot {
    LatencySnapshot {
        buckets: vec![(900, 90), (2_000, 9), (u64::MAX, 1)],
        sum_us: 1_500_000,
        count: 100,
        max_us: 700_000_000,
    }
}

fn upstream() -> UpstreamStats {
    UpstreamStats {
        owner: "services.weather".into(),
        origin: "127.0.0.1:9000".into(),
        state: "ejected",
        in_flight: 71,
        queued: 72,
        attempts_total: 73,
        failures_total: 74,
        retries_total: 75,
        retries_refused_total: 76,
    }
}

/// Opens a door on a free port.
pub(crate) fn door(script: Script) -> (OpenDoor, Arc<Script>) {
    let script = Arc::new(script);
    let door = Door {
        tls: None,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        token: Secret::new(TOKEN),
    };
    (
        open(door, Arc::clone(&script) as Arc<dyn Gateway>).unwrap(),
        script,
    )
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The one value of a field, or nothing.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().skip(1).filter_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        let value = values.next();
        assert!(
            values.next().is_none(),
            "{name} more than once:\n{}",
            self.head
        );
        value
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|fault| panic!("{fault}:\n{self:?}"))
    }

    /// That it is a problem of this status and code, as RFC 9457 has it.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["code"], code);
        for text in ["type", "title", "detail"] {
            assert!(
                problem[text].as_str().is_some_and(|text| !text.is_empty()),
                "{problem}"
            );
        }
    }
}

/// Sends bytes and reads until the door closes the connection.
pub(crate) fn send(door: &OpenDoor, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(door.address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // The door may answer and close before it has read all; that is its right.
    let _ = stream.write_all(bytes);
    let mut received = Vec::new();
    if let Err(fault) = stream.read_to_end(&mut received) {
        assert!(!received.is_empty(), "no answer: {fault}");
    }
    split(&received)
}

/// A request with the operator's token that closes its connection.
pub(crate) fn ask(door: &OpenDoor, method: &str, path: &str) -> Answer {
    ask_with(
        door,
        method,
        path,
        &format!("authorization: Bearer {TOKEN}\r\n"),
    )
}

/// A request with these fields, each ended by CRLF, that closes its connection.
pub(crate) fn ask_with(door: &OpenDoor, method: &str, path: &str, fields: &str) -> Answer {
    let host = door.address();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    send(door, format!("{head}{fields}\r\n").as_bytes())
}

/// Takes an answer apart at its first empty line.
#[track_caller]
pub(crate) fn split(received: &[u8]) -> Answer {
    let text = String::from_utf8(received.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap();
    Answer {
        status,
        head: head.into(),
        body: body.into(),
    }
}
