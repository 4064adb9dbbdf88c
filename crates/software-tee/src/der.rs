//! Writes DER (X.690), as much of it as certificates and revocation lists need.
//!
//! The vendors' certificates have things that certificate builders do not make (bare octets in an
//! extension, version numbers in UTF-8), and tests need wrong ones too.

/// A value of `tag` around `content`.
pub(crate) fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.extend(length.to_be_bytes().last());
    } else {
        let bytes = length.to_be_bytes();
        let short: Vec<u8> = bytes.into_iter().skip_while(|&byte| byte == 0).collect();
        out.extend((0x80 | short.len()).to_be_bytes().last());
        out.extend(short);
    }
    out.extend_from_slice(content);
    out
}

/// SEQUENCE.
pub(crate) fn sequence<T: AsRef<[u8]>>(parts: &[T]) -> Vec<u8> {
    tagged(0x30, &concat(parts))
}

/// SET of one.
pub(crate) fn set(part: &[u8]) -> Vec<u8> {
    tagged(0x31, part)
}

/// Context-specific and constructed: EXPLICIT, or IMPLICIT of something constructed.
pub(crate) fn explicit(number: u8, content: &[u8]) -> Vec<u8> {
    tagged(0xa0 | number, content)
}

/// Context-specific and primitive: IMPLICIT of something primitive.
pub(crate) fn implicit(number: u8, content: &[u8]) -> Vec<u8> {
    tagged(0x80 | number, content)
}

/// INTEGER, from an unsigned big-endian number.
pub(crate) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let mut content: Vec<u8> = bytes.iter().copied().skip_while(|&byte| byte == 0).collect();
    if content.first().is_none_or(|&first| first & 0x80 != 0) {
        content.insert(0, 0);
    }
    tagged(0x02, &content)
}

/// INTEGER of a small number.
pub(crate) fn integer(number: u64) -> Vec<u8> {
    unsigned(&number.to_be_bytes())
}

/// ENUMERATED.
pub(crate) fn enumerated(number: u8) -> Vec<u8> {
    tagged(0x0a, &[number])
}

/// BOOLEAN.
pub(crate) fn boolean(value: bool) -> Vec<u8> {
    tagged(0x01, &[if value { 0xff } else { 0 }])
}

/// NULL.
pub(crate) fn null() -> Vec<u8> {
    tagged(0x05, &[])
}

/// OCTET STRING.
pub(crate) fn octets(bytes: &[u8]) -> Vec<u8> {
    tagged(0x04, bytes)
}

/// BIT STRING of whole bytes.
pub(crate) fn bits(bytes: &[u8]) -> Vec<u8> {
    tagged(0x03, &concat(&[&[0], bytes]))
}

/// UTF8String.
pub(crate) fn utf8(text: &str) -> Vec<u8> {
    tagged(0x0c, text.as_bytes())
}

/// OBJECT IDENTIFIER.
pub(crate) fn oid(arcs: &[u32]) -> Vec<u8> {
    let (first, second) = (arcs.first().copied().unwrap_or(0), arcs.get(1).copied().unwrap_or(0));
    let mut content = Vec::new();
    for arc in [first * 40 + second].into_iter().chain(arcs.iter().skip(2).copied()) {
        let mut shift = (31 - (arc | 1).leading_zeros()) / 7 * 7;
        loop {
            let group = (arc >> shift & 0x7f).to_be_bytes()[3];
            content.push(if shift == 0 { group } else { group | 0x80 });
            if shift == 0 {
                break;
            }
            shift -= 7;
        }
    }
    tagged(0x06, &content)
}

/// One after the other.
pub(crate) fn concat<T: AsRef<[u8]>>(parts: &[T]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.as_ref().iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_minimal() {
        assert_eq!(integer(0), [2, 1, 0]);
        assert_eq!(integer(127), [2, 1, 127]);
        assert_eq!(integer(128), [2, 2, 0, 128]);
        assert_eq!(integer(65536), [2, 3, 1, 0, 0]);
        assert_eq!(unsigned(&[0, 0, 0xff]), [2, 2, 0, 0xff]);
    }

    #[test]
    fn lengths_are_minimal() {
        assert_eq!(octets(&[0; 127]).get(..2), Some(&[4, 127][..]));
        assert_eq!(octets(&[0; 128]).get(..3), Some(&[4, 0x81, 128][..]));
        assert_eq!(octets(&[0; 256]).get(..4), Some(&[4, 0x82, 1, 0][..]));
    }

    #[test]
    fn object_identifiers_are_as_in_real_certificates() {
        // Seen in Intel's and AMD's certificates.
        let sgx = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01];
        assert_eq!(oid(&[1, 2, 840, 113741, 1, 13, 1]), sgx);
        let amd = [0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01, 0x04];
        assert_eq!(oid(&[1, 3, 6, 1, 4, 1, 3704, 1, 4]), amd);
        assert_eq!(oid(&[2, 5, 29, 19]), [6, 3, 0x55, 0x1d, 0x13]);
    }
}
