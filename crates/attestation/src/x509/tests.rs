//! The readers, on Intel's certificates and on bad input. Chains and revocation are tested where
//! they are used, in the verifiers.

#![allow(clippy::cast_possible_truncation, reason = "the test chooses the values")]

use super::{asn1::Reader, time::unix_seconds, *};
use alloc::{vec, vec::Vec};

const CHAIN: &[u8] = include_bytes!("../../tests/data/dcap/dcap-rs/pck_certchain.pem");
const TCB_CHAIN: &[u8] = include_bytes!("../../tests/data/dcap/dcap-rs/tcb_signing_cert.pem");
const ROOT: &[u8] =
    include_bytes!("../../tests/data/dcap/dcap-rs/Intel_SGX_Provisioning_Certification_RootCA.cer");
const ROOT_CRL: &[u8] = include_bytes!("../../tests/data/dcap/dcap-rs/intel_root_ca_crl.der");
const PLATFORM_CRL: &[u8] = include_bytes!("../../tests/data/dcap/dcap-rs/pck_platform_crl.der");

const MAY_2024: u64 = 1_716_163_200;

#[test]
fn a_certificate_is_read() {
    let root = Certificate::from_der(ROOT).unwrap();
    assert_eq!(root.der(), ROOT);
    assert_eq!(hex::encode(root.serial()), "22650cd65a9d3489f383b49552bf501b392706ac");
    assert_eq!(root.not_before(), 1_526_899_510, "2018-05-21T10:45:10Z");
    assert_eq!(root.not_after(), 2_524_607_999, "2049-12-31T23:59:59Z");
    assert_eq!(root.subject_common_name(), Some("Intel SGX Root CA"));
    assert!(root.is_ca() && root.is_self_issued());
    assert!(root.extension(&ObjectIdentifier::new_unwrap("2.5.29.14")).is_some());
    assert!(root.extension(&ObjectIdentifier::new_unwrap("2.5.29.99")).is_none());
}

#[test]
fn a_chain_verifies_up_to_its_root() {
    let certificates = Certificate::chain_from_pem(CHAIN).unwrap();
    assert_eq!(certificates.len(), 3);
    let chain = verify_chain(&certificates, MAY_2024).unwrap();
    assert_eq!(chain.root.der(), ROOT);
    assert_eq!(chain.leaf, &certificates[0]);
    assert_eq!(chain.not_after, certificates[0].not_after());
    assert_eq!(verify_chain(&certificates, 0).unwrap_err(), X509Error::NotYetValid);
    assert_eq!(verify_chain(&certificates, u64::MAX).unwrap_err(), X509Error::Expired);
    assert_eq!(verify_chain(&[], MAY_2024).unwrap_err(), X509Error::ChainLength);

    let mut swapped = certificates.clone();
    swapped.swap(1, 2);
    assert_eq!(verify_chain(&swapped, MAY_2024).unwrap_err(), X509Error::WrongIssuer);
    let without_root = &certificates[..2];
    assert_eq!(verify_chain(without_root, MAY_2024).unwrap_err(), X509Error::WrongIssuer);
    let other = Certificate::chain_from_pem(TCB_CHAIN).unwrap();
    // Directly below the root, but no CA.
    assert_eq!(certificates[0].verify_issued_by(&other[0]).unwrap_err(), X509Error::WrongIssuer);
}

#[test]
fn a_changed_certificate_is_refused() {
    let root = Certificate::from_der(ROOT).unwrap();
    let mut changed = 0;
    for position in 0..ROOT.len() {
        let mut der = ROOT.to_vec();
        der[position] ^= 1;
        if let Ok(certificate) = Certificate::from_der(&der) {
            assert!(certificate.verify_issued_by(&root).is_err(), "byte {position}");
            changed += 1;
        }
    }
    assert!(changed > 300, "most changes still read as a certificate: {changed}");
}

#[test]
fn a_truncated_certificate_or_list_is_refused() {
    for length in 0..ROOT.len() {
        assert_eq!(Certificate::from_der(&ROOT[..length]), Err(X509Error::Malformed));
    }
    for length in 0..PLATFORM_CRL.len() {
        assert_eq!(Crl::from_der(&PLATFORM_CRL[..length]), Err(X509Error::Malformed));
    }
    let mut longer = ROOT.to_vec();
    longer.push(0);
    assert_eq!(Certificate::from_der(&longer), Err(X509Error::Malformed));
    assert_eq!(Certificate::from_der(&vec![0; DER_BYTES_MAX + 1]), Err(X509Error::TooLarge));
    assert_eq!(Crl::from_der(&vec![0; DER_BYTES_MAX + 1]), Err(X509Error::TooLarge));
}

#[test]
fn a_revocation_list_is_read() {
    let root = Certificate::from_der(ROOT).unwrap();
    let crl = Crl::from_der(ROOT_CRL).unwrap();
    crl.verify_issued_by(&root).unwrap();
    assert_eq!(crl.check_validity(MAY_2024), Ok(()));
    assert_eq!(crl.check_validity(0), Err(X509Error::NotYetValid));
    assert_eq!(crl.check_validity(u64::MAX), Err(X509Error::Expired));
    assert_eq!(crl.revoked_serials().len(), 0);

    let crl = Crl::from_der(PLATFORM_CRL).unwrap();
    assert_eq!(crl.verify_issued_by(&root), Err(X509Error::WrongIssuer));
    let issuer = &Certificate::chain_from_pem(CHAIN).unwrap()[1];
    crl.verify_issued_by(issuer).unwrap();
    assert!(crl.revoked_serials().len() > 10);
    let serials: Vec<_> = crl.revoked_serials().collect();
    assert!(crl.is_revoked(serials[0]));
    assert!(!crl.is_revoked(&[1]));
}

#[test]
fn pem_is_strict() {
    let text = core::str::from_utf8(TCB_CHAIN).unwrap();
    let count = |text: &str| Certificate::chain_from_pem(text.as_bytes()).map(|list| list.len());
    assert_eq!(count(text), Ok(2));
    assert_eq!(count(&alloc::format!("{text}\n\0\0")), Ok(2), "as in Intel's quotes");
    assert_eq!(count(&text.replace('\n', "\r\n")), Ok(2));
    assert_eq!(count(""), Err(X509Error::ChainLength));
    assert_eq!(count(&text.repeat(5)), Err(X509Error::ChainLength));
    for broken in [
        alloc::format!("x{text}"),
        alloc::format!("{text}x"),
        text.replace("CERTIFICATE", "CERTIFICAT"),
        text.replacen("-----END", "----END", 1),
        text.replacen("MII", "M!I", 1),
        text.replacen("MII", "M=I", 1),
        text.replacen("-----END CERTIFICATE-----", "", 2),
    ] {
        assert_eq!(count(&broken), Err(X509Error::MalformedPem));
    }
}

#[test]
fn base64_has_one_form() {
    assert_eq!(pem::base64(b"").unwrap(), b"");
    assert_eq!(pem::base64(b"Zg==").unwrap(), b"f");
    assert_eq!(pem::base64(b"Zm8=").unwrap(), b"fo");
    assert_eq!(pem::base64(b"Zm 9v\n").unwrap(), b"foo");
    // Bits that do not count, padding that is missing, too much or early.
    for text in ["Zh==", "Zm9=", "Zg", "Zg=", "Zg===", "Z===", "=Zg=", "Z", "Zm9v="] {
        assert_eq!(pem::base64(text.as_bytes()), Err(X509Error::MalformedPem), "{text}");
    }
}

#[test]
fn lengths_have_one_form() {
    let read = |bytes: &[u8]| Reader::new(bytes).element().map(|element| element.content.len());
    assert_eq!(read(&[4, 1, 0]), Ok(1));
    // Longer than needed, indefinite, past the end, a tag of several bytes.
    for bytes in [
        &[4, 0x81, 1, 0][..],
        &[4, 0x82, 0, 1, 0],
        &[4, 0x80, 0, 0],
        &[4, 2, 0],
        &[0x1f, 1, 0],
        &[],
    ] {
        assert!(read(bytes).is_err(), "{bytes:?}");
    }
    assert!(asn1::only(asn1::SEQUENCE, &[0x30, 0, 0]).is_err(), "something follows");
    let integer = |bytes: &[u8]| Reader::new(bytes).integer().map(<[u8]>::to_vec);
    assert_eq!(integer(&[2, 2, 0, 0x80]), Ok(vec![0, 0x80]));
    for bytes in [&[2, 0][..], &[2, 2, 0, 1], &[2, 2, 0xff, 0x80]] {
        assert!(integer(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn dates_are_of_the_gregorian_calendar() {
    assert_eq!(unix_seconds(1970, 1, 1, 0, 0, 0), Some(0));
    assert_eq!(unix_seconds(2000, 2, 29, 12, 0, 0), Some(951_825_600));
    assert_eq!(unix_seconds(2026, 11, 23, 1, 2, 3), Some(1_795_395_723));
    assert_eq!(unix_seconds(9999, 12, 31, 23, 59, 59), Some(253_402_300_799));
    for (year, month, day, hour, minute, second) in [
        (1969, 12, 31, 23, 59, 59),
        (2023, 2, 29, 0, 0, 0),
        (2100, 2, 29, 0, 0, 0),
        (2024, 13, 1, 0, 0, 0),
        (2024, 0, 1, 0, 0, 0),
        (2024, 1, 0, 0, 0, 0),
        (2024, 4, 31, 0, 0, 0),
        (2024, 1, 1, 24, 0, 0),
        (2024, 1, 1, 0, 60, 0),
        (2024, 1, 1, 0, 0, 60),
        (10_000, 1, 1, 0, 0, 0),
    ] {
        assert_eq!(unix_seconds(year, month, day, hour, minute, second), None);
    }
    let read = |tag: u8, text: &str| {
        let mut der = vec![tag, text.len() as u8];
        der.extend(text.as_bytes());
        time::read(&mut Reader::new(&der)).ok()
    };
    assert_eq!(read(asn1::UTC_TIME, "700101000000Z"), Some(0));
    assert_eq!(read(asn1::UTC_TIME, "491231235959Z"), Some(2_524_607_999));
    assert_eq!(read(asn1::UTC_TIME, "500101000000Z"), None, "1950");
    assert_eq!(read(asn1::GENERALIZED_TIME, "19700101000000Z"), Some(0));
    for text in
        ["7001010000Z", "700101000000", "70010100000Z0", "700101000000+0000", "7001 1000000Z"]
    {
        assert_eq!(read(asn1::UTC_TIME, text), None, "{text}");
    }
    assert_eq!(read(asn1::GENERALIZED_TIME, "19700101000000.5Z"), None, "fractions");
}
