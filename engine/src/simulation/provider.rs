//! Scripted providers and upstreams: how each answers is drawn when it is asked.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::book::{Book, Kind, Visit};
use super::script::{Ending, Script};
use super::strict::{self, Framing, Head};
use crate::net::simulated::{Chance, Heard, Wire, World, sleep};

/// How long a provider keeps an idle connection, and waits for a request's end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a provider says that nobody asked it.
pub(super) const POISON: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

/// One place where requests are answered.
pub(super) struct Provider {
    pub(super) world: Rc<World>,
    pub(super) book: Rc<Book>,
    pub(super) place: &'static str,
    /// Whether it keeps to the rules and the deadlines most of the time.
    pub(super) kind: bool,
}

impl Provider {
    /// Answers whoever comes, for as long as the world lasts.
    pub(super) async fn open(self: Rc<Self>, door: SocketAddr) {
        loop {
            let fd = self.world.knocked(door).await;
            let wire = Wire::new(&self.world, fd);
            let chance = self.world.draw(Chance::fork);
            self.world.spawn(Rc::clone(&self).serve(wire, chance));
        }
    }

    async fn serve(self: Rc<Self>, wire: Wire, mut chance: Chance) {
        let mut inbox = Vec::new();
        loop {
            let Some((head, number)) = self.next(&wire, &mut inbox).await else {
                return;
            };
            let script = self.script(&mut chance, number);
            self.world
                .note(|| format!("{} is asked n{number}: {script:?}", self.place));
            let visit = self.book.visited(number, self.visit(&script));
            let early = script.early;
            let body = if early {
                Some(())
            } else {
                self.body(&wire, &mut inbox, &head, (number, visit)).await
            };
            if body.is_none() {
                return;
            }
            if !self.answer(&wire, &mut chance, &script).await {
                return;
            }
            match script.ending {
                Ending::Keep if !early => {}
                Ending::Abort => return wire.abort(),
                _ => return,
            }
            let pause = Duration::from_micros(chance.below(2_000_000));
            match chance.below(8) {
                // Has had enough of it, whether or not the next request is on its way.
                0 => return sleep(pause).await,
                1 => {
                    sleep(pause).await;
                    // Only when no request can be on its way: else nobody could tell.
                    if inbox.is_empty() && wire.blurt(POISON) && chance.one_in(2) {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    fn script(&self, chance: &mut Chance, number: usize) -> Script {
        let entries = self.book.entries.borrow();
        let ask = &entries[number].ask;
        let script = Script::draw(chance, number, ask.kind, self.kind);
        match ask.kind {
            Kind::Rest { .. } if ask.body.len() > 1_000 => script.maybe_early(chance),
            _ => script,
        }
    }

    fn visit(&self, script: &Script) -> Visit {
        Visit {
            place: self.place,
            whole: false,
            status: script.status,
            declined: script.declined,
            body: script.body.clone(),
            uncut: script.uncut.clone(),
            stated: script.stated,
            by_close: script.by_close,
            good: script.good,
            prompt: script.prompt,
        }
    }

    /// The head of the next request, and the number in it.
    async fn next(&self, wire: &Wire, inbox: &mut Vec<u8>) -> Option<(Head, usize)> {
        let head = loop {
            match strict::head(inbox) {
                Ok(Some(head)) => break head,
                Ok(None) => {}
                Err(fault) => {
                    let place = self.place;
                    self.book
                        .fault(format!("{place} was sent a malformed head: {fault}"));
                    return None;
                }
            }
            if wire.read(inbox, PATIENCE).await != Heard::Bytes {
                return None;
            }
        };
        inbox.drain(..head.len);
        self.judge(&head);
        let number = head.field("x-nonce").and_then(|value| value.parse().ok());
        let known = number.filter(|&number: &usize| number < self.book.entries.borrow().len());
        if known.is_none() {
            self.book
                .fault(format!("a request without its number: {head:?}"));
        }
        known.map(|number| (head, number))
    }

    /// What must be true of every request that leaves the gateway.
    fn judge(&self, head: &Head) {
        let words: Vec<&str> = head.start.split(' ').collect();
        let well_formed = words.len() == 3 && words[2] == "HTTP/1.1" && words[1].starts_with('/');
        let says = |name: &str| head.field(name).is_some();
        if !well_formed || !says("host") || !says("via") || says("expect") || says("te") {
            self.book.fault(format!("{} was sent {head:?}", self.place));
        }
        if head
            .fields
            .iter()
            .any(|(_, value)| value.contains("tr_sim_"))
        {
            self.book
                .fault(format!("{} was shown a key: {head:?}", self.place));
        }
    }

    /// Reads the body to its end, and holds it against what the client sent.
    async fn body(
        &self,
        wire: &Wire,
        inbox: &mut Vec<u8>,
        head: &Head,
        (number, visit): (usize, usize),
    ) -> Option<()> {
        let place = self.place;
        let framing = match head.framing(Framing::Length(0)) {
            Ok(framing) => framing,
            Err(fault) => {
                self.book
                    .fault(format!("{place} was sent n{number} with {fault}"));
                return None;
            }
        };
        loop {
            let body = match strict::body(inbox, framing) {
                Ok(body) => body,
                Err(fault) => {
                    self.book
                        .fault(format!("{place} was sent n{number} with {fault}"));
                    return None;
                }
            };
            self.compare(number, &body);
            if body.whole {
                inbox.drain(..body.len);
                self.book.revise(number, visit, |visit| visit.whole = true);
                return Some(());
            }
            if wire.read(inbox, PATIENCE).await != Heard::Bytes {
                return None;
            }
        }
    }

    fn compare(&self, number: usize, body: &strict::Body) {
        let entries = self.book.entries.borrow();
        let ask = &entries[number].ask;
        let same = match (ask.kind.is_completion(), body.whole) {
            // The model's name is replaced, and the usage asked for; the rest is as it was.
            (true, true) => {
                let mark = format!("\"content\":\"n{number} ");
                strict::find(&body.bytes, mark.as_bytes()).is_some()
                    && serde_json::from_slice::<serde_json::Value>(&body.bytes).is_ok()
            }
            (true, false) => true,
            (false, true) => body.bytes == ask.body,
            (false, false) => ask.body.starts_with(&body.bytes),
        };
        drop(entries);
        if !same {
            let place = self.place;
            self.book
                .fault(format!("{place} was sent another body for n{number}"));
        }
    }

    /// Says what the script has to say; whether the connection still stands.
    async fn answer(&self, wire: &Wire, chance: &mut Chance, script: &Script) -> bool {
        let think_us = chance.below(if script.prompt { 300_000 } else { 6_000_000 });
        sleep(Duration::from_micros(think_us)).await;
        let pieces = script.pieces.iter();
        for piece in pieces {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let count = match script.dripping {
                    true => chance.portion(rest.len()),
                    false => rest.len(),
                };
                if !wire.write(&rest[..count], PATIENCE).await {
                    return false;
                }
                rest = &rest[count..];
                if script.gap_us > 0 {
                    let gap_us = chance.below(script.gap_us);
                    sleep(Duration::from_micros(gap_us)).await;
                }
            }
        }
        if script.ending == Ending::Silence {
            // Says nothing more, and waits until the other side has had enough.
            while wire.read(&mut Vec::new(), PATIENCE).await == Heard::Bytes {}
        }
        true
    }
}
