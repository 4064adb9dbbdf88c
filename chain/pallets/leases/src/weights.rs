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
    fn deploy() -> Weight;
    fn open() -> Weight;
    fn fund() -> Weight;
    fn set_spend_rate() -> Weight;
    fn activate() -> Weight;
    fn claim() -> Weight;
    fn close() -> Weight;
    fn settle() -> Weight;
    fn forget_nonce() -> Weight;
}

/// Weights with the runtime's own database costs.
#[derive(Debug)]
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn deploy() -> Weight {
        Weight::from_parts(220_000_000, 25200).saturating_add(T::DbWeight::get().reads_writes(7, 9))
    }
    fn open() -> Weight {
        Weight::from_parts(180_000_000, 21600).saturating_add(T::DbWeight::get().reads_writes(6, 7))
    }
    fn fund() -> Weight {
        Weight::from_parts(55_000_000, 7200).saturating_add(T::DbWeight::get().reads_writes(2, 2))
    }
    fn set_spend_rate() -> Weight {
        Weight::from_parts(25_000_000, 3600).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }
    fn activate() -> Weight {
        Weight::from_parts(35_000_000, 7200).saturating_add(T::DbWeight::get().reads_writes(2, 2))
    }
    fn claim() -> Weight {
        Weight::from_parts(150_000_000, 14400).saturating_add(T::DbWeight::get().reads_writes(4, 5))
    }
    fn close() -> Weight {
        Weight::from_parts(110_000_000, 18000).saturating_add(T::DbWeight::get().reads_writes(5, 8))
    }
    fn settle() -> Weight {
        Weight::from_parts(110_000_000, 252000)
            .saturating_add(T::DbWeight::get().reads_writes(70, 73))
    }
    fn forget_nonce() -> Weight {
        Weight::from_parts(25_000_000, 3600).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }
}

impl WeightInfo for () {
    fn deploy() -> Weight {
        Weight::from_parts(220_000_000, 25200)
            .saturating_add(ParityDbWeight::get().reads_writes(7, 9))
    }
    fn open() -> Weight {
        Weight::from_parts(180_000_000, 21600)
            .saturating_add(ParityDbWeight::get().reads_writes(6, 7))
    }
    fn fund() -> Weight {
        Weight::from_parts(55_000_000, 7200)
            .saturating_add(ParityDbWeight::get().reads_writes(2, 2))
    }
    fn set_spend_rate() -> Weight {
        Weight::from_parts(25_000_000, 3600)
            .saturating_add(ParityDbWeight::get().reads_writes(1, 1))
    }
    fn activate() -> Weight {
        Weight::from_parts(35_000_000, 7200)
            .saturating_add(ParityDbWeight::get().reads_writes(2, 2))
    }
    fn claim() -> Weight {
        Weight::from_parts(150_000_000, 14400)
            .saturating_add(ParityDbWeight::get().reads_writes(4, 5))
    }
    fn close() -> Weight {
        Weight::from_parts(110_000_000, 18000)
            .saturating_add(ParityDbWeight::get().reads_writes(5, 8))
    }
    fn settle() -> Weight {
        Weight::from_parts(110_000_000, 252000)
            .saturating_add(ParityDbWeight::get().reads_writes(70, 73))
    }
    fn forget_nonce() -> Weight {
        Weight::from_parts(25_000_000, 3600)
            .saturating_add(ParityDbWeight::get().reads_writes(1, 1))
    }
}
