//! What a hold promises, in the native token and in assets alike.

use crate::mock::{purposes::HoldReason, *};
use casemate_primitives::{Asset, Balance};
use frame_support::{
    assert_noop, assert_ok,
    traits::{
        fungibles::{
            hold::{Inspect as _, Mutate as _},
            Inspect as _, Mutate as _,
        },
        tokens::{Fortitude, Precision, Preservation, Restriction},
    },
};
use sp_runtime::{ArithmeticError, DispatchError, DispatchResult, TokenError};

const ESCROW: RuntimeHoldReason = RuntimeHoldReason::Purposes(HoldReason::Escrow);
const OTHER: RuntimeHoldReason = RuntimeHoldReason::Purposes(HoldReason::Other);

fn hold(asset: Asset, who: u64, amount: Balance) -> DispatchResult {
    frame_support::storage::with_storage_layer(|| Held::hold(asset, &ESCROW, &who, amount))
}

fn pay(asset: Asset, from: u64, to: u64, amount: Balance) -> DispatchResult {
    frame_support::storage::with_storage_layer(|| {
        Held::transfer_on_hold(
            asset,
            &ESCROW,
            &from,
            &to,
            amount,
            Precision::Exact,
            Restriction::Free,
            Fortitude::Polite,
        )
        .map(|_| ())
    })
}

fn release(asset: Asset, who: u64, amount: Balance) -> DispatchResult {
    frame_support::storage::with_storage_layer(|| {
        Held::release(asset, &ESCROW, &who, amount, Precision::Exact).map(|_| ())
    })
}

fn burn(asset: Asset, who: u64, amount: Balance) -> DispatchResult {
    frame_support::storage::with_storage_layer(|| {
        let (precision, force) = (Precision::Exact, Fortitude::Polite);
        Held::burn_held(asset, &ESCROW, &who, amount, precision, force).map(|_| ())
    })
}

fn held(asset: Asset, who: u64) -> Balance {
    Held::balance_on_hold(asset, &ESCROW, &who)
}

fn id(asset: Asset) -> u32 {
    match asset {
        Asset::Registered(id) => id,
        Asset::Native => panic!("the native token has no id"),
    }
}

#[test]
fn held_money_is_paid_given_back_and_burnt_to_the_unit() {
    build_and_execute(|| {
        for asset in KINDS {
            assert_ok!(hold(asset, ALICE, 600));
            assert_eq!((All::balance(asset, &ALICE), held(asset, ALICE)), (400, 600));
            assert_ok!(pay(asset, ALICE, BOB, 100));
            assert_eq!((All::balance(asset, &BOB), held(asset, ALICE)), (1_100, 500));
            assert_ok!(burn(asset, ALICE, 7));
            assert_ok!(release(asset, ALICE, 493));
            assert_eq!((All::balance(asset, &ALICE), held(asset, ALICE)), (893, 0));
            conserved();
        }
    });
}

#[test]
fn purposes_are_apart() {
    build_and_execute(|| {
        for asset in KINDS {
            assert_ok!(hold(asset, ALICE, 100));
            assert_ok!(Held::hold(asset, &OTHER, &ALICE, 50));
            assert_noop!(pay(asset, ALICE, BOB, 101), TokenError::FundsUnavailable);
            assert_noop!(release(asset, ALICE, 101), TokenError::FundsUnavailable);
            assert_eq!(Held::total_balance_on_hold(asset, &ALICE), 150);
        }
    });
}

#[test]
fn no_more_is_held_than_what_is_there_above_the_minimum() {
    build_and_execute(|| {
        for asset in KINDS {
            let all_but = ENDOWMENT - MINIMUM;
            assert_noop!(hold(asset, ALICE, all_but + 1), TokenError::FundsUnavailable);
            assert_ok!(hold(asset, ALICE, all_but));
        }
    });
}

#[test]
fn a_payment_that_cannot_exist_moves_nothing_and_can_be_made_later() {
    build_and_execute(|| {
        for asset in [DOLLAR, EURO] {
            assert_ok!(hold(asset, ALICE, 100));
            // Charlie has none of it, and so little can't be all that an account has.
            assert_noop!(pay(asset, ALICE, CHARLIE, MINIMUM - 1), TokenError::CannotCreate);
            assert_eq!((held(asset, ALICE), All::balance(asset, &CHARLIE)), (100, 0));
            // With the next payment it is enough.
            assert_ok!(pay(asset, ALICE, CHARLIE, MINIMUM));
            assert_ok!(pay(asset, ALICE, CHARLIE, 1));
            assert_eq!((held(asset, ALICE), All::balance(asset, &CHARLIE)), (89, 11));
        }
        assert_ok!(hold(Asset::Native, ALICE, 100));
        assert_noop!(pay(Asset::Native, ALICE, NOBODY, MINIMUM - 1), TokenError::CannotCreate);
        assert_ok!(pay(Asset::Native, ALICE, NOBODY, MINIMUM));
    });
}

#[test]
fn who_opens_an_account_is_paid_single_units() {
    build_and_execute(|| {
        assert_ok!(hold(DOLLAR, ALICE, 100));
        assert_ok!(Assets::touch(RuntimeOrigin::signed(CHARLIE), 1));
        assert_ok!(pay(DOLLAR, ALICE, CHARLIE, 1));
        assert_eq!(All::balance(DOLLAR, &CHARLIE), 1);
    });
}

#[test]
fn an_account_without_native_token_is_paid_only_what_keeps_it() {
    build_and_execute(|| {
        assert_ok!(hold(DOLLAR, ALICE, 100));
        assert_ok!(hold(EURO, ALICE, 100));
        // Accounts of this asset need native token.
        assert_noop!(pay(DOLLAR, ALICE, NOBODY, 50), TokenError::CannotCreate);
        assert_ok!(pay(EURO, ALICE, NOBODY, 50));
        assert_eq!(held(DOLLAR, ALICE), 100);
    });
}

#[test]
fn an_account_with_a_hold_stays() {
    build_and_execute(|| {
        for asset in [DOLLAR, EURO] {
            assert_ok!(hold(asset, ALICE, 100));
            let all = RuntimeOrigin::signed(ALICE);
            assert_ok!(Assets::transfer_all(all, id(asset), BOB, false));
            assert_eq!(All::balance(asset, &ALICE), MINIMUM);
            let rest = All::transfer(asset, &ALICE, &BOB, MINIMUM, Preservation::Expendable);
            assert!(rest.is_err());
            assert_ok!(release(asset, ALICE, 100));
            assert_eq!(All::balance(asset, &ALICE), MINIMUM + 100);
        }
        let burnt = Assets::refund(RuntimeOrigin::signed(ALICE), 1, true);
        assert_ok!(burnt);
        assert_ok!(hold(EURO, ALICE, 50));
        assert!(Assets::refund(RuntimeOrigin::signed(ALICE), 2, true).is_err());
        assert_eq!(held(EURO, ALICE), 50);
    });
}

#[test]
fn neither_admin_nor_issuer_nor_owner_takes_what_is_held() {
    build_and_execute(|| {
        for asset in [DOLLAR, EURO] {
            let issuer = || RuntimeOrigin::signed(ISSUER);
            assert_ok!(hold(asset, ALICE, 900));
            let taken = Assets::force_transfer(issuer(), id(asset), ALICE, BOB, 900);
            assert_noop!(taken, pallet_assets::Error::<Test>::BalanceLow);
            // Burns what can be: the free part above the minimum.
            assert_ok!(Assets::burn(issuer(), id(asset), ALICE, 900));
            assert_eq!(All::balance(asset, &ALICE), MINIMUM);
            assert_noop!(
                Assets::start_destroy(issuer(), id(asset)),
                pallet_assets::Error::<Test>::ContainsHolds
            );
            assert_ok!(pay(asset, ALICE, BOB, 900));
        }
    });
}

#[test]
fn a_frozen_account_pays_and_is_refunded_but_locks_nothing_more() {
    build_and_execute(|| {
        for asset in [DOLLAR, EURO] {
            assert_ok!(hold(asset, ALICE, 300));
            assert_ok!(Assets::freeze(RuntimeOrigin::signed(ISSUER), id(asset), ALICE));
            assert_noop!(hold(asset, ALICE, 1), TokenError::FundsUnavailable);
            assert_ok!(pay(asset, ALICE, BOB, 200));
            assert_ok!(release(asset, ALICE, 100));
            assert_eq!((All::balance(asset, &ALICE), held(asset, ALICE)), (800, 0));
        }
    });
}

#[test]
fn a_blocked_payee_is_paid_once_it_is_thawed() {
    build_and_execute(|| {
        for asset in [DOLLAR, EURO] {
            assert_ok!(hold(asset, ALICE, 300));
            assert_ok!(Assets::block(RuntimeOrigin::signed(ISSUER), id(asset), BOB));
            assert_noop!(pay(asset, ALICE, BOB, 200), TokenError::CannotCreate);
            assert_eq!(held(asset, ALICE), 300);
            assert_ok!(Assets::thaw(RuntimeOrigin::signed(ISSUER), id(asset), BOB));
            assert_ok!(pay(asset, ALICE, BOB, 200));
        }
    });
}

#[test]
fn while_an_asset_is_frozen_nothing_moves_and_nothing_is_lost() {
    build_and_execute(|| {
        for asset in [DOLLAR, EURO] {
            assert_ok!(hold(asset, ALICE, 300));
            assert_ok!(Assets::freeze_asset(RuntimeOrigin::signed(ISSUER), id(asset)));
            let not_live = pallet_assets::Error::<Test>::AssetNotLive;
            assert_noop!(hold(asset, ALICE, 1), TokenError::FundsUnavailable);
            assert_noop!(pay(asset, ALICE, BOB, 200), not_live);
            let not_live = pallet_assets::Error::<Test>::AssetNotLive;
            assert_noop!(release(asset, ALICE, 300), not_live);
            assert_eq!(held(asset, ALICE), 300);
            assert_ok!(Assets::thaw_asset(RuntimeOrigin::signed(ISSUER), id(asset)));
            assert_ok!(pay(asset, ALICE, BOB, 200));
            assert_ok!(release(asset, ALICE, 100));
        }
    });
}

#[test]
fn an_issuer_at_the_largest_supply_only_delays() {
    build_and_execute(|| {
        assert_ok!(hold(EURO, ALICE, 300));
        let issuer = || RuntimeOrigin::signed(ISSUER);
        let rest = Balance::MAX - All::total_issuance(EURO);
        assert_ok!(Assets::mint(issuer(), 2, ISSUER, rest));
        let overflow = DispatchError::from(ArithmeticError::Overflow);
        assert_noop!(pay(EURO, ALICE, BOB, 200), overflow);
        assert_noop!(release(EURO, ALICE, 300), overflow);
        assert_ok!(Assets::burn(issuer(), 2, ISSUER, rest));
        assert_ok!(pay(EURO, ALICE, BOB, 200));
        assert_ok!(release(EURO, ALICE, 100));
    });
}

#[test]
fn what_is_not_registered_holds_nothing() {
    build_and_execute(|| {
        let nothing = Asset::Registered(99);
        assert!(hold(nothing, ALICE, 1).is_err());
        assert_eq!((Held::balance(nothing, &ALICE), Held::total_issuance(nothing)), (0, 0));
        assert!(!Held::asset_exists(nothing) && Held::asset_exists(DOLLAR));
    });
}
