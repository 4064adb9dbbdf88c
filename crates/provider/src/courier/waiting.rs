//! Which pods wait for secrets that a vault has.

use std::{net::SocketAddr, sync::Arc};

use casemate_client::chain::AttestedKeys;
use casemate_provider_core::{Attestation, ContainerState, PodPhase, PodStatus};
use tokio::sync::watch;

use super::{Errand, Errands};
use crate::{facts::FactsCache, world::World};

/// Follows what the reconciler sees, until `shutdown` turns true.
pub(crate) async fn follow(
    mut world: watch::Receiver<Arc<World>>,
    facts: FactsCache,
    errands: watch::Sender<Arc<Errands>>,
    mut shutdown: watch::Receiver<bool>,
) {
    loop {
        let seen = Arc::clone(&world.borrow_and_update());
        let new = errands_of(&seen, &facts);
        errands.send_if_modified(|known| {
            let is_other = **known != new;
            *known = Arc::new(new);
            is_other
        });
        tokio::select! {
            changed = world.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            _ = shutdown.wait_for(|stop| *stop) => return,
        }
    }
}

fn errands_of(world: &World, facts: &FactsCache) -> Errands {
    let errand = |pod: &PodStatus| {
        let manifest_hash = *world.manifests.get(&pod.id)?;
        // Most manifests name no vaults: their facts are in memory.
        let vaults = facts.get(&manifest_hash)?.vaults.clone();
        if vaults.is_empty() || !waits(pod) {
            return None;
        }
        let Attestation::Available(endpoint) = &pod.attestation else { return None };
        let keys = AttestedKeys {
            agent: pod.agent_key?,
            hpke: endpoint.hpke_key,
            tls_spki_sha256: endpoint.tls_spki_sha256,
        };
        let address = SocketAddr::new(pod.address?, endpoint.port);
        let publisher = world.snapshot.leases.get(&pod.id.lease)?.publisher;
        Some((pod.id, Errand { address, manifest_hash, keys, publisher, vaults }))
    };
    world.pods.iter().filter_map(errand).collect()
}

/// Whether the signer's app has not been started since the pod was: only secrets keep an agent from
/// that for long.
fn waits(pod: &PodStatus) -> bool {
    let has_started = |state: &ContainerState| {
        matches!(
            state,
            ContainerState::Running
                | ContainerState::BackOff { .. }
                | ContainerState::Exited { .. }
        )
    };
    !matches!(pod.phase, PodPhase::Failed(_) | PodPhase::Ended(_))
        && pod.containers.first().is_some_and(|signer| !has_started(&signer.state))
}
