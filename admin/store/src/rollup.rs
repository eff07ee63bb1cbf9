//! Sums of usage over minutes, hours and days, kept up as rows are imported.
//!
//! A batch is summed in memory first and added to its minutes. A minute that is over is folded into
//! its hour, an hour into its day, each group then once and in the table's own order: with many
//! callers that is a third of the work of keeping all three up with every batch. [`Marks`] say how
//! far folding has come; what comes later than that is added to the coarser sums as well, and who
//! reads takes minutes where hours are not yet whole. Minutes, hours and days begin in UTC.

use rusqlite::Connection;

use crate::marks::Mark;
use crate::sums::{SUM_COLUMNS, Sums};
use crate::usage::UsageRow;

/// The tenant under whom the sums over all tenants stand; no name has this number.
pub(crate) const EVERYONE: u32 = u32::MAX;

/// How much older than the oldest row of a batch a minute must be to be folded: what comes later
/// than that is right too, but costs more.
const LATE_S: i64 = 60;

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
    /// Its length in seconds.
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// The start of the span that `at_s` lies in.
    pub const fn start_of(self, at_s: i64) -> i64 {
        at_s.saturating_sub(at_s.rem_euclid(self.seconds()))
    }

    /// The end of the span that `at_s` lies in.
    pub const fn end_of(self, at_s: i64) -> i64 {
        self.start_of(at_s).saturating_add(self.seconds())
    }

    pub(crate) const fn table(self) -> &'static str {
        match self {
            Self::Minute => "usage_minutes",
            Self::Hour => "usage_hours",
            Self::Day => "usage_days",
        }
    }
}

/// Up to where (Unix seconds) finer sums are in the coarser ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// Minutes that begin before this are in their hours; a whole minute.
    hours_upto: i64,
    /// Hours that begin before this are in their days; a whole hour, and not after `hours_upto`.
    days_upto: i64,
}

impl Marks {
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            hours_upto: Mark::HoursUpto.read(connection)?,
            days_upto: Mark::DaysUpto.read(connection)?,
        })
    }

    /// Whether the sums of `grain` have all that ended by `end_s`.
    pub(crate) const fn is_whole(self, grain: Grain, end_s: i64) -> bool {
        match grain {
            Grain::Minute => true,
            Grain::Hour => end_s <= self.hours_upto,
            Grain::Day => end_s <= self.days_upto,
        }
    }
}

/// What the requests of one span have in common that are summed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    starts_s: i64,
    tenant: u32,
    key: u32,
    service: u32,
    model: u32,
    provider: u32,
    status: u16,
}

impl Group {
    fn of(row: &UsageRow) -> Self {
        Self {
            starts_s: Grain::Minute.start_of(row.at_ms().div_euclid(1000)),
            tenant: row.tenant,
            key: row.key,
            service: row.service,
            model: row.model_asked,
            provider: row.provider,
            status: row.status,
        }
    }

    /// The same for all tenants together.
    fn of_everyone(self) -> Self {
        Self {
            tenant: EVERYONE,
            key: 0,
            ..self
        }
    }

    fn within(self, grain: Grain) -> Self {
        Self {
            starts_s: grain.start_of(self.starts_s),
            ..self
        }
    }
}

/// Adds `rows` to the sums of their minutes, and folds the minutes and hours that are over.
pub(crate) fn add(connection: &Connection, rows: &[UsageRow]) -> rusqlite::Result<()> {
    let marks = Marks::read(connection)?;
    let mut minutes = sum_up(
        rows.iter()
            .map(|row| (Group::of(row), Sums::of(row)))
            .collect(),
    );
    let everyone = minutes
        .iter()
        .map(|&(group, sums)| (group.of_everyone(), sums));
    minutes.extend(sum_up(everyone.collect()));
    upsert(connection, Grain::Minute, &minutes)?;
    // What is late for folding goes where folding would have brought it.
    let late = |upto: i64, grain: Grain| {
        let late = minutes
            .iter()
            .filter(move |(group, _)| group.starts_s < upto);
        sum_up(
            late.map(|&(group, sums)| (group.within(grain), sums))
                .collect(),
        )
    };
    upsert(
        connection,
        Grain::Hour,
        &late(marks.hours_upto, Grain::Hour),
    )?;
    upsert(connection, Grain::Day, &late(marks.days_upto, Grain::Day))?;
    match minutes.iter().map(|(group, _)| group.starts_s).min() {
        Some(oldest_s) => fold(connection, marks, oldest_s - LATE_S),
        None => Ok(()),
    }
}

/// One entry a group, in the table's own order, so that neighbours are found where the one before
/// them was.
fn sum_up(mut parts: Vec<(Group, Sums)>) -> Vec<(Group, Sums)> {
    parts.sort_unstable_by_key(|&(group, _)| group);
    parts.dedup_by(|(group, more), (kept, sums)| {
        let same = group == kept;
        if same {
            sums.add(more);
        }
        same
    });
    parts
}

fn upsert(connection: &Connection, grain: Grain, sums: &[(Group, Sums)]) -> rusqlite::Result<()> {
    if sums.is_empty() {
        return Ok(());
    }
    let marks = vec!["?"; 7 + SUM_COLUMNS.len()].join(", ");
    let sql = format!(
        "INSERT INTO {} VALUES ({marks}) {}",
        grain.table(),
        on_conflict()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    for (group, sums) in sums {
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

fn on_conflict() -> String {
    let added = SUM_COLUMNS.map(|column| format!("{column} = {column} + excluded.{column}"));
    format!(
        "ON CONFLICT (starts_s, tenant, key, service, model, provider, status) DO UPDATE SET {}",
        added.join(", ")
    )
}

/// Brings minutes that begin before `upto_s` into their hours, and whole hours into their days.
fn fold(connection: &Connection, marks: Marks, upto_s: i64) -> rusqlite::Result<()> {
    let hours_upto = Grain::Minute.start_of(upto_s);
    if hours_upto <= marks.hours_upto {
        return Ok(());
    }
    bring(
        connection,
        Grain::Minute,
        Grain::Hour,
        [marks.hours_upto, hours_upto],
    )?;
    Mark::HoursUpto.write(connection, hours_upto)?;
    let days_upto = Grain::Hour.start_of(hours_upto);
    if days_upto <= marks.days_upto {
        return Ok(());
    }
    bring(
        connection,
        Grain::Hour,
        Grain::Day,
        [marks.days_upto, days_upto],
    )?;
    Mark::DaysUpto.write(connection, days_upto)
}

/// Adds the sums of the spans that begin in `from..upto` to the coarser ones they lie in.
fn bring(
    connection: &Connection,
    finer: Grain,
    coarser: Grain,
    [from_s, upto_s]: [i64; 2],
) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO {} SELECT starts_s - starts_s % {}, \
         tenant, key, service, model, provider, status, {} \
         FROM {} WHERE starts_s >= ?1 AND starts_s < ?2 {}",
        coarser.table(),
        coarser.seconds(),
        SUM_COLUMNS.join(", "),
        finer.table(),
        on_conflict()
    );
    connection
        .prepare_cached(&sql)?
        .execute([from_s, upto_s])
        .map(drop)
}
