use casemate_client::chain::AgentView;
use casemate_primitives::{DeploymentId, LeaseTerms};

use super::*;

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

fn lease(state: LeaseState) -> LeaseView {
    LeaseView {
        id: LeaseId(1),
        deployment: DeploymentId(1),
        manifest_hash: [0; 32],
        version: 1,
        publisher: [0; 32],
        provider: [0; 32],
        resources: <_>::default(),
        replicas: 1,
        terms: LeaseTerms {
            asset: <_>::default(),
            prices: <_>::default(),
            notice_seconds: 10,
            grace_seconds: 10,
            deposit_min: 0,
        },
        state,
        escrow: 1,
        paid: 0,
        spend_rate_max: 0,
        opened_at: 1000,
        agents: Vec::new(),
    }
}

fn agent(key: [u8; 32], sequence: u64, claimed_to: u64) -> Option<AgentView> {
    Some(AgentView { replica: 0, key, sequence, claimed_to, claimed_total: <_>::default() })
}

fn step(
    state: LeaseState,
    agent: Option<AgentView>,
    pods: &[(u32, Option<[u8; 32]>)],
    newest: Option<(u64, u64)>,
) -> Option<Step> {
    let view = ReplicaView { replica: 0, agent, pods: pods.to_vec(), newest };
    next_step(&lease(state), &view, 60)
}

fn claim(key: [u8; 32], after: u64, until: u64, is_last: bool) -> Option<Step> {
    Some(Step::Claim { key: (LeaseId(1), 0, key), after, until, is_last })
}

fn activate(key: [u8; 32]) -> Option<Step> {
    Some(Step::Activate { lease: LeaseId(1), replica: 0, key })
}

#[test]
fn the_first_key_is_activated_as_soon_as_a_pod_shows_it() {
    assert_eq!(step(LeaseState::Pending, None, &[], None), None);
    assert_eq!(step(LeaseState::Pending, None, &[(1, None)], None), None);
    assert_eq!(step(LeaseState::Pending, None, &[(1, Some(OLD))], None), activate(OLD));
}

#[test]
fn a_claim_is_due_when_it_covers_an_interval() {
    let active = LeaseState::Active;
    let pods = [(1, Some(OLD))];
    assert_eq!(step(active, agent(OLD, 0, 0), &pods, None), None);
    assert_eq!(step(active, agent(OLD, 0, 0), &pods, Some((5, 1059))), None);
    let due = claim(OLD, 0, u64::MAX, false);
    assert_eq!(step(active, agent(OLD, 0, 0), &pods, Some((6, 1060))), due);
    // After it, or after a restart in between, it is not made twice.
    assert_eq!(step(active, agent(OLD, 6, 1060), &pods, Some((6, 1060))), None);
    assert_eq!(step(active, agent(OLD, 6, 1060), &pods, Some((11, 1119))), None);
    let next = claim(OLD, 6, u64::MAX, false);
    assert_eq!(step(active, agent(OLD, 6, 1060), &pods, Some((12, 1120))), next);
}

#[test]
fn an_updates_new_key_waits_for_the_old_ones_last_claim() {
    let active = LeaseState::Active;
    let both = [(1, Some(OLD)), (2, Some(NEW))];
    let new = [(2, Some(NEW))];
    assert_eq!(step(active, agent(OLD, 3, 1030), &both, Some((4, 1040))), None);
    let last = claim(OLD, 3, u64::MAX, true);
    assert_eq!(step(active, agent(OLD, 3, 1030), &new, Some((4, 1040))), last);
    assert_eq!(step(active, agent(OLD, 4, 1040), &new, Some((4, 1040))), activate(NEW));
    // An agent that was started again in the same pod is the same case.
    let restarted = [(1, Some(NEW))];
    assert_eq!(step(active, agent(OLD, 3, 1030), &restarted, Some((4, 1040))), last);
    assert_eq!(step(active, agent(OLD, 4, 1040), &restarted, None), activate(NEW));
}

#[test]
fn a_closing_lease_is_claimed_when_its_pods_are_gone_and_only_up_to_the_closing() {
    let closing = LeaseState::Closing { at: 1055, until: 1100 };
    let newest = Some((9, 1090));
    assert_eq!(step(closing, agent(OLD, 3, 1030), &[(1, Some(OLD))], newest), None);
    assert_eq!(step(closing, agent(OLD, 3, 1030), &[], newest), claim(OLD, 3, 1055, true));
    assert_eq!(step(closing, agent(OLD, 9, 1030), &[], newest), None);
    assert_eq!(step(closing, None, &[(1, Some(OLD))], None), None);
}
