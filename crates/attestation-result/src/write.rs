//! Appraisals as an EAR.

use std::collections::BTreeMap;

use casemate_attestation::{Claims, TeeKind, UnixSeconds, policy::Verdict};
use serde::Serialize;

use crate::{
    Appraisal, PROFILE, SigningKey, Tier, TrustVector, WriteError, appraisal::Finding, base64url,
    jws,
};

/// The appraisals of all evidence of one attester, ready to be signed.
#[derive(Clone, Debug)]
pub struct AttestationResult {
    appraisals: BTreeMap<String, Appraisal>,
    at: UnixSeconds,
    nonce: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct Ear<'a> {
    eat_profile: &'a str,
    iat: UnixSeconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<UnixSeconds>,
    #[serde(rename = "ear.verifier-id")]
    verifier: Verifier<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eat_nonce: Option<String>,
    submods: BTreeMap<&'a str, Submodule<'a>>,
}

#[derive(Serialize)]
struct Verifier<'a> {
    developer: &'a str,
    build: &'a str,
}

#[derive(Serialize)]
struct Submodule<'a> {
    #[serde(rename = "ear.status")]
    status: Tier,
    #[serde(rename = "ear.trustworthiness-vector", skip_serializing_if = "is_silent")]
    vector: &'a TrustVector,
    #[serde(rename = "ear.appraisal-policy-id")]
    policy_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    eat_nonce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dbgstat: Option<&'static str>,
    #[serde(rename = "tag:github.com,2026:casemate/appraisal")]
    casemate: Casemate<'a>,
}

/// The draft wants a vector with at least one claim, or none.
fn is_silent(vector: &&TrustVector) -> bool {
    vector.claims().next().is_none()
}

/// What [`crate::CASEMATE_CLAIM`] holds.
#[derive(Serialize)]
#[serde(untagged)]
enum Casemate<'a> {
    Genuine { accepted: bool, claims: &'a Claims, checks: &'a Verdict },
    NotGenuine { accepted: bool, error: &'a str, reason: &'a str },
}

impl AttestationResult {
    /// A result of these appraisals. `nonce` is what the evidence was demanded to carry.
    ///
    /// # Errors
    /// [`WriteError`]: no appraisal, appraisals of different times, a nonce that is too short or too
    /// long.
    pub fn new(
        appraisals: impl IntoIterator<Item = Appraisal>,
        nonce: Option<&[u8]>,
    ) -> Result<Self, WriteError> {
        let mut labelled: BTreeMap<String, Appraisal> = BTreeMap::new();
        let mut at = None;
        for appraisal in appraisals {
            if *at.get_or_insert(appraisal.at) != appraisal.at {
                return Err(WriteError::Times);
            }
            let name = label(appraisal.kind);
            let same = labelled.values().filter(|other| other.kind == appraisal.kind).count();
            let name = if same == 0 { name.to_owned() } else { format!("{name}-{}", same + 1) };
            labelled.insert(name, appraisal);
        }
        if let Some(nonce) = nonce
            && !(8..=64).contains(&nonce.len())
        {
            return Err(WriteError::NonceLength(nonce.len()));
        }
        let at = at.ok_or(WriteError::Empty)?;
        Ok(Self { appraisals: labelled, at, nonce: nonce.map(<[u8]>::to_vec) })
    }

    /// The worst of its appraisals' statuses.
    pub fn status(&self) -> Tier {
        self.appraisals.values().map(Appraisal::status).max().unwrap_or(Tier::None)
    }

    /// The EAR as a signed JWT. `build` names the program that appraised, with its version.
    pub fn sign(&self, key: &SigningKey, build: &str) -> String {
        // Texts, numbers and byte strings: writing them cannot fail.
        let claims = serde_json::to_vec(&self.ear(build)).unwrap_or_default();
        jws::sign(&claims, key)
    }

    fn ear<'a>(&'a self, build: &'a str) -> Ear<'a> {
        let submodule = |appraisal: &'a Appraisal| Submodule {
            status: appraisal.status,
            vector: &appraisal.vector,
            policy_id: &appraisal.policy_id,
            eat_nonce: match &appraisal.finding {
                Finding::Genuine { claims, .. } => Some(base64url(&claims.report_data)),
                Finding::NotGenuine { .. } => None,
            },
            dbgstat: match &appraisal.finding {
                // A TEE's debug mode is set when it starts, and cannot be changed.
                Finding::Genuine { claims, .. } if claims.debug => Some("enabled"),
                Finding::Genuine { .. } => Some("disabled-since-boot"),
                Finding::NotGenuine { .. } => None,
            },
            casemate: match &appraisal.finding {
                Finding::Genuine { claims, verdict } => {
                    Casemate::Genuine { accepted: verdict.accepted(), claims, checks: verdict }
                }
                Finding::NotGenuine { error, reason } => {
                    Casemate::NotGenuine { accepted: false, error, reason }
                }
            },
        };
        Ear {
            eat_profile: PROFILE,
            iat: self.at,
            exp: self.appraisals.values().filter_map(Appraisal::not_after).min(),
            verifier: Verifier { developer: DEVELOPER, build },
            eat_nonce: self.nonce.as_deref().map(base64url),
            submods: self
                .appraisals
                .iter()
                .map(|(label, appraisal)| (label.as_str(), submodule(appraisal)))
                .collect(),
        }
    }
}

/// Names of entries in `submods`, by kind of evidence. Others rely on them: never change one.
fn label(kind: TeeKind) -> &'static str {
    match kind {
        TeeKind::IntelSgx => "intel-sgx",
        TeeKind::IntelTdx => "intel-tdx",
        TeeKind::AmdSevSnp => "amd-sev-snp",
        TeeKind::NvidiaGpu => "nvidia-gpu",
    }
}

/// Who makes this verifier (`developer` of `ear.verifier-id`).
const DEVELOPER: &str = env!("CARGO_PKG_REPOSITORY");
