//! A provider who makes evidence as he likes: the software TEE is his, and signs any report data.
//!
//! On hardware he would need an agent whose keys have leaked. So these tests begin where the worst has
//! happened already, and see what still holds.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use casemate_evidence::{
    Attester as _, SoftwareTee,
    cmw::{Collection, Record},
};
use casemate_ra_tls::{ATTESTATION_PATH, Binding, Document, Purpose};
use casemate_software_tee::{client::Launch, wire::Kind};
use casemate_tests::{Careless, Cluster};
use codec::{DecodeAll as _, Encode as _};
use rcgen::{CertificateParams, CustomExtension, KeyPair, PublicKeyData as _};
use rustls::pki_types::CertificateDer;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::middle::{Asked, Identity, identity};

const BINDING_TYPE: &str = "application/vnd.casemate.binding";
/// `id-pe-cmw`
const CMW: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 35];

/// What a real agent's evidence says of itself, to somebody who asks with this nonce.
pub(crate) fn binding_of(agent: &mut Careless, nonce: [u8; 32]) -> Result<Binding> {
    binding_in(&session_answer(agent, nonce)?)
}

/// A real agent's whole answer for a nonce.
pub(crate) fn session_answer(agent: &mut Careless, nonce: [u8; 32]) -> Result<Vec<u8>> {
    let target = format!("{ATTESTATION_PATH}?nonce={}", hex::encode(nonce));
    let (status, body) = agent.request("GET", &target, &[])?;
    ensure!(status == 200, "the agent answers {status}: {}", String::from_utf8_lossy(&body));
    Ok(body)
}

fn binding_in(answer: &[u8]) -> Result<Binding> {
    let document: Document = serde_json::from_slice(answer)?;
    let collection = Collection::decode(&document.cmw()?)?;
    let bytes = collection.record("binding", BINDING_TYPE).context("evidence of nothing")?;
    Ok(Binding::decode_all(&mut &*bytes)?)
}

/// The evidence that a certificate carries.
pub(crate) fn evidence_in(certificate: &CertificateDer<'_>) -> Result<Vec<u8>> {
    // `id-pe-cmw` in DER; it is not critical.
    let oid = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x23];
    let at = certificate.windows(oid.len()).position(|window| window == oid);
    let at = at.context("the certificate carries no evidence")?;
    // The extension's value, and in it the one of RFC 9999.
    Ok(in_octet_string(in_octet_string(&certificate[at + oid.len()..])?)?.to_vec())
}

fn in_octet_string(der: &[u8]) -> Result<&[u8]> {
    let Some(([0x04, 0x82, high, low], rest)) = der.split_first_chunk() else {
        anyhow::bail!("the certificate is of another form");
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    rest.get(..length).context("the certificate is cut off")
}

/// A guest of the provider's own that presents itself as somebody's agent, with the agent's public
/// keys. Its TLS key is its own.
pub(crate) struct Rogue {
    key: KeyPair,
    tee: SoftwareTee,
    /// What its evidence says.
    binding: Binding,
}

impl Rogue {
    /// Launches it: measured is what `agent` and `root_fs` have.
    pub(crate) fn launch(
        cluster: &Cluster,
        id: &str,
        victim: Binding,
        agent: &Path,
        root_fs: Option<&Path>,
    ) -> Result<Self> {
        let guest = cluster.software_tee.control_client().launch(&Launch {
            id,
            kind: Kind::IntelTdx,
            version: None,
            agent,
            root_fs,
            manifest_hash: &victim.manifest_hash,
            owner: None,
            misbehave: &[],
        })?;
        let tee = SoftwareTee::connect(&guest.socket)?;
        let key = KeyPair::generate()?;
        let binding = Binding {
            purpose: Purpose::RaTls,
            nonce: [0; 32],
            channel: [0; 32],
            tls_spki_sha256: Sha256::digest(key.subject_public_key_info()).into(),
            ..victim
        };
        Ok(Self { key, tee, binding })
    }

    /// Evidence over a binding.
    fn evidence(&self, binding: &Binding) -> Result<Vec<u8>> {
        let mut collection = self.tee.evidence(&binding.report_data())?.to_collection();
        collection.insert("binding", Record::new(BINDING_TYPE, binding.encode(), 0));
        Ok(collection.encode())
    }

    /// As a server whose certificate carries its evidence.
    pub(crate) fn identity(&self) -> Result<Identity> {
        identity(certificate(&self.key, &self.evidence(&self.binding)?)?, &self.key)
    }

    /// Its answer to somebody who asks for evidence over this connection, as a real agent's would be.
    pub(crate) fn answer(&self, asked: &Asked) -> Result<(u16, Vec<u8>)> {
        if asked.method != "GET" {
            // A release has come. The agent whose place this is could open it.
            return Ok((503, br#"{"code":"rogue","error":"thank you"}"#.to_vec()));
        }
        let nonce = asked.target.split_once("?nonce=").map_or("", |(_, nonce)| nonce);
        let mut bytes = [0; 32];
        hex::decode_to_slice(nonce, &mut bytes)?;
        let (purpose, channel) = (Purpose::Session, asked.channel);
        let binding = Binding { purpose, nonce: bytes, channel, ..self.binding.clone() };
        Ok((200, document(&self.evidence(&binding)?)))
    }
}

/// A fresh certificate with this evidence in it.
pub(crate) fn certificate(key: &KeyPair, cmw: &[u8]) -> Result<CertificateDer<'static>> {
    let mut params = CertificateParams::default();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + (now - Duration::from_secs(10));
    params.not_after = epoch + (now + Duration::from_secs(200));
    let extension = CustomExtension::from_oid_content(&CMW, octet_string(cmw)?);
    params.custom_extensions.push(extension);
    Ok(params.self_signed(key)?.der().clone())
}

/// DER.
fn octet_string(bytes: &[u8]) -> Result<Vec<u8>> {
    let length = u16::try_from(bytes.len()).context("evidence is longer than a certificate")?;
    ensure!(length > 0xff, "evidence is shorter than any");
    let [high, low] = length.to_be_bytes();
    Ok([&[0x04, 0x82, high, low], bytes].concat())
}

/// As the endpoint writes it. Clients read the evidence alone, which has the binding in it.
fn document(cmw: &[u8]) -> Vec<u8> {
    let binding = json!({
        "purpose": "session", "genesisHash": "", "lease": 0, "replica": 0, "manifestHash": "",
        "nonce": "", "agentKey": "", "hpkeKey": "", "tlsSpkiSha256": "", "channel": "",
        "gpuEvidence": "",
    });
    json!({
        "version": 1, "kind": "intelTdx", "binding": binding, "reportData": "",
        "evidence": STANDARD.encode(cmw),
    })
    .to_string()
    .into_bytes()
}
