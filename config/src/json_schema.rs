//! The JSON Schema (draft 2020-12) of the file, for editors.
//!
//! Says types, words and bounds; what takes two places to judge is left to `check`.
//! A test holds it against the fields that the reader knows, so neither can gain
//! one alone.

mod care;
mod rules;
mod store;
mod tenants;

use serde_json::{Map, Value, json};

use crate::limits::{
    API_KEYS_MAX, BODY_BYTES_MAX, BODY_BYTES_MIN, BODY_RATE_MAX, CERTIFICATES_MAX, CONNECTIONS_MAX,
    COUNT_MAX, FALLBACK_MAX, HANDSHAKES_MAX, HEAD_BYTES_MAX, HEAD_BYTES_MIN, HEAD_FIELDS_MAX,
    HEAD_FIELDS_MIN, LISTEN_MAX, MEMORY_BYTES_MAX, MEMORY_BYTES_MIN, NETWORKS_MAX,
    REQUESTS_PER_CONNECTION_MAX, TARGET_BYTES_MIN, TARGETS_MAX, UPSTREAMS_MAX, WEIGHT_MAX,
    WORKERS_MAX,
};
use crate::schema::gateway::{HOLD_MODES, LIMITS_DEFAULT, ON_INSUFFICIENT, TIMEOUTS_DEFAULT};
use crate::value::show_duration;

/// The JSON Schema (draft 2020-12) of the file.
pub fn schema_json() -> String {
    let mut root = table(
        &[],
        json!({
            "server": server(),
            "admin": admin(),
            "store": store::store(),
            "providers": named(provider()),
            "models": named(model()),
            "services": named(service()),
            "timeouts": timeouts(),
            "limits": limits(),
            "quota": quota(),
            "errors": errors(),
            "plans": named(tenants::plan()),
            "tenants": named(tenants::tenant()),
        }),
    );
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("tollring configuration");
    serde_json::to_string_pretty(&root).expect("a JSON value always has a text")
}

/// A table that has these fields and no others.
fn table(required: &[&str], properties: Value) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

/// A table whose names the operator chooses.
fn named(entry: Value) -> Value {
    json!({ "type": "object", "additionalProperties": entry })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn texts(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn flag(default: bool, description: &str) -> Value {
    json!({ "type": "boolean", "default": default, "description": description })
}

fn word(words: &[&str], description: &str) -> Value {
    json!({ "enum": words, "default": words[0], "description": description })
}

fn whole(min: u64, max: u64, description: &str) -> Value {
    json!({ "type": "integer", "minimum": min, "maximum": max, "description": description })
}

fn bytes(min: u64, max: u64, description: &str) -> Value {
    json!({
        "description": description,
        "anyOf": [
            { "type": "integer", "minimum": min, "maximum": max },
            { "type": "string", "pattern": "^[0-9]+([kKMG]i?B|B)?$|\\$\\{" },
        ],
    })
}

fn usd(description: &str) -> Value {
    json!({
        "type": "string",
        "pattern": "^[0-9]+(\\.[0-9]{1,9})?$|\\$\\{",
        "description": description,
    })
}

fn duration(default: Option<std::time::Duration>, description: &str) -> Value {
    let mut value = json!({
        "type": "string",
        "pattern": "^[0-9]+(ms|s|m|h)$|\\$\\{",
        "description": description,
    });
    if let Some(default) = default {
        value["default"] = json!(show_duration(default));
    }
    value
}

fn server() -> Value {
    let mut server = table(
        &[],
        json!({
            "listen": {
                "type": "array",
                "items": { "type": "string" },
                "minItems": 1,
                "maxItems": LISTEN_MAX,
                "default": ["127.0.0.1:8080"],
                "description": "Addresses of the data port.",
            },
            "workers": whole(0, WORKERS_MAX, "Worker threads; 0: one per core."),
            "io": word(&["auto", "io_uring", "epoll"], "The system interface of the workers."),
            "takeover": text("Unix socket at which a new process may ask for the listeners."),
            "tls": server_tls(),
            "forwarded": rules::forwarded(),
            "proxy_protocol": table(
                &["trusted"],
                json!({
                    "trusted": {
                        "type": "array",
                        "items": { "type": "string" },
                        "minItems": 1,
                        "maxItems": NETWORKS_MAX,
                        "description": "Balancers whose PROXY header is asked for and believed.",
                    },
                }),
            ),
        }),
    );
    add(&mut server, rules::access());
    server
}

fn certificate_files() -> Value {
    table(
        &["certificate", "private_key"],
        json!({
            "certificate": text("PEM file of the chain, the certificate itself first."),
            "private_key": text("PEM file of its key."),
            "ocsp": text("DER file of an OCSP answer to hand out."),
        }),
    )
}

fn server_tls() -> Value {
    let mut tls = certificate_files();
    let more = [
        (
            "more",
            json!({ "type": "array", "items": certificate_files(), "maxItems": CERTIFICATES_MAX }),
        ),
        (
            "client_ca",
            text("PEM file of who may sign clients' certificates."),
        ),
        (
            "client_auth",
            word(&["required", "optional"], "Whether a client needs one."),
        ),
        (
            "min_version",
            word(&["1.2", "1.3"], "The oldest version of TLS."),
        ),
    ];
    for (name, value) in more {
        tls["properties"][name] = value;
    }
    tls
}

fn proxy() -> Value {
    text("http://user:password@host:port of a proxy that opens the way there by CONNECT.")
}

fn upstream_tls() -> Value {
    table(
        &[],
        json!({
            "ca": text("PEM file of who may sign its certificate; the system's where absent."),
            "certificate": text("PEM file of the chain that is shown when it asks."),
            "private_key": text("PEM file of that certificate's key."),
            "server_name": text("The name its certificate must have; the URL's host where absent."),
        }),
    )
}

/// Adds fields to a table.
fn add(table: &mut Value, fields: Map<String, Value>) {
    let properties = table["properties"].as_object_mut();
    properties.expect("a table has properties").extend(fields);
}

fn admin() -> Value {
    table(
        &[],
        json!({
            "listen": text("Address of the admin port; 127.0.0.1:8081 where absent."),
            "token": text("What an operator shows; one is made at start where absent."),
            "tls": certificate_files(),
        }),
    )
}

fn upstream_timeouts() -> Value {
    table(
        &[],
        json!({
            "connect": duration(None, "A connection."),
            "first_byte": duration(None, "The first byte of an answer."),
            "between_bytes": duration(None, "Between two reads of an answer."),
            "total": duration(None, "From a request's first byte to its answer's head."),
        }),
    )
}

fn provider() -> Value {
    care::cared_for(table(
        &["dialect", "base_url"],
        json!({
            "dialect": word(&["openai"], "What it speaks."),
            "base_url": text("Scheme, host, port and prefix; or unix:, socket and prefix."),
            "api_keys": {
                "type": "array",
                "items": { "type": "string" },
                "maxItems": API_KEYS_MAX,
                "description": "Its keys, used in turn.",
            },
            "insecure": flag(false, "Whether http:// may leave this machine."),
            "cancel_stops_billing": flag(true, "Whether hanging up stops what it charges."),
            "tls": upstream_tls(),
            "proxy": proxy(),
            "timeouts": upstream_timeouts(),
        }),
    ))
}

fn model() -> Value {
    let target = table(
        &["provider", "model"],
        json!({
            "provider": text("Who answers."),
            "model": text("The name the provider knows."),
            "weight": whole(1, WEIGHT_MAX, "Its share; 1 where absent."),
        }),
    );
    let price = table(
        &[],
        json!({
            "input": usd("USD per million tokens of input."),
            "output": usd("USD per million tokens of output."),
            "cached_input": usd("USD per million tokens read from a cache; input's where absent."),
            "request": usd("USD per request."),
        }),
    );
    let tokens = |what| whole(1, COUNT_MAX.unsigned_abs(), what);
    let model = table(
        &["targets"],
        json!({
            "targets": { "type": "array", "items": target, "minItems": 1, "maxItems": TARGETS_MAX },
            "downgrade": text("The model that answers where this one cannot be paid for."),
            "fallback": {
                "type": "array",
                "items": { "type": "string" },
                "maxItems": FALLBACK_MAX,
                "description": "Models tried in order when every target has failed.",
            },
            "price": price,
            "output_tokens_max": tokens("The most tokens it will write."),
            "context_tokens_max": tokens("The most tokens it will take in and write together."),
        }),
    );
    care::chosen(model, "weighted")
}

fn service() -> Value {
    let price = table(
        &[],
        json!({
            "request": usd("USD per request."),
            "megabyte": usd("USD per million bytes, both bodies together."),
        }),
    );
    let mut service = table(
        &["path", "upstreams"],
        json!({
            "path": text("The path prefix; \"/\" takes what no other route takes."),
            "upstreams": {
                "type": "array",
                "items": { "type": "string" },
                "minItems": 1,
                "maxItems": UPSTREAMS_MAX,
                "description": "Where it goes, in turn.",
            },
            "auth": word(&["key", "none"], "Whether callers need a key."),
            "meter": word(&["requests", "bytes", "fixed", "none"], "What of it is counted."),
            "price": price,
            "insecure": flag(false, "Whether http:// may leave this machine."),
            "timeouts": upstream_timeouts(),
            "tls": upstream_tls(),
            "proxy": proxy(),
        }),
    );
    add(&mut service, rules::rules());
    care::cared_for(care::chosen(service, "least_request"))
}

fn timeouts() -> Value {
    let default = &TIMEOUTS_DEFAULT;
    table(
        &[],
        json!({
            "head": duration(Some(default.head), "A request's head, from its first byte."),
            "body": duration(Some(default.body), "Between two reads of a request's body."),
            "idle": duration(Some(default.idle), "A keep-alive connection."),
            "write": duration(Some(default.write), "A client that does not read."),
            "connect": duration(Some(default.connect), "A connection to a provider."),
            "first_byte": duration(Some(default.first_byte), "The first byte of an answer."),
            "between_bytes": duration(Some(default.between_bytes), "Two reads of an answer."),
            "drain": duration(Some(default.drain), "Requests in flight at the end."),
            "total": duration(None, "From a request's first byte to its answer's head."),
        }),
    )
}

fn limits() -> Value {
    let mut limits = table(
        &[],
        json!({
            "head_bytes": bytes(HEAD_BYTES_MIN, HEAD_BYTES_MAX, "Bytes of a head."),
            "head_fields": whole(HEAD_FIELDS_MIN, HEAD_FIELDS_MAX, "Fields of a head."),
            "target_bytes": bytes(TARGET_BYTES_MIN, HEAD_BYTES_MAX, "Bytes of a target."),
            "body_bytes": bytes(BODY_BYTES_MIN, BODY_BYTES_MAX, "Bytes of an inspected body."),
            "body_rate_min": bytes(0, BODY_RATE_MAX, "Bytes a second of a body; 0: any rate."),
            "connections_per_address": whole(1, CONNECTIONS_MAX, "Connections of one address."),
            "requests_per_connection":
                whole(1, REQUESTS_PER_CONNECTION_MAX, "Requests of one connection."),
            "connections": whole(1, CONNECTIONS_MAX, "Connections; absent: as descriptors allow."),
            "handshakes": whole(1, HANDSHAKES_MAX, "TLS handshakes of one worker at one time."),
            "memory": bytes(MEMORY_BYTES_MIN, MEMORY_BYTES_MAX, "Memory; absent: the cgroup's."),
        }),
    );
    let default = &LIMITS_DEFAULT;
    let fields = &mut limits["properties"];
    fields["head_bytes"]["default"] = json!(default.head_bytes);
    fields["head_fields"]["default"] = json!(default.head_fields);
    fields["target_bytes"]["default"] = json!(default.target_bytes);
    fields["body_bytes"]["default"] = json!(default.body_bytes);
    fields["body_rate_min"]["default"] = json!(default.body_rate_min);
    fields["handshakes"]["default"] = json!(default.handshakes);
    limits
}

fn quota() -> Value {
    table(
        &[],
        json!({
            "hold": word(&HOLD_MODES.map(|(word, _)| word), "How the output is reserved."),
            "on_insufficient": word(
                &ON_INSUFFICIENT.map(|(word, _)| word),
                "When there is less than a call needs.",
            ),
            "on_midstream": word(&["finish", "cut"], "When the money ends during an answer."),
            "tz": tenants::zone(),
            "anchor": tenants::anchor(),
        }),
    )
}

fn errors() -> Value {
    table(
        &[],
        json!({
            "exhausted_status": { "enum": [402, 429, 403], "default": 402 },
            "top_up_url": text("Where a caller can buy more."),
            "expose_parent_amounts": flag(false, "Whether a key sees its tenant's amounts."),
        }),
    )
}
