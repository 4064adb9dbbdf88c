//! The module itself, in an engine, on vendors' real evidence.

#![allow(clippy::unwrap_used)]

mod module;

use casemate_attestation_wasm::answer;
use serde_json::{Value, json};

use crate::module::Module;

fn data(name: &str) -> Vec<u8> {
    let path = format!("{}/../attestation/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|err| panic!("{path}: {err}"))
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 2025-06-25
const AT: u64 = 1_750_809_600;

fn tdx(quote: &[u8]) -> Value {
    let collateral = String::from_utf8(data("dcap/tdx_quote_collateral.json")).unwrap();
    json!({"kind": "tdx", "evidence": hex_of(quote), "collateral": [collateral], "at": AT})
}

fn sgx() -> Value {
    let collateral = String::from_utf8(data("dcap/sgx_quote_collateral.json")).unwrap();
    let evidence = hex_of(&data("dcap/sgx_quote"));
    json!({"kind": "sgx", "evidence": evidence, "collateral": [collateral], "at": AT})
}

fn snp() -> Value {
    let collateral = [
        hex_of(&data("sev_snp/milan_vcek.der")),
        String::from_utf8(data("sev_snp/milan_chain.pem")).unwrap(),
    ];
    let evidence = hex_of(&data("sev_snp/milan_report.bin"));
    // 2026-11-22
    json!({"kind": "sev-snp", "evidence": evidence, "collateral": collateral, "at": 1_795_305_600})
}

/// What the module says, which must be what the same code says outside of it, to the byte.
fn ask(module: &mut Module, request: &Value) -> Value {
    let request = request.to_string().into_bytes();
    let found = module.appraise(&request);
    assert_eq!(
        String::from_utf8(found.clone()).unwrap(),
        String::from_utf8(answer(&request)).unwrap()
    );
    serde_json::from_slice(&found).unwrap()
}

#[test]
fn real_evidence_is_appraised_in_webassembly_as_outside() {
    let mut module = Module::load();
    println!("the module has {} bytes", module.size());
    let quote = data("dcap/tdx_quote");
    let value = ask(&mut module, &tdx(&quote));
    assert_eq!(value["accepted"], true, "{value}");
    assert_eq!(value["claims"]["kind"], "intelTdx");
    assert_eq!(value["claims"]["grade"], "hardware");
    assert_eq!(value["claims"]["tcb"]["status"], "UpToDate");
    assert!(value["checks"].as_array().unwrap().len() >= 4);

    let value = ask(&mut module, &snp());
    assert_eq!(value["accepted"], true, "{value}");
    assert_eq!(value["claims"]["product"], "Milan");

    // Open advisories: genuine, and refused by the default policy.
    let value = ask(&mut module, &sgx());
    assert_eq!(value["accepted"], false);
    assert_eq!(value["claims"]["tcb"]["status"], "ConfigurationAndSWHardeningNeeded");
    assert_eq!(value["reasons"].as_array().unwrap().len(), 1, "{value}");
}

#[test]
fn a_flipped_bit_is_refused() {
    let mut module = Module::load();
    let genuine = data("dcap/tdx_quote");
    // In the header, the body, the report data, the signature.
    for at in [30, 60, 200, 570, 640] {
        let mut quote = genuine.clone();
        quote[at] ^= 1;
        let value = ask(&mut module, &tdx(&quote));
        assert_eq!(value["accepted"], false, "byte {at}");
        assert!(value.get("claims").is_none(), "nothing of a forgery is repeated: {value}");
        assert!(value["error"].is_string() || value["unreadable"].is_string(), "{value}");
    }
    let mut report = snp();
    let mut bytes = data("sev_snp/milan_report.bin");
    bytes[0x90] ^= 1;
    report["evidence"] = hex_of(&bytes).into();
    assert_eq!(ask(&mut module, &report)["error"], "Signature");
}

#[test]
fn time_policy_report_data_and_roots_decide() {
    let mut module = Module::load();
    let request = tdx(&data("dcap/tdx_quote"));
    let mut with = |change: &dyn Fn(&mut Value)| {
        let mut request = request.clone();
        change(&mut request);
        ask(&mut module, &request)
    };
    assert_eq!(with(&|r| r["at"] = json!(2_000_000_000))["error"], "Expired");
    assert_eq!(with(&|r| r["at"] = json!(0))["error"], "NotYetValid");
    let genuine = with(&|_| ());
    let workload = genuine["workload"].clone();
    let policy = |workload: Value| json!({"require": {"workload": [workload]}});
    assert_eq!(with(&|r| r["policy"] = policy(workload.clone()))["accepted"], true);
    assert_eq!(with(&|r| r["policy"] = policy("11".repeat(48).into()))["accepted"], false);
    let software = with(&|r| r["policy"] = json!({"grades": ["software"]}));
    assert_eq!(software["accepted"], false, "{software}");
    let report_data = genuine["claims"]["reportData"].clone();
    assert_eq!(with(&|r| r["reportData"] = report_data.clone())["accepted"], true);
    assert_eq!(with(&|r| r["reportData"] = "11".repeat(64).into())["accepted"], false);
    // Another root does not change what a vendor's root is worth.
    let more = with(&|r| r["softwareRoots"] = json!(["22".repeat(32)]));
    assert_eq!(more["claims"]["grade"], "hardware");
}

#[test]
fn anything_has_an_answer() {
    let mut module = Module::load();
    let request = tdx(&data("dcap/tdx_quote"));
    let mut unreadable = |change: &dyn Fn(&mut Value), words: &str| {
        let mut request = request.clone();
        change(&mut request);
        let value = ask(&mut module, &request);
        assert_eq!(value["accepted"], false);
        let text = value["unreadable"].as_str().unwrap_or_default().to_owned();
        assert!(text.contains(words), "{value}");
    };
    unreadable(&|r| *r = json!({}), "the request: missing field");
    unreadable(&|r| *r = json!([]), "the request: ");
    unreadable(&|r| r["trustMe"] = true.into(), "unknown field `trustMe`");
    unreadable(&|r| r["kind"] = "gpu".into(), "unknown variant `gpu`");
    unreadable(&|r| r["kind"] = "sgx".into(), "another kind");
    unreadable(&|r| r["evidence"] = "".into(), "`evidence`");
    unreadable(&|r| r["evidence"] = "zz!".into(), "`evidence`");
    unreadable(&|r| r["evidence"] = "00".into(), "`evidence`");
    unreadable(&|r| r["collateral"] = json!([]), "`collateral`");
    unreadable(&|r| r["collateral"] = json!(["junk"]), "`collateral[0]`");
    unreadable(&|r| r["reportData"] = "12".into(), "64 bytes in hex");
    unreadable(&|r| r["softwareRoots"] = json!(["12"]), "32 bytes in hex");
    for bytes in [b"".as_slice(), b"{", b"\xff\xfe", &[b'['; 10_000]] {
        assert_eq!(module.appraise(bytes), answer(bytes));
    }
}

/// A page stays open for long.
#[test]
fn its_memory_does_not_grow_with_use() {
    let mut module = Module::load();
    let requests = [tdx(&data("dcap/tdx_quote")), snp(), json!({})];
    let mut round = || {
        for request in &requests {
            module.appraise(request.to_string().as_bytes());
        }
        module.memory_bytes()
    };
    let first = round();
    assert!(first <= 16 << 20, "{first} bytes for one appraisal");
    for _ in 0..20 {
        assert_eq!(round(), first);
    }
}
