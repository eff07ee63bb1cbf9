//! What a limit becomes: a bucket with a name for people and an identity that lasts.

use std::collections::{HashMap, hash_map};
use std::fmt::Write as _;

use crate::calendar::Calendar;
use crate::fault::Problem;
use crate::read::{At, Document, Place};
use crate::schema::limit::{LimitSchema, OnlySchema};
use crate::snapshot::{BucketSpec, ModelId, Only, ServiceId};
use crate::units::{LimitClass, NanoUsd, Scope, Unit, Weights, Window};
use crate::validate::offers::Offers;
use crate::value::show_span;

/// A limit, its references found.
pub(super) struct Limit<'s> {
    written: &'s LimitSchema,
    only: Option<Only>,
    /// What is particular about what it counts, as an identity has it: weights, and the names in
    /// `only`, sorted; empty for every request and plain tokens.
    choice: String,
}

/// Finds what the limits of one owner refer to, and reports those that are there twice: among
/// `own`, or `above` it.
pub(super) fn find_limits<'s>(
    offers: &Offers<'_>,
    above: &[Limit<'_>],
    own: &'s [LimitSchema],
) -> Vec<Limit<'s>> {
    let found: Vec<_> = own.iter().map(|written| find(offers, written)).collect();
    report_repeated_limits(offers.document, above, &found);
    found
}

fn find<'s>(offers: &Offers<'_>, written: &'s LimitSchema) -> Limit<'s> {
    let OnlySchema { models, services } = &written.only;
    let mut choice = String::new();
    append_weights(&mut choice, written.weights);
    append_names(&mut choice, "models", models);
    append_names(&mut choice, "services", services);
    let only = (!models.is_empty() || !services.is_empty()).then(|| Only {
        models: offers.places_of_models(models).map(ModelId).collect(),
        services: offers.places_of_services(services).map(ServiceId).collect(),
    });
    Limit {
        written,
        only,
        choice,
    }
}

fn append_weights(out: &mut String, weights: Option<Weights>) {
    if let Some(weights) = weights {
        let [input, cached, output] =
            [weights.input, weights.cached_input, weights.output].map(NanoUsd);
        write!(out, ":weights={input}/{cached}/{output}")
            .expect("writing to a String does not fail");
    }
}

/// What is counted, for people: input or output where the other weighs nothing.
fn counted(limit: &LimitSchema) -> &'static str {
    match limit
        .weights
        .map(|of| (of.input, of.cached_input, of.output))
    {
        Some((Weights::ONE, Weights::ONE, 0)) => "input tokens",
        Some((0, 0, Weights::ONE)) => "output tokens",
        Some(_) => "weighted tokens",
        None => limit.unit.word(),
    }
}

fn append_names(out: &mut String, kind: &str, names: &[At<Box<str>>]) {
    let mut sorted: Vec<_> = names.iter().map(|name| &*name.value).collect();
    sorted.sort_unstable();
    if !sorted.is_empty() {
        write!(out, ":{kind}={}", sorted.join(",")).expect("writing to a String does not fail");
    }
}

/// The bucket of a limit of somebody whose days are those of `calendar` unless it says.
pub(super) fn bucket(
    (scope, owner): (Scope, &str),
    found: &Limit<'_>,
    calendar: &Calendar,
) -> BucketSpec {
    let limit = found.written;
    let (unit, window) = (limit.unit, limit.window);
    let mut name = match (unit, window) {
        (Unit::Concurrent, _) => format!("{} requests in flight", limit.amount),
        (_, Window::Rolling { span_s }) => {
            let span = show_span(span_s);
            format!("{} {} in any {span}", amount(limit), counted(limit))
        }
        (_, Window::Total) => format!("{} {} in total", amount(limit), counted(limit)),
        _ => format!("{} {} per {}", amount(limit), counted(limit), window.word()),
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
    identity.push_str(&found.choice);
    append_names_for_people(&mut name, &limit.only);
    BucketSpec {
        identity: identity.into(),
        scope,
        scope_id: owner.into(),
        name: name.into(),
        unit,
        weights: limit.weights,
        window,
        calendar,
        limit: limit.amount,
        class: limit.class,
        only: found.only.clone(),
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
        weights: None,
        window: Window::Total,
        calendar: Calendar::default(),
        limit: balance.0,
        class: LimitClass::Balance,
        only: None,
    }
}

fn append_names_for_people(name: &mut String, only: &OnlySchema) {
    let names = only.models.iter().chain(&only.services);
    for (place, listed) in names.enumerate() {
        name.push_str(if place == 0 { " for " } else { ", " });
        name.push_str(&listed.value);
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

/// Reports limits of `own` on a unit, window and choice that `above` or an earlier one has.
fn report_repeated_limits(document: &Document<'_>, above: &[Limit<'_>], own: &[Limit<'_>]) {
    let mut first: HashMap<(Unit, Window, &str), &Place> = HashMap::new();
    let measured = |limit: &Limit<'_>| (limit.written.unit, limit.written.window);
    for limit in above {
        let (unit, window) = measured(limit);
        first.insert((unit, window, &limit.choice), &limit.written.place);
    }
    for limit in own {
        let (unit, window) = measured(limit);
        match first.entry((unit, window, &limit.choice)) {
            hash_map::Entry::Vacant(free) => {
                free.insert(&limit.written.place);
            }
            hash_map::Entry::Occupied(taken) => {
                let first = taken.get().path.clone();
                document.report(&limit.written.place, Problem::LimitRepeated { first });
            }
        }
    }
}
