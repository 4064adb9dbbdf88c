//! The one place that chooses: the chain by subxt, pods by an OCI runtime on this machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::Context;
use casemate_attestation::TrustRoots;
use casemate_client::chain::{
    self, AssetView, AttestedKeys, Call, ChainClient, ChainSnapshot, ChallengeAnswer, EndedLease,
    Endorsement, OpenChallenges, OpenRunView, ProviderView, Submission,
};
use casemate_evidence::Sources;
use casemate_primitives::{
    AccountBytes, Asset, Hash256, LeaseId, ReplicaIndex, TOKEN_DECIMALS, UnixSeconds, blake2_256,
};
use casemate_provider::{
    Chain, ChainError, Clock, Config, RunCall,
    attestation::{CollateralFrom, ControlPlane, Machine, PodAttestor, SoftwareGuest},
    config,
    courier::{PodCarrier, Reach},
    front::Attempt,
};
use casemate_provider_core::{SignedRunResult, SignedUsageRecord};
use casemate_provider_local::{LocalBackend, LocalConfig, TeeConfig};
use subxt_signer::sr25519::Keypair;
use tokio::sync::watch;

/// A node, as the account of `key` sees it.
pub(crate) struct NodeChain {
    client: ChainClient,
    key: Keypair,
    snapshots: watch::Receiver<Arc<ChainSnapshot>>,
    /// Of the assets that are admitted for leases.
    decimals: BTreeMap<u32, u8>,
}

/// Connects to a node and begins to follow the provider's leases.
pub(crate) async fn connect_chain(
    config: &Config,
    key: &Keypair,
) -> Result<NodeChain, Attempt<anyhow::Error>> {
    let mut client = ChainClient::connect(&config.chain_url).await.map_err(failed)?;
    if let Some(id) = config.fees_in {
        client = client.preferring_fees_in(Asset::Registered(id));
    }
    let assets = client.assets().await.map_err(failed)?;
    open_accounts(&client, config, key, &assets).await?;
    let snapshots = chain::watch_leases(client.clone(), key.public_key().0);
    let decimals = assets.iter().map(|asset| (asset.id, asset.decimals)).collect();
    Ok(NodeChain { client, key: key.clone(), snapshots, decimals })
}

/// Opens an account in each asset that leases are taken in: without one the chain opens no lease in
/// it.
async fn open_accounts(
    client: &ChainClient,
    config: &Config,
    key: &Keypair,
    known: &[AssetView],
) -> Result<(), Attempt<anyhow::Error>> {
    let wanted: Vec<u32> = config.pricing.assets.iter().map(|list| list.asset).collect();
    if let Some(id) = wanted.iter().find(|id| !known.iter().any(|asset| asset.id == **id)) {
        let text = format!(
            "`pricing.assets` names asset {id}, which this chain does not admit for leases\n\
             hint: see which there are: casemate account assets"
        );
        return Err(Attempt::Never(anyhow::Error::msg(text)));
    }
    let account = key.public_key().0;
    for asset in known.iter().filter(|asset| wanted.contains(&asset.id)) {
        let opened = match client.has_account_in(asset.id, &account).await {
            Ok(true) => Ok(()),
            Ok(false) => client.submit(key, Call::OpenAccount { asset: asset.id }).await.map(drop),
            Err(err) => Err(err),
        };
        match opened {
            Ok(()) => tracing::info!(asset = asset.id, symbol = asset.symbol, "is taken"),
            Err(err @ chain::ChainError::Unreachable(_)) => return Err(failed(err)),
            // Leases in everything else go on meanwhile.
            Err(err) => tracing::warn!(
                %err,
                asset = asset.id,
                symbol = asset.symbol,
                "no account can be opened in an asset, so that no lease can be opened in it; give \
                 the provider's account money for the deposit, and start again"
            ),
        }
    }
    Ok(())
}

fn failed(err: chain::ChainError) -> Attempt<anyhow::Error> {
    match err {
        chain::ChainError::Unreachable(found) => Attempt::Later(found),
        err => {
            let hint = err.hint().to_owned();
            Attempt::Never(anyhow::Error::new(err).context(hint))
        }
    }
}

/// Opens the backend's data and finds the pods that run.
pub(crate) async fn open_backend(config: &Config) -> anyhow::Result<LocalBackend> {
    let backend = &config.backend;
    let mut local = LocalConfig::new(config.data_dir.join("pods"), &backend.agent);
    local.runtime.clone_from(&backend.runtime);
    local.registry.insecure_hosts.clone_from(&config.images.insecure_registries);
    local.tee = config.tee.as_ref().map(|tee| match &tee.software {
        Some(control) => TeeConfig::Software { control: control.clone(), kind: tee.kind },
        None => TeeConfig::Hardware,
    });
    if let Some(subnet) = &backend.subnet {
        local.subnet =
            subnet.parse().map_err(anyhow::Error::msg).context("`backend.subnet` is not good")?;
    }
    LocalBackend::open(local).await.context("cannot run pods on this machine")
}

/// What asks the pods' agents for evidence.
pub(crate) fn attestor(config: &Config, key: &Keypair, clock: Clock) -> PodAttestor {
    PodAttestor::new(collateral(config.tee.as_ref()), key.public_key().0, clock)
}

/// What makes evidence of this daemon, where a source of it is configured.
pub(crate) fn control_plane(config: &Config, clock: Clock) -> Option<ControlPlane> {
    let tee = config.cluster_tee.as_ref()?;
    let machine = match software_guest(config) {
        Some(guest) => Machine::Software(guest),
        None => Machine::Hardware(Sources::default()),
    };
    Some(ControlPlane::new(machine, collateral(Some(tee)), clock))
}

/// This daemon as a guest of a software TEE. Its name is of its data directory, which no other daemon
/// has while it runs.
pub(crate) fn software_guest(config: &Config) -> Option<SoftwareGuest> {
    let tee = config.cluster_tee.as_ref()?;
    let control = tee.software.clone()?;
    let data_dir = std::path::absolute(&config.data_dir).unwrap_or(config.data_dir.clone());
    let tag = blake2_256(data_dir.as_os_str().as_encoded_bytes());
    let (tag, _) = tag.split_at(8);
    // Where the system does not say what runs, the launch fails, and says so.
    let program = std::env::current_exe().unwrap_or_default();
    Some(SoftwareGuest {
        control,
        kind: tee.kind,
        id: format!("cluster-{}", hex::encode(tag)),
        program,
    })
}

/// What goes to vaults for the pods.
pub(crate) fn carrier(config: &Config, key: &Keypair, clock: Clock) -> PodCarrier {
    let reach = if config.rules.private_vaults { Reach::Private } else { Reach::Public };
    PodCarrier::new(collateral(config.tee.as_ref()), key.public_key().0, clock, reach)
}

fn collateral(tee: Option<&config::TeeConfig>) -> CollateralFrom {
    let tee = tee.cloned().unwrap_or_default();
    match (tee.software, tee.collateral) {
        (Some(control), _) => CollateralFrom::Software(control),
        (None, Some(folder)) => CollateralFrom::Folder(folder),
        (None, None) => CollateralFrom::Evidence,
    }
}

impl NodeChain {
    async fn submit(&self, call: Call) -> Result<(), ChainError> {
        self.client.submit(&self.key, call).await.map(drop).map_err(translate)
    }
}

impl Chain for NodeChain {
    fn genesis_hash(&self) -> Hash256 {
        self.client.genesis_hash()
    }

    fn account(&self) -> AccountBytes {
        self.key.public_key().0
    }

    fn decimals(&self, asset: Asset) -> Option<u8> {
        match asset {
            Asset::Native => Some(TOKEN_DECIMALS),
            Asset::Registered(id) => self.decimals.get(&id).copied(),
        }
    }

    fn snapshots(&self) -> watch::Receiver<Arc<ChainSnapshot>> {
        self.snapshots.clone()
    }

    async fn provider(&self) -> Result<Option<ProviderView>, ChainError> {
        self.client.provider(&self.account()).await.map_err(translate)
    }

    async fn attest(
        &self,
        lease: LeaseId,
        replica: ReplicaIndex,
        keys: AttestedKeys,
        block: u32,
        submission: Submission,
    ) -> Result<(), ChainError> {
        let attested = self.client.attest(&self.key, lease, replica, keys, block, submission);
        attested.await.map(drop).map_err(translate)
    }

    async fn attest_cluster(
        &self,
        block: u32,
        submission: Submission,
    ) -> Result<UnixSeconds, ChainError> {
        self.client.attest_cluster(&self.key, block, submission).await.map_err(translate)
    }

    async fn endorse(&self, endorsement: Endorsement) -> Result<bool, ChainError> {
        self.client.endorse(&self.key, endorsement).await.map_err(translate)
    }

    async fn trust_roots(&self) -> Result<TrustRoots, ChainError> {
        self.client.trust_roots().await.map_err(translate)
    }

    async fn claim(&self, signed: SignedUsageRecord) -> Result<(), ChainError> {
        let SignedUsageRecord { record, signature, .. } = signed;
        self.submit(Call::Claim { record, signature }).await
    }

    async fn run(&self, call: RunCall) -> Result<(), ChainError> {
        let call = match call {
            RunCall::Begin { lease, replica, scheduled_at, terms, manifest_hash } => {
                Call::BeginRun { lease, replica, scheduled_at, terms, manifest_hash }
            }
            RunCall::Submit(signed) => {
                let SignedUsageRecord { record, signature: record_signature, run, .. } = *signed;
                // A record without a result ends no run.
                let Some(SignedRunResult { result, signature }) = run else { return Ok(()) };
                let (result, record) = (Box::new(result), Box::new(record));
                Call::SubmitResult { result, signature, record, record_signature }
            }
            RunCall::Missed { task, scheduled_at } => Call::RecordMissed { task, scheduled_at },
            RunCall::Lost { lease, replica } => Call::RecordLost { lease, replica },
        };
        self.submit(call).await
    }

    async fn settle(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.submit(Call::Settle { lease }).await
    }

    async fn payout(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.submit(Call::Payout { lease }).await
    }

    async fn forget(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.submit(Call::Forget { lease }).await
    }

    async fn ended_leases(&self, live: BTreeSet<LeaseId>) -> Result<Vec<EndedLease>, ChainError> {
        self.client.ended_leases(&self.key.public_key().0, &live).await.map_err(translate)
    }

    async fn open_runs(&self, lease: LeaseId) -> Result<Vec<OpenRunView>, ChainError> {
        self.client.open_runs(lease).await.map_err(translate)
    }

    async fn challenges(&self) -> Result<OpenChallenges, ChainError> {
        self.client.challenges_of(&self.key.public_key().0).await.map_err(translate)
    }

    async fn answer(&self, challenge: u64, answer: ChallengeAnswer) -> Result<(), ChainError> {
        self.client.answer(&self.key, challenge, answer).await.map(drop).map_err(translate)
    }

    async fn give_notice(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.submit(Call::GiveNotice { lease }).await
    }

    async fn close(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.submit(Call::Close { lease }).await
    }
}

fn translate(err: chain::ChainError) -> ChainError {
    use chain::ChainError as From;
    match err {
        From::Refused { pallet, name, text } => ChainError::Refused { pallet, name, text },
        From::NoFunds(text) => ChainError::NoFunds(text),
        From::Lost(text) => ChainError::Lost(text),
        other => ChainError::Unreachable(other.to_string()),
    }
}
