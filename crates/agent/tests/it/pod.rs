//! Agents of pods with a manifest, started as an honest host starts them.

use std::path::Path;

use casemate_agent::{
    check::Given,
    config::{AttestationConfig, Config, SignerConfig},
    derive::{self, Users},
};
use casemate_image::{Digest, Documents};
use casemate_manifest::Manifest;
use casemate_primitives::{LeaseId, blake2_256};
use casemate_ra_tls::PodIdentity;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use crate::harness::{GENESIS, config, require_root};

/// Whose releases the pods take.
pub(crate) fn sender() -> SigningKey {
    SigningKey::from_bytes(&[8; 32])
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An image without anything, as a registry would give it.
fn image() -> Documents {
    let bytes = |value: &Value| serde_json::to_vec(value).unwrap();
    let diff_ids: [Digest; 0] = [];
    let config = bytes(&json!({ "rootfs": { "type": "layers", "diff_ids": diff_ids } }));
    let descriptor = json!({
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": Digest::of(&config), "size": config.len(),
    });
    let manifest = bytes(&json!({ "schemaVersion": 2, "config": descriptor, "layers": [] }));
    Documents { index: None, manifest, config }
}

/// A pod whose container runs `command`. `fields` go into the container; who asks for secrets takes
/// them from [`sender`].
pub(crate) fn pod(command: Vec<String>, fields: &Value) -> (Config, Given) {
    pod_released_by(&sender().verifying_key().to_bytes(), command, fields)
}

/// The same, but it takes its secrets from `sender`.
pub(crate) fn pod_released_by(
    sender: &[u8; 32],
    command: Vec<String>,
    fields: &Value,
) -> (Config, Given) {
    require_root();
    let image = image();
    let digest = Digest::of(&image.manifest);
    let mut container = json!({
        "name": "app", "image": format!("registry.example/app@{digest}"), "command": command,
        "env": [{ "name": "LC_ALL", "value": "C" }],
        "resources": { "cpu": "1", "memory": "64Mi", "storage": "10Mi" },
    });
    for (name, value) in fields.as_object().unwrap() {
        container[name] = value.clone();
    }
    let mut manifest = json!({
        "apiVersion": "casemate.io/v1", "kind": "Service", "metadata": { "name": "test" },
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 30,
            "containers": [container],
        },
    });
    let parse = |value: &Value| Manifest::from_json(value.to_string().as_bytes()).unwrap();
    if parse(&manifest).asks_for_secrets() {
        manifest["spec"]["releasedBy"] = json!([hex::encode(sender)]);
    }
    let manifest = parse(&manifest);
    let container = &manifest.spec.containers[0];
    let configured = image.check(&digest).unwrap();
    let users = Users::of_own_root().unwrap();
    let terms = derive::terms(&manifest, container);
    let canonical = manifest.to_canonical_json();
    let config = Config {
        signer: Some(SignerConfig {
            genesis_hash: GENESIS,
            lease: LeaseId(5),
            replica: 0,
            quota: terms.quota.unwrap(),
            record_interval_ms: 60_000,
            previous: None,
        }),
        app: derive::app(container, &configured, &users, "l5-r0-v1").unwrap(),
        restart: terms.restart,
        task: None,
        probes: terms.probes,
        grace_ms: terms.grace_ms,
        attestation: Some(AttestationConfig {
            genesis_hash: GENESIS,
            lease: LeaseId(5),
            replica: 0,
            manifest_hash: blake2_256(&canonical),
            port: free_port(),
            software_tee: None,
        }),
        secrets: terms.secrets,
        ..config(vec![])
    };
    (config, Given { manifest: canonical, image: Some(image) })
}

/// The same, with a guest of a software TEE.
pub(crate) fn pod_with(socket: &Path, command: Vec<String>, fields: &Value) -> (Config, Given) {
    let (mut config, given) = pod(command, fields);
    config.attestation.as_mut().unwrap().software_tee = Some(socket.to_owned());
    (config, given)
}

/// As whom its evidence must present it.
pub(crate) fn identity(config: &Config) -> PodIdentity {
    let attestation = config.attestation.as_ref().unwrap();
    PodIdentity {
        genesis_hash: attestation.genesis_hash,
        lease: attestation.lease,
        replica: attestation.replica,
        manifest_hash: attestation.manifest_hash,
    }
}
