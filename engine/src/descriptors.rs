//! How many descriptors there are, and for what.
//!
//! Decides how many clients fit, and from which descriptor on they are turned away
//! so that upstreams and the operator's port still find one. What happens then is
//! `accept.rs`'s.

use std::os::fd::RawFd;

use tollring_config::limits::CONNECTIONS_DEFAULT;

use crate::engine::StartFault;
use crate::net::affinity;

/// Descriptors of the process beside the workers': standard ones, signals, logs, the operator's
/// port, a socket for taking over, one for systemd. Counted, and rounded up.
const OWN: u64 = 24;

/// Descriptors of a worker beside its listeners: its ring or epoll, its mailbox and its spare.
const OWN_OF_A_WORKER: u64 = 6;

/// Descriptors of a listener: the worker's own, and the one that can be handed on.
const OWN_OF_A_LISTENER: u64 = 2;

/// Connections of the operator's port that have descriptors of their own: as many as it takes.
const RESERVED: u64 = 64;

/// The reserve is at most this part of all, where there are few.
const RESERVED_PART: u64 = 8;

/// The part of all that clients leave to upstreams, whatever they were allowed.
const UPSTREAM_PART: u64 = 16;

/// The least they leave.
const UPSTREAM_MIN: u64 = 4;

/// What clients may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Client connections over all workers where the file sets no number.
    pub(crate) connections_max: usize,
    /// From this number on a client's descriptor is one that was meant for something else.
    pub(crate) line: RawFd,
}

/// Shares out the descriptors, after raising the soft limit as far as they can be used.
///
/// # Errors
/// [`StartFault::Descriptors`] when the connections that were asked for cannot be had.
pub(crate) fn budget(
    asked: Option<usize>,
    workers: usize,
    addresses: usize,
) -> Result<Budget, StartFault> {
    let own = own(workers, addresses);
    let wanted = asked.unwrap_or(CONNECTIONS_DEFAULT) as u64;
    // An upstream connection for each client, at the worst.
    let allowed = affinity::raise_descriptors(2 * wanted + own + RESERVED);
    share_out(asked, own, allowed)
}

/// Descriptors that are in use when nobody is connected.
pub(crate) fn own(workers: usize, addresses: usize) -> u64 {
    let of_a_worker = OWN_OF_A_WORKER + OWN_OF_A_LISTENER * addresses as u64;
    OWN + workers as u64 * of_a_worker
}

fn share_out(asked: Option<usize>, own: u64, allowed: u64) -> Result<Budget, StartFault> {
    let reserved = RESERVED.min(allowed / RESERVED_PART);
    let connections = asked.unwrap_or(CONNECTIONS_DEFAULT);
    let needed = connections as u64 + own + reserved;
    let for_upstreams = UPSTREAM_MIN.max(allowed / UPSTREAM_PART);
    let line = allowed.saturating_sub(reserved + for_upstreams);
    let budget = |connections_max| Budget {
        connections_max,
        line: RawFd::try_from(line).unwrap_or(RawFd::MAX),
    };
    if asked.is_some() && allowed >= needed {
        return Ok(budget(connections));
    }
    let pairs = allowed.saturating_sub(own + reserved) / 2;
    match usize::try_from(pairs) {
        Ok(pairs) if asked.is_none() && pairs > 0 => Ok(budget(pairs.min(connections))),
        _ => Err(StartFault::Descriptors {
            connections,
            needed,
            allowed,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_number_every_client_may_have_an_upstream() {
        let own = own(2, 1);
        for allowed in [64, 256, 1024, 20_000] {
            let budget = share_out(None, own, allowed).ok();
            let clients = budget.map_or(0, |budget| budget.connections_max as u64);
            assert!(clients > 0, "{allowed} are enough for somebody");
            assert!(2 * clients + own < allowed, "{clients} of {allowed}");
        }
    }

    #[test]
    fn the_line_leaves_the_operator_and_upstreams_something() {
        for allowed in [64, 256, 1024, 20_000, u64::MAX] {
            let line = share_out(None, own(1, 1), allowed).map_or(0, |budget| budget.line);
            assert!(line > 0);
            assert!(u64::try_from(line).unwrap_or(0) + 12 <= allowed);
        }
    }

    #[test]
    fn what_was_asked_for_and_cannot_be_had_is_a_fault_with_numbers() {
        let fault = share_out(Some(1000), own(2, 1), 256).err();
        assert!(
            matches!(
                fault,
                Some(StartFault::Descriptors {
                    connections: 1000,
                    allowed: 256,
                    ..
                })
            ),
            "{fault:?}"
        );
        assert_eq!(
            share_out(Some(100), own(2, 1), 256)
                .map(|budget| budget.connections_max)
                .ok(),
            Some(100)
        );
    }

    #[test]
    fn no_descriptors_at_all_are_too_few() {
        assert!(share_out(None, own(2, 1), 32).is_err());
    }
}
