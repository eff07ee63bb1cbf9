//! The service manager, played by the test: states and the watchdog over a datagram socket,
//! sockets handed over at the start.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use serde_json::json;
use support::binary::{BINARY, Folder, serve};
use support::openai::{self, CHAT};
use support::site::ACME;
use support::{Client, Gateway, PATIENCE, Provider, Request, Site, eventually};

/// Where the gateway tells its states.
struct Overseer {
    folder: Folder,
    socket: UnixDatagram,
}

impl Overseer {
    fn new() -> Self {
        let folder = Folder::new();
        let socket = UnixDatagram::bind(folder.file("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { folder, socket }
    }

    fn start(&self, site: &Site, watchdog_usec: Option<u64>) -> Gateway {
        let own = Folder::new();
        let file = own.file("tollring.toml");
        fs::write(&file, site.text()).unwrap();
        let mut command = serve(&file);
        command.env("NOTIFY_SOCKET", self.folder.file("notify"));
        if let Some(usec) = watchdog_usec {
            command.env("WATCHDOG_USEC", usec.to_string());
        }
        Gateway::start_by(command, own)
    }

    /// The next message that says this, with all it says.
    #[track_caller]
    fn await_told(&self, state: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self
                .socket
                .recv(&mut buffer)
                .unwrap_or_else(|fault| panic!("not told {state}: {fault}"));
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if message.lines().any(|line| line == state) {
                return message;
            }
        }
    }
}

fn models() -> Request {
    Request::get("/v1/models").key(ACME)
}

#[test]
fn every_state_is_told_from_ready_to_stopping() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let overseer = Overseer::new();
    let site = Site::with_acme(&provider.url());
    let mut gateway = overseer.start(&site, None);
    let ready = overseer.await_told("READY=1");
    assert!(ready.contains("STATUS=serving on 127.0.0.1:"), "{ready}");

    gateway.signal("HUP");
    let reloading = overseer.await_told("RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    let ready = overseer.await_told("READY=1");
    assert!(ready.contains("in force"), "{ready}");

    gateway.rewrite("[sevrer]");
    gateway.signal("HUP");
    overseer.await_told("RELOADING=1");
    let ready = overseer.await_told("READY=1");
    assert!(ready.contains("STATUS=the file is faulty"), "{ready}");

    gateway.signal("TERM");
    let stopping = overseer.await_told("STOPPING=1");
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC="), "{stopping}");
    assert!(gateway.await_exit().success());
}

#[test]
fn the_watchdog_is_told_as_long_as_the_workers_live() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let overseer = Overseer::new();
    let gateway = overseer.start(&Site::with_acme(&provider.url()), Some(500_000));
    for _ in 0..3 {
        overseer.await_told("WATCHDOG=1");
    }
    // While the process stands still so do its workers, and nobody tells the watchdog.
    gateway.signal("STOP");
    overseer.socket.set_nonblocking(true).unwrap();
    while overseer.socket.recv(&mut [0; 4096]).is_ok() {}
    overseer.socket.set_nonblocking(false).unwrap();
    gateway.signal("CONT");
    overseer.await_told("WATCHDOG=1");
}

#[test]
fn without_a_watchdog_nobody_is_told() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let overseer = Overseer::new();
    let gateway = overseer.start(&Site::with_acme(&provider.url()), None);
    overseer.await_told("READY=1");
    gateway.signal("TERM");
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains("STOPPING=1") {
        let length = overseer.socket.recv(&mut buffer).unwrap();
        seen += std::str::from_utf8(&buffer[..length]).unwrap();
    }
    assert!(!seen.contains("WATCHDOG"), "{seen}");
}

/// Starts the gateway as systemd would with these sockets: from descriptor 3 on, named, for the
/// process that the shell becomes.
fn start_on(site: &Site, sockets: &[(&str, &TcpListener)]) -> Gateway {
    let folder = Folder::new();
    let file = folder.file("tollring.toml");
    fs::write(&file, site.text()).unwrap();
    let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
    // The shell opens what is ours by the path the kernel has for it; a socket has none, so it
    // is passed on as the descriptor it is.
    let copies = sockets.iter().enumerate().map(|(place, (_, socket))| {
        let place = place + 3;
        format!("{place}<&{}", socket.as_raw_fd())
    });
    let script = format!(
        "exec {}; export LISTEN_PID=$$ LISTEN_FDS={} LISTEN_FDNAMES={}; \
         exec \"$0\" serve --json -c \"$1\"",
        copies.collect::<Vec<_>>().join(" "),
        sockets.len(),
        names.join(":"),
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script, BINARY]).arg(&file);
    Gateway::start_by(command, folder)
}

/// A listener that children inherit, at a number that is out of the way of those it is given.
fn passed() -> TcpListener {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let high = rustix::io::fcntl_dupfd_cloexec(&socket, 64).unwrap();
    let high = TcpListener::from(high);
    rustix::io::fcntl_setfd(&high, rustix::io::FdFlags::empty()).unwrap();
    high
}

#[test]
fn sockets_that_were_made_for_it_are_the_ones_it_listens_on() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let (data, admin) = (passed(), passed());
    let site = Site::with_acme(&provider.url());
    let gateway = start_on(&site, &[("http", &data), ("admin", &admin)]);
    let url = |socket: &TcpListener| format!("http://{}", socket.local_addr().unwrap());
    assert_eq!(gateway.url, url(&data));
    assert_eq!(gateway.admin_url, url(&admin));
    assert_eq!(gateway.ask(&models()).status, 200);
    assert_eq!(gateway.ask_admin("GET", "/readyz").status, 200);
}

#[test]
fn a_restart_with_kept_sockets_loses_nobody() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let data = passed();
    let site = Site::with_acme(&provider.url());
    let mut first = start_on(&site, &[("http", &data)]);
    let url = first.url.clone();
    assert_eq!(first.ask(&models()).status, 200);
    first.signal("TERM");
    assert!(first.await_exit().success(), "{}", first.log());
    // Between the two the socket is the manager's, and clients queue on it.
    let mut waits: Vec<Client> = (0..10).map(|_| Client::connect(&url)).collect();
    for client in &mut waits {
        client.send(
            Request::post(CHAT, openai::chat("m", json!({})))
                .key(ACME)
                .bytes(),
        );
    }
    let second = start_on(&site, &[("http", &data)]);
    for client in &mut waits {
        assert_eq!(client.answer().status, 200);
    }
    eventually("all of them to be counted", || {
        (second.stats()["requests_total"] == 10).then_some(())
    });
}
