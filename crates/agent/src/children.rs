//! Who waits for which child. Process 1 reaps every orphan of its container, so `waitpid` is called
//! for any child in one place, and nobody else may wait.

use std::{
    collections::HashMap,
    io,
    process::Command,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use nix::unistd::Pid;

use crate::spawn::wait_any;

/// The children that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Children {
    waiting: Mutex<HashMap<i32, SyncSender<i32>>>,
}

/// A child that was started by [`Children::spawn`].
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) pid: Pid,
    pub(crate) stdout: Option<std::process::ChildStdout>,
    pub(crate) stderr: Option<std::process::ChildStderr>,
    /// Gets the exit code, once.
    pub(crate) exit: Receiver<i32>,
}

impl Children {
    /// Starts a child. Holds the lock all through, so that it is not reaped before it is known (or,
    /// where `exec` fails, before the standard library has waited for it).
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Spawned> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        // One code is sent, ever: it never blocks.
        let (sender, exit) = sync_channel(1);
        waiting.insert(pid, sender);
        Ok(Spawned {
            pid: Pid::from_raw(pid),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            exit,
        })
    }

    /// Reaps all children that have ended and tells those who wait.
    pub(crate) fn reap(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((pid, code)) = wait_any() {
            if let Some(sender) = waiting.remove(&pid) {
                let _ = sender.try_send(code);
            }
        }
    }
}
