//! Who is the operator: whoever shows the token.
//!
//! Decides whether an `Authorization` field carries it (RFC 6750 §2.1). It does
//! not decide which routes ask for it, and it knows no other role yet.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tollring_config::Secret;

use crate::refusal::Refusal;

/// The SHA-256 of what an operator shows.
///
/// There is none of an empty secret: one that cannot be typed into a header
/// field cannot be made into a `Token`, so that no comparison can succeed by
/// accident. The digest keeps the comparison as long for every guess.
#[derive(Clone)]
pub(crate) struct Token([u8; 32]);

impl Token {
    /// The token for a secret of at least one byte, all of them visible ASCII.
    pub(crate) fn new(secret: &Secret) -> Option<Self> {
        let text = secret.expose();
        let can_be_shown = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        can_be_shown.then(|| Self(Sha256::digest(text).into()))
    }

    /// Lets in whoever shows the token.
    pub(crate) fn admit(&self, head: &HeaderMap) -> Result<(), Refusal> {
        let mut shown = head.get_all(AUTHORIZATION).iter();
        let (Some(field), None) = (shown.next(), shown.next()) else {
            return Err(Refusal::TokenMissing);
        };
        let Some(presented) = bearer(field.as_bytes()) else {
            return Err(Refusal::TokenMissing);
        };
        let digest: [u8; 32] = Sha256::digest(presented).into();
        if bool::from(digest.ct_eq(&self.0)) {
            Ok(())
        } else {
            Err(Refusal::TokenWrong)
        }
    }
}

/// What follows `Bearer` and its spaces; the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(field: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = field.split_at_checked(b"bearer".len())?;
    let presented = rest.trim_ascii_start();
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && presented.len() < rest.len();
    is_bearer.then_some(presented)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn admit(fields: &[&[u8]]) -> Result<(), Refusal> {
        let token = Token::new(&Secret::new("adm_0123")).unwrap();
        let mut head = HeaderMap::new();
        for field in fields {
            head.append(AUTHORIZATION, HeaderValue::from_bytes(field).unwrap());
        }
        token.admit(&head)
    }

    #[test]
    fn whoever_shows_the_token_is_let_in_however_the_scheme_is_written() {
        for field in ["Bearer adm_0123", "bearer adm_0123", "BEARER   adm_0123"] {
            assert_eq!(admit(&[field.as_bytes()]), Ok(()), "{field}");
        }
    }

    #[test]
    fn no_bearer_field_is_told_from_a_wrong_one() {
        for field in ["", "Bearer", "Beareradm_0123", "Basic adm_0123", "adm_0123"] {
            assert_eq!(
                admit(&[field.as_bytes()]),
                Err(Refusal::TokenMissing),
                "{field}"
            );
        }
        assert_eq!(admit(&[]), Err(Refusal::TokenMissing));
        for field in [
            "Bearer adm_0124",
            "Bearer adm_012",
            "Bearer adm_01234",
            "Bearer adm_0123, x",
        ] {
            assert_eq!(
                admit(&[field.as_bytes()]),
                Err(Refusal::TokenWrong),
                "{field}"
            );
        }
    }

    #[test]
    fn hostile_bytes_are_compared_like_any_others() {
        let long = [b"Bearer ".as_slice(), &[b'%'; 6_000]].concat();
        for field in [
            b"Bearer ' OR 1=1 --".as_slice(),
            b"Bearer \xff\xfe\x80",
            &long,
        ] {
            assert_eq!(admit(&[field]), Err(Refusal::TokenWrong));
        }
    }

    #[test]
    fn two_fields_are_no_field_even_when_one_of_them_is_right() {
        let fields = [b"Bearer adm_0123".as_slice(), b"Bearer other"];
        assert_eq!(admit(&fields), Err(Refusal::TokenMissing));
    }

    #[test]
    fn there_is_no_token_that_is_empty_or_cannot_be_sent() {
        for text in ["", " ", "with space", "tab\t", "line\n", "gr\u{fc}n"] {
            assert!(Token::new(&Secret::new(text)).is_none(), "{text:?}");
        }
    }
}
