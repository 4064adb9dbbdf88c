use std::path::PathBuf;

use tar::EntryType;

use super::*;
use crate::{
    ImageBuilder,
    testing::{Fixture, Tar},
};

fn exported(f: &Fixture) -> (Image, PathBuf) {
    let root = f.dir.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a"), "a").unwrap();
    let image = ImageBuilder::from_directory(&root).build(&f.store, &f.limits).unwrap();
    let path = f.dir.path().join("layout");
    export_layout(&f.store, &image, &path, "v1").unwrap();
    (image, path)
}

fn fresh(f: &Fixture, name: &str) -> Store {
    Store::open(f.dir.path().join(name)).unwrap()
}

#[test]
fn a_layout_round_trips_by_tag_digest_or_alone() {
    let f = Fixture::new();
    let (image, path) = exported(&f);
    let digest = image.manifest_digest.to_string();
    for (n, select) in [None, Some("v1"), Some(digest.as_str())].into_iter().enumerate() {
        let store = fresh(&f, &n.to_string());
        assert_eq!(load_layout(&store, &path, select, &f.limits).unwrap(), image);
    }
    let err = load_layout(&f.store, &path, Some("v2"), &f.limits).unwrap_err();
    assert!(err.to_string().contains("`v2`") && err.to_string().contains("v1"), "{err}");
    assert!(matches!(export_layout(&f.store, &image, &path, "v1"), Err(Error::Exists(_))));
    let other = f.dir.path().join("other");
    assert!(export_layout(&f.store, &image, &other, "../v1").is_err());
}

#[test]
fn a_damaged_layout_is_refused() {
    let f = Fixture::new();
    let (image, path) = exported(&f);
    let blob = |digest: &Digest| path.join("blobs/sha256").join(digest.hex());
    let layer = blob(&image.layers[0].digest);
    let good = fs::read(&layer).unwrap();
    let load = |name: &str| load_layout(&fresh(&f, name), &path, None, &f.limits).unwrap_err();
    fs::remove_file(&layer).unwrap();
    assert!(matches!(load("1"), Error::NotAnImage { .. }));
    let mut bad = good.clone();
    bad[20] ^= 1;
    fs::write(&layer, &bad).unwrap();
    let err = load("2");
    assert!(matches!(err, Error::DigestMismatch { expected, actual, .. }
            if expected == image.layers[0].digest && actual == Digest::of(&bad)));
    fs::write(&layer, &good[1..]).unwrap();
    assert!(matches!(load("3"), Error::SizeMismatch { .. }));
    fs::write(&layer, [good.as_slice(), b"x"].concat()).unwrap();
    assert!(matches!(load("4"), Error::SizeMismatch { .. }));
    fs::remove_file(&layer).unwrap();
    nix::unistd::mkfifo(&layer, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(load("5"), Error::NotAnImage { .. }));
    fs::write(path.join("index.json"), "{").unwrap();
    assert!(matches!(load("6"), Error::Json { .. }));
    fs::write(path.join("index.json"), "[".repeat(1 << 20)).unwrap();
    assert!(matches!(load("7"), Error::Json { .. }));
    fs::remove_file(path.join("index.json")).unwrap();
    let err = load("8");
    assert!(err.to_string().contains("index.json"), "{err}");
}

#[test]
fn archives_are_read_whatever_their_order_and_names_stay_names() {
    let f = Fixture::new();
    let (image, path) = exported(&f);
    let mut tar = Tar::new().dir("blobs").file("../../escape", "x").file("/tmp/casemate-x", "x");
    let mut names: Vec<_> = fs::read_dir(path.join("blobs/sha256"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let name = format!("blobs/sha256/{name}");
        let bytes = fs::read(path.join(&name)).unwrap();
        tar = tar.raw(EntryType::Regular, format!("./{name}").as_bytes(), b"", &bytes);
    }
    let index = fs::read(path.join("index.json")).unwrap();
    let bytes = tar.raw(EntryType::Regular, b"index.json", b"", &index).end();
    let archive = f.dir.path().join("image.tar");
    for (n, bytes) in [bytes.clone(), crate::testing::gzip(&bytes)].iter().enumerate() {
        fs::write(&archive, bytes).unwrap();
        let store = fresh(&f, &n.to_string());
        assert_eq!(load_archive(&store, &archive, Some("v1"), &f.limits).unwrap(), image);
        assert!(!f.dir.path().join("escape").exists());
        assert!(!Path::new("/tmp/casemate-x").exists());
    }
    fs::write(&archive, &bytes[..bytes.len() / 2]).unwrap();
    let err = load_archive(&f.store, &archive, None, &f.limits).unwrap_err();
    assert!(matches!(err, Error::NotAnImage { .. }), "{err}");
    for hostile in [
        Tar::new().with(Tar::header(EntryType::Regular, b"big", b"", 10_000_000_000), b"").end(),
        Tar::new()
            .with(Tar::header(EntryType::GNULongName, b"big", b"", 10_000_000_000), b"")
            .end(),
        Tar::new().file("a", "1").file("a", "2").end(),
        Tar::new().file("manifest.json", "[]").end(),
        Tar::new().file("manifest.json", "[{\"Config\":\"x\",\"Layers\":[]}]").end(),
        Vec::new(),
        vec![7; 4096],
    ] {
        fs::write(&archive, hostile).unwrap();
        assert!(load_archive(&f.store, &archive, None, &f.limits).is_err());
    }
}
