//! Sums of usage over minutes, hours and days, kept up as rows are imported.
//!
//! A batch is summed in memory first, so that a group costs one upsert a batch and not one a
//! request. All three grains are written at once: an hour is never behind its minutes, and a record
//! that comes late is added where it belongs. Minutes, hours and days begin in UTC.

use std::collections::HashMap;

use rusqlite::Connection;
use tollring_config::NanoUsd;

use crate::usage::{TokenCounts, UsageRow, column};

/// The length of a roll-up's spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grain {
    /// 60 s.
    Minute,
    /// 3,600 s.
    Hour,
    /// 86,400 s.
    Day,
}

impl Grain {
    /// Every grain, the finest first.
    pub(crate) const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Its length in seconds.
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    pub(crate) const fn table(self) -> &'static str {
        match self {
            Self::Minute => "usage_minutes",
            Self::Hour => "usage_hours",
            Self::Day => "usage_days",
        }
    }
}

/// What the requests of one span have in common that are summed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Group {
    pub(crate) starts_s: i64,
    pub(crate) tenant: u32,
    pub(crate) key: u32,
    pub(crate) service: u32,
    pub(crate) model: u32,
    pub(crate) provider: u32,
    pub(crate) status: u16,
}

/// What the requests of a group come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// All of them.
    pub requests: u64,
    /// Those answered with a status of 500 or above, or not at all.
    pub errors: u64,
    /// Those that we refused with a status below 500.
    pub refused: u64,
    /// Tokens by kind.
    pub tokens: TokenCounts,
    /// What they cost.
    pub cost: NanoUsd,
    /// Microseconds to the first byte, over all of them.
    pub ttfb_us: u64,
    /// Microseconds to the last byte, over all of them.
    pub total_us: u64,
    /// Bytes of requests.
    pub bytes_in: u64,
    /// Bytes of answers.
    pub bytes_out: u64,
}

/// The columns of [`Sums`], in order.
pub(crate) const SUM_COLUMNS: [&str; 16] = [
    "requests",
    "errors",
    "refused",
    "input",
    "output",
    "cached_read",
    "cache_write",
    "reasoning",
    "audio",
    "image",
    "searches",
    "cost",
    "ttfb_us",
    "total_us",
    "bytes_in",
    "bytes_out",
];

impl Sums {
    /// What one request adds.
    fn of(row: &UsageRow) -> Self {
        let is_error = row.status == 0 || row.status >= 500;
        Self {
            requests: 1,
            errors: u64::from(is_error),
            refused: u64::from(row.refusal != 0 && !is_error),
            tokens: row.tokens,
            cost: row.cost,
            ttfb_us: u64::from(row.ttfb_us),
            total_us: row.total_us,
            bytes_in: row.bytes_in,
            bytes_out: row.bytes_out,
        }
    }

    /// In the order of [`SUM_COLUMNS`].
    fn columns(&self) -> [i64; 16] {
        let tokens = &self.tokens;
        [
            column(self.requests),
            column(self.errors),
            column(self.refused),
            column(tokens.input),
            column(tokens.output),
            column(tokens.cached_read),
            column(tokens.cache_write),
            column(tokens.reasoning),
            column(tokens.audio),
            column(tokens.image),
            column(tokens.searches),
            self.cost.0,
            column(self.ttfb_us),
            column(self.total_us),
            column(self.bytes_in),
            column(self.bytes_out),
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let (ours, theirs) = (&mut self.tokens, &other.tokens);
        for (sum, more) in [
            (&mut self.requests, other.requests),
            (&mut self.errors, other.errors),
            (&mut self.refused, other.refused),
            (&mut ours.input, theirs.input),
            (&mut ours.output, theirs.output),
            (&mut ours.cached_read, theirs.cached_read),
            (&mut ours.cache_write, theirs.cache_write),
            (&mut ours.reasoning, theirs.reasoning),
            (&mut ours.audio, theirs.audio),
            (&mut ours.image, theirs.image),
            (&mut ours.searches, theirs.searches),
            (&mut self.ttfb_us, other.ttfb_us),
            (&mut self.total_us, other.total_us),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.cost += other.cost;
    }
}

/// Adds `rows` to the sums of their minutes, hours and days.
pub(crate) fn add(connection: &Connection, rows: &[UsageRow]) -> rusqlite::Result<()> {
    let mut minutes: HashMap<Group, Sums> = HashMap::new();
    for row in rows {
        let group = Group {
            starts_s: row.at_ms().div_euclid(1000),
            tenant: row.tenant,
            key: row.key,
            service: row.service,
            model: row.model_asked,
            provider: row.provider,
            status: row.status,
        };
        let minute = within(group, Grain::Minute);
        minutes.entry(minute).or_default().add(&Sums::of(row));
    }
    upsert(connection, Grain::Minute, &minutes)?;
    let hours = coarser(&minutes, Grain::Hour);
    upsert(connection, Grain::Hour, &hours)?;
    upsert(connection, Grain::Day, &coarser(&hours, Grain::Day))
}

fn within(group: Group, grain: Grain) -> Group {
    let starts_s = group.starts_s - group.starts_s.rem_euclid(grain.seconds());
    Group { starts_s, ..group }
}

fn coarser(finer: &HashMap<Group, Sums>, grain: Grain) -> HashMap<Group, Sums> {
    let mut sums: HashMap<Group, Sums> = HashMap::with_capacity(finer.len());
    for (&group, more) in finer {
        sums.entry(within(group, grain)).or_default().add(more);
    }
    sums
}

fn upsert(
    connection: &Connection,
    grain: Grain,
    sums: &HashMap<Group, Sums>,
) -> rusqlite::Result<()> {
    let mut groups: Vec<(&Group, &Sums)> = sums.iter().collect();
    // In the table's own order, so that neighbours are found where the one before them was.
    groups.sort_unstable_by_key(|&(group, _)| group);
    let mut statement = connection.prepare_cached(&upsert_sql(grain))?;
    for (group, sums) in groups {
        statement.raw_bind_parameter(1, group.starts_s)?;
        let names = [
            group.tenant,
            group.key,
            group.service,
            group.model,
            group.provider,
        ];
        for (place, name) in (2..).zip(names) {
            statement.raw_bind_parameter(place, name)?;
        }
        statement.raw_bind_parameter(7, group.status)?;
        for (place, sum) in (8..).zip(sums.columns()) {
            statement.raw_bind_parameter(place, sum)?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

fn upsert_sql(grain: Grain) -> String {
    let table = grain.table();
    let marks = vec!["?"; 7 + SUM_COLUMNS.len()].join(", ");
    let added: Vec<String> = SUM_COLUMNS
        .iter()
        .map(|column| format!("{column} = {column} + excluded.{column}"))
        .collect();
    format!(
        "INSERT INTO {table} VALUES ({marks}) \
         ON CONFLICT (starts_s, tenant, key, service, model, provider, status) \
         DO UPDATE SET {}",
        added.join(", ")
    )
}
