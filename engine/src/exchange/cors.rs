//! Which pages of other origins may call a service, and read what it answers.
//!
//! The Fetch standard's CORS protocol, from the server's side: a browser asks before it sends
//! what a form could not, and that is answered here, before any key, for a browser shows none.
//! Everything else carries the fields that let a page read it, our own refusals too: a page
//! that may not read a 402 cannot act on it. Whom the browser then refuses is its own doing.

use tollring_config::{Cors, Origins};
use tollring_http1::{Method, append_decimal, append_field};

use super::Facts;
use super::refusal::ANY_METHOD;
use crate::connection::Intake;
use crate::live::Live;

/// Fields of ours that a page may read beside those the operator names.
const OWN_EXPOSED: &[u8] = b"x-request-id, retry-after, x-should-retry, link";

/// What one service answers to pages of other origins, prepared.
pub(crate) struct CorsPlan {
    /// The origins that are let in; none where all are.
    origins: Vec<Box<str>>,
    /// The lines of an answer, for each of the origins, or the one for all.
    lines: Vec<Box<[u8]>>,
    /// The lines of the answer to a preflight, after the origin's own.
    preflight: Box<[u8]>,
    /// Whether a page is told that it may send whatever it asked to send.
    echoes_headers: bool,
}

/// What a page's origin gets of the service that it calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Grant {
    /// The service leaves all this to its upstream.
    #[default]
    Unasked,
    /// Nothing; but the answer depends on who asked.
    Withheld,
    /// What stands at this place of the plan.
    Given(u16),
}

impl CorsPlan {
    /// Prepares what the operator said.
    pub(crate) fn of(cors: &Cors) -> Self {
        let origins = match &cors.origins {
            Origins::Any => Vec::new(),
            Origins::These(these) => these.clone(),
        };
        let lines = match &cors.origins {
            Origins::Any => vec![answer_lines(cors, "*")],
            Origins::These(these) => these.iter().map(|name| answer_lines(cors, name)).collect(),
        };
        let mut preflight = Vec::new();
        let methods = joined(&cors.methods);
        let methods = if methods.is_empty() {
            ANY_METHOD
        } else {
            &methods
        };
        append_field(
            &mut preflight,
            b"access-control-allow-methods",
            methods.as_bytes(),
        );
        if !cors.headers.is_empty() {
            let headers = joined(&cors.headers);
            append_field(
                &mut preflight,
                b"access-control-allow-headers",
                headers.as_bytes(),
            );
        }
        preflight.extend_from_slice(b"access-control-max-age: ");
        append_decimal(&mut preflight, u64::from(cors.max_age_s));
        preflight.extend_from_slice(b"\r\n");
        Self {
            origins,
            lines,
            preflight: preflight.into(),
            echoes_headers: cors.headers.is_empty(),
        }
    }

    /// What an origin gets. An origin is compared as it is written: a browser has one way.
    fn grant(&self, origin: Option<&[u8]>) -> Grant {
        if self.origins.is_empty() {
            return Grant::Given(0);
        }
        let found = origin.and_then(|origin| {
            let mut names = self.origins.iter();
            names.position(|name| name.as_bytes() == origin)
        });
        let place = found.and_then(|place| u16::try_from(place).ok());
        place.map_or(Grant::Withheld, Grant::Given)
    }
}

/// The lines that let a page of this origin read an answer.
fn answer_lines(cors: &Cors, origin: &str) -> Box<[u8]> {
    let mut lines = Vec::new();
    append_field(
        &mut lines,
        b"access-control-allow-origin",
        origin.as_bytes(),
    );
    if cors.credentials {
        append_field(&mut lines, b"access-control-allow-credentials", b"true");
    }
    let mut exposed = OWN_EXPOSED.to_vec();
    for name in &cors.expose {
        exposed.extend_from_slice(b", ");
        exposed.extend_from_slice(name.as_bytes());
    }
    append_field(&mut lines, b"access-control-expose-headers", &exposed);
    if cors.origins != Origins::Any {
        lines.extend_from_slice(VARY);
    }
    lines.into()
}

/// Says that another origin may get another answer, so that no cache mixes them up.
const VARY: &[u8] = b"Vary: Origin\r\n";

fn joined(names: &[Box<str>]) -> String {
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    names.join(", ")
}

/// What the origin of a request gets of a service, and whether the request only asks for that.
pub(super) fn ask(intake: &Intake, plan: &CorsPlan, method: Method) -> (Grant, bool) {
    let (fields, bytes) = (&intake.head.fields, &intake.inbox[..]);
    let origin = fields.find_name(bytes, b"origin");
    let grant = plan.grant(origin.map(|field| field.value.of(bytes)));
    let preflight = method == Method::Options
        && origin.is_some()
        && fields
            .find_name(bytes, b"access-control-request-method")
            .is_some();
    (grant, preflight)
}

/// Whether a field of an upstream's answer is left out, since the gateway says it itself.
pub(super) fn is_ours(name: &[u8]) -> bool {
    const FAMILY: &[u8] = b"access-control-";
    name.len() > FAMILY.len() && name[..FAMILY.len()].eq_ignore_ascii_case(FAMILY)
}

/// Writes what lets a page read an answer, where the service has anything to say of it.
pub(super) fn append(out: &mut Vec<u8>, live: &Live, facts: &Facts) {
    let Some(plan) = plan_of(live, facts) else {
        return;
    };
    match facts.grant {
        Grant::Unasked => {}
        Grant::Withheld => out.extend_from_slice(VARY),
        Grant::Given(place) => out.extend_from_slice(&plan.lines[usize::from(place)]),
    }
}

/// The plan of the service that is called, if it has one.
pub(super) fn plan_of<'a>(live: &'a Live, facts: &Facts) -> Option<&'a CorsPlan> {
    let service = facts.service.filter(|_| facts.grant != Grant::Unasked)?;
    live.service(service).cors.as_ref()
}

/// Writes what answers a preflight: what a page of that origin may send, and for how long it
/// may rely on that. Where nothing is granted nothing is said, and the browser refuses.
pub(super) fn append_preflight(out: &mut Vec<u8>, live: &Live, facts: &Facts, intake: &Intake) {
    append(out, live, facts);
    out.extend_from_slice(
        b"Vary: Access-Control-Request-Method, Access-Control-Request-Headers\r\n",
    );
    let Some(plan) = plan_of(live, facts).filter(|_| facts.grant != Grant::Withheld) else {
        return;
    };
    out.extend_from_slice(&plan.preflight);
    let (fields, bytes) = (&intake.head.fields, &intake.inbox[..]);
    let wanted = fields.find_name(bytes, b"access-control-request-headers");
    if let Some(wanted) = wanted.filter(|_| plan.echoes_headers) {
        let wanted = wanted.value.of(bytes);
        // Said back, so it must be a list of names and nothing else.
        if wanted.iter().all(|&byte| is_in_list_of_names(byte)) {
            append_field(out, b"access-control-allow-headers", wanted);
        }
    }
}

fn is_in_list_of_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~, ".contains(&byte)
}
