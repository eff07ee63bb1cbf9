//! `tollring doctor`: looks at everything a gateway needs, and says what to do about the rest.
//!
//! | check | asks |
//! |---|---|
//! | `machine.rs` | which kernel, which interface, how many cores, whether the clock can be right |
//! | `room.rs` | whether descriptors and memory are enough |
//! | `doors.rs` | whether the ports can be had, or who has them |
//! | `upstreams.rs` | whether every provider and upstream resolves, answers, and is who it says |
//! | `certificates.rs` | whether ours can be read, and for how long they are good |
//! | `service.rs` | whether systemd runs us, and how |
//!
//! It sends no request and shows no API key to anyone; upstreams are connected to, through
//! their proxies, greeted where they speak TLS, and left.

mod certificates;
mod doors;
mod holder;
mod machine;
mod room;
mod service;
mod upstreams;

use std::process::ExitCode;

use tollring_config::Snapshot;

use crate::check;
use crate::cli::{DoctorArgs, say};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok  ",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
struct Finding {
    /// What was looked at.
    check: &'static str,
    verdict: Verdict,
    /// What was found.
    found: String,
    /// What to do about it; nothing where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            found: found.into(),
            remedy: None,
        }
    }

    fn warn(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Warn,
            found: found.into(),
            remedy: Some(remedy.into()),
        }
    }

    fn fail(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::warn(check, found, remedy)
        }
    }
}

/// Looks at everything; exit code 1 when anything fails.
pub(crate) fn run(args: &DoctorArgs) -> ExitCode {
    let (site, mut findings) = configuration(args);
    findings.extend(machine::look(site.as_ref()));
    findings.extend(room::look(site.as_ref()));
    findings.extend(service::look());
    if let Some(site) = &site {
        findings.extend(doors::look(site));
        findings.extend(certificates::look(site));
        findings.extend(upstreams::look(site));
    }
    let worst = findings.iter().map(|finding| finding.verdict).max();
    if args.json {
        let told = serde_json::json!({ "verdict": worst, "findings": findings });
        say(&told.to_string());
    } else {
        for finding in &findings {
            say_to_people(finding);
        }
    }
    match worst {
        Some(Verdict::Fail) => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn say_to_people(finding: &Finding) {
    let Finding {
        check,
        verdict,
        found,
        remedy,
    } = finding;
    say(&format!("{}  {check:<12}  {found}", verdict.word()));
    if let Some(remedy) = remedy {
        say(&format!("{:<20}→ {remedy}", ""));
    }
}

/// The file, or why there is none.
fn configuration(args: &DoctorArgs) -> (Option<Snapshot>, Vec<Finding>) {
    const CHECK: &str = "file";
    let path = args.config.display();
    match check::load(&args.config) {
        Ok(site) => {
            let found = format!(
                "{path}: {} providers, {} services, {} tenants",
                site.providers.len(),
                site.services.len(),
                site.tenants.len()
            );
            (Some(site), vec![Finding::ok(CHECK, found)])
        }
        Err(faults) => {
            let remedy = "ports and upstreams are not looked at until it is good; \
                          `tollring check` shows each fault in its place";
            let found = faults.render_text().trim_end().to_owned();
            (None, vec![Finding::fail(CHECK, found, remedy)])
        }
    }
}
