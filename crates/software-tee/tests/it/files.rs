//! What `init` leaves on disk.

use crate::common::{SHARED, copy};
use casemate_software_tee::{Directory, Error, Validity, daemon::now};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            out.extend(files(&entry.path()));
        } else {
            out.push(entry.path());
        }
    }
    out
}

#[test]
fn no_private_key_can_be_read_by_others() {
    let mut keys = 0;
    for path in files(SHARED.path()) {
        let text = fs::read(&path).unwrap();
        if text.windows(11).any(|window| window == b"PRIVATE KEY") {
            assert!(path.starts_with(SHARED.path().join("pki/keys")), "{path:?}");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
            keys += 1;
        }
    }
    // Root, PCK authority, TCB signing, ARK, ASK; PCK and VCEK of six machines.
    assert_eq!(keys, 5 + 2 * 6);
    for folder in ["", "pki"] {
        let mode = fs::metadata(SHARED.path().join(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700, "{folder}");
    }
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tee = folder.path().join("tee");
    copy(SHARED.path(), &tee);
    Directory::open(&tee).unwrap();
    let key = tee.join("pki/keys/amd-ark.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    match Directory::open(&tee) {
        Err(Error::KeyReadableByOthers { path, mode: 0o640 }) => assert_eq!(path, key),
        other => panic!("{other:?}"),
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::copy(tee.join("pki/keys/intel-root.pem"), &key).unwrap();
    assert!(matches!(Directory::open(&tee), Err(Error::BadKey { .. })));
    fs::remove_file(&key).unwrap();
    assert!(matches!(Directory::open(&tee), Err(Error::File { .. })));
}

#[test]
fn init_keeps_what_is_there_and_no_two_are_alike() {
    assert!(matches!(
        Directory::init(SHARED.path(), now().unwrap(), Validity::default()),
        Err(Error::AlreadyInitialised { .. })
    ));

    let folder = tempfile::tempdir().unwrap();
    // Left by one that was killed.
    fs::create_dir_all(folder.path().join("pki.new/keys")).unwrap();
    fs::write(folder.path().join("pki.new/keys/intel-root.pem"), "half").unwrap();
    let other = Directory::init(folder.path(), now().unwrap(), Validity::default()).unwrap();
    let all = |directory: &Directory| -> BTreeSet<Vec<u8>> {
        let keys = files(&directory.path().join("pki/keys"));
        keys.iter().map(|path| fs::read(path).unwrap()).collect()
    };
    let (mine, theirs) = (all(&SHARED), all(&other));
    assert_eq!(mine.len(), 17, "each key is another");
    assert_eq!(theirs.len(), 17);
    assert!(mine.is_disjoint(&theirs));
    let roots =
        |directory: &Directory| directory.collateral(now().unwrap(), &[]).unwrap()["roots"].clone();
    assert_ne!(roots(&SHARED)[0], roots(&other)[0]);
    assert_ne!(roots(&SHARED)[1], roots(&other)[1]);
}

#[test]
fn collateral_is_kept_until_half_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let tee = folder.path().join("tee");
    copy(SHARED.path(), &tee);
    let directory = Directory::open(&tee).unwrap();
    let (now, day) = (now().unwrap(), 86_400);
    let first = directory.collateral(now, &[]).unwrap();
    assert_eq!(directory.collateral(now + 14 * day, &[]).unwrap(), first);
    let second = directory.collateral(now + 16 * day, &[]).unwrap();
    assert!(second["expiresAt"].as_u64() > first["expiresAt"].as_u64());
    assert_eq!(directory.collateral(now + 16 * day, &[]).unwrap(), second);
    // A clock that was ahead and is right again.
    assert_ne!(directory.collateral(now, &[]).unwrap(), second);
}
