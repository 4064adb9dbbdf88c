#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
// FRAME's macros make public types without Debug.
#![allow(missing_debug_implementations)]

extern crate alloc;

mod appraisal;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod impl_attest;
mod impl_fresh;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod traits;
mod try_state;
mod types;
pub mod weights;

pub use impl_attest::{genesis_hash, NONCE_BLOCKS_MAX};
pub use pallet::*;
pub use traits::{AgentRegistry, AttestedKeys, FreshEvidence};
pub use types::{Cluster, Keys, Standing, Submission, Workload, EVIDENCE_BYTES_MAX};
pub use weights::WeightInfo;

use frame_support::pallet_prelude::*;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use casemate_attestation::{Grade, TcbStatus, TeeKind};
    use casemate_primitives::{AgentPublicKey, Hash256, LeaseId, ReplicaIndex, UnixSeconds};
    use frame_system::pallet_prelude::*;
    use pallet_providers::ProviderRegistry;
    use sp_runtime::AccountId32;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config:
        frame_system::Config<RuntimeEvent: From<Event<Self>>, AccountId = AccountId32>
        + pallet_endorsements::Config
    {
        /// The leases whose agents are attested.
        type Agents: AgentRegistry<AccountId32>;
        /// Whose control planes are listed.
        type Providers: ProviderRegistry<AccountId32>;
        /// Longest time that evidence counts, in seconds.
        #[pallet::constant]
        type StandingSecondsMax: Get<u64>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Approved workloads, with the lowest grade at which each is accepted.
    #[pallet::storage]
    pub type Workloads<T: Config> = StorageMap<_, Blake2_128Concat, Workload, Grade, OptionQuery>;

    /// The agent of each replica and until when its key counts.
    #[pallet::storage]
    pub type Standings<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        LeaseId,
        Twox64Concat,
        ReplicaIndex,
        Standing,
        OptionQuery,
    >;

    /// Providers whose control plane has shown evidence; forgotten when they retire.
    #[pallet::storage]
    pub type Clusters<T: Config> =
        StorageMap<_, Blake2_128Concat, AccountId32, Cluster, OptionQuery>;

    /// The workloads that the chain starts with.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Measurements of agent releases, each with the lowest grade at which it is accepted.
        pub workloads: alloc::vec::Vec<(Workload, Grade)>,
        /// Nothing; names the type parameter.
        #[serde(skip)]
        pub _config: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            for (workload, grade) in &self.workloads {
                Workloads::<T>::insert(workload, grade);
            }
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// An agent's key counts.
        Attested {
            /// For which lease.
            lease: LeaseId,
            /// For which replica.
            replica: ReplicaIndex,
            /// The key that signs usage.
            agent_key: AgentPublicKey,
            /// Kind of TEE.
            kind: TeeKind,
            /// Grade of the root.
            grade: Grade,
            /// State of the platform's firmware.
            tcb_status: TcbStatus,
            /// BLAKE2b-256 of the evidence, which is in this block.
            evidence_hash: Hash256,
            /// Last second (exclusive) of its standing.
            expires_at: UnixSeconds,
        },
        /// An agent's key counts no more.
        StandingEnded {
            /// For which lease.
            lease: LeaseId,
            /// For which replica.
            replica: ReplicaIndex,
            /// The key.
            agent_key: AgentPublicKey,
        },
        /// A provider's control plane runs inside a TEE.
        ClusterAttested {
            /// Whose.
            provider: AccountId32,
            /// Kind of TEE.
            kind: TeeKind,
            /// Grade of the root.
            grade: Grade,
            /// What runs.
            workload: Workload,
            /// First second at which it counts no more.
            expires_at: UnixSeconds,
        },
        /// Evidence that somebody asked about is genuine.
        Appraised {
            /// BLAKE2b-256 of the evidence, which is in this block.
            evidence_hash: Hash256,
            /// Kind of TEE.
            kind: TeeKind,
            /// Grade of the root.
            grade: Grade,
            /// State of the platform's firmware.
            tcb_status: TcbStatus,
            /// Whether a debugger may be attached.
            debug: bool,
            /// What runs.
            workload: Workload,
            /// What the enclave put into it.
            report_data: [u8; 64],
        },
        /// A workload is approved.
        WorkloadApproved {
            /// Which.
            workload: Workload,
            /// From which grade on.
            grade: Grade,
        },
        /// A workload is approved no more.
        WorkloadRevoked {
            /// Which.
            workload: Workload,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The evidence can't be read, or is of another kind than was said.
        Unreadable,
        /// The machine's certificate is not known: submit it to `endorsements` first.
        CertificateUnknown,
        /// The collateral for this kind and machine is not known: submit it to `endorsements`
        /// first.
        CollateralMissing,
        /// Collateral or certificate has expired: submit newer to `endorsements` first.
        CollateralExpired,
        /// A signature or a check of the evidence fails. `casemate attest verify` names it.
        NotVerified,
        /// A debugger may read the enclave.
        Debug,
        /// The vendor has revoked the platform's firmware level.
        TcbRevoked,
        /// The vendor has revoked the machine's certificate, or one that it rests on.
        CertificateRevoked,
        /// The platform's firmware is older than governance accepts (AMD: `SnpMinimum`).
        TcbOutOfDate,
        /// What runs is not an approved workload.
        WorkloadNotApproved,
        /// The report data is not over these keys, this lease, this manifest and this block.
        Binding,
        /// The named block is unknown or too old: take a newer one.
        BlockTooOld,
        /// There is no such standing or workload, or the standing has ended already.
        NotFound,
        /// This is not the evidence that the standing rests on.
        OtherEvidence,
        /// The standing is sound.
        Sound,
        /// Nothing changes.
        NoChange,
    }

    /// The weight of a call with this evidence: signatures of each kind take other times. Evidence of
    /// another kind than is said is refused before any signature is looked at.
    fn by_kind(submission: &Submission, dcap: fn() -> Weight, snp: fn() -> Weight) -> Weight {
        match submission.kind {
            TeeKind::AmdSevSnp => snp(),
            // A GPU's is refused at once.
            TeeKind::IntelSgx | TeeKind::IntelTdx | TeeKind::NvidiaGpu => dcap(),
        }
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Verify an agent's evidence and let its key count for a replica.
        ///
        /// - `origin`: Signed by the lease's provider.
        /// - `keys`: The agent's public keys, which the evidence names.
        /// - `block`: The block whose hash was the nonce.
        #[pallet::call_index(0)]
        #[pallet::weight(by_kind(
            submission,
            <T as Config>::WeightInfo::attest_dcap,
            <T as Config>::WeightInfo::attest_snp,
        ))]
        pub fn attest(
            origin: OriginFor<T>,
            lease: LeaseId,
            replica: ReplicaIndex,
            keys: Keys,
            block: BlockNumberFor<T>,
            submission: Submission,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_attest(who, lease, replica, keys, block, submission)
        }

        /// Verify any evidence, and write what it says into an event.
        ///
        /// - `origin`: Signed by anyone.
        #[pallet::call_index(1)]
        #[pallet::weight(by_kind(
            submission,
            <T as Config>::WeightInfo::appraise_dcap,
            <T as Config>::WeightInfo::appraise_snp,
        ))]
        pub fn appraise(origin: OriginFor<T>, submission: Submission) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_appraise(submission)
        }

        /// End the standing of a key whose platform or workload is accepted no more.
        ///
        /// What governance accepts no more (the workload, AMD's firmware) ends now: usage up to this
        /// second is paid. What the vendor condemns is taken away with all that was not claimed yet.
        ///
        /// - `origin`: Signed by anyone.
        /// - `submission`: The evidence of the standing, from the block that it was attested in, to
        ///   be verified again with today's collateral; without it only the workload and the
        ///   revocation of the machine's certificate are looked at.
        #[pallet::call_index(2)]
        #[pallet::weight(match submission {
            Some(submission) => by_kind(
                submission,
                <T as Config>::WeightInfo::recheck_dcap,
                <T as Config>::WeightInfo::recheck_snp,
            ),
            None => <T as Config>::WeightInfo::recheck(),
        })]
        pub fn recheck(
            origin: OriginFor<T>,
            lease: LeaseId,
            replica: ReplicaIndex,
            submission: Option<Submission>,
        ) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_recheck(lease, replica, submission)
        }

        /// Accept an agent release from now on.
        ///
        /// - `origin`: Governance.
        /// - `grade`: The lowest at which it is accepted.
        #[pallet::call_index(3)]
        pub fn approve_workload(
            origin: OriginFor<T>,
            workload: Workload,
            grade: Grade,
        ) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            ensure!(Workloads::<T>::get(&workload) != Some(grade), Error::<T>::NoChange);
            Workloads::<T>::insert(&workload, grade);
            Self::deposit_event(Event::WorkloadApproved { workload, grade });
            Ok(())
        }

        /// Accept an agent release no more. Standings end when they are rechecked or expire.
        ///
        /// - `origin`: Governance.
        #[pallet::call_index(4)]
        pub fn revoke_workload(origin: OriginFor<T>, workload: Workload) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            Workloads::<T>::take(&workload).ok_or(Error::<T>::NotFound)?;
            Self::deposit_event(Event::WorkloadRevoked { workload });
            Ok(())
        }

        /// List the control plane of a provider's cluster: kind, measurement and expiry. Whether
        /// the measurement is a good one is for each publisher's policy to say.
        ///
        /// - `origin`: Signed by a registered provider, whose account the evidence names.
        /// - `block`: The block whose hash was the nonce.
        #[pallet::call_index(5)]
        #[pallet::weight(by_kind(
            submission,
            <T as Config>::WeightInfo::attest_cluster_dcap,
            <T as Config>::WeightInfo::attest_cluster_snp,
        ))]
        pub fn attest_cluster(
            origin: OriginFor<T>,
            block: BlockNumberFor<T>,
            submission: Submission,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_attest_cluster(who, block, submission)
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }
}
