//! The real agent with the software TEE's evidence, judged by the real verifiers and policies.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use casemate_agent::{
    config::Config,
    event::{EventKind, Stream},
};
use casemate_attestation::{Grade, TrustRoots, bundle::Bundle, policy::Policy};
use casemate_ra_tls::{
    Expected, PeerError, PolicyAppraiser, SecretName, Secrets,
    client::{Options, Release, Session, SessionError},
};
use casemate_software_tee::{
    Directory, Validity,
    client::{Control, Launch},
    daemon::{self, Daemon},
    wire::Kind,
};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    harness::{Agent, PATIENCE, shell},
    pod::{identity, pod, sender},
};

/// One network for all tests: its keys take seconds to make.
pub(crate) struct Network {
    pub(crate) control: Control,
    pub(crate) roots: TrustRoots,
    bundle: Bundle,
    pub(crate) collateral: Vec<Vec<u8>>,
    _daemon: Daemon,
    _dir: tempfile::TempDir,
}

pub(crate) fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("tee");
        let now = daemon::now().unwrap();
        Directory::init(&directory, now, Validity { certificate_days: 30, collateral_days: 30 })
            .unwrap();
        let socket = dir.path().join("control.sock");
        let options = daemon::Options { directory, control: socket.clone(), misbehave: vec![] };
        let daemon = Daemon::start(&options).unwrap();
        let control = Control::new(socket);
        let collateral = control.collateral().unwrap();
        let roots = serde_json::from_value(collateral["roots"].clone()).unwrap();
        let mut bundle = Bundle::default();
        let parts = ["/intel/sgx", "/intel/tdx", "/amd/endorsements"].map(|part| {
            let part = collateral.pointer(part).unwrap_or_else(|| panic!("{part}"));
            part.to_string().into_bytes()
        });
        parts.iter().for_each(|part| bundle.add(part).unwrap());
        let collateral = parts.into();
        Network { control, roots, bundle, collateral, _daemon: daemon, _dir: dir }
    })
}

/// Starts an agent as a guest of the software TEE.
fn agent(id: &str, kind: Kind, misbehave: &[&str]) -> (Agent, Config) {
    let asks = json!({ "secrets": [{ "name": "A" }] });
    let (mut config, given) = pod(shell("echo started; sleep 1000"), &asks);
    let launched = network()
        .control
        .launch(&Launch {
            id,
            kind,
            version: None,
            agent: std::path::Path::new(env!("CARGO_BIN_EXE_casemate-agent")),
            root_fs: None,
            manifest_hash: &identity(&config).manifest_hash,
            owner: None,
            misbehave,
        })
        .unwrap();
    config.attestation.as_mut().unwrap().software_tee = Some(PathBuf::from(&launched.socket));
    let agent = Agent::start_in_pod(&config, &given);
    agent.expect(|k| matches!(k, EventKind::EvidenceAvailable { .. }));
    (agent, config)
}

pub(crate) fn software_policy() -> Policy {
    Policy { grades: vec![Grade::Software], ..Policy::default() }
}

pub(crate) fn connect(
    config: &Config,
    policy: Policy,
    roots: TrustRoots,
) -> Result<Session, SessionError> {
    let bundle = Arc::new(network().bundle.clone());
    let appraiser = PolicyAppraiser::new(policy, roots, bundle, None);
    let pod = identity(config);
    let mut options = Options::new(Expected {
        genesis_hash: Some(pod.genesis_hash),
        lease: Some(pod.lease),
        replica: Some(pod.replica),
        manifest_hash: Some(pod.manifest_hash),
        agent_key: None,
    });
    options.timeout = PATIENCE;
    let port = config.attestation.as_ref().unwrap().port;
    Session::connect(&format!("127.0.0.1:{port}"), Arc::new(appraiser), options)
}

fn refusal(result: Result<Session, SessionError>) -> String {
    match result {
        Err(SessionError::Peer(PeerError::Refused(refusal))) => refusal.reason,
        other => panic!("the evidence should be refused, not {other:?}"),
    }
}

fn release_to(kind: Kind, id: &str) {
    let (mut agent, config) = agent(id, kind, &[]);
    let session = connect(&config, software_policy(), network().roots.clone()).unwrap();
    let mut attested = session.attest(Session::nonce().unwrap()).unwrap();
    assert_eq!(attested.peer().appraisal.claims.grade, Grade::Software);
    let mut secrets = Secrets::new();
    let value = Zeroizing::new(b"value".to_vec());
    secrets.insert(SecretName::new("A").unwrap(), value).unwrap();
    let sender = sender();
    let pod = identity(&config);
    let release = Release { pod, policy_id: [0; 32], sequence: 1, sender: Some(&sender) };
    attested.release(&secrets, &release).unwrap();
    agent.expect_log(Stream::Stdout, "started");
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn a_tdx_guest_gets_its_secrets() {
    release_to(Kind::IntelTdx, "tdx");
}

#[test]
fn an_sgx_enclave_gets_its_secrets() {
    release_to(Kind::IntelSgx, "sgx");
}

#[test]
fn an_snp_guest_gets_its_secrets() {
    release_to(Kind::AmdSevSnp, "snp");
}

#[test]
fn the_default_policy_and_other_roots_refuse_the_software_tee() {
    let (mut agent, config) = agent("strict", Kind::IntelTdx, &[]);
    let reason = refusal(connect(&config, Policy::default(), network().roots.clone()));
    assert!(reason.contains("grade"), "{reason}");
    refusal(connect(&config, software_policy(), TrustRoots::new([])));
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn a_machine_that_misbehaves_gets_no_session() {
    for how in ["debug", "old-tcb", "bad-signature", "wrong-report-data", "truncated"] {
        let (mut agent, config) = agent(how, Kind::IntelTdx, &[how]);
        let reason = refusal(connect(&config, software_policy(), network().roots.clone()));
        assert!(!reason.is_empty(), "{how}");
        agent.signal("TERM");
        agent.wait();
    }
}
