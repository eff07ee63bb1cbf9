//! Faults as they are printed, and the promises of the reader to whoever writes the file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use proptest::prelude::*;
use support::{env, faults};
use tollring_config::{Problem, example, parse, schema_json};

#[test]
fn the_text_points_at_what_is_meant() {
    let text = "[providers.far]\ndialect  = \"openai\"\nbase_url = \"http://a.example\"\n\n\
                [tenants.acme]\nlimits = [{ unit = \"tokens\", amount = 0, per = \"day\" }]\n";
    let expected = "\
tollring.toml: 2 problems, nothing changed
  3:12    providers.far.base_url         \"http://a.example\" leaves this machine in the clear; \
name a loopback address, or set `insecure = true` if that is meant
      3 | base_url = \"http://a.example\"
        |            ^^^^^^^^^^^^^^^^^^
  6:39    tenants.acme.limits[0].amount  is 0; use `suspended = true` to stop a tenant
      6 | limits = [{ unit = \"tokens\", amount = 0, per = \"day\" }]
        |                                       ^
";
    assert_eq!(faults(text).render_text(), expected);
}

#[test]
fn the_json_keeps_its_shape() {
    let expected = concat!(
        r#"{"file":"tollring.toml","faults":[{"line":2,"column":6,"path":"server.io","#,
        r#""message":"\"x\" is none of the choices","#,
        r#""remedy":"choose from auto, io_uring, epoll","snippet":"io = \"x\""}],"left_out":0}"#,
    );
    assert_eq!(faults("[server]\nio = \"x\"").render_json(), expected);
}

#[test]
fn columns_are_counted_in_characters() {
    let faults = faults("server.io = \"ü\"    # ü\n\"ü\" = 1\n");
    let places: Vec<_> = faults
        .faults
        .iter()
        .map(|fault| (fault.line, fault.column))
        .collect();
    assert_eq!(places, [(1, 13), (2, 1)]);
    assert_eq!(faults.faults[0].snippet.caret_length, 3);
}

#[test]
fn a_long_line_is_shown_where_it_matters() {
    let text = format!(
        "server.listen = [{}\":80\"]",
        "\"127.0.0.1:0\", ".repeat(15)
    );
    let faults = faults(&text);
    let snippet = &faults.faults[0].snippet;
    let meant: String = snippet
        .line
        .chars()
        .skip(snippet.caret_start)
        .take(snippet.caret_length)
        .collect();
    assert_eq!(meant, "\":80\"");
    assert!(snippet.line.chars().count() <= 120);
}

/// The tables of the file, as text with a stranger in each, and as a pointer into the schema.
const TABLES: &[(&str, &str)] = &[
    ("zzz = 1", ""),
    ("server.zzz = 1", "/server"),
    ("server.forwarded.zzz = 1", "/server/forwarded"),
    ("admin.zzz = 1", "/admin"),
    ("timeouts.zzz = 1", "/timeouts"),
    ("limits.zzz = 1", "/limits"),
    ("store.zzz = 1", "/store"),
    ("quota.zzz = 1", "/quota"),
    ("errors.zzz = 1", "/errors"),
    ("providers.x.zzz = 1", "/providers/*"),
    ("providers.x.timeouts.zzz = 1", "/providers/*/timeouts"),
    ("models.x.zzz = 1", "/models/*"),
    ("models.x.price.zzz = 1", "/models/*/price"),
    ("models.x.targets = [{ zzz = 1 }]", "/models/*/targets/[]"),
    ("services.x.zzz = 1", "/services/*"),
    ("services.x.price.zzz = 1", "/services/*/price"),
    ("services.x.timeouts.zzz = 1", "/services/*/timeouts"),
    ("services.x.rewrite.zzz = 1", "/services/*/rewrite"),
    ("services.x.cors.zzz = 1", "/services/*/cors"),
    (
        "services.x.request_headers.zzz = 1",
        "/services/*/request_headers",
    ),
    (
        "services.x.response_headers.zzz = 1",
        "/services/*/response_headers",
    ),
    ("plans.x.zzz = 1", "/plans/*"),
    ("providers.x.eject = { zzz = 1 }", "/providers/*/eject"),
    ("providers.x.health = { zzz = 1 }", "/providers/*/health"),
    ("providers.x.breaker = { zzz = 1 }", "/providers/*/breaker"),
    ("services.x.queue = { zzz = 1 }", "/services/*/queue"),
    ("models.x.retries = { zzz = 1 }", "/models/*/retries"),
    ("plans.x.limits = [{ zzz = 1 }]", "/plans/*/limits/[]"),
    ("tenants.x.zzz = 1", "/tenants/*"),
    ("tenants.x.limits = [{ zzz = 1 }]", "/tenants/*/limits/[]"),
    ("tenants.x.keys = [{ zzz = 1 }]", "/tenants/*/keys/[]"),
    (
        "tenants.x.keys = [{ limits = [{ zzz = 1 }] }]",
        "/tenants/*/keys/[]/limits/[]",
    ),
];

#[test]
fn the_json_schema_has_the_fields_that_the_reader_knows() {
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).unwrap();
    for (text, pointer) in TABLES {
        let pointer = pointer
            .replace("/[]", "/items")
            .split('/')
            .filter(|step| !step.is_empty())
            .map(|step| match step {
                "*" => "/additionalProperties".to_owned(),
                "items" => "/items".to_owned(),
                name => format!("/properties/{name}"),
            })
            .collect::<String>();
        let table = schema
            .pointer(&pointer)
            .unwrap_or_else(|| panic!("no {pointer}"));
        let described: Vec<_> = table["properties"].as_object().unwrap().keys().collect();
        assert_eq!(table["additionalProperties"], false, "{pointer}");
        let fields = faults(text)
            .faults
            .into_iter()
            .find_map(|fault| match fault.problem {
                Problem::FieldUnknown { known, .. } => Some(known),
                _ => None,
            });
        let mut fields = fields.expect("a stranger is in every table");
        fields.sort_unstable();
        assert_eq!(described, fields, "{pointer}");
    }
}

#[test]
fn the_example_shows_every_field_that_can_be_set() {
    for (text, _) in TABLES {
        let unknown = faults(text)
            .faults
            .into_iter()
            .find_map(|fault| match fault.problem {
                Problem::FieldUnknown { known, .. } => Some(known),
                _ => None,
            });
        for field in unknown.unwrap() {
            assert!(example().contains(field), "{field} is not in the example");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = parse("tollring.toml", &text, &env).map_err(|faults| faults.render_text());
    }

    #[test]
    fn no_file_with_a_slip_makes_it_panic(
        at in 0..example().len(),
        length in 0..40usize,
        slip in "[\\[\\]{}=\"'.,#$ \n0-9a-zé-]{0,6}",
    ) {
        let boundary = |at: usize| (0..=at).rev().find(|at| example().is_char_boundary(*at));
        let start = boundary(at).unwrap_or(0);
        let end = boundary((at + length).min(example().len())).unwrap_or(start).max(start);
        let text = format!("{}{slip}{}", &example()[..start], &example()[end..]);
        if let Err(faults) = parse("tollring.toml", &text, &env) {
            prop_assert!(faults.count() > 0);
            prop_assert!(!faults.render_text().is_empty() && !faults.render_json().is_empty());
        }
    }
}
