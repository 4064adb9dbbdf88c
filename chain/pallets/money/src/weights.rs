//! Weights of `pallet_money`, estimated: reads and writes are counted, the times are those of calls
//! that do as much. `cargo xtask weights` replaces this file.

use core::marker::PhantomData;
use frame_support::{
    traits::Get,
    weights::{constants::ParityDbWeight, Weight},
};

/// Weight of each call.
#[allow(missing_docs)]
pub trait WeightInfo {
    fn admit() -> Weight;
    fn set_admission() -> Weight;
}

/// Weights with the runtime's own database costs.
#[derive(Debug)]
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn admit() -> Weight {
        // `Assets::Asset`: 1 read, 0 written.
        // `Assets::Metadata`: 1 read, 0 written.
        // `Money::Admitted`: 1 read, 1 written.
        // `Money::BySymbol`: 1 read, 1 written.
        // `Money::CounterForAdmitted`: 1 read, 1 written.
        Weight::from_parts(40_000_000, 3_700)
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    fn set_admission() -> Weight {
        // `Assets::Asset`: 1 read, 0 written.
        // `Money::Admitted`: 1 read, 1 written.
        Weight::from_parts(20_000_000, 3_700)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
}

impl WeightInfo for () {
    fn admit() -> Weight {
        // `Assets::Asset`: 1 read, 0 written.
        // `Assets::Metadata`: 1 read, 0 written.
        // `Money::Admitted`: 1 read, 1 written.
        // `Money::BySymbol`: 1 read, 1 written.
        // `Money::CounterForAdmitted`: 1 read, 1 written.
        Weight::from_parts(40_000_000, 3_700)
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn set_admission() -> Weight {
        // `Assets::Asset`: 1 read, 0 written.
        // `Money::Admitted`: 1 read, 1 written.
        Weight::from_parts(20_000_000, 3_700)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
}
