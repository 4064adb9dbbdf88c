//! Answering: what is right, what is wrong, what is late.

use super::*;
use sp_runtime::DispatchError;

#[test]
fn a_right_answer_brings_the_deposit_and_ends_the_challenge() {
    ready(|| {
        let batch = submit(PROVIDER, &leaves(&records(LEASE, 3)));
        let leaf = Target::BatchLeaf { provider: PROVIDER, batch, index: 1 };
        let all = records(LEASE, 3);
        for target in [EVIDENCE, log_chunk(4), leaf] {
            let (before, id) = (total(PROVIDER), challenged(STRANGER, target));
            let right = match target {
                Target::Evidence { .. } => evidence_answer(id),
                Target::LogChunk { index, .. } => chunk_answer(index),
                Target::BatchLeaf { .. } => leaf_answer(&all[1], &signing_key(), &leaves(&all), 1),
            };
            assert_ok!(answer(PROVIDER, id, right.clone()));
            assert_eq!(total(PROVIDER), before + 2 * CASE);
            assert_eq!(held(STRANGER), 0);
            assert_eq!(Told::get().pop(), Some(("won", PROVIDER)));
            System::assert_last_event(
                Event::Answered { challenge: id, provider: PROVIDER, deposit: 2 * CASE }.into(),
            );
            assert_noop!(answer(PROVIDER, id, right), Error::<Test>::ChallengeUnknown);
            pass_blocks(WindowBlocks::get() + 1);
            let conclude = Proofs::conclude(origin(STRANGER), id);
            assert_noop!(conclude, Error::<Test>::ChallengeUnknown);
        }
        assert_eq!(total(STRANGER), ENDOWMENT - 6 * CASE, "a right answer costs the challenger");
    });
}

#[test]
fn the_last_block_of_the_window_counts_and_the_next_does_not() {
    ready(|| {
        let in_time = challenged(STRANGER, log_chunk(0));
        let late = challenged(STRANGER, log_chunk(1));
        pass_blocks(WindowBlocks::get());
        assert_ok!(answer(PROVIDER, in_time, chunk_answer(0)));
        assert_noop!(Proofs::conclude(origin(STRANGER), late), Error::<Test>::WindowOpen);
        pass_blocks(1);
        assert_noop!(answer(PROVIDER, late, chunk_answer(1)), Error::<Test>::WindowOver);
        assert_ok!(Proofs::conclude(origin(STRANGER), late));
    });
}

#[test]
fn only_the_provider_answers() {
    ready(|| {
        let id = challenged(STRANGER, log_chunk(0));
        for who in [STRANGER, PUBLISHER, OTHER_PROVIDER] {
            assert_noop!(answer(who, id, chunk_answer(0)), Error::<Test>::NotProvider);
        }
        let unsigned = Proofs::answer(RuntimeOrigin::none(), id, chunk_answer(0));
        assert_noop!(unsigned, DispatchError::BadOrigin);
        let unknown = answer(PROVIDER, ChallengeId(99), chunk_answer(0));
        assert_noop!(unknown, Error::<Test>::ChallengeUnknown);
    });
}

#[test]
fn an_answer_to_something_else_is_none_and_the_right_one_may_follow() {
    ready(|| {
        let chunk = challenged(STRANGER, log_chunk(0));
        let evidence = challenged(STRANGER, EVIDENCE);
        assert_noop!(answer(PROVIDER, chunk, evidence_answer(evidence)), Error::<Test>::AnswerKind);
        assert_noop!(answer(PROVIDER, evidence, chunk_answer(0)), Error::<Test>::AnswerKind);
        assert_noop!(answer(PROVIDER, chunk, chunk_answer(1)), Error::<Test>::OtherChunk);
        assert_ok!(answer(PROVIDER, chunk, chunk_answer(0)));
        assert_ok!(answer(PROVIDER, evidence, evidence_answer(evidence)));
    });
}

#[test]
fn evidence_is_over_the_challenge_s_own_nonce_by_the_agent_with_standing() {
    ready(|| {
        let id = challenged(STRANGER, EVIDENCE);
        let nonce = nonce_of(id);
        let bad = DispatchError::Other("Binding");
        let with = |lease, replica, key, nonce| {
            answer(PROVIDER, id, Answer::Evidence(evidence_over(lease, replica, key, nonce)))
        };
        assert_noop!(with(LEASE, 0, key(), [0; 32]), bad);
        assert_noop!(with(OTHER_LEASE, 0, key(), nonce), DispatchError::Other("Binding"));
        assert_noop!(with(LEASE, 1, key(), nonce), DispatchError::Other("Binding"));
        assert_noop!(with(LEASE, 0, [9; 32], nonce), DispatchError::Other("Binding"));
        // The agent was started anew and attested in the window: that is a running pod.
        Standings::mutate(|all| all.insert((1, 0), ([9; 32], Now::get() + 100)));
        assert_noop!(with(LEASE, 0, key(), nonce), DispatchError::Other("Binding"));
        assert_ok!(with(LEASE, 0, [9; 32], nonce));
    });
}

#[test]
fn a_chunk_is_the_one_under_the_head() {
    ready(|| {
        let id = challenged(STRANGER, log_chunk(2));
        let good = path(&chunk_leaves(), 2);
        let with = |change: &dyn Fn(&mut Chunk), path: &Path| {
            let LogChunk { header, body } = chunk_of(2, "sealed");
            let mut chunk = Chunk { header, body: body.try_into().unwrap() };
            change(&mut chunk);
            answer(PROVIDER, id, Answer::LogChunk { chunk, path: path.clone() })
        };
        let other: [&dyn Fn(&mut Chunk); 4] = [
            &|chunk| chunk.header.lease = OTHER_LEASE,
            &|chunk| chunk.header.replica = 1,
            &|chunk| chunk.header.key = [9; 32],
            &|chunk| chunk.header.index = 1,
        ];
        for change in other {
            assert_noop!(with(change, &good), Error::<Test>::OtherChunk);
        }
        let forged: [&dyn Fn(&mut Chunk); 5] = [
            &|chunk| chunk.body[0] ^= 1,
            &|chunk| chunk.body.clear(),
            &|chunk| chunk.header.to_ms += 1,
            &|chunk| chunk.header.lines += 1,
            &|chunk| chunk.header.dropped += 1,
        ];
        for change in forged {
            assert_noop!(with(change, &good), Error::<Test>::ChunkNotProved);
        }
        let same: &dyn Fn(&mut Chunk) = &|_| ();
        assert_noop!(with(same, &path(&chunk_leaves(), 3)), Error::<Test>::ChunkNotProved);
        assert_noop!(with(same, &Path::default()), Error::<Test>::ChunkNotProved);
        assert_ok!(with(same, &good));
    });
}

#[test]
fn a_chunk_on_chain_has_the_bytes_of_the_agent_s() {
    use codec::Decode;
    let chunk = chunk_of(7, "sealed lines");
    let LogChunk { header, body } = chunk.clone();
    let bounded = Chunk { header, body: body.try_into().unwrap() };
    assert_eq!(bounded.encode(), chunk.encode());
    let largest = casemate_primitives::LOG_CHUNK_BYTES_MAX as usize;
    let of = |len| LogChunk { header, body: vec![7; len] }.encode();
    assert!(Chunk::decode(&mut &of(largest)[..]).is_ok());
    assert!(Chunk::decode(&mut &of(largest + 1)[..]).is_err(), "no longer one is read");
}

/// A challenge for leaf 0 of a batch over these records, signed by `key`; its number and leaves.
fn leaf_challenge(all: &[UsageRecord], by: &SigningKey) -> (ChallengeId, Vec<Hash256>) {
    let leaves: Vec<_> = all.iter().map(|record| leaf_of(record, &sign(by, record))).collect();
    let batch = submit(PROVIDER, &leaves);
    let target = Target::BatchLeaf { provider: PROVIDER, batch, index: 0 };
    (challenged(STRANGER, target), leaves)
}

#[test]
fn a_leaf_is_the_one_under_the_root_at_its_place() {
    ready(|| {
        let all = records(LEASE, 3);
        let (id, leaves) = leaf_challenge(&all, &signing_key());
        let with = |at: usize, path_of: u64| {
            answer(PROVIDER, id, leaf_answer(&all[at], &signing_key(), &leaves, path_of))
        };
        assert_noop!(with(1, 0), Error::<Test>::LeafNotProved);
        assert_noop!(with(1, 1), Error::<Test>::LeafNotProved);
        assert_noop!(with(0, 1), Error::<Test>::LeafNotProved);
        assert_ok!(with(0, 0));
    });
}

#[test]
fn a_leaf_of_a_batch_that_is_forgotten_in_between_is_still_answered_with() {
    ready(|| {
        let all = records(LEASE, 3);
        let (id, leaves) = leaf_challenge(&all, &signing_key());
        for _ in 0..=BatchesMax::get() {
            submit(PROVIDER, &[[7; 32]]);
        }
        assert!(!Batches::<Test>::contains_key(PROVIDER, 0));
        assert_ok!(answer(PROVIDER, id, leaf_answer(&all[0], &signing_key(), &leaves, 0)));
    });
}

#[test]
fn a_leaf_of_another_provider_s_lease_does_not_answer() {
    ready(|| {
        let all = records(OTHER_LEASE, 2);
        let (id, leaves) = leaf_challenge(&all, &signing_key());
        let foreign = answer(PROVIDER, id, leaf_answer(&all[0], &signing_key(), &leaves, 0));
        assert_noop!(foreign, Error::<Test>::ForeignLeaf);
    });
}

#[test]
fn a_leaf_is_signed_by_the_replica_s_agent() {
    ready(|| {
        let all = records(LEASE, 2);
        // By a key that is nobody's.
        let (id, leaves) = leaf_challenge(&all, &other_key());
        let made_up = || leaf_answer(&all[0], &other_key(), &leaves, 0);
        assert_noop!(answer(PROVIDER, id, made_up()), Error::<Test>::LeafKey);
        // Naming the agent's key does not make it the agent's signature.
        let Answer::BatchLeaf { record, signature, path, .. } = made_up() else {
            unreachable!("made as one")
        };
        let named = Answer::BatchLeaf { record, signature, key: key(), path };
        assert_noop!(answer(PROVIDER, id, named), Error::<Test>::LeafSignature);
        // Once that key has standing (an agent that has not claimed yet), it may.
        let other = other_key().verifying_key().to_bytes();
        Standings::mutate(|all| all.insert((1, 0), (other, Now::get() + 100)));
        assert_ok!(answer(PROVIDER, id, made_up()));
    });
}

#[test]
fn what_can_earn_nothing_any_more_is_answered_with_whoever_signed() {
    ready(|| {
        let all = records(LEASE, 2);
        let (id, leaves) = leaf_challenge(&all, &other_key());
        let made = || leaf_answer(&all[0], &other_key(), &leaves, 0);
        assert_noop!(answer(PROVIDER, id, made()), Error::<Test>::LeafKey);
        // A newer record of another agent was claimed.
        lease(1, |lease| lease.anchors.insert(0, anchor(1, all[0].to - 1, log())));
        assert_noop!(answer(PROVIDER, id, made()), Error::<Test>::LeafKey);
        lease(1, |lease| lease.anchors.insert(0, anchor(1, all[0].to, log())));
        assert_ok!(answer(PROVIDER, id, made()));
        // The lease is forgotten.
        lease(1, |lease| lease.anchors.clear());
        let (id, leaves) = leaf_challenge(&all, &other_key());
        let made = || leaf_answer(&all[0], &other_key(), &leaves, 0);
        assert_noop!(answer(PROVIDER, id, made()), Error::<Test>::LeafKey);
        KnownLeases::set(Default::default());
        assert_ok!(answer(PROVIDER, id, made()));
    });
}
