//! Sealed output on its way to the spool.
//!
//! It stays in the pod's events file until it was given up: the file's beginning is not given back to
//! the disk before (see [`crate::fold::EventLog::trim`]), and the file of a deleted pod is set aside.
//! How far was read is in the checkpoint or in the name of the file set aside; where that is lost, the
//! same chunks are read again, which does no harm.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use casemate_agent::event::{Decoder, Event, EventKind, LINE_BYTES_MAX, decode_chunk, decode_key};
use casemate_primitives::AgentPublicKey;
use casemate_provider_core::{LOG_BATCH_BYTES, LogBatch, LogMark, PodId};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Result, io_error},
    files::names,
    fold::read_at,
};

/// How much of a file is read at a time.
const READ_BYTES: usize = 4 * LINE_BYTES_MAX;

/// How much is kept of why something is no chunk.
const REASON_CHARS_MAX: usize = 200;

/// Up to where a file's chunks were read, and whose key signs there.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    pub(crate) offset: u64,
    key: Option<String>,
}

impl Position {
    fn key(&self) -> Option<AgentPublicKey> {
        decode_key(self.key.as_deref()?).ok()
    }

    /// `OFFSET-KEY`, or `OFFSET-` before there is a key: part of a file's name.
    fn to_text(&self) -> String {
        format!("{}-{}", self.offset, self.key.as_deref().unwrap_or_default())
    }

    fn parse(text: &str) -> Option<Self> {
        let (offset, key) = text.split_once('-')?;
        let key = (!key.is_empty()).then(|| key.to_owned());
        if key.as_deref().is_some_and(|key| decode_key(key).is_err()) {
            return None;
        }
        Some(Self { offset: offset.parse().ok()?, key })
    }
}

/// Reads the chunks of the pod `id` in a file, and where they end. `signer` is the container whose
/// agent writes them.
pub(crate) fn read(
    path: &Path,
    id: PodId,
    signer: &str,
    from: &Position,
) -> Result<(Option<Found>, Position)> {
    let mut at = from.clone();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok((None, at)),
        Err(err) => return Err(io_error("open", path)(err)),
    };
    let mut decoder = Decoder::at(from.offset);
    let mut buffer = vec![0; READ_BYTES];
    let mut found = Found::default();
    loop {
        let read = read_at(&file, &mut buffer, decoder.offset()).map_err(io_error("read", path))?;
        let used = decoder.feed(&buffer[..read], |offset, event| {
            if found.is_full() {
                return;
            }
            at.offset = offset;
            match event {
                Ok(event) if event.container == signer => found.add(event, id, &mut at),
                _ => (),
            }
        });
        if used == 0 || found.is_full() {
            break;
        }
    }
    Ok(((!found.is_empty()).then_some(found), at))
}

/// What a look at a file has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    chunks: Vec<casemate_primitives::LogChunk>,
    bytes: usize,
    refused: u64,
    reason: Option<String>,
}

impl Found {
    fn is_full(&self) -> bool {
        self.bytes >= LOG_BATCH_BYTES
    }

    fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.refused == 0
    }

    fn add(&mut self, event: Event, id: PodId, at: &mut Position) {
        match event.kind {
            EventKind::Started { key: Some(key) } if decode_key(&key).is_ok() => at.key = Some(key),
            EventKind::LogChunk { chunk } => {
                self.bytes += chunk.len();
                let taken = decode_chunk(&chunk).map_err(|err| err.to_string());
                let own = taken.and_then(|chunk| {
                    let header = &chunk.header;
                    if (header.lease, header.replica) != (id.lease, id.replica) {
                        return Err("a chunk is of another pod".to_owned());
                    }
                    if Some(header.key) != at.key() {
                        return Err("a chunk is of a key that its agent does not have".to_owned());
                    }
                    Ok(chunk)
                });
                match own {
                    Ok(chunk) => self.chunks.push(chunk),
                    Err(reason) => {
                        self.refused += 1;
                        self.reason = Some(reason.chars().take(REASON_CHARS_MAX).collect());
                    }
                }
            }
            _ => (),
        }
    }

    /// As it is handed on; `source` says which file `at` is a position in.
    pub(crate) fn into_batch(self, source: &str, at: &Position) -> LogBatch {
        let Self { chunks, refused, reason, .. } = self;
        let mark = LogMark(format!("{source} {}", at.to_text()));
        LogBatch { chunks, refused, reason, mark }
    }
}

/// The file and the position that a mark names: a number is the file of a pod that is there.
pub(crate) fn parse_mark(mark: &LogMark) -> Option<(&str, Position)> {
    let (source, position) = mark.0.split_once(' ')?;
    Some((source, Position::parse(position)?))
}

/// A deleted pod's events file, whose chunks were not all given up.
///
/// Its name is `POD.NUMBER.SIGNER.OFFSET-KEY`: a rename is all that moving on takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SetAside {
    pub(crate) pod: PodId,
    number: u32,
    signer: String,
    at: Position,
}

impl SetAside {
    fn name(&self) -> String {
        let Self { pod, number, signer, at } = self;
        format!("{pod}.{number}.{signer}.{}", at.to_text())
    }

    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.splitn(4, '.');
        Some(Self {
            pod: parts.next()?.parse().ok()?,
            number: parts.next()?.parse().ok()?,
            signer: parts.next()?.to_owned(),
            at: Position::parse(parts.next()?)?,
        })
    }

    /// What stays the same while it is read: what marks name it by.
    fn source(&self) -> String {
        format!("{}.{}", self.pod, self.number)
    }

    /// All in `dir`, the oldest of each pod first.
    pub(crate) fn all(dir: &Path) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = names(dir)?.iter().filter_map(|name| Self::parse(name)).collect();
        all.sort_by_key(|aside| (aside.pod, aside.number));
        Ok(all)
    }

    /// Sets a pod's events file aside, unless all of its chunks were given up.
    pub(crate) fn set(
        dir: &Path,
        events: &Path,
        pod: PodId,
        signer: &str,
        at: &Position,
    ) -> Result<()> {
        let (found, _) = read(events, pod, signer, at)?;
        if found.is_none() {
            return Ok(());
        }
        let all = Self::all(dir)?;
        let used = all.iter().filter(|aside| aside.pod == pod).map(|aside| aside.number);
        let number = used.max().map_or(1, |number| number.saturating_add(1));
        let aside = Self { pod, number, signer: signer.to_owned(), at: at.clone() };
        let to = dir.join(aside.name());
        std::fs::rename(events, &to).map_err(io_error("set aside", events))?;
        let folder = File::open(dir).map_err(io_error("open", dir))?;
        folder.sync_all().map_err(io_error("sync", dir))
    }

    /// Its next chunks. Without any it is removed.
    pub(crate) fn batch(&self, dir: &Path) -> Result<Option<LogBatch>> {
        let path = dir.join(self.name());
        let (found, at) = read(&path, self.pod, &self.signer, &self.at)?;
        match found {
            Some(found) => Ok(Some(found.into_batch(&self.source(), &at))),
            None => remove(&path).map(|()| None),
        }
    }

    /// Goes on to where a mark says, if it is one of this file.
    pub(crate) fn forget(&self, dir: &Path, source: &str, to: &Position) -> Result<()> {
        if self.source() != source || to.offset <= self.at.offset {
            return Ok(());
        }
        let moved = Self { at: to.clone(), ..self.clone() };
        let (from, to) = (dir.join(self.name()), dir.join(moved.name()));
        std::fs::rename(&from, &to).map_err(io_error("rename", &from))
    }
}

fn remove(path: &PathBuf) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(err)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
