//! An update under load.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context as _, Result, ensure};
use casemate_primitives::Quantities;
use casemate_tests::{Connection, Options, PRICES, Service, get, until, with_cluster};

use crate::common::{deploy, settled_down};

const HOST: &str = "book.localhost";
/// A page is below 4 KiB; headers and acknowledgements come with it.
const PAGE_BYTES_MAX: u128 = 8 << 10;

#[test]
fn update_without_a_lost_request() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let start = ledger.height().await?;
        let mut service = Service::new("book", &cluster.first);
        service.replicas = 2;
        let lease = deploy(ann, &service, &[])?.lease;
        // Each pod has a volume of its own: whoever answers with this entry is of version 1.
        for _ in 0..8 {
            let form = Some("name=Ann&message=version+one");
            Connection::open(provider.ingress())?.request(HOST, "/entries", form)?;
        }
        for _ in 0..8 {
            let page = get(provider.ingress(), HOST, "/")?;
            ensure!(page.body.contains("version one"), "{page:?}");
        }

        let load = Load::start(provider.ingress());
        // The new image keeps its entries elsewhere.
        service.image.clone_from(&cluster.second.reference);
        service.mount = "/book".to_owned();
        let file = ann.write("second.yaml", &service.yaml())?;
        let updated = ann.json(&["update", "book", &file, "--wait"])?;
        ensure!(updated["version"] == 2 && updated["ready"] == true, "{updated}");
        let status = settled_down(provider, ann, &chain, lease, 2).await?;
        for _ in 0..8 {
            let page = get(provider.ingress(), HOST, "/")?;
            ensure!(page.status == 200 && page.body.contains("No entries yet"), "{page:?}");
        }
        let (requests, failures) = load.end();
        ensure!(failures.is_empty(), "of {requests} requests, these failed: {failures:#?}");
        ensure!(requests >= 100, "there were only {requests} requests");
        let names = ["l0-r0-v2/guestbook", "l0-r1-v2/guestbook"];
        let containers = crate::common::containers(provider, &names)?;
        provider.traces().exactly(&containers)?;

        // The new agents are paid, and time in which both versions ran is not paid twice.
        let keys: Vec<[u8; 32]> =
            status.pods.iter().filter_map(|pod| pod.agent_key.map(|key| key.0)).collect();
        ensure!(keys.len() == 2, "{status:?}");
        let view = until("the new agents are paid", async || {
            let view = chain.lease(lease).await?.context("the lease is gone")?;
            let paid: Vec<[u8; 32]> =
                view.agents.iter().filter(|a| a.sequence > 0).map(|agent| agent.key).collect();
            ensure!(paid == keys, "{view:?}");
            Ok(view)
        })
        .await?;
        let books = ledger.read(start, ledger.height().await?).await?;
        books.check_claims(&PRICES)?;
        let mut most = 0;
        for agent in &view.agents {
            let seconds = agent.claimed_to - view.opened_at;
            let quota = Quantities::quota(&view.resources, seconds).context("overflow")?;
            most += PRICES.cost(&quota).context("overflow")?;
        }
        // The pages that were asked for come on top.
        let pages = u128::try_from(requests)? * PAGE_BYTES_MAX / (1 << 20) + 4;
        most += pages * PRICES.egress_mib;
        ensure!(view.earned() <= most, "{} was paid, at most {most} is right", view.earned());
        Ok(())
    });
}

/// Requests without a pause.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(usize, Vec<String>)>>,
}

impl Load {
    /// Two clients that keep their connections and two that make a new one each time.
    fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |keeps: bool| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let (mut count, mut failures, mut kept) = (0, Vec::new(), None);
                while !stop.load(Ordering::Relaxed) {
                    count += 1;
                    if let Err(error) = one(address, &mut kept) {
                        kept = None;
                        failures.push(format!("request {count}: {error:?}"));
                    }
                    if !keeps {
                        kept = None;
                    }
                    // As many as a busy site has, and the machine has room for the pods.
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                (count, failures)
            })
        };
        let threads = [true, true, false, false].map(client).into();
        Self { stop, threads }
    }

    fn end(mut self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut count, mut failures) = (0, Vec::new());
        for thread in self.threads.drain(..) {
            let (one, failed) = thread.join().unwrap();
            count += one;
            failures.extend(failed);
        }
        (count, failures)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn one(address: SocketAddr, kept: &mut Option<Connection>) -> Result<()> {
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(Connection::open(address)?),
    };
    let page = connection.request(HOST, "/", None)?;
    ensure!(page.status == 200, "{page:?}");
    ensure!(page.body.contains("</html>"), "{page:?}");
    if page.closes {
        *kept = None;
    }
    Ok(())
}
