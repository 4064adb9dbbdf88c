//! Checks of one container.

use super::{Faults, limits::*, names, probe};
use crate::{Container, SECRETS_DIR, Volume, error::shown, path::Path};
use std::collections::BTreeSet;

/// Directories that the runtime and the agent own: a volume there would hide or change them.
const RESERVED: [&str; 4] = ["/proc", "/sys", "/dev", "/run/casemate"];

pub(super) fn check(container: &Container, volumes: &[Volume], at: &Path, faults: &mut Faults) {
    faults.text(at.at("name"), &container.name, names::is_label, names::LABEL_ALLOWED);
    command(container, at, faults);
    resources(container, &at.at("resources"), faults);
    mounts(container, volumes, &at.at("volumeMounts"), faults);
    if let Some(context) = &container.security_context {
        let at = at.at("securityContext");
        for (name, id) in [("runAsUser", context.run_as_user), ("runAsGroup", context.run_as_group)]
        {
            faults.range(at.at(name), id.unwrap_or(0), 0, USER_ID_MAX);
        }
    }
    let probes = [
        ("readinessProbe", &container.readiness_probe, u32::MAX),
        ("livenessProbe", &container.liveness_probe, 1),
        ("startupProbe", &container.startup_probe, 1),
    ];
    for (name, probe, success_max) in probes {
        if let Some(probe) = probe {
            probe::check(probe, success_max, &at.at(name), faults);
        }
    }
}

fn command(container: &Container, at: &Path, faults: &mut Faults) {
    let mut bytes = 0;
    for (name, list) in [("command", &container.command), ("args", &container.args)] {
        bytes += words(list, &at.at(name), faults);
    }
    if container.command.first().is_some_and(String::is_empty) {
        faults.add(at.at("command").at(0), "an empty text", "the program to start");
    }
    if let Some(dir) = &container.working_dir {
        faults.text(at.at("workingDir"), dir, names::is_path, names::PATH_ALLOWED);
    }

    let env_at = at.at("env");
    faults.count(env_at.clone(), container.env.len(), ENV_MAX);
    let mut seen = BTreeSet::new();
    for (index, variable) in container.env.iter().enumerate() {
        let at = env_at.at(index);
        let value = variable.value.as_deref().unwrap_or_default();
        bytes += variable.name.len() + value.len() + 2;
        faults.text(at.at("name"), &variable.name, names::is_env_name, names::ENV_NAME_ALLOWED);
        faults.unique(at.at("name"), variable.name.as_str(), "variable", &mut seen);
        no_nul(value, at.at("value"), faults);
    }
    if bytes > COMMAND_BYTES_MAX {
        let found = format!("command, arguments and environment are {bytes} bytes together");
        faults.add(at.clone(), found, format!("at most {COMMAND_BYTES_MAX} bytes"));
    }
}

/// Checks the words of a command; gives their length.
pub(super) fn words(words: &[String], at: &Path, faults: &mut Faults) -> usize {
    faults.count(at.clone(), words.len(), WORDS_MAX);
    for (index, word) in words.iter().enumerate() {
        no_nul(word, at.at(index), faults);
    }
    words.iter().map(|word| word.len() + 1).sum()
}

fn no_nul(text: &str, at: Path, faults: &mut Faults) {
    if text.contains('\0') {
        faults.add(at, format!("`{}`", shown(text)), "a text without zero bytes");
    }
}

fn resources(container: &Container, at: &Path, faults: &mut Faults) {
    let resources = &container.resources;
    if resources.cpu.0 < CPU_MILLICORES_MIN {
        let allowed = format!("at least {CPU_MILLICORES_MIN}m");
        faults.add(at.at("cpu"), format!("`{}`", resources.cpu), allowed);
    }
    if resources.memory.0 < MEMORY_MIB_MIN {
        let allowed = format!("at least {MEMORY_MIB_MIN}Mi");
        faults.add(at.at("memory"), format!("`{}`", resources.memory), allowed);
    }
    let is_read_only = container
        .security_context
        .as_ref()
        .is_some_and(|context| context.read_only_root_filesystem == Some(true));
    if resources.storage.0 == 0 && !is_read_only {
        let allowed = "at least 1Mi, or `securityContext.readOnlyRootFilesystem: true`";
        faults.add(at.at("storage"), "`0`", allowed);
    }
    faults.range(at.at("gpu"), resources.gpu, 0, GPUS_MAX);
}

fn mounts(container: &Container, volumes: &[Volume], at: &Path, faults: &mut Faults) {
    faults.count(at.clone(), container.volume_mounts.len(), VOLUMES_MAX);
    let mut seen = BTreeSet::new();
    for (index, mount) in container.volume_mounts.iter().enumerate() {
        let at = at.at(index);
        if !volumes.iter().any(|volume| volume.name == mount.name) {
            let names: Vec<_> =
                volumes.iter().take(VOLUMES_MAX).map(|v| format!("`{}`", shown(&v.name))).collect();
            let allowed = if names.is_empty() {
                "a volume of `spec.volumes`, which has none".to_owned()
            } else {
                format!("a volume of `spec.volumes`: {}", names.join(", "))
            };
            faults.add(
                at.at("name"),
                format!("there is no volume `{}`", shown(&mount.name)),
                allowed,
            );
        }

        let path = mount.mount_path.as_str();
        let path_at = at.at("mountPath");
        faults.text(path_at.clone(), path, names::is_path, names::PATH_ALLOWED);
        faults.unique(path_at.clone(), path, "path", &mut seen);
        // `/run` would hide what is below it.
        let is_reserved = path == "/run" || RESERVED.iter().any(|top| names::is_under(path, top));
        if path == "/" || is_reserved {
            let allowed = "a path other than `/` and `/run`, and not under `/proc`, `/sys`, \
                 `/dev` or `/run/casemate`";
            faults.add(path_at, format!("`{}`", shown(path)), allowed);
        } else if container.asks_for_secrets() && names::is_under(path, SECRETS_DIR) {
            let allowed = "a path outside of `/run/secrets`, where this container's secrets are";
            faults.add(path_at, format!("`{}`", shown(path)), allowed);
        }
    }
}
