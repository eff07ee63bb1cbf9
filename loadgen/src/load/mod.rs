//! The load generator: sends requests on a schedule made before the run, and tells how long the
//! answers took, from when each request should have been sent.
//!
//! ```text
//! args ─► plan ─► worker (a thread) ─┬─ schedule   when
//!                                    ├─ dispatch   which connection
//!                                    ├─ client     one request, one answer ─► events
//!                                    └─ record     what was seen ─► report
//! ```
//!
//! A closed loop is offered for comparison and labelled: its connections wait for a server that
//! stalls, and so do not see most of the stall.

mod args;
mod client;
mod dispatch;
mod events;
mod plan;
mod progress;
mod record;
mod report;
mod schedule;
mod url;
mod worker;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::Duration;

pub use args::{Api, LoadArgs};
pub use plan::{Arrivals, Plan, Spacing};
pub use report::{Report, Summary};

use crate::net::Signals;
use progress::{Live, Progress};
use worker::{Together, work};

/// How often signals are looked for, and how long an end of the run can go unnoticed.
const TICK: Duration = Duration::from_millis(20);

/// The exit code of a run whose numbers are about the generator.
const EXIT_INVALID: u8 = 3;

/// Carries out a plan and reports; takes as long as the plan says.
///
/// # Errors
/// A thread, its event loop or its timer cannot be made. What happens to requests is not an error
/// but in the report.
pub fn execute(plan: &Plan) -> io::Result<Report> {
    let live: Vec<_> = (0..threads(plan)).map(|_| Live::default()).collect();
    carry_out(plan, &live, &Arc::default())
}

fn threads(plan: &Plan) -> usize {
    plan.threads.clamp(1, plan::THREADS_MAX)
}

fn carry_out(plan: &Plan, live: &[Live], stop: &Arc<AtomicBool>) -> io::Result<Report> {
    let plan = Plan {
        threads: live.len(),
        ..plan.clone()
    };
    let with = Together {
        opened: Arc::new(Barrier::new(plan.threads)),
        start: Arc::new(OnceLock::new()),
        stop: Arc::clone(stop),
    };
    let mut threads = Vec::with_capacity(plan.threads);
    for (index, live) in live.iter().enumerate() {
        let (plan, live, with) = (plan.clone(), live.clone(), with.clone());
        let name = format!("load-{index}");
        let thread = std::thread::Builder::new().name(name);
        threads.push(thread.spawn(move || work(plan, index, live, &with))?);
    }
    let panicked = |_| io::Error::other("a thread of the generator panicked");
    let told: io::Result<Vec<_>> = threads
        .into_iter()
        .map(|thread| thread.join().map_err(panicked)?)
        .collect();
    Ok(Report::new(&plan, &told?))
}

/// Runs `tollring load`.
///
/// Exit codes: 0, also when answers were errors; 1 when there was no answer at all; 2 when the
/// command line makes no sense; 3 when the generator was the bottleneck. SIGINT and SIGTERM end the
/// run early, and it reports what it has.
pub fn run(args: &LoadArgs) -> ExitCode {
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(wrong) => {
            let _ = writeln!(io::stderr(), "tollring load: {wrong}");
            return ExitCode::from(2);
        }
    };
    let report = match watch(&plan, !args.no_progress) {
        Ok(report) => report,
        Err(error) => {
            let _ = writeln!(io::stderr(), "tollring load: {error}");
            return ExitCode::FAILURE;
        }
    };
    let text = if args.json {
        serde_json::to_string(&report).expect("a report is plain data")
    } else {
        report.to_string()
    };
    // Whoever closed our output has no use for the report.
    let _ = writeln!(io::stdout(), "{text}");
    match (report.valid, report.completed) {
        (_, 0) => ExitCode::FAILURE,
        (false, _) => {
            if args.json {
                let _ = writeln!(io::stderr(), "{}", report.warnings.join("\n"));
            }
            ExitCode::from(EXIT_INVALID)
        }
        (true, _) => ExitCode::SUCCESS,
    }
}

/// Carries out a plan on other threads while this one shows progress and listens for signals.
fn watch(plan: &Plan, progress: bool) -> io::Result<Report> {
    let signals = Signals::block_stop();
    let live: Vec<_> = (0..threads(plan)).map(|_| Live::default()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let mut progress = Progress::new(progress, live.clone());
    let running = {
        let (plan, stop) = (plan.clone(), Arc::clone(&stop));
        std::thread::spawn(move || carry_out(&plan, &live, &stop))
    };
    while !running.is_finished() {
        if signals.wait(TICK) {
            stop.store(true, Ordering::Relaxed);
        }
        progress.show(plan.duration);
    }
    progress.clear();
    running
        .join()
        .map_err(|_| io::Error::other("the generator panicked"))?
}
