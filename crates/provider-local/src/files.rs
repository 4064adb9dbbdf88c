//! Files, mounts and cgroups of pods.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::Pid,
};

use crate::error::{Result, engine, io_error};

/// Writes a file so that it is there whole or not at all, also after a SIGKILL. No fsync: after a
/// crash of the whole machine no pod runs any more, and the chain says which shall.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    fs::write(&new, bytes).map_err(io_error("write", &new))?;
    fs::rename(&new, path).map_err(io_error("write", path))
}

/// Like [`write_atomically`], and on the disk when it returns: for what is worth money.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, bytes)?;
    for path in [Some(path), path.parent()].into_iter().flatten() {
        let file = fs::File::open(path).map_err(io_error("open", path))?;
        file.sync_all().map_err(io_error("sync", path))?;
    }
    Ok(())
}

pub(crate) fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(io_error("read", path)(err)),
    }
}

pub(crate) fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(io_error("create", path))
}

/// Names in a directory; none where there is no directory.
pub(crate) fn names(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(err) => return Err(io_error("list", path)(err)),
    };
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Removes a tree that a tenant may have filled. `rm` and not the standard library: a tenant can
/// nest directories deeper than a recursion has stack for. It follows no links and crosses no mounts.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    run(Command::new("rm").args(["-rf", "--one-file-system", "--"]).arg(path)).map(drop)
}

/// MiB that a tree takes on disk.
pub(crate) fn disk_usage_mib(path: &Path) -> Result<u64> {
    let out = run(Command::new("du").args(["-sxk", "--"]).arg(path))?;
    let kib = out.split_ascii_whitespace().next().and_then(|kib| kib.parse::<u64>().ok());
    kib.map(|kib| kib / 1024)
        .ok_or_else(|| engine(format!("measure `{}`", path.display()), "`du` gave no number"))
}

/// Runs a tool to its end; gives its standard output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let what = format!("run `{name}`");
    let out = command.stdin(std::process::Stdio::null()).output().map_err(|err| {
        engine(what.clone(), format!("{err}; is it installed? (see the installation guide)"))
    })?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&out.stderr);
    Err(engine(what, format!("{} ({})", stderr.trim(), out.status)))
}

/// Mounts an overlay of a read-only tree and a writable directory, or copies the tree where this
/// file system takes no overlays.
pub(crate) fn mount_root(lower: &Path, dir: &Path) -> Result<PathBuf> {
    let root = dir.join("rootfs");
    let (upper, work) = (dir.join("upper"), dir.join("work"));
    for dir in [&root, &upper, &work] {
        make_dir(dir)?;
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    // `volatile`: what a pod has written is gone with the machine anyway, so nothing waits for disks.
    for options in [format!("{options},volatile"), options] {
        let result = mount(
            Some("overlay"),
            &root,
            Some("overlay"),
            MsFlags::MS_NODEV | MsFlags::MS_NOSUID,
            Some(options.as_str()),
        );
        match result {
            Ok(()) => return Ok(root),
            Err(err) => tracing::debug!(%err, options, "no overlay mount"),
        }
    }
    tracing::warn!(root = %root.display(), "no overlay mounts here: copying the image");
    let mut from = lower.as_os_str().to_owned();
    from.push("/.");
    run(Command::new("cp").args(["-a", "--reflink=auto", "--"]).arg(from).arg(&root))?;
    Ok(root)
}

/// Unmounts whatever is mounted at or below `path`, the newest first.
pub(crate) fn unmount_below(path: &Path) -> Result<()> {
    for mounted in mounts_below(path)?.into_iter().rev() {
        match umount2(&mounted, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
            Err(err) => return Err(io_error("unmount", &mounted)(err.into())),
        }
    }
    Ok(())
}

/// Mount points at or below `path`, in the order in which they were mounted.
pub(crate) fn mounts_below(path: &Path) -> Result<Vec<PathBuf>> {
    let file = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(file).map_err(io_error("read", file))?;
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(points.map(|point| PathBuf::from(unescape(point))).filter(|p| p.starts_with(path)).collect())
}

/// `\040` is a space, and so on.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        let octal = rest.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|o| u8::from_str_radix(std::str::from_utf8(o).ok()?, 8).ok());
        match octal {
            Some(byte) => {
                out.push(byte);
                bytes = &rest[3..];
            }
            None => {
                out.push(*first);
                bytes = rest;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A cgroup hierarchy: one in version 2, several in version 1.
#[derive(Debug, Eq, PartialEq)]
struct Hierarchy {
    point: PathBuf,
    is_version_2: bool,
    /// Of version 1: its controllers, among other options.
    options: Vec<String>,
}

fn hierarchies() -> Vec<Hierarchy> {
    hierarchies_in(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

fn hierarchies_in(mountinfo: &str) -> Vec<Hierarchy> {
    let hierarchy = |line: &str| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let is_version_2 = match kind.next()? {
            "cgroup" => false,
            "cgroup2" => true,
            _ => return None,
        };
        let options = kind.next_back()?.split(',').map(str::to_owned).collect();
        let point = PathBuf::from(unescape(mount.split(' ').nth(4)?));
        Some(Hierarchy { point, is_version_2, options })
    };
    mountinfo.lines().filter_map(hierarchy).collect()
}

/// Directories of a cgroup with the counters that agents read, and where below
/// [`casemate_agent::CGROUP_PATH`] they belong: of the second version where it has the controllers, else
/// one for each of the first. They are made where they are not there yet.
pub(crate) fn cgroup_counters(path: &str) -> Result<Vec<(PathBuf, &'static str)>> {
    let mut found = Vec::new();
    let all = hierarchies();
    let has_memory = |root: &Path| {
        let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        controllers.split_ascii_whitespace().any(|controller| controller == "memory")
    };
    let below = |root: &Path| root.join(path.trim_start_matches('/'));
    match all.iter().find(|one| one.is_version_2 && has_memory(&one.point)) {
        Some(one) => found.push((below(&one.point), "")),
        None => {
            for name in ["cpuacct", "memory"] {
                let one = all.iter().find(|one| {
                    !one.is_version_2 && one.options.iter().any(|option| option == name)
                });
                found.extend(one.map(|one| (below(&one.point), name)));
            }
        }
    }
    for (dir, _) in &found {
        make_dir(dir)?;
    }
    Ok(found)
}

/// Directories of a cgroup in all hierarchies, as far as they exist.
pub(crate) fn cgroup_dirs(path: &str) -> Vec<PathBuf> {
    let path = path.trim_start_matches('/');
    let dirs = hierarchies().into_iter().map(|one| one.point.join(path));
    dirs.filter(|dir| dir.is_dir()).collect()
}

/// Processes in a cgroup, not those below it.
pub(crate) fn cgroup_processes(path: &str) -> Vec<Pid> {
    let procs = |dir: &PathBuf| fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let text: String = cgroup_dirs(path).iter().map(procs).collect();
    let pids = text.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid > 1);
    pids.map(Pid::from_raw).collect()
}

/// Kills all processes in a cgroup and those below it, and removes them. What is still in use stays
/// for the next sweep.
pub(crate) fn remove_cgroup(path: &str) {
    for dir in cgroup_dirs(path) {
        remove_cgroup_dir(&dir);
    }
}

fn remove_cgroup_dir(dir: &Path) {
    // Kernel directories are as deep as the runtime made them; a container has no cgroup mount.
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup_dir(&entry.path());
        }
    }
    for _ in 0..50 {
        match fs::remove_dir(dir) {
            Err(err) if err.kind() == io::ErrorKind::ResourceBusy => {}
            _ => return,
        }
        let procs = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        for pid in procs.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid > 1) {
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    tracing::warn!(cgroup = %dir.display(), "the cgroup is still in use");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions() {
        let text = "30 25 0:26 / /sys/fs/cgroup/a\\040b rw,relatime shared:9 - cgroup cgroup \
                    rw,cpu,cpuacct\n31 25 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
                    32 25 0:28 / /tmp rw - tmpfs tmpfs rw,cpuacct\n";
        let found = hierarchies_in(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].point, Path::new("/sys/fs/cgroup/a b"));
        assert!(!found[0].is_version_2 && found[0].options.contains(&"cpuacct".to_owned()));
        assert!(found[1].is_version_2);
    }

    #[test]
    fn mount_points_with_spaces() {
        assert_eq!(unescape(r"/a\040b\134c"), r"/a b\c");
        assert_eq!(unescape(r"/a\9"), r"/a\9");
    }
}
