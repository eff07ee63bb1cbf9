//! One counter that belongs to one turn of its window, in one atomic word.
//!
//! A bucket counts one epoch after another in the same memory, and a thread may
//! fall asleep between deciding and counting. So the word carries a tag of the
//! turn it counts for, every change is a compare-and-swap of tag and amount
//! together, and whoever comes too late learns so instead of spoiling another
//! epoch's sum. This file knows neither limits nor time.

use crate::sync::{AtomicI64, Ordering};

/// Low bits of a word that name its turn.
///
/// With four, and two words taking turns, a tag comes back after 32 turns. A
/// thread that slept that long inside one compare-and-swap (half a minute with the
/// shortest window) and found the very same amount would take from the newer turn
/// and settle in the older: units are withheld until the window's end, never given
/// twice. We accept that.
const TAG_BITS: u32 = 4;

/// The largest amount a bucket can count, either way: what is left of 64 bits.
///
/// 576 million USD in nano-USD. A limit above it is taken for it.
pub const AMOUNT_MAX: i64 = i64::MAX >> TAG_BITS;

/// How many epochs a bucket has begun; the name of the one being counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn(pub(crate) u32);

impl Turn {
    /// The first: it has a predecessor, so that the other lane has a name too.
    pub(crate) const FIRST: Self = Self(1);

    /// Which of a slot's two words counts it.
    pub(crate) const fn lane(self) -> usize {
        (self.0 & 1) as usize
    }

    const fn tag(self) -> i64 {
        ((self.0 >> 1) & ((1 << TAG_BITS) - 1)) as i64
    }

    /// The epoch that follows. Wraps after 136 years of one-second windows.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The epoch that came before.
    pub(crate) const fn previous(self) -> Self {
        Self(self.0.wrapping_sub(1))
    }
}

/// A change that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// The amount now.
    pub(crate) left: i64,
    /// Whether another thread changed the word at the same moment.
    pub(crate) collided: bool,
}

/// Why an amount could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// Less is here than was wanted; nothing was taken.
    Short,
    /// The word counts another turn now.
    Gone,
}

/// An amount and the turn it belongs to.
#[derive(Debug)]
pub(crate) struct Tally(AtomicI64);

impl Tally {
    /// A counter that starts `turn` at `amount`.
    pub(crate) fn new(turn: Turn, amount: i64) -> Self {
        Self(AtomicI64::new(pack(turn, amount)))
    }

    /// Starts another turn; what was counted for the older one is forgotten.
    pub(crate) fn open(&self, turn: Turn, amount: i64) {
        // A swap, not a store: loom lets a compare-and-swap that races a plain store
        // succeed on the value from before it, which no hardware and no language does.
        self.0.swap(pack(turn, amount), Ordering::SeqCst);
    }

    /// The amount, if the word still counts `turn`.
    pub(crate) fn read(&self, turn: Turn) -> Option<i64> {
        unpack(self.0.load(Ordering::SeqCst), turn)
    }

    /// Takes `want` if that much is here.
    #[inline]
    pub(crate) fn take(&self, turn: Turn, want: i64) -> Result<Done, Miss> {
        self.change(turn, |amount| (amount >= want).then(|| amount - want))
    }

    /// Adds `delta`, which may be negative and may leave a debt.
    #[inline]
    pub(crate) fn add(&self, turn: Turn, delta: i64) -> Result<Done, Miss> {
        self.change(turn, |amount| Some(amount.saturating_add(delta)))
    }

    /// Takes all that is here and says how much; a debt stays.
    pub(crate) fn drain(&self, turn: Turn) -> i64 {
        let mut taken = 0;
        let change = self.change(turn, |amount| {
            taken = amount.max(0);
            (taken > 0).then_some(0)
        });
        if change.is_ok() { taken } else { 0 }
    }

    #[inline]
    fn change(&self, turn: Turn, f: impl FnMut(i64) -> Option<i64>) -> Result<Done, Miss> {
        let mut f = f;
        let mut collided = false;
        let mut word = self.0.load(Ordering::SeqCst);
        loop {
            let amount = unpack(word, turn).ok_or(Miss::Gone)?;
            let left = f(amount).ok_or(Miss::Short)?.clamp(-AMOUNT_MAX, AMOUNT_MAX);
            let new = pack(turn, left);
            match self
                .0
                .compare_exchange(word, new, Ordering::SeqCst, Ordering::SeqCst)
            {
                Ok(_) => return Ok(Done { left, collided }),
                Err(seen) => word = seen,
            }
            collided = true;
        }
    }
}

const fn pack(turn: Turn, amount: i64) -> i64 {
    (amount << TAG_BITS) | turn.tag()
}

fn unpack(word: i64, turn: Turn) -> Option<i64> {
    (word & ((1 << TAG_BITS) - 1) == turn.tag()).then_some(word >> TAG_BITS)
}

/// A place where units lie and spending is noted: the shared one, or one worker's.
///
/// Two words of each, for the epoch being counted and the one before it: a request
/// admitted just before the turn settles in the epoch that admitted it.
#[derive(Debug)]
pub(crate) struct Slot {
    free: [Tally; 2],
    posted: [Tally; 2],
}

impl Slot {
    /// A place for `turn` and the turn before it: what is free and what was spent of the former.
    pub(crate) fn new(turn: Turn, free: i64, posted: i64) -> Self {
        let lanes = |amount: i64| {
            let (this, that) = (Tally::new(turn, amount), Tally::new(turn.previous(), 0));
            if turn.lane() == 0 {
                [this, that]
            } else {
                [that, this]
            }
        };
        Self {
            free: lanes(free),
            posted: lanes(posted),
        }
    }

    /// Units nobody holds.
    #[inline]
    pub(crate) fn free(&self, turn: Turn) -> &Tally {
        &self.free[turn.lane()]
    }

    /// Units that were spent.
    #[inline]
    pub(crate) fn posted(&self, turn: Turn) -> &Tally {
        &self.posted[turn.lane()]
    }

    /// Starts `turn` with `free` units and nothing spent.
    pub(crate) fn open(&self, turn: Turn, free: i64) {
        self.posted(turn).open(turn, 0);
        self.free(turn).open(turn, free);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_another_turn_is_neither_read_nor_changed() {
        let (old, new) = (Turn(7), Turn(9));
        let tally = Tally::new(old, 5);
        tally.open(new, 10);
        assert_eq!(tally.read(old), None);
        assert_eq!(tally.take(old, 1).err(), Some(Miss::Gone));
        assert_eq!(tally.add(old, 1).err(), Some(Miss::Gone));
        assert_eq!(tally.drain(old), 0);
        assert_eq!(tally.read(new), Some(10));
    }

    #[test]
    fn amounts_at_both_ends_of_the_range_survive_the_tag() {
        for turn in [Turn(0), Turn(31), Turn(u32::MAX)] {
            for amount in [-AMOUNT_MAX, -1, 0, 1, AMOUNT_MAX] {
                assert_eq!(Tally::new(turn, amount).read(turn), Some(amount));
            }
            let full = Tally::new(turn, AMOUNT_MAX);
            assert_eq!(
                full.add(turn, AMOUNT_MAX).map(|d| d.left).ok(),
                Some(AMOUNT_MAX)
            );
        }
    }

    #[test]
    fn taking_leaves_a_short_word_alone_and_draining_leaves_a_debt_alone() {
        let turn = Turn::FIRST;
        let tally = Tally::new(turn, 3);
        assert_eq!(tally.take(turn, 4).err(), Some(Miss::Short));
        assert_eq!(tally.drain(turn), 3);
        assert_eq!(tally.add(turn, -2).map(|d| d.left).ok(), Some(-2));
        assert_eq!(tally.drain(turn), 0);
        assert_eq!(tally.read(turn), Some(-2));
    }

    #[test]
    fn a_tag_comes_back_only_after_32_turns() {
        let tally = Tally::new(Turn(1), 5);
        for later in (3..33).step_by(2) {
            assert_eq!(tally.read(Turn(later)), None, "turn {later}");
        }
        assert_eq!(tally.read(Turn(33)), Some(5));
    }
}
