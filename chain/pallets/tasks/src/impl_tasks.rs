//! What publishers do with their tasks.

use crate::*;
use casemate_primitives::{
    task::PERIOD_SECONDS_MIN, Balance, DeploymentId, DeploymentKind, LeaseId, ManifestRef,
    Schedule, TaskTerms,
};
use frame_support::{
    ensure,
    traits::{fungible::hold::Mutate, tokens::Precision, Get, UnixTime},
};
use pallet_deployments::DeploymentRegistry;
use pallet_leases::LeaseRuns;
use sp_runtime::AccountId32;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_create(
        publisher: AccountId32,
        manifest: ManifestRef,
        schedule: Schedule,
        terms: TaskTerms,
    ) -> DispatchResult {
        ensure!(is_valid(&schedule), Error::<T>::ScheduleInvalid);
        ensure!(are_valid(&terms), Error::<T>::TermsInvalid);
        let deposit = T::Deposit::get();
        T::Currency::hold(&HoldReason::Task.into(), &publisher, deposit)?;
        let id = T::Deployments::create(&publisher, DeploymentKind::Task, manifest)?;
        let task = Task {
            publisher: publisher.clone(),
            schedule,
            since: Self::now(),
            last: None,
            last_begun: None,
            terms,
            lease: None,
            reserved: 0,
            runs: 0,
            open: 0,
            missed: 0,
            entries: 0,
            stopped_at: None,
            deposit,
        };
        Tasks::<T>::insert(id, task);
        ByPublisher::<T>::insert(&publisher, id, ());
        Self::deposit_event(Event::Created { task: id, publisher });
        Ok(())
    }

    pub(crate) fn do_set_schedule(
        who: AccountId32,
        id: DeploymentId,
        schedule: Schedule,
    ) -> DispatchResult {
        ensure!(is_valid(&schedule), Error::<T>::ScheduleInvalid);
        Self::try_mutate_own(&who, id, |task| {
            let now = Self::now();
            // What the old one has asked for in vain is not forgotten with it.
            if let Some(skipped) = Self::overdue(task, now) {
                Self::note_missed(id, task, skipped)?;
            }
            task.schedule = schedule;
            (task.since, task.last, task.last_begun) = (now, None, None);
            Ok(())
        })?;
        Self::deposit_event(Event::ScheduleSet { task: id });
        Ok(())
    }

    pub(crate) fn do_set_terms(
        who: AccountId32,
        id: DeploymentId,
        terms: TaskTerms,
    ) -> DispatchResult {
        ensure!(are_valid(&terms), Error::<T>::TermsInvalid);
        Self::try_mutate_own(&who, id, |task| {
            task.terms = terms;
            Ok(())
        })?;
        Self::deposit_event(Event::TermsSet { task: id, terms });
        Ok(())
    }

    pub(crate) fn do_stop(who: AccountId32, id: DeploymentId) -> DispatchResult {
        Self::try_mutate_own(&who, id, |task| {
            task.stopped_at = Some(Self::now());
            Ok(())
        })?;
        Self::deposit_event(Event::Stopped { task: id });
        Ok(())
    }

    pub(crate) fn do_recharge(
        who: AccountId32,
        id: DeploymentId,
        lease: LeaseId,
        amount: Balance,
    ) -> DispatchResult {
        let task = Tasks::<T>::get(id).ok_or(Error::<T>::NotFound)?;
        ensure!(task.publisher == who, Error::<T>::NotPublisher);
        let found = T::Leases::run_lease(lease).ok_or(Error::<T>::NoSuchLease)?;
        ensure!(found.deployment == id, Error::<T>::OtherTask);
        T::Leases::fund(who, lease, amount)
    }

    pub(crate) fn do_forget(who: AccountId32, id: DeploymentId) -> DispatchResult {
        let task = Tasks::<T>::get(id).ok_or(Error::<T>::NotFound)?;
        ensure!(task.publisher == who, Error::<T>::NotPublisher);
        ensure!(task.stopped_at.is_some(), Error::<T>::NotStopped);
        ensure!(task.open == 0, Error::<T>::RunsOpen);
        for at in 0..HISTORY_MAX {
            History::<T>::remove(id, at);
        }
        T::Currency::release(&HoldReason::Task.into(), &who, task.deposit, Precision::Exact)?;
        ByPublisher::<T>::remove(&who, id);
        Tasks::<T>::remove(id);
        Self::deposit_event(Event::Forgotten { task: id });
        Ok(())
    }

    /// Change a task that is `who`'s and was not stopped.
    fn try_mutate_own(
        who: &AccountId32,
        id: DeploymentId,
        f: impl FnOnce(&mut Task<AccountId32>) -> DispatchResult,
    ) -> DispatchResult {
        Tasks::<T>::try_mutate(id, |slot| {
            let task = slot.as_mut().ok_or(Error::<T>::NotFound)?;
            ensure!(task.publisher == *who, Error::<T>::NotPublisher);
            ensure!(task.stopped_at.is_none(), Error::<T>::Stopped);
            f(task)
        })
    }

    pub(crate) fn now() -> u64 {
        T::Time::now().as_secs()
    }
}

/// What the chain can tell of a schedule: it has no calendar.
fn is_valid(schedule: &Schedule) -> bool {
    let is_text = |bytes: &[u8]| {
        !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
    };
    match schedule {
        Schedule::Once { .. } => true,
        Schedule::Every { seconds } => *seconds >= PERIOD_SECONDS_MIN,
        Schedule::Cron { expression, time_zone, seconds_min } => {
            *seconds_min >= PERIOD_SECONDS_MIN && is_text(expression) && is_text(time_zone)
        }
    }
}

fn are_valid(terms: &TaskTerms) -> bool {
    let is_time = |seconds: u32| (1..=TERM_SECONDS_MAX).contains(&seconds);
    let is_budget = |budget: Balance| budget > 0;
    is_budget(terms.budget_per_run)
        && is_time(terms.deadline_seconds)
        && is_time(terms.start_seconds_max)
}
