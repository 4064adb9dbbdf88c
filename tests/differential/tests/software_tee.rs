//! Evidence before verifiers that are not ours: its format is the vendors', not only what our own
//! verifier takes.

#![allow(clippy::unwrap_used, missing_docs)]

use casemate_software_tee::{
    Directory, Format, Misbehaviour, Validity,
    daemon::now,
    measure::{self, Content},
    wire::Kind,
};
use dcap_qvl::{QuoteCollateralV3, configs::RustCryptoConfig, verify::QuoteVerifier};
use sev::{
    certs::snp::{Chain, Verifiable},
    firmware::guest::AttestationReport,
    parser::ByteParser,
};

/// Made once: its two RSA keys take some seconds.
static SHARED: std::sync::LazyLock<Directory> = std::sync::LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap().keep();
    Directory::init(&folder.join("tee"), now().unwrap(), Validity::default()).unwrap()
});

const REPORT_DATA: [u8; 64] = [0x3c; 64];

fn evidence(format: Format, misbehave: &[Misbehaviour]) -> Vec<u8> {
    let content = Content::new(b"the agent", None, [7; 32]);
    let measurements = measure::expected(format.kind(), &content);
    SHARED.pki().evidence(format, &measurements, &REPORT_DATA, misbehave).unwrap().bytes
}

fn dcap_qvl(format: Format, misbehave: &[Misbehaviour]) -> Result<String, String> {
    let now = now().unwrap();
    let collateral = SHARED.pki().collateral(now, SHARED.validity(), &[]).unwrap();
    let intel = if format.kind() == Kind::IntelTdx { &collateral.tdx } else { &collateral.sgx };
    let collateral: QuoteCollateralV3 = serde_json::from_value(intel.to_json()).unwrap();
    let root = std::fs::read(SHARED.path().join("pki/certificates/intel-root.der")).unwrap();
    let verifier = QuoteVerifier::<RustCryptoConfig>::new_with_config(root);
    match verifier.verify(&evidence(format, misbehave), &collateral, now) {
        Ok(report) => Ok(report.status),
        Err(err) => Err(format!("{err:#}")),
    }
}

#[test]
fn dcap_qvl_accepts_the_quotes_and_refuses_the_wrong_ones() {
    for format in [Format::SgxV3, Format::TdxV4, Format::TdxV5] {
        assert_eq!(dcap_qvl(format, &[]).as_deref(), Ok("UpToDate"), "{format:?}");
        let old = dcap_qvl(format, &[Misbehaviour::OldTcb]);
        assert_eq!(old.as_deref(), Ok("OutOfDate"), "{format:?}");
        for misbehaviour in [
            Misbehaviour::RevokedTcb,
            Misbehaviour::Revoked,
            Misbehaviour::ExpiredCertificate,
            Misbehaviour::OtherProduct,
            Misbehaviour::Debug,
            Misbehaviour::BadSignature,
            Misbehaviour::Truncated,
            Misbehaviour::WrongQe,
        ] {
            dcap_qvl(format, &[misbehaviour]).expect_err(misbehaviour.as_str());
        }
    }
}

#[test]
fn sev_accepts_the_reports_and_refuses_a_wrong_signature() {
    let certificate = |name: &str| {
        let path = SHARED.path().join(format!("pki/certificates/{name}.der"));
        std::fs::read(path).unwrap()
    };
    let chain = Chain::from_der(
        &certificate("amd-ark"),
        &certificate("amd-ask"),
        &certificate("amd-vcek-current"),
    )
    .unwrap();
    chain.verify().unwrap();
    for format in [Format::SnpV2, Format::SnpV3, Format::SnpV5] {
        let report = AttestationReport::from_bytes(&evidence(format, &[])).unwrap();
        assert_eq!(report.version, u32::from(format.version()));
        assert_eq!(report.report_data[..], REPORT_DATA);
        (&chain, &report).verify().unwrap();
        let wrong = evidence(format, &[Misbehaviour::BadSignature]);
        let wrong = AttestationReport::from_bytes(&wrong).unwrap();
        (&chain, &wrong).verify().unwrap_err();
    }
}
