//! What a usage record earns.

use crate::*;
use casemate_primitives::{
    AgentSignature, Balance, DeploymentKind, EndReason, HostMeasured, PodState, Prices, Quantities,
    UnixSeconds, UsageRecord,
};
use frame_support::ensure;
use pallet_attestation::{genesis_hash, AttestedKeys};
use sp_core::ed25519;
use sp_runtime::AccountId32;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_claim(
        who: AccountId32,
        record: UsageRecord,
        signature: AgentSignature,
        as_of: Option<UnixSeconds>,
    ) -> DispatchResult {
        Self::claim_with(who, record, signature, as_of, None).map(drop)
    }

    /// The claim of a service's record, or of the one that ends a task's run. Returns what was paid.
    pub(crate) fn claim_with(
        who: AccountId32,
        record: UsageRecord,
        signature: AgentSignature,
        as_of: Option<UnixSeconds>,
        run: Option<RunClaim>,
    ) -> Result<Balance, DispatchError> {
        let now = Self::now();
        let as_of = as_of.map_or(now, |as_of| as_of.min(now));
        let mut lease = Leases::<T>::get(record.lease).ok_or(Error::<T>::NotFound)?;
        ensure!(lease.provider == who, Error::<T>::NotProvider);
        ensure!(!matches!(lease.state, LeaseState::Ended { .. }), Error::<T>::Ended);
        let is_refused =
            matches!(lease.state, LeaseState::Closing { reason: EndReason::Misconduct, .. });
        ensure!(!is_refused, Error::<T>::NoRecordsAfterMisconduct);
        let mut agent =
            Agents::<T>::get(record.lease, record.replica).ok_or(Error::<T>::NotActivated)?;
        ensure!((lease.kind == DeploymentKind::Task) == run.is_some(), Error::<T>::PaidByRun);
        ensure!(!agent.has_ended, Error::<T>::AppEnded);
        if let Some(run) = &run {
            // An agent ends one run, and is paid for no time before that was begun.
            ensure!(agent.sequence == 0, Error::<T>::KeyUsedBefore);
            agent.claimed_to = agent.claimed_to.max(run.since);
        }
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
        let latest = as_of.saturating_add(T::ClockSkewSecondsMax::get());
        ensure!(record.to <= latest, Error::<T>::RecordInFuture);

        let mut used =
            record.total.checked_sub(&agent.claimed_total).ok_or(Error::<T>::RecordTotals)?;
        let ran = record
            .running_seconds
            .checked_sub(agent.claimed_running)
            .ok_or(Error::<T>::RecordTotals)?;
        ensure!(record.log.chunks >= agent.log.chunks, Error::<T>::RecordTotals);
        if record.host_measured.has(HostMeasured::TRAFFIC) {
            // The host's word alone: told, never paid.
            (used.egress_mib, used.ingress_mib) = (0, 0);
        }
        let since = agent.recorded_to.max(lease.opened_at);
        let skew = if first { T::ClockSkewSecondsMax::get() } else { 0 };
        let seconds = record.to.saturating_sub(since).saturating_add(skew);
        let quota = Quantities::quota(&lease.resources, seconds).ok_or(Error::<T>::Overflow)?;
        ensure!(used.within_quota(&quota) && ran <= seconds, Error::<T>::RecordAboveQuota);

        let end = match lease.state {
            LeaseState::Closing { at, .. } => record.to.min(at),
            _ => record.to,
        };
        let seconds = end.saturating_sub(agent.claimed_to);
        let quota = Quantities::quota(&lease.resources, seconds).ok_or(Error::<T>::Overflow)?;
        let payable = Payable {
            held: Quantities {
                cpu_millicore_seconds: used.cpu_millicore_seconds.min(quota.cpu_millicore_seconds),
                memory_mib_seconds: used.memory_mib_seconds.min(quota.memory_mib_seconds),
                storage_mib_seconds: used.storage_mib_seconds.min(quota.storage_mib_seconds),
                gpu_seconds: used.gpu_seconds.min(quota.gpu_seconds),
                ..Quantities::default()
            },
            running_seconds: ran.min(seconds),
            traffic: Quantities {
                egress_mib: used.egress_mib,
                ingress_mib: used.ingress_mib,
                ..Quantities::default()
            },
        };
        let (prices, due) = Self::prices_for(&lease, &agent, &record, &payable);
        // Each replica has its share of the spend rate, so that the sum over replicas keeps to it.
        let allowance = if seconds > 0 {
            // The publisher sets it as high as it likes: no number may keep a record from being paid.
            lease.spend_rate_max.saturating_mul(Balance::from(seconds))
                / Balance::from(lease.replicas.max(1))
        } else {
            // No new second, so no new allowance: what the last paid seconds have left.
            agent.allowance
        };
        let after_close = seconds == 0 && record.to > end;
        let budget = run.as_ref().map_or(Balance::MAX, |run| run.budget);
        let cap = if after_close { 0 } else { allowance }.min(lease.escrow).min(budget);
        let mut claimed_total = record.total;
        let paid = if seconds > 0 {
            due.min(cap)
        } else {
            // Only traffic is left to pay. What has no room stays claimable together with the
            // next seconds, and within their allowance: a claim in between loses nothing.
            let (egress, left) = affordable(cap, prices.egress_mib, used.egress_mib);
            let (ingress, left) = affordable(left, prices.ingress_mib, used.ingress_mib);
            claimed_total.egress_mib =
                agent.claimed_total.egress_mib.checked_add(egress).ok_or(Error::<T>::Overflow)?;
            claimed_total.ingress_mib =
                agent.claimed_total.ingress_mib.checked_add(ingress).ok_or(Error::<T>::Overflow)?;
            cap.saturating_sub(left)
        };

        if paid > 0 {
            lease.escrow = lease.escrow.checked_sub(paid).ok_or(Error::<T>::Overflow)?;
            lease.add_claim(paid, now);
        }
        lease.claimed_at = now;
        let exhausted = lease.escrow == 0 && lease.exhausted_at.is_none();
        if exhausted {
            lease.exhausted_at = Some(now);
        }
        let warnings = lease.warnings_due();
        let is_low = warnings > lease.warned && !lease.is_over();
        lease.warned = lease.warned.max(warnings);
        let seconds_left = lease.seconds_left().unwrap_or(u64::MAX);
        agent.sequence = record.sequence;
        agent.recorded_to = record.to;
        agent.claimed_to = agent.claimed_to.max(end);
        agent.claimed_total = claimed_total;
        agent.claimed_running = record.running_seconds;
        agent.log = record.log;
        agent.evidence = record.evidence;
        agent.allowance = allowance.saturating_sub(paid);
        let UsageRecord { replica, sequence, .. } = record;
        // The end of a task's run says nothing of the next one.
        let ended = match record.state {
            PodState::Ended { code } if run.is_none() => Some(code),
            _ => None,
        };
        if ended.is_some() {
            lease.count_ended(&mut agent);
        }
        Agents::<T>::insert(record.lease, replica, agent);
        Leases::<T>::insert(record.lease, lease);

        let lease = record.lease;
        Self::deposit_event(Event::Claimed { lease, replica, sequence, paid, due });
        if let Some(code) = ended {
            Self::deposit_event(Event::AppEnded { lease, replica, code });
        }
        if exhausted {
            Self::deposit_event(Event::FundsExhausted { lease });
        } else if is_low {
            Self::deposit_event(Event::FundsLow { lease, seconds_left });
        }
        Ok(paid)
    }

    /// The prices that hold for a record, and what it costs: the most that there can be, where that
    /// is more than can be told. What is paid of it has its bounds in any case.
    ///
    /// A record that ends before an amendment is paid as before. One that reaches over it can't be
    /// cut in two: it costs the lesser of both, so the last record under the old prices is worth
    /// bringing.
    fn prices_for(
        lease: &Lease,
        agent: &Agent,
        record: &UsageRecord,
        payable: &Payable,
    ) -> (Prices, Balance) {
        let cost =
            |prices: &Prices, second_min| payable.cost(prices, second_min).unwrap_or(Balance::MAX);
        let present = cost(&lease.terms.prices, lease.terms.second_min);
        let Some(before) = lease.before.filter(|before| agent.claimed_to < before.until) else {
            return (lease.terms.prices, present);
        };
        let past = cost(&before.prices, before.second_min);
        if record.to <= before.until || past < present {
            return (before.prices, past);
        }
        (lease.terms.prices, present)
    }
}

/// What of a record may be paid, within quota and time.
struct Payable {
    held: Quantities,
    running_seconds: u64,
    traffic: Quantities,
}

impl Payable {
    fn cost(&self, prices: &Prices, second_min: Balance) -> Option<Balance> {
        let least = second_min.checked_mul(self.running_seconds.into())?;
        prices.cost(&self.held)?.max(least).checked_add(prices.cost(&self.traffic)?)
    }
}

/// How many of `wanted` MiB `money` pays for, and what is left of it.
fn affordable(money: Balance, price: Balance, wanted: u64) -> (u64, Balance) {
    let room = money.checked_div(price).unwrap_or(Balance::MAX);
    let mib = wanted.min(u64::try_from(room).unwrap_or(u64::MAX));
    (mib, money.saturating_sub(price.saturating_mul(mib.into())))
}
