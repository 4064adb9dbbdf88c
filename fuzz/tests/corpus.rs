//! Every input that was ever worth keeping, as an ordinary test.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use casemate_fuzz::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn inputs(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = corpus().join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|err| panic!("{}: {err}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "target `{name}` has no seed in {}", folder.display());
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn each_target_has_seeds_and_each_seed_a_target() {
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "the registry is in order, each name once");
    let folders: BTreeSet<String> = fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(folders, names.iter().map(|name| (*name).to_owned()).collect());
    for name in names {
        for (path, bytes) in inputs(name) {
            assert!(bytes.len() <= 64 << 10, "{} is too large for a seed", path.display());
        }
    }
}

#[test]
fn no_kept_input_breaks_its_target() {
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        for (path, bytes) in inputs(name) {
            if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
                broken.push(path.display().to_string());
            }
        }
    }
    assert!(broken.is_empty(), "these break their targets: {broken:#?}");
}

/// A poor man's fuzzer, the same each time: cut off and changed seeds.
#[test]
fn neither_do_seeds_that_were_cut_or_changed() {
    for (name, target) in TARGETS {
        // What makes files takes a while for each.
        let most = if name.starts_with("image_l") || *name == "image_archive" { 40 } else { 400 };
        for (path, bytes) in inputs(name) {
            let mut state = 0x9E37_79B9_7F4A_7C15_u64;
            let mut next = |below: usize| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                usize::try_from(state % below.max(1) as u64).unwrap()
            };
            for round in 0..most {
                let mut changed = bytes.clone();
                match round % 4 {
                    0 => changed.truncate(next(bytes.len())),
                    1 | 2 if !changed.is_empty() => {
                        let at = next(changed.len());
                        changed[at] = u8::try_from(next(256)).unwrap();
                    }
                    _ => {
                        let (from, to) = (next(bytes.len()), next(bytes.len()));
                        changed.splice(to..to, bytes[from.min(to)..from.max(to)].iter().copied());
                    }
                }
                let failed = catch_unwind(AssertUnwindSafe(|| target(&changed))).is_err();
                let text = String::from_utf8_lossy(&changed);
                assert!(!failed, "{}, changed to: {text}", path.display());
            }
        }
    }
}
