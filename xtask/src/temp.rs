//! Folders that end with a run.

use std::{
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{leftovers, process};

/// A folder that is removed at the end.
#[derive(Debug)]
pub(crate) struct TempDir(pub(crate) PathBuf);

impl TempDir {
    /// Makes `casemate-WHAT-PID-N` where temporary files are.
    pub(crate) fn new(what: &str) -> Result<Self> {
        let base = env::temp_dir();
        for attempt in 0..100 {
            let dir = base.join(format!("casemate-{what}-{}-{attempt}", std::process::id()));
            match fs::create_dir(&dir) {
                Ok(()) => return Ok(Self(dir)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).context(format!("failed to make `{}`", dir.display()));
                }
            }
        }
        bail!("`{}` is full of folders `casemate-{what}-*`: remove them", base.display())
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Never through a mount: behind it may be anything.
fn remove(dir: &Path) {
    if leftovers::mounts_under(dir).is_empty() {
        fs::remove_dir_all(dir).ok();
    } else {
        eprintln!("warning: something is still mounted under `{}`: it stays", dir.display());
    }
}

/// Folders of this kind and of this user whose process was killed before it could remove them.
pub(crate) fn abandoned(what: &str) -> Vec<PathBuf> {
    let prefix = format!("casemate-{what}-");
    fs::read_dir(env::temp_dir())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| {
                name.strip_prefix(&prefix)?.split('-').next()?.parse::<u32>().ok()
            });
            // Not a link that somebody else has put there for root to follow.
            let ours = fs::symlink_metadata(entry.path())
                .is_ok_and(|meta| meta.is_dir() && meta.uid() == process::user_id());
            ours && pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
        })
        .map(|entry| entry.path())
        .collect()
}

/// Removes such a folder once nothing uses it any more.
pub(crate) fn remove_abandoned(dir: PathBuf) {
    drop(TempDir(dir));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_folders_of_dead_processes_only() {
        let living = TempDir::new("abandoned-test").expect("temp dir");
        // Larger than the kernel's largest process id.
        let dead = env::temp_dir().join("casemate-abandoned-test-4194999-0");
        fs::create_dir_all(dead.join("below")).expect("made");
        let link = env::temp_dir().join("casemate-abandoned-test-4194999-1");
        std::os::unix::fs::symlink(&living.0, &link).ok();
        assert_eq!(abandoned("abandoned-test"), std::slice::from_ref(&dead));
        remove_abandoned(dead.clone());
        fs::remove_file(&link).expect("removed");
        assert!(!dead.exists());
        assert!(living.0.exists());
    }
}
