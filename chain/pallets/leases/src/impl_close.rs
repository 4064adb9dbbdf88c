//! The end of a lease: close, settle, forget.

use crate::*;
use casemate_primitives::{EndReason, LeaseId, UnixSeconds, REPLICAS_MAX};
use frame_support::{
    ensure,
    traits::{Defensive, Get},
};
use pallet_attestation::AttestedKeys;
use pallet_deployments::DeploymentRegistry;
use pallet_providers::{ProviderRegistry, ProviderStake, Slashed};
use sp_runtime::AccountId32;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_close(who: AccountId32, id: LeaseId) -> DispatchResult {
        let now = Self::now();
        let lease = Leases::<T>::get(id).ok_or(Error::<T>::NotFound)?;
        ensure!(!lease.is_over(), Error::<T>::Closing);
        let reason = if Self::has_ended(&lease) {
            EndReason::AppEnded
        } else if who == lease.publisher || Self::is_spender(id, &who) {
            EndReason::Stopped
        } else if lease.is_out_of_funds(now) {
            EndReason::OutOfFunds
        } else if lease.is_forsaken(T::TermSecondsMax::get(), now) {
            // Whose fault it is nobody knows: no silence was agreed.
            EndReason::NeverStarted
        } else {
            ensure!(who == lease.provider, Error::<T>::StillFunded);
            match lease.state {
                LeaseState::Pending => EndReason::NeverStarted,
                _ => {
                    let notice = u64::from(lease.terms.reclaim_seconds);
                    let from = lease.reclaim_at.or((notice == 0).then_some(now));
                    ensure!(from.is_some_and(|from| from <= now), Error::<T>::ReclaimNotice);
                    EndReason::Reclaimed
                }
            }
        };
        Self::end(id, lease, who, now, reason)
    }

    pub(crate) fn do_evict(who: AccountId32, id: LeaseId) -> DispatchResult {
        let now = Self::now();
        let lease = Leases::<T>::get(id).ok_or(Error::<T>::NotFound)?;
        ensure!(!lease.is_over(), Error::<T>::Closing);
        // Nothing can be claimed of apps that have ended: anyone may close that lease.
        ensure!(lease.is_silent(now) && !Self::has_ended(&lease), Error::<T>::NotSilent);
        let (penalty, reason) = Self::silence(id, &lease).ok_or(Error::<T>::Overflow)?;
        // Half of it makes up to the publisher for the outage; the rest is burnt, so that nobody gains
        // by failing a lease of its own.
        let slashed = T::Providers::slash(&lease.provider, penalty, &lease.publisher, penalty / 2);
        let Slashed { amount, rewarded } = slashed;
        Self::deposit_event(Event::ProviderSlashed { lease: id, amount, rewarded });
        Self::end(id, lease, who, now, reason)
    }

    pub(crate) fn do_give_notice(who: AccountId32, id: LeaseId) -> DispatchResult {
        let at = Self::try_mutate_open(id, |lease| {
            ensure!(lease.provider == who, Error::<T>::NotProvider);
            ensure!(lease.reclaim_at.is_none(), Error::<T>::NoticeGiven);
            let at = Self::now().saturating_add(lease.terms.reclaim_seconds.into());
            lease.reclaim_at = Some(at);
            Ok(at)
        })?;
        Self::deposit_event(Event::NoticeGiven { lease: id, at });
        Ok(())
    }

    /// Closes a lease. What is used after `now` is not paid.
    pub(crate) fn end(
        id: LeaseId,
        mut lease: Lease,
        by: AccountId32,
        now: UnixSeconds,
        reason: EndReason,
    ) -> DispatchResult {
        let never_ran = lease.state == LeaseState::Pending;
        // No agent, so no record can come; and none that would be believed after misconduct.
        let takes_records = !never_ran && reason != EndReason::Misconduct;
        let notice = if takes_records { u64::from(lease.terms.notice_seconds) } else { 0 };
        let until = now.saturating_add(notice);
        lease.state = LeaseState::Closing { at: now, until, reason };
        let lived = now.saturating_sub(lease.opened_at);
        T::Observer::ended(&lease.publisher, &lease.provider, reason, lived);
        Self::deposit_event(Event::Closed { lease: id, by, at: now, until, reason });
        if takes_records {
            Leases::<T>::insert(id, lease);
            return Ok(());
        }
        Self::give_back(id, lease, now, reason)
    }

    pub(crate) fn do_settle(who: AccountId32, id: LeaseId) -> DispatchResult {
        let lease = Leases::<T>::get(id).ok_or(Error::<T>::NotFound)?;
        let LeaseState::Closing { at, until, reason } = lease.state else {
            return Err(Error::<T>::NotClosing.into());
        };
        ensure!(who == lease.provider || Self::now() >= until, Error::<T>::NoticeRunning);
        Self::give_back(id, lease, at, reason)
    }

    /// Gives the unspent rest back, and all that a live lease takes.
    fn give_back(
        id: LeaseId,
        mut lease: Lease,
        at: UnixSeconds,
        reason: EndReason,
    ) -> DispatchResult {
        // What can't be given back now (the asset is frozen) stays held; it must keep neither the
        // provider's capacity nor the lease's end.
        let refunded = Self::give_escrow_back(id, &mut lease).unwrap_or(0);
        if let Some(resources) =
            lease.resources_total().defensive_proof("was computed when the lease was opened")
        {
            T::Providers::release(&lease.provider, &resources);
        }
        T::Deployments::lease_settled(lease.deployment);
        T::Attestation::forget(id);
        lease.state = LeaseState::Ended { at, reason };
        lease.mature(Self::now());
        Self::deposit_event(Event::Settled { lease: id, paid: lease.earned(), refunded });
        // What can't be paid out now stays due; it must not keep the publisher's rest.
        let _ = frame_support::storage::with_storage_layer(|| Self::pay_out(id, &mut lease));
        if Self::is_done(id, &lease) {
            Self::remove(id, &lease);
        } else {
            Leases::<T>::insert(id, lease);
        }
        Ok(())
    }

    pub(crate) fn do_forget(id: LeaseId) -> DispatchResult {
        let mut lease = Leases::<T>::get(id).ok_or(Error::<T>::NotFound)?;
        ensure!(matches!(lease.state, LeaseState::Ended { .. }), Error::<T>::NotEnded);
        lease.mature(Self::now());
        Self::refund(id, &mut lease)?;
        Self::pay_out(id, &mut lease)?;
        ensure!(Self::is_done(id, &lease), Error::<T>::StillNeeded);
        Self::remove(id, &lease);
        Ok(())
    }

    /// Whether nothing of an ended lease is needed any more.
    fn is_done(id: LeaseId, lease: &Lease) -> bool {
        let LeaseState::Ended { at, .. } = lease.state else { return false };
        let never_ran = Agents::<T>::iter_key_prefix(id).next().is_none();
        let kept_until = at.saturating_add(lease.terms.retention_seconds.into());
        lease.held() == 0 && lease.contest.is_none() && (never_ran || Self::now() >= kept_until)
    }

    fn remove(id: LeaseId, lease: &Lease) {
        // Bounded: a lease has at most this many replicas.
        let _ = Agents::<T>::clear_prefix(id, REPLICAS_MAX.into(), None);
        ByProvider::<T>::remove(&lease.provider, id);
        ByPublisher::<T>::remove(&lease.publisher, id);
        Spenders::<T>::remove(id);
        Leases::<T>::remove(id);
        Self::deposit_event(Event::Forgotten { lease: id });
    }
}
