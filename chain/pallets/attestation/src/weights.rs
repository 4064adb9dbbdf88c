//! Weights of the calls: set by hand, above what each can take in Wasm (a P-256 verification some
//! 1.5 ms, P-384 12 ms, an RSA-4096 certificate 5 ms; each tried for both grades where a call does
//! so), until `cargo xtask weights` measures this pallet.

use core::marker::PhantomData;
use frame_support::{
    traits::Get,
    weights::{constants::ParityDbWeight, Weight},
};

/// Weight of each call.
#[allow(missing_docs)]
pub trait WeightInfo {
    fn attest() -> Weight;
    fn appraise() -> Weight;
    fn recheck() -> Weight;
    fn approve_workload() -> Weight;
    fn revoke_workload() -> Weight;
    fn attest_cluster() -> Weight;
}

/// Weights with the runtime's own database costs.
#[derive(Debug)]
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn attest() -> Weight {
        Weight::from_parts(20_000_000_000, 40_000)
            .saturating_add(T::DbWeight::get().reads_writes(8, 4))
    }
    fn attest_cluster() -> Weight {
        Weight::from_parts(20_000_000_000, 40_000)
            .saturating_add(T::DbWeight::get().reads_writes(8, 4))
    }
    fn appraise() -> Weight {
        Weight::from_parts(20_000_000_000, 40_000)
            .saturating_add(T::DbWeight::get().reads_writes(6, 0))
    }
    fn recheck() -> Weight {
        Weight::from_parts(20_000_000_000, 40_000)
            .saturating_add(T::DbWeight::get().reads_writes(8, 1))
    }
    fn approve_workload() -> Weight {
        Weight::from_parts(30_000_000, 40_000).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }
    fn revoke_workload() -> Weight {
        Weight::from_parts(30_000_000, 40_000).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }
}

impl WeightInfo for () {
    fn attest() -> Weight {
        Weight::from_parts(20_000_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(8, 4))
    }
    fn attest_cluster() -> Weight {
        Weight::from_parts(20_000_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(8, 4))
    }
    fn appraise() -> Weight {
        Weight::from_parts(20_000_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(6, 0))
    }
    fn recheck() -> Weight {
        Weight::from_parts(20_000_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(8, 1))
    }
    fn approve_workload() -> Weight {
        Weight::from_parts(30_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(1, 1))
    }
    fn revoke_workload() -> Weight {
        Weight::from_parts(30_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(1, 1))
    }
}
