//! Views of on-chain state, free of the chain client's own types.

use std::collections::BTreeMap;

use casemate_primitives::{
    AccountBytes, AgentPublicKey, Asset, Balance, DeploymentId, EndReason, Hash256, LeaseId,
    LeaseTerms, LogHead, Prices, Quantities, ReplicaIndex, Resources, UnixSeconds,
};

use super::{ClusterView, LeaseTask, StandingView};

/// Money of an account.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct AccountBalance {
    /// Can be spent.
    pub free: Balance,
    /// Held for stakes, escrows and deposits.
    pub held: Balance,
}

/// Amounts that the chain's runtime fixes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deposits {
    /// Least that an account keeps free.
    pub existential: Balance,
    /// Held for each deployment.
    pub deployment: Balance,
    /// Held for each task, besides.
    pub task: Balance,
}

/// State of a lease on chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LeaseState {
    /// Opened; no agent has been activated yet.
    Pending,
    /// At least one agent is activated.
    Active,
    /// Closed by one side; last records may be claimed until `until`, then anyone may settle.
    Closing {
        /// When it was closed: nothing after this second is paid.
        at: UnixSeconds,
        /// When the unspent rest goes back.
        until: UnixSeconds,
        /// Why it ended.
        reason: EndReason,
    },
}

/// What is owed of an ended lease, after the unspent rest went back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EndedLease {
    /// Which.
    pub id: LeaseId,
    /// What can be paid out now.
    pub due: Balance,
    /// Whether nothing more is owed and its time is over: it can be forgotten.
    pub is_done: bool,
}

/// Claims of one period that are not final.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct PeriodView {
    /// The period: seconds since the Unix epoch divided by its length.
    pub number: u64,
    /// Sum of its claims.
    pub amount: Balance,
}

/// An activated agent of a lease.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct AgentView {
    /// Which replica it signs for.
    pub replica: ReplicaIndex,
    /// Its Ed25519 key.
    pub key: AgentPublicKey,
    /// Sequence of the newest record that was claimed, 0 before the first.
    pub sequence: u64,
    /// Where the next record's new span must not begin before.
    pub claimed_to: UnixSeconds,
    /// Total of the newest record that was claimed.
    pub claimed_total: Quantities,
    /// The log up to that record: what its chunks are proved against.
    pub log: LogHead,
    /// Why the key counts; `None` when its standing has ended.
    pub standing: Option<StandingView>,
    /// The version of the manifest that it has run to its end, if its app has ended by itself.
    #[serde(default)]
    pub ended_version: Option<u32>,
}

impl AgentView {
    /// First second at which the key counts no more, if it counts.
    pub fn attested_until(&self) -> Option<UnixSeconds> {
        self.standing.as_ref().map(|standing| standing.expires_at)
    }
}

/// A lease with what belongs to it.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct LeaseView {
    /// Its id.
    pub id: LeaseId,
    /// Which deployment it runs.
    pub deployment: DeploymentId,
    /// Manifest that is to run now.
    pub manifest_hash: Hash256,
    /// Its version, from 1.
    pub version: u32,
    /// Who pays.
    pub publisher: AccountBytes,
    /// Who is paid.
    pub provider: AccountBytes,
    /// Resources of one replica.
    pub resources: Resources,
    /// Number of replicas.
    pub replicas: u16,
    /// Agreed conditions.
    pub terms: LeaseTerms,
    /// How many changes its prices have had.
    pub amendments: u32,
    /// Where it stands.
    pub state: LeaseState,
    /// Unspent money.
    pub escrow: Balance,
    /// Claims that are not final.
    pub open: Vec<PeriodView>,
    /// Claims that the publisher contests.
    pub contested: Balance,
    /// Final claims that are not paid out.
    pub final_due: Balance,
    /// Money paid out of it so far.
    pub paid: Balance,
    /// Most that may be spent in one second.
    pub spend_rate_max: Balance,
    /// When it was opened.
    pub opened_at: UnixSeconds,
    /// When its provider may take the machine back, if it has given notice.
    pub reclaim_at: Option<UnixSeconds>,
    /// Activated agents, by replica.
    pub agents: Vec<AgentView>,
    /// Whether it is for a task: then nothing is paid but the results of its runs.
    #[serde(skip)]
    pub is_task: bool,
    /// The task that it runs, and its open runs; `None` where it has no schedule (any more).
    #[serde(skip)]
    pub task: Option<Box<LeaseTask>>,
}

impl LeaseView {
    /// All that was claimed and not given back: open, contested, due and paid out.
    pub fn earned(&self) -> Balance {
        let open = self.open.iter().map(|period| period.amount);
        open.chain([self.contested, self.final_due, self.paid]).fold(0, Balance::saturating_add)
    }

    /// Whether the apps of all replicas have ended by themselves, and no newer manifest is to run.
    pub fn has_ended(&self) -> bool {
        let ended = |replica| {
            let mut agents = self.agents.iter();
            agents.any(|a| a.replica == replica && a.ended_version == Some(self.version))
        };
        (0..self.replicas).all(ended)
    }

    /// What can be paid out at `now`: a period's claims are final one period after it has ended.
    pub fn due_at(&self, now: UnixSeconds) -> Balance {
        due_at(&self.open, self.final_due, &self.terms, now)
    }
}

/// What is due, with the open claims that are final by now.
pub(super) fn due_at(
    open: &[PeriodView],
    final_due: Balance,
    terms: &LeaseTerms,
    now: UnixSeconds,
) -> Balance {
    let is_final = |period: &&PeriodView| terms.is_final(period.number, now);
    let matured = open.iter().filter(is_final).map(|period| period.amount);
    matured.fold(final_due, Balance::saturating_add)
}

/// A deployment.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct DeploymentView {
    /// Its id.
    pub id: DeploymentId,
    /// Who owns it.
    pub publisher: AccountBytes,
    /// BLAKE2b-256 of the manifest's canonical JSON.
    pub manifest_hash: Hash256,
    /// Length of it in bytes.
    pub manifest_size: u32,
    /// Version, from 1.
    pub version: u32,
    /// Whether it was stopped.
    pub stopped: bool,
    /// Leases that are not settled yet.
    pub live_leases: u32,
}

/// Part of a stake on its way out.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct UnbondingView {
    /// How much.
    pub amount: Balance,
    /// From when on it can be withdrawn.
    pub unlocks_at: UnixSeconds,
}

/// A provider in the registry.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct ProviderView {
    /// Its account.
    pub account: AccountBytes,
    /// Name for people.
    pub name: String,
    /// Regions, as the provider says.
    pub regions: Vec<String>,
    /// Base addresses of its HTTP API.
    pub endpoints: Vec<String>,
    /// TEE kinds it offers.
    pub tee_kinds: Vec<String>,
    /// Capacity offered.
    pub capacity: Resources,
    /// Capacity in leases.
    pub used: Resources,
    /// Prices by asset.
    pub price_lists: Vec<(Asset, Prices)>,
    /// Money at stake.
    pub stake: Balance,
    /// Stake on its way out.
    pub unbonding: Vec<UnbondingView>,
    /// Leases that are not settled yet.
    pub live_leases: u32,
    /// What the chain has verified of its control plane, also when that has ended: see
    /// [`ProviderView::cluster_at`].
    pub cluster: Option<ClusterView>,
}

impl ProviderView {
    /// Its control plane, if it is attested at this time of the chain's clock.
    pub fn cluster_at(&self, now: UnixSeconds) -> Option<&ClusterView> {
        self.cluster.as_ref().filter(|cluster| cluster.counts_at(now))
    }
}

/// What one finalised block says about the leases that the reader asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ChainSnapshot {
    /// Number of the block.
    pub block_number: u32,
    /// Hash of the block.
    pub block_hash: Hash256,
    /// The chain's clock at that block.
    pub time: UnixSeconds,
    /// Leases that are not settled, by id.
    pub leases: BTreeMap<LeaseId, LeaseView>,
}
