//! `casemate attest verify --result`, `attest key` and `attest result`.

use std::path::PathBuf;

use base64::Engine as _;
use casemate_attestation_result::{SigningKey, jws};
use casemate_evidence::RawEvidence;
use casemate_software_tee::wire::Kind;
use serde_json::{Value, json};

use crate::{
    rig::{Agent, evidence_for, network},
    run::{Home, Run, is_private},
};

const AT: &str = "2025-06-25T00:00:00Z";
const LATER: &str = "2025-06-25T01:00:00Z";

fn data(name: &str) -> String {
    format!("{}/../attestation/tests/data/dcap/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn text(path: PathBuf) -> String {
    path.display().to_string()
}

/// A home with a key in `signer` and `signer.pub`.
fn home() -> Home {
    let home = Home::new();
    home.run(&["attest", "key", "signer", "--output", "json"]).json();
    home
}

fn verify_file(home: &Home, kind: &str, evidence: &str, collateral: &str, more: &[&str]) -> Run {
    let mut args = vec!["attest", "verify", "--output", "json", "--kind", kind, "--at", AT];
    args.extend(["--evidence", evidence, "--collateral", collateral]);
    args.extend(["--result", "result.jwt", "--sign-with", "signer"]);
    args.extend(more);
    home.run(&args)
}

/// Appraises Intel's real TDX quote.
fn verify(home: &Home, more: &[&str]) -> Run {
    verify_file(home, "tdx", &data("tdx_quote"), &data("tdx_quote_collateral.json"), more)
}

fn check(home: &Home, more: &[&str]) -> Run {
    let mut args = vec!["attest", "result", "result.jwt", "--output", "json"];
    if !more.contains(&"--key") {
        args.extend(["--key", "signer.pub"]);
    }
    if !more.contains(&"--at") {
        args.extend(["--at", LATER]);
    }
    args.extend(more);
    home.run(&args)
}

fn refused(run: &Run) -> (Value, String) {
    assert_eq!(run.code, 1, "{}", run.text());
    assert!(run.stderr.contains("the result is refused"), "{}", run.text());
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value["accepted"], false);
    let reasons: Vec<String> = serde_json::from_value(value["reasons"].clone()).unwrap();
    assert!(!reasons.is_empty(), "{}", run.text());
    (value, reasons.join("\n"))
}

/// Refused before anything that it says is looked at.
fn not_believed(run: &Run, error: &str, words: &str) {
    let (value, reasons) = refused(run);
    assert_eq!(value["error"], error, "{}", run.text());
    assert!(reasons.contains(words), "{reasons}");
    assert!(value.get("status").is_none() && value.get("evidence").is_none(), "{value}");
}

fn token(home: &Home) -> String {
    std::fs::read_to_string(home.path("result.jwt")).unwrap().trim().to_owned()
}

fn from_base64url(text: &str) -> Vec<u8> {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn base64url(bytes: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn claims(home: &Home) -> Value {
    serde_json::from_slice(&from_base64url(token(home).split('.').nth(1).unwrap())).unwrap()
}

fn signer(home: &Home) -> SigningKey {
    let pem = std::fs::read_to_string(home.path("signer")).unwrap();
    SigningKey::from_pkcs8_pem(&pem).unwrap()
}

#[test]
fn a_real_quote_becomes_a_signed_result_that_another_checks() {
    let home = home();
    let plain = verify(&home, &[]).json();
    let report_data = plain["claims"]["reportData"].as_str().unwrap().to_owned();
    let workload = plain["workload"].as_str().unwrap();
    let policy = home.write("p.json", &json!({"require": {"workload": [workload]}}).to_string());
    let policy = text(policy);
    let run = verify(&home, &["--policy", &policy, "--report-data", &report_data]);
    let value = run.json();
    assert_eq!(value["result"]["status"], "affirming");
    assert!(run.stderr.contains("The signed result is in `result.jwt`"), "{}", run.text());

    let value = check(&home, &["--policy", &policy, "--nonce", &report_data]).json();
    assert_eq!(value["accepted"], true);
    assert_eq!(value["status"], "affirming");
    assert_eq!(value["appraisedAt"], AT);
    assert_eq!(value["at"], LATER);
    assert_eq!(value["nonces"], json!([report_data]));
    assert!(value["build"].as_str().unwrap().starts_with("casemate "));
    let tdx = &value["evidence"]["intel-tdx"];
    let vector =
        json!({"instance-identity": 2, "executables": 3, "hardware": 2, "runtime-opaque": 2});
    assert_eq!(tdx["trustworthiness"], vector);
    assert_eq!(tdx["appraisal"]["claims"], plain["claims"]);
    assert_eq!(tdx["debug"], "disabled-since-boot");

    let people = home.run(&[
        "attest",
        "result",
        "result.jwt",
        "--key",
        "signer.pub",
        "--at",
        LATER,
        "--output",
        "human",
    ]);
    assert_eq!(people.code, 0, "{}", people.text());
    for words in ["status:", "affirming", "intel-tdx, affirming", "hardware 2", "ni:///sha-256;"] {
        assert!(people.stdout.contains(words), "{}", people.text());
    }
    assert!(people.stdout.ends_with("accepted\n"), "{}", people.text());

    // It was not made under another policy, or for somebody else.
    let other = text(home.write("other.json", "{}"));
    not_believed(&check(&home, &["--policy", &other]), "Policy", "another policy");
    not_believed(&check(&home, &["--nonce", &"11".repeat(64)]), "Nonce", "nonce");
}

#[test]
fn a_key_is_its_owner_s_and_never_overwritten() {
    let home = Home::new();
    let run = home.run(&["attest", "key", "signer", "--output", "json"]);
    let value = run.json();
    assert!(is_private(&home.path("signer")));
    let pem = std::fs::read_to_string(home.path("signer")).unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    let public = std::fs::read_to_string(home.path("signer.pub")).unwrap();
    assert!(public.starts_with("-----BEGIN PUBLIC KEY-----"));
    assert_eq!(value["id"], signer(&home).public().id());
    let secret = pem.lines().nth(1).unwrap();
    assert!(!run.text().contains(secret), "it is not shown");

    home.run(&["attest", "key", "signer"]).fails(2, &["`signer` already", "not changed"]);
    std::fs::remove_file(home.path("signer")).unwrap();
    home.run(&["attest", "key", "signer"]).fails(2, &["`signer.pub` already"]);
    home.run(&["attest", "key", "none/signer"]).fails(1, &["cannot write `none/signer`"]);

    // What others may read is no key.
    let open = text(home.write("open", &pem));
    let quote = (data("tdx_quote"), data("tdx_quote_collateral.json"));
    let with = |key: &str| {
        home.run(&[
            "attest",
            "verify",
            "--kind",
            "tdx",
            "--at",
            AT,
            "--evidence",
            &quote.0,
            "--collateral",
            &quote.1,
            "--result",
            "r.jwt",
            "--sign-with",
            key,
        ])
    };
    with(&open).fails(2, &["others may read", "chmod 600"]);
    with("/none").fails(2, &["cannot use the key `/none`", "casemate attest key FILE"]);
    let junk = text(home.write_private("junk", "-----BEGIN PRIVATE KEY-----\n"));
    with(&junk).fails(2, &["is no key to sign results with"]);
    assert!(!home.path("r.jwt").exists(), "nothing is written without a signature");
}

#[test]
fn what_was_refused_is_said_so() {
    let home = home();
    let policy = json!({"require": {"workload": ["11".repeat(48)]}}).to_string();
    let policy = text(home.write("p.json", &policy));
    let run = verify(&home, &["--policy", &policy]);
    assert_eq!(run.code, 1, "{}", run.text());
    let (value, reasons) = refused(&check(&home, &["--policy", &policy]));
    assert_eq!(value["status"], "contraindicated");
    assert_eq!(value["evidence"]["intel-tdx"]["trustworthiness"]["executables"], 33);
    assert!(reasons.contains("the verifier refused intel-tdx: measured workload"), "{reasons}");
    assert!(value.get("error").is_none(), "it is believed: {value}");

    let mut forged = std::fs::read(data("tdx_quote")).unwrap();
    forged[200] ^= 1;
    std::fs::write(home.path("forged"), forged).unwrap();
    let forged = text(home.path("forged"));
    let run = verify_file(&home, "tdx", &forged, &data("tdx_quote_collateral.json"), &[]);
    assert_eq!(run.code, 1, "{}", run.text());
    let (value, reasons) = refused(&check(&home, &[]));
    assert_eq!(value["evidence"]["intel-tdx"]["trustworthiness"], json!({"hardware": 99}));
    assert!(value["evidence"]["intel-tdx"]["appraisal"].get("claims").is_none(), "{value}");
    assert!(reasons.contains("the verifier refused intel-tdx: "), "{reasons}");
}

#[test]
fn warnings_count_only_where_they_are_accepted() {
    let home = home();
    let policy =
        r#"{"tcb":{"grace":[{"advisory":"INTEL-SA-00289"},{"advisory":"INTEL-SA-00615"}]}}"#;
    let policy = text(home.write("grace.json", policy));
    let (quote, collateral) = (data("sgx_quote"), data("sgx_quote_collateral.json"));
    verify_file(&home, "sgx", &quote, &collateral, &["--policy", &policy]).json();
    let (value, reasons) = refused(&check(&home, &[]));
    assert_eq!(value["status"], "warning");
    assert!(reasons.contains("--allow-warning"), "{reasons}");
    assert!(reasons.contains("state of the platform's firmware"), "{reasons}");
    let vector = &value["evidence"]["intel-sgx"]["trustworthiness"];
    assert_eq!((&vector["hardware"], &vector["configuration"]), (&json!(32), &json!(36)));
    let run = check(&home, &["--allow-warning"]);
    assert_eq!(run.json()["status"], "warning");
    assert!(run.stderr.contains("warning: accepted although"), "{}", run.text());
}

#[test]
fn a_software_tee_is_never_affirmed() {
    let home = home();
    let answer = Agent::start().ask("GET", &evidence_for([1; 32]), &[]);
    let answer = String::from_utf8(answer).unwrap();
    let document: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let cmw = base64::engine::general_purpose::STANDARD
        .decode(document["evidence"].as_str().unwrap())
        .unwrap();
    std::fs::write(home.path("quote"), RawEvidence::from_cmw(&cmw).unwrap().evidence).unwrap();
    let (root, collateral) = (
        text(network().root_file(Kind::IntelTdx)),
        text(network().collateral_file(Kind::IntelTdx)),
    );
    let verify = |more: &[&str]| {
        let args = [
            "attest",
            "verify",
            "--output",
            "json",
            "--kind",
            "tdx",
            "--evidence",
            "quote",
            "--collateral",
            &collateral,
            "--software-root",
            &root,
            "--result",
            "result.jwt",
            "--sign-with",
            "signer",
        ];
        home.run(&[&args, more].concat())
    };
    let check = |more: &[&str]| {
        let args = ["attest", "result", "result.jwt", "--output", "json", "--key", "signer.pub"];
        home.run(&[&args, more].concat())
    };
    // By a policy that did not ask for it: refused.
    assert_eq!(verify(&[]).code, 1);
    let (value, _) = refused(&check(&["--allow-warning"]));
    assert_eq!(value["status"], "contraindicated");
    // By one that did: a warning, whoever reads it.
    let policy = text(home.write("p.json", r#"{"grades":["software"]}"#));
    assert_eq!(verify(&["--policy", &policy]).json()["result"]["status"], "warning");
    let (value, reasons) = refused(&check(&[]));
    assert_eq!(value["status"], "warning");
    assert_eq!(value["evidence"]["intel-tdx"]["trustworthiness"], json!({}));
    assert!(reasons.contains("it is a software TEE"), "{reasons}");
    assert_eq!(check(&["--allow-warning"]).json()["accepted"], true);
}

#[test]
fn what_another_key_signed_or_anybody_changed_is_not_believed() {
    let home = home();
    verify(&home, &[]).json();
    home.run(&["attest", "key", "other"]);
    not_believed(&check(&home, &["--key", "other.pub"]), "OtherKey", "signed by another key");

    let genuine = token(&home);
    let parts: Vec<&str> = genuine.split('.').collect();
    let payload = String::from_utf8(from_base64url(parts[1])).unwrap();
    let changed = payload.replacen("\"hardware\":2", "\"hardware\":3", 1);
    assert_ne!(changed, payload);
    let forge = |header: &str, payload: &str, signature: &str| {
        let token = format!("{header}.{}.{signature}", base64url(payload.as_bytes()));
        home.write("result.jwt", &token);
    };
    forge(parts[0], &changed, parts[2]);
    not_believed(&check(&home, &[]), "Signature", "changed after it was signed");
    let none = base64url(br#"{"alg":"none","typ":"JWT"}"#);
    forge(&none, &payload, "");
    not_believed(&check(&home, &[]), "Algorithm", "`none`");
    forge(&none, &payload, parts[2]);
    not_believed(&check(&home, &[]), "Algorithm", "only ES256");
    // A public key that is used as if it were a shared secret.
    forge(&base64url(br#"{"alg":"HS256"}"#), &payload, parts[2]);
    not_believed(&check(&home, &[]), "Algorithm", "`HS256`");
}

#[test]
fn an_old_result_or_one_of_another_kind_is_not_believed() {
    let home = home();
    verify(&home, &[]).json();
    let old = check(&home, &["--max-age", "3599"]);
    not_believed(&old, "TooOld", "3600 s old, at most 3599 s are accepted");
    assert_eq!(check(&home, &["--max-age", "3600"]).code, 0);
    not_believed(&check(&home, &["--at", "2025-06-26T00:00:01Z"]), "TooOld", "86400 s");
    let expired = check(&home, &["--at", "2035-01-01T00:00:00Z", "--max-age", "1000000000"]);
    not_believed(&expired, "Expired", "it expired at");
    not_believed(&check(&home, &["--at", "2025-06-24T00:00:00Z"]), "NotYet", "from the future");

    let resigned = |change: fn(&mut Value)| {
        let mut claims = claims(&home);
        change(&mut claims);
        home.write("result.jwt", &jws::sign(claims.to_string().as_bytes(), &signer(&home)));
    };
    resigned(|claims| claims["eat_profile"] = json!("tag:ietf.org,2026:rats/ear#04"));
    not_believed(&check(&home, &[]), "Profile", "tag:ietf.org,2026:rats/ear#04");
    resigned(|claims| *claims = json!({"iss": "someone", "iat": 1_750_809_600}));
    not_believed(&check(&home, &[]), "Profile", "expected `tag:github.com,2023:veraison/ear`");
}

#[test]
fn a_verifier_cannot_draw_on_the_terminal() {
    let home = home();
    verify(&home, &[]).json();
    let mut claims = claims(&home);
    claims["ear.verifier-id"]["build"] = json!("x\u{1b}[2J\nREFUSED\nstatus: fine");
    claims["submods"]["intel\ntdx\u{7}"] = json!({"ear.status": "contraindicated"});
    home.write("result.jwt", &jws::sign(claims.to_string().as_bytes(), &signer(&home)));
    let run = home.run(&[
        "attest",
        "result",
        "result.jwt",
        "--key",
        "signer.pub",
        "--at",
        LATER,
        "--output",
        "human",
    ]);
    assert_eq!(run.code, 1, "{}", run.text());
    let hidden = |c: char| c.is_control() && c != '\n';
    assert!(!run.stdout.contains(hidden) && !run.stderr.contains(hidden), "{}", run.text());
    let lines = |start: &str| run.stdout.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!((lines("REFUSED"), lines("status:"), lines("tdx")), (1, 1, 0), "{}", run.text());
}

#[test]
fn what_can_not_be_read_is_told_apart_from_what_is_not_believed() {
    let home = home();
    verify(&home, &[]).json();
    let result = |file: &str, key: &str| home.run(&["attest", "result", file, "--key", key]);
    result("/none", "signer.pub").fails(2, &["cannot read `/none`"]);
    result("result.jwt", "/none").fails(2, &["cannot read `/none`"]);
    home.write("junk", "no token");
    result("junk", "signer.pub").fails(2, &["`junk` is no signed result", "--result FILE"]);
    result("result.jwt", "junk").fails(2, &["`junk` is no public key of a verifier"]);
    result("result.jwt", "signer").fails(2, &["this is a private key", "FILE.pub"]);
    check(&home, &["--nonce", "12"]).fails(2, &["8 to 64 bytes in hex"]);
    check(&home, &["--at", "today"]).fails(2, &["is no time"]);

    let run = home.run(&["attest", "verify", "--kind", "tdx", "--evidence", "x", "--result", "y"]);
    run.fails(2, &["--sign-with"]);
    let (quote, collateral) = (data("tdx_quote"), data("tdx_quote_collateral.json"));
    home.run(&[
        "attest",
        "verify",
        "--kind",
        "tdx",
        "--evidence",
        &quote,
        "--collateral",
        &collateral,
        "--at",
        AT,
        "--result",
        "none/result.jwt",
        "--sign-with",
        "signer",
    ])
    .fails(2, &["cannot write the result to `none/result.jwt`"]);
    // A result that starts to count in a hundred years.
    home.run(&[
        "attest",
        "verify",
        "--kind",
        "tdx",
        "--evidence",
        &quote,
        "--collateral",
        &collateral,
        "--at",
        "2125-01-01T00:00:00Z",
        "--result",
        "ahead.jwt",
        "--sign-with",
        "signer",
    ])
    .fails(2, &["ahead of its time"]);
    assert!(!home.path("ahead.jwt").exists());
}
