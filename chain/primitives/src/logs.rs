//! Logs as proof: what an agent's Merkle tree over its log is made of.

use crate::{AgentPublicKey, Hash256, LeaseId, ReplicaIndex};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Longest sealed body of a chunk, in bytes: small enough to be answered with on chain.
pub const LOG_CHUNK_BYTES_MAX: u32 = 16 * 1024;

/// Head of the Merkle tree over the chunks of one agent's log.
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
pub struct LogHead {
    /// Root as RFC 9162 (section 2.1) has it, with BLAKE2b-256; zeros while there is no chunk.
    pub root: Hash256,
    /// Number of chunks, which are the leaves in their order.
    pub chunks: u64,
}

/// What a chunk says openly. The lines are sealed.
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
pub struct LogChunkHeader {
    /// Whose log.
    pub lease: LeaseId,
    /// Which of the lease's pods.
    pub replica: ReplicaIndex,
    /// Which of the pod's agents; each has a tree of its own.
    pub key: AgentPublicKey,
    /// Which leaf of the tree, from 0.
    pub index: u64,
    /// When its first line was written, in milliseconds since the Unix epoch.
    pub from_ms: u64,
    /// When its last line was written.
    pub to_ms: u64,
    /// Number of its first line, from 0 for each key. Lines that were dropped have numbers too.
    pub first_line: u64,
    /// How many lines are in it.
    pub lines: u32,
    /// How many lines were dropped (output came faster than its limit) between the chunk before and
    /// this one.
    pub dropped: u64,
}

/// A piece of a pod's output: a leaf of the tree is [`crate::merkle::leaf_hash`] over its SCALE bytes.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
pub struct LogChunk {
    /// What it says openly.
    pub header: LogChunkHeader,
    /// The lines, sealed to the publisher; at most [`LOG_CHUNK_BYTES_MAX`].
    pub body: Vec<u8>,
}
