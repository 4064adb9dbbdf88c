#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
// FRAME's macros make public types without Debug.
#![allow(missing_debug_implementations)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod impl_complaints;
mod impl_observe;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod traits;
mod try_state;
mod types;
pub mod weights;

pub use pallet::*;
pub use traits::{AssetValue, ChallengeObserver, LeaseBook, LeaseSides};
pub use types::{Complaint, ComplaintId};
pub use weights::WeightInfo;

use frame_support::pallet_prelude::*;

/// A complaint between accounts of the runtime.
pub type ComplaintOf<T> = Complaint<<T as frame_system::Config>::AccountId>;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use casemate_primitives::{
        reputation::{ComplaintKind, Fault, Pair, Rules, Score, Side},
        Balance, Hash256, LeaseId,
    };
    use frame_support::traits::{fungible, EnsureOrigin, UnixTime};
    use frame_system::pallet_prelude::*;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// Holds the deposits of complaints.
        type Currency: fungible::Inspect<Self::AccountId, Balance = Balance>
            + fungible::Mutate<Self::AccountId>
            + fungible::hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>;
        /// The composite hold reason of the runtime.
        type RuntimeHoldReason: From<HoldReason>;
        /// The chain's clock.
        type Time: UnixTime;
        /// Who knows the sides of leases.
        type Leases: LeaseBook<Self::AccountId>;
        /// What fees in any asset count for.
        type Values: AssetValue;
        /// Who decides complaints.
        type ArbiterOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// How scores are computed; readers of the storage need them too.
        #[pallet::constant]
        type Rules: Get<Rules>;
        /// Deposit of the first complaint about an account. Each that is open makes the next dearer by
        /// as much.
        #[pallet::constant]
        type ComplaintDeposit: Get<Balance>;
        /// Most complaints that are open against one account.
        #[pallet::constant]
        type ComplaintsOpenMax: Get<u32>;
        /// How long after the end of a lease one may complain, in seconds.
        #[pallet::constant]
        type ComplaintSeconds: Get<u64>;
        /// How long arbiters have, in seconds.
        #[pallet::constant]
        type ArbitrationSeconds: Get<u64>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Why money is held.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// The deposit of a complaint, on its author's own account.
        Complaint,
    }

    /// The reputation of accounts, each as of its `updated_at`; see `Score::at`.
    #[pallet::storage]
    pub type Scores<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Score, OptionQuery>;

    /// What publishers (first) have paid for providers (second), each as of its `updated_at`.
    #[pallet::storage]
    pub type Pairs<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Blake2_128Concat,
        T::AccountId,
        Pair,
        OptionQuery,
    >;

    /// The id that the next complaint gets.
    #[pallet::storage]
    pub type NextComplaint<T: Config> = StorageValue<_, ComplaintId, ValueQuery>;

    /// Open complaints.
    #[pallet::storage]
    pub type Complaints<T: Config> =
        StorageMap<_, Twox64Concat, ComplaintId, ComplaintOf<T>, OptionQuery>;

    /// The open complaint of each side of a lease.
    #[pallet::storage]
    pub type OpenFor<T: Config> =
        StorageDoubleMap<_, Twox64Concat, LeaseId, Twox64Concat, Side, ComplaintId, OptionQuery>;

    /// How many complaints are open against an account.
    #[pallet::storage]
    pub type OpenAgainst<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A score has fallen.
        Faulted {
            /// Whose.
            who: T::AccountId,
            /// On which side of leases.
            side: Side,
            /// Why.
            fault: Fault,
            /// By how much.
            amount: Balance,
        },
        /// Somebody complains.
        Complained {
            /// Its number.
            complaint: ComplaintId,
            /// About which lease.
            lease: LeaseId,
            /// Who.
            author: T::AccountId,
            /// About whom.
            accused: T::AccountId,
            /// About what.
            kind: ComplaintKind,
            /// BLAKE2b-256 of the text.
            text_hash: Hash256,
            /// What the author put down.
            deposit: Balance,
            /// Last second for the arbiters.
            until: u64,
        },
        /// The author has taken a complaint back.
        ComplaintClosed {
            /// Which.
            complaint: ComplaintId,
        },
        /// Arbiters have decided.
        ComplaintResolved {
            /// Which.
            complaint: ComplaintId,
            /// Whether the author is right.
            upheld: bool,
        },
        /// Nobody decided in time.
        ComplaintExpired {
            /// Which.
            complaint: ComplaintId,
        },
        /// What two accounts have paid for each other is so long ago that it was forgotten.
        PairForgotten {
            /// Who paid.
            publisher: T::AccountId,
            /// Who was paid.
            provider: T::AccountId,
        },
        /// A score that has decayed was forgotten.
        ScoreForgotten {
            /// Whose.
            who: T::AccountId,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The chain does not know this lease (any more).
        LeaseNotKnown,
        /// Only the publisher and the provider of a lease may complain about it.
        NotASide,
        /// Both sides of the lease are the same account.
        OwnLease,
        /// The lease ended too long ago.
        TooLate,
        /// A complaint of this side about this lease is open: close it first.
        AlreadyOpen,
        /// Too many complaints about this account are open: wait until one is decided.
        TooManyOpen,
        /// There is no such complaint (any more).
        NoComplaint,
        /// Only its author may close a complaint.
        NotAuthor,
        /// The time for a decision is over: the complaint can only expire.
        ArbitersLate,
        /// Arbiters still have time to decide.
        ArbitersHaveTime,
        /// There is no such entry.
        NotFound,
        /// The entry is not so old that it may be forgotten.
        StillCounts,
        /// A counter or a deposit has come to its end.
        Overflow,
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Complain about the other side of a lease.
        ///
        /// - `origin`: Signed by the lease's publisher or provider, which pays the deposit.
        /// - `text_hash`: BLAKE2b-256 of what is to be said; arbiters are shown the text itself.
        #[pallet::call_index(0)]
        pub fn complain(
            origin: OriginFor<T>,
            lease: LeaseId,
            kind: ComplaintKind,
            text_hash: Hash256,
        ) -> DispatchResult {
            Self::do_complain(ensure_signed(origin)?, lease, kind, text_hash)
        }

        /// Take a complaint back. The deposit is free again, and no score changes.
        ///
        /// - `origin`: Signed by its author.
        #[pallet::call_index(1)]
        pub fn close_complaint(origin: OriginFor<T>, complaint: ComplaintId) -> DispatchResult {
            Self::do_close_complaint(&ensure_signed(origin)?, complaint)
        }

        /// Decide a complaint: right, and the accused's score falls; or not, and the deposit is the
        /// accused's.
        ///
        /// - `origin`: [`Config::ArbiterOrigin`].
        #[pallet::call_index(2)]
        pub fn resolve_complaint(
            origin: OriginFor<T>,
            complaint: ComplaintId,
            upheld: bool,
        ) -> DispatchResult {
            T::ArbiterOrigin::ensure_origin(origin)?;
            Self::do_resolve_complaint(complaint, upheld)
        }

        /// End a complaint that nobody decided in time. The deposit is its author's again, and no score
        /// changes.
        ///
        /// - `origin`: Signed by anyone.
        #[pallet::call_index(3)]
        pub fn expire_complaint(origin: OriginFor<T>, complaint: ComplaintId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_expire_complaint(complaint)
        }

        /// Forget what two accounts have paid for each other, once it has decayed to dust. For the chain's
        /// tidiness.
        ///
        /// - `origin`: Signed by anyone.
        #[pallet::call_index(4)]
        pub fn forget_pair(
            origin: OriginFor<T>,
            publisher: T::AccountId,
            provider: T::AccountId,
        ) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_forget_pair(&publisher, &provider)
        }

        /// Forget a score, once all of it has decayed to dust. For the chain's tidiness.
        ///
        /// - `origin`: Signed by anyone.
        #[pallet::call_index(5)]
        pub fn forget_score(origin: OriginFor<T>, who: T::AccountId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_forget_score(&who)
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// An account's reputation now; zeros where nothing is known.
        pub fn reputation(who: T::AccountId) -> Score {
            Self::score_now(&who)
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            let Rules { half_life_seconds, uptime_seconds, pair_free, fault_min } = T::Rules::get();
            assert!(half_life_seconds > 0, "scores must not vanish at once");
            assert!(uptime_seconds > 0, "uptime is a part of a time");
            assert!(pair_free >= 1_000, "dust must be something");
            assert!(fault_min > 0, "faults must cost something");
            assert!(T::ComplaintsOpenMax::get() > 0, "somebody must be able to complain");
            assert!(T::ArbitrationSeconds::get() > 0, "arbiters need time");
            // A rejected complaint's deposit must be able to go to any account.
            let least = <T::Currency as fungible::Inspect<_>>::minimum_balance();
            assert!(T::ComplaintDeposit::get() >= least, "deposits must be transferable");
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }
}
