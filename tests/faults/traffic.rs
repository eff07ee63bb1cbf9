//! Normal traffic: what must not notice any of this.
//!
//! A thread of its own keeps connections to the gateway and asks on each at a steady pace:
//! completions, GETs to a service, and streams. It counts what it was told, and how long answers
//! took. It has no second tries: each request that is not answered well counts as failed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::talk::{Talk, Told};
use crate::support::expect::eventually;

/// The key that only normal traffic shows, so that what it is charged can be counted.
pub(crate) const KEY: &str = "tr_normal_0123456789abcdef";

/// Connections that ask for an answer at once, by turns a completion and a GET.
const ASKERS: u32 = 32;

/// Between two requests of one of them: a thousand a second together, far from what the gateway
/// can do even on a machine that has other work, so that its pace is not what is measured.
const PACE: Duration = Duration::from_millis(32);

/// Connections that ask for one stream after the other.
const STREAMERS: u32 = 8;

/// Connections of normal traffic.
pub(crate) const KEPT: u64 = (ASKERS + STREAMERS) as u64;

/// Events of each stream.
const EVENTS: usize = 5;

/// What was seen of some requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Requests by what they were told.
    pub(crate) told: BTreeMap<Told, u64>,
    /// How long the good answers took that came at once, in microseconds.
    pub(crate) micros: Vec<u64>,
}

impl Tally {
    /// One more.
    pub(crate) fn add(&mut self, told: Told) {
        *self.told.entry(told).or_default() += 1;
    }

    /// What was asked.
    pub(crate) fn requests(&self) -> u64 {
        self.told.values().sum()
    }

    /// What was answered well.
    pub(crate) fn well(&self) -> u64 {
        self.told.get(&Told::WELL).copied().unwrap_or_default()
    }

    /// What was not, by kind: `3 x 502, 1 x cut`; `-` for nothing.
    pub(crate) fn failures(&self) -> String {
        let failed = self.told.iter().filter(|&(&told, _)| told != Told::WELL);
        let words: Vec<String> = failed
            .map(|(told, count)| format!("{count} x {}", told.word()))
            .collect();
        match words.is_empty() {
            true => "-".to_owned(),
            false => words.join(", "),
        }
    }

    /// The time within which so many of a thousand good answers came, in microseconds.
    pub(crate) fn quantile(&self, of_thousand: usize) -> u64 {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let at = sorted.len().saturating_sub(1) * of_thousand / 1000;
        sorted.get(at).copied().unwrap_or_default()
    }

    /// Takes in another's.
    pub(crate) fn merge(&mut self, other: Self) {
        for (told, count) in other.told {
            *self.told.entry(told).or_default() += count;
        }
        self.micros.extend(other.micros);
    }
}

/// The traffic, until the bench ends.
pub(crate) struct Traffic(Arc<Shared>);

struct Shared {
    gateway: SocketAddr,
    tally: Mutex<Tally>,
    paused: AtomicBool,
    /// Requests under way.
    busy: AtomicUsize,
    /// Requests that were answered well since the beginning.
    answered: AtomicU64,
}

/// A number that no other request of this bench has.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A POST that asks `model` for a completion; as a stream of so many events, where there are any.
pub(crate) fn completion(key: &str, model: &str, id: u64, events: usize) -> Vec<u8> {
    let body = format!(
        "{{\"model\":\"{model}\",\"user\":\"{id}\",\"stream\":{},\"max_tokens\":{},\
         \"messages\":[{{\"role\":\"user\",\"content\":\"How are you?\"}}]}}",
        events > 0,
        events.max(5)
    );
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A GET to a service, under its path.
pub(crate) fn get(key: &str, path: &str, id: u64) -> Vec<u8> {
    format!("GET {path}/id/{id} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\r\n")
        .into_bytes()
}

impl Traffic {
    /// Begins.
    pub(crate) fn start(gateway: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            gateway,
            tally: Mutex::default(),
            paused: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            answered: AtomicU64::new(0),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || drive(&of_thread));
        Self(shared)
    }

    /// What was seen since this was asked last.
    pub(crate) fn take(&self) -> Tally {
        std::mem::take(&mut *self.0.tally.lock().expect("no holder of the tally panics"))
    }

    /// What is seen from now on for so long.
    pub(crate) async fn during(&self, span: Duration) -> Tally {
        self.take();
        sleep(span).await;
        self.take()
    }

    /// Asks nothing more, and returns when all that was asked is answered.
    pub(crate) fn pause(&self) {
        self.0.paused.store(true, Ordering::SeqCst);
        eventually("normal traffic to pause", || {
            (self.0.busy.load(Ordering::SeqCst) == 0).then_some(())
        });
    }

    /// Requests that were answered well since the beginning.
    pub(crate) fn answered(&self) -> u64 {
        self.0.answered.load(Ordering::SeqCst)
    }

    /// Asks again.
    pub(crate) fn resume(&self) {
        self.0.paused.store(false, Ordering::SeqCst);
    }
}

fn drive(shared: &Arc<Shared>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts where the last one did");
    runtime.block_on(LocalSet::new().run_until(async {
        let mut tasks = JoinSet::new();
        for number in 0..ASKERS {
            tasks.spawn_local(ask_steadily(Arc::clone(shared), number));
        }
        for _ in 0..STREAMERS {
            tasks.spawn_local(stream_steadily(Arc::clone(shared)));
        }
        while tasks.join_next().await.is_some() {}
    }));
}

async fn ask_steadily(shared: Arc<Shared>, number: u32) {
    let mut kept = None;
    let mut due = Instant::now() + PACE * number / ASKERS;
    loop {
        let on_time = Instant::now() <= due;
        sleep_until(due).await;
        // From when it was due, so that an answer that keeps the next request waiting is
        // counted for both; but the timer's own lateness is no one's but ours.
        let from = if on_time { Instant::now() } else { due };
        if shared.begin() {
            let id = next_id();
            let request = match number % 2 {
                0 => completion(KEY, "well", id, 0),
                _ => get(KEY, "/well", id),
            };
            let told = ask_on(&mut kept, shared.gateway, &request, id).await;
            shared.end(told, Some(from.elapsed()));
        }
        // Also after a pause each keeps its own moment, so that they never come in bursts.
        due += PACE;
    }
}

async fn stream_steadily(shared: Arc<Shared>) {
    let mut kept = None;
    loop {
        if shared.begin() {
            let id = next_id();
            let request = completion(KEY, "well", id, EVENTS);
            let told = ask_on(&mut kept, shared.gateway, &request, id).await;
            shared.end(told, None);
        } else {
            sleep(PACE).await;
        }
    }
}

/// Asks on a kept connection, or on a new one, and keeps it where that is agreed.
pub(crate) async fn ask_on(
    kept: &mut Option<Talk>,
    gateway: SocketAddr,
    request: &[u8],
    id: u64,
) -> Told {
    let mut talk = match kept.take() {
        Some(talk) => talk,
        None => match Talk::to(gateway).await {
            Ok(talk) => talk,
            Err(_) => return Told::Nothing,
        },
    };
    let told = talk.ask(request, id).await;
    if !talk.over {
        *kept = Some(talk);
    }
    told
}

impl Shared {
    /// Whether a request may be asked; then it is under way.
    fn begin(&self) -> bool {
        self.busy.fetch_add(1, Ordering::SeqCst);
        let goes_on = !self.paused.load(Ordering::SeqCst);
        if !goes_on {
            self.busy.fetch_sub(1, Ordering::SeqCst);
        }
        goes_on
    }

    fn end(&self, told: Told, took: Option<Duration>) {
        let mut tally = self.tally.lock().expect("no holder of the tally panics");
        tally.add(told);
        if let (Told::WELL, Some(took)) = (told, took) {
            let micros = u64::try_from(took.as_micros()).expect("it was at most a minute");
            tally.micros.push(micros);
        }
        drop(tally);
        self.answered
            .fetch_add(u64::from(told == Told::WELL), Ordering::SeqCst);
        self.busy.fetch_sub(1, Ordering::SeqCst);
    }
}
