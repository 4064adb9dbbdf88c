use proptest::prelude::*;

use super::*;

/// The least that is accepted: the tests need not be slower than they must.
fn cheap() -> KdfParameters {
    KdfParameters { memory_kib: KdfParameters::MEMORY_KIB_MIN, iterations: 1, lanes: 1 }
}

fn store() -> (tempfile::TempDir, Keystore) {
    let folder = tempfile::tempdir().unwrap();
    let keystore = Keystore::new(folder.path().join("deep/keys"));
    (folder, keystore)
}

#[test]
fn a_key_comes_back_with_its_passphrase_only() {
    let (_folder, keystore) = store();
    let secret = SecretText::random().unwrap();
    let added = keystore.add("mine", &secret, "correct horse", false, &cheap()).unwrap();
    let read = keystore.get("mine").unwrap();
    assert_eq!(read.file, added.file);
    assert_eq!(read.unlock("correct horse").unwrap().expose(), secret.expose());
    let error = read.unlock("Correct horse").unwrap_err();
    assert!(matches!(error, KeystoreError::Decrypt { .. }), "{error}");
    assert_eq!(keystore.names().unwrap(), ["mine"]);
}

#[test]
fn neither_secret_nor_passphrase_is_in_the_file() {
    let (_folder, keystore) = store();
    let secret = SecretText::parse(&"ab".repeat(32)).unwrap();
    let added = keystore.add("mine", &secret, "correct horse", false, &cheap()).unwrap();
    let text = fs::read_to_string(&added.path).unwrap();
    assert!(!text.contains(&"ab".repeat(32)) && !text.contains("horse"), "{text}");
    assert!(!format!("{secret:?}").contains("ab"));
}

#[test]
fn only_the_owner_may_read_it() {
    let (_folder, keystore) = store();
    let secret = SecretText::random().unwrap();
    let added = keystore.add("mine", &secret, "x", false, &cheap()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&added.path), 0o600);
    assert_eq!(mode(added.path.parent().unwrap()), 0o700);
    fs::set_permissions(&added.path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = keystore.get("mine").unwrap_err();
    assert!(matches!(error, KeystoreError::Permissions { mode: 0o640, .. }), "{error}");
}

#[test]
fn a_key_is_never_overwritten_and_nothing_is_left_behind() {
    let (_folder, keystore) = store();
    let secret = SecretText::random().unwrap();
    let added = keystore.add("mine", &secret, "x", false, &cheap()).unwrap();
    let other = SecretText::random().unwrap();
    let error = keystore.add("mine", &other, "x", false, &cheap()).unwrap_err();
    assert!(matches!(error, KeystoreError::Exists { .. }), "{error}");
    assert!(write_new(&added.path, b"other").is_err());
    assert_eq!(keystore.get("mine").unwrap().file, added.file);
    assert_eq!(fs::read_dir(added.path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn an_empty_passphrase_is_refused() {
    let (_folder, keystore) = store();
    let secret = SecretText::random().unwrap();
    let error = keystore.add("mine", &secret, "", false, &cheap()).unwrap_err();
    assert!(matches!(error, KeystoreError::EmptyPassphrase), "{error}");
    assert!(keystore.names().unwrap().is_empty());
}

#[test]
fn every_change_of_the_readable_part_is_noticed() {
    let (_folder, keystore) = store();
    let secret = SecretText::random().unwrap();
    keystore.add("mine", &secret, "x", false, &cheap()).unwrap();
    let stored = keystore.get("mine").unwrap();
    let changed = |change: fn(&mut StoredKey)| {
        let mut key = stored.clone();
        change(&mut key);
        key.unlock("x").unwrap_err()
    };
    let bob = subxt_signer::sr25519::dev::bob().public_key().0;
    let other = format!("0x{}", hex::encode(bob));
    assert!(matches!(changed(|k| k.file.development = true), KeystoreError::Decrypt { .. }));
    let mut key = stored.clone();
    key.file.public_key = other;
    assert!(matches!(key.unlock("x"), Err(KeystoreError::Decrypt { .. })));
    let mut key = stored.clone();
    key.address = Address(bob);
    assert!(matches!(key.unlock("x"), Err(KeystoreError::Decrypt { .. })));
    let more = |text: &str| text.replace("\"iterations\": 1", "\"iterations\": 2");
    assert!(matches!(edited(&stored, more), Err(KeystoreError::Decrypt { .. })));
}

#[test]
fn parameters_that_are_weak_or_ruinous_are_refused_before_they_are_used() {
    let (_folder, keystore) = store();
    let secret = SecretText::random().unwrap();
    keystore.add("mine", &secret, "x", false, &cheap()).unwrap();
    let stored = keystore.get("mine").unwrap();
    for (from, to) in [
        ("\"memoryKib\": 65536", "\"memoryKib\": 8"),
        ("\"memoryKib\": 65536", "\"memoryKib\": 4294967295"),
        ("\"iterations\": 1", "\"iterations\": 4294967295"),
        ("\"iterations\": 1", "\"iterations\": 0"),
        ("\"lanes\": 1", "\"lanes\": 0"),
        ("argon2id", "argon2i"),
        ("xchacha20-poly1305", "none"),
    ] {
        let result = edited(&stored, |text| text.replace(from, to));
        assert!(matches!(result, Err(KeystoreError::Format { .. })), "{to}: {result:?}");
    }
}

fn edited(stored: &StoredKey, edit: impl Fn(&str) -> String) -> Result<SecretText, KeystoreError> {
    let text = serde_json::to_string_pretty(&stored.file).unwrap();
    let changed = edit(&text);
    assert_ne!(text, changed);
    let file = serde_json::from_str(&changed).unwrap();
    StoredKey { file, ..stored.clone() }.unlock("x")
}

#[test]
fn files_that_are_no_key_files_are_refused() {
    let (folder, _) = store();
    let keystore = Keystore::new(folder.path());
    let large = " ".repeat(20_000);
    for (i, text) in ["", "{}", "[]", "{\"version\": 2}", large.as_str()].iter().enumerate() {
        write_new(&folder.path().join(format!("k{i}.json")), text.as_bytes()).unwrap();
        let error = keystore.get(&format!("k{i}")).unwrap_err();
        assert!(matches!(error, KeystoreError::Format { .. }), "{error}");
    }
    for name in ["", "../x", "A", "-x", "a/b", "a.b", &"a".repeat(65)] {
        assert!(matches!(keystore.get(name), Err(KeystoreError::Name(_))), "{name}");
    }
    assert!(matches!(keystore.get("none"), Err(KeystoreError::NotFound { .. })));
}

#[test]
fn secrets_are_read_in_each_form() {
    let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    let spaced = format!("  {}\n", phrase.replace(' ', "  "));
    let key = |text: &str| SecretText::parse(text).unwrap().keypair().unwrap().public_key().0;
    assert_eq!(key(phrase), key(&spaced));
    assert_ne!(key(phrase), key(&format!("{phrase}//work")));
    assert_eq!(key(&"ab".repeat(32)), key(&format!("0x{}", "ab".repeat(32))));
    for text in ["", "legal winner", "0x12", &phrase.replace("yellow", "legal")] {
        let error = SecretText::parse(text).unwrap_err();
        assert!(matches!(error, KeystoreError::Secret(_)), "{text}: {error}");
        assert!(!error.to_string().contains("winner"));
    }
}

#[test]
fn keys_that_everybody_knows_are_refused_unless_named_as_such() {
    for text in ["//Alice", "/x", DEV_PHRASE, &format!("{DEV_PHRASE}//Alice")] {
        assert!(matches!(SecretText::parse(text), Err(KeystoreError::PubliclyKnown)), "{text}");
    }
    let alice = SecretText::parse_development("//Alice").unwrap().keypair().unwrap();
    assert_eq!(alice.public_key().0, subxt_signer::sr25519::dev::alice().public_key().0);
    assert!(SecretText::parse_development(&"ab".repeat(32)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn any_secret_comes_back_and_any_change_is_noticed(
        seed: [u8; 32],
        passphrase in "\\PC{1,40}",
        flip in any::<prop::sample::Index>(),
    ) {
        let (_folder, keystore) = store();
        let secret = SecretText::parse(&hex::encode(seed)).unwrap();
        keystore.add("k", &secret, &passphrase, false, &cheap()).unwrap();
        let mut stored = keystore.get("k").unwrap();
        let opened = stored.unlock(&passphrase).unwrap();
        prop_assert_eq!(opened.expose(), secret.expose());

        let text = serde_json::to_string(&stored.file.sealed).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let digits = value["ciphertext"].as_str().unwrap().to_owned();
        let at = 2 + flip.index(digits.len() - 2);
        let digit = if &digits[at..=at] == "0" { "1" } else { "0" };
        value["ciphertext"] = format!("{}{digit}{}", &digits[..at], &digits[at + 1..]).into();
        stored.file.sealed = serde_json::from_value(value).unwrap();
        prop_assert!(stored.unlock(&passphrase).is_err(), "a changed byte went unnoticed");
    }

    #[test]
    fn no_secret_text_panics(text in "\\PC{0,200}") {
        let _ = SecretText::parse(&text);
    }
}
