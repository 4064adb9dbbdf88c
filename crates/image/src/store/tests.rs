use std::os::unix::fs::MetadataExt;

use super::*;
use crate::{
    Image, Limits,
    testing::{Fixture, Tar},
};

#[test]
fn blobs_are_kept_by_content() {
    let f = Fixture::new();
    let digest = f.store.put(b"hello").unwrap();
    assert_eq!(digest, Digest::of(b"hello"));
    assert_eq!(f.store.read(&digest, 5).unwrap(), b"hello");
    assert!(matches!(f.store.read(&digest, 4), Err(Error::LimitExceeded { .. })));
    let none = Digest::of(b"none");
    assert!(matches!(f.store.read(&none, 9), Err(Error::MissingBlob(d)) if d == none));
    assert_eq!(fs::metadata(f.store.blob_path(&digest)).unwrap().mode() & 0o777, 0o444);
}

#[test]
fn a_damaged_blob_is_refused_and_removed() {
    let f = Fixture::new();
    let digest = f.store.put(b"hello").unwrap();
    fs::remove_file(f.store.blob_path(&digest)).unwrap();
    fs::write(f.store.blob_path(&digest), b"hullo").unwrap();
    let err = f.store.read(&digest, 100).unwrap_err();
    assert!(matches!(err, Error::DigestMismatch { actual, .. } if actual == Digest::of(b"hullo")));
    assert!(!f.store.has(&digest).unwrap());
}

#[test]
fn only_what_was_promised_gets_a_name() {
    let f = Fixture::new();
    let digest = Digest::of(b"hello");
    let write = |bytes: &[u8], size| {
        let mut writer = f.store.writer(size).unwrap();
        writer.write_all(bytes).map_err(|err| writer.error(err))?;
        writer.commit("blob", &digest, size)
    };
    assert!(matches!(write(b"hullo", 5), Err(Error::DigestMismatch { .. })));
    assert!(matches!(write(b"hell", 5), Err(Error::SizeMismatch { actual: 4, .. })));
    assert!(matches!(write(b"hello!", 5), Err(Error::Io { .. })));
    assert!(!f.store.has(&digest).unwrap());
    assert_eq!(fs::read_dir(&f.store.inner.session).unwrap().count(), 1, "only the lock");
    write(b"hello", 5).unwrap();
    assert!(f.store.has(&digest).unwrap());
}

#[test]
fn what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not() {
    let f = Fixture::new();
    let root = f.store.root().to_owned();
    let dead = root.join("tmp/123-0");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("lock"), "").unwrap();
    fs::write(dead.join("blob-0"), "half").unwrap();
    let mut living = f.store.writer(10).unwrap();
    living.write_all(b"half").unwrap();
    let other = Store::open(&root).unwrap();
    assert!(!dead.exists());
    assert!(living.path.exists());
    drop(other);
    assert!(living.path.exists());
    living.write_all(b"whole").unwrap();
    living.commit_any().unwrap();
}

#[test]
fn many_writers_of_one_blob() {
    let f = Fixture::new();
    let bytes = vec![7; 1 << 20];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = Store::open(f.store.root()).unwrap();
                assert_eq!(store.put(&bytes).unwrap(), Digest::of(&bytes));
            });
        }
    });
    assert_eq!(f.store.read(&Digest::of(&bytes), 1 << 20).unwrap(), bytes);
}

fn image(f: &Fixture, name: &str) -> Image {
    f.image(&[Tar::new().file("common", "1").end(), Tar::new().file(name, "1").end()])
}

#[test]
fn a_rootfs_is_unpacked_once_whoever_asks() {
    let f = Fixture::new();
    let image = image(&f, "a");
    let paths: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| f.store.rootfs(&image, &Limits::default()).unwrap()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(paths.iter().all(|path| *path == paths[0] && path.join("a").is_file()));
    // Not unpacked again: it may be in use.
    let inode = fs::metadata(&paths[0]).unwrap().ino();
    let again = Store::open(f.store.root()).unwrap();
    assert_eq!(again.rootfs(&image, &Limits::default()).unwrap(), paths[0]);
    assert_eq!(fs::metadata(&paths[0]).unwrap().ino(), inode);
}

#[test]
fn a_refused_image_leaves_no_rootfs() {
    let f = Fixture::new();
    let image = f.image(&[Tar::new().file("ok", "1").file("../x", "1").end()]);
    assert!(f.store.rootfs(&image, &Limits::default()).is_err());
    assert!(!f.store.rootfs_path(&image.manifest_digest).exists());
    assert_eq!(fs::read_dir(&f.store.inner.session).unwrap().count(), 1, "only the lock");
}

#[test]
fn a_rootfs_of_an_earlier_boot_is_not_trusted() {
    let f = Fixture::new();
    let image = image(&f, "a");
    let path = f.store.rootfs(&image, &Limits::default()).unwrap();
    fs::write(path.join("torn"), "").unwrap();
    fs::write(f.store.root().join("rootfs/.boot"), "another boot\n").unwrap();
    let store = Store::open(f.store.root()).unwrap();
    assert!(!path.exists());
    let path = store.rootfs(&image, &Limits::default()).unwrap();
    assert!(path.join("a").is_file() && !path.join("torn").exists());
}

#[test]
fn unused_images_are_removed_and_used_ones_are_whole() {
    let f = Fixture::new();
    let (kept, gone) = (image(&f, "kept"), image(&f, "gone"));
    let limits = Limits::default();
    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": crate::spec::OCI_MANIFEST, "digest": kept.manifest_digest, "size": 1,
            "platform": { "os": "linux", "architecture": crate::image::platform().1 },
        }],
    });
    let index = f.store.put(&serde_json::to_vec(&index).unwrap()).unwrap();
    f.store.put(b"orphan").unwrap();
    let paths = [&kept, &gone].map(|image| f.store.rootfs(image, &limits).unwrap());
    // In use by someone: nothing happens.
    let shared = f.store.share().unwrap();
    assert!(matches!(f.store.remove_unused(&[]), Err(Error::StoreBusy(_))));
    drop(shared);
    let removed = f.store.remove_unused(&[index, Digest::of(b"unknown")]).unwrap();
    // Manifest, configuration and one layer of `gone`, and the orphan.
    assert_eq!((removed.blobs, removed.rootfs), (4, 1));
    assert!(paths[0].exists() && !paths[1].exists());
    assert_eq!(Image::from_store(&f.store, &index, &limits).unwrap().unwrap(), kept);
    assert_eq!(Image::from_store(&f.store, &gone.manifest_digest, &limits).unwrap(), None);
    let removed = f.store.remove_unused(&[]).unwrap();
    assert_eq!((removed.blobs, removed.rootfs), (5, 1));
    assert_eq!(f.store.remove_unused(&[]).unwrap(), Removed::default());
}

/// A small file system of its own; gone with the value.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let flags = nix::mount::MsFlags::MS_NOSUID | nix::mount::MsFlags::MS_NODEV;
        let size = format!("size={bytes}");
        nix::mount::mount(Some("tmpfs"), dir.path(), Some("tmpfs"), flags, Some(size.as_str()))
            .expect("this test mounts a tmpfs: run it as root");
        Self(dir)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_is_left_or_lost() {
    let disk = Disk::new(1 << 20);
    let store = Store::open(disk.0.path().join("store")).unwrap();
    let kept = store.put(b"kept").unwrap();
    let err = store.put(&vec![7; 2 << 20]).unwrap_err();
    assert!(matches!(err, Error::DiskFull { .. }), "{err}");
    assert_eq!(fs::read_dir(&store.inner.session).unwrap().count(), 1, "only the lock");
    assert_eq!(store.read(&kept, 9).unwrap(), b"kept");
    store.put(&vec![7; 1 << 18]).unwrap();
    // A layer that fits as a blob, and not when it is unpacked.
    let tar = Tar::new().file("zeros", &"\0".repeat(2 << 20)).end();
    let f = Fixture { dir: tempfile::tempdir().unwrap(), store, limits: Limits::default() };
    let gzip = crate::testing::gzip(&tar);
    let media_type = format!("{}+gzip", crate::testing::TAR);
    let image = f.image_of(&[(&media_type, gzip, Digest::of(&tar))]);
    let err = f.store.rootfs(&image, &f.limits).unwrap_err();
    assert!(matches!(err, Error::DiskFull { .. }), "{err}");
    assert_eq!(fs::read_dir(&f.store.inner.session).unwrap().count(), 1, "only the lock");
    assert!(!f.store.rootfs_path(&image.manifest_digest).exists());
}
