//! Agents on loopback with the software TEE's evidence, and who gets in between. For the tests of
//! the binary, and for those of its parts.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use casemate_attestation::{
    Grade, TcbStatus, TrustRoots,
    bundle::Bundle,
    policy::{Policy, TcbPolicy},
};
use casemate_evidence::SoftwareTee;
use casemate_primitives::LeaseId;
use casemate_ra_tls::{
    ATTESTATION_PATH, EvidenceIssuer, Expected, Keys, PodIdentity, PolicyAppraiser, Resolver,
    SECRETS_PATH, Verifier,
    sealed::{Received, Receiver},
    server::{Connection, Endpoints, SecretSink, tls_config},
    system_clock,
};
use casemate_software_tee::{
    Directory, Validity,
    client::{Control, Launch},
    daemon::{self, Daemon},
    wire::Kind,
};
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

pub(crate) const GENESIS: [u8; 32] = [7; 32];
pub(crate) const MANIFEST: [u8; 32] = [6; 32];
pub(crate) const AGENT_KEY: [u8; 32] = [9; 32];
/// Longer than any test takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) const POD: PodIdentity =
    PodIdentity { genesis_hash: GENESIS, lease: LeaseId(5), replica: 1, manifest_hash: MANIFEST };

/// One network for all tests: its keys take seconds to make.
pub(crate) struct Network {
    pub(crate) roots: TrustRoots,
    control: Control,
    dir: tempfile::TempDir,
    _daemon: Daemon,
}

pub(crate) fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("tee");
        let validity = Validity { certificate_days: 30, collateral_days: 30 };
        Directory::init(&directory, daemon::now().unwrap(), validity).unwrap();
        let control = dir.path().join("control.sock");
        let options =
            daemon::Options { directory, control: control.clone(), misbehave: Vec::new() };
        let daemon = Daemon::start(&options).unwrap();
        let control = Control::new(&control);
        let collateral = control.collateral().unwrap();
        let roots = serde_json::from_value(collateral["roots"].clone()).unwrap();
        Network { roots, control, dir, _daemon: daemon }
    })
}

impl Network {
    /// The collateral of a kind as a file.
    pub(crate) fn collateral_file(&self, kind: Kind) -> PathBuf {
        let collateral = self.control.collateral().unwrap();
        let (name, value) = match kind {
            Kind::IntelSgx => ("sgx.json", &collateral["intel"]["sgx"]),
            Kind::IntelTdx => ("tdx.json", &collateral["intel"]["tdx"]),
            Kind::AmdSevSnp => ("snp.json", &collateral["amd"]["endorsements"]),
        };
        // Tests run at once.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.path().join(format!("{count}-{name}"));
        std::fs::write(&path, value.to_string()).unwrap();
        path
    }

    pub(crate) fn bundle(&self, kind: Kind) -> Bundle {
        let mut bundle = Bundle::default();
        bundle.add(&std::fs::read(self.collateral_file(kind)).unwrap()).unwrap();
        bundle
    }

    /// Certificates, the root's among them.
    pub(crate) fn root_file(&self, kind: Kind) -> PathBuf {
        let folder = self.dir.path().join("tee/collateral");
        match kind {
            Kind::AmdSevSnp => folder.join("amd/cert_chain.pem"),
            _ => std::fs::read_dir(folder.join("intel"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .find(|path| path.to_string_lossy().ends_with("_chain.pem"))
                .unwrap(),
        }
    }
}

/// What an agent is like.
pub(crate) struct Setup<'a> {
    pub(crate) kind: Kind,
    pub(crate) misbehave: &'a [&'a str],
    pub(crate) pod: PodIdentity,
    pub(crate) agent_key: [u8; 32],
    pub(crate) senders: Vec<[u8; 32]>,
    pub(crate) root_fs: Option<&'a Path>,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            kind: Kind::IntelTdx,
            misbehave: &[],
            pod: POD,
            agent_key: AGENT_KEY,
            senders: Vec::new(),
            root_fs: None,
        }
    }
}

/// What an app got.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Mutex<Vec<Received>>);

impl Inbox {
    /// Numbers of the releases, and the values of this secret.
    pub(crate) fn values(&self, name: &str) -> Vec<(u64, Option<Vec<u8>>)> {
        let received = self.0.lock().unwrap();
        received.iter().map(|r| (r.sequence, r.secrets.get(name).map(<[u8]>::to_vec))).collect()
    }

    pub(crate) fn senders(&self) -> Vec<Option<[u8; 32]>> {
        self.0.lock().unwrap().iter().map(|received| received.sender).collect()
    }
}

impl SecretSink for Inbox {
    fn deliver(&self, received: Received) -> Result<(), String> {
        self.0.lock().unwrap().push(received);
        Ok(())
    }
}

/// Serves evidence and takes secrets, as the agent in a pod does.
pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    pub(crate) hpke_key: [u8; 32],
    pub(crate) inbox: Arc<Inbox>,
    /// Its certificate and key: a rogue has stolen them.
    pub(crate) resolver: Arc<Resolver>,
}

impl Agent {
    pub(crate) fn start() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup<'_>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!("guest-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let launched = network()
            .control
            .launch(&Launch {
                id: &id,
                kind: setup.kind,
                version: None,
                agent: &std::env::current_exe().unwrap(),
                root_fs: setup.root_fs,
                manifest_hash: &setup.pod.manifest_hash,
                owner: None,
                misbehave: setup.misbehave,
            })
            .unwrap();
        let attester = Arc::new(SoftwareTee::connect(&launched.socket).unwrap());
        let keys = Keys::generate().unwrap();
        let issuer = Arc::new(EvidenceIssuer::new(attester, setup.pod, setup.agent_key, keys));
        let resolver = Resolver::new(Arc::clone(&issuer), system_clock()).unwrap();
        let config = tls_config(&resolver).unwrap();
        let inbox = Arc::new(Inbox::default());
        let hpke_key = issuer.keys().hpke_key();
        let receiver = Receiver::new(Arc::clone(&issuer), setup.senders);
        let sink: Arc<dyn SecretSink> = Arc::<Inbox>::clone(&inbox);
        let endpoints = Endpoints::new(issuer, Arc::clone(&resolver)).with_secrets(receiver, sink);
        let endpoints = Arc::new(endpoints);
        let address = serve(move |stream| {
            // Clients that refuse what they see hang up.
            if let Ok(connection) = Connection::accept(stream, Arc::clone(&config), PATIENCE) {
                connection.serve(&endpoints, Vec::new());
            }
        });
        Self { address, hpke_key, inbox, resolver }
    }

    /// The raw answer to a request over a connection of its own.
    pub(crate) fn ask(&self, method: &str, target: &str, body: &[u8]) -> Vec<u8> {
        ask(self.address, method, target, body)
    }

    /// Hands over sealed secrets.
    pub(crate) fn put(&self, sealed: &[u8]) -> String {
        String::from_utf8(self.ask("PUT", SECRETS_PATH, sealed)).unwrap()
    }

    /// Somebody with this agent's certificate and key who answers each request by `answer`, which
    /// gets the target.
    pub(crate) fn impersonated(
        &self,
        answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> SocketAddr {
        let config = tls_config(&self.resolver).unwrap();
        let answer = Arc::new(answer);
        serve(move |stream| {
            let Ok(connection) = Connection::accept(stream, Arc::clone(&config), PATIENCE) else {
                return;
            };
            let (tls, stream) = connection.into_parts();
            let mut stream = StreamOwned::new(tls, stream);
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                    _ => return,
                }
            }
            let request = String::from_utf8(request).unwrap();
            let target = request.split(' ').nth(1).unwrap();
            let _ = stream.write_all(&answer(target)).and_then(|()| stream.flush());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        })
    }
}

/// The path of evidence for a nonce.
pub(crate) fn evidence_for(nonce: [u8; 32]) -> String {
    format!("{ATTESTATION_PATH}?nonce={}", hex::encode(nonce))
}

fn serve(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handle = Arc::clone(&handle);
            thread::spawn(move || handle(stream));
        }
    });
    address
}

/// A client that accepts any evidence of this network, as one in between does.
pub(crate) fn ask(address: SocketAddr, method: &str, target: &str, body: &[u8]) -> Vec<u8> {
    let statuses = vec![TcbStatus::UpToDate, TcbStatus::OutOfDate];
    let policy = Policy {
        grades: vec![Grade::Software],
        allow_debug: true,
        tcb: TcbPolicy { statuses, ..TcbPolicy::default() },
        ..Policy::default()
    };
    let source = Arc::new(network().bundle(Kind::IntelTdx));
    let appraiser = PolicyAppraiser::new(policy, network().roots.clone(), source, None);
    let verifier = Verifier::new(Arc::new(appraiser), Expected::default(), system_clock());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from("agent.invalid").unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(tls, stream);
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\ncontent-length: \
         {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    stream.flush().unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// An ordinary server of the web, with a certificate that proves a name at most.
pub(crate) fn ordinary_server() -> SocketAddr {
    let made = rcgen::generate_simple_self_signed(vec!["agent.example".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    serve(move |stream| {
        let _ = Connection::accept(stream, Arc::clone(&config), PATIENCE);
    })
}
