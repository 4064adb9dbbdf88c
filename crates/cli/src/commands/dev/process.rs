//! A child process that does not outlive this one.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use crate::failure::{Failure, OrFail as _};

/// Lines of a log that are shown when its writer died.
const TAIL_LINES: usize = 20;
/// Bytes of a log that are looked through for them.
const TAIL_BYTES: u64 = 16 * 1024;

/// A program that runs, with its output in a file.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    log: PathBuf,
    child: Child,
    pid: u32,
}

impl Process {
    /// Starts a program.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        args: &[String],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let failed = || Failure::new(format!("cannot start `{}`", program.display()));
        let child = command(program, args, log)?.spawn().or_fail(failed)?;
        let pid = child.id().or_fail(failed)?;
        Ok(Self { name, log: log.to_owned(), child, pid })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end, which is a failure: it is to run for ever.
    ///
    /// # Cancel safety
    /// It may be dropped and called again.
    pub(super) async fn died(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => self.failure(status).into_error(),
            Err(error) => anyhow::Error::new(error)
                .context(Failure::new(format!("cannot watch {}", self.name))),
        }
    }

    /// Whether it has ended already.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => Err(self.failure(status).into_error()),
            None => Ok(()),
        }
    }

    /// Asks it to stop, and makes it stop when it has not after `grace`.
    pub(super) async fn stop(&mut self, grace: Duration) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(grace, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }

    /// Kills it at once.
    pub(super) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&self, signal: Signal) {
        // `id` is `None` once it was waited for: then the number may be another's.
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // It may end in this moment, which is what was wanted.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    fn failure(&self, status: ExitStatus) -> Failure {
        failure(self.name, &self.log, status)
    }
}

fn failure(name: &str, log: &Path, status: ExitStatus) -> Failure {
    let tail = tail(log);
    let tail = if tail.is_empty() {
        String::new()
    } else {
        format!("; its last words:\n{}", tail.trim_end())
    };
    Failure::new(format!("{name} ended ({status}){tail}"))
        .hint(format!("see all it wrote: {}", log.display()))
}

/// Runs a program to its end, for at most `timeout`.
pub(super) async fn run(
    name: &'static str,
    program: &Path,
    args: &[String],
    log: &Path,
    timeout: Duration,
) -> anyhow::Result<()> {
    let mut process = Process::start(name, program, args, log)?;
    match tokio::time::timeout(timeout, process.child.wait()).await {
        Ok(status) => {
            let status = status?;
            if status.success() { Ok(()) } else { Err(process.failure(status).into_error()) }
        }
        Err(_) => {
            process.child.kill().await?;
            Err(Failure::new(format!("{name} did not end in {} seconds", timeout.as_secs()))
                .hint(format!("see what it wrote: {}", log.display()))
                .into_error())
        }
    }
}

/// Runs a program to its end, for at most `timeout`, for what it writes to its standard output.
pub(super) async fn output(
    name: &'static str,
    program: &Path,
    args: &[String],
    log: &Path,
    timeout: Duration,
) -> anyhow::Result<Vec<u8>> {
    let failed = || Failure::new(format!("cannot start `{}`", program.display()));
    let child = command(program, args, log)?.stdout(Stdio::piped()).spawn().or_fail(failed)?;
    // It is killed when it is dropped.
    let output =
        tokio::time::timeout(timeout, child.wait_with_output()).await.or_fail(|| {
            Failure::new(format!("{name} did not end in {} seconds", timeout.as_secs()))
                .hint(format!("see what it wrote: {}", log.display()))
        })??;
    if !output.status.success() {
        return Err(failure(name, log, output.status).into_error());
    }
    Ok(output.stdout)
}

fn command(program: &Path, args: &[String], log: &Path) -> anyhow::Result<Command> {
    let open = || File::options().create(true).append(true).open(log);
    let failed = || Failure::new(format!("cannot write `{}`", log.display()));
    let out = open().or_fail(failed)?;
    let error: OwnedFd = out.try_clone().or_fail(failed)?.into();
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::from(error))
        // Ctrl-C goes to this program alone, which stops the others in their order.
        .process_group(0)
        .kill_on_drop(true);
    // Settings and secrets of this program's user are not meant for them: a seed in the
    // environment would take the place of the provider's own key.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CASEMATE_") && name != "CASEMATE_LOG" {
            command.env_remove(name);
        }
    }
    tie_to_this_process(&mut command);
    Ok(command)
}

/// When this program is killed, the kernel sends its children a SIGTERM.
///
/// The kernel means the *thread* that started the child; this program has one thread.
#[expect(unsafe_code, reason = "code between fork and exec is unsafe by definition")]
fn tie_to_this_process(command: &mut Command) {
    let parent = nix::unistd::getpid();
    // SAFETY: the closure runs in the child between fork and exec, and makes only two system calls
    // (prctl, getppid), which are async-signal-safe; it neither allocates nor locks.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
            // The parent may have died before the line above.
            if nix::unistd::getppid() == parent {
                Ok(())
            } else {
                Err(std::io::Error::from(nix::Error::ESRCH))
            }
        });
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let read = || {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(TAIL_LINES);
    lines[first..].iter().map(|line| format!("{}\n", crate::printer::printable(line))).collect()
}
