//! Binary and money on the wire.

use std::{fmt, str::FromStr};

use casemate_primitives::Balance;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Bytes that are written as `0x` and hex digits.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Hex<T>(pub T);

/// Text that is not the hex form of the bytes wanted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected `0x` and hex digits: {0}")]
pub struct ParseHexError(String);

impl<T: AsRef<[u8]>> fmt::Display for Hex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(&self.0))
    }
}

/// The `0x` may be left out.
impl<T: TryFrom<Vec<u8>>> FromStr for Hex<T> {
    type Err = ParseHexError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bytes = hex::decode(digits).map_err(|err| ParseHexError(err.to_string()))?;
        let length = bytes.len();
        let wrong = |_| ParseHexError(format!("{length} bytes are not the number wanted"));
        T::try_from(bytes).map_err(wrong).map(Self)
    }
}

impl<T: AsRef<[u8]>> Serialize for Hex<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T: TryFrom<Vec<u8>>> Deserialize<'de> for Hex<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// An amount of money that is written as a decimal string.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Amount(pub Balance);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}
