//! The whole road, with money counted to the unit.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use casemate_primitives::Quantities;
use casemate_tests::{Connection, Options, PRICES, Service, Settlement, get, until, with_cluster};

use crate::common::{amount, deploy, quantities, total};

#[test]
fn deploy_serve_claim_stop() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let start = ledger.height().await?;
        let anns_before = ledger.balance(start, &ann.account).await?;
        let providers_before = ledger.balance(start, &provider.account()).await?;
        ensure!(anns_before.held == 0, "{anns_before:?}");

        // Deploy: the app answers, and keeps what it is told.
        let deployed = deploy(ann, &Service::new("book", &cluster.first), &[])?;
        let lease = deployed.lease;
        let host = "book.localhost";
        let page = get(provider.ingress(), host, "/")?;
        ensure!(page.status == 200, "{page:?}");
        let form = "name=Ann&message=The+first+entry";
        let posted = Connection::open(provider.ingress())?.request(host, "/entries", Some(form))?;
        ensure!(posted.status == 303, "{posted:?}");
        let page = get(provider.ingress(), host, "/")?;
        ensure!(page.body.contains("The first entry"), "{page:?}");

        // Logs: what the app has written, and nothing is missing.
        until("the logs tell of the request", async || {
            let logs = ann.run(&["logs", "book", "--container", "guestbook"])?;
            ensure!(logs.code == 0, "{}", logs.text());
            ensure!(logs.stdout.contains("listening on"), "{}", logs.text());
            ensure!(logs.stdout.contains("POST /entries 303"), "{}", logs.text());
            Ok(())
        })
        .await?;

        // Claims: the chain was told what the provider's API showed of the agent's records, and
        // pays exactly that.
        let client = provider.client(ann, &chain)?;
        let mut shown: BTreeMap<u64, Quantities> = BTreeMap::new();
        let mut compared = Vec::new();
        until("three claims of records that were shown are paid", async || {
            let status = client.lease(lease).await?;
            let pod = status.pods.first().context("no pod is shown")?;
            if let Some(usage) = pod.usage {
                shown.insert(usage.sequence, quantities(usage.total));
            }
            let view = chain.lease(lease).await?.context("the lease is gone")?;
            let agent = view.agents.first().context("no agent is activated")?;
            ensure!(Some(agent.key) == pod.agent_key.map(|key| key.0), "another agent is paid");
            if let Some(total) = shown.get(&agent.sequence)
                && !compared.contains(&agent.sequence)
            {
                assert_eq!(agent.claimed_total, *total, "record {}", agent.sequence);
                assert_eq!(Some(view.earned()), PRICES.cost(total), "record {}", agent.sequence);
                assert_eq!(view.escrow + view.earned(), deployed.deposit);
                compared.push(agent.sequence);
            }
            ensure!(compared.len() >= 3, "{compared:?} so far");
            Ok(())
        })
        .await?;

        // The provider has what was paid, less its own fees.
        let middle = ledger.height().await?;
        let books = ledger.read(start, middle).await?;
        let providers = ledger.balance(middle, &provider.account()).await?;
        let fees = books.fees_of(&provider.account());
        let paid_out = books.paid_out.get(&lease).copied().unwrap_or(0);
        assert_eq!(total(providers) + fees, total(providers_before) + paid_out);
        ensure!(books.paid(lease) >= paid_out && fees > 0, "{books:?}");

        // Stop: the rest comes back, to the unit.
        let stopped = ann.json(&["stop", "book", "--wait"])?;
        ensure!(stopped["state"] == "settled", "{stopped}");
        let (paid, refunded) = (amount(&stopped, "paid")?, amount(&stopped, "refunded")?);
        assert_eq!(paid + refunded, deployed.deposit);
        ensure!(chain.lease(lease).await?.is_none(), "the lease is still there");

        let end = ledger.height().await?;
        let books = ledger.read(start, end).await?;
        books.check_claims(&PRICES)?;
        assert_eq!(books.settlement(lease), Some(Settlement { lease, paid, refunded }));
        assert_eq!(books.paid(lease), paid);
        assert_eq!(books.paid_out.get(&lease), Some(&paid), "all of it went out");
        assert_eq!(books.deposits.get(&lease), Some(&deployed.deposit));
        let claimed = last_total(&books, lease)?;
        assert_eq!(PRICES.cost(&claimed), Some(paid), "paid is what the last record costs");
        let anns = ledger.balance(end, &ann.account).await?;
        assert_eq!(anns.held, 0, "all deposits are back");
        assert_eq!(total(anns) + books.fees_of(&ann.account) + paid, total(anns_before));
        let providers = ledger.balance(end, &provider.account()).await?;
        let fees = books.fees_of(&provider.account());
        assert_eq!(total(providers) + fees, total(providers_before) + paid);

        // Nothing runs any more.
        until("the pod is gone", async || provider.traces().exactly(&BTreeMap::new())).await?;
        let page = get(provider.ingress(), host, "/")?;
        ensure!(page.status == 404, "{page:?}");
        Ok(())
    });
}

/// Total of the newest record that was paid; one agent has signed all.
fn last_total(
    books: &casemate_tests::Books,
    lease: casemate_primitives::LeaseId,
) -> Result<Quantities> {
    let last = books.claims_of(lease).last().context("nothing was claimed")?;
    ensure!(books.claims_of(lease).all(|claim| claim.agent == last.agent), "{books:?}");
    Ok(last.record.total)
}
