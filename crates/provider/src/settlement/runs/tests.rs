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
        manifest_hash: lease(LeaseState::Active).manifest_hash,
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
        last_begun: last,
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

/// A task that is due each hundred seconds, since long before the tests of the settler as a whole.
pub(in crate::settlement) fn task_lease(escrow: Balance) -> LeaseView {
    let mut lease = lease_with(every(), None, Vec::new());
    lease.escrow = escrow;
    lease.task.as_mut().unwrap().task.since = 0;
    lease
}

fn every() -> Schedule {
    Schedule::Every { seconds: 100 }
}

const AGREED: Result<Agreed, &str> = Ok(Agreed { deadline_seconds: 60, budget: 100, cost: 90 });

fn due(
    lease: &LeaseView,
    agreed: Result<Agreed, &'static str>,
    is_free: bool,
    now: UnixSeconds,
) -> Next {
    let mut timetables = Timetables::default();
    let task = &lease.task.as_ref().unwrap().task;
    let timetable = timetables.of(lease.id, task);
    next_run(lease, timetable, agreed, &|_| is_free, now)
}

/// The call, where all is as agreed.
fn next(lease: &LeaseView, now: UnixSeconds) -> Option<Step> {
    match due(lease, AGREED, true, now) {
        Next::Wait => None,
        Next::Call(step) => Some(step),
        Next::Held(why) => panic!("{why}"),
    }
}

fn why(next: Next) -> String {
    let Next::Held(why) = next else { panic!("{next:?}") };
    why
}

fn cron(expression: &str) -> Schedule {
    Schedule::Cron {
        expression: expression.as_bytes().to_vec().try_into().unwrap(),
        time_zone: b"UTC".to_vec().try_into().unwrap(),
        seconds_min: 300,
    }
}

fn begin(lease: &LeaseView, replica: ReplicaIndex, scheduled_at: UnixSeconds) -> Option<Step> {
    let manifest_hash = lease.manifest_hash;
    Some(Step::Begin { lease: lease.id, replica, scheduled_at, terms: TERMS, manifest_hash })
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
    let busy = due(&lease, AGREED, false, SINCE + 100);
    assert_eq!(busy, Next::Wait, "the last pod is still there");
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
    let told = why(due(&lease, AGREED, true, SINCE));
    assert!(told.contains("recharge"), "{told}");
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

/// 999_900 is a whole number of five minutes.
const DUE: UnixSeconds = 999_900 + 300;

/// The lease that runs the task has a miss of ten times behind it.
fn after_misses(lease: Option<LeaseId>) -> LeaseView {
    let mut view = lease_with(cron("*/5 * * * *"), Some(DUE), Vec::new());
    view.task.as_mut().unwrap().task.lease = lease;
    view
}

fn missed(at: UnixSeconds) -> Option<Step> {
    Some(Step::Missed { lease: LeaseId(1), task: DeploymentId(5), scheduled_at: Some(at) })
}

#[test]
fn of_a_calendar_the_newest_missed_time_is_recorded() {
    let lease = lease_with(cron("*/5 * * * *"), None, Vec::new());
    assert_eq!(next(&lease, DUE + 1), begin(&lease, 0, DUE));
    let lease = after_misses(Some(lease.id));
    let newest = DUE + 300 * 10;
    assert_eq!(next(&lease, newest + 60), None, "the chain does not take the newest yet");
    assert_eq!(next(&lease, newest + 61), missed(newest));
}

/// The chain takes missed times of a cron from its publisher, and from who has begun the last run.
#[test]
fn who_takes_a_calendar_over_begins_at_the_next_time() {
    for before in [None, Some(LeaseId(99)), Some(LeaseId(1))] {
        let lease = after_misses(before);
        let due = DUE + 3_600;
        assert_eq!(next(&lease, due + 1), begin(&lease, 0, due), "{before:?}: a run comes first");
        let own = before == Some(lease.id);
        assert_eq!(next(&lease, due + 61), missed(due).filter(|_| own), "{before:?}");
    }
}

/// Whoever ran the task before may have said that a time was missed which the schedule does not have.
#[test]
fn an_invented_missed_time_keeps_no_run_from_its_time() {
    let mut lease = after_misses(Some(LeaseId(99)));
    lease.task.as_mut().unwrap().task.last = Some(DUE + 299);
    assert_eq!(next(&lease, DUE + 301), begin(&lease, 0, DUE + 300));
    // What was missed is not begun all the same.
    lease.task.as_mut().unwrap().task.last = Some(DUE + 300);
    assert_eq!(next(&lease, DUE + 301), None);
    let mut every = lease_with(every(), Some(SINCE + 200), Vec::new());
    every.task.as_mut().unwrap().task.last_begun = None;
    assert_eq!(next(&every, SINCE + 201), None);
    assert_eq!(next(&every, SINCE + 300), begin(&every, 0, SINCE + 300));
}

/// Each call costs a fee: one for all that was missed, once a run can begin again.
#[test]
fn missed_times_wait_for_a_slot_and_for_money() {
    let mut lease = after_misses(Some(LeaseId(1)));
    let now = DUE + 300 * 10 + 61;
    assert_eq!(due(&lease, AGREED, false, now), Next::Wait);
    lease.escrow = 99;
    assert_eq!(due(&lease, AGREED, true, now), Next::Wait);
    assert!(matches!(due(&lease, AGREED, true, DUE + 300 * 11), Next::Held(_)));
}

/// A publisher sets them on chain when the lease is open already.
#[test]
fn nothing_begins_for_terms_below_the_manifests() {
    let mut lease = lease_with(every(), None, Vec::new());
    let with = |lease: &mut LeaseView, terms| lease.task.as_mut().unwrap().task.terms = terms;
    with(&mut lease, TaskTerms { budget_per_run: 1, ..TERMS });
    let told = why(due(&lease, AGREED, true, SINCE));
    assert!(told.contains("runBudget"), "{told}");
    assert!(is_idle(&lease, AGREED));
    // Also where an updated manifest asks for no more.
    let cheap = Ok(Agreed { deadline_seconds: 60, budget: 1, cost: 90 });
    with(&mut lease, TaskTerms { budget_per_run: 89, ..TERMS });
    let told = why(due(&lease, cheap, true, SINCE));
    assert!(told.contains("what a run costs"), "{told}");
    assert!(is_idle(&lease, cheap));
    with(&mut lease, TaskTerms { deadline_seconds: 59, ..TERMS });
    let told = why(due(&lease, AGREED, true, SINCE));
    assert!(told.contains("deadlineSeconds"), "{told}");
    assert!(is_idle(&lease, AGREED));
    let more = TaskTerms { budget_per_run: 101, deadline_seconds: 61, ..TERMS };
    with(&mut lease, more);
    let step = Step::Begin {
        lease: lease.id,
        replica: 0,
        scheduled_at: SINCE,
        terms: more,
        manifest_hash: lease.manifest_hash,
    };
    assert_eq!(next(&lease, SINCE), Some(step));
    assert!(!is_idle(&lease, AGREED));
    let told = why(due(&lease, Err("its manifest is not here"), true, SINCE));
    assert!(told.contains("not here"), "{told}");
}

#[test]
fn what_is_agreed_is_the_manifests() {
    let manifest = |text: &str| casemate_manifest::Manifest::parse(text).unwrap();
    let task = manifest(
        "{apiVersion: casemate.io/v1, kind: Task, metadata: {name: a}, spec: {task: \
         {deadlineSeconds: 60, runBudget: \"0.5\"}, containers: [{name: a, image: r.example/a:1, \
         resources: {cpu: 1, memory: 64Mi, storage: 16Mi}}]}}",
    );
    let facts = Facts::of(&task);
    let mut lease = lease_with(every(), None, Vec::new());
    lease.resources = facts.resources;
    lease.terms.prices.cpu_millicore_second = 3;
    let agreed = |lease: &LeaseView, decimals| Agreed::of(lease, Some(&facts), decimals, 50);
    let found = agreed(&lease, Some(6)).unwrap();
    assert_eq!((found.deadline_seconds, found.budget), (60, 500_000));
    assert_eq!(found.cost, 1_000 * 3 * 60 / 2);
    assert!(agreed(&lease, None).unwrap_err().contains("asset"));
    assert!(agreed(&lease, Some(0)).unwrap_err().contains("runBudget"));
    assert!(Agreed::of(&lease, None, Some(6), 50).unwrap_err().contains("not here"));
    lease.terms.second_min = Balance::MAX;
    assert!(agreed(&lease, Some(6)).unwrap_err().contains("counted"));
}

#[test]
fn a_task_that_cannot_begin_is_idle() {
    let mut lease = lease_with(every(), None, Vec::new());
    assert!(!is_idle(&lease, AGREED));
    assert!(!is_idle(&lease, Err("its manifest is not here")), "that may be this provider's fault");
    lease.escrow = 99;
    assert!(is_idle(&lease, AGREED));
    lease.task.as_mut().unwrap().open = vec![open(0, 1)];
    assert!(!is_idle(&lease, AGREED), "the open run is paid for");
    let mut stopped = lease_with(every(), None, Vec::new());
    stopped.task.as_mut().unwrap().task.stopped_at = Some(SINCE);
    assert!(is_idle(&stopped, AGREED));
}

#[test]
fn a_schedule_that_is_not_known_here_is_told() {
    for expression in ["0 0 30 2 *", "nonsense"] {
        let lease = lease_with(cron(expression), None, Vec::new());
        let told = why(due(&lease, AGREED, true, SINCE));
        assert!(told.contains("tz database"), "{told}");
    }
}

#[test]
fn a_schedule_is_read_once_and_again_when_it_was_set_anew() {
    let mut timetables = Timetables::default();
    let mut lease = lease_with(cron("nonsense"), None, Vec::new());
    let task = &mut lease.task.as_mut().unwrap().task;
    assert!(timetables.of(LeaseId(1), task).is_err());
    task.schedule = every();
    let first = |timetable: &Result<Timetable, _>| timetable.as_ref().ok()?.next(None);
    assert_eq!(first(timetables.of(LeaseId(1), task)), Some(SINCE));
    task.since = SINCE + 7;
    assert_eq!(first(timetables.of(LeaseId(1), task)), Some(SINCE + 7));
    timetables.retain(|_| false);
    assert!(timetables.0.is_empty());
}

/// The chain expects the run's own manifest until it ends.
#[test]
fn an_update_leaves_an_open_run_its_evidence() {
    let mut lease = lease_with(every(), Some(SINCE), vec![open(0, 4)]);
    let agreed = lease.manifest_hash;
    lease.manifest_hash = [9; 32];
    let task = lease.task.as_deref().unwrap();
    let pod = crate::settlement::tests::pod(4, Some([7; 32]));
    let updated = PodView { manifest_hash: Some([9; 32]), ..pod };
    let view = |pod| ReplicaView { pods: vec![pod], ..ReplicaView::default() };
    let steps = slot_steps(&lease, task, &view(pod), SINCE);
    let [Step::Attest { manifest_hash, .. }] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(*manifest_hash, agreed);
    assert_eq!(slot_steps(&lease, task, &view(updated), SINCE), []);
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
