//! The data ports and the admin port: each its own.

use std::net::SocketAddr;

use crate::fault::Problem;
use crate::read::{At, Document};
use crate::schema::gateway::{AdminSchema, ServerSchema};
use crate::snapshot::{Admin, Server};
use crate::value::overlap;

/// Reports doors in each other's way.
pub(super) fn check(
    document: &Document<'_>,
    server: Option<ServerSchema>,
    admin: Option<AdminSchema>,
) -> Option<(Server, Admin)> {
    let listen: &[At<SocketAddr>] = server.as_ref().map_or(&[], |server| &server.listen);
    for (index, door) in listen.iter().enumerate() {
        report_taken(document, door, &listen[..index]);
    }
    if let Some(admin) = &admin {
        report_taken(document, &admin.listen, listen);
        if admin.tls.is_none() && !admin.listen.value.ip().to_canonical().is_loopback() {
            document.report(&admin.listen.place, Problem::AdminCleartext);
        }
    }
    let (server, admin) = (server?, admin?);
    let listen = server.listen.into_iter().map(|door| door.value).collect();
    let server = Server {
        listen,
        workers: server.workers,
        io: server.io,
        tls: server.tls,
        takeover: server.takeover,
        proxy_protocol: server.proxy_protocol,
    };
    Some((
        server,
        Admin {
            listen: admin.listen.value,
            token: admin.token,
            tls: admin.tls,
        },
    ))
}

fn report_taken(document: &Document<'_>, door: &At<SocketAddr>, before: &[At<SocketAddr>]) {
    if let Some(other) = before.iter().find(|other| overlap(other.value, door.value)) {
        let first = other.place.path.clone();
        document.report(&door.place, Problem::AddressTaken { first });
    }
}
