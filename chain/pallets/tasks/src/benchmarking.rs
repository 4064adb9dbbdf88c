//! Benchmarks of every call at its worst case: missed times are written too, results are signed and
//! have all artefacts.

use super::*;
use casemate_primitives::{
    task::{Artefact, ARTEFACTS_MAX, CRON_BYTES_MAX, TIME_ZONE_BYTES_MAX},
    AgentPublicKey, AgentSignature, Balance, DeploymentId, LeaseId, ManifestRef, ReplicaIndex,
    RunId, RunOutcome, RunResult, Schedule, TaskTerms, UsageRecord, CASE, MANIFEST_SIZE_MAX,
};
use frame_benchmarking::v2::*;
use frame_support::{
    storage::{storage_prefix, unhashed},
    traits::{fungible::Mutate, Get},
    BoundedVec,
};
use frame_system::RawOrigin;
use pallet_attestation::genesis_hash;
use pallet_leases::LeaseRuns;
use sp_core::{crypto::KeyTypeId, ed25519};
use sp_runtime::AccountId32;

/// Of the keys that benchmarks make, in a key store that only they see.
const KEY_TYPE: KeyTypeId = KeyTypeId(*b"case");
const MANIFEST: ManifestRef = ManifestRef { hash: [7; 32], size: MANIFEST_SIZE_MAX };
const TERMS: TaskTerms =
    TaskTerms { budget_per_run: 1, deadline_seconds: 60, start_seconds_max: 60 };
const EVERY: Schedule = Schedule::Every { seconds: 100 };

/// Sets the runtime's clock (`pallet-timestamp` has no trait for it). A mock has a clock of its own.
fn set_clock() {
    unhashed::put(&storage_prefix(b"Timestamp", b"Now"), &1_800_000_000_000_u64);
}

/// A schedule of the largest size.
fn longest() -> Schedule {
    Schedule::Cron {
        expression: BoundedVec::truncate_from(alloc::vec![b'*'; CRON_BYTES_MAX as usize]),
        time_zone: BoundedVec::truncate_from(alloc::vec![b'Z'; TIME_ZONE_BYTES_MAX as usize]),
        seconds_min: 60,
    }
}

/// Two sides with money.
fn sides<T: Config>() -> (AccountId32, AccountId32)
where
    T::Currency: Mutate<AccountId32>,
{
    set_clock();
    let [publisher, provider] = ["publisher", "provider"].map(|name| account(name, 0, 0));
    for who in [&publisher, &provider] {
        T::Currency::set_balance(who, T::Deposit::get().saturating_mul(8) + 1_000 * CASE);
    }
    (publisher, provider)
}

/// A task whose schedule was set long ago, its lease, and a slot with an agent of this key.
struct Made {
    publisher: AccountId32,
    provider: AccountId32,
    task: DeploymentId,
    lease: LeaseId,
    slot: ReplicaIndex,
    /// The newest scheduled time.
    at: u64,
}

impl Made {
    fn begin<T: Config>(&self) -> DispatchResult {
        let provider = self.provider.clone();
        let hash = MANIFEST.hash;
        Pallet::<T>::do_begin(provider, self.lease, self.slot, self.at, TERMS, hash)
    }
}

fn made<T: Config>(key: AgentPublicKey) -> Result<Made, BenchmarkError>
where
    T::Currency: Mutate<AccountId32>,
{
    let (publisher, provider) = sides::<T>();
    Pallet::<T>::do_create(publisher.clone(), MANIFEST, EVERY, TERMS)?;
    let task = ByPublisher::<T>::iter_key_prefix(&publisher)
        .next()
        .ok_or(BenchmarkError::Stop("the task was created"))?;
    let (lease, slot) = T::Leases::benchmark_run_lease(&publisher, &provider, task, key);
    let at = Pallet::<T>::now();
    Tasks::<T>::mutate(task, |found| {
        if let Some(found) = found {
            found.since = at.saturating_sub(1_000);
            found.lease = Some(lease);
            // The newest entry is read, and not one that is gone on with.
            found.entries = 1;
        }
    });
    let entry = Entry::Lost { run: RunId(0), lease, scheduled_at: 0 };
    History::<T>::insert(task, 0, entry);
    Ok(Made { publisher, provider, task, lease, slot, at })
}

/// The origin of the call. Its account is read and written with every transaction, so that the call's
/// weight leaves it out.
fn signed<T: Config>(who: AccountId32) -> RawOrigin<AccountId32> {
    whitelist_account!(who);
    RawOrigin::Signed(who)
}

fn by_agent(key: &ed25519::Public, payload: &[u8]) -> Result<AgentSignature, BenchmarkError> {
    sp_io::crypto::ed25519_sign(KEY_TYPE, key, payload)
        .map(|signature| signature.0)
        .ok_or(BenchmarkError::Stop("the key store has the key"))
}

#[benchmarks(where T::Currency: Mutate<AccountId32>)]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn create() {
        let (publisher, _) = sides::<T>();
        let origin = signed::<T>(publisher.clone());

        #[extrinsic_call]
        _(origin, MANIFEST, longest(), TERMS);

        assert_eq!(ByPublisher::<T>::iter_prefix(publisher).count(), 1);
    }

    #[benchmark]
    fn begin() -> Result<(), BenchmarkError> {
        let made = made::<T>([1; 32])?;
        let origin = signed::<T>(made.provider);

        #[extrinsic_call]
        _(origin, made.lease, made.slot, made.at, TERMS, MANIFEST.hash);

        assert!(Open::<T>::contains_key(made.lease, made.slot));
        Ok(())
    }

    #[benchmark]
    fn submit_result() -> Result<(), BenchmarkError> {
        let key = sp_io::crypto::ed25519_generate(KEY_TYPE, None);
        let made = made::<T>(key.0)?;
        made.begin::<T>()?;
        let last = UsageRecord {
            lease: made.lease,
            replica: made.slot,
            sequence: 1,
            from: made.at,
            to: made.at,
            ..Default::default()
        };
        let artefact = Artefact { name: [1; 32], content: [2; 32] };
        let result = RunResult {
            lease: made.lease,
            replica: made.slot,
            run: RunId(1),
            scheduled_at: made.at,
            started_at: made.at,
            ended_at: made.at,
            tries: 1,
            outcome: RunOutcome::Exited(0),
            output_hash: [3; 32],
            log: Default::default(),
            artefacts: BoundedVec::truncate_from(alloc::vec![artefact; ARTEFACTS_MAX as usize]),
            last_record: last.hash(),
        };
        let genesis = genesis_hash::<T>();
        let of_result = by_agent(&key, &result.signing_payload(&genesis))?;
        let of_record = by_agent(&key, &last.signing_payload(&genesis))?;
        let origin = signed::<T>(made.provider);

        #[extrinsic_call]
        _(origin, result, of_result, last, of_record);

        assert!(!Open::<T>::contains_key(made.lease, made.slot));
        Ok(())
    }

    #[benchmark]
    fn record_missed() -> Result<(), BenchmarkError> {
        let made = made::<T>([1; 32])?;
        let origin = signed::<T>(account("anyone", 0, 0));

        #[extrinsic_call]
        _(origin, made.task, None);

        assert!(Tasks::<T>::get(made.task).is_some_and(|found| found.missed > 0));
        Ok(())
    }

    #[benchmark]
    fn record_lost() -> Result<(), BenchmarkError> {
        let made = made::<T>([1; 32])?;
        made.begin::<T>()?;
        Open::<T>::mutate(made.lease, made.slot, |found| {
            if let Some(found) = found {
                found.until = 0;
            }
        });
        let origin = signed::<T>(account("anyone", 0, 0));

        #[extrinsic_call]
        _(origin, made.lease, made.slot);

        assert!(!Open::<T>::contains_key(made.lease, made.slot));
        Ok(())
    }

    #[benchmark]
    fn set_schedule() -> Result<(), BenchmarkError> {
        let made = made::<T>([1; 32])?;
        let origin = signed::<T>(made.publisher);

        #[extrinsic_call]
        _(origin, made.task, longest());

        assert!(Tasks::<T>::get(made.task).is_some_and(|found| found.schedule == longest()));
        Ok(())
    }

    #[benchmark]
    fn set_terms() -> Result<(), BenchmarkError> {
        let made = made::<T>([1; 32])?;
        let terms = TaskTerms { budget_per_run: Balance::MAX, ..TERMS };
        let origin = signed::<T>(made.publisher);

        #[extrinsic_call]
        _(origin, made.task, terms);

        assert!(Tasks::<T>::get(made.task).is_some_and(|found| found.terms == terms));
        Ok(())
    }

    #[benchmark]
    fn stop() -> Result<(), BenchmarkError> {
        let made = made::<T>([1; 32])?;
        let origin = signed::<T>(made.publisher);

        #[extrinsic_call]
        _(origin, made.task);

        assert!(Tasks::<T>::get(made.task).is_some_and(|found| found.stopped_at.is_some()));
        Ok(())
    }

    #[benchmark]
    fn recharge() -> Result<(), BenchmarkError> {
        let made = made::<T>([1; 32])?;
        let origin = signed::<T>(made.publisher);

        #[extrinsic_call]
        _(origin, made.task, made.lease, CASE);

        Ok(())
    }

    #[benchmark]
    fn forget() -> Result<(), BenchmarkError> {
        let made = made::<T>([1; 32])?;
        for at in 0..HISTORY_MAX {
            History::<T>::insert(made.task, at, Entry::Missed { count: 1, first: 0, last: 0 });
        }
        Tasks::<T>::mutate(made.task, |found| {
            if let Some(found) = found {
                found.stopped_at = Some(made.at);
                found.entries = HISTORY_MAX.into();
            }
        });
        let origin = signed::<T>(made.publisher);

        #[extrinsic_call]
        _(origin, made.task);

        assert!(!Tasks::<T>::contains_key(made.task));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
