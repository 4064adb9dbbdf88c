//! What `pallet-attestation` asks of leases: who may be paid.

use crate::{types::remembered, *};
use casemate_primitives::{
    AgentPublicKey, DeploymentKind, Hash256, LeaseId, LogHead, Quantities, ReplicaIndex,
};
use frame_support::{ensure, traits::Get};
use pallet_attestation::AgentRegistry;
use pallet_deployments::DeploymentRegistry;
use sp_runtime::AccountId32;

impl<T: Config> AgentRegistry<AccountId32> for Pallet<T> {
    fn expected_manifest(
        provider: &AccountId32,
        id: LeaseId,
        replica: ReplicaIndex,
    ) -> Result<Hash256, DispatchError> {
        let lease = Leases::<T>::get(id).ok_or(Error::<T>::NotFound)?;
        Self::ensure_serves(&lease, provider, replica)?;
        // An update is for the runs that begin later: it leaves an open one its evidence.
        if let Some(manifest) = Self::run_manifest(&lease, id, replica) {
            return Ok(manifest.hash);
        }
        T::Deployments::manifest(&lease.publisher, lease.deployment).map(|manifest| manifest.hash)
    }

    fn activate(
        provider: &AccountId32,
        id: LeaseId,
        replica: ReplicaIndex,
        key: AgentPublicKey,
    ) -> DispatchResult {
        let is_new = Self::try_mutate_open(id, |lease| {
            Self::ensure_serves(lease, provider, replica)?;
            let before = Agents::<T>::get(id, replica);
            if before.as_ref().is_some_and(|agent| agent.key == key) {
                // Newer evidence for the key that signs already only moves the end of its standing.
                return Ok(false);
            }
            let version = Self::run_manifest(lease, id, replica)
                .map(|manifest| manifest.version)
                .or_else(|| T::Deployments::version(lease.deployment))
                .ok_or(Error::<T>::NotFound)?;
            if let Some(before) = &before {
                // What has ended by itself is not run, and paid, anew.
                let may_run = !before.has_ended || before.version != version;
                ensure!(may_run, Error::<T>::AppEnded);
                lease.uncount_ended(before);
            }
            let mut earlier =
                before.as_ref().map(|agent| agent.earlier.clone()).unwrap_or_default();
            ensure!(!earlier.contains(&remembered(&key)), Error::<T>::KeyUsedBefore);
            if let Some(before) = &before {
                if earlier.is_full() {
                    earlier.remove(0);
                }
                earlier.try_push(remembered(&before.key)).map_err(|_| Error::<T>::Overflow)?;
            }
            let replaced = before
                .as_ref()
                .map(|agent| lease.keys_behind_claims(agent, Self::now()))
                .unwrap_or_default();
            // What an agent before was paid for stays paid for: the new one goes on from there. And
            // nobody knows of a time long before its evidence whether this agent ran in it.
            let claimed_to = before.map_or(lease.opened_at, |agent| agent.claimed_to);
            let earliest = Self::now().saturating_sub(T::BackpaySecondsMax::get());
            let agent = Agent {
                key,
                sequence: 0,
                recorded_to: 0,
                claimed_to: claimed_to.max(earliest),
                claimed_running: 0,
                claimed_total: Quantities::default(),
                log: LogHead::default(),
                evidence: Hash256::default(),
                // What the one before left is for its own records.
                allowance: 0,
                earlier,
                replaced,
                version,
                has_ended: false,
            };
            Agents::<T>::insert(id, replica, agent);
            lease.state = LeaseState::Active;
            Ok(true)
        })?;
        if is_new {
            Self::deposit_event(Event::Activated { lease: id, replica, agent_key: key });
        }
        Ok(())
    }

    fn has_replica(id: LeaseId, replica: ReplicaIndex) -> bool {
        Leases::<T>::get(id).is_some_and(|lease| replica < lease.replicas)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_lease(
        provider: &AccountId32,
        id: LeaseId,
        replica: ReplicaIndex,
        manifest_hash: Hash256,
    ) {
        crate::benchmarking::lease_with_many_agents::<T>(provider, id, replica, manifest_hash);
    }
}

impl<T: Config> Pallet<T> {
    fn run_manifest(lease: &Lease, id: LeaseId, replica: ReplicaIndex) -> Option<RunManifest> {
        (lease.kind == DeploymentKind::Task).then(|| T::Runs::manifest(id, replica)).flatten()
    }

    fn ensure_serves(
        lease: &Lease,
        provider: &AccountId32,
        replica: ReplicaIndex,
    ) -> DispatchResult {
        ensure!(lease.provider == *provider, Error::<T>::NotProvider);
        ensure!(!lease.is_over(), Error::<T>::Closing);
        ensure!(replica < lease.replicas, Error::<T>::NoSuchReplica);
        Ok(())
    }
}
