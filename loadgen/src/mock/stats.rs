//! What was served, counted by each thread for itself and added up when someone asks.
//!
//! Counts before the bytes go out: whoever has seen an answer finds it in the counts.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Different keys, paths and models one thread tells apart; the rest are counted together, so that
/// a client cannot fill the memory with names.
const NAMES_MAX: usize = 4096;

/// The name of those beyond [`NAMES_MAX`].
const OTHERS: &[u8] = b"(others)";

/// What was served since the start or the last reset, over all threads.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct MockStats {
    /// Requests read to their end, those for `/__mock/` apart.
    pub requests: u64,
    /// Requests by the bearer of `Authorization`, where there was one.
    pub by_key: BTreeMap<String, u64>,
    /// Requests by path, without the query.
    pub by_path: BTreeMap<String, u64>,
    /// Requests by model, where there was one.
    pub by_model: BTreeMap<String, u64>,
    /// Prompt tokens of the model requests that were not failed outright.
    pub input_tokens: u64,
    /// Tokens produced, counted as each is handed to the connection.
    pub output_tokens: u64,
    /// Answers cut short because the client went away.
    pub aborted: u64,
}

/// One thread's counts.
///
/// The lock is the thread's own but for the moment in which someone adds up.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    by_key: HashMap<Box<[u8]>, u64>,
    by_path: HashMap<Box<[u8]>, u64>,
    by_model: HashMap<Box<[u8]>, u64>,
    input_tokens: u64,
    output_tokens: u64,
    aborted: u64,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A panic between two additions leaves nothing worse than a missing one.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request that has been read to its end; no key is an empty one.
    pub(super) fn request(&self, path: &[u8], key: &[u8]) {
        let mut counts = self.counts();
        counts.requests += 1;
        count(&mut counts.by_path, path);
        if !key.is_empty() {
            count(&mut counts.by_key, key);
        }
    }

    /// Counts a request, already counted as one, by the model it asks for.
    pub(super) fn model(&self, model: &str) {
        count(&mut self.counts().by_model, model.as_bytes());
    }

    /// Counts the prompt of a request about to be answered well.
    pub(super) fn input(&self, tokens: u64) {
        self.counts().input_tokens += tokens;
    }

    /// Counts tokens about to be handed to the connection.
    pub(super) fn output(&self, tokens: u64) {
        self.counts().output_tokens += tokens;
    }

    /// Counts an answer that the client did not wait for.
    pub(super) fn aborted(&self) {
        self.counts().aborted += 1;
    }

    /// Forgets everything.
    pub(super) fn reset(&self) {
        *self.counts() = Counts::default();
    }

    /// Adds this thread's counts to `sum`.
    pub(super) fn add_to(&self, sum: &mut MockStats) {
        let counts = self.counts();
        sum.requests += counts.requests;
        sum.input_tokens += counts.input_tokens;
        sum.output_tokens += counts.output_tokens;
        sum.aborted += counts.aborted;
        for (names, sums) in [
            (&counts.by_key, &mut sum.by_key),
            (&counts.by_path, &mut sum.by_path),
            (&counts.by_model, &mut sum.by_model),
        ] {
            for (name, count) in names {
                *sums
                    .entry(String::from_utf8_lossy(name).into_owned())
                    .or_default() += count;
            }
        }
    }
}

fn count(names: &mut HashMap<Box<[u8]>, u64>, name: &[u8]) {
    if let Some(count) = names.get_mut(name) {
        *count += 1;
    } else {
        let name = if names.len() < NAMES_MAX {
            name
        } else {
            OTHERS
        };
        *names.entry(name.into()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_threads_add_up() {
        let (one, two) = (Tally::default(), Tally::default());
        one.request(b"/a", b"key");
        two.request(b"/a", b"");
        two.model("mock");
        two.input(5);
        two.output(7);
        two.aborted();
        let mut sum = MockStats::default();
        one.add_to(&mut sum);
        two.add_to(&mut sum);
        assert_eq!(
            (
                sum.requests,
                sum.input_tokens,
                sum.output_tokens,
                sum.aborted
            ),
            (2, 5, 7, 1)
        );
        assert_eq!(
            (sum.by_path["/a"], sum.by_key["key"], sum.by_model["mock"]),
            (2, 1, 1)
        );
        one.reset();
        let mut sum = MockStats::default();
        one.add_to(&mut sum);
        assert_eq!(sum, MockStats::default());
    }

    #[test]
    fn names_beyond_the_limit_are_counted_together() {
        let tally = Tally::default();
        for name in 0..NAMES_MAX + 10 {
            tally.request(name.to_string().as_bytes(), b"");
        }
        let mut sum = MockStats::default();
        tally.add_to(&mut sum);
        assert_eq!(sum.requests, NAMES_MAX as u64 + 10);
        assert_eq!(sum.by_path.len(), NAMES_MAX + 1);
        assert_eq!(sum.by_path["(others)"], 10);
    }
}
