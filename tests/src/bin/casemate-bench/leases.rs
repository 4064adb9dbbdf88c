//! Memory and time of a provider's full resync: the daemon starts anew on its data, the finalised
//! chain and a backend whose pods go on running.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Error, Result, ensure};
use casemate_attestation::{Grade, TcbStatus, TeeKind};
use casemate_client::chain::{AgentView, LeaseState, LeaseView, ProviderView, StandingView};
use casemate_manifest::Manifest;
use casemate_primitives::{Asset, DeploymentId, LeaseId, LeaseTerms, Resources, UnixSeconds};
use casemate_provider::{
    App, Config,
    app::Deps,
    attestation::{CollateralFrom, PodAttestor},
    chain::fake::FakeChain,
    manifests::ManifestStore,
    system_clock,
    world::World,
};
use casemate_provider_core::{Backend as _, MemoryBackend};
use serde_json::{Value, json};
use subxt_signer::sr25519::{Keypair, dev};
use tokio::{sync::watch, task::JoinHandle};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(600);

/// A provider and all around it.
struct Surroundings {
    folder: tempfile::TempDir,
    config: Config,
    chain: FakeChain,
    backend: MemoryBackend,
    count: usize,
}

/// A daemon at work.
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), casemate_provider::app::StartError>>,
    world: watch::Receiver<Arc<World>>,
}

/// Measures `rounds` resyncs with `count` leases, turn by turn with as many without any.
pub(crate) async fn run(count: u64, rounds: usize) -> Result<Value> {
    let idle = Surroundings::new(0).await?;
    let (mut idle_memory, mut idle_seconds) = (Vec::new(), Vec::new());
    // The first start touches code and files that all later ones share.
    idle.resync().await?;
    let before = resident_mb()?;
    let full = Surroundings::new(count).await?;
    full.start_pods().await?;
    full.resync().await?;
    let (mut memory, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        idle_seconds.push(idle.resync().await?.0);
        idle_memory.push(before);
        let (time, megabytes) = full.resync().await?;
        seconds.push(time);
        memory.push(megabytes - before);
    }
    Ok(json!({
        "memory": memory, "seconds": seconds,
        "idle_memory": idle_memory, "idle_seconds": idle_seconds,
    }))
}

impl Surroundings {
    async fn new(count: u64) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let config = config(folder.path())?;
        let chain = FakeChain::new([7; 32], provider_view());
        let leases = leases(count, &config)?;
        chain.block(|snapshot| {
            snapshot.time = system_clock()();
            snapshot.leases = leases.into_iter().map(|lease| (lease.id, lease)).collect();
        });
        let count = usize::try_from(count)?;
        Ok(Self { folder, config, chain, backend: MemoryBackend::new(), count })
    }

    async fn start(&self) -> Result<Running> {
        // All agents are attested already: nobody is asked.
        let attestor =
            PodAttestor::new(CollateralFrom::Evidence, key().public_key().0, system_clock());
        let deps = Deps {
            chain: self.chain.clone(),
            backend: self.backend.clone(),
            key: key(),
            attestor: Arc::new(attestor),
            clock: system_clock(),
        };
        let app = App::build(self.config.clone(), deps).await?;
        let world = app.world();
        let (stop, shutdown) = watch::channel(false);
        Ok(Running { stop, task: tokio::spawn(app.run(shutdown)), world })
    }

    /// Lets a provider start all pods, and the chain know their agents' keys, as in a network where
    /// all of it has run for a while.
    async fn start_pods(&self) -> Result<()> {
        // The scripted chain copies all leases at each call: ten thousand calls would measure that.
        self.chain.set_reachable(false);
        let mut running = self.start().await?;
        running.wait_for(self.count).await?;
        running.stop().await?;
        let pods = self.backend.list().await?;
        self.chain.block(|snapshot| {
            for pod in pods {
                let Some(lease) = snapshot.leases.get_mut(&pod.id.lease) else { continue };
                lease.state = LeaseState::Active;
                lease.agents.extend(pod.agent_key.map(|key| AgentView {
                    replica: pod.id.replica,
                    key,
                    sequence: 0,
                    claimed_to: lease.opened_at,
                    claimed_total: <_>::default(),
                    log: casemate_primitives::LogHead::default(),
                    ended_version: None,
                    standing: Some(standing(lease.manifest_hash, lease.opened_at)),
                }));
            }
        });
        self.chain.set_reachable(true);
        Ok(())
    }

    /// Seconds from the start until the daemon knows all pods and routes to them, and the memory of
    /// this process then.
    async fn resync(&self) -> Result<(f64, f64)> {
        ensure!(self.folder.path().is_dir(), "the data folder is gone");
        let started = Instant::now();
        let mut running = self.start().await?;
        running.wait_for(self.count).await?;
        let seconds = started.elapsed().as_secs_f64();
        let megabytes = resident_mb()?;
        running.stop().await?;
        Ok((seconds, megabytes))
    }
}

impl Running {
    async fn wait_for(&mut self, count: usize) -> Result<()> {
        let known = self.world.wait_for(|world| world.is_ready && world.pods.len() == count);
        let known = tokio::time::timeout(PATIENCE, known).await;
        known.context("the provider does not find its pods")?.context("the provider broke off")?;
        Ok(())
    }

    async fn stop(self) -> Result<()> {
        self.stop.send_replace(true);
        self.task.await.context("the provider broke off")??;
        Ok(())
    }
}

/// Standing that outlasts the measurement.
fn standing(manifest_hash: [u8; 32], now: UnixSeconds) -> StandingView {
    StandingView {
        kind: TeeKind::IntelTdx,
        grade: Grade::Software,
        tcb_status: TcbStatus::UpToDate,
        workload: vec![1; 48],
        manifest_hash,
        hpke_key: [2; 32],
        evidence_hash: [3; 32],
        verified_at: now,
        expires_at: now + 7 * 24 * 60 * 60,
    }
}

fn key() -> Keypair {
    dev::bob()
}

fn config(folder: &Path) -> Result<Config> {
    let mut config = Config::parse(Config::SAMPLE)?;
    config.data_dir = folder.join("data");
    config.api.listen = "127.0.0.1:0".parse()?;
    config.ingress.listen = "127.0.0.1:0".parse()?;
    config.metrics_listen = None;
    // The agents run in this process; their signing is not the provider's work.
    config.timing.record_interval = "1h".parse().map_err(Error::msg)?;
    config.timing.claim_interval = "1h".parse().map_err(Error::msg)?;
    Ok(config)
}

fn provider_view() -> ProviderView {
    ProviderView {
        account: key().public_key().0,
        name: "bench".into(),
        regions: vec![],
        endpoints: vec![],
        tee_kinds: vec![],
        capacity: Resources::default(),
        used: Resources::default(),
        price_lists: vec![],
        stake: 0,
        unbonding: vec![],
        live_leases: 0,
        cluster: None,
    }
}

/// Leases with a manifest each, which the provider has already.
fn leases(count: u64, config: &Config) -> Result<Vec<LeaseView>> {
    let store = ManifestStore::open(&config.data_dir)?;
    let terms = LeaseTerms {
        asset: Asset::Native,
        prices: config.pricing.prices(),
        notice_seconds: 60,
        grace_seconds: 60,
        deposit_min: 0,
        ..Default::default()
    };
    let opened_at = system_clock()();
    let lease = |n: u64| -> Result<LeaseView> {
        let manifest = Manifest::parse(&manifest(n))?;
        let size = manifest.pod_resources();
        let resources = Resources {
            cpu_millicores: size.cpu_millicores,
            memory_mib: size.memory_mib,
            storage_mib: size.storage_mib,
            gpus: size.gpus,
        };
        let mut publisher = [1; 32];
        publisher[..8].copy_from_slice(&n.to_le_bytes());
        Ok(LeaseView {
            id: LeaseId(n),
            deployment: DeploymentId(n),
            manifest_hash: store.put(&manifest.to_canonical_json())?,
            version: 1,
            amendments: 0,
            publisher,
            provider: key().public_key().0,
            resources,
            replicas: 1,
            terms,
            state: LeaseState::Pending,
            escrow: 1_000_000_000_000,
            paid: 0,
            open: Vec::new(),
            contested: 0,
            final_due: 0,
            reclaim_at: None,
            is_task: false,
            task: None,
            spend_rate_max: u128::MAX,
            opened_at,
            agents: Vec::new(),
        })
    };
    (1..=count).map(lease).collect()
}

fn manifest(n: u64) -> String {
    format!(
        "apiVersion: casemate.io/v1
kind: Service
metadata: {{name: app-{n}}}
spec:
  containers:
    - name: app
      image: registry.example/app@sha256:{digest}
      env: [{{name: NUMBER, value: '{n}'}}]
      resources: {{cpu: 100m, memory: 64Mi, storage: 16Mi}}
      ports: [{{containerPort: 8000, protocol: HTTP, host: app-{n}.localhost}}]
      readinessProbe: {{httpGet: {{path: /healthz, port: 8000}}}}
",
        digest = "0123456789abcdef".repeat(4)
    )
}

/// Memory of this process that is in use, in MB.
fn resident_mb() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u32>().ok());
    let kibibytes = kibibytes.context("/proc tells no VmRSS")?;
    Ok(f64::from(kibibytes) * 1024.0 / 1e6)
}
