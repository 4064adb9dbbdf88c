//! Pods that ask for secrets, and hosts that do not start what the manifest says.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use casemate_attestation::{Grade, TrustRoots, bundle::Bundle, policy::Policy};
use casemate_primitives::blake2_256;
use casemate_provider_core::{
    Attestation, Backend as _, ContainerState, Pod, PodPhase, PodStatus, conformance::Harness as _,
};
use casemate_provider_local::{LocalBackend, LocalConfig};
use casemate_ra_tls::{
    Expected, PodIdentity, PolicyAppraiser, SecretName, Secrets,
    client::{Attested, Options, Release, Session, SessionError},
};
use casemate_software_tee::client::Control;
use ed25519_dalek::SigningKey;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    harness::{LocalHarness, PATIENCE, expect, lines, pod, pod_id},
    tee::{Tee, endpoint},
};

/// One for each way to the app: variable, file, socket.
const CANARIES: [(&str, &str); 3] = [
    ("db", "canary-5e0c71b2-in-the-environment"),
    ("key", "canary-91d04a37-in-a-file"),
    ("token", "canary-c2f86d15-over-the-socket"),
];

/// Tells that it has them without printing them.
const APP: &str = r#"
perl -e 'print "env ", scalar reverse($ENV{DB}), "\n"'
perl -e 'open F, "/run/secrets/key.pem" or die $!; print "file ", scalar reverse(<F>), "\n"'
perl -MIO::Socket::UNIX -e '
    my $s = IO::Socket::UNIX->new(Peer => "/run/secrets/.socket") or die $!;
    print $s "{\"get\": \"token\"}\n";
    my ($value) = <$s> =~ /"value":"([^"]*)"/;
    print "socket ", scalar reverse($value), "\n"'
id -u
trap 'exit 0' TERM; while :; do sleep 0.05; done
"#;

fn sender() -> SigningKey {
    SigningKey::from_bytes(&[8; 32])
}

fn asking(lease: u64, script: &str) -> Pod {
    let fields = json!({
        "env": [{ "name": "DB", "valueFrom": { "secretRef": { "name": "db" } } }],
        "secrets": [{ "name": "key", "file": "key.pem" }, { "name": "token" }],
        "securityContext": { "runAsUser": 33, "readOnlyRootFilesystem": true },
    });
    let key: String =
        sender().verifying_key().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    pod(pod_id(lease), script, &fields, &json!({ "releasedBy": [key] }))
}

fn identity(pod: &Pod) -> PodIdentity {
    PodIdentity {
        genesis_hash: pod.genesis_hash,
        lease: pod.id.lease,
        replica: pod.id.replica,
        manifest_hash: blake2_256(&pod.manifest.to_canonical_json()),
    }
}

/// Connects as a publisher does: real evidence of the software TEE, the real verifier.
fn attest(tee: &Tee, pod: &Pod, status: &PodStatus) -> Result<Attested, SessionError> {
    let collateral = Control::new(tee.socket()).collateral().unwrap();
    let roots: TrustRoots = serde_json::from_value(collateral["roots"].clone()).unwrap();
    let mut bundle = Bundle::default();
    for part in ["/intel/sgx", "/intel/tdx", "/amd/endorsements"] {
        bundle.add(collateral.pointer(part).unwrap().to_string().as_bytes()).unwrap();
    }
    let policy = Policy { grades: vec![Grade::Software], ..Policy::default() };
    let appraiser = PolicyAppraiser::new(policy, roots, Arc::new(bundle), None);
    let pod = identity(pod);
    let mut options = Options::new(Expected {
        genesis_hash: Some(pod.genesis_hash),
        lease: Some(pod.lease),
        replica: Some(pod.replica),
        manifest_hash: Some(pod.manifest_hash),
        agent_key: status.agent_key,
    });
    options.timeout = PATIENCE;
    let port = endpoint(status).unwrap().port;
    let address = format!("{}:{port}", status.address.unwrap());
    Session::connect(&address, Arc::new(appraiser), options)?.attest(Session::nonce()?)
}

fn release(attested: &mut Attested, pod: &Pod, sequence: u64) -> Result<(), SessionError> {
    let mut secrets = Secrets::new();
    for (name, value) in CANARIES {
        let value = Zeroizing::new(value.as_bytes().to_vec());
        secrets.insert(SecretName::new(name).unwrap(), value).unwrap();
    }
    let (pod, sender) = (identity(pod), sender());
    let release = Release { pod, policy_id: [0; 32], sequence, sender: Some(&sender) };
    attested.release(&secrets, &release).map(drop)
}

fn awaits(status: &PodStatus) -> bool {
    matches!(&status.containers[0].state, ContainerState::AwaitingSecrets { names }
        if names == &["db", "key", "token"])
        && status.phase == PodPhase::Running { ready: false }
        && endpoint(status).is_some()
}

fn ready(status: &PodStatus) -> bool {
    assert!(!matches!(status.phase, PodPhase::Failed(_)), "{status:?}");
    status.phase == PodPhase::Running { ready: true }
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

/// Every form in which a canary might have been written down.
fn forms() -> Vec<Vec<u8>> {
    let of = |(_, value): (&str, &str)| {
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        [value.to_owned(), STANDARD.encode(value), hex].map(String::into_bytes)
    };
    CANARIES.into_iter().flat_map(of).collect()
}

fn holds_canary(bytes: &[u8]) -> bool {
    forms().iter().any(|form| {
        let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == form[0]);
        starts.into_iter().any(|(at, _)| bytes[at..].starts_with(form))
    })
}

/// Files below a folder that hold a canary.
fn leaks(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && fs::read(entry.path()).is_ok_and(|b| holds_canary(&b)) {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Environments and command lines that hold a canary: of processes outside of this backend's pods and
/// of the agents in them, and of the apps in them.
fn leaking_processes(tag: &str) -> (Vec<String>, Vec<String>) {
    let (mut others, mut apps) = (Vec::new(), Vec::new());
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let dir = entry.path();
        let read = |name: &str| fs::read(dir.join(name)).unwrap_or_default();
        let text = |name: &str| String::from_utf8_lossy(&read(name)).into_owned();
        let is_app =
            text("cgroup").contains(&format!("/casemate/{tag}/")) && text("comm").trim() != "agent";
        let found = if is_app { &mut apps } else { &mut others };
        for name in ["environ", "cmdline"] {
            if holds_canary(&read(name)) {
                found.push(format!("{}/{name}", dir.display()));
            }
        }
    }
    (others, apps)
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_reach_the_app_and_nothing_of_the_providers() {
    let harness = LocalHarness::new().await;
    let tee = Tee::new();
    let config = tee.config(&harness);
    let backend = LocalBackend::open(config.clone()).await.unwrap();
    let pod = asking(1, APP);
    backend.apply(&pod).await.unwrap();
    let status = expect(&backend, pod.id, awaits).await;
    let waiting = lines(&backend, pod.id).await;
    assert!(waiting.iter().any(|l| l.text == "Waiting: secrets (db, key, token)"), "{waiting:#?}");

    // It still waits under a provider that was killed and started again.
    drop(backend);
    let backend = LocalBackend::open(config).await.unwrap();
    let again = expect(&backend, pod.id, awaits).await;
    assert_eq!(again.agent_key, status.agent_key);

    let mut attested = attest(&tee, &pod, &again).unwrap();
    release(&mut attested, &pod, 1).unwrap();
    expect(&backend, pod.id, ready).await;
    let wanted = [
        format!("env {}", reversed(CANARIES[0].1)),
        format!("file {}", reversed(CANARIES[1].1)),
        format!("socket {}", reversed(&STANDARD.encode(CANARIES[2].1))),
        "33".to_owned(),
    ];
    let has_all = |lines: &[casemate_provider_core::LogLine]| {
        wanted.iter().all(|wanted| lines.iter().any(|line| line.text == *wanted))
    };
    let start = std::time::Instant::now();
    while !has_all(&lines(&backend, pod.id).await) {
        assert!(start.elapsed() < PATIENCE, "{:#?}", lines(&backend, pod.id).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    // All that the provider has: its folder (events, configurations, what the app has written), what
    // it tells, the TEE's folder, and every process but the app's.
    let data = harness.data_dir();
    assert!(data.join("pods").join(pod.id.to_string()).join("containers/app/agent.json").is_file());
    assert_eq!(leaks(&data), Vec::<PathBuf>::new());
    let planted = data.join("pods").join(pod.id.to_string()).join("planted");
    fs::write(&planted, STANDARD.encode(CANARIES[1].1)).unwrap();
    assert_eq!(leaks(&data), std::slice::from_ref(&planted), "the search finds what is there");
    fs::remove_file(planted).unwrap();
    assert_eq!(leaks(tee.socket().parent().unwrap()), Vec::<PathBuf>::new());
    let told = format!("{:?} {:?}", backend.list().await.unwrap(), lines(&backend, pod.id).await);
    assert!(!holds_canary(told.as_bytes()), "{told}");
    let (others, apps) = leaking_processes(&harness.tag());
    assert_eq!(others, Vec::<String>::new());
    assert!(!apps.is_empty(), "the search finds the app's own environment");

    backend.delete(pod.id, Duration::from_secs(10)).await.unwrap();
    assert_eq!(leaks(&data), Vec::<PathBuf>::new());
    backend.purge().await.unwrap();
    assert_eq!(harness.things(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_secrets_and_those_for_another_pod_are_refused() {
    let harness = LocalHarness::new().await;
    let tee = Tee::new();
    let backend = LocalBackend::open(tee.config(&harness)).await.unwrap();
    let pod = asking(1, APP);
    backend.apply(&pod).await.unwrap();
    let status = expect(&backend, pod.id, awaits).await;
    let mut attested = attest(&tee, &pod, &status).unwrap();
    // What the provider itself could do: it knows the manifest and reaches the agent.
    let provider = SigningKey::from_bytes(&[9; 32]);
    let mut secrets = Secrets::new();
    for name in ["db", "key", "token"] {
        let value = Zeroizing::new(b"forged".to_vec());
        secrets.insert(SecretName::new(name).unwrap(), value).unwrap();
    }
    for sender in [None, Some(&provider)] {
        let release = Release { pod: identity(&pod), policy_id: [0; 32], sequence: 1, sender };
        match attested.release(&secrets, &release).unwrap_err() {
            SessionError::Refused { problem, .. } => assert_eq!(problem.code, "unknownSender"),
            other => panic!("{other}"),
        }
    }
    // A publisher who expects another manifest does not even release.
    let mut other = pod.clone();
    other.manifest = asking(1, "echo other").manifest;
    attest(&tee, &other, &status).unwrap_err();
    assert!(awaits(&expect(&backend, pod.id, |_| true).await), "the app has not started");
    backend.purge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_asks_for_secrets_is_not_started_without_a_tee() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let pod = asking(1, "echo started");
    backend.apply(&pod).await.unwrap();
    let failed = |s: &PodStatus| matches!(s.phase, PodPhase::Failed(_));
    let status = expect(&backend, pod.id, failed).await;
    let PodPhase::Failed(reason) = status.phase else { unreachable!() };
    assert!(reason.contains("asks for secrets") && reason.contains("TEE"), "{reason}");
    backend.purge().await.unwrap();
}

/// A host that changes files between what it accepted and what it starts: `edit` is a Perl program
/// over the text of `file`.
fn dishonest(config: &mut LocalConfig, dir: &Path, file: &str, edit: &str) {
    let real = config.runtime.clone().unwrap_or_else(|| PathBuf::from("crun"));
    let script = format!(
        "#!/bin/sh\n\
         bundle=; last=\n\
         for word; do test \"$last\" = --bundle && bundle=$word; last=$word; done\n\
         if test -f \"$bundle/{file}\"; then perl -0pi -e '{edit}' \"$bundle/{file}\"; fi\n\
         exec {} \"$@\"\n",
        real.display()
    );
    let path = dir.join("runtime");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    config.runtime = Some(path);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_refuses_a_host_that_starts_something_else() {
    let tee = Tee::new();
    for (file, edit, field, word) in [
        ("agent.json", "s/\"env\":\\[/\"env\":[\"LD_PRELOAD=\\/x.so\",/", "env", "LD_PRELOAD"),
        ("agent.json", "s/trap/touch \\/tmp\\/evil; trap/", "command", "command"),
        ("agent.json", "s/\"senders\":\\[\"..../\"senders\":[\"0000/", "senders", "releasedBy"),
        ("agent.json", "s/,\"secrets\":\\{.*?\\]\\}//", "secrets", "left out"),
        ("manifest.json", "s/Never/Always/", "manifest", "hash"),
        ("image-config.json", "s/linux/linuX/", "image", "configuration of image"),
    ] {
        let harness = LocalHarness::new().await;
        let dir = tempfile::tempdir().unwrap();
        let mut config = tee.config(&harness);
        dishonest(&mut config, dir.path(), file, edit);
        let backend = LocalBackend::open(config).await.unwrap();
        let pod = asking(1, APP);
        backend.apply(&pod).await.unwrap();
        let failed = |s: &PodStatus| {
            let failed = matches!(s.phase, PodPhase::Failed(_));
            assert!(failed || !ready(s) && !awaits(s), "{field}: the host is believed: {s:?}");
            failed
        };
        let status = expect(&backend, pod.id, failed).await;
        let PodPhase::Failed(reason) = &status.phase else { unreachable!() };
        assert!(reason.contains("refuses") && reason.contains(word), "{field}: {reason}");
        assert!(!matches!(status.attestation, Attestation::Available(_)), "{field}: {status:?}");
        let told = lines(&backend, pod.id).await;
        assert!(told.iter().any(|l| l.text.contains(word)), "{field}: {told:#?}");
        backend.purge().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_pod_is_what_its_manifest_says() {
    let harness = LocalHarness::new().await;
    let tee = Tee::new();
    let backend = LocalBackend::open(tee.config(&harness)).await.unwrap();
    // A volume over a folder of the image, a probe, and no secrets: what most pods are.
    let fields = json!({
        "volumeMounts": [{ "name": "v", "mountPath": "/data" }],
        "readinessProbe": { "exec": { "command": ["/bin/sh", "-c", "test -d /data"] } },
        "env": [{ "name": "A", "value": "x=y" }],
        "workingDir": "/tmp",
    });
    let spec = json!({ "volumes": [{ "name": "v", "empty": { "size": "1Mi" } }] });
    let script = "echo $A $PWD; trap 'exit 0' TERM; while :; do sleep 0.05; done";
    let pod = pod(pod_id(1), script, &fields, &spec);
    backend.apply(&pod).await.unwrap();
    let status = expect(&backend, pod.id, |s| ready(s) && endpoint(s).is_some()).await;
    attest(&tee, &pod, &status).unwrap();
    let told = lines(&backend, pod.id).await;
    assert!(told.iter().any(|line| line.text == "x=y /tmp"), "{told:#?}");
    backend.purge().await.unwrap();
}
