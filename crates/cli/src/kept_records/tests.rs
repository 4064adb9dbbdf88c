use casemate_primitives::UsageRecord;
use codec::Encode as _;
use ed25519_dalek::{Signer as _, SigningKey};

use super::*;

const GENESIS: Hash256 = [7; 32];
const LEASE: LeaseId = LeaseId(5);

fn signed_for(genesis_hash: &Hash256, seed: u8, record: UsageRecord) -> SignedRecord {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let signature = key.sign(&record.signing_payload(genesis_hash)).to_bytes();
    let entry = RecordEntry {
        key: Hex(key.verifying_key().to_bytes()),
        record: Hex(record.encode()),
        signature: Hex(signature),
    };
    SignedRecord::check(&entry, record.lease, genesis_hash).unwrap()
}

/// Good records of one agent.
fn chain(seed: u8, length: u64) -> Vec<SignedRecord> {
    let mut records: Vec<UsageRecord> = Vec::new();
    for sequence in 1..=length {
        records.push(UsageRecord {
            lease: LEASE,
            sequence,
            previous: records.last().map(UsageRecord::hash).unwrap_or_default(),
            from: sequence * 10,
            to: sequence * 10 + 10,
            running_seconds: sequence * 10,
            log: LogHead { root: [seed; 32], chunks: sequence },
            ..UsageRecord::default()
        });
    }
    records.into_iter().map(|record| signed_for(&GENESIS, seed, record)).collect()
}

fn open(folder: &tempfile::TempDir) -> KeptRecords {
    KeptRecords::open(&folder.path().join("deep/records.jsonl"), GENESIS, LEASE).unwrap()
}

#[test]
fn records_are_kept_once_and_outlive_what_the_provider_forgets() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (chain(1, 6), chain(2, 2));
    let mut kept = open(&folder);
    assert_eq!(kept.add(&one[..4]).unwrap(), 4);
    assert_eq!(kept.add(&one[..4]).unwrap(), 0);
    // The provider has only its newest ones by now.
    let mut kept = open(&folder);
    assert_eq!(kept.records(), &one[..4]);
    assert_eq!(kept.add(&[one[5], two[0]]).unwrap(), 2);
    let kept = open(&folder);
    kept.check().unwrap();
    assert_eq!(kept.records().len(), 6);
    assert!(kept.knows(0, one[0].key()) && !kept.knows(1, one[0].key()));
    let sequences: Vec<_> = kept.heads().iter().map(|head| (head.key, head.sequence)).collect();
    assert_eq!(sequences.len(), 2);
    assert!(sequences.contains(&(*one[0].key(), 6)) && sequences.contains(&(*two[0].key(), 1)));
    let mode = std::os::unix::fs::PermissionsExt::mode;
    assert_eq!(mode(&fs::metadata(&kept.path).unwrap().permissions()) & 0o777, 0o600);
}

#[test]
fn a_line_that_was_cut_off_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let all = chain(1, 3);
    let mut kept = open(&folder);
    kept.add(&all[..2]).unwrap();
    let path = kept.path.clone();
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() - 20]).unwrap();
    let mut kept = open(&folder);
    assert_eq!(kept.records(), &all[..1]);
    assert_eq!(kept.add(&all).unwrap(), 2);
    assert_eq!(open(&folder).records(), all);
}

#[test]
fn a_record_that_contradicts_a_kept_one_is_told_loudly_and_both_are_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let all = chain(1, 3);
    let mut kept = open(&folder);
    kept.add(&all).unwrap();
    let before = fs::read(&kept.path).unwrap();
    let mut forked = *all[1].record();
    forked.to += 5;
    let forked = signed_for(&GENESIS, 1, forked);
    let error = kept.add(&[forked]).unwrap_err();
    let report = crate::failure::Report::of(&error);
    assert!(report.causes[0].contains("CONTRADICT"), "{report:?}");
    assert!(report.causes[0].contains("records 2 and 2"), "{report:?}");
    assert_eq!(fs::read(&kept.path).unwrap(), before, "the good ones stay as they are");
    let file = fs::read_dir(kept.path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("contradiction"))
        .unwrap();
    assert!(report.hint.unwrap().contains(&*file.to_string_lossy()));
    let dispute: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(dispute["lease"], 5);
    // Both can be checked by whoever gets the file.
    let read = |name: &str| {
        let entry: RecordEntry = serde_json::from_value(dispute[name].clone()).unwrap();
        SignedRecord::check(&entry, LEASE, &GENESIS).unwrap()
    };
    let both = [read("first"), read("second")];
    assert!(both.contains(&all[1]) && both.contains(&forked));
    // Nothing good is taken along with a lie, nor does a lie on an empty file go unseen.
    let mut empty = KeptRecords::open(&folder.path().join("x"), GENESIS, LEASE).unwrap();
    empty.add(&[all[0], all[1], forked]).unwrap_err();
    assert!(!folder.path().join("x").exists());
}

#[test]
fn a_changed_file_is_told_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = open(&folder);
    kept.add(&chain(1, 2)).unwrap();
    let path = kept.path.clone();
    let text = fs::read_to_string(&path).unwrap();
    let record = hex::encode(chain(1, 2)[1].record().encode());
    for changed in [
        text.replacen(&record, &record.replacen("01", "02", 1), 1),
        text.replacen("{\"chain\"", "{\"chian\"", 2).replacen("{\"chian\"", "{\"chain\"", 1),
        text.clone() + "\n",
    ] {
        assert_ne!(changed, text);
        fs::write(&path, changed).unwrap();
        let error = KeptRecords::open(&path, GENESIS, LEASE).unwrap_err().to_string();
        assert!(error.contains("line 2") || error.contains("line 3"), "{error}");
    }
    fs::write(&path, &text).unwrap();
    let other = KeptRecords::open(&path, [8; 32], LEASE).unwrap_err().to_string();
    assert!(other.contains("another chain"), "{other}");
    let other = format!("{:#}", KeptRecords::open(&path, GENESIS, LeaseId(6)).unwrap_err());
    assert!(other.contains("record of lease 5"), "{other}");
}

/// The file that two contradicting records leave.
fn evidence(folder: &tempfile::TempDir) -> PathBuf {
    let all = chain(1, 3);
    let mut kept = open(folder);
    kept.add(&all).unwrap();
    let mut forked = *all[1].record();
    forked.to += 5;
    kept.add(&[signed_for(&GENESIS, 1, forked)]).unwrap_err();
    let mut found = evidence_beside(&kept.path);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn what_was_written_of_a_contradiction_proves_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = evidence(&folder);
    let [first, second] = read_evidence(&file, &GENESIS, LEASE).unwrap();
    assert!(first.record().contradicts(second.record()));
    // Of other leases nothing is taken by their file names.
    assert!(evidence_beside(&folder.path().join("deep/6.records.jsonl")).is_empty());
    assert!(evidence_beside(&folder.path().join("nowhere/records.jsonl")).is_empty());
}

#[test]
fn what_proves_nothing_is_told_before_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = evidence(&folder);
    let told = |file: &Path, genesis: &Hash256, lease| {
        let error = read_evidence(file, genesis, lease).unwrap_err();
        assert!(crate::failure::Report::of(&error).hint.is_some(), "{error:#}");
        format!("{error:#}")
    };
    assert!(told(&file, &[8; 32], LEASE).contains("another chain"));
    assert!(told(&file, &GENESIS, LeaseId(6)).contains("record of lease 5"));
    let text = fs::read_to_string(&file).unwrap();
    let dispute: serde_json::Value = serde_json::from_str(&text).unwrap();
    let changed = |name: &str, value: serde_json::Value| {
        let mut changed = dispute.clone();
        changed[name] = value;
        let path = folder.path().join("changed.json");
        fs::write(&path, changed.to_string()).unwrap();
        told(&path, &GENESIS, LEASE)
    };
    assert!(changed("second", dispute["first"].clone()).contains("both records can be true"));
    let good = chain(1, 3)[2].to_entry();
    let good = serde_json::to_value(&good).unwrap();
    assert!(changed("second", good).contains("does not prove"), "1 and 2 fit 3");
    let other = serde_json::to_value(chain(2, 2)[1].to_entry()).unwrap();
    assert!(changed("second", other).contains("two agents"));
    let mut forged = dispute["second"].clone();
    forged["signature"] = Hex([1u8; 64]).to_string().into();
    assert!(changed("second", forged).contains("second record does not count"));
    fs::write(&file, "{").unwrap();
    assert!(told(&file, &GENESIS, LEASE).contains("two usage records"));
    fs::write(&file, vec![b' '; 70_000]).unwrap();
    let long = format!("{:#}", read_evidence(&file, &GENESIS, LEASE).unwrap_err());
    assert!(long.contains("too long"), "{long}");
}
