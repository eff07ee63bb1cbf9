//! What can be said on the command line.
//!
//! Only words and defaults: every command is carried out by the room it belongs to.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use tollring_loadgen::load::LoadArgs;
use tollring_loadgen::mock::MockArgs;

/// A gateway for AI and REST traffic: a key for every caller, an exact meter, and a 402 that a
/// program can act on
#[derive(Debug, Parser)]
#[command(
    name = "tollring",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Everything the program does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway until it is told to stop
    Serve(ServeArgs),
    /// Check a configuration file and say everything that is wrong with it
    Check(CheckArgs),
    /// Look at everything the gateway needs, and say what to do about the rest
    Doctor(DoctorArgs),
    /// Run the scripted provider alone
    Mock(MockArgs),
    /// Generate load and measure
    Load(LoadArgs),
    /// Show the configuration in force, or what a file may say
    Config {
        /// Which
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// What can be shown of the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print what a file comes to, as JSON, with defaults filled in and secrets hidden
    Show(ShowArgs),
    /// Print the JSON Schema of the file
    Schema,
}

/// `tollring serve`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "SIGTERM and SIGINT finish what was begun and stop, SIGHUP reads the file \
    again, SIGQUIT stops at once,\nSIGUSR2 starts the program again to take over.\n\
    TOLLRING_LOG sets what is logged, such as `debug`."
)]
pub(crate) struct ServeArgs {
    /// The configuration file
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "tollring.toml",
        conflicts_with = "demo"
    )]
    pub(crate) config: PathBuf,
    /// Needs no file and no network: a scripted provider, a tenant with money and one without
    #[arg(long)]
    pub(crate) demo: bool,
    /// Take the listening sockets over from the process that offers them at `server.takeover`,
    /// if there is one; it finishes what it began and ends
    #[arg(long, conflicts_with = "demo")]
    pub(crate) takeover: bool,
    /// Print one line when ready, for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// Listen here instead of where the file says
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Open the admin port here instead of where the file says
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<SocketAddr>,
}

/// `tollring check`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CheckArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "tollring.toml")]
    pub(crate) config: PathBuf,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// `tollring doctor`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Exit code 1 when anything fails. No request is sent and no key is shown.")]
pub(crate) struct DoctorArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "tollring.toml")]
    pub(crate) config: PathBuf,
    /// Print one line of JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tollring config show`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ShowArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "tollring.toml")]
    pub(crate) config: PathBuf,
    /// Print a complete, commented example instead
    #[arg(long)]
    pub(crate) example: bool,
}

/// For whom something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Prints a line to standard output. Whoever closed it has no use for the line.
pub(crate) fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints a line to standard error.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints completions for a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> ExitCode {
    clap_complete::generate(shell, &mut Cli::command(), "tollring", &mut io::stdout());
    ExitCode::SUCCESS
}

/// Prints the manual page.
pub(crate) fn man() -> ExitCode {
    match clap_mangen::Man::new(Cli::command()).render(&mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
