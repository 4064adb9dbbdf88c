//! Tests enter by the calls; each ends in `try_state`.

mod slash;

use crate::{mock::*, *};
use casemate_primitives::{Asset, Balance, PriceList, Prices, ProviderInfo, Resources, CASE};
use frame_support::{
    assert_noop, assert_ok,
    traits::fungible::{hold::Inspect as _, Inspect},
};
use pallet_providers::Error;

use crate as pallet_providers;

fn capacity(cores: u32, gib: u32) -> Resources {
    Resources {
        cpu_millicores: cores * 1_000,
        memory_mib: gib * 1_024,
        storage_mib: 1_000,
        gpus: 0,
    }
}

fn origin(who: u64) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

fn register(who: u64, cores: u32, gib: u32, stake: Balance) {
    assert_ok!(Registry::register(
        origin(who),
        ProviderInfo::default(),
        capacity(cores, gib),
        Default::default(),
        stake
    ));
}

fn held(who: u64) -> Balance {
    Balances::balance_on_hold(&HoldReason::Stake.into(), &who)
}

#[test]
fn registering_holds_the_stake_that_the_capacity_needs() {
    build_and_execute(|| {
        let (info, lists) = (ProviderInfo::default(), PriceLists::default());
        assert_noop!(
            Registry::register(
                origin(1),
                info.clone(),
                capacity(4, 8),
                lists.clone(),
                12 * CASE - 1
            ),
            Error::<Test>::StakeTooLow
        );
        assert_noop!(
            Registry::register(origin(1), info.clone(), Resources::default(), lists.clone(), 0),
            Error::<Test>::StakeTooLow
        );
        register(1, 4, 8, 12 * CASE);
        assert_eq!(held(1), 12 * CASE);
        assert_noop!(
            Registry::register(origin(1), info.clone(), capacity(4, 8), lists, 12 * CASE),
            Error::<Test>::AlreadyRegistered
        );
        let price = PriceList { asset: Asset::Native, prices: Prices::default() };
        let twice = vec![price, price].try_into().unwrap();
        assert_noop!(
            Registry::register(origin(2), info, capacity(1, 1), twice, 12 * CASE),
            Error::<Test>::DuplicateAsset
        );
    });
}

#[test]
fn huge_capacity_does_not_overflow_into_a_small_stake() {
    build_and_execute(|| {
        let all = u32::MAX;
        let capacity =
            Resources { cpu_millicores: all, memory_mib: all, storage_mib: all, gpus: all };
        assert_noop!(
            Registry::register(
                origin(1),
                ProviderInfo::default(),
                capacity,
                Default::default(),
                900 * CASE
            ),
            Error::<Test>::StakeTooLow
        );
    });
}

#[test]
fn unbonding_waits_and_keeps_the_capacity_covered() {
    build_and_execute(|| {
        register(1, 4, 8, 20 * CASE);
        assert_noop!(Registry::unbond(origin(1), 0), Error::<Test>::ZeroAmount);
        assert_noop!(Registry::unbond(origin(1), 21 * CASE), Error::<Test>::NotEnoughStake);
        assert_noop!(Registry::unbond(origin(1), 9 * CASE), Error::<Test>::StakeTooLow);
        assert_ok!(Registry::unbond(origin(1), 8 * CASE));
        assert_eq!(held(1), 20 * CASE);
        assert_noop!(Registry::withdraw(origin(1)), Error::<Test>::NothingToWithdraw);
        Now::set(Now::get() + UnbondingSeconds::get() - 1);
        assert_noop!(Registry::withdraw(origin(1)), Error::<Test>::NothingToWithdraw);
        Now::set(Now::get() + 1);
        assert_ok!(Registry::withdraw(origin(1)));
        assert_eq!(held(1), 12 * CASE);
        assert_noop!(Registry::unbond(origin(2), CASE), Error::<Test>::NotRegistered);
        assert_noop!(Registry::bond(origin(2), CASE), Error::<Test>::NotRegistered);
        assert_noop!(Registry::bond(origin(1), 0), Error::<Test>::ZeroAmount);
        assert_ok!(Registry::bond(origin(1), CASE));
        assert_eq!(held(1), 13 * CASE);
    });
}

#[test]
fn unbondings_are_bounded_but_retiring_is_always_possible() {
    build_and_execute(|| {
        register(1, 1, 1, 100 * CASE);
        for _ in 0..8 {
            assert_ok!(Registry::unbond(origin(1), CASE));
        }
        assert_noop!(Registry::unbond(origin(1), CASE), Error::<Test>::TooManyUnbondings);
        assert_ok!(Registry::retire(origin(1)));
        Now::set(Now::get() + UnbondingSeconds::get());
        assert_ok!(Registry::withdraw(origin(1)));
        assert_eq!(held(1), 0);
        assert_eq!(Balances::balance(&1), 1_000 * CASE);
        assert!(Providers::<Test>::get(1).is_none());
    });
}

#[test]
fn capacity_in_leases_is_counted_and_given_back() {
    build_and_execute(|| {
        register(1, 4, 8, 12 * CASE);
        assert_ok!(Registry::reserve(&1, &capacity(3, 4)));
        assert_noop!(Registry::reserve(&1, &capacity(2, 1)), Error::<Test>::CapacityExhausted);
        let huge = Resources { cpu_millicores: u32::MAX, ..Default::default() };
        assert_noop!(Registry::reserve(&1, &huge), Error::<Test>::CapacityExhausted);
        assert_noop!(Registry::reserve(&2, &capacity(1, 1)), Error::<Test>::NotRegistered);
        assert_noop!(
            Registry::update(origin(1), Default::default(), capacity(2, 8), Default::default()),
            Error::<Test>::CapacityInUse
        );
        assert_noop!(
            Registry::update(origin(1), Default::default(), capacity(9, 8), Default::default()),
            Error::<Test>::StakeTooLow
        );
        assert_noop!(Registry::retire(origin(1)), Error::<Test>::LeasesLive);
        Registry::release(&1, &capacity(3, 4));
        assert_ok!(Registry::update(
            origin(1),
            Default::default(),
            capacity(2, 8),
            Default::default()
        ));
        assert_ok!(Registry::retire(origin(1)));
        assert_noop!(Registry::reserve(&1, &capacity(1, 1)), Error::<Test>::Retiring);
        assert_noop!(Registry::bond(origin(1), CASE), Error::<Test>::Retiring);
    });
}

#[test]
fn others_learn_who_takes_leases_and_who_has_retired() {
    build_and_execute(|| {
        RetiredProviders::set(Vec::new());
        assert_noop!(Registry::ensure_active(&1), Error::<Test>::NotRegistered);
        register(1, 1, 1, 100 * CASE);
        assert_ok!(Registry::ensure_active(&1));
        assert_eq!(RetiredProviders::get(), [0; 0]);
        assert_ok!(Registry::retire(origin(1)));
        assert_eq!(RetiredProviders::get(), [1]);
        assert_noop!(Registry::ensure_active(&1), Error::<Test>::Retiring);
        assert_noop!(Registry::retire(origin(1)), Error::<Test>::Retiring);
        assert_eq!(RetiredProviders::get(), [1], "once");
    });
}
