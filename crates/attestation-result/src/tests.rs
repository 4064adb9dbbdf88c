//! Real evidence, signed and read; and everything that is not believed.

use casemate_attestation::{
    Grade, TeeKind, TrustRoots, Verified,
    dcap::{Quote, RawCollateral, verify_with_collateral},
    policy::{Condition, Context, HexBytes, Policy},
};
use serde_json::{Value, json};

use super::*;

const QUOTE: &[u8] = include_bytes!("../../attestation/tests/data/dcap/tdx_quote");
const COLLATERAL: &[u8] =
    include_bytes!("../../attestation/tests/data/dcap/tdx_quote_collateral.json");
/// 2025-06-25
pub(crate) const NOW: u64 = 1_750_809_600;
const BUILD: &str = "casemate 0.1.0";

fn key() -> SigningKey {
    SigningKey::from_pkcs8_pem(include_str!("../tests/data/key.pem")).unwrap()
}

fn other_key() -> SigningKey {
    SigningKey::generate::<()>(|bytes| {
        bytes.fill(7);
        Ok(())
    })
    .unwrap()
}

pub(crate) fn verified() -> Verified<Quote> {
    let collateral: RawCollateral = serde_json::from_slice(COLLATERAL).unwrap();
    let quote = Quote::parse(QUOTE).unwrap();
    verify_with_collateral(quote, &collateral, &TrustRoots::vendors(), NOW).unwrap()
}

fn appraisal(policy: &Policy) -> Appraisal {
    let context = Context { now: NOW, report_data: None, provider: None };
    Appraisal::of(&verified(), policy, &context)
}

fn token() -> String {
    AttestationResult::new([appraisal(&Policy::default())], None).unwrap().sign(&key(), BUILD)
}

fn demands() -> Demands<'static> {
    Demands { now: NOW + 10, age_seconds_max: 60, nonce: None, policy_id: None }
}

fn check(token: &str) -> Result<Checked, ResultError> {
    read(token.as_bytes(), key().public(), &demands())
}

/// The claims of a token, without a look at its signature.
fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&from_base64url(payload).unwrap()).unwrap()
}

/// A genuine token whose claims were changed before it was signed.
fn signed(change: impl FnOnce(&mut Value)) -> String {
    let mut claims = claims_of(&token());
    change(&mut claims);
    jws::sign(&serde_json::to_vec(&claims).unwrap(), &key())
}

/// A token with another header, correctly signed over it.
fn with_header(header: &Value) -> String {
    let token = token();
    let payload = token.split('.').nth(1).unwrap();
    let signed = format!("{}.{payload}", base64url(header.to_string().as_bytes()));
    format!("{signed}.{}", base64url(&key().sign(signed.as_bytes())))
}

#[test]
fn real_evidence_becomes_a_result_that_others_can_check() {
    let verified = verified();
    let claims = verified.claims();
    let nonce = claims.report_data;
    let context = Context { now: NOW, report_data: Some(&nonce), provider: None };
    let policy = Policy {
        require: Some(Condition::Workload(vec![HexBytes(claims.measurements.workload().to_vec())])),
        ..Policy::default()
    };
    let appraisal = Appraisal::of(&verified, &policy, &context);
    assert_eq!(appraisal.status(), Tier::Affirming);
    let result = AttestationResult::new([appraisal], Some(&nonce)).unwrap();
    let token = result.sign(&key(), BUILD);

    let id = policy_id(&policy);
    let wanted = Demands { nonce: Some(&nonce), policy_id: Some(&id), ..demands() };
    let checked = read(token.as_bytes(), key().public(), &wanted).unwrap();
    assert_eq!(checked.status(), Tier::Affirming);
    assert_eq!(checked.issued_at, NOW);
    assert_eq!(checked.expires, Some(claims.not_after));
    assert_eq!(checked.verifier.build, BUILD);
    assert_eq!(checked.nonce, Nonces(vec![nonce.to_vec()]));
    let tdx = &checked.submodules["intel-tdx"];
    let expected = TrustVector {
        instance_identity: Some(2),
        executables: Some(3),
        hardware: Some(2),
        runtime_opaque: Some(2),
        ..TrustVector::default()
    };
    assert_eq!((tdx.status, tdx.vector), (Tier::Affirming, expected));
    assert_eq!(tdx.debug_status.as_deref(), Some("disabled-since-boot"));
    let ours = tdx.casemate.as_ref().unwrap();
    assert_eq!(ours["accepted"], true);
    assert_eq!(ours["claims"], serde_json::to_value(claims).unwrap());

    // The names on the wire are the draft's.
    let wire = claims_of(&token);
    assert_eq!(wire["eat_profile"], PROFILE);
    assert_eq!(wire["ear.verifier-id"]["build"], BUILD);
    let submodule = &wire["submods"]["intel-tdx"];
    assert_eq!(submodule["ear.status"], "affirming");
    assert_eq!(submodule["ear.trustworthiness-vector"]["runtime-opaque"], 2);
    assert_eq!(submodule["ear.appraisal-policy-id"], id);
    assert!(submodule[CASEMATE_CLAIM].is_object());
}

#[test]
fn what_a_policy_refuses_is_never_affirmed() {
    let refused = [
        Policy { grades: vec![Grade::Software], ..Policy::default() },
        Policy {
            require: Some(Condition::Workload(vec![HexBytes(vec![1; 48])])),
            ..Policy::default()
        },
    ];
    for policy in refused {
        let appraisal = appraisal(&policy);
        assert_eq!(appraisal.status(), Tier::Contraindicated);
        let result = AttestationResult::new([appraisal], None).unwrap();
        let checked = check(&result.sign(&key(), BUILD)).unwrap();
        assert_eq!(checked.status(), Tier::Contraindicated);
        assert_eq!(checked.submodules["intel-tdx"].casemate.as_ref().unwrap()["accepted"], false);
    }
}

#[test]
fn what_is_not_genuine_is_said_without_its_claims() {
    let policy = Policy::default();
    let forged =
        Appraisal::not_genuine(TeeKind::IntelTdx, &policy, NOW, "QuoteSignature", "it is wrong");
    assert!(forged.verdict().is_none());
    let result = AttestationResult::new([forged], None).unwrap();
    let checked = check(&result.sign(&key(), BUILD)).unwrap();
    assert_eq!(checked.status(), Tier::Contraindicated);
    assert_eq!(checked.expires, None);
    let tdx = &checked.submodules["intel-tdx"];
    assert_eq!(tdx.vector.hardware, Some(99));
    assert_eq!(tdx.debug_status, None);
    let expected = json!({"accepted": false, "error": "QuoteSignature", "reason": "it is wrong"});
    assert_eq!(tdx.casemate, Some(expected));
}

#[test]
fn a_composite_is_as_good_as_its_worst_part() {
    let policy = Policy::default();
    let gpu = || Appraisal::not_genuine(TeeKind::NvidiaGpu, &policy, NOW, "Nonce", "another");
    let result = AttestationResult::new([appraisal(&policy), gpu(), gpu()], None).unwrap();
    assert_eq!(result.status(), Tier::Contraindicated);
    let checked = check(&result.sign(&key(), BUILD)).unwrap();
    assert_eq!(checked.status(), Tier::Contraindicated);
    let labels: Vec<_> = checked.submodules.keys().map(String::as_str).collect();
    assert_eq!(labels, ["intel-tdx", "nvidia-gpu", "nvidia-gpu-2"]);

    assert_eq!(AttestationResult::new([], None).unwrap_err(), WriteError::Empty);
    let later = Appraisal::not_genuine(TeeKind::NvidiaGpu, &policy, NOW + 1, "a", "b");
    let mixed = AttestationResult::new([appraisal(&policy), later], None);
    assert_eq!(mixed.unwrap_err(), WriteError::Times);
    let short = AttestationResult::new([appraisal(&policy)], Some(&[1; 7]));
    assert_eq!(short.unwrap_err(), WriteError::NonceLength(7));

    // One of which nothing is said does not count as affirmed.
    let silent = signed(|claims| claims["submods"]["else"] = json!({"ear.status": "none"}));
    assert_eq!(check(&silent).unwrap().status(), Tier::None);
}

#[test]
fn another_key_and_changed_claims_are_told_apart() {
    let result = AttestationResult::new([appraisal(&Policy::default())], None).unwrap();
    let error = check(&result.sign(&other_key(), BUILD)).unwrap_err();
    assert!(matches!(error, ResultError::OtherKey { .. }), "{error}");

    let refused = Policy { grades: vec![Grade::Software], ..Policy::default() };
    let result = AttestationResult::new([appraisal(&refused)], None).unwrap();
    let token = result.sign(&key(), BUILD);
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let payload = String::from_utf8(from_base64url(&parts[1]).unwrap()).unwrap();
    let better = payload.replace("\"contraindicated\"", "\"affirming\"");
    assert_ne!(better, payload);
    parts[1] = base64url(better.as_bytes());
    let error = check(&parts.join(".")).unwrap_err();
    assert!(matches!(error, ResultError::Signature), "{error}");
}

#[test]
fn each_changed_byte_is_noticed() {
    let token = token();
    for at in (0..token.len()).step_by(5) {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(read(&bytes, key().public(), &demands()).is_err(), "byte {at}");
    }
    for length in 0..token.len() {
        assert!(check(&token[..length]).is_err(), "cut at {length}");
    }
    assert!(check(&format!("{token}\n")).is_ok(), "a file ends with a new line");
}

#[test]
fn the_header_chooses_nothing() {
    let algorithm = |alg: &str| check(&with_header(&json!({"alg": alg}))).unwrap_err();
    for alg in ["none", "None", "HS256", "ES384", "RS256", ""] {
        assert!(matches!(algorithm(alg), ResultError::Algorithm(_)), "{alg}");
    }
    // As it is usually forged: without a signature.
    let token = token();
    let payload = token.split('.').nth(1).unwrap();
    let none = format!("{}.{payload}.", base64url(br#"{"alg":"none"}"#));
    assert!(matches!(check(&none), Err(ResultError::Algorithm(name)) if name == "none"));
    let empty = format!("{}.{payload}.", base64url(br#"{"alg":"ES256"}"#));
    assert!(matches!(check(&empty), Err(ResultError::Signature)));

    let critical = with_header(&json!({"alg": "ES256", "crit": ["b64"], "b64": false}));
    assert!(matches!(check(&critical), Err(ResultError::Critical)));
    let kind = with_header(&json!({"alg": "ES256", "typ": "at+jwt"}));
    assert!(matches!(check(&kind), Err(ResultError::Type(_))));
    assert!(check(&with_header(&json!({"alg": "ES256"}))).is_ok());
    assert!(check(&with_header(&json!({"alg": "ES256", "typ": "eat+jwt"}))).is_ok());
    // A key that comes with the token is not looked at.
    let mut header =
        json!({"alg": "ES256", "jwk": {"kty": "EC"}, "x5c": ["MII"], "jku": "https://a"});
    assert!(check(&with_header(&header)).is_ok());
    header["alg"] = Value::Null;
    assert!(matches!(check(&with_header(&header)), Err(ResultError::NotCompact(_))));
}

#[test]
fn time_decides() {
    let at = |now| read(token().as_bytes(), key().public(), &Demands { now, ..demands() });
    assert!(at(NOW).is_ok());
    assert!(at(NOW + 60).is_ok());
    assert!(matches!(at(NOW + 61), Err(ResultError::TooOld { age: 61, max: 60 })));
    assert!(at(NOW - 60).is_ok(), "clocks differ");
    assert!(matches!(at(NOW - 61), Err(ResultError::NotYet { .. })));
    assert!(matches!(at(0), Err(ResultError::NotYet { .. })));

    let end = verified().claims().not_after;
    let patient = |now| {
        let demands = Demands { now, age_seconds_max: u64::MAX, ..demands() };
        read(token().as_bytes(), key().public(), &demands)
    };
    assert!(patient(end - 1).is_ok());
    assert!(matches!(patient(end), Err(ResultError::Expired { .. })));
    assert!(matches!(patient(u64::MAX), Err(ResultError::Expired { .. })));
    let not_before = signed(|claims| claims["nbf"] = json!(NOW + 1_000));
    assert!(matches!(check(&not_before), Err(ResultError::NotYet { .. })));
}

#[test]
fn it_must_be_the_right_answer() {
    let nonce = [3; 32];
    let wanted = Demands { nonce: Some(&nonce), ..demands() };
    let asked = |token: &str| read(token.as_bytes(), key().public(), &wanted);
    assert!(matches!(asked(&token()), Err(ResultError::Nonce)), "there is none");
    let result = |nonce: &[u8]| {
        let appraisal = appraisal(&Policy::default());
        AttestationResult::new([appraisal], Some(nonce)).unwrap().sign(&key(), BUILD)
    };
    assert!(matches!(asked(&result(&[4; 32])), Err(ResultError::Nonce)));
    assert!(asked(&result(&nonce)).is_ok());

    let wanted = Demands { policy_id: Some("ni:///sha-256;other"), ..demands() };
    let error = read(token().as_bytes(), key().public(), &wanted).unwrap_err();
    assert!(matches!(error, ResultError::Policy { .. }), "{error}");
    let unnamed = signed(|claims| {
        let submodule = claims["submods"]["intel-tdx"].as_object_mut().unwrap();
        submodule.remove("ear.appraisal-policy-id");
    });
    let error = read(unnamed.as_bytes(), key().public(), &wanted).unwrap_err();
    assert!(matches!(error, ResultError::Policy { found, .. } if found == "none"));
}

#[test]
fn what_is_signed_must_still_be_a_result() {
    for profile in [json!("tag:ietf.org,2026:rats/ear#04"), json!("test"), json!(1), Value::Null] {
        let token = signed(|claims| claims["eat_profile"] = profile.clone());
        assert!(matches!(check(&token), Err(ResultError::Profile { .. })), "{profile}");
    }
    type Change = (&'static str, fn(&mut Value));
    let changes: [Change; 8] = [
        ("no time", |claims| claims["iat"] = Value::Null),
        ("half a second", |claims| claims["iat"] = json!(1.5)),
        ("before 1970", |claims| claims["iat"] = json!(-1)),
        ("no verifier", |claims| claims["ear.verifier-id"] = json!({"build": "x"})),
        ("no list", |claims| claims["submods"] = json!([])),
        ("odd status", |claims| claims["submods"]["intel-tdx"]["ear.status"] = json!("fine")),
        ("no status", |claims| claims["submods"]["x"] = json!({})),
        ("short nonce", |claims| claims["eat_nonce"] = json!("AAAA")),
    ];
    for (name, change) in changes {
        assert!(matches!(check(&signed(change)), Err(ResultError::Claims(_))), "{name}");
    }
    let empty = signed(|claims| claims["submods"] = json!({}));
    assert!(matches!(check(&empty), Err(ResultError::Empty)));
    let better = signed(|claims| {
        let vector = &mut claims["submods"]["intel-tdx"]["ear.trustworthiness-vector"];
        vector["hardware"] = json!(96);
    });
    assert!(matches!(check(&better), Err(ResultError::Contradiction(_))));
    let unknown = signed(|claims| claims["something"] = json!({"else": 1}));
    assert!(check(&unknown).is_ok(), "unknown claims are ignored");
    let twice = jws::sign(br#"{"eat_profile":"a","eat_profile":"b"}"#, &key());
    assert!(matches!(check(&twice), Err(ResultError::Claims(_))));
    assert!(matches!(check(&jws::sign(b"[1, 2]", &key())), Err(ResultError::Claims(_))));
    assert!(matches!(check(&jws::sign(b"", &key())), Err(ResultError::Claims(_))));
    let large = "a".repeat(TOKEN_BYTES_MAX + 1);
    assert!(matches!(check(&large), Err(ResultError::TooLarge)));
}

#[test]
fn others_results_are_read() {
    let key = ResultKey::from_spki_pem(include_str!("../tests/data/veraison.pub")).unwrap();
    let token = include_bytes!("../tests/data/veraison.jwt");
    let demands =
        Demands { now: 1_676_472_709, age_seconds_max: u64::MAX, nonce: None, policy_id: None };
    let checked = read(token, &key, &demands).unwrap();
    assert_eq!(checked.issued_at, 1_666_091_373);
    assert_eq!(checked.verifier.developer, "Acme Inc.");
    assert_eq!(checked.status(), Tier::Affirming);
    assert_eq!(checked.submodules["test"].policy_id.as_deref(), Some("policy://test/01234"));
    let early = Demands { now: 1_676_000_000, ..demands };
    assert!(matches!(read(token, &key, &early), Err(ResultError::NotYet { .. })));

    let key = ResultKey::from_spki_pem(include_str!("../tests/data/rust-ear.pub")).unwrap();
    let token = include_bytes!("../tests/data/rust-ear.jwt");
    // Its signature is good; its profile is a later draft's.
    jws::verify(token, &key).unwrap();
    assert!(matches!(read(token, &key, &demands), Err(ResultError::Profile { .. })));
}

#[test]
fn openssl_signs_the_same_bytes() {
    let theirs = include_str!("../tests/data/python.jwt").trim();
    let payload = br#"{"eat_profile":"tag:github.com,2023:veraison/ear"}"#;
    assert_eq!(jws::sign(payload, &key()), theirs);
    assert_eq!(jws::verify(theirs.as_bytes(), key().public()).unwrap(), payload);
}

/// RFC 7515, A.3.
#[test]
fn the_standard_s_example_is_verified() {
    let point = [
        vec![4],
        from_base64url("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU").unwrap(),
        from_base64url("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0").unwrap(),
    ]
    .concat();
    let key = p256::PublicKey::from_sec1_bytes(&point).unwrap();
    let pem = p256::pkcs8::EncodePublicKey::to_public_key_pem(&key, Default::default()).unwrap();
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
        cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISl\
        SApmWQxfKTUJqPP3-Kg6NU1Q";
    let key = ResultKey::from_spki_pem(&pem).unwrap();
    assert!(jws::verify(token.as_bytes(), &key).unwrap().starts_with(br#"{"iss":"joe""#));
}

#[test]
fn keys_are_kept_and_not_shown() {
    let key = other_key();
    let pem = key.to_pkcs8_pem().unwrap();
    let again = SigningKey::from_pkcs8_pem(&pem).unwrap();
    assert_eq!(again.public(), key.public());
    let public = ResultKey::from_spki_pem(&key.public().to_spki_pem().unwrap()).unwrap();
    assert_eq!(&public, key.public());
    let shown = format!("{key:?}");
    assert!(shown.contains(key.public().id()) && !shown.contains("07"), "{shown}");

    let private = ResultKey::from_spki_pem(&pem).unwrap_err();
    assert!(matches!(private, KeyError::PrivateForPublic));
    assert!(matches!(ResultKey::from_spki_pem("junk"), Err(KeyError::Public)));
    let error = SigningKey::from_pkcs8_pem(&pem.replace('A', "B")).unwrap_err();
    assert!(matches!(error, KeyError::Private));
}
