//! One guest: what it is, on disk, and what it may ask for.

use super::connection::error;
use crate::{
    Error,
    client::EventLogEntry,
    directory::{Directory, private_folder},
    evidence::Format,
    measure::{Content, measurements},
    misbehave::Misbehaviour,
    pki::{sync_parent, write_file},
    wire::{Kind, from_hex_array, to_hex},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Most times that a guest may extend its registers. Hardware has no bound; here each extension is
/// in a file that is written anew.
const EXTENSIONS_MAX: usize = 1_024;

/// Longest description of an event, in bytes.
const EVENT_BYTES_MAX: usize = 1_024;

/// Who may open the socket.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
}

/// All that a guest is.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) id: String,
    format: Format,
    content: Content,
    owner: Option<Owner>,
    misbehave: Vec<Misbehaviour>,
    extensions: Vec<EventLogEntry>,
    /// For [`Misbehaviour::Replay`].
    first_report_data: Option<[u8; 64]>,
}

/// [`State`] on disk.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    id: String,
    kind: String,
    version: u16,
    agent: String,
    root_fs: Option<String>,
    manifest_hash: String,
    owner: Option<Owner>,
    misbehave: Vec<String>,
    extensions: Vec<StoredExtension>,
    first_report_data: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredExtension {
    register: u8,
    digest: String,
    event: String,
}

/// A guest that is alive.
#[derive(Debug)]
pub(super) struct Guest {
    folder: PathBuf,
    state: Mutex<Option<State>>,
    /// The parts of its state that never change, for when it has ended.
    id: String,
    owner: Option<Owner>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    report_data: Option<String>,
    extend: Option<Extend>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Extend {
    register: u8,
    digest: String,
    event: String,
}

impl State {
    pub(super) fn new(
        id: String,
        format: Format,
        content: Content,
        owner: Option<Owner>,
        misbehave: Vec<Misbehaviour>,
    ) -> Self {
        Self { id, format, content, owner, misbehave, extensions: vec![], first_report_data: None }
    }

    /// Makes the folder of a new guest.
    pub(super) fn create(&self, folder: &Path) -> Result<(), Error> {
        private_folder(folder)?;
        self.save(folder)?;
        sync_parent(folder)
    }

    fn save(&self, folder: &Path) -> Result<(), Error> {
        let stored = Stored {
            id: self.id.clone(),
            kind: self.format.kind().as_str().to_owned(),
            version: self.format.version(),
            agent: to_hex(&self.content.agent),
            root_fs: self.content.root_fs.map(|digest| to_hex(&digest)),
            manifest_hash: to_hex(&self.content.manifest_hash),
            owner: self.owner,
            misbehave: self.misbehave.iter().map(|one| one.as_str().to_owned()).collect(),
            extensions: self
                .extensions
                .iter()
                .map(|entry| StoredExtension {
                    register: entry.register,
                    digest: to_hex(&entry.digest),
                    event: entry.event.clone(),
                })
                .collect(),
            first_report_data: self.first_report_data.map(|data| to_hex(&data)),
        };
        let text =
            serde_json::to_vec(&stored).map_err(|_| Error::Key("the guest has no JSON form"))?;
        write_file(&folder.join("state.json"), &text)
    }

    /// Reads a guest's folder; `None` if it is of none.
    pub(super) fn load(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join("state.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::File { action: "read", path, source }),
        };
        let bad = |reason: String| Error::BadState { path: path.clone(), reason };
        let stored: Stored = serde_json::from_slice(&text).map_err(|err| bad(err.to_string()))?;
        let not_hex = |name: &str| bad(format!("`{name}` is not as it was written"));
        let kind = Kind::parse(&stored.kind).ok_or_else(|| not_hex("kind"))?;
        let root_fs = match stored.root_fs {
            Some(digest) => Some(from_hex_array(&digest).ok_or_else(|| not_hex("rootFs"))?),
            None => None,
        };
        let first_report_data = match stored.first_report_data {
            Some(data) => Some(from_hex_array(&data).ok_or_else(|| not_hex("firstReportData"))?),
            None => None,
        };
        let extensions = stored.extensions.into_iter().map(|entry| {
            let digest = from_hex_array(&entry.digest).ok_or_else(|| not_hex("digest"))?;
            Ok(EventLogEntry { register: entry.register, digest, event: entry.event })
        });
        Ok(Some(Self {
            format: Format::new(kind, Some(stored.version))?,
            content: Content {
                agent: from_hex_array(&stored.agent).ok_or_else(|| not_hex("agent"))?,
                root_fs,
                manifest_hash: from_hex_array(&stored.manifest_hash)
                    .ok_or_else(|| not_hex("manifestHash"))?,
            },
            owner: stored.owner,
            misbehave: stored
                .misbehave
                .iter()
                .map(|name| name.parse())
                .collect::<Result<_, _>>()?,
            extensions: extensions.collect::<Result<_, Error>>()?,
            first_report_data,
            id: stored.id,
        }))
    }

    fn event_log(&self) -> Vec<EventLogEntry> {
        let mut log = self.content.launch_events(self.format.kind());
        log.extend_from_slice(&self.extensions);
        log
    }
}

impl Guest {
    pub(super) fn new(folder: PathBuf, state: State) -> Self {
        let (id, owner) = (state.id.clone(), state.owner);
        Self { folder, state: Mutex::new(Some(state)), id, owner }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        // Only whole states are ever put in.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn socket_folder(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// Makes the folder that holds the socket alone, and says where the socket goes.
    pub(super) fn make_socket_folder(&self) -> Result<PathBuf, Error> {
        let folder = self.socket_folder();
        private_folder(&folder)?;
        Ok(folder.join("tee.sock"))
    }

    /// Gives the socket to its owner. The folder stays ours, so that a guest cannot put another
    /// socket or anything else into it; outside the pod nobody comes as far, because the folders
    /// above are closed.
    pub(super) fn give_socket(&self) -> Result<(), Error> {
        let Some(Owner { uid, gid }) = self.owner else { return Ok(()) };
        let folder = self.socket_folder();
        let socket = folder.join("tee.sock");
        chown(&socket, Some(uid), Some(gid)).map_err(Error::file("give away", socket))?;
        let mode = fs::Permissions::from_mode(0o711);
        fs::set_permissions(&folder, mode).map_err(Error::file("open up", folder))
    }

    /// As the host sees it.
    pub(super) fn describe(&self) -> Value {
        let socket_dir = self.socket_folder();
        let measurements = self.state().as_ref().map(|state| {
            measurements(state.format.kind(), &state.content, &state.extensions).to_json()
        });
        json!({
            "id": self.id,
            "socketDir": socket_dir.to_string_lossy(),
            "socket": socket_dir.join("tee.sock").to_string_lossy(),
            "measurements": measurements,
        })
    }

    /// Makes it unknown, on disk first. Answers that are being made are the last.
    pub(super) fn end(&self) -> Result<(), Error> {
        let mut state = self.state();
        let path = self.folder.join("state.json");
        fs::remove_file(&path).map_err(Error::file("remove", &path))?;
        *state = None;
        sync_parent(&path)
    }

    /// Answers one line from inside.
    pub(super) fn answer(
        &self,
        directory: &Directory,
        misbehave: &[Misbehaviour],
        line: &[u8],
    ) -> Vec<u8> {
        let answer = match serde_json::from_slice(line) {
            Ok(Request { report_data: Some(report_data), extend: None }) => {
                self.evidence(directory, misbehave, &report_data)
            }
            Ok(Request { report_data: None, extend: Some(extend) }) => self.extend(extend),
            Ok(_) => Err(Error::Request("ask for one of `reportData` and `extend`".into())),
            Err(err) => Err(Error::Request(format!("this is no request that is known: {err}"))),
        };
        match answer {
            Ok(answer) => answer.to_string().into_bytes(),
            Err(err) => error(&err.chain()),
        }
    }

    fn evidence(
        &self,
        directory: &Directory,
        misbehave: &[Misbehaviour],
        report_data: &str,
    ) -> Result<Value, Error> {
        let mut report_data = from_hex_array(report_data)
            .ok_or_else(|| Error::Request("`reportData` must be 128 digits of hex".into()))?;
        let mut guard = self.state();
        let state = guard.as_mut().ok_or_else(|| Error::NoSuchGuest(self.id.clone()))?;
        let misbehave = [misbehave, &state.misbehave].concat();
        if misbehave.contains(&Misbehaviour::Replay) {
            match state.first_report_data {
                Some(first) => report_data = first,
                None => {
                    state.first_report_data = Some(report_data);
                    state.save(&self.folder)?;
                }
            }
        }
        let kind = state.format.kind();
        let measurements = measurements(kind, &state.content, &state.extensions);
        let evidence =
            directory.pki().evidence(state.format, &measurements, &report_data, &misbehave)?;
        let log: Vec<_> = state
            .event_log()
            .into_iter()
            .map(|EventLogEntry { register, digest, event }| {
                json!({ "register": register, "digest": to_hex(&digest), "event": event })
            })
            .collect();
        let mut answer = json!({
            "kind": kind.as_str(),
            "evidence": to_hex(&evidence.bytes),
            "eventLog": log,
        });
        if let (Some(endorsements), Some(answer)) = (evidence.endorsements, answer.as_object_mut())
        {
            answer.insert("endorsements".into(), endorsements);
        }
        Ok(answer)
    }

    fn extend(&self, request: Extend) -> Result<Value, Error> {
        let digest = from_hex_array(&request.digest)
            .ok_or_else(|| Error::Request("`digest` must be 96 digits of hex".into()))?;
        if request.event.len() > EVENT_BYTES_MAX {
            return Err(Error::Request(format!(
                "`event` must not be longer than {EVENT_BYTES_MAX} bytes"
            )));
        }
        let mut guard = self.state();
        let state = guard.as_mut().ok_or_else(|| Error::NoSuchGuest(self.id.clone()))?;
        let kind = state.format.kind();
        if kind != Kind::IntelTdx || !(2..=3).contains(&request.register) {
            return Err(Error::NoSuchRegister { kind, register: request.register });
        }
        if state.extensions.len() >= EXTENSIONS_MAX {
            return Err(Error::EventLogFull(EXTENSIONS_MAX));
        }
        let mut next = state.clone();
        let entry = EventLogEntry { register: request.register, digest, event: request.event };
        next.extensions.push(entry);
        // On disk before anybody sees it: a register never goes back.
        next.save(&self.folder)?;
        *state = next;
        Ok(json!({ "extended": request.register }))
    }
}

/// Removes what is left of a guest's folder.
pub(super) fn forget(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => {
            Err(Error::File { action: "remove", path: folder.to_path_buf(), source: err })
        }
        _ => Ok(()),
    }
}
