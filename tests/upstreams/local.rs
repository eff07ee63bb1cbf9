//! Upstreams on sockets of this machine: asked about their health, and gone with their socket.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::support::binary::Folder;
use super::support::expect::PATIENCE;
use super::support::{Gateway, Request, eventually, openai};
use super::{PATH, gets, service};

/// An upstream on a socket; gone, with its socket, when dropped.
struct Local<'p> {
    path: &'p Path,
    asked: Receiver<String>,
    gone: Arc<AtomicBool>,
}

impl<'p> Local<'p> {
    fn start(path: &'p Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let gone = Arc::new(AtomicBool::new(false));
        let (ask, asked) = mpsc::channel();
        let over = Arc::clone(&gone);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (ask, over) = (ask.clone(), Arc::clone(&over));
                thread::spawn(move || {
                    while let Some(line) = request(&stream) {
                        let _ = ask.send(line);
                        let is_over = over.load(Ordering::SeqCst);
                        if is_over
                            || (&stream)
                                .write_all(&openai::answer("200 OK", "{}"))
                                .is_err()
                        {
                            return;
                        }
                    }
                });
            }
        });
        Self { path, asked, gone }
    }

    /// The first line of the next request of whoever asks.
    fn next(&self) -> String {
        self.asked.recv_timeout(PATIENCE).unwrap()
    }
}

impl Drop for Local<'_> {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, which lets go of the listener.
        let _ = UnixStream::connect(self.path);
        fs::remove_file(self.path).unwrap();
    }
}

/// Reads a request without a body; its first line.
fn request(stream: &UnixStream) -> Option<String> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    lines.find(String::is_empty)?;
    Some(first)
}

#[track_caller]
fn await_state(gateway: &Gateway, wanted: &str) {
    eventually(&format!("it to be {wanted}"), || {
        (gateway.stats()["upstreams"][0]["state"] == wanted).then_some(())
    });
}

#[test]
fn an_upstream_on_a_socket_is_asked_about_its_health_and_missed_when_the_socket_is_gone() {
    let folder = Folder::new();
    let path = folder.file("app.sock");
    let url = format!("unix:{}:/app", path.display());
    let health = "health = { path = \"/up\", interval = \"20ms\", healthy = 1, unhealthy = 2 }";
    let local = Local::start(&path);
    let gateway = Gateway::start(&service(&[&url], health));
    // Health is asked of the host, not under the prefix.
    assert_eq!(local.next(), "GET /up HTTP/1.1");
    assert_eq!(gets(&gateway, 1), 1);
    let asked = || {
        (0..1000)
            .map(|_| local.next())
            .find(|line| !line.contains("/up"))
    };
    assert_eq!(asked(), Some(format!("GET /app{PATH} HTTP/1.1")));
    drop(local);
    await_state(&gateway, "unhealthy");
    assert_eq!(gateway.ask(&Request::get(PATH)).status, 502);

    let _back = Local::start(&path);
    await_state(&gateway, "healthy");
    assert_eq!(gets(&gateway, 3), 3);
}
