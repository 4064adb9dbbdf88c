//! Running other programs: announced steps, root rights, and services that always end.

use std::{
    env,
    ffi::OsStr,
    fmt,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::signals;

/// A named piece of work, announced when it starts and when it ends.
#[derive(Debug)]
pub(crate) struct Step {
    name: String,
    started: Instant,
}

impl Step {
    pub(crate) fn start(name: impl Into<String>) -> Self {
        let name = name.into();
        eprintln!("==> {name}");
        Self { name, started: Instant::now() }
    }

    /// Tells how long it took.
    pub(crate) fn done(self) -> (String, Duration) {
        let elapsed = self.started.elapsed();
        eprintln!("    {}: {}", self.name, Seconds(elapsed));
        (self.name, elapsed)
    }
}

/// A time for people: `12.3 s` or `4 min 5 s`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        if secs < 120 {
            write!(f, "{:.1} s", self.0.as_secs_f64())
        } else {
            write!(f, "{} min {} s", secs / 60, secs % 60)
        }
    }
}

/// A command without the variables that Cargo set for *this* program.
///
/// Build scripts that watch such variables would run again, and with them all that depends on them.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let ours = text == "CARGO"
            || text == "CARGO_BIN_NAME"
            || text == "CARGO_CRATE_NAME"
            || text == "CARGO_PRIMARY_PACKAGE"
            || text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_");
        if ours {
            command.env_remove(&name);
        }
    }
    command
}

/// The effective user id.
pub(crate) fn user_id() -> u32 {
    #[expect(unsafe_code, reason = "std does not tell the user id")]
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe {
        libc::geteuid()
    }
}

/// Whether this process may do all.
pub(crate) fn is_root() -> bool {
    user_id() == 0
}

/// A command that runs as root: through `sudo` where this process is not.
pub(crate) fn root_command(program: impl AsRef<OsStr>) -> Result<Command> {
    if is_root() {
        return Ok(command(program));
    }
    if !on_path("sudo") {
        bail!(
            "`{}` needs root, and there is no `sudo`: run the same command as root",
            program.as_ref().to_string_lossy()
        );
    }
    let mut sudo = command("sudo");
    sudo.arg("-E").arg(program);
    Ok(sudo)
}

/// Whether a program can be found.
pub(crate) fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian keeps some programs where an ordinary user's PATH does not look.
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(program).is_file())
}

/// Runs to the end with its output shown.
///
/// # Errors
/// Names the command line, how it ended, and `hint`: what to do next.
pub(crate) fn run_command(command: &mut Command, hint: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("failed to start {}", line(command)))?;
    check(command, status, hint)
}

/// Runs to the end and gives its standard output; standard error is part of the error.
pub(crate) fn output(command: &mut Command, hint: &str) -> Result<String> {
    let Output { status, stdout, stderr } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {}", line(command)))?;
    if !status.success() {
        let talk = String::from_utf8_lossy(&stderr);
        bail!("{} failed ({status})\n{}\nhint: {hint}", line(command), talk.trim_end());
    }
    String::from_utf8(stdout).with_context(|| format!("{} printed no UTF-8", line(command)))
}

fn check(command: &Command, status: ExitStatus, hint: &str) -> Result<()> {
    if !status.success() {
        bail!("{} failed ({status})\nhint: {hint}", line(command));
    }
    Ok(())
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let mut text = format!("`{}", command.get_program().to_string_lossy());
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text.push('`');
    text
}

/// Makes the child get SIGTERM when this process ends in any way, SIGKILL included, and keeps it
/// out of the terminal's process group, so that Ctrl-C reaches this process alone.
///
/// Start such children from the main thread: Linux sends the signal when the *thread* ends.
pub(crate) fn tie(command: &mut Command) -> &mut Command {
    command.process_group(0);
    #[expect(unsafe_code, reason = "std has no parent-death signal")]
    // SAFETY: prctl is async-signal-safe and touches no memory of this process.
    unsafe {
        command.pre_exec(|| {
            let set = libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM as libc::c_ulong, 0, 0, 0);
            if set == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        })
    }
}

/// A program that runs in the background, writes to a log file and ends with this value.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    log: PathBuf,
    grace: Duration,
    ended: bool,
}

impl Service {
    /// Starts it. `grace`: how long it may take to end after SIGTERM.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        log: &Path,
        grace: Duration,
    ) -> Result<Self> {
        if let Some(dir) = log.parent() {
            fs::create_dir_all(dir)
                .with_context(|| format!("failed to make `{}`", dir.display()))?;
        }
        let file =
            File::create(log).with_context(|| format!("failed to open `{}`", log.display()))?;
        let both = file.try_clone().context("failed to share a log file")?;
        command.stdin(Stdio::null()).stdout(file).stderr(both);
        let child = tie(&mut command)
            .spawn()
            .with_context(|| format!("failed to start {}", line(&command)))?;
        Ok(Self { name, child, log: log.to_owned(), grace, ended: false })
    }

    /// # Errors
    /// When it has ended, with the last lines that it wrote.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait().with_context(|| format!("failed to watch {}", self.name))? {
            None => Ok(()),
            Some(status) => {
                self.ended = true;
                bail!("{} ended ({status}); its last lines:\n{}", self.name, self.log_tail())
            }
        }
    }

    /// The last lines of its log and where the rest is.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(40)..];
        format!("{}\n(all of it in `{}`)", tail.join("\n"), self.log.display())
    }

    /// SIGTERM, and after the grace SIGKILL to it and its process group.
    ///
    /// # Errors
    /// When it had to be killed.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if self.ended || self.child.try_wait().ok().flatten().is_some() {
            self.ended = true;
            return Ok(());
        }
        self.signal(false, libc::SIGTERM);
        let started = Instant::now();
        while started.elapsed() < self.grace {
            if self.child.try_wait().ok().flatten().is_some() {
                self.ended = true;
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.signal(true, libc::SIGKILL);
        self.child.wait().with_context(|| format!("failed to wait for {}", self.name))?;
        self.ended = true;
        bail!(
            "{} did not end within {} s of SIGTERM and was killed; its last lines:\n{}",
            self.name,
            self.grace.as_secs(),
            self.log_tail()
        )
    }

    /// Sends a signal to the child, or to the process group that it leads.
    fn signal(&self, group: bool, signal: libc::c_int) {
        let Ok(pid) = libc::pid_t::try_from(self.child.id()) else { return };
        #[expect(unsafe_code, reason = "std only sends SIGKILL")]
        // SAFETY: the child is not reaped yet (`ended` is false), so the id is still its own; it
        // leads its own process group since `tie`.
        unsafe {
            libc::kill(if group { -pid } else { pid }, signal);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("warning: {error:#}");
        }
    }
}

/// Runs a command in the foreground that ends early when a signal comes.
pub(crate) fn run_interruptible(mut command: Command, hint: &str) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child =
        tie(&mut command).spawn().with_context(|| format!("failed to start {}", line(&command)))?;
    let mut stdout = child.stdout.take().context("no pipe to the child")?;
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut stdout, &mut bytes).map(|_| bytes)
    });
    let status =
        signals::wait_for(&line(&command), Duration::from_secs(600), || Ok(child.try_wait()?));
    let status = match status {
        Ok(status) => status,
        Err(error) => {
            // It is only a client: nothing to be tidied up by it.
            child.kill().ok();
            child.wait().ok();
            return Err(error);
        }
    };
    let bytes = match reader.join() {
        Ok(bytes) => bytes.context("failed to read the child's output")?,
        Err(_) => bail!("the reader of {} panicked", line(&command)),
    };
    check(&command, status, hint)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
