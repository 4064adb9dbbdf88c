//! What the reconciler saw last, for everybody else to read.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use casemate_client::chain::ChainSnapshot;
use casemate_primitives::{Hash256, LeaseId, RunId, UnixSeconds};
use casemate_provider_core::{PodId, PodStatus};

use crate::spool::RecordKey;

/// One consistent look at chain, backend and spool.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Newest finalised block that was acted on; its number is 0 before the first.
    pub snapshot: Arc<ChainSnapshot>,
    /// Pods in the order of their ids.
    pub pods: Arc<Vec<PodStatus>>,
    /// Manifest of each pod.
    pub manifests: Arc<BTreeMap<PodId, Hash256>>,
    /// Sequence and end of the newest spooled record of each agent.
    pub newest: Arc<HashMap<RecordKey, (u64, UnixSeconds)>>,
    /// The runs of tasks whose results are spooled, by their agents.
    pub ended_runs: Arc<HashMap<RecordKey, RunId>>,
    /// What keeps leases from being as they should.
    pub problems: Arc<BTreeMap<LeaseId, Vec<String>>>,
    /// TCP ports that were given out, by lease, container and port in it.
    pub tcp_ports: Arc<BTreeMap<(LeaseId, String, u16), u16>>,
    /// Whether a finalised block was read.
    pub is_ready: bool,
    /// How often the backend was observed.
    pub observations: u64,
}

impl World {
    /// The pods of a lease.
    pub fn pods_of(&self, lease: LeaseId) -> &[PodStatus] {
        let start = self.pods.partition_point(|pod| pod.id.lease < lease);
        let end = self.pods.partition_point(|pod| pod.id.lease <= lease);
        &self.pods[start..end]
    }
}
