//! The part of the JSON Schema that says what a service does with heads, and who may come.

use serde_json::{Map, Value, json};

use super::{duration, flag, table, text, texts, word};
use crate::limits::{FIELD_EDITS_MAX, HOSTS_MAX, NETWORKS_MAX, ORIGINS_MAX};
use crate::schema::rules::MAX_AGE_DEFAULT;

/// The fields of a service that concern heads.
pub(super) fn rules() -> Map<String, Value> {
    let rewrite = table(
        &["from", "to"],
        json!({
            "from": text("A pattern over the path, in the syntax of the `regex` crate."),
            "to": text("What takes the place of a match; $1 is its first group."),
        }),
    );
    let mut fields = access();
    let more = [
        (
            "hosts",
            list(
                HOSTS_MAX,
                "Hosts it answers to; *.name for all below; absent: any.",
            ),
        ),
        (
            "strip_path",
            flag(
                false,
                "Whether its path is taken off before it goes upstream.",
            ),
        ),
        ("rewrite", rewrite),
        (
            "host",
            text("The upstream's Host: \"upstream\", \"client\" or a name."),
        ),
        ("request_headers", edits()),
        ("response_headers", edits()),
        ("cors", cors()),
        (
            "websocket",
            flag(false, "Whether a request may become a WebSocket."),
        ),
    ];
    fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    fields
}

/// The fields by which callers are let in or kept out.
pub(super) fn access() -> Map<String, Value> {
    let allow = list(
        NETWORKS_MAX,
        "Networks callers must come from; absent: any.",
    );
    let deny = list(NETWORKS_MAX, "Networks callers must not come from; wins.");
    let fields = [("allow", allow), ("deny", deny)];
    fields
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

/// `[server.forwarded]`.
pub(super) fn forwarded() -> Value {
    table(
        &[],
        json!({
            "mode": word(&["append", "replace", "off"], "What becomes of what came."),
            "style": word(&["x-forwarded", "rfc7239", "both"], "In which fields it is said."),
            "trusted": list(NETWORKS_MAX, "The proxies before this one that are believed."),
        }),
    )
}

fn list(max: usize, description: &str) -> Value {
    let mut list = texts(description);
    list["maxItems"] = json!(max);
    list
}

fn edits() -> Value {
    let values = json!({
        "type": "object",
        "additionalProperties": { "type": "string" },
        "maxProperties": FIELD_EDITS_MAX,
    });
    table(
        &[],
        json!({
            "set": values,
            "add": values,
            "remove": list(FIELD_EDITS_MAX, "Fields that do not go on."),
        }),
    )
}

fn cors() -> Value {
    table(
        &["origins"],
        json!({
            "origins": list(ORIGINS_MAX, "Whose pages may call; \"*\" for all."),
            "methods": list(ORIGINS_MAX, "By which methods; absent: any."),
            "headers": list(ORIGINS_MAX, "With which fields; absent: those asked for."),
            "expose": list(ORIGINS_MAX, "Fields a page may read, beside the gateway's own."),
            "credentials": flag(false, "Whether pages may send cookies."),
            "max_age": duration(Some(MAX_AGE_DEFAULT), "How long a preflight is remembered."),
        }),
    )
}
