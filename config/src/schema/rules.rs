//! What a service does with heads, as it is written: one reader for each noun.

use std::time::Duration;

use crate::fault::{Problem, RuleFault};
use crate::limits::{CORS_MAX_AGE, FIELD_EDITS_MAX, HOSTS_MAX, ORIGINS_MAX, VALUE_BYTES_MAX};
use crate::read::{At, Field, Table};
use crate::rules::{Cors, FieldEdits, HostPattern, HostSent, Origins, Rewrite, ServiceRules};
use crate::schema::edge::access;
use crate::secret::Secret;
use crate::value::{
    parse_authority, parse_duration, parse_field_name, parse_field_value, parse_host_pattern,
    parse_listed_field, parse_method, parse_origin, parse_pattern, parse_replacement,
};

const HOSTS_EXAMPLE: &str = "hosts = [\"api.example.com\"]";
const ORIGINS_EXAMPLE: &str = "origins = [\"https://app.example.com\"]";

/// How long a browser may remember an answer to a preflight where the file does not say: ten
/// minutes, so that a change is felt the same hour.
pub(crate) const MAX_AGE_DEFAULT: Duration = Duration::from_secs(600);

/// The rules of a service; its hosts keep their places, for they are compared with others'.
#[derive(Default)]
pub(crate) struct RulesSchema {
    pub(crate) hosts: Vec<At<HostPattern>>,
    pub(crate) rules: ServiceRules,
}

/// Reads the fields of `[services.…]` that say what is done with heads. What is faulty has been
/// reported, and its default takes its place.
pub(crate) fn rules(table: &mut Table<'_>) -> RulesSchema {
    let hosts = table.or("hosts", Vec::new(), |field| {
        field.filled_list(HOSTS_MAX, HOSTS_EXAMPLE, |item| {
            item.parsed_at(parse_host_pattern)
        })
    });
    let strip_path = table.or("strip_path", false, Field::flag);
    let rewrite = table.maybe("rewrite", |field| rewrite(field.table()?));
    let host = table.or("host", HostSent::Upstream, |field| {
        field.parsed(|text| match text {
            "upstream" => Ok(HostSent::Upstream),
            "client" => Ok(HostSent::Client),
            name => parse_authority(name).map(HostSent::Name),
        })
    });
    let request_fields = table.section("request_headers", edits);
    let response_fields = table.section("response_headers", edits);
    let cors = table.maybe("cors", |field| cors(field.table()?));
    let access = access(table);
    let websocket = table.or("websocket", false, Field::flag);
    let rules = ServiceRules {
        hosts: Vec::new(),
        strip_path: strip_path.unwrap_or_default(),
        rewrite: rewrite.flatten(),
        host: host.unwrap_or_default(),
        request_fields: request_fields.unwrap_or_default(),
        response_fields: response_fields.unwrap_or_default(),
        cors: cors.flatten(),
        access,
        websocket: websocket.unwrap_or_default(),
    };
    RulesSchema {
        hosts: hosts.unwrap_or_default(),
        rules,
    }
}

fn rewrite(mut table: Table<'_>) -> Option<Rewrite> {
    let from = table.need("from", "from = \"^/v1/(.*)\"", |field| {
        field.parsed(parse_pattern)
    });
    let to = table.need("to", "to = \"/$1\"", |field| match &from {
        Some(from) => field.parsed(|text| parse_replacement(text, from)),
        // Without its pattern nothing can be said of it.
        None => field.parsed(|text| Ok(text.into())),
    });
    table.close();
    Some(Rewrite {
        from: from?,
        to: to?,
    })
}

fn edits(mut table: Table<'_>) -> Option<FieldEdits> {
    let set = table.pairs("set", FIELD_EDITS_MAX, parse_field_name, value);
    let add = table.pairs("add", FIELD_EDITS_MAX, parse_field_name, value);
    let remove = table.or("remove", Vec::new(), |field| {
        field.list(FIELD_EDITS_MAX, |item| item.parsed(parse_field_name))
    });
    table.close();
    Some(FieldEdits {
        set: set?,
        add: add?,
        remove: remove?,
    })
}

/// A field's value. Any may be a secret, so none is shown.
fn value(field: &Field<'_>) -> Option<Secret> {
    field.hide();
    field.parsed(|text| parse_field_value(text).map(Secret::new))
}

fn cors(mut table: Table<'_>) -> Option<Cors> {
    let credentials = table.or("credentials", false, Field::flag);
    let origins = table.need("origins", ORIGINS_EXAMPLE, |field| {
        origins(field, credentials.unwrap_or(false))
    });
    let methods = table.or("methods", Vec::new(), |field| {
        field.list(ORIGINS_MAX, |item| item.parsed(parse_method))
    });
    let mut fields = |name| {
        table.or(name, Vec::new(), |field| {
            field.list(ORIGINS_MAX, |item| item.parsed(parse_listed_field))
        })
    };
    let headers = fields("headers");
    let expose = fields("expose");
    let max_age = table.or("max_age", MAX_AGE_DEFAULT, |field| {
        field.parsed(|text| match parse_duration(text)? {
            age if age <= CORS_MAX_AGE => Ok(age),
            _ => Err(Problem::DurationOutside {
                min: Duration::from_millis(1),
                max: CORS_MAX_AGE,
            }),
        })
    });
    table.close();
    Some(Cors {
        origins: origins?,
        methods: methods?,
        headers: headers?,
        expose: expose?,
        credentials: credentials?,
        max_age_s: u32::try_from(max_age?.as_secs()).unwrap_or(u32::MAX),
    })
}

/// The origins; `"*"` stands alone, and not beside credentials, which no browser would send.
fn origins(field: &Field<'_>, credentials: bool) -> Option<Origins> {
    let written = field.filled_list(ORIGINS_MAX, ORIGINS_EXAMPLE, |item| {
        item.parsed_at(|text| match text {
            "*" => Ok(None),
            text => parse_origin(text).map(Some),
        })
    })?;
    if written.iter().any(|origin| origin.value.is_none()) {
        if credentials {
            field.report(Problem::Rule(RuleFault::OriginAnyCredentials));
            return None;
        }
        if written.len() > 1 {
            field.report(Problem::Rule(RuleFault::OriginAnyAmongOthers));
            return None;
        }
        return Some(Origins::Any);
    }
    let these = written.into_iter().filter_map(|origin| origin.value);
    Some(Origins::These(these.collect()))
}

const _: () = assert!(
    crate::limits::FIELD_VALUE_BYTES_MAX <= VALUE_BYTES_MAX,
    "a field's value is a string of the file"
);
