//! Every way the gateway says no instead of passing on a provider's answer.
//!
//! One variant, one status, one code; and the one function that sends it. What a
//! dialect makes of it is in `dialects`, the sentences are in `wording.rs`.

use tollring_config::{LimitClass, Unit, Window};
use tollring_dialects::openai::AskFault;
use tollring_http1::{
    BodyFault, HeadFault, Method, append_decimal, append_field, append_status_line,
};
use tollring_ledger::{Denial, DenialReason};

use super::account;
use super::auth::Caller;
use super::compose::{append_connection, append_ids, append_length};
use super::{After, Exchange, cors, intake, wording};
use crate::connection::Outlet;
use crate::live::Live;
use crate::net::deadline::Action;
use crate::upstream::failure::{AttemptFailure, Cause, Stage};

/// Our no.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// The head is not one we take; the fault says which rule and status.
    Head(HeadFault),
    /// The head did not come in time.
    HeadTimedOut,
    /// The body's framing is broken.
    Body(BodyFault),
    /// The body stopped coming.
    BodyTimedOut,
    /// The body is longer than may be inspected.
    BodyTooLong,
    /// The body does not say what a call needs.
    Ask(AskFault),
    /// No key was shown.
    KeyMissing,
    /// Nobody issued the key that was shown.
    KeyUnknown,
    /// The key is switched off.
    KeyDisabled,
    /// The tenant is stopped.
    TenantSuspended,
    /// Nobody may call from that address.
    AddressDenied,
    /// The path has a segment that another server may take for a step up.
    PathClimbs,
    /// Memory is short; what is going on goes on, and nothing is begun.
    MemoryShort,
    /// What it will cost cannot be written down.
    LedgerUnavailable,
    /// The path becomes none when its service rewrites it.
    PathUnfit,
    /// The host is encoded, so that another server may read another.
    HostAmbiguous,
    /// There is no such place.
    RouteUnknown,
    /// There is, but not by that method.
    MethodNotAllowed {
        /// What is, as `Allow` lists it (RFC 9110 §10.2.1).
        allowed: &'static str,
    },
    /// No model has that name.
    ModelUnknown,
    /// This key may not ask for that model.
    ModelNotAllowed,
    /// This key may not call that service.
    ServiceNotAllowed,
    /// The key counts money and the model has no price.
    ModelNotPriced,
    /// The key counts money and the service is not metered.
    RouteNotMetered,
    /// A bucket lacks something.
    Denied(Denied),
    /// Every target failed, or none may be tried.
    Upstream(AttemptFailure),
}

/// Which bucket said no to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Denied {
    pub(super) caller: Caller,
    pub(super) denial: Denial,
    /// The largest `max_tokens` that would still pass.
    pub(super) affordable: Option<u64>,
}

/// In which words a refusal is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// OpenAI's error object.
    OpenAi,
    /// RFC 9457, for REST.
    Problem,
}

/// What a program is told: one word each; also how refusals are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    MalformedRequest,
    RequestTimedOut,
    BodyTooLarge,
    InvalidRequest,
    InvalidKey,
    KeyDisabled,
    TenantSuspended,
    AddressDenied,
    RouteUnknown,
    MethodNotAllowed,
    ModelUnknown,
    ModelNotAllowed,
    ServiceNotAllowed,
    ModelNotPriced,
    RouteNotMetered,
    BalanceExhausted,
    QuotaExhausted,
    QuotaInsufficient,
    HeldInFlight,
    ExceedsLimit,
    Velocity,
    Concurrency,
    UpstreamUnreachable,
    UpstreamTimedOut,
    UpstreamFailed,
    UpstreamUnavailable,
    Overloaded,
    UpstreamBusy,
    Draining,
    LedgerUnavailable,
}

impl RefusalKind {
    /// Every kind, in the order of their numbers.
    pub(crate) const ALL: [Self; 30] = [
        Self::MalformedRequest,
        Self::RequestTimedOut,
        Self::BodyTooLarge,
        Self::InvalidRequest,
        Self::InvalidKey,
        Self::KeyDisabled,
        Self::TenantSuspended,
        Self::AddressDenied,
        Self::RouteUnknown,
        Self::MethodNotAllowed,
        Self::ModelUnknown,
        Self::ModelNotAllowed,
        Self::ServiceNotAllowed,
        Self::ModelNotPriced,
        Self::RouteNotMetered,
        Self::BalanceExhausted,
        Self::QuotaExhausted,
        Self::QuotaInsufficient,
        Self::HeldInFlight,
        Self::ExceedsLimit,
        Self::Velocity,
        Self::Concurrency,
        Self::UpstreamUnreachable,
        Self::UpstreamTimedOut,
        Self::UpstreamFailed,
        Self::UpstreamUnavailable,
        Self::Overloaded,
        Self::UpstreamBusy,
        Self::Draining,
        Self::LedgerUnavailable,
    ];

    /// Its number in what is written down; 0 is none. Kinds are only ever added at the end.
    pub(crate) const fn number(self) -> u16 {
        self as u16 + 1
    }

    /// The word a program acts on.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::RequestTimedOut => "request_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidKey => "invalid_api_key",
            Self::KeyDisabled => "key_disabled",
            Self::TenantSuspended => "tenant_suspended",
            Self::AddressDenied => "ip_denied",
            Self::RouteUnknown => "route_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::ModelUnknown => "model_not_found",
            Self::ModelNotAllowed => "model_not_allowed",
            Self::ServiceNotAllowed => "service_not_allowed",
            Self::ModelNotPriced => "model_not_priced",
            Self::RouteNotMetered => "route_not_metered",
            Self::BalanceExhausted => "balance_exhausted",
            Self::QuotaExhausted => "quota_exhausted",
            Self::QuotaInsufficient => "quota_insufficient_for_request",
            Self::HeldInFlight => "quota_held_in_flight",
            Self::ExceedsLimit => "request_exceeds_quota_limit",
            Self::Velocity => "rate_limit",
            Self::Concurrency => "concurrency",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTimedOut => "upstream_timeout",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::Overloaded => "gateway_overloaded",
            Self::UpstreamBusy => "upstream_busy",
            Self::Draining => "gateway_stopping",
            Self::LedgerUnavailable => "quota_unavailable",
        }
    }

    /// OpenAI's `type` of the error.
    pub(crate) const fn family(self) -> &'static str {
        match self {
            Self::InvalidKey => "authentication_error",
            Self::KeyDisabled
            | Self::TenantSuspended
            | Self::AddressDenied
            | Self::ModelNotAllowed
            | Self::ServiceNotAllowed
            | Self::ModelNotPriced
            | Self::RouteNotMetered => "permission_error",
            Self::BalanceExhausted | Self::QuotaExhausted | Self::QuotaInsufficient => {
                "insufficient_quota"
            }
            Self::HeldInFlight | Self::Velocity | Self::Concurrency => "rate_limit_exceeded",
            Self::UpstreamUnreachable
            | Self::UpstreamTimedOut
            | Self::UpstreamFailed
            | Self::UpstreamUnavailable
            | Self::Overloaded
            | Self::UpstreamBusy
            | Self::Draining
            | Self::LedgerUnavailable => "server_error",
            _ => "invalid_request_error",
        }
    }
}

impl Refusal {
    /// Its kind.
    pub(crate) fn kind(&self, live: &Live) -> RefusalKind {
        match self {
            Self::Head(_) | Self::Body(_) => RefusalKind::MalformedRequest,
            Self::HeadTimedOut | Self::BodyTimedOut => RefusalKind::RequestTimedOut,
            Self::BodyTooLong => RefusalKind::BodyTooLarge,
            Self::Ask(_) | Self::PathClimbs | Self::PathUnfit | Self::HostAmbiguous => {
                RefusalKind::InvalidRequest
            }
            Self::KeyMissing | Self::KeyUnknown => RefusalKind::InvalidKey,
            Self::KeyDisabled => RefusalKind::KeyDisabled,
            Self::TenantSuspended => RefusalKind::TenantSuspended,
            Self::MemoryShort => RefusalKind::Overloaded,
            Self::AddressDenied => RefusalKind::AddressDenied,
            Self::RouteUnknown => RefusalKind::RouteUnknown,
            Self::MethodNotAllowed { .. } => RefusalKind::MethodNotAllowed,
            Self::ModelUnknown => RefusalKind::ModelUnknown,
            Self::ModelNotAllowed => RefusalKind::ModelNotAllowed,
            Self::ServiceNotAllowed => RefusalKind::ServiceNotAllowed,
            Self::ModelNotPriced => RefusalKind::ModelNotPriced,
            Self::RouteNotMetered => RefusalKind::RouteNotMetered,
            Self::LedgerUnavailable => RefusalKind::LedgerUnavailable,
            Self::Denied(denied) => denied.kind(live),
            Self::Upstream(failure) => upstream_kind(failure),
        }
    }

    /// The status the client sees.
    pub(crate) fn status(&self, live: &Live) -> u16 {
        match self {
            Self::Head(fault) => fault.status(),
            Self::Body(fault) => fault.status(),
            Self::MethodNotAllowed { .. } => 405,
            _ => match self.kind(live) {
                RefusalKind::RequestTimedOut => 408,
                RefusalKind::BodyTooLarge => 413,
                RefusalKind::InvalidKey => 401,
                RefusalKind::RouteUnknown | RefusalKind::ModelUnknown => 404,
                RefusalKind::BalanceExhausted
                | RefusalKind::QuotaExhausted
                | RefusalKind::QuotaInsufficient => live.config.errors.exhausted_status,
                RefusalKind::UpstreamUnreachable | RefusalKind::UpstreamFailed => 502,
                RefusalKind::UpstreamUnavailable
                | RefusalKind::Overloaded
                | RefusalKind::UpstreamBusy
                | RefusalKind::LedgerUnavailable
                | RefusalKind::Draining => 503,
                RefusalKind::UpstreamTimedOut => 504,
                kind => match kind.family() {
                    "permission_error" => 403,
                    "rate_limit_exceeded" => 429,
                    _ => 400,
                },
            },
        }
    }

    /// The word a program acts on; finer than the kind where the contract has more words.
    pub(crate) fn code(&self, live: &Live) -> &'static str {
        match self {
            Self::Ask(fault) => fault.code(),
            Self::Denied(denied) => denied.code(live),
            _ => self.kind(live).code(),
        }
    }

    /// Whole seconds after which trying again makes sense.
    fn retry_after_s(&self, live: &Live) -> Option<u32> {
        match (self, self.kind(live)) {
            (Self::Denied(Denied { denial, .. }), RefusalKind::Velocity) => match denial.reason {
                DenialReason::Velocity { retry_after_s } => Some(retry_after_s),
                _ => Some(1),
            },
            (_, RefusalKind::HeldInFlight | RefusalKind::Concurrency) => Some(1),
            (
                _,
                RefusalKind::UpstreamUnavailable
                | RefusalKind::UpstreamBusy
                | RefusalKind::LedgerUnavailable
                | RefusalKind::Overloaded,
            ) => Some(1),
            _ => None,
        }
    }

    /// Whether official SDKs, which would try 5xx and 429 again, are told not to: nothing will
    /// have changed, or the provider may have done the work already.
    fn forbids_retry(&self, live: &Live) -> bool {
        match self {
            Self::Denied(_) => self.retry_after_s(live).is_none(),
            Self::Upstream(failure) => !matches!(
                (failure.stage, failure.cause),
                (Stage::Connect, _) | (_, Cause::Declined)
            ),
            _ => false,
        }
    }

    /// Whether it is still certain where the next request begins.
    fn leaves_framing_certain(&self) -> bool {
        !matches!(
            self,
            Self::Head(_) | Self::HeadTimedOut | Self::Body(_) | Self::BodyTimedOut
        )
    }
}

impl Denied {
    fn kind(&self, live: &Live) -> RefusalKind {
        let class = live.path(self.caller.key)[self.denial.bucket].spec().class;
        match self.denial.reason {
            DenialReason::Spent if class == LimitClass::Balance => RefusalKind::BalanceExhausted,
            DenialReason::Spent => RefusalKind::QuotaExhausted,
            DenialReason::Insufficient if class == LimitClass::Balance => {
                RefusalKind::BalanceExhausted
            }
            DenialReason::Insufficient => RefusalKind::QuotaInsufficient,
            DenialReason::HeldInFlight => RefusalKind::HeldInFlight,
            DenialReason::NeverFits => RefusalKind::ExceedsLimit,
            DenialReason::Velocity { .. } => RefusalKind::Velocity,
            DenialReason::Concurrency => RefusalKind::Concurrency,
        }
    }

    fn code(&self, live: &Live) -> &'static str {
        let kind = self.kind(live);
        if kind != RefusalKind::Velocity {
            return kind.code();
        }
        let spec = live.path(self.caller.key)[self.denial.bucket].spec();
        match (spec.unit, spec.window) {
            (Unit::Requests, Window::Rolling { .. }) => "requests_rolling",
            (Unit::Tokens, Window::Rolling { .. }) => "tokens_rolling",
            (_, Window::Rolling { .. }) => "usd_rolling",
            (Unit::Requests, Window::Second) => "requests_per_second",
            (Unit::Requests, Window::Minute) => "requests_per_minute",
            (Unit::Requests, _) => "requests_per_hour",
            (Unit::Tokens, Window::Second) => "tokens_per_second",
            (Unit::Tokens, Window::Minute) => "tokens_per_minute",
            (Unit::Tokens, _) => "tokens_per_hour",
            (_, Window::Second) => "usd_per_second",
            (_, Window::Minute) => "usd_per_minute",
            _ => "usd_per_hour",
        }
    }
}

const fn upstream_kind(failure: &AttemptFailure) -> RefusalKind {
    match (failure.stage, failure.cause) {
        (_, Cause::Declined | Cause::Open) => RefusalKind::UpstreamUnavailable,
        (_, Cause::Full) => RefusalKind::UpstreamBusy,
        (_, Cause::Exhausted) => RefusalKind::Overloaded,
        (_, Cause::Stopped) => RefusalKind::Draining,
        (_, Cause::TimedOut) => RefusalKind::UpstreamTimedOut,
        (Stage::Connect, _) => RefusalKind::UpstreamUnreachable,
        _ => RefusalKind::UpstreamFailed,
    }
}

/// The methods that go anywhere at all.
pub(super) const ANY_METHOD: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Sends a refusal, and says what becomes of the connection.
pub(crate) async fn answer(exchange: &mut Exchange<'_>, refusal: Refusal) -> After {
    let read_whole = refusal.leaves_framing_certain() && intake::skip_arrived(exchange);
    exchange.facts.keep_alive &= read_whole;
    let live = std::rc::Rc::clone(&exchange.live);
    let status = refusal.status(&live);
    let counters = exchange.worker.counters();
    counters.refused(refusal.kind(&live));
    counters.answered(status);
    account::refused(exchange, &live, &refusal);
    write_out(exchange, &refusal, &live);
    let Outlet { outbox, .. } = &mut *exchange.outlet;
    let writer = &mut exchange.client.writer;
    writer
        .watch()
        .arm(live.config.timeouts.write, Action::Reset);
    let whole = 0..outbox.len();
    let sent = writer.write(outbox, whole).await;
    writer.watch().disarm();
    match sent {
        Err(_) => After::Cut,
        Ok(()) if exchange.facts.keep_alive => After::Next,
        Ok(()) if read_whole => After::Close,
        Ok(()) => After::Linger,
    }
}

/// Writes the whole answer into the outbox.
fn write_out(exchange: &mut Exchange<'_>, refusal: &Refusal, live: &Live) {
    let facts = &exchange.facts;
    let Outlet { block, outbox, .. } = &mut *exchange.outlet;
    block.clear();
    wording::append_body(block, facts, refusal, live);
    outbox.clear();
    outbox.reserve_block(1024 + block.len());
    append_status_line(outbox, refusal.status(live));
    let content_type: &[u8] = match facts.voice {
        Voice::OpenAi => b"application/json",
        Voice::Problem => b"application/problem+json",
    };
    append_field(outbox, b"content-type", content_type);
    append_length(outbox, block.len() as u64);
    exchange.worker.date.append(outbox, exchange.worker.now());
    append_ids(outbox, facts);
    append_field(outbox, b"cache-control", b"no-store");
    cors::append(outbox, live, facts);
    if let Some(seconds) = refusal.retry_after_s(live) {
        outbox.extend_from_slice(b"retry-after: ");
        append_decimal(outbox, u64::from(seconds));
        outbox.extend_from_slice(b"\r\n");
    }
    if refusal.forbids_retry(live) {
        append_field(outbox, b"x-should-retry", b"false");
    }
    match refusal {
        Refusal::KeyMissing | Refusal::KeyUnknown => {
            append_field(outbox, b"www-authenticate", b"Bearer");
        }
        // RFC 9110 §15.5.6 wants it beside every 405; this one is CONNECT's.
        Refusal::Head(fault) if fault.status() == 405 => {
            append_field(outbox, b"allow", ANY_METHOD.as_bytes());
        }
        Refusal::MethodNotAllowed { allowed } => {
            append_field(outbox, b"allow", allowed.as_bytes());
        }
        Refusal::Denied(denied) => {
            let worker = exchange.worker;
            worker.headroom.append(outbox, worker, live, denied.caller);
            if let Some(url) = &live.config.errors.top_up_url {
                append_field(
                    outbox,
                    b"link",
                    format!("<{url}>; rel=\"payment\"").as_bytes(),
                );
            }
        }
        _ => {}
    }
    append_connection(outbox, facts, false);
    outbox.extend_from_slice(b"\r\n");
    if facts.method != Method::Head {
        outbox.extend_from_slice(block);
    }
}
