//! `casemate attest URL`, against agents with the software TEE's evidence.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Mutex,
};

use casemate_primitives::LeaseId;
use casemate_ra_tls::PodIdentity;
use casemate_software_tee::wire::Kind;
use serde_json::Value;

use crate::{
    rig::{self, AGENT_KEY, Agent, MANIFEST, POD, Setup, evidence_for, network, ordinary_server},
    run::{Home, Run},
};

fn attest_as(kind: Kind, address: SocketAddr, more: &[&str]) -> Run {
    let home = Home::new();
    let text = |path: std::path::PathBuf| path.display().to_string();
    let (root, collateral) =
        (text(network().root_file(kind)), text(network().collateral_file(kind)));
    let address = address.to_string();
    let mut args = vec!["attest", "https://guestbook.example:8443/", "--connect", &address];
    args.extend(["--offline", "--software-root", &root, "--collateral", &collateral]);
    if !more.contains(&"--output") {
        args.extend(["--output", "json"]);
    }
    args.extend(more);
    home.run(&args)
}

fn attest(address: SocketAddr, more: &[&str]) -> Run {
    attest_as(Kind::IntelTdx, address, &[&["--allow-software-tee"], more].concat())
}

fn verdict(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|err| panic!("{err}: {}", run.text()))
}

/// The check that failed, alone.
fn refused(run: &Run) -> (Value, Vec<String>) {
    assert_eq!(run.code, 1, "{}", run.text());
    let value = verdict(run);
    assert_eq!(value["accepted"], false);
    let reasons: Vec<String> = serde_json::from_value(value["reasons"].clone()).unwrap();
    assert!(!reasons.is_empty(), "{}", run.text());
    assert!(run.stderr.contains("is refused"), "{}", run.text());
    (value, reasons)
}

fn outcome<'a>(value: &'a Value, name: &str) -> &'a str {
    let checks = value["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no check `{name}`: {value:#}"))["outcome"].as_str().unwrap()
}

#[test]
fn an_attested_agent_is_accepted_with_every_check_named() {
    for kind in [Kind::IntelTdx, Kind::IntelSgx, Kind::AmdSevSnp] {
        let agent = Agent::with(Setup { kind, ..Setup::default() });
        let run = attest_as(kind, agent.address, &["--allow-software-tee", "--lease", "5"]);
        let value = run.json();
        assert_eq!(value["accepted"], true);
        assert_eq!(value["reasons"], serde_json::json!([]));
        assert_eq!(value["pod"]["lease"], 5);
        assert_eq!(value["pod"]["replica"], 1);
        assert_eq!(value["pod"]["agentKey"], hex::encode(AGENT_KEY));
        assert_eq!(value["pod"]["manifestHash"], hex::encode(MANIFEST));
        assert_eq!(value["pod"]["evidenceDigest"].as_str().unwrap().len(), 64);
        assert_eq!(value["claims"]["grade"], "software");
        assert_eq!(outcome(&value, "freshness: the nonce"), "passed");
        assert_eq!(outcome(&value, "no one in between: this connection's exporter"), "passed");
        assert_eq!(outcome(&value, "evidence of this session"), "passed");
        assert_eq!(outcome(&value, "the lease"), "passed");
        // Said, since nobody has looked.
        assert_eq!(outcome(&value, "the agent's key on chain"), "notChecked");
        assert_eq!(outcome(&value, "approval of the workload on chain"), "notChecked");
        // SGX measures no configuration.
        let measured = if kind == Kind::IntelSgx { "notChecked" } else { "passed" };
        assert_eq!(outcome(&value, "the manifest as the machine measured it"), measured);
        assert!(run.stderr.contains("warning: a software TEE is accepted"), "{}", run.text());
        assert!(run.stderr.contains("as the root of a software TEE"), "{}", run.text());
    }
}

#[test]
fn people_read_the_verdict_in_words() {
    let agent = Agent::start();
    let run = attest(agent.address, &["--output", "human"]);
    assert_eq!(run.code, 0, "{}", run.text());
    assert!(run.stdout.contains("TEE:          TDX (software)"), "{}", run.text());
    assert!(run.stdout.contains("not checked: the agent's key on chain"), "{}", run.text());
    assert!(run.stdout.trim_end().ends_with("accepted"), "{}", run.text());
}

#[test]
fn a_software_tee_is_refused_unless_it_is_asked_for() {
    let agent = Agent::start();
    let (value, reasons) = refused(&attest_as(Kind::IntelTdx, agent.address, &[]));
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].starts_with("grade of the trust root: Software"), "{reasons:?}");
    assert_eq!(outcome(&value, "evidence in the certificate"), "failed");
    // By a policy, too.
    let home = Home::new();
    let policy = home.write("p.json", r#"{"grades":["hardware","software"]}"#);
    let policy = policy.display().to_string();
    let run = attest_as(Kind::IntelTdx, agent.address, &["--policy", &policy]);
    assert_eq!(run.code, 0, "{}", run.text());
    assert!(run.stderr.contains("a software TEE is accepted"), "{}", run.text());
}

#[test]
fn its_root_is_trusted_only_if_it_is_named() {
    let agent = Agent::start();
    let home = Home::new();
    let collateral = network().collateral_file(Kind::IntelTdx).display().to_string();
    let address = agent.address.to_string();
    let run = home.run(&[
        "attest",
        "https://guestbook.example",
        "--connect",
        &address,
        "--offline",
        "--collateral",
        &collateral,
        "--allow-software-tee",
        "--output",
        "json",
    ]);
    let (value, _) = refused(&run);
    assert_eq!(value["error"], "UntrustedRoot");
    assert!(value.get("claims").is_none(), "nothing of a forgery is repeated as a claim");
}

#[test]
fn another_lease_or_manifest_is_refused() {
    let agent =
        Agent::with(Setup { pod: PodIdentity { lease: LeaseId(6), ..POD }, ..Setup::default() });
    let (_, reasons) = refused(&attest(agent.address, &["--lease", "5"]));
    assert_eq!(reasons, ["the lease: 6; wanted: 5"]);
    let hash = hex::encode([1; 32]);
    let (_, reasons) = refused(&attest(agent.address, &["--manifest-hash", &hash]));
    assert!(reasons[0].starts_with("the manifest: 0606"), "{reasons:?}");
    assert_eq!(attest(agent.address, &["--lease", "6"]).code, 0);
}

#[test]
fn a_man_in_the_middle_with_his_own_certificate_is_refused() {
    let (value, reasons) = refused(&attest(ordinary_server(), &[]));
    assert_eq!(value["error"], "NoEvidence");
    assert!(reasons[0].contains("proves nothing"), "{reasons:?}");
    assert!(value.get("pod").is_none());
}

#[test]
fn evidence_for_another_nonce_is_a_replay() {
    let agent = Agent::start();
    let old = agent.ask("GET", &evidence_for([1; 32]), &[]);
    let rogue = agent.impersonated(move |_| old.clone());
    let (value, reasons) = refused(&attest(rogue, &[]));
    assert_eq!(value["error"], "Nonce");
    assert!(reasons[0].contains("replay"), "{reasons:?}");
    // The certificate alone was good.
    assert_eq!(outcome(&value, "evidence in the certificate"), "passed");
    assert_eq!(outcome(&value, "freshness: the nonce"), "failed");
}

#[test]
fn evidence_for_another_connection_shows_who_is_in_between() {
    let agent = Agent::start();
    let address = agent.address;
    let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&asked);
    let rogue = agent.impersonated(move |target| {
        seen.lock().unwrap().push(target.to_owned());
        // The real agent answers our nonce: over the rogue's connection.
        rig::ask(address, "GET", target, &[])
    });
    let (value, reasons) = refused(&attest(rogue, &[]));
    assert_eq!(value["error"], "Channel");
    assert!(reasons[0].contains("in between"), "{reasons:?}");
    // Nothing but the question was sent.
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with("/.well-known/casemate/attestation?nonce="), "{asked:?}");
}

#[test]
fn another_agents_evidence_is_refused() {
    let (agent, other) = (Agent::start(), Agent::start());
    let address = other.address;
    let rogue = agent.impersonated(move |target| rig::ask(address, "GET", target, &[]));
    // Nonce is ours; the connection is not, which shows first.
    assert_eq!(refused(&attest(rogue, &[])).0["error"], "Channel");
}

#[test]
fn who_gives_no_evidence_for_the_session_is_refused() {
    let agent = Agent::start();
    let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}";
    let rogue = agent.impersonated(move |_| answer.to_vec());
    let (value, _) = refused(&attest(rogue, &[]));
    assert_eq!(value["error"], "NoSessionEvidence");
    let rogue =
        agent.impersonated(move |_| b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull".to_vec());
    assert_eq!(refused(&attest(rogue, &[])).0["error"], "NoSessionEvidence");
}

#[test]
fn a_misbehaving_machine_is_refused_by_what_is_wrong() {
    for (misbehaviour, error, words) in [
        ("debug", None, "debugger"),
        ("old-tcb", None, "state of the platform's firmware: OutOfDate"),
        ("revoked-tcb", Some("TcbRevoked"), "revoked"),
        ("revoked", Some("RevokedCertificate"), "revoked"),
        ("wrong-report-data", None, "report data"),
        ("bad-signature", Some("QuoteSignature"), "signature"),
        ("truncated", Some("Truncated"), "wanted"),
        ("wrong-qe", Some("QeSigner"), "wanted"),
    ] {
        let agent = Agent::with(Setup { misbehave: &[misbehaviour], ..Setup::default() });
        let (value, reasons) = refused(&attest(agent.address, &[]));
        match error {
            Some(error) => assert_eq!(value["error"], error, "{misbehaviour}"),
            None => assert!(value.get("error").is_none(), "{misbehaviour}: {value:#}"),
        }
        let text = reasons.join(" ");
        assert!(text.contains(words), "{misbehaviour}: {text}");
    }
}

#[test]
fn a_policy_decides_what_is_enough() {
    let agent = Agent::with(Setup { misbehave: &["old-tcb"], ..Setup::default() });
    let home = Home::new();
    let policy = r#"{"grades":["software"],"tcb":{"statuses":["UpToDate","OutOfDate"]}}"#;
    let policy = home.write("p.json", policy).display().to_string();
    let value = attest(agent.address, &["--policy", &policy]).json();
    let workload = value["workload"].as_str().unwrap().to_owned();
    for (workload, code) in [(workload, 0), ("00".repeat(48), 1)] {
        let policy = format!(
            r#"{{"tcb":{{"statuses":["OutOfDate"]}},"require":{{"workload":["{workload}"]}}}}"#
        );
        let policy = home.write("w.json", &policy).display().to_string();
        let run = attest(agent.address, &["--policy", &policy]);
        assert_eq!(run.code, code, "{}", run.text());
    }
}

#[test]
fn without_collateral_it_is_refused_and_said_what_is_missing() {
    let agent = Agent::start();
    let home = Home::new();
    let root = network().root_file(Kind::IntelTdx).display().to_string();
    let address = agent.address.to_string();
    let mut args = vec!["attest", "https://guestbook.example", "--connect", &address];
    args.extend(["--offline", "--software-root", &root, "--allow-software-tee"]);
    args.extend(["--output", "json"]);
    let (value, reasons) = refused(&home.run(&args));
    assert_eq!(value["error"], "Collateral");
    assert!(reasons[0].contains("the collateral lacks"), "{reasons:?}");
}

#[test]
fn what_can_not_be_reached_or_read_is_no_verdict() {
    let home = Home::new();
    // A port that nobody listens on: it was ours a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("https://127.0.0.1:{port}");
    home.run(&["attest", &url, "--offline"]).fails(2, &["gives nothing to judge", "--connect"]);
    home.run(&["attest", "http://127.0.0.1:1"]).fails(2, &["not protected by TLS", "https://"]);
    home.run(&["attest", "guestbook"]).fails(2, &["is no https URL"]);
    home.run(&["attest", &url, "--rpc", "ws://127.0.0.1:1"])
        .fails(2, &["the chain cannot be asked at ws://127.0.0.1:1", "--offline"]);
    home.run(&["attest", &url, "--offline", "--manifest-hash", "12"]).fails(2, &["32 bytes"]);
    home.run(&["attest", &url, "--offline", "--policy", "none"]).fails(2, &["cannot read `none`"]);
    // Something that speaks no TLS.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut &stream, b"SSH-2.0-x\r\n");
        }
    });
    home.run(&["attest", &format!("https://{address}"), "--offline"])
        .fails(2, &["gives nothing to judge", "handshake"]);
}

#[test]
fn subcommands_stay_what_they_were() {
    let home = Home::new();
    for args in [&["attest"][..], &["attest", "verify"], &["attest", "https://a", "verify"]] {
        let run = home.run(args);
        assert_eq!(run.code, 2, "{}", run.text());
    }
    let help = home.run(&["attest", "--help"]).stdout;
    for word in ["verify", "submit", "lease", "URL", "--offline", "--allow-software-tee"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    // Trust in a root is for who asks no chain: with one, the chain's are the roots.
    home.run(&["attest", "https://a.example", "--software-root", "x"]).fails(2, &["--offline"]);
}
