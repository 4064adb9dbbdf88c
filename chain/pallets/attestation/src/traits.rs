//! What this pallet and the leases have to do with each other.

use crate::Submission;
use casemate_primitives::{AgentPublicKey, Hash256, LeaseId, ReplicaIndex, UnixSeconds};
use frame_support::pallet_prelude::{DispatchError, DispatchResult};

/// Whose agents are attested.
pub trait AgentRegistry<AccountId> {
    /// Hash of the manifest that a lease's pods run now.
    ///
    /// # Errors
    /// When `provider` has no such lease, it has no such replica, or it is closing.
    fn expected_manifest(
        provider: &AccountId,
        lease: LeaseId,
        replica: ReplicaIndex,
    ) -> Result<Hash256, DispatchError>;

    /// Take the records of a replica from this key on. The key that signs already stays.
    ///
    /// # Errors
    /// As [`AgentRegistry::expected_manifest`].
    fn activate(
        provider: &AccountId,
        lease: LeaseId,
        replica: ReplicaIndex,
        key: AgentPublicKey,
    ) -> DispatchResult;

    /// Whether there is such a lease with such a replica.
    fn has_replica(lease: LeaseId, replica: ReplicaIndex) -> bool;

    /// Make a lease of `provider`'s with this manifest, whose replica has had as many agents as are
    /// remembered, for the benchmarks of who attests another one.
    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_lease(
        provider: &AccountId,
        lease: LeaseId,
        replica: ReplicaIndex,
        manifest_hash: Hash256,
    );
}

/// Which keys count.
pub trait AttestedKeys {
    /// First second at which `key` counts no more for a replica; `None` if it does not count.
    fn counts_until(
        lease: LeaseId,
        replica: ReplicaIndex,
        key: &AgentPublicKey,
    ) -> Option<UnixSeconds>;

    /// Forget all keys of a lease that is over.
    fn forget(lease: LeaseId);

    /// Let a key count without evidence, for the benchmarks of who asks.
    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_attest(lease: LeaseId, replica: ReplicaIndex, key: AgentPublicKey);
}

/// Evidence over a nonce that somebody else has chosen: whether an agent is still there.
pub trait FreshEvidence {
    /// Whether the replica has an agent whose key counts now.
    fn is_standing(lease: LeaseId, replica: ReplicaIndex) -> bool;

    /// Verifies that this evidence was made by the agent that has (or had last) standing for the
    /// replica, for this chain, this lease, this replica and exactly this nonce, and that it would be
    /// accepted today. Changes nothing: standing is renewed by `attest` only.
    ///
    /// The agent makes it as it does for its registration (`Purpose::Registration`). A nonce that is not
    /// the hash of a block gives no standing, and one that is must not be asked for here.
    ///
    /// # Errors
    /// There is no such agent, or the evidence is not good.
    fn verify_fresh(
        lease: LeaseId,
        replica: ReplicaIndex,
        nonce: &Hash256,
        submission: &Submission,
    ) -> DispatchResult;

    /// An agent with standing, and its evidence of this kind over the nonce, for the benchmarks of who
    /// asks for it.
    ///
    /// # Errors
    /// The evidence can't be had.
    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_fresh(
        kind: casemate_attestation::TeeKind,
    ) -> Result<(LeaseId, ReplicaIndex, Hash256, Submission), frame_benchmarking::BenchmarkError>;
}
