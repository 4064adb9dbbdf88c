//! The invariants of the crate's documentation, by their numbers.

use crate::*;
use frame_support::{ensure, traits::fungible::hold::Inspect};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
    /// Check every invariant of the pallet.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        for (who, provider) in Providers::<T>::iter() {
            let leaving =
                provider.unbonding.iter().fold(0u128, |sum, part| sum.saturating_add(part.amount));
            ensure!(
                T::Currency::balance_on_hold(&HoldReason::Stake.into(), &who)
                    == provider.stake.saturating_add(leaving),
                "1: held for stake = stake + unbonding"
            );
            ensure!(provider.used.fits_in(&provider.capacity), "2: used fits in the capacity");
            ensure!(
                provider.retired
                    || provider.stake.saturating_add(SlashedTotal::<T>::get(&who))
                        >= T::StakeRates::get().required(&provider.capacity),
                "3: the stake, and what was slashed of it, cover the capacity"
            );
            ensure!(
                !provider.retired
                    || (provider.live_leases == 0 && provider.stake == 0 && leaving > 0),
                "4: a retired provider has no lease, and no stake that is not unbonding"
            );
            ensure!(
                provider.unbonding.iter().all(|part| part.amount > 0),
                "6: no part that is unbonding is empty"
            );
            ensure!(
                provider.live_leases > 0 || provider.used == Default::default(),
                "5: without leases nothing is used"
            );
        }
        for who in SlashedTotal::<T>::iter_keys() {
            ensure!(Providers::<T>::contains_key(&who), "7: slashes are those of providers");
        }
        Ok(())
    }
}
