//! Evidence before the verifiers that production uses: accepted under the roots of its own network
//! only, and each misbehaviour refused for its own reason.

use crate::common::SHARED;
use casemate_attestation::{
    Claims, Grade, Measurements, TcbStatus, TrustRoots, dcap,
    policy::{Context, Policy},
    sev_snp,
};
use casemate_software_tee::{
    Collateral, Format, Misbehaviour,
    daemon::now,
    measure::{self, Content},
    wire::Kind,
};

const REPORT_DATA: [u8; 64] = [0x5a; 64];

fn content() -> Content {
    Content::new(b"the agent", None, [7; 32])
}

fn collateral(misbehave: &[Misbehaviour]) -> Collateral {
    SHARED.pki().collateral(now().unwrap(), SHARED.validity(), misbehave).unwrap()
}

fn roots(collateral: &Collateral) -> TrustRoots {
    serde_json::from_value(collateral.roots()).unwrap()
}

#[derive(Debug, PartialEq)]
enum Refused {
    Intel(dcap::Error),
    Amd(sev_snp::Error),
}

/// Makes evidence and verifies it by the whole road.
fn verify(
    format: Format,
    misbehave: &[Misbehaviour],
    collateral: &Collateral,
    roots: &TrustRoots,
) -> Result<Claims, Refused> {
    let measurements = measure::expected(format.kind(), &content());
    let evidence = SHARED.pki().evidence(format, &measurements, &REPORT_DATA, misbehave).unwrap();
    let now = now().unwrap();
    if format.kind() == Kind::AmdSevSnp {
        let json = collateral.amd.to_json();
        let mut endorsements: sev_snp::RawEndorsements =
            serde_json::from_value(evidence.endorsements.unwrap()).unwrap();
        let published: sev_snp::RawEndorsements =
            serde_json::from_value(json["endorsements"].clone()).unwrap();
        endorsements.crl = published.crl;
        let minimum = serde_json::from_value(json["minimumTcb"].clone()).unwrap();
        let report = sev_snp::Report::parse(&evidence.bytes).map_err(Refused::Amd)?;
        assert_eq!(report.version(), u32::from(format.version()));
        sev_snp::verify_with_endorsements(report, &endorsements, roots, Some(minimum), now)
            .map(casemate_attestation::Verified::into_claims)
            .map_err(Refused::Amd)
    } else {
        let intel = if format.kind() == Kind::IntelTdx { &collateral.tdx } else { &collateral.sgx };
        let raw: dcap::RawCollateral = serde_json::from_value(intel.to_json()).unwrap();
        let quote = dcap::Quote::parse(&evidence.bytes).map_err(Refused::Intel)?;
        assert_eq!(quote.version(), format.version());
        dcap::verify_with_collateral(quote, &raw, roots, now)
            .map(casemate_attestation::Verified::into_claims)
            .map_err(Refused::Intel)
    }
}

#[test]
fn good_evidence_of_each_format_verifies_under_its_own_roots() {
    let collateral = collateral(&[]);
    let roots = roots(&collateral);
    for format in Format::ALL {
        let claims = verify(format, &[], &collateral, &roots).unwrap();
        assert_eq!(claims.grade, Grade::Software, "{format:?}");
        assert_eq!(claims.tcb.status, TcbStatus::UpToDate, "{format:?}");
        assert_eq!(claims.tcb.advisories, Vec::<String>::new());
        assert!(!claims.debug, "{format:?}");
        assert_eq!(claims.report_data, REPORT_DATA);
        let expected = measure::expected(format.kind(), &content());
        assert_eq!(*claims.measurements.workload(), *expected.workload(), "{format:?}");
        match (expected, claims.measurements) {
            (
                measure::Measurements::Sgx { mr_enclave, mr_signer },
                Measurements::Sgx { mr_enclave: e, mr_signer: s, .. },
            ) => assert_eq!((mr_enclave, mr_signer), (e, s)),
            (
                measure::Measurements::Tdx { mr_td, rtmr, mr_config_id },
                Measurements::Tdx { mr_td: t, rtmr: r, mr_config_id: c, .. },
            ) => assert_eq!((mr_td, rtmr, mr_config_id), (t, r, c)),
            (
                measure::Measurements::SevSnp { measurement, host_data },
                Measurements::SevSnp { measurement: m, host_data: h, vmpl: 0, .. },
            ) => assert_eq!((measurement, host_data), (m, h)),
            (expected, found) => panic!("{expected:?} is not {found:?}"),
        }
    }
}

#[test]
fn the_vendors_roots_refuse_it() {
    let collateral = collateral(&[]);
    for roots in [TrustRoots::vendors(), TrustRoots::default()] {
        for format in Format::ALL {
            match verify(format, &[], &collateral, &roots) {
                Err(Refused::Intel(dcap::Error::UntrustedRoot(_))) => {}
                Err(Refused::Amd(sev_snp::Error::UnknownRoot { .. })) => {}
                other => panic!("{format:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn one_vendors_root_is_not_the_others() {
    let collateral = collateral(&[]);
    let mut json = collateral.roots();
    for root in json.as_array_mut().unwrap() {
        let other = if root["vendor"] == "intel" { "amd" } else { "intel" };
        root["vendor"] = other.into();
    }
    let swapped: TrustRoots = serde_json::from_value(json).unwrap();
    for format in Format::ALL {
        assert!(verify(format, &[], &collateral, &swapped).is_err(), "{format:?}");
    }
}

/// Appraises under a policy that differs from the default in accepting this grade alone, and gives
/// the names of the checks that failed.
fn failed_checks(format: Format, misbehave: &[Misbehaviour], policy: &Policy) -> Vec<String> {
    let collateral = collateral(&[]);
    let roots = roots(&collateral);
    let measurements = measure::expected(format.kind(), &content());
    let evidence = SHARED.pki().evidence(format, &measurements, &REPORT_DATA, misbehave).unwrap();
    let now = now().unwrap();
    let context = Context { now, report_data: Some(&REPORT_DATA), provider: None };
    let verdict = if format.kind() == Kind::AmdSevSnp {
        let json = collateral.amd.to_json();
        let endorsements: sev_snp::RawEndorsements =
            serde_json::from_value(evidence.endorsements.unwrap()).unwrap();
        let minimum = serde_json::from_value(json["minimumTcb"].clone()).unwrap();
        let report = sev_snp::Report::parse(&evidence.bytes).unwrap();
        let verified =
            sev_snp::verify_with_endorsements(report, &endorsements, &roots, Some(minimum), now);
        policy.appraise(&verified.unwrap(), &context).map(drop)
    } else {
        let intel = if format.kind() == Kind::IntelTdx { &collateral.tdx } else { &collateral.sgx };
        let raw: dcap::RawCollateral = serde_json::from_value(intel.to_json()).unwrap();
        let quote = dcap::Quote::parse(&evidence.bytes).unwrap();
        let verified = dcap::verify_with_collateral(quote, &raw, &roots, now);
        policy.appraise(&verified.unwrap(), &context).map(drop)
    };
    let Err(verdict) = verdict else { return vec![] };
    verdict.failed().map(|check| check.name.clone()).collect()
}

#[test]
fn the_default_policy_refuses_this_grade_and_nothing_else_about_it() {
    let development = Policy { grades: vec![Grade::Software], ..Policy::default() };
    for format in Format::ALL {
        assert_eq!(failed_checks(format, &[], &development), Vec::<String>::new(), "{format:?}");
        assert_eq!(
            failed_checks(format, &[], &Policy::default()),
            ["grade of the trust root"],
            "{format:?}"
        );
    }
}

#[test]
fn what_verifies_and_should_not_be_accepted_fails_its_own_check_of_the_policy() {
    let development = Policy { grades: vec![Grade::Software], ..Policy::default() };
    for format in Format::ALL {
        for (misbehaviour, check) in [
            (Misbehaviour::OldTcb, "state of the platform's firmware"),
            (Misbehaviour::Debug, "debugger"),
            (Misbehaviour::WrongReportData, "report data"),
        ] {
            let failed = failed_checks(format, &[misbehaviour], &development);
            assert_eq!(failed, [check], "{format:?} {misbehaviour}");
        }
    }
}

#[test]
fn each_misbehaviour_of_intels_is_refused_for_its_own_reason() {
    use dcap::{Document, Error, Part};
    let good = collateral(&[]);
    let roots = roots(&good);
    for format in [Format::SgxV3, Format::TdxV4, Format::TdxV5] {
        for (misbehaviour, error) in [
            (Misbehaviour::RevokedTcb, Error::TcbRevoked("platform")),
            (Misbehaviour::Revoked, Error::RevokedCertificate(Document::PckCertificate)),
            (Misbehaviour::ExpiredCertificate, Error::Expired(Document::PckCertificate)),
            (Misbehaviour::OtherProduct, Error::FmspcMismatch),
            (Misbehaviour::WrongQe, Error::QeSigner),
        ] {
            let refused = verify(format, &[misbehaviour], &good, &roots).unwrap_err();
            assert_eq!(refused, Refused::Intel(error), "{format:?} {misbehaviour}");
        }
        assert!(matches!(
            verify(format, &[Misbehaviour::BadSignature], &good, &roots),
            Err(Refused::Intel(Error::QuoteSignature(_)))
        ));
        assert!(matches!(
            verify(format, &[Misbehaviour::Truncated], &good, &roots),
            Err(Refused::Intel(Error::Truncated(
                Part::Signature | Part::QeReport | Part::Certification
            )))
        ));
        for (misbehaviour, error) in [
            (Misbehaviour::ExpiredCollateral, Error::Expired(Document::RootCrl)),
            (Misbehaviour::FutureCollateral, Error::NotYetValid(Document::RootCrl)),
            (Misbehaviour::RevokedTcbSigning, Error::RevokedCertificate(Document::TcbInfoIssuer)),
            (Misbehaviour::RevokedMachine, Error::RevokedCertificate(Document::PckCertificate)),
            (Misbehaviour::RevokedSigners, Error::RevokedCertificate(Document::PckCrlIssuer)),
            (Misbehaviour::RevokedLevel, Error::TcbRevoked("platform")),
        ] {
            let refused = verify(format, &[], &collateral(&[misbehaviour]), &roots).unwrap_err();
            assert_eq!(refused, Refused::Intel(error), "{format:?} {misbehaviour}");
        }
    }
}

#[test]
fn each_misbehaviour_of_amds_is_refused_for_its_own_reason() {
    use sev_snp::{Document, Error, KeyKind, Product};
    let good = collateral(&[]);
    let roots = roots(&good);
    for format in [Format::SnpV2, Format::SnpV3, Format::SnpV5] {
        for (misbehaviour, error) in [
            (Misbehaviour::Revoked, Error::AskRevoked),
            (Misbehaviour::ExpiredCertificate, Error::Expired { document: Document::Vek }),
            (
                Misbehaviour::OtherProduct,
                Error::WrongAsk { kind: KeyKind::Vcek, product: Product::Genoa },
            ),
            (Misbehaviour::BadSignature, Error::Signature),
            (Misbehaviour::Truncated, Error::Length { found: 592 }),
            (Misbehaviour::WrongChip, Error::ChipId),
        ] {
            let refused = verify(format, &[misbehaviour], &good, &roots).unwrap_err();
            assert_eq!(refused, Refused::Amd(error), "{format:?} {misbehaviour}");
        }
        assert!(matches!(
            verify(format, &[Misbehaviour::WrongTcb], &good, &roots),
            Err(Refused::Amd(Error::Tcb { .. }))
        ));
        let claims = verify(format, &[Misbehaviour::RevokedTcb], &good, &roots).unwrap();
        assert_eq!(claims.tcb.status, TcbStatus::OutOfDate);
        for (misbehaviour, error) in [
            (Misbehaviour::ExpiredCollateral, Error::Expired { document: Document::Crl }),
            (Misbehaviour::FutureCollateral, Error::NotYetValid { document: Document::Crl }),
            (Misbehaviour::RevokedAsk, Error::AskRevoked),
        ] {
            let refused = verify(format, &[], &collateral(&[misbehaviour]), &roots).unwrap_err();
            assert_eq!(refused, Refused::Amd(error), "{format:?} {misbehaviour}");
        }
    }
}

#[test]
fn a_wrong_measurement_verifies_and_shows() {
    let good = collateral(&[]);
    let roots = roots(&good);
    for format in Format::ALL {
        let right = verify(format, &[], &good, &roots).unwrap();
        let wrong = verify(format, &[Misbehaviour::WrongMeasurement], &good, &roots).unwrap();
        assert_ne!(right.measurements.workload(), wrong.measurements.workload(), "{format:?}");
    }
}

#[test]
fn the_files_are_what_intels_and_amds_services_give() {
    let now = now().unwrap();
    SHARED.refresh(now).unwrap();
    let folder = SHARED.path().join("collateral");
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (root_ca_crl, pck_crl) = (bytes("intel/root_ca.crl"), bytes("intel/pck_platform.crl"));
    let roots: TrustRoots = serde_json::from_str(&text("roots.json")).unwrap();
    for (name, format) in [("sgx", Format::SgxV3), ("tdx", Format::TdxV4)] {
        let raw = dcap::RawCollateral::from_pcs(&dcap::PcsResponses {
            pck_crl: &pck_crl,
            pck_crl_issuer_chain: &text("intel/pck_crl_issuer_chain.pem"),
            root_ca_crl: &root_ca_crl,
            tcb_info: &text(&format!("intel/{name}/tcb_info.json")),
            tcb_info_issuer_chain: &text("intel/tcb_signing_chain.pem"),
            qe_identity: &text(&format!("intel/{name}/qe_identity.json")),
            qe_identity_issuer_chain: &text("intel/tcb_signing_chain.pem"),
            pck_certificate_chain: None,
        })
        .unwrap();
        let whole: dcap::RawCollateral =
            serde_json::from_str(&text(&format!("intel/{name}/collateral.json"))).unwrap();
        assert_eq!(raw, whole);
        let measurements = measure::expected(format.kind(), &content());
        let evidence = SHARED.pki().evidence(format, &measurements, &REPORT_DATA, &[]).unwrap();
        let quote = dcap::Quote::parse(&evidence.bytes).unwrap();
        dcap::verify_with_collateral(quote, &raw, &roots, now).unwrap();
    }
    let endorsements = sev_snp::RawEndorsements::from_kds(
        &bytes("amd/vcek.pem"),
        &bytes("amd/cert_chain.pem"),
        Some(&bytes("amd/crl")),
    )
    .unwrap();
    let measurements = measure::expected(Kind::AmdSevSnp, &content());
    let evidence = SHARED.pki().evidence(Format::SnpV3, &measurements, &REPORT_DATA, &[]).unwrap();
    let report = sev_snp::Report::parse(&evidence.bytes).unwrap();
    sev_snp::verify_with_endorsements(report, &endorsements, &roots, None, now).unwrap();
}
