//! What a record says: one step of an exchange, and what it means for which buckets.
//!
//! Records are of fixed size, so there are no names in them: those are numbers that the
//! store gave out. How a record lies on disk is `layout`'s affair.

use tollring_config::NanoUsd;

use crate::amounts::UnixMillis;

/// The place of a record in its lane: the first is 1, and it rises by one for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// What a record is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The worst case was reserved. `tokens.input` is the estimate of the input and `cost` the
    /// money of the input alone; the postings are what is held.
    #[default]
    Hold = 1,
    /// More was reserved; the postings are how much more.
    Extend = 2,
    /// It cost this much. Ends the hold, if there was one.
    Post = 3,
    /// It cost nothing. Ends the hold, if there was one; a refusal had none.
    Void = 4,
    /// One try of several failed; the hold goes on.
    Attempt = 5,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// It has not ended.
    #[default]
    Open = 0,
    /// The client has the whole answer.
    Whole = 1,
    /// The client has a part of it, visibly cut.
    Cut = 2,
    /// The client left.
    ClientGone = 3,
    /// The world's fault, before anything was sent.
    Failed = 4,
    /// Our no.
    Refused = 5,
    /// The hold was dropped or swept.
    Lost = 6,
    /// The process ended first; settled at the next start.
    Crashed = 7,
}

/// Who said how many tokens it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum UsageSource {
    /// Nobody; there was none, or it is not known yet.
    #[default]
    Unknown = 0,
    /// The provider.
    Provider = 1,
    /// We counted.
    Counted = 2,
    /// What was held.
    Hold = 3,
}

/// Tokens by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenCounts {
    /// All of the input, the cached included.
    pub input: u32,
    /// All of the output, reasoning included.
    pub output: u32,
    /// Of the input, what was read from the provider's cache.
    pub cached_read: u32,
    /// Of the input, what was written to it.
    pub cache_write: u32,
    /// Of the output, what the caller does not see.
    pub reasoning: u32,
    /// Audio, both ways.
    pub audio: u32,
    /// Images, both ways.
    pub image: u32,
    /// Searches; not tokens, but counted and priced beside them.
    pub searches: u32,
}

/// What is put down about one step of an exchange. Numbers are the store's; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// What it is about.
    pub kind: Kind,
    /// How the exchange ended, where it did.
    pub outcome: Outcome,
    /// Who said what `tokens` says.
    pub usage_source: UsageSource,
    /// In which dialect was asked; the writer's numbering.
    pub dialect: u8,
    /// Which exchange: 96 bits that no other has.
    pub request: [u8; 12],
    /// Which try at a target, 0 for the first.
    pub attempt: u8,
    /// The status that the client was sent; 0 before and without one.
    pub status: u16,
    /// When this was put down.
    pub at: UnixMillis,
    /// Who pays.
    pub tenant: u32,
    /// Which key was shown.
    pub key: u32,
    /// The team of the key.
    pub team: u32,
    /// What was called.
    pub service: u32,
    /// The model that was asked for.
    pub model_asked: u32,
    /// The model that answered.
    pub model_served: u32,
    /// Who answered.
    pub provider: u32,
    /// By which prices it was charged.
    pub price_version: u32,
    /// Which refusal it was; the writer's numbering, 0 for none.
    pub refusal: u16,
    /// Microseconds from the request's first byte to the answer's.
    pub ttfb_us: u32,
    /// What it used.
    pub tokens: TokenCounts,
    /// What it cost.
    pub cost: NanoUsd,
    /// Microseconds from the request's first byte to the answer's last.
    pub total_us: u64,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
}

/// What one bucket is charged, in the epoch that admitted the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Posting {
    /// The bucket's number.
    pub bucket: u32,
    /// The end of the epoch in unix seconds; `u32::MAX` for one that never ends.
    pub ends_s: u32,
    /// In the bucket's own unit.
    pub amount: i64,
}
