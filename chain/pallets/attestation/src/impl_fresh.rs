//! Evidence over a nonce that somebody else has chosen.

use crate::*;
use casemate_primitives::{Hash256, LeaseId, ReplicaIndex};

impl<T: Config> FreshEvidence for Pallet<T> {
    fn is_standing(lease: LeaseId, replica: ReplicaIndex) -> bool {
        let now = pallet_endorsements::Pallet::<T>::now();
        Standings::<T>::get(lease, replica).is_some_and(|standing| standing.expires_at > now)
    }

    fn verify_fresh(
        lease: LeaseId,
        replica: ReplicaIndex,
        nonce: &Hash256,
        submission: &Submission,
    ) -> DispatchResult {
        let standing = Standings::<T>::get(lease, replica).ok_or(Error::<T>::NotFound)?;
        let Standing { keys, manifest_hash, .. } = standing;
        let binding = Self::agent_binding(lease, replica, manifest_hash, *nonce, &keys);
        Self::verify_bound(&binding, submission)?;
        Ok(())
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_fresh(
        kind: casemate_attestation::TeeKind,
    ) -> Result<(LeaseId, ReplicaIndex, Hash256, Submission), frame_benchmarking::BenchmarkError>
    {
        benchmarking::fresh::<T>(kind)
    }
}
