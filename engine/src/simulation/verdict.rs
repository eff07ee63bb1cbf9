//! Judges a world that has come to rest: what clients heard, how often providers were
//! asked, and what it all cost.
//!
//! Every rule is one sentence of the project's invariants, held against the two sides'
//! own records. What the gateway counted of itself is only looked at for what is left.

use tollring_config::Unit;

use super::book::{Book, Entry, Kind, Parting, Transcript, Visit};
use super::plan::Plan;
use super::strict::{self, Answer};
use crate::live::Live;
use tollring_ledger::UnixMillis;

/// Nano-USD per token of the models asked for, in and out; the fallback costs twice that.
const PRICES: (u64, u64) = (1_000, 2_000);

/// How long a no of ours may take to come where the network is quick: the plan's `first_byte`,
/// and before it connects that fail and short bodies of providers that decline.
const REFUSED_US: u64 = 12_000_000;

/// How the event begins that ends a stream which broke off, on a line of its own.
const ERROR_EVENT: &[u8] = b"\n\ndata: {\"error\":{";

/// How long a client may rest and still find its connection: the plan's `idle`, less what a request
/// may take to arrive.
const KEPT_US: u64 = 3_500_000;

/// What one request cost in its own key's buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    requests: i64,
    tokens: i64,
    usd: i64,
}

/// One world, as it was left.
pub(super) struct Verdict<'a> {
    pub(super) plan: &'a Plan,
    pub(super) book: &'a Book,
    pub(super) live: &'a Live,
    pub(super) now: UnixMillis,
}

impl Verdict<'_> {
    /// Everything that must not be, in words.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let entries = self.book.entries.borrow();
        for (number, entry) in entries.iter().enumerate() {
            if let Err(fault) = visits(entry) {
                faults.push(format!("n{number} {fault}"));
            }
        }
        for transcript in self.book.transcripts.borrow().iter() {
            if let Err(fault) = self.transcript(transcript, &entries) {
                faults.push(format!("the client of {:?}: {fault}", transcript.asked));
            }
        }
        faults.extend(self.sums(entries.len()));
        faults
    }

    /// What a client heard, answer by answer.
    fn transcript(&self, transcript: &Transcript, entries: &[Entry]) -> Result<(), String> {
        let asked = transcript.asked.iter();
        let bodiless: Vec<bool> = asked.map(|&number| entries[number].ask.is_head()).collect();
        let ended = transcript.parting == Parting::Closed;
        let (answers, _) = strict::answers(&transcript.heard, &bodiless, ended)?;
        if strict::find(&transcript.heard, b"poison").is_some() {
            return Err("was told what nobody asked for".to_owned());
        }
        if transcript.parting == Parting::Forsaken && self.plan.weather.silence_one_in == 0 {
            return Err("waited in vain".to_owned());
        }
        let (mut closes, mut ends) = (false, false);
        for (place, &number) in transcript.asked.iter().enumerate() {
            let entry = &entries[number];
            let answer = answers.get(place);
            if closes && answer.is_some() {
                return Err(format!("n{number} was answered behind a close"));
            }
            let heard = Heard {
                transcript,
                entry,
                number,
                answer,
            };
            let told = |fault| format!("n{number}, told {:?}: {fault}", summary(answer));
            heard.judge().map_err(told)?;
            self.liveness(&heard, place, closes || ends).map_err(told)?;
            let cost = self.cost(number);
            let charged = |fault| {
                format!(
                    "n{number} cost {cost:?}, told {:?}, {fault}",
                    summary(answer)
                )
            };
            self.money(&heard, cost).map_err(charged)?;
            // An answer that broke off ends the connection without having said so.
            ends |= heard.visit().is_some_and(|visit| !visit.good);
            closes |= answer.is_none_or(|answer| {
                answer.head.field("connection") == Some("close") || !answer.body.whole
            });
        }
        Ok(())
    }

    /// Where nothing goes wrong, whoever asks is answered, and well if its provider did well.
    fn liveness(&self, heard: &Heard<'_>, place: usize, closed: bool) -> Result<(), String> {
        let due = self.plan.calm && heard.transcript.mannerly && !closed;
        let rested_us = heard.transcript.rested_us.get(place);
        let in_time = rested_us.is_some_and(|&rested_us| rested_us < KEPT_US);
        if due && in_time && heard.answer.is_none() {
            return Err("although it was not late".to_owned());
        }
        // A provider's answer may go on for long; a no of ours comes when a deadline passes.
        let ours = heard
            .answer
            .is_some_and(|answer| answer.head.field("x-nonce").is_none());
        let times = (heard.entry.sent_us, heard.transcript.answered_us.get(place));
        if let (true, (Some(sent_us), Some(&answered_us))) = (due && ours, times)
            && answered_us.saturating_sub(sent_us) > REFUSED_US
        {
            let took_ms = answered_us.saturating_sub(sent_us) / 1_000;
            return Err(format!("after {took_ms} ms"));
        }
        let Some(visit) = heard.entry.visits.last().filter(|_| due) else {
            return Ok(());
        };
        let whole = heard.answer.is_some_and(|answer| answer.body.whole);
        match visit.good && visit.prompt && visit.whole && !whole {
            true => Err(format!("although {} answered it well", visit.place)),
            false => Ok(()),
        }
    }

    /// What a request cost, by what became of it.
    fn money(&self, heard: &Heard<'_>, cost: Cost) -> Result<(), String> {
        let entry = heard.entry;
        let kind = entry.ask.kind;
        if cost.requests == 0 && cost != Cost::default() {
            return Err("which no rule makes of it".to_owned());
        }
        let expected = match (heard.answer, heard.visit()) {
            _ if !kind.may_pass() => Some(Cost::default()),
            // A no of ours costs nothing; what was uploaded by the byte was.
            (Some(answer), None) if answer.body.whole => match kind {
                Kind::Rest { by_bytes: true, .. } => None,
                _ => Some(Cost::default()),
            },
            (Some(answer), Some(visit)) if answer.body.whole => {
                let all = heard.body(answer) == visit.body;
                cost_of(kind, answer, visit).filter(|_| all || !kind.is_completion())
            }
            _ => None,
        };
        if let Some(expected) = expected
            && cost != expected
        {
            return Err(format!("and not {expected:?}"));
        }
        let most = entry.visits.iter().map(|visit| {
            let (input, output) = visit.stated.unwrap_or_default();
            input + output + visit.body.len() as u64
        });
        // Nobody is charged for more than was asked for, was said, or could be held for it.
        let most = most.max().unwrap_or(0) + entry.ask.body.len() as u64 + 2_048;
        if u64::try_from(cost.tokens).is_ok_and(|tokens| tokens > most) {
            return Err(format!("which is more than {most}"));
        }
        // Whoever leaves pays for what was made for it.
        let left = heard.transcript.parting == Parting::Left;
        let made =
            |visit: &&Visit| visit.good && visit.prompt && visit.whole && visit.status == Some(200);
        let served = entry.visits.last().filter(made).is_some();
        if self.plan.calm && left && served && cost.requests != 1 {
            return Err("although it was served".to_owned());
        }
        Ok(())
    }

    /// What the key of a request was charged.
    fn cost(&self, number: usize) -> Cost {
        let mut cost = Cost::default();
        let name = format!("k{number}");
        let keys = self.live.config.keys.iter();
        for bucket in keys
            .filter(|key| *key.name == *name)
            .flat_map(|key| &key.path)
            .map(|id| &self.live.buckets[id.index()])
            .filter(|bucket| bucket.spec().scope.word() == "key")
        {
            let posted = bucket.reading(self.now).posted;
            match bucket.spec().unit {
                Unit::Requests => cost.requests = posted,
                Unit::Tokens => cost.tokens = posted,
                Unit::Usd => cost.usd = posted,
                Unit::Concurrent => {}
            }
        }
        cost
    }

    /// Nothing is held at rest, every bucket adds up, and the tenant's is the sum of its keys'.
    fn sums(&self, count: usize) -> Vec<String> {
        let mut faults = unbalanced(self.live, self.now);
        let tokens: i64 = (0..count).map(|number| self.cost(number).tokens).sum();
        for bucket in &self.live.buckets {
            let (spec, reading) = (bucket.spec(), bucket.reading(self.now));
            if reading.held != 0 {
                faults.push(format!("{} holds {reading:?} at rest", spec.identity));
            }
            let of_all = spec.scope.word() != "key" && spec.unit == Unit::Tokens;
            if of_all && reading.posted != tokens {
                faults.push(format!(
                    "{} is {reading:?}, its keys' {tokens}",
                    spec.identity
                ));
            }
        }
        faults
    }
}

/// Buckets that do not add up: `posted + held + free` is the limit, whatever happens.
pub(super) fn unbalanced(live: &Live, now: UnixMillis) -> Vec<String> {
    let mut faults = Vec::new();
    for bucket in &live.buckets {
        let reading = bucket.reading(now);
        let sum = reading.posted + reading.held + reading.free;
        if sum != reading.limit || reading.held < 0 || reading.posted < 0 {
            faults.push(format!(
                "{} does not add up: {reading:?}",
                bucket.spec().identity
            ));
        }
    }
    faults
}

/// How often a request may reach a provider: once, unless the one before declined it, or doing it
/// twice is the same as doing it once.
fn visits(entry: &Entry) -> Result<(), String> {
    let Some((_, before)) = entry.visits.split_last() else {
        return Ok(());
    };
    let places: Vec<&str> = entry.visits.iter().map(|visit| visit.place).collect();
    if !entry.ask.kind.may_pass() {
        return Err(format!("reached {places:?}: {:?}", entry.ask.kind));
    }
    if entry.ask.kind.is_idempotent() || before.iter().all(|visit| visit.declined) {
        return Ok(());
    }
    Err(format!("was sent to {places:?}"))
}

/// What a whole answer costs; `None` where it does not say.
fn cost_of(kind: Kind, answer: &Answer, visit: &Visit) -> Option<Cost> {
    if !kind.is_completion() {
        let requests = i64::from(answer.status < 500);
        return Some(Cost {
            requests,
            tokens: 0,
            usd: requests * 1_000_000,
        });
    }
    if answer.status >= 300 {
        return Some(Cost::default());
    }
    let (input, output) = visit.stated?;
    let factor = if visit.place == "p2" { 2 } else { 1 };
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Some(Cost {
        requests: 1,
        tokens: whole(input + output),
        usd: whole(factor * (input * PRICES.0 + output * PRICES.1)),
    })
}

fn summary(answer: Option<&Answer>) -> Option<(u16, usize, bool)> {
    answer.map(|answer| (answer.status, answer.body.bytes.len(), answer.body.whole))
}

/// What was heard of one request.
struct Heard<'a> {
    transcript: &'a Transcript,
    entry: &'a Entry,
    number: usize,
    answer: Option<&'a Answer>,
}

impl Heard<'_> {
    /// The visit whose answer was passed on.
    fn visit(&self) -> Option<&Visit> {
        let answer = self.answer?;
        answer.head.field("x-nonce")?;
        let visits = self.entry.visits.iter();
        visits
            .rev()
            .find(|visit| visit.status == Some(answer.status))
    }

    fn judge(&self) -> Result<(), String> {
        let Some(answer) = self.answer else {
            return Ok(());
        };
        let Some(nonce) = answer.head.field("x-nonce") else {
            return self.our_own(answer);
        };
        if nonce != self.number.to_string() {
            return Err(format!("the answer to n{nonce}"));
        }
        let visit = self.visit().ok_or("an answer that nobody gave")?;
        self.passed_on(answer, visit)
    }

    /// An answer of the gateway's is well-formed, and is a no where a provider's was wanted.
    fn our_own(&self, answer: &Answer) -> Result<(), String> {
        let fits = match self.entry.ask.kind {
            Kind::Own => matches!(answer.status, 200 | 404 | 408 | 503),
            Kind::Malformed => matches!(answer.status, 400 | 408 | 501 | 503 | 505),
            Kind::Keyless => matches!(answer.status, 401 | 408 | 503),
            _ => matches!(answer.status, 400 | 402 | 408 | 429 | 502..=504),
        };
        if !fits {
            return Err("a status that does not fit".to_owned());
        }
        let silent = self.entry.ask.is_head();
        let read = serde_json::from_slice::<serde_json::Value>(&answer.body.bytes);
        match answer.body.whole && !silent && read.is_err() {
            true => Err("a body that is no JSON".to_owned()),
            false => Ok(()),
        }
    }

    /// The body that was heard. Between two events, a client that sends no more may have been
    /// asked whether it listens, by a comment.
    fn body(&self, answer: &Answer) -> Vec<u8> {
        let mut heard = answer.body.bytes.clone();
        if self.transcript.half_closed {
            while let Some(at) = strict::find(&heard, b"\n\n:\n\n") {
                heard.drain(at + 2..at + 5);
            }
            if heard.starts_with(b":\n\n") {
                heard.drain(..3);
            }
        }
        heard
    }

    /// A provider's answer is passed on byte for byte, and never a part of it as the whole.
    fn passed_on(&self, answer: &Answer, visit: &Visit) -> Result<(), String> {
        let heard = self.body(answer);
        if heard == visit.body {
            return Ok(());
        }
        // Of a usage that breaks off nobody can tell that it is one.
        if visit.by_close && !visit.good && visit.uncut.starts_with(&heard) {
            return Ok(());
        }
        let common = heard
            .iter()
            .zip(&visit.body)
            .take_while(|(a, b)| a == b)
            .count();
        let tail = &heard[common..];
        let is_stream = matches!(self.entry.ask.kind, Kind::Stream { .. });
        let broken_off = is_stream
            && strict::find(tail, b"error\":{").is_some()
            && strict::find(tail, b"[DONE]").is_none();
        // The event that says so may itself have come in part.
        let begun = !answer.body.whole
            && (common.saturating_sub(ERROR_EVENT.len())..=common).any(|at| {
                let from = &heard[at..];
                ERROR_EVENT.starts_with(from) || ERROR_EVENT[2..].starts_with(from)
            });
        let broken_off = broken_off || (begun && is_stream);
        match (tail.is_empty(), answer.body.whole) {
            // By the connection's end a part looks like the whole, on either side.
            (true, true) if visit.by_close && !visit.good || answer.by_close => Ok(()),
            (true, false) => Ok(()),
            _ if broken_off => Ok(()),
            (true, true) => Err(format!("{common} of {} as the whole", visit.body.len())),
            (false, _) => Err(format!(
                "another body from byte {common} of {} on: {:?}",
                visit.body.len(),
                String::from_utf8_lossy(tail)
            )),
        }
    }
}
