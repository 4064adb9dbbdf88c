//! A client that takes any certificate, as careless visitors do, and whoever stands in between.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use casemate_ra_tls::http;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// A TLS 1.3 connection to whoever answers. It proves nothing, and that is its use.
#[derive(Debug)]
pub struct Careless {
    stream: StreamOwned<ClientConnection, TcpStream>,
    read_ahead: Vec<u8>,
    name: String,
}

impl Careless {
    /// Connects, asks for `name` and does the handshake.
    ///
    /// # Errors
    /// Nobody listens, or what answers speaks no TLS 1.3.
    pub fn connect(address: SocketAddr, name: &str) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TakesAll(provider)))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        let server = ServerName::try_from(name.to_owned())?;
        let mut tls = ClientConnection::new(Arc::new(config), server)?;
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream).with_context(|| format!("no TLS with `{name}`"))?;
        }
        let stream = StreamOwned::new(tls, stream);
        Ok(Self { stream, read_ahead: Vec::new(), name: name.to_owned() })
    }

    /// The server's certificate.
    ///
    /// # Errors
    /// It showed none.
    pub fn certificate(&self) -> Result<CertificateDer<'static>> {
        let shown = self.stream.conn.peer_certificates().and_then(<[_]>::first);
        Ok(shown.context("the server showed no certificate")?.clone().into_owned())
    }

    /// One request and its answer: status and body.
    ///
    /// # Errors
    /// The connection breaks, or what comes is no HTTP.
    pub fn request(&mut self, method: &str, target: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        http::request(&mut self.stream, method, target, &self.name, body)?;
        let answer = http::read(&mut self.stream, &mut self.read_ahead, ANSWER_BYTES_MAX, false)?;
        let [_, status, _] = &answer.start;
        Ok((status.parse().with_context(|| format!("`{status}` is no HTTP status"))?, answer.body))
    }

    /// Sends bytes as they are and gives what comes back, once something does.
    ///
    /// # Errors
    /// The connection breaks.
    pub fn exchange(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.stream.write_all(bytes)?;
        self.stream.flush()?;
        let mut answer = vec![0; 1 << 16];
        let read = match self.stream.read(&mut answer) {
            // Without TLS's farewell it is an end as well.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => 0,
            other => other?,
        };
        answer.truncate(read);
        Ok(answer)
    }
}

/// What no other client of ours has.
#[derive(Debug)]
struct TakesAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TakesAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 2 << 20;
