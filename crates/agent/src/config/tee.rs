//! Evidence, secrets and TLS in the configuration.
//!
//! All of it comes from the host, who must not gain by lying: evidence covers the pod's identity as
//! it stands here, so with another lease or manifest nobody releases a secret to it, and what does
//! not follow from that manifest is refused (see [`crate::check`]).

use std::{collections::BTreeSet, path::PathBuf};

use casemate_primitives::{Hash256, LeaseId, ReplicaIndex};
use casemate_ra_tls::SecretName;
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError, hex_hash};

/// Where the agent serves evidence when nothing else is said.
pub const ATTESTATION_PORT: u16 = 8443;

/// Longest path of a unix socket (`sun_path`, without its end).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Evidence and where it is served.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationConfig {
    /// Chain that the pod belongs to.
    #[serde(with = "hex_hash")]
    pub genesis_hash: Hash256,
    /// Its lease.
    pub lease: LeaseId,
    /// Which of the lease's pods.
    pub replica: ReplicaIndex,
    /// BLAKE2b-256 of its manifest.
    #[serde(with = "hex_hash")]
    pub manifest_hash: Hash256,
    /// TCP port in the pod's network; agents of one pod need different ones.
    #[serde(default = "attestation_port")]
    pub port: u16,
    /// Guest socket of the software TEE, used where there is no hardware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_tee: Option<PathBuf>,
}

fn attestation_port() -> u16 {
    ATTESTATION_PORT
}

/// What the app gets of released secrets.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsConfig {
    /// Whether the app starts only when they were released, however long that takes.
    #[serde(default = "yes")]
    pub wait: bool,
    /// Secrets that each release must hold, and how the app gets them. Others in a release reach the
    /// app by the socket alone.
    #[serde(default)]
    pub items: Vec<SecretItem>,
    /// Folder for those that are files. Must be in a tmpfs: it is the pod's memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Unix socket where the app can ask for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Ed25519 keys, 32 bytes of hex each, whose signed releases are taken. At least one: else the
    /// host could give the app secrets of its own making.
    #[serde(default, with = "hex_hashes", skip_serializing_if = "Vec::is_empty")]
    pub senders: Vec<[u8; 32]>,
}

fn yes() -> bool {
    true
}

/// One secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecretItem {
    /// Its name in releases.
    pub name: String,
    /// Environment variable that holds it. Set when the app starts: a later release changes it at
    /// the next start only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// File in the folder that holds it, owned by the app's user, readable for him only. A later
    /// release replaces it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// TLS that ends in the agent, with the certificate that carries evidence.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// TCP port that the agent listens on.
    pub port: u16,
    /// Port on 127.0.0.1 that gets what comes out of TLS, byte for byte.
    pub forward: u16,
    /// Whether the agent answers requests for `/.well-known/casemate/` that a connection begins with.
    /// For that it waits for the client's first bytes: say no for protocols where the server speaks
    /// first.
    #[serde(default = "yes")]
    pub http: bool,
    /// Connections at once; more wait. Each costs a thread and some 100 kB.
    #[serde(default = "connections_max")]
    pub connections_max: u16,
    /// A connection on which nothing moves for so long is closed.
    #[serde(default = "idle_ms")]
    pub idle_ms: u64,
}

impl TlsConfig {
    /// For an app that speaks HTTP, with the usual limits.
    pub fn http(port: u16, forward: u16) -> Self {
        Self { port, forward, http: true, connections_max: connections_max(), idle_ms: idle_ms() }
    }
}

fn connections_max() -> u16 {
    128
}

/// Longer than the pings of long-lived connections, such as WebSockets, are usually apart.
fn idle_ms() -> u64 {
    10 * 60 * 1000
}

impl Config {
    pub(super) fn check_tee(&self) -> Result<(), ConfigError> {
        let value = |field, problem| Err(ConfigError::Value { field, problem });
        let Some(attestation) = &self.attestation else {
            if self.secrets.is_some() {
                return value("secrets", "needs `attestation`: nobody releases to an unknown");
            }
            if self.tls.is_some() {
                return value("tls", "needs `attestation`: its certificate carries evidence");
            }
            return Ok(());
        };
        if attestation.port == 0 {
            return value("attestation.port", "is zero");
        }
        if let Some(signer) = &self.signer
            && (signer.genesis_hash, signer.lease, signer.replica)
                != (attestation.genesis_hash, attestation.lease, attestation.replica)
        {
            return value("attestation", "names another pod than `signer`");
        }
        if let Some(tls) = &self.tls {
            if tls.port == 0 || tls.forward == 0 {
                return value("tls", "has a port of zero");
            }
            if tls.port == attestation.port || tls.port == tls.forward {
                return value("tls.port", "is the same as another port");
            }
            if tls.connections_max == 0 || tls.idle_ms == 0 {
                return value("tls", "has a limit of zero");
            }
        }
        match &self.secrets {
            Some(secrets) => secrets.check(),
            None => Ok(()),
        }
    }
}

impl SecretsConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let value = |field, problem| Err(ConfigError::Value { field, problem });
        let absolute = |path: &PathBuf| path.is_absolute();
        if !self.dir.iter().chain(&self.socket).all(absolute) {
            return value("secrets", "has a `dir` or `socket` that is not an absolute path");
        }
        let too_long = |path: &PathBuf| path.as_os_str().len() > SOCKET_PATH_BYTES_MAX;
        if self.socket.as_ref().is_some_and(too_long) {
            return value("secrets.socket", "is longer than a socket's path may be (107 bytes)");
        }
        let (mut names, mut variables, mut files) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for item in &self.items {
            if SecretName::new(&item.name).is_err() {
                return value("secrets.items", "has a `name` that is none");
            }
            if item.env.as_ref().is_some_and(|v| v.is_empty() || v.contains(['=', '\0'])) {
                return value("secrets.items", "has an `env` that is no variable's name");
            }
            if item.file.as_ref().is_some_and(|file| SecretName::new(file).is_err()) {
                return value("secrets.items", "has a `file` that is no plain file name");
            }
            if item.file.is_some() && self.dir.is_none() {
                return value("secrets.dir", "is missing, and there are secrets that are files");
            }
            let fresh = names.insert(&item.name)
                && item.env.as_ref().is_none_or(|v| variables.insert(v))
                && item.file.as_ref().is_none_or(|file| files.insert(file));
            if !fresh {
                return value("secrets.items", "names a secret, variable or file twice");
            }
        }
        if self.senders.is_empty() {
            return value("secrets.senders", "is empty: name who may release secrets");
        }
        Ok(())
    }
}

mod hex_hashes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(keys: &[[u8; 32]], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(keys.iter().map(hex::encode))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<[u8; 32]>, D::Error> {
        let decode = |text: &String| {
            let mut key = [0; 32];
            hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut key)
                .map_err(|err| D::Error::custom(format!("not 32 bytes of hex: {err}")))?;
            Ok(key)
        };
        Vec::<String>::deserialize(d)?.iter().map(decode).collect()
    }
}

#[cfg(test)]
mod tests;
