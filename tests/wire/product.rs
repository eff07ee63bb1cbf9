//! The proxies that the wire test is played through, each started for one topic.
//!
//! tollring is started as every test from outside starts it; nginx and HAProxy as plain
//! reverse proxies on loopback, one process each, with kept connections to their upstreams,
//! nothing buffered that can be passed on, and the same deadlines.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::place::Place;
use super::play::PATIENCE;
use crate::support;
use crate::support::Gateway;
use crate::support::binary::Folder;

/// The key of the tenant that may ask for models.
const KEY_LINES: &str = support::site::AMPLE;

/// What stands behind the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// REST services, passed on without key or meter.
    Services,
    /// The same with deadlines of a few seconds.
    ShortDeadlines,
    /// Models of providers that speak OpenAI's language. Only tollring knows what a model is.
    Models,
}

/// A proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// The binary of this project.
    Tollring,
    /// Debian's nginx.
    Nginx,
    /// Debian's HAProxy.
    Haproxy,
}

/// What a proxy is to serve.
pub struct Site {
    /// What stands behind it.
    pub setting: Setting,
    /// The path and the upstream of each case.
    pub rooms: Vec<(Place, SocketAddr)>,
}

/// Writes the file of a proxy that is to listen there and may use that folder.
type Writer = fn(&Site, SocketAddr, &str) -> String;

/// A proxy that runs, ended when dropped.
pub enum Running {
    /// tollring.
    Gateway(Box<Gateway>),
    /// Another one.
    Other(Other),
}

/// A proxy that is not ours.
pub struct Other {
    child: Child,
    address: SocketAddr,
    folder: Folder,
}

impl Product {
    /// All of them, ours first.
    pub const ALL: [Self; 3] = [Self::Tollring, Self::Nginx, Self::Haproxy];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tollring => "tollring",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// Whether it can be set up like this.
    pub fn knows(self, setting: Setting) -> bool {
        self == Self::Tollring || setting != Setting::Models
    }

    /// Starts it and waits until it accepts connections.
    ///
    /// # Errors
    /// When it is not installed, or does not come up.
    pub fn start(self, site: &Site) -> Result<Running, String> {
        let (file, text): (&str, Writer) = match self {
            Self::Tollring => {
                let gateway = Gateway::start(&site.for_tollring());
                return Ok(Running::Gateway(Box::new(gateway)));
            }
            Self::Nginx => ("nginx.conf", Site::for_nginx),
            Self::Haproxy => ("haproxy.cfg", Site::for_haproxy),
        };
        let folder = Folder::new();
        let address = free_address();
        let config = folder.file(file);
        let text = text(site, address, &folder.file("").display().to_string());
        fs::write(&config, text).map_err(|fault| fault.to_string())?;
        let mut command = Command::new(self.name());
        match self {
            Self::Nginx => command
                .arg("-e")
                .arg(folder.file("log"))
                .arg("-c")
                .arg(config),
            _ => command.args(["-db", "-f"]).arg(config),
        };
        let log = File::create(folder.file("said")).map_err(|fault| fault.to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|fault| format!("{} does not start: {fault}", self.name()))?;
        let other = Other {
            child,
            address,
            folder,
        };
        other.await_port().map(Running::Other)
    }
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Gateway(gateway) => {
                let address = gateway.url.trim_start_matches("http://");
                address.parse().expect("the ready line names an address")
            }
            Self::Other(other) => other.address,
        }
    }
}

impl Other {
    fn await_port(mut self) -> Result<Self, String> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait().map_err(|fault| fault.to_string())?;
            if ended.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(self.folder.file("said")).unwrap_or_default();
                return Err(format!("it does not come up: {said}"));
            }
            thread::park_timeout(Duration::from_millis(5));
        }
        Ok(self)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody has at the moment, for programs that cannot say which they were given.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
    listener.local_addr().expect("it is bound")
}

impl Site {
    fn for_tollring(&self) -> support::Site {
        let mut site = support::Site::new();
        match self.setting {
            Setting::Services => {}
            Setting::ShortDeadlines => {
                for (name, limit) in [
                    ("head", "2s"),
                    ("body", "2s"),
                    ("idle", "3s"),
                    ("first_byte", "3s"),
                    ("between_bytes", "3s"),
                ] {
                    site = site.set("timeouts", name, &format!("{limit:?}"));
                }
            }
            Setting::Models => {
                site = site
                    .tenant("acme", "")
                    .key("acme", "bot", support::site::ACME, KEY_LINES);
            }
        }
        for (place, upstream) in &self.rooms {
            let url = format!("http://{upstream}");
            site = match self.setting {
                Setting::Models => site
                    .provider(place.name(), &url)
                    .model(&format!("m{}", place.path()), place.name()),
                _ => site.open_service(place.name(), place.path(), &url),
            };
        }
        site
    }

    /// Seconds for a head, for a body, between requests, and for the upstream.
    fn seconds(&self) -> [u32; 4] {
        match self.setting {
            Setting::ShortDeadlines => [2, 2, 3, 3],
            _ => [10, 60, 75, 600],
        }
    }

    fn for_nginx(&self, address: SocketAddr, folder: &str) -> String {
        let [head, body, idle, upstream] = self.seconds();
        let (mut pools, mut routes) = (String::new(), String::new());
        for (place, upstream) in &self.rooms {
            let (name, path) = (place.name(), place.path());
            let pool = format!("upstream {name} {{ server {upstream}; keepalive 4; }}");
            let route = format!("location {path} {{ proxy_pass http://{name}; }}");
            writeln!(pools, "{pool}").expect("a string takes everything");
            writeln!(routes, "{route}").expect("a string takes everything");
        }
        format!(
            "daemon off; master_process off; pid {folder}pid;
events {{ worker_connections 4096; }}
http {{
access_log off;
client_body_temp_path {folder}body; proxy_temp_path {folder}proxy;
fastcgi_temp_path {folder}fastcgi; uwsgi_temp_path {folder}uwsgi; scgi_temp_path {folder}scgi;
client_header_timeout {head}s; client_body_timeout {body}s; keepalive_timeout {idle}s;
proxy_read_timeout {upstream}s;
proxy_http_version 1.1; proxy_set_header Connection \"\";
proxy_buffering off; proxy_request_buffering off;
{pools}server {{ listen {address};
{routes}location / {{ return 404; }} }} }}
"
        )
    }

    fn for_haproxy(&self, address: SocketAddr, _folder: &str) -> String {
        let [head, body, idle, upstream] = self.seconds();
        let (mut routes, mut pools) = (String::new(), String::new());
        for (place, upstream) in &self.rooms {
            let (name, path) = (place.name(), place.path());
            let route = format!("  use_backend {name} if {{ path_beg {path} }}");
            let pool = format!("backend {name}\n  server s {upstream}");
            writeln!(routes, "{route}").expect("a string takes everything");
            writeln!(pools, "{pool}").expect("a string takes everything");
        }
        format!(
            "global
  maxconn 4000
defaults
  mode http
  option http-keep-alive
  timeout connect 2s
  timeout http-request {head}s
  timeout client {body}s
  timeout http-keep-alive {idle}s
  timeout server {upstream}s
frontend wire
  bind {address}
{routes}{pools}"
        )
    }
}
