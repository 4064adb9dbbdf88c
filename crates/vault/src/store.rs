//! The vault's file: an append-only list of encrypted batches.
//!
//! ```text
//! "CASEMATE-VAULT/1" | file id (16) | batch | batch | ...
//! batch = length (4, little endian) | check (4) | XChaCha20-Poly1305 of its records
//! ```
//! A batch is one write, synchronised before it is acknowledged, and counts whole or not at all. Its
//! associated data are the file's id, its number and the tag of the one before, so that none can be
//! moved, left out or brought from another file. What SIGKILL or a full disk leaves of a batch is
//! cut off at the next start. Whatever else does not read is told and never written to: the file is
//! evidence then, and other replicas have the entries.

use std::{
    fs::{File, Metadata, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use casemate_primitives::Hash256;
use codec::{Decode, DecodeAll as _, Encode};
use sha2::{Digest as _, Sha256};

use crate::{
    audit::AuditEntry,
    entry::SignedEntry,
    master::{Key, Keys},
    seal::{self, OVERHEAD, SealError},
};

const MAGIC: &[u8; 16] = b"CASEMATE-VAULT/1";
const HEAD_BYTES: usize = MAGIC.len() + 16;
const TAG_BYTES: usize = 16;

/// Longest batch: more than a snapshot's entries and their lines of the trail.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A file that is written anew gets batches of about this length.
const REWRITE_BATCH_BYTES: usize = 1024 * 1024;

/// What a file holds.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub(crate) enum Record {
    /// First of the first batch: whose file it is.
    Head { vault: Hash256 },
    /// A publisher's entry.
    Entry(Box<SignedEntry>),
    /// A line of the trail.
    Audit(AuditEntry),
}

/// Why the file can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The system refuses.
    #[error("failed to {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("`{path}` is in use by another vault")]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// Some other file.
    #[error("`{path}` is not a vault's file; nothing was written to it. Name another path")]
    Other {
        /// Which.
        path: PathBuf,
    },
    /// The first batch does not open.
    #[error(
        "`{path}` does not open with this master: it belongs to another vault, or was changed. \
         Nothing was written to it"
    )]
    Master {
        /// Which.
        path: PathBuf,
    },
    /// A later one does not open, or does not read.
    #[error(
        "`{path}` was changed or damaged at byte {offset}. Nothing was written to it: keep it, move \
         it away, and start again, so that this replica gets the entries from the publisher or \
         another replica"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Where the batch begins.
        offset: u64,
    },
    /// A write failed before, and what is on disk is not known.
    #[error("`{path}` could not be written to before; the vault must be started again")]
    Broken {
        /// Which.
        path: PathBuf,
    },
    /// More than a batch can be.
    #[error("more than a batch of the file can be")]
    TooLong,
    /// No random numbers.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// An open file. One process has it at a time.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    file: File,
    id: [u8; 16],
    key: Key,
    vault: Hash256,
    /// Number and predecessor's tag of the next batch.
    next: (u64, [u8; TAG_BYTES]),
    length: u64,
    is_broken: bool,
    _lock: File,
}

fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> StoreError + use<'a> {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

impl Store {
    /// Opens the file, or makes an empty one, and gives what it holds.
    pub(crate) fn open(path: &Path, keys: &Keys) -> Result<(Self, Vec<Record>), StoreError> {
        let lock_path = beside(path, ".lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed("open", &lock_path))?;
        lock.try_lock().map_err(|err| match err {
            TryLockError::WouldBlock => StoreError::InUse { path: path.to_owned() },
            TryLockError::Error(err) => failed("lock", &lock_path)(err),
        })?;
        match File::options().read(true).write(true).open(path) {
            Ok(file) => Self::read(path, file, lock, keys),
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                let id = new_id()?;
                let store = Self::write_new(path, id, keys.id(), &keys.store, lock, &[])?;
                Ok((store, Vec::new()))
            }
            Err(err) => Err(failed("open", path)(err)),
        }
    }

    fn read(
        path: &Path,
        mut file: File,
        lock: File,
        keys: &Keys,
    ) -> Result<(Self, Vec<Record>), StoreError> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("read", path))?;
        let other = || StoreError::Other { path: path.to_owned() };
        let (head, mut rest) = bytes.split_at_checked(HEAD_BYTES).ok_or_else(other)?;
        let (magic, id) = head.split_at(MAGIC.len());
        let id: [u8; 16] = match id.try_into() {
            Ok(id) if magic == MAGIC => id,
            _ => return Err(other()),
        };
        let mut store = Self {
            path: path.to_owned(),
            file,
            id,
            key: keys.store.derive(&id),
            vault: keys.id(),
            next: (0, [0; TAG_BYTES]),
            length: HEAD_BYTES as u64,
            is_broken: false,
            _lock: lock,
        };
        let mut all = Vec::new();
        while let Some((sealed, after)) = store.split(rest)? {
            let records = store.open_batch(sealed)?;
            store.advance(sealed);
            all.extend(records);
            rest = after;
        }
        match all.first() {
            Some(Record::Head { vault }) if *vault == keys.id() => {}
            // A file is made with its first batch in it.
            _ => return Err(StoreError::Master { path: path.to_owned() }),
        }
        if store.length < bytes.len() as u64 {
            store.cut().map_err(failed("cut the unfinished end off", path))?;
        }
        store.file.seek(SeekFrom::Start(store.length)).map_err(failed("read", path))?;
        all.remove(0);
        Ok((store, all))
    }

    /// The next batch and what follows it; `None` at the end, or at a write that did not finish.
    fn split<'a>(&self, rest: &'a [u8]) -> Result<Option<(&'a [u8], &'a [u8])>, StoreError> {
        let Some((head, after)) = rest.split_at_checked(8) else { return Ok(None) };
        let (length, check) = head.split_at(4);
        let length = u32::from_le_bytes(length.try_into().unwrap_or_default());
        if check == self.check(length) {
            // Shorter than it says: the write did not finish, so nobody was told that it had.
            return Ok(after.split_at_checked(length as usize));
        }
        // After a power cut, a file system may leave zeros where a write did not finish.
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        Err(self.damaged())
    }

    fn damaged(&self) -> StoreError {
        let path = self.path.clone();
        match self.next.0 {
            0 => StoreError::Master { path },
            _ => StoreError::Damaged { path, offset: self.length },
        }
    }

    fn open_batch(&self, sealed: &[u8]) -> Result<Vec<Record>, StoreError> {
        let plain = seal::open(&self.key, &self.context(), sealed).map_err(|_| self.damaged())?;
        Vec::<Record>::decode_all(&mut plain.as_slice()).map_err(|_| self.damaged())
    }

    /// Tells a length that was changed from a write that did not finish.
    fn check(&self, length: u32) -> [u8; 4] {
        let hash = Sha256::digest((b"casemate/vault-batch", self.id, self.next.0, length).encode());
        let mut check = [0; 4];
        check.copy_from_slice(hash.get(..4).unwrap_or(&[0; 4]));
        check
    }

    fn context(&self) -> Vec<u8> {
        (self.id, self.next).encode()
    }

    fn advance(&mut self, sealed: &[u8]) {
        self.length += 8 + sealed.len() as u64;
        self.next = (self.next.0 + 1, sealed.last_chunk().copied().unwrap_or_default());
    }

    fn frame(&self, records: &[Record]) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
        let sealed = seal::seal(&self.key, &self.context(), &records.encode())?;
        let length = u32::try_from(sealed.len())
            .ok()
            .filter(|length| *length as usize <= BATCH_BYTES_MAX + OVERHEAD)
            .ok_or(StoreError::TooLong)?;
        let frame =
            [length.to_le_bytes().as_slice(), &self.check(length), sealed.as_slice()].concat();
        Ok((frame, sealed))
    }

    /// Adds records. When it returns `Ok`, they are on disk.
    pub(crate) fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        if self.is_broken {
            return Err(StoreError::Broken { path: self.path.clone() });
        }
        let (frame, sealed) = self.frame(records)?;
        if let Err(err) = self.file.write_all(&frame) {
            // A full disk: what was written of it goes again.
            self.is_broken = self.cut().is_err();
            return Err(failed("write to", &self.path)(err));
        }
        if let Err(err) = self.file.sync_data() {
            // The kernel may have dropped the pages: what a later sync says means nothing.
            self.is_broken = true;
            return Err(failed("synchronise", &self.path)(err));
        }
        self.advance(&sealed);
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.sync_data()
    }

    /// How long the file is.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Puts a file with these records alone in the place of this one, at once.
    pub(crate) fn rewrite(&mut self, keys: &Keys, records: &[Record]) -> Result<(), StoreError> {
        if self.is_broken {
            return Err(StoreError::Broken { path: self.path.clone() });
        }
        let lock = self._lock.try_clone().map_err(failed("lock", &self.path))?;
        match Self::write_new(&self.path, new_id()?, self.vault, &keys.store, lock, records) {
            Ok(new) => {
                *self = new;
                Ok(())
            }
            Err(err) => {
                // Failed after the new file had its name: what is open here would be lost.
                self.is_broken |= !self.is_at_its_path();
                Err(err)
            }
        }
    }

    fn is_at_its_path(&self) -> bool {
        let inode = |metadata: io::Result<Metadata>| metadata.map(|m| (m.dev(), m.ino())).ok();
        let own = inode(self.file.metadata());
        own.is_some() && own == inode(std::fs::metadata(&self.path))
    }

    fn write_new(
        path: &Path,
        id: [u8; 16],
        vault: Hash256,
        key: &Key,
        lock: File,
        records: &[Record],
    ) -> Result<Self, StoreError> {
        // Left by one that was killed: it never had a name that counts.
        let new_path = beside(path, ".new");
        let file = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&new_path)
            .map_err(failed("make", &new_path))?;
        let mut store = Self {
            path: path.to_owned(),
            file,
            id,
            key: key.derive(&id),
            vault,
            next: (0, [0; TAG_BYTES]),
            length: HEAD_BYTES as u64,
            is_broken: false,
            _lock: lock,
        };
        let write = |file: &mut File, bytes: &[u8]| {
            file.write_all(bytes).map_err(failed("write to", &new_path))
        };
        write(&mut store.file, &[MAGIC.as_slice(), &id].concat())?;
        let head = Record::Head { vault };
        // It counts as a whole once it has its name, so that it may be many batches.
        for batch in in_batches(std::iter::once(&head).chain(records)) {
            let (frame, sealed) = store.frame(&batch)?;
            write(&mut store.file, &frame)?;
            store.advance(&sealed);
        }
        store.file.sync_all().map_err(failed("synchronise", &new_path))?;
        std::fs::rename(&new_path, path).map_err(failed("rename the new file to", path))?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed("synchronise", folder))?;
        Ok(store)
    }
}

/// Batches of bounded length; one record has some hundred kilobytes at most.
fn in_batches<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<Vec<Record>> {
    let mut batches = Vec::new();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for record in records {
        let size = record.encoded_size();
        if bytes + size > REWRITE_BATCH_BYTES && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += size;
        batch.push(record.clone());
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn new_id() -> Result<[u8; 16], StoreError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|err| StoreError::Seal(err.into()))?;
    Ok(id)
}

#[cfg(test)]
mod tests;
