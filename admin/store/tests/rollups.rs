//! Roll-ups are the sums over rows, whatever came in which order, and a day is a day in UTC.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod support;

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;
use support::{Folder, MIDNIGHT_S, RUN, row};
use tollring_store::{Batch, GroupBy, Place, Span, UsageGroup, UsageRow, Whose};

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 86_400;

const GROUPINGS: [GroupBy; 9] = [
    GroupBy::Minute,
    GroupBy::Hour,
    GroupBy::Day,
    GroupBy::Tenant,
    GroupBy::Key,
    GroupBy::Service,
    GroupBy::Model,
    GroupBy::Provider,
    GroupBy::Status,
];

/// Times near the ends of minutes, hours and days, and far from them.
fn at_ms() -> impl Strategy<Value = i64> {
    let days = -2..3_i64;
    let near = prop_oneof![
        Just(0),
        Just(HOUR_S),
        Just(13 * HOUR_S),
        (0..24 * 60_i64).prop_map(|minutes| minutes * 60),
    ];
    (days, near, -2_000..62_000_i64)
        .prop_map(|(day, near_s, ms)| (MIDNIGHT_S + day * DAY_S + near_s) * 1000 + ms)
}

fn some_row() -> impl Strategy<Value = UsageRow> {
    let names = (0..3_u32, 0..4_u32, 0..2_u32, 0..3_u32, 0..2_u32);
    let ending = (
        prop_oneof![Just(0_u16), Just(200), Just(402), Just(502)],
        0..2_u16,
    );
    (at_ms(), names, ending, 0..1_000_u64).prop_map(|(at_ms, names, (status, refusal), amount)| {
        let (tenant, key, service, model_asked, provider) = names;
        let mut made = UsageRow {
            tenant,
            // A key is of one tenant.
            key: if key == 0 { 0 } else { 10 * tenant + key },
            service,
            model_asked,
            provider,
            status,
            refusal,
            ..row(at_ms, 0, 0)
        };
        made.tokens.input = amount;
        made.tokens.searches = amount / 7;
        made.cost.0 = amount as i64 * 3;
        made.bytes_out = amount * 5;
        made
    })
}

/// Batches of rows, each row with a sequence of its own.
fn batches(rows: &[UsageRow], sizes: &[usize]) -> Vec<Batch> {
    let mut sequence = 0;
    let mut rest = rows;
    let mut batches = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            return batches;
        }
        let (these, others) = rest.split_at((*size).min(rest.len()));
        rest = others;
        let after = sequence;
        let numbered = these.iter().map(|row| {
            sequence += 1;
            let place = Place::new(row.at_ms(), 0, sequence);
            UsageRow { place, ..*row }
        });
        let rows = numbered.collect();
        let upto = sequence;
        let spans = vec![Span {
            run: RUN,
            lane: 0,
            after,
            upto,
        }];
        batches.push(Batch {
            spans,
            rows,
            postings: Vec::new(),
        });
    }
    batches
}

fn is_of(whose: Whose, row: &UsageRow) -> bool {
    match whose {
        Whose::Everyone => true,
        Whose::Tenant(tenant) => row.tenant == tenant,
        Whose::Key { tenant, key } => row.tenant == tenant && row.key == key,
    }
}

fn group_of(by: GroupBy, row: &UsageRow) -> i64 {
    let at_s = row.at_ms().div_euclid(1000);
    match by {
        GroupBy::Minute => at_s - at_s.rem_euclid(60),
        GroupBy::Hour => at_s - at_s.rem_euclid(HOUR_S),
        GroupBy::Day => at_s - at_s.rem_euclid(DAY_S),
        GroupBy::Tenant => row.tenant.into(),
        GroupBy::Key => row.key.into(),
        GroupBy::Service => row.service.into(),
        GroupBy::Model => row.model_asked.into(),
        GroupBy::Provider => row.provider.into(),
        GroupBy::Status => row.status.into(),
    }
}

/// Requests, errors, refused, input, searches, cost and bytes out.
type Figures = [i64; 7];

fn figures(group: &UsageGroup) -> Figures {
    let sums = &group.sums;
    [
        sums.requests as i64,
        sums.errors as i64,
        sums.refused as i64,
        sums.tokens.input as i64,
        sums.tokens.searches as i64,
        sums.cost.0,
        sums.bytes_out as i64,
    ]
}

fn summed(
    rows: &[UsageRow],
    whose: Whose,
    time_s: &Range<i64>,
    by: GroupBy,
) -> Vec<(i64, Figures)> {
    let minutes = time_s.start.div_euclid(60) * 60..-(-time_s.end).div_euclid(60) * 60;
    let mut groups: BTreeMap<i64, Figures> = BTreeMap::new();
    let meant = rows
        .iter()
        .filter(|row| is_of(whose, row) && minutes.contains(&row.at_ms().div_euclid(1000)));
    for row in meant {
        let is_error = row.status == 0 || row.status >= 500;
        let adds = [
            1,
            i64::from(is_error),
            i64::from(row.refusal != 0 && !is_error),
            row.tokens.input as i64,
            row.tokens.searches as i64,
            row.cost.0,
            row.bytes_out as i64,
        ];
        let figures = groups.entry(group_of(by, row)).or_default();
        for (sum, add) in figures.iter_mut().zip(adds) {
            *sum += add;
        }
    }
    groups.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_report_is_the_sum_over_the_rows_it_speaks_of(
        mut rows in prop::collection::vec(some_row(), 1..120),
        in_order in any::<bool>(),
        sizes in prop::collection::vec(1..40_usize, 1..5),
        ends in prop::collection::vec((at_ms(), at_ms()), 1..4),
    ) {
        if in_order {
            rows.sort_by_key(|row| row.place);
        }
        let folder = Folder::new();
        let mut store = folder.store();
        for batch in batches(&rows, &sizes) {
            store.import(&batch).unwrap();
        }
        let reader = store.reader().unwrap();
        let everything = 0..i64::from(u32::MAX);
        let some = ends.iter().map(|&(a, b)| a.min(b).div_euclid(1000)..a.max(b).div_euclid(1000));
        for time_s in some.chain([everything]) {
            let key = Whose::Key { tenant: 1, key: 11 };
            for whose in [Whose::Everyone, Whose::Tenant(0), Whose::Tenant(2), key] {
                for by in GROUPINGS {
                    let report = reader.usage(whose, time_s.clone(), by).unwrap();
                    let told: Vec<_> = report.iter().map(|g| (g.group, figures(g))).collect();
                    prop_assert_eq!(told, summed(&rows, whose, &time_s, by));
                }
            }
        }
    }
}

#[test]
fn a_day_begins_at_midnight_utc() {
    let folder = Folder::new();
    let mut store = folder.store();
    let rows = [
        row(MIDNIGHT_S * 1000 - 1, 0, 1),
        row(MIDNIGHT_S * 1000, 0, 2),
    ];
    for batch in batches(&rows, &[2]) {
        store.import(&batch).unwrap();
    }
    let reader = store.reader().unwrap();
    let days = reader
        .usage(Whose::Everyone, 0..i64::MAX, GroupBy::Day)
        .unwrap();
    let days: Vec<_> = days
        .iter()
        .map(|day| (day.group, day.sums.requests))
        .collect();
    assert_eq!(days, [(MIDNIGHT_S - DAY_S, 1), (MIDNIGHT_S, 1)]);
}

#[test]
fn a_clock_that_leaps_a_month_ahead_and_back_leaves_the_sums_right() {
    let folder = Folder::new();
    let mut store = folder.store();
    let month_ms = 30 * DAY_S * 1000;
    let rows: Vec<_> = [
        0,
        month_ms,
        month_ms + 120_000,
        60_000,
        120_000,
        2 * month_ms,
    ]
    .iter()
    .map(|after_ms| row(MIDNIGHT_S * 1000 + after_ms, 0, 0))
    .collect();
    for batch in batches(&rows, &[1]) {
        store.import(&batch).unwrap();
    }
    let reader = store.reader().unwrap();
    for by in [GroupBy::Minute, GroupBy::Hour, GroupBy::Day] {
        let report = reader.usage(Whose::Tenant(1), 0..i64::MAX, by).unwrap();
        let told: Vec<_> = report.iter().map(|g| (g.group, figures(g))).collect();
        assert_eq!(
            told,
            summed(&rows, Whose::Tenant(1), &(0..i64::MAX / 2), by)
        );
    }
}

#[test]
fn nothing_is_reported_of_an_empty_store_or_an_empty_time() {
    let folder = Folder::new();
    let mut store = folder.store();
    let reader = store.reader().unwrap();
    let ask = |time_s| {
        reader
            .usage(Whose::Everyone, time_s, GroupBy::Status)
            .unwrap()
    };
    assert_eq!(ask(i64::MIN..i64::MAX), []);
    for batch in batches(&[row(MIDNIGHT_S * 1000, 0, 1)], &[1]) {
        store.import(&batch).unwrap();
    }
    assert_eq!(ask(MIDNIGHT_S..MIDNIGHT_S), []);
    let (later, earlier) = (MIDNIGHT_S + 60, MIDNIGHT_S);
    assert_eq!(ask(later..earlier), []);
    assert_eq!(ask(i64::MIN..i64::MAX).len(), 1);
}
