//! Logs as proof, while a pod runs and after it is gone.

use anyhow::{Context as _, Result, ensure};
use casemate_tests::{Connection, Options, Service, User, until, with_cluster};
use serde_json::Value;

use crate::common::deploy;

/// What the guest book writes of an entry.
const POSTED: &str = "POST /entries 303";

/// What `logs --verify` says of all of it, which has to be proved without a gap.
fn verified(user: &User, lease: &str) -> Result<(String, Value)> {
    let run = user.run(&["--output", "json", "logs", lease, "--verify"])?;
    ensure!(run.code == 0, "{}", run.text());
    let last = run.stdout.lines().last().context("nothing was said")?;
    let summary: Value = serde_json::from_str(last)?;
    ensure!(
        summary["complete"] == true && summary["problems"] == Value::Array(vec![]),
        "{summary}"
    );
    Ok((run.stdout, summary))
}

#[test]
fn output_is_proved_against_the_chain_also_when_the_pod_is_gone_and_a_gap_is_told() {
    with_cluster(Options::new(1, &["ann", "carol"]), async |cluster| {
        let provider = &mut cluster.providers[0];
        provider.edit_config(|text| text.replace("retention = \"0s\"", "retention = \"1h\""))?;
        provider.kill()?;
        provider.start()?;
        provider.ready().await?;
        let provider = &cluster.providers[0];
        let (ann, carol) = (&cluster.publishers[0], &cluster.publishers[1]);
        let lease = deploy(ann, &Service::new("book", &cluster.first), &[])?.lease.to_string();
        let form = Some("name=Ann&message=Hello");
        let posted =
            Connection::open(provider.ingress())?.request("book.localhost", "/entries", form)?;
        ensure!(posted.status == 303, "{posted:?}");

        // Each line that is shown is the pod's own.
        until("the request is proved", async || {
            let (text, summary) = verified(ann, "book")?;
            ensure!(text.contains(POSTED), "{text}");
            let agent = &summary["verified"][0];
            let (from, to) = (agent["fromMs"].as_u64(), agent["toMs"].as_u64());
            ensure!(from.is_some() && from <= to, "{summary}");
            ensure!(agent["provedLines"].as_u64() > Some(1), "{summary}");
            Ok(())
        })
        .await?;

        // The pod and its lease are gone; its output and what it is proved against are kept.
        ann.json(&["stop", "book", "--wait"])?;
        let nothing = std::collections::BTreeMap::new();
        until("the pod is gone", async || provider.traces().exactly(&nothing)).await?;
        let (text, _) = verified(ann, &lease)?;
        ensure!(text.contains(POSTED), "{text}");
        let shown = ann.run(&["logs", &lease, "--verify"])?;
        ensure!(shown.stderr.contains("without a gap"), "{}", shown.text());
        // It is nobody else's.
        let account = provider.user.address();
        carol.run(&["logs", &lease, "--verify", "--provider", &account])?.refuses(&[])?;

        // What is lost is told, and fails.
        let spool = rusqlite::Connection::open(provider.data_dir().join("spool.db"))?;
        spool.busy_timeout(std::time::Duration::from_secs(30))?;
        let lost = spool.execute("UPDATE log_chunks SET body = NULL WHERE chunk = 0", [])?;
        ensure!(lost > 0, "there was no chunk to lose");
        let gap = ann.run(&["logs", &lease, "--verify"])?;
        ensure!(gap.code == 1, "{}", gap.text());
        ensure!(gap.stderr.contains("is not proved without a gap"), "{}", gap.text());
        Ok(())
    });
}
