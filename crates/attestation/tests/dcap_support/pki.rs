//! Makes certificates and revocation lists, valid ones and others.

use super::der::{bit_string, integer, oid, sequence, time, tlv};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};

/// A P-256 key made of a number.
#[derive(Clone)]
pub(crate) struct Key(SigningKey);

impl Key {
    pub(crate) fn new(number: u8) -> Self {
        Self(SigningKey::from_slice(&[number; 32]).expect("a key"))
    }

    /// `x || y`.
    pub(crate) fn raw(&self) -> [u8; 64] {
        self.0.verifying_key().to_encoded_point(false).as_bytes()[1..].try_into().expect("64 bytes")
    }

    /// `r || s`.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.0.sign(message);
        signature.to_bytes().into()
    }

    fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.0.sign(message);
        signature.to_der().as_bytes().to_vec()
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        let algorithm = sequence(&[oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")]);
        sequence(&[algorithm, bit_string(&[&[4], &self.raw()[..]].concat())])
    }
}

/// A certificate to be made.
#[derive(Clone)]
pub(crate) struct Cert {
    pub(crate) serial: u64,
    pub(crate) issuer: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    pub(crate) key: Key,
    pub(crate) signer: Key,
    /// Path length for a CA.
    pub(crate) ca: Option<u64>,
    /// Instead of a P-256 key.
    pub(crate) spki: Option<Vec<u8>>,
    /// Identifier, critical, value.
    pub(crate) extensions: Vec<(&'static str, bool, Vec<u8>)>,
}

impl Cert {
    pub(crate) fn der(&self) -> Vec<u8> {
        let mut extensions = vec![];
        // Bits 5 and 6 are for certificates and revocation lists, bit 0 for all else.
        let usage: &[u8] = if self.ca.is_some() { &[1, 0x06] } else { &[7, 0x80] };
        extensions.push(extension("2.5.29.15", true, &tlv(0x03, usage)));
        let constraints = match self.ca {
            Some(path) => sequence(&[tlv(0x01, [0xff]), integer(path)]),
            None => sequence(&[]),
        };
        extensions.push(extension("2.5.29.19", true, &constraints));
        for (identifier, critical, value) in &self.extensions {
            extensions.push(extension(identifier, *critical, value));
        }
        let tbs = sequence(&[
            tlv(0xa0, integer(2)),
            integer(self.serial),
            ecdsa_sha256(),
            name(self.issuer),
            sequence(&[time(self.not_before), time(self.not_after)]),
            name(self.subject),
            self.spki.clone().unwrap_or_else(|| self.key.spki()),
            tlv(0xa3, sequence(&extensions)),
        ]);
        signed(tbs, &self.signer)
    }
}

/// A revocation list to be made.
#[derive(Clone)]
pub(crate) struct List {
    pub(crate) issuer: &'static str,
    pub(crate) signer: Key,
    pub(crate) this_update: u64,
    pub(crate) next_update: Option<u64>,
    pub(crate) revoked: Vec<u64>,
    pub(crate) extensions: Vec<(&'static str, bool, Vec<u8>)>,
}

impl List {
    pub(crate) fn der(&self) -> Vec<u8> {
        let mut parts = vec![integer(1), ecdsa_sha256(), name(self.issuer), time(self.this_update)];
        parts.extend(self.next_update.map(time));
        if !self.revoked.is_empty() {
            let entries: Vec<_> = self
                .revoked
                .iter()
                .map(|&serial| sequence(&[integer(serial), time(self.this_update)]))
                .collect();
            parts.push(sequence(&entries));
        }
        let extensions: Vec<_> = self
            .extensions
            .iter()
            .map(|(identifier, critical, value)| extension(identifier, *critical, value))
            .collect();
        if !extensions.is_empty() {
            parts.push(tlv(0xa0, sequence(&extensions)));
        }
        signed(sequence(&parts), &self.signer)
    }
}

fn signed(tbs: Vec<u8>, signer: &Key) -> Vec<u8> {
    let signature = bit_string(&signer.sign_der(&tbs));
    sequence(&[tbs, ecdsa_sha256(), signature])
}

fn ecdsa_sha256() -> Vec<u8> {
    sequence(&[oid("1.2.840.10045.4.3.2")])
}

fn name(common_name: &str) -> Vec<u8> {
    sequence(&[tlv(0x31, sequence(&[oid("2.5.4.3"), tlv(0x0c, common_name)]))])
}

fn extension(identifier: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(identifier)];
    if critical {
        parts.push(tlv(0x01, [0xff]));
    }
    parts.push(tlv(0x04, value));
    sequence(&parts)
}
