//! Quotes, versions 3 to 5.

use super::{
    Error, Part,
    report::{Fields, SgxReport, TdReport},
};
use crate::{
    TeeKind,
    x509::{Certificate, X509Error, range_of},
};
use alloc::vec::Vec;
use core::ops::Range;

/// Largest quote in bytes. Real ones have 4.6 to 5.3 kB, up to 8 kB with padding.
pub const QUOTE_BYTES_MAX: usize = 16 << 10;

/// Intel's vendor id in a quote's header.
pub const INTEL_QE_VENDOR_ID: [u8; 16] = [
    0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
];

const HEADER_BYTES: usize = 48;
const BODY_HEADER_BYTES: usize = 6;
const ECDSA_P256: u16 = 2;
const TEE_SGX: u32 = 0;
const TEE_TDX: u32 = 0x81;
/// Certification data: a PEM chain of PCK certificate, PCK CA and root.
const PCK_CHAIN: u16 = 5;
/// Certification data: the quoting enclave's report, with further certification data inside.
const QE_REPORT: u16 = 6;

/// What certifies the key that signed the quoting enclave's report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Certification<'a> {
    /// Its type: 5 is a PEM chain, 1 to 3 identify the platform, so that its chain can be fetched.
    pub kind: u16,
    /// Its content, as received.
    pub data: &'a [u8],
}

/// The body of a quote.
#[expect(clippy::large_enum_variant, reason = "one per quote, and a box would cost more")]
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Body {
    Sgx(SgxReport),
    Tdx(TdReport),
}

/// A parsed quote; nothing is verified yet. It owns the bytes that were received.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quote {
    bytes: Vec<u8>,
    version: u16,
    qe_vendor_id: [u8; 16],
    body: Body,
    /// What the attestation key signed, from the first byte on.
    signed: usize,
    signature: [u8; 64],
    attestation_key: [u8; 64],
    qe_report: SgxReport,
    qe_report_bytes: Range<usize>,
    qe_report_signature: [u8; 64],
    auth_data: Range<usize>,
    certification_kind: u16,
    certification: Range<usize>,
}

impl Quote {
    /// Reads a quote. Zeros may follow it: some hosts hand out a buffer of fixed size.
    ///
    /// # Errors
    /// See [`Error`]: the variants on the quote's form.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > QUOTE_BYTES_MAX {
            return Err(Error::QuoteTooLarge);
        }
        let mut fields = Fields::new(bytes, Part::Header);
        let header = Header::parse(&mut fields)?;

        let body_type = header.body_type(&mut fields)?;
        fields.part(Part::Body);
        let body = match body_type {
            BodyType::Sgx => Body::Sgx(SgxReport::parse(&fields.array()?)?),
            BodyType::Tdx(length) => Body::Tdx(TdReport::parse(fields.take(length)?)?),
        };
        let body_header = if header.version >= 5 { BODY_HEADER_BYTES } else { 0 };
        let signed = HEADER_BYTES + body_header + body_type.bytes();

        fields.part(Part::SignatureLength);
        let signature_bytes = length(fields.u32()?);
        fields.part(Part::Signature);
        let signature_data = fields.take(signature_bytes)?;
        if fields.rest().iter().any(|&byte| byte != 0) {
            return Err(Error::TrailingData);
        }

        let mut fields = Fields::new(signature_data, Part::Signature);
        let signature = fields.array()?;
        let attestation_key = fields.array()?;
        if header.version >= 4 {
            fields.part(Part::Certification);
            let kind = fields.u16()?;
            if kind != QE_REPORT {
                return Err(Error::UnsupportedCertification(kind));
            }
            let bytes = length(fields.u32()?);
            let inner = fields.take(bytes)?;
            end(fields, Part::Certification)?;
            fields = Fields::new(inner, Part::QeReport);
        }
        fields.part(Part::QeReport);
        let qe_report_bytes = fields.take(SgxReport::BYTES)?;
        let qe_report = SgxReport::parse(
            qe_report_bytes.try_into().map_err(|_| Error::Truncated(Part::QeReport))?,
        )?;
        let qe_report_signature = fields.array()?;
        fields.part(Part::AuthData);
        let auth_bytes = usize::from(fields.u16()?);
        let auth_data = fields.take(auth_bytes)?;
        fields.part(Part::Certification);
        let certification_kind = fields.u16()?;
        let certification_bytes = length(fields.u32()?);
        let certification = fields.take(certification_bytes)?;
        end(fields, Part::Certification)?;

        Ok(Self {
            version: header.version,
            qe_vendor_id: header.qe_vendor_id,
            body,
            signed,
            signature,
            attestation_key,
            qe_report,
            qe_report_bytes: range_of(bytes, qe_report_bytes),
            qe_report_signature,
            auth_data: range_of(bytes, auth_data),
            certification_kind,
            certification: range_of(bytes, certification),
            bytes: bytes.to_vec(),
        })
    }

    /// Kind of TEE.
    pub fn tee_kind(&self) -> TeeKind {
        match self.body {
            Body::Sgx(_) => TeeKind::IntelSgx,
            Body::Tdx(_) => TeeKind::IntelTdx,
        }
    }

    /// What the enclave or TD put into the report.
    pub fn report_data(&self) -> &[u8; 64] {
        match &self.body {
            Body::Sgx(report) => &report.report_data,
            Body::Tdx(report) => &report.report_data,
        }
    }

    /// The bytes as received, with padding.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Version of the format: 3, 4 or 5.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Vendor of the quoting enclave.
    pub fn qe_vendor_id(&self) -> &[u8; 16] {
        &self.qe_vendor_id
    }

    /// The enclave's report, for SGX.
    pub fn sgx_report(&self) -> Option<&SgxReport> {
        match &self.body {
            Body::Sgx(report) => Some(report),
            Body::Tdx(_) => None,
        }
    }

    /// The TD's report, for TDX.
    pub fn td_report(&self) -> Option<&TdReport> {
        match &self.body {
            Body::Sgx(_) => None,
            Body::Tdx(report) => Some(report),
        }
    }

    /// The quoting enclave's report.
    pub fn qe_report(&self) -> &SgxReport {
        &self.qe_report
    }

    /// What certifies the platform's key.
    pub fn certification(&self) -> Certification<'_> {
        Certification { kind: self.certification_kind, data: self.slice(&self.certification) }
    }

    /// The PCK certificate chain that the quote carries, leaf first; `None` if it carries another
    /// kind of certification data.
    ///
    /// # Errors
    /// See [`X509Error`].
    pub fn pck_chain(&self) -> Option<Result<Vec<Certificate>, X509Error>> {
        (self.certification_kind == PCK_CHAIN)
            .then(|| Certificate::chain_from_pem(self.slice(&self.certification)))
    }

    pub(super) fn body(&self) -> &Body {
        &self.body
    }

    /// Header and body.
    pub(super) fn signed_bytes(&self) -> &[u8] {
        self.slice(&(0..self.signed))
    }

    pub(super) fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    pub(super) fn attestation_key(&self) -> &[u8; 64] {
        &self.attestation_key
    }

    pub(super) fn qe_report_bytes(&self) -> &[u8] {
        self.slice(&self.qe_report_bytes)
    }

    pub(super) fn qe_report_signature(&self) -> &[u8; 64] {
        &self.qe_report_signature
    }

    pub(super) fn auth_data(&self) -> &[u8] {
        self.slice(&self.auth_data)
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}

struct Header {
    version: u16,
    tee_type: u32,
    qe_vendor_id: [u8; 16],
}

#[derive(Clone, Copy)]
enum BodyType {
    Sgx,
    /// With its length.
    Tdx(usize),
}

impl BodyType {
    fn bytes(self) -> usize {
        match self {
            Self::Sgx => SgxReport::BYTES,
            Self::Tdx(bytes) => bytes,
        }
    }
}

impl Header {
    fn parse(fields: &mut Fields<'_>) -> Result<Self, Error> {
        let version = fields.u16()?;
        let key_type = fields.u16()?;
        let tee_type = fields.u32()?;
        // Versions of quoting and provisioning enclaves (version 3), reserved later.
        fields.take(4)?;
        let qe_vendor_id = fields.array()?;
        // User data: an identifier of the platform, not secured by anything.
        fields.take(20)?;
        if !(3..=5).contains(&version) {
            return Err(Error::UnsupportedVersion(version));
        }
        if key_type != ECDSA_P256 {
            return Err(Error::UnsupportedKeyType(key_type));
        }
        match tee_type {
            TEE_SGX => {}
            TEE_TDX if version >= 4 => {}
            _ => return Err(Error::UnsupportedTeeType(tee_type)),
        }
        if qe_vendor_id != INTEL_QE_VENDOR_ID {
            return Err(Error::UnknownQeVendor);
        }
        Ok(Self { version, tee_type, qe_vendor_id })
    }

    /// Which body follows; reads the body header of version 5.
    fn body_type(&self, fields: &mut Fields<'_>) -> Result<BodyType, Error> {
        let is_sgx = self.tee_type == TEE_SGX;
        if self.version < 5 {
            let tdx = BodyType::Tdx(TdReport::BYTES_10);
            return Ok(if is_sgx { BodyType::Sgx } else { tdx });
        }
        fields.part(Part::BodyHeader);
        let kind = fields.u16()?;
        let bytes = length(fields.u32()?);
        let body_type = match (kind, is_sgx) {
            (1, true) => BodyType::Sgx,
            (2, false) => BodyType::Tdx(TdReport::BYTES_10),
            (3, false) => BodyType::Tdx(TdReport::BYTES_15),
            (4, false) => BodyType::Tdx(TdReport::BYTES_15_EX),
            _ => return Err(Error::UnsupportedBody(kind)),
        };
        if bytes != body_type.bytes() {
            return Err(Error::WrongLength(Part::Body));
        }
        Ok(body_type)
    }
}

/// A length that does not fit is longer than any quote.
fn length(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// The part has to be read to its end.
fn end(fields: Fields<'_>, part: Part) -> Result<(), Error> {
    if fields.rest().is_empty() { Ok(()) } else { Err(Error::WrongLength(part)) }
}
