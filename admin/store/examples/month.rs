//! Prints how long questions take after a month of usage, with roll-ups of every row and the rows
//! of the last day.
//!
//! `cargo run --release -p tollring-store --example month [rows a day]`
//!
//! A hundred tenants with ten keys each call four models all day long. Each question is asked
//! several times, and the middle one's time is printed: what it had of a core, which does not
//! depend on what else the machine does, and by the clock.

mod made;

use std::env;
use std::error::Error;
use std::io::{self, Write};

use made::{Callers, Folder, START_S, took};
use tollring_store::{Batch, GroupBy, Reader, RowFilter, Store, Whose};

const ROWS_PER_DAY: u32 = 1_000_000;
const DAYS: u32 = 30;
const DAY_S: u32 = 86_400;
const BATCH_ROWS: u32 = 20_000;
const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let rows_per_day: u32 = match env::args().nth(1) {
        Some(rows) => rows.parse()?,
        None => ROWS_PER_DAY,
    };
    let folder = Folder::new()?;
    let mut store = Store::open(&folder.file())?;
    let mut callers = Callers::new(100, 1_000, (rows_per_day / DAY_S).max(1));
    let mut batch = Batch::default();
    let end_s = START_S + DAYS * DAY_S;
    while callers.at_s() < end_s {
        callers.fill(&mut batch, BATCH_ROWS);
        store.import(&batch)?;
        while store.forget_rows(i64::from(callers.at_s() - DAY_S))?.more {}
    }
    ask(&store.reader()?)
}

fn ask(reader: &Reader) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    writeln!(out, "      CPU         clock")?;
    let tenant = 7;
    let key = Whose::Key {
        tenant,
        key: 1 + 100 + 6,
    };
    let tenant = Whose::Tenant(tenant);
    let start_s = i64::from(START_S);
    let month = start_s..start_s + i64::from(DAYS * DAY_S);
    // Neither end on a whole hour.
    let odd = month.start + 12_345..month.end - 12_345;
    let reports = [
        ("a tenant's month by day", tenant, &month, GroupBy::Day),
        ("a tenant's odd month by day", tenant, &odd, GroupBy::Day),
        ("a tenant's month by hour", tenant, &month, GroupBy::Hour),
        ("a tenant's month by key", tenant, &month, GroupBy::Key),
        ("a tenant's month by model", tenant, &month, GroupBy::Model),
        ("a key's month by day", key, &month, GroupBy::Day),
        (
            "everyone's month by day",
            Whose::Everyone,
            &month,
            GroupBy::Day,
        ),
        (
            "everyone's month by tenant",
            Whose::Everyone,
            &month,
            GroupBy::Tenant,
        ),
    ];
    for (question, whose, time_s, by) in reports {
        let ms = middle(|| Ok(reader.usage(whose, time_s.clone(), by).map(drop)?))?;
        writeln!(out, "{ms}  {question}")?;
    }
    let newest = reader.rows(&RowFilter::of(key), None, 1)?.rows;
    let request = newest.first().ok_or("no row of the key is left")?.request;
    let ms = middle(|| Ok(reader.request(&request).map(drop)?))?;
    writeln!(out, "{ms}  one request by its id")?;
    for (question, whose) in [("a tenant's", tenant), ("a key's", key)] {
        let filter = RowFilter::of(whose);
        let ms = middle(|| Ok(reader.rows(&filter, None, 100).map(drop)?))?;
        writeln!(out, "{ms}  {question} newest 100 rows")?;
    }
    Ok(())
}

fn middle(
    mut question: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<String, Box<dyn Error>> {
    let mut times = [[0.0; ROUNDS]; 2];
    for round in 0..ROUNDS {
        let (answered, took_us) = took(&mut question)?;
        answered?;
        for (times, took_us) in times.iter_mut().zip(took_us) {
            times[round] = took_us / 1000.0;
        }
    }
    let [cpu_ms, clock_ms] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    });
    Ok(format!("{cpu_ms:>9.2} ms  {clock_ms:>9.2} ms"))
}
