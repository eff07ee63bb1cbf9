//! A running gateway from ready to gone: what signals and a successor make it do.
//!
//! Decides the order of an end: readiness falls, then nobody new is taken, then what
//! was begun is finished within the drain limit. How connections end is the engine's.

use std::ffi::OsString;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::{env, io, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR2};
use signal_hook::iterator::Signals;
use tollring_admin::{Gateway, OpenDoor, ReloadFault};

use crate::gateway::RunningGateway;
use crate::systemd;
use crate::takeover::Taken;

/// What happens to a running gateway.
#[derive(Debug)]
pub(crate) enum Event {
    /// A signal.
    Signal(i32),
    /// A new process has the listeners.
    Taken(Taken),
}

/// The signals that are obeyed.
pub(crate) const SIGNALS: [i32; 5] = [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2];

/// Passes signals on as events, on a thread of its own.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn listen(mut signals: Signals, tell: Sender<Event>) -> io::Result<()> {
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if tell.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        })
        .map(drop)
}

/// Does what events say, until one says stop and it is done. Says whether another process has
/// taken over.
pub(crate) fn live(
    gateway: &Arc<RunningGateway>,
    door: &OpenDoor,
    events: &Receiver<Event>,
) -> bool {
    let mut succeeded = false;
    for event in events {
        match event {
            Event::Signal(SIGHUP) => reload(gateway),
            Event::Signal(SIGUSR2) => start_successor(),
            Event::Signal(SIGQUIT) => {
                tracing::warn!("stopping at once");
                break;
            }
            Event::Signal(_) => {
                drain(gateway, events);
                break;
            }
            Event::Taken(taken) => {
                leave(gateway, door, &taken, events);
                succeeded = true;
                break;
            }
        }
    }
    gateway.engine.stop();
    succeeded
}

fn reload(gateway: &RunningGateway) {
    match gateway.reload() {
        Ok(_) => {}
        Err(ReloadFault::Keys(fault)) => {
            tracing::error!(fault, "the old configuration stays in force, with its keys");
        }
        Err(ReloadFault::Unwritten(fault)) => {
            tracing::error!(fault, "the old configuration stays in force");
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

/// Told twice, or told to hurry, means now.
fn is_told_to_hurry(events: &Receiver<Event>) -> bool {
    events
        .try_iter()
        .any(|event| matches!(event, Event::Signal(SIGTERM | SIGINT | SIGQUIT)))
}

fn drain(gateway: &RunningGateway, events: &Receiver<Event>) {
    gateway.begin_drain();
    let limit = gateway.engine.live().config.timeouts.drain;
    systemd::stopping(limit);
    let connections = gateway.engine.connections();
    tracing::info!(connections, ?limit, "finishing what was begun");
    if !gateway.engine.drain(limit, || is_told_to_hurry(events)) {
        let left = gateway.engine.connections();
        tracing::warn!(left, "the rest is cut");
    }
}

/// A new process has the listeners: takes nobody any more, and lets go of those who are here.
fn leave(gateway: &RunningGateway, door: &OpenDoor, taken: &Taken, events: &Receiver<Event>) {
    gateway.begin_drain();
    door.leave();
    gateway.engine.leave();
    taken.say_left();
    let (successor, connections) = (taken.successor(), gateway.engine.connections());
    tracing::info!(successor, connections, "another process has taken over");
    if let Some(successor) = successor {
        systemd::succeeded_by(successor);
    }
    // Half the time for connections to end by themselves, each with its next answer: a client
    // whose idle connection is closed may have sent a request at that very moment.
    let half = gateway.engine.live().config.timeouts.drain / 2;
    if gateway.engine.finish(half, || is_told_to_hurry(events)) {
        return;
    }
    if !gateway.engine.drain(half, || is_told_to_hurry(events)) {
        let left = gateway.engine.connections();
        tracing::warn!(left, "the rest is cut");
    }
}

/// Starts the program again, from the file it was started from, to take over from this process.
fn start_successor() {
    let mut arguments: Vec<OsString> = env::args_os().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--takeover") {
        arguments.push("--takeover".into());
    }
    let started = env::current_exe().and_then(|program| {
        // A program that was replaced is told from one that was not by this addition, and the
        // new one has the old one's name.
        let name = program.to_string_lossy();
        let program = name.strip_suffix(" (deleted)").unwrap_or(&name);
        Command::new(program)
            .args(&arguments)
            // The watchdog is the new process's too (sd_watchdog_enabled(3)).
            .env_remove("WATCHDOG_PID")
            .spawn()
    });
    let mut successor = match started {
        Ok(successor) => successor,
        Err(fault) => return tracing::error!(%fault, "a new process cannot be started"),
    };
    let pid = successor.id();
    tracing::info!(pid, "a new process is started to take over");
    let waited = thread::Builder::new()
        .name("successor".to_owned())
        .spawn(move || match successor.wait() {
            Ok(status) => tracing::warn!(%status, pid, "the new process ended before this one"),
            Err(fault) => tracing::warn!(%fault, pid, "the new process cannot be waited for"),
        });
    if let Err(fault) = waited {
        tracing::warn!(%fault, "nobody will say how the new process ends");
    }
}
