//! Evidence as a machine gave it.

use casemate_primitives::TeeKind;
use sha2::{Digest, Sha256};

use crate::cmw::{Cmw, CmwError, Collection, ENDORSEMENTS, EVIDENCE, Label, Record};

/// Media types that we give to what has none registered.
mod media {
    pub(super) const SGX: &str = "application/vnd.casemate.intel-sgx-quote";
    pub(super) const TDX: &str = "application/vnd.casemate.intel-tdx-quote";
    pub(super) const SNP: &str = "application/vnd.casemate.amd-sev-snp-report";
    pub(super) const GPU: &str = "application/vnd.casemate.nvidia-gpu-report";
    pub(super) const SNP_TABLE: &str = "application/vnd.casemate.amd-certificate-table";
    pub(super) const SNP_JSON: &str = "application/vnd.casemate.amd-certificates+json";
    pub(super) const LOG_JSON: &str = "application/vnd.casemate.event-log+json";
    pub(super) const LOG_TCG: &str = "application/vnd.casemate.tcg-event-log";
}

/// Type of the collections that we make.
const COLLECTION_TYPE: &str = "https://github.com/casemate/casemate/evidence/v1";

/// What a machine gave, byte for byte. Nothing of it is verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RawEvidence {
    /// What the bytes are said to be.
    pub kind: TeeKind,
    /// Quote or report.
    pub evidence: Vec<u8>,
    /// What was measured into run-time registers, where the machine keeps a log.
    pub event_log: Option<EventLog>,
    /// Certificates that came with it. They save the verifier a question to the vendor, no check.
    pub endorsements: Option<Endorsements>,
}

/// Certificates that came with SEV-SNP evidence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Endorsements {
    /// The host's certificate table (AMD 56421, section 4.1.8.1).
    AmdTable(Vec<u8>),
    /// The software TEE's: `{"vek", "ask", "ark", "crl"}`.
    Json(Vec<u8>),
}

impl Endorsements {
    /// Their bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::AmdTable(bytes) | Self::Json(bytes) => bytes,
        }
    }
}

/// A log of what was measured.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EventLog {
    /// A JSON array of events.
    Json(Vec<u8>),
    /// TCG's crypto-agile format (CC event log).
    Tcg(Vec<u8>),
}

impl EventLog {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Json(bytes) | Self::Tcg(bytes) => bytes,
        }
    }
}

/// Why a collection holds no evidence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RawEvidenceError {
    /// It is no collection of conceptual messages.
    #[error(transparent)]
    Cmw(#[from] CmwError),
    /// It has no member `cpu`.
    #[error("the collection has no member `cpu`: it holds no evidence")]
    NoEvidence,
    /// The member is of a type that we do not know.
    #[error("the collection's member `{member}` is of the unknown type `{found}`")]
    UnknownType {
        /// Which member.
        member: &'static str,
        /// Its type, shortened.
        found: String,
    },
}

impl RawEvidence {
    /// Evidence without log or certificates.
    pub fn new(kind: TeeKind, evidence: Vec<u8>) -> Self {
        Self { kind, evidence, event_log: None, endorsements: None }
    }

    /// SHA-256 over the evidence's bytes: its name where it is referred to.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.evidence).into()
    }

    /// As members of a collection, to which a caller may add its own.
    pub fn to_collection(&self) -> Collection {
        let mut collection = Collection::new(COLLECTION_TYPE);
        let kind = match self.kind {
            TeeKind::IntelSgx => media::SGX,
            TeeKind::IntelTdx => media::TDX,
            TeeKind::AmdSevSnp => media::SNP,
            TeeKind::NvidiaGpu => media::GPU,
        };
        collection.insert("cpu", Record::new(kind, self.evidence.clone(), EVIDENCE));
        if let Some(log) = &self.event_log {
            let media_type = match log {
                EventLog::Json(_) => media::LOG_JSON,
                EventLog::Tcg(_) => media::LOG_TCG,
            };
            let record = Record::new(media_type, log.bytes().to_vec(), EVIDENCE);
            collection.insert("eventlog", record);
        }
        if let Some(endorsements) = &self.endorsements {
            let media_type = match endorsements {
                Endorsements::AmdTable(_) => media::SNP_TABLE,
                Endorsements::Json(_) => media::SNP_JSON,
            };
            let record = Record::new(media_type, endorsements.bytes().to_vec(), ENDORSEMENTS);
            collection.insert("endorsements", record);
        }
        collection
    }

    /// As the CBOR of a collection.
    pub fn to_cmw(&self) -> Vec<u8> {
        self.to_collection().encode()
    }

    /// From the CBOR of a collection. Members that are not known are left alone.
    ///
    /// # Errors
    /// Where it is none, or holds no evidence of a known type.
    pub fn from_cmw(bytes: &[u8]) -> Result<Self, RawEvidenceError> {
        Self::from_collection(&Collection::decode(bytes)?)
    }

    /// From a collection.
    ///
    /// # Errors
    /// Where it holds no evidence of a known type.
    pub fn from_collection(collection: &Collection) -> Result<Self, RawEvidenceError> {
        let member = |name: &str| match collection.get(&Label::Text(name.into())) {
            Some(Cmw::Record(record)) => Some(record),
            _ => None,
        };
        let unknown = |member, record: &Record| RawEvidenceError::UnknownType {
            member,
            found: record.media_type().chars().take(100).collect(),
        };
        let cpu = member("cpu").ok_or(RawEvidenceError::NoEvidence)?;
        let kind = match cpu.media_type() {
            media::SGX => TeeKind::IntelSgx,
            media::TDX => TeeKind::IntelTdx,
            media::SNP => TeeKind::AmdSevSnp,
            media::GPU => TeeKind::NvidiaGpu,
            _ => return Err(unknown("cpu", cpu)),
        };
        let event_log = match member("eventlog") {
            None => None,
            Some(log) => Some(match log.media_type() {
                media::LOG_JSON => EventLog::Json(log.value().to_vec()),
                media::LOG_TCG => EventLog::Tcg(log.value().to_vec()),
                _ => return Err(unknown("eventlog", log)),
            }),
        };
        let endorsements = match member("endorsements") {
            None => None,
            Some(found) => Some(match found.media_type() {
                media::SNP_TABLE => Endorsements::AmdTable(found.value().to_vec()),
                media::SNP_JSON => Endorsements::Json(found.value().to_vec()),
                _ => return Err(unknown("endorsements", found)),
            }),
        };
        Ok(Self { kind, evidence: cpu.value().to_vec(), event_log, endorsements })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_survives_the_wire_byte_for_byte() {
        for kind in [TeeKind::IntelSgx, TeeKind::IntelTdx, TeeKind::AmdSevSnp] {
            let evidence = RawEvidence {
                kind,
                evidence: (0..=255).cycle().take(5000).collect(),
                event_log: Some(EventLog::Json(b"[{\"a\": 1}]".to_vec())),
                endorsements: Some(Endorsements::AmdTable(vec![0; 300])),
            };
            assert_eq!(RawEvidence::from_cmw(&evidence.to_cmw()).unwrap(), evidence);
        }
    }

    #[test]
    fn evidence_of_an_unknown_type_is_refused() {
        let mut collection = Collection::new(COLLECTION_TYPE);
        collection.insert("cpu", Record::new("application/x", vec![1], EVIDENCE));
        let err = RawEvidence::from_cmw(&collection.encode()).unwrap_err();
        assert!(matches!(err, RawEvidenceError::UnknownType { member: "cpu", .. }), "{err}");
    }

    #[test]
    fn a_collection_without_evidence_is_refused() {
        let mut collection = Collection::new(COLLECTION_TYPE);
        collection.insert("gpu", Record::new("a/b", vec![1], EVIDENCE));
        let err = RawEvidence::from_cmw(&collection.encode()).unwrap_err();
        assert!(matches!(err, RawEvidenceError::NoEvidence), "{err}");
    }
}
