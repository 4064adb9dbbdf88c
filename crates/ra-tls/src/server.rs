//! The server's half: TLS settings, one connection, and the endpoints on it.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned, server::NoServerSessionStorage, version::TLS13,
};

use crate::{
    ATTESTATION_PATH, Document, EXPORTER_LABEL, EvidenceError, EvidenceIssuer, Issued, Problem,
    REGISTRATION_PATH, RELEASE_PATH, Resolver, SECRETS_PATH,
    deadline::DeadlineStream,
    http::{self, HttpError, Message},
    resolver::Shared,
    sealed::{OpenError, Received, Receiver, SEALED_BYTES_MAX},
    wire::Taken,
};

/// Most requests on one connection: a release needs two.
const REQUESTS_MAX: usize = 32;

/// TLS for a server whose clients stay anonymous: TLS 1.3, no resumption.
///
/// # Errors
/// Where TLS can't be set up.
pub fn tls_config(resolver: &Arc<Resolver>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shared(Arc::clone(resolver))));
    // A resumed session would not show the certificate, and its evidence, again.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Connection {
    stream: StreamOwned<ServerConnection, DeadlineStream>,
    channel: [u8; 32],
}

impl Connection {
    /// Does the handshake, within `time`.
    ///
    /// # Errors
    /// Where it fails or takes longer.
    pub fn accept(
        stream: TcpStream,
        config: Arc<ServerConfig>,
        time: Duration,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let mut stream = DeadlineStream::new(stream, time);
        let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        let channel =
            tls.export_keying_material([0; 32], EXPORTER_LABEL, None).map_err(io::Error::other)?;
        Ok(Self { stream: StreamOwned::new(tls, stream), channel })
    }

    /// What names this connection on both sides and nowhere else.
    pub fn channel(&self) -> &[u8; 32] {
        &self.channel
    }

    /// Sets the time that the connection has from now on.
    pub fn extend(&mut self, time: Duration) {
        self.stream.sock.extend(time);
    }

    /// Reads what comes first, to decide who should answer.
    ///
    /// # Errors
    /// As the connection gives them.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    /// For a caller that moves the bytes itself.
    pub fn into_parts(self) -> (ServerConnection, TcpStream) {
        let (tls, stream) = self.stream.into_parts();
        (tls, stream.into_inner())
    }

    /// Answers requests until the other side closes or the time is over. `read_ahead` is what was
    /// [read](Self::read) of the first one.
    pub fn serve(mut self, endpoints: &Endpoints, read_ahead: Vec<u8>) {
        // Whatever ends it: the other side sees the connection end, and nobody else is concerned.
        let _ = endpoints.serve(&mut self.stream, read_ahead, &self.channel);
        self.stream.conn.send_close_notify();
        let _ = self.stream.flush();
    }
}

/// Takes the secrets that were released to this agent.
pub trait SecretSink: std::fmt::Debug + Send + Sync {
    /// Gives them to the app, all or none.
    ///
    /// # Errors
    /// With a sentence for the sender; it must not hold a value.
    fn deliver(&self, received: Received) -> Result<(), String>;
}

/// What is answered under `/.well-known/casemate/`.
#[derive(Debug)]
pub struct Endpoints {
    issuer: Arc<EvidenceIssuer>,
    resolver: Arc<Resolver>,
    receiver: Option<(Receiver, Arc<dyn SecretSink>)>,
}

/// An answer: status and JSON.
type Answer = (u16, Vec<u8>);

/// Why secrets were not taken.
enum Refused {
    Open(OpenError),
    Sink(String),
}

impl From<OpenError> for Refused {
    fn from(err: OpenError) -> Self {
        Self::Open(err)
    }
}

impl Endpoints {
    /// Evidence only.
    pub fn new(issuer: Arc<EvidenceIssuer>, resolver: Arc<Resolver>) -> Self {
        Self { issuer, resolver, receiver: None }
    }

    /// Takes secrets too.
    #[must_use]
    pub fn with_secrets(mut self, receiver: Receiver, sink: Arc<dyn SecretSink>) -> Self {
        self.receiver = Some((receiver, sink));
        self
    }

    /// Answers requests on a connection with the exporter `channel`.
    fn serve<S: Read + Write>(
        &self,
        stream: &mut S,
        mut read_ahead: Vec<u8>,
        channel: &[u8; 32],
    ) -> io::Result<()> {
        for left in (0..REQUESTS_MAX).rev() {
            let request = match http::read(stream, &mut read_ahead, SEALED_BYTES_MAX, true) {
                Ok(request) => request,
                Err(HttpError::End | HttpError::Io(_)) => return Ok(()),
                Err(err) => {
                    let status = match err {
                        HttpError::BodyTooLong(_) | HttpError::HeadTooLong => 413,
                        _ => 400,
                    };
                    let (status, body) = problem(status, "badRequest", &err);
                    return http::answer(stream, status, &body, true);
                }
            };
            let close = request.close || left == 0;
            let (status, body) = self.answer(&request, channel);
            http::answer(stream, status, &body, close)?;
            if close {
                return Ok(());
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Message, channel: &[u8; 32]) -> Answer {
        let [method, target, _] = &request.start;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match (method.as_str(), path) {
            ("GET", ATTESTATION_PATH) => {
                self.evidence(query, |nonce| self.issuer.session(nonce, *channel))
            }
            ("GET", REGISTRATION_PATH) => {
                self.evidence(query, |nonce| self.issuer.registration(nonce))
            }
            ("GET", RELEASE_PATH) => self.evidence(query, |nonce| self.issuer.release(nonce)),
            ("PUT", SECRETS_PATH) => self.secrets(&request.body),
            (_, ATTESTATION_PATH | REGISTRATION_PATH | RELEASE_PATH | SECRETS_PATH) => {
                problem(405, "method", &"evidence is for GET, secrets are for PUT")
            }
            _ => problem(404, "notFound", &"there is nothing of Casemate's at this path"),
        }
    }

    fn evidence(
        &self,
        query: &str,
        make: impl FnOnce([u8; 32]) -> Result<Issued, EvidenceError>,
    ) -> Answer {
        let mut nonce = [0; 32];
        let text =
            query.split('&').find_map(|pair| pair.strip_prefix("nonce=")).unwrap_or_default();
        if hex::decode_to_slice(text, &mut nonce).is_err() {
            let text = "ask with `?nonce=` and 64 hexadecimal digits that nobody has used before";
            return problem(400, "nonce", &text);
        }
        match make(nonce) {
            Ok(issued) => {
                let certificate = self.resolver.certificate();
                json(200, &Document::new(&issued, certificate.as_deref()))
            }
            Err(err) => problem(503, "noEvidence", &err),
        }
    }

    fn secrets(&self, body: &[u8]) -> Answer {
        let Some((receiver, sink)) = &self.receiver else {
            return problem(404, "noSecrets", &"this pod's configuration asks for no secrets");
        };
        let mut taken = None;
        let result = receiver.receive(body, |received| {
            let accepted = received.secrets.names().map(str::to_owned).collect();
            let sequence = received.sequence;
            sink.deliver(received).map_err(Refused::Sink)?;
            taken = Some(Taken { accepted, sequence });
            Ok(())
        });
        match (result, taken) {
            (Ok(()), Some(taken)) => json(200, &taken),
            (Err(Refused::Open(err @ OpenError::RolledBack { .. })), _) => {
                problem(409, err.code(), &err)
            }
            (Err(Refused::Open(err)), _) => problem(400, err.code(), &err),
            (Err(Refused::Sink(reason)), _) => problem(503, "notDelivered", &reason),
            (Ok(()), None) => problem(503, "notDelivered", &"the secrets were not delivered"),
        }
    }
}

fn json(status: u16, value: &impl serde::Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => (status, body),
        Err(_) => (503, b"{}".to_vec()),
    }
}

fn problem(status: u16, code: &str, error: &dyn std::fmt::Display) -> Answer {
    json(status, &Problem { code: code.to_owned(), error: error.to_string() })
}
