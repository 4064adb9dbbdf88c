//! Killed providers, orphans, and cleaning up.

use std::{fs, process::Command, time::Duration};

use casemate_provider_core::{Backend, BackendError, PodPhase, conformance::Harness};
use casemate_provider_local::LocalBackend;
use serde_json::json;

use crate::harness::{LocalHarness, PATIENCE, expect, pod, pod_id};

const FOREVER: &str = "trap 'exit 0' TERM; while :; do sleep 0.05; done";

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_no_pod_is_cleared_when_the_backend_opens() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let id = pod_id(1);
    backend.apply(&pod(id, FOREVER, &json!({}), &json!({}))).await.unwrap();
    expect(&backend, id, |s| s.phase == PodPhase::Running { ready: true }).await;
    drop(backend);
    // As if the provider had been killed in the middle of a deletion, at its worst point.
    fs::remove_file(harness.data_dir().join("pods").join(id.to_string()).join("pod.json")).unwrap();
    let link = format!("c{}00000000", harness.tag());
    let peer = format!("c{}00000001", harness.tag());
    let made = Command::new("ip")
        .args(["link", "add", &link, "type", "veth", "peer", "name", &peer])
        .status()
        .unwrap();
    assert!(made.success());

    let backend = harness.open().await;
    assert!(backend.list().await.unwrap().is_empty());
    assert_eq!(harness.things(), Vec::<String>::new());
    backend.purge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_was_killed_is_finished_by_the_next_backend() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let id = pod_id(1);
    backend.apply(&pod(id, FOREVER, &json!({}), &json!({}))).await.unwrap();
    let before = expect(&backend, id, |s| s.phase == PodPhase::Running { ready: true }).await;
    drop(backend);
    // As if it had been killed before it could note that all containers were started.
    fs::remove_file(harness.data_dir().join("pods").join(id.to_string()).join("started")).unwrap();

    let backend = harness.open().await;
    let after = expect(&backend, id, |s| {
        s.phase == PodPhase::Running { ready: true } && s.agent_key != before.agent_key
    })
    .await;
    assert_eq!(after.address, before.address);
    let agents = harness.things().iter().filter(|t| t.contains("(agent)")).count();
    assert_eq!(agents, 1, "no second one: {:#?}", harness.things());
    backend.purge().await.unwrap();
    assert_eq!(harness.things(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_killed_fails_the_pod() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let id = pod_id(1);
    backend.apply(&pod(id, FOREVER, &json!({}), &json!({}))).await.unwrap();
    expect(&backend, id, |s| s.phase == PodPhase::Running { ready: true }).await;
    let pid = harness.data_dir().join("pods").join(id.to_string()).join("containers/app/pid");
    let pid = fs::read_to_string(pid).unwrap();
    assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
    let failed = |s: &casemate_provider_core::PodStatus| matches!(&s.phase, PodPhase::Failed(reason) if reason.contains("killed"));
    expect(&backend, id, failed).await;
    backend.delete(id, Duration::from_secs(1)).await.unwrap();
    assert_eq!(harness.things(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_leaves_nothing() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let volume = json!({ "volumes": [{ "name": "v", "persistent": { "size": "1Mi" } }] });
    let mount = json!({ "volumeMounts": [{ "name": "v", "mountPath": "/data" }] });
    for lease in 1..=3 {
        backend.apply(&pod(pod_id(lease), FOREVER, &mount, &volume)).await.unwrap();
    }
    expect(&backend, pod_id(2), |s| s.phase == PodPhase::Running { ready: true }).await;
    backend.purge().await.unwrap();
    assert_eq!(harness.things(), Vec::<String>::new());
    let tables = Command::new("nft").args(["list", "tables"]).output().unwrap();
    let tables = String::from_utf8_lossy(&tables.stdout).into_owned();
    assert!(!tables.contains(&harness.tag()), "{tables}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_runtime_it_says_what_to_install() {
    let harness = LocalHarness::new().await;
    let mut config = harness.config();
    config.runtime = Some("/no/such/runtime".into());
    let err = LocalBackend::open(config).await.unwrap_err().to_string();
    assert!(err.contains("/no/such/runtime") && err.contains("apt-get install"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_costs_nothing() {
    let mut harness = LocalHarness::new().await;
    harness.limit_disk("8m");
    let backend = harness.open().await;
    let id = pod_id(1);
    backend.apply(&pod(id, FOREVER, &json!({}), &json!({}))).await.unwrap();
    let before = expect(&backend, id, |s| s.phase == PodPhase::Running { ready: true }).await;
    let filler = harness.data_dir().join("filler");
    let full = Command::new("dd")
        .args(["if=/dev/zero", "bs=4k", &format!("of={}", filler.display())])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&full.stderr).contains("No space"));

    let err = backend.apply(&pod(pod_id(2), FOREVER, &json!({}), &json!({}))).await.unwrap_err();
    assert!(matches!(err, BackendError::NoSpace { .. }), "{err}");
    assert!(err.to_string().contains("free some space"), "{err}");
    // The pod that runs goes on, though its agent can't tell.
    let status = backend.list().await.unwrap();
    assert_eq!(status, std::slice::from_ref(&before));
    tokio::time::sleep(Duration::from_secs(3)).await;

    fs::remove_file(&filler).unwrap();
    let start = std::time::Instant::now();
    let newest = |usage: Vec<(_, casemate_provider_core::SignedUsageRecord)>| {
        usage.last().map_or(0, |(_, signed)| signed.record.sequence)
    };
    let last = newest(backend.usage().await.unwrap());
    while newest(backend.usage().await.unwrap()) <= last {
        assert!(start.elapsed() < PATIENCE, "records come again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let usage = backend.usage().await.unwrap();
    assert_eq!(Some(usage[0].1.key), before.agent_key);
    backend.apply(&pod(pod_id(2), FOREVER, &json!({}), &json!({}))).await.unwrap();
    expect(&backend, pod_id(2), |s| s.phase == PodPhase::Running { ready: true }).await;
    backend.purge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pods_at_once() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    for lease in 1..=16 {
        backend.apply(&pod(pod_id(lease), FOREVER, &json!({}), &json!({}))).await.unwrap();
    }
    let mut addresses = std::collections::BTreeSet::new();
    for lease in 1..=16 {
        let ready = |s: &casemate_provider_core::PodStatus| {
            assert!(!matches!(s.phase, PodPhase::Failed(_)), "{s:?}");
            s.phase == PodPhase::Running { ready: true }
        };
        addresses.insert(expect(&backend, pod_id(lease), ready).await.address);
    }
    assert_eq!(addresses.len(), 16);
    backend.purge().await.unwrap();
    assert_eq!(harness.things(), Vec::<String>::new());
}
