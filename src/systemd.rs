//! What systemd is told, and what it hands us: states, the watchdog, sockets.
//!
//! Without systemd (`NOTIFY_SOCKET`, `LISTEN_FDS`) each of these does nothing. Decides
//! what counts as being alive: every worker has looked up from its work since the
//! last time (sd_notify(3), sd_listen_fds(3)).

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;
use std::{env, io};

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tollring_engine::Inherited;

use crate::gateway::RunningGateway;
use crate::takeover::Handover;

/// What systemd's name for a socket says when it is the operator's.
const ADMIN: &str = "admin";

/// Workers look up every 25 ms; asked more often than this, one that is merely busy would count
/// as stuck.
const PULSE_MIN: Duration = Duration::from_millis(250);

/// What a stop may take beyond the drain: the last words, and the end of threads.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// The sockets that systemd made for us: by `FileDescriptorName=admin` the operator's, all
/// others the data port's.
///
/// # Errors
/// When one is no listening TCP socket.
pub(crate) fn sockets() -> io::Result<Handover> {
    // Read first: taking the sockets takes the variables away.
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut passed = ListenFd::from_env();
    let mut handover = Handover {
        data: Vec::new(),
        admin: None,
    };
    for place in 0..passed.len() {
        let name = names.next().unwrap_or_default();
        let Some(socket) = passed.take_tcp_listener(place)? else {
            continue;
        };
        if name == ADMIN {
            handover.admin = Some(socket);
        } else {
            handover.data.push(Inherited { socket, kept: true });
        }
    }
    Ok(handover)
}

/// Ready: the ports are open, and who watches may send requests.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Another configuration is being read.
pub(crate) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The process finishes what it began, within `limit`, and ends.
pub(crate) fn stopping(limit: Duration) {
    let patience = u32::try_from((limit + STOP_MARGIN).as_micros()).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing what was begun"),
        NotifyState::ExtendTimeoutUsec(patience),
    ]);
}

/// The service is another process from now on; only the one it was may say so.
pub(crate) fn succeeded_by(successor: u32) {
    tell(&[NotifyState::MainPid(successor)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(fault) = sd_notify::notify(states) {
        tracing::warn!(%fault, "systemd cannot be told");
    }
}

/// Tells the watchdog that we live, as long as every worker does; if systemd has one for us.
pub(crate) fn start_watchdog(gateway: &Arc<RunningGateway>) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    // Half the limit, as sd_watchdog_enabled(3) recommends.
    let interval = (limit / 2).max(PULSE_MIN);
    let gateway = Arc::downgrade(gateway);
    let started = thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || watch(&gateway, interval));
    if let Err(fault) = started {
        tracing::error!(%fault, "the watchdog will not be told");
    }
}

fn watch(gateway: &Weak<RunningGateway>, interval: Duration) {
    let mut pulse = Pulse::default();
    while let Some(gateway) = gateway.upgrade() {
        let ticks = gateway.engine.counters().iter();
        let stuck = pulse.stuck(ticks.map(|worker| worker.ticks.read()).collect());
        drop(gateway);
        if stuck.is_empty() {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!(?stuck, "workers stand still; the watchdog is not told");
        }
        thread::sleep(interval);
    }
}

/// How often each worker had looked up at the last look.
#[derive(Debug, Default)]
struct Pulse(Vec<u64>);

impl Pulse {
    /// The workers that have not looked up since the last look.
    fn stuck(&mut self, ticks: Vec<u64>) -> Vec<usize> {
        let before = std::mem::replace(&mut self.0, ticks);
        let pairs = before.iter().zip(&self.0).enumerate();
        pairs
            .filter(|(_, (before, now))| before == now)
            .map(|(worker, _)| worker)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_that_stands_still_is_enough_to_be_stuck() {
        let mut pulse = Pulse::default();
        assert!(
            pulse.stuck(vec![1, 1, 1]).is_empty(),
            "nothing to compare with"
        );
        assert!(pulse.stuck(vec![2, 3, 4]).is_empty());
        assert_eq!(pulse.stuck(vec![3, 3, 5]), [1]);
        assert!(pulse.stuck(vec![4, 4, 6]).is_empty(), "it came back");
    }
}
