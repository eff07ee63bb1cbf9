//! A client that shows every byte: plain sockets, no HTTP library, read limits instead of hangs.

// Each test file uses its part; a failed step fails the test.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;
use tollring_loadgen::mock::{self, MockOptions, MockStats, Pace, RunningMock};

/// How long anything may take before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mock with a pace, on one thread.
pub(crate) fn mock(pace: Pace) -> RunningMock {
    mock::start(MockOptions {
        pace,
        ..MockOptions::default()
    })
    .unwrap()
}

/// A request with a body, as it goes over the wire.
pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: mock\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// A request without one.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: mock\r\n\r\n")
}

/// A chat request's body.
pub(crate) fn chat(model: &str, more: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"12345678"}}]{more}}}"#)
}

/// An answer, its body freed of chunks.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&self.body)))
    }

    /// The data of each event.
    pub(crate) fn events(&self) -> Vec<String> {
        let text = std::str::from_utf8(&self.body).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.map(str::to_owned).collect()
    }
}

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    waiting: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            waiting: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.answer()
    }

    /// Reads one answer to its end.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        let head = self.until(b"\r\n\r\n");
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let status = head[9..12].parse().unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let body = match length {
            Some(length) => self.exactly(length.parse().unwrap()),
            None if head.contains("transfer-encoding: chunked") => self.chunks(),
            None if status == 204 || status < 200 => Vec::new(),
            None => self.rest(),
        };
        Answer { status, head, body }
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = String::from_utf8(self.until(b"\r\n")).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            body.extend(self.exactly(size));
            assert_eq!(self.exactly(2), b"\r\n");
            if size == 0 {
                return body;
            }
        }
    }

    /// Reads once more; 0 is the end, a reset counts as one.
    fn read(&mut self) -> usize {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(count) => {
                self.waiting.extend_from_slice(&bytes[..count]);
                count
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// Everything there still is.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.read() > 0 {}
        std::mem::take(&mut self.waiting)
    }

    /// Everything up to and with `mark`.
    #[track_caller]
    pub(crate) fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        loop {
            let found = self
                .waiting
                .windows(mark.len())
                .position(|window| window == mark);
            if let Some(at) = found {
                return self.waiting.drain(..at + mark.len()).collect();
            }
            let so_far = String::from_utf8_lossy(&self.waiting).into_owned();
            assert!(self.read() > 0, "the connection ended after {so_far:?}");
        }
    }

    #[track_caller]
    fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.waiting.len() < count {
            assert!(
                self.read() > 0,
                "the connection ended {} bytes in",
                self.waiting.len()
            );
        }
        self.waiting.drain(..count).collect()
    }
}

/// Asks on a connection of its own.
#[track_caller]
pub(crate) fn ask(mock: &RunningMock, request: impl AsRef<[u8]>) -> Answer {
    Client::connect(mock.address()).ask(request)
}

/// Waits until the counts are as they should be.
#[track_caller]
pub(crate) fn until_stats(mock: &RunningMock, are_right: impl Fn(&MockStats) -> bool) -> MockStats {
    let begun = Instant::now();
    loop {
        let stats = mock.stats();
        if are_right(&stats) {
            return stats;
        }
        assert!(begun.elapsed() < PATIENCE, "never came to be: {stats:?}");
        std::thread::yield_now();
    }
}
