//! Asking.

use crate::*;
use casemate_primitives::{blake2_256, Balance, Hash256, LeaseId, ReplicaIndex};
use codec::Encode;
use frame_support::{
    ensure,
    traits::{fungible::hold::Mutate, Get},
};
use pallet_attestation::FreshEvidence;
use pallet_leases::{LeaseProofs, Parties};
use sp_runtime::traits::Saturating;

/// Who is asked, what the answer is compared with, and whether the lease's own publisher asks.
type Asked<AccountId> = (AccountId, Question, bool);

impl<T: Config> Pallet<T> {
    pub(crate) fn do_challenge(
        challenger: T::AccountId,
        target: Target<T::AccountId>,
        deposit_max: Balance,
    ) -> DispatchResult {
        ensure!(!Targets::<T>::contains_key(&target), Error::<T>::TargetTaken);
        let id = NextChallenge::<T>::get();
        let (provider, question, by_publisher) = Self::question(&challenger, &target, id)?;
        ensure!(provider != challenger, Error::<T>::OwnProvider);
        let (open, open_max) = match target.lease().filter(|_| by_publisher) {
            Some(lease) => (OpenByPublisher::<T>::get(lease), T::OpenByPublisherMax::get()),
            None => (OpenAgainst::<T>::get(&provider), T::OpenMax::get()),
        };
        ensure!(open < open_max, Error::<T>::TooManyOpen);
        let open = open.checked_add(1).ok_or(Error::<T>::Overflow)?;
        let deposit = T::DepositBase::get().checked_mul(open.into()).ok_or(Error::<T>::Overflow)?;
        ensure!(deposit <= deposit_max, Error::<T>::DepositAboveMax);
        T::Currency::hold(&HoldReason::Challenge.into(), &challenger, deposit)?;

        let next = id.0.checked_add(1).ok_or(Error::<T>::Overflow)?;
        NextChallenge::<T>::put(ChallengeId(next));
        match target.lease().filter(|_| by_publisher) {
            Some(lease) => OpenByPublisher::<T>::insert(lease, open),
            None => OpenAgainst::<T>::insert(&provider, open),
        }
        Targets::<T>::insert(&target, id);
        ByProvider::<T>::insert(&provider, id, ());
        let until =
            frame_system::Pallet::<T>::block_number().saturating_add(T::WindowBlocks::get());
        Self::deposit_event(Event::Challenged {
            challenge: id,
            challenger: challenger.clone(),
            provider: provider.clone(),
            target: target.clone(),
            question,
            deposit,
            until,
        });
        let challenge =
            Challenge { challenger, provider, target, question, deposit, until, by_publisher };
        Challenges::<T>::insert(id, challenge);
        Ok(())
    }

    /// What can be asked for now.
    fn question(
        challenger: &T::AccountId,
        target: &Target<T::AccountId>,
        id: ChallengeId,
    ) -> Result<Asked<T::AccountId>, DispatchError> {
        match *target {
            Target::Evidence { lease, replica } => {
                let parties = Self::ensure_owes_evidence(lease, replica)?;
                let question = Question::Evidence { nonce: Self::nonce_of(id) };
                Ok((parties.provider, question, parties.publisher == *challenger))
            }
            Target::LogChunk { lease, replica, index } => {
                let parties = T::Leases::parties(lease).ok_or(Error::<T>::LeaseUnknown)?;
                let is_kept = parties.logs_until.is_none_or(|until| Self::now() < until);
                ensure!(is_kept, Error::<T>::RetentionOver);
                let anchor = T::Leases::anchor(lease, replica).ok_or(Error::<T>::NotAnchored)?;
                ensure!(index < anchor.log.chunks, Error::<T>::IndexBeyondEnd);
                let question = Question::LogChunk { key: anchor.key, head: anchor.log };
                Ok((parties.provider, question, parties.publisher == *challenger))
            }
            Target::BatchLeaf { ref provider, batch, index } => {
                let batch = Self::counting_batch(provider, batch)?;
                ensure!(index < batch.leaves, Error::<T>::IndexBeyondEnd);
                Ok((provider.clone(), Question::BatchLeaf(batch), false))
            }
        }
    }

    /// Whether a provider can be expected to show evidence of a replica, now: asked when a challenge is
    /// made, and again before its silence is held against it. A lease that was closed is not run, and an
    /// agent whose standing has ended (expired, or because its platform or workload is accepted no more)
    /// has no evidence that would be accepted. Where the agent has signed that its app has ended, no pod
    /// has to run. A task's pod runs only from the beginning of a run to its end, and a run without a
    /// result is paid nothing. What else excuses a pod from running belongs here.
    pub(crate) fn ensure_owes_evidence(
        lease: LeaseId,
        replica: ReplicaIndex,
    ) -> Result<Parties<T::AccountId>, DispatchError> {
        let parties = T::Leases::parties(lease).ok_or(Error::<T>::LeaseUnknown)?;
        ensure!(parties.is_live, Error::<T>::LeaseClosed);
        ensure!(!parties.is_task, Error::<T>::TaskRuns);
        ensure!(T::Evidence::is_standing(lease, replica), Error::<T>::NotAttested);
        let has_ended = T::Leases::anchor(lease, replica).is_some_and(|anchor| anchor.has_ended);
        ensure!(!has_ended, Error::<T>::AppEnded);
        Ok(parties)
    }

    /// Nobody could know it before the block in which the challenge is.
    fn nonce_of(id: ChallengeId) -> Hash256 {
        let parent = frame_system::Pallet::<T>::parent_hash();
        blake2_256(&(NONCE_CONTEXT, id, parent).encode())
    }

    /// Takes a challenge that ends off all lists. The deposit is the caller's to move.
    pub(crate) fn remove_challenge(
        id: ChallengeId,
        challenge: &Challenge<T::AccountId, frame_system::pallet_prelude::BlockNumberFor<T>>,
    ) {
        Challenges::<T>::remove(id);
        Targets::<T>::remove(&challenge.target);
        ByProvider::<T>::remove(&challenge.provider, id);
        // Zero is the default, so the entry goes with the last one.
        let one_less = |open: &mut Option<u32>| {
            *open = open.and_then(|open| open.checked_sub(1)).filter(|open| *open > 0);
        };
        match challenge.target.lease().filter(|_| challenge.by_publisher) {
            Some(lease) => OpenByPublisher::<T>::mutate_exists(lease, one_less),
            None => OpenAgainst::<T>::mutate_exists(&challenge.provider, one_less),
        }
    }
}

impl<AccountId> Target<AccountId> {
    /// The lease that it is about; a batch is about many.
    pub fn lease(&self) -> Option<LeaseId> {
        match self {
            Self::Evidence { lease, .. } | Self::LogChunk { lease, .. } => Some(*lease),
            Self::BatchLeaf { .. } => None,
        }
    }
}
