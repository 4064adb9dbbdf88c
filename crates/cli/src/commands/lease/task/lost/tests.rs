use casemate_primitives::EndReason;

use super::*;
use crate::{
    commands::lease::task::testing::{open_run, task},
    failure::Report,
};

#[test]
fn runs_of_ended_leases_and_past_their_time_are_lost_and_no_others() {
    let ended = LeaseStage::Ended { at: 1, reason: EndReason::Stopped };
    let closing = LeaseStage::Closing { at: 1, until: 9, reason: EndReason::Stopped };
    let stages = Stages::from([
        (LeaseId(1), Some(LeaseStage::Active)),
        (LeaseId(2), Some(closing)),
        (LeaseId(3), Some(ended)),
        (LeaseId(4), None),
    ]);
    let open: Vec<OpenRunView> = (1..=5).map(|lease| open_run(lease, lease, 1_000)).collect();
    let runs = |now| lost(&open, &stages, now).iter().map(|run| run.run.0).collect::<Vec<_>>();
    // A closing lease still takes its last results; of the fifth nobody has looked.
    assert_eq!(runs(1_100), [3, 4]);
    assert_eq!(runs(1_101), [1, 2, 3, 4, 5]);
}

#[test]
fn who_waits_is_told_until_when() {
    let task = TaskView { open: 2, ..task() };
    let open = [open_run(7, 1, 1_000), open_run(8, 2, 2_000)];
    let error = waits(&task, &open, "casemate task stop 1 --forget").into_error();
    let hint = Report::of(&error).hint.unwrap();
    assert!(hint.contains("1970-01-01T00:35:00Z") && hint.contains("lease 8"), "{hint}");
    assert!(hint.ends_with("casemate task stop 1 --forget"), "{hint}");
}
