//! Tells of leases whose money runs low, at the levels that were agreed in their quotes: in the log, in
//! the metrics, among the lease's events, and to a program of the operator's (`[hooks]`).
//!
//! What is low follows from the finalised chain alone ([`LeaseView::low_funds`]). What was told is not written down: after a restart each lease that is low is told of again.
//! The program never holds anything up: it runs beside all else, a few at a time, each for a bounded
//! time.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use casemate_client::chain::{LeaseView, LowFunds};
use casemate_primitives::LeaseId;
use tokio::{process::Command, sync::watch, task::JoinSet};

use crate::{
    Clock,
    config::HooksConfig,
    metrics::{Kind, Metrics},
    spool::{NewEvent, Spool},
    world::World,
};

/// What the watcher works with.
pub struct Parts {
    /// What the reconciler saw.
    pub world: watch::Receiver<Arc<World>>,
    /// Events for publishers.
    pub spool: Spool,
    /// The wall clock.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Metrics,
    /// The operator's programs.
    pub hooks: HooksConfig,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("hooks", &self.hooks).finish_non_exhaustive()
    }
}

/// The loop.
#[derive(Debug)]
pub struct FundsWatcher {
    parts: Parts,
    /// At how many levels each lease was told of.
    told: BTreeMap<LeaseId, usize>,
    waiting: VecDeque<Notice>,
    running: JoinSet<()>,
}

/// What the operator's program is told.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Notice {
    lease: LeaseId,
    publisher: [u8; 32],
    low: LowFunds,
}

impl FundsWatcher {
    /// A watcher that has told nothing yet.
    pub fn new(parts: Parts) -> Self {
        let (told, waiting, running) = (BTreeMap::new(), VecDeque::new(), JoinSet::new());
        Self { parts, told, waiting, running }
    }

    /// Watches until `shutdown` turns true. Programs that run then are ended.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                changed = self.parts.world.changed() => if changed.is_err() { return },
                Some(_) = self.running.join_next() => (),
                _ = shutdown.wait_for(|stop| *stop) => return,
            }
            let world = Arc::clone(&self.parts.world.borrow_and_update());
            if world.is_ready {
                self.look(&world).await;
            }
            self.start_programs();
        }
    }

    async fn look(&mut self, world: &World) {
        let leases = &world.snapshot.leases;
        self.told.retain(|lease, _| leases.contains_key(lease));
        self.waiting.retain(|notice| leases.contains_key(&notice.lease));
        let mut low_leases = 0;
        let mut events = Vec::new();
        for lease in leases.values() {
            let low = lease.low_funds();
            low_leases += i64::from(low.is_some());
            let level = low.map_or(0, |low| low.level);
            // As on chain: what a publisher chose to begin with is no news to it.
            let first = if lease.earned() == 0 { level } else { 0 };
            let before = self.told.insert(lease.id, level).unwrap_or(first);
            let Some(low) = low.filter(|_| level > before) else { continue };
            tracing::warn!(
                lease = %lease.id, level, seconds_left = low.seconds_left,
                "a lease's money runs low"
            );
            events.push(NewEvent {
                lease: lease.id,
                time: (self.parts.clock)(),
                kind: "low-funds",
                pod: None,
                message: message(lease, low),
            });
            // Only the newest of a lease is worth telling.
            self.waiting.retain(|notice| notice.lease != lease.id);
            let notice = Notice { lease: lease.id, publisher: lease.publisher, low };
            self.waiting.push_back(notice);
        }
        self.parts.metrics.low_funds.set(low_leases);
        if !events.is_empty()
            && let Err(err) = self.parts.spool.add_events(events).await
        {
            tracing::error!(%err, "cannot keep an event");
        }
    }

    fn start_programs(&mut self) {
        let Some((program, args)) = self.parts.hooks.low_funds.split_first() else {
            self.waiting.clear();
            return;
        };
        while self.running.len() < PROGRAMS_MAX {
            let Some(notice) = self.waiting.pop_front() else { return };
            let command = command(program, args, &notice);
            let (limit, metrics) = (self.parts.hooks.timeout.get(), self.parts.metrics.clone());
            self.running.spawn(async move {
                let outcome = run_program(command, limit).await;
                let kind = match &outcome {
                    Ok(()) => "low-funds-ok",
                    Err(err) => {
                        tracing::warn!(lease = %notice.lease, err, "the low-funds program failed");
                        "low-funds-failed"
                    }
                };
                metrics.hooks.get_or_create(&Kind { kind }).inc();
            });
        }
    }
}

fn message(lease: &LeaseView, low: LowFunds) -> String {
    let LowFunds { below_seconds, seconds_left, .. } = low;
    match seconds_left {
        0 => format!(
            "the money is used up; the pods stay for {} s, then the lease is closed",
            lease.terms.grace_seconds
        ),
        left => format!(
            "the money lasts for {left} s at the full price, less than the {below_seconds} s of a \
             warning that was agreed"
        ),
    }
}

/// The program without a shell, and without this daemon's environment, which may hold its seed.
fn command(program: &str, args: &[String], notice: &Notice) -> Command {
    let Notice { lease, publisher, low } = notice;
    let publisher: String = publisher.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    command
        .args(args)
        .env_clear()
        .env("PATH", path)
        .env("CASEMATE_LEASE", lease.to_string())
        .env("CASEMATE_PUBLISHER", format!("0x{publisher}"))
        .env("CASEMATE_LEVEL", low.level.to_string())
        .env("CASEMATE_BELOW_SECONDS", low.below_seconds.to_string())
        .env("CASEMATE_SECONDS_LEFT", low.seconds_left.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn run_program(mut command: Command, limit: Duration) -> Result<(), String> {
    let mut child = command.spawn().map_err(|err| format!("it does not start: {err}"))?;
    match tokio::time::timeout(limit, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("it ended with {status}")),
        Ok(Err(err)) => Err(format!("its end can't be seen: {err}")),
        Err(_) => {
            // Dropping it would end it, too, but leave its remains for later.
            let _ = child.kill().await;
            Err(format!("it took longer than {} s and was ended", limit.as_secs()))
        }
    }
}

/// Programs at a time.
const PROGRAMS_MAX: usize = 4;

#[cfg(test)]
mod tests;
