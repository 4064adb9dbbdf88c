//! What a publisher tells a vault: secrets, grants, collateral. Each is signed, and has a version.
//!
//! For one key the highest version counts, also on replicas that hear of versions in another order;
//! a removal is an entry like another, so that nothing that was removed comes back.

use std::fmt;

use casemate_attestation::{
    TrustRoots, UnixSeconds,
    policy::{Condition, Policy},
    sev_snp::{Product, TcbVersion},
};
use casemate_primitives::{Hash256, LeaseId, ReplicaIndex};
use casemate_ra_tls::SecretName;
use codec::{Decode, DecodeAll as _, Encode};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    master::Keys,
    seal::{self, OpenError, SealError},
};

/// Keeps the signature apart from whatever else a publisher's key signs.
const ENTRY_CONTEXT: &[u8] = b"casemate/vault-entry/v1";

/// Binds a secret's ciphertext to its name and version.
const SECRET_CONTEXT: &[u8] = b"casemate/vault-secret/v1";

/// Longest entry: a certificate chain or a set of collateral has some tens of kB.
pub const ENTRY_BYTES_MAX: usize = 256 * 1024;

/// Most secrets of a grant.
const GIVEN_MAX: usize = 64;

/// What an entry is about.
#[derive(Clone, Debug, Decode, Encode, Eq, Ord, PartialEq, PartialOrd)]
pub enum Key {
    /// A secret, by name.
    Secret(String),
    /// A grant, by name.
    Grant(String),
    /// What vendors say about machines, by name.
    Collateral(String),
}

/// What it says.
#[derive(Clone, Decode, Encode, Eq, PartialEq)]
pub enum Body {
    /// The value, sealed under a key that follows from the master.
    Secret(Vec<u8>),
    /// Who gets what.
    Grant(Box<Grant>),
    /// In any shape that `casemate_attestation::bundle` reads. Verified each time it is used.
    Collateral(Vec<u8>),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(sealed) => write!(f, "Secret({} bytes sealed)", sealed.len()),
            Self::Grant(grant) => grant.fmt(f),
            Self::Collateral(bytes) => write!(f, "Collateral({} bytes)", bytes.len()),
        }
    }
}

/// Which pods get which secrets, under which policy, until when.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Grant {
    /// Chain of the pods.
    pub genesis_hash: Hash256,
    /// BLAKE2b-256 of their manifest.
    pub manifest_hash: Hash256,
    /// Their lease; any where absent.
    pub lease: Option<LeaseId>,
    /// Which of the lease's pods; any where absent.
    pub replica: Option<ReplicaIndex>,
    /// What they get.
    pub secrets: Vec<Given>,
    /// JSON of a [`Policy`], which must name the measurements or signers that it accepts.
    pub policy: String,
    /// Roots that evidence may rest on.
    pub roots: TrustRoots,
    /// Least firmware of SEV-SNP machines by product line: AMD signs no statement of what is out of
    /// date. None is asked of a line that is not named.
    pub minimum_tcb: Vec<(Product, TcbVersion)>,
    /// Last second of the grant (Unix time).
    pub until: UnixSeconds,
}

/// A secret that pods get.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Given {
    /// Its name in the pod.
    pub name: String,
    /// Where it comes from.
    pub from: Source,
}

/// Where a secret comes from.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub enum Source {
    /// The vault's secret of this name.
    Secret(String),
    /// The vault's own master: for its replicas.
    Master,
    /// All entries, for a replica whose store is empty or old.
    Snapshot,
}

/// An entry before it is signed.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Entry {
    /// Which vault it is for ([`Keys::id`]).
    pub vault: Hash256,
    /// Grows with each entry of the publisher: milliseconds of his clock.
    pub version: u64,
    /// What it is about.
    pub key: Key,
    /// What it says; `None` removes.
    pub body: Option<Body>,
}

/// An entry with the publisher's signature.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct SignedEntry {
    /// What was signed.
    pub entry: Entry,
    /// Ed25519 over a context and the entry's encoding.
    pub signature: [u8; 64],
}

/// Why an entry is not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Not the encoding.
    #[error("these bytes are no entry of a vault")]
    Malformed,
    /// For another vault.
    #[error("the entry is for another vault")]
    Vault,
    /// Not the publisher's.
    #[error("the entry is not signed by this vault's publisher")]
    Signature,
    /// There is a newer one.
    #[error("there is a newer entry of that name (version {have}; this is {found})")]
    Older {
        /// The newest that is there.
        have: u64,
        /// The one that came.
        found: u64,
    },
    /// Its version is a time that has not come.
    #[error(
        "the entry's version is more than a day ahead of this vault's clock: compare the clocks"
    )]
    Future,
    /// Something in it can't be used.
    #[error("the entry can't be used: {0}")]
    Unusable(String),
    /// No room.
    #[error("the vault is full: it keeps {0}")]
    Full(&'static str),
}

impl EntryError {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Vault => "wrongVault",
            Self::Signature => "badSignature",
            Self::Older { .. } => "older",
            Self::Future => "future",
            Self::Unusable(_) => "unusable",
            Self::Full(_) => "full",
        }
    }
}

impl Key {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Secret(name) | Self::Grant(name) | Self::Collateral(name) => name,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Secret(_) => "secret",
            Self::Grant(_) => "grant",
            Self::Collateral(_) => "collateral",
        };
        write!(f, "{kind} `{}`", self.name())
    }
}

impl Entry {
    /// A secret with its value.
    ///
    /// # Errors
    /// Without random numbers.
    pub fn secret(keys: &Keys, version: u64, name: &str, value: &[u8]) -> Result<Self, SealError> {
        let sealed = seal::seal(&keys.secrets, &secret_context(name, version), value)?;
        let (key, body) = (Key::Secret(name.to_owned()), Some(Body::Secret(sealed)));
        Ok(Self { vault: keys.id(), version, key, body })
    }

    /// The value of a secret's entry; `None` where it is none.
    pub(crate) fn value(&self, keys: &Keys) -> Result<Option<Zeroizing<Vec<u8>>>, OpenError> {
        match (&self.key, &self.body) {
            (Key::Secret(name), Some(Body::Secret(sealed))) => {
                seal::open(&keys.secrets, &secret_context(name, self.version), sealed).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Signs it as its publisher.
    pub fn sign(self, publisher: &SigningKey) -> SignedEntry {
        let signature = publisher.sign(&self.payload()).to_bytes();
        SignedEntry { entry: self, signature }
    }

    fn payload(&self) -> Vec<u8> {
        (ENTRY_CONTEXT, self).encode()
    }
}

fn secret_context(name: &str, version: u64) -> Vec<u8> {
    (SECRET_CONTEXT, name, version).encode()
}

impl SignedEntry {
    /// Reads one.
    ///
    /// # Errors
    /// [`EntryError::Malformed`], also where it is too long.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::Malformed);
        }
        Self::decode_all(&mut bytes).map_err(|_| EntryError::Malformed)
    }

    /// Which of two entries of a key counts: the higher version; where a publisher gave one version
    /// twice, the same one on every replica.
    pub(crate) fn rank(&self) -> (u64, Hash256) {
        (self.entry.version, Sha256::digest(self.encode()).into())
    }

    /// Checks all that can be checked without other entries.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, keys: &Keys, publisher: &VerifyingKey) -> Result<(), EntryError> {
        let entry = &self.entry;
        if entry.vault != keys.id() {
            return Err(EntryError::Vault);
        }
        publisher
            .verify_strict(&entry.payload(), &Signature::from_bytes(&self.signature))
            .map_err(|_| EntryError::Signature)?;
        if self.encoded_size() > ENTRY_BYTES_MAX {
            return Err(EntryError::Full("entries of at most 256 KiB"));
        }
        let unusable = |why: String| Err(EntryError::Unusable(why));
        if SecretName::new(entry.key.name()).is_err() {
            return unusable(format!("`{}` is no name", printable(entry.key.name())));
        }
        match (&entry.key, &entry.body) {
            (_, None) => Ok(()),
            (Key::Secret(_), Some(Body::Secret(_))) => match entry.value(keys) {
                Ok(Some(_)) => Ok(()),
                _ => unusable("its value is not sealed for this vault, name and version".into()),
            },
            (Key::Grant(_), Some(Body::Grant(grant))) => grant.check(),
            (Key::Collateral(_), Some(Body::Collateral(bytes))) => {
                let added = casemate_attestation::bundle::Bundle::default().add(bytes);
                added.map_err(|err| EntryError::Unusable(err.to_string()))
            }
            _ => unusable("what it says does not fit what it is about".into()),
        }
    }
}

impl Grant {
    /// The policy.
    ///
    /// # Errors
    /// Where it does not read.
    pub(crate) fn policy(&self) -> Result<Policy, EntryError> {
        serde_json::from_str(&self.policy)
            .map_err(|err| EntryError::Unusable(format!("the policy does not read: {err}")))
    }

    /// SHA-256 of the policy's text, for the record.
    pub fn policy_id(&self) -> Hash256 {
        Sha256::digest(&self.policy).into()
    }

    /// Whether it is for this pod, as far as it says.
    pub(crate) fn is_for(
        &self,
        genesis_hash: &Hash256,
        manifest_hash: &Hash256,
        lease: LeaseId,
        replica: ReplicaIndex,
    ) -> bool {
        self.genesis_hash == *genesis_hash
            && self.manifest_hash == *manifest_hash
            && self.lease.is_none_or(|own| own == lease)
            && self.replica.is_none_or(|own| own == replica)
    }

    /// Those that name more come first.
    pub(crate) fn precision(&self) -> u8 {
        u8::from(self.lease.is_some()) * 2 + u8::from(self.replica.is_some())
    }

    fn check(&self) -> Result<(), EntryError> {
        let unusable = |why: &str| Err(EntryError::Unusable(why.to_owned()));
        let policy = self.policy()?;
        if !policy.require.as_ref().is_some_and(|require| pins_workload(require, 0)) {
            return unusable(
                "its policy accepts any workload: add `workload` or `signer` to `require`, so that \
                 nobody else's program gets the secrets",
            );
        }
        if self.secrets.is_empty() || self.secrets.len() > GIVEN_MAX {
            return unusable("a grant gives 1 to 64 secrets");
        }
        for (n, given) in self.secrets.iter().enumerate() {
            let is_name = |name: &str| SecretName::new(name).is_ok();
            let from_is_good =
                if let Source::Secret(name) = &given.from { is_name(name) } else { true };
            if !is_name(&given.name) || !from_is_good {
                return unusable("it gives a secret whose name is none");
            }
            if self.secrets.iter().take(n).any(|other| other.name == given.name) {
                return unusable("it gives two secrets of the same name");
            }
        }
        Ok(())
    }
}

/// Whether evidence of a program that the publisher does not know can't fulfil it.
fn pins_workload(condition: &Condition, depth: usize) -> bool {
    // Deeper ones are never fulfilled; see `Condition::check`.
    if depth > 16 {
        return false;
    }
    match condition {
        Condition::Workload(values) | Condition::Signer(values) => !values.is_empty(),
        Condition::All(parts) => parts.iter().any(|part| pins_workload(part, depth + 1)),
        Condition::Any(parts) => {
            !parts.is_empty() && parts.iter().all(|part| pins_workload(part, depth + 1))
        }
        _ => false,
    }
}

/// Strangers' text for an error.
fn printable(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests;
