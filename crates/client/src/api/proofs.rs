//! Sealed logs and signed records on the wire. All of it is the provider's word until it is verified:
//! chunks by their paths, records by their signatures.

use serde::{Deserialize, Serialize};

use super::Hex;

/// Most chunks in one answer: in hex two MiB, half of what a client reads.
pub const LOG_CHUNKS_MAX: u32 = 64;

/// Answer to `GET /v1/leases/{id}/log-chunks`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogChunkList {
    /// The logs that are kept: all of the lease, or the one that was asked for.
    pub logs: Vec<LogInfo>,
    /// How many chunks the tree of the paths has: as asked for, or as the newest record says.
    pub size: u64,
    /// Chunks in their order, where one log was asked for.
    pub chunks: Vec<LogChunkEntry>,
}

/// A sealed log: the output of one agent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogInfo {
    /// Which of the lease's pods.
    pub replica: u16,
    /// Which of the pod's agents.
    pub key: Hex<[u8; 32]>,
    /// How many chunks there are.
    pub chunks: u64,
    /// Index of the first chunk that is still there.
    pub first: u64,
    /// Why it goes on no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A chunk, and what proves it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogChunkEntry {
    /// Which.
    pub index: u64,
    /// SCALE encoding of the [`casemate_primitives::LogChunk`]; absent where it was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<Hex<Vec<u8>>>,
    /// From its leaf to the root; absent where the tree that was asked for does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Vec<Hex<[u8; 32]>>>,
}

/// Answer to `GET /v1/leases/{id}/records`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordList {
    /// By replica, agent and sequence.
    pub records: Vec<RecordEntry>,
}

/// A signed usage record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordEntry {
    /// The agent's key.
    pub key: Hex<[u8; 32]>,
    /// SCALE encoding of the [`casemate_primitives::UsageRecord`].
    pub record: Hex<Vec<u8>>,
    /// The key's Ed25519 signature over its signing payload.
    pub signature: Hex<[u8; 64]>,
}
