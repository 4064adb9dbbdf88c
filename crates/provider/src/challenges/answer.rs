//! What answers one challenge.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use casemate_client::chain::{
    AttestedKeys, BatchView, ChallengeAnswer, ChallengeQuestion, ChallengeTarget, ChallengeView,
    batch_leaf,
};
use casemate_primitives::{
    AgentPublicKey, Hash256, LeaseId, LogHead, ReplicaIndex, UnixSeconds, merkle,
};
use casemate_provider_core::{Attestation, SignedUsageRecord};
use codec::Encode as _;

use crate::{
    Chain, ChainError,
    attestation::{Attestor, Endorsed, Evidence, EvidenceError, Wanted},
    spool::{Spool, SpoolError},
    world::World,
};

/// Why a challenge is not answered (yet).
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("no finalised block was acted on yet")]
    NotReady,
    #[error("no agent of the replica has standing")]
    NoStanding,
    #[error("the agent that has standing is in no pod that can be reached")]
    NoAgent,
    #[error("the chunk is not (or no longer) kept")]
    NoChunk,
    #[error("what is kept of the log is not what the claimed record's head is over")]
    OtherLog,
    #[error("the batch's leaves are not (or no longer) kept")]
    NoLeaf,
    #[error("what is kept of the batch is not what its root is over")]
    OtherBatch,
    #[error("this version does not know what is asked for")]
    Unknown,
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("making the answer broke off")]
    BrokeOff,
}

/// What an answer is made of.
pub(super) struct Answerer<C> {
    pub(super) chain: Arc<C>,
    pub(super) attestor: Arc<dyn Attestor>,
    pub(super) endorsed: Arc<Endorsed>,
    pub(super) spool: Spool,
    pub(super) world: Arc<World>,
}

impl<C: Chain> Answerer<C> {
    /// Resolves when the answer is in a finalised block.
    pub(super) async fn answer(&self, challenge: &ChallengeView) -> Result<(), AnswerError> {
        let id = challenge.id;
        match (challenge.target, challenge.question) {
            (
                ChallengeTarget::Evidence { lease, replica },
                ChallengeQuestion::Evidence { nonce },
            ) => self.evidence(id, lease, replica, nonce).await,
            (
                ChallengeTarget::LogChunk { lease, replica, index },
                ChallengeQuestion::LogChunk { key, head },
            ) => self.log_chunk(id, (lease, replica, key), index, head).await,
            (ChallengeTarget::BatchLeaf { index, .. }, ChallengeQuestion::BatchLeaf(batch)) => {
                self.batch_leaf(id, batch, index).await
            }
            _ => Err(AnswerError::Unknown),
        }
    }

    /// By the agent that has standing now: only its evidence is taken.
    async fn evidence(
        &self,
        id: u64,
        lease: LeaseId,
        replica: ReplicaIndex,
        nonce: Hash256,
    ) -> Result<(), AnswerError> {
        if !self.world.is_ready {
            return Err(AnswerError::NotReady);
        }
        let now: UnixSeconds = self.world.snapshot.time;
        let agent = self
            .world
            .snapshot
            .leases
            .get(&lease)
            .and_then(|lease| lease.agents.iter().find(|agent| agent.replica == replica));
        let standing = agent.and_then(|agent| Some((agent.key, agent.standing.as_ref()?)));
        let (key, standing) = standing
            .filter(|(_, standing)| now < standing.expires_at)
            .ok_or(AnswerError::NoStanding)?;
        let (address, keys) = self.agent_at(lease, replica, key).ok_or(AnswerError::NoAgent)?;
        let wanted = Wanted {
            address,
            genesis_hash: self.chain.genesis_hash(),
            lease,
            replica,
            manifest_hash: standing.manifest_hash,
            keys,
            block_hash: nonce,
            roots: self.chain.trust_roots().await?,
        };
        let Evidence { submission, endorsements } = self.attestor.evidence(wanted).await?;
        let submit = || self.chain.answer(id, ChallengeAnswer::Evidence(submission.clone()));
        Ok(self.endorsed.submit(&*self.chain, &endorsements, false, submit).await?)
    }

    /// Where the agent with this key serves evidence, and its other keys.
    fn agent_at(
        &self,
        lease: LeaseId,
        replica: ReplicaIndex,
        key: AgentPublicKey,
    ) -> Option<(SocketAddr, AttestedKeys)> {
        let mut pods = self.world.pods_of(lease).iter();
        pods.find_map(|pod| {
            if pod.id.replica != replica || pod.agent_key != Some(key) {
                return None;
            }
            let Attestation::Available(endpoint) = &pod.attestation else { return None };
            let keys = AttestedKeys {
                agent: key,
                hpke: endpoint.hpke_key,
                tls_spki_sha256: endpoint.tls_spki_sha256,
            };
            Some((SocketAddr::new(pod.address?, endpoint.port), keys))
        })
    }

    async fn log_chunk(
        &self,
        id: u64,
        key: crate::spool::RecordKey,
        index: u64,
        head: LogHead,
    ) -> Result<(), AnswerError> {
        let found = self.spool.proved_log_chunk(key, index, head.chunks).await?;
        let (chunk, path) = found.ok_or(AnswerError::NoChunk)?;
        let leaf = merkle::leaf_hash(&chunk.encode());
        if merkle::proved_root(&leaf, index, head.chunks, &path) != Some(head.root) {
            return Err(AnswerError::OtherLog);
        }
        Ok(self.chain.answer(id, ChallengeAnswer::LogChunk { chunk, path }).await?)
    }

    async fn batch_leaf(&self, id: u64, batch: BatchView, index: u64) -> Result<(), AnswerError> {
        let found = self.spool.batch_leaf(batch.root, index).await?;
        let (SignedUsageRecord { record, key, signature, .. }, path) =
            found.ok_or(AnswerError::NoLeaf)?;
        let leaf = batch_leaf(&record, &signature);
        if merkle::proved_root(&leaf, index, batch.leaves, &path) != Some(batch.root) {
            return Err(AnswerError::OtherBatch);
        }
        let record = Box::new(record);
        let answer = ChallengeAnswer::BatchLeaf { record, signature, key, path };
        Ok(self.chain.answer(id, answer).await?)
    }
}
