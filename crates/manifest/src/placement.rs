//! Which providers a publisher takes.

use crate::error::shown;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{borrow::Cow, fmt, str::FromStr};

const ALLOWED: &str =
    "a measurement: 64 (SGX) or 96 (TDX, SEV-SNP) lower-case hex digits, in quotes";

/// What must hold of a provider. The publisher's own command line sees to it, when it asks for quotes
/// and before it signs a lease; all that it goes by is on chain.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Placement {
    /// Take only providers whose cluster is attested: the chain has verified evidence of their
    /// control plane, and it has not ended. A software TEE counts on development chains alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attested_cluster: bool,
    /// With `attestedCluster`: measurements (MRTD, launch digest or MRENCLAVE) of the control planes
    /// that are taken. Any where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub cluster_measurements: Vec<Measurement>,
}

impl Placement {
    /// Whether any provider will do.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A text that is no measurement.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{found}` is not a measurement (allowed: {ALLOWED})")]
pub struct InvalidMeasurement {
    found: String,
}

/// What evidence says that runs: MRTD, launch digest (48 bytes each) or MRENCLAVE (32). Written as
/// lower-case hex digits.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Measurement(Vec<u8>);

impl Measurement {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Measurement {
    type Err = InvalidMeasurement;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let err = || InvalidMeasurement { found: shown(text) };
        // One measurement has one text, so that one manifest has one hash.
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !matches!(pairs.len(), 32 | 48) || !rest.is_empty() {
            return Err(err());
        }
        let byte = |[high, low]: &[u8; 2]| {
            digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low).ok_or_else(err)
        };
        pairs.iter().map(byte).collect::<Result<_, _>>().map(Self)
    }
}

impl Serialize for Measurement {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Measurement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Measurement;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ALLOWED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Measurement, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for Measurement {
    fn schema_name() -> Cow<'static, str> {
        "Measurement".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What evidence says that runs: 64 or 96 lower-case hex digits.",
            "type": "string",
            "pattern": "^([0-9a-f]{64}|[0-9a-f]{96})$",
        })
    }
}
