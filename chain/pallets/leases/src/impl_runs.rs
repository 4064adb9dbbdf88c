//! What `pallet-tasks` asks of leases: what a run is paid.

use crate::*;
use casemate_primitives::{
    AgentPublicKey, AgentSignature, Balance, DeploymentKind, LeaseId, ReplicaIndex, UsageRecord,
};
use sp_runtime::AccountId32;

impl<T: Config> LeaseRuns<AccountId32> for Pallet<T> {
    fn run_lease(id: LeaseId) -> Option<RunLease<AccountId32>> {
        let lease = Leases::<T>::get(id).filter(|lease| lease.kind == DeploymentKind::Task)?;
        let closed = match lease.state {
            LeaseState::Closing { at, reason, .. } | LeaseState::Ended { at, reason } => {
                Some((at, reason))
            }
            LeaseState::Pending | LeaseState::Active => None,
        };
        Some(RunLease {
            deployment: lease.deployment,
            publisher: lease.publisher,
            provider: lease.provider,
            replicas: lease.replicas,
            escrow: lease.escrow,
            closed,
            is_ended: matches!(lease.state, LeaseState::Ended { .. }),
        })
    }

    fn agent_key(id: LeaseId, replica: ReplicaIndex, version: u32) -> Option<AgentPublicKey> {
        let agent = Agents::<T>::get(id, replica).filter(|agent| agent.version == version)?;
        Some(agent.key)
    }

    fn claim_run(
        provider: AccountId32,
        record: UsageRecord,
        signature: AgentSignature,
        run: RunClaim,
    ) -> Result<Balance, DispatchError> {
        Self::claim_with(provider, record, signature, None, Some(run))
    }

    fn fund(publisher: AccountId32, id: LeaseId, amount: Balance) -> DispatchResult {
        Self::do_fund(publisher, id, amount)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_run_lease(
        publisher: &AccountId32,
        provider: &AccountId32,
        deployment: casemate_primitives::DeploymentId,
        key: AgentPublicKey,
    ) -> (LeaseId, ReplicaIndex) {
        crate::benchmarking::run_lease::<T>(publisher, provider, deployment, key)
    }
}
