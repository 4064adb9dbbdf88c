//! How leases end.

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
    /// The agent's key signed records that contradict each other, or the provider lost a challenge.
    Misconduct,
}
