//! A folder for one trial, in memory where the system has such a place.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use casemate_image::{Limits, Store};
use tempfile::TempDir;

/// `outer/inner/{store,dest,layout}`. Whatever is found anywhere else in it was written by a layer
/// that got out of its root.
pub(crate) struct Scratch {
    outer: TempDir,
    /// Where images are kept.
    pub(crate) store: Store,
    /// Small, so that a trial is short.
    pub(crate) limits: Limits,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let outer = tempfile::Builder::new()
            .prefix("casemate-fuzz")
            .tempdir_in(memory)
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let store = Store::open(inner.join("store")).unwrap();
        let mut limits = Limits::default();
        limits.manifest_bytes_max = 64 << 10;
        limits.layers_max = 8;
        limits.blob_bytes_max = 1 << 20;
        limits.image_bytes_max = 2 << 20;
        limits.unpacked_bytes_max = 1 << 20;
        limits.file_bytes_max = 256 << 10;
        limits.entries_max = 500;
        Self { outer, store, limits }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.outer.path().join("inner").join(name)
    }

    /// Panics where there is something beside what belongs here.
    pub(crate) fn check_nothing_outside(&self) {
        assert_eq!(names(self.outer.path()), ["inner"]);
        for name in names(&self.outer.path().join("inner")) {
            assert!(["dest", "layout", "store"].contains(&name.as_str()), "`{name}` got outside");
        }
    }

    /// Panics where the unpacked root has what no container may bring, or more than allowed.
    pub(crate) fn check_root(&self, root: &Path) {
        let (mut entries, mut bytes) = (0, 0);
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let entry = entry.unwrap();
                let found = entry.metadata().unwrap();
                let kind = found.file_type();
                let path = entry.path();
                assert!(
                    kind.is_dir() || kind.is_file() || kind.is_symlink(),
                    "{path:?} is a device, pipe or socket"
                );
                assert!(kind.is_symlink() || found.mode() & 0o6000 == 0, "{path:?} has set-id");
                let name = entry.file_name();
                assert!(!name.as_encoded_bytes().starts_with(b".wh."), "{path:?} is a whiteout");
                entries += 1;
                if kind.is_file() {
                    bytes += found.len() / found.nlink();
                }
                if kind.is_dir() {
                    folders.push(path);
                }
            }
        }
        // Parents that no entry names are made as well.
        let entries_max = self.limits.entries_max * (self.limits.path_depth_max as u64 + 1);
        assert!(entries <= entries_max && bytes <= self.limits.unpacked_bytes_max);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let name =
        |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().into_owned();
    fs::read_dir(folder).unwrap().map(name).collect()
}
