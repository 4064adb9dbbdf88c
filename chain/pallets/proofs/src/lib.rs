#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
// FRAME's macros make public types without Debug.
#![allow(missing_debug_implementations)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmark_helper;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod impl_answer;
mod impl_batches;
mod impl_challenge;
mod impl_conclude;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod try_state;
mod types;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
pub use benchmark_helper::BenchmarkHelper;
pub use pallet::*;
pub use types::{
    leaf_of, Answer, Batch, BatchNumber, Challenge, ChallengeId, Chunk, Path, Question, Target,
    NONCE_CONTEXT,
};
pub use weights::WeightInfo;

use frame_support::pallet_prelude::*;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use casemate_primitives::{AgentSignature, Balance, Hash256, LeaseId, TeeKind, UsageRecord};
    use frame_support::traits::{fungible, UnixTime};
    use frame_system::pallet_prelude::*;
    use pallet_attestation::{AttestedKeys, FreshEvidence};
    use pallet_leases::LeaseProofs;
    use pallet_providers::{ProviderRegistry, ProviderStake};
    use pallet_reputation::ChallengeObserver;
    use sp_runtime::Permill;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// Holds the deposits.
        type Currency: fungible::Inspect<Self::AccountId, Balance = Balance>
            + fungible::hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>;
        /// The composite hold reason of the runtime.
        type RuntimeHoldReason: From<HoldReason>;
        /// The chain's clock.
        type Time: UnixTime;
        /// Whose stake is lost.
        type Providers: ProviderRegistry<Self::AccountId> + ProviderStake<Self::AccountId>;
        /// The leases that proofs are about.
        type Leases: LeaseProofs<Self::AccountId>;
        /// Verifies evidence, and knows which agents have standing.
        type Evidence: FreshEvidence + AttestedKeys;
        /// Who is told how challenges ended.
        type Observer: ChallengeObserver<Self::AccountId>;
        /// Deposit of the first challenge against a provider; with each one that is open, the next
        /// costs as much more.
        #[pallet::constant]
        type DepositBase: Get<Balance>;
        /// Blocks in which a provider may answer.
        #[pallet::constant]
        type WindowBlocks: Get<BlockNumberFor<Self>>;
        /// Challenges that may be open against one provider, those of its leases' own publishers not
        /// counted.
        #[pallet::constant]
        type OpenMax: Get<u32>;
        /// Challenges that a publisher may have open about one of its own leases.
        #[pallet::constant]
        type OpenByPublisherMax: Get<u32>;
        /// Batches that are kept of each provider.
        #[pallet::constant]
        type BatchesMax: Get<u64>;
        /// How long a batch counts, in seconds.
        #[pallet::constant]
        type BatchSecondsMax: Get<u64>;
        /// Part of all of a provider's stake that a lost challenge costs.
        #[pallet::constant]
        type SlashPart: Get<Permill>;
        /// Most that a lost challenge costs.
        #[pallet::constant]
        type SlashMax: Get<Balance>;
        /// Part of what is slashed that the challenger gets, at most half, and never more than its
        /// deposit was.
        #[pallet::constant]
        type RewardPart: Get<Permill>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
        /// What the benchmarks need of the pallets around this one.
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: BenchmarkHelper<Self::AccountId>;
    }

    /// Why money is held.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// The deposits of open challenges, on the challenger's own account.
        Challenge,
    }

    /// The number that each provider's next batch gets.
    #[pallet::storage]
    pub type NextBatch<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, BatchNumber, ValueQuery>;

    /// The newest batches of each provider, [`Config::BatchesMax`] at most.
    #[pallet::storage]
    pub type Batches<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Twox64Concat,
        BatchNumber,
        Batch,
        OptionQuery,
    >;

    /// The number that the next challenge gets.
    #[pallet::storage]
    pub type NextChallenge<T: Config> = StorageValue<_, ChallengeId, ValueQuery>;

    /// All open challenges.
    #[pallet::storage]
    pub type Challenges<T: Config> = StorageMap<
        _,
        Twox64Concat,
        ChallengeId,
        Challenge<T::AccountId, BlockNumberFor<T>>,
        OptionQuery,
    >;

    /// The open challenge for each target.
    #[pallet::storage]
    pub type Targets<T: Config> =
        StorageMap<_, Blake2_128Concat, Target<T::AccountId>, ChallengeId, OptionQuery>;

    /// Open challenges by provider, so that a provider reads its own only.
    #[pallet::storage]
    pub type ByProvider<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Twox64Concat,
        ChallengeId,
        (),
        OptionQuery,
    >;

    /// How many challenges are open against a provider, those of its leases' own publishers not
    /// counted.
    #[pallet::storage]
    pub type OpenAgainst<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

    /// How many challenges a lease's own publisher has open about it.
    #[pallet::storage]
    pub type OpenByPublisher<T: Config> = StorageMap<_, Twox64Concat, LeaseId, u32, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A provider has put records under a root.
        BatchSubmitted {
            /// Who.
            provider: T::AccountId,
            /// Its number.
            batch: BatchNumber,
            /// The root.
            root: Hash256,
            /// Number of records under it.
            leaves: u64,
        },
        /// A batch that counted no more was removed.
        BatchForgotten {
            /// Whose.
            provider: T::AccountId,
            /// Which.
            batch: BatchNumber,
        },
        /// A provider has to answer.
        Challenged {
            /// Number of the challenge.
            challenge: ChallengeId,
            /// Who asks.
            challenger: T::AccountId,
            /// Who has to answer.
            provider: T::AccountId,
            /// What is asked for.
            target: Target<T::AccountId>,
            /// What the answer is compared with.
            question: Question,
            /// Held on the challenger's account.
            deposit: Balance,
            /// The last block in which an answer counts.
            until: BlockNumberFor<T>,
        },
        /// A provider has answered: the deposit is its own.
        Answered {
            /// Number of the challenge.
            challenge: ChallengeId,
            /// Who.
            provider: T::AccountId,
            /// What it got.
            deposit: Balance,
        },
        /// A provider has not answered in time.
        Lost {
            /// Number of the challenge.
            challenge: ChallengeId,
            /// Who.
            provider: T::AccountId,
            /// What it has lost of its stake.
            slashed: Balance,
            /// What the challenger got of it. The rest is burnt.
            rewarded: Balance,
            /// What went from the lease's open periods back to its escrow.
            returned: Balance,
        },
        /// A challenge ended without a loser: the lease was closed, its agent's standing ended, or the
        /// app ended by itself, before the window was over.
        Void {
            /// Number of the challenge.
            challenge: ChallengeId,
            /// Who was asked.
            provider: T::AccountId,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// A batch has at least one leaf, and at most 2^63.
        Leaves,
        /// There is no such batch (any more).
        BatchUnknown,
        /// The batch is too old: claim with the newest record instead.
        BatchTooOld,
        /// The batch still counts.
        BatchCounts,
        /// The path does not prove this record at this place of the batch.
        LeafNotProved,
        /// There is no such challenge (any more).
        ChallengeUnknown,
        /// There is an open challenge for this already: see how it ends.
        TargetTaken,
        /// Too many challenges are open: wait until one ends.
        TooManyOpen,
        /// The deposit is more than `deposit_max` by now: other challenges are open.
        DepositAboveMax,
        /// A provider does not challenge itself.
        OwnProvider,
        /// There is no such lease (any more).
        LeaseUnknown,
        /// The lease is closed: nobody runs it any more.
        LeaseClosed,
        /// No agent of this replica has standing: there is nobody whose evidence could be asked for.
        NotAttested,
        /// The replica's agent has signed that its app has ended by itself: no pod has to run.
        AppEnded,
        /// The lease runs a task: a pod runs only from the beginning of a run to its end, and a run
        /// that has no result is paid nothing. Its log can be asked for.
        TaskRuns,
        /// No record of this replica was claimed: its log is under no head yet.
        NotAnchored,
        /// The log under the newest claimed record, or the batch, has no such index.
        IndexBeyondEnd,
        /// Only the provider that was asked may answer.
        NotProvider,
        /// The window is over: the challenge is lost.
        WindowOver,
        /// The provider still has time to answer.
        WindowOpen,
        /// This is an answer to another kind of challenge.
        AnswerKind,
        /// The chunk is of another lease, replica, agent or index.
        OtherChunk,
        /// The path does not prove this chunk under the head.
        ChunkNotProved,
        /// The record's lease is another provider's.
        ForeignLeaf,
        /// The signature is not by this key over this record on this chain.
        LeafSignature,
        /// The key is not that of the replica's agent: name the key whose record was claimed last, or that
        /// has standing; or claim a newer record first.
        LeafKey,
        /// A sum is too large.
        Overflow,
        /// The lease ended longer ago than its logs have to be kept.
        RetentionOver,
    }

    /// The weight of an answer: signatures of each kind of evidence take other times.
    fn weight_of<W: WeightInfo>(answer: &Answer) -> Weight {
        match answer {
            Answer::Evidence(submission) => match submission.kind {
                TeeKind::AmdSevSnp => W::answer_evidence_snp(),
                // A GPU's is refused at once.
                TeeKind::IntelSgx | TeeKind::IntelTdx | TeeKind::NvidiaGpu => {
                    W::answer_evidence_dcap()
                }
            },
            Answer::LogChunk { .. } => W::answer_log_chunk(),
            Answer::BatchLeaf { .. } => W::answer_batch_leaf(),
        }
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Put records of any number of leases under one root. Each can be claimed later.
        ///
        /// - `origin`: Signed by a provider that has not retired.
        /// - `root`: Of the tree (RFC 9162, BLAKE2b-256) over [`leaf_of`] each signed record. It has to
        ///   have all of them ready: anyone may ask for any leaf.
        /// - `leaves`: How many there are.
        #[pallet::call_index(0)]
        pub fn submit_batch(origin: OriginFor<T>, root: Hash256, leaves: u64) -> DispatchResult {
            Self::do_submit_batch(ensure_signed(origin)?, root, leaves)
        }

        /// Be paid for a record that is under a batch's root. It may be contested as long as any claim that
        /// is made now.
        ///
        /// - `origin`: Signed by the provider whose batch and whose lease it is.
        /// - `index`, `path`: Where the leaf is in the batch's tree.
        #[pallet::call_index(1)]
        pub fn claim_from_batch(
            origin: OriginFor<T>,
            batch: BatchNumber,
            index: u64,
            record: UsageRecord,
            signature: AgentSignature,
            path: Path,
        ) -> DispatchResult {
            Self::do_claim_from_batch(ensure_signed(origin)?, batch, index, record, signature, path)
        }

        /// Remove a batch that counts no more.
        ///
        /// - `origin`: Signed by anyone.
        #[pallet::call_index(2)]
        pub fn forget_batch(
            origin: OriginFor<T>,
            provider: T::AccountId,
            batch: BatchNumber,
        ) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_forget_batch(provider, batch)
        }

        /// Ask a provider for a proof. A challenge that is made can't be taken back.
        ///
        /// - `origin`: Signed by anyone but the provider. The deposit is held on this account; it goes
        ///   to the provider when it answers.
        /// - `deposit_max`: The call fails where the deposit is more, because other challenges came
        ///   before.
        #[pallet::call_index(3)]
        pub fn challenge(
            origin: OriginFor<T>,
            target: Target<T::AccountId>,
            deposit_max: Balance,
        ) -> DispatchResult {
            Self::do_challenge(ensure_signed(origin)?, target, deposit_max)
        }

        /// Answer a challenge in time. A wrong answer changes nothing: the right one may follow.
        ///
        /// - `origin`: Signed by the provider that was asked.
        #[pallet::call_index(4)]
        #[pallet::weight(weight_of::<<T as Config>::WeightInfo>(answer))]
        pub fn answer(
            origin: OriginFor<T>,
            challenge: ChallengeId,
            answer: Answer,
        ) -> DispatchResult {
            Self::do_answer(ensure_signed(origin)?, challenge, answer)
        }

        /// End a challenge that nobody has answered in time: the deposit goes back, the provider loses
        /// some of its stake, the challenger gets a part of that, and the lease's open periods go back
        /// to its escrow.
        ///
        /// - `origin`: Signed by anyone.
        #[pallet::call_index(5)]
        pub fn conclude(origin: OriginFor<T>, challenge: ChallengeId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_conclude(challenge)
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            assert!(
                T::DepositBase::get() >= <T::Currency as fungible::Inspect<_>>::minimum_balance(),
                "a deposit can be paid to any account"
            );
            assert!(
                T::RewardPart::get() <= Permill::from_percent(50),
                "whoever slashes its own stake burns as much as it gets free"
            );
            assert!(T::SlashPart::get() > Permill::zero() && T::SlashMax::get() > 0);
            assert!(T::WindowBlocks::get() > BlockNumberFor::<T>::from(0u32));
            assert!(T::OpenMax::get() > 0 && T::OpenByPublisherMax::get() > 0);
            assert!(T::BatchesMax::get() > 0 && T::BatchSecondsMax::get() > 0);
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }
}
