use casemate_attestation::policy::HexBytes;
use proptest::prelude::*;

use super::*;
use crate::Master;

fn keys() -> Keys {
    Master::read(&[7; 32]).unwrap().keys()
}

fn publisher() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

fn grant(policy: &str) -> Grant {
    Grant {
        genesis_hash: [1; 32],
        manifest_hash: [2; 32],
        lease: None,
        replica: None,
        secrets: vec![Given { name: "A".into(), from: Source::Secret("shop.a".into()) }],
        policy: policy.into(),
        roots: TrustRoots::vendors(),
        minimum_tcb: vec![],
        until: 9,
    }
}

const PINNED: &str = r#"{"require": {"workload": ["aa"]}}"#;

fn of_grant(grant: Grant) -> SignedEntry {
    let (key, body) = (Key::Grant("shop".into()), Some(Body::Grant(Box::new(grant))));
    Entry { vault: keys().id(), version: 3, key, body }.sign(&publisher())
}

fn check(entry: &SignedEntry) -> Result<(), EntryError> {
    entry.check(&keys(), &publisher().verifying_key())
}

fn reason(entry: &SignedEntry) -> String {
    match check(entry) {
        Err(EntryError::Unusable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_publishers_entries_for_this_vault_count() {
    let entry = Entry::secret(&keys(), 3, "A", b"value").unwrap();
    check(&entry.clone().sign(&publisher())).unwrap();
    let stranger = SigningKey::from_bytes(&[6; 32]);
    assert_eq!(check(&entry.clone().sign(&stranger)), Err(EntryError::Signature));
    let unsigned = SignedEntry { entry: entry.clone(), signature: [0; 64] };
    assert_eq!(check(&unsigned), Err(EntryError::Signature));
    let other = Entry { vault: [0; 32], ..entry };
    assert_eq!(check(&other.sign(&publisher())), Err(EntryError::Vault));
}

#[test]
fn a_value_opens_under_its_name_and_version_alone() {
    let entry = Entry::secret(&keys(), 3, "A", b"value").unwrap();
    assert_eq!(entry.value(&keys()).unwrap().unwrap().as_slice(), b"value");
    let renamed = Entry { key: Key::Secret("B".into()), ..entry.clone() };
    assert!(reason(&renamed.sign(&publisher())).contains("not sealed"));
    let newer = Entry { version: 4, ..entry.clone() };
    assert!(reason(&newer.sign(&publisher())).contains("not sealed"));
    assert!(entry.value(&Master::generate().unwrap().keys()).is_err());
}

#[test]
fn debug_shows_no_value() {
    let entry = Entry::secret(&keys(), 3, "A", b"canary").unwrap().sign(&publisher());
    let text = format!("{entry:?}");
    assert!(text.contains("bytes sealed") && !text.contains("canary"), "{text}");
}

#[test]
fn a_grant_must_say_which_programs_it_trusts() {
    check(&of_grant(grant(PINNED))).unwrap();
    for good in [
        r#"{"require": {"signer": ["aa"]}}"#,
        r#"{"require": {"all": [{"kind": ["intelTdx"]}, {"workload": ["aa"]}]}}"#,
        r#"{"require": {"any": [{"workload": ["aa"]}, {"signer": ["bb"]}]}}"#,
    ] {
        check(&of_grant(grant(good))).unwrap();
    }
    for bad in [
        "{}",
        r#"{"require": {"kind": ["intelTdx"]}}"#,
        r#"{"require": {"workload": []}}"#,
        r#"{"require": {"configuration": ["aa"]}}"#,
        r#"{"require": {"all": []}}"#,
        r#"{"require": {"any": []}}"#,
        r#"{"require": {"any": [{"workload": ["aa"]}, {"kind": ["intelTdx"]}]}}"#,
    ] {
        assert!(reason(&of_grant(grant(bad))).contains("any workload"), "{bad}");
    }
    for unreadable in ["", "nothing", r#"{"skip": true}"#] {
        assert!(reason(&of_grant(grant(unreadable))).contains("does not read"));
    }
}

#[test]
fn what_a_deep_condition_pins_is_never_relied_on() {
    let mut deep = Condition::Workload(vec![HexBytes(vec![1])]);
    for _ in 0..40 {
        deep = Condition::All(vec![deep]);
    }
    assert!(!pins_workload(&deep, 0));
}

#[test]
fn names_are_names_and_once() {
    for bad in ["", "..", "a/b", &"n".repeat(200)] {
        let entry =
            Entry { vault: keys().id(), version: 1, key: Key::Secret(bad.into()), body: None };
        assert!(reason(&entry.sign(&publisher())).contains("no name"));
    }
    let mut twice = grant(PINNED);
    twice.secrets.push(Given { name: "A".into(), from: Source::Master });
    assert!(reason(&of_grant(twice)).contains("same name"));
    let none = Grant { secrets: vec![], ..grant(PINNED) };
    assert!(reason(&of_grant(none)).contains("1 to 64"));
}

#[test]
fn what_it_says_fits_what_it_is_about() {
    let body = Entry::secret(&keys(), 3, "A", b"v").unwrap().body;
    let mixed = Entry { vault: keys().id(), version: 3, key: Key::Grant("A".into()), body };
    assert!(reason(&mixed.sign(&publisher())).contains("does not fit"));
    let body = Some(Body::Collateral(b"nothing".to_vec()));
    let junk = Entry { vault: keys().id(), version: 3, key: Key::Collateral("A".into()), body };
    assert!(!reason(&junk.sign(&publisher())).is_empty());
}

proptest! {
    #[test]
    fn no_bytes_break_the_decoder(bytes: Vec<u8>) {
        if let Ok(entry) = SignedEntry::from_bytes(&bytes) {
            prop_assert!(check(&entry).is_err());
        }
    }

    #[test]
    fn any_change_of_an_entry_is_refused(at: prop::sample::Index, bit in 0u8..8) {
        let mut bytes = of_grant(grant(PINNED)).encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(entry) = SignedEntry::from_bytes(&bytes) {
            prop_assert!(check(&entry).is_err(), "byte {}", at);
        }
    }
}
