//! What the benchmarks need of the pallets around this one.

use casemate_primitives::{AgentPublicKey, LeaseId, LogHead, ReplicaIndex, UsageRecord};
use frame_benchmarking::BenchmarkError;

/// What the benchmarks need of the pallets around this one.
pub trait BenchmarkHelper<AccountId> {
    /// A registered provider whose stake is held, some of it unbonding in as many parts as there may be.
    ///
    /// # Errors
    /// It can't be made.
    fn provider() -> Result<AccountId, BenchmarkError>;

    /// A lease of `provider`'s that is not closed and has as many replicas, open periods and claimed
    /// money as there may be. The replica's agent has this key, standing, and a newest claimed record
    /// with this log.
    ///
    /// # Errors
    /// It can't be made.
    fn lease(
        provider: &AccountId,
        key: AgentPublicKey,
        log: LogHead,
    ) -> Result<(LeaseId, ReplicaIndex), BenchmarkError>;

    /// The record after the newest claimed one of such a lease: as dear a claim as there is, once the
    /// agent has signed it.
    fn next_record(lease: LeaseId, replica: ReplicaIndex) -> UsageRecord;
}
