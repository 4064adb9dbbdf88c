//! Image references, by the grammar of the OCI distribution specification.

use crate::error::shown;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{borrow::Cow, fmt, net::Ipv6Addr, str::FromStr};

const ALLOWED: &str = "an image reference `[registry[:port]/]name[:tag][@sha256:<64 hex digits>]` \
     with a lower-case name, such as `registry.example:5000/team/app:1.2`";

/// Longest registry and name together, as registries have it.
const NAME_BYTES_MAX: usize = 255;

/// A text that is no image reference.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{found}` is not an image reference: {problem} (allowed: {ALLOWED})")]
pub struct InvalidImageReference {
    found: String,
    problem: &'static str,
}

/// A reference to an image: `[registry[:port]/]name[:tag][@digest]`, valid by construction.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ImageReference(String);

struct Parts<'a> {
    registry: Option<&'a str>,
    repository: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

fn split(text: &str) -> Parts<'_> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    // A colon before the last slash belongs to the registry's port.
    let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[name_start..].find(':') {
        Some(colon) => (&rest[..name_start + colon], Some(&rest[name_start + colon + 1..])),
        None => (rest, None),
    };
    let (registry, repository) = match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => {
            (Some(first), path)
        }
        _ => (None, name),
    };
    Parts { registry, repository, tag, digest }
}

impl ImageReference {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The registry with its port, where one is named.
    pub fn registry(&self) -> Option<&str> {
        split(&self.0).registry
    }

    /// The name in the registry, without tag and digest.
    pub fn repository(&self) -> &str {
        split(&self.0).repository
    }

    /// The tag, where there is one.
    pub fn tag(&self) -> Option<&str> {
        split(&self.0).tag
    }

    /// The digest with its algorithm, where there is one.
    pub fn digest(&self) -> Option<&str> {
        split(&self.0).digest
    }

    /// Whether a digest fixes what it refers to.
    pub fn is_pinned(&self) -> bool {
        self.digest().is_some()
    }

    /// This reference with `digest` (`sha256:...`) in place of any that it has.
    ///
    /// # Errors
    /// Where `digest` is none.
    pub fn pinned(&self, digest: &str) -> Result<Self, InvalidImageReference> {
        let name_and_tag = self.0.split_once('@').map_or(self.0.as_str(), |(name, _)| name);
        format!("{name_and_tag}@{digest}").parse()
    }
}

impl FromStr for ImageReference {
    type Err = InvalidImageReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match problem(&split(text)) {
            Some(problem) => Err(InvalidImageReference { found: shown(text), problem }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ImageReference {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

fn problem(parts: &Parts<'_>) -> Option<&'static str> {
    if parts.registry.map_or(0, str::len) + parts.repository.len() > NAME_BYTES_MAX {
        return Some("the name is longer than 255 bytes");
    }
    if parts.registry.is_some_and(|registry| !is_registry(registry)) {
        return Some("the registry is not a host name with an optional port");
    }
    if !parts.repository.split('/').all(is_name_part) {
        return Some(
            "each part of the name must be lower-case letters and digits, separated by `.`, `_`, \
             `__` or dashes",
        );
    }
    if parts.tag.is_some_and(|tag| !is_tag(tag)) {
        return Some(
            "the tag must be 1 to 128 letters, digits, `_`, `.`, `-`, not first `.` or `-`",
        );
    }
    if parts.digest.is_some_and(|digest| !is_digest(digest)) {
        return Some("the digest must be `sha256:` and 64 lower-case hex digits");
    }
    None
}

fn is_registry(text: &str) -> bool {
    let is_port = |port: &str| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok()
            && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    host.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    }) && port.is_none_or(is_port)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_name_part(part: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    is_word(*first)
        && is_word(*last)
        && bytes.split(|b| is_word(*b)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

fn is_digest(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

impl<'de> Deserialize<'de> for ImageReference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = ImageReference;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ALLOWED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ImageReference, E> {
                text.parse().map_err(|error: InvalidImageReference| {
                    E::invalid_value(de::Unexpected::Str(text), &error.problem)
                })
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for ImageReference {
    fn schema_name() -> Cow<'static, str> {
        "ImageReference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An image: `[registry[:port]/]name[:tag][@sha256:...]`.",
            "type": "string",
            "minLength": 1,
        })
    }
}

#[cfg(test)]
mod tests;
