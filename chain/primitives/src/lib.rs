//! What the chain and the enclave must agree on byte for byte: ids, resources, prices, the quote
//! that a provider signs and the usage record that an agent signs.
//!
//! `no_std`, so that the runtime, the agent and (later) browsers use the very same code. Nothing
//! here reads a clock, a key store or a network: times are arguments, signatures are checked by
//! the caller over [`Quote::signing_payload`] and [`UsageRecord::signing_payload`].

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::cast_possible_truncation, clippy::unwrap_used))]

extern crate alloc;

#[cfg(feature = "std")]
mod error;
mod hash;
mod ids;
mod lease;
mod logs;
pub mod merkle;
mod price;
mod quote;
pub mod reputation;
mod resources;
pub mod task;
mod usage;

#[cfg(feature = "std")]
pub use error::chain_of;
pub use hash::{blake2_256, Hash256};
pub use ids::{AccountBytes, DeploymentId, LeaseId, ReplicaIndex, RunId};
pub use lease::{Amendment, EndReason};
pub use logs::{LogChunk, LogChunkHeader, LogHead, LOG_CHUNK_BYTES_MAX};
pub use price::{Asset, Prices};
pub use quote::{LeaseTerms, Quote, QuoteNonce, WARNINGS};
pub use resources::Resources;
pub use task::{RunOutcome, RunResult, Schedule, TaskTerms};
pub use usage::{
    AgentPublicKey, AgentSignature, Contradiction, HostMeasured, PodState, Quantities, UsageRecord,
};

/// Amount of money in the smallest unit (planck). 10^12 of them are one `CASE`.
pub type Balance = u128;

/// Seconds since the Unix epoch, as `pallet-timestamp` has them divided by 1,000.
pub type UnixSeconds = u64;

/// Decimals of the native token.
pub const TOKEN_DECIMALS: u8 = 12;

/// One `CASE` in [`Balance`] units.
pub const CASE: Balance = 1_000_000_000_000;

/// Most replicas that one deployment may have. A provider's lease holds one agent key for each, so
/// this bounds what closing a lease has to remove.
pub const REPLICAS_MAX: u16 = 64;

mod registry;
pub use registry::{DeploymentKind, ManifestRef, PriceList, ProviderInfo, TeeKind};

/// Largest manifest that a chain lists, in bytes: the same bound that the manifest parser has.
pub const MANIFEST_SIZE_MAX: u32 = 256 * 1024;
