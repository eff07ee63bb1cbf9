//! The gateway itself: doors, deadlines, bounds and policies, each with its default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::calendar::Calendar;
use crate::fault::Problem;
use crate::limits::{
    BODY_BYTES_MAX, BODY_BYTES_MIN, BODY_RATE_MAX, CONNECTIONS_MAX, HANDSHAKES_MAX, HEAD_BYTES_MAX,
    HEAD_BYTES_MIN, HEAD_FIELDS_MAX, HEAD_FIELDS_MIN, LISTEN_MAX, MEMORY_BYTES_MAX,
    MEMORY_BYTES_MIN, NETWORKS_MAX, REQUESTS_PER_CONNECTION_MAX, TARGET_BYTES_MIN, WORKERS_MAX,
};
use crate::read::{At, Field, Table};
use crate::rules::Edge;
use crate::schema::edge::edge;
use crate::schema::limit::calendar;
use crate::schema::tls;
use crate::secret::Secret;
use crate::snapshot::{
    CertificateFiles, ErrorsPolicy, HoldMode, IoChoice, Limits, OnInsufficient, OnMidstream,
    ProxyProtocol, QuotaPolicy, ServerTls, Timeouts,
};
use crate::value::{parse_address, parse_duration, parse_link, parse_network, parse_socket_path};

/// The data port where the file names none.
const LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
/// The admin port where the file names none.
const ADMIN_LISTEN_DEFAULT: SocketAddr = SocketAddr::new(LISTEN_DEFAULT.ip(), 8081);

/// The deadlines where the file sets none.
pub(crate) const TIMEOUTS_DEFAULT: Timeouts = Timeouts {
    head: Duration::from_secs(10),
    body: Duration::from_secs(60),
    idle: Duration::from_secs(75),
    write: Duration::from_secs(30),
    connect: Duration::from_secs(2),
    first_byte: Duration::from_secs(600),
    between_bytes: Duration::from_secs(120),
    drain: Duration::from_secs(30),
    total: None,
};

/// The words of `quota.hold`.
pub(crate) const HOLD_MODES: [(&str, HoldMode); 3] = [
    ("rolling", HoldMode::Rolling),
    ("strict", HoldMode::Strict),
    ("estimate", HoldMode::Estimate),
];
/// The words of `quota.on_insufficient`.
pub(crate) const ON_INSUFFICIENT: [(&str, OnInsufficient); 3] = [
    ("reject", OnInsufficient::Reject),
    ("clamp", OnInsufficient::Clamp),
    ("downgrade", OnInsufficient::Downgrade),
];

/// The bounds where the file sets none.
pub(crate) const LIMITS_DEFAULT: Limits = Limits {
    head_bytes: 65_536,
    head_fields: 100,
    target_bytes: 16_384,
    body_bytes: 64 << 20,
    body_rate_min: 500,
    connections: None,
    connections_per_address: None,
    requests_per_connection: None,
    handshakes: 256,
    memory: None,
};

/// `[server]`.
pub(crate) struct ServerSchema {
    pub(crate) listen: Vec<At<SocketAddr>>,
    pub(crate) workers: u16,
    pub(crate) io: IoChoice,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) takeover: Option<PathBuf>,
    pub(crate) edge: Edge,
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
}

/// `[admin]`.
pub(crate) struct AdminSchema {
    pub(crate) listen: At<SocketAddr>,
    pub(crate) token: Option<Secret>,
    pub(crate) tls: Option<CertificateFiles>,
}

pub(crate) fn server(mut table: Table<'_>) -> Option<ServerSchema> {
    let here = At {
        value: LISTEN_DEFAULT,
        place: table.place.clone(),
    };
    let listen = table.or("listen", vec![here], |field| {
        let example = "listen = [\"127.0.0.1:8080\"]";
        field.filled_list(LISTEN_MAX, example, |item| item.parsed_at(parse_address))
    });
    let workers = table.or("workers", 0, |field| field.whole(0, WORKERS_MAX));
    let io = table.or("io", IoChoice::Auto, |field| {
        field.word(&[
            ("auto", IoChoice::Auto),
            ("io_uring", IoChoice::IoUring),
            ("epoll", IoChoice::Epoll),
        ])
    });
    let edge = edge(&mut table);
    let tls = table.maybe("tls", |field| field.table().and_then(tls::server));
    let takeover = table.maybe("takeover", |field| field.parsed(parse_socket_path));
    let proxy_protocol = table.maybe("proxy_protocol", |field| {
        field.table().and_then(proxy_protocol)
    });
    table.close();
    Some(ServerSchema {
        listen: listen.unwrap_or_default(),
        workers: workers
            .and_then(|workers| u16::try_from(workers).ok())
            .unwrap_or_default(),
        io: io.unwrap_or(IoChoice::Auto),
        tls: tls.flatten(),
        takeover: takeover.flatten(),
        edge,
        proxy_protocol: proxy_protocol.flatten(),
    })
}

/// `[server.proxy_protocol]`: whoever turns it on says by whom, for its word is an address.
fn proxy_protocol(mut table: Table<'_>) -> Option<ProxyProtocol> {
    let example = "trusted = [\"10.0.0.0/8\"]";
    let trusted = table.need("trusted", example, |field| {
        field.filled_list(NETWORKS_MAX, example, |item| item.parsed(parse_network))
    });
    table.close();
    Some(ProxyProtocol { trusted: trusted? })
}

pub(crate) fn admin(mut table: Table<'_>) -> Option<AdminSchema> {
    let here = At {
        value: ADMIN_LISTEN_DEFAULT,
        place: table.place.clone(),
    };
    let listen = table.or("listen", here, |field| field.parsed_at(parse_address));
    let token = table.maybe("token", Field::secret);
    let tls = table.maybe("tls", |field| field.table().and_then(tls::admin));
    table.close();
    Some(AdminSchema {
        listen: listen?,
        token: token.flatten(),
        tls: tls.flatten(),
    })
}

pub(crate) fn timeouts(mut table: Table<'_>) -> Option<Timeouts> {
    let mut deadline =
        |name, default| table.or(name, default, |field| field.parsed(parse_duration));
    let head = deadline("head", TIMEOUTS_DEFAULT.head);
    let body = deadline("body", TIMEOUTS_DEFAULT.body);
    let idle = deadline("idle", TIMEOUTS_DEFAULT.idle);
    let write = deadline("write", TIMEOUTS_DEFAULT.write);
    let connect = deadline("connect", TIMEOUTS_DEFAULT.connect);
    let first_byte = deadline("first_byte", TIMEOUTS_DEFAULT.first_byte);
    let between_bytes = deadline("between_bytes", TIMEOUTS_DEFAULT.between_bytes);
    let drain = deadline("drain", TIMEOUTS_DEFAULT.drain);
    let total = table.maybe("total", |field| field.parsed(parse_duration));
    table.close();
    Some(Timeouts {
        head: head?,
        body: body?,
        idle: idle?,
        write: write?,
        connect: connect?,
        first_byte: first_byte?,
        between_bytes: between_bytes?,
        drain: drain?,
        total: total?,
    })
}

pub(crate) fn limits(mut table: Table<'_>) -> Option<Limits> {
    let head_bytes = table.or("head_bytes", LIMITS_DEFAULT.head_bytes, |field| {
        size(field.bytes(HEAD_BYTES_MIN, HEAD_BYTES_MAX))
    });
    let head_fields = table.or("head_fields", LIMITS_DEFAULT.head_fields, |field| {
        size(field.whole(HEAD_FIELDS_MIN, HEAD_FIELDS_MAX))
    });
    // A smaller head alone is no contradiction: the default target follows it.
    let target_default = head_bytes.map_or(LIMITS_DEFAULT.target_bytes, |head_bytes| {
        LIMITS_DEFAULT.target_bytes.min(head_bytes / 2)
    });
    let target_bytes = table.or("target_bytes", target_default, |field| {
        let target_bytes = size(field.bytes(TARGET_BYTES_MIN, HEAD_BYTES_MAX))?;
        match head_bytes {
            Some(head_bytes) if target_bytes >= head_bytes => {
                field.report(Problem::TargetBeyondHead { head_bytes });
                None
            }
            _ => Some(target_bytes),
        }
    });
    let body_bytes = table.or("body_bytes", LIMITS_DEFAULT.body_bytes, |field| {
        size(field.bytes(BODY_BYTES_MIN, BODY_BYTES_MAX))
    });
    let body_rate_min = table.or("body_rate_min", LIMITS_DEFAULT.body_rate_min, |field| {
        field.bytes(0, BODY_RATE_MAX)
    });
    let connections = table.maybe("connections", |field| size(field.whole(1, CONNECTIONS_MAX)));
    let connections_per_address = table.maybe("connections_per_address", |field| {
        size(field.whole(1, CONNECTIONS_MAX))
    });
    let requests_per_connection = table.maybe("requests_per_connection", |field| {
        field.whole(1, REQUESTS_PER_CONNECTION_MAX)
    });
    let handshakes = table.or("handshakes", LIMITS_DEFAULT.handshakes, |field| {
        size(field.whole(1, HANDSHAKES_MAX))
    });
    let memory = table.maybe("memory", |field| {
        field.bytes(MEMORY_BYTES_MIN, MEMORY_BYTES_MAX)
    });
    table.close();
    Some(Limits {
        head_bytes: head_bytes?,
        head_fields: head_fields?,
        target_bytes: target_bytes?,
        body_bytes: body_bytes?,
        body_rate_min: body_rate_min?,
        connections: connections?,
        connections_per_address: connections_per_address?,
        requests_per_connection: requests_per_connection?,
        handshakes: handshakes?,
        memory: memory?,
    })
}

pub(crate) fn quota(mut table: Table<'_>) -> Option<QuotaPolicy> {
    let hold = table.or("hold", HoldMode::Rolling, |field| field.word(&HOLD_MODES));
    let on_insufficient = table.or("on_insufficient", OnInsufficient::Reject, |field| {
        field.word(&ON_INSUFFICIENT)
    });
    let on_midstream = table.or("on_midstream", OnMidstream::Finish, |field| {
        field.word(&[("finish", OnMidstream::Finish), ("cut", OnMidstream::Cut)])
    });
    let calendar = calendar(&mut table).over(&Calendar::default());
    table.close();
    Some(QuotaPolicy {
        hold: hold?,
        on_insufficient: on_insufficient?,
        on_midstream: on_midstream?,
        calendar,
    })
}

pub(crate) fn errors(mut table: Table<'_>) -> Option<ErrorsPolicy> {
    let exhausted_status = table.or("exhausted_status", 402, exhausted_status);
    let top_up_url = table.maybe("top_up_url", |field| field.parsed(parse_link));
    let expose_parent_amounts = table.or("expose_parent_amounts", false, Field::flag);
    table.close();
    Some(ErrorsPolicy {
        exhausted_status: exhausted_status?,
        top_up_url: top_up_url?,
        expose_parent_amounts: expose_parent_amounts?,
    })
}

fn exhausted_status(field: &Field<'_>) -> Option<u16> {
    let status = u16::try_from(field.whole(100, 599)?).ok()?;
    if matches!(status, 402 | 403 | 429) {
        return Some(status);
    }
    field.report(Problem::WordUnknown {
        suggestion: None,
        words: vec!["402", "429", "403"],
    });
    None
}

/// The bounds keep every size far below what an address can hold.
fn size(number: Option<u64>) -> Option<usize> {
    usize::try_from(number?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_inside_the_bounds() {
        let inside = |value: usize, min: u64, max: u64| (min..=max).contains(&(value as u64));
        assert!(inside(
            LIMITS_DEFAULT.head_bytes,
            HEAD_BYTES_MIN,
            HEAD_BYTES_MAX
        ));
        assert!(inside(
            LIMITS_DEFAULT.head_fields,
            HEAD_FIELDS_MIN,
            HEAD_FIELDS_MAX
        ));
        assert!(inside(
            LIMITS_DEFAULT.body_bytes,
            BODY_BYTES_MIN,
            BODY_BYTES_MAX
        ));
        assert!(inside(
            crate::limits::CONNECTIONS_DEFAULT,
            1,
            CONNECTIONS_MAX
        ));
        const { assert!(LIMITS_DEFAULT.body_rate_min <= BODY_RATE_MAX) }
        const { assert!(LIMITS_DEFAULT.target_bytes < LIMITS_DEFAULT.head_bytes) }
    }
}
