//! Who was let in and told what: paths that climbed out of their service, keys that left
//! with a request, bodies longer than allowed, and a provider's purse told to a caller.

use serde_json::json;

use crate::support::openai::{self, CHAT, LAST_CHUNK, chunk};
use crate::support::site::ACME;
use crate::support::stage::Stage;
use crate::support::{Gateway, Provider, Request, Site, refused};
use crate::{chat, keyed_service};

/// A provider that says whatever it is asked that it was asked.
fn listener() -> Provider {
    Provider::answering(|call| openai::answer("200 OK", &json!(call.target).to_string()))
}

#[test]
fn a_path_never_climbs_out_of_its_service() {
    let provider = listener();
    let site = Site::with_acme(&Provider::nowhere()).open_service("pub", "/pub", &provider.url());
    let lines = "meter = \"requests\"\nprice = { request = \"1\" }";
    let gateway = Gateway::start(&keyed_service(site, "/priv", &provider.url(), lines));
    for target in [
        "/pub/../priv/x",
        "/pub/%2e%2e/priv/x",
        "/pub/%2E./priv/x",
        "/pub/.%2e/priv/x",
        "/pub/..%2fpriv/x",
        "/pub/..%2Fpriv/x",
        "/pub/%2e%2e%2fpriv/x",
        "/pub/./x",
        "/pub/%2e/x",
        "/pub/a/../../priv/x",
        "/pub/..",
        "/pub/.",
        "/pub/../priv/x?a=b",
    ] {
        let answer = gateway.ask(&Request::get(target));
        assert_eq!(answer.status, 400, "{target}: {}", answer.describe());
        assert_eq!(provider.calls_total(), 0, "{target} reached the upstream");
    }
    assert_eq!(gateway.ask(&Request::get("/priv/x")).status, 401);

    // Dots that are part of a name, and dots in a query, are nobody's way up.
    for target in [
        "/pub/a.b/..c/x",
        "/pub/.well-known/x",
        "/pub/.../x",
        "/pub/x..",
        "/pub/x?up=/../priv",
    ] {
        let answer = gateway.ask(&Request::get(target));
        assert_eq!(answer.status, 200, "{target}: {}", answer.describe());
        assert_eq!(answer.json(), target);
    }
}

/// Paths that some server reads as `/w/premium`, and some as another below `/w`.
const PREMIUM_IN_DISGUISE: [&str; 11] = [
    "/w/%2570remium/x",
    "/w/%5cpremium/x",
    "/w/premium%5Cx",
    "/w/Premium/x",
    "/w/%70remium/x",
    "/w//premium/x",
    "/w/premium;a/x",
    "/w/premium%2fx",
    "/w;a=1/premium/x",
    "/w/pr%65miu%6D",
    "/w//%70remium;b=2/x",
];

/// `/w` with `auth`, and `/w/premium` behind the same upstream, which wants a key.
fn one_behind_another(site: Site, upstream: &str, auth: &str) -> Site {
    let service = |name: &str, path: &str, auth: &str| {
        format!(
            "[services.{name}]\npath = \"{path}\"\nupstreams = [\"{upstream}\"]\n\
             auth = \"{auth}\"\nmeter = \"none\""
        )
    };
    site.raw(&service("w", "/w", auth))
        .raw(&service("premium", "/w/premium", "key"))
}

/// Asserts that paths that two servers may read as two services' are nobody's, that others
/// are what they were, and that nothing of the first kind reached the upstream.
#[track_caller]
fn only_plain_paths_pass(gateway: &Gateway, provider: &Provider, key: Option<&str>) {
    let get = |target: &str| {
        let request = Request::get(target);
        gateway.ask(&match key {
            Some(key) => request.key(key),
            None => request,
        })
    };
    for target in PREMIUM_IN_DISGUISE {
        let answer = get(target);
        let no = matches!(answer.status, 400 | 401 | 403);
        assert!(no, "{target}: {}", answer.describe());
        assert_eq!(provider.calls_total(), 0, "{target} reached the upstream");
    }
    for target in ["/w/..;/admin", "/w/.%2e;x/y", "/w/%2e%2E%3Bx/y"] {
        let answer = get(target);
        assert_eq!(answer.status, 400, "{target}: {}", answer.describe());
        assert_eq!(provider.calls_total(), 0, "{target} reached the upstream");
    }
    for target in ["/w/K%C3%B6ln", "/w/a%2Fb", "/w/a;b=1/c", "/w//a"] {
        let answer = get(target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.describe());
        assert_eq!(answer.json(), target);
    }
}

#[test]
fn a_path_that_another_server_reads_as_a_keyed_service_does_not_pass_without_a_key() {
    let provider = listener();
    let gateway = Gateway::start(&one_behind_another(Site::new(), &provider.url(), "none"));
    only_plain_paths_pass(&gateway, &provider, None);
}

#[test]
fn a_path_that_another_server_reads_as_another_service_does_not_pass_with_a_key_for_one() {
    let provider = listener();
    let site = one_behind_another(Site::new(), &provider.url(), "key")
        .tenant("acme", "")
        .key("acme", "bot", ACME, "services = [\"w\"]");
    let gateway = Gateway::start(&site);
    let plainly = gateway.ask(&Request::get("/w/premium/x").key(ACME));
    assert_eq!(plainly.status, 403, "{}", plainly.describe());
    only_plain_paths_pass(&gateway, &provider, Some(ACME));
}

/// A request that shows the caller's key in more than one place.
fn shown_everywhere(request: Request) -> Request {
    request
        .key(ACME)
        .field("X-Api-Key", ACME)
        .field("Api-Key", ACME)
        .field("X-Goog-Api-Key", ACME)
}

/// Asserts that no call carried the caller's key anywhere.
#[track_caller]
fn nobody_saw_the_key(provider: &Provider, calls: usize) {
    let seen = provider.calls();
    assert_eq!(seen.len(), calls, "calls at the upstream");
    for call in seen {
        let text = format!("{} {:?}", call.target, call.fields);
        assert!(!text.contains(ACME), "the caller's key left: {text}");
    }
}

#[test]
fn a_key_shown_more_than_once_reaches_no_upstream_in_any_form() {
    let provider = listener();
    let site = Site::with_acme(&provider.url());
    let lines = "meter = \"requests\"\nprice = { request = \"0\" }";
    let gateway = Gateway::start(&keyed_service(site, "/files", &provider.url(), lines));
    let target = format!("/files/x?key={ACME}&a=1&key={ACME}&b=2");
    let requests = [
        shown_everywhere(Request::get(&target)),
        Request::get(&target).key(ACME),
        Request::get(&target).field("X-Api-Key", ACME),
        Request::get(&target),
        Request::get("/files/x?a=1&b=2")
            .key(ACME)
            .field("X-Api-Key", ACME),
        Request::get("/files/x?a=1&b=2")
            .field("X-Goog-Api-Key", ACME)
            .field("Api-Key", ACME),
    ];
    for (number, request) in requests.iter().enumerate() {
        let answer = gateway.ask(request);
        assert_eq!(answer.status, 200, "{}", answer.describe());
        assert_eq!(answer.json(), "/files/x?a=1&b=2", "request {number}");
        nobody_saw_the_key(&provider, number + 1);
    }

    let body = openai::chat("m", json!({}));
    let completion = Request::post(&format!("{CHAT}?key={ACME}"), body);
    assert_eq!(gateway.ask(&shown_everywhere(completion)).status, 200);
    nobody_saw_the_key(&provider, requests.len() + 1);
}

#[test]
fn a_key_of_ours_shown_where_none_is_asked_for_goes_no_further_and_a_foreign_one_does() {
    let provider = listener();
    let site = Site::with_acme(&provider.url()).open_service("open", "/open", &provider.url());
    let gateway = Gateway::start(&site);
    let requests = [
        Request::get("/open/x?a=1").key(ACME),
        Request::get("/open/x?a=1").field("X-Api-Key", ACME),
        Request::get(&format!("/open/x?key={ACME}&a=1")),
        shown_everywhere(Request::get(&format!("/open/x?a=1&key={ACME}"))),
    ];
    for (number, request) in requests.iter().enumerate() {
        let answer = gateway.ask(request);
        assert_eq!(answer.status, 200, "{}", answer.describe());
        assert_eq!(answer.json(), "/open/x?a=1", "request {number}");
        nobody_saw_the_key(&provider, number + 1);
    }

    let foreign = Request::get("/open/x?key=theirs")
        .key("a-token-of-theirs")
        .field("X-Api-Key", ACME);
    assert_eq!(gateway.ask(&foreign).json(), "/open/x?key=theirs");
    nobody_saw_the_key(&provider, requests.len() + 1);
    let call = provider.calls().pop().unwrap();
    let shown = call.field("authorization");
    assert_eq!(shown, Some("Bearer a-token-of-theirs"), "{call:?}");
}

#[test]
fn a_key_of_the_upstreams_own_passes_beside_ours() {
    let provider = listener();
    let site = Site::with_acme(&Provider::nowhere());
    let lines = "meter = \"requests\"\nprice = { request = \"0\" }";
    let gateway = Gateway::start(&keyed_service(site, "/files", &provider.url(), lines));
    let request = Request::get("/files/x?key=theirs-too")
        .key(ACME)
        .field("X-Api-Key", "theirs");
    let answer = gateway.ask(&request);
    assert_eq!(answer.json(), "/files/x?key=theirs-too");
    let calls = provider.calls();
    assert_eq!(calls[0].field("x-api-key"), Some("theirs"), "{calls:?}");
    assert_eq!(calls[0].field("authorization"), None, "{calls:?}");
}

#[test]
fn a_chunked_body_that_arrives_whole_is_no_longer_than_allowed() {
    let stage = Stage::new(|site| site.set("limits", "body_bytes", "\"1KiB\""));
    let body = |bytes: usize| {
        let text = "a b ".repeat(bytes / 4);
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": text }] });
        format!(
            "POST {CHAT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ACME}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{}{LAST_CHUNK}",
            chunk(&body.to_string())
        )
    };
    refused(&stage.raw(&body(10_000)), 413, "body_too_large");
    stage.nothing_reached_the_provider();
    assert_eq!(stage.raw(&body(800)).status, 200);
}

#[test]
fn a_provider_whose_account_is_empty_is_503_however_its_answer_is_cut() {
    let broke = r#"{"error":{"message":"You exceeded your current quota, please check your
        plan.","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let busy = r#"{"error":{"message":"Not now.","type":"requests","code":"busy"}}"#;
    for (body, status) in [(broke, 503), (busy, 429)] {
        let whole = openai::answer("429 Too Many Requests", body);
        let head_bytes = whole.len() - body.len();
        // Nothing of the body with the head, some of it, all of it.
        for split in [head_bytes, head_bytes + 20, whole.len()] {
            let whole = whole.clone();
            let provider = Provider::start(move |mut peer| {
                while peer.call().is_some() {
                    let (first, rest) = whole.split_at(split);
                    let sent = peer.send_apart(first);
                    if sent.and_then(|()| peer.send(rest)).is_err() {
                        return;
                    }
                }
            });
            let gateway = Gateway::start(&Site::with_acme(&provider.url()));
            let answer = gateway.ask(&chat(json!({ "max_tokens": 10 })));
            assert_eq!(
                answer.status,
                status,
                "split at {split}: {}",
                answer.describe()
            );
            if status == 503 {
                refused(&answer, 503, "upstream_unavailable");
                assert!(!answer.text().contains("insufficient_quota"));
            } else {
                assert_eq!(answer.text(), body, "split at {split}");
            }
            assert_eq!(gateway.bucket_at_rest(ACME, "tokens").used, 0);
        }
    }
}
