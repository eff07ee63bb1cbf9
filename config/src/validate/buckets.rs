//! What a limit becomes: a bucket with a name for people and an identity that lasts.

use std::collections::{HashMap, hash_map};
use std::fmt::Write as _;

use crate::calendar::Calendar;
use crate::fault::Problem;
use crate::read::{Document, Place};
use crate::schema::limit::LimitSchema;
use crate::snapshot::BucketSpec;
use crate::units::{LimitClass, NanoUsd, Scope, Unit, Window};
use crate::value::show_span;

/// The bucket of a limit of somebody whose days are those of `calendar` unless it says.
pub(super) fn bucket(
    (scope, owner): (Scope, &str),
    limit: &LimitSchema,
    calendar: &Calendar,
) -> BucketSpec {
    let (unit, window) = (limit.unit, limit.window);
    let name = match (unit, window) {
        (Unit::Concurrent, _) => format!("{} requests in flight", limit.amount),
        (_, Window::Rolling { span_s }) => {
            let span = show_span(span_s);
            format!("{} {} in any {span}", amount(limit), unit.word())
        }
        (_, Window::Total) => format!("{} {} in total", amount(limit), unit.word()),
        _ => format!("{} {} per {}", amount(limit), unit.word(), window.word()),
    };
    // Names hold neither `:` nor `/`, so no two owners can be spelt alike.
    let mut identity = format!("{}:{owner}:{}:{}", scope.word(), unit.word(), window.word());
    let calendar = match window.follows_calendar() {
        true => limit.calendar.over(calendar),
        false => Calendar::default(),
    };
    append_calendar(&mut identity, &calendar);
    if let Window::Rolling { span_s } = window {
        write!(identity, ":{span_s}s").expect("writing to a String does not fail");
    }
    BucketSpec {
        identity: identity.into(),
        scope,
        scope_id: owner.into(),
        name: name.into(),
        unit,
        window,
        calendar,
        limit: limit.amount,
        class: limit.class,
    }
}

/// Prepaid money is a bucket beside a limit on money for ever, so its identity differs.
pub(super) fn balance_bucket(owner: &str, balance: NanoUsd) -> BucketSpec {
    BucketSpec {
        identity: format!("{}:{owner}:balance", Scope::Tenant.word()).into(),
        scope: Scope::Tenant,
        scope_id: owner.into(),
        name: "prepaid balance".into(),
        unit: Unit::Usd,
        window: Window::Total,
        calendar: Calendar::default(),
        limit: balance.0,
        class: LimitClass::Balance,
    }
}

/// Another calendar ends other epochs; the one that is nobody's in particular has no words.
fn append_calendar(identity: &mut String, calendar: &Calendar) {
    let (zone, anchor) = (calendar.zone_name(), calendar.anchor_text());
    if zone != "UTC" {
        write!(identity, ":tz={zone}").expect("writing to a String does not fail");
    }
    if let Some(anchor) = anchor {
        write!(identity, ":anchor={anchor}").expect("writing to a String does not fail");
    }
}

/// The amount as people read it: money in USD, everything else as it is.
fn amount(limit: &LimitSchema) -> String {
    match limit.unit {
        Unit::Usd => NanoUsd(limit.amount).to_string(),
        _ => limit.amount.to_string(),
    }
}

/// Reports limits of `own` on a unit and window that `above` or an earlier one has.
pub(super) fn report_repeated_limits(
    document: &Document<'_>,
    above: &[LimitSchema],
    own: &[LimitSchema],
) {
    let mut first: HashMap<(Unit, Window), &Place> = HashMap::new();
    for limit in above {
        first.insert((limit.unit, limit.window), &limit.place);
    }
    for limit in own {
        match first.entry((limit.unit, limit.window)) {
            hash_map::Entry::Vacant(free) => {
                free.insert(&limit.place);
            }
            hash_map::Entry::Occupied(taken) => {
                let first = taken.get().path.clone();
                document.report(&limit.place, Problem::LimitRepeated { first });
            }
        }
    }
}
