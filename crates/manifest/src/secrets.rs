//! Secrets that a manifest asks for, and who may release them.

use crate::{Container, Manifest, error::shown};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{borrow::Cow, collections::BTreeSet, fmt, str::FromStr};

/// Where the first container has the secrets that are files. A tmpfs: the pod's memory.
pub const SECRETS_DIR: &str = "/run/secrets";

/// Unix socket at which an app asks for its secrets. No secret's file begins with a dot.
pub const SECRETS_SOCKET: &str = "/run/secrets/.socket";

const ALLOWED: &str = "an Ed25519 public key: 64 lower-case hex digits, in quotes";

/// A text that is no key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{found}` is not a key (allowed: {ALLOWED})")]
pub struct InvalidReleaseKey {
    found: String,
}

/// An Ed25519 public key whose signed releases of secrets a pod takes. Written as 64 lower-case hex
/// digits; whether it is a point of the curve shows when a signature is checked.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ReleaseKey(pub [u8; 32]);

impl fmt::Display for ReleaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ReleaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ReleaseKey {
    type Err = InvalidReleaseKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        key_bytes(text).map(Self).ok_or_else(|| InvalidReleaseKey { found: shown(text) })
    }
}

/// 32 bytes from 64 lower-case hex digits. One key has one text, so that one manifest has one hash.
pub(crate) fn key_bytes(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut key = [0; 32];
    for (byte, [high, low]) in key.iter_mut().zip(pairs) {
        *byte = digit(*high).zip(digit(*low)).map(|(h, l)| h << 4 | l)?;
    }
    Some(key)
}

impl Serialize for ReleaseKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ReleaseKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = ReleaseKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ALLOWED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ReleaseKey, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for ReleaseKey {
    fn schema_name() -> Cow<'static, str> {
        "ReleaseKey".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An Ed25519 public key: 64 lower-case hex digits.",
            "type": "string",
            "pattern": "^[0-9a-f]{64}$",
        })
    }
}

impl Container {
    /// Whether it asks for any secret.
    pub fn asks_for_secrets(&self) -> bool {
        !self.secrets.is_empty() || self.env.iter().any(|variable| variable.value_from.is_some())
    }
}

impl Manifest {
    /// Whether any container asks for secrets.
    pub fn asks_for_secrets(&self) -> bool {
        self.spec.containers.iter().any(Container::asks_for_secrets)
    }

    /// Names of all secrets that it asks for: what a release must hold.
    pub fn secret_names(&self) -> BTreeSet<&str> {
        self.spec
            .containers
            .iter()
            .flat_map(|container| {
                let of_env = container.env.iter().filter_map(crate::EnvVar::secret);
                of_env.chain(container.secrets.iter().map(|secret| secret.name.as_str()))
            })
            .collect()
    }

    /// Lets `key` release the secrets, where secrets are asked for and nobody may release them yet.
    /// Returns whether it was filled in. What an author has written is left as it is.
    pub fn fill_released_by(&mut self, key: [u8; 32]) -> bool {
        let fills = self.asks_for_secrets() && self.spec.released_by.is_empty();
        if fills {
            self.spec.released_by.push(ReleaseKey(key));
        }
        fills
    }

    /// Whether releases that are signed by `key` are taken.
    pub fn is_released_by(&self, key: &[u8; 32]) -> bool {
        self.spec.released_by.iter().any(|allowed| allowed.0 == *key)
    }
}
