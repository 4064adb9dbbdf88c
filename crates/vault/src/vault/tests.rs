use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use ed25519_dalek::SigningKey;
use tempfile::TempDir;

use super::*;
use crate::{
    Master,
    entry::{Body, Entry},
};

const NOW: u64 = 1_800_000_000;

struct Case {
    dir: TempDir,
    keys: Keys,
    clock: Arc<AtomicU64>,
}

fn publisher() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

impl Case {
    fn new() -> Self {
        let keys = Master::generate().unwrap().keys();
        Self { dir: tempfile::tempdir().unwrap(), keys, clock: Arc::new(AtomicU64::new(NOW)) }
    }

    fn open(&self, name: &str) -> Vault {
        let clock = Arc::clone(&self.clock);
        let options = Options {
            store: self.dir.path().join(name),
            publisher: publisher().verifying_key().to_bytes(),
            clock: Arc::new(move || clock.load(Ordering::Relaxed)),
        };
        Vault::open(self.keys.clone(), &options).unwrap()
    }

    fn secret(&self, version: u64, name: &str, value: &str) -> SignedEntry {
        Entry::secret(&self.keys, version, name, value.as_bytes()).unwrap().sign(&publisher())
    }

    fn removal(&self, version: u64, name: &str) -> SignedEntry {
        let key = Key::Secret(name.into());
        Entry { vault: self.keys.id(), version, key, body: None }.sign(&publisher())
    }
}

#[test]
fn entries_are_taken_all_or_none_and_are_there_after_a_start() {
    let case = Case::new();
    let vault = case.open("a");
    assert_eq!(vault.put(vec![case.secret(1, "A", "a"), case.secret(2, "B", "b")]).unwrap(), 2);
    assert_eq!(vault.put(vec![case.secret(3, "C", "c"), case.removal(4, "A")]).unwrap(), 2);
    let err = vault.put(vec![case.secret(9, "D", "d"), case.secret(1, "B", "older")]).unwrap_err();
    assert!(matches!(err, Refused::Entry(EntryError::Older { have: 2, found: 1 })), "{err}");
    let stranger = SigningKey::from_bytes(&[6; 32]);
    let forged = Entry::secret(&case.keys, 10, "B", b"x").unwrap().sign(&stranger);
    assert_eq!(vault.put(vec![forged]).unwrap_err().code(), "badSignature");
    let listed = vault.list();
    let (status, trail) = (vault.status(), vault.command(Command::Audit { from: 0, count: 100 }));
    drop(vault);
    let vault = case.open("a");
    assert_eq!(vault.list(), listed);
    assert_eq!(vault.status(), status);
    assert_eq!(vault.command(Command::Audit { from: 0, count: 100 }), trail);
    let Reply::Audit(lines) = trail else { panic!() };
    assert_eq!(lines.len(), 4);
    audit::verify(&lines, None).unwrap();
    let names: Vec<_> = listed.iter().map(|l| (l.key.name(), l.is_removed)).collect();
    assert_eq!(names, [("A", true), ("B", false), ("C", false)]);
}

#[test]
fn an_entry_of_the_far_future_is_refused() {
    let case = Case::new();
    let vault = case.open("a");
    let err = vault.put(vec![case.secret((NOW + 90_000) * 1000, "A", "a")]).unwrap_err();
    assert!(matches!(err, Refused::Entry(EntryError::Future)), "{err}");
    vault.put(vec![case.secret((NOW + 80_000) * 1000, "A", "a")]).unwrap();
}

#[test]
fn nor_does_one_come_with_a_snapshot() {
    let case = Case::new();
    let vault = case.open("a");
    let far = case.secret((NOW + 90_000) * 1000, "A", "a");
    let sealed =
        Snapshot { entries: vec![case.secret(1, "B", "b"), far] }.seal(&case.keys).unwrap();
    assert_eq!(vault.merge(&sealed).unwrap_err().code(), "future");
    assert_eq!((vault.list(), vault.status().time), (vec![], NOW));
}

#[test]
fn the_clock_does_not_go_back_behind_what_the_store_has_seen() {
    let case = Case::new();
    let vault = case.open("a");
    vault.put(vec![case.secret((NOW - 10) * 1000, "A", "a")]).unwrap();
    case.clock.store(NOW - 1_000_000, Ordering::Relaxed);
    assert_eq!(vault.status().time, NOW - 10);
    drop(vault);
    assert_eq!(case.open("a").status().time, NOW - 10);
}

#[test]
fn replicas_that_exchange_snapshots_agree() {
    let case = Case::new();
    let (a, b) = (case.open("a"), case.open("b"));
    a.put(vec![case.secret(1, "A", "a"), case.secret(5, "B", "new")]).unwrap();
    b.put(vec![case.secret(2, "B", "old"), case.removal(3, "A")]).unwrap();
    assert_eq!(b.merge(&a.snapshot().unwrap()).unwrap(), 1);
    assert_eq!(a.merge(&b.snapshot().unwrap()).unwrap(), 1);
    assert_eq!(a.list(), b.list());
    assert_eq!(a.merge(&b.snapshot().unwrap()).unwrap(), 0);
    let other = Case::new().open("c");
    assert_eq!(a.merge(&other.snapshot().unwrap()).unwrap_err().code(), "notOpened");
}

#[test]
fn a_snapshot_with_another_publishers_entry_changes_nothing() {
    let case = Case::new();
    let vault = case.open("a");
    let forged = Entry { body: Some(Body::Secret(vec![])), ..case.removal(7, "B").entry };
    let forged = forged.sign(&SigningKey::from_bytes(&[6; 32]));
    let snapshot = Snapshot { entries: vec![case.secret(1, "A", "a"), forged] };
    let err = vault.merge(&snapshot.seal(&case.keys).unwrap()).unwrap_err();
    assert_eq!(err.code(), "badSignature");
    assert_eq!(vault.list(), []);
}

#[test]
fn the_file_is_written_anew_before_it_grows_without_bound() {
    let case = Case::new();
    let vault = case.open("a");
    let value = "x".repeat(200_000);
    for version in 1..60 {
        vault.put(vec![case.secret(version, "A", &value)]).unwrap();
    }
    let length = std::fs::metadata(case.dir.path().join("a")).unwrap().len();
    assert!(length < GROWTH_BYTES + 1_000_000, "{length}");
    let listed = vault.list();
    drop(vault);
    let vault = case.open("a");
    assert_eq!((vault.list(), vault.status().audit_next), (listed, 59));
}

#[test]
fn evidence_that_is_none_is_refused_without_a_line_in_the_trail() {
    let case = Case::new();
    let vault = case.open("a");
    for bytes in [&b""[..], b"junk", &[0xa0; 100]] {
        assert_eq!(vault.release(bytes, &[]).unwrap_err().code(), "evidence");
    }
    assert_eq!(vault.status().audit_next, 0);
}

#[test]
fn a_verdict_on_firmware_is_not_taken_back_by_older_collateral_also_after_a_start() {
    let case = Case::new();
    let level = |evaluation, product: &str| Level {
        kind: TeeKind::IntelTdx,
        product: product.into(),
        evaluation,
    };
    let vault = case.open("a");
    let released = Released {
        pod: Pod { lease: casemate_primitives::LeaseId(1), replica: 0, manifest_hash: [0; 32] },
        grant: "g".into(),
        policy: [0; 32],
        names: vec![],
        evidence: [0; 32],
        sequence: 9,
        level: Some(level(17, "a")),
    };
    let event = Event::Released(Box::new(released));
    vault.append(&mut vault.state(), vec![event], vec![]).unwrap();
    drop(vault);
    let vault = case.open("a");
    let state = vault.state();
    let err = state.check_level(&level(16, "a")).unwrap_err();
    assert!(matches!(err, Refused::OldCollateral { found: 16, known: 17 }), "{err}");
    state.check_level(&level(17, "a")).unwrap();
    state.check_level(&level(18, "a")).unwrap();
    state.check_level(&level(1, "b")).unwrap();
    assert_eq!(state.sequence, 9);
}
