//! The end: close, last records, settle.

use super::*;

#[test]
fn a_lease_that_never_ran_gives_everything_back_at_once() {
    build_and_execute(|| {
        open_lease();
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_eq!(escrow_held(&publisher()), 0);
        assert!(crate::Leases::<Test>::get(LEASE).is_none());
        told(Event::Settled { lease: LEASE, paid: 0, refunded: DEPOSIT });
        assert_eq!(last_event(), Event::Forgotten { lease: LEASE });
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
        assert_eq!(lease().earned(), 50 * PRICE_PER_SECOND);
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        let (paid, refunded) = (50 * PRICE_PER_SECOND, DEPOSIT - 50 * PRICE_PER_SECOND);
        told(Event::Settled { lease: LEASE, paid, refunded });
        told(Event::PaidOut { lease: LEASE, amount: paid, treasury: 0 });
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
        assert_eq!(lease().earned(), 50 * PRICE_PER_SECOND + 3 * 5);
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
        // The deposit lasts 90 seconds, which the provider has to prove; then there are 60 of grace.
        use_up(None);
        pass(60);
        assert_noop!(close(), Error::<Test>::StillFunded);
        pass(1);
        assert_ok!(close());
        assert!(matches!(last_event(), Event::Closed { reason: EndReason::OutOfFunds, .. }));
    });
}

/// The provider claims until nothing is left.
fn use_up(before: Option<&UsageRecord>) -> UsageRecord {
    let seconds = u64::try_from(lease().escrow / PRICE_PER_SECOND).unwrap() + 1;
    pass(seconds);
    let record = record_after(before, seconds);
    assert_ok!(claim(record));
    assert_eq!((lease().escrow, lease().exhausted_at), (0, Some(Now::get())));
    record
}

#[test]
fn dearer_prices_end_no_funded_lease() {
    build_and_execute(|| {
        open_active_lease();
        assert_ok!(Leases::fund(origin(publisher()), LEASE, 10 * DEPOSIT));
        pass(600);
        let first = record_after(None, 600);
        assert_ok!(claim(first));
        // All that was put in would not have lasted for so long at the new prices.
        crate::Leases::<Test>::mutate(LEASE, |lease| {
            let terms = &mut lease.as_mut().unwrap().terms;
            terms.prices.cpu_millicore_second *= 2;
            terms.prices.memory_mib_second *= 2;
        });
        let price = lease().price_per_second().unwrap();
        assert!(11 * DEPOSIT / price + 60 < 600);
        let close = || Leases::close(origin(stranger()), LEASE);
        assert_noop!(close(), Error::<Test>::StillFunded);
        let left = u64::try_from(lease().escrow / price).unwrap();
        assert_eq!(left, 200);
        pass(left);
        assert_ok!(claim(record_after(Some(&first), left)));
        assert_eq!(lease().escrow, 0);
        pass(60);
        assert_noop!(close(), Error::<Test>::StillFunded);
        pass(1);
        assert_ok!(close());
    });
}

#[test]
fn what_was_not_claimed_is_money_that_a_lease_has() {
    let close = || Leases::close(origin(stranger()), LEASE);
    // It is more than what the deposit pays for, with the grace.
    let long = 200;
    // Nothing was started yet.
    build_and_execute(|| {
        open_lease();
        pass(long);
        assert_noop!(close(), Error::<Test>::StillFunded);
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        assert_noop!(close(), Error::<Test>::StillFunded);
    });
    // It slept.
    build_and_execute(|| {
        open_active_lease();
        pass(long);
        let slept = UsageRecord { to: Now::get(), ..record_after(None, 0) };
        assert_ok!(claim(slept));
        assert_eq!(lease().escrow, DEPOSIT);
        assert_noop!(close(), Error::<Test>::StillFunded);
    });
    // What was claimed has come back.
    build_and_execute(|| {
        open_with(|terms| terms.dispute_seconds = 1_000);
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        use_up(None);
        pass(50);
        assert_ok!(Leases::contest(origin(publisher()), LEASE));
        let all = sp_runtime::Permill::one();
        assert_ok!(Leases::decide(RuntimeOrigin::root(), LEASE, all));
        pass(long);
        assert_eq!(lease().escrow, DEPOSIT);
        assert_noop!(close(), Error::<Test>::StillFunded);
    });
}

#[test]
fn silence_is_not_out_of_funds() {
    new_test_ext().execute_with(|| {
        open_with(|terms| {
            terms.silence_seconds = 600;
            terms.reclaim_seconds = 3_600;
        });
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        pass(20);
        assert_ok!(claim(record_after(None, 20)));
        // The rest would have been earned long since, had it run.
        pass(600);
        let close = |who| Leases::close(origin(who), LEASE);
        assert_noop!(close(provider()), Error::<Test>::ReclaimNotice);
        assert_noop!(close(stranger()), Error::<Test>::StillFunded);
        pass(1);
        assert_noop!(close(provider()), Error::<Test>::ReclaimNotice);
        assert_ok!(Leases::evict(origin(stranger()), LEASE));
        let penalty = 600 * PRICE_PER_SECOND;
        told(Event::ProviderSlashed { lease: LEASE, amount: penalty, rewarded: penalty / 2 });
        assert_eq!(Told::get(), ["ended ProviderSilent 621"]);
        Leases::do_try_state().unwrap();
    });
}

#[test]
fn where_nobody_is_silent_a_lease_that_nobody_cares_for_ends_all_the_same() {
    for is_active in [false, true] {
        build_and_execute(|| {
            open_lease();
            if is_active {
                assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
            }
            pass(TermSecondsMax::get().into());
            let close = || Leases::close(origin(stranger()), LEASE);
            assert_noop!(close(), Error::<Test>::StillFunded);
            pass(1);
            assert_ok!(close());
            // Nobody has kept it, and nobody has broken it.
            assert_eq!(Told::get(), [format!("ended NeverStarted {}", TermSecondsMax::get() + 1)]);
        });
    }
}

#[test]
fn who_pays_anew_after_the_grace_waits_for_proof_from_then_on() {
    new_test_ext().execute_with(|| {
        open_with(|terms| terms.silence_seconds = 100);
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        use_up(None);
        let evict = || Leases::evict(origin(publisher()), LEASE);
        // Money and grace are over: the provider may go, and nobody has called to end it yet.
        pass(101);
        assert_noop!(evict(), Error::<Test>::NotSilent);
        assert_ok!(Leases::fund(origin(publisher()), LEASE, DEPOSIT));
        assert_noop!(evict(), Error::<Test>::NotSilent);
        pass(100);
        assert_noop!(evict(), Error::<Test>::NotSilent);
        pass(1);
        assert_ok!(evict());
    });
    // Within the grace it has to run, and to prove it.
    new_test_ext().execute_with(|| {
        open_with(|terms| {
            terms.silence_seconds = 50;
        });
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        use_up(None);
        pass(51);
        assert_ok!(Leases::evict(origin(publisher()), LEASE));
        assert!(matches!(last_event(), Event::Closed { reason: EndReason::ProviderSilent, .. }));
    });
}

#[test]
fn a_stopped_deployment_is_proved_and_paid_until_its_lease_is_closed() {
    build_and_execute(|| {
        open_with(|terms| terms.silence_seconds = 100);
        let key = agent().verifying_key().to_bytes();
        assert_ok!(activate(provider(), LEASE, 0, key));
        assert_ok!(Deployments::stop(origin(publisher()), DeploymentId(0)));
        let staked = Balances::total_balance(&provider());
        let expected = || {
            <Leases as pallet_attestation::AgentRegistry<AccountId32>>::expected_manifest(
                &provider(),
                LEASE,
                0,
            )
        };
        // Evidence is renewed, and another agent attested, as before.
        pass(80);
        assert_eq!(expected(), Ok(MANIFEST.hash));
        assert_ok!(activate(provider(), LEASE, 0, key));
        assert_ok!(claim(record_after(None, 80)));
        let other = SigningKey::from_bytes(&[43; 32]);
        assert_ok!(activate(provider(), LEASE, 0, other.verifying_key().to_bytes()));
        assert_ok!(Leases::fund(origin(publisher()), LEASE, DEPOSIT));
        pass(80);
        let (from, to) = (Now::get() - 80, Now::get());
        let record = UsageRecord { from, to, ..record_after(None, 80) };
        let signature = signed_by(&other, &record);
        assert_ok!(Leases::claim(origin(provider()), record, signature));
        assert_eq!(lease().earned(), 160 * PRICE_PER_SECOND);
        pass(80);
        assert_noop!(Leases::evict(origin(publisher()), LEASE), Error::<Test>::NotSilent);
        assert_eq!(Balances::total_balance(&provider()), staked);
        // But nothing new begins.
        let quote = Quote { nonce: [2; 16], ..quote() };
        let open = Leases::open(
            origin(publisher()),
            DeploymentId(0),
            quote,
            sign("//v0", &quote),
            DEPOSIT,
            2 * PRICE_PER_SECOND,
        );
        assert_noop!(open, pallet_deployments::Error::<Test>::Stopped);
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_noop!(expected(), Error::<Test>::Closing);
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        assert!(pallet_deployments::Deployments::<Test>::get(DeploymentId(0)).is_none());
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

#[test]
fn a_provider_gives_the_agreed_notice_before_it_takes_its_machine_back() {
    build_and_execute(|| {
        open_with(|terms| terms.reclaim_seconds = 3_600);
        let close = || Leases::close(origin(provider()), LEASE);
        // Nothing ran yet: it may give up what it can't start.
        assert_noop!(Leases::give_notice(origin(publisher()), LEASE), Error::<Test>::NotProvider);
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        assert_noop!(close(), Error::<Test>::ReclaimNotice);
        assert_ok!(Leases::fund(origin(publisher()), LEASE, 100 * DEPOSIT));
        assert_ok!(Leases::give_notice(origin(provider()), LEASE));
        assert_eq!(last_event(), Event::NoticeGiven { lease: LEASE, at: Now::get() + 3_600 });
        // Saying it again changes nothing, neither way.
        assert_noop!(Leases::give_notice(origin(provider()), LEASE), Error::<Test>::NoticeGiven);
        pass(3_599);
        assert_noop!(close(), Error::<Test>::ReclaimNotice);
        pass(1);
        assert_ok!(close());
        assert!(matches!(last_event(), Event::Closed { reason: EndReason::Reclaimed, .. }));
    });
}

#[test]
fn each_end_has_its_reason() {
    let reason = |ends: &dyn Fn() -> DispatchResult| {
        new_test_ext().execute_with(|| {
            open_active_lease();
            assert_ok!(ends());
            let LeaseState::Closing { reason, .. } = lease().state else { panic!("not closing") };
            assert_eq!(Told::get(), [format!("ended {reason:?} {}", Now::get() - 1_000_000)]);
            reason
        })
    };
    let by = |who: AccountId32| Leases::close(origin(who), LEASE);
    let out_of_funds = || {
        use_up(None);
        pass(61);
    };
    assert_eq!(reason(&|| by(publisher())), EndReason::Stopped);
    assert_eq!(reason(&|| by(provider())), EndReason::Reclaimed);
    assert_eq!(
        reason(&|| {
            out_of_funds();
            by(stranger())
        }),
        EndReason::OutOfFunds
    );
    assert_eq!(
        reason(&|| {
            out_of_funds();
            by(provider())
        }),
        EndReason::OutOfFunds
    );
}

#[test]
fn an_ended_lease_stays_until_claims_are_final_and_logs_are_kept_no_longer() {
    build_and_execute(|| {
        open_with(|terms| {
            terms.dispute_seconds = 100;
            terms.retention_seconds = 5_000;
        });
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        pass(50);
        let mut record = record_after(None, 50);
        record.log = casemate_primitives::LogHead { root: [5; 32], chunks: 3 };
        assert_ok!(claim(record));
        assert_noop!(Leases::forget(origin(stranger()), LEASE), Error::<Test>::NotEnded);
        let parties = || <Leases as crate::LeaseProofs<_>>::parties(LEASE).unwrap();
        assert_eq!((parties().is_live, parties().logs_until), (true, None));
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        let kept = Some(Now::get() + 5_000);
        assert_eq!((parties().is_live, parties().logs_until), (false, kept));
        let free = Balances::balance(&publisher());
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        assert_eq!((parties().is_live, parties().logs_until), (false, kept));
        // The unspent rest is free at once; what was claimed waits for its time.
        let earned = 50 * PRICE_PER_SECOND;
        assert_eq!(Balances::balance(&publisher()), free + DEPOSIT - earned);
        assert_eq!((lease().escrow, lease().open_amount()), (0, earned));
        assert_noop!(claim(record_after(Some(&record), 0)), Error::<Test>::Ended);
        assert_noop!(Leases::settle(origin(provider()), LEASE), Error::<Test>::NotClosing);
        assert_noop!(Leases::forget(origin(stranger()), LEASE), Error::<Test>::StillNeeded);
        pass(200);
        assert_ok!(Leases::payout(origin(stranger()), LEASE));
        assert_eq!(lease().paid, earned);
        let anchor = <Leases as crate::LeaseProofs<_>>::anchor(LEASE, 0).unwrap();
        assert_eq!(anchor.log, record.log, "logs can still be proved");
        assert_noop!(Leases::forget(origin(stranger()), LEASE), Error::<Test>::StillNeeded);
        pass(4_800);
        assert_ok!(Leases::forget(origin(stranger()), LEASE));
        assert_eq!(Agents::<Test>::iter().count(), 0);
        assert!(<Leases as crate::LeaseProofs<_>>::parties(LEASE).is_none());
        assert_noop!(Leases::forget(origin(stranger()), LEASE), Error::<Test>::NotFound);
    });
}

#[test]
fn who_runs_out_of_money_is_warned_at_the_agreed_levels() {
    build_and_execute(|| {
        open_with(|terms| terms.warn_seconds = [60, 30, 0]);
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        let warnings = || {
            let is_warning = |event: &&Event<Test>| matches!(event, Event::FundsLow { .. });
            events().iter().filter(is_warning).count()
        };
        // It lasts ninety seconds.
        let mut before = None;
        for (seconds, expected) in [(20, 0), (20, 1), (5, 1), (20, 2), (5, 2)] {
            pass(seconds);
            let record = record_after(before.as_ref(), seconds);
            assert_ok!(claim(record));
            before = Some(record);
            assert_eq!(warnings(), expected);
        }
        assert_ok!(Leases::fund(origin(publisher()), LEASE, DEPOSIT));
        pass(60);
        assert_ok!(claim(record_after(before.as_ref(), 60)));
        assert_eq!(warnings(), 3, "who has paid is warned anew");
    });
}

#[test]
fn a_silent_provider_is_evicted_by_one_call_of_anyone_and_pays_for_it() {
    new_test_ext().execute_with(|| {
        open_with(|terms| terms.silence_seconds = 100);
        assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
        let evict = || Leases::evict(origin(stranger()), LEASE);
        pass(60);
        assert_ok!(claim(record_after(None, 60)));
        pass(100);
        assert_noop!(evict(), Error::<Test>::NotSilent);
        pass(1);
        let (staked, free) =
            (Balances::total_balance(&provider()), Balances::balance(&publisher()));
        assert_ok!(evict());
        // Half of the penalty makes up for the outage, the rest is nobody's.
        let penalty = 100 * PRICE_PER_SECOND;
        told(Event::ProviderSlashed { lease: LEASE, amount: penalty, rewarded: penalty / 2 });
        assert_eq!(staked - Balances::total_balance(&provider()), penalty);
        assert_eq!(Balances::balance(&publisher()) - free, penalty / 2);
        assert!(matches!(last_event(), Event::Closed { reason: EndReason::ProviderSilent, .. }));
        assert_noop!(evict(), Error::<Test>::Closing);
        Leases::do_try_state().unwrap();
        Providers::do_try_state().unwrap();
    });
}

#[test]
fn a_provider_that_never_starts_is_silent_too_and_without_an_agreed_time_nobody_is() {
    new_test_ext().execute_with(|| {
        open_with(|terms| terms.silence_seconds = 100);
        pass(101);
        assert_ok!(Leases::evict(origin(publisher()), LEASE));
        assert!(crate::Leases::<Test>::get(LEASE).is_none(), "all went back at once");
        Providers::do_try_state().unwrap();
    });
    build_and_execute(|| {
        open_active_lease();
        pass(10_000_000);
        assert_noop!(Leases::evict(origin(publisher()), LEASE), Error::<Test>::NotSilent);
    });
}
