//! Reports that must be refused, each for its own reason. All but the last few are signed by the
//! right key, so that nothing but the check in question stands in the way.

use crate::{
    machine::{Chain, Draft, NOW, milan_vek, turin_template, vek_key, vlek_template},
    pki::p384_key,
    real,
};
use casemate_attestation::{
    Grade, TcbStatus, TrustRoots,
    sev_snp::{Error, KeyKind, Product, Report, TcbVersion, verify},
};

fn refused(draft: Draft) -> Error {
    draft.appraise(&milan_vek()).unwrap_err()
}

#[test]
fn good_report_is_accepted() {
    let claims = Draft::milan().appraise(&milan_vek()).unwrap();
    assert_eq!(claims.report_data, [0xda; 64]);
    assert_eq!(claims.grade, Grade::Software);
    assert_eq!(claims.tcb.status, TcbStatus::UpToDate);
    assert!(!claims.debug);
}

#[test]
fn turin_report_is_accepted_and_only_with_its_layout() {
    let vek = Chain::of("Turin", "SEV-Turin", &turin_template()).verify().unwrap();
    let claims = Draft::turin().appraise(&vek).unwrap();
    assert_eq!(claims.product, "Turin");
    // The first mutable code counts too.
    let draft = Draft::turin().tcbs([1, 3, 0, 8, 0, 0, 0, 115]);
    let older = TcbVersion { fmc: Some(1), ..vek.tcb };
    assert_eq!(draft.appraise(&vek), Err(Error::Tcb { report: older, certificate: vek.tcb }));
    let bytes = [2, 3, 0, 8, 1, 0, 0, 115];
    assert_eq!(
        Draft::turin().tcbs(bytes).appraise(&vek),
        Err(Error::ReservedTcb { product: Product::Turin, bytes })
    );
}

#[test]
fn length() {
    let good = Draft::milan().sign();
    for length in [0, 1, 0x2a0, Report::LEN - 1] {
        assert_eq!(Report::parse(&good[..length]), Err(Error::Length { found: length }));
    }
    let long = [&good[..], &[0]].concat();
    assert_eq!(Report::parse(&long), Err(Error::Length { found: Report::LEN + 1 }));
}

#[test]
fn version() {
    for found in [0_u32, 1, 4, 6, u32::MAX] {
        assert_eq!(refused(Draft::milan().with(0, &found.to_le_bytes())), Error::Version { found });
    }
}

#[test]
fn reserved() {
    for offset in [0x4c, 0x4f, 0x18b, 0x19f, 0x1eb, 0x1ef, 0x1f8, 0x29f, 0x2d0, 0x2e7, 0x318, 0x49f]
    {
        let mut bytes = Draft::milan().sign();
        bytes[offset] = 1;
        assert_eq!(Report::parse(&bytes), Err(Error::Reserved { offset }), "{offset:#x}");
    }
    // What version 2 does not have yet, and version 5 has.
    let mut old = Draft::milan();
    old.put(0, &[2]);
    assert_eq!(refused(old), Error::Reserved { offset: 0x188 });
    assert_eq!(refused(Draft::turin().with(0, &[3])), Error::Reserved { offset: 0x1f8 });
}

#[test]
fn reserved_tcb() {
    let bytes = [3, 0, 1, 0, 0, 0, 8, 115];
    assert_eq!(
        refused(Draft::milan().tcbs(bytes)),
        Error::ReservedTcb { product: Product::Milan, bytes }
    );
}

#[test]
fn unknown_processor() {
    assert_eq!(
        refused(Draft::milan().with(0x188, &[0x17, 0x31, 0])),
        Error::UnknownProcessor { family: 0x17, model: 0x31, stepping: 0 }
    );
}

#[test]
fn signature_algorithm() {
    for found in [0_u32, 2] {
        assert_eq!(
            refused(Draft::milan().with(0x34, &found.to_le_bytes())),
            Error::SignatureAlgorithm { found }
        );
    }
}

#[test]
fn signing_key() {
    let key_info = |info: u32| refused(Draft::milan().with(0x48, &info.to_le_bytes()));
    assert_eq!(key_info(7 << 2), Error::Unsigned);
    for info in [2 << 2, 6 << 2, 1 << 5, 1 << 31] {
        assert_eq!(key_info(info), Error::SigningKeyKind { key_info: info });
    }
    assert_eq!(
        key_info(1 << 2),
        Error::SignerKind { report: KeyKind::Vlek, certificate: KeyKind::Vcek }
    );
    assert_eq!(key_info(1 << 1), Error::ChipKeyMasked);
    // The author key's bit says nothing about the signer.
    assert!(Draft::milan().with(0x48, &[1]).appraise(&milan_vek()).is_ok());
}

#[test]
fn vlek_signs_for_a_hidden_chip() {
    let vek = Chain::of("Milan", "SEV-VLEK-Milan", &vlek_template()).verify().unwrap();
    assert_eq!((vek.kind, vek.chip_id), (KeyKind::Vlek, None));
    let hidden = Draft::milan().with(0x48, &[1 << 2]).with(0x1a0, &[0; 64]);
    let claims = hidden.clone().appraise(&vek).unwrap();
    assert!(claims.platform_id.is_empty());
    // With the chip's own key masked it is the provider's that signs.
    assert!(hidden.with(0x48, &[1 << 2 | 1 << 1]).appraise(&vek).is_ok());
    assert_eq!(
        Draft::milan().appraise(&vek),
        Err(Error::SignerKind { report: KeyKind::Vcek, certificate: KeyKind::Vlek })
    );
}

#[test]
fn chip_id() {
    assert_eq!(refused(Draft::milan().with(0x1a0, &[0; 64])), Error::ChipIdMasked);
    for at in [0x1a0, 0x1df] {
        assert_eq!(refused(Draft::milan().with(at, &[0])), Error::ChipId);
    }
}

#[test]
fn product() {
    assert_eq!(
        refused(Draft::milan().with(0x188, &[0x19, 0x11, 0])),
        Error::Product { report: Product::Genoa, certificate: Product::Milan }
    );
}

#[test]
fn reported_tcb() {
    let vek = milan_vek();
    for (at, report) in [
        (0, TcbVersion { boot_loader: 2, ..vek.tcb }),
        (1, TcbVersion { tee: 2, ..vek.tcb }),
        (6, TcbVersion { snp: 2, ..vek.tcb }),
        (7, TcbVersion { microcode: 2, ..vek.tcb }),
    ] {
        assert_eq!(
            refused(Draft::milan().with(0x180 + at, &[2])),
            Error::Tcb { report, certificate: vek.tcb }
        );
    }
}

#[test]
fn other_tcbs_count_for_the_minimum() {
    let vek = milan_vek();
    // Current, committed, at launch.
    for at in [0x38, 0x1e0, 0x1f0] {
        let report = Report::parse(&Draft::milan().with(at + 6, &[7]).sign()).unwrap();
        let verified = verify(report, &vek, Some(vek.tcb), NOW).unwrap();
        assert_eq!(verified.claims().tcb.status, TcbStatus::OutOfDate, "{at:#x}");
    }
}

#[test]
fn vmpl() {
    for found in [4_u32, u32::MAX] {
        assert_eq!(refused(Draft::milan().with(0x30, &found.to_le_bytes())), Error::Vmpl { found });
    }
    assert!(Draft::milan().with(0x30, &[3]).appraise(&milan_vek()).is_ok());
}

#[test]
fn policy() {
    let policy = |policy: u64| Draft::milan().with(8, &policy.to_le_bytes());
    for bits in [0x10000, 0x30000 | 1 << 26, 0x30000 | 1 << 63] {
        assert_eq!(refused(policy(bits)), Error::Policy { policy: bits });
    }
    assert_eq!(refused(policy(0x30000 | 1 << 18)), Error::MigrationAllowed);
    let claims = policy(0x30000 | 1 << 19).appraise(&milan_vek()).unwrap();
    assert!(claims.debug);
}

#[test]
fn migration_agent() {
    assert_eq!(refused(Draft::milan().with(0x160, &[0; 32])), Error::MigrationAgent);
}

#[test]
fn signature_of_another_key() {
    let report = Report::parse(&Draft::milan().sign_with(&p384_key(2))).unwrap();
    assert_eq!(verify(report, &milan_vek(), None, NOW), Err(Error::Signature));
}

#[test]
fn signature_out_of_range() {
    // Zero, and beyond the curve's order.
    for value in [0, 0xff] {
        for at in [0x2a0, 0x2e8] {
            let mut bytes = Draft::milan().sign();
            bytes[at..at + 48].fill(value);
            let report = Report::parse(&bytes).unwrap();
            assert_eq!(verify(report, &milan_vek(), None, NOW), Err(Error::Signature));
        }
    }
}

/// A flipped bit in any field of a real report is noticed.
#[test]
fn each_field_is_signed() {
    let vek = real::milan().verify(&TrustRoots::vendors(), NOW).unwrap();
    let fields = [
        (0x04, Error::Signature), // guest SVN
        (0x08, Error::Signature), // policy: ABI version
        (0x0a, Error::Policy { policy: 0x10000 }),
        (0x10, Error::Signature),  // family id
        (0x20, Error::Signature),  // image id
        (0x30, Error::Signature),  // VMPL
        (0x40, Error::Signature),  // platform info
        (0x48, Error::Signature),  // author key enabled
        (0x50, Error::Signature),  // report data
        (0x90, Error::Signature),  // measurement
        (0xc0, Error::Signature),  // host data
        (0xe0, Error::Signature),  // id key
        (0x110, Error::Signature), // author key
        (0x140, Error::Signature), // report id
        (0x160, Error::MigrationAgent),
        (0x1a0, Error::ChipId),
        (0x1e0, Error::Signature), // committed TCB
        (0x1e8, Error::Signature), // current version
        (0x1ec, Error::Signature), // committed version
        (0x1f0, Error::Signature), // TCB at launch
        (0x2a0, Error::Signature), // r
        (0x2e8, Error::Signature), // s
    ];
    for (at, expected) in fields {
        let mut bytes = real::MILAN_REPORT.to_vec();
        bytes[at] ^= if at == 0x0a { 2 } else { 1 };
        let report = Report::parse(&bytes).unwrap();
        assert_eq!(verify(report, &vek, None, NOW).unwrap_err(), expected, "{at:#x}");
    }
}

/// No bytes make the parser panic, and none of a report's are ignored.
#[test]
fn any_flip_of_any_byte_is_refused() {
    let good = Draft::milan().sign();
    let vek = milan_vek();
    assert_eq!(vek.public_key, {
        let point = vek_key().verifying_key().to_encoded_point(false);
        <[u8; 96]>::try_from(&point.as_bytes()[1..]).unwrap()
    });
    for at in (0..Report::LEN).step_by(5) {
        let mut bytes = good;
        bytes[at] ^= 1 << (at % 8);
        let outcome = Report::parse(&bytes).and_then(|report| verify(report, &vek, None, NOW));
        assert!(outcome.is_err(), "byte {at:#x}");
    }
}
