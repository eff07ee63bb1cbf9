//! Usage made up for the examples: who calls, in which order, and what a request leaves behind.

#![allow(dead_code)] // each example uses its own part

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs, io, process};

use tollring_config::NanoUsd;
use tollring_store::{Batch, FILE_NAME, Place, Posting, Span, TokenCounts, UsageRow};

/// 2026-11-01T00:00:00Z.
pub(crate) const START_S: u32 = 1_793_491_200;
const DAY_S: u32 = 86_400;

/// Who calls: each key of one tenant, each call of any key for any of four models.
pub(crate) struct Callers {
    pub(crate) tenants: u32,
    pub(crate) keys: u32,
    /// How often they call, all together.
    pub(crate) rows_per_s: u32,
    /// Rows made so far.
    made: u32,
    random: u32,
}

impl Callers {
    pub(crate) fn new(tenants: u32, keys: u32, rows_per_s: u32) -> Self {
        Self {
            tenants,
            keys,
            rows_per_s,
            made: 0,
            random: 1,
        }
    }

    /// The next `rows` of them, as the journal of lane 0 would tell.
    pub(crate) fn fill(&mut self, batch: &mut Batch, rows: u32) {
        batch.clear();
        let after = self.made.into();
        for _ in 0..rows {
            self.made += 1;
            let key = self.next() % self.keys;
            let model = self.next() % 4;
            let row = self.row(key, model);
            batch.rows.push(row);
            batch.postings.extend(self.postings(key));
        }
        let upto = self.made.into();
        batch.spans.push(Span {
            run: 1,
            lane: 0,
            after,
            upto,
        });
    }

    pub(crate) fn at_s(&self) -> u32 {
        START_S + self.made / self.rows_per_s
    }

    /// The tenants' numbers begin at 1, the keys' behind them, then the models'.
    fn row(&self, key: u32, model: u32) -> UsageRow {
        let part_ms = self.made % self.rows_per_s * 1000 / self.rows_per_s;
        let at_ms = i64::from(self.at_s()) * 1000 + i64::from(part_ms);
        let mut request = [7; 12];
        request[8..].copy_from_slice(&self.made.to_be_bytes());
        let model = 1 + self.tenants + self.keys + model;
        UsageRow {
            place: Place::new(at_ms, 0, self.made.into()),
            request,
            attempt: 1,
            tenant: 1 + key % self.tenants,
            key: 1 + self.tenants + key,
            model_asked: model,
            model_served: model + 4,
            provider: 10 + model % 2,
            price_version: model,
            dialect: 1,
            status: if self.made.is_multiple_of(50) {
                502
            } else {
                200
            },
            outcome: 1,
            usage_source: 1,
            tokens: TokenCounts {
                input: 1_100 + u64::from(self.made % 100),
                output: 134,
                cached_read: 512,
                ..TokenCounts::default()
            },
            cost: NanoUsd(56_789),
            ttfb_us: 180_000 + self.made % 1000,
            total_us: 910_000,
            bytes_in: 4_500,
            bytes_out: 2_900,
            ..UsageRow::default()
        }
    }

    /// To a velocity and a quota of the key, a quota and a balance of its tenant.
    fn postings(&self, key: u32) -> [Posting; 4] {
        let tenant = 2 * self.keys + 2 * (key % self.tenants);
        let minute = self.at_s() - self.at_s() % 60 + 60;
        let day = self.at_s() - self.at_s() % DAY_S + DAY_S;
        let posting = |bucket, ends_s, amount| Posting {
            ends_s,
            bucket,
            amount,
        };
        [
            posting(1 + 2 * key, minute, 1),
            posting(2 + 2 * key, day, 1_234),
            posting(1 + tenant, day, 1_234),
            posting(2 + tenant, tollring_store::NEVER, 56_789),
        ]
    }

    /// An xorshift: the same calls in every run.
    fn next(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random >> 3
    }
}

/// A folder for one store, removed in the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("tollring-example-{}", process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join(FILE_NAME)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Time that this thread has had of a core, and time that has passed, in microseconds.
pub(crate) fn took<T>(work: impl FnOnce() -> T) -> io::Result<(T, [f64; 2])> {
    let (began, used) = (Instant::now(), cpu_us()?);
    let done = work();
    Ok((
        done,
        [cpu_us()? - used, began.elapsed().as_secs_f64() * 1e6],
    ))
}

fn cpu_us() -> io::Result<f64> {
    let text = fs::read_to_string(Path::new("/proc/thread-self/schedstat"))?;
    let nanoseconds = text
        .split(' ')
        .next()
        .and_then(|first| first.parse::<f64>().ok());
    nanoseconds
        .map(|nanoseconds| nanoseconds / 1000.0)
        .ok_or_else(|| io::Error::other("schedstat does not begin with a number"))
}
