//! What keys are looked up by: SHA-256 digests. The key itself never stands in the file.

use sha2::{Digest, Sha256};

use crate::fault::Problem;

/// 64 hexadecimal digits in either case.
pub(crate) fn parse_digest(text: &str) -> Result<[u8; 32], Problem> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(Problem::DigestMalformed);
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Ok(digest)
}

const fn nibble(digit: u8) -> Result<u8, Problem> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(Problem::DigestMalformed),
    }
}

/// The subject of a client's certificate as RFC 4514 writes it: `"CN=build-bot,O=acme"`.
pub(crate) fn parse_subject(text: &str) -> Result<[u8; 32], Problem> {
    if text.trim().is_empty() {
        return Err(Problem::SecretEmpty);
    }
    Ok(subject_digest(text))
}

/// What stands for a certificate's subject among the digests of keys. It begins with a byte
/// that no header field can carry, so nobody who sends a key can be taken for a certificate.
pub fn subject_digest(subject: &str) -> [u8; 32] {
    let mut sha256 = Sha256::new();
    sha256.update(b"\0subject\0");
    sha256.update(subject.as_bytes());
    sha256.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_case_reads_the_same() {
        let mut expected = [0xab; 32];
        assert_eq!(parse_digest(&"ab".repeat(32)), Ok(expected));
        assert_eq!(parse_digest(&"AB".repeat(32)), Ok(expected));
        expected[31] = 0x0f;
        assert_eq!(parse_digest(&("aB".repeat(31) + "0f")), Ok(expected));
    }

    #[test]
    fn anything_but_64_digits_is_refused() {
        let texts = [
            String::new(),
            "ab".repeat(31),
            "ab".repeat(33),
            "g".repeat(64),
        ];
        for text in texts
            .into_iter()
            .chain(["é".repeat(32), "tr_demo".to_owned()])
        {
            assert_eq!(parse_digest(&text), Err(Problem::DigestMalformed), "{text}");
        }
    }
}
