//! What is due on chain for one replica.

use casemate_client::chain::{AgentView, LeaseState, LeaseView};
use casemate_primitives::{AgentPublicKey, LeaseId, ReplicaIndex, UnixSeconds};

use super::Subject;
use crate::spool::RecordKey;

/// One call on chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Make a pod's key the one that is paid.
    Activate {
        /// Lease.
        lease: LeaseId,
        /// Replica.
        replica: ReplicaIndex,
        /// The pod's key.
        key: AgentPublicKey,
    },
    /// Claim the newest record after sequence `after` that ends by `until`.
    Claim {
        /// Whose record.
        key: RecordKey,
        /// Newest sequence on chain.
        after: u64,
        /// Nothing later is paid.
        until: UnixSeconds,
        /// Whether no more records come from that key.
        is_last: bool,
    },
    /// Say that no more records come.
    Settle(LeaseId),
    /// Close a lease without money.
    Close(LeaseId),
}

impl Step {
    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Activate { lease, replica, .. } => (*lease, Some(*replica)),
            Self::Claim { key, .. } => (key.0, Some(key.1)),
            Self::Settle(lease) | Self::Close(lease) => (*lease, None),
        }
    }

    pub(super) fn record_key(&self) -> Option<RecordKey> {
        match self {
            Self::Claim { key, .. } => Some(*key),
            _ => None,
        }
    }

    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::Claim { is_last: true, .. })
    }

    pub(super) fn ok_kind(&self) -> &'static str {
        match self {
            Self::Activate { .. } => "activate-ok",
            Self::Claim { .. } => "claim-ok",
            Self::Settle(_) => "settle-ok",
            Self::Close(_) => "close-ok",
        }
    }

    pub(super) fn failed_kind(&self) -> &'static str {
        match self {
            Self::Activate { .. } => "activate-failed",
            Self::Claim { .. } => "claim-failed",
            Self::Settle(_) => "settle-failed",
            Self::Close(_) => "close-failed",
        }
    }

    pub(super) fn told(&self) -> (&'static str, String) {
        let (kind, text) = match self {
            Self::Activate { .. } => ("activated", "the pod's agent is paid from now on"),
            Self::Claim { .. } => ("claimed", "claim of a usage record"),
            Self::Settle(_) => ("settled", "the lease is settled, the rest goes back"),
            Self::Close(_) => ("closed", "the lease has had no money for its time of grace"),
        };
        (kind, text.to_owned())
    }
}

/// What is known of a replica.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ReplicaView {
    /// Which.
    pub replica: ReplicaIndex,
    /// The agent that the chain pays.
    pub agent: Option<AgentView>,
    /// Pods that are there, by version, with their agents' keys.
    pub pods: Vec<(u32, Option<AgentPublicKey>)>,
    /// Sequence and end of the newest spooled record of that agent.
    pub newest: Option<(u64, UnixSeconds)>,
}

/// The next call for a replica, if one is due.
pub fn next_step(lease: &LeaseView, view: &ReplicaView, claim_seconds: u64) -> Option<Step> {
    let claim = |agent: &AgentView, until: UnixSeconds, is_last: bool| Step::Claim {
        key: (lease.id, view.replica, agent.key),
        after: agent.sequence,
        until,
        is_last,
    };
    let has_new = |agent: &AgentView| view.newest.is_some_and(|(seq, _)| seq > agent.sequence);
    if let LeaseState::Closing { at, .. } = lease.state {
        // Its last record comes when its pods are gone.
        let agent = view.agent.as_ref().filter(|agent| view.pods.is_empty() && has_new(agent))?;
        return Some(claim(agent, at, true));
    }
    let Some(agent) = &view.agent else { return activate(lease, view) };
    let is_here = view.pods.iter().any(|(_, key)| *key == Some(agent.key));
    if is_here {
        let (_, to) = view.newest.filter(|_| has_new(agent))?;
        let paid_to = agent.claimed_to.max(lease.opened_at);
        let is_due = to.saturating_sub(paid_to) >= claim_seconds;
        return is_due.then(|| claim(agent, UnixSeconds::MAX, false));
    }
    // A pod that shows no key yet (again) may still turn out to be the one.
    if has_new(agent) {
        return Some(claim(agent, UnixSeconds::MAX, true));
    }
    activate(lease, view)
}

/// The newest version that has a key: during an update the old pod has the chain's key, so this is
/// asked only before the first and after the old one is gone.
fn activate(lease: &LeaseView, view: &ReplicaView) -> Option<Step> {
    let newest = view.pods.iter().filter_map(|(version, key)| Some((version, (*key)?))).max()?;
    Some(Step::Activate { lease: lease.id, replica: view.replica, key: newest.1 })
}
