//! Certificates (RFC 5280, 4).

use super::{
    CHAIN_LENGTH_MAX, DER_BYTES_MAX, X509Error,
    asn1::{self, Reader},
    pem, range_of, time,
};
use crate::{
    UnixSeconds,
    crypto::{PublicKey, SignatureAlgorithm},
};
use alloc::vec::Vec;
use core::ops::Range;
use der::asn1::ObjectIdentifier;
use sha2::{Digest, Sha256};

pub(super) const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
pub(super) const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");

/// Extensions that may be critical: those that are evaluated here, and those that say nothing about
/// whether the key may be trusted (key identifiers, where to find a revocation list, policies that
/// no vendor of TEEs tells apart, extended use for TLS and the like, TCG DICE's TcbInfo, which the
/// GPU's verifier reads).
const KNOWN_CRITICAL: [ObjectIdentifier; 8] = [
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    ObjectIdentifier::new_unwrap("2.5.29.14"),
    ObjectIdentifier::new_unwrap("2.5.29.31"),
    ObjectIdentifier::new_unwrap("2.5.29.32"),
    ObjectIdentifier::new_unwrap("2.5.29.35"),
    ObjectIdentifier::new_unwrap("2.5.29.37"),
    ObjectIdentifier::new_unwrap("2.23.133.5.4.1"),
];

/// Most extensions in one certificate or revocation list.
const EXTENSIONS_MAX: usize = 32;

/// Bits of KeyUsage (RFC 5280, 4.2.1.3), the first is the highest.
const KEY_CERT_SIGN: u16 = 0x8000 >> 5;
const CRL_SIGN: u16 = 0x8000 >> 6;

/// A parsed certificate; nothing is verified yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    der: Vec<u8>,
    tbs: Range<usize>,
    serial: Range<usize>,
    issuer: Range<usize>,
    subject: Range<usize>,
    spki: Range<usize>,
    signature: Range<usize>,
    signature_algorithm: Range<usize>,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
    extensions: Vec<Extension>,
    /// `Some` for a CA, with the number of CAs that may stand below it.
    ca: Option<Option<u64>>,
    key_usage: Option<u16>,
}

/// Where an extension's parts lie.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Extension {
    pub(super) oid: Range<usize>,
    pub(super) critical: bool,
    pub(super) value: Range<usize>,
}

impl Certificate {
    /// Reads one certificate; nothing may follow it.
    ///
    /// # Errors
    /// [`X509Error::TooLarge`], [`X509Error::Malformed`], [`X509Error::UnknownCriticalExtension`].
    pub fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        if der.len() > DER_BYTES_MAX {
            return Err(X509Error::TooLarge);
        }
        let mut outer = Reader::new(asn1::only(asn1::SEQUENCE, der)?);
        let tbs = outer.expect_element(asn1::SEQUENCE)?;
        let outer_algorithm = outer.expect_element(asn1::SEQUENCE)?.raw;
        let signature = outer.bit_string()?;
        outer.finish()?;

        let mut fields = Reader::new(tbs.content);
        // Version 3 is the number 2.
        if asn1::only(asn1::INTEGER, fields.expect(asn1::context(0))?)? != [2] {
            return Err(X509Error::Malformed);
        }
        let serial = fields.integer()?;
        if fields.expect_element(asn1::SEQUENCE)?.raw != outer_algorithm {
            return Err(X509Error::Malformed);
        }
        let issuer = fields.expect_element(asn1::SEQUENCE)?.raw;
        let mut validity = Reader::new(fields.expect(asn1::SEQUENCE)?);
        let not_before = time::read(&mut validity)?;
        let not_after = time::read(&mut validity)?;
        validity.finish()?;
        let subject = fields.expect_element(asn1::SEQUENCE)?.raw;
        let spki = fields.expect_element(asn1::SEQUENCE)?.raw;
        // Unique identifiers ([1], [2]) are not used by anybody.
        let extensions = match fields.optional(asn1::context(3))? {
            Some(list) => read_extensions(der, list)?,
            None => Vec::new(),
        };
        fields.finish()?;

        let mut certificate = Self {
            der: der.to_vec(),
            tbs: range_of(der, tbs.raw),
            serial: range_of(der, serial),
            issuer: range_of(der, issuer),
            subject: range_of(der, subject),
            spki: range_of(der, spki),
            signature: range_of(der, signature),
            signature_algorithm: range_of(der, outer_algorithm),
            not_before,
            not_after,
            extensions,
            ca: None,
            key_usage: None,
        };
        refuse_unknown_critical(&certificate.extensions, der, &KNOWN_CRITICAL)?;
        certificate.ca = certificate
            .extension(&BASIC_CONSTRAINTS)
            .map(read_basic_constraints)
            .transpose()?
            .flatten();
        certificate.key_usage =
            certificate.extension(&KEY_USAGE).map(read_key_usage).transpose()?;
        Ok(certificate)
    }

    /// Reads the `CERTIFICATE` blocks of a PEM text, at most [`CHAIN_LENGTH_MAX`].
    ///
    /// # Errors
    /// [`X509Error::MalformedPem`], [`X509Error::ChainLength`] also if there is none, and those of
    /// [`Self::from_der`].
    pub fn chain_from_pem(text: &[u8]) -> Result<Vec<Self>, X509Error> {
        let blocks = pem::decode_all(text, "CERTIFICATE", CHAIN_LENGTH_MAX)?;
        if blocks.is_empty() {
            return Err(X509Error::ChainLength);
        }
        blocks.iter().map(|der| Self::from_der(der)).collect()
    }

    /// Checks that `issuer` issued this: the names are the same bytes, the issuer is a CA whose key
    /// usage allows it, and the signature is its. Says nothing about times, nor about the number of
    /// CAs in between (see [`super::verify_chain`]).
    ///
    /// # Errors
    /// [`X509Error::WrongIssuer`], [`X509Error::IssuerNotAllowed`], [`X509Error::Crypto`].
    pub fn verify_issued_by(&self, issuer: &Self) -> Result<(), X509Error> {
        if self.issuer_der() != issuer.subject_der() {
            return Err(X509Error::WrongIssuer);
        }
        if issuer.ca.is_none() || !issuer.may(KEY_CERT_SIGN) {
            return Err(X509Error::IssuerNotAllowed);
        }
        self.verify_signature(&issuer.public_key()?)
    }

    /// Checks the signature alone.
    ///
    /// # Errors
    /// [`X509Error::Crypto`].
    pub fn verify_signature(&self, key: &PublicKey) -> Result<(), X509Error> {
        let algorithm =
            SignatureAlgorithm::from_identifier_der(self.slice(&self.signature_algorithm))?;
        Ok(key.verify(algorithm, self.slice(&self.tbs), self.slice(&self.signature))?)
    }

    /// Checks that `now` is within the validity, both ends included (RFC 5280, 4.1.2.5).
    ///
    /// # Errors
    /// [`X509Error::NotYetValid`], [`X509Error::Expired`].
    pub fn check_validity(&self, now: UnixSeconds) -> Result<(), X509Error> {
        if now < self.not_before {
            return Err(X509Error::NotYetValid);
        }
        if now > self.not_after {
            return Err(X509Error::Expired);
        }
        Ok(())
    }

    /// All of it, as received.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The serial number: the content of the INTEGER.
    pub fn serial(&self) -> &[u8] {
        self.slice(&self.serial)
    }

    /// The subject's name, in DER.
    pub fn subject_der(&self) -> &[u8] {
        self.slice(&self.subject)
    }

    /// The issuer's name, in DER.
    pub fn issuer_der(&self) -> &[u8] {
        self.slice(&self.issuer)
    }

    /// The common name (2.5.4.3) of the subject, if it has one in ASCII or UTF-8.
    pub fn subject_common_name(&self) -> Option<&str> {
        common_name(self.subject_der())
    }

    /// The SubjectPublicKeyInfo, in DER.
    pub fn spki_der(&self) -> &[u8] {
        self.slice(&self.spki)
    }

    /// SHA-256 of the SubjectPublicKeyInfo, by which roots are pinned.
    pub fn spki_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.spki_der()).into()
    }

    /// The public key.
    ///
    /// # Errors
    /// [`X509Error::Crypto`] if it is malformed or of a kind that is not known.
    pub fn public_key(&self) -> Result<PublicKey, X509Error> {
        Ok(PublicKey::from_spki_der(self.spki_der())?)
    }

    /// The content of an extension's OCTET STRING.
    pub fn extension(&self, oid: &ObjectIdentifier) -> Option<&[u8]> {
        self.extensions
            .iter()
            .find(|extension| self.slice(&extension.oid) == oid.as_bytes())
            .map(|extension| self.slice(&extension.value))
    }

    /// First second of validity.
    pub fn not_before(&self) -> UnixSeconds {
        self.not_before
    }

    /// Last second of validity.
    pub fn not_after(&self) -> UnixSeconds {
        self.not_after
    }

    /// Whether issuer and subject have the same name.
    pub fn is_self_issued(&self) -> bool {
        self.subject_der() == self.issuer_der()
    }

    /// Whether it says of itself that it is a CA.
    pub fn is_ca(&self) -> bool {
        self.ca.is_some()
    }

    /// Whether at most `below` CAs that are not self-issued may stand below this one.
    pub(super) fn allows_path_length(&self, below: u64) -> bool {
        match self.ca {
            Some(Some(path_length)) => below <= path_length,
            Some(None) => true,
            None => false,
        }
    }

    /// Whether it may sign revocation lists.
    pub(super) fn may_sign_crl(&self) -> bool {
        self.may(CRL_SIGN)
    }

    /// Where there is no KeyUsage, all is allowed (RFC 5280, 4.2.1.3).
    fn may(&self, usage: u16) -> bool {
        self.key_usage.is_none_or(|bits| bits & usage != 0)
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }
}

/// Reads `Extensions`, the content of the explicit tag; each may appear once.
pub(super) fn read_extensions(whole: &[u8], list: &[u8]) -> Result<Vec<Extension>, X509Error> {
    let mut list = Reader::new(asn1::only(asn1::SEQUENCE, list)?);
    let mut out: Vec<Extension> = Vec::new();
    while !list.is_empty() {
        let mut fields = Reader::new(list.expect(asn1::SEQUENCE)?);
        let oid = fields.expect(asn1::OID)?;
        let critical = match fields.optional(asn1::BOOLEAN)? {
            Some(value) => asn1::boolean(value)?,
            None => false,
        };
        let value = fields.expect(asn1::OCTET_STRING)?;
        fields.finish()?;
        let repeated = out.iter().any(|other| whole.get(other.oid.clone()) == Some(oid));
        if repeated || out.len() == EXTENSIONS_MAX {
            return Err(X509Error::Malformed);
        }
        out.push(Extension { oid: range_of(whole, oid), critical, value: range_of(whole, value) });
    }
    Ok(out)
}

pub(super) fn refuse_unknown_critical(
    extensions: &[Extension],
    whole: &[u8],
    known: &[ObjectIdentifier],
) -> Result<(), X509Error> {
    let unknown = extensions.iter().any(|extension| {
        extension.critical
            && !known.iter().any(|oid| whole.get(extension.oid.clone()) == Some(oid.as_bytes()))
    });
    if unknown { Err(X509Error::UnknownCriticalExtension) } else { Ok(()) }
}

fn read_basic_constraints(value: &[u8]) -> Result<Option<Option<u64>>, X509Error> {
    let mut fields = Reader::new(asn1::only(asn1::SEQUENCE, value)?);
    // FALSE is the default and thus not encoded, but some certificates have it nevertheless.
    let ca = match fields.optional(asn1::BOOLEAN)? {
        Some(value) => asn1::boolean(value)?,
        None => false,
    };
    let path_length = fields.optional(asn1::INTEGER)?.map(asn1::small).transpose()?;
    fields.finish()?;
    Ok(ca.then_some(path_length))
}

fn read_key_usage(value: &[u8]) -> Result<u16, X509Error> {
    match asn1::only(asn1::BIT_STRING, value)? {
        [unused @ 0..=7, bits @ ..] if bits.len() <= 2 && (*unused == 0 || !bits.is_empty()) => {
            let first = bits.first().copied().unwrap_or_default();
            let second = bits.get(1).copied().unwrap_or_default();
            Ok(u16::from_be_bytes([first, second]))
        }
        _ => Err(X509Error::Malformed),
    }
}

/// Finds the first common name in a Name.
fn common_name(name: &[u8]) -> Option<&str> {
    const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
    const SET: u8 = 0x31;
    let mut sets = Reader::new(asn1::only(asn1::SEQUENCE, name).ok()?);
    while !sets.is_empty() {
        let mut set = Reader::new(sets.expect(SET).ok()?);
        let mut attribute = Reader::new(set.expect(asn1::SEQUENCE).ok()?);
        if attribute.expect(asn1::OID).ok()? == COMMON_NAME.as_bytes() {
            return core::str::from_utf8(attribute.element().ok()?.content).ok();
        }
    }
    None
}
