//! What a result must be to be paid.

use super::*;
use casemate_primitives::{task::Artefact, Amendment};

const EXITED: RunOutcome = RunOutcome::Exited(0);

/// A run that began now, with an agent, after it has run for `seconds`.
fn ran(seconds: u64) -> (SigningKey, RunResult, UsageRecord) {
    start(once());
    assert_ok!(begin(0, START));
    let key = key(1);
    activate(0, &key);
    pass(seconds);
    let (result, record) = result_of(0, seconds, EXITED);
    (key, result, record)
}

#[test]
fn a_run_is_paid_by_its_result() {
    build_and_execute(|| {
        let (key, mut result, record) = ran(20);
        let artefact = Artefact { name: [2; 32], content: [3; 32] };
        result.artefacts = vec![artefact].try_into().unwrap();
        assert_ok!(submit(&key, &result, &record));
        assert_eq!(escrow(), DEPOSIT - 20 * PRICE);
        assert!(Open::<Test>::get(LEASE, 0).is_none());
        let signature = sign_result(&key, &result);
        let key = key.verifying_key().to_bytes();
        let ended = Entry::Ended { result, key, signature, begun_at: START, paid: 20 * PRICE };
        assert_eq!(history(), [ended]);
        assert_eq!(task().open, 0);
    });
}

#[test]
fn failures_and_deadlines_are_proved_work() {
    for outcome in [RunOutcome::Exited(3), RunOutcome::DeadlineExceeded] {
        build_and_execute(|| {
            let (key, mut result, record) = ran(20);
            result.outcome = outcome;
            assert_ok!(submit(&key, &result, &record));
            assert_eq!(escrow(), DEPOSIT - 20 * PRICE);
        });
    }
}

#[test]
fn nothing_else_pays_a_tasks_lease() {
    build_and_execute(|| {
        let (key, _, record) = ran(20);
        let signature = sign_record(&key, &record);
        assert_noop!(
            Leases::claim(origin(provider()), record, signature),
            pallet_leases::Error::<Test>::PaidByRun
        );
        assert_noop!(
            <Leases as pallet_leases::LeaseProofs<AccountId32>>::claim_as_of(
                provider(),
                record,
                signature,
                Now::get()
            ),
            pallet_leases::Error::<Test>::PaidByRun
        );
    });
}

#[test]
fn a_run_is_paid_at_most_its_budget() {
    build_and_execute(|| {
        let (key, result, record) = ran(TERMS.deadline_seconds.into());
        assert!(Balance::from(TERMS.deadline_seconds) * PRICE > TERMS.budget_per_run);
        assert_ok!(submit(&key, &result, &record));
        assert_eq!(escrow(), DEPOSIT - TERMS.budget_per_run);
    });
}

#[test]
fn a_run_is_paid_in_the_asset_of_its_lease() {
    build_and_execute(|| {
        register("//v0");
        create(every());
        assert_ok!(open_lease_in(DOLLAR, "//v0", 1, DEPOSIT));
        let held = |asset| {
            let reason = pallet_leases::HoldReason::Escrow.into();
            <Held as frame_support::traits::fungibles::InspectHold<_>>::balance_on_hold(
                asset,
                &reason,
                &publisher(),
            )
        };
        assert_eq!((held(DOLLAR), held(Asset::Native)), (DEPOSIT, 0));
        assert_ok!(begin(0, START));
        let key = key(1);
        activate(0, &key);
        pass(TERMS.deadline_seconds.into());
        let (result, record) = result_of(0, TERMS.deadline_seconds.into(), EXITED);
        assert_ok!(submit(&key, &result, &record));
        assert_eq!(escrow(), DEPOSIT - TERMS.budget_per_run);
        assert_ok!(Tasks::recharge(origin(publisher()), TASK, LEASE, 1_000));
        assert_eq!((held(DOLLAR), held(Asset::Native)), (DEPOSIT + 1_000, 0));
    });
}

/// The end of a run is signed as that of a service's app is; here it says nothing of what follows.
#[test]
fn a_run_that_has_ended_does_not_end_its_task() {
    build_and_execute(|| {
        start(every());
        for (n, at) in [START, START + 100, START + 200].into_iter().enumerate() {
            Now::set(at);
            assert_ok!(begin(0, at));
            let key = key(1 + u8::try_from(n).unwrap());
            activate(0, &key);
            pass(20);
            let (result, record) = result_of(0, 20, RunOutcome::Exited(3));
            let state = casemate_primitives::PodState::Ended { code: 3 };
            let record = UsageRecord { state, ..record };
            let result = RunResult { last_record: record.hash(), ..result };
            assert_ok!(submit(&key, &result, &record));
        }
        assert_eq!(escrow(), DEPOSIT - 60 * PRICE);
        assert_noop!(
            Leases::close(origin(stranger()), LEASE),
            pallet_leases::Error::<Test>::StillFunded
        );
    });
}

#[test]
fn new_prices_wait_for_open_runs_and_for_no_slot_that_is_idle() {
    build_and_execute(|| {
        start(every());
        let amend = |replaces, price| {
            let prices = Prices { cpu_millicore_second: price, ..Default::default() };
            let replaces = Prices { cpu_millicore_second: replaces, ..Default::default() };
            let expires_at = Now::get() + 60;
            let found = pallet_leases::Leases::<Test>::get(LEASE).unwrap();
            let number = found.before.map_or(0, |before| before.number) + 1;
            let amendment =
                Amendment { lease: LEASE, number, replaces, prices, second_min: 0, expires_at };
            let signature = pair("//v0").sign(&amendment.signing_payload(&GENESIS)).into();
            Leases::amend(origin(publisher()), amendment, signature)
        };
        assert_ok!(begin(0, START));
        let (first, second) = (key(1), key(2));
        activate(0, &first);
        pass(20);
        let (result, record) = result_of(0, 20, EXITED);
        assert_ok!(submit(&first, &result, &record));
        pass(80);
        assert_ok!(begin(1, START + 100));
        activate(1, &second);
        pass(10);
        assert_ok!(amend(1, 2));
        pass(700);
        assert_noop!(amend(2, 3), pallet_leases::Error::<Test>::ClaimFirst);
        let (result, record) = result_of(1, 10, EXITED);
        assert_ok!(submit(&second, &result, &record));
        assert_ok!(amend(2, 3));
    });
}

#[test]
fn a_result_counts_once() {
    build_and_execute(|| {
        let (key, result, record) = ran(20);
        assert_ok!(submit(&key, &result, &record));
        assert_noop!(submit(&key, &result, &record), Error::<Test>::NotOpen);
        assert_eq!(escrow(), DEPOSIT - 20 * PRICE);
    });
}

#[test]
fn an_old_runs_result_and_key_do_not_end_another() {
    build_and_execute(|| {
        let key = running();
        let (old, record) = result_of(0, 20, EXITED);
        assert_ok!(submit(&key, &old, &record));
        pass(80);
        assert_ok!(begin(0, START + 100));
        assert_noop!(submit(&key, &old, &record), Error::<Test>::OtherRun);
        // Even where its agent would sign for the next one: it was paid already.
        pass(10);
        let (next, mut record) = result_of(0, 10, EXITED);
        record.sequence = 9;
        let next = RunResult { last_record: record.hash(), ..next };
        assert_noop!(submit(&key, &next, &record), pallet_leases::Error::<Test>::KeyUsedBefore);
    });
}

#[test]
fn results_of_foreign_keys_are_refused() {
    build_and_execute(|| {
        let (_, result, record) = ran(20);
        assert_noop!(submit(&key(2), &result, &record), Error::<Test>::ResultSignature);
    });
    build_and_execute(|| {
        let (key, result, record) = ran(20);
        let by_other = sign_record(&super::key(2), &record);
        assert_noop!(
            Tasks::submit_result(
                origin(provider()),
                result.clone(),
                sign_result(&key, &result),
                record,
                by_other
            ),
            pallet_leases::Error::<Test>::RecordSignature
        );
    });
    build_and_execute(|| {
        // On another chain.
        let (key, result, record) = ran(20);
        let elsewhere = key.sign(&result.signing_payload(&[9; 32])).to_bytes();
        assert_noop!(
            Tasks::submit_result(
                origin(provider()),
                result,
                elsewhere,
                record,
                sign_record(&key, &record)
            ),
            Error::<Test>::ResultSignature
        );
    });
}

#[test]
fn a_key_without_evidence_is_not_paid() {
    build_and_execute(|| {
        start(once());
        assert_ok!(begin(0, START));
        pass(20);
        let (result, record) = result_of(0, 20, EXITED);
        assert_noop!(submit(&key(1), &result, &record), Error::<Test>::NotAttested);
    });
    build_and_execute(|| {
        let (key, result, record) = ran(20);
        Attested::set(Default::default());
        assert_noop!(submit(&key, &result, &record), pallet_leases::Error::<Test>::NotAttested);
    });
}

#[test]
fn the_record_is_the_one_that_the_result_names() {
    build_and_execute(|| {
        let (key, result, record) = ran(20);
        let other = UsageRecord { sequence: 4, ..record };
        assert_noop!(submit(&key, &result, &other), Error::<Test>::OtherRecord);
        // Of another lease, even where the result names it.
        let foreign = UsageRecord { lease: LeaseId(5), ..record };
        let result = RunResult { last_record: foreign.hash(), ..result };
        assert_noop!(submit(&key, &result, &foreign), Error::<Test>::OtherRecord);
    });
}

#[test]
fn results_of_other_runs_slots_and_times_are_refused() {
    build_and_execute(|| {
        let (key, result, record) = ran(20);
        let other = RunResult { run: RunId(2), ..result.clone() };
        assert_noop!(submit(&key, &other, &record), Error::<Test>::OtherRun);
        let other = RunResult { scheduled_at: START + 1, ..result.clone() };
        assert_noop!(submit(&key, &other, &record), Error::<Test>::OtherRun);
        let other = RunResult { replica: 1, ..result.clone() };
        assert_noop!(submit(&key, &other, &record), Error::<Test>::NotOpen);
        let other = RunResult { lease: LeaseId(3), ..result };
        assert_noop!(submit(&key, &other, &record), Error::<Test>::NotOpen);
    });
}

#[test]
fn back_dated_and_future_results_are_refused() {
    build_and_execute(|| {
        let (key, result, record) = ran(20);
        let now = Now::get();
        for (started_at, ended_at) in
            [(START - SKEW - 1, now), (now, now - 1), (START, now + SKEW + 1)]
        {
            let result = RunResult { started_at, ended_at, ..result.clone() };
            assert_noop!(submit(&key, &result, &record), Error::<Test>::ResultTimes);
        }
        let result = RunResult { started_at: START - SKEW, ended_at: now + SKEW, ..result };
        assert_ok!(submit(&key, &result, &record));
    });
}

#[test]
fn time_before_the_run_is_not_paid() {
    build_and_execute(|| {
        start(once());
        // The agent was started, and attested, long before the run was begun.
        let key = key(1);
        activate(0, &key);
        pass(50);
        assert_ok!(begin(0, START));
        pass(20);
        let (result, record) = result_of(0, 70, EXITED);
        let result = RunResult { started_at: START + 50, ..result };
        assert_ok!(submit(&key, &result, &record));
        assert_eq!(escrow(), DEPOSIT - 20 * PRICE);
    });
}

#[test]
fn only_the_provider_brings_results_and_in_time() {
    build_and_execute(|| {
        let (key, result, record) = ran(20);
        let by = |who| {
            Tasks::submit_result(
                origin(who),
                result.clone(),
                sign_result(&key, &result),
                record,
                sign_record(&key, &record),
            )
        };
        assert_noop!(by(publisher()), Error::<Test>::NotProvider);
        assert_noop!(by(stranger()), Error::<Test>::NotProvider);
        Now::set(open_run(0).until + 1);
        assert_noop!(by(provider()), Error::<Test>::ResultTooLate);
        assert_ok!(Tasks::record_lost(origin(stranger()), LEASE, 0));
        assert_eq!(escrow(), DEPOSIT);
    });
}

#[test]
fn a_run_of_a_forgotten_lease_is_not_paid() {
    build_and_execute(|| {
        let (key, result, record) = ran(20);
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        assert_noop!(submit(&key, &result, &record), pallet_leases::Error::<Test>::Ended);
        pass(1_000);
        assert_ok!(Leases::forget(origin(provider()), LEASE));
        assert_noop!(submit(&key, &result, &record), Error::<Test>::NoSuchLease);
        assert_ok!(Tasks::record_lost(origin(provider()), LEASE, 0));
    });
}

#[test]
fn stopped_by_its_host_is_not_paid() {
    build_and_execute(|| {
        let (key, result, record) = ran(20);
        let result = RunResult { outcome: RunOutcome::Stopped, ..result };
        assert_ok!(submit(&key, &result, &record));
        assert_eq!(escrow(), DEPOSIT);
    });
    build_and_execute(|| {
        // The publisher stops it only later.
        let (key, result, record) = ran(20);
        let result = RunResult { outcome: RunOutcome::Stopped, ..result };
        pass(SKEW + 1);
        assert_ok!(Tasks::stop(origin(publisher()), TASK));
        assert_ok!(submit(&key, &result, &record));
        assert_eq!(escrow(), DEPOSIT);
    });
}

#[test]
fn stopped_by_its_publisher_is_paid() {
    for is_lease in [false, true] {
        build_and_execute(|| {
            let (key, result, record) = ran(20);
            let result = RunResult { outcome: RunOutcome::Stopped, ..result };
            let stopped = match is_lease {
                true => Leases::close(origin(publisher()), LEASE),
                false => Tasks::stop(origin(publisher()), TASK),
            };
            assert_ok!(stopped);
            assert_ok!(submit(&key, &result, &record));
            assert_eq!(escrow(), DEPOSIT - 20 * PRICE);
        });
    }
    build_and_execute(|| {
        // A provider that takes its machine back is no publisher.
        let (key, result, record) = ran(20);
        let result = RunResult { outcome: RunOutcome::Stopped, ..result };
        assert_ok!(Leases::close(origin(provider()), LEASE));
        assert_ok!(submit(&key, &result, &record));
        assert_eq!(escrow(), DEPOSIT);
    });
}

#[test]
fn an_update_during_a_run_does_not_unpay_it() {
    build_and_execute(|| {
        start(once());
        assert_ok!(begin(0, START));
        assert_ok!(Deployments::update(origin(publisher()), TASK, UPDATED));
        assert_eq!(expected(0), Ok(MANIFEST.hash), "the open run's evidence is still taken");
        assert_eq!(expected(1), Ok(UPDATED.hash));
        let key = key(1);
        activate(0, &key);
        // Nor does the end of its deployment.
        assert_ok!(Deployments::stop(origin(publisher()), TASK));
        assert_eq!(expected(0), Ok(MANIFEST.hash));
        pass(20);
        let (result, record) = result_of(0, 20, EXITED);
        assert_ok!(submit(&key, &result, &record));
        assert_eq!(escrow(), DEPOSIT - 20 * PRICE);
        assert_ne!(expected(0), Ok(MANIFEST.hash));
    });
}

#[test]
fn an_agent_of_an_older_manifest_ends_no_later_run() {
    build_and_execute(|| {
        start(once());
        let (old, new) = (key(1), key(2));
        activate(0, &old);
        assert_ok!(Deployments::update(origin(publisher()), TASK, UPDATED));
        assert_ok!(begin(0, START));
        pass(20);
        let (result, record) = result_of(0, 20, EXITED);
        assert_noop!(submit(&old, &result, &record), Error::<Test>::NotAttested);
        activate(0, &new);
        assert_ok!(submit(&new, &result, &record));
    });
}

#[test]
fn of_two_results_of_one_run_the_second_is_refused() {
    build_and_execute(|| {
        let key = running();
        // A forked agent: one key, two ends of the same run.
        let (first, record) = result_of(0, 20, EXITED);
        let (second, mut other) = result_of(0, 19, RunOutcome::Exited(1));
        other.sequence = 9;
        let second = RunResult { output_hash: [9; 32], last_record: other.hash(), ..second };
        assert_ok!(submit(&key, &first, &record));
        assert_noop!(submit(&key, &second, &other), Error::<Test>::NotOpen);
        pass(80);
        assert_ok!(begin(0, START + 100));
        assert_noop!(submit(&key, &second, &other), Error::<Test>::OtherRun);
        // Nor under the number of the next run.
        let next = open_run(0);
        let (run, scheduled_at) = (next.run, next.scheduled_at);
        let (started_at, ended_at) = (Now::get(), Now::get());
        let second = RunResult { run, scheduled_at, started_at, ended_at, ..second };
        let refused = submit(&key, &second, &other);
        assert_noop!(refused, pallet_leases::Error::<Test>::KeyUsedBefore);
        assert_eq!(escrow(), DEPOSIT - 20 * PRICE);
    });
}

#[test]
fn a_pod_that_was_lost_is_started_again_under_the_same_number() {
    build_and_execute(|| {
        let (first, result, record) = ran(20);
        let second = key(2);
        activate(0, &second);
        assert_noop!(submit(&first, &result, &record), Error::<Test>::ResultSignature);
        pass(30);
        let (result, record) = result_of(0, 30, EXITED);
        assert_ok!(submit(&second, &result, &record));
        assert_eq!(escrow(), DEPOSIT - 30 * PRICE, "the lost pod's time is not paid");
    });
}
