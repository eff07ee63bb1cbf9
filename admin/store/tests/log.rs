//! Pages of rows: every row that fits, once, newest first, whatever the size of a page.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod support;

use proptest::prelude::*;
use support::{Folder, MIDNIGHT_S, RUN, row};
use tollring_config::NanoUsd;
use tollring_store::{Batch, Place, Reader, RowFilter, Span, Store, UsageRow, Whose};

/// Imports rows in batches of `size`, numbered in the order given, and returns them so.
fn import(store: &mut Store, rows: &[UsageRow], size: usize) -> Vec<UsageRow> {
    let numbered: Vec<UsageRow> = (1..)
        .zip(rows)
        .map(|(sequence, row)| UsageRow {
            place: Place::new(row.at_ms(), 0, sequence),
            ..*row
        })
        .collect();
    let mut after = 0;
    for rows in numbered.chunks(size) {
        let upto = after + rows.len() as u64;
        let spans = vec![Span {
            run: RUN,
            lane: 0,
            after,
            upto,
        }];
        let rows = rows.to_vec();
        store
            .import(&Batch {
                spans,
                rows,
                postings: Vec::new(),
            })
            .unwrap();
        after = upto;
    }
    numbered
}

fn all_pages(reader: &Reader, filter: &RowFilter, rows_max: usize) -> Vec<UsageRow> {
    let mut rows = Vec::new();
    let mut before = None;
    loop {
        let page = reader.rows(filter, before, rows_max).unwrap();
        assert!(page.rows.len() <= rows_max);
        assert!(
            before.is_none() || page.next < before,
            "no page comes twice"
        );
        rows.extend(page.rows);
        before = page.next;
        if before.is_none() {
            return rows;
        }
    }
}

fn fits(filter: &RowFilter, row: &UsageRow) -> bool {
    let at_s = row.at_ms().div_euclid(1000);
    let is_theirs = match filter.whose {
        Whose::Everyone => true,
        Whose::Tenant(tenant) => row.tenant == tenant,
        Whose::Key { tenant, key } => row.tenant == tenant && row.key == key,
    };
    is_theirs
        && filter.from_s.is_none_or(|from_s| at_s >= from_s)
        && filter.to_s.is_none_or(|to_s| at_s < to_s)
        && filter.team.is_none_or(|team| row.team == team)
        && filter.service.is_none_or(|service| row.service == service)
        && filter.model.is_none_or(|model| row.model_asked == model)
        && filter
            .provider
            .is_none_or(|provider| row.provider == provider)
        && filter.status.is_none_or(|status| row.status == status)
        && filter.refusal.is_none_or(|refusal| row.refusal == refusal)
        && filter.cost_min.is_none_or(|cost| row.cost >= cost)
        && filter
            .total_us_min
            .is_none_or(|total_us| row.total_us >= total_us)
}

fn some_row() -> impl Strategy<Value = UsageRow> {
    let at_ms = (0..4 * 86_400_i64, 0..1_000_i64).prop_map(|(s, ms)| (MIDNIGHT_S + s) * 1000 + ms);
    let who = (0..3_u32, 0..3_u32, 0..2_u32);
    let what = (0..2_u32, 0..3_u32, 0..2_u32, 200..203_u16, 0..2_u16);
    (at_ms, who, what, 0..10_i64).prop_map(|(at_ms, (tenant, key, team), what, amount)| {
        let (service, model_asked, provider, status, refusal) = what;
        UsageRow {
            tenant,
            key: 10 * tenant + key,
            team,
            service,
            model_asked,
            provider,
            status,
            refusal,
            cost: NanoUsd(amount),
            total_us: 10 - amount as u64,
            ..row(at_ms, 0, 0)
        }
    })
}

/// Mostly unset, so that something is found.
fn seldom<T: std::fmt::Debug + Clone + 'static>(
    value: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    prop_oneof![3 => Just(None), 1 => value.prop_map(Some)].boxed()
}

fn some_filter() -> impl Strategy<Value = RowFilter> {
    let whose = prop_oneof![
        Just(Whose::Everyone),
        (0..4_u32).prop_map(Whose::Tenant),
        (0..3_u32, 0..3_u32).prop_map(|(tenant, key)| Whose::Key {
            tenant,
            key: 10 * tenant + key
        }),
    ];
    let second = || MIDNIGHT_S - 90..MIDNIGHT_S + 4 * 86_400 + 90;
    let time = (seldom(second()), seldom(second()));
    let names = (
        seldom(0..2_u32),
        seldom(0..2_u32),
        seldom(0..3_u32),
        seldom(0..2_u32),
    );
    let ending = (seldom(200..203_u16), seldom(0..2_u16));
    let least = (seldom((0..10_i64).prop_map(NanoUsd)), seldom(0..10_u64));
    (whose, time, names, ending, least).prop_map(|(whose, time, names, ending, least)| RowFilter {
        whose,
        from_s: time.0,
        to_s: time.1,
        team: names.0,
        service: names.1,
        model: names.2,
        provider: names.3,
        status: ending.0,
        refusal: ending.1,
        cost_min: least.0,
        total_us_min: least.1,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_pages_have_every_row_that_fits_once_and_newest_first(
        mut rows in prop::collection::vec(some_row(), 1..150),
        in_order in any::<bool>(),
        size in 1..60_usize,
        filters in prop::collection::vec(some_filter(), 1..12),
        rows_max in 1..40_usize,
    ) {
        if in_order {
            rows.sort_by_key(|row| row.place);
        }
        let folder = Folder::new();
        let mut store = folder.store();
        let mut written = import(&mut store, &rows, size);
        written.sort_by_key(|row| std::cmp::Reverse(row.place));
        let reader = store.reader().unwrap();
        for filter in &filters {
            let found = all_pages(&reader, filter, rows_max);
            let wanted: Vec<_> = written.iter().filter(|row| fits(filter, row)).copied().collect();
            prop_assert_eq!(found, wanted);
        }
    }
}

#[test]
fn a_row_from_years_ago_is_found_without_reading_what_lies_between() {
    let folder = Folder::new();
    let mut store = folder.store();
    let rare = UsageRow {
        tenant: 77,
        ..row(MIDNIGHT_S * 1000, 0, 0)
    };
    let others = (1..2_000).map(|day| row((MIDNIGHT_S + day * 86_400) * 1000, 0, 0));
    let rows: Vec<_> = [rare].into_iter().chain(others).collect();
    let written = import(&mut store, &rows, 500);
    let reader = store.reader().unwrap();
    let found = reader
        .rows(&RowFilter::of(Whose::Tenant(77)), None, 10)
        .unwrap();
    assert_eq!(found.rows, written[..1]);
    assert_eq!(found.next, None);
}

#[test]
fn pages_go_on_where_they_were_while_newer_rows_arrive() {
    let folder = Folder::new();
    let mut store = folder.store();
    let rows: Vec<_> = (0..20)
        .map(|s| row((MIDNIGHT_S + s) * 1000, 0, 0))
        .collect();
    let written = import(&mut store, &rows, 20);
    let reader = store.reader().unwrap();
    let filter = RowFilter::of(Whose::Everyone);
    let first = reader.rows(&filter, None, 5).unwrap();
    let late = row((MIDNIGHT_S + 100) * 1000, 1, 1);
    let spans = vec![Span {
        run: RUN,
        lane: 1,
        after: 0,
        upto: 1,
    }];
    store
        .import(&Batch {
            spans,
            rows: vec![late],
            postings: Vec::new(),
        })
        .unwrap();
    let second = reader.rows(&filter, first.next, 5).unwrap();
    let got: Vec<_> = first.rows.iter().chain(&second.rows).copied().collect();
    let newest_first: Vec<_> = written.iter().rev().take(10).copied().collect();
    assert_eq!(got, newest_first);
}
