//! AMD's machines: the newest revocation list decides, for new evidence and for standings.

use super::world::{
    attest, bare, binding, collateral, keys, new_tee, stranger, tee, Origin, START,
};
use crate::{mock::*, *};
use casemate_attestation::{sev_snp::Product, Grade, TeeKind, TrustRoot, Vendor};
use casemate_primitives::LeaseId;
use casemate_software_tee::{
    measure::{expected, Content, Measurements},
    wire::Kind,
    AmdCollateral, Directory, Format, Misbehaviour,
};
use frame_support::{
    assert_noop, assert_ok,
    dispatch::{DispatchResult, DispatchResultWithPostInfo, Pays},
    BoundedVec,
};
use pallet_endorsements::{AmdCrls, Error as EndorsementsError, Veks};
use std::sync::OnceLock;

/// Another network's software TEE: another product line, as far as the chain can tell.
fn other_tee() -> &'static Directory {
    static TEE: OnceLock<Directory> = OnceLock::new();
    TEE.get_or_init(new_tee)
}

fn measured() -> Measurements {
    expected(Kind::AmdSevSnp, &Content::new(b"snp agent", None, MANIFEST))
}

fn amd(now: u64, misbehave: &[Misbehaviour]) -> AmdCollateral {
    collateral(now, misbehave).amd
}

fn bounded<const N: u32>(bytes: &[u8]) -> BoundedVec<u8, frame_support::traits::ConstU32<N>> {
    bytes.to_vec().try_into().expect("fits")
}

fn der(pem: &str) -> Vec<u8> {
    let chain = casemate_attestation::x509::Certificate::chain_from_pem(pem.as_bytes());
    chain.expect("PEM").remove(0).der().to_vec()
}

fn submit_list(of: &AmdCollateral) -> DispatchResultWithPostInfo {
    Endorsements::submit_amd_crl(stranger(), bounded(&of.crl), bounded(&der(&of.ark)))
}

fn refused_list(of: &AmdCollateral) -> sp_runtime::DispatchError {
    let refused = submit_list(of).unwrap_err();
    assert_eq!(refused.post_info.pays_fee, Pays::Yes, "what is refused costs its fee");
    refused.error
}

fn submit_vek(of: &AmdCollateral) -> DispatchResult {
    submit_chain(&of.vek, &of.ask, &of.ark)
}

fn submit_chain(vek: &str, ask: &str, ark: &str) -> DispatchResult {
    let [vek, ask, ark] = [vek, ask, ark].map(|pem| bounded(&der(pem)));
    Endorsements::submit_vek(stranger(), vek, ask, ark)
}

/// A report of the approved agent for lease 1, replica 0, of the machine that misbehaves so.
fn report(seed: u8, misbehave: &[Misbehaviour]) -> Submission {
    let report_data = binding(1, 0, keys(seed)).report_data();
    let made = tee().pki().evidence(Format::SnpV5, &measured(), &report_data, misbehave);
    let made = made.expect("evidence is made");
    let vek = made.endorsements.expect("with certificates")["vek"].as_str().map(der);
    Submission {
        kind: TeeKind::AmdSevSnp,
        evidence: made.bytes.try_into().expect("fits"),
        certificate: sp_io::hashing::sha2_256(&vek.expect("the key's")),
    }
}

fn digest(of: &AmdCollateral) -> [u8; 32] {
    sp_io::hashing::sha2_256(&der(&of.vek))
}

fn root_of(tee: &Directory, grade: Grade) -> TrustRoot {
    let made = tee.pki().collateral(START, tee.validity(), &[]).expect("collateral is made");
    TrustRoot { vendor: Vendor::Amd, grade, spki_sha256: made.amd_root }
}

/// A chain that trusts the software TEE's AMD root and approves the agent, without collateral.
fn amd_chain(test: impl FnOnce()) {
    bare(|| {
        pallet_endorsements::Roots::<Test>::mutate(|roots| {
            roots.try_push(root_of(tee(), Grade::Software)).expect("there is room");
        });
        let Measurements::SevSnp { measurement, .. } = measured() else {
            unreachable!("asked for SEV-SNP")
        };
        let workload: Workload = measurement.to_vec().try_into().expect("fits");
        assert_ok!(Attestation::approve_workload(Origin::root(), workload, Grade::Software));
        test();
        assert_ok!(Attestation::do_try_state());
        assert_ok!(Endorsements::do_try_state());
    });
}

/// The same with the list and the machine's certificate.
fn ready_amd(test: impl FnOnce()) {
    amd_chain(|| {
        assert_ok!(submit_list(&amd(START, &[])));
        assert_ok!(submit_vek(&amd(START, &[])));
        test();
    });
}

fn counts(seed: u8) -> Option<u64> {
    Attestation::counts_until(LeaseId(1), 0, &[seed; 32])
}

#[test]
fn a_report_gives_standing_under_the_list_that_the_chain_keeps() {
    amd_chain(|| {
        let of = amd(START, &[]);
        assert_noop!(submit_vek(&of), EndorsementsError::<Test>::AmdCrlMissing);
        assert_noop!(attest(10, report(10, &[])), Error::<Test>::CertificateUnknown);
        assert_eq!(submit_list(&of).unwrap().pays_fee, Pays::No);
        assert_ok!(submit_vek(&of));
        assert_noop!(submit_vek(&of), EndorsementsError::<Test>::Known);
        let vek = Veks::<Test>::get(digest(&of)).unwrap().get().unwrap();
        assert_eq!((vek.product, vek.grade), (Product::Milan, Grade::Software));
        assert_ok!(attest(10, report(10, &[])));
        assert_eq!(counts(10), Some(START + StandingSecondsMax::get()));
        // Nobody's word on another certificate, another key or another report.
        let mut other = report(20, &[]);
        other.certificate = [1; 32];
        assert_noop!(attest(20, other), Error::<Test>::CertificateUnknown);
        assert_noop!(
            attest(20, report(20, &[Misbehaviour::BadSignature])),
            Error::<Test>::NotVerified
        );
        assert_noop!(attest(20, report(10, &[])), Error::<Test>::Binding);
    });
}

#[test]
fn older_and_equal_lists_are_refused() {
    ready_amd(|| {
        let root = root_of(tee(), Grade::Software).spki_sha256;
        let newest = AmdCrls::<Test>::get(Grade::Software, root);
        let not_newer = EndorsementsError::<Test>::NotNewer.into();
        assert_eq!(refused_list(&amd(START, &[])), not_newer);
        // Still valid, but from before.
        assert_eq!(refused_list(&amd(START - 86_400, &[])), not_newer);
        assert_eq!(AmdCrls::<Test>::get(Grade::Software, root), newest);
        Now::set(START + 100);
        assert_eq!(submit_list(&amd(START + 100, &[])).unwrap().pays_fee, Pays::No);
        assert_eq!(refused_list(&amd(START, &[])), not_newer);
    });
}

#[test]
fn a_revocation_is_not_rolled_back() {
    ready_amd(|| {
        // The newest list condemns; the owner brings those from before and after.
        assert_ok!(submit_list(&amd(START, &[Misbehaviour::RevokedAsk])));
        assert_noop!(attest(10, report(10, &[])), Error::<Test>::CertificateRevoked);
        let not_newer = EndorsementsError::<Test>::NotNewer.into();
        assert_eq!(refused_list(&amd(START, &[])), not_newer);
        assert_eq!(refused_list(&amd(START - 86_400, &[])), not_newer);
        Now::set(START + 100);
        assert_ok!(submit_list(&amd(START + 100, &[])));
        assert_noop!(attest(10, report(10, &[])), Error::<Test>::CertificateRevoked);
        assert_noop!(submit_vek(&amd(START, &[])), EndorsementsError::<Test>::Revoked);
    });
}

#[test]
fn an_older_list_that_revokes_more_is_taken() {
    ready_amd(|| {
        assert_ok!(attest(10, report(10, &[])));
        let older = amd(START - 86_400, &[Misbehaviour::RevokedAsk]);
        assert_eq!(submit_list(&older).unwrap().pays_fee, Pays::No);
        assert_noop!(attest(20, report(20, &[])), Error::<Test>::CertificateRevoked);
        // The newest one's times stay.
        let root = root_of(tee(), Grade::Software).spki_sha256;
        let kept = Endorsements::amd_crl(Grade::Software, root).unwrap();
        assert_eq!(kept.not_before, START - 3_600);
        assert_eq!(refused_list(&older), EndorsementsError::<Test>::NotNewer.into());
    });
}

#[test]
fn a_machine_with_a_revoked_signing_key_is_not_taken() {
    ready_amd(|| {
        let of = amd(START, &[]);
        let revoked = tee()
            .pki()
            .evidence(Format::SnpV5, &measured(), &[0; 64], &[Misbehaviour::Revoked])
            .unwrap()
            .endorsements
            .unwrap();
        let [vek, ask] = ["vek", "ask"].map(|name| revoked[name].as_str().unwrap().to_owned());
        assert_noop!(submit_chain(&vek, &ask, &of.ark), EndorsementsError::<Test>::Revoked);
        assert_noop!(
            attest(10, report(10, &[Misbehaviour::Revoked])),
            Error::<Test>::CertificateUnknown
        );
        // The same key under a certificate that is not revoked is good: AMD has certified it anew.
        assert_ok!(submit_chain(&vek, &of.ask, &of.ark));
        assert_ok!(attest(10, report(10, &[Misbehaviour::Revoked])));
        for bad in [Misbehaviour::ExpiredCertificate, Misbehaviour::OtherProduct] {
            assert_noop!(attest(20, report(20, &[bad])), Error::<Test>::CertificateUnknown);
        }
    });
}

#[test]
fn a_certificate_whose_issuer_is_revoked_may_come_again_under_a_new_one() {
    ready_amd(|| {
        let of = amd(START, &[]);
        let list =
            Endorsements::amd_crl(Grade::Software, root_of(tee(), Grade::Software).spki_sha256);
        let [length, serial @ ..] = list.unwrap().revoked[0];
        // As if it had come, before that was revoked, with AMD's other certificate for the same key.
        let key = digest(&of);
        let mut vek = Veks::<Test>::get(key).unwrap().get().unwrap();
        vek.ask_serial = serial[..length.into()].to_vec().try_into().unwrap();
        Veks::<Test>::insert(key, pallet_endorsements::Stored::new(&vek).unwrap());
        assert_noop!(attest(10, report(10, &[])), Error::<Test>::CertificateRevoked);
        assert_ok!(submit_vek(&of));
        assert_ok!(attest(10, report(10, &[])));
    });
}

#[test]
fn a_machine_that_a_newer_list_condemns_loses_standing_and_its_pay() {
    ready_amd(|| {
        let evidence = report(10, &[]);
        assert_ok!(attest(10, evidence.clone()));
        let until = counts(10).expect("it counts");
        assert!(until > Now::get());
        let recheck = |submission| Attestation::recheck(stranger(), LeaseId(1), 0, submission);
        assert_noop!(recheck(None), Error::<Test>::Sound);
        assert_noop!(recheck(Some(evidence.clone())), Error::<Test>::Sound);

        Now::set(START + 100);
        assert_ok!(submit_list(&amd(START + 100, &[Misbehaviour::RevokedAsk])));
        assert_noop!(attest(10, evidence.clone()), Error::<Test>::CertificateRevoked);
        assert_noop!(recheck(Some(report(20, &[]))), Error::<Test>::OtherEvidence);
        // With the evidence from its block.
        frame_support::hypothetically!({
            assert_ok!(recheck(Some(evidence)));
            assert_eq!(counts(10), None);
        });
        // And without: the machine's certificate is enough.
        assert_ok!(recheck(None));
        // What `pallet-leases` asks before it pays.
        assert_eq!(counts(10), None);
        assert_noop!(recheck(None), Error::<Test>::NotFound);
        System::assert_last_event(
            Event::StandingEnded { lease: LeaseId(1), replica: 0, agent_key: [10; 32] }.into(),
        );
    });
}

#[test]
fn a_condemned_machine_is_not_saved_by_an_expired_list() {
    ready_amd(|| {
        let evidence = report(10, &[]);
        assert_ok!(attest(10, evidence.clone()));
        let condemning = collateral(START, &[Misbehaviour::RevokedAsk]);
        assert_ok!(submit_list(&condemning.amd));
        Now::set(condemning.expires_at + 1_000);
        assert_noop!(attest(10, evidence.clone()), Error::<Test>::CertificateRevoked);
        assert_ok!(Attestation::recheck(stranger(), LeaseId(1), 0, Some(evidence)));
    });
}

#[test]
fn a_list_of_another_line_or_of_a_software_root_does_not_count_for_hardware() {
    amd_chain(|| {
        let others = |misbehave: &[Misbehaviour]| {
            let made = other_tee().pki().collateral(START, other_tee().validity(), misbehave);
            made.expect("collateral is made").amd
        };
        let unknown = EndorsementsError::<Test>::NotVerified.into();
        assert_eq!(refused_list(&others(&[])), unknown, "nobody trusts its root");
        // The other network's root is one of hardware now.
        let hardware = root_of(other_tee(), Grade::Hardware);
        assert_ok!(Endorsements::add_root(Origin::root(), Vendor::Amd, hardware.spki_sha256));
        // The software root's list is there, and is not asked about it; nor the other way round.
        assert_ok!(submit_list(&amd(START, &[])));
        assert_noop!(submit_vek(&others(&[])), EndorsementsError::<Test>::AmdCrlMissing);
        assert_ok!(submit_list(&others(&[])));
        assert_ok!(submit_vek(&others(&[])));
        assert_ok!(submit_vek(&amd(START, &[])));
        assert_eq!(AmdCrls::<Test>::iter().count(), 2);
        let kept = Veks::<Test>::get(digest(&others(&[]))).unwrap().get().unwrap();
        assert_eq!((kept.grade, kept.root), (Grade::Hardware, hardware.spki_sha256));

        // What one root revokes, the other's machines do not feel.
        assert_ok!(attest(10, report(10, &[])));
        assert_ok!(submit_list(&others(&[Misbehaviour::RevokedAsk])));
        assert_ok!(attest(10, report(10, &[])));
        assert_noop!(Attestation::recheck(stranger(), LeaseId(1), 0, None), Error::<Test>::Sound);
        // A list under the other root's certificate is not that root's.
        let mut mixed = amd(START + 1, &[]);
        mixed.ark = others(&[]).ark;
        assert_eq!(refused_list(&mixed), unknown);
    });
}

#[test]
fn forged_expired_and_unreadable_lists_are_refused() {
    amd_chain(|| {
        let refused = EndorsementsError::<Test>::NotVerified.into();
        let good = amd(START, &[]);
        for at in [40, good.crl.len() / 2, good.crl.len() - 1] {
            let mut bad = good.clone();
            bad.crl[at] ^= 1;
            assert_eq!(refused_list(&bad), refused, "byte {at}");
        }
        for crl in [Vec::new(), vec![0xff; 100], good.crl[..100].to_vec(), der(&good.ark)] {
            assert_eq!(refused_list(&AmdCollateral { crl, ..good.clone() }), refused);
        }
        let with_ask = AmdCollateral { ark: good.ask.clone(), ..good.clone() };
        assert_eq!(refused_list(&with_ask), refused, "a signing key is no root");
        for misbehave in [Misbehaviour::ExpiredCollateral, Misbehaviour::FutureCollateral] {
            assert_eq!(refused_list(&amd(START, &[misbehave])), refused, "{misbehave}");
        }
        assert!(AmdCrls::<Test>::iter().next().is_none());
        assert_noop!(
            Endorsements::submit_amd_crl(Origin::none(), bounded(&good.crl), bounded(&[1])),
            sp_runtime::DispatchError::BadOrigin
        );
    });
}

#[test]
fn an_expired_list_stops_new_standing_until_a_newer_one_comes() {
    ready_amd(|| {
        let end = collateral(START, &[]).expires_at;
        Now::set(end - 100);
        let evidence = report(10, &[]);
        assert_ok!(attest(10, evidence.clone()));
        assert_eq!(counts(10), Some(end + 1), "standing ends with the list");
        Now::set(end + 1);
        assert_noop!(attest(10, report(10, &[])), Error::<Test>::CollateralExpired);
        // It condemns nobody, though.
        for submission in [None, Some(evidence)] {
            let recheck = Attestation::recheck(stranger(), LeaseId(1), 0, submission);
            assert_noop!(recheck, Error::<Test>::Sound);
        }
        assert_noop!(submit_vek(&amd(START, &[])), EndorsementsError::<Test>::AmdCrlMissing);
        // The certificate does not have to come again.
        assert_ok!(submit_list(&amd(end, &[])));
        assert_ok!(attest(10, report(10, &[])));
    });
}

#[test]
fn without_its_root_a_list_and_what_rests_on_it_is_nothing() {
    ready_amd(|| {
        let root = root_of(tee(), Grade::Software);
        assert_ok!(Endorsements::remove_root(Origin::root(), root));
        assert_noop!(attest(10, report(10, &[])), Error::<Test>::NotVerified);
        assert_eq!(
            refused_list(&amd(START + 1, &[])),
            EndorsementsError::<Test>::NotVerified.into()
        );
    });
}

#[test]
fn certificates_of_amd_s_are_forgotten_when_they_have_expired() {
    ready_amd(|| {
        let key = digest(&amd(START, &[]));
        let end = Veks::<Test>::get(key).unwrap().get().unwrap().not_after;
        let list_end = collateral(START, &[]).expires_at;
        assert!(end > list_end, "the list's end is not the certificate's");
        Now::set(list_end + 1_000);
        assert_noop!(
            Endorsements::forget_certificate(stranger(), key),
            EndorsementsError::<Test>::NotExpired
        );
        Now::set(end);
        assert_ok!(Endorsements::forget_certificate(stranger(), key));
        assert!(!Veks::<Test>::contains_key(key));
    });
}

#[test]
fn firmware_below_governance_s_minimum_has_no_standing() {
    use Misbehaviour::OldTcb;
    ready_amd(|| {
        let of = amd(START, &[]);
        let old = tee().pki().evidence(Format::SnpV5, &measured(), &[0; 64], &[OldTcb]).unwrap();
        let vek = old.endorsements.unwrap()["vek"].as_str().unwrap().to_owned();
        assert_ok!(submit_chain(&vek, &of.ask, &of.ark));
        // AMD itself says of no version that it is old.
        let evidence = report(10, &[OldTcb]);
        assert_ok!(attest(10, evidence.clone()));
        let recheck = |submission| Attestation::recheck(stranger(), LeaseId(1), 0, submission);
        assert_noop!(recheck(Some(evidence.clone())), Error::<Test>::Sound);

        let newest = Veks::<Test>::get(digest(&of)).unwrap().get().unwrap();
        assert_ok!(Endorsements::set_snp_minimum(Origin::root(), newest.product, newest.tcb));
        assert_noop!(attest(20, report(20, &[OldTcb])), Error::<Test>::TcbOutOfDate);
        assert_noop!(attest(10, evidence.clone()), Error::<Test>::TcbOutOfDate);
        // What it has earned until somebody says so is not taken away.
        Now::set(START + 100);
        assert_ok!(recheck(Some(evidence.clone())));
        assert_eq!(counts(10), Some(START + 100));
        assert_noop!(recheck(Some(evidence)), Error::<Test>::NotFound);
        // A machine with that firmware has standing, and keeps it.
        let evidence = report(20, &[]);
        assert_ok!(attest(20, evidence.clone()));
        assert_noop!(recheck(Some(evidence)), Error::<Test>::Sound);
    });
}
