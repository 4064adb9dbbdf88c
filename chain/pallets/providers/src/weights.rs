//! Weights of the calls.
//!
//! Estimates, not yet measured: database reads and writes counted by hand from the code, times
//! rounded up from the SDK's weights of calls that do the same (holds, transfers, signature
//! checks).

use core::marker::PhantomData;
use frame_support::{
    traits::Get,
    weights::{constants::ParityDbWeight, Weight},
};

/// Weight of each call.
#[allow(missing_docs)]
pub trait WeightInfo {
    fn register() -> Weight;
    fn update() -> Weight;
    fn bond() -> Weight;
    fn unbond() -> Weight;
    fn withdraw() -> Weight;
    fn retire() -> Weight;
}

/// Weights with the runtime's own database costs.
#[derive(Debug)]
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn register() -> Weight {
        Weight::from_parts(60_000_000, 3600).saturating_add(T::DbWeight::get().reads_writes(1, 2))
    }
    fn update() -> Weight {
        Weight::from_parts(30_000_000, 3600).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }
    fn bond() -> Weight {
        Weight::from_parts(50_000_000, 7200).saturating_add(T::DbWeight::get().reads_writes(2, 2))
    }
    fn unbond() -> Weight {
        Weight::from_parts(30_000_000, 3600).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }
    fn withdraw() -> Weight {
        Weight::from_parts(55_000_000, 7200).saturating_add(T::DbWeight::get().reads_writes(2, 2))
    }
    fn retire() -> Weight {
        Weight::from_parts(35_000_000, 3600).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }
}

impl WeightInfo for () {
    fn register() -> Weight {
        Weight::from_parts(60_000_000, 3600)
            .saturating_add(ParityDbWeight::get().reads_writes(1, 2))
    }
    fn update() -> Weight {
        Weight::from_parts(30_000_000, 3600)
            .saturating_add(ParityDbWeight::get().reads_writes(1, 1))
    }
    fn bond() -> Weight {
        Weight::from_parts(50_000_000, 7200)
            .saturating_add(ParityDbWeight::get().reads_writes(2, 2))
    }
    fn unbond() -> Weight {
        Weight::from_parts(30_000_000, 3600)
            .saturating_add(ParityDbWeight::get().reads_writes(1, 1))
    }
    fn withdraw() -> Weight {
        Weight::from_parts(55_000_000, 7200)
            .saturating_add(ParityDbWeight::get().reads_writes(2, 2))
    }
    fn retire() -> Weight {
        Weight::from_parts(35_000_000, 3600)
            .saturating_add(ParityDbWeight::get().reads_writes(1, 1))
    }
}
