//! What is shipped beside the binary says what the binary does: units, profile, package, image.
//!
//! None of them is run here; each is held against the program it speaks of.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;
use support::binary::{BINARY, Folder};

/// A file of the project.
#[track_caller]
fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

/// Every value of a setting of a unit.
fn settings<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value)
        .collect()
}

/// Asserts that the binary understands these words of a command line.
#[track_caller]
fn is_understood(words: &[&str]) {
    let output = Command::new(BINARY)
        .args(words)
        .arg("--help")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {told}");
}

#[test]
fn the_unit_starts_the_binary_as_it_can_be_started() {
    let unit = read("packaging/tollring.service");
    let start: Vec<&str> = settings(&unit, "ExecStart")[0].split(' ').collect();
    assert_eq!(start[0], "/usr/bin/tollring");
    is_understood(&start[1..]);
    assert!(start.contains(&"/etc/tollring/tollring.toml"));
    assert_eq!(settings(&unit, "Type"), ["notify"]);
    assert_eq!(settings(&unit, "NotifyAccess"), ["main"]);
    assert_eq!(settings(&unit, "ExecReload"), ["/bin/kill -HUP $MAINPID"]);
}

#[test]
fn the_unit_lets_io_uring_and_name_resolution_through() {
    let unit = read("packaging/tollring.service");
    let allowed = settings(&unit, "SystemCallFilter")[0];
    for call in [
        "@system-service",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
    ] {
        assert!(allowed.split(' ').any(|word| word == call), "{call}");
    }
    let families = settings(&unit, "RestrictAddressFamilies")[0];
    for family in ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"] {
        assert!(families.split(' ').any(|word| word == family), "{family}");
    }
    for hardened in ["NoNewPrivileges", "DynamicUser", "MemoryDenyWriteExecute"] {
        assert_eq!(settings(&unit, hardened), ["yes"], "{hardened}");
    }
}

#[test]
fn the_example_passes_and_fits_the_unit() {
    let example = read("config/examples/tollring.toml");
    let folder = settings(&read("packaging/tollring.service"), "RuntimeDirectory")[0].to_owned();
    assert!(
        example.contains(&format!("takeover = \"/run/{folder}/takeover.sock\"")),
        "the unit makes the folder of the socket that the example names"
    );
    let place = Folder::new();
    let file = place.file("tollring.toml");
    fs::write(&file, &example).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["check", "-c"]).arg(&file);
    for name in variables(&example) {
        command.env(name, "a-value-for-the-check");
    }
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

/// The variables that a file names outside of comments.
fn variables(text: &str) -> BTreeSet<String> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let named = lines.flat_map(|line| line.split("${").skip(1));
    named
        .filter_map(|rest| rest.split(['}', ':']).next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_socket_is_the_data_port_of_the_example() {
    let socket = read("packaging/tollring.socket");
    let listen = settings(&socket, "ListenStream")[0].to_owned();
    let example = read("config/examples/tollring.toml");
    assert!(
        example.contains(&format!("listen  = [\"{listen}\"]")),
        "{listen}"
    );
    // `admin` would be the operator's port.
    assert_eq!(settings(&socket, "FileDescriptorName"), ["http"]);
}

#[test]
fn the_seccomp_profile_is_one_and_allows_io_uring() {
    let profile: Value = serde_json::from_str(&read("packaging/seccomp.json")).unwrap();
    // The OCI runtime specification, config-linux.md, "Seccomp".
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    assert_eq!(
        profile["defaultErrnoRet"], 38,
        "ENOSYS, so that libraries fall back"
    );
    for entry in profile["archMap"].as_array().unwrap() {
        assert!(
            entry["architecture"]
                .as_str()
                .unwrap()
                .starts_with("SCMP_ARCH_")
        );
        assert!(entry["subArchitectures"].is_array());
    }
    let rules = profile["syscalls"].as_array().unwrap();
    assert!(rules.iter().all(|rule| rule["action"] == "SCMP_ACT_ALLOW"));
    let names = rules
        .iter()
        .flat_map(|rule| rule["names"].as_array().unwrap());
    let names: Vec<&str> = names.map(|name| name.as_str().unwrap()).collect();
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(distinct.len(), names.len(), "a name stands there twice");
    assert!(names.is_sorted(), "sorted, so that a change can be read");
    for call in [
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "accept4",
        "execve",
    ] {
        assert!(distinct.contains(call), "{call}");
    }
    for call in [
        "ptrace",
        "mount",
        "bpf",
        "init_module",
        "kexec_load",
        "unshare",
        "setns",
    ] {
        assert!(!distinct.contains(call), "{call}");
    }
}

#[test]
fn the_image_runs_the_binary_as_it_can_be_run() {
    let file = read("packaging/Containerfile");
    let word = |name: &str| -> Vec<String> {
        let line = file.lines().find_map(|line| line.strip_prefix(name));
        serde_json::from_str(line.unwrap_or_else(|| panic!("no {name}"))).unwrap()
    };
    assert_eq!(word("ENTRYPOINT "), ["/usr/bin/tollring"]);
    let command = word("CMD ");
    is_understood(&command.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(file.contains("\nUSER 65532"), "not as root");
}

#[test]
fn whatever_the_package_carries_exists_or_is_made() {
    let manifest = read("Cargo.toml");
    let script = read("packaging/deb");
    let assets = manifest.split("assets = [").nth(1).unwrap();
    let assets = assets.split("\n]").next().unwrap();
    let sources = assets.lines().filter_map(|line| line.split('"').nth(1));
    for source in sources {
        if let Some(made) = source.strip_prefix("packaging/made/") {
            assert!(
                script.contains(&format!("\"$made/{made}\"")),
                "nobody makes {made}"
            );
        } else if !source.starts_with("target/") {
            read(source);
        }
    }
    for kind in [
        "man",
        "completions bash",
        "completions zsh",
        "completions fish",
    ] {
        let output = Command::new(BINARY).args(kind.split(' ')).output().unwrap();
        assert!(
            output.status.success() && !output.stdout.is_empty(),
            "{kind}"
        );
        assert!(script.contains(&format!("\"$binary\" {kind} ")), "{kind}");
    }
}

#[test]
fn the_manual_page_names_every_command() {
    let page = Command::new(BINARY).arg("man").output().unwrap();
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(
        page.contains("\n.TH tollring 1"),
        "no header of a manual page"
    );
    for command in [
        "serve",
        "check",
        "doctor",
        "mock",
        "load",
        "config",
        "completions",
    ] {
        assert!(
            page.contains(&format!("tollring\\-{command}(1)")),
            "{command}"
        );
    }
}
