//! Runs that were open when their lease was settled.
//!
//! The chain takes no result of them any more, and counts them as open until somebody says that they
//! are lost: their task's history lacks them, and its publisher can't forget it. The lease is not in
//! the snapshot then, so what is open is read once for each lease that has left it, and for each that
//! the spool still keeps after a restart.

use std::{collections::BTreeSet, sync::Arc};

use casemate_client::chain::OpenRunView;
use casemate_primitives::{LeaseId, ReplicaIndex};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};

use super::{ENDED_INTERVAL_MIN, Settler, StepError};
use crate::{Chain, chain_of, world::World};

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// Leases whose open runs were not read since they were live.
    unread: BTreeSet<LeaseId>,
    /// Whether those that the spool keeps are among them.
    has_kept: bool,
    /// Slots of which it is still to be said.
    pub(super) lost: BTreeSet<(LeaseId, ReplicaIndex)>,
    /// The reading.
    pub(super) reading: JoinSet<Result<Found, StepError>>,
    /// When it may begin again, after one that has failed.
    not_before: Option<Instant>,
}

/// What a reading has found.
#[derive(Debug)]
pub(super) enum Found {
    /// Leases that the spool keeps.
    Kept(Vec<LeaseId>),
    /// The open runs of these leases.
    Open(Vec<LeaseId>, Vec<OpenRunView>),
}

impl Gone {
    pub(super) fn read(&mut self, read: Result<Result<Found, StepError>, JoinError>) {
        let err = match read {
            Ok(Ok(Found::Kept(leases))) => {
                self.has_kept = true;
                self.unread.extend(leases);
                return;
            }
            Ok(Ok(Found::Open(leases, open))) => {
                self.unread.retain(|lease| !leases.contains(lease));
                self.lost.extend(open.into_iter().map(|run| (run.lease, run.replica)));
                return;
            }
            Ok(Err(err)) => chain_of(&err),
            Err(err) => chain_of(&err),
        };
        tracing::debug!(err, "the runs of settled leases can't be read");
        self.not_before = Some(Instant::now() + ENDED_INTERVAL_MIN);
    }

    pub(super) fn recorded(&mut self, lease: LeaseId, replica: ReplicaIndex) {
        self.lost.remove(&(lease, replica));
    }
}

impl<C: Chain> Settler<C> {
    /// Reads what is open under leases that are not live any more, beside all else.
    pub(super) fn read_gone(&mut self, world: &World) {
        let leases = &world.snapshot.leases;
        let gone = &mut self.gone;
        gone.unread.extend(leases.values().filter(|lease| lease.is_task).map(|lease| lease.id));
        let is_early = gone.not_before.is_some_and(|at| Instant::now() < at);
        if is_early || !gone.reading.is_empty() {
            return;
        }
        if !gone.has_kept {
            let spool = self.parts.spool.clone();
            gone.reading.spawn(async move { Ok(Found::Kept(spool.kept_leases().await?)) });
            return;
        }
        let is_gone = |lease: &&LeaseId| !leases.contains_key(lease);
        let wanted: Vec<LeaseId> =
            gone.unread.iter().filter(is_gone).take(READ_MAX).copied().collect();
        if wanted.is_empty() {
            return;
        }
        let chain = Arc::clone(&self.parts.chain);
        gone.reading.spawn(async move {
            let mut open = Vec::new();
            for lease in &wanted {
                open.extend(chain.open_runs(*lease).await?);
            }
            Ok(Found::Open(wanted, open))
        });
    }
}

/// Leases in one reading: after a restart there may be thousands.
const READ_MAX: usize = 256;

#[cfg(test)]
mod tests;
