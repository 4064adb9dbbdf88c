//! The control planes of providers' clusters: what the chain has verified of them, and new evidence
//! on its way there.

use std::collections::BTreeMap;

use casemate_attestation::{Grade, TcbStatus, TeeKind};
use casemate_primitives::{AccountBytes, Hash256, UnixSeconds};
use subxt::utils::AccountId32;
use subxt_signer::sr25519::Keypair;

use super::{
    ChainClient, ChainError, ChainEvent, Submission,
    read::AtBlock,
    runtime::{self, runtime_types::pallet_attestation::types::Cluster},
};

/// What the chain has verified of a provider's control plane. Whether it still counts is a question
/// of the time: see [`ClusterView::counts_at`].
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterView {
    /// Kind of TEE.
    pub kind: TeeKind,
    /// Grade of the root.
    pub grade: Grade,
    /// MRTD, MRENCLAVE or launch digest.
    pub workload: Vec<u8>,
    /// State of the firmware when it was verified.
    pub tcb_status: TcbStatus,
    /// BLAKE2b-256 of the evidence, which is in the block.
    pub evidence_hash: Hash256,
    /// First second at which it counts no more.
    pub expires_at: UnixSeconds,
}

impl ClusterView {
    /// Whether it counts at this time of the chain's clock. What has ended is as if it never was.
    pub fn counts_at(&self, now: UnixSeconds) -> bool {
        now < self.expires_at
    }
}

impl ChainClient {
    /// Lists the control plane of the signer's cluster, on its evidence over the hash of `block`.
    /// Gives the first second at which it counts no more.
    ///
    /// # Errors
    /// As [`ChainClient::submit`]: [`ChainError::Refused`] names the runtime's reason.
    pub async fn attest_cluster(
        &self,
        signer: &Keypair,
        block: u32,
        submission: Submission,
    ) -> Result<UnixSeconds, ChainError> {
        let call = runtime::tx().attestation().attest_cluster(block, submission.into());
        let included = self.send(signer, &call).await?;
        let account = signer.public_key().0;
        included
            .events
            .into_iter()
            .find_map(|event| match event {
                ChainEvent::ClusterAttested { provider, expires_at } if provider == account => {
                    Some(expires_at)
                }
                _ => None,
            })
            .ok_or_else(|| ChainError::Decode("the block has no `ClusterAttested` event".into()))
    }
}

/// The entry of one provider, if it has one.
pub(super) async fn cluster(
    at: &AtBlock,
    account: &AccountBytes,
) -> Result<Option<ClusterView>, ChainError> {
    let address = runtime::storage().attestation().clusters();
    let value = at
        .storage()
        .try_fetch(address, (AccountId32(*account),))
        .await
        .map_err(ChainError::reading)?;
    value.map(|value| Ok(view(value.decode().map_err(ChainError::reading)?))).transpose()
}

/// All entries, also of accounts that are no providers.
pub(super) async fn clusters(
    at: &AtBlock,
) -> Result<BTreeMap<AccountBytes, ClusterView>, ChainError> {
    let mut entries = at
        .storage()
        .iter(runtime::storage().attestation().clusters(), ())
        .await
        .map_err(ChainError::reading)?;
    let mut found = BTreeMap::new();
    while let Some(entry) = entries.next().await {
        let entry = entry.map_err(ChainError::reading)?;
        let (account,) = entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
        let value = entry.value().decode().map_err(ChainError::reading)?;
        found.insert(account.0, view(value));
    }
    Ok(found)
}

fn view(found: Cluster) -> ClusterView {
    ClusterView {
        kind: found.kind.0,
        grade: found.grade.0,
        workload: found.workload.0,
        tcb_status: found.tcb_status.0,
        evidence_hash: found.evidence_hash,
        expires_at: found.expires_at,
    }
}
