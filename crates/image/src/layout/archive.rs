//! A tar archive of image files, taken apart into numbered files of our own.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Seek},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::{Files, GZIP_MAGIC};
use crate::{Error, Limits, Result, Store};

/// Names in the archive only ever are keys of a map: none becomes a path.
pub(super) struct Archived {
    files: BTreeMap<String, PathBuf>,
    /// `docker save` writes a layer that two images share once, and links to it.
    links: BTreeMap<String, String>,
}

impl Archived {
    pub(super) fn read(store: &Store, path: &Path, limits: &Limits) -> Result<Self> {
        let io = |err| Error::io("read", path, err);
        let mut file = File::open(path).map_err(io)?;
        if !file.metadata().map_err(io)?.is_file() {
            return Err(Error::NotAnImage {
                path: path.to_owned(),
                reason: "it is not a file; a layout directory is loaded as such".to_owned(),
            });
        }
        let mut magic = Vec::new();
        file.by_ref().take(2).read_to_end(&mut magic).map_err(io)?;
        file.rewind().map_err(io)?;
        let file = BufReader::new(file);
        let mut this = Self { files: BTreeMap::new(), links: BTreeMap::new() };
        if magic == GZIP_MAGIC {
            this.collect(MultiGzDecoder::new(file), store, path, limits)?;
        } else {
            this.collect(file, store, path, limits)?;
        }
        Ok(this)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    fn collect(
        &mut self,
        stream: impl Read,
        store: &Store,
        path: &Path,
        limits: &Limits,
    ) -> Result<()> {
        let not = |reason: String| Error::NotAnImage { path: path.to_owned(), reason };
        let bad = |err: io::Error| not(format!("it is damaged or no tar archive ({err})"));
        let mut sum = 0_u64;
        // Raw: no image file needs a long name, and the tar crate would buffer any length of one.
        let mut archive = Archive::new(stream);
        for (n, entry) in archive.entries().map_err(bad)?.raw(true).enumerate() {
            let mut entry = entry.map_err(bad)?;
            if n >= FILES_MAX {
                let what = format!("number of files in {}", path.display());
                return Err(Error::limit(what, n as u64 + 1, FILES_MAX as u64));
            }
            let Some(name) = key(&entry.path_bytes()) else { continue };
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {}
                EntryType::Symlink | EntryType::Link => {
                    if let Some(target) = entry.link_name_bytes()
                        && let Some(target) = key(target.strip_prefix(b"../").unwrap_or(&target))
                    {
                        self.links.insert(name, target);
                    }
                    continue;
                }
                EntryType::Directory | EntryType::XHeader | EntryType::XGlobalHeader => continue,
                _ => return Err(not(format!("`{name}` is not a file"))),
            }
            let size = entry.size();
            sum = sum.saturating_add(size);
            for (what, found, limit) in [
                ("size of a file in", size, limits.blob_bytes_max),
                ("size of all files in", sum, limits.unpacked_bytes_max),
            ] {
                if found > limit {
                    return Err(Error::limit(format!("{what} {}", path.display()), found, limit));
                }
            }
            let temp = store.temp_path("archive");
            let write = |err| Error::io("write", &temp, err);
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temp)
                .map_err(write)?;
            let replaced = self.files.insert(name.clone(), temp.clone());
            if let Some(replaced) = replaced {
                let _ = fs::remove_file(replaced);
                return Err(not(format!("it has `{name}` twice")));
            }
            let copied = io::copy(&mut entry, &mut file).map_err(|err| match err.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => bad(err),
                _ => write(err),
            })?;
            if copied != size {
                return Err(bad(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(())
    }
}

impl Files for Archived {
    fn open(&self, name: &str) -> Result<Option<File>> {
        let target = self.links.get(name).map_or(name, String::as_str);
        let Some(path) = self.files.get(target) else { return Ok(None) };
        File::open(path).map(Some).map_err(|err| Error::io("open", path, err))
    }
}

impl Drop for Archived {
    fn drop(&mut self) {
        for path in self.files.values() {
            let _ = fs::remove_file(path);
        }
    }
}

/// Names of one image file; others are not looked at.
fn key(raw: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(raw).ok()?;
    let name = name.strip_prefix("./").unwrap_or(name);
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

/// An archive has a few files per layer.
const FILES_MAX: usize = 10_000;
