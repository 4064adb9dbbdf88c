//! PEM (RFC 7468).

use super::{DER_BYTES_MAX, X509Error};
use alloc::vec::Vec;

/// Decodes all blocks with this label. Between the blocks only white space may stand, after them
/// also NUL bytes (Intel's quotes end their chain with one).
pub(crate) fn decode_all(
    text: &[u8],
    label: &str,
    blocks_max: usize,
) -> Result<Vec<Vec<u8>>, X509Error> {
    if text.len() > 2 * DER_BYTES_MAX {
        return Err(X509Error::TooLarge);
    }
    let mut blocks = Vec::new();
    let mut rest = skip_space(text);
    while rest.iter().any(|&byte| byte != 0) {
        if blocks.len() == blocks_max {
            return Err(X509Error::ChainLength);
        }
        let after_begin = line(rest, "-----BEGIN ", label)?;
        let end =
            after_begin.iter().position(|&byte| byte == b'-').ok_or(X509Error::MalformedPem)?;
        let (body, tail) = after_begin.split_at(end);
        blocks.push(base64(body)?);
        rest = skip_space(line(tail, "-----END ", label)?);
    }
    Ok(blocks)
}

/// What follows `prefix`, the label and five dashes.
fn line<'a>(text: &'a [u8], prefix: &str, label: &str) -> Result<&'a [u8], X509Error> {
    text.strip_prefix(prefix.as_bytes())
        .and_then(|rest| rest.strip_prefix(label.as_bytes()))
        .and_then(|rest| rest.strip_prefix(b"-----"))
        .ok_or(X509Error::MalformedPem)
}

fn skip_space(text: &[u8]) -> &[u8] {
    text.trim_ascii_start()
}

/// Decodes base64 (RFC 4648, 4) with padding; white space is skipped.
pub(crate) fn base64(text: &[u8]) -> Result<Vec<u8>, X509Error> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits = 0u32;
    let mut count = 0u8;
    let mut padding = 0u8;
    for &byte in text {
        let value = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'=' => {
                padding += 1;
                if padding > 2 {
                    return Err(X509Error::MalformedPem);
                }
                continue;
            }
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(X509Error::MalformedPem),
        };
        if padding > 0 {
            return Err(X509Error::MalformedPem);
        }
        bits = (bits << 6) | u32::from(value);
        count += 1;
        if count == 4 {
            let [_, a, b, c] = bits.to_be_bytes();
            out.extend_from_slice(&[a, b, c]);
            (bits, count) = (0, 0);
        }
    }
    // The bits that the last character has too many are zero.
    match (count, padding) {
        (0, 0) => {}
        (2, 2) if bits & 0xf == 0 => out.push((bits >> 4).to_be_bytes()[3]),
        (3, 1) if bits & 0x3 == 0 => {
            let [_, _, a, b] = (bits >> 2).to_be_bytes();
            out.extend_from_slice(&[a, b]);
        }
        _ => return Err(X509Error::MalformedPem),
    }
    Ok(out)
}
