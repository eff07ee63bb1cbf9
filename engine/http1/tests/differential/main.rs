//! Our parser beside two of other families: what we take, they take, and in the same way.
//!
//! Two readers of one connection that disagree about where a message ends are how requests are
//! smuggled. So every message that we would pass on is given to llhttp (Node.js) and to h11
//! (Python): both must find it there, with the same body, and go on at the same byte. What they
//! take and we refuse is no matter here. Where they differ and the RFC is with us, the
//! difference stands in `known.rs` with its section.
//!
//! ```text
//! cargo test -p tollring-http1 --test differential -- [STREAMS] [SEED]
//! ```

mod dice;
mod generate;
mod known;
mod peer;
mod reading;

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::Instant;

use peer::{PEERS, Peer};
use reading::{End, Message, Reading, Stream};

/// Streams of one run: what is done within a minute on a small machine.
const STREAMS_DEFAULT: u64 = 100_000;
/// Differences that are shown; the rest are counted.
const SHOWN_MAX: usize = 20;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse::<u64>());
    let (Ok(streams), Ok(seed)) = (
        numbers.next().unwrap_or(Ok(STREAMS_DEFAULT)),
        numbers.next().unwrap_or(Ok(1)),
    ) else {
        eprintln!("usage: differential [STREAMS] [SEED]");
        return ExitCode::from(2);
    };
    let began = Instant::now();
    let streams: Vec<Stream> = (0..streams)
        .map(|number| generate::stream(seed, number))
        .collect();
    let ours: Vec<Reading> = streams.iter().map(Reading::ours).collect();
    let messages: usize = ours.iter().map(|reading| reading.messages.len()).sum();
    println!(
        "seed {seed}: {} streams, {messages} messages taken, {} streams refused at some byte",
        streams.len(),
        ours.iter()
            .filter(|reading| matches!(reading.end, End::Fault(_)))
            .count(),
    );
    let mut agreed = messages > 0;
    for peer in &PEERS {
        agreed &= compare(peer, &streams, &ours);
    }
    println!("{} s", began.elapsed().as_secs());
    ExitCode::from(u8::from(!agreed))
}

/// Asks a peer about every stream, prints what it sees differently, and says whether that is
/// nothing new.
fn compare(peer: &Peer, streams: &[Stream], ours: &[Reading]) -> bool {
    let theirs = match peer.read(streams) {
        Ok(theirs) => theirs,
        Err(fault) => {
            println!("{}: cannot be asked: {fault}", peer.name);
            return false;
        }
    };
    if !can_fail(ours, &theirs) {
        println!(
            "{}: no two readings agree, or nothing would tell",
            peer.name
        );
        return false;
    }
    let (mut new, mut laxer, mut shown) = (0, 0, HashSet::new());
    let mut known = vec![0_usize; known::DIFFERENCES.len()];
    for (number, ((stream, ours), theirs)) in streams.iter().zip(ours).zip(&theirs).enumerate() {
        let refused = matches!(ours.end, End::Fault(_));
        laxer += usize::from(refused && !matches!(theirs.end, End::Fault(_)));
        let Some(what) = difference(ours, theirs) else {
            continue;
        };
        match known::place_of(peer.name, stream, ours, theirs, &what) {
            Some(place) => known[place] += 1,
            None => {
                new += 1;
                // One of each kind.
                if shown.len() < SHOWN_MAX && shown.insert(kind_of(&what, theirs)) {
                    show(number, stream, ours, theirs, &what);
                }
            }
        }
    }
    println!(
        "{}: {new} differences, {laxer} streams that only we refuse",
        peer.name
    );
    for (difference, count) in known::DIFFERENCES.iter().zip(known) {
        if difference.peer == peer.name {
            println!(
                "  {count:6} known: {} ({})",
                difference.what, difference.rfc
            );
        }
    }
    new == 0
}

/// Whether a comparison with what this peer says would notice if we were wrong: about the first
/// message that both read the same, in each of its facts.
fn can_fail(ours: &[Reading], theirs: &[Reading]) -> bool {
    let mut pairs = ours.iter().zip(theirs);
    let Some((ours, theirs)) =
        pairs.find(|(ours, theirs)| !ours.messages.is_empty() && ours == theirs)
    else {
        return false;
    };
    let wrongs: [fn(&mut Reading); 5] = [
        |reading| reading.messages[0].body.push(b'x'),
        |reading| reading.messages[0].begin.push(b'x'),
        |reading| reading.messages[0].fields.clear(),
        |reading| reading.messages[0].keep ^= true,
        |reading| reading.messages.extend_from_within(..),
    ];
    wrongs.iter().all(|wrong| {
        let mut wronged = ours.clone();
        wrong(&mut wronged);
        difference(&wronged, theirs).is_some()
    })
}

/// Where two readings part, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// A message of ours that the other did not find, at that place.
    Missing(usize),
    /// A message at that place of which the other says something else.
    Other(usize, &'static str),
    /// The other found more in a stream of which nothing is left for us.
    More,
}

fn difference(ours: &Reading, theirs: &Reading) -> Option<Difference> {
    for (place, message) in ours.messages.iter().enumerate() {
        let Some(other) = theirs.messages.get(place) else {
            return Some(Difference::Missing(place));
        };
        if let Some(fact) = fact_that_differs(message, other) {
            return Some(Difference::Other(place, fact));
        }
    }
    let goes_on = ours.messages.last().is_some_and(|message| message.keep);
    let quiet = theirs.messages.len() == ours.messages.len() && theirs.end == End::Whole;
    (ours.end == End::Whole && goes_on && !quiet).then_some(Difference::More)
}

fn kind_of(what: &Difference, theirs: &Reading) -> (Option<&'static str>, End) {
    match what {
        Difference::Other(_, fact) => (Some(fact), End::Whole),
        Difference::Missing(_) | Difference::More => (None, theirs.end.clone()),
    }
}

fn fact_that_differs(ours: &Message, theirs: &Message) -> Option<&'static str> {
    let facts = [
        ("method or status", ours.begin == theirs.begin),
        ("target", ours.target == theirs.target),
        ("version", ours.version == theirs.version),
        ("body", ours.body == theirs.body),
        // h11 writes the coding in small letters.
        ("fields", ours.fields.eq_ignore_ascii_case(&theirs.fields)),
        ("keep-alive", ours.keep == theirs.keep),
    ];
    facts.iter().find(|(_, same)| !same).map(|(fact, _)| *fact)
}

fn show(number: usize, stream: &Stream, ours: &Reading, theirs: &Reading, what: &Difference) {
    println!("stream {number}: {what:?}");
    println!("  bytes   {}", stream.bytes.escape_ascii());
    for (name, reading) in [("ours", ours), ("theirs", theirs)] {
        for message in &reading.messages {
            println!(
                "  {name:7} {} {} {} keep={} {:?} {:?}",
                message.begin.escape_ascii(),
                message.target.escape_ascii(),
                message.version,
                message.keep,
                message.fields.escape_ascii().to_string(),
                message.body.escape_ascii().to_string(),
            );
        }
        println!("  {name:7} {:?}", reading.end);
    }
}
