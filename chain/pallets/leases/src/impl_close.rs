//! The end of a lease: close, then settle.

use crate::*;
use casemate_primitives::{LeaseId, REPLICAS_MAX};
use frame_support::{
    ensure,
    traits::{fungible::hold::Mutate, tokens::Precision, Defensive},
};
use pallet_attestation::AttestedKeys;
use pallet_deployments::DeploymentRegistry;
use pallet_providers::ProviderRegistry;
use sp_runtime::AccountId32;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_close(who: AccountId32, id: LeaseId) -> DispatchResult {
        let now = Self::now();
        let mut lease = Leases::<T>::get(id).ok_or(Error::<T>::NotFound)?;
        ensure!(!matches!(lease.state, LeaseState::Closing { .. }), Error::<T>::Closing);
        let a_side = who == lease.publisher || who == lease.provider;
        ensure!(a_side || lease.is_out_of_funds(now), Error::<T>::StillFunded);

        let never_ran = lease.state == LeaseState::Pending;
        let notice = if never_ran { 0 } else { u64::from(lease.terms.notice_seconds) };
        let until = now.saturating_add(notice);
        lease.state = LeaseState::Closing { at: now, until };
        Self::deposit_event(Event::Closed { lease: id, by: who, at: now, until });
        if never_ran {
            // No agent, so no record can come: nothing to wait for.
            return Self::give_back(id, lease);
        }
        Leases::<T>::insert(id, lease);
        Ok(())
    }

    pub(crate) fn do_settle(who: AccountId32, id: LeaseId) -> DispatchResult {
        let lease = Leases::<T>::get(id).ok_or(Error::<T>::NotFound)?;
        let LeaseState::Closing { until, .. } = lease.state else {
            return Err(Error::<T>::NotClosing.into());
        };
        ensure!(who == lease.provider || Self::now() >= until, Error::<T>::NoticeRunning);
        Self::give_back(id, lease)
    }

    fn give_back(id: LeaseId, lease: Lease) -> DispatchResult {
        let Lease { deployment, publisher, provider, escrow, paid, .. } = &lease;
        let refunded = *escrow;
        T::Currency::release(&HoldReason::Escrow.into(), publisher, refunded, Precision::Exact)?;
        if let Some(resources) =
            lease.resources_total().defensive_proof("was computed when the lease was opened")
        {
            T::Providers::release(provider, &resources);
        }
        T::Deployments::lease_settled(*deployment);
        // Bounded: a lease has at most this many replicas.
        let _ = Agents::<T>::clear_prefix(id, REPLICAS_MAX.into(), None);
        T::Attestation::forget(id);
        ByProvider::<T>::remove(provider, id);
        ByPublisher::<T>::remove(publisher, id);
        Leases::<T>::remove(id);
        Self::deposit_event(Event::Settled { lease: id, paid: *paid, refunded });
        Ok(())
    }
}
