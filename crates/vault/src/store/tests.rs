use std::{fs, path::PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{Master, audit::Event};

struct Case {
    dir: TempDir,
    keys: Keys,
}

impl Case {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), keys: Master::generate().unwrap().keys() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    fn open(&self) -> Result<(Store, Vec<Record>), StoreError> {
        Store::open(&self.path(), &self.keys)
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }
}

fn line(n: u32) -> Record {
    let event = Event::Merged { count: n };
    Record::Audit(AuditEntry { index: n.into(), time: 7, previous: [0; 32], event })
}

#[test]
fn what_was_acknowledged_is_there_at_the_next_start_in_order() {
    let case = Case::new();
    let (mut store, records) = case.open().unwrap();
    assert_eq!(records, []);
    store.append(&[line(1), line(2)]).unwrap();
    store.append(&[line(3)]).unwrap();
    drop(store);
    let (mut store, records) = case.open().unwrap();
    assert_eq!(records, [line(1), line(2), line(3)]);
    store.append(&[line(4)]).unwrap();
    drop(store);
    assert_eq!(case.open().unwrap().1.len(), 4);
}

#[test]
fn a_write_cut_off_anywhere_loses_itself_and_nothing_before_it() {
    let case = Case::new();
    let (mut store, _) = case.open().unwrap();
    store.append(&[line(1)]).unwrap();
    let whole = store.length();
    store.append(&[line(2), line(3)]).unwrap();
    drop(store);
    let bytes = case.bytes();
    for cut in usize::try_from(whole).unwrap()..bytes.len() {
        fs::write(case.path(), &bytes[..cut]).unwrap();
        let (mut store, records) = case.open().unwrap();
        assert_eq!(records, [line(1)], "cut at {cut}");
        // It goes on from there.
        store.append(&[line(9)]).unwrap();
        drop(store);
        assert_eq!(case.open().unwrap().1, [line(1), line(9)]);
    }
    // A file system may leave zeros in the place of what was not written.
    let zeros = [&bytes[..usize::try_from(whole).unwrap()], &[0; 5000]].concat();
    fs::write(case.path(), zeros).unwrap();
    assert_eq!(case.open().unwrap().1, [line(1)]);
}

#[test]
fn a_changed_bit_anywhere_is_told_and_the_file_is_left_as_it_is() {
    let case = Case::new();
    let (mut store, _) = case.open().unwrap();
    store.append(&[line(1)]).unwrap();
    store.append(&[line(2)]).unwrap();
    drop(store);
    let bytes = case.bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(case.path(), &changed).unwrap();
        let err = case.open().unwrap_err();
        let is_told = matches!(
            err,
            StoreError::Damaged { .. } | StoreError::Master { .. } | StoreError::Other { .. }
        );
        assert!(is_told, "byte {at}: {err}");
        assert_eq!(case.bytes(), changed, "byte {at}");
    }
}

#[test]
fn batches_cannot_be_moved_left_out_or_brought_from_another_file() {
    let case = Case::new();
    let (mut store, _) = case.open().unwrap();
    let mut ends = vec![usize::try_from(store.length()).unwrap()];
    for n in 1..=3 {
        store.append(&[line(n)]).unwrap();
        ends.push(usize::try_from(store.length()).unwrap());
    }
    drop(store);
    let bytes = case.bytes();
    let part = |n: usize| &bytes[ends[n]..ends[n + 1]];
    let head = &bytes[..ends[0]];
    for bad in [
        [head, part(1), part(0), part(2)].concat(),
        [head, part(0), part(2)].concat(),
        [head, part(0), part(0), part(1)].concat(),
    ] {
        fs::write(case.path(), bad).unwrap();
        assert!(matches!(case.open(), Err(StoreError::Damaged { .. })));
    }
    // Another file of the same vault.
    let other = Case { dir: tempfile::tempdir().unwrap(), keys: case.keys.clone() };
    let (mut store, _) = other.open().unwrap();
    store.append(&[line(1)]).unwrap();
    drop(store);
    fs::write(case.path(), [head, &other.bytes()[ends[0]..]].concat()).unwrap();
    assert!(matches!(case.open(), Err(StoreError::Damaged { .. })));
}

#[test]
fn without_the_master_nothing_is_read_and_nothing_written() {
    let case = Case::new();
    let (mut store, _) = case.open().unwrap();
    store.append(&[line(77)]).unwrap();
    drop(store);
    let bytes = case.bytes();
    let thief = Master::generate().unwrap().keys();
    let err = Store::open(&case.path(), &thief).unwrap_err();
    assert!(matches!(err, StoreError::Master { .. }), "{err}");
    assert!(err.to_string().contains("Nothing was written"));
    assert_eq!(case.bytes(), bytes);
}

#[test]
fn other_files_are_refused_and_kept() {
    for content in [&b""[..], b"short", b"a text that is longer than the head of a vault's file"] {
        let case = Case::new();
        fs::write(case.path(), content).unwrap();
        assert!(matches!(case.open(), Err(StoreError::Other { .. })));
        assert_eq!(case.bytes(), content);
    }
    // A head without the batch that is always there.
    let case = Case::new();
    drop(case.open().unwrap());
    let bytes = case.bytes();
    fs::write(case.path(), &bytes[..HEAD_BYTES + 3]).unwrap();
    assert!(matches!(case.open(), Err(StoreError::Master { .. })));
    assert_eq!(case.bytes().len(), HEAD_BYTES + 3);
}

#[test]
fn one_process_has_the_file() {
    let case = Case::new();
    let (store, _) = case.open().unwrap();
    assert!(matches!(case.open(), Err(StoreError::InUse { .. })));
    drop(store);
    case.open().unwrap();
}

#[test]
fn a_new_file_takes_the_place_of_the_old_one_at_once() {
    let case = Case::new();
    // Left by one that was killed while it wrote.
    fs::write(case.dir.path().join("vault.new"), "half").unwrap();
    let (mut store, _) = case.open().unwrap();
    for n in 0..100 {
        store.append(&[line(n)]).unwrap();
    }
    let before = store.length();
    store.rewrite(&case.keys, &[line(200)]).unwrap();
    assert!(store.length() < before);
    store.append(&[line(201)]).unwrap();
    assert!(matches!(case.open(), Err(StoreError::InUse { .. })));
    drop(store);
    assert_eq!(case.open().unwrap().1, [line(200), line(201)]);
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(case.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_was_replaced_under_it_takes_no_write_that_would_be_lost() {
    let case = Case::new();
    let (mut store, _) = case.open().unwrap();
    store.append(&[line(1)]).unwrap();
    assert!(store.is_at_its_path());
    // The new file can't be made: the old one goes on.
    fs::create_dir(case.dir.path().join("vault.new")).unwrap();
    store.rewrite(&case.keys, &[line(9)]).unwrap_err();
    store.append(&[line(2)]).unwrap();
    // It has another's name now.
    fs::copy(case.path(), case.dir.path().join("copy")).unwrap();
    fs::rename(case.dir.path().join("copy"), case.path()).unwrap();
    store.rewrite(&case.keys, &[line(9)]).unwrap_err();
    assert!(matches!(store.append(&[line(3)]), Err(StoreError::Broken { .. })));
    drop(store);
    assert_eq!(case.open().unwrap().1, [line(1), line(2)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_appends_and_cuts_leave_a_prefix(
        batches in prop::collection::vec(prop::collection::vec(0u32..1000, 0..4), 1..6),
        cut: prop::sample::Index,
    ) {
        let case = Case::new();
        let (mut store, _) = case.open().unwrap();
        let mut ends = vec![usize::try_from(store.length()).unwrap()];
        for batch in &batches {
            store.append(&batch.iter().copied().map(line).collect::<Vec<_>>()).unwrap();
            ends.push(usize::try_from(store.length()).unwrap());
        }
        drop(store);
        let bytes = case.bytes();
        let cut = ends[0] + cut.index(bytes.len() - ends[0] + 1);
        fs::write(case.path(), &bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        let wanted: Vec<Record> = batches[..whole].iter().flatten().copied().map(line).collect();
        prop_assert_eq!(case.open().unwrap().1, wanted);
    }
}

#[test]
fn a_file_written_anew_may_be_longer_than_a_batch() {
    use crate::entry::{Body, Entry, Key};
    let case = Case::new();
    let (mut store, _) = case.open().unwrap();
    let publisher = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
    let records: Vec<Record> = (0..100)
        .map(|n| {
            let key = Key::Collateral(format!("c{n}"));
            let body = Some(Body::Collateral(vec![7; 200_000]));
            let entry = Entry { vault: case.keys.id(), version: n, key, body };
            Record::Entry(Box::new(entry.sign(&publisher)))
        })
        .collect();
    assert!(records.encoded_size() > BATCH_BYTES_MAX);
    store.rewrite(&case.keys, &records).unwrap();
    store.append(&[line(1)]).unwrap();
    drop(store);
    let (_, mut found) = case.open().unwrap();
    assert_eq!(found.pop(), Some(line(1)));
    assert_eq!(found, records);
}
