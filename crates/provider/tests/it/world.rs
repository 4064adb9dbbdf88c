//! A provider with its surroundings, which can be "killed" and started again.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use casemate_client::{
    chain::{Endorsement, LeaseState, LeaseView, ProviderView, Submission},
    provider::{ProviderClient, ProviderError, QuoteWanted, SignedQuote},
};
use casemate_manifest::Manifest;
use casemate_primitives::{Asset, DeploymentId, Hash256, LeaseId, Resources, TeeKind, blake2_256};
use casemate_provider::{
    App, Chain as _, Config,
    app::Deps,
    attestation::{Attestor, ClusterAttestor, Evidence, EvidenceError, Wanted},
    chain::fake::FakeChain,
    front::Addresses,
};
use casemate_provider_core::{
    Backend, BackendError, LogBatch, LogLine, LogMark, LogQuery, MemoryBackend, Pod, PodId,
    PodStatus, SignedUsageRecord,
};
use futures::future::BoxFuture;
use subxt_signer::sr25519::{Keypair, dev};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};

pub(crate) const GENESIS: [u8; 32] = [7; 32];
pub(crate) const DIGEST: &str =
    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

pub(crate) struct World {
    _dir: TempDir,
    pub(crate) chain: FakeChain,
    pub(crate) backend: MemoryBackend,
    pub(crate) config: Config,
    pub(crate) agents: Agents,
    /// What makes evidence of the daemon itself, from its next start on.
    pub(crate) cluster: Option<Arc<dyn ClusterAttestor>>,
    /// How far the daemon's clock is ahead, in seconds, from its next start on.
    pub(crate) clock_ahead: u64,
    places: Places,
    running: Option<(watch::Sender<bool>, JoinHandle<()>, Addresses)>,
}

type Places = Arc<Mutex<BTreeMap<PodId, IpAddr>>>;

/// The memory backend, but pods answer where a test has put servers for them.
struct Placed {
    inner: MemoryBackend,
    places: Places,
}

impl Backend for Placed {
    async fn apply(&self, pod: &Pod) -> Result<(), BackendError> {
        self.inner.apply(pod).await
    }

    async fn delete(&self, id: PodId, grace: Duration) -> Result<(), BackendError> {
        self.inner.delete(id, grace).await
    }

    async fn delete_volumes(&self, lease: LeaseId) -> Result<(), BackendError> {
        self.inner.delete_volumes(lease).await
    }

    async fn list(&self) -> Result<Vec<PodStatus>, BackendError> {
        let mut pods = self.inner.list().await?;
        let places = self.places.lock().unwrap();
        for pod in &mut pods {
            if let Some(place) = places.get(&pod.id) {
                pod.address = Some(*place);
            }
        }
        Ok(pods)
    }

    async fn logs(&self, id: PodId, query: &LogQuery) -> Result<Vec<LogLine>, BackendError> {
        self.inner.logs(id, query).await
    }

    async fn usage(&self) -> Result<Vec<(PodId, SignedUsageRecord)>, BackendError> {
        self.inner.usage().await
    }

    async fn forget_usage(&self, id: PodId, to: u64) -> Result<(), BackendError> {
        self.inner.forget_usage(id, to).await
    }

    async fn logged(&self) -> Result<Vec<PodId>, BackendError> {
        self.inner.logged().await
    }

    async fn log_chunks(&self, id: PodId) -> Result<Option<LogBatch>, BackendError> {
        self.inner.log_chunks(id).await
    }

    async fn forget_log_chunks(&self, id: PodId, mark: &LogMark) -> Result<(), BackendError> {
        self.inner.forget_log_chunks(id, mark).await
    }

    async fn changed(&self) {
        self.inner.changed().await;
    }
}

/// What answers for the agents in the pods.
#[derive(Clone, Default)]
pub(crate) struct Agents {
    asked: Arc<Mutex<Vec<Wanted>>>,
    failures: Arc<Mutex<Vec<(Option<Hash256>, EvidenceError)>>>,
}

impl Agents {
    /// All that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Wanted> {
        self.asked.lock().unwrap().clone()
    }

    /// The next question is answered with this.
    pub(crate) fn fail_next(&self, err: EvidenceError) {
        self.failures.lock().unwrap().push((None, err));
    }

    /// The next question with this nonce is answered with this.
    pub(crate) fn fail_next_of(&self, nonce: Hash256, err: EvidenceError) {
        self.failures.lock().unwrap().push((Some(nonce), err));
    }
}

impl Attestor for Agents {
    fn evidence(&self, wanted: Wanted) -> BoxFuture<'_, Result<Evidence, EvidenceError>> {
        let evidence = [&wanted.keys.agent[..], &wanted.block_hash[..]].concat();
        let mut failures = self.failures.lock().unwrap();
        let is_meant = |of: &Option<Hash256>| of.is_none_or(|nonce| nonce == wanted.block_hash);
        let failure = failures.iter().rposition(|(of, _)| is_meant(of));
        let failure = failure.map(|index| failures.remove(index).1);
        drop(failures);
        self.asked.lock().unwrap().push(wanted);
        let answer = match failure {
            Some(err) => Err(err),
            None => Ok(Evidence {
                submission: Submission { kind: TeeKind::IntelTdx, evidence, certificate: [5; 32] },
                endorsements: vec![
                    Endorsement::PckCrl { crl: vec![1], issuer_chain: "issuer".into() },
                    Endorsement::Pck { chain: "chain".into() },
                ],
            }),
        };
        Box::pin(async { answer })
    }
}

pub(crate) fn provider_key() -> Keypair {
    dev::bob()
}

pub(crate) fn provider_view() -> ProviderView {
    ProviderView {
        account: provider_key().public_key().0,
        name: "p".into(),
        regions: vec![],
        endpoints: vec![],
        tee_kinds: vec![],
        capacity: Resources {
            cpu_millicores: 4000,
            memory_mib: 4096,
            storage_mib: 10_000,
            gpus: 0,
        },
        used: Resources::default(),
        price_lists: vec![],
        stake: 0,
        unbonding: vec![],
        live_leases: 0,
        cluster: None,
    }
}

/// A manifest with an HTTP port; `extra` goes below the port list's entry.
pub(crate) fn manifest(name: &str, host: &str, port: u16, replicas: u16, more: &str) -> String {
    let yaml = format!(
        "apiVersion: casemate.io/v1
kind: Service
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  terminationGracePeriodSeconds: 1
  containers:
    - name: app
      image: registry.example/app@{DIGEST}
      resources: {{cpu: 100m, memory: 64Mi, storage: 16Mi}}
      ports:
        - {{containerPort: {port}, protocol: HTTP, host: {host}}}
{more}"
    );
    let manifest = Manifest::parse(&yaml).unwrap();
    String::from_utf8(manifest.to_canonical_json()).unwrap()
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::parse(Config::SAMPLE).unwrap();
        config.data_dir = dir.path().join("data");
        config.api.listen = "127.0.0.1:0".parse().unwrap();
        config.ingress.listen = "127.0.0.1:0".parse().unwrap();
        config.ingress.tls_listen = Some("127.0.0.1:0".parse().unwrap());
        config.metrics_listen = Some("127.0.0.1:0".parse().unwrap());
        config.timing.record_interval = "1s".parse().unwrap();
        config.timing.claim_interval = "60s".parse().unwrap();
        change(&mut config);
        let mut world = Self {
            _dir: dir,
            chain: FakeChain::new(GENESIS, provider_view()),
            backend: MemoryBackend::new(),
            config,
            agents: Agents::default(),
            cluster: None,
            clock_ahead: 0,
            places: Places::default(),
            running: None,
        };
        world.chain.block(|snapshot| snapshot.time = now());
        world.run().await;
        world
    }

    /// What the daemon is started with.
    pub(crate) fn deps(&self) -> Deps<FakeChain, impl Backend + use<>> {
        let (clock, ahead) = (casemate_provider::system_clock(), self.clock_ahead);
        Deps {
            chain: self.chain.clone(),
            backend: Placed { inner: self.backend.clone(), places: Arc::clone(&self.places) },
            key: provider_key(),
            attestor: Arc::new(self.agents.clone()),
            clock: Arc::new(move || clock() + ahead),
        }
    }

    /// Starts the daemon (again), on the same data, backend and chain.
    pub(crate) async fn run(&mut self) {
        let mut app = App::build(self.config.clone(), self.deps()).await.unwrap();
        if let Some(cluster) = &self.cluster {
            app = app.with_cluster(Arc::clone(cluster));
        }
        let addresses = app.addresses();
        let (stop, shutdown) = watch::channel(false);
        let task = tokio::spawn(async move { app.run(shutdown).await.unwrap() });
        self.running = Some((stop, task, addresses));
    }

    /// The chain's newest block.
    pub(crate) fn height(&self) -> u32 {
        self.chain.snapshots().borrow().block_number
    }

    /// Where it takes TLS.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.addresses().tls.unwrap()
    }

    /// Its metrics as they stand.
    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.addresses().metrics.unwrap());
        plain().get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Ends the daemon without a farewell, as far as that goes within one process.
    pub(crate) async fn kill(&mut self) {
        let (stop, task, _) = self.running.take().unwrap();
        task.abort();
        // The ingress' threads see their sender go.
        drop(stop);
        let _ = task.await;
    }

    pub(crate) async fn stop(&mut self) {
        let (stop, task, _) = self.running.take().unwrap();
        stop.send_replace(true);
        task.await.unwrap();
    }

    pub(crate) fn addresses(&self) -> Addresses {
        self.running.as_ref().unwrap().2
    }

    pub(crate) fn client(&self, key: Keypair) -> ProviderClient {
        let endpoint = format!("http://{}", self.addresses().api);
        let account = provider_key().public_key().0;
        ProviderClient::new(&endpoint, account, GENESIS, Arc::new(key)).unwrap()
    }

    pub(crate) async fn quote(
        &self,
        key: Keypair,
        manifest: &str,
    ) -> Result<SignedQuote, ProviderError> {
        self.quote_in(Asset::Native, key, manifest).await
    }

    /// In this asset.
    pub(crate) async fn quote_in(
        &self,
        asset: Asset,
        key: Keypair,
        manifest: &str,
    ) -> Result<SignedQuote, ProviderError> {
        // Right after its start the daemon may not have read the chain.
        let client = self.client(key);
        until("the chain was read", async || client.info().await.unwrap().block_number.map(drop))
            .await;
        let (resources, replicas) = size_of(manifest);
        client.quote(&QuoteWanted { manifest, resources, replicas, asset }).await
    }

    /// Opens a lease as the chain would with this quote.
    pub(crate) fn open(&self, id: u64, signed: &SignedQuote) -> LeaseId {
        let quote = &signed.quote;
        self.chain.put_lease(LeaseView {
            id: LeaseId(id),
            deployment: DeploymentId(id),
            manifest_hash: quote.manifest_hash,
            version: 1,
            amendments: 0,
            publisher: quote.publisher,
            provider: quote.provider,
            resources: quote.resources,
            replicas: quote.replicas,
            terms: quote.terms,
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
            opened_at: now(),
            agents: Vec::new(),
        });
        LeaseId(id)
    }

    /// Quote, lease and manifest in one go.
    pub(crate) async fn deploy(&self, id: u64, key: Keypair, manifest: &str) -> LeaseId {
        let quote = self.quote(key, manifest).await.unwrap();
        self.open(id, &quote)
    }

    pub(crate) async fn update(&self, lease: LeaseId, key: Keypair, manifest: &str) {
        self.client(key).put_manifest(lease, manifest).await.unwrap();
        let mut view = self.chain.lease(lease).unwrap();
        view.manifest_hash = blake2_256(manifest.as_bytes());
        view.version += 1;
        self.chain.put_lease(view);
    }

    /// Lets a pod, now or later, answer at `at`.
    pub(crate) fn place(&self, lease: LeaseId, replica: u16, version: u32, at: IpAddr) {
        self.places.lock().unwrap().insert(PodId { lease, replica, version }, at);
    }

    pub(crate) async fn get(&self, host: &str, path: &str) -> reqwest::Response {
        let url = format!("http://{}{path}", self.addresses().ingress);
        plain().get(url).header("host", host).send().await.unwrap()
    }
}

pub(crate) fn size_of(manifest: &str) -> (Resources, u16) {
    let manifest = Manifest::from_json(manifest.as_bytes()).unwrap();
    let r = manifest.pod_resources();
    let resources = Resources {
        cpu_millicores: r.cpu_millicores,
        memory_mib: r.memory_mib,
        storage_mib: r.storage_mib,
        gpus: r.gpus,
    };
    (resources, manifest.spec.replicas)
}

pub(crate) fn plain() -> reqwest::Client {
    static INSTALLED: std::sync::Once = std::sync::Once::new();
    INSTALLED.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

pub(crate) fn now() -> u64 {
    casemate_provider::system_clock()()
}

/// A loopback address that no other test of this process uses.
pub(crate) fn loopback() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(2);
    IpAddr::V4(Ipv4Addr::new(127, 0, 3, NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Polls until there is something, at most two minutes.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let polled = tokio::time::timeout(Duration::from_secs(120), async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    polled.await.unwrap_or_else(|_| panic!("timed out: {what}"))
}

pub(crate) fn counts(calls: &[casemate_provider::chain::fake::Call]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(format!("{call:?}")).or_default() += 1;
    }
    counts
}
