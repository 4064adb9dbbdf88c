//! A node's RPC, bare.

use anyhow::{Context as _, Result};
use serde_json::Value;
use subxt::rpcs::{RpcClient, rpc_params};

/// A connection.
#[derive(Clone, Debug)]
pub struct Rpc {
    pub(crate) client: RpcClient,
}

impl Rpc {
    /// Connects.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn connect(url: &str) -> Result<Self> {
        let client = RpcClient::from_insecure_url(url).await;
        Ok(Self { client: client.with_context(|| format!("no node answers at {url}"))? })
    }

    /// Number and hash of the newest finalised block.
    ///
    /// # Errors
    /// The node does not answer; so for all that follow.
    pub async fn finalised(&self) -> Result<(u32, String)> {
        let hash: String = self.client.request("chain_getFinalizedHead", rpc_params![]).await?;
        Ok((self.number(Some(&hash)).await?, hash))
    }

    /// Number of the best block.
    ///
    /// # Errors
    /// See [`Rpc::finalised`].
    pub async fn best(&self) -> Result<u32> {
        self.number(None).await
    }

    /// Hash of a block of the best chain.
    ///
    /// # Errors
    /// See [`Rpc::finalised`]; there is no such block yet.
    pub async fn hash(&self, number: u32) -> Result<String> {
        let hash: Option<String> =
            self.client.request("chain_getBlockHash", rpc_params![number]).await?;
        hash.with_context(|| format!("there is no block {number} yet"))
    }

    /// How many nodes it is connected to.
    ///
    /// # Errors
    /// See [`Rpc::finalised`].
    pub async fn peers(&self) -> Result<u64> {
        let health: Value = self.client.request("system_health", rpc_params![]).await?;
        health["peers"].as_u64().context("the node's health names no peers")
    }

    /// Version of the runtime, as the node tells it to clients.
    ///
    /// # Errors
    /// See [`Rpc::finalised`].
    pub async fn spec_version(&self) -> Result<u64> {
        let version: Value = self.client.request("state_getRuntimeVersion", rpc_params![]).await?;
        version["specVersion"].as_u64().context("the runtime's version has no specVersion")
    }

    /// Asks the runtime itself; the call takes no arguments.
    ///
    /// # Errors
    /// See [`Rpc::finalised`].
    pub async fn call(&self, function: &str) -> Result<Vec<u8>> {
        let answer: String = self.client.request("state_call", rpc_params![function, "0x"]).await?;
        Ok(hex::decode(answer.trim_start_matches("0x"))?)
    }

    async fn number(&self, hash: Option<&str>) -> Result<u32> {
        let header: Value = self.client.request("chain_getHeader", rpc_params![hash]).await?;
        let number = header["number"].as_str().context("a header has no number")?;
        Ok(u32::from_str_radix(number.trim_start_matches("0x"), 16)?)
    }
}
