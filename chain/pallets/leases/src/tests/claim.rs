//! Usage records and what is paid for them.

use super::*;

#[test]
fn a_claim_pays_exactly_what_the_record_adds() {
    build_and_execute(|| {
        open_active_lease();
        let before = Balances::balance(&provider());
        pass(10);
        let first = record_after(None, 10);
        assert_ok!(claim(first));
        assert_ok!(Leases::payout(origin(stranger()), LEASE));
        assert_eq!(Balances::balance(&provider()) - before, 10 * PRICE_PER_SECOND);
        // Records between are not needed: the newest carries them all.
        pass(20);
        let second = record_after(Some(&first), 5);
        let third = record_after(Some(&second), 15);
        assert_ok!(claim(third));
        let paid = 30 * PRICE_PER_SECOND;
        assert_ok!(Leases::payout(origin(stranger()), LEASE));
        assert_eq!(Balances::balance(&provider()) - before, paid);
        assert_eq!((lease().escrow, lease().earned()), (DEPOSIT - paid, paid));
        assert_noop!(claim(third), Error::<Test>::RecordOld);
        assert_noop!(claim(second), Error::<Test>::RecordOld);
    });
}

#[test]
fn only_the_activated_agents_signature_on_this_chain_counts() {
    build_and_execute(|| {
        open_active_lease();
        pass(10);
        let record = record_after(None, 10);
        let by = |who, signature| Leases::claim(origin(who), record, signature);
        let good = signed_by(&agent(), &record);
        assert_noop!(by(publisher(), good), Error::<Test>::NotProvider);
        let other_key = signed_by(&SigningKey::from_bytes(&[43; 32]), &record);
        assert_noop!(by(provider(), other_key), Error::<Test>::RecordSignature);
        let other_chain = agent().sign(&record.signing_payload(&[0; 32])).to_bytes();
        assert_noop!(by(provider(), other_chain), Error::<Test>::RecordSignature);
        let mut raised = record;
        raised.total.egress_mib = 1;
        assert_noop!(
            Leases::claim(origin(provider()), raised, good),
            Error::<Test>::RecordSignature
        );
        let unknown = UsageRecord { replica: 3, ..record };
        assert_noop!(claim(unknown), Error::<Test>::NotActivated);
        let unknown = UsageRecord { lease: LeaseId(9), ..record };
        assert_noop!(claim(unknown), Error::<Test>::NotFound);
        assert_ok!(by(provider(), good));
    });
}

#[test]
fn spans_overlap_nothing_and_end_in_the_past() {
    build_and_execute(|| {
        open_active_lease();
        pass(10);
        let first = record_after(None, 10);
        assert_ok!(claim(first));
        pass(10);
        let next = record_after(Some(&first), 10);
        let backward = UsageRecord { from: next.to + 1, ..next };
        assert_noop!(claim(backward), Error::<Test>::RecordOverlap);
        let overlapping = UsageRecord { from: first.to - 1, ..next };
        assert_noop!(claim(overlapping), Error::<Test>::RecordOverlap);
        let future = record_after(Some(&first), 10 + ClockSkewSecondsMax::get() + 1);
        assert_noop!(claim(future), Error::<Test>::RecordInFuture);
        assert_ok!(claim(next));
    });
}

#[test]
fn totals_grow_within_the_quota() {
    build_and_execute(|| {
        open_active_lease();
        pass(10);
        let first = record_after(None, 10);
        assert_ok!(claim(first));
        pass(10);
        let next = record_after(Some(&first), 10);
        let mut above = next;
        above.total.cpu_millicore_seconds += 1;
        assert_noop!(claim(above), Error::<Test>::RecordAboveQuota);
        let mut gpu = next;
        gpu.total.gpu_seconds += 1;
        assert_noop!(claim(gpu), Error::<Test>::RecordAboveQuota);
        let below = UsageRecord { total: Quantities::default(), ..next };
        assert_noop!(claim(below), Error::<Test>::RecordTotals);
        // A pod that slept uses less than its quota, and less is paid.
        let half = UsageRecord { total: record_after(Some(&first), 5).total, ..next };
        assert_ok!(claim(half));
        assert_eq!(lease().earned(), 15 * PRICE_PER_SECOND);
    });
}

#[test]
fn traffic_is_paid_up_to_the_spend_rate() {
    build_and_execute(|| {
        open_active_lease();
        pass(10);
        let mut first = record_after(None, 10);
        first.total.egress_mib = 100;
        assert_ok!(claim(first));
        assert_eq!(lease().earned(), 10 * PRICE_PER_SECOND + 100 * 5);
        pass(10);
        let mut second = record_after(Some(&first), 10);
        second.total.egress_mib = u64::MAX;
        assert_ok!(claim(second));
        // Capped at twice the price for these ten seconds.
        assert_eq!(lease().earned(), 10 * PRICE_PER_SECOND + 500 + 20 * PRICE_PER_SECOND);
    });
}

#[test]
fn no_more_than_the_escrow_is_paid_and_funding_goes_on() {
    build_and_execute(|| {
        open_active_lease();
        let seconds = u64::try_from(DEPOSIT / PRICE_PER_SECOND).unwrap() + 10;
        pass(seconds);
        let first = record_after(None, seconds);
        assert_ok!(claim(first));
        assert_eq!((lease().earned(), lease().escrow), (DEPOSIT, 0));
        assert_eq!(last_event(), Event::FundsExhausted { lease: LEASE });
        assert_ok!(Leases::fund(origin(publisher()), LEASE, DEPOSIT));
        pass(10);
        assert_ok!(claim(record_after(Some(&first), 10)));
        assert_eq!(lease().earned(), DEPOSIT + 10 * PRICE_PER_SECOND);
    });
}

#[test]
fn a_new_agent_is_not_paid_again_for_the_time_of_the_one_before() {
    build_and_execute(|| {
        open_active_lease();
        pass(40);
        let old = record_after(None, 40);
        assert_ok!(claim(old));
        // The new pod started at second 30 and ran beside the old one.
        let new_key = SigningKey::from_bytes(&[44; 32]);
        let key = new_key.verifying_key().to_bytes();
        assert_ok!(activate(provider(), LEASE, 0, key));
        pass(20);
        let start = lease().opened_at + 30;
        let record = UsageRecord {
            sequence: 1,
            from: start,
            to: start + 30,
            total: Quantities::quota(&RESOURCES, 30).unwrap(),
            ..record_after(None, 1)
        };
        let signature = signed_by(&new_key, &record);
        assert_ok!(Leases::claim(origin(provider()), record, signature));
        assert_eq!(lease().earned(), 60 * PRICE_PER_SECOND);
        assert_eq!(Agents::<Test>::get(LEASE, 0).unwrap().claimed_to, start + 30);
        assert_noop!(claim(record_after(Some(&old), 10)), Error::<Test>::RecordSignature);
    });
}

/// A record that adds traffic and no second.
fn traffic_after(before: &UsageRecord, mib: u64) -> UsageRecord {
    let mut record = record_after(Some(before), 0);
    record.total.egress_mib += mib;
    record
}

#[test]
fn traffic_without_a_second_is_paid_out_of_what_the_last_ones_left() {
    build_and_execute(|| {
        open_active_lease();
        pass(10);
        let first = record_after(None, 10);
        assert_ok!(claim(first));
        let last = traffic_after(&first, 100);
        assert_ok!(claim(last));
        assert_eq!(lease().earned(), 10 * PRICE_PER_SECOND + 100 * 5, "nothing is lost");
        assert_noop!(claim(last), Error::<Test>::RecordOld);
        // What both cost together is bounded as if they had been one claim.
        let more = traffic_after(&last, u64::from(u32::MAX));
        assert_ok!(claim(more));
        assert_eq!(lease().earned(), 10 * 2 * PRICE_PER_SECOND);
        assert_ok!(claim(traffic_after(&more, 1)));
        assert_eq!(lease().earned(), 10 * 2 * PRICE_PER_SECOND);
    });
}

#[test]
fn traffic_without_room_is_paid_with_the_next_seconds_within_their_allowance() {
    build_and_execute(|| {
        open_active_lease();
        pass(10);
        let mut first = record_after(None, 10);
        first.total.egress_mib = 2_200;
        assert_ok!(claim(first));
        let full = 10 * 2 * PRICE_PER_SECOND;
        assert_eq!(lease().earned(), full, "the spend rate is used up");
        let second = traffic_after(&first, 300);
        assert_ok!(claim(second));
        assert_eq!(lease().earned(), full);
        pass(10);
        let third = record_after(Some(&second), 10);
        assert_ok!(claim(third));
        assert_eq!(
            lease().earned(),
            full + 10 * PRICE_PER_SECOND + 300 * 5,
            "not lost, only later"
        );
        pass(10);
        assert_ok!(claim(record_after(Some(&third), 10)));
        assert_eq!(lease().earned(), full + 20 * PRICE_PER_SECOND + 300 * 5, "paid once");
    });
}

#[test]
fn traffic_beyond_the_allowance_does_not_pile_up() {
    build_and_execute(|| {
        open_active_lease();
        pass(10);
        let first = record_after(None, 10);
        assert_ok!(claim(first));
        let second = traffic_after(&first, u64::from(u32::MAX));
        assert_ok!(claim(second));
        pass(10);
        let third = record_after(Some(&second), 10);
        assert_ok!(claim(third));
        assert_eq!(lease().earned(), 20 * 2 * PRICE_PER_SECOND);
        pass(10);
        assert_ok!(claim(record_after(Some(&third), 10)));
        assert_eq!(lease().earned(), 20 * 2 * PRICE_PER_SECOND + 10 * PRICE_PER_SECOND);
    });
}

#[test]
fn an_agent_whose_first_time_was_paid_to_the_one_before_goes_on_from_there() {
    build_and_execute(|| {
        open_active_lease();
        pass(40);
        assert_ok!(claim(record_after(None, 40)));
        let new_key = SigningKey::from_bytes(&[44; 32]);
        let key = new_key.verifying_key().to_bytes();
        assert_ok!(activate(provider(), LEASE, 0, key));
        // It started at second 30; its first record ends at second 35.
        let start = lease().opened_at + 30;
        let mut first = UsageRecord { sequence: 1, from: start, ..record_after(None, 5) };
        first.to = start + 5;
        first.total.egress_mib = 7;
        let by_new = |record: UsageRecord| {
            Leases::claim(origin(provider()), record, signed_by(&new_key, &record))
        };
        assert_ok!(by_new(first));
        assert_eq!(lease().earned(), 40 * PRICE_PER_SECOND, "no second of its own yet");
        pass(20);
        assert_ok!(by_new(record_after(Some(&first), 25)));
        assert_eq!(lease().earned(), 60 * PRICE_PER_SECOND + 7 * 5, "its traffic is not lost");
    });
}

#[test]
fn a_key_without_standing_is_not_paid_and_none_is_paid_beyond_its_end() {
    build_and_execute(|| {
        open_active_lease();
        let key = agent().verifying_key().to_bytes();
        pass(100);
        let end = lease().opened_at + 60;
        attested(LEASE, 0, key, end);
        let late = record_after(None, 61);
        assert_noop!(claim(late), Error::<Test>::RecordBeyondAttestation);
        assert_ok!(claim(record_after(None, 60)));
        // What the evidence vouched for is paid even after its end; what came later is not.
        not_attested(LEASE, 0);
        let more = record_after(Some(&record_after(None, 60)), 10);
        assert_noop!(claim(more), Error::<Test>::NotAttested);
        attested(LEASE, 0, key, end + 10);
        assert_ok!(claim(more));
    });
}

/// Claims, for a new agent, the whole time since `from` as fully used; gives what is paid.
fn paid_for_all_since(from: u64, seed: u8) -> Balance {
    let (key, seconds, before) =
        (SigningKey::from_bytes(&[seed; 32]), Now::get() - from, lease().earned());
    let record = UsageRecord {
        sequence: 1,
        from,
        to: from + seconds,
        total: Quantities::quota(&RESOURCES, seconds).unwrap(),
        ..record_after(None, 1)
    };
    let signature = signed_by(&key, &record);
    assert_ok!(Leases::claim(origin(provider()), record, signature));
    lease().earned() - before
}

fn activate_new(seed: u8) {
    let key = SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes();
    assert_ok!(activate(provider(), LEASE, 0, key));
}

#[test]
fn a_new_key_is_not_paid_for_time_long_before_its_evidence() {
    build_and_execute(|| {
        open_lease();
        let window = BackpaySecondsMax::get();
        // Nothing ran for an hour; then an agent is attested that says it did.
        pass(3_600);
        activate_new(50);
        pass(5);
        let paid = paid_for_all_since(lease().opened_at, 50);
        assert_eq!(paid, Balance::from(window + 5) * PRICE_PER_SECOND);
        // Nor does the next one fill the gap that the last one has left.
        assert_ok!(Leases::fund(origin(publisher()), LEASE, DEPOSIT));
        let end = Now::get();
        pass(3_600);
        activate_new(51);
        pass(5);
        assert_eq!(paid_for_all_since(end, 51), Balance::from(window + 5) * PRICE_PER_SECOND);
    });
}

#[test]
fn a_new_key_is_paid_from_its_start_when_its_evidence_comes_in_time() {
    build_and_execute(|| {
        open_lease();
        pass(BackpaySecondsMax::get());
        activate_new(50);
        pass(5);
        let seconds = Balance::from(BackpaySecondsMax::get() + 5);
        assert_eq!(paid_for_all_since(lease().opened_at, 50), seconds * PRICE_PER_SECOND);
        // Newer evidence for the same key takes nothing away.
        pass(30);
        activate_new(50);
        let agent = Agents::<Test>::get(LEASE, 0).unwrap();
        assert_eq!(agent.claimed_to, Now::get() - 30);
    });
}
