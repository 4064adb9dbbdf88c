//! Signed usage records in the hands of whoever is charged for them.
//!
//! A provider hands them out and is not believed: a record counts by its agent's signature, and two
//! records of one agent must fit together. Where they do not, both are kept: they are what a dispute
//! is decided by.

pub use casemate_primitives::Contradiction;
use casemate_primitives::{
    AgentPublicKey, AgentSignature, Hash256, LeaseId, RunResult, UsageRecord,
};
use codec::DecodeAll as _;

use crate::api::{Hex, RecordEntry};

/// A record whose signature was checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignedRecord {
    record: UsageRecord,
    key: AgentPublicKey,
    signature: AgentSignature,
}

/// Checks that `key` has signed how a task's run has ended, on the chain with `genesis_hash`.
///
/// # Errors
/// It has not.
pub fn verify_result(
    result: &RunResult,
    signature: &AgentSignature,
    key: &AgentPublicKey,
    genesis_hash: &Hash256,
) -> Result<(), RecordError> {
    let by = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| RecordError::Signature)?;
    let signed = ed25519_dalek::Signature::from_bytes(signature);
    by.verify_strict(&result.signing_payload(genesis_hash), &signed)
        .map_err(|_| RecordError::Signature)
}

/// Why something is no record of a lease.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It does not decode.
    #[error("it is no usage record")]
    Malformed,
    /// It is another lease's.
    #[error("it is a record of lease {0}")]
    OtherLease(LeaseId),
    /// Its agent has not signed it, or for another chain.
    #[error("its signature is not that of the agent that it names")]
    Signature,
}

impl SignedRecord {
    /// Checks a record that somebody says is `lease`'s on the chain with `genesis_hash`. That the key
    /// is an attested agent's is for the chain to say.
    ///
    /// # Errors
    /// Why it is none.
    pub fn check(
        entry: &RecordEntry,
        lease: LeaseId,
        genesis_hash: &Hash256,
    ) -> Result<Self, RecordError> {
        let record = UsageRecord::decode_all(&mut entry.record.0.as_slice())
            .map_err(|_| RecordError::Malformed)?;
        if record.lease != lease {
            return Err(RecordError::OtherLease(record.lease));
        }
        let (key, signature) = (entry.key.0, entry.signature.0);
        let signer = ed25519_dalek::VerifyingKey::from_bytes(&key);
        let by = signer.map_err(|_| RecordError::Signature)?;
        let signed = ed25519_dalek::Signature::from_bytes(&signature);
        by.verify_strict(&record.signing_payload(genesis_hash), &signed)
            .map_err(|_| RecordError::Signature)?;
        Ok(Self { record, key, signature })
    }

    /// What was signed.
    pub fn record(&self) -> &UsageRecord {
        &self.record
    }

    /// Who has signed.
    pub fn key(&self) -> &AgentPublicKey {
        &self.key
    }

    /// As it goes over the wire and into files.
    pub fn to_entry(&self) -> RecordEntry {
        let record = codec::Encode::encode(&self.record);
        RecordEntry { key: Hex(self.key), record: Hex(record), signature: Hex(self.signature) }
    }

    /// How this one and another of the same lease contradict each other; `None` where they do not, or
    /// are of different agents.
    pub fn contradicts(&self, other: &Self) -> Option<Contradiction> {
        // The chain decides a dispute by this very rule.
        let is_same_key = self.key == other.key;
        is_same_key.then(|| self.record.contradiction(&other.record)).flatten()
    }
}

/// The first two of these that contradict each other. They need no order.
///
/// Neighbours are compared only: what grows from each to the next grows over all.
pub fn first_contradiction(
    records: &[SignedRecord],
) -> Option<(SignedRecord, SignedRecord, Contradiction)> {
    let mut sorted = records.to_vec();
    sorted.sort_by_key(|signed| (signed.record.replica, signed.key, signed.record.sequence));
    sorted.windows(2).find_map(|pair| {
        let [first, second] = pair else { return None };
        first.contradicts(second).map(|why| (*first, *second, why))
    })
}

#[cfg(test)]
mod tests;
