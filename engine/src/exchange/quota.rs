//! May it spend: reserves the most a call could cost, before a byte goes upstream.
//!
//! A request reserves and settles what it did cost, so a burst of large requests
//! cannot all pass on the strength of the same balance. Prices come from the
//! snapshot; buckets from the ledger. How a no is worded is decided elsewhere.

use tollring_config::{HoldMode, LimitClass, Meter, Model, ModelId, NanoUsd, Unit};
use tollring_dialects::openai::{Ask, Endpoint};
use tollring_ledger::price::{self, TokensUsed};
use tollring_ledger::{Amounts, Denial, DenialReason};

use super::account::{Account, On};
use super::auth::Caller;
use super::bill::{Bill, STEP_TOKENS, Tariff, amounts};
use super::refusal::{Denied, Refusal};
use super::route::Call;
use super::{Exchange, Stop};
use crate::live::Live;
use crate::worker::Worker;

/// Output tokens reserved when neither the caller nor the catalogue names a maximum.
const OUTPUT_TOKENS_UNKNOWN: u64 = 4096;

/// Holds what the call may cost in every bucket on the caller's path.
///
/// # Errors
/// The refusal of the first bucket that lacks something; nothing is held then.
pub(super) fn hold<'a>(
    (worker, live): (&'a Worker, &'a Live),
    exchange: &mut Exchange<'_>,
    call: &Call,
) -> Result<Bill<'a>, Stop> {
    let Some(caller) = exchange.facts.caller else {
        return Ok(Bill::free(worker));
    };
    let demand = demand(live, call, caller)?;
    if matches!(demand.tariff, Tariff::Free) {
        return Ok(Bill::free(worker));
    }
    let on = On::of(worker);
    let account = on.map(|_| Account::of(live, &exchange.facts, Some(call), caller));
    let path = live.path(caller.key);
    match tollring_ledger::hold(path, demand.want, worker.slot(), worker.now()) {
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
pub(super) fn demand(live: &Live, call: &Call, caller: Caller) -> Result<Demand, Refusal> {
    match call {
        Call::Completion {
            endpoint,
            model,
            ask,
        } => {
            let model = &live.config.models[model.index()];
            completion(live, *endpoint, model, ask, caller)
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
                Meter::None if live.key(caller.key).has_money_limit => {
                    return Err(Refusal::RouteNotMetered);
                }
                Meter::None => Tariff::Free,
            };
            let counted = i64::from(service.meter != Meter::Fixed);
            let want = Amounts {
                requests: counted,
                tokens: 0,
                usd: service.price.request,
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

fn completion(
    live: &Live,
    endpoint: Endpoint,
    model: &Model,
    ask: &Ask,
    caller: Caller,
) -> Result<Demand, Refusal> {
    if model.price.is_none() && live.key(caller.key).has_money_limit {
        return Err(Refusal::ModelNotPriced);
    }
    let input = ask.input_tokens_estimate;
    // A model that can write no more than its maximum will not, whatever the caller allows.
    let bounds = [ask.output_tokens_max, model.output_tokens_max];
    let bound = bounds.into_iter().flatten().min();
    let most = bound.unwrap_or(OUTPUT_TOKENS_UNKNOWN);
    let each = match live.config.quota.hold {
        _ if endpoint == Endpoint::Embeddings => 0,
        HoldMode::Rolling if ask.stream => most.min(STEP_TOKENS),
        HoldMode::Rolling | HoldMode::Strict => most,
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
    let model = &live.config.models[model.index()];
    match completion(live, endpoint, model, ask, caller) {
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
    let left = |bucket: &std::sync::Arc<tollring_ledger::Bucket>| {
        let free = bucket.reading(now).free.max(0);
        match (bucket.spec().unit, price) {
            (Unit::Tokens, _) => u64::try_from(free)
                .unwrap_or(0)
                .saturating_sub(demand.input),
            (Unit::Usd, Some(price)) => {
                price::affordable_output(&price, demand.input, NanoUsd(free))
            }
            (Unit::Requests | Unit::Concurrent, _) if free == 0 => 0,
            _ => u64::MAX,
        }
    };
    live.path(caller.key).iter().map(left).min()
}

/// Refuses a caller that has nothing left at all, before its body is read.
pub(super) fn refuse_if_spent(
    worker: &Worker,
    live: &Live,
    caller: Option<Caller>,
) -> Result<(), Refusal> {
    let Some(caller) = caller else { return Ok(()) };
    let now = worker.now();
    for (place, bucket) in live.path(caller.key).iter().enumerate() {
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
