//! Keeps the provider's cluster attested on chain: the control plane, which is this daemon.
//!
//! Who must not choose what: whether a cluster counts is the chain's word, and whether its measurement
//! is a good one each publisher's. This loop only brings evidence, at the start and again when half of
//! the time is over for which the last one counts. What goes wrong is told, tried again after a
//! pause, and holds up nothing else.

use std::{sync::Arc, time::Duration};

use casemate_primitives::{Hash256, UnixSeconds};
use tokio::{sync::watch, time::Instant};

use crate::{
    Chain, ChainError,
    attestation::{ClusterAttestor, ClusterWanted, Endorsed, Evidence, EvidenceError},
    chain_of,
    metrics::{Kind, Metrics},
};

/// What the keeper works with.
pub(crate) struct Parts<C> {
    /// Where evidence goes.
    pub(crate) chain: Arc<C>,
    /// Where it comes from.
    pub(crate) attestor: Arc<dyn ClusterAttestor>,
    /// Collateral that was brought for pods counts here, too.
    pub(crate) endorsed: Arc<Endorsed>,
    /// Metrics.
    pub(crate) metrics: Metrics,
}

/// The loop.
pub(crate) struct Keeper<C> {
    parts: Parts<C>,
    standing: Option<Standing>,
    failures: u32,
    not_before: Option<Instant>,
    /// What was told of the last failure.
    told: Option<String>,
}

/// On the chain's clock.
#[derive(Clone, Copy, Debug)]
struct Standing {
    renew_at: UnixSeconds,
    expires_at: UnixSeconds,
}

#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl<C: Chain> Keeper<C> {
    /// One that has done nothing yet. What an earlier process has brought is not asked for: evidence
    /// is of the program that runs now.
    pub(crate) fn new(parts: Parts<C>) -> Self {
        Self { parts, standing: None, failures: 0, not_before: None, told: None }
    }

    /// Keeps the cluster attested until `shutdown` turns true. A call under way is left to the chain.
    pub(crate) async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let mut snapshots = self.parts.chain.snapshots();
        loop {
            let (block, now) = {
                let snapshot = snapshots.borrow_and_update();
                ((snapshot.block_number, snapshot.block_hash), snapshot.time)
            };
            self.measure(now);
            if block.0 > 0 && self.is_due(now) {
                let result = tokio::select! {
                    result = tokio::time::timeout(LIMIT, self.attest(block)) => result,
                    _ = shutdown.wait_for(|stop| *stop) => return,
                };
                self.finished(now, result.unwrap_or(Err(KeepError::TimedOut(LIMIT))));
            }
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() {
                    return;
                },
                () = tokio::time::sleep(TICK) => (),
                _ = shutdown.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn is_due(&self, now: UnixSeconds) -> bool {
        let is_paused = self.not_before.is_some_and(|at| Instant::now() < at);
        !is_paused && self.standing.is_none_or(|standing| now >= standing.renew_at)
    }

    fn measure(&self, now: UnixSeconds) {
        let left = self.standing.map_or(0, |standing| standing.expires_at.saturating_sub(now));
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        self.parts.metrics.cluster_standing_seconds_left.set(left);
    }

    async fn attest(&self, block: (u32, Hash256)) -> Result<UnixSeconds, KeepError> {
        let Parts { chain, attestor, endorsed, .. } = &self.parts;
        let wanted = ClusterWanted {
            genesis_hash: chain.genesis_hash(),
            account: chain.account(),
            block_hash: block.1,
            roots: chain.trust_roots().await?,
        };
        let Evidence { submission, endorsements } = attestor.evidence(wanted).await?;
        let submit = || chain.attest_cluster(block.0, submission.clone());
        let renews = self.standing.is_some();
        Ok(endorsed.submit(&**chain, &endorsements, renews, submit).await?)
    }

    fn finished(&mut self, now: UnixSeconds, result: Result<UnixSeconds, KeepError>) {
        let outcome = match &result {
            Ok(_) => "ok",
            Err(KeepError::Evidence(_)) => "no-evidence",
            Err(KeepError::Chain(err)) if err.is_refusal() => "refused",
            Err(_) => "failed",
        };
        let attestations = &self.parts.metrics.cluster_attestations;
        attestations.get_or_create(&Kind { kind: outcome }).inc();
        match result {
            Ok(expires_at) => {
                let half = expires_at.saturating_sub(now) / 2;
                let renew_at = now.saturating_add(half.max(RENEW_SECONDS_MIN));
                self.standing = Some(Standing { renew_at, expires_at });
                (self.failures, self.not_before, self.told) = (0, None, None);
                self.measure(now);
                tracing::info!(expires_at, "the chain has verified evidence of the control plane");
            }
            Err(err) => {
                self.failures = self.failures.saturating_add(1);
                let pause = PAUSE_MIN * 2u32.pow(self.failures.min(8) - 1);
                self.not_before = Some(Instant::now() + pause.min(PAUSE_MAX));
                let state = match self.standing {
                    Some(standing) if now < standing.expires_at => {
                        "newer evidence of the control plane is not accepted; the last one counts \
                         until its end"
                    }
                    _ => {
                        "the control plane is not attested: publishers that ask for an attested \
                         cluster leave this provider out"
                    }
                };
                let text = chain_of(&err);
                // The same words again tell nothing new.
                let told = format!("{state}: {text}");
                if self.told.as_ref() == Some(&told) {
                    tracing::debug!(failures = self.failures, err = text, "{state}");
                } else {
                    tracing::warn!(err = text, "{state}; it is tried again");
                    self.told = Some(told);
                }
            }
        }
    }
}

/// Pauses end without a block.
const TICK: Duration = Duration::from_secs(1);
/// Evidence, five pieces of collateral, and two tries: as for a pod.
const LIMIT: Duration = Duration::from_secs(600);
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// Evidence counts shortly only while its collateral is about to expire: more of it would cost fees
/// and count no longer.
const RENEW_SECONDS_MIN: u64 = 60;
