//! Attestation in the place of certificate authorities.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::{Appraiser, Clock, Expected, Peer, PeerError, peer};

/// Verifies the certificate of one connection's server by the evidence in it. Make
/// one for each connection, and take the [`Peer`] out of it after the handshake.
#[derive(Debug)]
pub struct Verifier {
    appraiser: Arc<dyn Appraiser>,
    expected: Expected,
    clock: ClockDebug,
    algorithms: WebPkiSupportedAlgorithms,
    result: Mutex<Option<Result<Peer, PeerError>>>,
}

struct ClockDebug(Clock);

impl std::fmt::Debug for ClockDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// What TLS is told of a refusal; the details are in [`Verifier::take`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

impl Verifier {
    /// Accepts whom `appraiser` accepts, if he is whom `expected` names.
    pub fn new(appraiser: Arc<dyn Appraiser>, expected: Expected, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            appraiser,
            expected,
            clock: ClockDebug(clock),
            algorithms: rustls::crypto::ring::default_provider().signature_verification_algorithms,
            result: Mutex::default(),
        })
    }

    /// What became of the peer's certificate; `None` before it came.
    pub fn take(&self) -> Option<Result<Peer, PeerError>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let result = if others.is_empty() {
            let now = (self.clock.0)();
            peer::check_certificate(certificate, &self.expected, &*self.appraiser, now)
        } else {
            Err(PeerError::Chain)
        };
        let told = result.as_ref().map(|_| ()).map_err(|err| {
            let told = OtherError(Arc::new(Told(err.to_string())));
            Error::InvalidCertificate(CertificateError::Other(told))
        });
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        told
    }
}

fn no_tls12() -> Error {
    Error::General("only TLS 1.3 is spoken here".into())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        // A pod is known by its evidence: names and addresses are the provider's.
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        // The same clock as for the session's evidence.
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
