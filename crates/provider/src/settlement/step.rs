//! What is due on chain for one replica.

use std::net::SocketAddr;

use casemate_client::chain::{AgentView, AttestedKeys, LeaseState, LeaseView};
use casemate_primitives::{
    AgentPublicKey, DeploymentId, Hash256, LeaseId, ReplicaIndex, RunId, TaskTerms, UnixSeconds,
};
use casemate_provider_core::AttestationEndpoint;

use super::Subject;
use crate::spool::RecordKey;

/// One call on chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Bring evidence of a pod's agent on chain, so that its key is paid from now on.
    Attest {
        /// Lease.
        lease: LeaseId,
        /// Replica.
        replica: ReplicaIndex,
        /// Manifest that the chain expects.
        manifest_hash: Hash256,
        /// Where the agent serves it.
        address: SocketAddr,
        /// The agent's keys.
        keys: AttestedKeys,
        /// Whether the chain has that key already.
        is_renewal: bool,
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
    /// Begin the run of a scheduled time.
    Begin {
        /// Under which lease.
        lease: LeaseId,
        /// In which slot.
        replica: ReplicaIndex,
        /// For when it was scheduled.
        scheduled_at: UnixSeconds,
        /// The terms that it is begun for.
        terms: TaskTerms,
        /// The manifest that it is begun with.
        manifest_hash: Hash256,
    },
    /// End a run by its agent's result.
    Submit {
        /// Whose result.
        key: RecordKey,
    },
    /// Record that nothing was begun at scheduled times.
    Missed {
        /// Under which lease.
        lease: LeaseId,
        /// Of which task.
        task: DeploymentId,
        /// Which, of a cron.
        scheduled_at: Option<UnixSeconds>,
    },
    /// Record that a run can have no result any more.
    Lost {
        /// Under which lease.
        lease: LeaseId,
        /// In which slot.
        replica: ReplicaIndex,
    },
    /// Say that no more records come.
    Settle(LeaseId),
    /// Give notice of a lease.
    Notice(LeaseId),
    /// Close a lease.
    Close(LeaseId, CloseReason),
    /// Have final claims paid out.
    Payout(LeaseId),
    /// Have the chain forget a settled lease of which nothing is owed.
    Forget(LeaseId),
}

/// Why a provider closes a lease by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseReason {
    /// It has had no money for its time of grace.
    OutOfFunds,
    /// The apps of all its replicas have ended by themselves.
    AppEnded,
    /// Its manifest can't be run, and the agreed silence is about to be over.
    NeverStarted,
    /// The provider has given notice, and waited for the agreed time.
    Reclaimed,
    /// It is of a task that no run could begin of for its time of grace.
    Idle,
}

impl Step {
    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Attest { lease, replica, .. } => (*lease, Some(*replica)),
            Self::Claim { key, .. } | Self::Submit { key } => (key.0, Some(key.1)),
            Self::Lost { lease, replica } => (*lease, Some(*replica)),
            // One at a time: scheduled times are begun in their order.
            Self::Begin { lease, .. } | Self::Missed { lease, .. } => (*lease, None),
            Self::Settle(lease)
            | Self::Notice(lease)
            | Self::Close(lease, _)
            | Self::Payout(lease)
            | Self::Forget(lease) => (*lease, None),
        }
    }

    pub(super) fn record_key(&self) -> Option<RecordKey> {
        match self {
            Self::Claim { key, .. } | Self::Submit { key } => Some(*key),
            _ => None,
        }
    }

    pub(super) fn is_attest(&self) -> bool {
        matches!(self, Self::Attest { .. })
    }

    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::Claim { is_last: true, .. } | Self::Submit { .. })
    }

    pub(super) fn ok_kind(&self) -> &'static str {
        match self {
            Self::Attest { .. } => "attest-ok",
            Self::Claim { .. } => "claim-ok",
            Self::Begin { .. } => "begin-ok",
            Self::Submit { .. } => "result-ok",
            Self::Missed { .. } => "missed-ok",
            Self::Lost { .. } => "lost-ok",
            Self::Settle(_) => "settle-ok",
            Self::Notice(_) => "notice-ok",
            Self::Close(..) => "close-ok",
            Self::Payout(_) => "payout-ok",
            Self::Forget(_) => "forget-ok",
        }
    }

    pub(super) fn failed_kind(&self) -> &'static str {
        match self {
            Self::Attest { .. } => "attest-failed",
            Self::Claim { .. } => "claim-failed",
            Self::Begin { .. } => "begin-failed",
            Self::Submit { .. } => "result-failed",
            Self::Missed { .. } => "missed-failed",
            Self::Lost { .. } => "lost-failed",
            Self::Settle(_) => "settle-failed",
            Self::Notice(_) => "notice-failed",
            Self::Close(..) => "close-failed",
            Self::Payout(_) => "payout-failed",
            Self::Forget(_) => "forget-failed",
        }
    }

    /// The same for a failure.
    pub(super) fn tried(&self) -> String {
        match self {
            Self::Attest { is_renewal: false, .. } => {
                "its use is not paid yet: there is no evidence that the chain accepts".into()
            }
            Self::Attest { is_renewal: true, .. } => {
                "newer evidence is not accepted; its use is paid until the older one's end".into()
            }
            _ => self.told().1,
        }
    }

    pub(super) fn told(&self) -> (&'static str, String) {
        let (kind, text) = match self {
            Self::Attest { is_renewal: false, .. } => (
                "activated",
                "the chain has verified the pod's evidence: its agent is paid from now on",
            ),
            Self::Attest { is_renewal: true, .. } => {
                ("attested", "the chain has verified newer evidence of the pod's agent")
            }
            Self::Claim { .. } => ("claimed", "claim of a usage record"),
            Self::Begin { .. } => ("run-begun", "a run has begun"),
            Self::Submit { .. } => ("run-ended", "the result of a run is on chain"),
            Self::Missed { .. } => ("run-missed", "scheduled times were missed"),
            Self::Lost { .. } => ("run-lost", "a run has no result"),
            Self::Settle(_) => ("settled", "the lease is settled, the rest goes back"),
            Self::Payout(_) => ("paid-out", "claims that nobody contested in time are paid out"),
            Self::Forget(_) => ("forgotten", "nothing of the lease is owed any more"),
            Self::Close(_, CloseReason::OutOfFunds) => {
                ("closed", "the lease has had no money for its time of grace")
            }
            Self::Close(_, CloseReason::AppEnded) => {
                ("closed", "the apps of all replicas have ended by themselves")
            }
            Self::Close(_, CloseReason::NeverStarted) => (
                "closed",
                "no pod of it could be started and attested in three quarters of the time after \
                 which this provider would be fined for its silence",
            ),
            Self::Notice(_) => (
                "notice",
                "no run of the task could begin for its time of grace: the provider closes the \
                 lease after the notice that was agreed",
            ),
            Self::Close(_, CloseReason::Idle) => {
                ("closed", "no run of the task could begin for its time of grace")
            }
            Self::Close(_, CloseReason::Reclaimed) => {
                ("reclaimed", "the provider leaves, after the notice that was agreed")
            }
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
    /// Pods that are there.
    pub pods: Vec<PodView>,
    /// Sequence and end of the newest spooled record of that agent.
    pub newest: Option<(u64, UnixSeconds)>,
    /// The run whose result that agent has signed.
    pub ended_run: Option<RunId>,
}

/// What is known of one pod of a replica.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PodView {
    /// Version of its manifest.
    pub version: u32,
    /// That manifest.
    pub manifest_hash: Option<Hash256>,
    /// Its agent's key.
    pub key: Option<AgentPublicKey>,
    /// Where it serves evidence, and over which keys besides.
    pub evidence: Option<(SocketAddr, AttestationEndpoint)>,
    /// Whether its app has ended by itself: the newest record is its last.
    pub has_ended: bool,
}

/// The calls that are due for a replica, the most wanted first. Only one is to be under way at a
/// time; the others are for when that one fails and waits.
///
/// `now` is the chain's clock.
pub fn next_steps(
    lease: &LeaseView,
    view: &ReplicaView,
    claim_seconds: u64,
    now: UnixSeconds,
) -> Vec<Step> {
    let claim = |agent: &AgentView, until: UnixSeconds, is_last: bool| Step::Claim {
        key: (lease.id, view.replica, agent.key),
        after: agent.sequence,
        // What comes after an ended standing is not paid.
        until: until.min(agent.attested_until().filter(|end| *end <= now).unwrap_or(until)),
        is_last,
    };
    let has_new = |agent: &AgentView| view.newest.is_some_and(|(seq, _)| seq > agent.sequence);
    if let LeaseState::Closing { at, .. } = lease.state {
        // Its last record comes when its pods are gone.
        let agent = view.agent.as_ref().filter(|agent| view.pods.is_empty() && has_new(agent));
        return agent.map(|agent| claim(agent, at, true)).into_iter().collect();
    }
    let Some(agent) = &view.agent else { return first_attest(lease, view).into_iter().collect() };
    let Some(pod) = view.pods.iter().find(|pod| pod.key == Some(agent.key)) else {
        // A pod that shows no key yet (again) may still turn out to be the one.
        if has_new(agent) {
            return vec![claim(agent, UnixSeconds::MAX, true)];
        }
        return first_attest(lease, view).into_iter().collect();
    };
    if agent.ended_version.is_some() {
        // Nothing more is paid for it, so its standing is of no use.
        return Vec::new();
    }
    if pod.has_ended && has_new(agent) {
        // At once: until it is on chain, silence is taken for the provider's fault.
        return vec![claim(agent, UnixSeconds::MAX, true)];
    }
    let due_claim = view.newest.filter(|_| has_new(agent)).and_then(|(_, to)| {
        let paid_to = agent.claimed_to.max(lease.opened_at);
        let is_due = to.saturating_sub(paid_to) >= claim_seconds;
        is_due.then(|| claim(agent, UnixSeconds::MAX, false))
    });
    let renewal = renewal(lease, view.replica, agent, pod, now);
    let has_standing = agent.attested_until().is_some_and(|end| now < end);
    // A key without standing is not paid: it gets one first.
    let steps = if has_standing { [due_claim, renewal] } else { [renewal, due_claim] };
    steps.into_iter().flatten().collect()
}

/// The newest version that the chain expects: during an update the old pod has the chain's key, so
/// this is asked only before the first and after the old one is gone.
fn first_attest(lease: &LeaseView, view: &ReplicaView) -> Option<Step> {
    let steps = view
        .pods
        .iter()
        .filter_map(|pod| Some((pod.version, attest(lease, view.replica, pod, false)?)));
    steps.max_by_key(|(version, _)| *version).map(|(_, step)| step)
}

/// Newer evidence for the key that signs, once half of its standing is over.
pub(super) fn renewal(
    lease: &LeaseView,
    replica: ReplicaIndex,
    agent: &AgentView,
    pod: &PodView,
    now: UnixSeconds,
) -> Option<Step> {
    let is_due = agent.standing.as_ref().is_none_or(|standing| {
        let length = standing.expires_at.saturating_sub(standing.verified_at);
        now >= standing.verified_at.saturating_add(length / 2)
    });
    if is_due { attest(lease, replica, pod, true) } else { None }
}

/// `None` while the pod shows no evidence, or runs another manifest than the chain expects: such
/// evidence is refused.
pub(super) fn attest(
    lease: &LeaseView,
    replica: ReplicaIndex,
    pod: &PodView,
    is_renewal: bool,
) -> Option<Step> {
    let (address, endpoint) = pod.evidence?;
    let manifest_hash = lease.manifest_of(replica);
    if pod.manifest_hash != Some(manifest_hash) {
        return None;
    }
    Some(Step::Attest {
        lease: lease.id,
        replica,
        manifest_hash,
        address,
        keys: AttestedKeys {
            agent: pod.key?,
            hpke: endpoint.hpke_key,
            tls_spki_sha256: endpoint.tls_spki_sha256,
        },
        is_renewal,
    })
}
