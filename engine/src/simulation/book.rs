//! The truth, held outside the gateway: what clients asked and were told, what
//! providers were asked and said.

use std::cell::RefCell;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A completion that comes as one.
    Unary,
    /// A completion that comes as events; whether its caller asked for the usage.
    Stream { usage: bool },
    /// A call of a service that is charged by the request, or by the byte.
    Rest {
        by_bytes: bool,
        head: bool,
        idempotent: bool,
    },
    /// What the gateway answers itself.
    Own,
    /// What no server may take: it must never reach a provider.
    Malformed,
    /// A call without a key, which must not either.
    Keyless,
}

impl Kind {
    /// Whether it is charged by tokens.
    pub(super) const fn is_completion(self) -> bool {
        matches!(self, Self::Unary | Self::Stream { .. })
    }

    /// Whether doing it twice is the same as doing it once.
    pub(super) const fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::Rest {
                idempotent: true,
                ..
            }
        )
    }

    /// Whether its answer has no body.
    pub(super) const fn is_head(self) -> bool {
        matches!(self, Self::Rest { head: true, .. })
    }

    /// Whether a provider may see it.
    pub(super) const fn may_pass(self) -> bool {
        !matches!(self, Self::Own | Self::Malformed | Self::Keyless)
    }
}

/// A request as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) kind: Kind,
    /// All of it, head and framed body.
    pub(super) bytes: Vec<u8>,
    /// The body within.
    pub(super) body: Vec<u8>,
}

impl Ask {
    /// Whether its answer has no body.
    pub(super) fn is_head(&self) -> bool {
        self.bytes.starts_with(b"HEAD ")
    }
}

/// One time that a provider was asked.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    /// Who was asked.
    pub(super) place: &'static str,
    /// Whether all of the request came.
    pub(super) whole: bool,
    /// What it answered, once it had made up its mind.
    pub(super) status: Option<u16>,
    /// Whether the answer says that it did not begin.
    pub(super) declined: bool,
    /// The body that its client should see.
    pub(super) body: Vec<u8>,
    /// The body with what is taken out of it on the way.
    pub(super) uncut: Vec<u8>,
    /// Tokens in and out, as it said.
    pub(super) stated: Option<(u64, u64)>,
    /// Whether its body ends with the connection, so that nobody can tell a close from a break.
    pub(super) by_close: bool,
    /// Whether its answer was meant to be whole and well-formed.
    pub(super) good: bool,
    /// Whether it meant to say all of it within every deadline.
    pub(super) prompt: bool,
}

/// What becomes of one request.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) ask: Ask,
    pub(super) visits: Vec<Visit>,
    /// When its last byte was handed to the network, in microseconds.
    pub(super) sent_us: Option<u64>,
}

/// How a client's connection came to its end, as the client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// The gateway closed.
    Closed,
    /// It was reset.
    Reset,
    /// The client left, with or without a word.
    Left,
    /// The client waited in vain.
    Forsaken,
}

/// One client's connection.
#[derive(Clone, Debug)]
pub(super) struct Transcript {
    /// The numbers of what was asked, in order.
    pub(super) asked: Vec<usize>,
    /// All that was heard.
    pub(super) heard: Vec<u8>,
    pub(super) parting: Parting,
    /// Whether the client did nothing strange.
    pub(super) mannerly: bool,
    /// Whether it stopped sending before its answers came.
    pub(super) half_closed: bool,
    /// How long the client rested before each request.
    pub(super) rested_us: Vec<u64>,
    /// When each answer was whole.
    pub(super) answered_us: Vec<u64>,
    pub(super) ended_us: u64,
}

/// Everything that is known.
#[derive(Default)]
pub(super) struct Book {
    pub(super) entries: RefCell<Vec<Entry>>,
    pub(super) transcripts: RefCell<Vec<Transcript>>,
    faults: RefCell<Vec<String>>,
}

impl Book {
    /// Notes what must not be.
    pub(super) fn fault(&self, what: String) {
        self.faults.borrow_mut().push(what);
    }

    /// What was noted.
    pub(super) fn faults(&self) -> Vec<String> {
        self.faults.borrow().clone()
    }

    /// A provider is asked; the number of the visit.
    pub(super) fn visited(&self, number: usize, visit: Visit) -> usize {
        let mut entries = self.entries.borrow_mut();
        let visits = &mut entries[number].visits;
        visits.push(visit);
        visits.len() - 1
    }

    /// More is known of a visit.
    pub(super) fn revise(&self, number: usize, visit: usize, change: impl FnOnce(&mut Visit)) {
        change(&mut self.entries.borrow_mut()[number].visits[visit]);
    }
}
