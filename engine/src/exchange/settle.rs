//! What it cost: closes the bill by how the exchange ended.
//!
//! The rules for answers that ended badly are here and nowhere else.

use tollring_ledger::journal::Outcome;

use super::bill::Bill;
use super::refusal::Refusal;
use super::relay::Ended;
use super::{After, Exchange, Stop};
use crate::net::deadline::Cut;
use crate::upstream::failure::{Cause, Stage};

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
            bill.passed(Outcome::ClientGone, (exchange.progress.uploaded.get(), 0));
            if failure.stage == Stage::Connect {
                bill.void();
            } else {
                // The provider was asked, and has worked on the input for all anyone knows.
                bill.post_partial(0, exchange.progress.uploaded.get());
            }
            Err(Stop::Leave)
        }
        Ended::Failed(failure) => {
            let refusal = Refusal::Upstream(failure);
            bill.refuse(&exchange.live, &refusal);
            Err(refusal.into())
        }
        Ended::Refused(refusal) => {
            // The upstream has had what came before the fault.
            match bill.by_bytes() {
                true => bill.post_service(exchange.progress.uploaded.get()),
                false => bill.refuse(&exchange.live, &refusal),
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
