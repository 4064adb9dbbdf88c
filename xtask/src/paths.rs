//! Where things lie: the repository, the build folder and the cache.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::wasm;

/// The one triple that is built and tested.
pub(crate) const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Cargo's profile for what browsers load.
pub(crate) const WEB_PROFILE: &str = "web";

/// Folders that the commands work in.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    /// Root of the repository.
    pub(crate) repo: PathBuf,
    /// Cargo's target directory: outside the clone, so that a fresh clone starts warm.
    pub(crate) target: PathBuf,
    /// Everything else that is worth keeping between runs (Debian packages, images, logs).
    pub(crate) cache: PathBuf,
}

impl Paths {
    /// Reads the environment: `CARGO_TARGET_DIR` and `XDG_CACHE_HOME` override the defaults.
    pub(crate) fn find() -> Result<Self> {
        ensure!(
            cfg!(all(target_arch = "x86_64", target_os = "linux")),
            "only Linux on x86_64 is supported for now"
        );
        let repo = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the xtask crate lies in no folder")?
            .to_owned();
        ensure!(
            repo.join("Cargo.lock").is_file(),
            "no `Cargo.lock` in `{}`: run `cargo xtask` inside the repository that it was built in",
            repo.display()
        );
        let cache = match set(env::var_os("XDG_CACHE_HOME")) {
            Some(dir) => PathBuf::from(dir),
            None => PathBuf::from(
                set(env::var_os("HOME")).context("neither `XDG_CACHE_HOME` nor `HOME` is set")?,
            )
            .join(".cache"),
        }
        .join("casemate");
        let target = set(env::var_os("CARGO_TARGET_DIR"))
            .map_or_else(|| cache.join("target"), |dir| repo.join(dir));
        Ok(Self { repo, target, cache })
    }

    /// A program of the workspace.
    pub(crate) fn bin(&self, name: &str) -> PathBuf {
        self.bin_dir().join(name)
    }

    /// Where the workspace's programs are.
    pub(crate) fn bin_dir(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// Where the statically linked programs are.
    pub(crate) fn static_dir(&self) -> PathBuf {
        self.target.join(TRIPLE).join("debug")
    }

    /// Where the module for browsers is.
    pub(crate) fn web_dir(&self) -> PathBuf {
        self.target.join(wasm::TARGET).join(WEB_PROFILE)
    }
}

/// An empty variable counts as one that is not set.
fn set(value: Option<OsString>) -> Option<OsString> {
    value.filter(|v| !v.is_empty())
}
