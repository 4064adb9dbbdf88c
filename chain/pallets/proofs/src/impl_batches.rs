//! Batches: one root for the records of all of a provider's leases.

use crate::*;
use casemate_primitives::{merkle, AgentSignature, Hash256, UsageRecord};
use frame_support::{
    ensure,
    traits::{Get, UnixTime},
};
use pallet_leases::LeaseProofs;
use pallet_providers::ProviderRegistry;

/// As many leaves as the longest path has room for.
const LEAVES_MAX: u64 = 1 << merkle::PATH_MAX;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_submit_batch(
        provider: T::AccountId,
        root: Hash256,
        leaves: u64,
    ) -> DispatchResult {
        T::Providers::ensure_active(&provider)?;
        ensure!((1..=LEAVES_MAX).contains(&leaves), Error::<T>::Leaves);
        let batch = NextBatch::<T>::get(&provider);
        let next = batch.checked_add(1).ok_or(Error::<T>::Overflow)?;
        NextBatch::<T>::insert(&provider, next);
        if let Some(oldest) = batch.checked_sub(T::BatchesMax::get()) {
            Batches::<T>::remove(&provider, oldest);
        }
        Batches::<T>::insert(&provider, batch, Batch { root, leaves, at: Self::now() });
        Self::deposit_event(Event::BatchSubmitted { provider, batch, root, leaves });
        Ok(())
    }

    pub(crate) fn do_claim_from_batch(
        provider: T::AccountId,
        number: BatchNumber,
        index: u64,
        record: UsageRecord,
        signature: AgentSignature,
        path: Path,
    ) -> DispatchResult {
        let batch = Self::counting_batch(&provider, number)?;
        Self::ensure_leaf(&batch, index, &record, &signature, &path)?;
        T::Leases::claim_as_of(provider, record, signature, batch.at)
    }

    pub(crate) fn do_forget_batch(provider: T::AccountId, number: BatchNumber) -> DispatchResult {
        let batch = Batches::<T>::get(&provider, number).ok_or(Error::<T>::BatchUnknown)?;
        ensure!(!Self::counts(&batch), Error::<T>::BatchCounts);
        Batches::<T>::remove(&provider, number);
        Self::deposit_event(Event::BatchForgotten { provider, batch: number });
        Ok(())
    }

    /// A batch that is there and not too old.
    pub(crate) fn counting_batch(
        provider: &T::AccountId,
        number: BatchNumber,
    ) -> Result<Batch, DispatchError> {
        let batch = Batches::<T>::get(provider, number).ok_or(Error::<T>::BatchUnknown)?;
        ensure!(Self::counts(&batch), Error::<T>::BatchTooOld);
        Ok(batch)
    }

    pub(crate) fn ensure_leaf(
        batch: &Batch,
        index: u64,
        record: &UsageRecord,
        signature: &AgentSignature,
        path: &[Hash256],
    ) -> DispatchResult {
        let leaf = leaf_of(record, signature);
        let proved = merkle::proved_root(&leaf, index, batch.leaves, path);
        ensure!(proved == Some(batch.root), Error::<T>::LeafNotProved);
        Ok(())
    }

    fn counts(batch: &Batch) -> bool {
        Self::now() < batch.at.saturating_add(T::BatchSecondsMax::get())
    }

    pub(crate) fn now() -> u64 {
        T::Time::now().as_secs()
    }
}
