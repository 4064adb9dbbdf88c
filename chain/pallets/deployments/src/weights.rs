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
    fn create() -> Weight;
    fn update() -> Weight;
    fn stop() -> Weight;
}

/// Weights with the runtime's own database costs.
#[derive(Debug)]
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn create() -> Weight {
        Weight::from_parts(55_000_000, 7200).saturating_add(T::DbWeight::get().reads_writes(2, 3))
    }
    fn update() -> Weight {
        Weight::from_parts(25_000_000, 3600).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }
    fn stop() -> Weight {
        Weight::from_parts(60_000_000, 7200).saturating_add(T::DbWeight::get().reads_writes(2, 2))
    }
}

impl WeightInfo for () {
    fn create() -> Weight {
        Weight::from_parts(55_000_000, 7200)
            .saturating_add(ParityDbWeight::get().reads_writes(2, 3))
    }
    fn update() -> Weight {
        Weight::from_parts(25_000_000, 3600)
            .saturating_add(ParityDbWeight::get().reads_writes(1, 1))
    }
    fn stop() -> Weight {
        Weight::from_parts(60_000_000, 7200)
            .saturating_add(ParityDbWeight::get().reads_writes(2, 2))
    }
}
