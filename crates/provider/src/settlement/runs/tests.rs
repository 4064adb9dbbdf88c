use casemate_client::chain::{AgentView, OpenRunView};
use casemate_primitives::{DeploymentId, RunId, TaskTerms};

use super::*;
use crate::settlement::{PodView, tests::lease};

const SINCE: UnixSeconds = 1_000_000;
const TERMS: TaskTerms =
    TaskTerms { budget_per_run: 100, deadline_seconds: 60, start_seconds_max: 60 };

fn open(replica: ReplicaIndex, run: u64) -> OpenRunView {
    OpenRunView {
        lease: LeaseId(1),
        replica,
        run: RunId(run),
        scheduled_at: SINCE,
        begun_at: SINCE,
        budget: 100,
        until: SINCE + 3_660,
    }
}

fn lease_with(schedule: Schedule, last: Option<UnixSeconds>, open: Vec<OpenRunView>) -> LeaseView {
    let mut lease = lease(LeaseState::Active);
    (lease.escrow, lease.replicas) = (1_000, 2);
    let task = TaskView {
        id: DeploymentId(5),
        publisher: lease.publisher,
        schedule,
        since: SINCE,
        last,
        terms: TERMS,
        lease: None,
        runs: 0,
        open: 0,
        missed: 0,
        stopped_at: None,
    };
    lease.is_task = true;
    lease.task = Some(Box::new(LeaseTask { task, open }));
    lease
}

fn every() -> Schedule {
    Schedule::Every { seconds: 100 }
}

fn next(lease: &LeaseView, now: UnixSeconds) -> Option<Step> {
    next_run(lease, &|_| true, now)
}

fn begin(lease: &LeaseView, replica: ReplicaIndex, scheduled_at: UnixSeconds) -> Option<Step> {
    Some(Step::Begin { lease: lease.id, replica, scheduled_at, terms: TERMS })
}

#[test]
fn a_due_run_begins_in_a_free_slot() {
    let lease = lease_with(every(), None, vec![open(0, 1)]);
    assert_eq!(next(&lease, SINCE), begin(&lease, 1, SINCE));
    let lease = lease_with(every(), Some(SINCE), Vec::new());
    assert_eq!(next(&lease, SINCE + 99), None);
    assert_eq!(next(&lease, SINCE + 100), begin(&lease, 0, SINCE + 100));
    let full = lease_with(every(), None, vec![open(0, 1), open(1, 2)]);
    assert_eq!(next(&full, SINCE), None);
    assert_eq!(next_run(&lease, &|_| false, SINCE + 100), None, "the last pod is still there");
}

#[test]
fn what_is_too_late_is_skipped() {
    let lease = lease_with(every(), Some(SINCE), Vec::new());
    assert_eq!(next(&lease, SINCE + 555), begin(&lease, 0, SINCE + 500));
    assert_eq!(next(&lease, SINCE + 556), None, "it would be refused by the time it is in a block");
    assert_eq!(next(&lease, SINCE + 600), begin(&lease, 0, SINCE + 600));
}

#[test]
fn nothing_begins_without_the_money_for_all_that_is_open() {
    let mut lease = lease_with(every(), None, vec![open(0, 1)]);
    lease.escrow = 199;
    assert_eq!(next(&lease, SINCE), None);
    lease.escrow = 200;
    assert_eq!(next(&lease, SINCE), begin(&lease, 1, SINCE));
}

#[test]
fn nothing_begins_once_it_is_stopped_or_closed() {
    let mut lease = lease_with(every(), None, Vec::new());
    lease.task.as_mut().unwrap().task.stopped_at = Some(SINCE);
    assert_eq!(next(&lease, SINCE), None);
    let mut lease = lease_with(every(), None, Vec::new());
    let reason = casemate_primitives::EndReason::Stopped;
    lease.state = LeaseState::Closing { at: SINCE, until: SINCE + 60, reason };
    assert_eq!(next(&lease, SINCE), None);
}

#[test]
fn a_single_run_that_was_missed_is_recorded() {
    let lease = lease_with(Schedule::Once { at: None }, None, Vec::new());
    assert_eq!(next(&lease, SINCE + 10), begin(&lease, 0, SINCE));
    assert_eq!(next(&lease, SINCE + 60), None);
    let missed = Step::Missed { lease: lease.id, task: DeploymentId(5), scheduled_at: None };
    assert_eq!(next(&lease, SINCE + 61), Some(missed));
    let done = lease_with(Schedule::Once { at: None }, Some(SINCE), Vec::new());
    assert_eq!(next(&done, SINCE + 100), None);
}

#[test]
fn of_a_calendar_the_newest_missed_time_is_recorded_first() {
    let cron = Schedule::Cron {
        expression: b"*/5 * * * *".to_vec().try_into().unwrap(),
        time_zone: b"UTC".to_vec().try_into().unwrap(),
        seconds_min: 300,
    };
    // 999_900 is a whole number of five minutes.
    let due = 999_900 + 300;
    let lease = lease_with(cron.clone(), None, Vec::new());
    assert_eq!(next(&lease, due + 1), begin(&lease, 0, due));
    let missed = |at| {
        let scheduled_at = Some(at);
        Some(Step::Missed { lease: lease.id, task: DeploymentId(5), scheduled_at })
    };
    assert_eq!(next(&lease, due + 300 * 10 + 61), missed(due + 300 * 10));
    let lease = lease_with(cron, Some(due + 300 * 10), Vec::new());
    assert_eq!(next(&lease, due + 300 * 11), begin(&lease, 0, due + 300 * 11));
}

#[test]
fn a_run_is_attested_then_submitted_then_lost() {
    let lease = lease_with(every(), Some(SINCE), vec![open(0, 4)]);
    let task = lease.task.as_deref().unwrap();
    let key = [7; 32];
    let mut view = ReplicaView::default();
    assert_eq!(slot_steps(&lease, task, &view, SINCE), []);
    let pod = |version, key| PodView { version, key, ..PodView::default() };
    view.pods = vec![pod(3, Some([1; 32])), pod(4, Some(key))];
    assert_eq!(slot_steps(&lease, task, &view, SINCE), [], "it shows no evidence yet");
    let agent = AgentView {
        replica: 0,
        key,
        sequence: 0,
        claimed_to: SINCE,
        claimed_total: Default::default(),
        log: Default::default(),
        standing: None,
        ended_version: None,
    };
    view.agent = Some(agent);
    // The result of the run before is not this one's.
    view.ended_run = Some(RunId(3));
    assert_eq!(slot_steps(&lease, task, &view, SINCE), []);
    view.ended_run = Some(RunId(4));
    let submit = Step::Submit { key: (lease.id, 0, key) };
    assert_eq!(slot_steps(&lease, task, &view, SINCE), std::slice::from_ref(&submit));
    // Also while its lease closes.
    let mut closing = lease.clone();
    let reason = casemate_primitives::EndReason::Stopped;
    closing.state = LeaseState::Closing { at: SINCE, until: SINCE + 60, reason };
    assert_eq!(slot_steps(&closing, task, &view, SINCE), [submit]);
    let lost = Step::Lost { lease: lease.id, replica: 0 };
    assert_eq!(slot_steps(&lease, task, &view, SINCE + 3_661), [lost]);
}
