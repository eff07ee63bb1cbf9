//! Providers and upstreams: whether they resolve, can be connected to, and are who they say.
//!
//! A connection is made and left; no request is sent, so nothing is paid for.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime};

use tollring_config::{BaseUrl, Snapshot, UpstreamTls};
use tollring_engine::tls;

use super::Finding;
use super::certificates::{judge, names};

/// Addresses of one name that are tried; an attempt of a worker tries no more.
const ADDRESSES_TRIED_MAX: usize = 3;

/// Looks at every origin once, whoever names it.
pub(super) fn look(site: &Snapshot) -> Vec<Finding> {
    let providers = site.providers.iter();
    let providers = providers.map(|one| (&*one.name, &one.base, &one.tls, one.timeouts.connect));
    let services = site.services.iter().flat_map(|service| {
        let upstreams = service.upstreams.iter();
        upstreams.map(|base| (&*service.name, base, &service.tls, service.timeouts.connect))
    });
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for (name, base, tls, limit) in providers.chain(services) {
        if seen.insert((base.host.clone(), base.port, base.tls, base.socket.clone())) {
            findings.extend(origin(name, base, tls, limit));
        }
    }
    findings
}

fn origin(name: &str, base: &BaseUrl, tls: &UpstreamTls, limit: Duration) -> Vec<Finding> {
    const CHECK: &str = "upstream";
    if let Some(path) = &base.socket {
        return vec![local(name, path)];
    }
    let place = format!("{name} at {}:{}", base.host, base.port);
    let addresses: Vec<SocketAddr> = match (&*base.host, base.port).to_socket_addrs() {
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
        match TcpStream::connect_timeout(&address, limit) {
            Ok(socket) => {
                let took_ms = begun.elapsed().as_secs_f64() * 1e3;
                let found = format!("{place}: {address} in {took_ms:.1} ms");
                let mut findings = vec![Finding::ok(CHECK, found)];
                if base.tls {
                    findings.push(greeted(&place, base, tls, &socket, limit));
                }
                return findings;
            }
            Err(fault) => told = format!("{address}: {fault}"),
        }
    }
    let remedy = "is it running, and does a firewall let this machine through?";
    vec![Finding::fail(CHECK, format!("{place}: {told}"), remedy)]
}

/// A socket of this machine.
fn local(name: &str, path: &str) -> Finding {
    const CHECK: &str = "upstream";
    match UnixStream::connect(path) {
        Ok(_) => Finding::ok(CHECK, format!("{name} at unix:{path}")),
        Err(fault) => Finding::fail(
            CHECK,
            format!("{name} at unix:{path}: {fault}"),
            "is it running, and may this user write to its socket?",
        ),
    }
}

fn greeted(
    place: &str,
    base: &BaseUrl,
    tls: &UpstreamTls,
    socket: &TcpStream,
    limit: Duration,
) -> Finding {
    const CHECK: &str = "upstream tls";
    let patience = Some(limit);
    let set = socket
        .set_read_timeout(patience)
        .and_then(|()| socket.set_write_timeout(patience));
    match set.and_then(|()| tls::greet(socket, tls, &base.host)) {
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
