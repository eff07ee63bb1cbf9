//! Providers that refuse, reset, stall, drip, talk nonsense and leave.
//!
//! For each fault there is a model and a service of two members, one with the fault and one
//! that is well. Every request of every kind is then held against the rules, with what the
//! client was told and with what the providers have read. Normal traffic goes past them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Bench;
use super::fault::{Fault, Kind, Reads};
use super::house::{OTHERS, path};
use super::talk::{Talk, Told};
use super::traffic::{Tally, ask_on, completion, get, next_id};

/// Clients for each fault and kind of request.
const ASKERS: u64 = 6;

/// Between two requests of one of them, in milliseconds, at most: few enough that normal traffic
/// meets a busy gateway and not a full one, and so uneven that the race for a kept connection
/// is lost in every way.
const PAUSE_MS_MAX: u64 = 12;

/// A request that has ended.
struct Ended {
    fault: Fault,
    kind: Kind,
    id: u64,
    told: Told,
}

/// What came of all requests of one kind at one fault.
#[derive(Default)]
struct Summary {
    tally: Tally,
    /// By how often a request was read.
    read: [u64; 3],
    against_the_rules: Vec<(Told, Reads)>,
}

pub(crate) async fn play(bench: &mut Bench) {
    let twice = bench.providers.book.repeated();
    let until = Instant::now() + bench.plan.sick;
    let mut askers = JoinSet::new();
    for fault in Fault::ALL {
        for kind in Kind::ALL {
            for _ in 0..ASKERS {
                askers.spawn(ask_until(bench.house.address, fault, kind, until));
            }
        }
    }
    bench.traffic.take();
    let ended = askers.join_all().await;
    let tally = bench.traffic.take();
    let mut summaries = BTreeMap::<_, Summary>::new();
    for Ended {
        fault,
        kind,
        id,
        told,
    } in ended.into_iter().flatten()
    {
        let summary = summaries.entry((fault, kind)).or_default();
        let reads = bench.providers.book.reads(id);
        summary.tally.add(told);
        summary.read[usize::from(reads.total().min(2))] += 1;
        if !fault.allows(kind, told, reads) {
            summary.against_the_rules.push((told, reads));
        }
    }
    bench.row("sick providers", tally, twice);
    for ((fault, kind), summary) in summaries {
        tell(bench, (fault, kind), &summary);
    }
}

fn tell(bench: &mut Bench, (fault, kind): (Fault, Kind), summary: &Summary) {
    let (name, word) = (fault.name(), kind.word());
    let [never, once, twice] = summary.read;
    bench.report.fact(format!(
        "{name:<16} {word:<5}{:>6} requests: {} well, {}; read by {never} x nobody, {once} x one, \
         {twice} x two",
        summary.tally.requests(),
        summary.tally.well(),
        summary.tally.failures(),
    ));
    bench.report.expect(summary.tally.requests() > 0, || {
        format!("{name} {word}: nothing was asked")
    });
    let against = &summary.against_the_rules;
    bench.report.expect(against.is_empty(), || {
        let shown = &against[..against.len().min(3)];
        format!(
            "{name} {word}: {} against the rules: {shown:?}",
            against.len()
        )
    });
}

async fn ask_until(gateway: SocketAddr, fault: Fault, kind: Kind, until: Instant) -> Vec<Ended> {
    let mut kept: Option<Talk> = None;
    let mut ended = Vec::new();
    while Instant::now() < until {
        let id = next_id();
        let request = match kind {
            Kind::Completion => completion(OTHERS, fault.name(), id, 0),
            Kind::Get => get(OTHERS, &path(fault), id),
        };
        let told = ask_on(&mut kept, gateway, &request, id).await;
        ended.push(Ended {
            fault,
            kind,
            id,
            told,
        });
        sleep(Duration::from_millis(1 + id % PAUSE_MS_MAX)).await;
    }
    ended
}
