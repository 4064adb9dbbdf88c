use super::*;
use alloc::{format, string::ToString, vec};

macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/data/", $name)).as_slice()
    };
}

const TDX: &[u8] = data!("dcap/tdx_quote");
const TDX_COLLATERAL: &[u8] = data!("dcap/tdx_quote_collateral.json");

fn quote() -> dcap::Quote {
    dcap::Quote::parse(TDX).unwrap()
}

fn given(parts: &[&[u8]]) -> Result<Bundle, BundleError> {
    let mut bundle = Bundle::default();
    parts.iter().try_for_each(|part| bundle.add(part))?;
    Ok(bundle)
}

fn raw() -> RawCollateral {
    serde_json::from_slice(TDX_COLLATERAL).unwrap()
}

#[test]
fn a_quote_collateral_file_gives_back_what_is_in_it() {
    let found = given(&[TDX_COLLATERAL]).unwrap().for_dcap(&quote()).unwrap();
    let raw = raw();
    assert_eq!(found.tcb_info, raw.tcb_info);
    assert_eq!(found.tcb_info_signature, raw.tcb_info_signature);
    assert_eq!(found.qe_identity, raw.qe_identity);
    assert_eq!(found.qe_identity_signature, raw.qe_identity_signature);
    assert_eq!(found.pck_crl, raw.pck_crl);
    assert_eq!(found.root_ca_crl, raw.root_ca_crl);
}

#[test]
fn the_pieces_may_come_one_by_one_and_in_any_form() {
    let raw = raw();
    let percent: String = raw
        .tcb_info_issuer_chain
        .bytes()
        .map(|byte| match byte {
            b' ' | b'\n' | b'+' | b'/' | b'=' => format!("%{byte:02X}"),
            _ => char::from(byte).to_string(),
        })
        .collect();
    let signature = hex::encode(&raw.tcb_info_signature);
    let tcb = format!("{{\"tcbInfo\":{},\"signature\":\"{signature}\"}}", raw.tcb_info);
    let signature = hex::encode(&raw.qe_identity_signature);
    let qe = format!("{{\"enclaveIdentity\":{},\"signature\":\"{signature}\"}}", raw.qe_identity);
    let nested = format!("[{{\"a\":{{\"b\":{}}}}}]", serde_json::Value::from(qe));
    let parts: [&[u8]; 5] = [
        percent.as_bytes(),
        tcb.as_bytes(),
        nested.as_bytes(),
        &raw.pck_crl,
        hex::encode(&raw.root_ca_crl).as_bytes().to_vec().leak(),
    ];
    let found = given(&parts).unwrap().for_dcap(&quote()).unwrap();
    assert_eq!(found.tcb_info, raw.tcb_info, "byte for byte as signed");
    assert_eq!(found.qe_identity, raw.qe_identity);
    assert_eq!(found.pck_crl, raw.pck_crl);
    assert_eq!(found.root_ca_crl, raw.root_ca_crl);
}

#[test]
fn what_is_missing_is_named() {
    let raw = raw();
    let missing = |parts: &[&[u8]]| match given(parts).unwrap().for_dcap(&quote()) {
        Err(BundleError::Missing(what)) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(&[&raw.pck_crl]), "the TCB signing certificate");
    let issuer = raw.tcb_info_issuer_chain.as_bytes();
    assert!(missing(&[issuer]).contains("root CA CRL"));
    assert!(missing(&[issuer, &raw.root_ca_crl]).contains("PCK certificate's CA"));
    assert_eq!(missing(&[issuer, &raw.root_ca_crl, &raw.pck_crl]), "the TCB info");
}

#[test]
fn amd_s_certificates_are_put_in_order() {
    let report = sev_snp::Report::parse(data!("sev_snp/milan_report.bin")).unwrap();
    let vcek = data!("sev_snp/milan_vcek.der");
    let chain = data!("sev_snp/milan_chain.pem");
    let found = given(&[chain, vcek]).unwrap().for_sev_snp(&report).unwrap();
    assert_eq!(found.vek, vcek);
    let again = given(&[vcek, chain]).unwrap().for_sev_snp(&report).unwrap();
    assert_eq!(again, found);
    // Another machine's certificates may lie in the same folder, or be newer ones of this machine.
    let others = [data!("sev_snp/milan_debug_vcek.der"), data!("sev_snp/genoa_vcek.der")];
    for other in others {
        let genoa = data!("sev_snp/genoa_chain.pem");
        let found_again =
            given(&[other, genoa, chain, vcek]).unwrap().for_sev_snp(&report).unwrap();
        assert_eq!(found_again, found);
        // What came with the report counts before the folder.
        let own = given(&[other, genoa, chain]).unwrap().for_sev_snp_with(&report, &found).unwrap();
        assert_eq!(own, found);
    }
    let error = given(&[chain]).unwrap().for_sev_snp(&report).unwrap_err();
    assert_eq!(error, BundleError::Missing("the VCEK or VLEK certificate"));
}

#[test]
fn junk_is_no_collateral_and_never_panics() {
    for junk in [
        b"".as_slice(),
        b"hello",
        b"{}",
        b"[]",
        b"{\"a\": [1, 2, {\"b\": \"c\"}]}",
        b"\x30",
        b"\x30\x82\xff\xff",
        &[0xff; 64],
    ] {
        assert_eq!(given(&[junk]).unwrap_err(), BundleError::Unknown, "{junk:?}");
    }
    for broken in [
        b"{\"tcbInfo\":{},\"signature\":\"zz\"}".as_slice(),
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nAAAA",
        b"-----BEGIN%20CERTIFICATE-----%zz",
        b"{\"a\": ",
    ] {
        let error = given(&[broken]).unwrap_err();
        assert!(matches!(error, BundleError::Malformed { .. }), "{broken:?}: {error:?}");
    }
    let deep = vec![b'['; 10_000];
    assert!(given(&[&deep]).is_err());
}

#[test]
fn another_machine_s_collateral_is_the_verifier_s_to_refuse() {
    let other = dcap::Quote::parse(data!("dcap/tdx_quote_td15ex")).unwrap();
    let found = given(&[TDX_COLLATERAL]).unwrap().for_dcap(&other).unwrap();
    let refused =
        dcap::verify_with_collateral(other, &found, &crate::TrustRoots::vendors(), 1_750_809_600);
    assert!(refused.is_err());
}
