//! Weights of `pallet_tasks`, estimated by hand from like calls: reads and writes are counted, times
//! are to be measured by `cargo xtask weights`, which replaces this file.

use core::marker::PhantomData;
use frame_support::{
    traits::Get,
    weights::{constants::ParityDbWeight, Weight},
};

/// Weight of each call.
#[allow(missing_docs)]
pub trait WeightInfo {
    fn create() -> Weight;
    fn begin() -> Weight;
    fn submit_result() -> Weight;
    fn record_missed() -> Weight;
    fn record_lost() -> Weight;
    fn set_schedule() -> Weight;
    fn set_terms() -> Weight;
    fn stop() -> Weight;
    fn recharge() -> Weight;
    fn forget() -> Weight;
}

/// Weights with the runtime's own database costs.
#[derive(Debug)]
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn create() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Deployments::NextId`: 1 read, 1 written.
        // `Deployments::Deployments`: 0 read, 1 written.
        // `Tasks::Tasks`: 0 read, 1 written.
        // `Tasks::ByPublisher`: 0 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(70_000_000, 9_000)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    fn begin() -> Weight {
        // `Leases::Leases`: 2 read, 0 written.
        // `Tasks::Open`: 1 read, 1 written.
        // `Tasks::Tasks`: 1 read, 1 written.
        // `Tasks::History`: 0 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(45_000_000, 12_000)
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    fn submit_result() -> Weight {
        // `Attestation::Keys`: 1 read, 0 written.
        // `Leases::Agents`: 1 read, 1 written.
        // `Leases::Leases`: 1 read, 1 written.
        // `System::BlockHash`: 1 read, 0 written.
        // `Tasks::History`: 0 read, 1 written.
        // `Tasks::Open`: 1 read, 1 written.
        // `Tasks::Tasks`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(190_000_000, 16_000)
            .saturating_add(T::DbWeight::get().reads(7_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    fn record_missed() -> Weight {
        // `Leases::Leases`: 1 read, 0 written.
        // `Tasks::Tasks`: 1 read, 1 written.
        // `Tasks::History`: 0 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(30_000_000, 8_000)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
    fn record_lost() -> Weight {
        // `Leases::Leases`: 1 read, 0 written.
        // `Tasks::Open`: 1 read, 1 written.
        // `Tasks::Tasks`: 1 read, 1 written.
        // `Tasks::History`: 0 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(32_000_000, 8_000)
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    fn set_schedule() -> Weight {
        // `Tasks::Tasks`: 1 read, 1 written.
        // `Tasks::History`: 0 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(25_000_000, 5_000)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
    fn set_terms() -> Weight {
        // `Tasks::Tasks`: 1 read, 1 written.
        Weight::from_parts(18_000_000, 4_000)
            .saturating_add(T::DbWeight::get().reads(1_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    fn stop() -> Weight {
        // `Tasks::Tasks`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(18_000_000, 4_000)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    fn recharge() -> Weight {
        // `Assets::Account`: 1 read, 1 written.
        // `Assets::Asset`: 1 read, 1 written.
        // `AssetsHolder::BalancesOnHold`: 1 read, 1 written.
        // `AssetsHolder::Holds`: 1 read, 1 written.
        // `Leases::Deposits`: 1 read, 1 written.
        // `Leases::Leases`: 1 read, 1 written.
        // `Money::Admitted`: 1 read, 0 written.
        // `Tasks::Tasks`: 1 read, 0 written.
        Weight::from_parts(120_000_000, 20_000)
            .saturating_add(T::DbWeight::get().reads(8_u64))
            .saturating_add(T::DbWeight::get().writes(6_u64))
    }
    fn forget() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Tasks::ByPublisher`: 0 read, 1 written.
        // `Tasks::History`: 0 read, 64 written.
        // `Tasks::Tasks`: 1 read, 1 written.
        Weight::from_parts(110_000_000, 9_000)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(67_u64))
    }
}

impl WeightInfo for () {
    fn create() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Deployments::NextId`: 1 read, 1 written.
        // `Deployments::Deployments`: 0 read, 1 written.
        // `Tasks::Tasks`: 0 read, 1 written.
        // `Tasks::ByPublisher`: 0 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(70_000_000, 9_000)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn begin() -> Weight {
        // `Leases::Leases`: 2 read, 0 written.
        // `Tasks::Open`: 1 read, 1 written.
        // `Tasks::Tasks`: 1 read, 1 written.
        // `Tasks::History`: 0 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(45_000_000, 12_000)
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn submit_result() -> Weight {
        // `Attestation::Keys`: 1 read, 0 written.
        // `Leases::Agents`: 1 read, 1 written.
        // `Leases::Leases`: 1 read, 1 written.
        // `System::BlockHash`: 1 read, 0 written.
        // `Tasks::History`: 0 read, 1 written.
        // `Tasks::Open`: 1 read, 1 written.
        // `Tasks::Tasks`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(190_000_000, 16_000)
            .saturating_add(ParityDbWeight::get().reads(7_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn record_missed() -> Weight {
        // `Leases::Leases`: 1 read, 0 written.
        // `Tasks::Tasks`: 1 read, 1 written.
        // `Tasks::History`: 0 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(30_000_000, 8_000)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(2_u64))
    }
    fn record_lost() -> Weight {
        // `Leases::Leases`: 1 read, 0 written.
        // `Tasks::Open`: 1 read, 1 written.
        // `Tasks::Tasks`: 1 read, 1 written.
        // `Tasks::History`: 0 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(32_000_000, 8_000)
            .saturating_add(ParityDbWeight::get().reads(4_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn set_schedule() -> Weight {
        // `Tasks::Tasks`: 1 read, 1 written.
        // `Tasks::History`: 0 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(25_000_000, 5_000)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(2_u64))
    }
    fn set_terms() -> Weight {
        // `Tasks::Tasks`: 1 read, 1 written.
        Weight::from_parts(18_000_000, 4_000)
            .saturating_add(ParityDbWeight::get().reads(1_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn stop() -> Weight {
        // `Tasks::Tasks`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(18_000_000, 4_000)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn recharge() -> Weight {
        // `Assets::Account`: 1 read, 1 written.
        // `Assets::Asset`: 1 read, 1 written.
        // `AssetsHolder::BalancesOnHold`: 1 read, 1 written.
        // `AssetsHolder::Holds`: 1 read, 1 written.
        // `Leases::Deposits`: 1 read, 1 written.
        // `Leases::Leases`: 1 read, 1 written.
        // `Money::Admitted`: 1 read, 0 written.
        // `Tasks::Tasks`: 1 read, 0 written.
        Weight::from_parts(120_000_000, 20_000)
            .saturating_add(ParityDbWeight::get().reads(8_u64))
            .saturating_add(ParityDbWeight::get().writes(6_u64))
    }
    fn forget() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Tasks::ByPublisher`: 0 read, 1 written.
        // `Tasks::History`: 0 read, 64 written.
        // `Tasks::Tasks`: 1 read, 1 written.
        Weight::from_parts(110_000_000, 9_000)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(67_u64))
    }
}
