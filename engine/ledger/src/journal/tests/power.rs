//! The journal against a plain list of what was written, through kills and power cuts.
//!
//! After either, what a reader gives is what was written: all of it after a kill, after a power
//! cut at least what was synced, never anything twice, out of order, or out of nowhere.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::disk::{Chance, Forgetful};
use super::{Folder, SMALL, postings, read, record};
use crate::journal::{Journal, Kind, Reader, Recovered, Room, Sequence, Settings, Writer};

const SETTINGS: Settings = Settings {
    bytes_max: 12 * 4096,
    ..SMALL
};
const LANES: usize = 2;

#[derive(Clone, Debug)]
enum Event {
    Admit {
        lane: usize,
        postings: u32,
    },
    Settle {
        lane: usize,
        which: usize,
    },
    Append {
        lane: usize,
        postings: u32,
    },
    Tend,
    Sync,
    /// The kernel writes what it likes.
    WriteBack,
    /// All lanes are read up to here, and what was read is released.
    Import,
    Kill,
    PowerCut,
    /// At that call to the disk; whatever asks for it.
    PowerCutAt(u32),
}

fn event() -> impl Strategy<Value = Event> {
    let lane = 0..LANES;
    let few = prop_oneof![4 => 0..8_u32, 1 => 8..36_u32];
    let admit = |(lane, postings)| Event::Admit { lane, postings };
    prop_oneof![
        6 => (lane.clone(), few.clone()).prop_map(admit),
        5 => (lane.clone(), 0..8_usize).prop_map(|(lane, which)| Event::Settle { lane, which }),
        6 => (lane, few).prop_map(|(lane, postings)| Event::Append { lane, postings }),
        4 => Just(Event::Tend),
        3 => Just(Event::Sync),
        2 => Just(Event::WriteBack),
        2 => Just(Event::Import),
        1 => Just(Event::Kill),
        1 => Just(Event::PowerCut),
        1 => (0..8_u32).prop_map(Event::PowerCutAt),
    ]
}

/// A record as the list has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written {
    sequence: Sequence,
    request: u64,
    kind: Kind,
}

#[derive(Debug, Default)]
struct Lane {
    written: Vec<Written>,
    /// How much of that was synced.
    synced: usize,
    rooms: Vec<(u64, u32, Room)>,
}

struct World {
    folder: Folder,
    disk: Forgetful,
    chance: Chance,
    /// None only while a start is under way.
    running: Option<(Journal, Vec<Writer>, Reader)>,
    lanes: Vec<Lane>,
    /// What the store has, for good: requests in order, and where to go on.
    imported: Vec<(u16, Vec<u64>)>,
    checkpoints: Vec<(u16, Sequence)>,
    requests: u64,
    /// Where the power fails, if it does so by itself.
    trap: Option<Folder>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            folder: Folder::new(),
            disk: Forgetful::default(),
            chance: Chance::new(seed),
            running: None,
            lanes: (0..LANES).map(|_| Lane::default()).collect(),
            imported: (0..LANES as u16).map(|lane| (lane, vec![])).collect(),
            checkpoints: vec![],
            requests: 0,
            trap: None,
        };
        world.start();
        world
    }

    fn start(&mut self) -> Recovered {
        let disk = Box::new(self.disk.clone());
        let opened = Journal::open_on(disk, self.folder.path(), SETTINGS, &self.checkpoints);
        let (journal, recovered) = opened.unwrap_or_else(|fault| panic!("{fault}"));
        let writers = (0..LANES as u16).map(|lane| journal.writer(lane)).collect();
        let reader = journal.reader(&self.checkpoints);
        self.running = Some((journal, writers, reader));
        recovered
    }

    fn play(&mut self, event: &Event) {
        let (journal, writers, _) = self.running.as_mut().expect("it runs");
        match *event {
            Event::Admit {
                lane,
                postings: count,
            } => {
                self.requests += 1;
                let hold = record(Kind::Hold, self.requests);
                if let Ok((sequence, room)) = writers[lane].admit(&hold, postings(count)) {
                    let lane = &mut self.lanes[lane];
                    lane.note(sequence, self.requests, Kind::Hold);
                    lane.rooms.push((self.requests, count, room));
                }
            }
            Event::Settle { lane, which } => {
                let (writer, lane) = (&mut writers[lane], &mut self.lanes[lane]);
                if !lane.rooms.is_empty() {
                    let (request, count, room) = lane.rooms.remove(which % lane.rooms.len());
                    let post = record(Kind::Post, request);
                    let sequence = writer.settle(room, &post, postings(count));
                    lane.note(sequence, request, Kind::Post);
                }
            }
            Event::Append {
                lane,
                postings: count,
            } => {
                self.requests += 1;
                let void = record(Kind::Void, self.requests);
                if let Ok(sequence) = writers[lane].append(&void, postings(count)) {
                    self.lanes[lane].note(sequence, self.requests, Kind::Void);
                }
            }
            Event::Tend => drop(journal.tend().expect("the disk is well")),
            Event::Sync => {
                journal.sync().expect("the disk is well");
                if self.trap.is_some() && self.disk.was_cut() {
                    // Not before the power failed.
                    return;
                }
                for (lane, number) in self.lanes.iter_mut().zip(0..) {
                    lane.synced = lane.written.len();
                    let after = lane
                        .written
                        .last()
                        .map_or(Sequence(0), |last| last.sequence);
                    assert!(lane.written.is_empty() || journal.synced(number) > after);
                }
            }
            Event::WriteBack => self.disk.write_back(self.folder.path(), &mut self.chance),
            Event::Import => self.import(),
            Event::Kill => self.kill(),
            Event::PowerCut => self.power_cut(),
            Event::PowerCutAt(call) => {
                let trap = Folder::new();
                let from = self.folder.path();
                self.disk
                    .cut_power_at(call, from, trap.path(), &self.chance);
                self.trap = Some(trap);
            }
        }
    }

    fn import(&mut self) {
        let (journal, _, reader) = self.running.as_mut().expect("it runs");
        for (lane, _, request) in read(reader).expect("nothing is damaged") {
            self.imported[usize::from(lane)].1.push(request);
        }
        self.checkpoints = reader.checkpoints().collect();
        for &(lane, sequence) in &self.checkpoints {
            journal.release(lane, sequence);
        }
        for (lane, (_, imported)) in self.lanes.iter().zip(&self.imported) {
            let synced = lane.written[..lane.synced].iter().map(|w| w.request);
            let synced: Vec<u64> = synced.collect();
            assert_eq!(
                *imported, synced,
                "what was imported is not what was synced"
            );
        }
    }

    fn kill(&mut self) {
        self.running = None;
        self.trap = None;
        self.disk.cut_power_never();
        let recovered = self.start();
        self.disk.settle(self.folder.path());
        self.check(&recovered, true);
    }

    fn power_cut(&mut self) {
        let after = Folder::new();
        self.disk
            .cut_power(self.folder.path(), after.path(), &mut self.chance);
        self.continue_in(after);
    }

    /// After a power cut, in what it left.
    fn continue_in(&mut self, after: Folder) {
        self.running = None;
        self.trap = None;
        self.folder = after;
        self.disk.settle(self.folder.path());
        // A start is interrupted too, sometimes.
        let again = Folder::new();
        let call = self.chance.below(12) as u32;
        self.disk
            .cut_power_at(call, self.folder.path(), again.path(), &self.chance);
        let mut recovered = self.start();
        if self.disk.was_cut() {
            self.running = None;
            self.folder = again;
            self.disk.settle(self.folder.path());
            recovered = self.start();
        } else {
            self.disk.cut_power_never();
        }
        self.check(&recovered, false);
    }

    /// What the start found is what was written, and the list is cut to that.
    fn check(&mut self, recovered: &Recovered, is_all_there: bool) {
        let (journal, _, _) = self.running.as_ref().expect("it runs");
        let mut reader = journal.reader(&self.checkpoints);
        let imported = self.imported.iter();
        let mut left: Vec<Vec<u64>> = imported.map(|(_, all)| all.clone()).collect();
        for (lane, sequence, request) in read(&mut reader).expect("nothing is damaged") {
            let written = &self.lanes[usize::from(lane)].written;
            let place = left[usize::from(lane)].len();
            let there = written.get(place).map(|w| (w.sequence, w.request));
            assert_eq!(
                there,
                Some((sequence, request)),
                "lane {lane}, record {place}"
            );
            left[usize::from(lane)].push(request);
        }
        for (lane, left) in self.lanes.iter_mut().zip(&left) {
            assert!(left.len() >= lane.synced, "synced records are gone");
            assert!(
                !is_all_there || left.len() == lane.written.len(),
                "a kill took records"
            );
            lane.written.truncate(left.len());
            lane.synced = left.len();
            lane.rooms.clear();
        }
        for (hold, found) in self.open_holds(recovered) {
            assert!(found, "hold {hold} is open, and was not found");
        }
        assert!(
            recovered.missing.is_empty() && recovered.behind.is_empty(),
            "{recovered:?}"
        );
    }

    /// Holds without an outcome that were not released, each with whether it was found.
    fn open_holds(&self, recovered: &Recovered) -> Vec<(u64, bool)> {
        let found: BTreeSet<u64> = recovered
            .open_holds
            .iter()
            .map(|hold| super::request_of(&hold.record))
            .collect();
        let written = || self.lanes.iter().flat_map(|lane| &lane.written);
        let ended: BTreeSet<u64> = written()
            .filter(|w| w.kind == Kind::Post)
            .map(|w| w.request)
            .collect();
        assert!(
            found.is_disjoint(&ended),
            "a hold that was settled is not open"
        );
        let released = |lane: usize, w: &Written| {
            let checkpoint = self
                .checkpoints
                .iter()
                .find(|(number, _)| usize::from(*number) == lane);
            checkpoint.is_some_and(|(_, next)| w.sequence < *next)
        };
        let lanes = self.lanes.iter().enumerate();
        lanes
            .flat_map(|(lane, state)| state.written.iter().map(move |w| (lane, w)))
            .filter(|(lane, w)| {
                w.kind == Kind::Hold && !ended.contains(&w.request) && !released(*lane, w)
            })
            .map(|(_, w)| (w.request, found.contains(&w.request)))
            .collect()
    }
}

impl Lane {
    fn note(&mut self, sequence: Sequence, request: u64, kind: Kind) {
        self.written.push(Written {
            sequence,
            request,
            kind,
        });
    }
}

fn play(events: &[Event], seed: u64) {
    let mut world = World::new(seed);
    for event in events {
        world.play(event);
        if world.trap.is_some() && world.disk.was_cut() {
            let after = world.trap.take().expect("there is one");
            world.continue_in(after);
        }
    }
    world.kill();
    world.import();
}

proptest! {
    #[test]
    fn what_was_synced_survives_and_nothing_is_there_twice(
        events in vec(event(), 1..120),
        seed in any::<u64>(),
    ) {
        play(&events, seed);
    }
}
