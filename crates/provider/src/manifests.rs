//! Manifests by hash, as files. What is read is checked against its name: a file that was cut off
//! or changed counts as missing.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use casemate_client::api::MANIFEST_BYTES_MAX;
use casemate_manifest::Manifest;
use casemate_primitives::{Hash256, blake2_256};

/// A file that can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("manifest file `{path}`: {source}")]
pub struct ManifestStoreError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A folder with a file for each manifest.
#[derive(Clone, Debug)]
pub struct ManifestStore {
    dir: PathBuf,
}

impl ManifestStore {
    /// Opens the folder `manifests` in `data_dir`, or makes it.
    ///
    /// # Errors
    /// It can't be made.
    pub fn open(data_dir: &Path) -> Result<Self, ManifestStoreError> {
        let dir = data_dir.join("manifests");
        match fs::create_dir_all(&dir) {
            Ok(()) => Ok(Self { dir }),
            Err(source) => Err(ManifestStoreError { path: dir, source }),
        }
    }

    fn path(&self, hash: &Hash256) -> PathBuf {
        self.dir.join(format!("{}.json", hex::encode(hash)))
    }

    /// Writes a manifest; it is on disk when this returns.
    ///
    /// # Errors
    /// The disk is full or refuses.
    pub fn put(&self, bytes: &[u8]) -> Result<Hash256, ManifestStoreError> {
        let hash = blake2_256(bytes);
        let path = self.path(&hash);
        if self.read(&hash).is_some() {
            return Ok(hash);
        }
        let temporary = path.with_extension(format!("{:?}.part", std::thread::current().id()));
        let write = || {
            let mut file = fs::File::create(&temporary)?;
            io::Write::write_all(&mut file, bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|source| {
            // Nothing to be done if that fails, too: the sweep takes it.
            let _ = fs::remove_file(&temporary);
            ManifestStoreError { path: path.clone(), source }
        })?;
        Ok(hash)
    }

    /// The bytes of a manifest, if they are here and intact.
    pub fn read(&self, hash: &Hash256) -> Option<Vec<u8>> {
        let path = self.path(hash);
        let length = fs::metadata(&path).ok()?.len();
        if length > u64::try_from(MANIFEST_BYTES_MAX).ok()? {
            return None;
        }
        fs::read(&path).ok().filter(|bytes| blake2_256(bytes) == *hash)
    }

    /// A manifest, if it is here, intact and valid.
    pub fn load(&self, hash: &Hash256) -> Option<Manifest> {
        Manifest::from_json(&self.read(hash)?).ok()
    }

    /// Removes all but `wanted`, and what a crash left half-written. What is younger than `age_min`
    /// stays: its order may be under way.
    ///
    /// # Errors
    /// The folder can't be listed.
    pub fn sweep(
        &self,
        wanted: &BTreeSet<Hash256>,
        age_min: Duration,
    ) -> Result<(), ManifestStoreError> {
        let failed = |source| ManifestStoreError { path: self.dir.clone(), source };
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let age = entry.metadata().and_then(|data| data.modified()).map(|at| at.elapsed());
            // A time in the future counts as young.
            let is_young = age.is_ok_and(|age| age.map_or(true, |age| age < age_min));
            let keep = path
                .file_name()
                .and_then(|name| name.to_str()?.strip_suffix(".json"))
                .and_then(|digits| {
                    let mut hash = [0; 32];
                    hex::decode_to_slice(digits, &mut hash).ok()?;
                    Some(hash)
                })
                .is_some_and(|hash| wanted.contains(&hash));
            if !keep
                && !is_young
                && let Err(err) = fs::remove_file(&path)
            {
                tracing::warn!(path = %path.display(), %err, "cannot remove an old manifest");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_back_only_if_intact() {
        let dir = tempfile::tempdir().unwrap();
        let store = ManifestStore::open(dir.path()).unwrap();
        let hash = store.put(b"{}").unwrap();
        assert_eq!(store.put(b"{}").unwrap(), hash);
        assert_eq!(store.read(&hash).unwrap(), b"{}");
        assert!(store.load(&hash).is_none(), "valid JSON, but no manifest");
        fs::write(store.path(&hash), b"{").unwrap();
        assert_eq!(store.read(&hash), None);
        // Handing it over again repairs it.
        store.put(b"{}").unwrap();
        assert_eq!(store.read(&hash).unwrap(), b"{}");
        fs::write(store.dir.join("x.part"), b"").unwrap();
        store.sweep(&BTreeSet::new(), Duration::from_secs(60)).unwrap();
        assert_eq!(fs::read_dir(&store.dir).unwrap().count(), 2);
        store.sweep(&[hash].into(), Duration::ZERO).unwrap();
        assert_eq!(fs::read_dir(&store.dir).unwrap().count(), 1);
        store.sweep(&BTreeSet::new(), Duration::ZERO).unwrap();
        assert_eq!(store.read(&hash), None);
    }
}
