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
    fn submit_root_crl() -> Weight;
    fn submit_pck_crl() -> Weight;
    fn submit_tcb_info() -> Weight;
    fn submit_qe_identity() -> Weight;
    fn submit_pck() -> Weight;
    fn submit_vek() -> Weight;
    fn forget_certificate() -> Weight;
    fn add_root() -> Weight;
    fn remove_root() -> Weight;
    fn set_snp_minimum() -> Weight;
}

/// Weights with the runtime's own database costs.
#[derive(Debug)]
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn submit_root_crl() -> Weight {
        Weight::from_parts(10_000_000_000, 40_000)
            .saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }
    fn submit_pck_crl() -> Weight {
        Weight::from_parts(15_000_000_000, 40_000)
            .saturating_add(T::DbWeight::get().reads_writes(4, 1))
    }
    fn submit_tcb_info() -> Weight {
        Weight::from_parts(20_000_000_000, 40_000)
            .saturating_add(T::DbWeight::get().reads_writes(4, 1))
    }
    fn submit_qe_identity() -> Weight {
        Weight::from_parts(20_000_000_000, 40_000)
            .saturating_add(T::DbWeight::get().reads_writes(4, 1))
    }
    fn submit_pck() -> Weight {
        Weight::from_parts(30_000_000_000, 40_000)
            .saturating_add(T::DbWeight::get().reads_writes(6, 1))
    }
    fn submit_vek() -> Weight {
        Weight::from_parts(60_000_000_000, 40_000)
            .saturating_add(T::DbWeight::get().reads_writes(3, 1))
    }
    fn forget_certificate() -> Weight {
        Weight::from_parts(40_000_000, 40_000).saturating_add(T::DbWeight::get().reads_writes(2, 2))
    }
    fn add_root() -> Weight {
        Weight::from_parts(30_000_000, 40_000).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }
    fn remove_root() -> Weight {
        Weight::from_parts(30_000_000, 40_000).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }
    fn set_snp_minimum() -> Weight {
        Weight::from_parts(20_000_000, 40_000).saturating_add(T::DbWeight::get().reads_writes(0, 1))
    }
}

impl WeightInfo for () {
    fn submit_root_crl() -> Weight {
        Weight::from_parts(10_000_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(2, 1))
    }
    fn submit_pck_crl() -> Weight {
        Weight::from_parts(15_000_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(4, 1))
    }
    fn submit_tcb_info() -> Weight {
        Weight::from_parts(20_000_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(4, 1))
    }
    fn submit_qe_identity() -> Weight {
        Weight::from_parts(20_000_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(4, 1))
    }
    fn submit_pck() -> Weight {
        Weight::from_parts(30_000_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(6, 1))
    }
    fn submit_vek() -> Weight {
        Weight::from_parts(60_000_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(3, 1))
    }
    fn forget_certificate() -> Weight {
        Weight::from_parts(40_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(2, 2))
    }
    fn add_root() -> Weight {
        Weight::from_parts(30_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(1, 1))
    }
    fn remove_root() -> Weight {
        Weight::from_parts(30_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(1, 1))
    }
    fn set_snp_minimum() -> Weight {
        Weight::from_parts(20_000_000, 40_000)
            .saturating_add(ParityDbWeight::get().reads_writes(0, 1))
    }
}
