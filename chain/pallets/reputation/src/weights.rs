//! Weights of `pallet_reputation`, estimated.
//!
//! Not measured yet: reads and writes are counted from the code, times and proof sizes are those of calls
//! of other pallets that do the same. `cargo xtask weights` replaces this file.

use core::marker::PhantomData;
use frame_support::{
    traits::Get,
    weights::{constants::ParityDbWeight, Weight},
};

/// Weight of each call.
#[allow(missing_docs)]
pub trait WeightInfo {
    fn complain() -> Weight;
    fn close_complaint() -> Weight;
    fn resolve_complaint() -> Weight;
    fn expire_complaint() -> Weight;
    fn forget_pair() -> Weight;
    fn forget_score() -> Weight;
}

/// Weights with the runtime's own database costs.
#[derive(Debug)]
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn complain() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Leases::Leases`: 1 read, 0 written.
        // `Reputation::Complaints`: 0 read, 1 written.
        // `Reputation::NextComplaint`: 1 read, 1 written.
        // `Reputation::OpenAgainst`: 1 read, 1 written.
        // `Reputation::OpenFor`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(70_000_000, 14_500)
            .saturating_add(T::DbWeight::get().reads(6_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    fn close_complaint() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Reputation::Complaints`: 1 read, 1 written.
        // `Reputation::OpenAgainst`: 1 read, 1 written.
        // `Reputation::OpenFor`: 0 read, 1 written.
        Weight::from_parts(60_000_000, 10_000)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(4_u64))
    }
    fn resolve_complaint() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Reputation::Complaints`: 1 read, 1 written.
        // `Reputation::OpenAgainst`: 1 read, 1 written.
        // `Reputation::OpenFor`: 0 read, 1 written.
        // `Reputation::Scores`: 1 read, 1 written.
        // `System::Account`: 2 read, 2 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(110_000_000, 22_000)
            .saturating_add(T::DbWeight::get().reads(7_u64))
            .saturating_add(T::DbWeight::get().writes(7_u64))
    }
    fn expire_complaint() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Reputation::Complaints`: 1 read, 1 written.
        // `Reputation::OpenAgainst`: 1 read, 1 written.
        // `Reputation::OpenFor`: 0 read, 1 written.
        // `System::Account`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(65_000_000, 14_000)
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    fn forget_pair() -> Weight {
        // `Reputation::Pairs`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(16_000_000, 5_100)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    fn forget_score() -> Weight {
        // `Reputation::Scores`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(18_000_000, 5_300)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
}

impl WeightInfo for () {
    fn complain() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Leases::Leases`: 1 read, 0 written.
        // `Reputation::Complaints`: 0 read, 1 written.
        // `Reputation::NextComplaint`: 1 read, 1 written.
        // `Reputation::OpenAgainst`: 1 read, 1 written.
        // `Reputation::OpenFor`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(70_000_000, 14_500)
            .saturating_add(ParityDbWeight::get().reads(6_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn close_complaint() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Reputation::Complaints`: 1 read, 1 written.
        // `Reputation::OpenAgainst`: 1 read, 1 written.
        // `Reputation::OpenFor`: 0 read, 1 written.
        Weight::from_parts(60_000_000, 10_000)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
    }
    fn resolve_complaint() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Reputation::Complaints`: 1 read, 1 written.
        // `Reputation::OpenAgainst`: 1 read, 1 written.
        // `Reputation::OpenFor`: 0 read, 1 written.
        // `Reputation::Scores`: 1 read, 1 written.
        // `System::Account`: 2 read, 2 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(110_000_000, 22_000)
            .saturating_add(ParityDbWeight::get().reads(7_u64))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
    }
    fn expire_complaint() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Reputation::Complaints`: 1 read, 1 written.
        // `Reputation::OpenAgainst`: 1 read, 1 written.
        // `Reputation::OpenFor`: 0 read, 1 written.
        // `System::Account`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(65_000_000, 14_000)
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn forget_pair() -> Weight {
        // `Reputation::Pairs`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(16_000_000, 5_100)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn forget_score() -> Weight {
        // `Reputation::Scores`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(18_000_000, 5_300)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
}
