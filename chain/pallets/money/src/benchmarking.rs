//! Benchmarks of every call at its worst case.

use super::*;
use frame_benchmarking::v2::*;
use frame_support::traits::EnsureOrigin;

/// What the runtime makes for the benchmarks.
pub trait RegisterAsset {
    /// Register an asset with this metadata and a minimum balance of 1.
    fn register(asset: u32, symbol: &[u8], decimals: u8);
}

const SYMBOL: &[u8] = b"BENCHMARKING";

fn symbol() -> Symbol {
    Symbol::truncate_from(SYMBOL.to_vec())
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn admit() -> Result<(), BenchmarkError> {
        let origin =
            T::GovernanceOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
        T::BenchmarkHelper::register(77, SYMBOL, DECIMALS_MAX);

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, 77, symbol(), DECIMALS_MAX, 1);

        assert!(Admitted::<T>::contains_key(77));
        Ok(())
    }

    #[benchmark]
    fn set_admission() -> Result<(), BenchmarkError> {
        let origin =
            T::GovernanceOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
        T::BenchmarkHelper::register(77, SYMBOL, DECIMALS_MAX);
        Pallet::<T>::do_admit(77, symbol(), DECIMALS_MAX, 1)?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, 77, 2, false);

        assert_eq!(Admitted::<T>::get(77).map(|a| (a.deposit_min, a.open)), Some((2, false)));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, sp_io::TestExternalities::default(), crate::mock::Test);
}
