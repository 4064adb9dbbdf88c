//! The invariants of the crate's documentation, by their numbers.

use crate::*;
use alloc::collections::BTreeMap;
use frame_support::{ensure, traits::fungible::hold::Inspect};
use sp_runtime::{AccountId32, TryRuntimeError};

impl<T: Config> Pallet<T> {
    /// Check every invariant of the pallet.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let mut escrows = BTreeMap::<AccountId32, u128>::new();
        let mut count = 0usize;
        for (id, lease) in Leases::<T>::iter() {
            count += 1;
            ensure!(id < NextId::<T>::get(), "2: ids are below the next one");
            ensure!(
                ByProvider::<T>::contains_key(&lease.provider, id)
                    && ByPublisher::<T>::contains_key(&lease.publisher, id),
                "3: each lease is in both indexes"
            );
            ensure!(
                lease.exhausted_at.is_some() == (lease.escrow == 0),
                "4: exhausted means that the escrow is used up"
            );
            let sum = escrows.entry(lease.publisher).or_default();
            *sum = sum.checked_add(lease.escrow).ok_or("1: escrows add up")?;
        }
        for (publisher, sum) in escrows {
            ensure!(
                T::Currency::balance_on_hold(&HoldReason::Escrow.into(), &publisher) == sum,
                "1: held = sum of the escrows of the publisher's leases"
            );
        }
        ensure!(
            ByProvider::<T>::iter().count() == count && ByPublisher::<T>::iter().count() == count,
            "3: the indexes have nothing else"
        );
        for (id, replica, agent) in Agents::<T>::iter() {
            let lease = Leases::<T>::get(id).ok_or("5: each agent belongs to a lease")?;
            ensure!(replica < lease.replicas, "5: each agent belongs to a replica");
            ensure!(agent.claimed_to >= lease.opened_at, "5: nothing before the lease is paid");
        }
        Ok(())
    }
}
