//! The price offer that a provider signs off chain and a lease is opened with.

use crate::{AccountBytes, Asset, Balance, Hash256, Prices, Resources, UnixSeconds};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Random bytes that make a quote single-use: the chain remembers a used nonce until the quote has
/// expired.
pub type QuoteNonce = [u8; 16];

/// Levels at which a publisher is warned that money runs low.
pub const WARNINGS: usize = 3;

/// The conditions of a lease that both sides keep to.
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
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct LeaseTerms {
    /// What the lease is paid in.
    pub asset: Asset,
    /// Prices per resource and second.
    pub prices: Prices,
    /// Least that a second in which a replica runs costs, where its resources cost less.
    pub second_min: Balance,
    /// The least that a lease must be opened with.
    pub deposit_min: Balance,
    /// How long a claim can be contested before it is final. Claims of one such period become final
    /// together, so it takes up to twice as long.
    pub dispute_seconds: u32,
    /// How long after a close last records may still be claimed, before the rest goes back.
    pub notice_seconds: u32,
    /// How long the pod stays after the money is used up, before anyone may close the lease.
    pub grace_seconds: u32,
    /// How long before it may close the lease a provider that wants out has to say so.
    pub reclaim_seconds: u32,
    /// After how long without a claim anyone may evict the provider; 0 for never.
    pub silence_seconds: u32,
    /// How long log chunks can be had, and what they are proved against stays on chain, after the end
    /// of the lease.
    pub retention_seconds: u32,
    /// The publisher is warned when the escrow pays for less time than this at the full price; the
    /// longest first, 0 for no warning.
    pub warn_seconds: [u32; WARNINGS],
}

impl LeaseTerms {
    /// The period that a claim made at `second` belongs to: time is cut into pieces of
    /// `dispute_seconds`, counted from the Unix epoch.
    pub fn period_of(&self, second: UnixSeconds) -> u64 {
        second.checked_div(u64::from(self.dispute_seconds)).unwrap_or(0)
    }

    /// Whether the claims of `period` are final at `now`: one period after it has ended; at once where
    /// nothing can be contested.
    pub fn is_final(&self, period: u64, now: UnixSeconds) -> bool {
        let present = now.checked_div(u64::from(self.dispute_seconds));
        present.is_none_or(|present| period.saturating_add(2) <= present)
    }
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
    pub const SIGNING_CONTEXT: &'static [u8] = b"casemate/quote/v2";

    /// The bytes that the provider signs (sr25519, substrate context).
    pub fn signing_payload(&self, genesis_hash: &Hash256) -> Vec<u8> {
        (Self::SIGNING_CONTEXT, genesis_hash, self).encode()
    }
}

impl LeaseTerms {
    /// What so many running replicas cost each second (traffic comes on top), or `None` on overflow.
    pub fn per_second(&self, resources: &Resources, replicas: u16) -> Option<Balance> {
        let one = self.prices.per_second(resources)?.max(self.second_min);
        one.checked_mul(replicas.into())
    }
}
