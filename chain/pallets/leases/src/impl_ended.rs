//! Apps that have ended by themselves, and manifests that were changed: silence that is no fault.

use crate::*;
use casemate_primitives::{Asset, Balance, EndReason, LeaseId};
use frame_support::traits::Get;
use pallet_deployments::DeploymentRegistry;
use pallet_providers::ProviderStake;

impl Lease {
    /// An agent has signed that its app has ended.
    pub(crate) fn count_ended(&mut self, agent: &mut Agent) {
        agent.has_ended = true;
        let version = agent.version;
        let ended = self.ended.filter(|ended| ended.version >= version);
        let mut ended = ended.unwrap_or(EndedReplicas { version, count: 0 });
        if ended.version == version {
            ended.count = ended.count.saturating_add(1);
        }
        self.ended = Some(ended);
    }

    /// Another agent takes over the replica.
    pub(crate) fn uncount_ended(&mut self, agent: &Agent) {
        if let Some(ended) = self.ended.as_mut().filter(|_| agent.has_ended) {
            if ended.version == agent.version {
                ended.count = ended.count.saturating_sub(1);
            }
        }
    }
}

impl<T: Config> Pallet<T> {
    /// Whether all replicas have run the newest manifest to its end.
    pub(crate) fn has_ended(lease: &Lease) -> bool {
        lease.ended.is_some_and(|ended| {
            ended.count >= lease.replicas
                && T::Deployments::version(lease.deployment) == Some(ended.version)
        })
    }

    /// What the provider's stake pays for its silence, and why the lease ends; `None` on overflow.
    ///
    /// In the native token, that stakes are in: as much as it would have earned in the silence that it was
    /// allowed, with the replicas that have not ended; for a lease in another asset a part of the stake
    /// behind them. Nothing where the publisher has asked for another manifest since the agent was
    /// attested: an older pod can't renew its evidence, and a manifest that can't run must cost no
    /// provider its stake.
    pub(crate) fn silence(id: LeaseId, lease: &Lease) -> Option<(Balance, EndReason)> {
        let version = T::Deployments::version(lease.deployment);
        if Agents::<T>::get(id, 0).is_some_and(|agent| version != Some(agent.version)) {
            return Some((0, EndReason::NeverStarted));
        }
        let ended = lease.ended.map_or(0, |ended| ended.count);
        let running = lease.replicas.saturating_sub(ended);
        let penalty = match lease.terms.asset {
            Asset::Native => {
                let price = lease.terms.per_second(&lease.resources, running)?;
                price.saturating_mul(lease.terms.silence_seconds.into())
            }
            // What the asset is worth is for no pool to say, which anybody can move.
            Asset::Registered(_) => {
                let resources = lease.resources.checked_mul(running.into())?;
                T::SilencePenaltyShare::get() * T::Providers::required(&resources)
            }
        };
        Some((penalty, EndReason::ProviderSilent))
    }
}
