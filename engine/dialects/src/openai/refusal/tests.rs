//! The bodies of refusals, as another reader reads them.

use serde_json::{Value, json};

use super::*;
use crate::{AmountsView, QuotaView, problem};

const QUOTA: QuotaView<'_> = QuotaView {
    scope: "tenant",
    scope_id: Some("acme"),
    name: "monthly \"tokens\"",
    unit: "tokens",
    window: "month",
    amounts: Some(AmountsView {
        limit: &1_000_000_u64,
        used: &999_000_u64,
        held: &500_i64,
        remaining: &500_i64,
        requested: &"0.000000001",
    }),
    affordable_max_tokens: Some(412),
    resets_at: Some(&"2026-12-01T00:00:00Z"),
    top_up_url: Some("https://example.com/pay?a=1&b=\"2\""),
};

const REFUSAL: RefusalView<'_> = RefusalView {
    status: 402,
    kind: "insufficient_quota",
    code: "quota_exhausted",
    message: &"The month's tokens are spent.",
    param: None,
    request_id: "req_01",
    quota: Some(QUOTA),
};

fn body(refusal: &RefusalView<'_>) -> Value {
    let mut out = Vec::new();
    append(&mut out, refusal);
    serde_json::from_slice(&out).expect("a refusal is JSON")
}

fn quota() -> Value {
    json!({
        "scope": "tenant",
        "scope_id": "acme",
        "name": "monthly \"tokens\"",
        "unit": "tokens",
        "window": "month",
        "limit": "1000000",
        "used": "999000",
        "held": "500",
        "remaining": "500",
        "requested": "0.000000001",
        "affordable_max_tokens": 412,
        "resets_at": "2026-12-01T00:00:00Z",
        "top_up_url": "https://example.com/pay?a=1&b=\"2\"",
    })
}

#[test]
fn a_refusal_has_every_fact_in_a_field() {
    let expected = json!({"error": {
        "message": "The month's tokens are spent.",
        "type": "insufficient_quota",
        "param": null,
        "code": "quota_exhausted",
        "source": "gateway",
        "request_id": "req_01",
        "quota": quota(),
    }});
    assert_eq!(body(&REFUSAL), expected);
}

#[test]
fn a_refusal_without_a_bucket_has_no_quota() {
    let refusal = RefusalView {
        param: Some("model"),
        quota: None,
        ..REFUSAL
    };
    let body = body(&refusal);
    assert_eq!(body["error"]["param"], "model");
    assert_eq!(body["error"].get("quota"), None);
}

#[test]
fn amounts_that_a_caller_may_not_see_are_null() {
    let quota = QuotaView {
        amounts: None,
        scope_id: None,
        affordable_max_tokens: None,
        ..QUOTA
    };
    let body = body(&RefusalView {
        quota: Some(quota),
        ..REFUSAL
    });
    for field in [
        "limit",
        "used",
        "held",
        "remaining",
        "requested",
        "affordable_max_tokens",
    ] {
        assert_eq!(
            body["error"]["quota"].get(field),
            Some(&Value::Null),
            "{field}"
        );
    }
    assert_eq!(body["error"]["quota"]["name"], "monthly \"tokens\"");
}

#[test]
fn whatever_the_text_is_the_body_is_json_and_the_event_is_one() {
    let nasty = "a\"b\\c\n\r\t\u{0}\u{1f}\u{7f}\u{2028}é😀 data: x\n\n";
    let message = format_args!("{nasty}{}", 7).to_string();
    let refusal = RefusalView {
        message: &message,
        request_id: nasty,
        ..REFUSAL
    };
    assert_eq!(body(&refusal)["error"]["message"], format!("{nasty}7"));
    assert_eq!(body(&refusal)["error"]["request_id"], nasty);
    let mut out = Vec::new();
    append_stream_error(&mut out, &refusal);
    let event = String::from_utf8(out).expect("what was text is text");
    let data = event
        .strip_prefix("data: ")
        .and_then(|data| data.strip_suffix("\n\n"));
    let data = data.expect("one field, one blank line");
    assert!(!data.contains(['\n', '\r']));
    assert_eq!(
        serde_json::from_str::<Value>(data).ok(),
        Some(body(&refusal))
    );
}

#[test]
fn a_failure_in_mid_stream_is_an_error_event_and_no_end() {
    let mut out = Vec::new();
    append_midstream_failure(
        &mut out,
        "upstream_reset",
        &"The provider hung up.",
        "req_02",
    );
    let expected = concat!(
        r#"data: {"error":{"message":"The provider hung up.","type":"server_error","#,
        r#""param":null,"code":"upstream_reset","source":"gateway","request_id":"req_02"}}"#,
        "\n\n",
    );
    assert_eq!(String::from_utf8_lossy(&out), expected);
    let mut meter = crate::openai::StreamMeter::new();
    meter.observe(&out);
    assert!(meter.error_seen() && !meter.done_seen());
}

#[test]
fn a_rest_caller_gets_the_same_refusal_as_a_problem() {
    let mut out = Vec::new();
    problem::append(&mut out, &REFUSAL);
    let expected = json!({
        "type": "urn:tollring:refusal:quota_exhausted",
        "title": "Insufficient quota",
        "status": 402,
        "detail": "The month's tokens are spent.",
        "code": "quota_exhausted",
        "request_id": "req_01",
        "quota": quota(),
    });
    assert_eq!(serde_json::from_slice::<Value>(&out).ok(), Some(expected));
}

#[test]
fn a_display_that_fails_still_leaves_a_body() {
    struct Failing;
    impl Display for Failing {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("half")?;
            Err(std::fmt::Error)
        }
    }
    assert_eq!(
        body(&RefusalView {
            message: &Failing,
            ..REFUSAL
        })["error"]["message"],
        "half"
    );
}
