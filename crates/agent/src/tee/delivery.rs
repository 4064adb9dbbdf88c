//! Gives released secrets to the app: environment, files, socket.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, fchown},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc::Sender},
    time::{Duration, Instant},
};

use casemate_ra_tls::{Secrets, sealed::Received, server::SecretSink};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use zeroize::Zeroizing;

use super::TeeError;
use crate::{
    config::SecretsConfig, event::EventKind, output::Output, spawn::SecretVariables,
    supervisor::Message,
};

/// `RAMFS_MAGIC` of linux/magic.h: like tmpfs, but never swapped.
const RAMFS: i64 = 0x8584_58f6;

/// The newest release, and who gets it.
#[derive(Debug)]
pub(super) struct Delivery {
    config: SecretsConfig,
    /// User and group of the app, where it is not the agent's own.
    owner: Option<(u32, u32)>,
    output: Arc<Output>,
    messages: Sender<Message>,
    current: Mutex<Option<Current>>,
    changed: Condvar,
}

/// A release.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) secrets: Arc<Secrets>,
    pub(super) sequence: u64,
}

impl Delivery {
    /// Checks that files would be in memory.
    pub(super) fn new(
        config: SecretsConfig,
        owner: Option<(u32, u32)>,
        output: Arc<Output>,
        messages: Sender<Message>,
    ) -> Result<Self, TeeError> {
        if let Some(dir) = &config.dir {
            let failed = |action, source| TeeError::Path { action, path: dir.clone(), source };
            fs::create_dir_all(dir).map_err(|err| failed("make the folder for secrets", err))?;
            let found = statfs(dir).map_err(|err| failed("look at", err.into()))?;
            if !is_memory(found.filesystem_type()) {
                return Err(TeeError::NotMemory { path: dir.clone() });
            }
        }
        let (current, changed) = (Mutex::default(), Condvar::new());
        Ok(Self { config, owner, output, messages, current, changed })
    }

    pub(super) fn awaited(&self) -> Option<Vec<String>> {
        let waits = self.config.wait && self.current().is_none();
        waits.then(|| self.config.items.iter().map(|item| item.name.clone()).collect())
    }

    pub(super) fn environment(&self) -> SecretVariables {
        let Some(current) = self.current() else { return Vec::new() };
        let value = |name: &str| current.secrets.get(name).map(|v| Zeroizing::new(v.to_vec()));
        let items = self.config.items.iter();
        items.filter_map(|item| Some((item.env.clone()?, value(&item.name)?))).collect()
    }

    pub(super) fn current(&self) -> Option<Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until there is a newer release than `sequence`, but no longer than `time`.
    pub(super) fn wait_newer(&self, sequence: u64, time: Duration) -> Option<Current> {
        let end = Instant::now() + time;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if current.as_ref().is_some_and(|current| current.sequence > sequence) {
                return current.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            current =
                self.changed.wait_timeout(current, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn check(&self, secrets: &Secrets) -> Result<(), String> {
        let missing = |name: &str| secrets.get(name).is_none();
        let lacks: Vec<&str> = self
            .config
            .items
            .iter()
            .map(|item| item.name.as_str())
            .filter(|name| missing(name))
            .collect();
        if !lacks.is_empty() {
            let lacks = lacks.join(", ");
            return Err(format!("the release lacks secrets that this pod asks for: {lacks}"));
        }
        for item in self.config.items.iter().filter(|item| item.env.is_some()) {
            if secrets.get(&item.name).is_some_and(|value| value.contains(&0)) {
                let name = &item.name;
                return Err(format!(
                    "`{name}` holds a NUL byte, and can't be a variable: use a file"
                ));
            }
        }
        Ok(())
    }

    /// Writes all files beside their places, then puts each into its place at once. An app that reads
    /// sees the old or the new value, whole.
    fn write_files(&self, secrets: &Secrets) -> io::Result<()> {
        let Some(dir) = &self.config.dir else { return Ok(()) };
        let mut written: Vec<(PathBuf, PathBuf)> = Vec::new();
        let result = self.config.items.iter().try_for_each(|item| {
            let (Some(file), Some(value)) = (&item.file, secrets.get(&item.name)) else {
                return Ok(());
            };
            // No secret's file begins with a dot.
            let new = dir.join(format!(".{file}.new"));
            written.push((new.clone(), dir.join(file)));
            write_new(&new, value, self.owner)
        });
        for (new, place) in &written {
            if result.is_ok() {
                fs::rename(new, place)?;
            } else {
                let _ = fs::remove_file(new);
            }
        }
        result
    }
}

impl SecretSink for Delivery {
    fn deliver(&self, received: Received) -> Result<(), String> {
        let Received { secrets, sequence, .. } = received;
        self.check(&secrets)?;
        self.write_files(&secrets)
            .map_err(|err| format!("the pod can't write the secrets' files: {err}"))?;
        let names = secrets.names().map(str::to_owned).collect();
        let current = Current { secrets: Arc::new(secrets), sequence };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(current);
        self.changed.notify_all();
        self.output.emit(EventKind::SecretsReceived { names, sequence });
        // Where the supervisor has ended, nobody needs them any more.
        let _ = self.messages.send(Message::Secrets);
        Ok(())
    }
}

fn is_memory(found: FsType) -> bool {
    // The type's width differs between C libraries.
    #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
    let is_ramfs = found.0 as i64 == RAMFS;
    found == TMPFS_MAGIC || is_ramfs
}

fn write_new(path: &Path, value: &[u8], owner: Option<(u32, u32)>) -> io::Result<()> {
    // Left by an agent that was killed in between.
    match fs::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    // A new file: the app may write into the folder, and must not choose what is written through.
    let mut file: File = File::options().write(true).create_new(true).mode(0o400).open(path)?;
    if let Some((uid, gid)) = owner {
        fchown(&file, Some(uid), Some(gid))?;
    }
    file.write_all(value)
}
