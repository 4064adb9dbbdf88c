//! Paying for a usage record.

use crate::*;
use casemate_primitives::{AgentSignature, Balance, LeaseTerms, Quantities, UsageRecord};
use frame_support::{
    ensure,
    traits::{
        fungible::hold::Mutate,
        tokens::{Fortitude, Precision, Restriction},
    },
};
use pallet_attestation::{genesis_hash, AttestedKeys};
use sp_core::ed25519;
use sp_runtime::AccountId32;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_claim(
        who: AccountId32,
        record: UsageRecord,
        signature: AgentSignature,
    ) -> DispatchResult {
        let now = Self::now();
        let mut lease = Leases::<T>::get(record.lease).ok_or(Error::<T>::NotFound)?;
        ensure!(lease.provider == who, Error::<T>::NotProvider);
        let mut agent =
            Agents::<T>::get(record.lease, record.replica).ok_or(Error::<T>::NotActivated)?;
        let payload = record.signing_payload(&genesis_hash::<T>());
        let (key, signature) =
            (ed25519::Public::from_raw(agent.key), ed25519::Signature::from_raw(signature));
        ensure!(
            sp_io::crypto::ed25519_verify(&signature, &payload, &key),
            Error::<T>::RecordSignature
        );
        // The last records of a closing lease may come after the pod has gone and its evidence can
        // not be renewed, but they end before the evidence does.
        let counts_until = T::Attestation::counts_until(record.lease, record.replica, &agent.key)
            .ok_or(Error::<T>::NotAttested)?;
        ensure!(record.to <= counts_until, Error::<T>::RecordBeyondAttestation);
        ensure!(record.sequence > agent.sequence, Error::<T>::RecordOld);
        ensure!(record.from <= record.to, Error::<T>::RecordOverlap);
        let first = agent.sequence == 0;
        // Before the first claim of a key, its span may reach back over what an agent before it
        // was paid for (both ran during an update); only the time after that is paid.
        ensure!(first || record.from >= agent.recorded_to, Error::<T>::RecordOverlap);
        let latest = now.saturating_add(T::ClockSkewSecondsMax::get());
        ensure!(record.to <= latest, Error::<T>::RecordInFuture);

        let used =
            record.total.checked_sub(&agent.claimed_total).ok_or(Error::<T>::RecordTotals)?;
        let since = agent.recorded_to.max(lease.opened_at);
        let skew = if first { T::ClockSkewSecondsMax::get() } else { 0 };
        let seconds = record.to.saturating_sub(since).saturating_add(skew);
        let quota = Quantities::quota(&lease.resources, seconds).ok_or(Error::<T>::Overflow)?;
        ensure!(used.within_quota(&quota), Error::<T>::RecordAboveQuota);

        let end = match lease.state {
            LeaseState::Closing { at, .. } => record.to.min(at),
            _ => record.to,
        };
        let seconds = end.saturating_sub(agent.claimed_to);
        let quota = Quantities::quota(&lease.resources, seconds).ok_or(Error::<T>::Overflow)?;
        let payable = Quantities {
            cpu_millicore_seconds: used.cpu_millicore_seconds.min(quota.cpu_millicore_seconds),
            memory_mib_seconds: used.memory_mib_seconds.min(quota.memory_mib_seconds),
            storage_mib_seconds: used.storage_mib_seconds.min(quota.storage_mib_seconds),
            gpu_seconds: used.gpu_seconds.min(quota.gpu_seconds),
            egress_mib: used.egress_mib,
            ingress_mib: used.ingress_mib,
        };
        let LeaseTerms { prices, .. } = lease.terms;
        let due = prices.cost(&payable).ok_or(Error::<T>::Overflow)?;
        // Each replica has its share of the spend rate, so that the sum over replicas keeps to it.
        let allowance = if seconds > 0 {
            lease.spend_rate_max.checked_mul(Balance::from(seconds)).ok_or(Error::<T>::Overflow)?
                / Balance::from(lease.replicas.max(1))
        } else {
            // No new second, so no new allowance: what the last paid seconds have left.
            agent.allowance
        };
        let after_close = seconds == 0 && record.to > end;
        let cap = if after_close { 0 } else { allowance }.min(lease.escrow);
        let mut claimed_total = record.total;
        let paid = if seconds > 0 {
            due.min(cap)
        } else {
            // Only traffic is left to pay. What has no room stays claimable together with the
            // next seconds, and within their allowance: a claim in between loses nothing.
            let room = cap.checked_div(prices.egress_mib).unwrap_or(Balance::MAX);
            let mib = used.egress_mib.min(u64::try_from(room).unwrap_or(u64::MAX));
            claimed_total.egress_mib =
                agent.claimed_total.egress_mib.checked_add(mib).ok_or(Error::<T>::Overflow)?;
            prices.egress_mib.checked_mul(Balance::from(mib)).ok_or(Error::<T>::Overflow)?
        };

        if paid > 0 {
            T::Currency::transfer_on_hold(
                &HoldReason::Escrow.into(),
                &lease.publisher,
                &lease.provider,
                paid,
                Precision::Exact,
                Restriction::Free,
                Fortitude::Polite,
            )?;
            lease.escrow = lease.escrow.checked_sub(paid).ok_or(Error::<T>::Overflow)?;
            lease.paid = lease.paid.checked_add(paid).ok_or(Error::<T>::Overflow)?;
        }
        let exhausted = lease.escrow == 0 && lease.exhausted_at.is_none();
        if exhausted {
            lease.exhausted_at = Some(now);
        }
        agent.sequence = record.sequence;
        agent.recorded_to = record.to;
        agent.claimed_to = agent.claimed_to.max(end);
        agent.claimed_total = claimed_total;
        agent.allowance = allowance.saturating_sub(paid);
        Agents::<T>::insert(record.lease, record.replica, agent);
        Leases::<T>::insert(record.lease, lease);

        let UsageRecord { lease, replica, sequence, .. } = record;
        Self::deposit_event(Event::Claimed { lease, replica, sequence, paid, due });
        if exhausted {
            Self::deposit_event(Event::FundsExhausted { lease });
        }
        Ok(())
    }
}
