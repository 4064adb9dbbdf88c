//! Evidence over a nonce that somebody else has chosen: who passes, and who does not.

use super::world::*;
use crate::{mock::*, *};
use casemate_attestation::{Binding, Purpose};
use casemate_primitives::{Hash256, LeaseId};
use casemate_software_tee::Misbehaviour;
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};

/// A challenge's.
const NONCE: Hash256 = [0xc4; 32];

fn over(nonce: Hash256, seed: u8) -> Binding {
    Binding { nonce, ..binding(1, 0, keys(seed)) }
}

fn made(binding: &Binding) -> Submission {
    submission(b"agent", &binding.report_data(), &[])
}

fn verify(submission: &Submission) -> DispatchResult {
    Attestation::verify_fresh(LeaseId(1), 0, &NONCE, submission)
}

/// A chain on which the agent `seed` has standing.
fn standing(seed: u8, test: impl FnOnce()) {
    ready(|| {
        assert_ok!(attest(seed, made(&over(hash(BLOCK), seed))));
        test();
    });
}

#[test]
fn the_agent_with_standing_answers_and_its_standing_stays_as_it_is() {
    standing(10, || {
        let before = Standings::<Test>::get(LeaseId(1), 0);
        Now::set(START + 60);
        assert_ok!(verify(&made(&over(NONCE, 10))));
        assert_eq!(Standings::<Test>::get(LeaseId(1), 0), before);
        assert_eq!(Activated::get().len(), 1, "nothing is activated by it");
    });
}

#[test]
fn evidence_over_anything_else_is_refused() {
    standing(10, || {
        let with = |change: &dyn Fn(&mut Binding)| {
            let mut binding = over(NONCE, 10);
            change(&mut binding);
            made(&binding)
        };
        let changes: [&dyn Fn(&mut Binding); 9] = [
            &|b| b.nonce = hash(BLOCK),
            &|b| b.lease = LeaseId(2),
            &|b| b.replica = 1,
            &|b| b.manifest_hash = [9; 32],
            &|b| b.agent_key = [99; 32],
            &|b| b.hpke_key = [99; 32],
            &|b| b.tls_spki_sha256 = [99; 32],
            &|b| b.genesis_hash = [99; 32],
            &|b| b.purpose = Purpose::Release,
        ];
        for change in changes {
            assert_noop!(verify(&with(change)), Error::<Test>::Binding);
        }
    });
}

#[test]
fn another_agent_than_the_one_with_standing_does_not_answer() {
    standing(10, || {
        assert_noop!(verify(&made(&over(NONCE, 20))), Error::<Test>::Binding);
        // Its successor does, once it is attested; then the one before does not.
        assert_ok!(attest(20, made(&over(hash(BLOCK), 20))));
        assert_ok!(verify(&made(&over(NONCE, 20))));
        assert_noop!(verify(&made(&over(NONCE, 10))), Error::<Test>::Binding);
    });
}

#[test]
fn evidence_that_attest_would_refuse_is_refused() {
    use Misbehaviour::*;
    standing(10, || {
        let report_data = over(NONCE, 10).report_data();
        let cases = [
            (Debug, Error::<Test>::Debug),
            (WrongMeasurement, Error::<Test>::WorkloadNotApproved),
            (BadSignature, Error::<Test>::NotVerified),
            (Truncated, Error::<Test>::Unreadable),
        ];
        for (misbehaviour, error) in cases {
            let bad = submission(b"agent", &report_data, &[misbehaviour]);
            assert_noop!(verify(&bad), error);
        }
        let unapproved = submission(b"another agent", &report_data, &[]);
        assert_noop!(verify(&unapproved), Error::<Test>::WorkloadNotApproved);
        assert_ok!(Attestation::revoke_workload(Origin::root(), workload(b"agent")));
        assert_noop!(verify(&made(&over(NONCE, 10))), Error::<Test>::WorkloadNotApproved);
    });
}

#[test]
fn without_standing_there_is_nobody_to_answer() {
    ready(|| {
        assert!(!Attestation::is_standing(LeaseId(1), 0));
        assert_noop!(verify(&made(&over(NONCE, 10))), Error::<Test>::NotFound);
        assert_ok!(attest(10, made(&over(hash(BLOCK), 10))));
        assert!(Attestation::is_standing(LeaseId(1), 0));
        assert!(!Attestation::is_standing(LeaseId(1), 1));
        Now::set(START + StandingSecondsMax::get() - 1);
        assert!(Attestation::is_standing(LeaseId(1), 0));
        Now::set(START + StandingSecondsMax::get());
        assert!(!Attestation::is_standing(LeaseId(1), 0), "it has expired");
        Attestation::forget(LeaseId(1));
        assert_noop!(verify(&made(&over(NONCE, 10))), Error::<Test>::NotFound);
    });
}

#[test]
fn evidence_for_a_challenge_gives_no_standing() {
    ready(|| {
        assert_noop!(attest(10, made(&over(NONCE, 10))), Error::<Test>::Binding);
    });
}
