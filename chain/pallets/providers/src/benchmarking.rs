//! Benchmarks of every call at its worst case: a provider whose every list is full.

extern crate alloc;

use super::*;
use alloc::vec;
use casemate_primitives::{Asset, Balance, PriceList, Prices, ProviderInfo, Resources, TeeKind};
use frame_benchmarking::v2::*;
use frame_support::{
    traits::{fungible::Mutate, Get},
    BoundedVec,
};
use frame_system::RawOrigin;

const CAPACITY: Resources =
    Resources { cpu_millicores: 64_000, memory_mib: 262_144, storage_mib: 4_194_304, gpus: 8 };

/// Parts of a stake that may be on their way out at once.
fn unbondings_max() -> u32 {
    <UnbondingsMax as Get<u32>>::get()
}

/// The longest that a provider may say of itself.
fn info() -> ProviderInfo {
    ProviderInfo {
        name: BoundedVec::truncate_from(vec![b'n'; 64]),
        regions: BoundedVec::truncate_from(vec![BoundedVec::truncate_from(vec![b'r'; 32]); 8]),
        endpoints: BoundedVec::truncate_from(vec![BoundedVec::truncate_from(vec![b'e'; 128]); 4]),
        tee_kinds: BoundedVec::truncate_from(vec![TeeKind::IntelTdx; 8]),
    }
}

/// As many price lists as there may be, none for the same asset as another.
fn price_lists() -> PriceLists {
    let prices = Prices {
        cpu_millicore_second: Balance::MAX,
        memory_mib_second: Balance::MAX,
        storage_mib_second: Balance::MAX,
        gpu_second: Balance::MAX,
        egress_mib: Balance::MAX,
        ingress_mib: Balance::MAX,
    };
    let lists = (0..8).map(|id| PriceList { asset: Asset::Registered(id), prices });
    BoundedVec::truncate_from(lists.collect())
}

/// A provider that takes as much storage as one can.
pub(crate) fn largest() -> Provider {
    let part = Unbonding { amount: 1, unlocks_at: 1 };
    Provider {
        info: info(),
        capacity: CAPACITY,
        used: Resources::default(),
        price_lists: price_lists(),
        stake: 1,
        unbonding: BoundedVec::truncate_from(vec![part; unbondings_max() as usize]),
        live_leases: 0,
        retired: false,
    }
}

/// An account with money, and the stake that [`CAPACITY`] needs.
fn funded<T: Config>() -> (T::AccountId, Balance)
where
    T::Currency: Mutate<T::AccountId>,
{
    let who: T::AccountId = whitelisted_caller();
    let stake = T::StakeRates::get().required(&CAPACITY).max(T::StakeMin::get());
    T::Currency::set_balance(&who, stake.saturating_mul(4));
    (who, stake)
}

/// A provider with `unbondings` parts of its stake on their way out.
fn registered<T: Config>(unbondings: u32) -> Result<T::AccountId, BenchmarkError>
where
    T::Currency: Mutate<T::AccountId>,
{
    let (who, stake) = funded::<T>();
    let part = stake / 16;
    let more = part.saturating_mul(16);
    Pallet::<T>::do_register(who.clone(), info(), CAPACITY, price_lists(), stake + more)?;
    for _ in 0..unbondings {
        Pallet::<T>::do_unbond(who.clone(), part)?;
    }
    Ok(who)
}

fn provider<T: Config>(who: &T::AccountId) -> Result<Provider, BenchmarkError> {
    Providers::<T>::get(who).ok_or(BenchmarkError::Stop("the provider is registered"))
}

#[benchmarks(where T::Currency: Mutate<T::AccountId>)]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn register() -> Result<(), BenchmarkError> {
        let (who, stake) = funded::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), info(), CAPACITY, price_lists(), stake);

        assert_eq!(provider::<T>(&who)?.stake, stake);
        Ok(())
    }

    #[benchmark]
    fn update() -> Result<(), BenchmarkError> {
        let who = registered::<T>(unbondings_max())?;
        let mut info = info();
        info.name = BoundedVec::truncate_from(vec![b'm'; 64]);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), info.clone(), CAPACITY, price_lists());

        assert_eq!(provider::<T>(&who)?.info, info);
        Ok(())
    }

    #[benchmark]
    fn bond() -> Result<(), BenchmarkError> {
        let who = registered::<T>(unbondings_max())?;
        let before = provider::<T>(&who)?.stake;

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), 1_000);

        assert_eq!(provider::<T>(&who)?.stake, before + 1_000);
        Ok(())
    }

    #[benchmark]
    fn unbond() -> Result<(), BenchmarkError> {
        let who = registered::<T>(unbondings_max() - 1)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), 1_000);

        assert!(provider::<T>(&who)?.unbonding.is_full());
        Ok(())
    }

    /// All parts are due, and the provider stays: its record is written back.
    #[benchmark]
    fn withdraw() -> Result<(), BenchmarkError> {
        let who = registered::<T>(unbondings_max())?;
        Providers::<T>::mutate_extant(&who, |provider| {
            provider.unbonding.iter_mut().for_each(|part| part.unlocks_at = 0);
        });

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        assert!(provider::<T>(&who)?.unbonding.is_empty());
        Ok(())
    }

    #[benchmark]
    fn retire() -> Result<(), BenchmarkError> {
        let who = registered::<T>(unbondings_max() - 1)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        assert!(provider::<T>(&who)?.retired);
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, sp_io::TestExternalities::default(), crate::mock::Test);
}
