//! What `pallet-proofs` asks of leases.

use crate::*;
use casemate_primitives::{
    AgentSignature, Balance, DeploymentKind, LeaseId, ReplicaIndex, UnixSeconds, UsageRecord,
};
use sp_runtime::AccountId32;

impl<T: Config> LeaseProofs<AccountId32> for Pallet<T> {
    fn parties(id: LeaseId) -> Option<Parties<AccountId32>> {
        let lease = Leases::<T>::get(id)?;
        let is_live = !lease.is_over();
        let is_task = lease.kind == DeploymentKind::Task;
        let logs_until = match lease.state {
            LeaseState::Closing { at, .. } | LeaseState::Ended { at, .. } => {
                Some(at.saturating_add(lease.terms.retention_seconds.into()))
            }
            LeaseState::Pending | LeaseState::Active => None,
        };
        let Lease { publisher, provider, .. } = lease;
        Some(Parties { publisher, provider, is_live, is_task, logs_until })
    }

    fn anchor(id: LeaseId, replica: ReplicaIndex) -> Option<Anchor> {
        let Agent { key, sequence, recorded_to, log, evidence, has_ended, .. } =
            Agents::<T>::get(id, replica).filter(|agent| agent.sequence > 0)?;
        Some(Anchor { key, sequence, recorded_to, log, evidence, has_ended })
    }

    fn penalise(id: LeaseId) -> Result<Balance, DispatchError> {
        let amount = Leases::<T>::try_mutate(id, |slot| {
            let lease = slot.as_mut().ok_or(Error::<T>::NotFound)?;
            lease.mature(Self::now());
            let amount = lease.open_amount();
            lease.open.clear();
            Self::give_publisher(id, lease, amount)?;
            Ok::<_, DispatchError>(amount)
        })?;
        Self::deposit_event(Event::Penalised { lease: id, refunded: amount });
        Ok(amount)
    }

    fn claim_as_of(
        provider: AccountId32,
        record: UsageRecord,
        signature: AgentSignature,
        as_of: UnixSeconds,
    ) -> DispatchResult {
        Self::do_claim(provider, record, signature, Some(as_of))
    }
}
