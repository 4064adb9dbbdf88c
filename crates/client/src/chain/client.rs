//! The connection.

use std::{collections::HashMap, sync::Arc};

use casemate_primitives::{AccountBytes, Asset, Hash256};
use subxt::{OnlineClient, backend::LegacyBackend, config::RpcConfigFor};
use subxt_rpcs::{LegacyRpcMethods, RpcClient, client::ReconnectingRpcClient};
use tokio::sync::Mutex;

use super::ChainError;
pub(super) use super::config::Config;

/// A connection to a node. Cheap to clone; reconnects by itself when the node comes back.
#[derive(Clone)]
pub struct ChainClient {
    pub(super) api: OnlineClient<Config>,
    pub(super) rpc: LegacyRpcMethods<RpcConfigFor<Config>>,
    /// The next nonce of each account that this client signs for. Held while a transaction is
    /// handed to the node, so that two of one account never take the same nonce.
    pub(super) nonces: Arc<Mutex<HashMap<AccountBytes, u64>>>,
    /// What fees are paid in.
    pub(super) fee_asset: Asset,
    /// Whether they are paid in the native token where they can't be paid in that.
    pub(super) falls_back: bool,
    genesis_hash: Hash256,
}

impl std::fmt::Debug for ChainClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainClient").field("genesis_hash", &self.genesis_hash).finish()
    }
}

impl ChainClient {
    /// Connect to the node at `url` (`ws://` for this machine, `wss://` for others).
    ///
    /// # Errors
    /// When the address is not good, or no node answers now. Once connected, the client waits for a node that restarts.
    pub async fn connect(url: &str) -> Result<Self, ChainError> {
        subxt_rpcs::utils::validate_url_is_secure(url)
            .map_err(|err| ChainError::Address(format!("{url}: {err}")))?;
        // Look first: the reconnecting client would try for ever.
        let probe = RpcClient::from_insecure_url(url).await.map_err(|err| {
            ChainError::Unreachable(format!("{url}: {}", super::error::chain_of(&err)))
        })?;
        drop(probe);
        let rpc_client: RpcClient = ReconnectingRpcClient::builder()
            .build(url.to_owned())
            .await
            .map_err(|err| ChainError::Unreachable(format!("{url}: {err}")))?
            .into();
        let backend: LegacyBackend<Config> =
            LegacyBackend::builder().storage_page_size(512).build(rpc_client.clone());
        let api = OnlineClient::<Config>::from_backend(Arc::new(backend))
            .await
            .map_err(ChainError::reading)?;
        let genesis_hash = api.genesis_hash().0;
        let rpc = LegacyRpcMethods::new(rpc_client);
        let nonces = Arc::default();
        Ok(Self { api, rpc, nonces, fee_asset: Asset::Native, falls_back: false, genesis_hash })
    }

    /// The same connection, paying fees in `asset` from now on. The chain swaps them into its own
    /// token at the price of the asset's pool; without a pool it takes no transaction.
    #[must_use]
    pub fn paying_fees_in(self, asset: Asset) -> Self {
        Self { fee_asset: asset, ..self }
    }

    /// The same, but in the native token where the chain takes no fee in `asset`: for a program
    /// whose silence costs more than a fee. Anyone can drain a pool.
    #[must_use]
    pub fn preferring_fees_in(self, asset: Asset) -> Self {
        Self { fee_asset: asset, falls_back: true, ..self }
    }

    /// Hash of the chain's first block: its identity.
    pub fn genesis_hash(&self) -> Hash256 {
        self.genesis_hash
    }

    /// `Development`, `Local` or `Live`, as the node's chain specification says.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn chain_type(&self) -> Result<String, ChainError> {
        self.rpc.system_chain_type().await.map_err(|err| ChainError::Unreachable(err.to_string()))
    }
}
