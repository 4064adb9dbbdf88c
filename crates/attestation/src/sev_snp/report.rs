//! The attestation report's bytes (AMD 56860, table 23).

use super::{Error, KeyKind, Product, TcbVersion};
use alloc::{format, string::String};

/// An attestation report, with the bytes as they were received.
///
/// Parsing checks the form only: length, version, and that what is reserved is zero. Nothing that
/// a report says is worth anything before [`super::verify`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    bytes: [u8; Self::LEN],
    product: Option<Product>,
}

/// Bits of the guest policy that AMD 56860 (table 9) gives a meaning.
const POLICY_KNOWN: u64 = (1 << 26) - 1;
/// The bit that "must be one".
const POLICY_MUST_BE_ONE: u64 = 1 << 17;
const POLICY_MIGRATE_MA: u64 = 1 << 18;
const POLICY_DEBUG: u64 = 1 << 19;
/// Bits of `KEY_INFO` that have a meaning: AUTHOR_KEY_EN, MASK_CHIP_KEY, SIGNING_KEY.
const KEY_INFO_KNOWN: u32 = 0b1_1111;

impl Report {
    /// Length of a report in bytes.
    pub const LEN: usize = 1184;
    /// How many of them, from the first, are signed.
    pub const SIGNED_LEN: usize = 0x2a0;

    /// Takes a report apart.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Version`], [`Error::Reserved`], [`Error::UnknownProcessor`]
    /// (reports that say which processor they are from), [`Error::ReservedTcb`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let bytes: [u8; Self::LEN] =
            bytes.try_into().map_err(|_| Error::Length { found: bytes.len() })?;
        let mut report = Self { bytes, product: None };
        let version = report.version();
        let reserved: &[(usize, usize)] = match version {
            2 => &[(0x4c, 0x50), (0x188, 0x1a0), (0x1f8, 0x2a0)],
            3 => &[(0x4c, 0x50), (0x18b, 0x1a0), (0x1f8, 0x2a0)],
            5 => &[(0x4c, 0x50), (0x18b, 0x1a0), (0x208, 0x2a0)],
            _ => return Err(Error::Version { found: version }),
        };
        // Between and behind the version triples, and around the signature's two numbers.
        let everywhere = [(0x1eb, 0x1ec), (0x1ef, 0x1f0), (0x2d0, 0x2e8), (0x318, 0x4a0)];
        for &(from, to) in reserved.iter().chain(&everywhere) {
            if let Some(at) = report.bytes.get(from..to).and_then(first_non_zero) {
                return Err(Error::Reserved { offset: from.saturating_add(at) });
            }
        }
        if version >= 3 {
            let [family, model, stepping] = report.array::<0x188, 3>();
            let product = Product::from_cpuid(family, model).ok_or(Error::UnknownProcessor {
                family,
                model,
                stepping,
            })?;
            report.product = Some(product);
            report.tcbs(product)?;
        }
        Ok(report)
    }

    /// The bytes as they were received.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.bytes
    }

    /// Version of the format: 2, 3 or 5.
    pub fn version(&self) -> u32 {
        u32::from_le_bytes(self.array::<0, 4>())
    }

    /// The guest's security version.
    pub fn guest_svn(&self) -> u32 {
        u32::from_le_bytes(self.array::<4, 4>())
    }

    /// The guest's policy: what the firmware lets the host do to it.
    pub fn policy(&self) -> u64 {
        u64::from_le_bytes(self.array::<8, 8>())
    }

    /// Whether the host may debug the guest, that is read all of its memory.
    pub fn allows_debug(&self) -> bool {
        self.policy() & POLICY_DEBUG != 0
    }

    /// Whether the guest may be associated with a migration agent.
    pub fn allows_migration(&self) -> bool {
        self.policy() & POLICY_MIGRATE_MA != 0
    }

    /// Whether the guest is associated with a migration agent, which can read all of its memory.
    pub fn has_migration_agent(&self) -> bool {
        self.array::<0x160, 32>() != [0xff; 32]
    }

    /// Whether the policy's reserved bits are as they must be.
    pub(super) fn policy_is_known(&self) -> bool {
        let policy = self.policy();
        policy & !POLICY_KNOWN == 0 && policy & POLICY_MUST_BE_ONE != 0
    }

    /// Family id that the guest's owner gave at launch.
    pub fn family_id(&self) -> [u8; 16] {
        self.array::<0x10, 16>()
    }

    /// Image id that the guest's owner gave at launch.
    pub fn image_id(&self) -> [u8; 16] {
        self.array::<0x20, 16>()
    }

    /// Privilege level of who asked for the report; beyond 3 if it was the host.
    pub fn vmpl(&self) -> u32 {
        u32::from_le_bytes(self.array::<0x30, 4>())
    }

    /// Signature algorithm; 1 is ECDSA P-384 with SHA-384, the only one there is.
    pub fn signature_algorithm(&self) -> u32 {
        u32::from_le_bytes(self.array::<0x34, 4>())
    }

    /// Platform settings (`PLATFORM_INFO`): bit 0 SMT, 1 TSME, 2 ECC, 3 RAPL off, 4 ciphertext
    /// hiding, 5 alias check done, 7 SEV-TIO.
    pub fn platform_info(&self) -> u64 {
        u64::from_le_bytes(self.array::<0x40, 8>())
    }

    fn key_info(&self) -> u32 {
        u32::from_le_bytes(self.array::<0x48, 4>())
    }

    /// Whether the platform's owner has forbidden the chip's key (`MASK_CHIP_KEY`).
    pub fn masks_chip_key(&self) -> bool {
        self.key_info() & 2 != 0
    }

    /// Which kind of key signed.
    ///
    /// # Errors
    /// [`Error::Unsigned`], [`Error::SigningKeyKind`].
    pub fn signing_key(&self) -> Result<KeyKind, Error> {
        let info = self.key_info();
        match info >> 2 & 7 {
            _ if info & !KEY_INFO_KNOWN != 0 => Err(Error::SigningKeyKind { key_info: info }),
            0 => Ok(KeyKind::Vcek),
            1 => Ok(KeyKind::Vlek),
            7 => Err(Error::Unsigned),
            _ => Err(Error::SigningKeyKind { key_info: info }),
        }
    }

    /// What the guest put into the report.
    pub fn report_data(&self) -> [u8; 64] {
        self.array::<0x50, 64>()
    }

    /// Launch digest: what the guest's memory was when it started.
    pub fn measurement(&self) -> [u8; 48] {
        self.array::<0x90, 48>()
    }

    /// What the host set at launch.
    pub fn host_data(&self) -> [u8; 32] {
        self.array::<0xc0, 32>()
    }

    /// Digest of the key that signed the id block; zeros without one.
    pub fn id_key_digest(&self) -> [u8; 48] {
        self.array::<0xe0, 48>()
    }

    /// Digest of the key that certified the id key; zeros without one.
    pub fn author_key_digest(&self) -> [u8; 48] {
        self.array::<0x110, 48>()
    }

    /// Number that the firmware gave this guest.
    pub fn report_id(&self) -> [u8; 32] {
        self.array::<0x140, 32>()
    }

    /// The processor line; `None` in version 2, where only the key's certificate says it.
    pub fn product(&self) -> Option<Product> {
        self.product
    }

    /// The chip's id, or zeros where the platform's owner hides it.
    pub fn chip_id(&self) -> [u8; 64] {
        self.array::<0x1a0, 64>()
    }

    /// The firmware versions for which the signing key was derived, read for `product`.
    ///
    /// # Errors
    /// [`Error::ReservedTcb`].
    pub fn reported_tcb(&self, product: Product) -> Result<TcbVersion, Error> {
        TcbVersion::from_bytes(self.array::<0x180, 8>(), product)
    }

    /// Where AMD's key distribution service has the VCEK that signed this report, as a path under
    /// `https://kdsintf.amd.com` (AMD 57230, 4.1). The product's other documents are at
    /// `/vcek/v1/{product}/cert_chain` and `/vcek/v1/{product}/crl`.
    ///
    /// # Errors
    /// [`Error::ReservedTcb`], and [`Error::ChipIdMasked`] as no chip can be asked for.
    pub fn vcek_path(&self, product: Product) -> Result<String, Error> {
        let TcbVersion { boot_loader, tee, snp, microcode, fmc } = self.reported_tcb(product)?;
        let chip_id = self.chip_id();
        let used = chip_id.get(..product.chip_id_len()).unwrap_or_default();
        if first_non_zero(used).is_none() {
            return Err(Error::ChipIdMasked);
        }
        let chip_id = hex::encode(used);
        let fmc = fmc.map(|fmc| format!("fmcSPL={fmc:02}&")).unwrap_or_default();
        Ok(format!(
            "/vcek/v1/{product}/{chip_id}?{fmc}blSPL={boot_loader:02}&teeSPL={tee:02}\
             &snpSPL={snp:02}&ucodeSPL={microcode:02}"
        ))
    }

    /// All firmware versions of the report: reported, current (running now), committed (below
    /// which the platform cannot be rolled back), at launch.
    pub(super) fn tcbs(&self, product: Product) -> Result<[TcbVersion; 4], Error> {
        Ok([
            self.reported_tcb(product)?,
            TcbVersion::from_bytes(self.array::<0x38, 8>(), product)?,
            TcbVersion::from_bytes(self.array::<0x1e0, 8>(), product)?,
            TcbVersion::from_bytes(self.array::<0x1f0, 8>(), product)?,
        ])
    }

    /// What is signed, as it was received.
    pub(super) fn signed_bytes(&self) -> &[u8] {
        self.bytes.get(..Self::SIGNED_LEN).unwrap_or_default()
    }

    /// The signature as r and s, big-endian, 48 bytes each. AMD writes them little-endian into 72
    /// bytes each, of which the parser has made sure that the upper 24 are zero.
    pub(super) fn signature(&self) -> [u8; 96] {
        let (mut r, mut s) = (self.array::<0x2a0, 48>(), self.array::<0x2e8, 48>());
        r.reverse();
        s.reverse();
        let mut signature = [0; 96];
        let (left, right) = signature.split_at_mut(48);
        left.copy_from_slice(&r);
        right.copy_from_slice(&s);
        signature
    }

    /// `LEN` bytes from `AT`. All callers are in this file, with offsets inside a report's length.
    fn array<const AT: usize, const LEN: usize>(&self) -> [u8; LEN] {
        const { assert!(AT + LEN <= Self::LEN) }
        let mut out = [0; LEN];
        for (to, from) in out.iter_mut().zip(self.bytes.iter().skip(AT)) {
            *to = *from;
        }
        out
    }
}

fn first_non_zero(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte != 0)
}
