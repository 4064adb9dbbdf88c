//! A runtime of balances and this pallet, leases and a clock that tests set.

use crate as pallet_reputation;
use crate::{LeaseBook, LeaseSides};
use casemate_primitives::{reputation::Rules, Balance, LeaseId, CASE};
use frame_support::{
    derive_impl, parameter_types,
    traits::{fungible::Inspect as _, UnixTime},
};
use frame_system::EnsureRoot;
use sp_runtime::{
    traits::{ConstU128, ConstU32, ConstU64, IdentityLookup},
    BuildStorage,
};
use std::collections::BTreeMap;

type Block = frame_system::mocking::MockBlock<Test>;
pub(crate) type AccountId = u64;

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(2)]
    pub type Reputation = pallet_reputation;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountData = pallet_balances::AccountData<u128>;
    type AccountId = AccountId;
    type Block = Block;
    type Lookup = IdentityLookup<AccountId>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
    type Balance = u128;
    type ExistentialDeposit = ConstU128<{ CASE / 1_000 }>;
}

/// A day in seconds.
pub(crate) const DAY: u64 = 86_400;
/// When tests begin.
pub(crate) const START: u64 = 20_000 * DAY;
/// After how long half of everything is gone.
pub(crate) const HALF_LIFE: u64 = 90 * DAY;
/// Deposit of the first complaint.
pub(crate) const DEPOSIT: Balance = CASE;
/// How long arbiters have.
pub(crate) const ARBITRATION: u64 = 14 * DAY;
/// How long after the end one may complain.
pub(crate) const WINDOW: u64 = 30 * DAY;
/// Most open complaints about one account.
pub(crate) const OPEN_MAX: u32 = 3;

parameter_types! {
    pub static Now: u64 = START;
    pub static Known: BTreeMap<u64, LeaseSides<AccountId>> = BTreeMap::new();
    pub const TestRules: Rules = Rules {
        half_life_seconds: HALF_LIFE as u32,
        uptime_seconds: 30 * DAY as u32,
        pair_free: CASE,
        fault_min: CASE / 10,
    };
}

/// The tests' clock.
pub struct Clock;
impl UnixTime for Clock {
    fn now() -> core::time::Duration {
        core::time::Duration::from_secs(Now::get())
    }
}

/// In place of `pallet-leases`.
pub struct Leases;
impl LeaseBook<AccountId> for Leases {
    fn sides(lease: LeaseId) -> Option<LeaseSides<AccountId>> {
        Known::get().get(&lease.0).cloned()
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_lease(publisher: &AccountId, provider: &AccountId) -> LeaseId {
        open(0, *publisher, *provider)
    }
}

/// A lease is opened.
pub(crate) fn open(id: u64, publisher: AccountId, provider: AccountId) -> LeaseId {
    Known::mutate(|all| all.insert(id, LeaseSides { publisher, provider, ended_at: None }));
    LeaseId(id)
}

/// A lease is closed now, and still known.
pub(crate) fn close(id: LeaseId) {
    Known::mutate(|all| all.get_mut(&id.0).unwrap().ended_at = Some(Now::get()));
}

/// A lease is forgotten.
pub(crate) fn forget(id: LeaseId) {
    Known::mutate(|all| all.remove(&id.0));
}

/// Time passes.
pub(crate) fn pass(seconds: u64) {
    Now::mutate(|now| *now += seconds);
}

impl pallet_reputation::Config for Test {
    type ArbiterOrigin = EnsureRoot<AccountId>;
    type ArbitrationSeconds = ConstU64<ARBITRATION>;
    type ComplaintDeposit = ConstU128<DEPOSIT>;
    type ComplaintSeconds = ConstU64<WINDOW>;
    type ComplaintsOpenMax = ConstU32<OPEN_MAX>;
    type Currency = Balances;
    type Leases = Leases;
    type Rules = TestRules;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Time = Clock;
    type Values = ();
    type WeightInfo = ();
}

/// Accounts that have money.
pub(crate) const ACCOUNTS: core::ops::Range<AccountId> = 0..10;
/// How much.
pub(crate) const ENDOWMENT: Balance = 1_000 * CASE;

/// An empty chain with endowed [`ACCOUNTS`].
pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    let balances = ACCOUNTS.map(|who| (who, ENDOWMENT)).collect();
    pallet_balances::GenesisConfig::<Test> { balances, ..Default::default() }
        .assimilate_storage(&mut storage)
        .unwrap();
    let mut ext = sp_io::TestExternalities::from(storage);
    ext.execute_with(|| {
        System::set_block_number(1);
        Now::set(START);
        Known::set(BTreeMap::new());
    });
    ext
}

/// Check every invariant, and that no money was made or lost.
pub(crate) fn check_invariants() {
    Reputation::do_try_state().unwrap();
    let total: Balance = ACCOUNTS.map(|who| Balances::total_balance(&who)).sum();
    assert_eq!(total, ENDOWMENT * 10, "money is neither made nor lost");
}

/// Run `test` on a fresh chain, then [`check_invariants`].
pub(crate) fn build_and_execute(test: impl FnOnce()) {
    new_test_ext().execute_with(|| {
        test();
        check_invariants();
    });
}
