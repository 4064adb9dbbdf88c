//! Tests enter by the calls; each ends in `try_state` of both pallets.

mod answer;
mod batches;
mod challenge;
mod conclude;
mod model;

use crate::{mock::*, pallet::Error, *};
use casemate_primitives::{
    merkle, AgentPublicKey, AgentSignature, Balance, Hash256, LeaseId, LogChunk, LogChunkHeader,
    LogHead, UsageRecord, CASE,
};
use codec::Encode;
use ed25519_dalek::{Signer, SigningKey};
use frame_support::{
    assert_noop, assert_ok,
    dispatch::DispatchResult,
    traits::fungible::{hold::Inspect as _, Inspect as _},
};

const LEASE: LeaseId = LeaseId(1);
/// Of the other provider.
const OTHER_LEASE: LeaseId = LeaseId(2);
/// Chunks in the tests' log.
const CHUNKS: u64 = 5;

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[42; 32])
}

fn other_key() -> SigningKey {
    SigningKey::from_bytes(&[43; 32])
}

/// The agent's.
pub(crate) fn key() -> AgentPublicKey {
    signing_key().verifying_key().to_bytes()
}

fn origin(who: u64) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

fn held(who: u64) -> Balance {
    Balances::balance_on_hold(&HoldReason::Challenge.into(), &who)
}

fn total(who: u64) -> Balance {
    Balances::total_balance(&who)
}

fn pass_blocks(blocks: u64) {
    System::set_block_number(System::block_number() + blocks);
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&System::block_number().to_le_bytes());
    System::set_parent_hash(sp_core::H256(hash));
}

fn chunk_of(index: u64, lines: &str) -> LogChunk {
    let header = LogChunkHeader {
        lease: LEASE,
        replica: 0,
        key: key(),
        index,
        from_ms: index * 1_000,
        to_ms: index * 1_000 + 999,
        first_line: index * 10,
        lines: 10,
        dropped: 0,
    };
    LogChunk { header, body: lines.as_bytes().to_vec() }
}

fn chunk_leaves() -> Vec<Hash256> {
    (0..CHUNKS).map(|index| merkle::leaf_hash(&chunk_of(index, "sealed").encode())).collect()
}

fn log() -> LogHead {
    LogHead { root: merkle::root(&chunk_leaves()), chunks: CHUNKS }
}

fn path(leaves: &[Hash256], index: u64) -> Path {
    merkle::inclusion_path(leaves, index).unwrap().try_into().unwrap()
}

/// Two providers, each with a lease whose agent is attested and has claimed.
fn ready(test: impl FnOnce()) {
    build_and_execute(|| {
        set_up();
        test();
    });
}

fn set_up() {
    for (id, publisher, provider) in
        [(1, PUBLISHER, PROVIDER), (2, OTHER_PUBLISHER, OTHER_PROVIDER)]
    {
        register_with_stake(provider);
        let known = Known {
            publisher,
            provider,
            is_live: true,
            is_task: false,
            logs_until: None,
            open: 500,
            anchors: [(0, anchor(3, Now::get(), log()))].into(),
            claimed_as_of: None,
        };
        KnownLeases::mutate(|all| all.insert(id, known));
        Standings::mutate(|all| all.insert((id, 0), (key(), Now::get() + 86_400)));
    }
}

/// Records that follow each other, of a lease.
fn records(lease: LeaseId, count: u64) -> Vec<UsageRecord> {
    let record = |n| UsageRecord {
        lease,
        sequence: 4 + n,
        from: Now::get() + 10 * n,
        to: Now::get() + 10 * n + 10,
        log: log(),
        ..Default::default()
    };
    (0..count).map(record).collect()
}

fn sign(key: &SigningKey, record: &UsageRecord) -> AgentSignature {
    key.sign(&record.signing_payload(&GENESIS)).to_bytes()
}

fn leaves(records: &[UsageRecord]) -> Vec<Hash256> {
    records.iter().map(|record| leaf_of(record, &sign(&signing_key(), record))).collect()
}

fn submit(provider: u64, leaves: &[Hash256]) -> BatchNumber {
    let number = NextBatch::<Test>::get(provider);
    let count = leaves.len() as u64;
    assert_ok!(Proofs::submit_batch(origin(provider), merkle::root(leaves), count));
    number
}

const EVIDENCE: Target<u64> = Target::Evidence { lease: LEASE, replica: 0 };

fn log_chunk(index: u64) -> Target<u64> {
    Target::LogChunk { lease: LEASE, replica: 0, index }
}

fn challenge(who: u64, target: Target<u64>) -> DispatchResult {
    Proofs::challenge(origin(who), target, Balance::MAX)
}

/// Makes a challenge and gives its number.
fn challenged(who: u64, target: Target<u64>) -> ChallengeId {
    let id = NextChallenge::<Test>::get();
    assert_ok!(challenge(who, target));
    id
}

fn answer(who: u64, id: ChallengeId, answer: Answer) -> DispatchResult {
    Proofs::answer(origin(who), id, answer)
}

fn chunk_answer(index: u64) -> Answer {
    let LogChunk { header, body } = chunk_of(index, "sealed");
    let chunk = Chunk { header, body: body.try_into().unwrap() };
    Answer::LogChunk { chunk, path: path(&chunk_leaves(), index) }
}

fn nonce_of(id: ChallengeId) -> Hash256 {
    match Challenges::<Test>::get(id).unwrap().question {
        Question::Evidence { nonce } => nonce,
        other => panic!("not a challenge for evidence: {other:?}"),
    }
}

fn evidence_answer(id: ChallengeId) -> Answer {
    Answer::Evidence(evidence_over(LEASE, 0, key(), nonce_of(id)))
}

fn leaf_answer(record: &UsageRecord, key: &SigningKey, leaves: &[Hash256], index: u64) -> Answer {
    Answer::BatchLeaf {
        record: *record,
        signature: sign(key, record),
        key: key.verifying_key().to_bytes(),
        path: path(leaves, index),
    }
}
