//! Challenges: a daemon answers by itself, and silence costs its stake without its help.

use anyhow::{Context as _, Result, ensure};
use casemate_client::chain::{ChainClient, LeaseView};
use casemate_primitives::{Balance, CASE, LeaseId};
use casemate_tests::{Options, Service, User, until, with_cluster};

use crate::common::{amount, deploy, total};

/// Of all stake, for each challenge that is lost.
const SLASHED_PERCENT: Balance = 2;
/// Of what is slashed, for the challenger, while its deposit was more.
const REWARDED_PERCENT: Balance = 20;

/// Waits until the chain has the head of a log with something in it.
async fn logged(chain: &ChainClient, lease: LeaseId) -> Result<LeaseView> {
    until("a record with a log is claimed", async || {
        let view = chain.lease(lease).await?.context("the lease is gone")?;
        let agent = view.agents.first().context("no agent is activated")?;
        ensure!(agent.log.chunks > 0, "no chunk yet: {agent:?}");
        Ok(view)
    })
    .await
}

#[test]
fn a_daemon_answers_challenges_by_itself_and_gets_the_deposits() {
    with_cluster(Options::new(1, &["ann", "carol"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        let (ann, carol) = (&cluster.publishers[0], &cluster.publishers[1]);
        let account = cluster.providers[0].account();
        let start = ledger.height().await?;
        let providers_before = total(ledger.balance(start, &account).await?);
        let carols_before = total(ledger.balance(start, &carol.account).await?);
        let lease = deploy(ann, &Service::new("book", &cluster.first), &[])?.lease;
        logged(&chain, lease).await?;

        // A stranger asks by number, the publisher by name.
        let number = lease.to_string();
        let asked = carol.json(&["challenge", "evidence", &number, "--wait"])?;
        ensure!(asked["outcome"] == "answered" && asked["kind"] == "evidence", "{asked}");
        assert_eq!(amount(&asked, "deposit")?, CASE);
        let asked = carol.json(&["challenge", "log", &number, "--chunk", "0", "--wait"])?;
        ensure!(asked["outcome"] == "answered" && asked["chunk"] == 0, "{asked}");
        let asked = ann.json(&["challenge", "log", "book", "--chunk", "0", "--wait"])?;
        ensure!(asked["outcome"] == "answered", "{asked}");
        let open = carol.json(&["challenge", "list"])?;
        assert_eq!(open["challenges"].as_array().map(Vec::len), Some(0), "{open}");

        // What was asked while the daemon was dead is answered when it is back.
        cluster.providers[0].kill()?;
        let asked = carol.json(&["challenge", "log", &number, "--chunk", "0"])?;
        ensure!(asked["outcome"].is_null(), "{asked}");
        cluster.providers[0].start()?;
        until("it is answered", async || {
            let open = chain.challenges_of(&account).await?;
            ensure!(open.challenges.is_empty(), "{open:?}");
            Ok(())
        })
        .await?;

        // All the deposits are the provider's, to the unit, and nothing was slashed.
        let end = ledger.height().await?;
        let books = ledger.read(start, end).await?;
        let providers = total(ledger.balance(end, &account).await?);
        let paid_out: Balance = books.paid_out.values().sum();
        assert_eq!(providers + books.fees_of(&account), providers_before + paid_out + 4 * CASE);
        let carols = ledger.balance(end, &carol.account).await?;
        assert_eq!(carols.held, 0);
        assert_eq!(carols.free + books.fees_of(&carol.account) + 3 * CASE, carols_before);
        let stake = chain.provider(&account).await?.context("it is registered")?.stake;
        assert_eq!(stake, 100 * CASE);

        // What makes no sense is refused, with what to do next.
        let (ann, carol) = (&cluster.publishers[0], &cluster.publishers[1]);
        let beyond = carol.run(&["challenge", "log", &number, "--chunk", "1000000"])?;
        beyond.refuses(&["Proofs.IndexBeyondEnd"])?;
        let little = ["challenge", "evidence", &number, "--deposit-max", "0.5 CASE"];
        carol.run(&little)?.refuses(&["the deposit is 1 CASE", "--deposit-max"])?;
        carol.run(&["challenge", "evidence", "77"])?.refuses(&["nobody is known"])?;
        carol
            .run(&["challenge", "evidence", &number, "--replica", "5"])?
            .refuses(&["NotAttested"])?;
        let own = cluster.providers[0].user.run(&["challenge", "evidence", &number])?;
        own.refuses(&["Proofs.OwnProvider"])?;
        carol.run(&["challenge", "conclude", "0"])?.refuses(&["no open challenge 0"])?;
        ann.json(&["stop", "book", "--wait"])?;
        // Closed, or forgotten already.
        carol.run(&["challenge", "evidence", &number])?.refuses(&[])?;
        Ok(())
    });
}

#[test]
fn a_provider_that_has_lost_a_log_or_is_silent_is_slashed_by_anyone_s_one_call() {
    with_cluster(Options::new(1, &["ann", "carol", "dan"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        // Claims are not final for an hour.
        let provider = &mut cluster.providers[0];
        provider.edit_config(|text| text.replace("dispute = \"0s\"", "dispute = \"1h\""))?;
        provider.kill()?;
        provider.start()?;
        provider.ready().await?;
        let account = provider.account();
        let data = provider.data_dir().join("spool.db");
        let (ann, carol, dan) =
            (&cluster.publishers[0], &cluster.publishers[1], &cluster.publishers[2]);
        let lease = deploy(ann, &Service::new("book", &cluster.first), &[])?.lease;
        let number = lease.to_string();
        logged(&chain, lease).await?;

        // The disk has lost what the pod wrote.
        let spool = rusqlite::Connection::open(&data)?;
        spool.busy_timeout(std::time::Duration::from_secs(30))?;
        spool.execute("UPDATE log_chunks SET body = NULL", [])?;
        drop(spool);
        let lost = carol.json(&["challenge", "log", &number, "--chunk", "0"])?;
        let lost = lost["challenge"].as_u64().context("no number")?.to_string();
        let early = dan.run(&["challenge", "conclude", &lost])?;
        early.refuses(&["may still be answered", "until block"])?;
        let twice = dan.run(&["challenge", "log", &number, "--chunk", "0"])?;
        twice.refuses(&["asked for already", &format!("challenge {lost}")])?;

        is_over(dan, &lost).await?;
        // Nothing else is claimed while we look at the money.
        cluster.providers[0].kill()?;
        let (before, stake) = look(&chain, lease, &account).await?;
        let open: Balance = before.open.iter().map(|period| period.amount).sum();
        ensure!(open > 0, "nothing would be given back: {before:?}");
        let carols_before = chain.balance(&cluster.publishers[1].account).await?;
        let (carol, dan) = (&cluster.publishers[1], &cluster.publishers[2]);
        let concluded = dan.json(&["challenge", "conclude", &lost])?;
        ensure!(concluded["conclusion"] == "lost", "{concluded}");
        let slashed = amount(&concluded, "slashed")?;
        let rewarded = amount(&concluded, "rewarded")?;
        assert_eq!(slashed, stake * SLASHED_PERCENT / 100);
        assert_eq!(rewarded, slashed * REWARDED_PERCENT / 100);
        assert_eq!(amount(&concluded, "returned")?, open);
        let (after, stake) = look(&chain, lease, &account).await?;
        assert_eq!(after.escrow, before.escrow + open, "the publisher has its money back");
        ensure!(after.open.is_empty() && after.final_due == 0, "{after:?}");
        assert_eq!(stake, 100 * CASE - slashed);
        let carols = chain.balance(&carol.account).await?;
        assert_eq!((carols.free, carols.held), (carols_before.free + CASE + rewarded, 0));

        // The daemon is dead: who asks for evidence gets none.
        let silent = carol.json(&["challenge", "evidence", &number])?;
        let silent = silent["challenge"].as_u64().context("no number")?.to_string();
        is_over(dan, &silent).await?;
        let waited = carol.run(&["challenge", "list"])?;
        ensure!(waited.stdout.contains("(over)"), "{}", waited.text());
        let concluded = dan.json(&["challenge", "conclude", &silent])?;
        assert_eq!(amount(&concluded, "slashed")?, stake * SLASHED_PERCENT / 100, "{concluded}");
        assert_eq!(amount(&concluded, "returned")?, 0, "{concluded}");
        dan.run(&["challenge", "conclude", &silent])?.refuses(&["no open challenge"])?;

        // It comes back poorer, and goes on.
        cluster.providers[0].start()?;
        until("it claims again", async || {
            let view = chain.lease(lease).await?.context("the lease is gone")?;
            ensure!(view.earned() > 0, "{view:?}");
            Ok(())
        })
        .await
    });
}

/// Waits until the window of a challenge is over.
async fn is_over(user: &User, challenge: &str) -> Result<()> {
    until("the window is over", async || {
        let open = user.json(&["challenge", "list"])?;
        let open = open["challenges"].as_array().context("no list")?;
        let found = open.iter().find(|one| one["challenge"].to_string() == challenge);
        let found = found.with_context(|| format!("{challenge} is not open"))?;
        ensure!(found["isOver"] == true, "{found}");
        Ok(())
    })
    .await
}

/// A lease, and its provider's stake.
async fn look(
    chain: &ChainClient,
    lease: LeaseId,
    provider: &[u8; 32],
) -> Result<(LeaseView, Balance)> {
    let view = chain.lease(lease).await?.context("the lease is gone")?;
    let stake = chain.provider(provider).await?.context("it is registered")?.stake;
    Ok((view, stake))
}
