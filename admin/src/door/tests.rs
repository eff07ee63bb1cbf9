//! How long a connection may take, on a clock that jumps to the next deadline.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;
use tollring_config::NanoUsd;

use super::*;
use crate::gateway::{Readiness, ReloadFault, Reloaded};
use crate::latency::LatencySnapshot;
use crate::limits::{BODY_TIMEOUT, RELOAD_TIMEOUT};
use crate::stats::{Io, Stats, TokenStats};

/// A gateway that has counted nothing and never ends a reload.
struct Asleep;

impl Gateway for Asleep {
    fn stats(&self) -> Stats {
        Stats {
            version: "0",
            uptime_s: 0,
            io: Io::Epoll,
            io_flags: Vec::new(),
            snapshot_version: 0,
            workers: Vec::new(),
            requests_total: 0,
            in_flight: 0,
            connections: 0,
            memory: crate::MemoryStats::default(),
            latency: LatencySnapshot::default(),
            overhead: LatencySnapshot::default(),
            statuses: BTreeMap::new(),
            refusals: BTreeMap::new(),
            failures: BTreeMap::new(),
            tokens: TokenStats::default(),
            cost: NanoUsd(0),
            buckets: Vec::new(),
            pools: Vec::new(),
            upstreams: Vec::new(),
            holds_dropped_total: 0,
        }
    }

    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }

    fn reload(&self) -> Result<Reloaded, ReloadFault> {
        Err(ReloadFault::NoFile)
    }
}

/// A connection whose client has sent these bytes, through a pipe that holds `room` of the answer.
struct Visit {
    client: DuplexStream,
    connection: tokio::task::JoinHandle<()>,
    /// Kept, or the door would close.
    open: watch::Sender<bool>,
    began: Instant,
}

async fn visit(bytes: &str, room: usize, reloads: usize) -> Visit {
    let (mut client, server) = duplex(room);
    let (open, shut) = watch::channel(true);
    let desk = Desk {
        sealed: false,
        gateway: Arc::new(Asleep),
        token: Token::new(&Secret::new("adm_x")).unwrap(),
        per_s: watch::channel(0.0).1,
        reloading: Arc::new(Semaphore::new(reloads)),
    };
    let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
    let connection = tokio::spawn(serve(server, routes::router(Arc::new(desk)), shut, place));
    let began = Instant::now();
    client.write_all(bytes.as_bytes()).await.unwrap();
    Visit {
        client,
        connection,
        open,
        began,
    }
}

impl Visit {
    /// What was received until the connection ended, and after how many seconds it did.
    async fn end(mut self) -> (String, u64) {
        let mut received = String::new();
        self.client.read_to_string(&mut received).await.unwrap();
        self.connection.await.unwrap();
        (received, self.began.elapsed().as_secs())
    }
}

const ALIVE: &str = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn reload(body_bytes: usize) -> String {
    format!(
        "POST /api/v1/reload HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         authorization: Bearer adm_x\r\ncontent-length: {body_bytes}\r\n\r\n"
    )
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_not_waited_for() {
    for bytes in ["", "GET /livez HTTP/1.1\r\nhost: loc"] {
        let (received, after_s) = visit(bytes, 4096, 1).await.end().await;
        assert_eq!(
            (received.as_str(), after_s),
            ("", HEAD_TIMEOUT.as_secs()),
            "{bytes:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_next_request_is_closed() {
    let (received, after_s) = visit(ALIVE, 4096, 1).await.end().await;
    assert!(received.starts_with("HTTP/1.1 200 "), "{received}");
    assert_eq!(after_s, HEAD_TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_a_408() {
    let (received, after_s) = visit(&reload(2), 4096, 1).await.end().await;
    assert!(received.starts_with("HTTP/1.1 408 "), "{received}");
    assert!(received.contains("body_late"), "{received}");
    assert_eq!(after_s, BODY_TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_reload_whose_turn_does_not_come_is_a_503() {
    let (received, after_s) = visit(&reload(0), 4096, 0).await.end().await;
    assert!(received.starts_with("HTTP/1.1 503 "), "{received}");
    assert!(received.contains("reload_late"), "{received}");
    assert_eq!(after_s, RELOAD_TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_does_not_keep_its_place() {
    let many = ALIVE.repeat(4);
    let visit = visit(&many, many.len(), 1).await;
    visit.connection.await.unwrap();
    let limit = CONNECTION_AGE_MAX + CLOSE_TIMEOUT;
    assert_eq!(visit.began.elapsed().as_secs(), limit.as_secs());
    drop((visit.client, visit.open));
}

#[tokio::test(start_paused = true)]
async fn a_shut_door_ends_an_idle_connection_at_once() {
    let mut visit = visit(ALIVE, 4096, 1).await;
    visit.client.read_exact(&mut [0]).await.unwrap();
    drop(visit.open);
    visit.connection.await.unwrap();
    assert_eq!(visit.began.elapsed().as_secs(), 0);
}
