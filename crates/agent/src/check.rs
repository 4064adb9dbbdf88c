//! Holds the host to the manifest whose hash evidence covers.
//!
//! The host writes the agent's whole configuration. Before the agent makes a key for evidence it
//! checks that what runs, as whom, and who may give it secrets, follows from the manifest and from
//! the image that the manifest names by digest. What differs is refused: there is no evidence then,
//! no app, and nothing that takes a secret.
//!
//! # Left to the host
//! Log limits, the interval of records, the record before the first, the ports where nothing of the
//! pod listens, limits of connections, the version in the pod's name, and which run of a task it is:
//! the chain compares that with what was begun.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use casemate_image::{Digest, Documents, Limits};
use casemate_manifest::{Container, MANIFEST_BYTES_MAX, Manifest};
use casemate_primitives::blake2_256;
use serde::{Deserialize, Serialize};

use crate::{
    config::{AppConfig, AttestationConfig, Config, Probes, SecretsConfig},
    derive::{self, DeriveError, Terms, Users, name_of},
};

/// The canonical manifest, beside the configuration.
pub const MANIFEST_FILE: &str = "manifest.json";

/// The image's index, where the manifest names one; then its manifest and configuration.
const IMAGE_FILES: [&str; 3] = ["image-index.json", "image-manifest.json", "image-config.json"];

/// What does not follow from the manifest.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Field {
    /// The manifest itself: it is not there, not valid, or not fit to be deployed.
    Manifest,
    /// Its hash.
    ManifestHash,
    /// The container's name.
    Container,
    /// The documents of its image.
    Image,
    /// Program and arguments.
    Command,
    /// A variable of the environment.
    Env,
    /// Where the app starts.
    WorkingDir,
    /// Whom it runs as.
    User,
    /// When it is started again.
    Restart,
    /// A probe.
    Probes,
    /// How long it may take to end.
    Grace,
    /// Whether this agent signs the records.
    Signer,
    /// What the pod is charged for.
    Quota,
    /// Where the agent listens.
    Port,
    /// Where TLS goes on to.
    TlsForward,
    /// Whether there are secrets, and where.
    Secrets,
    /// Which secrets, and how the app gets them.
    SecretItems,
    /// Who may release them.
    SecretSenders,
    /// Whom the output is sealed to.
    LogRecipient,
    /// Deadline, retries and artefacts of a task's run.
    Run,
}

/// Why the agent refuses its configuration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the host's configuration does not follow from the manifest: {reason}")]
pub struct Refusal {
    /// What differs.
    pub field: Field,
    /// How, for people. Holds no value of a variable.
    pub reason: String,
}

impl Refusal {
    fn new(field: Field, reason: impl Into<String>) -> Self {
        // Some of it is the host's own words.
        let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        Self { field, reason: reason.into().chars().map(plain).take(1000).collect() }
    }
}

impl From<DeriveError> for Refusal {
    fn from(err: DeriveError) -> Self {
        let field = match err {
            DeriveError::NoProgram { .. } => Field::Command,
            DeriveError::User { .. } => Field::User,
        };
        Self::new(field, err.to_string())
    }
}

/// What the host gives beside the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Given {
    /// Canonical JSON of the manifest.
    pub manifest: Vec<u8>,
    /// The image's documents, where the manifest pins it by digest.
    pub image: Option<Documents>,
}

impl Given {
    /// Reads it from the folder of the configuration.
    ///
    /// # Errors
    /// Where the manifest is not there, or a file can't be read or is too long.
    pub fn read(folder: &Path) -> Result<Self, Refusal> {
        let manifest = read(folder, MANIFEST_FILE, Field::Manifest, MANIFEST_BYTES_MAX as u64)?;
        let manifest = manifest.ok_or_else(|| {
            let reason = format!("the host gives no `{MANIFEST_FILE}` beside the configuration");
            Refusal::new(Field::Manifest, reason)
        })?;
        let bytes_max = Limits::default().manifest_bytes_max;
        let [index, image, config] =
            IMAGE_FILES.map(|name| read(folder, name, Field::Image, bytes_max));
        let image = match (index?, image?, config?) {
            (index, Some(manifest), Some(config)) => Some(Documents { index, manifest, config }),
            _ => None,
        };
        Ok(Self { manifest, image })
    }

    /// The files that it is read from: name in the folder, and content.
    pub fn files(&self) -> Vec<(&'static str, &[u8])> {
        let mut files = vec![(MANIFEST_FILE, self.manifest.as_slice())];
        if let Some(image) = &self.image {
            let [index, manifest, config] = IMAGE_FILES;
            files.extend(image.index.as_deref().map(|bytes| (index, bytes)));
            files.push((manifest, &image.manifest));
            files.push((config, &image.config));
        }
        files
    }
}

fn read(
    folder: &Path,
    name: &str,
    field: Field,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, Refusal> {
    let failed = |reason: String| Refusal::new(field, format!("`{name}` can't be read: {reason}"));
    let file = match File::open(folder.join(name)) {
        Ok(file) => file,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(failed(err.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|err| failed(err.to_string()))?;
    if bytes.len() as u64 > bytes_max {
        return Err(failed(format!("it is longer than {bytes_max} bytes")));
    }
    Ok(Some(bytes))
}

/// Checks that a configuration with [`Config::attestation`] follows from what is given; without it
/// there is no evidence, and nothing to check.
///
/// # Errors
/// The first thing that does not follow.
pub fn check(config: &Config, given: &Given, users: &Users) -> Result<(), Refusal> {
    let Some(attestation) = &config.attestation else { return Ok(()) };
    if blake2_256(&given.manifest) != attestation.manifest_hash {
        let reason = "the manifest that the host gives is not the one whose hash evidence covers";
        return Err(Refusal::new(Field::ManifestHash, reason));
    }
    let manifest = Manifest::from_json(&given.manifest)
        .and_then(|manifest| manifest.validate_deployable().map(|()| manifest))
        .map_err(|err| Refusal::new(Field::Manifest, err.to_string()))?;
    let containers = &manifest.spec.containers;
    let container = containers.iter().find(|c| c.name == config.container).ok_or_else(|| {
        let reason = format!("the manifest has no container `{}`", config.container);
        Refusal::new(Field::Container, reason)
    })?;
    match container.image.digest() {
        Some(digest) => {
            let hostname = hostname(config, attestation);
            app(config, container, digest, given.image.as_ref(), users, &hostname)?;
        }
        None => app_of_unknown_image(&config.app, container)?,
    }
    let terms = derive::terms(&manifest, container);
    let same = |field, same: bool, what: &str| {
        let reason = format!("{what} is not what the manifest says");
        if same { Ok(()) } else { Err(Refusal::new(field, reason)) }
    };
    same(Field::Restart, config.restart == terms.restart, "the restart policy")?;
    let run = config.task.as_ref().map(|task| &task.limits);
    let limits = "deadline, retries or artefacts of the run, or that it is one,";
    same(Field::Run, run == terms.run.as_ref(), limits)?;
    probes(&config.probes, &terms.probes)?;
    same(Field::Grace, config.grace_ms == terms.grace_ms, "the time to end after SIGTERM")?;
    let signs = config.signer.is_some();
    same(Field::Signer, signs == terms.quota.is_some(), "whether this agent signs records")?;
    let quota = config.signer.as_ref().map(|signer| signer.quota);
    same(Field::Quota, quota == terms.quota, "the pod's quota")?;
    let recipient = "whom the output is sealed to";
    same(Field::LogRecipient, config.log.recipient == terms.log_recipient, recipient)?;
    let relayed = config.log.relayed.as_ref().map_or(&[][..], |relayed| &relayed.containers);
    let relays = config.log.relay.is_some();
    let is_same = relayed == terms.log_relayed && relays == terms.log_relays;
    same(Field::LogRecipient, is_same, "whose output is sealed with it")?;
    ports(config, attestation, &manifest, &terms)?;
    secrets(config.secrets.as_ref(), terms.secrets.as_ref())
}

/// The pod's name. Its version is in no evidence, and the host's to say.
fn hostname(config: &Config, attestation: &AttestationConfig) -> String {
    let pod = format!("l{}-r{}-v", attestation.lease, attestation.replica);
    let found = config.app.env.iter().find_map(|entry| entry.strip_prefix("HOSTNAME="));
    let version = found.and_then(|name| name.strip_prefix(&pod)?.parse::<u32>().ok());
    format!("{pod}{}", version.unwrap_or(1))
}

fn app(
    config: &Config,
    container: &Container,
    digest: &str,
    documents: Option<&Documents>,
    users: &Users,
    hostname: &str,
) -> Result<(), Refusal> {
    let documents = documents.ok_or_else(|| {
        let reason = format!("the host gives no documents of the image `{}`", container.image);
        Refusal::new(Field::Image, reason)
    })?;
    let image = digest
        .parse::<Digest>()
        .map_err(casemate_image::Error::from)
        .and_then(|digest| documents.check(&digest))
        .map_err(|err| Refusal::new(Field::Image, err.to_string()))?;
    let wanted = derive::app(container, &image, users, hostname)?;
    let differs = |what: &str| format!("{what} is not what manifest and image say");
    if config.app.command != wanted.command {
        return Err(Refusal::new(Field::Command, differs("the app's command")));
    }
    if config.app.env != wanted.env {
        let name = differing_name(&config.app.env, &wanted.env);
        let reason = differs(&format!("the environment variable `{name}`"));
        return Err(Refusal::new(Field::Env, reason));
    }
    if config.app.working_dir != wanted.working_dir {
        return Err(Refusal::new(Field::WorkingDir, differs("the app's working directory")));
    }
    if config.app.user != wanted.user {
        return Err(Refusal::new(Field::User, differs("the app's user")));
    }
    Ok(())
}

/// Name of the first entry that the other list has not at its place.
fn differing_name<'a>(found: &'a [String], wanted: &'a [String]) -> &'a str {
    let added = found.iter().find(|entry| !wanted.contains(entry));
    let missing = || wanted.iter().find(|entry| !found.contains(entry));
    let moved = || found.iter().zip(wanted).find(|(a, b)| a != b).map(|(a, _)| a);
    let entry = added.or_else(missing).or_else(moved).or_else(|| found.last());
    entry.map_or("", |entry| name_of(entry))
}

/// An image that is not pinned could hold anything: only what the manifest itself says is checked.
/// Such a pod gets no secrets, see [`Manifest::validate_deployable`].
fn app_of_unknown_image(app: &AppConfig, container: &Container) -> Result<(), Refusal> {
    let differs = |field, what: &str| {
        Err(Refusal::new(field, format!("{what} is not what the manifest says")))
    };
    let wanted = container.command.iter().chain(&container.args);
    let same_command = match container.command.is_empty() {
        false => app.command.iter().eq(wanted),
        true => app.command.ends_with(&container.args),
    };
    if !same_command {
        return differs(Field::Command, "the app's command");
    }
    for variable in &container.env {
        let Some(value) = &variable.value else { continue };
        // The last of several counts.
        let mut entries = app.env.iter().rev();
        let found = entries.find(|entry| name_of(entry) == variable.name);
        if found.and_then(|entry| entry.split_once('=')).is_none_or(|(_, found)| found != value) {
            return differs(Field::Env, &format!("the environment variable `{}`", variable.name));
        }
    }
    if container.working_dir.as_ref().is_some_and(|dir| *dir != app.working_dir) {
        return differs(Field::WorkingDir, "the app's working directory");
    }
    let context = container.security_context.as_ref();
    let uid = context.and_then(|context| context.run_as_user);
    let gid = context.and_then(|context| context.run_as_group);
    let is = |wanted: Option<u32>, found: Option<u32>| wanted.is_none() || wanted == found;
    let user = app.user.as_ref();
    if !is(uid, user.map(|user| user.uid)) || !is(gid, user.map(|user| user.gid)) {
        return differs(Field::User, "the app's user");
    }
    Ok(())
}

fn probes(found: &Probes, wanted: &Probes) -> Result<(), Refusal> {
    for (name, found, wanted) in [
        ("startup", &found.startup, &wanted.startup),
        ("readiness", &found.readiness, &wanted.readiness),
        ("liveness", &found.liveness, &wanted.liveness),
    ] {
        if found != wanted {
            let reason = format!("the {name} probe is not what the manifest says");
            return Err(Refusal::new(Field::Probes, reason));
        }
    }
    Ok(())
}

/// The agent listens where nothing of the pod does, and sends what comes out of TLS to the app only.
fn ports(
    config: &Config,
    attestation: &AttestationConfig,
    manifest: &Manifest,
    terms: &Terms,
) -> Result<(), Refusal> {
    let own = [Some(attestation.port), config.tls.as_ref().map(|tls| tls.port)];
    let is_apps = |port: &u16| {
        let mut ports = manifest.spec.containers.iter().flat_map(|c| &c.ports);
        ports.any(|p| p.container_port == *port)
    };
    if let Some(port) = own.iter().flatten().find(|port| is_apps(port)) {
        let reason = format!("the agent would listen on port {port}, which is the app's");
        return Err(Refusal::new(Field::Port, reason));
    }
    if let Some(tls) = &config.tls
        && terms.tls_forward != Some(tls.forward)
    {
        let reason = format!(
            "TLS would go on to port {}, which is not the first HTTP port of the first container",
            tls.forward
        );
        return Err(Refusal::new(Field::TlsForward, reason));
    }
    Ok(())
}

fn secrets(found: Option<&SecretsConfig>, wanted: Option<&SecretsConfig>) -> Result<(), Refusal> {
    let refuse = |field, reason: &str| Err(Refusal::new(field, reason));
    let (found, wanted) = match (found, wanted) {
        (None, None) => return Ok(()),
        (Some(found), Some(wanted)) => (found, wanted),
        (None, Some(_)) => {
            return refuse(Field::Secrets, "the secrets that the manifest asks for are left out");
        }
        (Some(_), None) => {
            return refuse(Field::Secrets, "the manifest asks for no secrets");
        }
    };
    if found.senders != wanted.senders {
        let reason = "who may release secrets is not what the manifest's `releasedBy` says";
        return refuse(Field::SecretSenders, reason);
    }
    if found.items != wanted.items {
        let reason = "the secrets, or how the app gets them, are not what the manifest says";
        return refuse(Field::SecretItems, reason);
    }
    if found != wanted {
        let reason = "where secrets go, or that the app waits for them, is not as it must be";
        return refuse(Field::Secrets, reason);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
