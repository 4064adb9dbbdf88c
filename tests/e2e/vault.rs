//! Secrets while the publisher is away.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use casemate_client::chain::ChainClient;
use casemate_primitives::{AgentPublicKey, LeaseId};
use casemate_ra_tls::SECRETS_PATH;
use casemate_tests::{Careless, Cluster, Options, Provider, Service, until, with_cluster};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    common::deployed,
    middle::{Middle, Way},
    secrets::{NAME, SOFTWARE, canary, in_memory, keep, write},
};

#[test]
fn a_pod_that_starts_anew_needs_its_vault_alone() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let password = canary()?;
        keep(ann, &password)?;
        let vault = Vault::deploy(cluster)?;

        // The app names the vault; nobody releases anything to it.
        let file = ann.write("book.yaml", &vault.yaml(cluster, "book", Some(&vault.url))?)?;
        let lease = deployed(&ann.json(&["deploy", &file, "--no-release"])?)?.lease;
        let first = attested(&chain, lease, None).await?;
        vault.grant(cluster, "book")?;
        has_password(provider, &password).await?;

        // From here on she does nothing. The agent is killed: its keys are gone, and a new one has
        // to show evidence to chain and vault.
        kill_agent(provider, lease)?;
        attested(&chain, lease, Some(first)).await?;
        has_password(provider, &password).await?;

        // The vault has written down both.
        let audit = ann.json(&["vault", "audit", "keys"])?;
        let released = audit.to_string().matches(NAME).count();
        ensure!(released >= 2, "{audit}");
        Ok(())
    });
}

#[test]
fn a_stolen_release_opens_for_its_own_agent_alone() {
    let thief = Middle::start().unwrap();
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let password = canary()?;
        keep(ann, &password)?;
        let vault = Vault::deploy(cluster)?;

        // What the vault seals for the book ends in the thief's hands. Another app of the same image
        // takes secrets from the same senders.
        thief.now(Way::Steals(provider.ingress(), "/v1/release"));
        let road = format!("http://keys.localhost:{}", thief.address().port());
        let deploy = |name: &str, road: Option<&str>| {
            let file = ann.write(&format!("{name}.yaml"), &vault.yaml(cluster, name, road)?)?;
            anyhow::Ok(deployed(&ann.json(&["deploy", &file, "--no-release"])?)?.lease)
        };
        let (book, other) = (deploy("book", Some(&road))?, deploy("other", None)?);
        let first = attested(&chain, book, None).await?;
        attested(&chain, other, None).await?;
        vault.grant(cluster, "book")?;
        let sealed = until("the vault has released, and it was stolen", async || {
            thief.stolen().first().context("nothing was stolen").and_then(|body| sealed(body))
        })
        .await?;

        // To another lease's agent, and to the next agent of the same pod, whose keys are its own.
        let client = provider.client(ann, &chain)?;
        let deliver = async |lease: LeaseId, sealed: &[u8]| {
            let status = client.lease(lease).await?;
            let endpoint = status.pods.first().and_then(|pod| pod.agent.clone());
            let name = endpoint.with_context(|| format!("{status:?}"))?.server_name;
            let mut agent = Careless::connect(provider.tls(), &name)?;
            let (status, body) = agent.request("PUT", SECRETS_PATH, sealed)?;
            anyhow::Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        let (status, body) = deliver(other, &sealed).await?;
        ensure!(status == 400 && body.contains("wrongLease"), "{status} {body}");
        let lease = format!("sealed for lease {book}, and this is lease {other}");
        ensure!(body.contains(&lease), "{body}");
        kill_agent(provider, book)?;
        attested(&chain, book, Some(first)).await?;
        let (status, body) =
            until("the next agent answers", async || deliver(book, &sealed).await).await?;
        ensure!(status == 400 && body.contains("sealed to another agent's key"), "{status} {body}");
        let pods: Vec<i32> =
            pods(provider, book)?.into_iter().chain(pods(provider, other)?).collect();
        ensure!(!in_memory(&pods, &password)?, "it was opened all the same");
        ensure!(!thief.has_seen(&password), "it was not sealed");

        // For the agent that it is for it opens, once.
        let newest = until("the next agent opens what was sealed for it", async || {
            let sealed = sealed_of(&thief)?;
            let (status, body) = deliver(book, &sealed).await?;
            ensure!(status == 200, "{status} {body}");
            Ok(sealed)
        })
        .await?;
        has_password(provider, &password).await?;
        let (status, body) = deliver(book, &newest).await?;
        ensure!(status == 409 && body.contains("replay"), "{status} {body}");
        Ok(())
    });
}

/// What the newest stolen answer of the vault has for a pod's agent.
fn sealed_of(thief: &Middle) -> Result<Vec<u8>> {
    sealed(thief.stolen().last().context("nothing was stolen")?)
}

fn sealed(answer: &[u8]) -> Result<Vec<u8>> {
    let answer: serde_json::Value = serde_json::from_slice(answer)?;
    let text = answer["sealed"].as_str().context("the vault's answer has nothing sealed")?;
    Ok(STANDARD.decode(text)?)
}

/// A vault that the publisher has deployed and given her secrets.
struct Vault {
    /// Its key.
    key: String,
    /// Where it is.
    url: String,
}

impl Vault {
    /// The vault is a pod of hers, which gets its master as any pod gets its secrets.
    fn deploy(cluster: &Cluster) -> Result<Self> {
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let image = cluster.registry.push_vault(&cluster.binaries, &cluster.path(""))?;
        let file = ann.path("keys.yaml").display().to_string();
        let init = ["vault", "init", "keys", "--host", "keys.localhost", "--file", &file];
        let made = ann.json(&[&init[..], &["--image", &image.reference]].concat())?;
        let key = made["releaseKey"].as_str().context("no key")?.to_owned();
        ann.json(&["deploy", &file, "--wait", SOFTWARE])?;
        let url = format!("http://keys.localhost:{}", provider.ingress().port());
        ann.json(&["vault", "at", "keys", &url])?;
        Ok(Self { key, url })
    }

    /// An app that takes its password from her and from the vault, which is sent for at `at`.
    fn yaml(&self, cluster: &Cluster, name: &str, at: Option<&str>) -> Result<String> {
        let mine = cluster.publishers[0].json(&["secret", "key"])?;
        let mine = mine["releaseKey"].as_str().context("no key of the publisher's")?;
        let mut service = Service::new(name, &cluster.first);
        service.secrets.push(("GUESTBOOK_PASSWORD".to_owned(), NAME.to_owned()));
        let spec = format!("\nspec:\n  releasedBy: [\"{mine}\", \"{}\"]\n", self.key);
        let note = at.map(|at| format!("\n  annotations:\n    casemate.io/vaults: {at}"));
        let spec = note.unwrap_or_default() + &spec;
        Ok(service.yaml().replacen("\nspec:\n", &spec, 1))
    }

    /// Lets it release to an app whose agent is the one that was built.
    fn grant(&self, cluster: &Cluster, app: &str) -> Result<()> {
        let ann = &cluster.publishers[0];
        let workload = cluster.software_tee.workload(&cluster.binaries.agent)?;
        let policy = format!(
            "{{\"grades\": [\"software\"], \"require\": {{\"workload\": [\"{}\"]}}}}",
            hex::encode(workload)
        );
        let policy = ann.write("policy.json", &policy)?;
        ann.json(&["vault", "grant", "keys", app, "--policy", &policy, SOFTWARE])?;
        Ok(())
    }
}

/// The first processes of a lease's containers.
fn pods(provider: &Provider, lease: LeaseId) -> Result<Vec<i32>> {
    let containers = provider.traces().containers()?;
    let its = |name: &str| name.starts_with(&format!("l{lease}-"));
    Ok(containers.into_iter().filter(|(name, _)| its(name)).flat_map(|(_, ids)| ids).collect())
}

fn kill_agent(provider: &Provider, lease: LeaseId) -> Result<()> {
    let processes = pods(provider, lease)?;
    let agent = processes.first().context("the app's pod is not there")?;
    Ok(kill(Pid::from_raw(*agent), Signal::SIGKILL)?)
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
async fn has_password(provider: &Provider, password: &str) -> Result<()> {
    until("the app has its password", async || {
        ensure!(write(provider.ingress(), password)? == 303, "it does not take it");
        Ok(())
    })
    .await?;
    ensure!(write(provider.ingress(), "wrong")? == 403, "it takes any password");
    Ok(())
}
