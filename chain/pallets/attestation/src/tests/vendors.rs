//! Real evidence of Intel's hardware (`crates/attestation/tests/data`).

use super::world::{bare, leaf_digest, pck_chain, stranger, submit_pck};
use crate::{mock::*, *};
use casemate_attestation::{
    dcap::{Quote, RawCollateral},
    Grade, TcbStatus, TeeKind,
};
use frame_support::{assert_noop, assert_ok};

/// While the sample's collateral is valid: 2026-10-15.
const VALID: u64 = 1_792_022_400;
const QUOTE: &[u8] =
    include_bytes!("../../../../../crates/attestation/tests/data/dcap/tdx_quote_td15ex");
const COLLATERAL: &[u8] = include_bytes!(
    "../../../../../crates/attestation/tests/data/dcap/tdx_quote_td15ex_collateral.json"
);

fn submission(bytes: &[u8]) -> Submission {
    let quote = Quote::parse(QUOTE).unwrap();
    Submission {
        kind: TeeKind::IntelTdx,
        evidence: bytes.to_vec().try_into().unwrap(),
        certificate: leaf_digest(&pck_chain(&quote)),
    }
}

fn with_intels_collateral(test: impl FnOnce()) {
    bare(|| {
        Now::set(VALID);
        let raw: RawCollateral = serde_json::from_slice(COLLATERAL).unwrap();
        let chain = |text: &str| text.as_bytes().to_vec().try_into().unwrap();
        let body = |bytes: &[u8]| bytes.to_vec().try_into().unwrap();
        assert_ok!(Endorsements::submit_root_crl(
            stranger(),
            body(&raw.root_ca_crl),
            chain(&raw.pck_crl_issuer_chain)
        ));
        assert_ok!(Endorsements::submit_pck_crl(
            stranger(),
            body(&raw.pck_crl),
            chain(&raw.pck_crl_issuer_chain)
        ));
        assert_ok!(Endorsements::submit_tcb_info(
            stranger(),
            body(raw.tcb_info.as_bytes()),
            raw.tcb_info_signature.try_into().unwrap(),
            chain(&raw.tcb_info_issuer_chain)
        ));
        assert_ok!(Endorsements::submit_qe_identity(
            stranger(),
            body(raw.qe_identity.as_bytes()),
            raw.qe_identity_signature.try_into().unwrap(),
            chain(&raw.qe_identity_issuer_chain)
        ));
        assert_ok!(submit_pck(&pck_chain(&Quote::parse(QUOTE).unwrap())));
        test();
    });
}

#[test]
fn a_real_tdx_quote_is_appraised_by_the_runtime() {
    with_intels_collateral(|| {
        assert_ok!(Attestation::appraise(stranger(), submission(QUOTE)));
        let appraised = System::events().into_iter().rev().find_map(|record| match record.event {
            RuntimeEvent::Attestation(Event::Appraised {
                kind,
                grade,
                tcb_status,
                debug,
                report_data,
                ..
            }) => Some((kind, grade, tcb_status, debug, report_data)),
            _ => None,
        });
        let report_data = *Quote::parse(QUOTE).unwrap().report_data();
        assert_eq!(
            appraised.unwrap(),
            (TeeKind::IntelTdx, Grade::Hardware, TcbStatus::UpToDate, false, report_data)
        );
    });
}

#[test]
fn its_forgeries_are_refused() {
    with_intels_collateral(|| {
        for at in [60, 200, 500, 700] {
            let mut forged = QUOTE.to_vec();
            forged[at] ^= 1;
            assert!(Attestation::appraise(stranger(), submission(&forged)).is_err(), "byte {at}");
        }
        assert_noop!(
            Attestation::appraise(stranger(), submission(&QUOTE[..600])),
            Error::<Test>::Unreadable
        );
        Now::set(VALID + 60 * 86_400);
        assert_noop!(
            Attestation::appraise(stranger(), submission(QUOTE)),
            Error::<Test>::CollateralExpired
        );
    });
}
