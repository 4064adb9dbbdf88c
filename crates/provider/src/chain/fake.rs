//! A scripted chain in memory, for tests and benches. It keeps the rules that the daemon relies on
//! (sequence, times, state) and counts every call.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use casemate_attestation::{Grade, TcbStatus, TrustRoots};
use casemate_client::chain::{
    AgentView, AttestedKeys, ChainSnapshot, ChallengeAnswer, ChallengeView, EndedLease,
    Endorsement, LeaseState, LeaseTask, LeaseView, OpenChallenges, OpenRunView, PeriodView,
    ProviderView, StandingView, Submission,
};
use casemate_primitives::{
    AccountBytes, AgentPublicKey, Asset, Balance, EndReason, Hash256, LeaseId, LogHead,
    ReplicaIndex, RunId, Schedule, TOKEN_DECIMALS, UnixSeconds, blake2_256,
};
use casemate_provider_core::SignedUsageRecord;
use tokio::sync::watch;

use super::{Chain, ChainError, RunCall};

/// A call that was made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Call {
    /// [`Chain::attest`].
    Attest(LeaseId, ReplicaIndex, AgentPublicKey),
    /// [`Chain::attest_cluster`], with the block.
    AttestCluster(u32),
    /// [`Chain::endorse`], with what it was.
    Endorse(&'static str),
    /// [`Chain::claim`], with lease, replica and sequence.
    Claim(LeaseId, ReplicaIndex, u64),
    /// [`Chain::run`].
    Run(RunCall),
    /// [`Chain::settle`].
    Settle(LeaseId),
    /// [`Chain::give_notice`].
    Notice(LeaseId),
    /// [`Chain::close`].
    Close(LeaseId),
    /// [`Chain::payout`].
    Payout(LeaseId),
    /// [`Chain::forget`].
    Forget(LeaseId),
    /// [`Chain::answer`].
    Answer(u64),
}

#[derive(Debug)]
struct State {
    snapshot: ChainSnapshot,
    provider: Option<ProviderView>,
    reachable: bool,
    roots: TrustRoots,
    standing_seconds: u64,
    /// Whether evidence is refused until its certificate was brought.
    needs_collateral: bool,
    certificates: HashSet<Hash256>,
    refusals: VecDeque<&'static str>,
    attested_over: Vec<u32>,
    cluster_refusals: VecDeque<&'static str>,
    cluster: Option<(Submission, UnixSeconds)>,
    /// Settled leases as they were, and when they were closed.
    ended: BTreeMap<LeaseId, (LeaseView, UnixSeconds)>,
    /// Runs that were open when their lease was settled.
    orphans: Vec<OpenRunView>,
    challenges: Vec<ChallengeView>,
    answers: Vec<(u64, ChallengeAnswer)>,
    answer_refusals: VecDeque<&'static str>,
    calls: Vec<(Call, Result<(), ChainError>)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct FakeChain {
    genesis_hash: Hash256,
    account: AccountBytes,
    state: Arc<Mutex<State>>,
    sender: Arc<watch::Sender<Arc<ChainSnapshot>>>,
}

impl FakeChain {
    /// A chain on which `provider` is registered and no block was read yet.
    pub fn new(genesis_hash: Hash256, provider: ProviderView) -> Self {
        let state = State {
            snapshot: ChainSnapshot::default(),
            provider: Some(provider.clone()),
            reachable: true,
            roots: TrustRoots::default(),
            standing_seconds: 24 * 60 * 60,
            needs_collateral: false,
            certificates: HashSet::new(),
            refusals: VecDeque::new(),
            attested_over: Vec::new(),
            cluster_refusals: VecDeque::new(),
            cluster: None,
            ended: BTreeMap::new(),
            orphans: Vec::new(),
            challenges: Vec::new(),
            answers: Vec::new(),
            answer_refusals: VecDeque::new(),
            calls: Vec::new(),
        };
        Self {
            genesis_hash,
            account: provider.account,
            state: Arc::new(Mutex::new(state)),
            sender: Arc::new(watch::Sender::new(Arc::default())),
        }
    }

    /// Makes a finalised block after changing the state.
    pub fn block(&self, change: impl FnOnce(&mut ChainSnapshot)) {
        let mut state = self.lock();
        change(&mut state.snapshot);
        state.snapshot.block_number += 1;
        state.snapshot.block_hash = Self::hash_of(state.snapshot.block_number);
        self.sender.send_replace(Arc::new(state.snapshot.clone()));
    }

    /// Hash of a block.
    pub fn hash_of(block: u32) -> Hash256 {
        blake2_256(&block.to_le_bytes())
    }

    /// For how long evidence counts from now on.
    pub fn set_standing_seconds(&self, seconds: u64) {
        self.lock().standing_seconds = seconds;
    }

    /// From now on evidence is refused until a piece of collateral of any kind was brought.
    pub fn need_collateral(&self) {
        self.lock().needs_collateral = true;
    }

    /// The next attest is refused with this name. Several queue up.
    pub fn refuse_next_attest(&self, name: &'static str) {
        self.lock().refusals.push_back(name);
    }

    /// The next evidence of the control plane is refused with this name. Several queue up.
    pub fn refuse_next_cluster(&self, name: &'static str) {
        self.lock().cluster_refusals.push_back(name);
    }

    /// The newest evidence of the control plane, and when it ends.
    pub fn cluster(&self) -> Option<(Submission, UnixSeconds)> {
        self.lock().cluster.clone()
    }

    /// Sets the roots that the chain trusts.
    pub fn set_trust_roots(&self, roots: TrustRoots) {
        self.lock().roots = roots;
    }

    /// Numbers of the blocks over which evidence was submitted, refused or not.
    pub fn attested_over(&self) -> Vec<u32> {
        self.lock().attested_over.clone()
    }

    /// Opens or replaces a lease in a new block.
    pub fn put_lease(&self, lease: LeaseView) {
        self.block(|snapshot| {
            snapshot.leases.insert(lease.id, lease);
        });
    }

    /// Whether calls get through from now on.
    pub fn set_reachable(&self, reachable: bool) {
        self.lock().reachable = reachable;
    }

    /// Asks the provider for something, in a new block.
    pub fn challenge(&self, challenge: ChallengeView) {
        self.lock().challenges.push(challenge);
        self.block(|_| ());
    }

    /// Ends a challenge that was not answered, in a new block.
    pub fn conclude(&self, id: u64) {
        self.lock().challenges.retain(|challenge| challenge.id != id);
        self.block(|_| ());
    }

    /// The next answer is refused with this name. Several queue up.
    pub fn refuse_next_answer(&self, name: &'static str) {
        self.lock().answer_refusals.push_back(name);
    }

    /// Answers that took effect.
    pub fn answers(&self) -> Vec<(u64, ChallengeAnswer)> {
        self.lock().answers.clone()
    }

    /// Changes the provider's entry in the registry.
    pub fn set_provider(&self, provider: Option<ProviderView>) {
        self.lock().provider = provider;
    }

    /// All calls so far that took effect.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.iter().filter(|c| c.1.is_ok()).map(|c| c.0.clone()).collect()
    }

    /// All calls so far that were refused or got lost.
    pub fn failed_calls(&self) -> Vec<(Call, Result<(), ChainError>)> {
        self.lock().calls.iter().filter(|c| c.1.is_err()).cloned().collect()
    }

    /// A settled lease that was not forgotten.
    pub fn ended(&self, id: LeaseId) -> Option<LeaseView> {
        self.lock().ended.get(&id).map(|(lease, _)| lease.clone())
    }

    /// A lease as it stands now.
    pub fn lease(&self, id: LeaseId) -> Option<LeaseView> {
        self.lock().snapshot.leases.get(&id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(
        &self,
        call: Call,
        effect: impl FnOnce(&mut ChainSnapshot) -> Result<(), &'static str>,
    ) -> Result<(), ChainError> {
        self.call_on_all(call, |state| effect(&mut state.snapshot))
    }

    fn call_on_all(
        &self,
        call: Call,
        effect: impl FnOnce(&mut State) -> Result<(), &'static str>,
    ) -> Result<(), ChainError> {
        let mut state = self.lock();
        let result = if state.reachable {
            effect(&mut state).map_err(|name| ChainError::Refused {
                pallet: "leases".into(),
                name: name.into(),
                text: name.into(),
            })
        } else {
            Err(ChainError::Unreachable("the test says so".into()))
        };
        state.calls.push((call, result.clone()));
        drop(state);
        if result.is_ok() {
            self.block(|_| ());
        }
        result
    }
}

/// Puts what a claim earns where the chain puts it: into the present period, or what is due.
fn earn(lease: &mut LeaseView, amount: Balance, now: UnixSeconds) {
    let amount = amount.min(lease.escrow);
    lease.escrow -= amount;
    let Some(number) = now.checked_div(lease.terms.dispute_seconds.into()) else {
        lease.final_due += amount;
        return;
    };
    mature(lease, now);
    match lease.open.iter_mut().find(|period| period.number == number) {
        Some(period) => period.amount += amount,
        None => lease.open.push(PeriodView { number, amount }),
    }
}

/// Makes due what nobody contested in time.
fn mature(lease: &mut LeaseView, now: UnixSeconds) {
    lease.final_due = lease.due_at(now);
    let terms = lease.terms;
    lease.open.retain(|period| !terms.is_final(period.number, now));
}

fn pay_out(lease: &mut LeaseView, now: UnixSeconds) -> Result<(), &'static str> {
    mature(lease, now);
    if lease.final_due == 0 {
        return Err("NothingDue");
    }
    lease.paid += std::mem::take(&mut lease.final_due);
    Ok(())
}

/// What the chain tells of a settled lease.
fn ended_view(lease: &LeaseView, closed_at: UnixSeconds, now: UnixSeconds) -> EndedLease {
    let due = lease.due_at(now);
    let owed = lease.earned() - lease.paid;
    let kept_until = closed_at + u64::from(lease.terms.retention_seconds);
    EndedLease { id: lease.id, due, is_done: owed == due && now >= kept_until }
}

/// What calls do to the runs of live leases; refused is what the chain refuses.
fn run(snapshot: &mut ChainSnapshot, call: RunCall) -> Result<(), &'static str> {
    let now = snapshot.time;
    match call {
        RunCall::Begin { lease, replica, scheduled_at, terms, manifest_hash } => {
            let LeaseView { state, escrow, manifest_hash: present, .. } =
                *lease_mut(snapshot, lease)?;
            let LeaseTask { task, open } = task_mut(snapshot, lease)?;
            if matches!(state, LeaseState::Closing { .. }) {
                return Err("LeaseClosed");
            }
            if open.iter().any(|open| open.replica == replica) {
                return Err("SlotBusy");
            }
            if task.stopped_at.is_some() {
                return Err("Stopped");
            }
            if task.terms != terms {
                return Err("OtherTerms");
            }
            if present != manifest_hash {
                return Err("OtherManifest");
            }
            if !task.schedule.allows(task.since, task.last_begun, scheduled_at)
                || task.last.is_some_and(|last| scheduled_at <= last)
            {
                return Err("NotScheduled");
            }
            if scheduled_at > now {
                return Err("TooEarly");
            }
            if scheduled_at + u64::from(terms.start_seconds_max) < now {
                return Err("TooLate");
            }
            let reserved: Balance = open.iter().map(|open| open.budget).sum();
            if escrow < reserved + terms.budget_per_run {
                return Err("NotFunded");
            }
            (task.last, task.last_begun) = (Some(scheduled_at), Some(scheduled_at));
            task.lease = Some(lease);
            task.runs += 1;
            open.push(OpenRunView {
                lease,
                replica,
                run: RunId(task.runs),
                scheduled_at,
                begun_at: now,
                budget: terms.budget_per_run,
                until: now + u64::from(terms.deadline_seconds) + 3_600,
                manifest_hash,
            });
        }
        RunCall::Submit(signed) => {
            let run = signed.run.ok_or("OtherRecord")?.result;
            let task = task_mut(snapshot, run.lease)?;
            if task.run_in(run.replica).map(|open| open.run) != Some(run.run) {
                return Err("OtherRun");
            }
            task.open.retain(|open| open.replica != run.replica);
        }
        RunCall::Lost { lease, replica } => {
            let task = task_mut(snapshot, lease)?;
            if now <= task.run_in(replica).ok_or("NotOpen")?.until {
                return Err("NotLost");
            }
            task.open.retain(|open| open.replica != replica);
        }
        RunCall::Missed { task, scheduled_at } => {
            let leases: BTreeSet<LeaseId> = snapshot.leases.keys().copied().collect();
            let mut tasks = snapshot.leases.values_mut().filter_map(|lease| lease.task.as_mut());
            let found = &mut tasks.find(|found| found.task.id == task).ok_or("NotFound")?.task;
            let before = now.saturating_sub(found.terms.start_seconds_max.into());
            let last = if let Schedule::Cron { .. } = found.schedule {
                let at = scheduled_at.ok_or("TimeNeeded")?;
                // This provider is a side only with the lease that last began a run.
                if !found.lease.is_some_and(|lease| leases.contains(&lease)) {
                    return Err("NotPublisher");
                }
                if !found.schedule.allows(found.since, found.last, at) {
                    return Err("NotScheduled");
                }
                (at < before).then_some(at)
            } else {
                found.schedule.skipped(found.since, found.last, before).map(|skipped| skipped.last)
            };
            found.last = Some(last.ok_or("NothingMissed")?);
            found.missed += 1;
        }
    }
    Ok(())
}

fn task_mut(snapshot: &mut ChainSnapshot, lease: LeaseId) -> Result<&mut LeaseTask, &'static str> {
    lease_mut(snapshot, lease)?.task.as_deref_mut().ok_or("NotFound")
}

fn lease_mut(snapshot: &mut ChainSnapshot, id: LeaseId) -> Result<&mut LeaseView, &'static str> {
    snapshot.leases.get_mut(&id).ok_or("UnknownLease")
}

impl Chain for FakeChain {
    fn genesis_hash(&self) -> Hash256 {
        self.genesis_hash
    }

    fn account(&self) -> AccountBytes {
        self.account
    }

    fn decimals(&self, asset: Asset) -> Option<u8> {
        (asset == Asset::Native).then_some(TOKEN_DECIMALS)
    }

    fn snapshots(&self) -> watch::Receiver<Arc<ChainSnapshot>> {
        self.sender.subscribe()
    }

    async fn provider(&self) -> Result<Option<ProviderView>, ChainError> {
        let state = self.lock();
        if state.reachable {
            Ok(state.provider.clone())
        } else {
            Err(ChainError::Unreachable("the test says so".into()))
        }
    }

    async fn attest(
        &self,
        lease: LeaseId,
        replica: ReplicaIndex,
        keys: AttestedKeys,
        block: u32,
        submission: Submission,
    ) -> Result<(), ChainError> {
        let key = keys.agent;
        let (refusal, standing_seconds) = {
            let mut state = self.lock();
            state.attested_over.push(block);
            let missing = state.needs_collateral && state.certificates.is_empty();
            let refusal = missing.then_some("CertificateUnknown");
            (refusal.or_else(|| state.refusals.pop_front()), state.standing_seconds)
        };
        self.call(Call::Attest(lease, replica, key), |snapshot| {
            if let Some(refusal) = refusal {
                return Err(refusal);
            }
            if block == 0 || block > snapshot.block_number {
                return Err("BlockTooOld");
            }
            let now = snapshot.time;
            let lease = lease_mut(snapshot, lease)?;
            if matches!(lease.state, LeaseState::Closing { .. }) {
                return Err("LeaseClosing");
            }
            lease.state = LeaseState::Active;
            let standing = Some(StandingView {
                kind: submission.kind,
                grade: Grade::Software,
                tcb_status: TcbStatus::UpToDate,
                workload: vec![1; 48],
                manifest_hash: lease.manifest_hash,
                hpke_key: keys.hpke,
                evidence_hash: blake2_256(&submission.evidence),
                verified_at: now,
                expires_at: now + standing_seconds,
            });
            if let Some(agent) =
                lease.agents.iter_mut().find(|agent| agent.replica == replica && agent.key == key)
            {
                agent.standing = standing;
                return Ok(());
            }
            let old = lease.agents.iter().position(|agent| agent.replica == replica);
            let claimed_to = old.map(|at| lease.agents.remove(at).claimed_to).unwrap_or_default();
            lease.agents.push(AgentView {
                replica,
                key,
                sequence: 0,
                claimed_to,
                claimed_total: <_>::default(),
                ended_version: None,
                log: LogHead::default(),
                standing,
            });
            lease.agents.sort_by_key(|agent| agent.replica);
            Ok(())
        })
    }

    async fn attest_cluster(
        &self,
        block: u32,
        submission: Submission,
    ) -> Result<UnixSeconds, ChainError> {
        let (refusal, seconds) = {
            let mut state = self.lock();
            let missing = state.needs_collateral && state.certificates.is_empty();
            let refusal = missing.then_some("CertificateUnknown");
            (refusal.or_else(|| state.cluster_refusals.pop_front()), state.standing_seconds)
        };
        let mut expires_at = 0;
        self.call(Call::AttestCluster(block), |snapshot| {
            if let Some(refusal) = refusal {
                return Err(refusal);
            }
            if block == 0 || block > snapshot.block_number {
                return Err("BlockTooOld");
            }
            expires_at = snapshot.time + seconds;
            Ok(())
        })?;
        self.lock().cluster = Some((submission, expires_at));
        Ok(expires_at)
    }

    async fn endorse(&self, endorsement: Endorsement) -> Result<bool, ChainError> {
        let digest = blake2_256(format!("{endorsement:?}").as_bytes());
        let is_new = !self.lock().certificates.contains(&digest);
        let call = Call::Endorse(endorsement.name());
        self.call(call, |_| Ok(()))?;
        self.lock().certificates.insert(digest);
        Ok(is_new)
    }

    async fn trust_roots(&self) -> Result<TrustRoots, ChainError> {
        let state = self.lock();
        if state.reachable {
            Ok(state.roots.clone())
        } else {
            Err(ChainError::Unreachable("the test says so".into()))
        }
    }

    async fn claim(&self, signed: SignedUsageRecord) -> Result<(), ChainError> {
        let record = signed.record;
        self.call(Call::Claim(record.lease, record.replica, record.sequence), |snapshot| {
            let now = snapshot.time;
            let lease = lease_mut(snapshot, record.lease)?;
            if let LeaseState::Closing { at, .. } = lease.state
                && record.to > at
            {
                return Err("RecordAfterClose");
            }
            let agent = lease
                .agents
                .iter_mut()
                .find(|agent| agent.replica == record.replica && agent.key == signed.key)
                .ok_or("UnknownAgent")?;
            if record.sequence <= agent.sequence {
                return Err("OldSequence");
            }
            if agent.ended_version.is_some() {
                return Err("AppEnded");
            }
            agent.sequence = record.sequence;
            agent.claimed_to = agent.claimed_to.max(record.to);
            let added = record.total.checked_sub(&agent.claimed_total).ok_or("RecordTotals")?;
            agent.claimed_total = record.total;
            agent.ended_version = record.state.has_ended().then_some(lease.version);
            let cost = lease.terms.prices.cost(&added).ok_or("Overflow")?;
            earn(lease, cost, now);
            Ok(())
        })
    }

    async fn run(&self, call: RunCall) -> Result<(), ChainError> {
        self.call_on_all(Call::Run(call.clone()), |State { snapshot, orphans, .. }| match call {
            RunCall::Lost { lease, replica } if !snapshot.leases.contains_key(&lease) => {
                let is_it = |open: &OpenRunView| (open.lease, open.replica) == (lease, replica);
                let at = orphans.iter().position(is_it).ok_or("NotOpen")?;
                orphans.remove(at);
                Ok(())
            }
            call => run(snapshot, call),
        })
    }

    async fn settle(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.call_on_all(Call::Settle(lease), |State { snapshot, ended, orphans, .. }| {
            let LeaseState::Closing { at, .. } = lease_mut(snapshot, lease)?.state else {
                return Err("NotClosing");
            };
            let Some(mut lease) = snapshot.leases.remove(&lease) else { return Err("NotFound") };
            orphans.extend(lease.task.take().into_iter().flat_map(|task| task.open));
            // One that never ran leaves nothing that is owed or proved.
            if !lease.agents.is_empty() {
                lease.escrow = 0;
                ended.insert(lease.id, (lease, at));
            }
            Ok(())
        })
    }

    async fn payout(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.call_on_all(Call::Payout(lease), |State { snapshot, ended, .. }| {
            let now = snapshot.time;
            match ended.get_mut(&lease) {
                Some((lease, _)) => pay_out(lease, now),
                None => pay_out(lease_mut(snapshot, lease)?, now),
            }
        })
    }

    async fn forget(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.call_on_all(Call::Forget(lease), |State { snapshot, ended, .. }| {
            let (view, closed_at) = ended.get(&lease).ok_or("NotEnded")?;
            if !ended_view(view, *closed_at, snapshot.time).is_done {
                return Err("StillNeeded");
            }
            ended.remove(&lease);
            Ok(())
        })
    }

    async fn ended_leases(&self, live: BTreeSet<LeaseId>) -> Result<Vec<EndedLease>, ChainError> {
        let state = self.lock();
        let now = state.snapshot.time;
        let ended = state.ended.values().map(|(lease, at)| ended_view(lease, *at, now));
        Ok(ended.filter(|lease| !live.contains(&lease.id)).collect())
    }

    async fn challenges(&self) -> Result<OpenChallenges, ChainError> {
        let state = self.lock();
        if !state.reachable {
            return Err(ChainError::Unreachable("the test says so".into()));
        }
        let block = state.snapshot.block_number;
        Ok(OpenChallenges { block, challenges: state.challenges.clone() })
    }

    async fn answer(&self, challenge: u64, answer: ChallengeAnswer) -> Result<(), ChainError> {
        // In one step: no block shows the challenge as open after its answer.
        self.call_on_all(Call::Answer(challenge), |state| {
            let open = state.challenges.iter().find(|open| open.id == challenge);
            let until = open.ok_or("ChallengeUnknown")?.until;
            if state.needs_collateral && state.certificates.is_empty() {
                return Err("CertificateUnknown");
            }
            if let Some(refusal) = state.answer_refusals.pop_front() {
                return Err(refusal);
            }
            if state.snapshot.block_number >= until {
                return Err("WindowOver");
            }
            state.answers.push((challenge, answer));
            state.challenges.retain(|open| open.id != challenge);
            Ok(())
        })
    }

    async fn open_runs(&self, lease: LeaseId) -> Result<Vec<OpenRunView>, ChainError> {
        let state = self.lock();
        if !state.reachable {
            return Err(ChainError::Unreachable("the test says so".into()));
        }
        let live = state.snapshot.leases.get(&lease).and_then(|lease| lease.task.as_deref());
        let live = live.map_or(&[][..], |task| &task.open);
        Ok(live.iter().chain(&state.orphans).filter(|open| open.lease == lease).copied().collect())
    }

    async fn give_notice(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.call(Call::Notice(lease), |snapshot| {
            let now = snapshot.time;
            let lease = lease_mut(snapshot, lease)?;
            if lease.reclaim_at.is_some() {
                return Err("NoticeGiven");
            }
            lease.reclaim_at = Some(now + u64::from(lease.terms.reclaim_seconds));
            Ok(())
        })
    }

    async fn close(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.call(Call::Close(lease), |snapshot| {
            let now = snapshot.time;
            let lease = lease_mut(snapshot, lease)?;
            let reason = match lease.reclaim_at {
                _ if lease.has_ended() => EndReason::AppEnded,
                _ if lease.state == LeaseState::Pending => EndReason::NeverStarted,
                _ if lease.escrow == 0 => EndReason::OutOfFunds,
                Some(at) if at <= now => EndReason::Reclaimed,
                None if lease.terms.reclaim_seconds == 0 => EndReason::Reclaimed,
                _ => return Err("ReclaimNotice"),
            };
            let until = now + u64::from(lease.terms.notice_seconds);
            lease.state = LeaseState::Closing { at: now, until, reason };
            Ok(())
        })
    }
}
