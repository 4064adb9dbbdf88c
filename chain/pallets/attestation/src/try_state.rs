//! The invariants of the crate's documentation, by their numbers.

use crate::*;
use frame_support::{ensure, traits::Get};
use pallet_providers::ProviderRegistry;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
    /// Check every invariant of the pallet. That a replica has one key (3) is the map's shape.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        for (lease, replica, standing) in Standings::<T>::iter() {
            ensure!(
                standing.expires_at
                    <= standing.verified_at.saturating_add(T::StandingSecondsMax::get()),
                "1: standing is bounded"
            );
            ensure!(
                T::Agents::has_replica(lease, replica),
                "2: each standing belongs to a replica of a lease"
            );
        }
        for provider in Clusters::<T>::iter_keys() {
            ensure!(
                T::Providers::ensure_active(&provider).is_ok(),
                "4: each listed control plane is a registered provider's"
            );
        }
        Ok(())
    }
}
