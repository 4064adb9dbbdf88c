//! What is submitted, and what the chain keeps of it.

use casemate_attestation::{Grade, TcbStatus, TeeKind};
use casemate_primitives::{AgentPublicKey, Hash256, UnixSeconds};
use frame_support::pallet_prelude::*;
use pallet_endorsements::CertificateDigest;

/// Largest evidence that is verified on chain, in bytes. Real TDX quotes have about 5 kB.
pub const EVIDENCE_BYTES_MAX: u32 = 16 * 1024;

/// A measurement of what runs ([`casemate_attestation::Measurements::workload`]): MRENCLAVE, SHA-384 over
/// MRTD and the first three run-time registers of a TD, or the SNP launch digest.
pub type Workload = BoundedVec<u8, ConstU32<64>>;

/// The public keys of an agent, all made inside its TEE.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct Keys {
    /// Ed25519: signs usage records.
    pub agent: AgentPublicKey,
    /// X25519: secrets are sealed to it.
    pub hpke: [u8; 32],
    /// SHA-256 of the TLS key's SubjectPublicKeyInfo.
    pub tls_spki_sha256: Hash256,
}

/// Evidence, and where the chain finds the certificate of its machine.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub struct Submission {
    /// What it is.
    pub kind: TeeKind,
    /// The vendor's bytes, untouched.
    pub evidence: BoundedVec<u8, ConstU32<EVIDENCE_BYTES_MAX>>,
    /// SHA-256 of the DER of the PCK, VCEK or VLEK certificate.
    pub certificate: CertificateDigest,
}

/// Why a key counts, and until when.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Standing {
    /// The agent's keys.
    pub keys: Keys,
    /// BLAKE2b-256 of the manifest that it runs.
    pub manifest_hash: Hash256,
    /// Kind of TEE.
    pub kind: TeeKind,
    /// Grade of the root.
    pub grade: Grade,
    /// What runs.
    pub workload: Workload,
    /// State of the platform's firmware when it was verified.
    pub tcb_status: TcbStatus,
    /// Certificate of the machine.
    pub certificate: CertificateDigest,
    /// BLAKE2b-256 of the evidence.
    pub evidence_hash: Hash256,
    /// When it was verified.
    pub verified_at: UnixSeconds,
    /// First second at which it counts no more.
    pub expires_at: UnixSeconds,
}

/// The control plane of a provider's cluster.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Cluster {
    /// Kind of TEE.
    pub kind: TeeKind,
    /// Grade of the root.
    pub grade: Grade,
    /// What runs.
    pub workload: Workload,
    /// State of the platform's firmware when it was verified.
    pub tcb_status: TcbStatus,
    /// BLAKE2b-256 of the evidence.
    pub evidence_hash: Hash256,
    /// First second at which it counts no more.
    pub expires_at: UnixSeconds,
}
