//! Why a result is not written, or not believed.

use casemate_attestation::UnixSeconds;
use thiserror::Error;

use crate::{CLOCK_SKEW_SECONDS, TOKEN_BYTES_MAX};

/// Why a key is not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not PKCS#8 PEM, or of another kind. What is wrong is not said: it could quote the secret.
    #[error("no P-256 private key in PKCS#8 PEM (`-----BEGIN PRIVATE KEY-----`)")]
    Private,
    /// Not SubjectPublicKeyInfo PEM, or of another kind.
    #[error("no P-256 public key in PEM (`-----BEGIN PUBLIC KEY-----`)")]
    Public,
    /// A private key where a public one belongs.
    #[error("this is a private key, which nobody but the verifier may have")]
    PrivateForPublic,
}

/// Why a result is not written.
#[derive(Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum WriteError {
    /// A result says something about at least one piece of evidence.
    #[error("there is no appraisal in it")]
    Empty,
    /// RFC 9711, 4.1.
    #[error("the nonce has {0} bytes, which must be 8 to 64")]
    NonceLength(usize),
    /// Appraisals of different times have no common age.
    #[error("its appraisals were made at different times")]
    Times,
}

/// Why a result is not believed. The order is that of the checks: what is not signed by the right
/// key is not even parsed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResultError {
    /// Too large to be one.
    #[error("larger than {TOKEN_BYTES_MAX} bytes")]
    TooLarge,
    /// Not three parts in base64url with a JSON header.
    #[error("no signed token (JWS in compact form): {0}")]
    NotCompact(&'static str),
    /// Another algorithm than ES256, among them `none`.
    #[error("the header says that it is signed by `{0}`; only ES256 is accepted")]
    Algorithm(String),
    /// RFC 7515, 4.1.11: extensions that must be understood, and are not.
    #[error("the header has critical extensions, none of which is known")]
    Critical,
    /// Another kind of token.
    #[error("the header says that it is a `{0}`, not a JWT")]
    Type(String),
    /// Its header names another key.
    #[error("signed by another key: {found}, expected {expected}")]
    OtherKey {
        /// Thumbprint in the header.
        found: String,
        /// Thumbprint of the key that is trusted.
        expected: String,
    },
    /// The signature is not by this key over these bytes.
    #[error("the signature is wrong: it was changed after it was signed, or another key signed it")]
    Signature,
    /// The claims are not those of a result.
    #[error("its claims are not those of an attestation result")]
    Claims(#[source] serde_json::Error),
    /// Signed by the right key, but not as an attestation result that is known here.
    #[error("its profile is `{found}`, expected `{expected}`", expected = crate::PROFILE)]
    Profile {
        /// `eat_profile`, empty where there is none.
        found: String,
    },
    /// No evidence at all.
    #[error("it says nothing about any evidence (`submods` is empty)")]
    Empty,
    /// The draft's rule for `ear.status`.
    #[error("it contradicts itself: `{0}` has a better status than its worst claim")]
    Contradiction(String),
    /// From the future.
    #[error(
        "it is from the future: issued at {issued_at}, now {now} (Unix time, {CLOCK_SKEW_SECONDS} s apart are put up with)"
    )]
    NotYet {
        /// `iat` or `nbf`.
        issued_at: UnixSeconds,
        /// The time of the check.
        now: UnixSeconds,
    },
    /// Expired.
    #[error("it expired at {expires} (Unix time), now {now}")]
    Expired {
        /// `exp`.
        expires: UnixSeconds,
        /// The time of the check.
        now: UnixSeconds,
    },
    /// Older than the relying party puts up with.
    #[error("it is {age} s old, at most {max} s are accepted")]
    TooOld {
        /// Seconds since `iat`.
        age: u64,
        /// What was demanded.
        max: u64,
    },
    /// Not an answer to this relying party.
    #[error("its nonce is not the one that was demanded")]
    Nonce,
    /// Made under another policy.
    #[error("`{submodule}` was appraised under another policy: {found}, expected {expected}")]
    Policy {
        /// Which entry.
        submodule: String,
        /// Its policy, `none` where it names none.
        found: String,
        /// What was demanded.
        expected: String,
    },
}
