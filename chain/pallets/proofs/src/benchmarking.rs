//! Benchmarks of every call at its worst case: the longest paths, the largest chunk and evidence, a
//! provider whose stake is slashed into its last unbonding part.

use super::*;
use alloc::{vec, vec::Vec};
use casemate_primitives::{
    merkle, AgentPublicKey, AgentSignature, Balance, Hash256, LogChunkHeader, LogHead, TeeKind,
    UsageRecord, CASE, LOG_CHUNK_BYTES_MAX,
};
use codec::Encode;
use frame_benchmarking::v2::*;
use frame_support::{
    traits::{fungible::Mutate, Get},
    BoundedVec,
};
use frame_system::RawOrigin;
use pallet_attestation::{genesis_hash, FreshEvidence};
use pallet_leases::LeaseProofs;
use sp_core::crypto::KeyTypeId;

/// Of the keys that benchmarks make, in a key store that only they see.
const KEY_TYPE: KeyTypeId = KeyTypeId(*b"case");
/// Leaves of the largest tree.
const LEAVES: u64 = 1 << merkle::PATH_MAX;

/// The longest path there is, and the root that it leads to from the first leaf.
fn longest(leaf: Hash256) -> (Path, Hash256) {
    let path = vec![[7; 32]; merkle::PATH_MAX as usize];
    let root = path.iter().fold(leaf, |hash, right| merkle::node_hash(&hash, right));
    (BoundedVec::truncate_from(path), root)
}

fn funded<T: Config>() -> T::AccountId
where
    T::Currency: Mutate<T::AccountId>,
{
    let who: T::AccountId = whitelisted_caller();
    let open = Balance::from(T::OpenMax::get()).saturating_add(1);
    let deposit = T::DepositBase::get().saturating_mul(open);
    T::Currency::set_balance(&who, deposit.saturating_mul(2).saturating_add(CASE));
    who
}

/// An open challenge that this provider has to answer.
fn open<T: Config>(
    provider: &T::AccountId,
    target: Target<T::AccountId>,
    question: Question,
) -> Result<ChallengeId, BenchmarkError>
where
    T::Currency: Mutate<T::AccountId>,
{
    use frame_support::traits::fungible::hold::Mutate as _;
    let challenger: T::AccountId = account("challenger", 0, 0);
    let deposit = T::DepositBase::get();
    T::Currency::set_balance(&challenger, deposit.saturating_mul(4));
    T::Currency::hold(&HoldReason::Challenge.into(), &challenger, deposit)?;
    let id = NextChallenge::<T>::get();
    NextChallenge::<T>::put(ChallengeId(id.0 + 1));
    let until = frame_system::Pallet::<T>::block_number() + T::WindowBlocks::get();
    Targets::<T>::insert(&target, id);
    ByProvider::<T>::insert(provider, id, ());
    // One of two, so that the count is written and not removed.
    OpenAgainst::<T>::insert(provider, 2);
    let provider = provider.clone();
    let by_publisher = false;
    let challenge =
        Challenge { challenger, provider, target, question, deposit, until, by_publisher };
    Challenges::<T>::insert(id, challenge);
    Ok(id)
}

fn signed<T: Config>(who: &T::AccountId) -> RawOrigin<T::AccountId> {
    whitelist_account!(who);
    RawOrigin::Signed(who.clone())
}

/// A challenge for evidence, and the answer to it.
fn evidence<T: Config>(kind: TeeKind) -> Result<(T::AccountId, ChallengeId, Answer), BenchmarkError>
where
    T::Currency: Mutate<T::AccountId>,
{
    let (lease, replica, nonce, submission) = T::Evidence::benchmark_fresh(kind)?;
    let provider = T::BenchmarkHelper::provider()?;
    let target = Target::Evidence { lease, replica };
    let id = open::<T>(&provider, target, Question::Evidence { nonce })?;
    Ok((provider, id, Answer::Evidence(submission)))
}

/// The next record of a lease with open periods, signed by its agent, whose key comes with it.
fn signed_record<T: Config>(
    provider: &T::AccountId,
) -> Result<(UsageRecord, AgentSignature, AgentPublicKey), BenchmarkError> {
    let key = sp_io::crypto::ed25519_generate(KEY_TYPE, None);
    let (lease, replica) = T::BenchmarkHelper::lease(provider, key.0, LogHead::default())?;
    let record = T::BenchmarkHelper::next_record(lease, replica);
    let payload = record.signing_payload(&genesis_hash::<T>());
    let signature = sp_io::crypto::ed25519_sign(KEY_TYPE, &key, &payload)
        .ok_or(BenchmarkError::Stop("the key store has the key"))?;
    Ok((record, signature.0, key.0))
}

#[benchmarks(where T::Currency: Mutate<T::AccountId>)]
mod benchmarks {
    use super::*;

    /// The ring is full: the oldest batch goes.
    #[benchmark]
    fn submit_batch() -> Result<(), BenchmarkError> {
        let provider = T::BenchmarkHelper::provider()?;
        let number = T::BatchesMax::get();
        NextBatch::<T>::insert(&provider, number);
        Batches::<T>::insert(&provider, 0, Batch { root: [1; 32], leaves: 1, at: 0 });
        let origin = signed::<T>(&provider);

        #[extrinsic_call]
        _(origin, [2; 32], LEAVES);

        assert!(Batches::<T>::contains_key(&provider, number));
        assert!(!Batches::<T>::contains_key(&provider, 0));
        Ok(())
    }

    #[benchmark]
    fn claim_from_batch() -> Result<(), BenchmarkError> {
        let provider = T::BenchmarkHelper::provider()?;
        let (record, signature, _) = signed_record::<T>(&provider)?;
        let (path, root) = longest(leaf_of(&record, &signature));
        Pallet::<T>::do_submit_batch(provider.clone(), root, LEAVES)?;
        let origin = signed::<T>(&provider);

        #[extrinsic_call]
        _(origin, 0, 0, record, signature, path);

        let anchor = T::Leases::anchor(record.lease, record.replica);
        assert_eq!(anchor.map(|anchor| anchor.sequence), Some(record.sequence));
        Ok(())
    }

    #[benchmark]
    fn forget_batch() -> Result<(), BenchmarkError> {
        let (caller, provider): (T::AccountId, T::AccountId) =
            (whitelisted_caller(), T::BenchmarkHelper::provider()?);
        Batches::<T>::insert(&provider, 0, Batch { root: [1; 32], leaves: 1, at: 0 });

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), provider.clone(), 0);

        assert!(!Batches::<T>::contains_key(&provider, 0));
        Ok(())
    }

    #[benchmark]
    fn challenge() -> Result<(), BenchmarkError> {
        let (caller, provider) = (funded::<T>(), T::BenchmarkHelper::provider()?);
        let head = LogHead { root: [1; 32], chunks: 1 };
        let (lease, replica) = T::BenchmarkHelper::lease(&provider, [1; 32], head)?;
        OpenAgainst::<T>::insert(&provider, T::OpenMax::get() - 1);
        let target = Target::Evidence { lease, replica };

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), target.clone(), Balance::MAX);

        assert!(Targets::<T>::contains_key(&target));
        Ok(())
    }

    #[benchmark]
    fn answer_evidence_dcap() -> Result<(), BenchmarkError> {
        let (provider, id, given) = evidence::<T>(TeeKind::IntelTdx)?;
        let origin = signed::<T>(&provider);

        #[extrinsic_call]
        answer(origin, id, given);

        assert!(!Challenges::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn answer_evidence_snp() -> Result<(), BenchmarkError> {
        let (provider, id, given) = evidence::<T>(TeeKind::AmdSevSnp)?;
        let origin = signed::<T>(&provider);

        #[extrinsic_call]
        answer(origin, id, given);

        assert!(!Challenges::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn answer_log_chunk() -> Result<(), BenchmarkError> {
        let provider = T::BenchmarkHelper::provider()?;
        let (lease, replica, index, key) = (casemate_primitives::LeaseId(1), 0, 0, [1; 32]);
        let header = LogChunkHeader {
            lease,
            replica,
            key,
            index,
            from_ms: 0,
            to_ms: 1,
            first_line: 0,
            lines: 1,
            dropped: 0,
        };
        let body: Vec<u8> = vec![7; LOG_CHUNK_BYTES_MAX as usize];
        let chunk = Chunk { header, body: BoundedVec::truncate_from(body) };
        let (path, root) = longest(merkle::leaf_hash(&chunk.encode()));
        let question = Question::LogChunk { key, head: LogHead { root, chunks: LEAVES } };
        let id = open::<T>(&provider, Target::LogChunk { lease, replica, index }, question)?;
        let origin = signed::<T>(&provider);

        #[extrinsic_call]
        answer(origin, id, Answer::LogChunk { chunk, path });

        assert!(!Challenges::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn answer_batch_leaf() -> Result<(), BenchmarkError> {
        let provider = T::BenchmarkHelper::provider()?;
        let (record, signature, key) = signed_record::<T>(&provider)?;
        let (path, root) = longest(leaf_of(&record, &signature));
        let question = Question::BatchLeaf(Batch { root, leaves: LEAVES, at: 0 });
        let target = Target::BatchLeaf { provider: provider.clone(), batch: 0, index: 0 };
        let id = open::<T>(&provider, target, question)?;
        let origin = signed::<T>(&provider);

        #[extrinsic_call]
        answer(origin, id, Answer::BatchLeaf { record, signature, key, path });

        assert!(!Challenges::<T>::contains_key(id));
        Ok(())
    }

    /// The evidence was owed to the end, and the lease has open periods.
    #[benchmark]
    fn conclude() -> Result<(), BenchmarkError> {
        let (caller, provider): (T::AccountId, T::AccountId) =
            (whitelisted_caller(), T::BenchmarkHelper::provider()?);
        let (lease, replica) = T::BenchmarkHelper::lease(&provider, [1; 32], LogHead::default())?;
        let question = Question::Evidence { nonce: [1; 32] };
        let id = open::<T>(&provider, Target::Evidence { lease, replica }, question)?;
        Challenges::<T>::mutate_extant(id, |asked| asked.until = 0u32.into());
        frame_system::Pallet::<T>::set_block_number(1u32.into());

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), id);

        assert!(!Challenges::<T>::contains_key(id));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, super::test_ext(), crate::mock::Test);
}

/// An empty chain with a key store, as the runner gives one to the runtime.
#[cfg(test)]
fn test_ext() -> sp_io::TestExternalities {
    use sp_keystore::{testing::MemoryKeystore, KeystoreExt};
    let mut ext = crate::mock::new_test_ext();
    ext.register_extension(KeystoreExt::new(MemoryKeystore::new()));
    ext
}
