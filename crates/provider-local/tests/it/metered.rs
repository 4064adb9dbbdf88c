//! What records say of the pod and of the agent before.

use std::time::{Duration, Instant};

use casemate_agent::event::{Decoder, EventKind};
use casemate_primitives::{HostMeasured, PodState, UsageRecord};
use casemate_provider_core::{Backend, PodId, PodPhase, SignedUsageRecord, conformance::Harness};
use casemate_provider_local::LocalBackend;
use codec::Decode as _;
use serde_json::json;

use crate::harness::{LocalHarness, PATIENCE, expect, pod, pod_id, shell};

const BUSY: &str = "trap 'exit 0' TERM; while :; do :; done";

/// The newest record of each key that is as wanted, once there is one.
async fn record(
    backend: &LocalBackend,
    id: PodId,
    wanted: impl Fn(&SignedUsageRecord) -> bool,
) -> SignedUsageRecord {
    let start = Instant::now();
    loop {
        let usage = backend.usage().await.unwrap();
        let mut of = usage.iter().filter(|(pod, _)| *pod == id).map(|(_, signed)| signed);
        if let Some(found) = of.find(|signed| wanted(signed)) {
            return found.clone();
        }
        assert!(start.elapsed() < PATIENCE, "no such record: {usage:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All records in the pod's events file.
fn records(harness: &LocalHarness, id: PodId) -> Vec<UsageRecord> {
    let path = harness.data_dir().join("pods").join(id.to_string()).join("events");
    let mut records = Vec::new();
    Decoder::default().feed(&std::fs::read(path).unwrap(), |_, event| {
        if let EventKind::Record { record, .. } = event.unwrap().kind {
            let bytes = hex::decode(record).unwrap();
            records.push(UsageRecord::decode(&mut bytes.as_slice()).unwrap());
        }
    });
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pod_uses_is_measured_by_its_own_cgroup() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    // A second container's work counts, too: the pod has one record.
    let idle = "trap 'exit 0' TERM; while :; do sleep 0.05; done";
    let one = pod(pod_id(1), idle, &json!({}), &json!({}));
    let image = one.manifest.spec.containers[0].image.to_string();
    let second = json!([
        { "name": "app", "image": image, "command": shell(idle),
          "resources": { "cpu": "500m", "memory": "64Mi", "storage": "16Mi" } },
        { "name": "busy", "image": image, "command": shell(BUSY),
          "resources": { "cpu": "500m", "memory": "64Mi", "storage": "16Mi" } },
    ]);
    let two = pod(pod_id(1), idle, &json!({}), &json!({ "containers": second }));
    backend.apply(&two).await.unwrap();
    let used = |signed: &SignedUsageRecord| {
        let actual = &signed.record.actual;
        // Far more than the agents and the idle one need.
        actual.cpu_millicore_seconds >= 300 && actual.memory_mib_seconds >= 1
    };
    let signed = record(&backend, two.id, used).await;
    let by_host = HostMeasured::CPU.and(HostMeasured::MEMORY);
    assert_eq!(signed.record.host_measured.0 & by_host.0, 0, "{:?}", signed.record);
    let quota = signed.record.total;
    assert!(signed.record.actual.cpu_millicore_seconds <= quota.cpu_millicore_seconds * 2 + 2_000);
    backend.purge().await.unwrap();
    assert_eq!(harness.things(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_go_on_from_the_agent_before() {
    let mut harness = LocalHarness::new().await;
    let mut backend = harness.open().await;
    let idle = "trap 'exit 0' TERM; while :; do sleep 0.05; done";
    let first = pod(pod_id(1), idle, &json!({}), &json!({}));
    let ready = PodPhase::Running { ready: true };
    backend.apply(&first).await.unwrap();
    expect(&backend, first.id, |s| s.phase == ready).await;
    // Ready before its first record is written: that one is waited for.
    let mut last = record(&backend, first.id, |_| true).await;
    let start = records(&harness, first.id)[0];
    assert_eq!((start.sequence, start.previous), (1, [0; 32]), "the replica's first");
    // Deleted and applied again; killed in between; its record spooled and forgotten: all the same.
    for forgets in [false, true] {
        backend.delete(first.id, Duration::from_secs(5)).await.unwrap();
        let before = last.key;
        last = record(&backend, first.id, |signed| signed.key == before).await;
        if forgets {
            backend.forget_usage(first.id, last.record.to).await.unwrap();
        }
        drop(backend);
        backend = harness.open().await;
        backend.apply(&first).await.unwrap();
        let status =
            expect(&backend, first.id, |s| s.phase == ready && s.agent_key.is_some()).await;
        let key = status.agent_key.unwrap();
        assert_ne!(key, before);
        let newer = record(&backend, first.id, |signed| signed.key == key).await;
        let first_of_key = records(&harness, first.id)[0];
        assert_eq!((first_of_key.sequence, first_of_key.previous), (1, last.record.hash()));
        assert!(first_of_key.from >= last.record.to, "no second is charged twice");
        last = newer;
    }
    // An update goes on from the pod that still runs.
    let update = pod(PodId { version: 2, ..first.id }, idle, &json!({}), &json!({}));
    backend.apply(&update).await.unwrap();
    expect(&backend, update.id, |s| s.phase == ready).await;
    record(&backend, update.id, |_| true).await;
    let named = records(&harness, update.id)[0].previous;
    assert!(records(&harness, first.id).iter().any(|record| record.hash() == named));
    // Another replica has its own.
    let other = pod(PodId { replica: 1, ..first.id }, idle, &json!({}), &json!({}));
    backend.apply(&other).await.unwrap();
    expect(&backend, other.id, |s| s.phase == ready).await;
    record(&backend, other.id, |_| true).await;
    assert_eq!(records(&harness, other.id)[0].previous, [0; 32]);
    // With the lease, what is known of it goes.
    for id in [first.id, update.id, other.id] {
        backend.delete(id, Duration::from_secs(5)).await.unwrap();
    }
    backend.delete_volumes(first.id.lease).await.unwrap();
    backend.apply(&first).await.unwrap();
    expect(&backend, first.id, |s| s.phase == ready).await;
    record(&backend, first.id, |signed| signed.record.sequence >= 1).await;
    assert_eq!(records(&harness, first.id)[0].previous, [0; 32]);
    backend.purge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_was_lost_or_stopped_has_not_ended() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    // Its app would end with success at a signal of the host's.
    let script = "trap 'exit 0' TERM HUP; while :; do sleep 0.05; done";
    let one = pod(pod_id(1), script, &json!({}), &json!({}));
    let ready = PodPhase::Running { ready: true };
    backend.apply(&one).await.unwrap();
    expect(&backend, one.id, |s| s.phase == ready).await;
    let pid = harness.data_dir().join("pods").join(one.id.to_string()).join("containers/app/pid");
    let pid = std::fs::read_to_string(pid).unwrap();
    let hup = std::process::Command::new("kill").args(["-HUP", pid.trim()]).status().unwrap();
    assert!(hup.success());
    let failed = |s: &casemate_provider_core::PodStatus| matches!(&s.phase, PodPhase::Failed(reason) if reason.contains("not by itself"));
    expect(&backend, one.id, failed).await;
    let last = record(&backend, one.id, |_| true).await;
    assert_eq!(last.record.state, PodState::Running);
    backend.purge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn output_of_every_container_is_sealed() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let secret = [0x55; 32];
    let recipient = casemate_logs::public_key(&secret).unwrap();
    let script = |word: &str| {
        format!("echo {word} speaks; trap 'exit 0' TERM; while :; do sleep 0.05; done")
    };
    let image = pod(pod_id(1), "true", &json!({}), &json!({})).manifest.spec.containers[0]
        .image
        .to_string();
    let container = |name: &str| {
        json!({ "name": name, "image": image, "command": shell(&script(name)),
                "resources": { "cpu": "500m", "memory": "64Mi", "storage": "16Mi" } })
    };
    let containers = json!([container("app"), container("db"), container("cache")]);
    let logs = json!({ "recipient": hex::encode(recipient) });
    let spec = json!({ "containers": containers, "logs": logs });
    let pod = pod(pod_id(1), "true", &json!({}), &spec);
    backend.apply(&pod).await.unwrap();
    expect(&backend, pod.id, |s| s.phase == PodPhase::Running { ready: true }).await;
    let start = Instant::now();
    let mut said = Vec::new();
    while said.len() < 3 {
        assert!(start.elapsed() < PATIENCE, "{said:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let Some(batch) = backend.log_chunks(pod.id).await.unwrap() else { continue };
        said = batch
            .chunks
            .iter()
            .flat_map(|chunk| casemate_logs::open(chunk, &[1; 32], &secret).unwrap())
            .filter(|line| line.text.ends_with(b"speaks"))
            .map(|line| (line.container, String::from_utf8(line.text).unwrap()))
            .collect();
    }
    said.sort();
    let line = |container: Option<&str>, word: &str| {
        (container.map(str::to_owned), format!("{word} speaks"))
    };
    assert_eq!(said, [line(None, "app"), line(Some("cache"), "cache"), line(Some("db"), "db")]);
    let plain = crate::harness::lines(&backend, pod.id).await;
    assert!(plain.iter().all(|line| !line.text.contains("speaks")), "{plain:?}");
    backend.purge().await.unwrap();
    assert_eq!(harness.things(), Vec::<String>::new());
}
