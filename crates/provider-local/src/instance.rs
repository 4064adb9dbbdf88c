//! Names and paths of one backend's things.
//!
//! All names carry a hash of the data directory: several backends may run on one machine, and each
//! may clean up only what is its own.

use std::path::{Path, PathBuf};

use casemate_primitives::blake2_256;
use casemate_provider_core::PodId;

/// Where everything of one data directory lies.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    data_dir: PathBuf,
    tag: String,
}

impl Instance {
    /// `data_dir` must be absolute and free of links.
    pub(crate) fn new(data_dir: PathBuf) -> Self {
        let hash = blake2_256(data_dir.as_os_str().as_encoded_bytes());
        Self { tag: hex::encode(&hash[..3]), data_dir }
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        self.data_dir.join("lock")
    }

    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.data_dir.join("runtime")
    }

    pub(crate) fn pods(&self) -> PathBuf {
        self.data_dir.join("pods")
    }

    pub(crate) fn pod(&self, id: PodId) -> PathBuf {
        self.pods().join(id.to_string())
    }

    pub(crate) fn last_records(&self) -> PathBuf {
        self.data_dir.join("last-records")
    }

    /// The last record of each replica's newest pod that was deleted, for the agent after it.
    pub(crate) fn predecessors(&self) -> PathBuf {
        self.data_dir.join("predecessors")
    }

    pub(crate) fn predecessor(&self, id: PodId) -> PathBuf {
        self.predecessors().join(format!("l{}-r{}.json", id.lease, id.replica))
    }

    /// Events files of deleted pods whose sealed output was not taken over yet.
    pub(crate) fn last_logs(&self) -> PathBuf {
        self.data_dir.join("last-logs")
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.data_dir.join("volumes")
    }

    /// A directory name is `l<lease>-r<replica>`: the volumes of one lease share the beginning.
    pub(crate) fn volume(&self, id: PodId, name: &str) -> PathBuf {
        self.volumes().join(format!("l{}-r{}", id.lease, id.replica)).join(name)
    }

    pub(crate) fn cgroup_root(&self) -> String {
        format!("/casemate/{}", self.tag)
    }

    pub(crate) fn pod_cgroup(&self, id: PodId) -> String {
        format!("{}/{id}", self.cgroup_root())
    }

    /// What the names of all network interfaces begin with.
    pub(crate) fn link_prefix(&self) -> String {
        format!("c{}", self.tag)
    }

    /// Name of the machine's end of a pod's link: 15 characters, the most there may be.
    pub(crate) fn link(&self, id: PodId) -> String {
        let hash = blake2_256(id.to_string().as_bytes());
        format!("{}{}", self.link_prefix(), hex::encode(&hash[..4]))
    }

    /// What the names of all guests of a software TEE begin with: others may use the same one.
    pub(crate) fn guest_prefix(&self) -> String {
        format!("c{}-", self.tag)
    }

    /// Name of a pod's guest.
    pub(crate) fn guest(&self, id: PodId) -> String {
        format!("{}{id}", self.guest_prefix())
    }

    pub(crate) fn firewall_table(&self) -> String {
        format!("casemate_{}", self.tag)
    }
}

/// Paths of one pod.
#[derive(Clone, Debug)]
pub(crate) struct PodPaths {
    pub(crate) dir: PathBuf,
}

impl PodPaths {
    pub(crate) fn new(instance: &Instance, id: PodId) -> Self {
        Self { dir: instance.pod(id) }
    }

    /// What was asked for. There from the pod's acceptance to its deletion.
    pub(crate) fn record(&self) -> PathBuf {
        self.dir.join("pod.json")
    }

    /// Why it can't be started or was ended.
    pub(crate) fn failed(&self) -> PathBuf {
        self.dir.join("failed")
    }

    /// There once all containers were started.
    pub(crate) fn started(&self) -> PathBuf {
        self.dir.join("started")
    }

    /// There once its deletion has begun.
    pub(crate) fn deleting(&self) -> PathBuf {
        self.dir.join("deleting")
    }

    pub(crate) fn events(&self) -> PathBuf {
        self.dir.join("events")
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.dir.join("checkpoint.json")
    }

    /// Held by every runtime process that works on the pod, also when the provider has died.
    pub(crate) fn start_lock(&self) -> PathBuf {
        self.dir.join("start.lock")
    }

    pub(crate) fn network_namespace(&self) -> PathBuf {
        self.dir.join("netns")
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.dir.join("containers")
    }

    pub(crate) fn container(&self, name: &str) -> PathBuf {
        self.containers().join(name)
    }

    pub(crate) fn empty_volume(&self, name: &str) -> PathBuf {
        self.dir.join("volumes").join(name)
    }
}

/// The id under which the runtime knows a container.
pub(crate) fn container_id(id: PodId, container: &str) -> String {
    format!("{id}.{container}")
}

/// Pid of the agent, if it lives. The cgroup tells that the number was not given to another process.
pub(crate) fn live_agent(container_dir: &Path, cgroup: &str) -> Option<nix::unistd::Pid> {
    let pid: i32 = std::fs::read_to_string(container_dir.join("pid")).ok()?.trim().parse().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let state = stat.rsplit_once(") ")?.1.chars().next()?;
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let lives = !matches!(state, 'Z' | 'X') && cgroups.lines().any(|line| line.ends_with(cgroup));
    lives.then(|| nix::unistd::Pid::from_raw(pid))
}
