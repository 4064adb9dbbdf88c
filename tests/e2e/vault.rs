//! Secrets while the publisher is away.

use anyhow::{Context as _, Result, ensure};
use casemate_client::chain::ChainClient;
use casemate_primitives::{AgentPublicKey, LeaseId};
use casemate_tests::{Options, Service, until, with_cluster};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    common::deployed,
    secrets::{NAME, SOFTWARE, canary, keep, write},
};

#[test]
fn a_pod_that_starts_anew_needs_its_vault_alone() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let image = cluster.registry.push_vault(&cluster.binaries, &cluster.path(""))?;
        let password = canary()?;
        keep(ann, &password)?;

        // The vault is a pod of hers, which gets its master as any pod gets its secrets.
        let file = ann.path("keys.yaml").display().to_string();
        let init = ["vault", "init", "keys", "--host", "keys.localhost", "--file", &file];
        let made = ann.json(&[&init[..], &["--image", &image.reference]].concat())?;
        let vault_key = made["releaseKey"].as_str().context("no key")?.to_owned();
        ann.json(&["deploy", &file, "--wait", SOFTWARE])?;
        let url = format!("http://keys.localhost:{}", provider.ingress().port());
        ann.json(&["vault", "at", "keys", &url])?;

        // The app names the vault; nobody releases anything to it.
        let mine = ann.json(&["secret", "key"])?;
        let mine = mine["releaseKey"].as_str().context("no key of the publisher's")?;
        let mut service = Service::new("book", &cluster.first);
        service.secrets.push(("GUESTBOOK_PASSWORD".to_owned(), NAME.to_owned()));
        let yaml = service
            .yaml()
            .replace(
                "\nspec:\n",
                &format!("\nspec:\n  releasedBy: [\"{mine}\", \"{vault_key}\"]\n"),
            )
            .replace("  name: book\nspec", &annotated(&url));
        let file = ann.write("book.yaml", &yaml)?;
        let lease = deployed(&ann.json(&["deploy", &file, "--no-release"])?)?.lease;
        let first = attested(&chain, lease, None).await?;
        let workload = cluster.software_tee.workload(&cluster.binaries.agent)?;
        let policy = format!(
            "{{\"grades\": [\"software\"], \"require\": {{\"workload\": [\"{}\"]}}}}",
            hex::encode(workload)
        );
        let policy = ann.write("policy.json", &policy)?;
        ann.json(&["vault", "grant", "keys", "book", "--policy", &policy, SOFTWARE])?;
        has_password(provider, &password).await?;

        // From here on she does nothing. The agent is killed: its keys are gone, and a new one has
        // to show evidence to chain and vault.
        let containers = provider.traces().containers()?;
        let agent = containers
            .iter()
            .find(|(name, _)| name.starts_with(&format!("l{lease}-")))
            .and_then(|(_, processes)| processes.first())
            .with_context(|| format!("the app's pod is not there: {containers:?}"))?;
        kill(Pid::from_raw(*agent), Signal::SIGKILL)?;
        attested(&chain, lease, Some(first)).await?;
        has_password(provider, &password).await?;

        // The vault has written down both.
        let audit = ann.json(&["vault", "audit", "keys"])?;
        let released = audit.to_string().matches(NAME).count();
        ensure!(released >= 2, "{audit}");
        Ok(())
    });
}

fn annotated(vault: &str) -> String {
    format!("  name: book\n  annotations:\n    casemate.io/vaults: {vault}\nspec")
}

/// The key of the lease's attested agent, once it is another than `before`.
async fn attested(
    chain: &ChainClient,
    lease: LeaseId,
    before: Option<AgentPublicKey>,
) -> Result<AgentPublicKey> {
    until("the chain has attested an agent", async || {
        let view = chain.lease(lease).await?.context("the lease is gone")?;
        let agent = view.agents.first().context("there is none")?;
        ensure!(agent.standing.is_some() && Some(agent.key) != before, "{agent:?}");
        Ok(agent.key)
    })
    .await
}

/// Waits until the app takes an entry with the password, and none without.
async fn has_password(provider: &casemate_tests::Provider, password: &str) -> Result<()> {
    until("the app has its password", async || {
        ensure!(write(provider.ingress(), password)? == 303, "it does not take it");
        Ok(())
    })
    .await?;
    ensure!(write(provider.ingress(), "wrong")? == 403, "it takes any password");
    Ok(())
}
