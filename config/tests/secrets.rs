//! What must never be read out of a fault, a snapshot, a log line or an answer.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{SECRET, env, faults, snapshot};
use tollring_config::{Faults, example, parse};

/// Stands in a file where a careless operator wrote a secret out; any third of it is too much.
const WRITTEN: &str = "SEKRITSEKRITSEKRIT";

/// A part of [`WRITTEN`] that survives a byte being put into it or taken out.
const PART: &str = "SEKRIT";

#[track_caller]
fn check_silent(faults: &Faults, secret: &str, text: &str) {
    for shown in [
        faults.render_text(),
        faults.render_json(),
        format!("{faults:?}"),
    ] {
        assert!(
            !shown.contains(secret),
            "of\n{text}\nthis shows a secret:\n{shown}"
        );
    }
}

#[test]
fn a_value_of_the_environment_is_in_no_fault() {
    let places = [
        "[server]\nlisten = ['$']",
        "[server]\nio = '$'",
        "[timeouts]\nhead = '$'",
        "[limits]\nbody_bytes = '$'",
        "[errors]\ntop_up_url = '$'",
        "[providers.p]\ndialect = '$'\nbase_url = '$'",
        "[providers.p]\ndialect = 'openai'\nbase_url = 'http://$'",
        "[providers.p]\ndialect = 'openai'\nbase_url = 'http://u:$@h'",
        "[providers.p]\ndialect = 'openai'\nbase_url = 'x'\nproxy = '$'",
        "[providers.p]\ndialect = 'openai'\nbase_url = 'x'\nproxy = 'https://u:$@h'",
        "[services.s]\npath = '$'\nupstreams = ['$']\nmeter = '$'",
        "[services.s]\npath = '/v1/$'\nupstreams = ['http://[::1]']",
        "[models.m]\ntargets = [{ provider = '$', model = '$ ' }]\nprice = { input = '$' }",
        "[tenants.t]\nplan = '$'\nbalance = '$'",
        "[tenants.t]\nlimits = [{ unit = '$', amount = '$', per = '$' }]",
        "[[tenants.t.keys]]\nname = '$ '\nsha256 = '$'\nmodels = ['$']",
    ];
    for place in places {
        let text = place.replace('$', "${SECRET}");
        check_silent(&faults(&text), SECRET, &text);
    }
}

#[test]
fn a_secret_written_out_is_not_shown_by_what_stands_beside_it() {
    let lines = [
        "providers.p = { dialect = 'cobol', api_keys = ['$'] }",
        "providers.p = { dialect = 'openai', base_url = 'x', api_keys = ['$', 5] }",
        "admin = { token = '$', listen = 'x' }",
        "admin = { tokne = '$' }",
        "[providers.p]\napi_key = '$'",
        "[providers.p]\nsecret = '$'",
        "[[tenants.t.keys]]\nkey = '$'",
        "token = '$'",
        "[admin]\ntoken = ['$']",
        "[admin]\ntoken = ' $'",
        "[providers.p]\ndialect = 'openai'\nbase_url = 'http://u:$@h'",
        "[providers.p]\nproxy = 'http://u:$@h:0'",
        "[services.s]\nproxi = 'http://u:$@h:1'",
    ];
    for line in lines {
        let text = line.replace('$', WRITTEN);
        check_silent(&faults(&text), PART, &text);
    }
}

#[test]
fn a_fault_beside_a_secret_still_shows_the_rest_of_its_line() {
    let text = format!("admin = {{ token = '{WRITTEN}', listen = 'x' }}");
    let shown = faults(&text).render_text();
    assert!(
        shown.contains("| admin = { token = '··················', listen = 'x' }\n"),
        "{shown}"
    );
    assert!(
        shown.contains("\n        |                                                  ^^^\n"),
        "{shown}"
    );
}

#[test]
fn a_control_character_in_a_secret_does_not_reach_the_terminal() {
    let text = "[admin]\ntoken = \"a\u{1b}[2J\" b\n";
    let faults = parse("tollring.toml", text, &|_| None).unwrap_err();
    let shown = faults.render_text();
    let stray = |letter: char| letter.is_control() && letter != '\n';
    assert!(!shown.contains(stray), "{shown:?}");
}

/// Puts a slip of the pen at every byte of a sound file, and reads what is told about it.
#[test]
fn no_slip_of_the_pen_brings_a_secret_to_light() {
    let sound = format!(
        "[admin]\ntoken = \"{WRITTEN}\"\n\n[providers.p]\ndialect = \"openai\"\n\
         base_url = \"http://[::1]\"\napi_keys = [\n  \"{WRITTEN}\",\n  '{WRITTEN}',\n]\n\
         timeouts = {{ connect = \"1s\" }}\n\n[[tenants.t.keys]]\nname = \"k\"\n"
    );
    let mut slips = 0;
    for at in 0..=sound.len() {
        let (before, after) = sound.split_at(at);
        let without = after.get(1..).unwrap_or_default();
        let mut texts = vec![format!("{before}{without}"), before.to_owned()];
        texts.extend(
            [
                "\"", "'", "[", "]", "=", " ", "\n", "x", ".", "#", "{", "}", ",",
            ]
            .map(|slip| format!("{before}{slip}{after}")),
        );
        for text in texts {
            if let Err(faults) = parse("tollring.toml", &text, &env) {
                slips += 1;
                check_silent(&faults, PART, &text);
            }
        }
    }
    assert!(slips > 1000, "only {slips} slips were faults");
}

#[test]
fn the_password_of_a_proxy_is_not_shown() {
    let text = "[providers.p]\ndialect = 'openai'\nbase_url = 'https://h'\n\
                proxy = 'http://us:${SECRET}@proxy:3128'";
    let snapshot = snapshot(text);
    for shown in [format!("{snapshot:?}"), snapshot.describe_json()] {
        assert!(!shown.contains(SECRET), "{shown}");
    }
    assert!(
        snapshot
            .describe_json()
            .contains("http://(hidden)@proxy:3128")
    );
}

#[test]
fn a_snapshot_does_not_show_its_secrets() {
    let snapshot = snapshot(example());
    assert_eq!(snapshot.providers[0].api_keys[0].expose(), SECRET);
    for shown in [format!("{snapshot:?}"), snapshot.describe_json()] {
        assert!(!shown.contains(SECRET), "{shown}");
    }
    assert!(snapshot.describe_json().contains("(hidden)"));
}
