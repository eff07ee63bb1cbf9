//! One client connection: waiting for requests, and serving them one after the other.
//!
//! What a request needs (parsed heads, meters, blocks) lies on a desk that is lent
//! while the connection is busy; a waiting connection holds its socket and nothing
//! else. What a request means is decided in `exchange`.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use tollring_dialects::openai::{StreamMeter, UnaryMeter};
use tollring_http1::{BodyDecoder, Framing, RequestHead, ResponseHead};

use crate::accept::TurnedAway;
use crate::callers::Seat;
use crate::exchange::inflate::Inflate;
use crate::exchange::{self, After};
use crate::net::deadline::Action;
use crate::net::{Buffer, Buffers, ClientWatch, Stream, spawn};
use crate::worker::Worker;

/// Desks a worker keeps when nobody sits at them. Arbitrary: more than are busy at once.
const DESKS_KEPT: usize = 1024;

/// How much of an unread body is read and thrown away after a refusal, so that the answer
/// is not lost to a reset (RFC 9112 §9.6): more than nearly every prompt. It costs reading, for
/// at most [`LINGER`], and no memory.
const LINGER_BYTES: usize = 8 * 1024 * 1024;

/// How long that may take.
const LINGER: Duration = Duration::from_secs(2);

/// How long a client that was taken from the queue of a listener about to be closed may take to
/// say what it wants. It is on its way: nobody connects to say nothing.
const LAST_COMER: Duration = Duration::from_secs(1);

/// What has been read of a request.
pub(crate) struct Intake {
    pub(crate) head: RequestHead,
    /// Bytes from the client: the head, its body as far as it is here, and what follows.
    pub(crate) inbox: Buffer,
    pub(crate) decoder: BodyDecoder,
    /// Where in the inbox the decoded body lies.
    pub(crate) body: Range<usize>,
    /// Where in the inbox bytes begin that nobody has looked at.
    pub(crate) rest: usize,
    /// The path for the upstream, where a service rewrites it; else empty.
    pub(crate) path_out: Vec<u8>,
}

#[cfg(test)]
impl Intake {
    /// An intake that has read a whole head.
    pub(crate) fn holding(text: impl AsRef<[u8]>) -> Self {
        let mut intake = Desk::new(&Buffers::new()).intake;
        intake.inbox.extend_from_slice(text.as_ref());
        let bounds = tollring_http1::HeadLimits {
            head_bytes: 64 * 1024,
            head_fields: 100,
            target_bytes: 16 * 1024,
        };
        let parsed = intake.head.parse(&intake.inbox, &bounds);
        assert_eq!(parsed, Ok(tollring_http1::Parsed::Done));
        intake
    }
}

/// What is being made into an answer.
pub(crate) struct Outlet {
    pub(crate) answer: ResponseHead,
    /// Bytes from the provider.
    pub(crate) block: Buffer,
    /// Bytes to be sent, in either direction.
    pub(crate) outbox: Buffer,
    pub(crate) unary: UnaryMeter,
    pub(crate) events: StreamMeter,
    /// Reads a copy of an answer that came in a coding; absent for all others.
    pub(crate) inflate: Option<Box<Inflate>>,
}

/// What one exchange works with.
pub(crate) struct Desk {
    pub(crate) intake: Intake,
    pub(crate) outlet: Outlet,
}

impl Desk {
    fn new(buffers: &Rc<Buffers>) -> Self {
        Self {
            intake: Intake {
                head: RequestHead::new(),
                inbox: buffers.none(),
                decoder: BodyDecoder::new(Framing::Length(0)),
                body: 0..0,
                rest: 0,
                path_out: Vec::new(),
            },
            outlet: Outlet {
                answer: ResponseHead::new(),
                block: buffers.none(),
                outbox: buffers.none(),
                unary: UnaryMeter::new(),
                events: StreamMeter::new(),
                inflate: None,
            },
        }
    }
}

/// Desks nobody sits at.
// Boxed, so that lending one moves a pointer and not the desk.
#[allow(clippy::vec_box)]
#[derive(Default)]
pub(crate) struct Desks(RefCell<Vec<Box<Desk>>>);

impl Desks {
    fn lend(&self, buffers: &Rc<Buffers>) -> Box<Desk> {
        let kept = self.0.borrow_mut().pop();
        kept.unwrap_or_else(|| Box::new(Desk::new(buffers)))
    }

    fn take_back(&self, mut desk: Box<Desk>, buffers: &Rc<Buffers>) {
        desk.intake.inbox = buffers.none();
        desk.outlet.block = buffers.none();
        desk.outlet.outbox = buffers.none();
        desk.outlet.inflate = None;
        let mut kept = self.0.borrow_mut();
        if kept.len() < DESKS_KEPT {
            kept.push(desk);
        }
    }
}

/// A client connection.
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) client: Stream,
    pub(crate) presence: Rc<ClientWatch>,
    /// What the subject of the client's certificate is looked up by, where it showed one.
    pub(crate) shown: Option<[u8; 32]>,
    /// Requests that came on it.
    requests: u64,
    /// Who is at the other end of it: the client, as accepted or as a trusted balancer said, or
    /// another proxy before us.
    pub(crate) peer: SocketAddr,
    /// Its place among the connections of its address; held, never asked.
    _seat: Option<Seat>,
}

impl Connection {
    /// A connection that was accepted and counted; it is until it is dropped.
    pub(crate) fn new(
        worker: Rc<Worker>,
        client: Stream,
        peer: SocketAddr,
        shown: Option<[u8; 32]>,
        seat: Option<Seat>,
    ) -> Self {
        let presence = ClientWatch::new(client.fd(), client.seal().cloned());
        Self {
            worker,
            client,
            presence,
            shown,
            requests: 0,
            peer,
            _seat: seat,
        }
    }

    /// Notes one more request, and says whether it may be followed by another.
    pub(crate) fn begin_request(&mut self, max: Option<u64>) -> bool {
        self.requests += 1;
        max.is_none_or(|max| self.requests < max)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.presence.stop();
        self.worker.counters().connections.sub(1);
    }
}

/// Says that nothing more will come, and reads on without looking, so that the client sees our
/// last words before the end.
pub(crate) async fn linger(client: &mut Stream, block: &mut Buffer) {
    client.writer.close().await;
    client.reader.watch().arm(LINGER, Action::CloseBoth);
    let mut thrown_away = 0;
    while thrown_away < LINGER_BYTES {
        block.clear();
        block.reserve_block(1);
        match client.reader.read(block).await {
            Ok(count) => thrown_away += count,
            Err(_) => return,
        }
    }
}

/// Says through TLS that this is the end, behind what is still on its way (RFC 8446 §6.1).
/// In the clear the end itself says so.
async fn say_goodbye(client: &mut Stream) {
    if client.seal().is_some() {
        client.writer.watch().arm(LINGER, Action::CloseBoth);
        client.writer.close().await;
    }
}

/// Serves a connection from now on, on a task of its own. `arrived` is what has come already.
pub(crate) fn start(connection: Connection, arrived: Option<Buffer>) {
    let worker = Rc::clone(&connection.worker);
    spawn(serve(connection, arrived), move || {
        worker.counters().panics_total.add(1)
    });
}

/// Serves a connection until either side has had enough, or until it is quiet. A task that
/// serves has room for a whole exchange; one that only waits has none, so a quiet connection
/// moves to a smaller task, and back when there is something to read.
async fn serve(mut connection: Connection, mut carried_over: Option<Buffer>) {
    let worker = Rc::clone(&connection.worker);
    let mut last_comer = worker.doorway.is_closing() && connection.requests == 0;
    loop {
        let inbox = match carried_over.take() {
            Some(pipelined) => pipelined,
            // Told to stop while this task was on its way: no drain will look here again.
            None if worker.draining.get() && !last_comer && connection.client.is_quiet() => {
                return connection.client.say_goodbye_now();
            }
            None => {
                let stated = worker.live().config.timeouts.idle;
                let idle = if last_comer {
                    stated.min(LAST_COMER)
                } else {
                    stated
                };
                match connection
                    .client
                    .reader
                    .read_idle(idle, &worker.buffers)
                    .await
                {
                    Ok(Some(first)) => first,
                    Ok(None) => return park(connection, idle),
                    Err(_) => return connection.client.say_goodbye_now(),
                }
            }
        };
        last_comer = false;
        let mut desk = worker.desks.lend(&worker.buffers);
        desk.intake.inbox = inbox;
        let after = exchange::exchange(&mut connection, &mut desk).await;
        if after == After::Linger {
            linger(&mut connection.client, &mut desk.intake.inbox).await;
        }
        let rest = desk.intake.rest;
        let mut inbox = std::mem::replace(&mut desk.intake.inbox, worker.buffers.none());
        worker.desks.take_back(desk, &worker.buffers);
        match after {
            After::Next if !worker.draining.get() => {}
            After::Next | After::Close => return say_goodbye(&mut connection.client).await,
            After::Linger | After::Cut => return,
        }
        if rest < inbox.len() {
            inbox.drop_front(rest);
            carried_over = Some(inbox);
        }
    }
}

/// Waits on with a task that has room for nothing else.
fn park(connection: Connection, idle: Duration) {
    let worker = Rc::clone(&connection.worker);
    let parked = async move {
        if connection.client.reader.parked(idle).await.is_ok() {
            start(connection, None);
        } else {
            connection.client.say_goodbye_now();
        }
    };
    spawn(parked, move || worker.counters().panics_total.add(1));
}

/// What has as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// This worker, or the process.
    Gateway,
    /// The client's address.
    Address,
}

/// Tells a client that there are too many of them, without looking at what it asked.
pub(crate) fn turn_away(connection: Connection, crowded: Crowded, place: TurnedAway) {
    let worker = Rc::clone(&connection.worker);
    let told = async move {
        say_crowded(connection, crowded).await;
        drop(place);
    };
    spawn(told, move || worker.counters().panics_total.add(1));
}

async fn say_crowded(mut connection: Connection, crowded: Crowded) {
    let mut block = connection.worker.buffers.block();
    exchange::wording::append_crowded(&mut block, crowded);
    let whole = 0..block.len();
    connection
        .client
        .writer
        .watch()
        .arm(LINGER, Action::CloseBoth);
    if connection
        .client
        .writer
        .write(&mut block, whole)
        .await
        .is_ok()
    {
        linger(&mut connection.client, &mut block).await;
    }
}
