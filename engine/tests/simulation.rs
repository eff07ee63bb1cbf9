//! The exchange on a simulated network, seed by seed.
//!
//! `SEED=… cargo test -p tollring-engine --features simulation --test simulation` plays one
//! seed and prints its trace if anything is wrong with it; `SEEDS=n` plays the first n, and
//! `FROM=…` begins elsewhere. What must be true is written in `engine/src/simulation`.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use tollring_engine::simulation::{Census, play};

/// Seeds played where nobody says how many.
const SEEDS: u64 = 200;

/// Lines of a trace that are shown, the last ones.
const TRACE_LINES: usize = 400;

/// Seeds in which something was wrong once, for as long as worlds are drawn as they are now;
/// whoever changes that undoes the repair, and looks for seeds that find it again.
///
/// - A request went to its provider twice: its deadline had passed while a kept connection took
///   nothing, and was taken for the provider's close (`Stream::cut` in `attempt.rs`).
const PINNED: [u64; 3] = [1428, 1441, 2024];

fn number(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

/// Plays one seed; what was wrong with it.
fn fault_of(seed: u64) -> Result<Census, String> {
    let played = play(seed, false);
    match played.faults.is_empty() {
        true => Ok(played.census),
        false => Err(format!("seed {seed}\n  {}", played.faults.join("\n  "))),
    }
}

/// Shows all that is wrong, and how it came to the first of it.
fn show(mut faults: Vec<(u64, String)>) {
    faults.sort();
    let Some(&(seed, _)) = faults.first() else {
        return;
    };
    let trace = play(seed, true).trace;
    let from = trace.len().saturating_sub(TRACE_LINES);
    eprintln!("seed {seed}:\n{}\n", trace[from..].join("\n"));
    let wrong: Vec<String> = faults.into_iter().map(|(_, fault)| fault).collect();
    panic!(
        "{} seeds are wrong\n{}\nplay one again: SEED={seed} cargo test -p tollring-engine \
         --features simulation --test simulation",
        wrong.len(),
        wrong.join("\n"),
    );
}

#[test]
fn whatever_the_network_does_the_invariants_hold() {
    let (from, count) = match number("SEED") {
        Some(seed) => (seed, 1),
        None => (
            number("FROM").unwrap_or(0),
            number("SEEDS").unwrap_or(SEEDS),
        ),
    };
    let next = AtomicU64::new(from);
    let faults = Mutex::new(Vec::new());
    let total = Mutex::new(Census::default());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let play_on = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + count {
                return;
            }
            match fault_of(seed) {
                Ok(census) => add(&total, &census),
                Err(fault) => lock(&faults).push((seed, fault)),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(play_on);
        }
    });
    eprintln!("{count} seeds from {from}: {:?}", lock(&total));
    show(std::mem::take(&mut *lock(&faults)));
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add(total: &Mutex<Census>, census: &Census) {
    let mut total = lock(total);
    total.requests += census.requests;
    total.delivered += census.delivered;
    total.refused += census.refused;
    total.visits += census.visits;
    total.connections += census.connections;
    total.tokens += census.tokens;
    total.turns += census.turns;
    total.lasted_ms += census.lasted_ms;
}

#[test]
fn seeds_that_were_wrong_once_are_right() {
    let faults = PINNED.into_iter();
    show(
        faults
            .filter_map(|seed| fault_of(seed).err().map(|fault| (seed, fault)))
            .collect(),
    );
}

#[test]
fn two_runs_of_one_seed_are_the_same_run() {
    for seed in 0..5 {
        let (one, other) = (play(seed, true), play(seed, true));
        assert_eq!(one.census, other.census, "seed {seed}");
        assert_eq!(one.trace, other.trace, "seed {seed}");
    }
}
