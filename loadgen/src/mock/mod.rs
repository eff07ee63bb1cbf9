//! The scripted provider: a server that speaks OpenAI's shapes, as fast, as slow or as wrong as it
//! is told, and counts exactly what it served.
//!
//! ```text
//! start ─► room (a thread: listener, counts) ─► connection (bytes) ─► exchange (one request)
//!                                                                      ├─ script   what it meets
//!                                                                      ├─ openai   JSON and events
//!                                                                      └─ rest     echo and bytes
//! ```
//!
//! It checks no key and charges nobody: that is what stands in front of it.

mod connection;
mod exchange;
mod openai;
mod options;
mod request;
mod rest;
mod room;
mod script;
mod stats;
mod words;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use options::{Fault, MockArgs, MockOptions, Pace};
pub use stats::MockStats;

use crate::net::{self, Io, Ringer, Signals};
use room::Room;
use stats::Tally;

/// A scripted provider at work; stops when dropped.
#[derive(Debug)]
pub struct RunningMock {
    address: SocketAddr,
    tallies: Arc<[Tally]>,
    stop: Arc<Ringer>,
    threads: Vec<JoinHandle<()>>,
}

impl RunningMock {
    /// Where it listens, with the port it was given.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has served so far, over all threads.
    pub fn stats(&self) -> MockStats {
        room::sum(&self.tallies)
    }

    /// Closes the listener and cuts every connection, and waits for the threads; the port is free
    /// when this returns. Answers cut short by it are not counted as aborted.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for RunningMock {
    fn drop(&mut self) {
        self.stop.ring();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

/// Starts a scripted provider on threads of its own and returns once all of them listen.
///
/// # Errors
/// The address cannot be bound, or a thread or its event loop cannot be made.
pub fn start(options: MockOptions) -> io::Result<RunningMock> {
    start_on(Io::Auto, options)
}

fn start_on(io: Io, options: MockOptions) -> io::Result<RunningMock> {
    let threads = options.threads.clamp(1, options::THREADS_MAX);
    let first = net::bind(options.listen, threads > 1)?;
    let mut running = RunningMock {
        address: first.local_addr()?,
        tallies: (0..threads).map(|_| Tally::default()).collect(),
        stop: Arc::new(Ringer::new()?),
        threads: Vec::with_capacity(threads),
    };
    let mut listeners = vec![first];
    while listeners.len() < threads {
        listeners.push(net::bind(running.address, true)?);
    }
    let (ready, readies) = mpsc::channel();
    for (index, listener) in listeners.into_iter().enumerate() {
        let beginning = Beginning {
            io,
            pace: options.pace,
            tallies: Arc::clone(&running.tallies),
            index,
            listener,
            stop: Arc::clone(&running.stop),
            ready: ready.clone(),
        };
        let thread = std::thread::Builder::new().name(format!("mock-{index}"));
        running.threads.push(thread.spawn(|| beginning.live())?);
    }
    drop(ready);
    for _ in 0..threads {
        let gone = || io::Error::other("a thread of the mock ended before it listened");
        readies.recv().map_err(|_| gone())??;
    }
    Ok(running)
}

/// What a thread needs to begin.
struct Beginning {
    io: Io,
    pace: Pace,
    tallies: Arc<[Tally]>,
    /// Which of the tallies is its own.
    index: usize,
    listener: std::net::TcpListener,
    stop: Arc<Ringer>,
    /// Told once whether the thread listens.
    ready: mpsc::Sender<io::Result<()>>,
}

impl Beginning {
    /// The life of the thread.
    fn live(self) {
        let Self {
            io,
            pace,
            tallies,
            index,
            listener,
            stop,
            ready,
        } = self;
        let ran = net::run(io, || async {
            let (listener, bell) = (net::Listener::new(listener)?, stop.bell()?);
            // Nobody hears it when another thread has failed to start; then the bell will ring.
            let _ = ready.send(Ok(()));
            Rc::new(Room::new(pace, tallies, index))
                .live(listener, bell)
                .await;
            Ok(())
        });
        if let Err(error) = ran.and_then(|ran| ran) {
            let _ = ready.send(Err(error));
        }
    }
}

/// Runs `tollring mock` until SIGINT or SIGTERM.
///
/// Prints where it listens, with `--json` as `{"mock":"http://…"}`. Fails when the address cannot
/// be bound.
pub fn run(args: &MockArgs) -> ExitCode {
    let stop = Signals::block_stop();
    let mock = match start(args.options()) {
        Ok(mock) => mock,
        Err(error) => {
            let listen = args.options().listen;
            let _ = writeln!(
                io::stderr(),
                "tollring mock: cannot listen on {listen}: {error}"
            );
            return ExitCode::FAILURE;
        }
    };
    let address = mock.address();
    let line = if args.json {
        format!("{{\"mock\":\"http://{address}\"}}")
    } else {
        format!("mock  http://{address}   (point a client at http://{address}/v1)")
    };
    // Whoever closed our output has no use for the line.
    let _ = writeln!(io::stdout(), "{line}");
    let _ = io::stdout().flush();
    while !stop.wait(Duration::from_secs(3600)) {}
    mock.stop();
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use std::io::Read;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn it_serves_and_stops_on_epoll_as_well() {
        for io in [Io::Auto, Io::Epoll] {
            let mock = start_on(io, MockOptions::default()).unwrap();
            let mut client = TcpStream::connect(mock.address()).unwrap();
            let fields = "content-length: 2\r\nconnection: close";
            let request = format!("POST /sink HTTP/1.1\r\n{fields}\r\n\r\nab");
            client.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.contains("\"body_bytes\":2"), "{io:?} {answer}");
            assert_eq!(mock.stats().requests, 1);
            let address = mock.address();
            mock.stop();
            assert!(TcpStream::connect(address).is_err(), "{io:?} still listens");
        }
    }
}
