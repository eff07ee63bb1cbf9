//! The sentences of our refusals, and the facts beside them.
//!
//! Each refusal has a sentence for the caller, in which no address or secret of ours
//! appears; every fact in it is also a field. A caller sees the amounts of its own
//! key; of its tenant's buckets only name and reset, unless the operator shows more.

use std::fmt;

use tollring_config::{BucketSpec, NanoUsd, Scope, Unit, UnixSeconds, Window};
use tollring_dialects::{AmountsView, QuotaView, RefusalView};
use tollring_dialects::{openai, problem};
use tollring_http1::{append_field, append_status_line};
use tollring_ledger::DenialReason;

use super::Facts;
use super::compose::append_length;
use super::refusal::{Denied, Refusal, Voice};
use crate::connection::Crowded;
use crate::live::Live;
use crate::upstream::failure::{AttemptFailure, Cause, Stage};

/// Writes the body of a refusal in the words of its route.
pub(super) fn append_body(out: &mut Vec<u8>, facts: &Facts, refusal: &Refusal, live: &Live) {
    view(facts, refusal, live, |view| match facts.voice {
        Voice::OpenAi => openai::refusal::append(out, view),
        Voice::Problem => problem::append(out, view),
    });
}

/// Writes a refusal as the last event of a stream that had begun.
pub(super) fn append_stream_error(
    out: &mut Vec<u8>,
    facts: &Facts,
    refusal: &Refusal,
    live: &Live,
) {
    view(facts, refusal, live, |view| {
        openai::refusal::append_stream_error(out, view)
    });
}

/// Lends the view of a refusal: its parts live on this stack, so that nothing is allocated.
fn view(facts: &Facts, refusal: &Refusal, live: &Live, write: impl FnOnce(&RefusalView<'_>)) {
    let sentence = Sentence { refusal, live };
    let mut view = RefusalView {
        status: refusal.status(live),
        kind: refusal.kind(live).family(),
        code: refusal.code(live),
        message: &sentence,
        param: match refusal {
            Refusal::Ask(fault) => fault.param(),
            Refusal::ModelUnknown | Refusal::ModelNotAllowed | Refusal::ModelNotPriced => {
                Some("model")
            }
            _ => None,
        },
        request_id: facts.id.as_str(),
        quota: None,
    };
    let Refusal::Denied(denied) = refusal else {
        return write(&view);
    };
    let spec = denied.spec(live);
    let reading = &denied.denial.reading;
    let amount = |value: i64| Amount {
        unit: spec.unit,
        value,
    };
    let (limit, used, held) = (
        amount(reading.limit),
        amount(reading.posted),
        amount(reading.held),
    );
    let (remaining, requested) = (amount(reading.free.max(0)), amount(denied.denial.wanted));
    let resets_at = reading.resets_at.map(Moment);
    let seen = sees_amounts(spec, live);
    view.quota = Some(QuotaView {
        scope: spec.scope.word(),
        scope_id: seen.then_some(&*spec.scope_id),
        name: &spec.name,
        unit: spec.unit.word(),
        window: spec.window.word(),
        amounts: seen.then_some(AmountsView {
            limit: &limit,
            used: &used,
            held: &held,
            remaining: &remaining,
            requested: &requested,
        }),
        affordable_max_tokens: denied.affordable.filter(|_| seen),
        resets_at: resets_at.as_ref().map(|moment| moment as &dyn fmt::Display),
        top_up_url: live.config.errors.top_up_url.as_deref(),
    });
    write(&view);
}

/// Whether a caller may see what a bucket of this scope holds.
pub(super) fn sees_amounts(spec: &BucketSpec, live: &Live) -> bool {
    spec.scope == Scope::Key || live.config.errors.expose_parent_amounts
}

impl Denied {
    fn spec<'a>(&self, live: &'a Live) -> &'a BucketSpec {
        live.path(self.caller.key)[self.denial.bucket].spec()
    }
}

/// An amount in its own unit, as a plain decimal.
pub(super) struct Amount {
    pub(super) unit: Unit,
    pub(super) value: i64,
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::Usd => NanoUsd(self.value).fmt(f),
            Unit::Requests | Unit::Tokens | Unit::Concurrent => self.value.fmt(f),
        }
    }
}

/// A moment as RFC 3339 has it, in UTC.
pub(super) struct Moment(pub(super) UnixSeconds);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0.0) {
            Ok(moment) => moment.fmt(f),
            // Beyond the calendar; the number still says when.
            Err(_) => self.0.0.fmt(f),
        }
    }
}

/// The sentence for the caller.
struct Sentence<'a> {
    refusal: &'a Refusal,
    live: &'a Live,
}

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.refusal {
            Refusal::Head(fault) => fault.sentence(),
            Refusal::Body(fault) => fault.sentence(),
            Refusal::HeadTimedOut => "The request's head did not arrive in time.",
            Refusal::BodyTimedOut => "The request's body stopped arriving.",
            Refusal::BodyTooLong => "The request's body is longer than this gateway inspects.",
            Refusal::Ask(fault) => return fault.message().fmt(f),
            Refusal::KeyMissing => {
                "No API key was shown. Send it as `Authorization: Bearer <key>`."
            }
            Refusal::KeyUnknown => "The API key is not known here. Check it, or ask for a new one.",
            Refusal::KeyDisabled => "The API key is disabled.",
            Refusal::TenantSuspended => "The tenant this API key belongs to is suspended.",
            Refusal::AddressDenied => "Calls from this address are not taken.",
            Refusal::PathUnfit => "The path cannot be passed on in the way this service wants.",
            Refusal::HostAmbiguous => "The host can be read in more than one way. Send it decoded.",
            Refusal::PathClimbs => {
                "The path can be read in more than one way. Send it resolved and decoded."
            }
            Refusal::MemoryShort => {
                "The gateway is short of memory and begins nothing new. Try again shortly."
            }
            Refusal::LedgerUnavailable => {
                "What this would cost cannot be written down at the moment. Try again shortly."
            }
            Refusal::RouteUnknown => "There is nothing at this path.",
            Refusal::MethodNotAllowed { allowed } => {
                return write!(
                    f,
                    "This path does not take that method; it takes {allowed}."
                );
            }
            Refusal::ModelUnknown => {
                "No model has that name here. `GET /v1/models` lists those there are."
            }
            Refusal::ModelNotAllowed => "This API key may not use that model.",
            Refusal::ServiceNotAllowed => "This API key may not use that service.",
            Refusal::ModelNotPriced => {
                "The model has no price, and this API key has a limit in money."
            }
            Refusal::RouteNotMetered => {
                "The service is not metered, and this API key has a limit in money."
            }
            Refusal::Denied(denied) => return denied_sentence(denied, self.live, f),
            Refusal::Upstream(failure) => upstream_sentence(failure),
        };
        f.write_str(text)
    }
}

const fn upstream_sentence(failure: &AttemptFailure) -> &'static str {
    match (failure.stage, failure.cause) {
        (_, Cause::Declined) => "No provider takes the request at this time.",
        (_, Cause::Open) => "The provider keeps failing and is left alone for a moment.",
        (_, Cause::Full) => "As many requests as may be are with the provider already.",
        (_, Cause::Exhausted) => "The gateway has no connection left. Try again shortly.",
        (_, Cause::Stopped) => "The gateway is stopping and could not finish the request.",
        (Stage::Connect, Cause::TimedOut) => "The provider could not be reached in time.",
        (_, Cause::TimedOut) => "The provider did not answer in time.",
        (_, Cause::Untrusted) => "The provider could not be reached securely.",
        (Stage::Connect, _) => "The provider could not be reached.",
        (_, Cause::Malformed) => "The provider's answer could not be understood.",
        _ => "The connection to the provider broke before it answered.",
    }
}

/// Code and sentence for a stream whose provider broke off in the middle.
pub(super) const fn broken_off(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Stopped => (
            "gateway_stopping",
            "The gateway is stopping and could not finish the answer.",
        ),
        Cause::TimedOut => (
            "upstream_timeout",
            "The provider stopped in the middle of its answer.",
        ),
        _ => (
            "upstream_failed",
            "The provider broke off in the middle of its answer.",
        ),
    }
}

fn denied_sentence(denied: &Denied, live: &Live, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let spec = denied.spec(live);
    let (scope, name) = (spec.scope.word(), &spec.name);
    match denied.denial.reason {
        DenialReason::Spent => write!(f, "The {scope}'s {name} is used up.")?,
        DenialReason::Insufficient => {
            write!(
                f,
                "The {scope}'s {name} has less left than this request may need."
            )?;
        }
        DenialReason::HeldInFlight => {
            write!(
                f,
                "What is left of the {scope}'s {name} is reserved by requests in flight."
            )?;
        }
        DenialReason::NeverFits => {
            write!(
                f,
                "This request may need more than the {scope}'s whole {name}."
            )?;
        }
        DenialReason::Velocity { retry_after_s } => {
            write!(
                f,
                "The {scope}'s {name} is reached; try again in {retry_after_s} s."
            )?;
        }
        DenialReason::Concurrency => {
            write!(
                f,
                "The {scope} has as many requests in flight as its {name} allows."
            )?;
        }
    }
    if let (Some(resets_at), DenialReason::Spent | DenialReason::Insufficient) =
        (denied.denial.reading.resets_at, denied.denial.reason)
    {
        let resets_at = Moment(resets_at);
        match spec.window {
            Window::Rolling { .. } => write!(f, " There is room in it again at {resets_at}.")?,
            _ => write!(f, " It starts again at {resets_at}.")?,
        }
    }
    Ok(())
}

/// The answer to a client for whose connection there is no place.
pub(crate) fn append_crowded(out: &mut Vec<u8>, crowded: Crowded) {
    let (status, body): (u16, &[u8]) = match crowded {
        Crowded::Gateway => (
            503,
            b"{\"error\":{\"message\":\"The gateway has as many connections as it may. \
            Try again shortly.\",\"type\":\"server_error\",\"param\":null,\
            \"code\":\"gateway_full\",\"source\":\"gateway\"}}",
        ),
        Crowded::Address => (
            429,
            b"{\"error\":{\"message\":\"Your address has as many connections as it may. \
            Use those, or try again shortly.\",\"type\":\"rate_limit_exceeded\",\"param\":null,\
            \"code\":\"too_many_connections\",\"source\":\"gateway\"}}",
        ),
    };
    append_status_line(out, status);
    append_field(out, b"content-type", b"application/json");
    append_length(out, body.len() as u64);
    append_field(out, b"retry-after", b"1");
    append_field(out, b"cache-control", b"no-store");
    out.extend_from_slice(b"Connection: close\r\n\r\n");
    out.extend_from_slice(body);
}
