//! Slashing: whose stake, how much of it, and what becomes of the provider.

use super::*;
use crate::{ProviderStake, Slashed, SlashedTotal};

/// What one lease of these tests takes.
const LEASED: Resources =
    Resources { cpu_millicores: 1_000, memory_mib: 1_024, storage_mib: 0, gpus: 0 };

fn stake(who: u64) -> Balance {
    Providers::<Test>::get(who).unwrap().stake
}

fn unbonding(who: u64) -> Vec<Balance> {
    Providers::<Test>::get(who).unwrap().unbonding.iter().map(|part| part.amount).collect()
}

fn total(who: u64) -> Balance {
    Balances::total_balance(&who)
}

#[test]
fn a_slash_rewards_the_beneficiary_and_burns_the_rest() {
    build_and_execute(|| {
        register(1, 4, 8, 20 * CASE);
        let issued = Balances::total_issuance();
        assert_eq!(Registry::staked(&1), 20 * CASE);
        let slashed = Registry::slash(&1, 5 * CASE, &2, 2 * CASE);
        assert_eq!(slashed, Slashed { amount: 5 * CASE, rewarded: 2 * CASE });
        assert_eq!((held(1), stake(1)), (15 * CASE, 15 * CASE));
        assert_eq!(Balances::balance(&2), 1_002 * CASE, "free to use");
        assert_eq!(Balances::total_issuance(), issued - 3 * CASE, "the rest is burnt");
        assert_eq!(SlashedTotal::<Test>::get(1), 5 * CASE);
        System::assert_last_event(
            Event::Slashed { provider: 1, amount: 5 * CASE, rewarded: 2 * CASE, beneficiary: 2 }
                .into(),
        );
    });
}

#[test]
fn what_is_bonded_goes_first_then_what_is_unbonding_the_newest_first() {
    build_and_execute(|| {
        register(1, 1, 1, 20 * CASE);
        for amount in [3, 4, 5] {
            assert_ok!(Registry::unbond(origin(1), amount * CASE));
        }
        Registry::slash(&1, 7 * CASE, &2, 0);
        assert_eq!((stake(1), unbonding(1)), (CASE, vec![3 * CASE, 4 * CASE, 5 * CASE]));
        Registry::slash(&1, 7 * CASE, &2, 0);
        assert_eq!((stake(1), unbonding(1)), (0, vec![3 * CASE, 3 * CASE]));
        assert_eq!(held(1), 6 * CASE);
    });
}

#[test]
fn never_more_than_there_is() {
    build_and_execute(|| {
        register(1, 1, 1, 20 * CASE);
        assert_ok!(Registry::unbond(origin(1), 4 * CASE));
        let slashed = Registry::slash(&1, Balance::MAX, &2, Balance::MAX);
        assert_eq!(slashed, Slashed { amount: 20 * CASE, rewarded: 20 * CASE });
        assert_eq!((held(1), total(1), total(2)), (0, 980 * CASE, 1_020 * CASE));
        assert_eq!(Registry::slash(&1, CASE, &2, CASE), Slashed::default(), "nothing is left");
        assert_eq!(Registry::slash(&3, CASE, &2, CASE), Slashed::default(), "no provider");
        assert_eq!((Registry::staked(&1), Registry::staked(&3)), (0, 0));
        assert_eq!((total(2), total(3)), (1_020 * CASE, 1_000 * CASE));
    });
}

#[test]
fn a_provider_does_not_get_its_own_stake_free_by_a_slash() {
    build_and_execute(|| {
        register(1, 1, 1, 20 * CASE);
        let slashed = Registry::slash(&1, 5 * CASE, &1, 5 * CASE);
        assert_eq!(slashed, Slashed { amount: 5 * CASE, rewarded: 0 });
        assert_eq!(total(1), 995 * CASE);
        assert_eq!(Balances::balance(&1), 980 * CASE);
    });
}

#[test]
fn a_beneficiary_that_cannot_be_paid_does_not_save_the_provider() {
    build_and_execute(|| {
        register(1, 1, 1, 20 * CASE);
        // Account 9 does not exist, and nothing is too little to make it.
        let least = <Balances as Inspect<u64>>::minimum_balance();
        assert!(least > 0);
        let slashed = Registry::slash(&1, 5 * CASE, &9, least - 1);
        assert_eq!((slashed.amount, held(1), total(9)), (5 * CASE, 15 * CASE, 0));
        assert_eq!(slashed.rewarded, 0);
    });
}

#[test]
fn an_under_staked_provider_takes_no_lease_until_the_offer_is_covered_again() {
    build_and_execute(|| {
        register(1, 4, 8, 12 * CASE);
        assert_ok!(Registry::reserve(&1, &LEASED));
        Registry::slash(&1, 2 * CASE, &2, 0);
        assert_noop!(Registry::reserve(&1, &LEASED), Error::<Test>::StakeTooLow);
        assert_noop!(Registry::unbond(origin(1), CASE), Error::<Test>::StakeTooLow);
        let update = |cores, gib| {
            Registry::update(
                origin(1),
                Default::default(),
                capacity(cores, gib),
                Default::default(),
            )
        };
        assert_noop!(update(4, 8), Error::<Test>::StakeTooLow);
        // By bonding...
        assert_ok!(Registry::bond(origin(1), CASE));
        assert_noop!(Registry::reserve(&1, &LEASED), Error::<Test>::StakeTooLow);
        assert_ok!(Registry::bond(origin(1), CASE));
        assert_ok!(Registry::reserve(&1, &LEASED));
        // ... or by offering less. What runs goes on, and can end.
        Registry::slash(&1, 6 * CASE, &2, 0);
        assert_ok!(update(3, 3));
        assert_ok!(Registry::reserve(&1, &LEASED));
        for _ in 0..3 {
            Registry::release(&1, &LEASED);
        }
        assert_ok!(Registry::retire(origin(1)));
    });
}

#[test]
fn a_provider_that_has_lost_all_can_leave_and_come_back() {
    build_and_execute(|| {
        register(1, 1, 1, 20 * CASE);
        Registry::slash(&1, 20 * CASE, &2, 0);
        assert_ok!(Registry::retire(origin(1)));
        assert!(Providers::<Test>::get(1).is_none(), "there is nothing to wait for");
        assert_eq!(SlashedTotal::<Test>::get(1), 0);
        register(1, 1, 1, 20 * CASE);
    });
}

#[test]
fn a_retired_provider_is_slashed_until_its_stake_is_out() {
    build_and_execute(|| {
        register(1, 1, 1, 20 * CASE);
        assert_ok!(Registry::retire(origin(1)));
        Registry::slash(&1, 5 * CASE, &2, 0);
        assert_eq!((held(1), unbonding(1)), (15 * CASE, vec![15 * CASE]));
        // Even what is due, while it is not withdrawn.
        Now::set(Now::get() + UnbondingSeconds::get());
        Registry::slash(&1, 15 * CASE, &2, 0);
        assert!(Providers::<Test>::get(1).is_none());
        assert_noop!(Registry::withdraw(origin(1)), Error::<Test>::NotRegistered);
    });
}
