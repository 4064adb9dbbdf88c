//! A new runtime without a fork.

use anyhow::{Context as _, Result, ensure};
use casemate_primitives::blake2_256;
use casemate_tests::{
    Ledger, Options, PRICES, Rpc, Service, compress, decompress, until, with_cluster,
    with_spec_version,
};
use subxt::{
    dynamic::{self, At as _, Value},
    tx::Payload,
};
use subxt_signer::sr25519::dev;

use crate::common::{amount, answers, deploy, paid_more, settled_down};

#[test]
fn runtime_upgrade_without_a_fork() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let rpc = cluster.node.rpc().await?;
        let ledger = cluster.ledger().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let deployed = deploy(ann, &Service::new("book", &cluster.first), &[])?;
        let lease = deployed.lease;
        paid_more(&chain, lease, 0).await?;
        let before = settled_down(provider, ann, &chain, lease, 1).await?;
        let (height, hash) = rpc.finalised().await?;

        let old = u32::try_from(rpc.spec_version().await?)?;
        let code = ledger.api.at_current_block().await?.storage().runtime_wasm_code().await?;
        let old_code = decompress(&code)?;
        let code = compress(&with_spec_version(&old_code, old + 1)?)?;
        authorise(&ledger, blake2_256(&code)).await?;
        // From here on it is anybody's to bring the code that was agreed on, and no other.
        let other = compress(&with_spec_version(&old_code, old + 2)?)?;
        let apply = |code: Vec<u8>| dynamic::tx("System", "apply_authorized_upgrade", (code,));
        let refused = send(&ledger, &apply(other)).await;
        ensure!(refused.is_err(), "code that nobody agreed on was taken");
        assert_eq!(rpc.spec_version().await?, u64::from(old));
        send(&ledger, &apply(code)).await?;

        until("the chain runs the new runtime", async || {
            let told = rpc.spec_version().await?;
            ensure!(told == u64::from(old + 1), "the node tells {told}");
            assert_eq!(own_version(&rpc).await?, old + 1, "what the runtime says of itself");
            assert_eq!(last_upgrade(&ledger).await?, u128::from(old + 1));
            Ok(())
        })
        .await?;

        // The same chain goes on, and with it the lease that was open before.
        let (now, _) = rpc.finalised().await?;
        until("blocks go on", async || {
            let (finalised, _) = rpc.finalised().await?;
            ensure!(finalised >= now + 3, "block {finalised} is the newest final one");
            Ok(())
        })
        .await?;
        assert_eq!(rpc.hash(height).await?, hash, "the blocks before are the same");
        let paid = chain.lease(lease).await?.context("the lease is gone")?.earned();
        let paid = paid_more(&chain, lease, paid).await?;
        paid_more(&chain, lease, paid).await?;
        answers(provider, "book.localhost").await?;
        let after = settled_down(provider, ann, &chain, lease, 1).await?;
        assert_eq!(after.pods[0].agent_key, before.pods[0].agent_key, "the very same pod");

        // Transactions of the command line are signed for the new runtime.
        ann.json(&["fund", "book", "1 CASE"])?;
        let stopped = ann.json(&["stop", "book", "--wait"])?;
        let (paid, refunded) = (amount(&stopped, "paid")?, amount(&stopped, "refunded")?);
        assert_eq!(paid + refunded, deployed.deposit + casemate_primitives::CASE);
        let books = ledger.read(0, ledger.height().await?).await?;
        books.check_claims(&PRICES)?;
        assert_eq!(books.paid(lease), paid);
        Ok(())
    });
}

/// The technical committee, whose one member on a development chain is Alice, lets the root origin
/// authorise code with this hash.
async fn authorise(ledger: &Ledger, code_hash: [u8; 32]) -> Result<()> {
    let authorise = dynamic::tx("System", "authorize_upgrade", (code_hash,));
    let at = ledger.api.at_current_block().await?;
    let bytes = at.transactions().call_data(&authorise)?;
    let call = |pallet: &str, name: &str, field: &str, value: Value| {
        Value::unnamed_variant(pallet, [Value::named_variant(name, [(field, value)])])
    };
    let authorise = call("System", "authorize_upgrade", "code_hash", Value::from_bytes(code_hash));
    let call_hash = Value::from_bytes(blake2_256(&bytes));
    let motions = [
        call("Whitelist", "whitelist_call", "call_hash", call_hash),
        call("Whitelist", "dispatch_whitelisted_call_with_preimage", "call", authorise),
    ];
    for motion in motions {
        // One vote is enough for a committee of one: it is carried out at once.
        let tx = dynamic::tx("TechnicalCommittee", "propose", (1_u32, motion, 1_000_u32));
        send(ledger, &tx).await?;
    }
    Ok(())
}

async fn send(ledger: &Ledger, call: &impl Payload) -> Result<()> {
    let mut transactions = ledger.api.tx().await?;
    let progress = transactions.sign_and_submit_then_watch_default(call, &dev::alice()).await?;
    progress.wait_for_finalized_success().await?;
    Ok(())
}

/// The version that the runtime's code answers with.
async fn own_version(rpc: &Rpc) -> Result<u32> {
    let bytes = rpc.call("Core_version").await?;
    let mut bytes = bytes.as_slice();
    type Version = (String, String, u32, u32);
    let (_, _, _, spec_version) = <Version as codec::Decode>::decode(&mut bytes)?;
    Ok(spec_version)
}

/// The version of which the runtime has noted that it runs.
async fn last_upgrade(ledger: &Ledger) -> Result<u128> {
    let at = ledger.api.at_current_block().await?;
    let address = dynamic::storage::<(), Value>("System", "LastRuntimeUpgrade");
    let value = at.storage().fetch(address, ()).await?.decode()?;
    let version = value.at("spec_version").and_then(|version| {
        // A compact number is a number in some versions of the library, and holds one in others.
        version.as_u128().or_else(|| version.at(0).and_then(Value::as_u128))
    });
    version.with_context(|| format!("no version in {value}"))
}
