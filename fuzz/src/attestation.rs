//! Evidence, collateral, and how both travel.
//!
//! Besides not panicking: what was parsed keeps the very bytes that it was given, and nothing that
//! is only parsed here is ever accepted by a verifier that trusts no root.

use casemate_attestation::{
    TrustRoots,
    bundle::Bundle,
    dcap::{Quote, RawCollateral, fmspc_of, verify_with_collateral},
    event_log::EventLog,
    nvidia, policy,
    sev_snp::{self, RawEndorsements},
    x509::{Certificate, Crl},
};
use casemate_evidence::{RawEvidence, cmw::Collection};
use casemate_ra_tls::{Purpose, ReleaseEvidence, sealed::SealedSecrets};

const NOW: u64 = 1_790_000_000;

pub(crate) fn dcap_quote(bytes: &[u8]) {
    let Ok(quote) = Quote::parse(bytes) else { return };
    assert_eq!(quote.bytes(), bytes);
    let _ = (quote.report_data(), quote.tee_kind(), quote.certification());
    let _ = quote.pck_chain();
}

/// JSON of a whole collateral file, then a quote's verification with it.
pub(crate) fn dcap_collateral(bytes: &[u8]) {
    const QUOTE: &[u8] = include_bytes!("../../crates/attestation/tests/data/dcap/tdx_quote");
    let Ok(collateral) = serde_json::from_slice::<RawCollateral>(bytes) else { return };
    let quote = Quote::parse(QUOTE).expect("the sample is a quote");
    assert!(
        verify_with_collateral(quote, &collateral, &TrustRoots::default(), NOW).is_err(),
        "nothing is good without a root"
    );
}

pub(crate) fn sev_snp_report(bytes: &[u8]) {
    let Ok(report) = sev_snp::Report::parse(bytes) else { return };
    assert_eq!(report.as_bytes(), bytes);
    let _ = (report.product(), report.signing_key(), report.report_data());
}

pub(crate) fn sev_snp_endorsements(bytes: &[u8]) {
    let _ = RawEndorsements::from_certificate_table(bytes);
    let Ok(endorsements) = serde_json::from_slice::<RawEndorsements>(bytes) else { return };
    let text = serde_json::to_vec(&endorsements).expect("it can be written");
    let again: RawEndorsements = serde_json::from_slice(&text).expect("it can be read again");
    assert_eq!(again, endorsements);
}

pub(crate) fn nvidia_report(bytes: &[u8]) {
    let Ok(report) = nvidia::Report::parse(bytes) else { return };
    let _ = (report.nonce(), report.blocks(), report.firmware_id());
    let _ = (report.driver_version(), report.vbios_version());
}

pub(crate) fn nvidia_rim(bytes: &[u8]) {
    assert!(
        nvidia::Rim::verify(bytes, &TrustRoots::default(), NOW).is_err(),
        "nothing is good without a root"
    );
}

/// A certificate with the extensions that vendors put in.
pub(crate) fn x509_certificate(bytes: &[u8]) {
    let Ok(certificate) = Certificate::from_der(bytes) else { return };
    assert_eq!(certificate.der(), bytes);
    let _ = (fmspc_of(&certificate), certificate.public_key(), certificate.subject_common_name());
    let _ = certificate.verify_issued_by(&certificate);
}

pub(crate) fn x509_crl(bytes: &[u8]) {
    let Ok(crl) = Crl::from_der(bytes) else { return };
    for serial in crl.revoked_serials() {
        assert!(crl.is_revoked(serial));
    }
}

pub(crate) fn x509_pem(bytes: &[u8]) {
    let _ = Certificate::chain_from_pem(bytes);
}

pub(crate) fn bundle(bytes: &[u8]) {
    let mut bundle = Bundle::default();
    let _ = bundle.add(bytes);
}

pub(crate) fn event_log(bytes: &[u8]) {
    let Ok(log) = EventLog::parse(bytes) else { return };
    let registers = log.replay();
    log.check(&registers).expect("a log agrees with its own replay");
}

pub(crate) fn policy(bytes: &[u8]) {
    let Ok(policy) = serde_json::from_slice::<policy::Policy>(bytes) else { return };
    let text = serde_json::to_vec(&policy).expect("it can be written");
    let again: policy::Policy = serde_json::from_slice(&text).expect("it can be read again");
    assert_eq!(again, policy);
}

/// RFC 9999, as it stands in certificates and answers.
pub(crate) fn cmw(bytes: &[u8]) {
    if let Ok(collection) = Collection::decode(bytes) {
        let text = collection.encode();
        assert_eq!(Collection::decode(&text).ok(), Some(collection));
    }
    if let Ok(evidence) = RawEvidence::from_cmw(bytes) {
        let again = RawEvidence::from_cmw(&evidence.to_cmw()).expect("it can be read again");
        assert_eq!(again.digest(), evidence.digest());
    }
}

/// What a provider carries from a pod's agent to a vault.
pub(crate) fn release_evidence(bytes: &[u8]) {
    let Ok(evidence) = ReleaseEvidence::read(bytes) else { return };
    assert_eq!(evidence.claimed().purpose, Purpose::Release);
    assert_eq!(evidence.claimed().channel, [0; 32]);
}

pub(crate) fn sealed_secrets(bytes: &[u8]) {
    let Ok(sealed) = SealedSecrets::from_bytes(bytes) else { return };
    assert_eq!(sealed.to_bytes(), bytes);
}
