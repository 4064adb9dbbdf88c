//! Values as Intel's JSON has them: hex text and dates.

use crate::{UnixSeconds, x509::time::unix_seconds};
use alloc::{borrow::Cow, format};
use serde::{Deserialize, Deserializer, de::Error};

/// A byte string in hex, upper or lower case.
#[derive(Clone, Copy)]
pub(super) struct Hex<const N: usize>(pub(super) [u8; N]);

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let mut bytes = [0; N];
        hex::decode_to_slice(text.as_bytes(), &mut bytes)
            .map_err(|_| D::Error::custom(format!("{N} bytes in hex are needed")))?;
        Ok(Self(bytes))
    }
}

/// A date such as `2025-06-19T10:56:11Z`, the one form that Intel uses.
#[derive(Clone, Copy)]
pub(super) struct Date(pub(super) UnixSeconds);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        read_date(text.as_bytes())
            .map(Self)
            .ok_or_else(|| D::Error::custom("a date such as 2025-06-19T10:56:11Z is needed"))
    }
}

fn read_date(text: &[u8]) -> Option<UnixSeconds> {
    const FORM: &[u8; 20] = b"0000-00-00T00:00:00Z";
    if text.len() != FORM.len() {
        return None;
    }
    let mut parts = [0u64; 6];
    let mut part = parts.iter_mut();
    let mut current = part.next()?;
    for (&byte, &form) in text.iter().zip(FORM) {
        if form == b'0' {
            if !byte.is_ascii_digit() {
                return None;
            }
            *current = *current * 10 + u64::from(byte - b'0');
        } else if byte != form {
            return None;
        } else if form != b'Z' {
            current = part.next()?;
        }
    }
    let [year, month, day, hour, minute, second] = parts;
    unix_seconds(year, month, day, hour, minute, second)
}
