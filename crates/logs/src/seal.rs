//! Sealing a chunk's lines to the publisher: HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256),
//! HKDF-SHA256, ChaCha20-Poly1305. A body is the encapsulated key, then the ciphertext.
//!
//! Base mode says nothing about who sealed: that a chunk is the agent's is proved by the tree.

use casemate_primitives::{Hash256, LogChunk, LogChunkHeader};
use codec::Encode as _;
use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _, aead::ChaCha20Poly1305,
    kdf::HkdfSha256, kem::X25519HkdfSha256, single_shot_open, single_shot_seal,
};
use zeroize::Zeroizing;

use crate::{
    chunk::{self, ChunkError},
    line::{LogLine, decode_lines},
};

/// HPKE's `info`, and the first part of the associated data.
const CONTEXT: &[u8] = b"casemate/log-chunk/v1";

/// The recipient's public key.
pub(crate) type Recipient = <X25519HkdfSha256 as hpke::Kem>::PublicKey;

/// The 32 bytes are no key that something can be sealed to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the logs' recipient is not a valid X25519 public key")]
pub struct RecipientError;

/// Why a chunk does not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The secret key is none.
    #[error("the secret key for the logs is not a valid X25519 key")]
    Key,
    /// It can't be a chunk.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// Sealed to somebody else, on another chain, or changed.
    #[error(
        "chunk {index} of the log does not open: it is sealed to another key, belongs to another \
         chain, or was changed"
    )]
    Sealed {
        /// Which chunk.
        index: u64,
    },
    /// What was sealed is not what the header says.
    #[error("what is sealed in chunk {index} of the log is not the lines that its header names")]
    Content {
        /// Which chunk.
        index: u64,
    },
}

/// The recipient that belongs to a secret key; `None` where that is none.
pub fn public_key(secret: &[u8; 32]) -> Option<[u8; 32]> {
    let secret = <X25519HkdfSha256 as hpke::Kem>::PrivateKey::from_bytes(secret).ok()?;
    let mut public = [0; 32];
    X25519HkdfSha256::sk_to_pk(&secret).write_exact(&mut public);
    Some(public)
}

/// A chunk's lines, in their order.
///
/// # Errors
/// Where the key is not the one that it was sealed to, or it is not as the agent made it.
pub fn open(
    chunk: &LogChunk,
    genesis_hash: &Hash256,
    recipient_secret: &[u8; 32],
) -> Result<Vec<LogLine>, OpenError> {
    let secret = <X25519HkdfSha256 as hpke::Kem>::PrivateKey::from_bytes(recipient_secret)
        .map_err(|_| OpenError::Key)?;
    chunk::check(chunk)?;
    let header = &chunk.header;
    let sealed = OpenError::Sealed { index: header.index };
    let (encapsulated, ciphertext) = chunk.body.split_at_checked(32).ok_or(sealed)?;
    let encapsulated = <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(encapsulated)
        .map_err(|_| sealed)?;
    let plain = single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &encapsulated,
        CONTEXT,
        ciphertext,
        &associated_data(genesis_hash, header),
    )
    .map_err(|_| sealed)?;
    let plain = Zeroizing::new(plain);
    let content = OpenError::Content { index: header.index };
    let lines = decode_lines(&plain, header.lines, header.first_line, header.from_ms);
    let lines = lines.ok_or(content)?;
    let last = lines.last().map_or(header.to_ms, |line| line.time_ms);
    if last == header.to_ms { Ok(lines) } else { Err(content) }
}

/// A key from the manifest, tried.
pub(crate) fn recipient(bytes: &[u8; 32]) -> Result<Recipient, RecipientError> {
    let recipient = Recipient::from_bytes(bytes).map_err(|_| RecipientError)?;
    // Points of low order show when a secret is shared with them only.
    seal_bytes(&recipient, &[], &[]).ok_or(RecipientError)?;
    Ok(recipient)
}

/// The body of a chunk with this header.
pub(crate) fn seal(
    recipient: &Recipient,
    genesis_hash: &Hash256,
    header: &LogChunkHeader,
    plain: &[u8],
) -> Option<Vec<u8>> {
    seal_bytes(recipient, plain, &associated_data(genesis_hash, header))
}

fn seal_bytes(recipient: &Recipient, plain: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
    let (encapsulated, ciphertext) = single_shot_seal::<
        ChaCha20Poly1305,
        HkdfSha256,
        X25519HkdfSha256,
    >(&OpModeS::Base, recipient, CONTEXT, plain, associated)
    .ok()?;
    let mut body = vec![0; 32];
    encapsulated.write_exact(&mut body);
    body.extend_from_slice(&ciphertext);
    Some(body)
}

fn associated_data(genesis_hash: &Hash256, header: &LogChunkHeader) -> Vec<u8> {
    (CONTEXT, genesis_hash, header).encode()
}
