//! Unpacked images: one read-only tree per manifest, for overlay mounts to build on.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Store, lock_file, make_dir};
use crate::{Digest, Error, Image, Limits, Result, unpack::unpack_to};

impl Store {
    /// The unpacked root filesystem of an image: unpacked by the first call, found by the others.
    ///
    /// The tree may not be changed: pods share it as the lower directory of their overlay mounts.
    /// It stays until [`Store::remove_unused`], or until the machine was started anew and the
    /// store is opened again.
    ///
    /// Callers that race (also from several processes) unpack once; the others wait.
    pub fn rootfs(&self, image: &Image, limits: &Limits) -> Result<PathBuf> {
        let _shared = self.share()?;
        let path = self.rootfs_path(&image.manifest_digest);
        if path.is_dir() {
            return Ok(path);
        }
        let lock_path = self.root().join("locks").join(image.manifest_digest.hex());
        let lock = lock_file(&lock_path)?;
        lock.lock().map_err(|err| Error::io("lock", &lock_path, err))?;
        if path.is_dir() {
            return Ok(path);
        }
        let temp = self.temp_path("rootfs");
        make_dir(&temp)?;
        let unpacked = unpack_to(self, image, &temp, limits)
            .and_then(|done| match fs::rename(&temp, &path) {
                Ok(()) => Ok(done),
                Err(err) => Err(Error::io("rename to", &path, err)),
            })
            .inspect_err(|_| {
                let _ = fs::remove_dir_all(&temp);
            })?;
        for entry in &unpacked.skipped {
            tracing::warn!(image = %image.manifest_digest, %entry, "left out of the image");
        }
        tracing::info!(
            image = %image.manifest_digest,
            entries = unpacked.entries,
            bytes = unpacked.bytes,
            "unpacked"
        );
        Ok(path)
    }

    pub(super) fn rootfs_path(&self, manifest: &Digest) -> PathBuf {
        self.root().join("rootfs").join(manifest.hex())
    }

    /// Called while the store is being opened and nobody else can open it.
    ///
    /// Any process that is alive was started under the current boot, so trees of an earlier one
    /// are in nobody's use.
    pub(super) fn remove_rootfs_of_earlier_boots(&self) -> Result<()> {
        let boot = match fs::read_to_string(BOOT_ID) {
            Ok(boot) => boot,
            Err(err) => {
                tracing::warn!(%err, "can't tell whether the machine was restarted");
                return Ok(());
            }
        };
        let marker = self.root().join("rootfs/.boot");
        match fs::read_to_string(&marker) {
            Ok(found) if found == boot => return Ok(()),
            Ok(_) => {}
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            Err(err) => return Err(Error::io("read", marker, err)),
        }
        let dir = self.root().join("rootfs");
        for entry in fs::read_dir(&dir).map_err(|err| Error::io("list", &dir, err))?.flatten() {
            self.remove_tree(&entry.path())?;
        }
        fs::write(&marker, boot).map_err(|err| Error::io("write", marker, err))
    }

    /// Takes the name away first, so that a kill leaves no half tree under it.
    pub(super) fn remove_tree(&self, path: &Path) -> Result<()> {
        let temp = self.temp_path("removed");
        fs::rename(path, &temp).map_err(|err| Error::io("remove", path, err))?;
        let result = if temp.is_dir() && !temp.is_symlink() {
            fs::remove_dir_all(&temp)
        } else {
            fs::remove_file(&temp)
        };
        result.map_err(|err| Error::io("remove", temp, err))
    }
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
