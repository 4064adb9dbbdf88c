//! What the types alone do not check: ranges, names, and what must fit together.
//!
//! Every check goes on after a fault, so that all of them are told at once.

mod container;
pub mod limits;
mod names;
mod placement;
mod ports;
mod probe;
mod secrets;
mod task;

use crate::{Manifest, Volume, VolumeSource, error::shown, path::Path};
use limits::*;
use std::collections::BTreeSet;

/// Something wrong, and where.
pub(crate) struct Fault {
    pub(crate) path: Path,
    pub(crate) found: String,
    pub(crate) allowed: String,
}

/// Collects faults.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, path: Path, found: impl Into<String>, allowed: impl Into<String>) {
        self.0.push(Fault { path, found: found.into(), allowed: allowed.into() });
    }

    /// That `value` is from `min` to `max`.
    fn range(&mut self, path: Path, value: u32, min: u32, max: u32) {
        if !(min..=max).contains(&value) {
            self.add(path, format!("`{value}`"), format!("a number from {min} to {max}"));
        }
    }

    /// That there are at most `max` of something.
    fn count(&mut self, path: Path, count: usize, max: usize) {
        if count > max {
            self.add(path, format!("{count} items"), format!("at most {max}"));
        }
    }

    /// That `text` passes `check`.
    fn text(&mut self, path: Path, text: &str, check: fn(&str) -> bool, allowed: &str) {
        if !check(text) {
            self.add(path, format!("`{}`", shown(text)), allowed);
        }
    }

    /// That `value` is not in `seen` yet; then it is.
    fn unique<T>(&mut self, path: Path, value: T, what: &str, seen: &mut BTreeSet<T>)
    where
        T: Clone + std::fmt::Display + Ord,
    {
        if !seen.insert(value.clone()) {
            let found = format!("`{}` is there twice", shown(&value.to_string()));
            self.add(path, found, format!("each {what} once"));
        }
    }
}

/// All that is wrong with `manifest`.
pub(crate) fn faults(manifest: &Manifest) -> Vec<Fault> {
    let mut faults = Faults::default();
    let root = Path::default();
    metadata(manifest, &root.at("metadata"), &mut faults);

    let at = root.at("spec");
    let spec = &manifest.spec;
    faults.range(at.at("replicas"), spec.replicas.into(), 1, REPLICAS_MAX.into());
    faults.range(
        at.at("terminationGracePeriodSeconds"),
        spec.termination_grace_period_seconds,
        0,
        GRACE_SECONDS_MAX,
    );
    volumes(&spec.volumes, &at.at("volumes"), &mut faults);
    containers(manifest, &at.at("containers"), &mut faults);
    secrets::check(manifest, &at, &mut faults);
    task::check(manifest, &at, &mut faults);
    placement::check(&spec.placement, &at.at("placement"), &mut faults);
    if manifest.checked_pod_resources().is_none() {
        let allowed = "containers and volumes together less than 4294968 cores and 4096Ti";
        faults.add(at, "the resources of a pod are more than can be counted", allowed);
    }
    // After all else, as the one check that renders the manifest: defaults may make it longer.
    if faults.0.is_empty() {
        let bytes = manifest.to_canonical_json().len();
        if bytes > crate::MANIFEST_BYTES_MAX {
            let allowed = format!("at most {} bytes", crate::MANIFEST_BYTES_MAX);
            faults.add(root, format!("{bytes} bytes as canonical JSON"), allowed);
        }
    }
    faults.0
}

/// What is wrong with a manifest that is to be deployed as it is.
pub(crate) fn deployable_faults(manifest: &Manifest) -> Vec<Fault> {
    let mut faults = Faults(faults(manifest));
    secrets::check_deployable(manifest, &Path::default().at("spec"), &mut faults);
    faults.0
}

fn metadata(manifest: &Manifest, at: &Path, faults: &mut Faults) {
    let metadata = &manifest.metadata;
    faults.text(at.at("name"), &metadata.name, names::is_label, names::LABEL_ALLOWED);
    faults.count(at.at("labels"), metadata.labels.len(), LABELS_MAX);
    for (key, value) in &metadata.labels {
        let at = at.at("labels").at(key.as_str());
        faults.text(at.clone(), key, names::is_label_key, names::LABEL_KEY_ALLOWED);
        faults.text(at, value, names::is_label_value, names::LABEL_VALUE_ALLOWED);
    }
    faults.count(at.at("annotations"), metadata.annotations.len(), LABELS_MAX);
    for (key, value) in &metadata.annotations {
        let at = at.at("annotations").at(key.as_str());
        faults.text(at.clone(), key, names::is_label_key, names::LABEL_KEY_ALLOWED);
        if value.len() > ANNOTATION_BYTES_MAX {
            let allowed = format!("at most {ANNOTATION_BYTES_MAX} bytes");
            faults.add(at, format!("{} bytes", value.len()), allowed);
        }
    }
}

fn volumes(volumes: &[Volume], at: &Path, faults: &mut Faults) {
    faults.count(at.clone(), volumes.len(), VOLUMES_MAX);
    let mut seen = BTreeSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let at = at.at(index);
        faults.text(at.at("name"), &volume.name, names::is_label, names::LABEL_ALLOWED);
        faults.unique(at.at("name"), volume.name.as_str(), "volume name", &mut seen);
        let (kind, size) = match volume.source() {
            Some(VolumeSource::Empty { size }) => ("empty", size),
            Some(VolumeSource::Persistent { size }) => ("persistent", size),
            None => {
                let found = if volume.empty.is_some() {
                    "both `empty` and `persistent`"
                } else {
                    "neither `empty` nor `persistent`"
                };
                faults.add(at, found, "exactly one of `empty: {size}`, `persistent: {size}`");
                continue;
            }
        };
        if size.0 == 0 {
            faults.add(at.at(kind).at("size"), "`0`", "at least 1Mi");
        }
    }
}

fn containers(manifest: &Manifest, at: &Path, faults: &mut Faults) {
    let containers = &manifest.spec.containers;
    if containers.is_empty() {
        faults.add(at.clone(), "no container", format!("1 to {CONTAINERS_MAX} containers"));
    }
    faults.count(at.clone(), containers.len(), CONTAINERS_MAX);
    let mut seen = BTreeSet::new();
    let mut pod_ports = ports::PodPorts::default();
    for (index, container) in containers.iter().enumerate() {
        let at = at.at(index);
        faults.unique(at.at("name"), container.name.as_str(), "container name", &mut seen);
        container::check(container, &manifest.spec.volumes, &at, faults);
        pod_ports.check(container, &at, faults);
    }
}
