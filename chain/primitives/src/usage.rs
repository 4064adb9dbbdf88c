//! The usage record: the enclave's signed statement of what a pod has used.

// What `Encode` is derived to casts the index of a variant.
#![allow(clippy::cast_possible_truncation)]

use crate::{blake2_256, Hash256, LeaseId, LogHead, ReplicaIndex, Resources, UnixSeconds};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Ed25519 public key of an agent (RFC 8032).
pub type AgentPublicKey = [u8; 32];

/// Ed25519 signature of an agent (RFC 8032).
pub type AgentSignature = [u8; 64];

/// Amounts held or used. Fields only ever grow from one record of an agent to the next.
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
    /// Whole MiB received.
    pub ingress_mib: u64,
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
            ..Self::default()
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
            ingress_mib: f(self.ingress_mib, other.ingress_mib)?,
        })
    }
}

/// What a pod was doing in the span of a record.
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
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
pub enum PodState {
    /// It ran: each second is metered.
    #[default]
    Running,
    /// It slept (scaled to zero): nothing is metered.
    Sleeping,
    /// It ran until its app ended by itself, and is not started again: the agent's last record. An
    /// agent says so only where the host had no part in the end.
    Ended {
        /// The app's exit code, or 128 and the signal's number.
        code: u8,
    },
}

impl PodState {
    /// Whether no record comes after this one.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Ended { .. })
    }

    /// Whether the span is metered.
    pub fn has_run(self) -> bool {
        self != Self::Sleeping
    }
}

/// Which of a record's quantities came from the host: the agent could not see them for itself, so
/// they are told but never paid. One bit for each field of [`Quantities`], in their order.
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
pub struct HostMeasured(pub u8);

impl HostMeasured {
    /// `cpu_millicore_seconds`.
    pub const CPU: Self = Self(1);
    /// `memory_mib_seconds`.
    pub const MEMORY: Self = Self(1 << 1);
    /// `storage_mib_seconds`.
    pub const STORAGE: Self = Self(1 << 2);
    /// `gpu_seconds`.
    pub const GPU: Self = Self(1 << 3);
    /// `egress_mib` and `ingress_mib`.
    pub const TRAFFIC: Self = Self(1 << 4);

    /// Whether all of `other` came from the host.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
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
    Default,
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
    /// [`UsageRecord::hash`] of the record before. For a key's first record it is that of the last
    /// record of the agent before it, as far as the host has kept it, else zeros.
    pub previous: Hash256,
    /// First second (inclusive) that this link adds: the `to` of the record before.
    pub from: UnixSeconds,
    /// Last second (exclusive) that this link adds.
    pub to: UnixSeconds,
    /// What the pod did from `from` to `to`.
    pub state: PodState,
    /// Seconds since this key's first record in which the pod ran.
    pub running_seconds: u64,
    /// What is charged since this key's first record: the quota for each running second, and the
    /// traffic that the agent itself has seen.
    pub total: Quantities,
    /// What was really used since this key's first record, as measured.
    pub actual: Quantities,
    /// Which of `actual` the host alone could know.
    pub host_measured: HostMeasured,
    /// The log so far, as chunks of this key.
    pub log: LogHead,
    /// What this key's evidence is about ([`UsageRecord::evidence_id`]); zeros before there is any.
    pub evidence: Hash256,
}

impl UsageRecord {
    /// Says what is signed, so that a signature is never taken for one over something else.
    pub const SIGNING_CONTEXT: &'static [u8] = b"casemate/usage-record/v2";

    /// What all evidence of a key is about, whatever nonce it was asked for: BLAKE2b-256 over the
    /// chain, the pod, the manifest's hash and the key.
    ///
    /// The chain knows all of it of each key that it has verified. A hash of the evidence itself would
    /// be one that strangers choose: whoever reaches the agent may ask for evidence, and the agent
    /// can't know which piece was brought on chain.
    pub fn evidence_id(
        genesis_hash: &Hash256,
        lease: LeaseId,
        replica: ReplicaIndex,
        manifest_hash: &Hash256,
        key: &AgentPublicKey,
    ) -> Hash256 {
        let context = b"casemate/evidence-id/v1".as_slice();
        blake2_256(&(context, genesis_hash, lease, replica, manifest_hash, key).encode())
    }

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
        !self.state.has_ended()
            && next.lease == self.lease
            && next.replica == self.replica
            && self.sequence.checked_add(1) == Some(next.sequence)
            && next.previous == self.hash()
            && next.from == self.to
            && next.to >= next.from
            && next.total.checked_sub(&self.total).is_some()
            && next.actual.checked_sub(&self.actual).is_some()
            && next.running_seconds >= self.running_seconds
            && next.log.chunks >= self.log.chunks
    }

    /// Whether two records of one key can't both be true.
    pub fn contradicts(&self, other: &Self) -> bool {
        self.contradiction(other).is_some()
    }

    /// How two records of one key contradict each other: each link takes up where the one before
    /// ended, sums never fall, and nothing comes after the end of the app. `None` where both can be
    /// true, or are of different pods.
    ///
    /// The order of the two does not matter. That both are of one key is for the caller to check.
    pub fn contradiction(&self, other: &Self) -> Option<Contradiction> {
        if (self.lease, self.replica) != (other.lease, other.replica) || self == other {
            return None;
        }
        let (a, b) = if self.sequence <= other.sequence { (self, other) } else { (other, self) };
        let is_next = a.sequence.checked_add(1) == Some(b.sequence);
        let shrinks = b.total.checked_sub(&a.total).is_none()
            || b.actual.checked_sub(&a.actual).is_none()
            || b.running_seconds < a.running_seconds;
        let is_other_log = b.log.chunks < a.log.chunks
            || (b.log.chunks == a.log.chunks && b.log.root != a.log.root);
        if a.sequence == b.sequence {
            Some(Contradiction::Forked)
        } else if a.state.has_ended() {
            Some(Contradiction::AfterEnd)
        } else if b.from < a.to || b.to < b.from {
            Some(Contradiction::Span)
        } else if shrinks {
            Some(Contradiction::Total)
        } else if is_other_log {
            Some(Contradiction::Log)
        } else if is_next && !a.is_followed_by(b) {
            Some(Contradiction::Link)
        } else {
            None
        }
    }
}

/// How two records of one agent contradict each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Contradiction {
    /// Two records with one number.
    Forked,
    /// The earlier one says that the app has ended, and is the agent's last.
    AfterEnd,
    /// The later one's time begins before the earlier one's ends, or ends before it begins.
    Span,
    /// A sum is smaller in the later one.
    Total,
    /// The log is shorter in the later one, or another one of the same length.
    Log,
    /// The later one comes right after and does not name the earlier one, or begins after its end.
    Link,
}

impl core::fmt::Display for Contradiction {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Forked => "two different records have the same sequence number",
            Self::AfterEnd => {
                "the earlier record says that the app has ended, and nothing comes after that"
            }
            Self::Span => "the time of the later record begins before the earlier one ends",
            Self::Total => "a total of the later record is below that of the earlier one",
            Self::Log => "the log of the later record does not go on where the earlier one's ended",
            Self::Link => "the later record does not name the one right before it",
        })
    }
}

impl core::error::Error for Contradiction {}
