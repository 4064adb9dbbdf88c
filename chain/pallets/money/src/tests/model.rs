//! Random calls over several assets and accounts against a plain model.

use crate::mock::{purposes::HoldReason, *};
use casemate_primitives::{Asset, Balance};
use frame_support::{
    storage::with_storage_layer,
    traits::{
        fungibles::{
            hold::{Inspect as _, Mutate as _},
            Inspect as _, Mutate as _,
        },
        tokens::{Fortitude, Precision, Preservation, Restriction},
    },
};
use proptest::prelude::*;
use sp_runtime::DispatchError;
use std::collections::BTreeMap;

const ESCROW: RuntimeHoldReason = RuntimeHoldReason::Purposes(HoldReason::Escrow);
const WHO: [u64; 4] = [ALICE, BOB, CHARLIE, NOBODY];

#[derive(Clone, Copy, Debug)]
enum Step {
    Hold(Asset, u64, Balance),
    Release(Asset, u64, Balance),
    Pay(Asset, u64, u64, Balance),
    Burn(Asset, u64, Balance),
    Transfer(Asset, u64, u64, Balance),
    Freeze(Asset, u64),
    Thaw(Asset, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let asset = || prop::sample::select(KINDS.to_vec());
    let who = || prop::sample::select(WHO.to_vec());
    let amount = || prop_oneof![0..30u128, 0..1_200u128, Just(Balance::MAX)];
    prop_oneof![
        (asset(), who(), amount()).prop_map(|(a, w, n)| Step::Hold(a, w, n)),
        (asset(), who(), amount()).prop_map(|(a, w, n)| Step::Release(a, w, n)),
        (asset(), who(), who(), amount()).prop_map(|(a, f, t, n)| Step::Pay(a, f, t, n)),
        (asset(), who(), amount()).prop_map(|(a, w, n)| Step::Burn(a, w, n)),
        (asset(), who(), who(), amount()).prop_map(|(a, f, t, n)| Step::Transfer(a, f, t, n)),
        (asset(), who()).prop_map(|(a, w)| Step::Freeze(a, w)),
        (asset(), who()).prop_map(|(a, w)| Step::Thaw(a, w)),
    ]
}

/// Free and held money of everybody.
type State = BTreeMap<(Asset, u64), (Balance, Balance)>;

fn state() -> State {
    let mut state = State::new();
    for asset in KINDS {
        for who in WHO {
            let held = Held::balance_on_hold(asset, &ESCROW, &who);
            state.insert((asset, who), (All::balance(asset, &who), held));
        }
    }
    state
}

fn call(step: Step) -> Result<Balance, DispatchError> {
    let (exact, polite) = (Precision::Exact, Fortitude::Polite);
    with_storage_layer(|| match step {
        Step::Hold(asset, who, amount) => Held::hold(asset, &ESCROW, &who, amount).map(|()| amount),
        Step::Release(asset, who, amount) => Held::release(asset, &ESCROW, &who, amount, exact),
        Step::Pay(asset, from, to, amount) => {
            let mode = Restriction::Free;
            Held::transfer_on_hold(asset, &ESCROW, &from, &to, amount, exact, mode, polite)
        }
        Step::Burn(asset, who, amount) => {
            Held::burn_held(asset, &ESCROW, &who, amount, exact, polite)
        }
        Step::Transfer(asset, from, to, amount) => {
            All::transfer(asset, &from, &to, amount, Preservation::Preserve)
        }
        Step::Freeze(Asset::Registered(id), who) => {
            Assets::freeze(RuntimeOrigin::signed(ISSUER), id, who).map(|()| 0)
        }
        Step::Thaw(Asset::Registered(id), who) => {
            Assets::thaw(RuntimeOrigin::signed(ISSUER), id, who).map(|()| 0)
        }
        Step::Freeze(..) | Step::Thaw(..) => Ok(0),
    })
}

/// What a call that succeeded has to have done.
fn expected(mut state: State, step: Step) -> State {
    let mut add = |asset, who, free: i128, held: i128| {
        let entry = state.get_mut(&(asset, who)).unwrap();
        entry.0 = entry.0.checked_add_signed(free).unwrap();
        entry.1 = entry.1.checked_add_signed(held).unwrap();
    };
    let int = |amount: Balance| i128::try_from(amount).unwrap();
    match step {
        Step::Hold(asset, who, n) => add(asset, who, -int(n), int(n)),
        Step::Release(asset, who, n) => add(asset, who, int(n), -int(n)),
        Step::Burn(asset, who, n) => add(asset, who, 0, -int(n)),
        Step::Pay(asset, from, to, n) => {
            add(asset, from, 0, -int(n));
            add(asset, to, int(n), 0);
        }
        Step::Transfer(asset, from, to, n) => {
            add(asset, from, -int(n), 0);
            add(asset, to, int(n), 0);
        }
        Step::Freeze(..) | Step::Thaw(..) => {}
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn every_call_does_exactly_what_it_says_or_nothing(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        build_and_execute(|| {
            for step in steps {
                let before = state();
                match call(step) {
                    Ok(_) => assert_eq!(state(), expected(before, step), "{step:?}"),
                    Err(_) => assert_eq!(state(), before, "{step:?}"),
                }
                conserved();
            }
        });
    }
}
