//! Decides what is JSON (RFC 8259), without ever building a value.
//!
//! Two readers, for two kinds of trust. A request is whole and hostile: [`scan`] accepts exactly
//! the grammar and says where it ends. An answer comes in pieces of any size and is passed on
//! whatever it is: [`walk`] follows its structure and gives up quietly.
//!
//! What members mean is for the dialects. Numbers stay digits, text stays raw until asked for.

pub(crate) mod run;
pub(crate) mod scan;
pub(crate) mod text;
pub(crate) mod walk;
pub(crate) mod write;

pub use scan::{Cause, Fault};
pub use write::escape_json;

/// How deep objects and arrays may nest, in requests and in answers.
///
/// Sixty-four containers fit the bits of one word, and no API nests a quarter as deep: tool
/// schemas reach about fifteen.
pub const DEPTH_MAX: u32 = 64;

/// The largest whole number that every JSON reader agrees upon: 2^53 − 1 (RFC 8259 §6).
pub const WHOLE_MAX: u64 = (1 << 53) - 1;

/// The value of a JSON number that is written as plain digits and is at most [`WHOLE_MAX`].
///
/// `1.0`, `1e3` and `-0` are refused: they are whole to some readers and not to others.
pub(crate) fn whole(digits: &[u8]) -> Option<u64> {
    let canonical = digits.len() == 1 || digits.first() != Some(&b'0');
    // Sixteen digits hold every number up to the bound, and cannot overflow.
    if digits.is_empty() || digits.len() > 16 || !canonical {
        return None;
    }
    let mut value = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(digit - b'0');
    }
    (value <= WHOLE_MAX).then_some(value)
}
