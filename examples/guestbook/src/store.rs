//! The entries: one line of JSON each, in one file on the volume.
//!
//! An entry is acknowledged only after `fdatasync`. Killed or out of disk in the middle of a
//! write, the file ends in half a line, which belongs to nobody: it is cut off.

use crate::clock;
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Entries kept in memory, newest last. The page and the API show no more.
const RECENT_MAX: usize = 100;

/// Longest line: a message of 2,000 characters, each written as `\u0001` or four bytes, is below.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// What a visitor wrote.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Entry {
    /// Counts up from 1.
    pub(crate) id: u64,
    /// Seconds since the Unix epoch.
    pub(crate) time: u64,
    pub(crate) name: String,
    pub(crate) message: String,
}

/// A file operation that failed, on what, and what to do.
#[derive(Debug)]
pub(crate) struct OpenError {
    what: String,
    path: PathBuf,
    hint: &'static str,
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; {}", self.path.display(), self.what, self.hint)
    }
}

/// The entries on disk, and the newest of them in memory.
#[derive(Debug)]
pub(crate) struct Store(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    /// Length of the file up to the last entry that was acknowledged.
    length: u64,
    count: u64,
    last_id: u64,
    recent: VecDeque<Entry>,
}

impl Store {
    /// Opens the store in `folder`, or makes an empty one.
    pub(crate) fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join("entries.jsonl");
        let failed = |error: io::Error| OpenError {
            what: error.to_string(),
            path: path.clone(),
            hint: "DATA_DIR must name a folder that this app may write to, such as a volume's",
        };
        fs::create_dir_all(folder).map_err(failed)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        // So that the name of a new file survives a power cut as well.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        let mut inner = Inner { file, length: 0, count: 0, last_id: 0, recent: VecDeque::new() };
        inner.recover().map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => OpenError {
                what: error.to_string(),
                path: path.clone(),
                hint: "repair or move the file, nothing was changed",
            },
            _ => failed(error),
        })?;
        Ok(Self(Mutex::new(inner)))
    }

    /// Number of all entries.
    pub(crate) fn count(&self) -> u64 {
        self.lock().count
    }

    /// The newest entries, newest first, and the number of all.
    pub(crate) fn newest(&self, limit: usize) -> (Vec<Entry>, u64) {
        let inner = self.lock();
        (inner.recent.iter().rev().take(limit).cloned().collect(), inner.count)
    }

    /// Writes an entry to the disk, then gives it.
    pub(crate) fn append(&self, name: String, message: String) -> io::Result<Entry> {
        let mut inner = self.lock();
        let entry = Entry { id: inner.last_id + 1, time: clock::now(), name, message };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        if let Err(error) = inner.write(&line) {
            // Best effort: if this fails too, the next write starts at the same place again.
            _ = inner.file.set_len(inner.length);
            return Err(error);
        }
        inner.remember(entry.clone(), line.len());
        Ok(entry)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves nothing half done: the memory changes after the disk.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(line)?;
        self.file.sync_data()
    }

    fn remember(&mut self, entry: Entry, bytes: usize) {
        self.length += bytes as u64;
        self.count += 1;
        self.last_id = entry.id;
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(entry);
    }

    /// Reads all lines; cuts off a last one that is not whole.
    fn recover(&mut self) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        let mut reader = BufReader::new(self.file.try_clone()?);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = io::Read::take(&mut reader, LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            let entry = line.strip_suffix(b"\n").and_then(|json| serde_json::from_slice(json).ok());
            match entry {
                Some(entry) => self.remember(entry, read),
                None if self.length + read as u64 == size => break,
                None => {
                    let line = self.count + 1;
                    let what = format!("line {line} is not an entry");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
            }
        }
        if self.length < size {
            self.file.set_len(self.length)?;
            self.file.sync_all()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
