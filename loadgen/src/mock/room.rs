//! One thread of the scripted provider: its connections, its counts, its clock, and how it stops.

use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::connection::{Connection, Ended, Shape};
use super::exchange::{Next, exchange};
use super::openai::answer;
use super::options::Pace;
use super::script::{Dice, Overrides, Script};
use super::stats::{MockStats, Tally};
use crate::http::Framing;
use crate::net::{Bell, Leash, Listener, Stream, sleep, spawn};

/// How long to wait before accepting again when the process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How often a thread that is stopping looks whether its connections are gone.
const STOP_CHECK: Duration = Duration::from_millis(2);

/// How often it does so at most: two seconds' worth, forty times what a waiting connection needs.
const STOP_CHECKS_MAX: u32 = 1000;

/// One thread's part of the provider.
pub(super) struct Room {
    pace: Pace,
    tallies: Arc<[Tally]>,
    /// Which of the tallies is ours.
    index: usize,
    dice: RefCell<Dice>,
    ids: Cell<u64>,
    date: RefCell<Date>,
    /// Connections there have been.
    accepted: Cell<u64>,
    /// Every connection by its number, to be cut when we stop.
    leashes: RefCell<HashMap<u64, Leash>>,
    stopping: Cell<bool>,
}

/// The `date` field as it was written for one second.
#[derive(Default)]
struct Date {
    second: u64,
    text: String,
}

impl Room {
    pub(super) fn new(pace: Pace, tallies: Arc<[Tally]>, index: usize) -> Self {
        Self {
            pace,
            tallies,
            index,
            dice: RefCell::new(Dice::new(index as u64 + 1)),
            // Far enough apart that the ids of two threads never meet.
            ids: Cell::new((index as u64 + 1) << 40),
            date: RefCell::default(),
            accepted: Cell::new(0),
            leashes: RefCell::default(),
            stopping: Cell::new(false),
        }
    }

    /// This thread's counts.
    pub(super) fn tally(&self) -> &Tally {
        &self.tallies[self.index]
    }

    /// The counts of all threads.
    pub(super) fn stats(&self) -> MockStats {
        sum(&self.tallies)
    }

    /// Zeroes the counts of all threads.
    pub(super) fn reset_stats(&self) {
        self.tallies.iter().for_each(Tally::reset);
    }

    /// What a request for `model` will meet.
    pub(super) fn script(&self, model: &str, asked: &Overrides) -> Script {
        Script::new(&self.pace, model, asked, &mut self.dice.borrow_mut())
    }

    /// A number that no other answer of this run has.
    pub(super) fn next_id(&self) -> u64 {
        self.ids.replace(self.ids.get() + 1)
    }

    /// UNIX time in seconds.
    pub(super) fn now(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    /// The time as the `date` field wants it (RFC 9110 §5.6.7), written once a second.
    pub(super) fn date(&self) -> Ref<'_, str> {
        let now = self.now();
        if self.date.borrow().second != now {
            let seconds = i64::try_from(now).unwrap_or(i64::MAX);
            let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
            let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
            let text = printer
                .timestamp_to_rfc9110_string(&time)
                .unwrap_or_default();
            *self.date.borrow_mut() = Date { second: now, text };
        }
        Ref::map(self.date.borrow(), |date| date.text.as_str())
    }

    /// Accepts and serves connections until the bell is rung and the last of them is gone.
    pub(super) async fn live(self: Rc<Self>, listener: Listener, bell: Bell) {
        let listener = Rc::new(listener);
        for _ in 0..listener.acceptors() {
            spawn(Rc::clone(&self).accept(Rc::clone(&listener)));
        }
        bell.rung().await;
        self.stopping.set(true);
        listener.close();
        // The accepting tasks hold the listener as well; the port is free when all have gone.
        for _ in 0..STOP_CHECKS_MAX {
            self.leashes.borrow().values().for_each(Leash::cut);
            if self.leashes.borrow().is_empty() && Rc::strong_count(&listener) == 1 {
                break;
            }
            sleep(STOP_CHECK).await;
        }
        drop(listener);
        // Let the loop submit the close of what has just been dropped.
        sleep(STOP_CHECK).await;
    }

    async fn accept(self: Rc<Self>, listener: Rc<Listener>) {
        loop {
            match listener.accept().await {
                Ok(stream) if !self.stopping.get() => {
                    let number = self.accepted.replace(self.accepted.get() + 1);
                    self.leashes.borrow_mut().insert(number, stream.leash());
                    spawn(Rc::clone(&self).serve(stream, number));
                }
                _ if self.stopping.get() => break,
                // The client was gone before we came, or there are no descriptors left: what helps
                // is to wait for one to be closed.
                Ok(_) | Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    async fn serve(self: Rc<Self>, stream: Stream, number: u64) {
        let mut conn = Connection::new(stream);
        let ended = loop {
            match exchange(&mut conn, &self).await {
                Ok(Next::Request) => {}
                Ok(Next::Close) => break Ended::Closed,
                Err(ended) => break ended,
            }
        };
        match ended {
            Ended::Closed => {}
            Ended::HungUp if self.stopping.get() => {}
            Ended::HungUp => self.tally().aborted(),
            Ended::Reset => conn.reset(),
            Ended::Refused(status, why) => self.refuse(&mut conn, status, why).await,
        }
        self.leashes.borrow_mut().remove(&number);
    }

    async fn refuse(&self, conn: &mut Connection, status: u16, why: &str) {
        conn.out.clear();
        conn.draft.clear();
        answer::error(&mut conn.draft, "invalid_request_error", "malformed", why);
        let framing = Framing::Length(conn.draft.len() as u64);
        let content_type = "application/json";
        let shape = Shape {
            status,
            content_type,
            framing,
            keep_alive: false,
        };
        conn.begin(shape, self.next_id(), &self.date());
        conn.append_draft(framing);
        // The connection ends either way.
        let _ = conn.flush().await;
    }
}

/// The counts of all threads.
pub(super) fn sum(tallies: &[Tally]) -> MockStats {
    let mut sum = MockStats::default();
    tallies.iter().for_each(|tally| tally.add_to(&mut sum));
    sum
}
