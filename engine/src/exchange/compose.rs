//! Writes the heads that leave: towards a provider, and back to the client.
//!
//! Fields pass as they came, in order, but for those that end at each hop (RFC 9110
//! §7.6.1), those that say how the body is framed, which we say ourselves, and the
//! caller's key, which is ours alone. Nothing is allocated once blocks are warm.

use std::rc::Rc;

use tollring_dialects::openai::{Ask, Cap, Edits, Endpoint};
use tollring_http1::{
    Field, Framing, Known, Method, Version, append_decimal, append_field, append_fields,
    append_status_line,
};

use super::auth::{KEY_FIELDS, is_ours, key_of};
use super::cors::{self, Grant};
use super::fields::FieldPlan;
use super::quota::Less;
use super::route::max_forwards;
use super::tunnel::{self, Upgrade};
use super::{Exchange, Facts, forwarded};
use crate::connection::{Intake, Outlet};
use crate::live::{Live, TargetPlan, UpstreamPlan};
use crate::net::Buffer;

/// What every request of ours says of itself: who passed it on (RFC 9110 §7.6.3).
const VIA: &[u8] = b"Via: 1.1 tollring\r\n";

/// What every request to a provider says besides. Answers are read for their usage, so they
/// must not be compressed.
const PLAIN: &[u8] = b"Accept-Encoding: identity\r\n";

/// Room for what is written around fields and bodies: ids, framing, our own lines.
const OWN_BYTES_MAX: usize = 1024;

/// Writes a completion request for one target into the outbox, head and body.
pub(super) fn completion(
    exchange: &mut Exchange<'_>,
    target: &TargetPlan,
    endpoint: Endpoint,
    ask: &Ask,
) {
    let turn = u64::from(exchange.worker.dice.below(u32::MAX));
    let head = target.head(endpoint, turn);
    let Intake {
        head: asked,
        inbox,
        body,
        ..
    } = &mut *exchange.intake;
    let body = &inbox[body.clone()];
    let cap = match exchange.facts.less {
        Less::Tokens(tokens) => Some(Cap::new(endpoint, tokens)),
        Less::Nothing | Less::Model(_) => None,
    };
    let asks_usage = wants_usage(endpoint, ask);
    let edits = Edits::new(ask, &target.model_json, asks_usage, cap.as_ref());
    let length = edits.len_after(body.len());
    let outbox = &mut exchange.outlet.outbox;
    outbox.clear();
    outbox.reserve_block(head.len() + asked.len + OWN_BYTES_MAX + length);
    outbox.extend_from_slice(head);
    append_fields(outbox, inbox, &asked.fields, |field| {
        !matches!(field.known, Known::AcceptEncoding) && passes_on(field)
    });
    outbox.extend_from_slice(PLAIN);
    outbox.extend_from_slice(VIA);
    append_length(outbox, length as u64);
    outbox.extend_from_slice(b"\r\n");
    edits.append(body, outbox);
}

/// Whether usage must be asked for: a stream tells it only when it is (CLIENTS of the dialect
/// may ask themselves; then nothing is added and nothing taken out).
pub(super) fn wants_usage(endpoint: Endpoint, ask: &Ask) -> bool {
    ask.stream && !ask.include_usage && endpoint != Endpoint::Embeddings
}

/// Writes a service request's head into the outbox, and as much of its body as is here.
/// The length is said again as the client said it.
pub(super) fn service(exchange: &mut Exchange<'_>, upstream: &UpstreamPlan) {
    let live = Rc::clone(&exchange.live);
    let edits = live.service(upstream.service).request.as_ref();
    let facts = &exchange.facts;
    let Intake {
        head, inbox, body, ..
    } = &*exchange.intake;
    let outbox = &mut exchange.outlet.outbox;
    outbox.clear();
    let edited = edits.map_or(0, |edits| edits.lines().len()) + exchange.intake.path_out.len();
    let said_again = 2 * head.authority.len();
    let before = upstream.path_prefix.len() + edited + said_again;
    outbox.reserve_block(head.len + OWN_BYTES_MAX + before + body.len());
    append_request_line(outbox, exchange.intake, upstream, &live);
    append_own_fields(outbox, exchange.intake, edits, &live);
    forwarded::append(outbox, exchange.intake, facts, &live.config.edge.forwarded);
    if let Some(edits) = edits {
        outbox.extend_from_slice(edits.lines());
    }
    outbox.extend_from_slice(VIA);
    if facts.upgrade == Upgrade::Asked {
        outbox.extend_from_slice(tunnel::WEBSOCKET);
    }
    match head.framing {
        Framing::Length(0) if !expects_body(head.method) => {}
        Framing::Length(length) => append_length(outbox, length),
        Framing::Chunked | Framing::UntilClose => append_chunked(outbox),
    }
    outbox.extend_from_slice(b"\r\n");
    let arrived = &inbox[body.clone()];
    if head.framing == Framing::Chunked {
        if !arrived.is_empty() {
            outbox.extend_from_slice(tollring_http1::ChunkHead::new(arrived.len()).as_bytes());
            outbox.extend_from_slice(arrived);
            outbox.extend_from_slice(b"\r\n");
        }
        if exchange.intake.decoder.is_done() {
            outbox.extend_from_slice(tollring_http1::LAST_CHUNK);
        }
    } else {
        outbox.extend_from_slice(arrived);
    }
}

/// The line of a service request, and `Host` as its service wants it.
fn append_request_line(outbox: &mut Buffer, intake: &Intake, upstream: &UpstreamPlan, live: &Live) {
    let Intake {
        head,
        inbox,
        path_out,
        ..
    } = intake;
    outbox.extend_from_slice(head.method_text.of(inbox));
    outbox.push(b' ');
    outbox.extend_from_slice(upstream.path_prefix.as_bytes());
    let path = match path_out.is_empty() {
        true => head.path.of(inbox),
        false => path_out,
    };
    outbox.extend_from_slice(path);
    if let Some(query) = head.query {
        append_query(outbox, query.of(inbox), live);
    }
    outbox.extend_from_slice(b" HTTP/1.1\r\n");
    match &upstream.host_line {
        Some(line) => outbox.extend_from_slice(line),
        None => append_field(outbox, b"Host", head.authority.of(inbox)),
    }
}

/// The fields of a service request that go on, in order.
fn append_own_fields(outbox: &mut Buffer, intake: &Intake, edits: Option<&FieldPlan>, live: &Live) {
    let Intake { head, inbox, .. } = intake;
    let is_counted = head.method == Method::Options;
    let forwards = is_counted.then(|| max_forwards(head, inbox)).flatten();
    append_fields(outbox, inbox, &head.fields, |field| {
        // Ours goes no further, in whatever field; any other is the upstream's own business.
        let ours = is_key(field.known)
            && key_of(field.known, field.value.of(inbox)).is_some_and(|key| is_ours(live, key));
        let counted = forwards.is_some() && field.known == Known::MaxForwards;
        let dropped = edits.is_some_and(|edits| edits.drops(field.name.of(inbox)));
        !(ours || counted || dropped) && (is_key(field.known) || passes_on(field))
    });
    if let Some(forwards) = forwards {
        outbox.extend_from_slice(b"Max-Forwards: ");
        append_decimal(outbox, forwards.saturating_sub(1));
        outbox.extend_from_slice(b"\r\n");
    }
}

/// The query, without any parameter that shows a key of ours.
fn append_query(outbox: &mut Buffer, query: &[u8], live: &Live) {
    let shows_ours = |part: &[u8]| {
        part.strip_prefix(b"key=")
            .is_some_and(|value| is_ours(live, value))
    };
    let mut before: u8 = b'?';
    for part in query
        .split(|&byte| byte == b'&')
        .filter(|part| !shows_ours(part))
    {
        outbox.push(before);
        outbox.extend_from_slice(part);
        before = b'&';
    }
}

/// Whether a method without a body still says so, as RFC 9110 §8.6 wants.
const fn expects_body(method: Method) -> bool {
    matches!(method, Method::Post | Method::Put | Method::Patch)
}

fn is_key(known: Known) -> bool {
    KEY_FIELDS.contains(&known)
}

/// Whether a request's field goes to the next hop.
fn passes_on(field: &Field) -> bool {
    !field.hop_by_hop
        && !is_key(field.known)
        && !forwarded::is_ours(field.known)
        && !matches!(
            field.known,
            Known::Host | Known::ContentLength | Known::Expect
        )
}

/// How the client is told where the answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// By the connection's end; for HTTP/1.0.
    Close,
    /// Not at all: the answer has no body. A length among the provider's fields is passed on,
    /// since it speaks of the body a GET would have had (RFC 9110 §8.6).
    Bodiless,
    /// It is not HTTP what follows.
    Tunnel,
}

impl Out {
    /// How an answer framed so by the provider is framed towards this client. `rewritten` when
    /// the body's length may change on the way.
    pub(super) fn choose(framing: Framing, rewritten: bool, facts: &Facts, status: u16) -> Self {
        if facts.method == Method::Head || matches!(status, 204 | 304) {
            return Self::Bodiless;
        }
        match framing {
            Framing::Length(length) if !rewritten => Self::Length(length),
            _ if facts.version == Version::Http11 => Self::Chunked,
            _ => Self::Close,
        }
    }
}

/// Writes the head of an upstream's answer for the client into the outbox. A provider's own
/// limits are not the caller's; `add` writes what is.
pub(super) fn answer(
    outlet: &mut Outlet,
    facts: &Facts,
    live: &Live,
    out: Out,
    add: impl FnOnce(&mut Vec<u8>),
) {
    let Outlet {
        answer,
        block,
        outbox,
        ..
    } = outlet;
    let completion = facts.service.is_none();
    let edits = facts
        .service
        .and_then(|id| live.service(id).response.as_ref());
    let lines = edits.map_or(&b""[..], FieldPlan::lines);
    outbox.clear();
    outbox.reserve_block(answer.len + OWN_BYTES_MAX + lines.len());
    append_status_line(outbox, answer.status);
    append_fields(outbox, block, &answer.fields, |field| {
        // A length stays with an answer to HEAD and a 304; a 204 has none (RFC 9110 §8.6).
        let told = out == Out::Bodiless && answer.status != 204;
        let framing = field.known == Known::ContentLength && !told;
        let id = matches!(field.known, Known::XRequestId | Known::RequestId);
        let limits = completion && is_provider_limit(field.name.of(block));
        let said = facts.grant != Grant::Unasked && cors::is_ours(field.name.of(block));
        let dropped = edits.is_some_and(|edits| edits.drops(field.name.of(block)));
        !(field.hop_by_hop || framing || id || limits || said || dropped)
    });
    if let Some(theirs) = answer.fields.find(Known::XRequestId) {
        append_field(outbox, b"x-upstream-request-id", theirs.value.of(block));
    }
    match out {
        Out::Length(length) => append_length(outbox, length),
        Out::Chunked => append_chunked(outbox),
        Out::Close | Out::Bodiless | Out::Tunnel => {}
    }
    append_ids(outbox, facts);
    cors::append(outbox, live, facts);
    outbox.extend_from_slice(lines);
    add(outbox);
    outbox.extend_from_slice(VIA);
    match out {
        Out::Tunnel => outbox.extend_from_slice(tunnel::WEBSOCKET),
        _ => append_connection(outbox, facts, out == Out::Close),
    }
    outbox.extend_from_slice(b"\r\n");
}

/// Writes an interim answer of a provider into the outbox, as it came (RFC 9110 §15.2).
pub(super) fn interim(outlet: &mut Outlet) {
    let Outlet {
        answer,
        block,
        outbox,
        ..
    } = outlet;
    outbox.clear();
    outbox.reserve_block(answer.len + OWN_BYTES_MAX);
    append_status_line(outbox, answer.status);
    append_fields(outbox, block, &answer.fields, |field| {
        field.known != Known::ContentLength
    });
    outbox.extend_from_slice(b"\r\n");
}

/// Fields by which a provider tells how much is left of *our* account there.
fn is_provider_limit(name: &[u8]) -> bool {
    const FAMILIES: [&[u8]; 3] = [b"x-ratelimit-", b"anthropic-ratelimit-", b"ratelimit"];
    FAMILIES.iter().any(|family| {
        name.len() >= family.len() && name[..family.len()].eq_ignore_ascii_case(family)
    })
}

/// The id under both names: OpenAI's SDK reads one, Anthropic's the other.
pub(super) fn append_ids(out: &mut Vec<u8>, facts: &Facts) {
    append_field(out, b"x-request-id", facts.id.as_bytes());
    append_field(out, b"request-id", facts.id.as_bytes());
}

/// Says that the connection ends, or that it goes on where HTTP/1.0 needs to be told.
pub(super) fn append_connection(out: &mut Vec<u8>, facts: &Facts, closes: bool) {
    if closes || !facts.keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if facts.version == Version::Http10 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
}

/// `Content-Length: n`.
pub(super) fn append_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    append_decimal(out, length);
    out.extend_from_slice(b"\r\n");
}

fn append_chunked(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
}
