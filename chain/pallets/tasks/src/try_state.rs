//! The invariants of the crate's documentation, by their numbers.

use crate::*;
use alloc::collections::{BTreeMap, BTreeSet};
use casemate_primitives::{DeploymentId, LeaseId};
use frame_support::{ensure, traits::fungible::hold::Inspect};
use pallet_leases::LeaseRuns;
use sp_runtime::{AccountId32, TryRuntimeError};

impl<T: Config> Pallet<T> {
    /// Check every invariant of the pallet.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let now = Self::now();
        let mut open = BTreeMap::<DeploymentId, BTreeSet<u64>>::new();
        let mut budgets = BTreeMap::<LeaseId, u128>::new();
        for (lease, _, run) in Open::<T>::iter() {
            let sum = budgets.entry(lease).or_default();
            *sum = sum.checked_add(run.budget).ok_or("6: budgets add up")?;
            let numbers = open.entry(run.deployment).or_default();
            ensure!(numbers.insert(run.run.0), "3: no two open runs have the same number");
        }
        let mut held = BTreeMap::<AccountId32, u128>::new();
        let mut count = 0usize;
        for (id, task) in Tasks::<T>::iter() {
            count += 1;
            let numbers = open.remove(&id).unwrap_or_default();
            ensure!(numbers.len() == task.open as usize, "2: open runs are counted");
            ensure!(numbers.iter().all(|run| *run <= task.runs), "3: open runs were begun");
            let entries = History::<T>::iter_prefix(id).count();
            let made = usize::try_from(task.entries.min(HISTORY_MAX.into())).unwrap_or(usize::MAX);
            ensure!(entries == made, "4: the history has its entries");
            ensure!(
                task.since <= now && task.last.is_none_or(|last| last <= now),
                "5: nothing is of the future"
            );
            ensure!(task.last_begun <= task.last, "5: what was begun is not passed over");
            let sum = task.lease.and_then(|lease| budgets.get(&lease).copied());
            ensure!(sum.unwrap_or_default() == task.reserved, "6: open budgets are counted");
            let lease = task.lease.and_then(T::Leases::run_lease);
            ensure!(
                lease.is_none_or(|lease| lease.closed.is_some() || lease.escrow >= task.reserved),
                "6: open budgets are in escrow"
            );
            ensure!(
                ByPublisher::<T>::contains_key(&task.publisher, id),
                "2: each task is found by its publisher"
            );
            let sum = held.entry(task.publisher).or_default();
            *sum = sum.checked_add(task.deposit).ok_or("1: deposits add up")?;
        }
        ensure!(open.is_empty(), "2: each open run belongs to a task");
        ensure!(ByPublisher::<T>::iter().count() == count, "2: the index has nothing else");
        let of_known = History::<T>::iter_keys()
            .all(|(id, at)| Tasks::<T>::contains_key(id) && at < HISTORY_MAX);
        ensure!(of_known, "4: there is no other history");
        for (publisher, sum) in held {
            ensure!(
                T::Currency::balance_on_hold(&HoldReason::Task.into(), &publisher) == sum,
                "1: held = sum of the deposits of the publisher's tasks"
            );
        }
        Ok(())
    }
}
