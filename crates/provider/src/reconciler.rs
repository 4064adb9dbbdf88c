//! Keeps pods as the finalised chain says: observe, plan, apply, again and again.
//!
//! The loop owns all its state. Slow work (starting, draining and stopping pods) runs in jobs, at
//! most one for each pod, so that a pod that hangs never holds up another. Everything is safe to
//! repeat after a SIGKILL: what a job had not finished is planned again.

mod jobs;
mod logs;
mod observe;
mod routes;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use casemate_client::chain::{ChainSnapshot, LeaseState, LeaseView, OpenRunView};
use casemate_primitives::{
    AccountBytes, AgentPublicKey, Hash256, LeaseId, ReplicaIndex, RunId, UnixSeconds,
};
use casemate_provider_core::{
    Backend, PodId, PodStatus,
    plan::{self, DesiredLease, History, Wanted},
};
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::JoinSet,
    time::Instant,
};

use crate::{
    Clock,
    facts::FactsCache,
    ingress::Ingress,
    metrics::{Kind, Metrics},
    spool::{NewEvent, RecordKey, Spool, SpoolError},
    world::World,
};
use jobs::Done;
use observe::Seen;

/// What the reconciler is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Chain that records are for.
    pub genesis_hash: Hash256,
    /// How often an agent signs a record.
    pub record_interval: Duration,
    /// How long an update may take.
    pub update_max: Duration,
    /// How long requests may go on in a pod that is stopped.
    pub drain: Duration,
    /// Where TCP ports are opened.
    pub tcp_address: IpAddr,
    /// First and last port that may be given out.
    pub tcp_ports: (u16, u16),
    /// Whether TLS goes through to the pods.
    pub has_tls: bool,
    /// Most bytes of sealed output that are kept for one lease.
    pub log_bytes_max: u64,
}

/// What the reconciler works with.
pub struct Parts<B> {
    /// Runs pods.
    pub backend: Arc<B>,
    /// Finalised state.
    pub snapshots: watch::Receiver<Arc<ChainSnapshot>>,
    /// What outlives the process.
    pub spool: Spool,
    /// Manifests.
    pub facts: FactsCache,
    /// Where traffic comes in.
    pub ingress: Ingress,
    /// The wall clock.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Metrics,
    /// Wakes the loop: something has changed.
    pub wake: Arc<Notify>,
    /// Where the result of each look goes.
    pub world: watch::Sender<Arc<World>>,
}

impl<B> std::fmt::Debug for Parts<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// The loop.
pub struct Reconciler<B> {
    settings: Settings,
    parts: Parts<B>,
    snapshot: Arc<ChainSnapshot>,
    is_ready: bool,
    newest_block: u32,
    warned_block: u32,
    history: History,
    busy: HashSet<PodId>,
    busy_leases: HashSet<LeaseId>,
    jobs: JoinSet<Done>,
    slots: Arc<Semaphore>,
    failures: HashMap<PodId, u32>,
    seen: Option<HashMap<PodId, Seen>>,
    manifests: BTreeMap<PodId, Hash256>,
    had_pods: BTreeSet<LeaseId>,
    newest: HashMap<RecordKey, (u64, UnixSeconds)>,
    ended_runs: HashMap<RecordKey, RunId>,
    host_owners: HashMap<Box<str>, AccountBytes>,
    tcp_ports: BTreeMap<(LeaseId, String, u16), u16>,
    port_problems: BTreeMap<u16, String>,
    problems: BTreeMap<LeaseId, Vec<String>>,
    events: Vec<NewEvent>,
    logs: logs::LogState,
    known_leases: BTreeSet<LeaseId>,
    observations: u64,
    swept_at: Option<Instant>,
}

impl<B> std::fmt::Debug for Reconciler<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reconciler").field("block", &self.newest_block).finish_non_exhaustive()
    }
}

impl<B: Backend> Reconciler<B> {
    /// Reads the spool.
    ///
    /// # Errors
    /// The spool fails.
    pub async fn new(settings: Settings, parts: Parts<B>) -> Result<Self, SpoolError> {
        let spool = &parts.spool;
        let newest_block = spool.newest_block().await?;
        let (manifests, had_pods) = spool.pods().await?;
        let newest = spool.newest_records().await?;
        let ended_runs = spool.ended_runs().await?;
        let tcp_ports = spool.tcp_ports().await?;
        Ok(Self {
            settings,
            snapshot: Arc::default(),
            is_ready: false,
            newest_block,
            warned_block: 0,
            history: History::default(),
            busy: HashSet::new(),
            busy_leases: HashSet::new(),
            jobs: JoinSet::new(),
            slots: Arc::new(Semaphore::new(JOBS_MAX)),
            failures: HashMap::new(),
            seen: None,
            known_leases: had_pods.clone(),
            manifests,
            had_pods,
            newest,
            ended_runs,
            host_owners: HashMap::new(),
            tcp_ports,
            port_problems: BTreeMap::new(),
            problems: BTreeMap::new(),
            events: Vec::new(),
            logs: logs::LogState::default(),
            observations: 0,
            swept_at: None,
            parts,
        })
    }

    /// Reconciles until `shutdown` turns true. Pods go on running; a stop that is under way is
    /// left to the next start.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let backend = Arc::clone(&self.parts.backend);
        let wake = Arc::clone(&self.parts.wake);
        loop {
            let started = Instant::now();
            self.reconcile().await;
            self.parts.metrics.reconcile_seconds.observe(started.elapsed().as_secs_f64());
            let wait = async {
                tokio::time::sleep_until(started + PAUSE_MIN).await;
                tokio::select! {
                    changed = self.parts.snapshots.changed() => if changed.is_err() {
                        // The chain client is gone; the tick goes on.
                        tokio::time::sleep(TICK).await;
                    },
                    () = backend.changed() => (),
                    () = wake.notified() => (),
                    Some(done) = self.jobs.join_next() => return Some(done),
                    () = tokio::time::sleep(TICK) => (),
                }
                None
            };
            let done = tokio::select! {
                done = wait => done,
                _ = shutdown.wait_for(|stop| *stop) => return,
            };
            if let Some(done) = done {
                self.finished(done).await;
            }
            while let Some(done) = self.jobs.try_join_next() {
                self.finished(done).await;
            }
        }
    }

    /// One look at everything, and the steps that follow from it.
    async fn reconcile(&mut self) {
        self.take_snapshot().await;
        let listed = tokio::time::timeout(BACKEND_LIMIT, self.parts.backend.list()).await;
        let pods = match listed {
            Ok(Ok(pods)) => pods,
            Ok(Err(err)) => {
                self.parts.metrics.failed("list");
                tracing::error!(%err, "cannot list the pods; nothing is changed");
                return;
            }
            Err(_) => {
                self.parts.metrics.failed("list");
                tracing::error!("the backend does not answer; nothing is changed");
                return;
            }
        };
        let now = (self.parts.clock)();
        self.problems.clear();
        self.spool_usage(&pods).await;
        self.spool_logs(now).await;
        self.drop_unpayable(&pods).await;
        self.notice(&pods, now);
        let desired = self.desired();
        let runs = self.open_runs();
        if let Some(desired) = &desired {
            self.history.observe(&pods, desired, &runs, now);
            self.meet_new_leases(now).await;
        }
        self.give_out_ports(now).await;
        let plan = plan::plan(&plan::Input {
            leases: desired.as_ref(),
            runs: &runs,
            attested: &self.attested_in_slots(),
            pods: &pods,
            had_pods: &self.had_pods,
            history: &self.history,
            now,
            update_seconds_max: self.settings.update_max.as_secs(),
        });
        let routes = self.routes(&plan, &pods);
        self.port_problems = self.parts.ingress.update(routes, self.settings.tcp_address);
        self.act(plan.actions, now).await;
        self.observations += 1;
        self.publish(pods);
        self.flush_events().await;
        self.sweep(now).await;
    }

    /// Takes over the newest finalised state, unless the node is behind what was acted on before:
    /// a node that syncs afresh says that there are no leases, and all pods would be deleted.
    async fn take_snapshot(&mut self) {
        let snapshot = Arc::clone(&self.parts.snapshots.borrow_and_update());
        let number = snapshot.block_number;
        if number == 0 || (self.is_ready && number <= self.snapshot.block_number) {
            return;
        }
        if number < self.newest_block {
            if self.warned_block == 0 || number >= self.warned_block.saturating_add(1000) {
                self.warned_block = number;
                tracing::warn!(
                    block = number,
                    acted_on = self.newest_block,
                    "the node is behind what this provider has seen; waiting for it. If the chain \
                     was started afresh, give this provider a new data_dir"
                );
            }
            return;
        }
        let same_leases = self.is_ready
            && snapshot.leases.len() == self.snapshot.leases.len()
            && snapshot.leases.keys().eq(self.snapshot.leases.keys());
        // A write for each block would be for nothing: it is the leases that must not go back.
        if !same_leases || number - self.newest_block >= BLOCKS_UNNOTED_MAX {
            if let Err(err) = self.parts.spool.set_newest_block(number).await {
                self.parts.metrics.failed("spool");
                tracing::error!(%err, "cannot note the newest block; it is not acted on");
                return;
            }
            self.newest_block = number;
        }
        let metrics = &self.parts.metrics;
        metrics.block_number.set(i64::from(number));
        metrics.block_time.set(i64::try_from(snapshot.time).unwrap_or(i64::MAX));
        self.snapshot = snapshot;
        self.is_ready = true;
    }

    fn desired(&mut self) -> Option<BTreeMap<LeaseId, DesiredLease>> {
        if !self.is_ready {
            return None;
        }
        let snapshot = Arc::clone(&self.snapshot);
        let mut desired = BTreeMap::new();
        for (id, lease) in &snapshot.leases {
            let facts = self.parts.facts.get(&lease.manifest_hash);
            // Whatever its restart policy is: what was lost, or did not end by itself, is owed.
            let retry_failed = true;
            let wanted = match (&lease.state, &facts) {
                (LeaseState::Closing { .. }, _) => Wanted::Stop,
                _ if is_stopped_task(lease) => Wanted::Stop,
                (_, Some(facts)) if facts.task.is_some() != lease.is_task => {
                    self.problem(
                        *id,
                        "the manifest's kind is not the deployment's: nothing of it would be paid",
                    );
                    Wanted::Wait
                }
                (_, None) => {
                    self.problem(*id, "the manifest is not here: hand it over again");
                    Wanted::Wait
                }
                (_, Some(facts))
                    if !facts.resources.fits_in(&lease.resources)
                        || facts.replicas != lease.replicas =>
                {
                    self.problem(
                        *id,
                        "the manifest asks for more resources or another number of replicas than \
                         the lease pays for: update it, or open a new lease",
                    );
                    Wanted::Wait
                }
                _ => Wanted::Run,
            };
            let (version, replicas) = (lease.version, lease.replicas);
            let is_task = lease.is_task;
            let lease = DesiredLease { version, replicas, wanted, retry_failed, is_task };
            desired.insert(*id, lease);
        }
        Some(desired)
    }

    /// The pods of the runs that the chain says are open.
    fn open_runs(&self) -> BTreeSet<PodId> {
        let tasks = self.snapshot.leases.values().filter_map(|lease| lease.task.as_ref());
        tasks.flat_map(|task| &task.open).filter_map(run_pod).collect()
    }

    /// Keys that the chain has for slots of tasks.
    fn attested_in_slots(&self) -> BTreeSet<(LeaseId, ReplicaIndex, AgentPublicKey)> {
        let mut attested = BTreeSet::new();
        for lease in self.snapshot.leases.values().filter(|lease| lease.is_task) {
            attested.extend(lease.agents.iter().map(|a| (lease.id, a.replica, a.key)));
        }
        attested
    }

    /// Leases that are seen for the first time use up the offer that they were opened with.
    async fn meet_new_leases(&mut self, now: UnixSeconds) {
        let new: Vec<LeaseId> = self
            .snapshot
            .leases
            .keys()
            .filter(|id| !self.known_leases.contains(id))
            .copied()
            .collect();
        self.known_leases
            .retain(|id| self.snapshot.leases.contains_key(id) || self.had_pods.contains(id));
        if new.is_empty() {
            return;
        }
        let Ok(mut quotes) = self.parts.spool.open_quotes(0).await else { return };
        let mut used = Vec::new();
        for id in &new {
            let lease = &self.snapshot.leases[id];
            if let Some(at) = quotes.iter().position(|quote| {
                quote.publisher == lease.publisher && quote.manifest_hash == lease.manifest_hash
            }) {
                used.push(quotes.remove(at).nonce);
            }
        }
        // The manifest must stay when the offer is gone and no pod exists yet: until the next
        // sweep the lease itself names it.
        if !used.is_empty() && self.parts.spool.remove_quotes(used).await.is_err() {
            return;
        }
        for id in new {
            self.known_leases.insert(id);
            self.event(id, now, "leased", None, "the lease was seen on chain".into());
        }
    }

    fn publish(&mut self, pods: Vec<PodStatus>) {
        let metrics = &self.parts.metrics;
        let mut leases: HashMap<&'static str, i64> =
            [("pending", 0), ("active", 0), ("closing", 0)].into();
        for lease in self.snapshot.leases.values() {
            *leases.entry(lease_kind(lease.state)).or_default() += 1;
        }
        let mut phases: HashMap<&'static str, i64> =
            [("starting", 0), ("unready", 0), ("ready", 0), ("ended", 0), ("failed", 0)].into();
        for pod in &pods {
            *phases.entry(observe::phase_kind(&pod.phase)).or_default() += 1;
        }
        for (kind, count) in leases {
            metrics.leases.get_or_create(&Kind { kind }).set(count);
        }
        for (kind, count) in phases {
            metrics.pods.get_or_create(&Kind { kind }).set(count);
        }
        self.parts.world.send_replace(Arc::new(World {
            snapshot: Arc::clone(&self.snapshot),
            pods: Arc::new(pods),
            manifests: Arc::new(self.manifests.clone()),
            newest: Arc::new(self.newest.clone()),
            ended_runs: Arc::new(self.ended_runs.clone()),
            problems: Arc::new(self.problems.clone()),
            tcp_ports: Arc::new(self.tcp_ports.clone()),
            is_ready: self.is_ready,
            observations: self.observations,
        }));
    }

    async fn flush_events(&mut self) {
        if self.events.is_empty() {
            return;
        }
        let events = std::mem::take(&mut self.events);
        if let Err(err) = self.parts.spool.add_events(events).await {
            self.parts.metrics.failed("spool");
            tracing::error!(%err, "cannot keep events");
        }
    }

    /// Throws away offers and manifests that nobody can use any more.
    async fn sweep(&mut self, now: UnixSeconds) {
        if !self.is_ready || self.swept_at.is_some_and(|at| at.elapsed() < SWEEP_INTERVAL) {
            return;
        }
        self.swept_at = Some(Instant::now());
        // An offer may have been used in a block that is not finalised yet.
        let expired_before = now.saturating_sub(FINALITY_SLACK_SECONDS);
        let mut wanted = match self.parts.spool.sweep(expired_before).await {
            Ok(wanted) => wanted,
            Err(err) => return tracing::error!(%err, "cannot sweep the spool"),
        };
        self.sweep_logs().await;
        wanted.extend(self.snapshot.leases.values().map(|lease| lease.manifest_hash));
        let runs = self.snapshot.leases.values().filter_map(|lease| lease.task.as_ref());
        wanted.extend(runs.flat_map(|task| &task.open).map(|run| run.manifest_hash));
        wanted.extend(self.manifests.values());
        self.parts.facts.retain(|hash| wanted.contains(hash));
        let store = self.parts.facts.store().clone();
        let swept =
            tokio::task::spawn_blocking(move || store.sweep(&wanted, MANIFEST_AGE_MIN)).await;
        if let Ok(Err(err)) = swept {
            tracing::error!(%err, "cannot sweep the manifests");
        }
    }

    fn problem(&mut self, lease: LeaseId, text: impl Into<String>) {
        self.problems.entry(lease).or_default().push(text.into());
    }

    fn event(
        &mut self,
        lease: LeaseId,
        time: UnixSeconds,
        kind: &'static str,
        pod: Option<PodId>,
        message: String,
    ) {
        tracing::info!(%lease, pod = pod.map(tracing::field::display), kind, "{message}");
        self.events.push(NewEvent { lease, time, kind, pod, message });
    }
}

/// A task that its publisher has stopped, before its lease.
fn is_stopped_task(lease: &LeaseView) -> bool {
    lease.task.as_ref().is_some_and(|task| task.task.stopped_at.is_some())
}

/// The pod of an open run: its number is the pod's version. After more runs than a version can count
/// there is none, and the run is lost.
pub(crate) fn run_pod(run: &OpenRunView) -> Option<PodId> {
    let version = u32::try_from(run.run.0).ok()?;
    Some(PodId { lease: run.lease, replica: run.replica, version })
}

/// A lease's state as one word.
pub(crate) fn lease_kind(state: LeaseState) -> &'static str {
    match state {
        LeaseState::Pending => "pending",
        LeaseState::Active => "active",
        LeaseState::Closing { .. } => "closing",
    }
}

/// Looks at everything at least this often, should a wake-up be lost.
const TICK: Duration = Duration::from_secs(5);
/// Shortest time from one look to the next: a burst of changes is one look.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const BACKEND_LIMIT: Duration = Duration::from_secs(60);
/// Jobs at a time; more would only fight for the disk.
const JOBS_MAX: usize = 16;
const BLOCKS_UNNOTED_MAX: u32 = 50;
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// Longer than taking an order can take.
const MANIFEST_AGE_MIN: Duration = Duration::from_secs(300);
/// Longer than finality takes on any healthy chain.
const FINALITY_SLACK_SECONDS: u64 = 120;
