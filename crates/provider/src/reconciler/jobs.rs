//! Carrying steps out.

use std::{sync::Arc, time::Duration};

use casemate_primitives::{LeaseId, UnixSeconds};
use casemate_provider_core::{
    Backend, BackendError, Pod, PodId, PodRun,
    plan::{Action, DeleteReason},
};
use tokio::task::JoinError;

use super::{Reconciler, run_pod};
use crate::chain_of;

/// What a job did.
#[derive(Debug)]
pub(super) enum Done {
    Applied(PodId, Result<(), JobError>),
    Deleted(PodId, DeleteReason, Result<(), JobError>),
    VolumesDeleted(LeaseId, Result<(), JobError>),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error(transparent)]
    Spool(#[from] crate::spool::SpoolError),
    #[error("the manifest is gone or damaged: hand it over again")]
    NoManifest,
}

impl<B: Backend> Reconciler<B> {
    /// Starts a job for each step whose pod has none. One step that fails never hides another.
    pub(super) async fn act(&mut self, actions: Vec<Action>, now: UnixSeconds) {
        let mut applies = Vec::new();
        for action in actions {
            match action {
                Action::Apply(id) if !self.busy.contains(&id) => {
                    let lease = self.snapshot.leases.get(&id.lease);
                    if let Some(hash) = lease.map(|lease| lease.manifest_of(id.replica)) {
                        applies.push((id, hash));
                    }
                }
                Action::Delete(id, reason) if !self.busy.contains(&id) => {
                    self.delete(id, reason, now);
                }
                Action::DeleteVolumes(lease) if !self.busy_leases.contains(&lease) => {
                    self.delete_volumes(lease);
                }
                _ => (),
            }
        }
        if applies.is_empty() {
            return;
        }
        // Noted first: a pod that exists is always known, whatever happens in between.
        if let Err(err) = self.parts.spool.add_pods(applies.clone()).await {
            self.parts.metrics.failed("spool");
            return tracing::error!(%err, "cannot note new pods; they are not started");
        }
        for (id, hash) in applies {
            self.manifests.insert(id, hash);
            self.had_pods.insert(id.lease);
            self.busy.insert(id);
            if !self.history.retry_at.contains_key(&id) {
                let message = "the pod is started".into();
                self.event(id.lease, now, "scheduled", Some(id), message);
            }
            let (slots, backend) = (Arc::clone(&self.slots), Arc::clone(&self.parts.backend));
            let store = self.parts.facts.store().clone();
            let genesis_hash = self.settings.genesis_hash;
            let record_interval = self.settings.record_interval;
            let run = self.run_of(id);
            self.jobs.spawn(async move {
                let _slot = slots.acquire_owned().await;
                let loaded = tokio::task::spawn_blocking(move || store.load(&hash)).await;
                let applied = match loaded.ok().flatten() {
                    Some(manifest) => {
                        let manifest = Arc::new(manifest);
                        let pod = Pod { id, genesis_hash, manifest, record_interval, run };
                        backend.apply(&pod).await.map_err(JobError::from)
                    }
                    None => Err(JobError::NoManifest),
                };
                Done::Applied(id, applied)
            });
        }
    }

    /// The open run that a pod is, if it is one.
    fn run_of(&self, id: PodId) -> Option<PodRun> {
        let task = self.snapshot.leases.get(&id.lease)?.task.as_ref()?;
        let run = task.run_in(id.replica).filter(|run| run_pod(run) == Some(id))?;
        Some(PodRun { run: run.run, scheduled_at: run.scheduled_at })
    }

    fn delete(&mut self, id: PodId, reason: DeleteReason, now: UnixSeconds) {
        let (kind, message) = match reason {
            DeleteReason::Superseded => ("replaced", "a newer version has taken over"),
            DeleteReason::RolledBack => {
                ("rolled-back", "the update did not become ready; the version before it goes on")
            }
            DeleteReason::Retried => ("retried", "the pod failed and is started afresh"),
            DeleteReason::RunOver => ("run-over", "the run has ended"),
            DeleteReason::LeaseClosing => ("stopping", "the lease is closing"),
            DeleteReason::Unknown => ("stopping", "no lease asks for this pod any more"),
        };
        self.event(id.lease, now, kind, Some(id), message.into());
        match reason {
            DeleteReason::RolledBack => {
                self.history.given_up.insert(id);
            }
            DeleteReason::Retried => {
                self.history.retry_at.remove(&id);
            }
            _ => (),
        }
        self.busy.insert(id);
        let facts = self.manifests.get(&id).and_then(|hash| self.parts.facts.get(hash));
        let grace = facts.map_or(GRACE_DEFAULT, |facts| facts.grace);
        let (backend, ingress) = (Arc::clone(&self.parts.backend), self.parts.ingress.clone());
        let (spool, drain) = (self.parts.spool.clone(), self.settings.drain);
        self.jobs.spawn(async move {
            // It has left the routing table already: only requests under way are waited for.
            ingress.drained(id, drain).await;
            let deleted = async {
                backend.delete(id, grace).await?;
                Ok(spool.pod_deleted(id).await?)
            };
            Done::Deleted(id, reason, deleted.await)
        });
    }

    fn delete_volumes(&mut self, lease: LeaseId) {
        self.busy_leases.insert(lease);
        let (backend, spool) = (Arc::clone(&self.parts.backend), self.parts.spool.clone());
        self.jobs.spawn(async move {
            let deleted = async {
                backend.delete_volumes(lease).await?;
                Ok(spool.forget_lease(lease).await?)
            };
            Done::VolumesDeleted(lease, deleted.await)
        });
    }

    /// Takes note of what a job did.
    pub(super) async fn finished(&mut self, done: Result<Done, JoinError>) {
        let done = match done {
            Ok(done) => done,
            Err(err) => {
                // Which pod it was is lost with it: let every pod have a job again. A second one
                // for the same pod does no harm, as backends take the same call twice.
                self.parts.metrics.failed("job");
                tracing::error!(%err, "a job broke off");
                self.busy.clear();
                self.busy_leases.clear();
                return;
            }
        };
        let now = (self.parts.clock)();
        match done {
            Done::Applied(id, result) => {
                self.busy.remove(&id);
                match result {
                    Ok(()) => {
                        self.history.retry_at.remove(&id);
                    }
                    Err(err) => {
                        self.parts.metrics.failed("apply");
                        self.fail(id, now);
                        let message = format!("the pod cannot be started: {}", chain_of(&err));
                        self.event(id.lease, now, "failed", Some(id), message);
                    }
                }
            }
            Done::Deleted(id, reason, result) => {
                self.busy.remove(&id);
                match result {
                    Ok(()) => {
                        self.manifests.remove(&id);
                        if reason != DeleteReason::Retried {
                            self.failures.remove(&id);
                        }
                        let message = "the pod is gone".into();
                        self.event(id.lease, now, "stopped", Some(id), message);
                    }
                    Err(err) => {
                        self.parts.metrics.failed("delete");
                        tracing::error!(pod = %id, err = chain_of(&err), "cannot delete a pod");
                    }
                }
            }
            Done::VolumesDeleted(lease, result) => {
                self.busy_leases.remove(&lease);
                match result {
                    Ok(()) => {
                        self.had_pods.remove(&lease);
                        self.tcp_ports.retain(|(of, ..), _| *of != lease);
                        self.newest.retain(|(of, ..), _| *of != lease);
                        self.ended_runs.retain(|(of, ..), _| *of != lease);
                        self.events.retain(|event| event.lease != lease);
                        tracing::info!(%lease, "the lease is over, its volumes are gone");
                    }
                    Err(err) => {
                        self.parts.metrics.failed("volumes");
                        tracing::error!(%lease, err = chain_of(&err), "cannot delete volumes");
                    }
                }
            }
        }
    }
}

const GRACE_DEFAULT: Duration = Duration::from_secs(10);
