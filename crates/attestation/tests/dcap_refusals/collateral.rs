//! Certificates, revocation lists, and the vendor's signed documents.

use super::*;

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
