//! Registered assets: the list that leases may be paid in, and who has how much.

use casemate_primitives::{AccountBytes, Asset, Balance, LeaseId};
use subxt::utils::{AccountId32, Static};

use super::{AccountBalance, ChainClient, ChainError, read::AtBlock, runtime};

/// An asset that governance has admitted.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetView {
    /// Its number; never used again.
    pub id: u32,
    /// How amounts in it are written; ASCII, unique whatever its case, never changed.
    pub symbol: String,
    /// How many decimals they have; never changed.
    pub decimals: u8,
    /// Least that a lease is opened with.
    pub deposit_min: Balance,
    /// Whether it takes new money.
    pub open: bool,
}

impl AssetView {
    /// What it is called in the protocol.
    pub fn asset(&self) -> Asset {
        Asset::Registered(self.id)
    }
}

/// Whose the money of a lease is.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseMoney {
    /// What accounts have in it, claimed or not, in the order in which it is spent. Empty where all of
    /// it is the publisher's.
    pub parts: Vec<(AccountBytes, Balance)>,
    /// Who may put the publisher's money in and close the lease, and how much more of it.
    pub spenders: Vec<(AccountBytes, Balance)>,
}

impl ChainClient {
    /// Assets that leases may be paid in besides the native token, by id.
    ///
    /// # Errors
    /// When the node does not answer; so for all that follow.
    pub async fn assets(&self) -> Result<Vec<AssetView>, ChainError> {
        let at = self.at_finalised().await?;
        let mut entries = at
            .storage()
            .iter(runtime::storage().money().admitted(), ())
            .await
            .map_err(ChainError::reading)?;
        let mut assets = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(ChainError::reading)?;
            let (id,) = entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
            let value = entry.value().decode().map_err(ChainError::reading)?;
            // It is printed: what the chain does not let in is not believed of a node either.
            let symbol = String::from_utf8(value.symbol.0)
                .ok()
                .filter(|symbol| symbol.bytes().all(|byte| byte.is_ascii_alphanumeric()))
                .ok_or_else(|| ChainError::Decode(format!("the symbol of asset {id} is none")))?;
            let (decimals, deposit_min, open) = (value.decimals, value.deposit_min, value.open);
            assets.push(AssetView { id, symbol, decimals, deposit_min, open });
        }
        assets.sort_by_key(|asset| asset.id);
        Ok(assets)
    }

    /// Money of an account in any asset, native token included.
    pub async fn balance_in(
        &self,
        asset: Asset,
        account: &AccountBytes,
    ) -> Result<AccountBalance, ChainError> {
        match asset {
            Asset::Native => self.balance(account).await,
            Asset::Registered(id) => balance(&self.at_finalised().await?, id, account).await,
        }
    }

    /// Whose money is in a lease, and who may put in the publisher's.
    pub async fn lease_money(&self, lease: LeaseId) -> Result<LeaseMoney, ChainError> {
        let at = self.at_finalised().await?;
        let key = || (Static(lease),);
        let storage = at.storage();
        let line = storage.try_fetch(runtime::storage().leases().deposits(), key());
        let parts = match line.await.map_err(ChainError::reading)? {
            Some(line) => line.decode().map_err(ChainError::reading)?.0.0,
            None => Vec::new(),
        };
        let spenders = storage.try_fetch(runtime::storage().leases().spenders(), key());
        let spenders = match spenders.await.map_err(ChainError::reading)? {
            Some(list) => list.decode().map_err(ChainError::reading)?.0,
            None => Vec::new(),
        };
        Ok(LeaseMoney {
            parts: parts.into_iter().map(|part| (part.who.0, part.amount)).collect(),
            spenders: spenders.into_iter().map(|entry| (entry.who.0, entry.allowance)).collect(),
        })
    }

    /// Whether an account takes amounts of any size in an asset.
    pub async fn has_account_in(
        &self,
        asset: u32,
        account: &AccountBytes,
    ) -> Result<bool, ChainError> {
        let at = self.at_finalised().await?;
        let address = runtime::storage().assets().account();
        let key = (asset, AccountId32(*account));
        let found = at.storage().try_fetch(address, key).await.map_err(ChainError::reading)?;
        Ok(found.is_some())
    }

    /// Least that an account keeps free of an asset while something of it is held.
    pub async fn minimum_balance(&self, asset: Asset) -> Result<Balance, ChainError> {
        let Asset::Registered(id) = asset else { return Ok(self.deposits().await?.existential) };
        let at = self.at_finalised().await?;
        let address = runtime::storage().assets().asset();
        let value = at.storage().try_fetch(address, (id,)).await.map_err(ChainError::reading)?;
        let Some(value) = value else { return Ok(0) };
        Ok(value.decode().map_err(ChainError::reading)?.min_balance)
    }
}

async fn balance(
    at: &AtBlock,
    id: u32,
    account: &AccountBytes,
) -> Result<AccountBalance, ChainError> {
    let key = || (id, AccountId32(*account));
    let free = at
        .storage()
        .try_fetch(runtime::storage().assets().account(), key())
        .await
        .map_err(ChainError::reading)?;
    let free = match free {
        Some(value) => value.decode().map_err(ChainError::reading)?.balance,
        None => 0,
    };
    let held = at
        .storage()
        .try_fetch(runtime::storage().assets_holder().balances_on_hold(), key())
        .await
        .map_err(ChainError::reading)?;
    let held = match held {
        Some(value) => value.decode().map_err(ChainError::reading)?,
        None => 0,
    };
    Ok(AccountBalance { free, held })
}
