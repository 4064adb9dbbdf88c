//! Honest images come out as they were packed.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use tar::EntryType;

use crate::{
    Digest, Error, read_in_root,
    testing::{Fixture, TAR, Tar, gzip},
    unpack,
};

#[test]
fn all_compressions_give_the_same_tree() {
    let tar = Tar::new().dir("etc").file("etc/a", "hello").symlink("l", "etc/a").end();
    let diff_id = Digest::of(&tar);
    let zstd = zstd::encode_all(tar.as_slice(), 1).unwrap();
    for (media_type, bytes) in [
        (TAR.to_owned(), tar.clone()),
        (format!("{TAR}+gzip"), gzip(&tar)),
        (format!("{TAR}+zstd"), zstd),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip".to_owned(), gzip(&tar)),
    ] {
        let f = Fixture::new();
        let image = f.image_of(&[(&media_type, bytes, diff_id)]);
        let done = unpack(&f.store, &image, &f.dest(), &f.limits).unwrap();
        assert_eq!((done.entries, done.bytes), (3, tar.len() as u64), "{media_type}");
        assert_eq!(fs::read_to_string(f.dest().join("l")).unwrap(), "hello");
    }
}

#[test]
fn modes_times_and_owners_are_kept_and_set_id_bits_are_not() {
    let f = Fixture::new();
    let mut program = Tar::header(EntryType::Regular, b"d/p", b"", 1);
    program.set_mode(0o6755);
    program.set_uid(1000);
    program.set_gid(100);
    program.set_mtime(1_234_567);
    let mut tmp = Tar::header(EntryType::Directory, b"tmp", b"", 0);
    tmp.set_mode(0o3777);
    let mut closed = Tar::header(EntryType::Directory, b"closed", b"", 0);
    closed.set_mode(0o555);
    let tar = Tar::new()
        .with(closed, b"")
        .file("closed/inside", "x")
        .with(program, b"x")
        .with(tmp, b"")
        .end();
    f.unpack(&[tar]).unwrap();
    let meta = |name: &str| fs::symlink_metadata(f.dest().join(name)).unwrap();
    assert_eq!(meta("d/p").permissions().mode() & 0o7777, 0o755);
    assert_eq!(meta("d/p").mtime(), 1_234_567);
    assert_eq!(meta("tmp").permissions().mode() & 0o7777, 0o1777);
    assert_eq!(meta("closed").permissions().mode() & 0o7777, 0o555);
    assert_eq!(meta("closed").mtime(), 1_000_000);
    // Made on the way, by no entry.
    assert_eq!(meta("d").permissions().mode() & 0o7777, 0o755);
    assert_eq!(meta("d").mtime(), 0);
    assert!(nix::unistd::geteuid().is_root(), "this test must run as root, to see owners kept");
    assert_eq!((meta("d/p").uid(), meta("d/p").gid()), (1000, 100));
}

#[test]
fn layers_replace_and_whiteouts_hide() {
    let f = Fixture::new();
    let lower = Tar::new()
        .file("keep", "1")
        .file("gone", "1")
        .dir("tree")
        .file("tree/a/b", "1")
        .dir("opaque")
        .file("opaque/old", "1")
        .file("becomes-dir", "1")
        .dir("becomes-file")
        .file("becomes-file/x", "1")
        .symlink("link", "keep")
        .end();
    let upper = Tar::new()
        .file(".wh.gone", "")
        .file(".wh.tree", "")
        // In the same layer, before the whiteout of its directory: it stays.
        .file("opaque/new", "2")
        .file("opaque/.wh..wh..opq", "")
        .file("becomes-dir/x", "2")
        .end();
    // A file where a directory is expected is no valid layer without the directory's own entry.
    let err = f.unpack(&[lower.clone(), upper]).unwrap_err();
    assert!(matches!(&err, Error::Forbidden { entry, .. } if entry == "becomes-dir/x"), "{err}");

    let upper = Tar::new()
        .file("opaque/new", "2")
        .file("opaque/.wh..wh..opq", "")
        .file(".wh.gone", "")
        .file(".wh.never-there", "")
        .file("nowhere/.wh.x", "")
        .file(".wh.tree", "")
        .file("tree/c", "2")
        .dir("becomes-dir")
        .file("becomes-dir/x", "2")
        .file("becomes-file", "2")
        .file("link", "2")
        .end();
    f.unpack(&[lower, upper]).unwrap();
    let read = |name: &str| fs::read_to_string(f.dest().join(name)).unwrap();
    let names = |dir: &str| {
        let mut names: Vec<_> = fs::read_dir(f.dest().join(dir))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(""), ["becomes-dir", "becomes-file", "keep", "link", "opaque", "tree"]);
    assert_eq!(names("opaque"), ["new"]);
    assert_eq!(names("tree"), ["c"]);
    assert_eq!(read("becomes-dir/x"), "2");
    assert_eq!(read("becomes-file"), "2");
    // The link was replaced, not written through.
    assert_eq!((read("link"), read("keep")), ("2".to_owned(), "1".to_owned()));
}

#[test]
fn links_inside_the_image_are_followed_as_in_a_root() {
    let f = Fixture::new();
    let lower = Tar::new().dir("usr/bin").symlink("bin", "usr/bin").symlink("abs", "/usr").end();
    let upper = Tar::new()
        .file("bin/tool", "t")
        .file("abs/share/doc", "d")
        .hardlink("usr/same", "/abs/bin/tool")
        .end();
    f.unpack(&[lower, upper]).unwrap();
    assert_eq!(fs::read_to_string(f.dest().join("usr/bin/tool")).unwrap(), "t");
    assert_eq!(fs::read_to_string(f.dest().join("usr/share/doc")).unwrap(), "d");
    assert_eq!(fs::metadata(f.dest().join("usr/same")).unwrap().nlink(), 2);
    assert!(fs::symlink_metadata(f.dest().join("bin")).unwrap().is_symlink());
}

#[test]
fn long_names_are_put_together() {
    let f = Fixture::new();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let mut gnu = long.clone().into_bytes();
    gnu.push(0);
    let tar = Tar::new()
        .raw(EntryType::GNULongName, b"././@LongLink", b"", &gnu)
        .file("short", "gnu")
        .pax(&[("path", "päx"), ("SCHILY.xattr.user.a", "x\ny=1"), ("mtime", "77.5")])
        .file("short", "pax")
        .raw(EntryType::XGlobalHeader, b"g", b"", b"19 path=everywhere\n")
        .file("after", "global")
        .end();
    f.unpack(&[tar]).unwrap();
    assert_eq!(fs::read_to_string(f.dest().join(long)).unwrap(), "gnu");
    assert_eq!(fs::read_to_string(f.dest().join("päx")).unwrap(), "pax");
    assert_eq!(fs::metadata(f.dest().join("päx")).unwrap().mtime(), 77);
    assert_eq!(fs::read_to_string(f.dest().join("after")).unwrap(), "global");
}

#[test]
fn an_existing_destination_and_a_killed_unpack_are_told_apart() {
    let f = Fixture::new();
    let tar = Tar::new().file("a", "1").end();
    // Left by a kill.
    fs::create_dir_all(f.dir.path().join(".dest.partial/x")).unwrap();
    fs::create_dir(f.dest()).unwrap();
    f.unpack(std::slice::from_ref(&tar)).unwrap();
    assert!(!f.dir.path().join(".dest.partial").exists());
    assert!(matches!(f.unpack(&[tar]), Err(Error::Exists(_))));
}

#[test]
fn reading_in_a_root_never_leaves_it() {
    let f = Fixture::new();
    let tar = Tar::new()
        .file("etc/passwd", "inside")
        .symlink("abs", "/etc/passwd")
        .symlink("up", "../../../../../../etc/passwd")
        .symlink("self", "self")
        .end();
    f.unpack(&[tar]).unwrap();
    for path in ["/etc/passwd", "etc/passwd", "abs", "/up", "../../etc/passwd"] {
        let read = read_in_root(&f.dest(), path.as_ref(), 100).unwrap();
        assert_eq!(read.as_deref(), Some(b"inside".as_slice()), "{path}");
    }
    for path in ["none", "self", "etc", "etc/passwd/x"] {
        assert_eq!(read_in_root(&f.dest(), path.as_ref(), 100).unwrap(), None, "{path}");
    }
    let err = read_in_root(&f.dest(), "abs".as_ref(), 5).unwrap_err();
    assert!(matches!(err, Error::LimitExceeded { .. }), "{err}");
}
