//! [`Backend`]: the one seam between the provider and whatever runs pods.

use std::{net::IpAddr, sync::Arc, time::Duration};

use casemate_manifest::Manifest;
use casemate_primitives::{
    AgentPublicKey, AgentSignature, Hash256, LeaseId, LogChunk, ReplicaIndex, RunId, RunResult,
    TeeKind, UnixSeconds, UsageRecord,
};

/// A pod: one replica of a lease at one version of its manifest.
///
/// The version is part of the id, so that the old and the new pod run side by side during an
/// update.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PodId {
    /// Whose money runs it.
    pub lease: LeaseId,
    /// Which replica.
    pub replica: ReplicaIndex,
    /// Version of the deployment's manifest, counted by the chain from 1; of a task's pod the number of
    /// its run, so that no two runs share a pod.
    pub version: u32,
}

/// `l<lease>-r<replica>-v<version>`: the pod's name in file systems, cgroups and namespaces.
impl std::fmt::Display for PodId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "l{}-r{}-v{}", self.lease, self.replica, self.version)
    }
}

/// Inverse of [`PodId`]'s `Display`; the error says what was read.
impl std::str::FromStr for PodId {
    type Err = ParsePodIdError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let err = || ParsePodIdError(s.chars().take(80).collect());
        let rest = s.strip_prefix('l').ok_or_else(err)?;
        let (lease, rest) = rest.split_once("-r").ok_or_else(err)?;
        let (replica, version) = rest.split_once("-v").ok_or_else(err)?;
        let id = Self {
            lease: lease.parse().map_err(|_| err())?,
            replica: replica.parse().map_err(|_| err())?,
            version: version.parse().map_err(|_| err())?,
        };
        // `+1` and `01` parse as numbers but are not how a pod is written.
        if id.to_string() == s { Ok(id) } else { Err(err()) }
    }
}

/// A string that is no pod id.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a pod id (expected l<lease>-r<replica>-v<version>)")]
pub struct ParsePodIdError(pub String);

/// What [`Backend::apply`] is asked to run.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its id.
    pub id: PodId,
    /// Chain that the records are for.
    pub genesis_hash: Hash256,
    /// Validated manifest; the images in it are pinned by digest.
    pub manifest: Arc<Manifest>,
    /// How often the signer makes a record.
    pub record_interval: Duration,
    /// The run of a task that it is.
    pub run: Option<PodRun>,
}

/// Which run of a task a pod is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PodRun {
    /// Its number on chain.
    pub run: RunId,
    /// For when it was scheduled.
    pub scheduled_at: UnixSeconds,
}

/// Where a pod stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PodPhase {
    /// Being fetched, unpacked or started.
    Starting,
    /// All agents run; `ready` says whether every container passes its readiness probe.
    Running {
        /// Whether traffic may be sent to it.
        ready: bool,
    },
    /// An app of it ended by itself, and its restart policy starts it no more: where it is the first
    /// container's, its agent has signed so. Kept so that its logs can be read, and until the host
    /// stops it for its evidence. Carries how it ended, for people.
    Ended(String),
    /// It can't be started, or was lost: its agent was killed, or can't say that the app ended by
    /// itself. Kept so that its logs can be read. Carries the reason, for people.
    Failed(String),
}

/// One container of a pod as its agent reports it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContainerStatus {
    /// Name in the manifest.
    pub name: String,
    /// What it does.
    pub state: ContainerState,
    /// How often the agent has started the app again.
    pub restarts: u32,
    /// Whether its readiness probe passes (true where there is none and the app runs).
    pub ready: bool,
}

/// State of a container's app.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ContainerState {
    /// The agent has not started the app yet.
    Waiting,
    /// The app starts when the publisher has released its secrets.
    AwaitingSecrets {
        /// Their names.
        names: Vec<String>,
    },
    /// The app runs.
    Running,
    /// The app ended and is started again after a pause.
    BackOff {
        /// Exit code (128 + signal number where a signal ended it).
        exit_code: i32,
    },
    /// The app ended for good.
    Exited {
        /// Exit code (128 + signal number where a signal ended it).
        exit_code: i32,
    },
}

/// What [`Backend::list`] tells of a pod.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodStatus {
    /// Its id.
    pub id: PodId,
    /// Where it stands.
    pub phase: PodPhase,
    /// The signer's public key, once the agent has made it.
    pub agent_key: Option<AgentPublicKey>,
    /// Where the ingress reaches it, while it runs.
    pub address: Option<IpAddr>,
    /// Whether its signer's evidence can be had.
    pub attestation: Attestation,
    /// In the manifest's order.
    pub containers: Vec<ContainerStatus>,
}

/// How far the evidence of a pod's signer is. All of it is the host's and the agent's word: who
/// relies on it asks for the evidence itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Attestation {
    /// The pod was started without: it can show none, and no chain pays it.
    #[default]
    Off,
    /// There is none yet.
    Waiting {
        /// Why, for people, where the agent has said.
        reason: Option<String>,
    },
    /// The agent serves it at the pod's address.
    Available(AttestationEndpoint),
}

/// Where the signer serves evidence, and over which keys besides its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AttestationEndpoint {
    /// Kind of TEE whose format the evidence has.
    pub tee: TeeKind,
    /// TCP port at the pod's address.
    pub port: u16,
    /// TCP port at the pod's address where TLS for the app ends: in the signer, who forwards to the
    /// first HTTP port of the manifest's first container. `None` where there is none.
    pub app_tls_port: Option<u16>,
    /// X25519 key that secrets are sealed to.
    pub hpke_key: [u8; 32],
    /// SHA-256 of the TLS key's SubjectPublicKeyInfo.
    pub tls_spki_sha256: Hash256,
}

/// A record and the agent's signature over its signing payload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedUsageRecord {
    /// What was used.
    pub record: UsageRecord,
    /// Key that signed it.
    pub key: AgentPublicKey,
    /// Over [`UsageRecord::signing_payload`].
    pub signature: AgentSignature,
    /// How the run of a task has ended that this is the last record of.
    pub run: Option<SignedRunResult>,
}

/// A result and the agent's signature over its signing payload. The key is that of its record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedRunResult {
    /// How the run ended.
    pub result: RunResult,
    /// Over [`RunResult::signing_payload`].
    pub signature: AgentSignature,
}

/// Most bytes of chunks that [`Backend::log_chunks`] gives at a time, but for one chunk that is
/// always given: a batch of each pod is in memory at once.
pub const LOG_BATCH_BYTES: usize = 256 * 1024;

/// Sealed chunks of a pod's output that nobody has taken over yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogBatch {
    /// In the order in which the agent wrote them. Their headers are the agent's word: whoever takes
    /// them checks whose they are.
    pub chunks: Vec<LogChunk>,
    /// How many pieces among them were no chunks.
    pub refused: u64,
    /// Why the last of these was none, for people.
    pub reason: Option<String>,
    /// What the batch goes up to.
    pub mark: LogMark,
}

/// Up to where chunks were read; it means something to the backend that made it only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogMark(pub String);

/// Which lines [`Backend::logs`] gives.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Only this container; all of them where `None`.
    pub container: Option<String>,
    /// Only lines after this cursor (from [`LogLine::cursor`]).
    pub after: Option<u64>,
    /// At most this many, the newest ones.
    pub tail: Option<usize>,
}

impl LogQuery {
    /// The lines that are asked for, of all lines in their order.
    pub fn select(&self, lines: impl Iterator<Item = LogLine>) -> Vec<LogLine> {
        let mut lines: Vec<_> = lines
            .filter(|line| self.after.is_none_or(|after| line.cursor > after))
            .filter(|line| self.container.as_ref().is_none_or(|name| line.container == *name))
            .collect();
        if let Some(tail) = self.tail {
            lines.drain(..lines.len().saturating_sub(tail));
        }
        lines
    }
}

/// Which stream a line was written to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Written by the agent itself (restart, probe failure).
    Agent,
}

/// One line of output.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine {
    /// Where to go on reading, strictly growing within a pod.
    pub cursor: u64,
    /// When the agent read it, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Which container.
    pub container: String,
    /// Which stream.
    pub stream: LogStream,
    /// Text without line end; invalid UTF-8 is replaced.
    pub text: String,
}

/// What can go wrong in a backend. The pod is named by the caller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// There is no such pod.
    #[error("no pod {0} here")]
    NotFound(PodId),
    /// The manifest names a container that it does not have.
    #[error("pod {pod} has no container `{container}`")]
    NoSuchContainer {
        /// Pod asked.
        pod: PodId,
        /// Container asked for.
        container: String,
    },
    /// The image can't be had or is not what it says.
    #[error("image `{image}`: {reason}")]
    Image {
        /// Reference in the manifest.
        image: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The disk is full or a quota is used up.
    #[error("no space left for {what}: {hint}")]
    NoSpace {
        /// What was to be written.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The container engine is missing or refuses.
    #[error("{what}: {reason}")]
    Engine {
        /// What was tried.
        what: String,
        /// What it said.
        reason: String,
    },
    /// A file operation failed.
    #[error("{what} `{path}`")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: std::path::PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

/// Runs pods. Implementations pass [`crate::conformance`].
///
/// Every method may be called again at any time with the same arguments (the reconciler is
/// level-triggered), and after a SIGKILL of the process in between: state lies in the engine and
/// on disk, never only in memory.
pub trait Backend: Send + Sync + 'static {
    /// Makes sure that `pod` runs, or starts to. Returns when it is accepted, not when it is ready.
    /// Does nothing for a pod that is there already.
    fn apply(&self, pod: &Pod) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Stops the pod (SIGTERM, then SIGKILL after `grace`), waits for its last record, and removes
    /// all that belongs to it but persistent volumes. A pod that is not there is no error.
    fn delete(
        &self,
        id: PodId,
        grace: Duration,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Removes the persistent volumes of a lease that is over. None there is no error.
    fn delete_volumes(
        &self,
        lease: LeaseId,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// All pods, in the order of their ids, those that failed included.
    fn list(&self) -> impl Future<Output = Result<Vec<PodStatus>, BackendError>> + Send;

    /// Lines of output, oldest first.
    fn logs(
        &self,
        id: PodId,
        query: &LogQuery,
    ) -> impl Future<Output = Result<Vec<LogLine>, BackendError>> + Send;

    /// The newest record of each key of each pod, deleted pods' last records included until
    /// [`Backend::forget_usage`]. A pod whose agent was started again, or that was deleted and applied
    /// again, has had several keys.
    fn usage(
        &self,
    ) -> impl Future<Output = Result<Vec<(PodId, SignedUsageRecord)>, BackendError>> + Send;

    /// The caller has spooled all records of `id` up to `to`: a deleted pod's last record may go.
    fn forget_usage(
        &self,
        id: PodId,
        to: UnixSeconds,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Pods that may have chunks of output that were not given up by [`Backend::forget_log_chunks`]
    /// yet, deleted pods included.
    fn logged(&self) -> impl Future<Output = Result<Vec<PodId>, BackendError>> + Send;

    /// The oldest chunks of a pod that were not given up yet; `None` where there are none. The same
    /// again until they are given up, also after a SIGKILL, and after the pod was deleted.
    fn log_chunks(
        &self,
        id: PodId,
    ) -> impl Future<Output = Result<Option<LogBatch>, BackendError>> + Send;

    /// The caller has spooled what [`Backend::log_chunks`] gave up to `mark`: it may go.
    fn forget_log_chunks(
        &self,
        id: PodId,
        mark: &LogMark,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Resolves when something may have changed since the last call. Only ever a hint: a lost or a
    /// false wake-up does no harm.
    fn changed(&self) -> impl Future<Output = ()> + Send;
}
