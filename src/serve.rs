//! `tollring serve`: introduces the engine and the operator's door, with their ports open.
//!
//! A fault at the start is one clear line and exit code 1; nothing is left running.

use std::io::{self, IsTerminal};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

use arc_swap::ArcSwap;
use signal_hook::iterator::Signals;
use tollring_admin::{Door, Gateway, OpenDoor};
use tollring_config::{Secret, Snapshot};
use tollring_engine::tls::server_config;
use tollring_engine::{Engine, Inherited, Written};

use crate::check;
use crate::cli::{ServeArgs, complain};
use crate::demo::{self, Keys};
use crate::gateway::{GatewayLedger, RunningGateway};
use crate::life::{self, Event};
use crate::ready::Ready;
use crate::recorder::{Recorder, Running};
use crate::systemd;
use crate::takeover::{self, Handover, Offer, Predecessor};

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
    let signals = Signals::new(life::SIGNALS);
    let signals = signals.map_err(|fault| format!("tollring: cannot take signals: {fault}"))?;
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
    let (predecessor, inherited) = inherit(args, &snapshot)?;
    let offer = prepare_offer(&snapshot, predecessor.is_some())?;
    let (engine, recorder) = prepare_engine(snapshot, inherited.data)?;
    log_io(&engine);
    let file = (!args.demo).then(|| args.config.clone());
    let gateway = RunningGateway::new(engine, file, recorder.clone(), admin_tls);
    let open = open_door(door, inherited.admin, &gateway).inspect_err(|_| gateway.engine.stop())?;
    let recording = start_recorder(recorder.as_ref(), &gateway)?;
    gateway.engine.open();
    if let Some(predecessor) = predecessor {
        predecessor.relieve();
    }
    let (tell, events) = mpsc::channel();
    let started = life::listen(signals, tell.clone());
    started.map_err(|fault| format!("tollring: cannot listen to signals: {fault}"))?;
    if let Some(offer) = &offer {
        publish_offer(offer, &gateway, &open, tell);
    }
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
    systemd::ready(&ready.status());
    systemd::start_watchdog(&gateway);
    let succeeded = life::live(&gateway, &open, &events);
    if let Some(offer) = offer {
        offer.withdraw();
    }
    open.close();
    if let Some(recording) = recording {
        recording.finish(succeeded);
    }
    drop(provider);
    Ok(())
}

/// The listeners that another process made for us: the one before us, or systemd.
fn inherit(
    args: &ServeArgs,
    snapshot: &Snapshot,
) -> Result<(Option<Predecessor>, Handover), String> {
    let activated = systemd::sockets();
    let activated = activated
        .map_err(|fault| format!("tollring: a socket from systemd is none of ours: {fault}"))?;
    if !args.takeover {
        return Ok((None, activated));
    }
    let Some(path) = &snapshot.server.takeover else {
        return Err("tollring: --takeover needs server.takeover in the file: \
                    the socket of the process to take over from"
            .to_owned());
    };
    match takeover::ask(path) {
        Ok(Some((predecessor, mut handover))) => {
            let listen = snapshot.admin.listen;
            let fits = |admin: &TcpListener| admin.local_addr().is_ok_and(|at| at == listen);
            handover.admin = handover.admin.filter(fits);
            Ok((Some(predecessor), handover))
        }
        Ok(None) => {
            tracing::info!(path = %path.display(), "there is nobody to take over from");
            Ok((None, activated))
        }
        Err(fault) => {
            let path = path.display();
            Err(format!("tollring: cannot take over at {path}: {fault}"))
        }
    }
}

fn prepare_offer(snapshot: &Snapshot, takes_over: bool) -> Result<Option<Offer>, String> {
    let Some(path) = &snapshot.server.takeover else {
        return Ok(None);
    };
    let offer = Offer::prepare(path, takes_over).map_err(|fault| {
        let path = path.display();
        format!(
            "tollring: cannot offer the listeners at {path}: {fault}; start with --takeover \
             where another process runs, make its folder, or change server.takeover"
        )
    });
    offer.map(Some)
}

/// Opens the store, if there is one, and makes an engine that begins where it stands.
fn prepare_engine(
    mut snapshot: Snapshot,
    inherited: Vec<Inherited>,
) -> Result<(Engine, Option<Arc<Recorder>>), String> {
    let unopened = |fault| format!("tollring: {fault}");
    let recorder = Recorder::open(&snapshot).map_err(unopened)?;
    let opening = recorder.as_ref().map(|at| at.prepare(&mut snapshot));
    let opening = opening.transpose().map_err(unopened)?;
    let written = Written {
        journal: recorder.as_ref().map(Recorder::journal),
        opening: opening.unwrap_or_default(),
    };
    let engine = Engine::prepare(snapshot, inherited, written);
    let engine = engine.map_err(|fault| format!("tollring: {fault}"))?;
    Ok((engine, recorder.map(Arc::new)))
}

fn start_recorder(
    recorder: Option<&Arc<Recorder>>,
    gateway: &Arc<RunningGateway>,
) -> Result<Option<Running>, String> {
    let Some(recorder) = recorder else {
        tracing::warn!(
            "there is no [store]: counters and balances are in memory, and begin anew with the \
             next process"
        );
        return Ok(None);
    };
    let running = recorder.start(GatewayLedger(Arc::downgrade(gateway)));
    let running = running.map_err(|fault| format!("tollring: cannot start a thread: {fault}"));
    running.map(Some)
}

/// From here on a new process may take over. That it may not is no reason to stop serving.
fn publish_offer(
    offer: &Offer,
    gateway: &Arc<RunningGateway>,
    door: &OpenDoor,
    tell: Sender<Event>,
) {
    let published = door.listener().and_then(|admin| {
        let gateway = Arc::downgrade(gateway);
        let handover = move || {
            let gone = || io::Error::other("this process is ending");
            let gateway = gateway.upgrade().ok_or_else(gone)?;
            Ok(Handover {
                data: gateway.engine.listeners()?,
                admin: Some(admin.try_clone()?),
            })
        };
        offer.publish(handover, move |taken| {
            // A process that is ending already has nobody to tell.
            let _ = tell.send(Event::Taken(taken));
        })
    });
    if let Err(fault) = published {
        tracing::error!(%fault, "no new process will be able to take over");
    }
}

/// Opens the operator's door: on the socket we were given if it is where the file says, or
/// wherever systemd wants it.
fn open_door(
    door: Door,
    inherited: Option<TcpListener>,
    gateway: &Arc<RunningGateway>,
) -> Result<OpenDoor, String> {
    let lent = Arc::clone(gateway) as Arc<dyn Gateway>;
    let listen = door.listen;
    let open = match inherited {
        Some(listener) => tollring_admin::open_on(listener, door, lent),
        None => tollring_admin::open(door, lent),
    };
    open.map_err(|fault| {
        format!("tollring: cannot open the admin port on {listen}: {fault}; change admin.listen")
    })
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
