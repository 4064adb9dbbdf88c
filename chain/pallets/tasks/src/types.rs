//! What the chain keeps of tasks and their runs.

use casemate_primitives::{
    AgentPublicKey, AgentSignature, Balance, DeploymentId, Hash256, LeaseId, RunId, RunResult,
    Schedule, TaskTerms, UnixSeconds,
};
use frame_support::pallet_prelude::*;

/// How many entries of a task's history are kept.
pub const HISTORY_MAX: u32 = 64;

/// How long after its deadline a run's result is taken, in seconds: pods that wait for secrets or for
/// their images have begun before their app.
pub const RESULT_SECONDS: u64 = 3_600;

/// Longest deadline of a run, and latest start, in seconds.
pub const TERM_SECONDS_MAX: u32 = 30 * 86_400;

/// A task that is not forgotten.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Task<AccountId> {
    /// Its owner.
    pub publisher: AccountId,
    /// When it runs.
    pub schedule: Schedule,
    /// When that was set.
    pub since: UnixSeconds,
    /// The last scheduled time that was begun or missed since then.
    pub last: Option<UnixSeconds>,
    /// The last one that was begun. Missed times of a cron are somebody's word, which is not to
    /// keep a true one from being begun.
    pub last_begun: Option<UnixSeconds>,
    /// What holds for runs that begin from now on.
    pub terms: TaskTerms,
    /// The lease that last began a run.
    pub lease: Option<LeaseId>,
    /// Sum of the budgets of the runs that are open under it: so much of its escrow is spoken for.
    pub reserved: Balance,
    /// How many runs were begun; the number of the last one.
    pub runs: u64,
    /// How many of them have neither ended nor been lost.
    pub open: u32,
    /// How many scheduled times were missed.
    pub missed: u64,
    /// How many entries were made in the history; only the last [`HISTORY_MAX`] are there.
    pub entries: u64,
    /// When the publisher stopped it, if it did.
    pub stopped_at: Option<UnixSeconds>,
    /// What is held for it.
    pub deposit: Balance,
}

/// A run that has begun.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct OpenRun {
    /// Of which task.
    pub deployment: DeploymentId,
    /// Its number.
    pub run: RunId,
    /// For when it was scheduled.
    pub scheduled_at: UnixSeconds,
    /// When it was begun.
    pub begun_at: UnixSeconds,
    /// Most that is paid for it.
    pub budget: Balance,
    /// Its result is taken up to this second.
    pub until: UnixSeconds,
    /// What its agent is attested with, whatever the publisher updates meanwhile.
    pub manifest_hash: Hash256,
    /// The version of that manifest.
    pub version: u32,
}

/// An entry of a task's history.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub enum Entry {
    /// A run has ended.
    Ended {
        /// What its agent says of it.
        result: RunResult,
        /// The agent's key, whose evidence counted.
        key: AgentPublicKey,
        /// The agent's signature over the result.
        signature: AgentSignature,
        /// When it was begun.
        begun_at: UnixSeconds,
        /// What it was paid.
        paid: Balance,
    },
    /// A run has no result.
    Lost {
        /// Which.
        run: RunId,
        /// Under which lease.
        lease: LeaseId,
        /// For when it was scheduled.
        scheduled_at: UnixSeconds,
    },
    /// Nothing was begun at scheduled times.
    Missed {
        /// How many.
        count: u64,
        /// The first of them.
        first: UnixSeconds,
        /// The last of them.
        last: UnixSeconds,
    },
}
