//! How long a release takes beyond its round trips: a network with a pod whose real agent waits for a
//! secret, reached as publishers reach it, through its provider's ingress.
//!
//! A release is what `casemate secret release` does with an agent: connect, appraise the certificate's
//! evidence, ask for the session's and appraise that, seal, deliver. The bare round trips are the same
//! questions to the same agent over as many connections: it makes evidence for both, but what it is
//! sent opens to nothing, and the client looks at nothing.

use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use casemate_attestation::{Grade, bundle::Bundle, policy::Policy};
use casemate_client::{api::PodInfo, chain::ChainClient};
use casemate_primitives::LeaseId;
use casemate_ra_tls::{
    ATTESTATION_PATH, Appraiser, Expected, PodIdentity, PolicyAppraiser, SECRETS_PATH, SecretName,
    Secrets,
    client::{Options as Connecting, Release, Session},
};
use casemate_tests::{Careless, Cluster, Options, Service, until, with_cluster};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use zeroize::Zeroizing;

const NAME: &str = "password";
/// Measured before anything counts: the first touch what all later ones share.
const WARM_UP: usize = 10;

/// Series of `rounds` values, each of `count` releases and as many bare round trips, turn by turn.
/// Milliseconds.
pub(crate) fn run(rounds: usize, count: usize) -> Result<Value> {
    ensure!(count >= 100, "of less than 100 releases there is no 99th percentile");
    let mut series = Series::default();
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let publisher = Publisher::deploy(cluster).await?;
        let noise = vec![0xff; publisher.sealed_bytes()?];
        let mut sequences = 1..;
        let mut next = || sequences.next().context("no more numbers");
        for _ in 0..WARM_UP {
            publisher.release(next()?)?;
            publisher.bare(&noise)?;
        }
        for _ in 0..rounds {
            let (mut ours, mut bare) = (Vec::new(), Vec::new());
            for _ in 0..count {
                let sequence = next()?;
                ours.push(milliseconds(|| publisher.release(sequence))?);
                bare.push(milliseconds(|| publisher.bare(&noise))?);
            }
            series.add(ours, bare);
        }
        Ok(())
    });
    Ok(series.json())
}

#[derive(Debug, Default)]
struct Series {
    p50: Vec<f64>,
    p99: Vec<f64>,
    bare_p50: Vec<f64>,
    bare_p99: Vec<f64>,
}

impl Series {
    fn add(&mut self, ours: Vec<f64>, bare: Vec<f64>) {
        let (ours, bare) = (sorted(ours), sorted(bare));
        self.p50.push(percentile(&ours, 50));
        self.p99.push(percentile(&ours, 99));
        self.bare_p50.push(percentile(&bare, 50));
        self.bare_p99.push(percentile(&bare, 99));
    }

    fn json(&self) -> Value {
        let Self { p50, p99, bare_p50, bare_p99 } = self;
        json!({ "p50": p50, "p99": p99, "bareP50": bare_p50, "bareP99": bare_p99 })
    }
}

fn sorted(mut series: Vec<f64>) -> Vec<f64> {
    series.sort_by(f64::total_cmp);
    series
}

/// The least value that so many of a hundred do not exceed (nearest rank).
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

fn milliseconds<T>(work: impl FnOnce() -> Result<T>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// Who releases, and to whom.
struct Publisher {
    address: SocketAddr,
    /// The agent's TLS name.
    name: String,
    pod: PodIdentity,
    appraiser: Arc<dyn Appraiser>,
    expected: Expected,
    sender: SigningKey,
    secrets: Secrets,
}

impl Publisher {
    /// Deploys an app that takes its secret as a file from this process alone, and waits until the
    /// chain has attested its agent.
    async fn deploy(cluster: &Cluster) -> Result<Self> {
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|err| anyhow::anyhow!("no random bytes: {err}"))?;
        let sender = SigningKey::from_bytes(&seed);
        let key = hex::encode(sender.verifying_key().as_bytes());
        let yaml = Service::new("book", &cluster.first)
            .yaml()
            .replacen("\nspec:\n", &format!("\nspec:\n  releasedBy: [\"{key}\"]\n"), 1)
            .replacen(
                "    ports:\n",
                &format!("    secrets:\n    - {{name: {NAME}, file: {NAME}}}\n    ports:\n"),
                1,
            );
        let file = ann.write("book.yaml", &yaml)?;
        let opened = ann.json(&["deploy", &file, "--no-release"])?;
        let lease = LeaseId(opened["lease"].as_u64().context("no lease was opened")?);

        let chain = ChainClient::connect(&cluster.node.url()).await?;
        let client = provider.client(ann, &chain)?;
        let (manifest_hash, agent_key, endpoint) = until("the agent is attested", async || {
            let view = chain.lease(lease).await?.context("the lease is gone")?;
            let agent = view.agents.first().context("no agent is attested")?;
            let status = client.lease(lease).await?;
            let its = |pod: &&PodInfo| pod.agent_key.as_ref().is_some_and(|k| k.0 == agent.key);
            let endpoint = status.pods.iter().find(its).and_then(|pod| pod.agent.clone());
            let endpoint = endpoint.context("the provider does not lead to it")?;
            Ok((view.manifest_hash, agent.key, endpoint))
        })
        .await?;

        let collateral = cluster.software_tee.control_client().collateral()?;
        let mut bundle = Bundle::default();
        bundle.add(collateral["intel"]["tdx"].to_string().as_bytes())?;
        let policy = Policy { grades: vec![Grade::Software], ..Policy::default() };
        let roots = cluster.software_tee.roots()?;
        let account = Some(provider.account());
        let appraiser = PolicyAppraiser::new(policy, roots, Arc::new(bundle), account);
        let genesis_hash = chain.genesis_hash();
        let expected = Expected {
            genesis_hash: Some(genesis_hash),
            lease: Some(lease),
            replica: Some(0),
            manifest_hash: Some(manifest_hash),
            agent_key: Some(agent_key),
        };
        let mut secrets = Secrets::new();
        let value = Zeroizing::new(b"correct horse battery staple".to_vec());
        secrets.insert(SecretName::new(NAME)?, value)?;
        Ok(Self {
            address: endpoint.address.parse()?,
            name: endpoint.server_name,
            pod: PodIdentity { genesis_hash, lease, replica: 0, manifest_hash },
            appraiser: Arc::new(appraiser),
            expected,
            sender,
            secrets,
        })
    }

    /// A release from the first byte to the agent's receipt.
    fn release(&self, sequence: u64) -> Result<()> {
        let stream = TcpStream::connect(self.address)?;
        let appraiser = Arc::clone(&self.appraiser);
        let connecting = Connecting::new(self.expected.clone());
        let session = Session::over(stream, &self.name, appraiser, connecting)?;
        let mut attested = session.attest(Session::nonce()?)?;
        attested.release(&self.secrets, &self.order(sequence))?;
        Ok(())
    }

    fn order(&self, sequence: u64) -> Release<'_> {
        Release { pod: self.pod, policy_id: [0; 32], sequence, sender: Some(&self.sender) }
    }

    /// How many bytes a release has.
    fn sealed_bytes(&self) -> Result<usize> {
        let stream = TcpStream::connect(self.address)?;
        let appraiser = Arc::clone(&self.appraiser);
        let connecting = Connecting::new(self.expected.clone());
        let session = Session::over(stream, &self.name, appraiser, connecting)?;
        let attested = session.attest(Session::nonce()?)?;
        Ok(attested.seal(&self.secrets, &self.order(0))?.to_bytes().len())
    }

    /// The same questions by a client that looks at nothing; the agent cannot open what it is sent.
    fn bare(&self, noise: &[u8]) -> Result<()> {
        let mut agent = Careless::connect(self.address, &self.name)?;
        let target = format!("{ATTESTATION_PATH}?nonce={}", hex::encode(Session::nonce()?));
        let (status, body) = agent.request("GET", &target, &[])?;
        ensure!(status == 200, "{status} {}", String::from_utf8_lossy(&body));
        let (status, body) = agent.request("PUT", SECRETS_PATH, noise)?;
        ensure!(status == 400, "{status} {}", String::from_utf8_lossy(&body));
        Ok(())
    }
}
