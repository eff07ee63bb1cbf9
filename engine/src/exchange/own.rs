//! What the gateway answers itself: its models, the caller's buckets, an estimate.
//!
//! None of it is on the path of a metered request, so it is written plainly.

use serde::Serialize;
use tollring_dialects::openai::{self, Endpoint};
use tollring_http1::{Method, append_field, append_status_line};

use super::auth::Caller;
use super::compose::{append_connection, append_ids, append_length};
use super::refusal::{ANY_METHOD, Denied, Refusal};
use super::route::{self, Call, Own, may_ask_for};
use super::wording::{Amount, Moment, sees_amounts};
use super::{After, Exchange, Stop, cors, intake, quota};
use crate::live::Live;
use crate::net::deadline::Action;

/// One bucket, as its owner sees it.
#[derive(Serialize)]
struct BucketAnswer<'a> {
    scope: &'static str,
    scope_id: Option<&'a str>,
    name: &'a str,
    unit: &'static str,
    window: &'static str,
    limit: Option<String>,
    used: Option<String>,
    held: Option<String>,
    remaining: Option<String>,
    resets_at: Option<String>,
}

#[derive(Serialize)]
struct QuotaAnswer<'a> {
    buckets: Vec<BucketAnswer<'a>>,
}

#[derive(Serialize)]
struct HoldAnswer {
    requests: String,
    tokens: String,
    usd: String,
}

#[derive(Serialize)]
struct EstimateAnswer<'a> {
    model: &'a str,
    hold: HoldAnswer,
    allowed: bool,
    /// What a program would be told if it sent the call now.
    code: Option<&'static str>,
    affordable_max_tokens: Option<u64>,
}

/// Answers an errand of our own.
pub(super) async fn answer(
    exchange: &mut Exchange<'_>,
    live: &Live,
    own: Own,
    caller: Option<Caller>,
) -> Result<After, Stop> {
    if matches!(own, Own::Options | Own::Preflight) {
        return Ok(send(exchange, 204, &[]).await);
    }
    let caller = caller.ok_or(Refusal::KeyMissing)?;
    let mut body = Vec::new();
    match own {
        Own::Options | Own::Preflight => {}
        Own::Models => append_models(&mut body, live, caller),
        Own::Model(name) => {
            let name = percent_decoded(name.of(&exchange.intake.inbox));
            let name = name.ok_or(Refusal::ModelUnknown)?;
            let model = live.config.model_by_name.get(&*name);
            let model = model.ok_or(Refusal::ModelUnknown)?;
            if !may_ask_for(live, caller, *model) {
                return Err(Refusal::ModelNotAllowed.into());
            }
            openai::append_model(&mut body, &name);
        }
        Own::Quota => append_json(&mut body, &buckets(exchange, live, caller)),
        Own::Estimate => {
            intake::whole(exchange, live).await?;
            append_json(&mut body, &estimate(exchange, live, caller)?);
        }
    }
    Ok(send(exchange, 200, &body).await)
}

/// A path segment with its `%2F` and the like read (RFC 3986 §2.1): SDKs encode the slash in a
/// model's name. `None` for what is not UTF-8, or not encoded by the rules.
fn percent_decoded(segment: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.iter();
    while let Some(&byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(*rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Lists the models a key may ask for.
fn append_models(out: &mut Vec<u8>, live: &Live, caller: Caller) {
    match &live.key(caller.key).models {
        None => out.extend_from_slice(&live.models_list),
        Some(allowed) => {
            let names = allowed
                .iter()
                .map(|model| &*live.config.models[model.index()].name);
            openai::append_models(out, names);
        }
    }
}

fn append_json(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("plain fields of text serialise");
}

fn buckets<'a>(exchange: &Exchange<'_>, live: &'a Live, caller: Caller) -> QuotaAnswer<'a> {
    let now = exchange.worker.now();
    let answer = |bucket: &'a std::sync::Arc<tollring_ledger::Bucket>| {
        let (spec, reading) = (bucket.spec(), bucket.reading(now));
        let seen = sees_amounts(spec, live);
        let amount = |value| {
            seen.then(|| {
                Amount {
                    unit: spec.unit,
                    value,
                }
                .to_string()
            })
        };
        BucketAnswer {
            scope: spec.scope.word(),
            scope_id: seen.then_some(&*spec.scope_id),
            name: &spec.name,
            unit: spec.unit.word(),
            window: spec.window.word(),
            limit: amount(reading.limit),
            used: amount(reading.posted),
            held: amount(reading.held),
            remaining: amount(reading.free.max(0)),
            resets_at: reading.resets_at.map(|at| Moment(at).to_string()),
        }
    };
    QuotaAnswer {
        buckets: live.path(caller.key).iter().map(answer).collect(),
    }
}

fn estimate<'a>(
    exchange: &Exchange<'_>,
    live: &'a Live,
    caller: Caller,
) -> Result<EstimateAnswer<'a>, Refusal> {
    let text = &exchange.intake.inbox[exchange.intake.body.clone()];
    let endpoint = Endpoint::ChatCompletions;
    let ask = openai::read_ask(endpoint, text).map_err(Refusal::Ask)?;
    let model = route::model(exchange, live, &ask, Some(caller))?;
    let call = Call::Completion {
        endpoint,
        model,
        ask,
    };
    let caller = caller.calling(live, &call);
    let demand = quota::demand((exchange.worker, live), &call, caller, None)?;
    let worker = exchange.worker;
    let held = tollring_ledger::hold(caller.path(live), demand.want, worker.slot(), worker.now());
    let affordable = quota::affordable(worker, live, caller, &demand);
    let code = match held {
        Ok(hold) => {
            hold.void(worker.now());
            None
        }
        Err(denial) => {
            let denied = Denied {
                caller,
                denial,
                affordable,
            };
            Some(Refusal::Denied(denied).code(live))
        }
    };
    Ok(EstimateAnswer {
        model: &live.config.models[model.index()].name,
        hold: HoldAnswer {
            requests: demand.want.requests.to_string(),
            tokens: demand.want.tokens.to_string(),
            usd: demand.want.usd.to_string(),
        },
        allowed: code.is_none(),
        code,
        affordable_max_tokens: affordable.filter(|&tokens| tokens != u64::MAX),
    })
}

async fn send(exchange: &mut Exchange<'_>, status: u16, body: &[u8]) -> After {
    exchange.facts.keep_alive &= intake::skip_arrived(exchange);
    let facts = &exchange.facts;
    let outbox = &mut exchange.outlet.outbox;
    outbox.clear();
    outbox.reserve_block(1024 + body.len());
    append_status_line(outbox, status);
    if status == 204 {
        append_field(outbox, b"allow", ANY_METHOD.as_bytes());
    } else {
        append_field(outbox, b"content-type", b"application/json");
        append_length(outbox, body.len() as u64);
    }
    append_field(outbox, b"cache-control", b"no-store");
    if facts.grant != cors::Grant::Unasked {
        // Nothing of our own has a service but the answer to a preflight.
        cors::append_preflight(outbox, &exchange.live, facts, exchange.intake);
    }
    exchange.worker.date.append(outbox, exchange.worker.now());
    append_ids(outbox, facts);
    append_connection(outbox, facts, false);
    outbox.extend_from_slice(b"\r\n");
    if facts.method != Method::Head {
        outbox.extend_from_slice(body);
    }
    exchange.worker.counters().answered(status);
    let writer = &mut exchange.client.writer;
    writer
        .watch()
        .arm(exchange.live.config.timeouts.write, Action::Reset);
    let whole = 0..outbox.len();
    let sent = writer.write(outbox, whole).await;
    writer.watch().disarm();
    if sent.is_ok() && exchange.facts.keep_alive {
        After::Next
    } else {
        After::Close
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_may_be_percent_encoded() {
        let check = |segment: &[u8], expected: Option<&str>| {
            assert_eq!(percent_decoded(segment).as_deref(), expected);
        };
        check(b"gpt-4o", Some("gpt-4o"));
        check(b"org%2fother%3Alatest", Some("org/other:latest"));
        check(b"50%", None);
        check(b"%zz", None);
        check(b"%ff", None);
    }
}
