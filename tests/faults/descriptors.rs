//! Descriptors run out, and come back.
//!
//! A gateway of its own, with few of them, beside the one that has normal traffic. Whoever is
//! in stays in and is served, whoever is not is told to come back, the full process does not
//! spin, and when the crowd goes all is as before.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::Bench;
use super::house::{OTHERS, cpu, site, standing};
use super::talk::{Talk, Told};
use super::traffic::{Tally, get, next_id};
use crate::support::Gateway;
use crate::support::binary::{BINARY, Folder};
use crate::support::expect::eventually;

/// What the process may have open.
const DESCRIPTORS: usize = 128;

/// Clients that come; far more than fit.
const CROWD: usize = 400;

/// How long one of them waits: some are left in the listeners' queues.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two newcomers, until one is served.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long the full process is watched, and the part of one core it may take meanwhile. One
/// that spins takes all of it.
const WATCHED: Duration = Duration::from_secs(2);
const BUSY_MAX: f64 = 0.05;

/// Descriptors by which the end may differ from the beginning: the operator's own connection,
/// and one to the provider on each worker.
const SLACK: u64 = 3;

pub(crate) async fn play(bench: &mut Bench) {
    let twice = bench.providers.book.repeated();
    bench.traffic.take();
    let gateway = start(bench);
    let address: SocketAddr = gateway.url["http://".len()..]
        .parse()
        .expect("the ready line has an address");
    let mut kept = Talk::to(address).await.expect("it listens");
    let mut told_kept = vec![ask(&mut kept).await];
    let before = standing(&gateway);

    let (tally, crowd) = flood(address).await;
    let full = standing(&gateway);
    told_kept.push(ask(&mut kept).await);
    let cpu_before = cpu(&gateway);
    sleep(WATCHED).await;
    let busy = (cpu(&gateway) - cpu_before).as_secs_f64() / WATCHED.as_secs_f64();
    told_kept.push(ask(&mut kept).await);
    drop(crowd);
    let after = eventually("the descriptors to come back", || {
        let now = standing(&gateway);
        (now.descriptors <= before.descriptors + SLACK).then_some(now)
    });
    told_kept.push(ask(&mut kept).await);
    let again = Instant::now();
    while ask_anew(address).await != Told::WELL && again.elapsed() < PATIENCE {
        sleep(LOOK_EVERY).await;
    }
    let again = again.elapsed();

    let passed = bench.traffic.take();
    bench.row("descriptors run out", passed, twice);
    bench.report.fact(format!(
        "{DESCRIPTORS} descriptors, {CROWD} clients: {} well, {}; open {} before, {} when full, {} \
         after, when newcomers were served after {} ms; {:.1} % of a core when full",
        tally.well(),
        tally.failures(),
        before.descriptors,
        full.descriptors,
        after.descriptors,
        again.as_millis(),
        busy * 100.0,
    ));
    let count = |told: Told| tally.told.get(&told).copied().unwrap_or_default();
    let others = tally.requests() - tally.well() - count(Told::Status(503)) - count(Told::Late);
    bench.report.expect(
        tally.well() > 0 && count(Told::Status(503)) > 0 && others == 0,
        || "of the many, some are served, some are told 503, some wait; nothing else".to_owned(),
    );
    bench
        .report
        .expect(told_kept.iter().all(|&told| told == Told::WELL), || {
            format!("whoever was there before, or came after, was told {told_kept:?}")
        });
    bench.report.expect(busy <= BUSY_MAX, || {
        format!("the full process takes {:.0} % of a core", busy * 100.0)
    });
}

fn start(bench: &Bench) -> Gateway {
    let folder = Folder::new();
    let file = folder.file("tollring.toml");
    // As many as descriptors allow.
    let text = site(&bench.providers)
        .text()
        .replace("connections = 4000\n", "");
    fs::write(&file, text).expect("the folder takes files");
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" serve --json -c \"$1\"");
    command.args(["-c", &script, BINARY]).arg(&file);
    Gateway::start_by(command, folder)
}

async fn ask(talk: &mut Talk) -> Told {
    let id = next_id();
    talk.ask(&get(OTHERS, "/well", id), id).await
}

async fn ask_anew(address: SocketAddr) -> Told {
    match Talk::to(address).await {
        Ok(mut talk) => ask(&mut talk).await,
        Err(_) => Told::Nothing,
    }
}

/// Everyone comes at once, asks, and stays.
async fn flood(address: SocketAddr) -> (Tally, Vec<Talk>) {
    let mut clients = JoinSet::new();
    for _ in 0..CROWD {
        clients.spawn(async move {
            let Ok(mut talk) = Talk::to(address).await else {
                return (Told::Nothing, None);
            };
            let told = timeout(PATIENCE, ask(&mut talk)).await;
            (told.unwrap_or(Told::Late), Some(talk))
        });
    }
    let (mut tally, mut stayed) = (Tally::default(), Vec::new());
    for (told, talk) in clients.join_all().await {
        tally.add(told);
        stayed.extend(talk);
    }
    (tally, stayed)
}
