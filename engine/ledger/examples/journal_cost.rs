//! Prints what it costs a worker to put a hold and its outcome down, alone and beside a thread
//! that syncs every ten milliseconds, and how quickly they are read back.
//!
//! `cargo run --release -p tollring-ledger --example journal_cost [FOLDER]`; the folder decides
//! on which disk. Nothing else should be in it, and nothing is left there.

use std::hint::black_box;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use tollring_ledger::journal::{
    Batch, Journal, JournalFault, Kind, Posting, RECORD_BYTES, Record, Settings, Writer,
};

/// Enough to drown the clock's own cost, few enough to fit between two interruptions.
const ROUNDS: u32 = 5_000;
/// What disturbs a run only ever makes it slower; but of a disk the middle says more.
const RUNS: usize = 200;
const SYNC_INTERVAL: Duration = Duration::from_millis(10);
const SETTINGS: Settings = Settings {
    segment_bytes: 16 << 20,
    bytes_max: 128 << 20,
    lanes: 1,
};

const POSTING: Posting = Posting {
    bucket: 7,
    ends_s: u32::MAX,
    amount: 1_500,
};

/// A hold over three buckets and what it came to.
fn put_down(writer: &mut Writer, request: u64) {
    let mut record = Record {
        kind: Kind::Hold,
        tenant: 1,
        key: 2,
        ..Record::default()
    };
    record.request[..8].copy_from_slice(&request.to_le_bytes());
    let postings = black_box(&[POSTING; 3]).iter();
    let held = writer.admit(black_box(&record), postings.clone().copied());
    let (_, room) = held.expect("a segment is ready");
    record.kind = Kind::Post;
    black_box(writer.settle(room, black_box(&record), postings.copied()));
}

/// Nanoseconds for each hold and outcome, of every run in order of size.
fn nanoseconds_each(journal: &Journal, writer: &mut Writer) -> Result<Vec<f64>, JournalFault> {
    let mut runs = Vec::with_capacity(RUNS);
    for run in 0..RUNS as u64 {
        let start = Instant::now();
        for round in 0..ROUNDS {
            put_down(writer, run << 32 | u64::from(round));
        }
        runs.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS));
        // As if it had been imported: so segments are used again.
        journal.release(0, writer.next());
        journal.tend()?;
    }
    runs.sort_by(f64::total_cmp);
    Ok(runs)
}

fn line(out: &mut impl Write, what: &str, runs: &[f64]) -> io::Result<()> {
    let (best, middle) = (runs[0], runs[runs.len() / 2]);
    let megabytes_s = 2.0 * RECORD_BYTES as f64 * 1e3 / middle;
    writeln!(
        out,
        "{what}: best {best:.0} ns, median {middle:.0} ns, {megabytes_s:.0} MB/s"
    )
}

fn measure(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let (journal, _) = Journal::open(folder, SETTINGS, &[])?;
    let (mut writer, mut out) = (journal.writer(0), io::stdout());
    // Segments are slower the first time: their blocks have to be found.
    nanoseconds_each(&journal, &mut writer)?;
    let alone = nanoseconds_each(&journal, &mut writer)?;
    line(&mut out, "hold + post put down, never synced", &alone)?;
    let is_over = AtomicBool::new(false);
    let synced = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                thread::sleep(SYNC_INTERVAL);
                if journal.sync().is_err() {
                    break;
                }
            }
        });
        let synced = nanoseconds_each(&journal, &mut writer);
        is_over.store(true, Ordering::Relaxed);
        synced
    })?;
    line(&mut out, "the same, synced every 10 ms", &synced)?;
    journal.sync()?;

    let from = writer.next();
    for request in 0..10_000 {
        put_down(&mut writer, request);
    }
    journal.sync()?;
    let (mut reader, mut batch) = (journal.reader(&[(0, from)]), Batch::default());
    let (start, mut records) = (Instant::now(), 0);
    loop {
        reader.next_batch(&mut batch, 1_000)?;
        if batch.is_empty() {
            break;
        }
        records += batch.len();
    }
    let each = start.elapsed().as_secs_f64() * 1e9 / records as f64;
    writeln!(out, "read back: {each:.0} ns a record")?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = env::args_os()
        .nth(1)
        .map_or_else(env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("tollring-journal-cost-{}", process::id()));
    let measured = measure(&folder);
    fs::remove_dir_all(&folder)?;
    measured
}
