//! May it spend: reserves the most a call could cost, before a byte goes upstream.
//!
//! A request reserves and settles what it did cost, so a burst of large requests
//! cannot all pass on the strength of the same balance. Prices come from the
//! snapshot; buckets from the ledger. How a no is worded is decided elsewhere.

use tollring_config::{HoldMode, LimitClass, Meter, ModelId, NanoUsd, OnInsufficient, Unit};
use tollring_dialects::openai::{Ask, Endpoint};
use tollring_http1::{append_decimal, append_field};
use tollring_ledger::price::{self, TokensUsed};
use tollring_ledger::{Amounts, Denial, DenialReason};

use super::account::{Account, On};
use super::auth::Caller;
use super::bill::{Bill, STEP_TOKENS, Tariff, amounts};
use super::refusal::{Denied, Refusal};
use super::route::{Call, may_ask_for};
use super::{Exchange, Stop};
use crate::live::Live;
use crate::worker::Worker;

/// Output tokens reserved when neither the caller nor the catalogue names a maximum.
const OUTPUT_TOKENS_UNKNOWN: u64 = 4096;

/// Output tokens that are worth having: a call is clamped to no fewer (arbitrary; a paragraph).
const CLAMP_TOKENS_MIN: u64 = 256;

/// What a caller gets less than it asked for, since it could not pay for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Less {
    /// Nothing less.
    Nothing,
    /// So many tokens for each choice at most.
    Tokens(u64),
    /// The answer of this model.
    Model(ModelId),
}

impl Less {
    /// Writes what a caller is told of it.
    pub(super) fn append(self, fields: &mut Vec<u8>, live: &Live) {
        match self {
            Self::Nothing => {}
            Self::Tokens(tokens) => {
                fields.extend_from_slice(b"x-tollring-max-tokens: ");
                append_decimal(fields, tokens);
                fields.extend_from_slice(b"\r\n");
            }
            Self::Model(model) => {
                let name = &live.config.models[model.index()].name;
                append_field(fields, b"x-tollring-model", name.as_bytes());
            }
        }
    }
}

/// Holds what the call may cost in every bucket on the caller's path. Where that is more than is
/// there, the call may become one that asks for less.
///
/// # Errors
/// The refusal of the first bucket that lacks something; nothing is held then.
pub(super) fn hold<'a>(
    (worker, live): (&'a Worker, &'a Live),
    exchange: &mut Exchange<'_>,
    call: &mut Call,
) -> Result<Bill<'a>, Stop> {
    let Some(caller) = exchange.facts.caller else {
        return Ok(Bill::free(worker));
    };
    let mut caller = caller.calling(live, call);
    let mut demand = demand((worker, live), call, caller, None)?;
    if matches!(demand.tariff, Tariff::Free) {
        return Ok(Bill::free(worker));
    }
    let reserve = |caller: Caller, demand: &Demand| {
        tollring_ledger::hold(caller.path(live), demand.want, worker.slot(), worker.now())
    };
    let mut held = reserve(caller, &demand);
    if let Err(denial) = &held
        && let Some((less, paying, cheaper)) =
            settle_for_less((worker, live), call, caller, (&demand, denial))
        && let Ok(hold) = reserve(paying, &cheaper)
    {
        caller = paying;
        exchange.facts.less = less;
        if let (Less::Model(other), Call::Completion { model, .. }) = (less, &mut *call) {
            *model = other;
        }
        (held, demand) = (Ok(hold), cheaper);
    }
    let on = On::of(worker);
    let account = on.map(|_| Account::of(live, &exchange.facts, Some(call), caller));
    exchange.facts.caller = Some(caller);
    match held {
        Ok(hold) => {
            let output = (demand.output, demand.output_most);
            let held = (hold, demand.tariff);
            exchange.facts.accounted = true;
            Ok(Bill::open((worker, live), caller, held, output, account)?)
        }
        Err(denial) => {
            let affordable = affordable(worker, live, caller, &demand);
            let refusal = Refusal::Denied(Denied {
                caller,
                denial,
                affordable,
            });
            if let (Some(mut account), Some(on)) = (account, on) {
                account.voided(Some((&refusal, live)), on);
                exchange.facts.accounted = true;
            }
            Err(refusal.into())
        }
    }
}

/// What the call could ask for instead of what was denied, by the operator's word, and by which
/// buckets that is counted.
fn settle_for_less(
    (worker, live): (&Worker, &Live),
    call: &Call,
    caller: Caller,
    (demand, denial): (&Demand, &Denial),
) -> Option<(Less, Caller, Demand)> {
    let Call::Completion {
        endpoint,
        model,
        ask,
    } = call
    else {
        return None;
    };
    let class = live.path(caller.key)[denial.bucket].spec().class;
    let money = matches!(class, LimitClass::Quota | LimitClass::Balance);
    let lacks = matches!(
        denial.reason,
        DenialReason::Insufficient | DenialReason::NeverFits | DenialReason::Spent
    );
    if !money || !lacks {
        return None;
    }
    match live.config.quota.on_insufficient {
        OnInsufficient::Reject => None,
        OnInsufficient::Clamp if *endpoint == Endpoint::Embeddings => None,
        OnInsufficient::Clamp => {
            let affordable = affordable(worker, live, caller, demand)?;
            let each = affordable / u64::from(ask.choices.max(1));
            if each < CLAMP_TOKENS_MIN {
                return None;
            }
            let cheaper = self::demand((worker, live), call, caller, Some(each)).ok()?;
            Some((Less::Tokens(each), caller, cheaper))
        }
        OnInsufficient::Downgrade => {
            let other = live.config.models[model.index()].downgrade?;
            if !may_ask_for(live, caller, other) {
                return None;
            }
            // A limit on the dear model says nothing about the cheap one.
            let caller = caller.calling_model(live, other);
            let cheaper = completion((worker, live), (*endpoint, other, ask), caller, None).ok()?;
            Some((Less::Model(other), caller, cheaper))
        }
    }
}

/// What a call asks of the buckets.
pub(super) struct Demand {
    pub(super) want: Amounts,
    tariff: Tariff,
    /// Output tokens in `want`, and the most the call can produce.
    output: u64,
    output_most: u64,
    input: u64,
}

/// What a call asks of the caller's buckets.
///
/// # Errors
/// When a money limit meets something that has no price.
pub(super) fn demand(
    (worker, live): (&Worker, &Live),
    call: &Call,
    caller: Caller,
    cap: Option<u64>,
) -> Result<Demand, Refusal> {
    match call {
        Call::Completion {
            endpoint,
            model,
            ask,
        } => {
            let asked = (*endpoint, *model, ask);
            completion((worker, live), asked, caller, cap)
        }
        Call::Service(service) => {
            let service = &live.config.services[service.index()];
            let tariff = match service.meter {
                Meter::Requests => Tariff::Request {
                    price: service.price.request,
                    counted: true,
                },
                Meter::Fixed => Tariff::Request {
                    price: service.price.request,
                    counted: false,
                },
                Meter::Bytes => Tariff::Bytes {
                    price: service.price,
                },
                Meter::None if caller.counts_money(live) => {
                    return Err(Refusal::RouteNotMetered);
                }
                Meter::None => Tariff::Free,
            };
            let counted = i64::from(service.meter != Meter::Fixed);
            let want = Amounts {
                requests: counted,
                usd: service.price.request,
                ..Amounts::default()
            };
            Ok(Demand {
                want,
                tariff,
                output: 0,
                output_most: 0,
                input: 0,
            })
        }
    }
}

/// What a call for a completion asks of the buckets; `cap` is the most that a choice may have,
/// where the caller can pay for no more.
fn completion(
    (worker, live): (&Worker, &Live),
    (endpoint, id, ask): (Endpoint, ModelId, &Ask),
    caller: Caller,
    cap: Option<u64>,
) -> Result<Demand, Refusal> {
    let model = &live.config.models[id.index()];
    if model.price.is_none() && caller.counts_money(live) {
        return Err(Refusal::ModelNotPriced);
    }
    let input = ask.input_tokens_estimate;
    // A model that can write no more than its maximum will not, whatever the caller allows.
    let bounds = [ask.output_tokens_max, model.output_tokens_max, cap];
    let bound = bounds.into_iter().flatten().min();
    let most = bound.unwrap_or(OUTPUT_TOKENS_UNKNOWN);
    let usual = || worker.learnt.usual(caller.key, id);
    let each = match (live.config.quota.hold, ask.stream) {
        _ if endpoint == Endpoint::Embeddings => 0,
        (HoldMode::Strict, _) => most,
        (HoldMode::Rolling, true) => most.min(STEP_TOKENS),
        (HoldMode::Estimate, true) => most.min(usual().unwrap_or(STEP_TOKENS)),
        (HoldMode::Rolling | HoldMode::Estimate, false) => most.min(usual().unwrap_or(most)),
    };
    let choices = u64::from(ask.choices);
    let output = each.saturating_mul(choices);
    let used = TokensUsed {
        input,
        output,
        cached_input: 0,
    };
    let tariff = Tariff::Tokens {
        price: model.price,
        input_estimate: input,
    };
    Ok(Demand {
        want: amounts(model.price.as_ref(), used),
        tariff,
        output,
        // A guess is no bound.
        output_most: bound.map_or(u64::MAX, |bound| bound.saturating_mul(choices)),
        input,
    })
}

/// Whether the bill covers an answer by another model than the one that was asked for, now or by
/// holding more. An unpriced one is not served to a key that counts money.
pub(super) fn covers(
    bill: &mut Bill<'_>,
    live: &Live,
    endpoint: Endpoint,
    model: ModelId,
    ask: &Ask,
) -> bool {
    let Some(caller) = bill.caller() else {
        return true;
    };
    let asked = (endpoint, model, ask);
    match completion((bill.worker(), live), asked, caller, None) {
        Ok(demand) => bill.cover(live, demand.want, demand.output_most),
        Err(_) => false,
    }
}

/// The largest `max_tokens` every bucket of the caller would still admit.
pub(super) fn affordable(
    worker: &Worker,
    live: &Live,
    caller: Caller,
    demand: &Demand,
) -> Option<u64> {
    let Tariff::Tokens { price, .. } = demand.tariff else {
        return None;
    };
    let now = worker.now();
    let left = |(_, bucket): (usize, &std::sync::Arc<tollring_ledger::Bucket>)| {
        let free = bucket.reading(now).free.max(0);
        match (bucket.spec().unit, price) {
            (Unit::Tokens, _) => match &bucket.spec().weights {
                Some(weights) => price::affordable_weighed(weights, demand.input, free),
                None => u64::try_from(free)
                    .unwrap_or(0)
                    .saturating_sub(demand.input),
            },
            (Unit::Usd, Some(price)) => {
                price::affordable_output(&price, demand.input, NanoUsd(free))
            }
            (Unit::Requests | Unit::Concurrent, _) if free == 0 => 0,
            _ => u64::MAX,
        }
    };
    caller.counted(live).map(left).min()
}

/// Refuses a caller that has nothing left at all, before its body is read.
pub(super) fn refuse_if_spent(
    worker: &Worker,
    live: &Live,
    caller: Option<Caller>,
) -> Result<(), Refusal> {
    let Some(caller) = caller else { return Ok(()) };
    let now = worker.now();
    for (place, bucket) in caller.counted(live) {
        let reading = bucket.reading(now);
        let money = matches!(bucket.spec().class, LimitClass::Quota | LimitClass::Balance);
        if money && reading.posted >= reading.limit {
            let denial = Denial {
                bucket: place,
                reason: DenialReason::Spent,
                reading,
                wanted: 1,
            };
            return Err(Refusal::Denied(Denied {
                caller,
                denial,
                affordable: Some(0),
            }));
        }
    }
    Ok(())
}
