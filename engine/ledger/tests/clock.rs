//! What a wrong clock does to calendar windows: each is entered once, whatever it says.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;
use std::sync::Arc;

use support::{of_tokens, spec, sums};
use tollring_config::{BucketSpec, Calendar, LimitClass, Unit, UnixSeconds, Window};
use tollring_ledger::journal::Posting;
use tollring_ledger::{Bucket, EpochEnd, Ledger, Opening, PATH_MAX, UnixMillis, WorkerSlot, hold};

const SLOT: WorkerSlot = WorkerSlot(0);

fn at(text: &str) -> UnixMillis {
    let moment: jiff::Timestamp = text.parse().unwrap();
    UnixMillis(moment.as_millisecond())
}

fn in_berlin(window: Window) -> BucketSpec {
    let zone = jiff::tz::TimeZoneDatabase::bundled()
        .get("Europe/Berlin")
        .unwrap();
    BucketSpec {
        calendar: Calendar {
            zone,
            ..Calendar::default()
        },
        ..spec(Unit::Tokens, window, LimitClass::Quota, 100)
    }
}

fn spend(path: &[Arc<Bucket>], tokens: i64, now: &str) -> Option<Posting> {
    let held = hold(path, of_tokens(tokens), SLOT, at(now)).ok()?;
    let mut room = [Posting::default(); PATH_MAX];
    let posting = held.postings(of_tokens(tokens), &mut room)[0];
    let _ = held.post(of_tokens(tokens), at(now));
    Some(posting)
}

#[test]
fn an_hour_back_over_midnight_goes_on_with_the_day_that_had_begun() {
    // Midnight of the 29th in Berlin, when clocks go forward two hours later.
    let path = Ledger::new(2).bind(&[in_berlin(Window::Day)], at("2026-03-28T22:30:00Z"));
    assert!(spend(&path, 100, "2026-03-28T22:59:59Z").is_some());
    assert!(
        spend(&path, 60, "2026-03-28T23:00:00Z").is_some(),
        "a new day"
    );
    assert!(
        spend(&path, 60, "2026-03-28T22:00:00Z").is_none(),
        "not the old one"
    );
    assert!(spend(&path, 40, "2026-03-28T22:00:01Z").is_some());
    assert!(
        spend(&path, 1, "2026-03-28T23:00:00Z").is_none(),
        "nor a third"
    );
    assert!(
        spend(&path, 1, "2026-03-29T21:59:59Z").is_none(),
        "23 hours"
    );
    assert!(spend(&path, 100, "2026-03-29T22:00:00Z").is_some());
}

#[test]
fn a_month_forward_is_one_new_month_and_the_way_back_is_none() {
    let path = Ledger::new(2).bind(&[in_berlin(Window::Month)], at("2026-01-10T00:00:00Z"));
    assert!(spend(&path, 100, "2026-01-10T00:00:00Z").is_some());
    assert!(spend(&path, 70, "2026-02-10T00:00:00Z").is_some());
    assert!(spend(&path, 31, "2026-01-10T00:00:01Z").is_none());
    let reading = path[0].reading(at("2026-01-10T00:00:02Z"));
    assert_eq!(sums(reading), [100, 70, 0, 30]);
    assert_eq!(
        reading.resets_at,
        Some(UnixSeconds(at("2026-02-28T23:00:00Z").0 / 1_000))
    );
    assert!(spend(&path, 100, "2026-02-28T23:00:00Z").is_some());
}

#[test]
fn a_restart_by_the_right_clock_finds_what_was_spent_in_its_own_window() {
    let specs = [in_berlin(Window::Month)];
    let path = Ledger::new(1).bind(&specs, at("2026-01-10T00:00:00Z"));
    let mut posted = HashMap::new();
    for (tokens, now) in [(100, "2026-01-10T00:00:00Z"), (70, "2026-02-10T00:00:00Z")] {
        let posting = spend(&path, tokens, now).unwrap();
        posted.insert((3, EpochEnd(posting.ends_s)), posting.amount);
    }
    let opening = Opening {
        numbers: vec![3],
        posted,
    };
    let again = |now| {
        Ledger::new(1).reopen(&specs, &opening, at(now))[0]
            .reading(at(now))
            .posted
    };
    assert_eq!(again("2026-01-11T00:00:00Z"), 100);
    assert_eq!(again("2026-02-11T00:00:00Z"), 70);
    assert_eq!(again("2026-03-11T00:00:00Z"), 0);
}

#[test]
fn a_bucket_of_another_calendar_begins_for_itself() {
    let ledger = Ledger::new(1);
    let now = "2026-01-10T00:00:00Z";
    let kept = ledger.bind(&[in_berlin(Window::Month)], at(now));
    assert!(spend(&kept, 100, now).is_some());
    let moved = BucketSpec {
        calendar: Calendar::default(),
        ..in_berlin(Window::Month)
    };
    assert!(spend(&ledger.bind(&[moved], at(now)), 100, now).is_some());
}
