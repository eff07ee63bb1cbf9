//! The fields that mean something here, and finding out which one a name is.
//!
//! A name is classified once, while its head is parsed; every later pass matches on one byte.
//! It does not know what a field's value may be.

/// A field by its name (RFC 9110 §5.1), as far as anything here treats it specially.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Known {
    /// Any other field.
    Other,
    /// `Host`.
    Host,
    /// `Connection`.
    Connection,
    /// `Content-Length`.
    ContentLength,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Authorization`.
    Authorization,
    /// `X-Api-Key`, where Anthropic's clients put the key.
    XApiKey,
    /// `Api-Key`, where Azure's clients put the key.
    ApiKey,
    /// `X-Goog-Api-Key`, where Google's clients put the key.
    XGoogApiKey,
    /// `Content-Type`.
    ContentType,
    /// `Accept`.
    Accept,
    /// `Accept-Encoding`.
    AcceptEncoding,
    /// `Content-Encoding`.
    ContentEncoding,
    /// `Expect`.
    Expect,
    /// `Keep-Alive`.
    KeepAlive,
    /// `Proxy-Connection`.
    ProxyConnection,
    /// `Proxy-Authorization`.
    ProxyAuthorization,
    /// `Proxy-Authenticate`.
    ProxyAuthenticate,
    /// `TE`.
    Te,
    /// `Trailer`.
    Trailer,
    /// `Upgrade`.
    Upgrade,
    /// `Via`.
    Via,
    /// `Date`.
    Date,
    /// `Server`.
    Server,
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `X-Forwarded-Proto`.
    XForwardedProto,
    /// `X-Forwarded-Host`.
    XForwardedHost,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Request-Id`.
    XRequestId,
    /// `Request-Id`.
    RequestId,
    /// `Retry-After`.
    RetryAfter,
    /// `Max-Forwards`.
    MaxForwards,
}

/// Fields that end at this hop (RFC 9110 §7.6.1). `Trailer` is among them because trailers are.
const HOP_BY_HOP: u64 = Known::Connection.bit()
    | Known::TransferEncoding.bit()
    | Known::KeepAlive.bit()
    | Known::ProxyConnection.bit()
    | Known::ProxyAuthorization.bit()
    | Known::ProxyAuthenticate.bit()
    | Known::Te.bit()
    | Known::Trailer.bit()
    | Known::Upgrade.bit();

/// Fields that frame, route or authenticate: what decides where a message ends, where it goes
/// or who pays for it cannot be made to vanish on the way by naming it in `Connection`.
const PROTECTED: u64 = Known::Host.bit()
    | Known::ContentLength.bit()
    | Known::TransferEncoding.bit()
    | Known::Authorization.bit()
    | Known::XApiKey.bit()
    | Known::ApiKey.bit()
    | Known::XGoogApiKey.bit()
    | Known::ContentType.bit()
    | Known::ContentEncoding.bit()
    | Known::XForwardedFor.bit()
    | Known::XForwardedProto.bit()
    | Known::XForwardedHost.bit()
    | Known::Forwarded.bit()
    | Known::XRequestId.bit()
    | Known::RequestId.bit();

/// Fields that no trailer may be (RFC 9110 §6.5.1): what says where a message ends, where it
/// goes, who it is of, what its body is or how it is to be treated was decided by its head, and
/// somebody who merged trailers into it would decide otherwise.
const NEVER_TRAILING: u64 = HOP_BY_HOP
    | PROTECTED & !(Known::XRequestId.bit() | Known::RequestId.bit())
    | Known::Expect.bit()
    | Known::MaxForwards.bit();

/// Bytes of the longest name that is known.
pub(crate) const NAME_BYTES_MAX: usize = "proxy-authorization".len();

impl Known {
    /// Which field `name` is. `name` is a token; case does not matter (RFC 9110 §5.1).
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let candidates: &[(&[u8], Self)] = match name.len() {
            2 => &[(b"te", Self::Te)],
            3 => &[(b"via", Self::Via)],
            4 => &[(b"host", Self::Host), (b"date", Self::Date)],
            6 => &[
                (b"accept", Self::Accept),
                (b"expect", Self::Expect),
                (b"server", Self::Server),
            ],
            7 => &[
                (b"api-key", Self::ApiKey),
                (b"upgrade", Self::Upgrade),
                (b"trailer", Self::Trailer),
            ],
            9 => &[
                (b"x-api-key", Self::XApiKey),
                (b"forwarded", Self::Forwarded),
            ],
            10 => &[
                (b"connection", Self::Connection),
                (b"keep-alive", Self::KeepAlive),
                (b"request-id", Self::RequestId),
            ],
            11 => &[(b"retry-after", Self::RetryAfter)],
            12 => &[
                (b"content-type", Self::ContentType),
                (b"x-request-id", Self::XRequestId),
                (b"max-forwards", Self::MaxForwards),
            ],
            13 => &[(b"authorization", Self::Authorization)],
            14 => &[
                (b"content-length", Self::ContentLength),
                (b"x-goog-api-key", Self::XGoogApiKey),
            ],
            15 => &[
                (b"accept-encoding", Self::AcceptEncoding),
                (b"x-forwarded-for", Self::XForwardedFor),
            ],
            16 => &[
                (b"content-encoding", Self::ContentEncoding),
                (b"x-forwarded-host", Self::XForwardedHost),
                (b"proxy-connection", Self::ProxyConnection),
            ],
            17 => &[
                (b"transfer-encoding", Self::TransferEncoding),
                (b"x-forwarded-proto", Self::XForwardedProto),
            ],
            18 => &[(b"proxy-authenticate", Self::ProxyAuthenticate)],
            19 => &[(b"proxy-authorization", Self::ProxyAuthorization)],
            _ => &[],
        };
        candidates
            .iter()
            .find(|(lower, _)| is_name(name, lower))
            .map_or(Self::Other, |&(_, known)| known)
    }

    /// Whether a field of that name ends at this hop, whatever `Connection` says.
    #[must_use]
    pub const fn is_hop_by_hop(self) -> bool {
        self.bit() & HOP_BY_HOP != 0
    }

    /// Whether naming this field in `Connection` is a fault.
    pub(crate) const fn is_protected(self) -> bool {
        self.bit() & PROTECTED != 0
    }

    /// Whether a trailer of this name is a fault.
    pub(crate) const fn is_never_trailing(self) -> bool {
        self.bit() & NEVER_TRAILING != 0
    }

    /// This field's place in a set of fields.
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// Whether `name` is a protected name but for underscores in place of hyphens.
///
/// CGI and WSGI turn both into the same variable, so `content_length` beside `Content-Length`
/// lets a caller say one thing to us and another to the application behind us.
pub(crate) fn is_look_alike(name: &[u8]) -> bool {
    if name.len() > NAME_BYTES_MAX || !name.contains(&b'_') {
        return false;
    }
    let mut hyphened = [0; NAME_BYTES_MAX];
    for (to, &from) in hyphened.iter_mut().zip(name) {
        *to = if from == b'_' { b'-' } else { from };
    }
    Known::of(&hyphened[..name.len()]).is_protected()
}

/// Whether the token `name` is `lower` in any case; both have the same length.
///
/// Setting the bit that tells lower case from upper is exact here: no two token bytes that
/// differ only in it are both letters or hyphens, which is all that `lower` holds.
pub(crate) fn is_name(name: &[u8], lower: &[u8]) -> bool {
    const FOLD: u64 = 0x2020_2020_2020_2020;
    debug_assert_eq!(name.len(), lower.len());
    let Some(last) = name.len().checked_sub(8) else {
        return name
            .iter()
            .zip(lower)
            .all(|(byte, want)| byte | 0x20 == *want);
    };
    // Words of eight, the last one overlapping the one before it.
    let mut at = 0;
    while at < last {
        if word(name, at) | FOLD != word(lower, at) {
            return false;
        }
        at += 8;
    }
    word(name, last) | FOLD == word(lower, last)
}

fn word(text: &[u8], at: usize) -> u64 {
    let bytes = text[at..at + 8]
        .try_into()
        .expect("a slice of eight is an array of eight");
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [(&str, Known); 31] = [
        ("Host", Known::Host),
        ("Connection", Known::Connection),
        ("Content-Length", Known::ContentLength),
        ("Transfer-Encoding", Known::TransferEncoding),
        ("Authorization", Known::Authorization),
        ("X-Api-Key", Known::XApiKey),
        ("Api-Key", Known::ApiKey),
        ("X-Goog-Api-Key", Known::XGoogApiKey),
        ("Content-Type", Known::ContentType),
        ("Accept", Known::Accept),
        ("Accept-Encoding", Known::AcceptEncoding),
        ("Content-Encoding", Known::ContentEncoding),
        ("Expect", Known::Expect),
        ("Keep-Alive", Known::KeepAlive),
        ("Proxy-Connection", Known::ProxyConnection),
        ("Proxy-Authorization", Known::ProxyAuthorization),
        ("Proxy-Authenticate", Known::ProxyAuthenticate),
        ("TE", Known::Te),
        ("Trailer", Known::Trailer),
        ("Upgrade", Known::Upgrade),
        ("Via", Known::Via),
        ("Date", Known::Date),
        ("Server", Known::Server),
        ("X-Forwarded-For", Known::XForwardedFor),
        ("X-Forwarded-Proto", Known::XForwardedProto),
        ("X-Forwarded-Host", Known::XForwardedHost),
        ("Forwarded", Known::Forwarded),
        ("X-Request-Id", Known::XRequestId),
        ("Request-Id", Known::RequestId),
        ("Retry-After", Known::RetryAfter),
        ("Max-Forwards", Known::MaxForwards),
    ];

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for (at, (name, known)) in NAMES.into_iter().enumerate() {
            assert_eq!(known as usize, at + 1, "the list has them all in order");
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
            assert_eq!(
                Known::of(name.to_ascii_lowercase().as_bytes()),
                known,
                "{name}"
            );
            assert_eq!(
                Known::of(name.to_ascii_uppercase().as_bytes()),
                known,
                "{name}"
            );
        }
    }

    #[test]
    fn a_name_that_differs_in_one_byte_is_another() {
        for (name, known) in NAMES {
            for at in 0..name.len() {
                for byte in (0..=u8::MAX).filter(|&byte| crate::syntax::is_token_byte(byte)) {
                    let mut other = name.as_bytes().to_vec();
                    other[at] = byte;
                    let same = other.eq_ignore_ascii_case(name.as_bytes());
                    assert_eq!(Known::of(&other) == known, same, "{}", other.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn underscores_do_not_hide_a_protected_name() {
        for name in [
            "content_length",
            "Transfer_Encoding",
            "x_api-key",
            "X_FORWARDED_FOR",
        ] {
            assert!(is_look_alike(name.as_bytes()), "{name}");
        }
        for name in [
            "content-length",
            "x_custom",
            "keep_alive",
            "_host",
            "host_",
            "a_b-c_d-e_f-g_h",
        ] {
            assert!(!is_look_alike(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn framing_ends_here_and_is_protected_and_a_type_is_only_protected() {
        assert!(Known::TransferEncoding.is_hop_by_hop() && Known::TransferEncoding.is_protected());
        assert!(!Known::ContentType.is_hop_by_hop() && Known::ContentType.is_protected());
        assert!(Known::Te.is_hop_by_hop() && !Known::Te.is_protected());
        assert!(!Known::Other.is_hop_by_hop() && !Known::Other.is_protected());
    }
}
