use casemate_primitives::task::PERIOD_SECONDS_MIN;

use super::{testing::task, *};
use crate::{asset::NATIVE, commands::lease::testing::lease, failure::Report};

fn once() -> TaskView {
    let schedule = Schedule::Once { at: None };
    TaskView { schedule, last: Some(1_000), runs: 1, ..task() }
}

fn told(result: anyhow::Result<()>) -> String {
    let report = Report::of(&result.unwrap_err());
    format!("{} | {}", report.causes.join(": "), report.hint.unwrap())
}

#[test]
fn a_run_is_asked_for_only_where_it_would_begin() {
    const NOW: UnixSeconds = 2_000;
    check_run(&once(), Some(&lease(100)), &NATIVE, NOW).unwrap();
    let nobody = told(check_run(&once(), None, &NATIVE, NOW));
    assert!(nobody.contains("no lease runs task 1 | ") && nobody.contains("--task 1"), "{nobody}");
    let poor = told(check_run(&once(), Some(&lease(99)), &NATIVE, NOW));
    assert!(poor.contains("casemate task recharge 1 AMOUNT"), "{poor}");
    let open = TaskView { open: 1, ..once() };
    assert!(told(check_run(&open, Some(&lease(100)), &NATIVE, NOW)).contains("is open"));
    let stopped = TaskView { stopped_at: Some(1), ..once() };
    assert!(told(check_run(&stopped, Some(&lease(100)), &NATIVE, NOW)).contains("is stopped"));
    // One that is due may still begin; one that nobody began in time is asked for again.
    let due = TaskView { last: None, runs: 0, ..once() };
    assert!(told(check_run(&due, Some(&lease(100)), &NATIVE, 1_005)).contains("about to begin"));
    check_run(&due, Some(&lease(100)), &NATIVE, 1_006).unwrap();
}

#[test]
fn the_lease_that_began_the_last_run_is_the_live_one_and_no_closed_one_is() {
    let other = LeaseView { id: LeaseId(6), ..lease(1) };
    let elsewhere = LeaseView { id: LeaseId(5), deployment: DeploymentId(9), ..lease(1) };
    let leases = [elsewhere.clone(), other.clone(), lease(1)];
    assert_eq!(live(&leases, &once()).unwrap().id, LeaseId(7));
    let reason = casemate_primitives::EndReason::Stopped;
    let closing = LeaseState::Closing { at: 1, until: 2, reason };
    let closed = LeaseView { state: closing, ..lease(1) };
    assert_eq!(live(&[elsewhere.clone(), other, closed], &once()).unwrap().id, LeaseId(6));
    assert!(live(&[elsewhere], &once()).is_none());
}

fn manifest(spec: &str) -> Manifest {
    let text = format!(
        "apiVersion: casemate.io/v1\nkind: Task\nmetadata: {{name: x}}\nspec:\n  task: \
         {{deadlineSeconds: 60, {spec}}}\n  containers:\n  - name: x\n    image: x.example/x:1\n    \
         resources: {{cpu: 100m, memory: 32Mi, storage: 16Mi}}\n"
    );
    Manifest::parse(&text).unwrap()
}

#[test]
fn what_the_chain_would_refuse_of_a_manifest_is_told_before_anything_is_asked() {
    let wanted = |spec: &str| wanted(&manifest(spec), &NATIVE, 1_000);
    let (schedule, terms) = wanted("runBudget: \"0.5\"").unwrap().unwrap();
    assert_eq!(schedule, Schedule::Once { at: None });
    assert_eq!(terms.budget_per_run, 500_000_000_000);
    let cron = "runBudget: \"1\", schedule: {cron: \"*/5 * * * *\", timeZone: Europe/Berlin}";
    let (schedule, _) = wanted(cron).unwrap().unwrap();
    let Schedule::Cron { seconds_min, .. } = schedule else { panic!("{schedule:?}") };
    assert!(seconds_min > PERIOD_SECONDS_MIN, "{seconds_min}");
    for bad in [
        "runBudget: \"1\", schedule: {cron: \"0 0 30 2 *\"}",
        "runBudget: \"1\", schedule: {cron: \"0 0 * * *\", timeZone: Europe/Nowhere}",
    ] {
        assert_eq!(Report::of(&wanted(bad).unwrap_err()).exit_code, 2, "{bad}");
    }
    // Twelve decimals are the native token's; an asset has fewer.
    let fine = manifest("runBudget: \"0.000000000001\"");
    assert!(super::wanted(&fine, &NATIVE, 1_000).is_ok());
    let listed = Unit::of_tests();
    let error = super::wanted(&fine, &listed, 1_000).unwrap_err();
    assert!(Report::of(&error).hint.unwrap().contains("runBudget"));
}
