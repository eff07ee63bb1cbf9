//! What it cost: the bill of one exchange, from its hold to its settlement.
//!
//! A bill is settled exactly once, as early as the cost is known: before the last
//! bytes leave, so that a caller who asks for its quota next finds this request in
//! it. The rules for answers that ended badly are here and nowhere else.

use std::cell::Cell;

use tollring_config::{NanoUsd, Price};
use tollring_dialects::openai::Usage;
use tollring_ledger::price::{self, TokensUsed};
use tollring_ledger::{Amounts, DenialReason, Hold};

use super::auth::Caller;
use super::refusal::{Denied, Refusal};
use super::relay::Ended;
use super::{After, Exchange, Stop};
use crate::net::deadline::Cut;
use crate::upstream::failure::{Cause, Stage};
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
}

impl<'a> Bill<'a> {
    /// A bill over a hold in which there are `covered` tokens of output, of at most `most`.
    pub(super) fn open(
        worker: &'a Worker,
        caller: Caller,
        hold: Hold<'a>,
        tariff: Tariff,
        (covered, most): (u64, u64),
    ) -> Self {
        Self {
            worker,
            caller: Some(caller),
            hold: Some(hold),
            tariff,
            covered_output: covered,
            most_output: most,
            output: 0,
            overdrawn: false,
            carried: Cell::new(0),
        }
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
        }
    }

    /// Whose bill it is, if anybody pays.
    pub(super) fn caller(&self) -> Option<Caller> {
        self.caller
    }

    /// Makes sure that `want` is held, for a model that may cost more than the one that was
    /// asked for. Says whether it is.
    pub(super) fn cover(&mut self, want: Amounts, most_output: u64) -> bool {
        self.most_output = self.most_output.max(most_output);
        let Some(hold) = self.hold.as_mut() else {
            return true;
        };
        let held = hold.held();
        let more = Amounts {
            requests: 0,
            tokens: (want.tokens - held.tokens).max(0),
            usd: NanoUsd((want.usd.0 - held.usd.0).max(0)),
        };
        more == Amounts::default() || hold.extend(more, self.worker.now()).is_ok()
    }

    /// The model that answers has its own price.
    pub(super) fn served_by(&mut self, model_price: Option<Price>) {
        if let Tariff::Tokens { price, .. } = &mut self.tariff {
            *price = model_price;
        }
    }

    /// Notes output as it is produced, and extends the hold when it runs low: by as many steps
    /// as were passed, and not beyond what the call may produce unless it does produce more. The
    /// caller decides what a denial means.
    pub(super) fn produced(&mut self, output: u64) -> Result<(), Denied> {
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
            self.post(held, used(input_estimate, output));
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
            self.post(amounts(price.as_ref(), used), used);
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
            self.post(amounts(price.as_ref(), used), used);
        }
    }

    /// Settles a service call that carried so many bytes of body, both ways.
    pub(super) fn post_service(&mut self, bytes: u64) {
        let cost = match self.tariff {
            Tariff::Request { price, counted } => Amounts {
                requests: i64::from(counted),
                tokens: 0,
                usd: price,
            },
            Tariff::Bytes { price } => Amounts {
                requests: 1,
                tokens: 0,
                usd: price::cost_of_bytes(&price, bytes),
            },
            Tariff::Tokens { .. } | Tariff::Free => return,
        };
        self.post(cost, used(0, 0));
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
        if let Some(hold) = self.hold.take() {
            hold.void(self.worker.now());
        }
    }

    /// Settles what passed before the client left.
    fn post_partial(&mut self, output: u64, bytes: u64) {
        if self.by_tokens() {
            self.post_counted(output);
        } else {
            self.post_service(bytes);
        }
    }

    /// Whether the call is charged by what it carries.
    fn by_bytes(&self) -> bool {
        matches!(self.tariff, Tariff::Bytes { .. })
    }

    /// Whether the call is charged by tokens.
    pub(super) fn by_tokens(&self) -> bool {
        matches!(self.tariff, Tariff::Tokens { .. })
    }

    fn post(&mut self, cost: Amounts, used: TokensUsed) {
        if let Some(hold) = self.hold.take() {
            let receipt = hold.post(cost, self.worker.now());
            let counters = self.worker.counters();
            counters
                .cost_nano_usd
                .add(u64::try_from(receipt.cost.usd.0).unwrap_or(0));
            counters.tokens_input.add(used.input);
            counters.tokens_output.add(used.output);
        }
    }
}

impl Drop for Bill<'_> {
    /// A bill that nobody closed belongs to an exchange that was dropped in the middle: what
    /// passed is charged, as for a client that left.
    fn drop(&mut self) {
        if self.hold.is_some() {
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
    Amounts {
        requests: 1,
        tokens: i64::try_from(used.input.saturating_add(used.output)).unwrap_or(i64::MAX),
        usd: price.map_or(NanoUsd(0), |price| price::cost(price, &used)),
    }
}

/// Closes the bill by the rule for how the exchange ended, and says what becomes of the
/// connection.
///
/// # Errors
/// The refusal that a failure becomes when nothing has been sent to the client yet.
pub(super) fn settle(
    exchange: &mut Exchange<'_>,
    mut bill: Bill<'_>,
    ended: Ended,
) -> Result<After, Stop> {
    match ended {
        Ended::Whole { keep } => {
            // Settled already, unless the provider answered with a failure of its own.
            bill.void();
            exchange.facts.keep_alive &= keep;
            Ok(match exchange.facts.keep_alive {
                true => After::Next,
                // The client is still sending what nobody wants any more.
                false if exchange.progress.uploading.get() => After::Linger,
                false => After::Close,
            })
        }
        // Nothing of the model's came through: nothing is charged.
        Ended::Uncounted { output: 0 } => {
            bill.void();
            Ok(After::Cut)
        }
        Ended::Uncounted { output } => {
            bill.post_counted(output);
            Ok(After::Cut)
        }
        Ended::ClientGone { output, bytes } => {
            bill.post_partial(output, bytes);
            Ok(After::Cut)
        }
        Ended::Failed(failure) if failure.cause == Cause::ClientGone => {
            if failure.stage == Stage::Connect {
                bill.void();
            } else {
                // The provider was asked, and has worked on the input for all anyone knows.
                bill.post_partial(0, exchange.progress.uploaded.get());
            }
            Err(Stop::Leave)
        }
        Ended::Failed(failure) => {
            bill.void();
            Err(Refusal::Upstream(failure).into())
        }
        Ended::Refused(refusal) => {
            // The upstream has had what came before the fault.
            match bill.by_bytes() {
                true => bill.post_service(exchange.progress.uploaded.get()),
                false => bill.void(),
            }
            Err(refusal.into())
        }
    }
}

/// Why an operation on a client's socket ended, as a cause on the way to the provider.
pub(super) fn cause_of_cut(cut: Cut) -> Cause {
    match cut {
        Cut::Deadline => Cause::TimedOut,
        Cut::ClientGone => Cause::ClientGone,
        Cut::Drain => Cause::Stopped,
    }
}
