//! Plays every case of a topic through one running proxy, and judges them.
//!
//! Each case has its own client, its own path and its own upstream, so they are played at
//! once. They are judged when the proxy is gone: what was never to reach an upstream can then
//! no longer be on its way.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Topic;
use super::case::Case;
use super::client::{Heard, talk};
use super::judge::{Verdict, judge};
use super::meeting::Meeting;
use super::place::Place;
use super::product::{Product, Site};
use super::upstream::{Taken, Upstream};

/// How long a case may take. A pass waits only for what it must see; a machine that compiles
/// meanwhile must not turn one into a failure.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// A case that was played.
pub struct Played {
    /// Its name.
    pub name: &'static str,
    /// Where its rule stands.
    pub rfc: &'static str,
    /// How it ended.
    pub verdict: Verdict,
}

/// Plays a topic.
///
/// # Errors
/// When the proxy cannot be started.
pub fn play(topic: &Topic, product: Product) -> Result<Vec<Played>, String> {
    let cases = topic.cases();
    let mut rooms: Vec<Room> = cases.iter().enumerate().map(Room::new).collect();
    let site = Site {
        setting: topic.setting,
        rooms: rooms
            .iter()
            .map(|room| (room.place.clone(), room.upstream.address))
            .collect(),
    };
    let proxy = product.start(&site)?;
    let address = proxy.address();
    thread::scope(|scope| {
        let clients: Vec<_> = rooms
            .iter()
            .map(|room| scope.spawn(|| room.talk(address)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join())
            .collect::<Vec<_>>()
    })
    .into_iter()
    .zip(&mut rooms)
    .for_each(|(heard, room)| room.heard = heard.expect("a client does not panic"));
    drop(proxy);
    Ok(rooms.into_iter().map(Room::judge).collect())
}

/// A case where it is played.
struct Room<'a> {
    case: &'a Case,
    place: Place,
    meeting: Arc<Meeting>,
    upstream: Upstream,
    heard: Result<Heard, String>,
}

impl<'a> Room<'a> {
    fn new((number, case): (usize, &'a Case)) -> Self {
        let meeting = Arc::new(Meeting::default());
        Self {
            case,
            place: Place::of(number),
            upstream: Upstream::start(case.upstream.clone(), Arc::clone(&meeting)),
            meeting,
            heard: Err("not played".to_owned()),
        }
    }

    fn talk(&self, address: std::net::SocketAddr) -> Result<Heard, String> {
        talk(address, &self.place, &self.case.client, &self.meeting)
            .map_err(|fault| format!("cannot connect: {fault}"))
    }

    fn judge(self) -> Played {
        let as_written = |taken: Taken| Taken {
            bytes: self.place.take_out(&taken.bytes),
            ..taken
        };
        let taken: Vec<Taken> = self.upstream.finish().into_iter().map(as_written).collect();
        let verdict = self.heard.and_then(|heard| {
            let heard = Heard {
                bytes: self.place.take_out(&heard.bytes),
                ..heard
            };
            judge(self.case, &heard, &taken)
        });
        Played {
            name: self.case.name,
            rfc: self.case.rfc,
            verdict,
        }
    }
}
