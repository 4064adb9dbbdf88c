//! What is due on chain for the runs of a task.
//!
//! All of it follows from the finalised chain, the pods and the spool: which runs are open is on chain,
//! so none is begun twice, whenever the daemon was killed. A run goes: begun, its pod started, attested,
//! its result submitted; the reconciler removes the pod once the run is not open any more.

use std::collections::HashMap;

use casemate_client::chain::{LeaseState, LeaseTask, LeaseView, TaskView};
use casemate_primitives::{Balance, LeaseId, ReplicaIndex, Schedule, TaskTerms, UnixSeconds};
use casemate_schedule::{CalendarError, Timetable, tzdb_edition};

use super::{
    Settler,
    step::{ReplicaView, Step, attest, renewal},
};
use crate::{Chain, facts::Facts, reconciler::run_pod, spool::NewEvent, world::World};

/// How much time is left for a run to begin when it is tried: a transaction takes blocks to be in one.
const BEGIN_MARGIN_SECONDS: u64 = 5;

/// Schedules that were read, also those that can't be: a publisher must not have one read again with
/// each block.
#[derive(Debug, Default)]
pub(super) struct Timetables(HashMap<LeaseId, Read>);

/// The schedule, since when it holds, and what was made of it.
type Read = (Schedule, UnixSeconds, Result<Timetable, CalendarError>);

impl Timetables {
    /// The task's own.
    pub(super) fn of(
        &mut self,
        lease: LeaseId,
        task: &TaskView,
    ) -> &Result<Timetable, CalendarError> {
        let read = || {
            let schedule = task.schedule.clone();
            (schedule.clone(), task.since, Timetable::new(schedule, task.since))
        };
        let known = self.0.entry(lease).or_insert_with(read);
        if (&known.0, known.1) != (&task.schedule, task.since) {
            *known = read();
        }
        &known.2
    }

    /// Forgets all but these.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&LeaseId) -> bool) {
        self.0.retain(|lease, _| is_wanted(lease));
    }
}

/// What is agreed on each run: by the manifest that the provider has made its offer for, which the
/// publisher may update, and by the lease's prices, which it can't change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    /// How long one may take.
    pub(super) deadline_seconds: u32,
    /// What is paid for one at most, in the lease's asset.
    pub(super) budget: Balance,
    /// What the provider wants to be paid at least for one that takes all of its time.
    pub(super) cost: Balance,
}

impl Agreed {
    /// Of a lease and its manifest, or why nothing is known. `percent` is the provider's share of the
    /// price of a run that takes all of its time.
    pub(super) fn of(
        lease: &LeaseView,
        facts: Option<&Facts>,
        decimals: Option<u8>,
        percent: u8,
    ) -> Result<Self, &'static str> {
        let facts = facts.ok_or("its manifest is not here: hand it over again")?;
        let run = facts.task.as_ref().ok_or("its manifest is not one of a task")?;
        let decimals = decimals.ok_or("its lease is paid in an asset that is not known here")?;
        let budget = run.budget.in_units(decimals);
        let budget =
            budget.ok_or("the manifest's `runBudget` is no amount of the lease's asset")?;
        let deadline_seconds = run.deadline_seconds;
        let cost = lease.terms.per_second(&lease.resources, 1).and_then(|price| {
            let whole = price.checked_mul(deadline_seconds.into())?;
            Some(whole.checked_mul(percent.into())? / 100)
        });
        let cost = cost.ok_or("what a run costs is more than can be counted")?;
        Ok(Self { deadline_seconds, budget, cost })
    }

    /// Why nobody works for these terms, if so. The publisher sets them on chain, whenever it wants.
    fn refuses(&self, terms: &TaskTerms) -> Option<&'static str> {
        if terms.budget_per_run < self.budget {
            return Some("its budget on chain is below the manifest's `runBudget`");
        }
        if terms.budget_per_run < self.cost {
            return Some(
                "its budget is too far below what a run costs that takes its whole deadline; raise \
                 the budget, or shorten the deadline",
            );
        }
        // A run whose time is over on chain before the agent's is worked for in vain.
        (terms.deadline_seconds < self.deadline_seconds)
            .then_some("its deadline on chain is before the manifest's `deadlineSeconds`")
    }
}

/// What is to be done about the next run.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// Nothing now.
    Wait,
    /// This call.
    Call(Step),
    /// No run begins, for this reason: the publisher is told.
    Held(String),
}

/// The calls that are due for the run in a slot, the most wanted first.
pub(super) fn slot_steps(
    lease: &LeaseView,
    task: &LeaseTask,
    view: &ReplicaView,
    now: UnixSeconds,
) -> Vec<Step> {
    let Some(run) = task.run_in(view.replica) else { return Vec::new() };
    if now > run.until {
        return vec![Step::Lost { lease: lease.id, replica: view.replica }];
    }
    if let Some(agent) = view.agent.as_ref().filter(|_| view.ended_run == Some(run.run)) {
        return vec![Step::Submit { key: (lease.id, view.replica, agent.key) }];
    }
    // What is closing takes no new evidence.
    if matches!(lease.state, LeaseState::Closing { .. }) {
        return Vec::new();
    }
    let version = run_pod(run).map(|pod| pod.version);
    let Some(pod) = view.pods.iter().find(|pod| Some(pod.version) == version) else {
        return Vec::new();
    };
    let step = match &view.agent {
        Some(agent) if pod.key == Some(agent.key) => renewal(lease, view.replica, agent, pod, now),
        _ => attest(lease, view.replica, pod, false),
    };
    step.into_iter().collect()
}

/// Whether no pod is in a slot: the one of the run before goes first.
pub(super) fn is_free(world: &World, lease: LeaseId, replica: ReplicaIndex) -> bool {
    !world.pods_of(lease).iter().any(|pod| pod.id.replica == replica)
}

/// The run that is due, or the missed times that are to be recorded. `now` is the chain's clock.
pub(super) fn next_run(
    lease: &LeaseView,
    timetable: &Result<Timetable, CalendarError>,
    agreed: Result<Agreed, &'static str>,
    is_free: &dyn Fn(ReplicaIndex) -> bool,
    now: UnixSeconds,
) -> Next {
    let Some(LeaseTask { task, open }) = lease.task.as_deref() else { return Next::Wait };
    if matches!(lease.state, LeaseState::Closing { .. }) || task.stopped_at.is_some() {
        return Next::Wait;
    }
    let held =
        |why: &dyn std::fmt::Display| Next::Held(format!("no run of the task begins: {why}"));
    let timetable = match timetable {
        Ok(timetable) => timetable,
        Err(err) => {
            let edition = tzdb_edition();
            return held(&format!("this provider (tz database {edition}) can't read when: {err}"));
        }
    };
    let late = u64::from(task.terms.start_seconds_max);
    // Before this second it is too late by the time that the call is in a block.
    let earliest = now.saturating_add(BEGIN_MARGIN_SECONDS.min(late / 2)).saturating_sub(late);
    let next = after(timetable, task, earliest);
    if next.is_some()
        && let Some(why) = agreed.map_or_else(Some, |agreed| agreed.refuses(&task.terms))
    {
        return held(&why);
    }
    // What a slot is reserved for can be paid: the runs that are open, and this one.
    let owed =
        open.iter().fold(task.terms.budget_per_run, |sum, run| sum.saturating_add(run.budget));
    let is_funded = lease.escrow >= owed;
    let is_taken = |replica| open.iter().any(|run| run.replica == replica);
    let free = (0..lease.replicas).find(|replica| !is_taken(*replica) && is_free(*replica));
    if let Some(scheduled_at) = next.filter(|at| *at <= now) {
        if !is_funded {
            return held(&"the lease's escrow is less than the runs may cost; recharge it");
        }
        let begin = |replica| Step::Begin {
            lease: lease.id,
            replica,
            scheduled_at,
            terms: task.terms,
            manifest_hash: lease.manifest_hash,
        };
        return free.map_or(Next::Wait, |replica| Next::Call(begin(replica)));
    }
    let before = now.saturating_sub(late);
    // Neither begun nor missed: too late for the one, too early for the other.
    if after(timetable, task, before).is_some_and(|at| at <= now) {
        return Next::Wait;
    }
    let missed =
        |scheduled_at| Next::Call(Step::Missed { lease: lease.id, task: task.id, scheduled_at });
    match task.schedule {
        // The next run records what was skipped before it.
        Schedule::Every { .. } => Next::Wait,
        // There is no next one.
        Schedule::Once { .. } if timetable.newest(task.last, before).is_some() => missed(None),
        Schedule::Once { .. } => Next::Wait,
        // The chain has no calendar: the newest is recorded, for all. Each call costs a fee, so not
        // before the next run can begin; and the chain takes it from the publisher or from who has
        // begun the last run, so who takes over goes on without.
        Schedule::Cron { .. } if is_funded && free.is_some() && task.lease == Some(lease.id) => {
            timetable.newest(task.last, before).map_or(Next::Wait, |at| missed(Some(at)))
        }
        Schedule::Cron { .. } => Next::Wait,
    }
}

/// The first time from `earliest` on that the chain lets a run begin for. It is after all that were
/// missed, but its distance counts from the last one that was begun.
fn after(timetable: &Timetable, task: &TaskView, earliest: UnixSeconds) -> Option<UnixSeconds> {
    let new = task.last.map_or(0, |last| last.saturating_add(1));
    timetable.next_from(task.last_begun, earliest.max(new))
}

/// Whether no run of a task can begin before its publisher does something, which it may never do: its
/// resources are held back for nothing.
pub(super) fn is_idle(lease: &LeaseView, agreed: Result<Agreed, &'static str>) -> bool {
    let Some(LeaseTask { task, open }) = lease.task.as_deref() else { return false };
    let is_refused = agreed.is_ok_and(|agreed| agreed.refuses(&task.terms).is_some());
    let is_unfunded = lease.escrow < task.terms.budget_per_run;
    open.is_empty() && (is_unfunded || is_refused || task.stopped_at.is_some())
}

impl<C: Chain> Settler<C> {
    /// What was agreed on a task's runs.
    pub(super) fn agreed(&self, lease: &LeaseView) -> Result<Agreed, &'static str> {
        let facts = self.parts.facts.get(&lease.manifest_hash);
        let decimals = self.parts.chain.decimals(lease.terms.asset);
        Agreed::of(lease, facts.as_deref(), decimals, self.parts.run_budget_percent_min)
    }

    /// The call that is due for a task's next run. Why there is none is told once.
    pub(super) fn next_run(&mut self, world: &World, lease: &LeaseView) -> Option<Step> {
        let task = &lease.task.as_deref()?.task;
        let agreed = self.agreed(lease);
        let timetable = self.timetables.of(lease.id, task);
        let is_slot_free = |replica| is_free(world, lease.id, replica);
        match next_run(lease, timetable, agreed, &is_slot_free, world.snapshot.time) {
            Next::Wait => None,
            Next::Call(step) => {
                self.held.remove(&lease.id);
                Some(step)
            }
            Next::Held(why) => {
                if self.held.get(&lease.id) != Some(&why) {
                    self.held.insert(lease.id, why.clone());
                    let time = (self.parts.clock)();
                    let (lease, kind, message) = (lease.id, "run-held", why);
                    tracing::info!(%lease, kind, "{message}");
                    self.news.push(NewEvent { lease, time, kind, pod: None, message });
                }
                None
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
