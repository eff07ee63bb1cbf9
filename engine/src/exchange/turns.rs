//! Who is tried next: the targets of a model and of its fallbacks, or the upstreams of a
//! service, each at most once.
//!
//! Those that stand well come first, by the model's or service's way to choose; those that
//! were put aside, or would have to be waited for, when nobody else is left; one whose circuit
//! is open, never. What became of an attempt, and whether another is safe, is not decided here.

use tollring_config::limits::{FALLBACK_MAX, TARGETS_MAX, UPSTREAMS_MAX, WEIGHT_MAX};
use tollring_config::{Balance, ModelId, Retries, ServiceId};

use crate::live::Live;
use crate::upstream::balance::{Load, pick};
use crate::upstream::budget::Budget;
use crate::upstream::condition::Standing;
use crate::upstream::failure::{AttemptFailure, Cause};
use crate::upstream::retry::adds_load;
use crate::upstream::way::Way;
use crate::worker::Worker;

/// Members of one round: targets of a model, or upstreams of a service.
const MEMBERS_MAX: usize = UPSTREAMS_MAX;

/// Rounds of one request: the model's own, and one for each fallback.
const ROUNDS_MAX: usize = 1 + FALLBACK_MAX;

const _: () = assert!(
    TARGETS_MAX <= MEMBERS_MAX && MEMBERS_MAX <= 64,
    "a round's members must have a bit each"
);
const _: () = assert!(
    TARGETS_MAX as u64 * WEIGHT_MAX * 100 <= u32::MAX as u64,
    "weights in percent must add up in 32 bits"
);

/// Which members have been tried, and what may be done about a failure.
pub(super) struct Turns {
    /// A bit for each member, by round.
    tried: [u64; ROUNDS_MAX],
    /// The round of the member that was tried last.
    round: usize,
    /// Attempts that repeated another.
    repeats: u32,
    /// Whether somebody was left out whose circuit is open.
    shut: bool,
    /// Whether the request has waited for a place in vain; it does so once.
    waited: bool,
}

/// What was asked for: a model, or a service.
#[derive(Clone, Copy)]
pub(super) enum Group {
    /// A model, by the name the caller used.
    Model(ModelId),
    /// A service.
    Service(ServiceId),
}

impl Group {
    /// How one of its members is chosen.
    pub(super) fn balance(self, live: &Live) -> Balance {
        match self {
            Self::Model(model) => live.config.models[model.index()].balance,
            Self::Service(service) => live.config.services[service.index()].balance,
        }
    }

    fn allowance(self, live: &Live) -> (Retries, &Budget) {
        match self {
            Self::Model(model) => {
                let retries = live.config.models[model.index()].retries;
                (retries, live.model_budget(model))
            }
            Self::Service(service) => {
                let retries = live.config.services[service.index()].retries;
                (retries, live.service_budget(service))
            }
        }
    }

    /// The model of a round: the one that was asked for, or one of its fallbacks.
    fn model(asked: ModelId, round: usize, live: &Live) -> Option<ModelId> {
        let fallback = &live.config.models[asked.index()].fallback;
        match round.checked_sub(1) {
            None => Some(asked),
            Some(place) => fallback.get(place).copied(),
        }
    }

    /// How many members a round has.
    fn count(self, round: usize, live: &Live) -> usize {
        match self {
            Self::Model(asked) => {
                Self::model(asked, round, live).map_or(0, |model| live.targets(model).len())
            }
            Self::Service(service) => live.upstreams(service).len(),
        }
    }
}

impl Turns {
    /// Nobody has been tried. The request pays its share into the retry budget.
    pub(super) fn begin(live: &Live, group: Group, worker: &Worker) -> Self {
        let (retries, budget) = group.allowance(live);
        budget.requested(worker.index(), retries.budget);
        Self {
            tried: [0; ROUNDS_MAX],
            round: 0,
            repeats: 0,
            shut: false,
            waited: false,
        }
    }

    /// The next target for a model that was asked for, and the model it is of. A fallback is
    /// passed over unless it is `covered`.
    pub(super) fn next_target(
        &mut self,
        live: &Live,
        asked: ModelId,
        worker: &Worker,
        mut covered: impl FnMut(ModelId) -> bool,
    ) -> Option<(ModelId, usize)> {
        for strict in [true, false] {
            if self.waited && !strict {
                break;
            }
            for round in 0..ROUNDS_MAX {
                let Some(model) = Group::model(asked, round, live) else {
                    break;
                };
                let targets = live.targets(model);
                let round = Round {
                    number: round,
                    count: targets.len(),
                    way: |place: usize| &targets[place].way,
                    balance: live.config.models[model.index()].balance,
                };
                let Some(place) = self.choose(&round, worker, strict) else {
                    continue;
                };
                if model != asked && !covered(model) {
                    self.tried[round.number] = u64::MAX;
                    continue;
                }
                self.take(round.number, place);
                return Some((model, place));
            }
        }
        None
    }

    /// The next upstream for a service.
    pub(super) fn next_upstream(
        &mut self,
        live: &Live,
        service: ServiceId,
        worker: &Worker,
    ) -> Option<usize> {
        let upstreams = live.upstreams(service);
        let round = Round {
            number: 0,
            count: upstreams.len(),
            way: |place: usize| &upstreams[place].way,
            balance: live.config.services[service.index()].balance,
        };
        let mut place = self.choose(&round, worker, true);
        if place.is_none() && !self.waited {
            place = self.choose(&round, worker, false);
        }
        let place = place?;
        self.take(0, place);
        Some(place)
    }

    /// What it is called that nobody could be tried at all.
    pub(super) const fn nobody(&self) -> AttemptFailure {
        let cause = if self.shut {
            Cause::Open
        } else {
            Cause::NoAddress
        };
        AttemptFailure::before_connection(cause)
    }

    /// Whether a failure may be followed by another attempt in the same round: at the same
    /// member over a new connection (`same`), or at another. Where it may not, the round is over,
    /// and only a fallback is left: that is what the operator wrote for this case, and is no
    /// retry.
    pub(super) fn again(
        &mut self,
        live: &Live,
        (group, way): (Group, &Way),
        (failure, same): (&AttemptFailure, bool),
        worker: &Worker,
    ) -> bool {
        self.waited |= failure.cause == Cause::Full;
        if !same && self.is_last(live, group) {
            return true;
        }
        let (Retries { max, budget }, jars) = group.allowance(live);
        let in_bound = self.repeats < max;
        let paid = || jars.take(worker.index(), budget, worker.clock_ms());
        if in_bound && (!adds_load(failure) || paid()) {
            self.repeats += 1;
            return true;
        }
        if in_bound {
            way.lane.seen[worker.index()].retries_refused_total.add(1);
        }
        self.tried[self.round] = u64::MAX;
        false
    }

    /// Whether every member of the round has been tried.
    pub(super) fn is_last(&self, live: &Live, group: Group) -> bool {
        self.tried[self.round].count_ones() as usize >= group.count(self.round, live)
    }

    /// Whether what is tried next repeats an attempt at the same model or service.
    pub(super) const fn repeats(&self) -> bool {
        self.repeats > 0
    }

    fn take(&mut self, round: usize, place: usize) {
        self.tried[round] |= 1 << place;
        self.round = round;
    }

    /// A member that was not tried; `strict`ly one that stands well and has a place.
    fn choose<'l, W: Fn(usize) -> &'l Way>(
        &mut self,
        round: &Round<W>,
        worker: &Worker,
        strict: bool,
    ) -> Option<usize> {
        let tried = self.tried[round.number];
        let now_ms = worker.clock_ms();
        let mut weights = [0; MEMBERS_MAX];
        let (mut last, mut several) = (None, false);
        for place in (0..round.count).filter(|place| tried & (1 << place) == 0) {
            let way = (round.way)(place);
            weights[place] = match way.lane.standing(&way.care, now_ms) {
                Standing::Shut => {
                    self.shut = true;
                    continue;
                }
                Standing::Aside if strict => continue,
                _ if strict && way.is_full() => continue,
                Standing::Aside => way.weight * 100,
                Standing::In { share } => way.weight * share,
            };
            several = last.replace(place).is_some();
        }
        if !several {
            return last;
        }
        let load = Loads { round, worker };
        let weights = &mut weights[..round.count];
        pick(round.balance, weights, &load, &worker.dice)
    }
}

/// The members of one round.
struct Round<W> {
    number: usize,
    count: usize,
    way: W,
    balance: Balance,
}

/// What is under way at the members of a round, as one worker sees it.
struct Loads<'a, W> {
    round: &'a Round<W>,
    worker: &'a Worker,
}

impl<'l, W: Fn(usize) -> &'l Way> Load for Loads<'_, W> {
    fn in_flight(&self, place: usize) -> u64 {
        let way = (self.round.way)(place);
        way.lane.in_flight(self.worker.index())
    }

    fn cost(&self, place: usize, weight: u32) -> f64 {
        (self.round.way)(place)
            .lane
            .cost(self.worker.index(), weight)
    }
}

/// Whether enough others than `failing` could have answered a request, so that it may be put
/// aside. A fallback is one of them.
pub(super) fn is_replaceable(live: &Live, group: Group, failing: &Way, worker: &Worker) -> bool {
    let now_ms = worker.clock_ms();
    let stands_well = |way: &&Way| {
        let other = !std::ptr::eq(&*way.lane, &*failing.lane);
        other && matches!(way.lane.standing(&way.care, now_ms), Standing::In { .. })
    };
    let wanted = usize::try_from(failing.care.eject.min_healthy).unwrap_or(usize::MAX);
    let found = match group {
        Group::Service(service) => {
            let ways = live.upstreams(service).iter().map(|plan| &plan.way);
            ways.filter(stands_well).take(wanted).count()
        }
        Group::Model(asked) => {
            let models = (0..ROUNDS_MAX).map_while(|round| Group::model(asked, round, live));
            let plans = models.flat_map(|model| live.targets(model));
            plans
                .map(|plan| &plan.way)
                .filter(stands_well)
                .take(wanted)
                .count()
        }
    };
    found >= wanted
}
