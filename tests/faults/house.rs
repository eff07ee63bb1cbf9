//! The gateway under test: its file, its processes, and what the kernel says of them.
//!
//! Asks for what an operator could ask for, and judges nothing.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::fault::Fault;
use super::provider::Providers;
use super::traffic;
use crate::support::binary::{Folder, serve};
use crate::support::{Gateway, Site};

/// The key of everybody who is not normal traffic.
pub(crate) const OTHERS: &str = "tr_others_0123456789abcdef";

/// A client's head must be here within this.
pub(crate) const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// What a client does not take is kept for it no longer than this.
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// Limits nobody reaches: only that nothing stays held is asked.
const LIMITS: &str = r#"limits = [
  { unit = "requests", amount = 1_000_000_000, per = "total" },
  { unit = "tokens", amount = 1_000_000_000_000, per = "total" },
  { unit = "usd", amount = "1000000", per = "total" },
  { concurrent = 100_000 },
]"#;

/// A member is asked however often it failed, and given a second.
const SICK: &str = "timeouts = { first_byte = \"1s\", between_bytes = \"1s\" }\n\
                    eject = { on = [] }\n";

/// Each request may be repeated as far as the rules go, so that no budget hides them.
const RETRIES: &str = "retries = { max = 4, budget = 100 }\n";

/// One address, one file, and the processes that come and go there.
pub(crate) struct House {
    folder: Folder,
    site: Site,
    /// The process that serves.
    pub(crate) gateway: Gateway,
    /// Its data port.
    pub(crate) address: SocketAddr,
}

/// What a process has in use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    /// Resident memory.
    pub(crate) memory_kib: u64,
    /// Descriptors, without those of upstream connections that wait to be used again.
    pub(crate) descriptors: u64,
}

/// Which of the valid files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edition {
    /// The one it starts with.
    First,
    /// With another price and one more service.
    Second,
    /// One that must change nothing.
    Broken,
}

impl House {
    /// Starts the first process; it will take so many connections.
    pub(crate) fn open(providers: &Providers, connections: usize) -> Self {
        let folder = Folder::new();
        let (listen, admin) = (free_address(), free_address());
        let site = site(providers)
            .set("server", "listen", &format!("[\"{listen}\"]"))
            .set("admin", "listen", &format!("\"{admin}\""))
            .set(
                "server",
                "takeover",
                &format!("{:?}", folder.file("takeover.sock")),
            )
            .set("limits", "connections", &connections.to_string());
        let file = folder.file("tollring.toml");
        fs::write(&file, site.text()).expect("the folder takes files");
        Self {
            gateway: Gateway::start_by(serve(&file), Folder::new()),
            folder,
            site,
            address: listen,
        }
    }

    /// Has a new process take over; the one that served until now.
    pub(crate) fn take_over(&mut self) -> Gateway {
        let mut command = serve(&self.file());
        command.arg("--takeover");
        let next = Gateway::start_by(command, Folder::new());
        std::mem::replace(&mut self.gateway, next)
    }

    /// Puts an edition of the file in its place.
    pub(crate) fn write(&self, edition: Edition) {
        let text = match edition {
            Edition::First => self.site.text(),
            Edition::Second => self
                .site
                .clone()
                .open_service("more", "/more", "http://127.0.0.1:9")
                .text()
                .replace("input = \"1.00\"", "input = \"1.50\""),
            Edition::Broken => self.site.text() + "\n[sevrer]\n",
        };
        let beside = self.folder.file("tollring.toml.new");
        fs::write(&beside, text).expect("the folder takes files");
        fs::rename(&beside, self.file()).expect("a file can be renamed in its folder");
    }

    /// What the serving process has in use.
    pub(crate) fn standing(&self) -> Standing {
        standing(&self.gateway)
    }

    fn file(&self) -> PathBuf {
        self.folder.file("tollring.toml")
    }
}

/// Everything that stands in the file whoever runs it.
pub(crate) fn site(providers: &Providers) -> Site {
    let seconds = |span: Duration| format!("\"{}s\"", span.as_secs());
    let mut site = Site::new()
        .set("timeouts", "head", &seconds(HEAD_DEADLINE))
        .set("timeouts", "write", &seconds(WRITE_DEADLINE))
        .set("timeouts", "drain", "\"6s\"")
        .provider("well", &url(providers.well))
        .provider("spare", &url(providers.spare))
        .model("well", "well")
        .raw(&service("well", &[providers.well]))
        .raw(&service("large", &[providers.large]));
    for &(fault, address) in &providers.sick {
        let name = fault.name();
        let targets = format!(
            "{{ provider = \"{name}\", model = \"m\" }}, {{ provider = \"spare\", model = \"m\" }}"
        );
        let lines = format!("price = {{ input = \"1.00\", output = \"2.00\" }}\n{RETRIES}");
        site = site
            .provider_with(name, &url(address), SICK)
            .model_with(name, &targets, &lines)
            .raw(&(service(name, &[address, providers.spare]) + SICK + RETRIES));
    }
    site.tenant("town", "")
        .key("town", "normal", traffic::KEY, LIMITS)
        .key("town", "others", OTHERS, LIMITS)
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn service(name: &str, upstreams: &[SocketAddr]) -> String {
    let upstreams: Vec<String> = upstreams.iter().map(|&address| url(address)).collect();
    format!(
        "[services.{name}]\npath = \"/{name}\"\nupstreams = {upstreams:?}\nmeter = \"requests\"\n"
    )
}

/// One that nobody has now, and that the processes to come can share.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    listener.local_addr().expect("it is bound")
}

/// The path of a service for one fault.
pub(crate) fn path(fault: Fault) -> String {
    format!("/{}", fault.name())
}

/// What a process has in use.
pub(crate) fn standing(gateway: &Gateway) -> Standing {
    let stats = gateway.stats();
    let pools = stats["pools"].as_array().into_iter().flatten();
    let idle: u64 = pools.filter_map(|pool| pool["idle"].as_u64()).sum();
    let folder = format!("/proc/{}/fd", gateway.pid());
    let open = fs::read_dir(folder).expect("the gateway runs").count() as u64;
    Standing {
        memory_kib: gateway.memory_kib("VmRSS"),
        descriptors: open.saturating_sub(idle),
    }
}

/// CPU that all its threads have had.
pub(crate) fn cpu(gateway: &Gateway) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", gateway.pid())).expect("the gateway runs");
    let nanos = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// What the gateway says is still going on: requests, client connections, and buckets in which
/// something is held.
pub(crate) fn going_on(stats: &Value) -> (u64, u64, Vec<String>) {
    let count = |name: &str| stats[name].as_u64().expect("a count");
    let buckets = stats["buckets"].as_array().expect("a list");
    let held = buckets.iter().filter(|bucket| bucket["held"] != "0");
    let held = held.map(|bucket| format!("{}: {}", bucket["name"], bucket["held"]));
    (count("in_flight"), count("connections"), held.collect())
}
