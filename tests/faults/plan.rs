//! How much of everything: the whole run, and the quick one.
//!
//! Decides sizes and reads the command line. What happens in a phase is the phase's.

use std::env;
use std::time::Duration;

/// What a user may ask for.
pub(crate) const USAGE: &str = "usage: benches/faults [--quick] [--json]

  --quick   fewer of everything, in less than a minute
  --json    print one object instead of tables
";

/// Sizes of a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Whether a program reads the result.
    pub(crate) json: bool,
    /// How long normal traffic is watched alone.
    pub(crate) quiet: Duration,
    /// How long the sick pools are asked.
    pub(crate) sick: Duration,
    /// Hostile clients of each kind, all at once.
    pub(crate) hostile: usize,
    /// Connections that are kept and wait.
    pub(crate) idle: usize,
    /// Connections that send or read slowly.
    pub(crate) slow: usize,
    /// Times the crowd comes and goes.
    pub(crate) rounds: usize,
    /// How long traffic is watched at a time, with the crowd and without.
    pub(crate) slice: Duration,
    /// Times the file is read again.
    pub(crate) reloads: usize,
    /// Times another process takes over.
    pub(crate) takeovers: usize,
}

impl Plan {
    /// Crowds as they come to a busy place; less than five minutes.
    const fn whole() -> Self {
        Self {
            json: false,
            quiet: Duration::from_secs(10),
            sick: Duration::from_secs(20),
            hostile: 300,
            idle: 10_000,
            slow: 2_000,
            // The median of five pairs lets a neighbour on the machine spoil two.
            rounds: 5,
            slice: Duration::from_secs(4),
            reloads: 200,
            takeovers: 10,
        }
    }

    const fn quick() -> Self {
        Self {
            json: false,
            quiet: Duration::from_secs(2),
            sick: Duration::from_secs(4),
            hostile: 40,
            idle: 1_000,
            slow: 200,
            rounds: 2,
            slice: Duration::from_secs(1),
            reloads: 40,
            takeovers: 2,
        }
    }

    /// Reads the command line; the word it cannot read, if there is one.
    pub(crate) fn read() -> Result<Self, String> {
        // Cargo tells a benchmark that it is one.
        let words: Vec<String> = env::args()
            .skip(1)
            .filter(|word| word != "--bench")
            .collect();
        let mut plan = match words.iter().any(|word| word == "--quick") {
            true => Self::quick(),
            false => Self::whole(),
        };
        for word in words {
            match word.as_str() {
                "--quick" => {}
                "--json" => plan.json = true,
                _ => return Err(word),
            }
        }
        Ok(plan)
    }
}
