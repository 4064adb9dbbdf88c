//! Decisions of the technical committee, whose members are the chain's arbiters.
//!
//! A committee of one decides by its proposal. In a larger one each member that is for it says so with
//! the same call, and the one whose voice completes two thirds has it carried out.

use casemate_primitives::{Hash256, LeaseId, blake2_256};
use subxt::utils::{AccountId32, H256, Static};
use subxt_signer::sr25519::Keypair;

use super::{
    ChainClient, ChainError, ChainEvent, Included,
    runtime::{
        self,
        runtime_types::{
            casemate_runtime::RuntimeCall, pallet_leases::pallet::Call as Leases,
            pallet_reputation::pallet::Call as Reputation, sp_arithmetic::per_things::Permill,
            sp_weights::weight_v2::Weight,
        },
    },
};

/// Longer than any call that is decided here.
const LENGTH_MAX: u32 = 1_024;
/// More than any of them weighs; the chain takes what it needs.
const WEIGHT_MAX: Weight = Weight { ref_time: 10_000_000_000, proof_size: 1_000_000 };

/// What came of a member's voice.
#[derive(Clone, Debug)]
pub enum Motion {
    /// Enough were for it: it is done.
    Executed(Included),
    /// Others have to say the same.
    Waiting {
        /// How many are for it.
        ayes: u32,
        /// How many it takes.
        needed: u32,
        /// The block with this voice; `None` where the member had said so before.
        block_hash: Option<Hash256>,
    },
}

impl ChainClient {
    /// As an arbiter: which part of what is contested goes back to the publisher, in millionths.
    ///
    /// # Errors
    /// As [`ChainClient::submit`]; also when the call itself was refused.
    pub async fn decide_contest(
        &self,
        signer: &Keypair,
        lease: LeaseId,
        to_publisher: u32,
    ) -> Result<Motion, ChainError> {
        let part = || Permill(to_publisher.min(1_000_000));
        let call = Leases::decide { lease: Static(lease), to_publisher: part() };
        let alone = runtime::tx().leases().decide(Static(lease), part());
        self.by_committee(signer, RuntimeCall::Leases(call), &alone).await
    }

    /// As an arbiter: whether a complaint is right.
    ///
    /// # Errors
    /// As [`ChainClient::decide_contest`].
    pub async fn resolve_complaint(
        &self,
        signer: &Keypair,
        complaint: u64,
        upheld: bool,
    ) -> Result<Motion, ChainError> {
        let call = Reputation::resolve_complaint { complaint, upheld };
        let alone = runtime::tx().reputation().resolve_complaint(complaint, upheld);
        self.by_committee(signer, RuntimeCall::Reputation(call), &alone).await
    }

    /// `alone` is the same call, as a transaction of its own: its bytes are what members agree on.
    async fn by_committee(
        &self,
        signer: &Keypair,
        call: RuntimeCall,
        alone: &impl subxt::tx::Payload,
    ) -> Result<Motion, ChainError> {
        let me = AccountId32(signer.public_key().0);
        let at = self.at_finalised().await?;
        let bytes = at.transactions().call_data(alone).map_err(|err| ChainError::sending(&err))?;
        let proposal = H256(blake2_256(&bytes));
        let address = runtime::storage().technical_committee().members();
        let value = at.storage().try_fetch(address, ()).await.map_err(ChainError::reading)?;
        let members = match value {
            Some(value) => value.decode().map_err(ChainError::reading)?.len(),
            None => 0,
        };
        let needed = u32::try_from((2 * members).div_ceil(3)).unwrap_or(u32::MAX).max(1);
        let tx = runtime::tx();
        let mut included = None;
        if self.votes(proposal).await?.is_none() {
            let call = tx.technical_committee().propose(needed, call, LENGTH_MAX);
            let proposed = self.send(signer, &call).await?;
            if needed < 2 {
                return executed(proposed);
            }
            included = Some(proposed);
        }
        let motion = self.votes(proposal).await?;
        let mut motion = motion.ok_or_else(|| ChainError::Lost("the proposal is gone".into()))?;
        if !motion.ayes.contains(&me) {
            let call = tx.technical_committee().vote(proposal, motion.index, true);
            included = Some(self.send(signer, &call).await?);
            motion.ayes.push(me);
        }
        let ayes = u32::try_from(motion.ayes.len()).unwrap_or(u32::MAX);
        if ayes < motion.threshold {
            let block_hash = included.map(|included| included.block_hash);
            return Ok(Motion::Waiting { ayes, needed: motion.threshold, block_hash });
        }
        let close = tx.technical_committee().close(proposal, motion.index, WEIGHT_MAX, LENGTH_MAX);
        executed(self.send(signer, &close).await?)
    }

    async fn votes(
        &self,
        proposal: H256,
    ) -> Result<
        Option<runtime::runtime_types::pallet_collective::Votes<AccountId32, u32>>,
        ChainError,
    > {
        let at = self.at_finalised().await?;
        let address = runtime::storage().technical_committee().voting();
        let value =
            at.storage().try_fetch(address, (proposal,)).await.map_err(ChainError::reading)?;
        value.map(|value| value.decode().map_err(ChainError::reading)).transpose()
    }
}

/// The proposal's transaction succeeds whatever becomes of the call in it.
fn executed(included: Included) -> Result<Motion, ChainError> {
    let refused = included.events.iter().find_map(|event| match event {
        ChainEvent::CommitteeExecuted { refused } => Some(refused.clone()),
        _ => None,
    });
    match refused {
        Some(None) => Ok(Motion::Executed(included)),
        Some(Some(refused)) => Err(refused),
        None => Err(ChainError::Decode("the committee's decision is not among the events".into())),
    }
}
