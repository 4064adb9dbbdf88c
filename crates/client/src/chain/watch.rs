//! Following one provider's leases over finalised blocks.

use std::{sync::Arc, time::Duration};

use casemate_primitives::{AccountBytes, LeaseId};
use subxt::utils::AccountId32;
use tokio::sync::watch;

use super::{
    ChainClient, ChainError, ChainEvent, ChainSnapshot,
    events::events_at,
    read::{self, AtBlock},
    runtime,
};

/// First pause before the connection is tried again; doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Read all of `provider`'s unsettled leases, then follow finality and keep them up to date: a
/// block costs what changed in it, not what there is.
///
/// The first value has block number 0: nothing was read yet. A broken connection sends nothing,
/// is tried again for ever, and ends in a full read, so that nothing that happened in between is
/// missed. The task ends when every receiver is dropped.
pub fn watch_leases(
    client: ChainClient,
    provider: AccountBytes,
) -> watch::Receiver<Arc<ChainSnapshot>> {
    let (sender, receiver) = watch::channel(Arc::new(ChainSnapshot::default()));
    tokio::spawn(async move {
        let mut retry = RETRY_MIN;
        loop {
            let before = sender.borrow().block_number;
            let result = tokio::select! {
                result = follow(&client, provider, &sender) => result,
                () = sender.closed() => return,
            };
            if let Err(error) = result {
                tracing::warn!(%error, "the chain can't be followed; trying again");
            }
            // A connection that brought something starts the pauses anew.
            if sender.borrow().block_number > before {
                retry = RETRY_MIN;
            }
            tokio::select! {
                () = tokio::time::sleep(retry) => {}
                () = sender.closed() => return,
            }
            retry = (retry * 2).min(RETRY_MAX);
        }
    });
    receiver
}

async fn follow(
    client: &ChainClient,
    provider: AccountBytes,
    sender: &watch::Sender<Arc<ChainSnapshot>>,
) -> Result<(), ChainError> {
    // Subscribe before the full read, so that no block falls between the two.
    let mut blocks = client.api.stream_blocks().await.map_err(ChainError::reading)?;
    let mut snapshot: Option<ChainSnapshot> = None;
    while let Some(block) = blocks.next().await {
        let block = block.map_err(ChainError::reading)?;
        let number = u32::try_from(block.number())
            .map_err(|_| ChainError::Decode("a block number above 2^32".into()))?;
        let at = block.at().await.map_err(ChainError::reading)?;
        let next = match snapshot.take() {
            Some(last) if number <= last.block_number => last,
            Some(last) if last.block_number.checked_add(1) == Some(number) => {
                advance(&at, provider, last).await?
            }
            // The first block, or one after a gap.
            _ => full_read(&at, provider).await?,
        };
        let next = ChainSnapshot {
            block_number: number,
            block_hash: at.block_hash().0,
            time: read::time(&at).await?,
            ..next
        };
        let current = sender.borrow().block_number;
        if number >= current {
            sender.send_replace(Arc::new(next.clone()));
        }
        snapshot = Some(next);
    }
    Err(ChainError::Unreachable("the node ended the subscription".into()))
}

async fn full_read(at: &AtBlock, provider: AccountBytes) -> Result<ChainSnapshot, ChainError> {
    let address = runtime::storage().leases().by_provider();
    let mut entries =
        at.storage().iter(address, (AccountId32(provider),)).await.map_err(ChainError::reading)?;
    let mut snapshot = ChainSnapshot::default();
    while let Some(entry) = entries.next().await {
        let entry = entry.map_err(ChainError::reading)?;
        let (_, id) = entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
        refresh(at, &mut snapshot, id.0).await?;
    }
    Ok(snapshot)
}

async fn advance(
    at: &AtBlock,
    provider: AccountBytes,
    mut snapshot: ChainSnapshot,
) -> Result<ChainSnapshot, ChainError> {
    let mut touched = std::collections::BTreeSet::new();
    for event in events_at(at).await? {
        match event {
            ChainEvent::LeaseOpened { lease, provider: who, .. } => {
                if who == provider {
                    touched.insert(lease);
                }
            }
            ChainEvent::LeaseChanged { lease }
            | ChainEvent::Claimed { lease, .. }
            | ChainEvent::ProviderSlashed { lease, .. }
            | ChainEvent::ClaimsRefunded { lease, .. }
            | ChainEvent::LeaseSettled { lease, .. } => {
                if snapshot.leases.contains_key(&lease) {
                    touched.insert(lease);
                }
            }
            ChainEvent::DeploymentChanged { deployment }
            | ChainEvent::TaskChanged { task: deployment } => touched.extend(
                snapshot
                    .leases
                    .values()
                    .filter(|lease| lease.deployment == deployment)
                    .map(|lease| lease.id),
            ),
            // Of no lease, or of nothing that a snapshot has (a task without a lease); what challenges
            // do to a lease, the lease's own events say.
            ChainEvent::TaskCreated { .. }
            | ChainEvent::Appraised(_)
            | ChainEvent::ClusterAttested { .. }
            | ChainEvent::Complained { .. }
            | ChainEvent::CommitteeExecuted { .. }
            | ChainEvent::Proofs(_) => {}
        }
    }
    for lease in touched {
        refresh(at, &mut snapshot, lease).await?;
    }
    Ok(snapshot)
}

async fn refresh(
    at: &AtBlock,
    snapshot: &mut ChainSnapshot,
    id: LeaseId,
) -> Result<(), ChainError> {
    match read::lease(at, id).await? {
        Some(lease) => snapshot.leases.insert(id, lease),
        None => snapshot.leases.remove(&id),
    };
    Ok(())
}
