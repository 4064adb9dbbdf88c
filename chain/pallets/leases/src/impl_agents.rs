//! What `pallet-attestation` asks of leases.

use crate::*;
use casemate_primitives::{AgentPublicKey, Hash256, LeaseId, ReplicaIndex};
use frame_support::ensure;
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
        ensure!(lease.provider == *provider, Error::<T>::NotProvider);
        ensure!(!matches!(lease.state, LeaseState::Closing { .. }), Error::<T>::Closing);
        ensure!(replica < lease.replicas, Error::<T>::NoSuchReplica);
        T::Deployments::manifest(&lease.publisher, lease.deployment).map(|manifest| manifest.hash)
    }

    fn activate(
        provider: &AccountId32,
        id: LeaseId,
        replica: ReplicaIndex,
        key: AgentPublicKey,
    ) -> DispatchResult {
        // Newer evidence for the key that signs already only moves the end of its standing.
        if Agents::<T>::get(id, replica).is_some_and(|agent| agent.key == key) {
            return Self::expected_manifest(provider, id, replica).map(|_| ());
        }
        Self::do_activate(provider.clone(), id, replica, key)
    }
}
