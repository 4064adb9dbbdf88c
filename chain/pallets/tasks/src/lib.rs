#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
// FRAME's macros make public types without Debug.
#![allow(missing_debug_implementations)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod impl_runs;
mod impl_tasks;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod try_state;
mod types;
pub mod weights;

pub use pallet::*;
pub use types::{Entry, OpenRun, Task, HISTORY_MAX, RESULT_SECONDS, TERM_SECONDS_MAX};
pub use weights::WeightInfo;

use frame_support::pallet_prelude::*;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use casemate_primitives::{
        AgentSignature, Balance, DeploymentId, Hash256, LeaseId, ManifestRef, ReplicaIndex, RunId,
        RunOutcome, RunResult, Schedule, TaskTerms, UnixSeconds, UsageRecord,
    };
    use frame_support::traits::{fungible, UnixTime};
    use frame_system::pallet_prelude::*;
    use pallet_deployments::DeploymentRegistry;
    use pallet_leases::LeaseRuns;
    use sp_runtime::AccountId32;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config:
        frame_system::Config<RuntimeEvent: From<Event<Self>>, AccountId = AccountId32>
    {
        /// Holds the deposit.
        type Currency: fungible::Inspect<AccountId32, Balance = Balance>
            + fungible::hold::Mutate<AccountId32, Reason = Self::RuntimeHoldReason>;
        /// The composite hold reason of the runtime.
        type RuntimeHoldReason: From<HoldReason>;
        /// The chain's clock.
        type Time: UnixTime;
        /// Where tasks are created as deployments.
        type Deployments: DeploymentRegistry<AccountId32>;
        /// What runs are paid out of.
        type Leases: LeaseRuns<AccountId32>;
        /// Held for each task: its history costs the chain storage.
        #[pallet::constant]
        type Deposit: Get<Balance>;
        /// How far an agent's clock may differ from the chain's, in seconds.
        #[pallet::constant]
        type ClockSkewSecondsMax: Get<u64>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Why money is held.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// The deposit of a task.
        Task,
    }

    /// All tasks that are not forgotten.
    #[pallet::storage]
    pub type Tasks<T: Config> =
        StorageMap<_, Twox64Concat, DeploymentId, Task<AccountId32>, OptionQuery>;

    /// Tasks by publisher, so that a publisher reads its own only.
    #[pallet::storage]
    pub type ByPublisher<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        AccountId32,
        Twox64Concat,
        DeploymentId,
        (),
        OptionQuery,
    >;

    /// The run in each slot of a lease, if there is one.
    #[pallet::storage]
    pub type Open<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        LeaseId,
        Twox64Concat,
        ReplicaIndex,
        OpenRun,
        OptionQuery,
    >;

    /// The last entries of each task's history: entry `n` is at `n % HISTORY_MAX`.
    #[pallet::storage]
    pub type History<T: Config> =
        StorageDoubleMap<_, Twox64Concat, DeploymentId, Twox64Concat, u32, Entry, OptionQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A task was created.
        Created {
            /// Its deployment.
            task: DeploymentId,
            /// Its owner.
            publisher: AccountId32,
        },
        /// A run has begun.
        Begun {
            /// Of which task.
            task: DeploymentId,
            /// Its number.
            run: RunId,
            /// Under which lease.
            lease: LeaseId,
            /// In which slot.
            replica: ReplicaIndex,
            /// For when it was scheduled.
            scheduled_at: UnixSeconds,
        },
        /// A run has ended, and was paid for.
        Ended {
            /// Of which task.
            task: DeploymentId,
            /// Which.
            run: RunId,
            /// How.
            outcome: RunOutcome,
            /// What it was paid.
            paid: Balance,
        },
        /// A run has no result.
        Lost {
            /// Of which task.
            task: DeploymentId,
            /// Which.
            run: RunId,
        },
        /// Nothing was begun at scheduled times.
        Missed {
            /// Of which task.
            task: DeploymentId,
            /// How many.
            count: u64,
            /// The first.
            first: UnixSeconds,
            /// The last.
            last: UnixSeconds,
        },
        /// A task has another schedule.
        ScheduleSet {
            /// Which.
            task: DeploymentId,
        },
        /// Other terms hold for runs that begin from now on.
        TermsSet {
            /// Of which task.
            task: DeploymentId,
            /// Which.
            terms: TaskTerms,
        },
        /// A task begins no more runs.
        Stopped {
            /// Which.
            task: DeploymentId,
        },
        /// A stopped task is forgotten, its deposit free.
        Forgotten {
            /// Which.
            task: DeploymentId,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// There is no such task (any more).
        NotFound,
        /// The task belongs to another account.
        NotPublisher,
        /// Only the lease's provider may do this.
        NotProvider,
        /// There is no such lease of a task (any more).
        NoSuchLease,
        /// The lease is for another task.
        OtherTask,
        /// The lease is closed: no more runs begin under it.
        LeaseClosed,
        /// Another lease of the task runs it: close that one first.
        OtherLease,
        /// The lease has no such slot.
        NoSuchSlot,
        /// A run is in the slot: bring its result first.
        SlotBusy,
        /// The schedule has no run at this time, or one of that time or a later one was begun.
        NotScheduled,
        /// The scheduled time has not come.
        TooEarly,
        /// The run should have begun earlier: it is missed.
        TooLate,
        /// The lease's escrow is less than the budgets of its open runs and this one: recharge it.
        NotFunded,
        /// The task has other terms than those that the run is begun for: look at them anew.
        OtherTerms,
        /// The task has another manifest than the one that the run is begun with: look at it anew.
        OtherManifest,
        /// The task was stopped.
        Stopped,
        /// The task was not stopped.
        NotStopped,
        /// Runs have begun and not ended: wait for their results.
        RunsOpen,
        /// No run is in this slot.
        NotOpen,
        /// The result is of another run than the one in the slot.
        OtherRun,
        /// The time for the run's result is over.
        ResultTooLate,
        /// The run can still have a result.
        NotLost,
        /// The result says that the app was started before the run was begun, or ended in the future,
        /// or before it was started.
        ResultTimes,
        /// No agent of the slot was attested for the manifest that the run was begun with.
        NotAttested,
        /// The signature is not the slot's agent's over this result on this chain.
        ResultSignature,
        /// The record is not the one that the result names.
        OtherRecord,
        /// No scheduled time was missed.
        NothingMissed,
        /// The chain has no calendar: name the time that was missed.
        TimeNeeded,
        /// The period is too short, or the expression or the time zone is no text.
        ScheduleInvalid,
        /// The budget is zero, or a time is zero or too long.
        TermsInvalid,
        /// A counter has come to its end.
        Overflow,
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Create a task. It is run once a lease is opened for its deployment (`leases.open`).
        ///
        /// - `origin`: Signed by the publisher, which pays the deposits of task and deployment.
        /// - `manifest`: Hash and size; the content never comes on chain.
        #[pallet::call_index(0)]
        pub fn create(
            origin: OriginFor<T>,
            manifest: ManifestRef,
            schedule: Schedule,
            terms: TaskTerms,
        ) -> DispatchResult {
            Self::do_create(ensure_signed(origin)?, manifest, schedule, terms)
        }

        /// Begin the run of a scheduled time, in a free slot. What was skipped is recorded as missed.
        ///
        /// - `origin`: Signed by the lease's provider.
        /// - `terms`, `manifest_hash`: What the provider begins it for; refused where the task has
        ///   others by then.
        #[pallet::call_index(1)]
        pub fn begin(
            origin: OriginFor<T>,
            lease: LeaseId,
            replica: ReplicaIndex,
            scheduled_at: UnixSeconds,
            terms: TaskTerms,
            manifest_hash: Hash256,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_begin(who, lease, replica, scheduled_at, terms, manifest_hash)
        }

        /// End a run, and be paid for it.
        ///
        /// - `origin`: Signed by the lease's provider.
        /// - `result`, `signature`: What the run's agent says, and signs.
        /// - `record`, `record_signature`: The record that the result names.
        #[pallet::call_index(2)]
        pub fn submit_result(
            origin: OriginFor<T>,
            result: RunResult,
            signature: AgentSignature,
            record: UsageRecord,
            record_signature: AgentSignature,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_submit_result(who, result, signature, record, record_signature)
        }

        /// Record that nothing was begun at scheduled times, where it is too late for them now.
        ///
        /// - `origin`: Signed by anyone; of a `Cron`, by the publisher, or by the provider that has
        ///   begun its last run, as long as that lease is not closed.
        /// - `scheduled_at`: The missed time of a `Cron`; the chain knows the others itself.
        #[pallet::call_index(3)]
        pub fn record_missed(
            origin: OriginFor<T>,
            task: DeploymentId,
            scheduled_at: Option<UnixSeconds>,
        ) -> DispatchResult {
            Self::do_record_missed(ensure_signed(origin)?, task, scheduled_at)
        }

        /// Record that a run has no result and can't have one any more. Its slot is free then.
        ///
        /// - `origin`: Signed by anyone.
        #[pallet::call_index(4)]
        pub fn record_lost(
            origin: OriginFor<T>,
            lease: LeaseId,
            replica: ReplicaIndex,
        ) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_record_lost(lease, replica)
        }

        /// Replace the schedule, from now on.
        ///
        /// - `origin`: Signed by the publisher.
        #[pallet::call_index(5)]
        pub fn set_schedule(
            origin: OriginFor<T>,
            task: DeploymentId,
            schedule: Schedule,
        ) -> DispatchResult {
            Self::do_set_schedule(ensure_signed(origin)?, task, schedule)
        }

        /// Replace the terms of runs that begin from now on.
        ///
        /// - `origin`: Signed by the publisher.
        #[pallet::call_index(6)]
        pub fn set_terms(
            origin: OriginFor<T>,
            task: DeploymentId,
            terms: TaskTerms,
        ) -> DispatchResult {
            Self::do_set_terms(ensure_signed(origin)?, task, terms)
        }

        /// Begin no more runs. Open ones are asked to end, and are paid for what they have done.
        ///
        /// - `origin`: Signed by the publisher.
        #[pallet::call_index(7)]
        pub fn stop(origin: OriginFor<T>, task: DeploymentId) -> DispatchResult {
            Self::do_stop(ensure_signed(origin)?, task)
        }

        /// Lock more money for the runs of a lease.
        ///
        /// - `origin`: Signed by the publisher.
        #[pallet::call_index(8)]
        pub fn recharge(
            origin: OriginFor<T>,
            task: DeploymentId,
            lease: LeaseId,
            amount: Balance,
        ) -> DispatchResult {
            Self::do_recharge(ensure_signed(origin)?, task, lease, amount)
        }

        /// Forget a stopped task, its history too, and have the deposit back.
        ///
        /// - `origin`: Signed by the publisher.
        #[pallet::call_index(9)]
        pub fn forget(origin: OriginFor<T>, task: DeploymentId) -> DispatchResult {
            Self::do_forget(ensure_signed(origin)?, task)
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }
}
