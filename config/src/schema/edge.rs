//! Who may come, and whose word about callers is believed.

use crate::limits::NETWORKS_MAX;
use crate::read::{Field, Table};
use crate::rules::{Access, Edge, Forwarded, ForwardedMode, ForwardedStyle, Network};
use crate::value::parse_network;

/// Reads the fields of `[server]` that concern callers.
pub(crate) fn edge(table: &mut Table<'_>) -> Edge {
    let access = access(table);
    let forwarded = table.section("forwarded", forwarded);
    Edge {
        access,
        forwarded: forwarded.unwrap_or_default(),
    }
}

/// Reads `allow` and `deny`. What is faulty has been reported.
pub(crate) fn access(table: &mut Table<'_>) -> Access {
    let allow = table.or("allow", Vec::new(), |field| {
        // An empty list would read as "nobody", and mean "anybody".
        field.filled_list(NETWORKS_MAX, "allow = [\"10.0.0.0/8\"]", |item| {
            item.parsed(parse_network)
        })
    });
    let deny = table.or("deny", Vec::new(), networks);
    Access {
        allow: allow.unwrap_or_default(),
        deny: deny.unwrap_or_default(),
    }
}

fn networks(field: &Field<'_>) -> Option<Vec<Network>> {
    field.list(NETWORKS_MAX, |item| item.parsed(parse_network))
}

fn forwarded(mut table: Table<'_>) -> Option<Forwarded> {
    let mode = table.or("mode", ForwardedMode::Append, |field| {
        field.word(&[
            ("append", ForwardedMode::Append),
            ("replace", ForwardedMode::Replace),
            ("off", ForwardedMode::Off),
        ])
    });
    let style = table.or("style", ForwardedStyle::XForwarded, |field| {
        field.word(&[
            ("x-forwarded", ForwardedStyle::XForwarded),
            ("rfc7239", ForwardedStyle::Rfc7239),
            ("both", ForwardedStyle::Both),
        ])
    });
    let trusted = table.or("trusted", Vec::new(), networks);
    table.close();
    Some(Forwarded {
        mode: mode?,
        style: style?,
        trusted: trusted?,
    })
}
