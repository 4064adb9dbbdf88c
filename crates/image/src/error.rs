//! [`Error`]: what went wrong, with which image or blob, and what to do about it.

#[cfg(feature = "store")]
use std::{fs, path::Path};
use std::{io, path::PathBuf};

use crate::{Digest, ParseDigestError, ParseReferenceError};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong with an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not an image reference.
    #[error(transparent)]
    Reference(#[from] ParseReferenceError),
    /// Not a digest.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
    /// The file system said no.
    #[error("failed to {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// No space, or a quota is used up.
    #[error(
        "the disk is full: failed to {action} `{path}`; free some space or raise the quota, then \
         try again"
    )]
    DiskFull {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// The content is not what its name says.
    #[error(
        "{what} is corrupt or was tampered with: expected {expected}, got {actual}; push the image \
         again or use another source"
    )]
    DigestMismatch {
        /// Which blob of which image.
        what: String,
        /// What the reference or the manifest says.
        expected: Digest,
        /// What the bytes hash to.
        actual: Digest,
    },
    /// The content is shorter or longer than the manifest says.
    #[error("{what} has {actual} bytes where {expected} were declared; push the image again")]
    SizeMismatch {
        /// Which blob of which image.
        what: String,
        /// As declared.
        expected: u64,
        /// As found; where reading was stopped early, what was seen by then.
        actual: u64,
    },
    /// Above one of the [`Limits`](crate::Limits).
    #[error("{what}: {found} is more than the limit of {limit}; make the image smaller")]
    LimitExceeded {
        /// What is too big, of which blob.
        what: String,
        /// What it asks for.
        found: u64,
        /// What it may have.
        limit: u64,
    },
    /// A blob that an image needs is not in the store.
    #[error("blob {0} is not in the store; pull or load the image again")]
    MissingBlob(Digest),
    /// JSON that is not what it should be.
    #[error("{what} is not valid JSON of its kind: {reason}")]
    Json {
        /// Which blob of which image.
        what: String,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// Valid, but not something that can be run here.
    #[error("{what}: {reason}")]
    Unsupported {
        /// Which image or blob.
        what: String,
        /// Why not, and what is accepted.
        reason: String,
    },
    /// Nothing in the index is for this machine.
    #[error("{what} has no image for {wanted} (it has: {available})")]
    NoPlatform {
        /// Which image.
        what: String,
        /// Platform of this machine.
        wanted: String,
        /// Platforms in the index.
        available: String,
    },
    /// A layer that can't be read as a tar archive.
    #[error("layer {layer} is damaged: {reason}; build and push the image again")]
    BadLayer {
        /// Which layer.
        layer: Digest,
        /// What is wrong.
        reason: String,
    },
    /// A layer that tries to do what no image may.
    #[error("layer {layer} is refused: entry `{entry}` {reason}")]
    Forbidden {
        /// Which layer.
        layer: Digest,
        /// Name of the entry, made printable and short.
        entry: String,
        /// What it tries.
        reason: String,
    },
    /// A file is not an OCI layout or archive.
    #[error("`{path}` is not an OCI image layout or archive: {reason}")]
    NotAnImage {
        /// Directory or file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A layout has no such image, or several.
    #[error("`{path}` has no image {wanted} (it has: {available})")]
    NotInLayout {
        /// Directory or file.
        path: PathBuf,
        /// Tag or digest asked for.
        wanted: String,
        /// Tags and digests in it.
        available: String,
    },
    /// The destination is already there.
    #[error("`{0}` exists already; remove it or choose another place")]
    Exists(PathBuf),
    /// A pull, load or unpack is at work on the store.
    #[error("store `{0}` is in use by a pull or an unpack; try again when it has ended")]
    StoreBusy(PathBuf),
    /// No answer from the registry.
    #[error("registry {registry} can't be reached for {what}; check its name, port and network")]
    Unreachable {
        /// Host and port.
        registry: String,
        /// Which image or blob.
        what: String,
        /// Why, as far as known.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The registry has no such image.
    #[error("registry {registry} has no {what}; check repository, tag and digest")]
    NotFound {
        /// Host and port.
        registry: String,
        /// Image or blob.
        what: String,
    },
    /// The registry wants other credentials.
    #[error("registry {registry} denies access to {what} ({reason}); check user name and password")]
    Unauthorized {
        /// Host and port.
        registry: String,
        /// Image or blob.
        what: String,
        /// What the registry says.
        reason: String,
    },
    /// Any other answer that is no success.
    #[error("registry {registry} failed for {what}: {reason}")]
    Registry {
        /// Host and port.
        registry: String,
        /// Image or blob.
        what: String,
        /// Status and message.
        reason: String,
    },
    /// A file that can't go into an image.
    #[error("`{path}` can't go into an image: {reason}")]
    BuildInput {
        /// The file, or the name it should get.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A task of ours ended early (the runtime is shutting down, or it panicked).
    #[error("{0} was interrupted; try again")]
    Interrupted(&'static str),
}

impl Error {
    /// Maps an I/O error with what was done to what; a full disk gets its own variant.
    #[cfg(feature = "store")]
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { action, path: path.into() }
            }
            _ => Self::Io { action, path: path.into(), source },
        }
    }

    pub(crate) fn json(what: impl Into<String>, source: &serde_json::Error) -> Self {
        Self::Json { what: what.into(), reason: printable(source.to_string().as_bytes(), 300) }
    }

    #[cfg(feature = "store")]
    pub(crate) fn limit(what: impl Into<String>, found: u64, limit: u64) -> Self {
        Self::LimitExceeded { what: what.into(), found, limit }
    }
}

/// Makes sure that nothing is overwritten.
#[cfg(feature = "store")]
pub(crate) fn check_absent_or_empty(dir: &Path) -> Result<()> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Exists(dir.to_owned())),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(err) if err.kind() == io::ErrorKind::NotADirectory => {
            Err(Error::Exists(dir.to_owned()))
        }
        Err(err) => Err(Error::io("list", dir, err)),
    }
}

/// Text from an image or a registry, fit for a terminal: no control characters, and short.
pub(crate) fn printable(bytes: &[u8], chars_max: usize) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(chars_max * 4)]);
    let mut out: String = text
        .chars()
        .take(chars_max)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().count() > chars_max || bytes.len() > chars_max * 4 {
        out.push('…');
    }
    out
}
