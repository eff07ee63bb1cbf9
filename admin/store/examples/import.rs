//! Prints what importing costs per request, for few callers and many, in small batches and large.
//!
//! `cargo run --release -p tollring-store --example import [rows]`
//!
//! The rows are what 20,000 requests/s would leave, each posting to four buckets; every key is
//! called as often as every other, which is the worst there is for sums. `CPU` is what the thread
//! had of a core, the log's way home included. Then what a start asks: a number for each of 400,000
//! names, the first time and again.

mod made;

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Write};

use made::{Callers, Folder, took};
use tollring_store::{Batch, NameKind, Store};

const ROWS: u32 = 2_400_000;
const ROWS_PER_S: u32 = 20_000;
/// A quarter of a core at so many requests a second, in microseconds each.
const BOUND_US: f64 = 250_000.0 / ROWS_PER_S as f64;
const NAMES: u32 = 400_000;

fn main() -> Result<(), Box<dyn Error>> {
    let rows = match env::args().nth(1) {
        Some(rows) => rows.parse()?,
        None => ROWS,
    };
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{rows} requests; at most {BOUND_US} µs of CPU each is asked for"
    )?;
    writeln!(out, "tenants     keys    batch   CPU µs  clock µs  bytes")?;
    for (tenants, keys) in [(10, 100), (1_000, 10_000), (10_000, 100_000)] {
        for batch_rows in [ROWS_PER_S / 5, ROWS_PER_S] {
            let callers = Callers::new(tenants, keys, ROWS_PER_S);
            let ([cpu_us, clock_us], bytes) = import(callers, rows, batch_rows)?;
            write!(out, "{tenants:>7}  {keys:>7}  {batch_rows:>7}  ")?;
            writeln!(out, "{cpu_us:>7.2}  {clock_us:>8.2}  {bytes:>5}")?;
        }
    }
    number_names(&mut out)
}

/// Microseconds of CPU and of the clock for each request, and the bytes it takes on disk.
fn import(
    mut callers: Callers,
    rows: u32,
    batch_rows: u32,
) -> Result<([f64; 2], u64), Box<dyn Error>> {
    let folder = Folder::new()?;
    let mut store = Store::open(&folder.file())?;
    let mut batch = Batch::default();
    let mut total = [0.0; 2];
    let mut add = |times: [f64; 2]| {
        total = [total[0] + times[0], total[1] + times[1]];
    };
    for _ in 0..rows / batch_rows {
        callers.fill(&mut batch, batch_rows);
        let (imported, times) = took(|| store.import(&batch))?;
        imported?;
        add(times);
    }
    // Closing brings the rest of the log home.
    add(took(|| drop(store))?.1);
    let bytes = fs::metadata(folder.file())?.len() / u64::from(rows);
    Ok((total.map(|us| us / f64::from(rows)), bytes))
}

fn number_names(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let folder = Folder::new()?;
    let names: Vec<String> = (0..NAMES)
        .map(|name| format!("tenant-{:05}/key-{name}", name % 10_000))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for when in ["the first time", "again"] {
        let mut store = Store::open(&folder.file())?;
        let (numbers, [cpu_us, clock_us]) = took(|| store.numbers(NameKind::Key, &names))?;
        numbers?;
        let [cpu_s, clock_s] = [cpu_us, clock_us].map(|us| us / 1e6);
        writeln!(
            out,
            "{NAMES} names {when}: {cpu_s:.2} s of CPU, {clock_s:.2} s"
        )?;
    }
    Ok(())
}
