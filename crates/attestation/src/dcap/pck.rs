//! PCK certificates: the platform's key, as the provisioning certification enclave uses it.

use super::{
    Document, Error, PckCrl, RootCrl,
    intake::{Intake, check_time, p256_key, read_chain},
};
use crate::{
    Grade, UnixSeconds,
    roots::TrustRoots,
    x509::{
        Certificate, ObjectIdentifier,
        asn1::{self, Asn1Error, Reader},
    },
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// PCK certificate, PCK CA, root.
const PCK_CHAIN: usize = 3;

/// The two CAs that issue PCK certificates.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub enum PckCa {
    /// For platforms of one processor, whose keys Intel made at production.
    Processor,
    /// For platforms that register with Intel (several processors).
    Platform,
}

impl PckCa {
    /// Which CA this certificate is, by its name.
    pub(super) fn of(certificate: &Certificate) -> Option<Self> {
        match certificate.subject_common_name()? {
            "Intel SGX PCK Processor CA" => Some(Self::Processor),
            "Intel SGX PCK Platform CA" => Some(Self::Platform),
            _ => None,
        }
    }
}

/// A verified PCK certificate.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
#[non_exhaustive]
pub struct Pck {
    /// `x || y` of the key that signs quoting enclaves' reports, big endian.
    pub public_key: [u8; 64],
    /// Family, model, stepping, platform type and custom SKU.
    pub fmspc: [u8; 6],
    /// Which provisioning certification enclave.
    pub pce_id: [u8; 2],
    /// Security versions of the platform's 16 components.
    pub cpu_svns: [u8; 16],
    /// Security version of the provisioning certification enclave.
    pub pce_svn: u16,
    /// PPID: names the platform.
    pub platform_id: [u8; 16],
    /// Serial number: content of the INTEGER.
    pub serial: Vec<u8>,
    /// Who issued it.
    pub ca: PckCa,
    /// SHA-256 of the issuer's SubjectPublicKeyInfo.
    pub ca_spki_sha256: [u8; 32],
    /// The issuer's serial number, by which the root may revoke it.
    pub ca_serial: Vec<u8>,
    /// SHA-256 of the root's SubjectPublicKeyInfo.
    pub root_spki_sha256: [u8; 32],
    /// What the root is worth.
    pub grade: Grade,
    /// First second of which the chain is valid.
    pub not_before: UnixSeconds,
    /// Last second of which the chain and the root's revocation list are valid.
    pub not_after: UnixSeconds,
}

/// Verifies a PCK certificate's chain (PCK certificate, PCK CA, root) in PEM.
///
/// # Errors
/// [`Error::Certificate`], [`Error::ChainLength`], [`Error::UntrustedRoot`], [`Error::OtherRoot`],
/// [`Error::WrongName`], [`Error::PckCrlOfOtherCa`], [`Error::RevokedCertificate`],
/// [`Error::KeyKind`], [`Error::PckExtension`], [`Error::NotYetValid`], [`Error::Expired`].
pub fn verify_pck(
    chain_pem: &[u8],
    root_crl: &RootCrl,
    pck_crl: &PckCrl,
    roots: &TrustRoots,
    now: UnixSeconds,
) -> Result<Pck, Error> {
    let chain = read_chain(Document::PckCertificate, chain_pem)?;
    Intake::new(roots, now).pck(&chain, root_crl, pck_crl)
}

/// The FMSPC that a PCK certificate names; nothing is verified.
pub fn fmspc_of(certificate: &Certificate) -> Option<[u8; 6]> {
    let value = certificate.extension(&SGX_EXTENSION)?;
    Extension::parse(value).ok().map(|extension| extension.fmspc)
}

/// What a PCK certificate says that nobody has verified yet: enough to know which collateral to
/// fetch, and to be trusted in nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PckHint {
    /// Whose TCB info to fetch.
    pub fmspc: [u8; 6],
    /// Of which provisioning certification enclave.
    pub pce_id: [u8; 2],
    /// Whose revocation list to fetch.
    pub ca: PckCa,
}

impl PckHint {
    /// Reads a chain, leaf first; `None` if it is not one of Intel's form.
    pub fn of(chain: &[Certificate]) -> Option<Self> {
        let [leaf, issuer, ..] = chain else { return None };
        let extension = Extension::parse(leaf.extension(&SGX_EXTENSION)?).ok()?;
        Some(Self { fmspc: extension.fmspc, pce_id: extension.pce_id, ca: PckCa::of(issuer)? })
    }
}

impl Intake<'_> {
    pub(super) fn pck(
        &mut self,
        chain: &[Certificate],
        root_crl: &RootCrl,
        pck_crl: &PckCrl,
    ) -> Result<Pck, Error> {
        let document = Document::PckCertificate;
        let trusted = self.chain(document, chain, PCK_CHAIN)?;
        let [leaf, issuer, root] = chain else { return Err(Error::ChainLength(document)) };
        self.check_root_crl(document, &trusted, root_crl)?;
        let ca = PckCa::of(issuer).ok_or(Error::WrongName(document))?;
        if leaf.subject_common_name() != Some("Intel SGX PCK Certificate") || leaf.is_ca() {
            return Err(Error::WrongName(document));
        }
        let ca_spki_sha256 = issuer.spki_sha256();
        if pck_crl.ca_spki_sha256 != ca_spki_sha256 || pck_crl.ca != ca {
            return Err(Error::PckCrlOfOtherCa);
        }
        check_time(Document::PckCrl, pck_crl.not_before, pck_crl.not_after, self.now)?;
        if pck_crl.is_revoked(leaf.serial())
            || root_crl.is_revoked(issuer.serial())
            || root_crl.is_revoked(root.serial())
        {
            return Err(Error::RevokedCertificate(document));
        }
        let public_key = p256_key(document, leaf)?.p256_raw().ok_or(Error::KeyKind(document))?;
        let extension = leaf
            .extension(&SGX_EXTENSION)
            .and_then(|value| Extension::parse(value).ok())
            .ok_or(Error::PckExtension)?;
        Ok(Pck {
            public_key,
            fmspc: extension.fmspc,
            pce_id: extension.pce_id,
            cpu_svns: extension.cpu_svns,
            pce_svn: extension.pce_svn,
            platform_id: extension.ppid,
            serial: leaf.serial().to_vec(),
            ca,
            ca_spki_sha256,
            ca_serial: issuer.serial().to_vec(),
            root_spki_sha256: trusted.root_spki_sha256,
            grade: trusted.grade,
            not_before: trusted.chain.not_before,
            not_after: trusted.chain.not_after.min(root_crl.not_after),
        })
    }
}

/// Intel's arc for its extension (PCK Certificate Profile, 1.3.5); the parts' identifiers extend it.
const SGX_EXTENSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1");

/// What the SGX extension says.
#[derive(Default)]
struct Extension {
    ppid: [u8; 16],
    cpu_svns: [u8; 16],
    pce_svn: u16,
    pce_id: [u8; 2],
    fmspc: [u8; 6],
}

impl Extension {
    fn parse(value: &[u8]) -> Result<Self, Asn1Error> {
        let mut out = Self::default();
        let (mut ppid, mut tcb, mut pce_id, mut fmspc) = (None, None, None, None);
        each(value, &[], |number, content| {
            let slot = match number {
                1 => &mut ppid,
                2 => &mut tcb,
                3 => &mut pce_id,
                4 => &mut fmspc,
                // SGX type (5), platform instance (6), configuration (7): not evaluated.
                _ => return Ok(()),
            };
            if slot.replace(content).is_some() { Err(Asn1Error) } else { Ok(()) }
        })?;
        out.ppid = octets(ppid)?;
        out.pce_id = octets(pce_id)?;
        out.fmspc = octets(fmspc)?;
        let mut found = 0u32;
        each(tcb.ok_or(Asn1Error)?, &[2], |number, content| {
            let bit = 1u32.checked_shl(u32::from(number)).ok_or(Asn1Error)?;
            if found & bit != 0 {
                return Err(Asn1Error);
            }
            found |= bit;
            match number {
                1..=16 => {
                    let svn = asn1::small(asn1::only(asn1::INTEGER, content)?)?;
                    let slot = out.cpu_svns.get_mut(usize::from(number) - 1).ok_or(Asn1Error)?;
                    *slot = u8::try_from(svn).map_err(|_| Asn1Error)?;
                }
                17 => {
                    let svn = asn1::small(asn1::only(asn1::INTEGER, content)?)?;
                    out.pce_svn = u16::try_from(svn).map_err(|_| Asn1Error)?;
                }
                // CPUSVN (18) is the raw form of the 16 components.
                _ => {}
            }
            Ok(())
        })?;
        // Bits 1 to 17.
        if found & 0x3_fffe == 0x3_fffe { Ok(out) } else { Err(Asn1Error) }
    }
}

/// Goes through a sequence of pairs of identifier and value. Identifiers are the extension's own,
/// then `under`, then a number below 128, which is handed on with the value's whole DER.
fn each<'a>(
    sequence: &'a [u8],
    under: &[u8],
    mut with: impl FnMut(u8, &'a [u8]) -> Result<(), Asn1Error>,
) -> Result<(), Asn1Error> {
    let mut list = Reader::new(asn1::only(asn1::SEQUENCE, sequence)?);
    while !list.is_empty() {
        let mut pair = Reader::new(list.expect(asn1::SEQUENCE)?);
        let identifier = pair.expect(asn1::OID)?;
        let value = pair.element()?.raw;
        pair.finish()?;
        let number = identifier
            .strip_prefix(SGX_EXTENSION.as_bytes())
            .and_then(|rest| rest.strip_prefix(under));
        if let Some([number @ 0..=0x7f]) = number {
            with(*number, value)?;
        }
    }
    Ok(())
}

fn octets<const N: usize>(value: Option<&[u8]>) -> Result<[u8; N], Asn1Error> {
    asn1::only(asn1::OCTET_STRING, value.ok_or(Asn1Error)?)?.try_into().map_err(|_| Asn1Error)
}
