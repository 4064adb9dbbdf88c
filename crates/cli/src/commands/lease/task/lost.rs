//! Runs that can have no result any more: as long as nobody says so on chain they hold their slot, and
//! keep their task from being run again and forgotten.

use std::collections::BTreeMap;

use casemate_client::chain::{Call, LeaseStage, OpenRunView, TaskView};
use casemate_primitives::{LeaseId, UnixSeconds};

use super::find;
use crate::{
    chain_ops::Chain,
    commands::attest::rfc3339,
    context::{Context, Signer},
    failure::Failure,
};

/// How the leases of runs stand; `None` where a lease is forgotten.
type Stages = BTreeMap<LeaseId, Option<LeaseStage>>;

/// Has the chain record what is lost of a task's runs, and returns the task after that, with what is
/// open still.
pub(in crate::commands::lease) async fn record_lost(
    context: &Context,
    chain: &Chain,
    signer: &Signer,
    task: TaskView,
) -> anyhow::Result<(TaskView, Vec<OpenRunView>)> {
    if task.open == 0 {
        return Ok((task, Vec::new()));
    }
    let open = chain.client().open_runs_of(&task).await?;
    let mut stages = Stages::new();
    for run in &open {
        let details = chain.client().lease_details(run.lease).await?;
        stages.insert(run.lease, details.map(|details| details.stage));
    }
    let lost = lost(&open, &stages, chain.time().await?);
    if lost.is_empty() {
        return Ok((task, open));
    }
    for run in lost {
        let call = Call::RecordLost { lease: run.lease, replica: run.replica };
        if let Err(error) = chain.call(signer, call).await {
            // Anyone may do it, its provider too: somebody may have been faster.
            let still = chain.client().open_runs(run.lease).await?;
            if still.iter().any(|other| other.run == run.run) {
                return Err(error);
            }
        }
        context.printer.note(format!(
            "Run {} of task {} is lost: it has no result, and nothing is paid for it",
            run.run, task.id
        ));
    }
    let task = find(chain, task.id).await?;
    let open = chain.client().open_runs_of(&task).await?;
    Ok((task, open))
}

/// Those that the chain takes for lost at `now`: their lease has ended, or their time is over.
fn lost<'a>(open: &'a [OpenRunView], stages: &Stages, now: UnixSeconds) -> Vec<&'a OpenRunView> {
    let is_ended = |lease| match stages.get(lease) {
        // Nobody has looked.
        None => false,
        Some(stage) => stage.is_none_or(|stage| matches!(stage, LeaseStage::Ended { .. })),
    };
    open.iter().filter(|run| now > run.until || is_ended(&run.lease)).collect()
}

/// Why a task's open runs are waited for, and until when at the latest.
pub(super) fn waits(task: &TaskView, open: &[OpenRunView], then: &str) -> Failure {
    let failure = Failure::new(format!("{} runs of task {} are open", task.open, task.id));
    match open.iter().max_by_key(|run| run.until) {
        None => failure.hint(format!("look again: casemate task runs {}", task.id)),
        Some(last) => failure.hint(format!(
            "wait for their results, at the latest until {} or until lease {} is settled; then: {then}",
            rfc3339(last.until),
            last.lease
        )),
    }
}

#[cfg(test)]
mod tests;
