//! The client's half: connect, attest the session, then release secrets.

use std::{
    io,
    net::{TcpStream, ToSocketAddrs as _},
    sync::Arc,
    time::{Duration, Instant},
};

use casemate_primitives::Hash256;
use ed25519_dalek::SigningKey;
use rustls::{
    ClientConfig, ClientConnection, StreamOwned, client::Resumption, pki_types::ServerName,
    version::TLS13,
};

use crate::{
    ATTESTATION_PATH, Appraiser, Binding, Clock, Document, EXPORTER_LABEL, Expected, Issued, Peer,
    PeerError, PodIdentity, Problem, Purpose, REGISTRATION_PATH, RELEASE_PATH, SECRETS_PATH,
    Secrets, Verifier,
    deadline::DeadlineStream,
    http, peer,
    sealed::{Header, SealError, SealedSecrets},
    system_clock,
    wire::Taken,
};

/// Longest answer that is read: evidence, its log twice, in base64.
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How to connect.
#[derive(Clone)]
pub struct Options {
    /// Whom the connection is for.
    pub expected: Expected,
    /// Time for connecting and handshake, and for each request after it.
    pub timeout: Duration,
    /// When all of it must be done; each step has only what is left until then.
    pub end: Option<Instant>,
    /// Where the time comes from.
    pub clock: Clock,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("expected", &self.expected)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// For a pod, with half a minute for each step (a quote from hardware may take seconds).
    pub fn new(expected: Expected) -> Self {
        let timeout = Duration::from_secs(30);
        Self { expected, timeout, end: None, clock: system_clock() }
    }

    /// Time for the next step.
    fn left(&self) -> Duration {
        let left = self.end.map(|end| end.saturating_duration_since(Instant::now()));
        left.map_or(self.timeout, |left| left.min(self.timeout))
    }
}

/// Why a session did not come about, or did not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// No connection.
    #[error("failed to connect to `{address}`")]
    Connect {
        /// Where to.
        address: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The peer is refused, by its certificate or its session's evidence.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// TLS failed for another reason; where the peer does not have its certificate's key, for this.
    #[error("the TLS handshake with `{address}` failed")]
    Handshake {
        /// With whom.
        address: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Our own TLS settings.
    #[error("failed to set up TLS")]
    Tls(#[source] rustls::Error),
    /// No nonce can be made.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// The connection broke, or what came is not HTTP.
    #[error("failed to talk to the agent: {0}")]
    Http(String),
    /// The agent answered with a refusal.
    #[error("the agent refuses ({status}, {}): {}", .problem.code, .problem.error)]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        problem: Problem,
    },
    /// The agent's answer is not what the endpoint's JSON should be.
    #[error("the agent's answer is not what it should be: {0}")]
    Answer(&'static str),
    /// The secrets can't be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl SessionError {
    /// Whether the peer itself was found wanting, other than by a failed connection: it is not who
    /// it should be, or does not prove it.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Peer(_) | Self::Refused { .. } | Self::Answer(_) => true,
            // As with the key of another's certificate: the signature of the handshake is wrong.
            Self::Handshake { source, .. } => {
                let inner = source.get_ref().and_then(|inner| inner.downcast_ref());
                matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
            }
            _ => false,
        }
    }
}

/// A connection whose certificate was accepted. Not yet good enough for secrets: see
/// [`Session::attest`].
#[derive(Debug)]
pub struct Session {
    stream: StreamOwned<ClientConnection, DeadlineStream>,
    read_ahead: Vec<u8>,
    host: String,
    channel: [u8; 32],
    peer: Peer,
    appraiser: Arc<dyn Appraiser>,
    options: Options,
}

impl Session {
    /// Connects to `address` (`host:port`) and verifies the certificate's evidence.
    ///
    /// # Errors
    /// Where there is no connection, or `appraiser` or the checks of this crate refuse the peer.
    pub fn connect(
        address: &str,
        appraiser: Arc<dyn Appraiser>,
        options: Options,
    ) -> Result<Self, SessionError> {
        let connect = |source| SessionError::Connect { address: address.to_owned(), source };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for resolved in address.to_socket_addrs().map_err(connect)? {
            let left = options.left();
            if left.is_zero() {
                return Err(connect(io::ErrorKind::TimedOut.into()));
            }
            match TcpStream::connect_timeout(&resolved, left) {
                Ok(stream) => return Self::over(stream, address, appraiser, options),
                Err(err) => last = err,
            }
        }
        Err(connect(last))
    }

    /// The same over a connection that is there, such as one through a tunnel. `address` is the
    /// name that is asked for: it decides where an ingress sends the connection, and proves nothing.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub fn over(
        stream: TcpStream,
        address: &str,
        appraiser: Arc<dyn Appraiser>,
        options: Options,
    ) -> Result<Self, SessionError> {
        let handshake = |source| SessionError::Handshake { address: address.to_owned(), source };
        stream.set_nodelay(true).map_err(handshake)?;
        let verifier = Verifier::new(
            Arc::clone(&appraiser),
            options.expected.clone(),
            Arc::clone(&options.clock),
        );
        let config = client_config(Arc::clone(&verifier)).map_err(SessionError::Tls)?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .or_else(|_| ServerName::try_from("agent.invalid"))
            .map_err(|err| handshake(io::Error::other(err)))?;
        let mut stream = DeadlineStream::new(stream, options.left());
        let mut tls = ClientConnection::new(config, name).map_err(SessionError::Tls)?;
        while tls.is_handshaking() {
            if let Err(err) = tls.complete_io(&mut stream) {
                return Err(match verifier.take() {
                    Some(Err(refused)) => SessionError::Peer(refused),
                    _ => handshake(err),
                });
            }
        }
        let peer = match verifier.take() {
            Some(result) => result?,
            None => return Err(SessionError::Answer("the server showed no certificate")),
        };
        let channel =
            tls.export_keying_material([0; 32], EXPORTER_LABEL, None).map_err(SessionError::Tls)?;
        let stream = StreamOwned::new(tls, stream);
        let host = address.to_owned();
        Ok(Self { stream, read_ahead: Vec::new(), host, channel, peer, appraiser, options })
    }

    /// Who it is, by the certificate's evidence.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// A nonce that nobody has used.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn nonce() -> Result<[u8; 32], SessionError> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(SessionError::Random)?;
        Ok(nonce)
    }

    /// Asks for evidence over this connection and `nonce`, and verifies it. `nonce` must be fresh:
    /// take [`Session::nonce`].
    ///
    /// # Errors
    /// Where it does not come, or is refused.
    pub fn attest(mut self, nonce: [u8; 32]) -> Result<Attested, SessionError> {
        let cmw = self.evidence(ATTESTATION_PATH, &nonce)?.1;
        let (binding, channel) = (&self.peer.binding, &self.channel);
        let now = (self.options.clock)();
        let peer = peer::check_session(&cmw, binding, &nonce, channel, &*self.appraiser, now)?;
        Ok(Attested { session: self, peer })
    }

    /// Asks for the evidence that registers the agent's key on chain, over the hash of a recent
    /// block. It is of the certificate's agent, but not appraised: the chain does that.
    ///
    /// # Errors
    /// Where it does not come, or is of another agent or block.
    pub fn registration(&mut self, block_hash: Hash256) -> Result<Issued, SessionError> {
        let cmw = self.evidence(REGISTRATION_PATH, &block_hash)?.1;
        Ok(peer::check_passed_on(&cmw, Purpose::Registration, &self.peer.binding, &block_hash)?)
    }

    /// Asks for the evidence that a vault releases secrets for, over the vault's nonce, and gives it
    /// as it came (RFC 9999): the vault appraises it, and opens nothing to who carries it.
    ///
    /// # Errors
    /// Where it does not come, or is of another agent than the certificate's, or over another nonce.
    pub fn release_evidence(&mut self, nonce: &[u8; 32]) -> Result<Vec<u8>, SessionError> {
        let cmw = self.evidence(RELEASE_PATH, nonce)?.1;
        peer::check_passed_on(&cmw, Purpose::Release, &self.peer.binding, nonce)?;
        Ok(cmw)
    }

    /// Brings secrets that somebody else has sealed, and gives the number of the release.
    ///
    /// # Errors
    /// Where the agent does not take them.
    pub fn deliver(&mut self, sealed: &[u8]) -> Result<u64, SessionError> {
        let body = self.request("PUT", SECRETS_PATH, sealed)?;
        let taken: Taken = serde_json::from_slice(&body)
            .map_err(|_| SessionError::Answer("it does not say what was taken"))?;
        Ok(taken.sequence)
    }

    fn evidence(
        &mut self,
        path: &str,
        nonce: &[u8; 32],
    ) -> Result<(Document, Vec<u8>), SessionError> {
        let target = format!("{path}?nonce={}", hex::encode(nonce));
        let body = self.request("GET", &target, &[])?;
        let document: Document = serde_json::from_slice(&body)
            .map_err(|_| SessionError::Answer("it is not the JSON of an attestation"))?;
        if document.version != 1 {
            return Err(SessionError::Answer("it is of a version that is not known here"));
        }
        let cmw =
            document.cmw().map_err(|_| SessionError::Answer("its `evidence` is not base64"))?;
        Ok((document, cmw))
    }

    fn request(
        &mut self,
        method: &str,
        target: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, SessionError> {
        self.stream.sock.extend(self.options.left());
        http::request(&mut self.stream, method, target, &self.host, body)
            .map_err(|err| SessionError::Http(err.to_string()))?;
        let answer = http::read(&mut self.stream, &mut self.read_ahead, ANSWER_BYTES_MAX, false)
            .map_err(|err| SessionError::Http(err.to_string()))?;
        let [_, status, _] = &answer.start;
        match status.parse::<u16>() {
            Ok(200) => Ok(answer.body),
            Ok(status) => {
                let problem = serde_json::from_slice(&answer.body).unwrap_or_else(|_| Problem {
                    code: "unknown".to_owned(),
                    error: "the answer says no reason".to_owned(),
                });
                Err(SessionError::Refused { status, problem })
            }
            Err(_) => Err(SessionError::Answer("it has no HTTP status")),
        }
    }
}

fn client_config(verifier: Arc<Verifier>) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // "Dangerous" is what rustls calls every verifier that is not its own.
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // A resumed session would not show the verifier a certificate.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// What a release is for, as the sender knows it: not as the agent says.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// Which pod must get it.
    pub pod: PodIdentity,
    /// Which policy the pod was appraised by, for the record.
    pub policy_id: Hash256,
    /// Larger than that of each release to this pod before; milliseconds of the clock will do.
    pub sequence: u64,
    /// Signs for the sender. Pods take secrets from the senders that their configuration names.
    pub sender: Option<&'a SigningKey>,
}

/// What the agent has taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Released {
    /// Names of the secrets.
    pub accepted: Vec<String>,
    /// Digest of the evidence that they were sealed against, for the record.
    pub evidence_digest: Hash256,
}

/// A session whose peer has proved, with fresh evidence, that this very connection ends in it.
#[derive(Debug)]
pub struct Attested {
    session: Session,
    peer: Peer,
}

impl Attested {
    /// Who it is, by the session's evidence.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What the session's evidence covers.
    pub fn binding(&self) -> &Binding {
        &self.peer.binding
    }

    /// As [`Session::registration`].
    ///
    /// # Errors
    /// As there.
    pub fn registration(&mut self, block_hash: Hash256) -> Result<Issued, SessionError> {
        self.session.registration(block_hash)
    }

    /// Seals `secrets` to the attested key and sends them.
    ///
    /// # Errors
    /// [`PeerError::Unexpected`] where this is another pod than `release` names; otherwise as the
    /// agent or the connection says.
    pub fn release(
        &mut self,
        secrets: &Secrets,
        release: &Release<'_>,
    ) -> Result<Released, SessionError> {
        let sealed = self.seal(secrets, release)?;
        let body = self.session.request("PUT", SECRETS_PATH, &sealed.to_bytes())?;
        let taken: Taken = serde_json::from_slice(&body)
            .map_err(|_| SessionError::Answer("it does not say what was taken"))?;
        if taken.sequence != release.sequence || !taken.accepted.iter().eq(secrets.names()) {
            return Err(SessionError::Answer("it has not taken what was sent"));
        }
        let evidence_digest = sealed.header().evidence_digest;
        Ok(Released { accepted: taken.accepted, evidence_digest })
    }

    /// Seals without sending, for who delivers by another way.
    ///
    /// # Errors
    /// As [`Attested::release`].
    pub fn seal(
        &self,
        secrets: &Secrets,
        release: &Release<'_>,
    ) -> Result<SealedSecrets, SessionError> {
        let pod = release.pod;
        Expected {
            genesis_hash: Some(pod.genesis_hash),
            lease: Some(pod.lease),
            replica: Some(pod.replica),
            manifest_hash: Some(pod.manifest_hash),
            agent_key: None,
        }
        .check(&self.peer.binding)?;
        let header = Header {
            genesis_hash: pod.genesis_hash,
            lease: pod.lease,
            replica: pod.replica,
            manifest_hash: pod.manifest_hash,
            evidence_digest: self.peer.evidence.digest(),
            policy_id: release.policy_id,
            sequence: release.sequence,
        };
        let key = &self.peer.binding.hpke_key;
        Ok(SealedSecrets::seal(secrets, header, key, release.sender)?)
    }
}
