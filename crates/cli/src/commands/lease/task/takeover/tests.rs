use super::*;
use crate::{
    commands::lease::{task::testing::task, testing::PUBLISHER},
    failure::Report,
};

const HASH: Hash256 = [3; 32];

fn deployment() -> DeploymentView {
    DeploymentView {
        id: task().id,
        publisher: PUBLISHER,
        manifest_hash: HASH,
        manifest_size: 1,
        version: 1,
        stopped: false,
        live_leases: 1,
    }
}

fn told(result: anyhow::Result<Option<String>>) -> String {
    let report = Report::of(&result.unwrap_err());
    format!("{} | {}", report.causes.join(": "), report.hint.unwrap())
}

#[test]
fn an_edited_manifest_is_refused_before_anything_is_closed() {
    let (task, deployment) = (task(), deployment());
    let same = (task.schedule.clone(), task.terms);
    assert_eq!(check(&task, Some(&deployment), &same, &HASH).unwrap(), None);
    let edited = told(check(&task, Some(&deployment), &same, &[4; 32]));
    assert!(edited.contains("nothing was changed") && edited.contains("by its digest"), "{edited}");
    assert!(!edited.contains("instead of"), "{edited}");
    let other = (Schedule::Every { seconds: 60 }, task.terms);
    let edited = told(check(&task, Some(&deployment), &other, &[4; 32]));
    assert!(edited.contains("every 10 s instead of every 60 s"), "{edited}");
    assert!(edited.contains("casemate task set-schedule 1"), "{edited}");
}

#[test]
fn a_schedule_that_was_set_by_hand_stays_and_is_told() {
    let set = TaskView { schedule: Schedule::Every { seconds: 60 }, ..task() };
    let file = (task().schedule, task().terms);
    let note = check(&set, Some(&deployment()), &file, &HASH).unwrap().unwrap();
    assert!(note.contains("keeps") && note.contains("every 60 s"), "{note}");
}

#[test]
fn a_stopped_task_takes_no_new_lease() {
    let file = (task().schedule, task().terms);
    let stopped = TaskView { stopped_at: Some(1), ..task() };
    assert!(told(check(&stopped, Some(&deployment()), &file, &HASH)).contains("is stopped"));
    let ended = DeploymentView { stopped: true, ..deployment() };
    assert!(told(check(&task(), Some(&ended), &file, &HASH)).contains("is stopped"));
    assert!(told(check(&task(), None, &file, &HASH)).contains("leave out --task"));
}
