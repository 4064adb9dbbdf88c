//! [`LocalBackend`]: the seam's methods over the pods of this machine.

mod logs;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use casemate_agent::config::PreviousRecord;
use casemate_image::Store;
use casemate_primitives::{Hash256, LeaseId, UnixSeconds};
use casemate_provider_core::{
    Attestation, AttestationEndpoint, Backend, BackendError, LogBatch, LogLine, LogMark, LogQuery,
    Pod, PodId, PodPhase, PodStatus, SignedUsageRecord,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use crate::{
    LocalConfig,
    chunks::SetAside,
    error::{Result, chain, engine, io_error},
    files::{make_dir, names, read_optional, remove_tree, write_atomically, write_durably},
    fold::{EventLog, Fold, StoredRecord},
    instance::{Instance, PodPaths},
    lifecycle::{Machine, joined},
    network,
    record::PodRecord,
    runtime::Runtime,
    status::{container_status, phase, refusal},
    upkeep,
};

/// How long another process that uses the data directory is waited for: one that was told to stop
/// finishes the starts it is at.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// Pods on this machine. See the crate.
#[derive(Debug)]
pub struct LocalBackend {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) machine: Arc<Machine>,
    pods: Mutex<BTreeMap<PodId, Arc<Entry>>>,
    changed: Notify,
    /// What [`Backend::changed`] has told last.
    seen: Mutex<Vec<(PodId, u64, bool)>>,
    /// Held while the data directory is in use.
    _lock: File,
}

/// One pod that is on disk, and what was read of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) record: Arc<PodRecord>,
    paths: PodPaths,
    /// Held by whoever starts, stops or removes it.
    pub(crate) work: tokio::sync::Mutex<()>,
    /// Set once it is to go: a start gives up.
    cancel: watch::Sender<bool>,
    started: AtomicBool,
    failed: Mutex<Option<String>>,
    pub(crate) events: Mutex<EventLog>,
}

impl Entry {
    fn new(record: PodRecord, paths: PodPaths) -> Result<Self> {
        let signer = record.signer().to_owned();
        let seals = record.manifest.log_recipient().is_some();
        let events = EventLog::open(paths.clone(), record.genesis_hash, signer, seals)?;
        let failed = read_optional(&paths.failed())?;
        Ok(Self {
            started: AtomicBool::new(paths.started().exists()),
            failed: Mutex::new(failed.map(|text| String::from_utf8_lossy(&text).into_owned())),
            record: Arc::new(record),
            paths,
            work: tokio::sync::Mutex::new(()),
            cancel: watch::Sender::new(false),
            events: Mutex::new(events),
        })
    }

    fn fail(&self, reason: &str) {
        *lock(&self.failed) = Some(reason.to_owned());
        // Where the disk is full it is still known until a restart, which then finds out again.
        if let Err(err) = write_atomically(&self.paths.failed(), reason.as_bytes()) {
            tracing::warn!(pod = %self.record.id, err = chain(&err), "can't note the failure");
        }
    }

    pub(crate) fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    pub(crate) fn has_failed(&self) -> bool {
        lock(&self.failed).is_some()
    }
}

/// A deleted pod's record.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct LastRecord {
    genesis_hash: String,
    record: StoredRecord,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LocalBackend {
    /// Opens the data directory: finds the pods that run, finishes what was half done, and clears
    /// what belongs to nobody.
    ///
    /// # Errors
    /// Where another process uses the directory, no OCI runtime works, or the disk says no.
    pub async fn open(mut config: LocalConfig) -> Result<Self> {
        let inner = joined(
            tokio::task::spawn_blocking(move || {
                make_dir(&config.data_dir)?;
                let canonical =
                    |path: &Path| std::fs::canonicalize(path).map_err(io_error("find", path));
                config.data_dir = canonical(&config.data_dir)?;
                config.agent_path = canonical(&config.agent_path)?;
                Inner::open(config)
            })
            .await,
        )??;
        let inner = Arc::new(inner);
        inner.resume();
        upkeep::spawn(&inner);
        Ok(Self { inner })
    }

    /// Stops and removes all pods, volumes, records, networks and cgroups of this data directory.
    /// Images stay, for the next time.
    ///
    /// # Errors
    /// The first one; the rest is removed all the same.
    pub async fn purge(&self) -> Result<()> {
        let ids: Vec<PodId> = lock(&self.inner.pods).keys().copied().collect();
        let mut tasks = tokio::task::JoinSet::new();
        for id in ids {
            let inner = Arc::clone(&self.inner);
            tasks.spawn(async move { inner.delete(id, Duration::from_secs(1)).await });
        }
        let mut result = Ok(());
        while let Some(task) = tasks.join_next().await {
            // Every one is attempted, whatever became of the others.
            let done = joined(task).and_then(|task| task);
            result = result.and(done);
        }
        let inner = Arc::clone(&self.inner);
        let swept = tokio::task::spawn_blocking(move || {
            upkeep::sweep(&inner)?;
            let instance = &inner.machine.instance;
            let mut result = network::remove_firewall(instance);
            for dir in [
                instance.volumes(),
                instance.last_records(),
                instance.last_logs(),
                instance.predecessors(),
                instance.pods(),
                instance.runtime_dir(),
            ] {
                let removed = remove_tree(&dir);
                result = result.and(removed);
            }
            crate::files::remove_cgroup(&instance.cgroup_root());
            for dir in crate::files::cgroup_dirs("/casemate") {
                // Another backend's groups may be in there.
                let _ = std::fs::remove_dir(dir);
            }
            result
        });
        result.and(joined(swept.await).and_then(|swept| swept))
    }

    /// Runs `f` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        joined(tokio::task::spawn_blocking(move || f(&inner)).await)?
    }
}

impl Drop for LocalBackend {
    fn drop(&mut self) {
        // Starts give up: the next one who opens the directory goes on with them.
        for entry in lock(&self.inner.pods).values() {
            entry.cancel.send_replace(true);
        }
    }
}

impl Inner {
    fn open(config: LocalConfig) -> Result<Self> {
        let instance = Instance::new(config.data_dir.clone());
        let lock = lock_data_dir(&instance.lock_file())?;
        // Tenants' files lie in there, with whatever owners and rights: nobody else may reach them.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&config.data_dir, mode)
            .map_err(io_error("close to others", &config.data_dir))?;
        // An overlay's options are separated by these.
        if config.data_dir.as_os_str().as_encoded_bytes().iter().any(|b| b",:\\\n".contains(b)) {
            let reason =
                "its path has a `,`, `:`, `\\` or line break, which overlay mounts can't take";
            return Err(engine(format!("use `{}`", config.data_dir.display()), reason));
        }
        let dirs = [
            instance.pods(),
            instance.last_records(),
            instance.last_logs(),
            instance.predecessors(),
            instance.volumes(),
        ];
        for dir in dirs {
            make_dir(&dir)?;
        }
        let images = config.images_dir.clone().unwrap_or_else(|| config.data_dir.join("images"));
        let store =
            Store::open(images).map_err(|err| engine("open the image store", chain(&err)))?;
        let runtime = Runtime::find(&instance, config.runtime.as_deref(), &config.agent_path)?;
        if let Err(err) = network::set_firewall(&instance) {
            tracing::warn!(
                err = chain(&err),
                "no firewall: apps can open connections to services of this machine"
            );
        }
        let machine = Machine { config, instance, runtime, store };
        let inner = Self {
            machine: Arc::new(machine),
            pods: Mutex::default(),
            changed: Notify::new(),
            seen: Mutex::default(),
            _lock: lock,
        };
        inner.load()?;
        upkeep::sweep(&inner)?;
        Ok(inner)
    }

    /// Finds the pods on disk.
    fn load(&self) -> Result<()> {
        for name in names(&self.machine.instance.pods())? {
            let Ok(id) = name.parse::<PodId>() else { continue };
            let paths = self.machine.paths(id);
            match PodRecord::read(id, &paths.record()) {
                Ok(Some(record)) => {
                    let entry = Arc::new(Entry::new(record, paths)?);
                    lock(&self.pods).insert(id, entry);
                }
                // Killed before it was accepted: the sweep removes it.
                Ok(None) => {}
                Err(err) => {
                    tracing::warn!(pod = %id, err = chain(&err), "a damaged pod is removed");
                    self.machine.clear(id)?;
                    remove_tree(&paths.dir)?;
                }
            }
        }
        Ok(())
    }

    /// Goes on with the pods that were being started or deleted.
    fn resume(self: &Arc<Self>) {
        for (id, entry) in self.entries() {
            if entry.paths.deleting().exists() {
                let inner = Arc::clone(self);
                tokio::spawn(async move {
                    if let Err(err) = inner.delete(id, Duration::ZERO).await {
                        tracing::warn!(pod = %id, err = chain(&err), "can't finish its deletion");
                    }
                });
            } else if !entry.is_started() && !entry.has_failed() {
                self.spawn_start(&entry, true);
            }
        }
    }

    pub(crate) fn entries(&self) -> Vec<(PodId, Arc<Entry>)> {
        lock(&self.pods).iter().map(|(id, entry)| (*id, Arc::clone(entry))).collect()
    }

    pub(crate) fn has(&self, id: PodId) -> bool {
        lock(&self.pods).contains_key(&id)
    }

    /// Accepts a pod. `None` where it is there already.
    fn accept(&self, pod: &Pod) -> Result<Option<Arc<Entry>>> {
        let machine = &self.machine;
        let mut pods = lock(&self.pods);
        if pods.contains_key(&pod.id) {
            return Ok(None);
        }
        let taken: BTreeSet<Ipv4Addr> = pods.values().map(|entry| entry.record.address).collect();
        let subnet = &machine.config.subnet;
        let address = network::pick_address(subnet, &machine.instance, pod.id, &taken)
            .ok_or_else(|| engine("find an address for the pod", "the subnet is used up"))?;
        let record = PodRecord::new(pod, address, machine.config.tee.is_some());
        let paths = machine.paths(pod.id);
        make_dir(&paths.dir)?;
        record.write(&paths.record())?;
        let entry = Arc::new(Entry::new(record, paths)?);
        pods.insert(pod.id, Arc::clone(&entry));
        Ok(Some(entry))
    }

    fn spawn_start(self: &Arc<Self>, entry: &Arc<Entry>, clear_first: bool) {
        let (inner, entry) = (Arc::clone(self), Arc::clone(entry));
        tokio::spawn(async move {
            let _work = entry.work.lock().await;
            if !*entry.cancel.borrow() {
                inner.start(&entry, clear_first).await;
            }
            inner.changed.notify_waiters();
        });
    }

    async fn start(&self, entry: &Arc<Entry>, clear_first: bool) {
        let id = entry.record.id;
        let clear = || async {
            let machine = Arc::clone(&self.machine);
            joined(tokio::task::spawn_blocking(move || machine.clear(id)).await)?
        };
        let result = async {
            if clear_first {
                clear().await?;
            }
            let previous = self.predecessor(&entry.record)?;
            self.machine.start(&entry.record, previous, entry.cancel.subscribe()).await
        };
        match result.await {
            Ok(()) => entry.started.store(true, Ordering::Release),
            Err(err) => {
                let reason = chain(&err);
                let cancelled = *entry.cancel.borrow();
                tracing::warn!(pod = %id, reason, cancelled, "is not started");
                if let Err(err) = clear().await {
                    tracing::warn!(pod = %id, err = chain(&err), "can't be cleared");
                }
                // A start that was given up is no failure: whoever gave it up goes on from here.
                if !cancelled {
                    entry.fail(&reason);
                }
            }
        }
    }

    /// Ends a pod that may not go on; its output stays.
    pub(crate) async fn end(self: &Arc<Self>, entry: &Arc<Entry>, reason: &str) -> Result<()> {
        let _work = entry.work.lock().await;
        let (machine, id) = (Arc::clone(&self.machine), entry.record.id);
        entry.fail(reason);
        let end = move || {
            machine.stop(id, Duration::from_secs(1))?;
            machine.clear(id)
        };
        let result = joined(tokio::task::spawn_blocking(end).await)?;
        self.changed.notify_waiters();
        result
    }

    async fn delete(self: &Arc<Self>, id: PodId, grace: Duration) -> Result<()> {
        let Some(entry) = lock(&self.pods).get(&id).cloned() else { return Ok(()) };
        entry.cancel.send_replace(true);
        let _work = entry.work.lock().await;
        if !self.has(id) {
            return Ok(());
        }
        let (inner, of) = (Arc::clone(self), Arc::clone(&entry));
        joined(tokio::task::spawn_blocking(move || inner.delete_now(&of, grace)).await)??;
        self.changed.notify_waiters();
        Ok(())
    }

    fn delete_now(&self, entry: &Entry, grace: Duration) -> Result<()> {
        let id = entry.record.id;
        write_atomically(&entry.paths.deleting(), b"")?;
        // A start that was cancelled may have a runtime process left, whose agent comes up now.
        self.machine.wait_for_runtime(id)?;
        self.machine.stop(id, grace)?;
        let records = {
            let mut events = lock(&entry.events);
            events.refresh()?.records(&entry.record.genesis_hash)
        };
        for signed in &records {
            let record = StoredRecord::new(signed);
            let name = format!("{id}.{}.json", record.key.get(..16).unwrap_or_default());
            let path = self.machine.instance.last_records().join(name);
            let last = LastRecord { genesis_hash: hex::encode(entry.record.genesis_hash), record };
            let bytes = serde_json::to_vec(&last)
                .map_err(|err| engine("write a usage record", err.to_string()))?;
            write_durably(&path, &bytes)?;
            // The newest key is the last.
            write_durably(&self.machine.instance.predecessor(id), &bytes)?;
        }
        if let Some((_, at)) = lock(&entry.events).unread_chunks() {
            let dir = self.machine.instance.last_logs();
            let signer = entry.record.signer();
            SetAside::set(&dir, &entry.paths.events(), id, signer, &at)?;
        }
        self.machine.clear(id)?;
        remove_tree(&entry.paths.dir)?;
        lock(&self.pods).remove(&id);
        Ok(())
    }

    fn status(&self, entry: &Entry) -> Result<PodStatus> {
        let id = entry.record.id;
        // Before the events: an agent that ends after its last event was read is seen as alive.
        let containers = &entry.record.manifest.spec.containers;
        let started = entry.is_started();
        let lives: Vec<bool> =
            containers.iter().map(|c| started && self.machine.agent_lives(id, &c.name)).collect();
        let mut events = lock(&entry.events);
        let fold = events.refresh()?;
        let statuses: Vec<_> = containers
            .iter()
            .map(|c| container_status(&c.name, fold.containers.get(&c.name)))
            .collect();
        let refused = fold.containers.iter().find_map(|(name, fold)| refusal(name, fold));
        let phase = match lock(&entry.failed).clone().or(refused) {
            Some(reason) => PodPhase::Failed(reason),
            None if !started => PodPhase::Starting,
            None => {
                let has_ended = fold.has_ended(&entry.record.genesis_hash);
                phase(&statuses, &lives, has_ended, entry.record.run.is_some())
            }
        };
        // An agent whose app has ended serves its evidence until it is stopped.
        let runs = match phase {
            PodPhase::Running { .. } => true,
            PodPhase::Ended(_) => lives.first().is_some_and(|lives| *lives),
            PodPhase::Starting | PodPhase::Failed(_) => false,
        };
        Ok(PodStatus {
            id,
            address: runs.then_some(IpAddr::V4(entry.record.address)),
            phase,
            agent_key: fold.agent_key(),
            attestation: match (&entry.record.tee, fold.attestation()) {
                (None, _) => Attestation::Off,
                (Some(tee), Attestation::Available(endpoint)) => {
                    let app_tls_port = tee.app_tls.map(|tls| tls.port);
                    Attestation::Available(AttestationEndpoint { app_tls_port, ..endpoint })
                }
                (Some(_), waiting) => waiting,
            },
            containers: statuses,
        })
    }

    /// The newest record of the replica's agents before: of a pod that is there (an update), else of
    /// the one that was deleted last.
    fn predecessor(&self, record: &PodRecord) -> Result<Option<PreviousRecord>> {
        let id = record.id;
        let mut newest: Option<SignedUsageRecord> = None;
        let mut add = |signed: SignedUsageRecord| {
            if newest.as_ref().is_none_or(|newest| newest.record.to <= signed.record.to) {
                newest = Some(signed);
            }
        };
        let deleted = read_optional(&self.machine.instance.predecessor(id))?;
        let deleted = deleted.and_then(|bytes| serde_json::from_slice::<LastRecord>(&bytes).ok());
        deleted
            .and_then(|last| last.record.checked(&record.genesis_hash))
            .into_iter()
            .for_each(&mut add);
        for (of, entry) in self.entries() {
            if (of.lease, of.replica) == (id.lease, id.replica) {
                let mut events = lock(&entry.events);
                events.refresh()?.records(&record.genesis_hash).into_iter().for_each(&mut add);
            }
        }
        Ok(newest.map(|signed| StoredRecord::new(&signed).into_previous()))
    }

    fn last_records(&self) -> Result<Vec<(std::path::PathBuf, PodId, SignedUsageRecord)>> {
        let dir = self.machine.instance.last_records();
        let mut records = Vec::new();
        for name in names(&dir)? {
            let Some(id) = name.split('.').next().and_then(|id| id.parse::<PodId>().ok()) else {
                continue;
            };
            let path = dir.join(&name);
            let Some(bytes) = read_optional(&path)? else { continue };
            let checked = serde_json::from_slice::<LastRecord>(&bytes).ok().and_then(|last| {
                let mut genesis_hash = Hash256::default();
                hex::decode_to_slice(&last.genesis_hash, &mut genesis_hash).ok()?;
                last.record.checked(&genesis_hash)
            });
            match checked {
                Some(record) => records.push((path, id, record)),
                None if name.ends_with(".json") => {
                    tracing::warn!(path = %path.display(), "not a usage record");
                }
                None => {}
            }
        }
        Ok(records)
    }

    /// Length of each pod's events file and whether it has failed: what tells that something is new.
    fn mark(&self) -> (Vec<(PodId, u64, bool)>, bool) {
        let mut busy = false;
        let marks = self.entries().into_iter().map(|(id, entry)| {
            let length = std::fs::metadata(entry.paths.events()).map_or(0, |m| m.len());
            let failed = entry.has_failed();
            // Where they are being read right now there is news in any case.
            let ready = entry.events.try_lock().is_ok_and(|events| {
                let mut containers = entry.record.manifest.spec.containers.iter();
                let fold = &events.fold().containers;
                containers.all(|container| fold.get(&container.name).is_some_and(|c| c.ready))
            });
            busy |= !failed && (!entry.is_started() || !ready);
            (id, length, failed)
        });
        (marks.collect(), busy)
    }
}

fn lock_data_dir(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(io_error("open", path))?;
    let start = Instant::now();
    while file.try_lock().is_err() {
        if start.elapsed() > LOCK_PATIENCE {
            let what = format!("use the data directory of `{}`", path.display());
            return Err(engine(what, "another provider uses it; stop that one or choose another"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(file)
}

impl Backend for LocalBackend {
    async fn apply(&self, pod: &Pod) -> Result<(), BackendError> {
        loop {
            let existing = lock(&self.inner.pods).get(&pod.id).cloned();
            match existing {
                Some(entry) if *entry.cancel.borrow() => {
                    // It is being deleted: that comes first.
                    drop(entry.work.lock().await);
                    if self.inner.has(pod.id) {
                        return Err(engine("start the pod", "its deletion has not succeeded yet"));
                    }
                }
                Some(_) => return Ok(()),
                None => break,
            }
        }
        let of = pod.clone();
        if let Some(entry) = self.blocking(move |inner| inner.accept(&of)).await? {
            self.inner.spawn_start(&entry, false);
            self.inner.changed.notify_waiters();
        }
        Ok(())
    }

    async fn delete(&self, id: PodId, grace: Duration) -> Result<(), BackendError> {
        // A task of its own: a caller that gives up does not leave it half done.
        let inner = Arc::clone(&self.inner);
        joined(tokio::spawn(async move { inner.delete(id, grace).await }).await)?
    }

    async fn delete_volumes(&self, lease: LeaseId) -> Result<(), BackendError> {
        self.blocking(move |inner| {
            let dir = inner.machine.instance.volumes();
            let prefix = format!("l{lease}-r");
            for name in names(&dir)?.into_iter().filter(|name| name.starts_with(&prefix)) {
                remove_tree(&dir.join(name))?;
            }
            let dir = inner.machine.instance.predecessors();
            for name in names(&dir)?.into_iter().filter(|name| name.starts_with(&prefix)) {
                let path = dir.join(name);
                std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
            Ok(())
        })
        .await
    }

    async fn list(&self) -> Result<Vec<PodStatus>, BackendError> {
        self.blocking(|inner| {
            let mut statuses = Vec::new();
            for (id, entry) in inner.entries() {
                match inner.status(&entry) {
                    Ok(status) => statuses.push(status),
                    // Deleted since the entries were taken.
                    Err(_) if !inner.has(id) => {}
                    Err(err) => return Err(err),
                }
            }
            Ok(statuses)
        })
        .await
    }

    async fn logs(&self, id: PodId, query: &LogQuery) -> Result<Vec<LogLine>, BackendError> {
        let query = query.clone();
        self.blocking(move |inner| {
            let entry = lock(&inner.pods).get(&id).cloned().ok_or(BackendError::NotFound(id))?;
            if let Some(container) = &query.container
                && !entry.record.manifest.spec.containers.iter().any(|c| c.name == *container)
            {
                return Err(BackendError::NoSuchContainer {
                    pod: id,
                    container: container.clone(),
                });
            }
            let reader = lock(&entry.events).reader();
            reader.lines(&query)
        })
        .await
    }

    async fn usage(&self) -> Result<Vec<(PodId, SignedUsageRecord)>, BackendError> {
        self.blocking(|inner| {
            let mut records: BTreeMap<_, _> = BTreeMap::new();
            for (_, id, record) in inner.last_records()? {
                records.insert((id, record.key), record);
            }
            for (id, entry) in inner.entries() {
                let mut events = lock(&entry.events);
                for record in Fold::records(events.refresh()?, &entry.record.genesis_hash) {
                    records.insert((id, record.key), record);
                }
            }
            Ok(records.into_iter().map(|((id, _), record)| (id, record)).collect())
        })
        .await
    }

    async fn forget_usage(&self, id: PodId, to: UnixSeconds) -> Result<(), BackendError> {
        self.blocking(move |inner| {
            for (path, of, signed) in inner.last_records()? {
                if of == id && signed.record.to <= to {
                    std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn logged(&self) -> Result<Vec<PodId>, BackendError> {
        self.blocking(Inner::logged).await
    }

    async fn log_chunks(&self, id: PodId) -> Result<Option<LogBatch>, BackendError> {
        self.blocking(move |inner| inner.log_chunks(id)).await
    }

    async fn forget_log_chunks(&self, id: PodId, mark: &LogMark) -> Result<(), BackendError> {
        let mark = mark.clone();
        self.blocking(move |inner| inner.forget_log_chunks(id, &mark)).await
    }

    async fn changed(&self) {
        /// A wake-up for nothing tells of what no event tells: an agent that was killed.
        const QUIET: Duration = Duration::from_secs(5);
        let start = Instant::now();
        let mut pause = Duration::from_millis(10);
        loop {
            let notified = self.inner.changed.notified();
            let (mark, busy) = self.inner.mark();
            let news = *lock(&self.inner.seen) != mark;
            if news || start.elapsed() >= QUIET {
                *lock(&self.inner.seen) = mark;
                return;
            }
            let _ = tokio::time::timeout(pause, notified).await;
            // While something starts, each part of a second counts for who waits for it.
            let longest = Duration::from_millis(if busy { 50 } else { 500 });
            pause = (pause * 3 / 2).min(longest);
        }
    }
}
