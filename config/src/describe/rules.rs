//! What a service does with heads, and who may come, as JSON; values of fields stay hidden.

use serde_json::{Map, Value, json};

use super::HIDDEN;
use crate::rules::{
    Access, Cors, Edge, FieldEdits, ForwardedMode, ForwardedStyle, HostSent, Network, Origins,
    ServiceRules,
};
use crate::secret::Secret;

/// Adds what is done with heads to the facts of a service.
pub(super) fn rules(rules: &ServiceRules, facts: &mut Value) {
    facts["hosts"] = shown(&rules.hosts);
    facts["strip_path"] = json!(rules.strip_path);
    facts["rewrite"] = rules.rewrite.as_ref().map_or(
        Value::Null,
        |rewrite| json!({ "from": rewrite.from.as_str(), "to": rewrite.to }),
    );
    facts["host"] = json!(match &rules.host {
        HostSent::Upstream => "upstream",
        HostSent::Client => "client",
        HostSent::Name(name) => name,
    });
    facts["request_headers"] = edits(&rules.request_fields);
    facts["response_headers"] = edits(&rules.response_fields);
    facts["cors"] = rules.cors.as_ref().map_or(Value::Null, cors);
    facts["websocket"] = json!(rules.websocket);
    access(&rules.access, facts);
}

/// Adds what concerns callers to the facts of the server.
pub(super) fn edge(edge: &Edge, facts: &mut Value) {
    access(&edge.access, facts);
    facts["forwarded"] = json!({
        "mode": match edge.forwarded.mode {
            ForwardedMode::Append => "append",
            ForwardedMode::Replace => "replace",
            ForwardedMode::Off => "off",
        },
        "style": match edge.forwarded.style {
            ForwardedStyle::XForwarded => "x-forwarded",
            ForwardedStyle::Rfc7239 => "rfc7239",
            ForwardedStyle::Both => "both",
        },
        "trusted": networks(&edge.forwarded.trusted),
    });
}

fn access(access: &Access, facts: &mut Value) {
    facts["allow"] = networks(&access.allow);
    facts["deny"] = networks(&access.deny);
}

fn networks(networks: &[Network]) -> Value {
    shown(networks)
}

fn shown(things: &[impl ToString]) -> Value {
    things
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .into()
}

fn edits(edits: &FieldEdits) -> Value {
    let names = |pairs: &[(Box<str>, Secret)]| {
        let hidden = pairs
            .iter()
            .map(|(name, _)| (name.to_string(), json!(HIDDEN)));
        hidden.collect::<Map<_, _>>()
    };
    json!({ "set": names(&edits.set), "add": names(&edits.add), "remove": edits.remove })
}

fn cors(cors: &Cors) -> Value {
    let any: [Box<str>; 1] = ["*".into()];
    let origins = match &cors.origins {
        Origins::Any => &any[..],
        Origins::These(these) => these,
    };
    json!({
        "origins": origins,
        "methods": cors.methods,
        "headers": cors.headers,
        "expose": cors.expose,
        "credentials": cors.credentials,
        "max_age": format!("{}s", cors.max_age_s),
    })
}
