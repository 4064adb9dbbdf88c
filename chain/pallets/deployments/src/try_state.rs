//! The invariants of the crate's documentation, by their numbers.

use crate::*;
use alloc::collections::BTreeMap;
use frame_support::{ensure, traits::fungible::hold::Inspect};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
    /// Check every invariant of the pallet.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let mut deposits = BTreeMap::<T::AccountId, u128>::new();
        for (id, deployment) in Deployments::<T>::iter() {
            ensure!(id < NextId::<T>::get(), "1: ids are below the next one");
            ensure!(
                !deployment.stopped || deployment.live_leases > 0,
                "2: a stopped deployment waits for a lease"
            );
            let sum = deposits.entry(deployment.publisher).or_insert(0u128);
            *sum = sum.saturating_add(deployment.deposit);
        }
        for (publisher, sum) in deposits {
            ensure!(
                T::Currency::balance_on_hold(&HoldReason::Deployment.into(), &publisher) == sum,
                "3: held = deposits of the publisher's deployments"
            );
        }
        Ok(())
    }
}
