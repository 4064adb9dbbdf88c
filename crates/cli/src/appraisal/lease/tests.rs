use casemate_attestation::{Measurements, Purpose, Tcb, TcbStatus, TeeKind};
use casemate_client::chain::StandingView;
use casemate_primitives::{Asset, DeploymentId, LeaseTerms, Prices, Quantities, Resources};

use super::*;

fn binding() -> Binding {
    Binding {
        purpose: Purpose::Session,
        genesis_hash: [7; 32],
        lease: LeaseId(5),
        replica: 1,
        manifest_hash: [6; 32],
        nonce: [1; 32],
        agent_key: [9; 32],
        hpke_key: [4; 32],
        tls_spki_sha256: [2; 32],
        channel: [3; 32],
        gpu_evidence: [0; 32],
    }
}

fn claims() -> Claims {
    Claims {
        kind: TeeKind::AmdSevSnp,
        grade: Grade::Software,
        measurements: Measurements::SevSnp {
            measurement: [5; 48],
            host_data: [6; 32],
            id_key_digest: [0; 48],
            author_key_digest: [0; 48],
            guest_svn: 0,
            vmpl: 0,
            policy: 0,
        },
        report_data: [0; 64],
        debug: false,
        tcb: Tcb { status: TcbStatus::UpToDate, advisories: vec![], date: None, evaluation: None },
        platform_id: vec![],
        product: "Milan".into(),
        not_after: 1_000,
    }
}

fn on_chain() -> OnChain {
    let prices = Prices {
        cpu_millicore_second: 1,
        memory_mib_second: 1,
        storage_mib_second: 1,
        gpu_second: 1,
        egress_mib: 1,
        ingress_mib: 0,
    };
    let standing = StandingView {
        kind: TeeKind::AmdSevSnp,
        grade: Grade::Software,
        tcb_status: TcbStatus::UpToDate,
        workload: vec![5; 48],
        manifest_hash: [6; 32],
        hpke_key: [4; 32],
        evidence_hash: [6; 32],
        verified_at: 1,
        expires_at: 500,
    };
    let agent = AgentView {
        replica: 1,
        key: [9; 32],
        sequence: 0,
        claimed_to: 0,
        claimed_total: Quantities::default(),
        ended_version: None,
        log: casemate_primitives::LogHead::default(),
        standing: Some(standing),
    };
    let lease = LeaseView {
        id: LeaseId(5),
        deployment: DeploymentId(3),
        manifest_hash: [6; 32],
        version: 1,
        amendments: 0,
        publisher: [1; 32],
        provider: [2; 32],
        resources: Resources::default(),
        replicas: 2,
        terms: LeaseTerms {
            asset: Asset::Native,
            prices,
            notice_seconds: 1,
            grace_seconds: 1,
            deposit_min: 0,
            ..Default::default()
        },
        state: LeaseState::Active,
        escrow: 1,
        paid: 0,
        open: Vec::new(),
        contested: 0,
        final_due: 0,
        reclaim_at: None,
        is_task: false,
        task: None,
        spend_rate_max: 1,
        opened_at: 1,
        agents: vec![agent],
    };
    OnChain { genesis_hash: [7; 32], now: 100, lease: Some(lease), approved: Some(Grade::Software) }
}

const WANTED: Wanted =
    Wanted { lease: Some(LeaseId(5)), manifest_hash: Some([6; 32]), publisher: Some([1; 32]) };

/// Names of the checks that fail.
fn failed(chain: &OnChain) -> Vec<String> {
    let checks = check_lease(&binding(), &claims(), WANTED, Some(chain));
    let failed = checks.into_iter().filter(|check| check.outcome == Outcome::Failed);
    failed.map(|check| check.name).collect()
}

fn with(change: impl FnOnce(&mut OnChain)) -> OnChain {
    let mut chain = on_chain();
    change(&mut chain);
    chain
}

fn lease(change: impl FnOnce(&mut LeaseView)) -> OnChain {
    with(|chain| change(chain.lease.as_mut().unwrap()))
}

fn standing(change: impl FnOnce(&mut StandingView)) -> OnChain {
    lease(|lease| change(lease.agents[0].standing.as_mut().unwrap()))
}

#[test]
fn what_agrees_with_the_chain_passes() {
    let checks = check_lease(&binding(), &claims(), WANTED, Some(&on_chain()));
    assert!(checks.iter().all(|check| check.outcome == Outcome::Passed), "{checks:#?}");
    assert!(checks.len() >= 9);
}

#[test]
fn each_difference_to_the_chain_has_its_own_check() {
    assert_eq!(failed(&with(|chain| chain.genesis_hash = [0; 32])), [CHAIN]);
    assert_eq!(failed(&with(|chain| chain.lease = None)), [ON_CHAIN]);
    assert_eq!(failed(&lease(|lease| lease.state = LeaseState::Pending)), [ON_CHAIN]);
    assert_eq!(failed(&lease(|lease| lease.replicas = 1)), [ON_CHAIN]);
    assert_eq!(failed(&lease(|lease| lease.manifest_hash = [0; 32])), [MANIFEST_ON_CHAIN]);
    assert_eq!(failed(&lease(|lease| lease.agents.clear())), [KEY]);
    assert_eq!(failed(&lease(|lease| lease.agents[0].replica = 0)), [KEY]);
    assert_eq!(failed(&lease(|lease| lease.agents[0].key = [0; 32])), [KEY]);
    assert_eq!(failed(&lease(|lease| lease.agents[0].standing = None)), [STANDING]);
    assert_eq!(failed(&standing(|standing| standing.expires_at = 100)), [STANDING]);
    assert_eq!(failed(&standing(|standing| standing.hpke_key = [0; 32])), [HPKE]);
    assert_eq!(failed(&standing(|standing| standing.workload = vec![0; 48])), [WORKLOAD]);
    assert_eq!(failed(&with(|chain| chain.approved = None)), [APPROVED]);
    // Approved, but for hardware only.
    assert_eq!(failed(&with(|chain| chain.approved = Some(Grade::Hardware))), [APPROVED]);
}

#[test]
fn another_lease_or_manifest_than_demanded_fails() {
    let chain = on_chain();
    let of = |wanted| {
        let checks = check_lease(&binding(), &claims(), wanted, Some(&chain));
        let failed = checks.into_iter().find(|check| check.outcome == Outcome::Failed);
        failed.map(|check| check.name)
    };
    assert_eq!(of(Wanted { lease: Some(LeaseId(6)), ..WANTED }).as_deref(), Some(LEASE));
    assert_eq!(of(Wanted { manifest_hash: Some([0; 32]), ..WANTED }).as_deref(), Some(MANIFEST));
    let other = Wanted { publisher: Some([2; 32]), ..WANTED };
    assert_eq!(of(other).as_deref(), Some(PUBLISHER));
    assert_eq!(of(Wanted::default()), None);
}

#[test]
fn a_closing_lease_is_put_up_with_and_named() {
    let chain = lease(|lease| {
        lease.state =
            LeaseState::Closing { at: 1, until: 2, reason: casemate_primitives::EndReason::Stopped }
    });
    let checks = check_lease(&binding(), &claims(), WANTED, Some(&chain));
    let state = checks.iter().find(|check| check.name == ON_CHAIN).unwrap();
    assert_eq!(state.outcome, Outcome::Graced);
    assert!(state.found.starts_with("closing"), "{}", state.found);
}

#[test]
fn without_a_chain_nothing_of_it_counts_as_checked() {
    let checks = check_lease(&binding(), &claims(), Wanted::default(), None);
    assert!(checks.iter().all(|check| check.outcome == Outcome::NotChecked), "{checks:#?}");
    assert_eq!(checks.len(), 6);
}
