//! [`Reference`]: where an image is asked for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Digest;

/// `registry/repository[:tag][@digest]`.
///
/// A name without a registry is Docker Hub's, as everywhere: `nginx` reads as
/// `docker.io/library/nginx`. With neither tag nor digest, [`tag_or_latest`](Self::tag_or_latest)
/// says `latest`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Host, with the port where one is given.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path within the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where one is given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The tag, or `latest`.
    pub fn tag_or_latest(&self) -> &str {
        self.tag().unwrap_or("latest")
    }

    /// The digest, where one is given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Whether a digest fixes the content, whatever the registry says later.
    pub fn is_pinned(&self) -> bool {
        self.digest.is_some()
    }

    /// The same image, fixed to this content. The tag stays, for people.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let err = |reason| ParseReferenceError { reference: s.chars().take(200).collect(), reason };
        if s.len() > REFERENCE_BYTES_MAX {
            return Err(err("is too long"));
        }
        let (rest, digest) = match s.split_once('@') {
            Some((rest, digest)) => (
                rest,
                Some(digest.parse().map_err(|_| {
                    err("has a digest that is not `sha256:` and 64 lower-case hex digits")
                })?),
            ),
            None => (s, None),
        };
        let (first, rest) = match rest.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':', '[']) || first == "localhost" => {
                (first, rest)
            }
            _ => (DOCKER_HUB, rest),
        };
        if !is_registry(first) {
            return Err(err("names a registry that is neither `host` nor `host:port`"));
        }
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(err("has a tag that is not 1 to 128 of `A-Za-z0-9_.-`"));
        }
        let repository = if first == DOCKER_HUB && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if repository.len() > 255 || !repository.split('/').all(is_path_component) {
            return Err(err(
                "has a repository name that is not lower-case letters, digits and single `.`, \
                 `_`, `-` between them, in parts separated by `/`",
            ));
        }
        Ok(Self { registry: first.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }
}

fn is_registry(s: &str) -> bool {
    let (host, port) = match s.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((ip, port)) if ip.parse::<std::net::Ipv6Addr>().is_ok() => (None, port),
            _ => return false,
        },
        None => match s.find(':') {
            Some(at) => (Some(&s[..at]), &s[at..]),
            None => (Some(s), ""),
        },
    };
    let port_ok = match port.strip_prefix(':') {
        Some(port) => {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p != 0)
        }
        None => port.is_empty(),
    };
    let host_ok = host.is_none_or(|host| {
        host.len() <= 253
            && host.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            })
    });
    port_ok && host_ok
}

pub(crate) fn is_tag(s: &str) -> bool {
    (1..=128).contains(&s.len())
        && !s.starts_with(['.', '-'])
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, as the distribution specification has it.
fn is_path_component(s: &str) -> bool {
    let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = s.as_bytes();
    bytes.first().is_some_and(alnum)
        && bytes.last().is_some_and(alnum)
        && bytes.iter().all(|b| alnum(b) || b"._-".contains(b))
        && bytes.split(|b| alnum(b)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
        })
}

/// A string that is no image reference.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "image reference `{reference}` {reason} (expected `registry/repository[:tag][@sha256:digest]`)"
)]
pub struct ParseReferenceError {
    /// What was read, shortened.
    pub reference: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

pub(crate) const DOCKER_HUB: &str = "docker.io";
/// Host and port (259), repository (255), tag (128) and digest (71) with their separators.
const REFERENCE_BYTES_MAX: usize = 720;

#[cfg(test)]
mod tests;
