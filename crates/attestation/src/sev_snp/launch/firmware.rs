//! What an OVMF image says about itself.
//!
//! It ends with a table that is read backwards: each entry's data come before its length and GUID
//! (edk2, `OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm`). One entry says where the SEV metadata
//! are (`OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm`).

use super::{Error, LaunchDigest, PAGE};
use alloc::vec::Vec;

/// GUIDs as they stand in the image (the first three parts little-endian).
const FOOTER: [u8; 16] = guid(0x96b5_82de_1fb2_45f7_baea_a366_c55a_082d);
const HASH_TABLE: [u8; 16] = guid(0x7255_371f_3a3b_4b04_927b_1da6_efa8_d454);
const RESET_BLOCK: [u8; 16] = guid(0x00f7_71de_1a7e_4fcb_890e_68c7_7e2f_b44e);
const METADATA: [u8; 16] = guid(0xdc88_6566_984a_4798_a75e_5585_a7bf_67cc);

/// The table ends this far before the end of the image.
const FOOTER_FROM_END: usize = 32;
/// Length (2 bytes) and GUID.
const ENTRY_HEADER: usize = 18;
/// OVMF images are 2 to 16 MiB.
const LEN_MAX: usize = 64 << 20;
/// More sections than any OVMF build has.
const SECTIONS_MAX: u32 = 64;

pub(in crate::sev_snp) const fn guid(value: u128) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = value.to_be_bytes();
    [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SectionKind {
    Memory,
    Secrets,
    Cpuid,
    SvsmCaa,
    KernelHashes,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Section {
    pub(super) gpa: u32,
    pub(super) size: u32,
    pub(super) kind: SectionKind,
}

impl Section {
    pub(super) fn pages(&self) -> u32 {
        self.size / 4096
    }
}

/// An OVMF image.
#[derive(Clone, Debug)]
pub struct Firmware<'a> {
    data: &'a [u8],
    hash_table_gpa: Option<u32>,
    reset_eip: Option<u32>,
    sections: Vec<Section>,
}

impl<'a> Firmware<'a> {
    /// Reads an image's footer table and SEV metadata.
    ///
    /// # Errors
    /// [`Error::FirmwareLength`], [`Error::NoFooterTable`], [`Error::FooterTable`],
    /// [`Error::Metadata`], [`Error::SectionKind`], [`Error::SectionSize`].
    pub fn parse(data: &'a [u8]) -> Result<Self, Error> {
        if data.is_empty() || !data.len().is_multiple_of(PAGE) || data.len() > LEN_MAX {
            return Err(Error::FirmwareLength { len: data.len() });
        }
        let mut firmware =
            Self { data, hash_table_gpa: None, reset_eip: None, sections: Vec::new() };
        let end = data.len().saturating_sub(FOOTER_FROM_END);
        let (size, id) =
            entry(data.get(..end).ok_or(Error::NoFooterTable)?).ok_or(Error::NoFooterTable)?;
        if id != FOOTER {
            return Err(Error::NoFooterTable);
        }
        let end = end.saturating_sub(ENTRY_HEADER);
        let start = size
            .checked_sub(ENTRY_HEADER)
            .and_then(|table| end.checked_sub(table))
            .ok_or(Error::FooterTable)?;
        let mut table = data.get(start..end).ok_or(Error::FooterTable)?;
        while table.len() >= ENTRY_HEADER {
            let (size, id) = entry(table).ok_or(Error::FooterTable)?;
            let from = table.len().checked_sub(size).ok_or(Error::FooterTable)?;
            let body = table
                .get(from..table.len().saturating_sub(ENTRY_HEADER))
                .ok_or(Error::FooterTable)?;
            firmware.take_entry(id, body)?;
            table = table.get(..from).ok_or(Error::FooterTable)?;
        }
        Ok(firmware)
    }

    fn take_entry(&mut self, id: [u8; 16], body: &[u8]) -> Result<(), Error> {
        let value = || u32_at(body, 0).ok_or(Error::FooterTable);
        match id {
            HASH_TABLE => self.hash_table_gpa = Some(value()?).filter(|gpa| *gpa != 0),
            RESET_BLOCK => self.reset_eip = Some(value()?),
            METADATA => self.sections = self.read_sections(value()?)?,
            _ => {}
        }
        Ok(())
    }

    fn read_sections(&self, from_end: u32) -> Result<Vec<Section>, Error> {
        let start = usize::try_from(from_end)
            .ok()
            .and_then(|from_end| self.data.len().checked_sub(from_end))
            .ok_or(Error::Metadata)?;
        let header = self.data.get(start..).ok_or(Error::Metadata)?;
        let field = |index: usize| u32_at(header, index * 4).ok_or(Error::Metadata);
        let (size, version, count) = (field(1)?, field(2)?, field(3)?);
        if header.get(..4) != Some(b"ASEV") || version != 1 || count > SECTIONS_MAX {
            return Err(Error::Metadata);
        }
        if u64::from(size) < 16 + u64::from(count) * 12 {
            return Err(Error::Metadata);
        }
        (0..count as usize)
            .map(|i| {
                let (gpa, size, kind) = (field(4 + i * 3)?, field(5 + i * 3)?, field(6 + i * 3)?);
                let kind = match kind {
                    1 => SectionKind::Memory,
                    2 => SectionKind::Secrets,
                    3 => SectionKind::Cpuid,
                    4 => SectionKind::SvsmCaa,
                    0x10 => SectionKind::KernelHashes,
                    kind => return Err(Error::SectionKind { kind }),
                };
                // A section lies below the image, which ends at 4 GiB: a bound on the work, too.
                if !size.is_multiple_of(4096) || !gpa.is_multiple_of(4096) || size > 64 << 20 {
                    return Err(Error::SectionSize { gpa });
                }
                Ok(Section { gpa, size, kind })
            })
            .collect()
    }

    /// The launch digest after the image's own pages, which end at 4 GiB.
    pub fn digest(&self) -> [u8; 48] {
        let mut digest = LaunchDigest([0; 48]);
        let mut gpa = (1_u64 << 32).saturating_sub(self.data.len() as u64);
        for page in self.data.chunks(PAGE) {
            digest.normal(gpa, page);
            gpa = gpa.saturating_add(PAGE as u64);
        }
        digest.0
    }

    /// Where the second and later processors start.
    pub(super) fn reset_eip(&self) -> Option<u32> {
        self.reset_eip
    }

    /// Where the firmware looks for the kernel's hashes.
    pub(super) fn hash_table_gpa(&self) -> Option<u32> {
        self.hash_table_gpa
    }

    pub(super) fn sections(&self) -> &[Section] {
        &self.sections
    }
}

/// Length and GUID at the end of `bytes`.
fn entry(bytes: &[u8]) -> Option<(usize, [u8; 16])> {
    let (size, id) = bytes.last_chunk::<ENTRY_HEADER>()?.split_first_chunk::<2>()?;
    let size = usize::from(u16::from_le_bytes(*size));
    (size >= ENTRY_HEADER).then_some((size, id.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
}
