//! `tollring serve --demo`: a whole gateway without a file and without a network.
//!
//! A scripted provider runs inside the process; tenant `acme` has money, tenant
//! `broke` has none. The keys are new at every start, so that none of them is worth
//! writing down.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tollring_config::Snapshot;
use tollring_loadgen::mock::{self, MockOptions, Pace, RunningMock};

/// The demo's configuration, with places for what is new at every start.
const FILE: &str = include_str!("demo.toml");

/// A demo that is ready to be served.
pub(crate) struct Demo {
    pub(crate) snapshot: Snapshot,
    pub(crate) keys: Keys,
    /// Answers as long as it is kept.
    pub(crate) provider: RunningMock,
}

/// What the demo's two tenants show.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Keys {
    pub(crate) acme: String,
    pub(crate) broke: String,
}

/// Starts the scripted provider and makes the configuration for it.
///
/// # Errors
/// When the provider cannot be started, or the system has no random numbers.
pub(crate) fn prepare() -> io::Result<Demo> {
    let pace = Pace {
        gap: Duration::from_millis(20),
        ..Pace::default()
    };
    let provider = mock::start(MockOptions {
        pace,
        ..MockOptions::default()
    })?;
    let keys = Keys {
        acme: secret("tr_demo_acme_")?,
        broke: secret("tr_demo_broke_")?,
    };
    let text = FILE
        .replace("@PROVIDER@", &format!("http://{}/v1", provider.address()))
        .replace("@ACME@", &sha256_hex(&keys.acme))
        .replace("@BROKE@", &sha256_hex(&keys.broke));
    let snapshot = tollring_config::parse("demo.toml", &text, &|_| None)
        .map_err(|faults| io::Error::other(faults.render_text()))?;
    Ok(Demo {
        snapshot,
        keys,
        provider,
    })
}

/// A new secret: 128 random bits behind a prefix that says what it is.
pub(crate) fn secret(prefix: &str) -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|fault| io::Error::other(fault.to_string()))?;
    Ok(format!("{prefix}{}", hex(&bytes)))
}

fn sha256_hex(text: &str) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;

    #[test]
    fn the_demo_has_one_tenant_with_money_and_one_without() {
        let demo = prepare().unwrap();
        let names: Vec<&str> = demo
            .snapshot
            .tenants
            .iter()
            .map(|tenant| &*tenant.name)
            .collect();
        assert_eq!(names, ["acme", "broke"]);
        assert_ne!(demo.keys.acme, demo.keys.broke);
        demo.provider.stop();
    }
}
