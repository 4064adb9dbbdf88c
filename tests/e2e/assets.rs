//! A lease that is paid in a registered asset from its deployment to its payout, with all fees in it.

use anyhow::{Context as _, Result, ensure};
use casemate_client::chain::{Call, ChainClient};
use casemate_primitives::{AccountBytes, Balance, CASE, Prices};
use casemate_tests::{Ledger, Options, Service, Settlement, User, until, with_cluster};
use subxt::{
    dynamic::{self, Value},
    tx::Payload,
};
use subxt_signer::sr25519::{Keypair, dev};

use crate::common::{amount, deploy, total};

/// The asset that the test registers: the development chain has one already.
const ASSET: u32 = 2;
const SYMBOL: &str = "eUSD";
/// One of it.
const DOLLAR: Balance = 1_000_000;
const MINIMUM: Balance = DOLLAR / 100;

/// What the provider charges in it.
const PRICES: Prices = Prices {
    cpu_millicore_second: 7,
    memory_mib_second: 3,
    storage_mib_second: 1,
    gpu_second: 0,
    egress_mib: 1_003,
    ingress_mib: 0,
};

#[test]
fn a_lease_is_paid_in_an_asset_from_its_deposit_to_its_payout() {
    with_cluster(Options::new(1, &["ann", "bob"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        register(&ledger).await?;

        // The provider takes it: its daemon opens an account by itself.
        let provider = &mut cluster.providers[0];
        let account = provider.account();
        ensure!(!chain.has_account_in(ASSET, &account).await?, "it has an account already");
        let Prices {
            cpu_millicore_second, memory_mib_second, storage_mib_second, egress_mib, ..
        } = PRICES;
        provider.stop()?;
        provider.edit_config(|text| {
            format!(
                "{text}\n[[pricing.assets]]\nasset = {ASSET}\n\
                 cpu_millicore_second = {cpu_millicore_second}\n\
                 memory_mib_second = {memory_mib_second}\n\
                 storage_mib_second = {storage_mib_second}\negress_mib = {egress_mib}\n"
            )
        })?;
        provider.start()?;
        provider.ready().await?;
        ensure!(chain.has_account_in(ASSET, &account).await?, "the daemon opens an account");
        for (to, dollars) in [
            (account, 100),
            (cluster.publishers[0].account, 1_000),
            (cluster.publishers[1].account, 1_000),
        ] {
            give(&chain, to, dollars * DOLLAR).await?;
        }
        let provider = &mut cluster.providers[0];
        provider.stop()?;
        provider.edit_config(|text| format!("fees_in = {ASSET}\n{text}"))?;
        provider.start()?;
        provider.ready().await?;

        let provider = &cluster.providers[0];
        let (ann, bob) = (&cluster.publishers[0], &cluster.publishers[1]);
        let everybody = [ann.account, bob.account, account];
        let start = ledger.height().await?;
        let native = natives(&ledger, start, &everybody).await?;
        let before = assets(&ledger, start, &everybody).await?;
        ensure!(before[..2] == [1_000 * DOLLAR; 2], "{before:?}");

        let paid = |args: &[&str]| -> Vec<String> {
            args.iter().chain(&["--fees-in", SYMBOL]).map(|arg| (*arg).to_owned()).collect()
        };
        let run = |user: &User, args: &[&str]| {
            let args = paid(args);
            user.json(&args.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let sent = DOLLAR * 3 / 2;
        let address = provider.user.address();
        run(ann, &["account", "transfer", &address, "1.5 eUSD"])?;

        // Nothing is taken for something else.
        let service = Service::new("book", &cluster.first);
        let file = ann.write("refused.yaml", &service.yaml())?;
        ann.run(&["deploy", &file, "--pay-in", "tUSD"])?.refuses(&["not taken in this asset"])?;
        ann.run(&["deploy", &file, "--pay-in", SYMBOL, "--deposit", "1 CASE"])?
            .refuses(&["`1 CASE` is not in eUSD"])?;

        let deployed = deploy(ann, &service, &["--pay-in", SYMBOL, "--fees-in", SYMBOL])?;
        let lease = deployed.lease;
        let number = lease.to_string();
        let per_second = 100 * 7 + 32 * 3 + 32;
        assert_eq!(deployed.deposit, 3_600 * per_second, "an hour's price");

        // Somebody else puts in own money, and the publisher's where that allows it.
        // What is refused on chain costs its fee too.
        let spend = |amount: &str| {
            bob.run(&["fund", &number, amount, "--from-publisher", "--fees-in", SYMBOL])
        };
        spend("2 eUSD")?.refuses(&["NotSpender"])?;
        run(ann, &["lease", "authorise", "book", &bob.address(), "2 eUSD"])?;
        run(bob, &["fund", &number, "5 eUSD"])?;
        run(bob, &["fund", &number, "2 eUSD", "--from-publisher"])?;
        spend("0.000001 eUSD")?.refuses(&["AllowanceTooSmall"])?;
        let deposit = deployed.deposit + 7 * DOLLAR;
        let status = ann.json(&["status", "book"])?;
        ensure!(status["asset"] == SYMBOL, "{status}");
        assert_eq!(amount(&status, "escrow")? + amount(&status, "paid")?, deposit);
        let depositors = status["depositors"].as_array().context("no depositors")?;
        let parts: Result<Vec<_>> = depositors.iter().map(|part| amount(part, "amount")).collect();
        let parts = parts?;
        ensure!(parts.get(1) == Some(&(5 * DOLLAR)), "the first is spent first: {status}");
        let shown = ann.run(&["status", "book"])?;
        ensure!(
            shown.stdout.contains("eUSD") && !shown.stdout.contains("CASE"),
            "{}",
            shown.text()
        );

        until("claims are paid out", async || {
            let books = ledger.read(start, ledger.height().await?).await?;
            ensure!(books.paid_out.get(&lease).is_some_and(|paid| *paid > 0), "{books:?}");
            Ok(())
        })
        .await?;
        let stopped = run(ann, &["stop", "book", "--wait"])?;
        ensure!(stopped["asset"] == SYMBOL && stopped["state"] == "settled", "{stopped}");
        let (paid, refunded) = (amount(&stopped, "paid")?, amount(&stopped, "refunded")?);
        assert_eq!(paid + refunded, deposit);
        ensure!(paid > 0 && paid < deployed.deposit, "only ann's own is spent: {paid}");

        // To the unit: the records, what went where, and not a planck of the native token.
        let books = until("all of it is paid out", async || {
            let books = ledger.read(start, ledger.height().await?).await?;
            ensure!(books.paid_out.get(&lease) == Some(&paid), "{books:?}");
            Ok(books)
        })
        .await?;
        books.check_claims(&PRICES)?;
        assert_eq!(books.settlement(lease), Some(Settlement { lease, paid, refunded }));
        assert_eq!((books.paid(lease), books.deposits.get(&lease)), (paid, Some(&deposit)));
        let last = books.claims_of(lease).last().context("nothing was claimed")?;
        assert_eq!(PRICES.cost(&last.record.total), Some(paid));
        ensure!(everybody.iter().all(|who| books.fees_of(who) == 0), "{:?}", books.fees);

        // The provider goes on: nothing of its is left to be done, so that the sums stand.
        let end = until("all transactions are in", async || {
            let end = ledger.height().await?;
            let books = ledger.read(start, end).await?;
            let after = assets(&ledger, end, &everybody).await?;
            let fees = everybody.map(|who| books.asset_fees_of(&who));
            ensure!(fees.iter().all(|fee| *fee > 0), "{fees:?}");
            let [anns, bobs, providers] = fees;
            let expected = [
                before[0] - sent - paid - anns,
                before[1] - bobs,
                before[2] + sent + paid - providers,
            ];
            ensure!(after == expected, "{after:?} should be {expected:?}");
            Ok(end)
        })
        .await?;
        assert_eq!(natives(&ledger, end, &everybody).await?, native);
        let held = ledger.asset_balance(end, ASSET, &bob.account).await?.held;
        assert_eq!(held, 0, "all that is not spent is back");

        // Where the asset can't pay, the daemon's fees are native: silence would cost its stake.
        let left = ledger.asset_balance(end, ASSET, &account).await?.free - MINIMUM;
        let left = format!("{}.{:06} {SYMBOL}", left / DOLLAR, left % DOLLAR);
        provider.user.json(&["account", "transfer", &ann.address(), &left])?;
        let lease = deploy(bob, &Service::new("native", &cluster.first), &[])?.lease;
        until("its records are claimed", async || {
            let books = ledger.read(end, ledger.height().await?).await?;
            ensure!(books.claims_of(lease).next().is_some(), "none is");
            ensure!(books.fees_of(&account) > 0, "{:?}", books.fees);
            Ok(())
        })
        .await
    });
}

/// All of the asset that accounts have.
async fn assets<const N: usize>(
    ledger: &Ledger,
    block: u32,
    accounts: &[AccountBytes; N],
) -> Result<[Balance; N]> {
    let mut found = [0; N];
    for (found, account) in found.iter_mut().zip(accounts) {
        *found = total(ledger.asset_balance(block, ASSET, account).await?);
    }
    Ok(found)
}

/// All native money that accounts have.
async fn natives<const N: usize>(
    ledger: &Ledger,
    block: u32,
    accounts: &[AccountBytes; N],
) -> Result<[Balance; N]> {
    let mut found = [0; N];
    for (found, account) in found.iter_mut().zip(accounts) {
        *found = total(ledger.balance(block, account).await?);
    }
    Ok(found)
}

async fn give(chain: &ChainClient, to: AccountBytes, amount: Balance) -> Result<()> {
    chain.submit(&dev::alice(), Call::TransferAsset { asset: ASSET, to, amount }).await?;
    Ok(())
}

/// Alice registers an asset, the committee admits it, and Alice makes a pool of it.
async fn register(ledger: &Ledger) -> Result<()> {
    let alice = dev::alice();
    let id = || Value::u128(ASSET.into());
    let account = || Value::from_bytes(dev::alice().public_key().0);
    let address = || Value::unnamed_variant("Id", [account()]);
    let native = || Value::unnamed_variant("Native", []);
    let asset = || Value::unnamed_variant("Registered", [id()]);
    let tx = |pallet: &str, name: &str, args: Vec<Value>| dynamic::tx(pallet, name, args);
    let decimals = || Value::u128(6);
    let symbol = || Value::from_bytes(SYMBOL);
    let created = vec![id(), address(), Value::u128(MINIMUM)];
    send(ledger, &alice, &tx("Assets", "create", created)).await?;
    let named = vec![id(), Value::from_bytes("Test dollar"), symbol(), decimals()];
    send(ledger, &alice, &tx("Assets", "set_metadata", named)).await?;
    let admission = Value::named_variant(
        "admit",
        [
            ("asset", id()),
            ("symbol", symbol()),
            ("decimals", decimals()),
            ("deposit_min", Value::u128(DOLLAR / 10)),
        ],
    );
    let motion = Value::unnamed_variant("Money", [admission]);
    // One vote is enough for a committee of one: it is carried out at once.
    let propose = dynamic::tx("TechnicalCommittee", "propose", (1_u32, motion, 1_000_u32));
    send(ledger, &alice, &propose).await?;
    let minted = vec![id(), address(), Value::u128(1_000_000 * DOLLAR)];
    send(ledger, &alice, &tx("Assets", "mint", minted)).await?;
    send(ledger, &alice, &tx("AssetConversion", "create_pool", vec![native(), asset()])).await?;
    let liquidity = vec![
        native(),
        asset(),
        Value::u128(100_000 * CASE),
        Value::u128(10_000 * DOLLAR),
        Value::u128(1),
        Value::u128(1),
        account(),
    ];
    send(ledger, &alice, &tx("AssetConversion", "add_liquidity", liquidity)).await
}

async fn send(ledger: &Ledger, signer: &Keypair, call: &impl Payload) -> Result<()> {
    let mut transactions = ledger.api.tx().await?;
    let progress = transactions.sign_and_submit_then_watch_default(call, signer).await?;
    progress.wait_for_finalized_success().await?;
    Ok(())
}
