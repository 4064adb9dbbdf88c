//! Asking: what can be asked for, by whom, and what it costs.

use super::*;

fn batch_leaf(batch: BatchNumber, index: u64) -> Target<u64> {
    Target::BatchLeaf { provider: PROVIDER, batch, index }
}

#[test]
fn a_challenge_holds_the_deposit_and_keeps_a_copy_of_the_question() {
    ready(|| {
        let id = challenged(STRANGER, log_chunk(2));
        assert_eq!((held(STRANGER), total(STRANGER)), (2 * CASE, ENDOWMENT));
        let stored = Challenges::<Test>::get(id).unwrap();
        assert_eq!(stored.question, Question::LogChunk { key: key(), head: log() });
        assert_eq!(stored.until, 1 + WindowBlocks::get());
        assert_eq!((stored.provider, stored.by_publisher), (PROVIDER, false));
        System::assert_last_event(
            Event::Challenged {
                challenge: id,
                challenger: STRANGER,
                provider: PROVIDER,
                target: log_chunk(2),
                question: stored.question,
                deposit: 2 * CASE,
                until: stored.until,
            }
            .into(),
        );
        // What is claimed or forgotten later changes nothing.
        lease(1, |lease| lease.anchors.insert(0, anchor(9, Now::get(), LogHead::default())));
        assert_ok!(answer(PROVIDER, id, chunk_answer(2)));
    });
}

#[test]
fn nonces_are_of_their_challenge_and_block() {
    ready(|| {
        let first = challenged(STRANGER, EVIDENCE);
        let second = challenged(STRANGER, Target::Evidence { lease: OTHER_LEASE, replica: 0 });
        let nonce = nonce_of(first);
        assert_ne!(nonce, nonce_of(second));
        let parent = sp_core::H256([1; 32]);
        let made = casemate_primitives::blake2_256(&(NONCE_CONTEXT, first, parent).encode());
        assert_eq!(nonce, made, "as the protocol's page has it");
    });
}

#[test]
fn what_is_not_there_is_not_asked_for() {
    ready(|| {
        let unknown = LeaseId(9);
        let evidence = |lease, replica| challenge(STRANGER, Target::Evidence { lease, replica });
        let chunk =
            |lease, replica, index| challenge(STRANGER, Target::LogChunk { lease, replica, index });
        assert_noop!(evidence(unknown, 0), Error::<Test>::LeaseUnknown);
        assert_noop!(evidence(LEASE, 1), Error::<Test>::NotAttested);
        assert_noop!(chunk(unknown, 0, 0), Error::<Test>::LeaseUnknown);
        assert_noop!(chunk(LEASE, 1, 0), Error::<Test>::NotAnchored);
        assert_noop!(chunk(LEASE, 0, CHUNKS), Error::<Test>::IndexBeyondEnd);
        assert_noop!(chunk(LEASE, 0, u64::MAX), Error::<Test>::IndexBeyondEnd);
        assert_noop!(challenge(STRANGER, batch_leaf(0, 0)), Error::<Test>::BatchUnknown);
        let batch = submit(PROVIDER, &leaves(&records(LEASE, 3)));
        assert_noop!(challenge(STRANGER, batch_leaf(batch, 3)), Error::<Test>::IndexBeyondEnd);
        assert_ok!(challenge(STRANGER, batch_leaf(batch, 2)));
        let unsigned = Proofs::challenge(RuntimeOrigin::none(), EVIDENCE, Balance::MAX);
        assert_noop!(unsigned, sp_runtime::DispatchError::BadOrigin);
    });
}

#[test]
fn a_closed_lease_is_asked_for_its_log_only_and_a_forgotten_one_for_nothing() {
    ready(|| {
        lease(1, |lease| lease.is_live = false);
        assert_noop!(challenge(STRANGER, EVIDENCE), Error::<Test>::LeaseClosed);
        assert_ok!(challenge(STRANGER, log_chunk(0)));
        KnownLeases::mutate(|all| all.remove(&1));
        assert_noop!(challenge(STRANGER, log_chunk(1)), Error::<Test>::LeaseUnknown);
    });
}

#[test]
fn a_log_is_asked_for_as_long_as_it_has_to_be_kept() {
    ready(|| {
        let until = Now::get() + 500;
        lease(1, |lease| (lease.is_live, lease.logs_until) = (false, Some(until)));
        Now::set(until - 1);
        assert_ok!(challenge(STRANGER, log_chunk(0)));
        Now::set(until);
        // Known still, because something is owed of it, perhaps; but its logs may be gone.
        assert_noop!(challenge(STRANGER, log_chunk(1)), Error::<Test>::RetentionOver);
    });
}

#[test]
fn an_agent_without_standing_is_not_asked_for_evidence() {
    ready(|| {
        Now::set(Now::get() + 86_400);
        assert_noop!(challenge(STRANGER, EVIDENCE), Error::<Test>::NotAttested);
        Standings::set(Default::default());
        assert_noop!(challenge(STRANGER, EVIDENCE), Error::<Test>::NotAttested);
    });
}

#[test]
fn a_pod_whose_app_has_ended_is_not_asked_for_evidence_but_for_its_log() {
    ready(|| {
        lease(1, |lease| lease.anchors.get_mut(&0).unwrap().has_ended = true);
        assert_noop!(challenge(STRANGER, EVIDENCE), Error::<Test>::AppEnded);
        assert_ok!(challenge(STRANGER, log_chunk(0)));
    });
}

#[test]
fn a_task_owes_no_pod_between_its_runs_but_its_log() {
    ready(|| {
        lease(1, |lease| lease.is_task = true);
        assert_noop!(challenge(STRANGER, EVIDENCE), Error::<Test>::TaskRuns);
        assert_noop!(challenge(PUBLISHER, EVIDENCE), Error::<Test>::TaskRuns);
        assert_ok!(challenge(STRANGER, log_chunk(0)));
    });
}

#[test]
fn a_provider_does_not_challenge_itself() {
    ready(|| {
        assert_noop!(challenge(PROVIDER, EVIDENCE), Error::<Test>::OwnProvider);
        let batch = submit(PROVIDER, &leaves(&records(LEASE, 1)));
        assert_noop!(challenge(PROVIDER, batch_leaf(batch, 0)), Error::<Test>::OwnProvider);
    });
}

#[test]
fn each_target_is_asked_for_once_at_a_time() {
    ready(|| {
        let id = challenged(STRANGER, log_chunk(0));
        for who in [STRANGER, OTHER_PUBLISHER, PUBLISHER] {
            assert_noop!(challenge(who, log_chunk(0)), Error::<Test>::TargetTaken);
        }
        assert_ok!(answer(PROVIDER, id, chunk_answer(0)));
        assert_ok!(challenge(STRANGER, log_chunk(0)));
    });
}

#[test]
fn spam_costs_more_with_each_challenge_and_ends_at_a_bound() {
    ready(|| {
        let mut sum = 0;
        for index in 0..OpenMax::get() {
            let deposit = 2 * CASE * Balance::from(index + 1);
            let target = log_chunk(index.into());
            let call = |most| Proofs::challenge(origin(STRANGER), target, most);
            assert_noop!(call(deposit - 1), Error::<Test>::DepositAboveMax);
            assert_ok!(call(deposit));
            sum += deposit;
            assert_eq!(held(STRANGER), sum);
        }
        assert_noop!(challenge(STRANGER, log_chunk(4)), Error::<Test>::TooManyOpen);
        assert_noop!(challenge(OTHER_PUBLISHER, EVIDENCE), Error::<Test>::TooManyOpen);
        // Other providers are others.
        let other = Target::Evidence { lease: OTHER_LEASE, replica: 0 };
        assert_ok!(Proofs::challenge(origin(STRANGER), other, 2 * CASE));
        // Each answer brings the provider the deposit, and makes room.
        assert_ok!(answer(PROVIDER, ChallengeId(2), chunk_answer(2)));
        assert_eq!(total(PROVIDER), ENDOWMENT + 6 * CASE);
        assert_ok!(Proofs::challenge(origin(STRANGER), log_chunk(2), 6 * CASE));
    });
}

#[test]
fn nobody_keeps_a_publisher_from_asking() {
    ready(|| {
        for index in 0..OpenMax::get() {
            assert_ok!(challenge(STRANGER, log_chunk(index.into())));
        }
        // At the price of its own challenges only, and bounded too.
        assert_ok!(Proofs::challenge(origin(PUBLISHER), log_chunk(4), 2 * CASE));
        assert_ok!(Proofs::challenge(origin(PUBLISHER), EVIDENCE, 4 * CASE));
        assert_noop!(challenge(PUBLISHER, log_chunk(3)), Error::<Test>::TooManyOpen);
        assert_eq!(OpenAgainst::<Test>::get(PROVIDER), OpenMax::get());
        assert_eq!(OpenByPublisher::<Test>::get(LEASE), 2);
        // About its own lease: elsewhere it is anyone.
        let other = Target::Evidence { lease: OTHER_LEASE, replica: 0 };
        assert_ok!(challenge(PUBLISHER, other));
        assert_eq!(OpenAgainst::<Test>::get(OTHER_PROVIDER), 1);
        pass_blocks(WindowBlocks::get() + 1);
        for id in 0..6 {
            assert_ok!(Proofs::conclude(origin(STRANGER), ChallengeId(id)));
        }
        assert_eq!(OpenByPublisher::<Test>::iter().count(), 0, "nothing stays behind");
        assert_eq!(OpenAgainst::<Test>::iter().count(), 0);
    });
}

#[test]
fn without_the_deposit_there_is_no_challenge() {
    ready(|| {
        let free = Balances::balance(&STRANGER);
        let origin = origin(STRANGER);
        assert_ok!(Balances::transfer_allow_death(origin, PUBLISHER, free - 2 * CASE));
        let refused = challenge(STRANGER, EVIDENCE);
        assert_noop!(refused, sp_runtime::TokenError::FundsUnavailable);
    });
}
