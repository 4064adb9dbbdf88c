//! Ctrl-C and friends: noted, so that the demo ends in order and leaves nothing behind.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// From now on SIGINT, SIGTERM and SIGHUP are only noted.
pub(crate) fn catch() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        #[expect(unsafe_code, reason = "std has no signal handlers")]
        // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
        unsafe {
            libc::signal(signal, note as *const () as libc::sighandler_t);
        }
    }
}

/// Whether one of them came.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Marks an end that was asked for, so that it is not reported as a failure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Asks `done` again and again until it gives a value.
///
/// # Errors
/// When `done` fails, when a signal came, or after `limit`, naming `what`.
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut done: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if interrupted() {
            return Err(Interrupted.into());
        }
        if let Some(value) = done()? {
            return Ok(value);
        }
        if started.elapsed() > limit {
            bail!("{what} did not happen within {} s", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(100));
    }
}
