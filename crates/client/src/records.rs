//! Signed usage records in the hands of whoever is charged for them.
//!
//! A provider hands them out and is not believed: a record counts by its agent's signature, and two
//! records of one agent must fit together. Where they do not, both are kept: they are what a dispute
//! is decided by.

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

/// How two records of one agent contradict each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// Two records with one number.
    #[error("two different records have the same sequence number")]
    Forked,
    /// The later one's time begins before the earlier one's ends.
    #[error("the time of the later record begins before the earlier one ends")]
    Span,
    /// A sum is smaller in the later one.
    #[error("a total of the later record is below that of the earlier one")]
    Total,
    /// The log is shorter in the later one, or another one of the same length.
    #[error("the log of the later record does not go on where the earlier one's ended")]
    Log,
    /// The later one comes right after and does not name the earlier one.
    #[error("the later record does not name the one right before it")]
    Link,
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
        let (a, b) = (&self.record, &other.record);
        if (a.lease, a.replica, self.key) != (b.lease, b.replica, other.key) || a == b {
            return None;
        }
        let (first, second) = if a.sequence <= b.sequence { (a, b) } else { (b, a) };
        let shrinks = second.total.checked_sub(&first.total).is_none()
            || second.actual.checked_sub(&first.actual).is_none()
            || second.running_seconds < first.running_seconds;
        let other_log = second.log.chunks < first.log.chunks
            || (second.log.chunks == first.log.chunks && second.log.root != first.log.root);
        let is_next = first.sequence.checked_add(1) == Some(second.sequence);
        if first.sequence == second.sequence {
            Some(Contradiction::Forked)
        } else if second.from < first.to || second.to < second.from {
            Some(Contradiction::Span)
        } else if shrinks {
            Some(Contradiction::Total)
        } else if other_log {
            Some(Contradiction::Log)
        } else if is_next && !first.is_followed_by(second) {
            Some(Contradiction::Link)
        } else {
            None
        }
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
