//! Waiting for what comes of a transaction.

use casemate_client::chain::{ChainError, ChainEvent};
use casemate_primitives::LeaseId;
use tokio::sync::mpsc;

use super::{Chain, Settled};
use crate::failure::{Failure, OrFail as _};

/// Finalised events, from the moment it was made.
#[derive(Debug)]
pub(crate) struct Watch {
    blocks: mpsc::Receiver<Result<Vec<ChainEvent>, ChainError>>,
}

/// Blocks that wait to be looked at: more than a development chain makes in a second.
const BLOCKS_MAX: usize = 64;

impl Chain {
    /// Begins to watch; make it before the transaction whose consequences are waited for.
    pub(crate) async fn watch(&self) -> anyhow::Result<Watch> {
        let mut events = self.client.events().await?;
        let (sender, blocks) = mpsc::channel(BLOCKS_MAX);
        // Reading a block takes several answers of the node and must not be given up half-way,
        // while whoever waits here looks up from time to time.
        tokio::spawn(async move {
            loop {
                let block = events.next().await;
                let broken = block.is_err();
                if sender.send(block).await.is_err() || broken {
                    return;
                }
            }
        });
        Ok(Watch { blocks })
    }
}

impl Watch {
    /// Waits until this lease is settled.
    ///
    /// # Cancel safety
    /// It may be dropped and called again; no block is skipped.
    pub(crate) async fn settled(&mut self, lease: LeaseId) -> anyhow::Result<Settled> {
        loop {
            let block = self.blocks.recv().await.unwrap_or_else(|| {
                Err(ChainError::Unreachable("the node's events have come to an end".to_owned()))
            });
            let events = block.or_fail(|| {
                Failure::new(format!("lost sight of the chain while lease {lease} was closing"))
                    .hint("see whether it is still there: casemate list")
            })?;
            if let Some(settled) = settled_in(&events, lease) {
                return Ok(settled);
            }
        }
    }
}

pub(super) fn settled_in(events: &[ChainEvent], lease: LeaseId) -> Option<Settled> {
    events.iter().find_map(|event| match event {
        ChainEvent::LeaseSettled { lease: id, paid, refunded, .. } if *id == lease => {
            Some(Settled { paid: *paid, refunded: *refunded })
        }
        _ => None,
    })
}
