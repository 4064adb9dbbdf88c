//! Silence: who loses what, who gets what, and who can't make a business of it.

use super::*;
use pallet_providers::ProviderStake;

fn conclude(id: ChallengeId) -> DispatchResult {
    Proofs::conclude(origin(OTHER_PUBLISHER), id)
}

/// Makes a challenge of which the provider takes no notice.
fn ignored(who: u64, target: Target<u64>) -> ChallengeId {
    let id = challenged(who, target);
    pass_blocks(WindowBlocks::get() + 1);
    id
}

#[test]
fn silence_costs_stake_and_open_periods_by_anyone_s_one_call() {
    ready(|| {
        let id = ignored(STRANGER, EVIDENCE);
        assert_ok!(conclude(id));
        // A tenth of 40 CASE; a fifth of that would be 0.8 CASE, less than the deposit.
        let (slashed, rewarded) = (4 * CASE, 8 * CASE / 10);
        assert_eq!(Providers::staked(&PROVIDER), 36 * CASE);
        assert_eq!(total(PROVIDER), ENDOWMENT - slashed);
        assert_eq!((total(STRANGER), held(STRANGER)), (ENDOWMENT + rewarded, 0));
        assert_eq!(total(OTHER_PUBLISHER), ENDOWMENT, "who calls gets nothing");
        assert_eq!(lease(1, |lease| lease.open), 0);
        assert_eq!(Told::get(), [("lost", PROVIDER)]);
        System::assert_last_event(
            Event::Lost { challenge: id, provider: PROVIDER, slashed, rewarded, returned: 500 }
                .into(),
        );
        assert_noop!(conclude(id), Error::<Test>::ChallengeUnknown);
        assert_ok!(challenge(STRANGER, EVIDENCE));
    });
}

#[test]
fn a_case_costs_no_more_than_its_bound_and_earns_no_more_than_was_at_risk() {
    ready(|| {
        assert_ok!(Providers::bond(origin(PROVIDER), 900 * CASE));
        assert_ok!(conclude(ignored(STRANGER, log_chunk(0))));
        assert_eq!(total(PROVIDER), ENDOWMENT - SlashMax::get(), "not 94 CASE");
        assert!(SlashMax::get() / 5 > DepositBase::get());
        assert_eq!(total(STRANGER), ENDOWMENT + DepositBase::get(), "not a fifth of it");
    });
}

#[test]
fn unbonding_does_not_save_the_stake() {
    ready(|| {
        assert_ok!(Providers::retire(origin(PROVIDER)));
        assert_ok!(conclude(ignored(STRANGER, log_chunk(0))));
        assert_eq!(Providers::staked(&PROVIDER), 36 * CASE);
    });
}

#[test]
fn a_provider_without_stake_loses_none_and_the_challenge_ends() {
    ready(|| {
        let id = ignored(STRANGER, log_chunk(0));
        Providers::slash(&PROVIDER, Balance::MAX, &PUBLISHER, 0);
        assert_ok!(conclude(id));
        assert_eq!((total(STRANGER), held(STRANGER)), (ENDOWMENT, 0));
    });
}

#[test]
fn a_leaf_that_does_not_come_costs_stake_and_no_lease_s_periods() {
    ready(|| {
        let batch = submit(PROVIDER, &[[7; 32]]);
        let id = ignored(STRANGER, Target::BatchLeaf { provider: PROVIDER, batch, index: 0 });
        assert_ok!(conclude(id));
        assert_eq!(Providers::staked(&PROVIDER), 36 * CASE);
        assert_eq!(lease(1, |lease| lease.open), 500);
        assert_eq!(Told::get(), [("lost", PROVIDER)]);
    });
}

#[test]
fn a_log_is_owed_when_the_lease_has_ended_and_even_when_it_is_forgotten() {
    ready(|| {
        let (ended, forgotten) =
            (challenged(STRANGER, log_chunk(0)), challenged(STRANGER, log_chunk(1)));
        pass_blocks(WindowBlocks::get() + 1);
        lease(1, |lease| lease.is_live = false);
        assert_ok!(conclude(ended));
        assert_eq!(Providers::staked(&PROVIDER), 36 * CASE);
        KnownLeases::set(Default::default());
        assert_ok!(conclude(forgotten));
        assert_eq!(Providers::staked(&PROVIDER), 324 * CASE / 10);
    });
}

#[test]
fn a_publisher_can_not_close_a_lease_to_make_its_provider_lose() {
    ready(|| {
        let id = challenged(PUBLISHER, EVIDENCE);
        lease(1, |lease| lease.is_live = false);
        pass_blocks(WindowBlocks::get() + 1);
        assert_ok!(conclude(id));
        System::assert_last_event(Event::Void { challenge: id, provider: PROVIDER }.into());
        for who in [PUBLISHER, PROVIDER] {
            assert_eq!(total(who), ENDOWMENT);
        }
        assert_eq!(held(PUBLISHER), 0);
        assert_eq!(lease(1, |lease| lease.open), 500);
        assert_eq!(Told::get(), [], "nobody has won or lost");
    });
}

#[test]
fn evidence_that_nobody_would_accept_any_more_is_not_owed() {
    ready(|| {
        // Its workload is approved no more, and `recheck` has ended its standing.
        let id = challenged(STRANGER, EVIDENCE);
        Standings::mutate(|all| all.insert((1, 0), (key(), Now::get())));
        pass_blocks(WindowBlocks::get() + 1);
        assert_ok!(conclude(id));
        System::assert_last_event(Event::Void { challenge: id, provider: PROVIDER }.into());
        assert_eq!(Providers::staked(&PROVIDER), 40 * CASE);
    });
}

#[test]
fn an_app_that_ends_before_the_window_is_over_costs_its_provider_nothing() {
    ready(|| {
        let id = challenged(STRANGER, EVIDENCE);
        lease(1, |lease| lease.anchors.get_mut(&0).unwrap().has_ended = true);
        pass_blocks(WindowBlocks::get() + 1);
        assert_ok!(conclude(id));
        System::assert_last_event(Event::Void { challenge: id, provider: PROVIDER }.into());
        assert_eq!(Providers::staked(&PROVIDER), 40 * CASE);
    });
}

#[test]
fn challenging_one_s_own_provider_frees_less_stake_than_it_burns() {
    ready(|| {
        // All stake is on its way out, locked for an hour; the stranger is the provider's friend.
        assert_ok!(Providers::retire(origin(PROVIDER)));
        let free = |who| Balances::balance(&who);
        let before = free(PROVIDER) + free(STRANGER);
        let both = total(PROVIDER) + total(STRANGER);
        for round in 0..40 {
            for index in 0..u64::from(OpenMax::get()) {
                assert_ok!(challenge(STRANGER, log_chunk(index)));
            }
            pass_blocks(WindowBlocks::get() + 1);
            for index in 0..u64::from(OpenMax::get()) {
                let id = ChallengeId(round * u64::from(OpenMax::get()) + index);
                assert_ok!(conclude(id));
            }
        }
        let gained = free(PROVIDER) + free(STRANGER) - before;
        let lost = both - total(PROVIDER) - total(STRANGER);
        assert!(gained > 0 && lost >= 4 * gained, "{gained} got free, {lost} was burnt");
    });
}

#[test]
fn nothing_that_a_challenger_does_to_its_account_keeps_the_provider_from_the_deposit() {
    use frame_support::traits::{LockableCurrency, WithdrawReasons};
    ready(|| {
        let id = challenged(STRANGER, log_chunk(0));
        // All of it is locked, as staking and vesting do: only by force does anything move.
        Balances::set_lock(*b"elsewher", &STRANGER, ENDOWMENT, WithdrawReasons::all());
        assert_ok!(answer(PROVIDER, id, chunk_answer(0)));
        assert_eq!(total(PROVIDER), ENDOWMENT + 2 * CASE);
        assert_eq!(held(STRANGER), 0);
    });
}
