//! Pods with a software TEE.

use std::{net::TcpStream, path::PathBuf, time::Duration};

use casemate_image::{Limits, Store, pull};
use casemate_primitives::{TeeKind, blake2_256};
use casemate_provider_core::{
    Attestation, AttestationEndpoint, Backend, PodPhase, PodStatus, conformance::Harness as _,
};
use casemate_provider_local::{LocalBackend, LocalConfig, TeeConfig};
use casemate_software_tee::{
    Directory, Validity,
    client::{Control, Launched},
    daemon::{self, Daemon},
    measure::{self, Content},
    wire::Kind,
};
use serde_json::json;

use crate::harness::{LocalHarness, expect, images, pod, pod_id, run};

const FOREVER: &str = "trap 'exit 0' TERM; while :; do sleep 0.05; done";

pub(crate) struct Tee {
    dir: tempfile::TempDir,
    daemon: Option<Daemon>,
}

impl Tee {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = daemon::now().unwrap();
        let validity = Validity { certificate_days: 30, collateral_days: 30 };
        Directory::init(&dir.path().join("tee"), now, validity).unwrap();
        let mut tee = Self { dir, daemon: None };
        tee.start();
        tee
    }

    fn start(&mut self) {
        let options = daemon::Options {
            directory: self.dir.path().join("tee"),
            control: self.socket(),
            misbehave: vec![],
        };
        self.daemon = Some(Daemon::start(&options).unwrap());
    }

    fn stop(&mut self) {
        self.daemon.take().unwrap().stop();
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    fn guests(&self) -> Vec<Launched> {
        Control::new(self.socket()).list().unwrap()
    }

    pub(crate) fn config(&self, harness: &LocalHarness) -> LocalConfig {
        let mut config = harness.config();
        let control = self.socket();
        config.tee = Some(TeeConfig::Software { control, kind: TeeKind::IntelTdx });
        config
    }
}

pub(crate) fn endpoint(status: &PodStatus) -> Option<AttestationEndpoint> {
    match status.attestation {
        Attestation::Available(endpoint) => Some(endpoint),
        _ => None,
    }
}

pub(crate) fn attested(status: &PodStatus) -> bool {
    status.phase == PodPhase::Running { ready: true } && endpoint(status).is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_has_a_guest_that_is_measured_from_its_image_and_goes_with_it() {
    let harness = LocalHarness::new().await;
    let mut tee = Tee::new();
    let config = tee.config(&harness);
    let agent_path = config.agent_path.clone();
    let backend = LocalBackend::open(config).await.unwrap();
    let id = pod_id(1);
    let pod = pod(id, FOREVER, &json!({ "ports": [{ "containerPort": 8443 }] }), &json!({}));
    backend.apply(&pod).await.unwrap();
    let status = expect(&backend, id, attested).await;
    let endpoint = endpoint(&status).unwrap();
    assert_eq!((endpoint.tee, endpoint.port), (TeeKind::IntelTdx, 8444), "8443 is the app's");
    assert_eq!(endpoint.app_tls_port, None, "the app speaks no HTTP");
    TcpStream::connect((status.address.unwrap(), endpoint.port)).unwrap();

    // What a publisher computes from the image, without the pod.
    let (dir, image) = images();
    let store = Store::open(dir).unwrap();
    let limits = Limits::default();
    let options = casemate_image::RegistryOptions::default();
    let image = pull(&store, &image.parse().unwrap(), &options, &limits).await.unwrap();
    let root = store.rootfs(&image, &limits).unwrap();
    let manifest_hash = blake2_256(&pod.manifest.to_canonical_json());
    let content = Content::read(&agent_path, Some(&root), manifest_hash).unwrap();
    let guests = tee.guests();
    assert_eq!(guests.len(), 1, "{guests:?}");
    let expected = measure::expected(Kind::IntelTdx, &content).to_json();
    assert_eq!(guests[0].measurements, expected);

    // The daemon's absence concerns no pod that runs, nor the provider's start.
    drop(backend);
    tee.stop();
    let backend = LocalBackend::open(tee.config(&harness)).await.unwrap();
    let again = expect(&backend, id, attested).await;
    assert_eq!(again.agent_key, status.agent_key);
    tee.start();
    assert_eq!(tee.guests(), guests);
    backend.delete(id, Duration::from_secs(10)).await.unwrap();
    assert_eq!(tee.guests(), []);
    backend.purge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_repeated_has_one_new_guest_and_others_are_swept() {
    let harness = LocalHarness::new().await;
    let tee = Tee::new();
    let backend = LocalBackend::open(tee.config(&harness)).await.unwrap();
    let (one, two) = (pod_id(1), pod_id(2));
    for id in [one, two] {
        backend.apply(&pod(id, FOREVER, &json!({}), &json!({}))).await.unwrap();
    }
    let before = expect(&backend, one, attested).await;
    expect(&backend, two, attested).await;
    drop(backend);
    // As if the provider had been killed in the midst of starting one and of deleting the other.
    let pods = harness.data_dir().join("pods");
    std::fs::remove_file(pods.join(one.to_string()).join("started")).unwrap();
    std::fs::remove_file(pods.join(two.to_string()).join("pod.json")).unwrap();
    let backend = LocalBackend::open(tee.config(&harness)).await.unwrap();
    let after = expect(&backend, one, |s| attested(s) && s.agent_key != before.agent_key).await;
    assert_ne!(endpoint(&after), endpoint(&before), "new keys");
    let guests = tee.guests();
    assert_eq!(guests.len(), 1, "{guests:?}");
    assert!(guests[0].id.ends_with(&one.to_string()), "{guests:?}");
    backend.purge().await.unwrap();
    assert_eq!(tee.guests(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guests_folder_is_the_signers_alone_and_read_only() {
    let harness = LocalHarness::new().await;
    let tee = Tee::new();
    let backend = LocalBackend::open(tee.config(&harness)).await.unwrap();
    let script = "ls /run/casemate-tee; touch /run/casemate-tee/x || echo refused";
    let text = run(&backend, &pod(pod_id(1), script, &json!({}), &json!({}))).await;
    assert!(text.contains("tee.sock") && text.contains("refused"), "{text}");
    let resources = json!({ "cpu": "100m", "memory": "64Mi", "storage": "16Mi" });
    let script =
        format!("if test -e /run/casemate-tee; then echo there; else echo none; fi; {FOREVER}");
    let second = json!({
        "name": "side", "image": images().1, "command": crate::harness::shell(&script),
        "resources": resources,
    });
    let mut two = pod(pod_id(2), FOREVER, &json!({}), &json!({}));
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&two.manifest.to_canonical_json()).unwrap();
    manifest["spec"]["containers"].as_array_mut().unwrap().push(second);
    let manifest = casemate_manifest::Manifest::from_json(manifest.to_string().as_bytes());
    two.manifest = manifest.unwrap().into();
    backend.apply(&two).await.unwrap();
    expect(&backend, two.id, attested).await;
    let lines = crate::harness::lines(&backend, two.id).await;
    assert!(lines.iter().any(|l| l.container == "side" && l.text == "none"), "{lines:#?}");
    backend.purge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_was_started_without_a_tee_says_so_for_ever() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let id = pod_id(1);
    backend.apply(&pod(id, FOREVER, &json!({}), &json!({}))).await.unwrap();
    let running = |s: &PodStatus| s.phase == PodPhase::Running { ready: true };
    assert_eq!(expect(&backend, id, running).await.attestation, Attestation::Off);
    drop(backend);
    let tee = Tee::new();
    let backend = LocalBackend::open(tee.config(&harness)).await.unwrap();
    assert_eq!(expect(&backend, id, running).await.attestation, Attestation::Off);
    assert_eq!(tee.guests(), []);
    backend.purge().await.unwrap();
}
