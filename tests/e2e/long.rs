//! What takes its time. `cargo xtask test` runs these beside all the others.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use casemate_client::{api::RecordEntry, records::SignedRecord};
use casemate_primitives::Quantities;
use casemate_tests::{Options, PRICES, Service, get, with_cluster};

use crate::common::{amount, deploy};

const TEN_MINUTES: u64 = 600;
/// Far fewer records than the provider keeps are signed in it.
const BETWEEN_FETCHES: Duration = Duration::from_secs(20);

#[test]
fn a_periodic_task_outlives_its_provider() {
    crate::tasks::a_periodic_task_outlives_its_provider();
}

#[test]
fn ten_minutes_by_the_second_cost_what_the_records_add_up_to() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        let start = ledger.height().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let deployed = deploy(ann, &Service::new("book", &cluster.first), &[])?;
        let lease = deployed.lease;
        let file = ann.path("records.jsonl").display().to_string();
        let number = lease.to_string();
        let fetch = || {
            let fetched = ann.run(&["lease", "records", &number, "--save", &file])?;
            ensure!(fetched.code == 0, "{}", fetched.text());
            Ok(())
        };

        // Visitors come all the time: traffic is billed, too.
        let begun = Instant::now();
        let mut fetched = begun;
        loop {
            let page = get(provider.ingress(), "book.localhost", "/")?;
            ensure!(page.status == 200, "{page:?}");
            if fetched.elapsed() >= BETWEEN_FETCHES {
                fetch()?;
                fetched = Instant::now();
                let view = chain.lease(lease).await?.context("the lease is gone")?;
                let agent = view.agents.first().context("no agent is activated")?;
                let seconds =
                    agent.claimed_total.memory_mib_seconds / u64::from(view.resources.memory_mib);
                if seconds > TEN_MINUTES {
                    break;
                }
                ensure!(
                    begun.elapsed().as_secs() < 2 * TEN_MINUTES,
                    "only {seconds} seconds are claimed after {:?}",
                    begun.elapsed()
                );
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let resources = chain.lease(lease).await?.context("the lease is gone")?.resources;
        let stopped = ann.json(&["stop", "book", "--wait"])?;
        fetch()?;
        let paid = amount(&stopped, "paid")?;
        assert_eq!(paid + amount(&stopped, "refunded")?, deployed.deposit);

        // What the publisher holds, signed by the agent: each second is charged at the quota, and each
        // record that comes right after another goes on from it. (The provider drops what it has
        // claimed but for the newest, so not all of them are held.)
        let genesis = chain.genesis_hash();
        let text = fs::read_to_string(&file)?;
        let mut records = Vec::new();
        for line in text.lines() {
            let entry: RecordEntry = serde_json::from_str(line)?;
            records.push(*SignedRecord::check(&entry, lease, &genesis)?.record());
        }
        records.sort_by_key(|record| record.sequence);
        ensure!(records.len() > 20, "only {} records are held", records.len());
        let first = records.first().context("none is held")?;
        let started = first.to - first.running_seconds;
        for record in &records {
            assert_eq!(record.running_seconds, record.to - started, "it ran in each second");
            let quota =
                Quantities::quota(&resources, record.running_seconds).context("too much")?;
            let held = Quantities { egress_mib: 0, ingress_mib: 0, ..record.total };
            assert_eq!(held, quota, "{record:?}");
        }
        for pair in records.windows(2) {
            let [before, after] = pair else { continue };
            if before.sequence + 1 == after.sequence {
                assert_eq!((after.from, after.previous), (before.to, before.hash()), "{after:?}");
            }
        }

        // What the chain was shown: each claim paid what it added to the one before, and all of them
        // together what was paid.
        let books = ledger.read(start, ledger.height().await?).await?;
        books.check_claims(&PRICES)?;
        assert_eq!(books.paid(lease), paid);
        let last = books.claims_of(lease).last().context("nothing was claimed")?.record;
        assert_eq!(PRICES.cost(&last.total), Some(paid), "to the unit");
        assert!(last.running_seconds >= TEN_MINUTES, "{last:?}");
        assert_eq!(last.running_seconds, last.to - started);
        let held = records.iter().find(|record| record.sequence == last.sequence);
        ensure!(held.is_none_or(|held| *held == last), "the publisher holds another: {held:?}");
        Ok(())
    });
}
