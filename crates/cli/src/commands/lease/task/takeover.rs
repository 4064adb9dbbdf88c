//! What has to hold before a task moves to another lease: once the one before is closed, its open runs
//! are ended.

use casemate_client::chain::{DeploymentView, TaskView};
use casemate_primitives::{Hash256, Schedule, TaskTerms};

use super::show::schedule_text;
use crate::failure::{Failure, fail};

/// Compares what is deployed with a task that is there; returns what the publisher should know.
///
/// # Errors
/// The chain would refuse a lease for it, or it would not run.
pub(in crate::commands::lease) fn check(
    task: &TaskView,
    deployment: Option<&DeploymentView>,
    wanted: &(Schedule, TaskTerms),
    hash: &Hash256,
) -> anyhow::Result<Option<String>> {
    let id = task.id;
    let deployment = deployment.filter(|deployment| !deployment.stopped);
    let Some(deployment) = deployment.filter(|_| task.stopped_at.is_none()) else {
        return fail(
            Failure::new(format!("task {id} is stopped: it runs no more"))
                .hint("deploy the manifest as a new task: leave out --task"),
        );
    };
    let (own, other) = (schedule_text(&task.schedule), schedule_text(&wanted.0));
    if deployment.manifest_hash != *hash {
        let schedule = match own == other {
            true => String::new(),
            false => format!(", and runs {own} instead of {other}"),
        };
        return fail(
            Failure::usage(format!(
                "task {id} was deployed with another manifest{schedule}; nothing was changed"
            ))
            .hint(format!(
                "take the manifest as it was deployed, with its --name and with the image by its \
                 digest, where a tag has moved; or change it under its lease: casemate update LEASE \
                 FILE; a schedule: casemate task set-schedule {id}; or deploy it as a new task, \
                 without --task"
            )),
        );
    }
    // The same manifest: another schedule was set by hand since.
    Ok((own != other).then(|| format!("Task {id} keeps the schedule that was set for it: {own}")))
}

#[cfg(test)]
mod tests;
