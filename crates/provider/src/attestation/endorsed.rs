//! What was brought on chain already, so that each piece of collateral costs one fee.

use std::collections::HashSet;

use casemate_client::chain::Endorsement;
use casemate_primitives::{Hash256, blake2_256};
use tokio::sync::Mutex;

use crate::{Chain, ChainError};

/// A machine has six pieces, anew every few weeks: this is years of them.
const PIECES_MAX: usize = 1024;

/// What this process knows to be on chain. Empty after a start: the chain is then asked by trying.
#[derive(Debug, Default)]
pub(crate) struct Endorsed {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    pieces: HashSet<Hash256>,
    /// Counts how often something was brought.
    round: u64,
}

impl Endorsed {
    /// The round, if anything was brought on chain since the start.
    async fn round(&self) -> Option<u64> {
        let known = self.known.lock().await;
        (!known.pieces.is_empty()).then_some(known.round)
    }

    /// Has the chain verify evidence, and brings the collateral that it lacks. `renews`: newer
    /// collateral is brought along in any case, so that the new standing is a long one.
    pub(crate) async fn submit<C: Chain, T, F>(
        &self,
        chain: &C,
        endorsements: &[Endorsement],
        renews: bool,
        submit: impl Fn() -> F,
    ) -> Result<T, ChainError>
    where
        F: Future<Output = Result<T, ChainError>>,
    {
        let round = self.round().await;
        // Mostly the chain has the collateral from another pod or provider, and trying costs less
        // than asking.
        if renews || round.is_some() {
            self.bring(chain, endorsements, None).await?;
        }
        match submit().await {
            Err(err) if is_missing(&err) => {
                self.bring(chain, endorsements, round).await?;
                submit().await
            }
            result => result,
        }
    }

    /// Brings on chain what is not known to be there. `missing_since`: the chain has said, after this
    /// round, that something is missing; where nobody has brought anything since, all of it is
    /// brought again.
    ///
    /// One at a time, so that many pods that start at once bring it once.
    async fn bring<C: Chain>(
        &self,
        chain: &C,
        pieces: &[Endorsement],
        missing_since: Option<u64>,
    ) -> Result<(), ChainError> {
        let mut known = self.known.lock().await;
        if missing_since == Some(known.round) || known.pieces.len() > PIECES_MAX {
            known.pieces.clear();
        }
        for piece in pieces {
            let digest = blake2_256(format!("{piece:?}").as_bytes());
            if known.pieces.contains(&digest) {
                continue;
            }
            let name = piece.name();
            let is_new = chain.endorse(piece.clone()).await?;
            if is_new {
                tracing::info!(name, "collateral was brought on chain");
            } else {
                tracing::debug!(name, "the chain has this collateral, or newer");
            }
            known.pieces.insert(digest);
            known.round = known.round.wrapping_add(1);
        }
        Ok(())
    }
}

/// Whether the chain lacks collateral, or has only what has expired.
fn is_missing(err: &ChainError) -> bool {
    const NAMES: [&str; 3] = ["CertificateUnknown", "CollateralMissing", "CollateralExpired"];
    matches!(err, ChainError::Refused { name, .. } if NAMES.contains(&name.as_str()))
}
