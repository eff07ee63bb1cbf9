//! What one request will meet: the pace of the provider, and over it the model's name and the
//! request's own fields.
//!
//! Decides which of them wins; how each fault looks on the wire is decided where answers are
//! written.

use std::time::Duration;

use super::options::{Fault, Pace, TOKENS_MAX};
use crate::units::parse_duration;

/// How long `mock-slow` takes to its first token, and between two.
const SLOW: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(50));

/// What the fields of a request ask for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Overrides {
    fault: Option<Fault>,
    ttft: Option<Duration>,
    gap: Option<Duration>,
    tokens: Option<u32>,
}

impl Overrides {
    /// Takes note of a field; those that are not ours, or make no sense, are passed over.
    pub(super) fn note(&mut self, name: &str, value: &[u8]) {
        if name.len() < 7 || !name[..7].eq_ignore_ascii_case("x-mock-") {
            return;
        }
        let Ok(value) = std::str::from_utf8(value) else {
            return;
        };
        match &name[7..] {
            what if what.eq_ignore_ascii_case("fail") => self.fault = Fault::parse(value).ok(),
            what if what.eq_ignore_ascii_case("ttft") => self.ttft = parse_duration(value).ok(),
            what if what.eq_ignore_ascii_case("gap") => self.gap = parse_duration(value).ok(),
            what if what.eq_ignore_ascii_case("tokens") => {
                let tokens = value.parse().ok();
                self.tokens = tokens.filter(|tokens| (1..=TOKENS_MAX).contains(tokens));
            }
            _ => {}
        }
    }
}

/// What one request will meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) ttft: Duration,
    pub(super) gap: Duration,
    /// Tokens the answer would have if the request did not limit them.
    pub(super) tokens: u32,
    pub(super) fault: Option<Fault>,
    pub(super) close_delimited: bool,
}

impl Script {
    /// The script for a request: its fields win over its model's name, and that over `pace`.
    pub(super) fn new(pace: &Pace, model: &str, asked: &Overrides, dice: &mut Dice) -> Self {
        let (ttft, gap) = if model == "mock-slow" {
            SLOW
        } else {
            (pace.ttft, pace.gap)
        };
        // Thrown every time, so that a seed meets the same requests whatever the others ask.
        let unlucky = dice.throw(pace.fail.ppm()).then_some(pace.fault);
        Self {
            ttft: asked.ttft.unwrap_or(ttft),
            gap: asked.gap.unwrap_or(gap),
            tokens: asked.tokens.unwrap_or(pace.tokens),
            fault: asked.fault.or_else(|| by_model(model)).or(unlucky),
            close_delimited: pace.close_delimited,
        }
    }

    /// Whether the answer says what it cost.
    pub(super) fn tells_usage(&self) -> bool {
        self.fault != Some(Fault::NoUsage)
    }
}

/// The fault that a model's name stands for.
fn by_model(model: &str) -> Option<Fault> {
    let fault = model.strip_prefix("mock-")?;
    match fault.strip_prefix("fail-") {
        Some(code) => match code.parse() {
            Ok(status @ 400..=599) => Some(Fault::Status(status)),
            _ => None,
        },
        None => Fault::parse(fault).ok(),
    }
}

/// Chance that is the same in every run (xorshift64*): a test that fails can be run again.
#[derive(Debug)]
pub(super) struct Dice {
    state: u64,
}

impl Dice {
    /// Dice for one thread; any seed will do.
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// True in `ppm` of a million throws.
    fn throw(&mut self, ppm: u32) -> bool {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let thrown = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        (thrown * 1_000_000) >> 32 < u64::from(ppm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Share;

    fn script(pace: &Pace, model: &str, asked: &Overrides) -> Script {
        Script::new(pace, model, asked, &mut Dice::new(1))
    }

    #[track_caller]
    fn check_model(model: &str, fault: Option<Fault>) {
        assert_eq!(
            script(&Pace::default(), model, &Overrides::default()).fault,
            fault,
            "{model}"
        );
    }

    #[test]
    fn a_models_name_scripts_its_request() {
        check_model("gpt-4o", None);
        check_model("mock", None);
        check_model("mock-fail-429", Some(Fault::Status(429)));
        check_model("mock-fail-200", None);
        check_model("mock-reset", Some(Fault::Reset));
        check_model("mock-reset-midstream", Some(Fault::ResetMidstream));
        check_model("mock-stall", Some(Fault::Stall));
        check_model("mock-no-usage", Some(Fault::NoUsage));
        check_model("mock-zero-usage", Some(Fault::ZeroUsage));
        assert_eq!(
            script(&Pace::default(), "mock-slow", &Overrides::default()).gap,
            SLOW.1
        );
    }

    #[test]
    fn fields_win_over_the_model_and_the_model_over_the_pace() {
        let pace = Pace {
            fail: Share::ALL,
            ..Pace::default()
        };
        let mut asked = Overrides::default();
        assert_eq!(
            script(&pace, "gpt-4o", &asked).fault,
            Some(Fault::Status(500))
        );
        assert_eq!(
            script(&pace, "mock-reset", &asked).fault,
            Some(Fault::Reset)
        );
        asked.note("X-Mock-Fail", b"stall");
        asked.note("x-mock-tokens", b"3");
        asked.note("x-mock-gap", b"4ms");
        let met = script(&pace, "mock-reset", &asked);
        assert_eq!(met.fault, Some(Fault::Stall));
        assert_eq!((met.tokens, met.gap), (3, Duration::from_millis(4)));
    }

    #[test]
    fn dice_fall_in_about_the_share_they_should() {
        let mut dice = Dice::new(7);
        let fallen = (0..100_000).filter(|_| dice.throw(100_000)).count();
        assert!(
            (9_000..11_000).contains(&fallen),
            "{fallen} of 100,000 for 10%"
        );
        assert!((0..1_000).all(|_| dice.throw(1_000_000)));
        assert!(!(0..1_000).any(|_| dice.throw(0)));
    }
}
