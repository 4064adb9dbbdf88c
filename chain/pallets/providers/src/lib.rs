#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
// FRAME's macros make public types without Debug.
#![allow(missing_debug_implementations)]

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod impl_registry;
mod impl_slash;
mod impl_stake;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod traits;
mod try_state;
mod types;
pub mod weights;

pub use pallet::*;
pub use traits::{OnRetire, ProviderRegistry, ProviderStake, Slashed};
pub use types::{Provider, StakeRates, Unbonding, UnbondingsMax};
pub use weights::WeightInfo;

use frame_support::pallet_prelude::*;

/// Price lists that one provider may keep, one for each asset.
pub type PriceLists = BoundedVec<casemate_primitives::PriceList, ConstU32<8>>;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use casemate_primitives::{Balance, ProviderInfo, Resources};
    use frame_support::traits::{fungible, UnixTime};
    use frame_system::pallet_prelude::*;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// Holds the stake.
        type Currency: fungible::Inspect<Self::AccountId, Balance = Balance>
            + fungible::hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>;
        /// The composite hold reason of the runtime.
        type RuntimeHoldReason: From<HoldReason>;
        /// The chain's clock.
        type Time: UnixTime;
        /// What others keep for a provider, and forget when it retires.
        type OnRetire: OnRetire<Self::AccountId>;
        /// Stake that each unit of offered capacity needs.
        #[pallet::constant]
        type StakeRates: Get<StakeRates>;
        /// Least stake of any provider, whatever it offers.
        #[pallet::constant]
        type StakeMin: Get<Balance>;
        /// How long unbonded stake stays held (and can be slashed), in seconds.
        #[pallet::constant]
        type UnbondingSeconds: Get<u64>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Why money is held.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// A provider's stake, what is being unbonded included.
        Stake,
    }

    /// All registered providers.
    #[pallet::storage]
    pub type Providers<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Provider, OptionQuery>;

    /// What was slashed of each provider that is registered and was slashed, in all. For invariant 3,
    /// and for whoever wants to know.
    #[pallet::storage]
    pub type SlashedTotal<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Balance, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A provider joined.
        Registered {
            /// Who.
            provider: T::AccountId,
            /// With how much stake.
            stake: Balance,
        },
        /// A provider changed what it says or offers.
        Updated {
            /// Who.
            provider: T::AccountId,
        },
        /// Stake was added.
        Bonded {
            /// Whose.
            provider: T::AccountId,
            /// How much.
            amount: Balance,
        },
        /// Stake is on its way out.
        Unbonding {
            /// Whose.
            provider: T::AccountId,
            /// How much.
            amount: Balance,
            /// From when on it can be withdrawn (Unix seconds).
            unlocks_at: u64,
        },
        /// Unbonded stake is free again.
        Withdrawn {
            /// Whose.
            provider: T::AccountId,
            /// How much.
            amount: Balance,
        },
        /// A provider left. All of its stake starts to unbond with this.
        Retired {
            /// Who.
            provider: T::AccountId,
        },
        /// Stake was taken away.
        Slashed {
            /// Whose.
            provider: T::AccountId,
            /// How much in all: from what is bonded first, then from what is unbonding.
            amount: Balance,
            /// How much of it went to `beneficiary`. The rest is burnt.
            rewarded: Balance,
            /// Who has shown the reason.
            beneficiary: T::AccountId,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The account is a provider already: use `update`.
        AlreadyRegistered,
        /// The account is not a provider: `register` first.
        NotRegistered,
        /// The stake does not cover the capacity offered (any more, after a slash): bond more or offer
        /// less.
        StakeTooLow,
        /// More was to be unbonded than is bonded.
        NotEnoughStake,
        /// Too many unbondings at once: wait for one and `withdraw`.
        TooManyUnbondings,
        /// Nothing has come to the end of the unbonding delay yet.
        NothingToWithdraw,
        /// The capacity would fall below what leases use.
        CapacityInUse,
        /// The provider has not this much free capacity.
        CapacityExhausted,
        /// Leases are not settled yet: close them first.
        LeasesLive,
        /// The provider retires: it takes no changes and no leases.
        Retiring,
        /// An amount of zero changes nothing.
        ZeroAmount,
        /// Two price lists for one asset.
        DuplicateAsset,
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Register a provider and hold its stake.
        ///
        /// - `origin`: Signed by the provider's account, which pays the stake.
        /// - `info`: Name, regions, endpoints, TEE kinds: the provider's own words.
        /// - `capacity`: What is offered; the stake must cover it ([`Config::StakeRates`]).
        /// - `price_lists`: For searching; a lease's prices come from a signed quote.
        #[pallet::call_index(0)]
        pub fn register(
            origin: OriginFor<T>,
            info: ProviderInfo,
            capacity: Resources,
            price_lists: PriceLists,
            stake: Balance,
        ) -> DispatchResult {
            Self::do_register(ensure_signed(origin)?, info, capacity, price_lists, stake)
        }

        /// Replace what the provider says and offers.
        ///
        /// - `origin`: Signed by the provider.
        /// - `capacity`: Not below what leases use, and covered by the stake.
        #[pallet::call_index(1)]
        pub fn update(
            origin: OriginFor<T>,
            info: ProviderInfo,
            capacity: Resources,
            price_lists: PriceLists,
        ) -> DispatchResult {
            Self::do_update(ensure_signed(origin)?, info, capacity, price_lists)
        }

        /// Add to the stake.
        #[pallet::call_index(2)]
        pub fn bond(origin: OriginFor<T>, amount: Balance) -> DispatchResult {
            Self::do_bond(ensure_signed(origin)?, amount)
        }

        /// Start to take stake out; it stays held for [`Config::UnbondingSeconds`].
        #[pallet::call_index(3)]
        pub fn unbond(origin: OriginFor<T>, amount: Balance) -> DispatchResult {
            Self::do_unbond(ensure_signed(origin)?, amount)
        }

        /// Free the stake whose unbonding delay is over. A retired provider is forgotten with its
        /// last withdrawal.
        #[pallet::call_index(4)]
        pub fn withdraw(origin: OriginFor<T>) -> DispatchResult {
            Self::do_withdraw(ensure_signed(origin)?)
        }

        /// Leave: refused while a lease is not settled. All stake starts to unbond; a provider whose
        /// stake was slashed to nothing is forgotten at once.
        #[pallet::call_index(5)]
        pub fn retire(origin: OriginFor<T>) -> DispatchResult {
            Self::do_retire(ensure_signed(origin)?)
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
