//! What a vault did, each entry chained to the one before by its hash.

use casemate_attestation::UnixSeconds;
use casemate_primitives::{Hash256, LeaseId, ReplicaIndex, TeeKind};
use codec::{Decode, Encode};
use sha2::{Digest as _, Sha256};

use crate::entry::Key;

const CONTEXT: &[u8] = b"casemate/vault-audit/v1";

/// Entries that are kept; older ones are forgotten, and the chain's hash still covers them.
pub(crate) const KEPT_MAX: usize = 10_000;

/// One line of the trail.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct AuditEntry {
    /// Counts from 0.
    pub index: u64,
    /// The vault's clock (Unix time).
    pub time: UnixSeconds,
    /// Hash of the one before; zeros for the first.
    pub previous: Hash256,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub enum Event {
    /// The publisher's entry was taken.
    Written {
        /// About what.
        key: Key,
        /// Its version.
        version: u64,
    },
    /// Entries came from another replica, or with the master.
    Merged {
        /// How many were newer.
        count: u32,
    },
    /// Secrets were sealed for a pod.
    Released(Box<Released>),
    /// A pod was refused.
    Refused {
        /// Which, as it says itself.
        pod: Pod,
        /// Why, as a word.
        code: String,
        /// SHA-256 of its evidence.
        evidence: Hash256,
        /// Refusals since the last that was written down, beyond what is written down.
        suppressed: u32,
    },
}

/// A release.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Released {
    /// To which pod.
    pub pod: Pod,
    /// By which grant.
    pub grant: String,
    /// SHA-256 of the grant's policy.
    pub policy: Hash256,
    /// What it got, as it calls them.
    pub names: Vec<String>,
    /// SHA-256 of its evidence.
    pub evidence: Hash256,
    /// Number of the release.
    pub sequence: u64,
    /// What the verdict on the machine's firmware rests on.
    pub level: Option<Level>,
}

/// Which pod.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Pod {
    /// Lease.
    pub lease: LeaseId,
    /// Replica.
    pub replica: ReplicaIndex,
    /// Manifest.
    pub manifest_hash: Hash256,
}

/// The vendor's count of its statements about a product's firmware.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Level {
    /// Kind of TEE.
    pub kind: TeeKind,
    /// Product.
    pub product: String,
    /// Number of the newest statement that was relied on.
    pub evaluation: u32,
}

impl AuditEntry {
    /// What the next one carries.
    pub fn hash(&self) -> Hash256 {
        Sha256::digest((CONTEXT, self).encode()).into()
    }
}

/// The trail is not whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the audit trail is broken at entry {0}: something was changed, left out or put in")]
pub struct Broken(pub u64);

/// Checks that entries follow each other, `before` the first if it is given.
///
/// # Errors
/// With the index at which they do not.
pub fn verify<'a>(
    entries: impl IntoIterator<Item = &'a AuditEntry>,
    before: Option<&AuditEntry>,
) -> Result<(), Broken> {
    let mut last = before.map(|entry| (entry.index, entry.hash()));
    for entry in entries {
        let follows = match last {
            Some((index, hash)) => entry.index == index + 1 && entry.previous == hash,
            None => entry.index > 0 || entry.previous == [0; 32],
        };
        if !follows {
            return Err(Broken(entry.index));
        }
        last = Some((entry.index, entry.hash()));
    }
    Ok(())
}

/// The newest entries.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    entries: std::collections::VecDeque<AuditEntry>,
    next: (u64, Hash256),
}

impl Trail {
    /// The next lines, not yet added.
    pub(crate) fn make(&self, time: UnixSeconds, events: Vec<Event>) -> Vec<AuditEntry> {
        let mut next = self.next;
        let line = |event| {
            let line = AuditEntry { index: next.0, time, previous: next.1, event };
            next = (line.index.saturating_add(1), line.hash());
            line
        };
        events.into_iter().map(line).collect()
    }

    pub(crate) fn push(&mut self, entry: AuditEntry) {
        self.next = (entry.index.saturating_add(1), entry.hash());
        if self.entries.len() >= KEPT_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    pub(crate) fn last(&self) -> Option<&AuditEntry> {
        self.entries.back()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &AuditEntry> {
        self.entries.iter()
    }

    pub(crate) fn next_index(&self) -> u64 {
        self.next.0
    }

    pub(crate) fn head(&self) -> Hash256 {
        self.next.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(count: usize) -> Trail {
        let mut trail = Trail::default();
        for n in 0..count {
            let lines = trail.make(n as u64, vec![Event::Merged { count: n as u32 }]);
            lines.into_iter().for_each(|line| trail.push(line));
        }
        trail
    }

    #[test]
    fn whatever_is_changed_left_out_or_put_in_shows() {
        let whole: Vec<AuditEntry> = trail(5).iter().cloned().collect();
        verify(&whole, None).unwrap();
        verify(&whole[2..], None).unwrap();
        verify(&whole[2..], Some(&whole[1])).unwrap();
        assert_eq!(verify(&whole[2..], Some(&whole[0])), Err(Broken(2)));
        let mut bad = whole.clone();
        bad[2].time += 1;
        assert_eq!(verify(&bad, None), Err(Broken(3)));
        let mut bad = whole.clone();
        bad.remove(2);
        assert_eq!(verify(&bad, None), Err(Broken(3)));
        let mut bad = whole.clone();
        bad.insert(2, whole[1].clone());
        assert_eq!(verify(&bad, None), Err(Broken(1)));
        let mut bad = whole;
        bad[0].previous = [1; 32];
        assert_eq!(verify(&bad, None), Err(Broken(0)));
    }

    #[test]
    fn old_entries_are_forgotten_and_the_chain_goes_on() {
        let trail = trail(KEPT_MAX + 3);
        assert_eq!(trail.iter().count(), KEPT_MAX);
        assert_eq!(trail.iter().next().unwrap().index, 3);
        verify(trail.iter(), None).unwrap();
    }
}
