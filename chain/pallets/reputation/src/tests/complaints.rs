//! Complaints: who may, when, for how much, and how they end.

use super::*;
use crate::{Complaints, NextComplaint, OpenAgainst, OpenFor};

const KIND: ComplaintKind = ComplaintKind::Unavailable;
const TEXT: [u8; 32] = [3; 32];

fn complain(who: AccountId, lease: LeaseId) -> sp_runtime::DispatchResult {
    Reputation::complain(signed(who), lease, KIND, TEXT)
}

/// A complaint of the publisher about the provider.
fn complaint() -> (LeaseId, ComplaintId) {
    let lease = open(0, PUBLISHER, PROVIDER);
    let id = NextComplaint::<Test>::get();
    assert_ok!(complain(PUBLISHER, lease));
    (lease, id)
}

fn nothing_is_left() {
    assert_eq!(Complaints::<Test>::iter().count(), 0);
    assert_eq!(OpenFor::<Test>::iter().count(), 0);
    assert_eq!(OpenAgainst::<Test>::iter().count(), 0);
}

#[test]
fn both_sides_may_complain_once_at_a_time() {
    build_and_execute(|| {
        let (lease, complaint) = complaint();
        let (author, accused, kind, text_hash) = (PUBLISHER, PROVIDER, KIND, TEXT);
        let (deposit, until) = (DEPOSIT, START + ARBITRATION);
        let said = Event::Complained {
            complaint,
            lease,
            author,
            accused,
            kind,
            text_hash,
            deposit,
            until,
        };
        assert_eq!(last_event(), said);
        assert_eq!(held(PUBLISHER), DEPOSIT);
        assert_noop!(complain(PUBLISHER, lease), Error::<Test>::AlreadyOpen);
        assert_ok!(complain(PROVIDER, lease));
        assert_eq!((held(PROVIDER), OpenAgainst::<Test>::get(PUBLISHER)), (DEPOSIT, 1));
        // It may be closed and brought again: the text has changed, say.
        assert_ok!(Reputation::close_complaint(signed(PUBLISHER), complaint));
        assert_ok!(complain(PUBLISHER, lease));
    });
}

#[test]
fn others_may_not_complain() {
    build_and_execute(|| {
        let lease = open(0, PUBLISHER, PROVIDER);
        assert_noop!(complain(STRANGER, lease), Error::<Test>::NotASide);
        assert_noop!(complain(PUBLISHER, LeaseId(1)), Error::<Test>::LeaseNotKnown);
        let own = open(2, PUBLISHER, PUBLISHER);
        assert_noop!(complain(PUBLISHER, own), Error::<Test>::OwnLease);
        let unsigned = Reputation::complain(RuntimeOrigin::none(), lease, KIND, TEXT);
        assert_noop!(unsigned, BadOrigin);
        assert_noop!(Reputation::complain(RuntimeOrigin::root(), lease, KIND, TEXT), BadOrigin);
    });
}

#[test]
fn long_after_the_end_nobody_may_complain() {
    build_and_execute(|| {
        let lease = open(0, PUBLISHER, PROVIDER);
        pass(10 * WINDOW);
        assert_ok!(complain(PROVIDER, lease));
        close(lease);
        pass(WINDOW);
        assert_ok!(complain(PUBLISHER, lease));
        assert_ok!(Reputation::close_complaint(signed(PUBLISHER), 1));
        pass(1);
        assert_noop!(complain(PUBLISHER, lease), Error::<Test>::TooLate);
    });
}

#[test]
fn the_more_complaints_are_open_the_dearer_and_there_is_a_most() {
    build_and_execute(|| {
        for publisher in 0..3 {
            let lease = open(publisher, publisher, PROVIDER);
            assert_ok!(complain(publisher, lease));
            assert_eq!(held(publisher), DEPOSIT * u128::from(publisher + 1));
        }
        let lease = open(3, 3, PROVIDER);
        assert_noop!(complain(3, lease), Error::<Test>::TooManyOpen);
        // About another account it costs as before.
        let other = open(4, 3, OTHER_PROVIDER);
        assert_ok!(complain(3, other));
        assert_eq!(held(3), DEPOSIT);
        // With one less there is room again, and each gets back what it put down.
        assert_ok!(Reputation::close_complaint(signed(2), 2));
        assert_eq!(held(2), 0);
        assert_ok!(complain(3, lease));
        assert_eq!(held(3), DEPOSIT + 3 * DEPOSIT);
    });
}

#[test]
fn without_the_deposit_there_is_no_complaint() {
    build_and_execute(|| {
        let poor = 77;
        let lease = open(0, poor, PROVIDER);
        assert!(complain(poor, lease).is_err());
        // What a failed call leaves is rolled back by the dispatch; here only the money is looked at.
        assert_eq!(held(poor), 0);
        crate::NextComplaint::<Test>::kill();
    });
}

#[test]
fn ids_and_deposits_never_overflow() {
    build_and_execute(|| {
        let lease = open(0, PUBLISHER, PROVIDER);
        NextComplaint::<Test>::put(u64::MAX);
        assert_noop!(complain(PUBLISHER, lease), Error::<Test>::Overflow);
        NextComplaint::<Test>::kill();
    });
}

#[test]
fn its_author_closes_a_complaint_without_effect() {
    build_and_execute(|| {
        paid(PUBLISHER, PROVIDER, CASE);
        let (_, id) = complaint();
        assert_noop!(Reputation::close_complaint(signed(PROVIDER), id), Error::<Test>::NotAuthor);
        assert_noop!(
            Reputation::close_complaint(signed(PUBLISHER), id + 1),
            Error::<Test>::NoComplaint
        );
        assert_noop!(Reputation::close_complaint(RuntimeOrigin::none(), id), BadOrigin);
        assert_ok!(Reputation::close_complaint(signed(PUBLISHER), id));
        assert_eq!(last_event(), Event::ComplaintClosed { complaint: id });
        assert_eq!((held(PUBLISHER), score(PROVIDER)), (0, CASE));
        nothing_is_left();
    });
}

#[test]
fn an_upheld_complaint_costs_the_accused() {
    build_and_execute(|| {
        for publisher in 1_000..1_100 {
            paid(publisher, PROVIDER, CASE);
        }
        let (lease, id) = complaint();
        // The lease is forgotten meanwhile.
        close(lease);
        forget(lease);
        assert_ok!(Reputation::resolve_complaint(RuntimeOrigin::root(), id, true));
        assert_eq!(last_event(), Event::ComplaintResolved { complaint: id, upheld: true });
        assert_eq!(Balances::balance(&PUBLISHER), ENDOWMENT);
        assert_eq!(score(PROVIDER), 87 * CASE + CASE / 2);
        let counts = Reputation::score_now(&PROVIDER).provider.counts;
        assert_eq!(counts.complaints_upheld, 1);
        nothing_is_left();
    });
}

#[test]
fn an_upheld_complaint_about_a_publisher_falls_on_its_own_side() {
    build_and_execute(|| {
        paid(PUBLISHER, PROVIDER, 3 * CASE);
        paid(OTHER_PUBLISHER, PUBLISHER, CASE);
        let lease = open(0, PUBLISHER, PROVIDER);
        assert_ok!(complain(PROVIDER, lease));
        assert_ok!(Reputation::resolve_complaint(RuntimeOrigin::root(), 0, true));
        let score = Reputation::score_now(&PUBLISHER);
        assert_eq!(score.publisher.complaints_upheld, CASE);
        assert_eq!(score.provider.score(), CASE, "not on what it does as a provider");
    });
}

#[test]
fn a_rejected_complaint_costs_its_author_the_deposit() {
    build_and_execute(|| {
        paid(PUBLISHER, PROVIDER, CASE);
        let (_, id) = complaint();
        assert_ok!(Reputation::resolve_complaint(RuntimeOrigin::root(), id, false));
        assert_eq!(last_event(), Event::ComplaintResolved { complaint: id, upheld: false });
        assert_eq!(Balances::balance(&PUBLISHER), ENDOWMENT - DEPOSIT);
        assert_eq!(Balances::balance(&PROVIDER), ENDOWMENT + DEPOSIT);
        assert_eq!(score(PROVIDER), CASE);
        nothing_is_left();
    });
}

#[test]
fn only_arbiters_decide_and_only_in_time() {
    build_and_execute(|| {
        let (_, id) = complaint();
        for who in [PUBLISHER, PROVIDER, STRANGER] {
            assert_noop!(Reputation::resolve_complaint(signed(who), id, true), BadOrigin);
        }
        let root = RuntimeOrigin::root;
        assert_noop!(
            Reputation::resolve_complaint(root(), id + 1, true),
            Error::<Test>::NoComplaint
        );
        pass(ARBITRATION + 1);
        assert_noop!(Reputation::resolve_complaint(root(), id, true), Error::<Test>::ArbitersLate);
        assert_noop!(Reputation::resolve_complaint(root(), id, false), Error::<Test>::ArbitersLate);
    });
}

#[test]
fn a_complaint_without_a_decision_expires_without_effect() {
    build_and_execute(|| {
        paid(PUBLISHER, PROVIDER, CASE);
        let (_, id) = complaint();
        pass(ARBITRATION);
        assert_noop!(
            Reputation::expire_complaint(signed(STRANGER), id),
            Error::<Test>::ArbitersHaveTime
        );
        pass(1);
        assert_noop!(Reputation::expire_complaint(RuntimeOrigin::none(), id), BadOrigin);
        let before = score(PROVIDER);
        assert_ok!(Reputation::expire_complaint(signed(STRANGER), id));
        assert_eq!(last_event(), Event::ComplaintExpired { complaint: id });
        assert_eq!((held(PUBLISHER), score(PROVIDER)), (0, before));
        nothing_is_left();
        assert_noop!(
            Reputation::expire_complaint(signed(STRANGER), id),
            Error::<Test>::NoComplaint
        );
    });
}
