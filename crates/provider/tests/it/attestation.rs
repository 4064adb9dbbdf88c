//! Agents are paid because the chain has their evidence.

use casemate_primitives::{LeaseId, blake2_256};
use casemate_provider::{
    attestation::EvidenceError,
    chain::fake::{Call, FakeChain},
};
use casemate_provider_core::Attestation;
use subxt_signer::sr25519::dev;

use crate::world::{GENESIS, World, manifest, plain, until};

async fn attests(world: &World, count: usize) -> Vec<Call> {
    until("the attestations", async || {
        let attests: Vec<Call> =
            world.chain.calls().into_iter().filter(|c| matches!(c, Call::Attest(..))).collect();
        (attests.len() >= count).then_some(attests)
    })
    .await
}

async fn event(world: &World, lease: LeaseId, kind: &str) -> String {
    until(kind, async || {
        // At first the daemon may not know the lease.
        let events = world.client(dev::alice()).events(lease, 0).await.ok()?;
        events.into_iter().find(|event| event.kind == kind).map(|event| event.message)
    })
    .await
}

fn endorsements(world: &World) -> Vec<Call> {
    world.chain.calls().into_iter().filter(|c| matches!(c, Call::Endorse(_))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_asked_over_the_snapshots_block_for_what_the_chain_expects() {
    let world = World::start().await;
    let manifest = manifest("a", "a.localhost", 80, 1, "");
    let lease = world.deploy(1, dev::alice(), &manifest).await;
    let attested = attests(&world, 1).await;
    let [Call::Attest(_, 0, key)] = attested[..] else { panic!("{attested:?}") };
    let asked = world.agents.asked();
    let [wanted] = asked.as_slice() else { panic!("{asked:?}") };
    let over = world.chain.attested_over();
    assert_eq!(wanted.block_hash, FakeChain::hash_of(over[0]));
    assert_eq!((wanted.lease, wanted.replica, wanted.genesis_hash), (lease, 0, GENESIS));
    assert_eq!(wanted.manifest_hash, blake2_256(manifest.as_bytes()));
    assert_eq!(wanted.keys.agent, key);
    assert_eq!(wanted.address.port(), 8443);
    // The chain had all collateral, from somebody else.
    assert_eq!(endorsements(&world), []);
    assert!(event(&world, lease, "activated").await.contains("evidence"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_attest_is_told_and_tried_again_with_a_newer_block() {
    let world = World::start().await;
    world.chain.refuse_next_attest("WorkloadNotApproved");
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    let told = event(&world, lease, "refused").await;
    assert!(told.contains("WorkloadNotApproved"), "{told}");
    world.chain.block(|_| ());
    attests(&world, 1).await;
    let over = world.chain.attested_over();
    assert!(over.len() == 2 && over[0] < over[1], "{over:?}");
    let asked: Vec<_> = world.agents.asked().iter().map(|wanted| wanted.block_hash).collect();
    assert_eq!(asked, over.iter().map(|n| FakeChain::hash_of(*n)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_gives_no_evidence_is_told_once_and_asked_again() {
    let world = World::start().await;
    for _ in 0..2 {
        world.agents.fail_next(EvidenceError::OtherKeys);
    }
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    attests(&world, 1).await;
    event(&world, lease, "activated").await;
    let events = world.client(dev::alice()).events(lease, 0).await.unwrap();
    let told: Vec<_> = events.iter().filter(|event| event.kind == "unattested").collect();
    assert_eq!(told.len(), 1, "{events:?}");
    assert!(told[0].message.contains("other keys"), "{}", told[0].message);
    // Nothing was paid for evidence that is none.
    assert_eq!(world.chain.failed_calls(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_collateral_is_brought_once_for_many_pods() {
    let world = World::start().await;
    world.chain.need_collateral();
    for n in 1..=3 {
        let manifest = manifest("a", &format!("a{n}.localhost"), 80, 2, "");
        world.deploy(n, dev::alice(), &manifest).await;
    }
    attests(&world, 6).await;
    let wanted = ["PCK CA revocation list", "PCK certificate"].map(Call::Endorse);
    assert_eq!(endorsements(&world), wanted);
    let refused = world.chain.failed_calls();
    assert!(
        refused.iter().all(|(call, _)| matches!(call, Call::Attest(..))) && refused.len() <= 6,
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_is_renewed_with_the_same_key_when_its_half_is_over() {
    let world = World::start().await;
    world.chain.set_standing_seconds(1000);
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    attests(&world, 1).await;
    let first = world.chain.lease(lease).unwrap().agents[0].clone();
    world.chain.block(|snapshot| snapshot.time += 400);
    let metric = "casemate_provider_standing_seconds_left 600\n";
    until("what is left of it in the metrics", async || {
        let url = format!("http://{}/metrics", world.addresses().metrics.unwrap());
        let text = plain().get(url).send().await.ok()?.text().await.ok()?;
        text.contains(metric).then_some(())
    })
    .await;
    assert_eq!(world.agents.asked().len(), 1);
    world.chain.block(|snapshot| snapshot.time += 100);
    attests(&world, 2).await;
    let second = world.chain.lease(lease).unwrap().agents[0].clone();
    assert_eq!(second.key, first.key);
    assert_eq!(second.attested_until(), first.attested_until().map(|end| end + 500));
    assert!(event(&world, lease, "attested").await.contains("newer"));
    assert_eq!(world.chain.failed_calls(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_shows_no_evidence_is_never_attested_and_the_event_says_why() {
    let world = World::start().await;
    world.backend.start_with_attestation(Attestation::Off);
    let without = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    let told = event(&world, without, "unattested").await;
    assert!(told.contains("[tee]"), "{told}");
    let status = world.client(dev::alice()).lease(without).await.unwrap();
    assert!(status.problems.iter().any(|p| p.contains("[tee]")), "{:?}", status.problems);
    let reason = Some("the guest device is busy".to_owned());
    world.backend.start_with_attestation(Attestation::Waiting { reason });
    let waiting = world.deploy(2, dev::alice(), &manifest("b", "b.localhost", 80, 1, "")).await;
    let told = event(&world, waiting, "unattested").await;
    assert!(told.contains("the guest device is busy"), "{told}");
    assert_eq!(world.agents.asked(), []);
    assert_eq!(world.chain.calls(), []);
}
