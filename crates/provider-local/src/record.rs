//! What a pod was asked to be, as it lies on disk, and what follows from it for its agents.

use std::{net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use casemate_agent::config::{
    AppConfig, Config, LogLimits, Probe, ProbeAction, Probes, RestartPolicy, SignerConfig,
};
use casemate_image::ImageConfig;
use casemate_manifest::{Container, Manifest};
use casemate_primitives::{Hash256, Resources};
use casemate_provider_core::{Pod, PodId};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Result, engine},
    files::{read_optional, write_atomically},
    user::{self, Resolved},
};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a tenant's volume must not be: the kernel's interfaces and the agent's own files.
const RESERVED: [&str; 4] = ["/dev", "/proc", "/sys", "/run/casemate"];

/// A pod as it was accepted.
#[derive(Clone, Debug)]
pub(crate) struct PodRecord {
    pub(crate) id: PodId,
    pub(crate) genesis_hash: Hash256,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) record_interval: Duration,
    pub(crate) address: Ipv4Addr,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    genesis_hash: String,
    manifest: serde_json::Value,
    record_interval_ms: u64,
    address: Ipv4Addr,
}

impl PodRecord {
    pub(crate) fn new(pod: &Pod, address: Ipv4Addr) -> Self {
        Self {
            id: pod.id,
            genesis_hash: pod.genesis_hash,
            manifest: Arc::clone(&pod.manifest),
            record_interval: pod.record_interval,
            address,
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
            address: self.address,
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
            address: file.address,
        }))
    }

    /// The container whose agent signs.
    pub(crate) fn signer(&self) -> &str {
        self.manifest.spec.containers.first().map_or("", |container| &container.name)
    }

    /// Refuses what this backend can't do, before anything is fetched.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |what: &str, reason: String| Err(engine(what, reason));
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
    ) -> Result<Config> {
        let who = user::resolve(root, &image.user, container.security_context.as_ref())?;
        let command = command(container, image);
        if command.first().is_none_or(String::is_empty) {
            let reason = "neither the manifest's `command` nor the image names one".to_owned();
            return Err(engine(format!("container `{}` has no program", container.name), reason));
        }
        let spec = &self.manifest.spec;
        let interval_ms = u64::try_from(self.record_interval.as_millis()).unwrap_or(u64::MAX);
        let signer = (container.name == self.signer()).then(|| SignerConfig {
            genesis_hash: self.genesis_hash,
            lease: self.id.lease,
            replica: self.id.replica,
            quota: quota(&self.manifest),
            record_interval_ms: interval_ms.max(100),
        });
        let config = Config {
            container: container.name.clone(),
            signer,
            app: AppConfig {
                command,
                env: environment(container, image, &who, &self.id.to_string()),
                working_dir: working_dir(container, image),
                user: Some(who.user),
            },
            restart: match spec.restart_policy {
                casemate_manifest::RestartPolicy::Always => RestartPolicy::Always,
                casemate_manifest::RestartPolicy::OnFailure => RestartPolicy::OnFailure,
                casemate_manifest::RestartPolicy::Never => RestartPolicy::Never,
            },
            probes: Probes {
                startup: probe(container.startup_probe.as_ref()),
                readiness: probe(container.readiness_probe.as_ref()),
                liveness: probe(container.liveness_probe.as_ref()),
            },
            grace_ms: u64::from(spec.termination_grace_period_seconds) * 1000,
            // Without a provider nobody shortens the file: four times what is kept must do.
            log: LogLimits {
                file_bytes_max: log_bytes_max.saturating_mul(4),
                ..LogLimits::default()
            },
            attestation: None,
            secrets: None,
            tls: None,
        };
        config.check().map_err(|err| engine("make the agent's configuration", err.to_string()))?;
        Ok(config)
    }
}

/// Where the app starts.
pub(crate) fn working_dir(container: &Container, image: &ImageConfig) -> String {
    match &container.working_dir {
        Some(dir) => dir.clone(),
        None if image.working_dir.starts_with('/') => image.working_dir.clone(),
        None => format!("/{}", image.working_dir),
    }
}

/// As in Kubernetes: `command` replaces entry point and arguments, `args` the arguments alone.
fn command(container: &Container, image: &ImageConfig) -> Vec<String> {
    let (program, args) = match (container.command.as_slice(), container.args.as_slice()) {
        ([], []) => (image.entrypoint.as_slice(), image.cmd.as_slice()),
        ([], args) => (image.entrypoint.as_slice(), args),
        (command, args) => (command, args),
    };
    program.iter().chain(args).cloned().collect()
}

fn environment(
    container: &Container,
    image: &ImageConfig,
    who: &Resolved,
    hostname: &str,
) -> Vec<String> {
    let name_of = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    let mut env: Vec<String> =
        vec![PATH.to_owned(), format!("HOME={}", who.home), format!("HOSTNAME={hostname}")];
    let of_manifest = container.env.iter().map(|var| format!("{}={}", var.name, var.value));
    // An image may hold anything here: what has no name or value is left out.
    let usable = |entry: &String| entry.find('=').is_some_and(|at| at > 0) && !entry.contains('\0');
    for entry in image.env.iter().filter(|e| usable(e)).cloned().chain(of_manifest) {
        let name = name_of(&entry);
        env.retain(|old| name_of(old) != name);
        env.push(entry);
    }
    env
}

fn quota(manifest: &Manifest) -> Resources {
    let resources = manifest.pod_resources();
    Resources {
        cpu_millicores: resources.cpu_millicores,
        memory_mib: resources.memory_mib,
        storage_mib: resources.storage_mib,
        gpus: resources.gpus,
    }
}

fn probe(probe: Option<&casemate_manifest::Probe>) -> Option<Probe> {
    let probe = probe?;
    let action = match probe.action()? {
        casemate_manifest::ProbeAction::HttpGet(get) => {
            ProbeAction::Http { port: get.port, path: get.path.clone(), host: String::new() }
        }
        casemate_manifest::ProbeAction::TcpSocket(socket) => ProbeAction::Tcp { port: socket.port },
        casemate_manifest::ProbeAction::Exec(exec) => {
            ProbeAction::Exec { command: exec.command.clone() }
        }
    };
    let ms = |seconds: u32| u64::from(seconds) * 1000;
    Some(Probe {
        action,
        initial_delay_ms: ms(probe.initial_delay_seconds),
        period_ms: ms(probe.period_seconds.max(1)),
        timeout_ms: ms(probe.timeout_seconds.max(1)),
        success_threshold: probe.success_threshold.max(1),
        failure_threshold: probe.failure_threshold.max(1),
    })
}

#[cfg(test)]
mod tests;
