//! Random calls: money is conserved to the unit, and nobody makes a business of challenges.

use super::*;
use pallet_providers::ProviderStake;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Action {
    Batch { provider: usize },
    Forget { provider: usize, batch: u64 },
    Challenge { by: usize, kind: u8, lease: u64, index: u64 },
    Answer { id: u64, right: bool },
    Conclude { id: u64, by: usize },
    Bond { provider: usize, amount: Balance },
    Unbond { provider: usize, amount: Balance },
    Withdraw { provider: usize },
    Retire { provider: usize },
    Close { lease: u64 },
    Forgotten { lease: u64 },
    Blocks { blocks: u64 },
    Seconds { seconds: u64 },
}

const BOTH: [u64; 2] = [PROVIDER, OTHER_PROVIDER];

fn action() -> impl Strategy<Value = Action> {
    let (lease, id, provider, by) = (1..3u64, 0..20u64, 0..2usize, 0..5usize);
    prop_oneof![
        3 => provider.clone().prop_map(|provider| Action::Batch { provider }),
        1 => (provider.clone(), 0..6u64)
            .prop_map(|(provider, batch)| Action::Forget { provider, batch }),
        10 => (by.clone(), 0..3u8, lease.clone(), 0..CHUNKS + 1)
            .prop_map(|(by, kind, lease, index)| Action::Challenge { by, kind, lease, index }),
        6 => (id.clone(), any::<bool>()).prop_map(|(id, right)| Action::Answer { id, right }),
        8 => (id, by).prop_map(|(id, by)| Action::Conclude { id, by }),
        2 => (provider.clone(), 0..50 * CASE)
            .prop_map(|(provider, amount)| Action::Bond { provider, amount }),
        2 => (provider.clone(), 0..30 * CASE)
            .prop_map(|(provider, amount)| Action::Unbond { provider, amount }),
        2 => provider.clone().prop_map(|provider| Action::Withdraw { provider }),
        1 => provider.prop_map(|provider| Action::Retire { provider }),
        1 => lease.clone().prop_map(|lease| Action::Close { lease }),
        1 => lease.prop_map(|lease| Action::Forgotten { lease }),
        8 => (0..8u64).prop_map(|blocks| Action::Blocks { blocks }),
        2 => (0..4_000u64).prop_map(|seconds| Action::Seconds { seconds }),
    ]
}

/// The right answer, if it can still be given.
fn right_answer(id: ChallengeId, target: &Target<u64>) -> Answer {
    match *target {
        Target::Evidence { lease, replica } => {
            Answer::Evidence(evidence_over(lease, replica, key(), nonce_of(id)))
        }
        Target::LogChunk { index, .. } => chunk_answer(index),
        Target::BatchLeaf { index, provider, .. } => {
            let all = batch_of(provider);
            leaf_answer(&all[index as usize], &signing_key(), &leaves(&all), index)
        }
    }
}

/// The records that a provider puts into each of its batches.
fn batch_of(provider: u64) -> Vec<UsageRecord> {
    let lease = if provider == PROVIDER { LEASE } else { OTHER_LEASE };
    let record = |n: u64| UsageRecord { lease, sequence: 4 + n, to: 10 * n, ..Default::default() };
    (0..3).map(record).collect()
}

fn apply(action: Action) {
    match action {
        Action::Batch { provider } => {
            let (who, leaves) = (BOTH[provider], leaves(&batch_of(BOTH[provider])));
            let _ = Proofs::submit_batch(origin(who), merkle::root(&leaves), 3);
        }
        Action::Forget { provider, batch } => {
            let _ = Proofs::forget_batch(origin(STRANGER), BOTH[provider], batch);
        }
        Action::Challenge { by, kind, lease, index } => {
            let target = match kind {
                0 => Target::Evidence { lease: LeaseId(lease), replica: 0 },
                1 => Target::LogChunk { lease: LeaseId(lease), replica: 0, index },
                _ => {
                    let provider = BOTH[lease as usize - 1];
                    let batch = NextBatch::<Test>::get(provider).saturating_sub(1);
                    Target::BatchLeaf { provider, batch, index }
                }
            };
            let before = held(ACCOUNTS[by]);
            if challenge(ACCOUNTS[by], target).is_ok() {
                assert!(held(ACCOUNTS[by]) >= before + DepositBase::get());
            }
        }
        Action::Answer { id, right } => {
            let id = ChallengeId(id);
            let Some(open) = Challenges::<Test>::get(id) else { return };
            let given = if right {
                right_answer(id, &open.target)
            } else {
                Answer::LogChunk { chunk: bad_chunk(), path: Path::default() }
            };
            // The tests' chunks are of the first lease; what is due for the second has no answer.
            let (before, answered) = (total(open.provider), answer(open.provider, id, given));
            assert!(right || answered.is_err(), "a wrong answer is refused");
            let gained = if answered.is_ok() { open.deposit } else { 0 };
            assert_eq!(total(open.provider), before + gained);
        }
        Action::Conclude { id, by } => {
            let id = ChallengeId(id);
            let Some(open) = Challenges::<Test>::get(id) else { return };
            let staked = Providers::staked(&open.provider);
            let (challenger, provider) = (total(open.challenger), total(open.provider));
            if Proofs::conclude(origin(ACCOUNTS[by]), id).is_ok() {
                assert!(System::block_number() > open.until);
                let gained = total(open.challenger) - challenger;
                let lost = provider - total(open.provider);
                assert!(gained <= open.deposit && lost <= SlashMax::get() && lost <= staked);
                assert!(2 * gained <= lost, "at least as much is burnt as is paid");
            }
        }
        Action::Bond { provider, amount } => {
            let _ = Providers::bond(origin(BOTH[provider]), amount);
        }
        Action::Unbond { provider, amount } => {
            let _ = Providers::unbond(origin(BOTH[provider]), amount);
        }
        Action::Withdraw { provider } => {
            let _ = Providers::withdraw(origin(BOTH[provider]));
        }
        Action::Retire { provider } => {
            let _ = Providers::retire(origin(BOTH[provider]));
        }
        Action::Close { lease } => {
            KnownLeases::mutate(|all| all.get_mut(&lease).map(|lease| lease.is_live = false));
        }
        Action::Forgotten { lease } => {
            KnownLeases::mutate(|all| all.remove(&lease));
            Standings::mutate(|all| all.remove(&(lease, 0)));
        }
        Action::Blocks { blocks } => pass_blocks(blocks),
        Action::Seconds { seconds } => Now::set(Now::get() + seconds),
    }
}

fn bad_chunk() -> Chunk {
    let LogChunk { header, body } = chunk_of(0, "something else");
    Chunk { header, body: body.try_into().unwrap() }
}

/// What the deposits of answered challenges have brought a provider, and cost a challenger.
fn moved(
    before: &[(ChallengeId, u64, u64, Balance)],
    providers: &[u64],
    challengers: &[u64],
) -> (Balance, Balance) {
    let from_outside = |challenger: &u64| !challengers.contains(challenger);
    before.iter().fold((0, 0), |(brought, cost), (_, challenger, provider, deposit)| {
        let is_ours = providers.contains(provider);
        (
            brought + if is_ours && from_outside(challenger) { *deposit } else { 0 },
            cost + if !is_ours && !from_outside(challenger) { *deposit } else { 0 },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn money_is_conserved_and_friends_gain_nothing(
        actions in prop::collection::vec(action(), 1..80),
    ) {
        new_test_ext().execute_with(|| {
            set_up();
            let mut answered = Vec::new();
            let mut rewards = Vec::new();
            for action in actions {
                let open: Vec<_> = Challenges::<Test>::iter().collect();
                apply(action);
                check_invariants();
                let events = System::events();
                for (id, challenge) in open {
                    if Challenges::<Test>::contains_key(id) {
                        continue;
                    }
                    let Challenge { challenger, provider, deposit, .. } = challenge;
                    for record in &events {
                        match record.event {
                            RuntimeEvent::Proofs(Event::Answered { challenge, .. })
                                if challenge == id =>
                            {
                                answered.push((id, challenger, provider, deposit));
                            }
                            RuntimeEvent::Proofs(Event::Lost { challenge, rewarded, .. })
                                if challenge == id =>
                            {
                                rewards.push((challenger, provider, rewarded));
                            }
                            _ => {}
                        }
                    }
                }
                // The provider and the stranger are one: all that they have together is what they put in,
                // what others have lost to them, and what they were paid for others' silence.
                let (ours, friends) = ([PROVIDER], [PROVIDER, STRANGER]);
                let (brought, cost) = moved(&answered, &ours, &friends);
                let from_others: Balance = rewards
                    .iter()
                    .filter(|(who, whose, _)| friends.contains(who) && *whose == OTHER_PROVIDER)
                    .map(|(_, _, amount)| amount)
                    .sum();
                let together = total(PROVIDER) + total(STRANGER);
                assert!(together + cost <= 2 * ENDOWMENT + brought + from_others);
                // Who neither asks nor is asked has what it had.
                let idle = ACCOUNTS.iter().filter(|who| {
                    !BOTH.contains(who)
                        && answered.iter().all(|(_, by, _, _)| by != *who)
                        && rewards.iter().all(|(by, _, _)| by != *who)
                });
                idle.for_each(|who| assert_eq!(total(*who), ENDOWMENT));
            }
        });
    }
}
