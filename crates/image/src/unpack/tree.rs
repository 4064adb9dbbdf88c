//! The tree under construction: the only place that touches the destination.
//!
//! A directory is only ever reached through [`Tree::directory`], where the kernel resolves the
//! path with the destination as its root (`openat2`, `RESOLVE_IN_ROOT`): no link, absolute or with
//! `..`, leads out. What is then created or removed in it is a single component relative to the
//! open directory, and is never followed.
//!
//! Directories stay private to us until [`Tree::finish`] gives them mode and time: both would be
//! in the way, or lost, while entries are still coming.

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString},
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    rc::Rc,
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::{
        stat::{
            FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstatat, futimens, mkdirat, utimensat,
        },
        time::TimeSpec,
    },
    unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, geteuid, linkat, symlinkat, unlinkat},
};

use super::{
    entries::{Entry, Kind},
    forbidden,
    name::{Name, Whiteout},
};
use crate::{Digest, Error, Limits, Result};

pub(super) struct Tree {
    path: PathBuf,
    root: OwnedFd,
    /// What the kernel calls the root, to find a directory's own name below it.
    root_name: Vec<u8>,
    path_bytes_max: usize,
    depth_max: usize,
    /// By real path below the root.
    directories: BTreeMap<Vec<u8>, Attributes>,
    directories_bytes: u64,
    /// The directory of the last entry: files come in runs.
    last: Option<(Vec<Vec<u8>>, Directory)>,
    owners: bool,
    buffer: Vec<u8>,
}

#[derive(Clone)]
struct Directory {
    fd: Rc<OwnedFd>,
    /// Real path below the root, without links.
    real: Rc<[u8]>,
}

#[derive(Clone, Copy)]
struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: i64,
}

/// Why an entry was not applied: it may not, or the system failed.
enum Fault {
    Refused(String),
    Failed(&'static str, Errno),
    NoSpaceForNames,
    /// Reading the layer failed.
    Source(io::Error),
    Target(io::Error),
}

impl From<&'static str> for Fault {
    fn from(reason: &'static str) -> Self {
        Self::Refused(reason.to_owned())
    }
}

trait Context<T> {
    fn when(self, action: &'static str) -> Result<T, Fault>;
}

impl<T> Context<T> for nix::Result<T> {
    fn when(self, action: &'static str) -> Result<T, Fault> {
        self.map_err(|errno| Fault::Failed(action, errno))
    }
}

impl Tree {
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let io = |err| Error::io("open", path, err);
        let root: OwnedFd = File::open(path).map_err(io)?.into();
        let root_name = real_name(&root).map_err(io)?;
        let mut tree = Self {
            path: path.to_owned(),
            root,
            root_name,
            path_bytes_max: limits.path_bytes_max,
            depth_max: limits.path_depth_max,
            directories: BTreeMap::new(),
            directories_bytes: 0,
            last: None,
            owners: geteuid().is_root(),
            buffer: vec![0; 1 << 16],
        };
        tree.directories.insert(Vec::new(), Attributes::implied());
        Ok(tree)
    }

    /// Applies an entry; says what kind it is if it was left out.
    pub(super) fn apply(
        &mut self,
        layer: &Digest,
        entry: &Entry,
        content: &mut dyn Read,
    ) -> Result<Option<&'static str>> {
        let result = match entry.name.split() {
            None => self.apply_root(entry),
            Some((dir, name)) => self.apply_below(dir, name, entry, content),
        };
        result.map_err(|fault| self.error(fault, layer, &entry.name))?;
        Ok(match entry.kind {
            Kind::Skipped(kind) => Some(kind),
            _ => None,
        })
    }

    /// Hides what lower layers have. A whiteout of nothing is no error.
    pub(super) fn whiteout(&mut self, layer: &Digest, whiteout: &Whiteout) -> Result<()> {
        let (result, name) = match whiteout {
            Whiteout::One(name) => (self.hide_one(name), name),
            Whiteout::All(name) => (self.hide_all(name), name),
        };
        match result {
            // Such a place does not exist, so there is nothing to hide.
            Ok(()) | Err(Fault::Refused(_)) => Ok(()),
            Err(fault) => Err(self.error(fault, layer, name)),
        }
    }

    /// Gives all directories their owner, mode and time; children before their parents.
    pub(super) fn finish(self) -> Result<()> {
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        for (name, attributes) in self.directories.iter().rev() {
            let path = if name.is_empty() { b".".as_slice() } else { name };
            retried(|| openat2(self.root.as_fd(), path, how))
                .and_then(|fd| attributes.set(&fd, self.owners, STICKY | PERMISSIONS))
                .map_err(|errno| Error::io("set attributes in", &self.path, errno.into()))?;
        }
        Ok(())
    }

    fn apply_root(&mut self, entry: &Entry) -> Result<(), Fault> {
        match entry.kind {
            Kind::Directory => self.remember(Vec::new(), Attributes::of(entry)),
            _ => Err("would replace the root directory".into()),
        }
    }

    fn apply_below(
        &mut self,
        dir: &[Vec<u8>],
        name: &[u8],
        entry: &Entry,
        content: &mut dyn Read,
    ) -> Result<(), Fault> {
        let dir = self.directory(dir, true)?;
        let name = c_string(name)?;
        let found = stat(&dir, &name)?;
        if let (Kind::Directory, Some(found)) = (&entry.kind, &found)
            && is(found, SFlag::S_IFDIR)
        {
            return self.remember(dir.child(&name), Attributes::of(entry));
        }
        if let Kind::Hardlink(target) = &entry.kind {
            return self.hard_link(&dir, &name, found.as_ref(), target);
        }
        if let Some(found) = &found {
            self.remove(&dir, &name, found)?;
        }
        let attributes = Attributes::of(entry);
        match &entry.kind {
            Kind::File => self.file(&dir, &name, entry, content)?,
            Kind::Directory => {
                self.last = None;
                mkdirat(&*dir.fd, name.as_c_str(), Mode::S_IRWXU).when("create a directory in")?;
                self.remember(dir.child(&name), attributes)?;
            }
            Kind::Symlink(target) => {
                self.last = None;
                symlinkat(target.as_slice(), &*dir.fd, name.as_c_str()).when("create a link in")?;
                if self.owners {
                    let flag = AtFlags::AT_SYMLINK_NOFOLLOW;
                    let (uid, gid) = attributes.owner();
                    fchownat(&*dir.fd, name.as_c_str(), uid, gid, flag).when("set owners in")?;
                }
                let time = attributes.time();
                let flag = UtimensatFlags::NoFollowSymlink;
                utimensat(&*dir.fd, name.as_c_str(), &time, &time, flag).when("set times in")?;
            }
            Kind::Hardlink(_) | Kind::Skipped(_) => {}
        }
        Ok(())
    }

    fn file(
        &mut self,
        dir: &Directory,
        name: &CStr,
        entry: &Entry,
        content: &mut dyn Read,
    ) -> Result<(), Fault> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let mut file = File::from(openat(&*dir.fd, name, flags, mode).when("create a file in")?);
        let mut left = entry.size;
        while left > 0 {
            let n = content.read(&mut self.buffer).map_err(Fault::Source)?;
            if n == 0 {
                return Err(Fault::Source(io::ErrorKind::UnexpectedEof.into()));
            }
            file.write_all(&self.buffer[..n]).map_err(Fault::Target)?;
            left = left.saturating_sub(n as u64);
        }
        Attributes::of(entry).set(&file.into(), self.owners, PERMISSIONS).when("set attributes in")
    }

    fn hard_link(
        &mut self,
        dir: &Directory,
        name: &CStr,
        found: Option<&FileStat>,
        target: &Name,
    ) -> Result<(), Fault> {
        const MISSING: &str = "is a hard link to a file that is not in the image";
        let Some((target_dir, target_name)) = target.split() else {
            return Err("is a hard link to a directory".into());
        };
        let target_name = c_string(target_name)?;
        let target_dir = match self.directory(target_dir, false) {
            Err(Fault::Refused(_)) => return Err(MISSING.into()),
            other => other?,
        };
        let Some(target) = stat(&target_dir, &target_name)? else { return Err(MISSING.into()) };
        // A link to a link is the link itself: what it points to is not looked at.
        if !is(&target, SFlag::S_IFREG) && !is(&target, SFlag::S_IFLNK) {
            return Err("is a hard link to something that is no file".into());
        }
        if let Some(found) = found {
            if (found.st_dev, found.st_ino) == (target.st_dev, target.st_ino) {
                return Ok(());
            }
            self.remove(dir, name, found)?;
        }
        self.last = None;
        // Without AT_SYMLINK_FOLLOW.
        match linkat(&*target_dir.fd, target_name.as_c_str(), &*dir.fd, name, AtFlags::empty()) {
            Err(Errno::ENOENT) => Err(MISSING.into()),
            Err(Errno::EMLINK) => Err("has more hard links than the file system takes".into()),
            other => other.when("create a link in"),
        }
    }

    fn hide_one(&mut self, name: &Name) -> Result<(), Fault> {
        let Some((dir, name)) = name.split() else { return Ok(()) };
        let dir = self.directory(dir, false)?;
        let name = c_string(name)?;
        match stat(&dir, &name)? {
            Some(found) => self.remove(&dir, &name, &found),
            None => Ok(()),
        }
    }

    /// A link in place of the directory is left alone: the directory that the layer brings
    /// replaces it, and what it points to was not hidden.
    fn hide_all(&mut self, name: &Name) -> Result<(), Fault> {
        let dir = match name.split() {
            None => self.directory(&[], false)?,
            Some((parent, name)) => {
                let parent = self.directory(parent, false)?;
                let name = c_string(name)?;
                match stat(&parent, &name)? {
                    Some(found) if is(&found, SFlag::S_IFDIR) => self.child(&parent, &name)?,
                    _ => return Ok(()),
                }
            }
        };
        let path = format!("/proc/self/fd/{}", dir.fd.as_raw_fd());
        let names: Vec<_> = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect())
            .map_err(Fault::Target)?;
        for name in names {
            let name = c_string(name.as_encoded_bytes())?;
            if let Some(found) = stat(&dir, &name)? {
                self.remove(&dir, &name, &found)?;
            }
        }
        Ok(())
    }

    /// Removes what has this name; a link is removed, not what it points to.
    fn remove(&mut self, dir: &Directory, name: &CStr, found: &FileStat) -> Result<(), Fault> {
        self.last = None;
        if !is(found, SFlag::S_IFDIR) {
            return unlinkat(&*dir.fd, name, UnlinkatFlags::NoRemoveDir).when("remove a file in");
        }
        let real = dir.child(name);
        let below = [real.as_slice(), b"/"].concat();
        // `0` follows `/`: all that starts with `below` lies between the two.
        let end = [real.as_slice(), b"0"].concat();
        let gone: Vec<_> = self.directories.range(below..end).map(|(key, _)| key.clone()).collect();
        for key in gone.iter().chain([&real]) {
            if self.directories.remove(key).is_some() {
                self.directories_bytes -= key.len() as u64;
            }
        }
        // The standard library walks by descriptors and follows no link. The way through /proc
        // leads to the open directory, wherever it is.
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", dir.fd.as_raw_fd()));
        path.push(os_str(name));
        fs::remove_dir_all(path).map_err(Fault::Target)
    }

    /// Opens a directory of the image; missing ones on the way are made if asked for.
    fn directory(&mut self, components: &[Vec<u8>], create: bool) -> Result<Directory, Fault> {
        if let Some((last, dir)) = &self.last
            && last == components
        {
            return Ok(dir.clone());
        }
        let path = components.join(&b'/');
        let path = if path.is_empty() { b".".as_slice() } else { &path };
        let how =
            OpenHow::new().flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).resolve(
                ResolveFlag::RESOLVE_IN_ROOT
                    | ResolveFlag::RESOLVE_NO_MAGICLINKS
                    | ResolveFlag::RESOLVE_NO_XDEV,
            );
        let dir = match retried(|| openat2(self.root.as_fd(), path, how)) {
            Ok(fd) => self.named(fd)?,
            Err(Errno::ENOENT) => match components.split_last() {
                Some((name, parent)) if create => {
                    let parent = self.directory(parent, true)?;
                    let name = c_string(name)?;
                    match mkdirat(&*parent.fd, name.as_c_str(), Mode::S_IRWXU) {
                        Err(Errno::EEXIST) => return Err("lies below a link to nothing".into()),
                        other => other.when("create a directory in")?,
                    }
                    self.remember(parent.child(&name), Attributes::implied())?;
                    self.child(&parent, &name)?
                }
                _ => return Err("lies in a directory that is not there".into()),
            },
            Err(Errno::ENOTDIR) => return Err("lies below something that is no directory".into()),
            Err(Errno::ELOOP) => return Err("lies below too many links".into()),
            Err(Errno::EXDEV) => return Err("lies below a link out of the image".into()),
            Err(Errno::ENAMETOOLONG) => return Err("lies below a link that is too long".into()),
            Err(errno) => return Err(Fault::Failed("open a directory in", errno)),
        };
        self.last = Some((components.to_vec(), dir.clone()));
        Ok(dir)
    }

    fn child(&self, parent: &Directory, name: &CStr) -> Result<Directory, Fault> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&*parent.fd, name, flags, Mode::empty()).when("open a directory in")?;
        self.named(fd)
    }

    /// Asks the kernel where an open directory is. The limits hold for the real path: links would
    /// let it grow without end otherwise. That it is below the root is made sure once more.
    fn named(&self, fd: OwnedFd) -> Result<Directory, Fault> {
        const DEEP: &str = "lies, through links, deeper than the limit allows";
        let name = match real_name(&fd) {
            Ok(name) => name,
            Err(err) if err.raw_os_error() == Some(Errno::ENAMETOOLONG as i32) => {
                return Err(DEEP.into());
            }
            Err(err) => return Err(Fault::Target(err)),
        };
        let real = match name.strip_prefix(self.root_name.as_slice()) {
            Some(b"") => &[],
            Some([b'/', real @ ..]) => real,
            _ => return Err("lies outside of the image".into()),
        };
        let depth = real.split(|b| *b == b'/').filter(|component| !component.is_empty()).count();
        // One more component follows.
        if depth >= self.depth_max || real.len() >= self.path_bytes_max {
            return Err(DEEP.into());
        }
        Ok(Directory { fd: Rc::new(fd), real: real.into() })
    }

    fn remember(&mut self, real: Vec<u8>, attributes: Attributes) -> Result<(), Fault> {
        let length = real.len() as u64;
        if self.directories.insert(real, attributes).is_none() {
            self.directories_bytes += length;
            if self.directories_bytes > NAMES_BYTES_MAX {
                return Err(Fault::NoSpaceForNames);
            }
        }
        Ok(())
    }

    fn error(&self, fault: Fault, layer: &Digest, name: &Name) -> Error {
        match fault {
            Fault::Refused(reason) => forbidden(layer, &name.bytes(), reason),
            Fault::Failed(action, errno) => Error::io(action, &self.path, errno.into()),
            Fault::Target(err) => Error::io("write in", &self.path, err),
            Fault::Source(err) => Error::BadLayer { layer: *layer, reason: err.to_string() },
            Fault::NoSpaceForNames => Error::limit(
                format!("bytes of directory names up to layer {layer}"),
                self.directories_bytes,
                NAMES_BYTES_MAX,
            ),
        }
    }
}

impl Directory {
    fn child(&self, name: &CStr) -> Vec<u8> {
        let mut real = self.real.to_vec();
        if !real.is_empty() {
            real.push(b'/');
        }
        real.extend_from_slice(name.to_bytes());
        real
    }
}

impl Attributes {
    /// Of a directory that no entry describes.
    const fn implied() -> Self {
        Self { mode: 0o755, uid: 0, gid: 0, mtime: 0 }
    }

    fn of(entry: &Entry) -> Self {
        Self { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: entry.mtime }
    }

    fn owner(&self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
    }

    fn time(&self) -> TimeSpec {
        TimeSpec::new(self.mtime, 0)
    }

    /// Set-user-id and set-group-id are in no mask. The mode comes after the owner, who would
    /// change it.
    fn set(&self, fd: &OwnedFd, owners: bool, mask: u32) -> nix::Result<()> {
        if owners {
            let (uid, gid) = self.owner();
            fchown(fd, uid, gid)?;
        }
        fchmod(fd, Mode::from_bits_truncate(self.mode & mask))?;
        futimens(fd, &self.time(), &self.time())
    }
}

fn stat(dir: &Directory, name: &CStr) -> Result<Option<FileStat>, Fault> {
    match fstatat(&*dir.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(Fault::Failed("examine a file in", errno)),
    }
}

fn is(stat: &FileStat, kind: SFlag) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == kind.bits()
}

fn c_string(name: &[u8]) -> Result<CString, Fault> {
    CString::new(name).map_err(|_| "has a zero byte in its path".into())
}

fn os_str(name: &CStr) -> &std::ffi::OsStr {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(name.to_bytes())
}

fn real_name(fd: &OwnedFd) -> io::Result<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    let link = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    Ok(link.into_os_string().into_vec())
}

/// The kernel asks to try again when something was renamed anywhere while it resolved `..`.
pub(super) fn retried<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    for _ in 0..RETRIES_MAX {
        match call() {
            Err(Errno::EAGAIN | Errno::EINTR) => std::thread::yield_now(),
            other => return other,
        }
    }
    Err(Errno::EAGAIN)
}

/// Names that are held in memory, of directories or of a layer's whiteouts. An image of a whole
/// distribution has about 3 MB of them.
pub(super) const NAMES_BYTES_MAX: u64 = 64 << 20;
const PERMISSIONS: u32 = 0o777;
const STICKY: u32 = 0o1000;
/// More than enough on a machine that renames all the time, and an end on any.
const RETRIES_MAX: u32 = 10_000;
