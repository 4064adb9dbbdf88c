//! What a pod was asked to be, as it lies on disk, and what follows from it for its agents.

use std::{net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use casemate_agent::{
    config::{
        AttestationConfig, Config, LogLimits, RELAY_SOCKET, RelayedLogs, SignerConfig, TaskConfig,
        TlsConfig,
    },
    derive::{self, USERS_BYTES_MAX, Users},
};
use casemate_image::{ImageConfig, read_in_root};
use casemate_manifest::{Container, Manifest};
use casemate_primitives::{Hash256, RunId};
use casemate_provider_core::{Pod, PodId, PodRun};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Result, engine},
    files::{read_optional, write_atomically},
    tee,
};

/// Where a tenant's volume must not be: the kernel's interfaces and the agent's own files.
const RESERVED: [&str; 5] = ["/dev", "/proc", "/sys", "/run/casemate", tee::GUEST_DIR];

/// A pod as it was accepted.
#[derive(Clone, Debug)]
pub(crate) struct PodRecord {
    pub(crate) id: PodId,
    pub(crate) genesis_hash: Hash256,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) record_interval: Duration,
    pub(crate) run: Option<PodRun>,
    pub(crate) address: Ipv4Addr,
    /// Where its signer serves evidence; `None` where it was accepted without a TEE.
    pub(crate) tee: Option<tee::Ports>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    genesis_hash: String,
    manifest: serde_json::Value,
    record_interval_ms: u64,
    /// Number and scheduled time of the run that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<(u64, u64)>,
    address: Ipv4Addr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tee: Option<tee::Ports>,
}

impl PodRecord {
    pub(crate) fn new(pod: &Pod, address: Ipv4Addr, has_tee: bool) -> Self {
        Self {
            id: pod.id,
            genesis_hash: pod.genesis_hash,
            manifest: Arc::clone(&pod.manifest),
            record_interval: pod.record_interval,
            run: pod.run,
            address,
            tee: has_tee.then(|| tee::ports(&pod.manifest)).flatten(),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let interval_ms = self.record_interval.as_millis();
        let manifest = serde_json::from_slice(&self.manifest.to_canonical_json());
        let file = File {
            genesis_hash: hex::encode(self.genesis_hash),
            manifest: manifest
                .map_err(|err| engine("write the pod's manifest", err.to_string()))?,
            record_interval_ms: u64::try_from(interval_ms).unwrap_or(u64::MAX),
            run: self.run.map(|run| (run.run.0, run.scheduled_at)),
            address: self.address,
            tee: self.tee,
        };
        let bytes = serde_json::to_vec(&file)
            .map_err(|err| engine("write the pod's manifest", err.to_string()))?;
        write_atomically(path, &bytes)
    }

    /// `None` where there is no such file.
    pub(crate) fn read(id: PodId, path: &Path) -> Result<Option<Self>> {
        let Some(bytes) = read_optional(path)? else { return Ok(None) };
        let damaged = |reason: String| engine(format!("read `{}`", path.display()), reason);
        let file: File = serde_json::from_slice(&bytes).map_err(|err| damaged(err.to_string()))?;
        let mut genesis_hash = Hash256::default();
        hex::decode_to_slice(&file.genesis_hash, &mut genesis_hash)
            .map_err(|err| damaged(err.to_string()))?;
        let manifest = Manifest::from_json(file.manifest.to_string().as_bytes())
            .map_err(|err| damaged(err.to_string()))?;
        Ok(Some(Self {
            id,
            genesis_hash,
            manifest: Arc::new(manifest),
            record_interval: Duration::from_millis(file.record_interval_ms),
            run: file.run.map(|(run, scheduled_at)| PodRun { run: RunId(run), scheduled_at }),
            address: file.address,
            tee: file.tee,
        }))
    }

    /// The container whose agent signs.
    pub(crate) fn signer(&self) -> &str {
        self.manifest.spec.containers.first().map_or("", |container| &container.name)
    }

    /// Refuses what this backend can't do, before anything is fetched.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |what: &str, reason: String| Err(engine(what, reason));
        if let Err(err) = self.manifest.validate_deployable() {
            return refuse("the manifest can't be deployed", err.to_string());
        }
        let spec = &self.manifest.spec;
        for container in &spec.containers {
            if container.resources.gpu > 0 {
                let reason = format!("container `{}` asks for a GPU", container.name);
                return refuse("the local backend has no GPUs", reason);
            }
            for mount in &container.volume_mounts {
                let path = Path::new(&mount.mount_path);
                let plain = path.components().all(|c| {
                    matches!(c, std::path::Component::RootDir | std::path::Component::Normal(_))
                });
                if !plain || RESERVED.iter().any(|reserved| path.starts_with(reserved)) {
                    let reason = format!(
                        "`{}`; choose a path without `..` outside of {}",
                        mount.mount_path,
                        RESERVED.join(", ")
                    );
                    return refuse("a volume can't be mounted there", reason);
                }
            }
        }
        Ok(())
    }

    /// The configuration of a container's agent. `root` is the unpacked image.
    pub(crate) fn agent_config(
        &self,
        container: &Container,
        image: &ImageConfig,
        root: &Path,
        log_bytes_max: u64,
        attestation: Option<AttestationConfig>,
    ) -> Result<Config> {
        let app = derive::app(container, image, &users_in(root)?, &self.id.to_string())
            .map_err(|err| engine("make the agent's configuration", err.to_string()))?;
        let terms = derive::terms(&self.manifest, container);
        if terms.secrets.is_some() && attestation.is_none() {
            let reason =
                "its manifest asks for secrets, and nobody releases them to a pod without \
                          a TEE; choose a provider that has one"
                    .to_owned();
            return Err(engine("start the pod without a TEE", reason));
        }
        let interval_ms = u64::try_from(self.record_interval.as_millis()).unwrap_or(u64::MAX);
        let signer = terms.quota.map(|quota| SignerConfig {
            genesis_hash: self.genesis_hash,
            lease: self.id.lease,
            replica: self.id.replica,
            quota,
            record_interval_ms: interval_ms.max(100),
            previous: None,
        });
        let task = match (terms.run, self.run) {
            (Some(limits), Some(PodRun { run, scheduled_at })) => {
                Some(TaskConfig { run, scheduled_at, limits })
            }
            (Some(_), None) => {
                let reason = "it is a task's, and nobody has said which run it is".to_owned();
                return Err(engine("start the pod", reason));
            }
            (None, _) => None,
        };
        // Only where there is evidence: its certificate carries it.
        let app_tls = self.tee.filter(|_| attestation.is_some()).and_then(|tee| tee.app_tls);
        let config = Config {
            container: container.name.clone(),
            signer,
            app,
            restart: terms.restart,
            task,
            probes: terms.probes,
            grace_ms: terms.grace_ms,
            // Without a provider nobody shortens the file: four times what is kept must do.
            log: LogLimits {
                file_bytes_max: log_bytes_max.saturating_mul(4),
                recipient: terms.log_recipient,
                relayed: (!terms.log_relayed.is_empty()).then(|| RelayedLogs {
                    socket: RELAY_SOCKET.to_owned(),
                    containers: terms.log_relayed,
                }),
                relay: terms.log_relays.then(|| RELAY_SOCKET.to_owned()),
                ..LogLimits::default()
            },
            attestation,
            secrets: terms.secrets,
            tls: app_tls.map(|tls| TlsConfig::http(tls.port, tls.forward)),
        };
        config.check().map_err(|err| engine("make the agent's configuration", err.to_string()))?;
        Ok(config)
    }
}

/// The users of an unpacked image.
fn users_in(root: &Path) -> Result<Users> {
    let read = |path: &str| -> Result<String> {
        let bytes = read_in_root(root, Path::new(path), USERS_BYTES_MAX)
            .map_err(|err| engine(format!("read the image's {path}"), err.to_string()))?;
        Ok(bytes.map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default())
    };
    Ok(Users { passwd: read("/etc/passwd")?, group: read("/etc/group")? })
}

#[cfg(test)]
mod tests;
