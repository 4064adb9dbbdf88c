//! The end: close, last records, settle.

use super::*;

#[test]
fn a_lease_that_never_ran_gives_everything_back_at_once() {
    build_and_execute(|| {
        open_lease();
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_eq!(escrow_held(&publisher()), 0);
        assert!(crate::Leases::<Test>::get(LEASE).is_none());
        let settled = Event::Settled { lease: LEASE, paid: 0, refunded: DEPOSIT };
        assert_eq!(last_event(), settled);
        let registered = pallet_providers::Providers::<Test>::get(provider()).unwrap();
        assert_eq!((registered.used, registered.live_leases), (Resources::default(), 0));
    });
}

#[test]
fn last_records_are_paid_until_the_close_and_the_rest_goes_back() {
    build_and_execute(|| {
        open_active_lease();
        pass(50);
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_noop!(Leases::close(origin(publisher()), LEASE), Error::<Test>::Closing);
        assert_noop!(Leases::fund(origin(publisher()), LEASE, 5), Error::<Test>::Closing);
        let key = [9; 32];
        assert_noop!(activate(provider(), LEASE, 0, key), Error::<Test>::Closing);
        assert_noop!(Leases::settle(origin(publisher()), LEASE), Error::<Test>::NoticeRunning);
        // The pod took five seconds to stop: they are not paid.
        pass(5);
        assert_ok!(claim(record_after(None, 55)));
        assert_eq!(lease().paid, 50 * PRICE_PER_SECOND);
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        let (paid, refunded) = (50 * PRICE_PER_SECOND, DEPOSIT - 50 * PRICE_PER_SECOND);
        assert_eq!(last_event(), Event::Settled { lease: LEASE, paid, refunded });
        assert_eq!(escrow_held(&publisher()), 0);
        assert_eq!(Agents::<Test>::iter().count(), 0);
        assert_noop!(Leases::settle(origin(provider()), LEASE), Error::<Test>::NotFound);
    });
}

#[test]
fn traffic_after_the_close_is_not_paid_out_of_the_time_before_it() {
    build_and_execute(|| {
        open_active_lease();
        pass(50);
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        let until_close = record_after(None, 50);
        assert_ok!(claim(until_close));
        // A last record within the time is paid, one that ends after the close is not.
        let mut within = record_after(Some(&until_close), 0);
        within.total.egress_mib = 3;
        assert_ok!(claim(within));
        pass(5);
        let mut after = record_after(Some(&within), 5);
        after.total.egress_mib += 100;
        assert_ok!(claim(after));
        assert_eq!(lease().paid, 50 * PRICE_PER_SECOND + 3 * 5);
    });
}

#[test]
fn after_the_notice_anyone_settles() {
    build_and_execute(|| {
        open_active_lease();
        assert_noop!(Leases::settle(origin(provider()), LEASE), Error::<Test>::NotClosing);
        assert_ok!(Leases::close(origin(provider()), LEASE));
        pass(599);
        assert_noop!(Leases::settle(origin(stranger()), LEASE), Error::<Test>::NoticeRunning);
        pass(1);
        assert_ok!(Leases::settle(origin(stranger()), LEASE));
        assert_eq!(Balances::total_balance(&publisher()), ENDOWMENT);
    });
}

#[test]
fn a_stranger_closes_only_what_is_out_of_money_and_grace() {
    build_and_execute(|| {
        open_active_lease();
        let close = || Leases::close(origin(stranger()), LEASE);
        assert_noop!(close(), Error::<Test>::StillFunded);
        // The deposit lasts 90 seconds, then 60 of grace.
        let lasts = u64::try_from(DEPOSIT / PRICE_PER_SECOND).unwrap();
        pass(lasts + 60);
        assert_noop!(close(), Error::<Test>::StillFunded);
        pass(1);
        assert_ok!(close());
        // Even then the provider is paid for what it did.
        assert_ok!(claim(record_after(None, lasts)));
        assert_eq!(lease().paid, Balance::from(lasts) * PRICE_PER_SECOND);
    });
}

#[test]
fn used_up_money_starts_the_grace_time() {
    build_and_execute(|| {
        open_active_lease();
        pass(60);
        let mut record = record_after(None, 60);
        record.total.egress_mib = u64::from(u32::MAX);
        assert_ok!(Leases::set_spend_rate(origin(publisher()), LEASE, DEPOSIT));
        assert_ok!(claim(record));
        assert_eq!(lease().escrow, 0);
        pass(60);
        let close = || Leases::close(origin(stranger()), LEASE);
        assert_noop!(close(), Error::<Test>::StillFunded);
        pass(1);
        assert_ok!(close());
        assert_noop!(Leases::close(origin(publisher()), LeaseId(5)), Error::<Test>::NotFound);
    });
}
