//! A runtime of attestation and endorsements, with leases that tests set.

use crate::{self as pallet_attestation, AgentRegistry};
use casemate_primitives::{AgentPublicKey, Hash256, LeaseId, ReplicaIndex, Resources};
use frame_support::{
    derive_impl, dispatch::DispatchResult, ensure, pallet_prelude::DispatchError, parameter_types,
    traits::UnixTime,
};
use pallet_providers::ProviderRegistry;
use sp_runtime::{traits::IdentityLookup, AccountId32};

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
    #[runtime::pallet_index(2)]
    pub type Attestation = pallet_attestation;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId32;
    type Block = Block;
    type Lookup = IdentityLookup<AccountId32>;
}

parameter_types! {
    pub static Now: u64 = 0;
    pub const StandingSecondsMax: u64 = 86_400;
    /// What [`Leases::activate`] was called with.
    pub static Activated: Vec<(LeaseId, ReplicaIndex, AgentPublicKey)> = Vec::new();
}

/// The tests' clock.
pub struct Clock;
impl UnixTime for Clock {
    fn now() -> core::time::Duration {
        core::time::Duration::from_secs(Now::get())
    }
}

/// One lease, number 1 of two replicas, of [`PROVIDER`].
pub struct Leases;

/// Its provider.
pub(crate) const PROVIDER: AccountId32 = AccountId32::new([3; 32]);
/// Its manifest.
pub(crate) const MANIFEST: Hash256 = [0x4d; 32];

impl AgentRegistry<AccountId32> for Leases {
    fn expected_manifest(
        provider: &AccountId32,
        lease: LeaseId,
        replica: ReplicaIndex,
    ) -> Result<Hash256, DispatchError> {
        ensure!(*provider == PROVIDER, DispatchError::BadOrigin);
        ensure!(lease == LeaseId(1) && replica < 2, DispatchError::CannotLookup);
        Ok(MANIFEST)
    }

    fn activate(
        provider: &AccountId32,
        lease: LeaseId,
        replica: ReplicaIndex,
        key: AgentPublicKey,
    ) -> DispatchResult {
        Self::expected_manifest(provider, lease, replica)?;
        Activated::mutate(|all| all.push((lease, replica, key)));
        Ok(())
    }

    fn has_replica(lease: LeaseId, replica: ReplicaIndex) -> bool {
        lease == LeaseId(1) && replica < 2
    }

    /// The one lease that there is, is the benchmarks'.
    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_lease(_: &AccountId32, _: LeaseId, _: ReplicaIndex, _: Hash256) {}
}

parameter_types! {
    /// Providers that have not retired.
    pub static Registered: Vec<AccountId32> = vec![PROVIDER];
}

/// In place of `pallet-providers`.
pub struct Providers;
impl ProviderRegistry<AccountId32> for Providers {
    fn ensure_active(provider: &AccountId32) -> DispatchResult {
        ensure!(Registered::get().contains(provider), DispatchError::Unavailable);
        Ok(())
    }

    fn reserve(_: &AccountId32, _: &Resources) -> DispatchResult {
        Err(DispatchError::Unavailable)
    }

    fn release(_: &AccountId32, _: &Resources) {}

    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_register(provider: &AccountId32) {
        Registered::mutate(|all| all.push(provider.clone()));
    }
}

impl pallet_endorsements::Config for Test {
    type GovernanceOrigin = frame_system::EnsureRoot<AccountId32>;
    type SoftwareRootsAllowed = frame_support::traits::ConstBool<true>;
    type Time = Clock;
    type WeightInfo = ();
}

impl pallet_attestation::Config for Test {
    type Agents = Leases;
    type Providers = Providers;
    type StandingSecondsMax = StandingSecondsMax;
    type WeightInfo = ();
}

/// An empty chain at the time of the benchmarks' samples.
#[cfg(feature = "runtime-benchmarks")]
pub fn benchmark_ext() -> sp_io::TestExternalities {
    use sp_runtime::BuildStorage;
    Now::set(pallet_endorsements::benchmarking::TIME);
    RuntimeGenesisConfig::default().build_storage().expect("genesis builds").into()
}
