//! Takes sealed output over from the backend.

use std::collections::{BTreeMap, HashMap, HashSet};

use casemate_client::chain::LeaseView;
use casemate_primitives::{LeaseId, UnixSeconds};
use casemate_provider_core::{Backend, LogBatch, PodId};

use super::Reconciler;
use crate::{
    metrics::Kind,
    spool::{KeptLease, LogRoom},
};

/// What was done and told so far.
#[derive(Debug, Default)]
pub(super) struct LogState {
    /// Leases as they were last noted.
    kept: Option<BTreeMap<LeaseId, KeptLease>>,
    /// Pods that wrote what is not taken at all: told once.
    malformed: HashSet<PodId>,
    /// When a lease's publisher was last told that output was dropped.
    dropped: HashMap<LeaseId, UnixSeconds>,
}

impl<B: Backend> Reconciler<B> {
    /// Spools new chunks. Only what is on disk is given up by the backend.
    pub(super) async fn spool_logs(&mut self, now: UnixSeconds) {
        if !self.keep_leases().await {
            return;
        }
        let pods = match self.parts.backend.logged().await {
            Ok(pods) => pods,
            Err(err) => {
                self.parts.metrics.failed("logs");
                return tracing::error!(%err, "cannot see which pods have written output");
            }
        };
        for pod in pods {
            // A bound: pods that write without end must not keep the others waiting.
            for _ in 0..BATCHES_MAX {
                match self.parts.backend.log_chunks(pod).await {
                    Ok(Some(batch)) => {
                        if !self.spool_batch(pod, batch, now).await {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(err) => {
                        self.parts.metrics.failed("logs");
                        tracing::error!(%pod, %err, "cannot read the pod's sealed output");
                        break;
                    }
                }
            }
        }
    }

    /// Returns whether the spool takes more.
    async fn spool_batch(&mut self, pod: PodId, batch: LogBatch, now: UnixSeconds) -> bool {
        let PodId { lease, replica, .. } = pod;
        let bytes_max = self.settings.log_bytes_max;
        // Of a lease that has left the snapshot nobody knows what is anchored: it loses no log.
        let view = self.snapshot.leases.get(&lease).filter(|lease| lease.is_task);
        let anchored = |lease: &LeaseView| {
            lease.agents.iter().map(|agent| (agent.replica, agent.key)).collect()
        };
        let room = LogRoom { bytes_max, anchored: view.map(anchored) };
        let added = self.parts.spool.add_log_chunks(lease, replica, batch.chunks, room).await;
        let added = match added {
            Ok(added) => added,
            Err(err) => {
                self.parts.metrics.failed("spool");
                tracing::error!(%err, "cannot spool output: free the disk");
                return false;
            }
        };
        let refused = batch.refused.saturating_add(added.refused.len() as u64);
        for (kind, count) in
            [("kept", added.added), ("refused", refused), ("dropped", added.dropped)]
        {
            self.parts.metrics.log_chunks.get_or_create(&Kind { kind }).inc_by(count);
        }
        let is_bad = batch.refused > 0 || added.too_many;
        if is_bad && self.logs.malformed.insert(pod) {
            let reason = match added.too_many {
                true => "its agents were started too often".to_owned(),
                false => batch.reason.unwrap_or_default(),
            };
            let message = format!("the pod's agent writes output that is not taken: {reason}");
            self.event(lease, now, "log-refused", Some(pod), message);
        }
        for (key, why) in added.refused {
            let key = hex::encode(key.get(..4).unwrap_or_default());
            let message = format!(
                "the log of agent {key}… goes on no more: {why}; what came before can be proved"
            );
            self.event(lease, now, "log-refused", Some(pod), message);
        }
        if added.dropped > 0 {
            let told = self.logs.dropped.get(&lease);
            if told.is_none_or(|told| now.saturating_sub(*told) >= DROPPED_TOLD_SECONDS) {
                self.logs.dropped.insert(lease, now);
                let message = format!(
                    "the lease has written more than the {} MiB of output that this provider \
                     keeps: the oldest is dropped from now on; fetch what you need in time",
                    bytes_max >> 20
                );
                self.event(lease, now, "log-dropped", None, message);
            }
        }
        match self.parts.backend.forget_log_chunks(pod, &batch.mark).await {
            Ok(()) => true,
            Err(err) => {
                tracing::warn!(%pod, %err, "cannot drop spooled output");
                true
            }
        }
    }

    /// Notes whose output is kept, and for how long, where that has changed.
    async fn keep_leases(&mut self) -> bool {
        if !self.is_ready {
            return false;
        }
        let leases: BTreeMap<_, _> =
            self.snapshot.leases.iter().map(|(id, lease)| (*id, KeptLease::of(lease))).collect();
        if self.logs.kept.as_ref() == Some(&leases) {
            return true;
        }
        let ended_at = self.snapshot.time;
        if let Err(err) = self.parts.spool.keep_leases(leases.clone(), ended_at).await {
            self.parts.metrics.failed("spool");
            tracing::error!(%err, "cannot note whose output is kept; none is taken");
            return false;
        }
        self.logs.dropped.retain(|lease, _| leases.contains_key(lease));
        self.logs.malformed.retain(|pod| leases.contains_key(&pod.lease));
        self.logs.kept = Some(leases);
        true
    }

    /// Drops what is kept of leases whose retention is over.
    pub(super) async fn sweep_logs(&self) {
        let live = self.snapshot.leases.keys().copied().collect();
        let before = self.snapshot.time.saturating_sub(CHALLENGE_SLACK_SECONDS);
        match self.parts.spool.sweep_logs(live, before).await {
            Ok(0) => (),
            Ok(leases) => tracing::info!(leases, "their logs' retention is over"),
            Err(err) => tracing::error!(%err, "cannot sweep the logs"),
        }
    }
}

/// At most 4 MiB of one pod in one look.
const BATCHES_MAX: usize = 16;
const DROPPED_TOLD_SECONDS: u64 = 3600;
/// A challenge that came before the end of the retention may be answered for ten minutes after it.
const CHALLENGE_SLACK_SECONDS: u64 = 3_600;
