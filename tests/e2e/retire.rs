//! A provider leaves.

use anyhow::{Context as _, ensure};
use casemate_tests::{Options, Service, until, with_cluster};

use crate::common::{deploy, paid_more};

#[test]
fn retire_is_refused_while_a_lease_lives() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let deployed = deploy(ann, &Service::new("book", &cluster.first), &[])?;
        paid_more(&chain, deployed.lease, 0).await?;

        let refused = provider.user.run(&["provider", "retire"])?;
        refused.refuses(&["Providers.LeasesLive", "close them first"])?;
        let view = chain.provider(&provider.account()).await?.context("it is registered")?;
        ensure!(view.live_leases == 1 && view.unbonding.is_empty(), "{view:?}");
        paid_more(&chain, deployed.lease, 0).await?;

        ann.json(&["stop", "book", "--wait"])?;
        provider.user.json(&["provider", "retire"])?;
        let view = chain.provider(&provider.account()).await?.context("its stake unbonds")?;
        let unbonding: u128 = view.unbonding.iter().map(|part| part.amount).sum();
        assert_eq!((view.stake, unbonding), (0, 100 * casemate_primitives::CASE));
        ensure!(view.live_leases == 0, "{view:?}");

        // It takes no more leases, and its stake stays until the delay is over.
        let file = ann.path("book.yaml").display().to_string();
        until("it refuses", async || {
            let quotes = ann.run(&["deploy", &file])?;
            quotes.refuses(&[])
        })
        .await?;
        let refused = provider.user.run(&["provider", "withdraw"])?;
        refused.refuses(&["Providers.NothingToWithdraw"])
    });
}
