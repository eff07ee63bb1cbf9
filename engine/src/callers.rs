//! Which addresses have how many connections, on one worker.
//!
//! Asked once for each connection, and only where the file sets a bound. What becomes of
//! one that is too many is decided by whoever asks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

/// Bits of an IPv6 address that tell customers apart: each has at least a whole /64
/// (RFC 6177 §2), and with it more addresses than anybody can count.
const IPV6_BITS: u32 = 64;

/// The addresses that hold connections.
#[derive(Default)]
pub(crate) struct Callers {
    /// How many each holds; none is 0, so that there are no more than connections.
    held: RefCell<HashMap<IpAddr, usize>>,
}

/// A connection's place among those of its address, until it is dropped.
pub(crate) struct Seat {
    callers: Rc<Callers>,
    address: IpAddr,
}

impl Callers {
    /// A place for one more connection from an address; `None` when it holds `max` already.
    pub(crate) fn seat(self: &Rc<Self>, address: IpAddr, max: usize) -> Option<Seat> {
        let address = customer(address);
        let mut held = self.held.borrow_mut();
        let count = held.entry(address).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Seat {
            callers: Rc::clone(self),
            address,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = self.callers.held.borrow_mut();
        if let Some(count) = held.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.address);
            }
        }
    }
}

/// What of an address stands for whoever has it.
fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX << (u128::BITS - IPV6_BITS);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
        address => address,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_so_many_places_and_gives_them_back() {
        let callers = Rc::new(Callers::default());
        let seat = |text: &str| callers.seat(text.parse().unwrap(), 2);
        let (first, _second) = (
            seat("192.0.2.1").unwrap(),
            seat("::ffff:192.0.2.1").unwrap(),
        );
        assert!(seat("192.0.2.1").is_none());
        assert!(seat("192.0.2.2").is_some());
        drop(first);
        assert!(seat("192.0.2.1").is_some());
        assert_eq!(
            callers.held.borrow().len(),
            1,
            "nobody is kept who holds nothing"
        );
    }

    #[test]
    fn a_customer_of_ipv6_is_its_first_64_bits() {
        let callers = Rc::new(Callers::default());
        let seat = |text: &str| callers.seat(text.parse().unwrap(), 1);
        let _held = seat("2001:db8::1").unwrap();
        assert!(seat("2001:db8::2:3:4:5").is_none());
        assert!(seat("2001:db8:0:1::1").is_some());
    }
}
