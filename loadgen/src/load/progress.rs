//! One line on a terminal while a run goes on, and nothing where nobody watches.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

/// How often the line changes.
const EVERY: Duration = Duration::from_millis(250);

/// One thread's counts, to be read by another while it works.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    counts: Arc<CachePadded<LiveCounts>>,
}

/// The counts themselves.
#[derive(Debug, Default)]
pub(super) struct LiveCounts {
    pub(super) completed: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl std::ops::Deref for Live {
    type Target = LiveCounts;

    fn deref(&self) -> &LiveCounts {
        &self.counts
    }
}

/// The line.
pub(super) struct Progress {
    shown: bool,
    threads: Vec<Live>,
    start: Instant,
    last: (Instant, u64),
}

impl Progress {
    /// A line over some threads; shown if it is `wanted` and standard error is a terminal.
    pub(super) fn new(wanted: bool, threads: Vec<Live>) -> Self {
        let shown = wanted && io::stderr().is_terminal();
        let now = Instant::now();
        Self {
            shown,
            threads,
            start: now,
            last: (now, 0),
        }
    }

    /// Shows how things stand, if that is a while ago.
    pub(super) fn show(&mut self, duration: Option<Duration>) {
        if !self.shown || self.last.0.elapsed() < EVERY {
            return;
        }
        let sum = |count: fn(&LiveCounts) -> &AtomicU64| -> u64 {
            self.threads
                .iter()
                .map(|live| count(live).load(Ordering::Relaxed))
                .sum()
        };
        let (completed, failed) = (sum(|live| &live.completed), sum(|live| &live.failed));
        let now = Instant::now();
        let (then, before) = std::mem::replace(&mut self.last, (now, completed));
        let rate = (completed - before) as f64 / (now - then).as_secs_f64().max(1e-3);
        let elapsed = (now - self.start).as_secs();
        let of = duration.map_or_else(String::new, |all| format!("/{}", all.as_secs()));
        let line = format!("{elapsed}{of} s  {completed} answers  {rate:.0}/s  {failed} failed");
        // To the beginning of the line, and what is left of an older one away.
        let _ = write!(io::stderr(), "\r{line}\x1b[K");
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
