//! Provider and node killed at random moments.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use casemate_tests::{
    Chance, Cluster, Connection, Fatal, Options, PRICES, Service, get, until, with_cluster,
};

use crate::common::{answers, containers, deploy, paid_more, settled_down, total};

const SEED: u64 = 20_261_122;
const SEED_VARIABLE: &str = "CASEMATE_TEST_SEED";
const ROUNDS: u32 = 30;
const HOST: &str = "book.localhost";

#[test]
#[expect(clippy::print_stdout, reason = "the seed tells how to see a failure again")]
fn killed_at_random_moments() {
    let seed = std::env::var(SEED_VARIABLE).map_or(SEED, |text| text.parse().unwrap());
    println!("seed {seed}; {SEED_VARIABLE} sets another");
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let deployed = {
            let mut service = Service::new("book", &cluster.first);
            service.replicas = 2;
            service.persistent = true;
            deploy(&cluster.publishers[0], &service, &[])?
        };
        let lease = deployed.lease;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        for _ in 0..4 {
            let form = Some("name=Ann&message=still+here");
            Connection::open(provider.ingress())?.request(HOST, "/entries", form)?;
        }
        let before = settled_down(provider, ann, &chain, lease, 1).await?;
        let keys: Vec<_> = before.pods.iter().map(|pod| pod.agent_key).collect();
        ensure!(keys.iter().all(Option::is_some), "{before:?}");
        let names = ["l0-r0-v1/guestbook", "l0-r1-v1/guestbook"];
        let running = containers(provider, &names)?;
        paid_more(&chain, lease, 0).await?;

        let mut chance = Chance::new(seed);
        for round in 1..=ROUNDS {
            strike(cluster, &mut chance).await.with_context(|| format!("round {round}"))?;
        }

        // Everything comes back by itself.
        until("the provider is back", async || {
            cluster.providers[0].supervise()?;
            let endpoint = cluster.providers[0].endpoint();
            let info = casemate_client::provider::ProviderClient::info_of(&endpoint).await?;
            info.block_number.context("it has not read the chain yet")
        })
        .await?;
        let chain = cluster.node.chain().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);

        // The very same pods run: neither agent nor app was started again, and nothing else is there.
        let after = settled_down(provider, ann, &chain, lease, 1).await?;
        assert_eq!(after.pods.iter().map(|pod| pod.agent_key).collect::<Vec<_>>(), keys);
        for pod in &after.pods {
            ensure!(pod.containers.iter().all(|c| c.restarts == 0), "{pod:?}");
        }
        until("nothing else is there", async || provider.traces().exactly(&running)).await?;
        answers(provider, HOST).await?;
        let page = get(provider.ingress(), HOST, "/")?;
        ensure!(page.body.contains("still here"), "{page:?}");

        // Claims go on, and each was paid once.
        let paid = chain.lease(lease).await?.context("the lease is gone")?.earned();
        let paid = paid_more(&chain, lease, paid).await?;
        paid_more(&chain, lease, paid).await?;
        let view = chain.lease(lease).await?.context("the lease is gone")?;
        let agents: Vec<_> = view.agents.iter().map(|agent| Some(agent.key)).collect();
        assert_eq!(agents, keys.iter().map(|key| key.map(|key| key.0)).collect::<Vec<_>>());
        let cost: Option<u128> =
            view.agents.iter().map(|agent| PRICES.cost(&agent.claimed_total)).sum();
        assert_eq!(Some(view.earned()), cost, "paid is what the newest claimed records cost");
        assert_eq!(view.escrow + view.earned(), deployed.deposit);

        let stopped = ann.json(&["stop", "book", "--wait"])?;
        ensure!(stopped["state"] == "settled", "{stopped}");
        let (account, providers) = (ann.account, provider.account());
        let ledger = cluster.ledger().await?;
        let end = ledger.height().await?;
        let books = ledger.read(0, end).await?;
        books.check_claims(&PRICES)?;
        let settlement = books.settlement(lease).context("the lease is not settled")?;
        assert_eq!(settlement.paid, books.paid(lease));
        assert_eq!(settlement.paid + settlement.refunded, deployed.deposit);
        let money = 1_000 * casemate_primitives::CASE;
        let anns = ledger.balance(end, &account).await?;
        assert_eq!(total(anns) + books.fees_of(&account) + settlement.paid, money);
        let theirs = ledger.balance(end, &providers).await?;
        assert_eq!(total(theirs) + books.fees_of(&providers), money + settlement.paid);
        Ok(())
    });
}

/// Waits a moment, kills one or both, and starts them again.
async fn strike(cluster: &mut Cluster, chance: &mut Chance) -> Result<()> {
    // A provider that ends by itself is started again by whoever looks after it; that may be in
    // the middle of the wait.
    let moment = Instant::now() + Duration::from_millis(chance.below(2_000));
    while Instant::now() < moment {
        cluster.providers[0].supervise()?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (kills_provider, kills_node) = match chance.below(5) {
        0 | 1 => (true, false),
        2 | 3 => (false, true),
        _ => (true, true),
    };
    cluster.node.check().map_err(|error| Fatal(format!("{error:#}")))?;
    if kills_provider {
        cluster.providers[0].kill()?;
    }
    if kills_node {
        cluster.node.kill()?;
        cluster.node.start()?;
    }
    cluster.providers[0].start()
}
