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
        let mut held = BTreeMap::<T::AccountId, u128>::new();
        let mut against = BTreeMap::<T::AccountId, u32>::new();
        let mut count = 0usize;
        for (id, complaint) in Complaints::<T>::iter() {
            count += 1;
            ensure!(id < NextComplaint::<T>::get(), "2: ids are below the next one");
            ensure!(
                OpenFor::<T>::get(complaint.lease, complaint.by) == Some(id),
                "3: each complaint is found by its lease and side"
            );
            ensure!(complaint.author != complaint.accused, "6: nobody complains about itself");
            let sum = held.entry(complaint.author).or_default();
            *sum = sum.checked_add(complaint.deposit).ok_or("1: deposits add up")?;
            *against.entry(complaint.accused).or_default() += 1;
        }
        for (author, sum) in held {
            ensure!(
                T::Currency::balance_on_hold(&HoldReason::Complaint.into(), &author) == sum,
                "1: held = sum of the deposits of the author's complaints"
            );
        }
        ensure!(OpenFor::<T>::iter().count() == count, "3: the index has nothing else");
        for (who, open) in OpenAgainst::<T>::iter() {
            ensure!(
                against.remove(&who) == Some(open) && open <= T::ComplaintsOpenMax::get(),
                "4: counts are those of the complaints"
            );
        }
        ensure!(against.is_empty(), "4: every accused is counted");

        let now = Self::now();
        for score in Scores::<T>::iter_values() {
            ensure!(score.updated_at <= now, "5: no score is of the future");
        }
        for (publisher, provider, pair) in Pairs::<T>::iter() {
            ensure!(
                pair.updated_at <= now && pair.since <= now && pair.broken_at <= now,
                "5: no pair is of the future"
            );
            // Each is rounded down by itself, a few units at a touch.
            let most = pair.fees.saturating_add(pair.fees / 2);
            let most = most.saturating_add(most / 1_000_000).saturating_add(1_000_000);
            ensure!(pair.brought <= most, "5: a pair brings at most 3/2 of its fees");
            ensure!(publisher != provider, "6: no account is a pair with itself");
        }
        Ok(())
    }
}
