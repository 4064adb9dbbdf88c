//! Challenges are answered without anybody's doing, and what can't be answered costs no fee.

use casemate_client::chain::{
    BatchView, ChallengeAnswer, ChallengeQuestion, ChallengeTarget, ChallengeView, batch_leaf,
};
use casemate_logs::Tree;
use casemate_primitives::{LeaseId, LogHead, blake2_256, merkle};
use casemate_provider::{attestation::EvidenceError, chain::fake::Call, spool::Spool};
use casemate_provider_core::{Attestation, Backend as _, PodId, SignedUsageRecord};
use codec::Encode as _;
use subxt_signer::sr25519::dev;

use crate::{
    logs::{kept, pod, sealed, write},
    world::{GENESIS, World, manifest, provider_key, until},
};

const NONCE: [u8; 32] = [0x4e; 32];
/// Blocks that a challenge is open here.
const WINDOW: u32 = 100;

/// A challenge of a stranger, from the chain's next block on.
fn ask(world: &World, id: u64, target: ChallengeTarget, question: ChallengeQuestion) {
    let until = world.height() + WINDOW;
    let provider = provider_key().public_key().0;
    let (challenger, deposit) = ([9; 32], 1);
    let view = ChallengeView { id, challenger, provider, target, question, deposit, until };
    world.chain.challenge(view);
}

fn ask_evidence(world: &World, id: u64, lease: LeaseId, replica: u16) {
    let question = ChallengeQuestion::Evidence { nonce: NONCE };
    ask(world, id, ChallengeTarget::Evidence { lease, replica }, question);
}

fn ask_chunk(world: &World, id: u64, tree: &Tree, index: u64, head: LogHead) {
    let target = ChallengeTarget::LogChunk { lease: tree.lease, replica: tree.replica, index };
    ask(world, id, target, ChallengeQuestion::LogChunk { key: tree.key, head });
}

async fn answered(world: &World, id: u64) -> ChallengeAnswer {
    until("an answer", async || {
        world.chain.answers().into_iter().find(|(of, _)| *of == id).map(|(_, answer)| answer)
    })
    .await
}

async fn attested(world: &World, lease: LeaseId, replicas: usize) -> [u8; 32] {
    until("the agents are attested", async || {
        let agents = world.chain.lease(lease)?.agents;
        (agents.len() == replicas).then(|| agents[0].key)
    })
    .await
}

async fn metric(world: &World, line: &str) {
    until(line, async || world.metrics().await.contains(line).then_some(())).await;
}

async fn event(world: &World, lease: LeaseId, kind: &str) -> String {
    until(kind, async || {
        let events = world.client(dev::alice()).events(lease, 0).await.ok()?;
        events.into_iter().find(|event| event.kind == kind).map(|event| event.message)
    })
    .await
}

fn plain(name: &str, replicas: u16) -> String {
    manifest(name, &format!("{name}.localhost"), 80, replicas, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_and_log_chunks_are_answered_with_what_the_chain_asks_for() {
    let world = World::start().await;
    let manifest = sealed("a", 1);
    let lease = world.deploy(1, dev::alice(), &manifest).await;
    let key = attested(&world, lease, 1).await;
    let tree = write(&world, pod(lease, 0), 0..5).await;
    kept(&world.client(dev::alice()), &tree).await;

    ask_evidence(&world, 1, lease, 0);
    let ChallengeAnswer::Evidence(submission) = answered(&world, 1).await else { panic!() };
    // The agents of these tests name what they were asked for in their evidence.
    assert_eq!(submission.evidence, [key, NONCE].concat());
    let wanted = world.agents.asked().pop().unwrap();
    assert_eq!((wanted.lease, wanted.replica, wanted.block_hash), (lease, 0, NONCE));
    assert_eq!(wanted.manifest_hash, blake2_256(manifest.as_bytes()));

    let index = tree.head.chunks - 1;
    ask_chunk(&world, 2, &tree, index, tree.head);
    let ChallengeAnswer::LogChunk { chunk, path } = answered(&world, 2).await else { panic!() };
    assert_eq!((chunk.header.lease, chunk.header.index, chunk.header.key), (lease, index, key));
    let leaf = merkle::leaf_hash(&chunk.encode());
    assert_eq!(merkle::proved_root(&leaf, index, tree.head.chunks, &path), Some(tree.head.root));

    metric(&world, "casemate_provider_challenges_total{kind=\"answered\"} 2\n").await;
    metric(&world, "casemate_provider_challenges_open 0\n").await;
    assert!(event(&world, lease, "answered").await.contains("challenge 1 for evidence of lease 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_starts_again_answers_what_was_asked_while_it_was_away() {
    let mut world = World::start().await;
    let lease = world.deploy(1, dev::alice(), &sealed("a", 1)).await;
    attested(&world, lease, 1).await;
    let tree = write(&world, pod(lease, 0), 0..3).await;
    kept(&world.client(dev::alice()), &tree).await;
    world.kill().await;
    ask_evidence(&world, 7, lease, 0);
    ask_chunk(&world, 8, &tree, 0, tree.head);
    world.run().await;
    answered(&world, 7).await;
    answered(&world, 8).await;
    // Once each: what was answered is not on chain any more.
    world.kill().await;
    world.run().await;
    metric(&world, "casemate_provider_challenges_open 0\n").await;
    assert_eq!(world.chain.answers().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_work_out_is_tried_again_until_it_does() {
    let world = World::start().await;
    let lease = world.deploy(1, dev::alice(), &plain("a", 1)).await;
    attested(&world, lease, 1).await;
    for _ in 0..2 {
        world.agents.fail_next_of(NONCE, EvidenceError::OtherKeys);
    }
    world.chain.refuse_next_answer("NotVerified");
    ask_evidence(&world, 1, lease, 0);
    answered(&world, 1).await;
    let refused = world.chain.failed_calls();
    assert_eq!(refused.len(), 1, "nothing is paid for evidence that is none: {refused:?}");
    // More where the daemon had not yet seen that the agent has standing.
    let tries = |text: &str| {
        let name = "casemate_provider_challenges_total{kind=\"failed\"} ";
        text.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok())
    };
    until("three tries in vain", async || tries(&world.metrics().await).filter(|n| *n >= 3)).await;
    metric(&world, "casemate_provider_challenges_total{kind=\"asked\"} 1\n").await;
    // The chain is not there, and comes back.
    world.chain.set_reachable(false);
    ask_evidence(&world, 2, lease, 0);
    metric(&world, "casemate_provider_failures_total{kind=\"challenges\"}").await;
    world.chain.set_reachable(true);
    world.chain.block(|_| ());
    answered(&world, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_whose_agent_is_away_is_asked_when_it_is_back() {
    let world = World::start().await;
    let lease = world.deploy(1, dev::alice(), &plain("a", 2)).await;
    attested(&world, lease, 2).await;
    let id = PodId { lease, replica: 1, version: 1 };
    let pods = world.backend.list().await.unwrap();
    let was = pods.iter().find(|pod| pod.id == id).unwrap().attestation.clone();
    assert!(matches!(was, Attestation::Available(_)));
    world.backend.set_attestation(id, Attestation::Waiting { reason: None });
    until("the daemon knows", async || {
        world.chain.block(|_| ());
        let status = world.client(dev::alice()).lease(lease).await.ok()?;
        status.pods.iter().any(|pod| pod.replica == 1).then_some(())
    })
    .await;
    let asked = world.agents.asked().len();
    ask_evidence(&world, 1, lease, 1);
    ask_evidence(&world, 2, lease, 0);
    // The other replica's answer does not wait for it, nor does another agent answer in its place.
    answered(&world, 2).await;
    world.backend.set_attestation(id, was);
    answered(&world, 1).await;
    let asked: Vec<u16> =
        world.agents.asked().split_off(asked).iter().map(|wanted| wanted.replica).collect();
    assert!(asked.contains(&0) && asked.contains(&1), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_costs_no_fee_and_the_operator_and_the_publisher_are_told() {
    let world = World::start().await;
    let lease = world.deploy(1, dev::alice(), &sealed("a", 1)).await;
    attested(&world, lease, 1).await;
    let tree = write(&world, pod(lease, 0), 0..3).await;
    kept(&world.client(dev::alice()), &tree).await;
    // Neither a chunk that is not there, nor one that is not under the head, nor an unknown batch, nor
    // a lease that nobody knows.
    ask_chunk(&world, 1, &tree, 1_000, LogHead { chunks: 2_000, ..tree.head });
    ask_chunk(&world, 2, &tree, 0, LogHead { root: [1; 32], ..tree.head });
    let batch = BatchView { root: [1; 32], leaves: 3, at: 0 };
    let target =
        ChallengeTarget::BatchLeaf { provider: provider_key().public_key().0, batch: 0, index: 0 };
    ask(&world, 3, target, ChallengeQuestion::BatchLeaf(batch));
    ask_evidence(&world, 4, LeaseId(77), 0);
    metric(&world, "casemate_provider_challenges_total{kind=\"asked\"} 4\n").await;
    for _ in 0..=WINDOW + 10 {
        world.chain.block(|_| ());
    }
    metric(&world, "casemate_provider_challenges_total{kind=\"missed\"} 4\n").await;
    let told = event(&world, lease, "missed").await;
    assert!(told.contains("was not answered in time"), "{told}");
    assert_eq!(world.chain.answers(), []);
    let answers = |call: &Call| matches!(call, Call::Answer(_));
    assert!(!world.chain.failed_calls().iter().any(|(call, _)| answers(call)));
    for id in 1..=4 {
        world.chain.conclude(id);
    }
    metric(&world, "casemate_provider_challenges_open 0\n").await;
    metric(&world, "casemate_provider_challenges_total{kind=\"missed\"} 4\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collateral_that_the_chain_lacks_is_brought_before_the_answer() {
    let mut world = World::start().await;
    let lease = world.deploy(1, dev::alice(), &plain("a", 1)).await;
    attested(&world, lease, 1).await;
    // A daemon that has just started knows nothing of what is on chain.
    world.kill().await;
    world.chain.need_collateral();
    ask_evidence(&world, 1, lease, 0);
    world.run().await;
    answered(&world, 1).await;
    assert!(world.chain.calls().iter().any(|call| matches!(call, Call::Endorse(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_challenges_at_once_are_all_answered() {
    let world = World::start().await;
    let lease = world.deploy(1, dev::alice(), &sealed("a", 1)).await;
    attested(&world, lease, 1).await;
    let tree = write(&world, pod(lease, 0), 0..30).await;
    kept(&world.client(dev::alice()), &tree).await;
    for index in 0..30 {
        ask_chunk(&world, index, &tree, index, tree.head);
    }
    until("all answers", async || (world.chain.answers().len() == 30).then_some(())).await;
    assert_eq!(world.chain.failed_calls(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_of_a_batch_is_shown_with_its_path() {
    let world = World::start().await;
    let lease = world.deploy(1, dev::alice(), &sealed("a", 1)).await;
    attested(&world, lease, 1).await;
    let account = provider_key().public_key().0;
    let spool = Spool::open(&world.config.data_dir, &GENESIS, &account).unwrap();
    let records: Vec<SignedUsageRecord> = until("records", async || {
        world.backend.advance(2);
        world.backend.usage().await.ok()?;
        let records = spool.signed_records(lease, None, 0).await.ok()?;
        (records.len() >= 3).then_some(records)
    })
    .await;
    let leaves = records.len() as u64;
    let root = spool.keep_batch(records.clone(), 0).await.unwrap();
    let batch = BatchView { root, leaves, at: 0 };
    let target = ChallengeTarget::BatchLeaf { provider: account, batch: 4, index: 1 };
    ask(&world, 1, target, ChallengeQuestion::BatchLeaf(batch));
    let ChallengeAnswer::BatchLeaf { record, signature, key, path } = answered(&world, 1).await
    else {
        panic!()
    };
    assert_eq!(SignedUsageRecord { record: *record, key, signature, run: None }, records[1]);
    let leaf = batch_leaf(&record, &signature);
    assert_eq!(merkle::proved_root(&leaf, 1, leaves, &path), Some(root));
}
