//! Scripted clients: each has its manner, and writes down what it hears.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::book::{Book, Parting, Transcript};
use super::strict;
use crate::net::simulated::{Chance, Heard, Wire, World, sleep};

/// How long a client waits for an answer before it is forsaken: longer than all of the gateway's
/// deadlines for one exchange together, tries of five targets included.
const PATIENCE: Duration = Duration::from_secs(75);

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Asks, waits for the answer, asks again.
    Plain,
    /// Sends everything it has to ask at once.
    Pipelined,
    /// Sends in small pieces with pauses.
    Dripping,
    /// Leaves after so many bytes were sent, or heard.
    VanishesSending(usize),
    VanishesHearing(usize),
    /// Sends everything, says that no more will come, and listens.
    HalfCloses,
    /// Sends everything and does not read for a long time.
    Deaf,
}

impl Manner {
    /// Draws one.
    pub(super) fn draw(chance: &mut Chance) -> Self {
        match chance.below(14) {
            0..=4 => Self::Plain,
            5 | 6 => Self::Pipelined,
            7 => Self::Dripping,
            8 => Self::VanishesSending(chance.place(800)),
            9 | 10 => Self::VanishesHearing(chance.place(3_000)),
            11 | 12 => Self::HalfCloses,
            _ => Self::Deaf,
        }
    }
}

/// A client while it lasts.
pub(super) struct Client {
    pub(super) world: Rc<World>,
    pub(super) book: Rc<Book>,
    pub(super) chance: Chance,
    pub(super) manner: Manner,
    /// The numbers of what it has to ask.
    pub(super) asks: Vec<usize>,
}

impl Client {
    /// Asks what it has to ask, in its manner.
    pub(super) async fn call(mut self, door: SocketAddr) {
        let Some(wire) = Wire::to(&self.world, door) else {
            return;
        };
        let mut transcript = Transcript {
            asked: Vec::new(),
            heard: Vec::new(),
            parting: Parting::Left,
            mannerly: matches!(self.manner, Manner::Plain),
            half_closed: self.manner == Manner::HalfCloses,
            rested_us: Vec::new(),
            answered_us: Vec::new(),
            ended_us: 0,
        };
        let fd = wire.fd();
        self.world
            .note(|| format!("client {fd}: {:?} asks {:?}", self.manner, self.asks));
        transcript.parting = match self.manner {
            Manner::Plain | Manner::Dripping | Manner::VanishesSending(_) => {
                self.in_turn(&wire, &mut transcript).await
            }
            _ => self.at_once(&wire, &mut transcript).await,
        };
        transcript.ended_us = self.world.now_us();
        self.world.note(|| {
            format!(
                "client {fd}: {:?}, heard {}",
                transcript.parting,
                shown(&transcript)
            )
        });
        let abrupt = transcript.parting == Parting::Left && self.chance.one_in(2);
        self.book.transcripts.borrow_mut().push(transcript);
        if abrupt {
            wire.abort();
        }
    }

    async fn in_turn(&mut self, wire: &Wire, transcript: &mut Transcript) -> Parting {
        let mut left = match self.manner {
            Manner::VanishesSending(bytes) => bytes,
            _ => usize::MAX,
        };
        let mut rested_us = 0;
        for number in self.asks.clone() {
            transcript.asked.push(number);
            transcript.rested_us.push(rested_us);
            if !self.send(wire, number, &mut left).await {
                if left == 0 {
                    return Parting::Left;
                }
                // Nobody listens any more; what was said before that may still be heard.
                return self.hear_all(wire, transcript).await;
            }
            let wanted = transcript.asked.len();
            if let Some(parting) = self.hear(wire, transcript, wanted).await {
                return parting;
            }
            // Sometimes until the gateway has parked the connection, sometimes until it closes it.
            let pause_us_max = *self.chance.pick(&[1, 1, 10_000, 1_500_000, 6_000_000]);
            rested_us = self.chance.below(pause_us_max);
            sleep(Duration::from_micros(rested_us)).await;
        }
        Parting::Left
    }

    async fn at_once(&mut self, wire: &Wire, transcript: &mut Transcript) -> Parting {
        let mut left = usize::MAX;
        for number in self.asks.clone() {
            transcript.asked.push(number);
            if !self.send(wire, number, &mut left).await {
                return self.hear_all(wire, transcript).await;
            }
        }
        match self.manner {
            Manner::HalfCloses => wire.half_close(),
            Manner::Deaf => {
                let deaf_us = self.chance.between(1_000_000, 12_000_000);
                sleep(Duration::from_micros(deaf_us)).await;
            }
            _ => {}
        }
        let wanted = transcript.asked.len();
        self.hear(wire, transcript, wanted)
            .await
            .unwrap_or(Parting::Left)
    }

    /// Sends a request; says whether all of it went out.
    async fn send(&mut self, wire: &Wire, number: usize, left: &mut usize) -> bool {
        let bytes = self.book.entries.borrow()[number].ask.bytes.clone();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let mut count = rest.len();
            if self.manner == Manner::Dripping {
                count = self.chance.portion(count.min(300));
                let gap_us = self.chance.below(120_000);
                sleep(Duration::from_micros(gap_us)).await;
            }
            count = count.min(*left);
            if count == 0 || !wire.write(&rest[..count], PATIENCE).await {
                return false;
            }
            *left -= count;
            rest = &rest[count..];
        }
        self.book.entries.borrow_mut()[number].sent_us = Some(self.world.now_us());
        true
    }

    /// Listens until so many answers are whole, or it is over.
    async fn hear(
        &self,
        wire: &Wire,
        transcript: &mut Transcript,
        wanted: usize,
    ) -> Option<Parting> {
        loop {
            let whole = self.whole_answers(transcript);
            while transcript.answered_us.len() < whole {
                transcript.answered_us.push(self.world.now_us());
            }
            if whole >= wanted {
                return None;
            }
            if let Manner::VanishesHearing(bytes) = self.manner
                && transcript.heard.len() >= bytes
            {
                return Some(Parting::Left);
            }
            match wire.read(&mut transcript.heard, PATIENCE).await {
                Heard::Bytes => {}
                Heard::End => return Some(Parting::Closed),
                Heard::Reset => return Some(Parting::Reset),
                Heard::Nothing => return Some(Parting::Forsaken),
            }
        }
    }

    async fn hear_all(&self, wire: &Wire, transcript: &mut Transcript) -> Parting {
        let parting = self.hear(wire, transcript, usize::MAX).await;
        parting.unwrap_or(Parting::Left)
    }

    /// Answers that have come whole. What cannot be read is judged later.
    fn whole_answers(&self, transcript: &Transcript) -> usize {
        let entries = self.book.entries.borrow();
        let asked = transcript.asked.iter();
        let bodiless: Vec<bool> = asked.map(|&number| entries[number].ask.is_head()).collect();
        let read = strict::answers(&transcript.heard, &bodiless, false);
        let whole = |answer: &&strict::Answer| answer.body.whole;
        read.map_or(0, |(answers, _)| answers.iter().filter(whole).count())
    }
}

/// The beginning and the end of what was heard, for a trace.
fn shown(transcript: &Transcript) -> String {
    const EITHER: usize = 1_200;
    let heard = &transcript.heard;
    let (first, rest) = heard.split_at(heard.len().min(EITHER));
    let last = &rest[rest.len().saturating_sub(EITHER)..];
    let text = String::from_utf8_lossy;
    format!(
        "{} bytes: {:?} … {:?}",
        heard.len(),
        text(first),
        text(last)
    )
}
