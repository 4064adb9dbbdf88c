//! When runs begin, are missed and are lost.

use super::*;

#[test]
fn runs_get_numbers_and_slots() {
    build_and_execute(|| {
        start(every());
        assert_ok!(begin(0, START));
        pass(EVERY.into());
        assert_noop!(begin(0, Now::get()), Error::<Test>::SlotBusy);
        assert_noop!(begin(SLOTS, Now::get()), Error::<Test>::NoSuchSlot);
        assert_ok!(begin(1, Now::get()));
        assert_eq!((open_run(0).run, open_run(1).run), (RunId(1), RunId(2)));
        assert_eq!((task().runs, task().open, task().lease), (2, 2, Some(LEASE)));
    });
}

#[test]
fn a_scheduled_time_is_begun_once() {
    build_and_execute(|| {
        start(every());
        assert_ok!(begin(0, START));
        assert_noop!(begin(1, START), Error::<Test>::NotScheduled);
        assert_noop!(begin(1, START + 1), Error::<Test>::NotScheduled);
        create(once());
    });
    build_and_execute(|| {
        start(once());
        assert_ok!(begin(0, START));
        pass(10);
        assert_noop!(begin(1, START), Error::<Test>::NotScheduled);
        assert_noop!(begin(1, Now::get()), Error::<Test>::NotScheduled);
    });
}

#[test]
fn too_early_too_late_and_back_dated_runs_are_refused() {
    build_and_execute(|| {
        start(every());
        let next = START + u64::from(EVERY);
        assert_noop!(begin(0, next), Error::<Test>::TooEarly);
        assert_noop!(begin(0, START - u64::from(EVERY)), Error::<Test>::NotScheduled);
        pass(u64::from(TERMS.start_seconds_max) + 1);
        assert_noop!(begin(0, START), Error::<Test>::TooLate);
        pass(u64::from(EVERY) - 1);
        assert_ok!(begin(0, next));
    });
}

#[test]
fn of_a_cron_times_grow_by_the_least_distance() {
    build_and_execute(|| {
        start(cron());
        assert_noop!(begin(0, START - 1), Error::<Test>::NotScheduled);
        assert_noop!(begin(0, START + 60), Error::<Test>::TooEarly);
        pass(30);
        assert_ok!(begin(0, START + 20));
        pass(60);
        assert_noop!(begin(1, START + 79), Error::<Test>::NotScheduled);
        assert_ok!(begin(1, START + 80));
    });
}

#[test]
fn only_the_leases_provider_begins() {
    build_and_execute(|| {
        start(once());
        for who in [publisher(), stranger(), accounts()[3].clone()] {
            assert_noop!(begin_in(LEASE, who, 0, START), Error::<Test>::NotProvider);
        }
        let of_other = begin_in(LeaseId(8), provider(), 0, START);
        assert_noop!(of_other, Error::<Test>::NoSuchLease);
        activate(0, &key(1));
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_noop!(begin(0, START), Error::<Test>::LeaseClosed);
    });
}

#[test]
fn a_deployment_without_a_schedule_has_no_runs() {
    build_and_execute(|| {
        register("//v0");
        let kind = casemate_primitives::DeploymentKind::Task;
        assert_ok!(Deployments::create(origin(publisher()), kind, MANIFEST));
        assert_ok!(open_lease_at("//v0", 1, DEPOSIT));
        assert_noop!(begin(0, START), Error::<Test>::NotFound);
    });
}

#[test]
fn a_run_begins_only_with_its_budget() {
    build_and_execute(|| {
        register("//v0");
        create(once());
        assert_ok!(open_lease_at("//v0", 1, TERMS.budget_per_run - 1));
        assert_noop!(begin(0, START), Error::<Test>::NotFunded);
        assert_ok!(Tasks::recharge(origin(publisher()), TASK, LEASE, 1));
        assert_ok!(begin(0, START));
    });
}

#[test]
fn open_runs_budgets_are_all_in_escrow() {
    build_and_execute(|| {
        register("//v0");
        create(every());
        assert_ok!(open_lease_at("//v0", 1, 2 * TERMS.budget_per_run - 1));
        assert_ok!(begin(0, START));
        pass(EVERY.into());
        let second = Now::get();
        assert_noop!(begin(1, second), Error::<Test>::NotFunded);
        assert_ok!(Tasks::recharge(origin(publisher()), TASK, LEASE, 1));
        assert_ok!(begin(1, second));
        assert_eq!(task().reserved, 2 * TERMS.budget_per_run);
        // Each is paid in full, whichever comes first.
        for (replica, byte) in [(1, 1), (0, 2)] {
            let key = key(byte);
            activate(replica, &key);
            pass(TERMS.deadline_seconds.into());
            let seconds = TERMS.deadline_seconds.into();
            let (result, record) = result_of(replica, seconds, RunOutcome::Exited(0));
            assert_ok!(submit(&key, &result, &record));
        }
        assert_eq!((escrow(), task().reserved), (0, 0));
    });
}

#[test]
fn a_lost_run_frees_its_budget() {
    build_and_execute(|| {
        register("//v0");
        create(every());
        assert_ok!(open_lease_at("//v0", 1, TERMS.budget_per_run));
        assert_ok!(begin(0, START));
        Now::set(open_run(0).until + 1);
        let at = Now::get() - (Now::get() - START) % u64::from(EVERY);
        assert_noop!(begin(1, at), Error::<Test>::NotFunded);
        assert_ok!(Tasks::record_lost(origin(stranger()), LEASE, 0));
        assert_ok!(begin(1, at));
    });
}

#[test]
fn two_leases_never_run_one_task_at_a_time() {
    build_and_execute(|| {
        start(every());
        register("//v1");
        assert_ok!(open_lease_at("//v1", 2, DEPOSIT));
        assert_ok!(begin(0, START));
        pass(EVERY.into());
        let second = |at| begin_in(LeaseId(1), accounts()[3].clone(), 0, at);
        assert_noop!(second(Now::get()), Error::<Test>::OtherLease);
        // The first provider is gone: its lease is closed, another takes over.
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_ok!(second(Now::get()));
        assert_eq!(task().lease, Some(LeaseId(1)));
        let run = Open::<Test>::get(LeaseId(1), 0).unwrap().run;
        assert_eq!(run, RunId(2), "numbers go on under another lease");
    });
}

#[test]
fn what_was_skipped_is_recorded_by_the_next_run() {
    build_and_execute(|| {
        start(every());
        let period = u64::from(EVERY);
        pass(5 * period);
        assert_ok!(begin(0, START + 5 * period));
        assert_eq!(task().missed, 5);
        let missed = Entry::Missed { count: 5, first: START, last: START + 4 * period };
        assert_eq!(history(), [missed]);
    });
}

#[test]
fn anyone_records_missed_times_once_it_is_too_late_for_them() {
    build_and_execute(|| {
        start(every());
        let record = || Tasks::record_missed(origin(stranger()), TASK, None);
        assert_noop!(record(), Error::<Test>::NothingMissed);
        pass(TERMS.start_seconds_max.into());
        assert_noop!(record(), Error::<Test>::NothingMissed);
        pass(1);
        assert_ok!(record());
        assert_eq!(task().missed, 1);
        assert_noop!(record(), Error::<Test>::NothingMissed);
        // A very long time is one entry too.
        pass(10_000_000);
        assert_ok!(record());
        assert_eq!(task().missed, 1 + 100_000);
        let last = START + 100_000 * u64::from(EVERY);
        assert_eq!(history(), [Entry::Missed { count: 1 + 100_000, first: START, last }]);
    });
}

#[test]
fn of_a_cron_the_two_sides_record_what_was_missed() {
    build_and_execute(|| {
        start(cron());
        pass(600);
        let record = |who, at| Tasks::record_missed(origin(who), TASK, at);
        assert_noop!(record(publisher(), None), Error::<Test>::TimeNeeded);
        assert_noop!(record(stranger(), Some(START)), Error::<Test>::NotPublisher);
        assert_noop!(record(publisher(), Some(START - 1)), Error::<Test>::NotScheduled);
        assert_noop!(record(publisher(), Some(Now::get())), Error::<Test>::NothingMissed);
        assert_ok!(record(publisher(), Some(START)));
        assert_noop!(record(publisher(), Some(START + 59)), Error::<Test>::NotScheduled);
        // The provider is a side once it has begun a run.
        assert_noop!(record(provider(), Some(START + 60)), Error::<Test>::NotPublisher);
        assert_ok!(begin(0, Now::get()));
        pass(600);
        assert_ok!(record(provider(), Some(Now::get() - 300)));
        assert_eq!(task().missed, 2);
    });
}

/// A provider that was replaced names an invented time, shortly before the next true one.
#[test]
fn a_former_provider_records_nothing_of_a_cron() {
    build_and_execute(|| {
        start(cron());
        register("//v1");
        assert_ok!(begin(0, START));
        activate(0, &key(1));
        pass(600);
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_ok!(open_lease_at("//v1", 2, DEPOSIT));
        let invented = Some(Now::get() - u64::from(TERMS.start_seconds_max) - 1);
        let record = || Tasks::record_missed(origin(provider()), TASK, invented);
        assert_noop!(record(), Error::<Test>::NotPublisher);
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        assert_noop!(record(), Error::<Test>::NotPublisher);
        // The next one begins what is due without anybody's record of what its predecessor missed.
        let next = accounts()[3].clone();
        assert_ok!(begin_in(LeaseId(1), next.clone(), 0, Now::get()));
        // From then on it may.
        pass(600);
        let missed = Some(Now::get() - 300);
        assert_ok!(Tasks::record_missed(origin(next), TASK, missed));
    });
}

/// The chain has no calendar: what is said to be missed is not to keep a true time from being begun.
#[test]
fn an_invented_missed_time_of_a_cron_blocks_no_run() {
    build_and_execute(|| {
        start(cron());
        pass(u64::from(TERMS.start_seconds_max) + 1);
        for who in [publisher(), provider()] {
            let invented = Now::get() - u64::from(TERMS.start_seconds_max) - 1;
            assert_ok!(Tasks::record_missed(origin(who), TASK, Some(invented)));
            // One second later, and not too late yet.
            let due = invented + 1;
            assert_noop!(begin(0, invented), Error::<Test>::NotScheduled);
            assert_ok!(begin(0, due));
            assert_noop!(begin(1, due + 59), Error::<Test>::NotScheduled);
            pass(10_000);
            assert_ok!(Tasks::record_lost(origin(stranger()), LEASE, 0));
        }
    });
}

#[test]
fn a_run_is_lost_an_hour_after_its_deadline() {
    build_and_execute(|| {
        start(once());
        let lose = || Tasks::record_lost(origin(stranger()), LEASE, 0);
        assert_noop!(lose(), Error::<Test>::NotOpen);
        assert_ok!(begin(0, START));
        pass(u64::from(TERMS.deadline_seconds) + crate::RESULT_SECONDS);
        assert_noop!(lose(), Error::<Test>::NotLost);
        pass(1);
        assert_ok!(lose());
        assert_noop!(lose(), Error::<Test>::NotOpen);
        assert_eq!(history(), [Entry::Lost { run: RunId(1), lease: LEASE, scheduled_at: START }]);
        assert_eq!(task().open, 0);
    });
}

#[test]
fn a_run_of_a_lease_that_has_ended_is_lost_at_once() {
    build_and_execute(|| {
        start(once());
        assert_ok!(begin(0, START));
        // Without an agent its close settles it.
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_ok!(Tasks::record_lost(origin(stranger()), LEASE, 0));
    });
}

#[test]
fn the_history_keeps_the_last_entries() {
    build_and_execute(|| {
        start(every());
        for n in 0..u64::from(crate::HISTORY_MAX) + 6 {
            Now::set(START + n * 10_000);
            assert_ok!(Tasks::set_schedule(origin(publisher()), TASK, every()));
            assert_ok!(begin(0, Now::get()));
            pass(9_000);
            assert_ok!(Tasks::record_lost(origin(stranger()), LEASE, 0));
        }
        assert_eq!(history().len(), crate::HISTORY_MAX as usize);
        let first = Entry::Lost { run: RunId(1), lease: LEASE, scheduled_at: START };
        assert!(!history().contains(&first));
    });
}

#[test]
fn strangers_push_no_results_out() {
    build_and_execute(|| {
        let key = running();
        let (result, record) = result_of(0, 20, RunOutcome::Exited(0));
        assert_ok!(submit(&key, &result, &record));
        pass(50);
        for _ in 0..2 * crate::HISTORY_MAX {
            pass(EVERY.into());
            assert_ok!(Tasks::record_missed(origin(stranger()), TASK, None));
        }
        let count = 2 * u64::from(crate::HISTORY_MAX);
        let period = u64::from(EVERY);
        let last = START + count * period;
        let entries = history();
        let [Entry::Ended { .. }, missed] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!(*missed, Entry::Missed { count, first: START + period, last });
        // A run in between is told in its place.
        pass(30);
        assert_ok!(begin(0, last + period));
        pass(2 * period);
        assert_ok!(Tasks::record_missed(origin(stranger()), TASK, None));
        let missed = Entry::Missed { count: 1, first: last + 2 * period, last: last + 2 * period };
        assert_eq!(history()[2..], [missed]);
    });
}

#[test]
fn missed_times_of_a_cron_push_no_results_out() {
    build_and_execute(|| {
        start(cron());
        assert_ok!(begin(0, START));
        for n in 1..=2 * u64::from(crate::HISTORY_MAX) {
            Now::set(START + n * 60 + u64::from(TERMS.start_seconds_max) + 1);
            let at = Some(START + n * 60);
            assert_ok!(Tasks::record_missed(origin(provider()), TASK, at));
        }
        assert_eq!(history().len(), 1);
    });
}

#[test]
fn an_idle_task_is_neither_out_of_funds_nor_silent() {
    build_and_execute(|| {
        start(every());
        activate(0, &key(1));
        pass(100_000_000);
        assert_noop!(
            Leases::close(origin(stranger()), LEASE),
            pallet_leases::Error::<Test>::StillFunded
        );
        assert_noop!(
            Leases::evict(origin(stranger()), LEASE),
            pallet_leases::Error::<Test>::NotSilent
        );
    });
}
