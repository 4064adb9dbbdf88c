//! Evidence, secrets and TLS of the real agent.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::Path,
    sync::Arc,
    thread,
};

use casemate_agent::{
    check::Given,
    config::{Config, TlsConfig},
    event::{EventKind, Stream, decode_key, decode_record},
};
use casemate_manifest::SECRETS_SOCKET;
use casemate_ra_tls::{
    Expected, SecretName, Secrets, Verifier,
    client::{Attested, Options, Release, Session, SessionError},
    system_clock,
};
use ed25519_dalek::SigningKey;
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    harness::{Agent, GENESIS, IN_POD, PATIENCE, config, shell},
    pod::{free_port, identity, pod_with, sender},
    tee_fake::{serve, verifier},
};

const CANARY: &str = "canary-7d1f0c55-never-to-be-seen";

fn port(config: &Config) -> u16 {
    config.attestation.as_ref().unwrap().port
}

fn options(config: &Config) -> Options {
    let pod = identity(config);
    let mut options = Options::new(Expected {
        genesis_hash: Some(pod.genesis_hash),
        lease: Some(pod.lease),
        replica: Some(pod.replica),
        manifest_hash: Some(pod.manifest_hash),
        agent_key: None,
    });
    options.timeout = PATIENCE;
    options
}

fn connect(config: &Config, port: u16) -> Session {
    Session::connect(&format!("127.0.0.1:{port}"), verifier(), options(config)).unwrap()
}

fn attest(agent: &Agent, config: &Config) -> Attested {
    agent.expect(|k| matches!(k, EventKind::EvidenceAvailable { .. }));
    connect(config, port(config)).attest(Session::nonce().unwrap()).unwrap()
}

fn secrets(values: &[(&str, &str)]) -> Secrets {
    let mut secrets = Secrets::new();
    for (name, value) in values {
        let value = Zeroizing::new(value.as_bytes().to_vec());
        secrets.insert(SecretName::new(name).unwrap(), value).unwrap();
    }
    secrets
}

/// Releases as the pod's sender.
fn release(
    attested: &mut Attested,
    config: &Config,
    values: &[(&str, &str)],
    sequence: u64,
) -> Result<(), SessionError> {
    let (pod, sender) = (identity(config), sender());
    let release = Release { pod, policy_id: [0; 32], sequence, sender: Some(&sender) };
    attested.release(&secrets(values), &release).map(drop)
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
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(dir.path());
    let script = "printf %s \"$DB\" | sha256sum; sha256sum < /run/secrets/key; id -u; sleep 1000";
    let fields = json!({
        "env": [{ "name": "DB", "valueFrom": { "secretRef": { "name": "PASSWORD" } } }],
        "secrets": [{ "name": "KEY", "file": "key" }],
        "securityContext": { "runAsUser": 1234, "runAsGroup": 1235 },
    });
    let (config, given) = pod_with(&socket, shell(script), &fields);
    let mut agent = Agent::start_in_pod(&config, &given);
    let names = vec!["PASSWORD".to_owned(), "KEY".to_owned()];
    agent.expect(|k| *k == EventKind::AwaitingSecrets { names: names.clone() });
    let mut attested = attest(&agent, &config);

    // Not all that it asks for: refused, and still waiting.
    let err = release(&mut attested, &config, &[("PASSWORD", CANARY)], 1).unwrap_err();
    let SessionError::Refused { problem, .. } = err else { panic!("{err}") };
    assert!(problem.code == "notDelivered" && problem.error.contains("KEY"), "{problem:?}");
    assert!(!agent.events().iter().any(|e| matches!(e.kind, EventKind::AppStarted { .. })));

    let values = [("PASSWORD", CANARY), ("KEY", "key material"), ("OTHER", "x")];
    release(&mut attested, &config, &values, 2).unwrap();
    agent.expect_log(Stream::Stdout, &format!("{}  -", sha256(CANARY)));
    agent.expect_log(Stream::Stdout, &format!("{}  -", sha256("key material")));
    agent.expect_log(Stream::Stdout, "1234");
    let file = std::fs::metadata(agent.path("/run/secrets/key")).unwrap();
    assert_eq!((file.mode() & 0o7777, file.uid(), file.gid()), (0o400, 1234, 1235));

    let mut stream = UnixStream::connect(agent.path(SECRETS_SOCKET)).unwrap();
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
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(dir.path());
    let script = "cd /run/secrets; echo \"$(cat token)\"; \
                  while [ \"$(cat token)\" != two ]; do sleep 0.02; done; echo changed; sleep 1000";
    let fields = json!({ "secrets": [{ "name": "TOKEN", "file": "token" }] });
    let (config, given) = pod_with(&socket, shell(script), &fields);
    let mut agent = Agent::start_in_pod(&config, &given);
    let mut attested = attest(&agent, &config);
    release(&mut attested, &config, &[("TOKEN", "one")], 1).unwrap();
    agent.expect_log(Stream::Stdout, "one");
    let waits = thread::spawn({
        let path = agent.path(SECRETS_SOCKET);
        move || ask(&mut UnixStream::connect(path).unwrap(), &json!({ "wait": 1 }))
    });
    release(&mut attested, &config, &[("TOKEN", "two")], 2).unwrap();
    agent.expect_log(Stream::Stdout, "changed");
    assert_eq!(waits.join().unwrap()["sequence"], 2);
    let starts = |e: &casemate_agent::event::Event| matches!(e.kind, EventKind::AppStarted { .. });
    assert_eq!(agent.events().iter().filter(|e| starts(e)).count(), 1);
    let err = release(&mut attested, &config, &[("TOKEN", "one")], 1).unwrap_err();
    assert!(matches!(err, SessionError::Refused { status: 409, .. }), "{err}");
    assert_eq!(std::fs::read_to_string(agent.path("/run/secrets/token")).unwrap(), "two");
    // Nothing is left of how it was written.
    let left = std::fs::read_dir(agent.path("/run/secrets")).unwrap();
    let left: BTreeSet<_> =
        left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(left, [".socket".to_owned(), "token".to_owned()].into());
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn who_waits_for_a_release_keeps_nobody_from_the_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(dir.path());
    let asks = json!({ "secrets": [{ "name": "A" }] });
    let (config, given) = pod_with(&socket, shell("sleep 1000"), &asks);
    let mut agent = Agent::start_in_pod(&config, &given);
    let mut attested = attest(&agent, &config);
    release(&mut attested, &config, &[("A", "one")], 1).unwrap();
    let path = agent.path(SECRETS_SOCKET);
    let connection = || {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    // As many as may wait, and then one that is told so: then all of them do.
    let fill = || {
        let mut waiting = Vec::new();
        loop {
            let mut stream = connection();
            stream.write_all(b"{\"wait\":1}\n").unwrap();
            stream.set_nonblocking(true).unwrap();
            waiting.push(stream);
            assert!(waiting.len() < 100, "waits are not bounded");
            if waiting.len() < 17 {
                continue;
            }
            let start = std::time::Instant::now();
            loop {
                let mut answer = [0; 10];
                if let Some(refused) =
                    (0..waiting.len()).find(|i| waiting[*i].read(&mut answer).is_ok())
                {
                    assert_eq!(&answer[..8], b"{\"error\"");
                    waiting.remove(refused);
                    return waiting;
                }
                assert!(start.elapsed() < PATIENCE, "nothing is answered");
                thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    };
    let waiting = fill();
    assert_eq!(waiting.len(), 16);
    assert_eq!(ask(&mut connection(), &json!({ "get": "A" }))["sequence"], 1);
    // Those that hang up make room for others.
    drop(waiting);
    agent.expect_when(|_| {
        let mut stream = connection();
        stream.write_all(b"{\"wait\":1}\n").unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        stream.read(&mut [0; 10]).is_err()
    });
    // One that has said all that it has to say still gets its answer.
    let mut stream = connection();
    stream.write_all(b"{\"wait\":1}\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_millis(2500))).unwrap();
    assert!(stream.read(&mut [0; 10]).is_err(), "it waits, and over several looks");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    release(&mut attested, &config, &[("A", "two")], 2).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"sequence\":2"), "{answer}");
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn programs_that_probe_get_the_variables_that_the_app_was_started_with() {
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(dir.path());
    let fields = json!({
        "env": [{ "name": "DB", "valueFrom": { "secretRef": { "name": "PASSWORD" } } }],
        "secrets": [{ "name": "PASSWORD", "file": "password" }],
        "readinessProbe": {
            "exec": { "command": shell("test \"$DB\" = one && cp /run/secrets/password /run/seen") },
            "periodSeconds": 1,
        },
    });
    let (config, given) = pod_with(&socket, shell("sleep 1000"), &fields);
    let mut agent = Agent::start_in_pod(&config, &given);
    let mut attested = attest(&agent, &config);
    release(&mut attested, &config, &[("PASSWORD", "one")], 1).unwrap();
    agent.expect(|k| *k == EventKind::Ready);
    // The app has the old one still: so has who probes it.
    release(&mut attested, &config, &[("PASSWORD", "two")], 2).unwrap();
    agent.expect_when(|a| std::fs::read(a.path("/run/seen")).is_ok_and(|seen| seen == b"two"));
    assert!(!agent.events().iter().any(|e| matches!(e.kind, EventKind::Unready { .. })));
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn only_the_senders_that_are_named_can_release() {
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(dir.path());
    let asks = json!({ "secrets": [{ "name": "A" }] });
    let (config, given) = pod_with(&socket, shell("echo started; sleep 1000"), &asks);
    let mut agent = Agent::start_in_pod(&config, &given);
    let mut attested = attest(&agent, &config);
    let forger = SigningKey::from_bytes(&[9; 32]);
    for sender in [None, Some(&forger)] {
        let pod = identity(&config);
        let forged = Release { pod, policy_id: [0; 32], sequence: 1, sender };
        let err = attested.release(&secrets(&[("A", "a")]), &forged).unwrap_err();
        let SessionError::Refused { problem, .. } = err else { panic!("{err}") };
        assert_eq!(problem.code, "unknownSender");
    }
    assert!(!agent.events().iter().any(|e| matches!(e.kind, EventKind::AppStarted { .. })));
    release(&mut attested, &config, &[("A", "a")], 1).unwrap();
    agent.expect_log(Stream::Stdout, "started");
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn records_are_signed_by_the_key_that_the_evidence_covers() {
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(dir.path());
    let (config, given) = pod_with(&socket, shell("sleep 1000"), &json!({}));
    let mut agent = Agent::start_in_pod(&config, &given);
    let mut attested = attest(&agent, &config);
    let issued = attested.registration([9; 32]).unwrap();
    assert_eq!(issued.binding.nonce, [9; 32]);
    assert_eq!(issued.evidence.evidence[..64], issued.binding.report_data());
    let key = issued.binding.agent_key;
    agent.expect(
        |k| matches!(k, EventKind::Started { key: Some(k) } if decode_key(k).unwrap() == key),
    );
    agent.expect(|k| {
        matches!(k, EventKind::Record { record, signature, .. }
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
    let asks = json!({ "secrets": [{ "name": "A" }] });
    let none = dir.path().join("none.sock");
    let (config, given) = pod_with(&none, shell("echo started"), &asks);
    let mut agent = Agent::start_in_pod(&config, &given);
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
    let socket = dir.path().join("tee.sock");
    let (config, given) = pod_with(&socket, shell("echo up; sleep 1000"), &json!({}));
    let mut agent = Agent::start_in_pod(&config, &given);
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
    let run = |config: &Config, given: &Given, wrapper: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, serde_json::to_vec(config).unwrap()).unwrap();
        for (name, bytes) in given.files() {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let out = std::process::Command::new(wrapper[0])
            .args(&wrapper[1..])
            .arg(env!("CARGO_BIN_EXE_casemate-agent"))
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(125));
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let asks = json!({ "secrets": [{ "name": "A", "file": "a" }] });
    let none = Path::new("/no/such.sock");
    let (config, given) = pod_with(none, shell("echo started"), &asks);
    let mut on_disk = IN_POD;
    let script = IN_POD[4].replace("&& exec", "&& mount --bind /proc/sys /run/secrets && exec");
    on_disk[4] = &script;
    let err = run(&config, &given, &on_disk);
    assert!(err.contains("/run/secrets") && err.contains("tmpfs"), "{err}");
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let (mut config, given) = pod_with(none, shell("echo started"), &json!({}));
    config.attestation.as_mut().unwrap().port = taken.local_addr().unwrap().port();
    let err = run(&config, &given, &IN_POD);
    assert!(err.contains(&port(&config).to_string()), "{err}");
}

#[test]
fn no_core_dump_is_left_by_agent_or_app() {
    // Too little for a file, and the one number for which no program of the host's gets it either.
    let limits = "ulimit -c; ulimit -Hc; grep -cE 'core file size +1 +1 ' /proc/self/limits";
    let mut agent = Agent::start(&config(shell(limits)));
    agent.wait();
    assert_eq!(agent.log(Stream::Stdout), "0\n0\n1\n");
}

/// A client of the app's that verifies evidence and sends what it likes.
fn tls_client(config: &Config) -> StreamOwned<ClientConnection, TcpStream> {
    let port = config.tls.as_ref().unwrap().port;
    let verifier = Verifier::new(verifier(), options(config).expected, system_clock());
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
    let http_port = json!({ "containerPort": forward, "protocol": "HTTP", "host": "app.example" });
    let fields = json!({ "ports": [http_port] });
    let (mut config, given) = pod_with(&socket, shell("sleep 1000"), &fields);
    let (port, connections_max, idle_ms) = (free_port(), 4, 60_000);
    config.tls = Some(TlsConfig { port, forward, http, connections_max, idle_ms });
    let agent = Agent::start_in_pod(&config, &given);
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
    let mut client = tls_client(&config);
    let request = b"GET / HTTP/1.1\r\nHost: app.example\r\nX-Odd:  two  spaces\r\n\r\n";
    client.write_all(request).unwrap();
    let mut echoed = vec![0; request.len()];
    client.read_exact(&mut echoed).unwrap();
    assert_eq!(echoed, request);

    // Far more than all buffers, both ways at once, over more connections than there are slots.
    let clients = (0..6).map(|seed: u32| {
        let config = config.clone();
        thread::spawn(move || {
            let mut client = tls_client(&config);
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
    let session = connect(&config, config.tls.as_ref().unwrap().port);
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
    let mut client = tls_client(&config);
    let mut said = Vec::new();
    client.read_to_end(&mut said).unwrap();
    assert_eq!(said, b"220 ready\r\n");
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn clients_that_say_nothing_do_not_keep_others_away_for_the_idle_time() {
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(dir.path());
    let port = json!({ "containerPort": free_port(), "protocol": "HTTP", "host": "app.example" });
    let (mut config, given) =
        pod_with(&socket, shell("sleep 1000"), &json!({ "ports": [port.clone()] }));
    let forward = port["containerPort"].as_u64().unwrap().try_into().unwrap();
    // Ten minutes of idle time.
    config.tls = Some(TlsConfig { connections_max: 2, ..TlsConfig::http(free_port(), forward) });
    let mut agent = Agent::start_in_pod(&config, &given);
    agent.expect(|k| matches!(k, EventKind::EvidenceAvailable { .. }));
    let silent = [(); 2].map(|()| {
        let mut client = tls_client(&config);
        client.flush().unwrap();
        // The end of a handshake, and then nothing.
        while client.conn.is_handshaking() {
            let StreamOwned { conn, sock } = &mut client;
            conn.complete_io(sock).unwrap();
        }
        client
    });
    let session = connect(&config, config.tls.as_ref().unwrap().port);
    session.attest(Session::nonce().unwrap()).unwrap();
    drop(silent);
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn an_agent_whose_app_has_ended_shows_evidence_and_signs_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(dir.path());
    let (mut config, given) = pod_with(&socket, shell("exit 5"), &json!({}));
    config.signer.as_mut().unwrap().record_interval_ms = 100;
    let mut agent = Agent::start_in_pod(&config, &given);
    agent.expect(|k| matches!(k, EventKind::AppExited { code: 5, last: true }));
    // It was quicker than anybody could ask.
    let attested = attest(&agent, &config);
    let records = crate::checked_records(&agent);
    let last = records.last().unwrap();
    assert_eq!(last.state, casemate_primitives::PodState::Ended { code: 5 });
    drop(attested);
    agent.signal("TERM");
    assert_eq!(agent.wait(), 5);
    assert_eq!(crate::checked_records(&agent), records, "the last record is the last");
}
