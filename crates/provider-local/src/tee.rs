//! Guests of the software TEE: one for each pod, launched before its signer starts.
//!
//! The daemon measures the agent and the image's tree itself; this side only names the files.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use casemate_agent::config::{ATTESTATION_PORT, AttestationConfig};
use casemate_manifest::Manifest;
use casemate_primitives::{Hash256, TeeKind, blake2_256};
use casemate_provider_core::PodId;
use casemate_software_tee::{
    client::{ClientError, Control, Launch},
    wire::Kind,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Result, chain, engine},
    instance::Instance,
    lifecycle::Machine,
    record::PodRecord,
};

/// Where the signer's container has the guest's folder.
pub(crate) const GUEST_DIR: &str = "/run/casemate-tee";

/// How long a start waits for a daemon that is being started again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where pods' evidence comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TeeConfig {
    /// A software TEE, for development: it protects nothing.
    Software {
        /// Control socket of `casemate-software-tee serve`.
        control: PathBuf,
        /// Which hardware it imitates.
        kind: TeeKind,
    },
    /// The hardware that the agent finds in its pod.
    Hardware,
}

/// Where a pod's signer listens, in the pod's network. Kept with the pod: it must not change under a
/// running agent when another release chooses otherwise.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ports {
    /// Serves evidence, and takes secrets.
    pub(crate) attestation: u16,
    /// TLS for the app, where the first container has an HTTP port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) app_tls: Option<AppTls>,
}

/// TLS that ends in the signer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppTls {
    /// Where the signer listens.
    pub(crate) port: u16,
    /// The app's HTTP port.
    pub(crate) forward: u16,
}

/// The ports of a pod's signer: the usual one for evidence, or the next that no container has for
/// itself, and the next after that for the app's TLS. `None` where the containers have them all.
pub(crate) fn ports(manifest: &Manifest) -> Option<Ports> {
    let containers = &manifest.spec.containers;
    let taken =
        |port: u16| containers.iter().flat_map(|c| &c.ports).any(|p| p.container_port == port);
    let mut free = (ATTESTATION_PORT..=u16::MAX).filter(|port| !taken(*port));
    let attestation = free.next()?;
    let app_tls = manifest
        .app_http_port()
        .and_then(|http| Some(AppTls { port: free.next()?, forward: http.container_port }));
    Some(Ports { attestation, app_tls })
}

impl Machine {
    /// The agent's part of the configuration, for the signer of a pod that was accepted with a TEE.
    pub(crate) fn attestation(
        &self,
        record: &PodRecord,
        socket: Option<&Path>,
    ) -> Option<AttestationConfig> {
        self.config.tee.as_ref()?;
        Some(AttestationConfig {
            genesis_hash: record.genesis_hash,
            lease: record.id.lease,
            replica: record.id.replica,
            manifest_hash: manifest_hash(record),
            port: record.tee?.attestation,
            software_tee: socket.map(|socket| {
                // The folder is mounted, so only the name is the same inside.
                Path::new(GUEST_DIR).join(socket.file_name().unwrap_or(socket.as_os_str()))
            }),
        })
    }

    /// Launches the pod's guest, where there is a software TEE, in place of one of an earlier start.
    /// `root_fs` is the image's tree as it was unpacked, which is all that a publisher can compute.
    pub(crate) fn launch_guest(&self, record: &PodRecord, root_fs: &Path) -> Result<Option<Guest>> {
        let Some((TeeConfig::Software { control, kind }, _)) =
            self.config.tee.as_ref().zip(record.tee)
        else {
            return Ok(None);
        };
        let kind = match kind {
            TeeKind::IntelSgx => Kind::IntelSgx,
            TeeKind::IntelTdx => Kind::IntelTdx,
            TeeKind::AmdSevSnp => Kind::AmdSevSnp,
            TeeKind::NvidiaGpu => {
                return Err(engine("software TEE", "it imitates no GPUs: choose another kind"));
            }
        };
        let id = self.instance.guest(record.id);
        let manifest_hash = manifest_hash(record);
        let launch = Launch {
            id: &id,
            kind,
            version: None,
            agent: &self.config.agent_path,
            root_fs: Some(root_fs),
            manifest_hash: &manifest_hash,
            owner: None,
            misbehave: &[],
        };
        let daemon = Control::new(control);
        let start = Instant::now();
        let launched = loop {
            // The keys of an earlier start are gone: nothing of its guest is of use.
            let result = destroy(&daemon, &id).and_then(|()| daemon.launch(&launch));
            match result {
                Ok(launched) => break launched,
                Err(ClientError::Io { .. }) if start.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(250));
                }
                Err(err) => return Err(failed(control, &err)),
            }
        };
        Ok(Some(Guest { dir: launched.socket_dir, socket: launched.socket }))
    }

    /// Ends the pod's guest, if it has one. Where the daemon does not answer the guest is left to
    /// [`Machine::sweep_guests`]: a pod's deletion does not wait for it.
    pub(crate) fn destroy_guest(&self, id: PodId) {
        let Some(TeeConfig::Software { control, .. }) = &self.config.tee else { return };
        if let Err(err) = destroy(&Control::new(control), &self.instance.guest(id)) {
            tracing::warn!(pod = %id, err = chain(&err), "can't end its guest in the software TEE");
        }
    }

    /// Ends the guests of this data directory whose pods are gone.
    pub(crate) fn sweep_guests(&self, is_pod: impl Fn(PodId) -> bool) -> Result<()> {
        let Some(TeeConfig::Software { control, .. }) = &self.config.tee else { return Ok(()) };
        let daemon = Control::new(control);
        // What is listed before it is asked whose it is can't be a guest that is being launched.
        for guest in daemon.list().map_err(|err| failed(control, &err))? {
            let pod = pod_of(&self.instance, &guest.id);
            if pod.is_some_and(|pod| !is_pod(pod)) {
                tracing::info!(guest = guest.id, "ending a guest of no pod");
                destroy(&daemon, &guest.id).map_err(|err| failed(control, &err))?;
            }
        }
        Ok(())
    }
}

/// A guest that was launched.
#[derive(Debug)]
pub(crate) struct Guest {
    /// Holds the socket and nothing else.
    pub(crate) dir: PathBuf,
    pub(crate) socket: PathBuf,
}

fn manifest_hash(record: &PodRecord) -> Hash256 {
    blake2_256(&record.manifest.to_canonical_json())
}

/// The pod of a guest of this data directory.
fn pod_of(instance: &Instance, guest: &str) -> Option<PodId> {
    guest.strip_prefix(&instance.guest_prefix())?.parse().ok()
}

/// A guest that is not there is no error.
fn destroy(daemon: &Control, id: &str) -> Result<(), ClientError> {
    match daemon.destroy(id) {
        // The daemon's refusals have no codes: it is asked whether the guest is there.
        Err(ClientError::Refused(_)) if daemon.list()?.iter().all(|guest| guest.id != id) => Ok(()),
        result => result,
    }
}

fn failed(control: &Path, err: &ClientError) -> casemate_provider_core::BackendError {
    let todo = match err {
        ClientError::Io { .. } => format!(
            "; start it (`casemate-software-tee serve --dir DIR --control {0}`), or set \
             `tee.software` in the provider's configuration to where it listens",
            control.display()
        ),
        ClientError::Refused(_) => String::new(),
        _ => "; provider and software TEE must be of the same release".to_owned(),
    };
    engine("software TEE", format!("{}{todo}", chain(err)))
}

#[cfg(test)]
mod tests;
