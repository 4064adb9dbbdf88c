use std::os::unix::fs::PermissionsExt;

use super::*;

const SEED: &str = "0xe5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a";

#[test]
fn a_seed_is_read_with_and_without_prefix_and_a_phrase_too() {
    let key = load(None, Some(SEED)).unwrap().public_key().0;
    assert_eq!(load(None, Some(&SEED[2..])).unwrap().public_key().0, key);
    let alice = load(None, Some("//Alice")).unwrap();
    assert_eq!(alice.public_key().0, subxt_signer::sr25519::dev::alice().public_key().0);
    let phrase = "bottom drive obey lake curtain smoke basket hold race lonely fit walk";
    assert!(load(None, Some(phrase)).is_ok());
}

#[test]
fn what_is_no_key_is_refused_without_being_shown() {
    for bad in ["", " \n", "0x00", "secret words that are no phrase", &SEED[..60]] {
        let err = load(None, Some(bad)).unwrap_err();
        assert!(matches!(err, KeyError::Malformed { .. }), "{bad}");
        assert!(!err.to_string().contains("words"), "{err}");
    }
    assert!(matches!(load(None, None), Err(KeyError::Missing)));
}

#[test]
fn a_key_file_must_be_the_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, SEED).unwrap();
    for mode in [0o640, 0o604, 0o644, 0o660] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let err = load(Some(&path), None).unwrap_err();
        assert!(matches!(err, KeyError::Exposed { .. }), "{err}");
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(load(Some(&path), None).is_ok());
    let absent = load(Some(&dir.path().join("absent")), None);
    assert!(matches!(absent, Err(KeyError::Read { .. })));
}
