//! A runtime of balances and this pallet, with a clock that tests set.

use crate as pallet_providers;
use casemate_primitives::CASE;
use frame_support::{derive_impl, parameter_types, traits::UnixTime};
use sp_runtime::{traits::IdentityLookup, BuildStorage};

type Block = frame_system::mocking::MockBlock<Test>;

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
        RuntimeTask
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(2)]
    pub type Registry = pallet_providers;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = u64;
    type AccountData = pallet_balances::AccountData<u128>;
    type Block = Block;
    type Lookup = IdentityLookup<u64>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
    type Balance = u128;
}

parameter_types! {
    pub static Now: u64 = 1_000;
    pub const Rates: pallet_providers::StakeRates = pallet_providers::StakeRates {
        cpu_millicore: CASE / 1_000,
        memory_mib: CASE / 1_024,
        storage_mib: 0,
        gpu: 100 * CASE,
    };
    pub const StakeMin: u128 = CASE;
    pub const UnbondingSeconds: u64 = 3_600;
}

/// The tests' clock.
pub struct Clock;
impl UnixTime for Clock {
    fn now() -> core::time::Duration {
        core::time::Duration::from_secs(Now::get())
    }
}

parameter_types! {
    /// Who has retired, as others are told.
    pub static RetiredProviders: Vec<u64> = Vec::new();
}

/// Who is told.
pub struct Retired;
impl pallet_providers::OnRetire<u64> for Retired {
    fn retired(provider: &u64) {
        RetiredProviders::mutate(|all| all.push(*provider));
    }
}

impl pallet_providers::Config for Test {
    type Currency = Balances;
    type OnRetire = Retired;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Time = Clock;
    type StakeRates = Rates;
    type StakeMin = StakeMin;
    type UnbondingSeconds = UnbondingSeconds;
    type WeightInfo = ();
}

/// Run `test` with accounts 1 to 3 of 1,000 CASE each, then check every invariant.
pub(crate) fn build_and_execute(test: impl FnOnce()) {
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    let balances = (1..=3).map(|account| (account, 1_000 * CASE)).collect();
    pallet_balances::GenesisConfig::<Test> { balances, ..Default::default() }
        .assimilate_storage(&mut storage)
        .unwrap();
    sp_io::TestExternalities::from(storage).execute_with(|| {
        System::set_block_number(1);
        test();
        Registry::do_try_state().unwrap();
    });
}
