//! The vectors as JSON: bytes are hex, and integers are decimal text, for languages whose numbers
//! do not reach 2^64.

use casemate_primitives::{Hash256, LogChunk, PodState, Quantities, UsageRecord};
use codec::Encode;
use ed25519_dalek::SigningKey;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct RecordsDocument {
    pub(super) about: &'static str,
    pub(super) signing_context: String,
    pub(super) genesis_hash: String,
    pub(super) other_genesis_hash: String,
    pub(super) manifest_hash: String,
    pub(super) seed: String,
    pub(super) other_seed: String,
    pub(super) key: String,
    pub(super) records: Vec<SignedShown>,
    pub(super) refused: Vec<Refused>,
    pub(super) pairs: Vec<Pair>,
    pub(super) log: Vec<ChunkShown>,
    pub(super) batch: Vec<Leaf>,
}

#[derive(Serialize)]
pub(super) struct MerkleDocument {
    pub(super) about: &'static str,
    pub(super) trees: Vec<TreeShown>,
    pub(super) refused_proofs: Vec<RefusedProof>,
}

#[derive(Serialize)]
pub(super) struct SignedShown {
    pub(super) name: String,
    pub(super) fields: Fields,
    pub(super) encoding: String,
    pub(super) hash: String,
    pub(super) signing_payload: String,
    pub(super) signature: String,
}

#[derive(Serialize)]
pub(super) struct Fields {
    lease: String,
    replica: String,
    sequence: String,
    previous: String,
    from: String,
    to: String,
    state: String,
    running_seconds: String,
    total: QuantitiesShown,
    actual: QuantitiesShown,
    host_measured: String,
    log_root: String,
    log_chunks: String,
    evidence: String,
}

impl Fields {
    pub(super) fn of(record: &UsageRecord) -> Self {
        Self {
            lease: record.lease.to_string(),
            replica: record.replica.to_string(),
            sequence: record.sequence.to_string(),
            previous: hex::encode(record.previous),
            from: record.from.to_string(),
            to: record.to.to_string(),
            state: match record.state {
                PodState::Running => "running".to_owned(),
                PodState::Sleeping => "sleeping".to_owned(),
                PodState::Ended { code } => format!("ended {code}"),
            },
            running_seconds: record.running_seconds.to_string(),
            total: QuantitiesShown::of(&record.total),
            actual: QuantitiesShown::of(&record.actual),
            host_measured: record.host_measured.0.to_string(),
            log_root: hex::encode(record.log.root),
            log_chunks: record.log.chunks.to_string(),
            evidence: hex::encode(record.evidence),
        }
    }
}

#[derive(Serialize)]
struct QuantitiesShown {
    cpu_millicore_seconds: String,
    memory_mib_seconds: String,
    storage_mib_seconds: String,
    gpu_seconds: String,
    egress_mib: String,
    ingress_mib: String,
}

impl QuantitiesShown {
    fn of(quantities: &Quantities) -> Self {
        Self {
            cpu_millicore_seconds: quantities.cpu_millicore_seconds.to_string(),
            memory_mib_seconds: quantities.memory_mib_seconds.to_string(),
            storage_mib_seconds: quantities.storage_mib_seconds.to_string(),
            gpu_seconds: quantities.gpu_seconds.to_string(),
            egress_mib: quantities.egress_mib.to_string(),
            ingress_mib: quantities.ingress_mib.to_string(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Refused {
    pub(super) why: &'static str,
    pub(super) encoding: String,
    pub(super) key: String,
    pub(super) signature: String,
}

#[derive(Serialize)]
pub(super) struct Pair {
    pub(super) name: &'static str,
    pub(super) a: Half,
    pub(super) b: Half,
    pub(super) b_follows_a: bool,
    pub(super) contradiction: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct Half {
    encoding: String,
    hash: String,
    signature: String,
}

impl Half {
    pub(super) fn of(signer: &SigningKey, record: &UsageRecord) -> Self {
        Self {
            encoding: hex::encode(record.encode()),
            hash: hex::encode(record.hash()),
            signature: hex::encode(super::sign(signer, &record.signing_payload(&super::GENESIS))),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ChunkShown {
    lease: String,
    replica: String,
    key: String,
    index: String,
    from_ms: String,
    to_ms: String,
    first_line: String,
    lines: String,
    dropped: String,
    body: String,
    encoding: String,
    leaf_hash: String,
    root_so_far: String,
}

impl ChunkShown {
    pub(super) fn of(chunk: &LogChunk, leaf: &Hash256, root: &Hash256) -> Self {
        let header = &chunk.header;
        Self {
            lease: header.lease.to_string(),
            replica: header.replica.to_string(),
            key: hex::encode(header.key),
            index: header.index.to_string(),
            from_ms: header.from_ms.to_string(),
            to_ms: header.to_ms.to_string(),
            first_line: header.first_line.to_string(),
            lines: header.lines.to_string(),
            dropped: header.dropped.to_string(),
            body: hex::encode(&chunk.body),
            encoding: hex::encode(chunk.encode()),
            leaf_hash: hex::encode(leaf),
            root_so_far: hex::encode(root),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Leaf {
    pub(super) content: String,
    pub(super) hash: String,
    pub(super) root_so_far: String,
}

#[derive(Serialize)]
pub(super) struct TreeShown {
    pub(super) leaves: Vec<String>,
    pub(super) leaf_hashes: Vec<String>,
    pub(super) root: String,
    /// The path of each leaf.
    pub(super) inclusion: Vec<Vec<String>>,
    /// That each smaller tree is what this one has grown from.
    pub(super) consistency: Vec<Consistency>,
}

#[derive(Serialize)]
pub(super) struct Consistency {
    pub(super) size: String,
    pub(super) root: String,
    pub(super) path: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct RefusedProof {
    pub(super) why: &'static str,
    pub(super) leaf_hash: String,
    pub(super) index: String,
    pub(super) size: String,
    pub(super) path: Vec<String>,
    pub(super) root: String,
}
