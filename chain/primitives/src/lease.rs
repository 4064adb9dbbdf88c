//! How leases change, and how they end.

use crate::{Balance, Hash256, LeaseId, Prices, UnixSeconds};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Why a lease ended.
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
pub enum EndReason {
    /// The publisher stopped it.
    Stopped,
    /// The provider took its machine back, after the agreed notice.
    Reclaimed,
    /// No agent was ever attested, and its provider gave it up.
    NeverStarted,
    /// The money was out, and the grace time too.
    OutOfFunds,
    /// The provider proved nothing for longer than agreed.
    ProviderSilent,
    /// The agent's key signed records that contradict each other.
    Misconduct,
    /// The app of every replica has ended by itself, and is not to be started again.
    AppEnded,
}

/// New prices for a lease: the provider signs, the publisher brings it on chain. What was used until
/// then is paid at the old prices, so the last record under those is where the new ones begin.
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
pub struct Amendment {
    /// Which lease.
    pub lease: LeaseId,
    /// Which change of the lease's prices it is: one more than it has had. So it holds once, and
    /// never out of its order.
    pub number: u32,
    /// The prices that it has now: an amendment holds for these only.
    pub replaces: Prices,
    /// The prices from now on.
    pub prices: Prices,
    /// Least that a running second of a replica costs from now on.
    pub second_min: Balance,
    /// Last second at which it can be brought on chain.
    pub expires_at: UnixSeconds,
}

impl Amendment {
    /// Says what is signed, so that a signature is never taken for one over something else.
    pub const SIGNING_CONTEXT: &'static [u8] = b"casemate/amendment/v2";

    /// The bytes that the provider signs (sr25519, substrate context).
    pub fn signing_payload(&self, genesis_hash: &Hash256) -> Vec<u8> {
        (Self::SIGNING_CONTEXT, genesis_hash, self).encode()
    }
}
