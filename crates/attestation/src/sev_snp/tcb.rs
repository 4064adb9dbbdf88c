//! Products and the versions of their firmware.

use super::Error;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// A line of processors that shares one AMD root key (ARK).
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
pub enum Product {
    /// EPYC 7003.
    Milan,
    /// EPYC 9004 and 8004 (also Bergamo and Siena, whose keys hang under Genoa's root).
    Genoa,
    /// EPYC 9005.
    Turin,
}

impl Product {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Milan, Self::Genoa, Self::Turin];

    /// By what the CPUID instruction says (family and model with their extended parts added), as
    /// reports from version 3 on carry it. `None` for a processor that this crate has no rules for.
    pub fn from_cpuid(family: u8, model: u8) -> Option<Self> {
        match (family, model) {
            (0x19, 0x00..=0x0f) => Some(Self::Milan),
            (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Some(Self::Genoa),
            (0x1a, 0x00..=0x11) => Some(Self::Turin),
            _ => None,
        }
    }

    /// By the product name in a VEK certificate (AMD 57230, table 8): `Milan` or `Milan-B0`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.split('-').next() {
            Some("Milan") => Some(Self::Milan),
            Some("Genoa") => Some(Self::Genoa),
            Some("Turin") => Some(Self::Turin),
            _ => None,
        }
    }

    /// The name that AMD's certificates and its key distribution service use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// How many bytes of the chip id this product uses; the rest of the report's field is zero.
    pub fn chip_id_len(self) -> usize {
        match self {
            Self::Milan | Self::Genoa => 64,
            Self::Turin => 8,
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Security versions of a platform's firmware (AMD 56860, `TCB_VERSION`).
///
/// There is no order between two of them as a whole: see [`TcbVersion::at_least`].
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
    PartialEq,
    Serialize,
    TypeInfo,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcbVersion {
    /// Secure processor's boot loader.
    pub boot_loader: u8,
    /// Secure processor's operating system.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Lowest microcode patch level of all cores.
    pub microcode: u8,
    /// First mutable code of the secure processor; from Turin on.
    #[serde(default)]
    pub fmc: Option<u8>,
}

impl TcbVersion {
    /// Reads the eight bytes as `product` lays them out.
    ///
    /// # Errors
    /// [`Error::ReservedTcb`] where a reserved byte is not zero, as when Turin's layout is read as
    /// Milan's.
    pub fn from_bytes(bytes: [u8; 8], product: Product) -> Result<Self, Error> {
        let [b0, b1, b2, b3, b4, b5, b6, microcode] = bytes;
        let (version, reserved) = match product {
            Product::Milan | Product::Genoa => {
                (Self { boot_loader: b0, tee: b1, snp: b6, microcode, fmc: None }, [b2, b3, b4, b5])
            }
            Product::Turin => (
                Self { fmc: Some(b0), boot_loader: b1, tee: b2, snp: b3, microcode },
                [b4, b5, b6, 0],
            ),
        };
        if reserved == [0; 4] { Ok(version) } else { Err(Error::ReservedTcb { product, bytes }) }
    }

    /// Writes the eight bytes as `product` lays them out; the reverse of [`Self::from_bytes`].
    pub fn to_bytes(self, product: Product) -> [u8; 8] {
        let Self { boot_loader, tee, snp, microcode, fmc } = self;
        match product {
            Product::Milan | Product::Genoa => [boot_loader, tee, 0, 0, 0, 0, snp, microcode],
            Product::Turin => [fmc.unwrap_or(0), boot_loader, tee, snp, 0, 0, 0, microcode],
        }
    }

    /// Whether no part is older than in `minimum`. A minimum with a version of the first mutable
    /// code is not met by a platform that reports none.
    pub fn at_least(&self, minimum: &Self) -> bool {
        self.boot_loader >= minimum.boot_loader
            && self.tee >= minimum.tee
            && self.snp >= minimum.snp
            && self.microcode >= minimum.microcode
            && minimum.fmc.is_none_or(|fmc| self.fmc.is_some_and(|own| own >= fmc))
    }
}

impl fmt::Display for TcbVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { boot_loader, tee, snp, microcode, fmc } = self;
        write!(f, "boot loader {boot_loader}, TEE {tee}, SNP {snp}, microcode {microcode}")?;
        fmc.map_or(Ok(()), |fmc| write!(f, ", FMC {fmc}"))
    }
}
