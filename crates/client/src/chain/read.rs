//! State at the newest finalised block.

use std::collections::BTreeSet;

use casemate_primitives::{AccountBytes, DeploymentId, DeploymentKind, LeaseId, UnixSeconds};
use subxt::{
    client::{ClientAtBlock, OnlineClientAtBlockImpl},
    utils::{AccountId32, Static},
};

use super::{
    AccountBalance, AgentView, ChainClient, ChainError, ClusterView, DeploymentView, Deposits,
    EndedLease, LeaseState, LeaseView, PeriodView, ProviderView, UnbondingView, client::Config,
    cluster, runtime, tasks, types::due_at,
};

/// The chain at one block.
pub(super) type AtBlock = ClientAtBlock<Config, OnlineClientAtBlockImpl<Config>>;

impl ChainClient {
    pub(super) async fn at_finalised(&self) -> Result<AtBlock, ChainError> {
        self.api.at_current_block().await.map_err(ChainError::reading)
    }

    /// The chain's clock.
    ///
    /// # Errors
    /// When the node does not answer; so for all that follow.
    pub async fn time(&self) -> Result<UnixSeconds, ChainError> {
        time(&self.at_finalised().await?).await
    }

    /// All providers.
    pub async fn providers(&self) -> Result<Vec<ProviderView>, ChainError> {
        let at = self.at_finalised().await?;
        let mut entries = at
            .storage()
            .iter(runtime::storage().providers().providers(), ())
            .await
            .map_err(ChainError::reading)?;
        let mut clusters = cluster::clusters(&at).await?;
        let mut providers = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(ChainError::reading)?;
            let (account,) =
                entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
            let value = entry.value().decode().map_err(ChainError::reading)?;
            providers.push(provider_view(account.0, value, clusters.remove(&account.0)));
        }
        Ok(providers)
    }

    /// One provider.
    pub async fn provider(
        &self,
        account: &AccountBytes,
    ) -> Result<Option<ProviderView>, ChainError> {
        let at = self.at_finalised().await?;
        let address = runtime::storage().providers().providers();
        let value = at
            .storage()
            .try_fetch(address, (AccountId32(*account),))
            .await
            .map_err(ChainError::reading)?;
        let Some(value) = value else { return Ok(None) };
        let found = value.decode().map_err(ChainError::reading)?;
        Ok(Some(provider_view(*account, found, cluster::cluster(&at, account).await?)))
    }

    /// Leases of a publisher that are not settled.
    pub async fn leases_of_publisher(
        &self,
        account: &AccountBytes,
    ) -> Result<Vec<LeaseView>, ChainError> {
        let at = self.at_finalised().await?;
        let address = runtime::storage().leases().by_publisher();
        let mut entries = at
            .storage()
            .iter(address, (AccountId32(*account),))
            .await
            .map_err(ChainError::reading)?;
        let mut leases = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(ChainError::reading)?;
            let (_, id) = entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
            leases.extend(lease(&at, id.0).await?);
        }
        Ok(leases)
    }

    /// Settled leases of a provider that are still known: their last claims are not final or not
    /// paid out, or what their logs are proved against is still kept. Those in `live` are left out
    /// unread: a provider has few of the former and many of the latter.
    pub async fn ended_leases(
        &self,
        provider: &AccountBytes,
        live: &BTreeSet<LeaseId>,
    ) -> Result<Vec<EndedLease>, ChainError> {
        let at = self.at_finalised().await?;
        let now = time(&at).await?;
        let address = runtime::storage().leases().by_provider();
        let mut entries = at
            .storage()
            .iter(address, (AccountId32(*provider),))
            .await
            .map_err(ChainError::reading)?;
        let mut ended = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(ChainError::reading)?;
            let (_, id) = entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
            if !live.contains(&id.0) {
                ended.extend(ended_lease(&at, id.0, now).await?);
            }
        }
        Ok(ended)
    }

    /// One lease, unless it is settled.
    pub async fn lease(&self, id: LeaseId) -> Result<Option<LeaseView>, ChainError> {
        lease(&self.at_finalised().await?, id).await
    }

    /// The agents of a lease that is still known, settled or not: a settled one's are what its records
    /// and logs are proved against for the agreed time. None where the lease is forgotten.
    pub async fn agents(&self, id: LeaseId) -> Result<Vec<AgentView>, ChainError> {
        agents(&self.at_finalised().await?, id).await
    }

    /// One deployment, unless it has ended.
    pub async fn deployment(&self, id: DeploymentId) -> Result<Option<DeploymentView>, ChainError> {
        deployment(&self.at_finalised().await?, id).await
    }

    /// Money of an account.
    pub async fn balance(&self, account: &AccountBytes) -> Result<AccountBalance, ChainError> {
        let at = self.at_finalised().await?;
        let address = runtime::storage().system().account();
        let value = at
            .storage()
            .try_fetch(address, (AccountId32(*account),))
            .await
            .map_err(ChainError::reading)?;
        let Some(value) = value else { return Ok(AccountBalance::default()) };
        let data = value.decode().map_err(ChainError::reading)?.data;
        Ok(AccountBalance { free: data.free, held: data.reserved })
    }

    /// Whether the chain's genesis has made it one for development. Only there evidence of a software
    /// TEE may count.
    pub async fn is_development(&self) -> Result<bool, ChainError> {
        use runtime::runtime_types::casemate_runtime::network::pallet::NetworkKind;
        let at = self.at_finalised().await?;
        let address = runtime::storage().network().kind();
        let value = at.storage().try_fetch(address, ()).await.map_err(ChainError::reading)?;
        // What genesis leaves out is a chain of real money.
        let Some(value) = value else { return Ok(false) };
        Ok(matches!(value.decode().map_err(ChainError::reading)?, NetworkKind::Development))
    }

    /// What the chain asks for besides what a transaction itself names.
    pub async fn deposits(&self) -> Result<Deposits, ChainError> {
        let at = self.at_finalised().await?;
        let constants = at.constants();
        let existential = constants
            .entry(runtime::constants().balances().existential_deposit())
            .map_err(ChainError::reading)?;
        let deployment = constants
            .entry(runtime::constants().deployments().deposit())
            .map_err(ChainError::reading)?;
        let task =
            constants.entry(runtime::constants().tasks().deposit()).map_err(ChainError::reading)?;
        Ok(Deposits { existential, deployment, task })
    }
}

pub(super) async fn time(at: &AtBlock) -> Result<UnixSeconds, ChainError> {
    let value = at
        .storage()
        .try_fetch(runtime::storage().timestamp().now(), ())
        .await
        .map_err(ChainError::reading)?;
    let milliseconds = match value {
        Some(value) => value.decode().map_err(ChainError::reading)?,
        None => 0,
    };
    Ok(milliseconds / 1_000)
}

pub(super) async fn deployment(
    at: &AtBlock,
    id: DeploymentId,
) -> Result<Option<DeploymentView>, ChainError> {
    let address = runtime::storage().deployments().deployments();
    let value =
        at.storage().try_fetch(address, (Static(id),)).await.map_err(ChainError::reading)?;
    let Some(value) = value else { return Ok(None) };
    let found = value.decode().map_err(ChainError::reading)?;
    Ok(Some(DeploymentView {
        id,
        publisher: found.publisher.0,
        manifest_hash: found.manifest.0.hash,
        manifest_size: found.manifest.0.size,
        version: found.version,
        stopped: found.stopped,
        live_leases: found.live_leases,
    }))
}

/// A lease with its deployment's manifest and its agents.
pub(super) async fn lease(at: &AtBlock, id: LeaseId) -> Result<Option<LeaseView>, ChainError> {
    let address = runtime::storage().leases().leases();
    let value =
        at.storage().try_fetch(address, (Static(id),)).await.map_err(ChainError::reading)?;
    let Some(value) = value else { return Ok(None) };
    let found = value.decode().map_err(ChainError::reading)?;
    use runtime::runtime_types::pallet_leases::types::LeaseState as State;
    let state = match found.state {
        State::Pending => LeaseState::Pending,
        State::Active => LeaseState::Active,
        State::Closing { at, until, reason } => LeaseState::Closing { at, until, reason: reason.0 },
        // Settled: what is left of it is for `ended_leases`.
        State::Ended { .. } => return Ok(None),
    };
    let deployment = deployment(at, found.deployment.0)
        .await?
        .ok_or_else(|| ChainError::Decode(format!("lease {id} has no deployment")))?;
    let agents = agents(at, id).await?;
    let task = match found.kind.0 {
        DeploymentKind::Service => None,
        DeploymentKind::Task => tasks::of_lease(at, deployment.id, id).await?.map(Box::new),
    };
    Ok(Some(LeaseView {
        id,
        deployment: deployment.id,
        manifest_hash: deployment.manifest_hash,
        version: deployment.version,
        publisher: found.publisher.0,
        provider: found.provider.0,
        resources: found.resources.0,
        replicas: found.replicas,
        terms: found.terms.0,
        amendments: found.before.map_or(0, |before| before.number),
        state,
        escrow: found.escrow,
        open: periods(&found.open),
        contested: found.contest.map_or(0, |contest| contest.amount),
        final_due: found.final_due,
        paid: found.paid,
        spend_rate_max: found.spend_rate_max,
        opened_at: found.opened_at,
        reclaim_at: found.reclaim_at,
        agents,
        is_task: found.kind.0 == DeploymentKind::Task,
        task,
    }))
}

/// An ended lease; `None` for any other.
async fn ended_lease(
    at: &AtBlock,
    id: LeaseId,
    now: UnixSeconds,
) -> Result<Option<EndedLease>, ChainError> {
    use runtime::runtime_types::pallet_leases::types::LeaseState as State;
    let address = runtime::storage().leases().leases();
    let value =
        at.storage().try_fetch(address, (Static(id),)).await.map_err(ChainError::reading)?;
    let Some(value) = value else { return Ok(None) };
    let found = value.decode().map_err(ChainError::reading)?;
    let State::Ended { at: closed_at, .. } = found.state else { return Ok(None) };
    let terms = found.terms.0;
    let open = periods(&found.open);
    let due = due_at(&open, found.final_due, &terms, now);
    let owed = open.iter().map(|period| period.amount).fold(found.final_due, u128::saturating_add);
    let kept_until = closed_at.saturating_add(terms.retention_seconds.into());
    let is_done = owed == due && found.contest.is_none() && now >= kept_until;
    Ok(Some(EndedLease { id, due, is_done }))
}

pub(super) fn periods(
    open: &runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec<
        runtime::runtime_types::pallet_leases::types::Period,
    >,
) -> Vec<PeriodView> {
    let view = |period: &runtime::runtime_types::pallet_leases::types::Period| PeriodView {
        number: period.number,
        amount: period.amount,
    };
    open.0.iter().map(view).collect()
}

async fn agents(at: &AtBlock, id: LeaseId) -> Result<Vec<AgentView>, ChainError> {
    let mut entries = at
        .storage()
        .iter(runtime::storage().leases().agents(), (Static(id),))
        .await
        .map_err(ChainError::reading)?;
    let mut agents = Vec::new();
    while let Some(entry) = entries.next().await {
        let entry = entry.map_err(ChainError::reading)?;
        let (_, replica) = entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
        let agent = entry.value().decode().map_err(ChainError::reading)?;
        let standing = super::attestation::standing(at, id, replica).await?;
        agents.push(AgentView {
            replica,
            standing: standing.filter(|(key, _)| *key == agent.key).map(|(_, standing)| standing),
            key: agent.key,
            sequence: agent.sequence,
            claimed_to: agent.claimed_to,
            claimed_total: agent.claimed_total.0,
            log: agent.log.0,
            ended_version: agent.has_ended.then_some(agent.version),
        });
    }
    agents.sort_by_key(|agent| agent.replica);
    Ok(agents)
}

fn provider_view(
    account: AccountBytes,
    found: runtime::runtime_types::pallet_providers::types::Provider,
    cluster: Option<ClusterView>,
) -> ProviderView {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let info = found.info.0;
    ProviderView {
        account,
        name: text(&info.name),
        regions: info.regions.iter().map(|region| text(region)).collect(),
        endpoints: info.endpoints.iter().map(|endpoint| text(endpoint)).collect(),
        tee_kinds: info.tee_kinds.iter().map(|kind| format!("{kind:?}")).collect(),
        capacity: found.capacity.0,
        used: found.used.0,
        price_lists: found.price_lists.0.iter().map(|list| (list.0.asset, list.0.prices)).collect(),
        stake: found.stake,
        unbonding: found
            .unbonding
            .0
            .iter()
            .map(|part| UnbondingView { amount: part.amount, unlocks_at: part.unlocks_at })
            .collect(),
        live_leases: found.live_leases,
        cluster,
    }
}
