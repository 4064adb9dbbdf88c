//! Claims a second beside plain transfers a second, on one development node.
//!
//! Both are signed beforehand and sent by the same accounts over the same connections, each one
//! after the other. The time runs from the first one sent until the last one's block is final. Each
//! claim earns what its record says: so much leaves the escrow.
//!
//! A third kind is batches, each of one new record of all of an account's leases. Only their roots come
//! on chain; that all records of the last one are paid by their paths is seen afterwards.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use casemate_agent::{Observed, Signer, config::SignerConfig};
use casemate_client::chain::{Call, ChainClient};
use casemate_primitives::{
    AgentSignature, Asset, Balance, CASE, DeploymentKind, LeaseId, LeaseTerms, ManifestRef,
    PriceList, Prices, ProviderInfo, Quantities, Quote, Resources, UnixSeconds, UsageRecord,
    merkle,
};
use casemate_tests::{Ledger, PATIENCE, Process, development_chain, free_port, until};
use codec::{Compact, Encode};
use serde_json::{Value, json};
use subxt::{
    config::DefaultExtrinsicParamsBuilder,
    rpcs::{RpcClient, rpc_params},
    utils::AccountId32,
};
use subxt_signer::sr25519::{Keypair, dev};

use crate::evidence::EvidenceMaker;

/// Leases of each account. All of them together are one batch: some seconds of work.
const LEASES: u64 = 250;
/// One replica.
const SIZE: Resources = Resources { cpu_millicores: 100, memory_mib: 64, storage_mib: 16, gpus: 0 };
const PRICES: Prices = Prices {
    cpu_millicore_second: 10_000,
    memory_mib_second: 1_000,
    storage_mib_second: 10,
    gpu_second: 0,
    egress_mib: 0,
    ingress_mib: 0,
};
pub(crate) const MANIFEST: ManifestRef = ManifestRef { hash: [3; 32], size: 1_000 };
const DEPOSIT: Balance = 10 * CASE;
/// Agents of each account whose evidence is over the same block.
const ATTESTED_AT_ONCE: usize = 25;
/// Batches of each account in one measurement.
const ROOTS: u64 = 50;
/// Short beside a batch, long enough to leave the processor to the node.
const PAUSE: Duration = Duration::from_millis(10);

/// A chain and those who use it. Each account is a provider, and the publisher of the next one's
/// leases.
struct Market {
    chain: ChainClient,
    ledger: Ledger,
    accounts: Vec<Account>,
}

struct Account {
    key: Keypair,
    nonce: u64,
    connection: RpcClient,
    agents: Vec<Agent>,
    /// Roots that it has put on chain.
    roots: u64,
}

struct Agent {
    signer: Signer,
    started: UnixSeconds,
}

/// Signed extrinsics of each account.
type Batch = Vec<Vec<Vec<u8>>>;

/// Measures `rounds` batches of each kind, turn by turn, after one of each that is not counted.
pub(crate) async fn run(node: &Path, rounds: usize) -> Result<Value> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let evidence = EvidenceMaker::new(&folder.path().join("software-tee"))?;
    let specification = folder.path().join("chain.json");
    let workloads = [evidence.workload()];
    development_chain(node, &specification, &evidence.roots()?, &workloads)?;
    let (mut node, url) = start_node(node, &specification, folder.path())?;
    let mut market = Market::open(&url).await?;
    market.register().await?;
    market.open_leases().await?;
    let mut paid_to = market.attest(&evidence).await?;
    let (mut claims, mut batched, mut transfers) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let batch = market.transfers().await?;
        let per_second = market.send(batch).await?;
        let (batch, to) = market.claims(paid_to).await?;
        let escrow = market.escrow().await?;
        let claims_per_second = market.send(batch).await?;
        let paid = escrow.checked_sub(market.escrow().await?).context("escrow grew by claims")?;
        ensure!(
            paid == market.cost(to - paid_to)?,
            "not each claim has earned what its record says: all of them {paid}"
        );
        let (roots, proved, proved_to) = market.roots(to).await?;
        let roots_per_second = market.send(roots).await?;
        let escrow = market.escrow().await?;
        let batch = market.sign("Proofs", "claim_from_batch", proved).await?;
        market.send(batch).await?;
        let paid = escrow.checked_sub(market.escrow().await?).context("escrow grew by claims")?;
        ensure!(
            paid == market.cost(proved_to - to)?,
            "not each record under a root has earned what it says: all of them {paid}"
        );
        paid_to = proved_to;
        if round > 0 {
            transfers.push(per_second);
            claims.push(claims_per_second);
            batched.push(roots_per_second * LEASES as f64);
        }
    }
    node.stop(PATIENCE)?;
    Ok(json!({ "claims": claims, "batched": batched, "transfers": transfers }))
}

/// A development node, and where it answers.
fn start_node(program: &Path, specification: &Path, folder: &Path) -> Result<(Process, String)> {
    let port = free_port()?;
    let mut command = Command::new(program);
    command.arg("--chain").arg(specification).args(["--alice", "--force-authoring"]);
    command.arg("--unsafe-force-node-key-generation");
    command.args(["--listen-addr", "/ip4/127.0.0.1/tcp/0", "--rpc-port"]);
    command.arg(port.to_string()).arg("--base-path").arg(folder.join("chain"));
    command.args(["--no-prometheus", "--no-telemetry", "--no-mdns"]);
    // With the SDK's pool for forks, a transaction that comes while a block is taken over is not
    // seen before the next block, a second later, and a chain that seals at once has no forks.
    command.args(["--pool-type", "single-state"]);
    let node = Process::start("casemate-node", &mut command, &folder.join("node.log"))?;
    Ok((node, format!("ws://127.0.0.1:{port}")))
}

impl Market {
    async fn open(url: &str) -> Result<Self> {
        let connect = async || Ok(ChainClient::connect(url).await?);
        let chain = until("the node answers", connect).await?;
        let ledger = Ledger::connect(url).await?;
        let mut accounts = Vec::new();
        for key in [dev::alice(), dev::bob(), dev::charlie(), dev::dave()] {
            let connection = RpcClient::from_insecure_url(url).await?;
            accounts.push(Account { key, nonce: 0, connection, agents: Vec::new(), roots: 0 });
        }
        Ok(Self { chain, ledger, accounts })
    }

    async fn register(&mut self) -> Result<()> {
        let count = u32::try_from(LEASES)?;
        let capacity = SIZE.checked_mul(count).context("the capacity overflows")?;
        let name = b"bench".to_vec().try_into().ok().context("the name is too long")?;
        let info = ProviderInfo { name, ..ProviderInfo::default() };
        for account in &mut self.accounts {
            let price_lists = vec![PriceList { asset: Asset::Native, prices: PRICES }];
            let (info, stake) = (info.clone(), 10_000 * CASE);
            let call = Call::RegisterProvider { info, capacity, price_lists, stake };
            self.chain.submit(&account.key, call).await?;
            account.nonce += 1;
        }
        Ok(())
    }

    async fn open_leases(&mut self) -> Result<()> {
        let expires_at = self.chain.time().await? + 1_800;
        let genesis = self.chain.genesis_hash();
        let terms = LeaseTerms {
            asset: Asset::Native,
            prices: PRICES,
            notice_seconds: 60,
            grace_seconds: 60,
            deposit_min: 0,
            ..Default::default()
        };
        let rate = PRICES.per_second(&SIZE).context("the price overflows")?;
        let mut calls = Vec::new();
        for publisher in 0..self.accounts.len() {
            let provider = &self.accounts[(publisher + 1) % self.accounts.len()].key;
            let offers = (0..LEASES).map(|number| {
                let mut nonce = [0; 16];
                nonce[..8].copy_from_slice(&number.to_le_bytes());
                let quote = Quote {
                    provider: provider.public_key().0,
                    publisher: self.accounts[publisher].key.public_key().0,
                    manifest_hash: MANIFEST.hash,
                    resources: SIZE,
                    replicas: 1,
                    terms,
                    expires_at,
                    nonce,
                };
                let signature = provider.sign(&quote.signing_payload(&genesis)).0;
                // `MultiSignature::Sr25519`
                let signature = (1u8, signature);
                (DeploymentKind::Service, MANIFEST, quote, signature, DEPOSIT, rate).encode()
            });
            calls.push(offers.collect());
        }
        let batch = self.sign("Leases", "deploy", calls).await?;
        self.send(batch).await?;
        Ok(())
    }

    /// Makes an agent for each lease, and brings its evidence to the chain. Gives the second up to
    /// which all of them count as paid.
    async fn attest(&mut self, evidence: &EvidenceMaker) -> Result<UnixSeconds> {
        // Its nonces are counted here, too.
        let submitter = &mut self.accounts[0];
        for endorsement in evidence.endorsements() {
            self.chain.endorse(&submitter.key, endorsement).await?;
            submitter.nonce += 1;
        }
        let started = self.chain.time().await?;
        let genesis_hash = self.chain.genesis_hash();
        let mut pending = Vec::new();
        for provider in 0..self.accounts.len() {
            let before = (provider + self.accounts.len() - 1) % self.accounts.len();
            let publisher = self.accounts[before].key.public_key().0;
            let leases = self.chain.leases_of_publisher(&publisher).await?;
            ensure!(leases.len() as u64 == LEASES, "only {} leases were opened", leases.len());
            let mut keys = Vec::new();
            for lease in leases {
                let signer = signer(genesis_hash, lease.id, started)?;
                keys.push((lease.id, signer.public_key()));
                self.accounts[provider].agents.push(Agent { signer, started });
            }
            pending.push(keys);
        }
        let count = usize::try_from(LEASES)?;
        for from in (0..count).step_by(ATTESTED_AT_ONCE) {
            let to = count.min(from + ATTESTED_AT_ONCE);
            // Fresh for each part: a block's hash is a nonce for 256 blocks.
            let at = self.ledger.api.at_current_block().await?;
            let block = u32::try_from(at.block_number())?;
            let nonce = at.block_hash().0;
            let mut calls = Vec::new();
            for keys in &pending {
                let part = keys[from..to].iter();
                let attest = part
                    .map(|(lease, key)| evidence.call(genesis_hash, *lease, *key, block, nonce));
                calls.push(attest.collect::<Result<Vec<_>>>()?);
            }
            let batch = self.sign("Attestation", "attest", calls).await?;
            self.send(batch).await?;
        }
        for account in &self.accounts {
            let leases = self.chain.leases_of_publisher(&account.key.public_key().0).await?;
            let attested =
                leases.iter().flat_map(|lease| &lease.agents).filter(|a| a.standing.is_some());
            ensure!(attested.count() == count, "the chain did not accept each agent's evidence");
        }
        Ok(started)
    }

    /// A second of the chain's that comes after `paid_to`.
    async fn second_after(&self, paid_to: UnixSeconds) -> Result<UnixSeconds> {
        until("the chain's clock moves on", async || {
            let now = self.chain.time().await?;
            ensure!(now > paid_to, "it is still {now}");
            Ok(now)
        })
        .await
    }

    /// Roots over new records of all of an account's leases, [`ROOTS`] of each account; the arguments of
    /// the calls that claim what is under the last ones; and the second that those records reach to.
    async fn roots(&mut self, paid_to: UnixSeconds) -> Result<(Batch, Batch, UnixSeconds)> {
        let to = self.second_after(paid_to).await?;
        let (mut roots, mut proved) = (Vec::new(), Vec::new());
        for account in &mut self.accounts {
            let mut calls = Vec::new();
            let mut last = Vec::new();
            for _ in 0..ROOTS {
                let signed = account.agents.iter_mut().map(|agent| agent.record(to));
                last = signed.collect();
                let leaves: Vec<_> =
                    last.iter().map(|signed| merkle::leaf_hash(&signed.encode())).collect();
                calls.push((merkle::root(&leaves), LEASES).encode());
            }
            let leaves: Vec<_> =
                last.iter().map(|signed| merkle::leaf_hash(&signed.encode())).collect();
            account.roots += ROOTS;
            let batch = account.roots - 1;
            let claims = (0u64..).zip(&last).map(|(index, signed)| {
                let path = merkle::inclusion_path(&leaves, index).context("no such leaf")?;
                Ok((batch, index, signed, path).encode())
            });
            proved.push(claims.collect::<Result<_>>()?);
            roots.push(calls);
        }
        Ok((self.sign("Proofs", "submit_batch", roots).await?, proved, to))
    }

    /// A claim for each lease that reaches to a second after `paid_to`, and that second.
    async fn claims(&mut self, paid_to: UnixSeconds) -> Result<(Batch, UnixSeconds)> {
        let to = self.second_after(paid_to).await?;
        let mut calls = Vec::new();
        for account in &mut self.accounts {
            calls.push(account.agents.iter_mut().map(|agent| agent.record(to).encode()).collect());
        }
        Ok((self.sign("Leases", "claim", calls).await?, to))
    }

    /// As many transfers as there are leases, between accounts that are there.
    async fn transfers(&mut self) -> Result<Batch> {
        let count = self.accounts.len();
        let mut calls = Vec::new();
        for from in 0..count {
            let to = self.accounts[(from + 1) % count].key.public_key().0;
            // `MultiAddress::Id`
            let call = ((0u8, to), Compact(CASE)).encode();
            calls.push((0..LEASES).map(|_| call.clone()).collect());
        }
        self.sign("Balances", "transfer_keep_alive", calls).await
    }

    /// Signs calls of each account, given as their encoded arguments.
    async fn sign(&mut self, pallet: &str, name: &str, calls: Batch) -> Result<Batch> {
        let at = self.ledger.api.at_current_block().await?;
        let metadata = at.metadata();
        let found = metadata.pallet_by_name(pallet).and_then(|pallet| {
            Some([pallet.call_index(), pallet.call_variant_by_name(name)?.index])
        });
        let index = found.with_context(|| format!("the runtime has no call {pallet}.{name}"))?;
        let transactions = at.transactions();
        let mut batch = Vec::new();
        for (account, calls) in self.accounts.iter_mut().zip(calls) {
            let mut signed = Vec::new();
            for arguments in calls {
                let call = transactions.from_call_data_bytes(&[&index[..], &arguments].concat())?;
                let params = DefaultExtrinsicParamsBuilder::new().nonce(account.nonce).immortal();
                let mut signable = transactions.create_signable_offline(&call, params.build())?;
                signed.push(signable.sign(&account.key)?.into_encoded());
                account.nonce += 1;
            }
            batch.push(signed);
        }
        Ok(batch)
    }

    /// Sends a batch; gives extrinsics a second.
    async fn send(&self, batch: Batch) -> Result<f64> {
        let count = batch.iter().map(Vec::len).sum::<usize>();
        let started = Instant::now();
        let mut senders = tokio::task::JoinSet::new();
        for (account, extrinsics) in self.accounts.iter().zip(batch) {
            let connection = account.connection.clone();
            senders.spawn(async move {
                for extrinsic in extrinsics {
                    let text = format!("0x{}", hex::encode(extrinsic));
                    let params = rpc_params![text];
                    let sent = connection.request::<String>("author_submitExtrinsic", params);
                    sent.await.context("the node refuses an extrinsic")?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(sent) = senders.join_next().await {
            sent.context("a sender broke off")??;
        }
        for account in &self.accounts {
            let id = AccountId32(account.key.public_key().0);
            loop {
                let at = self.ledger.api.at_current_block().await?;
                let nonce = at.transactions().account_nonce(&id).await?;
                if nonce >= account.nonce {
                    break;
                }
                let missing = account.nonce - nonce;
                let late = started.elapsed() > PATIENCE;
                ensure!(!late, "{missing} extrinsics of an account did not come into blocks");
                tokio::time::sleep(PAUSE).await;
            }
        }
        let count = u32::try_from(count)?;
        Ok(f64::from(count) / started.elapsed().as_secs_f64())
    }

    /// Money that no claim has earned yet.
    async fn escrow(&self) -> Result<Balance> {
        let mut escrow = 0;
        for account in &self.accounts {
            let leases = self.chain.leases_of_publisher(&account.key.public_key().0).await?;
            escrow += leases.iter().map(|lease| lease.escrow).sum::<Balance>();
        }
        Ok(escrow)
    }

    /// What all leases cost together.
    fn cost(&self, seconds: u64) -> Result<Balance> {
        let used = Quantities::quota(&SIZE, seconds).context("the usage overflows")?;
        let cost = PRICES.cost(&used).context("the cost overflows")?;
        let leases = self.accounts.iter().map(|account| account.agents.len()).sum::<usize>();
        Ok(cost * Balance::from(u64::try_from(leases)?))
    }
}

impl Agent {
    /// Its next record.
    fn record(&mut self, to: UnixSeconds) -> (UsageRecord, AgentSignature) {
        let elapsed = Duration::from_secs(to - self.started);
        self.signer.record(to, elapsed, &Observed::default())
    }
}

fn signer(genesis_hash: [u8; 32], lease: LeaseId, started: UnixSeconds) -> Result<Signer> {
    let record_interval_ms = 1_000;
    let config = SignerConfig {
        genesis_hash,
        lease,
        replica: 0,
        quota: SIZE,
        record_interval_ms,
        previous: None,
    };
    Signer::new(config, started).map_err(|error| anyhow!("no random numbers: {error}"))
}
