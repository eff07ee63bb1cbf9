//! What for: from the path and the method to what is to be done.
//!
//! The target was parsed once, by `http1`; who may call and where it goes are both
//! decided from that one reading, so that they cannot disagree.

use tollring_config::{Auth, ModelId, Service, ServiceId};
use tollring_dialects::openai::{Ask, Endpoint};
use tollring_http1::{Known, Method, RequestHead, Span};

use super::auth::Caller;
use super::host::Host;
use super::refusal::{Refusal, Voice};
use super::{Exchange, cors, rewrite, tunnel};
use crate::live::Live;
use crate::pressure::Pressure;

/// What the path of a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// One of OpenAI's metered operations.
    Completion(Endpoint),
    /// The list of models.
    Models,
    /// One model, by the rest of the path.
    Model(Span),
    /// The caller's own buckets.
    Quota,
    /// What a call would hold.
    Estimate,
    /// A REST service.
    Service(ServiceId),
    /// What a page of another origin may send to a REST service.
    Preflight(ServiceId),
    /// The gateway itself: `OPTIONS *`, or an `OPTIONS` that may go no further.
    Gateway,
    /// Nothing.
    Nowhere,
}

impl Place {
    /// Whether a caller must show a key. What is nowhere is not told to strangers.
    pub(super) fn needs_key(self, live: &Live) -> bool {
        match self {
            Self::Service(service) => live.config.services[service.index()].auth == Auth::Key,
            // A browser shows no key before it knows that it may.
            Self::Gateway | Self::Preflight(_) => false,
            _ => true,
        }
    }

    /// The REST service it concerns, if it does one.
    pub(super) const fn service(self) -> Option<ServiceId> {
        match self {
            Self::Service(service) | Self::Preflight(service) => Some(service),
            _ => None,
        }
    }

    /// The methods it takes; `None` for any.
    const fn methods(self) -> Option<&'static str> {
        match self {
            Self::Completion(_) | Self::Estimate => Some("POST"),
            Self::Models | Self::Model(_) | Self::Quota => Some("GET, HEAD"),
            Self::Service(_) | Self::Preflight(_) | Self::Gateway | Self::Nowhere => None,
        }
    }
}

/// What is to be done for a request.
pub(super) enum Errand {
    /// Something the gateway answers itself.
    Own(Own),
    /// Something another server answers.
    Call(Wanted),
}

/// What the gateway answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// `OPTIONS *`
    Options,
    /// A page's question what it may send to a service.
    Preflight,
    /// `GET /v1/models`
    Models,
    /// `GET /v1/models/{id}`
    Model(Span),
    /// `GET /v1/quota`
    Quota,
    /// `POST /v1/quota/estimate`
    Estimate,
}

/// A call whose body has not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// To a model, by an operation of OpenAI's.
    Completion(Endpoint),
    /// To a REST service.
    Service(ServiceId),
}

/// A call that can be paid for and sent.
pub(super) enum Call {
    /// To a model.
    Completion {
        /// The operation.
        endpoint: Endpoint,
        /// The model, by the name callers use.
        model: ModelId,
        /// What the body asks for.
        ask: Ask,
    },
    /// To a REST service.
    Service(ServiceId),
}

/// What the path names. Sets the words in which refusals are put.
///
/// # Errors
/// When the path climbs: an upstream that resolves it would see another path than the one
/// whose key and meter were asked for. When the host could be read as another.
pub(super) fn place(exchange: &mut Exchange<'_>, live: &Live) -> Result<Place, Refusal> {
    let head = &exchange.intake.head;
    let path = head.path.of(&exchange.intake.inbox);
    let place = match path {
        _ if ends_here(exchange) => Place::Gateway,
        b"/v1/chat/completions" => Place::Completion(Endpoint::ChatCompletions),
        b"/v1/completions" => Place::Completion(Endpoint::Completions),
        b"/v1/embeddings" => Place::Completion(Endpoint::Embeddings),
        b"/v1/models" => Place::Models,
        b"/v1/quota" => Place::Quota,
        b"/v1/quota/estimate" => Place::Estimate,
        _ if climbs(path) => return Err(Refusal::PathClimbs),
        _ => elsewhere(exchange, path, live)?,
    };
    exchange.facts.voice = Voice::OpenAi;
    let place = match place {
        Place::Service(service) => called(exchange, live, service),
        place => place,
    };
    // Before anything is looked up, and the first refusal whose words are known.
    if exchange.worker.pressure() >= Pressure::RefuseRequests {
        return Err(Refusal::MemoryShort);
    }
    Ok(place)
}

/// A service, or what a page may send to it. Sets what is known of the call from then on.
fn called(exchange: &mut Exchange<'_>, live: &Live, service: ServiceId) -> Place {
    exchange.facts.voice = Voice::Problem;
    exchange.facts.service = Some(service);
    let Some(plan) = &live.service(service).cors else {
        return Place::Service(service);
    };
    let (grant, preflight) = cors::ask(exchange.intake, plan, exchange.facts.method);
    exchange.facts.grant = grant;
    match preflight {
        true => Place::Preflight(service),
        false => Place::Service(service),
    }
}

fn elsewhere(exchange: &Exchange<'_>, path: &[u8], live: &Live) -> Result<Place, Refusal> {
    let head = &exchange.intake.head;
    const MODEL: &[u8] = b"/v1/models/";
    if path.starts_with(MODEL) && path.len() > MODEL.len() {
        let start = head.path.start + u32::try_from(MODEL.len()).unwrap_or(0);
        return Ok(Place::Model(Span {
            start,
            end: head.path.end,
        }));
    }
    let host = match live.names_hosts {
        true => Some(Host::read(head.authority.of(&exchange.intake.inbox))?),
        false => None,
    };
    let best = |fits: &dyn Fn(&Service) -> bool| best(&live.config.services, &host, fits);
    let found = best(&|at| covers(at.path.as_bytes(), path));
    if is_ambiguous(path) {
        let plain = plain(path);
        let read = best(&|at| covers(&at.path.as_bytes().to_ascii_lowercase(), &plain));
        if read != found {
            return Err(Refusal::PathClimbs);
        }
    }
    Ok(match found {
        Some(found) => Place::Service(ServiceId(u32::try_from(found).unwrap_or(u32::MAX))),
        None => Place::Nowhere,
    })
}

/// Of the services that fit, the one whose host is the most specific; of several, the one with
/// the longest path. The longest path is first, so where no host counts the first that fits is
/// the best.
fn best(
    services: &[Service],
    host: &Option<Host>,
    fits: &dyn Fn(&Service) -> bool,
) -> Option<usize> {
    let Some(host) = host else {
        return services.iter().position(fits);
    };
    let fitting = services.iter().enumerate().filter(|(_, at)| fits(at));
    let ranked = fitting.filter_map(|(place, at)| Some((host.rank(&at.rules.hosts)?, place)));
    let best = ranked.max_by_key(|&(rank, place)| (rank, std::cmp::Reverse(place)));
    best.map(|(_, place)| place)
}

/// Whether servers may disagree on which resource a path names.
fn is_ambiguous(path: &[u8]) -> bool {
    path.iter()
        .any(|byte| matches!(byte, b'%' | b';' | b'A'..=b'Z'))
        || path.windows(2).any(|two| two == b"//")
}

/// How often the most accommodating of servers decodes.
const DECODED_MAX: usize = 3;

/// A path as the most accommodating of servers would read it: decoded, more than once, where
/// that makes a difference; backslashes taken for slashes, repeated ones merged; parameters cut
/// off its segments; in lower case. Only ever compared; what is passed on stays as it came.
fn plain(path: &[u8]) -> Vec<u8> {
    let mut plain = path.to_ascii_lowercase();
    for _ in 0..DECODED_MAX {
        plain = decoded_once(&plain);
    }
    plain
}

fn decoded_once(path: &[u8]) -> Vec<u8> {
    let mut plain: Vec<u8> = Vec::with_capacity(path.len());
    let mut in_parameters = false;
    let mut rest = path;
    while let Some((&first, after)) = rest.split_first() {
        let decoded = match (first, after) {
            (b'%', [high, low, after @ ..]) => hex_pair(*high, *low)
                .filter(|byte| byte.is_ascii_alphanumeric() || b"-._~/;\\%".contains(byte))
                .map(|byte| (byte.to_ascii_lowercase(), after)),
            _ => None,
        };
        let (byte, after) = decoded.unwrap_or((first, after));
        rest = after;
        match byte {
            b'/' | b'\\' => {
                in_parameters = false;
                if plain.last() != Some(&b'/') {
                    plain.push(b'/');
                }
            }
            b';' => in_parameters = true,
            _ if in_parameters => {}
            byte => plain.push(byte),
        }
    }
    plain
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Whether an `OPTIONS` is for the gateway: it asks about no resource (RFC 9110 §9.3.7), or may
/// be forwarded no more often (§7.6.2).
fn ends_here(exchange: &Exchange<'_>) -> bool {
    let head = &exchange.intake.head;
    let bytes = &exchange.intake.inbox[..];
    head.method == Method::Options
        && (head.path.of(bytes) == b"*" || max_forwards(head, bytes) == Some(0))
}

/// How often a request may still be forwarded, if it says so (RFC 9110 §7.6.2: digits alone).
pub(super) fn max_forwards(head: &RequestHead, bytes: &[u8]) -> Option<u64> {
    let value = head.fields.find(Known::MaxForwards)?.value.of(bytes);
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether a path has a segment `.` or `..` (RFC 3986 §5.2.4), also when it is encoded, or set
/// off by what another server may take for a slash.
pub(super) fn climbs(path: &[u8]) -> bool {
    let mut rest = path;
    let mut dots = Some(0_usize);
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [b'2', b'e' | b'E', after @ ..]) => (b'.', after),
            (b'%', [b'2', b'f' | b'F', after @ ..] | [b'5', b'c' | b'C', after @ ..]) => {
                (b'/', after)
            }
            // Some servers cut what follows a semicolon off a segment, and climb then.
            (b'%', [b'3', b'b' | b'B', after @ ..]) => (b';', after),
            (b'\\', after) => (b'/', after),
            (byte, after) => (byte, after),
        };
        dots = match (byte, dots) {
            (b'/' | b';', Some(1 | 2)) => return true,
            (b'/', _) => Some(0),
            (b'.', Some(dots)) => Some(dots + 1),
            _ => None,
        };
        rest = after;
    }
    matches!(dots, Some(1 | 2))
}

/// Whether a prefix covers a path at a segment's end: `/a` covers `/a`, `/a/b`, not `/ab`.
fn covers(prefix: &[u8], path: &[u8]) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// What is to be done, and whether this caller may have it done.
///
/// # Errors
/// When there is nothing at that path, or not by that method, or not for this key; when the path
/// cannot be passed on as its service rewrites it.
pub(super) fn errand(
    exchange: &mut Exchange<'_>,
    live: &Live,
    place: Place,
    caller: Option<Caller>,
) -> Result<Errand, Refusal> {
    if let Some(allowed) = place.methods()
        && !allows(allowed, exchange.facts.method)
    {
        return Err(Refusal::MethodNotAllowed { allowed });
    }
    Ok(match place {
        Place::Completion(endpoint) => Errand::Call(Wanted::Completion(endpoint)),
        Place::Models => Errand::Own(Own::Models),
        Place::Model(name) => Errand::Own(Own::Model(name)),
        Place::Quota => Errand::Own(Own::Quota),
        Place::Estimate => Errand::Own(Own::Estimate),
        Place::Gateway => Errand::Own(Own::Options),
        Place::Preflight(_) => Errand::Own(Own::Preflight),
        Place::Nowhere => return Err(Refusal::RouteUnknown),
        Place::Service(service) => {
            if let Some(caller) = caller
                && let Some(allowed) = &live.key(caller.key).services
                && !allowed.contains(&service)
            {
                return Err(Refusal::ServiceNotAllowed);
            }
            let called = &live.config.services[service.index()];
            rewrite::apply(exchange.intake, called)?;
            exchange.facts.upgrade = tunnel::asked(exchange.intake, called);
            Errand::Call(Wanted::Service(service))
        }
    })
}

fn allows(allowed: &str, method: Method) -> bool {
    match method {
        Method::Get | Method::Head => allowed.starts_with("GET"),
        Method::Post => allowed == "POST",
        _ => false,
    }
}

/// The model a body asks for, if there is one of that name for this key.
///
/// # Errors
/// When no model has that name, or this key may not ask for it.
pub(super) fn model(
    exchange: &Exchange<'_>,
    live: &Live,
    ask: &Ask,
    caller: Option<Caller>,
) -> Result<ModelId, Refusal> {
    let body = &exchange.intake.inbox[exchange.intake.body.clone()];
    let name = ask.model_name(body).map_err(Refusal::Ask)?;
    let known = live.config.model_by_name.get(&*name).copied();
    let model = known.ok_or(Refusal::ModelUnknown)?;
    if caller.is_some_and(|caller| !may_ask_for(live, caller, model)) {
        return Err(Refusal::ModelNotAllowed);
    }
    Ok(model)
}

/// Whether a key may ask for a model.
pub(super) fn may_ask_for(live: &Live, caller: Caller, model: ModelId) -> bool {
    let allowed = &live.key(caller.key).models;
    allowed
        .as_ref()
        .is_none_or(|allowed| allowed.contains(&model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_climbs_is_known_however_it_is_written() {
        for path in [
            "/..",
            "/.",
            "/a/../b",
            "/a/./b",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a/..%2fb",
            "/a%5c..%5cb",
            "/a/..;/b",
            "/a/.%3B/b",
            "/a/..",
            "/%2e",
        ] {
            assert!(climbs(path.as_bytes()), "{path}");
        }
        for path in [
            "/",
            "/a.b",
            "/..a/b",
            "/.../b",
            "/a..",
            "/.well-known/x",
            "/a/%2e%2e%2e",
        ] {
            assert!(!climbs(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn a_path_is_compared_as_the_most_accommodating_server_reads_it() {
        let check = |path: &str, expected: &str| {
            assert_eq!(plain(path.as_bytes()), expected.as_bytes(), "{path}");
        };
        check("/w/%70remium/x", "/w/premium/x");
        check("/w//premium///x", "/w/premium/x");
        check("/w;a=1/premium;b/x", "/w/premium/x");
        check("/w%2fpremium", "/w/premium");
        check("/w/%2570remium", "/w/premium");
        check("/w/%5cpremium%5Cx", "/w/premium/x");
        check("/W/Premium", "/w/premium");
        check("/k%C3%B6ln/a%20b", "/k%c3%b6ln/a%20b");
        check("/100%25/x", "/100%/x");
        assert!(!is_ambiguous(b"/plain/path.json"));
    }

    #[test]
    fn a_prefix_covers_whole_segments_only() {
        assert!(covers(b"/weather", b"/weather"));
        assert!(covers(b"/weather", b"/weather/today"));
        assert!(!covers(b"/weather", b"/weathers"));
        assert!(!covers(b"/weather", b"/"));
        assert!(covers(b"", b"/anything"));
    }
}
