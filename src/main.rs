//! The `tollring` program: reads the command line and calls the room it names.
//!
//! Nothing is decided here; see `cli.rs` for what can be said, and `serve.rs` for
//! how the rooms are introduced to each other.

mod check;
mod cli;
mod demo;
mod doctor;
mod gateway;
mod life;
mod ready;
mod recorder;
mod serve;
mod systemd;
mod takeover;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command, ConfigCommand};

// Nothing on the path of a request allocates; what does (connections, snapshots, the admin
// port) is measurably faster with it than with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Mock(args) => tollring_loadgen::mock::run(&args),
        Command::Load(args) => tollring_loadgen::load::run(&args),
        Command::Config {
            command: ConfigCommand::Show(args),
        } => check::show(&args),
        Command::Config {
            command: ConfigCommand::Schema,
        } => {
            cli::say(&tollring_config::schema_json());
            ExitCode::SUCCESS
        }
        Command::Completions { shell } => cli::completions(shell),
        Command::Man => cli::man(),
    }
}
