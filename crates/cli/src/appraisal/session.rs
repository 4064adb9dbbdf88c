//! One connection, looked at from its handshake to its session's evidence.

use std::{
    io,
    net::{TcpStream, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use casemate_attestation::{Binding, Claims};
use casemate_evidence::RawEvidence;
use casemate_primitives::chain_of;
use casemate_ra_tls::{
    Appraiser, Expected, Peer, PeerError,
    client::{Attested, Options, Session, SessionError},
};

use super::{Check, Judge, Outcome, Verdict, measured};

const BINDING: &str = "TLS: the certificate's key";
const IN_CERTIFICATE: &str = "evidence in the certificate";
const IN_SESSION: &str = "evidence of this session";
const NONCE: &str = "freshness: the nonce";
const CHANNEL: &str = "no one in between: this connection's exporter";
const SAME: &str = "the session's agent";

/// Where to connect, and under which name.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `host:port` that is asked for by name (SNI).
    pub(crate) name: String,
    /// `host:port` of the TCP connection, where it is another.
    pub(crate) connect: Option<String>,
    /// For connecting and for each answer.
    pub(crate) timeout: Duration,
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Examined {
    /// All checks so far.
    pub(crate) verdict: Verdict,
    /// What the newest genuine evidence was bound to.
    pub(crate) binding: Option<Binding>,
    /// What it says.
    pub(crate) claims: Option<Claims>,
    /// The session's evidence.
    pub(crate) evidence: Option<RawEvidence>,
    /// Name of the check that ended it, for programs.
    pub(crate) error: Option<String>,
    /// The session, where all of its own checks passed.
    pub(crate) session: Option<Attested>,
}

/// Connects, and asks for evidence over this connection. Nothing but a nonce is sent.
///
/// # Errors
/// Where there is no connection, or nothing that can be read comes over it. A peer that is refused
/// is no error: look at the verdict.
pub(crate) fn examine(
    target: &Target,
    judge: &Arc<Judge>,
    expected: Expected,
) -> Result<Examined, SessionError> {
    let mut seen = Examined {
        verdict: Verdict::default(),
        binding: None,
        claims: None,
        evidence: None,
        error: None,
        session: None,
    };
    let nonce = Session::nonce()?;
    let session = match connect(target, judge, expected) {
        Ok(session) => session,
        Err(err) if err.is_refusal() => {
            refused(&mut seen, judge, &err, IN_CERTIFICATE);
            return Ok(seen);
        }
        Err(err) => return Err(err),
    };
    keep(&mut seen, session.peer());
    let spki = hex::encode(session.peer().binding.tls_spki_sha256);
    let wanted = "its holder is the one whom the evidence in it covers";
    seen.verdict.push(Check::new(BINDING, spki, wanted, Outcome::Passed));
    push_judged(&mut seen, judge, IN_CERTIFICATE);
    match session.attest(nonce) {
        Ok(attested) => {
            keep(&mut seen, attested.peer());
            let binding = attested.binding();
            let of = |bytes: &[u8]| hex::encode(bytes);
            let same = "the certificate's: same keys and pod";
            seen.verdict.extend([
                Check::equal(NONCE, of(&binding.nonce), of(&nonce)),
                Check::new(
                    CHANNEL,
                    of(&binding.channel),
                    "the one of this connection",
                    Outcome::Passed,
                ),
                Check::new(SAME, of(&binding.agent_key), same, Outcome::Passed),
            ]);
            push_judged(&mut seen, judge, IN_SESSION);
            seen.verdict.push(measured::manifest(attested.peer()));
            seen.session = Some(attested);
            Ok(seen)
        }
        Err(err) if err.is_refusal() => {
            refused(&mut seen, judge, &err, IN_SESSION);
            Ok(seen)
        }
        Err(err) => Err(err),
    }
}

fn keep(seen: &mut Examined, peer: &Peer) {
    seen.binding = Some(peer.binding.clone());
    seen.claims = Some(peer.appraisal.claims.clone());
    seen.evidence = Some(peer.evidence.clone());
}

fn push_judged(seen: &mut Examined, judge: &Judge, name: &str) {
    for judged in judge.take_seen() {
        let wanted = "genuine, and as the policy demands";
        seen.verdict.push(Check::combined(name, wanted, judged.checks));
        seen.error = seen.error.take().or(judged.error);
    }
}

/// Puts the check that failed into the verdict.
fn refused(seen: &mut Examined, judge: &Judge, err: &SessionError, stage: &str) {
    let judged = judge.take_seen();
    if let Some(last) = judged.last() {
        // What a forgery says is repeated nowhere; what is genuine and refused is worth a look.
        seen.claims = last.claims.clone();
        seen.error.clone_from(&last.error);
    }
    for judged in judged {
        let wanted = "genuine, and as the policy demands";
        seen.verdict.push(Check::combined(stage, wanted, judged.checks));
    }
    let (name, wanted, error) = match err {
        // Its checks are there already.
        SessionError::Peer(PeerError::Refused(_)) => return,
        SessionError::Peer(err) => about(err),
        SessionError::Handshake { .. } => {
            (BINDING, "its holder does the handshake", Some("Handshake"))
        }
        _ => (stage, "given over this connection, for our nonce", Some("NoSessionEvidence")),
    };
    seen.verdict.push(Check::new(name, chain_of(err), wanted, Outcome::Failed));
    seen.error = seen.error.take().or_else(|| error.map(str::to_owned));
}

/// What an error is about: name of the check, what is wanted, name for programs.
fn about(err: &PeerError) -> (&'static str, &'static str, Option<&'static str>) {
    let certificate = "a certificate that carries evidence (RFC 9999)";
    match err {
        PeerError::NoEvidence => (IN_CERTIFICATE, certificate, Some("NoEvidence")),
        PeerError::Certificate | PeerError::Chain | PeerError::Extension => {
            (IN_CERTIFICATE, certificate, Some("Certificate"))
        }
        PeerError::Evidence(_) | PeerError::NoBinding => {
            (IN_CERTIFICATE, certificate, Some("Malformed"))
        }
        PeerError::OtherKey => {
            (BINDING, "its holder is the one whom the evidence in it covers", Some("OtherKey"))
        }
        PeerError::NotYetValid { .. }
        | PeerError::Expired { .. }
        | PeerError::LifetimeTooLong { .. } => {
            (IN_CERTIFICATE, "made within the last minutes", Some("Validity"))
        }
        PeerError::Nonce => (NONCE, "ours, which nobody has used before", Some("Nonce")),
        PeerError::Channel => (CHANNEL, "the one of this connection", Some("Channel")),
        PeerError::OtherAgent => (SAME, "the certificate's: same keys and pod", Some("OtherAgent")),
        PeerError::ReportData => {
            ("report data", "over this key, pod, nonce and connection", Some("ReportData"))
        }
        PeerError::Purpose { .. } => ("purpose of the evidence", "this one", Some("Purpose")),
        PeerError::Unexpected { .. } => {
            ("which pod it is", "the one that was asked for", Some("Unexpected"))
        }
        _ => ("the peer", "attested", Some("Peer")),
    }
}

fn connect(
    target: &Target,
    judge: &Arc<Judge>,
    expected: Expected,
) -> Result<Session, SessionError> {
    let mut options = Options::new(expected);
    options.timeout = target.timeout;
    let judge: Arc<dyn Appraiser> = Arc::<Judge>::clone(judge);
    let Some(address) = &target.connect else {
        return Session::connect(&target.name, judge, options);
    };
    let failed = |source| SessionError::Connect { address: address.clone(), source };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for resolved in address.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&resolved, target.timeout) {
            Ok(stream) => return Session::over(stream, &target.name, judge, options),
            Err(err) => last = err,
        }
    }
    Err(failed(last))
}
