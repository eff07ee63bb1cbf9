//! Notices clients that went away while their answer is being made.
//!
//! Asking the ring to watch each client would cost two operations a request.
//! Instead, exchanges that have waited for a provider longer than a tick are
//! asked about together, with one `poll` per worker and tick; a request that is
//! answered quickly costs nothing.
//!
//! A client that only closed its sending side still wants its answer, and looks
//! just like one that closed both. The exchange can tell them apart by sending
//! something; what it sends is not decided here.

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::rc::Rc;

use super::deadline::{Action, Cut, Watch};
use super::stream::Seal;
use super::system::{poll_now, send_now};

/// What is known of a client whose exchange is waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is there.
    There,
    /// It sends no more; it may still read.
    HalfClosed,
    /// It is gone for certain.
    Gone,
}

/// One client connection, as far as its going away concerns an exchange.
pub(crate) struct ClientWatch {
    fd: RawFd,
    presence: Cell<Presence>,
    /// The tick on which the present wait began; `None` while nobody waits.
    waiting_since_ms: Cell<Option<u64>>,
    listed: Cell<bool>,
    /// The upstream socket to end when the client is gone.
    upstream: RefCell<Option<Rc<Watch>>>,
    /// Asked once when the client half-closes: sends a byte that a gone client resets.
    probe: Cell<Option<&'static [u8]>>,
    /// What the probe is sent through.
    seal: Option<Rc<Seal>>,
}

impl ClientWatch {
    /// A client that is there.
    pub(crate) fn new(fd: RawFd, seal: Option<Rc<Seal>>) -> Rc<Self> {
        Rc::new(Self {
            fd,
            presence: Cell::new(Presence::There),
            waiting_since_ms: Cell::new(None),
            listed: Cell::new(false),
            upstream: RefCell::new(None),
            probe: Cell::new(None),
            seal,
        })
    }

    /// What is known of the client.
    pub(crate) fn presence(&self) -> Presence {
        self.presence.get()
    }

    /// Stops asking.
    pub(crate) fn stop(&self) {
        self.waiting_since_ms.set(None);
        self.upstream.borrow_mut().take();
    }

    fn learn(&self, events: libc::c_short) {
        if events & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0 {
            self.presence.set(Presence::Gone);
            if let Some(upstream) = self.upstream.borrow_mut().take() {
                upstream.end(Cut::ClientGone, Action::CloseBoth);
            }
        } else if events & libc::POLLRDHUP != 0 && self.presence.get() == Presence::There {
            self.presence.set(Presence::HalfClosed);
            if let Some(bytes) = self.probe.take() {
                match &self.seal {
                    Some(seal) => seal.say_now(self.fd, bytes),
                    // The descriptor is open while the exchange waits. A full socket buffer
                    // loses the probe, which is only a probe.
                    None => _ = send_now(self.fd, bytes),
                }
            }
        }
    }
}

/// The clients of one worker whose exchanges wait for a provider.
#[derive(Default)]
pub(crate) struct Hangups {
    waiting: RefCell<Vec<Rc<ClientWatch>>>,
    polled: RefCell<Vec<libc::pollfd>>,
}

impl Hangups {
    /// Nobody waits.
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }

    /// From now on, end `upstream` if the client goes away. `probe` is sent once to a client
    /// that half-closed, to learn which it is; `None` where nothing may be sent.
    pub(crate) fn watch(
        &self,
        client: &Rc<ClientWatch>,
        upstream: &Rc<Watch>,
        probe: Option<&'static [u8]>,
        now_ms: u64,
    ) {
        client.upstream.borrow_mut().replace(Rc::clone(upstream));
        client.probe.set(probe);
        client.waiting_since_ms.set(Some(now_ms));
        if !client.listed.replace(true) {
            self.waiting.borrow_mut().push(Rc::clone(client));
        }
    }

    /// Asks the kernel about everyone who has waited since before this tick.
    pub(crate) fn tick(&self, now_ms: u64) {
        let mut waiting = self.waiting.borrow_mut();
        let mut polled = self.polled.borrow_mut();
        waiting.retain(|client| {
            let stays = client.waiting_since_ms.get().is_some();
            client.listed.set(stays);
            stays
        });
        polled.clear();
        polled.extend(waiting.iter().map(|client| {
            let old = client
                .waiting_since_ms
                .get()
                .is_some_and(|since| since < now_ms);
            // A negative descriptor is skipped by the kernel.
            let fd = if old { client.fd } else { -1 };
            // POLLRDHUP stays set once the client half-closed; then only errors are news.
            let half = client.presence.get() == Presence::HalfClosed;
            libc::pollfd {
                fd,
                events: if half { 0 } else { libc::POLLRDHUP },
                revents: 0,
            }
        }));
        if polled.is_empty() {
            return;
        }
        if poll_now(&mut polled) {
            for (client, seen) in waiting.iter().zip(polled.iter()) {
                if seen.revents != 0 {
                    client.learn(seen.revents);
                }
            }
        }
    }

    /// Exchanges that wait at this moment, or did a tick ago.
    #[cfg(all(test, not(feature = "simulation")))]
    pub(crate) fn listed(&self) -> usize {
        self.waiting.borrow().len()
    }
}

// On real sockets.
#[cfg(all(test, not(feature = "simulation")))]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::super::deadline::Deadlines;
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    struct Scene {
        hangups: Rc<Hangups>,
        client: Rc<ClientWatch>,
        upstream: Rc<Watch>,
        server_side: TcpStream,
        client_side: TcpStream,
        _provider: TcpStream,
    }

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, client)
    }

    fn scene() -> Scene {
        let (server_side, client_side) = pair();
        let (provider, _) = pair();
        let hangups = Hangups::new();
        let client = ClientWatch::new(server_side.as_raw_fd(), None);
        let upstream = Watch::new(provider.as_raw_fd(), &Deadlines::new());
        hangups.watch(
            &client,
            &upstream,
            Some(b"HTTP/1.1 102 Processing\r\n\r\n"),
            0,
        );
        Scene {
            hangups,
            client,
            upstream,
            server_side,
            client_side,
            _provider: provider,
        }
    }

    /// Ticks until the presence is as wanted; bounded, since loopback is quick but not instant.
    fn tick_until(scene: &Scene, wanted: Presence) {
        for tick in 1..10_000 {
            scene.hangups.tick(tick);
            if scene.client.presence() == wanted {
                return;
            }
            std::thread::yield_now();
        }
        panic!("presence stayed {:?}", scene.client.presence());
    }

    #[test]
    fn a_client_that_reset_ends_the_upstream() {
        let mut scene = scene();
        scene.server_side.write_all(b"unread").unwrap();
        let (_, replacement) = pair();
        drop(std::mem::replace(&mut scene.client_side, replacement));
        tick_until(&scene, Presence::Gone);
        assert_eq!(scene.upstream.cut(), Some(Cut::ClientGone));
    }

    #[test]
    fn a_client_that_closed_is_found_out_by_the_probe() {
        let mut scene = scene();
        let (_, replacement) = pair();
        drop(std::mem::replace(&mut scene.client_side, replacement));
        tick_until(&scene, Presence::Gone);
        assert_eq!(scene.upstream.cut(), Some(Cut::ClientGone));
    }

    #[test]
    fn a_client_that_half_closed_keeps_its_exchange() {
        let mut scene = scene();
        scene.client_side.shutdown(Shutdown::Write).unwrap();
        tick_until(&scene, Presence::HalfClosed);
        for tick in 10_000..10_010 {
            scene.hangups.tick(tick);
        }
        assert_eq!(scene.client.presence(), Presence::HalfClosed);
        assert_eq!(scene.upstream.cut(), None);
        let mut interim = [0; 12];
        scene.client_side.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 102");
    }

    #[test]
    fn whoever_stopped_waiting_leaves_the_list() {
        let scene = scene();
        scene.client.stop();
        scene.hangups.tick(1);
        assert_eq!(scene.hangups.listed(), 0);
    }
}
