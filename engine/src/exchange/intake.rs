//! Reads a request: its head, and its body where the route needs it whole.
//!
//! What is read is bounded: the head and inspected bodies by the file's `[limits]`,
//! the time by its `[timeouts]`. A body that is only passed on is not read here.

use std::rc::Rc;

use tollring_dialects::openai;
use tollring_http1::{BodyDecoder, Framing, HeadLimits, Parsed};

use super::pace::Pace;
use super::route::{Call, Wanted};
use super::{Exchange, Stop, auth::Caller, quota, refusal::Refusal};
use crate::live::Live;
use crate::net::buffer::BLOCK_BYTES;
use crate::net::deadline::{Action, Cut};
use crate::net::stream::Broken;
use crate::pressure::Promise;

/// The interim answer that lets a waiting client send its body (RFC 9110 §15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Bytes of memory for each byte of a body that is inspected. It is there as it came and as it goes
/// to the provider, in blocks that it fills to a quarter at worst, and the system gives memory in
/// pieces of 2 MiB where it can. Measured: 5 for bodies of 1 MiB.
const MEMORY_PER_BYTE: usize = 6;

/// How much more of a body is believed to come for each byte that has: room is made for it, and
/// memory asked for, before others take it. Whoever announces much and sends little gets little.
const LIKELY_PER_BYTE: usize = 15;

/// Reads until the head is whole.
pub(super) async fn head(exchange: &mut Exchange<'_>) -> Result<(), Stop> {
    let (limits, timeouts) = (exchange.live.config.limits, exchange.live.config.timeouts);
    let bounds = HeadLimits {
        head_bytes: limits.head_bytes,
        head_fields: limits.head_fields,
        target_bytes: limits.target_bytes,
    };
    let mut armed = false;
    loop {
        let intake = &mut *exchange.intake;
        match intake.head.parse(&intake.inbox, &bounds) {
            Ok(Parsed::Done) => break,
            Ok(Parsed::Partial) => {}
            Err(fault) => return Err(Refusal::Head(fault).into()),
        }
        let reader = &mut exchange.client.reader;
        if !armed {
            // Absolute, from the first byte: a client that drips does not extend it.
            reader.watch().arm(timeouts.head, Action::CloseReading);
            armed = true;
        }
        intake.inbox.reserve_block(1);
        match reader.read(&mut intake.inbox).await {
            Ok(_) => {}
            Err(Broken::Cut(Cut::Deadline)) => return Err(Refusal::HeadTimedOut.into()),
            Err(_) => return Err(Stop::Leave),
        }
    }
    if armed {
        exchange.client.reader.watch().disarm();
    }
    understood(exchange);
    Ok(())
}

/// Notes what the later steps want to know of the head, and takes in the part of the body
/// that came with it.
fn understood(exchange: &mut Exchange<'_>) {
    let intake = &mut *exchange.intake;
    let facts = &mut exchange.facts;
    facts.method = intake.head.method;
    facts.version = intake.head.version;
    facts.keep_alive &= intake.head.keep_alive && !exchange.worker.ends_connections.get();
    intake.decoder = BodyDecoder::new(intake.head.framing);
    intake.body = intake.head.len..intake.head.len;
    intake.rest = intake.head.len;
    exchange.worker.counters().requests_total.add(1);
}

/// Reads the body of a call as far as the call needs it, and what it asks for.
pub(super) async fn body(
    exchange: &mut Exchange<'_>,
    live: &Live,
    wanted: Wanted,
    caller: Option<Caller>,
) -> Result<Call, Stop> {
    match wanted {
        Wanted::Completion(endpoint) => {
            if exchange.intake.head.expect_continue {
                // A caller that has nothing left is told before it sends a long prompt.
                quota::refuse_if_spent(exchange.worker, live, caller)?;
            }
            whole(exchange, live).await?;
            let text = &exchange.intake.inbox[exchange.intake.body.clone()];
            exchange.progress.uploaded.set(text.len() as u64);
            let ask = openai::read_ask(endpoint, text).map_err(Refusal::Ask)?;
            let model = super::route::model(exchange, live, &ask, caller)?;
            Ok(Call::Completion {
                endpoint,
                model,
                ask,
            })
        }
        Wanted::Service(service) => {
            decode_arrived(exchange)?;
            let arrived = exchange.intake.body.len() as u64;
            exchange.progress.uploaded.set(arrived);
            Ok(Call::Service(service))
        }
    }
}

/// Reads the whole body into the inbox.
///
/// # Errors
/// A refusal when it is malformed, too long or too slow.
pub(super) async fn whole(exchange: &mut Exchange<'_>, live: &Live) -> Result<(), Stop> {
    let bytes_max = live.config.limits.body_bytes;
    if let Framing::Length(length) = exchange.intake.head.framing
        && length > bytes_max as u64
    {
        return Err(Refusal::BodyTooLong.into());
    }
    decode_arrived(exchange)?;
    if !exchange.intake.decoder.is_done() {
        say_continue(exchange).await?;
    }
    let mut pace = Pace::new(&live.config);
    let worker = Rc::clone(exchange.worker);
    let mut promise = worker.shared().memory.promise();
    while !exchange.intake.decoder.is_done() {
        if exchange.intake.body.len() > bytes_max {
            return Err(Refusal::BodyTooLong.into());
        }
        make_room(exchange, &mut promise)?;
        let asked_ms = exchange.worker.deadlines.now_ms();
        let reader = &mut exchange.client.reader;
        reader.watch().arm(pace.next_read(), Action::CloseReading);
        match reader.read(&mut exchange.intake.inbox).await {
            Ok(count) => {
                pace.note(exchange.worker.deadlines.now_ms() - asked_ms, count);
                decode_arrived(exchange)?;
            }
            Err(Broken::Cut(Cut::Deadline)) => return Err(Refusal::BodyTimedOut.into()),
            Err(_) => return Err(Stop::Leave),
        }
    }
    exchange.client.reader.watch().disarm();
    if exchange.intake.body.len() > bytes_max {
        return Err(Refusal::BodyTooLong.into());
    }
    Ok(())
}

/// Makes room for more of the body, unless there is enough for a read: grown in steps by what has
/// arrived, so that what a client announces is not yet worth memory, and what it sends is
/// copied a few times at most.
///
/// # Errors
/// When memory is too short for what is likely to come: sooner for one request than, half-way,
/// for all of them.
fn make_room(exchange: &mut Exchange<'_>, promise: &mut Promise<'_>) -> Result<(), Refusal> {
    let intake = &mut *exchange.intake;
    let announced = match intake.head.framing {
        Framing::Length(length) => {
            let left = length.saturating_sub(intake.body.len() as u64);
            usize::try_from(left).unwrap_or(usize::MAX)
        }
        Framing::Chunked | Framing::UntilClose => usize::MAX,
    };
    if intake.inbox.room() < announced.min(BLOCK_BYTES / 2) {
        let arrived = intake.inbox.len();
        let step = announced
            .min((LIKELY_PER_BYTE * arrived).max(BLOCK_BYTES))
            .max(1);
        // A read fills what room there is, and no more than what is announced.
        let whole = intake.inbox.grown(step);
        let whole = whole.min(arrived.saturating_add(announced));
        if !promise.reach(MEMORY_PER_BYTE * whole) {
            return Err(Refusal::MemoryShort);
        }
        intake.inbox.reserve_block(step);
    }
    Ok(())
}

/// Decodes what has arrived behind the body so far, and puts it there.
fn decode_arrived(exchange: &mut Exchange<'_>) -> Result<(), Refusal> {
    let intake = &mut *exchange.intake;
    let arrived = intake.rest;
    if intake.decoder.is_done() {
        return Ok(());
    }
    let decoded = intake
        .decoder
        .decode(&mut intake.inbox[arrived..])
        .map_err(Refusal::Body)?;
    let data = arrived + decoded.data.start..arrived + decoded.data.end;
    let end = intake.body.end;
    intake.body.end += data.len();
    if data.start != end {
        intake.inbox.copy_within(data, end);
    }
    intake.rest = arrived + decoded.consumed;
    if !decoded.done && intake.body.end < intake.rest {
        // Chunk heads are behind us; the next bytes are read where they were.
        intake.inbox.truncate(intake.body.end);
        intake.rest = intake.body.end;
    }
    Ok(())
}

/// Sends `100 Continue` to a client that waits for it.
pub(super) async fn say_continue(exchange: &mut Exchange<'_>) -> Result<(), Stop> {
    if !exchange.intake.head.expect_continue {
        return Ok(());
    }
    let outbox = &mut exchange.outlet.outbox;
    outbox.clear();
    outbox.reserve_block(CONTINUE.len());
    outbox.extend_from_slice(CONTINUE);
    let writer = &mut exchange.client.writer;
    let limit = exchange.live.config.timeouts.write;
    writer.watch().arm(limit, Action::CloseBoth);
    let written = writer.write(outbox, 0..CONTINUE.len()).await;
    writer.watch().disarm();
    written.map_err(|_| Stop::Leave)
}

/// Whether the request is wholly read, so that the connection may go on after an answer that
/// did not need its body. Takes in what has arrived, and waits for nothing.
pub(super) fn skip_arrived(exchange: &mut Exchange<'_>) -> bool {
    decode_arrived(exchange).is_ok() && exchange.intake.decoder.is_done()
}
