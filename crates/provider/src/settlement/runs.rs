//! What is due on chain for the runs of a task.
//!
//! All of it follows from the finalised chain, the pods and the spool: which runs are open is on chain,
//! so none is begun twice, whenever the daemon was killed. A run goes: begun, its pod started, attested,
//! its result submitted; the reconciler removes the pod once the run is not open any more.

use casemate_client::chain::{LeaseState, LeaseTask, LeaseView, TaskView};
use casemate_primitives::{LeaseId, ReplicaIndex, Schedule, UnixSeconds};
use casemate_schedule::Timetable;

use super::step::{ReplicaView, Step, attest, renewal};
use crate::{reconciler::run_pod, world::World};

/// How much time is left for a run to begin when it is tried: a transaction takes blocks to be in one.
const BEGIN_MARGIN_SECONDS: u64 = 5;

/// How many times of a calendar are stepped over at once: a day and more of one for each minute.
const MISSED_MAX: usize = 2_000;

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
    is_free: &dyn Fn(ReplicaIndex) -> bool,
    now: UnixSeconds,
) -> Option<Step> {
    let LeaseTask { task, open } = lease.task.as_deref()?;
    if matches!(lease.state, LeaseState::Closing { .. }) || task.stopped_at.is_some() {
        return None;
    }
    // One that this daemon can't read is nobody's to run.
    let timetable = Timetable::new(task.schedule.clone(), task.since).ok()?;
    let late = u64::from(task.terms.start_seconds_max);
    // What a slot is reserved for can be paid: the runs that are open, and this one.
    let owed =
        open.iter().fold(task.terms.budget_per_run, |sum, run| sum.saturating_add(run.budget));
    let is_funded = lease.escrow >= owed;
    let newest_missed = now.saturating_sub(late);
    let (missed, next) = after_missed(task, &timetable, newest_missed);
    if let Some(missed) = missed {
        // The chain has no calendar: of many missed times the newest is recorded.
        let scheduled_at = Some(missed);
        return Some(Step::Missed { lease: lease.id, task: task.id, scheduled_at });
    }
    let margin = BEGIN_MARGIN_SECONDS.min(late / 2);
    let due = next.filter(|at| *at <= now && at.saturating_add(late) >= now.saturating_add(margin));
    if let Some(scheduled_at) = due.filter(|_| is_funded) {
        let is_taken = |replica| open.iter().any(|run| run.replica == replica);
        let replica =
            (0..lease.replicas).find(|replica| !is_taken(*replica) && is_free(*replica))?;
        return Some(Step::Begin { lease: lease.id, replica, scheduled_at, terms: task.terms });
    }
    // The next run records what was skipped before it; a task that runs once has no next one.
    let is_missed = is_over(task, late, now);
    is_missed.then_some(Step::Missed { lease: lease.id, task: task.id, scheduled_at: None })
}

/// The newest time of a calendar before `earliest`, and the first scheduled time from then on. The chain
/// counts what other schedules have missed by itself.
fn after_missed(
    task: &TaskView,
    timetable: &Timetable,
    earliest: UnixSeconds,
) -> (Option<UnixSeconds>, Option<UnixSeconds>) {
    if !matches!(task.schedule, Schedule::Cron { .. }) {
        return (None, timetable.next(task.last.max(earliest.checked_sub(1))));
    }
    let (mut missed, mut next) = (None, timetable.next(task.last));
    for _ in 0..MISSED_MAX {
        match next.filter(|at| *at < earliest) {
            Some(at) => (missed, next) = (Some(at), timetable.next(Some(at))),
            None => break,
        }
    }
    (missed, next)
}

fn is_over(task: &TaskView, late: u64, now: UnixSeconds) -> bool {
    let Some(before) = now.checked_sub(late) else { return false };
    matches!(task.schedule, Schedule::Once { .. })
        && task.schedule.skipped(task.since, task.last, before).is_some()
}

#[cfg(test)]
mod tests;
