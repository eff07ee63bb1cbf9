//! Readers beside writers that go on writing, in this process and in another.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tollring_ledger::journal::{
    Batch, Entry, Journal, JournalFault, Kind, NoRoom, Reader, Sequence, Settings,
};

use crate::support::{Folder, SMALL, postings, read, record};

const RECORDS: u64 = 20_000;
/// Where the other process finds its folder; it is this program, told to be the other one.
const FOLDER: &str = "TOLLRING_TEST_JOURNAL";

/// Checks that entries are those that [`write`] wrote, and no other.
struct Expected {
    next: [u64; 2],
    sequences: [Sequence; 2],
}

impl Expected {
    fn new() -> Self {
        Self {
            next: [0; 2],
            sequences: [Sequence(1); 2],
        }
    }

    #[track_caller]
    fn see(&mut self, entry: Entry<'_>) {
        let lane = usize::from(entry.lane);
        let request = self.next[lane];
        let count = count_of(request);
        assert_eq!(entry.sequence, self.sequences[lane], "lane {lane}");
        assert_eq!(*entry.record, record(Kind::Post, request), "lane {lane}");
        assert!(entry.postings.iter().copied().eq(postings(count)));
        self.next[lane] += 1;
        // One record, and another for each fourteen postings beyond the first seven.
        let records = 1 + u64::from(count.saturating_sub(7).div_ceil(14));
        self.sequences[lane] = Sequence(entry.sequence.0 + records);
    }

    fn is_over(&self) -> bool {
        self.next.iter().all(|next| *next == RECORDS)
    }
}

fn count_of(request: u64) -> u32 {
    u32::try_from(request % 36).unwrap()
}

/// Writes all records of a lane, waiting for room where there is none.
fn write(journal: &Journal, lane: u16) {
    let mut writer = journal.writer(lane);
    for request in 0..RECORDS {
        let post = record(Kind::Post, request);
        while writer.append(&post, postings(count_of(request))) == Err(NoRoom::Full) {
            thread::yield_now();
        }
    }
}

#[test]
fn a_reader_beside_two_writers_sees_every_record_once_and_in_order() {
    let folder = Folder::new();
    let settings = Settings {
        segment_bytes: 64 * 1024,
        ..SMALL
    };
    let (journal, _) = folder.open(settings);
    let is_read = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| write(&journal, 0));
        scope.spawn(|| write(&journal, 1));
        scope.spawn(|| {
            while !is_read.load(Ordering::Relaxed) {
                journal.sync().unwrap();
                journal.tend().unwrap();
            }
        });
        let (mut reader, mut batch) = (journal.reader(&[]), Batch::default());
        let mut expected = Expected::new();
        while !expected.is_over() {
            reader.next_batch(&mut batch, 1000).unwrap();
            batch.iter().for_each(|entry| expected.see(entry));
            for (lane, sequence) in reader.checkpoints() {
                journal.release(lane, sequence);
            }
        }
        is_read.store(true, Ordering::Relaxed);
    });
    let bytes = folder.segments().len() as u64 * 64 * 1024;
    assert!(bytes <= settings.bytes_max, "{bytes} bytes on the disk");
}

/// The other process; without its folder it is nobody.
#[test]
fn the_other_process() {
    let Ok(folder) = env::var(FOLDER) else {
        return;
    };
    let settings = Settings {
        segment_bytes: 512 * 1024,
        bytes_max: 1 << 30,
        ..SMALL
    };
    let (journal, _) = Journal::open(folder.as_ref(), settings, &[]).unwrap();
    eprintln!("open");
    thread::scope(|scope| {
        let writers = [0, 1].map(|lane| {
            let journal = &journal;
            scope.spawn(move || write(journal, lane))
        });
        while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
            journal.tend().unwrap();
        }
    });
    // Until it is killed.
    eprintln!("written");
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn another_process_is_followed_while_it_writes_and_what_it_wrote_outlives_its_kill() {
    let folder = Folder::new();
    let mut other = Command::new(env::current_exe().unwrap())
        .args(["the_other_process", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(other.stderr.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "open");
    let second = Journal::open(folder.path(), SMALL, &[]);
    assert!(matches!(second, Err(JournalFault::InUse { .. })));

    let (mut reader, mut batch) = (Reader::follow(folder.path(), &[]), Batch::default());
    let mut expected = Expected::new();
    while !expected.is_over() {
        reader.next_batch(&mut batch, 1000).unwrap();
        batch.iter().for_each(|entry| expected.see(entry));
    }
    assert_eq!(said.next().unwrap().unwrap(), "written");
    other.kill().unwrap();
    other.wait().unwrap();

    let (journal, recovered) = folder.open(SMALL);
    assert_eq!(recovered.records, 2 * RECORDS);
    assert!(recovered.torn.is_empty());
    assert_eq!(read(&mut journal.reader(&[])).len() as u64, 2 * RECORDS);
}

#[test]
fn a_reader_that_comes_too_late_is_told_what_it_missed() {
    let folder = Folder::new();
    let (journal, _) = folder.open(SMALL);
    let mut writer = journal.writer(0);
    let mut late = journal.reader(&[]);
    let mut follower = Reader::follow(folder.path(), &[]);
    for request in 0..100 {
        writer
            .append(&record(Kind::Post, request), postings(1))
            .unwrap();
        if request == 3 {
            journal.sync().unwrap();
            assert_eq!((read(&mut late).len(), read(&mut follower).len()), (4, 4));
        }
        journal.release(0, writer.next());
        journal.tend().unwrap();
    }
    journal.sync().unwrap();
    let missed = |mut reader: Reader| {
        let missed = reader.next_batch(&mut Batch::default(), 10).unwrap_err();
        match missed {
            JournalFault::Missing {
                lane: 0,
                from: 5,
                to,
            } => [(0, Sequence(to))],
            other => panic!("{other}"),
        }
    };
    // Both go on where they are told to; the files of what was released are there for longer.
    let all = read(&mut journal.reader(&missed(late)));
    assert_eq!(all.last().map(|entry| entry.1), Some(100));
    let all = read(&mut Reader::follow(folder.path(), &missed(follower)));
    assert_eq!(all.last().map(|entry| entry.1), Some(100));
}
