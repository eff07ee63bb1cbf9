//! The file is read again and again, and one process takes over from another, under load.
//!
//! Normal traffic is what is asked here: completions, GETs and streams, none of which may fail
//! or be done twice, whichever file or process they began with.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Bench;
use super::house::Edition;
use super::report::mebibytes;
use crate::support::expect::eventually;

/// Every so many reloads the file is a broken one.
const BROKEN_EVERY: usize = 10;

/// Between two reloads, and between two takeovers, at least: streams must begin before one and
/// end after another.
const GAP: Duration = Duration::from_millis(50);

pub(crate) async fn reload(bench: &mut Bench) {
    let twice = bench.providers.book.repeated();
    bench.traffic.take();
    let mut expected = bench.house.gateway.snapshot_version();
    let (mut broken, mut refused) = (0, 0);
    let (mut edition, mut halfway_kib) = (Edition::First, 0);
    for number in 1..=bench.plan.reloads {
        let gateway = &bench.house.gateway;
        if number % BROKEN_EVERY == 0 {
            bench.house.write(Edition::Broken);
            broken += 1;
            refused += usize::from(gateway.ask_admin("POST", "/api/v1/reload").status == 422);
        } else {
            edition = match edition {
                Edition::First => Edition::Second,
                _ => Edition::First,
            };
            bench.house.write(edition);
            expected += 1;
            if number % 2 == 0 {
                gateway.ask_admin("POST", "/api/v1/reload");
            } else {
                gateway.signal("HUP");
            }
        }
        eventually("the file to be in force", || {
            (bench.house.gateway.snapshot_version() >= expected).then_some(())
        });
        sleep(GAP).await;
        if number == bench.plan.reloads / 2 {
            halfway_kib = bench.house.standing().memory_kib;
        }
    }
    bench.house.write(Edition::First);
    let end_kib = bench.house.standing().memory_kib;
    let version = bench.house.gateway.snapshot_version();
    let tally = bench.traffic.take();
    bench.row("reloads", tally, twice);
    let count = bench.plan.reloads;
    bench.report.fact(format!(
        "{count} reloads by SIGHUP and by POST in turn, {broken} of a broken file, which changed \
         nothing; {:.1} MiB halfway, {:.1} at the end",
        mebibytes(halfway_kib),
        mebibytes(end_kib),
    ));
    bench
        .report
        .expect(version == expected && refused == broken, || {
            format!(
                "version {version} and not {expected}; {refused} of {broken} broken were refused"
            )
        });
}

pub(crate) async fn take_over(bench: &mut Bench) {
    let twice = bench.providers.book.repeated();
    bench.traffic.take();
    let mut left_ms = Vec::new();
    for number in 1..=bench.plan.takeovers {
        let begun = Instant::now();
        let mut old = bench.house.take_over();
        let status = old.await_exit();
        left_ms.push(begun.elapsed().as_millis());
        bench.report.expect(status.success(), || {
            format!(
                "takeover {number}: the old process left with {status}:\n{}",
                old.log()
            )
        });
        sleep(GAP).await;
    }
    // What was begun with the last old process has ended; all of it counts.
    let tally = bench.traffic.take();
    bench.row("takeovers", tally, twice);
    left_ms.sort_unstable();
    bench.report.fact(format!(
        "{} takeovers; from its successor's start until the old process was gone: {} ms (median)",
        left_ms.len(),
        left_ms[left_ms.len() / 2],
    ));
}
