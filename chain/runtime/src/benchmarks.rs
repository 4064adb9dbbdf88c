//! What is benchmarked: every pallet that has calls or transaction extensions. (Aura and
//! [`crate::network`] have none.)

frame_benchmarking::define_benchmarks!(
    [frame_system, SystemBench::<Runtime>]
    [frame_system_extensions, SystemExtensionsBench::<Runtime>]
    [pallet_timestamp, Timestamp]
    [pallet_balances, Balances]
    [pallet_transaction_payment, TransactionPayment]
    [pallet_session, SessionBench::<Runtime>]
    [pallet_grandpa, Grandpa]
    [pallet_utility, Utility]
    [pallet_preimage, Preimage]
    [pallet_collective, TechnicalCommittee]
    [pallet_whitelist, Whitelist]
    [pallet_money, Money]
    [pallet_providers, Providers]
    [pallet_deployments, Deployments]
    [pallet_leases, Leases]
    [pallet_reputation, Reputation]
    [pallet_tasks, Tasks]
    [pallet_endorsements, Endorsements]
    [pallet_attestation, Attestation]
    [pallet_proofs, Proofs]
);

pub(crate) use frame_system_benchmarking::{
    extensions::Pallet as SystemExtensionsBench, Pallet as SystemBench,
};
pub(crate) use proofs::Helper as ProofsHelper;
pub(crate) use session::Pallet as SessionBench;

mod proofs;

use crate::*;
use codec::Encode;

impl frame_system_benchmarking::Config for Runtime {}
impl pallet_transaction_payment::BenchmarkConfig for Runtime {}

impl session::Config for Runtime {
    fn keys_and_proof(owner: &AccountId) -> (SessionKeys, Vec<u8>) {
        let made = SessionKeys::generate(&owner.encode(), None);
        (made.keys, made.proof.encode())
    }
}

/// The session pallet's calls.
///
/// The SDK's own benchmarks of them need its staking pallet, to take a staker as the caller; here
/// any account may be one.
pub(crate) mod session {
    use alloc::vec::Vec;
    use frame_benchmarking::v2::*;
    use frame_support::traits::{
        fungible::{Inspect, Mutate},
        Get,
    };
    use frame_system::RawOrigin;
    use pallet_session::{Call, NextKeys, Pallet as Session};

    pub(crate) struct Pallet<T: Config>(pallet_session::Pallet<T>);

    pub(crate) trait Config: pallet_session::Config {
        /// New session keys and the proof that they are `owner`'s.
        fn keys_and_proof(owner: &Self::AccountId) -> (Self::Keys, Vec<u8>);
    }

    fn funded<T: Config>() -> T::AccountId {
        let who: T::AccountId = whitelisted_caller();
        let (deposit, least) = (T::KeyDeposit::get(), T::Currency::minimum_balance());
        // Doubled until it is enough for both with something to spare.
        let mut amount = deposit.max(least);
        for _ in 0..4 {
            amount = amount + amount;
        }
        T::Currency::set_balance(&who, amount);
        who
    }

    #[benchmarks]
    mod benchmarks {
        use super::*;

        #[benchmark]
        fn set_keys() -> Result<(), BenchmarkError> {
            let who = funded::<T>();
            let (keys, proof) = T::keys_and_proof(&who);
            let before = NextKeys::<T>::iter_keys().count();

            #[extrinsic_call]
            _(RawOrigin::Signed(who), keys, proof);

            assert_eq!(NextKeys::<T>::iter_keys().count(), before + 1);
            Ok(())
        }

        #[benchmark]
        fn purge_keys() -> Result<(), BenchmarkError> {
            let who = funded::<T>();
            let (keys, proof) = T::keys_and_proof(&who);
            Session::<T>::set_keys(RawOrigin::Signed(who.clone()).into(), keys, proof)?;
            let before = NextKeys::<T>::iter_keys().count();

            #[extrinsic_call]
            _(RawOrigin::Signed(who));

            assert_eq!(NextKeys::<T>::iter_keys().count(), before - 1);
            Ok(())
        }
    }
}
