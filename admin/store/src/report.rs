//! Usage over a stretch of time, in groups: read from roll-ups, never from rows.
//!
//! A stretch is cut into the longest spans that are whole: days in its middle, hours and minutes at
//! its ends and where folding has not come yet. A tenant's groups of one span lie together, so each
//! span is one look-up, and a month is thirty.

use std::collections::BTreeMap;
use std::ops::Range;

use rusqlite::OptionalExtension;

use crate::fault::{Cause, FaultKind, StoreFault};
use crate::reader::{Reader, View};
use crate::rollup::{EVERYONE, Grain, Marks};
use crate::sums::{SUM_COLUMNS, Sums};

/// The most groups that one report has: a month of minutes.
pub const GROUPS_MAX: usize = 31 * 24 * 60;

/// Whose requests are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// All of them.
    Everyone,
    /// One tenant's; 0: of nobody, where a service asks for no key.
    Tenant(u32),
    /// One key's.
    Key {
        /// Whose key it is.
        tenant: u32,
        /// The key.
        key: u32,
    },
}

/// By what requests are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// The minute's start, Unix seconds.
    Minute,
    /// The hour's start, Unix seconds.
    Hour,
    /// The start of the day in UTC, Unix seconds.
    Day,
    /// The tenant's number.
    Tenant,
    /// The key's number.
    Key,
    /// The service's number.
    Service,
    /// The number of the model that was asked for.
    Model,
    /// The provider's number.
    Provider,
    /// The status.
    Status,
}

impl GroupBy {
    const fn column(self) -> &'static str {
        match self {
            Self::Minute | Self::Hour | Self::Day => "starts_s",
            Self::Tenant => "tenant",
            Self::Key => "key",
            Self::Service => "service",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Status => "status",
        }
    }

    /// The longest span that lies within one group.
    const fn coarsest(self) -> Grain {
        match self {
            Self::Minute => Grain::Minute,
            Self::Hour => Grain::Hour,
            _ => Grain::Day,
        }
    }

    /// The group that the value of the column belongs to.
    const fn group(self, value: i64) -> i64 {
        match self {
            Self::Minute | Self::Hour | Self::Day => self.coarsest().start_of(value),
            _ => value,
        }
    }
}

/// One group of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageGroup {
    /// Which: a time, a number or a status, as [`GroupBy`] says.
    pub group: i64,
    /// What its requests come to.
    pub sums: Sums,
}

impl Reader {
    /// What the requests settled in `from_s..to_s` come to, grouped, in the order of the groups;
    /// groups without requests are not there. Both ends are taken to the whole minute, outwards.
    ///
    /// # Errors
    /// [`FaultKind::TooLong`] when there are more than [`GROUPS_MAX`] groups or it takes too long;
    /// otherwise when the file cannot be read.
    pub fn usage(
        &self,
        whose: Whose,
        time_s: Range<i64>,
        by: GroupBy,
    ) -> Result<Vec<UsageGroup>, StoreFault> {
        self.ask(|view| {
            let groups = usage(view, whose, time_s, by)?;
            let groups = groups.into_iter();
            Ok(groups
                .map(|(group, sums)| UsageGroup { group, sums })
                .collect())
        })
    }
}

/// The groups of a report, by what they are grouped by.
pub(crate) fn usage(
    view: &View<'_>,
    whose: Whose,
    time_s: Range<i64>,
    by: GroupBy,
) -> Result<BTreeMap<i64, Sums>, Cause> {
    let mut groups: BTreeMap<i64, Sums> = BTreeMap::new();
    for (grain, starts_s) in spans(view, time_s, by.coarsest())? {
        view.go_on()?;
        let mut statement = view.prepare(&sql(grain, whose, by))?;
        let mut rows = match whose {
            Whose::Everyone => statement.query((starts_s, EVERYONE))?,
            Whose::Tenant(tenant) => statement.query((starts_s, tenant))?,
            Whose::Key { tenant, key } => statement.query((starts_s, tenant, key))?,
        };
        while let Some(row) = rows.next()? {
            let group = by.group(row.get(0)?);
            groups.entry(group).or_default().add(&Sums::read(row, 1)?);
        }
        if groups.len() > GROUPS_MAX {
            return Err(FaultKind::TooLong.into());
        }
    }
    Ok(groups)
}

fn sql(grain: Grain, whose: Whose, by: GroupBy) -> String {
    let condition = match (whose, by) {
        // Who they were is not in the sums over everyone.
        (Whose::Everyone, GroupBy::Tenant | GroupBy::Key) => "tenant <> ?2",
        (Whose::Everyone | Whose::Tenant(_), _) => "tenant = ?2",
        (Whose::Key { .. }, _) => "tenant = ?2 AND key = ?3",
    };
    format!(
        "SELECT {}, {} FROM {} WHERE starts_s = ?1 AND {condition}",
        by.column(),
        SUM_COLUMNS.join(", "),
        grain.table()
    )
}

/// The spans that `time_s` is made of, none longer than `coarsest`, as far as anything is kept.
fn spans(view: &View<'_>, time_s: Range<i64>, coarsest: Grain) -> Result<Vec<(Grain, i64)>, Cause> {
    let marks = Marks::read(view.connection)?;
    let Some(kept) = kept(view)? else {
        return Ok(Vec::new());
    };
    let minute = Grain::Minute;
    let mut at_s = minute.start_of(time_s.start).max(kept.start);
    let end_s = minute.end_of(time_s.end.saturating_sub(1)).min(kept.end);
    let mut spans = Vec::new();
    while at_s < end_s {
        let fits = |grain: &Grain| {
            let span_end_s = at_s + grain.seconds();
            *grain <= coarsest
                && grain.start_of(at_s) == at_s
                && span_end_s <= end_s
                && marks.is_whole(*grain, span_end_s)
        };
        let longest = [Grain::Day, Grain::Hour].into_iter().find(fits);
        let grain = longest.unwrap_or(Grain::Minute);
        spans.push((grain, at_s));
        at_s += grain.seconds();
    }
    Ok(spans)
}

/// The time that roll-ups cover, in whole minutes; nothing when there are none.
fn kept(view: &View<'_>) -> rusqlite::Result<Option<Range<i64>>> {
    // Two questions, since SQLite looks only one end up at a time.
    let end = |order: &str| {
        let sql = format!("SELECT starts_s FROM usage_minutes ORDER BY starts_s {order} LIMIT 1");
        let mut statement = view.prepare(&sql)?;
        statement
            .query_row([], |row| row.get::<_, i64>(0))
            .optional()
    };
    let (first, last) = (end("ASC")?, end("DESC")?);
    Ok(first
        .zip(last)
        .map(|(first, last)| first..last + Grain::Minute.seconds()))
}
