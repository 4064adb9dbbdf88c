#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
// FRAME's macros make public types without Debug.
#![allow(missing_debug_implementations)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod impl_admission;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod traits;
mod try_state;
mod types;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
pub use benchmarking::RegisterAsset;
pub use pallet::*;
pub use traits::AdmittedAssets;
pub use types::{
    Admission, HeldMoney, Money, NativeOrRegistered, Symbol, ADMITTED_MAX, DECIMALS_MAX,
    SYMBOL_LENGTH_MAX, SYMBOL_LENGTH_MIN,
};
pub use weights::WeightInfo;

use frame_support::pallet_prelude::*;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::{string::String, vec::Vec};
    use casemate_primitives::Balance;
    use frame_support::traits::fungibles;
    use frame_system::pallet_prelude::*;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// The registry of assets.
        type Assets: fungibles::Inspect<Self::AccountId, AssetId = u32, Balance = Balance>
            + fungibles::metadata::Inspect<Self::AccountId>;
        /// Who admits assets.
        type GovernanceOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
        /// Makes what the benchmarks need.
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: RegisterAsset;
    }

    /// What leases may be paid in, besides the native token.
    #[pallet::storage]
    pub type Admitted<T: Config> = CountedStorageMap<_, Twox64Concat, u32, Admission, OptionQuery>;

    /// Admitted assets by their symbols in capitals.
    #[pallet::storage]
    pub type BySymbol<T: Config> = StorageMap<_, Twox64Concat, Symbol, u32, OptionQuery>;

    /// Assets that are admitted from the beginning.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Id, symbol, decimals and least deposit of each. They must be registered.
        pub admitted: Vec<(u32, String, u8, Balance)>,
        /// Nothing; it names the runtime.
        #[serde(skip)]
        pub _marker: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            for (asset, symbol, decimals, deposit_min) in &self.admitted {
                let symbol = Symbol::truncate_from(symbol.as_bytes().to_vec());
                if let Err(err) = Pallet::<T>::do_admit(*asset, symbol, *decimals, *deposit_min) {
                    panic!("genesis can't admit asset {asset}: {err:?}");
                }
            }
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// Leases may be paid in an asset.
        Admitted {
            /// Which.
            asset: u32,
            /// How it is called from now on.
            symbol: Symbol,
        },
        /// What is asked of an admitted asset changed.
        AdmissionSet {
            /// Which.
            asset: u32,
            /// Least that a lease is opened with.
            deposit_min: Balance,
            /// Whether it takes new money.
            open: bool,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// There is no such asset: register it first.
        NotRegistered,
        /// The asset is on the list already: change its admission instead.
        AlreadyAdmitted,
        /// The asset is not on the list: admit it first.
        NotAdmitted,
        /// A symbol has 2 to 12 letters and digits, begins with a letter, and is no unit of CASE.
        BadSymbol,
        /// Another admitted asset has the symbol, whatever its case.
        SymbolTaken,
        /// An asset has at most 18 decimals.
        BadDecimals,
        /// Symbol or decimals are not those of the asset's metadata now.
        MetadataDiffers,
        /// The least deposit is below the asset's minimum balance.
        DepositTooSmall,
        /// The list is full.
        ListFull,
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Let leases be paid in an asset.
        ///
        /// - `origin`: Governance, which judges who may mint and freeze it.
        /// - `symbol`, `decimals`: As in the asset's metadata now; fixed from here on.
        /// - `deposit_min`: Least that a lease is opened with.
        #[pallet::call_index(0)]
        pub fn admit(
            origin: OriginFor<T>,
            asset: u32,
            symbol: Symbol,
            decimals: u8,
            deposit_min: Balance,
        ) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            Self::do_admit(asset, symbol, decimals, deposit_min)
        }

        /// Change the least deposit, or whether an asset takes new money. What is locked in leases
        /// stays what it is.
        ///
        /// - `origin`: Governance.
        #[pallet::call_index(1)]
        pub fn set_admission(
            origin: OriginFor<T>,
            asset: u32,
            deposit_min: Balance,
            open: bool,
        ) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            Self::do_set_admission(asset, deposit_min, open)
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
