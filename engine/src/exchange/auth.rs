//! Who calls: finds the key in the request, and the tenant behind it.
//!
//! Keys are compared by their SHA-256, so how long a look-up takes says nothing
//! about a key, and no byte of one is kept. SDKs put the key in five different
//! places; each is looked into, and the first that is there counts. A client without one
//! may be known by the certificate it showed.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tollring_config::{KeyId, ModelId, Only, TenantId};
use tollring_http1::{Known, Span};
use tollring_ledger::{Bucket, Counting, Path};

use super::Exchange;
use super::refusal::Refusal;
use super::route::{Call, Place};
use crate::connection::Intake;
use crate::live::Live;

/// The fields in which SDKs put a key, in the order they are looked into.
pub(super) const KEY_FIELDS: [Known; 4] = [
    Known::Authorization,
    Known::XApiKey,
    Known::ApiKey,
    Known::XGoogApiKey,
];

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(super) key: KeyId,
    /// Who pays.
    pub(super) tenant: TenantId,
    /// The buckets of its path that count the request: until it is known what for, those that
    /// count every one.
    pub(super) counting: Counting,
}

impl Caller {
    pub(super) fn path(self, live: &Live) -> Path<'_> {
        Path {
            buckets: live.path(self.key),
            counting: self.counting,
        }
    }

    /// The buckets that count, with their places.
    pub(super) fn counted(self, live: &Live) -> impl Iterator<Item = (usize, &Arc<Bucket>)> {
        let placed = live.path(self.key).iter().enumerate();
        placed.filter(move |(place, _)| self.counting.has(*place))
    }

    /// The same caller, of whom it is known what it calls.
    pub(super) fn calling(self, live: &Live, call: &Call) -> Self {
        let service = match call {
            Call::Completion { model, .. } => return self.calling_model(live, *model),
            Call::Service(service) => service,
        };
        let counts = |only: &Only| only.services.binary_search(service).is_ok();
        let counting = live.counting(self.key, counts);
        Self { counting, ..self }
    }

    /// The same caller, of whom it is known which model is to answer.
    pub(super) fn calling_model(self, live: &Live, model: ModelId) -> Self {
        let counts = |only: &Only| only.models.binary_search(&model).is_ok();
        let counting = live.counting(self.key, counts);
        Self { counting, ..self }
    }

    /// Whether money is counted for this.
    pub(super) fn counts_money(self, live: &Live) -> bool {
        self.counting.meets(live.counting_money(self.key))
    }
}

/// The caller of a request; `None` where the place wants no key.
///
/// # Errors
/// When no key was shown, nobody issued it, it is disabled, or its tenant is suspended.
pub(super) fn caller(
    exchange: &Exchange<'_>,
    live: &Live,
    place: &Place,
) -> Result<Option<Caller>, Refusal> {
    if !place.needs_key(live) {
        return Ok(None);
    }
    let digest: [u8; 32] = match shown_key(exchange.intake) {
        Some(key) => Sha256::digest(key).into(),
        // A key that is sent says more about who calls than the machine's certificate.
        None => exchange.shown.ok_or(Refusal::KeyMissing)?,
    };
    let key = *live
        .config
        .key_by_digest
        .get(&digest)
        .ok_or(Refusal::KeyUnknown)?;
    let issued = live.key(key);
    if issued.disabled {
        return Err(Refusal::KeyDisabled);
    }
    if live.config.tenants[issued.tenant.index()].suspended {
        return Err(Refusal::TenantSuspended);
    }
    Ok(Some(Caller {
        key,
        tenant: issued.tenant,
        counting: live.counting_always(key),
    }))
}

/// The key a request shows, from the first of the places where SDKs put one.
fn shown_key(intake: &Intake) -> Option<&[u8]> {
    let (head, bytes) = (&intake.head, &intake.inbox[..]);
    for known in KEY_FIELDS {
        if let Some(field) = head.fields.find(known) {
            let value = field.value.of(bytes);
            let key = key_of(known, value)?;
            return (!key.is_empty()).then_some(key);
        }
    }
    head.query
        .and_then(|query| key_parameter(bytes, query))
        .map(|span| span.of(bytes))
}

/// Whether a key is one that we issued, to whomever: such a one goes no further.
pub(super) fn is_ours(live: &Live, key: &[u8]) -> bool {
    let digest: [u8; 32] = Sha256::digest(key).into();
    live.config.key_by_digest.contains_key(&digest)
}

/// The key in the value of one of the fields where SDKs put it.
pub(super) fn key_of(known: Known, value: &[u8]) -> Option<&[u8]> {
    if known == Known::Authorization {
        bearer(value)
    } else {
        Some(value)
    }
}

/// The token of `Bearer …` (RFC 6750 §2.1; the scheme is case-insensitive, RFC 9110 §11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| rest.trim_ascii())
}

/// Where the value of the `key` parameter lies in a query.
pub(super) fn key_parameter(bytes: &[u8], query: Span) -> Option<Span> {
    let mut start = query.start;
    for part in query.of(bytes).split(|&byte| byte == b'&') {
        let end = start + u32::try_from(part.len()).ok()?;
        if part.starts_with(b"key=") && part.len() > 4 {
            return Some(Span {
                start: start + 4,
                end,
            });
        }
        start = end + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer(b"Bearer tr_1"), Some(&b"tr_1"[..]));
        assert_eq!(bearer(b"bearer  tr_1 "), Some(&b"tr_1"[..]));
        assert_eq!(bearer(b"Basic dXNlcg=="), None);
        assert_eq!(bearer(b"Bear"), None);
    }

    #[test]
    fn the_key_parameter_is_found_among_others() {
        let check = |query: &[u8], expected: Option<&[u8]>| {
            let span = Span {
                start: 0,
                end: u32::try_from(query.len()).expect("a short query"),
            };
            assert_eq!(
                key_parameter(query, span).map(|found| found.of(query)),
                expected
            );
        };
        check(b"key=tr_1", Some(b"tr_1"));
        check(b"alt=sse&key=tr_1&x=y", Some(b"tr_1"));
        check(b"monkey=1", None);
        check(b"key=", None);
        check(b"", None);
    }
}
