//! Leases that are over: where what is left of them is fetched.

use casemate_client::{
    api::RecordEntry,
    chain::{AgentView, LeaseView},
    provider::{ProviderClient, ProviderError},
    records::SignedRecord,
};
use casemate_primitives::{Hash256, LeaseId};

use super::{find, notes, provider_of};
use crate::{
    address::Address,
    chain_ops::Chain,
    context::{Context, Signer},
    failure::{Failure, OrFail as _},
};

/// A lease, on chain or over, and its provider.
pub(super) struct Place {
    pub(super) id: LeaseId,
    /// As the chain has it; `None` when it is over.
    pub(super) view: Option<LeaseView>,
    /// The agents that the chain has attested, also of a lease that is over, as long as it is known.
    pub(super) agents: Vec<AgentView>,
    pub(super) client: ProviderClient,
}

impl Place {
    /// The lease that a number, a name or nothing means. One that is over is known by its number only.
    pub(super) async fn find(
        context: &Context,
        chain: &Chain,
        signer: &Signer,
        lease: Option<&str>,
        provider: Option<Address>,
    ) -> anyhow::Result<Self> {
        let notes = notes(context, chain);
        if let Some(id) = lease.and_then(|text| text.parse::<LeaseId>().ok())
            && chain.lease(id).await?.is_none()
        {
            let provider = provider.or_else(|| notes.provider(id)).or_fail(|| {
                Failure::new(format!("there is no lease {id}, or it is settled"))
                    .hint("if it is over, say who ran it: --provider ACCOUNT")
            })?;
            context.printer.note(format!("Lease {id} is over"));
            let client = provider_of(context, chain, signer, provider).await?;
            let agents = chain.agents(id).await?;
            return Ok(Self { id, view: None, agents, client });
        }
        let view = find(context, chain, signer.address, lease).await?;
        notes.remember_provider(view.id, Address(view.provider));
        let client = provider_of(context, chain, signer, Address(view.provider)).await?;
        Ok(Self { id: view.id, agents: view.agents.clone(), view: Some(view), client })
    }

    /// The records that the provider shows, checked, and how many are none.
    pub(super) async fn records(
        &self,
        genesis_hash: &Hash256,
    ) -> Result<(Vec<SignedRecord>, usize), ProviderError> {
        let mut entries: Vec<RecordEntry> = Vec::new();
        match &self.view {
            Some(view) => {
                for replica in 0..view.replicas {
                    entries.extend(self.client.records(self.id, Some(replica), 0).await?);
                }
            }
            // How many replicas it had is known no more.
            None => entries.extend(self.client.records(self.id, None, 0).await?),
        }
        let checked: Vec<_> = entries
            .iter()
            .filter_map(|entry| SignedRecord::check(entry, self.id, genesis_hash).ok())
            .collect();
        let bad = entries.len() - checked.len();
        Ok((checked, bad))
    }
}
