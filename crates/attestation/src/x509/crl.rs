//! Revocation lists (RFC 5280, 5).

use super::{
    Certificate, DER_BYTES_MAX, X509Error,
    asn1::{self, Reader},
    certificate::{read_extensions, refuse_unknown_critical},
    range_of, time,
};
use crate::{UnixSeconds, crypto::SignatureAlgorithm};
use alloc::vec::Vec;
use core::ops::Range;
use der::asn1::ObjectIdentifier;

/// Extensions of a list that may be critical. Not among them: those of partial and indirect lists,
/// which must not be taken for whole ones.
const KNOWN_CRITICAL: [ObjectIdentifier; 2] =
    [ObjectIdentifier::new_unwrap("2.5.29.20"), ObjectIdentifier::new_unwrap("2.5.29.35")];

/// Reasons say nothing about whether, only why.
const KNOWN_CRITICAL_ENTRY: [ObjectIdentifier; 2] =
    [ObjectIdentifier::new_unwrap("2.5.29.21"), ObjectIdentifier::new_unwrap("2.5.29.24")];

/// A parsed revocation list; nothing is verified yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Crl {
    der: Vec<u8>,
    tbs: Range<usize>,
    issuer: Range<usize>,
    signature: Range<usize>,
    signature_algorithm: Range<usize>,
    this_update: UnixSeconds,
    next_update: Option<UnixSeconds>,
    revoked: Vec<Range<usize>>,
}

impl Crl {
    /// Reads one list; nothing may follow it.
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
        // Version 2 is the number 1; version 1 has none.
        if fields.optional(asn1::INTEGER)?.is_some_and(|version| version != [1]) {
            return Err(X509Error::Malformed);
        }
        if fields.expect_element(asn1::SEQUENCE)?.raw != outer_algorithm {
            return Err(X509Error::Malformed);
        }
        let issuer = fields.expect_element(asn1::SEQUENCE)?.raw;
        let this_update = time::read(&mut fields)?;
        let next_update =
            if time::is_next(&fields) { Some(time::read(&mut fields)?) } else { None };
        let revoked = match fields.optional(asn1::SEQUENCE)? {
            Some(list) => read_entries(der, list)?,
            None => Vec::new(),
        };
        if let Some(list) = fields.optional(asn1::context(0))? {
            refuse_unknown_critical(&read_extensions(der, list)?, der, &KNOWN_CRITICAL)?;
        }
        fields.finish()?;
        Ok(Self {
            der: der.to_vec(),
            tbs: range_of(der, tbs.raw),
            issuer: range_of(der, issuer),
            signature: range_of(der, signature),
            signature_algorithm: range_of(der, outer_algorithm),
            this_update,
            next_update,
            revoked,
        })
    }

    /// Checks that `issuer` issued this list: same name, allowed to, and its signature.
    ///
    /// # Errors
    /// [`X509Error::WrongIssuer`], [`X509Error::IssuerNotAllowed`], [`X509Error::Crypto`].
    pub fn verify_issued_by(&self, issuer: &Certificate) -> Result<(), X509Error> {
        if self.issuer_der() != issuer.subject_der() {
            return Err(X509Error::WrongIssuer);
        }
        if !issuer.is_ca() || !issuer.may_sign_crl() {
            return Err(X509Error::IssuerNotAllowed);
        }
        let algorithm =
            SignatureAlgorithm::from_identifier_der(self.slice(&self.signature_algorithm))?;
        Ok(issuer.public_key()?.verify(
            algorithm,
            self.slice(&self.tbs),
            self.slice(&self.signature),
        )?)
    }

    /// Checks that `now` is not before this list and not after the next was due. A list that does
    /// not say when the next is due never expires for an attacker who keeps it, so it is refused.
    ///
    /// # Errors
    /// [`X509Error::NotYetValid`], [`X509Error::Expired`].
    pub fn check_validity(&self, now: UnixSeconds) -> Result<(), X509Error> {
        if now < self.this_update {
            return Err(X509Error::NotYetValid);
        }
        match self.next_update {
            Some(next_update) if now <= next_update => Ok(()),
            _ => Err(X509Error::Expired),
        }
    }

    /// Whether the certificate with this serial number (the content of the INTEGER) is revoked.
    pub fn is_revoked(&self, serial: &[u8]) -> bool {
        self.revoked_serials().any(|revoked| revoked == serial)
    }

    /// The serial numbers, in the order of the list.
    pub fn revoked_serials(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.revoked.iter().map(|range| self.slice(range))
    }

    /// All of it, as received.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The issuer's name, in DER.
    pub fn issuer_der(&self) -> &[u8] {
        self.slice(&self.issuer)
    }

    /// When it was made.
    pub fn this_update(&self) -> UnixSeconds {
        self.this_update
    }

    /// When the next is due, if it says so.
    pub fn next_update(&self) -> Option<UnixSeconds> {
        self.next_update
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }
}

fn read_entries(whole: &[u8], list: &[u8]) -> Result<Vec<Range<usize>>, X509Error> {
    let mut list = Reader::new(list);
    let mut out = Vec::new();
    while !list.is_empty() {
        let mut fields = Reader::new(list.expect(asn1::SEQUENCE)?);
        let serial = fields.integer()?;
        time::read(&mut fields)?;
        if !fields.is_empty() {
            let extensions = fields.expect_element(asn1::SEQUENCE)?.raw;
            refuse_unknown_critical(
                &read_extensions(whole, extensions)?,
                whole,
                &KNOWN_CRITICAL_ENTRY,
            )?;
        }
        fields.finish()?;
        out.push(range_of(whole, serial));
    }
    Ok(out)
}
