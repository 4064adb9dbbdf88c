//! What takes its time. `cargo xtask test` runs these beside all the others.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use casemate_client::{api::RecordEntry, records::SignedRecord};
use casemate_primitives::{Quantities, UsageRecord};
use casemate_tests::{Options, PRICES, Service, get, with_cluster};

use crate::common::{amount, deploy};

const TEN_MINUTES: u64 = 600;
/// Far fewer records than the provider keeps are signed in it.
const BETWEEN_FETCHES: Duration = Duration::from_secs(20);

#[test]
fn ten_minutes_by_the_second_cost_what_the_records_add_up_to() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
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

        // From what the publisher alone holds: every second is in one record, each record goes on
        // from the one before, and together they cost what was paid. Of a lease that is over the
        // provider keeps the last record; those that were signed since the last look may be missing.
        let genesis = chain.genesis_hash();
        let text = fs::read_to_string(&file)?;
        let mut records = Vec::new();
        for line in text.lines() {
            let entry: RecordEntry = serde_json::from_str(line)?;
            records.push(*SignedRecord::check(&entry, lease, &genesis)?.record());
        }
        records.sort_by_key(|record| record.sequence);
        let mut sum = 0;
        let mut before: Option<UsageRecord> = None;
        for (index, record) in records.iter().enumerate() {
            let total = before.map_or(Quantities::default(), |before| before.total);
            if let Some(before) = before.filter(|before| before.sequence + 1 == record.sequence) {
                assert_eq!(
                    (record.from, record.previous),
                    (before.to, before.hash()),
                    "{record:?}"
                );
            } else {
                assert!(index == 0 || index + 1 == records.len(), "no record before {record:?}");
            }
            let used = record.total.checked_sub(&total).context("a total got less")?;
            sum += PRICES.cost(&used).context("it costs too much")?;
            before = Some(*record);
            if sum == paid {
                break;
            }
        }
        let last = before.context("no record was kept")?;
        let first = records.first().context("no record was kept")?;
        assert_eq!((first.sequence, sum), (1, paid), "the records up to {}", last.sequence);
        assert!(last.running_seconds >= TEN_MINUTES, "{last:?}");
        assert_eq!(last.running_seconds, last.to - first.from, "it ran in each second");
        let quota = Quantities::quota(&resources, last.running_seconds).context("too much")?;
        assert_eq!(
            Quantities { egress_mib: 0, ingress_mib: 0, ..last.total },
            quota,
            "all seconds at the quota"
        );
        Ok(())
    });
}
