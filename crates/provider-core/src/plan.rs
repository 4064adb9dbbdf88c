//! Decides what to do from what runs and what should run, without doing it.
//!
//! [`plan`] is pure: the same input gives the same [`Plan`], and applying it again and again from
//! whatever state ends where the finalised chain says. It keeps these rules:
//!
//! 1. Nothing is deleted unless a finalised snapshot says what should run.
//! 2. A ready pod of a live lease is deleted only when another ready pod of the same replica takes
//!    its place.
//! 3. An update that does not become ready until its deadline is given up: the pod before it stays.
//! 4. Volumes go only after the chain no longer knows the lease, and after its last pod.

use std::collections::{BTreeMap, BTreeSet};

use casemate_primitives::{AgentPublicKey, LeaseId, ReplicaIndex, UnixSeconds};

use crate::backend::{PodId, PodPhase, PodStatus};

/// What a lease asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DesiredLease {
    /// Version of the manifest that is to run.
    pub version: u32,
    /// Replicas 0 to `replicas - 1` are to run.
    pub replicas: u16,
    /// Whether they are.
    pub wanted: Wanted,
    /// Whether a pod that failed is tried again. One whose app has ended by itself never is.
    pub retry_failed: bool,
    /// Whether it is a task: its replicas are slots, and only [`Input::runs`] run in them.
    pub is_task: bool,
}

/// Whether a lease's pods are to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// They are.
    Run,
    /// They would be, but the manifest is not here: what runs goes on, nothing is started.
    Wait,
    /// The lease is closing: its pods end, its volumes stay until it is settled.
    Stop,
}

/// What is remembered between plans. It may be lost: then an update gets its full time again and a
/// given-up one another try.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// When each pod was first seen or applied.
    pub since: BTreeMap<PodId, UnixSeconds>,
    /// Updates that were given up.
    pub given_up: BTreeSet<PodId>,
    /// Pods that failed and are not to be tried again before this second.
    pub retry_at: BTreeMap<PodId, UnixSeconds>,
}

impl History {
    /// Notes pods that are seen for the first time, and forgets those of leases that are gone, and of
    /// runs that are not open any more.
    pub fn observe(
        &mut self,
        pods: &[PodStatus],
        leases: &BTreeMap<LeaseId, DesiredLease>,
        runs: &BTreeSet<PodId>,
        now: UnixSeconds,
    ) {
        for pod in pods {
            self.since.entry(pod.id).or_insert(now);
        }
        let seen: BTreeSet<PodId> = pods.iter().map(|pod| pod.id).collect();
        let current = |id: &PodId| {
            let is_current = |l: &DesiredLease| !l.is_task && l.version == id.version;
            seen.contains(id) || runs.contains(id) || leases.get(&id.lease).is_some_and(is_current)
        };
        self.since.retain(|id, _| current(id));
        self.given_up.retain(|id| current(id));
        self.retry_at.retain(|id, _| current(id));
    }
}

/// Why a pod is deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeleteReason {
    /// A newer version is ready.
    Superseded,
    /// It did not become ready in time; the version before it stays.
    RolledBack,
    /// It failed and is started afresh.
    Retried,
    /// The run of a task that it was is over.
    RunOver,
    /// Its lease is closing.
    LeaseClosing,
    /// No lease asks for it.
    Unknown,
}

/// One step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Start this pod.
    Apply(PodId),
    /// Stop and remove this pod; it gets no traffic any more.
    Delete(PodId, DeleteReason),
    /// Remove the volumes of a lease that is settled.
    DeleteVolumes(LeaseId),
}

/// What to do, and where traffic goes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// Steps; each may fail without harm to the others. At most one for each pod.
    pub actions: Vec<Action>,
    /// The ready pod of each replica that gets its traffic.
    pub routes: BTreeMap<(LeaseId, ReplicaIndex), PodId>,
}

/// Everything [`plan`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// What should run; `None` while no finalised block has been read.
    pub leases: Option<&'a BTreeMap<LeaseId, DesiredLease>>,
    /// The open runs of tasks: which pod each is.
    pub runs: &'a BTreeSet<PodId>,
    /// Keys that the chain has for the slots of tasks: a result that one of them has signed counts.
    pub attested: &'a BTreeSet<(LeaseId, ReplicaIndex, AgentPublicKey)>,
    /// What runs.
    pub pods: &'a [PodStatus],
    /// Leases that had pods here: their volumes may still be here.
    pub had_pods: &'a BTreeSet<LeaseId>,
    /// What was before.
    pub history: &'a History,
    /// The clock.
    pub now: UnixSeconds,
    /// How long an update may take to become ready.
    pub update_seconds_max: u64,
}

/// Decides.
pub fn plan(input: &Input<'_>) -> Plan {
    let mut plan = Plan::default();
    let mut by_replica: BTreeMap<(LeaseId, ReplicaIndex), Vec<&PodStatus>> = BTreeMap::new();
    for pod in input.pods {
        by_replica.entry((pod.id.lease, pod.id.replica)).or_default().push(pod);
    }
    for pods in by_replica.values_mut() {
        pods.sort_by_key(|pod| std::cmp::Reverse(pod.id.version));
    }
    let Some(leases) = input.leases else {
        for (key, pods) in &by_replica {
            plan.route(*key, pods.iter().find(|pod| is_ready(pod)).copied());
        }
        return plan;
    };
    for (key, pods) in &by_replica {
        let (lease, replica) = key;
        match leases.get(lease) {
            None => plan.delete_all(pods, DeleteReason::Unknown),
            Some(l) if l.wanted == Wanted::Stop => {
                plan.delete_all(pods, DeleteReason::LeaseClosing);
            }
            Some(l) if *replica >= l.replicas => plan.delete_all(pods, DeleteReason::Unknown),
            Some(l) if l.is_task => plan_slot(input, l, pods, &mut plan),
            Some(l) => plan_replica(input, l, *key, pods, &mut plan),
        }
    }
    for run in input.runs {
        let wanted = leases.get(&run.lease).map(|lease| lease.wanted);
        let is_there = input.pods.iter().any(|pod| pod.id == *run);
        if wanted == Some(Wanted::Run) && !is_there && is_due(input, run) {
            plan.actions.push(Action::Apply(*run));
        }
    }
    for (id, lease) in leases.iter().filter(|(_, l)| l.wanted == Wanted::Run && !l.is_task) {
        for replica in 0..lease.replicas {
            if !by_replica.contains_key(&(*id, replica)) {
                plan_replica(input, lease, (*id, replica), &[], &mut plan);
            }
        }
    }
    let has_pods = |lease: &LeaseId| by_replica.range((*lease, 0)..=(*lease, u16::MAX)).next();
    for lease in input.had_pods {
        if !leases.contains_key(lease) && has_pods(lease).is_none() {
            plan.actions.push(Action::DeleteVolumes(*lease));
        }
    }
    plan
}

/// A pod of a run that is not open (any more) goes; one that was lost is started again, under the same
/// number.
///
/// Lost is also what has signed its result, where its agent has died before the chain had its key:
/// nobody can attest that any more. Where the chain has it the result needs no pod.
fn plan_slot(input: &Input<'_>, lease: &DesiredLease, pods: &[&PodStatus], plan: &mut Plan) {
    for pod in pods {
        if !input.runs.contains(&pod.id) {
            plan.actions.push(Action::Delete(pod.id, DeleteReason::RunOver));
        } else if (is_failed(pod) || is_ended(pod) && !is_attested(input, pod))
            && lease.wanted == Wanted::Run
            && input.history.retry_at.contains_key(&pod.id)
            && is_due(input, &pod.id)
        {
            plan.actions.push(Action::Delete(pod.id, DeleteReason::Retried));
        }
    }
}

fn is_attested(input: &Input<'_>, pod: &PodStatus) -> bool {
    let is_of = |key| input.attested.contains(&(pod.id.lease, pod.id.replica, key));
    pod.agent_key.is_some_and(is_of)
}

fn is_due(input: &Input<'_>, pod: &PodId) -> bool {
    input.history.retry_at.get(pod).is_none_or(|at| *at <= input.now)
}

/// `pods` has the newest version first.
fn plan_replica(
    input: &Input<'_>,
    lease: &DesiredLease,
    key: (LeaseId, ReplicaIndex),
    pods: &[&PodStatus],
    plan: &mut Plan,
) {
    let history = input.history;
    let id = PodId { lease: key.0, replica: key.1, version: lease.version };
    let others: Vec<&PodStatus> = pods.iter().filter(|pod| pod.id != id).copied().collect();
    let target = pods.iter().find(|pod| pod.id == id).copied();
    // Of the other versions one is worth keeping: the newest that is ready, else the newest that
    // may become so.
    let fallback = others
        .iter()
        .find(|pod| is_ready(pod))
        .or_else(|| others.iter().find(|pod| !is_over(pod)))
        .copied();
    let due = |id: &PodId| is_due(input, id);

    if let Some(target) = target.filter(|target| is_ready(target)) {
        plan.route(key, Some(target));
        plan.delete_all(&others, DeleteReason::Superseded);
        return;
    }
    plan.route(key, fallback);
    for other in &others {
        let kept = fallback.is_some_and(|kept| kept.id == other.id);
        // With nothing to take its place, a failed pod's logs are worth more than its room.
        if !kept && (fallback.is_some() || target.is_some()) {
            plan.actions.push(Action::Delete(other.id, DeleteReason::Superseded));
        }
    }
    let has_ready_fallback = fallback.is_some_and(is_ready);
    if history.given_up.contains(&id) && has_ready_fallback {
        if target.is_some() {
            plan.actions.push(Action::Delete(id, DeleteReason::RolledBack));
        }
        return;
    }
    let Some(target) = target else {
        if lease.wanted == Wanted::Run && due(&id) {
            plan.actions.push(Action::Apply(id));
        }
        return;
    };
    let since = history.since.get(&id).copied().unwrap_or(input.now);
    let late = input.now.saturating_sub(since) >= input.update_seconds_max;
    let hopeless = is_over(target) && !(is_failed(target) && lease.retry_failed);
    if has_ready_fallback && (late || hopeless) {
        plan.actions.push(Action::Delete(id, DeleteReason::RolledBack));
    } else if is_failed(target)
        && lease.retry_failed
        && lease.wanted == Wanted::Run
        && history.retry_at.contains_key(&id)
        && due(&id)
    {
        plan.actions.push(Action::Delete(id, DeleteReason::Retried));
    }
}

impl Plan {
    fn route(&mut self, key: (LeaseId, ReplicaIndex), pod: Option<&PodStatus>) {
        if let Some(pod) = pod.filter(|pod| is_ready(pod)) {
            self.routes.insert(key, pod.id);
        }
    }

    fn delete_all(&mut self, pods: &[&PodStatus], reason: DeleteReason) {
        self.actions.extend(pods.iter().map(|pod| Action::Delete(pod.id, reason)));
    }
}

fn is_ready(pod: &PodStatus) -> bool {
    matches!(pod.phase, PodPhase::Running { ready: true })
}

fn is_failed(pod: &PodStatus) -> bool {
    matches!(pod.phase, PodPhase::Failed(_))
}

fn is_ended(pod: &PodStatus) -> bool {
    matches!(pod.phase, PodPhase::Ended(_))
}

/// Failed, or ended by itself: it is not going to be ready.
fn is_over(pod: &PodStatus) -> bool {
    is_failed(pod) || is_ended(pod)
}

#[cfg(test)]
mod tests;
