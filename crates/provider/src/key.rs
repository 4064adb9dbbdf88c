//! Loads the provider's signing key.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    str::FromStr,
};

use subxt_signer::{SecretUri, sr25519::Keypair};

/// Environment variable that may hold the seed instead of a file.
pub const SEED_VARIABLE: &str = "CASEMATE_PROVIDER_SEED";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file can't be read.
    #[error("cannot read the key file `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Others may read the file.
    #[error(
        "the key file `{path}` has mode {mode:o}: others may read it; run `chmod 600` on it and, \
         if anybody could have, make a new key"
    )]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Neither a seed nor a phrase. Never says what was found.
    #[error("{origin} holds no key: expected `0x` and 64 hex digits, or a mnemonic phrase")]
    Malformed {
        /// File or variable.
        origin: String,
    },
    /// Nothing is configured.
    #[error("no key is configured: set `key_file` in the configuration, or {SEED_VARIABLE}")]
    Missing,
}

/// The key from `seed` (the variable's value), else from `key_file`.
///
/// # Errors
/// Both are missing, the file is readable for others, or what is there is no key.
pub fn load(key_file: Option<&Path>, seed: Option<&str>) -> Result<Keypair, KeyError> {
    if let Some(seed) = seed {
        return parse(seed, SEED_VARIABLE.into());
    }
    let path = key_file.ok_or(KeyError::Missing)?;
    let failed = |source| KeyError::Read { path: path.into(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.into(), mode });
    }
    let mut text = String::new();
    // A key is short: whatever is longer is another file.
    file.take(KEY_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    parse(&text, format!("the key file `{}`", path.display()))
}

fn parse(text: &str, origin: String) -> Result<Keypair, KeyError> {
    let malformed = || KeyError::Malformed { origin: origin.clone() };
    let text = text.trim();
    let bare_hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    // Without this an empty text would be the well-known development key.
    if text.is_empty() {
        return Err(malformed());
    }
    let uri = if bare_hex { format!("0x{text}") } else { text.to_owned() };
    let uri = SecretUri::from_str(&uri).map_err(|_| malformed())?;
    Keypair::from_uri(&uri).map_err(|_| malformed())
}

const KEY_BYTES_MAX: u64 = 4096;

#[cfg(test)]
mod tests;
