//! Amounts and times at their ends: calls are refused, or pay what there is; nothing wraps, and no
//! number of one side's keeps the other from its money.

use super::*;

fn active_with(change: impl FnOnce(&mut LeaseTerms)) {
    open_with(change);
    assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
}

#[test]
fn the_dearest_traffic_is_paid_up_to_the_spend_rate() {
    for price in [1, Balance::MAX / 2, Balance::MAX] {
        for mib in [u64::MAX / 2, u64::MAX] {
            build_and_execute(|| {
                active_with(|terms| {
                    terms.prices.egress_mib = price;
                    terms.prices.ingress_mib = price;
                });
                pass(10);
                let mut record = record_after(None, 10);
                (record.total.egress_mib, record.total.ingress_mib) = (mib, mib);
                assert_ok!(claim(record));
                assert_eq!(lease().earned(), 10 * 2 * PRICE_PER_SECOND);
                assert_eq!(lease().escrow, DEPOSIT - lease().earned());
                // Traffic alone, at the end of what can be counted.
                let more =
                    UsageRecord { sequence: 2, previous: record.hash(), from: record.to, ..record };
                assert_ok!(claim(more));
                assert_eq!(lease().earned(), 10 * 2 * PRICE_PER_SECOND);
            });
        }
    }
}

#[test]
fn no_spend_rate_keeps_a_record_from_being_paid() {
    build_and_execute(|| {
        open_active_lease();
        assert_ok!(Leases::set_spend_rate(origin(publisher()), LEASE, Balance::MAX));
        pass(10);
        assert_ok!(claim(record_after(None, 10)));
        assert_eq!(lease().earned(), 10 * PRICE_PER_SECOND);
    });
}

#[test]
fn times_at_their_ends_are_refused_or_pay_what_they_prove() {
    build_and_execute(|| {
        open_active_lease();
        pass(10);
        let honest = record_after(None, 10);
        let never = [
            UsageRecord { to: u64::MAX, ..honest },
            UsageRecord { from: u64::MAX, to: u64::MAX, ..honest },
            UsageRecord { from: 0, to: u64::MAX, running_seconds: u64::MAX, ..honest },
            UsageRecord { running_seconds: u64::MAX, ..honest },
            UsageRecord { from: u64::MAX, ..honest },
            UsageRecord { sequence: 0, ..honest },
        ];
        for record in never {
            let before = lease();
            assert!(claim(record).is_err(), "{record:?}");
            assert_eq!(lease(), before);
        }
        let mut much = honest;
        much.total.cpu_millicore_seconds = u64::MAX;
        assert_noop!(claim(much), Error::<Test>::RecordAboveQuota);
        // The last number that there is: nothing comes after it, and it is paid.
        let last = UsageRecord { sequence: u64::MAX, ..honest };
        assert_ok!(claim(last));
        assert_eq!(lease().earned(), 10 * PRICE_PER_SECOND);
        pass(10);
        let wrapped = UsageRecord { sequence: 0, ..record_after(Some(&honest), 10) };
        assert_noop!(claim(wrapped), Error::<Test>::RecordOld);
    });
}

#[test]
fn more_money_than_there_is_is_not_put_in() {
    build_and_execute(|| {
        open_active_lease();
        for amount in [Balance::MAX, Balance::MAX - DEPOSIT, Balance::MAX / 2] {
            let before = (lease(), escrow_held(&publisher()));
            assert!(Leases::fund(origin(publisher()), LEASE, amount).is_err());
            assert_eq!((lease(), escrow_held(&publisher())), before);
        }
    });
}
