//! Prints what one hold and post over three buckets costs, cold and hot, and a refusal.
//!
//! `cargo run --release -p tollring-ledger --example hold_cost`

use std::hint::black_box;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use tollring_config::{BucketSpec, Calendar, LimitClass, NanoUsd, Scope, Unit, Window};
use tollring_ledger::{Amounts, Bucket, Ledger, UnixMillis, WorkerSlot, hold};

/// Enough to drown the clock's own cost, few enough to fit between two interruptions.
const ROUNDS: u32 = 10_000;
/// The best of so many runs: what disturbs a run only ever makes it slower.
const RUNS: u32 = 500;
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn spec(unit: Unit, window: Window, class: LimitClass) -> BucketSpec {
    BucketSpec {
        identity: format!("key/acme/{}/{}", unit.word(), window.word()).into(),
        scope: Scope::Key,
        scope_id: "acme/build-bot".into(),
        name: "measured".into(),
        unit,
        weights: None,
        window,
        calendar: Calendar::default(),
        limit: 1 << 58,
        class,
        only: None,
    }
}

fn nanoseconds_each(path: &[Arc<Bucket>], slot: WorkerSlot) -> f64 {
    let want = Amounts {
        requests: 1,
        tokens: 1_500,
        usd: NanoUsd(900_000),
        ..Amounts::default()
    };
    let cost = Amounts {
        requests: 1,
        tokens: 420,
        usd: NanoUsd(231_500),
        ..Amounts::default()
    };
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let held = hold(black_box(path), black_box(want), slot, NOW).expect("the limits are vast");
        let _ = black_box(held.post(black_box(cost), NOW));
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
}

/// What it costs to be refused by the last of the buckets, and give back to the others.
fn nanoseconds_each_refusal(path: &[Arc<Bucket>], slot: WorkerSlot) -> f64 {
    let all = Amounts {
        requests: 1,
        tokens: 1,
        usd: NanoUsd(i64::MAX),
        ..Amounts::default()
    };
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let refused = hold(black_box(path), black_box(all), slot, NOW).is_err();
        assert!(black_box(refused), "what was spent is gone");
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
}

fn main() -> io::Result<()> {
    let specs = [
        spec(Unit::Requests, Window::Minute, LimitClass::Velocity),
        spec(Unit::Tokens, Window::Month, LimitClass::Quota),
        spec(Unit::Usd, Window::Total, LimitClass::Balance),
    ];
    let path = Ledger::new(4).bind(&specs, NOW);
    let best = |measure: fn(&[Arc<Bucket>], WorkerSlot) -> f64, slot| {
        (0..RUNS)
            .map(|_| measure(&path, slot))
            .fold(f64::INFINITY, f64::min)
    };
    let cold = best(nanoseconds_each, WorkerSlot(0));
    let refused_cold = best(nanoseconds_each_refusal, WorkerSlot(0));
    path.iter().for_each(|bucket| bucket.heat(NOW));
    let hot = best(nanoseconds_each, WorkerSlot(1));
    let refused_hot = best(nanoseconds_each_refusal, WorkerSlot(1));
    let mut out = io::stdout();
    writeln!(
        out,
        "hold + post over three buckets: cold {cold:.1} ns, hot {hot:.1} ns"
    )?;
    writeln!(
        out,
        "refused by the third of them: cold {refused_cold:.1} ns, hot {refused_hot:.1} ns"
    )
}
