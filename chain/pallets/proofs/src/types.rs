//! Batches, challenges, and the answers to them.

use casemate_primitives::{
    merkle, AgentPublicKey, AgentSignature, Balance, Hash256, LeaseId, LogChunkHeader, LogHead,
    ReplicaIndex, UnixSeconds, UsageRecord, LOG_CHUNK_BYTES_MAX,
};
use frame_support::pallet_prelude::*;
use pallet_attestation::Submission;

/// A path in a Merkle tree, from the leaf up.
pub type Path = BoundedVec<Hash256, ConstU32<{ merkle::PATH_MAX }>>;

/// Number of a batch: each provider counts its own from 0, and none is used again.
pub type BatchNumber = u64;

/// Number of a challenge, counted up and never used again.
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
    Ord,
    PartialEq,
    PartialOrd,
    TypeInfo,
)]
pub struct ChallengeId(pub u64);

/// Records of many leases under one root.
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
pub struct Batch {
    /// Root of the tree (RFC 9162, BLAKE2b-256) whose leaves are [`leaf_of`] signed records.
    pub root: Hash256,
    /// Number of leaves.
    pub leaves: u64,
    /// When it came on chain.
    pub at: UnixSeconds,
}

/// The leaf of a signed record in a batch: [`merkle::leaf_hash`] over the SCALE bytes of both.
pub fn leaf_of(record: &UsageRecord, signature: &AgentSignature) -> Hash256 {
    merkle::leaf_hash(&(record, signature).encode())
}

/// What a provider is asked for.
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
pub enum Target<AccountId> {
    /// Evidence of a replica's agent over the challenge's nonce: that it runs, now, in a TEE.
    Evidence {
        /// Of which lease, which is not closed.
        lease: LeaseId,
        /// Which of its pods.
        replica: ReplicaIndex,
    },
    /// A chunk of a replica's log, under the head in its newest claimed record.
    LogChunk {
        /// Of which lease.
        lease: LeaseId,
        /// Which of its pods.
        replica: ReplicaIndex,
        /// Which chunk, from 0.
        index: u64,
    },
    /// A leaf of a batch.
    BatchLeaf {
        /// Whose batch.
        provider: AccountId,
        /// Which one.
        batch: BatchNumber,
        /// Which leaf, from 0.
        index: u64,
    },
}

/// What an answer is compared with: a copy from the time of the challenge, so that nothing that happens
/// later changes the question.
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
pub enum Question {
    /// The evidence must be over this nonce.
    Evidence {
        /// BLAKE2b-256 over [`NONCE_CONTEXT`], the challenge's number and the parent block's hash.
        nonce: Hash256,
    },
    /// The chunk must be under this head.
    LogChunk {
        /// Whose log.
        key: AgentPublicKey,
        /// Its head.
        head: LogHead,
    },
    /// The leaf must be in this batch.
    BatchLeaf(Batch),
}

/// Keeps a challenge's nonce apart from all else that is hashed.
pub const NONCE_CONTEXT: &[u8] = b"casemate/challenge/v1";

/// A question that a provider has to answer until the end of a block.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Challenge<AccountId, BlockNumber> {
    /// Who asks.
    pub challenger: AccountId,
    /// Who is asked.
    pub provider: AccountId,
    /// For what.
    pub target: Target<AccountId>,
    /// What the answer is compared with.
    pub question: Question,
    /// Held on the challenger's account.
    pub deposit: Balance,
    /// The last block in which an answer counts.
    pub until: BlockNumber,
    /// Whether the lease's own publisher asks: counted for the lease and not for the provider.
    pub by_publisher: bool,
}

/// A chunk as [`casemate_primitives::LogChunk`] has it, with the bound that answers keep to. Both have
/// the same SCALE bytes.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
pub struct Chunk {
    /// What it says openly.
    pub header: LogChunkHeader,
    /// The lines, sealed to the publisher.
    pub body: BoundedVec<u8, ConstU32<LOG_CHUNK_BYTES_MAX>>,
}

/// What a provider answers.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
pub enum Answer {
    /// To [`Target::Evidence`].
    Evidence(Submission),
    /// To [`Target::LogChunk`].
    LogChunk {
        /// The chunk.
        chunk: Chunk,
        /// Its path up to the head's root.
        path: Path,
    },
    /// To [`Target::BatchLeaf`].
    BatchLeaf {
        /// The record.
        record: UsageRecord,
        /// The agent's signature over it.
        signature: AgentSignature,
        /// The agent's key.
        key: AgentPublicKey,
        /// The leaf's path up to the batch's root.
        path: Path,
    },
}
