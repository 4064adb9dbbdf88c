//! SIGKILL to the provider at random moments.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use casemate_provider_core::{Backend, Pod, PodPhase, conformance::Harness};
use casemate_provider_local::LocalBackend;
use serde_json::json;

use crate::harness::{LocalHarness, config_of, expect, images, pod_id, pod_of};

const DATA: &str = "CASEMATE_TEST_DATA";
const IMAGES: &str = "CASEMATE_TEST_IMAGES";
const IMAGE: &str = "CASEMATE_TEST_IMAGE";
const SUBNET: &str = "CASEMATE_TEST_SUBNET";

/// Kills in a row. Each is followed by a new provider on the same directory.
const ROUNDS: u64 = 12;

fn stays(image: &str, lease: u64) -> Pod {
    let script = "echo hello; trap 'exit 0' TERM; while :; do sleep 0.05; done";
    let volume = json!({ "volumes": [{ "name": "v", "persistent": { "size": "1Mi" } }] });
    let mount = json!({ "volumeMounts": [{ "name": "v", "mountPath": "/data" }] });
    pod_of(image, pod_id(lease), script, &mount, &volume)
}

/// Not a test: the process that [`pods_survive_a_provider_that_is_killed_again_and_again`] kills.
/// Keeps pod 1 and starts and deletes pod 2 over and over.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, as the process that it kills"]
async fn provider_to_be_killed() {
    let Some(data) = env::var_os(DATA).map(PathBuf::from) else { return };
    let images = PathBuf::from(env::var_os(IMAGES).unwrap());
    let image = env::var(IMAGE).unwrap();
    let config = config_of(&data, &images, &env::var(SUBNET).unwrap());
    let backend = LocalBackend::open(config).await.unwrap();
    println!("\nopen");
    loop {
        for lease in [1, 2] {
            backend.apply(&stays(&image, lease)).await.unwrap();
        }
        for lease in [1, 2] {
            expect(&backend, pod_id(lease), |s| s.phase == PodPhase::Running { ready: true }).await;
        }
        backend.delete(pod_id(2), Duration::from_secs(5)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_survive_a_provider_that_is_killed_again_and_again() {
    let mut harness = LocalHarness::new().await;
    let (store, image) = images();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = match env::var("CASEMATE_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => u64::from(now.subsec_nanos()) | 1,
    };
    println!("CASEMATE_TEST_SEED={seed}");
    let mut random = seed;
    let mut key = None;
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed::provider_to_be_killed", "--ignored", "--nocapture"])
            .env(DATA, harness.config().data_dir)
            .env(IMAGES, store)
            .env(IMAGE, image)
            .env(SUBNET, harness.subnet())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Xorshift: the moments need no better randomness, and the seed brings them back.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if round % 4 != 3 {
            let stdout = BufReader::new(child.stdout.take().unwrap());
            assert!(stdout.lines().map_while(Result::ok).any(|l| l == "open"), "round {round}");
        }
        tokio::time::sleep(Duration::from_millis(random % 400)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        if round == ROUNDS / 2 {
            // From here on pod 1 runs, and no kill may cost its key.
            let backend = harness.open().await;
            backend.apply(&stays(image, 1)).await.unwrap();
            let ready = |s: &casemate_provider_core::PodStatus| {
                s.phase == PodPhase::Running { ready: true }
            };
            key = expect(&backend, pod_id(1), ready).await.agent_key;
        }
    }

    let backend = harness.open().await;
    let one = backend.list().await.unwrap().into_iter().find(|s| s.id == pod_id(1)).unwrap();
    assert_eq!(one.phase, PodPhase::Running { ready: true });
    assert_eq!(one.agent_key, key);
    // Whatever pod 2 was at, it can be deleted and started.
    backend.delete(pod_id(2), Duration::from_secs(5)).await.unwrap();
    let count = |harness: &LocalHarness, what: &str| {
        harness.things().iter().filter(|thing| thing.contains(what)).count()
    };
    assert_eq!(count(&harness, "(agent)"), 1, "no orphan: {:#?}", harness.things());
    assert_eq!(count(&harness, "link "), 1, "{:#?}", harness.things());
    assert_eq!(count(&harness, "mount "), 2, "{:#?}", harness.things());
    backend.apply(&stays(image, 2)).await.unwrap();
    expect(&backend, pod_id(2), |s| s.phase == PodPhase::Running { ready: true }).await;
    assert_eq!(count(&harness, "(agent)"), 2, "no duplicate: {:#?}", harness.things());
    backend.purge().await.unwrap();
    assert_eq!(harness.leftovers().await, Vec::<String>::new());
}
