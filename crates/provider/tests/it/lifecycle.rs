use casemate_client::chain::LeaseState;
use casemate_primitives::LeaseId;
use casemate_provider::chain::fake::Call;
use casemate_provider_core::{Backend, PodId};
use subxt_signer::sr25519::dev;

use crate::world::{World, counts, manifest, now, until};

fn pod(lease: LeaseId, version: u32) -> PodId {
    PodId { lease, replica: 0, version }
}

async fn pods(world: &World) -> Vec<PodId> {
    world.backend.list().await.unwrap().iter().map(|pod| pod.id).collect()
}

async fn claims(world: &World, count: usize) {
    until("the claims", async || {
        let calls = world.chain.calls();
        (calls.iter().filter(|c| matches!(c, Call::Claim(..))).count() >= count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_activated_claimed_closed_and_settled_each_once() {
    let mut world = World::start().await;
    let volume = "      volumeMounts:\n        - {name: data, mountPath: /data}\n  volumes:\n    - {name: data, persistent: {size: 8Mi}}\n";
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, volume)).await;
    until("activation", async || {
        world.chain.lease(lease).filter(|lease| lease.state == LeaseState::Active)
    })
    .await;
    world.backend.advance(100);
    claims(&world, 1).await;
    // A restart in between neither claims again nor starts another pod.
    world.kill().await;
    let before = pods(&world).await;
    world.run().await;
    world.backend.advance(100);
    claims(&world, 2).await;
    assert_eq!(pods(&world).await, before);
    world.stop().await;
    assert_eq!(pods(&world).await, before, "pods go on when the daemon stops");
    world.run().await;
    let volumes = world.backend.volumes();
    assert_eq!(volumes.len(), 1);

    // Closed 50 s into the span since the last claim: what came later is not claimed.
    let claimed_to = world.chain.lease(lease).unwrap().agents[0].claimed_to;
    world.backend.advance(30);
    until("a record in the spool", async || {
        let status = world.client(dev::alice()).lease(lease).await.ok()?;
        (status.pods.first()?.usage?.to >= claimed_to + 30).then_some(())
    })
    .await;
    let at = claimed_to + 40;
    let mut view = world.chain.lease(lease).unwrap();
    view.state = LeaseState::Closing {
        at,
        until: at + 600,
        reason: casemate_primitives::EndReason::Stopped,
    };
    world.backend.advance(60);
    world.chain.put_lease(view);
    until("settled", async || world.chain.lease(lease).is_none().then_some(())).await;
    until("volumes are gone", async || world.backend.volumes().is_empty().then_some(())).await;
    assert_eq!(pods(&world).await, []);
    let calls = world.chain.calls();
    assert!(counts(&calls).values().all(|count| *count == 1), "{calls:?}");
    assert!(calls.iter().any(|c| matches!(c, Call::Settle(_))), "{calls:?}");
    let claimed = calls.iter().filter(|c| matches!(c, Call::Claim(..))).count();
    assert_eq!(claimed, 3, "{calls:?}");
    assert_eq!(world.chain.failed_calls(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_chain_is_away_or_behind_no_pod_is_deleted() {
    let mut world = World::start().await;
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    until("the pod", async || pods(&world).await.first().copied()).await;
    world.kill().await;
    // The node has lost its database: it is at block 0, then at 1, and knows no lease.
    let fresh = casemate_provider::chain::fake::FakeChain::new(
        crate::world::GENESIS,
        crate::world::provider_view(),
    );
    let real = std::mem::replace(&mut world.chain, fresh.clone());
    world.run().await;
    fresh.block(|snapshot| snapshot.time = now());
    let mut seen = 0;
    // Several looks of the reconciler, each seen in its metrics.
    until("some looks", async || {
        let url = format!("http://{}/metrics", world.addresses().metrics.unwrap());
        let text = crate::world::plain().get(url).send().await.ok()?.text().await.ok()?;
        let line = text.lines().find(|l| l.contains("reconcile_seconds_count"))?.to_owned();
        seen = line.rsplit(' ').next()?.parse::<u32>().ok()?;
        (seen >= 5).then_some(())
    })
    .await;
    assert_eq!(pods(&world).await, [pod(lease, 1)]);
    world.kill().await;
    world.chain = real;
    world.chain.block(|_| ());
    world.run().await;
    until("all well again", async || world.client(dev::alice()).lease(lease).await.ok()).await;
    assert_eq!(pods(&world).await, [pod(lease, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_backend_call_hides_nothing_and_is_made_up_for() {
    let world = World::start().await;
    for n in 0..5 {
        world.backend.fail_next(&format!("failure {n}"));
    }
    let one = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    let two = world.deploy(2, dev::charlie(), &manifest("b", "b.localhost", 80, 1, "")).await;
    until("both pods", async || {
        let Ok(pods) = world.backend.list().await else { return None };
        (pods.len() == 2).then_some(())
    })
    .await;
    assert_eq!(pods(&world).await, [pod(one, 1), pod(two, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_moves_the_key_after_the_old_pods_last_claim() {
    let world = World::start_with(|config| config.ingress.drain = "1s".parse().unwrap()).await;
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    let old =
        until("activation", async || Some(world.chain.lease(lease)?.agents.first()?.key)).await;
    world.backend.advance(20);
    world.update(lease, dev::alice(), &manifest("a2", "a.localhost", 81, 1, "")).await;
    until("the new key", async || {
        (world.chain.lease(lease)?.agents.first()?.key != old).then_some(())
    })
    .await;
    let calls = world.chain.calls();
    let kinds: Vec<_> = calls
        .iter()
        .map(|call| match call {
            Call::Attest(..) => "activate",
            Call::Claim(..) => "claim",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["activate", "claim", "activate"], "{calls:?}");
    assert_eq!(pods(&world).await, [pod(lease, 2)]);
    assert_eq!(world.chain.failed_calls(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_does_not_become_ready_is_rolled_back() {
    let world = World::start_with(|config| {
        config.timing.update_max = "2s".parse().unwrap();
        config.ingress.drain = "1s".parse().unwrap();
    })
    .await;
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    until("the pod", async || pods(&world).await.first().copied()).await;
    let bad = manifest("a", "a.localhost", 80, 1, "      command: [exit, '1']\n");
    world.update(lease, dev::alice(), &bad).await;
    until("the roll-back", async || {
        let events = world.client(dev::alice()).events(lease, 0).await.unwrap();
        events.iter().any(|event| event.kind == "rolled-back").then_some(())
    })
    .await;
    until("the new pod is gone", async || (pods(&world).await == [pod(lease, 1)]).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_without_money_is_closed_after_its_grace() {
    let world = World::start_with(|config| config.pricing.grace = "5s".parse().unwrap()).await;
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    until("activation", async || world.chain.lease(lease)?.agents.first().map(drop)).await;
    let mut view = world.chain.lease(lease).unwrap();
    view.escrow = 0;
    world.chain.put_lease(view);
    until("closed", async || {
        world.chain.block(|snapshot| snapshot.time += 1);
        world.chain.calls().contains(&Call::Close(lease)).then_some(())
    })
    .await;
}
