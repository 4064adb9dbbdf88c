//! Makes the app's process: clean signals, own process group, no agent's descriptor, its user,
//! no new privileges. All `unsafe` of the agent is here.

use std::{
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use nix::{
    fcntl::{OFlag, open},
    sys::{
        prctl,
        signal::{SigSet, SigmaskHow, Signal, pthread_sigmask},
        stat::Mode,
    },
    unistd::{Gid, Uid, setgid, setgroups, setuid},
};

use zeroize::Zeroizing;

use crate::config::AppConfig;

/// Variables that hold secrets.
pub(crate) type SecretVariables = Vec<(String, Zeroizing<Vec<u8>>)>;

/// The variables that the app's newest start was given, for programs that run beside it: a release
/// since then has not reached the app. They are wiped at the next start.
#[derive(Clone, Default)]
pub(crate) struct StartedWith(Arc<Mutex<SecretVariables>>);

impl std::fmt::Debug for StartedWith {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StartedWith").finish_non_exhaustive()
    }
}

impl StartedWith {
    /// For a new start.
    pub(crate) fn set(&self, variables: SecretVariables) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = variables;
    }

    /// Adds them to a program's environment.
    pub(crate) fn give(&self, command: &mut Command) {
        for (name, value) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            command.env(name, OsStr::from_bytes(value));
        }
    }
}

/// Half of the memory limit on top of the app's own size: when memory is short, the kernel ends the
/// app and not the agent. Raising needs no privilege.
const APP_OOM_SCORE: &[u8] = b"500";

/// A command that runs `argv` as the app's user, in its environment and directory.
pub(crate) fn command(app: &AppConfig, argv: &[String]) -> Command {
    let mut command = Command::new(argv.first().map_or("", String::as_str));
    command.args(argv.iter().skip(1)).env_clear().stdin(Stdio::null()).process_group(0);
    for entry in &app.env {
        if let Some((name, value)) = entry.split_once('=') {
            command.env(name, value);
        }
    }
    if !app.working_dir.is_empty() {
        command.current_dir(&app.working_dir);
    }
    let user = app.user.clone().map(|user| {
        let groups: Vec<Gid> = user.groups.iter().map(|g| Gid::from_raw(*g)).collect();
        (Uid::from_raw(user.uid), Gid::from_raw(user.gid), groups)
    });
    let in_child = move || -> io::Result<()> {
        // Before the user changes: the agent is not dumpable, so its /proc files are root's.
        if let Ok(file) = open(c"/proc/self/oom_score_adj", OFlag::O_WRONLY, Mode::empty()) {
            let _ = nix::unistd::write(&file, APP_OOM_SCORE);
        }
        if let Some((uid, gid, groups)) = &user {
            // Apps log to /dev/stdout and /dev/stderr, which opens the agent's pipes anew: they must
            // be the app's. (Where it is no pipe it is /dev/null, of which nothing may change.)
            for pipe in 1..=2 {
                give_pipe(pipe, uid.as_raw(), gid.as_raw());
            }
            setgroups(groups)?;
            setgid(*gid)?;
            setuid(*uid)?;
        }
        prctl::set_no_new_privs()?;
        // Outside of a container nothing else ends the app when the agent is killed.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        reset_dispositions();
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
        Ok(())
    };
    #[expect(unsafe_code, reason = "only a hook between fork and exec can reset the signal mask")]
    // SAFETY: the closure makes system calls only. It neither allocates nor locks: the paths are
    // C strings, the groups were collected before, and errors are plain numbers.
    unsafe {
        command.pre_exec(in_child);
    }
    command
}

/// Lets every signal do what it does by default. One that is ignored stays so over an `exec`, and a
/// shell can't even trap it: whoever started the agent under `nohup` must not decide that.
fn reset_dispositions() {
    for number in 1..=libc::SIGRTMAX() {
        #[expect(unsafe_code, reason = "nix has no name for real-time signals")]
        // SAFETY: safe to call between fork and exec. Numbers that can't be set (KILL, STOP, the C
        // library's own) are an error that changes nothing.
        unsafe {
            libc::signal(number, libc::SIG_DFL);
        }
    }
}

/// Makes a user the owner of the pipe behind a descriptor. Nothing happens where it is another thing.
fn give_pipe(fd: libc::c_int, uid: libc::uid_t, gid: libc::gid_t) {
    #[expect(
        unsafe_code,
        reason = "between fork and exec there is a number only, no owned descriptor"
    )]
    // SAFETY: both calls take a number and a pointer to a local that outlives them; they are safe to
    // make between fork and exec. A wrong number is an error that they return.
    unsafe {
        let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
        if libc::fstat(fd, stat.as_mut_ptr()) == 0
            && stat.assume_init().st_mode & libc::S_IFMT == libc::S_IFIFO
        {
            libc::fchown(fd, uid, gid);
        }
    }
}

/// Marks every descriptor but the three standard ones to be closed in children.
pub(crate) fn close_on_exec_all() {
    #[expect(unsafe_code, reason = "the standard library has no close_range")]
    // SAFETY: with this flag the call only sets close-on-exec flags; no descriptor is closed here.
    // Where the kernel lacks the call (before 5.11) descriptors are as the runtime left them, which
    // closes its own.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3 as libc::c_uint,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
    }
}

/// Waits for one of these signals; `None` where nobody can tell who has sent it. The other value says
/// whether it came from within the container.
///
/// The kernel gives a sender outside of the container as process 0. It does not check what is given
/// along with a signal that is queued (`sigqueue`): such a one may be anybody's.
pub(crate) fn wait_signal(signals: &SigSet) -> Option<(Signal, bool)> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    #[expect(unsafe_code, reason = "nix does not tell who has sent a signal")]
    // SAFETY: both pointers are to values that outlive the call, which fills the second one where it
    // gives a signal; all zeros are a valid one.
    let (number, code, sender) = unsafe {
        let number = libc::sigwaitinfo(signals.as_ref(), info.as_mut_ptr());
        let info = info.assume_init();
        (number, info.si_code, info.si_pid())
    };
    let signal = Signal::try_from(number).ok()?;
    let is_queued = code < 0 && code != libc::SI_TKILL;
    // Of the kernel's own, a child's end above all, there is nothing to doubt.
    if is_queued && signal != Signal::SIGCHLD {
        return None;
    }
    let is_first = nix::unistd::getpid().as_raw() == 1;
    Some((signal, is_first && sender != 0))
}

/// Reaps one child that has ended: its pid, and its exit code or 128 and the signal's number.
pub(crate) fn wait_any() -> Option<(i32, i32)> {
    let mut status = 0;
    loop {
        #[expect(
            unsafe_code,
            reason = "nix has no name for real-time signals and loses such a child"
        )]
        // SAFETY: the pointer is to a local that outlives the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid > 0 {
            let code = if libc::WIFSIGNALED(status) {
                128 + libc::WTERMSIG(status)
            } else {
                libc::WEXITSTATUS(status)
            };
            return Some((pid, code));
        }
        if pid == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
}
