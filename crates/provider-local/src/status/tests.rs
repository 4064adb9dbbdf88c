use std::collections::BTreeMap;

use casemate_primitives::LeaseId;
use casemate_provider_core::{
    Attestation, PodId, PodStatus,
    plan::{Action, DeleteReason, DesiredLease, History, Input, Wanted, plan},
};

use super::*;

fn container(state: ContainerState, ready: bool) -> ContainerStatus {
    ContainerStatus { name: "c".into(), state, restarts: 0, ready }
}

#[test]
fn phases() {
    let up = || container(ContainerState::Running, true);
    let waiting = || container(ContainerState::Waiting, false);
    let done = |exit_code| container(ContainerState::Exited { exit_code }, false);
    let pause = || container(ContainerState::BackOff { exit_code: 1 }, false);
    let running = |ready| Some(PodPhase::Running { ready });
    for (containers, lives, expected) in [
        (vec![up()], vec![true], running(true)),
        (vec![waiting()], vec![true], running(false)),
        (vec![up(), pause()], vec![true, true], running(false)),
        // An agent that was killed.
        (vec![up()], vec![false], None),
        (vec![up(), up()], vec![true, false], None),
        // The app has ended for good: the signer's, another's with and without success.
        (vec![done(0)], vec![false], None),
        (vec![up(), done(0)], vec![true, false], running(true)),
    ] {
        let phase = phase(&containers, &lives, false, false);
        match expected {
            Some(expected) => assert_eq!(phase, expected, "{containers:?}"),
            None => assert!(matches!(phase, PodPhase::Failed(_)), "{containers:?}: {phase:?}"),
        }
    }
    for (containers, lives, has_ended) in [
        // The signer serves evidence on; where it does not, all the same.
        (vec![done(0)], vec![true], true),
        (vec![done(3), up()], vec![false, true], true),
        (vec![up(), done(2)], vec![true, false], false),
    ] {
        let phase = phase(&containers, &lives, has_ended, false);
        assert!(matches!(phase, PodPhase::Ended(_)), "{containers:?}: {phase:?}");
    }
}

#[test]
fn a_run_that_has_ended_is_there_as_long_as_its_agent() {
    let done = [container(ContainerState::Exited { exit_code: 3 }, false)];
    let of_run = |lives, has_ended| phase(&done, &[lives], has_ended, true);
    assert_eq!(of_run(true, true), PodPhase::Running { ready: false });
    assert_eq!(of_run(true, false), PodPhase::Running { ready: false }, "it is about to sign");
    // What has signed its result is run again only where nobody can attest its key any more.
    assert!(matches!(of_run(false, true), PodPhase::Ended(_)));
    assert!(matches!(of_run(false, false), PodPhase::Failed(_)));
    let of_service = phase(&done, &[true], false, false);
    assert!(matches!(of_service, PodPhase::Failed(_)), "of a service it is over");
}

#[test]
fn a_signed_result_whose_agent_died_before_it_was_attested_is_made_again() {
    let key = [7; 32];
    let id = PodId { lease: LeaseId(1), replica: 0, version: 3 };
    let containers = vec![container(ContainerState::Exited { exit_code: 0 }, false)];
    let pod = PodStatus {
        id,
        phase: phase(&containers, &[false], true, true),
        agent_key: Some(key),
        address: None,
        attestation: Attestation::Off,
        containers,
    };
    let task = DesiredLease {
        version: 1,
        replicas: 1,
        wanted: Wanted::Run,
        retry_failed: true,
        is_task: true,
    };
    let history = History { retry_at: [(id, 99)].into(), ..History::default() };
    let actions = |attested: &[[u8; 32]]| {
        plan(&Input {
            leases: Some(&BTreeMap::from([(id.lease, task)])),
            runs: &[id].into(),
            attested: &attested.iter().map(|key| (id.lease, 0, *key)).collect(),
            pods: std::slice::from_ref(&pod),
            had_pods: &[id.lease].into(),
            history: &history,
            now: 100,
            update_seconds_max: 60,
        })
        .actions
    };
    assert_eq!(actions(&[]), [Action::Delete(id, DeleteReason::Retried)]);
    assert_eq!(actions(&[key]), [], "its result is submitted without it");
}

#[test]
fn who_waits_for_secrets_says_so_and_who_refuses_says_why() {
    let names = vec!["db".to_owned()];
    let fold = ContainerFold { awaits: Some(names.clone()), ..ContainerFold::default() };
    let status = container_status("c", Some(&fold));
    assert_eq!(status.state, ContainerState::AwaitingSecrets { names });
    assert_eq!(phase(&[status], &[true], false, false), PodPhase::Running { ready: false });
    assert_eq!(refusal("c", &fold), None);
    let fold = ContainerFold { refused: Some("why".into()), ..ContainerFold::default() };
    let told = refusal("c", &fold).unwrap();
    assert!(told.contains("`c`") && told.contains("why"), "{told}");
}
