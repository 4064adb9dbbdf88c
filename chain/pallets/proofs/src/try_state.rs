//! The invariants of the crate's documentation, by their numbers.

use crate::*;
use alloc::collections::BTreeMap;
use codec::Encode;
use frame_support::{
    ensure,
    traits::{fungible::hold::Inspect, Get},
};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
    /// Check every invariant of the pallet.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        // By their bytes: accounts need not be ordered.
        let mut deposits = BTreeMap::new();
        let mut against = BTreeMap::new();
        let mut by_publisher = BTreeMap::new();
        let mut count = 0usize;
        for (id, challenge) in Challenges::<T>::iter() {
            count += 1;
            ensure!(id < NextChallenge::<T>::get(), "2: numbers are below the next one");
            ensure!(
                Targets::<T>::get(&challenge.target) == Some(id)
                    && ByProvider::<T>::contains_key(&challenge.provider, id),
                "3: each challenge is in both indexes"
            );
            ensure!(challenge.deposit > 0, "1: each challenge has a deposit");
            let held = deposits.entry(challenge.challenger.encode()).or_insert(0u128);
            *held = held.checked_add(challenge.deposit).ok_or("1: deposits add up")?;
            match challenge.target.lease().filter(|_| challenge.by_publisher) {
                Some(lease) => *by_publisher.entry(lease).or_insert(0u32) += 1,
                None => *against.entry(challenge.provider.encode()).or_insert(0u32) += 1,
            }
            let held =
                T::Currency::balance_on_hold(&HoldReason::Challenge.into(), &challenge.challenger);
            ensure!(
                held >= *deposits.get(&challenge.challenger.encode()).unwrap_or(&0),
                "1: all deposits are held"
            );
        }
        for challenge in Challenges::<T>::iter_values() {
            let held =
                T::Currency::balance_on_hold(&HoldReason::Challenge.into(), &challenge.challenger);
            ensure!(
                deposits.get(&challenge.challenger.encode()) == Some(&held),
                "1: held for challenges = sum of the deposits"
            );
        }
        ensure!(
            Targets::<T>::iter().count() == count && ByProvider::<T>::iter().count() == count,
            "3: the indexes have nothing else"
        );
        let counted: BTreeMap<_, _> =
            OpenAgainst::<T>::iter().map(|(who, open)| (who.encode(), open)).collect();
        ensure!(
            counted == against && counted.values().all(|open| *open <= T::OpenMax::get()),
            "4: open challenges are counted, and bounded for each provider"
        );
        let counted: BTreeMap<_, _> = OpenByPublisher::<T>::iter().collect();
        ensure!(
            counted == by_publisher
                && counted.values().all(|open| *open <= T::OpenByPublisherMax::get()),
            "4: those of publishers are counted, and bounded for each lease"
        );
        for (who, number, batch) in Batches::<T>::iter() {
            let next = NextBatch::<T>::get(&who);
            ensure!(
                number < next && next - number <= T::BatchesMax::get() && batch.leaves > 0,
                "5: only the newest batches are kept"
            );
        }
        Ok(())
    }
}
