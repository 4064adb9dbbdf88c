//! What providers and publishers write into the chain's registries.

use crate::{Asset, Hash256, Prices};
use bounded_collections::{BoundedVec, ConstU32};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Kinds of trusted execution environment. The software TEE is none: it imitates one, and what it
/// makes has another grade.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
pub enum TeeKind {
    /// Intel SGX enclaves.
    IntelSgx,
    /// Intel TDX confidential VMs.
    IntelTdx,
    /// AMD SEV-SNP confidential VMs.
    AmdSevSnp,
    /// NVIDIA GPUs in confidential mode.
    NvidiaGpu,
}

/// How a provider presents itself. Its own words: nothing here is checked by the chain.
#[derive(
    Clone,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct ProviderInfo {
    /// Name for people, UTF-8.
    pub name: BoundedVec<u8, ConstU32<64>>,
    /// Regions, such as `eu-central`.
    pub regions: BoundedVec<BoundedVec<u8, ConstU32<32>>, ConstU32<8>>,
    /// Base URLs of its API.
    pub endpoints: BoundedVec<BoundedVec<u8, ConstU32<128>>, ConstU32<4>>,
    /// TEE kinds that it says it has; leases will be gated by attestation, not by this list.
    pub tee_kinds: BoundedVec<TeeKind, ConstU32<8>>,
}

/// A provider's list prices in one asset. A quote may differ; this is for searching.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct PriceList {
    /// In what.
    pub asset: Asset,
    /// How much.
    pub prices: Prices,
}

/// What kind of work a deployment is.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub enum DeploymentKind {
    /// Runs until stopped.
    #[default]
    Service,
    /// Runs to an end, once or by a schedule (`pallet-tasks`).
    Task,
}

/// A manifest by hash and size: its content is never on chain.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct ManifestRef {
    /// BLAKE2b-256 of the manifest's canonical JSON.
    pub hash: Hash256,
    /// Its length in bytes.
    pub size: u32,
}
