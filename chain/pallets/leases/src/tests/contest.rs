//! Contested claims: by proof, by arbiters, by time.

use super::*;
use sp_runtime::Permill;

const EARNED: Balance = 10 * PRICE_PER_SECOND;
/// Ten percent of what is contested.
const PUT_DOWN: Balance = EARNED / 10;

/// A lease with an open claim over ten seconds; gives the record.
fn open_claim() -> UsageRecord {
    open_with(|terms| terms.dispute_seconds = 100);
    assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
    pass(10);
    let record = record_after(None, 10);
    assert_ok!(claim(record));
    record
}

fn contest() -> DispatchResult {
    Leases::contest(origin(publisher()), LEASE)
}

fn decide(percent: u32) -> DispatchResult {
    Leases::decide(RuntimeOrigin::root(), LEASE, Permill::from_percent(percent))
}

fn put_down() -> Balance {
    Balances::balance_on_hold(&HoldReason::Contest.into(), &publisher())
}

fn closed_for_misconduct() -> bool {
    let is_end =
        |event: &Event<Test>| matches!(event, Event::Closed { reason: EndReason::Misconduct, .. });
    events().iter().any(is_end)
}

fn prove(a: UsageRecord, b: UsageRecord) -> DispatchResult {
    let (by_a, by_b) = (signed_by(&agent(), &a), signed_by(&agent(), &b));
    Leases::prove_misconduct(origin(stranger()), a, by_a, b, by_b)
}

#[test]
fn arbiters_decide_what_is_contested_without_proof() {
    build_and_execute(|| {
        open_claim();
        let free = Balances::balance(&provider());
        assert_noop!(Leases::contest(origin(stranger()), LEASE), Error::<Test>::NotPublisher);
        assert_noop!(decide(100), Error::<Test>::NotContested);
        assert_ok!(contest());
        assert_eq!(put_down(), PUT_DOWN);
        assert_noop!(contest(), Error::<Test>::Contested);
        // What is contested is neither final with time nor paid out.
        pass(1_000);
        assert_noop!(Leases::payout(origin(provider()), LEASE), Error::<Test>::NothingDue);
        let stranger = origin(stranger());
        let by_anyone = Leases::decide(stranger, LEASE, Permill::one());
        assert_noop!(by_anyone, sp_runtime::DispatchError::BadOrigin);
        assert_ok!(decide(70));
        assert_eq!(
            (lease().escrow, lease().final_due),
            (DEPOSIT - EARNED * 3 / 10, EARNED * 3 / 10)
        );
        assert_eq!(put_down(), 0);
        assert_ok!(Leases::payout(origin(provider()), LEASE));
        assert_eq!(Balances::balance(&provider()) - free, EARNED * 3 / 10);
        assert_eq!(Told::get()[0], "contested false");
    });
}

#[test]
fn who_contests_without_reason_pays_the_other_side_for_the_wait() {
    build_and_execute(|| {
        open_claim();
        let free = Balances::balance(&provider());
        assert_ok!(contest());
        assert_ok!(decide(49));
        assert_eq!(Balances::balance(&provider()) - free, PUT_DOWN);
        assert_eq!(put_down(), 0);
        assert_eq!(Told::get(), ["contested true"]);
    });
}

#[test]
fn without_a_decision_in_time_what_an_attested_agent_signed_stands() {
    build_and_execute(|| {
        open_claim();
        let expire = || Leases::expire_contest(origin(stranger()), LEASE);
        assert_noop!(expire(), Error::<Test>::NotContested);
        assert_ok!(contest());
        pass(ArbitrationSeconds::get());
        assert_noop!(expire(), Error::<Test>::ArbitersHaveTime);
        pass(1);
        let free = Balances::balance(&provider());
        assert_ok!(expire());
        assert_ok!(Leases::payout(origin(stranger()), LEASE));
        assert_eq!(Balances::balance(&provider()) - free, EARNED + PUT_DOWN);
    });
}

#[test]
fn a_publisher_that_contests_everything_pays_for_it_and_delays_no_later_claim() {
    build_and_execute(|| {
        let mut before = open_claim();
        let free = Balances::balance(&provider());
        let mut lost = 0;
        for _ in 0..5 {
            assert_ok!(contest());
            lost += put_down();
            pass(5);
            let next = record_after(Some(&before), 5);
            assert_ok!(claim(next));
            before = next;
            pass(ArbitrationSeconds::get() + 1);
            // The claim of the meantime is final by then: nobody contested it.
            assert_ok!(Leases::expire_contest(origin(stranger()), LEASE));
            assert_ok!(Leases::payout(origin(stranger()), LEASE));
            pass(5);
            let next = record_after(Some(&before), 5);
            assert_ok!(claim(next));
            before = next;
        }
        assert!(lost >= 5 * 1_000);
        let paid = lease().paid;
        assert_eq!(Balances::balance(&provider()) - free, paid + lost);
        assert_eq!(paid, EARNED + 5 * 5 * PRICE_PER_SECOND + 4 * 5 * PRICE_PER_SECOND);
    });
}

#[test]
fn nothing_final_can_be_contested() {
    build_and_execute(|| {
        open_claim();
        pass(200);
        assert_noop!(contest(), Error::<Test>::NothingOpen);
    });
}

#[test]
fn two_records_that_cannot_both_be_true_end_the_lease_and_give_all_open_claims_back() {
    build_and_execute(|| {
        let first = open_claim();
        let mut other = first;
        other.total.egress_mib = 5;
        assert_noop!(prove(first, first), Error::<Test>::NoContradiction);
        let honest = record_after(Some(&first), 5);
        assert_noop!(prove(first, honest), Error::<Test>::NoContradiction);
        let forged = signed_by(&SigningKey::from_bytes(&[43; 32]), &other);
        let good = signed_by(&agent(), &first);
        assert_noop!(
            Leases::prove_misconduct(origin(stranger()), first, good, other, forged),
            Error::<Test>::RecordSignature
        );
        assert_ok!(prove(first, other));
        told(Event::Misconduct { lease: LEASE, replica: 0, refunded: EARNED });
        assert_eq!(Balances::total_balance(&publisher()), ENDOWMENT, "all came back");
        assert_eq!(Told::get()[0], "contested false");
        assert!(closed_for_misconduct());
    });
}

#[test]
fn each_way_in_which_records_run_backwards_is_misconduct() {
    let ways: [(&str, fn(&mut UsageRecord)); 6] = [
        ("overlapping span", |r| r.from -= 1),
        ("smaller totals", |r| r.total = Quantities::default()),
        ("smaller use", |r| r.actual = Quantities::default()),
        ("fewer running seconds", |r| r.running_seconds = 0),
        ("shorter log", |r| r.log.chunks = 0),
        ("another past", |r| r.previous = [9; 32]),
    ];
    for (way, change) in ways {
        build_and_execute(|| {
            let mut claimed = open_claim();
            claimed.actual.cpu_millicore_seconds = 7;
            claimed.log.chunks = 2;
            let mut next = record_after(Some(&claimed), 5);
            next.actual = claimed.actual;
            next.log = claimed.log;
            assert_noop!(prove(claimed, next), Error::<Test>::NoContradiction);
            change(&mut next);
            assert_ok!(prove(claimed, next));
            assert!(closed_for_misconduct(), "{way}");
        });
    }
}

#[test]
fn another_agent_hides_no_contradiction_of_the_one_before() {
    for is_contested in [false, true] {
        build_and_execute(|| {
            let first = open_claim();
            let mut other = first;
            other.total.egress_mib = 5;
            if is_contested {
                assert_ok!(contest());
            }
            // Each has claimed, and been replaced by another one.
            for byte in [50, 51] {
                assert_ok!(rotate(byte));
            }
            if is_contested {
                // Not decided yet, however long ago it was claimed.
                pass(1_000);
                assert_ok!(rotate(52));
            }
            assert_ok!(prove(first, other));
            assert!(closed_for_misconduct());
            // All that is not final: of two that were replaced, or what is contested, and of the newest.
            let refunded = if is_contested { 2 * EARNED } else { 3 * EARNED };
            told(Event::Misconduct { lease: LEASE, replica: 0, refunded });
        });
    }
}

/// Another agent takes over, and claims ten seconds.
fn rotate(byte: u8) -> DispatchResult {
    let key = SigningKey::from_bytes(&[byte; 32]);
    activate(provider(), LEASE, 0, key.verifying_key().to_bytes())?;
    pass(10);
    let to = Now::get();
    let record = UsageRecord { from: to - 10, to, ..record_after(None, 10) };
    Leases::claim(origin(provider()), record, signed_by(&key, &record))
}

#[test]
fn keys_are_kept_only_as_long_as_claims_of_them_can_go_back_and_as_many_as_there_is_room_for() {
    build_and_execute(|| {
        let first = open_claim();
        let mut other = first;
        other.total.egress_mib = 5;
        let replaced = || Agents::<Test>::get(LEASE, 0).unwrap().replaced;
        assert_ok!(rotate(50));
        assert_eq!(replaced().len(), 1);
        // One that has claimed nothing stands behind nothing.
        assert_ok!(activate(provider(), LEASE, 0, [51; 32]));
        assert_ok!(activate(provider(), LEASE, 0, [52; 32]));
        assert_eq!(replaced().len(), 2);
        pass(200);
        assert_ok!(rotate(53));
        assert_eq!(replaced().len(), 0);
        assert_noop!(prove(first, other), Error::<Test>::RecordSignature);
        // Two keys are one too many for one contradiction.
        let key = SigningKey::from_bytes(&[53; 32]);
        let forged = Leases::prove_misconduct(
            origin(stranger()),
            first,
            signed_by(&key, &first),
            other,
            signed_by(&agent(), &other),
        );
        assert_noop!(forged, Error::<Test>::RecordSignature);
    });
    build_and_execute(|| {
        open_with(|terms| terms.dispute_seconds = 10_000);
        assert_ok!(Leases::fund(origin(publisher()), LEASE, 10 * DEPOSIT));
        let most = u8::try_from(crate::REPLACED_KEYS_MAX).unwrap();
        for byte in 0..most + 3 {
            assert_ok!(rotate(100 + byte));
        }
        let replaced = Agents::<Test>::get(LEASE, 0).unwrap().replaced;
        assert_eq!(replaced.len(), usize::from(most));
        let newest = SigningKey::from_bytes(&[100 + most + 1; 32]).verifying_key().to_bytes();
        assert_eq!(replaced.last().map(|of| of.key), Some(newest));
    });
}

#[test]
fn misconduct_ends_a_contest_and_what_was_put_down_comes_back() {
    build_and_execute(|| {
        let first = open_claim();
        assert_ok!(contest());
        let mut other = first;
        other.running_seconds -= 1;
        assert_ok!(prove(first, other));
        assert_eq!(put_down(), 0);
        assert_eq!(Balances::total_balance(&publisher()), ENDOWMENT);
    });
}

#[test]
fn after_misconduct_no_last_record_is_believed() {
    build_and_execute(|| {
        let first = open_claim();
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        let mut other = first;
        other.running_seconds -= 1;
        assert_ok!(prove(first, other));
        let more = record_after(Some(&first), 0);
        assert_noop!(claim(more), Error::<Test>::NoRecordsAfterMisconduct);
        // And nobody has to wait for the notice.
        assert_ok!(Leases::settle(origin(stranger()), LEASE));
        assert_eq!(Balances::total_balance(&publisher()), ENDOWMENT);
    });
}

#[test]
fn a_lost_challenge_gives_open_claims_back_and_leaves_what_is_final() {
    build_and_execute(|| {
        let first = open_claim();
        pass(200);
        let second = record_after(Some(&first), 20);
        assert_ok!(claim(second));
        let back = <Leases as crate::LeaseProofs<_>>::penalise(LEASE).unwrap();
        assert_eq!(back, 20 * PRICE_PER_SECOND);
        assert_eq!((lease().escrow, lease().final_due), (DEPOSIT - EARNED, EARNED));
        assert_eq!(
            <Leases as crate::LeaseProofs<_>>::penalise(LeaseId(9)),
            Err(Error::<Test>::NotFound.into())
        );
    });
}

#[test]
fn a_contest_outlives_the_lease_and_its_outcome_is_free_money() {
    build_and_execute(|| {
        open_claim();
        assert_ok!(contest());
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        assert_noop!(Leases::forget(origin(provider()), LEASE), Error::<Test>::StillNeeded);
        assert_ok!(decide(100));
        assert_eq!(
            Balances::balance(&publisher()),
            ENDOWMENT - CASE,
            "but for the deployment's deposit"
        );
        assert_ok!(Leases::forget(origin(provider()), LEASE));
    });
}
