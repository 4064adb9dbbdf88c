//! Pods that are runs of a task.

use std::time::{Duration, Instant};

use casemate_manifest::Manifest;
use casemate_primitives::{RunId, RunOutcome, RunResult};
use casemate_provider_core::{Backend, Pod, PodId, PodPhase, PodRun, conformance::Harness};
use casemate_provider_local::LocalBackend;
use serde_json::json;

use crate::harness::{LocalHarness, PATIENCE, expect, images, pod_id, shell};

/// A run whose app may use 16 MiB of storage.
fn run_of(id: PodId, script: &str, retries: u32) -> Pod {
    let manifest = json!({
        "apiVersion": "casemate.io/v1", "kind": "Task",
        "metadata": { "name": "test" },
        "spec": {
            "task": {
                "deadlineSeconds": 3600, "runBudget": "1", "retries": retries, "backoffSeconds": 0,
            },
            "containers": [{
                "name": "app",
                "image": images().1,
                "command": shell(script),
                "resources": { "cpu": "500m", "memory": "64Mi", "storage": "16Mi" },
            }],
        },
    });
    Pod {
        id,
        genesis_hash: [1; 32],
        manifest: Manifest::from_json(manifest.to_string().as_bytes()).unwrap().into(),
        record_interval: Duration::from_secs(1),
        run: Some(PodRun { run: RunId(1), scheduled_at: 1_000 }),
    }
}

async fn result(backend: &LocalBackend, id: PodId) -> RunResult {
    let start = Instant::now();
    loop {
        let usage = backend.usage().await.unwrap();
        let run =
            usage.into_iter().filter(|(pod, _)| *pod == id).find_map(|(_, signed)| signed.run);
        if let Some(run) = run {
            return run.result;
        }
        assert!(start.elapsed() < PATIENCE, "{:#?}", backend.list().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const FILL: &str = "dd if=/dev/zero of=/tmp/fill bs=1048576 count=24 2>/dev/null";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_its_storage_fails_by_itself_and_is_not_run_again() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let id = pod_id(1);
    // Each start is one line.
    let script = format!("echo started; {FILL}; while :; do sleep 0.05; done");
    backend.apply(&run_of(id, &script, 1)).await.unwrap();
    let signed = result(&backend, id).await;
    // As by the kernel, for lack of memory: paid work that has failed, tried as the manifest says.
    assert_eq!((signed.outcome, signed.tries), (RunOutcome::Exited(137), 2));
    let key = expect(&backend, id, |s| s.agent_key.is_some()).await.agent_key;
    // It is there until its result is on chain, and nothing makes it one that is started again: what
    // it has left is over its storage still, at each check (one a second).
    for _ in 0..30 {
        let status = expect(&backend, id, |_| true).await;
        assert_eq!(status.phase, PodPhase::Running { ready: false });
        assert_eq!(status.agent_key, key);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let lines = crate::harness::lines(&backend, id).await;
    assert_eq!(lines.iter().filter(|line| line.text == "started").count(), 2);
    backend.purge().await.unwrap();
    assert_eq!(harness.things(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_ended_over_its_storage_keeps_its_result() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let id = pod_id(1);
    backend.apply(&run_of(id, FILL, 0)).await.unwrap();
    // It has ended by itself, unless a check came in between.
    let signed = result(&backend, id).await;
    for _ in 0..30 {
        let status = expect(&backend, id, |_| true).await;
        assert_eq!(status.phase, PodPhase::Running { ready: false });
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(result(&backend, id).await, signed);
    backend.purge().await.unwrap();
}
