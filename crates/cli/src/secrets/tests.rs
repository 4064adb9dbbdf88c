use casemate_ra_tls::SecretName;
use zeroize::Zeroizing;

use super::*;

fn name(text: &str) -> SecretName {
    SecretName::new(text).unwrap()
}

fn value(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.as_bytes().to_vec())
}

/// As cheap as is taken.
fn cheap() -> KdfParameters {
    KdfParameters { memory_kib: KdfParameters::MEMORY_KIB_MIN, iterations: 1, lanes: 1 }
}

#[test]
fn content_survives_its_encoding() {
    let mut content = Content::new().unwrap();
    content.set(None, name("A"), value("all"), 10).unwrap();
    content.set(Some("shop"), name("A"), Zeroizing::new((0..=255).collect()), 20).unwrap();
    assert_eq!(content.set(None, name("A"), value("new"), 30).unwrap(), 2);
    let first = content.reserve(2, 5);
    let again = Content::decode(&content.encode()).unwrap();
    assert_eq!(again.items().collect::<Vec<_>>(), content.items().collect::<Vec<_>>());
    assert_eq!(again.release_key().to_bytes(), content.release_key().to_bytes());
    assert_eq!(again.select("shop", &[name("A")]).unwrap().get("A").unwrap().len(), 256);
    assert_eq!(again.select("x", &[name("A")]).unwrap().get("A").unwrap(), b"new");
    let mut again = again;
    assert!(again.reserve(1, 5) > first + 1);
    let item = again.items().next().unwrap();
    assert_eq!((item.created_at, item.updated_at, item.version), (10, 30, 2));
}

#[test]
fn an_app_gets_what_it_asks_for_and_no_more() {
    let mut content = Content::new().unwrap();
    content.set(None, name("A"), value("a"), 1).unwrap();
    content.set(Some("shop"), name("B"), value("b"), 1).unwrap();
    let names = [name("A"), name("B")];
    assert_eq!(content.missing("shop", &names), Vec::<&SecretName>::new());
    assert_eq!(content.missing("other", &names), [&names[1]]);
    assert!(matches!(
        content.select("other", &names),
        Err(ContentError::NotFound { app: Some(app), .. }) if app == "other"
    ));
    let one = content.select("shop", &names[..1]).unwrap();
    assert_eq!(one.names().collect::<Vec<_>>(), ["A"]);
}

#[test]
fn numbers_of_releases_grow_also_when_the_clock_goes_back() {
    let mut content = Content::new().unwrap();
    let first = content.reserve(3, 1_000);
    assert_eq!(first, 1_000);
    let second = content.reserve(1, 500);
    assert!(second > first + 2, "{second}");
    assert!(content.reserve(1, 5_000) >= 5_000);
    assert!(content.reserve(1, u64::MAX) >= 5_000);
}

#[test]
fn there_are_bounds() {
    let mut content = Content::new().unwrap();
    let too_large = Zeroizing::new(vec![0; 1024 * 1024]);
    let err = content.set(None, name("A"), too_large, 1).unwrap_err();
    assert_eq!(err, ContentError::ValueTooLarge);
    let large = || Zeroizing::new(vec![0; 1024 * 1024 - 128]);
    for at in 0..4 {
        content.set(None, name(&format!("L{at}")), large(), 1).unwrap();
    }
    assert_eq!(content.set(None, name("L4"), large(), 1).unwrap_err(), ContentError::TooMuch);
    // In the place of another it fits.
    content.set(None, name("L3"), large(), 1).unwrap();
}

#[test]
fn nothing_is_shown_by_debug() {
    let mut content = Content::new().unwrap();
    content.set(None, name("A"), value("canary"), 1).unwrap();
    let text = format!("{content:?} {content:#?}");
    assert!(text.contains('A') && !text.contains("canary"), "{text}");
    let bytes = format!("{:?}", b"canary");
    assert!(!text.contains(bytes.trim_matches(['[', ']'])), "{text}");
    assert!(!text.contains(&hex::encode(content.release_key().to_bytes())));
}

#[test]
fn content_of_another_form_is_refused_without_being_repeated() {
    let mut content = Content::new().unwrap();
    content.set(None, name("A"), value("canary"), 1).unwrap();
    let text = String::from_utf8(content.encode().to_vec()).unwrap();
    for bad in [
        String::new(),
        "{}".into(),
        text.replace("\"version\":1", "\"version\":9"),
        text.replace(&hex::encode("canary"), "canary"),
        text.replace("\"A\"", "\"..\""),
        format!("{text}x"),
    ] {
        let err = Content::decode(bad.as_bytes()).unwrap_err();
        assert!(!format!("{err} {err:?}").contains("canary"));
    }
}

#[test]
fn a_change_that_fails_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SecretStore::new(folder.path(), Address([1; 32]));
    assert!(!store.exists());
    let failed = store.change("pass", &cheap(), |content| {
        content.set(None, name("A"), value("a"), 1)?;
        Ok(content.remove(None, &name("B"))?)
    });
    assert!(matches!(failed, Err(StoreError::Content(ContentError::NotFound { .. }))));
    assert!(!store.exists());
    store
        .change("pass", &cheap(), |content| Ok(content.set(None, name("A"), value("a"), 1)?))
        .unwrap();
    assert_eq!(store.read("pass").unwrap().items().count(), 1);
    assert!(matches!(store.read("Pass"), Err(StoreError::Decrypt { .. })));
    assert!(matches!(
        SecretStore::new(folder.path(), Address([2; 32])).change("", &cheap(), |_| Ok(())),
        Err(StoreError::File(KeystoreError::EmptyPassphrase))
    ));
}

#[test]
fn the_trail_only_grows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/releases.jsonl");
    let entry = Entry {
        time: "now".into(),
        event: Event::Sending,
        genesis_hash: String::new(),
        lease: casemate_primitives::LeaseId(5),
        replica: 0,
        manifest_hash: String::new(),
        names: vec!["A".into()],
        sequence: 7,
        agent_key: None,
        evidence_digest: None,
        tee: None,
        policy: String::new(),
        accepted: true,
        reasons: Vec::new(),
    };
    for _ in 0..2 {
        Audit::open(&path).unwrap().append(&entry).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2);
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&value["event"], &value["lease"]), (&"sending".into(), &5.into()));
    }
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
