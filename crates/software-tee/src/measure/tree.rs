//! The digest of a root file system.

use super::file_digest;
use crate::Error;
use sha2::{Digest, Sha384};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

/// Most entries of a root file system. The largest images in common use have some 200,000.
const ENTRIES_MAX: usize = 4_000_000;

/// A root file system's names, types, permissions, link targets and contents.
///
/// Owners and times are left out: they change when an image is unpacked by another user or later.
/// So are the hard links between files: each is measured as a file of its own. The order of entries
/// on disk does not matter.
///
/// It can be read from a folder or put together from an image's layers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tree(BTreeMap<Vec<u8>, (u32, Node)>);

/// One entry of a [`Tree`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Node {
    /// A folder.
    Folder,
    /// A file, by the SHA-384 of its content.
    File([u8; 48]),
    /// A symbolic link, by its target.
    Link(Vec<u8>),
    /// A character device, by its number.
    CharacterDevice(u64),
    /// A block device, by its number.
    BlockDevice(u64),
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
}

impl Tree {
    /// Puts an entry in. `path` is relative to the root, without `/` at either end, and empty for
    /// the root itself; `mode` is the twelve permission bits (ignored for links, which have none).
    pub fn insert(&mut self, path: impl Into<Vec<u8>>, mode: u32, node: Node) {
        let mode = if matches!(node, Node::Link(_)) { 0 } else { mode & 0o7777 };
        self.0.insert(path.into(), (mode, node));
    }

    /// Takes an entry out with all below it, as a layer's whiteout does.
    pub fn remove(&mut self, path: &[u8]) {
        let below = [path, b"/"].concat();
        self.0.retain(|other, _| other != path && !other.starts_with(&below));
    }

    /// Reads a folder. Links are never followed.
    ///
    /// # Errors
    /// If something cannot be read, or has more entries than any image.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let mut tree = Self::default();
        let metadata = fs::symlink_metadata(root).map_err(Error::file("read", root))?;
        if !metadata.is_dir() {
            return Err(Error::Unmeasurable {
                path: root.to_path_buf(),
                reason: "a root file system is a folder",
            });
        }
        tree.insert([], metadata.mode(), Node::Folder);
        let mut folders = vec![(root.to_path_buf(), Vec::new())];
        while let Some((folder, prefix)) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(Error::file("list", &folder))? {
                let entry = entry.map_err(Error::file("list", &folder))?;
                let path = entry.path();
                let mut name: Vec<u8> = prefix.clone();
                if !name.is_empty() {
                    name.push(b'/');
                }
                name.extend_from_slice(entry.file_name().as_bytes());
                let metadata = fs::symlink_metadata(&path).map_err(Error::file("read", &path))?;
                let kind = metadata.file_type();
                let node = if kind.is_dir() {
                    folders.push((path, name.clone()));
                    Node::Folder
                } else if kind.is_file() {
                    let file = open_file(&path)?;
                    Node::File(file_digest(file).map_err(Error::file("read", &path))?)
                } else if kind.is_symlink() {
                    let target = fs::read_link(&path).map_err(Error::file("read", &path))?;
                    Node::Link(target.as_os_str().as_bytes().to_vec())
                } else if kind.is_char_device() {
                    Node::CharacterDevice(metadata.rdev())
                } else if kind.is_block_device() {
                    Node::BlockDevice(metadata.rdev())
                } else if kind.is_fifo() {
                    Node::Pipe
                } else {
                    Node::Socket
                };
                tree.insert(name, metadata.mode(), node);
                if tree.0.len() > ENTRIES_MAX {
                    return Err(Error::Unmeasurable {
                        path: root.to_path_buf(),
                        reason: "it has more entries than any image",
                    });
                }
            }
        }
        Ok(tree)
    }

    /// SHA-384 over `"casemate/software-tee/root-fs/v1"` and, for each entry in the order of its
    /// path's bytes, three parts, each after its length (8 bytes, little-endian): the path; a
    /// letter for the type (`d f l c b p s`) with the mode (4 bytes, little-endian); the content's
    /// SHA-384, the link's target, the device's number (8 bytes, little-endian) or nothing.
    pub fn digest(&self) -> [u8; 48] {
        let mut hasher = Sha384::new();
        hasher.update(b"casemate/software-tee/root-fs/v1");
        let mut part = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for (path, (mode, node)) in &self.0 {
            let (letter, payload) = match node {
                Node::Folder => (b'd', vec![]),
                Node::File(digest) => (b'f', digest.to_vec()),
                Node::Link(target) => (b'l', target.clone()),
                Node::CharacterDevice(number) => (b'c', number.to_le_bytes().to_vec()),
                Node::BlockDevice(number) => (b'b', number.to_le_bytes().to_vec()),
                Node::Pipe => (b'p', vec![]),
                Node::Socket => (b's', vec![]),
            };
            part(path);
            part(&[&[letter][..], &mode.to_le_bytes()].concat());
            part(&payload);
        }
        hasher.finalize().into()
    }
}

/// Opens a regular file for reading, without following a link in its last component and without
/// waiting for anything.
pub(super) fn open_file(path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
        .map_err(Error::file("open", path))?;
    if file.metadata().map_err(Error::file("read", path))?.is_file() {
        Ok(file)
    } else {
        Err(Error::Unmeasurable { path: path.to_path_buf(), reason: "it is not a regular file" })
    }
}
