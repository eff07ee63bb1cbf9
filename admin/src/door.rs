//! The port, the thread, the connections, and how they end.
//!
//! Decides where the door may stand, how many may come in, how long each may
//! take, and that it closes when it is told to. What is answered is decided in
//! `routes`. One thread does it all, so that the workers' cores see little of it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{self, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tollring_config::Secret;

use crate::gateway::Gateway;
use crate::limits::{
    ACCEPT_PAUSE, CLOSE_TIMEOUT, CONNECTION_AGE_MAX, CONNECTIONS_MAX, HEAD_BYTES_MAX, HEAD_TIMEOUT,
    RATE_WINDOW,
};
use crate::rate::Rate;
use crate::routes::{self, Desk};
use crate::token::Token;

/// Where the door is and what opens it.
#[derive(Clone, Debug)]
pub struct Door {
    /// The address to listen on, a loopback one unless there is TLS; port 0 takes a free port.
    pub listen: SocketAddr,
    /// What an operator shows: at least one character, all of them visible ASCII.
    pub token: Secret,
    /// What is shown of TLS, to be replaced when it was renewed; absent: plain HTTP.
    pub tls: Option<Arc<ArcSwap<ServerConfig>>>,
}

/// A door that is open for as long as this is kept.
#[derive(Debug)]
#[must_use = "dropping it closes the door"]
pub struct OpenDoor {
    address: SocketAddr,
    /// For another process to take over.
    listener: TcpListener,
    /// Whether newcomers are let in; that it is gone shuts the door altogether.
    open: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// Opens the door: binds the port at once, and answers on a thread named `admin`.
///
/// # Errors
///
/// `InvalidInput` when there is no TLS and the address is not a loopback one (the
/// token must not cross a network in the clear) or when the token
/// is empty or cannot be sent in a header field; else what the system says, such
/// as `AddrInUse`.
pub fn open(door: Door, gateway: Arc<dyn Gateway>) -> io::Result<OpenDoor> {
    check(door.listen, &door)?;
    let listener = TcpListener::bind(door.listen)?;
    open_on(listener, door, gateway)
}

/// Opens the door on a socket that listens already, made by another process.
///
/// # Errors
///
/// As [`open`]: where the socket listens is held to the same rule.
pub fn open_on(
    listener: TcpListener,
    door: Door,
    gateway: Arc<dyn Gateway>,
) -> io::Result<OpenDoor> {
    let address = listener.local_addr()?;
    check(address, &door)?;
    let token = Token::new(&door.token).ok_or_else(|| {
        unfit("the admin token is empty or has characters that a header field cannot carry".into())
    })?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        // Only a reload blocks, and there is one at a time.
        .max_blocking_threads(1)
        .thread_name("admin-reload")
        .build()?;
    let attended = attach(listener.try_clone()?, &runtime)?;
    let (open, shut) = watch::channel(true);
    let thread = thread::Builder::new()
        .name("admin".into())
        .spawn(move || attend(runtime, attended, (token, door.tls), gateway, shut))?;
    Ok(OpenDoor {
        address,
        listener,
        open,
        thread,
    })
}

/// Whether the door may stand there.
fn check(listen: SocketAddr, door: &Door) -> io::Result<()> {
    if door.tls.is_none() && !listen.ip().to_canonical().is_loopback() {
        return Err(unfit(format!(
            "{listen} can be reached from elsewhere; listen on 127.0.0.1 or [::1], \
             or add [admin.tls]"
        )));
    }
    Ok(())
}

fn unfit(sentence: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, sentence)
}

fn attach(listener: TcpListener, runtime: &Runtime) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    let _inside = runtime.enter();
    tokio::net::TcpListener::from_std(listener)
}

impl OpenDoor {
    /// The address it listens on, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Another descriptor of its listener, for another process.
    ///
    /// # Errors
    ///
    /// When there is none left.
    pub fn listener(&self) -> io::Result<TcpListener> {
        self.listener.try_clone()
    }

    /// Lets nobody new in: another process has the listener. Who is inside stays until the door
    /// is closed.
    pub fn leave(&self) {
        self.open.send_replace(false);
    }

    /// Stops listening, gives requests in progress a moment to finish, and ends the thread.
    pub fn close(self) {
        drop(self.listener);
        drop(self.open);
        if self.thread.join().is_err() {
            tracing::error!("the admin thread had panicked");
        }
    }
}

/// The whole life of the `admin` thread.
fn attend(
    runtime: Runtime,
    listener: tokio::net::TcpListener,
    (token, tls): (Token, Option<Arc<ArcSwap<ServerConfig>>>),
    gateway: Arc<dyn Gateway>,
    shut: watch::Receiver<bool>,
) {
    runtime.block_on(async move {
        let (sampled, per_s) = watch::channel(0.0);
        // Ends with the runtime.
        tokio::spawn(sample(Arc::clone(&gateway), sampled));
        let reloading = Arc::new(Semaphore::new(1));
        let router = routes::router(Arc::new(Desk {
            gateway,
            token,
            sealed: tls.is_some(),
            per_s,
            reloading,
        }));
        welcome(listener, tls, router, shut).await;
    });
    // A reload that still reads its file is left to itself: the process is about to end.
    runtime.shutdown_background();
}

/// Reads the request counter once a window and makes a rate of it.
async fn sample(gateway: Arc<dyn Gateway>, sampled: watch::Sender<f64>) {
    let start = Instant::now();
    let mut rate = Rate::start(start.elapsed(), gateway.stats().requests_total);
    loop {
        time::sleep(RATE_WINDOW).await;
        let total = gateway.stats().requests_total;
        sampled.send_replace(rate.read(start.elapsed(), total));
    }
}

/// Accepts until the door is shut, then waits a moment for those inside.
async fn welcome(
    listener: tokio::net::TcpListener,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    router: Router,
    mut shut: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut inside = JoinSet::new();
    let mut open = shut.clone();
    loop {
        while inside.try_join_next().is_some() {}
        tokio::select! {
            biased;
            () = gone(&mut shut) => break,
            // An error is the end of the sender, which the line above sees first.
            _ = open.wait_for(|&open| !open) => break,
            (stream, place) = admit(&listener, &places) => {
                let (router, shut) = (router.clone(), shut.clone());
                let tls = tls.as_ref().map(|shown| shown.load_full());
                match tls {
                    None => inside.spawn(serve(stream, router, shut, place)),
                    Some(tls) => inside.spawn(serve_sealed(stream, tls, router, shut, place)),
                };
            }
        }
    }
    drop(listener);
    gone(&mut shut).await;
    // Each of them was told by the same signal.
    let _ = timeout(CLOSE_TIMEOUT, async {
        while inside.join_next().await.is_some() {}
    })
    .await;
}

/// The next connection, once there is a place for it.
async fn admit(
    listener: &tokio::net::TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .expect("the places are never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(fault) => {
                tracing::warn!(%fault, "the admin port could not accept a connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection through TLS; whoever does not come through the handshake is not told why.
async fn serve_sealed(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    router: Router,
    shut: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) {
    match timeout(HEAD_TIMEOUT, TlsAcceptor::from(tls).accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, router, shut, place).await,
        Ok(Err(fault)) => tracing::debug!(%fault, "an admin handshake did not come about"),
        Err(_) => tracing::debug!("an admin handshake took too long"),
    }
}

/// One connection, from its first request to its last.
async fn serve<S>(
    stream: S,
    router: Router,
    mut shut: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = outstayed(&mut shut) => {
            connection.as_mut().graceful_shutdown();
            timeout(CLOSE_TIMEOUT, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(fault) = ended {
        // A client that went away or spoke no HTTP; its business, and of no lasting interest.
        tracing::debug!(%fault, "an admin connection ended early");
    }
}

/// Until the door is shut, or the connection has lived long enough.
async fn outstayed(shut: &mut watch::Receiver<bool>) {
    let _ = timeout(CONNECTION_AGE_MAX, gone(shut)).await;
}

/// Until whoever held the door open has let go of it.
async fn gone(shut: &mut watch::Receiver<bool>) {
    while shut.changed().await.is_ok() {}
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests;
