//! The endpoints' JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use casemate_attestation::{Binding, Purpose};
use casemate_evidence::EventLog;
use casemate_primitives::TeeKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Issued;

/// Evidence as the endpoints give it.
///
/// Whoever checks it computes the report data from `binding` (SHA-512 over a context and the SCALE
/// encoding, `casemate_attestation::Binding`), and finds it in the evidence. Our own client reads
/// `evidence` alone, which holds the binding too.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// 1.
    pub version: u32,
    /// Kind of TEE that the evidence is of.
    pub kind: TeeKind,
    /// What the report data is the hash of; bytes in hex.
    pub binding: DocumentBinding,
    /// The 64 bytes that the evidence is over, in hex.
    pub report_data: String,
    /// Base64 of a CBOR collection (RFC 9999): `cpu`, `binding`, and where there are any `eventlog`
    /// and `endorsements`.
    pub evidence: String,
    /// The event log again, where it is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_log: Option<Value>,
    /// Base64 of the TLS certificate (DER) whose key the binding covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// [`Binding`] in JSON.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentBinding {
    /// `registration`, `raTls`, `session`, `cluster` or `release`.
    pub purpose: String,
    /// Which chain.
    pub genesis_hash: String,
    /// Which lease.
    pub lease: u64,
    /// Which of its pods.
    pub replica: u16,
    /// BLAKE2b-256 of the manifest.
    pub manifest_hash: String,
    /// The nonce that was asked with.
    pub nonce: String,
    /// Ed25519 key that signs usage records.
    pub agent_key: String,
    /// X25519 key that secrets are sealed to.
    pub hpke_key: String,
    /// SHA-256 of the TLS key's SubjectPublicKeyInfo.
    pub tls_spki_sha256: String,
    /// The connection's exporter.
    pub channel: String,
    /// SHA-256 of GPU evidence.
    pub gpu_evidence: String,
}

impl From<&Binding> for DocumentBinding {
    fn from(binding: &Binding) -> Self {
        let purpose = match binding.purpose {
            Purpose::Registration => "registration",
            Purpose::RaTls => "raTls",
            Purpose::Session => "session",
            Purpose::Cluster => "cluster",
            Purpose::Release => "release",
        };
        Self {
            purpose: purpose.to_owned(),
            genesis_hash: hex::encode(binding.genesis_hash),
            lease: binding.lease.0,
            replica: binding.replica,
            manifest_hash: hex::encode(binding.manifest_hash),
            nonce: hex::encode(binding.nonce),
            agent_key: hex::encode(binding.agent_key),
            hpke_key: hex::encode(binding.hpke_key),
            tls_spki_sha256: hex::encode(binding.tls_spki_sha256),
            channel: hex::encode(binding.channel),
            gpu_evidence: hex::encode(binding.gpu_evidence),
        }
    }
}

impl Document {
    pub(crate) fn new(issued: &Issued, certificate: Option<&[u8]>) -> Self {
        let event_log = match &issued.evidence.event_log {
            Some(EventLog::Json(bytes)) => serde_json::from_slice(bytes).ok(),
            _ => None,
        };
        Self {
            version: 1,
            kind: issued.evidence.kind,
            binding: (&issued.binding).into(),
            report_data: hex::encode(issued.binding.report_data()),
            evidence: STANDARD.encode(issued.to_cmw()),
            event_log,
            certificate: certificate.map(|der| STANDARD.encode(der)),
        }
    }

    /// The collection's bytes.
    ///
    /// # Errors
    /// Where it is no base64.
    pub fn cmw(&self) -> Result<Vec<u8>, base64::DecodeError> {
        STANDARD.decode(&self.evidence)
    }
}

/// What an endpoint answers when it can't do what was asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub error: String,
}

/// What the secrets endpoint answers when it has taken them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Taken {
    /// Names of the secrets.
    pub(crate) accepted: Vec<String>,
    /// Number of the release.
    pub(crate) sequence: u64,
}
