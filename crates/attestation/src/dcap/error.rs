//! Why a quote or its collateral was refused.

use crate::{crypto::CryptoError, x509::X509Error};
use core::fmt;
use thiserror::Error;

/// A stretch of a quote.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// The first 48 bytes.
    Header,
    /// Type and size of the body (version 5).
    BodyHeader,
    /// The enclave's or TD's report.
    Body,
    /// The length of the signature data.
    SignatureLength,
    /// Signature and attestation key.
    Signature,
    /// The quoting enclave's report and its signature.
    QeReport,
    /// The quoting enclave's authentication data.
    AuthData,
    /// What certifies the key that signed the quoting enclave's report.
    Certification,
}

/// A piece of collateral.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Document {
    /// Revocation list of the root CA.
    RootCrl,
    /// Certificate of the root CA.
    RootCertificate,
    /// Revocation list of the PCK CA.
    PckCrl,
    /// Chain of the PCK CA that issued the revocation list.
    PckCrlIssuer,
    /// Chain of the platform's key.
    PckCertificate,
    /// TCB info.
    TcbInfo,
    /// Chain that signed the TCB info.
    TcbInfoIssuer,
    /// Identity of the quoting enclave.
    QeIdentity,
    /// Chain that signed the identity of the quoting enclave.
    QeIdentityIssuer,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::BodyHeader => "body header",
            Self::Body => "body",
            Self::SignatureLength => "signature length",
            Self::Signature => "signature",
            Self::QeReport => "quoting enclave's report",
            Self::AuthData => "authentication data",
            Self::Certification => "certification data",
        })
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RootCrl => "root CA's revocation list",
            Self::RootCertificate => "root CA's certificate",
            Self::PckCrl => "PCK CA's revocation list",
            Self::PckCrlIssuer => "issuer chain of the PCK CA's revocation list",
            Self::PckCertificate => "PCK certificate chain",
            Self::TcbInfo => "TCB info",
            Self::TcbInfoIssuer => "issuer chain of the TCB info",
            Self::QeIdentity => "quoting enclave's identity",
            Self::QeIdentityIssuer => "issuer chain of the quoting enclave's identity",
        })
    }
}

/// Why a quote or its collateral was refused. One variant per check.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Error {
    // The quote's form.
    /// More than [`super::QUOTE_BYTES_MAX`].
    #[error("the quote is larger than {} bytes", super::QUOTE_BYTES_MAX)]
    QuoteTooLarge,
    /// It ends within this part.
    #[error("the quote ends within its {0}")]
    Truncated(Part),
    /// A length field and what it measures differ.
    #[error("the {0} of the quote has a wrong length")]
    WrongLength(Part),
    /// Something else than zeros follows the quote.
    #[error("bytes that are not zero follow the quote")]
    TrailingData,
    /// Not version 3, 4 or 5.
    #[error("quote version {0} is not supported")]
    UnsupportedVersion(u16),
    /// Neither SGX nor TDX, or not in this version.
    #[error("TEE type {0:#x} is not supported in this version of the quote")]
    UnsupportedTeeType(u32),
    /// No body type of version 5, or not of this TEE.
    #[error("body type {0} is not supported or belongs to another TEE")]
    UnsupportedBody(u16),
    /// Not ECDSA with P-256.
    #[error("attestation key type {0} is not supported, only ECDSA with P-256 is")]
    UnsupportedKeyType(u16),
    /// The quoting enclave is not Intel's.
    #[error("the quoting enclave's vendor is not Intel")]
    UnknownQeVendor,
    /// From version 4 on, certification data of type 6 (the quoting enclave's report) is needed.
    #[error("certification data of type {0} is not supported here")]
    UnsupportedCertification(u16),
    /// Neither the quote nor the collateral has a PCK certificate chain.
    #[error(
        "neither the quote nor the collateral has a PCK certificate chain; fetch the one of this platform and add it to the collateral"
    )]
    MissingPckChain,

    // Certificates and revocation lists.
    /// The chain ends in a root that is not trusted.
    #[error("the root of the {0} is not among the trusted roots")]
    UntrustedRoot(Document),
    /// The chain does not end in the root that the other collateral ends in.
    #[error("the {0} belongs to another root")]
    OtherRoot(Document),
    /// A certificate or revocation list is malformed, or not signed by its issuer.
    #[error("the {document} is not valid: {source}")]
    Certificate {
        /// Which.
        document: Document,
        /// Why.
        source: X509Error,
    },
    /// Intel's chains have a fixed number of certificates.
    #[error("the {0} has a wrong number of certificates")]
    ChainLength(Document),
    /// The certificate is not named as its purpose wants.
    #[error("the {0} has a certificate with a wrong common name")]
    WrongName(Document),
    /// A certificate of this chain is revoked.
    #[error("a certificate of the {0} is revoked")]
    RevokedCertificate(Document),
    /// The issue date is in the future.
    #[error("the {0} is not yet valid; is the clock right?")]
    NotYetValid(Document),
    /// The next update was due.
    #[error(
        "the {0} has expired; fetch a new one from Intel's provisioning service or a cache of it"
    )]
    Expired(Document),
    /// The revocation list is of the other PCK CA.
    #[error(
        "the revocation list is of another CA than the one that issued the PCK certificate; fetch the one for that CA (processor or platform)"
    )]
    PckCrlOfOtherCa,
    /// The SGX extension of the PCK certificate is missing or malformed.
    #[error("the SGX extension of the PCK certificate is missing or malformed")]
    PckExtension,
    /// The certificate's key is not on P-256.
    #[error("the key in the {0} is not an ECDSA key on P-256")]
    KeyKind(Document),

    // Signed JSON.
    /// The signature over the received text does not verify.
    #[error("the signature of the {document} is not valid: {source}")]
    DocumentSignature {
        /// Which.
        document: Document,
        /// Why.
        source: CryptoError,
    },
    /// Not the JSON that Intel's API has.
    #[error("the {0} is malformed")]
    MalformedDocument(Document),
    /// Not a version that this verifier knows.
    #[error("version {version} of the {document} is not supported")]
    UnsupportedDocument {
        /// Which.
        document: Document,
        /// Its version.
        version: u32,
    },

    // The platform's key and the quoting enclave.
    /// The PCK did not sign the quoting enclave's report.
    #[error("the PCK did not sign the quoting enclave's report: {0}")]
    QeReportSignature(CryptoError),
    /// The quoting enclave's report does not name the attestation key.
    #[error("the quoting enclave's report is not about this attestation key")]
    QeReportData,
    /// The identity is of the quoting enclave of the other TEE.
    #[error(
        "the quoting enclave's identity is of the other kind of TEE; fetch QE for SGX and TD_QE for TDX"
    )]
    QeIdentityKind,
    /// MRSIGNER of the quoting enclave.
    #[error("the quoting enclave has another signer than its identity says")]
    QeSigner,
    /// ISVPRODID of the quoting enclave.
    #[error("the quoting enclave is another product than its identity says")]
    QeProduct,
    /// MISCSELECT of the quoting enclave.
    #[error("the quoting enclave's MISCSELECT is not what its identity says")]
    QeMiscSelect,
    /// Attributes of the quoting enclave.
    #[error("the quoting enclave's attributes are not what its identity says")]
    QeAttributes,
    /// The quoting enclave can be debugged, so anybody may hold its keys.
    #[error("the quoting enclave runs in debug mode")]
    QeDebug,
    /// ISVSVN of the quoting enclave is below all that Intel knows.
    #[error("the quoting enclave's ISVSVN {0} is below the lowest TCB level")]
    NoQeTcbLevel(u16),

    // The quote itself.
    /// The attestation key is not a point on P-256.
    #[error("the attestation key is malformed")]
    AttestationKey,
    /// The attestation key did not sign the quote.
    #[error("the attestation key did not sign this quote: {0}")]
    QuoteSignature(CryptoError),

    // The platform's TCB.
    /// The TCB info is for SGX and the quote of a TD, or the other way round.
    #[error(
        "the TCB info is for the other kind of TEE; fetch the one for SGX or TDX, as the quote is"
    )]
    TcbInfoKind,
    /// FMSPC of the PCK certificate and TCB info differ.
    #[error(
        "the TCB info is for another processor family; fetch the one for the FMSPC of the PCK certificate"
    )]
    FmspcMismatch,
    /// PCE-ID of the PCK certificate and TCB info differ.
    #[error("the TCB info is for another provisioning certification enclave (PCE-ID)")]
    PceIdMismatch,
    /// The platform is below all levels that Intel knows.
    #[error("the platform is below the lowest TCB level; its firmware has to be updated")]
    NoTcbLevel,
    /// Intel knows no TDX module of this version.
    #[error("the TCB info has no TDX module of version {0}")]
    UnknownTdxModule(u8),
    /// The TDX module's ISVSVN is below all levels that Intel knows.
    #[error("the TDX module's ISVSVN {0} is below its lowest TCB level")]
    NoTdxModuleLevel(u8),
    /// MRSIGNERSEAM.
    #[error("the TDX module has another signer than the TCB info says")]
    TdxModuleSigner,
    /// SEAMATTRIBUTES.
    #[error("the TDX module's attributes are not what the TCB info says")]
    TdxModuleAttributes,
    /// Intel has revoked the platform's, the TDX module's or the quoting enclave's level.
    #[error("the TCB level of the {0} is revoked")]
    TcbRevoked(&'static str),

    // What no honest enclave or TD has.
    /// The enclave was never initialised, so its measurement is not final.
    #[error("the enclave is not initialised")]
    NotInitialised,
    /// Bits of the TD attributes that must be zero.
    #[error("reserved bits of the TD attributes are set")]
    ReservedTdAttributes,
    /// The TD can be migrated, so that another machine may hold its memory.
    #[error(
        "the TD can be migrated to another machine; launch it without the attribute MIGRATABLE"
    )]
    Migratable,
    /// A service TD is bound, whose code is part of the TCB and not appraised here.
    #[error("a service TD is bound to the TD; launch it without")]
    ServiceTd,
    /// The host may inject #VE on pages that the TD has not accepted.
    #[error("the TD lets the host inject #VE; launch it with the attribute SEPT_VE_DISABLE")]
    SeptVe,
}
