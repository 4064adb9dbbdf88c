//! Transactions, from their signature to their finalised block.

use casemate_primitives::{Asset, DeploymentKind, Hash256, PriceList};
use subxt::{
    config::DefaultExtrinsicParamsBuilder,
    tx::Payload,
    utils::{AccountId32, MultiAddress, Static},
};
use subxt_signer::sr25519::Keypair;

use super::{
    Call, ChainClient, ChainError, ChainEvent,
    client::Config,
    error::{chain_of, refusal},
    events::ours,
    runtime,
};

/// For how many blocks a transaction stays valid. A development chain makes up to fifty blocks a
/// second, so this is the largest power of two below the chain's `BlockHashCount`.
const MORTALITY_BLOCKS: u64 = 2_048;

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
            Call::OpenTaskLease {
                task,
                closes,
                terms,
                quote,
                signature,
                deposit,
                spend_rate_max,
            } => {
                use runtime::runtime_types::{
                    casemate_runtime::RuntimeCall, pallet_leases::pallet::Call as Leases,
                    pallet_tasks::pallet::Call as Tasks, sp_runtime::MultiSignature,
                };
                let close = |lease| RuntimeCall::Leases(Leases::close { lease: Static(lease) });
                let set = |terms| {
                    RuntimeCall::Tasks(Tasks::set_terms {
                        task: Static(task),
                        terms: Static(terms),
                    })
                };
                let open = RuntimeCall::Leases(Leases::open {
                    deployment: Static(task),
                    quote: Static(quote),
                    signature: MultiSignature::Sr25519(signature),
                    deposit,
                    spend_rate_max,
                });
                let calls = closes.map(close).into_iter().chain(terms.map(set)).chain([open]);
                self.send(signer, &tx.utility().batch_all(calls.collect())).await
            }
            Call::BeginRun { lease, replica, scheduled_at, terms, manifest_hash } => {
                let (lease, terms) = (Static(lease), Static(terms));
                let call = tx.tasks().begin(lease, replica, scheduled_at, terms, manifest_hash);
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
            let mut at = self.at_finalised().await?.transactions();
            let mut sent =
                at.sign_and_submit_then_watch(call, signer, params(nonce, self.fee_asset)).await;
            if let Err(err) = &sent
                && self.falls_back
                && matches!(ChainError::sending(err), ChainError::NoFunds(_))
            {
                tracing::warn!(asset = ?self.fee_asset, "no fee can be paid in it: the native token pays");
                let native = params(nonce, Asset::Native);
                sent = at.sign_and_submit_then_watch(call, signer, native).await;
            }
            match sent {
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
        Ok(Included { block_hash, events: ours(events.iter(), &metadata)? })
    }
}

type Params =
    <<Config as subxt::Config>::TransactionExtensions as subxt::config::TransactionExtensions<
        Config,
    >>::Params;

/// With which nonce a transaction is sent, for how long it is valid, and what pays its fee.
fn params(nonce: u64, fee_asset: Asset) -> Params {
    let params = DefaultExtrinsicParamsBuilder::new().nonce(nonce).mortal(MORTALITY_BLOCKS);
    match fee_asset {
        Asset::Native => params,
        asset => params.tip_of(0, Static(asset)),
    }
    .build()
}

type BoundedLists =
    runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec<Static<PriceList>>;

fn bounded(lists: Vec<PriceList>) -> BoundedLists {
    runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec(
        lists.into_iter().map(Static).collect(),
    )
}
