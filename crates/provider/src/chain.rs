//! [`Chain`]: what the daemon needs of a chain, and nothing else of any chain client.

pub mod fake;

use std::{collections::BTreeSet, sync::Arc};

use casemate_attestation::TrustRoots;
use casemate_client::chain::{
    AttestedKeys, ChainSnapshot, ChallengeAnswer, EndedLease, Endorsement, OpenChallenges,
    OpenRunView, ProviderView, Submission,
};
use casemate_primitives::{
    AccountBytes, Asset, DeploymentId, Hash256, LeaseId, ReplicaIndex, TaskTerms, UnixSeconds,
};
use casemate_provider_core::SignedUsageRecord;
use tokio::sync::watch;

/// A chain as one provider account sees it and acts on it.
///
/// The calls resolve once the extrinsic is in a finalised block (or refused). They may be made
/// concurrently, and again after a crash: whether they took effect is read from the next snapshot.
pub trait Chain: Send + Sync + 'static {
    /// Hash of the chain's first block.
    fn genesis_hash(&self) -> Hash256;

    /// The provider's account, which signs the calls below.
    fn account(&self) -> AccountBytes;

    /// How many decimals an asset's amounts have, which never changes; `None` of one that no lease is
    /// paid in.
    fn decimals(&self, asset: Asset) -> Option<u8>;

    /// Finalised state with this provider's unsettled leases. Block number 0 means that no block
    /// was read yet. A failed read sends nothing.
    fn snapshots(&self) -> watch::Receiver<Arc<ChainSnapshot>>;

    /// This provider's entry in the registry.
    fn provider(&self) -> impl Future<Output = Result<Option<ProviderView>, ChainError>> + Send;

    /// Has the chain verify an agent's evidence over the hash of block `block`. From then on the
    /// agent's records are paid for the replica, until the evidence's time is over.
    fn attest(
        &self,
        lease: LeaseId,
        replica: ReplicaIndex,
        keys: AttestedKeys,
        block: u32,
        submission: Submission,
    ) -> impl Future<Output = Result<(), ChainError>> + Send;

    /// Has the chain verify evidence of the provider's control plane over the hash of block `block`,
    /// and list it. Gives the first second at which it counts no more.
    fn attest_cluster(
        &self,
        block: u32,
        submission: Submission,
    ) -> impl Future<Output = Result<UnixSeconds, ChainError>> + Send;

    /// Brings a vendor's collateral on chain. `Ok(false)` when the chain has it, or newer, already.
    fn endorse(
        &self,
        endorsement: Endorsement,
    ) -> impl Future<Output = Result<bool, ChainError>> + Send;

    /// The roots that the chain trusts.
    fn trust_roots(&self) -> impl Future<Output = Result<TrustRoots, ChainError>> + Send;

    /// Brings a usage record on chain to be paid for it.
    fn claim(
        &self,
        signed: SignedUsageRecord,
    ) -> impl Future<Output = Result<(), ChainError>> + Send;

    /// Begins, ends or gives up a run of a task.
    fn run(&self, call: RunCall) -> impl Future<Output = Result<(), ChainError>> + Send;

    /// Says that no more records come for a closing lease.
    fn settle(&self, lease: LeaseId) -> impl Future<Output = Result<(), ChainError>> + Send;

    /// Pays out what is final of a lease, settled or not.
    fn payout(&self, lease: LeaseId) -> impl Future<Output = Result<(), ChainError>> + Send;

    /// Pays out the rest of a settled lease and has the chain forget it.
    fn forget(&self, lease: LeaseId) -> impl Future<Output = Result<(), ChainError>> + Send;

    /// This provider's settled leases that the chain still knows, but for those in `live`.
    fn ended_leases(
        &self,
        live: BTreeSet<LeaseId>,
    ) -> impl Future<Output = Result<Vec<EndedLease>, ChainError>> + Send;

    /// The runs that are open under a lease, whatever has become of it.
    fn open_runs(
        &self,
        lease: LeaseId,
    ) -> impl Future<Output = Result<Vec<OpenRunView>, ChainError>> + Send;

    /// Challenges that this provider has to answer.
    fn challenges(&self) -> impl Future<Output = Result<OpenChallenges, ChainError>> + Send;

    /// Answers a challenge.
    fn answer(
        &self,
        challenge: u64,
        answer: ChallengeAnswer,
    ) -> impl Future<Output = Result<(), ChainError>> + Send;

    /// Gives notice of a lease: it can be closed when the agreed time is over.
    fn give_notice(&self, lease: LeaseId) -> impl Future<Output = Result<(), ChainError>> + Send;

    /// Closes a lease.
    fn close(&self, lease: LeaseId) -> impl Future<Output = Result<(), ChainError>> + Send;
}

/// What is said of a task's runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RunCall {
    /// The run of a scheduled time begins in a slot.
    Begin {
        /// Under which lease.
        lease: LeaseId,
        /// In which slot.
        replica: ReplicaIndex,
        /// For when it was scheduled.
        scheduled_at: UnixSeconds,
        /// The terms that it is begun for; refused where the task has others by then.
        terms: TaskTerms,
        /// The manifest that it is begun with; refused where the task has another by then.
        manifest_hash: Hash256,
    },
    /// A run has ended: its last record, with the result.
    Submit(Box<SignedUsageRecord>),
    /// Nothing was begun at scheduled times.
    Missed {
        /// Of which task.
        task: DeploymentId,
        /// Which, of a cron.
        scheduled_at: Option<UnixSeconds>,
    },
    /// A run can have no result any more.
    Lost {
        /// Under which lease.
        lease: LeaseId,
        /// In which slot.
        replica: ReplicaIndex,
    },
}

/// Why a call had no effect.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The runtime refused it.
    #[error("{pallet}.{name}: {text}")]
    Refused {
        /// Pallet that refused.
        pallet: String,
        /// Name of its error.
        name: String,
        /// For people.
        text: String,
    },
    /// The provider's account can't pay the fee.
    #[error("the provider's account cannot pay the transaction fee: {0}")]
    NoFunds(String),
    /// No node answers.
    #[error("the chain cannot be reached: {0}")]
    Unreachable(String),
    /// It was sent, but nobody knows whether it took effect.
    #[error("the transaction was sent but not seen in a finalised block: {0}")]
    Lost(String),
}

impl ChainError {
    /// Whether the runtime itself said no, so that the very same call will not do later either.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}
