//! A WebSocket: a connection that stops being HTTP once its upstream agrees (RFC 6455 §4).
//!
//! Until the upstream's own 101 it is a request like any other: held, tried, refused, and an
//! answer that is not a 101 is passed on as one. After it bytes pass both ways as they are, in
//! one block each way, so that whoever does not read stops whoever writes. Frames are not
//! looked at. What of it is counted is bytes.
//!
//! It ends when both have ended, when either breaks, when neither said anything for
//! `timeouts.idle`, or with the drain of the process; it is settled however it ends, and
//! neither connection is used again.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tollring_config::Service;
use tollring_http1::{Fields, Known, Method};

use super::attempt::Arrived;
use super::bill::Bill;
use super::compose::{self, Out};
use super::relay::Ended;
use super::{Exchange, Facts};
use crate::connection::{Intake, Outlet};
use crate::counters::Counter;
use crate::net::buffer::BLOCK_BYTES;
use crate::net::deadline::{Action, Cut};
use crate::net::stream::Broken;
use crate::net::{Buffer, Reader, Watch, Writer, both};

/// Whether the connection is to become another protocol's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// Nobody asked, or the service has none.
    #[default]
    Unasked,
    /// The client asked, and the upstream is asked too.
    Asked,
    /// The upstream agreed.
    Agreed,
}

/// What is said to the next hop, in both directions (RFC 9110 §7.8).
pub(super) const WEBSOCKET: &[u8] = b"Connection: Upgrade\r\nUpgrade: websocket\r\n";

/// Whether a request asks its service for a WebSocket (RFC 6455 §4.1). One that asks a service
/// without, or for something else, is a request without an `Upgrade`.
pub(super) fn asked(intake: &Intake, service: &Service) -> Upgrade {
    let head = &intake.head;
    let fits = service.rules.websocket
        && head.upgrade
        && head.method == Method::Get
        && head.framing.is_empty()
        && names_websocket(&head.fields, &intake.inbox);
    if fits {
        Upgrade::Asked
    } else {
        Upgrade::Unasked
    }
}

/// Whether an answer is the upstream's agreement to what it was asked.
pub(super) fn agrees(outlet: &Outlet, facts: &Facts) -> bool {
    let Outlet { answer, block, .. } = outlet;
    facts.upgrade == Upgrade::Asked
        && answer.status == 101
        && answer.upgrade
        && answer
            .fields
            .iter()
            .filter(|field| field.known == Known::Upgrade)
            .all(|field| field.value.of(block).eq_ignore_ascii_case(b"websocket"))
}

/// Whether WebSocket is among the protocols that `Upgrade` lists, in any case.
fn names_websocket(fields: &Fields, bytes: &[u8]) -> bool {
    let upgrades = fields.iter().filter(|field| field.known == Known::Upgrade);
    upgrades
        .flat_map(|field| field.value.of(bytes).split(|byte| *byte == b','))
        .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// Passes the 101 on that is in the outlet, and then everything, until the tunnel ends.
pub(super) async fn carry(
    exchange: &mut Exchange<'_>,
    arrived: Arrived<'_>,
    bill: &mut Bill<'_>,
) -> Ended {
    let begun = Instant::now();
    exchange.facts.upgrade = Upgrade::Agreed;
    exchange.presence.stop();
    let _open = Open::count(&exchange.worker.counters().tunnels);
    if send_agreement(exchange).await.is_err() {
        return Ended::ClientGone {
            output: 0,
            bytes: 0,
        };
    }
    both_ways(exchange, arrived, bill.carried()).await;
    bill.post_carried();
    exchange.facts.waited += begun.elapsed();
    // Whoever is still sending is read until it has seen the end; a reset could overtake it.
    exchange.progress.uploading.set(true);
    Ended::Whole { keep: false }
}

async fn send_agreement(exchange: &mut Exchange<'_>) -> Result<(), Broken> {
    let live = &exchange.live;
    exchange.worker.counters().answered(101);
    compose::answer(exchange.outlet, &exchange.facts, live, Out::Tunnel, |_| {});
    let outbox = &mut exchange.outlet.outbox;
    let writer = &mut exchange.client.writer;
    let limit = live.config.timeouts.write;
    writer.watch().arm(limit, Action::CloseBoth);
    let whole = 0..outbox.len();
    let sent = writer.write(outbox, whole).await;
    writer.watch().disarm();
    sent
}

/// Passes bytes both ways, and counts them.
async fn both_ways(exchange: &mut Exchange<'_>, arrived: Arrived<'_>, carried: &Cell<u64>) {
    let timeouts = &exchange.live.config.timeouts;
    let mut upstream = arrived.connection;
    let silence = Silence {
        limit: timeouts.idle,
        client: Rc::clone(exchange.client.reader.watch()),
        upstream: Rc::clone(upstream.stream.reader.watch()),
    };
    // Either side may have spoken before the other knew of the tunnel: an upstream behind its
    // 101, a client behind its request.
    let (intake, outlet) = (&mut *exchange.intake, &mut *exchange.outlet);
    intake.inbox.drop_front(intake.rest);
    intake.rest = 0;
    outlet.block.drop_front(outlet.answer.len);
    let up = Half {
        from: &mut exchange.client.reader,
        to: &mut upstream.stream.writer,
        block: &mut intake.inbox,
        write_limit: arrived.timeouts.between_bytes,
        silence: &silence,
        carried,
    };
    let down = Half {
        from: &mut upstream.stream.reader,
        to: &mut exchange.client.writer,
        block: &mut outlet.block,
        write_limit: timeouts.write,
        silence: &silence,
        carried,
    };
    silence.begin();
    // The server of a WebSocket closes first (RFC 6455 §7.1.1), so its end is the tunnel's.
    both(up.carry(), down.carry()).await;
}

/// One direction of a tunnel.
struct Half<'a> {
    from: &'a mut Reader,
    to: &'a mut Writer,
    /// What was read and not yet passed on.
    block: &'a mut Buffer,
    /// How long the other side may take to take in a block.
    write_limit: Duration,
    silence: &'a Silence,
    carried: &'a Cell<u64>,
}

impl Half<'_> {
    /// Passes on what comes until there is no more. A side that only ends its sending leaves
    /// the other direction alone; one that breaks ends both.
    async fn carry(mut self) {
        loop {
            if self.pass_on().await.is_err() {
                return self.silence.end();
            }
            self.block.reserve_block(BLOCK_BYTES);
            match self.from.read(self.block).await {
                Ok(_) => self.silence.begin(),
                Err(Broken::Closed) => return self.to.close().await,
                Err(_) => return self.silence.end(),
            }
        }
    }

    async fn pass_on(&mut self) -> Result<(), Broken> {
        let length = self.block.len();
        self.to.watch().arm(self.write_limit, Action::CloseBoth);
        let sent = self.to.write(self.block, 0..length).await;
        self.to.watch().disarm();
        self.block.clear();
        if sent.is_ok() {
            self.carried.set(self.carried.get() + length as u64);
        }
        sent
    }
}

/// How long neither side has said anything; and the way to end both.
struct Silence {
    limit: Duration,
    client: Rc<Watch>,
    upstream: Rc<Watch>,
}

impl Silence {
    /// It begins anew: somebody said something.
    fn begin(&self) {
        self.client.arm(self.limit, Action::CloseBoth);
        self.upstream.arm(self.limit, Action::CloseBoth);
    }

    /// Neither side is to wait for the other any more.
    fn end(&self) {
        for side in [&self.client, &self.upstream] {
            side.end(Cut::ClientGone, Action::CloseBoth);
        }
    }
}

/// A tunnel, counted while it is open.
struct Open<'a>(&'a Counter);

impl<'a> Open<'a> {
    fn count(tunnels: &'a Counter) -> Self {
        tunnels.add(1);
        Self(tunnels)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_websocket_is_found_in_a_list_of_protocols_and_nothing_else_is() {
        let check = |upgrade: &str, expected: bool| {
            let intake = Intake::holding(format!(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n{upgrade}\r\n"
            ));
            let named = names_websocket(&intake.head.fields, &intake.inbox);
            assert_eq!(named && intake.head.upgrade, expected, "{upgrade:?}");
        };
        check("Upgrade: websocket\r\n", true);
        check("Upgrade: h2c, WebSocket\r\n", true);
        check("Upgrade: h2c\r\nUpgrade: websocket\r\n", true);
        check("Upgrade: websocket/13\r\n", false);
        check("Upgrade: websockets\r\n", false);
        check("", false);
    }
}
