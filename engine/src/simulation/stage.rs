//! Sets a world up, lets it play, and looks at what is left of it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tollring_ledger::{Ledger, UnixMillis, WorkerSlot};

use super::book::{Book, Entry};
use super::client::{Client, Manner};
use super::plan::{PROVIDERS, Plan, UPSTREAMS, address_of, gateway_door};
use super::provider::Provider;
use super::strict;
use super::verdict::{Verdict, unbalanced};
use super::{Census, Played};
use crate::descriptors::Budget;
use crate::engine::Shared;
use crate::live::Live;
use crate::net::mailbox::Letter;
use crate::net::simulated::{Chance, Owner, World, sleep};
use crate::net::{Listener, Mailbox};
use crate::tls::{self, Keys};
use crate::upstream::lane::Lanes;
use crate::upstream::origin::Origins;
use crate::worker::{self, Worker};

/// Turns of a world after which it is taken to run in a circle.
const TURNS_MAX: u64 = 3_000_000;

/// Turns between two looks at every bucket.
const TURNS_BETWEEN_LOOKS: u64 = 101;

/// How long clients may take altogether, and how long rest may take to come after them.
const PLAY_US: u64 = 900_000_000;
const REST_US: u64 = 90_000_000;

/// Descriptors that the gateway believes it has; the weather says when there are none.
const BUDGET: Budget = Budget {
    connections_max: 100,
    line: i32::MAX,
};

/// Blocks one connection may have out at a time: one that is read into, one on its way back, one
/// to be sent, each of which may be growing into a larger one.
const BLOCKS_PER_CONNECTION: u64 = 6;

/// A world with everyone in place.
pub(super) struct Stage {
    world: Rc<World>,
    plan: Plan,
    book: Rc<Book>,
    ledger: Ledger,
    origins: Origins,
    shared: Arc<Shared>,
    workers: Vec<Rc<Worker>>,
    /// Tasks that are there before the first client.
    standing: usize,
    clients: Rc<Cell<usize>>,
    turns: u64,
    faults: Vec<String>,
}

impl Stage {
    /// Builds the gateway of a plan, opens the providers, and sends the clients on their way.
    pub(super) fn set(world: &Rc<World>, plan: Plan) -> Self {
        world.set_weather(plan.weather.clone());
        let config = tollring_config::parse("seed", &plan.file, &|_| None)
            .unwrap_or_else(|faults| panic!("a plan's file is well-formed: {faults}"));
        let ledger = Ledger::new(plan.workers);
        let origins = Origins::new(usize::from(plan.workers));
        let now = UnixMillis(world.wall_ms());
        let keys = tls::keys::tickets().and_then(|tickets| Keys::read(&config, &tickets));
        let keys = keys.unwrap_or_else(|fault| panic!("a plan names no certificate: {fault}"));
        let workers = usize::from(plan.workers);
        let lanes = Lanes::new(workers);
        let buckets = ledger.bind(&config.buckets, now);
        let live = Live::build(config, buckets, (&origins, &lanes), keys);
        let mailbox = |_| Mailbox::new().expect("a simulated bell can always be had");
        let mailboxes: Box<[Mailbox]> = (0..workers).map(mailbox).collect();
        let shared = Arc::new(Shared::new(live, mailboxes, workers, &BUDGET));
        let mut stage = Self {
            world: Rc::clone(world),
            book: Rc::default(),
            workers: Vec::new(),
            standing: 0,
            clients: Rc::default(),
            turns: 0,
            faults: Vec::new(),
            plan,
            ledger,
            origins,
            shared,
        };
        stage.open();
        stage.tell_at(0, Letter::Open);
        stage.play_for(1_000);
        stage.standing = world.living();
        stage.send_clients();
        stage
    }

    fn open(&mut self) {
        for index in 0..self.plan.workers {
            let worker = Worker::new(WorkerSlot(index), Arc::clone(&self.shared), None);
            let mailbox = self.shared.mailboxes[usize::from(index)].clone();
            let listener = Listener::at(gateway_door(index));
            self.workers.push(Rc::clone(&worker));
            self.world.spawn(async move {
                let ended = worker::live(worker, vec![listener], &mailbox).await;
                ended.expect("a simulated mailbox can always be opened");
            });
        }
        for place in PROVIDERS.into_iter().chain(UPSTREAMS) {
            if self.plan.absent.contains(&place) {
                continue;
            }
            let door = address_of(place);
            self.world.open_door(door);
            if self.plan.silent.contains(&place) {
                self.world.silence_door(door);
            }
            let provider = Rc::new(Provider {
                world: Rc::clone(&self.world),
                book: Rc::clone(&self.book),
                place,
                kind: self.world.draw(|chance| !chance.one_in(3)),
            });
            self.world.spawn(provider.open(door));
        }
    }

    /// Deals the requests out to clients, who come one after the other.
    fn send_clients(&mut self) {
        let asks = std::mem::take(&mut self.plan.asks);
        let mut numbers: Vec<usize> = (0..asks.len()).collect();
        let entry = |ask| Entry {
            ask,
            visits: Vec::new(),
            sent_us: None,
        };
        *self.book.entries.borrow_mut() = asks.into_iter().map(entry).collect();
        while !numbers.is_empty() {
            let mut chance = self.world.draw(Chance::fork);
            let count = 1 + chance.place(numbers.len().min(5));
            let client = Client {
                world: Rc::clone(&self.world),
                book: Rc::clone(&self.book),
                manner: Manner::draw(&mut chance),
                asks: numbers.drain(..count).collect(),
                chance: chance.fork(),
            };
            let door = gateway_door(
                u16::try_from(chance.below(u64::from(self.plan.workers))).expect("workers are few"),
            );
            let after_us = chance.below(3_000_000);
            let clients = Rc::clone(&self.clients);
            clients.set(clients.get() + 1);
            self.world.spawn(async move {
                sleep(Duration::from_micros(after_us)).await;
                client.call(door).await;
                clients.set(clients.get() - 1);
            });
        }
        for &(at_ms, by_ms) in &self.plan.jumps {
            self.world
                .after(at_ms * 1_000, move |world| world.move_wall_clock(by_ms));
        }
        if let Some(drain_ms) = self.plan.drain_ms {
            self.tell_at(drain_ms, Letter::Drain);
            self.tell_at(drain_ms + 5_000, Letter::Cut);
        }
    }

    fn tell_at(&self, at_ms: u64, letter: Letter) {
        let mailboxes = self.shared.mailboxes.clone();
        self.world.after(at_ms * 1_000, move |world| {
            world.note(|| format!("the workers are told: {letter:?}"));
            for mailbox in &mailboxes {
                mailbox.send(letter);
            }
        });
    }

    /// Plays until rest, and judges.
    pub(super) fn play(mut self) -> Played {
        let clients = Rc::clone(&self.clients);
        if !self.play_until(PLAY_US, |_| clients.get() == 0) {
            let left = clients.get();
            self.fault(format!("{left} clients are not served in {PLAY_US} µs"));
        }
        self.tell_at(0, Letter::Drain);
        if !self.play_until(REST_US, Self::is_at_rest) {
            let left = self.unrest();
            self.fault(format!("there is no rest: {left}"));
        }
        let now = self.workers[0].now();
        let live = self.shared.live.load_full();
        let verdict = Verdict {
            plan: &self.plan,
            book: &self.book,
            live: &live,
            now,
        };
        let mut faults = verdict.faults();
        faults.append(&mut self.faults);
        faults.extend(self.book.faults());
        faults.extend(self.world.misdeeds());
        faults.extend(self.leftovers());
        Played {
            faults,
            trace: self.world.trace(),
            census: self.census(),
        }
    }

    fn play_for(&mut self, span_us: u64) {
        let until_us = self.world.now_us() + span_us;
        self.play_until(span_us, |stage| stage.world.now_us() >= until_us);
    }

    /// Plays until something is so, or it takes too long; says whether it is so.
    fn play_until(&mut self, span_us: u64, is_so: impl Fn(&Self) -> bool) -> bool {
        let until_us = self.world.now_us() + span_us;
        while !is_so(self) {
            if self.world.now_us() > until_us || self.turns > TURNS_MAX {
                return false;
            }
            self.turns += 1;
            self.world.step();
            if self.turns.is_multiple_of(TURNS_BETWEEN_LOOKS) {
                self.look();
            }
        }
        true
    }

    /// What must be true at every instant.
    fn look(&mut self) {
        if !self.faults.is_empty() {
            return;
        }
        let live = self.shared.live.load_full();
        for fault in unbalanced(&live, self.workers[0].now()) {
            self.fault(fault);
        }
        for (worker, counters) in self.workers.iter().zip(&self.shared.counters) {
            let (lent, open) = (worker.buffers.lent(), counters.connections.read());
            if lent > BLOCKS_PER_CONNECTION * open {
                self.faults
                    .push(format!("{lent} blocks are lent to {open} connections"));
            }
        }
    }

    fn fault(&mut self, what: String) {
        self.world.note(|| what.clone());
        self.faults.push(what);
    }

    fn is_at_rest(&self) -> bool {
        self.unrest().is_empty()
    }

    /// What still goes on, in words; nothing at rest.
    fn unrest(&self) -> String {
        let mut left = String::new();
        let mut add = |what: &str, count: u64| {
            if count > 0 {
                left.push_str(&format!("{count} {what}, "));
            }
        };
        for (worker, counters) in self.workers.iter().zip(&self.shared.counters) {
            add("blocks", worker.buffers.lent());
            add("connections", counters.connections.read());
            add("exchanges", counters.in_flight.read());
        }
        for origin in self.origins.all() {
            for pool in &origin.pools {
                add("upstream connections", pool.open.read());
                add("idle upstream connections", pool.idle.read());
            }
        }
        add("descriptors", self.world.open(Owner::Gateway) as u64);
        // Whoever took clients has gone by now.
        let stands = self.standing - self.workers.len();
        add(
            "listeners",
            self.shared.acceptors.load(Ordering::Relaxed) as u64,
        );
        add("tasks", self.world.living().saturating_sub(stands) as u64);
        left
    }

    /// What a world must not leave behind, beside what keeps it from its rest.
    fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        let panics: u64 = self
            .shared
            .counters
            .iter()
            .map(|c| c.panics_total.read())
            .sum();
        if panics > 0 {
            left.push(format!("{panics} tasks panicked"));
        }
        if self.ledger.drops() > 0 {
            left.push(format!("{} holds were dropped", self.ledger.drops()));
        }
        left
    }

    fn census(&self) -> Census {
        let entries = self.book.entries.borrow();
        let transcripts = self.book.transcripts.borrow();
        let mut census = Census {
            requests: entries.len() as u64,
            visits: entries.iter().map(|entry| entry.visits.len() as u64).sum(),
            connections: transcripts.len() as u64,
            turns: self.turns,
            lasted_ms: self.world.now_us() / 1_000,
            ..Census::default()
        };
        for counters in &self.shared.counters {
            census.tokens += counters.tokens_input.read() + counters.tokens_output.read();
        }
        for transcript in transcripts.iter() {
            let asked = transcript.asked.iter();
            let bodiless: Vec<bool> = asked.map(|&number| entries[number].ask.is_head()).collect();
            let read = strict::answers(&transcript.heard, &bodiless, true).unwrap_or_default();
            for answer in read.0.iter().filter(|answer| answer.body.whole) {
                match answer.head.field("x-nonce") {
                    Some(_) => census.delivered += 1,
                    None => census.refused += 1,
                }
            }
        }
        census
    }
}
