//! Keys at rest: one JSON file for each, encrypted under a passphrase.
//!
//! Who may never choose what: the file's writer never chooses weak or ruinous key-derivation
//! parameters (they are bounded when read), and nothing in the file's readable part can be changed
//! without the decryption failing (it is authenticated along with the secret).

mod crypto;
mod log_key;

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    str::FromStr as _,
};

use serde::{Deserialize, Serialize};
use subxt_signer::{DEV_PHRASE, SecretUri, bip39::Mnemonic, sr25519::Keypair};
use zeroize::Zeroizing;

pub(crate) use crypto::{DerivedKey, KdfParameters, OpenError, Sealed};
pub(crate) use log_key::{LogSecret, LogSeed};

use crate::address::Address;

/// Larger than any file of ours; a bound on what is read.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// A folder of key files.
#[derive(Clone, Debug)]
pub(crate) struct Keystore {
    folder: PathBuf,
}

/// What a key file holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct KeyFile {
    /// Version of the format.
    pub(crate) version: u32,
    /// Always `sr25519`.
    pub(crate) scheme: String,
    /// Public key, as 0x and hex.
    pub(crate) public_key: String,
    /// Whether the secret is publicly known.
    pub(crate) development: bool,
    /// The encrypted secret.
    pub(crate) sealed: Sealed,
}

/// A key file and where it lies.
#[derive(Clone, Debug)]
pub(crate) struct StoredKey {
    /// Its name.
    pub(crate) name: String,
    /// Its file.
    pub(crate) path: PathBuf,
    /// Account of it.
    pub(crate) address: Address,
    /// Content of the file.
    pub(crate) file: KeyFile,
}

/// A secret as text: a mnemonic or `0x` seed, and perhaps a derivation path.
pub(crate) struct SecretText(Zeroizing<String>);

/// Never prints the secret.
impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// What can go wrong with keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeystoreError {
    #[error(
        "`{0}` is no name for a key: use up to 64 of a-z, 0-9, `-` and `_`, a letter or digit first"
    )]
    Name(String),
    #[error("there is no key `{name}` in `{folder}`")]
    NotFound { name: String, folder: PathBuf },
    #[error("there is a key `{name}` already; it was not changed")]
    Exists { name: String },
    #[error("others may read `{path}` (mode {mode:03o})")]
    Permissions { path: PathBuf, mode: u32 },
    #[error("`{path}` is no key file of this program: {reason}")]
    Format { path: PathBuf, reason: String },
    #[error("the passphrase is wrong, or the file of key `{name}` was changed")]
    Decrypt { name: String },
    #[error("an empty passphrase protects nothing")]
    EmptyPassphrase,
    #[error("that is no secret: {0}")]
    Secret(String),
    #[error("that key is known to everybody (it belongs to the development phrase)")]
    PubliclyKnown,
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

impl SecretText {
    /// A new secret: a mnemonic of 24 words (256 bits).
    pub(crate) fn random() -> Result<Self, KeystoreError> {
        let mut entropy = Zeroizing::new([0u8; 32]);
        getrandom::fill(&mut *entropy).map_err(KeystoreError::Random)?;
        let mnemonic =
            Mnemonic::from_entropy(&*entropy).map_err(|e| KeystoreError::Secret(e.to_string()))?;
        Ok(Self(Zeroizing::new(mnemonic.to_string())))
    }

    /// Reads a mnemonic, a seed in hex or a secret URI. A secret that everybody knows is refused.
    pub(crate) fn parse(text: &str) -> Result<Self, KeystoreError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = Zeroizing::new(words.join(" "));
        let is_bare_seed = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let secret = Self(if is_bare_seed { Zeroizing::new(format!("0x{}", *text)) } else { text });
        if secret.0.starts_with('/') || secret.0.starts_with(DEV_PHRASE) || secret.0.is_empty() {
            return Err(if secret.0.is_empty() {
                KeystoreError::Secret("it is empty".into())
            } else {
                KeystoreError::PubliclyKnown
            });
        }
        secret.keypair()?;
        Ok(secret)
    }

    /// Reads a development URI such as `//Alice`, and only such.
    pub(crate) fn parse_development(uri: &str) -> Result<Self, KeystoreError> {
        if !uri.starts_with("//") {
            return Err(KeystoreError::Secret("a development URI begins with `//`".into()));
        }
        let secret = Self(Zeroizing::new(uri.to_owned()));
        secret.keypair()?;
        Ok(secret)
    }

    /// The key pair of it.
    pub(crate) fn keypair(&self) -> Result<Keypair, KeystoreError> {
        // Neither error repeats what it was given, but the library's mnemonic error names unknown
        // words; so it is replaced.
        let uri = SecretUri::from_str(&self.0).map_err(|_| {
            KeystoreError::Secret("it is neither a mnemonic, nor 0x and 64 hex digits".into())
        })?;
        Keypair::from_uri(&uri).map_err(|_| {
            KeystoreError::Secret(
                "the words are no valid mnemonic, or the hex is not 32 bytes".into(),
            )
        })
    }

    /// The text itself, for whoever asks for an export.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl StoredKey {
    /// Decrypts the secret.
    pub(crate) fn unlock(&self, passphrase: &str) -> Result<SecretText, KeystoreError> {
        let wrong = || KeystoreError::Decrypt { name: self.name.clone() };
        let plain = self.file.sealed.open(passphrase.as_bytes(), &self.file.associated_data());
        let plain = plain.map_err(|e| match e {
            crypto::OpenError::Parameters(reason) => {
                KeystoreError::Format { path: self.path.clone(), reason: reason.to_owned() }
            }
            crypto::OpenError::Decrypt => wrong(),
        })?;
        let text = std::str::from_utf8(&plain).map_err(|_| wrong())?;
        let secret = SecretText(Zeroizing::new(text.to_owned()));
        if secret.keypair()?.public_key().0 != self.address.0 {
            return Err(wrong());
        }
        Ok(secret)
    }
}

impl KeyFile {
    const VERSION: u32 = 1;
    const SCHEME: &'static str = "sr25519";

    /// The readable part in the form in which it is authenticated.
    fn associated_data(&self) -> Vec<u8> {
        format!(
            "casemate/keystore/v{}\n{}\n{}\n{}\n",
            self.version, self.scheme, self.public_key, self.development
        )
        .into_bytes()
    }
}

impl Keystore {
    /// A keystore in this folder, which is made when the first key is added.
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Encrypts a secret and adds it under a new name.
    pub(crate) fn add(
        &self,
        name: &str,
        secret: &SecretText,
        passphrase: &str,
        development: bool,
        parameters: &KdfParameters,
    ) -> Result<StoredKey, KeystoreError> {
        check_name(name)?;
        if passphrase.is_empty() {
            return Err(KeystoreError::EmptyPassphrase);
        }
        let path = self.path(name);
        // Before the slow part; the link below is what decides.
        if path.try_exists().unwrap_or(false) {
            return Err(KeystoreError::Exists { name: name.to_owned() });
        }
        let public_key = secret.keypair()?.public_key().0;
        let mut file = KeyFile {
            version: KeyFile::VERSION,
            scheme: KeyFile::SCHEME.to_owned(),
            public_key: format!("0x{}", hex::encode(public_key)),
            development,
            sealed: Sealed::default(),
        };
        file.sealed = Sealed::seal(
            secret.0.as_bytes(),
            passphrase.as_bytes(),
            &file.associated_data(),
            parameters,
        )
        .map_err(KeystoreError::Random)?;
        let mut text = serde_json::to_string_pretty(&file)
            .map_err(|e| KeystoreError::Format { path: path.clone(), reason: e.to_string() })?;
        text.push('\n');
        make_folder(&self.folder)?;
        write_new(&path, text.as_bytes()).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => KeystoreError::Exists { name: name.to_owned() },
            _ => KeystoreError::Io { what: "write", path: path.clone(), source },
        })?;
        Ok(StoredKey { name: name.to_owned(), path, address: Address(public_key), file })
    }

    /// Reads a key's file; the secret stays encrypted.
    pub(crate) fn get(&self, name: &str) -> Result<StoredKey, KeystoreError> {
        check_name(name)?;
        let path = self.path(name);
        let text = read_private(&path).map_err(|e| match e {
            KeystoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                KeystoreError::NotFound { name: name.to_owned(), folder: self.folder.clone() }
            }
            e => e,
        })?;
        let wrong = |reason: String| KeystoreError::Format { path: path.clone(), reason };
        let file: KeyFile = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
        if file.version != KeyFile::VERSION || file.scheme != KeyFile::SCHEME {
            return Err(wrong(format!(
                "version {} with scheme `{}` is not supported",
                file.version, file.scheme
            )));
        }
        let address: Address = match file.public_key.starts_with("0x") {
            true => file.public_key.parse().map_err(|_| wrong("bad public key".into()))?,
            false => return Err(wrong("bad public key".into())),
        };
        Ok(StoredKey { name: name.to_owned(), path, address, file })
    }

    /// Names of all keys, sorted. A folder that is not there has none.
    pub(crate) fn names(&self) -> Result<Vec<String>, KeystoreError> {
        let unreadable = |source| KeystoreError::Io {
            what: "read the folder",
            path: self.folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unreadable)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let file_name = entry.map_err(unreadable)?.file_name();
            let name = file_name.to_str().and_then(|n| n.strip_suffix(".json"));
            names.extend(name.filter(|n| check_name(n).is_ok()).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

/// Names become file names, so they are kept plain.
fn check_name(name: &str) -> Result<(), KeystoreError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let good = name.len() <= 64
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|b| plain(b) || b == b'-' || b == b'_');
    if good { Ok(()) } else { Err(KeystoreError::Name(name.chars().take(80).collect())) }
}

/// Makes a folder (and those above it) that only its owner may enter.
pub(crate) fn make_folder(path: &Path) -> Result<(), KeystoreError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| {
        KeystoreError::Io { what: "make the folder", path: path.to_owned(), source }
    })
}

/// Reads a file of bounded size that only its owner may read.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    read_private_up_to(path, FILE_BYTES_MAX)
}

/// The same with another bound.
pub(crate) fn read_private_up_to(
    path: &Path,
    bytes_max: u64,
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let failed = |source| KeystoreError::Io { what: "read", path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    // A pipe (`<(…)` of a shell) has no mode that means anything.
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(KeystoreError::Permissions { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        let reason = format!("it is larger than {bytes_max} bytes");
        return Err(KeystoreError::Format { path: path.to_owned(), reason });
    }
    Ok(bytes)
}

/// Writes a new file that only its owner may read: whole or not at all, never over another one.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", random_hex()?));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        // Unlike a rename, a link fails where there is a file already.
        .and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    written.and(removed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// Eight random bytes in hex, for names that nobody else has.
pub(crate) fn random_hex() -> io::Result<String> {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests;
