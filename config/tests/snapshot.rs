//! What a sound file becomes: defaults, indexes, buckets and their order.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use support::{DIGEST, snapshot};
use tollring_config::{
    HoldMode, IoChoice, KeyId, LimitClass, ModelId, NanoUsd, OnMidstream, Scope, ServiceId, Unit,
    Window, example,
};

/// A provider and a model of it.
const MODEL: &str = "\
[providers.openai]
dialect = 'openai'
base_url = 'http://127.0.0.1:9000/v1'
[models.m]
targets = [{ provider = 'openai', model = 'gpt-4o-mini' }]
";

#[test]
fn the_example_is_sound() {
    let snapshot = snapshot(example());
    assert_eq!(snapshot.providers.len(), 2);
    assert_eq!(snapshot.keys.len(), 2);
}

#[test]
fn an_empty_file_is_all_defaults() {
    let snapshot = snapshot("");
    assert_eq!(snapshot.version, 0);
    assert_eq!(snapshot.server.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(
        (snapshot.server.workers, snapshot.server.io),
        (0, IoChoice::Auto)
    );
    assert_eq!(snapshot.admin.listen, "127.0.0.1:8081".parse().unwrap());
    assert!(snapshot.admin.token.is_none());
    let seconds = |seconds| Duration::from_secs(seconds);
    let timeouts = snapshot.timeouts;
    assert_eq!(
        (timeouts.head, timeouts.body, timeouts.idle),
        (seconds(10), seconds(60), seconds(75))
    );
    assert_eq!(
        (timeouts.write, timeouts.connect),
        (seconds(30), seconds(2))
    );
    assert_eq!(
        (timeouts.first_byte, timeouts.between_bytes),
        (seconds(600), seconds(120))
    );
    assert_eq!(timeouts.drain, seconds(30));
    let limits = snapshot.limits;
    assert_eq!((limits.head_bytes, limits.head_fields), (65_536, 100));
    assert_eq!((limits.target_bytes, limits.body_bytes), (16_384, 64 << 20));
    assert_eq!(limits.connections, None);
    assert_eq!(snapshot.quota.hold, HoldMode::Rolling);
    assert_eq!(snapshot.quota.on_midstream, OnMidstream::Finish);
    assert_eq!(snapshot.errors.exhausted_status, 402);
}

#[test]
fn a_smaller_head_brings_a_smaller_target() {
    assert_eq!(
        snapshot("[limits]\nhead_bytes = 8192").limits.target_bytes,
        4096
    );
}

#[test]
fn an_upstream_may_have_deadlines_of_its_own() {
    let text = "[timeouts]\nconnect = '3s'\n[providers.p]\ndialect = 'openai'\n\
                base_url = 'http://[::1]'\ntimeouts = { first_byte = '7s' }";
    let timeouts = snapshot(text).providers[0].timeouts;
    assert_eq!(timeouts.connect, Duration::from_secs(3));
    assert_eq!(timeouts.first_byte, Duration::from_secs(7));
    assert_eq!(timeouts.between_bytes, Duration::from_secs(120));
}

#[test]
fn the_catalogue_fills_in_what_the_file_leaves_out() {
    let filled = &snapshot(MODEL).models[0];
    assert_eq!(filled.price.unwrap().output, NanoUsd(600_000_000));
    assert_eq!(filled.output_tokens_max, Some(16_384));

    let stated = format!("{MODEL}price = {{ input = '3' }}\noutput_tokens_max = 7");
    let stated = &snapshot(&stated).models[0];
    let price = stated.price.unwrap();
    assert_eq!(
        (price.input, price.cached_input),
        (NanoUsd(3_000_000_000), NanoUsd(3_000_000_000))
    );
    assert_eq!((price.output, price.request), (NanoUsd(0), NanoUsd(0)));
    assert_eq!(stated.output_tokens_max, Some(7));
    assert_eq!(stated.context_tokens_max, Some(128_000));

    let unknown = MODEL
        .replace("openai'", "home'")
        .replace(".openai]", ".home]");
    let unknown = unknown.replace("dialect = 'home'", "dialect = 'openai'");
    assert_eq!(snapshot(&unknown).models[0].price, None);
}

#[test]
fn the_longest_path_of_a_service_comes_first() {
    let service = |name: &str, path: &str| {
        format!("[services.{name}]\npath = '{path}'\nupstreams = ['http://[::1]']\n")
    };
    let text = service("rest", "/") + &service("a", "/a/") + &service("ab", "/a/b");
    let text =
        format!("{text}[[tenants.t.keys]]\nname = 'k'\nsha256 = '{DIGEST}'\nservices = ['a']");
    let snapshot = snapshot(&text);
    let paths: Vec<_> = snapshot
        .services
        .iter()
        .map(|service| &*service.path)
        .collect();
    assert_eq!(paths, ["/a/b", "/a", ""]);
    assert_eq!(snapshot.keys[0].services, Some(vec![ServiceId(1)]));
}

#[test]
fn every_limit_becomes_a_bucket_and_a_key_passes_them_in_the_order_of_their_no() {
    let snapshot = snapshot(example());
    let key = &snapshot.keys[snapshot.key_by_digest[&snapshot.keys[0].digest].index()];
    let path: Vec<_> = key
        .path
        .iter()
        .map(|id| &snapshot.buckets[id.index()])
        .collect();
    let told: Vec<_> = path
        .iter()
        .map(|bucket| (&*bucket.identity, &*bucket.name))
        .collect();
    assert_eq!(
        told,
        [
            ("tenant:acme:requests:minute", "60 requests per minute"),
            ("tenant:acme:requests:hour", "5000 requests per hour"),
            (
                "key:acme/build-bot:concurrent:total",
                "32 requests in flight"
            ),
            ("key:acme/build-bot:usd:day", "5 usd per day"),
            ("tenant:acme:tokens:month", "1000000 tokens per month"),
            ("tenant:acme:balance", "prepaid balance"),
        ]
    );
    assert!(path.is_sorted_by_key(|bucket| bucket.class));
    let money = path[3];
    assert_eq!(
        (money.scope, &*money.scope_id),
        (Scope::Key, "acme/build-bot")
    );
    assert_eq!((money.unit, money.window), (Unit::Usd, Window::Day));
    assert_eq!(
        (money.limit, money.class),
        (5_000_000_000, LimitClass::Quota)
    );
    assert_eq!(
        (path[5].limit, path[5].class),
        (25_000_000_000, LimitClass::Balance)
    );
}

#[test]
fn a_window_follows_the_nearest_calendar_and_its_bucket_is_named_for_it() {
    let text = "[quota]\ntz = 'Asia/Tokyo'\n\
                [plans.p]\nanchor = '2026-01-15'\nlimits = [\
                { unit = 'tokens', amount = 1, per = 'month' },\
                { unit = 'tokens', amount = 1, per = 'day', tz = 'America/Lima' },\
                { unit = 'tokens', amount = 1, per = 'hour' }]\n\
                [tenants.a]\nplan = 'p'\ntz = 'Europe/Berlin'\n\
                [tenants.b]\nplan = 'p'\nanchor = '2026-02-01T06:00'\n\
                [tenants.c]\nlimits = [{ unit = 'tokens', amount = 1, per = 'year' }]\n";
    let snapshot = snapshot(text);
    let identities: Vec<_> = snapshot
        .buckets
        .iter()
        .map(|bucket| &*bucket.identity)
        .collect();
    assert_eq!(
        identities,
        [
            "tenant:a:tokens:month:tz=Europe/Berlin:anchor=2026-01-15T00:00",
            "tenant:a:tokens:day:tz=America/Lima:anchor=2026-01-15T00:00",
            "tenant:a:tokens:hour",
            "tenant:b:tokens:month:tz=Asia/Tokyo:anchor=2026-02-01T06:00",
            "tenant:b:tokens:day:tz=America/Lima:anchor=2026-02-01T06:00",
            "tenant:b:tokens:hour",
            "tenant:c:tokens:year:tz=Asia/Tokyo",
        ]
    );
    assert_eq!(snapshot.buckets[0].calendar.zone_name(), "Europe/Berlin");
}

#[test]
fn a_key_passes_its_own_its_teams_and_its_tenants_buckets_in_this_order() {
    let text = format!(
        "[tenants.a]\nlimits = [{{ unit = 'tokens', amount = 3, per = 'day' }}]\n\
         [tenants.a.teams.search]\nlimits = [{{ unit = 'tokens', amount = 2, per = 'day' }},\
         {{ concurrent = 9 }}]\n[tenants.a.teams.mail]\n\
         [[tenants.a.keys]]\nname = 'k'\nsha256 = '{DIGEST}'\nteam = 'search'\n\
         limits = [{{ unit = 'tokens', amount = 1, per = 'day' }}]\n"
    );
    let snapshot = snapshot(&text);
    let key = &snapshot.keys[0];
    let path = key.path.iter().map(|id| &snapshot.buckets[id.index()]);
    let identities: Vec<_> = path.map(|bucket| &*bucket.identity).collect();
    assert_eq!(
        identities,
        [
            "team:a/search:concurrent:total",
            "key:a/k:tokens:day",
            "team:a/search:tokens:day",
            "tenant:a:tokens:day",
        ]
    );
    let teams: Vec<_> = snapshot.teams.iter().map(|team| &*team.name).collect();
    assert_eq!(teams, ["search", "mail"]);
    assert_eq!(key.team.map(|team| team.index()), Some(0));
}

#[test]
fn a_limit_may_count_some_models_and_services_alone() {
    let text = format!(
        "{MODEL}[services.rest]\npath = '/r'\nupstreams = ['http://[::1]']\n\
         [tenants.a]\nlimits = [{{ unit = 'requests', amount = 3, per = 'day' }},\
         {{ unit = 'requests', amount = 2, per = 'day', models = ['m'] }},\
         {{ unit = 'requests', amount = 1, per = 'day', services = ['rest'], models = ['m'] }}]"
    );
    let snapshot = snapshot(&text);
    let told = |place: usize| {
        let bucket = &snapshot.buckets[place];
        (&*bucket.identity, &*bucket.name)
    };
    assert_eq!(snapshot.buckets[0].only, None);
    assert_eq!(
        told(1),
        ("tenant:a:requests:day:models=m", "2 requests per day for m")
    );
    assert_eq!(
        told(2),
        (
            "tenant:a:requests:day:models=m:services=rest",
            "1 requests per day for m, rest"
        )
    );
    let only = snapshot.buckets[2].only.as_ref().unwrap();
    assert_eq!(
        (&only.models[..], &only.services[..]),
        (&[ModelId(0)][..], &[ServiceId(0)][..])
    );
}

#[test]
fn tokens_may_weigh_differently_and_input_and_output_be_limited_apart() {
    let text = "[tenants.a]\nlimits = [\
                { unit = 'tokens', amount = 9, per = 'day' },\
                { unit = 'tokens', amount = 9, per = 'day', output_weight = '0' },\
                { unit = 'tokens', amount = 9, per = 'day', input_weight = '0' },\
                { unit = 'tokens', amount = 9, per = 'day', output_weight = '1' , rate = false,\
                  cached_input_weight = '0.1' }]";
    let snapshot = snapshot(text);
    let told: Vec<_> = snapshot
        .buckets
        .iter()
        .map(|bucket| (&*bucket.identity, &*bucket.name))
        .collect();
    assert_eq!(
        told,
        [
            ("tenant:a:tokens:day", "9 tokens per day"),
            (
                "tenant:a:tokens:day:weights=1/1/0",
                "9 input tokens per day"
            ),
            (
                "tenant:a:tokens:day:weights=0/0/1",
                "9 output tokens per day"
            ),
            (
                "tenant:a:tokens:day:weights=1/0.1/1",
                "9 weighted tokens per day"
            ),
        ]
    );
    assert_eq!(snapshot.buckets[0].weights, None);
}

#[test]
fn no_two_buckets_share_an_identity() {
    let text = "[plans.p]\nlimits = [{ concurrent = 1 }]\n\
                [tenants.a]\nplan = 'p'\nbalance = '0'\n\
                limits = [{ unit = 'usd', amount = '1', per = 'total' }]\n\
                [tenants.b]\nplan = 'p'\n";
    let snapshot = snapshot(text);
    let mut identities: Vec<_> = snapshot
        .buckets
        .iter()
        .map(|bucket| &bucket.identity)
        .collect();
    identities.sort_unstable();
    identities.dedup();
    assert_eq!(identities.len(), snapshot.buckets.len());
    assert_eq!(snapshot.buckets.len(), 4);
}

#[test]
fn a_key_may_ask_for_what_its_plan_offers_narrowed_by_its_own_list() {
    let snapshot = snapshot(example());
    let fast = snapshot.model_by_name["fast"];
    let small = snapshot.model_by_name["small"];
    assert_eq!((fast, small), (ModelId(0), ModelId(1)));
    assert_eq!(snapshot.keys[0].models, Some(vec![fast]));
    assert_eq!(snapshot.keys[0].services, Some(vec![]));
    assert_eq!(snapshot.keys[1].models, Some(vec![fast, small]));
    assert_eq!(snapshot.models[fast.index()].fallback, [small]);
    assert_eq!(snapshot.key_by_digest[&snapshot.keys[1].digest], KeyId(1));
}

#[test]
fn what_is_described_is_what_is_in_force() {
    let described = snapshot(example()).describe_json();
    let described: serde_json::Value = serde_json::from_str(&described).unwrap();
    assert_eq!(described["timeouts"]["first_byte"], "10m");
    assert_eq!(
        described["providers"]["local"]["timeouts"]["connect"],
        "500ms"
    );
    assert_eq!(
        described["providers"]["openai"]["base_url"],
        "https://api.openai.com/v1"
    );
    assert_eq!(described["models"]["fast"]["targets"][0]["weight"], 3);
    assert_eq!(described["services"]["weather"]["meter"], "bytes");
    let key = &described["tenants"]["acme"]["keys"][0];
    assert_eq!(
        (&key["name"], &key["sha256"]),
        (&"build-bot".into(), &"9f86d081…".into())
    );
    assert_eq!(key["limits"][5]["name"], "prepaid balance");
}
