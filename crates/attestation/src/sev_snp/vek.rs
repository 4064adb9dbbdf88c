//! The certificate chain of the key that signs reports (AMD 57230 for VCEKs, 58369 for VLEKs).

use super::{AmdCrl, Document, Error, Product, Report, TcbVersion, crl};
use crate::{
    Grade, TrustRoots, UnixSeconds, Vendor,
    crypto::{PublicKey, SignatureAlgorithm},
    x509::{
        Certificate, ObjectIdentifier, X509Error,
        asn1::{self, Reader},
    },
};
use bounded_collections::{BoundedVec, ConstU32};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// Whose key signs reports.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
#[serde(rename_all = "camelCase")]
pub enum KeyKind {
    /// Versioned chip endorsement key: derived from the chip's secret and the firmware's versions.
    Vcek,
    /// Versioned loaded endorsement key: AMD gives one to a cloud provider for all its machines.
    Vlek,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vcek => "VCEK",
            Self::Vlek => "VLEK",
        })
    }
}

/// A key that signs reports, verified up to a trusted root by [`verify_vek`].
///
/// That is worth keeping: all reports of a machine with the same firmware have the same key. Only
/// this crate can make one, besides decoding one that was kept.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
#[non_exhaustive]
pub struct Vek {
    /// The P-384 key as x and y, big-endian.
    pub public_key: [u8; 96],
    /// Chip's or cloud provider's.
    pub kind: KeyKind,
    /// For processors of this line.
    pub product: Product,
    /// The chip, padded with zeros as in a report; `None` for a VLEK.
    pub chip_id: Option<[u8; 64]>,
    /// The firmware versions for which it was derived.
    pub tcb: TcbVersion,
    /// The certificate's serial number. AMD gives all VCEKs the number 0.
    pub serial: BoundedVec<u8, ConstU32<20>>,
    /// Serial number of the certificate that issued it.
    pub ask_serial: BoundedVec<u8, ConstU32<20>>,
    /// SHA-256 of the root's SubjectPublicKeyInfo.
    pub root: [u8; 32],
    /// First second at which one of the certificates, or the revocation list, has expired.
    pub not_after: UnixSeconds,
    /// Whether a revocation list was looked at.
    pub revocation_checked: bool,
    /// What the root is worth.
    pub grade: Grade,
}

impl Vek {
    /// The same under a revocation list of its root: the list is current, and names neither its
    /// certificate nor the one that issued it. Counts as long as both do.
    ///
    /// # Errors
    /// [`Error::CrlOfOtherRoot`], [`Error::AskRevoked`], [`Error::VekRevoked`],
    /// [`Error::NotYetValid`], [`Error::Expired`].
    pub fn under(mut self, crl: &AmdCrl, now: UnixSeconds) -> Result<Self, Error> {
        crl.check(&self, now)?;
        self.revocation_checked = true;
        self.not_after = self.not_after.min(crl.not_after.saturating_add(1));
        Ok(self)
    }
}

// All under AMD's arc 1.3.6.1.4.1.3704.1 (57230, table 8).
const PRODUCT_NAME: Extension = Extension::new("1.3.6.1.4.1.3704.1.2", "the product name");
const BOOT_LOADER: Extension =
    Extension::new("1.3.6.1.4.1.3704.1.3.1", "the boot loader's security version");
const TEE: Extension = Extension::new("1.3.6.1.4.1.3704.1.3.2", "the TEE's security version");
const SNP: Extension = Extension::new("1.3.6.1.4.1.3704.1.3.3", "the SNP security version");
const MICROCODE: Extension =
    Extension::new("1.3.6.1.4.1.3704.1.3.8", "the microcode's security version");
const FMC: Extension = Extension::new("1.3.6.1.4.1.3704.1.3.9", "the FMC's security version");
const HARDWARE_ID: Extension = Extension::new("1.3.6.1.4.1.3704.1.4", "the chip id");
const CSP_ID: Extension = Extension::new("1.3.6.1.4.1.3704.1.5", "the cloud provider's id");

const IA5_STRING: u8 = 0x16;
const UTF8_STRING: u8 = 0x0c;
/// Length of AMD's moduli in bytes.
const RSA_MODULUS_LEN: usize = 512;

/// Verifies the chain of a key that signs reports: root pinned and signed by itself, AMD's signing
/// key issued by the root, this key issued by that, all valid at `now`, none revoked. Each
/// certificate and the list may be DER or PEM.
///
/// Without a `crl` nothing is known about revocation ([`Vek::revocation_checked`] is false); what
/// was verified so can be put under a list later, and under each newer one ([`Vek::under`]). The list
/// has to be the root's own, and current. It is looked through for the serial numbers of both
/// certificates; as AMD gives all VCEKs the number 0, a single chip is revoked by raising the TCB
/// minimum that callers demand, not by the list.
///
/// # Errors
/// One for each check: see [`Error`].
pub fn verify_vek(
    vek_der: &[u8],
    ask_der: &[u8],
    ark_der: &[u8],
    crl: Option<&[u8]>,
    roots: &TrustRoots,
    now: UnixSeconds,
) -> Result<Vek, Error> {
    let vek = read_certificate(Document::Vek, vek_der)?;
    let ask = read_certificate(Document::Ask, ask_der)?;
    let ark = read_certificate(Document::Ark, ark_der)?;
    let spki_sha256 = ark.spki_sha256();
    let root =
        roots.find(Vendor::Amd, &spki_sha256).copied().ok_or(Error::UnknownRoot { spki_sha256 })?;

    // What costs nothing comes first.
    let chain = [(Document::Ark, &ark), (Document::Ask, &ask), (Document::Vek, &vek)];
    for (document, certificate) in chain {
        certificate.check_validity(now).map_err(|source| time_error(document, source))?;
        require_pss(document, certificate)?;
    }
    require_rsa_4096(Document::Ark, &ark)?;
    require_rsa_4096(Document::Ask, &ask)?;
    let mut verified = read_vek(&vek, &ask, root.grade)?;
    verified.root = spki_sha256;
    let last = chain.iter().map(|(_, c)| c.not_after()).min().unwrap_or_default();
    verified.not_after = last.saturating_add(1);

    for ((document, subject), (_, issuer)) in chain.iter().zip([chain[0], chain[0], chain[1]]) {
        subject
            .verify_issued_by(issuer)
            .map_err(|source| Error::NotIssued { document: *document, source })?;
    }
    match crl {
        Some(crl) => verified.under(&crl::verify_under(crl, &ark, root.grade, now)?, now),
        None => Ok(verified),
    }
}

/// Takes the claims out of a certificate whose signature is still to be checked.
fn read_vek(vek: &Certificate, ask: &Certificate, grade: Grade) -> Result<Vek, Error> {
    let product = Product::from_name(PRODUCT_NAME.text(vek)?).ok_or(Error::UnknownProduct)?;
    let (kind, chip_id) = match (HARDWARE_ID.get(vek), CSP_ID.get(vek)) {
        (Some(_), None) => (KeyKind::Vcek, Some(HARDWARE_ID.chip_id(vek, product)?)),
        (None, Some(_)) => {
            CSP_ID.text(vek)?;
            (KeyKind::Vlek, None)
        }
        _ => return Err(Error::VekKind),
    };
    // AMD has one intermediate key for chips' and one for providers' keys of each product.
    let name = ask.subject_common_name().unwrap_or_default();
    let expected = match kind {
        KeyKind::Vcek => name.strip_prefix("SEV-"),
        KeyKind::Vlek => name.strip_prefix("SEV-VLEK-"),
    };
    if expected != Some(product.name()) {
        return Err(Error::WrongAsk { kind, product });
    }
    let tcb = tcb_of(vek, product)?;
    let public_key = vek
        .public_key()
        .ok()
        .and_then(|key| key.p384_raw())
        .ok_or(Error::KeyKind { document: Document::Vek, expected: "P-384" })?;
    Ok(Vek {
        public_key,
        kind,
        product,
        chip_id,
        tcb,
        serial: serial(vek)?,
        ask_serial: serial(ask)?,
        root: [0; 32],
        not_after: 0,
        revocation_checked: false,
        grade,
    })
}

fn tcb_of(vek: &Certificate, product: Product) -> Result<TcbVersion, Error> {
    Ok(TcbVersion {
        boot_loader: BOOT_LOADER.number(vek)?,
        tee: TEE.number(vek)?,
        snp: SNP.number(vek)?,
        microcode: MICROCODE.number(vek)?,
        fmc: match product {
            Product::Milan | Product::Genoa => None,
            Product::Turin => Some(FMC.number(vek)?),
        },
    })
}

/// Whether a certificate says that it is of the machine and firmware that made a report. Nothing is
/// verified: good to choose among certificates.
pub(crate) fn is_of_machine(certificate: &Certificate, report: &Report) -> bool {
    let fits = || {
        let product = Product::from_name(PRODUCT_NAME.text(certificate)?);
        let product = product.ok_or(Error::UnknownProduct)?;
        let is_chip = HARDWARE_ID.get(certificate).is_none()
            || HARDWARE_ID.chip_id(certificate, product)? == report.chip_id();
        Ok::<_, Error>(is_chip && tcb_of(certificate, product)? == report.reported_tcb(product)?)
    };
    fits().unwrap_or(false)
}

fn serial(certificate: &Certificate) -> Result<BoundedVec<u8, ConstU32<20>>, Error> {
    certificate.serial().to_vec().try_into().map_err(|_| Error::Serial)
}

pub(super) fn time_error(document: Document, source: X509Error) -> Error {
    match source {
        X509Error::NotYetValid => Error::NotYetValid { document },
        X509Error::Expired => Error::Expired { document },
        source => Error::Malformed { document, source },
    }
}

pub(super) fn require_rsa_4096(document: Document, certificate: &Certificate) -> Result<(), Error> {
    let length = |key: &[u8]| {
        let modulus = Reader::new(asn1::only(asn1::SEQUENCE, key).ok()?).unsigned().ok()?;
        (modulus.first()? & 0x80 != 0).then_some(modulus.len())
    };
    match certificate.public_key() {
        Ok(PublicKey::Rsa(key)) if length(&key) == Some(RSA_MODULUS_LEN) => Ok(()),
        _ => Err(Error::KeyKind { document, expected: "RSA-4096" }),
    }
}

/// All of AMD's certificates are signed with RSASSA-PSS and SHA-384.
pub(super) fn require_pss(document: Document, certificate: &Certificate) -> Result<(), Error> {
    let algorithm = || {
        let mut fields = Reader::new(asn1::only(asn1::SEQUENCE, certificate.der()).ok()?);
        fields.element().ok()?;
        SignatureAlgorithm::from_identifier_der(fields.element().ok()?.raw).ok()
    };
    match algorithm() {
        Some(SignatureAlgorithm::RsaPssSha384) => Ok(()),
        _ => Err(Error::Scheme { document }),
    }
}

pub(super) fn read_certificate(document: Document, bytes: &[u8]) -> Result<Certificate, Error> {
    let read = || {
        if !is_pem(bytes) {
            return Certificate::from_der(bytes);
        }
        match <[Certificate; 1]>::try_from(Certificate::chain_from_pem(bytes)?) {
            Ok([certificate]) => Ok(certificate),
            Err(_) => Err(X509Error::ChainLength),
        }
    };
    read().map_err(|source| Error::Malformed { document, source })
}

pub(super) fn is_pem(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"-----BEGIN ")
}

/// One of AMD's extensions.
struct Extension {
    oid: ObjectIdentifier,
    name: &'static str,
}

impl Extension {
    const fn new(oid: &str, name: &'static str) -> Self {
        Self { oid: ObjectIdentifier::new_unwrap(oid), name }
    }

    fn get<'a>(&self, certificate: &'a Certificate) -> Option<&'a [u8]> {
        certificate.extension(&self.oid)
    }

    fn require<'a>(&self, certificate: &'a Certificate) -> Result<&'a [u8], Error> {
        self.get(certificate).ok_or(Error::MissingExtension { name: self.name })
    }

    fn bad(&self) -> Error {
        Error::BadExtension { name: self.name }
    }

    fn number(&self, certificate: &Certificate) -> Result<u8, Error> {
        asn1::only(asn1::INTEGER, self.require(certificate)?)
            .and_then(asn1::small)
            .ok()
            .and_then(|value| value.try_into().ok())
            .ok_or_else(|| self.bad())
    }

    fn text<'a>(&self, certificate: &'a Certificate) -> Result<&'a str, Error> {
        let value = self.require(certificate)?;
        let content = asn1::only(IA5_STRING, value)
            .or_else(|_| asn1::only(UTF8_STRING, value))
            .map_err(|_| self.bad())?;
        core::str::from_utf8(content)
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or_else(|| self.bad())
    }

    /// The chip id: the bare bytes in all certificates seen so far, an OCTET STRING by the letter
    /// of AMD 57230. The two cannot be confused, for the length is known.
    fn chip_id(&self, certificate: &Certificate, product: Product) -> Result<[u8; 64], Error> {
        let value = self.require(certificate)?;
        let length = product.chip_id_len();
        let id = if value.len() == length {
            value
        } else {
            asn1::only(asn1::OCTET_STRING, value)
                .ok()
                .filter(|content| content.len() == length)
                .ok_or_else(|| self.bad())?
        };
        let mut out = [0; 64];
        for (to, from) in out.iter_mut().zip(id) {
            *to = *from;
        }
        // Zeros are what a report says whose chip id is hidden.
        if out == [0; 64] { Err(self.bad()) } else { Ok(out) }
    }
}
