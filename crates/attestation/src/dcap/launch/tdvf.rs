//! MRTD of a TD that starts with a given firmware.

use super::LaunchError;
use sha2::{Digest, Sha384};

const PAGE_BYTES: usize = 4_096;
const CHUNK_BYTES: usize = 256;

/// `96b582de-1fb2-45f7-baea-a366c55a082d`: ends the table of pointers at the firmware's end.
const TABLE_FOOTER: [u8; 16] = [
    0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d,
];
/// `e47a6535-984a-4798-865e-4685a7bf8ec2`: the entry that says where the metadata are.
const METADATA_ENTRY: [u8; 16] = [
    0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47, 0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2,
];
/// Behind the table stand the processor's first instructions.
const AFTER_TABLE: usize = 32;
/// Length and identifier of an entry.
const ENTRY_BYTES: usize = 18;

/// Attribute: the content is measured, too.
const MR_EXTEND: u32 = 1;
/// Attribute: the pages are given to the TD later, unmeasured.
const PAGE_AUG: u32 = 2;

/// OVMF has about ten sections.
const SECTIONS_MAX: u32 = 64;
/// Most memory in all sections, in pages (1 GiB). OVMF has a few MiB.
const PAGES_MAX: usize = 1 << 18;

/// In which order the host adds and measures pages; it changes MRTD.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PageOrder {
    /// Each page is measured when it is added (Linux's KVM).
    PageByPage,
    /// All pages of a section are added, then all are measured (Intel's kernels before TDX was in
    /// Linux).
    SectionBySection,
}

/// Computes MRTD: SHA-384 over what the TDX module hashes for each page that the firmware's metadata
/// name (`TDH.MEM.PAGE.ADD`, `TDH.MR.EXTEND`).
///
/// # Errors
/// [`LaunchError::NoMetadata`], [`LaunchError::MalformedMetadata`],
/// [`LaunchError::MalformedSection`], [`LaunchError::TooLarge`].
pub fn mr_td(firmware: &[u8], order: PageOrder) -> Result<[u8; 48], LaunchError> {
    let metadata = find_metadata(firmware).ok_or(LaunchError::NoMetadata)?;
    let sections = read_sections(metadata)?;
    let mut hash = Sha384::new();
    let mut pages_left = PAGES_MAX;
    for (index, bytes) in sections.iter().enumerate() {
        let section =
            Section::parse(bytes, firmware).ok_or(LaunchError::MalformedSection(index))?;
        if section.attributes & PAGE_AUG != 0 {
            continue;
        }
        pages_left = pages_left.checked_sub(section.pages).ok_or(LaunchError::TooLarge)?;
        let extend = section.attributes & MR_EXTEND != 0;
        for page in 0..section.pages {
            add_page(&mut hash, section.address_of(page));
            if extend && order == PageOrder::PageByPage {
                section.extend_page(&mut hash, page);
            }
        }
        if extend && order == PageOrder::SectionBySection {
            for page in 0..section.pages {
                section.extend_page(&mut hash, page);
            }
        }
    }
    Ok(hash.finalize().into())
}

struct Section<'a> {
    content: &'a [u8],
    address: u64,
    pages: usize,
    attributes: u32,
}

impl<'a> Section<'a> {
    fn parse(bytes: &[u8; 32], firmware: &'a [u8]) -> Option<Self> {
        let data_offset = usize::try_from(word(bytes, 0)?).ok()?;
        let data_bytes = usize::try_from(word(bytes, 4)?).ok()?;
        let address = long(bytes, 8)?;
        let memory_bytes = usize::try_from(long(bytes, 16)?).ok()?;
        let content = firmware.get(data_offset..data_offset.checked_add(data_bytes)?)?;
        let end = address.checked_add(long(bytes, 16)?);
        let whole_pages = memory_bytes.is_multiple_of(PAGE_BYTES)
            && address.is_multiple_of(PAGE_BYTES as u64)
            && data_bytes <= memory_bytes
            && end.is_some();
        whole_pages.then_some(Self {
            content,
            address,
            pages: memory_bytes / PAGE_BYTES,
            attributes: word(bytes, 28)?,
        })
    }

    fn address_of(&self, page: usize) -> u64 {
        self.address + (page * PAGE_BYTES) as u64
    }

    /// Memory behind the content is zero.
    fn extend_page(&self, hash: &mut Sha384, page: usize) {
        for chunk in 0..PAGE_BYTES / CHUNK_BYTES {
            let offset = page * PAGE_BYTES + chunk * CHUNK_BYTES;
            let mut header = [0; 128];
            header[..9].copy_from_slice(b"MR.EXTEND");
            header[16..24].copy_from_slice(&(self.address + offset as u64).to_le_bytes());
            let mut bytes = [0; CHUNK_BYTES];
            let content = self.content.get(offset..).unwrap_or_default();
            for (byte, value) in bytes.iter_mut().zip(content) {
                *byte = *value;
            }
            hash.update(header);
            hash.update(bytes);
        }
    }
}

fn add_page(hash: &mut Sha384, address: u64) {
    let mut header = [0; 128];
    header[..12].copy_from_slice(b"MEM.PAGE.ADD");
    header[16..24].copy_from_slice(&address.to_le_bytes());
    hash.update(header);
}

/// Looks for the metadata by the table of pointers, read from its end to its beginning.
fn find_metadata(firmware: &[u8]) -> Option<&[u8]> {
    let table_end = firmware.len().checked_sub(AFTER_TABLE)?;
    let (mut table, footer) =
        firmware.get(..table_end)?.split_at_checked(table_end - ENTRY_BYTES)?;
    let (footer_bytes, footer_id) = footer.split_at_checked(2)?;
    if footer_id != TABLE_FOOTER {
        return None;
    }
    let table_bytes = usize::from(u16::from_le_bytes(footer_bytes.try_into().ok()?));
    let start = table.len().checked_sub(table_bytes.checked_sub(ENTRY_BYTES)?)?;
    table = table.get(start..)?;
    while let Some((rest, id)) = table.split_last_chunk::<16>() {
        let (rest, bytes) = rest.split_last_chunk::<2>()?;
        let data_bytes = usize::from(u16::from_le_bytes(*bytes)).checked_sub(ENTRY_BYTES)?;
        let (rest, data) = rest.split_at_checked(rest.len().checked_sub(data_bytes)?)?;
        if *id == METADATA_ENTRY {
            let from_end = usize::try_from(u32::from_le_bytes(data.try_into().ok()?)).ok()?;
            return firmware.get(firmware.len().checked_sub(from_end)?..);
        }
        table = rest;
    }
    None
}

fn read_sections(metadata: &[u8]) -> Result<&[[u8; 32]], LaunchError> {
    const HEADER_BYTES: usize = 16;
    const VERSION: u32 = 1;
    let malformed = LaunchError::MalformedMetadata;
    let (header, rest) = metadata.split_at_checked(HEADER_BYTES).ok_or(malformed)?;
    let count = word(header, 12).filter(|&count| count <= SECTIONS_MAX).ok_or(malformed)?;
    if !header.starts_with(b"TDVF") || word(header, 8) != Some(VERSION) {
        return Err(malformed);
    }
    let count = usize::try_from(count).map_err(|_| malformed)?;
    rest.as_chunks::<32>().0.get(..count).ok_or(malformed)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}
