//! The one place that chooses: the chain by subxt, pods by an OCI runtime on this machine.

use std::sync::Arc;

use anyhow::Context;
use casemate_client::chain::{self, Call, ChainClient, ChainSnapshot, ProviderView};
use casemate_primitives::{AccountBytes, AgentPublicKey, Hash256, LeaseId, ReplicaIndex};
use casemate_provider::{Chain, ChainError, Config, front::Attempt};
use casemate_provider_core::SignedUsageRecord;
use casemate_provider_local::{LocalBackend, LocalConfig};
use subxt_signer::sr25519::Keypair;
use tokio::sync::watch;

/// A node, as the account of `key` sees it.
pub(crate) struct NodeChain {
    client: ChainClient,
    key: Keypair,
    snapshots: watch::Receiver<Arc<ChainSnapshot>>,
}

/// Connects to a node and begins to follow the provider's leases.
pub(crate) async fn connect_chain(
    url: &str,
    key: &Keypair,
) -> Result<NodeChain, Attempt<anyhow::Error>> {
    let client = ChainClient::connect(url).await.map_err(|err| match err {
        chain::ChainError::Unreachable(found) => Attempt::Later(found),
        err => {
            let hint = err.hint().to_owned();
            Attempt::Never(anyhow::Error::new(err).context(hint))
        }
    })?;
    let snapshots = chain::watch_leases(client.clone(), key.public_key().0);
    Ok(NodeChain { client, key: key.clone(), snapshots })
}

/// Opens the backend's data and finds the pods that run.
pub(crate) async fn open_backend(config: &Config) -> anyhow::Result<LocalBackend> {
    let backend = &config.backend;
    let mut local = LocalConfig::new(config.data_dir.join("pods"), &backend.agent);
    local.runtime.clone_from(&backend.runtime);
    local.registry.insecure_hosts.clone_from(&config.images.insecure_registries);
    if let Some(subnet) = &backend.subnet {
        local.subnet =
            subnet.parse().map_err(anyhow::Error::msg).context("`backend.subnet` is not good")?;
    }
    LocalBackend::open(local).await.context("cannot run pods on this machine")
}

impl NodeChain {
    async fn submit(&self, call: Call) -> Result<(), ChainError> {
        self.client.submit(&self.key, call).await.map(drop).map_err(translate)
    }
}

impl Chain for NodeChain {
    fn genesis_hash(&self) -> Hash256 {
        self.client.genesis_hash()
    }

    fn account(&self) -> AccountBytes {
        self.key.public_key().0
    }

    fn snapshots(&self) -> watch::Receiver<Arc<ChainSnapshot>> {
        self.snapshots.clone()
    }

    async fn provider(&self) -> Result<Option<ProviderView>, ChainError> {
        self.client.provider(&self.account()).await.map_err(translate)
    }

    async fn activate(
        &self,
        lease: LeaseId,
        replica: ReplicaIndex,
        key: AgentPublicKey,
    ) -> Result<(), ChainError> {
        self.submit(Call::Activate { lease, replica, key }).await
    }

    async fn claim(&self, signed: SignedUsageRecord) -> Result<(), ChainError> {
        let SignedUsageRecord { record, signature, .. } = signed;
        self.submit(Call::Claim { record, signature }).await
    }

    async fn settle(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.submit(Call::Settle { lease }).await
    }

    async fn close(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.submit(Call::Close { lease }).await
    }
}

fn translate(err: chain::ChainError) -> ChainError {
    use chain::ChainError as From;
    match err {
        From::Refused { pallet, name, text } => ChainError::Refused { pallet, name, text },
        From::NoFunds(text) => ChainError::NoFunds(text),
        From::Lost(text) => ChainError::Lost(text),
        other => ChainError::Unreachable(other.to_string()),
    }
}
