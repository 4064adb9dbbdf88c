//! Transactions and what they did.

use casemate_primitives::{
    AccountBytes, AgentSignature, Amendment, Asset, Balance, DeploymentId, DeploymentKind, Hash256,
    LeaseId, ManifestRef, PriceList, ProviderInfo, Quote, ReplicaIndex, Resources, RunResult,
    Schedule, TaskTerms, UnixSeconds, UsageRecord, reputation::ComplaintKind,
};
use subxt::{
    config::DefaultExtrinsicParamsBuilder,
    events::Events,
    tx::Payload,
    utils::{AccountId32, MultiAddress, Static},
};
use subxt_signer::sr25519::Keypair;

use super::{ChainClient, ChainError, client::Config, error::chain_of, read::AtBlock, runtime};

/// For how many blocks a transaction stays valid. A development chain makes up to fifty blocks a
/// second, so this is the largest power of two below the chain's `BlockHashCount`.
const MORTALITY_BLOCKS: u64 = 2_048;

/// A transaction's content.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Call {
    /// Join as a provider.
    RegisterProvider {
        /// What it says of itself.
        info: ProviderInfo,
        /// What it offers.
        capacity: Resources,
        /// List prices.
        price_lists: Vec<PriceList>,
        /// Money at stake.
        stake: Balance,
    },
    /// Change what a provider says and offers.
    UpdateProvider {
        /// What it says of itself.
        info: ProviderInfo,
        /// What it offers.
        capacity: Resources,
        /// List prices.
        price_lists: Vec<PriceList>,
    },
    /// Add stake.
    Bond {
        /// How much.
        amount: Balance,
    },
    /// Start to take stake out.
    Unbond {
        /// How much.
        amount: Balance,
    },
    /// Free what has been unbonded.
    Withdraw,
    /// Leave the registry.
    Retire,
    /// Create a deployment and open a lease for it.
    Deploy {
        /// What is to run.
        manifest: ManifestRef,
        /// The provider's offer.
        quote: Quote,
        /// Its sr25519 signature.
        signature: [u8; 64],
        /// Money to lock.
        deposit: Balance,
        /// Most that may be spent in a second.
        spend_rate_max: Balance,
    },
    /// Lock more money.
    Fund {
        /// For which lease.
        lease: LeaseId,
        /// How much.
        amount: Balance,
    },
    /// Change the spend rate.
    SetSpendRate {
        /// Of which lease.
        lease: LeaseId,
        /// From now on.
        spend_rate_max: Balance,
    },
    /// Run a new manifest.
    UpdateDeployment {
        /// Which.
        deployment: DeploymentId,
        /// What is to run from now on.
        manifest: ManifestRef,
    },
    /// Close a lease and stop its deployment, both or none.
    CloseAndStop {
        /// Which lease.
        lease: LeaseId,
        /// Its deployment.
        deployment: DeploymentId,
    },
    /// Close a lease.
    Close {
        /// Which.
        lease: LeaseId,
    },
    /// Give the rest of a closed lease back.
    Settle {
        /// Which.
        lease: LeaseId,
    },
    /// Pay out what is final.
    Payout {
        /// Of which.
        lease: LeaseId,
    },
    /// Forget a settled lease of which nothing is owed.
    Forget {
        /// Which.
        lease: LeaseId,
    },
    /// As the provider, say that the lease will be closed after the agreed time.
    GiveNotice {
        /// Which.
        lease: LeaseId,
    },
    /// End a lease whose provider has been silent for longer than agreed.
    Evict {
        /// Which.
        lease: LeaseId,
    },
    /// The same, and give the unspent rest back, both or none: for a lease without a notice, whose
    /// agent was attested.
    EvictAndSettle {
        /// Which.
        lease: LeaseId,
    },
    /// As the publisher, contest all claims that are not final.
    Contest {
        /// Of which.
        lease: LeaseId,
    },
    /// Let contested claims stand, where the arbiters' time is over.
    ExpireContest {
        /// Of which.
        lease: LeaseId,
    },
    /// Show two records of one agent that can't both be true.
    ProveMisconduct {
        /// One of them.
        a: Box<UsageRecord>,
        /// The agent's signature over it.
        signature_a: AgentSignature,
        /// The other.
        b: Box<UsageRecord>,
        /// The agent's signature over that.
        signature_b: AgentSignature,
    },
    /// As the publisher, bring new prices that the provider has signed.
    Amend {
        /// The prices.
        amendment: Box<Amendment>,
        /// The provider's sr25519 signature.
        signature: [u8; 64],
    },
    /// Complain about the other side of a lease.
    Complain {
        /// Of which.
        lease: LeaseId,
        /// About what.
        kind: ComplaintKind,
        /// BLAKE2b-256 of the text.
        text_hash: Hash256,
    },
    /// Take one's own complaint back.
    CloseComplaint {
        /// Which.
        complaint: u64,
    },
    /// End a complaint that nobody decided in time.
    ExpireComplaint {
        /// Which.
        complaint: u64,
    },
    /// Create a task, with its deployment.
    CreateTask {
        /// What is to run.
        manifest: ManifestRef,
        /// When.
        schedule: Schedule,
        /// What holds for each run.
        terms: TaskTerms,
    },
    /// Open a lease for a deployment that is there.
    OpenLease {
        /// Which.
        deployment: DeploymentId,
        /// The provider's offer.
        quote: Quote,
        /// Its sr25519 signature.
        signature: [u8; 64],
        /// Money to lock.
        deposit: Balance,
        /// Most that may be spent in a second.
        spend_rate_max: Balance,
    },
    /// Begin a run.
    BeginRun {
        /// Under which lease.
        lease: LeaseId,
        /// In which slot.
        replica: ReplicaIndex,
        /// For when it was scheduled.
        scheduled_at: UnixSeconds,
    },
    /// End a run, and be paid for it.
    SubmitResult {
        /// How it ended.
        result: Box<RunResult>,
        /// The agent's signature over that.
        signature: AgentSignature,
        /// The run's last record.
        record: Box<UsageRecord>,
        /// The agent's signature over that.
        record_signature: AgentSignature,
    },
    /// Record that nothing was begun at scheduled times.
    RecordMissed {
        /// Of which task.
        task: DeploymentId,
        /// Which, of a cron.
        scheduled_at: Option<UnixSeconds>,
    },
    /// Record that a run can have no result any more.
    RecordLost {
        /// Under which lease.
        lease: LeaseId,
        /// In which slot.
        replica: ReplicaIndex,
    },
    /// Replace a task's schedule.
    SetSchedule {
        /// Of which task.
        task: DeploymentId,
        /// When it runs from now on.
        schedule: Schedule,
    },
    /// Replace the terms of a task's runs that begin from now on.
    SetTaskTerms {
        /// Of which task.
        task: DeploymentId,
        /// Which.
        terms: TaskTerms,
    },
    /// Stop a task and its deployment, and close its lease where there is one: all or nothing.
    StopTask {
        /// Which task.
        task: DeploymentId,
        /// Its lease.
        lease: Option<LeaseId>,
    },
    /// Lock more money for a task's runs.
    Recharge {
        /// Which task.
        task: DeploymentId,
        /// Its lease.
        lease: LeaseId,
        /// How much.
        amount: Balance,
    },
    /// Forget a stopped task and its history.
    ForgetTask {
        /// Which.
        task: DeploymentId,
    },
    /// Be paid for a usage record.
    Claim {
        /// The record.
        record: UsageRecord,
        /// The agent's signature.
        signature: AgentSignature,
    },
    /// Let another account put the publisher's money into a lease, and close it.
    Authorise {
        /// Which lease.
        lease: LeaseId,
        /// Which account.
        spender: AccountBytes,
        /// How much it may put in, all together; `None` takes it off.
        allowance: Option<Balance>,
    },
    /// Lock more of the publisher's money, as an account that may.
    FundFor {
        /// For which lease.
        lease: LeaseId,
        /// How much.
        amount: Balance,
    },
    /// Open an account in a registered asset, so that it takes payments of any size.
    OpenAccount {
        /// Which.
        asset: u32,
    },
    /// Send money in a registered asset.
    TransferAsset {
        /// Which.
        asset: u32,
        /// To whom.
        to: AccountBytes,
        /// How much.
        amount: Balance,
    },
    /// Send money.
    Transfer {
        /// To whom.
        to: AccountBytes,
        /// How much.
        amount: Balance,
    },
}

/// An event of our pallets.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ChainEvent {
    /// A lease was opened.
    LeaseOpened {
        /// Which.
        lease: LeaseId,
        /// Of what.
        deployment: DeploymentId,
        /// By whom it is run.
        provider: AccountBytes,
    },
    /// Something else changed in a lease.
    LeaseChanged {
        /// Which.
        lease: LeaseId,
    },
    /// A record was paid.
    Claimed {
        /// Of which lease.
        lease: LeaseId,
        /// How much the provider got.
        paid: Balance,
    },
    /// A lease is over.
    LeaseSettled {
        /// Which.
        lease: LeaseId,
        /// All that the provider got.
        paid: Balance,
        /// What the publisher got back.
        refunded: Balance,
    },
    /// A provider's stake has paid for its silence.
    ProviderSlashed {
        /// In which lease.
        lease: LeaseId,
        /// What was taken.
        amount: Balance,
        /// What the publisher got of it.
        rewarded: Balance,
    },
    /// Claims went back to the publisher: by proof, or by a decision.
    ClaimsRefunded {
        /// Of which lease.
        lease: LeaseId,
        /// How much.
        amount: Balance,
    },
    /// Somebody complains.
    Complained {
        /// The complaint's number.
        complaint: u64,
    },
    /// The committee's call was made.
    CommitteeExecuted {
        /// Why it had no effect, if it had none.
        refused: Option<ChainError>,
    },
    /// Evidence was verified by the runtime.
    Appraised(super::Appraised),
    /// A provider's control plane counts.
    ClusterAttested {
        /// Whose.
        provider: AccountBytes,
        /// First second at which it counts no more.
        expires_at: UnixSeconds,
    },
    /// Something about challenges and batches.
    Proofs(super::ProofsEvent),
    /// A task was created.
    TaskCreated {
        /// Its deployment.
        task: DeploymentId,
    },
    /// Something changed in a task or its runs.
    TaskChanged {
        /// Its deployment.
        task: DeploymentId,
    },
    /// A deployment has a new manifest or was stopped.
    DeploymentChanged {
        /// Which.
        deployment: DeploymentId,
    },
}

/// A transaction in a finalised block.
#[derive(Clone, Debug)]
pub struct Included {
    /// The block.
    pub block_hash: Hash256,
    /// What the transaction did.
    pub events: Vec<ChainEvent>,
}

impl ChainClient {
    /// Sign `call`, send it, and wait until it is in a finalised block and has succeeded.
    ///
    /// Transactions of one account may be submitted concurrently through one client.
    ///
    /// # Errors
    /// [`ChainError::Refused`] when the runtime said no; [`ChainError::Lost`] when it was sent but
    /// its fate is unknown: look at the state before sending it again.
    pub async fn submit(&self, signer: &Keypair, call: Call) -> Result<Included, ChainError> {
        let tx = runtime::tx();
        match call {
            Call::RegisterProvider { info, capacity, price_lists, stake } => {
                let lists = bounded(price_lists);
                let call = tx.providers().register(Static(info), Static(capacity), lists, stake);
                self.send(signer, &call).await
            }
            Call::UpdateProvider { info, capacity, price_lists } => {
                let lists = bounded(price_lists);
                let call = tx.providers().update(Static(info), Static(capacity), lists);
                self.send(signer, &call).await
            }
            Call::Bond { amount } => self.send(signer, &tx.providers().bond(amount)).await,
            Call::Unbond { amount } => self.send(signer, &tx.providers().unbond(amount)).await,
            Call::Withdraw => self.send(signer, &tx.providers().withdraw()).await,
            Call::Retire => self.send(signer, &tx.providers().retire()).await,
            Call::Deploy { manifest, quote, signature, deposit, spend_rate_max } => {
                let call = tx.leases().deploy(
                    Static(DeploymentKind::Service),
                    Static(manifest),
                    Static(quote),
                    runtime::runtime_types::sp_runtime::MultiSignature::Sr25519(signature),
                    deposit,
                    spend_rate_max,
                );
                self.send(signer, &call).await
            }
            Call::Fund { lease, amount } => {
                self.send(signer, &tx.leases().fund(Static(lease), amount)).await
            }
            Call::SetSpendRate { lease, spend_rate_max } => {
                let call = tx.leases().set_spend_rate(Static(lease), spend_rate_max);
                self.send(signer, &call).await
            }
            Call::UpdateDeployment { deployment, manifest } => {
                let call = tx.deployments().update(Static(deployment), Static(manifest));
                self.send(signer, &call).await
            }
            Call::CloseAndStop { lease, deployment } => {
                use runtime::runtime_types::{
                    casemate_runtime::RuntimeCall, pallet_deployments::pallet::Call as Deployments,
                    pallet_leases::pallet::Call as Leases,
                };
                let call = tx.utility().batch_all(vec![
                    RuntimeCall::Deployments(Deployments::stop { deployment: Static(deployment) }),
                    RuntimeCall::Leases(Leases::close { lease: Static(lease) }),
                ]);
                self.send(signer, &call).await
            }
            Call::Close { lease } => self.send(signer, &tx.leases().close(Static(lease))).await,
            Call::Settle { lease } => self.send(signer, &tx.leases().settle(Static(lease))).await,
            Call::Payout { lease } => self.send(signer, &tx.leases().payout(Static(lease))).await,
            Call::Forget { lease } => self.send(signer, &tx.leases().forget(Static(lease))).await,
            Call::GiveNotice { lease } => {
                self.send(signer, &tx.leases().give_notice(Static(lease))).await
            }
            Call::Evict { lease } => self.send(signer, &tx.leases().evict(Static(lease))).await,
            Call::EvictAndSettle { lease } => {
                use runtime::runtime_types::{
                    casemate_runtime::RuntimeCall, pallet_leases::pallet::Call as Leases,
                };
                let call = tx.utility().batch_all(vec![
                    RuntimeCall::Leases(Leases::evict { lease: Static(lease) }),
                    RuntimeCall::Leases(Leases::settle { lease: Static(lease) }),
                ]);
                self.send(signer, &call).await
            }
            Call::Contest { lease } => self.send(signer, &tx.leases().contest(Static(lease))).await,
            Call::ExpireContest { lease } => {
                self.send(signer, &tx.leases().expire_contest(Static(lease))).await
            }
            Call::ProveMisconduct { a, signature_a, b, signature_b } => {
                let call =
                    tx.leases().prove_misconduct(Static(*a), signature_a, Static(*b), signature_b);
                self.send(signer, &call).await
            }
            Call::Amend { amendment, signature } => {
                let signature =
                    runtime::runtime_types::sp_runtime::MultiSignature::Sr25519(signature);
                self.send(signer, &tx.leases().amend(Static(*amendment), signature)).await
            }
            Call::Complain { lease, kind, text_hash } => {
                let call = tx.reputation().complain(Static(lease), Static(kind), text_hash);
                self.send(signer, &call).await
            }
            Call::CloseComplaint { complaint } => {
                self.send(signer, &tx.reputation().close_complaint(complaint)).await
            }
            Call::ExpireComplaint { complaint } => {
                self.send(signer, &tx.reputation().expire_complaint(complaint)).await
            }
            Call::CreateTask { manifest, schedule, terms } => {
                let call = tx.tasks().create(Static(manifest), Static(schedule), Static(terms));
                self.send(signer, &call).await
            }
            Call::OpenLease { deployment, quote, signature, deposit, spend_rate_max } => {
                let call = tx.leases().open(
                    Static(deployment),
                    Static(quote),
                    runtime::runtime_types::sp_runtime::MultiSignature::Sr25519(signature),
                    deposit,
                    spend_rate_max,
                );
                self.send(signer, &call).await
            }
            Call::BeginRun { lease, replica, scheduled_at } => {
                let call = tx.tasks().begin(Static(lease), replica, scheduled_at);
                self.send(signer, &call).await
            }
            Call::SubmitResult { result, signature, record, record_signature } => {
                let call = tx.tasks().submit_result(
                    Static(*result),
                    signature,
                    Static(*record),
                    record_signature,
                );
                self.send(signer, &call).await
            }
            Call::RecordMissed { task, scheduled_at } => {
                self.send(signer, &tx.tasks().record_missed(Static(task), scheduled_at)).await
            }
            Call::RecordLost { lease, replica } => {
                self.send(signer, &tx.tasks().record_lost(Static(lease), replica)).await
            }
            Call::SetSchedule { task, schedule } => {
                self.send(signer, &tx.tasks().set_schedule(Static(task), Static(schedule))).await
            }
            Call::SetTaskTerms { task, terms } => {
                self.send(signer, &tx.tasks().set_terms(Static(task), Static(terms))).await
            }
            Call::StopTask { task, lease } => {
                use runtime::runtime_types::{
                    casemate_runtime::RuntimeCall, pallet_deployments::pallet::Call as Deployments,
                    pallet_leases::pallet::Call as Leases, pallet_tasks::pallet::Call as Tasks,
                };
                let mut calls = vec![
                    RuntimeCall::Tasks(Tasks::stop { task: Static(task) }),
                    RuntimeCall::Deployments(Deployments::stop { deployment: Static(task) }),
                ];
                calls.extend(
                    lease.map(|lease| RuntimeCall::Leases(Leases::close { lease: Static(lease) })),
                );
                self.send(signer, &tx.utility().batch_all(calls)).await
            }
            Call::Recharge { task, lease, amount } => {
                let call = tx.tasks().recharge(Static(task), Static(lease), amount);
                self.send(signer, &call).await
            }
            Call::ForgetTask { task } => self.send(signer, &tx.tasks().forget(Static(task))).await,
            Call::Claim { record, signature } => {
                self.send(signer, &tx.leases().claim(Static(record), signature)).await
            }
            Call::Authorise { lease, spender, allowance } => {
                let spender = AccountId32(spender);
                let call = tx.leases().authorise(Static(lease), spender, allowance);
                self.send(signer, &call).await
            }
            Call::FundFor { lease, amount } => {
                self.send(signer, &tx.leases().fund_for(Static(lease), amount)).await
            }
            Call::OpenAccount { asset } => self.send(signer, &tx.assets().touch(asset)).await,
            Call::TransferAsset { asset, to, amount } => {
                let to = MultiAddress::Id(AccountId32(to));
                self.send(signer, &tx.assets().transfer_keep_alive(asset, to, amount)).await
            }
            Call::Transfer { to, amount } => {
                let to = MultiAddress::Id(AccountId32(to));
                self.send(signer, &tx.balances().transfer_keep_alive(to, amount)).await
            }
        }
    }

    pub(super) async fn send(
        &self,
        signer: &Keypair,
        call: &impl Payload,
    ) -> Result<Included, ChainError> {
        let account = signer.public_key().0;
        let mut progress = {
            let mut nonces = self.nonces.lock().await;
            let from_node = self
                .rpc
                .system_account_next_index(&AccountId32(account))
                .await
                .map_err(|err| ChainError::Unreachable(err.to_string()))?;
            // The node's answer knows its pool, but a transaction just sent may not be there yet.
            let nonce = nonces.get(&account).map_or(from_node, |next| from_node.max(*next));
            let params = DefaultExtrinsicParamsBuilder::new().nonce(nonce).mortal(MORTALITY_BLOCKS);
            let params = match self.fee_asset {
                Asset::Native => params,
                asset => params.tip_of(0, Static(asset)),
            };
            let params = params.build();
            let mut at = self.at_finalised().await?.transactions();
            match at.sign_and_submit_then_watch(call, signer, params).await {
                Ok(progress) => {
                    nonces.insert(account, nonce + 1);
                    progress
                }
                Err(err) => {
                    // Forget our count: the node's is the truth.
                    nonces.remove(&account);
                    return Err(ChainError::sending(&err));
                }
            }
        };
        let in_block = loop {
            use subxt::tx::TransactionStatus as Status;
            let next = progress.next().await;
            match next {
                Some(Ok(Status::InFinalizedBlock(block))) => break block,
                Some(Ok(Status::Error { message } | Status::Invalid { message })) => {
                    self.nonces.lock().await.remove(&account);
                    return Err(ChainError::Rejected(message));
                }
                Some(Ok(Status::Dropped { message })) => {
                    self.nonces.lock().await.remove(&account);
                    return Err(ChainError::Lost(message));
                }
                Some(Ok(_)) => {}
                Some(Err(err)) => {
                    self.nonces.lock().await.remove(&account);
                    return Err(ChainError::Lost(chain_of(&err)));
                }
                None => {
                    self.nonces.lock().await.remove(&account);
                    return Err(ChainError::Lost("the node ended the subscription".into()));
                }
            }
        };
        let block_hash = in_block.block_hash().0;
        let events = in_block.wait_for_success().await.map_err(|err| refusal(&err))?;
        let metadata = self.at_finalised().await?.metadata();
        let mut found = Vec::new();
        for event in events.iter() {
            let event = event.map_err(|err| ChainError::Decode(err.to_string()))?;
            found.extend(chain_event(&event, &metadata)?);
        }
        Ok(Included { block_hash, events: found })
    }

    /// Events of finalised blocks, from now on.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn events(&self) -> Result<EventStream, ChainError> {
        let blocks = self.api.stream_blocks().await.map_err(ChainError::reading)?;
        Ok(EventStream { blocks })
    }
}

/// Events of finalised blocks, in order.
pub struct EventStream {
    blocks: subxt::client::Blocks<Config>,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

impl EventStream {
    /// Our events of the next finalised block.
    ///
    /// # Errors
    /// When the connection broke; make a new stream and look at the state again.
    pub async fn next(&mut self) -> Result<Vec<ChainEvent>, ChainError> {
        let block = self
            .blocks
            .next()
            .await
            .ok_or_else(|| ChainError::Unreachable("the node ended the subscription".into()))?
            .map_err(ChainError::reading)?;
        let at = block.at().await.map_err(ChainError::reading)?;
        events_at(&at).await
    }
}

/// All of our events of one block.
pub(super) async fn events_at(at: &AtBlock) -> Result<Vec<ChainEvent>, ChainError> {
    let events: Events<Config> = at.events().fetch().await.map_err(ChainError::reading)?;
    let metadata = at.metadata();
    let mut found = Vec::new();
    for event in events.iter() {
        let event = event.map_err(|err| ChainError::Decode(err.to_string()))?;
        found.extend(chain_event(&event, &metadata)?);
    }
    Ok(found)
}

fn chain_event(
    event: &subxt::events::Event<'_, Config>,
    metadata: &subxt::ArcMetadata,
) -> Result<Option<ChainEvent>, ChainError> {
    use runtime::runtime_types::{
        pallet_deployments::pallet::Event as Deployments, pallet_leases::pallet::Event as Leases,
    };
    let decode = |err: subxt::error::EventsError| ChainError::Decode(err.to_string());
    Ok(match event.pallet_name() {
        "Leases" => {
            let runtime::Event::Leases(event) =
                event.decode_as::<runtime::Event>().map_err(decode)?
            else {
                return Ok(None);
            };
            Some(match event {
                Leases::Opened { lease, deployment, provider, .. } => ChainEvent::LeaseOpened {
                    lease: lease.0,
                    deployment: deployment.0,
                    provider: provider.0,
                },
                Leases::Claimed { lease, paid, .. } => ChainEvent::Claimed { lease: lease.0, paid },
                Leases::Settled { lease, paid, refunded } => {
                    ChainEvent::LeaseSettled { lease: lease.0, paid, refunded }
                }
                Leases::Funded { lease, .. }
                | Leases::AllowanceUsed { lease, .. }
                | Leases::Authorised { lease, .. }
                | Leases::GivenBack { lease, .. }
                | Leases::Refunded { lease, .. }
                | Leases::DepositKept { lease, .. }
                | Leases::SpendRateSet { lease, .. }
                | Leases::Activated { lease, .. }
                | Leases::AppEnded { lease, .. }
                | Leases::FundsExhausted { lease }
                | Leases::FundsLow { lease, .. }
                | Leases::PaidOut { lease, .. }
                | Leases::Forgotten { lease }
                | Leases::NoticeGiven { lease, .. }
                | Leases::Amended { lease, .. }
                | Leases::Contested { lease, .. }
                | Leases::Closed { lease, .. } => ChainEvent::LeaseChanged { lease: lease.0 },
                Leases::ProviderSlashed { lease, amount, rewarded } => {
                    ChainEvent::ProviderSlashed { lease: lease.0, amount, rewarded }
                }
                Leases::ContestDecided { lease, refunded, .. }
                | Leases::Misconduct { lease, refunded, .. }
                | Leases::Penalised { lease, refunded } => {
                    ChainEvent::ClaimsRefunded { lease: lease.0, amount: refunded }
                }
                Leases::TreasuryShareSet { .. } => return Ok(None),
            })
        }
        "Attestation" => {
            let runtime::Event::Attestation(event) =
                event.decode_as::<runtime::Event>().map_err(decode)?
            else {
                return Ok(None);
            };
            super::attestation::event(event)
        }
        "Proofs" => {
            let runtime::Event::Proofs(event) =
                event.decode_as::<runtime::Event>().map_err(decode)?
            else {
                return Ok(None);
            };
            super::proofs::event(event)
        }
        "Deployments" => {
            let runtime::Event::Deployments(event) =
                event.decode_as::<runtime::Event>().map_err(decode)?
            else {
                return Ok(None);
            };
            match event {
                Deployments::Updated { deployment, .. } | Deployments::Stopped { deployment } => {
                    Some(ChainEvent::DeploymentChanged { deployment: deployment.0 })
                }
                Deployments::Created { .. } | Deployments::Removed { .. } => None,
            }
        }
        "Reputation" => {
            use runtime::runtime_types::pallet_reputation::pallet::Event as Reputation;
            let runtime::Event::Reputation(Reputation::Complained { complaint, .. }) =
                event.decode_as::<runtime::Event>().map_err(decode)?
            else {
                return Ok(None);
            };
            Some(ChainEvent::Complained { complaint })
        }
        "TechnicalCommittee" if event.event_name() == "Executed" => {
            // Hash of the call, then what came of it.
            let refused = match event.field_bytes().get(32..) {
                Some([0]) => None,
                Some([1, error @ ..]) => Some(
                    subxt::error::DispatchError::decode_from(error, metadata.clone()).map_or_else(
                        |err| ChainError::Decode(err.to_string()),
                        |err| refused(&err),
                    ),
                ),
                _ => return Err(ChainError::Decode("a committee's event".into())),
            };
            Some(ChainEvent::CommitteeExecuted { refused })
        }
        "Tasks" => {
            let runtime::Event::Tasks(event) =
                event.decode_as::<runtime::Event>().map_err(decode)?
            else {
                return Ok(None);
            };
            Some(super::tasks::event(&event))
        }
        _ => None,
    })
}

type BoundedLists =
    runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec<Static<PriceList>>;

fn bounded(lists: Vec<PriceList>) -> BoundedLists {
    runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec(
        lists.into_iter().map(Static).collect(),
    )
}

fn refusal(error: &subxt::error::TransactionEventsError) -> ChainError {
    use subxt::error::TransactionEventsError as Error;
    let Error::ExtrinsicFailed(error) = error else { return ChainError::Lost(chain_of(error)) };
    refused(error)
}

fn refused(error: &subxt::error::DispatchError) -> ChainError {
    use subxt::error::DispatchError;
    match error {
        DispatchError::Module(module) => match module.details() {
            Ok(details) => ChainError::Refused {
                pallet: details.pallet.name().to_owned(),
                name: details.variant.name.clone(),
                text: details.variant.docs.join(" ").trim().to_owned(),
            },
            Err(err) => ChainError::Decode(err.to_string()),
        },
        DispatchError::Token(err) => ChainError::NoFunds(err.to_string()),
        other => ChainError::Refused {
            pallet: "System".into(),
            name: "DispatchError".into(),
            text: other.to_string(),
        },
    }
}
