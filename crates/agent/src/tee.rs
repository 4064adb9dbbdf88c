//! Evidence, secrets and TLS of the pod: everything that the agent serves on a port.
//!
//! # Trust
//! Whoever connects is a stranger. He gets evidence, and may send secrets; what he sends is taken
//! only if it is sealed to this agent's key for this very pod. Connections, their time and what they
//! send are bounded, and none of it can keep the supervisor from its work.
//!
//! # Limits
//! Values are wiped when a newer release replaces them. Those that become variables of the
//! environment are also copied by the standard library and the kernel, and those copies are not
//! wiped: files and the socket leave none in the agent.

mod delivery;
mod forward;
mod slots;
mod socket;
mod standing;

use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, OnceLock, mpsc::Sender},
    thread,
    time::Duration,
};

use casemate_evidence::{Sources, detect};
use casemate_primitives::{AgentPublicKey, Hash256, TeeKind, chain_of};
use casemate_ra_tls::{
    EvidenceIssuer, KeyError, Keys, PodIdentity, Resolver,
    sealed::Receiver,
    server::{Connection, Endpoints, SecretSink, tls_config},
    system_clock,
};
use rustls::ServerConfig;

use crate::{
    config::{AttestationConfig, Config, TlsConfig},
    event::EventKind,
    output::Output,
    spawn::SecretVariables,
    supervisor::Message,
};
use delivery::Delivery;
use slots::Slots;
use standing::Standing;

/// Connections for evidence at once. Each makes one piece of evidence at a time, and quoting
/// services answer one after the other anyway.
const ATTESTATION_CONNECTIONS_MAX: u16 = 16;

/// Time for a handshake, and then for an app's client to say its first word.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Time for all requests of a connection for evidence and secrets: slow quoting services included.
const REQUESTS: Duration = Duration::from_secs(90);

/// Pauses between tries to get evidence: the first, doubled each time up to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A handshake needs some tens of kB.
const STACK_BYTES: usize = 512 * 1024;

/// Why the agent can't serve what its configuration asks for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TeeError {
    /// No keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A port is taken.
    #[error("failed to listen on port {port} of the pod's network; choose another one")]
    Listen {
        /// Which.
        port: u16,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The folder for secrets is on a disk.
    #[error(
        "the folder for secrets, `{path}`, is not in a tmpfs: they would be on the host's disk"
    )]
    NotMemory {
        /// Which.
        path: PathBuf,
    },
    /// The folder or socket for secrets can't be made.
    #[error("failed to {action} `{path}`")]
    Path {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// No thread.
    #[error("failed to start a thread")]
    Thread(#[source] io::Error),
}

/// What the supervisor knows of it.
#[derive(Debug)]
pub(crate) struct Tee {
    delivery: Option<Arc<Delivery>>,
    /// There once a TEE was found.
    issuer: Arc<OnceLock<Arc<EvidenceIssuer>>>,
}

impl Tee {
    /// Opens the ports and starts the threads; `None` where the configuration asks for nothing.
    pub(crate) fn start(
        config: &Config,
        agent_key: AgentPublicKey,
        output: &Arc<Output>,
        messages: &Sender<Message>,
    ) -> Result<Option<Self>, TeeError> {
        let Some(attestation) = config.attestation.clone() else { return Ok(None) };
        let keys = Keys::generate()?;
        let listener = listen(attestation.port)?;
        let tls = match config.tls.clone() {
            Some(tls) => Some((listen(tls.port)?, tls)),
            None => None,
        };
        let owner = config.app.user.as_ref().map(|user| (user.uid, user.gid));
        let delivery = match config.secrets.clone() {
            Some(secrets) => {
                let socket = secrets.socket.clone();
                let delivery = Delivery::new(secrets, owner, Arc::clone(output), messages.clone())?;
                let delivery = Arc::new(delivery);
                if let Some(path) = socket {
                    socket::serve(path, owner, Arc::clone(&delivery))?;
                }
                Some(delivery)
            }
            None => None,
        };
        let issuer = Arc::new(OnceLock::new());
        let server = Server {
            attestation,
            found: Arc::clone(&issuer),
            agent_key,
            senders: config.secrets.iter().flat_map(|s| s.senders.iter().copied()).collect(),
            delivery: delivery.clone(),
            output: Arc::clone(output),
        };
        spawn(move || server.run(keys, listener, tls)).map_err(TeeError::Thread)?;
        Ok(Some(Self { delivery, issuer }))
    }

    /// Which TEE this is; `None` while none was found.
    pub(crate) fn kind(&self) -> Option<TeeKind> {
        self.issuer.get().map(|issuer| issuer.kind())
    }

    /// What the evidence of the agent's key is about, once there is some.
    pub(crate) fn evidence(&self) -> Option<Hash256> {
        self.issuer.get().and_then(|issuer| issuer.evidence_id())
    }

    /// The names of the secrets that the app must wait for; `None` where it need not wait.
    pub(crate) fn awaited(&self) -> Option<Vec<String>> {
        self.delivery.as_ref().and_then(|delivery| delivery.awaited())
    }

    /// Variables of the app's environment that hold secrets.
    pub(crate) fn environment(&self) -> SecretVariables {
        self.delivery.as_ref().map(|delivery| delivery.environment()).unwrap_or_default()
    }
}

fn listen(port: u16) -> Result<TcpListener, TeeError> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .map_err(|source| TeeError::Listen { port, source })
}

fn spawn(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().stack_size(STACK_BYTES).spawn(run).map(drop)
}

/// What the serving threads are made from.
struct Server {
    attestation: AttestationConfig,
    found: Arc<OnceLock<Arc<EvidenceIssuer>>>,
    agent_key: AgentPublicKey,
    senders: Vec<[u8; 32]>,
    delivery: Option<Arc<Delivery>>,
    output: Arc<Output>,
}

impl Server {
    /// Waits for the first evidence, then serves for ever. Until then connections wait in the
    /// ports' queues.
    fn run(self, keys: Keys, listener: TcpListener, tls: Option<(TcpListener, TlsConfig)>) {
        let mut retry = Retry { pause: RETRY.0, told: String::new(), output: &self.output };
        let sources =
            Sources { software_tee: self.attestation.software_tee.clone(), ..Sources::default() };
        let attester = retry.until_ok(|| detect(&sources));
        let pod = PodIdentity {
            genesis_hash: self.attestation.genesis_hash,
            lease: self.attestation.lease,
            replica: self.attestation.replica,
            manifest_hash: self.attestation.manifest_hash,
        };
        let issuer = Arc::new(EvidenceIssuer::new(attester, pod, self.agent_key, keys));
        let _ = self.found.set(Arc::clone(&issuer));
        let resolver = retry.until_ok(|| Resolver::new(Arc::clone(&issuer), system_clock()));
        retry.until_ok(|| resolver.renew());
        let available = EventKind::EvidenceAvailable {
            tee: issuer.kind(),
            port: self.attestation.port,
            hpke_key: hex::encode(issuer.keys().hpke_key()),
            tls_spki_sha256: hex::encode(issuer.keys().tls_spki_sha256()),
        };
        let output = Arc::clone(&self.output);
        let failures = Standing::observe(&resolver, available.clone(), move |event| {
            output.emit(event);
        });
        let renewed = Arc::clone(&resolver);
        if let Err(err) = spawn(move || standing::retry(&renewed, &failures, RETRY)) {
            self.output.say(&format!("no thread to renew evidence that has failed: {err}"));
        }
        let config = retry.until_ok(|| tls_config(&resolver));
        let mut endpoints = Endpoints::new(Arc::clone(&issuer), resolver);
        if let Some(delivery) = &self.delivery {
            let receiver = Receiver::new(Arc::clone(&issuer), self.senders.clone());
            let sink: Arc<dyn SecretSink> = Arc::<Delivery>::clone(delivery);
            endpoints = endpoints.with_secrets(receiver, sink);
        }
        let endpoints = Arc::new(endpoints);
        self.output.emit(available);
        if let Some((listener, tls)) = tls {
            let (config, endpoints) = (Arc::clone(&config), Arc::clone(&endpoints));
            let slots = Slots::new(tls.connections_max);
            let tls = Arc::new(tls);
            let thread = spawn(move || {
                accept(&listener, &slots, &move |stream| {
                    forward::handle(stream, Arc::clone(&config), &tls, &endpoints);
                });
            });
            if let Err(err) = thread {
                self.output.say(&format!("no thread for the app's TLS port: {err}"));
            }
        }
        accept(&listener, &Slots::new(ATTESTATION_CONNECTIONS_MAX), &move |stream| {
            serve(stream, Arc::clone(&config), &endpoints);
        });
    }
}

/// One connection for evidence and secrets.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, endpoints: &Endpoints) {
    // A stranger whose handshake fails is nobody's concern.
    if let Ok(mut connection) = Connection::accept(stream, config, HANDSHAKE) {
        connection.extend(REQUESTS);
        connection.serve(endpoints, Vec::new());
    }
}

/// Gives every connection a thread, as long as there is a slot; the others wait in the port's queue.
fn accept<H>(listener: &TcpListener, slots: &Slots, handle: &H)
where
    H: Fn(TcpStream) + Clone + Send + 'static,
{
    loop {
        let slot = slots.take();
        match listener.accept() {
            Ok((stream, _)) => {
                let handle = handle.clone();
                // Where there is no thread the connection is closed, and its client tries again.
                let _ = spawn(move || {
                    handle(stream);
                    drop(slot);
                });
            }
            // Out of descriptors, or a client that is gone already.
            Err(_) => thread::sleep(RETRY.0),
        }
    }
}

/// Tries again with growing pauses, and tells why when the reason changes.
struct Retry<'a> {
    pause: Duration,
    told: String,
    output: &'a Output,
}

impl Retry<'_> {
    fn until_ok<T, E: std::error::Error + 'static>(
        &mut self,
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> T {
        loop {
            match attempt() {
                Ok(value) => return value,
                Err(err) => {
                    let reason = reason_of(&err);
                    if self.told != reason {
                        self.told.clone_from(&reason);
                        self.output.emit(EventKind::EvidenceUnavailable { reason });
                    }
                    thread::sleep(self.pause);
                    self.pause = self.pause.saturating_mul(2).min(RETRY.1);
                }
            }
        }
    }
}

/// An error and its causes, as the host is told.
fn reason_of(err: &dyn std::error::Error) -> String {
    chain_of(err).chars().take(1000).collect()
}
