//! What other pallets ask of leases, and are told of them.

use casemate_primitives::{
    AgentPublicKey, AgentSignature, Asset, Balance, DeploymentId, EndReason, Hash256, LeaseId,
    LogHead, ReplicaIndex, UnixSeconds, UsageRecord,
};
use sp_runtime::{DispatchError, DispatchResult};

/// The two sides of a lease.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parties<AccountId> {
    /// Who pays.
    pub publisher: AccountId,
    /// Who is paid.
    pub provider: AccountId,
    /// Whether it has not been closed.
    pub is_live: bool,
    /// Whether it runs a task, which owes a pod only while a run is open.
    pub is_task: bool,
    /// First second at which its logs need not be kept any more, once it was closed.
    pub logs_until: Option<UnixSeconds>,
}

/// What the newest claimed record of a replica says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Anchor {
    /// The key that signed it.
    pub key: AgentPublicKey,
    /// Its number.
    pub sequence: u64,
    /// Where it ends.
    pub recorded_to: UnixSeconds,
    /// The log up to it.
    pub log: LogHead,
    /// The evidence that it names.
    pub evidence: Hash256,
    /// Whether it says that the app has ended by itself: the key's last record.
    pub has_ended: bool,
}

/// What proofs and challenges need of leases.
pub trait LeaseProofs<AccountId> {
    /// The sides of a lease that is still known.
    fn parties(lease: LeaseId) -> Option<Parties<AccountId>>;

    /// The newest claimed record of a replica; `None` before the first.
    fn anchor(lease: LeaseId, replica: ReplicaIndex) -> Option<Anchor>;

    /// The provider has lost a challenge about this lease: its open periods go back to the escrow.
    /// Returns how much that was.
    ///
    /// # Errors
    /// There is no such lease.
    fn penalise(lease: LeaseId) -> Result<Balance, DispatchError>;

    /// A claim by a record that was put under a batch's root at `as_of`: nothing later can be in it.
    /// It may be contested as long as any other claim that is made now, for nobody has seen it before.
    ///
    /// # Errors
    /// All that a claim can be refused for.
    fn claim_as_of(
        provider: AccountId,
        record: UsageRecord,
        signature: AgentSignature,
        as_of: UnixSeconds,
    ) -> DispatchResult;
}

/// Who is told what leases came to. For reputation.
pub trait LeaseObserver<AccountId> {
    /// Final money was paid out, `treasury` of it to the treasury.
    fn paid(
        publisher: &AccountId,
        provider: &AccountId,
        asset: Asset,
        amount: Balance,
        treasury: Balance,
    );

    /// A lease that ran for `seconds` ended.
    fn ended(publisher: &AccountId, provider: &AccountId, reason: EndReason, seconds: u64);

    /// What a lease's provider or publisher has lost: a contested claim.
    fn contested(publisher: &AccountId, provider: &AccountId, is_provider_right: bool);
}

impl<AccountId> LeaseObserver<AccountId> for () {
    fn paid(_: &AccountId, _: &AccountId, _: Asset, _: Balance, _: Balance) {}
    fn ended(_: &AccountId, _: &AccountId, _: EndReason, _: u64) {}
    fn contested(_: &AccountId, _: &AccountId, _: bool) {}
}

/// A task's lease, as its runs need it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunLease<AccountId> {
    /// The task.
    pub deployment: DeploymentId,
    /// Who pays.
    pub publisher: AccountId,
    /// Who is paid.
    pub provider: AccountId,
    /// How many runs it has room for at a time.
    pub replicas: u16,
    /// Unspent money.
    pub escrow: Balance,
    /// When and why it was closed, if it was.
    pub closed: Option<(UnixSeconds, EndReason)>,
    /// Whether nothing more can be claimed.
    pub is_ended: bool,
}

/// What bounds the payment of one run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RunClaim {
    /// No second before this one is paid.
    pub since: UnixSeconds,
    /// Most that is paid.
    pub budget: Balance,
}

/// What the run in a slot was begun for, whatever the publisher has changed since.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RunManifest {
    /// The manifest that its agent is attested with.
    pub hash: Hash256,
    /// Its version.
    pub version: u32,
}

/// What leases ask of tasks.
pub trait OpenRuns {
    /// Of the run in a slot; `None` where none is open.
    fn manifest(lease: LeaseId, replica: ReplicaIndex) -> Option<RunManifest>;
}

impl OpenRuns for () {
    fn manifest(_: LeaseId, _: ReplicaIndex) -> Option<RunManifest> {
        None
    }
}

/// What tasks need of leases.
pub trait LeaseRuns<AccountId> {
    /// A task's lease that is still known; `None` for a service's, too.
    fn run_lease(lease: LeaseId) -> Option<RunLease<AccountId>>;

    /// The key of a replica's agent that was activated for this version of the manifest.
    fn agent_key(lease: LeaseId, replica: ReplicaIndex, version: u32) -> Option<AgentPublicKey>;

    /// Pays for a run by its agent's last record, whatever signed `claim`s say. Returns how much.
    ///
    /// # Errors
    /// All that a claim can be refused for, and a key that was paid before.
    fn claim_run(
        provider: AccountId,
        record: UsageRecord,
        signature: AgentSignature,
        run: RunClaim,
    ) -> Result<Balance, DispatchError>;

    /// Locks more of the publisher's money for a lease.
    ///
    /// # Errors
    /// All that `fund` can be refused for.
    fn fund(publisher: AccountId, lease: LeaseId, amount: Balance) -> DispatchResult;

    /// A task's lease with an agent for its last replica, whose key is this one.
    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_run_lease(
        publisher: &AccountId,
        provider: &AccountId,
        deployment: DeploymentId,
        key: AgentPublicKey,
    ) -> (LeaseId, ReplicaIndex);
}
