//! In which order the targets of a model, or the upstreams of a service, are tried.
//!
//! Drawn by weight, so that traffic spreads as the operator wrote it, or the less loaded
//! of two that were drawn so. Whoever has failed is left out of the next draw. No state but
//! a generator of numbers: who stands how, and what is loaded, is told.

use tollring_config::Balance;

/// A small generator of numbers for spreading load; not for secrets.
#[derive(Debug)]
pub(crate) struct Dice {
    state: std::cell::Cell<u64>,
}

impl Dice {
    /// A generator that goes its own way for each seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: std::cell::Cell::new(seed | 1),
        }
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn below(&self, bound: u32) -> u32 {
        // xorshift64*, Vigna 2014: its high bits are good enough to spread load.
        let mut state = self.state.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.state.set(state);
        let high = state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        // Multiply and shift instead of a division; the bias is below 2^-32 · bound.
        u32::try_from((high * u64::from(bound)) >> 32).unwrap_or(0)
    }
}

/// The place of the first target, drawn by weight.
pub(crate) fn draw(weights: impl Iterator<Item = u32> + Clone, dice: &Dice) -> usize {
    let total: u32 = weights.clone().fold(0, u32::saturating_add);
    if total == 0 {
        return 0;
    }
    let mut point = dice.below(total);
    for (place, weight) in weights.enumerate() {
        if point < weight {
            return place;
        }
        point -= weight;
    }
    0
}

/// What a choice by load wants to know of a member.
pub(crate) trait Load {
    /// Requests under way there.
    fn in_flight(&self, place: usize) -> u64;
    /// What it costs to ask it; see [`super::ewma::cost`].
    fn cost(&self, place: usize, weight: u32) -> f64;
}

/// The place of a member to ask, by its weight among `weights`, where 0 is not asked at all;
/// `None` when nobody is. The weights are used up.
///
/// By load, two are drawn and the less loaded one is taken ("the power of two choices"): nearly
/// as good as the least loaded of all, without everyone running to the same one at once.
pub(crate) fn pick(
    balance: Balance,
    weights: &mut [u32],
    load: &impl Load,
    dice: &Dice,
) -> Option<usize> {
    let first = draw(weights.iter().copied(), dice);
    let weight = *weights.get(first).filter(|weight| **weight > 0)?;
    if balance == Balance::Weighted {
        return Some(first);
    }
    weights[first] = 0;
    let second = draw(weights.iter().copied(), dice);
    let other = weights[second];
    if other == 0 {
        return Some(first);
    }
    // Where both are alike the first stays, which was drawn by weight.
    let better = if balance == Balance::LeastRequest {
        let ahead = u128::from(load.in_flight(first)) * u128::from(other);
        u128::from(load.in_flight(second)) * u128::from(weight) < ahead
    } else {
        load.cost(second, other) < load.cost(first, weight)
    };
    Some(if better { second } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_spreads_by_weight() {
        let dice = Dice::new(42);
        let mut drawn = [0_u32; 3];
        for _ in 0..60_000 {
            drawn[draw([3, 2, 1].into_iter(), &dice)] += 1;
        }
        for (place, expected) in [(0, 30_000), (1, 20_000), (2, 10_000)] {
            let off = drawn[place].abs_diff(expected);
            assert!(
                off < 1_000,
                "place {place} was drawn {} times",
                drawn[place]
            );
        }
    }

    /// Loads by place: requests under way, and microseconds.
    struct Told<'a>(&'a [(u64, u64)]);

    impl Load for Told<'_> {
        fn in_flight(&self, place: usize) -> u64 {
            self.0[place].0
        }

        #[allow(clippy::cast_precision_loss)] // small numbers
        fn cost(&self, place: usize, weight: u32) -> f64 {
            super::super::ewma::cost(self.0[place].1 as f64, self.0[place].0, weight)
        }
    }

    /// How often each is picked of a thousand times.
    fn picked<const N: usize>(
        balance: Balance,
        weights: [u32; N],
        loads: [(u64, u64); N],
    ) -> [u32; N] {
        let dice = Dice::new(7);
        let mut picked = [0; N];
        for _ in 0..1_000 {
            let place = pick(balance, &mut weights.clone(), &Told(&loads), &dice);
            picked[place.expect("somebody may be asked")] += 1;
        }
        picked
    }

    #[test]
    fn whoever_has_no_weight_is_not_asked() {
        let balances = [Balance::Weighted, Balance::LeastRequest, Balance::PeakEwma];
        for balance in balances {
            assert_eq!(pick(balance, &mut [0, 0], &Told(&[]), &Dice::new(1)), None);
            assert_eq!(pick(balance, &mut [], &Told(&[]), &Dice::new(1)), None);
            let loads = [(0, 1), (99, 99), (0, 1)];
            assert_eq!(picked(balance, [0, 1, 0], loads), [0, 1_000, 0]);
        }
    }

    #[test]
    fn of_two_the_less_loaded_is_asked_and_of_many_never_the_most_loaded() {
        let two = picked(Balance::LeastRequest, [1, 1], [(3, 0), (2, 0)]);
        assert_eq!(two, [0, 1_000]);
        let loads = [(9, 0), (5, 0), (1, 0)];
        let three = picked(Balance::LeastRequest, [1, 1, 1], loads);
        assert_eq!(three[0], 0);
        assert!(three[2] > three[1] && three[1] > 200, "{three:?}");
    }

    #[test]
    fn a_weight_is_a_share_of_what_is_under_way() {
        // Three times the weight may have three times as many under way.
        let loaded = picked(Balance::LeastRequest, [3, 1], [(7, 0), (2, 0)]);
        assert_eq!(loaded, [0, 1_000]);
        let loaded = picked(Balance::LeastRequest, [3, 1], [(5, 0), (2, 0)]);
        assert_eq!(loaded, [1_000, 0]);
        // Where nothing is under way, it is a share of the draws.
        let idle = picked(Balance::LeastRequest, [3, 1], [(0, 0), (0, 0)]);
        assert!((700..800).contains(&idle[0]), "{idle:?}");
    }

    #[test]
    fn a_slow_one_is_left_until_the_quick_ones_have_more_ahead() {
        let quick = picked(Balance::PeakEwma, [1, 1], [(0, 50_000), (3, 10_000)]);
        assert_eq!(quick, [0, 1_000]);
        let busy = picked(Balance::PeakEwma, [1, 1], [(0, 50_000), (5, 10_000)]);
        assert_eq!(busy, [1_000, 0]);
    }
}
