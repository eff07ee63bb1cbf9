//! `tollring check` and `tollring config show`: what a file says, and what is wrong with it.

use std::path::Path;
use std::process::ExitCode;

use tollring_config::{Faults, Snapshot};

use crate::cli::{CheckArgs, Format, ShowArgs, complain, say};

/// Reads a file with this process's environment.
pub(crate) fn load(path: &Path) -> Result<Snapshot, Faults> {
    tollring_config::load(path, &|name| std::env::var(name).ok())
}

/// Says everything that is wrong with a file; exit code 1 if anything is.
pub(crate) fn run(args: &CheckArgs) -> ExitCode {
    let path = args.config.display();
    match (load(&args.config), args.format) {
        (Ok(snapshot), Format::Text) => {
            say(&format!(
                "{path}: good ({} providers, {} models, {} services, {} tenants, {} keys, \
                 {} limits)",
                snapshot.providers.len(),
                snapshot.models.len(),
                snapshot.services.len(),
                snapshot.tenants.len(),
                snapshot.keys.len(),
                snapshot.buckets.len(),
            ));
            ExitCode::SUCCESS
        }
        (Ok(_), Format::Json) => {
            say(&serde_json::json!({ "file": path.to_string(), "faults": [] }).to_string());
            ExitCode::SUCCESS
        }
        (Err(faults), Format::Text) => {
            complain(faults.render_text().trim_end());
            ExitCode::FAILURE
        }
        (Err(faults), Format::Json) => {
            say(&faults.render_json());
            ExitCode::FAILURE
        }
    }
}

/// Prints what a file comes to, or the example.
pub(crate) fn show(args: &ShowArgs) -> ExitCode {
    if args.example {
        say(tollring_config::example().trim_end());
        return ExitCode::SUCCESS;
    }
    match load(&args.config) {
        Ok(snapshot) => {
            say(&snapshot.describe_json());
            ExitCode::SUCCESS
        }
        Err(faults) => {
            complain(faults.render_text().trim_end());
            ExitCode::FAILURE
        }
    }
}
