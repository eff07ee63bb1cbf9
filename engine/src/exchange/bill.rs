//! The bill of one exchange: what is held for it, by which tariff it is charged, and that it is
//! settled exactly once.
//!
//! As early as the cost is known: before the last bytes leave, so that a caller who asks for
//! its quota next finds this request in it. What an end of either kind means for the bill is
//! `settle`'s to say.

use std::cell::Cell;

use tollring_config::{CrashSettle, Durability, FailMode, ModelId, NanoUsd, Price, Store};
use tollring_dialects::openai::Usage;
use tollring_ledger::journal::{Outcome, Sequence, UsageSource};
use tollring_ledger::price::{self, TokensUsed};
use tollring_ledger::{Amounts, DenialReason, Hold};

use super::account::{Account, Charge, On};
use super::auth::Caller;
use super::refusal::{Denied, Refusal};
use crate::live::Live;
use crate::worker::Worker;

/// Output tokens that a rolling hold is extended by, each time it runs low.
pub(super) const STEP_TOKENS: u64 = 1024;

/// How far our count of an answer may exceed the most it was asked to be before it is believed.
/// A token is some four bytes of text in common languages, and two in the worst of them.
const COUNT_SLACK: u64 = 2;

/// How a call is charged.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tariff {
    /// By tokens; unpriced models cost nothing in money.
    Tokens {
        /// The model's prices.
        price: Option<Price>,
        /// What the input was taken to be, until the provider says.
        input_estimate: u64,
    },
    /// By request, whatever it carried.
    Request {
        /// What one costs.
        price: NanoUsd,
        /// Whether it counts against limits on requests.
        counted: bool,
    },
    /// By bytes of both bodies.
    Bytes {
        /// Each request, and each million bytes.
        price: tollring_config::ServicePrice,
    },
    /// Not at all.
    Free,
}

/// What is owed by one exchange.
pub(super) struct Bill<'a> {
    worker: &'a Worker,
    caller: Option<Caller>,
    hold: Option<Hold<'a>>,
    tariff: Tariff,
    /// Output tokens the hold covers, and the most the call can produce.
    covered_output: u64,
    most_output: u64,
    /// Output tokens that have passed, by our own count.
    output: u64,
    /// Whether an extension was denied and the answer goes on all the same.
    overdrawn: bool,
    /// Bytes that have passed of what is charged by them, should the exchange end here.
    carried: Cell<u64>,
    /// The model that answers, and how many choices it makes; none where there is no model.
    answers: Option<(ModelId, u32)>,
    /// What is written down of it; absent where nothing is.
    account: Option<Account>,
    /// The last record of it, once it is settled.
    written: Option<Sequence>,
}

impl<'a> Bill<'a> {
    /// A bill over a hold in which there are `covered` tokens of output, of at most `most`.
    ///
    /// # Errors
    /// When it must be written down and cannot be.
    pub(super) fn open(
        (worker, live): (&'a Worker, &Live),
        caller: Caller,
        (hold, tariff): (Hold<'a>, Tariff),
        (covered, most): (u64, u64),
        account: Option<Account>,
    ) -> Result<Self, Refusal> {
        let mut bill = Self {
            worker,
            caller: Some(caller),
            hold: Some(hold),
            tariff,
            covered_output: covered,
            most_output: most,
            output: 0,
            overdrawn: false,
            carried: Cell::new(0),
            answers: None,
            account,
            written: None,
        };
        if bill.write_hold(live) {
            return Ok(bill);
        }
        bill.account = None;
        bill.void();
        Err(Refusal::LedgerUnavailable)
    }

    /// A bill for what costs nothing.
    pub(super) fn free(worker: &'a Worker) -> Self {
        Self {
            worker,
            caller: None,
            hold: None,
            tariff: Tariff::Free,
            covered_output: 0,
            most_output: 0,
            output: 0,
            overdrawn: false,
            carried: Cell::new(0),
            answers: None,
            account: None,
            written: None,
        }
    }

    /// Whose exchange it is.
    pub(super) fn worker(&self) -> &'a Worker {
        self.worker
    }

    /// Whose bill it is, if anybody pays.
    pub(super) fn caller(&self) -> Option<Caller> {
        self.caller
    }

    /// Makes sure that `want` is held, for a model that may cost more than the one that was
    /// asked for. Says whether it is.
    pub(super) fn cover(&mut self, live: &Live, want: Amounts, most_output: u64) -> bool {
        self.most_output = self.most_output.max(most_output);
        let Some(hold) = self.hold.as_mut() else {
            return true;
        };
        let held = hold.held();
        let more = Amounts {
            requests: 0,
            tokens: (want.tokens - held.tokens).max(0),
            output: (want.output - held.output).max(0),
            cached_input: 0,
            usd: NanoUsd((want.usd.0 - held.usd.0).max(0)),
        };
        if more == Amounts::default() {
            return true;
        }
        let covered = hold.extend(more, self.worker.now()).is_ok();
        if covered {
            self.write_extension(live, (more, 0));
        }
        covered
    }

    /// The model that is asked has its own price, and whoever is asked a name.
    pub(super) fn served_by(
        &mut self,
        live: &Live,
        (model, choices): (ModelId, u32),
        provider: u32,
    ) {
        self.answers = Some((model, choices));
        if let Tariff::Tokens { price, .. } = &mut self.tariff {
            *price = live.config.models[model.index()].price;
        }
        if let Some(account) = &mut self.account {
            account.asks(live, model, provider);
        }
    }

    /// An answer has begun.
    pub(super) fn answered(&mut self, status: u16) {
        if let Some(account) = &mut self.account {
            account.answered(status);
        }
    }

    /// How the answer goes on or ended, and the bytes of both bodies until then.
    pub(super) fn passed(&mut self, outcome: Outcome, bytes: (u64, u64)) {
        if let Some(account) = &mut self.account {
            account.passed(outcome, bytes);
        }
    }

    /// Waits until what it cost would survive a power cut, where answers wait for that.
    pub(super) async fn lasts(&self, live: &Live) {
        let sync = |store: &Store| store.durability == Durability::Sync;
        if live.config.store.as_ref().is_some_and(sync)
            && let (Some(books), Some(written)) = (self.worker.books(), self.written)
        {
            books.lasts(written).await;
        }
    }

    /// Notes output as it is produced, and extends the hold when it runs low: by as many steps
    /// as were passed, and not beyond what the call may produce unless it does produce more. The
    /// caller decides what a denial means.
    pub(super) fn produced(&mut self, live: &Live, output: u64) -> Result<(), Denied> {
        self.output = output;
        let covered = self.covered_output;
        // Our count may run ahead of the truth, so an answer is not yet beyond what it was
        // asked to be; a provider that ignores what it was asked is.
        let within =
            covered >= self.most_output && output <= self.most_output.saturating_mul(COUNT_SLACK);
        if output < covered || self.overdrawn || within {
            return Ok(());
        }
        let (Tariff::Tokens { price, .. }, Some(hold), Some(caller)) =
            (self.tariff, self.hold.as_mut(), self.caller)
        else {
            return Ok(());
        };
        let steps = (output + 1 - covered).div_ceil(STEP_TOKENS);
        let left = self.most_output.saturating_sub(covered);
        let tokens = match left {
            0 => steps * STEP_TOKENS,
            left => left.min(steps * STEP_TOKENS),
        };
        let more = Amounts {
            requests: 0,
            tokens: i64::try_from(tokens).unwrap_or(i64::MAX),
            output: i64::try_from(tokens).unwrap_or(i64::MAX),
            cached_input: 0,
            usd: price.map_or(NanoUsd(0), |price| {
                let for_output = Price {
                    request: NanoUsd(0),
                    ..price
                };
                price::cost(&for_output, &used(0, tokens))
            }),
        };
        match hold.extend(more, self.worker.now()) {
            Ok(()) => {
                self.covered_output += tokens;
                self.write_extension(live, (more, tokens));
                Ok(())
            }
            Err(mut denial) => {
                self.overdrawn = true;
                // It did fit when it began; it is the rest that does not.
                if denial.reason == DenialReason::NeverFits {
                    denial.reason = DenialReason::Insufficient;
                }
                Err(Denied {
                    caller,
                    denial,
                    affordable: Some(0),
                })
            }
        }
    }

    /// Settles at what is held: the provider did the work, and neither it nor the answer says
    /// how much that was.
    pub(super) fn post_held(&mut self) {
        if let Some(held) = self.hold.as_ref().map(Hold::held) {
            let output = self.covered_output;
            let Tariff::Tokens { input_estimate, .. } = self.tariff else {
                return;
            };
            self.post(held, used(input_estimate, output), UsageSource::Hold);
        }
    }

    /// Settles by what the provider said.
    pub(super) fn post_usage(&mut self, usage: Usage) {
        if let Tariff::Tokens { price, .. } = self.tariff {
            let used = TokensUsed {
                input: usage.input,
                output: usage.output,
                cached_input: usage.cached_input,
            };
            let source = UsageSource::Provider;
            self.post(amounts(price.as_ref(), used), used, source);
        }
    }

    /// Settles by our own count: the provider said nothing, or was stopped.
    pub(super) fn post_counted(&mut self, output: u64) {
        if let Tariff::Tokens {
            price,
            input_estimate,
        } = self.tariff
        {
            let used = used(input_estimate, output);
            let source = UsageSource::Counted;
            self.post(amounts(price.as_ref(), used), used, source);
        }
    }

    /// Settles a service call that carried so many bytes of body, both ways.
    pub(super) fn post_service(&mut self, bytes: u64) {
        let cost = match self.tariff {
            Tariff::Request { price, counted } => Amounts {
                requests: i64::from(counted),
                usd: price,
                ..Amounts::default()
            },
            Tariff::Bytes { price } => Amounts {
                requests: 1,
                usd: price::cost_of_bytes(&price, bytes),
                ..Amounts::default()
            },
            Tariff::Tokens { .. } | Tariff::Free => return,
        };
        self.post(cost, used(0, 0), UsageSource::Unknown);
    }

    /// Where bytes are noted as they pass, so that an exchange which is dropped is charged for
    /// them.
    pub(super) fn carried(&self) -> &Cell<u64> {
        &self.carried
    }

    /// Settles a service call by the bytes that were noted.
    pub(super) fn post_carried(&mut self) {
        self.post_service(self.carried.get());
    }

    /// Gives everything back.
    pub(super) fn void(&mut self) {
        self.give_back(None);
    }

    /// Gives everything back, since this is the answer.
    pub(super) fn refuse(&mut self, live: &Live, refusal: &Refusal) {
        self.give_back(Some((refusal, live)));
    }

    fn give_back(&mut self, refusal: Option<(&Refusal, &Live)>) {
        let Some(hold) = self.hold.take() else { return };
        if let (Some(account), Some(on)) = (&mut self.account, On::of(self.worker)) {
            account.voided(refusal, on);
        }
        hold.void(self.worker.now());
    }

    /// What is charged if nothing more is heard of this.
    fn at_crash(&self, settle: CrashSettle) -> Charge {
        let held = self.hold.as_ref().map(Hold::held).unwrap_or_default();
        let (amounts, used) = match (settle, self.tariff) {
            (CrashSettle::Void, _) => (Amounts::default(), used(0, 0)),
            (
                CrashSettle::Hold,
                Tariff::Tokens {
                    price: _,
                    input_estimate,
                },
            ) => (held, used(input_estimate, self.covered_output)),
            (
                CrashSettle::Input,
                Tariff::Tokens {
                    price,
                    input_estimate,
                },
            ) => {
                let used = used(input_estimate, 0);
                (amounts(price.as_ref(), used), used)
            }
            (CrashSettle::Hold | CrashSettle::Input, _) => (held, used(0, 0)),
        };
        Charge::new(amounts, used, UsageSource::Hold)
    }

    /// Writes down what is held, and says whether it may go on: where that cannot be written
    /// down, the operator's word decides.
    fn write_hold(&mut self, live: &Live) -> bool {
        let (Some(on), Some(store)) = (On::of(self.worker), &live.config.store) else {
            return true;
        };
        let charge = self.at_crash(store.crash_settle);
        let (Some(account), Some(hold)) = (&mut self.account, &self.hold) else {
            return true;
        };
        match account.held(charge, hold, on) {
            Ok(()) => true,
            Err(_) if store.fail_mode == FailMode::Open => {
                on.lose();
                true
            }
            Err(_) => false,
        }
    }

    /// Writes down that so much more is held, where that is charged after a crash.
    fn write_extension(&self, live: &Live, (more, output): (Amounts, u64)) {
        let (Some(on), Some(store)) = (On::of(self.worker), &live.config.store) else {
            return;
        };
        if let (CrashSettle::Hold, Some(account), Some(hold)) =
            (store.crash_settle, &self.account, &self.hold)
        {
            let charge = Charge::new(more, used(0, output), UsageSource::Hold);
            account.extended(charge, hold, on);
        }
    }

    /// Settles what passed before the client left.
    pub(super) fn post_partial(&mut self, output: u64, bytes: u64) {
        if self.by_tokens() {
            self.post_counted(output);
        } else {
            self.post_service(bytes);
        }
    }

    /// Whether the call is charged by what it carries.
    pub(super) fn by_bytes(&self) -> bool {
        matches!(self.tariff, Tariff::Bytes { .. })
    }

    /// Whether the call is charged by tokens.
    pub(super) fn by_tokens(&self) -> bool {
        matches!(self.tariff, Tariff::Tokens { .. })
    }

    fn post(&mut self, cost: Amounts, used: TokensUsed, source: UsageSource) {
        if let Some(hold) = self.hold.take() {
            if let (Some(account), Some(on)) = (&mut self.account, On::of(self.worker)) {
                self.written = account.posted(Charge::new(cost, used, source), &hold, on);
            }
            let receipt = hold.post(cost, self.worker.now());
            let counters = self.worker.counters();
            counters
                .cost_nano_usd
                .add(u64::try_from(receipt.cost.usd.0).unwrap_or(0));
            counters.tokens_input.add(used.input);
            counters.tokens_output.add(used.output);
            if let (Some((model, choices)), Some(caller)) = (self.answers, self.caller) {
                let each = used.output / u64::from(choices.max(1));
                self.worker.learnt.note(caller.key, model, each);
            }
        }
    }
}

impl Drop for Bill<'_> {
    /// A bill that nobody closed belongs to an exchange that was dropped in the middle: what
    /// passed is charged, as for a client that left.
    fn drop(&mut self) {
        if self.hold.is_some() {
            if let Some(account) = &mut self.account {
                account.lost();
            }
            match self.tariff {
                Tariff::Tokens { .. } => self.post_counted(self.output),
                Tariff::Request { .. } | Tariff::Bytes { .. } => {
                    self.post_carried();
                }
                Tariff::Free => {}
            }
        }
    }
}

fn used(input: u64, output: u64) -> TokensUsed {
    TokensUsed {
        input,
        output,
        cached_input: 0,
    }
}

/// What a completion costs in every unit.
pub(super) fn amounts(price: Option<&Price>, used: TokensUsed) -> Amounts {
    let whole = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
    Amounts {
        requests: 1,
        tokens: whole(used.input.saturating_add(used.output)),
        output: whole(used.output),
        cached_input: whole(used.cached_input.min(used.input)),
        usd: price.map_or(NanoUsd(0), |price| price::cost(price, &used)),
    }
}
