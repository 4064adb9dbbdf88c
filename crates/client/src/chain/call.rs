//! What transactions can ask for.

use casemate_primitives::{
    AccountBytes, AgentSignature, Amendment, Balance, DeploymentId, Hash256, LeaseId, ManifestRef,
    PriceList, ProviderInfo, Quote, ReplicaIndex, Resources, RunResult, Schedule, TaskTerms,
    UnixSeconds, UsageRecord, reputation::ComplaintKind,
};

/// A transaction's content.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Call {
    /// Join as a provider.
    RegisterProvider {
        /// What it says of itself.
        info: ProviderInfo,
        /// What it offers.
        capacity: Resources,
        /// List prices.
        price_lists: Vec<PriceList>,
        /// Money at stake.
        stake: Balance,
    },
    /// Change what a provider says and offers.
    UpdateProvider {
        /// What it says of itself.
        info: ProviderInfo,
        /// What it offers.
        capacity: Resources,
        /// List prices.
        price_lists: Vec<PriceList>,
    },
    /// Add stake.
    Bond {
        /// How much.
        amount: Balance,
    },
    /// Start to take stake out.
    Unbond {
        /// How much.
        amount: Balance,
    },
    /// Free what has been unbonded.
    Withdraw,
    /// Leave the registry.
    Retire,
    /// Create a deployment and open a lease for it.
    Deploy {
        /// What is to run.
        manifest: ManifestRef,
        /// The provider's offer.
        quote: Quote,
        /// Its sr25519 signature.
        signature: [u8; 64],
        /// Money to lock.
        deposit: Balance,
        /// Most that may be spent in a second.
        spend_rate_max: Balance,
    },
    /// Lock more money.
    Fund {
        /// For which lease.
        lease: LeaseId,
        /// How much.
        amount: Balance,
    },
    /// Change the spend rate.
    SetSpendRate {
        /// Of which lease.
        lease: LeaseId,
        /// From now on.
        spend_rate_max: Balance,
    },
    /// Run a new manifest.
    UpdateDeployment {
        /// Which.
        deployment: DeploymentId,
        /// What is to run from now on.
        manifest: ManifestRef,
    },
    /// Close a lease and stop its deployment, both or none.
    CloseAndStop {
        /// Which lease.
        lease: LeaseId,
        /// Its deployment.
        deployment: DeploymentId,
    },
    /// Close a lease.
    Close {
        /// Which.
        lease: LeaseId,
    },
    /// Give the rest of a closed lease back.
    Settle {
        /// Which.
        lease: LeaseId,
    },
    /// Pay out what is final.
    Payout {
        /// Of which.
        lease: LeaseId,
    },
    /// Forget a settled lease of which nothing is owed.
    Forget {
        /// Which.
        lease: LeaseId,
    },
    /// As the provider, say that the lease will be closed after the agreed time.
    GiveNotice {
        /// Which.
        lease: LeaseId,
    },
    /// End a lease whose provider has been silent for longer than agreed.
    Evict {
        /// Which.
        lease: LeaseId,
    },
    /// The same, and give the unspent rest back, both or none: for a lease without a notice, whose
    /// agent was attested.
    EvictAndSettle {
        /// Which.
        lease: LeaseId,
    },
    /// As the publisher, contest all claims that are not final.
    Contest {
        /// Of which.
        lease: LeaseId,
    },
    /// Let contested claims stand, where the arbiters' time is over.
    ExpireContest {
        /// Of which.
        lease: LeaseId,
    },
    /// Show two records of one agent that can't both be true.
    ProveMisconduct {
        /// One of them.
        a: Box<UsageRecord>,
        /// The agent's signature over it.
        signature_a: AgentSignature,
        /// The other.
        b: Box<UsageRecord>,
        /// The agent's signature over that.
        signature_b: AgentSignature,
    },
    /// As the publisher, bring new prices that the provider has signed.
    Amend {
        /// The prices.
        amendment: Box<Amendment>,
        /// The provider's sr25519 signature.
        signature: [u8; 64],
    },
    /// Complain about the other side of a lease.
    Complain {
        /// Of which.
        lease: LeaseId,
        /// About what.
        kind: ComplaintKind,
        /// BLAKE2b-256 of the text.
        text_hash: Hash256,
    },
    /// Take one's own complaint back.
    CloseComplaint {
        /// Which.
        complaint: u64,
    },
    /// End a complaint that nobody decided in time.
    ExpireComplaint {
        /// Which.
        complaint: u64,
    },
    /// Create a task, with its deployment.
    CreateTask {
        /// What is to run.
        manifest: ManifestRef,
        /// When.
        schedule: Schedule,
        /// What holds for each run.
        terms: TaskTerms,
    },
    /// Open a lease for a task, in the place of the one that runs it where there is one: all or nothing.
    OpenTaskLease {
        /// Which task.
        task: DeploymentId,
        /// The lease that is closed for it.
        closes: Option<LeaseId>,
        /// Terms for runs that begin from now on, where they change.
        terms: Option<TaskTerms>,
        /// The provider's offer.
        quote: Quote,
        /// Its sr25519 signature.
        signature: [u8; 64],
        /// Money to lock.
        deposit: Balance,
        /// Most that may be spent in a second.
        spend_rate_max: Balance,
    },
    /// Begin a run.
    BeginRun {
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
    /// End a run, and be paid for it.
    SubmitResult {
        /// How it ended.
        result: Box<RunResult>,
        /// The agent's signature over that.
        signature: AgentSignature,
        /// The run's last record.
        record: Box<UsageRecord>,
        /// The agent's signature over that.
        record_signature: AgentSignature,
    },
    /// Record that nothing was begun at scheduled times.
    RecordMissed {
        /// Of which task.
        task: DeploymentId,
        /// Which, of a cron.
        scheduled_at: Option<UnixSeconds>,
    },
    /// Record that a run can have no result any more.
    RecordLost {
        /// Under which lease.
        lease: LeaseId,
        /// In which slot.
        replica: ReplicaIndex,
    },
    /// Replace a task's schedule.
    SetSchedule {
        /// Of which task.
        task: DeploymentId,
        /// When it runs from now on.
        schedule: Schedule,
    },
    /// Replace the terms of a task's runs that begin from now on.
    SetTaskTerms {
        /// Of which task.
        task: DeploymentId,
        /// Which.
        terms: TaskTerms,
    },
    /// Stop a task and its deployment, and close its lease where there is one: all or nothing.
    StopTask {
        /// Which task.
        task: DeploymentId,
        /// Its lease.
        lease: Option<LeaseId>,
    },
    /// Lock more money for a task's runs.
    Recharge {
        /// Which task.
        task: DeploymentId,
        /// Its lease.
        lease: LeaseId,
        /// How much.
        amount: Balance,
    },
    /// Forget a stopped task and its history.
    ForgetTask {
        /// Which.
        task: DeploymentId,
    },
    /// Be paid for a usage record.
    Claim {
        /// The record.
        record: UsageRecord,
        /// The agent's signature.
        signature: AgentSignature,
    },
    /// Let another account put the publisher's money into a lease, and close it.
    Authorise {
        /// Which lease.
        lease: LeaseId,
        /// Which account.
        spender: AccountBytes,
        /// How much it may put in, all together; `None` takes it off.
        allowance: Option<Balance>,
    },
    /// Lock more of the publisher's money, as an account that may.
    FundFor {
        /// For which lease.
        lease: LeaseId,
        /// How much.
        amount: Balance,
    },
    /// Open an account in a registered asset, so that it takes payments of any size.
    OpenAccount {
        /// Which.
        asset: u32,
    },
    /// Send money in a registered asset.
    TransferAsset {
        /// Which.
        asset: u32,
        /// To whom.
        to: AccountBytes,
        /// How much.
        amount: Balance,
    },
    /// Send money.
    Transfer {
        /// To whom.
        to: AccountBytes,
        /// How much.
        amount: Balance,
    },
}
