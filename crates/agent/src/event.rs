//! What agents tell the host: JSON lines, appended to one file that all agents of a pod share.
//!
//! Each line is one `write` to a descriptor opened with `O_APPEND`, so that agents never mix their
//! lines. The [`Decoder`] is for the host: whoever writes the file may be hostile, so it bounds what
//! it keeps and believes nothing.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use casemate_logs::{ChunkError, LogChunk};
use casemate_primitives::{
    AgentPublicKey, AgentSignature, Hash256, RunResult, TeeKind, UsageRecord,
};
use codec::{Decode, DecodeAll as _, Encode};
use serde::{Deserialize, Serialize};

use crate::check::Field;

pub use casemate_logs::Stream;

/// Longest line that is read. The writer keeps below by splitting long output.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// One line.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Event {
    /// Name of the container whose agent wrote it.
    pub container: String,
    /// Milliseconds since the Unix epoch by the agent's clock.
    pub time_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The agent runs. A second one in a container means that the agent itself was started again.
    Started {
        /// The signer's new public key, 32 bytes of hex; only in the pod's first container.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// The agent refuses its configuration and ends: nothing is attested, and no app was started.
    Refused {
        /// What does not follow from the manifest.
        field: Field,
        /// How, for people.
        reason: String,
    },
    /// The app was started.
    AppStarted {
        /// How often it had been started before by this agent.
        restarts: u32,
    },
    /// The app ended.
    AppExited {
        /// Exit code, or 128 and the signal's number.
        code: i32,
        /// Whether it stays ended; the agent ends too then.
        last: bool,
    },
    /// The app is started again after a pause.
    BackOff {
        /// Exit code of the app.
        code: i32,
        /// Length of the pause.
        delay_ms: u64,
    },
    /// The readiness probe passes, or the app runs and there is none.
    Ready,
    /// It does not pass any more.
    Unready {
        /// Why, for people.
        reason: String,
    },
    /// A line of output, readable. Where output is sealed, only what the agent itself says is.
    Log {
        /// Where it was written.
        stream: Stream,
        /// Without line end; invalid UTF-8 is replaced.
        text: String,
        /// The line goes on in the next event of this stream.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
    },
    /// Output came faster than the limits allow.
    Dropped {
        /// How many lines are missing here.
        lines: u64,
        /// How many bytes.
        bytes: u64,
    },
    /// A piece of the output, sealed to the publisher. A record that comes after it covers it.
    LogChunk {
        /// The [`LogChunk`], SCALE-encoded, in base64. See [`decode_chunk`].
        chunk: String,
    },
    /// A signed usage record; of a run that has ended, with its result.
    Record {
        /// The [`UsageRecord`], SCALE-encoded, in hex.
        record: String,
        /// 64 bytes of hex.
        signature: String,
        /// How the task's run has ended that this is the last record of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunEnd>,
    },
    /// Evidence can be had (again): the agent serves it on its port.
    EvidenceAvailable {
        /// Kind of TEE whose format the evidence has. Its root tells the software TEE from hardware.
        tee: TeeKind,
        /// Where the agent serves it, in the pod's network.
        port: u16,
        /// X25519 key that secrets are sealed to, 32 bytes of hex.
        hpke_key: String,
        /// SHA-256 of the TLS key's SubjectPublicKeyInfo, in hex.
        tls_spki_sha256: String,
    },
    /// There is no evidence, not yet or no longer; the agent goes on trying, and says when there is
    /// some. Told when the reason changes, and not while what it has serves.
    EvidenceUnavailable {
        /// Why, for people.
        reason: String,
    },
    /// The app starts when its secrets have been released.
    AwaitingSecrets {
        /// Their names.
        names: Vec<String>,
    },
    /// Secrets were released and given to the app.
    SecretsReceived {
        /// Their names. No event ever holds a value.
        names: Vec<String>,
        /// Number of the release.
        sequence: u64,
    },
    /// The agent was asked to stop.
    Stopping,
}

/// The end of a task's run, as its agent has signed it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RunEnd {
    /// The [`RunResult`], SCALE-encoded, in hex.
    pub result: String,
    /// 64 bytes of hex.
    pub signature: String,
}

impl RunEnd {
    /// What carries a result.
    pub fn new(result: &RunResult, signature: &AgentSignature) -> Self {
        Self { result: hex::encode(result.encode()), signature: hex::encode(signature) }
    }
}

/// Why a line or a record in it is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// More than [`LINE_BYTES_MAX`] without a line end.
    #[error("a line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// It is not an event.
    #[error("a line is no event: {0}")]
    NotAnEvent(#[source] serde_json::Error),
    /// A field of fixed length is not hex of that length.
    #[error("`{0}` is not hex of the right length")]
    Hex(&'static str),
    /// The chunk is not base64.
    #[error("the chunk of the log is not base64")]
    Base64,
    /// The chunk is none.
    #[error(transparent)]
    Chunk(ChunkError),
    /// The record does not decode.
    #[error("the usage record does not decode: {0}")]
    Record(#[source] codec::Error),
    /// The signature is not the key's over this record on this chain.
    #[error("the usage record's signature is not valid")]
    Signature,
    /// The result does not decode.
    #[error("the run's result does not decode: {0}")]
    Result(#[source] codec::Error),
    /// The result names another record than the one that it came with.
    #[error("the run's result is of another record")]
    OtherRecord,
    /// The signature is not the key's over this result on this chain.
    #[error("the signature of the run's result is not valid")]
    ResultSignature,
}

impl EventKind {
    /// The event that carries a record.
    pub fn record(record: &UsageRecord, signature: &AgentSignature) -> Self {
        Self::Record {
            record: hex::encode(record.encode()),
            signature: hex::encode(signature),
            run: None,
        }
    }

    /// The event that carries a run's last record and its result.
    pub fn run_ended(
        record: &UsageRecord,
        signature: &AgentSignature,
        result: &RunResult,
        result_signature: &AgentSignature,
    ) -> Self {
        Self::Record {
            record: hex::encode(record.encode()),
            signature: hex::encode(signature),
            run: Some(RunEnd::new(result, result_signature)),
        }
    }

    /// The event that carries a chunk of the log.
    pub fn log_chunk(chunk: &LogChunk) -> Self {
        Self::LogChunk { chunk: BASE64.encode(chunk.encode()) }
    }
}

/// The chunk in a [`EventKind::LogChunk`]. That it is what an agent made is proved by its records only.
///
/// # Errors
/// Where it is not base64, or no chunk.
pub fn decode_chunk(text: &str) -> Result<LogChunk, EventError> {
    let bytes = BASE64.decode(text).map_err(|_| EventError::Base64)?;
    casemate_logs::decode_chunk(&bytes).map_err(EventError::Chunk)
}

/// The key in a [`EventKind::Started`].
///
/// # Errors
/// Where it is not 32 bytes of hex.
pub fn decode_key(text: &str) -> Result<AgentPublicKey, EventError> {
    let mut key = AgentPublicKey::default();
    hex::decode_to_slice(text, &mut key).map_err(|_| EventError::Hex("key"))?;
    Ok(key)
}

/// The record and signature in a [`EventKind::Record`], checked to be signed by `key` for the chain
/// with `genesis_hash`.
///
/// # Errors
/// Where either does not decode (trailing bytes included) or the signature is not the key's.
pub fn decode_record(
    record: &str,
    signature: &str,
    key: &AgentPublicKey,
    genesis_hash: &Hash256,
) -> Result<(UsageRecord, AgentSignature), EventError> {
    let mut signature_bytes: AgentSignature = [0; 64];
    hex::decode_to_slice(signature, &mut signature_bytes)
        .map_err(|_| EventError::Hex("signature"))?;
    let bytes = hex::decode(record).map_err(|_| EventError::Hex("record"))?;
    let mut rest = bytes.as_slice();
    let record = UsageRecord::decode(&mut rest).map_err(EventError::Record)?;
    if !rest.is_empty() {
        return Err(EventError::Hex("record"));
    }
    verify_record(&record, &signature_bytes, key, genesis_hash)?;
    Ok((record, signature_bytes))
}

/// Checks that `signature` is `key`'s over `record` on the chain with `genesis_hash`.
///
/// # Errors
/// Where it is not.
pub fn verify_record(
    record: &UsageRecord,
    signature: &AgentSignature,
    key: &AgentPublicKey,
    genesis_hash: &Hash256,
) -> Result<(), EventError> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| EventError::Signature)?;
    key.verify_strict(
        &record.signing_payload(genesis_hash),
        &ed25519_dalek::Signature::from_bytes(signature),
    )
    .map_err(|_| EventError::Signature)
}

/// The result in a [`RunEnd`] that came with `record`, checked to be of that record and signed by
/// `key` for the chain with `genesis_hash`.
///
/// # Errors
/// Where it does not decode, is of another record, or the signature is not the key's.
pub fn decode_result(
    end: &RunEnd,
    record: &UsageRecord,
    key: &AgentPublicKey,
    genesis_hash: &Hash256,
) -> Result<(RunResult, AgentSignature), EventError> {
    let mut signature: AgentSignature = [0; 64];
    hex::decode_to_slice(&end.signature, &mut signature)
        .map_err(|_| EventError::Hex("signature"))?;
    let bytes = hex::decode(&end.result).map_err(|_| EventError::Hex("result"))?;
    let result = RunResult::decode_all(&mut bytes.as_slice()).map_err(EventError::Result)?;
    if !result.closes_with(record) {
        return Err(EventError::OtherRecord);
    }
    verify_result(&result, &signature, key, genesis_hash)?;
    Ok((result, signature))
}

/// Checks that `signature` is `key`'s over `result` on the chain with `genesis_hash`.
///
/// # Errors
/// Where it is not.
pub fn verify_result(
    result: &RunResult,
    signature: &AgentSignature,
    key: &AgentPublicKey,
    genesis_hash: &Hash256,
) -> Result<(), EventError> {
    let key =
        ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| EventError::ResultSignature)?;
    key.verify_strict(
        &result.signing_payload(genesis_hash),
        &ed25519_dalek::Signature::from_bytes(signature),
    )
    .map_err(|_| EventError::ResultSignature)
}

/// Reads a growing file of events from any line's start.
///
/// Feed it what stands at [`Decoder::offset`]. A last line without an end stays unread until the rest
/// has come; a line that is too long is skipped once and reported.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    offset: u64,
    skipping: bool,
}

impl Decoder {
    /// Starts at `offset`, the start of a line.
    pub fn at(offset: u64) -> Self {
        Self { offset, skipping: false }
    }

    /// Where the next chunk must come from.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the lines in `chunk`, which must be the bytes at [`Decoder::offset`]. Calls `each` with
    /// the offset right after a line and the event or what is wrong with it. Returns how many bytes
    /// it has used; the offset is moved by as many. Give at least [`LINE_BYTES_MAX`] bytes where the
    /// file has them.
    pub fn feed(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(u64, Result<Event, EventError>),
    ) -> usize {
        let mut used = 0;
        loop {
            let rest = &chunk[used..];
            let end = rest.iter().position(|b| *b == b'\n');
            let (line, step) = match end {
                Some(end) => (&rest[..end], end + 1),
                None if rest.len() >= LINE_BYTES_MAX => (&rest[..0], rest.len()),
                None => return used,
            };
            used += step;
            self.offset += step as u64;
            if end.is_none() {
                if !self.skipping {
                    self.skipping = true;
                    each(self.offset, Err(EventError::TooLong));
                }
                continue;
            }
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.len() > LINE_BYTES_MAX {
                each(self.offset, Err(EventError::TooLong));
            } else if !line.iter().all(|b| matches!(b, 0 | b' ' | b'\t' | b'\r')) {
                // A hole that was punched reads as zeros; the rest of the line behind it is none.
                let start = line.iter().position(|b| *b != 0).unwrap_or(0);
                each(
                    self.offset,
                    serde_json::from_slice(&line[start..]).map_err(EventError::NotAnEvent),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
