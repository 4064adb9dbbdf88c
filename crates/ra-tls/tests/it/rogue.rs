//! Servers that cheat: each in its own way, each refused with its own error.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use casemate_attestation::Binding;
use casemate_evidence::cmw::Record;
use casemate_ra_tls::{
    Attester as _, Document, Expected, PeerError, Purpose,
    client::{Options, Session, SessionError},
};
use codec::Encode as _;
use der::Encode as _;
use rcgen::{CertificateParams, CustomExtension, KeyPair, PublicKeyData as _};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use sha2::{Digest as _, Sha256};

use crate::fake::{Agent, FakeTee, NOW, PATIENCE, POD, verifier};

/// Someone who has a TEE of the vendor's, and does with it what he likes.
struct Rogue {
    key: KeyPair,
    tee: Arc<FakeTee>,
}

type Change = fn(&mut CertificateParams);

impl Rogue {
    fn new() -> Self {
        Self { key: KeyPair::generate().unwrap(), tee: FakeTee::new(1) }
    }

    fn binding(&self) -> Binding {
        Binding {
            purpose: Purpose::RaTls,
            genesis_hash: POD.genesis_hash,
            lease: POD.lease,
            replica: POD.replica,
            manifest_hash: POD.manifest_hash,
            nonce: [0; 32],
            agent_key: [4; 32],
            hpke_key: [5; 32],
            tls_spki_sha256: Sha256::digest(self.key.subject_public_key_info()).into(),
            channel: [0; 32],
            gpu_evidence: [0; 32],
        }
    }

    /// The extension's value for evidence over a binding.
    fn cmw(&self, binding: &Binding) -> Vec<u8> {
        let mut collection = self.tee.evidence(&binding.report_data()).unwrap().to_collection();
        let record = Record::new("application/vnd.casemate.binding", binding.encode(), 0);
        collection.insert("binding", record);
        collection.encode()
    }

    fn certificate(&self, cmws: &[Vec<u8>], change: Change) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + std::time::Duration::from_secs(NOW - 10);
        params.not_after = epoch + std::time::Duration::from_secs(NOW + 100);
        for cmw in cmws {
            let value = der::asn1::OctetStringRef::new(cmw).unwrap().to_der().unwrap();
            let oid = [1, 3, 6, 1, 5, 5, 7, 1, 35];
            params.custom_extensions.push(CustomExtension::from_oid_content(&oid, value));
        }
        change(&mut params);
        params.self_signed(&self.key).unwrap().der().clone()
    }

    /// What a client says to this certificate.
    fn refused(&self, certificates: Vec<CertificateDer<'static>>) -> PeerError {
        let address = self.serve(certificates, |_| {});
        match Session::connect(&address.to_string(), verifier(1), options()) {
            Err(SessionError::Peer(err)) => err,
            other => panic!("the rogue should be refused, not {other:?}"),
        }
    }

    /// Serves one connection.
    fn serve(
        &self,
        certificates: Vec<CertificateDer<'static>>,
        then: impl FnOnce(&mut StreamOwned<ServerConnection, TcpStream>) + Send + 'static,
    ) -> SocketAddr {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        serve_with(certificates, key, then)
    }
}

fn serve_with(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    then: impl FnOnce(&mut StreamOwned<ServerConnection, TcpStream>) + Send + 'static,
) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let signing = provider.key_provider.load_private_key(key).unwrap();
    let certified = Arc::new(rustls::sign::CertifiedKey::new(certificates, signing));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Fixed(certified)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let tls = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(tls, stream);
        while stream.conn.is_handshaking() {
            if stream.conn.complete_io(&mut stream.sock).is_err() {
                return;
            }
        }
        then(&mut stream);
    });
    address
}

/// Shows the same certificate to everyone, whether it is the key's or not.
#[derive(Debug)]
struct Fixed(Arc<rustls::sign::CertifiedKey>);

impl rustls::server::ResolvesServerCert for Fixed {
    fn resolve(
        &self,
        _: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(self.0.clone())
    }
}

fn options() -> Options {
    let mut options = Options::new(Expected::default());
    options.timeout = PATIENCE;
    options.clock = Arc::new(|| NOW);
    options
}

fn same(_: &mut CertificateParams) {}

#[test]
fn the_rogues_tools_make_a_good_certificate() {
    // Otherwise the refusals below would say nothing.
    let rogue = Rogue::new();
    let certificate = rogue.certificate(&[rogue.cmw(&rogue.binding())], same);
    let address = rogue.serve(vec![certificate], |_| {});
    Session::connect(&address.to_string(), verifier(1), options()).unwrap();
}

#[test]
fn a_certificate_without_evidence_is_refused() {
    let rogue = Rogue::new();
    let err = rogue.refused(vec![rogue.certificate(&[], same)]);
    assert!(matches!(err, PeerError::NoEvidence), "{err}");
}

#[test]
fn evidence_of_another_key_in_ones_own_certificate_is_refused() {
    let (rogue, victim) = (Rogue::new(), Rogue::new());
    let stolen = victim.cmw(&victim.binding());
    let err = rogue.refused(vec![rogue.certificate(&[stolen], same)]);
    assert!(matches!(err, PeerError::OtherKey), "{err}");
    // With the binding's key exchanged, the evidence's report data does not fit.
    let mut collection =
        victim.tee.evidence(&victim.binding().report_data()).unwrap().to_collection();
    let record = Record::new("application/vnd.casemate.binding", rogue.binding().encode(), 0);
    collection.insert("binding", record);
    let err = rogue.refused(vec![rogue.certificate(&[collection.encode()], same)]);
    assert!(matches!(err, PeerError::ReportData), "{err}");
}

#[test]
fn anothers_certificate_without_its_key_fails_in_the_handshake() {
    let (rogue, victim) = (Rogue::new(), Rogue::new());
    let certificate = victim.certificate(&[victim.cmw(&victim.binding())], same);
    let address = rogue.serve(vec![certificate], |_| {});
    let err = Session::connect(&address.to_string(), verifier(1), options()).unwrap_err();
    assert!(matches!(err, SessionError::Handshake { .. }), "{err}");
}

#[test]
fn evidence_for_another_purpose_is_refused() {
    let rogue = Rogue::new();
    let others = [Purpose::Registration, Purpose::Session, Purpose::Cluster, Purpose::Release];
    for purpose in others {
        let binding = Binding { purpose, ..rogue.binding() };
        let err = rogue.refused(vec![rogue.certificate(&[rogue.cmw(&binding)], same)]);
        let PeerError::Purpose { wanted: Purpose::RaTls, found } = err else { panic!("{err}") };
        assert_eq!(found, purpose);
    }
}

#[test]
fn odd_certificates_have_their_errors() {
    let rogue = Rogue::new();
    let cmw = rogue.cmw(&rogue.binding());
    let good = rogue.certificate(std::slice::from_ref(&cmw), same);
    let long: Change = |params| params.not_after += std::time::Duration::from_secs(3600);
    let err = rogue.refused(vec![rogue.certificate(std::slice::from_ref(&cmw), long)]);
    assert!(matches!(err, PeerError::LifetimeTooLong { .. }), "{err}");
    let err = rogue.refused(vec![rogue.certificate(&[cmw.clone(), cmw], same)]);
    assert!(matches!(err, PeerError::Extension | PeerError::Certificate), "{err}");
    let err = rogue.refused(vec![good.clone(), good]);
    assert!(matches!(err, PeerError::Chain), "{err}");
    let err = rogue.refused(vec![rogue.certificate(&[b"nonsense".to_vec()], same)]);
    assert!(matches!(err, PeerError::Evidence(_)), "{err}");
    let bare = rogue.tee.evidence(&[0; 64]).unwrap().to_cmw();
    let err = rogue.refused(vec![rogue.certificate(&[bare], same)]);
    assert!(matches!(err, PeerError::NoBinding), "{err}");
}

/// Answers one request with this body.
fn answer(stream: &mut StreamOwned<ServerConnection, TcpStream>, body: &[u8]) {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    let _ = stream.flush();
}

/// A session with a rogue whose certificate is good, and who answers the nonce with `document`.
fn attest_with(rogue: &Rogue, binding: Binding, change: fn(&mut Document)) -> SessionError {
    // A document of a real agent's shape, with the rogue's evidence.
    let certificate = rogue.certificate(&[rogue.cmw(&rogue.binding())], same);
    let mut document: Document = serde_json::from_value(serde_json::json!({
        "version": 1, "kind": "intelTdx", "reportData": "", "evidence": base64(&rogue.cmw(&binding)),
        "binding": {
            "purpose": "session", "genesisHash": "", "lease": 5, "replica": 2, "manifestHash": "",
            "nonce": "", "agentKey": "", "hpkeKey": "", "tlsSpkiSha256": "", "channel": "",
            "gpuEvidence": "",
        },
    }))
    .unwrap();
    change(&mut document);
    let body = serde_json::to_vec(&document).unwrap();
    let address = rogue.serve(vec![certificate], move |stream| answer(stream, &body));
    let session = Session::connect(&address.to_string(), verifier(1), options()).unwrap();
    session.attest([7; 32]).unwrap_err()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn session_evidence_for_another_nonce_connection_or_agent_is_refused() {
    let rogue = Rogue::new();
    let session = Binding { purpose: Purpose::Session, nonce: [7; 32], ..rogue.binding() };
    let peer = |binding| match attest_with(&rogue, binding, |_| {}) {
        SessionError::Peer(err) => err,
        other => panic!("{other}"),
    };
    let err = peer(Binding { nonce: [6; 32], ..session });
    assert!(matches!(err, PeerError::Nonce), "{err}");
    let err = peer(session.clone());
    assert!(matches!(err, PeerError::Channel), "{err}");
    let others = [Purpose::Registration, Purpose::RaTls, Purpose::Cluster, Purpose::Release];
    for purpose in others {
        let err = peer(Binding { purpose, ..session.clone() });
        assert!(matches!(err, PeerError::Purpose { wanted: Purpose::Session, .. }), "{err}");
    }
    let err = attest_with(&rogue, session, |document| document.evidence = "!".into());
    assert!(matches!(err, SessionError::Answer(_)), "{err}");
}

#[test]
fn evidence_for_a_vault_is_of_that_purpose_nonce_and_agent() {
    let rogue = Rogue::new();
    let release = Binding { purpose: Purpose::Release, nonce: [7; 32], ..rogue.binding() };
    let ask = |binding: Binding| {
        let certificate = rogue.certificate(&[rogue.cmw(&rogue.binding())], same);
        let body = document(&rogue.cmw(&binding));
        let address = rogue.serve(vec![certificate], move |stream| answer(stream, &body));
        let mut session = Session::connect(&address.to_string(), verifier(1), options()).unwrap();
        session.release_evidence(&[7; 32]).map_err(|err| match err {
            SessionError::Peer(err) => err,
            other => panic!("{other}"),
        })
    };
    ask(release.clone()).unwrap();
    let others = [Purpose::Registration, Purpose::RaTls, Purpose::Session, Purpose::Cluster];
    for purpose in others {
        let err = ask(Binding { purpose, ..release.clone() }).unwrap_err();
        assert!(matches!(err, PeerError::Purpose { wanted: Purpose::Release, .. }), "{err}");
    }
    let err = ask(Binding { nonce: [6; 32], ..release.clone() }).unwrap_err();
    assert!(matches!(err, PeerError::Nonce), "{err}");
    let err = ask(Binding { hpke_key: [6; 32], ..release }).unwrap_err();
    assert!(matches!(err, PeerError::OtherAgent), "{err}");
}

#[test]
fn a_relay_with_a_leaked_certificate_key_gets_no_secrets() {
    // The worst case: the agent's TLS key has leaked, so the relay's handshake is perfect, and it
    // passes the client's question on to the real agent.
    let rogue = Rogue::new();
    let certificate = rogue.certificate(&[rogue.cmw(&rogue.binding())], same);
    let agent_binding = rogue.binding();
    let cmw_for = |nonce: [u8; 32], channel: [u8; 32]| {
        let purpose = Purpose::Session;
        rogue.cmw(&Binding { purpose, nonce, channel, ..agent_binding.clone() })
    };
    // What the real agent answers over *its* connection with the relay.
    let relayed = cmw_for([7; 32], [0xaa; 32]);
    let err = {
        let body = document(&relayed);
        let address = rogue.serve(vec![certificate], move |stream| answer(stream, &body));
        let session = Session::connect(&address.to_string(), verifier(1), options()).unwrap();
        session.attest([7; 32]).unwrap_err()
    };
    assert!(matches!(err, SessionError::Peer(PeerError::Channel)), "{err}");
}

fn document(cmw: &[u8]) -> Vec<u8> {
    serde_json::json!({
        "version": 1, "kind": "intelTdx", "reportData": "", "evidence": base64(cmw),
        "binding": {
            "purpose": "session", "genesisHash": "", "lease": 5, "replica": 2, "manifestHash": "",
            "nonce": "", "agentKey": "", "hpkeKey": "", "tlsSpkiSha256": "", "channel": "",
            "gpuEvidence": "",
        },
    })
    .to_string()
    .into_bytes()
}

#[test]
fn a_man_in_the_middle_who_ends_tls_is_refused() {
    // He relays to a real agent and shows its certificate's evidence in his own certificate.
    let agent = Agent::start();
    let session = Session::connect(&agent.address(), verifier(1), agent.options()).unwrap();
    let rogue = Rogue::new();
    let mut collection = session.peer().evidence.to_collection();
    let record =
        Record::new("application/vnd.casemate.binding", session.peer().binding.encode(), 0);
    collection.insert("binding", record);
    let err = rogue.refused(vec![rogue.certificate(&[collection.encode()], same)]);
    assert!(matches!(err, PeerError::OtherKey), "{err}");
}

#[test]
fn a_real_agents_answer_is_bound_to_the_one_connection() {
    // Two sessions with the same real agent: the answer of one is of no use in the other.
    let agent = Agent::start();
    let one = Session::connect(&agent.address(), verifier(1), agent.options()).unwrap();
    let two = Session::connect(&agent.address(), verifier(1), agent.options()).unwrap();
    let (one, two) = (one.attest([7; 32]).unwrap(), two.attest([7; 32]).unwrap());
    assert_ne!(one.binding().channel, two.binding().channel);
    assert_eq!(one.binding().nonce, two.binding().nonce);
}

#[test]
fn garbage_instead_of_tls_or_http_is_an_error_and_nothing_else() {
    let agent = Agent::start();
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[0x16, 3, 1, 0xff, 0xff], &[]] {
        let mut stream = TcpStream::connect(agent.address).unwrap();
        stream.write_all(bytes).unwrap();
    }
    // It still serves.
    Session::connect(&agent.address(), verifier(1), agent.options()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || listener.accept().unwrap().0.write_all(b"hello").unwrap());
    let err = Session::connect(&address, verifier(1), options()).unwrap_err();
    assert!(matches!(err, SessionError::Handshake { .. }), "{err}");
}
