//! What a run must not leave behind: processes, mounts, network namespaces, cgroups, links.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result};

use crate::process::{command, output};

/// How deep under the run's folder a backend may have its own.
const DEPTH_MAX: u32 = 3;

/// What stands for a backend's folder in the names of its cgroups, links and firewall table.
///
/// Kept from while it runs: the folder may be gone when it is looked for leftovers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tags(BTreeSet<String>);

impl Tags {
    /// Those of all folders where a backend could be. Which one it is makes no difference: a tag
    /// belongs to one path only, so nobody else's pods are ever taken for the run's.
    pub(crate) fn collect(data_dir: &Path) -> Self {
        let mut tags = BTreeSet::new();
        let Ok(root) = fs::canonicalize(data_dir) else { return Self(tags) };
        let mut todo = vec![(root, 0)];
        while let Some((dir, depth)) = todo.pop() {
            tags.extend(tag(&dir));
            if depth == DEPTH_MAX {
                continue;
            }
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    todo.push((entry.path(), depth + 1));
                }
            }
        }
        Self(tags)
    }

    /// Adds others.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// The first six digits of the path's BLAKE2b-256, as the local backend has it
/// (`crates/provider-local/src/instance.rs`).
fn tag(path: &Path) -> Option<String> {
    let mut sum = command("b2sum");
    sum.args(["-l", "256"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = sum.spawn().ok()?;
    child.stdin.take()?.write_all(path.as_os_str().as_encoded_bytes()).ok()?;
    let listing = child.wait_with_output().ok()?;
    let digits = String::from_utf8(listing.stdout).ok()?;
    digits.get(..6).map(str::to_owned)
}

/// `casemate/<tag>` below each controller, and the one of the unified hierarchy.
fn cgroups(tags: &Tags) -> Vec<PathBuf> {
    let base = Path::new("/sys/fs/cgroup");
    let mut roots = vec![base.to_owned()];
    roots.extend(fs::read_dir(base).into_iter().flatten().flatten().map(|entry| entry.path()));
    let under = |root: &PathBuf| -> Vec<PathBuf> {
        tags.0.iter().map(|tag| root.join("casemate").join(tag)).collect()
    };
    roots.iter().flat_map(under).filter(|path| path.is_dir()).collect()
}

fn links(tags: &Tags) -> Vec<String> {
    fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            let tag = name.strip_prefix('c').and_then(|rest| rest.get(..6));
            name.len() == 15 && tag.is_some_and(|tag| tags.0.contains(tag))
        })
        .collect()
}

fn firewall_tables(tags: &Tags) -> Vec<String> {
    let listing = output(command("nft").args(["list", "tables"]), "").unwrap_or_default();
    listing
        .lines()
        .filter_map(|line| line.strip_prefix("table inet ").map(str::trim))
        .filter(|name| name.strip_prefix("casemate_").is_some_and(|tag| tags.0.contains(tag)))
        .map(str::to_owned)
        .collect()
}

/// Things that are still there.
#[derive(Debug)]
pub(crate) struct Leftovers {
    processes: Vec<(i32, String)>,
    /// Network namespaces too: each is bound to a file in the folder.
    mounts: Vec<PathBuf>,
    cgroups: Vec<PathBuf>,
    links: Vec<String>,
    firewall_tables: Vec<String>,
}

impl Leftovers {
    /// Looks for anything of the run that worked in `data_dir`.
    pub(crate) fn find(data_dir: &Path, tags: &Tags) -> Self {
        Self {
            processes: processes(data_dir),
            mounts: mounts_under(data_dir),
            cgroups: cgroups(tags),
            links: links(tags),
            firewall_tables: firewall_tables(tags),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.processes.is_empty()
            && self.mounts.is_empty()
            && self.cgroups.is_empty()
            && self.links.is_empty()
            && self.firewall_tables.is_empty()
    }

    /// Ends and removes them, as far as that goes.
    pub(crate) fn remove(&self) {
        for (pid, _) in &self.processes {
            #[expect(unsafe_code, reason = "std cannot signal a process that it did not start")]
            // SAFETY: no memory is involved; the process was just seen to belong to the run.
            unsafe {
                libc::kill(*pid, libc::SIGKILL);
            }
        }
        // The last mounted comes first: mounts lie upon each other.
        for mount in self.mounts.iter().rev() {
            output(command("umount").arg("-l").arg(mount), "").ok();
        }
        for name in &self.links {
            output(command("ip").args(["link", "delete", name]), "").ok();
        }
        for name in &self.firewall_tables {
            output(command("nft").args(["delete", "table", "inet", name]), "").ok();
        }
        for dir in &self.cgroups {
            remove_cgroup(dir).ok();
        }
    }
}

/// The kernel refuses one that has processes.
fn remove_cgroup(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(dir).with_context(|| format!("failed to remove `{}`", dir.display()))
}

impl std::fmt::Display for Leftovers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (pid, name) in &self.processes {
            writeln!(f, "  process {pid}: {name}")?;
        }
        for mount in &self.mounts {
            writeln!(f, "  mount {}", mount.display())?;
        }
        for path in &self.cgroups {
            writeln!(f, "  cgroup {}", path.display())?;
        }
        for name in &self.links {
            writeln!(f, "  network link {name}")?;
        }
        for name in &self.firewall_tables {
            writeln!(f, "  firewall table {name}")?;
        }
        Ok(())
    }
}

/// Variable that marks the programs of a run, and all that they start, with the run's folder.
pub(crate) const RUN_VARIABLE: &str = "CASEMATE_XTASK_RUN";

/// Processes of the run that works in this folder: marked ones, and those in containers, which
/// have an environment of their own but their root file system or volumes from the folder.
///
/// A user's own `less` or `casemate` on a file in the folder is none.
pub(crate) fn processes(data_dir: &Path) -> Vec<(i32, String)> {
    // The last part alone: a mount tells paths from the root of its file system on.
    let Some(name) = data_dir.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    let mark = format!("{RUN_VARIABLE}={}", data_dir.display());
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if pid == own {
            continue;
        }
        let read = |file: &str| {
            let bytes = fs::read(entry.path().join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let marked = read("environ").split('\0').any(|variable| variable == mark);
        let contained = || !same_namespace(&entry.path()) && read("mountinfo").contains(name);
        if marked || contained() {
            let arguments = read("cmdline").replace('\0', " ");
            found.push((pid, arguments.trim().chars().take(120).collect()));
        }
    }
    found
}

fn same_namespace(process: &Path) -> bool {
    match (fs::read_link(process.join("ns/mnt")), fs::read_link("/proc/self/ns/mnt")) {
        (Ok(theirs), Ok(ours)) => theirs == ours,
        _ => true,
    }
}

/// Mount points under a folder.
pub(crate) fn mounts_under(dir: &Path) -> Vec<PathBuf> {
    mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), dir)
}

/// Mount points under the folder, in the order in which they were mounted.
fn mounts(mountinfo: &str, data_dir: &Path) -> Vec<PathBuf> {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|point| PathBuf::from(point.replace("\\040", " ")))
        .filter(|point| point.starts_with(data_dir))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temp::TempDir;

    #[test]
    fn finds_mounts_under_the_folder_only() {
        let info = "22 1 0:5 / /tmp/a/pods/1 rw - overlay overlay rw\n\
                    23 1 0:5 / /tmp/ab rw - tmpfs tmpfs rw\n\
                    24 1 0:5 / /tmp/a/with\\040space rw - tmpfs tmpfs rw\n";
        let found = mounts(info, Path::new("/tmp/a"));
        assert_eq!(found, [Path::new("/tmp/a/pods/1"), Path::new("/tmp/a/with space")]);
    }

    #[test]
    fn tags_are_those_of_the_local_backend() {
        // BLAKE2b-256 of `abc`, from RFC 7693's reference implementation.
        assert_eq!(tag(Path::new("abc")).as_deref(), Some("bddd81"));
        let dir = TempDir::new("tags-test").expect("temp dir");
        let backend = dir.0.join("network/provider");
        fs::create_dir_all(&backend).expect("made");
        let tags = Tags::collect(&dir.0);
        assert!(tags.0.contains(&tag(&backend).expect("b2sum runs")));
        assert_eq!(tags.0.len(), 3);
    }

    #[test]
    fn finds_and_ends_a_process_that_uses_the_folder() {
        let dir = TempDir::new("leftovers-test").expect("temp dir");
        let file = dir.0.join("log");
        fs::write(&file, "").expect("write");
        let mut child = command("tail")
            .arg("-f")
            .arg(&file)
            .env(RUN_VARIABLE, &dir.0)
            .stdout(Stdio::null())
            .spawn()
            .expect("tail starts");
        let found = loop {
            // Until it has executed `tail`, it has our own environment.
            let found = processes(&dir.0);
            if !found.is_empty() {
                break found;
            }
            std::thread::yield_now();
        };
        assert_eq!(found.len(), 1, "{found:?}");
        Leftovers::find(&dir.0, &Tags::default()).remove();
        child.wait().expect("reaped");
        assert!(processes(&dir.0).is_empty());
    }
}
