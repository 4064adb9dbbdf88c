//! Tests enter by the calls and by what leases tell; each ends in `try_state`.

mod complaints;
mod forget;
mod model;
mod scores;

use crate::{
    mock::*, pallet::Error, AssetValue, ChallengeObserver, ComplaintId, Event, HoldReason,
};
use casemate_primitives::{
    reputation::{ComplaintKind, Fault, Side},
    Asset, Balance, EndReason, LeaseId, CASE,
};
use frame_support::{
    assert_noop, assert_ok,
    traits::fungible::{hold::Inspect as _, Inspect as _},
};
use pallet_leases::LeaseObserver;
use sp_runtime::traits::BadOrigin;

const PUBLISHER: AccountId = 0;
const OTHER_PUBLISHER: AccountId = 1;
const PROVIDER: AccountId = 5;
const OTHER_PROVIDER: AccountId = 6;
const STRANGER: AccountId = 9;

fn signed(who: AccountId) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

/// A final payment of which the treasury gets a twentieth.
fn paid(publisher: AccountId, provider: AccountId, fee: Balance) {
    let native = Asset::Native;
    <Reputation as LeaseObserver<_>>::paid(&publisher, &provider, native, 19 * fee, fee);
}

fn ended(publisher: AccountId, provider: AccountId, reason: EndReason, seconds: u64) {
    <Reputation as LeaseObserver<_>>::ended(&publisher, &provider, reason, seconds);
}

fn score(provider: AccountId) -> Balance {
    Reputation::score_now(&provider).provider.score()
}

fn held(who: AccountId) -> Balance {
    Balances::balance_on_hold(&HoldReason::Complaint.into(), &who)
}

fn last_event() -> Event<Test> {
    let events = System::events().into_iter().rev();
    events
        .filter_map(|record| match record.event {
            RuntimeEvent::Reputation(event) => Some(event),
            _ => None,
        })
        .next()
        .unwrap()
}
