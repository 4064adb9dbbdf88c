//! The newest entry of each key.

use std::collections::BTreeMap;

use casemate_attestation::UnixSeconds;
use casemate_primitives::{Hash256, LeaseId, ReplicaIndex};
use codec::Encode as _;

use crate::entry::{Body, EntryError, Grant, Key, SignedEntry};

/// Most keys, removed ones among them: those must be remembered.
const KEYS_MAX: usize = 2048;

/// Most bytes of all entries together: with the master they must fit one release to a replica
/// (1 MiB).
pub(crate) const BYTES_MAX: usize = 896 * 1024;

/// What became of an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Put {
    New,
    /// It was there already.
    Same,
}

/// Entries that were [checked](SignedEntry::check).
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalogue {
    entries: BTreeMap<Key, SignedEntry>,
    bytes: usize,
}

impl Catalogue {
    /// Says what [`put`](Self::put) would do.
    pub(crate) fn look(&self, new: &SignedEntry) -> Result<Put, EntryError> {
        let old = self.entries.get(&new.entry.key);
        if let Some(old) = old {
            if old == new {
                return Ok(Put::Same);
            }
            if new.rank() < old.rank() {
                let (have, found) = (old.entry.version, new.entry.version);
                return Err(EntryError::Older { have, found });
            }
        } else if self.entries.len() >= KEYS_MAX {
            return Err(EntryError::Full("2048 names, removed ones among them"));
        }
        let old = old.map_or(0, codec::Encode::encoded_size);
        if self.bytes - old + new.encoded_size() > BYTES_MAX {
            return Err(EntryError::Full("896 KiB of entries"));
        }
        Ok(Put::New)
    }

    /// Takes it, if it is the newest of its key.
    pub(crate) fn put(&mut self, new: SignedEntry) -> Result<Put, EntryError> {
        let put = self.look(&new)?;
        if put == Put::New {
            self.bytes += new.encoded_size();
            if let Some(old) = self.entries.insert(new.entry.key.clone(), new) {
                self.bytes -= old.encoded_size();
            }
        }
        Ok(put)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&SignedEntry> {
        self.entries.get(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SignedEntry> {
        self.entries.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Grants for a pod, the most precise first.
    pub(crate) fn grants_for(
        &self,
        genesis_hash: &Hash256,
        manifest_hash: &Hash256,
        lease: LeaseId,
        replica: ReplicaIndex,
    ) -> Vec<(String, Grant)> {
        let grants = self.entries.values().filter_map(|signed| match &signed.entry.body {
            Some(Body::Grant(grant)) => Some((signed.entry.key.name().to_owned(), grant)),
            _ => None,
        });
        let mut grants: Vec<(String, Grant)> = grants
            .filter(|(_, grant)| grant.is_for(genesis_hash, manifest_hash, lease, replica))
            .map(|(name, grant)| (name, (**grant).clone()))
            .collect();
        grants.sort_by_key(|(_, grant)| std::cmp::Reverse(grant.precision()));
        grants
    }

    /// Collateral of the publisher's.
    pub(crate) fn collateral(&self) -> Vec<Vec<u8>> {
        let bodies = self.entries.values().filter_map(|signed| signed.entry.body.as_ref());
        let collateral = bodies.filter_map(|body| match body {
            Body::Collateral(bytes) => Some(bytes.clone()),
            _ => None,
        });
        collateral.collect()
    }

    /// The newest version.
    pub(crate) fn newest(&self) -> u64 {
        self.entries.values().map(|signed| signed.entry.version).max().unwrap_or(0)
    }

    /// When the newest entry was made, by the publisher's clock.
    pub(crate) fn newest_time(&self) -> UnixSeconds {
        self.newest() / 1000
    }
}

#[cfg(test)]
mod tests;
