//! The program itself: started on ephemeral ports, asked, signalled, ended by its id.
//!
//! Nothing here waits by the clock: the gateway is ready when it prints its line, and gone
//! when the kernel says so.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::{env, process, thread};

use rustls::ClientConfig;
use serde_json::Value;

use super::client::Client;
use super::expect::{PATIENCE, eventually, nano_usd};
use super::message::{Answer, Request};
use super::site::{ADMIN_TOKEN, Site};

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_tollring");

/// A folder of one test, removed with it.
pub struct Folder(PathBuf);

impl Folder {
    /// A new empty folder.
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("tollring-test-{}-{number}", process::id()));
        fs::create_dir_all(&path).expect("the folder for temporary files takes folders");
        Self(path)
    }

    /// A path inside.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running gateway, ended when dropped.
pub struct Gateway {
    child: Child,
    folder: Folder,
    /// The data port, as `http://127.0.0.1:port`.
    pub url: String,
    /// The operator's port, likewise.
    pub admin_url: String,
    /// The ready line.
    pub ready: Value,
    /// Whom its data port is believed to be, where it speaks TLS.
    trust: Option<(String, Arc<ClientConfig>)>,
}

/// What a bucket says of itself, in requests, tokens, nano-USD or exchanges in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The whole of it.
    pub limit: i128,
    /// Posted.
    pub used: i128,
    /// Held by requests in flight.
    pub held: i128,
    /// Left.
    pub remaining: i128,
}

impl Gateway {
    /// Starts the gateway with this file and waits until it is ready.
    #[track_caller]
    pub fn start(site: &Site) -> Self {
        let folder = Folder::new();
        fs::write(folder.file("tollring.toml"), site.text()).expect("the folder takes files");
        let mut command = Command::new(BINARY);
        command
            .args(["serve", "--json", "-c"])
            .arg(folder.file("tollring.toml"));
        Self::start_by(command, folder)
    }

    /// Starts the gateway by any command that prints its ready line.
    #[track_caller]
    pub fn start_by(mut command: Command, folder: Folder) -> Self {
        let log = File::create(folder.file("log")).expect("the folder takes files");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().expect("the binary starts");
        let lines = lines_of(child.stdout.take().expect("it is piped"));
        let Ok(line) = lines.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            let status = child.wait().expect("it was started here");
            let log = fs::read_to_string(folder.file("log")).unwrap_or_default();
            panic!("no ready line ({status}):\n{log}");
        };
        let ready: Value = serde_json::from_str(&line)
            .unwrap_or_else(|fault| panic!("the ready line is not JSON ({fault}): {line:?}"));
        let url = |name: &str| {
            let url = ready[name].as_str();
            url.unwrap_or_else(|| panic!("no {name:?} in the ready line {line:?}"))
                .to_owned()
        };
        Self {
            url: url("gateway"),
            admin_url: url("admin"),
            child,
            folder,
            ready,
            trust: None,
        }
    }

    /// The same, asked from now on through TLS by the name it should have.
    pub fn called(mut self, name: &str, config: Arc<ClientConfig>) -> Self {
        self.trust = Some((name.to_owned(), config));
        self
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new connection to the data port.
    #[track_caller]
    pub fn client(&self) -> Client {
        match &self.trust {
            Some((name, config)) => Client::secure(&self.url, name, config),
            None => Client::connect(&self.url),
        }
    }

    /// Sends one request on a connection of its own.
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Answer {
        self.client().ask(request)
    }

    /// Sends one request to the operator's port, with the operator's token.
    #[track_caller]
    pub fn ask_admin(&self, method: &str, target: &str) -> Answer {
        let token = self.ready["admin_token"].as_str().unwrap_or(ADMIN_TOKEN);
        // The operator's port refuses names it does not know, so it is called by its own.
        let host = self.admin_url.trim_start_matches("http://").to_owned();
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n");
        request += &format!("authorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n");
        let mut client = Client::connect(&self.admin_url);
        client.send(request);
        client.answer()
    }

    /// The live state, as `/api/v1/stats` tells it.
    #[track_caller]
    pub fn stats(&self) -> Value {
        let answer = self.ask_admin("GET", "/api/v1/stats");
        assert_eq!(answer.status, 200, "{}", answer.describe());
        answer.json()
    }

    /// The version of the configuration in force.
    #[track_caller]
    pub fn snapshot_version(&self) -> u64 {
        let stats = self.stats();
        stats["snapshot_version"]
            .as_u64()
            .unwrap_or_else(|| panic!("no version in {stats}"))
    }

    /// Puts another file in the place of the one it was started with, all at once.
    pub fn rewrite(&self, text: &str) {
        let beside = self.folder.file("tollring.toml.new");
        fs::write(&beside, text).expect("the folder takes files");
        fs::rename(&beside, self.config_path()).expect("a file can be renamed in its folder");
    }

    /// Where its file is.
    pub fn config_path(&self) -> PathBuf {
        self.folder.file("tollring.toml")
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.file("log")).unwrap_or_default()
    }

    /// What the owner of `key` is told of its bucket of `unit` (`GET /v1/quota`).
    #[track_caller]
    pub fn bucket(&self, key: &str, unit: &str) -> Reading {
        let answer = self.ask(&Request::get("/v1/quota").key(key));
        assert_eq!(answer.status, 200, "{}", answer.describe());
        let body = answer.json();
        let buckets = body["buckets"].as_array().expect("buckets are a list");
        let bucket = buckets.iter().find(|bucket| bucket["unit"] == unit);
        let bucket = bucket.unwrap_or_else(|| panic!("no bucket of {unit} in {body}"));
        let amount = |name: &str| {
            let text = bucket[name].as_str();
            let text = text.unwrap_or_else(|| panic!("no {name} as a string in {bucket}"));
            // Money is read in its smallest unit; everything else is whole already.
            nano_usd(text) / if unit == "usd" { 1 } else { 1_000_000_000 }
        };
        Reading {
            limit: amount("limit"),
            used: amount("used"),
            held: amount("held"),
            remaining: amount("remaining"),
        }
    }

    /// The same once nothing is held any more, so once every exchange has been settled.
    #[track_caller]
    pub fn bucket_at_rest(&self, key: &str, unit: &str) -> Reading {
        eventually(&format!("nothing held in the bucket of {unit}"), || {
            let reading = self.bucket(key, unit);
            (reading.held == 0).then_some(reading)
        })
    }

    /// Kibibytes of memory, by the name `/proc/PID/status` has for the measure.
    #[track_caller]
    pub fn memory_kib(&self, measure: &str) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the gateway runs");
        let line = status.lines().find(|line| line.starts_with(measure));
        let line = line.unwrap_or_else(|| panic!("no {measure} in {status}"));
        line.split_whitespace()
            .nth(1)
            .and_then(|text| text.parse().ok())
            .expect("a number")
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh")
            .args(["-c", &kill])
            .status()
            .expect("there is a shell");
        assert!(status.success(), "cannot signal the gateway");
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub fn await_exit(&mut self) -> ExitStatus {
        eventually("the gateway to end", || {
            self.child.try_wait().expect("it was started here")
        })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            // The harness shows this with the failed test and with no other.
            #[allow(clippy::print_stderr)]
            {
                eprintln!("the gateway's last words:\n{}", tail.join("\n"));
            }
        }
    }
}

/// How a start that ought to fail did.
pub struct Ending {
    /// How the process ended.
    pub status: ExitStatus,
    /// What it printed for people.
    pub said: String,
}

/// Runs the binary until it ends by itself.
///
/// # Panics
/// When it is still running after [`PATIENCE`].
#[track_caller]
pub fn run_to_end(command: &mut Command) -> Ending {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut words = child.stderr.take().expect("it is piped");
    let said = thread::spawn(move || {
        let mut said = String::new();
        let _ = words.read_to_string(&mut said);
        said
    });
    let deadline = std::time::Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it was started here") {
            break status;
        }
        if std::time::Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "it runs, and ought to have refused:\n{}",
                said.join().unwrap_or_default()
            );
        }
        thread::park_timeout(std::time::Duration::from_millis(2));
    };
    Ending {
        status,
        said: said.join().expect("reading does not panic"),
    }
}

/// `tollring serve` with this file.
pub fn serve(file: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["serve", "--json", "-c"]).arg(file);
    command
}

/// The lines of a pipe, which is read to its end so that the writer never blocks on it.
fn lines_of(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}
