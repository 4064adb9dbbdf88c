//! The price offer that a provider signs off chain and a lease is opened with.

use crate::{AccountBytes, Asset, Balance, Hash256, Prices, Resources, UnixSeconds};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Random bytes that make a quote single-use: the chain remembers a used nonce until the quote has
/// expired.
pub type QuoteNonce = [u8; 16];

/// The conditions of a lease that both sides keep to.
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
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct LeaseTerms {
    /// What the lease is paid in.
    pub asset: Asset,
    /// Prices per resource and second.
    pub prices: Prices,
    /// How long after a close last records may still be claimed, before the rest goes back.
    pub notice_seconds: u32,
    /// How long the pod stays after the money is used up, before anyone may close the lease.
    pub grace_seconds: u32,
    /// The least that a lease must be opened with.
    pub deposit_min: Balance,
}

/// A provider's offer to one publisher for one manifest.
///
/// It names the publisher and the manifest, so that neither a third party nor another workload can
/// use it, and the chain's genesis, so that it means nothing on another chain.
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
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Quote {
    /// Who offers, and signs.
    pub provider: AccountBytes,
    /// Who may use it.
    pub publisher: AccountBytes,
    /// BLAKE2b-256 of the manifest's bytes.
    pub manifest_hash: Hash256,
    /// Resources of one replica.
    pub resources: Resources,
    /// Number of replicas.
    pub replicas: u16,
    /// Prices and conditions.
    pub terms: LeaseTerms,
    /// Last second at which a lease can be opened with it.
    pub expires_at: UnixSeconds,
    /// Makes it single-use.
    pub nonce: QuoteNonce,
}

impl Quote {
    /// Says what is signed, so that a signature is never taken for one over something else.
    pub const SIGNING_CONTEXT: &'static [u8] = b"casemate/quote/v1";

    /// The bytes that the provider signs (sr25519, substrate context).
    pub fn signing_payload(&self, genesis_hash: &Hash256) -> Vec<u8> {
        (Self::SIGNING_CONTEXT, genesis_hash, self).encode()
    }
}
