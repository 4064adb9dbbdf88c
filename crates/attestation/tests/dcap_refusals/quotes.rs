//! The quote itself: its form, and what signs it.

use super::*;

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
