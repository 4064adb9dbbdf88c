//! Who offers what: register, update, retire, capacity in leases.

use crate::{
    traits::{OnRetire, ProviderRegistry},
    *,
};
use casemate_primitives::{Balance, ProviderInfo, Resources};
use frame_support::{defensive, ensure};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_register(
        who: T::AccountId,
        info: ProviderInfo,
        capacity: Resources,
        price_lists: PriceLists,
        stake: Balance,
    ) -> DispatchResult {
        ensure!(!Providers::<T>::contains_key(&who), Error::<T>::AlreadyRegistered);
        Self::ensure_prices(&price_lists)?;
        ensure!(stake >= Self::stake_required(&capacity), Error::<T>::StakeTooLow);
        Self::hold(&who, stake)?;
        let provider = Provider {
            info,
            capacity,
            used: Resources::default(),
            price_lists,
            stake,
            unbonding: Default::default(),
            live_leases: 0,
            retired: false,
        };
        Providers::<T>::insert(&who, provider);
        Self::deposit_event(Event::Registered { provider: who, stake });
        Ok(())
    }

    pub(crate) fn do_update(
        who: T::AccountId,
        info: ProviderInfo,
        capacity: Resources,
        price_lists: PriceLists,
    ) -> DispatchResult {
        Self::ensure_prices(&price_lists)?;
        Self::try_mutate_active(&who, |provider| {
            ensure!(provider.used.fits_in(&capacity), Error::<T>::CapacityInUse);
            ensure!(provider.stake >= Self::stake_required(&capacity), Error::<T>::StakeTooLow);
            provider.info = info;
            provider.capacity = capacity;
            provider.price_lists = price_lists;
            Ok(())
        })?;
        Self::deposit_event(Event::Updated { provider: who });
        Ok(())
    }

    pub(crate) fn do_retire(who: T::AccountId) -> DispatchResult {
        Self::try_mutate_active(&who, |provider| {
            ensure!(provider.live_leases == 0, Error::<T>::LeasesLive);
            provider.capacity = Resources::default();
            let stake = provider.stake;
            if stake > 0 {
                Self::start_unbonding(&who, provider, stake)?;
            }
            provider.retired = true;
            Ok(())
        })?;
        Self::forget_if_empty(&who);
        T::OnRetire::retired(&who);
        Self::deposit_event(Event::Retired { provider: who });
        Ok(())
    }

    /// Change a provider that is there and has not retired.
    pub(crate) fn try_mutate_active<R>(
        who: &T::AccountId,
        f: impl FnOnce(&mut Provider) -> Result<R, DispatchError>,
    ) -> Result<R, DispatchError> {
        Providers::<T>::try_mutate(who, |slot| {
            let provider = slot.as_mut().ok_or(Error::<T>::NotRegistered)?;
            ensure!(!provider.retired, Error::<T>::Retiring);
            f(provider)
        })
    }

    fn ensure_prices(lists: &PriceLists) -> DispatchResult {
        let distinct =
            lists.iter().enumerate().all(|(i, a)| lists[..i].iter().all(|b| a.asset != b.asset));
        ensure!(distinct, Error::<T>::DuplicateAsset);
        Ok(())
    }
}

impl<T: Config> ProviderRegistry<T::AccountId> for Pallet<T> {
    fn ensure_active(who: &T::AccountId) -> DispatchResult {
        let provider = Providers::<T>::get(who).ok_or(Error::<T>::NotRegistered)?;
        ensure!(!provider.retired, Error::<T>::Retiring);
        Ok(())
    }

    fn reserve(who: &T::AccountId, resources: &Resources) -> DispatchResult {
        Self::try_mutate_active(who, |provider| {
            // Less after a slash: no more leases until the stake covers the offer again.
            ensure!(
                provider.stake >= Self::stake_required(&provider.capacity),
                Error::<T>::StakeTooLow
            );
            let used = provider.used.checked_add(resources);
            let used = used.filter(|used| used.fits_in(&provider.capacity));
            provider.used = used.ok_or(Error::<T>::CapacityExhausted)?;
            provider.live_leases =
                provider.live_leases.checked_add(1).ok_or(Error::<T>::CapacityExhausted)?;
            Ok(())
        })
    }

    fn release(who: &T::AccountId, resources: &Resources) {
        Providers::<T>::mutate(who, |slot| {
            let Some(provider) = slot else {
                defensive!("a provider with a live lease is registered");
                return;
            };
            let (Some(used), Some(live_leases)) =
                (provider.used.checked_sub(resources), provider.live_leases.checked_sub(1))
            else {
                defensive!("a lease gives back what it has reserved, once");
                return;
            };
            provider.used = used;
            provider.live_leases = live_leases;
        });
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_register(who: &T::AccountId) {
        Providers::<T>::insert(who, crate::benchmarking::largest());
    }
}
