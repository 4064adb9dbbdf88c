//! AMD's revocation list of a product line, verified once.

use super::{
    Document, Error, Vek,
    vek::{is_pem, read_certificate, require_pss, require_rsa_4096, time_error},
};
use crate::{
    Grade, TrustRoots, UnixSeconds, Vendor,
    x509::{Certificate, Crl, X509Error, pem},
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;

/// Longest serial number (RFC 5280, 4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;

/// A serial number: its length, its bytes, and zeros. All of one size, so that a list of them is
/// read and searched without an allocation for each.
pub type Serial = [u8; SERIAL_BYTES_MAX + 1];

/// A revocation list of AMD's for one product line, verified up to a trusted root by
/// [`verify_amd_crl`].
///
/// That is worth keeping: it is the same for all machines of the line. Only this crate can make
/// one, besides decoding one that was kept.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
#[non_exhaustive]
pub struct AmdCrl {
    /// SHA-256 of the SubjectPublicKeyInfo of the product line's root (ARK).
    pub root: [u8; 32],
    /// What the root is worth.
    pub grade: Grade,
    /// Serial numbers, sorted, each once.
    pub revoked: Vec<Serial>,
    /// When it was made.
    pub not_before: UnixSeconds,
    /// Last second of which it and its root's certificate are valid.
    pub not_after: UnixSeconds,
}

impl AmdCrl {
    /// Whether the certificate with this serial number (content of the INTEGER) is revoked.
    pub fn is_revoked(&self, serial: &[u8]) -> bool {
        key(serial).is_some_and(|key| self.revoked.binary_search(&key).is_ok())
    }

    /// Whether it revokes this key's certificate, or the one that issued it. A list of another root
    /// says nothing about it.
    pub fn revokes(&self, vek: &Vek) -> bool {
        self.check_revoked(vek).is_err()
    }

    /// Takes over what another verified list of the same root says. `false` if that is nothing new:
    /// the other is neither newer nor does it name a certificate that was not named before.
    ///
    /// What was revoked stays revoked. AMD publishes a root's list at two addresses, for chips' keys
    /// and for cloud providers'; neither may hide what the other says, nor may an older one what a
    /// newer one says.
    pub fn absorb(&mut self, other: &Self) -> bool {
        if (self.root, self.grade) != (other.root, other.grade) {
            return false;
        }
        let newer = (other.not_before, other.not_after) > (self.not_before, self.not_after);
        if newer {
            (self.not_before, self.not_after) = (other.not_before, other.not_after);
        }
        let known = self.revoked.len();
        self.revoked.extend_from_slice(&other.revoked);
        self.revoked.sort_unstable();
        self.revoked.dedup();
        newer || self.revoked.len() > known
    }

    /// That it says nothing against this key, is of its root, and of now.
    pub(super) fn check(&self, vek: &Vek, now: UnixSeconds) -> Result<(), Error> {
        let document = Document::Crl;
        if (self.root, self.grade) != (vek.root, vek.grade) {
            return Err(Error::CrlOfOtherRoot);
        }
        // Before its times: what was revoked does not become good when the list expires.
        self.check_revoked(vek)?;
        if now < self.not_before {
            return Err(Error::NotYetValid { document });
        }
        if now > self.not_after {
            return Err(Error::Expired { document });
        }
        Ok(())
    }

    fn check_revoked(&self, vek: &Vek) -> Result<(), Error> {
        if self.root != vek.root {
            return Ok(());
        }
        if self.is_revoked(&vek.ask_serial) {
            return Err(Error::AskRevoked);
        }
        if self.is_revoked(&vek.serial) {
            return Err(Error::VekRevoked);
        }
        Ok(())
    }
}

/// Verifies the revocation list of a product line, given with the certificate of its root: root
/// pinned and signed by itself, list signed by it, both valid at `now`. Each may be DER or PEM.
///
/// # Errors
/// [`Error::Malformed`], [`Error::UnknownRoot`], [`Error::NotYetValid`], [`Error::Expired`],
/// [`Error::Scheme`], [`Error::KeyKind`], [`Error::NotIssued`], and [`Error::ArkRevoked`] if the root
/// revokes itself.
pub fn verify_amd_crl(
    crl: &[u8],
    ark: &[u8],
    roots: &TrustRoots,
    now: UnixSeconds,
) -> Result<AmdCrl, Error> {
    let document = Document::Ark;
    let ark = read_certificate(document, ark)?;
    let spki_sha256 = ark.spki_sha256();
    let root = roots.find(Vendor::Amd, &spki_sha256).ok_or(Error::UnknownRoot { spki_sha256 })?;
    ark.check_validity(now).map_err(|source| time_error(document, source))?;
    require_pss(document, &ark)?;
    require_rsa_4096(document, &ark)?;
    ark.verify_issued_by(&ark).map_err(|source| Error::NotIssued { document, source })?;
    verify_under(crl, &ark, root.grade, now)
}

/// The same under a root that has been verified already.
pub(super) fn verify_under(
    crl: &[u8],
    ark: &Certificate,
    grade: Grade,
    now: UnixSeconds,
) -> Result<AmdCrl, Error> {
    let document = Document::Crl;
    let crl = read(crl).map_err(|source| Error::Malformed { document, source })?;
    crl.check_validity(now).map_err(|source| time_error(document, source))?;
    crl.verify_issued_by(ark).map_err(|source| Error::NotIssued { document, source })?;
    if crl.is_revoked(ark.serial()) {
        return Err(Error::ArkRevoked);
    }
    // A longer number than certificates may have is none's.
    let mut revoked: Vec<_> = crl.revoked_serials().filter_map(key).collect();
    revoked.sort_unstable();
    revoked.dedup();
    // `check_validity` refuses a list that does not say when the next is due.
    let next_update = crl.next_update().ok_or(Error::Expired { document })?;
    Ok(AmdCrl {
        root: ark.spki_sha256(),
        grade,
        revoked,
        not_before: crl.this_update(),
        not_after: next_update.min(ark.not_after()),
    })
}

/// `None` for what is too long to be a serial number.
fn key(serial: &[u8]) -> Option<Serial> {
    let mut key = [0; SERIAL_BYTES_MAX + 1];
    let (length, bytes) = key.split_first_mut()?;
    bytes.get_mut(..serial.len())?.copy_from_slice(serial);
    *length = u8::try_from(serial.len()).ok()?;
    Some(key)
}

fn read(bytes: &[u8]) -> Result<Crl, X509Error> {
    if !is_pem(bytes) {
        return Crl::from_der(bytes);
    }
    match pem::decode_all(bytes, "X509 CRL", 1)?.as_slice() {
        [der] => Crl::from_der(der),
        _ => Err(X509Error::MalformedPem),
    }
}
