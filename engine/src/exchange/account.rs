//! What is written down of one exchange: what it may cost, and how it ended.
//!
//! A record stands in the journal before what it tells of has effects elsewhere: a hold
//! before a byte goes upstream, an end before the last bytes leave. Where there is no journal
//! there is no account. What things cost is `settle`'s to say; where records lie, `books`'s.

use tollring_config::{ApiKey, ModelId, Numbers};
use tollring_ledger::journal::{
    Kind, NoRoom, Outcome, Record, Room, Sequence, TokenCounts, UsageSource,
};
use tollring_ledger::price::TokensUsed;
use tollring_ledger::{Amounts, Hold};

use super::auth::Caller;
use super::refusal::Refusal;
use super::route::Call;
use super::{Exchange, Facts};
use crate::books::Books;
use crate::live::Live;
use crate::net::Instant;
use crate::worker::Worker;

/// What is known of one exchange as it goes on.
pub(super) struct Account {
    record: Record,
    started: Instant,
    /// For the outcome; none where nothing is held.
    room: Option<Room>,
}

/// What is charged, and by whose count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    pub(super) amounts: Amounts,
    pub(super) tokens: TokenCounts,
    pub(super) source: UsageSource,
}

impl Charge {
    /// A charge for so many tokens.
    pub(super) fn new(amounts: Amounts, used: TokensUsed, source: UsageSource) -> Self {
        let count = |tokens| u32::try_from(tokens).unwrap_or(u32::MAX);
        let tokens = TokenCounts {
            input: count(used.input),
            output: count(used.output),
            cached_read: count(used.cached_input),
            ..TokenCounts::default()
        };
        Self {
            amounts,
            tokens,
            source,
        }
    }
}

impl Account {
    /// The account of a request that `caller` pays for; what it calls may not be known.
    pub(super) fn of(live: &Live, facts: &Facts, call: Option<&Call>, caller: Caller) -> Self {
        let numbers = &live.config.numbers;
        let ApiKey { tenant, team, .. } = live.key(caller.key);
        let mut record = Record {
            request: facts.id.bits(),
            tenant: Numbers::at(&numbers.tenants, tenant.index()),
            team: team.map_or(0, |team| Numbers::at(&numbers.teams, team.index())),
            key: Numbers::at(&numbers.keys, caller.key.index()),
            outcome: Outcome::Whole,
            ..Record::default()
        };
        match call {
            Some(Call::Completion { model, .. }) => {
                record.model_asked = Numbers::at(&numbers.models, model.index());
            }
            Some(Call::Service(service)) => {
                record.service = Numbers::at(&numbers.services, service.index());
                record.price_version = Numbers::at(&numbers.service_prices, service.index());
            }
            None => {}
        }
        Self {
            record,
            started: facts.started,
            room: None,
        }
    }

    /// Notes who is asked to answer.
    pub(super) fn asks(&mut self, live: &Live, model: ModelId, provider: u32) {
        let numbers = &live.config.numbers;
        self.record.model_served = Numbers::at(&numbers.models, model.index());
        self.record.price_version = Numbers::at(&numbers.model_prices, model.index());
        self.record.attempt = self.record.attempt.saturating_add(1);
        self.record.provider = provider;
    }

    /// Notes that an answer has begun.
    pub(super) fn answered(&mut self, status: u16) {
        self.record.status = status;
        let waited = self.started.elapsed().as_micros();
        self.record.ttfb_us = u32::try_from(waited).unwrap_or(u32::MAX);
    }

    /// Notes how it goes on: what came of it, and bytes of both bodies.
    pub(super) fn passed(&mut self, outcome: Outcome, (bytes_in, bytes_out): (u64, u64)) {
        self.record.outcome = outcome;
        self.record.bytes_in = bytes_in;
        self.record.bytes_out = bytes_out;
    }

    /// Notes that nobody closed it.
    pub(super) fn lost(&mut self) {
        self.record.outcome = Outcome::Lost;
    }

    /// Writes down what is charged should nothing more be heard of it, and keeps room for what
    /// will be.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub(super) fn held(
        &mut self,
        charge: Charge,
        hold: &Hold<'_>,
        on: On<'_>,
    ) -> Result<(), NoRoom> {
        let record = self.at_crash(Kind::Hold, charge, on);
        self.room = Some(on.books.admit(&record, (hold, charge.amounts))?);
        Ok(())
    }

    /// Writes down that more is charged in that case.
    pub(super) fn extended(&self, charge: Charge, hold: &Hold<'_>, on: On<'_>) {
        let record = self.at_crash(Kind::Extend, charge, on);
        if on
            .books
            .append(&record, Some((hold, charge.amounts)))
            .is_err()
        {
            on.lose();
        }
    }

    fn at_crash(&self, kind: Kind, charge: Charge, on: On<'_>) -> Record {
        Record {
            kind,
            outcome: Outcome::Open,
            at: on.worker.now(),
            cost: charge.amounts.usd,
            tokens: charge.tokens,
            usage_source: charge.source,
            ..self.record
        }
    }

    /// Writes down what it cost.
    pub(super) fn posted(
        &mut self,
        charge: Charge,
        hold: &Hold<'_>,
        on: On<'_>,
    ) -> Option<Sequence> {
        let record = Record {
            kind: Kind::Post,
            at: on.worker.now(),
            usage_source: charge.source,
            cost: charge.amounts.usd,
            tokens: charge.tokens,
            total_us: self.took_us(),
            ..self.record
        };
        self.end(&record, Some((hold, charge.amounts)), on)
    }

    /// Writes down that it cost nothing, and which no was the reason if one was.
    pub(super) fn voided(&mut self, refusal: Option<(&Refusal, &Live)>, on: On<'_>) {
        let mut record = Record {
            kind: Kind::Void,
            at: on.worker.now(),
            total_us: self.took_us(),
            ..self.record
        };
        if let Some((refusal, live)) = refusal {
            record.refusal = refusal.kind(live).number();
            record.status = refusal.status(live);
            record.outcome = match refusal {
                Refusal::Upstream(_) => Outcome::Failed,
                _ => Outcome::Refused,
            };
        }
        self.end(&record, None, on);
    }

    fn end(
        &mut self,
        record: &Record,
        cost: Option<(&Hold<'_>, Amounts)>,
        on: On<'_>,
    ) -> Option<Sequence> {
        match self.room.take() {
            Some(room) => Some(on.books.settle(room, record, cost)),
            // A refusal, or a hold that was let in although there was no room.
            None => on.books.append(record, cost).map_err(|_| on.lose()).ok(),
        }
    }

    fn took_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Where an account is written, and by whose clock.
#[derive(Clone, Copy)]
pub(super) struct On<'a> {
    books: &'a Books,
    worker: &'a Worker,
}

impl<'a> On<'a> {
    /// The worker's books; `None` where nothing is written down.
    pub(super) fn of(worker: &'a Worker) -> Option<Self> {
        let books = worker.books()?;
        Some(Self { books, worker })
    }

    /// Counts a record that is lost.
    pub(super) fn lose(self) {
        self.worker.counters().journal_lost_total.add(1);
    }
}

/// Writes down a refusal of ours, unless that was done; one whose caller is not known is nobody's.
pub(super) fn refused(exchange: &mut Exchange<'_>, live: &Live, refusal: &Refusal) {
    let facts = &mut exchange.facts;
    let (Some(caller), false) = (facts.caller, facts.accounted) else {
        return;
    };
    if let Some(on) = On::of(exchange.worker) {
        facts.accounted = true;
        let mut account = Account::of(live, facts, None, caller);
        account.voided(Some((refusal, live)), on);
    }
}
