//! What the scripted provider is asked to be: its address, its pace and its faults.
//!
//! Decides the command line and the defaults. How a fault looks on the wire is decided by
//! [`super::script`] and the rooms that write answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::units::{Share, parse_duration, parse_share};

/// Threads one provider may run; arbitrary, above any machine it has been tried on.
pub(super) const THREADS_MAX: usize = 256;

/// Tokens in one answer at most, whoever asks: what bounds an answer's length.
pub(super) const TOKENS_MAX: u32 = 1_000_000;

/// How the provider misbehaves when it is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status and an error in OpenAI's shape.
    Status(u16),
    /// Resets the connection without a byte of an answer.
    Reset,
    /// Resets the connection half way through the answer.
    ResetMidstream,
    /// Never answers; waits until the client goes.
    Stall,
    /// Answers half, then falls silent until the client goes.
    StallMidstream,
    /// Answers with JSON that does not parse, well framed.
    Malformed,
    /// Answers well but for the usage, which is left out.
    NoUsage,
    /// Answers well but for the usage, which is all zeros.
    ZeroUsage,
}

impl Fault {
    /// Reads the spelling of `--fail-mode`, of `x-mock-fail` and of the model names.
    ///
    /// # Errors
    /// A sentence for the user that lists what would have been understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "reset" => Self::Reset,
            "reset-midstream" => Self::ResetMidstream,
            "stall" => Self::Stall,
            "stall-midstream" => Self::StallMidstream,
            "malformed" => Self::Malformed,
            "no-usage" => Self::NoUsage,
            "zero-usage" => Self::ZeroUsage,
            _ => {
                let code = text
                    .strip_prefix("status:")
                    .and_then(|code| code.parse().ok());
                match code {
                    Some(status @ 400..=599) => Self::Status(status),
                    _ => {
                        return Err(format!(
                            "{text:?} is none of status:400..599, reset, reset-midstream, stall, \
                             stall-midstream, malformed, no-usage, zero-usage"
                        ));
                    }
                }
            }
        })
    }
}

/// What every answer is like, unless the request's own script says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From the end of the request to the first byte of the answer.
    pub ttft: Duration,
    /// Between two tokens of a stream.
    pub gap: Duration,
    /// Tokens in an answer, unless the request asks for fewer.
    pub tokens: u32,
    /// The share of model requests that meet [`Pace::fault`].
    pub fail: Share,
    /// What the failing ones meet.
    pub fault: Fault,
    /// Streams end with the connection instead of a last chunk.
    pub close_delimited: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ttft: Duration::ZERO,
            gap: Duration::ZERO,
            tokens: 32,
            fail: Share::NONE,
            fault: Fault::Status(500),
            close_delimited: false,
        }
    }
}

/// Everything [`super::start`] needs to know.
#[derive(Clone, Copy, Debug)]
pub struct MockOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Threads, each with a ring and a listener of its own; 1 to 256.
    pub threads: usize,
    /// What every answer is like.
    pub pace: Pace,
}

impl Default for MockOptions {
    /// One thread on a free port of loopback, answering 32 tokens at once.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            threads: 1,
            pace: Pace::default(),
        }
    }
}

/// The command line of `tollring mock`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = SCRIPTS_HELP)]
pub struct MockArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Threads, each with a ring and a listener of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_threads)]
    threads: usize,
    /// From the end of a request to the first byte of its answer
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = parse_duration)]
    ttft: Duration,
    /// Between two tokens of a stream
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = parse_duration)]
    gap: Duration,
    /// Tokens in an answer, unless the request asks for fewer
    #[arg(long, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(TOKENS_MAX)))]
    tokens: u32,
    /// The share of model requests that fail
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = parse_share)]
    fail: Share,
    /// What the failing ones meet: status:CODE, reset, reset-midstream, stall, stall-midstream,
    /// malformed, no-usage, zero-usage
    #[arg(long, value_name = "FAULT", default_value = "status:500", value_parser = Fault::parse)]
    fail_mode: Fault,
    /// End streams with the connection instead of a last chunk
    #[arg(long)]
    close_delimited: bool,
    /// Print one line when ready, for programs: {"mock":"http://…"}
    #[arg(long)]
    pub(super) json: bool,
}

impl MockArgs {
    /// What the command line asks for.
    pub fn options(&self) -> MockOptions {
        MockOptions {
            listen: self.listen,
            threads: self.threads,
            pace: Pace {
                ttft: self.ttft,
                gap: self.gap,
                tokens: self.tokens,
                fail: self.fail,
                fault: self.fail_mode,
                close_delimited: self.close_delimited,
            },
        }
    }
}

/// The end of `tollring mock --help`.
const SCRIPTS_HELP: &str = "\
Paths (with or without /v1):
  POST /v1/chat/completions  /v1/completions  /v1/embeddings
  GET  /v1/models  /v1/models/{id}
  ANY  /echo and any path not listed here   method, target, fields and body size as JSON
  GET  /bytes/{n}      n bytes; byte i is i mod 256
  ANY  /status/{code}  that status
  ANY  /sink           takes a body of any size and tells how long it was
  GET  /__mock/stats   what was served;  POST /__mock/reset  zeroes it

Models that script their own request, whatever --fail says:
  mock-fail-CODE   mock-reset   mock-reset-midstream   mock-stall   mock-stall-midstream
  mock-malformed   mock-no-usage   mock-zero-usage
  mock-slow        500 ms to the first token, then one every 50 ms

Header fields that do the same: x-mock-fail: FAULT   x-mock-ttft: TIME   x-mock-gap: TIME
  x-mock-tokens: N";

fn parse_threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=THREADS_MAX) => Ok(threads),
        _ => Err(format!("{text:?} is not a number from 1 to {THREADS_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        mock: MockArgs,
    }

    #[track_caller]
    fn options(line: &str) -> Result<MockOptions, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.mock.options())
    }

    #[test]
    fn an_empty_command_line_means_the_default_options() {
        let asked = options("mock").unwrap();
        assert_eq!(asked.pace, MockOptions::default().pace);
        assert_eq!(asked.listen, MockOptions::default().listen);
        assert_eq!(asked.threads, 1);
    }

    #[test]
    fn every_flag_reaches_the_options() {
        let line = "mock --listen 127.0.0.1:9 --threads 2 --ttft 5ms --gap 2ms --tokens 7 \
                    --fail 10% --fail-mode status:503 --close-delimited --json";
        let asked = options(&line.replace("  ", "")).unwrap();
        assert_eq!(asked.listen.port(), 9);
        assert_eq!(asked.threads, 2);
        assert_eq!(asked.pace.ttft, Duration::from_millis(5));
        assert_eq!(asked.pace.gap, Duration::from_millis(2));
        assert_eq!(asked.pace.tokens, 7);
        assert_eq!(asked.pace.fail.ppm(), 100_000);
        assert_eq!(asked.pace.fault, Fault::Status(503));
        assert!(asked.pace.close_delimited);
    }

    #[test]
    fn a_fault_nobody_knows_is_refused_with_the_list() {
        assert!(Fault::parse("explode").is_err_and(|e| e.contains("reset-midstream")));
        assert!(Fault::parse("status:200").is_err());
        assert!(options("mock --fail-mode explode").is_err());
        assert!(options("mock --threads 0").is_err());
        assert!(options("mock --tokens 0").is_err());
    }
}
