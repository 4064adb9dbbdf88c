//! Short ways to the seam's errors.

use std::{io, path::Path};

pub(crate) use casemate_primitives::chain_of as chain;
use casemate_provider_core::BackendError;

pub(crate) type Result<T, E = BackendError> = std::result::Result<T, E>;

/// For `map_err`: what was tried on which path.
pub(crate) fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackendError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BackendError::NoSpace {
            what: format!("`{}`", path.display()),
            hint: "free some space on the provider's disk, then try again".to_owned(),
        },
        _ => BackendError::Io { what, path, source },
    }
}

pub(crate) fn engine(what: impl Into<String>, reason: impl Into<String>) -> BackendError {
    BackendError::Engine { what: what.into(), reason: reason.into() }
}
