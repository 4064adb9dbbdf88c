//! What kind of network this chain is: written at genesis, never changed after.
//!
//! The slot length is here because a development chain seals a block for each transaction while
//! its clock stays the wall's (`docs/decisions/0003`); the kind is here because development trust
//! roots may only ever be accepted on a development chain.

pub use pallet::*;

#[frame_support::pallet]
pub mod pallet {
    use codec::{Decode, Encode, MaxEncodedLen};
    use frame_support::{pallet_prelude::*, traits::ConstU64};

    /// Slot length where genesis says nothing, in milliseconds.
    pub const SLOT_MILLISECONDS_DEFAULT: u64 = 2_000;

    /// What a chain is for.
    #[derive(
        Clone,
        Copy,
        Debug,
        Decode,
        Default,
        Encode,
        Eq,
        MaxEncodedLen,
        PartialEq,
        TypeInfo,
        serde::Deserialize,
        serde::Serialize,
    )]
    #[serde(rename_all = "camelCase")]
    pub enum NetworkKind {
        /// Real money and real machines. The default, so that nothing is open by omission.
        #[default]
        Production,
        /// Several validators with well-known keys, for tests.
        Local,
        /// One node that seals on demand, with well-known keys.
        Development,
    }

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {}

    /// What this chain is for.
    #[pallet::storage]
    pub type Kind<T: Config> = StorageValue<_, NetworkKind, ValueQuery>;

    /// Slot length in milliseconds.
    #[pallet::storage]
    pub type SlotMilliseconds<T: Config> =
        StorageValue<_, u64, ValueQuery, ConstU64<SLOT_MILLISECONDS_DEFAULT>>;

    /// Set at genesis, by nobody afterwards: the pallet has no calls.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// What the chain is for.
        pub kind: NetworkKind,
        /// Slot length in milliseconds; 0 means the default.
        pub slot_milliseconds: u64,
        #[serde(skip)]
        pub _config: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            Kind::<T>::put(self.kind);
            if self.slot_milliseconds > 0 {
                SlotMilliseconds::<T>::put(self.slot_milliseconds);
            }
        }
    }

    /// The slot length as a parameter of other pallets.
    #[derive(Debug)]
    pub struct SlotDuration<T>(core::marker::PhantomData<T>);
    impl<T: Config> Get<u64> for SlotDuration<T> {
        fn get() -> u64 {
            SlotMilliseconds::<T>::get()
        }
    }

    /// Half a slot: the least time between two blocks.
    #[derive(Debug)]
    pub struct HalfSlot<T>(core::marker::PhantomData<T>);
    impl<T: Config> Get<u64> for HalfSlot<T> {
        fn get() -> u64 {
            SlotMilliseconds::<T>::get() / 2
        }
    }
}
