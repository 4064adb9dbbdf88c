//! The invariants of the crate's documentation, by their numbers.

use crate::*;
use alloc::collections::BTreeMap;
use casemate_primitives::{Asset, LeaseId};
use frame_support::{ensure, traits::fungibles::hold::Inspect};
use sp_runtime::{AccountId32, TryRuntimeError};

impl<T: Config> Pallet<T> {
    /// Check every invariant of the pallet.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let mut escrows = BTreeMap::<(AccountId32, Asset), (u128, u128)>::new();
        let mut count = 0usize;
        for (id, lease) in Leases::<T>::iter() {
            count += 1;
            ensure!(id < NextId::<T>::get(), "2: ids are below the next one");
            ensure!(
                ByProvider::<T>::contains_key(&lease.provider, id)
                    && ByPublisher::<T>::contains_key(&lease.publisher, id),
                "3: each lease is in both indexes"
            );
            let is_ended = matches!(lease.state, LeaseState::Ended { .. });
            ensure!(
                is_ended || lease.exhausted_at.is_some() == (lease.escrow == 0),
                "4: exhausted means that the escrow is used up"
            );
            ensure!(
                lease.open.windows(2).all(|pair| pair[0].number < pair[1].number),
                "7: open periods are in order"
            );
            let asset = lease.terms.asset;
            let whole = Line::of(lease.publisher.clone(), lease.held());
            let line = Deposits::<T>::get(id).unwrap_or(whole);
            ensure!(line.total() == Some(lease.held()), "9: the parts are all that is held");
            for Part { who, amount } in line.0 {
                let (sum, _) = escrows.entry((who, asset)).or_default();
                *sum = sum.checked_add(amount).ok_or("1: escrows add up")?;
            }
            let (_, deposits) = escrows.entry((lease.publisher.clone(), asset)).or_default();
            let deposit = lease.contest.as_ref().map_or(0, |contest| contest.deposit);
            *deposits = deposits.checked_add(deposit).ok_or("1: deposits add up")?;
        }
        for ((publisher, asset), (sum, deposits)) in escrows {
            ensure!(
                T::Assets::balance_on_hold(asset, &HoldReason::Escrow.into(), &publisher) == sum,
                "1: held = what leases have of it"
            );
            ensure!(
                T::Assets::balance_on_hold(asset, &HoldReason::Contest.into(), &publisher)
                    == deposits,
                "1: deposits held = those of the publisher's contests"
            );
        }
        ensure!(
            ByProvider::<T>::iter().count() == count && ByPublisher::<T>::iter().count() == count,
            "3: the indexes have nothing else"
        );
        for (id, line) in Deposits::<T>::iter() {
            let lease = Leases::<T>::get(id).ok_or("9: each line belongs to a lease")?;
            ensure!(!line.is_only(&lease.publisher), "9: a line has others than the publisher");
            ensure!(line.0.iter().all(|part| part.amount > 0), "9: no part is empty");
        }
        ensure!(
            Spenders::<T>::iter_keys().all(|id| Leases::<T>::contains_key(id)),
            "10: who is authorised is so for a lease"
        );
        let mut ended = BTreeMap::<LeaseId, u16>::new();
        for (id, replica, agent) in Agents::<T>::iter() {
            let lease = Leases::<T>::get(id).ok_or("5: each agent belongs to a lease")?;
            ensure!(replica < lease.replicas, "5: each agent belongs to a replica");
            ensure!(agent.claimed_to >= lease.opened_at, "5: nothing before the lease is paid");
            let of = lease.ended.filter(|of| agent.has_ended && of.version == agent.version);
            if of.is_some() {
                *ended.entry(id).or_default() += 1;
            }
        }
        for (id, lease) in Leases::<T>::iter() {
            let counted = lease.ended.map_or(0, |of| of.count);
            ensure!(
                ended.get(&id).copied().unwrap_or(0) == counted,
                "8: as many replicas are counted as ended as have"
            );
        }
        Ok(())
    }
}
