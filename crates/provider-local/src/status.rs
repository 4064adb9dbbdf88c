//! Where a pod stands, from what its agents have told and whether they live. Pure.

use casemate_provider_core::{ContainerState, ContainerStatus, PodPhase};

use crate::fold::{App, ContainerFold};

/// What a container's agent has told.
pub(crate) fn container_status(name: &str, fold: Option<&ContainerFold>) -> ContainerStatus {
    let fold = fold.cloned().unwrap_or_default();
    let state = match fold.app {
        App::Waiting => match fold.awaits {
            Some(names) => ContainerState::AwaitingSecrets { names },
            None => ContainerState::Waiting,
        },
        App::Running => ContainerState::Running,
        App::Ended(exit_code) => ContainerState::BackOff { exit_code },
        App::EndedForGood(exit_code) => ContainerState::Exited { exit_code },
    };
    ContainerStatus {
        name: name.to_owned(),
        ready: fold.ready && state == ContainerState::Running,
        state,
        restarts: fold.restarts,
    }
}

/// Why the pod can't go on, where an agent has refused what it was told to run.
pub(crate) fn refusal(name: &str, fold: &ContainerFold) -> Option<String> {
    let reason = fold.refused.as_ref()?;
    Some(format!("the agent of container `{name}` refuses to run and attest it: {reason}"))
}

/// Of a pod whose containers were all started. `has_ended` says whether the signer has signed that its
/// app, or the run that it `is_run`, has ended. The agent of a run lives on after that, so that its
/// evidence can be had.
pub(crate) fn phase(
    containers: &[ContainerStatus],
    lives: &[bool],
    has_ended: bool,
    is_run: bool,
) -> PodPhase {
    let ended = |c: &ContainerStatus| match c.state {
        ContainerState::Exited { exit_code } => Some(exit_code),
        _ => None,
    };
    let reason =
        |c: &ContainerStatus, code| format!("container `{}` ended with exit code {code}", c.name);
    for (index, (container, lives)) in containers.iter().zip(lives).enumerate() {
        match ended(container) {
            Some(_) if is_run && *lives => {}
            // The first one's agent signs: without it nothing is paid any more.
            Some(code) if index == 0 && !has_ended => {
                return PodPhase::Failed(format!(
                    "{}, and not by itself: by a signal, a stop or a probe",
                    reason(container, code)
                ));
            }
            Some(code) if code != 0 || index == 0 => {
                return PodPhase::Ended(reason(container, code));
            }
            Some(_) => {}
            None if !lives => {
                return PodPhase::Failed(format!(
                    "the agent of container `{}` was killed (by the machine's restart, by hand, or \
                     for lack of memory)",
                    container.name
                ));
            }
            None => {}
        }
    }
    // A container that has done its work and ended does not keep traffic from the others.
    let ready = containers.iter().all(|c| c.ready || (ended(c) == Some(0) && !is_run));
    PodPhase::Running { ready }
}

#[cfg(test)]
mod tests;
