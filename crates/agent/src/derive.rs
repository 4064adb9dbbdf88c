//! What follows from a manifest for one of its containers: what runs, as whom, with which probes and
//! secrets.
//!
//! A backend starts a container with what these functions give, and the container's agent holds it to
//! what they give (see [`crate::check`]). Pure; both must put in the same: the manifest, the image's
//! configuration, its `/etc/passwd` and `/etc/group`.

mod user;

use std::path::PathBuf;

use casemate_image::ImageConfig;
use casemate_manifest::{Container, Kind, Manifest, Protocol, SECRETS_DIR, SECRETS_SOCKET};
use casemate_primitives::Resources;

use crate::config::{
    AppConfig, Probe, ProbeAction, Probes, RestartPolicy, RunLimits, SecretItem, SecretsConfig,
};

pub use user::{USERS_BYTES_MAX, Users};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why nothing follows.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveError {
    /// No program.
    #[error(
        "container `{container}` has no program: neither the manifest's `command` nor the image \
         names one"
    )]
    NoProgram {
        /// Which container.
        container: String,
    },
    /// No such user or group.
    #[error("the user of container `{container}` can't be found: {reason}")]
    User {
        /// Which container.
        container: String,
        /// Why, and what to do.
        reason: String,
    },
}

/// What follows from the manifest alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Terms {
    /// When an app that ended is started again.
    pub restart: RestartPolicy,
    /// What holds for a task's runs.
    pub run: Option<RunLimits>,
    /// How its health is asked for.
    pub probes: Probes,
    /// How long it may take to end.
    pub grace_ms: u64,
    /// What the whole pod holds; in the first container only, whose agent signs.
    pub quota: Option<Resources>,
    /// What the app gets of released secrets.
    pub secrets: Option<SecretsConfig>,
    /// The key that output is sealed to; in the first container only, whose agent signs.
    pub log_recipient: Option<[u8; 32]>,
    /// The containers whose output is brought to this one's agent to be sealed; only where there is a
    /// recipient.
    pub log_relayed: Vec<String>,
    /// Whether its output is brought to the first container's agent to be sealed.
    pub log_relays: bool,
    /// Where TLS that ends in the agent goes on to: the first HTTP port of the first container.
    pub tls_forward: Option<u16>,
}

/// Whether it is the container whose agent signs and attests.
pub fn is_signer(manifest: &Manifest, container: &Container) -> bool {
    manifest.spec.containers.first().is_some_and(|first| first.name == container.name)
}

/// What follows from the manifest alone for a container of it.
pub fn terms(manifest: &Manifest, container: &Container) -> Terms {
    let spec = &manifest.spec;
    let is_signer = is_signer(manifest, container);
    let http = container.ports.iter().find(|port| port.protocol == Protocol::Http);
    Terms {
        restart: match spec.restart_policy {
            // A run ends; retries are its limits' to say.
            _ if manifest.kind == Kind::Task => RestartPolicy::Never,
            casemate_manifest::RestartPolicy::Always => RestartPolicy::Always,
            casemate_manifest::RestartPolicy::OnFailure => RestartPolicy::OnFailure,
            casemate_manifest::RestartPolicy::Never => RestartPolicy::Never,
        },
        run: spec.task.as_ref().filter(|_| is_signer).map(|task| RunLimits {
            deadline_ms: u64::from(task.deadline_seconds) * 1000,
            retries: task.retries,
            backoff_ms: u64::from(task.backoff_seconds) * 1000,
            artefacts: task.artefacts.clone(),
        }),
        probes: Probes {
            startup: probe(container.startup_probe.as_ref()),
            readiness: probe(container.readiness_probe.as_ref()),
            liveness: probe(container.liveness_probe.as_ref()),
        },
        grace_ms: u64::from(spec.termination_grace_period_seconds) * 1000,
        quota: is_signer.then(|| quota(manifest)),
        secrets: (is_signer && container.asks_for_secrets()).then(|| secrets(manifest, container)),
        log_recipient: manifest.log_recipient().filter(|_| is_signer).map(|key| *key.as_bytes()),
        log_relayed: match manifest.log_recipient().filter(|_| is_signer) {
            Some(_) => spec.containers.iter().skip(1).map(|other| other.name.clone()).collect(),
            None => Vec::new(),
        },
        log_relays: !is_signer && manifest.log_recipient().is_some(),
        tls_forward: http.filter(|_| is_signer).map(|port| port.container_port),
    }
}

/// The app of a container whose image is configured as `image`. `hostname` is the pod's name.
///
/// # Errors
/// Where there is no program or no such user.
pub fn app(
    container: &Container,
    image: &ImageConfig,
    users: &Users,
    hostname: &str,
) -> Result<AppConfig, DeriveError> {
    let name = || container.name.clone();
    let who = user::resolve(users, &image.user, container)
        .map_err(|reason| DeriveError::User { container: name(), reason })?;
    let command = command(container, image);
    if command.first().is_none_or(String::is_empty) {
        return Err(DeriveError::NoProgram { container: name() });
    }
    Ok(AppConfig {
        command,
        env: environment(container, image, &who.home, hostname),
        working_dir: working_dir(container, image),
        user: Some(who.user),
    })
}

/// Where the app starts.
pub fn working_dir(container: &Container, image: &ImageConfig) -> String {
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

/// Name of an entry `NAME=value`.
pub(crate) fn name_of(entry: &str) -> &str {
    entry.split('=').next().unwrap_or_default()
}

fn environment(
    container: &Container,
    image: &ImageConfig,
    home: &str,
    hostname: &str,
) -> Vec<String> {
    let mut env: Vec<String> =
        vec![PATH.to_owned(), format!("HOME={home}"), format!("HOSTNAME={hostname}")];
    let of_manifest = container
        .env
        .iter()
        .filter_map(|variable| Some(format!("{}={}", variable.name, variable.value.as_ref()?)));
    // An image may hold anything here: what has no name or value is left out.
    let usable = |entry: &String| entry.find('=').is_some_and(|at| at > 0) && !entry.contains('\0');
    for entry in image.env.iter().filter(|e| usable(e)).cloned().chain(of_manifest) {
        env.retain(|old| name_of(old) != name_of(&entry));
        env.push(entry);
    }
    // The agent sets these when it has the secrets.
    let is_secret = |entry: &str| {
        container.env.iter().any(|v| v.value_from.is_some() && v.name == name_of(entry))
    };
    env.retain(|entry| !is_secret(entry));
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

fn secrets(manifest: &Manifest, container: &Container) -> SecretsConfig {
    let of_env = container.env.iter().filter_map(|variable| {
        let (name, env) = (variable.secret()?.to_owned(), Some(variable.name.clone()));
        Some(SecretItem { name, env, file: None })
    });
    let mut items: Vec<SecretItem> = of_env.collect();
    for secret in &container.secrets {
        match items.iter_mut().find(|item| item.name == secret.name) {
            Some(item) => item.file.clone_from(&secret.file),
            None => items.push(SecretItem {
                name: secret.name.clone(),
                env: None,
                file: secret.file.clone(),
            }),
        }
    }
    SecretsConfig {
        wait: true,
        items,
        dir: Some(PathBuf::from(SECRETS_DIR)),
        socket: Some(PathBuf::from(SECRETS_SOCKET)),
        senders: manifest.spec.released_by.iter().map(|key| key.0).collect(),
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
