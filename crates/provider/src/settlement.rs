//! Brings keys, usage records and endings on chain.
//!
//! What is due follows from the finalised chain, the pods and the spool alone ([`next_steps`] is
//! pure), so a restart forgets nothing and repeats nothing that took effect. For each replica:
//!
//! 1. The chain has one key at a time. While a pod with that key is there, its newest record is
//!    claimed once it covers a claim interval.
//! 2. When that pod is gone (replaced by an update, or its agent was started again with a new key),
//!    its last record is claimed first, at once. Only then is the pod that serves now attested: a
//!    claim under a key that was replaced would be refused.
//! 3. While two pods overlap during an update, the publisher pays for one: the chain pays nothing
//!    before `claimed_to` again, so the new agent's first claim counts from there.
//! 4. A key counts as long as its evidence: when half of that time is over, newer evidence is
//!    brought, over a newer block.
//! 5. The last record of an app that ended by itself is claimed at once. When all replicas of a lease
//!    have ended so, the lease is closed. So is one of which nothing could be started, before the
//!    agreed silence is over: no manifest may cost the provider its stake.
//! 6. Of a task's lease nothing is claimed: its runs are begun, attested and ended, see [`runs`].
//!    One of which no run can begin for its time of grace (no money for one, or terms below the
//!    manifest's) is given up, with notice where that was agreed. Runs that are open when their lease
//!    is settled are recorded as lost, see [`gone`].
//! 7. When the provider has given notice (`casemate provider notice`), the lease is closed once that
//!    is over.
//! 8. When the lease closes, pods are stopped, the last record that ends before the closing is
//!    claimed, and the lease is settled.

mod gone;
mod runs;
mod step;

pub use step::{CloseReason, PodView, ReplicaView, Step, next_steps};

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use casemate_client::chain::{AgentView, EndedLease, LeaseState, LeaseView};
use casemate_primitives::{Balance, Hash256, LeaseId, ReplicaIndex, UnixSeconds};
use casemate_provider_core::{Attestation, PodPhase, PodStatus};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};

use crate::{
    Chain, ChainError, Clock, RunCall,
    attestation::{Attestor, Endorsed, Evidence, EvidenceError, Wanted},
    chain_of,
    facts::FactsCache,
    metrics::{Kind, Metrics},
    spool::{NewEvent, RecordKey, Spool, SpoolError},
    world::World,
};

/// What the settler works with.
pub struct Parts<C> {
    /// Where calls go.
    pub chain: Arc<C>,
    /// Where evidence comes from.
    pub attestor: Arc<dyn Attestor>,
    /// What the reconciler saw.
    pub world: watch::Receiver<Arc<World>>,
    /// Records.
    pub spool: Spool,
    /// What manifests say of runs.
    pub facts: FactsCache,
    /// Least budget of a run, in percent of what one costs that takes its whole deadline.
    pub run_budget_percent_min: u8,
    /// The wall clock.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Metrics,
    /// Wakes the reconciler.
    pub wake: Arc<Notify>,
    /// How much time a claim covers.
    pub claim_interval: Duration,
    /// How often final claims are paid out.
    pub payout_interval: Duration,
}

impl<C> std::fmt::Debug for Parts<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// What a call is about: a replica, or (`None`) the lease as a whole.
type Subject = (LeaseId, Option<ReplicaIndex>);

/// A subject, and whether it is its evidence: evidence that is refused must not hold up claims.
type Track = (Subject, bool);

#[derive(Debug, Default)]
struct Progress {
    failures: u32,
    /// How many of them the runtime itself has refused.
    refusals: u32,
    /// Whether missed times were refused: they are worth no second fee before the next run begins.
    no_missed: bool,
    not_before: Option<Instant>,
    /// What took effect but may not be in the snapshot yet.
    done: Option<(Step, u32)>,
    /// The key whose records the chain refuses for good.
    given_up: Option<RecordKey>,
    /// What the publisher was told of the last failure.
    told: Option<String>,
}

impl Progress {
    /// After a call that took effect.
    fn succeeded(&mut self, step: &Step) {
        (self.failures, self.refusals) = (0, 0);
        self.not_before = None;
        self.told = None;
        self.no_missed &= !matches!(step, Step::Begin { .. });
    }

    /// After one that did not: the next try waits longer each time.
    fn failed(&mut self, step: &Step, is_refusal: bool) {
        self.failures = self.failures.saturating_add(1);
        let pause = PAUSE_MIN * 2u32.pow(self.failures.min(8) - 1);
        self.not_before = Some(Instant::now() + pause.min(PAUSE_MAX));
        if !is_refusal {
            return;
        }
        self.refusals = self.refusals.saturating_add(1);
        self.no_missed |= matches!(step, Step::Missed { .. });
        // A record that the runtime refuses again and again must not keep a replica from its next key,
        // nor a lease from being settled. An outage of the chain is no refusal.
        if step.is_last() && self.refusals >= REFUSALS_MAX {
            self.given_up = step.record_key();
            (self.failures, self.refusals) = (0, 0);
            self.not_before = None;
        }
    }
}

/// The loop.
#[derive(Debug)]
pub struct Settler<C> {
    parts: Parts<C>,
    endorsed: Arc<Endorsed>,
    progress: HashMap<Track, Progress>,
    busy: HashSet<Subject>,
    jobs: JoinSet<Outcome>,
    /// Since when each lease has no money left, or none that a run can begin for, on the chain's clock.
    broke_since: BTreeMap<LeaseId, UnixSeconds>,
    timetables: runs::Timetables,
    /// Why no run of each task begins, as its publisher was told.
    held: HashMap<LeaseId, String>,
    /// What publishers are told next.
    news: Vec<NewEvent>,
    gone: gone::Gone,
    /// When each lease was last paid out, or first seen.
    paid_out_at: BTreeMap<LeaseId, Instant>,
    /// Settled leases, as they were last read.
    ended: Vec<EndedLease>,
    /// When they are read again.
    ended_read_at: Option<Instant>,
    /// The reading.
    ended_reading: JoinSet<Result<Vec<EndedLease>, ChainError>>,
}

#[derive(Debug)]
struct Outcome {
    step: Step,
    /// The one that the step followed from.
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
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl<C: Chain> Settler<C> {
    /// A settler that has done nothing yet.
    pub fn new(parts: Parts<C>) -> Self {
        Self {
            parts,
            endorsed: Arc::default(),
            progress: HashMap::new(),
            busy: HashSet::new(),
            jobs: JoinSet::new(),
            broke_since: BTreeMap::new(),
            timetables: runs::Timetables::default(),
            held: HashMap::new(),
            news: Vec::new(),
            gone: gone::Gone::default(),
            paid_out_at: BTreeMap::new(),
            ended: Vec::new(),
            ended_read_at: None,
            ended_reading: JoinSet::new(),
        }
    }

    /// What is known to be on chain, for others that bring collateral.
    pub(crate) fn endorsed(&self) -> Arc<Endorsed> {
        Arc::clone(&self.endorsed)
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
                Some(read) = self.ended_reading.join_next() => {
                    match read {
                        Ok(Ok(ended)) => self.ended = ended,
                        Ok(Err(err)) => tracing::debug!(%err, "settled leases can't be read"),
                        Err(err) => tracing::error!(%err, "reading settled leases broke off"),
                    }
                    None
                }
                Some(read) = self.gone.reading.join_next() => {
                    self.gone.read(read);
                    None
                }
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
                self.read_ended(&world);
                self.read_gone(&world);
                self.look(&world);
                self.tell().await;
            }
        }
    }

    fn look(&mut self, world: &World) {
        let leases = &world.snapshot.leases;
        self.measure_standings(world);
        let ended: HashSet<LeaseId> = self.ended.iter().map(|lease| lease.id).collect();
        let is_lost = |lease: &LeaseId| self.gone.lost.iter().any(|(lost, _)| lost == lease);
        let is_known =
            |lease: &LeaseId| leases.contains_key(lease) || ended.contains(lease) || is_lost(lease);
        self.progress.retain(|((lease, _), _), _| is_known(lease));
        self.paid_out_at.retain(|lease, _| is_known(lease));
        self.broke_since.retain(|lease, _| leases.contains_key(lease));
        self.held.retain(|lease, _| leases.contains_key(lease));
        self.timetables.retain(|lease| leases.contains_key(lease));
        for lease in leases.values() {
            let mut is_done = true;
            for replica in 0..lease.replicas {
                let view = self.replica_view(world, lease, replica);
                let claim_seconds = self.parts.claim_interval.as_secs();
                let now = world.snapshot.time;
                let steps = match &lease.task {
                    Some(task) => runs::slot_steps(lease, task, &view, now),
                    None if lease.is_task => Vec::new(),
                    None => next_steps(lease, &view, claim_seconds, now),
                };
                is_done &= steps.is_empty() && view.pods.is_empty();
                for step in steps {
                    if self.start(step, world) {
                        break;
                    }
                }
            }
            let step = match lease.state {
                LeaseState::Closing { .. } if is_done => Some(Step::Settle(lease.id)),
                LeaseState::Closing { .. } => None,
                _ if !lease.is_task && lease.has_ended() => {
                    Some(Step::Close(lease.id, CloseReason::AppEnded))
                }
                _ if is_hopeless(lease, world.snapshot.time) => {
                    Some(Step::Close(lease.id, CloseReason::NeverStarted))
                }
                _ => {
                    let reclaim = reclaim(lease, world.snapshot.time);
                    reclaim.or_else(|| self.overdue(lease, world.snapshot.time))
                }
            };
            let step = step.or_else(|| self.next_run(world, lease));
            let due = lease.due_at(world.snapshot.time);
            if let Some(step) = step.or_else(|| self.payout(lease.id, due)) {
                self.start(step, world);
            }
        }
        for (lease, replica) in self.gone.lost.clone() {
            self.start(Step::Lost { lease, replica }, world);
        }
        for lease in self.ended.clone() {
            let step = if lease.is_done {
                Some(Step::Forget(lease.id))
            } else {
                self.payout(lease.id, lease.due)
            };
            if let Some(step) = step {
                self.start(step, world);
            }
        }
    }

    /// Settled leases change slowly, and not by what the snapshot shows. They are read beside all else.
    fn read_ended(&mut self, world: &World) {
        let now = Instant::now();
        if !self.ended_reading.is_empty() || self.ended_read_at.is_some_and(|at| now < at) {
            return;
        }
        self.ended_read_at = Some(now + self.parts.payout_interval.max(ENDED_INTERVAL_MIN));
        let chain = Arc::clone(&self.parts.chain);
        let live = world.snapshot.leases.keys().copied().collect();
        self.ended_reading.spawn(async move { chain.ended_leases(live).await });
    }

    /// Each payout costs a fee, so it waits for the interval.
    fn payout(&mut self, lease: LeaseId, due: Balance) -> Option<Step> {
        if due == 0 {
            return None;
        }
        let now = Instant::now();
        let last = *self.paid_out_at.entry(lease).or_insert(now);
        let is_time = now.saturating_duration_since(last) >= self.parts.payout_interval;
        is_time.then_some(Step::Payout(lease))
    }

    fn measure_standings(&self, world: &World) {
        let leases = world.snapshot.leases.values();
        let ends: Vec<UnixSeconds> = leases
            .flat_map(|lease| &lease.agents)
            .filter_map(AgentView::attested_until)
            .filter(|end| *end > world.snapshot.time)
            .collect();
        let left = ends.iter().min().map_or(0, |end| end - world.snapshot.time);
        let metrics = &self.parts.metrics;
        metrics.standings.set(i64::try_from(ends.len()).unwrap_or(i64::MAX));
        metrics.standing_seconds_left.set(i64::try_from(left).unwrap_or(i64::MAX));
    }

    fn replica_view(&self, world: &World, lease: &LeaseView, replica: ReplicaIndex) -> ReplicaView {
        let pods = world
            .pods_of(lease.id)
            .iter()
            .filter(|pod| pod.id.replica == replica)
            .map(|pod| PodView {
                version: pod.id.version,
                manifest_hash: world.manifests.get(&pod.id).copied(),
                key: pod.agent_key,
                evidence: evidence_of(pod),
                has_ended: matches!(pod.phase, PodPhase::Ended(_)),
            })
            .collect();
        let agent = lease.agents.iter().find(|agent| agent.replica == replica);
        let progress = self.progress.get(&((lease.id, Some(replica)), false));
        let newest = agent.and_then(|agent| {
            let key = (lease.id, replica, agent.key);
            if progress.is_some_and(|progress| progress.given_up == Some(key)) {
                return None;
            }
            world.newest.get(&key).copied()
        });
        let ended_run = agent.and_then(|agent| {
            let key = (lease.id, replica, agent.key);
            let is_given_up = progress.is_some_and(|p| p.given_up == Some(key));
            world.ended_runs.get(&key).filter(|_| !is_given_up).copied()
        });
        ReplicaView { replica, agent: agent.cloned(), pods, newest, ended_run }
    }

    /// A lease without money is closed when its grace is over; so is one of a task of which no run can
    /// begin: it is paid for runs alone.
    fn overdue(&mut self, lease: &LeaseView, now: UnixSeconds) -> Option<Step> {
        let is_idle = lease.is_task && runs::is_idle(lease, self.agreed(lease));
        if lease.escrow > 0 && !is_idle {
            self.broke_since.remove(&lease.id);
            return None;
        }
        let since = *self.broke_since.entry(lease.id).or_insert(now);
        if now.saturating_sub(since) < u64::from(lease.terms.grace_seconds) {
            return None;
        }
        // The chain lets a provider close what has money if nothing ever ran, or after its notice.
        let is_free = lease.state == LeaseState::Pending || lease.terms.reclaim_seconds == 0;
        match (lease.escrow, lease.reclaim_at) {
            (0, _) => Some(Step::Close(lease.id, CloseReason::OutOfFunds)),
            _ if is_free => Some(Step::Close(lease.id, CloseReason::Idle)),
            (_, None) => Some(Step::Notice(lease.id)),
            (_, Some(_)) => None,
        }
    }

    async fn tell(&mut self) {
        if self.news.is_empty() {
            return;
        }
        if let Err(err) = self.parts.spool.add_events(std::mem::take(&mut self.news)).await {
            tracing::error!(%err, "cannot keep an event");
        }
    }

    /// Starts a call, if the step is not done, not paused, and nothing else is under way for its
    /// subject. Returns whether something is under way for it now.
    fn start(&mut self, step: Step, world: &World) -> bool {
        let subject = step.subject();
        let block = world.snapshot.block_number;
        let progress = self.progress.entry((subject, step.is_attest())).or_default();
        let is_done =
            progress.done.as_ref().is_some_and(|(done, at)| *done == step && block <= *at);
        let is_paused = progress.not_before.is_some_and(|at| Instant::now() < at);
        if self.busy.contains(&subject) {
            return true;
        }
        let is_useless = progress.no_missed && matches!(step, Step::Missed { .. });
        if is_done || is_paused || is_useless || self.jobs.len() >= CALLS_MAX {
            return false;
        }
        self.busy.insert(subject);
        let limit = if step.is_attest() { ATTEST_LIMIT } else { CALL_LIMIT };
        let carrier = Carrier {
            chain: Arc::clone(&self.parts.chain),
            attestor: Arc::clone(&self.parts.attestor),
            endorsed: Arc::clone(&self.endorsed),
            spool: self.parts.spool.clone(),
            block: (block, world.snapshot.block_hash),
        };
        self.jobs.spawn(async move {
            let carried = tokio::time::timeout(limit, carrier.carry_out(&step)).await;
            Outcome { step, block, result: carried.unwrap_or(Err(StepError::TimedOut(limit))) }
        });
        true
    }

    async fn finished(&mut self, outcome: Outcome) {
        let Outcome { step, block, result } = outcome;
        let subject = step.subject();
        self.busy.remove(&subject);
        let progress = self.progress.entry((subject, step.is_attest())).or_default();
        if step.is_attest() {
            let kind = match &result {
                Ok(_) => Some("ok"),
                Err(StepError::Evidence(_)) => Some("no-evidence"),
                Err(StepError::Chain(err)) if err.is_refusal() => Some("refused"),
                Err(_) => None,
            };
            if let Some(kind) = kind {
                self.parts.metrics.attestations.get_or_create(&Kind { kind }).inc();
            }
        }
        let (kind, message) = match result {
            Ok(claimed) => {
                progress.succeeded(&step);
                // The snapshot that shows it comes with one of the next blocks. Should it not, the
                // step is tried again, and refused if it did take effect.
                progress.done = Some((step.clone(), block.saturating_add(BLOCKS_UNTIL_SHOWN)));
                self.parts.metrics.chain_calls.get_or_create(&Kind { kind: step.ok_kind() }).inc();
                self.parts.wake.notify_one();
                match &step {
                    Step::Payout(lease) => {
                        self.paid_out_at.insert(*lease, Instant::now());
                        // What is due of a settled one is read anew.
                        self.ended.retain(|ended| ended.id != *lease);
                    }
                    Step::Forget(lease) => self.ended.retain(|ended| ended.id != *lease),
                    Step::Lost { lease, replica } => self.gone.recorded(*lease, *replica),
                    _ => (),
                }
                match claimed {
                    Claimed::NothingLeft => {
                        // Only records after the closing are left, or after the end of a standing
                        // that may yet be renewed.
                        if step.is_last() {
                            progress.given_up = step.record_key();
                        }
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
                let is_refusal = matches!(&err, StepError::Chain(err) if err.is_refusal());
                progress.failed(&step, is_refusal);
                if let (Step::Lost { lease, replica }, true) = (&step, is_refusal) {
                    // Somebody else has recorded it.
                    self.gone.recorded(*lease, *replica);
                }
                let told = chain_of(&err);
                tracing::warn!(?step, err = told, "a call on chain failed");
                let kind = match &err {
                    _ if is_refusal => "refused",
                    StepError::Evidence(_) => "unattested",
                    // The chain's trouble is not the publisher's news.
                    _ => return,
                };
                // Evidence is tried for as long as the pod is there: the same words tell nothing new.
                if step.is_attest() && progress.told.as_ref() == Some(&told) {
                    return;
                }
                progress.told = Some(told.clone());
                (kind, format!("{}: {told}", step.tried()))
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

/// A machine is taken back when the notice is over; no records are lost by it, for last ones can be
/// claimed after the closing.
fn reclaim(lease: &LeaseView, now: UnixSeconds) -> Option<Step> {
    lease.reclaim_at.filter(|at| *at <= now).map(|_| Step::Close(lease.id, CloseReason::Reclaimed))
}

/// What a call needs.
struct Carrier<C> {
    chain: Arc<C>,
    attestor: Arc<dyn Attestor>,
    endorsed: Arc<Endorsed>,
    spool: Spool,
    /// Number and hash of the newest finalised block.
    block: (u32, Hash256),
}

impl<C: Chain> Carrier<C> {
    async fn carry_out(&self, step: &Step) -> Result<Claimed, StepError> {
        match step {
            Step::Attest { .. } => self.attest(step).await?,
            Step::Settle(lease) => self.chain.settle(*lease).await?,
            Step::Notice(lease) => self.chain.give_notice(*lease).await?,
            Step::Close(lease, _) => self.chain.close(*lease).await?,
            Step::Payout(lease) => self.chain.payout(*lease).await?,
            Step::Forget(lease) => self.chain.forget(*lease).await?,
            Step::Begin { lease, replica, scheduled_at, terms, manifest_hash } => {
                let call = RunCall::Begin {
                    lease: *lease,
                    replica: *replica,
                    scheduled_at: *scheduled_at,
                    terms: *terms,
                    manifest_hash: *manifest_hash,
                };
                self.chain.run(call).await?;
            }
            Step::Missed { task, scheduled_at, .. } => {
                let (task, scheduled_at) = (*task, *scheduled_at);
                self.chain.run(RunCall::Missed { task, scheduled_at }).await?;
            }
            Step::Lost { lease, replica } => {
                self.chain.run(RunCall::Lost { lease: *lease, replica: *replica }).await?;
            }
            Step::Submit { key } => {
                let Some(signed) = self.spool.run_result(*key).await? else {
                    return Ok(Claimed::NothingLeft);
                };
                self.chain.run(RunCall::Submit(Box::new(signed))).await?;
            }
            Step::Claim { key, after, until, .. } => {
                let Some(signed) = self.spool.claimable(*key, *after, *until).await? else {
                    return Ok(Claimed::NothingLeft);
                };
                let (sequence, to) = (signed.record.sequence, signed.record.to);
                self.chain.claim(signed).await?;
                self.spool.claimed(*key, sequence).await?;
                return Ok(Claimed::Record { sequence, to });
            }
        }
        Ok(Claimed::Call)
    }

    async fn attest(&self, step: &Step) -> Result<(), StepError> {
        let Step::Attest { lease, replica, manifest_hash, address, keys, is_renewal } = step else {
            return Ok(());
        };
        let wanted = Wanted {
            address: *address,
            genesis_hash: self.chain.genesis_hash(),
            lease: *lease,
            replica: *replica,
            manifest_hash: *manifest_hash,
            keys: *keys,
            block_hash: self.block.1,
            roots: self.chain.trust_roots().await?,
        };
        let Evidence { submission, endorsements } = self.attestor.evidence(wanted).await?;
        let submit = || {
            let submission = submission.clone();
            self.chain.attest(*lease, *replica, *keys, self.block.0, submission)
        };
        Ok(self.endorsed.submit(&*self.chain, &endorsements, *is_renewal, submit).await?)
    }
}

/// Whether nothing of a lease could be attested until shortly before its provider is taken to be silent.
fn is_hopeless(lease: &LeaseView, now: UnixSeconds) -> bool {
    let silence = u64::from(lease.terms.silence_seconds);
    let patience = silence.saturating_mul(3) / 4;
    // Of a task nothing runs, and nothing is owed, before its first time.
    lease.state == LeaseState::Pending
        && !lease.is_task
        && silence > 0
        && now >= lease.opened_at.saturating_add(patience)
}

/// Where a pod's evidence is, while the pod can be reached.
fn evidence_of(
    pod: &PodStatus,
) -> Option<(SocketAddr, casemate_provider_core::AttestationEndpoint)> {
    match &pod.attestation {
        Attestation::Available(endpoint) => {
            Some((SocketAddr::new(pod.address?, endpoint.port), *endpoint))
        }
        Attestation::Off | Attestation::Waiting { .. } => None,
    }
}

const TICK: Duration = Duration::from_secs(5);
/// Calls at a time: a block's worth, so that the transaction pool is never flooded.
const CALLS_MAX: usize = 64;
/// Finality takes seconds; after this the call is taken for lost and looked up in the snapshot.
const CALL_LIMIT: Duration = Duration::from_secs(120);
/// As before, for the first pod on a chain: evidence, five pieces of collateral, and two tries.
const ATTEST_LIMIT: Duration = Duration::from_secs(600);
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(300);
const BLOCKS_UNTIL_SHOWN: u32 = 3;
/// Settled leases are read from the chain at most this often.
const ENDED_INTERVAL_MIN: Duration = Duration::from_secs(10);
/// With the pauses before them this is about half a minute.
const REFUSALS_MAX: u32 = 5;

#[cfg(test)]
mod tests;
