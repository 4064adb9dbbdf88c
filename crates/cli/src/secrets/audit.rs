//! The trail of releases: a line of JSON for each, with everything but values.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use casemate_primitives::{LeaseId, ReplicaIndex};
use serde::Serialize;

use crate::keystore::make_folder;

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Event {
    /// Accepted; what follows says whether it arrived. Without a line that follows: perhaps.
    Sending,
    /// The agent has taken them.
    Released,
    /// Appraised and refused: nothing was sent.
    Refused,
    /// Accepted, but the agent has not taken them, or the connection broke.
    Failed,
}

/// A line.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    /// RFC 3339.
    pub(crate) time: String,
    /// What happened.
    pub(crate) event: Event,
    /// The chain.
    pub(crate) genesis_hash: String,
    /// The lease.
    pub(crate) lease: LeaseId,
    /// Which of its pods.
    pub(crate) replica: ReplicaIndex,
    /// What it runs.
    pub(crate) manifest_hash: String,
    /// Which secrets.
    pub(crate) names: Vec<String>,
    /// Number of the release.
    pub(crate) sequence: u64,
    /// The agent's Ed25519 key, if one was attested.
    pub(crate) agent_key: Option<String>,
    /// SHA-256 of the evidence that was appraised last.
    pub(crate) evidence_digest: Option<String>,
    /// Kind and grade of the TEE.
    pub(crate) tee: Option<String>,
    /// BLAKE2b-256 of the policy.
    pub(crate) policy: String,
    /// Whether all checks passed.
    pub(crate) accepted: bool,
    /// Why not.
    pub(crate) reasons: Vec<String>,
}

/// A file that only grows.
#[derive(Debug)]
pub(crate) struct Audit {
    file: File,
    path: PathBuf,
}

impl Audit {
    /// Opens or makes it. Do so before anything is released: what can't be written down is not done.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            make_folder(folder).map_err(io::Error::other)?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line, on disk when this returns. Lines of programs that run at once do not mix: each
    /// is one write.
    pub(crate) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()
    }
}
