use casemate_primitives::{LeaseId, RunId};

use super::*;
use crate::commands::lease::task::testing::{ended, open_run, task};

/// Every minute, from 1,020 on.
fn calendar() -> TaskView {
    let schedule = Schedule::Cron {
        expression: b"* * * * *".to_vec().try_into().unwrap(),
        time_zone: b"UTC".to_vec().try_into().unwrap(),
        seconds_min: 60,
    };
    TaskView { schedule, ..task() }
}

fn gap(count: u64, first: UnixSeconds) -> Gap {
    Gap { count, first }
}

#[test]
fn a_provider_that_leaves_out_every_second_run_is_seen() {
    let task = TaskView { runs: 3, open: 1, ..calendar() };
    let history = [ended(1, 1_020), ended(2, 1_140)];
    let open = [open_run(7, 3, 1_260)];
    assert_eq!(gaps(&task, &open, &history, 1_262), [gap(1, 1_080), gap(1, 1_200)]);
    // One that ran before, and was left out at the beginning.
    assert_eq!(
        gaps(&task, &[open_run(7, 3, 1_260)], &[ended(1, 1_140), ended(2, 1_200)], 1_262),
        [gap(2, 1_020)]
    );
}

#[test]
fn a_missed_time_that_was_invented_or_left_uncounted_hides_no_other() {
    let task = TaskView { runs: 2, missed: 1, ..calendar() };
    let invented = RunEntry::Missed { count: 1, first: 1_070, last: 1_070 };
    let history = [ended(1, 1_020), invented, ended(2, 1_140)];
    assert_eq!(gaps(&task, &[], &history, 1_142), [gap(1, 1_080)]);
    // Two are named of four that follow one another.
    let task = TaskView { runs: 2, missed: 2, ..calendar() };
    let named = RunEntry::Missed { count: 2, first: 1_080, last: 1_260 };
    let history = [ended(1, 1_020), named, ended(2, 1_320)];
    assert_eq!(gaps(&task, &[], &history, 1_322), [gap(2, 1_140)]);
}

#[test]
fn what_is_run_missed_or_still_to_be_run_is_no_gap() {
    let missed = RunEntry::Missed { count: 2, first: 1_010, last: 1_020 };
    let lost = RunEntry::Lost { run: RunId(2), lease: LeaseId(7), scheduled_at: 1_030 };
    let task = TaskView { runs: 2, missed: 2, ..task() };
    let history = [ended(1, 1_000), missed, lost];
    assert!(gaps(&task, &[], &history, 1_045).is_empty());
    // Five seconds late is the latest.
    assert_eq!(gaps(&task, &[], &history, 1_046), [gap(1, 1_040)]);
    assert_eq!(gaps(&task, &[], &history, 1_076), [gap(4, 1_040)]);
    let stopped = TaskView { stopped_at: Some(1_050), ..task.clone() };
    assert_eq!(gaps(&stopped, &[], &history, 9_999), [gap(1, 1_040)]);
    // Another schedule's times are not this one's.
    let since = TaskView { since: 1_035, runs: 2, ..calendar() };
    assert_eq!(gaps(&since, &[], &history, 1_150), [gap(2, 1_080)]);
}

#[test]
fn where_entries_were_dropped_nothing_is_claimed() {
    // Run 2 is not kept any more, and it isn't known when it was.
    let task = TaskView { runs: 4, ..calendar() };
    let history = [ended(1, 1_020), ended(3, 1_200), ended(4, 1_320)];
    assert_eq!(gaps(&task, &[], &history, 1_322), [gap(1, 1_260)]);
    // The newest is not there: nothing is sure but what follows the last time that the chain names.
    let newer = TaskView { runs: 5, last: Some(1_440), ..task };
    assert!(gaps(&newer, &[], &history, 1_450).is_empty());
    // A missed time was dropped.
    let missed = TaskView { runs: 2, missed: 1, ..calendar() };
    let history = [ended(1, 1_020), ended(2, 1_200)];
    assert_eq!(gaps(&missed, &[], &history, 1_202), [gap(2, 1_080)]);
}

#[test]
fn a_schedule_that_runs_once_has_one_time() {
    let once = TaskView { schedule: Schedule::Once { at: None }, ..task() };
    assert!(gaps(&once, &[], &[], 1_005).is_empty());
    assert_eq!(gaps(&once, &[], &[], 1_006), [gap(1, 1_000)]);
    assert!(gaps(&TaskView { runs: 1, ..once }, &[], &[ended(1, 1_000)], 2_000).is_empty());
}
