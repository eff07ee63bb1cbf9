//! `tollring doctor`: what it finds, what it says to do, and that it shows nothing to anyone.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::Command;

use serde_json::Value;
use support::binary::{BINARY, Folder};
use support::openai;
use support::{Gateway, Provider, Site};

/// Asks the doctor about a file; what it found, and its exit code.
#[track_caller]
fn examine(text: &str) -> (Value, Option<i32>) {
    let folder = Folder::new();
    let file = folder.file("tollring.toml");
    fs::write(&file, text).unwrap();
    let mut command = Command::new(BINARY);
    let output = command
        .args(["doctor", "--json", "-c"])
        .arg(&file)
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    (told, output.status.code())
}

/// What was found by one check.
#[track_caller]
fn found<'a>(told: &'a Value, check: &str) -> &'a Value {
    let findings = told["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["check"] == check);
    finding.unwrap_or_else(|| panic!("nothing of {check} in {told}"))
}

#[test]
fn a_site_that_can_be_served_is_well() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let site = Site::with_acme(&provider.url()).set("limits", "memory", "\"1GiB\"");
    let (told, code) = examine(&site.text());
    assert_eq!(code, Some(0), "{told}");
    for check in [
        "file",
        "descriptors",
        "memory",
        "clock",
        "data port",
        "upstream",
    ] {
        assert_eq!(found(&told, check)["verdict"], "ok", "{told}");
    }
    assert_eq!(provider.calls_total(), 0, "it sent a request");
}

#[test]
fn a_faulty_file_is_told_with_every_fault() {
    let (told, code) = examine("[sevrer]\nx = 1\n");
    assert_eq!(code, Some(1), "{told}");
    let file = found(&told, "file");
    assert_eq!(file["verdict"], "fail");
    assert!(
        file["found"]
            .as_str()
            .unwrap()
            .contains("did you mean `server`"),
        "{file}"
    );
}

#[test]
fn an_upstream_that_does_not_answer_or_resolve_is_a_failure() {
    let (told, code) = examine(&Site::with_acme(&Provider::nowhere()).text());
    assert_eq!(code, Some(1), "{told}");
    assert_eq!(found(&told, "upstream")["verdict"], "fail");

    let site = Site::new()
        .raw("[providers.far]\ndialect = \"openai\"\nbase_url = \"https://nowhere.invalid/v1\"");
    let (told, code) = examine(&site.text());
    assert_eq!(code, Some(1), "{told}");
    let upstream = found(&told, "upstream")["found"].as_str().unwrap();
    assert!(
        upstream.contains("nowhere.invalid:443 does not resolve"),
        "{upstream}"
    );
}

#[test]
fn an_upstream_on_a_socket_of_this_machine_is_connected_to() {
    let folder = Folder::new();
    let path = folder.file("app.sock");
    let site = Site::new().open_service("s", "/s", &format!("unix:{}", path.display()));
    let (told, code) = examine(&site.text());
    assert_eq!(code, Some(1), "{told}");
    let upstream = found(&told, "upstream");
    assert_eq!(upstream["verdict"], "fail");
    assert!(upstream["remedy"].as_str().unwrap().contains("its socket"));

    let _listener = UnixListener::bind(&path).unwrap();
    let (told, code) = examine(&site.text());
    assert_eq!(code, Some(0), "{told}");
    let place = format!("s at unix:{}", path.display());
    assert_eq!(found(&told, "upstream")["found"], place);
}

#[test]
fn a_taken_port_is_told_with_who_has_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("[\"{}\"]", taken.local_addr().unwrap());
    let (told, code) = examine(&Site::new().set("server", "listen", &listen).text());
    assert_eq!(code, Some(1), "{told}");
    let port = found(&told, "data port")["found"].as_str().unwrap();
    assert!(
        port.ends_with(&format!("process {}", std::process::id())),
        "{port}"
    );

    // One that a gateway has may be meant: it can be taken over.
    let running = Gateway::start(&Site::new());
    let listen = format!("[\"{}\"]", running.url.trim_start_matches("http://"));
    let (told, code) = examine(&Site::new().set("server", "listen", &listen).text());
    assert_eq!(code, Some(0), "{told}");
    let port = found(&told, "data port");
    assert_eq!(port["verdict"], "warn");
    assert!(
        port["remedy"].as_str().unwrap().contains("--takeover"),
        "{port}"
    );
}

#[test]
fn too_few_descriptors_are_told_before_a_start_would_fail() {
    let folder = Folder::new();
    let file = folder.file("tollring.toml");
    fs::write(&file, Site::new().text()).unwrap();
    let script = "ulimit -n 256 && exec \"$0\" doctor --json -c \"$1\"";
    let mut command = Command::new("sh");
    let output = command
        .args(["-c", script, BINARY])
        .arg(&file)
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let descriptors = found(&told, "descriptors");
    assert_eq!(descriptors["verdict"], "fail", "{told}");
    assert!(
        descriptors["remedy"]
            .as_str()
            .unwrap()
            .contains("LimitNOFILE")
    );
}

#[test]
fn no_secret_of_the_file_is_told() {
    let provider = Provider::answering(|_| openai::answer_using(1, 1));
    let (told, _) = examine(&Site::with_acme(&provider.url()).text());
    let told = told.to_string();
    for secret in [support::site::PROVIDER_KEY, support::site::ADMIN_TOKEN] {
        assert!(!told.contains(secret), "{told}");
    }
}
