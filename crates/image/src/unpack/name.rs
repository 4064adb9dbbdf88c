//! Names in a layer: parsed strictly, before any file system sees them.

use std::fmt;

use super::forbidden;
use crate::{Digest, Limits, Result, error::printable};

/// A path inside the root: components that are neither empty nor `.` nor `..`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Name {
    components: Vec<Vec<u8>>,
}

/// A whiteout: what of the lower layers is hidden.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Whiteout {
    /// This name.
    One(Name),
    /// All that lower layers have in this directory.
    All(Name),
}

/// What a name in the archive stands for.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Parsed {
    Name(Name),
    Whiteout(Whiteout),
    /// Bookkeeping of an old union file system; no part of the image.
    Ignored,
}

impl Name {
    /// A leading `/` or `./` means the root of the image, as other tools have it; `..` is refused.
    pub(super) fn parse(raw: &[u8], layer: &Digest, limits: &Limits) -> Result<Self> {
        let err = |reason| Err(forbidden(layer, raw, reason));
        if raw.len() > limits.path_bytes_max {
            return err("has a longer path than the limit allows");
        }
        if raw.contains(&0) {
            return err("has a zero byte in its path");
        }
        let mut components = Vec::new();
        for component in raw.split(|b| *b == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return err("has `..` in its path"),
                _ if component.len() > NAME_MAX => {
                    return err("has a component of more than 255 bytes in its path");
                }
                _ => components.push(component.to_vec()),
            }
        }
        if components.len() > limits.path_depth_max {
            return err("lies deeper than the limit allows");
        }
        Ok(Self { components })
    }

    /// Directory and last component; `None` for the root itself.
    pub(super) fn split(&self) -> Option<(&[Vec<u8>], &[u8])> {
        self.components.split_last().map(|(last, dir)| (dir, last.as_slice()))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.components.join(&b'/')
    }

    pub(super) fn display(&self) -> impl fmt::Display {
        printable(&self.bytes(), 200)
    }
}

impl Whiteout {
    pub(super) fn bytes(&self) -> u64 {
        let (Self::One(name) | Self::All(name)) = self;
        // The vectors' own size counts too.
        name.components.iter().map(|component| component.len() as u64 + 24).sum::<u64>() + 32
    }
}

/// Parses the name of an entry, which may be a whiteout.
pub(super) fn parse_entry(raw: &[u8], layer: &Digest, limits: &Limits) -> Result<Parsed> {
    let mut name = Name::parse(raw, layer, limits)?;
    if name.components.iter().any(|c| c.starts_with(AUFS) && c != OPAQUE) {
        return Ok(Parsed::Ignored);
    }
    let Some((last, dir)) = name.components.split_last() else { return Ok(Parsed::Name(name)) };
    if dir.iter().any(|component| component.starts_with(PREFIX)) {
        return Err(forbidden(layer, raw, "has a directory with the reserved prefix `.wh.`"));
    }
    let Some(hidden) = last.strip_prefix(PREFIX) else { return Ok(Parsed::Name(name)) };
    if last == OPAQUE {
        name.components.pop();
        return Ok(Parsed::Whiteout(Whiteout::All(name)));
    }
    if matches!(hidden, b"" | b"." | b"..") {
        return Err(forbidden(layer, raw, "is a whiteout of no name"));
    }
    let hidden = hidden.to_vec();
    name.components.pop();
    name.components.push(hidden);
    Ok(Parsed::Whiteout(Whiteout::One(name)))
}

const PREFIX: &[u8] = b".wh.";
const AUFS: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// NAME_MAX of Linux.
const NAME_MAX: usize = 255;

#[cfg(test)]
mod tests;
