//! Secrets in memory.

use std::{collections::BTreeMap, fmt};

use zeroize::Zeroizing;

/// Most secrets of one pod.
pub(crate) const COUNT_MAX: usize = 256;

/// Longest name: a file's.
const NAME_BYTES_MAX: usize = 128;

/// Largest sum of names and values. Keys, passwords and certificates; data belong into a volume.
pub(crate) const BYTES_MAX: usize = 1024 * 1024;

/// Secret values by name. They are wiped when they are dropped, and never printed.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Secrets {
    values: BTreeMap<SecretName, Zeroizing<Vec<u8>>>,
}

/// Name of a secret: letters, digits, `.`, `_` and `-`, and no dot in front, so that it is a file
/// name everywhere.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SecretName(String);

/// Why a text is no name, or a secret is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretNameError {
    /// Not a name.
    #[error(
        "a secret's name is 1 to {NAME_BYTES_MAX} letters, digits, `.`, `_` or `-`, and does not \
         begin with a dot"
    )]
    Name,
    /// Too many or too long.
    #[error("secrets are at most {COUNT_MAX}, of {BYTES_MAX} bytes together")]
    TooMuch,
    /// The name is there already.
    #[error("two secrets have the same name")]
    Duplicate,
}

impl SecretName {
    /// Checks a text.
    ///
    /// # Errors
    /// Where it is no name.
    pub fn new(text: &str) -> Result<Self, SecretNameError> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty()
            || text.len() > NAME_BYTES_MAX
            || text.starts_with('.')
            || !text.bytes().all(good)
        {
            return Err(SecretNameError::Name);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys().map(SecretName::as_str)).finish()
    }
}

impl Secrets {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    ///
    /// # Errors
    /// Where the name is taken, or it is too much.
    pub fn insert(
        &mut self,
        name: SecretName,
        value: Zeroizing<Vec<u8>>,
    ) -> Result<(), SecretNameError> {
        let bytes: usize = self.values.iter().map(|(n, v)| n.0.len() + v.len()).sum();
        if self.values.len() >= COUNT_MAX || bytes + name.0.len() + value.len() > BYTES_MAX {
            return Err(SecretNameError::TooMuch);
        }
        if self.values.contains_key(&name) {
            return Err(SecretNameError::Duplicate);
        }
        self.values.insert(name, value);
        Ok(())
    }

    /// A value.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let name = SecretName::new(name).ok()?;
        self.values.get(&name).map(|value| value.as_slice())
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(SecretName::as_str)
    }

    /// Names and values, in the names' order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_and_no_value() {
        let mut secrets = Secrets::new();
        let name = SecretName::new("DB_PASSWORD").unwrap();
        secrets.insert(name.clone(), Zeroizing::new(b"canary".to_vec())).unwrap();
        let text = format!("{secrets:?} {secrets:#?}");
        assert!(text.contains("DB_PASSWORD"));
        assert!(!text.contains("canary") && !text.contains("99"), "{text}");
        let again = secrets.insert(name, Zeroizing::new(vec![]));
        assert_eq!(again, Err(SecretNameError::Duplicate));
    }

    #[test]
    fn names_are_file_names() {
        for good in ["A", "a.b", "x-1_2", &"n".repeat(128)] {
            assert!(SecretName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "é", "a\0", &"n".repeat(129)] {
            assert_eq!(SecretName::new(bad), Err(SecretNameError::Name), "{bad}");
        }
    }

    #[test]
    fn there_is_a_bound() {
        let mut secrets = Secrets::new();
        let big = Zeroizing::new(vec![0; BYTES_MAX]);
        let err = secrets.insert(SecretName::new("a").unwrap(), big);
        assert_eq!(err, Err(SecretNameError::TooMuch));
    }
}
