//! What the program says when it cannot start: one clear line, and an exit code.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use support::binary::{BINARY, Ending, Folder, run_to_end, serve};
use support::openai::CHAT;
use support::site::ACME;
use support::{Gateway, Provider, Request, Site, refused};

/// Starts with this file and waits for the refusal.
#[track_caller]
fn refuses(text: &str) -> Ending {
    let folder = Folder::new();
    let file = folder.file("tollring.toml");
    fs::write(&file, text).unwrap();
    let ending = run_to_end(&mut serve(&file));
    says_no(&ending);
    ending
}

#[track_caller]
fn says_no(ending: &Ending) {
    assert_eq!(ending.status.code(), Some(1), "{}", ending.said);
    assert!(!ending.said.contains("panicked"), "{}", ending.said);
    assert!(!ending.said.trim().is_empty(), "it ended without a word");
}

/// Asserts that exactly one line speaks of `needle`.
#[track_caller]
fn one_line_says(ending: &Ending, needle: &str) {
    let lines = ending
        .said
        .lines()
        .filter(|line| line.contains(needle))
        .count();
    assert_eq!(lines, 1, "lines with {needle:?} in:\n{}", ending.said);
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = Site::new().set("server", "listen", &format!("[\"{address}\"]"));
    one_line_says(&refuses(&data.text()), &address);
    let admin = Site::new().set("admin", "listen", &format!("\"{address}\""));
    one_line_says(&refuses(&admin.text()), &address);
}

#[test]
fn a_port_that_another_gateway_has_although_its_workers_share_it() {
    // Workers listen with SO_REUSEPORT, which would let a second process in unnoticed.
    let first = Gateway::start(&Site::new());
    let address = first.url.trim_start_matches("http://").to_owned();
    let second = Site::new().set("server", "listen", &format!("[\"{address}\"]"));
    one_line_says(&refuses(&second.text()), &address);
    refused(
        &first.ask(&Request::get("/v1/models")),
        401,
        "invalid_api_key",
    );
}

#[test]
fn a_file_that_is_not_there() {
    let folder = Folder::new();
    let ending = run_to_end(&mut serve(&folder.file("absent.toml")));
    says_no(&ending);
    one_line_says(&ending, "No such file");
    assert!(ending.said.contains("absent.toml"), "{}", ending.said);
}

#[test]
fn a_file_with_faults_has_all_of_them_told_at_once_with_their_places() {
    let site = Site::with_acme(&Provider::nowhere())
        .model("lost", "nobody")
        .raw("[tenants.odd]\nplan = \"none-such\"\nbalanse = \"1\"");
    let ending = refuses(&site.text());
    for path in ["models.lost", "tenants.odd.plan", "balanse"] {
        assert!(
            ending.said.contains(path),
            "nothing of {path} in:\n{}",
            ending.said
        );
    }
    assert!(
        ending.said.contains("balance"),
        "no \"did you mean\":\n{}",
        ending.said
    );
    assert!(ending.said.contains("tollring.toml"), "{}", ending.said);
}

#[test]
fn a_file_that_is_not_toml() {
    let ending = refuses("[server\nlisten = 1");
    assert!(ending.said.contains("1:"), "no place in:\n{}", ending.said);
}

#[test]
fn an_unknown_provider() {
    let site = Site::with_acme(&Provider::nowhere()).model("lost", "mian");
    let ending = refuses(&site.text());
    assert!(ending.said.contains("mian"), "{}", ending.said);
    assert!(
        ending.said.contains("main"),
        "no \"did you mean\":\n{}",
        ending.said
    );
}

#[test]
fn a_key_that_the_environment_does_not_have() {
    let site = Site::new().raw(
        "[providers.main]\ndialect = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
         api_keys = [\"${TOLLRING_TEST_NO_SUCH_KEY}\"]",
    );
    one_line_says(&refuses(&site.text()), "TOLLRING_TEST_NO_SUCH_KEY");
}

#[test]
fn an_operators_token_that_is_empty() {
    let ending = refuses(&Site::new().set("admin", "token", "\"\"").text());
    assert!(ending.said.contains("admin.token"), "{}", ending.said);
}

#[test]
fn fewer_descriptors_than_the_configured_connections_need() {
    let folder = Folder::new();
    let file = folder.file("tollring.toml");
    fs::write(
        &file,
        Site::new().set("limits", "connections", "1000").text(),
    )
    .unwrap();
    let mut command = Command::new("sh");
    // Soft and hard: the program may raise the one as far as the other.
    command.args([
        "-c",
        "ulimit -n 256 && exec \"$0\" serve --json -c \"$1\"",
        BINARY,
    ]);
    command.arg(&file);
    let ending = run_to_end(&mut command);
    says_no(&ending);
    one_line_says(&ending, "limits.connections");
    assert!(
        ending.said.contains("256"),
        "how many are there? {}",
        ending.said
    );
}

#[test]
fn a_wrong_option_is_wrong_usage() {
    let ending = run_to_end(Command::new(BINARY).args(["serve", "--no-such-option"]));
    assert_eq!(ending.status.code(), Some(2), "{}", ending.said);
}

#[test]
fn check_tells_the_same_faults_and_starts_nothing() {
    let folder = Folder::new();
    let file = folder.file("tollring.toml");
    let site = Site::with_acme(&Provider::nowhere());
    fs::write(&file, site.text()).unwrap();
    let check = || {
        Command::new(BINARY)
            .arg("check")
            .arg("-c")
            .arg(&file)
            .output()
            .unwrap()
    };
    assert!(
        check().status.success(),
        "{}",
        String::from_utf8_lossy(&check().stderr)
    );

    fs::write(&file, site.model("lost", "nobody").text()).unwrap();
    assert_eq!(check().status.code(), Some(1));
    let mut command = Command::new(BINARY);
    command.args(["check", "--format", "json", "-c"]).arg(&file);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let fault = &told["faults"][0];
    assert!(
        fault["path"].as_str().unwrap().starts_with("models.lost"),
        "{told}"
    );
    for field in ["line", "column"] {
        assert!(fault[field].as_u64().unwrap() > 0, "{told}");
    }
}

#[test]
fn secrets_of_a_file_with_faults_are_not_told() {
    let secret = "sk-canary-3f9a";
    let site = Site::new().raw(&format!(
        "[providers.main]\ndialect = \"nonsense\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
         api_keys = [\"{secret}\"]"
    ));
    let ending = refuses(&site.text());
    assert!(!ending.said.contains(secret), "{}", ending.said);
}

#[test]
fn a_site_without_tenants_starts_and_knows_nobody() {
    let gateway = Gateway::start(&Site::new());
    let request = Request::post(CHAT, r#"{"model":"m"}"#).key(ACME);
    refused(&gateway.ask(&request), 401, "invalid_api_key");
}
