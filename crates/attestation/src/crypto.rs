//! Signatures, behind one small interface.
//!
//! Only public keys are handled here, so nothing has to take constant time. Keys are kept in their
//! standard encodings and are checked when they are made: that a [`PublicKey`] exists says that its
//! point is on its curve, or that its modulus has an accepted length.

mod ecdsa;
mod key;
#[cfg(feature = "ring")]
mod ring_backend;
mod verify;

pub use key::PublicKey;
use thiserror::Error;

/// How a signature was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignatureAlgorithm {
    /// ECDSA (FIPS 186-5) over SHA-256.
    EcdsaSha256,
    /// ECDSA (FIPS 186-5) over SHA-384.
    EcdsaSha384,
    /// RSASSA-PSS (RFC 8017) with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes.
    RsaPssSha384,
    /// RSASSA-PKCS1-v1_5 (RFC 8017) with SHA-256.
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 (RFC 8017) with SHA-384.
    RsaPkcs1Sha384,
}

/// Why a key or a signature was not accepted.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum CryptoError {
    /// The key is of a kind, curve or length that no vendor uses.
    #[error("the public key is neither P-256, P-384 nor RSA of 2048 to 4096 bits")]
    UnsupportedKey,
    /// The bytes are no key: bad encoding, or a point that is not on its curve.
    #[error("the public key is malformed")]
    MalformedKey,
    /// The algorithm identifier names something else than [`SignatureAlgorithm`] knows.
    #[error("the signature algorithm is not supported")]
    UnsupportedAlgorithm,
    /// An ECDSA signature under an RSA key, or the other way round.
    #[error("the signature algorithm does not belong to the kind of key")]
    AlgorithmMismatch,
    /// The signature has a wrong length or encoding, or a value that is out of range.
    #[error("the signature is malformed")]
    MalformedSignature,
    /// The signature was not made by this key over this message.
    #[error("the signature does not verify")]
    BadSignature,
}

#[cfg(test)]
mod tests;
