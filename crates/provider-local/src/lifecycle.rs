//! Starting, stopping and clearing away one pod. All of it may be killed and done again.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use casemate_agent::{check::Given, config::PreviousRecord, derive};
use casemate_image::{Documents, Image, ImageConfig, Reference, Store, pull};
use casemate_manifest::{Container, VolumeSource};
use casemate_provider_core::{BackendError, PodId};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::sync::watch;

use crate::{
    config::LocalConfig,
    error::{Result, chain, engine, io_error},
    files::{
        cgroup_counters, cgroup_processes, make_dir, mount_root, names, remove_cgroup, remove_tree,
        unmount_below, write_atomically,
    },
    instance::{Instance, PodPaths, container_id, live_agent},
    network,
    record::PodRecord,
    runtime::{Runtime, write_spec},
    spec::{self, Bind},
    tee,
};

/// How long an agent may take for its last record once its app was killed.
const LAST_RECORD: Duration = Duration::from_secs(5);

/// What all pods share.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) config: LocalConfig,
    pub(crate) instance: Instance,
    pub(crate) runtime: Runtime,
    pub(crate) store: Store,
}

/// An image that is here.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// How it wants to be run.
    config: ImageConfig,
    /// Where it lies.
    root: PathBuf,
    /// What its digest names, where the manifest pins it.
    documents: Option<Documents>,
}

impl Machine {
    /// Fetches the images and starts all containers. Gives up where it is cancelled while it fetches;
    /// what comes after that is short.
    ///
    /// # Cancel safety
    /// Not safe to drop: what was made stays until [`Machine::clear`].
    pub(crate) async fn start(
        self: &Arc<Self>,
        record: &Arc<PodRecord>,
        previous: Option<PreviousRecord>,
        mut cancel: watch::Receiver<bool>,
    ) -> Result<()> {
        record.check()?;
        let network = {
            let (machine, record) = (Arc::clone(self), Arc::clone(record));
            tokio::task::spawn_blocking(move || machine.make_network(&record))
        };
        let images = tokio::select! {
            images = self.images(record) => images,
            _ = cancel.wait_for(|cancelled| *cancelled) => {
                Err(engine("start the pod", "it was given up"))
            }
        };
        let lock = joined(network.await)?;
        let (images, lock, previous) = (Arc::new(images?), Arc::new(lock?), Arc::new(previous));
        let mut tasks = tokio::task::JoinSet::new();
        for index in 0..record.manifest.spec.containers.len() {
            let (machine, record) = (Arc::clone(self), Arc::clone(record));
            let (images, lock) = (Arc::clone(&images), Arc::clone(&lock));
            let previous = Arc::clone(&previous);
            tasks.spawn_blocking(move || {
                let container = &record.manifest.spec.containers[index];
                let image = images.get(container.image.as_str()).ok_or_else(|| {
                    engine("start a container", format!("no image `{}`", container.image))
                })?;
                machine.start_container(&record, container, image, (*previous).clone(), &lock)
            });
        }
        let mut result = Ok(());
        while let Some(task) = tasks.join_next().await {
            // All are waited for: none may be at work when the caller clears up.
            let done = joined(task).and_then(|task| task);
            result = result.and(done);
        }
        result?;
        write_atomically(&self.paths(record.id).started(), b"")
    }

    /// Each image of the pod once.
    async fn images(&self, record: &PodRecord) -> Result<BTreeMap<String, Unpacked>> {
        let mut images = BTreeMap::new();
        for container in &record.manifest.spec.containers {
            let name = container.image.to_string();
            if images.contains_key(&name) {
                continue;
            }
            let failed = |err: &casemate_image::Error| match err {
                casemate_image::Error::DiskFull { .. } => BackendError::NoSpace {
                    what: format!("image `{name}`"),
                    hint: "free some space on the provider's disk, then try again".to_owned(),
                },
                err => BackendError::Image { image: name.clone(), reason: chain(err) },
            };
            let reference: Reference = name.parse().map_err(|err| BackendError::Image {
                image: name.clone(),
                reason: chain(&err as &casemate_image::ParseReferenceError),
            })?;
            let limits = &self.config.image_limits;
            let image: Image = pull(&self.store, &reference, &self.config.registry, limits)
                .await
                .map_err(|err| failed(&err))?;
            let (store, limits) = (self.store.clone(), limits.clone());
            let unpack = move || {
                let digest = reference.digest();
                let documents = digest.map(|digest| image.documents(&store, digest, &limits));
                let (root, documents) = (store.rootfs(&image, &limits)?, documents.transpose()?);
                Ok(Unpacked { config: image.config, root, documents })
            };
            let unpacked = joined(tokio::task::spawn_blocking(unpack).await)?;
            let unpacked = unpacked.map_err(|err| failed(&err))?;
            images.insert(name, unpacked);
        }
        Ok(images)
    }

    /// Waits for what a provider that was killed has left running, and makes the pod's network.
    fn make_network(&self, record: &PodRecord) -> Result<File> {
        let paths = self.paths(record.id);
        let lock = self.lock(&paths)?;
        make_dir(&paths.containers())?;
        let link = self.instance.link(record.id);
        let gateway = self.config.subnet.gateway();
        network::create(&paths.network_namespace(), &link, record.address, gateway)?;
        let hosts = format!(
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n{}\t{}\n",
            record.address, record.id
        );
        // No name servers: there is no way out of the pod.
        let files = [
            ("hosts", hosts),
            ("resolv.conf", String::new()),
            ("hostname", format!("{}\n", record.id)),
        ];
        for (name, text) in files {
            let path = paths.dir.join(name);
            std::fs::write(&path, text).map_err(io_error("write", &path))?;
        }
        Ok(lock)
    }

    fn lock(&self, paths: &PodPaths) -> Result<File> {
        let path = paths.start_lock();
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io_error("open", &path))?;
        let start = Instant::now();
        while lock.try_lock().is_err() {
            if start.elapsed() > Duration::from_secs(60) {
                let reason = "an OCI runtime process still works on this pod after a minute";
                return Err(engine("start the pod", reason));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(lock)
    }

    fn start_container(
        &self,
        record: &PodRecord,
        container: &Container,
        image: &Unpacked,
        previous: Option<PreviousRecord>,
        lock: &File,
    ) -> Result<()> {
        let named = |err: BackendError| match err {
            BackendError::Engine { what, reason } => {
                engine(format!("container `{}`: {what}", container.name), reason)
            }
            other => other,
        };
        self.try_start_container(record, container, image, previous, lock).map_err(named)
    }

    fn try_start_container(
        &self,
        record: &PodRecord,
        container: &Container,
        image: &Unpacked,
        previous: Option<PreviousRecord>,
        lock: &File,
    ) -> Result<()> {
        let paths = self.paths(record.id);
        let dir = paths.container(&container.name);
        make_dir(&dir)?;
        let log_bytes_max = self.config.log_bytes_max;
        let is_signer = container.name == record.signer();
        // Nothing has been added to the tree yet: `lower` is the image's own.
        let lower = image.root.as_path();
        let guest = if is_signer { self.launch_guest(record, lower)? } else { None };
        let socket = guest.as_ref().map(|guest| guest.socket.as_path());
        let attestation = is_signer.then(|| self.attestation(record, socket)).flatten();
        let (config, attested) = (&image.config, attestation.is_some());
        let mut agent =
            record.agent_config(container, config, lower, log_bytes_max, attestation)?;
        if let Some(signer) = &mut agent.signer {
            signer.previous = previous;
        }
        let agent_config = dir.join("agent.json");
        let bytes = serde_json::to_vec(&agent)
            .map_err(|err| engine("write the agent's configuration", err.to_string()))?;
        std::fs::write(&agent_config, bytes).map_err(io_error("write", &agent_config))?;
        let given =
            Given { manifest: record.manifest.to_canonical_json(), image: image.documents.clone() };
        let mut documents = Vec::new();
        for (name, bytes) in given.files().into_iter().filter(|_| attested) {
            let path = dir.join(name);
            std::fs::write(&path, bytes).map_err(io_error("write", &path))?;
            documents.push((path, Path::new(casemate_agent::CONFIG_PATH).with_file_name(name)));
        }
        let root = mount_root(lower, &dir)?;

        let mut binds = Vec::new();
        for mount in &container.volume_mounts {
            let source = self.volume(record, &mount.name)?;
            let destination = mount.mount_path.clone();
            binds.push(Bind { source, destination, read_only: mount.read_only });
        }
        let read_only = |source: PathBuf, destination: &str| Bind {
            source,
            destination: destination.to_owned(),
            read_only: true,
        };
        binds.push(read_only(paths.dir.join("hosts"), "/etc/hosts"));
        binds.push(read_only(paths.dir.join("resolv.conf"), "/etc/resolv.conf"));
        binds.push(read_only(paths.dir.join("hostname"), "/etc/hostname"));
        // Last, so that no volume lies over them.
        binds.push(read_only(self.config.agent_path.clone(), casemate_agent::AGENT_PATH));
        binds.push(read_only(agent_config, casemate_agent::CONFIG_PATH));
        for (source, destination) in documents {
            binds.push(read_only(source, &destination.to_string_lossy()));
        }
        if is_signer {
            binds.extend(self.counters(record.id));
        }
        binds.extend(guest.map(|guest| read_only(guest.dir, tee::GUEST_DIR)));

        let context = container.security_context.as_ref();
        let cgroup = self.container_cgroup(record.id, &container.name);
        let spec = spec::container(&spec::Container {
            root: &root,
            root_read_only: context.and_then(|c| c.read_only_root_filesystem).unwrap_or(false),
            hostname: &record.id.to_string(),
            cwd: &derive::working_dir(container, &image.config),
            cgroup: &cgroup,
            network: Some(&paths.network_namespace()),
            cpu_millicores: container.resources.cpu.0,
            memory_mib: container.resources.memory.0,
            pids_max: self.config.pids_max,
            has_secrets: agent.secrets.is_some(),
            binds,
        });
        write_spec(&dir, &spec)?;
        let events_path = paths.events();
        let events = File::options()
            .create(true)
            .append(true)
            .open(&events_path)
            .map_err(io_error("open", &events_path))?;
        self.runtime.start(&container_id(record.id, &container.name), &dir, &events, lock)
    }

    /// The pod's cgroup, for its signer: what all containers use is metered there. Where there is none,
    /// its use is told as not measured.
    fn counters(&self, id: PodId) -> Vec<Bind> {
        let dirs = cgroup_counters(&self.instance.pod_cgroup(id)).unwrap_or_else(|err| {
            tracing::warn!(pod = %id, err = chain(&err), "its use of cpu and memory is not metered");
            Vec::new()
        });
        let bind = |(source, name): (PathBuf, &str)| {
            let destination = Path::new(casemate_agent::CGROUP_PATH).join(name);
            let destination = destination.to_string_lossy().trim_end_matches('/').to_owned();
            Bind { source, destination, read_only: true }
        };
        dirs.into_iter().map(bind).collect()
    }

    /// The directory of a volume, made where it is not there.
    fn volume(&self, record: &PodRecord, name: &str) -> Result<PathBuf> {
        let volume = record.manifest.spec.volumes.iter().find(|volume| volume.name == name);
        let dir = match volume.and_then(casemate_manifest::Volume::source) {
            Some(VolumeSource::Empty { .. }) => self.paths(record.id).empty_volume(name),
            Some(VolumeSource::Persistent { .. }) => self.instance.volume(record.id, name),
            None => return Err(engine("mount a volume", format!("there is no volume `{name}`"))),
        };
        if !dir.is_dir() {
            make_dir(&dir)?;
            // The app's user is the tenant's choice, and only this pod's containers see it.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            std::fs::set_permissions(&dir, mode).map_err(io_error("open to the pod", &dir))?;
        }
        Ok(dir)
    }

    /// Asks all agents to stop and waits until they have ended.
    pub(crate) fn stop(&self, id: PodId, grace: Duration) -> Result<()> {
        let signal_all = |signal| -> Result<usize> {
            let agents = self.agents(id)?;
            for agent in &agents {
                let _ = kill(*agent, signal);
            }
            Ok(agents.len())
        };
        if signal_all(Signal::SIGTERM)? == 0 || self.wait(id, grace)? {
            return Ok(());
        }
        // The second one tells the agent to kill its app at once.
        signal_all(Signal::SIGTERM)?;
        if self.wait(id, LAST_RECORD)? {
            return Ok(());
        }
        tracing::warn!(pod = %id, "the agent does not end and is killed");
        signal_all(Signal::SIGKILL)?;
        self.wait(id, LAST_RECORD)?;
        Ok(())
    }

    fn wait(&self, id: PodId, patience: Duration) -> Result<bool> {
        let start = Instant::now();
        loop {
            if self.agents(id)?.is_empty() {
                return Ok(true);
            }
            if start.elapsed() >= patience {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills all processes of the pod but its agents. A container whose agent is dead has none.
    pub(crate) fn kill_apps(&self, record: &PodRecord) {
        for container in &record.manifest.spec.containers {
            let cgroup = self.container_cgroup(record.id, &container.name);
            let dir = self.paths(record.id).container(&container.name);
            let Some(agent) = live_agent(&dir, &cgroup) else { continue };
            for pid in cgroup_processes(&cgroup).into_iter().filter(|pid| *pid != agent) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
    }

    /// Waits until no runtime process works on the pod.
    pub(crate) fn wait_for_runtime(&self, id: PodId) -> Result<()> {
        let paths = self.paths(id);
        if paths.dir.is_dir() { self.lock(&paths).map(drop) } else { Ok(()) }
    }

    /// Agents of the pod that live.
    pub(crate) fn agents(&self, id: PodId) -> Result<Vec<Pid>> {
        let paths = self.paths(id);
        let live = names(&paths.containers())?.into_iter().filter_map(|name| {
            live_agent(&paths.container(&name), &self.container_cgroup(id, &name))
        });
        Ok(live.collect())
    }

    /// Whether the agent of a container lives.
    pub(crate) fn agent_lives(&self, id: PodId, container: &str) -> bool {
        let dir = self.paths(id).container(container);
        live_agent(&dir, &self.container_cgroup(id, container)).is_some()
    }

    /// Removes containers, cgroups, mounts, network and guest; files stay.
    pub(crate) fn clear(&self, id: PodId) -> Result<()> {
        let paths = self.paths(id);
        // Where a runtime process of a killed provider still works on it, it ends first.
        let lock = if paths.dir.is_dir() { Some(self.lock(&paths)?) } else { None };
        for name in names(&paths.containers())? {
            self.runtime.delete(&container_id(id, &name))?;
        }
        remove_cgroup(&self.instance.pod_cgroup(id));
        unmount_below(&paths.dir)?;
        network::remove_link(&self.instance.link(id))?;
        for name in names(&paths.containers())? {
            remove_tree(&paths.container(&name))?;
        }
        self.destroy_guest(id);
        drop(lock);
        Ok(())
    }

    pub(crate) fn paths(&self, id: PodId) -> PodPaths {
        PodPaths::new(&self.instance, id)
    }

    fn container_cgroup(&self, id: PodId, container: &str) -> String {
        format!("{}/{container}", self.instance.pod_cgroup(id))
    }
}

/// A task that has panicked is an error, not another panic.
pub(crate) fn joined<T>(result: std::result::Result<T, tokio::task::JoinError>) -> Result<T> {
    result.map_err(|err| engine("finish a task", err.to_string()))
}
