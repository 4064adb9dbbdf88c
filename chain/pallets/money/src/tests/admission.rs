//! The list of admitted assets.

use crate::{mock::*, *};
use casemate_primitives::Asset;
use frame_support::{assert_noop, assert_ok, BoundedVec};
use sp_runtime::DispatchError::BadOrigin;

fn symbol(text: &str) -> Symbol {
    BoundedVec::try_from(text.as_bytes().to_vec()).unwrap()
}

/// Give an asset new metadata, as its owner may.
fn rename(asset: u32, text: &str, decimals: u8) {
    let (name, text) = (b"renamed".to_vec(), text.as_bytes().to_vec());
    assert_ok!(Assets::set_metadata(RuntimeOrigin::signed(ISSUER), asset, name, text, decimals));
}

#[test]
fn governance_alone_admits_and_changes() {
    build_and_execute(|| {
        let signed = || RuntimeOrigin::signed(ISSUER);
        assert_noop!(MoneyList::admit(signed(), 2, symbol("tEUR"), 2, 10), BadOrigin);
        assert_noop!(MoneyList::set_admission(signed(), 1, 10, false), BadOrigin);
    });
}

#[test]
fn an_admitted_asset_has_a_symbol_and_a_least_deposit() {
    build_and_execute(|| {
        assert_eq!(MoneyList::deposit_min(EURO), None);
        assert_ok!(MoneyList::admit(RuntimeOrigin::root(), 2, symbol("tEUR"), 2, 50));
        assert_eq!(MoneyList::deposit_min(EURO), Some(50));
        assert_eq!(BySymbol::<Test>::get(symbol("TEUR")), Some(2));
        System::assert_last_event(Event::Admitted { asset: 2, symbol: symbol("tEUR") }.into());
    });
}

#[test]
fn the_native_token_is_always_taken_and_what_is_not_listed_never() {
    build_and_execute(|| {
        assert_eq!(MoneyList::deposit_min(Asset::Native), Some(0));
        assert_eq!(MoneyList::deposit_min(EURO), None);
        assert_eq!(MoneyList::deposit_min(Asset::Registered(99)), None);
    });
}

#[test]
fn a_closed_asset_takes_no_new_money_until_it_is_opened_again() {
    build_and_execute(|| {
        assert_ok!(MoneyList::set_admission(RuntimeOrigin::root(), 1, 100, false));
        assert_eq!(MoneyList::deposit_min(DOLLAR), None);
        assert_ok!(MoneyList::set_admission(RuntimeOrigin::root(), 1, 200, true));
        assert_eq!(MoneyList::deposit_min(DOLLAR), Some(200));
        assert_noop!(
            MoneyList::set_admission(RuntimeOrigin::root(), 2, 10, true),
            Error::<Test>::NotAdmitted
        );
    });
}

#[test]
fn each_refusal_has_its_own_error() {
    build_and_execute(|| {
        let admit = |asset, text: &str, decimals, least| {
            MoneyList::admit(RuntimeOrigin::root(), asset, symbol(text), decimals, least)
        };
        assert_noop!(admit(99, "tEUR", 2, 10), Error::<Test>::NotRegistered);
        assert_noop!(admit(1, "tUSD", 6, 10), Error::<Test>::AlreadyAdmitted);
        assert_noop!(admit(2, "tEUR", 2, MINIMUM - 1), Error::<Test>::DepositTooSmall);
        assert_noop!(admit(2, "tEUR", 3, 10), Error::<Test>::MetadataDiffers);
        assert_noop!(admit(2, "tEUX", 2, 10), Error::<Test>::MetadataDiffers);
        rename(2, "tEUR", 19);
        assert_noop!(admit(2, "tEUR", 19, 10), Error::<Test>::BadDecimals);
        rename(2, "TUSD", 2);
        assert_noop!(admit(2, "TUSD", 2, 10), Error::<Test>::SymbolTaken);
        assert_noop!(
            MoneyList::set_admission(RuntimeOrigin::root(), 1, MINIMUM - 1, true),
            Error::<Test>::DepositTooSmall
        );
    });
}

#[test]
fn no_symbol_is_mistaken_for_a_number_or_the_native_token() {
    build_and_execute(|| {
        for text in ["", "t", "1USD", "t USD", "tUS$", "t€", "CASE", "mcase", "uCASE", "Planck"] {
            rename(2, text, 2);
            let admitted = MoneyList::admit(RuntimeOrigin::root(), 2, symbol(text), 2, 10);
            assert_noop!(admitted, Error::<Test>::BadSymbol);
        }
    });
}

#[test]
fn an_owner_who_renames_the_asset_changes_nobodys_amounts() {
    build_and_execute(|| {
        rename(1, "RICH", 0);
        let admission = Admitted::<Test>::get(1).unwrap();
        assert_eq!((admission.symbol, admission.decimals), (symbol("tUSD"), 6));
    });
}

#[test]
fn the_list_is_bounded() {
    build_and_execute(|| {
        for asset in 1_000..1_000 + ADMITTED_MAX - 1 {
            let create = Assets::force_create(RuntimeOrigin::root(), asset, ISSUER, true, 1);
            assert_ok!(create);
            let text = format!("X{asset}");
            rename(asset, &text, 6);
            assert_ok!(MoneyList::admit(RuntimeOrigin::root(), asset, symbol(&text), 6, 1));
        }
        assert_noop!(
            MoneyList::admit(RuntimeOrigin::root(), 2, symbol("tEUR"), 2, 10),
            Error::<Test>::ListFull
        );
    });
}

#[test]
#[should_panic(expected = "genesis can't admit asset 7")]
fn a_genesis_that_admits_what_is_not_registered_does_not_start() {
    use frame_support::traits::BuildGenesisConfig;
    sp_io::TestExternalities::default().execute_with(|| {
        let admitted = vec![(7, "tUSD".into(), 6, 100)];
        GenesisConfig::<Test> { admitted, ..Default::default() }.build();
    });
}
