//! Certificates and revocation lists (RFC 5280), shaped like the vendors'.

use crate::{Error, calendar::Civil, der, keys::Key};
use sha2::{Digest, Sha256};

/// Most seconds that a verifier's clock may be behind ours: a chain's clock is that of its last
/// block. Everything is dated back by this.
pub(crate) const BACKDATE: u64 = 3_600;

/// Attribute types of names.
pub(crate) mod attribute {
    pub(crate) const COMMON_NAME: u32 = 3;
    pub(crate) const ORGANIZATION: u32 = 10;
    pub(crate) const ORGANIZATIONAL_UNIT: u32 = 11;
}

/// DER of a distinguished name.
pub(crate) fn name(attributes: &[(u32, &str)]) -> Vec<u8> {
    let parts: Vec<_> = attributes
        .iter()
        .map(|&(kind, text)| {
            der::set(&der::sequence(&[der::oid(&[2, 5, 4, kind]), der::utf8(text)]))
        })
        .collect();
    der::sequence(&parts)
}

/// First and last second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Period {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Period {
    fn der(self) -> Vec<u8> {
        der::sequence(&[time(self.from), time(self.to)])
    }
}

fn time(seconds: u64) -> Vec<u8> {
    let (tag, text) = Civil::from_unix(seconds).x509();
    der::tagged(tag, text.as_bytes())
}

/// What a certificate's key may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Sign certificates (and revocation lists), with at most so many authorities below.
    Authority { path_length: Option<u8>, signs_crls: bool },
    /// Sign other things.
    Leaf,
    /// Sign other things, without saying so: AMD's chip certificates have no standard extension.
    BareLeaf,
}

/// Who signs.
pub(crate) struct Issuer<'a> {
    pub(crate) key: &'a Key,
    pub(crate) name: &'a [u8],
}

/// All of a certificate but its signature.
pub(crate) struct Certificate<'a> {
    /// Big-endian.
    pub(crate) serial: &'a [u8],
    pub(crate) subject: &'a [u8],
    pub(crate) spki: &'a [u8],
    pub(crate) period: Period,
    pub(crate) role: Role,
    /// DER of further extensions.
    pub(crate) extensions: Vec<Vec<u8>>,
}

/// DER of an extension.
pub(crate) fn extension(arcs: &[u32], critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![der::oid(arcs)];
    if critical {
        parts.push(der::boolean(true));
    }
    parts.push(der::octets(value));
    der::sequence(&parts)
}

/// First 20 bytes of a key's digest (RFC 7093, 2, method 1, in spirit).
fn key_id(spki: &[u8]) -> Vec<u8> {
    Sha256::digest(spki).into_iter().take(20).collect()
}

fn authority_key_id(issuer: &Issuer<'_>) -> Vec<u8> {
    let id = der::implicit(0, &key_id(&issuer.key.spki()));
    extension(&[2, 5, 29, 35], false, &der::sequence(&[id]))
}

impl Certificate<'_> {
    /// DER of the signed certificate.
    pub(crate) fn sign(&self, issuer: &Issuer<'_>) -> Result<Vec<u8>, Error> {
        let mut extensions = Vec::new();
        if self.role != Role::BareLeaf {
            extensions.push(authority_key_id(issuer));
            extensions.push(extension(&[2, 5, 29, 14], false, &der::octets(&key_id(self.spki))));
            let (usage, constraints) = match self.role {
                Role::Authority { path_length, signs_crls } => {
                    let mut constraints = vec![der::boolean(true)];
                    constraints.extend(path_length.map(|length| der::integer(length.into())));
                    // Bits keyCertSign (5) and cRLSign (6).
                    (if signs_crls { [1, 0x06] } else { [2, 0x04] }, constraints)
                }
                // Bits digitalSignature (0) and nonRepudiation (1).
                Role::Leaf | Role::BareLeaf => ([6, 0xc0], vec![]),
            };
            extensions.push(extension(&[2, 5, 29, 15], true, &der::tagged(0x03, &usage)));
            extensions.push(extension(&[2, 5, 29, 19], true, &der::sequence(&constraints)));
        }
        extensions.extend(self.extensions.iter().cloned());
        signed(
            issuer,
            &[
                der::explicit(0, &der::integer(2)),
                der::unsigned(self.serial),
                issuer.key.signature_algorithm(),
                issuer.name.to_vec(),
                self.period.der(),
                self.subject.to_vec(),
                self.spki.to_vec(),
                der::explicit(3, &der::sequence(&extensions)),
            ],
        )
    }
}

/// The serial number of a certificate that this program made: it comes after the headers of the
/// certificate and of its body, each of four bytes because all of them are longer than 255, and the
/// version.
pub(crate) fn serial_of(certificate: &[u8]) -> Option<&[u8]> {
    match certificate.get(13..)? {
        [0x02, length, rest @ ..] => rest.get(..usize::from(*length)),
        _ => None,
    }
}

/// DER of a signed revocation list over these serial numbers.
pub(crate) fn crl(
    issuer: &Issuer<'_>,
    period: Period,
    revoked: &[&[u8]],
) -> Result<Vec<u8>, Error> {
    // Reason: key compromise.
    let reason = extension(&[2, 5, 29, 21], false, &der::enumerated(1));
    let entries: Vec<_> = revoked
        .iter()
        .map(|serial| {
            der::sequence(&[
                der::unsigned(serial),
                time(period.from),
                der::sequence(std::slice::from_ref(&reason)),
            ])
        })
        .collect();
    // The time as the list's number: it only ever grows.
    let number = extension(&[2, 5, 29, 20], false, &der::integer(period.from));
    let mut parts = vec![
        der::integer(1),
        issuer.key.signature_algorithm(),
        issuer.name.to_vec(),
        time(period.from),
        time(period.to),
    ];
    if !entries.is_empty() {
        // RFC 5280, 5.1.2.6: absent where nothing is revoked.
        parts.push(der::sequence(&entries));
    }
    parts.push(der::explicit(0, &der::sequence(&[number, authority_key_id(issuer)])));
    signed(issuer, &parts)
}

fn signed(issuer: &Issuer<'_>, parts: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    let body = der::sequence(parts);
    let signature = der::bits(&issuer.key.sign(&body)?);
    Ok(der::sequence(&[body, issuer.key.signature_algorithm(), signature]))
}

/// PEM of a certificate.
pub(crate) fn pem(der: &[u8]) -> String {
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in base64(der).as_bytes().chunks(64) {
        out.extend(line.iter().map(|&byte| char::from(byte)));
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

/// Base64 with padding (RFC 4648, 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let part = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let word = part(0) << 16 | part(1) << 8 | part(2);
        for digit in 0..4 {
            if digit <= chunk.len() {
                out.push(char::from(DIGITS[(word >> (18 - 6 * digit) & 63) as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_rfc_4648() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }
}
