//! The one place that talks to the chain.

mod challenges;
mod collateral;
mod disputes;
mod money;
mod watch;

use std::sync::Arc;

use casemate_attestation::{
    Grade, TrustRoots,
    sev_snp::{Product, TcbVersion},
};
use casemate_client::{
    chain::{
        AgentView, Appraised, Call, ChainClient, ChainError, ChainEvent, Endorsement, Included,
        LeaseView, ProviderView, Submission,
    },
    provider::{ProviderError, SignedQuote},
};
use casemate_primitives::{
    Balance, DeploymentId, Hash256, LeaseId, ManifestRef, PriceList, ProviderInfo, Resources,
    Schedule, TaskTerms, UnixSeconds,
};

pub(crate) use self::{disputes::refunded_in, watch::Watch};
use watch::settled_in;

use crate::{
    address::Address,
    appraisal::CollateralOnChain,
    asset::{Unit, find},
    context::{Context, Signer},
    failure::{Failure, OrFail as _, fail},
    printer::printable,
};

/// A connection to a chain.
#[derive(Debug)]
pub(crate) struct Chain {
    client: ChainClient,
}

/// How a lease ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Settled {
    /// What the provider got for the whole lease.
    pub(crate) paid: Balance,
    /// What came back.
    pub(crate) refunded: Balance,
}

/// A new lease.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) lease: LeaseId,
    pub(crate) deployment: DeploymentId,
    pub(crate) block: String,
}

/// What to do about an error that a client crate made.
pub(crate) fn hint_of(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let hint = match error.downcast_ref::<ChainError>() {
        Some(ChainError::Refused { pallet, name, .. }) => command_for(pallet, name),
        Some(error) => error.hint(),
        None => error.downcast_ref::<ProviderError>()?.hint(),
    };
    (!hint.is_empty()).then(|| printable(hint))
}

/// The command that helps where the chain refuses; its own text says what is wrong.
fn command_for(pallet: &str, name: &str) -> &'static str {
    match (pallet, name) {
        ("Providers", "AlreadyRegistered") => "casemate provider update",
        ("Providers", "NotRegistered") => "casemate provider register",
        ("Providers", "StakeTooLow") => "casemate provider bond AMOUNT, or offer less",
        ("Providers", "TooManyUnbondings" | "NothingToWithdraw" | "NotEnoughStake") => {
            "see what is at stake and when it unlocks: casemate provider status"
        }
        ("Providers", "LeasesLive" | "CapacityInUse") => {
            "see how much is in leases, and wait until they have ended: casemate provider status"
        }
        ("Providers", "CapacityExhausted" | "Retiring") => {
            "another provider may have room: casemate deploy"
        }
        ("Leases", "NotFound" | "NotPublisher" | "Closing") | ("Deployments", "NotFound") => {
            "see which leases you have: casemate list"
        }
        ("Leases", "NothingOpen" | "Contested" | "NotContested" | "ArbitersHaveTime") => {
            "see what can be contested, and until when: casemate lease show LEASE"
        }
        ("Leases", "NotSilent" | "StillFunded" | "ReclaimNotice" | "NoticeGiven") => {
            "see the lease's terms and times: casemate lease show LEASE"
        }
        ("Leases", "DepositTooSmall") => {
            "put in more; what a second costs, and the grace time: casemate lease show LEASE"
        }
        ("Leases", "NoContradiction") => "check the records that you hold: casemate lease records",
        ("Leases", "RecordSignature" | "NotActivated") => {
            "only records of the agent that the chain has for the replica count: contest the claims \
             instead, casemate lease contest LEASE"
        }
        ("Leases", "AmendmentOutdated") => {
            "the prices have changed meanwhile; look, and propose anew: casemate lease show LEASE"
        }
        ("Leases", "ClaimFirst") => {
            "wait until the provider has claimed what was used under the older prices: casemate \
             events LEASE"
        }
        ("Leases", "SpendRateTooLow") => {
            "allow more first: casemate fund LEASE --spend-rate AMOUNT"
        }
        ("Reputation", "LeaseNotKnown" | "NotASide") => {
            "see the lease and its sides: casemate lease show LEASE"
        }
        ("Reputation", "AlreadyOpen" | "TooManyOpen" | "NoComplaint" | "NotAuthor") => {
            "see which complaints there are: casemate lease complaints LEASE"
        }
        ("Reputation", "ArbitersHaveTime" | "ArbitersLate") => {
            "see until when they have: casemate lease complaints LEASE"
        }
        ("TechnicalCommittee", "NotMember") => {
            "choose the key of a committee's member with --account NAME"
        }
        ("Leases", "AssetNotAdmitted") => "see which assets there are: casemate account assets",
        ("Leases", "ProviderWithoutAccount") => "pay in CASE, or ask another provider",
        ("Leases", "NotSpender" | "AllowanceTooSmall") => {
            "the publisher may allow it: casemate lease authorise LEASE ACCOUNT AMOUNT"
        }
        ("Leases", name) if name.starts_with("Quote") => "ask for new quotes: casemate deploy",
        ("Leases", "NoticeRunning") => "wait for the notice to end: casemate stop LEASE --wait",
        ("Attestation", "CertificateUnknown" | "CollateralMissing" | "CollateralExpired") => {
            "give newer collateral of this machine: casemate attest submit --collateral FILE"
        }
        ("Attestation" | "Endorsements", "NotVerified") => {
            "see which check fails: casemate attest verify"
        }
        ("Endorsements", "RootCrlMissing" | "PckCrlMissing" | "AmdCrlMissing") => {
            "give all of the machine's collateral: casemate attest submit --collateral FILE"
        }
        ("Proofs", "DepositAboveMax") => {
            "another challenge came first: ask again, or allow more with --deposit-max"
        }
        ("Proofs", "TargetTaken" | "TooManyOpen" | "ChallengeUnknown" | "WindowOpen") => {
            "see which are open, and until when: casemate challenge list"
        }
        ("Proofs", "LeaseClosed" | "AppEnded") => {
            "its log can still be asked for: casemate challenge log LEASE --chunk INDEX"
        }
        ("Proofs", "TaskRuns") => "ask for its log: casemate challenge log LEASE --chunk INDEX",
        ("Proofs", "NotAttested") => "ask again when its provider has attested it",
        ("Proofs", "IndexBeyondEnd") => {
            "count from 0; only what is under the newest claimed record, or in the batch, can be \
             asked for"
        }
        ("Proofs", "OwnProvider") => "ask with another key: --account NAME",
        ("Proofs", "LeaseUnknown" | "RetentionOver" | "BatchUnknown" | "BatchTooOld") => {
            "nothing of it has to be shown any more"
        }
        ("Proofs", "NotAnchored") => "wait until its provider has claimed: casemate status LEASE",
        ("Deployments", "Stopped") => "open another lease: casemate deploy",
        ("Tasks", "NotFound" | "Stopped" | "NotPublisher") => {
            "see which tasks you have: casemate task list"
        }
        ("Tasks", "RunsOpen") => "wait for the results of its runs: casemate task runs TASK",
        ("Leases", "QuoteManifest") => {
            "the task has another manifest on chain: deploy the one that it was made of"
        }
        _ => "",
    }
}

impl Chain {
    /// Connects to the node of the settings.
    pub(crate) async fn connect(context: &Context) -> anyhow::Result<Self> {
        let chain = Self::connect_to(&context.settings.rpc).await?;
        let Some(symbol) = context.settings.fees_in.as_deref() else { return Ok(chain) };
        if symbol.eq_ignore_ascii_case("CASE") {
            return Ok(chain);
        }
        let list = chain.assets().await?;
        let asset = find(symbol, &list)?.asset();
        Ok(Self { client: chain.client.paying_fees_in(asset) })
    }

    /// Connects to a node.
    pub(crate) async fn connect_to(rpc: &str) -> anyhow::Result<Self> {
        let client = ChainClient::connect(rpc).await.or_fail(|| {
            Failure::new(format!("cannot use the chain node at {rpc}")).hint(
                "check that the node runs and that --rpc is its address; a network of your own: \
                 casemate dev",
            )
        })?;
        Ok(Self { client })
    }

    /// Hash of the chain's first block: its identity.
    pub(crate) fn genesis_hash(&self) -> Hash256 {
        self.client.genesis_hash()
    }

    /// `Development`, `Local` or `Live`, as the chain's specification says.
    pub(crate) async fn chain_type(&self) -> anyhow::Result<String> {
        Ok(self.client.chain_type().await?)
    }

    /// Whether the chain itself says that it is for development.
    pub(crate) async fn is_development(&self) -> anyhow::Result<bool> {
        Ok(self.client.is_development().await?)
    }

    /// The chain's clock.
    pub(crate) async fn time(&self) -> anyhow::Result<UnixSeconds> {
        Ok(self.client.time().await?)
    }

    /// All providers.
    pub(crate) async fn providers(&self) -> anyhow::Result<Vec<ProviderView>> {
        Ok(self.client.providers().await?)
    }

    /// One provider.
    pub(crate) async fn provider(&self, account: Address) -> anyhow::Result<Option<ProviderView>> {
        Ok(self.client.provider(&account.0).await?)
    }

    /// Leases of a publisher that are not settled, by number.
    pub(crate) async fn leases_of(&self, publisher: Address) -> anyhow::Result<Vec<LeaseView>> {
        let mut leases = self.client.leases_of_publisher(&publisher.0).await?;
        leases.sort_by_key(|lease| lease.id);
        Ok(leases)
    }

    /// One lease, unless it is settled.
    pub(crate) async fn lease(&self, lease: LeaseId) -> anyhow::Result<Option<LeaseView>> {
        Ok(self.client.lease(lease).await?)
    }

    /// The agents of a lease that the chain still knows, settled or not.
    pub(crate) async fn agents(&self, lease: LeaseId) -> anyhow::Result<Vec<AgentView>> {
        Ok(self.client.agents(lease).await?)
    }

    /// The roots of evidence that the chain trusts.
    pub(crate) async fn trust_roots(&self) -> anyhow::Result<TrustRoots> {
        Ok(self.client.trust_roots().await?)
    }

    /// Least firmware of AMD's machines of this line, if governance has named one.
    pub(crate) async fn amd_minimum(&self, product: Product) -> anyhow::Result<Option<TcbVersion>> {
        Ok(self.client.amd_minimum(product).await?)
    }

    /// The vendors' collateral as the chain has verified it. It is asked from other threads than
    /// the one that runs this, which must go on meanwhile.
    pub(crate) fn collateral(&self) -> Arc<dyn CollateralOnChain> {
        Arc::new(collateral::FromChain::new(self.client.clone()))
    }

    /// The lowest grade at which the chain accepts a workload, if it does.
    pub(crate) async fn approved_workload(&self, workload: &[u8]) -> anyhow::Result<Option<Grade>> {
        Ok(self.client.approved_workload(workload).await?)
    }

    /// Has a development chain's committee of one accept a workload, also from a software TEE.
    pub(crate) async fn approve_development_workload(
        &self,
        signer: &Signer,
        workload: &[u8],
    ) -> anyhow::Result<()> {
        let call =
            self.client.approve_workload_as_committee(&signer.keypair, workload.to_vec(), true);
        call.await.or_fail(|| Failure::new("the agent's measurement could not be approved"))
    }

    /// Hands collateral to the chain; says whether it was new.
    pub(crate) async fn endorse(
        &self,
        signer: &Signer,
        endorsement: Endorsement,
    ) -> anyhow::Result<bool> {
        let name = endorsement.name();
        self.client
            .endorse(&signer.keypair, endorsement)
            .await
            .or_fail(|| Failure::new(format!("the chain did not take the {name}")))
    }

    /// Has the runtime verify evidence.
    pub(crate) async fn appraise(
        &self,
        signer: &Signer,
        submission: Submission,
    ) -> anyhow::Result<Appraised> {
        self.client
            .appraise(&signer.keypair, submission)
            .await
            .or_fail(|| Failure::new("the chain did not accept the evidence"))
    }

    /// Creates a deployment and opens its lease.
    pub(crate) async fn deploy(
        &self,
        signer: &Signer,
        manifest: ManifestRef,
        quote: &SignedQuote,
        (deposit, unit): (Balance, &Unit),
        spend_rate_max: Balance,
    ) -> anyhow::Result<Opened> {
        let deposits = self.client.deposits().await?;
        let besides = deposits.existential.saturating_add(deposits.deployment);
        self.ensure_deposit(signer, (deposit, unit), besides).await?;
        let call = Call::Deploy {
            manifest,
            quote: quote.quote,
            signature: quote.signature,
            deposit,
            spend_rate_max,
        };
        opened(&self.submit(signer, call).await?)
    }

    /// The client underneath, to read what is only shown.
    pub(crate) fn client(&self) -> &ChainClient {
        &self.client
    }

    /// Creates a task, with its deployment.
    pub(crate) async fn create_task(
        &self,
        signer: &Signer,
        manifest: ManifestRef,
        schedule: Schedule,
        terms: TaskTerms,
        (deposit, unit): (Balance, &Unit),
    ) -> anyhow::Result<DeploymentId> {
        let deposits = self.client.deposits().await?;
        let besides = [deposits.deployment, deposits.task]
            .into_iter()
            .fold(deposits.existential, Balance::saturating_add);
        // Before the first of two transactions: a task without a lease runs nowhere.
        self.ensure_deposit(signer, (deposit, unit), besides).await?;
        let included = self.submit(signer, Call::CreateTask { manifest, schedule, terms }).await?;
        let created = included.events.iter().find_map(|event| match event {
            ChainEvent::TaskCreated { task } => Some(*task),
            _ => None,
        });
        created.or_fail(|| {
            let block = block_text(&included);
            Failure::new(format!("block {block} took the task, but names no new one"))
                .hint("look whether it is there: casemate task list")
        })
    }

    /// Opens a lease for a task that is there, in the place of another one: all or nothing.
    pub(crate) async fn open_task_lease(
        &self,
        signer: &Signer,
        (task, closes, terms): (DeploymentId, Option<LeaseId>, Option<TaskTerms>),
        quote: &SignedQuote,
        (deposit, unit): (Balance, &Unit),
        spend_rate_max: Balance,
    ) -> anyhow::Result<Opened> {
        // What the lease before has left comes back only when that is settled.
        self.ensure_unit(signer, unit, "the deposit", deposit).await?;
        let call = Call::OpenTaskLease {
            task,
            closes,
            terms,
            quote: quote.quote,
            signature: quote.signature,
            deposit,
            spend_rate_max,
        };
        opened(&self.submit(signer, call).await?)
    }

    /// Puts money into a task's lease.
    pub(crate) async fn recharge(
        &self,
        signer: &Signer,
        task: DeploymentId,
        lease: LeaseId,
        amount: Balance,
        unit: &Unit,
    ) -> anyhow::Result<String> {
        self.ensure_unit(signer, unit, "the amount", amount).await?;
        self.call(signer, Call::Recharge { task, lease, amount }).await
    }

    /// Puts money into a lease.
    pub(crate) async fn fund(
        &self,
        signer: &Signer,
        lease: LeaseId,
        amount: Balance,
        unit: &Unit,
    ) -> anyhow::Result<String> {
        match unit {
            Unit::Native => self.ensure_funds(signer, "the amount", amount).await?,
            unit => self.ensure_unit(signer, unit, "the amount", amount).await?,
        }
        self.call(signer, Call::Fund { lease, amount }).await
    }

    /// Puts the publisher's money into a lease.
    pub(crate) async fn fund_for(
        &self,
        signer: &Signer,
        lease: LeaseId,
        amount: Balance,
    ) -> anyhow::Result<String> {
        self.call(signer, Call::FundFor { lease, amount }).await
    }

    /// Says how much of the publisher's money another account may put in.
    pub(crate) async fn authorise(
        &self,
        signer: &Signer,
        lease: LeaseId,
        spender: Address,
        allowance: Option<Balance>,
    ) -> anyhow::Result<String> {
        self.call(signer, Call::Authorise { lease, spender: spender.0, allowance }).await
    }

    /// Closes a lease whose publisher has authorised it; says how it was settled where that happened
    /// at once.
    pub(crate) async fn close_for(
        &self,
        signer: &Signer,
        lease: LeaseId,
    ) -> anyhow::Result<Option<Settled>> {
        let included = self.submit(signer, Call::Close { lease }).await?;
        Ok(settled_in(&included.events, lease))
    }

    /// Changes how fast a lease's money may be spent.
    pub(crate) async fn set_spend_rate(
        &self,
        signer: &Signer,
        lease: LeaseId,
        spend_rate_max: Balance,
    ) -> anyhow::Result<String> {
        self.call(signer, Call::SetSpendRate { lease, spend_rate_max }).await
    }

    /// Makes a deployment run another manifest.
    pub(crate) async fn update(
        &self,
        signer: &Signer,
        deployment: DeploymentId,
        manifest: ManifestRef,
    ) -> anyhow::Result<String> {
        self.call(signer, Call::UpdateDeployment { deployment, manifest }).await
    }

    /// Closes a lease and stops its deployment in one transaction; says how it was settled where
    /// that happened at once.
    pub(crate) async fn close(
        &self,
        signer: &Signer,
        lease: LeaseId,
        deployment: DeploymentId,
    ) -> anyhow::Result<Option<Settled>> {
        let included = self.submit(signer, Call::CloseAndStop { lease, deployment }).await?;
        Ok(settled_in(&included.events, lease))
    }

    /// Settles a closed lease whose notice is over.
    pub(crate) async fn settle(
        &self,
        signer: &Signer,
        lease: LeaseId,
    ) -> anyhow::Result<Option<Settled>> {
        let included = self.submit(signer, Call::Settle { lease }).await?;
        Ok(settled_in(&included.events, lease))
    }

    /// Registers a provider.
    pub(crate) async fn register(
        &self,
        signer: &Signer,
        info: ProviderInfo,
        capacity: Resources,
        price_lists: Vec<PriceList>,
        stake: Balance,
    ) -> anyhow::Result<String> {
        self.ensure_funds(signer, "the stake", stake).await?;
        self.call(signer, Call::RegisterProvider { info, capacity, price_lists, stake }).await
    }

    /// Changes what a provider offers.
    pub(crate) async fn update_provider(
        &self,
        signer: &Signer,
        info: ProviderInfo,
        capacity: Resources,
        price_lists: Vec<PriceList>,
    ) -> anyhow::Result<String> {
        self.call(signer, Call::UpdateProvider { info, capacity, price_lists }).await
    }

    /// Puts more money at stake.
    pub(crate) async fn bond(&self, signer: &Signer, amount: Balance) -> anyhow::Result<String> {
        self.ensure_funds(signer, "the stake", amount).await?;
        self.call(signer, Call::Bond { amount }).await
    }

    /// Takes money out of the stake.
    pub(crate) async fn unbond(&self, signer: &Signer, amount: Balance) -> anyhow::Result<String> {
        self.call(signer, Call::Unbond { amount }).await
    }

    /// Gets what has unlocked.
    pub(crate) async fn withdraw(&self, signer: &Signer) -> anyhow::Result<String> {
        self.call(signer, Call::Withdraw).await
    }

    /// Takes a provider out of the registry.
    pub(crate) async fn retire(&self, signer: &Signer) -> anyhow::Result<String> {
        self.call(signer, Call::Retire).await
    }

    pub(crate) async fn call(&self, signer: &Signer, call: Call) -> anyhow::Result<String> {
        Ok(block_text(&self.submit(signer, call).await?))
    }

    /// Waits for finality: what is reported as done stays done.
    async fn submit(&self, signer: &Signer, call: Call) -> anyhow::Result<Included> {
        self.client.submit(&signer.keypair, call).await.or_fail(|| {
            Failure::new(format!("the transaction of account {} was not done", signer.address))
        })
    }
}

fn opened(included: &Included) -> anyhow::Result<Opened> {
    let opened = included.events.iter().find_map(|event| match event {
        ChainEvent::LeaseOpened { lease, deployment, .. } => Some((*lease, *deployment)),
        _ => None,
    });
    let block = block_text(included);
    let (lease, deployment) = opened.or_fail(|| {
        Failure::new(format!("block {block} took the deployment, but names no new lease"))
            .hint("look whether it is there: casemate list")
    })?;
    Ok(Opened { lease, deployment, block })
}

/// A provider's presentation in the chain's form, within the chain's bounds.
pub(crate) fn provider_info(
    name: &str,
    regions: &[String],
    endpoints: &[String],
    tee_kinds: Vec<casemate_primitives::TeeKind>,
) -> anyhow::Result<ProviderInfo> {
    let too_long = |what: &str, most: &str| Failure::usage(format!("{what} is too long: {most}"));
    let mut info = ProviderInfo {
        name: name
            .as_bytes()
            .to_vec()
            .try_into()
            .ok()
            .or_fail(|| too_long("the name", "at most 64 bytes"))?,
        ..ProviderInfo::default()
    };
    for region in regions {
        let bytes = region.as_bytes().to_vec().try_into().ok();
        let bytes =
            bytes.or_fail(|| too_long(&format!("region `{region}`"), "at most 32 bytes"))?;
        if info.regions.try_push(bytes).is_err() {
            return fail(Failure::usage("there are too many regions: at most 8"));
        }
    }
    for endpoint in endpoints {
        let bytes = endpoint.as_bytes().to_vec().try_into().ok();
        let bytes =
            bytes.or_fail(|| too_long(&format!("endpoint `{endpoint}`"), "at most 128 bytes"))?;
        if info.endpoints.try_push(bytes).is_err() {
            return fail(Failure::usage("there are too many endpoints: at most 4"));
        }
    }
    info.tee_kinds = tee_kinds
        .try_into()
        .ok()
        .or_fail(|| Failure::usage("there are too many TEE kinds: at most 8"))?;
    Ok(info)
}

fn block_text(included: &Included) -> String {
    format!("0x{}", hex::encode(included.block_hash))
}
