//! Whom a pod's output is sealed to.

use crate::{Manifest, error::shown, secrets::key_bytes};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{borrow::Cow, fmt, str::FromStr};

const ALLOWED: &str = "an X25519 public key of full order: 64 lower-case hex digits, in quotes";

/// The prime of the field, 2^255 - 19, in little endian.
const PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};

/// The points of low order, on the curve and on its twist, as RFC 7748 (section 6.1) warns of them:
/// whatever is sealed to one of these can be opened by anybody. Zeros, 1, two of order 8, and -1;
/// the same in other forms are refused as numbers that are not below the prime.
const LOW_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    {
        let mut minus_one = PRIME;
        minus_one[0] -= 1;
        minus_one
    },
];

/// A text or bytes that are no key that logs can be sealed to.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{found}` is not a log key (allowed: {ALLOWED})")]
pub struct InvalidLogKey {
    found: String,
}

/// An X25519 public key (RFC 7748) that chunks of logs are sealed to: below 2^255 - 19 and of no low
/// order. Written as 64 lower-case hex digits.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LogKey([u8; 32]);

impl LogKey {
    /// The key with these bytes.
    ///
    /// # Errors
    /// It is of low order (zeros among them), or not written as the one number below the prime.
    pub fn new(bytes: [u8; 32]) -> Result<Self, InvalidLogKey> {
        let is_reduced = bytes.iter().rev().lt(PRIME.iter().rev());
        if is_reduced && !LOW_ORDER.contains(&bytes) {
            return Ok(Self(bytes));
        }
        Err(InvalidLogKey { found: Self(bytes).to_string() })
    }

    /// Its bytes, as X25519 and HPKE take them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LogKey {
    type Err = InvalidLogKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = key_bytes(text).ok_or_else(|| InvalidLogKey { found: shown(text) })?;
        Self::new(bytes)
    }
}

impl Serialize for LogKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = LogKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ALLOWED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<LogKey, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for LogKey {
    fn schema_name() -> Cow<'static, str> {
        "LogKey".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An X25519 public key of full order: 64 lower-case hex digits.",
            "type": "string",
            "pattern": "^[0-9a-f]{64}$",
        })
    }
}

/// What becomes of the pod's output.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logs {
    /// The X25519 public key that the output is sealed to inside the enclave: nobody else reads it,
    /// and each line can be proved.
    pub recipient: LogKey,
}

impl Manifest {
    /// The key that the output is sealed to; `None` where it stays plain and proves nothing.
    pub fn log_recipient(&self) -> Option<&LogKey> {
        self.spec.logs.as_ref().map(|logs| &logs.recipient)
    }

    /// Seals the output to `key` where nothing is said of it yet. Returns whether it was filled in.
    /// What an author has written is left as it is.
    pub fn fill_log_recipient(&mut self, key: LogKey) -> bool {
        let fills = self.spec.logs.is_none();
        if fills {
            self.spec.logs = Some(Logs { recipient: key });
        }
        fills
    }
}
