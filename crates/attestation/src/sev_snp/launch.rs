//! The launch digest that a guest of known parts must report.
//!
//! The firmware hashes each page that the host puts into a guest before its start: kind, address
//! and content (AMD 56860, `SNP_LAUNCH_UPDATE`, `PAGE_INFO`). Those pages are the virtual firmware,
//! the places that its metadata names (secrets, CPUID, kernel hashes), and one page of registers
//! (VMSA) for each virtual processor. The result is what [`super::Report::measurement`] has to be.
//!
//! The expected values come from QEMU, EC2 and GCE as `sev-snp-measure` 0.0.13 describes them.

mod firmware;
mod hashes;
mod vmsa;

pub use firmware::Firmware;
pub(super) use firmware::guid;
pub use hashes::KernelHashes;

use sha2::{Digest, Sha384};

/// Page size.
const PAGE: usize = 4096;
/// Where the firmware records VMSA pages: the page-aligned -1 with all bits above 51 clear.
const VMSA_GPA: u64 = 0xffff_ffff_f000;
/// Length of `PAGE_INFO`.
const PAGE_INFO_LEN: u16 = 0x70;

/// Why no launch digest can be computed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The firmware image's length is no multiple of a page, or zero, or beyond what fits.
    #[error(
        "the firmware image is {len} bytes long, which is not a whole number of 4096-byte pages up to 64 MiB"
    )]
    FirmwareLength {
        /// In bytes.
        len: usize,
    },
    /// The footer table is missing.
    #[error("the firmware image has no OVMF footer table; build it with AMD SEV support")]
    NoFooterTable,
    /// The footer table, or an entry of it, has an impossible length.
    #[error("the firmware image's footer table is damaged")]
    FooterTable,
    /// The SEV metadata is cut off, has another signature or another version.
    #[error("the firmware image's SEV metadata is damaged or of an unknown version")]
    Metadata,
    /// A section is of a kind that this program does not know.
    #[error("the firmware image's SEV metadata has a section of unknown kind {kind:#x}")]
    SectionKind {
        /// The kind.
        kind: u32,
    },
    /// A section is not made of whole pages.
    #[error(
        "the firmware image's SEV metadata has a section at {gpa:#x} that is not made of whole pages"
    )]
    SectionSize {
        /// Guest physical address.
        gpa: u32,
    },
    /// A kernel is to be measured and the firmware has no place for its hashes.
    #[error(
        "a kernel is given, but the firmware image has no section for kernel hashes; use OVMF's AmdSev build"
    )]
    NoKernelHashes,
    /// More than one processor, and the firmware does not say where the others start.
    #[error("the guest has several processors, but the firmware image has no SEV-ES reset block")]
    NoResetBlock,
    /// The number of processors is zero or absurd.
    #[error("a guest has between 1 and 4096 processors, not {0}")]
    Processors(u32),
}

/// Whose virtual machine monitor starts the guest: they set registers differently.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Vmm {
    /// QEMU with KVM.
    #[default]
    Qemu,
    /// Amazon EC2.
    Ec2,
    /// Google Compute Engine.
    Gce,
}

/// The processor type that the guest sees, as the signature that CPUID function 1 gives in EAX.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CpuSignature(pub u32);

impl CpuSignature {
    /// QEMU's `EPYC`, also versions 1 to 4 and `EPYC-IBPB`.
    pub const EPYC: Self = Self::new(23, 1, 2);
    /// QEMU's `EPYC-Rome`.
    pub const EPYC_ROME: Self = Self::new(23, 49, 0);
    /// QEMU's `EPYC-Milan`.
    pub const EPYC_MILAN: Self = Self::new(25, 1, 1);
    /// QEMU's `EPYC-Genoa`.
    pub const EPYC_GENOA: Self = Self::new(25, 17, 0);
    /// QEMU's `EPYC-Turin`.
    pub const EPYC_TURIN: Self = Self::new(26, 0, 0);

    /// From family, model and stepping (AMD 25481, "Family, Model, Stepping Identifiers").
    pub const fn new(family: u8, model: u8, stepping: u8) -> Self {
        let (family_low, family_high) =
            if family > 0xf { (0xf, family - 0xf) } else { (family, 0) };
        Self(
            (family_high as u32) << 20
                | ((model >> 4) as u32) << 16
                | (family_low as u32) << 8
                | ((model & 0xf) as u32) << 4
                | (stepping & 0xf) as u32,
        )
    }
}

/// All that goes into a launch digest.
#[derive(Clone, Debug)]
pub struct Guest<'a> {
    /// The virtual firmware (OVMF).
    pub firmware: &'a Firmware<'a>,
    /// The launch digest after the firmware's pages, where only the tail of the image is at hand
    /// ([`Firmware::digest`] of the whole image); `None` to compute it.
    pub firmware_digest: Option<[u8; 48]>,
    /// Number of virtual processors.
    pub processors: u32,
    /// Their type. Counts for QEMU only.
    pub cpu: CpuSignature,
    /// Who starts the guest.
    pub vmm: Vmm,
    /// `SEV_FEATURES` of the VMSA; bit 0 (SNP active) is set in each SNP guest. Linux from 6.6 on
    /// also sets bit 5 (debug swap) unless told otherwise.
    pub features: u64,
    /// Kernel, initrd and command line, where the host hands them over (QEMU's `-kernel` with
    /// `kernel-hashes=on`); `None` where the firmware boots from a disk.
    pub kernel: Option<KernelHashes>,
}

impl Guest<'_> {
    /// The measurement that the guest's reports carry.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn launch_digest(&self) -> Result<[u8; 48], Error> {
        if self.processors == 0 || self.processors > 4096 {
            return Err(Error::Processors(self.processors));
        }
        let start = self.firmware_digest.unwrap_or_else(|| self.firmware.digest());
        let mut digest = LaunchDigest(start);
        self.measure_sections(&mut digest)?;
        let page = |eip| vmsa::page(eip, self.features, self.cpu, self.vmm);
        digest.vmsa(&page(vmsa::FIRST_EIP));
        if self.processors > 1 {
            let eip = self.firmware.reset_eip().ok_or(Error::NoResetBlock)?;
            let other = page(eip);
            for _ in 1..self.processors {
                digest.vmsa(&other);
            }
        }
        Ok(digest.0)
    }

    fn measure_sections(&self, digest: &mut LaunchDigest) -> Result<(), Error> {
        use firmware::SectionKind as Kind;
        let sections = self.firmware.sections();
        if self.kernel.is_some() && !sections.iter().any(|s| s.kind == Kind::KernelHashes) {
            return Err(Error::NoKernelHashes);
        }
        for section in sections {
            let gpa = u64::from(section.gpa);
            match section.kind {
                Kind::Memory if self.vmm == Vmm::Gce => {
                    digest.empty(PageKind::Unmeasured, gpa, section.pages());
                }
                Kind::Memory | Kind::SvsmCaa => digest.empty(PageKind::Zero, gpa, section.pages()),
                Kind::Secrets => digest.empty(PageKind::Secrets, gpa, 1),
                // EC2 adds the CPUID page after all others.
                Kind::Cpuid if self.vmm == Vmm::Ec2 => {}
                Kind::Cpuid => digest.empty(PageKind::Cpuid, gpa, 1),
                Kind::KernelHashes => match &self.kernel {
                    Some(hashes) => {
                        let table = self.firmware.hash_table_gpa().ok_or(Error::NoKernelHashes)?;
                        let page = hashes.page(table).ok_or(Error::NoKernelHashes)?;
                        if section.pages() != 1 {
                            return Err(Error::SectionSize { gpa: section.gpa });
                        }
                        digest.normal(gpa, &page);
                    }
                    None => digest.empty(PageKind::Zero, gpa, section.pages()),
                },
            }
        }
        if self.vmm == Vmm::Ec2 {
            for section in sections.iter().filter(|s| s.kind == Kind::Cpuid) {
                digest.empty(PageKind::Cpuid, section.gpa.into(), 1);
            }
        }
        Ok(())
    }
}

/// `PAGE_TYPE` (AMD 56860, table "Encodings for the PAGE_TYPE field").
#[derive(Clone, Copy)]
#[repr(u8)]
enum PageKind {
    Normal = 1,
    Vmsa = 2,
    Zero = 3,
    Unmeasured = 4,
    Secrets = 5,
    Cpuid = 6,
}

/// A launch digest in the making.
struct LaunchDigest([u8; 48]);

impl LaunchDigest {
    fn update(&mut self, kind: PageKind, gpa: u64, contents: &[u8; 48]) {
        let mut info = Sha384::new();
        info.update(self.0);
        info.update(contents);
        info.update(PAGE_INFO_LEN.to_le_bytes());
        // Kind, not an initial migration image, no permissions for VMPL 3, 2 and 1, reserved.
        info.update([kind as u8, 0, 0, 0, 0, 0]);
        info.update(gpa.to_le_bytes());
        self.0 = info.finalize().into();
    }

    fn normal(&mut self, gpa: u64, page: &[u8]) {
        self.update(PageKind::Normal, gpa, &Sha384::digest(page).into());
    }

    fn vmsa(&mut self, page: &[u8]) {
        self.update(PageKind::Vmsa, VMSA_GPA, &Sha384::digest(page).into());
    }

    fn empty(&mut self, kind: PageKind, gpa: u64, pages: u32) {
        for page in 0..u64::from(pages) {
            self.update(kind, gpa.saturating_add(page * PAGE as u64), &[0; 48]);
        }
    }
}
