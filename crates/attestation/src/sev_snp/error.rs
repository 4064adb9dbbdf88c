//! Why a report or its endorsements were not accepted.

use super::{KeyKind, Product, TcbVersion};
use crate::x509::X509Error;
use core::fmt;

/// Which of the documents that endorse a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Document {
    /// The key that signs reports: the chip's (VCEK) or the cloud provider's (VLEK).
    Vek,
    /// AMD's signing key of the product (ASK, for VLEKs ASVK).
    Ask,
    /// AMD's root key of the product.
    Ark,
    /// AMD's revocation list.
    Crl,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vek => "certificate of the signing key (VCEK or VLEK)",
            Self::Ask => "certificate of AMD's signing key (ASK or ASVK)",
            Self::Ark => "certificate of AMD's root key (ARK)",
            Self::Crl => "AMD's revocation list",
        })
    }
}

/// Why a report or its endorsements were not accepted. Each check has its own variant.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The report's form.
    /// Cut off, or something follows.
    #[error("an SEV-SNP report is 1184 bytes long, this is {found}")]
    Length {
        /// In bytes.
        found: usize,
    },
    /// A version that this program has no rules for.
    #[error("the SEV-SNP report has version {found}; versions 2, 3 and 5 are known")]
    Version {
        /// The version.
        found: u32,
    },
    /// What is reserved is not zero.
    #[error("the SEV-SNP report is not zero at offset {offset:#x}, which is reserved")]
    Reserved {
        /// Of the first such byte.
        offset: usize,
    },
    /// What is reserved in a TCB version is not zero.
    #[error(
        "a TCB version in the SEV-SNP report is {bytes:02x?}, which no {product} processor reports"
    )]
    ReservedTcb {
        /// The product by whose layout it was read.
        product: Product,
        /// As received.
        bytes: [u8; 8],
    },
    /// A processor that this program has no rules for.
    #[error(
        "the SEV-SNP report is from a processor of family {family:#x}, model {model:#x}, stepping {stepping}, which is neither Milan, Genoa nor Turin"
    )]
    UnknownProcessor {
        /// CPUID family.
        family: u8,
        /// CPUID model.
        model: u8,
        /// CPUID stepping.
        stepping: u8,
    },

    // Certificates.
    /// A document cannot be read.
    #[error("the {document} cannot be read: {source}")]
    Malformed {
        /// Which.
        document: Document,
        /// Why.
        source: X509Error,
    },
    /// The root is not one of those that the caller trusts.
    #[error(
        "the root of the certificate chain (SHA-256 of its key {}) is not a trusted AMD root",
        hex::encode(spki_sha256)
    )]
    UnknownRoot {
        /// SHA-256 of the root's SubjectPublicKeyInfo.
        spki_sha256: [u8; 32],
    },
    /// A key is not of the kind that AMD uses at this place.
    #[error("the {document} holds no {expected} key")]
    KeyKind {
        /// Which.
        document: Document,
        /// What belongs there.
        expected: &'static str,
    },
    /// A certificate is signed in another way than AMD's.
    #[error("the {document} is not signed with RSASSA-PSS and SHA-384")]
    Scheme {
        /// Which.
        document: Document,
    },
    /// A document is from the future.
    #[error("the {document} is not yet valid")]
    NotYetValid {
        /// Which.
        document: Document,
    },
    /// A document is too old.
    #[error("the {document} has expired; fetch a new one from AMD's key distribution service")]
    Expired {
        /// Which.
        document: Document,
    },
    /// A document was not issued by the next in the chain.
    #[error("the {document} was not issued by the next certificate in the chain: {source}")]
    NotIssued {
        /// Which.
        document: Document,
        /// Why.
        source: X509Error,
    },
    /// The certificate lacks one of AMD's extensions.
    #[error("the certificate of the signing key lacks AMD's extension for {name}")]
    MissingExtension {
        /// What it is for.
        name: &'static str,
    },
    /// One of AMD's extensions does not hold what it should.
    #[error("the certificate of the signing key has a damaged extension for {name}")]
    BadExtension {
        /// What it is for.
        name: &'static str,
    },
    /// Neither a chip's nor a cloud provider's certificate, or both at once.
    #[error(
        "the certificate of the signing key is neither a VCEK's (with a chip id) nor a VLEK's (with a cloud provider's id)"
    )]
    VekKind,
    /// A product that this program has no rules for.
    #[error(
        "the certificate of the signing key is for a product that is neither Milan, Genoa nor Turin"
    )]
    UnknownProduct,
    /// The signing key's issuer is for another product, or for the other kind of key.
    #[error("the certificate of a {kind} for {product} was not issued by AMD's key for those")]
    WrongAsk {
        /// Kind of the key.
        kind: KeyKind,
        /// Its product.
        product: Product,
    },
    /// The serial number is longer than X.509 allows.
    #[error("the certificate of the signing key has a serial number of more than 20 bytes")]
    Serial,
    /// The revocation list is of another root than the certificate.
    #[error(
        "the revocation list is of another product line or another root than the certificate of the signing key"
    )]
    CrlOfOtherRoot,
    /// AMD's root has revoked itself.
    #[error("AMD's root key (ARK) has revoked itself; it must not be trusted any more")]
    ArkRevoked,
    /// AMD has revoked its signing key.
    #[error("AMD has revoked its signing key (ASK)")]
    AskRevoked,
    /// AMD has revoked the key that signs reports.
    #[error("AMD has revoked the key that signed the report")]
    VekRevoked,

    // The report against its key.
    /// The report says that it was signed with something else than ECDSA P-384.
    #[error(
        "the SEV-SNP report has signature algorithm {found}; only 1 (ECDSA P-384 with SHA-384) is known"
    )]
    SignatureAlgorithm {
        /// The algorithm's number.
        found: u32,
    },
    /// Nobody signed the report.
    #[error("the SEV-SNP report says that it is not signed")]
    Unsigned,
    /// The report says that it was signed by a kind of key that is not known.
    #[error("the SEV-SNP report names an unknown kind of signing key (key info {key_info:#x})")]
    SigningKeyKind {
        /// The whole field.
        key_info: u32,
    },
    /// The report was signed by the other kind of key.
    #[error(
        "the SEV-SNP report says that a {report} signed it, but the certificate is a {certificate}'s"
    )]
    SignerKind {
        /// By the report.
        report: KeyKind,
        /// By the certificate.
        certificate: KeyKind,
    },
    /// The platform's owner has forbidden the chip's key, and yet it is said to have signed.
    #[error("the SEV-SNP report says both that the chip's key is masked and that it signed")]
    ChipKeyMasked,
    /// The report does not say which chip it is from.
    #[error(
        "the SEV-SNP report hides its chip id, so it cannot be compared with the certificate's; have the provider switch MASK_CHIP_ID off"
    )]
    ChipIdMasked,
    /// The certificate is another chip's.
    #[error("the SEV-SNP report is from another chip than the certificate of the signing key")]
    ChipId,
    /// The certificate is another product's.
    #[error(
        "the SEV-SNP report is from a {report} processor, but the certificate of the signing key is for {certificate}"
    )]
    Product {
        /// By the report.
        report: Product,
        /// By the certificate.
        certificate: Product,
    },
    /// The certificate is for another firmware.
    #[error(
        "the SEV-SNP report was made with firmware ({report}), but the certificate of the signing key is for ({certificate}); fetch the certificate for the reported versions"
    )]
    Tcb {
        /// By the report.
        report: TcbVersion,
        /// By the certificate.
        certificate: TcbVersion,
    },
    /// Not asked for by a guest.
    #[error(
        "the SEV-SNP report was asked for at privilege level {found}; a guest has levels 0 to 3"
    )]
    Vmpl {
        /// The level.
        found: u32,
    },
    /// The policy has bits that this program has no rules for, or lacks the one that must be set.
    #[error("the SEV-SNP guest's policy {policy:#x} has unknown bits")]
    Policy {
        /// The policy.
        policy: u64,
    },
    /// The policy lets a migration agent have the guest's memory.
    #[error(
        "the SEV-SNP guest's policy lets a migration agent read its memory; launch the guest without that bit (18)"
    )]
    MigrationAllowed,
    /// A migration agent has the guest's memory.
    #[error("the SEV-SNP guest is associated with a migration agent, which can read its memory")]
    MigrationAgent,
    /// The signature is not by this key over this report.
    #[error("the SEV-SNP report's signature is wrong: it was changed, or another key signed it")]
    Signature,
}
