//! Leases that are paid in an asset.

use super::*;
use frame_support::traits::fungibles::{hold::Inspect as _, Inspect as _};
use sp_runtime::{Permill, TokenError};

const ROOT: fn() -> RuntimeOrigin = RuntimeOrigin::root;

/// A record of the active lease is claimed; says what it earned.
fn earn(seconds: u64) -> Balance {
    let (earned, record) = (lease().earned(), record_after(None, seconds));
    pass(seconds);
    assert_ok!(claim(record));
    lease().earned() - earned
}

fn active_in(asset: Asset, change: impl FnOnce(&mut LeaseTerms)) {
    open_with(|terms| {
        terms.asset = asset;
        change(terms);
    });
    assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
}

fn balance(asset: Asset, who: &AccountId32) -> Balance {
    Held::balance(asset, who)
}

fn held(asset: Asset, reason: HoldReason) -> Balance {
    Held::balance_on_hold(asset, &reason.into(), &publisher())
}

fn id(asset: Asset) -> u32 {
    let Asset::Registered(id) = asset else { panic!("the native token has no id") };
    id
}

fn freezer() -> RuntimeOrigin {
    origin(issuer())
}

#[test]
fn everything_about_a_lease_moves_its_own_asset_only() {
    for asset in KINDS {
        build_and_execute(|| {
            assert_ok!(Leases::set_treasury_share(ROOT(), Permill::from_percent(10)));
            assert_ok!(Assets::touch_other(origin(stranger()), 1, Treasury::get()));
            active_in(asset, |_| ());
            let others: Vec<_> = KINDS.into_iter().filter(|other| *other != asset).collect();
            let before: Vec<_> =
                others.iter().map(|a| Held::total_balance(*a, &provider())).collect();
            let providers = balance(asset, &provider());
            assert_eq!(held(asset, HoldReason::Escrow), DEPOSIT);
            assert_ok!(Leases::fund(origin(publisher()), LEASE, 5_000));
            assert_eq!(held(asset, HoldReason::Escrow), DEPOSIT + 5_000);
            let earned = earn(10);
            assert_eq!(earned, 10 * PRICE_PER_SECOND);
            assert_ok!(Leases::payout(origin(stranger()), LEASE));
            let share = earned / 10;
            assert_eq!(balance(asset, &provider()) - providers, earned - share);
            assert_eq!(balance(asset, &Treasury::get()), share);
            assert_ok!(Leases::close(origin(publisher()), LEASE));
            assert_ok!(Leases::settle(origin(provider()), LEASE));
            assert_eq!(held(asset, HoldReason::Escrow), 0);
            assert_eq!(Held::total_balance(asset, &publisher()), ENDOWMENT - earned);
            let after: Vec<_> =
                others.iter().map(|a| Held::total_balance(*a, &provider())).collect();
            assert_eq!(before, after);
        });
    }
}

#[test]
fn only_admitted_and_open_assets_take_new_money() {
    build_and_execute(|| {
        register_provider("//v0");
        let open = |asset, deposit| {
            let mut quote = quote();
            quote.terms.asset = asset;
            Leases::deploy(
                origin(publisher()),
                DeploymentKind::Service,
                MANIFEST,
                quote,
                sign("//v0", &quote),
                deposit,
                2 * PRICE_PER_SECOND,
            )
        };
        let not_admitted = Error::<Test>::AssetNotAdmitted;
        assert_noop!(open(Asset::Registered(9), DEPOSIT), not_admitted);
        assert_ok!(MoneyList::set_admission(ROOT(), 2, 50_000, false));
        let not_admitted = Error::<Test>::AssetNotAdmitted;
        assert_noop!(open(EURO, DEPOSIT), not_admitted);
        assert_ok!(MoneyList::set_admission(ROOT(), 2, 50_000, true));
        assert_noop!(open(EURO, 49_999), Error::<Test>::DepositTooSmall);
        assert_ok!(open(EURO, 50_000));
        // Closed again: nothing more goes in, and what is in is paid and given back.
        assert_ok!(MoneyList::set_admission(ROOT(), 2, 50_000, false));
        let more = Leases::fund(origin(publisher()), LEASE, 1_000);
        assert_noop!(more, Error::<Test>::AssetNotAdmitted);
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        let (before, earned) = (balance(EURO, &provider()), earn(5));
        assert_ok!(Leases::payout(origin(stranger()), LEASE));
        assert_eq!(balance(EURO, &provider()) - before, earned);
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        assert_eq!(held(EURO, HoldReason::Escrow), 0);
    });
}

#[test]
fn a_provider_that_has_no_account_in_the_asset_opens_one_first() {
    build_and_execute(|| {
        register_provider("//v0");
        let all = Assets::transfer_all(origin(provider()), id(DOLLAR), publisher(), false);
        assert_ok!(all);
        let mut quote = quote();
        quote.terms.asset = DOLLAR;
        let refused = deploy(quote, sign("//v0", &quote));
        assert_noop!(refused, Error::<Test>::ProviderWithoutAccount);
        assert_ok!(Assets::touch(origin(provider()), id(DOLLAR)));
        assert_ok!(deploy(quote, sign("//v0", &quote)));
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        // So that not even the smallest payment gets stuck.
        let price =
            Prices { cpu_millicore_second: 0, memory_mib_second: 0, ..lease().terms.prices };
        crate::Leases::<Test>::mutate(LEASE, |lease| {
            lease.as_mut().unwrap().terms.prices = Prices { egress_mib: 1, ..price };
        });
        let mut record = record_after(None, 1);
        record.total.egress_mib = 1;
        pass(1);
        assert_ok!(claim(record));
        assert_ok!(Leases::payout(origin(stranger()), LEASE));
        assert_eq!(balance(DOLLAR, &provider()), 1);
    });
}

#[test]
fn a_provider_that_is_blocked_is_paid_once_it_is_not() {
    build_and_execute(|| {
        active_in(DOLLAR, |_| ());
        let before = balance(DOLLAR, &provider());
        let earned = earn(10);
        assert_ok!(Assets::block(freezer(), id(DOLLAR), provider()));
        assert_noop!(Leases::payout(origin(stranger()), LEASE), TokenError::CannotCreate);
        // The publisher gets its rest all the same, and the provider its capacity.
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        assert_eq!(held(DOLLAR, HoldReason::Escrow), earned);
        assert_ok!(Assets::thaw(freezer(), id(DOLLAR), provider()));
        assert_ok!(Leases::forget(origin(stranger()), LEASE));
        assert_eq!(balance(DOLLAR, &provider()) - before, earned);
        assert!(crate::Leases::<Test>::get(LEASE).is_none());
    });
}

#[test]
fn a_frozen_asset_holds_up_neither_the_end_nor_the_capacity_and_loses_nothing() {
    build_and_execute(|| {
        active_in(DOLLAR, |_| ());
        let before = balance(DOLLAR, &provider());
        let earned = earn(10);
        assert_ok!(Assets::freeze_asset(freezer(), id(DOLLAR)));
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        let used = pallet_providers::Providers::<Test>::get(provider()).unwrap().used;
        assert_eq!(used, Resources::default());
        assert_eq!(held(DOLLAR, HoldReason::Escrow), DEPOSIT);
        assert!(Leases::payout(origin(stranger()), LEASE).is_err());
        assert_eq!(held(DOLLAR, HoldReason::Escrow), DEPOSIT);
        check_invariants();
        assert_ok!(Assets::thaw_asset(freezer(), id(DOLLAR)));
        assert_ok!(Leases::payout(origin(stranger()), LEASE));
        told(Event::Refunded { lease: LEASE, amount: DEPOSIT - earned });
        assert_eq!(held(DOLLAR, HoldReason::Escrow), 0);
        assert_eq!(balance(DOLLAR, &provider()) - before, earned);
        assert_eq!(balance(DOLLAR, &publisher()), ENDOWMENT - earned);
    });
}

#[test]
fn neither_side_s_frozen_account_keeps_the_other_s_money() {
    build_and_execute(|| {
        active_in(DOLLAR, |_| ());
        let before = balance(DOLLAR, &provider());
        let earned = earn(10);
        assert_ok!(Assets::freeze_asset(freezer(), id(DOLLAR)));
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        assert_ok!(Assets::thaw_asset(freezer(), id(DOLLAR)));
        assert_ok!(Assets::block(freezer(), id(DOLLAR), publisher()));
        assert_ok!(Leases::payout(origin(stranger()), LEASE));
        assert_eq!(balance(DOLLAR, &provider()) - before, earned);
        assert_eq!(held(DOLLAR, HoldReason::Escrow), DEPOSIT - earned);
        assert_noop!(Leases::payout(origin(stranger()), LEASE), TokenError::CannotCreate);
        assert_ok!(Assets::thaw(freezer(), id(DOLLAR), publisher()));
        assert_ok!(Leases::payout(origin(stranger()), LEASE));
        assert_noop!(Leases::payout(origin(stranger()), LEASE), Error::<Test>::NothingDue);
        assert_eq!(balance(DOLLAR, &publisher()), ENDOWMENT - earned);
    });
}

#[test]
fn a_contest_is_put_down_in_the_asset_and_decided_while_that_is_frozen() {
    for (to_publisher, is_provider_right) in [(0, true), (100, false)] {
        build_and_execute(|| {
            active_in(DOLLAR, |terms| terms.dispute_seconds = 3_600);
            let earned = earn(10);
            assert_ok!(Leases::contest(origin(publisher()), LEASE));
            let deposit = held(DOLLAR, HoldReason::Contest);
            assert_eq!(deposit, (earned / 10).max(ASSET_MINIMUM));
            assert_ok!(Assets::freeze_asset(freezer(), id(DOLLAR)));
            assert_ok!(Leases::decide(ROOT(), LEASE, Permill::from_percent(to_publisher)));
            told(Event::DepositKept { lease: LEASE, amount: deposit });
            check_invariants();
            assert_eq!(held(DOLLAR, HoldReason::Contest), 0);
            assert_eq!(held(DOLLAR, HoldReason::Escrow), DEPOSIT + deposit);
            assert_ok!(Assets::thaw_asset(freezer(), id(DOLLAR)));
            let _ = Leases::payout(origin(stranger()), LEASE);
            assert_ok!(Leases::close(origin(publisher()), LEASE));
            assert_ok!(Leases::settle(origin(provider()), LEASE));
            let lost = if is_provider_right { earned + deposit } else { 0 };
            assert_eq!(balance(DOLLAR, &publisher()), ENDOWMENT - lost);
            assert_eq!(balance(DOLLAR, &provider()), ENDOWMENT + lost);
        });
    }
}

#[test]
fn silence_costs_a_part_of_the_native_stake_whatever_the_lease_is_paid_in() {
    new_test_ext().execute_with(|| {
        active_in(DOLLAR, |terms| terms.silence_seconds = 600);
        pass(601);
        let behind = pallet_providers::StakeRates::required(&Rates::get(), &RESOURCES);
        assert_ok!(Leases::evict(origin(stranger()), LEASE));
        let (amount, rewarded) = (behind / 10, behind / 20);
        told(Event::ProviderSlashed { lease: LEASE, amount, rewarded });
        assert_eq!(balance(DOLLAR, &provider()), ENDOWMENT);
    });
}
