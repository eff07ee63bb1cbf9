//! Which bytes the grammars allow where.
//!
//! One table with a bit for each class of byte, so that a check is a load and a test. It knows
//! nothing of what the text means.

/// `tchar` of RFC 9110 §5.6.2: methods, field names, codings, options.
const TOKEN: u8 = 1;
/// A byte of a request target: visible ASCII but `#` and `\` (RFC 9112 §3.2, RFC 3986 §2).
const TARGET: u8 = 1 << 1;
/// A byte of a registered name (RFC 3986 §3.2.2) but comma and quote, which lists and shells
/// read in ways of their own.
const HOST: u8 = 1 << 2;
/// A byte of a field value: visible ASCII, space, tab or obs-text (RFC 9110 §5.5).
const VALUE: u8 = 1 << 3;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0u8;
    loop {
        let alnum = byte.is_ascii_alphanumeric();
        if alnum || in_set(byte, b"!#$%&'*+-.^_`|~") {
            table[byte as usize] |= TOKEN;
        }
        if byte.is_ascii_graphic() && byte != b'#' && byte != b'\\' {
            table[byte as usize] |= TARGET;
        }
        if alnum || in_set(byte, b"-._~%!$&()*+;=") {
            table[byte as usize] |= HOST;
        }
        if byte.is_ascii_graphic() || byte == b' ' || byte == b'\t' || byte >= 0x80 {
            table[byte as usize] |= VALUE;
        }
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

const fn in_set(byte: u8, set: &[u8]) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// Whether `byte` may stand in a token.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// Whether `text` is a token: one or more token bytes.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is(byte, TOKEN))
}

/// Whether every byte of `text` may stand in a request target.
pub(crate) fn is_target(text: &[u8]) -> bool {
    // Without a branch per byte, so that the loop is not bound by prediction.
    text.iter()
        .fold(TARGET, |all, &byte| all & CLASSES[byte as usize])
        != 0
}

/// Whether `byte` may stand in a registered name.
pub(crate) fn is_host_byte(byte: u8) -> bool {
    is(byte, HOST)
}

/// Whether `byte` may stand in a field value or a quoted pair.
pub(crate) fn is_value_byte(byte: u8) -> bool {
    is(byte, VALUE)
}

/// Space or tab: what the grammar calls optional white space (RFC 9110 §5.6.3).
pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// `text` without the optional white space around it.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}
