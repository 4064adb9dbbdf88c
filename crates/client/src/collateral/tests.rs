use casemate_attestation::{bundle::Bundle, dcap::Quote};

use super::*;

fn data(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../attestation/tests/data/dcap/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

fn real() -> RawCollateral {
    let mut bundle = Bundle::default();
    bundle.add(&data("tdx_quote_td15ex_collateral.json")).unwrap();
    bundle.for_dcap(&Quote::parse(&data("tdx_quote_td15ex")).unwrap()).unwrap()
}

#[test]
fn intel_s_real_collateral_comes_apart_in_the_chain_s_order() {
    let made = of_intel(real()).unwrap();
    let names: Vec<_> = made.endorsements.iter().map(Endorsement::name).collect();
    let expected = [
        "root CA revocation list",
        "PCK CA revocation list",
        "TCB info",
        "QE identity",
        "PCK certificate",
    ];
    assert_eq!(names, expected);
    let Endorsement::RootCrl { issuer_chain, .. } = &made.endorsements[0] else { panic!() };
    let root = Certificate::chain_from_pem(issuer_chain.as_bytes()).unwrap();
    assert!(root.len() == 1 && root[0].is_self_issued());
    let quote = Quote::parse(&data("tdx_quote_td15ex")).unwrap();
    let pck = quote.pck_chain().unwrap().unwrap().remove(0);
    assert_eq!(made.certificate, <[u8; 32]>::from(Sha256::digest(pck.der())));
}

#[test]
fn what_is_missing_is_named() {
    let without = RawCollateral { pck_certificate_chain: None, ..real() };
    assert!(matches!(of_intel(without), Err(CollateralError::Missing("the PCK certificate"))));
    let junk = RawCollateral { pck_certificate_chain: Some("junk".into()), ..real() };
    assert!(of_intel(junk).is_err());
    let short = RawCollateral { tcb_info_signature: vec![1; 63], ..real() };
    assert!(matches!(of_intel(short), Err(CollateralError::Signature("TCB info"))));
    let raw = RawEndorsements { vek: vec![1], ask: vec![2], ark: vec![3], crl: None };
    assert!(matches!(of_amd(raw.clone()), Err(CollateralError::Missing(_))));
    let made = of_amd(RawEndorsements { crl: Some(vec![4]), ..raw }).unwrap();
    // The list first: the chain asks it whether the certificate counts.
    let [Endorsement::AmdCrl { crl, ark }, Endorsement::Vek { vek, .. }] = &made.endorsements[..]
    else {
        panic!("{:?}", made.endorsements)
    };
    assert_eq!((&crl[..], &ark[..], &vek[..]), (&[4][..], &[3][..], &[1][..]));
}
