//! Evidence, secrets and TLS of the real agent.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::Path,
    sync::Arc,
    thread,
};

use casemate_agent::{
    config::{AttestationConfig, Config, SecretItem, SecretsConfig, TlsConfig, User},
    event::{EventKind, Stream, decode_key, decode_record},
};
use casemate_primitives::LeaseId;
use casemate_ra_tls::{
    Expected, PodIdentity, SecretName, Secrets, Verifier,
    client::{Attested, Options, Release, Session, SessionError},
    system_clock,
};
use ed25519_dalek::SigningKey;
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    harness::{Agent, GENESIS, PATIENCE, config, require_root, shell},
    tee_fake::{serve, verifier},
};

const POD: PodIdentity =
    PodIdentity { genesis_hash: GENESIS, lease: LeaseId(5), replica: 0, manifest_hash: [6; 32] };

const CANARY: &str = "canary-7d1f0c55-never-to-be-seen";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn attestation(socket: &Path) -> AttestationConfig {
    AttestationConfig {
        genesis_hash: POD.genesis_hash,
        lease: POD.lease,
        replica: POD.replica,
        manifest_hash: POD.manifest_hash,
        port: free_port(),
        software_tee: Some(socket.to_owned()),
    }
}

fn item(name: &str, env: Option<&str>, file: Option<&str>) -> SecretItem {
    SecretItem { name: name.into(), env: env.map(Into::into), file: file.map(Into::into) }
}

fn secrets_config(items: Vec<SecretItem>) -> SecretsConfig {
    SecretsConfig { wait: true, items, dir: None, socket: None, senders: vec![] }
}

fn port(config: &Config) -> u16 {
    config.attestation.as_ref().unwrap().port
}

fn options() -> Options {
    let mut options = Options::new(Expected {
        genesis_hash: Some(POD.genesis_hash),
        lease: Some(POD.lease),
        replica: Some(POD.replica),
        manifest_hash: Some(POD.manifest_hash),
        agent_key: None,
    });
    options.timeout = PATIENCE;
    options
}

fn connect(port: u16) -> Session {
    Session::connect(&format!("127.0.0.1:{port}"), verifier(), options()).unwrap()
}

fn attest(agent: &Agent, config: &Config) -> Attested {
    agent.expect(|k| matches!(k, EventKind::EvidenceAvailable { .. }));
    connect(port(config)).attest(Session::nonce().unwrap()).unwrap()
}

fn secrets(values: &[(&str, &str)]) -> Secrets {
    let mut secrets = Secrets::new();
    for (name, value) in values {
        let value = Zeroizing::new(value.as_bytes().to_vec());
        secrets.insert(SecretName::new(name).unwrap(), value).unwrap();
    }
    secrets
}

fn release(sequence: u64) -> Release<'static> {
    Release { pod: POD, policy_id: [0; 32], sequence, sender: None }
}

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(text))
}

/// Asks the app's socket.
fn ask(stream: &mut UnixStream, request: &Value) -> Value {
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn the_app_starts_with_its_secrets_and_nobody_else_sees_them() {
    require_root();
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let socket = serve(dir.path());
    let script = format!(
        "printf %s \"$DB\" | sha256sum; sha256sum < {0}/key; id -u; sleep 1000",
        dir.path().display()
    );
    let mut config = config(shell(&script));
    config.app.user = Some(User { uid: 1234, gid: 1235, groups: vec![] });
    config.attestation = Some(attestation(&socket));
    let mut wanted =
        secrets_config(vec![item("PASSWORD", Some("DB"), None), item("KEY", None, Some("key"))]);
    wanted.dir = Some(dir.path().to_owned());
    wanted.socket = Some(dir.path().join("secrets.sock"));
    config.secrets = Some(wanted);
    let mut agent = Agent::start(&config);
    let names = vec!["PASSWORD".to_owned(), "KEY".to_owned()];
    agent.expect(|k| *k == EventKind::AwaitingSecrets { names: names.clone() });
    let mut attested = attest(&agent, &config);

    // Not all that it asks for: refused, and still waiting.
    let err = attested.release(&secrets(&[("PASSWORD", CANARY)]), &release(1)).unwrap_err();
    let SessionError::Refused { problem, .. } = err else { panic!("{err}") };
    assert!(problem.code == "notDelivered" && problem.error.contains("KEY"), "{problem:?}");
    assert!(!agent.events().iter().any(|e| matches!(e.kind, EventKind::AppStarted { .. })));

    let values = [("PASSWORD", CANARY), ("KEY", "key material"), ("OTHER", "x")];
    attested.release(&secrets(&values), &release(2)).unwrap();
    agent.expect_log(Stream::Stdout, &format!("{}  -", sha256(CANARY)));
    agent.expect_log(Stream::Stdout, &format!("{}  -", sha256("key material")));
    agent.expect_log(Stream::Stdout, "1234");
    let file = std::fs::metadata(dir.path().join("key")).unwrap();
    assert_eq!((file.mode() & 0o7777, file.uid(), file.gid()), (0o400, 1234, 1235));

    let mut stream = UnixStream::connect(dir.path().join("secrets.sock")).unwrap();
    let listed = ask(&mut stream, &json!({ "list": true }));
    assert_eq!(listed, json!({ "names": ["KEY", "OTHER", "PASSWORD"], "sequence": 2 }));
    let got = ask(&mut stream, &json!({ "get": "PASSWORD" }));
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(CANARY);
    assert_eq!(got, json!({ "name": "PASSWORD", "value": encoded, "sequence": 2 }));
    assert!(ask(&mut stream, &json!({ "get": "NONE" }))["error"].is_string());
    assert!(ask(&mut stream, &json!({ "what": 1 }))["error"].is_string());

    // What the host can read of the agent.
    let environ = std::fs::read(format!("/proc/{}/environ", agent.pid())).unwrap();
    for place in [agent.raw_events(), environ] {
        for form in [CANARY.to_owned(), encoded.clone(), hex::encode(CANARY)] {
            assert!(!place.windows(form.len()).any(|w| w == form.as_bytes()), "{form}");
        }
    }
    let wanted = EventKind::SecretsReceived {
        names: vec!["KEY".into(), "OTHER".into(), "PASSWORD".into()],
        sequence: 2,
    };
    agent.expect(|k| *k == wanted);
    agent.signal("TERM");
    assert_eq!(agent.wait(), 143);
}

#[test]
fn a_later_release_changes_files_and_wakes_who_waits_without_a_restart() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let socket = serve(dir.path());
    let file = dir.path().join("token");
    let script = format!(
        "echo \"$(cat {0})\"; while [ \"$(cat {0})\" != two ]; do sleep 0.02; done; echo changed; sleep 1000",
        file.display()
    );
    let mut config = config(shell(&script));
    config.attestation = Some(attestation(&socket));
    let mut wanted = secrets_config(vec![item("TOKEN", None, Some("token"))]);
    wanted.dir = Some(dir.path().to_owned());
    wanted.socket = Some(dir.path().join("s"));
    config.secrets = Some(wanted);
    let mut agent = Agent::start(&config);
    let mut attested = attest(&agent, &config);
    attested.release(&secrets(&[("TOKEN", "one")]), &release(1)).unwrap();
    agent.expect_log(Stream::Stdout, "one");
    let waits = thread::spawn({
        let path = dir.path().join("s");
        move || ask(&mut UnixStream::connect(path).unwrap(), &json!({ "wait": 1 }))
    });
    attested.release(&secrets(&[("TOKEN", "two")]), &release(2)).unwrap();
    agent.expect_log(Stream::Stdout, "changed");
    assert_eq!(waits.join().unwrap()["sequence"], 2);
    let starts = |e: &casemate_agent::event::Event| matches!(e.kind, EventKind::AppStarted { .. });
    assert_eq!(agent.events().iter().filter(|e| starts(e)).count(), 1);
    let err = attested.release(&secrets(&[("TOKEN", "one")]), &release(1)).unwrap_err();
    assert!(matches!(err, SessionError::Refused { status: 409, .. }), "{err}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "two");
    // Nothing is left of how it was written.
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn only_the_senders_that_are_named_can_release() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let socket = serve(dir.path());
    let mut config = config(shell("echo started; sleep 1000"));
    config.attestation = Some(attestation(&socket));
    let sender = SigningKey::from_bytes(&[8; 32]);
    let mut wanted = secrets_config(vec![]);
    wanted.senders = vec![sender.verifying_key().to_bytes()];
    config.secrets = Some(wanted);
    let mut agent = Agent::start(&config);
    let mut attested = attest(&agent, &config);
    let err = attested.release(&secrets(&[("A", "a")]), &release(1)).unwrap_err();
    let SessionError::Refused { problem, .. } = err else { panic!("{err}") };
    assert_eq!(problem.code, "unknownSender");
    let signed = Release { sender: Some(&sender), ..release(1) };
    attested.release(&secrets(&[("A", "a")]), &signed).unwrap();
    agent.expect_log(Stream::Stdout, "started");
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn records_are_signed_by_the_key_that_the_evidence_covers() {
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(dir.path());
    let mut config = config(shell("sleep 1000"));
    config.attestation = Some(attestation(&socket));
    let mut agent = Agent::start(&config);
    let mut attested = attest(&agent, &config);
    let issued = attested.registration([9; 32]).unwrap();
    assert_eq!(issued.binding.nonce, [9; 32]);
    assert_eq!(issued.evidence.evidence[..64], issued.binding.report_data());
    let key = issued.binding.agent_key;
    agent.expect(
        |k| matches!(k, EventKind::Started { key: Some(k) } if decode_key(k).unwrap() == key),
    );
    agent.expect(|k| {
        matches!(k, EventKind::Record { record, signature }
            if decode_record(record, signature, &key, &GENESIS).is_ok())
    });
    let binding = attested.binding().clone();
    agent.expect(|k| {
        matches!(k, EventKind::EvidenceAvailable { hpke_key, tls_spki_sha256, .. }
            if *hpke_key == hex::encode(binding.hpke_key)
                && *tls_spki_sha256 == hex::encode(binding.tls_spki_sha256))
    });
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn a_stop_while_waiting_for_secrets_is_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(shell("echo started"));
    config.attestation = Some(attestation(&dir.path().join("none.sock")));
    config.secrets = Some(secrets_config(vec![]));
    let mut agent = Agent::start(&config);
    agent.expect(|k| matches!(k, EventKind::AwaitingSecrets { .. }));
    agent.expect(
        |k| matches!(k, EventKind::EvidenceUnavailable { reason } if reason.contains("none.sock")),
    );
    agent.signal("TERM");
    assert_eq!(agent.wait(), 143);
    assert_eq!(agent.log(Stream::Stdout), "");
    assert!(matches!(agent.events().last().unwrap().kind, EventKind::Record { .. }));
}

#[test]
fn evidence_that_comes_late_is_served_then() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(shell("echo up; sleep 1000"));
    config.attestation = Some(attestation(&dir.path().join("tee.sock")));
    let mut agent = Agent::start(&config);
    agent.expect(|k| matches!(k, EventKind::EvidenceUnavailable { .. }));
    // An app that waits for no secrets runs meanwhile.
    agent.expect_log(Stream::Stdout, "up");
    serve(dir.path());
    attest(&agent, &config);
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn secrets_on_a_disk_and_ports_that_are_taken_are_refused() {
    let run = |config: &Config| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, serde_json::to_vec(config).unwrap()).unwrap();
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_casemate-agent"))
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(125));
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let mut config = config(shell("echo started"));
    config.attestation = Some(attestation(Path::new("/no/such.sock")));
    let mut wanted = secrets_config(vec![item("A", None, Some("a"))]);
    wanted.dir = Some("/proc/self".into());
    config.secrets = Some(wanted);
    let err = run(&config);
    assert!(err.contains("/proc/self") && err.contains("tmpfs"), "{err}");
    config.secrets = None;
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    config.attestation.as_mut().unwrap().port = taken.local_addr().unwrap().port();
    let err = run(&config);
    assert!(err.contains(&port(&config).to_string()), "{err}");
}

#[test]
fn no_core_dump_is_left_by_agent_or_app() {
    let mut agent = Agent::start(&config(shell("ulimit -c; ulimit -Hc")));
    agent.wait();
    assert_eq!(agent.log(Stream::Stdout), "0\n0\n");
}

/// A client of the app's that verifies evidence and sends what it likes.
fn tls_client(port: u16) -> StreamOwned<ClientConnection, TcpStream> {
    let verifier = Verifier::new(verifier(), options().expected, system_clock());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from("app.example").unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

/// An agent whose TLS port goes on to `forward`.
fn tls_agent(dir: &Path, forward: u16, http: bool) -> (Agent, Config) {
    let socket = serve(dir);
    let mut config = config(shell("sleep 1000"));
    config.attestation = Some(attestation(&socket));
    let (port, connections_max, idle_ms) = (free_port(), 4, 60_000);
    config.tls = Some(TlsConfig { port, forward, http, connections_max, idle_ms });
    let agent = Agent::start(&config);
    agent.expect(|k| matches!(k, EventKind::EvidenceAvailable { .. }));
    (agent, config)
}

#[test]
fn tls_ends_in_the_agent_and_bytes_reach_the_app_untouched() {
    let app = TcpListener::bind("127.0.0.1:0").unwrap();
    let forward = app.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in app.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut reader = stream.try_clone().unwrap();
                std::io::copy(&mut reader, &mut stream).unwrap();
            });
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let (mut agent, config) = tls_agent(dir.path(), forward, true);
    let port = config.tls.as_ref().unwrap().port;
    let mut client = tls_client(port);
    let request = b"GET / HTTP/1.1\r\nHost: app.example\r\nX-Odd:  two  spaces\r\n\r\n";
    client.write_all(request).unwrap();
    let mut echoed = vec![0; request.len()];
    client.read_exact(&mut echoed).unwrap();
    assert_eq!(echoed, request);

    // Far more than all buffers, both ways at once, over more connections than there are slots.
    let clients = (0..6).map(|seed: u32| {
        thread::spawn(move || {
            let mut client = tls_client(port);
            let sent: Vec<u8> =
                (0..3_000_000u32).map(|i| (i.wrapping_mul(31) ^ seed).to_le_bytes()[0]).collect();
            let mut received = Vec::new();
            let mut buffer = vec![0; 10_000];
            for chunk in sent.chunks(100_000) {
                client.write_all(chunk).unwrap();
                while received.len() + 500_000 < sent.len().min(received.len() + chunk.len()) {
                    let read = client.read(&mut buffer).unwrap();
                    received.extend_from_slice(&buffer[..read]);
                }
            }
            client.conn.send_close_notify();
            client.flush().unwrap();
            client.read_to_end(&mut received).unwrap();
            assert!(received == sent, "{} bytes of {}", received.len(), sent.len());
        })
    });
    let clients: Vec<_> = clients.collect();
    drop(client);
    for client in clients {
        client.join().unwrap();
    }
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn the_apps_port_answers_for_the_agent_under_well_known() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing listens where it would forward.
    let (mut agent, config) = tls_agent(dir.path(), free_port(), true);
    let session = connect(config.tls.as_ref().unwrap().port);
    session.attest(Session::nonce().unwrap()).unwrap();
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn a_server_that_speaks_first_is_heard_where_http_is_off() {
    let app = TcpListener::bind("127.0.0.1:0").unwrap();
    let forward = app.local_addr().unwrap().port();
    thread::spawn(move || app.accept().unwrap().0.write_all(b"220 ready\r\n").unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (mut agent, config) = tls_agent(dir.path(), forward, false);
    let mut client = tls_client(config.tls.as_ref().unwrap().port);
    let mut said = Vec::new();
    client.read_to_end(&mut said).unwrap();
    assert_eq!(said, b"220 ready\r\n");
    agent.signal("TERM");
    agent.wait();
}
