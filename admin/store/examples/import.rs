//! Prints what importing costs per request, for few callers and for many, and how large it gets.
//!
//! `cargo run --release -p tollring-store --example import [rows]`
//!
//! The rows are what 20,000 requests/s would leave: batches of a fifth of a second, each request
//! posting to four buckets (its key's and its tenant's day, a velocity of the key, a balance).
//! Time is what the thread had of a core, the log's way home included; what the disk makes
//! somebody wait is beside it.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;
use std::{env, fs, process};

use tollring_config::NanoUsd;
use tollring_store::{Batch, Place, Posting, Span, Store, TokenCounts, UsageRow};

const ROWS: u64 = 1_000_000;
const ROWS_PER_S: u64 = 20_000;
const BATCH_ROWS: u64 = ROWS_PER_S;
const START_S: u64 = 1_795_392_000;
/// The bound of one quarter of a core at 20,000 requests/s.
const BOUND_US: f64 = 12.5;

/// Who calls, and what.
struct Callers {
    name: &'static str,
    tenants: u64,
    keys: u64,
    models: u64,
}

const CALLERS: [Callers; 3] = [
    Callers {
        name: "10 tenants, 100 keys",
        tenants: 10,
        keys: 100,
        models: 4,
    },
    Callers {
        name: "1,000 tenants, 10,000 keys",
        tenants: 1_000,
        keys: 10_000,
        models: 4,
    },
    Callers {
        name: "10,000 tenants, 100,000 keys",
        tenants: 10_000,
        keys: 100_000,
        models: 4,
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let rows = match env::args().nth(1) {
        Some(rows) => rows.parse()?,
        None => ROWS,
    };
    let folder = env::temp_dir().join(format!("tollring-import-{}", process::id()));
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<30} {:>8} {:>8} {:>10}",
        "", "CPU µs", "µs", "bytes/row"
    )?;
    for callers in &CALLERS {
        fs::create_dir_all(&folder)?;
        let file = folder.join(tollring_store::FILE_NAME);
        let (cpu_us, wall_us) = import(&file, callers, rows)?;
        let bytes = fs::metadata(&file)?.len() as f64 / rows as f64;
        let mark = if cpu_us > BOUND_US {
            "  over the bound"
        } else {
            ""
        };
        let name = callers.name;
        writeln!(
            out,
            "{name:<30} {cpu_us:>8.2} {wall_us:>8.2} {bytes:>10.0}{mark}"
        )?;
        fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// Microseconds of CPU and of the clock per request.
fn import(file: &Path, callers: &Callers, rows: u64) -> Result<(f64, f64), Box<dyn Error>> {
    let mut store = Store::open(file)?;
    let (mut cpu_ns, mut wall_ns) = (0, 0);
    let mut batch = Batch::default();
    let mut random = 1;
    for first in (0..rows).step_by(BATCH_ROWS as usize) {
        let upto = (first + BATCH_ROWS).min(rows);
        fill(&mut batch, callers, first..upto, &mut random);
        let (started, used) = (Instant::now(), cpu_time_ns()?);
        store.import(&batch)?;
        cpu_ns += cpu_time_ns()? - used;
        wall_ns += started.elapsed().as_nanos();
    }
    let (started, used) = (Instant::now(), cpu_time_ns()?);
    drop(store); // Brings the rest of the log home.
    cpu_ns += cpu_time_ns()? - used;
    wall_ns += started.elapsed().as_nanos();
    let each = |ns: f64| ns / 1000.0 / rows as f64;
    Ok((each(cpu_ns as f64), each(wall_ns as f64)))
}

/// What this thread has had of a core.
fn cpu_time_ns() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split(' ').next().ok_or("schedstat is empty")?;
    Ok(first.parse()?)
}

fn fill(batch: &mut Batch, callers: &Callers, rows: std::ops::Range<u64>, random: &mut u64) {
    batch.clear();
    let (after, upto) = (rows.start, rows.end);
    batch.spans.push(Span {
        run: 1,
        lane: 0,
        after,
        upto,
    });
    for sequence in rows {
        let key = next(random) % callers.keys;
        let tenant = key % callers.tenants;
        let model = next(random) % callers.models;
        let at_s = START_S + sequence / ROWS_PER_S;
        batch.rows.push(row(sequence, at_s, [tenant, key, model]));
        let minute = at_s - at_s % 60 + 60;
        let day = at_s - at_s % 86_400 + 86_400;
        let buckets = [
            (3 * key, minute, 1),
            (3 * key + 1, day, 1_234),
            (3 * callers.keys + 2 * tenant, day, 1_234),
            (
                3 * callers.keys + 2 * tenant + 1,
                u64::from(u32::MAX),
                56_789,
            ),
        ];
        batch
            .postings
            .extend(buckets.map(|(bucket, ends_s, amount)| Posting {
                bucket: bucket as u32 + 1,
                ends_s: ends_s as u32,
                amount,
            }));
    }
}

fn row(sequence: u64, at_s: u64, [tenant, key, model]: [u64; 3]) -> UsageRow {
    let at_ms = at_s * 1000 + sequence % ROWS_PER_S * 1000 / ROWS_PER_S;
    let mut request = [7; 12];
    request[4..].copy_from_slice(&sequence.to_be_bytes());
    UsageRow {
        place: Place::new(at_ms as i64, 0, sequence),
        request,
        attempt: 1,
        tenant: 200_000 + tenant as u32,
        key: 1 + key as u32,
        model_asked: 300_000 + model as u32,
        model_served: 310_000 + model as u32,
        provider: 320_000 + model as u32 % 2,
        price_version: 1 + model as u32,
        dialect: 1,
        status: if sequence.is_multiple_of(50) {
            502
        } else {
            200
        },
        outcome: 1,
        usage_source: 1,
        tokens: TokenCounts {
            input: 1_100 + sequence % 100,
            output: 134,
            cached_read: 512,
            ..TokenCounts::default()
        },
        cost: NanoUsd(56_789),
        ttfb_us: 180_000 + sequence as u32 % 1000,
        total_us: 910_000 + sequence % 1000,
        bytes_in: 4_500,
        bytes_out: 2_900,
        ..UsageRow::default()
    }
}

/// An xorshift: the same callers in every run.
fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random >> 16
}
