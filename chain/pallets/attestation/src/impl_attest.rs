//! Attest, appraise, recheck.

use crate::*;
use casemate_attestation::{Binding, Claims, Purpose, TcbStatus, TeeKind};
use casemate_primitives::{
    blake2_256, AgentPublicKey, Hash256, LeaseId, ReplicaIndex, UnixSeconds, REPLICAS_MAX,
};
use frame_support::ensure;
use frame_system::pallet_prelude::BlockNumberFor;
use pallet_providers::{OnRetire, ProviderRegistry};
use sp_runtime::{
    traits::{Saturating, Zero},
    AccountId32,
};

/// How far back the block may lie whose hash is the nonce.
pub const NONCE_BLOCKS_MAX: u32 = 256;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_attest(
        who: AccountId32,
        lease: LeaseId,
        replica: ReplicaIndex,
        keys: Keys,
        block: BlockNumberFor<T>,
        submission: Submission,
    ) -> DispatchResult {
        let manifest_hash = T::Agents::expected_manifest(&who, lease, replica)?;
        let nonce = Self::nonce(block)?;
        let binding = Self::agent_binding(lease, replica, manifest_hash, nonce, &keys);
        let claims = Self::verify_bound(&binding, &submission)?;
        Self::grant(&who, &binding, &claims, &submission)
    }

    /// What an agent's evidence for the chain is over.
    pub(crate) fn agent_binding(
        lease: LeaseId,
        replica: ReplicaIndex,
        manifest_hash: Hash256,
        nonce: Hash256,
        keys: &Keys,
    ) -> Binding {
        Binding {
            purpose: Purpose::Registration,
            genesis_hash: genesis_hash::<T>(),
            lease,
            replica,
            manifest_hash,
            nonce,
            agent_key: keys.agent,
            hpke_key: keys.hpke,
            tls_spki_sha256: keys.tls_spki_sha256,
            channel: [0; 32],
            gpu_evidence: [0; 32],
        }
    }

    /// What the evidence says, if it is genuine, over this binding and acceptable now.
    pub(crate) fn verify_bound(
        binding: &Binding,
        submission: &Submission,
    ) -> Result<Claims, Error<T>> {
        let claims = Self::verify(submission)?;
        ensure!(claims.report_data == binding.report_data(), Error::<T>::Binding);
        Self::ensure_acceptable(&claims)?;
        Ok(claims)
    }

    /// Gives the agent of a binding standing; its evidence has been verified and accepted.
    pub(crate) fn grant(
        provider: &AccountId32,
        binding: &Binding,
        claims: &Claims,
        submission: &Submission,
    ) -> DispatchResult {
        let now = pallet_endorsements::Pallet::<T>::now();
        let expires_at = claims.not_after.min(now.saturating_add(T::StandingSecondsMax::get()));
        let Binding { lease, replica, agent_key, .. } = *binding;
        let evidence_hash = blake2_256(&submission.evidence);
        let standing = Standing {
            keys: Keys {
                agent: agent_key,
                hpke: binding.hpke_key,
                tls_spki_sha256: binding.tls_spki_sha256,
            },
            manifest_hash: binding.manifest_hash,
            kind: claims.kind,
            grade: claims.grade,
            workload: Self::workload(claims)?,
            tcb_status: claims.tcb.status,
            certificate: submission.certificate,
            evidence_hash,
            verified_at: now,
            expires_at,
        };
        T::Agents::activate(provider, lease, replica, agent_key)?;
        Standings::<T>::insert(lease, replica, standing);
        Self::deposit_event(Event::Attested {
            lease,
            replica,
            agent_key,
            kind: claims.kind,
            grade: claims.grade,
            tcb_status: claims.tcb.status,
            evidence_hash,
            expires_at,
        });
        Ok(())
    }

    pub(crate) fn do_attest_cluster(
        who: AccountId32,
        block: BlockNumberFor<T>,
        submission: Submission,
    ) -> DispatchResult {
        T::Providers::ensure_active(&who)?;
        let binding = Binding {
            purpose: Purpose::Cluster,
            genesis_hash: genesis_hash::<T>(),
            lease: LeaseId(0),
            replica: 0,
            manifest_hash: who.clone().into(),
            nonce: Self::nonce(block)?,
            agent_key: [0; 32],
            hpke_key: [0; 32],
            tls_spki_sha256: [0; 32],
            channel: [0; 32],
            gpu_evidence: [0; 32],
        };
        let claims = Self::verify(&submission)?;
        ensure!(claims.report_data == binding.report_data(), Error::<T>::Binding);
        ensure!(!claims.debug, Error::<T>::Debug);
        ensure!(claims.tcb.status != TcbStatus::Revoked, Error::<T>::TcbRevoked);
        let now = pallet_endorsements::Pallet::<T>::now();
        let cluster = Cluster {
            kind: claims.kind,
            grade: claims.grade,
            workload: Self::workload(&claims)?,
            tcb_status: claims.tcb.status,
            evidence_hash: blake2_256(&submission.evidence),
            expires_at: claims.not_after.min(now.saturating_add(T::StandingSecondsMax::get())),
        };
        Self::deposit_event(Event::ClusterAttested {
            provider: who.clone(),
            kind: cluster.kind,
            grade: cluster.grade,
            workload: cluster.workload.clone(),
            expires_at: cluster.expires_at,
        });
        Clusters::<T>::insert(who, cluster);
        Ok(())
    }

    pub(crate) fn do_appraise(submission: Submission) -> DispatchResult {
        let claims = Self::verify(&submission)?;
        Self::deposit_event(Event::Appraised {
            evidence_hash: blake2_256(&submission.evidence),
            kind: claims.kind,
            grade: claims.grade,
            tcb_status: claims.tcb.status,
            debug: claims.debug,
            workload: Self::workload(&claims)?,
            report_data: claims.report_data,
        });
        Ok(())
    }

    pub(crate) fn do_recheck(
        lease: LeaseId,
        replica: ReplicaIndex,
        submission: Option<Submission>,
    ) -> DispatchResult {
        let mut standing = Standings::<T>::get(lease, replica).ok_or(Error::<T>::NotFound)?;
        let now = pallet_endorsements::Pallet::<T>::now();
        let is_revoked = || Self::is_revoked(standing.kind, standing.certificate);
        let finding = match submission {
            None if is_revoked() => Err(Error::<T>::CertificateRevoked),
            None => Ok(()),
            Some(submission) => {
                let hash = blake2_256(&submission.evidence);
                ensure!(
                    hash == standing.evidence_hash
                        && submission.certificate == standing.certificate
                        && submission.kind == standing.kind,
                    Error::<T>::OtherEvidence
                );
                match Self::verify(&submission) {
                    // Missing or old collateral says nothing against the machine, unless a list that is old
                    // by now names it.
                    Err(Error::<T>::CollateralExpired | Error::<T>::CollateralMissing)
                        if !is_revoked() =>
                    {
                        Ok(())
                    }
                    other => other.and_then(|claims| Self::ensure_acceptable(&claims)),
                }
            }
        };
        let approved =
            Workloads::<T>::get(&standing.workload).is_some_and(|lowest| standing.grade >= lowest);
        let agent_key = standing.keys.agent;
        match finding {
            // What governance accepts no more was good until now: what it earned stays payable.
            Ok(()) | Err(Error::<T>::TcbOutOfDate | Error::<T>::WorkloadNotApproved) => {
                ensure!(finding.is_err() || !approved, Error::<T>::Sound);
                ensure!(standing.expires_at > now, Error::<T>::NotFound);
                standing.expires_at = now;
                Standings::<T>::insert(lease, replica, standing);
            }
            // What the vendor condemns has proved nothing at any time.
            Err(_) => Standings::<T>::remove(lease, replica),
        }
        Self::deposit_event(Event::StandingEnded { lease, replica, agent_key });
        Ok(())
    }

    /// What no agent may have, whatever its publisher's policy says. What governance decides comes last:
    /// [`Self::do_recheck`] tells it from what the vendor says.
    fn ensure_acceptable(claims: &Claims) -> Result<(), Error<T>> {
        ensure!(!claims.debug, Error::<T>::Debug);
        ensure!(claims.tcb.status != TcbStatus::Revoked, Error::<T>::TcbRevoked);
        // Intel says itself which levels are worth nothing, and leaves what is merely old to whoever
        // relies on it. AMD says nothing: there the least level is governance's to say.
        ensure!(
            claims.kind != TeeKind::AmdSevSnp || claims.tcb.status == TcbStatus::UpToDate,
            Error::<T>::TcbOutOfDate
        );
        let lowest = Workloads::<T>::get(Self::workload(claims)?);
        ensure!(
            lowest.is_some_and(|lowest| claims.grade >= lowest),
            Error::<T>::WorkloadNotApproved
        );
        Ok(())
    }

    fn workload(claims: &Claims) -> Result<Workload, Error<T>> {
        claims.measurements.workload().to_vec().try_into().map_err(|_| Error::<T>::Unreadable)
    }

    /// The hash of a recent block, which nobody could know before that block.
    fn nonce(block: BlockNumberFor<T>) -> Result<Hash256, Error<T>> {
        let oldest = frame_system::Pallet::<T>::block_number()
            .saturating_sub(BlockNumberFor::<T>::from(NONCE_BLOCKS_MAX));
        ensure!(block >= oldest, Error::<T>::BlockTooOld);
        let hash = frame_system::Pallet::<T>::block_hash(block);
        // The system knows no hash of a block to come.
        ensure!(hash != T::Hash::default(), Error::<T>::BlockTooOld);
        hash.as_ref().try_into().map_err(|_| Error::<T>::BlockTooOld)
    }
}

/// What binds evidence, quotes and records to this chain: the hash of its first block.
pub fn genesis_hash<T: frame_system::Config>() -> Hash256 {
    let hash = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
    hash.as_ref().try_into().unwrap_or_default()
}

impl<T: Config> OnRetire<AccountId32> for Pallet<T> {
    fn retired(provider: &AccountId32) {
        Clusters::<T>::remove(provider);
    }
}

impl<T: Config> AttestedKeys for Pallet<T> {
    fn counts_until(
        lease: LeaseId,
        replica: ReplicaIndex,
        key: &AgentPublicKey,
    ) -> Option<UnixSeconds> {
        let standing = Standings::<T>::get(lease, replica)?;
        (standing.keys.agent == *key).then_some(standing.expires_at)
    }

    fn forget(lease: LeaseId) {
        // Bounded: a lease has at most this many replicas.
        let _ = Standings::<T>::clear_prefix(lease, REPLICAS_MAX.into(), None);
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_attest(lease: LeaseId, replica: ReplicaIndex, key: AgentPublicKey) {
        let standing = Standing {
            keys: Keys { agent: key, hpke: [0; 32], tls_spki_sha256: [0; 32] },
            manifest_hash: [0; 32],
            kind: casemate_attestation::TeeKind::IntelTdx,
            grade: casemate_attestation::Grade::Hardware,
            // As long as the longest there is.
            workload: Workload::truncate_from(alloc::vec![1; 48]),
            tcb_status: TcbStatus::UpToDate,
            certificate: [0; 32],
            evidence_hash: [0; 32],
            verified_at: 0,
            expires_at: UnixSeconds::MAX,
        };
        Standings::<T>::insert(lease, replica, standing);
    }
}
