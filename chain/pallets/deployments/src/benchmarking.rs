//! Benchmarks of every call at its worst case.

use super::*;
use casemate_primitives::{Balance, DeploymentId, DeploymentKind, ManifestRef, MANIFEST_SIZE_MAX};
use frame_benchmarking::v2::*;
use frame_support::traits::{fungible::Mutate, Get};
use frame_system::RawOrigin;

const MANIFEST: ManifestRef = ManifestRef { hash: [7; 32], size: MANIFEST_SIZE_MAX };

/// An account that can pay the deposit.
fn funded<T: Config>() -> T::AccountId
where
    T::Currency: Mutate<T::AccountId>,
{
    let who: T::AccountId = whitelisted_caller();
    let amount: Balance = T::Deposit::get().max(1_000_000_000_000).saturating_mul(1_000);
    T::Currency::set_balance(&who, amount);
    who
}

fn created<T: Config>() -> Result<(T::AccountId, DeploymentId), BenchmarkError>
where
    T::Currency: Mutate<T::AccountId>,
{
    let who = funded::<T>();
    let id = Pallet::<T>::do_create(who.clone(), DeploymentKind::Service, MANIFEST)?;
    Ok((who, id))
}

#[benchmarks(where T::Currency: Mutate<T::AccountId>)]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn create() {
        let who = funded::<T>();
        let id = NextId::<T>::get();

        #[extrinsic_call]
        _(RawOrigin::Signed(who), DeploymentKind::Service, MANIFEST);

        assert!(Deployments::<T>::contains_key(id));
    }

    #[benchmark]
    fn update() -> Result<(), BenchmarkError> {
        let (who, id) = created::<T>()?;
        let manifest = ManifestRef { hash: [8; 32], ..MANIFEST };

        #[extrinsic_call]
        _(RawOrigin::Signed(who), id, manifest);

        assert_eq!(Deployments::<T>::get(id).map(|deployment| deployment.version), Some(2));
        Ok(())
    }

    /// Without a lease: the deployment is removed at once and its deposit freed.
    #[benchmark]
    fn stop() -> Result<(), BenchmarkError> {
        let (who, id) = created::<T>()?;

        #[extrinsic_call]
        _(RawOrigin::Signed(who), id);

        assert!(!Deployments::<T>::contains_key(id));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, sp_io::TestExternalities::default(), crate::mock::Test);
}
