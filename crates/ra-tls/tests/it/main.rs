//! Agents and clients on loopback, and who tries to get in between.

#![allow(clippy::unwrap_used)]

mod fake;
mod rogue;

use std::sync::{Arc, atomic::Ordering};

use casemate_primitives::LeaseId;
use casemate_ra_tls::{
    Expected, LIFETIME_SECONDS, PeerError, Purpose, Renewal, SecretName, Secrets,
    client::{Release, Session, SessionError},
};
use fake::{Agent, FakeTee, FakeVerifier, NOW, POD, verifier};
use zeroize::Zeroizing;

fn secrets(value: &str) -> Secrets {
    let mut secrets = Secrets::new();
    let value = Zeroizing::new(value.as_bytes().to_vec());
    secrets.insert(SecretName::new("PASSWORD").unwrap(), value).unwrap();
    secrets
}

fn release(sequence: u64) -> Release<'static> {
    Release { pod: POD, policy_id: [9; 32], sequence, sender: None }
}

fn connect(agent: &Agent) -> Result<Session, SessionError> {
    Session::connect(&agent.address(), verifier(1), agent.options())
}

fn refusal(result: Result<Session, SessionError>) -> PeerError {
    match result {
        Err(SessionError::Peer(err)) => err,
        other => panic!("the peer should be refused, not {other:?}"),
    }
}

#[test]
fn an_attested_session_releases_secrets() {
    let agent = Agent::start();
    let session = connect(&agent).unwrap();
    assert_eq!(session.peer().binding.purpose, Purpose::RaTls);
    let mut attested = session.attest(Session::nonce().unwrap()).unwrap();
    assert_eq!(attested.binding().agent_key, [4; 32]);
    let released = attested.release(&secrets("one"), &release(1)).unwrap();
    assert_eq!(released.accepted, ["PASSWORD"]);
    attested.release(&secrets("two"), &release(2)).unwrap();
    let inbox = agent.inbox.0.lock().unwrap();
    let values: Vec<_> = inbox.iter().map(|r| r.secrets.get("PASSWORD").unwrap()).collect();
    assert_eq!(values, [b"one".as_slice(), b"two"]);
}

#[test]
fn an_older_release_is_refused_by_the_agent() {
    let agent = Agent::start();
    let mut attested = connect(&agent).unwrap().attest([7; 32]).unwrap();
    attested.release(&secrets("new"), &release(8)).unwrap();
    let err = attested.release(&secrets("old"), &release(7)).unwrap_err();
    let SessionError::Refused { status: 409, problem } = err else { panic!("{err}") };
    assert_eq!(problem.code, "rolledBack");
    assert!(!problem.error.contains("old") || problem.error.contains("older"));
}

#[test]
fn registration_evidence_is_over_the_block_and_the_same_keys() {
    let agent = Agent::start();
    let mut session = connect(&agent).unwrap();
    let issued = session.registration([6; 32]).unwrap();
    assert_eq!((issued.binding.purpose, issued.binding.nonce), (Purpose::Registration, [6; 32]));
    assert_eq!(issued.binding.hpke_key, session.peer().binding.hpke_key);
    assert_eq!(issued.evidence.evidence[..64], issued.binding.report_data());
}

#[test]
fn evidence_of_another_vendor_is_refused() {
    let agent = Agent::with(FakeTee::new(2), POD);
    let err = refusal(connect(&agent));
    assert!(matches!(&err, PeerError::Refused(r) if r.reason.contains("vendor")), "{err}");
}

#[test]
fn another_pod_than_the_expected_one_is_refused_by_what_differs() {
    let agent = Agent::start();
    let of = |change: fn(&mut Expected)| {
        let mut options = agent.options();
        change(&mut options.expected);
        match refusal(Session::connect(&agent.address(), verifier(1), options)) {
            PeerError::Unexpected { field, .. } => field,
            other => panic!("{other}"),
        }
    };
    assert_eq!(of(|e| e.genesis_hash = Some([0; 32])), "chain (genesis hash)");
    assert_eq!(of(|e| e.lease = Some(LeaseId(6))), "lease");
    assert_eq!(of(|e| e.replica = Some(0)), "replica");
    assert_eq!(of(|e| e.manifest_hash = Some([0; 32])), "manifest");
    assert_eq!(of(|e| e.agent_key = Some([0; 32])), "agent key");
}

#[test]
fn secrets_are_not_sealed_for_another_pod_than_the_attested_one() {
    let agent = Agent::start();
    let mut options = agent.options();
    options.expected = Expected::default();
    let session = Session::connect(&agent.address(), verifier(1), options).unwrap();
    let mut attested = session.attest([7; 32]).unwrap();
    let mut release = release(1);
    release.pod.manifest_hash = [0; 32];
    let err = attested.release(&secrets("x"), &release).unwrap_err();
    assert!(
        matches!(err, SessionError::Peer(PeerError::Unexpected { field: "manifest", .. })),
        "{err}"
    );
    assert!(agent.inbox.0.lock().unwrap().is_empty());
}

#[test]
fn an_expired_and_a_future_certificate_are_refused() {
    let agent = Agent::start();
    connect(&agent).unwrap();
    for (now, expired) in [(NOW + LIFETIME_SECONDS, true), (NOW - 3600, false)] {
        let mut options = agent.options();
        options.clock = Arc::new(move || now);
        let err = refusal(Session::connect(&agent.address(), verifier(1), options));
        match err {
            PeerError::Expired { .. } => assert!(expired),
            PeerError::NotYetValid { .. } => assert!(!expired),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn evidence_whose_collateral_has_expired_is_refused() {
    let agent = Agent::start();
    let old = FakeVerifier { vendor: verifier(1).vendor, not_after: NOW };
    let err = refusal(Session::connect(&agent.address(), Arc::new(old), agent.options()));
    assert!(matches!(err, PeerError::EvidenceExpired { .. }), "{err}");
}

#[test]
fn evidence_over_other_report_data_is_refused() {
    let agent = Agent::start();
    *agent.tee.lie.lock().unwrap() = Some([0; 64]);
    let err = refusal(connect(&agent));
    assert!(matches!(err, PeerError::ReportData), "{err}");
}

#[test]
fn certificates_are_renewed_before_they_end_and_kept_until_then() {
    let agent = Agent::start();
    let made = || agent.tee.count.load(Ordering::SeqCst);
    connect(&agent).unwrap();
    connect(&agent).unwrap();
    assert_eq!(made(), 1);
    let first = agent.resolver.certificate().unwrap();
    // Past half of its life: this handshake still gets the old one, and a new one is made.
    agent.clock.set(NOW + LIFETIME_SECONDS * 3 / 4);
    connect(&agent).unwrap();
    let start = std::time::Instant::now();
    while agent.resolver.certificate().unwrap() == first {
        assert!(start.elapsed() < fake::PATIENCE, "no new certificate came");
        std::thread::yield_now();
    }
    connect(&agent).unwrap();
    assert_eq!(made(), 2);
    // Long after its end: the handshake waits for a new one.
    agent.clock.set(NOW + 10 * LIFETIME_SECONDS);
    connect(&agent).unwrap();
    assert_eq!(made(), 3);
}

#[test]
fn without_evidence_there_is_no_handshake_and_waiting_ones_share_one_failure() {
    let agent = Agent::start();
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let hears = heard.clone();
    agent.resolver.observe(move |renewal| {
        hears.lock().unwrap().push(match renewal {
            Renewal::Done => "done".to_owned(),
            Renewal::Failed { cause, serves } => format!("{serves}: {cause}"),
        });
    });
    let tried = || agent.tee.tried.load(Ordering::SeqCst);
    *agent.tee.broken.lock().unwrap() = true;
    for _ in 0..5 {
        let err = connect(&agent).unwrap_err();
        assert!(matches!(err, SessionError::Handshake { .. }), "{err}");
    }
    assert_eq!(tried(), 1);
    assert!(heard.lock().unwrap()[0].starts_with("false: failed to get evidence"), "{heard:?}");
    // Who asks later has it tried again.
    *agent.tee.broken.lock().unwrap() = false;
    agent.clock.set(NOW + 2);
    connect(&agent).unwrap();
    assert_eq!((tried(), heard.lock().unwrap()[1].as_str()), (2, "done"));

    // What fails while the certificate is valid is known to be harmless.
    agent.clock.set(NOW + LIFETIME_SECONDS - 10);
    *agent.tee.broken.lock().unwrap() = true;
    agent.resolver.renew().unwrap_err();
    connect(&agent).unwrap();
    assert_eq!(tried(), 3, "no handshake tries at once what has just failed");
    assert!(heard.lock().unwrap()[2].starts_with("true: "), "{heard:?}");
}

#[test]
fn debug_output_of_the_server_holds_no_key() {
    let agent = Agent::start();
    let text = format!("{:?} {:?}", agent.issuer, agent.resolver);
    assert!(text.contains("hpke_key") && !text.contains("PrivateKey"), "{text}");
}
