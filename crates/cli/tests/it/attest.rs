//! `casemate attest verify`, with the vendors' real evidence.

use crate::run::{Home, Run};

fn data(name: &str) -> String {
    format!("{}/../attestation/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

struct Case<'a> {
    kind: &'a str,
    evidence: &'a str,
    collateral: &'a [&'a str],
    at: &'a str,
}

const TD15: Case<'_> = Case {
    kind: "tdx",
    evidence: "dcap/tdx_quote_td15ex",
    collateral: &["dcap/tdx_quote_td15ex_collateral.json"],
    at: "2026-10-15T00:00:00Z",
};
const TDX: Case<'_> = Case {
    kind: "tdx",
    evidence: "dcap/tdx_quote",
    collateral: &["dcap/tdx_quote_collateral.json"],
    at: "2025-06-25T00:00:00Z",
};
const SGX: Case<'_> = Case {
    kind: "sgx",
    evidence: "dcap/sgx_quote",
    collateral: &["dcap/sgx_quote_collateral.json"],
    at: "2025-06-25T00:00:00Z",
};
const SNP: Case<'_> = Case {
    kind: "sev-snp",
    evidence: "sev_snp/milan_report.bin",
    collateral: &["sev_snp/milan_vcek.der", "sev_snp/milan_chain.pem"],
    at: "2026-11-22T00:00:00Z",
};
const GPU: Case<'_> = Case {
    kind: "gpu",
    evidence: "nvidia/h100_report.hex",
    collateral: &["nvidia/h100_chain.pem"],
    at: "2026-11-22T00:00:00Z",
};

fn verify(home: &Home, case: &Case<'_>, more: &[&str]) -> Run {
    let evidence =
        if case.evidence.starts_with('/') { case.evidence.into() } else { data(case.evidence) };
    let collateral: Vec<String> = case.collateral.iter().map(|name| data(name)).collect();
    let mut args = vec!["attest", "verify", "--output", "json", "--kind", case.kind];
    args.extend(["--evidence", &evidence, "--at", case.at]);
    for file in &collateral {
        args.extend(["--collateral", file]);
    }
    args.extend(more);
    home.run(&args)
}

fn refused(run: &Run) -> serde_json::Value {
    assert_eq!(run.code, 1, "{}", run.text());
    let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value["accepted"], false);
    assert!(!value["reasons"].as_array().unwrap().is_empty(), "{}", run.text());
    value
}

#[test]
fn real_up_to_date_evidence_of_each_vendor_is_accepted() {
    let home = Home::new();
    for case in [&TD15, &TDX, &SNP] {
        let value = verify(&home, case, &[]).json();
        assert_eq!(value["accepted"], true, "{}", case.evidence);
        assert_eq!(value["claims"]["grade"], "hardware");
        assert_eq!(value["claims"]["tcb"]["status"], "UpToDate");
        assert_eq!(value["claims"]["debug"], false);
        assert_eq!(value["at"], case.at);
        assert!(value["checks"].as_array().unwrap().len() >= 4);
    }
    let value = verify(&home, &GPU, &[]).json();
    assert_eq!(value["claims"]["kind"], "nvidiaGpu");
    // Nobody has judged its firmware: that is said, and can be insisted on.
    assert!(value["checks"].to_string().contains("no RIM was given"));
    let policy = home.write("rim.json", r#"{"require":"gpuMatchesRim"}"#).display().to_string();
    refused(&verify(&home, &GPU, &["--policy", &policy]));
    let other = Case { collateral: &["nvidia"], ..GPU };
    refused(&verify(&home, &other, &[]));
}

#[test]
fn a_platform_with_open_advisories_needs_a_policy_that_puts_up_with_them() {
    let home = Home::new();
    let value = refused(&verify(&home, &SGX, &[]));
    assert_eq!(value["claims"]["tcb"]["status"], "ConfigurationAndSWHardeningNeeded");
    let text = value["reasons"].to_string();
    assert!(text.contains("INTEL-SA-00289") && text.contains("INTEL-SA-00615"), "{text}");

    let grace =
        r#"{"tcb":{"grace":[{"advisory":"INTEL-SA-00289"},{"advisory":"INTEL-SA-00615"}]}}"#;
    let policy = home.write("grace.json", grace).display().to_string();
    assert_eq!(verify(&home, &SGX, &["--policy", &policy]).json()["accepted"], true);
    let half = r#"{"tcb":{"grace":[{"advisory":"INTEL-SA-00289"}]}}"#;
    let policy = home.write("half.json", half).display().to_string();
    refused(&verify(&home, &SGX, &["--policy", &policy]));
    let over = r#"{"tcb":{"grace":[{"advisory":"INTEL-SA-00289","until":1},
        {"advisory":"INTEL-SA-00615"}]}}"#;
    let policy = home.write("over.json", over).display().to_string();
    refused(&verify(&home, &SGX, &["--policy", &policy]));
}

#[test]
fn a_policy_names_what_may_run() {
    let home = Home::new();
    let value = verify(&home, &TD15, &[]).json();
    let workload = value["workload"].as_str().unwrap().to_owned();
    let good = format!(
        r#"{{"require":{{"all":[{{"kind":["intelTdx"]}},{{"workload":["{workload}"]}}]}}}}"#
    );
    let policy = home.write("good.json", &good).display().to_string();
    assert_eq!(verify(&home, &TD15, &["--policy", &policy]).json()["accepted"], true);
    // The firmware alone says nothing about what it has booted.
    let mr_td = value["claims"]["measurements"]["mrTd"].as_str().unwrap().to_owned();
    for other in [mr_td, "00".repeat(48)] {
        let bad = format!(r#"{{"require":{{"workload":["{other}"]}}}}"#);
        let policy = home.write("bad.json", &bad).display().to_string();
        let value = refused(&verify(&home, &TD15, &["--policy", &policy]));
        assert!(value["reasons"][0].as_str().unwrap().starts_with("measured workload"));
    }
    let typo = home.write("typo.json", r#"{"requires":{}}"#).display().to_string();
    verify(&home, &TD15, &["--policy", &typo]).fails(2, &["is no appraisal policy", "requires"]);
}

#[test]
fn time_decides() {
    let home = Home::new();
    for (at, error) in
        [("2027-06-01T00:00:00Z", "Expired"), ("2020-01-01T00:00:00Z", "NotYetValid")]
    {
        let value = refused(&verify(&home, &Case { at, ..TD15 }, &[]));
        assert_eq!(value["error"], error, "{at}");
    }
    verify(&home, &Case { at: "yesterday", ..TD15 }, &[]).fails(2, &["is no time", "RFC 3339"]);
}

#[test]
fn forgeries_are_refused_with_their_reason() {
    let home = Home::new();
    let genuine = std::fs::read(data(TD15.evidence)).unwrap();
    // In the header, the body, the report data.
    for at in [60, 200, 520] {
        let mut forged = genuine.clone();
        forged[at] ^= 1;
        let path = home.path("forged");
        std::fs::write(&path, &forged).unwrap();
        let path = path.display().to_string();
        let value = refused(&verify(&home, &Case { evidence: &path, ..TD15 }, &[]));
        assert!(value["error"].is_string(), "byte {at}: {value}");
        assert!(value.get("claims").is_none(), "nothing of a forgery is repeated as a claim");
    }
    let other_platform = Case { collateral: TDX.collateral, at: TDX.at, ..TD15 };
    refused(&verify(&home, &other_platform, &[]));
    let of_sgx = Case { collateral: SGX.collateral, at: SGX.at, ..TDX };
    // Another of Intel's CAs has issued that machine's certificate.
    assert_eq!(refused(&verify(&home, &of_sgx, &[]))["error"], "PckCrlOfOtherCa");
    let wrong_report_data = "11".repeat(64);
    let value = refused(&verify(&home, &TD15, &["--report-data", &wrong_report_data]));
    assert!(value["reasons"][0].as_str().unwrap().starts_with("report data"));
    let wrong_nonce = "11".repeat(32);
    refused(&verify(&home, &GPU, &["--nonce", &wrong_nonce]));
}

#[test]
fn a_debug_guest_is_refused() {
    let home = Home::new();
    let case = Case {
        evidence: "sev_snp/milan_debug_report.bin",
        collateral: &["sev_snp/milan_debug_vcek.der", "sev_snp/milan_chain.pem"],
        ..SNP
    };
    let value = refused(&verify(&home, &case, &[]));
    assert_eq!(value["claims"]["debug"], true);
    let reasons = value["reasons"].to_string();
    assert!(reasons.contains("debugger"), "{reasons}");
}

#[test]
fn a_report_under_another_machine_s_certificate_is_refused() {
    let home = Home::new();
    let case =
        Case { collateral: &["sev_snp/milan_debug_vcek.der", "sev_snp/milan_chain.pem"], ..SNP };
    refused(&verify(&home, &case, &[]));
}

#[test]
fn collateral_is_read_as_the_vendors_give_it() {
    let home = Home::new();
    // A folder: Intel's bodies, lists in DER, chains in PEM.
    let case = Case {
        kind: "tdx",
        evidence: "dcap/dcap-rs/quote_tdx_00806f050000.dat",
        collateral: &["dcap/dcap-rs"],
        at: "2024-09-20T00:00:00Z",
    };
    // All of it is understood; one of its lists had expired before another part was issued.
    let value = refused(&verify(&home, &case, &[]));
    assert_eq!(value["error"], "Expired", "{value}");
}

#[test]
fn what_can_not_be_read_is_told_apart_from_what_is_refused() {
    let home = Home::new();
    let junk = home.write("junk", "no evidence at all").display().to_string();
    let run = |args: &[&str]| home.run(&[&["attest", "verify"], args].concat());
    run(&["--kind", "tdx", "--evidence", &junk]).fails(2, &["is no quote of this kind", "hint: "]);
    run(&["--kind", "tdx", "--evidence", "/none"]).fails(2, &["cannot read `/none`"]);
    let quote = data(TD15.evidence);
    run(&["--kind", "tdx", "--evidence", &quote]).fails(2, &["collateral", "--collateral FILE"]);
    run(&["--kind", "tdx", "--evidence", &quote, "--collateral", &junk])
        .fails(2, &["is no collateral"]);
    run(&["--kind", "sgx", "--evidence", &quote]).fails(2, &["another kind", "--kind tdx"]);
    run(&["--kind", "tdx", "--evidence", &quote, "--report-data", "12"]).fails(2, &["64 bytes"]);
    let half = std::fs::read(&quote).unwrap();
    let cut = home.path("cut");
    std::fs::write(&cut, &half[..half.len() / 2]).unwrap();
    run(&["--kind", "tdx", "--evidence", &cut.display().to_string()]).fails(2, &["is no quote"]);
}

#[test]
fn what_is_submitted_is_read_before_a_node_or_a_key_is_asked_for() {
    let home = Home::new();
    let run = |args: &[&str]| home.run(&[&["attest", "submit"], args].concat());
    let quote = data(TD15.evidence);
    let collateral = data(TD15.collateral[0]);
    run(&["--kind", "tdx", "--evidence", &quote]).fails(2, &["collateral", "--collateral FILE"]);
    run(&["--kind", "sgx", "--evidence", &quote, "--collateral", &collateral])
        .fails(2, &["another kind: TDX", "--kind tdx"]);
    let junk = home.write("junk", "no evidence at all").display().to_string();
    run(&["--kind", "tdx", "--evidence", &junk, "--collateral", &collateral])
        .fails(2, &["is no quote of this kind"]);
    // A list of revoked certificates is needed, and none is among these.
    let (report, vcek, chain) =
        (data(SNP.evidence), data(SNP.collateral[0]), data(SNP.collateral[1]));
    let args = ["--kind", "sev-snp", "--evidence", &report, "--collateral", &vcek];
    run(&[&args[..], &["--collateral", &chain]].concat()).fails(2, &["revocation list"]);
    let gpu = data(GPU.evidence);
    run(&["--kind", "gpu", "--evidence", &gpu]).fails(2, &["attest verify --kind gpu"]);
    // All there, but nobody to sign.
    run(&["--kind", "tdx", "--evidence", &quote, "--collateral", &collateral])
        .fails(1, &["there is no key", "casemate key new"]);
    home.run(&["attest", "lease", "7", "--rpc", "ws://127.0.0.1:1"])
        .fails(1, &["cannot use the chain node at ws://127.0.0.1:1"]);
}
