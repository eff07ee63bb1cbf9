//! One attempt as its upstream feels it: whether there is a place, how long it takes, and what
//! is held against it afterwards.
//!
//! A visit lasts from before the connection until the answer has passed, and frees its place
//! however it ends. What is done about an upstream that fails is its lane's to decide.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tollring_config::{Balance, Signal, UpstreamTimeouts};
use tollring_http1::Version;

use super::Exchange;
use super::attempt::PROBE;
use super::turns::{Group, is_replaceable};
use crate::counters::Counter;
use crate::live::Live;
use crate::upstream::ewma::FAILURE_US;
use crate::upstream::failure::{AttemptFailure, Cause, Stage};
use crate::upstream::fair::Whose;
use crate::upstream::places::Places;
use crate::upstream::queue::{Patient, stand_in_line};
use crate::upstream::way::Way;
use crate::worker::Worker;

/// Whom an attempt is made to, and for what was asked.
#[derive(Clone, Copy)]
pub(super) struct To<'l> {
    pub(super) live: &'l Live,
    pub(super) group: Group,
    pub(super) way: &'l Way,
}

/// An attempt under way.
pub(super) struct Visit<'l> {
    to: To<'l>,
    worker: Rc<Worker>,
    /// Whether an open circuit let it through to see, and has not been told.
    trial: bool,
    _place: Option<Place<'l>>,
}

/// How an attempt ended, as far as it says anything of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With an answer, for good or ill: its status.
    Answered(u16),
    /// With something that is held against it.
    Failed(Signal),
    /// It says nothing.
    Unheld,
}

impl Outcome {
    /// What a failure says.
    pub(super) const fn of(failure: &AttemptFailure) -> Self {
        match (failure.stage, failure.cause) {
            (
                _,
                Cause::ClientGone | Cause::Stopped | Cause::Full | Cause::Open | Cause::Exhausted,
            ) => Self::Unheld,
            (_, Cause::Declined) => Self::Failed(Signal::Declined),
            (Stage::Connect, _) => Self::Failed(Signal::Connect),
            // A kept connection that was dead says nothing of who is there now.
            (_, Cause::Closed | Cause::Reset) if failure.reused && failure.bytes_accepted == 0 => {
                Self::Unheld
            }
            (_, Cause::TimedOut) => Self::Failed(Signal::Timeout),
            _ => Self::Failed(Signal::Reset),
        }
    }

    const fn signal(self) -> Option<Signal> {
        match self {
            Self::Failed(signal) => Some(signal),
            Self::Answered(500..) => Some(Signal::Status),
            Self::Answered(_) | Self::Unheld => None,
        }
    }
}

impl<'l> Visit<'l> {
    /// Begins an attempt; waits for a place where all are taken.
    ///
    /// # Errors
    /// Nothing has been sent: the circuit is open, there was no place in time, or the client left.
    pub(super) async fn begin(
        exchange: &Exchange<'_>,
        to: To<'l>,
        repeats: bool,
    ) -> Result<Self, AttemptFailure> {
        let way = to.way;
        let place = match (&way.places, way.care.max_in_flight) {
            (Some(places), Some(limit)) => Some(
                enter(exchange, way, places, limit)
                    .await
                    .map_err(AttemptFailure::before_connection)?,
            ),
            _ => None,
        };
        let worker = exchange.worker;
        // Behind the wait, or a trial would be held up in a queue.
        let admitted = way.lane.admit(&way.care, worker.clock_ms());
        let trial = admitted.ok_or(AttemptFailure::before_connection(Cause::Open))?;
        let seen = &way.lane.seen[worker.index()];
        seen.in_flight.add(1);
        seen.attempts_total.add(1);
        seen.retries_total.add(u64::from(repeats));
        Ok(Self {
            to,
            worker: Rc::clone(worker),
            trial,
            _place: place,
        })
    }

    /// Says how it ended, once.
    pub(super) fn ended(&mut self, outcome: Outcome) {
        if outcome == Outcome::Unheld {
            return;
        }
        let at = (self.worker.index(), self.worker.clock_ms());
        let trial = std::mem::take(&mut self.trial);
        let said = (outcome.signal(), trial);
        let To { live, group, way } = self.to;
        let replaceable = || is_replaceable(live, group, way, &self.worker);
        way.lane.note(at, &way.care, said, replaceable);
    }

    /// Says how long the answer took to begin; a failure took as long as one does.
    pub(super) fn took(&self, time: Option<Duration>) {
        let To { live, group, way } = self.to;
        if group.balance(live) == Balance::PeakEwma {
            let us = time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
            let (worker, now_ms) = (self.worker.index(), self.worker.clock_ms());
            way.lane.took(worker, us.unwrap_or(FAILURE_US), now_ms);
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let way = self.to.way;
        way.lane.seen[self.worker.index()].in_flight.sub(1);
        if self.trial {
            way.lane.unheld(&way.care, self.worker.clock_ms());
        }
    }
}

/// A place at a provider or service; given on when dropped.
struct Place<'l> {
    places: &'l Places,
    /// To whom it was granted in the queue; nobody waited else.
    granted: Option<Whose>,
    worker: Rc<Worker>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.worker.queues.release(self.places, self.granted);
    }
}

/// Takes a place, or waits for one.
async fn enter<'l>(
    exchange: &Exchange<'_>,
    way: &'l Way,
    places: &'l Arc<Places>,
    limit: u32,
) -> Result<Place<'l>, Cause> {
    let worker = exchange.worker;
    let mut granted = None;
    if !places.enter(limit) {
        let queue = way.care.queue;
        let wait = left(way.timeouts, exchange).map_or(queue.wait, |left| left.min(queue.wait));
        let (bounds, patient) = ((limit, queue.length), exchange.patient());
        let _queued = Queued::one_more(way, worker);
        stand_in_line(worker, places, bounds, &patient, wait).await?;
        granted = Some(patient.whose);
    }
    Ok(Place {
        places,
        granted,
        worker: Rc::clone(worker),
    })
}

impl<'a> Exchange<'a> {
    /// As one that may have to wait.
    pub(super) fn patient(&self) -> Patient<'a> {
        let facts = &self.facts;
        Patient {
            whose: Whose(facts.caller.map(|caller| caller.tenant)),
            presence: self.presence,
            probe: (facts.version == Version::Http11).then_some(PROBE),
        }
    }
}

/// A request that waits, counted until it does not.
struct Queued<'a>(&'a Counter);

impl<'a> Queued<'a> {
    fn one_more(way: &'a Way, worker: &Worker) -> Self {
        let queued = &way.lane.seen[worker.index()].queued;
        queued.add(1);
        Self(queued)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.sub(1);
    }
}

/// What is left of the time that all attempts have together, if it is bounded.
fn left(timeouts: UpstreamTimeouts, exchange: &Exchange<'_>) -> Option<Duration> {
    let total = timeouts.total?;
    Some(total.saturating_sub(exchange.facts.started.elapsed()))
}

/// The deadlines of one attempt: the upstream's own, cut to what is left for all together.
///
/// # Errors
/// When nothing is left.
pub(super) fn in_time(
    timeouts: UpstreamTimeouts,
    exchange: &Exchange<'_>,
) -> Result<UpstreamTimeouts, AttemptFailure> {
    match left(timeouts, exchange) {
        None => Ok(timeouts),
        Some(Duration::ZERO) => Err(AttemptFailure::before_connection(Cause::TimedOut)),
        Some(left) => Ok(UpstreamTimeouts {
            connect: timeouts.connect.min(left),
            first_byte: timeouts.first_byte.min(left),
            ..timeouts
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stage: Stage, cause: Cause, (reused, bytes_accepted): (bool, u64), expected: Outcome) {
        let failure = AttemptFailure {
            stage,
            cause,
            reused,
            bytes_accepted,
        };
        assert_eq!(Outcome::of(&failure), expected, "{failure:?}");
    }

    #[test]
    fn what_the_client_or_we_did_is_not_held_against_anyone() {
        for cause in [
            Cause::ClientGone,
            Cause::Stopped,
            Cause::Full,
            Cause::Open,
            Cause::Exhausted,
        ] {
            check(Stage::AwaitHead, cause, (false, 9), Outcome::Unheld);
            check(Stage::Connect, cause, (false, 0), Outcome::Unheld);
        }
        check(Stage::Send, Cause::Reset, (true, 0), Outcome::Unheld);
    }

    #[test]
    fn a_failure_is_held_against_an_upstream_by_how_it_failed() {
        let held = |signal| Outcome::Failed(signal);
        let (fresh, connect) = ((false, 9), Stage::Connect);
        check(connect, Cause::Unreachable, fresh, held(Signal::Connect));
        check(connect, Cause::TimedOut, fresh, held(Signal::Connect));
        let head = Stage::AwaitHead;
        check(head, Cause::TimedOut, fresh, held(Signal::Timeout));
        check(head, Cause::Malformed, fresh, held(Signal::Reset));
        check(head, Cause::Closed, (true, 9), held(Signal::Reset));
        check(head, Cause::Declined, fresh, held(Signal::Declined));
        assert_eq!(Outcome::Answered(503).signal(), Some(Signal::Status));
        assert_eq!(Outcome::Answered(404).signal(), None);
    }
}
