//! Reports and chains that must be refused, each for its own reason.

use crate::{
    gpu::{
        Draft, FIRMWARE_ID, Manifest, NONCE, NOW, TCB_INFO, chain, chain_of, composite_device_id,
        device_template, dice_tcb_info, leaf_template, resource, root_key, root_template, roots,
        trust,
    },
    pki::{Key, Salt, Template, p384_key, p384_sign, pem},
    real,
};
use casemate_attestation::{
    Grade, Measurements, TcbStatus, TrustRoots,
    crypto::CryptoError,
    nvidia::{Error, Report, Rim, verify},
    x509::X509Error,
};
use rsa::rand_core::RngCore;

fn refused(draft: Draft) -> Error {
    draft.appraise(&chain(&leaf_template())).unwrap_err()
}

fn refused_chain(chain: &str) -> Error {
    Draft::good().appraise(chain).unwrap_err()
}

#[test]
fn good_report_is_accepted() {
    let verified = Draft::good().appraise(&chain(&leaf_template())).unwrap();
    assert_eq!(verified.claims().product, "TEST100");
    assert_eq!(verified.claims().platform_id, [0x41, 0x42]);
    // The digest of the firmware as newer GPUs write it, and without one in the report.
    let mut leaf = leaf_template();
    leaf.extensions = vec![(TCB_INFO, false, dice_tcb_info(&FIRMWARE_ID))];
    assert!(Draft::good().appraise(&chain(&leaf)).is_ok());
    assert!(Draft::good().opaque(20, None).appraise(&chain(&leaf)).is_ok());
}

#[test]
fn length() {
    let found = Report::LEN_MAX + 1;
    assert_eq!(Report::parse(&vec![0; found]), Err(Error::Length { found }));
}

#[test]
fn truncated_anywhere() {
    let good = Draft::good().sign();
    for length in 0..good.len() {
        assert!(matches!(Report::parse(&good[..length]), Err(Error::Truncated { .. })), "{length}");
    }
    let long = [&good[..], &[0, 0]].concat();
    assert_eq!(Report::parse(&long), Err(Error::TrailingBytes { extra: 2 }));
}

#[test]
fn messages() {
    let mut draft = Draft::good();
    draft.request[0] = 0x12;
    assert_eq!(refused(draft), Error::Version { found: 0x12 });
    let mut draft = Draft::good();
    draft.response[0] = 0x10;
    assert_eq!(refused(draft), Error::Version { found: 0x10 });
    let mut draft = Draft::good();
    draft.request[1] = 0x81;
    assert_eq!(refused(draft), Error::MessageCode);
    let mut draft = Draft::good();
    draft.response[1] = 0x7f;
    assert_eq!(refused(draft), Error::MessageCode);
    // Without a signature; one block only.
    for (at, value) in [(2, 0), (3, 1)] {
        let mut draft = Draft::good();
        draft.request[at] = value;
        assert_eq!(refused(draft), Error::NotAllSigned);
    }
}

#[test]
fn record() {
    let mut draft = Draft::good();
    draft.blocks[4].0 = 4;
    assert_eq!(refused(draft), Error::Record { block: 4 });
    let mut draft = Draft::good();
    draft.blocks.clear();
    assert_eq!(refused(draft), Error::Record { block: 0 });
    let mut draft = Draft::good();
    draft.blocks[1].1 = 2;
    assert_eq!(refused(draft), Error::MeasurementSpecification { block: 2 });
    // The first block's inner length, then the number of blocks.
    let mut bytes = Draft::good().sign();
    bytes[37 + 8 + 5] ^= 1;
    assert_eq!(Report::parse(&bytes), Err(Error::Record { block: 1 }));
    let mut bytes = Draft::good().sign();
    bytes[37 + 4] -= 1;
    assert_eq!(Report::parse(&bytes), Err(Error::Record { block: 39 }));
}

#[test]
fn opaque_data() {
    let mut draft = Draft::good();
    draft.opaque.push((3, b"551.0\0".to_vec()));
    assert_eq!(refused(draft), Error::OpaqueData);
    let field = "driver version";
    for value in [None, Some(&b""[..]), Some(b"\0"), Some(b"55\n"), Some(b"\xff")] {
        assert_eq!(refused(Draft::good().opaque(3, value)), Error::OpaqueField { field });
    }
    let field = "VBIOS version";
    for value in [None, Some(&[0; 7][..])] {
        assert_eq!(refused(Draft::good().opaque(6, value)), Error::OpaqueField { field });
    }
}

#[test]
fn chains() {
    let good = chain(&leaf_template());
    assert_eq!(
        refused_chain("-----BEGIN CERTIFICATE-----"),
        Error::MalformedChain(X509Error::MalformedPem)
    );
    let end = "-----END CERTIFICATE-----\n";
    let (leaf, rest) = good.split_once(end).unwrap();
    assert_eq!(refused_chain(&format!("{leaf}{end}")), Error::ChainLength { found: 1 });
    assert_eq!(refused_chain(rest), Error::ChainLength { found: 2 });
    let spki_sha256 = root_key().spki_sha256();
    for trusted in [TrustRoots::vendors(), TrustRoots::default()] {
        let report = Draft::good().report().unwrap();
        let outcome = verify(report, good.as_bytes(), &trusted, None, None, NOW);
        assert_eq!(outcome, Err(Error::UnknownRoot { spki_sha256 }));
    }
    // The right root under a chain that it has nothing to do with.
    let device = device_template().sign(&Key::p384(99));
    let middle = pem("CERTIFICATE", &device_template().sign(&root_key()));
    assert!(good.contains(&middle));
    let forged = good.replace(&middle, &pem("CERTIFICATE", &device));
    assert_eq!(refused_chain(&forged), Error::Chain(X509Error::Crypto(CryptoError::BadSignature)));
}

#[test]
fn times() {
    let change = |mut template: Template, from, until| {
        template.not_before = from;
        template.not_after = until;
        template
    };
    for at in 0..3 {
        let of = |from, until| {
            let mut templates = [leaf_template(), device_template(), root_template()];
            templates[at] = change(templates[at].clone(), from, until);
            chain_of(&templates[0], &templates[1], &templates[2])
        };
        assert_eq!(refused_chain(&of("270101000000Z", "400101000000Z")), Error::NotYetValid);
        assert_eq!(refused_chain(&of("200101000000Z", "260101000000Z")), Error::Expired);
    }
}

#[test]
fn leaf() {
    let mut template = leaf_template();
    template.extensions.clear();
    assert_eq!(refused_chain(&chain(&template)), Error::MissingFirmwareId);
    // A digest of another length, and something else altogether.
    for value in [composite_device_id(&[0xf1; 32]), vec![5, 0], dice_tcb_info(&[])] {
        template.extensions = vec![(TCB_INFO, false, value)];
        assert_eq!(refused_chain(&chain(&template)), Error::MissingFirmwareId);
    }
    template.extensions = vec![(TCB_INFO, false, composite_device_id(&[0xf2; 48]))];
    assert_eq!(refused_chain(&chain(&template)), Error::FirmwareId);
    assert_eq!(refused_chain(&chain(&leaf_template().ca())), Error::LeafKey);
}

#[test]
fn nonce() {
    let mut draft = Draft::good();
    draft.request[4] ^= 1;
    assert_eq!(refused(draft), Error::Nonce);
}

#[test]
fn signature() {
    let draft = Draft::good();
    let mut bytes = draft.unsigned();
    bytes.extend(p384_sign(&p384_key(99), &draft.unsigned()));
    let report = Report::parse(&bytes).unwrap();
    let chain = chain(&leaf_template());
    let outcome = verify(report, chain.as_bytes(), &roots(), None, None, NOW);
    assert_eq!(outcome, Err(Error::Signature));
}

#[test]
fn each_byte_of_a_real_report_is_signed() {
    let good = real::report_bytes();
    let trust = TrustRoots::vendors();
    for at in (0..good.len()).step_by(97).chain(good.len() - 96..good.len() - 92) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        let outcome = Report::parse(&bytes)
            .and_then(|report| verify(report, real::CHAIN, &trust, None, None, NOW));
        assert!(outcome.is_err(), "{at}");
    }
}

#[test]
fn measurements_match_their_manifests() {
    let rims = [Manifest::driver().good(), Manifest::vbios().good()];
    let verified = Draft::good().compare(&rims).unwrap();
    let claims = verified.claims();
    assert!(!claims.debug);
    assert_eq!(claims.tcb.status, TcbStatus::UpToDate);
    assert!(matches!(claims.measurements, Measurements::NvidiaGpu { matches_rim: true, .. }));
    // Where a value does not count, any will do; where it counts, only the listed ones.
    let change = |at: usize| {
        let mut draft = Draft::good();
        draft.blocks[at].2[47] ^= 1;
        draft.compare(&rims).map(|_| ())
    };
    assert_eq!(change(3), Ok(()));
    assert_eq!(change(0), Err(Error::RimMismatch { index: 0, component: "driver" }));
    assert_eq!(change(1), Err(Error::RimMismatch { index: 1, component: "driver" }));
    assert_eq!(change(2), Err(Error::RimMismatch { index: 2, component: "VBIOS" }));
}

#[test]
fn measurements_that_are_missing_do_not_match() {
    let mut driver = Manifest::driver();
    driver.payload.push_str(&resource(40, true, &[&[0; 48]]));
    let rims = [driver.good(), Manifest::vbios().good()];
    let component = "driver";
    assert_eq!(Draft::good().compare(&rims), Err(Error::RimMismatch { index: 40, component }));
}

#[test]
fn decoder_counts_only_while_it_is_on() {
    let mut vbios = Manifest::vbios();
    vbios.payload.push_str(&resource(35, true, &[&[0; 48]]));
    let rims = [Manifest::driver().good(), vbios.good()];
    assert!(Draft::good().opaque(11, Some(&[0x55])).compare(&rims).is_ok());
    let component = "VBIOS";
    for status in [None, Some(&[0xaa][..]), Some(&[])] {
        assert_eq!(
            Draft::good().opaque(11, status).compare(&rims),
            Err(Error::RimMismatch { index: 35, component })
        );
    }
}

#[test]
fn sets_of_manifests() {
    let (driver, vbios) = (Manifest::driver().good(), Manifest::vbios().good());
    let compare = |rims: &[_]| Draft::good().compare(rims).map(|_| ());
    assert_eq!(compare(std::slice::from_ref(&driver)), Err(Error::RimSet));
    assert_eq!(compare(std::slice::from_ref(&vbios)), Err(Error::RimSet));
    assert_eq!(compare(&[driver.clone(), vbios.clone(), driver.clone()]), Err(Error::RimSet));
    let mut other = Manifest::vbios();
    other.payload.push_str(&resource(1, true, &[&[2; 48]]));
    assert_eq!(compare(&[driver.clone(), other.good()]), Err(Error::RimConflict { index: 1 }));
    let mut other = Manifest::vbios();
    other.product = "TEST200";
    let (manifest, gpu) = ("TEST200".into(), "TEST100".into());
    assert_eq!(compare(&[driver, other.good()]), Err(Error::RimProduct { manifest, gpu }));
    let version = "1".into();
    let other = Manifest::new("1", resource(1, true, &[&[2; 48]]));
    assert_eq!(compare(&[vbios, other.good()]), Err(Error::RimVersion { version }));
}

#[test]
fn lowest_grade_and_earliest_end_count() {
    let mut manifest = Manifest::driver();
    manifest.signer.not_after = "270101000000Z";
    let trust = trust([Grade::Hardware, Grade::Software]);
    let rims = [manifest, Manifest::vbios()].map(|manifest| {
        let text = manifest.sign();
        Rim::verify(text.as_bytes(), &trust, NOW).unwrap()
    });
    let chain = chain(&leaf_template());
    let report = Draft::good().report().unwrap();
    let verified = verify(report, chain.as_bytes(), &trust, Some(NONCE), Some(&rims), NOW).unwrap();
    assert_eq!(verified.claims().grade, Grade::Software);
    assert_eq!(verified.claims().not_after, 1_798_761_601);
}

/// No bytes make a parser panic.
#[test]
fn any_bytes_are_survived() {
    let mut random = Salt(274);
    let (report, manifest) = (real::report_bytes(), real::DRIVER_RIM);
    for round in 0..4000_u32 {
        let source = if round % 8 == 0 { manifest } else { &report[..] };
        let mut bytes = source.to_vec();
        for _ in 0..=random.next_u32() % 6 {
            let at = random.next_u32() as usize % bytes.len();
            match random.next_u32() % 4 {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = 0xff,
                2 => bytes.insert(at, b'<'),
                _ => bytes[at] ^= 1 << (round % 8),
            }
        }
        let _ = Report::parse(&bytes);
        if round % 8 == 0 {
            assert!(Rim::verify(&bytes, &TrustRoots::default(), NOW).is_err());
        }
    }
}
