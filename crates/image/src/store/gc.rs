//! Removing what no image needs any more.

use std::{collections::HashSet, fs, fs::TryLockError};

use super::{Store, lock_file};
use crate::{
    Digest, Error, Limits, Result,
    image::{Document, parse_document},
};

/// What [`Store::remove_unused`] removed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Removed {
    /// Number of blobs.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Number of root filesystems.
    pub rootfs: u64,
}

impl Store {
    /// Removes all blobs and root filesystems that the images in `keep` do not need.
    ///
    /// `keep` has digests of manifests or of indices. An image of which a pod runs must be in it:
    /// its tree is the lower directory of the pod's overlay.
    ///
    /// # Errors
    /// [`Error::StoreBusy`] while any process pulls or unpacks; nothing was removed then.
    pub fn remove_unused(&self, keep: &[Digest]) -> Result<Removed> {
        let lock_path = self.root().join("locks/use");
        let lock = lock_file(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::StoreBusy(self.root().to_owned()));
            }
            Err(TryLockError::Error(err)) => return Err(Error::io("lock", lock_path, err)),
        }
        let needed = self.needed(keep);
        let mut removed = Removed::default();
        for (name, path) in self.list("rootfs")? {
            if !needed.contains(&name) {
                self.remove_tree(&path)?;
                let _ = fs::remove_file(self.root().join("locks").join(name.hex()));
                removed.rootfs += 1;
            }
        }
        for (name, path) in self.list("blobs/sha256")? {
            if !needed.contains(&name) {
                let bytes = fs::symlink_metadata(&path).map_or(0, |meta| meta.len());
                fs::remove_file(&path).map_err(|err| Error::io("remove", path, err))?;
                removed.blobs += 1;
                removed.blob_bytes += bytes;
            }
        }
        Ok(removed)
    }

    fn needed(&self, keep: &[Digest]) -> HashSet<Digest> {
        let bytes_max = Limits::default().manifest_bytes_max;
        let mut needed = HashSet::new();
        let mut queue = keep.to_vec();
        while let Some(digest) = queue.pop() {
            if !needed.insert(digest) {
                continue;
            }
            // A damaged or missing manifest needs nothing more: its image must be pulled again.
            let Ok(bytes) = self.read(&digest, bytes_max) else { continue };
            match parse_document(&bytes, "kept image") {
                Ok(Document::Index(index)) => {
                    queue.extend(index.manifests.iter().map(|entry| entry.digest));
                }
                Ok(Document::Manifest(manifest)) => {
                    needed.extend(manifest.layers.iter().map(|layer| layer.digest));
                    needed.insert(manifest.config.digest);
                }
                Err(_) => {}
            }
        }
        needed
    }

    /// Entries of a directory that are named by a digest; others are not ours to remove.
    fn list(&self, dir: &str) -> Result<Vec<(Digest, std::path::PathBuf)>> {
        let dir = self.root().join(dir);
        let entries = fs::read_dir(&dir).map_err(|err| Error::io("list", &dir, err))?;
        Ok(entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                Some((format!("sha256:{name}").parse().ok()?, entry.path()))
            })
            .collect())
    }
}
