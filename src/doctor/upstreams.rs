//! Providers and upstreams: whether they resolve, can be connected to, and are who they say.
//!
//! A connection is made and left; no request is sent, so nothing is paid for. A proxy on the
//! way is asked to open it.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant, SystemTime};

use tollring_config::{BaseUrl, Snapshot, UpstreamProxy, UpstreamTls};
use tollring_engine::tls;
use tollring_engine::upstream::{local, proxy};

use super::Finding;
use super::certificates::{judge, names};

/// Addresses of one name that are tried; an attempt of a worker tries no more.
const ADDRESSES_TRIED_MAX: usize = 3;

/// An upstream, and how it is reached.
struct Upstream<'s> {
    /// Who names it.
    name: &'s str,
    base: &'s BaseUrl,
    tls: &'s UpstreamTls,
    proxy: Option<&'s UpstreamProxy>,
    /// For a connection, everything before a request included.
    limit: Duration,
}

/// Looks at every origin once, whoever names it.
pub(super) fn look(site: &Snapshot) -> Vec<Finding> {
    let providers = site.providers.iter().map(|one| Upstream {
        name: &one.name,
        base: &one.base,
        tls: &one.tls,
        proxy: one.proxy.as_ref(),
        limit: one.timeouts.connect,
    });
    let services = site.services.iter().flat_map(|service| {
        service.upstreams.iter().map(|base| Upstream {
            name: &service.name,
            base,
            tls: &service.tls,
            proxy: service.proxy.as_ref(),
            limit: service.timeouts.connect,
        })
    });
    let mut seen = HashSet::new();
    let mut findings = Vec::new();
    for upstream in providers.chain(services) {
        let base = upstream.base;
        let place = (&base.host, base.port, base.tls, &base.socket);
        if seen.insert((place, upstream.proxy)) {
            findings.extend(upstream.look());
        }
    }
    findings
}

const CHECK: &str = "upstream";

impl Upstream<'_> {
    fn look(&self) -> Vec<Finding> {
        if let Some(path) = &self.base.socket {
            return vec![self.local(path)];
        }
        let (host, port) = match self.proxy {
            Some(proxy) => (&*proxy.host, proxy.port),
            None => (&*self.base.host, self.base.port),
        };
        let place = self.place();
        let addresses: Vec<SocketAddr> = match (host, port).to_socket_addrs() {
            Ok(addresses) => addresses.take(ADDRESSES_TRIED_MAX).collect(),
            Err(fault) => {
                let remedy = "check the name in the file, and the machine's resolver";
                let found = format!("{place} does not resolve: {fault}");
                return vec![Finding::fail(CHECK, found, remedy)];
            }
        };
        let mut told = "the name has no address".to_owned();
        for address in addresses {
            let begun = Instant::now();
            match TcpStream::connect_timeout(&address, self.limit) {
                Ok(socket) => return self.reached(&socket, address, begun),
                Err(fault) => told = format!("{address}: {fault}"),
            }
        }
        let remedy = "is it running, and does a firewall let this machine through?";
        vec![Finding::fail(CHECK, format!("{place}: {told}"), remedy)]
    }

    /// A socket of this machine.
    fn local(&self, path: &str) -> Finding {
        let name = self.name;
        match local::connect(path, self.limit) {
            Ok(_) => Finding::ok(CHECK, format!("{name} at unix:{path}")),
            Err(fault) => Finding::fail(
                CHECK,
                format!("{name} at unix:{path}: {fault}"),
                "is it running, and may this user write to its socket?",
            ),
        }
    }

    fn place(&self) -> String {
        let Self { name, base, .. } = self;
        let place = format!("{name} at {}:{}", base.host, base.port);
        match self.proxy {
            Some(proxy) => format!("{place} via {}", proxy.authority),
            None => place,
        }
    }

    /// Somebody took the connection: the upstream, or its proxy.
    fn reached(&self, socket: &TcpStream, address: SocketAddr, begun: Instant) -> Vec<Finding> {
        let place = self.place();
        let patience = Some(self.limit);
        // A socket takes any timeout but zero, which no file can say.
        let _ = socket.set_read_timeout(patience);
        let _ = socket.set_write_timeout(patience);
        if let Some(proxy) = self.proxy
            && let Err(fault) = proxy::open(socket, proxy, self.base)
        {
            let remedy = "is `proxy` right, and does the proxy let this machine through to there?";
            return vec![Finding::fail(CHECK, format!("{place}: {fault}"), remedy)];
        }
        let took_ms = begun.elapsed().as_secs_f64() * 1e3;
        let found = format!("{place}: {address} in {took_ms:.1} ms");
        let mut findings = vec![Finding::ok(CHECK, found)];
        if self.base.tls {
            findings.push(self.greeted(socket));
        }
        findings
    }

    fn greeted(&self, socket: &TcpStream) -> Finding {
        const CHECK: &str = "upstream tls";
        let place = self.place();
        match tls::greet(socket, self.tls, &self.base.host) {
            Ok(Some(shown)) => {
                let whose = format!("{place}: {}", names(&shown));
                judge(CHECK, &whose, &shown, SystemTime::now())
            }
            Ok(None) => Finding::warn(
                CHECK,
                format!("{place}: believed, but its certificate cannot be read"),
                "nothing; requests pass",
            ),
            Err(fault) => Finding::fail(
                CHECK,
                format!("{place}: {fault}"),
                "name who signed its certificate with tls.ca, or its name with tls.server_name",
            ),
        }
    }
}
