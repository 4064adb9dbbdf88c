//! Registered assets, pools and fees in this very runtime.

use super::*;
use crate::assets::{AllHeldMoney, AllMoney, Registered};
use casemate_primitives::{Asset, CASE};
use frame_support::{
    assert_noop, assert_ok,
    dispatch::GetDispatchInfo,
    traits::{
        fungibles::{
            hold::{Inspect as _, Mutate as _},
            Inspect as _, Mutate as _,
        },
        tokens::{Fortitude, Precision, Preservation, Restriction},
    },
};
use pallet_asset_conversion_tx_payment::ChargeAssetTxPayment;
use pallet_money::AdmittedAssets;
use sp_runtime::{
    traits::DispatchTransaction,
    transaction_validity::{InvalidTransaction, TransactionValidityError},
    DispatchError::BadOrigin,
};

/// The test asset of a development chain, `tUSD` with six decimals.
const TEST: Asset = Asset::Registered(1);
const TEST_DOLLAR: Balance = 1_000_000;

fn account(who: Sr25519Keyring) -> AccountId {
    who.to_account_id()
}

fn signed(who: Sr25519Keyring) -> RuntimeOrigin {
    RuntimeOrigin::signed(account(who))
}

/// Register an asset with the least balance 1.
fn register(who: Sr25519Keyring, id: u32) -> sp_runtime::DispatchResult {
    let admin = account(who).into();
    frame_support::storage::with_storage_layer(|| Assets::create(signed(who), id.into(), admin, 1))
}

#[test]
fn only_a_development_chain_begins_with_an_asset() {
    for name in [genesis::LOCAL, genesis::PRODUCTION] {
        build(name).execute_with(|| {
            use pallet_assets::{Asset as Known, NextAssetId};
            assert_eq!(Known::<Runtime, Registered>::iter().count(), 0, "{name}");
            assert_eq!(NextAssetId::<Runtime, Registered>::get(), Some(1), "{name}");
            assert_eq!(pallet_money::Admitted::<Runtime>::iter().count(), 0, "{name}");
            assert_eq!(pallet_asset_conversion::Pools::<Runtime>::iter().count(), 0, "{name}");
        });
    }
    build(genesis::DEVELOPMENT).execute_with(|| {
        assert_eq!(Money::deposit_min(TEST), Some(TEST_DOLLAR));
        let alice = account(Sr25519Keyring::Alice);
        assert_eq!(AllMoney::balance(TEST, &alice), 1_000_000 * TEST_DOLLAR);
        assert_eq!(AllMoney::balance(Asset::Native, &alice), 10_000_000 * CASE);
        Money::do_try_state().unwrap();
    });
}

#[test]
fn ids_are_counted_up_and_never_come_back() {
    build(genesis::DEVELOPMENT).execute_with(|| {
        use pallet_assets::Error;
        let alice = Sr25519Keyring::Alice;
        let bad_id = Error::<Runtime, Registered>::BadAssetId;
        assert_noop!(register(alice, 7), bad_id);
        let free = Balances::free_balance(account(alice));
        assert_ok!(register(alice, 2));
        assert_eq!(free - Balances::free_balance(account(alice)), 100 * CASE);
        assert_ok!(Assets::start_destroy(signed(alice), 2.into()));
        assert_ok!(Assets::finish_destroy(signed(alice), 2.into()));
        let bad_id = Error::<Runtime, Registered>::BadAssetId;
        assert_noop!(register(alice, 2), bad_id);
        assert_ok!(register(alice, 3));
    });
}

#[test]
fn registering_an_asset_does_not_admit_it() {
    build(genesis::DEVELOPMENT).execute_with(|| {
        let alice = Sr25519Keyring::Alice;
        assert_ok!(register(alice, 2));
        let (name, symbol) = (b"Mine".to_vec(), b"MINE".to_vec());
        assert_ok!(Assets::set_metadata(signed(alice), 2.into(), name, symbol.clone(), 4));
        assert_eq!(Money::deposit_min(Asset::Registered(2)), None);
        let symbol = pallet_money::Symbol::truncate_from(symbol);
        assert_noop!(Money::admit(signed(alice), 2, symbol.clone(), 4, 1), BadOrigin);
        assert_ok!(Money::admit(RuntimeOrigin::root(), 2, symbol, 4, 1));
        assert_eq!(Money::deposit_min(Asset::Registered(2)), Some(1));
    });
}

#[test]
fn nobody_makes_shares_of_pools_by_hand() {
    build(genesis::DEVELOPMENT).execute_with(|| {
        let (alice, admin) = (Sr25519Keyring::Alice, account(Sr25519Keyring::Alice).into());
        assert_noop!(PoolAssets::create(signed(alice), 9.into(), admin, 1), BadOrigin);
    });
}

#[test]
fn every_pool_has_the_native_token_on_one_side() {
    build(genesis::DEVELOPMENT).execute_with(|| {
        let alice = Sr25519Keyring::Alice;
        assert_ok!(register(alice, 2));
        let pool = |one: Asset, other: Asset| {
            AssetConversion::create_pool(signed(alice), Box::new(one), Box::new(other))
        };
        let bad_pair = pallet_asset_conversion::Error::<Runtime>::InvalidAssetPair;
        assert_noop!(pool(TEST, Asset::Registered(2)), bad_pair);
        let issuance = Balances::total_issuance();
        assert_ok!(pool(Asset::Registered(2), Asset::Native));
        assert_eq!(issuance - Balances::total_issuance(), 10 * CASE, "the fee is burnt");
    });
}

/// Send an empty remark, paying in `asset`.
fn remark_paid_in(
    who: Sr25519Keyring,
    asset: Option<Asset>,
) -> Result<(), TransactionValidityError> {
    let call = RuntimeCall::System(frame_system::Call::remark { remark: vec![] });
    let info = call.get_dispatch_info();
    let extension = ChargeAssetTxPayment::<Runtime>::from(0, asset);
    let done = extension.test_run(signed(who), &call, &info, 120, 0, |_| Ok(info_to_post(&info)));
    done.map(|result| {
        assert_ok!(result);
    })
}

fn info_to_post(
    info: &frame_support::dispatch::DispatchInfo,
) -> frame_support::dispatch::PostDispatchInfo {
    frame_support::dispatch::PostDispatchInfo {
        actual_weight: Some(info.call_weight),
        pays_fee: Default::default(),
    }
}

#[test]
fn fees_are_paid_in_an_asset_at_the_price_of_its_pool_and_burnt() {
    build(genesis::DEVELOPMENT).execute_with(|| {
        let alice = Sr25519Keyring::Alice;
        let who = account(alice);
        let issuance = Balances::total_issuance();
        assert_ok!(remark_paid_in(alice, None));
        let fee = issuance - Balances::total_issuance();
        assert!(fee > 0);

        let (native, test) =
            (AllMoney::balance(Asset::Native, &who), AllMoney::balance(TEST, &who));
        let (issuance, supply) = (Balances::total_issuance(), AllMoney::total_issuance(TEST));
        assert_ok!(remark_paid_in(alice, Some(TEST)));
        assert_eq!(AllMoney::balance(Asset::Native, &who), native);
        assert_eq!(issuance - Balances::total_issuance(), fee);
        assert_eq!(AllMoney::total_issuance(TEST), supply, "the pool has it");
        // Ten cents for a CASE: a hundred thousand of a dollar's units; the pool's fee on top, and
        // no fraction of a unit.
        let paid = test - AllMoney::balance(TEST, &who);
        let fair = fee * (TEST_DOLLAR / 10) / CASE;
        assert!(paid > fair && paid <= fair * 102 / 100 + 1, "{paid} for {fee}");
    });
}

#[test]
fn a_fee_in_what_has_no_pool_or_is_not_owned_is_refused() {
    build(genesis::DEVELOPMENT).execute_with(|| {
        let refused = Err(TransactionValidityError::Invalid(InvalidTransaction::Payment));
        assert_eq!(remark_paid_in(Sr25519Keyring::Alice, Some(Asset::Registered(9))), refused);
        // One is endowed with neither.
        assert_eq!(remark_paid_in(Sr25519Keyring::One, Some(TEST)), refused);
        assert_eq!(remark_paid_in(Sr25519Keyring::One, None), refused);
    });
}

#[test]
fn a_fee_never_comes_out_of_what_is_held() {
    build(genesis::DEVELOPMENT).execute_with(|| {
        let (alice, who) = (Sr25519Keyring::Alice, account(Sr25519Keyring::Alice));
        let reason = RuntimeHoldReason::from(pallet_leases::HoldReason::Escrow);
        let free = AllMoney::balance(TEST, &who);
        let all = free - AllMoney::minimum_balance(TEST);
        assert_ok!(AllHeldMoney::hold(TEST, &reason, &who, all));
        let refused = Err(TransactionValidityError::Invalid(InvalidTransaction::Payment));
        assert_eq!(remark_paid_in(alice, Some(TEST)), refused);
        assert_eq!(AllHeldMoney::balance_on_hold(TEST, &reason, &who), all);
    });
}

#[test]
fn escrow_is_held_paid_and_given_back_in_any_money() {
    build(genesis::DEVELOPMENT).execute_with(|| {
        let (alice, bob) = (account(Sr25519Keyring::Alice), account(Sr25519Keyring::Bob));
        let reason = RuntimeHoldReason::from(pallet_leases::HoldReason::Escrow);
        for asset in [Asset::Native, TEST] {
            let (before, bobs) = (AllMoney::balance(asset, &alice), AllMoney::balance(asset, &bob));
            let supply = AllMoney::total_issuance(asset);
            assert_ok!(AllHeldMoney::hold(asset, &reason, &alice, 3 * CASE / 10));
            assert_eq!(AllMoney::balance(asset, &alice), before - 3 * CASE / 10);
            let paid = AllHeldMoney::transfer_on_hold(
                asset,
                &reason,
                &alice,
                &bob,
                CASE / 10,
                Precision::Exact,
                Restriction::Free,
                Fortitude::Polite,
            );
            assert_eq!(paid, Ok(CASE / 10));
            let exact = Precision::Exact;
            assert_ok!(AllHeldMoney::release(asset, &reason, &alice, 2 * CASE / 10, exact));
            assert_eq!(AllMoney::balance(asset, &alice), before - CASE / 10);
            assert_eq!(AllMoney::balance(asset, &bob), bobs + CASE / 10);
            assert_ok!(AllMoney::transfer(asset, &bob, &alice, 7, Preservation::Preserve));
            assert_eq!(AllMoney::total_issuance(asset), supply);
        }
    });
}
