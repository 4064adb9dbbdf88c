use casemate_client::chain::{LeaseState, StandingView};
use casemate_primitives::{Asset, DeploymentId, LeaseTerms, Prices, Quantities, Resources};

use super::*;

fn lease(agents: Vec<AgentView>) -> LeaseView {
    let prices = Prices {
        cpu_millicore_second: 1,
        memory_mib_second: 1,
        storage_mib_second: 1,
        gpu_second: 1,
        egress_mib: 1,
        ingress_mib: 0,
    };
    LeaseView {
        id: LeaseId(7),
        deployment: DeploymentId(3),
        manifest_hash: [3; 32],
        version: 1,
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
        amendments: 0,
        is_task: false,
        task: None,
        spend_rate_max: 1,
        opened_at: 1,
        agents,
    }
}

fn agent(replica: ReplicaIndex, expires_at: Option<UnixSeconds>) -> AgentView {
    AgentView {
        replica,
        key: [9; 32],
        sequence: 0,
        claimed_to: 0,
        claimed_total: Quantities::default(),
        ended_version: None,
        log: casemate_primitives::LogHead::default(),
        standing: expires_at.map(|expires_at| StandingView {
            kind: TeeKind::IntelTdx,
            grade: Grade::Software,
            tcb_status: TcbStatus::UpToDate,
            workload: vec![5; 48],
            manifest_hash: [3; 32],
            hpke_key: [4; 32],
            evidence_hash: [6; 32],
            verified_at: 1,
            expires_at,
        }),
    }
}

#[test]
fn each_replica_is_listed_with_what_the_chain_knows() {
    let found = replicas(&lease(vec![agent(1, Some(100))]), 40);
    assert_eq!(found.len(), 2);
    assert!(!found[0].attested && found[0].key.is_none());
    assert_eq!((found[0].tee_text().as_str(), found[0].standing_text(40).as_str()), ("-", "none"));
    assert!(found[1].attested);
    assert_eq!(found[1].tee_text(), "TDX (software)");
    assert_eq!(found[1].standing_text(40), "for 1m");
    let json = serde_json::to_value(&found[1]).unwrap();
    assert_eq!(json["grade"], "software");
    assert_eq!(json["attestedUntil"], 100);
    assert_eq!(json["workload"], "05".repeat(48));
}

#[test]
fn a_standing_ends_with_its_second() {
    let until = |now| replicas(&lease(vec![agent(0, Some(100))]), now).remove(0);
    assert!(until(99).attested);
    assert!(!until(100).attested);
    assert_eq!(until(100).standing_text(100), "ended");
    // Rechecked: the key is known, and counts for nothing.
    let ended = replicas(&lease(vec![agent(0, None)]), 1).remove(0);
    assert!(!ended.attested && ended.key.is_some());
    assert_eq!(ended.standing_text(1), "none");
}
