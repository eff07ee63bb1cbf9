//! `tollring serve`: introduces the engine and the operator's door, and lives until told to stop.
//!
//! A fault at the start is one clear line and exit code 1; nothing is left running.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;

use arc_swap::ArcSwap;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use tollring_admin::{Door, Gateway, ReloadFault};
use tollring_config::{Secret, Snapshot};
use tollring_engine::Engine;
use tollring_engine::tls::server_config;

use crate::check;
use crate::cli::{ServeArgs, complain};
use crate::demo::{self, Keys};
use crate::gateway::RunningGateway;
use crate::ready::Ready;

/// Runs the gateway.
pub(crate) fn run(args: &ServeArgs) -> ExitCode {
    start_log();
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            complain(fault.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &ServeArgs) -> Result<(), String> {
    // Taken before any thread starts, so that no signal is lost and none ends us half-way.
    let signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP]);
    let mut signals = signals.map_err(|fault| format!("tollring: cannot take signals: {fault}"))?;
    let (mut snapshot, keys, provider) = configuration(args)?;
    if let Some(listen) = args.listen {
        snapshot.server.listen = vec![listen];
    }
    if let Some(listen) = args.admin_listen {
        snapshot.admin.listen = listen;
    }
    let token = admin_token(&snapshot)?;
    let admin_tls = snapshot.admin.tls.as_ref().map(server_config).transpose();
    let admin_tls = admin_tls.map_err(|fault| format!("tollring: {fault}"))?;
    let admin_tls = admin_tls.map(|config| Arc::new(ArcSwap::new(config)));
    let door = Door {
        listen: snapshot.admin.listen,
        token: token.secret.clone(),
        tls: admin_tls.clone(),
    };
    let engine =
        Engine::prepare(snapshot, Vec::new()).map_err(|fault| format!("tollring: {fault}"))?;
    log_io(&engine);
    engine.open();
    let file = (!args.demo).then(|| args.config.clone());
    let gateway = RunningGateway::new(engine, file, admin_tls);
    let lent = Arc::clone(&gateway) as Arc<dyn Gateway>;
    let open = tollring_admin::open(door.clone(), lent);
    let open = match open {
        Ok(open) => open,
        Err(fault) => {
            gateway.engine.stop();
            let listen = door.listen;
            return Err(format!(
                "tollring: cannot open the admin port on {listen}: {fault}; change admin.listen"
            ));
        }
    };
    let ready = Ready {
        engine: &gateway.engine,
        admin: open.address(),
        made_token: token.made.then_some(token.secret.expose()),
        token: token.secret.expose(),
        demo: keys.as_ref(),
    };
    if args.json {
        ready.say_to_programs()
    } else {
        ready.say_to_people()
    }
    live(&gateway, &mut signals);
    open.close();
    drop(provider);
    Ok(())
}

/// What is to be served: the file, or the demo with its provider.
type Served = (
    Snapshot,
    Option<Keys>,
    Option<tollring_loadgen::mock::RunningMock>,
);

fn configuration(args: &ServeArgs) -> Result<Served, String> {
    if args.demo {
        let demo = demo::prepare().map_err(|fault| format!("tollring: no demo: {fault}"))?;
        return Ok((demo.snapshot, Some(demo.keys), Some(demo.provider)));
    }
    match check::load(&args.config) {
        Ok(snapshot) => Ok((snapshot, None, None)),
        Err(faults) => Err(faults.render_text()),
    }
}

/// What opens the admin port, and whether this process made it up.
struct AdminToken {
    secret: Secret,
    made: bool,
}

fn admin_token(snapshot: &Snapshot) -> Result<AdminToken, String> {
    if let Some(token) = &snapshot.admin.token {
        return Ok(AdminToken {
            secret: token.clone(),
            made: false,
        });
    }
    let made = demo::secret("tr_admin_")
        .map_err(|fault| format!("tollring: no random numbers for an admin token: {fault}"))?;
    Ok(AdminToken {
        secret: Secret::new(made),
        made: true,
    })
}

/// Waits for signals and does what they say, until one says stop.
fn live(gateway: &RunningGateway, signals: &mut Signals) {
    for signal in signals.forever() {
        match signal {
            SIGHUP => reload(gateway),
            SIGQUIT => {
                tracing::warn!("stopping at once");
                break;
            }
            _ => {
                // Told twice, or told to hurry, means now.
                drain(gateway, || signals.pending().any(|signal| signal != SIGHUP));
                break;
            }
        }
    }
    gateway.engine.stop();
}

fn reload(gateway: &RunningGateway) {
    match gateway.reload() {
        Ok(_) => {}
        Err(ReloadFault::Keys(fault)) => {
            tracing::error!(fault, "the old configuration stays in force, with its keys");
        }
        Err(ReloadFault::NoFile) => tracing::warn!("there is no file to read again"),
        Err(ReloadFault::Faulty(faults)) => {
            tracing::error!(
                "the old configuration stays in force:\n{}",
                faults.render_text()
            );
        }
    }
}

fn drain(gateway: &RunningGateway, hurry: impl FnMut() -> bool) {
    gateway.begin_drain();
    let limit = gateway.engine.live().config.timeouts.drain;
    let connections = gateway.engine.connections();
    tracing::info!(connections, ?limit, "finishing what was begun");
    if !gateway.engine.drain(limit, hurry) {
        let left = gateway.engine.connections();
        tracing::warn!(left, "the rest is cut");
    }
}

fn log_io(engine: &Engine) {
    let io = engine.io();
    let (kind, flags) = (io.kind.word(), io.flags.join(" "));
    tracing::info!(
        io = kind,
        flags,
        workers = engine.cores().len(),
        "workers run"
    );
    for passed_over in &io.passed_over {
        tracing::warn!("{passed_over}");
    }
}

/// Logs to standard error: text for a terminal, JSON lines for everyone else.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TOLLRING_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    if io::stderr().is_terminal() {
        log.with_target(false).init();
    } else {
        log.json().flatten_event(true).init();
    }
}
