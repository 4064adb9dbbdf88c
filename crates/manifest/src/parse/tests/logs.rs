//! Whom the output is sealed to.

use super::{FULL, MINIMAL, assert_refused};
use crate::{LogKey, Manifest};

/// Alice's key of RFC 7748, section 6.1.
const KEY: &str = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";

fn with(logs: &str) -> String {
    format!("{MINIMAL}  logs: {logs}\n")
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_recipient_is_read_and_written_back() {
    let manifest = Manifest::parse(&with(&format!("{{recipient: \"{KEY}\"}}"))).unwrap();
    assert_eq!(manifest.log_recipient().unwrap().to_string(), KEY);
    manifest.validate_deployable().unwrap();
    let bytes = manifest.to_canonical_json();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains(&format!(r#""logs":{{"recipient":"{KEY}"}}"#)), "{text}");
    assert_eq!(Manifest::from_json(&bytes).unwrap(), manifest);
}

/// What is on chains already must keep its hash.
#[test]
fn a_manifest_without_logs_has_the_bytes_that_it_always_had() {
    let full = Manifest::parse(FULL).unwrap();
    assert_eq!(full.log_recipient(), None);
    let bytes = full.to_canonical_json();
    assert_eq!(String::from_utf8(bytes).unwrap(), include_str!("full.json").trim_end());
}

#[test]
fn the_command_line_fills_in_what_an_author_leaves_out() {
    let mut manifest = Manifest::parse(MINIMAL).unwrap();
    let key: LogKey = KEY.parse().unwrap();
    assert!(manifest.fill_log_recipient(key));
    let other = LogKey::new([9; 32]).unwrap();
    assert!(!manifest.fill_log_recipient(other), "an author's choice stays");
    assert_eq!(manifest.log_recipient(), Some(&key));
    assert_eq!(manifest, Manifest::parse(&with(&format!("{{recipient: \"{KEY}\"}}"))).unwrap());
}

#[test]
fn what_is_no_key_is_refused() {
    for bad in [&KEY[2..], &KEY.to_uppercase(), &format!("0x{}", &KEY[2..]), "", "not a key"] {
        let text = with(&format!("{{recipient: \"{bad}\"}}"));
        assert_refused(&text, (9, 21), "spec.logs.recipient", &["64 lower-case hex digits"]);
    }
    assert_refused(&with("{recipient: 12}"), (9, 21), "spec.logs.recipient", &["in quotes"]);
    assert_refused(&with("{}"), (9, 9), "spec.logs", &["`recipient` is missing"]);
    let text = with(&format!("{{recipient: \"{KEY}\", plain: true}}"));
    assert_refused(&text, (9, 89), "spec.logs.plain", &["unknown field `plain`"]);
}

/// What is sealed to a key of low order, anybody can open.
#[test]
fn keys_of_low_order_are_refused_in_all_their_forms() {
    let number = |low: u8, rest: u8, high: u8| {
        let mut bytes = [rest; 32];
        (bytes[0], bytes[31]) = (low, high);
        hex(&bytes)
    };
    for bad in [
        number(0, 0, 0),
        number(1, 0, 0),
        // -1, 0 and 1 once more, as numbers around the prime.
        number(0xec, 0xff, 0x7f),
        number(0xed, 0xff, 0x7f),
        number(0xee, 0xff, 0x7f),
        // Other numbers that are no less than the prime, and those whose top bit X25519 drops.
        number(0xf0, 0xff, 0x7f),
        number(0xff, 0xff, 0xff),
        number(0, 0, 0x80),
        number(1, 0, 0x80),
        number(9, 0, 0x80),
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800".to_owned(),
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880".to_owned(),
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157".to_owned(),
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7".to_owned(),
    ] {
        let text = with(&format!("{{recipient: \"{bad}\"}}"));
        assert_refused(&text, (9, 21), "spec.logs.recipient", &["of full order"]);
        bad.parse::<LogKey>().unwrap_err();
    }
    number(9, 0, 0).parse::<LogKey>().unwrap();
    number(0xeb, 0xff, 0x7f).parse::<LogKey>().unwrap();
}
