//! Each trick that an image may try, with its own refusal.

use std::{fs, path::Path};

use tar::EntryType;

use crate::{
    Digest, Error, Unpacked,
    testing::{Fixture, TAR, Tar, gzip},
    unpack,
};

/// The layers are refused because of this entry, and nothing is left behind.
fn refused(layers: &[Vec<u8>], entry: &str) -> String {
    let f = Fixture::new();
    fs::write(f.dir.path().join("outside"), "untouched").unwrap();
    let err = f.unpack(layers).unwrap_err();
    assert!(matches!(&err, Error::Forbidden { entry: found, .. } if found == entry), "{err}");
    assert!(!f.dest().exists() && !f.dir.path().join(".dest.partial").exists());
    assert_eq!(fs::read_to_string(f.dir.path().join("outside")).unwrap(), "untouched");
    err.to_string()
}

/// The layers are taken, and stay inside.
fn taken(layers: &[Vec<u8>]) -> (Fixture, Unpacked) {
    let f = Fixture::new();
    fs::write(f.dir.path().join("outside"), "untouched").unwrap();
    let done = f.unpack(layers).unwrap();
    assert_eq!(fs::read_to_string(f.dir.path().join("outside")).unwrap(), "untouched");
    (f, done)
}

#[test]
fn names_that_lead_up() {
    for name in ["../outside", "a/../../outside", "..", "/../outside", "./.."] {
        refused(&[Tar::new().file(name, "x").end()], name);
    }
    refused(&[Tar::new().pax(&[("path", "../outside")]).file("a", "x").end()], "../outside");
    let tar =
        Tar::new().raw(EntryType::GNULongName, b"l", b"", b"../outside\0").file("a", "x").end();
    refused(&[tar], "../outside");
}

#[test]
fn absolute_names_are_inside() {
    let (f, _) = taken(&[Tar::new().file("/etc/casemate-test", "x").end()]);
    assert!(f.dest().join("etc/casemate-test").is_file());
    assert!(!Path::new("/etc/casemate-test").exists());
}

#[test]
fn a_link_out_then_a_file_through_it() {
    for target in ["..", "../../..", "/", "../dest/..", "/proc/self/root", "x/../../.."] {
        let f = Fixture::new();
        let outside = f.dir.path().join("outside");
        fs::write(&outside, "untouched").unwrap();
        let tar = Tar::new().symlink("a", target).file("a/outside", "x").end();
        // Inside, or refused (a link to nothing); never outside.
        let _ = f.unpack(std::slice::from_ref(&tar));
        let two = [Tar::new().symlink("a", target).end(), Tar::new().file("a/outside", "x").end()];
        let _ = f.unpack(&two);
        assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched", "{target}");
        assert!(!Path::new("/outside").exists());
    }
    let (f, _) = taken(&[Tar::new().symlink("a", "../..").file("a/outside", "x").end()]);
    assert_eq!(fs::read_to_string(f.dest().join("outside")).unwrap(), "x");
    refused(&[Tar::new().symlink("a", "/nowhere").file("a/b", "x").end()], "a/b");
    refused(&[Tar::new().symlink("a", "a").file("a/b", "x").end()], "a/b");
    refused(&[Tar::new().file("a", "x").file("a/b", "x").end()], "a/b");
}

#[test]
fn a_link_to_a_file_then_that_file() {
    let f = Fixture::new();
    let outside = f.dir.path().join("outside");
    fs::write(&outside, "untouched").unwrap();
    let target = outside.to_str().unwrap();
    for layers in [
        vec![Tar::new().symlink("a", target).file("a", "x").end()],
        vec![Tar::new().symlink("a", target).end(), Tar::new().file("a", "x").end()],
    ] {
        f.unpack(&layers).unwrap();
        assert_eq!(fs::read_to_string(f.dest().join("a")).unwrap(), "x");
        fs::remove_dir_all(f.dest()).unwrap();
    }
    // A directory in place of a link keeps what the link points to.
    let layers =
        [Tar::new().symlink("a", "/etc").end(), Tar::new().dir("a").file("a/b", "x").end()];
    f.unpack(&layers).unwrap();
    assert!(f.dest().join("a/b").is_file() && !Path::new("/etc/b").exists());
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
}

#[test]
fn hard_links_outside() {
    refused(&[Tar::new().hardlink("a", "/etc/shadow").end()], "a");
    refused(&[Tar::new().hardlink("a", "../outside").end()], "a");
    refused(&[Tar::new().symlink("s", "/etc").hardlink("a", "s/shadow").end()], "a");
    refused(&[Tar::new().dir("d").hardlink("a", "d").end()], "a");
    refused(&[Tar::new().hardlink("a", "/").end()], "a");
    refused(&[Tar::new().hardlink("a", "a").end()], "a");
    // A hard link to a link is that link, not the file behind it.
    let (f, _) = taken(&[Tar::new().symlink("s", "/etc/shadow").hardlink("a", "s").end()]);
    assert!(fs::symlink_metadata(f.dest().join("a")).unwrap().is_symlink());
    // Onto itself, it stays.
    let (f, _) = taken(&[Tar::new().file("a", "x").hardlink("a", "a").end()]);
    assert_eq!(fs::read_to_string(f.dest().join("a")).unwrap(), "x");
    // Writing to one name does not change the other.
    let (f, _) = taken(&[
        Tar::new().file("a", "1").hardlink("b", "a").end(),
        Tar::new().file("b", "2").end(),
    ]);
    assert_eq!(fs::read_to_string(f.dest().join("a")).unwrap(), "1");
}

#[test]
fn whiteout_tricks() {
    let lower = || Tar::new().file("keep", "1").end();
    for name in [".wh...", ".wh..", ".wh.", "a/.wh...", "../.wh.outside", ".wh.a/b"] {
        refused(&[lower(), Tar::new().file(name, "").end()], name);
    }
    // Through links: hides inside the image or nothing, never outside.
    for (link, whiteout) in [
        ("..", "l/.wh.outside"),
        ("/", "l/.wh.outside"),
        ("..", "l/.wh..wh..opq"),
        ("/nowhere", "l/.wh.x"),
        ("l", "l/.wh.x"),
    ] {
        let layers = [
            Tar::new().file("keep", "1").symlink("l", link).end(),
            Tar::new().file(whiteout, "").end(),
        ];
        let (f, _) = taken(&layers);
        assert!(f.dest().join("keep").is_file(), "{link} {whiteout}");
    }
    // Opaque over a link does not empty what it points to.
    let layers = [
        Tar::new().file("real/a", "1").symlink("l", "real").end(),
        Tar::new().dir("l").file("l/.wh..wh..opq", "").end(),
    ];
    let (f, _) = taken(&layers);
    assert!(f.dest().join("real/a").is_file() && f.dest().join("l").is_dir());
    // The whole root.
    let (f, _) = taken(&[lower(), Tar::new().file("b", "2").file(".wh..wh..opq", "").end()]);
    assert!(!f.dest().join("keep").exists() && f.dest().join("b").is_file());
    // Overlay's own kind would bring a deleted file back if it were skipped.
    let reason =
        refused(&[lower(), Tar::new().raw(EntryType::Char, b"keep", b"", b"").end()], "keep");
    assert!(reason.contains("0/0"), "{reason}");
}

#[test]
fn devices_and_fifos_are_left_out_and_named() {
    let mut device = Tar::header(EntryType::Block, b"dev/sda", b"", 0);
    device.set_device_major(8).unwrap();
    device.set_device_minor(0).unwrap();
    let mut null = Tar::header(EntryType::Char, b"dev/null", b"", 0);
    null.set_device_major(1).unwrap();
    null.set_device_minor(3).unwrap();
    let tar =
        Tar::new().with(device, b"").with(null, b"").raw(EntryType::Fifo, b"p", b"", b"").end();
    let (f, done) = taken(&[tar]);
    assert_eq!(done.skipped, ["dev/sda (block device)", "dev/null (character device)", "p (FIFO)"]);
    assert!(f.dest().join("dev").is_dir() && !f.dest().join("p").exists());
    refused(&[Tar::new().raw(EntryType::GNUSparse, b"s", b"", b"").end()], "s");
    refused(&[Tar::new().raw(EntryType::new(b'D'), b"s", b"", b"").end()], "s");
    refused(&[Tar::new().file("/", "x").raw(EntryType::Symlink, b".", b"/etc", b"").end()], "");
}

/// A header alone that claims this size.
fn claims(kind: EntryType, size: u64) -> Vec<u8> {
    Tar::new().with(Tar::header(kind, b"big", b"", size), b"").end()
}

#[test]
fn headers_that_claim_ten_gigabytes() {
    const TEN_GB: u64 = 10_000_000_000;
    for kind in [
        EntryType::Regular,
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::XHeader,
        EntryType::Directory,
    ] {
        for size in [TEN_GB, u64::MAX, u64::MAX - 511] {
            let err = Fixture::new().unpack(&[claims(kind, size)]).unwrap_err();
            assert!(
                matches!(err, Error::LimitExceeded { .. } | Error::BadLayer { .. }),
                "{kind:?}: {err}"
            );
        }
    }
    let f = Fixture::new();
    let tar = Tar::new().pax(&[("size", "10000000000")]).file("a", "x").end();
    assert!(f.unpack(&[tar]).is_err());
    let tar = Tar::new().pax(&[("size", "0")]).file("a", "x").end();
    let err = f.unpack(&[tar]).unwrap_err();
    assert!(err.to_string().contains("two different sizes"), "{err}");
}

#[test]
fn bombs_stop_at_the_limit() {
    let mut f = Fixture::new();
    f.limits.unpacked_bytes_max = 1 << 20;
    let tar = Tar::new().file("zeros", &"\0".repeat(4 << 20)).end();
    let diff_id = Digest::of(&tar);
    let zstd = zstd::encode_all(tar.as_slice(), 1).unwrap();
    for (media_type, bytes) in [("+gzip", gzip(&tar)), ("+zstd", zstd), ("", tar.clone())] {
        let image = f.image_of(&[(&format!("{TAR}{media_type}"), bytes, diff_id)]);
        let err = unpack(&f.store, &image, &f.dest(), &f.limits).unwrap_err();
        assert!(matches!(err, Error::LimitExceeded { .. }), "{err}");
    }
    // All layers together, and what follows the end of the archive too.
    let half = Tar::new().file("a", &"x".repeat(600 << 10)).end();
    let err = f.unpack(&[half.clone(), half]).unwrap_err();
    assert!(matches!(err, Error::LimitExceeded { .. }), "{err}");
    let mut tail = Tar::new().end();
    tail.resize(2 << 20, 0);
    assert!(matches!(f.unpack(&[tail]), Err(Error::LimitExceeded { .. })));
    // Entries, depth and owners.
    f.limits.entries_max = 3;
    let many = Tar::new().file("a", "").file("b", "").file("c", "").file("d", "").end();
    assert!(matches!(f.unpack(&[many]), Err(Error::LimitExceeded { .. })));
    let mut owner = Tar::header(EntryType::Regular, b"a", b"", 0);
    owner.set_uid(u64::from(u32::MAX));
    let err = f.unpack(&[Tar::new().with(owner, b"").end()]).unwrap_err();
    assert!(err.to_string().contains("owner"), "{err}");
}

#[test]
fn links_do_not_make_paths_deeper_than_the_limit() {
    let mut f = Fixture::new();
    f.limits.path_depth_max = 10;
    let d = "d/".repeat(8);
    let deep = Tar::new()
        .dir(&format!("{d}e"))
        .symlink("s", &format!("{d}e"))
        .dir("s/1")
        .dir("s/2/3")
        .end();
    let err = f.unpack(&[deep]).unwrap_err();
    assert!(err.to_string().contains("deeper"), "{err}");
}

#[test]
fn what_is_not_as_declared() {
    let f = Fixture::new();
    let tar = Tar::new().file("a", "1").end();
    // Wrong diff_id, in the first layer and above it.
    let wrong = Digest::of(b"other");
    for layers in [
        vec![(TAR, tar.clone(), wrong)],
        vec![(TAR, tar.clone(), Digest::of(&tar)), (TAR, tar.clone(), wrong)],
    ] {
        let image = f.image_of(&layers);
        let err = unpack(&f.store, &image, &f.dest(), &f.limits).unwrap_err();
        let Error::DigestMismatch { expected, actual, .. } = &err else { panic!("{err}") };
        assert_eq!((*expected, *actual), (wrong, Digest::of(&tar)));
        assert!(!f.dest().exists());
    }
    // Truncated, not compressed at all, or garbage.
    let whole = gzip(&tar);
    let gz = format!("{TAR}+gzip");
    for bytes in [whole[..whole.len() - 9].to_vec(), whole[..20].to_vec(), tar.clone(), vec![7; 99]]
    {
        let image = f.image_of(&[(&gz, bytes, Digest::of(&tar))]);
        let err = unpack(&f.store, &image, &f.dest(), &f.limits).unwrap_err();
        assert!(matches!(err, Error::BadLayer { .. }), "{err}");
    }
    let cut = tar[..700].to_vec();
    assert!(matches!(f.unpack(&[cut]), Err(Error::BadLayer { .. })));
    let cut = tar[..512].to_vec();
    assert!(matches!(f.unpack(&[cut]), Err(Error::BadLayer { .. })));
    let pending = Tar::new().pax(&[("path", "x")]).end();
    assert!(matches!(f.unpack(&[pending]), Err(Error::BadLayer { .. })));
    let twice = Tar::new().pax(&[("path", "x")]).pax(&[("path", "y")]).file("a", "").end();
    assert!(matches!(f.unpack(&[twice]), Err(Error::BadLayer { .. })));
}

#[test]
fn a_blob_damaged_on_our_disk_is_named_and_removed() {
    let f = Fixture::new();
    let image = f.image(&[Tar::new().file("a", "1").end()]);
    let path = f.layer_paths(&image).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[512] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, &bytes).unwrap();
    let err = unpack(&f.store, &image, &f.dest(), &f.limits).unwrap_err();
    let Error::DigestMismatch { expected, actual, .. } = &err else { panic!("{err}") };
    assert_eq!((*expected, *actual), (image.layers[0].digest, Digest::of(&bytes)));
    assert!(!path.exists());
    // Another size is seen without reading.
    fs::write(&path, b"short").unwrap();
    let err = unpack(&f.store, &image, &f.dest(), &f.limits).unwrap_err();
    assert!(matches!(err, Error::SizeMismatch { actual: 5, .. }), "{err}");
    let err = unpack(&f.store, &image, &f.dest(), &f.limits).unwrap_err();
    assert!(matches!(err, Error::MissingBlob(_)), "{err}");
}
