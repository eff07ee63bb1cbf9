//! Rolling windows: nothing comes back early, everything comes back, and a restart knows it all.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;

use proptest::prelude::*;
use support::{NOW, after_ms, of_tokens, spec};
use tollring_config::{BucketSpec, LimitClass, Unit, UnixSeconds, Window};
use tollring_ledger::journal::Posting;
use tollring_ledger::{
    DenialReason, EpochEnd, Hold, Ledger, Opening, PATH_MAX, UnixMillis, WorkerSlot, hold,
};

const SLOT: WorkerSlot = WorkerSlot(0);
const LIMIT: i64 = 100;
const SPAN_MS: i64 = 60_000;
/// What is spent within a second comes back together.
const STEP_MS: i64 = 1_000;

fn rolling(class: LimitClass, limit: i64) -> BucketSpec {
    spec(Unit::Tokens, Window::Rolling { span_s: 60 }, class, limit)
}

#[derive(Clone, Debug)]
enum Step {
    Wait(i64),
    Hold(i64),
    /// Which of the holds, and how much of it was needed in hundredths.
    Settle(prop::sample::Index, i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..20_000i64).prop_map(Step::Wait),
        (1..=60i64).prop_map(Step::Hold),
        (any::<prop::sample::Index>(), 0..=100i64).prop_map(|(of, part)| Step::Settle(of, part)),
    ]
}

/// What a request held or cost, and when it was admitted.
type Admission = (UnixMillis, i64);

fn since(admissions: &[Admission], begin_ms: i64) -> i64 {
    let inside = admissions.iter().filter(|(at, _)| at.0 > begin_ms);
    inside.map(|(_, amount)| amount).sum()
}

fn held_by(open: &[(UnixMillis, Hold<'_>)]) -> i64 {
    open.iter().map(|(_, hold)| hold.held().tokens).sum()
}

fn note(posted: &mut HashMap<(u32, EpochEnd), i64>, hold: &Hold<'_>, cost: i64) {
    let mut room = [Posting::default(); PATH_MAX];
    for posting in hold.postings(of_tokens(cost), &mut room) {
        *posted.entry((7, EpochEnd(posting.ends_s))).or_default() += posting.amount;
    }
}

proptest! {
    #[test]
    fn no_span_holds_more_than_the_limit_and_no_step_beyond_it_is_withheld(
        steps in prop::collection::vec(step(), 1..120),
        is_hot: bool,
    ) {
        let specs = [rolling(LimitClass::Quota, LIMIT)];
        let path = Ledger::new(2).bind(&specs, NOW);
        if is_hot {
            path[0].heat(NOW);
        }
        let (mut now, mut open, mut settled) = (NOW, Vec::new(), Vec::<Admission>::new());
        let mut posted = HashMap::new();
        for step in steps {
            let held = held_by(&open);
            match step {
                Step::Wait(ms) => now.0 += ms,
                Step::Hold(want) => match hold(&path, of_tokens(want), SLOT, now) {
                    Ok(hold) => {
                        let spent = since(&settled, now.0 - SPAN_MS);
                        prop_assert!(spent + held + want <= LIMIT, "{spent} {held} {want}");
                        open.push((now, hold));
                    }
                    Err(_) => {
                        let most = since(&settled, now.0 - SPAN_MS - STEP_MS);
                        prop_assert!(most + held + want > LIMIT, "{most} {held} {want}");
                    }
                },
                Step::Settle(which, part) if !open.is_empty() => {
                    let (admitted, hold) = open.swap_remove(which.index(open.len()));
                    let cost = hold.held().tokens * part / 100;
                    note(&mut posted, &hold, cost);
                    let _ = hold.post(of_tokens(cost), now);
                    settled.push((admitted, cost));
                }
                Step::Settle(..) => {}
            }
            let reading = path[0].reading(now);
            prop_assert_eq!(reading.posted + reading.held + reading.free, LIMIT);
            prop_assert_eq!(reading.held, held_by(&open));
            let opening = Opening { numbers: vec![7], posted: posted.clone() };
            let again = Ledger::new(2).reopen(&specs, &opening, now)[0].reading(now);
            prop_assert_eq!(again.posted, reading.posted, "a restart");
            prop_assert_eq!(again.resets_at, reading.resets_at, "a restart");
        }
        for (_, hold) in open {
            hold.void(now);
        }
        let reading = path[0].reading(UnixMillis(now.0 + SPAN_MS + STEP_MS));
        prop_assert_eq!((reading.posted, reading.free, reading.resets_at), (0, LIMIT, None));
    }
}

#[test]
fn a_refusal_says_when_enough_will_have_come_back() {
    let path = Ledger::new(1).bind(&[rolling(LimitClass::Velocity, 100)], NOW);
    for (ms, tokens) in [(0, 40), (10_000, 40), (20_000, 20)] {
        let held = hold(&path, of_tokens(tokens), SLOT, after_ms(ms)).unwrap();
        let _ = held.post(of_tokens(tokens), after_ms(ms));
    }
    let wait = |tokens| {
        let denial = hold(&path, of_tokens(tokens), SLOT, after_ms(30_000)).unwrap_err();
        match denial.reason {
            DenialReason::Velocity { retry_after_s } => retry_after_s,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([wait(40), wait(41), wait(80), wait(100)], [31, 41, 41, 51]);
    let wait =
        |ms, tokens| hold(&path, of_tokens(tokens), SLOT, after_ms(ms)).map(|held| held.void(NOW));
    assert!(wait(60_999, 40).is_err(), "the second is not over");
    assert!(wait(61_000, 40).is_ok(), "as it was told");
    let first = path[0].reading(after_ms(61_000)).resets_at;
    assert_eq!(first, Some(UnixSeconds(NOW.0 / 1_000 + 71)));
}

#[test]
fn what_lasted_longer_than_the_span_has_come_back_when_it_is_settled() {
    let path = Ledger::new(1).bind(&[rolling(LimitClass::Quota, 100)], NOW);
    let long = hold(&path, of_tokens(60), SLOT, NOW).unwrap();
    let late = after_ms(SPAN_MS + STEP_MS);
    assert_eq!(
        path[0].reading(late).held,
        60,
        "it is held for as long as it lasts"
    );
    assert_eq!(long.post(of_tokens(60), late).late, 1);
    let reading = path[0].reading(late);
    assert_eq!((reading.posted, reading.held, reading.free), (0, 0, 100));
}

#[test]
fn an_overdraft_of_a_rolling_window_is_owed_until_it_has_come_back() {
    let path = Ledger::new(4).bind(&[rolling(LimitClass::Quota, 100)], NOW);
    path[0].heat(NOW);
    let held = hold(&path, of_tokens(100), SLOT, NOW).unwrap();
    let _ = held.post(of_tokens(150), NOW);
    assert_eq!(path[0].reading(NOW).free, -50);
    assert!(hold(&path, of_tokens(1), SLOT, after_ms(SPAN_MS)).is_err());
    let back = after_ms(SPAN_MS + STEP_MS);
    assert!(
        hold(&path, of_tokens(100), SLOT, back)
            .map(|held| held.void(back))
            .is_ok()
    );
}

#[test]
fn a_clock_that_is_put_back_or_forward_gives_nothing_back_twice() {
    const HOUR_MS: i64 = 3_600_000;
    let path = Ledger::new(1).bind(&[rolling(LimitClass::Quota, 100)], NOW);
    let spend = |tokens, ms| {
        let now = after_ms(ms);
        hold(&path, of_tokens(tokens), SLOT, now).map(|held| held.post(of_tokens(tokens), now))
    };
    assert!(spend(60, 0).is_ok());
    assert!(
        spend(60, -HOUR_MS).is_err(),
        "an hour back is not a span later"
    );
    assert!(spend(40, -HOUR_MS).is_ok());
    assert!(spend(1, -HOUR_MS + SPAN_MS - 1).is_err());
    assert_eq!(
        path[0].reading(after_ms(1)).free,
        40,
        "by then, what was spent an hour ago"
    );
    assert!(spend(100, 30 * 24 * HOUR_MS).is_ok(), "a month forward");
    assert!(
        spend(1, 2).is_err(),
        "and back again: what was spent then is still to come back"
    );
    assert_eq!(path[0].reading(after_ms(3)).posted, 100);
}

#[test]
fn what_another_process_spends_of_a_rolling_window_comes_back_too() {
    let path = Ledger::new(1).bind(&[rolling(LimitClass::Quota, 100)], NOW);
    let back = EpochEnd(u32::try_from(NOW.0 / 1_000 + 30).unwrap());
    path[0].charge_elsewhere(back, 70, NOW);
    path[0].charge_elsewhere(EpochEnd(back.0 - 60), 70, NOW);
    assert_eq!(
        path[0].reading(NOW).free,
        30,
        "what has come back is not counted"
    );
    path[0].charge_elsewhere(back, -20, NOW);
    assert_eq!(path[0].reading(after_ms(29_999)).free, 50);
    assert_eq!(path[0].reading(after_ms(30_000)).free, 100);
}
