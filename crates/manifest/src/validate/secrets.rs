//! Checks of secrets: what is asked for, and who may release it.

use super::{Faults, limits::*, names};
use crate::{Container, Manifest, path::Path};
use std::collections::BTreeSet;

pub(super) fn check(manifest: &Manifest, at: &Path, faults: &mut Faults) {
    for (index, container) in manifest.spec.containers.iter().enumerate() {
        self::container(container, index == 0, &at.at("containers").at(index), faults);
    }
    let keys = &manifest.spec.released_by;
    let at = at.at("releasedBy");
    faults.count(at.clone(), keys.len(), RELEASE_KEYS_MAX);
    let mut seen = BTreeSet::new();
    for (index, key) in keys.iter().enumerate() {
        faults.unique(at.at(index), key.to_string(), "key", &mut seen);
    }
    if !keys.is_empty() && !manifest.asks_for_secrets() {
        let allowed = "`releasedBy` where the first container has `secrets` or an `env` with \
             `valueFrom`";
        faults.add(at, "keys for secrets, and no container asks for one", allowed);
    }
}

/// What must hold when the manifest is hashed.
pub(super) fn check_deployable(manifest: &Manifest, at: &Path, faults: &mut Faults) {
    if !manifest.asks_for_secrets() {
        return;
    }
    for (index, container) in manifest.spec.containers.iter().enumerate() {
        if container.asks_for_secrets() && !container.image.is_pinned() {
            let at = at.at("containers").at(index).at("image");
            let found = format!("`{}` asks for secrets and is not pinned", container.image);
            let allowed = "an image with its digest, `name@sha256:…`: otherwise nobody knows what \
                 would get the secrets";
            faults.add(at, found, allowed);
        }
    }
    if manifest.spec.released_by.is_empty() {
        let allowed = "`releasedBy` with the Ed25519 key of whoever releases the secrets: \
             otherwise the provider could release forged ones";
        faults.add(at.clone(), "secrets are asked for, and `releasedBy` is missing", allowed);
    }
}

fn container(container: &Container, is_first: bool, at: &Path, faults: &mut Faults) {
    let (mut variables, mut secrets, mut files) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, variable) in container.env.iter().enumerate() {
        let at = at.at("env").at(index);
        match (&variable.value, variable.secret()) {
            (Some(_), None) => {}
            (None, Some(name)) => {
                let at = at.at("valueFrom").at("secretRef").at("name");
                only_first(is_first, &at, faults);
                secret_name(name, &at, faults);
                faults.unique(at, name, "secret in one variable", &mut variables);
            }
            (Some(_), Some(_)) => {
                faults.add(at, "both `value` and `valueFrom`", "exactly one of them");
            }
            (None, None) => {
                faults.add(at, "neither `value` nor `valueFrom`", "exactly one of them");
            }
        }
    }
    let at = at.at("secrets");
    for (index, secret) in container.secrets.iter().enumerate() {
        let at = at.at(index);
        only_first(is_first, &at.at("name"), faults);
        secret_name(&secret.name, &at.at("name"), faults);
        faults.unique(at.at("name"), secret.name.as_str(), "secret", &mut secrets);
        if let Some(file) = &secret.file {
            secret_name(file, &at.at("file"), faults);
            faults.unique(at.at("file"), file.as_str(), "file", &mut files);
        }
    }
    // One that is a variable and a file is one secret.
    faults.count(at, variables.union(&secrets).count(), SECRETS_MAX);
}

fn secret_name(name: &str, at: &Path, faults: &mut Faults) {
    faults.text(at.clone(), name, names::is_secret_name, names::SECRET_NAME_ALLOWED);
}

fn only_first(is_first: bool, at: &Path, faults: &mut Faults) {
    if !is_first {
        let allowed = "secrets in the pod's first container, whose agent is the attested one; \
             other containers can't have any yet";
        faults.add(at.clone(), "a secret in a container that is not the first", allowed);
    }
}
