//! Revocation lists of the root CA and of the two PCK CAs.

use super::{
    Document, Error, PckCa,
    intake::{Intake, check_time, read_chain},
};
use crate::{
    Grade, UnixSeconds,
    roots::TrustRoots,
    x509::{Certificate, Crl},
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;

/// A verified revocation list of a root CA.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
#[non_exhaustive]
pub struct RootCrl {
    /// SHA-256 of the root's SubjectPublicKeyInfo.
    pub root_spki_sha256: [u8; 32],
    /// What the root is worth.
    pub grade: Grade,
    /// Serial numbers, sorted.
    pub revoked: Vec<Vec<u8>>,
    /// When it was made.
    pub not_before: UnixSeconds,
    /// Last second of which it is valid.
    pub not_after: UnixSeconds,
}

impl RootCrl {
    /// Whether the certificate with this serial number (content of the INTEGER) is revoked.
    pub fn is_revoked(&self, serial: &[u8]) -> bool {
        contains(&self.revoked, serial)
    }
}

/// A verified revocation list of a PCK CA.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
#[non_exhaustive]
pub struct PckCrl {
    /// Which CA.
    pub ca: PckCa,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub ca_spki_sha256: [u8; 32],
    /// Its serial number, by which the root may revoke it.
    pub ca_serial: Vec<u8>,
    /// SHA-256 of the root's SubjectPublicKeyInfo.
    pub root_spki_sha256: [u8; 32],
    /// What the root is worth.
    pub grade: Grade,
    /// Serial numbers, sorted.
    pub revoked: Vec<Vec<u8>>,
    /// When it was made.
    pub not_before: UnixSeconds,
    /// Last second of which it, its issuer's chain and the root's revocation list are valid.
    pub not_after: UnixSeconds,
}

impl PckCrl {
    /// Whether the PCK certificate with this serial number (content of the INTEGER) is revoked.
    pub fn is_revoked(&self, serial: &[u8]) -> bool {
        contains(&self.revoked, serial)
    }
}

/// Verifies the revocation list of a root CA, given with that root's certificate.
///
/// # Errors
/// [`Error::UntrustedRoot`], [`Error::Certificate`], [`Error::NotYetValid`], [`Error::Expired`],
/// [`Error::RevokedCertificate`] if the root revokes itself.
pub fn verify_root_crl(
    crl_der: &[u8],
    root: &Certificate,
    roots: &TrustRoots,
    now: UnixSeconds,
) -> Result<RootCrl, Error> {
    Intake::new(roots, now).root_crl(crl_der, root)
}

/// Verifies the revocation list of a PCK CA, given with that CA's chain (CA, root) in PEM.
///
/// # Errors
/// [`Error::Certificate`], [`Error::UntrustedRoot`], [`Error::OtherRoot`], [`Error::ChainLength`],
/// [`Error::WrongName`], [`Error::RevokedCertificate`], [`Error::NotYetValid`], [`Error::Expired`].
pub fn verify_pck_crl(
    crl_der: &[u8],
    issuer_chain_pem: &[u8],
    root_crl: &RootCrl,
    roots: &TrustRoots,
    now: UnixSeconds,
) -> Result<PckCrl, Error> {
    let chain = read_chain(Document::PckCrlIssuer, issuer_chain_pem)?;
    Intake::new(roots, now).pck_crl(crl_der, &chain, root_crl)
}

impl Intake<'_> {
    pub(super) fn root_crl(
        &mut self,
        crl_der: &[u8],
        root: &Certificate,
    ) -> Result<RootCrl, Error> {
        let document = Document::RootCrl;
        let trusted = self.chain(Document::RootCertificate, core::slice::from_ref(root), 1)?;
        let crl = Crl::from_der(crl_der).map_err(|source| document.failed(source))?;
        let next_update = check_crl(document, &crl, self.now)?;
        crl.verify_issued_by(root).map_err(|source| document.failed(source))?;
        if crl.is_revoked(root.serial()) {
            return Err(Error::RevokedCertificate(Document::RootCertificate));
        }
        Ok(RootCrl {
            root_spki_sha256: trusted.root_spki_sha256,
            grade: trusted.grade,
            revoked: sorted(&crl),
            not_before: crl.this_update(),
            not_after: next_update.min(root.not_after()),
        })
    }

    pub(super) fn pck_crl(
        &mut self,
        crl_der: &[u8],
        issuer_chain: &[Certificate],
        root_crl: &RootCrl,
    ) -> Result<PckCrl, Error> {
        let document = Document::PckCrl;
        let trusted = self.signer(Document::PckCrlIssuer, issuer_chain, root_crl)?;
        let issuer = trusted.chain.leaf;
        let ca = PckCa::of(issuer).ok_or(Error::WrongName(Document::PckCrlIssuer))?;
        let crl = Crl::from_der(crl_der).map_err(|source| document.failed(source))?;
        let next_update = check_crl(document, &crl, self.now)?;
        crl.verify_issued_by(issuer).map_err(|source| document.failed(source))?;
        Ok(PckCrl {
            ca,
            ca_spki_sha256: issuer.spki_sha256(),
            ca_serial: issuer.serial().to_vec(),
            root_spki_sha256: trusted.root_spki_sha256,
            grade: trusted.grade,
            revoked: sorted(&crl),
            not_before: crl.this_update(),
            not_after: next_update.min(trusted.chain.not_after).min(root_crl.not_after),
        })
    }
}

/// Checks the list's times and returns when the next is due.
fn check_crl(document: Document, crl: &Crl, now: UnixSeconds) -> Result<UnixSeconds, Error> {
    // A list that does not say when the next is due counts as expired, see `Crl::check_validity`.
    let next_update = crl.next_update().ok_or(Error::Expired(document))?;
    check_time(document, crl.this_update(), next_update, now)?;
    Ok(next_update)
}

fn sorted(crl: &Crl) -> Vec<Vec<u8>> {
    let mut serials: Vec<_> = crl.revoked_serials().map(<[u8]>::to_vec).collect();
    serials.sort_unstable();
    serials
}

fn contains(sorted: &[Vec<u8>], serial: &[u8]) -> bool {
    sorted.binary_search_by(|revoked| revoked.as_slice().cmp(serial)).is_ok()
}
