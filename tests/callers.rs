//! From where callers come and what services learn of it, and which pages may read an answer.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use support::message::Answer;
use support::openai;
use support::provider::Call;
use support::site::{ACME, AMPLE};
use support::{Gateway, Provider, Request, Site};

const PAGE: &str = "https://app.example.com";

fn upstream() -> Provider {
    Provider::answering(|_| {
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: https://theirs.test\r\n\
          Content-Length: 2\r\n\r\nok"
            .to_vec()
    })
}

/// What a service learns of a request, when `[server.forwarded]` has these lines.
#[track_caller]
fn learns(lines: &str, request: &Request) -> Call {
    let provider = upstream();
    let site = Site::new()
        .raw(&format!("[server.forwarded]\n{lines}"))
        .open_service("s", "/s", &provider.url());
    let answer = Gateway::start(&site).ask(request);
    assert_eq!(answer.status, 200, "{lines}: {}", answer.describe());
    provider.calls().remove(0)
}

/// A request through a proxy that says for whom it asks.
fn proxied() -> Request {
    Request::get("/s")
        .field("X-Forwarded-For", "6.6.6.6, 192.0.2.7")
        .field("X-Forwarded-Proto", "https")
        .field("X-Forwarded-Host", "outside.test")
        .field("Forwarded", "for=192.0.2.7;proto=https")
}

#[test]
fn a_service_learns_who_called_and_nobody_elses_word_is_believed() {
    let call = learns("", &proxied());
    assert_eq!(call.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(call.field("x-forwarded-proto"), Some("http"));
    assert_eq!(call.field("x-forwarded-host"), Some("gateway.test"));
    assert_eq!(call.field("forwarded"), None);
}

#[test]
fn what_a_trusted_proxy_says_is_added_to() {
    let trusted = "trusted = ['127.0.0.1']";
    let call = learns(trusted, &proxied());
    assert_eq!(
        call.field("x-forwarded-for"),
        Some("6.6.6.6, 192.0.2.7, 127.0.0.1")
    );
    assert_eq!(call.field("x-forwarded-proto"), Some("https"));
    assert_eq!(call.field("x-forwarded-host"), Some("outside.test"));
    let both = learns(&format!("style = 'both'\n{trusted}"), &proxied());
    assert_eq!(
        both.field("forwarded"),
        Some("for=192.0.2.7;proto=https, for=127.0.0.1;host=\"gateway.test\";proto=http")
    );
    let rfc = learns("style = 'rfc7239'", &proxied());
    assert_eq!(
        rfc.field("forwarded"),
        Some("for=127.0.0.1;host=\"gateway.test\";proto=http")
    );
    assert_eq!(rfc.field("x-forwarded-for"), None);
}

#[test]
fn the_client_takes_the_place_of_the_chain_or_nothing_is_said() {
    let replace = learns("mode = 'replace'\ntrusted = ['127.0.0.1']", &proxied());
    assert_eq!(replace.field("x-forwarded-for"), Some("192.0.2.7"));
    let off = learns("mode = 'off'\ntrusted = ['127.0.0.1']", &proxied());
    for name in [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "forwarded",
    ] {
        assert_eq!(off.field(name), None, "{name}");
    }
}

#[test]
fn a_provider_never_learns_whose_question_it_was() {
    let provider = Provider::answering(|_| openai::answer_using(11, 7));
    let site = Site::with_acme(&provider.url())
        .raw("[server.forwarded]\nstyle = 'both'\ntrusted = ['127.0.0.1']");
    let body = openai::chat("m", serde_json::json!({}));
    let request = Request::post(openai::CHAT, body).key(ACME);
    let request = request
        .field("X-Forwarded-For", "192.0.2.7")
        .field("Forwarded", "for=192.0.2.7");
    assert_eq!(Gateway::start(&site).ask(&request).status, 200);
    let call = provider.calls().remove(0);
    for name in ["x-forwarded-for", "x-forwarded-host", "forwarded"] {
        assert_eq!(call.field(name), None, "{name}");
    }
}

#[test]
fn a_service_takes_callers_from_its_networks_and_deny_wins() {
    let provider = upstream();
    let site = Site::new()
        .raw("[server.forwarded]\ntrusted = ['127.0.0.0/8']")
        .service_with(
            "s",
            "/s",
            &provider.url(),
            "allow = ['10.0.0.0/8', '2001:db8::/32']\ndeny = ['10.6.0.0/16']",
        );
    let gateway = Gateway::start(&site);
    for (told, status) in [
        (Some("10.1.2.3"), 200),
        (Some("::ffff:10.1.2.3"), 200),
        (Some("2001:db8::7"), 200),
        (Some("10.6.2.3"), 403),
        (Some("192.0.2.1"), 403),
        // Whoever is before the client we believe in says nothing of it.
        (Some("10.1.2.3, 192.0.2.1"), 403),
        (Some("192.0.2.1, 10.1.2.3"), 200),
        (Some("nonsense"), 403),
        (None, 403),
    ] {
        let mut request = Request::get("/s");
        if let Some(told) = told {
            request = request.field("X-Forwarded-For", told);
        }
        let answer = gateway.ask(&request);
        assert_eq!(answer.status, status, "{told:?}: {}", answer.describe());
        if status == 403 {
            assert_eq!(answer.json()["code"], "ip_denied");
        }
    }
    assert_eq!(provider.calls_total(), 4);
}

#[test]
fn nobody_talks_himself_in_whom_we_do_not_trust() {
    let provider = upstream();
    let site = Site::new().service_with("s", "/s", &provider.url(), "allow = ['10.0.0.0/8']");
    let request = Request::get("/s").field("X-Forwarded-For", "10.1.2.3");
    assert_eq!(Gateway::start(&site).ask(&request).status, 403);
    assert_eq!(provider.calls_total(), 0);
}

/// A gateway before a service with a key and these CORS settings, and tenant acme.
fn shop(cors: &str) -> (Gateway, Provider) {
    let provider = upstream();
    let url = provider.url();
    let site = Site::new()
        .raw(&format!(
            "[services.shop]\npath = \"/shop\"\nupstreams = [\"{url}\"]\n{cors}"
        ))
        .tenant("acme", "")
        .key("acme", "bot", ACME, AMPLE)
        .tenant("broke", "balance = \"0\"")
        .key("broke", "bot", "tr_broke", "");
    (Gateway::start(&site), provider)
}

fn preflight(origin: &str) -> Request {
    Request::new("OPTIONS", "/shop/x")
        .field("Origin", origin)
        .field("Access-Control-Request-Method", "PUT")
        .field("Access-Control-Request-Headers", "authorization,x-team")
}

/// Every value of a field, with commas between.
fn all(answer: &Answer, name: &str) -> String {
    let named = answer.fields.iter().filter(|(field, _)| field == name);
    let values: Vec<&str> = named.map(|(_, value)| value.as_str()).collect();
    values.join(", ")
}

#[test]
fn a_preflight_is_answered_here_without_a_key() {
    let (gateway, provider) = shop(
        "cors = { origins = ['https://app.example.com'], methods = ['GET', 'PUT'], \
         headers = ['Authorization'], credentials = true, max_age = '2m' }",
    );
    let answer = gateway.ask(&preflight(PAGE));
    assert_eq!(answer.status, 204, "{}", answer.describe());
    assert_eq!(all(&answer, "access-control-allow-origin"), PAGE);
    assert_eq!(all(&answer, "access-control-allow-methods"), "GET, PUT");
    assert_eq!(
        all(&answer, "access-control-allow-headers"),
        "authorization"
    );
    assert_eq!(all(&answer, "access-control-allow-credentials"), "true");
    assert_eq!(all(&answer, "access-control-max-age"), "120");
    assert!(all(&answer, "vary").contains("Origin"));
    let stranger = gateway.ask(&preflight("https://evil.test"));
    assert_eq!(stranger.status, 204);
    assert_eq!(all(&stranger, "access-control-allow-origin"), "");
    assert!(all(&stranger, "vary").contains("Origin"));
    // What asks for nothing is an ordinary OPTIONS, and needs the key.
    let plain = Request::new("OPTIONS", "/shop/x").field("Origin", PAGE);
    assert_eq!(gateway.ask(&plain).status, 401);
    assert_eq!(provider.calls_total(), 0);
}

#[test]
fn a_page_may_send_what_it_asks_for_where_nothing_else_is_said() {
    let (gateway, _provider) = shop("cors = { origins = ['*'] }");
    let answer = gateway.ask(&preflight("https://anyone.test"));
    assert_eq!(all(&answer, "access-control-allow-origin"), "*");
    assert_eq!(
        all(&answer, "access-control-allow-headers"),
        "authorization,x-team"
    );
    assert!(all(&answer, "access-control-allow-methods").contains("PATCH"));
    let odd = preflight(PAGE).field("Access-Control-Request-Headers", "x");
    assert_eq!(gateway.ask(&odd).status, 204);
}

#[test]
fn answers_say_who_may_read_them_and_the_upstream_does_not() {
    let (gateway, _provider) =
        shop("cors = { origins = ['https://app.example.com'], expose = ['ETag'] }");
    let request = || Request::get("/shop/x").key(ACME);
    let answer = gateway.ask(&request().field("Origin", PAGE));
    assert_eq!(all(&answer, "access-control-allow-origin"), PAGE);
    assert!(all(&answer, "access-control-expose-headers").ends_with("etag"));
    assert_eq!(all(&answer, "vary"), "Origin");
    for stranger in [request().field("Origin", "https://evil.test"), request()] {
        let answer = gateway.ask(&stranger);
        assert_eq!(answer.status, 200, "{}", answer.describe());
        assert_eq!(all(&answer, "access-control-allow-origin"), "");
        assert_eq!(all(&answer, "vary"), "Origin");
    }
}

#[test]
fn a_page_can_read_our_402_and_401() {
    let (gateway, provider) =
        shop("cors = { origins = ['https://app.example.com'] }\nprice = { request = '1' }");
    let request = || Request::get("/shop/x").field("Origin", PAGE);
    let broke = gateway.ask(&request().key("tr_broke"));
    assert_eq!(broke.status, 402, "{}", broke.describe());
    assert_eq!(broke.json()["code"], "balance_exhausted");
    let stranger = gateway.ask(&request());
    assert_eq!(stranger.status, 401);
    for answer in [broke, stranger] {
        assert_eq!(all(&answer, "access-control-allow-origin"), PAGE);
        assert!(all(&answer, "access-control-expose-headers").contains("x-should-retry"));
    }
    assert_eq!(provider.calls_total(), 0);
}

#[test]
fn a_service_without_cors_leaves_it_to_its_upstream() {
    let (gateway, provider) = shop("auth = 'none'\nmeter = 'none'");
    let answer = gateway.ask(&preflight(PAGE));
    assert_eq!(answer.status, 200, "{}", answer.describe());
    assert_eq!(
        all(&answer, "access-control-allow-origin"),
        "https://theirs.test"
    );
    assert_eq!(provider.calls_total(), 1);
}
