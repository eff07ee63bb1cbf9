//! The providers of this bench: one that is well, one whose answers are large, and the sick.
//!
//! They share one book of every request they have read, by its id: what was done for whom is
//! known here, whatever the gateway says. Whoever may keep others waiting has a thread of its
//! own, so that the slowness of one provider is not measured at another. They decide nothing
//! about what is right.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::fault::{Fault, Reads};
use super::talk::Talk;

/// An answer that no pair of sockets has room for: four times the most that Linux lets one send.
pub(crate) const LARGE_BYTES: usize = 16 << 20;

/// What the system takes of it at a time: less than it likes to, so that thousands who do not
/// read keep the machine busy with waiting and not with copying.
const LARGE_SEND_BYTES: usize = 32 << 10;

/// Between two events of a stream.
const EVENT_GAP: Duration = Duration::from_millis(20);

/// Between two bytes of a dripping answer, which is a few hundred long.
const DRIP_GAP: Duration = Duration::from_millis(1);

/// Clients that may wait for a provider to accept them; a crowd comes at once.
const BACKLOG: i32 = 4096;

/// Every request that was read.
#[derive(Default)]
pub(crate) struct Book {
    reads: Mutex<HashMap<u64, Reads>>,
    /// Requests that were read more than once, by providers that are well.
    repeated: AtomicU64,
    /// Answers that the gateway did not want to the end.
    unwanted: AtomicU64,
}

impl Book {
    /// Who has read the request of this id.
    pub(crate) fn reads(&self, id: u64) -> Reads {
        let reads = self.reads.lock().expect("no holder of the book panics");
        reads.get(&id).copied().unwrap_or_default()
    }

    /// How many requests were read more than once by providers that are well.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// How many answers the gateway broke off.
    pub(crate) fn unwanted(&self) -> u64 {
        self.unwanted.load(Ordering::Relaxed)
    }

    fn note(&self, id: u64, manner: Option<Fault>) {
        let mut reads = self.reads.lock().expect("no holder of the book panics");
        let of_id = reads.entry(id).or_default();
        if manner.is_some() {
            of_id.sick = of_id.sick.saturating_add(1);
            return;
        }
        of_id.well = of_id.well.saturating_add(1);
        if of_id.well == 2 {
            self.repeated.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The providers, which run until the bench ends.
pub(crate) struct Providers {
    /// Whom normal traffic is for.
    pub(crate) well: SocketAddr,
    /// Whose answers are large.
    pub(crate) large: SocketAddr,
    /// The well member of the sick pools.
    pub(crate) spare: SocketAddr,
    /// The sick, in the order of [`Fault::ALL`].
    pub(crate) sick: Vec<(Fault, SocketAddr)>,
    /// What they have read.
    pub(crate) book: Arc<Book>,
    /// Has a port and does not listen at it.
    _refusing: Socket,
}

/// A socket that listens, and what whoever is behind it does wrong.
type Door = (Option<Fault>, Socket);

impl Providers {
    /// Starts them.
    pub(crate) fn start() -> io::Result<Self> {
        let (well, large, spare, refusing) = (bound()?, bound()?, bound()?, bound()?);
        large.set_send_buffer_size(LARGE_SEND_BYTES)?;
        let address = |socket: &Socket| {
            let address = socket.local_addr()?.as_socket();
            address.ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
        };
        let addresses = [address(&well)?, address(&large)?, address(&spare)?];
        let (mut sick, mut doors) = (Vec::new(), vec![(None, spare)]);
        for fault in Fault::ALL {
            if fault == Fault::Refuse {
                sick.push((fault, address(&refusing)?));
                continue;
            }
            let socket = bound()?;
            sick.push((fault, address(&socket)?));
            doors.push((Some(fault), socket));
        }
        let book = Arc::<Book>::default();
        for doors in [vec![(None, well)], vec![(None, large)], doors] {
            open(doors, &book)?;
        }
        Ok(Self {
            well: addresses[0],
            large: addresses[1],
            spare: addresses[2],
            sick,
            book,
            _refusing: refusing,
        })
    }
}

fn bound() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    Ok(socket)
}

/// Answers behind these doors, on a thread of its own.
fn open(doors: Vec<Door>, book: &Arc<Book>) -> io::Result<()> {
    let mut listeners = Vec::new();
    for (manner, socket) in doors {
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        listeners.push((manner, TcpListener::from(socket)));
    }
    let book = Arc::clone(book);
    thread::Builder::new()
        .name("provider".to_owned())
        .spawn(move || attend(listeners, &book))
        .map(drop)
}

fn attend(listeners: Vec<(Option<Fault>, TcpListener)>, book: &Arc<Book>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts where the last one did");
    let tasks = LocalSet::new();
    for (manner, listener) in listeners {
        let book = Arc::clone(book);
        tasks.spawn_local(async move {
            let listener = tokio::net::TcpListener::from_std(listener);
            let listener = listener.expect("a listener becomes the runtime's");
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    tokio::task::spawn_local(converse(stream, manner, Arc::clone(&book)));
                }
            }
        });
    }
    runtime.block_on(tasks);
}

/// A request, as far as these providers read it.
struct Call {
    id: u64,
    /// Events of a stream; none for an answer at once.
    events: Option<usize>,
    is_large: bool,
}

impl Call {
    async fn read(talk: &mut Talk) -> io::Result<Self> {
        let head = talk.head().await?;
        let body = talk.body(&head).await?;
        let body = String::from_utf8_lossy(&body);
        let number = |text: &str, name: &str| {
            let digits = text.split_once(name)?.1;
            let end = digits.find(|c: char| !c.is_ascii_digit());
            digits[..end.unwrap_or(digits.len())].parse::<u64>().ok()
        };
        let id = number(&body, "\"user\":\"").or_else(|| number(&head.first, "/id/"));
        let events = number(&body, "\"max_tokens\":").filter(|_| body.contains("\"stream\":true"));
        Ok(Self {
            id: id.ok_or(io::ErrorKind::InvalidData)?,
            events: events.and_then(|events| usize::try_from(events).ok()),
            is_large: head.first.contains("/large/"),
        })
    }

    /// An answer at once, whole.
    fn answer(&self) -> String {
        let id = self.id;
        let body = format!(
            "{{\"id\":\"{id}\",\"object\":\"chat.completion\",\"choices\":[{{\"index\":0,\
             \"message\":{{\"role\":\"assistant\",\"content\":\"Well.\"}},\
             \"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":10,\
             \"completion_tokens\":5,\"total_tokens\":15}}}}"
        );
        let length = body.len();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             \r\n{body}"
        )
    }
}

async fn converse(stream: TcpStream, manner: Option<Fault>, book: Arc<Book>) {
    let mut talk = Talk::over(stream);
    if manner == Some(Fault::ResetUnread) {
        // The bytes are here, and are not read.
        let _ = talk.stream.readable().await;
        return talk.reset();
    }
    while let Ok(call) = Call::read(&mut talk).await {
        book.note(call.id, manner);
        let Some(fault) = manner else {
            // Boxed: most calls need no room for the pieces of a large answer.
            if Box::pin(answer(&mut talk, &call)).await.is_err() {
                book.unwanted.fetch_add(1, Ordering::Relaxed);
                return;
            }
            continue;
        };
        match misbehave(talk, &call, fault).await {
            Some(kept) => talk = kept,
            None => return,
        }
    }
}

/// Answers as somebody does who is well.
async fn answer(talk: &mut Talk, call: &Call) -> io::Result<()> {
    if call.is_large {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE_BYTES}\r\n\r\n");
        talk.send(head.as_bytes()).await?;
        let piece = [b'.'; 16 << 10];
        for _ in 0..LARGE_BYTES / piece.len() {
            talk.send(&piece).await?;
        }
        return Ok(());
    }
    let Some(events) = call.events else {
        return talk.send(call.answer().as_bytes()).await;
    };
    let chunk = |data: &str| format!("{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8);
    let id = call.id;
    let event = |choices: &str, more: &str| {
        format!(
            "{{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"choices\":[{choices}]{more}}}"
        )
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\n\r\n";
    talk.send(head.as_bytes()).await?;
    let content = event("{\"index\":0,\"delta\":{\"content\":\"w\"}}", "");
    for _ in 0..events {
        talk.send(chunk(&content).as_bytes()).await?;
        sleep(EVENT_GAP).await;
    }
    let used = format!(
        ",\"usage\":{{\"prompt_tokens\":10,\"completion_tokens\":{events},\"total_tokens\":{}}}",
        events + 10
    );
    let last = chunk(&event("", &used)) + &chunk("[DONE]") + "0\r\n\r\n";
    talk.send(last.as_bytes()).await
}

/// Does to a request that was read what this fault does; the connection, where it goes on.
async fn misbehave(mut talk: Talk, call: &Call, fault: Fault) -> Option<Talk> {
    let answer = call.answer();
    match fault {
        Fault::Refuse | Fault::ResetUnread => None,
        Fault::ResetRead => {
            talk.reset();
            None
        }
        Fault::ResetAnswering => {
            talk.send(&answer.as_bytes()[..answer.len() - 20])
                .await
                .ok()?;
            // Not so soon that the reset overtakes what was said.
            sleep(DRIP_GAP).await;
            talk.reset();
            None
        }
        Fault::Stall => {
            // Until the gateway has had enough.
            let _ = talk.head().await;
            None
        }
        Fault::StallAnswering => {
            let head = answer.find("\r\n\r\n").expect("it was written so") + 4;
            talk.send(&answer.as_bytes()[..head]).await.ok()?;
            let _ = talk.head().await;
            None
        }
        Fault::Drip => {
            talk.drip(answer.as_bytes(), DRIP_GAP).await.ok()?;
            Some(talk)
        }
        Fault::Garbage => {
            talk.send(b"\x16\x03\x01 220 ready when you are\r\n\r\n")
                .await
                .ok()?;
            Some(talk)
        }
        Fault::CloseIdle => {
            talk.send(answer.as_bytes()).await.ok()?;
            close_idle(talk, call.id).await
        }
    }
}

/// Closes at one of the moments at which a request may be on its way, or does not.
async fn close_idle(talk: Talk, id: u64) -> Option<Talk> {
    match id % 4 {
        // With its answer, without a word about it.
        0 => None,
        // Soon after.
        1 => {
            sleep(Duration::from_millis(1 + id % 3)).await;
            None
        }
        // With the next request in its hands, unread: the system makes this a reset.
        2 => {
            let _ = talk.stream.readable().await;
            None
        }
        _ => Some(talk),
    }
}
