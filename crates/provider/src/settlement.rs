//! Brings keys, usage records and endings on chain.
//!
//! What is due follows from the finalised chain, the pods and the spool alone ([`next_step`] is
//! pure), so a restart forgets nothing and repeats nothing that took effect. For each replica:
//!
//! 1. The chain has one key at a time. While a pod with that key is there, its newest record is
//!    claimed once it covers a claim interval.
//! 2. When that pod is gone (replaced by an update, or its agent was started again with a new key),
//!    its last record is claimed first, at once. Only then is the key of the pod that serves now
//!    activated: a claim under a key that was replaced would be refused.
//! 3. While two pods overlap during an update, the publisher pays for one: the chain pays nothing
//!    before `claimed_to` again, so the new agent's first claim counts from there.
//! 4. When the lease closes, pods are stopped, the last record that ends before the closing is
//!    claimed, and the lease is settled.

mod step;

pub use step::{ReplicaView, Step, next_step};

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use casemate_client::chain::{LeaseState, LeaseView};
use casemate_primitives::{LeaseId, ReplicaIndex, UnixSeconds};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};

use crate::{
    Chain, ChainError, Clock,
    metrics::{Kind, Metrics},
    spool::{NewEvent, RecordKey, Spool, SpoolError},
    world::World,
};

/// What the settler works with.
pub struct Parts<C> {
    /// Where calls go.
    pub chain: Arc<C>,
    /// What the reconciler saw.
    pub world: watch::Receiver<Arc<World>>,
    /// Records.
    pub spool: Spool,
    /// The wall clock.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Metrics,
    /// Wakes the reconciler.
    pub wake: Arc<Notify>,
    /// How much time a claim covers.
    pub claim_interval: Duration,
}

impl<C> std::fmt::Debug for Parts<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// What a call is about: a replica, or (`None`) the lease as a whole.
type Subject = (LeaseId, Option<ReplicaIndex>);

#[derive(Debug, Default)]
struct Progress {
    failures: u32,
    not_before: Option<Instant>,
    /// What took effect but may not be in the snapshot yet.
    done: Option<(Step, u32)>,
    /// The key whose records the chain refuses for good.
    given_up: Option<RecordKey>,
}

/// The loop.
#[derive(Debug)]
pub struct Settler<C> {
    parts: Parts<C>,
    progress: HashMap<Subject, Progress>,
    busy: HashSet<Subject>,
    jobs: JoinSet<Outcome>,
    /// Since when each lease has no money left, on the chain's clock.
    broke_since: BTreeMap<LeaseId, UnixSeconds>,
}

#[derive(Debug)]
struct Outcome {
    step: Step,
    block: u32,
    result: Result<Claimed, StepError>,
}

#[derive(Debug)]
enum Claimed {
    Call,
    Record { sequence: u64, to: UnixSeconds },
    NothingLeft,
}

#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("no answer within {} s", CALL_LIMIT.as_secs())]
    TimedOut,
}

impl<C: Chain> Settler<C> {
    /// A settler that has done nothing yet.
    pub fn new(parts: Parts<C>) -> Self {
        Self {
            parts,
            progress: HashMap::new(),
            busy: HashSet::new(),
            jobs: JoinSet::new(),
            broke_since: BTreeMap::new(),
        }
    }

    /// Settles until `shutdown` turns true. Calls under way are left to the chain.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        loop {
            let done = tokio::select! {
                changed = self.parts.world.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    None
                }
                Some(done) = self.jobs.join_next() => Some(done),
                () = tokio::time::sleep(TICK) => None,
                _ = shutdown.wait_for(|stop| *stop) => return,
            };
            match done {
                Some(Ok(outcome)) => self.finished(outcome).await,
                Some(Err(err)) => {
                    tracing::error!(%err, "a call on chain broke off");
                    self.busy.clear();
                }
                None => (),
            }
            let world = Arc::clone(&self.parts.world.borrow_and_update());
            if world.is_ready {
                self.look(&world);
            }
        }
    }

    fn look(&mut self, world: &World) {
        let leases = &world.snapshot.leases;
        self.progress.retain(|(lease, _), _| leases.contains_key(lease));
        self.broke_since.retain(|lease, _| leases.contains_key(lease));
        for lease in leases.values() {
            let mut is_done = true;
            for replica in 0..lease.replicas {
                let view = self.replica_view(world, lease, replica);
                let step = next_step(lease, &view, self.parts.claim_interval.as_secs());
                is_done &= step.is_none() && view.pods.is_empty();
                if let Some(step) = step {
                    self.start(step, world.snapshot.block_number);
                }
            }
            let step = match lease.state {
                LeaseState::Closing { .. } if is_done => Some(Step::Settle(lease.id)),
                LeaseState::Closing { .. } => None,
                _ => self.overdue(lease, world.snapshot.time),
            };
            if let Some(step) = step {
                self.start(step, world.snapshot.block_number);
            }
        }
    }

    fn replica_view(&self, world: &World, lease: &LeaseView, replica: ReplicaIndex) -> ReplicaView {
        let pods = world
            .pods_of(lease.id)
            .iter()
            .filter(|pod| pod.id.replica == replica)
            .map(|pod| (pod.id.version, pod.agent_key))
            .collect();
        let agent = lease.agents.iter().find(|agent| agent.replica == replica);
        let progress = self.progress.get(&(lease.id, Some(replica)));
        let newest = agent.and_then(|agent| {
            let key = (lease.id, replica, agent.key);
            if progress.is_some_and(|progress| progress.given_up == Some(key)) {
                return None;
            }
            world.newest.get(&key).copied()
        });
        ReplicaView { replica, agent: agent.cloned(), pods, newest }
    }

    /// A lease without money is closed when its grace is over.
    fn overdue(&mut self, lease: &LeaseView, now: UnixSeconds) -> Option<Step> {
        if lease.escrow > 0 {
            self.broke_since.remove(&lease.id);
            return None;
        }
        let since = *self.broke_since.entry(lease.id).or_insert(now);
        let is_over = now.saturating_sub(since) >= u64::from(lease.terms.grace_seconds);
        is_over.then_some(Step::Close(lease.id))
    }

    fn start(&mut self, step: Step, block: u32) {
        let subject = step.subject();
        let progress = self.progress.entry(subject).or_default();
        let is_done =
            progress.done.as_ref().is_some_and(|(done, at)| *done == step && block <= *at);
        let is_paused = progress.not_before.is_some_and(|at| Instant::now() < at);
        if is_done || is_paused || self.jobs.len() >= CALLS_MAX || !self.busy.insert(subject) {
            return;
        }
        let (chain, spool) = (Arc::clone(&self.parts.chain), self.parts.spool.clone());
        self.jobs.spawn(async move {
            let carried = tokio::time::timeout(CALL_LIMIT, carry_out(&*chain, &spool, &step)).await;
            Outcome { step, block, result: carried.unwrap_or(Err(StepError::TimedOut)) }
        });
    }

    async fn finished(&mut self, outcome: Outcome) {
        let Outcome { step, block, result } = outcome;
        let subject = step.subject();
        self.busy.remove(&subject);
        let progress = self.progress.entry(subject).or_default();
        let (kind, message) = match result {
            Ok(claimed) => {
                progress.failures = 0;
                progress.not_before = None;
                // The snapshot that shows it comes with one of the next blocks. Should it not, the
                // step is tried again, and refused if it did take effect.
                progress.done = Some((step.clone(), block.saturating_add(BLOCKS_UNTIL_SHOWN)));
                self.parts.metrics.chain_calls.get_or_create(&Kind { kind: step.ok_kind() }).inc();
                self.parts.wake.notify_one();
                match claimed {
                    Claimed::NothingLeft => {
                        // Only records after the closing are left.
                        progress.given_up = step.record_key();
                        return;
                    }
                    Claimed::Record { sequence, to } => {
                        ("claimed", format!("record {sequence} (up to {to}) was claimed"))
                    }
                    Claimed::Call => step.told(),
                }
            }
            Err(err) => {
                let kind = step.failed_kind();
                self.parts.metrics.chain_calls.get_or_create(&Kind { kind }).inc();
                progress.failures = progress.failures.saturating_add(1);
                let pause = PAUSE_MIN * 2u32.pow(progress.failures.min(8) - 1);
                progress.not_before = Some(Instant::now() + pause.min(PAUSE_MAX));
                let is_refusal = matches!(&err, StepError::Chain(err) if err.is_refusal());
                tracing::warn!(?step, %err, "a call on chain failed");
                if !is_refusal {
                    // The chain's trouble is not the publisher's news.
                    return;
                }
                // A record that the runtime refuses again and again must not keep a replica from
                // its next key, nor a lease from being settled.
                if step.is_last() && progress.failures >= REFUSALS_MAX {
                    progress.given_up = step.record_key();
                    progress.failures = 0;
                    progress.not_before = None;
                }
                ("refused", format!("{}: {err}", step.told().1))
            }
        };
        let (lease, replica) = subject;
        let message = match replica {
            Some(replica) => format!("replica {replica}: {message}"),
            None => message,
        };
        let event = NewEvent { lease, time: (self.parts.clock)(), kind, pod: None, message };
        tracing::info!(%lease, kind, "{}", event.message);
        if let Err(err) = self.parts.spool.add_events(vec![event]).await {
            tracing::error!(%err, "cannot keep an event");
        }
    }
}

async fn carry_out<C: Chain>(chain: &C, spool: &Spool, step: &Step) -> Result<Claimed, StepError> {
    match step {
        Step::Activate { lease, replica, key } => chain.activate(*lease, *replica, *key).await?,
        Step::Settle(lease) => chain.settle(*lease).await?,
        Step::Close(lease) => chain.close(*lease).await?,
        Step::Claim { key, after, until, .. } => {
            let Some(signed) = spool.claimable(*key, *after, *until).await? else {
                return Ok(Claimed::NothingLeft);
            };
            let (sequence, to) = (signed.record.sequence, signed.record.to);
            chain.claim(signed).await?;
            spool.claimed(*key, sequence).await?;
            return Ok(Claimed::Record { sequence, to });
        }
    }
    Ok(Claimed::Call)
}

const TICK: Duration = Duration::from_secs(5);
/// Calls at a time: a block's worth, so that the transaction pool is never flooded.
const CALLS_MAX: usize = 64;
/// Finality takes seconds; after this the call is taken for lost and looked up in the snapshot.
const CALL_LIMIT: Duration = Duration::from_secs(120);
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(300);
const BLOCKS_UNTIL_SHOWN: u32 = 3;
/// With the pauses before them this is about half a minute.
const REFUSALS_MAX: u32 = 5;

#[cfg(test)]
mod tests;
