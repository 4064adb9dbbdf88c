//! Random calls: money is kept together, no run is paid above its budget or its record, and calls
//! that should work do.

use super::*;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Begin { replica: u16, back: u64 },
    Activate { replica: u16 },
    Submit { replica: u16, percent: u64, outcome: RunOutcome, wrong_key: bool },
    Missed { back: u64 },
    Lost { replica: u16 },
    SetSchedule(Kind),
    SetBudget(Balance),
    Update(u8),
    Stop,
    Recharge(Balance),
    FundFor(Balance),
    Close { by_provider: bool },
    Settle,
    Forget,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Once,
    Every,
    Cron,
}

impl Kind {
    fn schedule(self) -> Schedule {
        match self {
            Self::Once => once(),
            Self::Every => every(),
            Self::Cron => cron(),
        }
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![1 => Just(Kind::Once), 3 => Just(Kind::Every), 3 => Just(Kind::Cron)]
}

fn step() -> impl Strategy<Value = Step> {
    // Seldom a slot that is not there.
    let replica = || prop_oneof![8 => 0..SLOTS, 1 => Just(SLOTS)];
    let back = prop_oneof![4 => Just(0), 1 => 1..3u64];
    let outcome = prop_oneof![
        Just(RunOutcome::Exited(0)),
        Just(RunOutcome::DeadlineExceeded),
        Just(RunOutcome::Stopped)
    ];
    let submit = (replica(), 0..120u64, outcome, prop::bool::weighted(0.05));
    prop_oneof![
        20 => (0..200u64).prop_map(Step::Pass),
        2 => Just(Step::Pass(5_000)),
        30 => (replica(), back).prop_map(|(replica, back)| Step::Begin { replica, back }),
        20 => replica().prop_map(|replica| Step::Activate { replica }),
        30 => submit.prop_map(|(replica, percent, outcome, wrong_key)| {
            Step::Submit { replica, percent, outcome, wrong_key }
        }),
        4 => (0..300u64).prop_map(|back| Step::Missed { back }),
        4 => replica().prop_map(|replica| Step::Lost { replica }),
        2 => kind().prop_map(Step::SetSchedule),
        2 => (1..30_000u128).prop_map(Step::SetBudget),
        2 => (0..4u8).prop_map(Step::Update),
        2 => Just(Step::Stop),
        2 => (1..100_000u128).prop_map(Step::Recharge),
        2 => (1..100_000u128).prop_map(Step::FundFor),
        2 => any::<bool>().prop_map(|by_provider| Step::Close { by_provider }),
        2 => Just(Step::Settle),
        6 => Just(Step::Forget),
    ]
}

/// How often calls of each kind succeeded, in all cases together.
static DONE: Mutex<BTreeMap<&str, u32>> = Mutex::new(BTreeMap::new());

fn count(name: &'static str, is_done: bool) -> bool {
    if is_done {
        *DONE.lock().unwrap().entry(name).or_default() += 1;
    }
    is_done
}

/// Keys are never used twice.
fn next_key(count: &mut u8) -> SigningKey {
    *count = count.wrapping_add(1);
    key(*count)
}

fn earned() -> Balance {
    pallet_leases::Leases::<Test>::get(LEASE).map_or(0, |lease| lease.earned())
}

fn second_depositor() -> AccountId32 {
    accounts()[1].clone()
}

/// What random calls have done to a task and its lease.
#[derive(Default)]
struct Model {
    keys: BTreeMap<u16, SigningKey>,
    key_count: u8,
    numbers: BTreeSet<RunId>,
    /// The last time that was begun since the schedule was set.
    begun: Option<u64>,
    /// Whether the publisher has stopped the task or closed its lease.
    is_unwanted: bool,
}

impl Model {
    fn start(schedule: Kind, asset: Asset) -> Self {
        register("//v0");
        create(schedule.schedule());
        assert_ok!(open_lease_in(asset, "//v0", 1, DEPOSIT / 5));
        let by = origin(publisher());
        assert_ok!(Leases::authorise(by, LEASE, second_depositor(), Some(DEPOSIT)));
        Self::default()
    }

    /// Makes a call. Returns the most that it may pay.
    fn apply(&mut self, step: Step) -> Balance {
        match step {
            Step::Pass(seconds) => pass(seconds),
            Step::Begin { replica, back } => self.begin(replica, back),
            Step::Activate { replica } => self.activate(replica),
            Step::Submit { replica, percent, outcome, wrong_key } => {
                return self.submit(replica, percent, outcome, wrong_key);
            }
            Step::Missed { back } => {
                let Some(task) = crate::Tasks::<Test>::get(TASK) else { return 0 };
                let (name, by, at) = match task.schedule {
                    Schedule::Cron { .. } => ("missed of a cron", publisher(), Now::get() - back),
                    _ => ("missed", stranger(), 0),
                };
                let at = Some(at).filter(|at| *at > 0);
                count(name, Tasks::record_missed(origin(by), TASK, at).is_ok());
            }
            Step::Lost { replica } => {
                count("lost", Tasks::record_lost(origin(stranger()), LEASE, replica).is_ok());
            }
            Step::SetSchedule(kind) => {
                let set = Tasks::set_schedule(origin(publisher()), TASK, kind.schedule());
                if count("schedule", set.is_ok()) {
                    self.begun = None;
                }
            }
            Step::SetBudget(budget_per_run) => {
                let terms = TaskTerms { budget_per_run, ..TERMS };
                count("terms", Tasks::set_terms(origin(publisher()), TASK, terms).is_ok());
            }
            Step::Update(byte) => {
                let manifest = ManifestRef { hash: [byte; 32], ..MANIFEST };
                let updated = Deployments::update(origin(publisher()), TASK, manifest);
                count("update", updated.is_ok());
            }
            Step::Stop => {
                let stopped = Tasks::stop(origin(publisher()), TASK).is_ok();
                self.is_unwanted |= count("stop", stopped);
            }
            Step::Recharge(amount) => {
                let charged = Tasks::recharge(origin(publisher()), TASK, LEASE, amount);
                count("recharge", charged.is_ok());
            }
            Step::FundFor(amount) => {
                let funded = Leases::fund_for(origin(second_depositor()), LEASE, amount);
                count("second depositor", funded.is_ok());
            }
            Step::Close { by_provider } => {
                let who = if by_provider { provider() } else { publisher() };
                let closed = count("close", Leases::close(origin(who), LEASE).is_ok());
                self.is_unwanted |= closed && !by_provider;
            }
            Step::Settle => {
                count("settle", Leases::settle(origin(provider()), LEASE).is_ok());
            }
            Step::Forget => {
                count("forget", Tasks::forget(origin(publisher()), TASK).is_ok());
            }
        }
        0
    }

    fn begin(&mut self, replica: u16, back: u64) {
        let Some(task) = crate::Tasks::<Test>::get(TASK) else { return };
        let period = u64::from(EVERY);
        let (name, at) = match task.schedule {
            Schedule::Once { .. } => ("begin once", task.since),
            Schedule::Every { .. } => {
                let newest = Now::get() - (Now::get() - task.since) % period;
                ("begin", newest - back * period)
            }
            Schedule::Cron { .. } => ("begin of a cron", Now::get() - back * 20),
        };
        if !count(name, begin(replica, at).is_ok()) {
            return;
        }
        let run = open_run(replica);
        assert!(self.numbers.insert(run.run), "a number was given twice");
        let distance = match task.schedule {
            Schedule::Cron { seconds_min, .. } => u64::from(seconds_min),
            _ => period,
        };
        let earliest = self.begun.replace(at).map_or(task.since, |last| last + distance);
        assert!((earliest..=Now::get()).contains(&run.scheduled_at), "begun out of its turn");
    }

    fn activate(&mut self, replica: u16) {
        let key = next_key(&mut self.key_count);
        let public = key.verifying_key().to_bytes();
        let activated = <Leases as pallet_attestation::AgentRegistry<AccountId32>>::activate(
            &provider(),
            LEASE,
            replica,
            public,
        );
        if count("activate", activated.is_ok()) {
            Attested::mutate(|all| all.insert((LEASE.0, replica), public));
            self.keys.insert(replica, key);
        }
    }

    fn submit(
        &mut self,
        replica: u16,
        percent: u64,
        outcome: RunOutcome,
        wrong_key: bool,
    ) -> Balance {
        let Some(run) = Open::<Test>::get(LEASE, replica) else { return 0 };
        // Of the time since the run was begun; above a hundred is more than there was.
        let seconds = (Now::get() - run.begun_at) * percent / 100;
        let (result, record) = result_of(replica, seconds, outcome);
        let own = self.keys.get(&replica).cloned();
        let key = match own {
            Some(key) if !wrong_key => key,
            _ => next_key(&mut self.key_count),
        };
        let before = earned();
        if submit(&key, &result, &record).is_err() {
            return 0;
        }
        assert!(!wrong_key);
        let is_stopped = outcome == RunOutcome::Stopped;
        let is_paid = earned() > before;
        count("unpaid stop", is_stopped && !self.is_unwanted && seconds > 0 && !is_paid);
        count("paid stop", is_stopped && is_paid);
        count("paid", !is_stopped && is_paid);
        if is_stopped && !self.is_unwanted {
            return 0;
        }
        let of_record = Balance::from(seconds) * PRICE;
        let since_begun = Balance::from(Now::get() - run.begun_at) * PRICE;
        run.budget.min(of_record).min(since_begun)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, ..ProptestConfig::default() })]

    fn runs_are_paid_within_budget_and_record(
        schedule in kind(),
        is_native in any::<bool>(),
        steps in prop::collection::vec(step(), 1..100),
    ) {
        new_test_ext().execute_with(|| {
            let asset = if is_native { Asset::Native } else { DOLLAR };
            let mut model = Model::start(schedule, asset);
            for step in steps {
                let before = earned();
                let allowed = model.apply(step.clone());
                let paid = earned().saturating_sub(before);
                assert!(paid <= allowed, "{step:?} paid {paid}, at most {allowed} was due");
                count("paid in an asset", paid > 0 && !is_native);
                check_invariants();
            }
        });
    }
}

/// Invariants alone hold in a pallet that refuses all calls, too.
#[test]
fn random_calls_keep_the_invariants_and_succeed() {
    runs_are_paid_within_budget_and_record();
    let done = DONE.lock().unwrap();
    for name in [
        "activate",
        "begin",
        "begin of a cron",
        "begin once",
        "close",
        "forget",
        "lost",
        "missed",
        "missed of a cron",
        "paid",
        "paid in an asset",
        "paid stop",
        "recharge",
        "schedule",
        "second depositor",
        "settle",
        "stop",
        "terms",
        "unpaid stop",
        "update",
    ] {
        assert!(done.contains_key(name), "no call has come to `{name}`: {done:?}");
    }
}
