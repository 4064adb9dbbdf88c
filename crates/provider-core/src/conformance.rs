//! What every backend must do, as a suite that each runs in its own tests.
//!
//! A backend's test crate implements [`Harness`] and calls [`conformance_tests!`], which makes one
//! test of each function here.

// A failed expectation ends the test.
#![allow(clippy::missing_panics_doc)]

use std::{
    collections::BTreeSet,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use casemate_agent::event::verify_record;
use casemate_manifest::Manifest;
use casemate_primitives::{LeaseId, PodState, UsageRecord};
use serde_json::{Value, json};

use crate::{
    Backend, BackendError, ContainerState, LogBatch, LogLine, LogQuery, Pod, PodId, PodPhase,
    PodStatus, SignedUsageRecord,
};

pub use crate::conformance_tests;

/// Far above what anything here takes: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(120);

const GENESIS: [u8; 32] = [0x5a; 32];

/// What an app does after it has printed `hello` (and, where it mounts a volume at `/data`, `run N`
/// for the Nth start on that volume).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Behaviour {
    /// Runs until it is stopped.
    Stays,
    /// Ends with this exit code.
    Ends(i32),
}

/// How the suite sets up a backend.
pub trait Harness: Send {
    /// What is tested.
    type Backend: Backend;

    /// Opens the backend on the state that the last one (dropped before) has left: what a provider
    /// does when it is started again.
    fn open(&mut self) -> impl Future<Output = Self::Backend> + Send;

    /// An image in which [`Harness::command`] runs.
    fn image(&self) -> String;

    /// A reference to an image that can't be had.
    fn missing_image(&self) -> String;

    /// A command with this behaviour.
    fn command(&self, behaviour: Behaviour) -> Vec<String>;

    /// Everything on the machine that belongs to this backend's pods: none, where no pod is left.
    fn leftovers(&mut self) -> impl Future<Output = Vec<String>> + Send;
}

/// Makes a `#[tokio::test]` of each function of the suite. The argument is an async function that
/// gives a new harness.
#[macro_export]
macro_rules! conformance_tests {
    ($harness:path) => {
        $crate::conformance_tests!(@each $harness:
            apply_is_idempotent, logs_have_cursors, usage_verifies_and_outlives_the_pod,
            delete_leaves_nothing, a_reopened_backend_sees_the_same_pods,
            a_crash_is_counted_and_the_app_started_again, an_app_that_ends_ends_the_pod,
            a_missing_image_fails_the_pod, persistent_volumes_outlive_the_pod,
            two_versions_run_side_by_side, containers_are_told_apart,
            a_deleted_pod_can_be_applied_again, sealed_output_is_kept_until_it_is_taken,
        );
    };
    (@each $harness:path: $($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $crate::conformance::$name(&mut $harness().await).await;
            }
        )*
    };
}

/// A manifest of containers `(name, image, command)`, with a volume at `/data` of the first where
/// asked for.
fn manifest(containers: &[(&str, String, Vec<String>)], policy: &str, volume: bool) -> Manifest {
    let containers: Vec<Value> = containers
        .iter()
        .enumerate()
        .map(|(index, (name, image, command))| {
            let mut container = json!({
                "name": name,
                "image": image,
                "command": command,
                "resources": { "cpu": "100m", "memory": "64Mi", "storage": "16Mi" },
            });
            if volume && index == 0 {
                container["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
            }
            container
        })
        .collect();
    let mut manifest = json!({
        "apiVersion": "casemate.io/v1",
        "kind": "Service",
        "metadata": { "name": "conformance" },
        "spec": { "restartPolicy": policy, "containers": containers },
    });
    if volume {
        manifest["spec"]["volumes"] = json!([{ "name": "data", "persistent": { "size": "16Mi" } }]);
    }
    Manifest::from_json(manifest.to_string().as_bytes()).expect("the suite's manifest is valid")
}

fn pod_id(lease: u64, version: u32) -> PodId {
    PodId { lease: LeaseId(lease), replica: 0, version }
}

fn pod(id: PodId, manifest: Manifest) -> Pod {
    let record_interval = Duration::from_secs(1);
    Pod { id, genesis_hash: GENESIS, manifest: Arc::new(manifest), record_interval, run: None }
}

fn simple<H: Harness>(harness: &H, id: PodId, behaviour: Behaviour, policy: &str) -> Pod {
    let containers = [("app", harness.image(), harness.command(behaviour))];
    pod(id, manifest(&containers, policy, false))
}

async fn status(backend: &impl Backend, id: PodId) -> Option<PodStatus> {
    let pods = backend.list().await.expect("the pods can be listed");
    assert!(pods.is_sorted_by_key(|pod| pod.id), "in the order of their ids: {pods:?}");
    assert_eq!(pods.iter().map(|p| p.id).collect::<BTreeSet<_>>().len(), pods.len());
    pods.into_iter().find(|pod| pod.id == id)
}

/// Waits until the pod's status is as wanted.
async fn expect(
    backend: &impl Backend,
    id: PodId,
    what: &str,
    wanted: impl Fn(&PodStatus) -> bool,
) -> PodStatus {
    let start = Instant::now();
    loop {
        let now = status(backend, id).await;
        if let Some(status) = now.as_ref().filter(|status| wanted(status)) {
            return status.clone();
        }
        assert!(start.elapsed() < PATIENCE, "pod {id} is not {what}: {now:#?}");
        if let Some(PodStatus { phase: PodPhase::Failed(reason), .. }) = &now
            && what == "ready"
        {
            panic!("pod {id} failed: {reason}");
        }
        let _ = tokio::time::timeout(Duration::from_millis(100), backend.changed()).await;
    }
}

async fn expect_ready(backend: &impl Backend, id: PodId) -> PodStatus {
    expect(backend, id, "ready", |s| s.phase == PodPhase::Running { ready: true }).await
}

/// Waits until the lines are as wanted.
async fn expect_lines(
    backend: &impl Backend,
    id: PodId,
    wanted: impl Fn(&[LogLine]) -> bool,
) -> Vec<LogLine> {
    let start = Instant::now();
    loop {
        let lines = backend.logs(id, &LogQuery::default()).await.expect("the lines can be read");
        assert!(lines.is_sorted_by(|a, b| a.cursor < b.cursor), "cursors grow: {lines:?}");
        if wanted(&lines) {
            return lines;
        }
        assert!(start.elapsed() < PATIENCE, "pod {id} has not printed it: {lines:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn printed(lines: &[LogLine], text: &str) -> bool {
    lines.iter().any(|line| line.text == text)
}

async fn expect_usage(
    backend: &impl Backend,
    id: PodId,
    wanted: impl Fn(&UsageRecord) -> bool,
) -> SignedUsageRecord {
    let start = Instant::now();
    loop {
        let usage = backend.usage().await.expect("the records can be read");
        let found = usage.into_iter().find(|(of, _)| *of == id).map(|(_, record)| record);
        if let Some(signed) = &found {
            verify_record(&signed.record, &signed.signature, &signed.key, &GENESIS)
                .expect("the record is signed by its key for this chain");
            if wanted(&signed.record) {
                return signed.clone();
            }
        }
        assert!(start.elapsed() < PATIENCE, "no such record of pod {id}: {found:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn delete(backend: &impl Backend, id: PodId) {
    backend.delete(id, Duration::from_secs(5)).await.expect("the pod can be deleted");
    assert_eq!(status(backend, id).await, None);
}

/// However often it is applied, it is one pod with one key.
pub async fn apply_is_idempotent(harness: &mut impl Harness) {
    let backend = harness.open().await;
    let pod = simple(harness, pod_id(1, 1), Behaviour::Stays, "Always");
    let (first, second) = tokio::join!(backend.apply(&pod), backend.apply(&pod));
    first.and(second).expect("the pod is accepted, also twice at once");
    let before = expect_ready(&backend, pod.id).await;
    assert!(before.agent_key.is_some() && before.address.is_some(), "{before:?}");
    assert_eq!(before.containers.len(), 1);
    backend.apply(&pod).await.expect("a running pod is accepted");
    let after = expect_ready(&backend, pod.id).await;
    assert_eq!(before.agent_key, after.agent_key);
    assert_eq!(before.address, after.address);
    assert_eq!(backend.list().await.expect("the pods can be listed").len(), 1);
    delete(&backend, pod.id).await;
}

/// Output can be read from a cursor, from the end, and of one container.
pub async fn logs_have_cursors(harness: &mut impl Harness) {
    let backend = harness.open().await;
    let containers =
        ["one", "two"].map(|name| (name, harness.image(), harness.command(Behaviour::Stays)));
    let pod = pod(pod_id(2, 1), manifest(&containers, "Always", false));
    backend.apply(&pod).await.expect("the pod is accepted");
    let both = |lines: &[LogLine]| lines.iter().filter(|l| l.text == "hello").count() == 2;
    let lines = expect_lines(&backend, pod.id, both).await;
    let logs = |query: LogQuery| {
        let backend = &backend;
        async move { backend.logs(pod.id, &query).await }
    };
    for (index, line) in lines.iter().enumerate() {
        let after = Some(line.cursor);
        let rest = logs(LogQuery { after, ..LogQuery::default() }).await.expect("lines");
        assert!(rest.starts_with(&lines[index + 1..]), "after {line:?}: {rest:?}");
    }
    let tail = logs(LogQuery { tail: Some(1), ..LogQuery::default() }).await.expect("lines");
    assert_eq!(tail.len(), 1);
    let one = LogQuery { container: Some("one".into()), ..LogQuery::default() };
    let one = logs(one).await.expect("lines");
    assert!(printed(&one, "hello") && one.iter().all(|l| l.container == "one"), "{one:?}");
    let none = LogQuery { container: Some("three".into()), ..LogQuery::default() };
    assert!(matches!(logs(none).await, Err(BackendError::NoSuchContainer { .. })));
    let unknown = backend.logs(pod_id(2, 2), &LogQuery::default()).await;
    assert!(matches!(unknown, Err(BackendError::NotFound(_))), "{unknown:?}");
    delete(&backend, pod.id).await;
    let deleted = backend.logs(pod.id, &LogQuery::default()).await;
    assert!(matches!(deleted, Err(BackendError::NotFound(_))), "{deleted:?}");
}

/// Records verify and grow, and the last one stays until the caller has it.
pub async fn usage_verifies_and_outlives_the_pod(harness: &mut impl Harness) {
    let backend = harness.open().await;
    let pod = simple(harness, pod_id(3, 1), Behaviour::Stays, "Always");
    backend.apply(&pod).await.expect("the pod is accepted");
    let key = expect_ready(&backend, pod.id).await.agent_key;
    let first = expect_usage(&backend, pod.id, |_| true).await;
    assert_eq!(Some(first.key), key);
    assert_eq!(first.record.lease, pod.id.lease);
    let used = |r: &UsageRecord| r.total.cpu_millicore_seconds >= 200;
    let second = expect_usage(&backend, pod.id, used).await;
    assert!(second.record.sequence > first.record.sequence);
    assert!(second.record.total.memory_mib_seconds >= 128);
    delete(&backend, pod.id).await;
    let last = expect_usage(&backend, pod.id, |_| true).await;
    assert!(last.record.sequence > second.record.sequence, "a stop makes a last record");
    drop(backend);

    let backend = harness.open().await;
    assert_eq!(expect_usage(&backend, pod.id, |_| true).await, last);
    backend.forget_usage(pod.id, last.record.to - 1).await.expect("nothing is forgotten");
    assert_eq!(expect_usage(&backend, pod.id, |_| true).await, last);
    backend.forget_usage(pod.id, last.record.to).await.expect("it is forgotten");
    let usage = backend.usage().await.expect("the records can be read");
    assert!(usage.iter().all(|(id, _)| *id != pod.id), "{usage:?}");
}

/// A deleted pod leaves nothing on the machine, and deleting it again does no harm.
pub async fn delete_leaves_nothing(harness: &mut impl Harness) {
    let backend = harness.open().await;
    let ready = simple(harness, pod_id(4, 1), Behaviour::Stays, "Always");
    backend.apply(&ready).await.expect("the pod is accepted");
    expect_ready(&backend, ready.id).await;
    delete(&backend, ready.id).await;
    // In whatever state it is just after it was accepted.
    let starting = simple(harness, pod_id(4, 2), Behaviour::Stays, "Always");
    backend.apply(&starting).await.expect("the pod is accepted");
    delete(&backend, starting.id).await;
    delete(&backend, starting.id).await;
    delete(&backend, pod_id(4, 3)).await;
    assert_eq!(harness.leftovers().await, Vec::<String>::new());
}

/// A provider that is started again finds its pods as they were.
pub async fn a_reopened_backend_sees_the_same_pods(harness: &mut impl Harness) {
    let backend = harness.open().await;
    let pod = simple(harness, pod_id(5, 1), Behaviour::Stays, "Always");
    backend.apply(&pod).await.expect("the pod is accepted");
    let before = expect_ready(&backend, pod.id).await;
    let lines = expect_lines(&backend, pod.id, |lines| printed(lines, "hello")).await;
    let used = expect_usage(&backend, pod.id, |_| true).await;
    drop(backend);

    let backend = harness.open().await;
    assert_eq!(status(&backend, pod.id).await, Some(before), "without a pause or a false state");
    let again = backend.logs(pod.id, &LogQuery::default()).await.expect("lines");
    assert!(again.starts_with(&lines), "{again:?}");
    let later = expect_usage(&backend, pod.id, |r| r.sequence >= used.record.sequence).await;
    assert_eq!(later.key, used.key);
    backend.apply(&pod).await.expect("a running pod is accepted");
    delete(&backend, pod.id).await;
    assert_eq!(harness.leftovers().await, Vec::<String>::new());
}

/// The agent starts a crashed app again, and the pod stays.
pub async fn a_crash_is_counted_and_the_app_started_again(harness: &mut impl Harness) {
    let backend = harness.open().await;
    let pod = simple(harness, pod_id(6, 1), Behaviour::Ends(3), "Always");
    backend.apply(&pod).await.expect("the pod is accepted");
    let status = expect(&backend, pod.id, "restarted", |s| {
        s.containers
            .iter()
            .any(|c| c.restarts >= 1 && matches!(c.state, ContainerState::BackOff { exit_code: 3 }))
    })
    .await;
    assert_eq!(status.phase, PodPhase::Running { ready: false });
    delete(&backend, pod.id).await;
}

/// A pod whose app has ended for good says so, its agent signs so, and its lines can be read.
pub async fn an_app_that_ends_ends_the_pod(harness: &mut impl Harness) {
    let backend = harness.open().await;
    let pod = simple(harness, pod_id(7, 1), Behaviour::Ends(4), "Never");
    backend.apply(&pod).await.expect("the pod is accepted");
    let ended = |s: &PodStatus| matches!(&s.phase, PodPhase::Ended(_));
    let status = expect(&backend, pod.id, "ended", ended).await;
    assert!(
        matches!(&status.phase, PodPhase::Ended(r) if r.contains("app") && r.contains('4')),
        "the reason names container and exit code: {status:?}"
    );
    assert_eq!(status.containers[0].state, ContainerState::Exited { exit_code: 4 });
    let usage = backend.usage().await.expect("records can be read");
    let last = usage.iter().find(|(id, _)| *id == pod.id).expect("its last record is there");
    assert_eq!(last.1.record.state, PodState::Ended { code: 4 });
    backend.apply(&pod).await.expect("an ended pod is accepted and stays ended");
    let lines = expect_lines(&backend, pod.id, |lines| printed(lines, "hello")).await;
    assert_eq!(lines.iter().filter(|l| l.text == "hello").count(), 1);
    delete(&backend, pod.id).await;
    assert_eq!(harness.leftovers().await, Vec::<String>::new());
}

/// An image that can't be had is told as the pod's failure.
pub async fn a_missing_image_fails_the_pod(harness: &mut impl Harness) {
    let backend = harness.open().await;
    let image = harness.missing_image();
    let containers = [("app", image.clone(), harness.command(Behaviour::Stays))];
    let pod = pod(pod_id(8, 1), manifest(&containers, "Always", false));
    backend.apply(&pod).await.expect("the pod is accepted");
    let failed = |s: &PodStatus| matches!(&s.phase, PodPhase::Failed(_));
    let status = expect(&backend, pod.id, "failed", failed).await;
    let PodPhase::Failed(reason) = status.phase else { unreachable!() };
    let name = image.split(['@', '/']).nth(1).unwrap_or(&image);
    assert!(reason.contains(name), "the reason names the image: {reason}");
    delete(&backend, pod.id).await;
    assert_eq!(harness.leftovers().await, Vec::<String>::new());
}

/// Persistent volumes stay over a delete and go with the lease.
pub async fn persistent_volumes_outlive_the_pod(harness: &mut impl Harness) {
    let backend = harness.open().await;
    let containers = [("app", harness.image(), harness.command(Behaviour::Stays))];
    let volumes = manifest(&containers, "Always", true);
    for (version, run) in [(1, "run 1"), (2, "run 2")] {
        let pod = pod(pod_id(9, version), volumes.clone());
        backend.apply(&pod).await.expect("the pod is accepted");
        expect_lines(&backend, pod.id, |lines| printed(lines, run)).await;
        delete(&backend, pod.id).await;
    }
    backend.delete_volumes(LeaseId(99)).await.expect("no volumes are no error");
    backend.delete_volumes(LeaseId(9)).await.expect("the volumes can be deleted");
    backend.delete_volumes(LeaseId(9)).await.expect("no volumes are no error");
    let pod = pod(pod_id(9, 3), volumes);
    backend.apply(&pod).await.expect("the pod is accepted");
    expect_lines(&backend, pod.id, |lines| printed(lines, "run 1")).await;
    delete(&backend, pod.id).await;
    backend.delete_volumes(LeaseId(9)).await.expect("the volumes can be deleted");
    assert_eq!(harness.leftovers().await, Vec::<String>::new());
}

/// During an update the old and the new pod run at once, with a key and an address each.
pub async fn two_versions_run_side_by_side(harness: &mut impl Harness) {
    let backend = harness.open().await;
    let pods = [1, 2].map(|v| simple(harness, pod_id(10, v), Behaviour::Stays, "Always"));
    for pod in &pods {
        backend.apply(pod).await.expect("the pod is accepted");
    }
    let old = expect_ready(&backend, pods[0].id).await;
    let new = expect_ready(&backend, pods[1].id).await;
    assert_ne!(old.agent_key, new.agent_key);
    assert_ne!(old.address, new.address);
    delete(&backend, old.id).await;
    assert_eq!(status(&backend, new.id).await, Some(new.clone()), "the other is untouched");
    delete(&backend, new.id).await;
}

/// Containers are listed in the manifest's order, each with its own state.
pub async fn containers_are_told_apart(harness: &mut impl Harness) {
    let backend = harness.open().await;
    let containers = [
        ("zebra", harness.image(), harness.command(Behaviour::Stays)),
        ("ant", harness.image(), harness.command(Behaviour::Ends(7))),
    ];
    let pod = pod(pod_id(11, 1), manifest(&containers, "Always", false));
    backend.apply(&pod).await.expect("the pod is accepted");
    let status = expect(&backend, pod.id, "half running", |s| {
        // An agent may be quicker than whoever started it: the pod is still being started then.
        s.phase == PodPhase::Running { ready: false }
            && s.containers.len() == 2
            && s.containers[0].state == ContainerState::Running
            && s.containers[1].state == (ContainerState::BackOff { exit_code: 7 })
    })
    .await;
    assert_eq!(status.containers[0].name, "zebra");
    assert!(status.containers[0].ready && !status.containers[1].ready);
    delete(&backend, pod.id).await;
    assert_eq!(harness.leftovers().await, Vec::<String>::new());
}

/// The same id may be used again after a delete: it is a new pod with a new key.
pub async fn a_deleted_pod_can_be_applied_again(harness: &mut impl Harness) {
    let backend = harness.open().await;
    let pod = simple(harness, pod_id(12, 1), Behaviour::Stays, "Always");
    backend.apply(&pod).await.expect("the pod is accepted");
    let before = expect_ready(&backend, pod.id).await;
    delete(&backend, pod.id).await;
    backend.apply(&pod).await.expect("the pod is accepted");
    let after = expect_ready(&backend, pod.id).await;
    assert_ne!(before.agent_key, after.agent_key);
    delete(&backend, pod.id).await;
    // What the first one was not paid for yet is not lost by the second.
    let usage = backend.usage().await.expect("the records can be read");
    let keys: BTreeSet<_> = usage.iter().filter(|(id, _)| *id == pod.id).map(|u| u.1.key).collect();
    assert_eq!(keys, [before.agent_key, after.agent_key].into_iter().flatten().collect());
}

/// With `spec.logs`, output comes in chunks that only the recipient opens: the same until they are
/// given up, also for a backend that was opened anew and for a pod that is gone; and those of a pod
/// that was applied again come after.
pub async fn sealed_output_is_kept_until_it_is_taken(harness: &mut impl Harness) {
    let secret = [0x77; 32];
    let public = casemate_logs::public_key(&secret).expect("any 32 bytes are a secret key");
    let mut backend = harness.open().await;
    let mut pod = simple(harness, pod_id(13, 1), Behaviour::Stays, "Always");
    let mut manifest = (*pod.manifest).clone();
    let recipient = casemate_manifest::LogKey::new(public).expect("it is of full order");
    assert!(manifest.fill_log_recipient(recipient));
    pod.manifest = Arc::new(manifest);
    backend.apply(&pod).await.expect("the pod is accepted");
    let status = expect_ready(&backend, pod.id).await;
    let first = expect_chunk(&backend, pod.id).await;
    assert!(expect_batch(&backend, pod.id).await.chunks.starts_with(&first.chunks));
    drop(backend);
    backend = harness.open().await;
    assert!(expect_batch(&backend, pod.id).await.chunks.starts_with(&first.chunks));

    let lines = backend.logs(pod.id, &LogQuery::default()).await.expect("the lines can be read");
    assert!(!printed(&lines, "hello"), "sealed lines are nobody else's to read: {lines:?}");
    delete(&backend, pod.id).await;
    assert_eq!(harness.leftovers().await, Vec::<String>::new());
    backend.apply(&pod).await.expect("the pod is accepted");
    expect_ready(&backend, pod.id).await;
    drop(backend);
    backend = harness.open().await;
    let mut chunks = Vec::new();
    loop {
        let batch = expect_batch(&backend, pod.id).await;
        assert_eq!(batch.refused, 0, "{:?}", batch.reason);
        backend.forget_log_chunks(pod.id, &batch.mark).await.expect("a batch can be given up");
        // Once more does nothing, least of all to the next one.
        backend.forget_log_chunks(pod.id, &batch.mark).await.expect("a batch can be given up");
        chunks.extend(batch.chunks);
        if chunks.iter().any(|chunk| Some(chunk.header.key) != status.agent_key) {
            break;
        }
    }
    delete(&backend, pod.id).await;
    let (old, new): (Vec<_>, Vec<_>) =
        chunks.iter().partition(|chunk| Some(chunk.header.key) == status.agent_key);
    assert!(chunks.starts_with(&first.chunks), "the old pod's come first");
    for chunks in [old, new] {
        let mut lines = Vec::new();
        for (index, chunk) in (0..).zip(chunks) {
            assert_eq!(chunk.header.index, index, "in their order, none twice");
            lines.extend(casemate_logs::open(chunk, &GENESIS, &secret).expect("it opens"));
        }
        assert!(lines.iter().any(|line| line.text == b"hello"), "{lines:?}");
    }
    while let Some(batch) = backend.log_chunks(pod.id).await.expect("chunks can be read") {
        backend.forget_log_chunks(pod.id, &batch.mark).await.expect("a batch can be given up");
    }
    assert_eq!(backend.logged().await.expect("they can be listed"), []);
}

/// Waits until there is something to take.
async fn expect_batch(backend: &impl Backend, id: PodId) -> LogBatch {
    let start = Instant::now();
    loop {
        // Records come with time, and chunks with them.
        backend.usage().await.expect("the records can be read");
        if let Some(batch) = backend.log_chunks(id).await.expect("chunks can be read") {
            let logged = backend.logged().await.expect("they can be listed");
            assert!(logged.contains(&id), "{logged:?}");
            return batch;
        }
        assert!(start.elapsed() < PATIENCE, "pod {id} has written no chunk");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until there is a chunk.
async fn expect_chunk(backend: &impl Backend, id: PodId) -> LogBatch {
    let start = Instant::now();
    loop {
        let batch = expect_batch(backend, id).await;
        if !batch.chunks.is_empty() {
            return batch;
        }
        assert!(start.elapsed() < PATIENCE, "pod {id} has written no chunk");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
