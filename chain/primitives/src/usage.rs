//! The usage record: the enclave's signed statement of what a pod has used.

use crate::{blake2_256, Hash256, LeaseId, ReplicaIndex, Resources, UnixSeconds};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Ed25519 public key of an agent (RFC 8032).
pub type AgentPublicKey = [u8; 32];

/// Ed25519 signature of an agent (RFC 8032).
pub type AgentSignature = [u8; 64];

/// Amounts used. Fields only ever grow from one record of an agent to the next.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
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
pub struct Quantities {
    /// Thousandths of a core × seconds.
    pub cpu_millicore_seconds: u64,
    /// MiB of memory × seconds.
    pub memory_mib_seconds: u64,
    /// MiB of disk × seconds.
    pub storage_mib_seconds: u64,
    /// GPUs × seconds.
    pub gpu_seconds: u64,
    /// Whole MiB sent.
    pub egress_mib: u64,
}

impl Quantities {
    /// What holding `resources` for `seconds` amounts to, without traffic; `None` on overflow.
    pub fn quota(resources: &Resources, seconds: u64) -> Option<Self> {
        let times = |amount: u32| u64::from(amount).checked_mul(seconds);
        Some(Self {
            cpu_millicore_seconds: times(resources.cpu_millicores)?,
            memory_mib_seconds: times(resources.memory_mib)?,
            storage_mib_seconds: times(resources.storage_mib)?,
            gpu_seconds: times(resources.gpus)?,
            egress_mib: 0,
        })
    }

    /// The sum, or `None` on overflow.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        self.zip(other, u64::checked_add)
    }

    /// The difference, or `None` where `other` has more of anything.
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        self.zip(other, u64::checked_sub)
    }

    /// Whether all but the traffic is within `quota`: traffic has no quota, the publisher's spend
    /// rate bounds it.
    pub fn within_quota(&self, quota: &Self) -> bool {
        self.cpu_millicore_seconds <= quota.cpu_millicore_seconds
            && self.memory_mib_seconds <= quota.memory_mib_seconds
            && self.storage_mib_seconds <= quota.storage_mib_seconds
            && self.gpu_seconds <= quota.gpu_seconds
    }

    fn zip(&self, other: &Self, f: impl Fn(u64, u64) -> Option<u64>) -> Option<Self> {
        Some(Self {
            cpu_millicore_seconds: f(self.cpu_millicore_seconds, other.cpu_millicore_seconds)?,
            memory_mib_seconds: f(self.memory_mib_seconds, other.memory_mib_seconds)?,
            storage_mib_seconds: f(self.storage_mib_seconds, other.storage_mib_seconds)?,
            gpu_seconds: f(self.gpu_seconds, other.gpu_seconds)?,
            egress_mib: f(self.egress_mib, other.egress_mib)?,
        })
    }
}

/// One link of an agent's chain of usage records.
///
/// `from` and `to` are the span that this link adds, `total` is the sum over the whole chain. So
/// the newest record alone is enough to be paid for everything since the last claim (a claim is
/// O(1), however many records lie between), and any two neighbours can be checked against each
/// other by their hashes.
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
pub struct UsageRecord {
    /// Which lease is charged.
    pub lease: LeaseId,
    /// Which of the lease's pods.
    pub replica: ReplicaIndex,
    /// Counts up from 1 for each key.
    pub sequence: u64,
    /// [`UsageRecord::hash`] of the record before, or zeros for the first.
    pub previous: Hash256,
    /// First second (inclusive) that this link adds: the `to` of the record before.
    pub from: UnixSeconds,
    /// Last second (exclusive) that this link adds.
    pub to: UnixSeconds,
    /// Sum of what was used since this key's first record.
    pub total: Quantities,
    /// Root over the log chunks so far; zeros while logs are not anchored.
    pub log_root: Hash256,
}

impl UsageRecord {
    /// Says what is signed, so that a signature is never taken for one over something else.
    pub const SIGNING_CONTEXT: &'static [u8] = b"casemate/usage-record/v1";

    /// The bytes that the agent signs.
    pub fn signing_payload(&self, genesis_hash: &Hash256) -> Vec<u8> {
        (Self::SIGNING_CONTEXT, genesis_hash, self).encode()
    }

    /// What the next record names as `previous`.
    pub fn hash(&self) -> Hash256 {
        blake2_256(&self.encode())
    }

    /// Whether `next` is the link right after this one.
    pub fn is_followed_by(&self, next: &Self) -> bool {
        next.lease == self.lease
            && next.replica == self.replica
            && self.sequence.checked_add(1) == Some(next.sequence)
            && next.previous == self.hash()
            && next.from == self.to
            && next.to >= next.from
            && next.total.checked_sub(&self.total).is_some()
    }
}
