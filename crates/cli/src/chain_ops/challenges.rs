//! Challenges.

use casemate_client::chain::{
    ChallengeTarget, ChallengeTerms, ChallengeView, Challenged, Conclusion, OpenChallenges,
};
use casemate_primitives::Balance;

use super::Chain;
use crate::{
    address::Address,
    context::Signer,
    failure::{Failure, OrFail as _, fail},
};

impl Chain {
    /// What a challenge would cost.
    pub(crate) async fn challenge_terms(
        &self,
        challenger: Address,
        target: &ChallengeTarget,
    ) -> anyhow::Result<ChallengeTerms> {
        self.client.challenge_terms(&challenger.0, target).await?.or_fail(|| {
            Failure::new(format!("nobody is known who could be asked for {target}"))
                .hint("the lease may be forgotten already; see which you have: casemate list")
        })
    }

    /// Asks, and waits until the question is final.
    pub(crate) async fn challenge(
        &self,
        signer: &Signer,
        target: &ChallengeTarget,
        deposit_max: Option<Balance>,
    ) -> anyhow::Result<Challenged> {
        if let Some(open) = self.client.challenge_for(target).await? {
            return fail(
                Failure::new(format!(
                    "{target} is asked for already, by {} in challenge {}, until block {}",
                    Address(open.challenger),
                    open.id,
                    open.until,
                ))
                .hint("see how it ends: casemate challenge list"),
            );
        }
        let terms = self.challenge_terms(signer.address, target).await?;
        let deposit_max = deposit_max.unwrap_or(terms.deposit);
        if terms.deposit > deposit_max {
            return fail(
                Failure::new(format!(
                    "the deposit is {}, more than the {} that you allow: the more challenges are \
                     open, the dearer is the next",
                    crate::amount::Amount(terms.deposit),
                    crate::amount::Amount(deposit_max),
                ))
                .hint("allow more with --deposit-max, or wait until others have ended"),
            );
        }
        self.ensure_funds(signer, "the deposit", terms.deposit).await?;
        self.client
            .challenge(&signer.keypair, target, deposit_max)
            .await
            .or_fail(|| Failure::new(format!("{target} was not asked for")))
    }

    /// Ends a challenge that was not answered in time; says in which block, and how.
    pub(crate) async fn conclude(
        &self,
        signer: &Signer,
        challenge: u64,
    ) -> anyhow::Result<(String, Conclusion)> {
        let (block, conclusion) = self
            .client
            .conclude(&signer.keypair, challenge)
            .await
            .or_fail(|| Failure::new(format!("challenge {challenge} was not concluded")))?;
        Ok((format!("0x{}", hex::encode(block)), conclusion))
    }

    /// Open challenges: all, or one provider's.
    pub(crate) async fn challenges(
        &self,
        provider: Option<Address>,
    ) -> anyhow::Result<OpenChallenges> {
        Ok(match provider {
            Some(provider) => self.client.challenges_of(&provider.0).await?,
            None => self.client.challenges().await?,
        })
    }

    /// One challenge while it is open, and the block at which it was looked at.
    pub(crate) async fn open_challenge(
        &self,
        challenge: u64,
    ) -> anyhow::Result<(u32, Option<ChallengeView>)> {
        Ok(self.client.open_challenge(challenge).await?)
    }
}
