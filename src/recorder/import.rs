//! What records of a journal come to in the store: a row for each end, and what it posted.
//!
//! Knows both vocabularies and turns one into the other. How far a journal was imported is
//! kept in the store, in the same transaction as what was imported, so that nothing is
//! imported twice or left out, whenever this ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tollring_engine::journal::{self, Entry, Kind, OpenHold, Outcome, Record, Sequence};
use tollring_store::{self as store, Checkpoint, Place, Span, Store, TokenCounts, UsageRow};

use super::Fault;

/// Records that one transaction imports: many requests then share one write of a sum.
const BATCH_RECORDS: usize = 32_768;

/// The lane under which is kept whether a run's open holds were settled; no worker has it.
const SETTLED: u16 = u16::MAX;

/// The import of one run's journal.
pub(super) struct Import {
    run: u32,
    reader: journal::Reader,
    read: journal::Batch,
    made: store::Batch,
    /// Where the next record of each lane is.
    upto: BTreeMap<u16, Sequence>,
    holds: Holds,
}

/// Holds that were imported and have no outcome yet; their segments are still needed.
#[derive(Default)]
struct Holds {
    by_request: HashMap<[u8; 12], (u16, Sequence)>,
    by_place: BTreeSet<(u16, Sequence)>,
}

impl Import {
    /// Goes on where the store stands with the journal of this run.
    pub(super) fn new(run: u32, reader: journal::Reader, stands: &[(u16, Sequence)]) -> Self {
        Self {
            run,
            reader,
            read: journal::Batch::default(),
            made: store::Batch::default(),
            upto: stands.iter().copied().collect(),
            holds: Holds::default(),
        }
    }

    /// Imports one batch, and says how many records it had.
    pub(super) fn step(&mut self, store: &mut Store) -> Result<usize, Fault> {
        // What the store did not take is not read a second time: it waits here.
        if self.made.spans.is_empty() {
            let read = self.reader.next_batch(&mut self.read, BATCH_RECORDS);
            if self.read.is_empty() {
                read?;
                return Ok(0);
            }
            // Where reading failed further on, it fails again when what came before is imported.
            self.make();
        }
        store.import(&self.made)?;
        for span in &self.made.spans {
            self.upto.insert(span.lane, Sequence(span.upto));
        }
        self.made.clear();
        Ok(self.read.len())
    }

    /// Makes of what was read what the store takes.
    fn make(&mut self) {
        for entry in self.read.iter() {
            self.holds.see(&entry);
            add(&mut self.made, &entry);
        }
        for (lane, next) in self.reader.checkpoints() {
            let stands = self.upto.get(&lane).map_or(0, |sequence| sequence.0);
            if next.0 > stands {
                self.made.spans.push(Span {
                    run: self.run,
                    lane,
                    after: stands,
                    upto: next.0,
                });
            }
        }
    }

    /// Imports all that is there.
    pub(super) fn catch_up(&mut self, store: &mut Store) -> Result<u64, Fault> {
        let mut imported = 0;
        loop {
            match self.step(store)? {
                0 => return Ok(imported),
                more => imported += more as u64,
            }
        }
    }

    /// Whether anything was begun of which no end was written down.
    pub(super) fn has_open_holds(&self) -> bool {
        !self.holds.by_place.is_empty()
    }

    /// Up to where each lane is needed no more, if the store has kept `durable` for good: a hold
    /// without an outcome is looked for in the journal after a crash.
    pub(super) fn released(&self, durable: &[Checkpoint]) -> Vec<(u16, Sequence)> {
        let own = durable.iter().filter(|at| at.run == self.run);
        let released = own.map(|at| {
            let oldest = self.holds.oldest(at.lane);
            let kept = Sequence(at.sequence);
            (at.lane, oldest.map_or(kept, |oldest| oldest.min(kept)))
        });
        released.collect()
    }
}

/// Charges the holds that a killed run left open, as their records say, once.
pub(super) fn settle_crashed(store: &mut Store, run: u32, holds: &[OpenHold]) -> Result<(), Fault> {
    let mut made = store::Batch::default();
    for hold in holds {
        let record = Record {
            kind: Kind::Post,
            outcome: Outcome::Crashed,
            ..hold.record
        };
        add(
            &mut made,
            &Entry {
                lane: hold.lane,
                sequence: hold.sequence,
                record: &record,
                postings: &hold.postings,
            },
        );
    }
    made.spans.push(Span {
        run,
        lane: SETTLED,
        after: 0,
        upto: 1,
    });
    store.import(&made)?;
    Ok(())
}

impl Holds {
    fn see(&mut self, entry: &Entry<'_>) {
        let request = entry.record.request;
        match entry.record.kind {
            Kind::Hold => {
                let place = (entry.lane, entry.sequence);
                self.by_request.insert(request, place);
                self.by_place.insert(place);
            }
            Kind::Post | Kind::Void => {
                if let Some(place) = self.by_request.remove(&request) {
                    self.by_place.remove(&place);
                }
            }
            Kind::Extend | Kind::Attempt => {}
        }
    }

    fn oldest(&self, lane: u16) -> Option<Sequence> {
        let from = (lane, Sequence(0));
        let (at, oldest) = self.by_place.range(from..).next()?;
        (*at == lane).then_some(*oldest)
    }
}

/// Adds what an end comes to; what comes before an end is nobody's usage yet.
fn add(batch: &mut store::Batch, entry: &Entry<'_>) {
    let record = entry.record;
    if !matches!(record.kind, Kind::Post | Kind::Void) {
        return;
    }
    batch.rows.push(row(entry));
    if record.kind == Kind::Post {
        let postings = entry.postings.iter().map(|posting| store::Posting {
            ends_s: posting.ends_s,
            bucket: posting.bucket,
            amount: posting.amount,
        });
        batch.postings.extend(postings);
    }
}

fn row(entry: &Entry<'_>) -> UsageRow {
    let record = entry.record;
    let tokens = &record.tokens;
    UsageRow {
        place: Place::new(record.at.0, entry.lane, entry.sequence.0),
        request: record.request,
        attempt: record.attempt,
        tenant: record.tenant,
        team: record.team,
        key: record.key,
        service: record.service,
        model_asked: record.model_asked,
        model_served: record.model_served,
        provider: record.provider,
        price_version: record.price_version,
        dialect: record.dialect,
        status: record.status,
        refusal: record.refusal,
        outcome: record.outcome as u8,
        usage_source: record.usage_source as u8,
        tokens: TokenCounts {
            input: tokens.input.into(),
            output: tokens.output.into(),
            cached_read: tokens.cached_read.into(),
            cache_write: tokens.cache_write.into(),
            reasoning: tokens.reasoning.into(),
            audio: tokens.audio.into(),
            image: tokens.image.into(),
            searches: tokens.searches.into(),
        },
        cost: record.cost,
        ttfb_us: record.ttfb_us,
        total_us: record.total_us,
        bytes_in: record.bytes_in,
        bytes_out: record.bytes_out,
    }
}
