//! A platform made for the test, right in all but one thing: each has its own error.

mod dcap_support;

use casemate_attestation::{
    Grade, Measurements, TcbStatus, TeeKind,
    crypto::CryptoError,
    dcap::{Document, Error, Part, QUOTE_BYTES_MAX, Quote},
    x509::X509Error,
};
use dcap_support::{
    der::{json_time, oid, sequence},
    pki::Key,
    world::{DAY, Form, NOW, World, level, part_level},
};
use serde_json::json;

const TDX: [Form; 4] = [Form::TdxV4, Form::Tdx10V5, Form::Tdx15V5, Form::Tdx15ExV5];

/// Changes one thing and says what verification then gives.
fn with(form: Form, change: impl FnOnce(&mut World)) -> Result<TcbStatus, Error> {
    let mut world = World::new(form);
    change(&mut world);
    world.verify().map(|claims| claims.tcb.status)
}

#[track_caller]
fn refused(form: Form, expected: Error, change: impl FnOnce(&mut World)) {
    assert_eq!(with(form, change), Err(expected));
}

fn certificate(document: Document, source: X509Error) -> Error {
    Error::Certificate { document, source }
}

#[test]
fn every_form_verifies_when_nothing_is_wrong() {
    for form in Form::ALL {
        let claims = World::new(form).verify().expect("verifies");
        assert_eq!(claims.tcb.status, TcbStatus::UpToDate, "{form:?}");
        assert_eq!(claims.grade, Grade::Software);
        assert_eq!(claims.tcb.evaluation, Some(19), "the lower of 20 and 19");
        assert_eq!(claims.report_data, [0xdd; 64]);
        assert_eq!(claims.platform_id, [7; 16]);
        assert_eq!(claims.not_after, NOW + 20 * DAY + 1, "the TCB info expires first");
        assert!(!claims.debug);
        match claims.measurements {
            Measurements::Sgx { mr_enclave, .. } if form.is_sgx() => {
                assert_eq!(claims.kind, TeeKind::IntelSgx);
                assert_eq!(mr_enclave, [0xee; 32]);
            }
            Measurements::Tdx { mr_td, .. } if !form.is_sgx() => {
                assert_eq!(claims.kind, TeeKind::IntelTdx);
                assert_eq!(mr_td, [0xee; 48]);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_padded_quote_is_accepted_and_other_trailing_bytes_are_not() {
    for form in Form::ALL {
        let world = World::new(form);
        let mut quote = world.quote();
        quote.resize(8_000, 0);
        assert!(world.verify_quote(&quote).is_ok());
        quote[7_999] = 1;
        assert_eq!(world.verify_quote(&quote), Err(Error::TrailingData));
        quote.resize(QUOTE_BYTES_MAX + 1, 0);
        assert_eq!(world.verify_quote(&quote), Err(Error::QuoteTooLarge));
    }
}

#[test]
fn a_truncated_quote_is_refused_at_every_length() {
    for form in Form::ALL {
        let quote = World::new(form).quote();
        for length in 0..quote.len() {
            let error = Quote::parse(&quote[..length]).expect_err("truncated");
            assert!(matches!(error, Error::Truncated(_)), "{form:?} {length}: {error}");
        }
    }
}

#[test]
fn a_truncated_part_is_named() {
    let quote = World::new(Form::Tdx15V5).quote();
    let body = 48 + 6;
    let signature = body + 648 + 4;
    for (length, part) in [
        (0, Part::Header),
        (47, Part::Header),
        (50, Part::BodyHeader),
        (body + 100, Part::Body),
        (signature - 1, Part::SignatureLength),
        (signature + 63, Part::Signature),
        (quote.len() - 1, Part::Signature),
    ] {
        assert_eq!(Quote::parse(&quote[..length]), Err(Error::Truncated(part)), "{length}");
    }
}

#[test]
fn inner_lengths_have_to_fit() {
    // In a version 4 quote: 48 header, 584 body, 4 length, 128 signature and key, 2 + 4 type and
    // length of the certification data, 384 + 64 report and signature, 2 length, 32 data, 2 + 4.
    let outer = 48 + 584 + 4 + 128;
    let auth = outer + 6 + 384 + 64;
    let inner = auth + 2 + 32;
    let parse = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut quote = World::new(Form::TdxV4).quote();
        change(&mut quote);
        Quote::parse(&quote).map(|_| ())
    };
    assert_eq!(parse(&|_| ()), Ok(()));
    let outer_shorter = parse(&|quote| quote[outer + 2] = quote[outer + 2].wrapping_sub(1));
    assert!(matches!(outer_shorter, Err(Error::WrongLength(Part::Certification))));
    assert_eq!(
        parse(&|quote| quote[outer + 4] = 1),
        Err(Error::Truncated(Part::Certification)),
        "outer longer than the quote"
    );
    assert_eq!(
        parse(&|quote| quote[auth..auth + 2].fill(0xff)),
        Err(Error::Truncated(Part::AuthData))
    );
    assert_eq!(
        parse(&|quote| quote[inner + 2] = quote[inner + 2].wrapping_sub(1)),
        Err(Error::WrongLength(Part::Certification))
    );
    assert_eq!(
        parse(&|quote| quote[inner + 2..inner + 6].fill(0xff)),
        Err(Error::Truncated(Part::Certification))
    );
    assert_eq!(
        parse(&|quote| quote[632..636].fill(0xff)),
        Err(Error::Truncated(Part::Signature)),
        "4 GiB of signature"
    );
}

#[test]
fn unknown_forms_are_refused() {
    let parse = |form, change: &dyn Fn(&mut Vec<u8>)| {
        let mut quote = World::new(form).quote();
        change(&mut quote);
        Quote::parse(&quote).map(|_| ())
    };
    assert_eq!(parse(Form::SgxV3, &|quote| quote[0] = 2), Err(Error::UnsupportedVersion(2)));
    assert_eq!(parse(Form::TdxV4, &|quote| quote[0] = 6), Err(Error::UnsupportedVersion(6)));
    assert_eq!(parse(Form::SgxV3, &|quote| quote[2] = 3), Err(Error::UnsupportedKeyType(3)));
    assert_eq!(
        parse(Form::TdxV4, &|quote| quote[0] = 3),
        Err(Error::UnsupportedTeeType(0x81)),
        "a TD has no version 3"
    );
    assert_eq!(parse(Form::TdxV4, &|quote| quote[4] = 0x82), Err(Error::UnsupportedTeeType(0x82)));
    assert_eq!(parse(Form::TdxV4, &|quote| quote[12] ^= 1), Err(Error::UnknownQeVendor));
    assert_eq!(
        parse(Form::TdxV4, &|quote| quote[48 + 584 + 4 + 128] = 5),
        Err(Error::UnsupportedCertification(5))
    );
    assert_eq!(parse(Form::Tdx15V5, &|quote| quote[48] = 5), Err(Error::UnsupportedBody(5)));
    assert_eq!(
        parse(Form::Tdx15V5, &|quote| quote[48] = 1),
        Err(Error::UnsupportedBody(1)),
        "an enclave's body in a TD's quote"
    );
    assert_eq!(parse(Form::Tdx15V5, &|quote| quote[48] = 2), Err(Error::WrongLength(Part::Body)));
}

#[test]
fn a_changed_byte_in_any_signed_part_is_refused() {
    for form in Form::ALL {
        let world = World::new(form);
        let quote = world.quote();
        let parsed = Quote::parse(&quote).expect("parses");
        let chain = quote.len() - parsed.certification().data.len();
        let roots = world.roots();
        let collateral = world.collateral();
        // All of the header and body would take long; every seventh byte touches each field.
        for position in (0..chain).step_by(7) {
            let mut changed = quote.clone();
            changed[position] ^= 0x40;
            let result = Quote::parse(&changed).and_then(|quote| {
                casemate_attestation::dcap::verify_with_collateral(quote, &collateral, &roots, NOW)
            });
            assert!(result.is_err(), "{form:?}: byte {position}");
        }
    }
}

#[test]
fn a_changed_byte_is_found_by_the_check_that_covers_it() {
    let world = World::new(Form::SgxV3);
    let changed = |position: usize| {
        let mut quote = world.quote();
        quote[position] ^= 0x01;
        world.verify_quote(&quote)
    };
    let signature = 48 + 384 + 4;
    let qe_report = signature + 128;
    let bad = CryptoError::BadSignature;
    assert_eq!(changed(30), Err(Error::QuoteSignature(bad)), "header");
    assert_eq!(changed(48 + 64), Err(Error::QuoteSignature(bad)), "MRENCLAVE");
    assert_eq!(changed(48 + 383), Err(Error::QuoteSignature(bad)), "report data");
    assert_eq!(changed(signature + 31), Err(Error::QuoteSignature(bad)), "signature");
    assert_eq!(changed(signature + 64), Err(Error::QeReportData), "attestation key");
    assert_eq!(changed(qe_report), Err(Error::QeReportSignature(bad)), "QE report");
    assert_eq!(changed(qe_report + 384), Err(Error::QeReportSignature(bad)), "its signature");
    assert_eq!(changed(qe_report + 384 + 64 + 2), Err(Error::QeReportData), "auth data");
}

#[test]
fn signatures_of_other_keys_are_refused() {
    refused(Form::TdxV4, Error::QeReportSignature(CryptoError::BadSignature), |world| {
        // The quote of a platform whose PCK is another one.
        world.platform_key = Key::new(30);
    });
    refused(Form::SgxV3, Error::QeReportData, |world| {
        world.qe_report_data = Some([1; 64]);
    });
    refused(Form::SgxV3, Error::QeReportData, |world| {
        // The right hash, but not zeros after it.
        use sha2::{Digest, Sha256};
        let mut data = [0; 64];
        let hash = Sha256::new()
            .chain_update(world.attestation_key.raw())
            .chain_update(&world.auth_data)
            .finalize();
        data[..32].copy_from_slice(&hash);
        data[63] = 1;
        world.qe_report_data = Some(data);
    });
}

#[test]
fn an_attestation_key_off_the_curve_is_refused() {
    // The quoting enclave vouches for bytes that are no point.
    let mut world = World::new(Form::SgxV3);
    let signature = 48 + 384 + 4;
    let mut data = [0; 64];
    let key = [0x11; 64];
    let hash = <sha2::Sha256 as sha2::Digest>::digest([&key[..], &world.auth_data].concat());
    data[..32].copy_from_slice(&hash);
    world.qe_report_data = Some(data);
    let mut quote = world.quote();
    quote[signature + 64..signature + 128].copy_from_slice(&key);
    assert_eq!(world.verify_quote(&quote), Err(Error::AttestationKey));
}

#[test]
fn a_root_that_is_not_trusted_is_refused_even_with_the_right_names() {
    refused(Form::SgxV3, Error::UntrustedRoot(Document::RootCertificate), |world| {
        world.trusted = Key::new(31);
    });
    // Everything is signed by Intel, but the chain of one document by somebody of the same name.
    refused(
        Form::SgxV3,
        certificate(Document::TcbInfoIssuer, X509Error::Crypto(CryptoError::BadSignature)),
        |world| {
            world.tcb_signer.signer = Key::new(31);
        },
    );
    refused(
        Form::SgxV3,
        certificate(Document::PckCertificate, X509Error::Crypto(CryptoError::BadSignature)),
        |world| {
            world.pck.signer = Key::new(31);
        },
    );
}

#[test]
fn chains_have_to_be_whole() {
    let world = World::new(Form::TdxV4);
    let verify = |change: &dyn Fn(&mut casemate_attestation::dcap::RawCollateral)| {
        let mut collateral = world.collateral();
        change(&mut collateral);
        let quote = Quote::parse(&world.quote()).expect("parses");
        casemate_attestation::dcap::verify_with_collateral(quote, &collateral, &world.roots(), NOW)
            .map(|_| ())
    };
    assert_eq!(verify(&|_| ()), Ok(()));
    assert_eq!(
        verify(&|collateral| collateral.tcb_info_issuer_chain = world.pck_chain()),
        Err(Error::ChainLength(Document::TcbInfoIssuer))
    );
    assert_eq!(
        verify(&|collateral| collateral.qe_identity_issuer_chain = world.chain(&world.pck_ca)),
        Err(Error::WrongName(Document::QeIdentityIssuer)),
        "a CA does not sign documents"
    );
    assert_eq!(
        verify(&|collateral| collateral.pck_crl_issuer_chain = world.chain(&world.tcb_signer)),
        Err(Error::WrongName(Document::PckCrlIssuer))
    );
    assert_eq!(
        verify(&|collateral| collateral.tcb_info_issuer_chain.clear()),
        Err(certificate(Document::TcbInfoIssuer, X509Error::ChainLength))
    );
    assert_eq!(
        verify(&|collateral| collateral.tcb_info_issuer_chain.insert(0, 'x')),
        Err(certificate(Document::TcbInfoIssuer, X509Error::MalformedPem))
    );
    assert_eq!(
        verify(&|collateral| collateral.pck_certificate_chain = Some(world.chain(&world.pck))),
        Err(Error::ChainLength(Document::PckCertificate))
    );
    assert_eq!(
        verify(&|collateral| collateral.tcb_info_signature.truncate(63)),
        Err(Error::DocumentSignature {
            document: Document::TcbInfo,
            source: CryptoError::MalformedSignature
        })
    );
    assert_eq!(
        verify(&|collateral| collateral.root_ca_crl.truncate(20)),
        Err(certificate(Document::RootCrl, X509Error::Malformed))
    );
    assert_eq!(
        verify(&|collateral| collateral.pck_crl.push(0)),
        Err(certificate(Document::PckCrl, X509Error::Malformed))
    );
    let mut other_kind = world.clone();
    other_kind.certification_kind = 3;
    assert_eq!(other_kind.verify(), Err(Error::MissingPckChain));
}

#[test]
fn who_may_issue_is_checked() {
    // The PCK CA's path length forbids a further CA; Intel's chains have no room for one anyway.
    refused(Form::SgxV3, Error::WrongName(Document::PckCertificate), |world| {
        world.pck.ca = Some(0);
    });
    refused(
        Form::SgxV3,
        certificate(Document::RootCertificate, X509Error::IssuerNotAllowed),
        |world| {
            world.root.ca = None;
        },
    );
    refused(Form::SgxV3, certificate(Document::PckCrl, X509Error::IssuerNotAllowed), |world| {
        world.pck_crl_issuer.ca = None;
    });
    refused(
        Form::SgxV3,
        certificate(Document::PckCertificate, X509Error::IssuerNotAllowed),
        |world| {
            world.root.ca = Some(0);
        },
    );
    refused(Form::SgxV3, certificate(Document::PckCertificate, X509Error::WrongIssuer), |world| {
        world.pck.issuer = "Intel SGX PCK Processor CA";
    });
    refused(Form::SgxV3, Error::WrongName(Document::PckCertificate), |world| {
        world.pck.subject = "Somebody";
    });
    refused(Form::SgxV3, Error::WrongName(Document::PckCrlIssuer), |world| {
        world.pck_crl_issuer.subject = "Somebody";
        world.pck_crl.issuer = "Somebody";
    });
    refused(
        Form::SgxV3,
        certificate(Document::PckCertificate, X509Error::UnknownCriticalExtension),
        |world| {
            world.pck.extensions.push(("1.2.3.4", true, vec![]));
        },
    );
}

#[test]
fn revocation_lists_have_to_be_of_their_issuer() {
    refused(Form::SgxV3, certificate(Document::RootCrl, X509Error::WrongIssuer), |world| {
        world.root_crl.issuer = "Somebody";
    });
    refused(
        Form::SgxV3,
        certificate(Document::RootCrl, X509Error::Crypto(CryptoError::BadSignature)),
        |world| world.root_crl.signer = Key::new(31),
    );
    refused(Form::SgxV3, certificate(Document::PckCrl, X509Error::WrongIssuer), |world| {
        world.pck_crl.issuer = "Intel SGX PCK Processor CA";
    });
    refused(
        Form::SgxV3,
        certificate(Document::PckCrl, X509Error::Crypto(CryptoError::BadSignature)),
        |world| world.pck_crl.signer = Key::new(31),
    );
    refused(Form::SgxV3, Error::PckCrlOfOtherCa, |world| {
        // The list of the other CA, in order by itself.
        world.pck_crl_issuer.subject = "Intel SGX PCK Processor CA";
        world.pck_crl_issuer.key = Key::new(20);
        world.pck_crl.issuer = "Intel SGX PCK Processor CA";
        world.pck_crl.signer = Key::new(20);
    });
    refused(
        Form::SgxV3,
        certificate(Document::PckCrl, X509Error::UnknownCriticalExtension),
        |world| {
            // A partial list: it must not be taken for a whole one.
            world.pck_crl.extensions.push(("2.5.29.28", true, vec![0x30, 0]));
        },
    );
}

#[test]
fn revoked_certificates_are_refused() {
    refused(Form::TdxV4, Error::RevokedCertificate(Document::PckCertificate), |world| {
        world.pck_crl.revoked = vec![99, world.pck.serial, 1_000];
    });
    refused(Form::TdxV4, Error::RevokedCertificate(Document::PckCrlIssuer), |world| {
        world.root_crl.revoked = vec![world.pck_ca.serial];
    });
    refused(Form::TdxV4, Error::RevokedCertificate(Document::TcbInfoIssuer), |world| {
        world.root_crl.revoked = vec![world.tcb_signer.serial];
    });
    refused(Form::TdxV4, Error::RevokedCertificate(Document::QeIdentityIssuer), |world| {
        world.qe_signer.serial = 77;
        world.root_crl.revoked = vec![77];
    });
    refused(Form::TdxV4, Error::RevokedCertificate(Document::RootCertificate), |world| {
        world.root_crl.revoked = vec![world.root.serial];
    });
    assert!(
        with(Form::TdxV4, |world| {
            world.pck_crl.revoked = vec![world.pck_ca.serial];
            world.root_crl.revoked = vec![world.pck.serial];
        })
        .is_ok(),
        "each list is about its own issuer's certificates only"
    );
}

#[test]
fn everything_has_to_be_valid_now() {
    type Times<'a> = &'a dyn Fn(&mut World, u64, u64);
    let parts: [(Document, Times); 6] = [
        (Document::RootCertificate, &|world, from, to| {
            (world.root.not_before, world.root.not_after) = (from, to);
        }),
        (Document::PckCertificate, &|world, from, to| {
            (world.pck.not_before, world.pck.not_after) = (from, to);
        }),
        (Document::TcbInfoIssuer, &|world, from, to| {
            (world.tcb_signer.not_before, world.tcb_signer.not_after) = (from, to);
        }),
        (Document::PckCrlIssuer, &|world, from, to| {
            (world.pck_crl_issuer.not_before, world.pck_crl_issuer.not_after) = (from, to);
        }),
        (Document::RootCrl, &|world, from, to| {
            (world.root_crl.this_update, world.root_crl.next_update) = (from, Some(to));
        }),
        (Document::PckCrl, &|world, from, to| {
            (world.pck_crl.this_update, world.pck_crl.next_update) = (from, Some(to));
        }),
    ];
    for (document, set) in parts {
        refused(Form::SgxV3, Error::Expired(document), |world| set(world, NOW - 9, NOW - 1));
        refused(Form::SgxV3, Error::NotYetValid(document), |world| set(world, NOW + 1, NOW + 9));
        assert!(with(Form::SgxV3, |world| set(world, NOW, NOW)).is_ok(), "both ends are in");
    }
    for (document, is_tcb_info) in [(Document::TcbInfo, true), (Document::QeIdentity, false)] {
        let set = |world: &mut World, from, to| {
            let json = if is_tcb_info { &mut world.tcb_info } else { &mut world.qe_identity };
            json["issueDate"] = json_time(from).into();
            json["nextUpdate"] = json_time(to).into();
        };
        refused(Form::SgxV3, Error::Expired(document), |world| set(world, NOW - 9, NOW - 1));
        refused(Form::SgxV3, Error::NotYetValid(document), |world| set(world, NOW + 1, NOW + 9));
        assert!(with(Form::SgxV3, |world| set(world, NOW, NOW)).is_ok(), "both ends are in");
    }
    refused(Form::SgxV3, Error::Expired(Document::PckCrl), |world| {
        world.pck_crl.next_update = None;
    });
}

#[test]
fn documents_have_to_be_signed_as_received() {
    for is_tcb_info in [true, false] {
        let document = if is_tcb_info { Document::TcbInfo } else { Document::QeIdentity };
        refused(
            Form::TdxV4,
            Error::DocumentSignature { document, source: CryptoError::BadSignature },
            |world| {
                // The PCK's key is certified too, but not to sign documents.
                let key =
                    if is_tcb_info { &mut world.tcb_info_key } else { &mut world.qe_identity_key };
                *key = Key::new(3);
            },
        );
        let world = World::new(Form::TdxV4);
        let mut collateral = world.collateral();
        let text = if is_tcb_info { &mut collateral.tcb_info } else { &mut collateral.qe_identity };
        *text = text.replacen("20", "21", 1);
        let quote = Quote::parse(&world.quote()).expect("parses");
        let result = casemate_attestation::dcap::verify_with_collateral(
            quote,
            &collateral,
            &world.roots(),
            NOW,
        );
        let error = Error::DocumentSignature { document, source: CryptoError::BadSignature };
        assert_eq!(result, Err(error));
    }
}

#[test]
fn documents_have_to_be_of_a_known_form() {
    let tcb_info = |key: &str, value: serde_json::Value| {
        with(Form::TdxV4, |world| world.tcb_info[key] = value)
    };
    let malformed = Err(Error::MalformedDocument(Document::TcbInfo));
    let unsupported =
        |version| Err(Error::UnsupportedDocument { document: Document::TcbInfo, version });
    assert_eq!(tcb_info("id", json!("ABC")), malformed);
    assert_eq!(tcb_info("version", json!(2)), unsupported(2));
    assert_eq!(tcb_info("tcbType", json!(1)), unsupported(3));
    assert_eq!(tcb_info("fmspc", json!("00")), malformed);
    assert_eq!(tcb_info("issueDate", json!("2027-01-15 00:00:00")), malformed);
    assert_eq!(tcb_info("tcbLevels", json!([{ "tcb": {} }])), malformed);
    assert_eq!(tcb_info("tdxModule", json!(null)), malformed);
    assert_eq!(
        with(Form::TdxV4, |world| world.tcb_info["tcbLevels"][0]["tcbStatus"] = "Fine".into()),
        malformed
    );
    assert_eq!(
        with(Form::TdxV4, |world| world.tcb_info["tdxModuleIdentities"][0]["id"] = "TDX".into()),
        malformed
    );
    assert_eq!(
        with(Form::TdxV4, |world| world.qe_identity["id"] = "QVE".into()),
        Err(Error::MalformedDocument(Document::QeIdentity))
    );
    assert_eq!(
        with(Form::TdxV4, |world| world.qe_identity["version"] = 1.into()),
        Err(Error::UnsupportedDocument { document: Document::QeIdentity, version: 1 })
    );
}

#[test]
fn collateral_of_the_other_kind_of_tee_is_refused() {
    let sgx = World::new(Form::SgxV4);
    let tdx = World::new(Form::TdxV4);
    refused(Form::TdxV4, Error::QeIdentityKind, |world| {
        world.qe_identity = sgx.qe_identity.clone()
    });
    refused(Form::TdxV4, Error::TcbInfoKind, |world| world.tcb_info = sgx.tcb_info.clone());
    refused(Form::SgxV4, Error::QeIdentityKind, |world| {
        world.qe_identity = tdx.qe_identity.clone()
    });
    refused(Form::SgxV4, Error::TcbInfoKind, |world| world.tcb_info = tdx.tcb_info.clone());
}

#[test]
fn collateral_of_another_platform_is_refused() {
    refused(Form::SgxV3, Error::FmspcMismatch, |world| {
        world.tcb_info["fmspc"] = "00A067110001".into();
    });
    refused(Form::SgxV3, Error::PceIdMismatch, |world| {
        world.tcb_info["pceId"] = "0001".into();
    });
    // The PCK of platform A with the quote of platform B.
    let a = World::new(Form::TdxV4);
    let mut b = World::new(Form::TdxV4);
    b.pck.key = Key::new(40);
    b.platform_key = Key::new(40);
    let mut collateral = a.collateral();
    collateral.pck_certificate_chain = Some(a.pck_chain());
    let result = casemate_attestation::dcap::verify_with_collateral(
        Quote::parse(&b.quote()).expect("parses"),
        &collateral,
        &a.roots(),
        NOW,
    );
    assert_eq!(result, Err(Error::QeReportSignature(CryptoError::BadSignature)));
}

#[test]
fn the_sgx_extension_has_to_be_whole() {
    refused(Form::SgxV3, Error::PckExtension, |world| world.sgx_extension = None);
    let extension = |change: &dyn Fn(&mut dcap_support::world::SgxExtension)| {
        with(Form::SgxV3, |world| change(world.sgx_extension.as_mut().expect("is there")))
    };
    assert_eq!(extension(&|it| it.fmspc = vec![0; 5]), Err(Error::PckExtension));
    assert_eq!(extension(&|it| it.ppid = vec![]), Err(Error::PckExtension));
    assert_eq!(extension(&|it| it.pce_id = vec![0; 3]), Err(Error::PckExtension));
    assert_eq!(extension(&|it| it.pce_svn = 0x1_0000), Err(Error::PckExtension));
}

#[test]
fn keys_of_another_kind_are_refused() {
    // An elliptic curve that is not used here.
    let spki = sequence(&[
        sequence(&[oid("1.2.840.10045.2.1"), oid("1.3.132.0.10")]),
        dcap_support::der::bit_string(&[4; 65]),
    ]);
    let unsupported = X509Error::Crypto(CryptoError::UnsupportedKey);
    refused(Form::SgxV3, certificate(Document::PckCertificate, unsupported), |world| {
        world.pck.spki = Some(spki.clone());
    });
    // A key that is known, but not Intel's kind.
    let p384 = {
        use p384::ecdsa::SigningKey;
        let key = SigningKey::from_slice(&[1; 48]).expect("a key");
        sequence(&[
            sequence(&[oid("1.2.840.10045.2.1"), oid("1.3.132.0.34")]),
            dcap_support::der::bit_string(key.verifying_key().to_encoded_point(false).as_bytes()),
        ])
    };
    refused(Form::SgxV3, Error::KeyKind(Document::PckCertificate), |world| {
        world.pck.spki = Some(p384.clone());
    });
    refused(Form::SgxV3, Error::KeyKind(Document::TcbInfoIssuer), |world| {
        world.tcb_signer.spki = Some(p384.clone());
    });
}

#[test]
fn the_quoting_enclave_has_to_be_the_one_of_its_identity() {
    for form in [Form::SgxV3, Form::Tdx15V5] {
        refused(form, Error::QeSigner, |world| world.qe_report[128] ^= 1);
        refused(form, Error::QeProduct, |world| world.qe_report[256] ^= 1);
        refused(form, Error::QeDebug, |world| world.qe_report[48] |= 2);
        refused(form, Error::QeMiscSelect, |world| world.qe_report[16] = 1);
        refused(form, Error::QeAttributes, |world| world.qe_report[48] |= 8);
        refused(form, Error::NoQeTcbLevel(4), |world| world.qe_report[258] = 4);
        refused(form, Error::TcbRevoked("quoting enclave"), |world| world.qe_report[258] = 5);
    }
    assert!(
        with(Form::SgxV3, |world| world.qe_report[56] = 7).is_ok(),
        "XFRM is not among the bits that are compared"
    );
    assert_eq!(with(Form::SgxV3, |world| world.qe_report[258] = 7), Ok(TcbStatus::OutOfDate));
}

#[test]
fn the_platforms_level_is_found() {
    let sgx = |svn: u8, pce: u64| {
        with(Form::SgxV3, |world| {
            let extension = world.sgx_extension.as_mut().expect("is there");
            (extension.svns, extension.pce_svn) = ([svn; 16], pce);
        })
    };
    assert_eq!(sgx(5, 10), Ok(TcbStatus::UpToDate));
    assert_eq!(sgx(4, 10), Ok(TcbStatus::SwHardeningNeeded));
    assert_eq!(sgx(5, 9), Ok(TcbStatus::OutOfDate), "PCESVN counts");
    assert_eq!(sgx(2, 5), Ok(TcbStatus::OutOfDate));
    assert_eq!(sgx(1, 5), Err(Error::TcbRevoked("platform")));
    assert_eq!(sgx(0, 5), Err(Error::NoTcbLevel));
    assert_eq!(sgx(5, 4), Err(Error::NoTcbLevel));
    // One component is enough.
    assert_eq!(
        with(Form::SgxV3, |world| {
            world.sgx_extension.as_mut().expect("is there").svns[15] = 4;
        }),
        Ok(TcbStatus::SwHardeningNeeded)
    );
    // The order of the JSON does not matter.
    assert_eq!(
        with(Form::SgxV3, |world| {
            let levels = world.tcb_info["tcbLevels"].as_array_mut().expect("a list");
            levels.reverse();
        }),
        Ok(TcbStatus::UpToDate)
    );
}

#[test]
fn the_tdx_modules_level_is_found() {
    for form in TDX {
        let svn = |isv_svn, version, rest| {
            with(form, |world| world.set_tee_tcb_svn(isv_svn, version, rest))
        };
        assert_eq!(svn(4, 1, 5), Ok(TcbStatus::UpToDate));
        assert_eq!(svn(3, 1, 5), Ok(TcbStatus::OutOfDate), "the module");
        assert_eq!(svn(1, 1, 5), Err(Error::NoTdxModuleLevel(1)));
        assert_eq!(svn(4, 2, 5), Err(Error::UnknownTdxModule(2)));
        assert_eq!(svn(4, 1, 4), Ok(TcbStatus::SwHardeningNeeded), "the platform");
        assert_eq!(svn(4, 1, 0), Err(Error::NoTcbLevel));
        // Without a version the first two are components like the others.
        assert_eq!(svn(5, 0, 5), Err(Error::NoTcbLevel));
        assert_eq!(
            with(form, |world| {
                world.set_tee_tcb_svn(4, 0, 5);
                world.tcb_info["tcbLevels"][1]["tcb"]["tdxtcbcomponents"][1]["svn"] = 0.into();
            }),
            Ok(TcbStatus::SwHardeningNeeded)
        );
        refused(form, Error::TcbRevoked("TDX module"), |world| {
            world.tcb_info["tdxModuleIdentities"][0]["tcbLevels"][0] =
                part_level(4, "Revoked", &[]);
        });
        refused(form, Error::TdxModuleSigner, |world| world.body[64] = 1);
        refused(form, Error::TdxModuleAttributes, |world| world.body[112] = 1);
        refused(form, Error::TdxModuleAttributes, |world| {
            // Not compared, but without meaning.
            world.body[112] = 1;
            world.tcb_info["tdxModuleIdentities"][0]["attributesMask"] = "FEFFFFFFFFFFFFFF".into();
        });
    }
}

#[test]
fn a_td_is_judged_by_its_launch_and_by_now() {
    for form in [Form::Tdx15V5, Form::Tdx15ExV5] {
        let now = |svns: [u8; 16]| with(form, |world| world.body[584..600].copy_from_slice(&svns));
        let mut svns = [5; 16];
        svns[..2].copy_from_slice(&[4, 1]);
        assert_eq!(now(svns), Ok(TcbStatus::UpToDate));
        svns[0] = 3;
        assert_eq!(now(svns), Ok(TcbStatus::OutOfDate), "worse now than at launch");
        svns[1] = 9;
        assert_eq!(now(svns), Err(Error::UnknownTdxModule(9)));
        assert_eq!(now([0; 16]), Err(Error::NoTcbLevel));
        // Launched on an old module, updated since: Intel advises to launch anew.
        assert_eq!(with(form, |world| world.body[0] = 3), Ok(TcbStatus::OutOfDate));
    }
}

#[test]
fn advisories_of_all_parts_are_listed_once() {
    let mut world = World::new(Form::Tdx15V5);
    world.set_tee_tcb_svn(3, 1, 3);
    world.qe_report[258] = 6;
    let tcb = world.verify().expect("verifies").tcb;
    assert_eq!(tcb.status, TcbStatus::OutOfDate);
    assert_eq!(tcb.advisories, ["INTEL-SA-00001", "INTEL-SA-00004", "INTEL-SA-00005"]);
    assert_eq!(tcb.date, Some(NOW - 60 * DAY), "the module's level is the older one");
}

#[test]
fn statuses_converge_as_intels_verifier_has_it() {
    for (platform, expected) in [
        ("UpToDate", TcbStatus::OutOfDate),
        ("SWHardeningNeeded", TcbStatus::OutOfDate),
        ("ConfigurationNeeded", TcbStatus::OutOfDateConfigurationNeeded),
        ("ConfigurationAndSWHardeningNeeded", TcbStatus::OutOfDateConfigurationNeeded),
        ("OutOfDate", TcbStatus::OutOfDate),
        ("OutOfDateConfigurationNeeded", TcbStatus::OutOfDateConfigurationNeeded),
    ] {
        let status = with(Form::SgxV3, |world| {
            world.tcb_info["tcbLevels"][0] = level(5, 10, 5, platform, &[]);
            world.qe_report[258] = 6;
        });
        assert_eq!(status, Ok(expected), "{platform} with a quoting enclave out of date");
    }
}

#[test]
fn debug_is_said_and_left_to_the_policy() {
    let debug = |form, change: &dyn Fn(&mut World)| {
        let mut world = World::new(form);
        change(&mut world);
        world.verify().expect("verifies").debug
    };
    assert!(debug(Form::SgxV3, &|world| world.body[48] |= 2));
    for form in TDX {
        assert!(debug(form, &|world| world.body[120] |= 1));
        assert!(debug(form, &|world| world.body[120] |= 0x10), "profiling");
    }
}

#[test]
fn what_no_honest_workload_has_is_refused() {
    refused(Form::SgxV3, Error::NotInitialised, |world| world.body[48] &= !1);
    for form in TDX {
        refused(form, Error::ReservedTdAttributes, |world| world.body[120] |= 2);
        refused(form, Error::ReservedTdAttributes, |world| world.body[124] |= 1);
        refused(form, Error::Migratable, |world| world.body[123] |= 0x20);
        refused(form, Error::ServiceTd, |world| world.body[122] |= 2);
        refused(form, Error::SeptVe, |world| world.body[123] = 0);
    }
    for form in [Form::Tdx15V5, Form::Tdx15ExV5] {
        refused(form, Error::ServiceTd, |world| world.body[600] = 1);
    }
}
