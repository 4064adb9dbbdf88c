use casemate_client::api::{Hex, LeasePhase, PodInfo, Refusal};
use casemate_primitives::DeploymentId;

use super::*;
use crate::{
    commands::testing::{context, provider_endpoint},
    failure::Report,
};

fn provider(answers: Vec<(u16, String)>) -> ProviderClient {
    let key = Arc::new(subxt_signer::sr25519::dev::alice());
    ProviderClient::new(&provider_endpoint(answers), [1; 32], [2; 32], key).unwrap()
}

fn pod(replica: u16, version: u32, phase: PodPhaseInfo) -> PodInfo {
    PodInfo {
        pod: format!("l7-r{replica}-v{version}"),
        replica,
        version,
        phase,
        ready: phase == PodPhaseInfo::Running,
        reason: (phase == PodPhaseInfo::Failed).then(|| "no such image\x1b[2J".to_owned()),
        agent_key: None,
        agent: None,
        containers: Vec::new(),
        usage: None,
    }
}

fn status(version: u32, pods: Vec<PodInfo>) -> LeaseStatus {
    LeaseStatus {
        lease: LeaseId(7),
        deployment: DeploymentId(3),
        state: LeasePhase::Active,
        version,
        manifest_hash: Hex([0; 32]),
        manifest_known: true,
        replicas: 2,
        pods,
        addresses: Vec::new(),
        problems: Vec::new(),
    }
}

fn ok(status: &LeaseStatus) -> (u16, String) {
    (200, serde_json::to_string(status).unwrap())
}

async fn wait(answers: Vec<(u16, String)>, version: u32) -> anyhow::Result<LeaseStatus> {
    let timeout = Duration::from_secs(120);
    wait_ready(&context(), &provider(answers), LeaseId(7), version, timeout).await
}

#[tokio::test]
async fn waiting_ends_when_every_replica_of_the_version_is_ready() {
    use PodPhaseInfo::{Running, Starting};
    let unknown = Refusal {
        code: RefusalCode::NotFound,
        message: "no such lease".into(),
        hint: String::new(),
    };
    let last = status(2, vec![pod(0, 2, Running), pod(1, 2, Running), pod(0, 1, Running)]);
    let answers = vec![
        // The provider has not read the block yet.
        (404, serde_json::to_string(&unknown).unwrap()),
        ok(&status(1, vec![pod(0, 1, Running), pod(1, 1, Running)])),
        ok(&status(2, vec![pod(0, 2, Running), pod(1, 1, Running), pod(1, 2, Starting)])),
        ok(&last),
    ];
    assert_eq!(wait(answers, 2).await.unwrap(), last);
}

#[tokio::test]
async fn a_pod_that_cannot_run_ends_the_waiting_with_its_reason() {
    let failed = status(1, vec![pod(0, 1, PodPhaseInfo::Failed)]);
    let report = Report::of(&wait(vec![ok(&failed)], 1).await.unwrap_err());
    assert_eq!(report.exit_code, 1);
    assert!(report.causes[0].contains("no such image"), "{report:?}");
    assert!(!report.causes[0].contains('\x1b'), "{report:?}");
    assert!(report.hint.unwrap().contains("casemate logs 7"));
    // Of an old version, which is being replaced, it does not count.
    let replaced = status(
        2,
        vec![
            pod(0, 1, PodPhaseInfo::Failed),
            pod(0, 2, PodPhaseInfo::Running),
            pod(1, 2, PodPhaseInfo::Running),
        ],
    );
    assert!(wait(vec![ok(&replaced)], 2).await.is_ok());
}

#[tokio::test]
async fn a_refusal_ends_the_waiting_with_the_providers_hint() {
    let refusal = Refusal {
        code: RefusalCode::Unauthorised,
        message: "your clock is wrong".into(),
        hint: "set it".into(),
    };
    let answer = (401, serde_json::to_string(&refusal).unwrap());
    let report = Report::of(&wait(vec![answer], 1).await.unwrap_err());
    assert!(report.causes[0].contains("your clock is wrong"), "{report:?}");
    assert_eq!(report.hint.as_deref(), Some("set it"));
}

#[tokio::test]
async fn patience_ends() {
    let starting = status(1, Vec::new());
    let client = provider(vec![ok(&starting)]);
    let waited = wait_ready(&context(), &client, LeaseId(7), 1, Duration::ZERO).await;
    let report = Report::of(&waited.unwrap_err());
    assert!(report.causes[0].contains("is not ready after 0 seconds"), "{report:?}");
}

#[test]
fn output_is_sealed_to_the_account_unless_somebody_says_otherwise() {
    use crate::{keystore::SecretText, manifest_file::seal_logs};
    let text = "
apiVersion: casemate.io/v1
kind: Service
metadata: { name: shop }
spec:
  containers:
    - name: app
      image: registry.example/shop:1
      resources: { cpu: 100m, memory: 64Mi, storage: 64Mi }
";
    let secret = SecretText::parse_development("//Alice").unwrap().log_seed().unwrap();
    let secret = secret.secret(&[7; 32]);
    let own = secret.public().unwrap();
    let read = || casemate_manifest::Manifest::parse(text).unwrap();
    let mut manifest = read();
    seal_logs(&context(), &mut manifest, &secret, false).unwrap();
    assert_eq!(manifest.log_recipient().unwrap().as_bytes(), &own);
    let told = seal_logs(&context(), &mut manifest, &secret, true).unwrap_err();
    assert_eq!(Report::of(&told).exit_code, 2, "{told}");
    let mut plain = read();
    seal_logs(&context(), &mut plain, &secret, true).unwrap();
    assert_eq!(plain, read());
    let other = casemate_manifest::LogKey::new([9; 32]).unwrap();
    let mut named = read();
    assert!(named.fill_log_recipient(other));
    seal_logs(&context(), &mut named, &secret, false).unwrap();
    assert_eq!(named.log_recipient(), Some(&other), "an author's choice stays");
}

#[test]
fn who_runs_low_is_told_how_long_and_what_to_do() {
    let low = |escrow| low_funds_text(&super::testing::lease(escrow));
    assert_eq!(low(100 * 3_600), None);
    let text = low(99).unwrap();
    assert!(text.contains("lease 7 lasts for 9s"), "{text}");
    assert!(text.contains("less than the 1m of a warning"), "{text}");
    assert!(text.contains("casemate fund 7"), "{text}");
    let text = low(0).unwrap();
    assert!(text.contains("used up") && text.contains("at most 10m"), "{text}");
    let mut closing = super::testing::lease(0);
    let reason = casemate_primitives::EndReason::Stopped;
    closing.state = LeaseState::Closing { at: 0, until: 1, reason };
    assert_eq!(low_funds_text(&closing), None, "a lease that ends needs no money");
}
