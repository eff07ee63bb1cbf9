//! The rows themselves: one request by its id, and pages of them, newest first.
//!
//! Rows lie in the order of time and have no index on who called: that would cost every import what
//! few questions need. The roll-ups are the index. They say which minutes have a row that fits, and
//! only those are read; days and hours without any are stepped over in one look-up each.

use std::ops::Range;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, ToSql, params_from_iter};
use tollring_config::NanoUsd;

use crate::fault::{Cause, StoreFault};
use crate::reader::{Reader, View};
use crate::report::Whose;
use crate::rollup::{EVERYONE, Grain, Marks};
use crate::store::count;
use crate::usage::{Place, RequestId, UsageRow, token_counts};

/// The most rows of one page.
pub const PAGE_ROWS_MAX: usize = 1_000;

/// How long a page is looked for before it is given as far as it came: rare rows are then found
/// over several pages, each of them soon.
const PAGE_TIME_MAX: Duration = Duration::from_secs(1);

/// Which rows are wanted: those that fit every field that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowFilter {
    /// Whose.
    pub whose: Whose,
    /// Settled at or after this, Unix seconds.
    pub from_s: Option<i64>,
    /// Settled before this, Unix seconds.
    pub to_s: Option<i64>,
    /// Of this team.
    pub team: Option<u32>,
    /// To this service.
    pub service: Option<u32>,
    /// That asked for this model.
    pub model: Option<u32>,
    /// That this provider answered.
    pub provider: Option<u32>,
    /// With this status.
    pub status: Option<u16>,
    /// With this refusal.
    pub refusal: Option<u16>,
    /// That cost this or more.
    pub cost_min: Option<NanoUsd>,
    /// That took this or longer, in microseconds.
    pub total_us_min: Option<u64>,
}

impl RowFilter {
    /// All rows of somebody.
    pub const fn of(whose: Whose) -> Self {
        Self {
            whose,
            from_s: None,
            to_s: None,
            team: None,
            service: None,
            model: None,
            provider: None,
            status: None,
            refusal: None,
            cost_min: None,
            total_us_min: None,
        }
    }

    /// What rows and roll-ups both know, as columns of the one or the other.
    fn shared(&self, model_column: &'static str) -> Vec<(&'static str, i64)> {
        let named = [
            ("service = ?", self.service.map(i64::from)),
            (model_column, self.model.map(i64::from)),
            ("provider = ?", self.provider.map(i64::from)),
            ("status = ?", self.status.map(i64::from)),
        ];
        let set = named.into_iter();
        set.filter_map(|(column, value)| Some((column, value?)))
            .collect()
    }

    fn of_rows(&self) -> Vec<(&'static str, i64)> {
        let mut conditions = self.shared("model_asked = ?");
        match self.whose {
            Whose::Everyone => {}
            Whose::Tenant(tenant) => conditions.push(("tenant = ?", tenant.into())),
            Whose::Key { tenant, key } => {
                conditions.push(("tenant = ?", tenant.into()));
                conditions.push(("key = ?", key.into()));
            }
        }
        let only_rows = [
            ("team = ?", self.team.map(i64::from)),
            ("refusal = ?", self.refusal.map(i64::from)),
            ("cost >= ?", self.cost_min.map(|cost| cost.0)),
            ("total_us >= ?", self.total_us_min.map(crate::usage::column)),
        ];
        let set = only_rows.into_iter();
        conditions.extend(set.filter_map(|(column, value)| Some((column, value?))));
        conditions
    }

    fn of_rollups(&self) -> Vec<(&'static str, i64)> {
        let mut conditions = self.shared("model = ?");
        match self.whose {
            Whose::Everyone => conditions.push(("tenant = ?", EVERYONE.into())),
            Whose::Tenant(tenant) => conditions.push(("tenant = ?", tenant.into())),
            Whose::Key { tenant, key } => {
                conditions.push(("tenant = ?", tenant.into()));
                conditions.push(("key = ?", key.into()));
            }
        }
        conditions
    }
}

/// Some rows, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The rows.
    pub rows: Vec<UsageRow>,
    /// Where the next page begins; absent: there are no more. A page may be short, even empty, and
    /// still have a next one: rare rows are looked for in several goes.
    pub next: Option<Place>,
}

impl Reader {
    /// The newest rows that fit, at most `rows_max` (and [`PAGE_ROWS_MAX`]) of them, older than
    /// `before`, which is the `next` of the page before.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rows(
        &self,
        filter: &RowFilter,
        before: Option<Place>,
        rows_max: usize,
    ) -> Result<Page, StoreFault> {
        self.ask(|view| page(view, filter, before, rows_max.clamp(1, PAGE_ROWS_MAX)))
    }

    /// The rows of one request, the oldest first: one, or one for each attempt that was recorded;
    /// none when it is unknown, or older than rows are kept.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn request(&self, request: &RequestId) -> Result<Vec<UsageRow>, StoreFault> {
        self.ask(|view| {
            let mut statement =
                view.prepare("SELECT * FROM usage_rows WHERE request = ?1 ORDER BY place")?;
            let rows = statement.query_map([request as &dyn ToSql], usage_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Fills a page, minute by minute where there is something to skip, and else in one go.
fn page(
    view: &View<'_>,
    filter: &RowFilter,
    before: Option<Place>,
    rows_max: usize,
) -> Result<Page, Cause> {
    let mut page = Page::default();
    let Some([oldest, newest]) = kept(view)? else {
        return Ok(page);
    };
    let place_of = |at_s: i64| Place::first_of(at_s.saturating_mul(1000));
    let first = filter.from_s.map_or(oldest, place_of).max(oldest);
    let end = filter.to_s.map_or(Place(newest.0 + 1), place_of);
    let mut end = end.min(before.unwrap_or(end)).min(Place(newest.0 + 1));
    let is_sparse = !filter.of_rows().is_empty();
    let marks = Marks::read(view.connection)?;
    while first < end {
        let from = if is_sparse {
            let Some(minute_s) = last_minute(view, filter, marks, first..end)? else {
                return Ok(page);
            };
            // What lies between that minute and the end has nothing that fits.
            end = end.min(place_of(minute_s + 60));
            place_of(minute_s).max(first)
        } else {
            first
        };
        read_rows(view, filter, from..end, rows_max, &mut page.rows)?;
        if let Some(last) = page.rows.last().filter(|_| page.rows.len() == rows_max) {
            page.next = Some(last.place).filter(|&next| first < next);
            return Ok(page);
        }
        end = from;
        if view.elapsed() > PAGE_TIME_MAX {
            page.next = Some(end).filter(|&next| first < next);
            return Ok(page);
        }
    }
    Ok(page)
}

/// The oldest and the newest row's places.
fn kept(view: &View<'_>) -> rusqlite::Result<Option<[Place; 2]>> {
    let end = |order: &str| {
        let sql = format!("SELECT place FROM usage_rows ORDER BY place {order} LIMIT 1");
        let found = view.prepare(&sql)?.query_row([], |row| row.get(0));
        found.optional()
    };
    let ends = end("ASC")?.zip(end("DESC")?);
    Ok(ends.map(|(oldest, newest)| [Place(oldest), Place(newest)]))
}

/// The start of the last minute in `places` that has a row which may fit, by the roll-ups.
fn last_minute(
    view: &View<'_>,
    filter: &RowFilter,
    marks: Marks,
    places: Range<Place>,
) -> Result<Option<i64>, Cause> {
    let second = |place: Place| place.at_ms().div_euclid(1000);
    let first_s = Grain::Minute.start_of(second(places.start));
    let mut end_s = Grain::Minute.end_of(second(Place(places.end.0 - 1)));
    while first_s < end_s {
        view.go_on()?;
        let step = |grain: Grain| -> Result<bool, Cause> {
            let is_span = grain.start_of(end_s) == end_s && marks.is_whole(grain, end_s);
            Ok(is_span && !has_any(view, filter, grain, end_s - grain.seconds())?)
        };
        end_s -= if step(Grain::Day)? {
            Grain::Day.seconds()
        } else if step(Grain::Hour)? {
            Grain::Hour.seconds()
        } else if step(Grain::Minute)? {
            Grain::Minute.seconds()
        } else {
            return Ok(Some(end_s - Grain::Minute.seconds()));
        };
    }
    Ok(None)
}

/// Whether the span of `grain` that begins at `starts_s` has anything that may fit.
fn has_any(
    view: &View<'_>,
    filter: &RowFilter,
    grain: Grain,
    starts_s: i64,
) -> rusqlite::Result<bool> {
    let mut conditions = filter.of_rollups();
    conditions.push(("starts_s = ?", starts_s));
    let (words, values) = split(&conditions);
    let sql = format!("SELECT 1 FROM {} WHERE {words} LIMIT 1", grain.table());
    view.prepare(&sql)?.exists(params_from_iter(values))
}

/// Appends the newest rows in `places` that fit, until `rows` has `rows_max`.
fn read_rows(
    view: &View<'_>,
    filter: &RowFilter,
    places: Range<Place>,
    rows_max: usize,
    rows: &mut Vec<UsageRow>,
) -> Result<(), Cause> {
    let mut conditions = filter.of_rows();
    conditions.push(("place >= ?", places.start.0));
    conditions.push(("place < ?", places.end.0));
    let (words, mut values) = split(&conditions);
    let missing = rows_max.saturating_sub(rows.len());
    values.push(Value::Integer(i64::try_from(missing).unwrap_or(i64::MAX)));
    let sql = format!("SELECT * FROM usage_rows WHERE {words} ORDER BY place DESC LIMIT ?");
    let mut statement = view.prepare(&sql)?;
    let found = statement.query_map(params_from_iter(values), usage_row)?;
    for row in found {
        rows.push(row?);
    }
    Ok(())
}

/// Conditions as SQL, and what stands at their marks.
fn split(conditions: &[(&'static str, i64)]) -> (String, Vec<Value>) {
    let words: Vec<&str> = conditions.iter().map(|&(words, _)| words).collect();
    let values = conditions.iter().map(|&(_, value)| Value::Integer(value));
    (words.join(" AND "), values.collect())
}

/// Reads a row of `usage_rows`, all columns in order.
fn usage_row(row: &Row<'_>) -> rusqlite::Result<UsageRow> {
    Ok(UsageRow {
        place: Place(row.get(0)?),
        request: row.get(1)?,
        attempt: row.get(2)?,
        tenant: row.get(3)?,
        team: row.get(4)?,
        key: row.get(5)?,
        service: row.get(6)?,
        model_asked: row.get(7)?,
        model_served: row.get(8)?,
        provider: row.get(9)?,
        price_version: row.get(10)?,
        dialect: row.get(11)?,
        status: row.get(12)?,
        refusal: row.get(13)?,
        outcome: row.get(14)?,
        usage_source: row.get(15)?,
        tokens: token_counts(row, 16)?,
        cost: NanoUsd(row.get(24)?),
        ttfb_us: row.get(25)?,
        total_us: count(row, 26)?,
        bytes_in: count(row, 27)?,
        bytes_out: count(row, 28)?,
    })
}
