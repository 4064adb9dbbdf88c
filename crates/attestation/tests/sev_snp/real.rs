//! Evidence that AMD's hardware has made.

use crate::{data, machine::Draft};
use casemate_attestation::{
    Grade, Measurements, TcbStatus, TeeKind, TrustRoots, Verified, roots,
    sev_snp::{
        Document, Error, KeyKind, Product, RawEndorsements, Report, TcbVersion, verify, verify_vek,
        verify_with_endorsements,
    },
    x509::Certificate,
};

/// 2026-11-01.
pub const NOW: u64 = 1_793_491_200;

pub const MILAN_REPORT: &[u8] = data!("milan_report.bin");
pub const MILAN_VCEK: &[u8] = data!("milan_vcek.der");
pub const MILAN_CHAIN: &[u8] = data!("milan_chain.pem");
const GENOA_REPORT: &[u8] = data!("genoa_report.bin");
const TURIN_CHAIN: &[u8] = data!("turin_chain.pem");
const GENOA_CHAIN: &[u8] = data!("genoa_chain.pem");

pub fn milan() -> RawEndorsements {
    RawEndorsements::from_kds(MILAN_VCEK, MILAN_CHAIN, None).unwrap()
}

fn accept(report: &[u8], endorsements: &RawEndorsements) -> Verified<Report> {
    let report = Report::parse(report).unwrap();
    verify_with_endorsements(report, endorsements, &TrustRoots::vendors(), None, NOW).unwrap()
}

#[test]
fn pinned_roots_are_the_published_ones() {
    for (chain, name, pinned) in [
        (MILAN_CHAIN, "ARK-Milan", roots::AMD_ARK_MILAN),
        (GENOA_CHAIN, "ARK-Genoa", roots::AMD_ARK_GENOA),
        (TURIN_CHAIN, "ARK-Turin", roots::AMD_ARK_TURIN),
    ] {
        let chain = Certificate::chain_from_pem(chain).unwrap();
        let ark = chain.last().unwrap();
        assert_eq!(ark.subject_common_name(), Some(name));
        assert_eq!(ark.spki_sha256(), pinned);
    }
}

#[test]
fn milan_report_says_what_it_measured() {
    let verified = accept(MILAN_REPORT, &milan());
    let claims = verified.claims();
    assert_eq!(claims.kind, TeeKind::AmdSevSnp);
    assert_eq!(claims.grade, Grade::Hardware);
    assert_eq!(claims.product, "Milan");
    assert_eq!(claims.tcb.status, TcbStatus::UpToDate);
    assert!(!claims.debug);
    assert!(hex::encode(&claims.platform_id).starts_with("d49554ec717f4e5b"));
    assert!(hex::encode(claims.report_data).starts_with("d447b55d197491bf"));
    // The second after the VCEK's last, 2030-04-03 19:23:43.
    assert_eq!(claims.not_after, 1_901_474_624);
    let Measurements::SevSnp { measurement, vmpl, policy, .. } = &claims.measurements else {
        panic!("no SNP measurements")
    };
    assert!(hex::encode(measurement).starts_with("7a1e5c266c0108db"));
    assert_eq!((*vmpl, *policy), (0, 0x30000));
    assert_eq!(*claims.measurements.workload(), measurement[..]);
    assert_eq!(verified.evidence().as_bytes(), MILAN_REPORT);
}

#[test]
fn genoa_report_is_accepted() {
    let endorsements =
        RawEndorsements::from_kds(data!("genoa_vcek.der"), GENOA_CHAIN, None).unwrap();
    let verified = accept(GENOA_REPORT, &endorsements);
    assert_eq!(verified.claims().product, "Genoa");
    assert_eq!(verified.claims().report_data, [7; 64]);
    let tcb = verified.evidence().reported_tcb(Product::Genoa).unwrap();
    assert_eq!(tcb, TcbVersion { boot_loader: 7, tee: 0, snp: 11, microcode: 62, fmc: None });
}

#[test]
fn debug_report_is_genuine_and_says_debug() {
    // Both certificates of the same key hold.
    for vcek in [&data!("milan_debug_vcek.der")[..], &data!("milan_debug_vcek_2022.der")[..]] {
        let endorsements = RawEndorsements::from_kds(vcek, MILAN_CHAIN, None).unwrap();
        assert!(accept(data!("milan_debug_report.bin"), &endorsements).claims().debug);
    }
}

#[test]
fn turin_vcek_has_its_own_layout() {
    let endorsements =
        RawEndorsements::from_kds(data!("turin_vcek.der"), TURIN_CHAIN, None).unwrap();
    let vek = endorsements.verify(&TrustRoots::vendors(), NOW).unwrap();
    assert_eq!((vek.kind, vek.product), (KeyKind::Vcek, Product::Turin));
    assert_eq!(vek.tcb, TcbVersion { boot_loader: 0, tee: 0, snp: 0, microcode: 9, fmc: Some(0) });
    let chip_id = vek.chip_id.unwrap();
    assert_eq!(hex::encode(&chip_id[..8]), "1e550a8ee5cf9f4d");
    assert_eq!(chip_id[8..], [0; 56]);
    assert!(!vek.revocation_checked);
}

#[test]
fn azure_report_is_read_and_not_its_neighbours() {
    // 32 bytes of header, then the report.
    let report = Report::parse(&data!("azure_hcl_report.bin")[32..32 + Report::LEN]).unwrap();
    assert_eq!(report.version(), 2);
    assert_eq!(report.policy(), 0x3001f);
    assert_eq!(report.report_data()[32..], [0; 32]);
    let vek = milan().verify(&TrustRoots::vendors(), NOW).unwrap();
    assert_eq!(verify(report, &vek, None, NOW), Err(Error::ChipId));
}

#[test]
fn minimum_decides_the_status() {
    let vek = milan().verify(&TrustRoots::vendors(), NOW).unwrap();
    let status = |minimum| {
        let report = Report::parse(MILAN_REPORT).unwrap();
        verify(report, &vek, Some(minimum), NOW).unwrap().claims().tcb.status
    };
    let exact = TcbVersion { boot_loader: 3, tee: 0, snp: 8, microcode: 0x73, fmc: None };
    assert_eq!(status(exact), TcbStatus::UpToDate);
    for newer in [
        TcbVersion { boot_loader: 4, ..exact },
        TcbVersion { tee: 1, ..exact },
        TcbVersion { snp: 9, ..exact },
        TcbVersion { microcode: 0x74, ..exact },
        TcbVersion { fmc: Some(0), ..exact },
    ] {
        assert_eq!(status(newer), TcbStatus::OutOfDate, "{newer}");
    }
}

#[test]
fn other_chips_certificate_is_refused() {
    let report = Report::parse(data!("milan_debug_report.bin")).unwrap();
    let result = verify_with_endorsements(report, &milan(), &TrustRoots::vendors(), None, NOW);
    assert_eq!(result, Err(Error::ChipId));
}

#[test]
fn other_products_chain_is_refused() {
    let chain = Certificate::chain_from_pem(GENOA_CHAIN).unwrap();
    let (ask, ark) = (chain[0].der(), chain[1].der());
    let result = verify_vek(MILAN_VCEK, ask, ark, None, &TrustRoots::vendors(), NOW);
    assert_eq!(result, Err(Error::WrongAsk { kind: KeyKind::Vcek, product: Product::Milan }));
}

#[test]
fn time_is_the_callers() {
    let verify_at = |now| milan().verify(&TrustRoots::vendors(), now);
    let document = Document::Vek;
    // 2023-04-03 19:23:43 to 2030-04-03 19:23:43.
    assert_eq!(verify_at(1_680_549_822), Err(Error::NotYetValid { document }));
    assert!(verify_at(1_680_549_823).is_ok());
    let vek = verify_at(1_901_474_623).unwrap();
    assert_eq!(verify_at(1_901_474_624), Err(Error::Expired { document }));
    // A key that was kept expires as well.
    let report = Report::parse(MILAN_REPORT).unwrap();
    assert!(verify(report.clone(), &vek, None, 1_901_474_623).is_ok());
    assert_eq!(verify(report, &vek, None, 1_901_474_624), Err(Error::Expired { document }));
}

#[test]
fn endorsements_travel_as_json() {
    let endorsements = milan();
    let json = serde_json::to_string(&endorsements).unwrap();
    assert_eq!(serde_json::from_str::<RawEndorsements>(&json).unwrap(), endorsements);
    // PEM is as good as base64.
    let [ask, ark] = ["SEV", "ARK"].map(|_| String::from_utf8(MILAN_CHAIN.to_vec()).unwrap());
    let end = "-----END CERTIFICATE-----\n";
    let (ask, ark) = (ask.split_once(end).unwrap().0, ark.split_once(end).unwrap().1);
    let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
    value["ask"] = format!("{ask}{end}").into();
    value["ark"] = ark.into();
    let with_pem: RawEndorsements = serde_json::from_value(value.clone()).unwrap();
    let roots = TrustRoots::vendors();
    assert_eq!(with_pem.verify(&roots, NOW), endorsements.verify(&roots, NOW));
    let again = serde_json::to_string(&with_pem).unwrap();
    assert_eq!(serde_json::from_str::<RawEndorsements>(&again).unwrap(), with_pem);
    value["vek"] = "?".into();
    assert!(serde_json::from_value::<RawEndorsements>(value).is_err());
}

#[test]
fn certificate_table_of_the_host_is_read() {
    let endorsements = milan();
    let guid = |id: &str| {
        let b: Vec<u8> = hex::decode(id.replace('-', "")).unwrap();
        [&[b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6]], &b[8..]].concat()
    };
    let entries = [
        ("4ab7b379-bbac-4fe4-a02f-05aef327c782", &endorsements.ask),
        ("63da758d-e664-4564-adc5-f4b93be8accd", &endorsements.vek),
        ("c0b406a4-a803-4952-9743-3fb6014cd0ae", &endorsements.ark),
    ];
    let (mut table, mut body) = (Vec::new(), Vec::<u8>::new());
    for (id, der) in entries {
        table.extend(guid(id));
        table.extend((96 + body.len() as u32).to_le_bytes());
        table.extend((der.len() as u32).to_le_bytes());
        body.extend(der);
    }
    table.extend([0; 24]);
    table.extend(body);
    assert_eq!(RawEndorsements::from_certificate_table(&table), Some(endorsements));
    // Cut off anywhere: no certificates, and no panic.
    for length in [0, 23, 24, 71, 95, 96, table.len() - 1] {
        assert_eq!(RawEndorsements::from_certificate_table(&table[..length]), None);
    }
}

#[test]
fn where_the_vcek_is() {
    let report = Report::parse(GENOA_REPORT).unwrap();
    let path = report.vcek_path(Product::Genoa).unwrap();
    assert!(path.starts_with("/vcek/v1/Genoa/a50ca20e79a22439"));
    assert!(path.ends_with("601d8799d40?blSPL=07&teeSPL=00&snpSPL=11&ucodeSPL=62"));
    let turin = Report::parse(&Draft::turin().sign()).unwrap();
    assert_eq!(
        turin.vcek_path(Product::Turin).unwrap(),
        "/vcek/v1/Turin/c5c5c5c5c5c5c5c5?fmcSPL=02&blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115"
    );
    let hidden = Report::parse(&Draft::milan().with(0x1a0, &[0; 64]).sign()).unwrap();
    assert_eq!(hidden.vcek_path(Product::Milan), Err(Error::ChipIdMasked));
}

#[test]
fn versions_are_written_as_they_are_read() {
    for (product, bytes) in [
        (Product::Milan, [1, 2, 0, 0, 0, 0, 3, 4]),
        (Product::Genoa, [1, 2, 0, 0, 0, 0, 3, 4]),
        (Product::Turin, [5, 1, 2, 3, 0, 0, 0, 4]),
    ] {
        let version = TcbVersion::from_bytes(bytes, product).unwrap();
        assert_eq!((version.boot_loader, version.microcode), (1, 4));
        assert_eq!(version.to_bytes(product), bytes);
    }
}
