//! A program that does not outlive the test.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// A running program in a process group of its own, with its output in a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pid: Pid,
    ended: bool,
}

impl Process {
    /// Starts a program; its output is added to `log`.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write `{}`", log.display()))?;
        let error = out.try_clone().context("cannot share a log")?;
        command.stdin(Stdio::null()).stdout(out).stderr(error).process_group(0);
        tie_to_this_thread(command);
        let child =
            command.spawn().with_context(|| format!("cannot start {name} (`{command:?}`)"))?;
        let pid = Pid::from_raw(i32::try_from(child.id()).context("an odd process id")?);
        Ok(Self { name: name.to_owned(), child, pid, ended: false })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let status =
            self.child.try_wait().with_context(|| format!("cannot watch {}", self.name))?;
        self.ended |= status.is_some();
        Ok(status)
    }

    /// SIGKILL to this process alone, at once.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&mut self) -> Result<()> {
        if self.ended()?.is_none() {
            self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
            self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
            self.ended = true;
        }
        Ok(())
    }

    /// SIGTERM, then waits for its end.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn stop(&mut self, patience: Duration) -> Result<ExitStatus> {
        if self.ended()?.is_none() {
            // It may end in this moment, which is what was wanted.
            let _ = kill(self.pid, Signal::SIGTERM);
        }
        self.wait(patience)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} has not ended after {} s", self.name, patience.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Until it was waited for, its number is nobody else's, nor its group's.
        if !self.ended {
            let _ = killpg(self.pid, Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// The kernel kills the program when the test's thread ends, however that comes.
#[expect(unsafe_code, reason = "code between fork and exec is unsafe by definition")]
fn tie_to_this_thread(command: &mut Command) {
    let parent = nix::unistd::getpid();
    // SAFETY: the closure makes two system calls (prctl, getppid), both async-signal-safe; it
    // neither allocates nor locks.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            if nix::unistd::getppid() == parent {
                Ok(())
            } else {
                Err(std::io::Error::from(nix::Error::ESRCH))
            }
        });
    }
}

/// The last lines of a file.
pub fn tail(path: &Path, lines: usize) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    let skipped = all.len().saturating_sub(lines);
    all[skipped..].join("\n")
}

/// Removes variables that would set up the program in the place of its files and flags, or make its
/// errors longer than users see them.
pub(crate) fn without_settings(command: &mut Command) {
    command.env_remove("RUST_BACKTRACE");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CASEMATE_") {
            command.env_remove(name);
        }
    }
}

/// Where logs lie.
pub(crate) fn log_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}
