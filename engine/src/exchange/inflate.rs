//! Reads an answer in a coding that nobody asked for, so that its usage can still be counted.
//!
//! Providers are asked for plain answers (`compose`); one that compresses all the same is
//! passed on as it came, and a copy is decompressed here for the meter alone. It is bounded
//! in what one piece and the whole may become; beyond a bound, and where a coding turns out
//! to be broken, nothing is known of the answer, and it costs what was held.

use std::io::{self, Write};
use std::ops::Range;

use brotli_decompressor::DecompressorWriter;
use flate2::write::{GzDecoder, ZlibDecoder};
use tollring_http1::{Known, ResponseHead};

use super::relay::Count;
use crate::connection::Outlet;

/// Bytes that are decompressed at once. Small, so that what they become is looked at often.
const PIECE_BYTES: usize = 1024;

/// What one piece may become. Deflate makes a thousandfold of it at most; text that models
/// write becomes ten times as long at best.
const PIECE_GROWN_BYTES_MAX: usize = 1024 * 1024;

/// What a whole answer may become: as much as the largest body that is inspected by default.
const GROWN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The window of zstd that is taken, as a power of two: 8 MiB, what RFC 9659 allows on the web.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What brotli keeps beside its window.
const BROTLI_BUFFER_BYTES: usize = 4096;

const _: () = assert!(
    PIECE_GROWN_BYTES_MAX as u64 <= GROWN_BYTES_MAX && PIECE_BYTES < PIECE_GROWN_BYTES_MAX,
    "one piece may grow, and not beyond the whole"
);

/// A copy of an answer, on its way through a decoder to the meter.
pub(crate) struct Inflate {
    /// `None` once it is broken or beyond its bound.
    decoder: Option<Decoder>,
}

/// The codings of RFC 9110 §8.4.1, RFC 7932 and RFC 8878.
enum Decoder {
    Gzip(GzDecoder<Sink>),
    Deflate(ZlibDecoder<Sink>),
    Brotli(Box<DecompressorWriter<Sink>>),
    Zstd(zstd::stream::write::Decoder<'static, Sink>),
}

/// Whether an answer's body is in any coding, one of ours or not.
pub(super) fn is_coded(answer: &ResponseHead, bytes: &[u8]) -> bool {
    let coding = answer.fields.find(Known::ContentEncoding);
    coding.is_some_and(|field| !field.value.of(bytes).eq_ignore_ascii_case(b"identity"))
}

impl Inflate {
    /// A decoder for an answer that needs one and for whose coding there is one.
    pub(super) fn for_answer(answer: &ResponseHead, bytes: &[u8]) -> Option<Box<Self>> {
        let coding = answer.fields.find(Known::ContentEncoding)?.value.of(bytes);
        let decoder = decoder(&coding.to_ascii_lowercase())?;
        Some(Box::new(Self {
            decoder: Some(decoder),
        }))
    }

    /// Decompresses more of the answer and gives it to `meter`, piece by piece. Says whether all
    /// of it could be read so far; once it could not, nothing that was read means anything.
    pub(super) fn feed(&mut self, bytes: &[u8], mut meter: impl FnMut(&[u8])) -> bool {
        for piece in bytes.chunks(PIECE_BYTES) {
            let Some(decoder) = &mut self.decoder else {
                return false;
            };
            if decoder.take(piece).is_err() {
                self.decoder = None;
                return false;
            }
            let sink = decoder.sink();
            meter(&sink.grown);
            sink.grown.clear();
        }
        self.decoder.is_some()
    }
}

impl Outlet {
    /// Makes the meters ready for the answer whose head is here, and a decoder where it takes
    /// one to read it. Says whether the body is in a coding.
    pub(super) fn ready_meters(&mut self, count: Count) -> bool {
        self.forget(count);
        let coded = is_coded(&self.answer, &self.block);
        let counts = matches!(count, Count::Unary | Count::Events { .. });
        self.inflate = match coded && counts {
            true => Inflate::for_answer(&self.answer, &self.block),
            false => None,
        };
        coded
    }

    fn forget(&mut self, count: Count) {
        match count {
            Count::Unary => self.unary.reset(),
            Count::Events { strip } => self.events.reset(strip),
            Count::Bytes | Count::Nothing => {}
        }
    }

    /// Counts in a copy of the body's bytes. Once it cannot be read, nothing is known.
    pub(super) fn count_coded(&mut self, count: Count, data: Range<usize>) {
        let Self {
            block,
            unary,
            events,
            inflate: Some(inflate),
            ..
        } = self
        else {
            return;
        };
        let read = inflate.feed(&block[data], |piece| match count {
            Count::Unary => unary.feed(piece),
            _ => events.observe(piece),
        });
        if !read {
            self.forget(count);
        }
    }
}

fn decoder(coding: &[u8]) -> Option<Decoder> {
    let sink = Sink {
        grown: Vec::new(),
        left: GROWN_BYTES_MAX,
    };
    Some(match coding {
        b"gzip" | b"x-gzip" => Decoder::Gzip(GzDecoder::new(sink)),
        b"deflate" => Decoder::Deflate(ZlibDecoder::new(sink)),
        b"br" => Decoder::Brotli(Box::new(DecompressorWriter::new(sink, BROTLI_BUFFER_BYTES))),
        b"zstd" => {
            let mut decoder = zstd::stream::write::Decoder::new(sink).ok()?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).ok()?;
            Decoder::Zstd(decoder)
        }
        _ => return None,
    })
}

impl Decoder {
    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        let writer: &mut dyn Write = match self {
            Self::Gzip(writer) => writer,
            Self::Deflate(writer) => writer,
            Self::Brotli(writer) => writer,
            Self::Zstd(writer) => writer,
        };
        writer.write_all(piece)?;
        writer.flush()
    }

    fn sink(&mut self) -> &mut Sink {
        match self {
            Self::Gzip(writer) => writer.get_mut(),
            Self::Deflate(writer) => writer.get_mut(),
            Self::Brotli(writer) => writer.get_mut(),
            Self::Zstd(writer) => writer.get_mut(),
        }
    }
}

/// What a piece has become, as far as it may.
struct Sink {
    grown: Vec<u8>,
    /// Bytes that the whole may still become.
    left: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        let within = self.grown.len() + bytes.len() <= PIECE_GROWN_BYTES_MAX;
        match left.filter(|_| within) {
            Some(left) => {
                self.left = left;
                self.grown.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            None => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;

    /// What comes out of `coded`, fed in steps, and whether it could be read.
    fn inflate(coding: &str, coded: &[u8], step: usize) -> (Vec<u8>, bool) {
        let decoder = decoder(coding.as_bytes()).unwrap();
        let mut inflate = Inflate {
            decoder: Some(decoder),
        };
        let (mut out, mut read) = (Vec::new(), true);
        for piece in coded.chunks(step) {
            read = inflate.feed(piece, |bytes| out.extend_from_slice(bytes));
        }
        (out, read)
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn zstd(plain: &[u8]) -> Vec<u8> {
        zstd::encode_all(plain, 3).unwrap()
    }

    const TEXT: &str = "{\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\
                        \"total_tokens\":18}}";

    /// [`TEXT`] as Node's zlib writes it; the crate here has no encoder.
    const BROTLI: &[u8] = &[
        0x1b, 0x45, 0x00, 0x40, 0x04, 0xe2, 0x6c, 0xa9, 0x5f, 0x56, 0x24, 0xa6, 0x15, 0x21, 0xd9,
        0xdb, 0xff, 0x37, 0xe3, 0x18, 0x07, 0xac, 0xd3, 0xe7, 0xdb, 0x83, 0xc8, 0xe0, 0xc3, 0xc6,
        0xd8, 0x79, 0xd6, 0x90, 0xc8, 0x83, 0xd5, 0x23, 0x86, 0xbe, 0xa7, 0xfa, 0xe7, 0xb4, 0xeb,
        0x11, 0xaa, 0xc2, 0x31, 0x14, 0xd4, 0x04, 0x07, 0x22, 0x34, 0xe3, 0xbb,
    ];

    #[test]
    fn brotli_comes_out_too() {
        for step in [1, 10, BROTLI.len()] {
            assert_eq!(
                inflate("br", BROTLI, step),
                (TEXT.as_bytes().to_vec(), true),
                "{step}"
            );
        }
    }

    #[test]
    fn what_was_written_comes_out_however_it_is_split() {
        let plain: Vec<u8> = (0..3_000)
            .flat_map(|n| format!("{{\"n\":{n}}}").into_bytes())
            .collect();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&plain).unwrap();
        for (coding, coded) in [
            ("gzip", gzip(&plain)),
            ("deflate", zlib.finish().unwrap()),
            ("zstd", zstd(&plain)),
        ] {
            for step in [1, 7, 1_000, coded.len()] {
                assert_eq!(
                    inflate(coding, &coded, step),
                    (plain.clone(), true),
                    "{coding} {step}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_in_its_coding_is_said_to_be_unread() {
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let (_, read) = inflate(coding, b"{\"usage\":{\"prompt_tokens\":1}} and more", 8);
            assert!(!read, "{coding}");
        }
    }

    #[test]
    fn a_bomb_is_given_up_at_its_bound() {
        let zeros = vec![0; 100 * 1024 * 1024];
        for (coding, coded) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
            let (out, read) = inflate(coding, &coded, coded.len());
            assert!(!read, "{coding}");
            assert!(
                out.len() as u64 <= GROWN_BYTES_MAX,
                "{coding}: {}",
                out.len()
            );
        }
    }
}
