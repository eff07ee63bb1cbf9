//! The engine as the operator's door sees it: live counters, readiness, reload.
//!
//! The two rooms do not know each other; this is where one's words become the
//! other's. Reading is a walk over counters that workers write for themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tollring_admin::{
    BucketStats, Gateway, Io, LatencySnapshot, MemoryStats, PoolStats, Readiness, ReloadFault,
    Reloaded, Stats, TokenStats, UpstreamStats, WorkerStats,
};
use tollring_config::NanoUsd;
use tollring_engine::counters::{Counter, Counters, Histogram, HistogramReading};
use tollring_engine::journal::Posting;
use tollring_engine::tls::{TlsFault, server_config};
use tollring_engine::{Engine, IoKind, MemoryReading, UnixMillis};

use crate::check;
use crate::recorder::{Listening, Recorder};
use crate::systemd;

/// Buckets that one reading shows. Arbitrary: what a person can scroll through.
const BUCKETS_SHOWN_MAX: usize = 1000;

/// A running engine, and the file it was started from.
pub(crate) struct RunningGateway {
    pub(crate) engine: Engine,
    /// None for the demo.
    file: Option<PathBuf>,
    started: Instant,
    draining: AtomicBool,
    /// Where it is written down what was spent, if anywhere.
    recorder: Option<Arc<Recorder>>,
    /// What the operator's port shows, where it speaks TLS.
    admin_tls: Option<Arc<ArcSwap<ServerConfig>>>,
}

impl RunningGateway {
    /// A gateway that runs from now on.
    pub(crate) fn new(
        engine: Engine,
        file: Option<PathBuf>,
        recorder: Option<Arc<Recorder>>,
        admin_tls: Option<Arc<ArcSwap<ServerConfig>>>,
    ) -> Arc<Self> {
        let draining = AtomicBool::new(false);
        Arc::new(Self {
            engine,
            file,
            started: Instant::now(),
            draining,
            recorder,
            admin_tls,
        })
    }

    /// Says from now on that new requests should go elsewhere.
    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn sum(&self, counter: impl Fn(&Counters) -> &Counter) -> u64 {
        self.engine
            .counters()
            .iter()
            .map(|worker| counter(worker).read())
            .sum()
    }

    fn latency(&self, histogram: impl Fn(&Counters) -> &Histogram) -> LatencySnapshot {
        let mut reading = HistogramReading::default();
        for worker in self.engine.counters() {
            histogram(worker).merge_into(&mut reading);
        }
        let buckets: Vec<(u64, u64)> = reading.steps().collect();
        let count = buckets.iter().map(|&(_, count)| count).sum();
        LatencySnapshot {
            buckets,
            sum_us: reading.sum_us,
            count,
            max_us: reading.max_us,
        }
    }

    fn workers(&self) -> Vec<WorkerStats> {
        let workers = self
            .engine
            .counters()
            .iter()
            .zip(self.engine.cores())
            .enumerate();
        let stats = workers.map(|(id, (counters, &core))| WorkerStats {
            id,
            core,
            connections: counters.connections.read(),
            connections_total: counters.connections_total.read(),
            turned_away_total: counters.turned_away_total.read(),
            handshakes_total: counters.handshakes_total.read(),
            handshakes_failed_total: counters.handshakes_failed_total.read(),
            handshakes_refused_total: counters.handshakes_refused_total.read(),
            tunnels: counters.tunnels.read(),
            requests_total: counters.requests_total.read(),
            in_flight: counters.in_flight.read(),
            buffers_borrowed: counters.buffers_borrowed.read(),
            panics_total: counters.panics_total.read(),
        });
        stats.collect()
    }

    fn buckets(&self) -> Vec<BucketStats> {
        let now = unix_now();
        let live = self.engine.live();
        let buckets = live.buckets.iter().take(BUCKETS_SHOWN_MAX).map(|bucket| {
            let (spec, reading) = (bucket.spec(), bucket.reading(now));
            BucketStats {
                scope: spec.scope,
                scope_id: (&*spec.scope_id).into(),
                name: (&*spec.name).into(),
                unit: spec.unit,
                window: spec.window,
                limit: reading.limit,
                used: reading.posted,
                held: reading.held,
                remaining: reading.free.max(0),
                resets_at: reading.resets_at,
            }
        });
        buckets.collect()
    }

    fn pools(&self) -> Vec<PoolStats> {
        let origins = self.engine.origins();
        let pools = origins.iter().map(|origin| PoolStats {
            origin: origin.name.clone(),
            idle: origin.pools.iter().map(|pool| pool.idle.read()).sum(),
            open: origin.pools.iter().map(|pool| pool.open.read()).sum(),
            opened_total: origin
                .pools
                .iter()
                .map(|pool| pool.opened_total.read())
                .sum(),
            reused_total: origin
                .pools
                .iter()
                .map(|pool| pool.reused_total.read())
                .sum(),
        });
        pools.collect()
    }

    fn upstreams(&self) -> Vec<UpstreamStats> {
        let lanes = self.engine.lanes().into_iter();
        let upstreams = lanes.map(|lane| UpstreamStats {
            owner: lane.owner,
            origin: lane.origin,
            state: lane.state,
            in_flight: lane.in_flight,
            queued: lane.queued,
            attempts_total: lane.attempts_total,
            failures_total: lane.failures_total,
            retries_total: lane.retries_total,
            retries_refused_total: lane.retries_refused_total,
        });
        upstreams.collect()
    }
}

impl Gateway for RunningGateway {
    fn stats(&self) -> Stats {
        let io = self.engine.io();
        let (mut statuses, mut refusals, mut failures) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for worker in self.engine.counters() {
            worker
                .statuses()
                .for_each(|(status, n)| *statuses.entry(status).or_default() += n);
            worker
                .refusals()
                .for_each(|(code, n)| *refusals.entry(code).or_default() += n);
            worker.failures().for_each(|(stage, cause, n)| {
                let name = format!("{}/{}", stage.word(), cause.word());
                *failures.entry(name).or_default() += n;
            });
        }
        let cost = self.sum(|worker| &worker.cost_nano_usd);
        Stats {
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: self.started.elapsed().as_secs(),
            io: match io.kind {
                IoKind::IoUring => Io::IoUring,
                IoKind::Epoll => Io::Epoll,
            },
            io_flags: io.flags.to_vec(),
            snapshot_version: self.engine.live().config.version,
            workers: self.workers(),
            requests_total: self.sum(|worker| &worker.requests_total),
            in_flight: self.sum(|worker| &worker.in_flight),
            connections: self.sum(|worker| &worker.connections),
            memory: memory(self.engine.memory()),
            latency: self.latency(|worker| &worker.latency),
            overhead: self.latency(|worker| &worker.overhead),
            statuses,
            refusals,
            failures,
            tokens: TokenStats {
                input: self.sum(|worker| &worker.tokens_input),
                output: self.sum(|worker| &worker.tokens_output),
            },
            cost: NanoUsd(i64::try_from(cost).unwrap_or(i64::MAX)),
            buckets: self.buckets(),
            pools: self.pools(),
            upstreams: self.upstreams(),
            holds_dropped_total: self.engine.ledger().drops(),
        }
    }

    fn readiness(&self) -> Readiness {
        if self.draining.load(Ordering::Relaxed) {
            Readiness::Draining
        } else {
            Readiness::Ready
        }
    }

    fn reload(&self) -> Result<Reloaded, ReloadFault> {
        systemd::reloading();
        let outcome = self.read_again();
        match &outcome {
            Ok(reloaded) => systemd::ready(&format!("configuration {} in force", reloaded.version)),
            Err(_) => systemd::ready("the file is faulty; the configuration before it is in force"),
        }
        outcome
    }
}

impl RunningGateway {
    fn read_again(&self) -> Result<Reloaded, ReloadFault> {
        let file = self.file.as_ref().ok_or(ReloadFault::NoFile)?;
        let mut snapshot = check::load(file).map_err(ReloadFault::Faulty)?;
        let unfit = |fault: TlsFault| ReloadFault::Keys(fault.to_string());
        // Read before anything is put in force: all of it changes, or nothing.
        let files = snapshot
            .admin
            .tls
            .as_ref()
            .filter(|_| self.admin_tls.is_some());
        let admin_tls = files.map(server_config).transpose().map_err(unfit)?;
        let prepared = self.recorder.as_ref().map(|at| at.prepare(&mut snapshot));
        let opening = prepared.transpose();
        let opening = opening.map_err(|fault| ReloadFault::Unwritten(fault.to_string()))?;
        let published = self.engine.publish(snapshot, &opening.unwrap_or_default());
        let (version, changes) = published.map_err(unfit)?;
        if let (Some(shown), Some(renewed)) = (&self.admin_tls, admin_tls) {
            shown.store(renewed);
        }
        tracing::info!(
            version,
            changes = changes.join("; "),
            "configuration in force"
        );
        Ok(Reloaded { version, changes })
    }
}

/// The gateway as its recorder sees it: gone, when it is.
pub(crate) struct GatewayLedger(pub(crate) Weak<RunningGateway>);

impl Listening for GatewayLedger {
    fn synced(&self) {
        if let Some(gateway) = self.0.upgrade() {
            gateway.engine.synced();
        }
    }

    fn spent_elsewhere(&self, postings: &[Posting]) {
        if let Some(gateway) = self.0.upgrade() {
            gateway.engine.charge_elsewhere(postings);
        }
    }
}

fn memory(reading: MemoryReading) -> MemoryStats {
    MemoryStats {
        used_bytes: reading.used_bytes,
        bound_bytes: reading.bound_bytes,
        pressure: reading.pressure.word(),
    }
}

fn unix_now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
