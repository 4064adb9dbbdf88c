//! What a provider leaves on the machine, as the machine tells it and not the provider.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};
use casemate_primitives::blake2_256;

/// Looks for the things of one provider.
#[derive(Clone, Debug)]
pub struct Traces {
    pods_dir: PathBuf,
    tag: String,
}

impl Traces {
    pub(crate) fn new(data_dir: &Path) -> Self {
        let pods_dir = data_dir.join("pods");
        // The provider uses the path without links, of which the tests have none but perhaps the
        // temporary folder's.
        let pods_dir = fs::canonicalize(&pods_dir).unwrap_or(pods_dir);
        let hash = blake2_256(pods_dir.as_os_str().as_encoded_bytes());
        Self { pods_dir, tag: hex::encode(&hash[..3]) }
    }

    /// `<pod>/<container>` and the ids of all processes that are the first of their container.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub fn containers(&self) -> Result<BTreeMap<String, Vec<i32>>> {
        let mut found: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        let mark = format!("/casemate/{}/", self.tag);
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A process may end while it is looked at.
            let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
            let cgroups = read("cgroup");
            let Some(container) = cgroups
                .lines()
                .find_map(|line| line.split_once(&mark).map(|(_, container)| container))
            else {
                continue;
            };
            let status = read("status");
            // Nobody but the machine's own first process can reap what has ended.
            if status.lines().any(|line| line.starts_with("State:") && line.contains("Z (")) {
                continue;
            }
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            let numbers: Vec<&str> = numbers.unwrap_or_default().split_whitespace().collect();
            if numbers.len() > 1 && numbers.last() == Some(&"1") {
                found.entry(container.to_owned()).or_default().push(pid);
            }
        }
        Ok(found)
    }

    /// Checks that exactly these containers are there, each once, with one network each pod, and
    /// nothing of any other pod: process, cgroup, mount, network link or folder.
    ///
    /// # Errors
    /// Says what is too much or missing.
    pub fn exactly(&self, containers: &BTreeMap<String, Vec<i32>>) -> Result<()> {
        let found = self.containers()?;
        if found != *containers {
            bail!("containers are {found:?}, but should be {containers:?}");
        }
        if let Some((name, pids)) = found.iter().find(|(_, pids)| pids.len() != 1) {
            bail!("container {name} is there more than once: {pids:?}");
        }
        let pods: BTreeSet<&str> =
            found.keys().filter_map(|name| name.split_once('/').map(|(pod, _)| pod)).collect();
        let folders = names(&self.pods_dir.join("pods"));
        if !folders.iter().map(String::as_str).eq(pods.iter().copied()) {
            bail!("pods are {pods:?}, but there are folders {folders:?}");
        }
        let links = self.links();
        if links.len() != pods.len() {
            bail!("pods are {pods:?}, but there are network links {links:?}");
        }
        for cgroup in self.cgroups() {
            let groups = names(&cgroup);
            if let Some(group) = groups.iter().find(|g| !pods.contains(g.as_str())) {
                bail!("`{}` has a cgroup `{group}` of no pod", cgroup.display());
            }
        }
        let mounts = self.mounts();
        let mut seen = BTreeSet::new();
        let mut networks = 0;
        for mount in &mounts {
            if !seen.insert(mount) {
                bail!("`{}` is mounted more than once", mount.display());
            }
            let below = mount.strip_prefix(self.pods_dir.join("pods")).ok();
            let pod = below.and_then(|path| path.iter().next()).and_then(|name| name.to_str());
            if !pod.is_some_and(|pod| pods.contains(pod)) {
                bail!("`{}` is a mount of no pod", mount.display());
            }
            networks += usize::from(mount.ends_with("netns"));
        }
        if networks != pods.len() {
            bail!("pods are {pods:?}, but there are mounts {mounts:?}");
        }
        Ok(())
    }

    /// Everything that is there, in words; nothing after a purge.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub fn leftovers(&self) -> Result<Vec<String>> {
        let mut found: Vec<String> =
            self.containers()?.iter().map(|(name, pids)| format!("{name}: {pids:?}")).collect();
        found.extend(self.mounts().iter().map(|path| format!("mount {}", path.display())));
        found.extend(self.cgroups().iter().map(|path| format!("cgroup {}", path.display())));
        found.extend(self.links().iter().map(|name| format!("network link {name}")));
        let table = format!("casemate_{}", self.tag);
        let tables = Command::new("nft").args(["list", "tables"]).output();
        let tables = tables.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
        if tables.is_ok_and(|tables| tables.contains(&table)) {
            found.push(format!("firewall table {table}"));
        }
        Ok(found)
    }

    fn mounts(&self) -> Vec<PathBuf> {
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        text.lines()
            .filter_map(|line| line.split(' ').nth(4))
            .map(PathBuf::from)
            .filter(|path| path.starts_with(&self.pods_dir))
            .collect()
    }

    fn links(&self) -> Vec<String> {
        let prefix = format!("c{}", self.tag);
        let mut links = names(Path::new("/sys/class/net"));
        links.retain(|name| name.len() == 15 && name.starts_with(&prefix));
        links
    }

    /// The provider's group below each controller, and in the unified hierarchy.
    fn cgroups(&self) -> Vec<PathBuf> {
        let base = Path::new("/sys/fs/cgroup");
        let mut roots = vec![base.to_owned()];
        roots.extend(names(base).iter().map(|name| base.join(name)));
        let mut found: Vec<PathBuf> =
            roots.iter().map(|root| root.join("casemate").join(&self.tag)).collect();
        found.retain(|path| path.is_dir());
        found
    }
}

/// What is in a folder, sorted; nothing where there is none.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}
