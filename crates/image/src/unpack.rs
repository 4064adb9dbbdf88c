//! Layers into a root filesystem.
//!
//! The image chooses names, links, numbers and sizes; it must never choose a place outside the
//! destination or more than the [`Limits`] allow. Three walls, each enough by itself for most
//! attacks: names are parsed strictly (`name`), every directory on the way is resolved by the
//! kernel inside the destination (`tree`), and headers are measured before anything is read
//! for them (`entries`).
//!
//! Whiteouts concern only *lower* layers, wherever in the archive they stand. So a layer above the
//! first is read twice: once to check its digest and collect whiteouts, then to apply it. Nothing
//! of a layer above the first touches the tree before its digest was found right.

mod entries;
mod name;
mod tree;

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File},
    io::{self, BufReader, Read},
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt, FileTypeExt},
    },
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
};

use self::{
    entries::{Budget, Measured, Visit, for_each},
    tree::Tree,
};
use crate::{
    Digest, Error, Image, Layer, Limits, Result, Store,
    image::{Compression, check_layers},
};

/// What [`unpack()`] did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Unpacked {
    /// Entries of all layers.
    pub entries: u64,
    /// Uncompressed bytes of all layers.
    pub bytes: u64,
    /// Device nodes and FIFOs that were left out: the first 32, as `name (kind)`.
    pub skipped: Vec<String>,
}

/// Unpacks an image into a directory that does not exist yet (or is empty).
///
/// All is done in `.<name>.partial` beside it and renamed at the end: a killed unpack leaves no
/// half tree under the final name, and the next one removes what was left. For a tree that
/// several callers share, see [`Store::rootfs`].
///
/// # Errors
/// [`Error::Forbidden`] names the layer and the entry that tries what no image may;
/// [`Error::LimitExceeded`], [`Error::BadLayer`] and [`Error::DigestMismatch`] likewise.
pub fn unpack(store: &Store, image: &Image, dest: &Path, limits: &Limits) -> Result<Unpacked> {
    let _shared = store.share()?;
    crate::error::check_absent_or_empty(dest)?;
    let temp = partial_path(dest)?;
    match fs::remove_dir_all(&temp) {
        Ok(()) => {}
        Err(err) if err.kind() == io::ErrorKind::NotFound => {}
        Err(err) => return Err(Error::io("remove", temp, err)),
    }
    DirBuilder::new().mode(0o700).create(&temp).map_err(|err| Error::io("create", &temp, err))?;
    unpack_to(store, image, &temp, limits)
        .and_then(|done| match fs::rename(&temp, dest) {
            Ok(()) => Ok(done),
            Err(err) => Err(Error::io("rename to", dest, err)),
        })
        .inspect_err(|_| {
            let _ = fs::remove_dir_all(&temp);
        })
}

/// Reads a file of a root filesystem as a program inside would see it: links, also absolute ones,
/// never lead out of `root`. `None` where there is no such file.
///
/// # Errors
/// [`Error::LimitExceeded`] above `bytes_max`; an error of the file system otherwise.
pub fn read_in_root(root: &Path, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>> {
    let io = |err| Error::io("read", root.join(path.strip_prefix("/").unwrap_or(path)), err);
    let dir = File::open(root).map_err(io)?;
    let how = OpenHow::new()
        // Opening a FIFO must not wait for a writer.
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = match tree::retried(|| openat2(dir.as_fd(), path, how)) {
        Ok(fd) => File::from(fd),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENXIO) => return Ok(None),
        Err(errno) => return Err(io(errno.into())),
    };
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() || meta.file_type().is_fifo() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > bytes_max {
        let what = format!("size of `{}` in the image", path.display());
        return Err(Error::limit(what, bytes.len() as u64, bytes_max));
    }
    Ok(Some(bytes))
}

/// Unpacks into an existing empty directory that nobody else uses.
pub(crate) fn unpack_to(
    store: &Store,
    image: &Image,
    dir: &Path,
    limits: &Limits,
) -> Result<Unpacked> {
    check_layers(image, limits)?;
    let mut tree = Tree::open(dir, limits)?;
    let mut budget = Budget::new(limits);
    let mut skipped = Vec::new();
    for (n, layer) in image.layers.iter().enumerate() {
        tracing::debug!(layer = %layer.digest, n, "applying");
        if n > 0 {
            let mut whiteouts = Vec::new();
            let mut bytes = 0;
            // What a first reading costs is not taken from the budget of the second.
            read_layer(store, layer, limits, &mut budget.clone(), &mut |visit, _| {
                if let Visit::Whiteout(whiteout) = visit {
                    bytes += whiteout.bytes();
                    if bytes > tree::NAMES_BYTES_MAX {
                        let what = format!("bytes of whiteout names in layer {}", layer.digest);
                        return Err(Error::limit(what, bytes, tree::NAMES_BYTES_MAX));
                    }
                    whiteouts.push(whiteout);
                }
                Ok(())
            })?;
            for whiteout in whiteouts {
                tree.whiteout(&layer.digest, &whiteout)?;
            }
        }
        read_layer(store, layer, limits, &mut budget, &mut |visit, content| match visit {
            Visit::Whiteout(_) => Ok(()),
            Visit::Entry(entry) => {
                if let Some(kind) = tree.apply(&layer.digest, &entry, content)?
                    && skipped.len() < SKIPPED_MAX
                {
                    skipped.push(format!("{} ({kind})", entry.name.display()));
                }
                Ok(())
            }
        })?;
    }
    tree.finish()?;
    Ok(Unpacked { entries: budget.entries, bytes: budget.bytes, skipped })
}

/// Runs through a layer and checks that it is the one that the configuration names.
fn read_layer(
    store: &Store,
    layer: &Layer,
    limits: &Limits,
    budget: &mut Budget,
    visit: &mut dyn FnMut(Visit, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let file = BufReader::with_capacity(1 << 16, store.open_blob(&layer.digest, layer.size)?);
    let bad = |err: &io::Error| Error::BadLayer { layer: layer.digest, reason: err.to_string() };
    let decoder: Box<dyn Read> = match Compression::of(&layer.media_type, &layer.digest)? {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(MultiGzDecoder::new(file)),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(file).map_err(|err| bad(&err))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|err| bad(&err))?;
            Box::new(decoder)
        }
    };
    let mut stream = Measured::new(decoder, budget.bytes_left());
    let result = for_each(&mut stream, &layer.digest, limits, budget, visit).and_then(|()| {
        // What follows the end of the archive counts for the digest all the same.
        io::copy(&mut stream, &mut io::sink()).map(drop).map_err(|err| bad(&err))
    });
    let (digest, bytes, over) = stream.finish();
    budget.bytes += bytes;
    if over {
        return Err(Error::limit(
            format!("uncompressed bytes of the layers up to {}", layer.digest),
            budget.bytes,
            limits.unpacked_bytes_max,
        ));
    }
    if let Err(err) = result {
        // A blob that was damaged on our disk explains it better than what was read from it.
        if matches!(err, Error::BadLayer { .. } | Error::Forbidden { .. }) {
            store.verify(&layer.digest)?;
        }
        return Err(err);
    }
    if digest != layer.diff_id {
        store.verify(&layer.digest)?;
        return Err(Error::DigestMismatch {
            what: format!("uncompressed layer {}", layer.digest),
            expected: layer.diff_id,
            actual: digest,
        });
    }
    Ok(())
}

fn partial_path(dest: &Path) -> Result<PathBuf> {
    let name = dest.file_name().ok_or_else(|| Error::Exists(dest.to_owned()))?;
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(".partial");
    Ok(dest.with_file_name(partial))
}

/// An error about one entry of one layer.
fn forbidden(layer: &Digest, entry: &[u8], reason: impl Into<String>) -> Error {
    Error::Forbidden {
        layer: *layer,
        entry: crate::error::printable(entry, 200),
        reason: reason.into(),
    }
}

const SKIPPED_MAX: usize = 32;
/// 128 MiB, what `zstd -d` itself allows without being asked: a frame chooses how much memory its
/// reader needs.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

#[cfg(test)]
mod tests;
