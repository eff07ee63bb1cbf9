//! One thread of a run: opens its connections, starts with the others, hands out arrivals, cuts
//! what takes too long, and says what it saw and what it cost.

use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use super::client::{Client, Shared};
use super::dispatch::{Dispatch, Pace, Seat};
use super::plan::{Arrivals, Plan, part};
use super::progress::Live;
use super::record::Record;
use crate::net::{Alarm, Io, run, sleep, spawn, thread_cpu};

/// How often a thread looks whether it is done.
const DONE_CHECK: Duration = Duration::from_millis(1);

/// How long the pacer sleeps at most, so that it notices when the run is broken off.
const PACE_MAX: Duration = Duration::from_millis(50);

/// How often deadlines are looked at: twenty times within a timeout, within these bounds.
const SWEEPS: (u32, Duration, Duration) =
    (20, Duration::from_millis(5), Duration::from_millis(100));

/// What threads agree on.
#[derive(Clone)]
pub(super) struct Together {
    /// Nobody starts before all have opened their connections.
    pub(super) opened: Arc<Barrier>,
    /// When the clock started, for all of them.
    pub(super) start: Arc<OnceLock<Instant>>,
    /// The run is to be broken off.
    pub(super) stop: Arc<AtomicBool>,
}

/// What one thread has to tell.
pub(super) struct Told {
    pub(super) record: Record,
    /// Arrivals of its schedule that were never sent.
    pub(super) unsent: u64,
    /// CPU time used while the clock ran.
    pub(super) cpu: Duration,
    /// How long the clock ran.
    pub(super) wall: Duration,
}

/// Does one thread's part of a plan.
///
/// # Errors
/// The thread has no event loop, or the process no descriptors for its timer.
pub(super) fn work(plan: Plan, thread: usize, live: Live, with: &Together) -> io::Result<Told> {
    let mut alarm = None;
    let told = run(Io::Auto, || async {
        alarm = Some(Alarm::new());
        let Some(Ok(alarm)) = &alarm else { return None };
        let request = Rc::new(plan.request.clone());
        let dispatch = Dispatch::new(&plan, thread);
        let shared = Rc::new(Shared {
            plan,
            request,
            dispatch,
            live,
        });
        Some(drive(&shared, thread, alarm, with).await)
    });
    let told = match (told, alarm) {
        (Ok(Some(told)), _) => return Ok(told),
        (Ok(None), Some(Err(error))) | (Err(error), _) => error,
        (Ok(None), _) => io::Error::other("the thread ended before its run"),
    };
    // The others wait for everyone, also for those who cannot come.
    with.opened.wait();
    Err(told)
}

async fn drive(shared: &Rc<Shared>, thread: usize, alarm: &Alarm, with: &Together) -> Told {
    let (plan, dispatch) = (&shared.plan, &shared.dispatch);
    let first = match plan.arrivals {
        Arrivals::Open {
            connections_first: all,
            ..
        }
        | Arrivals::Closed { connections: all } => part(all as u64, thread, plan.threads),
    };
    for _ in 0..first {
        seat(shared, dispatch.sit());
    }
    spawn(sweep(Rc::clone(shared), Arc::clone(&with.stop)));
    while dispatch.opening() > 0 {
        sleep(DONE_CHECK).await;
    }
    with.opened.wait();
    let start = *with.start.get_or_init(Instant::now);
    let cpu_before = thread_cpu();
    dispatch.run_from(start);
    if matches!(plan.arrivals, Arrivals::Open { .. }) {
        pace(shared, alarm).await;
        dispatch.close();
    }
    while !dispatch.is_empty() {
        sleep(DONE_CHECK).await;
    }
    let (cpu, wall) = (thread_cpu().saturating_sub(cpu_before), start.elapsed());
    // The sweep ends with the phase; its task must be gone before the loop is.
    dispatch.close();
    while Rc::strong_count(shared) > 1 {
        sleep(DONE_CHECK).await;
    }
    let (record, unsent) = dispatch.finish();
    Told {
        record,
        unsent,
        cpu,
        wall,
    }
}

fn seat(shared: &Rc<Shared>, seat: Rc<Seat>) {
    spawn(Client::new(Rc::clone(shared), seat).live());
}

/// Hands out arrivals as they fall due, to the last.
async fn pace(shared: &Rc<Shared>, alarm: &Alarm) {
    loop {
        match shared.dispatch.pace() {
            Pace::Connect => {
                if let Some(due) = shared.dispatch.seat_due() {
                    seat(shared, due);
                }
            }
            Pace::Sleep(at) => {
                let at = at.min(Instant::now() + PACE_MAX);
                if alarm.wait_until(at).await.is_err() {
                    // Not expected of a timer; to go on a little late is better than to stop.
                    sleep(DONE_CHECK).await;
                }
            }
            Pace::Over => break,
        }
    }
}

/// Cuts what has taken too long, and everything when the run is broken off.
async fn sweep(shared: Rc<Shared>, stop: Arc<AtomicBool>) {
    let (per_timeout, least, most) = SWEEPS;
    let pause = (shared.plan.timeout / per_timeout).clamp(least, most);
    // Ends with the last connection, or before the first if there is none to come.
    while !(shared.dispatch.is_over() && shared.dispatch.is_empty()) {
        sleep(pause).await;
        if stop.load(Ordering::Relaxed) {
            shared.dispatch.abort();
        }
        shared.dispatch.cut_overdue(Instant::now());
    }
}
