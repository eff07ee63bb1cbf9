//! Our own certificates: whether they can be read with their keys, and how long they are good.

use std::time::{Duration, SystemTime};

use tollring_config::Snapshot;
use tollring_engine::tls::{self, Certificate};

use super::Finding;

/// A day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long before its end a certificate is worth a word: automatic renewal comes at a third of
/// ninety days, so one this close was not renewed.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Looks at every certificate of the data port, and at the admin port's.
pub(super) fn look(site: &Snapshot) -> Vec<Finding> {
    let data = site.server.tls.iter().flat_map(|tls| &tls.certificates);
    let files = data.chain(&site.admin.tls);
    let findings = files.map(|files| {
        let path = files.certificate.display();
        match tls::shown(files) {
            Ok(Some(shown)) => {
                let whose = format!("{path}: {}", names(&shown));
                judge("certificate", &whose, &shown, SystemTime::now())
            }
            Ok(None) => Finding::fail(
                "certificate",
                format!("{path}: is no certificate that can be read"),
                "name the PEM file of the chain, the certificate itself first",
            ),
            Err(fault) => Finding::fail("certificate", fault.to_string(), "mend the files"),
        }
    });
    findings.collect()
}

/// For whom a certificate is.
pub(super) fn names(certificate: &Certificate) -> String {
    if certificate.names.is_empty() {
        certificate.subject.clone()
    } else {
        certificate.names.join(", ")
    }
}

/// Whether a certificate is good now, and soon.
pub(super) fn judge(
    check: &'static str,
    whose: &str,
    certificate: &Certificate,
    now: SystemTime,
) -> Finding {
    if now < certificate.not_before {
        let remedy = "check this machine's clock, or wait";
        return Finding::fail(check, format!("{whose}: is not valid yet"), remedy);
    }
    let Ok(left) = certificate.not_after.duration_since(now) else {
        return Finding::fail(check, format!("{whose}: has expired"), "renew it");
    };
    let found = format!("{whose}: good for {} days", left.as_secs() / DAY.as_secs());
    if left < SOON {
        return Finding::warn(check, found, "renew it, and reload where it is ours");
    }
    Finding::ok(check, found)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_certificate_is_judged_by_what_is_left_of_it() {
        let now = SystemTime::now();
        let certificate = |from: SystemTime, until: SystemTime| Certificate {
            subject: "CN=gateway".to_owned(),
            names: Vec::new(),
            not_before: from,
            not_after: until,
        };
        for (from, until, verdict) in [
            (now - DAY, now + 90 * DAY, Verdict::Ok),
            (now - DAY, now + 3 * DAY, Verdict::Warn),
            (now - 2 * DAY, now - DAY, Verdict::Fail),
            (now + DAY, now + 90 * DAY, Verdict::Fail),
        ] {
            let finding = judge("certificate", "x", &certificate(from, until), now);
            assert_eq!(finding.verdict, verdict, "{finding:?}");
        }
    }
}
