//! How long answers usually are: what 99 of 100 calls of one key to one model have taken.
//!
//! One table a worker, of a fixed size: keys that call often keep their place, and one that
//! loses it is asked for the whole again until enough is known of it. Nothing here is exact
//! and nothing has to be: what an answer takes beyond its hold is charged all the same.

use std::cell::RefCell;

use tollring_config::{KeyId, ModelId};

/// Pairs of key and model that one worker remembers. Arbitrary: more than are busy at once.
const PLACES: usize = 4096;

/// Answers after which what they took is believed.
const ENOUGH: u32 = 32;

/// Answers after which half of the past is forgotten, so that a habit may change.
const REMEMBERED: u32 = 1024;

/// Steps of the output: each a doubling, from one token to two thousand million.
const STEPS: usize = 32;

/// What the answers of every pair took.
pub(crate) struct Learnt {
    places: RefCell<Box<[Place]>>,
}

#[derive(Clone, Copy)]
struct Place {
    pair: (u32, u32),
    answers: u32,
    /// How many were in each step.
    steps: [u16; STEPS],
}

const NOBODY: Place = Place {
    pair: (u32::MAX, u32::MAX),
    answers: 0,
    steps: [0; STEPS],
};

impl Default for Learnt {
    fn default() -> Self {
        Self {
            places: RefCell::new(vec![NOBODY; PLACES].into()),
        }
    }
}

impl Learnt {
    /// Output tokens that 99 of 100 answers did not exceed; `None` before that is known.
    pub(crate) fn usual(&self, key: KeyId, model: ModelId) -> Option<u64> {
        let place = self.places.borrow()[place_of(key, model)];
        if place.pair != (key.0, model.0) || place.answers < ENOUGH {
            return None;
        }
        let mut beyond = place.answers / 100;
        for (step, &count) in place.steps.iter().enumerate().rev() {
            if u32::from(count) > beyond {
                return Some((2 << step) - 1);
            }
            beyond -= u32::from(count);
        }
        None
    }

    /// Notes what one answer took.
    pub(crate) fn note(&self, key: KeyId, model: ModelId, output: u64) {
        let places = &mut self.places.borrow_mut();
        let place = &mut places[place_of(key, model)];
        let pair = (key.0, model.0);
        if place.pair != pair {
            // Whoever was here gives way only when it has been quiet for as long as it was busy.
            if place.answers > 0 {
                place.halve();
                return;
            }
            *place = Place { pair, ..NOBODY };
        }
        let step = output.max(1).ilog2() as usize;
        place.steps[step.min(STEPS - 1)] += 1;
        place.answers += 1;
        if place.answers >= REMEMBERED {
            place.halve();
        }
    }
}

impl Place {
    fn halve(&mut self) {
        self.steps.iter_mut().for_each(|count| *count /= 2);
        self.answers = self.steps.iter().map(|&count| u32::from(count)).sum();
    }
}

fn place_of(key: KeyId, model: ModelId) -> usize {
    // Odd factors (the golden ratio's) spread neighbouring numbers over the table.
    let mixed = key.0.wrapping_mul(0x9E37_79B1) ^ model.0.wrapping_mul(0x85EB_CA77);
    (mixed >> 16) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyId = KeyId(7);
    const MODEL: ModelId = ModelId(3);

    #[test]
    fn what_is_usual_is_known_after_enough_answers_and_one_in_a_hundred_may_be_longer() {
        let learnt = Learnt::default();
        for _ in 0..ENOUGH {
            assert_eq!(learnt.usual(KEY, MODEL), None);
            learnt.note(KEY, MODEL, 100);
        }
        assert_eq!(learnt.usual(KEY, MODEL), Some(127));
        learnt.note(KEY, MODEL, 5_000);
        assert_eq!(learnt.usual(KEY, MODEL), Some(8_191), "one in 33");
        for _ in 0..80 {
            learnt.note(KEY, MODEL, 100);
        }
        assert_eq!(learnt.usual(KEY, MODEL), Some(127), "one in 113");
        assert_eq!(learnt.usual(KEY, ModelId(4)), None);
    }

    #[test]
    fn a_habit_that_changes_is_noticed_and_counts_never_overflow() {
        let learnt = Learnt::default();
        for _ in 0..200_000 {
            learnt.note(KEY, MODEL, u64::MAX);
        }
        assert_eq!(learnt.usual(KEY, MODEL), Some((2 << 31) - 1));
        for _ in 0..20_000 {
            learnt.note(KEY, MODEL, 0);
        }
        assert_eq!(learnt.usual(KEY, MODEL), Some(1));
    }

    #[test]
    fn a_busy_pair_is_not_driven_out_by_one_call_of_another() {
        let learnt = Learnt::default();
        let other = (0..u32::MAX)
            .map(KeyId)
            .find(|&key| key != KEY && place_of(key, MODEL) == place_of(KEY, MODEL))
            .expect("there are more keys than places");
        for _ in 0..200 {
            learnt.note(KEY, MODEL, 100);
        }
        learnt.note(other, MODEL, 9_000);
        assert_eq!(learnt.usual(KEY, MODEL), Some(127));
        for _ in 0..100 {
            learnt.note(other, MODEL, 9_000);
        }
        assert_eq!(learnt.usual(other, MODEL), Some(16_383));
    }
}
