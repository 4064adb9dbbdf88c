use proptest::prelude::*;

use super::*;

const NOW: UnixSeconds = 1000;
const UPDATE: u64 = 300;

fn id(lease: u64, replica: u16, version: u32) -> PodId {
    PodId { lease: LeaseId(lease), replica, version }
}

fn pod(id: PodId, phase: PodPhase) -> PodStatus {
    PodStatus {
        id,
        phase,
        agent_key: None,
        address: None,
        attestation: crate::Attestation::Off,
        containers: Vec::new(),
    }
}

fn ready(id: PodId) -> PodStatus {
    pod(id, PodPhase::Running { ready: true })
}

fn unready(id: PodId) -> PodStatus {
    pod(id, PodPhase::Running { ready: false })
}

fn failed(id: PodId) -> PodStatus {
    pod(id, PodPhase::Failed("reason".into()))
}

fn lease(version: u32, replicas: u16, wanted: Wanted) -> DesiredLease {
    DesiredLease { version, replicas, wanted, retry_failed: true, is_task: false }
}

fn leases(list: &[(u64, DesiredLease)]) -> BTreeMap<LeaseId, DesiredLease> {
    list.iter().map(|(id, lease)| (LeaseId(*id), *lease)).collect()
}

fn run(
    leases: Option<&BTreeMap<LeaseId, DesiredLease>>,
    pods: &[PodStatus],
    history: &History,
) -> Plan {
    let had_pods = [LeaseId(1), LeaseId(2)].into();
    plan(&Input {
        leases,
        runs: &BTreeSet::new(),
        attested: &BTreeSet::new(),
        pods,
        had_pods: &had_pods,
        history,
        now: NOW,
        update_seconds_max: UPDATE,
    })
}

fn actions(list: &[(u64, DesiredLease)], pods: &[PodStatus], history: &History) -> Vec<Action> {
    let mut leases = leases(list);
    // So that volumes are only spoken of where a test means them.
    for other in [1, 2] {
        leases.entry(LeaseId(other)).or_insert_with(|| lease(1, 0, Wanted::Stop));
    }
    run(Some(&leases), pods, history).actions
}

use Action::{Apply, Delete, DeleteVolumes};

#[test]
fn a_new_lease_gets_all_its_replicas_and_a_second_look_changes_nothing() {
    let wanted = [(1, lease(1, 2, Wanted::Run))];
    let got = actions(&wanted, &[], &History::default());
    assert_eq!(got, [Apply(id(1, 0, 1)), Apply(id(1, 1, 1))]);
    let running = [unready(id(1, 0, 1)), ready(id(1, 1, 1))];
    assert_eq!(actions(&wanted, &running, &History::default()), []);
}

#[test]
fn nothing_is_deleted_while_the_chain_was_not_read_and_traffic_goes_on() {
    let plan = run(None, &[ready(id(9, 0, 1)), failed(id(8, 0, 1))], &History::default());
    assert_eq!(plan.actions, []);
    assert_eq!(plan.routes, [((LeaseId(9), 0), id(9, 0, 1))].into());
}

#[test]
fn an_update_starts_beside_the_old_pod_and_replaces_it_when_ready() {
    let wanted = [(1, lease(2, 1, Wanted::Run))];
    let history = History::default();
    let old = ready(id(1, 0, 1));
    assert_eq!(actions(&wanted, std::slice::from_ref(&old), &history), [Apply(id(1, 0, 2))]);
    let plan = run(Some(&leases(&wanted)), &[old.clone(), unready(id(1, 0, 2))], &history);
    assert!(!plan.actions.iter().any(|a| matches!(a, Delete(..))));
    assert_eq!(plan.routes[&(LeaseId(1), 0)], id(1, 0, 1));
    let plan = run(Some(&leases(&wanted)), &[old, ready(id(1, 0, 2))], &history);
    assert_eq!(plan.actions[0], Delete(id(1, 0, 1), DeleteReason::Superseded));
    assert_eq!(plan.routes[&(LeaseId(1), 0)], id(1, 0, 2));
}

#[test]
fn an_update_that_is_late_is_rolled_back_and_not_tried_again() {
    let wanted = [(1, lease(2, 1, Wanted::Run))];
    let pods = [ready(id(1, 0, 1)), unready(id(1, 0, 2))];
    let mut history = History::default();
    history.since.insert(id(1, 0, 2), NOW - UPDATE + 1);
    assert_eq!(actions(&wanted, &pods, &history), []);
    history.since.insert(id(1, 0, 2), NOW - UPDATE);
    let got = actions(&wanted, &pods, &history);
    assert_eq!(got, [Delete(id(1, 0, 2), DeleteReason::RolledBack)]);
    history.given_up.insert(id(1, 0, 2));
    assert_eq!(actions(&wanted, &pods[..1], &history), []);
    // The next version is a new chance.
    let next = [(1, lease(3, 1, Wanted::Run))];
    assert_eq!(actions(&next, &pods[..1], &history), [Apply(id(1, 0, 3))]);
    // And if the old one is gone, even the given-up version is better than nothing.
    assert_eq!(actions(&wanted, &[], &history), [Apply(id(1, 0, 2))]);
}

#[test]
fn a_failed_pod_is_tried_again_when_its_pause_is_over() {
    let wanted = [(1, lease(1, 1, Wanted::Run))];
    let mut history = History::default();
    let pods = [failed(id(1, 0, 1))];
    assert_eq!(actions(&wanted, &pods, &history), []);
    history.retry_at.insert(id(1, 0, 1), NOW + 1);
    assert_eq!(actions(&wanted, &pods, &history), []);
    assert_eq!(actions(&wanted, &[], &history), []);
    history.retry_at.insert(id(1, 0, 1), NOW);
    let got = actions(&wanted, &pods, &history);
    assert_eq!(got, [Delete(id(1, 0, 1), DeleteReason::Retried)]);
    assert_eq!(actions(&wanted, &[], &history), [Apply(id(1, 0, 1))]);
    // An app that has ended by itself has done its work.
    let ended = [pod(id(1, 0, 1), PodPhase::Ended("it ended".into()))];
    assert_eq!(actions(&wanted, &ended, &history), []);
    let ends = DesiredLease { retry_failed: false, ..wanted[0].1 };
    assert_eq!(actions(&[(1, ends)], &pods, &history), []);
}

#[test]
fn without_its_manifest_a_lease_keeps_what_runs_and_starts_nothing() {
    let wanted = [(1, lease(2, 2, Wanted::Wait))];
    assert_eq!(actions(&wanted, &[ready(id(1, 0, 1))], &History::default()), []);
}

#[test]
fn a_closing_lease_loses_its_pods_but_keeps_its_volumes_until_it_is_settled() {
    let history = History::default();
    let pods = [ready(id(1, 0, 1)), unready(id(1, 0, 2))];
    let closing = leases(&[(1, lease(2, 1, Wanted::Stop)), (2, lease(1, 0, Wanted::Run))]);
    let plan_closing = run(Some(&closing), &pods, &history);
    let gone = |version, reason| Delete(id(1, 0, version), reason);
    let closing_reason = DeleteReason::LeaseClosing;
    assert_eq!(plan_closing.actions, [gone(2, closing_reason), gone(1, closing_reason)]);
    assert!(plan_closing.routes.is_empty());
    assert_eq!(run(Some(&closing), &[], &history).actions, []);

    let settled = leases(&[(2, lease(1, 0, Wanted::Run))]);
    let orphan = DeleteReason::Unknown;
    assert_eq!(run(Some(&settled), &pods, &history).actions, [gone(2, orphan), gone(1, orphan)]);
    assert_eq!(run(Some(&settled), &[], &history).actions, [DeleteVolumes(LeaseId(1))]);
}

fn any_phase() -> impl Strategy<Value = PodPhase> {
    prop_oneof![
        Just(PodPhase::Starting),
        Just(PodPhase::Running { ready: false }),
        Just(PodPhase::Running { ready: true }),
        Just(PodPhase::Failed("reason".into())),
        Just(PodPhase::Ended("reason".into())),
    ]
}

fn any_id() -> impl Strategy<Value = PodId> {
    (1u64..4, 0u16..3, 1u32..4).prop_map(|(lease, replica, version)| id(lease, replica, version))
}

prop_compose! {
    fn any_world()(
        pods in prop::collection::btree_map(any_id(), any_phase(), 0..12),
        wanted in prop::collection::btree_map(
            (1u64..4).prop_map(LeaseId),
            (1u32..4, 0u16..4, 0u8..3, any::<bool>()).prop_map(|(version, replicas, w, retry)| {
                let wanted = [Wanted::Run, Wanted::Wait, Wanted::Stop][usize::from(w)];
                DesiredLease { version, replicas, wanted, retry_failed: retry, is_task: false }
            }),
            0..4,
        ),
        since in prop::collection::btree_map(any_id(), NOW - 400..=NOW, 0..9),
        given_up in prop::collection::btree_set(any_id(), 0..4),
        retry_at in prop::collection::btree_map(any_id(), NOW - 5..NOW + 5, 0..6),
    ) -> (Vec<PodStatus>, BTreeMap<LeaseId, DesiredLease>, History) {
        let pods = pods.into_iter().map(|(id, phase)| pod(id, phase)).collect();
        (pods, wanted, History { since, given_up, retry_at })
    }
}

proptest! {
    #[test]
    fn each_plan_keeps_the_rules((pods, wanted, history) in any_world()) {
        let plan = run(Some(&wanted), &pods, &history);
        let mut touched = BTreeSet::new();
        for action in &plan.actions {
            match action {
                Apply(id) => {
                    prop_assert!(touched.insert(*id), "two steps for {id}");
                    prop_assert!(pods.iter().all(|pod| pod.id != *id), "{id} is there already");
                }
                Delete(id, _) => {
                    prop_assert!(touched.insert(*id), "two steps for {id}");
                    let gone = pods.iter().find(|pod| pod.id == *id);
                    prop_assert!(gone.is_some(), "{id} is not there");
                    let live = wanted
                        .get(&id.lease)
                        .is_some_and(|l| l.wanted != Wanted::Stop && id.replica < l.replicas);
                    if live && gone.is_some_and(is_ready) {
                        let successor = plan.routes.get(&(id.lease, id.replica));
                        prop_assert!(successor.is_some_and(|s| s != id), "{id} leaves a gap");
                    }
                }
                DeleteVolumes(lease) => {
                    prop_assert!(!wanted.contains_key(lease));
                    prop_assert!(pods.iter().all(|pod| pod.id.lease != *lease));
                }
            }
        }
        for ((lease, replica), id) in &plan.routes {
            prop_assert_eq!((*lease, *replica), (id.lease, id.replica));
            prop_assert!(pods.iter().any(|pod| pod.id == *id && is_ready(pod)));
            prop_assert!(!plan.actions.iter().any(|a| matches!(a, Delete(d, _) if d == id)));
        }
        prop_assert_eq!(run(None, &pods, &history).actions, vec![]);
    }

    /// Where every pod becomes ready, repeating observe, plan, apply ends with exactly the pods
    /// wanted, and stays there.
    #[test]
    fn plans_converge((mut pods, mut wanted, mut history) in any_world()) {
        for lease in wanted.values_mut().filter(|l| l.wanted == Wanted::Wait) {
            lease.wanted = Wanted::Run;
        }
        let mut had_pods: BTreeSet<LeaseId> = pods.iter().map(|pod| pod.id.lease).collect();
        let mut now = NOW;
        let mut quiet = false;
        for _ in 0..12 {
            now += 10;
            history.observe(&pods, &wanted, &BTreeSet::new(), now);
            // What the daemon notes when it sees a failed pod.
            for pod in pods.iter().filter(|pod| is_failed(pod)) {
                history.retry_at.entry(pod.id).or_insert(now);
            }
            for lease in wanted.values_mut() {
                lease.retry_failed = true;
            }
            let plan = plan(&Input {
                leases: Some(&wanted),
                runs: &BTreeSet::new(),
                attested: &BTreeSet::new(),
                pods: &pods,
                had_pods: &had_pods,
                history: &history,
                now,
                update_seconds_max: UPDATE,
            });
            quiet = plan.actions.is_empty();
            for pod in &mut pods {
                if !is_over(pod) {
                    pod.phase = PodPhase::Running { ready: true };
                }
            }
            for action in plan.actions {
                match action {
                    Apply(id) => {
                        had_pods.insert(id.lease);
                        pods.push(pod(id, PodPhase::Starting));
                    }
                    Delete(id, reason) => {
                        pods.retain(|pod| pod.id != id);
                        if reason == DeleteReason::RolledBack {
                            history.given_up.insert(id);
                        }
                    }
                    DeleteVolumes(lease) => {
                        had_pods.remove(&lease);
                    }
                }
            }
        }
        prop_assert!(quiet);
        for (lease, l) in &wanted {
            let replicas = if l.wanted == Wanted::Run { l.replicas } else { 0 };
            for replica in 0..4 {
                let of: Vec<_> = pods
                    .iter()
                    .filter(|pod| pod.id.lease == *lease && pod.id.replica == replica)
                    .collect();
                prop_assert_eq!(of.len(), usize::from(replica < replicas), "{:?}", of);
                if let [one] = of[..] {
                    let given_up = history.given_up.contains(&id(lease.0, replica, l.version));
                    prop_assert!(one.id.version == l.version || given_up);
                }
            }
        }
        prop_assert!(pods.iter().all(|pod| wanted.contains_key(&pod.id.lease)));
        prop_assert!(had_pods.iter().all(|lease| wanted.contains_key(lease)));
    }
}

#[test]
fn of_a_task_only_its_open_runs_have_pods() {
    let task = DesiredLease { is_task: true, ..lease(4, 2, Wanted::Run) };
    let leases = leases(&[(1, task)]);
    let plan_of = |runs: &[PodId], pods: &[PodStatus], history: &History| {
        plan(&Input {
            leases: Some(&leases),
            runs: &runs.iter().copied().collect(),
            attested: &BTreeSet::new(),
            pods,
            had_pods: &BTreeSet::new(),
            history,
            now: NOW,
            update_seconds_max: UPDATE,
        })
    };
    let none = History::default();
    assert_eq!(plan_of(&[], &[], &none), Plan::default(), "nothing runs between runs");
    assert_eq!(plan_of(&[id(1, 1, 7)], &[], &none).actions, [Apply(id(1, 1, 7))]);
    let pods = [unready(id(1, 1, 7))];
    assert_eq!(plan_of(&[id(1, 1, 7)], &pods, &none).actions, []);
    // Its result is on chain, the next run is open already.
    let reason = DeleteReason::RunOver;
    let next = plan_of(&[id(1, 1, 8)], &pods, &none).actions;
    assert_eq!(next, [Delete(id(1, 1, 7), reason), Apply(id(1, 1, 8))]);
    // Lost with its machine: after a pause it is started again under its number.
    let lost = [failed(id(1, 1, 7))];
    let mut history = History::default();
    history.retry_at.insert(id(1, 1, 7), NOW + 1);
    assert_eq!(plan_of(&[id(1, 1, 7)], &lost, &history).actions, []);
    history.retry_at.insert(id(1, 1, 7), NOW);
    let again = plan_of(&[id(1, 1, 7)], &lost, &history).actions;
    assert_eq!(again, [Delete(id(1, 1, 7), DeleteReason::Retried)]);
}

/// A task that runs each minute has half a million pods in a year.
#[test]
fn what_is_remembered_of_a_run_ends_with_it() {
    let task = DesiredLease { is_task: true, ..lease(4, 1, Wanted::Run) };
    let leases = leases(&[(1, task)]);
    let mut history = History::default();
    for version in 1..=1_000 {
        let run = id(1, 0, version);
        history.observe(&[failed(run)], &leases, &[run].into(), NOW);
        history.retry_at.insert(run, NOW + 1);
        history.given_up.insert(run);
        // Between two tries no pod is there.
        history.observe(&[], &leases, &[run].into(), NOW);
        assert!(history.retry_at.contains_key(&run));
    }
    let sizes = (history.since.len(), history.retry_at.len(), history.given_up.len());
    assert_eq!(sizes, (1, 1, 1));
    history.observe(&[], &leases, &BTreeSet::new(), NOW);
    let sizes = (history.since.len(), history.retry_at.len(), history.given_up.len());
    assert_eq!(sizes, (0, 0, 0));
}

#[test]
fn a_stopped_tasks_runs_are_ended() {
    let task = DesiredLease { is_task: true, ..lease(4, 2, Wanted::Stop) };
    let plan = plan(&Input {
        leases: Some(&leases(&[(1, task)])),
        runs: &[id(1, 0, 7), id(1, 1, 8)].into(),
        attested: &BTreeSet::new(),
        pods: &[ready(id(1, 0, 7))],
        had_pods: &BTreeSet::new(),
        history: &History::default(),
        now: NOW,
        update_seconds_max: UPDATE,
    });
    assert_eq!(plan.actions, [Delete(id(1, 0, 7), DeleteReason::LeaseClosing)]);
}

#[test]
fn a_result_that_nobody_can_attest_any_more_is_made_again() {
    let task = DesiredLease { is_task: true, ..lease(4, 1, Wanted::Run) };
    let leases = leases(&[(1, task)]);
    let run = id(1, 0, 7);
    // Signed, and then the agent has died: of a run there is no other end.
    let ended = pod(run, PodPhase::Ended("its app has ended".into()));
    let ended = PodStatus { agent_key: Some([7; 32]), ..ended };
    let plan_of = |attested: &[(LeaseId, ReplicaIndex, AgentPublicKey)], retry_at| {
        let history = History { retry_at: [(run, retry_at)].into(), ..History::default() };
        plan(&Input {
            leases: Some(&leases),
            runs: &[run].into(),
            attested: &attested.iter().copied().collect(),
            pods: std::slice::from_ref(&ended),
            had_pods: &BTreeSet::new(),
            history: &history,
            now: NOW,
            update_seconds_max: UPDATE,
        })
        .actions
    };
    let again = [Delete(run, DeleteReason::Retried)];
    assert_eq!(plan_of(&[], NOW), again);
    assert_eq!(plan_of(&[], NOW + 1), [], "after its pause");
    // The chain has the key of the run before, or of another slot.
    assert_eq!(plan_of(&[(LeaseId(1), 0, [6; 32]), (LeaseId(1), 1, [7; 32])], NOW), again);
    assert_eq!(plan_of(&[(LeaseId(1), 0, [7; 32])], NOW), [], "its result is submitted");
}
