//! Files into a layer's tar archive.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Component, Path, PathBuf},
};

use tar::{Builder, EntryType, Header};

use super::{BuildFile, Content};
use crate::{Error, Result};

/// Appends all of a directory, sorted, its own root first.
pub(super) fn append_directory<W: Write>(
    archive: &mut Builder<W>,
    root: &Path,
    mtime: u64,
) -> Result<()> {
    let meta = fs::symlink_metadata(root).map_err(|err| Error::io("examine", root, err))?;
    if !meta.is_dir() {
        return Err(input(root, "it is not a directory"));
    }
    let mut links = HashMap::<(u64, u64), PathBuf>::new();
    let mut stack = Vec::new();
    push_children(&mut stack, root, Path::new(""))?;
    while let Some((path, name)) = stack.pop() {
        let meta = fs::symlink_metadata(&path).map_err(|err| Error::io("examine", &path, err))?;
        let mode = meta.permissions().mode() & 0o7777;
        let kind = meta.file_type();
        check_name(&path, &name)?;
        if kind.is_dir() {
            entry(archive, EntryType::Directory, &name, mode, mtime, 0, io::empty())?;
            push_children(&mut stack, &path, &name)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).map_err(|err| Error::io("read", &path, err))?;
            link(archive, EntryType::Symlink, &name, &target, 0o777, mtime)?;
        } else if kind.is_file() {
            if meta.nlink() > 1 {
                if let Some(first) = links.get(&(meta.dev(), meta.ino())) {
                    link(archive, EntryType::Link, &name, first, mode, mtime)?;
                    continue;
                }
                links.insert((meta.dev(), meta.ino()), name.clone());
            }
            file(archive, &name, &path, mode, mtime)?;
        } else {
            return Err(input(&path, "it is a device, a FIFO or a socket; remove it"));
        }
    }
    Ok(())
}

/// Appends single files, sorted by their path in the image.
pub(super) fn append_files<W: Write>(
    archive: &mut Builder<W>,
    files: &[BuildFile],
    mtime: u64,
) -> Result<()> {
    let mut named = Vec::new();
    for file in files {
        let path = Path::new(&file.path);
        let inside: Option<PathBuf> = path.strip_prefix("/").ok().and_then(|rest| {
            rest.components()
                .map(|c| if let Component::Normal(name) = c { Some(name) } else { None })
                .collect()
        });
        match inside {
            Some(name) if !name.as_os_str().is_empty() => named.push((name, file)),
            _ => return Err(input(path, "a path in an image is absolute and has no `..`")),
        }
    }
    named.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(pair) = named.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(input(&pair[0].0, "it is given twice"));
    }
    for (name, given) in named {
        check_name(Path::new(&given.path), &name)?;
        let mode = given.mode & 0o7777;
        match &given.content {
            Content::Bytes(bytes) => {
                let size = bytes.len() as u64;
                entry(archive, EntryType::Regular, &name, mode, mtime, size, bytes.as_slice())?;
            }
            Content::File(path) => file(archive, &name, path, mode, mtime)?,
            Content::Symlink(target) => {
                link(archive, EntryType::Symlink, &name, Path::new(target), 0o777, mtime)?;
            }
            Content::Directory => {
                entry(archive, EntryType::Directory, &name, mode, mtime, 0, io::empty())?;
            }
        }
    }
    Ok(())
}

/// Pushed in reverse: the stack gives them in order, each followed by what is in it.
fn push_children(stack: &mut Vec<(PathBuf, PathBuf)>, dir: &Path, name: &Path) -> Result<()> {
    let io = |err| Error::io("list", dir, err);
    let mut names = fs::read_dir(dir)
        .map_err(io)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(io)?;
    names.sort_by(|a, b| b.cmp(a));
    stack.extend(names.into_iter().map(|child| (dir.join(&child), name.join(&child))));
    Ok(())
}

fn file<W: Write>(
    archive: &mut Builder<W>,
    name: &Path,
    path: &Path,
    mode: u32,
    mtime: u64,
) -> Result<()> {
    let io = |err| Error::io("read", path, err);
    // Not through a link that took the file's place, and not waiting for a FIFO.
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let file: File =
        OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(input(path, "it is not a file"));
    }
    let size = meta.len();
    let mut exact = Exact { inner: file, left: size };
    entry(archive, EntryType::Regular, name, mode, mtime, size, &mut exact)?;
    if exact.left > 0 {
        return Err(input(path, "it became shorter while it was read; try again"));
    }
    Ok(())
}

fn entry<W: Write>(
    archive: &mut Builder<W>,
    kind: EntryType,
    name: &Path,
    mode: u32,
    mtime: u64,
    size: u64,
    content: impl Read,
) -> Result<()> {
    let mut header = header(kind, mode, mtime);
    header.set_size(size);
    archive
        .append_data(&mut header, name, content)
        .map_err(|err| Error::io("write a layer with", name, err))
}

fn link<W: Write>(
    archive: &mut Builder<W>,
    kind: EntryType,
    name: &Path,
    target: &Path,
    mode: u32,
    mtime: u64,
) -> Result<()> {
    let mut header = header(kind, mode, mtime);
    header.set_size(0);
    // A symbolic link's target is text: `append_link` would tidy it up.
    let result = if kind == EntryType::Symlink && target.as_os_str().len() <= LINK_FIELD_BYTES {
        header
            .set_link_name_literal(target.as_os_str().as_bytes())
            .and_then(|()| archive.append_data(&mut header, name, io::empty()))
    } else {
        archive.append_link(&mut header, name, target)
    };
    result.map_err(|err| Error::io("write a layer with", name, err))
}

fn header(kind: EntryType, mode: u32, mtime: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(mtime);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// A file with such a name would hide others instead of being one.
fn check_name(path: &Path, name: &Path) -> Result<()> {
    let reserved = name.file_name().is_some_and(|name| name.as_bytes().starts_with(b".wh."));
    if reserved {
        return Err(input(path, "names that begin with `.wh.` are reserved in images; rename it"));
    }
    Ok(())
}

fn input(path: &Path, reason: &str) -> Error {
    Error::BuildInput { path: path.to_owned(), reason: reason.to_owned() }
}

/// Gives as many bytes as the header promises, should the file grow meanwhile.
struct Exact {
    inner: File,
    left: u64,
}

impl Read for Exact {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let n = self.inner.read(&mut buf[..want])?;
        self.left -= n as u64;
        Ok(n)
    }
}

/// What fits into a header without an extension.
const LINK_FIELD_BYTES: usize = 100;
