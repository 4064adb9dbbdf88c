//! What a publisher can do when a lease is not as agreed: contests, proofs, evictions, new prices; all by
//! the command line, and each sum to the unit.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use casemate_attestation::{Binding, Purpose};
use casemate_client::{
    api::{Hex, RecordEntry},
    chain::{AttestedKeys, Call, ChainClient, LeaseView},
};
use casemate_primitives::{Balance, CASE, LeaseId, Prices, Quantities, UsageRecord};
use casemate_software_tee::{
    client::{Guest, Launch},
    wire::Kind,
};
use casemate_tests::{Cluster, Options, PRICES, Provider, Service, User, until, with_cluster};
use codec::Encode as _;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::Value;

use crate::{
    attacks::recorded,
    common::{amount, deploy, paid_more, total},
};

/// Starts a provider again, with other terms.
async fn with_terms(provider: &mut Provider, terms: &[(&str, &str)]) -> Result<()> {
    provider.stop()?;
    provider.edit_config(|mut text| {
        for (from, to) in terms {
            assert!(text.contains(from), "{from} is not in {text}");
            text = text.replacen(from, to, 1);
        }
        text
    })?;
    provider.start()?;
    provider.ready().await
}

const LONG_DISPUTE: (&str, &str) = ("dispute = \"0s\"", "dispute = \"1h\"");

/// A lease as it is when its provider is gone: nobody changes it any more.
async fn frozen(chain: &ChainClient, lease: LeaseId) -> Result<LeaseView> {
    let mut last = chain.lease(lease).await?;
    until("no call of the provider is under way", async || {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = chain.lease(lease).await?;
        let is_same = now == last;
        last = now;
        ensure!(is_same, "the lease has changed");
        Ok(())
    })
    .await?;
    last.context("the lease is gone")
}

fn open(view: &LeaseView) -> Balance {
    view.open.iter().map(|period| period.amount).sum()
}

/// Gives a user the key of the committee's only member.
fn as_arbiter(user: &User, args: &[&str]) -> Result<Value> {
    let imported = user.run(&["key", "import", "arbiter", "--dev-uri", "//Alice"])?;
    ensure!(imported.code == 0 || imported.stderr.contains("arbiter"), "{}", imported.text());
    user.json(&[&["--account", "arbiter"], args].concat())
}

#[test]
fn contested_claims_go_back_when_arbiters_say_so() {
    with_cluster(Options::new(1, &["ann", "eve"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        let before = ledger.height().await?;
        with_terms(&mut cluster.providers[0], &[LONG_DISPUTE]).await?;
        let Cluster { publishers, providers, first, .. } = cluster;
        let ([ann, eve], provider) = (&publishers[..], &mut providers[0]) else {
            anyhow::bail!("two publishers were asked for");
        };
        let lease = deploy(ann, &Service::new("book", first), &[])?.lease;
        let number = lease.to_string();
        paid_more(&chain, lease, 0).await?;
        provider.kill()?;
        let view = frozen(&chain, lease).await?;
        ensure!(view.final_due == 0 && view.paid == 0 && open(&view) > 0, "{view:?}");

        // A stranger may not, and an arbiter has nothing to decide yet.
        eve.run(&["lease", "contest", &number])?.refuses(&["only its publisher may contest"])?;
        let shown = ann.json(&["lease", "show", "book"])?;
        assert_eq!(amount(&shown, "open")?, open(&view));
        assert_eq!(shown["contested"], Value::Null);

        let contested = ann.json(&["lease", "contest", "book"])?;
        assert_eq!(amount(&contested["contested"], "amount")?, open(&view));
        // A tenth is less than the least deposit.
        assert_eq!(amount(&contested["contested"], "deposit")?, CASE);
        ann.run(&["lease", "contest", "book"])?.refuses(&["contested already"])?;
        ann.run(&["lease", "expire-contest", "book"])?.refuses(&["have time left"])?;
        // Who is no arbiter decides nothing.
        let decide = ["arbiter", "decide", &number, "--to-publisher", "100%"];
        eve.run(&decide)?.refuses(&["TechnicalCommittee.NotMember"])?;
        let decided = as_arbiter(eve, &decide)?;
        assert_eq!(
            (&decided["decided"], amount(&decided, "refunded")?),
            (&true.into(), open(&view))
        );

        let after = chain.lease(lease).await?.context("the lease lives on")?;
        assert_eq!(after.escrow, view.escrow + open(&view));
        assert_eq!((open(&after), after.contested, after.final_due), (0, 0, 0));
        // Nothing is missing but the fees: all of it is the publisher's again, held or free.
        let height = ledger.height().await?;
        let fees = ledger.read(before, height).await?.fees_of(&ann.account);
        let had = total(ledger.balance(before, &ann.account).await?);
        assert_eq!(total(ledger.balance(height, &ann.account).await?), had - fees);

        // It is told of the provider from now on.
        let account = provider.user.address();
        let reputation = ann.json(&["reputation", &account])?;
        assert_eq!(reputation["provider"]["contestsLost"], 1, "{reputation}");
        Ok(())
    });
}

#[test]
fn two_records_of_one_agent_that_contradict_each_other_give_everything_back() {
    with_cluster(Options::new(1, &["ann", "eve"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        let before = ledger.height().await?;
        // So long the chain knows the lease after its end.
        let retention = ("retention = \"0s\"", "retention = \"1h\"");
        with_terms(&mut cluster.providers[0], &[LONG_DISPUTE, retention]).await?;
        let lease =
            deploy(&cluster.publishers[0], &Service::new("book", &cluster.first), &[])?.lease;
        paid_more(&chain, lease, 0).await?;
        cluster.providers[0].stop()?;
        let view = frozen(&chain, lease).await?;

        // The owner of the software TEE attests an agent of his own, whose key he has.
        let key = SigningKey::from_bytes(&[7; 32]);
        attest(cluster, &chain, &view, before, &key).await?;
        let attested = chain.lease(lease).await?.context("the lease lives")?;
        ensure!(attested.agents[0].key == key.verifying_key().to_bytes(), "{attested:?}");
        let from = chain.time().await?;
        let record = until("two seconds pass", async || {
            // Each transaction makes a block, and so moves the clock on.
            let alice = subxt_signer::sr25519::dev::alice();
            let to = cluster.publishers[1].account;
            chain.submit(&alice, Call::Transfer { to, amount: CASE }).await?;
            let now = chain.time().await?;
            ensure!(now >= from + 2, "it is still {now}");
            Ok(UsageRecord {
                lease,
                replica: 0,
                sequence: 1,
                from,
                to: from + 2,
                running_seconds: 2,
                total: Quantities::quota(&view.resources, 2).context("a small quota")?,
                ..UsageRecord::default()
            })
        })
        .await?;
        let genesis = chain.genesis_hash();
        let sign = |record: &UsageRecord| key.sign(&record.signing_payload(&genesis)).to_bytes();
        let claim = Call::Claim { record, signature: sign(&record) };
        chain.submit(&cluster.providers[0].user.key, claim).await?;
        let claimed = chain.lease(lease).await?.context("the lease lives")?;
        ensure!(open(&claimed) > open(&view), "{claimed:?}");

        // The same number, another sum: what it shows to somebody else.
        let other = UsageRecord {
            running_seconds: 1,
            total: Quantities::quota(&view.resources, 1).context("a small quota")?,
            ..record
        };
        let entry = |record: &UsageRecord| RecordEntry {
            key: Hex(key.verifying_key().to_bytes()),
            record: Hex(record.encode()),
            signature: Hex(sign(record)),
        };
        let proof = |second: &UsageRecord| {
            serde_json::json!({
                "chain": Hex(genesis), "lease": lease, "replica": 0,
                "key": Hex(key.verifying_key().to_bytes()), "why": "forked",
                "first": entry(&record), "second": entry(second),
            })
        };
        let (ann, eve) = (&cluster.publishers[0], &cluster.publishers[1]);
        let number = lease.to_string();
        let good = eve.write("same.json", &proof(&record).to_string())?;
        eve.run(&["lease", "misconduct", &number, "--evidence", &good])?
            .refuses(&["both records can be true"])?;
        let file = eve.write("proof.json", &proof(&other).to_string())?;
        let proved = eve.json(&["lease", "misconduct", &number, "--evidence", &file])?;
        assert_eq!(amount(&proved, "refunded")?, open(&claimed));

        let shown = eve.json(&["lease", "show", &number])?;
        assert_eq!((&shown["state"], &shown["endReason"]), (&"ended".into(), &"misconduct".into()));
        assert_eq!((amount(&shown, "escrow")?, amount(&shown, "open")?), (0, 0));
        // All that was ever put in is back, and the provider was paid nothing.
        let height = ledger.height().await?;
        let fees = ledger.read(before, height).await?.fees_of(&ann.account);
        let had = total(ledger.balance(before, &ann.account).await?);
        assert_eq!(total(ledger.balance(height, &ann.account).await?), had - fees);
        eve.run(&["lease", "misconduct", &number, "--evidence", &file])?.refuses(&[])
    });
}

/// Has the chain verify evidence of a guest that the test has launched, over a key of the test's.
async fn attest(
    cluster: &Cluster,
    chain: &ChainClient,
    view: &LeaseView,
    before: u32,
    key: &SigningKey,
) -> Result<()> {
    let ledger = casemate_tests::Ledger::connect(&cluster.node.url()).await?;
    let daemon = recorded(&ledger, before, view.id, 0).await?;
    let control = cluster.software_tee.control_client();
    let guest = control.launch(&Launch {
        id: "accomplice",
        kind: Kind::IntelTdx,
        version: None,
        agent: &cluster.binaries.agent,
        root_fs: None,
        manifest_hash: &view.manifest_hash,
        owner: None,
        misbehave: &[],
    })?;
    let block = ledger.height().await?;
    let nonce = ledger.api.at_block(block).await?.block_hash().0;
    let keys = AttestedKeys {
        agent: key.verifying_key().to_bytes(),
        hpke: [4; 32],
        tls_spki_sha256: [5; 32],
    };
    let binding = Binding {
        purpose: Purpose::Registration,
        genesis_hash: chain.genesis_hash(),
        lease: view.id,
        replica: 0,
        manifest_hash: view.manifest_hash,
        nonce,
        agent_key: keys.agent,
        hpke_key: keys.hpke,
        tls_spki_sha256: keys.tls_spki_sha256,
        channel: [0; 32],
        gpu_evidence: [0; 32],
    };
    let evidence = Guest::new(guest.socket).evidence(&binding.report_data())?.evidence;
    control.destroy("accomplice")?;
    let submission = casemate_client::chain::Submission { evidence, ..daemon.submission };
    let signer = &cluster.providers[0].user.key;
    chain.attest(signer, view.id, 0, keys, block, submission).await?;
    Ok(())
}

#[test]
fn a_killed_provider_is_evicted_by_anyone_in_one_transaction_and_pays_for_it() {
    with_cluster(Options::new(1, &["ann", "eve"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        let terms =
            [("silence = \"0s\"", "silence = \"10s\""), ("notice = \"1m\"", "notice = \"0s\"")];
        with_terms(&mut cluster.providers[0], &terms).await?;
        let (ann, eve) = (&cluster.publishers[0], &cluster.publishers[1]);
        let lease = deploy(ann, &Service::new("book", &cluster.first), &[])?.lease;
        let number = lease.to_string();
        paid_more(&chain, lease, 0).await?;
        eve.run(&["lease", "evict", &number])?.refuses(&["may be silent for 10s"])?;
        cluster.providers[0].kill()?;
        let view = frozen(&chain, lease).await?;
        let account = cluster.providers[0].account();
        let stake = chain.provider(&account).await?.context("it is registered")?.stake;
        let before = ledger.height().await?;

        let evicted =
            until("the provider can be evicted", async || eve.json(&["lease", "evict", &number]))
                .await?;
        // The price of the ten seconds that it was allowed, half of it for the publisher.
        let penalty = 10 * PRICES.per_second(&view.resources).context("a small price")?;
        assert_eq!(amount(&evicted, "slashed")?, penalty);
        assert_eq!(amount(&evicted, "rewarded")?, penalty / 2);
        assert_eq!(amount(&evicted, "refunded")?, view.escrow);
        ensure!(chain.lease(lease).await?.is_none(), "it is settled by the same transaction");
        let left = chain.provider(&account).await?.context("it is registered")?.stake;
        assert_eq!(left, stake - penalty);

        // The publisher has done nothing, and has all of it.
        let height = ledger.height().await?;
        let (had, has) = (
            ledger.balance(before, &ann.account).await?,
            ledger.balance(height, &ann.account).await?,
        );
        let paid = ledger.read(before, height).await?.paid_out;
        let paid = paid.get(&lease).copied().unwrap_or(0);
        assert_eq!(total(has), total(had) + penalty / 2 - paid);
        assert_eq!(has.free, had.free + view.escrow + penalty / 2);
        let reputation = ann.json(&["reputation", &cluster.providers[0].user.address()])?;
        assert_eq!(reputation["provider"]["leasesBroken"], 1, "{reputation}");
        eve.run(&["lease", "evict", &number])?.refuses(&[])
    });
}

#[test]
fn new_prices_hold_from_their_block_on_and_the_sum_is_exact() {
    with_cluster(Options::new(1, &["ann", "eve"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        let before = ledger.height().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let lease = deploy(ann, &Service::new("book", &cluster.first), &[])?.lease;
        paid_more(&chain, lease, 0).await?;

        let number = lease.to_string();
        // Below its list the daemon signs nothing, nor for anybody else.
        ann.run(&["lease", "amend", "book", "--price-cpu", "1 planck"])?
            .refuses(&["below the list price of 1009"])?;
        cluster.publishers[1]
            .run(&["lease", "amend", &number, "--price-cpu", "1 CASE"])?
            .refuses(&["belongs to"])?;
        ann.run(&["lease", "amend", "book", "--price-cpu", "1 CASE"])?
            .refuses(&["may spend", "--spend-rate"])?;
        ann.run(&["lease", "amend", "book"])?.refuses(&["exactly these prices"])?;

        let dearer = Prices { cpu_millicore_second: 2_003, ..PRICES };
        let amended = ann.json(&["lease", "amend", "book", "--price-cpu", "2003 planck"])?;
        let resources = chain.lease(lease).await?.context("the lease lives")?.resources;
        let per_second = dearer.per_second(&resources).context("a small price")?;
        assert_eq!(amount(&amended, "pricePerSecond")?, per_second);
        let details = chain.lease_details(lease).await?.context("the lease lives")?;
        let changed_at = details.before.context("the old prices are remembered")?.until;
        assert_eq!(details.terms.prices, dearer);
        until("it was paid at the new prices twice", async || {
            let books = ledger.read(before, ledger.height().await?).await?;
            let newer = books.claims_of(lease).filter(|claim| claim.record.from >= changed_at);
            ensure!(newer.count() >= 2, "not yet");
            Ok(())
        })
        .await?;

        // The operator signs by hand what the daemon does not, and the publisher takes it.
        let cheap = ["provider", "amend", &number, "--price-cpu", "5 planck"];
        let file = provider.user.json(&cheap)?;
        let file = file["file"].as_str().context("it names the file")?;
        let file = provider.user.path(file).display().to_string();
        let shown = ann.json(&["lease", "amend", "book", "--signed", &file, "--dry-run"])?;
        assert_eq!(shown["block"], Value::Null);
        until("the older prices are claimed", async || {
            ann.json(&["lease", "amend", "book", "--signed", &file])
        })
        .await?;
        let cheaper = Prices { cpu_millicore_second: 5, ..PRICES };
        let details = chain.lease_details(lease).await?.context("the lease lives")?;
        let again_at = details.before.context("the old prices are remembered")?.until;
        assert_eq!(details.terms.prices, cheaper);
        until("it was paid at the last prices", async || {
            let books = ledger.read(before, ledger.height().await?).await?;
            let newer = books.claims_of(lease).filter(|claim| claim.record.from >= again_at);
            ensure!(newer.count() >= 2, "not yet");
            Ok(())
        })
        .await?;
        ann.json(&["stop", "book", "--wait"])?;

        let books = ledger.read(before, ledger.height().await?).await?;
        let mut last = (0, Quantities::default());
        let mut kinds = [0; 3];
        for claim in books.claims_of(lease) {
            let record = claim.record;
            let used = record.total.checked_sub(&last.1).context("totals went back")?;
            let cost = |prices: &Prices| prices.cost(&used).context("the cost overflows");
            // What reaches over a change costs the lesser of both.
            let due = if record.to <= changed_at {
                kinds[0] += 1;
                cost(&PRICES)?
            } else if last.0 < changed_at {
                cost(&PRICES)?.min(cost(&dearer)?)
            } else if record.to <= again_at {
                kinds[1] += 1;
                cost(&dearer)?
            } else if last.0 < again_at {
                cost(&dearer)?.min(cost(&cheaper)?)
            } else {
                kinds[2] += 1;
                cost(&cheaper)?
            };
            assert_eq!((claim.due, claim.paid), (due, due), "{claim:?}");
            last = (record.to, record.total);
        }
        ensure!(kinds.iter().all(|count| *count > 0), "each price was paid: {kinds:?}");
        let settled = books.settlement(lease).context("it is settled")?;
        assert_eq!(settled.paid, books.paid(lease));
        Ok(())
    });
}
