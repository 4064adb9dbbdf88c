//! What is in a store, and its encoding. Memory with values is wiped when it is let go of.

use std::{collections::BTreeMap, fmt};

use casemate_primitives::UnixSeconds;
use casemate_ra_tls::{SecretName, Secrets};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Most bytes of all values together.
pub(super) const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most secrets.
const COUNT_MAX: usize = 1024;
/// Largest value: what a release can carry, with its name.
const VALUE_BYTES_MAX: usize = 1024 * 1024 - 128;

/// Version of the encoding.
const VERSION: u32 = 1;

/// What can be wrong with content.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ContentError {
    #[error("there is no secret `{name}`{}", of(.app))]
    NotFound { name: SecretName, app: Option<String> },
    #[error("a secret has at most {VALUE_BYTES_MAX} bytes: keys and passwords, not data")]
    ValueTooLarge,
    #[error("the store holds at most {COUNT_MAX} secrets of {BYTES_MAX} bytes together")]
    TooMuch,
    #[error("what the secret store holds can't be read: it is of another version of this program")]
    Malformed,
}

fn of(app: &Option<String>) -> String {
    app.as_ref().map_or_else(|| " for all apps".to_owned(), |app| format!(" for app `{app}`"))
}

/// Whom a secret is for, and its name. `None`: for all apps.
type Key = (Option<String>, SecretName);

/// A secret.
pub(crate) struct Stored {
    value: Zeroizing<Vec<u8>>,
    /// How often it was set.
    pub(crate) version: u32,
    /// When it was set first.
    pub(crate) created_at: UnixSeconds,
    /// When it was set last.
    pub(crate) updated_at: UnixSeconds,
}

/// Never prints the value.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored").field("version", &self.version).finish_non_exhaustive()
    }
}

/// A secret as it is listed: without its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Item<'a> {
    /// `None`: for all apps.
    pub(crate) app: Option<&'a str>,
    /// Its name.
    pub(crate) name: &'a SecretName,
    /// Length of its value.
    pub(crate) bytes: usize,
    /// The rest.
    pub(crate) version: u32,
    /// When it was set first.
    pub(crate) created_at: UnixSeconds,
    /// When it was set last.
    pub(crate) updated_at: UnixSeconds,
}

/// All that a store holds.
pub(crate) struct Content {
    release_key: SigningKey,
    sequence: u64,
    secrets: BTreeMap<Key, Stored>,
}

/// Never prints keys or values.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("secrets", &self.secrets.keys()).finish_non_exhaustive()
    }
}

impl Content {
    /// Nothing but a new key.
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed)?;
        let release_key = SigningKey::from_bytes(&seed);
        Ok(Self { release_key, sequence: 0, secrets: BTreeMap::new() })
    }

    /// The key that signs releases.
    pub(crate) fn release_key(&self) -> &SigningKey {
        &self.release_key
    }

    /// Numbers for `count` releases, larger than all before: the first of them. They grow with the
    /// clock (milliseconds), so that a store that was restored from a backup does not fall behind.
    pub(crate) fn reserve(&mut self, count: u16, now_ms: u64) -> u64 {
        let first = self.sequence.saturating_add(1).max(now_ms);
        self.sequence = first.saturating_add(u64::from(count));
        first
    }

    /// Adds a secret, or gives it a new value. Returns its version.
    pub(crate) fn set(
        &mut self,
        app: Option<&str>,
        name: SecretName,
        value: Zeroizing<Vec<u8>>,
        now: UnixSeconds,
    ) -> Result<u32, ContentError> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(ContentError::ValueTooLarge);
        }
        let key = (app.map(str::to_owned), name);
        let old = self.secrets.get(&key);
        let others: usize = self.secrets.values().map(|stored| stored.value.len()).sum::<usize>()
            - old.map_or(0, |old| old.value.len());
        let count = self.secrets.len() + usize::from(old.is_none());
        if others + value.len() > BYTES_MAX || count > COUNT_MAX {
            return Err(ContentError::TooMuch);
        }
        let (version, created_at) =
            old.map_or((1, now), |old| (old.version.saturating_add(1), old.created_at));
        self.secrets.insert(key, Stored { value, version, created_at, updated_at: now });
        Ok(version)
    }

    /// Removes a secret.
    pub(crate) fn remove(
        &mut self,
        app: Option<&str>,
        name: &SecretName,
    ) -> Result<(), ContentError> {
        let key = (app.map(str::to_owned), name.clone());
        let not_found = || ContentError::NotFound { name: name.clone(), app: key.0.clone() };
        self.secrets.remove(&key).map(|_| ()).ok_or_else(not_found)
    }

    /// All of them, those for all apps first.
    pub(crate) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        self.secrets.iter().map(|((app, name), stored)| Item {
            app: app.as_deref(),
            name,
            bytes: stored.value.len(),
            version: stored.version,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        })
    }

    /// A secret for an app: its own, or else the one for all apps.
    fn get(&self, app: &str, name: &SecretName) -> Option<&Stored> {
        let own = (Some(app.to_owned()), name.clone());
        self.secrets.get(&own).or_else(|| self.secrets.get(&(None, name.clone())))
    }

    /// An app's own secret, not one for all apps.
    pub(crate) fn own(&self, app: &str, name: &SecretName) -> Option<&[u8]> {
        let key = (Some(app.to_owned()), name.clone());
        self.secrets.get(&key).map(|stored| stored.value.as_slice())
    }

    /// Which of these an app would not get.
    pub(crate) fn missing<'n>(&self, app: &str, names: &'n [SecretName]) -> Vec<&'n SecretName> {
        names.iter().filter(|name| self.get(app, name).is_none()).collect()
    }

    /// The values for an app. `Err` with the first that is not there, or as [`Secrets::insert`].
    pub(crate) fn select(&self, app: &str, names: &[SecretName]) -> Result<Secrets, ContentError> {
        let mut secrets = Secrets::new();
        for name in names {
            let stored = self.get(app, name).ok_or_else(|| ContentError::NotFound {
                name: name.clone(),
                app: Some(app.to_owned()),
            })?;
            let value = stored.value.clone();
            secrets.insert(name.clone(), value).map_err(|_| ContentError::TooMuch)?;
        }
        Ok(secrets)
    }

    /// JSON, in one allocation that does not move.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let values: Vec<Zeroizing<String>> = self
            .secrets
            .values()
            .map(|stored| Zeroizing::new(hex::encode(stored.value.as_slice())))
            .collect();
        let seed = Zeroizing::new(self.release_key.to_bytes());
        let seed = Zeroizing::new(hex::encode(*seed));
        let secrets =
            self.secrets.iter().zip(&values).map(|(((app, name), stored), value)| Secret {
                app: app.as_deref(),
                name: name.as_str(),
                value,
                version: stored.version,
                created_at: stored.created_at,
                updated_at: stored.updated_at,
            });
        let encoded = Encoded {
            version: VERSION,
            release_key: &seed,
            sequence: self.sequence,
            secrets: secrets.collect(),
        };
        // Names have at most 128 bytes, apps 64, the rest is numbers and fields' names.
        let length: usize = values.iter().map(|value| value.len() + 512).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(length + 1024));
        // Nothing of it can fail to be written into memory.
        let _ = serde_json::to_writer(&mut *out, &encoded);
        out
    }

    /// The other way.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        let malformed = |_| ContentError::Malformed;
        // The error is not told on: it could repeat a part of what was read.
        let encoded: Encoded<'_> = serde_json::from_slice(bytes).map_err(malformed)?;
        if encoded.version != VERSION {
            return Err(ContentError::Malformed);
        }
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(encoded.release_key, &mut *seed)
            .map_err(|_| ContentError::Malformed)?;
        let mut secrets = BTreeMap::new();
        for secret in encoded.secrets {
            let name = SecretName::new(secret.name).map_err(|_| ContentError::Malformed)?;
            let value = hex::decode(secret.value).map_err(|_| ContentError::Malformed)?;
            let stored = Stored {
                value: Zeroizing::new(value),
                version: secret.version,
                created_at: secret.created_at,
                updated_at: secret.updated_at,
            };
            secrets.insert((secret.app.map(str::to_owned), name), stored);
        }
        let release_key = SigningKey::from_bytes(&seed);
        Ok(Self { release_key, sequence: encoded.sequence, secrets })
    }
}

/// Borrowed both ways, so that no copy is left behind: names and hex need no escapes.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Encoded<'a> {
    version: u32,
    release_key: &'a str,
    sequence: u64,
    #[serde(borrow)]
    secrets: Vec<Secret<'a>>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Secret<'a> {
    app: Option<&'a str>,
    name: &'a str,
    value: &'a str,
    version: u32,
    created_at: UnixSeconds,
    updated_at: UnixSeconds,
}
