//! Where the programs under test are.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

/// The programs of a network.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `casemate`.
    pub cli: PathBuf,
    /// `casemate-node`.
    pub node: PathBuf,
    /// `casemate-provider`.
    pub provider: PathBuf,
    /// `casemate-software-tee`.
    pub software_tee: PathBuf,
    /// `casemate-agent`, static.
    pub agent: PathBuf,
    /// The example app `guestbook`, static.
    pub guestbook: PathBuf,
    /// `casemate-vault`, static.
    pub vault: PathBuf,
}

impl Binaries {
    /// Finds all of them.
    ///
    /// # Errors
    /// A variable is not set or a program is not there; says how to get it.
    pub fn find() -> Result<Self> {
        let programs = folder("CASEMATE_BIN_DIR")?;
        let static_programs = folder("CASEMATE_STATIC_DIR")?;
        Ok(Self {
            cli: program(&programs, "casemate")?,
            node: program(&programs, "casemate-node")?,
            provider: program(&programs, "casemate-provider")?,
            software_tee: program(&programs, "casemate-software-tee")?,
            agent: program(&static_programs, "casemate-agent")?,
            guestbook: program(&static_programs, "guestbook")?,
            vault: program(&static_programs, "casemate-vault")?,
        })
    }
}

fn folder(variable: &str) -> Result<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from).with_context(|| {
        format!(
            "{variable} is not set: these tests run the real binaries.\n\
             hint: run them with `cargo xtask test -p casemate-tests`, which builds and finds them"
        )
    })?;
    if !path.is_dir() {
        bail!("{variable} names `{}`, which is no folder\nhint: {HINT}", path.display());
    }
    Ok(path)
}

fn program(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    if !path.is_file() {
        bail!("there is no program `{}`\nhint: {HINT}", path.display());
    }
    Ok(path)
}

const HINT: &str = "build everything and run the tests with `cargo xtask test`";
