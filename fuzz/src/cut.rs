//! How one input is cut into pieces.
//!
//! Decides that the first line of an input says where the rest of it is cut, so that the fuzzer
//! can change the cuts and the message each by itself, and so that a seed can be read.

/// A message and the places where it is cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'i> {
    /// A digit is a piece of so many bytes, a letter one of a power of two (`a` 1, `b` 2, `k`
    /// 1,024), anything else all that is left. They are used in turn, again and again.
    sizes: &'i [u8],
    /// What is cut: everything after the first line.
    pub message: &'i [u8],
}

impl<'i> Cut<'i> {
    /// Reads an input. Without a line feed there is no message.
    #[must_use]
    pub fn of(input: &'i [u8]) -> Self {
        let (sizes, message) = first_line(input);
        Self { sizes, message }
    }

    /// Where each piece ends; the last is the end of the message.
    pub fn ends(self) -> impl Iterator<Item = usize> {
        ends(self.sizes, self.message.len())
    }

    /// Another message, cut at the same sizes.
    #[must_use]
    pub fn pieces_of(self, message: &[u8]) -> Vec<&[u8]> {
        let mut start = 0;
        let piece = |end| {
            let piece = &message[start..end];
            start = end;
            piece
        };
        ends(self.sizes, message.len()).map(piece).collect()
    }
}

/// The first line without its end, and all that follows it.
#[must_use]
pub fn first_line(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|&byte| byte == b'\n');
    let end = end.unwrap_or(input.len());
    (&input[..end], input.get(end + 1..).unwrap_or_default())
}

fn ends(sizes: &[u8], len: usize) -> impl Iterator<Item = usize> {
    let mut sizes = sizes.iter().cycle();
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == len {
            return None;
        }
        let left = len - at;
        at += match sizes.next() {
            Some(digit @ b'1'..=b'9') => left.min(usize::from(digit - b'0')),
            Some(letter @ b'a'..=b'z') => left.min(1 << (letter - b'a')),
            _ => left,
        };
        Some(at)
    })
}
