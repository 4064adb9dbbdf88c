//! What a peer's certificate and session evidence must be. All checks on strangers are here.

use casemate_attestation::{Binding, Purpose, UnixSeconds};
use casemate_evidence::{
    RawEvidence, RawEvidenceError,
    cmw::{CmwError, Collection},
};
use casemate_primitives::{AgentPublicKey, Hash256, LeaseId, ReplicaIndex};
use codec::DecodeAll as _;
use der::{Decode as _, asn1::OctetStringRef, oid::ObjectIdentifier};
use rustls::{pki_types::CertificateDer, server::ParsedCertificate};
use sha2::{Digest as _, Sha256};

use crate::{
    Appraisal, Appraiser, Refusal,
    certificate::LIFETIME_SECONDS_MAX,
    issuer::{BINDING_MEMBER, BINDING_TYPE, Issued},
};

const CMW: ObjectIdentifier = ObjectIdentifier::new_unwrap(crate::CMW_OID);

/// Whom a connection is for. What is `None` may be anything: look at the [`Peer`] then.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Expected {
    /// Which chain.
    pub genesis_hash: Option<Hash256>,
    /// Which lease.
    pub lease: Option<LeaseId>,
    /// Which of its pods.
    pub replica: Option<ReplicaIndex>,
    /// Started with which manifest.
    pub manifest_hash: Option<Hash256>,
    /// With which key for usage records, as the chain has it.
    pub agent_key: Option<AgentPublicKey>,
}

/// A peer whose evidence was accepted.
#[derive(Clone, Debug)]
pub struct Peer {
    /// What the evidence covers.
    pub binding: Binding,
    /// What the appraiser said.
    pub appraisal: Appraisal,
    /// What was appraised.
    pub evidence: RawEvidence,
}

/// Why a peer is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// Not X.509.
    #[error("the peer's certificate does not parse")]
    Certificate,
    /// More than one certificate came.
    #[error("the peer sent a chain of certificates; an attested one stands alone")]
    Chain,
    /// An ordinary certificate.
    #[error(
        "the peer's certificate carries no attestation evidence (extension id-pe-cmw): whoever \
         answers here proves nothing"
    )]
    NoEvidence,
    /// The extension is not what it should be.
    #[error("the evidence in the certificate is not in the form that RFC 9999 describes")]
    Extension,
    /// The wrapped messages are not what they should be.
    #[error("the evidence does not unwrap")]
    Evidence(#[source] RawEvidenceError),
    /// What the evidence is bound to is not told, or not readable.
    #[error("the evidence comes without what it is bound to")]
    NoBinding,
    /// Evidence for one purpose was used for another.
    #[error("the evidence was made for the purpose {found:?}, not {wanted:?}")]
    Purpose {
        /// What it must be for.
        wanted: Purpose,
        /// What it is for.
        found: Purpose,
    },
    /// The evidence covers another key than the certificate's.
    #[error(
        "the evidence is bound to another TLS key than the certificate's: somebody put another's \
         evidence into his own certificate"
    )]
    OtherKey,
    /// The certificate's time has not come.
    #[error(
        "the certificate is valid from {from} (Unix time), and it is {now}: compare the clocks"
    )]
    NotYetValid {
        /// Its start.
        from: UnixSeconds,
        /// The time that was compared.
        now: UnixSeconds,
    },
    /// The certificate's time is over.
    #[error("the certificate was valid until {until} (Unix time), and it is {now}")]
    Expired {
        /// Its end.
        until: UnixSeconds,
        /// The time that was compared.
        now: UnixSeconds,
    },
    /// Its dates say too little about when the evidence was made.
    #[error("the certificate is valid for {seconds} s; at most {LIFETIME_SECONDS_MAX} s are taken")]
    LifetimeTooLong {
        /// Its length.
        seconds: u64,
    },
    /// Another pod than the one that was asked for.
    #[error("the peer's {field} is {found}, expected was {wanted}")]
    Unexpected {
        /// Which part of its identity.
        field: &'static str,
        /// What the caller asked for.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// Session evidence for another question.
    #[error("the session's evidence answers another nonce: it is a replay")]
    Nonce,
    /// Session evidence for another connection.
    #[error(
        "the session's evidence was made for another connection: somebody passes messages on in \
         between"
    )]
    Channel,
    /// Session evidence of another agent than the certificate's.
    #[error("the session's evidence covers other keys or another pod than the certificate's")]
    OtherAgent,
    /// The appraiser said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The appraiser accepted evidence over other data.
    #[error("the evidence's report data is not over this key, pod, nonce and connection")]
    ReportData,
    /// What the evidence rests on has expired.
    #[error("what the evidence rests on was valid until {until} (Unix time), and it is {now}")]
    EvidenceExpired {
        /// Its end.
        until: UnixSeconds,
        /// The time that was compared.
        now: UnixSeconds,
    },
}

/// Reads a collection with evidence and binding.
pub(crate) fn read(cmw: &[u8]) -> Result<Issued, PeerError> {
    let unwrap = |err: CmwError| PeerError::Evidence(err.into());
    let collection = Collection::decode(cmw).map_err(unwrap)?;
    let evidence = RawEvidence::from_collection(&collection).map_err(PeerError::Evidence)?;
    let bytes = collection.record(BINDING_MEMBER, BINDING_TYPE).ok_or(PeerError::NoBinding)?;
    let binding = Binding::decode_all(&mut &*bytes).map_err(|_| PeerError::NoBinding)?;
    Ok(Issued { binding, evidence })
}

/// Appraises evidence for what it is bound to.
pub(crate) fn appraise(
    issued: Issued,
    appraiser: &dyn Appraiser,
    now: UnixSeconds,
) -> Result<Peer, PeerError> {
    let Issued { binding, evidence } = issued;
    let report_data = binding.report_data();
    let appraisal = appraiser.appraise(&evidence, &report_data, now)?;
    if appraisal.claims.report_data != report_data {
        return Err(PeerError::ReportData);
    }
    if appraisal.claims.not_after <= now {
        return Err(PeerError::EvidenceExpired { until: appraisal.claims.not_after, now });
    }
    Ok(Peer { binding, appraisal, evidence })
}

/// Checks a certificate that a peer has sent, and the evidence in it. That the peer has the key is
/// for TLS to check (the handshake's signature).
pub(crate) fn check_certificate(
    certificate: &CertificateDer<'_>,
    expected: &Expected,
    appraiser: &dyn Appraiser,
    now: UnixSeconds,
) -> Result<Peer, PeerError> {
    let malformed = |_| PeerError::Certificate;
    let parsed = x509_cert::Certificate::from_der(certificate).map_err(malformed)?;
    // The bytes as TLS reads them to check the handshake: the two parsers must see the same key.
    let spki = ParsedCertificate::try_from(certificate)
        .map_err(|_| PeerError::Certificate)?
        .subject_public_key_info();
    let tbs = &parsed.tbs_certificate;
    let mut extensions = tbs.extensions.iter().flatten().filter(|e| e.extn_id == CMW);
    let extension = extensions.next().ok_or(PeerError::NoEvidence)?;
    if extensions.next().is_some() {
        return Err(PeerError::Extension);
    }
    let from = tbs.validity.not_before.to_unix_duration().as_secs();
    let until = tbs.validity.not_after.to_unix_duration().as_secs();
    if now < from {
        return Err(PeerError::NotYetValid { from, now });
    }
    if now >= until {
        return Err(PeerError::Expired { until, now });
    }
    let seconds = until.saturating_sub(from);
    if seconds > LIFETIME_SECONDS_MAX {
        return Err(PeerError::LifetimeTooLong { seconds });
    }
    let cmw = OctetStringRef::from_der(extension.extn_value.as_bytes())
        .map_err(|_| PeerError::Extension)?;
    let issued = read(cmw.as_bytes())?;
    check_purpose(&issued.binding, Purpose::RaTls)?;
    let spki_sha256: Hash256 = Sha256::digest(&*spki).into();
    if issued.binding.tls_spki_sha256 != spki_sha256 {
        return Err(PeerError::OtherKey);
    }
    expected.check(&issued.binding)?;
    appraise(issued, appraiser, now)
}

/// Checks the evidence for one connection of a peer whose certificate was accepted.
pub(crate) fn check_session(
    cmw: &[u8],
    certificate: &Binding,
    nonce: &[u8; 32],
    channel: &[u8; 32],
    appraiser: &dyn Appraiser,
    now: UnixSeconds,
) -> Result<Peer, PeerError> {
    let issued = read(cmw)?;
    check_purpose(&issued.binding, Purpose::Session)?;
    if issued.binding.nonce != *nonce {
        return Err(PeerError::Nonce);
    }
    if issued.binding.channel != *channel {
        return Err(PeerError::Channel);
    }
    check_same_agent(&issued.binding, certificate)?;
    appraise(issued, appraiser, now)
}

/// Checks that evidence for another verifier, which appraises it, is of the peer whose certificate was
/// accepted: to register a key, or for a vault.
pub(crate) fn check_passed_on(
    cmw: &[u8],
    purpose: Purpose,
    certificate: &Binding,
    nonce: &[u8; 32],
) -> Result<Issued, PeerError> {
    let issued = read(cmw)?;
    check_purpose(&issued.binding, purpose)?;
    if issued.binding.nonce != *nonce {
        return Err(PeerError::Nonce);
    }
    check_same_agent(&issued.binding, certificate)?;
    Ok(issued)
}

pub(crate) fn check_purpose(binding: &Binding, wanted: Purpose) -> Result<(), PeerError> {
    if binding.purpose == wanted {
        Ok(())
    } else {
        Err(PeerError::Purpose { wanted, found: binding.purpose })
    }
}

/// All but what differs from one purpose to the other.
fn check_same_agent(binding: &Binding, certificate: &Binding) -> Result<(), PeerError> {
    let same = Binding {
        purpose: certificate.purpose,
        nonce: certificate.nonce,
        channel: certificate.channel,
        ..binding.clone()
    };
    if same == *certificate { Ok(()) } else { Err(PeerError::OtherAgent) }
}

impl Expected {
    /// Compares what is known.
    ///
    /// # Errors
    /// [`PeerError::Unexpected`] with the first difference.
    pub fn check(&self, binding: &Binding) -> Result<(), PeerError> {
        let hash = |field, wanted: Option<Hash256>, found: &Hash256| match wanted {
            Some(wanted) if wanted != *found => Err(PeerError::Unexpected {
                field,
                wanted: hex::encode(wanted),
                found: hex::encode(found),
            }),
            _ => Ok(()),
        };
        hash("chain (genesis hash)", self.genesis_hash, &binding.genesis_hash)?;
        if let Some(wanted) = self.lease.filter(|lease| *lease != binding.lease) {
            return Err(PeerError::Unexpected {
                field: "lease",
                wanted: wanted.0.to_string(),
                found: binding.lease.0.to_string(),
            });
        }
        if let Some(wanted) = self.replica.filter(|replica| *replica != binding.replica) {
            return Err(PeerError::Unexpected {
                field: "replica",
                wanted: wanted.to_string(),
                found: binding.replica.to_string(),
            });
        }
        hash("manifest", self.manifest_hash, &binding.manifest_hash)?;
        hash("agent key", self.agent_key, &binding.agent_key)
    }
}
