//! Plans, tenants and their keys, and the limits of all three.

use serde_json::{Map, Value, json};

use super::{flag, named, table, text, texts, usd, whole};
use crate::limits::{CONCURRENT_MAX, COUNT_MAX, LIMITS_MAX, TEAM_LIMITS_MAX};
use crate::schema::limit::{UNITS, WINDOWS};

pub(super) fn zone() -> Value {
    text("The IANA time zone whose days, weeks and months count; UTC where nothing is said.")
}

fn weight(what: &str) -> Value {
    usd(what)
}

pub(super) fn anchor() -> Value {
    text("The day, and perhaps the time, that days, weeks, months and years are counted from.")
}

/// One limit: the fields of both forms, and that it is one of them.
fn limit() -> Value {
    let units: Vec<_> = UNITS.iter().map(|(word, _)| *word).collect();
    let windows: Vec<_> = WINDOWS.iter().map(|(word, _)| *word).collect();
    let count = whole(1, COUNT_MAX.unsigned_abs(), "A count.");
    let mut limit = table(
        &[],
        json!({
            "concurrent": whole(1, CONCURRENT_MAX, "Requests in flight at one time."),
            "unit": { "enum": units, "description": "What is counted." },
            "amount": {
                "anyOf": [count, usd("Money, or a count.")],
            },
            "per": { "enum": windows, "description": "Over what window." },
            "rolling": text("In place of per: a span that ends now, as in \"5h\"."),
            "input_weight": weight("What a token of input counts; 1 where absent."),
            "cached_input_weight": weight("One that was cached; as input where absent."),
            "output_weight": weight("What a token of output counts; 1 where absent."),
            "models": texts("Count only completions of these; absent: see services."),
            "services": texts("Count only calls of these; absent with models: everything."),
            "rate": flag(false, "Whether up to an hour is a rate (429) and not a quota (402)."),
            "tz": zone(),
            "anchor": anchor(),
        }),
    );
    limit["oneOf"] = json!([
        { "required": ["concurrent"] },
        { "required": ["unit", "amount", "per"] },
        { "required": ["unit", "amount", "rolling"] },
    ]);
    limit
}

/// The fields that plans and keys share.
fn offer() -> Map<String, Value> {
    let limits = json!({ "type": "array", "items": limit(), "maxItems": LIMITS_MAX });
    let lists = [
        ("limits", limits),
        ("models", texts("The models it may ask for; absent: all.")),
        ("services", texts("The services it may call; absent: all.")),
    ];
    lists
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

pub(super) fn plan() -> Value {
    let mut plan = offer();
    plan.insert("tz".to_owned(), zone());
    plan.insert("anchor".to_owned(), anchor());
    table(&[], plan.into())
}

pub(super) fn tenant() -> Value {
    let mut key = offer();
    key.insert("name".to_owned(), text("Its name."));
    key.insert("disabled".to_owned(), flag(false, "Whether it is refused."));
    key.insert(
        "sha256".to_owned(),
        json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$|\\$\\{" }),
    );
    key.insert(
        "subject".to_owned(),
        text("The subject of a client certificate, in place of sha256."),
    );
    key.insert("team".to_owned(), text("The team it belongs to."));
    let limits = offer().remove("limits");
    let team_limits = json!({ "type": "array", "items": limit(), "maxItems": TEAM_LIMITS_MAX });
    table(
        &[],
        json!({
            "plan": text("The plan it subscribes to."),
            "balance": usd("Prepaid USD; absent: not prepaid."),
            "suspended": flag(false, "Whether every request is refused."),
            "limits": limits,
            "tz": zone(),
            "anchor": anchor(),
            "teams": named(table(&[], json!({ "limits": team_limits }))),
            "keys": { "type": "array", "items": table(&["name"], key.into()) },
        }),
    )
}
