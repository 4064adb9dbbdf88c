//! When claims are final, and how they are paid out.

use super::*;
use frame_support::traits::fungibles::Inspect as _;
use sp_runtime::Permill;

/// A lease whose claims can be contested for 100 seconds, with an agent. The test's clock begins with
/// a period.
fn open_with_periods() {
    open_with(|terms| terms.dispute_seconds = 100);
    assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
    assert_eq!(Now::get() % 100, 0);
}

fn payout() -> DispatchResult {
    Leases::payout(origin(stranger()), LEASE)
}

#[test]
fn a_claim_is_final_one_period_after_its_own_and_paid_out_by_anyones_call() {
    build_and_execute(|| {
        open_with_periods();
        let before = Balances::balance(&provider());
        pass(10);
        let first = record_after(None, 10);
        assert_ok!(claim(first));
        let earned = 10 * PRICE_PER_SECOND;
        assert_eq!((lease().open_amount(), lease().final_due, lease().paid), (earned, 0, 0));
        assert_noop!(payout(), Error::<Test>::NothingDue);
        pass(189);
        assert_noop!(payout(), Error::<Test>::NothingDue);
        pass(1);
        assert_ok!(payout());
        assert_eq!(Balances::balance(&provider()) - before, earned);
        assert_eq!((lease().open_amount(), lease().final_due, lease().paid), (0, 0, earned));
        assert_noop!(payout(), Error::<Test>::NothingDue);
    });
}

#[test]
fn however_often_is_claimed_a_lease_has_two_open_periods() {
    build_and_execute(|| {
        open_with_periods();
        assert_ok!(Leases::fund(origin(publisher()), LEASE, 100 * DEPOSIT));
        let mut before: Option<UsageRecord> = None;
        for _ in 0..300 {
            pass(7);
            let record = record_after(before.as_ref(), 7);
            assert_ok!(claim(record));
            before = Some(record);
            assert!(lease().open.len() <= 2);
            check_invariants();
        }
        assert_eq!(lease().earned(), 2_100 * PRICE_PER_SECOND);
        // All but what was claimed in the last two periods is final.
        let open = lease().open_amount();
        assert!((1..=200 * PRICE_PER_SECOND).contains(&open), "{open}");
    });
}

#[test]
fn the_treasury_gets_the_share_that_held_when_the_lease_was_opened() {
    build_and_execute(|| {
        let set = |by: RuntimeOrigin, percent| {
            Leases::set_treasury_share(by, Permill::from_percent(percent))
        };
        assert_noop!(set(origin(publisher()), 5), sp_runtime::DispatchError::BadOrigin);
        assert_noop!(set(RuntimeOrigin::root(), 21), Error::<Test>::ShareTooLarge);
        assert_ok!(set(RuntimeOrigin::root(), 5));
        open_active_lease();
        assert_ok!(set(RuntimeOrigin::root(), 20));
        let before = Balances::balance(&provider());
        pass(10);
        assert_ok!(claim(record_after(None, 10)));
        assert_ok!(payout());
        let (amount, treasury) = (10_450, 550);
        assert_eq!(last_event(), Event::PaidOut { lease: LEASE, amount, treasury });
        assert_eq!(Balances::balance(&provider()) - before, amount);
        assert_eq!(Balances::balance(&Treasury::get()), treasury);
        assert_eq!(Told::get(), ["paid 10450 550"]);
    });
}

#[test]
fn a_share_that_the_treasury_cannot_take_holds_up_nobodys_pay() {
    build_and_execute(|| {
        assert_ok!(Leases::set_treasury_share(RuntimeOrigin::root(), Permill::from_percent(5)));
        open_active_lease();
        let before = Balances::balance(&provider());
        // Five percent of one second are less than an account must have.
        pass(1);
        let first = record_after(None, 1);
        assert_ok!(claim(first));
        assert_ok!(payout());
        assert!(PRICE_PER_SECOND * 5 / 100 < ExistentialDeposit::get());
        let amount = PRICE_PER_SECOND;
        assert_eq!(last_event(), Event::PaidOut { lease: LEASE, amount, treasury: 0 });
        assert_eq!(Balances::balance(&provider()) - before, amount);
        assert_eq!(Balances::balance(&Treasury::get()), 0);
        // What the treasury does not get earns no reputation.
        assert_eq!(Told::get(), ["paid 1100 0"]);
        check_invariants();
        // More is taken.
        pass(10);
        assert_ok!(claim(record_after(Some(&first), 10)));
        assert_ok!(payout());
        assert_eq!(Balances::balance(&Treasury::get()), 550);
    });
}

#[test]
fn a_blocked_treasury_loses_nobodys_money() {
    build_and_execute(|| {
        assert_ok!(Leases::set_treasury_share(RuntimeOrigin::root(), Permill::from_percent(5)));
        assert_ok!(Assets::touch_other(origin(stranger()), 1, Treasury::get()));
        open_with(|terms| terms.asset = DOLLAR);
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        let before = Held::balance(DOLLAR, &provider());
        pass(10);
        let first = record_after(None, 10);
        assert_ok!(claim(first));
        assert_ok!(Assets::block(origin(issuer()), 1, Treasury::get()));
        assert_ok!(payout());
        assert_eq!(Held::balance(DOLLAR, &provider()) - before, 10 * PRICE_PER_SECOND);
        assert_ok!(Assets::thaw(origin(issuer()), 1, Treasury::get()));
        pass(10);
        assert_ok!(claim(record_after(Some(&first), 10)));
        assert_ok!(payout());
        assert_eq!(Held::balance(DOLLAR, &Treasury::get()), 550);
    });
}

#[test]
fn a_second_in_which_a_replica_runs_costs_at_least_what_was_agreed() {
    build_and_execute(|| {
        open_with(|terms| terms.second_min = 1_500);
        // The spend rate allows no more than 2,200 a second.
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        pass(10);
        let first = record_after(None, 10);
        assert_ok!(claim(first));
        assert_eq!(lease().earned(), 10 * 1_500);
        // It slept for six of ten seconds: those cost nothing.
        pass(10);
        let total = record_after(Some(&first), 4).total;
        let slept = UsageRecord {
            running_seconds: first.running_seconds + 4,
            total,
            ..record_after(Some(&first), 10)
        };
        assert_ok!(claim(slept));
        assert_eq!(lease().earned(), 14 * 1_500);
    });
}

#[test]
fn what_the_host_alone_has_measured_is_not_paid() {
    build_and_execute(|| {
        open_active_lease();
        pass(10);
        let mut record = record_after(None, 10);
        record.total.egress_mib = 100;
        record.total.ingress_mib = 100;
        record.host_measured = casemate_primitives::HostMeasured::TRAFFIC;
        assert_ok!(claim(record));
        assert_eq!(lease().earned(), 10 * PRICE_PER_SECOND);
    });
}

#[test]
fn traffic_in_both_directions_has_its_price() {
    build_and_execute(|| {
        open_with(|terms| terms.prices.ingress_mib = 3);
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        pass(10);
        let mut first = record_after(None, 10);
        (first.total.egress_mib, first.total.ingress_mib) = (100, 50);
        assert_ok!(claim(first));
        assert_eq!(lease().earned(), 10 * PRICE_PER_SECOND + 100 * 5 + 50 * 3);
        // Without a new second it is paid out of what the last ones left, whole MiB each.
        let mut last = record_after(Some(&first), 0);
        last.total.egress_mib += 10;
        last.total.ingress_mib += 10;
        assert_ok!(claim(last));
        assert_eq!(lease().earned(), 10 * PRICE_PER_SECOND + 110 * 5 + 60 * 3);
    });
}

#[test]
fn a_record_that_says_it_ran_longer_than_there_was_time_is_refused() {
    build_and_execute(|| {
        open_active_lease();
        pass(10);
        let first = record_after(None, 10);
        assert_ok!(claim(first));
        pass(10);
        let next = record_after(Some(&first), 10);
        let more = UsageRecord { running_seconds: next.running_seconds + 1, ..next };
        assert_noop!(claim(more), Error::<Test>::RecordAboveQuota);
        let fewer = UsageRecord { running_seconds: 9, ..next };
        assert_noop!(claim(fewer), Error::<Test>::RecordTotals);
        assert_ok!(claim(next));
    });
}

#[test]
fn a_log_never_gets_shorter() {
    build_and_execute(|| {
        open_active_lease();
        pass(10);
        let head = |chunks| casemate_primitives::LogHead { root: [1; 32], chunks };
        let first = UsageRecord { log: head(5), ..record_after(None, 10) };
        assert_ok!(claim(first));
        let shorter = UsageRecord { log: head(4), ..record_after(Some(&first), 0) };
        assert_noop!(claim(shorter), Error::<Test>::RecordTotals);
    });
}

#[test]
fn a_claim_out_of_a_batch_can_be_contested_for_a_whole_period_however_old_the_batch_is() {
    build_and_execute(|| {
        open_with_periods();
        let as_of = |record: UsageRecord, at: u64| {
            let signature = signed_by(&agent(), &record);
            <Leases as crate::LeaseProofs<_>>::claim_as_of(provider(), record, signature, at)
        };
        pass(10);
        let first = record_after(None, 10);
        let anchored = Now::get();
        pass(250);
        // A record that was not there yet when the batch was made is not in it.
        let later = record_after(None, 200);
        assert_noop!(as_of(later, anchored), Error::<Test>::RecordInFuture);
        assert_ok!(as_of(first, anchored));
        // Nobody has seen it before now: it is not final, and not for a whole period.
        assert_eq!((lease().open_amount(), lease().final_due), (10 * PRICE_PER_SECOND, 0));
        assert_noop!(as_of(first, anchored), Error::<Test>::RecordOld);
        let second = record_after(Some(&first), 10);
        assert_ok!(as_of(second, Now::get() - 70));
        // A batch from the future is of now.
        assert_ok!(as_of(record_after(Some(&second), 10), Now::get() + 1_000));
        let numbers: Vec<u64> = lease().open.iter().map(|period| period.number).collect();
        assert_eq!(numbers, [Now::get() / 100]);
        pass(99);
        assert_noop!(Leases::payout(origin(provider()), LEASE), Error::<Test>::NothingDue);
        assert_ok!(Leases::contest(origin(publisher()), LEASE));
        assert_eq!(lease().open_amount(), 0);
    });
}
