//! A worker's pen: records of its exchanges go into its lane of the journal.
//!
//! Writing is a copy into memory that is a file. Whether there is room for what is begun is
//! asked before it is begun, so that nothing has to be said that cannot be written down. What
//! stands in a record is `exchange/account.rs`'s to say; when it lasts, the journal's.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use tollring_ledger::journal::{NoRoom, Posting, Record, Room, Sequence, Writer};
use tollring_ledger::{Amounts, Hold, PATH_MAX};

/// A worker's side of the journal.
pub(crate) struct Books {
    writer: RefCell<Writer>,
    postings: RefCell<[Posting; PATH_MAX]>,
    /// Answers that wait until what they cost will last.
    waiting: RefCell<Vec<Waker>>,
}

impl Books {
    pub(crate) fn new(writer: Writer) -> Self {
        Self {
            writer: RefCell::new(writer),
            postings: RefCell::new([Posting::default(); PATH_MAX]),
            waiting: RefCell::default(),
        }
    }

    /// Writes down a hold and keeps room for its outcome.
    pub(crate) fn admit(
        &self,
        record: &Record,
        (hold, amounts): (&Hold<'_>, Amounts),
    ) -> Result<Room, NoRoom> {
        let mut postings = self.postings.borrow_mut();
        // Of every bucket, so that the outcome finds room whatever it charges.
        let postings = hold.reservations(amounts, &mut postings).iter().copied();
        let (_, room) = self.writer.borrow_mut().admit(record, postings)?;
        Ok(room)
    }

    /// Writes down the outcome of a hold, with what it posts if it costs anything.
    pub(crate) fn settle(
        &self,
        room: Room,
        record: &Record,
        cost: Option<(&Hold<'_>, Amounts)>,
    ) -> Sequence {
        let mut postings = self.postings.borrow_mut();
        let postings = posted(cost, &mut postings).iter().copied();
        self.writer.borrow_mut().settle(room, record, postings)
    }

    /// Writes down what no room was kept for.
    pub(crate) fn append(
        &self,
        record: &Record,
        cost: Option<(&Hold<'_>, Amounts)>,
    ) -> Result<Sequence, NoRoom> {
        let mut postings = self.postings.borrow_mut();
        let postings = posted(cost, &mut postings).iter().copied();
        self.writer.borrow_mut().append(record, postings)
    }

    /// Waits until a record would survive a power cut, or never will.
    pub(crate) async fn lasts(&self, sequence: Sequence) {
        poll_fn(|context| {
            if self.writer.borrow().synced() > sequence {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The journal has been synced, or will not be any more.
    pub(crate) fn wake(&self) {
        for waker in self.waiting.borrow_mut().drain(..) {
            waker.wake();
        }
    }
}

fn posted<'p>(
    cost: Option<(&Hold<'_>, Amounts)>,
    into: &'p mut [Posting; PATH_MAX],
) -> &'p [Posting] {
    match cost {
        Some((hold, amounts)) => hold.postings(amounts, into),
        None => &[],
    }
}
