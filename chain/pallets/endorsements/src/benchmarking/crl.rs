//! Revocation lists of the largest size.

use alloc::vec::Vec;

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// An entry as Intel's lists have it: a serial number of twenty bytes, when, and why (RFC 5280,
/// 5.3.1). Bytes 7 and 8, within the number, are other ones in each entry.
const ENTRY: [u8; 53] = *b"\x30\x33\
    \x02\x14\x7f\xca\x5e\0\0casemate listed\
    \x17\x0d250101000000Z\
    \x30\x0c\x30\x0a\x06\x03\x55\x1d\x15\x04\x03\x0a\x01\x01";

/// The list in `template` with so many entries that it has almost `bytes` bytes. Its signature stays,
/// and is wrong from now on.
///
/// `None` if the template is no revocation list.
pub fn full_size(template: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let (_, list, _) = take(template)?;
    let (_, body, rest) = take(list)?;
    // Version, algorithm, issuer and two times; then the entries, if there are some.
    let (mut fields, mut after) = (Vec::new(), body);
    for _ in 0..5 {
        let (field, _, next) = take(after)?;
        fields.extend_from_slice(field);
        after = next;
    }
    if after.first() == Some(&SEQUENCE) {
        (_, _, after) = take(after)?;
    }
    // Sixteen for lengths that take more bytes than they did.
    let room = bytes.checked_sub(fields.len() + after.len() + rest.len() + 16)?;
    let entries: Vec<u8> = (0..u16::try_from(room / ENTRY.len()).ok()?)
        .flat_map(|number| {
            let mut entry = ENTRY;
            entry[7..9].copy_from_slice(&number.to_be_bytes());
            entry
        })
        .collect();
    let body = element(SEQUENCE, &[&fields, &element(SEQUENCE, &[&entries]), after]);
    Some(element(SEQUENCE, &[&body, rest]))
}

/// What a list's signature is over.
pub fn signed_part(crl: &[u8]) -> Option<&[u8]> {
    let (body, _, _) = take(take(crl)?.1)?;
    Some(body)
}

/// The list with another signature.
pub fn with_signature(crl: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
    let (_, list, _) = take(crl)?;
    let (body, _, rest) = take(list)?;
    let (algorithm, _, _) = take(rest)?;
    Some(element(SEQUENCE, &[body, algorithm, &element(BIT_STRING, &[&[0], signature])]))
}

/// The first element, its content, and what follows it.
fn take(der: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&first, after) = der.get(1..)?.split_first()?;
    let digits = if first < 0x80 { 0 } else { usize::from(first & 0x7f) };
    let length = match digits {
        0 => usize::from(first),
        _ => after.get(..digits)?.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)),
    };
    let header = 2 + digits;
    let content = der.get(header..)?.get(..length)?;
    let (whole, rest) = der.split_at(header + length);
    Some((whole, content, rest))
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [.., high, low] = content.len().to_be_bytes();
    let mut out = match (high, low) {
        (0, 0..=0x7f) => alloc::vec![tag, low],
        (0, _) => alloc::vec![tag, 0x81, low],
        _ => alloc::vec![tag, 0x82, high, low],
    };
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_attestation::x509::Crl;

    #[test]
    fn lists_grow_to_the_largest_size_and_keep_the_rest() {
        for template in [crate::benchmarking::intel().pck_crl, crate::benchmarking::amd().crl] {
            let small = Crl::from_der(&template).expect("a list");
            let large = full_size(&template, 65_536).expect("a list");
            assert!((65_400..=65_536).contains(&large.len()), "{}", large.len());
            let read = Crl::from_der(&large).expect("a list still");
            assert_eq!(read.this_update(), small.this_update());
            assert_eq!(read.next_update(), small.next_update());
            assert!(read.revoked_serials().count() > 1_200);
            let serials: std::collections::BTreeSet<_> = read.revoked_serials().collect();
            assert_eq!(serials.len(), read.revoked_serials().count());
            let again = with_signature(&large, b"signature").expect("a list");
            assert_eq!(signed_part(&again), signed_part(&large));
        }
    }
}
