//! Random calls: money is kept together, and no run is paid above its budget or its record.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Begin { replica: u16, back: u64 },
    Activate { replica: u16 },
    Submit { replica: u16, seconds: u64, outcome: RunOutcome, wrong_key: bool },
    Missed,
    Lost { replica: u16 },
    SetSchedule { is_once: bool },
    SetBudget(Balance),
    Stop,
    Recharge(Balance),
    Close { by_provider: bool },
    Settle,
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    let replica = 0..SLOTS + 1;
    prop_oneof![
        4 => (0..200u64).prop_map(Step::Pass),
        1 => Just(Step::Pass(5_000)),
        6 => (replica.clone(), 0..3u64).prop_map(|(replica, back)| Step::Begin { replica, back }),
        4 => replica.clone().prop_map(|replica| Step::Activate { replica }),
        6 => (replica.clone(), 0..300u64, 0..3u8, prop::bool::weighted(0.1)).prop_map(
            |(replica, seconds, outcome, wrong_key)| {
                let outcome = match outcome {
                    0 => RunOutcome::Exited(0),
                    1 => RunOutcome::DeadlineExceeded,
                    _ => RunOutcome::Stopped,
                };
                Step::Submit { replica, seconds, outcome, wrong_key }
            }
        ),
        1 => Just(Step::Missed),
        1 => replica.prop_map(|replica| Step::Lost { replica }),
        1 => any::<bool>().prop_map(|is_once| Step::SetSchedule { is_once }),
        1 => (1..30_000u128).prop_map(Step::SetBudget),
        1 => Just(Step::Stop),
        1 => (0..100_000u128).prop_map(Step::Recharge),
        1 => any::<bool>().prop_map(|by_provider| Step::Close { by_provider }),
        1 => Just(Step::Settle),
        1 => Just(Step::Forget),
    ]
}

/// Keys are never used twice.
fn next_key(count: &mut u8) -> SigningKey {
    *count = count.wrapping_add(1);
    key(*count)
}

fn earned() -> Balance {
    pallet_leases::Leases::<Test>::get(LEASE).map_or(0, |lease| lease.earned())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn runs_are_paid_within_budget_and_record(steps in prop::collection::vec(step(), 1..60)) {
        new_test_ext().execute_with(|| {
            start(every());
            let mut keys: BTreeMap<u16, SigningKey> = BTreeMap::new();
            let mut count = 0;
            let mut numbers = std::collections::BTreeSet::new();
            for step in steps {
                let before = earned();
                let mut allowed = 0;
                match step.clone() {
                    Step::Pass(seconds) => pass(seconds),
                    Step::Begin { replica, back } => {
                        let Some(task) = crate::Tasks::<Test>::get(TASK) else { continue };
                        let period = u64::from(EVERY);
                        let at = match task.schedule {
                            Schedule::Once { .. } => task.since,
                            _ => Now::get() - (Now::get() - task.since) % period,
                        };
                        if begin(replica, at.saturating_sub(back * period)).is_ok() {
                            let run = open_run(replica);
                            assert!(numbers.insert(run.run), "a number was given twice");
                            assert!(run.scheduled_at <= Now::get());
                        }
                    }
                    Step::Activate { replica } => {
                        let key = next_key(&mut count);
                        let public = key.verifying_key().to_bytes();
                        let activated =
                            <Leases as pallet_attestation::AgentRegistry<AccountId32>>::activate(
                                &provider(), LEASE, replica, public,
                            );
                        if activated.is_ok() {
                            Attested::mutate(|all| all.insert((LEASE.0, replica), public));
                            keys.insert(replica, key);
                        }
                    }
                    Step::Submit { replica, seconds, outcome, wrong_key } => {
                        let Some(run) = Open::<Test>::get(LEASE, replica) else { continue };
                        let (result, record) = result_of(replica, seconds, outcome);
                        let own = keys.get(&replica).cloned();
                        let key = match own {
                            Some(key) if !wrong_key => key,
                            _ => next_key(&mut count),
                        };
                        if submit(&key, &result, &record).is_ok() {
                            assert!(!wrong_key);
                            let of_record = Balance::from(seconds) * PRICE;
                            let since_begun = Balance::from(Now::get() - run.begun_at) * PRICE;
                            allowed = run.budget.min(of_record).min(since_begun);
                        }
                    }
                    Step::Missed => {
                        let _ = Tasks::record_missed(origin(stranger()), TASK, None);
                    }
                    Step::Lost { replica } => {
                        let _ = Tasks::record_lost(origin(stranger()), LEASE, replica);
                    }
                    Step::SetSchedule { is_once } => {
                        let schedule = if is_once { once() } else { every() };
                        let _ = Tasks::set_schedule(origin(publisher()), TASK, schedule);
                    }
                    Step::SetBudget(budget_per_run) => {
                        let terms = TaskTerms { budget_per_run, ..TERMS };
                        let _ = Tasks::set_terms(origin(publisher()), TASK, terms);
                    }
                    Step::Stop => {
                        let _ = Tasks::stop(origin(publisher()), TASK);
                    }
                    Step::Recharge(amount) => {
                        let _ = Tasks::recharge(origin(publisher()), TASK, LEASE, amount);
                    }
                    Step::Close { by_provider } => {
                        let who = if by_provider { provider() } else { publisher() };
                        let _ = Leases::close(origin(who), LEASE);
                    }
                    Step::Settle => {
                        let _ = Leases::settle(origin(provider()), LEASE);
                    }
                    Step::Forget => {
                        let _ = Tasks::forget(origin(publisher()), TASK);
                    }
                }
                let paid = earned().saturating_sub(before);
                assert!(paid <= allowed, "{step:?} paid {paid}, at most {allowed} was due");
                check_invariants();
            }
        });
    }
}
