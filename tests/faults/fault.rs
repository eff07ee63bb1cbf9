//! What the members of the sick pool do, and what of it a client may come to feel.
//!
//! This is the rule of `engine/src/upstream/retry.rs`, said again from outside and from what both
//! ends saw: a request that may not be repeated is read by at most one provider, whatever
//! happens; and it fails only where it may have been read, or where that cannot be known.

use super::talk::Told;

/// What a member of the pool does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// Nobody listens.
    Refuse,
    /// Resets the connection before it reads.
    ResetUnread,
    /// Reads the request and resets the connection.
    ResetRead,
    /// Resets the connection in the middle of its answer.
    ResetAnswering,
    /// Reads the request and says nothing.
    Stall,
    /// Sends the head of an answer and nothing more.
    StallAnswering,
    /// Answers a byte at a time.
    Drip,
    /// Answers with something that is not HTTP.
    Garbage,
    /// Closes kept connections just as the next request comes.
    CloseIdle,
}

/// What a request is, as far as repeating it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A completion, by POST to a model: costs money each time it is read.
    Completion,
    /// A GET to a service: may be repeated (RFC 9110 §9.2.2).
    Get,
}

/// How often the request of one id was read whole, and by whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// By members that are well.
    pub(crate) well: u8,
    /// By members with a fault.
    pub(crate) sick: u8,
}

impl Reads {
    /// By anyone.
    pub(crate) fn total(self) -> u8 {
        self.well.saturating_add(self.sick)
    }
}

impl Kind {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Completion, Self::Get];

    /// As the tables say it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Completion => "POST",
            Self::Get => "GET",
        }
    }
}

impl Fault {
    /// Each of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Refuse,
        Self::ResetUnread,
        Self::ResetRead,
        Self::ResetAnswering,
        Self::Stall,
        Self::StallAnswering,
        Self::Drip,
        Self::Garbage,
        Self::CloseIdle,
    ];

    /// Its name in the file and in the tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::ResetUnread => "reset-unread",
            Self::ResetRead => "reset-read",
            Self::ResetAnswering => "reset-answering",
            Self::Stall => "stall",
            Self::StallAnswering => "stall-answering",
            Self::Drip => "drip",
            Self::Garbage => "garbage",
            Self::CloseIdle => "close-idle",
        }
    }

    /// Whether the rules allow this end of a request, of which half went to a member with this
    /// fault first, and which another member could have answered.
    pub(crate) fn allows(self, kind: Kind, told: Told, reads: Reads) -> bool {
        let (once_by_well, once_by_sick) = (Reads { well: 1, sick: 0 }, Reads { well: 0, sick: 1 });
        let again_by_well = Reads { well: 1, sick: 1 };
        match (self, told) {
            // Answered at once, or by the other member after one that did not get to read it.
            (_, Told::WELL) if reads == once_by_well => true,
            // Slow, or about to leave, and yet it answers.
            (Self::Drip | Self::CloseIdle, Told::WELL) => reads == once_by_sick,
            // What may be repeated is, after a reset: a GET never fails of one. A reset in the
            // middle of an answer may overtake what there was of it.
            (Self::ResetRead | Self::ResetAnswering, Told::WELL) => {
                kind == Kind::Get && reads == again_by_well
            }
            (Self::ResetRead | Self::ResetAnswering, Told::Status(502)) => {
                kind == Kind::Completion && reads == once_by_sick
            }
            // A reset proves nothing of what was read, so here it fails although nobody read it.
            (Self::ResetUnread | Self::CloseIdle, Told::Status(502)) => {
                kind == Kind::Completion && reads.total() == 0
            }
            // Whoever has begun to answer, or may yet, is not replaced by another.
            (Self::ResetAnswering | Self::StallAnswering, Told::Cut) => reads == once_by_sick,
            (Self::Stall, Told::Status(504)) => reads == once_by_sick,
            (Self::Garbage, Told::Status(502)) => reads == once_by_sick,
            _ => false,
        }
    }
}
