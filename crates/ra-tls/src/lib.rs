//! TLS whose certificates carry attestation evidence (RA-TLS), and secrets sealed to attested keys.
//!
//! # What is proved, and when
//! 1. **Handshake.** The server's certificate is self-signed, minutes short, and carries evidence
//!    (RFC 9999, `id-pe-cmw`) whose report data covers the certificate's key, the pod's identity and
//!    the agent's other keys ([`Binding`], purpose `RaTls`). TLS itself proves that the server has the
//!    key. That says: *some* enclave has held this key within the last minutes.
//! 2. **Session.** A key that leaked, or a server that passes messages on, could still stand in
//!    between. So the client sends a nonce, and the server answers with evidence over this very
//!    connection's exporter (RFC 9266) and the nonce (purpose `Session`). Only a [`client::Attested`]
//!    session can [release](client::Attested::release) secrets: there is no other way to call it.
//! 3. **Secret.** What is released is sealed (HPKE, RFC 9180) to the key that the session's evidence
//!    covers, and bound to lease, replica, manifest, evidence and policy ([`sealed`]).
//!
//! # Trust
//! Nobody is trusted for his certificate's issuer, name or place. There is no mode that accepts
//! everything: a verifier is always made with an [`Appraiser`], and refuses what that refuses. TLS
//! 1.3 only, without resumption: a resumed session would skip the verifier.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![forbid(unsafe_code)]

mod appraise;
mod certificate;
pub mod client;
mod deadline;
pub mod http;
mod issuer;
mod keys;
mod peer;
mod policy_appraiser;
mod release;
mod resolver;
pub mod sealed;
mod secrets;
pub mod server;
mod verifier;
mod wire;

pub use appraise::{Appraisal, Appraiser, Refusal};
pub use casemate_attestation::{Binding, Claims, Purpose, UnixSeconds};
pub use casemate_evidence::{Attester, EvidenceError, RawEvidence};
pub use certificate::{CMW_OID, LIFETIME_SECONDS, LIFETIME_SECONDS_MAX};
pub use deadline::DeadlineStream;
pub use issuer::{EvidenceIssuer, Issued, PodIdentity};
pub use keys::{KeyError, Keys};
pub use peer::{Expected, Peer, PeerError};
pub use policy_appraiser::{CollateralSource, PolicyAppraiser, own_endorsements};
pub use release::ReleaseEvidence;
pub use resolver::{CertificateError, Renewal, Resolver};
pub use secrets::{SecretName, SecretNameError, Secrets};
pub use verifier::Verifier;
pub use wire::{Document, Problem};

/// Label of the TLS exporter that names one connection (RFC 9266, section 2).
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// Path of the evidence for a nonce over this connection.
pub const ATTESTATION_PATH: &str = "/.well-known/casemate/attestation";

/// Path of the evidence that registers the agent's key on chain.
pub const REGISTRATION_PATH: &str = "/.well-known/casemate/registration";

/// Path of the evidence that a vault releases secrets for.
pub const RELEASE_PATH: &str = "/.well-known/casemate/release";

/// Path that takes sealed secrets.
pub const SECRETS_PATH: &str = "/.well-known/casemate/secrets";

/// What all paths of ours begin with.
pub const WELL_KNOWN_PREFIX: &str = "/.well-known/casemate/";

/// Where the clock comes from. The machine's, unless in a test.
pub type Clock = std::sync::Arc<dyn Fn() -> UnixSeconds + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    std::sync::Arc::new(|| {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
    })
}
