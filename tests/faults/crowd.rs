//! Ten thousand who wait and two thousand who are slow, while normal traffic goes on.
//!
//! The crowd comes and goes, and traffic is watched without it and with it by turns (ABBA), so
//! that a drift of the machine falls on both. Of the ratios the median counts: a neighbour may
//! spoil some rounds on any machine, and a gateway that suffers does so in all.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::hostile::drip_until_answered;
use super::house::{HEAD_DEADLINE, OTHERS, Standing, going_on};
use super::report::mebibytes;
use super::talk::{Talk, Told};
use super::traffic::{KEPT, Tally, get, next_id};
use super::{Bench, GROWTH_KIB_MAX};
use crate::support::expect::eventually;

/// How much longer the slowest hundredth of normal answers may take beside the crowd.
const RATIO_MAX: f64 = 2.0;

/// Connections that are being made at a time, so that the listeners' queues suffice.
const ARRIVING: usize = 128;

/// Addresses of this machine that the crowd comes from, so that no port is wanted twice.
const SOURCES: usize = 8;

/// What a slow reader takes at a time, and how often: a whole answer would take it a quarter of
/// an hour, and yet it is a client that reads, so that nobody cuts it.
const SIP: (usize, Duration) = (16 << 10, Duration::from_secs(1));

/// The receive buffer of a slow one: room for one sip.
const SIP_BUFFER_BYTES: u32 = 16 << 10;

/// After the crowd has come or gone, until what that cost is over: an idle connection gives its
/// memory back after a second.
const SETTLE: Duration = Duration::from_millis(1500);

/// Everyone who is not normal traffic; gone when dropped.
struct Crowd {
    idle: Vec<Talk>,
    slow: JoinSet<()>,
    /// Slow ones that were told to go, and came again.
    cut: Arc<AtomicU64>,
}

/// One round.
struct Round {
    alone: Tally,
    beside: Tally,
    crowded: Standing,
    left: Standing,
    cut: u64,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.beside.quantile(990) as f64 / self.alone.quantile(990) as f64
    }
}

pub(crate) async fn play(bench: &mut Bench) {
    let twice = bench.providers.book.repeated();
    let mut rounds = Vec::new();
    for _ in 0..bench.plan.rounds {
        match Box::pin(round(bench)).await {
            Ok(round) => rounds.push(round),
            Err(why) => return bench.report.expect(false, || format!("the crowd: {why}")),
        }
    }
    let mut ratios: Vec<f64> = rounds.iter().map(Round::ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let crowded = rounds[0].crowded;
    let (first, last) = (rounds[0].left, rounds[rounds.len() - 1].left);
    bench.quiet.memory_after_crowd_kib = Some(first.memory_kib);
    let cut: u64 = rounds.iter().map(|round| round.cut).sum();
    let (mut alone, mut beside) = (Tally::default(), Tally::default());
    for round in rounds {
        alone.merge(round.alone);
        beside.merge(round.beside);
    }
    bench.row("(by turns: alone", alone, twice);
    bench.row("and beside the crowd)", beside, twice);
    let (idle, slow) = (bench.plan.idle, bench.plan.slow);
    bench.report.fact(format!(
        "crowd of {idle} idle and {slow} slow, {} times: {:.1} MiB, {} descriptors; {cut} slow \
         heads were refused and came again; at rest {:.1} MiB after the first, {:.1} after the \
         last",
        bench.plan.rounds,
        mebibytes(crowded.memory_kib),
        crowded.descriptors,
        mebibytes(first.memory_kib),
        mebibytes(last.memory_kib),
    ));
    bench.report.fact(format!(
        "p99 beside the crowd over alone: {ratio:.2} (median of {ratios:.2?})"
    ));
    bench.report.expect(ratio <= RATIO_MAX, || {
        format!("the crowd makes p99 {ratio:.2} times as long, not {RATIO_MAX} at most")
    });
    let grown = last.memory_kib.saturating_sub(first.memory_kib);
    bench.report.expect(grown <= GROWTH_KIB_MAX, || {
        format!("memory at rest grew by {grown} KiB from crowd to crowd")
    });
}

async fn round(bench: &Bench) -> Result<Round, String> {
    let slice = bench.plan.slice;
    let mut alone = bench.traffic.during(slice).await;
    let crowd = Crowd::gather(bench).await?;
    sleep(SETTLE).await;
    let mut beside = bench.traffic.during(slice).await;
    beside.merge(bench.traffic.during(slice).await);
    let crowded = bench.house.standing();
    let (_, connections, _) = going_on(&bench.house.gateway.stats());
    // Of the slow ones, some are between two connections.
    let wanted = (bench.plan.idle + bench.plan.slow * 3 / 4) as u64;
    if connections < wanted {
        return Err(format!(
            "only {connections} of {wanted} connections were open"
        ));
    }
    let cut = crowd.cut.load(Ordering::Relaxed);
    drop(crowd);
    eventually("the crowd to be gone", || {
        let (_, connections, _) = going_on(&bench.house.gateway.stats());
        (connections <= KEPT).then_some(())
    });
    sleep(SETTLE).await;
    alone.merge(bench.traffic.during(slice).await);
    Ok(Round {
        alone,
        beside,
        crowded,
        left: bench.house.standing(),
        cut,
    })
}

fn source(number: usize) -> Ipv4Addr {
    let last = 2 + number % SOURCES;
    Ipv4Addr::new(
        127,
        0,
        0,
        u8::try_from(last).expect("there are few of them"),
    )
}

impl Crowd {
    async fn gather(bench: &Bench) -> Result<Self, String> {
        let gateway = bench.house.address;
        let mut crowd = Self {
            idle: Vec::new(),
            slow: JoinSet::new(),
            cut: Arc::default(),
        };
        let mut arriving = JoinSet::new();
        for number in 0..bench.plan.idle {
            if arriving.len() >= ARRIVING {
                crowd.idle.extend(arrived(&mut arriving).await?);
            }
            arriving.spawn(wait_idle(gateway, number));
        }
        while !arriving.is_empty() {
            crowd.idle.extend(arrived(&mut arriving).await?);
        }
        let slow = u32::try_from(bench.plan.slow).expect("there are some thousands");
        for number in 0..bench.plan.slow {
            let cut = Arc::clone(&crowd.cut);
            crowd.slow.spawn(be_slow(gateway, number, cut));
            // So that they are not all told to go, and come again, in the same moment: that
            // would be another fault, and one of the crowd's own.
            sleep(HEAD_DEADLINE / slow).await;
        }
        Ok(crowd)
    }
}

async fn arrived(arriving: &mut JoinSet<Result<Talk, String>>) -> Result<Option<Talk>, String> {
    match arriving.join_next().await {
        Some(joined) => joined.map_err(|fault| fault.to_string())?.map(Some),
        None => Ok(None),
    }
}

/// One who asks once and then waits.
async fn wait_idle(gateway: SocketAddr, number: usize) -> Result<Talk, String> {
    let talk = Talk::from(source(number), gateway, 0).await;
    let mut talk = talk.map_err(|fault| fault.to_string())?;
    let id = next_id();
    match talk.ask(&get(OTHERS, "/well", id), id).await {
        Told::WELL => Ok(talk),
        other => Err(format!("one of the idle was told {}", other.word())),
    }
}

/// One who sends or reads slowly, until it is told to go, and comes again.
async fn be_slow(gateway: SocketAddr, number: usize, cut: Arc<AtomicU64>) {
    loop {
        let id = next_id();
        if let Ok(mut talk) = Talk::from(source(number), gateway, SIP_BUFFER_BYTES).await {
            match number % 2 {
                0 => drip(&mut talk, id).await,
                _ => sip(&mut talk, id).await,
            }
            cut.fetch_add(1, Ordering::Relaxed);
        } else {
            sleep(SIP.1).await;
        }
    }
}

async fn drip(talk: &mut Talk, id: u64) {
    drip_until_answered(talk, &get(OTHERS, "/well", id)).await;
}

async fn sip(talk: &mut Talk, id: u64) {
    let mut sip = vec![0; SIP.0];
    if talk.send(&get(OTHERS, "/large", id)).await.is_err() {
        return;
    }
    while let Ok(1..) = talk.stream.read(&mut sip).await {
        sleep(SIP.1).await;
    }
}
