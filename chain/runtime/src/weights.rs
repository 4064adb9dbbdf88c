//! Weights of the SDK's pallets, as `cargo xtask weights` has measured them with this runtime's
//! configuration. Those of Casemate's own pallets lie in their crates.

pub mod frame_system;
pub mod frame_system_extensions;
pub mod pallet_balances;
pub mod pallet_collective;
pub mod pallet_grandpa;
pub mod pallet_preimage;
pub mod pallet_session;
pub mod pallet_timestamp;
pub mod pallet_transaction_payment;
pub mod pallet_utility;
pub mod pallet_whitelist;

use frame_support::weights::Weight;

/// GRANDPA's calls, from what its benchmarks measure.
impl<T: ::frame_system::Config> ::pallet_grandpa::WeightInfo for pallet_grandpa::WeightInfo<T> {
    /// The proof is checked; nothing is done about it yet, so that neither validators nor
    /// nominators add to it.
    fn report_equivocation(_validator_count: u32, _max_nominators_per_validator: u32) -> Weight {
        Self::check_equivocation_proof(1)
    }

    fn note_stalled() -> Weight {
        Self::note_stalled()
    }
}
