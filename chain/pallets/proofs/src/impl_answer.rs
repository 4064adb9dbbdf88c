//! Answering in time.

use crate::*;
use casemate_primitives::{merkle, AgentPublicKey, AgentSignature, Hash256, LogHead, UsageRecord};
use codec::Encode;
use frame_support::{
    ensure,
    traits::{
        fungible::hold::Mutate,
        tokens::{Fortitude, Precision, Restriction},
    },
};
use pallet_attestation::{genesis_hash, AttestedKeys, FreshEvidence};
use pallet_leases::LeaseProofs;
use pallet_reputation::ChallengeObserver;
use sp_core::ed25519;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_answer(who: T::AccountId, id: ChallengeId, answer: Answer) -> DispatchResult {
        let challenge = Challenges::<T>::get(id).ok_or(Error::<T>::ChallengeUnknown)?;
        ensure!(challenge.provider == who, Error::<T>::NotProvider);
        let now = frame_system::Pallet::<T>::block_number();
        ensure!(now <= challenge.until, Error::<T>::WindowOver);
        match (&challenge.target, &challenge.question, answer) {
            (
                Target::Evidence { lease, replica },
                Question::Evidence { nonce },
                Answer::Evidence(submission),
            ) => T::Evidence::verify_fresh(*lease, *replica, nonce, &submission)?,
            (
                Target::LogChunk { lease, replica, index },
                Question::LogChunk { key, head },
                Answer::LogChunk { chunk, path },
            ) => {
                let header = &chunk.header;
                ensure!(
                    (header.lease, header.replica, header.index) == (*lease, *replica, *index)
                        && header.key == *key,
                    Error::<T>::OtherChunk
                );
                Self::ensure_chunk(&chunk, *index, head, &path)?;
            }
            (
                Target::BatchLeaf { index, .. },
                Question::BatchLeaf(batch),
                Answer::BatchLeaf { record, signature, key, path },
            ) => {
                Self::ensure_leaf(batch, *index, &record, &signature, &path)?;
                Self::ensure_own_record(&who, &record, &signature, &key)?;
            }
            _ => return Err(Error::<T>::AnswerKind.into()),
        }
        Self::remove_challenge(id, &challenge);
        // By force: nothing that the challenger does to its account takes the answer's effect away.
        T::Currency::transfer_on_hold(
            &HoldReason::Challenge.into(),
            &challenge.challenger,
            &who,
            challenge.deposit,
            Precision::Exact,
            Restriction::Free,
            Fortitude::Force,
        )?;
        T::Observer::won(&who);
        let deposit = challenge.deposit;
        Self::deposit_event(Event::Answered { challenge: id, provider: who, deposit });
        Ok(())
    }

    fn ensure_chunk(chunk: &Chunk, index: u64, head: &LogHead, path: &[Hash256]) -> DispatchResult {
        let leaf = merkle::leaf_hash(&chunk.encode());
        let proved = merkle::proved_root(&leaf, index, head.chunks, path);
        ensure!(proved == Some(head.root), Error::<T>::ChunkNotProved);
        Ok(())
    }

    /// Whether a leaf is a record of this provider's, signed by the agent of a replica of its leases.
    ///
    /// A record does not name its key. Of a lease that is known the key must be the one whose record
    /// was claimed last, or the one that has (or had last) standing; or the record must end no later
    /// than the newest that was claimed, so that it can earn nothing any more. Of a lease that is
    /// forgotten no record can earn anything, and the signature under the key that is given is all that
    /// there is to check.
    fn ensure_own_record(
        provider: &T::AccountId,
        record: &UsageRecord,
        signature: &AgentSignature,
        key: &AgentPublicKey,
    ) -> DispatchResult {
        let payload = record.signing_payload(&genesis_hash::<T>());
        let (public, signature) =
            (ed25519::Public::from_raw(*key), ed25519::Signature::from_raw(*signature));
        ensure!(
            sp_io::crypto::ed25519_verify(&signature, &payload, &public),
            Error::<T>::LeafSignature
        );
        let (lease, replica) = (record.lease, record.replica);
        let Some(parties) = T::Leases::parties(lease) else { return Ok(()) };
        ensure!(parties.provider == *provider, Error::<T>::ForeignLeaf);
        let by_anchor = T::Leases::anchor(lease, replica)
            .is_some_and(|anchor| anchor.key == *key || record.to <= anchor.recorded_to);
        ensure!(
            by_anchor || T::Evidence::counts_until(lease, replica, key).is_some(),
            Error::<T>::LeafKey
        );
        Ok(())
    }
}
