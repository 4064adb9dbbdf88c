//! Why evidence of a GPU, or a reference manifest, was not accepted.

use crate::x509::X509Error;

/// Why evidence of a GPU was not accepted. Each check has its own variant.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The evidence is larger than any GPU's.
    #[error(
        "the GPU's report is {found} bytes long; at most {} are accepted",
        super::Report::LEN_MAX
    )]
    Length {
        /// In bytes.
        found: usize,
    },
    /// The evidence ends before all fields are there.
    #[error("the GPU's report is cut off in its {field}")]
    Truncated {
        /// What is missing.
        field: &'static str,
    },
    /// Something follows the signature.
    #[error("the GPU's report has {extra} bytes too many")]
    TrailingBytes {
        /// How many.
        extra: usize,
    },
    /// Not SPDM 1.1.
    #[error("the GPU's report has SPDM version {found:#04x}; 0x11 (1.1) is known")]
    Version {
        /// The version's byte.
        found: u8,
    },
    /// Not the messages of a measurement.
    #[error("the GPU's report is no GET_MEASUREMENTS request followed by its response")]
    MessageCode,
    /// The request asked for less than all measurements, signed.
    #[error("the GPU was not asked for all measurements with a signature")]
    NotAllSigned,
    /// The measurement record does not add up.
    #[error("the GPU's measurement record is damaged at block {block}")]
    Record {
        /// Index of the block, or what stands there.
        block: u8,
    },
    /// A block is not measured by DMTF's rules.
    #[error("the GPU's measurement block {block} does not follow the DMTF specification")]
    MeasurementSpecification {
        /// Index of the block.
        block: u8,
    },
    /// A field of the opaque data does not add up, or is there twice.
    #[error("the GPU's opaque data are damaged")]
    OpaqueData,
    /// A field of the opaque data is needed and missing, or not as it should be.
    #[error("the GPU's report does not say the {field}")]
    OpaqueField {
        /// Which.
        field: &'static str,
    },
    /// The certificate chain cannot be read.
    #[error("the GPU's certificate chain cannot be read: {0}")]
    MalformedChain(X509Error),
    /// The chain is too short to have a device in it.
    #[error("the GPU's certificate chain has {found} certificates; at least 3 are needed")]
    ChainLength {
        /// How many.
        found: usize,
    },
    /// The chain ends at a root that the caller does not trust.
    #[error(
        "the root of the GPU's certificate chain (SHA-256 of its key {}) is not a trusted NVIDIA root for devices",
        hex::encode(spki_sha256)
    )]
    UnknownRoot {
        /// SHA-256 of the root's SubjectPublicKeyInfo.
        spki_sha256: [u8; 32],
    },
    /// A certificate of the chain is from the future.
    #[error("a certificate of the GPU's chain is not yet valid")]
    NotYetValid,
    /// A certificate of the chain is too old.
    #[error("a certificate of the GPU's chain has expired")]
    Expired,
    /// The chain does not hold.
    #[error("the GPU's certificate chain does not hold: {0}")]
    Chain(X509Error),
    /// The attestation key is not a P-384 key for signatures only.
    #[error("the GPU's attestation certificate holds no P-384 key, or is a CA's")]
    LeafKey,
    /// The chain does not say which firmware the key belongs to.
    #[error(
        "the GPU's attestation certificate does not name the firmware (TCG DICE) that holds the key"
    )]
    MissingFirmwareId,
    /// The report is from other firmware than the key.
    #[error("the GPU's report names other firmware than the certificate of the key that signed it")]
    FirmwareId,
    /// The report was made for somebody else, or before.
    #[error("the GPU's report answers another nonce; ask the GPU again")]
    Nonce,
    /// The signature is not by this key over these bytes.
    #[error("the GPU's signature is wrong: the report was changed, or another GPU signed it")]
    Signature,
    /// The manifest is for another product.
    #[error("the reference manifest is for {manifest}, the GPU is a {gpu}")]
    RimProduct {
        /// By the manifest.
        manifest: alloc::string::String,
        /// By the certificate.
        gpu: alloc::string::String,
    },
    /// The manifest is neither for the driver nor for the VBIOS that the GPU reports.
    #[error(
        "the reference manifest is for version {version}, which is neither the GPU's driver nor its VBIOS"
    )]
    RimVersion {
        /// By the manifest.
        version: alloc::string::String,
    },
    /// One of the two manifests is missing, or there are two of a kind.
    #[error("exactly one reference manifest for the GPU's driver and one for its VBIOS are needed")]
    RimSet,
    /// Two manifests claim the same block.
    #[error("both reference manifests have a value for measurement {index}")]
    RimConflict {
        /// Index, from 0 as manifests count.
        index: u8,
    },
    /// A measurement is not one of the reference values.
    #[error("the GPU's measurement {index} is none of the reference values of its {component}")]
    RimMismatch {
        /// Index, from 0 as manifests count.
        index: u8,
        /// `driver` or `VBIOS`.
        component: &'static str,
    },
    /// The manifest has expired since it was verified.
    #[error("the reference manifest has expired; fetch a new one from NVIDIA's RIM service")]
    RimExpired,
}

/// Why a reference manifest was not accepted. Each check has its own variant.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RimError {
    /// Not XML, or XML that is not accepted.
    #[error("the reference manifest cannot be read: {reason} at byte {at}")]
    Xml {
        /// What is wrong.
        reason: &'static str,
        /// Where.
        at: usize,
    },
    /// Not a manifest, or one with parts missing.
    #[error("the reference manifest lacks {what}, or has it twice or in another form")]
    Structure {
        /// What.
        what: &'static str,
    },
    /// An algorithm that is not the one NVIDIA uses.
    #[error("the reference manifest is signed with {what} that is not accepted")]
    Algorithm {
        /// What it is for.
        what: &'static str,
    },
    /// The document is not the one that was signed.
    #[error("the reference manifest was changed after it was signed")]
    Digest,
    /// The signature is not by the key in the certificate.
    #[error("the signature of the reference manifest is wrong")]
    Signature,
    /// A certificate cannot be read.
    #[error("the certificates in the reference manifest cannot be read: {0}")]
    MalformedChain(X509Error),
    /// The chain ends at a root that the caller does not trust.
    #[error(
        "the root of the reference manifest's chain (SHA-256 of its key {}) is not a trusted NVIDIA root for reference values",
        hex::encode(spki_sha256)
    )]
    UnknownRoot {
        /// SHA-256 of the root's SubjectPublicKeyInfo.
        spki_sha256: [u8; 32],
    },
    /// A certificate is from the future.
    #[error("a certificate in the reference manifest is not yet valid")]
    NotYetValid,
    /// A certificate is too old.
    #[error(
        "a certificate in the reference manifest has expired; fetch a new manifest from NVIDIA's RIM service"
    )]
    Expired,
    /// The chain does not hold.
    #[error("the certificate chain of the reference manifest does not hold: {0}")]
    Chain(X509Error),
    /// The signer is a device or a CA.
    #[error("the certificate that signed the reference manifest is not one for signing manifests")]
    Signer,
}
