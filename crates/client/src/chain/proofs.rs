//! Challenges of what providers promise, and batches of their records.

use std::collections::BTreeMap;

use casemate_primitives::{
    AccountBytes, AgentPublicKey, AgentSignature, Balance, Hash256, LeaseId, LogChunk, LogHead,
    ReplicaIndex, UnixSeconds, UsageRecord, merkle,
};
use codec::Encode as _;
use subxt::utils::{AccountId32, Static};
use subxt_signer::sr25519::Keypair;

use super::{
    ChainClient, ChainError, ChainEvent, Included, Submission,
    read::AtBlock,
    runtime::{
        self,
        runtime_types::{
            bounded_collections::bounded_vec::BoundedVec,
            pallet_proofs::{
                pallet::Event,
                types::{
                    Answer as OnChainAnswer, Batch as OnChainBatch, Challenge as OnChainChallenge,
                    ChallengeId, Chunk, Question as OnChainQuestion, Target as OnChainTarget,
                },
            },
        },
    },
};

/// What a provider is asked for.
#[derive(
    Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum ChallengeTarget {
    /// Evidence of a replica's agent over the challenge's nonce.
    Evidence {
        /// Of which lease.
        lease: LeaseId,
        /// Which of its pods.
        replica: ReplicaIndex,
    },
    /// A chunk of a replica's log.
    LogChunk {
        /// Of which lease.
        lease: LeaseId,
        /// Which of its pods.
        replica: ReplicaIndex,
        /// Which chunk, from 0.
        index: u64,
    },
    /// A leaf of a batch.
    BatchLeaf {
        /// Whose batch.
        provider: AccountBytes,
        /// Which one.
        batch: u64,
        /// Which leaf, from 0.
        index: u64,
    },
}

impl ChallengeTarget {
    /// The lease that it is about; a batch is about many.
    pub fn lease(&self) -> Option<LeaseId> {
        match self {
            Self::Evidence { lease, .. } | Self::LogChunk { lease, .. } => Some(*lease),
            Self::BatchLeaf { .. } => None,
        }
    }
}

impl std::fmt::Display for ChallengeTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Evidence { lease, replica } => {
                write!(f, "evidence of lease {lease}, replica {replica}")
            }
            Self::LogChunk { lease, replica, index } => {
                write!(f, "log chunk {index} of lease {lease}, replica {replica}")
            }
            Self::BatchLeaf { batch, index, .. } => write!(f, "leaf {index} of batch {batch}"),
        }
    }
}

/// A batch of records that is on chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct BatchView {
    /// Root of the tree over its leaves.
    pub root: Hash256,
    /// Number of leaves.
    pub leaves: u64,
    /// When it came on chain.
    pub at: UnixSeconds,
}

/// What an answer is compared with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChallengeQuestion {
    /// The evidence must be over this nonce.
    Evidence {
        /// The nonce.
        nonce: Hash256,
    },
    /// The chunk must be under this head.
    LogChunk {
        /// Whose log.
        key: AgentPublicKey,
        /// Its head.
        head: LogHead,
    },
    /// The leaf must be in this batch.
    BatchLeaf(BatchView),
}

/// An open challenge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChallengeView {
    /// Its number.
    pub id: u64,
    /// Who asks.
    pub challenger: AccountBytes,
    /// Who is asked.
    pub provider: AccountBytes,
    /// For what.
    pub target: ChallengeTarget,
    /// What an answer is compared with.
    pub question: ChallengeQuestion,
    /// Held on the challenger's account.
    pub deposit: Balance,
    /// The last block in which an answer counts.
    pub until: u32,
}

/// Open challenges at one block.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OpenChallenges {
    /// Number of the block.
    pub block: u32,
    /// The challenges, by number.
    pub challenges: Vec<ChallengeView>,
}

/// What a provider answers with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ChallengeAnswer {
    /// To [`ChallengeTarget::Evidence`].
    Evidence(Submission),
    /// To [`ChallengeTarget::LogChunk`].
    LogChunk {
        /// The chunk.
        chunk: LogChunk,
        /// Its path up to the head's root.
        path: Vec<Hash256>,
    },
    /// To [`ChallengeTarget::BatchLeaf`].
    BatchLeaf {
        /// The record.
        record: Box<UsageRecord>,
        /// The agent's signature over it.
        signature: AgentSignature,
        /// The agent's key.
        key: AgentPublicKey,
        /// The leaf's path up to the batch's root.
        path: Vec<Hash256>,
    },
}

/// What became of challenges and batches in a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ProofsEvent {
    /// A provider has to answer.
    Challenged {
        /// Number of the challenge.
        challenge: u64,
        /// Who has to answer.
        provider: AccountBytes,
        /// What is held for it.
        deposit: Balance,
        /// The last block in which an answer counts.
        until: u32,
    },
    /// A provider has answered.
    Answered {
        /// Number of the challenge.
        challenge: u64,
        /// The deposit, which is the provider's now.
        deposit: Balance,
    },
    /// A challenge has ended, with a loser or without.
    Concluded {
        /// Number of the challenge.
        challenge: u64,
        /// How.
        conclusion: Conclusion,
    },
    /// A provider has put records under a root.
    BatchSubmitted {
        /// Whose.
        provider: AccountBytes,
        /// Its number.
        batch: u64,
    },
}

/// How a challenge that nobody has answered in time has ended. The deposit is back in any case.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase", tag = "conclusion")]
pub enum Conclusion {
    /// The provider was silent.
    Lost {
        /// What it has lost of its stake.
        slashed: Balance,
        /// What the challenger got of that; the rest is burnt.
        rewarded: Balance,
        /// What went from the lease's open periods back to its escrow.
        returned: Balance,
    },
    /// The lease was closed, or its agent's standing ended, before the window was over.
    Void,
}

/// What a challenge costs, and how long its answer may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChallengeTerms {
    /// What the chain would hold of the challenger's money.
    pub deposit: Balance,
    /// Blocks in which the provider may answer.
    pub window_blocks: u32,
}

/// A challenge that was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Challenged {
    /// Its number.
    pub challenge: u64,
    /// Who has to answer.
    pub provider: AccountBytes,
    /// What is held for it.
    pub deposit: Balance,
    /// The last block in which an answer counts.
    pub until: u32,
    /// The block in which it was made.
    pub block_hash: Hash256,
}

impl ChainClient {
    /// Asks a provider for a proof, against a deposit of at most `deposit_max`.
    ///
    /// # Errors
    /// As [`ChainClient::submit`].
    pub async fn challenge(
        &self,
        signer: &Keypair,
        target: &ChallengeTarget,
        deposit_max: Balance,
    ) -> Result<Challenged, ChainError> {
        let call = runtime::tx().proofs().challenge(on_chain_target(target), deposit_max);
        let Included { block_hash, events } = self.send(signer, &call).await?;
        let made = events.into_iter().find_map(|event| match event {
            ChainEvent::Proofs(ProofsEvent::Challenged { challenge, provider, deposit, until }) => {
                Some(Challenged { challenge, provider, deposit, until, block_hash })
            }
            _ => None,
        });
        made.ok_or_else(|| ChainError::Decode("the block has no `Challenged` event".into()))
    }

    /// Answers a challenge.
    ///
    /// # Errors
    /// As [`ChainClient::submit`].
    pub async fn answer(
        &self,
        signer: &Keypair,
        challenge: u64,
        answer: ChallengeAnswer,
    ) -> Result<Included, ChainError> {
        let call = runtime::tx().proofs().answer(ChallengeId(challenge), answer.into());
        self.send(signer, &call).await
    }

    /// Ends a challenge that nobody has answered in time.
    ///
    /// # Errors
    /// As [`ChainClient::submit`].
    pub async fn conclude(
        &self,
        signer: &Keypair,
        challenge: u64,
    ) -> Result<(Hash256, Conclusion), ChainError> {
        let call = runtime::tx().proofs().conclude(ChallengeId(challenge));
        let Included { block_hash, events } = self.send(signer, &call).await?;
        let concluded = events.into_iter().find_map(|event| match event {
            ChainEvent::Proofs(ProofsEvent::Concluded { challenge: id, conclusion })
                if id == challenge =>
            {
                Some(conclusion)
            }
            _ => None,
        });
        let concluded = concluded
            .ok_or_else(|| ChainError::Decode("the block does not say how it ended".into()))?;
        Ok((block_hash, concluded))
    }

    /// Puts records under one root. Gives the batch's number.
    ///
    /// # Errors
    /// As [`ChainClient::submit`].
    pub async fn submit_batch(
        &self,
        signer: &Keypair,
        root: Hash256,
        leaves: u64,
    ) -> Result<u64, ChainError> {
        let call = runtime::tx().proofs().submit_batch(root, leaves);
        let included = self.send(signer, &call).await?;
        let account = signer.public_key().0;
        let batch = included.events.into_iter().find_map(|event| match event {
            ChainEvent::Proofs(ProofsEvent::BatchSubmitted { provider, batch })
                if provider == account =>
            {
                Some(batch)
            }
            _ => None,
        });
        batch.ok_or_else(|| ChainError::Decode("the block has no `BatchSubmitted` event".into()))
    }

    /// Claims a record that is the leaf at `index` of the signer's batch.
    ///
    /// # Errors
    /// As [`ChainClient::submit`].
    pub async fn claim_from_batch(
        &self,
        signer: &Keypair,
        (batch, index): (u64, u64),
        record: UsageRecord,
        signature: AgentSignature,
        path: Vec<Hash256>,
    ) -> Result<Included, ChainError> {
        let tx = runtime::tx().proofs();
        let call = tx.claim_from_batch(batch, index, Static(record), signature, BoundedVec(path));
        self.send(signer, &call).await
    }

    /// Removes a batch that is too old to count.
    ///
    /// # Errors
    /// As [`ChainClient::submit`].
    pub async fn forget_batch(
        &self,
        signer: &Keypair,
        provider: &AccountBytes,
        batch: u64,
    ) -> Result<Included, ChainError> {
        let call = runtime::tx().proofs().forget_batch(AccountId32(*provider), batch);
        self.send(signer, &call).await
    }

    /// Challenges that this provider has to answer. Costs no more than there are.
    ///
    /// # Errors
    /// When the node does not answer; so for all that follow.
    pub async fn challenges_of(
        &self,
        provider: &AccountBytes,
    ) -> Result<OpenChallenges, ChainError> {
        let at = self.at_finalised().await?;
        let address = runtime::storage().proofs().by_provider();
        let mut entries = at
            .storage()
            .iter(address, (AccountId32(*provider),))
            .await
            .map_err(ChainError::reading)?;
        let mut challenges = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(ChainError::reading)?;
            let (_, id) = entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
            challenges.extend(challenge(&at, id.0).await?);
        }
        challenges.sort_by_key(|challenge| challenge.id);
        Ok(OpenChallenges { block: block_number(&at)?, challenges })
    }

    /// All open challenges.
    pub async fn challenges(&self) -> Result<OpenChallenges, ChainError> {
        let at = self.at_finalised().await?;
        let address = runtime::storage().proofs().challenges();
        let mut entries = at.storage().iter(address, ()).await.map_err(ChainError::reading)?;
        let mut challenges = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(ChainError::reading)?;
            let (id,) = entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
            let found = entry.value().decode().map_err(ChainError::reading)?;
            challenges.push(challenge_view(id.0, found));
        }
        challenges.sort_by_key(|challenge| challenge.id);
        Ok(OpenChallenges { block: block_number(&at)?, challenges })
    }

    /// One challenge, while it is open; and the number of the block at which it was looked at.
    pub async fn open_challenge(
        &self,
        id: u64,
    ) -> Result<(u32, Option<ChallengeView>), ChainError> {
        let at = self.at_finalised().await?;
        Ok((block_number(&at)?, challenge(&at, id).await?))
    }

    /// The open challenge for a target, if there is one.
    pub async fn challenge_for(
        &self,
        target: &ChallengeTarget,
    ) -> Result<Option<ChallengeView>, ChainError> {
        let at = self.at_finalised().await?;
        let address = runtime::storage().proofs().targets();
        let value = at
            .storage()
            .try_fetch(address, (on_chain_target(target),))
            .await
            .map_err(ChainError::reading)?;
        let Some(value) = value else { return Ok(None) };
        let id = value.decode().map_err(ChainError::reading)?;
        challenge(&at, id.0).await
    }

    /// What a challenge of this account would cost now, if the chain took it; `None` where nobody is
    /// known who could be asked.
    pub async fn challenge_terms(
        &self,
        challenger: &AccountBytes,
        target: &ChallengeTarget,
    ) -> Result<Option<ChallengeTerms>, ChainError> {
        let at = self.at_finalised().await?;
        let constants = at.constants();
        let names = runtime::constants().proofs();
        let base = constants.entry(names.deposit_base()).map_err(ChainError::reading)?;
        let window_blocks = constants.entry(names.window_blocks()).map_err(ChainError::reading)?;
        let (provider, own) = match target.lease() {
            Some(lease) => {
                let Some((publisher, provider)) = parties(&at, lease).await? else {
                    return Ok(None);
                };
                (provider, Some(lease).filter(|_| publisher == *challenger))
            }
            None => match target {
                ChallengeTarget::BatchLeaf { provider, .. } => (*provider, None),
                _ => return Ok(None),
            },
        };
        let storage = runtime::storage().proofs();
        let open = match own {
            Some(lease) => {
                let address = storage.open_by_publisher();
                let value = at.storage().try_fetch(address, (Static(lease),)).await;
                let value = value.map_err(ChainError::reading)?;
                value.map(|value| value.decode()).transpose().map_err(ChainError::reading)?
            }
            None => {
                let address = storage.open_against();
                let value = at.storage().try_fetch(address, (AccountId32(provider),)).await;
                let value = value.map_err(ChainError::reading)?;
                value.map(|value| value.decode()).transpose().map_err(ChainError::reading)?
            }
        };
        let times = Balance::from(open.unwrap_or(0)).saturating_add(1);
        Ok(Some(ChallengeTerms { deposit: base.saturating_mul(times), window_blocks }))
    }

    /// The batches of a provider that are still on chain, by number.
    pub async fn batches(
        &self,
        provider: &AccountBytes,
    ) -> Result<BTreeMap<u64, BatchView>, ChainError> {
        let at = self.at_finalised().await?;
        let address = runtime::storage().proofs().batches();
        let mut entries = at
            .storage()
            .iter(address, (AccountId32(*provider),))
            .await
            .map_err(ChainError::reading)?;
        let mut batches = BTreeMap::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(ChainError::reading)?;
            let (_, number) =
                entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
            let found = entry.value().decode().map_err(ChainError::reading)?;
            batches.insert(number, batch_view(&found));
        }
        Ok(batches)
    }
}

/// The leaf of a signed record in a batch, as `pallet-proofs` has it.
pub fn batch_leaf(record: &UsageRecord, signature: &AgentSignature) -> Hash256 {
    merkle::leaf_hash(&(record, signature).encode())
}

fn block_number(at: &AtBlock) -> Result<u32, ChainError> {
    u32::try_from(at.block_number())
        .map_err(|_| ChainError::Decode("a block number above 2^32".into()))
}

async fn challenge(at: &AtBlock, id: u64) -> Result<Option<ChallengeView>, ChainError> {
    let address = runtime::storage().proofs().challenges();
    let value =
        at.storage().try_fetch(address, (ChallengeId(id),)).await.map_err(ChainError::reading)?;
    let Some(value) = value else { return Ok(None) };
    Ok(Some(challenge_view(id, value.decode().map_err(ChainError::reading)?)))
}

/// Publisher and provider of a lease that is still known, settled or not.
async fn parties(
    at: &AtBlock,
    lease: LeaseId,
) -> Result<Option<(AccountBytes, AccountBytes)>, ChainError> {
    let address = runtime::storage().leases().leases();
    let value =
        at.storage().try_fetch(address, (Static(lease),)).await.map_err(ChainError::reading)?;
    let Some(value) = value else { return Ok(None) };
    let found = value.decode().map_err(ChainError::reading)?;
    Ok(Some((found.publisher.0, found.provider.0)))
}

fn challenge_view(id: u64, found: OnChainChallenge<AccountId32, u32>) -> ChallengeView {
    let question = match &found.question {
        OnChainQuestion::Evidence { nonce } => ChallengeQuestion::Evidence { nonce: *nonce },
        OnChainQuestion::LogChunk { key, head } => {
            ChallengeQuestion::LogChunk { key: *key, head: head.0 }
        }
        OnChainQuestion::BatchLeaf(batch) => ChallengeQuestion::BatchLeaf(batch_view(batch)),
    };
    ChallengeView {
        id,
        challenger: found.challenger.0,
        provider: found.provider.0,
        target: target_view(found.target),
        question,
        deposit: found.deposit,
        until: found.until,
    }
}

fn batch_view(found: &OnChainBatch) -> BatchView {
    BatchView { root: found.root, leaves: found.leaves, at: found.at }
}

fn target_view(target: OnChainTarget<AccountId32>) -> ChallengeTarget {
    match target {
        OnChainTarget::Evidence { lease, replica } => {
            ChallengeTarget::Evidence { lease: lease.0, replica }
        }
        OnChainTarget::LogChunk { lease, replica, index } => {
            ChallengeTarget::LogChunk { lease: lease.0, replica, index }
        }
        OnChainTarget::BatchLeaf { provider, batch, index } => {
            ChallengeTarget::BatchLeaf { provider: provider.0, batch, index }
        }
    }
}

fn on_chain_target(target: &ChallengeTarget) -> OnChainTarget<AccountId32> {
    match *target {
        ChallengeTarget::Evidence { lease, replica } => {
            OnChainTarget::Evidence { lease: Static(lease), replica }
        }
        ChallengeTarget::LogChunk { lease, replica, index } => {
            OnChainTarget::LogChunk { lease: Static(lease), replica, index }
        }
        ChallengeTarget::BatchLeaf { provider, batch, index } => {
            OnChainTarget::BatchLeaf { provider: AccountId32(provider), batch, index }
        }
    }
}

impl From<ChallengeAnswer> for OnChainAnswer {
    fn from(answer: ChallengeAnswer) -> Self {
        match answer {
            ChallengeAnswer::Evidence(submission) => Self::Evidence(submission.into()),
            ChallengeAnswer::LogChunk { chunk, path } => Self::LogChunk {
                chunk: Chunk { header: Static(chunk.header), body: BoundedVec(chunk.body) },
                path: BoundedVec(path),
            },
            ChallengeAnswer::BatchLeaf { record, signature, key, path } => {
                Self::BatchLeaf { record: Static(*record), signature, key, path: BoundedVec(path) }
            }
        }
    }
}

/// What an event of the pallet means to who has asked, or waits for an end.
pub(super) fn event(event: Event) -> Option<ChainEvent> {
    let event = match event {
        Event::Challenged { challenge, provider, deposit, until, .. } => {
            ProofsEvent::Challenged { challenge: challenge.0, provider: provider.0, deposit, until }
        }
        Event::Answered { challenge, deposit, .. } => {
            ProofsEvent::Answered { challenge: challenge.0, deposit }
        }
        Event::Lost { challenge, slashed, rewarded, returned, .. } => ProofsEvent::Concluded {
            challenge: challenge.0,
            conclusion: Conclusion::Lost { slashed, rewarded, returned },
        },
        Event::Void { challenge, .. } => {
            ProofsEvent::Concluded { challenge: challenge.0, conclusion: Conclusion::Void }
        }
        Event::BatchSubmitted { provider, batch, .. } => {
            ProofsEvent::BatchSubmitted { provider: provider.0, batch }
        }
        Event::BatchForgotten { .. } => return None,
    };
    Some(ChainEvent::Proofs(event))
}
