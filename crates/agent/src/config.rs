//! What the host tells the agent, once, in a read-only JSON file.
//!
//! The writer is the backend, the reader the agent; both use these types. Nothing in it is secret:
//! the app can read it too.

mod tee;

use std::{io, path::Path, time::Duration};

use casemate_primitives::{Hash256, LeaseId, ReplicaIndex, Resources, RunId, UnixSeconds};
use serde::{Deserialize, Serialize};

pub use tee::{ATTESTATION_PORT, AttestationConfig, SecretItem, SecretsConfig, TlsConfig};

/// The whole configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the container in the manifest, repeated in each event.
    pub container: String,
    /// Set in the pod's first container only: that agent signs the records.
    pub signer: Option<SignerConfig>,
    /// What to run.
    pub app: AppConfig,
    /// When to run it again.
    pub restart: RestartPolicy,
    /// The run of a task that this is: it ends, and its end is signed. Needs `signer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskConfig>,
    /// How to tell whether it is well.
    #[serde(default)]
    pub probes: Probes,
    /// How long the app may take to end after SIGTERM.
    pub grace_ms: u64,
    /// What becomes of its output.
    #[serde(default)]
    pub log: LogLimits,
    /// Where evidence comes from and is served; without it the agent opens no port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<AttestationConfig>,
    /// What the app gets of released secrets. Needs `attestation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<SecretsConfig>,
    /// TLS that ends in the agent. Needs `attestation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

/// What usage records are made from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SignerConfig {
    /// Chain that the records are for.
    #[serde(with = "hex_hash")]
    pub genesis_hash: Hash256,
    /// Lease that is charged.
    pub lease: LeaseId,
    /// Which of its pods this is.
    pub replica: ReplicaIndex,
    /// What the whole pod holds, charged for each second.
    pub quota: Resources,
    /// Time between records.
    pub record_interval_ms: u64,
    /// The last record of the agent before this one, as far as the host has it: the chain of hashes
    /// goes on from it. One that is not of this pod, or not signed by its key, counts as none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousRecord>,
}

/// A record of another agent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PreviousRecord {
    /// The key that has signed it, 32 bytes of hex.
    pub key: String,
    /// The record, SCALE-encoded, in hex.
    pub record: String,
    /// 64 bytes of hex.
    pub signature: String,
}

/// A run of a task.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TaskConfig {
    /// Its number, as the host says; the chain compares the signed result with what was begun.
    pub run: RunId,
    /// For when it was scheduled, as the host says.
    pub scheduled_at: UnixSeconds,
    /// What the manifest says of it.
    pub limits: RunLimits,
}

/// What a manifest says of a task's runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RunLimits {
    /// How long the app may take, all tries and pauses together.
    pub deadline_ms: u64,
    /// How often it is started again when it fails.
    pub retries: u32,
    /// Pause before the first of these; doubled each time.
    pub backoff_ms: u64,
    /// Files whose hashes go into the result.
    pub artefacts: Vec<String>,
}

/// The app's process.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AppConfig {
    /// Program and arguments; the program is looked up in the app's `PATH`.
    pub command: Vec<String>,
    /// Its whole environment, `NAME=value` each.
    pub env: Vec<String>,
    /// Where it starts.
    pub working_dir: String,
    /// Whom it runs as; the agent's own user where `None`.
    pub user: Option<User>,
}

/// A user by number: there is no name service in a static binary.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    #[serde(default)]
    pub groups: Vec<u32>,
}

/// When an app that ended is started again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// However it ended.
    Always,
    /// Unless it ended with exit code 0.
    OnFailure,
    /// Not at all.
    Never,
}

/// Probes, with the meaning that they have in Kubernetes.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Probes {
    /// The others wait for its first success; its failure ends the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,
    /// Its failure keeps traffic away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
    /// Its failure ends the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
}

/// One probe.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What is tried.
    pub action: ProbeAction,
    /// Pause before the first try.
    #[serde(default)]
    pub initial_delay_ms: u64,
    /// Time from one try to the next.
    pub period_ms: u64,
    /// After which a try has failed.
    pub timeout_ms: u64,
    /// Successes in a row that count as one.
    pub success_threshold: u32,
    /// Failures in a row that count as one.
    pub failure_threshold: u32,
}

/// What a probe does. Addresses are always 127.0.0.1 in the pod's own network.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProbeAction {
    /// `GET path`; status 200 to 399 is success.
    Http {
        /// Port on 127.0.0.1.
        port: u16,
        /// Path with query, beginning with `/`.
        path: String,
        /// Value of the `Host` header; `localhost` where empty.
        #[serde(default)]
        host: String,
    },
    /// A connection that is accepted.
    Tcp {
        /// Port on 127.0.0.1.
        port: u16,
    },
    /// A program in the container, as the app's user, that exits with 0.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
    },
}

/// How much output becomes events, and who can read it. What is over it is counted and dropped: output
/// never blocks the app, and never fills the host's disk.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogLimits {
    /// Bytes a second over time.
    pub sustained_bytes: u64,
    /// Bytes at once after a quiet time.
    pub burst_bytes: u64,
    /// Output is dropped while the event file takes more than this on disk (the host punches holes
    /// behind what it has read). Records and states are written even then.
    pub file_bytes_max: u64,
    /// X25519 key, 32 bytes of hex, that output is sealed to; readable output where `None`. Needs
    /// `signer`: its records prove what was sealed.
    #[serde(default, with = "hex_key", skip_serializing_if = "Option::is_none")]
    pub recipient: Option<[u8; 32]>,
    /// Where the other containers' agents bring their output, to be sealed as well. Needs `recipient`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relayed: Option<RelayedLogs>,
    /// Name of the abstract Unix socket of the pod's network that output goes to, to be sealed by the
    /// first container's agent: none of it becomes an event here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
}

/// Output of the other containers of a pod.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RelayedLogs {
    /// Name of the abstract Unix socket of the pod's network where it comes in.
    pub socket: String,
    /// Names of these containers: nobody else's is taken.
    pub containers: Vec<String>,
}

/// The socket for output in a pod that has a network namespace of its own.
pub const RELAY_SOCKET: &str = "casemate-logs";

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            // A busy server's access log is tens of KiB a second; a loop that prints is hundreds of
            // MiB.
            sustained_bytes: 256 * 1024,
            burst_bytes: 2 * 1024 * 1024,
            file_bytes_max: 64 * 1024 * 1024,
            recipient: None,
            relayed: None,
            relay: None,
        }
    }
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read.
    #[error("failed to read the configuration `{path}`")]
    Read {
        /// Which file.
        path: std::path::PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("the configuration `{path}` is not valid")]
    Parse {
        /// Which file.
        path: std::path::PathBuf,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// A value is out of its range.
    #[error("the configuration's `{field}` {problem}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// Where it can't be read, parsed, or has a value out of range.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let config: Self = serde_json::from_slice(&bytes)
            .map_err(|source| ConfigError::Parse { path: path.to_owned(), source })?;
        config.check()?;
        Ok(config)
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`ConfigError::Value`] with the first field that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let value = |field, problem| Err(ConfigError::Value { field, problem });
        match self.app.command.first() {
            None => return value("app.command", "is empty: name a program"),
            Some(program) if program.is_empty() => {
                return value("app.command", "begins with an empty string: name a program");
            }
            Some(_) => {}
        }
        let strings = self.app.command.iter().chain(&self.app.env).chain([&self.app.working_dir]);
        if strings.into_iter().any(|s| s.contains('\0')) {
            return value("app", "has a NUL byte in a string");
        }
        if self.app.env.iter().any(|e| e.find('=').is_none_or(|at| at == 0)) {
            return value("app.env", "has an entry that is not NAME=value");
        }
        if self.signer.as_ref().is_some_and(|s| s.record_interval_ms < 100) {
            return value("signer.record_interval_ms", "is below 100");
        }
        if self.task.is_some() && self.signer.is_none() {
            return value("task", "needs `signer`: its key signs the result");
        }
        let is_long = |task: &TaskConfig| {
            let artefacts_max = casemate_primitives::task::ARTEFACTS_MAX as usize;
            task.limits.artefacts.len() > artefacts_max || task.limits.deadline_ms == 0
        };
        if self.task.as_ref().is_some_and(is_long) {
            return value("task.limits", "has too many artefacts, or no time at all");
        }
        if self.log.recipient.is_some() && self.signer.is_none() {
            return value("log.recipient", "needs `signer`: its records prove what is sealed");
        }
        if self.log.relayed.is_some() && self.log.recipient.is_none() {
            return value("log.relayed", "needs `log.recipient`: it is taken to be sealed");
        }
        if self.log.relay.is_some() && self.log.recipient.is_some() {
            return value("log.relay", "is set, and `log.recipient` too: seal it here or there");
        }
        let probes = [&self.probes.startup, &self.probes.readiness, &self.probes.liveness];
        for probe in probes.into_iter().flatten() {
            if probe.period_ms == 0 || probe.timeout_ms == 0 {
                return value("probes", "has a period or time-out of zero");
            }
            if probe.success_threshold == 0 || probe.failure_threshold == 0 {
                return value("probes", "has a threshold of zero");
            }
            match &probe.action {
                ProbeAction::Exec { command } if command.first().is_none_or(String::is_empty) => {
                    return value("probes", "has an exec action without a program");
                }
                ProbeAction::Http { path, host, .. }
                    if !path.starts_with('/')
                        || path.chars().chain(host.chars()).any(|c| c.is_control() || c == ' ') =>
                {
                    return value("probes", "has an http path or host that is not valid");
                }
                _ => {}
            }
        }
        self.check_tee()
    }

    /// How long the app may take to end after SIGTERM.
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

mod hex_key {
    use serde::{Deserializer, Serializer};

    use super::hex_hash;

    pub(super) fn serialize<S: Serializer>(
        key: &Option<[u8; 32]>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match key {
            Some(key) => hex_hash::serialize(key, s),
            None => s.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<[u8; 32]>, D::Error> {
        hex_hash::deserialize(d).map(Some)
    }
}

mod hex_hash {
    use casemate_primitives::Hash256;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(hash: &Hash256, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(hash))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Hash256, D::Error> {
        let text = String::deserialize(d)?;
        let mut hash = Hash256::default();
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(&text), &mut hash)
            .map_err(|e| D::Error::custom(format!("not 32 bytes of hex: {e}")))?;
        Ok(hash)
    }
}
