//! MRENCLAVE of an enclave in SGXS form.

use super::LaunchError;
use sha2::{Digest, Sha256};

const HEADER_BYTES: usize = 64;
const CHUNK_BYTES: usize = 256;
const PAGE_MASK: u64 = 0xfff;

/// Computes MRENCLAVE of an SGXS stream, the form in which enclaves are kept before they are signed
/// (Fortanix EDP `.sgxs`; Gramine and the Intel SDK can write it).
///
/// The records of the stream are what the processor hashes for `ECREATE`, `EADD` and `EEXTEND`, in
/// that form; chunks that are loaded without being measured are left out. The order is checked, so
/// that a stream which no processor could load has no measurement.
///
/// # Errors
/// [`LaunchError::TruncatedStream`], [`LaunchError::UnexpectedRecord`], [`LaunchError::Unsized`].
pub fn mr_enclave(sgxs: &[u8]) -> Result<[u8; 32], LaunchError> {
    let mut hash = Sha256::new();
    let mut rest = sgxs;
    let mut size = None;
    let mut page = None;
    // Bits of the page's 16 chunks that have come already.
    let mut chunks = 0u32;
    while !rest.is_empty() {
        let at = sgxs.len() - rest.len();
        let truncated = LaunchError::TruncatedStream(at);
        let unexpected = LaunchError::UnexpectedRecord(at);
        let (header, after) = rest.split_first_chunk::<HEADER_BYTES>().ok_or(truncated)?;
        rest = after;
        let [tag, first, second, ..] = words(header);
        match &tag.to_le_bytes() {
            b"ECREATE\0" if size.is_none() => {
                // SSA frame size (4 bytes), then the enclave's size (8), not aligned.
                let bytes = (first >> 32) | (second << 32);
                if !bytes.is_power_of_two() {
                    return Err(unexpected);
                }
                size = Some(bytes);
                hash.update(header);
            }
            b"UNSIZED\0" if size.is_none() => return Err(LaunchError::Unsized),
            b"EADD\0\0\0\0" => {
                let fits = size.is_some_and(|size| first < size) && first & PAGE_MASK == 0;
                if !fits || page.is_some_and(|last| first <= last) {
                    return Err(unexpected);
                }
                page = Some(first);
                chunks = 0;
                hash.update(header);
            }
            tag @ (b"EEXTEND\0" | b"UNMEASRD") => {
                let (chunk, after) = rest.split_first_chunk::<CHUNK_BYTES>().ok_or(truncated)?;
                rest = after;
                let on_page = page == Some(first & !PAGE_MASK) && first & 0xff == 0;
                let bit = 1 << ((first & PAGE_MASK) >> 8);
                if !on_page || chunks & bit != 0 {
                    return Err(unexpected);
                }
                chunks |= bit;
                if tag == b"EEXTEND\0" {
                    hash.update(header);
                    hash.update(chunk);
                }
            }
            _ => return Err(unexpected),
        }
    }
    if size.is_none() {
        return Err(LaunchError::TruncatedStream(0));
    }
    Ok(hash.finalize().into())
}

/// The header as little endian words.
fn words(header: &[u8; HEADER_BYTES]) -> [u64; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(header.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}
