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
        (vec![up(), done(2)], vec![true, false], None),
    ] {
        let phase = phase(&containers, &lives);
        match expected {
            Some(expected) => assert_eq!(phase, expected, "{containers:?}"),
            None => assert!(matches!(phase, PodPhase::Failed(_)), "{containers:?}: {phase:?}"),
        }
    }
}
