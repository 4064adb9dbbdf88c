//! What a pod's events add up to.
//!
//! All of it can be read again from the events file. Once that is long, a checkpoint keeps the sum of
//! its beginning, and the beginning is given back to the disk.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use casemate_agent::{
    config::PreviousRecord,
    event::{
        Decoder, Event, EventKind, LINE_BYTES_MAX, RunEnd, Stream, decode_key, decode_record,
        decode_result,
    },
};
use casemate_primitives::{AgentPublicKey, Hash256, TeeKind};
use casemate_provider_core::{
    Attestation, AttestationEndpoint, LogLine, LogQuery, LogStream, SignedRunResult,
    SignedUsageRecord,
};
use codec::Encode as _;
use nix::fcntl::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};

use crate::{
    chunks::Position,
    error::{Result, io_error},
    files::{read_optional, write_durably},
    instance::PodPaths,
};

/// How much of the file is read at a time.
const CHUNK_BYTES: usize = 4 * LINE_BYTES_MAX;

/// How much is kept of why there is no evidence.
const REASON_CHARS_MAX: usize = 500;

/// The sum.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Fold {
    /// Up to where in the file.
    offset: u64,
    /// What is before was given back to the disk.
    log_start: u64,
    pub(crate) containers: BTreeMap<String, ContainerFold>,
    /// The signer's newest key.
    key: Option<String>,
    /// What the signer has said last of its evidence.
    #[serde(default)]
    evidence: Evidence,
    /// The newest record of each key, the newest key last.
    records: Vec<StoredRecord>,
    /// Up to where sealed output was given up.
    #[serde(default)]
    chunks: Position,
}

/// What a signer says of its evidence.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Evidence {
    #[default]
    Unknown,
    Unavailable(String),
    Available {
        tee: TeeKind,
        port: u16,
        hpke_key: String,
        tls_spki_sha256: String,
    },
}

/// What one container's events add up to.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ContainerFold {
    pub(crate) app: App,
    pub(crate) restarts: u32,
    pub(crate) ready: bool,
    /// Names of the secrets that the app waits for.
    #[serde(default)]
    pub(crate) awaits: Option<Vec<String>>,
    /// Why its agent refuses its configuration.
    #[serde(default)]
    pub(crate) refused: Option<String>,
}

/// What the app does.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum App {
    #[default]
    Waiting,
    Running,
    Ended(i32),
    EndedForGood(i32),
}

/// A record as it is kept in files; its signature is checked each time that it is read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredRecord {
    pub(crate) key: String,
    record: String,
    signature: String,
    /// How the run has ended that it is the last record of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunEnd>,
}

impl StoredRecord {
    pub(crate) fn new(signed: &SignedUsageRecord) -> Self {
        Self {
            key: hex::encode(signed.key),
            record: hex::encode(signed.record.encode()),
            signature: hex::encode(signed.signature),
            run: signed.run.as_ref().map(|run| RunEnd::new(&run.result, &run.signature)),
        }
    }

    /// For the agent that comes after its.
    pub(crate) fn into_previous(self) -> PreviousRecord {
        let Self { key, record, signature, .. } = self;
        PreviousRecord { key, record, signature }
    }

    pub(crate) fn checked(&self, genesis_hash: &Hash256) -> Option<SignedUsageRecord> {
        let key = decode_key(&self.key).ok()?;
        let (record, signature) =
            decode_record(&self.record, &self.signature, &key, genesis_hash).ok()?;
        // A result that is not signed makes no record worthless: it is as if there were none.
        let run = self.run.as_ref().and_then(|run| {
            let (result, signature) = decode_result(run, &record, &key, genesis_hash).ok()?;
            Some(SignedRunResult { result, signature })
        });
        Some(SignedUsageRecord { record, key, signature, run })
    }
}

/// A pod's events file and the sum of what was read of it.
#[derive(Debug)]
pub(crate) struct EventLog {
    paths: PodPaths,
    genesis_hash: Hash256,
    /// The container whose agent signs.
    signer: String,
    /// Whether its output is sealed.
    seals: bool,
    /// No other file has had it in this process.
    number: u64,
    decoder: Decoder,
    fold: Fold,
}

impl EventLog {
    pub(crate) fn open(
        paths: PodPaths,
        genesis_hash: Hash256,
        signer: String,
        seals: bool,
    ) -> Result<Self> {
        let checkpoint = read_optional(&paths.checkpoint())?;
        // A damaged one can't come from a SIGKILL; reading all again is right in any case.
        let fold: Fold =
            checkpoint.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let decoder = Decoder::at(fold.offset);
        Ok(Self { paths, genesis_hash, signer, seals, number, decoder, fold })
    }

    /// The file's number and up to where its sealed output was given up, if there may be any behind.
    pub(crate) fn unread_chunks(&self) -> Option<(u64, Position)> {
        let at = &self.fold.chunks;
        let length = std::fs::metadata(self.paths.events()).map_or(0, |metadata| metadata.len());
        (self.seals && at.offset < length).then(|| (self.number, at.clone()))
    }

    /// Sealed output of the file with this number was taken over up to here, or there was none. The
    /// file of a pod that was applied again is another one.
    pub(crate) fn forget_chunks(&mut self, number: u64, to: Position) {
        if number == self.number && to.offset > self.fold.chunks.offset {
            self.fold.chunks = to;
        }
    }

    /// Reads what is new.
    pub(crate) fn refresh(&mut self) -> Result<&Fold> {
        let path = self.paths.events();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(&self.fold),
            Err(err) => return Err(io_error("open", &path)(err)),
        };
        let length = file.metadata().map_err(io_error("read", &path))?.len();
        if length <= self.decoder.offset() {
            return Ok(&self.fold);
        }
        let mut buffer = vec![0; CHUNK_BYTES.min(usize::try_from(length).unwrap_or(CHUNK_BYTES))];
        loop {
            let at = self.decoder.offset();
            let read = read_at(&file, &mut buffer, at).map_err(io_error("read", &path))?;
            let Self { decoder, fold, signer, genesis_hash, .. } = self;
            let used = decoder.feed(&buffer[..read], |_, event| match event {
                Ok(event) => fold.add(event, signer, genesis_hash),
                Err(err) => tracing::warn!(events = %path.display(), %err, "skipped"),
            });
            fold.offset = decoder.offset();
            if used == 0 {
                return Ok(&self.fold);
            }
        }
    }

    /// What was read so far.
    pub(crate) fn fold(&self) -> &Fold {
        &self.fold
    }

    /// Gives the beginning of a long file back to the disk.
    pub(crate) fn trim(&mut self, log_bytes_max: u64) -> Result<()> {
        let path = self.paths.events();
        let Ok(file) = File::options().write(true).open(&path) else { return Ok(()) };
        let metadata = file.metadata().map_err(io_error("read", &path))?;
        if metadata.blocks() * 512 <= log_bytes_max {
            return Ok(());
        }
        // Half is kept, so that this is done seldom. The cut may be within a line: it is skipped.
        let start = self.fold.offset.saturating_sub(log_bytes_max / 2);
        // Sealed output that was not taken over yet stays. An agent stops writing long before this
        // bound; whatever goes beyond is none.
        let start = match self.seals && metadata.blocks() * 512 <= log_bytes_max.saturating_mul(8) {
            true => start.min(self.fold.chunks.offset),
            false => start,
        };
        let hole = i64::try_from(start).unwrap_or(0);
        if hole <= 0 || start <= self.fold.log_start {
            return Ok(());
        }
        self.fold.log_start = start;
        let checkpoint = serde_json::to_vec(&self.fold).unwrap_or_default();
        write_durably(&self.paths.checkpoint(), &checkpoint)?;
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        fallocate(&file, flags, 0, hole).map_err(|err| io_error("shorten", &path)(err.into()))
    }

    /// What reads lines, without a hold on the sum while it reads.
    pub(crate) fn reader(&self) -> LogReader {
        LogReader { path: self.paths.events(), log_start: self.fold.log_start }
    }
}

/// Reads a pod's output.
#[derive(Debug)]
pub(crate) struct LogReader {
    path: PathBuf,
    log_start: u64,
}

impl LogReader {
    /// Lines of output, as asked for.
    pub(crate) fn lines(&self, query: &LogQuery) -> Result<Vec<LogLine>> {
        let path = &self.path;
        let file = match File::open(path) {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(err) => return Err(io_error("open", path)(err)),
        };
        let length = file.metadata().map_err(io_error("read", path))?.len();
        // Whoever asks may name any number: behind the end there is nothing.
        let first = query.after.unwrap_or(0).max(self.log_start).min(length);
        // The newest lines stand at the end: more of it is read until there are enough.
        let mut window = match query.tail {
            Some(_) => CHUNK_BYTES as u64,
            None => u64::MAX,
        };
        loop {
            let start = length.saturating_sub(window).max(first);
            let lines = Self::lines_from(&file, start, query).map_err(io_error("read", path))?;
            if start == first || query.tail.is_some_and(|tail| lines.len() >= tail) {
                return Ok(lines);
            }
            window = window.saturating_mul(4);
        }
    }

    fn lines_from(file: &File, start: u64, query: &LogQuery) -> io::Result<Vec<LogLine>> {
        let mut decoder = Decoder::at(start);
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut lines = Vec::new();
        loop {
            let read = read_at(file, &mut buffer, decoder.offset())?;
            // A start within a line makes that line unreadable, which is as it should be.
            let used = decoder.feed(&buffer[..read], |cursor, event| {
                lines.extend(event.ok().and_then(|event| log_line(cursor, event)));
            });
            if used == 0 {
                return Ok(query.select(lines.into_iter()));
            }
        }
    }
}

impl Fold {
    /// The signer's key, once it is known.
    pub(crate) fn agent_key(&self) -> Option<AgentPublicKey> {
        decode_key(self.key.as_deref()?).ok()
    }

    /// The newest record of each key.
    pub(crate) fn records(&self, genesis_hash: &Hash256) -> Vec<SignedUsageRecord> {
        self.records.iter().filter_map(|record| record.checked(genesis_hash)).collect()
    }

    /// Whether the newest agent has signed that its app has ended by itself, or how its run has ended.
    pub(crate) fn has_ended(&self, genesis_hash: &Hash256) -> bool {
        let newest = self.records.last().filter(|last| Some(&last.key) == self.key.as_ref());
        newest
            .and_then(|last| last.checked(genesis_hash))
            .is_some_and(|signed| signed.run.is_some() || signed.record.state.has_ended())
    }

    /// Where the signer's evidence is, as far as it has said so; without the app's TLS port.
    pub(crate) fn attestation(&self) -> Attestation {
        match &self.evidence {
            Evidence::Unknown => Attestation::Waiting { reason: None },
            Evidence::Unavailable(reason) => Attestation::Waiting { reason: Some(reason.clone()) },
            Evidence::Available { tee, port, hpke_key, tls_spki_sha256 } => {
                let endpoint = decode_key(hpke_key).and_then(|hpke_key| {
                    let tls_spki_sha256 = decode_key(tls_spki_sha256)?;
                    // Which other port the agent was told to listen on is not in its log.
                    let (tee, port, app_tls_port) = (*tee, *port, None);
                    Ok(AttestationEndpoint { tee, port, app_tls_port, hpke_key, tls_spki_sha256 })
                });
                match endpoint {
                    Ok(endpoint) if *port != 0 => Attestation::Available(endpoint),
                    _ => Attestation::Waiting {
                        reason: Some("the agent names no usable port and keys".to_owned()),
                    },
                }
            }
        }
    }

    fn add(&mut self, event: Event, signer: &str, genesis_hash: &Hash256) {
        let is_signer = event.container == signer;
        let container = self.containers.entry(event.container).or_default();
        match event.kind {
            EventKind::Started { key } => {
                *container = ContainerFold::default();
                if is_signer && key.as_deref().is_some_and(|key| decode_key(key).is_ok()) {
                    self.key = key;
                }
                if is_signer {
                    self.evidence = Evidence::Unknown;
                }
            }
            EventKind::AppStarted { restarts } => {
                let app = App::Running;
                *container = ContainerFold { app, restarts, ..ContainerFold::default() };
            }
            EventKind::AppExited { code, last } => {
                container.app = if last { App::EndedForGood(code) } else { App::Ended(code) };
                container.ready = false;
            }
            EventKind::Refused { reason, .. } => {
                let reason = reason.chars().take(REASON_CHARS_MAX).collect();
                *container = ContainerFold { refused: Some(reason), ..ContainerFold::default() };
            }
            EventKind::AwaitingSecrets { names } => container.awaits = Some(names),
            EventKind::Ready => container.ready = true,
            EventKind::Unready { .. } => container.ready = false,
            EventKind::Record { record, signature, run } if is_signer => {
                let Some(key) = self.key.clone() else { return };
                let record = StoredRecord { key, record, signature, run };
                // One that does not verify is worth nothing, and must not replace one that does.
                if record.checked(genesis_hash).is_none() {
                    tracing::warn!("a usage record that its agent has not signed");
                    return;
                }
                match self.records.last_mut() {
                    Some(last) if last.key == record.key => *last = record,
                    _ => self.records.push(record),
                }
            }
            EventKind::EvidenceAvailable { tee, port, hpke_key, tls_spki_sha256 } if is_signer => {
                self.evidence = Evidence::Available { tee, port, hpke_key, tls_spki_sha256 };
            }
            EventKind::EvidenceUnavailable { reason } if is_signer => {
                let reason = reason.chars().take(REASON_CHARS_MAX).collect();
                self.evidence = Evidence::Unavailable(reason);
            }
            EventKind::Record { .. }
            | EventKind::BackOff { .. }
            | EventKind::Log { .. }
            | EventKind::LogChunk { .. }
            | EventKind::Dropped { .. }
            | EventKind::EvidenceAvailable { .. }
            | EventKind::EvidenceUnavailable { .. }
            | EventKind::SecretsReceived { .. }
            | EventKind::Stopping => {}
        }
    }
}

/// What an event looks like to somebody who reads the pod's output.
fn log_line(cursor: u64, event: Event) -> Option<LogLine> {
    let (stream, text) = match event.kind {
        EventKind::Log { stream, text, .. } => {
            let stream = match stream {
                Stream::Stdout => LogStream::Stdout,
                Stream::Stderr => LogStream::Stderr,
                Stream::Agent => LogStream::Agent,
            };
            (stream, text)
        }
        EventKind::AppExited { code, .. } => {
            (LogStream::Agent, format!("the app ended with exit code {code}"))
        }
        EventKind::BackOff { delay_ms, .. } => {
            (LogStream::Agent, format!("the app is started again in {} s", delay_ms.div_ceil(1000)))
        }
        EventKind::Unready { reason } => (LogStream::Agent, format!("not ready: {reason}")),
        EventKind::Dropped { lines, bytes } => {
            let text =
                format!("{lines} lines ({bytes} bytes) were printed too fast and are missing");
            (LogStream::Agent, text)
        }
        EventKind::EvidenceUnavailable { reason } => {
            (LogStream::Agent, format!("no attestation evidence: {reason}"))
        }
        EventKind::AwaitingSecrets { names } => {
            (LogStream::Agent, format!("Waiting: secrets ({})", names.join(", ")))
        }
        EventKind::Refused { reason, .. } => {
            (LogStream::Agent, format!("nothing is started or attested: {reason}"))
        }
        EventKind::SecretsReceived { names, sequence } => {
            (LogStream::Agent, format!("release {sequence} of secrets came: {}", names.join(", ")))
        }
        EventKind::Started { .. }
        | EventKind::EvidenceAvailable { .. }
        | EventKind::AppStarted { .. }
        | EventKind::Ready
        | EventKind::LogChunk { .. }
        | EventKind::Record { .. }
        | EventKind::Stopping => return None,
    };
    Some(LogLine { cursor, time_ms: event.time_ms, container: event.container, stream, text })
}

pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
