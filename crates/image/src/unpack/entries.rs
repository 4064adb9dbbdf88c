//! Entries of a layer's tar archive, measured before anything is read for them.
//!
//! The `tar` crate reads the blocks; long names and extended headers are put together here, since
//! the crate would buffer them whatever size they claim.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType, Header};

use super::{
    forbidden,
    name::{Name, Parsed, Whiteout, parse_entry},
};
use crate::{Digest, Error, Limits, Result};

/// One step through a layer.
pub(super) enum Visit {
    Entry(Entry),
    Whiteout(Whiteout),
}

/// An entry to apply.
#[derive(Debug)]
pub(super) struct Entry {
    pub name: Name,
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    pub size: u64,
}

#[derive(Debug)]
pub(super) enum Kind {
    File,
    Directory,
    /// With the target as it stands in the archive.
    Symlink(Vec<u8>),
    /// To a name in the image.
    Hardlink(Name),
    /// Not taken over; says what it is.
    Skipped(&'static str),
}

/// What all layers of an image together have used up.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    pub entries: u64,
    pub bytes: u64,
    bytes_max: u64,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { entries: 0, bytes: 0, bytes_max: limits.unpacked_bytes_max }
    }

    pub(super) fn bytes_left(&self) -> u64 {
        self.bytes_max.saturating_sub(self.bytes)
    }
}

/// Hashes and counts an uncompressed layer, and ends it with an error above its cap.
pub(super) struct Measured<R> {
    inner: R,
    hasher: Sha256,
    bytes: u64,
    bytes_max: u64,
    over: bool,
}

impl<R: Read> Measured<R> {
    pub(super) fn new(inner: R, bytes_max: u64) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0, bytes_max, over: false }
    }

    /// Digest, number of bytes, and whether there were more than allowed.
    pub(super) fn finish(self) -> (Digest, u64, bool) {
        (Digest::from_bytes(self.hasher.finalize().into()), self.bytes, self.over)
    }
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.bytes += n as u64;
        if self.bytes > self.bytes_max {
            self.over = true;
            return Err(io::Error::other("the uncompressed layer is above its limit"));
        }
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
}

/// Calls `visit` for each entry, with its content to read.
pub(super) fn for_each(
    stream: &mut impl Read,
    layer: &Digest,
    limits: &Limits,
    budget: &mut Budget,
    visit: &mut dyn FnMut(Visit, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let bad = |err: io::Error| Error::BadLayer { layer: *layer, reason: err.to_string() };
    let mut archive = Archive::new(stream);
    let mut pending = Pending::default();
    for raw in archive.entries().map_err(bad)?.raw(true) {
        let mut raw = raw.map_err(bad)?;
        budget.entries += 1;
        if budget.entries > limits.entries_max {
            let what = format!("number of entries up to layer {layer}");
            return Err(Error::limit(what, budget.entries, limits.entries_max));
        }
        let size = raw.size();
        let kind = raw.header().entry_type();
        let mut extension = |bytes_max: usize| -> Result<Vec<u8>> {
            if size > bytes_max as u64 {
                let what = format!("extended header in layer {layer}");
                return Err(Error::limit(what, size, bytes_max as u64));
            }
            let mut bytes = Vec::new();
            raw.read_to_end(&mut bytes).map_err(bad)?;
            if bytes.len() as u64 != size {
                return Err(bad(io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(bytes)
        };
        match kind {
            // Comments of the tool that made the archive.
            EntryType::XGlobalHeader => continue,
            EntryType::XHeader => {
                let bytes = extension(EXTENSION_BYTES_MAX)?;
                pending.pax(&bytes).map_err(|reason| bad(io::Error::other(reason)))?;
                continue;
            }
            EntryType::GNULongName | EntryType::GNULongLink => {
                // With the final zero.
                let bytes = extension(limits.path_bytes_max + 1)?;
                pending.gnu(kind, bytes).map_err(|reason| bad(io::Error::other(reason)))?;
                continue;
            }
            _ => {}
        }
        let extensions = std::mem::take(&mut pending);
        let visited = entry(raw.header(), size, extensions, layer, limits)?;
        if let Some(visited) = visited {
            visit(visited, &mut raw)?;
        }
    }
    if pending.is_empty() {
        Ok(())
    } else {
        Err(bad(io::Error::other("it ends after an extended header")))
    }
}

fn entry(
    header: &Header,
    size: u64,
    extensions: Pending,
    layer: &Digest,
    limits: &Limits,
) -> Result<Option<Visit>> {
    let raw = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let bad = |err: io::Error| Error::BadLayer { layer: *layer, reason: err.to_string() };
    if size > limits.file_bytes_max {
        let what =
            format!("size of entry `{}` in layer {layer}", crate::error::printable(&raw, 200));
        return Err(Error::limit(what, size, limits.file_bytes_max));
    }
    if extensions.size.is_some_and(|declared| declared != size) {
        return Err(forbidden(layer, &raw, "declares two different sizes"));
    }
    let name = match parse_entry(&raw, layer, limits)? {
        Parsed::Name(name) => name,
        Parsed::Whiteout(whiteout) => return Ok(Some(Visit::Whiteout(whiteout))),
        Parsed::Ignored => return Ok(None),
    };
    let target = || {
        let target = extensions.link.or_else(|| header.link_name_bytes().map(|t| t.into_owned()));
        match target {
            Some(target) if target.is_empty() => Err(forbidden(layer, &raw, "links to nothing")),
            None => Err(forbidden(layer, &raw, "links to nothing")),
            Some(target) if target.len() > limits.path_bytes_max => {
                Err(forbidden(layer, &raw, "has a longer link than the limit allows"))
            }
            Some(target) if target.contains(&0) => {
                Err(forbidden(layer, &raw, "has a zero byte in its link"))
            }
            Some(target) => Ok(target),
        }
    };
    let kind = match header.entry_type() {
        // Archives older than POSIX have no type for directories.
        EntryType::Regular if raw.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(target()?),
        EntryType::Link => Kind::Hardlink(
            Name::parse(&target()?, layer, limits)
                .map_err(|_| forbidden(layer, &raw, "is a hard link to a name that is refused"))?,
        ),
        EntryType::Fifo => Kind::Skipped("FIFO"),
        EntryType::Block => Kind::Skipped("block device"),
        EntryType::Char => {
            // Overlay's own whiteout in place of a portable one: skipping it would bring a deleted
            // file back.
            // Blank fields count as 0, as in other readers.
            let number = |field: io::Result<Option<u32>>| field.ok().flatten().unwrap_or(0);
            if number(header.device_major()) == 0 && number(header.device_minor()) == 0 {
                return Err(forbidden(
                    layer,
                    &raw,
                    "is a character device 0/0 (an overlay file system's own whiteout); export \
                     the layer with OCI whiteouts",
                ));
            }
            Kind::Skipped("character device")
        }
        EntryType::GNUSparse => {
            return Err(forbidden(layer, &raw, "is a sparse file; archive it without holes"));
        }
        other => {
            let reason = format!("has the unknown type {:#04x}", other.as_byte());
            return Err(forbidden(layer, &raw, reason));
        }
    };
    let owner = |pax: Option<u64>, found: io::Result<u64>| {
        let id = match pax {
            Some(id) => id,
            None => found.map_err(bad)?,
        };
        u32::try_from(id).ok().filter(|id| *id <= limits.owner_id_max).ok_or_else(|| {
            Error::limit(
                format!("owner of entry `{}` in layer {layer}", crate::error::printable(&raw, 200)),
                id,
                limits.owner_id_max.into(),
            )
        })
    };
    let mtime = match extensions.mtime {
        Some(mtime) => mtime,
        None => header.mtime().map_err(bad)?,
    };
    Ok(Some(Visit::Entry(Entry {
        name,
        kind,
        mode: header.mode().map_err(bad)?,
        uid: owner(extensions.uid, header.uid())?,
        gid: owner(extensions.gid, header.gid())?,
        // File systems disagree beyond 2106; no file is from there.
        mtime: i64::from(u32::try_from(mtime).unwrap_or(u32::MAX)),
        size,
    })))
}

/// Extended headers that stand before the entry they are for.
#[derive(Debug, Default)]
struct Pending {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<u64>,
    any: bool,
}

impl Pending {
    fn is_empty(&self) -> bool {
        !self.any
    }

    fn gnu(&mut self, kind: EntryType, mut bytes: Vec<u8>) -> Result<(), &'static str> {
        self.any = true;
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        let slot = if kind == EntryType::GNULongName { &mut self.path } else { &mut self.link };
        match slot.replace(bytes) {
            None => Ok(()),
            Some(_) => Err(TWICE),
        }
    }

    /// Records of the form `<length> <key>=<value>\n`; the length counts all of it.
    fn pax(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        const BAD: &str = "an extended header is malformed";
        self.any = true;
        while !bytes.is_empty() {
            let space = bytes.iter().take(10).position(|b| *b == b' ').ok_or(BAD)?;
            let length: usize = std::str::from_utf8(&bytes[..space])
                .ok()
                .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .ok_or(BAD)?;
            if length <= space + 1 || length > bytes.len() {
                return Err(BAD);
            }
            let (record, rest) = bytes.split_at(length);
            bytes = rest;
            let record = record[space + 1..].strip_suffix(b"\n").ok_or(BAD)?;
            let equals = record.iter().position(|b| *b == b'=').ok_or(BAD)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            if value.is_empty() {
                // POSIX: an empty value takes an earlier record back.
                continue;
            }
            // Fractions of a second are dropped, and times before 1970 become 1970.
            let number = || {
                let text = std::str::from_utf8(value).map_err(|_| BAD)?;
                let whole = text.split('.').next().unwrap_or(text);
                if key == b"mtime" && whole.starts_with('-') {
                    return Ok(0);
                }
                whole.parse::<u64>().map_err(|_| BAD)
            };
            let twice = match key {
                b"path" => self.path.replace(value.to_vec()).is_some(),
                b"linkpath" => self.link.replace(value.to_vec()).is_some(),
                b"size" => self.size.replace(number()?).is_some(),
                b"uid" => self.uid.replace(number()?).is_some(),
                b"gid" => self.gid.replace(number()?).is_some(),
                b"mtime" => self.mtime.replace(number()?).is_some(),
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err("it has a sparse file; archive it without holes");
                }
                _ => false,
            };
            if twice {
                return Err(TWICE);
            }
        }
        Ok(())
    }
}

const TWICE: &str = "an entry has two extended headers that say different things";
/// Extended attributes, which are not taken over, are what makes these long: Linux allows 64 KiB
/// for one, and tools write several.
const EXTENSION_BYTES_MAX: usize = 1 << 20;
