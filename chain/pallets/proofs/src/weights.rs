//! Weights of `pallet_proofs`.
//!
//! Estimates by hand, in the form of the generated files, until they are measured
//! (`cargo xtask weights`): reads and writes are counted from the code, times are those of the measured
//! calls that do the same work (`leases.claim`, `attestation.attest`, `providers.bond`), plus hashing
//! and paths at 4 µs for each node, rounded up.

use core::marker::PhantomData;
use frame_support::{
    traits::Get,
    weights::{constants::ParityDbWeight, Weight},
};

/// Weight of each call.
#[allow(missing_docs)]
pub trait WeightInfo {
    fn submit_batch() -> Weight;
    fn claim_from_batch() -> Weight;
    fn forget_batch() -> Weight;
    fn challenge() -> Weight;
    fn answer_evidence_dcap() -> Weight;
    fn answer_evidence_snp() -> Weight;
    fn answer_log_chunk() -> Weight;
    fn answer_batch_leaf() -> Weight;
    fn conclude() -> Weight;
}

/// Weights with the runtime's own database costs.
#[derive(Debug)]
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn submit_batch() -> Weight {
        // `Proofs::Batches`: 0 read, 2 written.
        // `Proofs::NextBatch`: 1 read, 1 written.
        // `Providers::Providers`: 1 read, 0 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(25_000_000, 5_301)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    fn claim_from_batch() -> Weight {
        // As `leases.claim`, and `Proofs::Batches`: 1 read, 0 written.
        Weight::from_parts(500_000_000, 27_000)
            .saturating_add(T::DbWeight::get().reads(10_u64))
            .saturating_add(T::DbWeight::get().writes(6_u64))
    }
    fn forget_batch() -> Weight {
        // `Proofs::Batches`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(20_000_000, 3_600)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    fn challenge() -> Weight {
        // `Attestation::Standings` or `Leases::Agents`: 1 read, 0 written.
        // `Balances::Holds`: 1 read, 1 written.
        // `Leases::Leases`: 1 read, 0 written.
        // `Proofs::ByProvider`: 0 read, 1 written.
        // `Proofs::Challenges`: 0 read, 1 written.
        // `Proofs::NextChallenge`: 1 read, 1 written.
        // `Proofs::OpenAgainst` or `Proofs::OpenByPublisher`: 1 read, 1 written.
        // `Proofs::Targets`: 1 read, 1 written.
        // `System::Number` and `System::ParentHash` are in memory.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(110_000_000, 24_000)
            .saturating_add(T::DbWeight::get().reads(7_u64))
            .saturating_add(T::DbWeight::get().writes(6_u64))
    }
    fn answer_evidence_dcap() -> Weight {
        // As `attestation.attest` with a quote, and the end of a challenge:
        // `Balances::Holds`: 1 read, 1 written.
        // `Proofs::*`: 2 read, 4 written.
        // `System::Account`: 2 read, 2 written.
        // `Reputation::Scores`: 1 read, 1 written.
        Weight::from_parts(1_900_000_000, 220_000)
            .saturating_add(T::DbWeight::get().reads(17_u64))
            .saturating_add(T::DbWeight::get().writes(8_u64))
    }
    fn answer_evidence_snp() -> Weight {
        // As `attestation.attest` with a report, and the end of a challenge:
        // `Balances::Holds`: 1 read, 1 written.
        // `Proofs::*`: 2 read, 4 written.
        // `System::Account`: 2 read, 2 written.
        // `Reputation::Scores`: 1 read, 1 written.
        Weight::from_parts(5_500_000_000, 115_000)
            .saturating_add(T::DbWeight::get().reads(15_u64))
            .saturating_add(T::DbWeight::get().writes(8_u64))
    }
    fn answer_log_chunk() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Proofs::*`: 2 read, 4 written.
        // `System::Account`: 2 read, 2 written.
        // `Reputation::Scores`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(450_000_000, 13_000)
            .saturating_add(T::DbWeight::get().reads(7_u64))
            .saturating_add(T::DbWeight::get().writes(8_u64))
    }
    fn answer_batch_leaf() -> Weight {
        // `Attestation::Standings`: 1 read, 0 written.
        // `Balances::Holds`: 1 read, 1 written.
        // `Leases::Agents`: 1 read, 0 written.
        // `Leases::Leases`: 1 read, 0 written.
        // `Proofs::*`: 2 read, 4 written.
        // `System::Account`: 2 read, 2 written.
        // `System::BlockHash`: 1 read, 0 written.
        // `Reputation::Scores`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(550_000_000, 30_000)
            .saturating_add(T::DbWeight::get().reads(11_u64))
            .saturating_add(T::DbWeight::get().writes(8_u64))
    }
    fn conclude() -> Weight {
        // `Attestation::Standings`: 1 read, 0 written.
        // `Balances::Holds`: 3 read, 3 written (challenger, provider, publisher).
        // `Leases::Leases`: 1 read, 1 written.
        // `Proofs::*`: 2 read, 4 written.
        // `Providers::Providers`: 1 read, 1 written.
        // `Providers::SlashedTotal`: 1 read, 1 written.
        // `System::Account`: 3 read, 3 written.
        // `Timestamp::Now`: 1 read, 0 written.
        // `Reputation::Scores`: 1 read, 1 written.
        Weight::from_parts(320_000_000, 60_000)
            .saturating_add(T::DbWeight::get().reads(14_u64))
            .saturating_add(T::DbWeight::get().writes(14_u64))
    }
}

impl WeightInfo for () {
    fn submit_batch() -> Weight {
        // `Proofs::Batches`: 0 read, 2 written.
        // `Proofs::NextBatch`: 1 read, 1 written.
        // `Providers::Providers`: 1 read, 0 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(25_000_000, 5_301)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn claim_from_batch() -> Weight {
        // As `leases.claim`, and `Proofs::Batches`: 1 read, 0 written.
        Weight::from_parts(500_000_000, 27_000)
            .saturating_add(ParityDbWeight::get().reads(10_u64))
            .saturating_add(ParityDbWeight::get().writes(6_u64))
    }
    fn forget_batch() -> Weight {
        // `Proofs::Batches`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(20_000_000, 3_600)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn challenge() -> Weight {
        // `Attestation::Standings` or `Leases::Agents`: 1 read, 0 written.
        // `Balances::Holds`: 1 read, 1 written.
        // `Leases::Leases`: 1 read, 0 written.
        // `Proofs::ByProvider`: 0 read, 1 written.
        // `Proofs::Challenges`: 0 read, 1 written.
        // `Proofs::NextChallenge`: 1 read, 1 written.
        // `Proofs::OpenAgainst` or `Proofs::OpenByPublisher`: 1 read, 1 written.
        // `Proofs::Targets`: 1 read, 1 written.
        // `System::Number` and `System::ParentHash` are in memory.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(110_000_000, 24_000)
            .saturating_add(ParityDbWeight::get().reads(7_u64))
            .saturating_add(ParityDbWeight::get().writes(6_u64))
    }
    fn answer_evidence_dcap() -> Weight {
        // As `attestation.attest` with a quote, and the end of a challenge:
        // `Balances::Holds`: 1 read, 1 written.
        // `Proofs::*`: 2 read, 4 written.
        // `System::Account`: 2 read, 2 written.
        // `Reputation::Scores`: 1 read, 1 written.
        Weight::from_parts(1_900_000_000, 220_000)
            .saturating_add(ParityDbWeight::get().reads(17_u64))
            .saturating_add(ParityDbWeight::get().writes(8_u64))
    }
    fn answer_evidence_snp() -> Weight {
        // As `attestation.attest` with a report, and the end of a challenge:
        // `Balances::Holds`: 1 read, 1 written.
        // `Proofs::*`: 2 read, 4 written.
        // `System::Account`: 2 read, 2 written.
        // `Reputation::Scores`: 1 read, 1 written.
        Weight::from_parts(5_500_000_000, 115_000)
            .saturating_add(ParityDbWeight::get().reads(15_u64))
            .saturating_add(ParityDbWeight::get().writes(8_u64))
    }
    fn answer_log_chunk() -> Weight {
        // `Balances::Holds`: 1 read, 1 written.
        // `Proofs::*`: 2 read, 4 written.
        // `System::Account`: 2 read, 2 written.
        // `Reputation::Scores`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(450_000_000, 13_000)
            .saturating_add(ParityDbWeight::get().reads(7_u64))
            .saturating_add(ParityDbWeight::get().writes(8_u64))
    }
    fn answer_batch_leaf() -> Weight {
        // `Attestation::Standings`: 1 read, 0 written.
        // `Balances::Holds`: 1 read, 1 written.
        // `Leases::Agents`: 1 read, 0 written.
        // `Leases::Leases`: 1 read, 0 written.
        // `Proofs::*`: 2 read, 4 written.
        // `System::Account`: 2 read, 2 written.
        // `System::BlockHash`: 1 read, 0 written.
        // `Reputation::Scores`: 1 read, 1 written.
        // `Timestamp::Now`: 1 read, 0 written.
        Weight::from_parts(550_000_000, 30_000)
            .saturating_add(ParityDbWeight::get().reads(11_u64))
            .saturating_add(ParityDbWeight::get().writes(8_u64))
    }
    fn conclude() -> Weight {
        // `Attestation::Standings`: 1 read, 0 written.
        // `Balances::Holds`: 3 read, 3 written (challenger, provider, publisher).
        // `Leases::Leases`: 1 read, 1 written.
        // `Proofs::*`: 2 read, 4 written.
        // `Providers::Providers`: 1 read, 1 written.
        // `Providers::SlashedTotal`: 1 read, 1 written.
        // `System::Account`: 3 read, 3 written.
        // `Timestamp::Now`: 1 read, 0 written.
        // `Reputation::Scores`: 1 read, 1 written.
        Weight::from_parts(320_000_000, 60_000)
            .saturating_add(ParityDbWeight::get().reads(14_u64))
            .saturating_add(ParityDbWeight::get().writes(14_u64))
    }
}
