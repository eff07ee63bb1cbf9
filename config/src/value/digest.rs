//! SHA-256 digests in hexadecimal. The key itself never stands in the file.

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
