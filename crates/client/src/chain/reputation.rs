//! What accounts have earned and lost, and complaints about them.

use std::collections::BTreeMap;

use casemate_primitives::{
    AccountBytes, Balance, Hash256, LeaseId, UnixSeconds,
    reputation::{ComplaintKind, Rules, Score, Side},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use subxt::utils::{AccountId32, Static};

use super::{
    ChainClient, ChainError,
    read::{AtBlock, time},
    runtime,
};

/// Accounts that are read at once.
const READS_MAX: usize = 32;

/// An account's reputation at the newest finalised block.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReputationView {
    /// As of now: what was forgotten since it changed is taken off.
    pub score: Score,
    /// Complaints against it that nobody has decided yet.
    pub open_complaints: u32,
}

/// An open complaint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ComplaintView {
    /// Its number.
    pub id: u64,
    /// About which lease.
    pub lease: LeaseId,
    /// The author's side of it.
    pub by: Side,
    /// Who complains.
    pub author: AccountBytes,
    /// About whom.
    pub accused: AccountBytes,
    /// About what.
    pub kind: ComplaintKind,
    /// BLAKE2b-256 of the text.
    pub text_hash: Hash256,
    /// What the author put down.
    pub deposit: Balance,
    /// Last second for the arbiters.
    pub until: UnixSeconds,
}

impl ChainClient {
    /// An account's reputation; zeros where nothing is known.
    ///
    /// # Errors
    /// When the node does not answer; so for all that follow.
    pub async fn reputation(&self, account: &AccountBytes) -> Result<ReputationView, ChainError> {
        let found = self.reputations(&[*account]).await?;
        Ok(found.get(account).copied().unwrap_or_default())
    }

    /// The same of several accounts, at one block.
    pub async fn reputations(
        &self,
        accounts: &[AccountBytes],
    ) -> Result<BTreeMap<AccountBytes, ReputationView>, ChainError> {
        let at = &self.at_finalised().await?;
        let now = time(at).await?;
        let rules = rules(at)?;
        stream::iter(accounts.iter().copied())
            .map(
                |account| async move { Ok((account, reputation(at, account, now, &rules).await?)) },
            )
            .buffer_unordered(READS_MAX)
            .try_collect()
            .await
    }

    /// An open complaint.
    pub async fn complaint(&self, id: u64) -> Result<Option<ComplaintView>, ChainError> {
        complaint(&self.at_finalised().await?, id).await
    }

    /// The open complaints of both sides of a lease.
    pub async fn complaints_about(&self, lease: LeaseId) -> Result<Vec<ComplaintView>, ChainError> {
        let at = self.at_finalised().await?;
        let mut found = Vec::new();
        for side in [Side::Publisher, Side::Provider] {
            let address = runtime::storage().reputation().open_for();
            let key = (Static(lease), Static(side));
            let id = at.storage().try_fetch(address, key).await.map_err(ChainError::reading)?;
            let Some(id) = id else { continue };
            found.extend(complaint(&at, id.decode().map_err(ChainError::reading)?).await?);
        }
        Ok(found)
    }

    /// What a new complaint against `accused` costs: each that is open makes the next dearer.
    pub async fn complaint_deposit(&self, accused: &AccountBytes) -> Result<Balance, ChainError> {
        let at = self.at_finalised().await?;
        let one = at
            .constants()
            .entry(runtime::constants().reputation().complaint_deposit())
            .map_err(ChainError::reading)?;
        let open = open_against(&at, *accused).await?;
        Ok(one.saturating_mul(Balance::from(open).saturating_add(1)))
    }
}

fn rules(at: &AtBlock) -> Result<Rules, ChainError> {
    let entry = at.constants().entry(runtime::constants().reputation().rules());
    Ok(entry.map_err(ChainError::reading)?.0)
}

async fn reputation(
    at: &AtBlock,
    account: AccountBytes,
    now: UnixSeconds,
    rules: &Rules,
) -> Result<ReputationView, ChainError> {
    let address = runtime::storage().reputation().scores();
    let value = at
        .storage()
        .try_fetch(address, (AccountId32(account),))
        .await
        .map_err(ChainError::reading)?;
    let score = match value {
        Some(value) => value.decode().map_err(ChainError::reading)?.0,
        None => Score::default(),
    };
    let open_complaints = open_against(at, account).await?;
    Ok(ReputationView { score: score.at(now, rules), open_complaints })
}

async fn open_against(at: &AtBlock, account: AccountBytes) -> Result<u32, ChainError> {
    let address = runtime::storage().reputation().open_against();
    let value = at
        .storage()
        .try_fetch(address, (AccountId32(account),))
        .await
        .map_err(ChainError::reading)?;
    value.map_or(Ok(0), |value| value.decode().map_err(ChainError::reading))
}

async fn complaint(at: &AtBlock, id: u64) -> Result<Option<ComplaintView>, ChainError> {
    let address = runtime::storage().reputation().complaints();
    let value = at.storage().try_fetch(address, (id,)).await.map_err(ChainError::reading)?;
    let Some(value) = value else { return Ok(None) };
    let found = value.decode().map_err(ChainError::reading)?;
    Ok(Some(ComplaintView {
        id,
        lease: found.lease.0,
        by: found.by.0,
        author: found.author.0,
        accused: found.accused.0,
        kind: found.kind.0,
        text_hash: found.text_hash,
        deposit: found.deposit,
        until: found.until,
    }))
}
