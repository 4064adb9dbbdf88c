//! What this machine remembers of your leases: names and manifests, which the chain does not have.
//!
//! All of it is a convenience. Without it, leases are called by number, and an update needs its
//! manifest as always.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use casemate_primitives::{DeploymentId, Hash256, LeaseId};
use serde::{Deserialize, Serialize};

use crate::{
    address::Address,
    failure::{Failure, OrFail as _},
    keystore::{make_folder, random_hex, write_new},
};

/// A lease of yours.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct LeaseNote {
    /// Its number.
    pub(crate) lease: LeaseId,
    /// Its deployment.
    pub(crate) deployment: DeploymentId,
    /// The service's name.
    pub(crate) name: String,
    /// Canonical JSON of the manifest that was last put.
    pub(crate) manifest: String,
}

/// Notes about the leases of one chain.
#[derive(Clone, Debug)]
pub(crate) struct LeaseNotes {
    folder: PathBuf,
}

impl LeaseNotes {
    /// Notes for the chain with this genesis block.
    pub(crate) fn new(state_dir: &Path, genesis_hash: &Hash256) -> Self {
        Self { folder: state_dir.join(hex::encode(&genesis_hash[..8])) }
    }

    /// The note about a lease, if there is a good one.
    pub(crate) fn get(&self, lease: LeaseId) -> Option<LeaseNote> {
        let text = fs::read(self.path(lease)).ok()?;
        serde_json::from_slice(&text).ok().filter(|note: &LeaseNote| note.lease == lease)
    }

    /// Name of a lease, if it is known here.
    pub(crate) fn name(&self, lease: LeaseId) -> Option<String> {
        self.get(lease).map(|note| note.name)
    }

    /// Writes a note, whole or not at all.
    pub(crate) fn put(&self, note: &LeaseNote) -> anyhow::Result<()> {
        let path = self.path(note.lease);
        let failure = || Failure::new(format!("cannot write `{}`", path.display()));
        make_folder(&self.folder).or_fail(failure)?;
        let mut bytes = serde_json::to_vec_pretty(note).or_fail(failure)?;
        bytes.push(b'\n');
        replace(&path, &bytes).or_fail(failure)
    }

    /// Drops the note about a lease that is over.
    pub(crate) fn remove(&self, lease: LeaseId) -> anyhow::Result<()> {
        let path = self.path(lease);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(anyhow::Error::new(e)
                .context(Failure::new(format!("cannot remove `{}`", path.display())))),
            _ => Ok(()),
        }
    }

    /// Who runs or ran a lease, as far as it was remembered here. Unlike a note it stays when the
    /// lease is over: its logs and records can still be fetched there.
    pub(crate) fn provider(&self, lease: LeaseId) -> Option<Address> {
        fs::read_to_string(self.provider_file(lease)).ok()?.trim().parse().ok()
    }

    /// Remembers who runs a lease. Where that fails it must be said later: no reason to stop.
    pub(crate) fn remember_provider(&self, lease: LeaseId, provider: Address) {
        if self.provider(lease) != Some(provider) {
            let text = format!("{provider}\n");
            let _ = make_folder(&self.folder)
                .map(|()| replace(&self.provider_file(lease), text.as_bytes()));
        }
    }

    /// Where a lease's usage records are kept.
    pub(crate) fn records(&self, lease: LeaseId) -> PathBuf {
        self.folder.join(format!("{lease}.records.jsonl"))
    }

    /// Keeps what was said in a complaint, under its hash; says where.
    pub(crate) fn keep_complaint(
        &self,
        lease: LeaseId,
        hash: &Hash256,
        text: &[u8],
    ) -> anyhow::Result<PathBuf> {
        let short = hex::encode(hash.get(..8).unwrap_or_default());
        let path = self.folder.join(format!("{lease}.complaint-{short}.txt"));
        let failure = || Failure::new(format!("cannot write `{}`", path.display()));
        make_folder(&self.folder).or_fail(failure)?;
        replace(&path, text).or_fail(failure)?;
        Ok(path)
    }

    fn provider_file(&self, lease: LeaseId) -> PathBuf {
        self.folder.join(format!("{lease}.provider"))
    }

    /// The trail of releases of secrets.
    pub(crate) fn releases(&self) -> PathBuf {
        self.folder.join("releases.jsonl")
    }

    fn path(&self, lease: LeaseId) -> PathBuf {
        self.folder.join(format!("{lease}.json"))
    }
}

/// Writes a private file in place of one that may be there, whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension(format!("{}.new", random_hex()?));
    write_new(&fresh, bytes)?;
    fs::rename(&fresh, path).inspect_err(|_| {
        let _ = fs::remove_file(&fresh);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_kept_by_chain() {
        let folder = tempfile::tempdir().unwrap();
        let notes = LeaseNotes::new(folder.path(), &[1; 32]);
        let mut note = LeaseNote {
            lease: LeaseId(7),
            deployment: DeploymentId(3),
            name: "shop".into(),
            manifest: "{}".into(),
        };
        assert_eq!(notes.get(LeaseId(7)), None);
        notes.put(&note).unwrap();
        note.name = "shop-2".into();
        notes.put(&note).unwrap();
        assert_eq!(notes.name(LeaseId(7)).as_deref(), Some("shop-2"));
        assert_eq!(LeaseNotes::new(folder.path(), &[2; 32]).get(LeaseId(7)), None);
        notes.remove(LeaseId(7)).unwrap();
        notes.remove(LeaseId(7)).unwrap();
        assert_eq!(notes.get(LeaseId(7)), None);
        assert_eq!(fs::read_dir(&notes.folder).unwrap().count(), 0);
    }
}
