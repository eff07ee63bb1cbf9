//! Decides whether a failed attempt may be followed by another.
//!
//! It knows what happened and nothing else: not how many targets are left, not
//! how often was tried already. Those bounds are the exchange's.

use super::failure::{AttemptFailure, Cause, Stage};

/// Attempts one exchange may make, the first included. Arbitrary: a primary and its
/// fallbacks; beyond that a caller is better served by an answer.
pub(crate) const ATTEMPTS_MAX: usize = 5;

const _: () = assert!(
    ATTEMPTS_MAX as u64 > tollring_config::limits::RETRIES_MAX,
    "as many retries as the file may allow must fit"
);

/// Whether the request may be sent again, to this provider or to another.
///
/// A completion costs money each time it runs, so the default is no. Yes is for the
/// cases where the provider cannot have begun: there was no connection; or a pooled
/// connection turned out to be dead before the provider's system had taken one byte;
/// or the provider said itself that it declined. A request that may be repeated by
/// the meaning of its method (RFC 9110 §9.2.2) is also retried when its
/// connection died before it was answered.
pub(crate) fn may_retry(failure: &AttemptFailure, idempotent: bool) -> bool {
    match (failure.stage, failure.cause) {
        // What one attempt lacked here, the next would lack too.
        (_, Cause::ClientGone | Cause::Stopped | Cause::Exhausted) => false,
        (Stage::Connect, _) => true,
        (Stage::AwaitHead, Cause::Declined) => true,
        // The segment that closes in order acknowledges what came before it, so a provider that
        // closed and acknowledged nothing had closed before it was asked. A reset
        // acknowledges nothing: it may have read the request first.
        (Stage::Send | Stage::AwaitHead, Cause::Closed) => idempotent || is_untouched(failure),
        (Stage::Send | Stage::AwaitHead, Cause::Reset) => idempotent,
        (Stage::Send | Stage::AwaitHead | Stage::Relay, _) => false,
    }
}

/// Whether another attempt after this failure is more work for somebody than there was, so that
/// it is paid for out of the retry budget.
pub(crate) fn adds_load(failure: &AttemptFailure) -> bool {
    failure.stage != Stage::Connect && !is_untouched(failure)
}

/// Whether a kept connection was closed before anything of the request was taken.
fn is_untouched(failure: &AttemptFailure) -> bool {
    failure.reused && failure.cause == Cause::Closed && failure.bytes_accepted == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stage: Stage, cause: Cause, reused: bool, accepted: u64, expected: [bool; 2]) {
        let failure = AttemptFailure {
            stage,
            cause,
            reused,
            bytes_accepted: accepted,
        };
        let decided = [may_retry(&failure, false), may_retry(&failure, true)];
        assert_eq!(decided, expected, "[as it is, idempotent] for {failure:?}");
    }

    #[test]
    fn whoever_was_not_reached_can_not_have_begun() {
        check(Stage::Connect, Cause::Unreachable, false, 0, [true, true]);
        check(Stage::Connect, Cause::TimedOut, false, 0, [true, true]);
        check(Stage::Connect, Cause::NoAddress, false, 0, [true, true]);
    }

    #[test]
    fn what_we_lack_ourselves_no_other_provider_makes_good() {
        check(Stage::Connect, Cause::Exhausted, false, 0, [false, false]);
    }

    #[test]
    fn a_pooled_connection_that_was_dead_may_be_replaced() {
        check(Stage::AwaitHead, Cause::Closed, true, 0, [true, true]);
        check(Stage::Send, Cause::Closed, true, 0, [true, true]);
    }

    #[test]
    fn a_reset_proves_nothing_about_what_was_read() {
        check(Stage::AwaitHead, Cause::Reset, true, 0, [false, true]);
        check(Stage::Send, Cause::Reset, true, 0, [false, true]);
    }

    #[test]
    fn a_request_that_may_have_begun_is_sent_twice_only_if_it_may_be_repeated() {
        check(Stage::AwaitHead, Cause::Closed, true, 1, [false, true]);
        check(Stage::AwaitHead, Cause::Reset, true, 450, [false, true]);
        check(Stage::AwaitHead, Cause::Reset, false, 450, [false, true]);
        check(Stage::AwaitHead, Cause::Closed, false, 0, [false, true]);
        check(Stage::Send, Cause::Reset, false, 0, [false, true]);
        check(Stage::AwaitHead, Cause::TimedOut, true, 450, [false, false]);
        check(Stage::AwaitHead, Cause::TimedOut, true, 0, [false, false]);
        check(
            Stage::AwaitHead,
            Cause::Malformed,
            true,
            450,
            [false, false],
        );
        check(Stage::Relay, Cause::Closed, true, 450, [false, false]);
        check(Stage::Relay, Cause::Reset, true, 0, [false, false]);
        check(Stage::AwaitHead, Cause::Stopped, true, 0, [false, false]);
    }

    #[test]
    fn a_provider_that_declined_did_not_begin() {
        check(Stage::AwaitHead, Cause::Declined, false, 450, [true, true]);
    }

    #[test]
    fn what_nobody_began_is_no_load() {
        let failure = |stage, cause, bytes_accepted| AttemptFailure {
            stage,
            cause,
            reused: true,
            bytes_accepted,
        };
        assert!(!adds_load(&failure(Stage::Connect, Cause::Unreachable, 0)));
        assert!(!adds_load(&failure(Stage::AwaitHead, Cause::Closed, 0)));
        assert!(adds_load(&failure(Stage::AwaitHead, Cause::Closed, 1)));
        assert!(adds_load(&failure(Stage::AwaitHead, Cause::Declined, 450)));
        assert!(adds_load(&failure(Stage::Send, Cause::Reset, 0)));
    }

    #[test]
    fn nothing_is_retried_for_a_client_that_left() {
        for stage in Stage::ALL {
            check(stage, Cause::ClientGone, true, 0, [false, false]);
        }
    }
}
