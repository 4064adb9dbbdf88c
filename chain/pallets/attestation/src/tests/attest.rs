//! Standing: how a key gets it, and how it loses it.

use super::world::*;
use crate::{mock::*, *};
use casemate_attestation::{Grade, TcbStatus, TeeKind};
use casemate_primitives::{blake2_256, LeaseId};
use casemate_software_tee::{measure::Measurements, Collateral, Misbehaviour};
use frame_support::{assert_noop, assert_ok};
use pallet_endorsements::{RootCrls, Stored};
use sp_runtime::{AccountId32, DispatchError};

/// Good evidence of the approved agent for lease 1, replica 0.
fn good(seed: u8) -> Submission {
    submission(b"agent", &binding(1, 0, keys(seed)).report_data(), &[])
}

#[test]
fn good_evidence_gives_standing_and_activates_the_key() {
    ready(|| {
        let submission = good(10);
        let evidence_hash = blake2_256(&submission.evidence);
        assert_ok!(attest(10, submission));
        let standing = Standings::<Test>::get(LeaseId(1), 0).unwrap();
        assert_eq!(standing.keys, keys(10));
        assert_eq!(standing.kind, TeeKind::IntelTdx);
        assert_eq!(standing.grade, Grade::Software, "never taken for real");
        assert_eq!(standing.tcb_status, TcbStatus::UpToDate);
        assert_eq!(standing.workload, workload(b"agent"));
        assert_eq!(standing.manifest_hash, MANIFEST);
        assert_eq!(standing.evidence_hash, evidence_hash);
        assert_eq!(standing.expires_at, START + StandingSecondsMax::get());
        assert_eq!(Activated::get(), [(LeaseId(1), 0, [10; 32])]);
        let counts = |key: [u8; 32]| Attestation::counts_until(LeaseId(1), 0, &key);
        assert_eq!(counts([10; 32]), Some(standing.expires_at));
        assert_eq!(counts([11; 32]), None);
        assert_eq!(Attestation::counts_until(LeaseId(1), 1, &[10; 32]), None);
    });
}

#[test]
fn evidence_is_good_for_its_own_lease_replica_keys_manifest_chain_and_block_only() {
    ready(|| {
        let refused = Error::<Test>::Binding;
        let with = |change: &dyn Fn(&mut casemate_attestation::Binding)| {
            let mut binding = binding(1, 0, keys(10));
            change(&mut binding);
            submission(b"agent", &binding.report_data(), &[])
        };
        assert_noop!(attest(10, with(&|b| b.lease = LeaseId(2))), refused);
        assert_noop!(attest(10, with(&|b| b.replica = 1)), Error::<Test>::Binding);
        assert_noop!(attest(10, with(&|b| b.agent_key = [99; 32])), Error::<Test>::Binding);
        assert_noop!(attest(10, with(&|b| b.hpke_key = [99; 32])), Error::<Test>::Binding);
        assert_noop!(attest(10, with(&|b| b.tls_spki_sha256 = [99; 32])), Error::<Test>::Binding);
        assert_noop!(attest(10, with(&|b| b.manifest_hash = [99; 32])), Error::<Test>::Binding);
        assert_noop!(attest(10, with(&|b| b.genesis_hash = [99; 32])), Error::<Test>::Binding);
        assert_noop!(attest(10, with(&|b| b.nonce = hash(4))), Error::<Test>::Binding);
        let other_purpose = with(&|b| b.purpose = casemate_attestation::Purpose::RaTls);
        assert_noop!(attest(10, other_purpose), Error::<Test>::Binding);
        // Another's evidence, under one's own keys.
        assert_noop!(attest(20, good(10)), Error::<Test>::Binding);
    });
}

#[test]
fn a_replayed_quote_is_refused_once_its_block_is_old() {
    ready(|| {
        let old = good(10);
        assert_ok!(attest(10, old.clone()));
        System::set_block_number(BLOCK + 257);
        assert_noop!(attest(10, old.clone()), Error::<Test>::BlockTooOld);
        // Nor does naming a block to come, or one that nobody knows, help.
        let ahead = Attestation::attest(provider(), LeaseId(1), 0, keys(10), BLOCK + 300, old);
        assert_noop!(ahead, Error::<Test>::BlockTooOld);
    });
}

#[test]
fn only_the_lease_s_provider_attests() {
    ready(|| {
        let call = |origin| Attestation::attest(origin, LeaseId(1), 0, keys(10), BLOCK, good(10));
        assert_noop!(call(stranger()), DispatchError::BadOrigin);
        assert_noop!(call(Origin::none()), DispatchError::BadOrigin);
        let other = Attestation::attest(provider(), LeaseId(2), 0, keys(10), BLOCK, good(10));
        assert_noop!(other, DispatchError::CannotLookup);
    });
}

#[test]
fn an_agent_that_is_not_ours_has_no_standing() {
    ready(|| {
        let report_data = binding(1, 0, keys(10)).report_data();
        let foreign = submission(b"another agent", &report_data, &[]);
        assert_noop!(attest(10, foreign.clone()), Error::<Test>::WorkloadNotApproved);
        // Approved for real hardware only: a software TEE's word is not enough.
        let name = workload(b"another agent");
        assert_ok!(Attestation::approve_workload(Origin::root(), name.clone(), Grade::Hardware));
        assert_noop!(attest(10, foreign.clone()), Error::<Test>::WorkloadNotApproved);
        assert_ok!(Attestation::approve_workload(Origin::root(), name, Grade::Software));
        assert_ok!(attest(10, foreign));
    });
}

#[test]
fn a_td_that_has_booted_something_else_under_the_same_firmware_has_no_standing() {
    ready(|| {
        let report_data = binding(1, 0, keys(10)).report_data();
        let with = |register: usize| {
            let mut measured = measured(b"agent");
            let Measurements::Tdx { rtmr, .. } = &mut measured else { panic!("asked for TDX") };
            rtmr[register] = [9; 48];
            submission_of(&measured, &report_data, &[])
        };
        for register in 0..3 {
            assert_noop!(attest(10, with(register)), Error::<Test>::WorkloadNotApproved);
        }
        // What differs from pod to pod is the publisher's to compare.
        assert_ok!(attest(10, with(3)));
    });
}

#[test]
fn each_misbehaviour_is_refused() {
    use Misbehaviour::*;
    ready(|| {
        let report_data = binding(1, 0, keys(10)).report_data();
        let cases = [
            (Debug, Error::<Test>::Debug),
            (WrongReportData, Error::<Test>::Binding),
            (WrongMeasurement, Error::<Test>::WorkloadNotApproved),
            (BadSignature, Error::<Test>::NotVerified),
            (WrongQe, Error::<Test>::NotVerified),
            (Truncated, Error::<Test>::Unreadable),
        ];
        for (misbehaviour, error) in cases {
            let bad = submission(b"agent", &report_data, &[misbehaviour]);
            assert_noop!(attest(10, bad), error);
        }
        // Machines whose certificates the chain does not take at all.
        for misbehaviour in [Revoked, ExpiredCertificate] {
            assert_noop!(
                submit_pck(&pck(&[misbehaviour])),
                pallet_endorsements::Error::<Test>::NotVerified
            );
            let bad = submission(b"agent", &report_data, &[misbehaviour]);
            assert_noop!(attest(10, bad), Error::<Test>::CertificateUnknown);
        }
        // Machines with a good certificate and bad firmware.
        assert_ok!(submit_pck(&pck(&[RevokedTcb])));
        let bad = submission(b"agent", &report_data, &[RevokedTcb]);
        assert_noop!(attest(10, bad), Error::<Test>::TcbRevoked);
        assert_ok!(submit_pck(&pck(&[OtherProduct])));
        let bad = submission(b"agent", &report_data, &[OtherProduct]);
        assert_noop!(attest(10, bad), Error::<Test>::CollateralMissing);
        // Old firmware is said to be old; whether that will do is the publisher's policy.
        assert_ok!(submit_pck(&pck(&[OldTcb])));
        assert_ok!(attest(10, submission(b"agent", &report_data, &[OldTcb])));
        let standing = Standings::<Test>::get(LeaseId(1), 0).unwrap();
        assert_eq!(standing.tcb_status, TcbStatus::OutOfDate);
    });
}

#[test]
fn what_is_missing_is_named() {
    bare(|| {
        assert_noop!(attest(10, good(10)), Error::<Test>::CertificateUnknown);
    });
    ready(|| {
        let mut of_another_kind = good(10);
        of_another_kind.kind = TeeKind::IntelSgx;
        assert_noop!(attest(10, of_another_kind), Error::<Test>::Unreadable);
        let mut garbage = good(10);
        garbage.evidence = vec![0xff; 100].try_into().unwrap();
        assert_noop!(attest(10, garbage.clone()), Error::<Test>::Unreadable);
        garbage.evidence = Default::default();
        assert_noop!(attest(10, garbage), Error::<Test>::Unreadable);
    });
}

#[test]
fn standing_never_outlives_what_it_rests_on() {
    ready(|| {
        // Close to the end of the collateral's thirty days.
        let end = collateral(START, &[]).expires_at;
        Now::set(end - 100);
        assert_ok!(attest(10, good(10)));
        let standing = Standings::<Test>::get(LeaseId(1), 0).unwrap();
        assert!(standing.expires_at <= end + 1, "{} > {end}", standing.expires_at);
        Now::set(end + 1_000);
        assert_noop!(attest(10, good(10)), Error::<Test>::CollateralExpired);
        // Newer collateral makes it good again, the certificate under the newer lists included.
        submit(&collateral(end, &[]));
        assert_noop!(attest(10, good(10)), Error::<Test>::CollateralExpired);
        assert_ok!(submit_pck(&pck(&[])));
        assert_ok!(attest(10, good(10)));
    });
}

#[test]
fn the_same_key_renews_and_another_takes_over() {
    ready(|| {
        assert_ok!(attest(10, good(10)));
        Now::set(START + 1_000);
        assert_ok!(attest(10, good(10)));
        let end = START + 1_000 + StandingSecondsMax::get();
        assert_eq!(Attestation::counts_until(LeaseId(1), 0, &[10; 32]), Some(end));
        assert_ok!(attest(20, good(20)));
        assert_eq!(Attestation::counts_until(LeaseId(1), 0, &[10; 32]), None);
        assert_eq!(Attestation::counts_until(LeaseId(1), 0, &[20; 32]), Some(end));
        Attestation::forget(LeaseId(1));
        assert_eq!(Attestation::counts_until(LeaseId(1), 0, &[20; 32]), None);
    });
}

fn counts(seed: u8) -> Option<u64> {
    Attestation::counts_until(LeaseId(1), 0, &[seed; 32])
}

fn recheck(submission: Option<Submission>) -> frame_support::dispatch::DispatchResult {
    Attestation::recheck(stranger(), LeaseId(1), 0, submission)
}

#[test]
fn a_workload_that_is_retired_ends_standing_now_by_anyone_s_call() {
    ready(|| {
        let evidence = good(10);
        assert_ok!(attest(10, evidence.clone()));
        assert_noop!(recheck(None), Error::<Test>::Sound);
        assert_noop!(
            Attestation::revoke_workload(stranger(), workload(b"agent")),
            DispatchError::BadOrigin
        );
        assert_ok!(Attestation::revoke_workload(Origin::root(), workload(b"agent")));
        Now::set(START + 500);
        // With the evidence or without: what it has proved until now stays proved, and payable.
        for submission in [None, Some(evidence.clone())] {
            frame_support::hypothetically!({
                assert_ok!(recheck(submission));
                assert_eq!(counts(10), Some(START + 500));
                System::assert_last_event(
                    Event::StandingEnded { lease: LeaseId(1), replica: 0, agent_key: [10; 32] }
                        .into(),
                );
            });
        }
        assert_ok!(recheck(None));
        Now::set(START + 600);
        assert_noop!(recheck(None), Error::<Test>::NotFound);
        assert_noop!(recheck(Some(evidence.clone())), Error::<Test>::NotFound);
        assert_eq!(counts(10), Some(START + 500), "nothing moves the end");
        assert_noop!(attest(10, evidence.clone()), Error::<Test>::WorkloadNotApproved);
        // A machine that turns out to be bad loses the rest, too.
        submit_root_crl(&collateral(START + 600, &[]));
        submit_pck_crl(&collateral(START + 600, &[Misbehaviour::RevokedMachine]));
        assert_ok!(recheck(Some(evidence)));
        assert_eq!(counts(10), None);
    });
}

#[test]
fn standing_that_has_ended_by_time_is_not_ended_again() {
    ready(|| {
        assert_ok!(attest(10, good(10)));
        assert_ok!(Attestation::revoke_workload(Origin::root(), workload(b"agent")));
        let end = counts(10).unwrap();
        Now::set(end);
        assert_noop!(recheck(None), Error::<Test>::NotFound);
        Now::set(end - 1);
        assert_ok!(recheck(None));
        assert_eq!(counts(10), Some(end - 1));
    });
}

/// What each kind of newer collateral does to a machine that was good.
#[test]
fn a_machine_that_newer_collateral_condemns_loses_standing() {
    use Misbehaviour::*;
    let cases: [(Misbehaviour, fn(&Collateral), Error<Test>); 3] = [
        (RevokedMachine, submit_pck_crl, Error::<Test>::CertificateRevoked),
        (RevokedLevel, submit_tcb_info, Error::<Test>::TcbRevoked),
        (RevokedSigners, submit_root_crl, Error::<Test>::CertificateRevoked),
    ];
    for (misbehaviour, submit, error) in cases {
        ready(|| {
            let evidence = good(10);
            assert_ok!(attest(10, evidence.clone()));
            assert_noop!(recheck(Some(evidence.clone())), Error::<Test>::Sound);
            assert_noop!(recheck(Some(good(20))), Error::<Test>::OtherEvidence);
            Now::set(START + 100);
            // As new, and with nothing against this machine.
            for part in [submit_root_crl, submit_pck_crl, submit_tcb_info] {
                part(&collateral(START + 100, &[]));
            }
            assert_noop!(recheck(Some(evidence.clone())), Error::<Test>::Sound);
            Now::set(START + 200);
            submit(&collateral(START + 200, &[misbehaviour]));
            assert_noop!(attest(10, evidence.clone()), error);
            // Of certificates the lists tell alone; the level is in the evidence.
            frame_support::hypothetically!({
                assert_eq!(recheck(None).is_ok(), misbehaviour != RevokedLevel, "{misbehaviour}");
            });
            assert_ok!(recheck(Some(evidence)));
            assert_eq!(counts(10), None, "{misbehaviour}");
            assert_noop!(recheck(None), Error::<Test>::NotFound);
        });
    }
}

#[test]
fn a_machine_whose_root_is_given_up_loses_standing() {
    ready(|| {
        let evidence = good(10);
        assert_ok!(attest(10, evidence.clone()));
        let root = pallet_endorsements::Roots::<Test>::get()
            .into_iter()
            .find(|root| root.grade == Grade::Software)
            .unwrap();
        assert_ok!(Endorsements::remove_root(Origin::root(), root));
        assert_ok!(recheck(Some(evidence)));
        assert_eq!(counts(10), None);
    });
}

#[test]
fn collateral_of_another_root_says_nothing_against_a_machine() {
    ready(|| {
        let evidence = good(10);
        assert_ok!(attest(10, evidence.clone()));
        // As if another root of the same grade were trusted, and its list had come last.
        let list = RootCrls::<Test>::get(Grade::Software).unwrap();
        let mut other = list.get().unwrap();
        other.root_spki_sha256 = [9; 32];
        RootCrls::<Test>::insert(Grade::Software, Stored::new(&other).unwrap());
        assert_noop!(attest(10, evidence.clone()), Error::<Test>::CollateralMissing);
        assert_noop!(recheck(Some(evidence)), Error::<Test>::Sound);
    });
}

#[test]
fn a_machine_on_a_newer_list_loses_standing_without_its_evidence() {
    use pallet_endorsements::{PckCrls, Pcks, Stored};
    ready(|| {
        let evidence = good(10);
        assert_ok!(attest(10, evidence.clone()));
        let recheck = |submission| Attestation::recheck(stranger(), LeaseId(1), 0, submission);
        assert_noop!(recheck(None), Error::<Test>::Sound);
        // As a newer list would have it.
        let pck = Pcks::<Test>::get(evidence.certificate).unwrap().get().unwrap();
        let mut list = PckCrls::<Test>::get(pck.grade, pck.ca).unwrap().get().unwrap();
        list.revoked.push(pck.serial.clone());
        list.revoked.sort();
        PckCrls::<Test>::insert(pck.grade, pck.ca, Stored::new(&list).unwrap());
        assert_noop!(attest(10, evidence.clone()), Error::<Test>::CertificateRevoked);
        frame_support::hypothetically!({
            assert_ok!(recheck(Some(evidence)));
        });
        assert_ok!(recheck(None));
        assert_eq!(Attestation::counts_until(LeaseId(1), 0, &[10; 32]), None);
    });
}

#[test]
fn expired_collateral_alone_condemns_nobody() {
    ready(|| {
        let evidence = good(10);
        assert_ok!(attest(10, evidence.clone()));
        Now::set(collateral(START, &[]).expires_at + 1_000);
        assert_noop!(
            Attestation::recheck(stranger(), LeaseId(1), 0, Some(evidence)),
            Error::<Test>::Sound
        );
    });
}

#[test]
fn a_cluster_is_listed_for_its_own_provider_only() {
    ready(|| {
        let binding = casemate_attestation::Binding {
            purpose: casemate_attestation::Purpose::Cluster,
            manifest_hash: PROVIDER.into(),
            agent_key: [0; 32],
            hpke_key: [0; 32],
            tls_spki_sha256: [0; 32],
            ..binding(0, 0, keys(10))
        };
        let evidence = submission(b"provider daemon", &binding.report_data(), &[]);
        let list = |origin, evidence| Attestation::attest_cluster(origin, BLOCK, evidence);
        // Nobody but a provider has a row, whatever it shows.
        assert_noop!(list(stranger(), evidence.clone()), DispatchError::Unavailable);
        Registered::mutate(|all| all.push(AccountId32::new([9; 32])));
        assert_noop!(list(stranger(), evidence.clone()), Error::<Test>::Binding);
        assert_noop!(list(provider(), good(10)), Error::<Test>::Binding);
        assert_ok!(list(provider(), evidence));
        let cluster = Clusters::<Test>::get(PROVIDER).unwrap();
        assert_eq!(cluster.workload, workload(b"provider daemon"));
        assert_eq!(cluster.grade, Grade::Software);
        let debug = submission(b"provider daemon", &binding.report_data(), &[Misbehaviour::Debug]);
        assert_noop!(list(provider(), debug), Error::<Test>::Debug);
        // The row goes with the provider.
        Registered::set(Vec::new());
        assert!(Attestation::do_try_state().is_err());
        <Attestation as pallet_providers::OnRetire<_>>::retired(&PROVIDER);
        assert!(Clusters::<Test>::iter().next().is_none());
    });
}

#[test]
fn an_invariant_that_does_not_hold_is_found() {
    ready(|| {
        assert_ok!(attest(10, good(10)));
        let standing = Standings::<Test>::get(LeaseId(1), 0).unwrap();
        for (lease, replica) in [(2, 0), (1, 2)] {
            frame_support::hypothetically!({
                Standings::<Test>::insert(LeaseId(lease), replica, standing.clone());
                assert!(Attestation::do_try_state().is_err());
            });
        }
        let expires_at = standing.verified_at + StandingSecondsMax::get() + 1;
        frame_support::hypothetically!({
            let longer = Standing { expires_at, ..standing.clone() };
            Standings::<Test>::insert(LeaseId(1), 0, longer);
            assert!(Attestation::do_try_state().is_err());
        });
    });
}
