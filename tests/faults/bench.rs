//! Faults under load: whatever goes wrong around the gateway, normal traffic does not notice.
//!
//! Run by `benches/faults`. This is the story, a phase after the other; each phase stands in a
//! file of its own and says what it expects. Prints figures; exit 1 when one of them is not as
//! it should be.

#[path = "../support/mod.rs"]
mod support;

mod changes;
mod crowd;
mod descriptors;
mod fault;
mod hostile;
mod house;
mod plan;
mod provider;
mod report;
mod rest;
mod sick;
mod talk;
mod traffic;

use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, thread};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime;

use house::{House, Standing};
use plan::{Plan, USAGE};
use provider::Providers;
use report::{Report, Row};
use rest::Process;
use traffic::{Tally, Traffic};

/// Connections beside the crowd: normal traffic, the sick pools, hostile clients.
const OTHERS_MAX: usize = 4_000;

/// Until everything that grows with the first requests has grown.
const WARM_UP: Duration = Duration::from_secs(3);

/// What every phase is played with.
struct Bench {
    plan: Plan,
    providers: Providers,
    house: House,
    traffic: Traffic,
    report: Report,
    quiet: Quiet,
}

/// The base line.
#[derive(Default)]
struct Quiet {
    p99_us: u64,
    standing: Standing,
    /// Memory of a process at rest that has had a crowd once. What that brought into being
    /// (blocks, tables, the allocator's pages) stays for the next one, which adds nothing.
    memory_after_crowd_kib: Option<u64>,
}

/// Memory at rest by which a process may differ from one time to another: what an allocator keeps
/// varies. A leak of two hundred bytes for each connection of the crowds would be as much, or one
/// of sixty KiB for each reload.
const GROWTH_KIB_MAX: u64 = 12 * 1024;

fn main() -> ExitCode {
    let plan = match Plan::read() {
        Ok(plan) => plan,
        Err(word) => return say_and_fail(&format!("does not know {word:?}\n\n{USAGE}"), 2),
    };
    // A slow reader takes two descriptors on either side: the client's and the provider's.
    let wanted = plan.idle + 2 * plan.slow + OTHERS_MAX;
    if let Err(allowed) = raise_descriptors(wanted as u64) {
        let why = format!("needs {wanted} descriptors and may have {allowed}; see ulimit -n");
        return say_and_fail(&why, 1);
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system has a clock and sockets");
    let machine = machine();
    let json = plan.json;
    let report = runtime.block_on(Box::pin(play(plan)));
    report.print(json, &machine);
    match report.is_well() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

async fn play(plan: Plan) -> Report {
    let providers = Providers::start().expect("loopback has ports for the providers");
    let house = House::open(&providers, plan.idle + plan.slow + OTHERS_MAX);
    let mut bench = Bench {
        traffic: Traffic::start(house.address),
        plan,
        providers,
        house,
        report: Report::default(),
        quiet: Quiet::default(),
    };
    quiet(&mut bench).await;
    sick::play(&mut bench).await;
    hostile::play(&mut bench).await;
    crowd::play(&mut bench).await;
    descriptors::play(&mut bench).await;
    changes::reload(&mut bench).await;
    rest::play(&mut bench, Process::First).await;
    changes::take_over(&mut bench).await;
    // The process that serves now has never seen a crowd.
    bench.quiet.memory_after_crowd_kib = None;
    rest::play(&mut bench, Process::Last).await;
    bench.report
}

/// Nothing but normal traffic.
async fn quiet(bench: &mut Bench) {
    bench.traffic.during(WARM_UP).await;
    let tally = bench.traffic.during(bench.plan.quiet).await;
    bench.quiet = Quiet {
        p99_us: tally.quantile(990),
        standing: bench.house.standing(),
        memory_after_crowd_kib: None,
    };
    bench.row("quiet", tally, 0);
}

impl Bench {
    /// A phase has ended, of which this is the traffic; so many requests had been read twice
    /// before it.
    fn row(&mut self, phase: &str, tally: Tally, twice_before: u64) {
        let of_quiet = tally.quantile(990) as f64 / self.quiet.p99_us as f64;
        let row = Row {
            phase: phase.to_owned(),
            tally,
            twice: self.providers.book.repeated() - twice_before,
            of_quiet: Some(of_quiet),
            standing: self.house.standing(),
        };
        self.report.row(row);
    }
}

#[allow(clippy::print_stderr)] // the command cannot be carried out
fn say_and_fail(why: &str, code: u8) -> ExitCode {
    eprintln!("benches/faults {why}");
    ExitCode::from(code)
}

/// Lets this process, and those it starts, have so many descriptors; else how many it may have.
fn raise_descriptors(wanted: u64) -> Result<(), u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let maximum = Some(maximum.map_or(wanted, |maximum| maximum.max(wanted)));
    let raised = Rlimit {
        current: Some(wanted),
        maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|_| current.unwrap_or_default())
}

/// What it runs on, and how busy that was before.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = name.map_or(env::consts::ARCH, |rest| {
        rest.trim_start_matches([' ', '\t', ':'])
    });
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{name}, {cores} cores, Linux {}; load before: {load}",
        kernel.trim()
    )
}
