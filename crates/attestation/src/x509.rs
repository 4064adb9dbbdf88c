//! Certificates and revocation lists (RFC 5280), as far as vendors of TEEs use them.
//!
//! The profile is narrow on purpose: version 3 certificates, DER only, no name constraints, no
//! indirect or partial revocation lists; a critical extension that is not known is an error. What is
//! signed is never encoded again: signatures are checked over the bytes that were received.

pub(crate) mod asn1;
mod certificate;
mod chain;
mod crl;
pub(crate) mod pem;
pub(crate) mod time;

pub use certificate::Certificate;
pub use chain::{Chain, verify_chain};
pub(crate) use chain::{Seen, verify_chain_with};
pub use crl::Crl;
pub use der::asn1::ObjectIdentifier;

use crate::crypto::CryptoError;
use asn1::Asn1Error;
use thiserror::Error;

/// Largest certificate or revocation list in bytes. The largest real one seen (a revocation list of
/// Intel's platform CA) has well under a tenth of it.
pub const DER_BYTES_MAX: usize = 1 << 20;

/// Most certificates in one chain. NVIDIA's, the longest, has five.
pub const CHAIN_LENGTH_MAX: usize = 8;

/// Why a certificate, a chain or a revocation list was not accepted.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum X509Error {
    /// Not PEM as RFC 7468 has it.
    #[error("the PEM text is malformed")]
    MalformedPem,
    /// A chain without or with too many certificates.
    #[error("the chain has no certificate or more than {CHAIN_LENGTH_MAX}")]
    ChainLength,
    /// More than [`DER_BYTES_MAX`].
    #[error("the certificate or revocation list is larger than {DER_BYTES_MAX} bytes")]
    TooLarge,
    /// Not DER, or not a certificate or revocation list of the accepted profile.
    #[error("the certificate or revocation list is malformed")]
    Malformed,
    /// An extension that must be understood and is not.
    #[error("a critical extension is not known")]
    UnknownCriticalExtension,
    /// The subject's issuer is not the issuer's subject.
    #[error("the issuer's name is another one")]
    WrongIssuer,
    /// The issuer may not issue: no CA, no such key usage, or too many CAs below it.
    #[error("the issuer is not allowed to sign this")]
    IssuerNotAllowed,
    /// `now` is before the first second of validity.
    #[error("not yet valid")]
    NotYetValid,
    /// `now` is after the last second of validity, or a revocation list without an end.
    #[error("expired")]
    Expired,
    /// The key or the signature.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl From<Asn1Error> for X509Error {
    fn from(_: Asn1Error) -> Self {
        Self::Malformed
    }
}

/// Where `inner` lies in `outer`, of which it is a slice.
pub(crate) fn range_of(outer: &[u8], inner: &[u8]) -> core::ops::Range<usize> {
    let start = (inner.as_ptr() as usize).saturating_sub(outer.as_ptr() as usize);
    start..start.saturating_add(inner.len())
}

#[cfg(test)]
mod tests;
