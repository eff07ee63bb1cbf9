//! What limits count, and over what: calendars, rolling windows, choices and teams, seen by a
//! caller.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use support::binary::Folder;
use support::expect::{refused_for_money, refused_for_pace};
use support::openai::{self, CHAT};
use support::stage::Stage;
use support::{Gateway, Provider, Request, Site};

/// The buckets that a key sees.
fn buckets(gateway: &Gateway, key: &str) -> Vec<Value> {
    let answer = gateway.ask(&Request::get("/v1/quota").key(key));
    answer.json()["buckets"].as_array().unwrap().clone()
}

/// When a moment of an answer is, as clocks in `zone` show it.
fn shown(moment: &Value, zone: &str) -> jiff::Zoned {
    let moment: Timestamp = moment.as_str().unwrap().parse().unwrap();
    moment.to_zoned(TimeZone::get(zone).unwrap())
}

#[test]
fn a_month_ends_where_the_tenants_calendar_says() {
    let stage = Stage::new(|site| {
        site.set("quota", "tz", "\"Asia/Tokyo\"")
            .tenant(
                "far",
                "tz = \"Europe/Berlin\"\nanchor = \"2026-01-15T06:30\"\n\
                 limits = [{ unit = \"tokens\", amount = 9, per = \"month\" }]",
            )
            .key(
                "far",
                "bot",
                "tr_far",
                r#"limits = [{ unit = "tokens", amount = 8, per = "day", tz = "Asia/Kathmandu" }]"#,
            )
            .tenant("near", "")
            .key(
                "near",
                "bot",
                "tr_near",
                r#"limits = [{ unit = "tokens", amount = 8, per = "day" }]"#,
            )
    });
    let far = buckets(&stage.gateway, "tr_far");
    let (day, month) = (&far[0]["resets_at"], &far[1]["resets_at"]);
    let begins = shown(month, "Europe/Berlin");
    assert_eq!(
        (begins.day(), begins.hour(), begins.minute()),
        (15, 6, 30),
        "{month}"
    );
    let begins = shown(day, "Asia/Kathmandu");
    assert_eq!(
        (begins.hour(), begins.minute()),
        (6, 30),
        "the tenant's anchor: {day}"
    );
    let near = buckets(&stage.gateway, "tr_near");
    let begins = shown(&near[0]["resets_at"], "Asia/Tokyo");
    assert_eq!(
        (begins.hour(), begins.minute()),
        (0, 0),
        "of [quota]: {begins}"
    );
}

#[test]
fn a_rolling_quota_is_402_and_says_when_there_is_room_again() {
    let limits = r#"limits = [{ unit = "requests", amount = 2, rolling = "5h" }]"#;
    let stage = Stage::with_poor(limits);
    assert_eq!(
        buckets(&stage.gateway, "tr_poor")[0]["resets_at"],
        Value::Null
    );
    for _ in 0..2 {
        assert_eq!(stage.chat("tr_poor").status, 200);
    }
    stage.gateway.bucket_at_rest("tr_poor", "requests");

    let answer = stage.chat("tr_poor");

    refused_for_money(&answer, "quota_exhausted");
    let error = answer.json()["error"].clone();
    let quota = &error["quota"];
    assert_eq!(quota["window"], "rolling");
    assert_eq!(quota["name"], "2 requests in any 5h");
    let resets_at: Timestamp = quota["resets_at"].as_str().unwrap().parse().unwrap();
    let wait = resets_at.as_second() - Timestamp::now().as_second();
    // Five hours since the first of them, and at most five minutes; this test took a while.
    assert!((17_000..=18_301).contains(&wait), "{wait} s: {error}");
    let sentence = error["message"].as_str().unwrap();
    assert!(
        sentence.contains("There is room in it again at"),
        "{sentence}"
    );
    assert_eq!(stage.provider.calls_total(), 2);
}

#[test]
fn a_rolling_rate_is_429_with_the_time_to_wait() {
    let limits = r#"limits = [{ unit = "requests", amount = 1, rolling = "30m", rate = true }]"#;
    let stage = Stage::with_poor(limits);
    assert_eq!(stage.chat("tr_poor").status, 200);
    stage.gateway.bucket_at_rest("tr_poor", "requests");

    let answer = stage.chat("tr_poor");

    refused_for_pace(&answer, "requests_rolling");
    let wait: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((1_700..=1_831).contains(&wait), "{wait} s");
}

#[test]
fn what_a_rolling_window_holds_outlives_a_kill() {
    let provider = Provider::answering(|_| openai::answer_using(11, 7));
    let folder = Folder::new();
    let path = format!("{:?}", folder.file("store"));
    let limits = r#"limits = [{ unit = "tokens", amount = 1_000_000, rolling = "1d" }]"#;
    let site = Site::with_acme(&provider.url())
        .tenant("poor", "")
        .key("poor", "bot", "tr_poor", limits)
        .set("store", "path", &path);
    let chat = Request::post(CHAT, openai::chat("m", json!({ "max_tokens": 9 }))).key("tr_poor");
    let mut calls = 0;
    for signal in ["KILL", "TERM", "KILL"] {
        let mut gateway = Gateway::start(&site);
        assert_eq!(gateway.bucket_at_rest("tr_poor", "tokens").used, 18 * calls);
        for _ in 0..20 {
            assert_eq!(gateway.ask(&chat).status, 200);
            calls += 1;
        }
        gateway.signal(signal);
        gateway.await_exit();
    }
    let gateway = Gateway::start(&site);
    assert_eq!(gateway.bucket_at_rest("tr_poor", "tokens").used, 18 * calls);
}

#[test]
fn a_limit_on_one_model_counts_and_refuses_that_model_alone() {
    let stage = Stage::new(|site| {
        site.model("other", "main").tenant("poor", "").key(
            "poor",
            "bot",
            "tr_poor",
            "limits = [{ unit = \"requests\", amount = 1, per = \"year\", models = [\"m\"] },\
             { unit = \"requests\", amount = 9, per = \"year\" }]",
        )
    });
    let ask = |model| stage.ask("tr_poor", model, json!({ "max_tokens": 10 }));
    let other = ask("other");
    assert_eq!(other.status, 200);
    assert_eq!(other.field("x-ratelimit-limit-requests"), Some("9"));
    let first = ask("m");
    assert_eq!(first.status, 200);
    assert_eq!(first.field("x-ratelimit-limit-requests"), Some("1"));
    stage.gateway.bucket_at_rest("tr_poor", "requests");

    let refused = ask("m");

    refused_for_money(&refused, "quota_exhausted");
    let quota = refused.json()["error"]["quota"].clone();
    assert_eq!(quota["name"], "1 requests per year for m");
    assert_eq!(ask("other").status, 200);
    stage.gateway.bucket_at_rest("tr_poor", "requests");
    let used: Vec<_> = buckets(&stage.gateway, "tr_poor")
        .iter()
        .map(|bucket| bucket["used"].clone())
        .collect();
    assert_eq!(used, ["1", "3"]);
}

#[test]
fn money_that_is_counted_for_one_model_does_not_keep_an_unpriced_one_away() {
    let stage = Stage::new(|site| {
        site.model_with("free", r#"{ provider = "main", model = "free" }"#, "")
            .tenant("poor", "")
            .key(
                "poor",
                "bot",
                "tr_poor",
                "limits = [{ unit = \"usd\", amount = \"1\", per = \"year\", models = [\"m\"] }]",
            )
    });
    assert_eq!(stage.ask("tr_poor", "free", json!({})).status, 200);
    assert_eq!(stage.chat("tr_poor").status, 200);
}

#[test]
fn a_team_shares_its_limits_and_nobody_elses() {
    let stage = Stage::new(|site| {
        site.tenant("crew", "")
            .raw(
                "[tenants.crew.teams.search]\n\
                 limits = [{ unit = \"requests\", amount = 2, per = \"year\" }]\n",
            )
            .key("crew", "one", "tr_one", "team = \"search\"")
            .key("crew", "two", "tr_two", "team = \"search\"")
            .key("crew", "lone", "tr_lone", "")
    });
    assert_eq!(stage.chat("tr_one").status, 200);
    assert_eq!(stage.chat("tr_two").status, 200);
    stage.gateway.bucket_at_rest("tr_one", "requests");

    let refused = stage.chat("tr_one");

    refused_for_money(&refused, "quota_exhausted");
    let error = refused.json()["error"].clone();
    assert_eq!(error["quota"]["scope"], "team", "{error}");
    assert_eq!(error["quota"]["scope_id"], "crew/search", "{error}");
    let sentence = error["message"].as_str().unwrap();
    assert!(
        sentence.starts_with("The team's 2 requests per year"),
        "{sentence}"
    );
    assert_eq!(stage.chat("tr_lone").status, 200);
}

#[test]
fn output_may_weigh_more_than_input_and_what_is_affordable_knows_it() {
    let limits = "limits = [{ unit = \"tokens\", amount = 1000, per = \"year\", \
                  input_weight = \"0\", output_weight = \"4\" }]";
    let stage = Stage::with_poor(limits);
    assert_eq!(stage.chat("tr_poor").status, 200);
    assert_eq!(
        stage.gateway.bucket_at_rest("tr_poor", "tokens").used,
        4 * 7
    );

    let answer = stage.ask("tr_poor", "m", json!({ "max_tokens": 244 }));

    refused_for_money(&answer, "quota_insufficient_for_request");
    let quota = answer.json()["error"]["quota"].clone();
    assert_eq!(quota["name"], "1000 weighted tokens per year");
    assert_eq!(quota["requested"], "976");
    assert_eq!(quota["affordable_max_tokens"], 243);
    let again = stage.ask("tr_poor", "m", json!({ "max_tokens": 243 }));
    assert_eq!(again.status, 200, "{}", again.describe());
}

#[test]
fn a_cached_prompt_counts_what_the_limit_says() {
    let mut usage = openai::usage(1000, 10);
    usage["prompt_tokens_details"] = json!({ "cached_tokens": 900 });
    let body = openai::completion("Hello.", Some(usage));
    let provider = Provider::answering(move |_| openai::answer("200 OK", &body));
    let limits = "limits = [{ unit = \"tokens\", amount = 100_000, per = \"year\", \
                  cached_input_weight = \"0.1\" }]";
    let site = Site::with_acme(&provider.url())
        .tenant("poor", "")
        .key("poor", "bot", "tr_poor", limits);
    let gateway = Gateway::start(&site);
    let chat = Request::post(CHAT, openai::chat("m", json!({ "max_tokens": 9 }))).key("tr_poor");
    assert_eq!(gateway.ask(&chat).status, 200);
    assert_eq!(
        gateway.bucket_at_rest("tr_poor", "tokens").used,
        100 + 90 + 10
    );
}

/// A limit that one call fits and a second does not, by its unit and the field of its window.
fn scant(unit: &str, window: &str) -> String {
    let amount = match unit {
        "requests" => "1",
        "tokens" => "40",
        _ => "\"0.00005\"",
    };
    format!("limits = [{{ unit = \"{unit}\", amount = {amount}, {window} }}]")
}

#[test]
fn every_unit_over_every_window_is_refused_in_the_words_for_it() {
    let rates = [
        (r#"per = "second""#, "per_second"),
        (r#"per = "minute""#, "per_minute"),
        (r#"per = "hour", rate = true"#, "per_hour"),
        (r#"rolling = "1m""#, "rolling"),
        (r#"rolling = "1h", rate = true"#, "rolling"),
    ];
    let quotas = ["hour", "day", "week", "month", "quarter", "year", "total"];
    let quotas = quotas.map(|per| format!("per = {per:?}"));
    let quotas = quotas.into_iter().chain([r#"rolling = "5h""#.to_owned()]);
    let mut cases = Vec::new();
    for unit in ["requests", "tokens", "usd"] {
        let short = match unit {
            "requests" => "quota_exhausted",
            _ => "quota_insufficient_for_request",
        };
        cases.extend(rates.map(|(window, code)| (scant(unit, window), format!("{unit}_{code}"))));
        cases.extend(
            quotas
                .clone()
                .map(|window| (scant(unit, &window), short.to_owned())),
        );
    }
    let stage = Stage::new(|site| {
        let site = site.tenant("poor", "");
        cases
            .iter()
            .enumerate()
            .fold(site, |site, (n, (limits, _))| {
                site.key("poor", &format!("k{n}"), &format!("tr_{n}"), limits)
            })
    });
    for (n, (limits, code)) in cases.iter().enumerate() {
        let key = format!("tr_{n}");
        // A second or a minute may end between two calls, not between all of twenty.
        let answers = (0..20).map(|_| stage.chat(&key));
        let answer = answers.into_iter().find(|answer| answer.status != 200);
        let answer = answer.unwrap_or_else(|| panic!("never refused: {limits}"));
        match code.starts_with("quota") {
            true => refused_for_money(&answer, code),
            false => assert!(refused_for_pace(&answer, code) >= 1),
        }
        let unit = answer.json()["error"]["quota"]["unit"].clone();
        assert!(
            limits.contains(unit.as_str().unwrap()),
            "{}",
            answer.describe()
        );
    }
}

#[test]
fn a_downgraded_call_counts_against_the_limits_of_the_model_that_answers() {
    let stage = Stage::new(|site| {
        site.model("cheap", "main")
            .model_with(
                "dear",
                r#"{ provider = "main", model = "dear" }"#,
                "price = { input = \"1\", output = \"2\" }\ndowngrade = \"cheap\"",
            )
            .set("quota", "on_insufficient", "\"downgrade\"")
            .tenant("poor", "")
            .key(
                "poor",
                "bot",
                "tr_poor",
                "limits = [\
                 { unit = \"requests\", amount = 1, per = \"year\", models = [\"dear\"] },\
                 { unit = \"requests\", amount = 2, per = \"year\", models = [\"cheap\"] }]",
            )
    });
    let ask = || stage.ask("tr_poor", "dear", json!({ "max_tokens": 10 }));
    assert_eq!(ask().field("x-tollring-model"), None);
    for _ in 0..2 {
        let answer = ask();
        assert_eq!(answer.status, 200, "{}", answer.describe());
        assert_eq!(answer.field("x-tollring-model"), Some("cheap"));
    }
    refused_for_money(&ask(), "quota_exhausted");
    assert_eq!(stage.provider.calls_total(), 3);
}
