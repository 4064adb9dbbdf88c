//! Reads the chain's blocks and counts, apart from the product's own client.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use casemate_client::chain::AccountBalance;
use casemate_primitives::{
    AccountBytes, AgentPublicKey, Asset, Balance, LeaseId, Prices, ReplicaIndex, UsageRecord,
};
use codec::{Decode, DecodeAll};
use subxt::{
    OnlineClient, PolkadotConfig,
    backend::LegacyBackend,
    dynamic::{self, At as _, Value},
    events::Phase,
};

use crate::rpc::Rpc;

/// Reads finalised blocks of one node.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The connection, for calls that the product does not make.
    pub api: OnlineClient<PolkadotConfig>,
    rpc: Rpc,
}

/// What some blocks did to money.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Transaction fees that each account paid.
    pub fees: BTreeMap<AccountBytes, Balance>,
    /// Transaction fees that each account paid in registered assets, in their smallest units.
    pub asset_fees: BTreeMap<AccountBytes, Balance>,
    /// Paid claims, in order.
    pub claims: Vec<Claim>,
    /// Deposits and top-ups by lease.
    pub deposits: BTreeMap<LeaseId, Balance>,
    /// Final claims that were paid out, the treasury's share among them, by lease.
    pub paid_out: BTreeMap<LeaseId, Balance>,
    /// Leases that ended.
    pub settlements: Vec<Settlement>,
    /// Key of each replica, the newest.
    agents: HashMap<(LeaseId, ReplicaIndex), AgentPublicKey>,
}

/// A paid claim.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Block that has it.
    pub block: u32,
    /// The agent whose record it is.
    pub agent: AgentPublicKey,
    /// The record.
    pub record: UsageRecord,
    /// What it earned.
    pub paid: Balance,
    /// What the record costs.
    pub due: Balance,
}

/// A lease that ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settlement {
    /// Which.
    pub lease: LeaseId,
    /// All that the provider got.
    pub paid: Balance,
    /// What the publisher got back.
    pub refunded: Balance,
}

impl Ledger {
    /// Connects.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn connect(url: &str) -> Result<Self> {
        let rpc = Rpc::connect(url).await?;
        let backend = LegacyBackend::builder().build(rpc.client.clone());
        let api = OnlineClient::from_backend(Arc::new(backend)).await?;
        Ok(Self { api, rpc })
    }

    /// Number of the newest finalised block.
    ///
    /// # Errors
    /// The node does not answer; so for all that follow.
    pub async fn height(&self) -> Result<u32> {
        Ok(self.rpc.finalised().await?.0)
    }

    /// Money of an account after a block.
    ///
    /// # Errors
    /// See [`Ledger::height`].
    pub async fn balance(&self, block: u32, account: &AccountBytes) -> Result<AccountBalance> {
        let at = self.api.at_block(block).await?;
        let address = dynamic::storage::<([u8; 32],), Value>("System", "Account");
        let Some(found) = at.storage().try_fetch(address, (*account,)).await? else {
            return Ok(AccountBalance::default());
        };
        let found = found.decode()?;
        let amount = |name: &str| {
            let value = found.at("data").and_then(|data| data.at(name)).and_then(Value::as_u128);
            value.with_context(|| format!("an account has no `{name}`"))
        };
        Ok(AccountBalance { free: amount("free")?, held: amount("reserved")? })
    }

    /// What an account has of a registered asset after a block.
    ///
    /// # Errors
    /// See [`Ledger::height`].
    pub async fn asset_balance(
        &self,
        block: u32,
        asset: u32,
        account: &AccountBytes,
    ) -> Result<AccountBalance> {
        let at = self.api.at_block(block).await?;
        let key = (asset, *account);
        let address = dynamic::storage::<(u32, [u8; 32]), Value>("Assets", "Account");
        let free = match at.storage().try_fetch(address, key).await? {
            None => 0,
            Some(found) => {
                let found = found.decode()?;
                let balance = found.at("balance").and_then(Value::as_u128);
                balance.context("an account of an asset has no `balance`")?
            }
        };
        let address = dynamic::storage::<(u32, [u8; 32]), u128>("AssetsHolder", "BalancesOnHold");
        let held = match at.storage().try_fetch(address, key).await? {
            None => 0,
            Some(found) => found.decode()?,
        };
        Ok(AccountBalance { free, held })
    }

    /// What the blocks after `after` up to `to` did.
    ///
    /// # Errors
    /// See [`Ledger::height`]; a block says something that makes no sense.
    pub async fn read(&self, after: u32, to: u32) -> Result<Books> {
        let mut books = Books::default();
        for number in after + 1..=to {
            let read = self.read_block(&mut books, number).await;
            read.with_context(|| format!("cannot read block {number}"))?;
        }
        Ok(books)
    }

    async fn read_block(&self, books: &mut Books, number: u32) -> Result<()> {
        let at = self.api.at_block(number).await?;
        let mut records: HashMap<u32, UsageRecord> = HashMap::new();
        let extrinsics = at.extrinsics().fetch().await?;
        for extrinsic in extrinsics.iter() {
            let extrinsic = extrinsic?;
            if (extrinsic.pallet_name(), extrinsic.call_name()) == ("Leases", "claim") {
                let record = UsageRecord::decode(&mut extrinsic.call_data_field_bytes())?;
                records.insert(u32::try_from(extrinsic.index())?, record);
            }
        }
        let events = at.events().fetch().await?;
        for event in events.iter() {
            let event = event?;
            let fields = event.field_bytes();
            match (event.pallet_name(), event.event_name()) {
                ("TransactionPayment", "TransactionFeePaid") => {
                    let (who, fee, _tip): (AccountBytes, Balance, Balance) = all(fields)?;
                    *books.fees.entry(who).or_default() += fee;
                }
                ("AssetTxPayment", "AssetTxFeePaid") => {
                    type Fields = (AccountBytes, Balance, Balance, Asset);
                    let (who, fee, _tip, _asset): Fields = all(fields)?;
                    *books.asset_fees.entry(who).or_default() += fee;
                }
                ("Leases", "Opened") => {
                    type Fields = (LeaseId, u64, AccountBytes, AccountBytes, Balance);
                    let (lease, _, _, _, deposit): Fields = all(fields)?;
                    *books.deposits.entry(lease).or_default() += deposit;
                }
                ("Leases", "Funded") => {
                    let (lease, _, amount): (LeaseId, AccountBytes, Balance) = all(fields)?;
                    *books.deposits.entry(lease).or_default() += amount;
                }
                ("Leases", "Activated") => {
                    let (lease, replica, key): (LeaseId, ReplicaIndex, AgentPublicKey) =
                        all(fields)?;
                    books.agents.insert((lease, replica), key);
                }
                ("Leases", "Claimed") => {
                    type Fields = (LeaseId, ReplicaIndex, u64, Balance, Balance);
                    let (lease, replica, sequence, paid, due): Fields = all(fields)?;
                    let Phase::ApplyExtrinsic(index) = event.phase() else {
                        bail!("a claim was paid outside of any transaction");
                    };
                    let record = records.remove(&index).context("a claim is in no transaction")?;
                    let named = (record.lease, record.replica, record.sequence);
                    if named != (lease, replica, sequence) {
                        bail!("the claim of {record:?} was noted as that of another record");
                    }
                    let agent = books.agents.get(&(lease, replica)).copied();
                    let agent = agent.context("a claim of an agent that was never activated")?;
                    books.claims.push(Claim { block: number, agent, record, paid, due });
                }
                ("Leases", "PaidOut") => {
                    let (lease, amount, treasury): (LeaseId, Balance, Balance) = all(fields)?;
                    *books.paid_out.entry(lease).or_default() += amount + treasury;
                }
                ("Leases", "Settled") => {
                    let (lease, paid, refunded) = all(fields)?;
                    books.settlements.push(Settlement { lease, paid, refunded });
                }
                _ => (),
            }
        }
        Ok(())
    }
}

impl Books {
    /// Fees of an account.
    pub fn fees_of(&self, account: &AccountBytes) -> Balance {
        self.fees.get(account).copied().unwrap_or(0)
    }

    /// Fees of an account in registered assets.
    pub fn asset_fees_of(&self, account: &AccountBytes) -> Balance {
        self.asset_fees.get(account).copied().unwrap_or(0)
    }

    /// What was claimed of a lease.
    pub fn paid(&self, lease: LeaseId) -> Balance {
        self.claims_of(lease).map(|claim| claim.paid).sum()
    }

    /// Claims of a lease.
    pub fn claims_of(&self, lease: LeaseId) -> impl Iterator<Item = &Claim> {
        self.claims.iter().filter(move |claim| claim.record.lease == lease)
    }

    /// How a lease ended, if it has.
    pub fn settlement(&self, lease: LeaseId) -> Option<Settlement> {
        self.settlements.iter().copied().find(|settlement| settlement.lease == lease)
    }

    /// Checks every claim against the prices: each record is newer than the one before, begins
    /// where that one was paid up to or later, and costs exactly what it adds. So nothing was paid
    /// twice. Where a replica's agent was replaced, the first record of the new one may reach back
    /// over what the old one was paid for, and is paid at most for the rest. Where traffic adds to
    /// the cost, the spend rate may have kept the payment down.
    ///
    /// The books must begin before the leases.
    ///
    /// # Errors
    /// Says which claim is wrong.
    pub fn check_claims(&self, prices: &Prices) -> Result<()> {
        let mut last: HashMap<(LeaseId, ReplicaIndex, AgentPublicKey), UsageRecord> =
            HashMap::new();
        let mut first_agents: HashMap<(LeaseId, ReplicaIndex), AgentPublicKey> = HashMap::new();
        for claim in &self.claims {
            let record = claim.record;
            let before = last.insert((record.lease, record.replica, claim.agent), record);
            let first_agent =
                *first_agents.entry((record.lease, record.replica)).or_insert(claim.agent);
            let (sequence, to, total) =
                before.map_or_else(Default::default, |b| (b.sequence, b.to, b.total));
            if record.sequence <= sequence || record.from < to {
                bail!("{claim:?} was paid after {before:?}");
            }
            let used = record.total.checked_sub(&total).context("totals went back")?;
            let cost = prices.cost(&used).context("the cost overflows")?;
            let is_overlap = before.is_none() && first_agent != claim.agent;
            let is_due = claim.due == cost || (is_overlap && claim.due < cost);
            // Traffic has no quota: there the spend rate may have kept the payment down.
            let is_paid =
                claim.paid == claim.due || (used.egress_mib > 0 && claim.paid < claim.due);
            if !is_due || !is_paid {
                bail!("{claim:?} should have been paid with {cost}: it adds {used:?}");
            }
        }
        Ok(())
    }
}

/// Decodes all of `bytes`: what has another shape than expected is no number at all.
fn all<T: Decode>(mut bytes: &[u8]) -> Result<T> {
    T::decode_all(&mut bytes).context("an event has not the fields that are expected")
}
