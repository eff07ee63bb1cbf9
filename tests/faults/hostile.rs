//! Clients that vanish, drip, and never read.
//!
//! All of them at once, each kind with what it must come to: for itself, for the provider, and
//! for normal traffic, which is nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::Bench;
use super::house::{HEAD_DEADLINE, OTHERS, going_on};
use super::provider::LARGE_BYTES;
use super::talk::{PATIENCE, Talk, Told};
use super::traffic::{KEPT, completion, get, next_id};

/// Events of a stream that nobody waits for: twenty seconds of them.
const LONG: usize = 1_000;

/// What a client that does not read takes all the same, in the smallest buffer there is.
const SMALLEST_BYTES: u32 = 4 << 10;

/// Between two looks at whether they are gone.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a client misbehaves.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Resets its connection in the middle of a request's body.
    LeavesAsking,
    /// Resets its connection in the middle of a stream.
    LeavesListening,
    /// Sends its request a byte at a time, in time.
    Drips,
    /// Sends its head a byte at a time, and would take a minute.
    DripsTooSlowly,
}

const MANNERS: [(Manner, &str, &str); 4] = [
    (
        Manner::LeavesAsking,
        "reset within the request's body",
        "read by nobody",
    ),
    (
        Manner::LeavesListening,
        "reset within a stream",
        "ended at the provider",
    ),
    (Manner::Drips, "request a byte at a time", "answered"),
    (
        Manner::DripsTooSlowly,
        "head slower than timeouts.head",
        "408",
    ),
];

pub(crate) async fn play(bench: &mut Bench) {
    let twice = bench.providers.book.repeated();
    let unwanted = bench.providers.book.unwanted();
    let (gateway, count) = (bench.house.address, bench.plan.hostile);
    bench.traffic.take();
    let deaf = ask_and_not_read(gateway, count).await;
    let mut clients = JoinSet::new();
    for (place, (manner, ..)) in MANNERS.into_iter().enumerate() {
        for _ in 0..count {
            let id = next_id();
            clients.spawn(async move { (place, id, come(manner, gateway, id).await) });
        }
    }
    let mut failed: [Vec<String>; MANNERS.len()] = Default::default();
    let mut ids: [Vec<u64>; MANNERS.len()] = Default::default();
    for (place, id, came) in clients.join_all().await {
        ids[place].push(id);
        failed[place].extend(came.err());
    }
    for &id in &ids[Manner::LeavesAsking as usize] {
        if bench.providers.book.reads(id).total() > 0 {
            failed[Manner::LeavesAsking as usize].push("a provider read half a request".to_owned());
        }
    }
    let gone = gone(bench, unwanted + 2 * count as u64).await;
    let tally = bench.traffic.take();
    bench.row("hostile clients", tally, twice);
    for ((_, does, expected), failed) in MANNERS.iter().zip(failed) {
        let well = count - failed.len();
        bench.report.fact(format!(
            "{does:<32} {count:>5} clients: {expected} x {well}"
        ));
        bench.report.expect(failed.is_empty(), || {
            format!("{does}: {} not {expected}: {}", failed.len(), failed[0])
        });
    }
    let whole = read_at_last(deaf).await;
    let (does, cut) = ("16 MiB never read", count - whole);
    bench
        .report
        .fact(format!("{does:<32} {count:>5} clients: cut x {cut}"));
    bench.report.expect(whole == 0, || {
        format!("{whole} answers waited for clients without end")
    });
    bench
        .report
        .expect(gone.is_ok(), || gone.err().unwrap_or_default());
}

/// Waits until nobody but normal traffic has a connection any more, and the providers have
/// learnt of everyone who left or did not read; else what is left.
async fn gone(bench: &Bench, unwanted: u64) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let (_, connections, _) = going_on(&bench.house.gateway.stats());
        let told = bench.providers.book.unwanted();
        if connections <= KEPT && told >= unwanted {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!(
                "{connections} connections where normal traffic has {KEPT}; of {unwanted} answers \
                 that nobody wanted any more, providers were told of {told}"
            ));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// One client, from its beginning to its end; else what was not as it should be.
async fn come(manner: Manner, gateway: SocketAddr, id: u64) -> Result<(), String> {
    let told = match manner {
        Manner::LeavesAsking => {
            let mut talk = connected(gateway).await?;
            let request = completion(OTHERS, "well", id, 0);
            let half = request.len() - 40;
            talk.send(&request[..half]).await.map_err(said)?;
            sleep(Duration::from_millis(id % 50)).await;
            talk.reset();
            return Ok(());
        }
        Manner::LeavesListening => {
            let mut talk = connected(gateway).await?;
            let request = completion(OTHERS, "well", id, LONG);
            talk.send(&request).await.map_err(said)?;
            talk.head().await.map_err(said)?;
            sleep(Duration::from_millis(id % 200)).await;
            talk.reset();
            return Ok(());
        }
        Manner::Drips => {
            let mut talk = connected(gateway).await?;
            let request = completion(OTHERS, "well", id, 0);
            talk.drip(&request, Duration::from_millis(2))
                .await
                .map_err(said)?;
            (Told::WELL, timeout(PATIENCE, talk.answer(id)).await)
        }
        Manner::DripsTooSlowly => {
            let mut talk = connected(gateway).await?;
            let told = drip_until_answered(&mut talk, &get(OTHERS, "/well", id)).await;
            (Told::Status(408), Ok(told))
        }
    };
    match told {
        (expected, Ok(told)) if told == expected => Ok(()),
        (_, told) => Err(told.unwrap_or(Told::Late).word()),
    }
}

async fn connected(gateway: SocketAddr) -> Result<Talk, String> {
    Talk::to(gateway).await.map_err(said)
}

fn said(fault: std::io::Error) -> String {
    fault.to_string()
}

/// Sends a byte from time to time, until there is an answer.
pub(crate) async fn drip_until_answered(talk: &mut Talk, request: &[u8]) -> Told {
    let gap = HEAD_DEADLINE / 20;
    for byte in request {
        // What comes after the answer is nobody's business.
        let _ = talk.send(std::slice::from_ref(byte)).await;
        if let Ok(told) = timeout(gap, talk.answer(0)).await {
            return told;
        }
    }
    Told::Late
}

/// Clients that ask for more than there is room for on the way, and do not read.
async fn ask_and_not_read(gateway: SocketAddr, count: usize) -> Vec<Talk> {
    let mut deaf = Vec::new();
    for _ in 0..count {
        let talk = Talk::from(Ipv4Addr::LOCALHOST, gateway, SMALLEST_BYTES).await;
        let mut talk = talk.expect("the gateway listens");
        let request = get(OTHERS, "/large", next_id());
        talk.send(&request)
            .await
            .expect("it has just been accepted");
        deaf.push(talk);
    }
    deaf
}

/// Has them read what there is, long after the gateway should have given up; how many got all.
async fn read_at_last(deaf: Vec<Talk>) -> usize {
    let (mut whole, mut piece) = (0, vec![0; 64 << 10]);
    for mut talk in deaf {
        let mut read = 0;
        while let Ok(Ok(more @ 1..)) = timeout(PATIENCE, talk.stream.read(&mut piece)).await {
            read += more;
        }
        whole += usize::from(read >= LARGE_BYTES);
    }
    whole
}
