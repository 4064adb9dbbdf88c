//! What has changed since the last look.

use std::collections::{HashMap, HashSet};

use casemate_client::chain::AgentView;
use casemate_primitives::UnixSeconds;
use casemate_provider_core::{Attestation, Backend, ContainerState, PodId, PodPhase, PodStatus};

use super::Reconciler;
use crate::spool::RecordKey;

/// What is remembered of a pod to notice changes.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    phase: PodPhase,
    restarts: u32,
    /// Why its use can't be paid, as far as the pod itself tells.
    unattested: Option<String>,
}

/// Why no evidence of a pod can be had, if that is known.
fn unattested(pod: &PodStatus) -> Option<String> {
    if !matches!(pod.phase, PodPhase::Running { .. }) {
        return None;
    }
    match &pod.attestation {
        Attestation::Off => Some(
            "the pod was started without a TEE (the provider's configuration had no `[tee]`), so \
             it shows no evidence and its use is not paid"
                .into(),
        ),
        Attestation::Waiting { reason: Some(reason) } => {
            Some(format!("its use is not paid while its agent has no evidence: {reason}"))
        }
        Attestation::Waiting { reason: None } | Attestation::Available(_) => None,
    }
}

pub(super) fn phase_kind(phase: &PodPhase) -> &'static str {
    match phase {
        PodPhase::Starting => "starting",
        PodPhase::Running { ready: false } => "unready",
        PodPhase::Running { ready: true } => "ready",
        PodPhase::Ended(_) => "ended",
        PodPhase::Failed(_) => "failed",
    }
}

impl<B: Backend> Reconciler<B> {
    /// Spools new records. Only what is on disk is given up by the backend.
    pub(super) async fn spool_usage(&mut self, pods: &[PodStatus]) {
        let usage = match self.parts.backend.usage().await {
            Ok(usage) => usage,
            Err(err) => {
                self.parts.metrics.failed("usage");
                return tracing::error!(%err, "cannot read the usage records");
            }
        };
        let key = |r: &casemate_provider_core::SignedUsageRecord| {
            (r.record.lease, r.record.replica, r.key)
        };
        let mut new = Vec::new();
        for (pod, signed) in &usage {
            // A backend that mixed pods up must not make one lease pay for another.
            if (signed.record.lease, signed.record.replica) != (pod.lease, pod.replica) {
                self.parts.metrics.failed("usage");
                tracing::error!(%pod, "the backend gives a record of another pod; it is left out");
                continue;
            }
            let known = self.newest.get(&key(signed)).map_or(0, |(sequence, _)| *sequence);
            if signed.record.sequence > known {
                new.push(signed.clone());
            }
        }
        if !new.is_empty() {
            if let Err(err) = self.parts.spool.add_records(new.clone()).await {
                self.parts.metrics.failed("spool");
                return tracing::error!(%err, "cannot spool usage records: free the disk");
            }
            for signed in &new {
                self.newest.insert(key(signed), (signed.record.sequence, signed.record.to));
                if let Some(run) = &signed.run {
                    self.ended_runs.insert(key(signed), run.result.run);
                }
            }
        }
        let present: HashSet<PodId> = pods.iter().map(|pod| pod.id).collect();
        for (pod, signed) in usage.iter().filter(|(pod, _)| !present.contains(pod)) {
            if let Err(err) = self.parts.backend.forget_usage(*pod, signed.record.to).await {
                tracing::warn!(%pod, %err, "cannot drop a spooled record");
            }
        }
    }

    /// Drops records of keys that the chain does not pay and no pod has: those of an update that
    /// was rolled back, or of a pod that was replaced and paid.
    pub(super) async fn drop_unpayable(&mut self, pods: &[PodStatus]) {
        let payable = |key: &RecordKey| {
            let Some(lease) = self.snapshot.leases.get(&key.0) else { return true };
            let has_key = |agent: &AgentView| agent.replica == key.1 && agent.key == key.2;
            let first = pods.partition_point(|pod| pod.id.lease < key.0);
            lease.agents.iter().any(has_key)
                || pods[first..]
                    .iter()
                    .take_while(|pod| pod.id.lease == key.0)
                    .any(|p| p.id.replica == key.1 && p.agent_key.is_none_or(|k| k == key.2))
        };
        let useless: Vec<RecordKey> =
            self.newest.keys().filter(|key| !payable(key)).copied().collect();
        for key in useless {
            if let Err(err) = self.parts.spool.forget_agent(key).await {
                self.parts.metrics.failed("spool");
                return tracing::error!(%err, "cannot drop records that nobody pays");
            }
            self.newest.remove(&key);
            self.ended_runs.remove(&key);
        }
    }

    /// Makes events of changes, and times of failures.
    pub(super) fn notice(&mut self, pods: &[PodStatus], now: UnixSeconds) {
        let before = self.seen.take();
        let mut seen = HashMap::with_capacity(pods.len());
        for pod in pods {
            let restarts = pod.containers.iter().map(|container| container.restarts).sum();
            let old = before.as_ref().and_then(|before| before.get(&pod.id));
            // At the first look after a start nothing is news.
            if before.is_some() {
                self.notice_pod(pod, old, restarts, now);
            }
            match &pod.phase {
                PodPhase::Running { ready: true } => {
                    self.failures.remove(&pod.id);
                    self.history.retry_at.remove(&pod.id);
                }
                PodPhase::Failed(reason) => {
                    self.problem(pod.id.lease, format!("pod {}: {reason}", pod.id));
                    if !self.history.retry_at.contains_key(&pod.id) {
                        self.fail(pod.id, now);
                    }
                }
                // Of a run: its agent is dead. The plan knows whether its result can still count.
                PodPhase::Ended(_)
                    if self.is_of_task(pod.id) && !self.history.retry_at.contains_key(&pod.id) =>
                {
                    self.fail(pod.id, now);
                }
                _ => (),
            }
            for container in &pod.containers {
                if let ContainerState::BackOff { exit_code } = container.state {
                    self.problem(
                        pod.id.lease,
                        format!(
                            "pod {}: container `{}` ended with code {exit_code} and is started \
                             again after a pause; look at its logs",
                            pod.id, container.name
                        ),
                    );
                }
            }
            let unattested = unattested(pod);
            if let Some(reason) = &unattested {
                self.problem(pod.id.lease, format!("pod {}: {reason}", pod.id));
            }
            seen.insert(pod.id, Seen { phase: pod.phase.clone(), restarts, unattested });
        }
        self.seen = Some(seen);
    }

    fn is_of_task(&self, pod: PodId) -> bool {
        self.snapshot.leases.get(&pod.lease).is_some_and(|lease| lease.is_task)
    }

    fn notice_pod(&mut self, pod: &PodStatus, old: Option<&Seen>, restarts: u32, now: UnixSeconds) {
        let id = pod.id;
        if old.is_none_or(|old| old.phase != pod.phase) {
            let was_ready = old.is_some_and(|old| old.phase == PodPhase::Running { ready: true });
            let (kind, message) = match &pod.phase {
                PodPhase::Starting => ("starting", "the images are fetched and started".into()),
                PodPhase::Running { ready: true } => {
                    ("ready", "all containers are ready, traffic may come".into())
                }
                PodPhase::Running { ready: false } if was_ready => {
                    ("unhealthy", "a readiness probe fails, traffic is held back".into())
                }
                PodPhase::Running { ready: false } => {
                    ("started", "the containers run, but are not ready yet".into())
                }
                PodPhase::Ended(reason) => ("ended", reason.clone()),
                PodPhase::Failed(reason) => ("failed", reason.clone()),
            };
            self.event(id.lease, now, kind, Some(id), message);
        }
        if let Some(reason) = unattested(pod)
            && old.is_none_or(|old| old.unattested.as_ref() != Some(&reason))
        {
            self.event(id.lease, now, "unattested", Some(id), reason);
        }
        if let Some(old) = old
            && restarts > old.restarts
        {
            let message = format!("containers were started again ({restarts} times in all)");
            self.event(id.lease, now, "restarted", Some(id), message);
        }
    }

    /// Plans the next try of a pod, later each time.
    pub(super) fn fail(&mut self, pod: PodId, now: UnixSeconds) {
        let count = self.failures.entry(pod).or_default();
        *count = count.saturating_add(1);
        let pause = RETRY_SECONDS_MIN << (*count - 1).min(6);
        self.history.retry_at.insert(pod, now.saturating_add(pause.min(RETRY_SECONDS_MAX)));
    }
}

const RETRY_SECONDS_MIN: u64 = 5;
const RETRY_SECONDS_MAX: u64 = 300;
