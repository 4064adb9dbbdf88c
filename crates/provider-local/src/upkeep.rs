//! What is done from time to time: storage is measured, long event files are shortened, and what
//! belongs to no pod is removed.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, Weak},
};

use casemate_manifest::{Container, VolumeSource};
use casemate_provider_core::PodId;

use crate::{
    backend::{Entry, Inner},
    error::{Result, chain},
    files::{cgroup_dirs, disk_usage_mib, names, remove_cgroup, remove_tree, unmount_below},
    fold::{App, Fold},
    lifecycle::{Machine, joined},
    network,
    record::PodRecord,
};

/// Runs until the backend is dropped.
pub(crate) fn spawn(inner: &Arc<Inner>) {
    let interval = inner.machine.config.storage_check_interval;
    let inner: Weak<Inner> = Arc::downgrade(inner);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(interval).await;
            let Some(inner) = inner.upgrade() else { return };
            if let Err(err) = once(&inner).await {
                tracing::warn!(err = chain(&err), "upkeep");
            }
        }
    });
}

async fn once(inner: &Arc<Inner>) -> Result<()> {
    let of = Arc::clone(inner);
    let over = joined(tokio::task::spawn_blocking(move || check(&of)).await)?;
    for (entry, reason) in over {
        let id = entry.record.id;
        if entry.record.run.is_none() {
            tracing::warn!(pod = %id, reason, "is ended");
            inner.end(&entry, &reason).await?;
            continue;
        }
        // Of a run only the app is ended, as the kernel ends one that is over its memory: the agent
        // signs that it has failed, and the manifest says how often it is tried. A pod that is stopped
        // would be run for nothing, again and again.
        tracing::warn!(pod = %id, reason, "its app is ended");
        let machine = Arc::clone(&inner.machine);
        let ended = tokio::task::spawn_blocking(move || machine.kill_apps(&entry.record));
        joined(ended.await)?;
    }
    let of = Arc::clone(inner);
    joined(tokio::task::spawn_blocking(move || sweep(&of)).await)?
}

/// The pods that are over their storage, and why. One that can't be measured is left alone.
fn check(inner: &Inner) -> Vec<(Arc<Entry>, String)> {
    let mut over = Vec::new();
    for (id, entry) in inner.entries() {
        if !entry.is_started() || entry.has_failed() {
            continue;
        }
        let mut events = entry.events.lock().unwrap_or_else(PoisonError::into_inner);
        let has_ended = events.refresh().map(|fold| has_ended(&entry.record, fold));
        let trimmed = events.trim(inner.machine.config.log_bytes_max);
        drop(events);
        if let Err(err) = has_ended.as_ref().map(drop).and(trimmed.as_ref().map(drop)) {
            tracing::warn!(pod = %id, err = chain(err), "can't shorten its events");
        }
        // Nothing of it writes any more, and its agent has signed what counts.
        if has_ended.is_ok_and(|has_ended| has_ended) {
            continue;
        }
        match over_storage(&inner.machine, &entry) {
            Ok(Some(reason)) => over.push((entry, reason)),
            Ok(None) => {}
            Err(err) => tracing::warn!(pod = %id, err = chain(&err), "can't measure its storage"),
        }
    }
    over
}

/// Whether all apps of the pod have ended for good, and its signer has said so.
fn has_ended(record: &PodRecord, fold: &Fold) -> bool {
    let is_over = |container: &Container| {
        let fold = fold.containers.get(&container.name);
        fold.is_some_and(|fold| matches!(fold.app, App::EndedForGood(_)))
    };
    fold.has_ended(&record.genesis_hash) && record.manifest.spec.containers.iter().all(is_over)
}

fn over_storage(machine: &Machine, entry: &Entry) -> Result<Option<String>> {
    let record = &entry.record;
    let paths = machine.paths(record.id);
    let mut parts: Vec<(String, PathBuf, u32)> = Vec::new();
    for container in &record.manifest.spec.containers {
        let dir = paths.container(&container.name);
        // Where there is no overlay the image's copy would count: it is not the tenant's.
        let upper = dir.join("upper");
        let what = format!("container `{}`", container.name);
        parts.push((what, upper, container.resources.storage.0));
    }
    for volume in &record.manifest.spec.volumes {
        let (dir, size) = match volume.source() {
            Some(VolumeSource::Empty { size }) => (paths.empty_volume(&volume.name), size),
            Some(VolumeSource::Persistent { size }) => {
                (machine.instance.volume(record.id, &volume.name), size)
            }
            None => continue,
        };
        parts.push((format!("volume `{}`", volume.name), dir, size.0));
    }
    for (what, dir, most) in parts {
        if !dir.is_dir() {
            continue;
        }
        let used = disk_usage_mib(&dir)?;
        if used > u64::from(most) {
            return Ok(Some(format!(
                "storage quota: {what} uses {used} MiB of {most} MiB; ask for more in the manifest"
            )));
        }
    }
    Ok(None)
}

/// Removes what carries this backend's name and belongs to none of its pods.
pub(crate) fn sweep(inner: &Inner) -> Result<()> {
    let machine = &inner.machine;
    // What is there is listed before it is asked whose it is: a pod that is accepted in between has
    // its entry before it has anything else.
    for container in machine.runtime.list()? {
        let pod = container.split('.').next().and_then(|id| id.parse::<PodId>().ok());
        if !pod.is_some_and(|id| inner.has(id)) {
            tracing::info!(container, "removing a container of no pod");
            machine.runtime.delete(&container)?;
        }
    }
    for dir in cgroup_dirs(&machine.instance.cgroup_root()) {
        for name in names(&dir)? {
            let is_group = dir.join(&name).is_dir();
            if is_group && !name.parse::<PodId>().is_ok_and(|id| inner.has(id)) {
                remove_cgroup(&format!("{}/{name}", machine.instance.cgroup_root()));
            }
        }
    }
    for name in names(&machine.instance.pods())? {
        if !name.parse::<PodId>().is_ok_and(|id| inner.has(id)) {
            let dir = machine.instance.pods().join(&name);
            // A deletion may be at it, too: removing twice does no harm.
            unmount_below(&dir)?;
            remove_tree(Path::new(&dir))?;
        }
    }
    let found = network::links(&machine.instance)?;
    let ours: Vec<String> =
        inner.entries().iter().map(|(id, _)| machine.instance.link(*id)).collect();
    for link in found.iter().filter(|link| !ours.contains(link)) {
        network::remove_link(link)?;
    }
    // Last, and no reason to stop: pods run on while the software TEE is away.
    if let Err(err) = machine.sweep_guests(|id| inner.has(id)) {
        tracing::warn!(err = chain(&err), "can't look after the pods' guests");
    }
    Ok(())
}
