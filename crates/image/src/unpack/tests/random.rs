//! Whatever the entries: nothing outside of the destination is made, changed or removed.
//!
//! Tests run as root. Should the code ever break, the tricks here must not reach the machine: the
//! destination lies deeper than all `..` of a case lead up, and absolute links lead to a directory
//! of the test.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use tar::EntryType;

use crate::testing::{Fixture, Tar};

#[derive(Clone, Debug)]
struct Random {
    kind: u8,
    name: String,
    link: String,
}

/// Few names, so that entries meet each other: that is where the tricks are.
fn name() -> impl Strategy<Value = String> {
    let component = prop_oneof![
        24 => prop::sample::select(vec!["a", "b", "victim"]),
        1 => prop::sample::select(vec!["..", ".", "", ".wh.a", ".wh.victim", ".wh..wh..opq", ".wh..."]),
    ];
    (prop::bool::weighted(0.2), prop::collection::vec(component, 1..4)).prop_map(
        |(absolute, parts)| format!("{}{}", if absolute { "/" } else { "" }, parts.join("/")),
    )
}

/// Links out of the destination, by all ways there are.
fn link() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => name().prop_map(|name| if name.starts_with('/') { format!("{OUTSIDE}{name}") } else { name }),
        1 => prop::sample::select(vec!["..", "../..", "../outside", "../../outside"])
            .prop_map(str::to_owned),
        2 => Just(OUTSIDE.to_owned()),
    ]
}

fn snapshot(dir: &Path, skip: &[PathBuf], into: &mut BTreeMap<PathBuf, (u32, u64, i64, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if skip.contains(&path) {
            continue;
        }
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        // A directory changes when the destination appears in it; its entries are compared.
        let (links, time) = if meta.is_dir() { (0, 0) } else { (meta.nlink(), meta.mtime()) };
        into.insert(path.clone(), (meta.mode(), links, time, content));
        if meta.is_dir() {
            snapshot(&path, skip, into);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stays_inside(
        layers in prop::collection::vec(
            prop::collection::vec(
                (prop::sample::select(KINDS), name(), link()),
                1..8,
            ),
            1..4,
        ),
    ) {
        let f = Fixture::new();
        let deep = f.dir.path().join("d/".repeat(DEPTH));
        let (dest, outside) = (deep.join("dest"), f.dir.path().join("o/".repeat(OUTSIDE_DEPTH)));
        fs::create_dir_all(&outside).unwrap();
        fs::create_dir_all(&deep).unwrap();
        for dir in [&outside, &deep, deep.parent().unwrap()] {
            fs::write(dir.join("victim"), "untouched").unwrap();
        }
        let tars: Vec<_> = layers
            .iter()
            .map(|entries| {
                entries
                    .iter()
                    .map(|(kind, name, link)| Random {
                        kind: *kind,
                        name: name.clone(),
                        link: link.replace(OUTSIDE, outside.to_str().unwrap()),
                    })
                    .fold(Tar::new(), |tar, Random { kind, name, link }| match kind {
                        0 | 1 => tar.file(&name, "x"),
                        2 => tar.dir(&name),
                        3 => tar.symlink(&name, &link),
                        4 => tar.hardlink(&name, &link),
                        _ => tar.raw(EntryType::Fifo, name.as_bytes(), b"", b""),
                    })
                    .end()
            })
            .collect();
        let image = f.image(&tars);
        let skip = [dest.clone(), f.dir.path().join("store")];
        let mut before = BTreeMap::new();
        snapshot(f.dir.path(), &skip, &mut before);
        let result = crate::unpack(&f.store, &image, &dest, &f.limits);
        let mut after = BTreeMap::new();
        snapshot(f.dir.path(), &skip, &mut after);
        // Not printed in full: the names are long.
        before.retain(|path, value| after.remove(path).as_ref() != Some(value));
        prop_assert!(before.is_empty() && after.is_empty(), "-{:?} +{:?}", before.last_key_value(), after.last_key_value());
        prop_assert_eq!(result.is_ok(), dest.exists());
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let f = Fixture::new();
        let image = f.image(&[bytes]);
        let _ = crate::unpack(&f.store, &image, &f.dest(), &f.limits);
    }
}

/// Stands for the absolute path of a directory beside the destination.
const OUTSIDE: &str = "/OUTSIDE";
/// More than the `..` of all entries of a case together.
const DEPTH: usize = 70;
/// As deep as fits into the link field of a header, which has 100 bytes.
const OUTSIDE_DEPTH: usize = 25;
/// Mostly links and files: a hard link or a FIFO in the wrong place ends a case early.
const KINDS: &[u8] = &[0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 3, 3, 4, 5];
