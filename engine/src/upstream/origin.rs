//! Where upstreams are: host and port, and the addresses behind them.
//!
//! An origin keeps its number for the life of the process, over every snapshot, so
//! that a worker finds its pool by an index. Names are resolved by a thread of
//! their own and never by a worker; a name that fails to resolve keeps the
//! addresses it had.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use crossbeam_utils::CachePadded;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tollring_config::{BaseUrl, UpstreamProxy, UpstreamTls};

use super::addresses::Addresses;
use super::places::Places;
use super::proxy::Proxy;
use crate::counters::Counter;
use crate::tls::Keys;

/// Addresses of one name that are used; a name with more is a round robin of its own.
const ADDRESSES_MAX: usize = 16;

/// Stands for the address of an origin that has a socket of this machine in place of one.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Number of an origin; lasts as long as the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OriginId(pub(crate) usize);

/// One upstream host and port.
pub struct Origin {
    pub(crate) id: OriginId,
    /// Host and port, and what it is reached through, for statistics and logs.
    pub name: Box<str>,
    host: Box<str>,
    port: u16,
    /// The socket of this machine it is reached by, in place of host and port.
    pub(crate) socket: Option<Box<str>>,
    /// The proxy that opens the way; then the addresses are the proxy's.
    pub(crate) proxy: Option<Proxy>,
    addresses: ArcSwap<Addresses>,
    /// How it is reached by TLS; absent: in the clear. Of the latest snapshot: what a renewed
    /// file says counts at once.
    pub(crate) secure: ArcSwapOption<Secure>,
    /// Its connections, over all workers.
    pub(crate) slots: Arc<Places>,
    /// What each worker counts of its connections here.
    pub pools: Box<[CachePadded<PoolCounters>]>,
}

/// What one worker counts of its connections to one origin.
#[derive(Debug, Default)]
pub struct PoolCounters {
    /// Connections that wait for a request.
    pub idle: Counter,
    /// Connections, waiting or not.
    pub open: Counter,
    /// Connections made.
    pub opened_total: Counter,
    /// Requests sent over a connection that had served before.
    pub reused_total: Counter,
}

impl Origin {
    /// The address to try next, in turn; `None` while the name has none.
    pub(crate) fn address(&self, now_ms: u64) -> Option<SocketAddr> {
        self.addresses.load().next(now_ms)
    }

    /// Whether a connection to an address could be made.
    pub(crate) fn note(&self, address: SocketAddr, connected: bool, now_ms: u64) {
        self.addresses.load().note(address, connected, now_ms);
    }

    /// Every address, for whoever looks at all of them.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.load().list().to_vec()
    }

    /// How many addresses there are to try.
    pub(crate) fn addresses_len(&self) -> usize {
        self.addresses.load().list().len()
    }

    /// Asks the system's resolver. Blocks; never called by a worker.
    ///
    /// # Errors
    /// What the resolver says; the addresses stay as they were.
    fn resolve(&self) -> io::Result<()> {
        let found: Vec<SocketAddr> = match self.socket {
            // One place, which needs no address.
            Some(_) => vec![NOWHERE],
            None => {
                let found = self.place().to_socket_addrs()?;
                found.take(ADDRESSES_MAX).collect()
            }
        };
        if found.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        let before = self.addresses.load();
        if before.list() != found {
            self.addresses
                .store(Arc::new(Addresses::new(found, &before)));
        }
        Ok(())
    }

    /// What is connected to.
    fn place(&self) -> (&str, u16) {
        match &self.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.host, self.port),
        }
    }

    fn is_literal(&self) -> bool {
        self.socket.is_some() || self.place().0.parse::<IpAddr>().is_ok()
    }
}

/// Every origin this process has known.
pub(crate) struct Origins {
    workers: usize,
    known: Mutex<Known>,
}

/// What makes two origins different: a connection made for one is never used for another, nor
/// one that a proxy opened for other credentials.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    host: Box<str>,
    port: u16,
    socket: Option<Box<str>>,
    tls: Option<UpstreamTls>,
    proxy: Option<UpstreamProxy>,
}

impl Place {
    /// What it is called, without what may not be shown.
    fn name(&self) -> String {
        let Self { host, port, .. } = self;
        if let Some(path) = &self.socket {
            return format!("unix:{path}");
        }
        let mut name = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        if let Some(proxy) = &self.proxy {
            name.push_str(" via ");
            name.push_str(&proxy.authority);
        }
        name
    }
}

/// How an origin is reached by TLS.
pub(crate) struct Secure {
    pub(crate) config: Arc<ClientConfig>,
    /// The name its certificate must have.
    pub(crate) name: ServerName<'static>,
}

fn secure(url: &BaseUrl, tls: &UpstreamTls, keys: &Keys) -> Option<Secure> {
    // Keys were read for every way of the same snapshot.
    let config = keys.clients.get(tls).filter(|_| url.tls)?;
    let name = tls.server_name.as_ref().unwrap_or(&url.host);
    // What `config` takes for a host is an address or a name.
    let name = ServerName::try_from(name.to_string()).ok()?;
    Some(Secure {
        config: Arc::clone(config),
        name,
    })
}

#[derive(Default)]
struct Known {
    list: Vec<Arc<Origin>>,
    by_place: HashMap<Place, OriginId>,
    /// How many have each name: one place may be reached in several ways.
    named: HashMap<String, usize>,
}

impl Origins {
    /// None yet, for a number of workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers,
            known: Mutex::default(),
        }
    }

    /// The origin of a URL, resolved once when it is new. May block on the resolver. What it
    /// believes and shows is as it was read just now.
    pub(crate) fn find(
        &self,
        url: &BaseUrl,
        (tls, proxy): (&UpstreamTls, Option<&UpstreamProxy>),
        keys: &Keys,
    ) -> Arc<Origin> {
        let place = Place {
            host: url.host.clone(),
            port: url.port,
            socket: url.socket.clone(),
            tls: url.tls.then(|| tls.clone()),
            // Whoever is on this machine is not looked for on another.
            proxy: proxy.filter(|_| url.socket.is_none()).cloned(),
        };
        let known = self.lock();
        let id = known.by_place.get(&place);
        let origin = id.map(|id| Arc::clone(&known.list[id.0]));
        drop(known);
        // Not under the lock: the refresher and the statistics want it too.
        let origin = origin.unwrap_or_else(|| self.add(place, url));
        origin.secure.store(secure(url, tls, keys).map(Arc::new));
        origin
    }

    fn add(&self, place: Place, url: &BaseUrl) -> Arc<Origin> {
        let mut known = self.lock();
        let mut name = place.name();
        let twins = known.named.entry(name.clone()).or_default();
        *twins += 1;
        // Figures have to be told apart.
        if *twins > 1 {
            name.push_str(&format!("#{twins}"));
        }
        let origin = Arc::new(Origin {
            id: OriginId(known.list.len()),
            name: name.into(),
            host: place.host.clone(),
            port: place.port,
            socket: place.socket.clone(),
            proxy: place.proxy.as_ref().map(|proxy| Proxy::new(proxy, url)),
            addresses: ArcSwap::default(),
            secure: ArcSwapOption::default(),
            slots: Arc::new(Places::new(self.workers)),
            pools: (0..self.workers).map(|_| CachePadded::default()).collect(),
        });
        let id = origin.id;
        known.list.push(Arc::clone(&origin));
        known.by_place.insert(place, id);
        drop(known);
        if let Err(fault) = origin.resolve() {
            let origin = &origin.name;
            tracing::warn!(%origin, %fault, "an upstream's name does not resolve");
        }
        origin
    }

    /// Every origin, in order of its number.
    pub(crate) fn all(&self) -> Vec<Arc<Origin>> {
        self.lock().list.clone()
    }

    /// Resolves every name again; what fails keeps its last good addresses.
    pub(crate) fn refresh(&self) {
        for origin in self.all().iter().filter(|origin| !origin.is_literal()) {
            if let Err(fault) = origin.resolve() {
                tracing::warn!(origin = %origin.name, %fault, "kept the last good addresses");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // The lists are whole after every statement that holds the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use tollring_config::Secret;

    use super::*;

    fn url(host: &str, port: u16) -> BaseUrl {
        let authority = format!("{host}:{port}").into();
        BaseUrl {
            host: host.into(),
            port,
            path: "".into(),
            authority,
            tls: false,
            socket: None,
        }
    }

    fn find(origins: &Origins, url: &BaseUrl) -> Arc<Origin> {
        origins.find(url, (&UpstreamTls::default(), None), &Keys::none())
    }

    #[test]
    fn an_origin_keeps_its_number() {
        let origins = Origins::new(1);
        let first = find(&origins, &url("127.0.0.1", 80));
        let other = find(&origins, &url("127.0.0.1", 81));
        let again = find(&origins, &url("127.0.0.1", 80));
        assert_eq!(first.id, again.id);
        assert_ne!(first.id, other.id);
        assert_eq!(origins.all().len(), 2);
    }

    #[test]
    fn an_origin_behind_a_proxy_is_where_the_proxy_is_and_of_its_credentials() {
        let origins = Origins::new(1);
        let through = |password: Option<&str>| {
            let proxy = UpstreamProxy {
                host: "127.0.0.2".into(),
                port: 3128,
                authority: "127.0.0.2:3128".into(),
                credentials: password.map(|password| Secret::new(format!("u:{password}"))),
            };
            let tls = UpstreamTls::default();
            let url = url("never-resolved.invalid", 80);
            origins.find(&url, (&tls, Some(&proxy)), &Keys::none())
        };
        let origin = through(None);
        assert_eq!(origin.address(0), Some("127.0.0.2:3128".parse().unwrap()));
        assert_eq!(
            &*origin.name,
            "never-resolved.invalid:80 via 127.0.0.2:3128"
        );
        let (one, other) = (through(Some("a")), through(Some("b")));
        assert_eq!(one.id, through(Some("a")).id);
        assert!(one.id != other.id && one.id != origin.id);
        assert_eq!(
            &*other.name,
            "never-resolved.invalid:80 via 127.0.0.2:3128#3"
        );
    }

    #[test]
    fn a_literal_address_is_its_own_answer() {
        let origin = find(&Origins::new(1), &url("::1", 8080));
        assert_eq!(origin.address(0), Some("[::1]:8080".parse().unwrap()));
        assert_eq!(&*origin.name, "[::1]:8080");
    }

    #[test]
    fn a_name_that_fails_to_resolve_keeps_what_it_had() {
        let origin = find(&Origins::new(1), &url("does-not-exist.invalid", 80));
        assert_eq!(origin.address(0), None);
        let good: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let known = Addresses::new(vec![good], &Addresses::default());
        origin.addresses.store(Arc::new(known));
        assert!(origin.resolve().is_err());
        assert_eq!(origin.address(0), Some(good));
    }
}
