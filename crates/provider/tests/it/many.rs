use casemate_client::chain::{LeaseState, LeaseView};
use casemate_primitives::{DeploymentId, LeaseId};
use casemate_provider::manifests::ManifestStore;
use casemate_provider_core::Backend;

use crate::world::{World, manifest, now, size_of, until};

/// Bodies of work that grow faster than the number of leases would not end in time here.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_leases_run_and_are_found_again() {
    let mut world = World::start().await;
    let store = ManifestStore::open(&world.config.data_dir).unwrap();
    let terms = casemate_primitives::LeaseTerms {
        asset: casemate_primitives::Asset::Native,
        prices: world.config.pricing.prices(),
        notice_seconds: 60,
        grace_seconds: 60,
        deposit_min: 0,
        ..Default::default()
    };
    let count = std::env::var("CASEMATE_TEST_LEASES").map_or(1000, |n| n.parse().unwrap());
    let mut leases = Vec::new();
    for n in 1..=count {
        let text = manifest("a", &format!("a{n}.localhost"), 8000, 1, "");
        leases.push(LeaseView {
            id: LeaseId(n),
            deployment: DeploymentId(n),
            manifest_hash: store.put(text.as_bytes()).unwrap(),
            version: 1,
            amendments: 0,
            publisher: [1; 32],
            provider: crate::world::provider_view().account,
            resources: size_of(&text).0,
            replicas: 1,
            terms,
            state: LeaseState::Pending,
            escrow: 1,
            paid: 0,
            open: Vec::new(),
            contested: 0,
            final_due: 0,
            reclaim_at: None,
            is_task: false,
            task: None,
            spend_rate_max: 0,
            opened_at: now(),
            agents: Vec::new(),
        });
    }
    world.chain.block(|snapshot| {
        snapshot.leases = leases.into_iter().map(|lease| (lease.id, lease)).collect();
    });
    let count = usize::try_from(count).unwrap();
    until("all pods", async || (world.backend.list().await.unwrap().len() == count).then_some(()))
        .await;
    world.kill().await;
    world.run().await;
    until("all are known again", async || {
        let url = format!("http://{}/metrics", world.addresses().metrics.unwrap());
        let text = crate::world::plain().get(url).send().await.ok()?.text().await.ok()?;
        let ready = format!("casemate_provider_pods{{kind=\"ready\"}} {count}\n");
        text.contains(&ready).then_some(())
    })
    .await;
}
