//! In which order the targets of a model, or the upstreams of a service, are tried.
//!
//! The first is drawn by weight, so that traffic spreads as the operator wrote it;
//! the others follow by weight, and after them the targets of the fallback models
//! in the order they were written. No state but a generator of numbers.

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

/// The place tried at a turn, when `first` was drawn from `count`: the first, then the
/// others as they are written.
pub(crate) fn place_at(turn: usize, first: usize, count: usize) -> Option<usize> {
    if turn >= count {
        None
    } else if turn == 0 {
        Some(first)
    } else if turn <= first {
        Some(turn - 1)
    } else {
        Some(turn)
    }
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

    #[test]
    fn every_target_is_tried_once() {
        for first in 0..4 {
            let mut tried: Vec<usize> =
                (0..5).filter_map(|turn| place_at(turn, first, 4)).collect();
            assert_eq!(tried[0], first);
            tried.sort_unstable();
            assert_eq!(tried, [0, 1, 2, 3]);
        }
    }
}
