//! Starting without a node.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use casemate_client::api::{Refusal, RefusalCode};
use casemate_provider::{
    App,
    app::StartError,
    chain::fake::FakeChain,
    front::{Attempt, Front, Rhythm},
    spool::SpoolError,
};
use casemate_provider_core::Backend as _;
use subxt_signer::sr25519::dev;
use tokio::sync::{Notify, watch};

use crate::world::{World, manifest, plain, provider_view, until};

const FAST: Rhythm = Rhythm {
    pause_min: Duration::from_millis(10),
    pause_max: Duration::from_millis(40),
    attempt: Duration::from_secs(60),
};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_node_it_says_so_and_goes_on_when_one_answers() {
    let mut world = World::start().await;
    let manifest = manifest("a", "a.localhost", 8000, 1, "");
    let lease = world.deploy(1, dev::alice(), &manifest).await;
    let alice = world.client(dev::alice());
    until("the pod is ready", async || {
        alice.lease(lease).await.ok()?.pods.iter().any(|pod| pod.ready).then_some(())
    })
    .await;
    world.stop().await;

    // The machine starts again, and the node is not there yet.
    let front = Front::bind(&world.config).unwrap();
    let addresses = front.addresses();
    let (node, attempts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let (stop, shutdown) = watch::channel(false);
    let (deps, config, stopped) = (world.deps(), world.config.clone(), shutdown.clone());
    let (is_there, tried) = (Arc::clone(&node), Arc::clone(&attempts));
    let daemon = tokio::spawn(async move {
        let connect = || {
            tried.fetch_add(1, Ordering::SeqCst);
            std::future::ready(match is_there.load(Ordering::SeqCst) {
                true => Ok::<_, Attempt<Infallible>>(()),
                false => Err(Attempt::Later("the test says so".into())),
            })
        };
        front.wait_for("ws://node", FAST, connect, shutdown).await.unwrap().unwrap();
        let app = App::build_behind(front, config, deps).await.unwrap();
        app.run(stopped).await.unwrap();
    });
    until("some attempts", async || (attempts.load(Ordering::SeqCst) > 3).then_some(())).await;

    let get = async |path: &str| plain().get(path).send().await.unwrap();
    let refused = get(&format!("http://{}/v1/info", addresses.api)).await;
    assert_eq!(refused.status(), 503);
    let refusal: Refusal = refused.json().await.unwrap();
    assert_eq!(refusal.code, RefusalCode::NotReady);
    assert!(refusal.message.contains("chain node"), "{refusal:?}");
    assert_eq!(get(&format!("http://{}/healthz", addresses.api)).await.status(), 503);
    let ingress = get(&format!("http://{}/", addresses.ingress)).await;
    assert_eq!(ingress.status(), 503);
    assert!(ingress.headers().contains_key("retry-after"));
    // Names are not known yet: that is no reason to say that they do not exist.
    let hello = crate::tls::hello(Some("a.localhost"), 0);
    let told = crate::tls::alert(addresses.tls.unwrap(), &hello).await;
    assert_eq!(told, crate::tls::INTERNAL_ERROR);
    let metrics = format!("http://{}/metrics", addresses.metrics.unwrap());
    let text = get(&metrics).await.text().await.unwrap();
    assert!(text.contains("casemate_provider_waiting_for_node 1"), "{text}");
    assert_eq!(world.backend.list().await.unwrap().len(), 1, "pods go on");

    node.store(true, Ordering::SeqCst);
    until("the same address is ready", async || {
        let answer = plain().get(format!("http://{}/healthz", addresses.api)).send().await;
        (answer.ok()?.status() == 200).then_some(())
    })
    .await;
    let text = get(&metrics).await.text().await.unwrap();
    assert!(text.contains("casemate_provider_waiting_for_node 0"), "{text}");
    stop.send_replace(true);
    daemon.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_wait_at_once() {
    let world = World::start().await;
    for hangs in [false, true] {
        let mut config = world.config.clone();
        config.metrics_listen = None;
        let front = Front::bind(&config).unwrap();
        let (stop, shutdown) = watch::channel(false);
        let asked = Arc::new(Notify::new());
        let told = Arc::clone(&asked);
        // The pause is an hour: only the stop can end it.
        let hour = Duration::from_secs(3600);
        let rhythm = Rhythm { pause_min: hour, pause_max: hour, attempt: hour };
        let waiting = tokio::spawn(async move {
            let connect = || {
                told.notify_one();
                async move {
                    if hangs {
                        std::future::pending::<()>().await;
                    }
                    Err::<(), Attempt<Infallible>>(Attempt::Later("nobody".into()))
                }
            };
            front.wait_for("ws://node", rhythm, connect, shutdown).await
        });
        asked.notified().await;
        stop.send_replace(true);
        let outcome = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        assert!(outcome.unwrap().unwrap().unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_become_better_ends_the_start() {
    let mut world = World::start().await;
    let front = Front::bind(&world.config).unwrap();
    let (_stop, shutdown) = watch::channel(false);
    let connect = || std::future::ready(Err::<(), _>(Attempt::Never("another chain")));
    let outcome = front.wait_for("ws://node", FAST, connect, shutdown).await;
    assert_eq!(outcome, Err("another chain"));

    // A node of another chain than the one that the data folder was made on.
    world.stop().await;
    world.chain = FakeChain::new([8; 32], provider_view());
    let started = App::build_behind(front, world.config.clone(), world.deps()).await;
    let err = started.err().unwrap();
    assert!(matches!(&err, StartError::Spool(SpoolError::Foreign { what: "chain", .. })), "{err}");
    assert!(err.to_string().contains("data_dir"), "{err}");
}
