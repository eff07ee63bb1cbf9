//! What is forgotten and what is not; numbers that last; money by what requests cost.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod support;

use std::collections::HashMap;

use proptest::prelude::*;
use support::{Folder, MIDNIGHT_S, RUN, batch, row};
use tollring_config::NanoUsd;
use tollring_store::{
    Adjustment, Batch, FORGET_ROWS_MAX, Forgotten, Grant, GrantKind, GroupBy, NEVER, NameKind,
    Posting, RowFilter, Source, Span, Store, Whose,
};

#[test]
fn rows_are_forgotten_in_steps_and_roll_ups_stay() {
    let folder = Folder::new();
    let mut store = folder.store();
    let step_rows = u64::from(FORGET_ROWS_MAX);
    store.import(&batch(0, 0, step_rows + 1_500)).unwrap();
    let reader = store.reader().unwrap();
    let report = || {
        reader
            .usage(Whose::Tenant(1), 0..i64::MAX, GroupBy::Minute)
            .unwrap()
    };
    let before = report();
    // The first row was settled a millisecond after midnight, the others a millisecond apart.
    let mut forget = |before_s| store.forget_rows(before_s).unwrap();
    let forgotten = |rows, more| Forgotten { rows, more };
    assert_eq!(forget(MIDNIGHT_S), forgotten(0, false));
    assert_eq!(forget(MIDNIGHT_S + 1), forgotten(999, false));
    assert_eq!(forget(i64::MAX), forgotten(step_rows, true));
    assert_eq!(forget(i64::MAX), forgotten(501, false));
    assert_eq!(report(), before);
    let filter = RowFilter::of(Whose::Tenant(1));
    assert_eq!(reader.rows(&filter, None, 10).unwrap().rows, []);
}

/// Imports postings alone, after record `after` of lane 0.
fn post(store: &mut Store, after: u64, postings: Vec<Posting>) {
    let spans = vec![Span {
        run: RUN,
        lane: 0,
        after,
        upto: after + 1,
    }];
    store
        .import(&Batch {
            spans,
            rows: Vec::new(),
            postings,
        })
        .unwrap();
}

#[test]
fn sums_of_brief_buckets_are_forgotten_two_days_after_their_end_and_no_others() {
    let folder = Folder::new();
    let mut store = folder.store();
    let brief = store
        .numbers(NameKind::BriefBucket, &["key:a:requests:minute"])
        .unwrap()[0];
    let lasting = store
        .numbers(NameKind::Bucket, &["key:a:requests:day"])
        .unwrap()[0];
    let postings = |ends_s| {
        [brief, lasting].map(|bucket| Posting {
            ends_s,
            bucket,
            amount: 5,
        })
    };
    let day_s = 86_400;
    let ends = [day_s, 3 * day_s, NEVER];
    post(&mut store, 0, ends.into_iter().flat_map(postings).collect());
    let now_s = i64::from(3 * day_s) + 1;
    let mut forgotten = 0;
    loop {
        let step = store.forget_brief_postings(now_s).unwrap();
        forgotten += step.rows;
        if !step.more {
            break;
        }
    }
    assert_eq!(forgotten, 1);
    let left: Vec<_> = store
        .postings(0)
        .unwrap()
        .iter()
        .map(|p| (p.ends_s, p.bucket))
        .collect();
    assert_eq!(left.len(), 5);
    assert!(!left.contains(&(day_s, brief)));
    assert_eq!(
        store.forget_brief_postings(now_s).unwrap(),
        Forgotten {
            rows: 0,
            more: false
        }
    );
}

#[test]
fn amounts_of_one_bucket_and_epoch_are_one_sum_over_all_batches() {
    let folder = Folder::new();
    let mut store = folder.store();
    let posting = |ends_s, bucket, amount| Posting {
        ends_s,
        bucket,
        amount,
    };
    post(
        &mut store,
        0,
        vec![posting(50, 1, 7), posting(50, 1, -2), posting(60, 1, 1)],
    );
    post(
        &mut store,
        1,
        vec![posting(50, 1, 10), posting(NEVER, 2, 4), posting(70, 3, 0)],
    );
    let sums = [posting(50, 1, 15), posting(60, 1, 1), posting(NEVER, 2, 4)];
    assert_eq!(store.postings(49).unwrap(), sums);
    assert_eq!(store.postings(59).unwrap(), sums[1..]);
    assert_eq!(store.postings(NEVER - 1).unwrap(), sums[2..]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_name_has_one_number_for_ever(
        asked in prop::collection::vec((1..4_u8, prop::collection::vec(0..60_u32, 0..80)), 1..12),
    ) {
        let folder = Folder::new();
        let mut known: HashMap<(u8, u32), u32> = HashMap::new();
        for (kind, names) in asked {
            // Opened anew each time: numbers outlive the process.
            let mut store = folder.store();
            let named = [NameKind::Tenant, NameKind::Key, NameKind::Bucket][usize::from(kind) - 1];
            let texts: Vec<String> = names.iter().map(|name| format!("näme/{name}")).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let numbers = store.numbers(named, &texts).unwrap();
            prop_assert_eq!(numbers.len(), names.len());
            for (name, number) in names.into_iter().zip(numbers) {
                let is_others = known.iter().any(|(&k, &n)| n == number && k != (kind, name));
                prop_assert!(number != 0 && !is_others);
                prop_assert_eq!(*known.entry((kind, name)).or_insert(number), number);
            }
        }
    }
}

/// A row of `tenant` that cost `cost`, settled at `at_s`.
fn spend(store: &mut Store, after: u64, tenant: u32, at_s: i64, cost: i64) {
    let mut spent = row(at_s * 1000, 0, after + 1);
    (spent.tenant, spent.cost) = (tenant, NanoUsd(cost));
    let spans = vec![Span {
        run: RUN,
        lane: 0,
        after,
        upto: after + 1,
    }];
    store
        .import(&Batch {
            spans,
            rows: vec![spent],
            postings: Vec::new(),
        })
        .unwrap();
}

#[test]
fn a_promotion_is_spent_first_and_what_is_left_of_it_lapses_at_its_end() {
    let folder = Folder::new();
    let mut store = folder.store();
    let tenant = store.numbers(NameKind::Tenant, &["acme"]).unwrap()[0];
    let day_s = 86_400;
    let give = |amount, kind, expires_s| Grant {
        id: 0,
        tenant,
        amount: NanoUsd(amount),
        kind,
        expires_s,
        reason: "".into(),
        idempotency_key: format!("{kind:?}").into(),
        at_s: MIDNIGHT_S + 30,
        by: "ann".into(),
        source: Source::Store,
    };
    store
        .change(|change| {
            change.grant(&give(1_000, GrantKind::TopUp, None))?;
            change.grant(&give(
                300,
                GrantKind::Promotion,
                Some(MIDNIGHT_S + 2 * day_s + 17),
            ))?;
            change.adjust(&Adjustment {
                id: 0,
                tenant,
                amount: NanoUsd(-50),
                reason: "charged back".into(),
                at_s: MIDNIGHT_S + day_s,
                by: "ann".into(),
            })
        })
        .unwrap();
    spend(&mut store, 0, tenant, MIDNIGHT_S + 3_600, 100);
    spend(&mut store, 1, tenant + 1, MIDNIGHT_S + 3_600, 7_777);
    spend(&mut store, 2, tenant, MIDNIGHT_S + 3 * day_s, 400);
    let reader = store.reader().unwrap();
    let left = |after_s| {
        let wallet = reader.wallet(tenant, MIDNIGHT_S + after_s).unwrap();
        (wallet.lapsed.0, wallet.spent.0, wallet.left().0)
    };
    assert_eq!(left(0), (0, 0, 0));
    assert_eq!(left(60), (0, 0, 1_300));
    assert_eq!(left(7_200), (0, 100, 1_200));
    assert_eq!(left(day_s + 60), (0, 100, 1_150));
    // Of the promotion 100 went to requests and 50 to the adjustment.
    assert_eq!(left(2 * day_s + 60), (150, 100, 1_000));
    assert_eq!(left(4 * day_s), (150, 500, 600));
}
