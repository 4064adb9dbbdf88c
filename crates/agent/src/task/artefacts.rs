//! Hashes of the files that a run leaves.
//!
//! The manifest names the paths, the app chooses what lies there: however large, endless or misleading
//! that is, the agent goes on, and its result is in time. So a thread of its own reads, a budget of bytes
//! bounds what it reads, and whoever waits for it may give up.
//!
//! Only a plain file of the container's root or volumes is an artefact. No part of its path may be a
//! link: what a link leads to is the app's choice (of `/proc`, of a file that only the agent may read),
//! and not what the manifest names.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Component, Path},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use blake2::Digest as _;
use casemate_manifest::SECRETS_DIR;
use casemate_primitives::{Hash256, blake2_256, task::Artefact};
use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat},
    sys::stat::Mode,
};

use super::Hasher;

/// How much of a file is read at a time.
const READ_BYTES: usize = 64 * 1024;

/// What is in a container beside its root and volumes: the kernel's, the agent's, and secrets.
const FOREIGN: [&str; 5] = ["/dev", "/proc", "/sys", "/run/casemate", SECRETS_DIR];

/// What was found at the paths.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// In the order of the paths; what is no artefact, or was not read to its end, is left out.
    pub(crate) artefacts: Vec<Artefact>,
    /// Which paths are left out and why, for people.
    pub(crate) left_out: Vec<String>,
    /// Whether nobody gave up before the last one.
    pub(crate) is_complete: bool,
}

/// Files that are being hashed.
#[derive(Debug)]
pub(crate) struct Hashing {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    found: Mutex<Found>,
    is_given_up: AtomicBool,
}

impl Shared {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hashing {
    /// Hashes at most `bytes_max` of these files in a thread of its own, which calls `done` at its end.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub(crate) fn start(
        paths: Vec<String>,
        bytes_max: u64,
        done: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of = Arc::clone(&shared);
        thread::Builder::new().spawn(move || {
            let mut bytes_left = bytes_max;
            for path in paths {
                let hash = hash_file(Path::new(&path), &mut bytes_left, &of.is_given_up);
                let mut found = of.found();
                match hash {
                    Ok(content) => {
                        let name = blake2_256(path.as_bytes());
                        found.artefacts.push(Artefact { name, content });
                    }
                    Err(why) => {
                        found.left_out.push(format!("the artefact `{path}` is left out: {why}"));
                    }
                }
            }
            of.found().is_complete = true;
            done();
        })?;
        Ok(Self { shared })
    }

    /// What was found so far. The rest is given up.
    pub(crate) fn take(self) -> Found {
        let found = std::mem::take(&mut *self.shared.found());
        self.shared.is_given_up.store(true, Ordering::Relaxed);
        found
    }
}

/// The hash of a plain file, or why there is none.
fn hash_file(
    path: &Path,
    bytes_left: &mut u64,
    is_given_up: &AtomicBool,
) -> Result<Hash256, String> {
    const TOO_LARGE: &str = "the artefacts are larger than the pod's storage";
    let mut file = open_plain(path)?;
    let length = file.metadata().map_err(|err| err.to_string())?.len();
    // Holes are read as zeros: what counts is how long it is, and not what it takes on the disk.
    if length > *bytes_left {
        return Err(TOO_LARGE.to_owned());
    }
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; READ_BYTES]);
    while !is_given_up.load(Ordering::Relaxed) {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(read) => {
                // Whoever else has it open may make it longer.
                let left = bytes_left.checked_sub(read as u64).ok_or(TOO_LARGE)?;
                *bytes_left = left;
                hasher.update(buffer.get(..read).unwrap_or_default());
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err.to_string()),
        }
    }
    Err("there was no time left to read it".to_owned())
}

/// Opens a plain file at a path of which no part is a link.
fn open_plain(path: &Path) -> Result<File, String> {
    if FOREIGN.iter().any(|foreign| path.starts_with(foreign)) {
        return Err("it is none of the app's files".to_owned());
    }
    let why = |err: Errno| match err {
        Errno::ENOENT => "it is not there".to_owned(),
        Errno::ELOOP | Errno::ENOTDIR => "a part of its path is a link, or no directory".to_owned(),
        err => err.desc().to_owned(),
    };
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut opened = open("/", flags | OFlag::O_DIRECTORY, Mode::empty()).map_err(why)?;
    let mut parts = path.components().peekable();
    if parts.next() != Some(Component::RootDir) {
        return Err("its path is not plain".to_owned());
    }
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else { return Err("its path is not plain".to_owned()) };
        // The last one may be a pipe, which nobody may ever write to.
        let kind = match parts.peek() {
            Some(_) => OFlag::O_DIRECTORY,
            None => OFlag::O_NONBLOCK | OFlag::O_NOCTTY,
        };
        opened = openat(&opened, name, flags | kind, Mode::empty()).map_err(why)?;
    }
    let file = File::from(opened);
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err("it is no plain file".to_owned()),
        Err(err) => Err(err.to_string()),
    }
}

#[cfg(test)]
mod tests;
