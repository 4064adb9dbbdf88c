//! What goes to and from a vault. Whoever carries it needs no trust: see [`crate`].
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/health` | | [`Health`] |
//! | `POST /v1/nonce` | | [`Nonce`] |
//! | `POST /v1/release` | [`Ask`] | [`Sealed`] |
//! | `POST /v1/publisher` | a sealed [`Command`] | a sealed [`Reply`] |
//! | `GET /v1/snapshot` | | a sealed [`Snapshot`] |
//! | `POST /v1/snapshot` | a sealed [`Snapshot`] | [`Merged`] |
//!
//! What can't be done is `{"code": "word", "error": "sentence"}`. Sealed bodies are base64 in
//! `{"sealed": ...}`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use casemate_attestation::UnixSeconds;
use casemate_primitives::Hash256;
use codec::{Decode, DecodeAll as _, Encode};
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use crate::{
    audit::AuditEntry,
    catalogue::Catalogue,
    entry::{EntryError, Grant, Key, SignedEntry},
    master::Keys,
    seal::{self, OpenError, SealError},
};

/// Longest request: all entries, sealed, in base64.
pub const REQUEST_BYTES_MAX: usize = 1536 * 1024;

/// Most lines of the trail in one answer.
pub const AUDIT_MAX: u32 = 1000;

const COMMAND_CONTEXT: &[u8] = b"casemate/vault-command/v1";
const REPLY_CONTEXT: &[u8] = b"casemate/vault-reply/v1";
const SNAPSHOT_CONTEXT: &[u8] = b"casemate/vault-snapshot/v1";

/// Whether it works.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// [`Keys::id`] in hex.
    pub vault: String,
}

/// What evidence must be made over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Nonce {
    /// 64 hexadecimal digits.
    pub nonce: String,
    /// How long it is good.
    pub seconds: u64,
}

/// Asks for a pod's secrets.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ask {
    /// Base64 of the collection (RFC 9999) that the pod's agent gave for the nonce.
    pub evidence: String,
    /// Base64 of collateral for it, in any shape that `casemate_attestation::bundle` reads.
    #[serde(default)]
    pub collateral: Vec<String>,
}

/// Secrets sealed to a pod, or what publisher and replicas say to each other.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sealed {
    /// Base64.
    pub sealed: String,
}

/// What became of a snapshot.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Merged {
    /// Entries that were newer.
    pub added: u32,
}

/// Asks of the publisher's.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub enum Command {
    /// Takes entries, all or none.
    Put(Vec<SignedEntry>),
    /// How it is.
    Status,
    /// What it has.
    List,
    /// The trail from an index on, at most so many lines.
    Audit {
        /// First wanted.
        from: u64,
        /// At most [`AUDIT_MAX`].
        count: u32,
    },
    /// All entries.
    Snapshot,
}

/// Answers to the publisher.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub enum Reply {
    /// The entries are on disk; so many were new.
    Taken(u32),
    /// To [`Command::Status`].
    Status(Status),
    /// To [`Command::List`].
    List(Vec<Listed>),
    /// To [`Command::Audit`].
    Audit(Vec<AuditEntry>),
    /// It can't be done.
    Problem {
        /// A word for programs.
        code: String,
        /// A sentence for people.
        error: String,
    },
    /// To [`Command::Snapshot`].
    Snapshot(Snapshot),
}

/// How a vault is.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Status {
    /// Its clock, as it counts it.
    pub time: UnixSeconds,
    /// How many keys it has entries for.
    pub entries: u32,
    /// The newest version.
    pub newest: u64,
    /// Index of the next line of the trail.
    pub audit_next: u64,
    /// Hash of the last line.
    pub audit_head: Hash256,
}

/// An entry, without a value.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Listed {
    /// About what.
    pub key: Key,
    /// Its version.
    pub version: u64,
    /// Whether it was removed.
    pub is_removed: bool,
    /// Where it is a grant.
    pub grant: Option<Box<Grant>>,
}

/// All entries of a vault, for another replica: under the master's key, which only attested replicas
/// have, and with the publisher's signature on each.
#[derive(Clone, Debug, Decode, Default, Encode, Eq, PartialEq)]
pub struct Snapshot {
    /// Newest of each key.
    pub entries: Vec<SignedEntry>,
}

impl Snapshot {
    /// Seals it.
    ///
    /// # Errors
    /// Without random numbers.
    pub fn seal(&self, keys: &Keys) -> Result<Vec<u8>, SealError> {
        seal::seal(&keys.snapshot, SNAPSHOT_CONTEXT, &self.encode())
    }

    /// Adds the entries that are newer, as a vault does, if it would take all of them.
    ///
    /// # Errors
    /// The first entry that a vault would not take, and why.
    pub fn add(
        &mut self,
        keys: &Keys,
        publisher: &VerifyingKey,
        entries: &[SignedEntry],
    ) -> Result<(), EntryError> {
        let mut catalogue = Catalogue::default();
        for signed in self.entries.iter().chain(entries) {
            signed.check(keys, publisher)?;
            match catalogue.put(signed.clone()) {
                Ok(_) | Err(EntryError::Older { .. }) => {}
                Err(err) => return Err(err),
            }
        }
        self.entries = catalogue.iter().cloned().collect();
        Ok(())
    }

    /// Opens one. Its entries are not checked yet.
    ///
    /// # Errors
    /// Where it is of another vault, or was changed.
    pub fn open(keys: &Keys, sealed: &[u8]) -> Result<Self, OpenError> {
        let plain = seal::open(&keys.snapshot, SNAPSHOT_CONTEXT, sealed)?;
        Self::decode_all(&mut plain.as_slice()).map_err(|_| OpenError)
    }
}

/// Names one command, so that its answer can't be another one's.
pub type CommandId = [u8; 16];

/// Seals a command, and gives the name by which to open its answer.
///
/// # Errors
/// Without random numbers.
pub fn seal_command(keys: &Keys, command: &Command) -> Result<(CommandId, Vec<u8>), SealError> {
    let mut id = CommandId::default();
    getrandom::fill(&mut id)?;
    let sealed = seal::seal(&keys.channel, COMMAND_CONTEXT, &(id, command).encode())?;
    Ok((id, sealed))
}

/// Opens a command.
///
/// # Errors
/// Where it is not sealed by who has the master.
pub fn open_command(keys: &Keys, sealed: &[u8]) -> Result<(CommandId, Command), OpenError> {
    let plain = seal::open(&keys.channel, COMMAND_CONTEXT, sealed)?;
    <(CommandId, Command)>::decode_all(&mut plain.as_slice()).map_err(|_| OpenError)
}

/// Seals an answer to the command `id`.
///
/// # Errors
/// Without random numbers.
pub fn seal_reply(keys: &Keys, id: &CommandId, reply: &Reply) -> Result<Vec<u8>, SealError> {
    seal::seal(&keys.channel, &(REPLY_CONTEXT, id).encode(), &reply.encode())
}

/// Opens the answer to the command `id`.
///
/// # Errors
/// Where it is another command's, or not sealed by who has the master.
pub fn open_reply(keys: &Keys, id: &CommandId, sealed: &[u8]) -> Result<Reply, OpenError> {
    let plain = seal::open(&keys.channel, &(REPLY_CONTEXT, id).encode(), sealed)?;
    Reply::decode_all(&mut plain.as_slice()).map_err(|_| OpenError)
}

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests;
