//! The way to one upstream of one provider or service, over all workers: how it stands, what
//! is under way on it, what it has done.
//!
//! A lane lasts over reloads, by its owner's name and its origin; what is to be done about
//! it (its care) is the snapshot's, and is handed in. Each worker counts for itself. How it
//! stands is shared, behind a lock that nobody takes while all is well: then one flag is
//! read, which no one writes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crossbeam_utils::CachePadded;
use tollring_config::{Care, HealthCheck, Signal};

use super::breaker::{Passage, Switch, Tally};
use super::budget::Budget;
use super::condition::{Change, Condition, Standing, Verdict};
use super::ejection::{Turn, millis};
use super::ewma;
use super::origin::Origin;
use super::places::Places;
use crate::counters::Counter;

/// The way to one upstream.
pub struct Lane {
    /// Whose it is, as the file says it: `providers.openai`, `services.weather`.
    pub(crate) owner: Box<str>,
    /// Where it leads.
    pub(crate) origin: Arc<Origin>,
    /// Whether anything is the matter; read by every choice, written when that changes.
    troubled: AtomicBool,
    /// Rises when the circuit opens, so that what led to it is not counted again.
    era: AtomicU64,
    condition: Mutex<Condition>,
    /// What each worker counts.
    pub(crate) seen: Box<[CachePadded<Seen>]>,
}

/// What one worker counts of one lane.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Requests under way.
    pub(crate) in_flight: Counter,
    /// Requests of other workers under way, as of this worker's last look.
    elsewhere: Counter,
    /// Requests that wait for a place, to go here.
    pub(crate) queued: Counter,
    /// Attempts made.
    pub(crate) attempts_total: Counter,
    /// Attempts that failed by anything a file may hold against an upstream.
    pub(crate) failures_total: Counter,
    /// Attempts that repeated one that had failed.
    pub(crate) retries_total: Counter,
    /// Failures that were not followed by another attempt, for want of a budget.
    pub(crate) retries_refused_total: Counter,
    /// The breaker's window that the next two belong to.
    window: Counter,
    attempts: Counter,
    failures: Counter,
    /// Bits of the moving average of how long answers take, in microseconds, and its time.
    average_us: Counter,
    averaged_ms: Counter,
}

/// What all workers together have counted of one lane.
#[derive(Clone, Debug)]
pub struct LaneReading {
    /// Whose it is.
    pub owner: Box<str>,
    /// Host and port.
    pub origin: Box<str>,
    /// `healthy`, `ejected`, `slow_start`, `unhealthy`, `open` or `half_open`.
    pub state: &'static str,
    /// Requests under way.
    pub in_flight: u64,
    /// Requests that wait for a place.
    pub queued: u64,
    /// Attempts made.
    pub attempts_total: u64,
    /// Attempts that failed.
    pub failures_total: u64,
    /// Attempts that repeated one that had failed.
    pub retries_total: u64,
    /// Failures that were not followed by another attempt, for want of a budget.
    pub retries_refused_total: u64,
}

impl Lane {
    fn new(owner: &str, origin: &Arc<Origin>, workers: usize) -> Self {
        Self {
            owner: owner.into(),
            origin: Arc::clone(origin),
            troubled: AtomicBool::new(false),
            era: AtomicU64::new(0),
            condition: Mutex::default(),
            seen: (0..workers).map(|_| CachePadded::default()).collect(),
        }
    }

    /// How it stands.
    #[inline]
    pub(crate) fn standing(&self, care: &Care, now_ms: u64) -> Standing {
        if !self.troubled.load(Ordering::Relaxed) {
            return Standing::In { share: 100 };
        }
        let mut condition = self.lock();
        let change = condition.look(care, now_ms);
        let standing = condition.standing(care, now_ms);
        self.leave(condition, [change, None]);
        standing
    }

    /// Lets a request through, if the circuit does; says whether it is a trial.
    pub(crate) fn admit(&self, care: &Care, now_ms: u64) -> Option<bool> {
        if care.breaker.is_none() || !self.troubled.load(Ordering::Relaxed) {
            return Some(false);
        }
        let mut condition = self.lock();
        let passage = condition.admit(care, now_ms);
        self.leave(condition, [None, None]);
        match passage {
            Passage::Free => Some(false),
            Passage::Trials => Some(true),
            Passage::None => None,
        }
    }

    /// An attempt ended, by a signal or with an answer. `replaceable` is asked when it matters.
    pub(crate) fn note(
        &self,
        (worker, now_ms): (usize, u64),
        care: &Care,
        (signal, trial): (Option<Signal>, bool),
        replaceable: impl FnOnce() -> bool,
    ) {
        let seen = &self.seen[worker];
        let failed = signal.is_some();
        seen.failures_total.add(u64::from(failed));
        let window = care.breaker.map(|policy| {
            let window = self.window(millis(policy.window), now_ms);
            seen.tally(window, failed);
            window
        });
        let calm = !self.troubled.load(Ordering::Relaxed);
        if !failed && !trial && calm {
            return;
        }
        let verdict = Verdict {
            signal,
            trial,
            replaceable: failed && replaceable(),
            tally: window.map_or_else(Tally::default, |window| self.tally(window)),
        };
        let mut condition = self.lock();
        let changes = condition.note(care, verdict, now_ms);
        self.leave(condition, changes);
    }

    /// A trial ended that says nothing.
    pub(crate) fn unheld(&self, care: &Care, now_ms: u64) {
        let mut condition = self.lock();
        condition.unheld(care, now_ms);
        self.leave(condition, [None, None]);
    }

    /// A check of its health ended.
    pub(crate) fn checked(&self, check: &HealthCheck, passed: bool) {
        let mut condition = self.lock();
        let change = condition.checked(check, passed);
        self.leave(condition, [change, None]);
    }

    /// What all workers have counted, and how it stands.
    pub(crate) fn reading(&self, care: &Care, now_ms: u64) -> LaneReading {
        let sum = |counter: fn(&Seen) -> &Counter| {
            let each = self.seen.iter().map(|seen| counter(seen).read());
            each.sum()
        };
        LaneReading {
            owner: self.owner.clone(),
            origin: self.origin.name.clone(),
            state: self.word(care, now_ms),
            in_flight: sum(|seen| &seen.in_flight),
            queued: sum(|seen| &seen.queued),
            attempts_total: sum(|seen| &seen.attempts_total),
            failures_total: sum(|seen| &seen.failures_total),
            retries_total: sum(|seen| &seen.retries_total),
            retries_refused_total: sum(|seen| &seen.retries_refused_total),
        }
    }

    /// One word for statistics: how it stands.
    fn word(&self, care: &Care, now_ms: u64) -> &'static str {
        let mut condition = self.lock();
        let change = condition.look(care, now_ms);
        let word = condition.word(care, now_ms);
        self.leave(condition, [change, None]);
        word
    }

    /// Requests under way, as one worker sees it: its own, and the others' as of its last look.
    pub(crate) fn in_flight(&self, worker: usize) -> u64 {
        let seen = &self.seen[worker];
        seen.in_flight.read() + seen.elsewhere.read()
    }

    /// What it costs to ask it now, by what one worker has seen; only to be compared.
    pub(crate) fn cost(&self, worker: usize, weight: u32) -> f64 {
        let average = f64::from_bits(self.seen[worker].average_us.read());
        ewma::cost(average, self.in_flight(worker), weight)
    }

    /// An answer took so long.
    pub(crate) fn took(&self, worker: usize, us: u64, now_ms: u64) {
        let seen = &self.seen[worker];
        let before = f64::from_bits(seen.average_us.read());
        let since_ms = now_ms.saturating_sub(seen.averaged_ms.read());
        seen.average_us
            .set(ewma::observe(before, since_ms, us).to_bits());
        seen.averaged_ms.set(now_ms);
    }

    /// One worker looks at what the others have under way.
    pub(crate) fn look_around(&self, worker: usize) {
        let others = self.seen.iter().enumerate();
        let elsewhere = others
            .filter(|&(other, _)| other != worker)
            .map(|(_, seen)| seen.in_flight.read())
            .sum();
        self.seen[worker].elsewhere.set(elsewhere);
    }

    /// The number of the breaker's window: of this era, and of this time.
    fn window(&self, window_ms: u64, now_ms: u64) -> u64 {
        let era = self.era.load(Ordering::Relaxed);
        (era << 40) | (now_ms / window_ms.max(1) + 1)
    }

    fn tally(&self, window: u64) -> Tally {
        let same = self.seen.iter().filter(|seen| seen.window.read() == window);
        same.fold(Tally::default(), |tally, seen| Tally {
            attempts: tally.attempts + seen.attempts.read(),
            failures: tally.failures + seen.failures.read(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Condition> {
        // The records are whole after every statement that holds the lock.
        self.condition
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the lock back, and says what has changed.
    fn leave(&self, condition: MutexGuard<'_, Condition>, changes: [Option<Change>; 2]) {
        let calm = condition.is_calm();
        if self.troubled.load(Ordering::Relaxed) == calm {
            self.troubled.store(!calm, Ordering::Relaxed);
        }
        drop(condition);
        for change in changes.into_iter().flatten() {
            self.say(change);
        }
    }

    fn say(&self, change: Change) {
        let (owner, origin) = (&self.owner, &self.origin.name);
        match change {
            Change::Turn(Turn::Left { for_ms }) => {
                tracing::warn!(%owner, %origin, for_ms, "an upstream fails and is put aside");
            }
            Change::Turn(Turn::Returned) => {
                tracing::info!(%owner, %origin, "an upstream is tried again");
            }
            Change::Switch(Switch::Opened { for_ms }) => {
                self.era.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%owner, %origin, for_ms, "an upstream's circuit opens");
            }
            Change::Switch(Switch::Closed) => {
                tracing::info!(%owner, %origin, "an upstream's circuit closes");
            }
            Change::Down => tracing::warn!(%owner, %origin, "an upstream fails its checks"),
            Change::Up => tracing::info!(%owner, %origin, "an upstream passes its checks"),
        }
    }
}

impl Seen {
    /// Counts one attempt into a window; what belonged to another is forgotten.
    fn tally(&self, window: u64, failed: bool) {
        if self.window.read() != window {
            self.attempts.set(0);
            self.failures.set(0);
            self.window.set(window);
        }
        self.attempts.add(1);
        self.failures.add(u64::from(failed));
    }
}

/// Every lane, budget and set of places that a snapshot in force uses, by name.
pub(crate) struct Lanes {
    workers: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    lanes: HashMap<(Box<str>, Box<str>), Weak<Lane>>,
    budgets: HashMap<Box<str>, Weak<Budget>>,
    places: HashMap<Box<str>, Weak<Places>>,
}

impl Lanes {
    /// None yet, for a number of workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers,
            known: Mutex::default(),
        }
    }

    /// The lane of an owner to an origin.
    pub(crate) fn lane(&self, owner: &str, origin: &Arc<Origin>) -> Arc<Lane> {
        let key = (Box::from(owner), origin.name.clone());
        let make = || Lane::new(owner, origin, self.workers);
        kept(&mut self.lock().lanes, key, make)
    }

    /// The budget of a model or service.
    pub(crate) fn budget(&self, owner: &str) -> Arc<Budget> {
        let make = || Budget::new(self.workers);
        kept(&mut self.lock().budgets, owner.into(), make)
    }

    /// The places at a provider or service.
    pub(crate) fn places(&self, owner: &str) -> Arc<Places> {
        let make = || Places::new(self.workers);
        kept(&mut self.lock().places, owner.into(), make)
    }

    /// Forgets what no snapshot uses any more.
    pub(crate) fn forget_unused(&self) {
        let mut known = self.lock();
        known.lanes.retain(|_, kept| kept.strong_count() > 0);
        known.budgets.retain(|_, kept| kept.strong_count() > 0);
        known.places.retain(|_, kept| kept.strong_count() > 0);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // The tables are whole after every statement that holds the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What goes by a name, if any snapshot still uses it, or a new one.
fn kept<K: std::hash::Hash + Eq, T>(
    known: &mut HashMap<K, Weak<T>>,
    key: K,
    make: impl FnOnce() -> T,
) -> Arc<T> {
    if let Some(found) = known.get(&key).and_then(Weak::upgrade) {
        return found;
    }
    let made = Arc::new(make());
    known.insert(key, Arc::downgrade(&made));
    made
}
