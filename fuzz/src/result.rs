//! Signed attestation results.

use std::sync::OnceLock;

use casemate_attestation_result::{
    Checked, Demands, ResultError, ResultKey, SigningKey, Tier, jws, read,
};
use serde_json::Value;

const DEMANDS: Demands<'static> =
    Demands { now: 1_750_809_660, age_seconds_max: u64::MAX, nonce: None, policy_id: None };

/// A token as it comes; and, because a fuzzer finds no signature, the same bytes as the claims of a
/// token that the right key has signed.
pub(crate) fn result(bytes: &[u8]) {
    let (key, other) = keys();
    if let Ok(checked) = read(bytes, key.public(), &DEMANDS) {
        check(&checked);
        assert!(read(bytes, other, &DEMANDS).is_err(), "two keys have signed it");
    }
    // Signing takes a thousand times as long as finding out that it is not worth it.
    let profiled = |claims: Value| claims.get("eat_profile").is_some_and(Value::is_string);
    if !serde_json::from_slice(bytes).is_ok_and(profiled) {
        return;
    }
    let token = jws::sign(bytes, key);
    match read(token.as_bytes(), key.public(), &DEMANDS) {
        Ok(checked) => check(&checked),
        Err(ResultError::Signature | ResultError::OtherKey { .. }) => {
            panic!("the right key has signed it")
        }
        Err(_) => {}
    }
}

fn check(checked: &Checked) {
    assert!(checked.issued_at <= DEMANDS.now + 60);
    assert!(checked.expires.is_none_or(|expires| DEMANDS.now < expires));
    assert!(!checked.submodules.is_empty());
    let affirmed = checked.status() == Tier::Affirming;
    for submodule in checked.submodules.values() {
        assert!(submodule.status >= submodule.vector.worst());
        assert!(!affirmed || submodule.status == Tier::Affirming);
    }
}

fn keys() -> &'static (SigningKey, ResultKey) {
    static KEYS: OnceLock<(SigningKey, ResultKey)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let pem = include_str!("../../crates/attestation-result/tests/data/key.pem");
        let other = include_str!("../../crates/attestation-result/tests/data/veraison.pub");
        (SigningKey::from_pkcs8_pem(pem).unwrap(), ResultKey::from_spki_pem(other).unwrap())
    })
}
