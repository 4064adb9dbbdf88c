//! Runs: begun, ended, lost, missed.

use crate::*;
use casemate_primitives::{
    task::Skipped, AgentSignature, DeploymentId, EndReason, Hash256, LeaseId, ReplicaIndex, RunId,
    RunOutcome, RunResult, Schedule, TaskTerms, UnixSeconds, UsageRecord,
};
use frame_support::{ensure, traits::Get};
use pallet_attestation::genesis_hash;
use pallet_deployments::DeploymentRegistry;
use pallet_leases::{LeaseRuns, OpenRuns, RunClaim, RunLease, RunManifest};
use sp_core::ed25519;
use sp_runtime::AccountId32;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_begin(
        who: AccountId32,
        lease_id: LeaseId,
        replica: ReplicaIndex,
        scheduled_at: UnixSeconds,
        terms: TaskTerms,
        manifest_hash: Hash256,
    ) -> DispatchResult {
        let now = Self::now();
        let lease = T::Leases::run_lease(lease_id).ok_or(Error::<T>::NoSuchLease)?;
        ensure!(lease.provider == who, Error::<T>::NotProvider);
        ensure!(lease.closed.is_none(), Error::<T>::LeaseClosed);
        ensure!(replica < lease.replicas, Error::<T>::NoSuchSlot);
        ensure!(!Open::<T>::contains_key(lease_id, replica), Error::<T>::SlotBusy);
        let id = lease.deployment;
        let mut task = Tasks::<T>::get(id).ok_or(Error::<T>::NotFound)?;
        ensure!(task.stopped_at.is_none(), Error::<T>::Stopped);
        // The publisher may have changed both a block ago: nobody works for what it has not seen.
        ensure!(task.terms == terms, Error::<T>::OtherTerms);
        let manifest = T::Deployments::manifest(&task.publisher, id)?;
        ensure!(manifest.hash == manifest_hash, Error::<T>::OtherManifest);
        let version = T::Deployments::version(id).ok_or(Error::<T>::NotFound)?;
        let other = task.lease.filter(|other| *other != lease_id);
        let is_taken =
            other.and_then(T::Leases::run_lease).is_some_and(|other| other.closed.is_none());
        ensure!(!is_taken, Error::<T>::OtherLease);
        let is_next = task.schedule.allows(task.since, task.last_begun, scheduled_at)
            && task.last.is_none_or(|last| scheduled_at > last);
        ensure!(is_next, Error::<T>::NotScheduled);
        ensure!(scheduled_at <= now, Error::<T>::TooEarly);
        let latest = scheduled_at.saturating_add(task.terms.start_seconds_max.into());
        ensure!(now <= latest, Error::<T>::TooLate);
        // Of another lease's runs nothing is paid out of this one.
        let reserved = if task.lease == Some(lease_id) { task.reserved } else { 0 };
        let reserved = reserved.checked_add(terms.budget_per_run).ok_or(Error::<T>::Overflow)?;
        ensure!(lease.escrow >= reserved, Error::<T>::NotFunded);

        if let Some(skipped) = task.schedule.skipped(task.since, task.last, scheduled_at) {
            Self::note_missed(id, &mut task, skipped)?;
        }
        task.runs = task.runs.checked_add(1).ok_or(Error::<T>::Overflow)?;
        task.open = task.open.checked_add(1).ok_or(Error::<T>::Overflow)?;
        (task.last, task.last_begun) = (Some(scheduled_at), Some(scheduled_at));
        (task.lease, task.reserved) = (Some(lease_id), reserved);
        let run = RunId(task.runs);
        let until =
            now.saturating_add(terms.deadline_seconds.into()).saturating_add(RESULT_SECONDS);
        let open = OpenRun {
            deployment: id,
            run,
            scheduled_at,
            begun_at: now,
            budget: terms.budget_per_run,
            until,
            manifest_hash,
            version,
        };
        Open::<T>::insert(lease_id, replica, open);
        Tasks::<T>::insert(id, task);
        Self::deposit_event(Event::Begun { task: id, run, lease: lease_id, replica, scheduled_at });
        Ok(())
    }

    pub(crate) fn do_submit_result(
        who: AccountId32,
        result: RunResult,
        signature: AgentSignature,
        record: UsageRecord,
        record_signature: AgentSignature,
    ) -> DispatchResult {
        let now = Self::now();
        let RunResult { lease: lease_id, replica, run, outcome, .. } = result;
        let open = Open::<T>::get(lease_id, replica).ok_or(Error::<T>::NotOpen)?;
        let is_same = (open.run, open.scheduled_at) == (run, result.scheduled_at);
        ensure!(is_same, Error::<T>::OtherRun);
        let lease = T::Leases::run_lease(lease_id).ok_or(Error::<T>::NoSuchLease)?;
        ensure!(lease.provider == who, Error::<T>::NotProvider);
        ensure!(now <= open.until, Error::<T>::ResultTooLate);
        let skew = T::ClockSkewSecondsMax::get();
        let is_in_time = result.started_at.saturating_add(skew) >= open.begun_at
            && result.started_at <= result.ended_at
            && result.ended_at <= now.saturating_add(skew);
        ensure!(is_in_time, Error::<T>::ResultTimes);
        let key = T::Leases::agent_key(lease_id, replica, open.version);
        let key = key.ok_or(Error::<T>::NotAttested)?;
        let payload = result.signing_payload(&genesis_hash::<T>());
        let is_signed = sp_io::crypto::ed25519_verify(
            &ed25519::Signature::from_raw(signature),
            &payload,
            &ed25519::Public::from_raw(key),
        );
        ensure!(is_signed, Error::<T>::ResultSignature);
        ensure!(result.closes_with(&record), Error::<T>::OtherRecord);

        let id = open.deployment;
        let mut task = Tasks::<T>::get(id).ok_or(Error::<T>::NotFound)?;
        let is_paid = outcome != RunOutcome::Stopped
            || stopped_by_publisher(&task, &lease)
                .is_some_and(|at| at <= result.ended_at.saturating_add(skew));
        // What was stopped by nobody's wish is checked like all else, and paid nothing.
        let budget = if is_paid { open.budget } else { 0 };
        let claim = RunClaim { since: open.begun_at, budget };
        let paid = T::Leases::claim_run(who, record, record_signature, claim)?;

        Self::close_run(&mut task, lease_id, replica, &open);
        let begun_at = open.begun_at;
        Self::note(id, &mut task, Entry::Ended { result, key, signature, begun_at, paid })?;
        Tasks::<T>::insert(id, task);
        Self::deposit_event(Event::Ended { task: id, run, outcome, paid });
        Ok(())
    }

    pub(crate) fn do_record_missed(
        who: AccountId32,
        id: DeploymentId,
        scheduled_at: Option<UnixSeconds>,
    ) -> DispatchResult {
        let now = Self::now();
        Tasks::<T>::try_mutate(id, |slot| {
            let task = slot.as_mut().ok_or(Error::<T>::NotFound)?;
            ensure!(task.stopped_at.is_none(), Error::<T>::Stopped);
            let skipped = if let Schedule::Cron { .. } = task.schedule {
                let at = scheduled_at.ok_or(Error::<T>::TimeNeeded)?;
                let lease = task.lease.and_then(T::Leases::run_lease);
                // Of a provider whose lease is closed, the task is no business any more.
                let is_providers =
                    lease.is_some_and(|lease| lease.provider == who && lease.closed.is_none());
                let is_side = task.publisher == who || is_providers;
                ensure!(is_side, Error::<T>::NotPublisher);
                let is_next = task.schedule.allows(task.since, task.last, at);
                ensure!(is_next, Error::<T>::NotScheduled);
                let latest = at.saturating_add(task.terms.start_seconds_max.into());
                ensure!(latest < now, Error::<T>::NothingMissed);
                Skipped { count: 1, first: at, last: at }
            } else {
                Self::overdue(task, now).ok_or(Error::<T>::NothingMissed)?
            };
            Self::note_missed(id, task, skipped)
        })
    }

    pub(crate) fn do_record_lost(lease_id: LeaseId, replica: ReplicaIndex) -> DispatchResult {
        let open = Open::<T>::get(lease_id, replica).ok_or(Error::<T>::NotOpen)?;
        // Of an ended lease nothing can be claimed any more.
        let is_over = T::Leases::run_lease(lease_id).is_none_or(|lease| lease.is_ended);
        ensure!(is_over || Self::now() > open.until, Error::<T>::NotLost);
        let OpenRun { deployment: id, run, scheduled_at, .. } = open;
        let mut task = Tasks::<T>::get(id).ok_or(Error::<T>::NotFound)?;
        Self::close_run(&mut task, lease_id, replica, &open);
        Self::note(id, &mut task, Entry::Lost { run, lease: lease_id, scheduled_at })?;
        Tasks::<T>::insert(id, task);
        Self::deposit_event(Event::Lost { task: id, run });
        Ok(())
    }

    /// Scheduled times for which it is too late at `now`, as far as the chain can tell.
    pub(crate) fn overdue(task: &Task<AccountId32>, now: UnixSeconds) -> Option<Skipped> {
        let before = now.checked_sub(task.terms.start_seconds_max.into())?;
        task.schedule.skipped(task.since, task.last, before)
    }

    /// Writes missed times into the history; the schedule goes on after them.
    pub(crate) fn note_missed(
        id: DeploymentId,
        task: &mut Task<AccountId32>,
        skipped: Skipped,
    ) -> DispatchResult {
        let Skipped { count, first, last } = skipped;
        task.missed = task.missed.saturating_add(count);
        let newest = task.entries.checked_sub(1).and_then(place);
        let before = newest.and_then(|at| Some((at, History::<T>::get(id, at)?)));
        let told = task.last.replace(last);
        match before {
            // Misses that follow each other are one entry, so that they push no results out.
            Some((at, Entry::Missed { count: before, first, last: newest }))
                if told == Some(newest) =>
            {
                let count = before.saturating_add(count);
                History::<T>::insert(id, at, Entry::Missed { count, first, last });
            }
            _ => Self::note(id, task, Entry::Missed { count, first, last })?,
        }
        Self::deposit_event(Event::Missed { task: id, count, first, last });
        Ok(())
    }

    fn note(id: DeploymentId, task: &mut Task<AccountId32>, entry: Entry) -> DispatchResult {
        let at = place(task.entries).ok_or(Error::<T>::Overflow)?;
        History::<T>::insert(id, at, entry);
        task.entries = task.entries.checked_add(1).ok_or(Error::<T>::Overflow)?;
        Ok(())
    }

    /// Frees the slot of a run that has ended or is lost, and its budget.
    fn close_run(
        task: &mut Task<AccountId32>,
        lease: LeaseId,
        replica: ReplicaIndex,
        run: &OpenRun,
    ) {
        Open::<T>::remove(lease, replica);
        task.open = task.open.saturating_sub(1);
        if task.lease == Some(lease) {
            task.reserved = task.reserved.saturating_sub(run.budget);
        }
    }
}

impl<T: Config> OpenRuns for Pallet<T> {
    fn manifest(lease: LeaseId, replica: ReplicaIndex) -> Option<RunManifest> {
        let OpenRun { manifest_hash: hash, version, .. } = Open::<T>::get(lease, replica)?;
        Some(RunManifest { hash, version })
    }
}

/// Where an entry is in the ring of a history.
fn place(entry: u64) -> Option<u32> {
    u32::try_from(entry.checked_rem(HISTORY_MAX.into())?).ok()
}

/// Since when the publisher has wanted no more of a task, or of this lease of it.
fn stopped_by_publisher(
    task: &Task<AccountId32>,
    lease: &RunLease<AccountId32>,
) -> Option<UnixSeconds> {
    let closed = lease.closed.filter(|(_, reason)| *reason == EndReason::Stopped);
    task.stopped_at.into_iter().chain(closed.map(|(at, _)| at)).min()
}
