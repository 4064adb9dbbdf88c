//! Makes certificates, revocation lists and signatures for tests, byte by byte, so that a test can
//! also make what no tool would.

use der::asn1::ObjectIdentifier;
use p384::ecdsa::{SigningKey, signature::hazmat::PrehashSigner};
use rsa::{
    Pkcs1v15Sign, Pss, RsaPrivateKey,
    rand_core::{CryptoRng, Error, RngCore},
    traits::PublicKeyParts,
};
use sha2::{Digest, Sha256, Sha384};

pub const PSS_SHA384: &str = "1.2.840.113549.1.1.10";
pub const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub const KEY_USAGE: &str = "2.5.29.15";

pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        length @ 0..=0x7f => out.push(length as u8),
        length @ 0x80..=0xff => out.extend([0x81, length as u8]),
        length => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub fn oid(text: &str) -> Vec<u8> {
    tlv(6, ObjectIdentifier::new_unwrap(text).as_bytes())
}

/// A number that is not negative.
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let skipped = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let mut content = bytes[skipped..].to_vec();
    if content.first().is_none_or(|first| *first >= 0x80) {
        content.insert(0, 0);
    }
    tlv(2, &content)
}

pub fn bits(bytes: &[u8]) -> Vec<u8> {
    tlv(3, &[&[0], bytes].concat())
}

pub fn name(common_name: &str) -> Vec<u8> {
    let attribute = sequence(&[oid("2.5.4.3"), tlv(0x0c, common_name.as_bytes())]);
    sequence(&[tlv(0x31, &attribute)])
}

/// `YYMMDDHHMMSSZ`.
fn time(text: &str) -> Vec<u8> {
    tlv(0x17, text.as_bytes())
}

/// A fixed key, different for each number.
pub fn p384_key(number: u8) -> SigningKey {
    let scalar: [u8; 48] = Sha384::digest([b'k', number]).into();
    SigningKey::from_slice(&scalar).unwrap()
}

pub enum Key {
    P384(Box<SigningKey>),
    Rsa(Box<RsaPrivateKey>),
    /// Signs as AMD's keys do not.
    RsaPkcs1(Box<RsaPrivateKey>),
}

impl Key {
    pub fn p384(number: u8) -> Self {
        Self::P384(Box::new(p384_key(number)))
    }

    pub fn spki(&self) -> Vec<u8> {
        match self {
            Self::P384(key) => {
                let point = key.verifying_key().to_encoded_point(false);
                let algorithm = sequence(&[oid("1.2.840.10045.2.1"), oid("1.3.132.0.34")]);
                sequence(&[algorithm, bits(point.as_bytes())])
            }
            Self::Rsa(key) | Self::RsaPkcs1(key) => {
                let numbers = [integer(&key.n().to_bytes_be()), integer(&key.e().to_bytes_be())];
                let algorithm = sequence(&[oid("1.2.840.113549.1.1.1"), tlv(5, &[])]);
                sequence(&[algorithm, bits(&sequence(&numbers))])
            }
        }
    }

    pub fn spki_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.spki()).into()
    }

    fn algorithm(&self) -> Vec<u8> {
        match self {
            Self::P384(_) => sequence(&[oid("1.2.840.10045.4.3.3")]),
            Self::RsaPkcs1(_) => sequence(&[oid("1.2.840.113549.1.1.12"), tlv(5, &[])]),
            Self::Rsa(_) => {
                let sha384 = sequence(&[oid("2.16.840.1.101.3.4.2.2"), tlv(5, &[])]);
                let mask = sequence(&[oid("1.2.840.113549.1.1.8"), sha384.clone()]);
                let parameters = [
                    tlv(0xa0, &sha384),
                    tlv(0xa1, &mask),
                    tlv(0xa2, &integer(&[48])),
                    tlv(0xa3, &integer(&[1])),
                ];
                sequence(&[oid(PSS_SHA384), sequence(&parameters)])
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P384(key) => {
                let raw = p384_sign(key, message);
                sequence(&[integer(&raw[..48]), integer(&raw[48..])])
            }
            Self::RsaPkcs1(key) => {
                key.sign(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message)).unwrap()
            }
            Self::Rsa(key) => key
                .sign_with_rng(
                    &mut Salt(0),
                    Pss::new_with_salt::<Sha384>(48),
                    &Sha384::digest(message),
                )
                .unwrap(),
        }
    }

    fn signed(&self, tbs: Vec<u8>) -> Vec<u8> {
        let signature = bits(&self.sign(&tbs));
        sequence(&[tbs, self.algorithm(), signature])
    }
}

/// r and s, big-endian.
pub fn p384_sign(key: &SigningKey, message: &[u8]) -> [u8; 96] {
    let signature: p384::ecdsa::Signature = key.sign_prehash(&Sha384::digest(message)).unwrap();
    signature.to_bytes().as_slice().try_into().unwrap()
}

/// What goes into a certificate.
#[derive(Clone)]
pub struct Template {
    pub serial: Vec<u8>,
    pub issuer: Vec<u8>,
    pub subject: Vec<u8>,
    pub not_before: &'static str,
    pub not_after: &'static str,
    pub spki: Vec<u8>,
    /// Number, whether it is critical, content.
    pub extensions: Vec<(&'static str, bool, Vec<u8>)>,
}

impl Template {
    /// A certificate for `key`, valid from 2020 to 2040.
    pub fn new(subject: &str, issuer: &str, key: &Key) -> Self {
        Self {
            serial: vec![1],
            issuer: name(issuer),
            subject: name(subject),
            not_before: "200101000000Z",
            not_after: "400101000000Z",
            spki: key.spki(),
            extensions: Vec::new(),
        }
    }

    /// Makes it a CA's, for certificates and revocation lists.
    pub fn ca(mut self) -> Self {
        self.extensions.push((BASIC_CONSTRAINTS, true, sequence(&[tlv(1, &[0xff])])));
        self.extensions.push((KEY_USAGE, true, tlv(3, &[1, 0x06])));
        self
    }

    pub fn sign(&self, key: &Key) -> Vec<u8> {
        let extensions: Vec<_> = self
            .extensions
            .iter()
            .map(|(id, critical, value)| {
                let mut parts = vec![oid(id)];
                if *critical {
                    parts.push(tlv(1, &[0xff]));
                }
                parts.push(tlv(4, value));
                sequence(&parts)
            })
            .collect();
        let mut parts = vec![
            tlv(0xa0, &integer(&[2])),
            tlv(2, &self.serial),
            key.algorithm(),
            self.issuer.clone(),
            sequence(&[time(self.not_before), time(self.not_after)]),
            self.subject.clone(),
            self.spki.clone(),
        ];
        if !extensions.is_empty() {
            parts.push(tlv(0xa3, &sequence(&extensions)));
        }
        key.signed(sequence(&parts))
    }
}

/// A revocation list with these serial numbers.
pub fn crl(issuer: &str, key: &Key, from: &str, until: &str, revoked: &[&[u8]]) -> Vec<u8> {
    let entries: Vec<_> =
        revoked.iter().map(|serial| sequence(&[tlv(2, serial), time("240101000000Z")])).collect();
    let mut parts = vec![integer(&[1]), key.algorithm(), name(issuer), time(from), time(until)];
    if !entries.is_empty() {
        parts.push(sequence(&entries));
    }
    key.signed(sequence(&parts))
}

/// PEM of one block.
pub fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64(der))
}

pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let value = u32::from_be_bytes(padded);
        for digit in 0..4 {
            let index = (value >> (18 - 6 * digit)) & 63;
            let known = digit <= group.len();
            out.push(if known { char::from(DIGITS[index as usize]) } else { '=' });
        }
    }
    out
}

/// Numbers for tests: the same ones in each run.
pub struct Salt(pub u64);

impl RngCore for Salt {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        // SplitMix64 (Steele and others, 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(out);
        Ok(())
    }
}

impl CryptoRng for Salt {}
