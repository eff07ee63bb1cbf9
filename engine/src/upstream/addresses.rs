//! The addresses of one name, and which of them rests because nobody answered there.
//!
//! Addresses are used in turn. One that could not be connected to rests for [`REST_MS`], for
//! as long as there is another; the rest is kept when the name is resolved again. Names with
//! one address, which are the rule, never look at any of this.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How long an address rests after a connection to it failed. Long enough that one in a dead
/// data centre costs a request now and then; short enough to be used soon after it is back.
pub(crate) const REST_MS: u64 = 10_000;

/// The addresses of one name.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    list: Vec<SocketAddr>,
    /// Until when each rests; 0: it does not.
    rests_until_ms: Vec<AtomicU64>,
    next: AtomicUsize,
}

impl Addresses {
    /// These addresses; those that rested before rest on.
    pub(crate) fn new(list: Vec<SocketAddr>, before: &Self) -> Self {
        let rest = |address: &SocketAddr| {
            let place = before.list.iter().position(|other| other == address);
            place.map_or(0, |place| {
                before.rests_until_ms[place].load(Ordering::Relaxed)
            })
        };
        Self {
            rests_until_ms: list.iter().map(|address| rest(address).into()).collect(),
            list,
            next: AtomicUsize::new(0),
        }
    }

    /// All of them.
    pub(crate) fn list(&self) -> &[SocketAddr] {
        &self.list
    }

    /// The one to try next: in turn, past those that rest while there is another.
    pub(crate) fn next(&self, now_ms: u64) -> Option<SocketAddr> {
        let count = self.list.len();
        match self.list.as_slice() {
            [] => return None,
            [only] => return Some(*only),
            _ => {}
        }
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut turns = (0..count).map(|step| first.wrapping_add(step) % count);
        let awake = |place: &usize| self.rests_until_ms[*place].load(Ordering::Relaxed) <= now_ms;
        let place = turns.find(awake).unwrap_or(first % count);
        Some(self.list[place])
    }

    /// A connection failed, so the address rests; or it was made, so it does not.
    pub(crate) fn note(&self, address: SocketAddr, connected: bool, now_ms: u64) {
        if self.list.len() < 2 {
            return;
        }
        if let Some(place) = self.list.iter().position(|known| *known == address) {
            let until_ms = if connected { 0 } else { now_ms + REST_MS };
            let rests = &self.rests_until_ms[place];
            if rests.load(Ordering::Relaxed) != until_ms {
                rests.store(until_ms, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 80))
    }

    fn three() -> Addresses {
        Addresses::new((1..=3).map(address).collect(), &Addresses::default())
    }

    fn six(addresses: &Addresses, now_ms: u64) -> Vec<SocketAddr> {
        (0..6).filter_map(|_| addresses.next(now_ms)).collect()
    }

    #[test]
    fn every_address_is_used_in_turn() {
        let seen = six(&three(), 0);
        for last in 1..=3 {
            assert_eq!(
                seen.iter().filter(|seen| **seen == address(last)).count(),
                2
            );
        }
    }

    #[test]
    fn one_that_could_not_be_reached_rests_for_a_while() {
        let addresses = three();
        addresses.note(address(2), false, 1_000);
        assert!(!six(&addresses, 1_000).contains(&address(2)));
        assert!(six(&addresses, 1_000 + REST_MS).contains(&address(2)));
    }

    #[test]
    fn where_all_rest_all_are_tried() {
        let addresses = three();
        for last in 1..=3 {
            addresses.note(address(last), false, 0);
        }
        assert_eq!(six(&addresses, 0).len(), 6);
        addresses.note(address(1), true, 0);
        assert_eq!(six(&addresses, 0), [address(1); 6]);
    }

    #[test]
    fn a_rest_outlasts_a_new_resolution() {
        let before = three();
        before.note(address(2), false, 0);
        let after = Addresses::new((2..=4).map(address).collect(), &before);
        assert!(!six(&after, 1).contains(&address(2)));
        assert!(six(&after, 1).contains(&address(4)));
    }
}
