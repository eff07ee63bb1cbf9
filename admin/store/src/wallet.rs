//! What is left of prepaid money: a pure function over what came and what went.
//!
//! Money that expires soonest is spent first; of what expires at the same moment, and of what never
//! does, no part is told from another. When a grant expires, what was not spent of it lapses. Who
//! spends more than there is has a debt, which the next money that comes pays before anything else.
//! A negative adjustment takes money as a request does.

use std::collections::BTreeMap;

use tollring_config::NanoUsd;

/// Money that came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// A grant.
    Given {
        /// When, Unix seconds.
        at_s: i64,
        /// How much.
        amount: NanoUsd,
        /// From when on it is gone, Unix seconds; absent: never.
        expires_s: Option<i64>,
    },
    /// An adjustment.
    Adjusted {
        /// When, Unix seconds.
        at_s: i64,
        /// How much, either way.
        amount: NanoUsd,
    },
    /// What requests cost.
    Spent {
        /// When, Unix seconds.
        at_s: i64,
        /// How much.
        amount: NanoUsd,
    },
}

impl Movement {
    const fn at_s(&self) -> i64 {
        match *self {
            Self::Given { at_s, .. } | Self::Adjusted { at_s, .. } | Self::Spent { at_s, .. } => {
                at_s
            }
        }
    }

    /// At one moment money comes before it goes.
    const fn takes(&self) -> bool {
        match *self {
            Self::Given { .. } => false,
            Self::Adjusted { amount, .. } => amount.0 < 0,
            Self::Spent { .. } => true,
        }
    }
}

/// What a tenant's prepaid money has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wallet {
    /// All that was given.
    pub given: NanoUsd,
    /// All adjustments together.
    pub adjusted: NanoUsd,
    /// What expired before it was spent.
    pub lapsed: NanoUsd,
    /// All that was spent.
    pub spent: NanoUsd,
}

impl Wallet {
    /// What could be spent in all, from the first day on: the limit of the tenant's balance, whose
    /// bucket counts everything that was ever posted.
    pub fn limit(&self) -> NanoUsd {
        self.given + self.adjusted - self.lapsed
    }

    /// What can still be spent; below 0 for a debt.
    pub fn left(&self) -> NanoUsd {
        self.limit() - self.spent
    }
}

/// What the movements up to `now_s` come to. A grant that expires at `now_s` is gone.
pub fn wallet(movements: &[Movement], now_s: i64) -> Wallet {
    let mut movements: Vec<&Movement> = movements.iter().filter(|m| m.at_s() <= now_s).collect();
    movements.sort_by_key(|movement| (movement.at_s(), movement.takes()));
    let mut wallet = Wallet::default();
    let mut purse = Purse::default();
    for movement in movements {
        wallet.lapsed += purse.lapse(movement.at_s());
        match *movement {
            Movement::Given {
                at_s,
                amount,
                expires_s,
            } => {
                wallet.given += amount;
                if expires_s.is_some_and(|expires_s| expires_s <= at_s) {
                    // It never was anybody's to spend, nor to pay a debt with.
                    wallet.lapsed += amount;
                } else {
                    purse.put(amount.0, expires_s);
                }
            }
            Movement::Adjusted { amount, .. } if amount.0 < 0 => {
                wallet.adjusted += amount;
                purse.take(amount.0.saturating_neg());
            }
            Movement::Adjusted { amount, .. } => {
                wallet.adjusted += amount;
                purse.put(amount.0, None);
            }
            Movement::Spent { amount, .. } => {
                wallet.spent += amount;
                purse.take(amount.0);
            }
        }
    }
    wallet.lapsed += purse.lapse(now_s);
    wallet
}

/// Money by when it expires. Invariant: there is a debt only while there is no money.
#[derive(Default)]
struct Purse {
    /// By expiry; what never expires is last.
    money: BTreeMap<i64, i64>,
    debt: i64,
}

impl Purse {
    const NEVER: i64 = i64::MAX;

    fn put(&mut self, amount: i64, expires_s: Option<i64>) {
        let paid = amount.min(self.debt);
        self.debt -= paid;
        if amount > paid {
            let money = self
                .money
                .entry(expires_s.unwrap_or(Self::NEVER))
                .or_default();
            *money = money.saturating_add(amount - paid);
        }
    }

    fn take(&mut self, mut amount: i64) {
        while amount > 0 {
            let Some(mut soonest) = self.money.first_entry() else {
                self.debt = self.debt.saturating_add(amount);
                return;
            };
            let taken = amount.min(*soonest.get());
            amount -= taken;
            *soonest.get_mut() -= taken;
            if *soonest.get() == 0 {
                soonest.remove();
            }
        }
    }

    /// Takes out what has expired by `now_s`.
    fn lapse(&mut self, now_s: i64) -> NanoUsd {
        let mut lapsed = NanoUsd(0);
        while let Some(soonest) = self.money.first_entry() {
            if *soonest.key() > now_s || *soonest.key() == Self::NEVER {
                break;
            }
            lapsed += NanoUsd(soonest.remove());
        }
        lapsed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn given(at_s: i64, amount: i64, expires_s: Option<i64>) -> Movement {
        let amount = NanoUsd(amount);
        Movement::Given {
            at_s,
            amount,
            expires_s,
        }
    }

    fn spent(at_s: i64, amount: i64) -> Movement {
        let amount = NanoUsd(amount);
        Movement::Spent { at_s, amount }
    }

    fn adjusted(at_s: i64, amount: i64) -> Movement {
        let amount = NanoUsd(amount);
        Movement::Adjusted { at_s, amount }
    }

    /// What lapsed and what is left at `now_s`.
    #[track_caller]
    fn check(movements: &[Movement], now_s: i64, expected: (i64, i64)) {
        let wallet = wallet(movements, now_s);
        assert_eq!((wallet.lapsed.0, wallet.left().0), expected);
    }

    #[test]
    fn what_expires_soonest_is_spent_first() {
        let movements = [
            given(0, 100, None),
            given(0, 30, Some(50)),
            given(0, 20, Some(40)),
            spent(10, 25),
        ];
        // All of what expires at 40 and 5 of what expires at 50 is spent.
        check(&movements, 39, (0, 125));
        check(&movements, 40, (0, 125));
        check(&movements, 50, (25, 100));
    }

    #[test]
    fn what_is_spent_after_an_expiry_does_not_save_what_lapsed() {
        let movements = [given(0, 30, Some(50)), given(0, 100, None), spent(50, 30)];
        check(&movements, 60, (30, 70));
    }

    #[test]
    fn a_debt_is_paid_by_what_comes_next() {
        let movements = [given(0, 10, None), spent(5, 25), given(9, 20, Some(20))];
        check(&movements, 8, (0, -15));
        check(&movements, 9, (0, 5));
        check(&movements, 20, (5, 0));
    }

    #[test]
    fn an_adjustment_comes_to_stay_or_takes_like_a_request() {
        let movements = [given(0, 10, Some(20)), adjusted(1, 5), adjusted(2, -8)];
        check(&movements, 10, (0, 7));
        check(&movements, 20, (2, 5));
    }

    #[test]
    fn a_grant_that_came_after_its_expiry_lapses_at_once() {
        check(&[given(10, 7, Some(10))], 10, (7, 0));
        check(&[given(10, 7, Some(3)), spent(11, 2)], 12, (7, -2));
    }

    #[test]
    fn what_lies_ahead_does_not_count_yet() {
        let movements = [given(0, 10, None), given(20, 10, None), spent(30, 4)];
        check(&movements, 19, (0, 10));
        check(&movements, 20, (0, 20));
        check(&movements, 30, (0, 16));
    }

    #[test]
    fn amounts_beyond_all_money_do_not_wrap() {
        let movements = [
            given(0, i64::MAX, None),
            given(0, i64::MAX, Some(5)),
            spent(1, i64::MAX),
        ];
        assert_eq!(wallet(&movements, 9).lapsed.0, 0);
    }

    /// The same, one nano-dollar and one second at a time.
    fn piece_by_piece(movements: &[Movement], now_s: i64) -> (i64, i64) {
        let (mut purse, mut debt, mut lapsed) = (Vec::new(), 0, 0);
        for second in 0..=now_s {
            lapsed += purse
                .iter()
                .filter(|&&expires_s| expires_s <= second)
                .count();
            purse.retain(|&expires_s| expires_s > second);
            let now: Vec<_> = movements.iter().filter(|m| m.at_s() == second).collect();
            for movement in now.iter().filter(|movement| !movement.takes()) {
                let (amount, expires_s) = match **movement {
                    Movement::Given {
                        amount, expires_s, ..
                    } => (amount.0, expires_s.unwrap_or(i64::MAX)),
                    Movement::Adjusted { amount, .. } | Movement::Spent { amount, .. } => {
                        (amount.0, i64::MAX)
                    }
                };
                for _ in 0..amount {
                    if expires_s > second && debt > 0 {
                        debt -= 1;
                    } else {
                        purse.push(expires_s);
                    }
                }
            }
            lapsed += purse
                .iter()
                .filter(|&&expires_s| expires_s <= second)
                .count();
            purse.retain(|&expires_s| expires_s > second);
            purse.sort_unstable();
            for movement in now.iter().filter(|movement| movement.takes()) {
                let (Movement::Given { amount, .. }
                | Movement::Adjusted { amount, .. }
                | Movement::Spent { amount, .. }) = **movement;
                for _ in 0..amount.0.abs() {
                    if purse.is_empty() {
                        debt += 1;
                    } else {
                        purse.remove(0);
                    }
                }
            }
        }
        (lapsed as i64, purse.len() as i64 - debt)
    }

    fn movement() -> impl Strategy<Value = Movement> {
        let at_s = || 0..20_i64;
        prop_oneof![
            (at_s(), 1..9_i64, prop::option::of(0..30_i64)).prop_map(|(at, a, e)| given(at, a, e)),
            (at_s(), -6..6_i64).prop_map(|(at, amount)| adjusted(at, amount)),
            (at_s(), 0..9_i64).prop_map(|(at, amount)| spent(at, amount)),
        ]
    }

    proptest! {
        #[test]
        fn a_wallet_is_what_counting_every_piece_comes_to(
            movements in prop::collection::vec(movement(), 0..14),
            now_s in 0..35_i64,
        ) {
            let wallet = wallet(&movements, now_s);
            let counted = piece_by_piece(&movements, now_s);
            prop_assert_eq!((wallet.lapsed.0, wallet.left().0), counted);
        }

        #[test]
        fn nothing_lapses_but_what_expires_and_time_alone_brings_nothing(
            movements in prop::collection::vec(movement(), 0..14),
            now_s in 20..35_i64,
        ) {
            let (earlier, later) = (wallet(&movements, now_s), wallet(&movements, now_s + 1));
            prop_assert!(later.lapsed >= earlier.lapsed);
            prop_assert!(later.left() <= earlier.left());
            let expired = movements.iter().map(|movement| match *movement {
                Movement::Given { amount, expires_s: Some(at), .. } if at <= now_s => amount.0,
                _ => 0,
            });
            prop_assert!(earlier.lapsed.0 <= expired.sum());
        }
    }
}
