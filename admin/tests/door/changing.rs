//! What may be changed through the door, by whom, and how it ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use tollring_admin::{ReloadFault, Reloaded};

use crate::support::{DEADLINE, Script, TOKEN, ask, ask_with, door, send};

#[test]
fn a_reload_says_which_version_is_in_force_and_what_changed() {
    let (door, _) = door(Script::default());
    let answer = ask(&door, "POST", "/api/v1/reload");
    assert_eq!(answer.status, 200);
    let expected = serde_json::json!({"version": 8, "changes": ["models.fast: added"]});
    assert_eq!(answer.json(), expected);
}

#[test]
fn a_reload_of_a_faulty_file_is_a_422_that_names_every_fault_and_no_secret() {
    let (door, _) = door(Script::reloading(|| {
        let file = "[server]\nworkers = -1\nports = 1\n[admin]\ntoken = 7\n\
                    [providers.far]\napi_keys = [\"sk canary\"]\n";
        match tollring_config::parse("tollring.toml", file, &|_| None) {
            Ok(snapshot) => Ok(Reloaded {
                version: snapshot.version,
                changes: Vec::new(),
            }),
            Err(faults) => Err(ReloadFault::Faulty(faults)),
        }
    }));
    let answer = ask(&door, "POST", "/api/v1/reload");
    answer.is_problem(422, "file_faulty");
    let problem = answer.json();
    assert_eq!(problem["file"], "tollring.toml");
    assert_eq!(problem["left_out"], 0);
    let faults = problem["faults"].as_array().unwrap();
    for (path, line) in [
        ("server.workers", 2),
        ("server.ports", 3),
        ("admin.token", 5),
    ] {
        let fault = faults.iter().find(|fault| fault["path"] == path);
        let fault = fault.unwrap_or_else(|| panic!("no fault at {path} in {problem}"));
        assert_eq!(fault["line"], line, "{fault}");
        for text in ["message", "remedy"] {
            assert!(
                fault[text].as_str().is_some_and(|text| !text.is_empty()),
                "{fault}"
            );
        }
    }
    assert!(!answer.body.contains("canary"), "{}", answer.body);
}

#[test]
fn a_reload_without_a_file_is_a_409() {
    let (door, _) = door(Script::reloading(|| Err(ReloadFault::NoFile)));
    ask(&door, "POST", "/api/v1/reload").is_problem(409, "no_file");
}

#[test]
fn a_panic_in_a_reload_is_a_500_and_the_door_stays_open() {
    let (door, _) = door(Script::reloading(|| {
        panic!("a bug in the gateway, made by this test")
    }));
    ask(&door, "POST", "/api/v1/reload").is_problem(500, "broken");
    ask(&door, "POST", "/api/v1/reload").is_problem(500, "broken");
    assert_eq!(ask(&door, "GET", "/api/v1/stats").status, 200);
}

#[test]
fn reloads_come_one_after_the_other_and_the_door_answers_meanwhile() {
    let inside = Arc::new(AtomicU64::new(0));
    let (entered, has_entered) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel();
    let may_leave = Mutex::new(may_leave);
    let script = Script::reloading(move || {
        assert_eq!(
            inside.fetch_add(1, Ordering::SeqCst),
            0,
            "two reloads at once"
        );
        entered.send(()).unwrap();
        may_leave.lock().unwrap().recv_timeout(DEADLINE).unwrap();
        inside.fetch_sub(1, Ordering::SeqCst);
        Ok(Reloaded::default())
    });
    let (door, _) = door(script);
    thread::scope(|scope| {
        let reloads = [(); 3].map(|()| scope.spawn(|| ask(&door, "POST", "/api/v1/reload")));
        for _ in &reloads {
            has_entered.recv_timeout(DEADLINE).unwrap();
            assert_eq!(ask(&door, "GET", "/api/v1/stats").status, 200);
            leave.send(()).unwrap();
        }
        for reload in reloads {
            assert_eq!(reload.join().unwrap().status, 200);
        }
    });
}

#[test]
fn a_page_from_elsewhere_changes_nothing_even_with_the_token() {
    let (door, script) = door(Script::default());
    let address = door.address();
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    for (fields, status, code) in [
        ("origin: http://evil.example\r\n", 403, "origin_foreign"),
        ("origin: null\r\n", 403, "origin_foreign"),
        ("sec-fetch-site: cross-site\r\n", 403, "origin_foreign"),
    ] {
        let answer = ask_with(&door, "POST", "/api/v1/reload", &format!("{token}{fields}"));
        answer.is_problem(status, code);
    }
    let rebound = format!(
        "POST /api/v1/reload HTTP/1.1\r\nhost: evil.example:{}\r\nconnection: close\r\n{token}\r\n",
        address.port()
    );
    send(&door, rebound.as_bytes()).is_problem(421, "host_foreign");
    assert_eq!(script.reloads.load(Ordering::Relaxed), 0);

    let own = format!("{token}origin: http://{address}\r\nsec-fetch-site: same-origin\r\n");
    assert_eq!(ask_with(&door, "POST", "/api/v1/reload", &own).status, 200);
}

#[test]
fn a_reload_takes_an_empty_body_and_nothing_else() {
    let (door, script) = door(Script::default());
    let reload = |body: &str| {
        let fields = format!(
            "authorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n",
            body.len()
        );
        let head = "POST /api/v1/reload HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
        send(&door, format!("{head}{fields}\r\n{body}").as_bytes())
    };
    assert_eq!(reload("").status, 200);
    assert_eq!(reload("{}\n").status, 200);
    reload(r#"{"file":"/etc/passwd"}"#).is_problem(400, "body_unwanted");
    reload(&" ".repeat(16 * 1024 + 1)).is_problem(413, "body_too_large");
    assert_eq!(script.reloads.load(Ordering::Relaxed), 2);
}
