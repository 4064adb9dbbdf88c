//! The keys that all trust starts from.

use crate::Grade;
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// Whose root it is, or whose format it imitates.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
    TypeInfo,
)]
#[serde(rename_all = "camelCase")]
pub enum Vendor {
    /// Intel: SGX and TDX.
    Intel,
    /// AMD: SEV-SNP.
    Amd,
    /// NVIDIA: GPUs in confidential mode.
    Nvidia,
}

/// A root key. It is pinned by its public key, so that a re-issued root certificate stays valid
/// and a certificate with the right name and another key does not.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
    TypeInfo,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustRoot {
    /// Whose.
    pub vendor: Vendor,
    /// What it is worth.
    pub grade: Grade,
    /// SHA-256 of the DER of the root's SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).
    #[serde(with = "hex::serde")]
    pub spki_sha256: [u8; 32],
}

/// The roots that a verifier is given.
#[derive(
    Clone, Debug, Decode, Default, Encode, Eq, PartialEq, Serialize, Deserialize, TypeInfo,
)]
#[serde(transparent)]
pub struct TrustRoots(Vec<TrustRoot>);

impl TrustRoots {
    /// Takes exactly these.
    pub fn new(roots: impl IntoIterator<Item = TrustRoot>) -> Self {
        Self(roots.into_iter().collect())
    }

    /// The vendors' published roots, all of grade [`Grade::Hardware`].
    pub fn vendors() -> Self {
        Self::new(VENDOR_ROOTS.map(|(vendor, spki_sha256)| TrustRoot {
            vendor,
            grade: Grade::Hardware,
            spki_sha256,
        }))
    }

    /// The root of `vendor` with this key, if it is one.
    pub fn find(&self, vendor: Vendor, spki_sha256: &[u8; 32]) -> Option<&TrustRoot> {
        self.0.iter().find(|root| root.vendor == vendor && root.spki_sha256 == *spki_sha256)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &TrustRoot> {
        self.0.iter()
    }
}

// SHA-256 of the SubjectPublicKeyInfo of each vendor's published root certificate. Each is compared
// with that certificate in the tests of its verifier.

/// Intel's root key for SGX and TDX (`Intel SGX Root CA`).
pub const INTEL_SGX_ROOT: [u8; 32] = [
    0xa0, 0xaf, 0x03, 0x12, 0x89, 0xf5, 0xd5, 0xd4, 0x13, 0x2f, 0x91, 0x86, 0x06, 0x8a, 0x7f, 0xc1,
    0x36, 0x28, 0x63, 0x3b, 0xa2, 0x35, 0x77, 0x74, 0x72, 0xe2, 0x9b, 0x6b, 0x6c, 0x67, 0xa4, 0x9e,
];

/// AMD's root key for Milan (`ARK-Milan`).
pub const AMD_ARK_MILAN: [u8; 32] = [
    0x9f, 0x05, 0x6b, 0xee, 0x44, 0x37, 0x7e, 0x29, 0x30, 0x8c, 0xb5, 0xff, 0xa8, 0x95, 0xbd, 0xfb,
    0x62, 0xd1, 0x88, 0x81, 0xfa, 0x6b, 0xed, 0x8d, 0x6f, 0x07, 0x5b, 0x02, 0x04, 0x08, 0x9c, 0xb9,
];

/// AMD's root key for Genoa, Bergamo and Siena (`ARK-Genoa`).
pub const AMD_ARK_GENOA: [u8; 32] = [
    0x42, 0x9a, 0x69, 0xc9, 0x42, 0x2a, 0xa2, 0x58, 0xee, 0x4d, 0x8d, 0xb5, 0xfc, 0xda, 0x9c, 0x64,
    0x70, 0xef, 0x15, 0xf8, 0xcd, 0x5a, 0x9c, 0xeb, 0xd6, 0xcb, 0xc7, 0xd9, 0x0b, 0x86, 0x38, 0x31,
];

/// AMD's root key for Turin (`ARK-Turin`).
pub const AMD_ARK_TURIN: [u8; 32] = [
    0x4f, 0x12, 0x54, 0x10, 0x56, 0x3a, 0x2a, 0xb9, 0xa5, 0x03, 0x56, 0xf9, 0x24, 0x3f, 0x6f, 0xe0,
    0xb6, 0xf7, 0x3d, 0xe9, 0x86, 0x03, 0xf5, 0x3f, 0x90, 0x33, 0x9c, 0x70, 0xe9, 0xd7, 0xad, 0x08,
];

/// NVIDIA's root key for devices (`NVIDIA Device Identity CA`).
pub const NVIDIA_DEVICE_IDENTITY: [u8; 32] = [
    0xa9, 0x0c, 0x4e, 0xb5, 0xac, 0xfd, 0x3e, 0x3d, 0x03, 0xa2, 0x5d, 0xb6, 0xa2, 0x6b, 0x84, 0xf7,
    0x20, 0xad, 0x05, 0x03, 0x19, 0x6c, 0x62, 0x7c, 0x21, 0xdd, 0xd4, 0x8d, 0xd8, 0x5b, 0x06, 0xa4,
];

/// NVIDIA's root key for reference values (`NVIDIA CoRIM signing Root CA`).
pub const NVIDIA_RIM: [u8; 32] = [
    0xde, 0xc1, 0xdc, 0x31, 0x64, 0x77, 0xaa, 0x85, 0x1e, 0xeb, 0xdf, 0x51, 0x32, 0x7a, 0xe9, 0xf8,
    0x64, 0xbc, 0x8d, 0x89, 0x25, 0x46, 0x57, 0xed, 0x1e, 0x7e, 0xb9, 0x16, 0x8a, 0xf1, 0xe1, 0xa3,
];

/// What [`TrustRoots::vendors`] lists.
const VENDOR_ROOTS: [(Vendor, [u8; 32]); 6] = [
    (Vendor::Intel, INTEL_SGX_ROOT),
    (Vendor::Amd, AMD_ARK_MILAN),
    (Vendor::Amd, AMD_ARK_GENOA),
    (Vendor::Amd, AMD_ARK_TURIN),
    (Vendor::Nvidia, NVIDIA_DEVICE_IDENTITY),
    (Vendor::Nvidia, NVIDIA_RIM),
];
