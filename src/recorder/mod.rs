//! The bridge between the journal, which workers write, and the store, which people ask.
//!
//! ```text
//!   workers ──▶ journal ──import──▶ store ──▶ what buckets begin with, at a start or reload
//!                  ▲
//!               syncer: makes what was written last, and room for more
//! ```
//!
//! Two threads of its own: one imports, one syncs. Neither is waited for by a worker, unless
//! the operator wants answers to wait for the disk. What a record means for the store is
//! `import`'s to say, what becomes of earlier runs `runs`'s, what names are called `numbers`'s.

mod import;
mod numbers;
mod others;
mod runs;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tollring_config::{Durability, Snapshot};
use tollring_engine::journal::{Journal, JournalFault, Lacking, Posting, Settings};
use tollring_engine::{EpochEnd, Opening, workers_of};
use tollring_store::{FILE_NAME, Store, StoreFault};

use import::Import;
use others::Other;

/// How long the importer rests when there was nothing to import.
const REST: Duration = Duration::from_millis(50);
/// How long it rests after a fault, which is seldom gone sooner.
const REST_AFTER_FAULT: Duration = Duration::from_secs(1);
/// How often what was imported is made to last, so that the journal can let go of it.
const DURABLE_EVERY: Duration = Duration::from_secs(1);

const DAY_S: i64 = 24 * 60 * 60;
/// How often what is too old is looked for.
const FORGET_EVERY: Duration = Duration::from_secs(10);

/// Why nothing can be written down.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Journal(#[from] JournalFault),
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error("cannot {doing} {}: {cause}; see that it exists and that this user may write there",
            folder.display())]
    Folder {
        doing: &'static str,
        folder: PathBuf,
        cause: io::Error,
    },
}

impl Fault {
    fn folder(doing: &'static str, folder: &Path, cause: io::Error) -> Self {
        let folder = folder.to_owned();
        Self::Folder {
            doing,
            folder,
            cause,
        }
    }
}

/// Who is told what happens here.
pub(crate) trait Listening: Send + Sync + 'static {
    /// The journal was synced.
    fn synced(&self);
    /// Another process has spent this.
    fn spent_elsewhere(&self, postings: &[Posting]);
}

/// Whoever has these imports.
struct Books {
    store: Store,
    import: Import,
    others: Vec<Other>,
}

/// Where this process writes down what was spent.
pub(crate) struct Recorder {
    path: PathBuf,
    run: u32,
    journal: Journal,
    books: Mutex<Books>,
    durability: Durability,
    sync_interval: Duration,
    keep_rows_s: i64,
    ends: AtomicBool,
}

impl Recorder {
    /// Opens the store that a snapshot names, settles what earlier runs left behind, and begins
    /// a journal; `None` where nothing is to be written down.
    pub(crate) fn open(snapshot: &Snapshot) -> Result<Option<Self>, Fault> {
        let Some(settings) = &snapshot.store else {
            return Ok(None);
        };
        let began = Instant::now();
        let path = &settings.path;
        fs::create_dir_all(path).map_err(|fault| Fault::folder("make", path, fault))?;
        let mut store = Store::open(&path.join(FILE_NAME))?;
        let (found, going_on) = runs::settle_ended(path, &mut store)?;
        let layout = Settings {
            segment_bytes: u32::try_from(settings.segment_bytes).unwrap_or(u32::MAX),
            bytes_max: settings.journal_bytes_max,
            lanes: workers_of(snapshot),
        };
        let (run, journal) = runs::begin(path, &store, layout)?;
        let books = Books {
            others: going_on.into_iter().map(Other::new).collect(),
            import: Import::new(run, journal.reader(&[]), &[]),
            store,
        };
        tracing::info!(
            path = %path.display(),
            run,
            runs_recovered = found.runs,
            records_imported = found.records,
            holds_settled = found.holds,
            tails_cut = found.torn,
            other_runs = books.others.len(),
            took_ms = began.elapsed().as_millis(),
            "the store is open"
        );
        Ok(Some(Self {
            path: path.clone(),
            run,
            journal,
            books: Mutex::new(books),
            durability: settings.durability,
            sync_interval: settings.sync_interval,
            keep_rows_s: i64::try_from(settings.keep_rows_days).unwrap_or(i64::MAX) * DAY_S,
            ends: AtomicBool::new(false),
        }))
    }

    /// The journal that workers write.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Gives a snapshot's names their numbers, and says what its buckets begin with.
    pub(crate) fn prepare(&self, snapshot: &mut Snapshot) -> Result<Opening, Fault> {
        let mut books = self.books();
        let Books {
            store,
            import,
            others,
        } = &mut *books;
        // Only what is synced is imported. If it fails, the syncer says so.
        let _ = self.journal.sync();
        import.catch_up(store)?;
        let now_s = unix_seconds();
        snapshot.numbers = numbers::number(store, snapshot, now_s)?;
        let standing = store.standing(u32::try_from(now_s).unwrap_or(u32::MAX))?;
        let mut posted = HashMap::new();
        for at in standing.postings {
            posted.insert((at.bucket, EpochEnd(at.ends_s)), at.amount);
        }
        for other in others.iter_mut().filter(|other| !other.is_followed()) {
            for at in other.follow(&self.path, &standing.checkpoints)? {
                *posted.entry((at.bucket, EpochEnd(at.ends_s))).or_insert(0) += at.amount;
            }
        }
        Ok(Opening {
            numbers: snapshot.numbers.buckets.clone(),
            posted,
        })
    }

    /// Starts the threads, which end with [`Running::finish`].
    pub(crate) fn start(self: &Arc<Self>, ledger: impl Listening) -> io::Result<Running> {
        let (importer, syncer) = (Arc::clone(self), Arc::clone(self));
        let ledger = Arc::new(ledger);
        let told = Arc::clone(&ledger);
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let threads = vec![
            named("recorder").spawn(move || importer.import_until_the_end(&*ledger))?,
            named("syncer").spawn(move || syncer.sync_until_the_end(&*told))?,
        ];
        Ok(Running {
            recorder: Arc::clone(self),
            threads,
        })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_ended(&self) -> bool {
        self.ends.load(Ordering::Acquire)
    }

    /// Imports one batch; says whether there was one.
    fn step(&self) -> Result<bool, Fault> {
        let mut books = self.books();
        let Books { store, import, .. } = &mut *books;
        Ok(import.step(store)? > 0)
    }

    /// Lets go of what the store has for good.
    fn release(&self) -> Result<(), Fault> {
        if self.durability == Durability::Async {
            // Nobody else does, and only what is synced is imported.
            self.journal.sync()?;
        }
        let mut books = self.books();
        let Books { store, import, .. } = &mut *books;
        let durable = store.make_durable()?;
        for (lane, sequence) in import.released(&durable) {
            self.journal.release(lane, sequence);
        }
        Ok(())
    }

    /// Imports what is left and takes the journal away.
    fn close(&self, succeeded: bool) -> Result<(), Fault> {
        let mut books = self.books();
        let Books { store, import, .. } = &mut *books;
        // What is not synced would not be imported, and be gone with its folder.
        self.journal.sync()?;
        import.catch_up(store)?;
        store.make_durable()?;
        if succeeded || import.has_open_holds() {
            // Whoever comes next settles it: it follows us, or charges what was cut off.
            return Ok(());
        }
        runs::end(&self.path, self.run)?;
        store.forget_run(self.run)?;
        Ok(())
    }

    fn import_until_the_end(&self, ledger: &impl Listening) {
        let (mut due, mut told) = (Due::new(), None);
        while !self.has_ended() {
            let rest = match self.turn(ledger, &mut due) {
                Ok(imported) => {
                    if told.take().is_some() {
                        tracing::info!("the store takes what was spent again");
                    }
                    if imported { Duration::ZERO } else { REST }
                }
                Err(fault) => {
                    let said = fault.to_string();
                    if told.as_ref() != Some(&said) {
                        tracing::error!(fault = said, "what was spent waits in the journal");
                    }
                    told = Some(said);
                    REST_AFTER_FAULT
                }
            };
            thread::sleep(rest);
        }
    }

    /// Imports one batch, and looks after what is due; says whether there was one.
    fn turn(&self, ledger: &impl Listening, due: &mut Due) -> Result<bool, Fault> {
        let imported = self.step()?;
        self.follow(ledger);
        let now = Instant::now();
        if now >= due.durable {
            self.release()?;
            self.settle_others()?;
            due.durable = now + DURABLE_EVERY;
        }
        if now >= due.forget && !self.forget()? {
            due.forget = now + FORGET_EVERY;
        }
        Ok(imported)
    }

    /// Forgets some of what is too old; says whether there is more.
    fn forget(&self) -> Result<bool, Fault> {
        let now_s = unix_seconds();
        let store = &mut self.books().store;
        let rows = store.forget_rows(now_s.saturating_sub(self.keep_rows_s))?;
        let sums = store.forget_brief_postings(now_s)?;
        Ok(rows.more || sums.more)
    }

    /// Counts what other processes spend.
    fn follow(&self, ledger: &impl Listening) {
        let mut books = self.books();
        for other in &mut books.others {
            match other.spent() {
                Ok(spent) if spent.is_empty() => {}
                Ok(spent) => ledger.spent_elsewhere(&spent),
                Err(fault) => {
                    let run = other.run();
                    tracing::error!(
                        %fault, run,
                        "what another process spends from now on counts at the next start"
                    );
                    other.lose_sight();
                }
            }
        }
    }

    /// Settles the journals of other processes that have ended.
    fn settle_others(&self) -> Result<(), Fault> {
        let mut books = self.books();
        let Books { store, others, .. } = &mut *books;
        let mut going_on = Vec::new();
        for other in others.drain(..) {
            match other.settle(&self.path, store)? {
                Some(found) => {
                    let (run, holds) = (other.run(), found.holds);
                    tracing::info!(run, holds, "the process before this one has ended");
                }
                None => going_on.push(other),
            }
        }
        *others = going_on;
        Ok(())
    }

    fn sync_until_the_end(&self, ledger: &impl Listening) {
        let mut told = Told::default();
        while !self.has_ended() {
            thread::sleep(self.sync_interval);
            if self.durability != Durability::Async {
                told.sync(self.journal.sync());
            }
            if self.durability == Durability::Sync {
                ledger.synced();
            }
            told.tend(self.journal.tend().map(|tended| tended.lacking));
        }
    }
}

/// What the operator has been told of the journal, so that it is told once.
#[derive(Default)]
struct Told {
    failed: bool,
    lacking: Option<Lacking>,
    untended: bool,
}

impl Told {
    fn sync(&mut self, synced: Result<(), JournalFault>) {
        if let Err(fault) = synced
            && !self.failed
        {
            tracing::error!(%fault, "the journal has failed");
            self.failed = true;
        }
    }

    fn tend(&mut self, tended: Result<Option<Lacking>, JournalFault>) {
        match tended {
            Ok(lacking) if lacking != self.lacking => {
                match lacking {
                    Some(Lacking::DiskFull) => tracing::error!(
                        "the disk has no room for the journal; store.fail_mode decides what \
                         becomes of requests; free some"
                    ),
                    Some(Lacking::BytesMax) => tracing::error!(
                        "the journal is as large as store.journal_max allows: the store does \
                         not keep up, or cannot be written"
                    ),
                    None => tracing::info!("the journal has room again"),
                }
                self.lacking = lacking;
            }
            Err(fault) if !self.untended => {
                tracing::error!(%fault, "no room can be made ready for the journal");
                self.untended = true;
            }
            Ok(_) => self.untended = false,
            Err(_) => {}
        }
    }
}

/// When what is done now and then is due.
struct Due {
    durable: Instant,
    forget: Instant,
}

impl Due {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            durable: now + DURABLE_EVERY,
            forget: now,
        }
    }
}

/// The recorder at work.
pub(crate) struct Running {
    recorder: Arc<Recorder>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Imports the rest, once no worker writes any more, and takes the journal away: nothing of
    /// it is needed then, unless another process has taken over and follows it.
    pub(crate) fn finish(self, succeeded: bool) {
        let recorder = self.recorder;
        recorder.ends.store(true, Ordering::Release);
        for thread in self.threads {
            // One that panicked has said so already.
            let _ = thread.join();
        }
        if let Err(fault) = recorder.close(succeeded) {
            tracing::error!(%fault, "what was spent last is imported at the next start");
        }
    }
}

fn unix_seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}
