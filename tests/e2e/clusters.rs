//! Control planes that show evidence of themselves, and publishers who ask for it.

use anyhow::{Context as _, Result, ensure};
use casemate_attestation::{Grade, TcbStatus, TeeKind};
use casemate_client::chain::{ChainClient, ClusterView};
use casemate_primitives::AccountBytes;
use casemate_tests::{Options, Provider, Service, User, until, with_cluster};
use serde_json::Value;
use subxt::utils::AccountId32;

use crate::common::{deployed, paid_more};

/// Longer than any standing.
const A_DAY_AND_MORE: u64 = 25 * 3_600;

#[test]
fn a_publisher_can_leave_out_providers_without_an_attested_cluster() {
    let mut options = Options::new(2, &["ann"]);
    options.providers[1].attests_cluster = false;
    with_cluster(options, async |cluster| {
        let chain = cluster.node.chain().await?;
        let program = cluster.software_tee.workload(&cluster.binaries.provider)?;
        let ann = &cluster.publishers[0];
        let (with, without) = (&cluster.providers[0], &cluster.providers[1]);

        // The chain has verified one of them: the program that was built, and no other.
        let found = attested(&chain, &with.account()).await?;
        assert_eq!((found.kind, found.grade), (TeeKind::IntelTdx, Grade::Software));
        assert_eq!(found.tcb_status, TcbStatus::UpToDate);
        assert_eq!(found.workload, program);
        let view = chain.provider(&without.account()).await?.context("it is registered")?;
        ensure!(view.cluster.is_none(), "{view:?}");
        let log = std::fs::read_to_string(without.log())?;
        assert_eq!(log.matches("the control plane is not attested").count(), 1, "{log}");

        // All see it.
        let measurement = hex::encode(&program);
        let listed = listed(ann, with)?;
        assert_eq!(listed["attested"], true, "{listed}");
        assert_eq!(listed["grade"], "software", "{listed}");
        assert_eq!(listed["measurement"], measurement, "{listed}");
        assert_eq!(listed["expiresAt"], found.expires_at, "{listed}");
        assert_eq!(self::listed(ann, without)?["attested"], false);
        let table = ann.run(&["provider", "list"])?.stdout;
        ensure!(table.contains("TDX (software)") && table.contains("not attested"), "{table}");
        let page = ann.run(&["provider", "status", &with.user.address()])?.stdout;
        ensure!(page.contains("protects nothing") && page.contains(&measurement), "{page}");

        // Who asks for it gets it, of this very program.
        let file = manifest(ann, cluster_service(cluster, "book"), &[&measurement])?;
        let quotes = ann.json(&["quotes", &file])?;
        assert_eq!(reason(&quotes, with), Value::Null, "{quotes}");
        assert_eq!(reason(&quotes, without), "its cluster is not attested", "{quotes}");
        let opened = ann.json(&["deploy", &file, "--wait"])?;
        assert_eq!(opened["provider"], shown(with), "{opened}");
        paid_more(&chain, deployed(&opened)?.lease, 0).await?;

        // Nobody else gets it.
        let leases = chain.leases_of_publisher(&ann.account).await?.len();
        let only = ["deploy", &file, "--provider", &without.user.address()];
        ann.run(&only)?.refuses(&["its cluster is not attested", "no provider takes"])?;
        let other = manifest(ann, cluster_service(cluster, "other"), &[&"ab".repeat(48)])?;
        ann.run(&["deploy", &other])?.refuses(&[&measurement, "`clusterMeasurements`"])?;
        // The flag does the same for a manifest that does not ask.
        let plain = ann.write("plain.yaml", &cluster_service(cluster, "plain").yaml())?;
        let quotes = ann.json(&["quotes", &plain])?;
        assert_eq!(reason(&quotes, without), Value::Null, "{quotes}");
        let quotes = ann.json(&["quotes", &plain, "--attested-cluster"])?;
        assert_eq!(reason(&quotes, without), "its cluster is not attested", "{quotes}");
        assert_eq!(
            chain.leases_of_publisher(&ann.account).await?.len(),
            leases,
            "nothing is opened"
        );

        // An update must not bring an app that asks for it to where it is not.
        ann.json(&["deploy", &plain, "--wait", "--provider", &without.user.address()])?;
        let asking = manifest(ann, cluster_service(cluster, "plain"), &[])?;
        let refused = ann.run(&["update", "plain", &asking])?;
        refused.refuses(&["nothing was signed", "its cluster is not attested"])?;
        for name in ["book", "plain"] {
            ann.json(&["stop", name, "--wait"])?;
        }

        // What has ended does not count. Nobody renews it, and a day passes.
        cluster.providers[0].kill()?;
        let now = chain.time().await?;
        cluster.node.kill()?;
        cluster.node.set_clock(now + A_DAY_AND_MORE);
        cluster.node.start()?;
        let chain = cluster.node.chain().await?;
        let (ann, with) = (&cluster.publishers[0], &cluster.providers[0]);
        until("a block tells the new time", async || {
            // A development chain makes a block for each transaction.
            ann.json(&["account", "transfer", &with.user.address(), "1 CASE"])?;
            ensure!(chain.time().await? > now + A_DAY_AND_MORE / 2);
            Ok(())
        })
        .await?;
        let ended = self::listed(ann, with)?;
        assert_eq!(ended["attested"], false, "{ended}");
        assert_eq!(ended["measurement"], Value::Null, "{ended}");
        let file = manifest(ann, cluster_service(cluster, "late"), &[])?;
        let refused = ann.run(&["deploy", &file])?;
        refused.refuses(&["its cluster's attestation has ended", "no provider takes"])?;

        // It comes back with the provider.
        cluster.providers[0].start()?;
        let again = attested(&chain, &cluster.providers[0].account()).await?;
        ensure!(again.expires_at > found.expires_at, "{again:?}");
        assert_eq!(again.workload, program);
        Ok(())
    });
}

/// Waits until the chain has verified a provider's control plane.
async fn attested(chain: &ChainClient, account: &AccountBytes) -> Result<ClusterView> {
    until("the cluster is attested", async || {
        let now = chain.time().await?;
        let view = chain.provider(account).await?.context("it is not registered")?;
        view.cluster_at(now).cloned().context("its cluster is not attested")
    })
    .await
}

fn cluster_service(cluster: &casemate_tests::Cluster, name: &str) -> Service {
    Service::new(name, &cluster.first)
}

/// Writes a manifest that asks for an attested cluster, of one of these programs if there are any.
fn manifest(user: &User, service: Service, measurements: &[&str]) -> Result<String> {
    let placement = match measurements {
        [] => "attestedCluster: true".to_owned(),
        _ => format!(
            "attestedCluster: true, clusterMeasurements: [\"{}\"]",
            measurements.join("\", \"")
        ),
    };
    let text =
        service.yaml().replacen("spec:\n", &format!("spec:\n  placement: {{{placement}}}\n"), 1);
    user.write(&format!("{}-asking.yaml", service.name), &text)
}

/// A provider's account as the command line shows it.
fn shown(provider: &Provider) -> String {
    AccountId32(provider.account()).to_string()
}

/// What the command line lists of a provider's cluster.
fn listed(user: &User, provider: &Provider) -> Result<Value> {
    let all = user.json(&["provider", "list"])?;
    let mut found = all.as_array().into_iter().flatten();
    let one = found.find(|one| one["account"] == shown(provider));
    Ok(one.with_context(|| format!("not listed: {all}"))?["cluster"].clone())
}

/// Why a provider does not take it; `null` if it does.
fn reason(quotes: &Value, provider: &Provider) -> Value {
    let mut all = quotes.as_array().into_iter().flatten();
    let one = all.find(|one| one["provider"] == shown(provider));
    one.map_or_else(|| Value::from("it is not there"), |one| one["reason"].clone())
}
