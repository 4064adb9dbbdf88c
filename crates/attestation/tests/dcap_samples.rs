//! Real quotes and collateral of Intel's production root, at fixed times.

mod dcap_support;

use casemate_attestation::{
    Grade, Measurements, TcbStatus, TeeKind, TrustRoots,
    dcap::{
        Document, Endorsements, Error, PckCa, PckHint, PcsResponses, Quote, RawCollateral, verify,
        verify_pck, verify_pck_crl, verify_qe_identity, verify_root_crl, verify_tcb_info,
        verify_with_collateral,
    },
    roots::INTEL_SGX_ROOT,
    x509::Certificate,
};
use dcap_support::{Sample, read, sample};

// Seconds since 1970 of days (UTC, midnight) on which the samples' collateral is valid.
const JUNE_2025: u64 = 1_750_809_600;
const MARCH_2026: u64 = 1_772_323_200;
const OCTOBER_2026: u64 = 1_792_022_400;
const SEPTEMBER_2024: u64 = 1_726_790_400;
const MAY_2024: u64 = 1_716_163_200;
const MAY_2023: u64 = 1_683_676_800;

fn verified(sample: &Sample, now: u64) -> casemate_attestation::Verified<Quote> {
    let quote = Quote::parse(&sample.quote).expect("parses");
    verify_with_collateral(quote, &sample.collateral, &TrustRoots::vendors(), now)
        .expect("verifies")
}

#[test]
fn an_sgx_quote_verifies() {
    let verified = verified(&sample("sgx_quote"), JUNE_2025);
    let claims = verified.claims();
    assert_eq!(claims.kind, TeeKind::IntelSgx);
    assert_eq!(claims.grade, Grade::Hardware);
    assert_eq!(claims.tcb.status, TcbStatus::ConfigurationAndSwHardeningNeeded);
    assert_eq!(claims.tcb.advisories, ["INTEL-SA-00289", "INTEL-SA-00615"]);
    assert_eq!(claims.tcb.evaluation, Some(17));
    assert_eq!(claims.product, "00A067110000");
    assert_eq!(claims.platform_id.len(), 16);
    // The identity of the quoting enclave expires first: 2025-07-19T10:01:18Z, or its revocation
    // lists do; the first second after is meant.
    assert!(claims.not_after > JUNE_2025 && claims.not_after <= 1_752_919_278 + 1);
    assert_eq!(&claims.report_data, verified.evidence().report_data());
    let Measurements::Sgx { mr_enclave, .. } = &claims.measurements else { panic!("not SGX") };
    assert_ne!(mr_enclave, &[0; 32]);
}

#[test]
fn tdx_quotes_of_version_4_and_5_verify() {
    for (name, now, version) in [("tdx_quote", JUNE_2025, 4), ("tdx_quote_td15ex", OCTOBER_2026, 5)]
    {
        let verified = verified(&sample(name), now);
        assert_eq!(verified.evidence().version(), version);
        let claims = verified.claims();
        assert_eq!(claims.kind, TeeKind::IntelTdx);
        assert_eq!(claims.tcb.status, TcbStatus::UpToDate, "{name}");
        assert_eq!(claims.tcb.advisories, [""; 0]);
        assert_eq!(claims.product, "B0C06F000000");
        assert!(!claims.debug);
        let Measurements::Tdx { mr_td, .. } = &claims.measurements else { panic!("not TDX") };
        assert_eq!(mr_td, &verified.evidence().td_report().expect("a TD").mr_td);
    }
}

#[test]
fn a_platform_below_all_levels_is_refused() {
    let sample = sample("tdx_quote_outdated");
    let quote = Quote::parse(&sample.quote).expect("parses");
    let result =
        verify_with_collateral(quote, &sample.collateral, &TrustRoots::vendors(), MARCH_2026);
    assert_eq!(result, Err(Error::NoTcbLevel));
}

#[test]
fn quotes_without_collateral_parse() {
    for name in ["quote-from-tappd.hex", "tdx-quote.hex"] {
        let text = String::from_utf8(read(name)).expect("text");
        let quote = Quote::parse(&hex::decode(text.trim().trim_start_matches("0x")).expect("hex"))
            .expect("parses");
        assert_eq!(quote.tee_kind(), TeeKind::IntelTdx);
        assert_eq!(quote.certification().kind, 5);
        assert_eq!(quote.pck_chain().expect("a chain").expect("reads").len(), 3);
    }
}

#[test]
fn collateral_is_valid_within_its_dates_only() {
    let sample = sample("tdx_quote");
    let at = |now| {
        let quote = Quote::parse(&sample.quote).expect("parses");
        verify_with_collateral(quote, &sample.collateral, &TrustRoots::vendors(), now)
            .map(|verified| verified.claims().not_after)
    };
    let end = at(JUNE_2025).expect("valid");
    assert!(at(end - 1).is_ok(), "the last second");
    assert!(matches!(at(end), Err(Error::Expired(_))), "the first second after");
    assert!(matches!(at(JUNE_2025 - 30 * 86_400), Err(Error::NotYetValid(_))));
    assert_eq!(at(0), Err(Error::NotYetValid(Document::RootCertificate)));
    assert_eq!(at(u64::MAX), Err(Error::Expired(Document::RootCertificate)));
}

#[test]
fn intels_published_root_is_the_pinned_one() {
    let root =
        Certificate::from_der(&read("dcap-rs/Intel_SGX_Provisioning_Certification_RootCA.cer"))
            .expect("a certificate");
    assert_eq!(root.spki_sha256(), INTEL_SGX_ROOT);
    assert_eq!(root.subject_common_name(), Some("Intel SGX Root CA"));
    root.verify_issued_by(&root).expect("signed by itself");
}

#[test]
fn a_service_answers_are_put_together() {
    let tcb_chain = String::from_utf8(read("dcap-rs/tcb_signing_cert.pem")).expect("text");
    let tcb_info = String::from_utf8(read("dcap-rs/tcbinfov3_00806f050000.json")).expect("text");
    let qe_identity = String::from_utf8(read("dcap-rs/qeidentityv2_apiv4.json")).expect("text");
    let quote = Quote::parse(&read("dcap-rs/quote_tdx_00806f050000.dat")).expect("parses");
    let chain = quote.pck_chain().expect("has one").expect("reads");
    let ca_chain = dcap_support::pem(chain.iter().skip(1).map(Certificate::der));
    // As a header has it.
    let header = ca_chain.replace('+', "%2B").replace('\n', "%0A").replace(' ', "%20");
    let collateral = RawCollateral::from_pcs(&PcsResponses {
        pck_crl: &read("dcap-rs/pck_platform_crl.der"),
        pck_crl_issuer_chain: &header,
        root_ca_crl: hex::encode(read("dcap-rs/intel_root_ca_crl.der")).as_bytes(),
        tcb_info: &tcb_info,
        tcb_info_issuer_chain: &tcb_chain,
        qe_identity: &qe_identity,
        qe_identity_issuer_chain: &tcb_chain,
        pck_certificate_chain: None,
    })
    .expect("well formed");
    assert_eq!(collateral.pck_crl_issuer_chain, ca_chain);

    // The list of revoked PCK certificates had expired before the TCB info was issued, so there is
    // no moment at which all of it is valid.
    let roots = TrustRoots::vendors();
    let whole = verify_with_collateral(quote.clone(), &collateral, &roots, SEPTEMBER_2024);
    assert_eq!(whole, Err(Error::Expired(Document::PckCrl)));

    // Each part is, at its time.
    let root = chain.last().expect("a root");
    let root_crl =
        verify_root_crl(&collateral.root_ca_crl, root, &roots, MAY_2024).expect("root list");
    let mut pck_crl =
        verify_pck_crl(&collateral.pck_crl, ca_chain.as_bytes(), &root_crl, &roots, MAY_2024)
            .expect("PCK list");
    assert_eq!(pck_crl.ca, PckCa::Platform);
    assert!(!pck_crl.revoked.is_empty());
    pck_crl.not_after = SEPTEMBER_2024;
    let tcb_info = verify_tcb_info(
        &collateral.tcb_info,
        collateral.tcb_info_signature.as_slice().try_into().expect("64 bytes"),
        tcb_chain.as_bytes(),
        &root_crl,
        &roots,
        SEPTEMBER_2024,
    )
    .expect("TCB info");
    assert_eq!(tcb_info.fmspc, [0x00, 0x80, 0x6f, 0x05, 0x00, 0x00]);
    let qe_identity = verify_qe_identity(
        &collateral.qe_identity,
        collateral.qe_identity_signature.as_slice().try_into().expect("64 bytes"),
        tcb_chain.as_bytes(),
        &root_crl,
        &roots,
        SEPTEMBER_2024,
    )
    .expect("identity");
    let pck_pem = quote.certification().data.to_vec();
    let pck = verify_pck(&pck_pem, &root_crl, &pck_crl, &roots, SEPTEMBER_2024).expect("PCK");
    let endorsements = Endorsements {
        root_crl: &root_crl,
        pck: &pck,
        pck_crl: &pck_crl,
        tcb_info: &tcb_info,
        qe_identity: &qe_identity,
    };
    let verified = verify(quote, &endorsements, SEPTEMBER_2024).expect("verifies");
    assert_eq!(verified.claims().product, "00806F050000");
}

#[test]
fn an_sgx_platform_of_2023_is_certified() {
    let quote = Quote::parse(&read("mc-sgx/hw_quote.dat")).expect("parses");
    let roots = TrustRoots::vendors();
    let chain = quote.pck_chain().expect("has one").expect("reads");
    let root = chain.last().expect("a root");
    let root_crl =
        verify_root_crl(&read("mc-sgx/root_crl.der"), root, &roots, MAY_2023).expect("root list");
    let ca_chain = dcap_support::pem(chain.iter().skip(1).map(Certificate::der));
    let pck_crl = verify_pck_crl(
        &read("mc-sgx/processor_crl.der"),
        ca_chain.as_bytes(),
        &root_crl,
        &roots,
        MAY_2023,
    )
    .expect("PCK list");
    let pck =
        verify_pck(quote.certification().data, &root_crl, &pck_crl, &roots, MAY_2023).expect("PCK");
    assert_eq!(pck.fmspc, [0x00, 0x90, 0x6e, 0xd5, 0x00, 0x00]);
    assert_eq!(pck.ca, PckCa::Processor);
}

#[test]
fn a_quote_says_which_collateral_to_fetch() {
    let hint = |name| {
        let quote = Quote::parse(&read(name)).expect("parses");
        PckHint::of(&quote.pck_chain().expect("has one").expect("reads")).expect("Intel's form")
    };
    let sgx = hint("sgx_quote");
    assert_eq!((sgx.fmspc, sgx.ca), ([0x00, 0xa0, 0x67, 0x11, 0x00, 0x00], PckCa::Processor));
    let tdx = hint("tdx_quote");
    assert_eq!((tdx.fmspc, tdx.ca), ([0xb0, 0xc0, 0x6f, 0x00, 0x00, 0x00], PckCa::Platform));
    assert_eq!(PckHint::of(&[]), None);
}
