//! One request and its answer, from the head to the last byte.
//!
//! The order of things is here: what is counted when, and at which point each fault strikes. Shapes
//! come from [`super::openai`] and [`super::rest`], bytes go through [`super::connection`].

use std::time::Instant;

use super::connection::{Connection, Ended, Shape};
use super::openai::answer::{self, Said};
use super::openai::ask::{Ask, EmbeddingsAsk};
use super::openai::event::{DONE, Events, Kind};
use super::openai::{Stamp, Usage};
use super::options::Fault;
use super::request::{Request, Route, model_id, percent_decoded};
use super::rest::{self, PATTERN, Sum};
use super::room::Room;
use super::script::Script;
use crate::http::Framing;

/// Bytes of a stream without gaps that are sent at once.
const FLUSH_BYTES: usize = 16 * 1024;

const JSON: &str = "application/json";

/// Whether another request may follow on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Request,
    Close,
}

/// Reads one request and answers it.
pub(super) async fn exchange(conn: &mut Connection, room: &Room) -> Result<Next, Ended> {
    let request = conn.head().await?;
    let body = conn.body(&request).await?;
    if !request.route.is_own() {
        room.tally().request(&conn.notes.path, &conn.notes.key);
    }
    match request.route {
        Route::Chat => generate(conn, room, &request, Kind::Chat).await,
        Route::Completions => generate(conn, room, &request, Kind::Completion).await,
        Route::Embeddings => embed(conn, room, &request).await,
        Route::Bytes(count) => send_bytes(conn, room, &request, count).await,
        route => {
            let status = draft_plain(conn, room, route, body);
            respond(conn, room, &request, status).await
        }
    }
}

/// Drafts the answers that need neither time nor script, and returns their status.
fn draft_plain(conn: &mut Connection, room: &Room, route: Route, body: Sum) -> u16 {
    let draft = &mut conn.draft;
    match route {
        Route::Models => answer::models(draft),
        Route::Model => {
            let path = String::from_utf8_lossy(&conn.notes.path);
            answer::model(draft, &percent_decoded(model_id(&path).unwrap_or("mock")));
        }
        Route::Status(status @ (204 | 304)) => return status,
        Route::Status(status) => {
            answer::error(
                draft,
                "mock_status",
                "mock_status",
                "the status that was asked for",
            );
            return status;
        }
        Route::Sink => rest::sink(draft, body),
        Route::Stats => {
            serde_json::to_writer(draft, &room.stats()).expect("counts are JSON");
        }
        Route::Reset => {
            room.reset_stats();
            draft.extend_from_slice(b"{}");
        }
        Route::WrongMethod => {
            let message = "this path takes another method";
            answer::error(
                draft,
                "invalid_request_error",
                "method_not_allowed",
                message,
            );
            return 405;
        }
        Route::Echo => {
            draft.extend_from_slice(&conn.notes.echo);
            rest::echo_body(draft, body);
        }
        Route::Chat | Route::Completions | Route::Embeddings | Route::Bytes(_) => {
            unreachable!("answered by functions of their own")
        }
    }
    200
}

/// Sends the draft as a whole answer.
async fn respond(
    conn: &mut Connection,
    room: &Room,
    request: &Request,
    status: u16,
) -> Result<Next, Ended> {
    let framing = Framing::Length(conn.draft.len() as u64);
    let shape = Shape {
        status,
        content_type: JSON,
        framing,
        keep_alive: request.keep_alive,
    };
    conn.begin(shape, room.next_id(), &room.date());
    if request.wants_no_body {
        conn.draft.clear();
    }
    conn.append_draft(framing);
    conn.flush().await?;
    Ok(next(request.keep_alive))
}

const fn next(keep_alive: bool) -> Next {
    if keep_alive {
        Next::Request
    } else {
        Next::Close
    }
}

/// Sends `/bytes/{n}`.
async fn send_bytes(
    conn: &mut Connection,
    room: &Room,
    request: &Request,
    count: u64,
) -> Result<Next, Ended> {
    let shape = Shape {
        status: 200,
        content_type: "application/octet-stream",
        framing: Framing::Length(count),
        keep_alive: request.keep_alive,
    };
    conn.begin(shape, room.next_id(), &room.date());
    conn.flush().await?;
    let mut left = if request.wants_no_body { 0 } else { count };
    while left > 0 {
        let run = usize::try_from(left).map_or(PATTERN.len(), |left| left.min(PATTERN.len()));
        conn.send_static(&PATTERN[..run]).await?;
        left -= run as u64;
    }
    Ok(next(request.keep_alive))
}

/// Answers a request for a chat or a completion.
async fn generate(
    conn: &mut Connection,
    room: &Room,
    request: &Request,
    kind: Kind,
) -> Result<Next, Ended> {
    let begun = Instant::now();
    // Out of the connection, so that what was understood can borrow it while we send.
    let body = std::mem::take(&mut conn.json);
    let answered = match Ask::read(&body) {
        Ok(ask) => {
            room.tally().model(ask.model());
            let script = room.script(ask.model(), &request.overrides);
            conn.wait_until(begun + script.ttft).await?;
            if let Some(status) = misbehave(conn, script.fault).await? {
                respond(conn, room, request, status).await
            } else {
                let generation = Generation {
                    room,
                    request,
                    kind,
                    script,
                    ask: &ask,
                    begun,
                };
                if ask.streams() {
                    generation.stream(conn).await
                } else {
                    generation.whole(conn).await
                }
            }
        }
        Err(error) => {
            refuse_json(conn, &error);
            respond(conn, room, request, 400).await
        }
    };
    conn.json = body;
    answered
}

fn refuse_json(conn: &mut Connection, error: &serde_json::Error) {
    let message = format!("the body is not a request: {error}");
    answer::error(
        &mut conn.draft,
        "invalid_request_error",
        "invalid_json",
        &message,
    );
}

/// Carries out a fault that comes before any answer; drafts the error if there is to be one and
/// returns its status.
async fn misbehave(conn: &mut Connection, fault: Option<Fault>) -> Result<Option<u16>, Ended> {
    match fault {
        Some(Fault::Reset) => Err(Ended::Reset),
        Some(Fault::Stall) => Err(conn.wait_until_gone().await),
        Some(Fault::Status(status)) => {
            let (kind, code) = match status {
                429 => ("rate_limit_error", "rate_limit_exceeded"),
                400..=499 => ("invalid_request_error", "mock_failure"),
                _ => ("server_error", "mock_failure"),
            };
            answer::error(&mut conn.draft, kind, code, "the mock was told to fail");
            Ok(Some(status))
        }
        _ => Ok(None),
    }
}

/// Carries out a fault that comes half way through an answer.
async fn break_off(conn: &mut Connection, fault: Fault) -> Ended {
    // Half of it should have arrived before the rest does not.
    match conn.flush().await {
        Err(ended) => ended,
        Ok(()) if fault == Fault::ResetMidstream => Ended::Reset,
        Ok(()) => conn.wait_until_gone().await,
    }
}

/// A model's answer in the making.
struct Generation<'a> {
    room: &'a Room,
    request: &'a Request,
    kind: Kind,
    script: Script,
    ask: &'a Ask<'a>,
    /// When the request had been read.
    begun: Instant,
}

impl Generation<'_> {
    fn stamp(&self) -> Stamp<'_> {
        Stamp {
            id: self.room.next_id(),
            created: self.room.now(),
            model: self.ask.model(),
        }
    }

    fn said(&self) -> Said<'_> {
        let (tokens, cut) = self.ask.limit(self.script.tokens);
        let tool = if self.kind == Kind::Chat {
            self.ask.tool()
        } else {
            None
        };
        Said { tokens, cut, tool }
    }

    fn usage(&self, said: Said<'_>) -> Option<Usage> {
        match self.script.fault {
            Some(Fault::NoUsage) => None,
            Some(Fault::ZeroUsage) => Some(Usage {
                input: 0,
                output: 0,
            }),
            _ => Some(Usage {
                input: self.ask.input_tokens(),
                output: said.tokens.into(),
            }),
        }
    }

    /// Sends the answer as one JSON object.
    async fn whole(&self, conn: &mut Connection) -> Result<Next, Ended> {
        let (stamp, said) = (self.stamp(), self.said());
        let write = match self.kind {
            Kind::Chat => answer::chat,
            Kind::Completion => answer::completion,
        };
        write(&mut conn.draft, stamp, said, self.usage(said));
        let half = conn.draft.len() / 2;
        if self.script.fault == Some(Fault::Malformed) {
            conn.draft.truncate(half);
        }
        let tally = self.room.tally();
        tally.input(self.ask.input_tokens());
        tally.output(said.tokens.into());
        match self.script.fault {
            Some(fault @ (Fault::ResetMidstream | Fault::StallMidstream)) => {
                let framing = Framing::Length(conn.draft.len() as u64);
                conn.begin(self.shape(framing), self.room.next_id(), &self.room.date());
                conn.draft.truncate(half);
                conn.append_draft(framing);
                Err(break_off(conn, fault).await)
            }
            _ => respond(conn, self.room, self.request, 200).await,
        }
    }

    fn shape(&self, framing: Framing) -> Shape {
        let keep_alive = self.request.keep_alive && framing != Framing::UntilClose;
        let content_type = if self.ask.streams() {
            "text/event-stream"
        } else {
            JSON
        };
        Shape {
            status: 200,
            content_type,
            framing,
            keep_alive,
        }
    }

    /// Sends the answer as events, one token to each, at the script's pace.
    async fn stream(&self, conn: &mut Connection) -> Result<Next, Ended> {
        let framing = if self.request.understands_chunks && !self.script.close_delimited {
            Framing::Chunked
        } else {
            Framing::UntilClose
        };
        let shape = self.shape(framing);
        let said = self.said();
        let with_usage = self.ask.wants_usage() && self.script.tells_usage();
        let events = Events {
            kind: self.kind,
            stamp: self.stamp(),
            said,
            with_usage,
        };
        self.room.tally().input(self.ask.input_tokens());
        conn.begin(shape, self.room.next_id(), &self.room.date());
        events.opening(&mut conn.draft);
        if self.produce(conn, &events, framing).await? {
            events.closing(&mut conn.draft);
            conn.append_draft(framing);
            if let Some(usage) = self.usage(said).filter(|_| with_usage) {
                events.usage(&mut conn.draft, usage);
                conn.append_draft(framing);
            }
            conn.draft.extend_from_slice(DONE);
            conn.append_draft(framing);
        }
        if framing == Framing::Chunked {
            conn.out.extend_from_slice(b"0\r\n\r\n");
        }
        conn.flush().await?;
        Ok(next(shape.keep_alive))
    }

    /// Sends the tokens; false when the stream is to end without saying why.
    async fn produce(
        &self,
        conn: &mut Connection,
        events: &Events<'_>,
        framing: Framing,
    ) -> Result<bool, Ended> {
        let tokens = events.said.tokens;
        let tally = self.room.tally();
        let paced = !self.script.gap.is_zero();
        let mut uncounted = 0;
        for index in 0..tokens {
            if index == tokens / 2 {
                match self.script.fault {
                    Some(fault @ (Fault::ResetMidstream | Fault::StallMidstream)) => {
                        tally.output(uncounted);
                        return Err(break_off(conn, fault).await);
                    }
                    Some(Fault::Malformed) => {
                        tally.output(uncounted);
                        events.malformed(&mut conn.draft);
                        conn.append_draft(framing);
                        return Ok(false);
                    }
                    _ => {}
                }
            }
            if paced && index > 0 {
                conn.wait_until(self.begun + self.script.ttft + self.script.gap * index)
                    .await?;
            }
            if !conn.draft.is_empty() {
                conn.append_draft(framing);
            }
            events.token(&mut conn.draft, index);
            conn.append_draft(framing);
            uncounted += 1;
            if paced || conn.out.len() >= FLUSH_BYTES {
                tally.output(std::mem::take(&mut uncounted));
                conn.flush().await?;
            }
        }
        tally.output(uncounted);
        Ok(true)
    }
}

/// Answers a request for embeddings.
async fn embed(conn: &mut Connection, room: &Room, request: &Request) -> Result<Next, Ended> {
    let begun = Instant::now();
    let body = std::mem::take(&mut conn.json);
    let status = match EmbeddingsAsk::read(&body) {
        Ok(ask) => {
            room.tally().model(ask.model());
            let script = room.script(ask.model(), &request.overrides);
            conn.wait_until(begun + script.ttft).await?;
            match misbehave(conn, script.fault).await? {
                Some(status) => status,
                None => {
                    draft_embeddings(conn, room, &ask, &script);
                    200
                }
            }
        }
        Err(error) => {
            refuse_json(conn, &error);
            400
        }
    };
    conn.json = body;
    respond(conn, room, request, status).await
}

fn draft_embeddings(conn: &mut Connection, room: &Room, ask: &EmbeddingsAsk<'_>, script: &Script) {
    room.tally().input(ask.input_tokens());
    let usage = match script.fault {
        Some(Fault::NoUsage) => None,
        Some(Fault::ZeroUsage) => Some(Usage {
            input: 0,
            output: 0,
        }),
        _ => Some(Usage {
            input: ask.input_tokens(),
            output: 0,
        }),
    };
    answer::embeddings(&mut conn.draft, ask, usage);
    if script.fault == Some(Fault::Malformed) {
        conn.draft.truncate(conn.draft.len() / 2);
    }
}
