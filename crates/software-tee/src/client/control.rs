//! From the provider: launching and destroying guests, reading the collateral.

use super::{ClientError, call, text};
use crate::wire::{Kind, to_hex};
use serde_json::{Map, Value, json};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// A launch reads and hashes a whole root file system: minutes for large ones on a slow disk.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The daemon's control socket.
#[derive(Clone, Debug)]
pub struct Control {
    socket: PathBuf,
}

/// Who may open a guest's socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What to launch. Paths are opened and hashed by the daemon, so it must see the same files.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    /// The guest's name, unique among those that are alive: at most 64 of `a-z`, `0-9`, `-`. A
    /// caller that names its guests finds them again after a crash of its own.
    pub id: &'a str,
    /// Which TEE.
    pub kind: Kind,
    /// Version of the evidence format, or `None` for the usual one: TDX 4 or 5, SGX 3, SNP 2, 3
    /// or 5.
    pub version: Option<u16>,
    /// The agent's binary.
    pub agent: &'a Path,
    /// The root file system's folder.
    pub root_fs: Option<&'a Path>,
    /// BLAKE2b-256 of the manifest.
    pub manifest_hash: &'a [u8; 32],
    /// Who may use the socket; `None`: the daemon's own user alone.
    pub owner: Option<Owner>,
    /// For tests: what shall be wrong with its evidence (see `casemate-software-tee serve --help`).
    pub misbehave: &'a [&'a str],
}

/// A guest that is alive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Launched {
    /// Its name.
    pub id: String,
    /// Its socket.
    pub socket: PathBuf,
    /// The folder that holds the socket and nothing else. Give the folder to the pod, not the
    /// socket: after a restart of the daemon the folder is the same and the socket is a new one.
    pub socket_dir: PathBuf,
    /// What the daemon has measured, as JSON.
    pub measurements: Value,
}

impl Control {
    /// Uses this socket. Nothing is opened yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Measures and starts a guest. From here on nothing can change what was measured.
    ///
    /// # Errors
    /// If a file cannot be read, or a guest of that name is alive already (see [`Control::list`]).
    pub fn launch(&self, launch: &Launch<'_>) -> Result<Launched, ClientError> {
        let mut request = Map::new();
        let mut put = |name: &str, value: Value| request.insert(name.to_owned(), value);
        put("id", launch.id.into());
        put("kind", launch.kind.as_str().into());
        put("agent", path_text(launch.agent)?.into());
        put("manifestHash", to_hex(launch.manifest_hash).into());
        if let Some(version) = launch.version {
            put("version", version.into());
        }
        if let Some(root_fs) = launch.root_fs {
            put("rootFs", path_text(root_fs)?.into());
        }
        if let Some(Owner { uid, gid }) = launch.owner {
            put("owner", json!({ "uid": uid, "gid": gid }));
        }
        if !launch.misbehave.is_empty() {
            put("misbehave", launch.misbehave.into());
        }
        let answer = self.call(&json!({ "launch": request }))?;
        launched(answer.get("launched").ok_or(ClientError::BadAnswer("launched"))?)
    }

    /// Ends a guest: its socket is closed and removed, its registers are forgotten.
    ///
    /// # Errors
    /// If no guest of that name is alive.
    pub fn destroy(&self, id: &str) -> Result<(), ClientError> {
        self.call(&json!({ "destroy": { "id": id } })).map(drop)
    }

    /// The guests that are alive, by name.
    ///
    /// # Errors
    /// If the daemon is not there.
    pub fn list(&self) -> Result<Vec<Launched>, ClientError> {
        let answer = self.call(&json!({ "list": {} }))?;
        let guests = answer.get("guests").and_then(Value::as_array);
        guests.ok_or(ClientError::BadAnswer("guests"))?.iter().map(launched).collect()
    }

    /// All collateral and the roots, as JSON (see the README).
    ///
    /// # Errors
    /// If the daemon is not there.
    pub fn collateral(&self) -> Result<Value, ClientError> {
        let mut answer = self.call(&json!({ "collateral": {} }))?;
        match answer.get_mut("collateral") {
            Some(collateral) => Ok(collateral.take()),
            None => Err(ClientError::BadAnswer("collateral")),
        }
    }

    fn call(&self, request: &Value) -> Result<Value, ClientError> {
        call(&self.socket, TIMEOUT, request)
    }
}

fn launched(value: &Value) -> Result<Launched, ClientError> {
    Ok(Launched {
        id: text(value, "id")?.to_owned(),
        socket: text(value, "socket")?.into(),
        socket_dir: text(value, "socketDir")?.into(),
        measurements: value
            .get("measurements")
            .cloned()
            .ok_or(ClientError::BadAnswer("measurements"))?,
    })
}

fn path_text(path: &Path) -> Result<&str, ClientError> {
    let refused = || ClientError::Refused(format!("`{}` is not UTF-8", path.display()));
    path.to_str().ok_or_else(refused)
}
