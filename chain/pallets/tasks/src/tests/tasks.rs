//! Create, schedules, terms, stop, recharge, forget.

use super::*;

fn held(who: &AccountId32) -> Balance {
    Balances::balance_on_hold(&HoldReason::Task.into(), who)
}

#[test]
fn a_task_is_a_deployment_with_a_deposit() {
    build_and_execute(|| {
        create(once());
        assert_eq!(held(&publisher()), CASE);
        assert_eq!(task().terms, TERMS);
        assert!(pallet_deployments::Deployments::<Test>::contains_key(TASK));
    });
}

#[test]
fn bad_schedules_and_terms_are_refused() {
    build_and_execute(|| {
        let text = |text: &[u8]| text.to_vec().try_into().unwrap();
        let cron = |expression: &[u8], seconds_min| Schedule::Cron {
            expression: text(expression),
            time_zone: text(b"UTC").to_vec().try_into().unwrap(),
            seconds_min,
        };
        let every = |seconds| Schedule::Every { seconds };
        create(super::every());
        for bad in [every(0), every(9), cron(b"", 60), cron(b"* *\n", 60), cron(b"* * * * *", 9)] {
            assert_noop!(
                Tasks::create(origin(publisher()), MANIFEST, bad.clone(), TERMS),
                Error::<Test>::ScheduleInvalid
            );
            assert_noop!(
                Tasks::set_schedule(origin(publisher()), TASK, bad),
                Error::<Test>::ScheduleInvalid
            );
        }
        for bad in [
            TaskTerms { budget_per_run: 0, ..TERMS },
            TaskTerms { deadline_seconds: 0, ..TERMS },
            TaskTerms { deadline_seconds: u32::MAX, ..TERMS },
            TaskTerms { start_seconds_max: 0, ..TERMS },
        ] {
            assert_noop!(
                Tasks::create(origin(publisher()), MANIFEST, once(), bad),
                Error::<Test>::TermsInvalid
            );
            assert_noop!(
                Tasks::set_terms(origin(publisher()), TASK, bad),
                Error::<Test>::TermsInvalid
            );
        }
    });
}

#[test]
fn only_the_publisher_changes_its_task() {
    build_and_execute(|| {
        start(every());
        for who in [stranger(), provider()] {
            let by = || origin(who.clone());
            assert_noop!(Tasks::set_schedule(by(), TASK, once()), Error::<Test>::NotPublisher);
            assert_noop!(Tasks::set_terms(by(), TASK, TERMS), Error::<Test>::NotPublisher);
            assert_noop!(Tasks::stop(by(), TASK), Error::<Test>::NotPublisher);
            assert_noop!(Tasks::forget(by(), TASK), Error::<Test>::NotPublisher);
            assert_noop!(Tasks::recharge(by(), TASK, LEASE, 1), Error::<Test>::NotPublisher);
        }
        let by = || origin(publisher());
        let other = DeploymentId(9);
        assert_noop!(Tasks::set_schedule(by(), other, once()), Error::<Test>::NotFound);
        assert_noop!(Tasks::set_terms(by(), other, TERMS), Error::<Test>::NotFound);
        assert_noop!(Tasks::stop(by(), other), Error::<Test>::NotFound);
        assert_noop!(Tasks::forget(by(), other), Error::<Test>::NotFound);
        assert_noop!(Tasks::recharge(by(), other, LEASE, 1), Error::<Test>::NotFound);
        assert_noop!(Tasks::record_missed(by(), other, None), Error::<Test>::NotFound);
    });
}

#[test]
fn a_new_schedule_counts_from_now_and_the_old_ones_missed_times_stay() {
    build_and_execute(|| {
        start(every());
        pass(u64::from(EVERY) * 3);
        assert_ok!(Tasks::set_schedule(origin(publisher()), TASK, once()));
        assert_eq!(task().missed, 3);
        assert_eq!((task().since, task().last), (Now::get(), None));
        assert_ok!(begin(0, Now::get()));
    });
}

#[test]
fn new_terms_hold_for_later_runs() {
    build_and_execute(|| {
        start(every());
        assert_ok!(begin(0, START));
        let terms = TaskTerms { budget_per_run: 7, ..TERMS };
        assert_ok!(Tasks::set_terms(origin(publisher()), TASK, terms));
        assert_eq!(open_run(0).budget, TERMS.budget_per_run);
        pass(EVERY.into());
        assert_ok!(begin(1, Now::get()));
        assert_eq!(open_run(1).budget, 7);
    });
}

/// The publisher's change is in the block before the provider's `begin`, which was sent first.
#[test]
fn a_run_begins_for_the_terms_that_its_provider_named() {
    for changed in [
        TaskTerms { budget_per_run: 1, ..TERMS },
        TaskTerms { deadline_seconds: 1, ..TERMS },
        TaskTerms { start_seconds_max: TERMS.start_seconds_max + 1, ..TERMS },
    ] {
        build_and_execute(|| {
            start(once());
            assert_ok!(Tasks::set_terms(origin(publisher()), TASK, changed));
            let hash = MANIFEST.hash;
            let begin = |terms| Tasks::begin(origin(provider()), LEASE, 0, START, terms, hash);
            assert_noop!(begin(TERMS), Error::<Test>::OtherTerms);
            assert_ok!(begin(changed));
        });
    }
}

#[test]
fn a_run_begins_with_the_manifest_that_its_provider_named() {
    build_and_execute(|| {
        start(once());
        assert_ok!(Deployments::update(origin(publisher()), TASK, UPDATED));
        let begin = |hash| Tasks::begin(origin(provider()), LEASE, 0, START, TERMS, hash);
        assert_noop!(begin(MANIFEST.hash), Error::<Test>::OtherManifest);
        assert_ok!(begin(UPDATED.hash));
        assert_eq!((open_run(0).manifest_hash, expected(0)), (UPDATED.hash, Ok(UPDATED.hash)));
    });
}

#[test]
fn new_terms_shorten_and_cheapen_no_open_run() {
    build_and_execute(|| {
        start(once());
        assert_ok!(begin(0, START));
        let key = key(1);
        activate(0, &key);
        let changed = TaskTerms { budget_per_run: 1, deadline_seconds: 1, start_seconds_max: 1 };
        assert_ok!(Tasks::set_terms(origin(publisher()), TASK, changed));
        pass(u64::from(TERMS.deadline_seconds) + crate::RESULT_SECONDS);
        let seconds = TERMS.deadline_seconds.into();
        let (result, record) = result_of(0, seconds, RunOutcome::Exited(0));
        assert_ok!(submit(&key, &result, &record));
        assert_eq!(escrow(), DEPOSIT - TERMS.budget_per_run);
    });
}

#[test]
fn recharge_locks_more_in_the_tasks_own_lease() {
    build_and_execute(|| {
        start(once());
        assert_ok!(Tasks::recharge(origin(publisher()), TASK, LEASE, 5));
        assert_eq!(escrow(), DEPOSIT + 5);
        assert_noop!(
            Tasks::recharge(origin(publisher()), TASK, LeaseId(7), 5),
            Error::<Test>::NoSuchLease
        );
        create(once());
        assert_noop!(
            Tasks::recharge(origin(publisher()), DeploymentId(1), LEASE, 5),
            Error::<Test>::OtherTask
        );
    });
}

#[test]
fn a_stopped_task_is_forgotten_with_its_history() {
    build_and_execute(|| {
        start(every());
        assert_noop!(Tasks::forget(origin(publisher()), TASK), Error::<Test>::NotStopped);
        assert_ok!(begin(0, START));
        pass(500);
        assert_ok!(Tasks::record_missed(origin(stranger()), TASK, None));
        assert_ok!(Tasks::stop(origin(publisher()), TASK));
        assert_noop!(Tasks::stop(origin(publisher()), TASK), Error::<Test>::Stopped);
        assert_noop!(
            Tasks::set_schedule(origin(publisher()), TASK, once()),
            Error::<Test>::Stopped
        );
        assert_noop!(Tasks::set_terms(origin(publisher()), TASK, TERMS), Error::<Test>::Stopped);
        assert_noop!(Tasks::record_missed(origin(publisher()), TASK, None), Error::<Test>::Stopped);
        assert_noop!(begin(1, Now::get()), Error::<Test>::Stopped);
        assert_noop!(Tasks::forget(origin(publisher()), TASK), Error::<Test>::RunsOpen);
        pass(10_000);
        assert_ok!(Tasks::record_lost(origin(stranger()), LEASE, 0));
        assert_ok!(Tasks::forget(origin(publisher()), TASK));
        assert_eq!(held(&publisher()), 0);
        assert_eq!(History::<Test>::iter().count(), 0);
    });
}
