//! A runtime of this pallet and a clock that tests set.

use crate as pallet_endorsements;
use casemate_attestation::TrustRoots;
use frame_support::{derive_impl, parameter_types, traits::UnixTime};
use sp_runtime::{traits::IdentityLookup, AccountId32, BuildStorage};

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
    pub type Endorsements = pallet_endorsements;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId32;
    type Block = Block;
    type Lookup = IdentityLookup<AccountId32>;
}

parameter_types! {
    pub static Now: u64 = 0;
    pub static SoftwareRootsAllowed: bool = false;
}

/// The tests' clock.
pub struct Clock;
impl UnixTime for Clock {
    fn now() -> core::time::Duration {
        core::time::Duration::from_secs(Now::get())
    }
}

impl pallet_endorsements::Config for Test {
    type GovernanceOrigin = frame_system::EnsureRoot<AccountId32>;
    type SoftwareRootsAllowed = SoftwareRootsAllowed;
    type Time = Clock;
    type WeightInfo = ();
}

/// A chain that trusts the vendors' roots.
pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
    let roots = TrustRoots::vendors().iter().copied().collect();
    let genesis = RuntimeGenesisConfig {
        endorsements: pallet_endorsements::GenesisConfig { roots, ..Default::default() },
        ..Default::default()
    };
    let mut ext: sp_io::TestExternalities = genesis.build_storage().expect("genesis builds").into();
    ext.execute_with(|| System::set_block_number(1));
    ext
}

/// The same, at the time of the benchmarks' samples.
#[cfg(feature = "runtime-benchmarks")]
pub fn benchmark_ext() -> sp_io::TestExternalities {
    Now::set(crate::benchmarking::TIME);
    new_test_ext()
}
