//! A request in JSON, and its answer.

use alloc::{
    format,
    string::{String, ToString as _},
    vec::Vec,
};

use casemate_attestation::{
    Claims, Grade, TeeKind, TrustRoot, TrustRoots, Vendor, Verified,
    bundle::{Bundle, from_base64},
    dcap,
    policy::{Context, Policy, Verdict},
    sev_snp,
};
use serde::{Deserialize, Serialize};

/// Larger requests are not looked at: evidence with all of its collateral has some 50 kB.
const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    kind: Kind,
    evidence: String,
    #[serde(default)]
    collateral: Vec<String>,
    at: u64,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    report_data: Option<String>,
    #[serde(default)]
    software_roots: Vec<String>,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Tdx,
    Sgx,
    SevSnp,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    reasons: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<Claims>,
    /// What policies name.
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Verdict>,
}

/// Appraises what a request holds. Any bytes have an answer.
pub fn answer(request: &[u8]) -> Vec<u8> {
    let answer = appraise(request)
        .unwrap_or_else(|unreadable| Answer { unreadable: Some(unreadable), ..Answer::default() });
    // Texts, numbers and lists: writing them cannot fail.
    serde_json::to_vec(&answer).unwrap_or_default()
}

fn appraise(request: &[u8]) -> Result<Answer, String> {
    if request.len() > REQUEST_BYTES_MAX {
        return Err(format!("the request is larger than {REQUEST_BYTES_MAX} bytes"));
    }
    let request: Request =
        serde_json::from_slice(request).map_err(|error| format!("the request: {error}"))?;
    let evidence = bytes_of(&request.evidence)
        .ok_or("`evidence` is neither hex nor base64, or it is empty")?;
    let report_data = request.report_data.as_deref().map(array::<64>).transpose()?;
    let mut bundle = Bundle::default();
    for (index, text) in request.collateral.iter().enumerate() {
        bundle.add(text.as_bytes()).map_err(|error| format!("`collateral[{index}]`: {error}"))?;
    }
    let vendor = if request.kind == Kind::SevSnp { Vendor::Amd } else { Vendor::Intel };
    let mut roots: Vec<TrustRoot> = TrustRoots::vendors().iter().copied().collect();
    for root in &request.software_roots {
        roots.push(TrustRoot { vendor, grade: Grade::Software, spki_sha256: array(root)? });
    }
    let roots = TrustRoots::new(roots);
    let context = Context { now: request.at, report_data: report_data.as_ref(), provider: None };
    if request.kind == Kind::SevSnp {
        let report =
            sev_snp::Report::parse(&evidence).map_err(|error| format!("`evidence`: {error}"))?;
        let endorsements =
            bundle.for_sev_snp(&report).map_err(|error| format!("`collateral`: {error}"))?;
        let verified =
            sev_snp::verify_with_endorsements(report, &endorsements, &roots, None, request.at);
        return Ok(judge(verified, &request.policy, &context));
    }
    let quote = dcap::Quote::parse(&evidence).map_err(|error| format!("`evidence`: {error}"))?;
    let wanted = if request.kind == Kind::Tdx { TeeKind::IntelTdx } else { TeeKind::IntelSgx };
    if quote.tee_kind() != wanted {
        return Err(format!("`evidence` is of another kind: {:?}", quote.tee_kind()));
    }
    let collateral = bundle.for_dcap(&quote).map_err(|error| format!("`collateral`: {error}"))?;
    let verified = dcap::verify_with_collateral(quote, &collateral, &roots, request.at);
    Ok(judge(verified, &request.policy, &context))
}

fn judge<E, R: core::fmt::Debug + core::fmt::Display>(
    verified: Result<Verified<E>, R>,
    policy: &Policy,
    context: &Context<'_>,
) -> Answer {
    let verified = match verified {
        Ok(verified) => verified,
        Err(error) => {
            let name = format!("{error:?}");
            return Answer {
                reasons: [error.to_string()].into(),
                error: Some(name.chars().take_while(|c| c.is_alphanumeric()).collect()),
                ..Answer::default()
            };
        }
    };
    let verdict = match policy.appraise(&verified, context) {
        Ok(accepted) => accepted.verdict().clone(),
        Err(verdict) => verdict,
    };
    Answer {
        accepted: verdict.accepted(),
        reasons: verdict
            .failed()
            .map(|check| format!("{}: {}; wanted: {}", check.name, check.found, check.wanted))
            .collect(),
        workload: Some(hex::encode(verified.claims().measurements.workload())),
        claims: Some(verified.into_claims()),
        checks: Some(verdict),
        ..Answer::default()
    }
}

/// Hex or base64, with any white space between.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let digits = compact.strip_prefix("0x").unwrap_or(&compact);
    hex::decode(digits)
        .ok()
        .or_else(|| from_base64(&compact).ok())
        .filter(|bytes| !bytes.is_empty())
}

fn array<const N: usize>(digits: &str) -> Result<[u8; N], String> {
    let mut out = [0; N];
    hex::decode_to_slice(digits.strip_prefix("0x").unwrap_or(digits), &mut out)
        .map_err(|_| format!("`{}` is not {N} bytes in hex", shortened(digits)))?;
    Ok(out)
}

fn shortened(text: &str) -> String {
    text.chars().take(20).collect()
}
