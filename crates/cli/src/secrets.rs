//! Secrets of a publisher at rest, and the trail of their releases.
//!
//! One file for each account, beside its key and under the same passphrase: all names and values,
//! and the key that signs releases. It is read, changed and written whole, under a lock, so that two
//! programs at once lose nothing. A file that does not open is told of and never written over.

mod audit;
mod content;

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub(crate) use audit::{Audit, Entry, Event};
pub(crate) use content::{Content, ContentError};

use crate::{
    address::Address,
    keystore::{
        DerivedKey, KdfParameters, KeystoreError, OpenError, Sealed, make_folder,
        read_private_up_to,
    },
    state::replace,
};

const VERSION: u32 = 1;

/// The content in hex, twice, and what is around it.
const FILE_BYTES_MAX: u64 = 4 * content::BYTES_MAX as u64 + 64 * 1024;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    File(#[from] KeystoreError),
    #[error("`{path}` is no secret store of this program: {reason}; it was not changed")]
    Format { path: PathBuf, reason: String },
    #[error("`{path}` belongs to account {found}, not to {wanted}; it was not changed")]
    OtherAccount { path: PathBuf, found: String, wanted: Address },
    #[error(
        "the secret store `{path}` does not open: the passphrase is wrong, or the file was changed; \
         it was left as it is"
    )]
    Decrypt { path: PathBuf },
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("cannot {what} `{path}`")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StoreFile {
    version: u32,
    account: String,
    sealed: Sealed,
}

/// Where an account's secrets are.
#[derive(Clone, Debug)]
pub(crate) struct SecretStore {
    path: PathBuf,
    account: Address,
}

/// A store that was opened: its content, and the key to write it again.
#[derive(Debug)]
struct Opened {
    content: Content,
    key: DerivedKey,
}

/// Held while the file is read and written; the system lets go of it when the program ends.
struct Lock {
    _file: File,
}

impl SecretStore {
    /// Of this account, beside its key.
    pub(crate) fn new(keystore: &Path, account: Address) -> Self {
        Self { path: keystore.join("secrets").join(format!("{account}.json")), account }
    }

    /// Whether there is one.
    pub(crate) fn exists(&self) -> bool {
        // What can't be looked at is there, so that it is read, and the reason told.
        self.path.try_exists().unwrap_or(true)
    }

    /// Reads it.
    ///
    /// # Errors
    /// Also where there is none: look with [`Self::exists`].
    pub(crate) fn read(&self, passphrase: &str) -> Result<Content, StoreError> {
        // Whole files take one another's place: no lock is needed to read one.
        Ok(self.open(passphrase)?.content)
    }

    /// Changes the content, which is empty but for a new key if there was no store. Where `change`
    /// fails nothing is written.
    ///
    /// # Errors
    /// [`StoreError`], or what `change` says.
    pub(crate) fn change<T>(
        &self,
        passphrase: &str,
        parameters: &KdfParameters,
        change: impl FnOnce(&mut Content) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _lock = self.lock()?;
        let Opened { mut content, key } = if self.exists() {
            self.open(passphrase)?
        } else {
            if passphrase.is_empty() {
                return Err(KeystoreError::EmptyPassphrase.into());
            }
            let key =
                DerivedKey::new(passphrase.as_bytes(), parameters).map_err(StoreError::Random)?;
            Opened { content: Content::new().map_err(StoreError::Random)?, key }
        };
        let result = change(&mut content)?;
        self.write(&content, &key)?;
        Ok(result)
    }

    fn open(&self, passphrase: &str) -> Result<Opened, StoreError> {
        let format = |reason: String| StoreError::Format { path: self.path.clone(), reason };
        let bytes = read_private_up_to(&self.path, FILE_BYTES_MAX)?;
        let file: StoreFile =
            serde_json::from_slice(&bytes).map_err(|err| format(err.to_string()))?;
        if file.version != VERSION {
            return Err(format(format!("its version is {}", file.version)));
        }
        if file.account != self.account.to_string() {
            return Err(StoreError::OtherAccount {
                path: self.path.clone(),
                found: file.account.chars().take(64).collect(),
                wanted: self.account,
            });
        }
        let opened = file.sealed.derive(passphrase.as_bytes()).and_then(|key| {
            let plain = file.sealed.open_with(&key, &self.associated_data())?;
            Ok((plain, key))
        });
        let (plain, key) = opened.map_err(|err| match err {
            OpenError::Parameters(reason) => format(reason.to_owned()),
            OpenError::Decrypt => StoreError::Decrypt { path: self.path.clone() },
        })?;
        Ok(Opened { content: Content::decode(&plain)?, key })
    }

    fn write(&self, content: &Content, key: &DerivedKey) -> Result<(), StoreError> {
        let failed = |source| StoreError::Io { what: "write", path: self.path.clone(), source };
        let sealed = Sealed::seal_with(&content.encode(), key, &self.associated_data())
            .map_err(StoreError::Random)?;
        let file = StoreFile { version: VERSION, account: self.account.to_string(), sealed };
        let mut bytes = serde_json::to_vec_pretty(&file).map_err(|err| failed(err.into()))?;
        bytes.push(b'\n');
        replace(&self.path, &bytes).map_err(failed)?;
        // The new name is on disk before anything is told to be kept.
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    /// The readable part in the form in which it is authenticated.
    fn associated_data(&self) -> Vec<u8> {
        format!("casemate/secret-store/v{VERSION}\n{}\n", self.account).into_bytes()
    }

    fn lock(&self) -> Result<Lock, StoreError> {
        let path = self.path.with_extension("lock");
        if let Some(folder) = self.path.parent() {
            make_folder(folder)?;
        }
        let failed = |source| StoreError::Io { what: "lock", path: path.clone(), source };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(Lock { _file: file })
    }
}

#[cfg(test)]
mod tests;
