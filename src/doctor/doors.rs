//! The ports: whether they can be had, or who has them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use tollring_config::Snapshot;

use super::{Finding, holder};

/// Looks at every address of the data port and at the admin port.
pub(super) fn look(site: &Snapshot) -> Vec<Finding> {
    let data = site
        .server
        .listen
        .iter()
        .map(|&address| ("data port", address));
    let admin = [("admin port", site.admin.listen)];
    data.chain(admin)
        .map(|(door, address)| port(door, address))
        .collect()
}

fn port(door: &'static str, address: SocketAddr) -> Finding {
    let Err(fault) = TcpListener::bind(address) else {
        return Finding::ok(door, format!("{address} is free"));
    };
    match fault.kind() {
        io::ErrorKind::AddrInUse => taken(door, address),
        io::ErrorKind::PermissionDenied => Finding::fail(
            door,
            format!("{address}: {fault}"),
            "ports below 1024 need CAP_NET_BIND_SERVICE, or a socket from systemd",
        ),
        io::ErrorKind::AddrNotAvailable => Finding::fail(
            door,
            format!("{address}: {fault}"),
            "no interface has this address; listen on one that exists, or on 0.0.0.0",
        ),
        _ => Finding::fail(
            door,
            format!("{address}: {fault}"),
            "choose another address",
        ),
    }
}

fn taken(door: &'static str, address: SocketAddr) -> Finding {
    match holder::of(address) {
        Some(holder) if holder.name == "tollring" => Finding::warn(
            door,
            format!("{address} is taken by tollring, process {}", holder.pid),
            "if it is to be replaced, start with --takeover",
        ),
        Some(holder) => Finding::fail(
            door,
            format!(
                "{address} is taken by {}, process {}",
                holder.name, holder.pid
            ),
            "stop it, or choose another port",
        ),
        None => Finding::fail(
            door,
            format!("{address} is taken, by a process of another user"),
            "ask as root who has it (ss -ltnp), or choose another port",
        ),
    }
}
