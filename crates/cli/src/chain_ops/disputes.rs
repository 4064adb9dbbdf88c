//! Contests, evictions, new prices, complaints: calls and reads.

use std::collections::BTreeMap;

use casemate_client::{
    chain::{
        Call, ChainEvent, ComplaintView, ContestRules, LeaseDetails, LeaseStage, Motion,
        ReputationView,
    },
    records::SignedRecord,
};
use casemate_primitives::{
    AccountBytes, Amendment, Balance, Hash256, LeaseId, reputation::ComplaintKind,
};

use super::{Chain, block_text, settled_in};
use crate::{
    address::Address,
    asset::Unit,
    context::Signer,
    failure::{Failure, OrFail as _},
};

/// What an eviction took from the provider.
#[derive(Clone, Debug)]
pub(crate) struct Evicted {
    pub(crate) slashed: Balance,
    /// What the publisher got of it.
    pub(crate) rewarded: Balance,
    /// The unspent rest, where it went back at once.
    pub(crate) refunded: Option<Balance>,
    pub(crate) block: String,
}

impl Chain {
    /// A lease's money and times, also after it was settled.
    pub(crate) async fn details(&self, lease: LeaseId) -> anyhow::Result<Option<LeaseDetails>> {
        Ok(self.client.lease_details(lease).await?)
    }

    /// What it costs to contest claims in this unit.
    pub(crate) async fn contest_rules(&self, unit: &Unit) -> anyhow::Result<ContestRules> {
        let native = self.client.contest_rules().await?;
        Ok(match unit {
            Unit::Native => native,
            // The chain knows no price between assets.
            unit => ContestRules { deposit_min: unit.deposit_min(), ..native },
        })
    }

    /// Contests all claims that are not final.
    pub(crate) async fn contest(
        &self,
        signer: &Signer,
        lease: LeaseId,
        (deposit, unit): (Balance, &Unit),
    ) -> anyhow::Result<String> {
        const PURPOSE: &str = "what has to be put down";
        match unit {
            Unit::Native => self.ensure_funds(signer, PURPOSE, deposit).await?,
            unit => self.ensure_unit(signer, unit, PURPOSE, deposit).await?,
        }
        self.call(signer, Call::Contest { lease }).await
    }

    /// Lets contested claims stand.
    pub(crate) async fn expire_contest(
        &self,
        signer: &Signer,
        lease: LeaseId,
    ) -> anyhow::Result<String> {
        self.call(signer, Call::ExpireContest { lease }).await
    }

    /// Brings two contradicting records; says what went back, and the block.
    pub(crate) async fn prove_misconduct(
        &self,
        signer: &Signer,
        [a, b]: [&SignedRecord; 2],
    ) -> anyhow::Result<(Balance, String)> {
        let call = Call::ProveMisconduct {
            a: Box::new(*a.record()),
            signature_a: a.to_entry().signature.0,
            b: Box::new(*b.record()),
            signature_b: b.to_entry().signature.0,
        };
        let included = self.submit(signer, call).await?;
        Ok((refunded_in(&included.events), block_text(&included)))
    }

    /// Ends a lease whose provider is silent; where no notice was agreed the rest goes back with it.
    pub(crate) async fn evict(
        &self,
        signer: &Signer,
        details: &LeaseDetails,
    ) -> anyhow::Result<Evicted> {
        let lease = details.id;
        let is_settled = details.terms.notice_seconds == 0 && details.stage == LeaseStage::Active;
        let call = if is_settled { Call::EvictAndSettle { lease } } else { Call::Evict { lease } };
        let included = self.submit(signer, call).await?;
        let refunded = settled_in(&included.events, lease).map(|settled| settled.refunded);
        let slashed = included.events.iter().find_map(|event| match event {
            ChainEvent::ProviderSlashed { amount, rewarded, .. } => Some((*amount, *rewarded)),
            _ => None,
        });
        let (slashed, rewarded) = slashed.unwrap_or_default();
        Ok(Evicted { slashed, rewarded, refunded, block: block_text(&included) })
    }

    /// Brings new prices that the provider has signed.
    pub(crate) async fn amend(
        &self,
        signer: &Signer,
        amendment: Amendment,
        signature: [u8; 64],
    ) -> anyhow::Result<String> {
        self.call(signer, Call::Amend { amendment: Box::new(amendment), signature }).await
    }

    /// As a provider, says that the lease will be closed after the agreed time.
    pub(crate) async fn give_notice(
        &self,
        signer: &Signer,
        lease: LeaseId,
    ) -> anyhow::Result<String> {
        self.call(signer, Call::GiveNotice { lease }).await
    }

    /// Complains; says the complaint's number and the block.
    pub(crate) async fn complain(
        &self,
        signer: &Signer,
        (lease, kind, text_hash): (LeaseId, ComplaintKind, Hash256),
        deposit: Balance,
    ) -> anyhow::Result<(u64, String)> {
        self.ensure_funds(signer, "the complaint's deposit", deposit).await?;
        let included = self.submit(signer, Call::Complain { lease, kind, text_hash }).await?;
        let block = block_text(&included);
        let complaint = included.events.iter().find_map(|event| match event {
            ChainEvent::Complained { complaint } => Some(*complaint),
            _ => None,
        });
        let complaint = complaint.or_fail(|| {
            Failure::new(format!("block {block} took the complaint, but does not name it"))
                .hint(format!("look for it: casemate lease complaints {lease}"))
        })?;
        Ok((complaint, block))
    }

    /// Takes a complaint back.
    pub(crate) async fn close_complaint(
        &self,
        signer: &Signer,
        complaint: u64,
    ) -> anyhow::Result<String> {
        self.call(signer, Call::CloseComplaint { complaint }).await
    }

    /// Ends a complaint that nobody decided in time.
    pub(crate) async fn expire_complaint(
        &self,
        signer: &Signer,
        complaint: u64,
    ) -> anyhow::Result<String> {
        self.call(signer, Call::ExpireComplaint { complaint }).await
    }

    /// Open complaints about a lease.
    pub(crate) async fn complaints_about(
        &self,
        lease: LeaseId,
    ) -> anyhow::Result<Vec<ComplaintView>> {
        Ok(self.client.complaints_about(lease).await?)
    }

    /// An open complaint.
    pub(crate) async fn complaint(&self, id: u64) -> anyhow::Result<Option<ComplaintView>> {
        Ok(self.client.complaint(id).await?)
    }

    /// What a new complaint against an account costs.
    pub(crate) async fn complaint_deposit(&self, accused: Address) -> anyhow::Result<Balance> {
        Ok(self.client.complaint_deposit(&accused.0).await?)
    }

    /// An account's reputation now.
    pub(crate) async fn reputation(&self, account: Address) -> anyhow::Result<ReputationView> {
        Ok(self.client.reputation(&account.0).await?)
    }

    /// The same of several accounts.
    pub(crate) async fn reputations(
        &self,
        accounts: &[AccountBytes],
    ) -> anyhow::Result<BTreeMap<AccountBytes, ReputationView>> {
        Ok(self.client.reputations(accounts).await?)
    }

    /// As an arbiter, decides what is contested.
    pub(crate) async fn decide(
        &self,
        signer: &Signer,
        lease: LeaseId,
        to_publisher: u32,
    ) -> anyhow::Result<Motion> {
        let decided = self.client.decide_contest(&signer.keypair, lease, to_publisher);
        decided.await.or_fail(|| Failure::new(format!("the contest of lease {lease} is undecided")))
    }

    /// As an arbiter, decides a complaint.
    pub(crate) async fn resolve(
        &self,
        signer: &Signer,
        complaint: u64,
        upheld: bool,
    ) -> anyhow::Result<Motion> {
        let resolved = self.client.resolve_complaint(&signer.keypair, complaint, upheld);
        resolved.await.or_fail(|| Failure::new(format!("complaint {complaint} is undecided")))
    }
}

/// What went back to a publisher.
pub(crate) fn refunded_in(events: &[ChainEvent]) -> Balance {
    let amounts = events.iter().filter_map(|event| match event {
        ChainEvent::ClaimsRefunded { amount, .. } => Some(*amount),
        _ => None,
    });
    amounts.fold(0, Balance::saturating_add)
}
