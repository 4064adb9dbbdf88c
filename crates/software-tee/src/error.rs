//! What can go wrong outside the sockets.

use std::{io, path::PathBuf};

/// Why the software TEE cannot do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder.
    #[error("cannot {action} `{path}`")]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A folder is there and has keys already.
    #[error(
        "`{path}` holds a software TEE already; its keys are never overwritten: choose another folder or remove this one"
    )]
    AlreadyInitialised {
        /// The folder.
        path: PathBuf,
    },
    /// A key file is not what `init` wrote.
    #[error(
        "`{path}` is not a private key of the expected kind; restore it, or make a new folder with `casemate-software-tee init`"
    )]
    BadKey {
        /// The file.
        path: PathBuf,
    },
    /// A private key can be read by others.
    #[error(
        "`{path}` can be read by others (mode {mode:o}); run `chmod 600` on it, or make a new folder if somebody may have read it"
    )]
    KeyReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A state file is not what this program wrote.
    #[error("`{path}` cannot be understood: {reason}; remove its folder to forget that guest")]
    BadState {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another daemon works on this folder.
    #[error("another daemon serves `{path}`; stop it first")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system has no randomness.
    #[error("the operating system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// A key could not be made or used.
    #[error("cannot make or use a private key: {0}")]
    Key(&'static str),
    /// This evidence format does not exist for this kind.
    #[error("there is no evidence of version {version} for {kind}; known are {known}")]
    Version {
        /// The kind asked for.
        kind: crate::wire::Kind,
        /// The version asked for.
        version: u16,
        /// What there is.
        known: &'static str,
    },
    /// A guest's root file system or agent cannot be measured.
    #[error("cannot measure `{path}`: {reason}")]
    Unmeasurable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// A request's names or values are wrong.
    #[error("{0}")]
    Request(String),
    /// No guest of that name is alive.
    #[error("no guest `{0}` is alive")]
    NoSuchGuest(String),
    /// A guest of that name is alive already.
    #[error("a guest `{0}` is alive already; destroy it first, or choose another name")]
    GuestExists(String),
    /// This TEE has no such register, or the guest may not extend it.
    #[error("{kind} has no run-time register {register} that a guest may extend; TDX has 2 and 3")]
    NoSuchRegister {
        /// The guest's kind.
        kind: crate::wire::Kind,
        /// What was asked for.
        register: u8,
    },
    /// A guest's event log has no more room.
    #[error("this guest's event log is full ({0} entries)")]
    EventLogFull(usize),
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// The whole chain in one line, as it goes over a socket.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}
