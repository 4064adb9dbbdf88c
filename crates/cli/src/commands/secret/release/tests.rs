use casemate_attestation::{TcbStatus, TeeKind};
use casemate_client::api::{AgentEndpoint, Hex, LeasePhase, PodPhaseInfo};
use casemate_primitives::{Asset, DeploymentId, LeaseTerms, Prices, Quantities, Resources};

use super::*;

const KEY: AgentPublicKey = [9; 32];
const MANIFEST: Hash256 = [6; 32];

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
        id: LeaseId(5),
        deployment: DeploymentId(3),
        manifest_hash: MANIFEST,
        version: 2,
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

fn agent(manifest_hash: Hash256) -> AgentView {
    let standing = StandingView {
        kind: TeeKind::IntelTdx,
        grade: Grade::Software,
        tcb_status: TcbStatus::UpToDate,
        workload: vec![5; 48],
        manifest_hash,
        hpke_key: [4; 32],
        evidence_hash: [6; 32],
        verified_at: 1,
        expires_at: 500,
    };
    AgentView {
        replica: 1,
        key: KEY,
        sequence: 0,
        claimed_to: 0,
        claimed_total: Quantities::default(),
        ended_version: None,
        log: casemate_primitives::LogHead::default(),
        standing: Some(standing),
    }
}

fn pod(version: u32, key: AgentPublicKey, address: Option<&str>) -> PodInfo {
    PodInfo {
        pod: format!("l5-r1-v{version}"),
        replica: 1,
        version,
        phase: PodPhaseInfo::Running,
        ready: false,
        reason: None,
        agent_key: Some(Hex(key)),
        agent: address.map(|address| AgentEndpoint {
            address: address.to_owned(),
            server_name: "r1.l5.agent.casemate.internal".to_owned(),
        }),
        containers: Vec::new(),
        usage: None,
    }
}

fn status(pods: Vec<PodInfo>) -> LeaseStatus {
    LeaseStatus {
        lease: LeaseId(5),
        deployment: DeploymentId(3),
        state: LeasePhase::Active,
        version: 2,
        manifest_hash: Hex(MANIFEST),
        manifest_known: true,
        replicas: 2,
        pods,
        addresses: Vec::new(),
        problems: Vec::new(),
    }
}

#[test]
fn the_agent_that_the_chain_has_attested_is_asked_where_the_provider_says() {
    let pods = vec![
        pod(1, [1; 32], Some("10.0.0.1:1")),
        pod(2, KEY, Some("10.0.0.2:8443")),
        pod(2, [3; 32], Some("10.0.0.3:1")),
    ];
    let found = agent_of(&lease(vec![agent(MANIFEST)]), &status(pods), 1).unwrap();
    assert_eq!(found.key, KEY);
    assert_eq!(found.target.connect.as_deref(), Some("10.0.0.2:8443"));
    assert_eq!(found.target.name, "r1.l5.agent.casemate.internal:8443");
}

#[test]
fn without_an_attested_agent_of_this_manifest_nobody_is_asked() {
    let pods = || status(vec![pod(2, KEY, Some("10.0.0.2:8443"))]);
    let why = |lease: LeaseView, status: &LeaseStatus, replica| {
        agent_of(&lease, status, replica).unwrap_err()
    };
    let attested = || lease(vec![agent(MANIFEST)]);
    assert!(why(lease(vec![]), &pods(), 1).contains("attested no agent"));
    assert!(why(attested(), &pods(), 0).contains("attested no agent"));
    // The version before, after an update.
    assert!(why(lease(vec![agent([1; 32])]), &pods(), 1).contains("runs this manifest"));
    let ended = AgentView { standing: None, ..agent(MANIFEST) };
    assert!(why(lease(vec![ended]), &pods(), 1).contains("attested no agent"));
    let nowhere = status(vec![pod(2, KEY, None), pod(2, [3; 32], Some("10.0.0.3:1"))]);
    assert!(why(attested(), &nowhere, 1).contains("names no address"));
}

#[test]
fn a_manifest_says_which_secrets_it_wants_from_whom() {
    let text = r#"
apiVersion: casemate.io/v1
kind: Service
metadata: { name: shop }
spec:
  containers:
    - name: app
      image: registry.example/shop:1
      env:
        - { name: DB, valueFrom: { secretRef: { name: DB_PASSWORD } } }
      secrets:
        - { name: TLS_KEY, file: tls.key }
      resources: { cpu: 100m, memory: 64Mi, storage: 64Mi }
"#;
    let manifest = Manifest::parse(text).unwrap();
    let names = names_of(&manifest).unwrap();
    let names: Vec<&str> = names.iter().map(SecretName::as_str).collect();
    assert_eq!(names, ["DB_PASSWORD", "TLS_KEY"]);
    assert_eq!(image_of(&manifest), Some("registry.example/shop:1"));
}
