#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
// FRAME's macros make public types without Debug.
#![allow(missing_debug_implementations)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod errors;
mod events;
mod impl_agents;
mod impl_amend;
mod impl_claim;
mod impl_close;
mod impl_contest;
mod impl_deposits;
mod impl_ended;
mod impl_open;
mod impl_periods;
mod impl_proofs;
mod impl_runs;
mod line;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod traits;
mod try_state;
mod types;
pub mod weights;

pub use line::{Line, Part, OTHERS_MAX};
pub use pallet::*;
pub use traits::{
    Anchor, LeaseObserver, LeaseProofs, LeaseRuns, OpenRuns, Parties, RunClaim, RunLease,
    RunManifest,
};
pub use types::{
    Agent, Contest, EndedReplicas, KeyBeginning, Lease, LeaseState, Period, PricesBefore,
    ReplacedKey, Spender, REPLACED_KEYS_MAX, SPENDERS_MAX,
};
pub use weights::WeightInfo;

use frame_support::{pallet_macros::import_section, pallet_prelude::*};

#[import_section(errors::errors)]
#[import_section(events::events)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use casemate_primitives::{
        AgentPublicKey, AgentSignature, Amendment, Asset, Balance, DeploymentId, DeploymentKind,
        EndReason, LeaseId, ManifestRef, Prices, Quote, QuoteNonce, ReplicaIndex, UsageRecord,
    };
    use frame_support::traits::{fungibles, UnixTime};
    use frame_system::pallet_prelude::*;
    use pallet_attestation::AttestedKeys;
    use pallet_deployments::DeploymentRegistry;
    use pallet_money::AdmittedAssets;
    use pallet_providers::{ProviderRegistry, ProviderStake};
    use sp_runtime::{AccountId32, MultiSignature, Permill};

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config:
        frame_system::Config<RuntimeEvent: From<Event<Self>>, AccountId = AccountId32>
    {
        /// Holds the escrow and pays out of it, in the native token and in every registered asset.
        type Assets: fungibles::Inspect<AccountId32, AssetId = Asset, Balance = Balance>
            + fungibles::hold::Mutate<AccountId32, Reason = Self::RuntimeHoldReason>;
        /// Which assets take new money.
        type Admission: AdmittedAssets;
        /// The composite hold reason of the runtime.
        type RuntimeHoldReason: From<HoldReason>;
        /// The chain's clock.
        type Time: UnixTime;
        /// Where capacity is reserved.
        type Providers: ProviderRegistry<AccountId32> + ProviderStake<AccountId32>;
        /// Where deployments are created and their leases counted.
        type Deployments: DeploymentRegistry<AccountId32>;
        /// Which agents' keys count, and until when. Evidence brings them here
        /// (`pallet_attestation::AgentRegistry`), nobody's word does.
        type Attestation: AttestedKeys;
        /// How far an agent's clock may be ahead of the chain's, in seconds.
        #[pallet::constant]
        type ClockSkewSecondsMax: Get<u64>;
        /// Longest time before its attestation that a new key is paid for, in seconds: that between the
        /// nonce of its evidence and the block that takes it, and the clocks' difference.
        #[pallet::constant]
        type BackpaySecondsMax: Get<u64>;
        /// How far ahead a quote may expire, in seconds; bounds how long nonces are remembered.
        #[pallet::constant]
        type QuoteSecondsMax: Get<u64>;
        /// Longest notice a quote may ask for, in seconds.
        #[pallet::constant]
        type NoticeSecondsMax: Get<u32>;
        /// Longest grace a quote may give, in seconds.
        #[pallet::constant]
        type GraceSecondsMax: Get<u32>;
        /// Longest dispute, reclaim and retention times that a quote may name, in seconds.
        #[pallet::constant]
        type TermSecondsMax: Get<u32>;
        /// Part of what is contested that its publisher puts down.
        #[pallet::constant]
        type ContestDepositShare: Get<Permill>;
        /// Least that a publisher puts down to contest.
        #[pallet::constant]
        type ContestDepositMin: Get<Balance>;
        /// Part of the stake behind a lease's resources that a silent provider loses where the lease is
        /// not paid in the native token, so that no price of a pool decides about a stake.
        #[pallet::constant]
        type SilencePenaltyShare: Get<Permill>;
        /// How long arbiters have to decide, in seconds.
        #[pallet::constant]
        type ArbitrationSeconds: Get<u64>;
        /// Most that the treasury's share can be set to.
        #[pallet::constant]
        type TreasuryShareMax: Get<Permill>;
        /// Where the treasury's share goes.
        type Treasury: Get<AccountId32>;
        /// Who decides what is contested without proof.
        type ArbiterOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// Who sets the treasury's share.
        type GovernanceOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// What the open runs of tasks were begun for.
        type Runs: OpenRuns;
        /// Who is told what leases came to.
        type Observer: LeaseObserver<AccountId32>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Why money is held.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// The escrow of a lease and what was claimed of it, on the account that has put it in.
        Escrow,
        /// What a publisher puts down to contest claims.
        Contest,
    }

    /// The id that the next lease gets.
    #[pallet::storage]
    pub type NextId<T: Config> = StorageValue<_, LeaseId, ValueQuery>;

    /// The treasury's share of what is paid out, for leases that are opened from now on.
    #[pallet::storage]
    pub type TreasuryShare<T: Config> = StorageValue<_, Permill, ValueQuery>;

    /// All leases that are still known.
    #[pallet::storage]
    pub type Leases<T: Config> = StorageMap<_, Twox64Concat, LeaseId, Lease, OptionQuery>;

    /// Leases by provider, so that a provider reads its own only.
    #[pallet::storage]
    pub type ByProvider<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, AccountId32, Twox64Concat, LeaseId, (), OptionQuery>;

    /// Leases by publisher, so that a publisher reads its own only.
    #[pallet::storage]
    pub type ByPublisher<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, AccountId32, Twox64Concat, LeaseId, (), OptionQuery>;

    /// Whose the money of a lease is, where others than its publisher have put some in; all is the
    /// publisher's where nothing is here.
    #[pallet::storage]
    pub type Deposits<T: Config> = StorageMap<_, Twox64Concat, LeaseId, Line, OptionQuery>;

    /// Who may put the publisher's money into a lease, and close it.
    #[pallet::storage]
    pub type Spenders<T: Config> = StorageMap<
        _,
        Twox64Concat,
        LeaseId,
        BoundedVec<Spender, ConstU32<SPENDERS_MAX>>,
        ValueQuery,
    >;

    /// The activated agent of each replica.
    #[pallet::storage]
    pub type Agents<T: Config> =
        StorageDoubleMap<_, Twox64Concat, LeaseId, Twox64Concat, ReplicaIndex, Agent, OptionQuery>;

    /// Nonces of quotes that were used, with the second at which the quote expires.
    #[pallet::storage]
    pub type UsedNonces<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        AccountId32,
        Blake2_128Concat,
        QuoteNonce,
        u64,
        OptionQuery,
    >;

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Create a deployment and open a lease for it, in one go.
        ///
        /// - `origin`: Signed by the publisher, which pays both deposits.
        /// - `quote`, `signature`: The provider's offer for exactly this manifest and publisher.
        /// - `deposit`: Locked in the lease's escrow.
        /// - `spend_rate_max`: Most that may be paid for one second, traffic included.
        #[pallet::call_index(0)]
        pub fn deploy(
            origin: OriginFor<T>,
            kind: DeploymentKind,
            manifest: ManifestRef,
            quote: Quote,
            signature: MultiSignature,
            deposit: Balance,
            spend_rate_max: Balance,
        ) -> DispatchResult {
            let publisher = ensure_signed(origin)?;
            let deployment = T::Deployments::create(&publisher, kind, manifest)?;
            Self::do_open(publisher, deployment, quote, signature, deposit, spend_rate_max)
        }

        /// Open a lease for a deployment that is there.
        ///
        /// - `origin`: Signed by the deployment's owner.
        #[pallet::call_index(1)]
        pub fn open(
            origin: OriginFor<T>,
            deployment: DeploymentId,
            quote: Quote,
            signature: MultiSignature,
            deposit: Balance,
            spend_rate_max: Balance,
        ) -> DispatchResult {
            let publisher = ensure_signed(origin)?;
            Self::do_open(publisher, deployment, quote, signature, deposit, spend_rate_max)
        }

        /// Lock more of your own money for a lease. What comes first is spent first; of the rest, what
        /// came last is given back first.
        ///
        /// - `origin`: Signed by anyone. Whoever is new to the lease puts in at least its least deposit;
        ///   so does everybody where the money is used up, and no less than the grace time costs.
        #[pallet::call_index(2)]
        pub fn fund(origin: OriginFor<T>, lease: LeaseId, amount: Balance) -> DispatchResult {
            Self::do_fund(ensure_signed(origin)?, lease, amount)
        }

        /// Change how much may be spent in a second; never below the price of the resources.
        ///
        /// - `origin`: Signed by the publisher.
        #[pallet::call_index(3)]
        pub fn set_spend_rate(
            origin: OriginFor<T>,
            lease: LeaseId,
            spend_rate_max: Balance,
        ) -> DispatchResult {
            Self::do_set_spend_rate(ensure_signed(origin)?, lease, spend_rate_max)
        }

        /// Earn what a usage record adds to the last one claimed. It is final once its period is,
        /// and is then paid out by [`Pallet::payout`].
        ///
        /// - `origin`: Signed by the provider.
        /// - `signature`: The activated agent's, over the record and this chain's genesis.
        #[pallet::call_index(5)]
        pub fn claim(
            origin: OriginFor<T>,
            record: UsageRecord,
            signature: AgentSignature,
        ) -> DispatchResult {
            Self::do_claim(ensure_signed(origin)?, record, signature, None)
        }

        /// End a lease. What is used after this second is not paid.
        ///
        /// - `origin`: Signed by the publisher or who it has authorised; by the provider after its
        ///   notice, or where no agent was activated; by anyone when claims have used the money up and
        ///   the grace time is over, when the apps of all replicas have ended by themselves, or when
        ///   nobody is ever silent, as agreed, and nothing was proved for the longest time that terms
        ///   may name. A lease that never was activated is settled at once.
        #[pallet::call_index(6)]
        pub fn close(origin: OriginFor<T>, lease: LeaseId) -> DispatchResult {
            Self::do_close(ensure_signed(origin)?, lease)
        }

        /// Give the unspent rest of a closed lease back.
        ///
        /// - `origin`: Signed by the provider (it has no more records), or by anyone after the
        ///   notice window.
        #[pallet::call_index(7)]
        pub fn settle(origin: OriginFor<T>, lease: LeaseId) -> DispatchResult {
            Self::do_settle(ensure_signed(origin)?, lease)
        }

        /// Forget a used nonce whose quote has expired. For anyone, for the chain's tidiness.
        #[pallet::call_index(8)]
        pub fn forget_nonce(
            origin: OriginFor<T>,
            provider: AccountId32,
            nonce: QuoteNonce,
        ) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_forget_nonce(provider, nonce)
        }

        /// Pay out what is final: to the provider, less the treasury's share. Of a settled lease, give
        /// back what could not be given back before (the asset was frozen).
        ///
        /// - `origin`: Signed by anyone.
        #[pallet::call_index(9)]
        pub fn payout(origin: OriginFor<T>, lease: LeaseId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_payout(lease)
        }

        /// Pay out and forget a lease that is settled, whose claims are all final and whose logs'
        /// retention is over.
        ///
        /// - `origin`: Signed by anyone.
        #[pallet::call_index(10)]
        pub fn forget(origin: OriginFor<T>, lease: LeaseId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_forget(lease)
        }

        /// Say that the lease will be closed once the agreed notice is over.
        ///
        /// - `origin`: Signed by the provider.
        #[pallet::call_index(11)]
        pub fn give_notice(origin: OriginFor<T>, lease: LeaseId) -> DispatchResult {
            Self::do_give_notice(ensure_signed(origin)?, lease)
        }

        /// End a lease whose provider has proved nothing for longer than agreed. Its stake pays for as
        /// much time as that, half of it to the publisher, but not where the publisher has changed
        /// the manifest since: nobody knows then whose fault it is that the new one does not run. A
        /// lease whose money and grace are over owes no proof.
        ///
        /// - `origin`: Signed by anyone.
        #[pallet::call_index(12)]
        pub fn evict(origin: OriginFor<T>, lease: LeaseId) -> DispatchResult {
            Self::do_evict(ensure_signed(origin)?, lease)
        }

        /// Change the prices. What was used until now costs what it did.
        ///
        /// - `origin`: Signed by the publisher.
        /// - `signature`: The provider's, over the amendment and this chain's genesis.
        #[pallet::call_index(13)]
        pub fn amend(
            origin: OriginFor<T>,
            amendment: Amendment,
            signature: MultiSignature,
        ) -> DispatchResult {
            Self::do_amend(ensure_signed(origin)?, amendment, signature)
        }

        /// Contest all claims that are not final, without proof. Arbiters decide, within
        /// `ArbitrationSeconds`; without a decision the claims stand.
        ///
        /// - `origin`: Signed by the publisher, which puts down a part of the amount. The provider
        ///   gets that where it is right.
        #[pallet::call_index(14)]
        pub fn contest(origin: OriginFor<T>, lease: LeaseId) -> DispatchResult {
            Self::do_contest(ensure_signed(origin)?, lease)
        }

        /// Show two records of a replica's agent that can't both be true: all claims that are not
        /// final go back, and the lease ends. An agent that another has replaced counts, too, while
        /// claims of it may be open.
        ///
        /// - `origin`: Signed by anyone.
        #[pallet::call_index(15)]
        pub fn prove_misconduct(
            origin: OriginFor<T>,
            a: UsageRecord,
            signature_a: AgentSignature,
            b: UsageRecord,
            signature_b: AgentSignature,
        ) -> DispatchResult {
            Self::do_prove_misconduct(ensure_signed(origin)?, a, signature_a, b, signature_b)
        }

        /// Decide what is contested.
        ///
        /// - `origin`: The arbiters.
        /// - `to_publisher`: The part that goes back. From half of it on the publisher was right.
        #[pallet::call_index(16)]
        pub fn decide(
            origin: OriginFor<T>,
            lease: LeaseId,
            to_publisher: Permill,
        ) -> DispatchResult {
            T::ArbiterOrigin::ensure_origin(origin)?;
            Self::do_decide(lease, to_publisher)
        }

        /// Let contested claims stand, where the arbiters' time is over.
        ///
        /// - `origin`: Signed by anyone.
        #[pallet::call_index(17)]
        pub fn expire_contest(origin: OriginFor<T>, lease: LeaseId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_expire_contest(lease)
        }

        /// Set the treasury's share of what is paid out, for leases that are opened from now on.
        ///
        /// - `origin`: Governance.
        #[pallet::call_index(18)]
        pub fn set_treasury_share(origin: OriginFor<T>, share: Permill) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            Self::do_set_treasury_share(share)
        }

        /// Let another account put your money into a lease, and close it; or don't any more.
        ///
        /// - `origin`: Signed by the publisher.
        /// - `allowance`: How much it may put in from now on, all together; `None` takes it off.
        #[pallet::call_index(19)]
        pub fn authorise(
            origin: OriginFor<T>,
            lease: LeaseId,
            spender: AccountId32,
            allowance: Option<Balance>,
        ) -> DispatchResult {
            Self::do_authorise(ensure_signed(origin)?, lease, spender, allowance)
        }

        /// Lock more of the publisher's money for a lease.
        ///
        /// - `origin`: Signed by an account that the publisher has authorised for so much.
        #[pallet::call_index(20)]
        pub fn fund_for(origin: OriginFor<T>, lease: LeaseId, amount: Balance) -> DispatchResult {
            Self::do_fund_for(ensure_signed(origin)?, lease, amount)
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
