//! One limit: so much of a unit per window, or so many requests in flight.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::calendar::{Calendar, parse_anchor, parse_zone};
use crate::fault::{LimitFault, Problem};
use crate::limits::{CONCURRENT_MAX, COUNT_MAX, LIMIT_NAMES_MAX, TOKEN_WEIGHT_MAX, USD_NANO_MAX};
use crate::read::{At, Field, Place, Table};
use crate::units::{LimitClass, Unit, Weights, Window};
use crate::value::{parse_model_name, parse_name, parse_span, parse_usd};

/// The fields that say what tokens weigh: input, cached input, output.
const WEIGHTS: [&str; 3] = ["input_weight", "cached_input_weight", "output_weight"];

const MINUTE_S: u32 = 60;
const HOUR_S: u32 = 60 * MINUTE_S;

/// What a limit per window may count.
pub(crate) const UNITS: [(&str, Unit); 3] = [
    (Unit::Requests.word(), Unit::Requests),
    (Unit::Tokens.word(), Unit::Tokens),
    (Unit::Usd.word(), Unit::Usd),
];

/// The windows.
pub(crate) const WINDOWS: [(&str, Window); 9] = [
    (Window::Second.word(), Window::Second),
    (Window::Minute.word(), Window::Minute),
    (Window::Hour.word(), Window::Hour),
    (Window::Day.word(), Window::Day),
    (Window::Week.word(), Window::Week),
    (Window::Month.word(), Window::Month),
    (Window::Quarter.word(), Window::Quarter),
    (Window::Year.word(), Window::Year),
    (Window::Total.word(), Window::Total),
];

/// One of `limits`.
#[derive(Clone, Debug)]
pub(crate) struct LimitSchema {
    pub(crate) unit: Unit,
    pub(crate) window: Window,
    pub(crate) amount: i64,
    pub(crate) class: LimitClass,
    pub(crate) weights: Option<Weights>,
    pub(crate) calendar: CalendarSchema,
    pub(crate) only: OnlySchema,
    pub(crate) place: Place,
}

/// The fields `models` and `services` of a limit: with neither, it counts every request.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnlySchema {
    pub(crate) models: Vec<At<Box<str>>>,
    pub(crate) services: Vec<At<Box<str>>>,
}

/// The fields `tz` and `anchor` of a limit, or of what limits belong to.
#[derive(Clone, Debug, Default)]
pub(crate) struct CalendarSchema {
    pub(crate) zone: Option<TimeZone>,
    pub(crate) anchor: Option<DateTime>,
}

impl CalendarSchema {
    /// What it leaves open is as in `other`.
    pub(crate) fn over(&self, other: &Calendar) -> Calendar {
        Calendar {
            zone: self.zone.as_ref().unwrap_or(&other.zone).clone(),
            anchor: self.anchor.unwrap_or(other.anchor),
        }
    }
}

/// The fields `tz` and `anchor`.
pub(crate) fn calendar(table: &mut Table<'_>) -> CalendarSchema {
    let zone = table.maybe("tz", |field| field.parsed(parse_zone));
    let anchor = table.maybe("anchor", |field| field.parsed(parse_anchor));
    CalendarSchema {
        zone: zone.flatten(),
        anchor: anchor.flatten(),
    }
}

/// The field `limits` of a plan, a tenant, a team or a key, with at most so many; without those
/// that are faulty.
pub(crate) fn limits(table: &mut Table<'_>, max: usize) -> Vec<LimitSchema> {
    table
        .or("limits", Vec::new(), |field| field.list(max, limit))
        .unwrap_or_default()
}

fn limit(field: &Field<'_>) -> Option<LimitSchema> {
    let mut table = field.table()?;
    let only = only(&mut table);
    let concurrent = table.take("concurrent");
    let names = ["unit", "amount", "per", "rolling", "rate", "tz", "anchor"];
    let names = names.into_iter().chain(WEIGHTS);
    let others = names.filter_map(|name| table.take(name)).count();
    if concurrent.is_some() == (others > 0) {
        field.report(Problem::LimitShape);
        table.close();
        return None;
    }
    let limit = match concurrent {
        Some(concurrent) => in_flight(&concurrent, field),
        None => per_window(&mut table, field),
    };
    table.close();
    Some(LimitSchema {
        only: only?,
        ..limit?
    })
}

fn only(table: &mut Table<'_>) -> Option<OnlySchema> {
    let models = table.or("models", Vec::new(), |field| {
        field.filled_list(LIMIT_NAMES_MAX, "models = [\"fast\"]", |item| {
            item.parsed_at(parse_model_name)
        })
    });
    let services = table.or("services", Vec::new(), |field| {
        field.filled_list(LIMIT_NAMES_MAX, "services = [\"weather\"]", |item| {
            item.parsed_at(parse_name)
        })
    });
    Some(OnlySchema {
        models: models?,
        services: services?,
    })
}

fn in_flight(concurrent: &Field<'_>, field: &Field<'_>) -> Option<LimitSchema> {
    let amount = concurrent.whole(0, CONCURRENT_MAX)?;
    Some(LimitSchema {
        unit: Unit::Concurrent,
        window: Window::Total,
        amount: above_zero(concurrent, i64::try_from(amount).ok()?)?,
        class: LimitClass::Concurrency,
        weights: None,
        calendar: CalendarSchema::default(),
        only: OnlySchema::default(),
        place: field.place.clone(),
    })
}

fn per_window(table: &mut Table<'_>, field: &Field<'_>) -> Option<LimitSchema> {
    let unit = table.need("unit", "unit = \"tokens\"", |field| field.word(&UNITS));
    let amount = table.need("amount", "amount = 1000", |field| {
        let amount = match unit? {
            Unit::Usd => field.usd(USD_NANO_MAX)?.0,
            _ => field.count(COUNT_MAX)?,
        };
        above_zero(field, amount)
    });
    let window = window(table);
    let class = table.or("rate", None, |field| {
        let rate = field.flag()?;
        classify(window?, Some(rate)).map(Some).or_else(|| {
            field.report(Problem::RateMisplaced);
            None
        })
    });
    let class = class?.or_else(|| classify(window?, None));
    if window.is_some_and(|window| !window.follows_calendar()) {
        for idle in ["tz", "anchor"]
            .into_iter()
            .filter_map(|name| table.take(name))
        {
            idle.report(Problem::Limit(LimitFault::CalendarIdle));
        }
    }
    let calendar = calendar(table);
    let weights = weights(table, field, unit);
    Some(LimitSchema {
        unit: unit?,
        window: window?,
        amount: amount?,
        class: class?,
        weights: weights?,
        calendar,
        only: OnlySchema::default(),
        place: field.place.clone(),
    })
}

/// What tokens weigh: `Some(None)` where nothing is said that makes a difference.
fn weights(
    table: &mut Table<'_>,
    limit: &Field<'_>,
    unit: Option<Unit>,
) -> Option<Option<Weights>> {
    if unit.is_some_and(|unit| unit != Unit::Tokens) {
        for idle in WEIGHTS.into_iter().filter_map(|name| table.take(name)) {
            idle.report(Problem::Limit(LimitFault::WeightIdle));
        }
    }
    let read = |field: &Field<'_>| field.parsed(|text| parse_usd(text, TOKEN_WEIGHT_MAX));
    let [input, cached_input, output] = WEIGHTS.map(|name| table.maybe(name, read));
    let input = input?.map_or(Weights::ONE, |weight| weight.0);
    let weights = Weights {
        input,
        cached_input: cached_input?.map_or(input, |weight| weight.0),
        output: output?.map_or(Weights::ONE, |weight| weight.0),
    };
    let Weights {
        cached_input,
        output,
        ..
    } = weights;
    if [input, cached_input, output] == [0; 3] {
        limit.report(Problem::Limit(LimitFault::WeightZero));
        return None;
    }
    Some(([input, cached_input, output] != [Weights::ONE; 3]).then_some(weights))
}

/// The fields `per` and `rolling`, one of which must be there.
fn window(table: &mut Table<'_>) -> Option<Window> {
    let Some(rolling) = table.take("rolling") else {
        return table.need("per", "per = \"day\"", |field| field.word(&WINDOWS));
    };
    if table.take("per").is_some() {
        rolling.report(Problem::Limit(LimitFault::WindowTwice));
        return None;
    }
    let span_s = rolling.parsed(parse_span)?;
    Some(Window::Rolling { span_s })
}

/// A limit of nothing is a way of saying no that has a better one.
fn above_zero(field: &Field<'_>, amount: i64) -> Option<i64> {
    if amount == 0 {
        field.report(Problem::AmountZero);
        return None;
    }
    Some(amount)
}

/// What kind of no a full window is; `None` where `rate` contradicts the window.
///
/// Nobody waits a day for a retry, and nobody buys more of a minute: only what is longer than
/// that and up to an hour can be either, and `rate` says which.
const fn classify(window: Window, rate: Option<bool>) -> Option<LimitClass> {
    let span_s = match window {
        Window::Second => 1,
        Window::Minute => MINUTE_S,
        Window::Hour => HOUR_S,
        Window::Rolling { span_s } => span_s,
        _ => u32::MAX,
    };
    match rate {
        None | Some(true) if span_s <= MINUTE_S => Some(LimitClass::Velocity),
        Some(true) if span_s <= HOUR_S => Some(LimitClass::Velocity),
        None | Some(false) if span_s > MINUTE_S => Some(LimitClass::Quota),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_takes_up_to_an_hour_may_be_rate_or_quota() {
        use LimitClass::{Quota, Velocity};
        let rolling = [60, 61, 3_600, 3_601].map(|span_s| Window::Rolling { span_s });
        for window in WINDOWS.map(|(_, window)| window).into_iter().chain(rolling) {
            let expected = match window {
                Window::Rolling { span_s: 61 | 3_600 } => {
                    [Some(Quota), Some(Velocity), Some(Quota)]
                }
                Window::Second | Window::Minute | Window::Rolling { span_s: 60 } => {
                    [Some(Velocity), Some(Velocity), None]
                }
                Window::Hour => [Some(Quota), Some(Velocity), Some(Quota)],
                _ => [Some(Quota), None, Some(Quota)],
            };
            let found = [None, Some(true), Some(false)].map(|rate| classify(window, rate));
            assert_eq!(found, expected, "{window:?}");
        }
    }
}
