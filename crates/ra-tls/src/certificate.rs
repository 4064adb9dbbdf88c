//! The certificate that carries evidence.

use casemate_attestation::UnixSeconds;
use der::{Encode as _, asn1::OctetStringRef};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use std::time::Duration;

use crate::{EvidenceIssuer, resolver::CertificateError};

/// id-pe-cmw (RFC 9999, section 4).
pub const CMW_OID: &str = "1.3.6.1.5.5.7.1.35";

const CMW_OID_ARCS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 35];

/// How long a certificate of ours is valid after it was made.
pub const LIFETIME_SECONDS: u64 = 600;

/// How far back it is dated, for clients whose clock is behind.
const BACKDATE_SECONDS: u64 = 60;

/// Longest validity that a client takes. Evidence in a certificate says when it was made only by the
/// certificate's dates.
pub const LIFETIME_SECONDS_MAX: u64 = 3600;

/// An event log longer than this is left out of the certificate (it is in the session's evidence): a
/// TLS handshake message ends at 64 kB.
const EVENT_LOG_BYTES_MAX: usize = 24 * 1024;

/// Makes a certificate that is valid from `now`; also gives its end.
pub(crate) fn make(
    issuer: &EvidenceIssuer,
    now: UnixSeconds,
) -> Result<(CertificateDer<'static>, UnixSeconds), CertificateError> {
    let mut issued = issuer.ra_tls().map_err(CertificateError::Evidence)?;
    issued.evidence.event_log.take_if(|log| log.bytes().len() > EVENT_LOG_BYTES_MAX);
    let cmw = issued.to_cmw();
    let not_after = now.saturating_add(LIFETIME_SECONDS);
    let der =
        sign(issuer.keys().tls(), Some(&cmw), now.saturating_sub(BACKDATE_SECONDS), not_after)?;
    Ok((der, not_after))
}

pub(crate) fn sign(
    key: &rcgen::KeyPair,
    cmw: Option<&[u8]>,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
) -> Result<CertificateDer<'static>, CertificateError> {
    let epoch = date_time_ymd(1970, 1, 1);
    // Far beyond the year 9999 the addition would panic.
    let time = |seconds: UnixSeconds| epoch + Duration::from_secs(seconds.min(u32::MAX.into()));
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(CertificateError::Random)?;
    // Positive and of fixed length.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.not_before = time(not_before);
    params.not_after = time(not_after);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "casemate agent");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    if let Some(cmw) = cmw {
        // CMW ::= CHOICE { json UTF8String, cbor OCTET STRING }
        let value = OctetStringRef::new(cmw)
            .and_then(|octets| octets.to_der())
            .map_err(CertificateError::Der)?;
        params.custom_extensions = vec![CustomExtension::from_oid_content(CMW_OID_ARCS, value)];
    }
    let certificate = params.self_signed(key).map_err(CertificateError::Sign)?;
    Ok(certificate.der().clone())
}
