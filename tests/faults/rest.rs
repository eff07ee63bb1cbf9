//! When it is over: nothing held, nobody left, nothing grown.
//!
//! The bounds are on what can be told apart from a leak: normal traffic itself moves memory by
//! some hundred KiB and descriptors by the connections it opens anew.

use super::house::going_on;
use super::report::mebibytes;
use super::traffic::{KEPT, KEY};
use super::{Bench, GROWTH_KIB_MAX};
use crate::support::expect::eventually;

/// Descriptors beside those of the quiet beginning: connections to providers that are not idle
/// at one look and were at the other.
const DESCRIPTORS_MAX: u64 = 16;

/// Which process is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    /// The one that has served since the beginning, and counts everything.
    First,
    /// The last to take over, which has counted anew.
    Last,
}

pub(crate) async fn play(bench: &mut Bench, process: Process) {
    let when = match process {
        Process::First => "afterwards",
        Process::Last => "after the takeovers",
    };
    let twice = bench.providers.book.repeated();
    bench.traffic.pause();
    let connections = eventually("everything to be at rest", || {
        let (in_flight, connections, held) = going_on(&bench.house.gateway.stats());
        (in_flight == 0 && held.is_empty() && connections <= KEPT).then_some(connections)
    });
    let gateway = &bench.house.gateway;
    let posted = gateway.bucket(KEY, "requests").used;
    let answered = i128::from(bench.traffic.answered());
    let stats = gateway.stats();
    let dropped = stats["holds_dropped_total"].as_u64().expect("a count");
    let workers = stats["workers"].as_array().into_iter().flatten();
    let panics: u64 = workers
        .filter_map(|worker| worker["panics_total"].as_u64())
        .sum();
    bench
        .report
        .expect(process == Process::Last || posted == answered, || {
            format!("{answered} requests were answered and {posted} posted")
        });
    bench.traffic.resume();

    let tally = bench.traffic.during(bench.plan.slice).await;
    bench.row(when, tally, twice);
    let (quiet, now) = (bench.quiet.standing, bench.house.standing());
    bench.report.fact(format!(
        "at rest {when}: nothing held in any bucket; {connections} clients, all of normal traffic; \
         {posted} of its requests posted; memory {:+.1} MiB, descriptors {:+}",
        mebibytes(now.memory_kib) - mebibytes(quiet.memory_kib),
        i128::from(now.descriptors) - i128::from(quiet.descriptors),
    ));
    bench.report.expect(dropped == 0 && panics == 0, || {
        format!("{dropped} holds were dropped, {panics} tasks panicked")
    });
    let base_kib = bench.quiet.memory_after_crowd_kib;
    let base_kib = base_kib.unwrap_or(quiet.memory_kib);
    bench
        .report
        .expect(now.memory_kib <= base_kib + GROWTH_KIB_MAX, || {
            format!("memory grew from {base_kib} to {} KiB", now.memory_kib)
        });
    bench.report.expect(
        now.descriptors <= quiet.descriptors + DESCRIPTORS_MAX,
        || {
            format!(
                "descriptors grew from {} to {}",
                quiet.descriptors, now.descriptors
            )
        },
    );
}
