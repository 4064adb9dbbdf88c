//! The folder on disk: keys, certificates, collateral, guests.
//!
//! ```text
//! D/pki/keys/*.pem            private keys, 0600 in a folder of 0700
//! D/pki/certificates/*.der    certificates; *.serial.der their serial numbers
//! D/pki/machine.json          the ids of the machine that is pretended
//! D/collateral/               what the vendors' services would answer; made anew by `refresh`
//! D/guests/ID/state.json      a guest that is alive
//! D/guests/ID/socket/tee.sock its socket
//! D/lock                      held by the daemon
//! ```

use crate::{
    Error, Misbehaviour,
    calendar::DAY,
    pki::{Pki, sync_parent, write_file},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    fs::{self, DirBuilder, File, TryLockError},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// How long what is issued is valid.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validity {
    /// Certificates, in days.
    pub certificate_days: u32,
    /// TCB info, identities and revocation lists, in days.
    pub collateral_days: u32,
}

impl Default for Validity {
    /// Ten years; 30 days, as Intel's.
    fn default() -> Self {
        Self { certificate_days: 3_650, collateral_days: 30 }
    }
}

impl Validity {
    pub(crate) fn certificates(self, now: u64) -> u64 {
        now.saturating_add(u64::from(self.certificate_days) * DAY)
    }

    pub(crate) fn collateral(self, now: u64) -> u64 {
        now.saturating_add(u64::from(self.collateral_days) * DAY)
    }
}

/// A software TEE's folder, with its keys read.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    pki: Pki,
    validity: Validity,
}

impl Directory {
    /// Makes new keys, certificates and collateral.
    ///
    /// Killed half-way, it leaves nothing that counts, and can be called again.
    ///
    /// # Errors
    /// [`Error::AlreadyInitialised`]; if the folder cannot be written.
    pub fn init(path: &Path, now: u64, validity: Validity) -> Result<Self, Error> {
        private_folder(path)?;
        let (pki, new) = (path.join("pki"), path.join("pki.new"));
        // Two at once would mix their files.
        let lock = lock(path)?;
        if pki.exists() {
            return Err(Error::AlreadyInitialised { path: path.to_path_buf() });
        }
        if new.exists() {
            fs::remove_dir_all(&new).map_err(Error::file("remove", &new))?;
        }
        private_folder(&new)?;
        Pki::generate(&new, now, validity)?;
        let text = serde_json::to_string_pretty(&validity)
            .map_err(|_| Error::Key("the validity has no JSON form"))?;
        write_file(&new.join("validity.json"), format!("{text}\n").as_bytes())?;
        fs::rename(&new, &pki).map_err(Error::file("rename", &new))?;
        sync_parent(&pki)?;
        drop(lock);
        let directory = Self::open(path)?;
        directory.refresh(now)?;
        Ok(directory)
    }

    /// Reads what [`Self::init`] made.
    ///
    /// # Errors
    /// If a file is missing, is not what it should be, or a private key can be read by others.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let pki = path.join("pki");
        let file = pki.join("validity.json");
        let text = fs::read_to_string(&file).map_err(Error::file("read", &file))?;
        let validity = serde_json::from_str(&text)
            .map_err(|err| Error::BadState { path: file, reason: err.to_string() })?;
        Ok(Self { path: path.to_path_buf(), pki: Pki::load(&pki)?, validity })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its keys and certificates.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// How long what it issues is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Where guests' states and sockets are.
    pub(crate) fn guests(&self) -> PathBuf {
        self.path.join("guests")
    }

    /// Issues all collateral anew, and writes it.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn refresh(&self, now: u64) -> Result<Value, Error> {
        let folder = self.path.join("collateral");
        private_folder(&folder)?;
        // The daemon and a `refresh` by hand take turns.
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(Error::file("create", &path))?;
        lock.lock().map_err(Error::file("lock", &path))?;
        let collateral = self.pki.collateral(now, self.validity, &[])?;
        collateral.write(&folder)?;
        Ok(collateral.to_json())
    }

    /// The collateral that is on disk, or new one if more than half of its time is over.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn collateral(&self, now: u64, misbehave: &[Misbehaviour]) -> Result<Value, Error> {
        let faults = [
            Misbehaviour::ExpiredCollateral,
            Misbehaviour::FutureCollateral,
            Misbehaviour::RevokedTcbSigning,
            Misbehaviour::RevokedAsk,
            Misbehaviour::RevokedMachine,
            Misbehaviour::RevokedSigners,
            Misbehaviour::RevokedLevel,
        ];
        if faults.iter().any(|fault| misbehave.contains(fault)) {
            return Ok(self.pki.collateral(now, self.validity, misbehave)?.to_json());
        }
        let on_disk: Option<Value> = fs::read(self.path.join("collateral/collateral.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let half = self.validity.collateral(0) / 2;
        match on_disk {
            Some(collateral)
                if collateral.get("expiresAt").and_then(Value::as_u64).is_some_and(|at| {
                    now.saturating_add(half) < at && at <= self.validity.collateral(now)
                }) =>
            {
                Ok(collateral)
            }
            _ => self.refresh(now),
        }
    }

    /// Keeps other daemons from this folder for as long as the file is open.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        lock(&self.path)
    }
}

fn lock(path: &Path) -> Result<File, Error> {
    let file = path.join("lock");
    let lock = File::create(&file).map_err(Error::file("create", &file))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: path.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(Error::File { action: "lock", path: file, source }),
    }
}

/// Makes a folder that only the owner can enter, if it is not there.
pub(crate) fn private_folder(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(Error::file("create", path))
}
