//! A backend that runs nothing: for tests and benches of what stands above the seam.

mod logs;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use casemate_agent::{Observed, Signer, config::SignerConfig};
use casemate_logs::ChunkWriter;
use casemate_manifest::{Manifest, VolumeSource};
use casemate_primitives::{
    AgentPublicKey, LeaseId, LogChunk, LogHead, PodState, ReplicaIndex, Resources, TeeKind,
    UnixSeconds, blake2_256,
};
use tokio::sync::Notify;

use crate::{
    Attestation, AttestationEndpoint, Backend, BackendError, ContainerState, ContainerStatus,
    LogBatch, LogLine, LogMark, LogQuery, LogStream, Pod, PodId, PodPhase, PodStatus,
    SignedUsageRecord,
};

/// Lines that a pod keeps.
const LINES_MAX: usize = 1000;

/// Pods that exist only in memory. Clones share them: a clone is what a restarted provider opens.
///
/// Signers are real (a key for each pod, records that verify), the rest is told by the manifest:
/// - a pod is ready at once, and says that its evidence can be had (nothing serves it);
/// - a container whose `command` is `["exit", CODE]` ends with that code: once, or for ever with
///   restart policy `Always` (and `OnFailure`, where the code is not 0);
/// - with `spec.logs`, the first container's lines are sealed and not in [`Backend::logs`]: each
///   record ends a chunk;
/// - each start prints `hello`; with a persistent volume also `run N`, N being the volume's starts;
/// - an image that was given to [`MemoryBackend::refuse_image`] can't be had.
#[derive(Clone, Debug, Default)]
pub struct MemoryBackend {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
    offset_seconds: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    pods: BTreeMap<PodId, MemoryPod>,
    last_records: BTreeMap<(PodId, AgentPublicKey), SignedUsageRecord>,
    written: logs::Written,
    volumes: BTreeMap<(LeaseId, ReplicaIndex, String), u64>,
    refused_images: BTreeSet<String>,
    failures: VecDeque<String>,
    /// What pods from now on say of their evidence instead of where it is.
    attestation: Option<Attestation>,
    addresses: u32,
}

#[derive(Debug)]
struct MemoryPod {
    status: PodStatus,
    interval: Duration,
    signer: Option<Signer>,
    /// What its records say.
    state: PodState,
    start: UnixSeconds,
    last: Option<SignedUsageRecord>,
    lines: VecDeque<LogLine>,
    cursor: u64,
    /// The container whose agent signs, and seals.
    first: String,
    /// Where its lines go if they are sealed.
    writer: Option<ChunkWriter>,
    /// Chunks that are on their way to [`State::written`].
    chunks: Vec<LogChunk>,
}

impl MemoryBackend {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on, pods with this image (as it stands in the manifest) fail.
    pub fn refuse_image(&self, image: &str) {
        self.lock().refused_images.insert(image.to_owned());
    }

    /// The next call of `apply`, `delete` or `list` fails with this reason, as where the engine
    /// does not answer. Several queue up.
    pub fn fail_next(&self, reason: &str) {
        self.lock().failures.push_back(reason.to_owned());
    }

    /// Lets this many seconds pass for the usage records.
    pub fn advance(&self, seconds: u64) {
        self.shared.offset_seconds.fetch_add(seconds, Ordering::Relaxed);
        self.shared.changed.notify_waiters();
    }

    /// Sets whether a running pod takes traffic. Returns whether there is such a pod.
    pub fn set_ready(&self, id: PodId, ready: bool) -> bool {
        self.with_running(id, |pod| {
            pod.status.phase = PodPhase::Running { ready };
            for container in &mut pod.status.containers {
                container.ready = ready;
            }
        })
    }

    /// Sets where the pod is reached, such as a server that a test has started. Returns whether
    /// there is such a pod.
    pub fn set_address(&self, id: PodId, address: IpAddr) -> bool {
        self.with_running(id, |pod| pod.status.address = Some(address))
    }

    /// From now on, pods start with this instead of evidence.
    pub fn start_with_attestation(&self, attestation: Attestation) {
        self.lock().attestation = Some(attestation);
    }

    /// Sets what a running pod says of its evidence. Returns whether there is such a pod.
    pub fn set_attestation(&self, id: PodId, attestation: Attestation) -> bool {
        self.with_running(id, |pod| pod.status.attestation = attestation)
    }

    /// Adds a line of output. Returns whether there is such a pod.
    pub fn print(&self, id: PodId, container: &str, text: &str) -> bool {
        let now_ms = self.now().saturating_mul(1000);
        self.with_running(id, |pod| pod.print(container, text, now_ms))
    }

    /// Head of a running pod's log, over the chunks that are sealed.
    pub fn log_head(&self, id: PodId) -> Option<LogHead> {
        Some(self.lock().pods.get(&id)?.writer.as_ref()?.head())
    }

    /// What a hostile agent writes instead of what it should: a chunk of anything, or (`None`) what
    /// is no chunk.
    pub fn write_chunk(&self, id: PodId, chunk: Option<LogChunk>) {
        self.lock().written.push(id, chunk);
        self.shared.changed.notify_waiters();
    }

    /// Ends a pod as if its agent had been killed: its key is lost, and it has failed. Returns
    /// whether there is such a pod.
    pub fn kill(&self, id: PodId) -> bool {
        self.with_running(id, |pod| {
            pod.signer = None;
            pod.status.phase = PodPhase::Failed("the agent was killed".to_owned());
            pod.status.address = None;
        })
    }

    /// Names of the persistent volumes that exist.
    pub fn volumes(&self) -> Vec<(LeaseId, ReplicaIndex, String)> {
        self.lock().volumes.keys().cloned().collect()
    }

    fn with_running(&self, id: PodId, f: impl FnOnce(&mut MemoryPod)) -> bool {
        let mut state = self.lock();
        let found = state.pods.get_mut(&id).map(f).is_some();
        state.take_chunks(id);
        drop(state);
        self.shared.changed.notify_waiters();
        found
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> UnixSeconds {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        now.saturating_add(self.shared.offset_seconds.load(Ordering::Relaxed))
    }
}

impl MemoryPod {
    fn print(&mut self, container: &str, text: &str, time_ms: u64) {
        if let Some(writer) = self.writer.as_mut() {
            let stream = casemate_logs::Stream::Stdout;
            let of = if self.first == container { "" } else { container };
            self.chunks.extend(writer.line_of(of, time_ms, stream, text.as_bytes(), false));
            return;
        }
        self.cursor += 1;
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(LogLine {
            cursor: self.cursor,
            time_ms,
            container: container.to_owned(),
            stream: LogStream::Stdout,
            text: text.to_owned(),
        });
    }

    /// Makes a record where one is due, or in any case.
    fn record(&mut self, now: UnixSeconds, in_any_case: bool) {
        let Some(signer) = &mut self.signer else { return };
        let due = match &self.last {
            None => true,
            Some(last) => now.saturating_sub(last.record.to) >= self.interval.as_secs().max(1),
        };
        if due || in_any_case {
            let elapsed = Duration::from_secs(now.saturating_sub(self.start));
            self.chunks.extend(self.writer.as_mut().and_then(ChunkWriter::flush));
            let log = self.writer.as_ref().map(ChunkWriter::head).unwrap_or_default();
            let observed = Observed { log, state: self.state, ..Observed::default() };
            let (record, signature) = signer.record(now, elapsed, &observed);
            let key = signer.public_key();
            self.last = Some(SignedUsageRecord { record, key, signature, run: None });
        }
    }
}

impl State {
    /// Takes what a pod has sealed to where it outlives the pod.
    fn take_chunks(&mut self, id: PodId) {
        let chunks = self.pods.get_mut(&id).map(|pod| std::mem::take(&mut pod.chunks));
        for chunk in chunks.unwrap_or_default() {
            self.written.push(id, Some(chunk));
        }
    }

    fn fail(&mut self, what: &str) -> Result<(), BackendError> {
        match self.failures.pop_front() {
            Some(reason) => Err(BackendError::Engine { what: what.to_owned(), reason }),
            None => Ok(()),
        }
    }

    fn start(&mut self, pod: &Pod, now: UnixSeconds) -> Result<MemoryPod, BackendError> {
        let containers = &pod.manifest.spec.containers;
        let quota = pod.manifest.pod_resources();
        let quota = Resources {
            cpu_millicores: quota.cpu_millicores,
            memory_mib: quota.memory_mib,
            storage_mib: quota.storage_mib,
            gpus: quota.gpus,
        };
        let config = SignerConfig {
            genesis_hash: pod.genesis_hash,
            lease: pod.id.lease,
            replica: pod.id.replica,
            quota,
            record_interval_ms: 1000,
            previous: None,
        };
        let engine = |reason: String| BackendError::Engine { what: "make a key".into(), reason };
        let mut started = MemoryPod {
            status: PodStatus {
                id: pod.id,
                phase: PodPhase::Running { ready: true },
                agent_key: None,
                address: None,
                attestation: Attestation::Off,
                containers: Vec::with_capacity(containers.len()),
            },
            interval: pod.record_interval,
            signer: None,
            state: PodState::Running,
            start: now,
            last: None,
            lines: VecDeque::new(),
            cursor: 0,
            first: containers.first().map(|container| container.name.clone()).unwrap_or_default(),
            writer: None,
            chunks: Vec::new(),
        };
        let refused = containers.iter().find(|c| self.refused_images.contains(c.image.as_str()));
        if let Some(container) = refused {
            let reason = format!("image `{}`: there is no such image", container.image);
            started.status.phase = PodPhase::Failed(reason);
            return Ok(started);
        }
        let signer = Signer::new(config, now).map_err(|err| engine(err.to_string()))?;
        started.status.agent_key = Some(signer.public_key());
        if let Some(recipient) = pod.manifest.log_recipient() {
            let PodId { lease, replica, .. } = pod.id;
            let key = signer.public_key();
            let writer =
                ChunkWriter::new(pod.genesis_hash, lease, replica, key, *recipient.as_bytes());
            started.writer = Some(writer.map_err(|err| engine(err.to_string()))?);
        }
        started.status.attestation = match &self.attestation {
            Some(attestation) => attestation.clone(),
            None => Attestation::Available(AttestationEndpoint {
                tee: TeeKind::IntelTdx,
                port: casemate_agent::config::ATTESTATION_PORT,
                app_tls_port: None,
                // Nobody has the other halves.
                hpke_key: blake2_256(&signer.public_key()),
                tls_spki_sha256: blake2_256(&blake2_256(&signer.public_key())),
            }),
        };
        started.signer = Some(signer);
        self.addresses = self.addresses.wrapping_add(1);
        let [_, b, c, d] = self.addresses.to_be_bytes();
        started.status.address = Some(IpAddr::V4(Ipv4Addr::new(10, b, c, d)));
        self.run_containers(&mut started, &pod.manifest, now);
        Ok(started)
    }

    fn run_containers(&mut self, pod: &mut MemoryPod, manifest: &Manifest, now: UnixSeconds) {
        let mut ended = Vec::new();
        for container in &manifest.spec.containers {
            let exit_code = match container.command.as_slice() {
                [exit, code] if exit == "exit" => code.parse().ok(),
                _ => None,
            };
            let policy = manifest.spec.restart_policy;
            let (state, restarts) = match exit_code {
                None => (ContainerState::Running, 0),
                Some(exit_code) => match policy {
                    casemate_manifest::RestartPolicy::Always => {
                        (ContainerState::BackOff { exit_code }, 1)
                    }
                    casemate_manifest::RestartPolicy::OnFailure if exit_code != 0 => {
                        (ContainerState::BackOff { exit_code }, 1)
                    }
                    _ => {
                        let code = u8::try_from(exit_code).unwrap_or(u8::MAX);
                        let name = &container.name;
                        ended.push((
                            code,
                            format!("container `{name}` ended with exit code {exit_code}"),
                        ));
                        (ContainerState::Exited { exit_code }, 0)
                    }
                },
            };
            let ready = state == ContainerState::Running;
            if !ready {
                pod.status.phase = PodPhase::Running { ready: false };
            }
            pod.print(&container.name, "hello", now.saturating_mul(1000));
            for mount in &container.volume_mounts {
                let volume = manifest.spec.volumes.iter().find(|v| v.name == mount.name);
                let source = volume.and_then(casemate_manifest::Volume::source);
                if let Some(VolumeSource::Persistent { .. }) = source {
                    let id = pod.status.id;
                    let key = (id.lease, id.replica, mount.name.clone());
                    let runs = self.volumes.entry(key).or_insert(0);
                    *runs += 1;
                    let text = format!("run {runs}");
                    pod.print(&container.name, &text, now.saturating_mul(1000));
                }
            }
            pod.status.containers.push(ContainerStatus {
                name: container.name.clone(),
                state,
                restarts,
                ready,
            });
        }
        if let Some((code, reason)) = ended.into_iter().next() {
            pod.state = PodState::Ended { code };
            pod.record(now, true);
            pod.signer = None;
            pod.status.phase = PodPhase::Ended(reason);
        }
    }
}

impl Backend for MemoryBackend {
    async fn apply(&self, pod: &Pod) -> Result<(), BackendError> {
        let now = self.now();
        let mut state = self.lock();
        state.fail("start a pod")?;
        if !state.pods.contains_key(&pod.id) {
            let mut started = state.start(pod, now)?;
            started.record(now, false);
            state.pods.insert(pod.id, started);
            state.take_chunks(pod.id);
            drop(state);
            self.shared.changed.notify_waiters();
        }
        Ok(())
    }

    async fn delete(&self, id: PodId, _grace: Duration) -> Result<(), BackendError> {
        let now = self.now();
        let mut state = self.lock();
        state.fail("stop a pod")?;
        if let Some(mut pod) = state.pods.remove(&id) {
            pod.record(now, true);
            for chunk in pod.chunks {
                state.written.push(id, Some(chunk));
            }
            if let Some(last) = pod.last {
                state.last_records.insert((id, last.key), last);
            }
            drop(state);
            self.shared.changed.notify_waiters();
        }
        Ok(())
    }

    async fn delete_volumes(&self, lease: LeaseId) -> Result<(), BackendError> {
        self.lock().volumes.retain(|(of, _, _), _| *of != lease);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<PodStatus>, BackendError> {
        let mut state = self.lock();
        state.fail("list the pods")?;
        Ok(state.pods.values().map(|pod| pod.status.clone()).collect())
    }

    async fn logs(&self, id: PodId, query: &LogQuery) -> Result<Vec<LogLine>, BackendError> {
        let state = self.lock();
        let pod = state.pods.get(&id).ok_or(BackendError::NotFound(id))?;
        if let Some(container) = &query.container {
            // A pod that could not be started has no statuses: any name is accepted then.
            let names = &pod.status.containers;
            if !names.is_empty() && !names.iter().any(|c| c.name == *container) {
                return Err(BackendError::NoSuchContainer {
                    pod: id,
                    container: container.clone(),
                });
            }
        }
        Ok(query.select(pod.lines.iter().cloned()))
    }

    async fn usage(&self) -> Result<Vec<(PodId, SignedUsageRecord)>, BackendError> {
        let now = self.now();
        let mut state = self.lock();
        let state = &mut *state;
        let mut records = state.last_records.clone();
        for (id, pod) in &mut state.pods {
            pod.record(now, false);
            for chunk in pod.chunks.drain(..) {
                state.written.push(*id, Some(chunk));
            }
            if let Some(last) = &pod.last {
                records.insert((*id, last.key), last.clone());
            }
        }
        Ok(records.into_iter().map(|((id, _), record)| (id, record)).collect())
    }

    async fn forget_usage(&self, id: PodId, to: UnixSeconds) -> Result<(), BackendError> {
        self.lock().last_records.retain(|(of, _), last| *of != id || last.record.to > to);
        Ok(())
    }

    async fn logged(&self) -> Result<Vec<PodId>, BackendError> {
        Ok(self.lock().written.pods())
    }

    async fn log_chunks(&self, id: PodId) -> Result<Option<LogBatch>, BackendError> {
        Ok(self.lock().written.batch(id))
    }

    async fn forget_log_chunks(&self, id: PodId, mark: &LogMark) -> Result<(), BackendError> {
        self.lock().written.forget(id, mark);
        Ok(())
    }

    async fn changed(&self) {
        // A second at most: a notification between two calls is lost, and records come with time.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.shared.changed.notified()).await;
    }
}

#[cfg(test)]
mod tests;
