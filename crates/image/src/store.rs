//! [`Store`]: blobs by content, and root filesystems by manifest, on disk.
//!
//! Whoever is killed in here leaves nothing half-done under a final name: all is written in a
//! directory of the process (a *session*, held by a file lock), checked, synced and renamed. The
//! next [`Store::open`] removes sessions that nobody holds any more.

mod gc;
mod rootfs;

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub use gc::Removed;

use crate::{Digest, Error, Result, digest::HashWriter};

/// A directory of blobs and unpacked images. Cheap to clone; safe to share between processes.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    session: PathBuf,
    /// Held as long as the session lives.
    _session_lock: File,
    next: AtomicU64,
}

impl Store {
    /// Opens the store in this directory, which is created where it is missing.
    ///
    /// What killed processes left behind is removed. So are root filesystems that were unpacked
    /// before the machine was last started: they are not synced file by file, and a power cut may
    /// have torn them.
    ///
    /// # Errors
    /// Only where the directory can't be used at all.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let root = dir.as_ref().to_owned();
        for part in ["", "blobs/sha256", "rootfs", "tmp", "locks"] {
            make_dir(&root.join(part))?;
        }
        // Whoever opens, opens alone: a session is never seen between its creation and its lock.
        let path = root.join("locks/open");
        let opening = lock_file(&path)?;
        opening.lock().map_err(|err| Error::io("lock", &path, err))?;
        remove_dead_sessions(&root.join("tmp"))?;
        let (session, session_lock) = make_session(&root.join("tmp"))?;
        let store = Self {
            inner: Arc::new(Inner {
                root,
                session,
                _session_lock: session_lock,
                next: AtomicU64::new(0),
            }),
        };
        store.remove_rootfs_of_earlier_boots()?;
        Ok(store)
    }

    /// Where the store is.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Where a blob is, or would be. It may not be changed there.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.inner.root.join("blobs/sha256").join(digest.hex())
    }

    /// Whether the blob is there.
    pub fn has(&self, digest: &Digest) -> Result<bool> {
        Ok(self.blob_size(digest)?.is_some())
    }

    /// Writes a blob of our own; returns its digest.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let mut writer = self.writer(bytes.len() as u64)?;
        writer.write_all(bytes).map_err(|err| writer.error(err))?;
        writer.commit_any().map(|(digest, _)| digest)
    }

    /// Reads a small blob; its digest is checked again.
    ///
    /// A damaged one is removed from the store, so that the next pull fetches it anew.
    ///
    /// # Errors
    /// [`Error::MissingBlob`], [`Error::LimitExceeded`] above `bytes_max`, or
    /// [`Error::DigestMismatch`].
    pub fn read(&self, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>> {
        let size = self.blob_size(digest)?.ok_or(Error::MissingBlob(*digest))?;
        if size > bytes_max {
            return Err(Error::limit(format!("size of blob {digest}"), size, bytes_max));
        }
        let path = self.blob_path(digest);
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(bytes_max).read_to_end(&mut bytes))
            .map_err(|err| Error::io("read", &path, err))?;
        let actual = Digest::of(&bytes);
        if actual != *digest {
            self.discard(digest);
            return Err(self.damaged(digest, actual));
        }
        Ok(bytes)
    }

    /// Opens a blob of a known size; content is checked by whoever reads it to its end.
    pub(crate) fn open_blob(&self, digest: &Digest, size: u64) -> Result<File> {
        let found = self.blob_size(digest)?.ok_or(Error::MissingBlob(*digest))?;
        if found != size {
            self.discard(digest);
            return Err(Error::SizeMismatch {
                what: format!("blob {digest} in the store"),
                expected: size,
                actual: found,
            });
        }
        let path = self.blob_path(digest);
        File::open(&path).map_err(|err| Error::io("open", &path, err))
    }

    /// Reads a blob to its end and compares; a damaged one is removed.
    pub(crate) fn verify(&self, digest: &Digest) -> Result<()> {
        let path = self.blob_path(digest);
        let mut hash = HashWriter::new(io::sink());
        File::open(&path)
            .and_then(|mut file| io::copy(&mut file, &mut hash))
            .map_err(|err| Error::io("read", &path, err))?;
        let (_, actual, _) = hash.finish();
        if actual == *digest {
            return Ok(());
        }
        self.discard(digest);
        Err(self.damaged(digest, actual))
    }

    /// Whether the blob is there with this size. With another size it is damaged: then it is
    /// removed and reported as missing.
    pub(crate) fn has_sized(&self, digest: &Digest, size: u64) -> Result<bool> {
        match self.blob_size(digest)? {
            None => Ok(false),
            Some(found) if found == size => Ok(true),
            Some(found) => {
                tracing::warn!(%digest, found, expected = size, "removing a damaged blob");
                self.discard(digest);
                Ok(false)
            }
        }
    }

    /// Starts a blob of at most so many bytes.
    pub(crate) fn writer(&self, bytes_max: u64) -> Result<BlobWriter> {
        let path = self.temp_path("blob");
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|err| Error::io("create", &path, err))?;
        Ok(BlobWriter { store: self.clone(), path, out: Some(HashWriter::new(file)), bytes_max })
    }

    /// A fresh name in this process' own directory, on the same file system as the blobs.
    pub(crate) fn temp_path(&self, kind: &str) -> PathBuf {
        let n = self.inner.next.fetch_add(1, Ordering::Relaxed);
        self.inner.session.join(format!("{kind}-{n}"))
    }

    /// Held while blobs are added or read, so that [`Store::remove_unused`] waits its turn.
    pub(crate) fn share(&self) -> Result<File> {
        let path = self.inner.root.join("locks/use");
        let file = lock_file(&path)?;
        file.lock_shared().map_err(|err| Error::io("lock", &path, err))?;
        Ok(file)
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>> {
        let path = self.blob_path(digest);
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() => Ok(Some(meta.len())),
            Ok(_) => Err(Error::NotAnImage { path, reason: "a blob must be a file".to_owned() }),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(err) => Err(Error::io("examine", path, err)),
        }
    }

    fn discard(&self, digest: &Digest) {
        let path = self.blob_path(digest);
        if let Err(err) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %err, "can't remove a damaged blob");
        }
    }

    fn damaged(&self, digest: &Digest, actual: Digest) -> Error {
        Error::DigestMismatch {
            what: format!("blob in store `{}`", self.inner.root.display()),
            expected: *digest,
            actual,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What stays is removed by the next one who opens the store.
        let _ = fs::remove_dir_all(&self.session);
    }
}

/// A blob being written; dropped before its commit, it leaves nothing.
pub(crate) struct BlobWriter {
    store: Store,
    path: PathBuf,
    out: Option<HashWriter<File>>,
    bytes_max: u64,
}

impl BlobWriter {
    /// Gives the blob its name, if it is what it should be.
    pub(crate) fn commit(mut self, what: &str, expected: &Digest, size: u64) -> Result<()> {
        let (file, actual, written) = self.take()?;
        if written != size {
            return Err(Error::SizeMismatch {
                what: what.to_owned(),
                expected: size,
                actual: written,
            });
        }
        if actual != *expected {
            return Err(Error::DigestMismatch {
                what: what.to_owned(),
                expected: *expected,
                actual,
            });
        }
        self.publish(&file, &actual)
    }

    /// Gives the blob the name of whatever was written.
    pub(crate) fn commit_any(mut self) -> Result<(Digest, u64)> {
        let (file, digest, written) = self.take()?;
        self.publish(&file, &digest)?;
        Ok((digest, written))
    }

    pub(crate) fn error(&self, err: io::Error) -> Error {
        Error::io("write", &self.path, err)
    }

    pub(crate) fn written(&self) -> u64 {
        self.out.as_ref().map_or(0, HashWriter::written)
    }

    fn take(&mut self) -> Result<(File, Digest, u64)> {
        self.out.take().map(HashWriter::finish).ok_or(Error::Interrupted("writing a blob"))
    }

    fn publish(&self, file: &File, digest: &Digest) -> Result<()> {
        let to = self.store.blob_path(digest);
        file.set_permissions(fs::Permissions::from_mode(0o444))
            .and_then(|()| file.sync_all())
            .map_err(|err| Error::io("sync", &self.path, err))?;
        fs::rename(&self.path, &to).map_err(|err| Error::io("rename to", &to, err))?;
        sync_dir(to.parent().unwrap_or(&to))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Some(out) = &mut self.out else { return Err(io::ErrorKind::BrokenPipe.into()) };
        if out.written() + buf.len() as u64 > self.bytes_max {
            return Err(io::Error::other(TooLong { bytes_max: self.bytes_max }));
        }
        out.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), HashWriter::flush)
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        // After a commit the name is gone, which is not worth a word.
        let _ = fs::remove_file(&self.path);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("more than {bytes_max} bytes")]
struct TooLong {
    bytes_max: u64,
}

fn make_dir(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|err| Error::io("create", path, err))
}

fn lock_file(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|err| Error::io("open", path, err))
}

fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|err| Error::io("sync", path, err))
}

fn make_session(tmp: &Path) -> Result<(PathBuf, File)> {
    let pid = std::process::id();
    for n in 0_u32.. {
        let path = tmp.join(format!("{pid}-{n}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {}
            // Of this process (another store object), or of one with our number in another
            // process namespace.
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(err) => return Err(Error::io("create", path, err)),
        }
        let lock = lock_file(&path.join("lock"))?;
        lock.lock().map_err(|err| Error::io("lock", &path, err))?;
        return Ok((path, lock));
    }
    Err(Error::StoreBusy(tmp.to_owned()))
}

fn remove_dead_sessions(tmp: &Path) -> Result<()> {
    let entries = fs::read_dir(tmp).map_err(|err| Error::io("list", tmp, err))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let alive = File::open(path.join("lock"))
            .is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        if !alive && let Err(err) = fs::remove_dir_all(&path) {
            tracing::warn!(path = %path.display(), %err, "can't remove what a dead process left");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
