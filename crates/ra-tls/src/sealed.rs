//! Secrets on their way: sealed to an attested key, for one pod, one release.
//!
//! HPKE (RFC 9180), base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. The
//! header is the associated data: with another lease, replica, manifest, chain, evidence, policy or
//! number, the bundle does not open. HPKE's base mode does not say who has sealed; that is what the
//! sender's signature is for.

use casemate_primitives::{Hash256, LeaseId, ReplicaIndex};
use codec::{Compact, Decode, DecodeAll as _, Encode};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hpke::{
    Deserializable as _, OpModeR, OpModeS, Serializable as _, aead::ChaCha20Poly1305,
    kdf::HkdfSha256, kem::X25519HkdfSha256, single_shot_open, single_shot_seal,
};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

use crate::{
    EvidenceIssuer, SecretName, Secrets,
    keys::{HpkePrivateKey, hpke_public},
    secrets::{BYTES_MAX, COUNT_MAX},
};

/// Version of the encoding, its first byte.
const VERSION: u8 = 1;

/// Longest encoding that is read: the secrets, their lengths, the header.
pub const SEALED_BYTES_MAX: usize = BYTES_MAX + 16 * COUNT_MAX + 1024;

/// HPKE's `info`.
const INFO: &[u8] = b"casemate/sealed-secrets/v1";

/// Keeps a sender's signature apart from whatever else the key signs.
const SENDER_CONTEXT: &[u8] = b"casemate/sealed-secrets-sender/v1";

/// What a bundle is for, in plain; all of it is authenticated.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Header {
    /// Which chain.
    pub genesis_hash: Hash256,
    /// Which lease.
    pub lease: LeaseId,
    /// Which of its pods.
    pub replica: ReplicaIndex,
    /// BLAKE2b-256 of the manifest that the sender knows.
    pub manifest_hash: Hash256,
    /// SHA-256 of the evidence that the sender has appraised.
    pub evidence_digest: Hash256,
    /// Which policy it was appraised by: any name of 32 bytes, such as the policy's hash.
    pub policy_id: Hash256,
    /// Grows with each release to a pod; an older one is refused.
    pub sequence: u64,
}

/// Sealed secrets.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct SealedSecrets {
    header: Header,
    encapsulated_key: [u8; 32],
    ciphertext: Vec<u8>,
    sender: Option<Sender>,
}

#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
struct Sender {
    key: [u8; 32],
    signature: [u8; 64],
}

/// Why secrets are not sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The receiver's key is none.
    #[error("the agent's key for secrets is not a valid X25519 key")]
    Key,
    /// HPKE failed.
    #[error("failed to seal the secrets: {0}")]
    Hpke(hpke::HpkeError),
}

/// Why sealed secrets are not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Not the encoding.
    #[error("these bytes are no sealed secrets of version {VERSION}")]
    Malformed,
    /// For another chain.
    #[error("the secrets are sealed for another chain")]
    Chain,
    /// For another lease.
    #[error("the secrets are sealed for lease {found}, and this is lease {own}")]
    Lease {
        /// Theirs.
        found: u64,
        /// Ours.
        own: u64,
    },
    /// For another replica.
    #[error("the secrets are sealed for replica {found}, and this is replica {own}")]
    Replica {
        /// Theirs.
        found: ReplicaIndex,
        /// Ours.
        own: ReplicaIndex,
    },
    /// For another manifest.
    #[error("the secrets are sealed for another manifest than the one that this pod runs")]
    Manifest,
    /// Against evidence that this agent did not make for a session or the chain.
    #[error(
        "the secrets are sealed against evidence that this agent has not given out: appraise it \
         anew and release again"
    )]
    Evidence,
    /// The sender is not known.
    #[error("the secrets do not come from a sender that this pod takes secrets from")]
    Sender,
    /// The sender's signature is wrong.
    #[error("the sender's signature over the sealed secrets is not valid")]
    Signature,
    /// To another key, or changed on the way.
    #[error("the secrets do not open: they are sealed to another agent's key, or were changed")]
    Sealed,
    /// An older release.
    #[error("release {found} is older than release {last}, which this pod has: it is a replay")]
    RolledBack {
        /// The bundle's number.
        found: u64,
        /// The newest that was taken.
        last: u64,
    },
    /// What was in it is no list of secrets.
    #[error("what was sealed is no list of secrets")]
    Content,
}

impl OpenError {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Chain => "wrongChain",
            Self::Lease { .. } => "wrongLease",
            Self::Replica { .. } => "wrongReplica",
            Self::Manifest => "wrongManifest",
            Self::Evidence => "unknownEvidence",
            Self::Sender => "unknownSender",
            Self::Signature => "badSignature",
            Self::Sealed => "notOpened",
            Self::RolledBack { .. } => "rolledBack",
            Self::Content => "badContent",
        }
    }
}

impl SealedSecrets {
    /// Seals `secrets` to `key`, which the caller has found in accepted evidence; signs for `sender`,
    /// if one is given.
    ///
    /// # Errors
    /// Where the key is none.
    pub fn seal(
        secrets: &Secrets,
        header: Header,
        key: &[u8; 32],
        sender: Option<&SigningKey>,
    ) -> Result<Self, SealError> {
        let key = hpke_public(key).ok_or(SealError::Key)?;
        let plain = encode(secrets);
        let (encapsulated, ciphertext) = single_shot_seal::<
            ChaCha20Poly1305,
            HkdfSha256,
            X25519HkdfSha256,
        >(
            &OpModeS::Base, &key, INFO, &plain, &header.encode()
        )
        .map_err(SealError::Hpke)?;
        let mut encapsulated_key = [0; 32];
        encapsulated.write_exact(&mut encapsulated_key);
        let mut sealed = Self { header, encapsulated_key, ciphertext, sender: None };
        sealed.sender = sender.map(|sender| Sender {
            key: sender.verifying_key().to_bytes(),
            signature: sender.sign(&sealed.signing_payload()).to_bytes(),
        });
        Ok(sealed)
    }

    /// What it is for.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whose signature it carries; not yet checked.
    pub fn sender(&self) -> Option<&[u8; 32]> {
        self.sender.as_ref().map(|sender| &sender.key)
    }

    /// The version, and the SCALE encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        (VERSION, self).encode()
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`OpenError::Malformed`] where it is anything else, or too long.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpenError> {
        match bytes.split_first() {
            Some((&VERSION, mut rest)) if bytes.len() <= SEALED_BYTES_MAX => {
                Self::decode_all(&mut rest).map_err(|_| OpenError::Malformed)
            }
            _ => Err(OpenError::Malformed),
        }
    }

    fn signing_payload(&self) -> Vec<u8> {
        (SENDER_CONTEXT, &self.header, &self.encapsulated_key, &self.ciphertext).encode()
    }

    fn check_signature(&self) -> Result<Option<[u8; 32]>, OpenError> {
        let Some(sender) = &self.sender else { return Ok(None) };
        let key = VerifyingKey::from_bytes(&sender.key).map_err(|_| OpenError::Signature)?;
        key.verify_strict(&self.signing_payload(), &Signature::from_bytes(&sender.signature))
            .map_err(|_| OpenError::Signature)?;
        Ok(Some(sender.key))
    }

    fn open(&self, key: &HpkePrivateKey) -> Result<Secrets, OpenError> {
        let encapsulated =
            <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(&self.encapsulated_key)
                .map_err(|_| OpenError::Sealed)?;
        let plain = single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            key,
            &encapsulated,
            INFO,
            &self.ciphertext,
            &self.header.encode(),
        )
        .map_err(|_| OpenError::Sealed)?;
        decode(&Zeroizing::new(plain)).ok_or(OpenError::Content)
    }
}

/// The SCALE encoding of a list of pairs, in one allocation that does not move.
fn encode(secrets: &Secrets) -> Zeroizing<Vec<u8>> {
    let length: usize = secrets.iter().map(|(name, value)| 10 + name.len() + value.len()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(length + 5));
    let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
    // Both are far below 2^32, see `Secrets`.
    let compact = |length: usize| Compact(u32::try_from(length).unwrap_or(u32::MAX)).encode();
    put(&compact(secrets.len()));
    for (name, value) in secrets.iter() {
        put(&compact(name.len()));
        put(name.as_bytes());
        put(&compact(value.len()));
        put(value);
    }
    out
}

/// The other way; each value is copied once, into memory that is wiped.
fn decode(mut input: &[u8]) -> Option<Secrets> {
    fn take<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
        let length = Compact::<u32>::decode(input).ok()?.0;
        let (taken, rest) = input.split_at_checked(usize::try_from(length).ok()?)?;
        *input = rest;
        Some(taken)
    }
    let mut secrets = Secrets::new();
    for _ in 0..Compact::<u32>::decode(&mut input).ok()?.0 {
        let name = SecretName::new(std::str::from_utf8(take(&mut input)?).ok()?).ok()?;
        secrets.insert(name, Zeroizing::new(take(&mut input)?.to_vec())).ok()?;
    }
    input.is_empty().then_some(secrets)
}

/// Secrets that were taken.
#[derive(Debug)]
pub struct Received {
    /// All of the pod's secrets: a release replaces the one before it.
    pub secrets: Secrets,
    /// The release's number.
    pub sequence: u64,
    /// Whose signature it carried.
    pub sender: Option<[u8; 32]>,
}

/// Takes sealed secrets for an agent.
#[derive(Debug)]
pub struct Receiver {
    issuer: Arc<EvidenceIssuer>,
    senders: Vec<[u8; 32]>,
    last: Mutex<Option<Last>>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: u64,
    sender: Option<[u8; 32]>,
}

impl Receiver {
    /// Takes secrets signed by one of `senders`. Without any, whoever is first is the only sender
    /// from then on: the pod's configuration should name senders.
    pub fn new(issuer: Arc<EvidenceIssuer>, senders: Vec<[u8; 32]>) -> Self {
        Self { issuer, senders, last: Mutex::default() }
    }

    /// Opens a bundle and gives it to `deliver`. It counts as taken only where that succeeds, so
    /// that the same release can be sent again otherwise.
    ///
    /// # Errors
    /// The check that failed; or what `deliver` says.
    pub fn receive<E: From<OpenError>>(
        &self,
        bytes: &[u8],
        deliver: impl FnOnce(Received) -> Result<(), E>,
    ) -> Result<(), E> {
        let sealed = SealedSecrets::from_bytes(bytes)?;
        let header = sealed.header();
        let pod = self.issuer.pod();
        if header.genesis_hash != pod.genesis_hash {
            return Err(OpenError::Chain.into());
        }
        if header.lease != pod.lease {
            return Err(OpenError::Lease { found: header.lease.0, own: pod.lease.0 }.into());
        }
        if header.replica != pod.replica {
            return Err(OpenError::Replica { found: header.replica, own: pod.replica }.into());
        }
        if header.manifest_hash != pod.manifest_hash {
            return Err(OpenError::Manifest.into());
        }
        let sender = sealed.check_signature()?;
        if !self.senders.is_empty() && !sender.is_some_and(|key| self.senders.contains(&key)) {
            return Err(OpenError::Sender.into());
        }
        let secrets = sealed.open(self.issuer.keys().hpke())?;
        if !self.issuer.has_issued(&header.evidence_digest) {
            return Err(OpenError::Evidence.into());
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = *last {
            if self.senders.is_empty() && sender != last.sender {
                return Err(OpenError::Sender.into());
            }
            if header.sequence <= last.sequence {
                let (found, last) = (header.sequence, last.sequence);
                return Err(OpenError::RolledBack { found, last }.into());
            }
        }
        let sequence = header.sequence;
        deliver(Received { secrets, sequence, sender })?;
        *last = Some(Last { sequence, sender });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
