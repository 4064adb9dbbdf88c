//! `casemate attest result`, and how `casemate attest verify` writes one.

use std::{collections::BTreeMap, fs, path::Path};

use casemate_attestation_result::{
    Appraisal, AttestationResult, CLOCK_SKEW_SECONDS, Checked, Demands, KeyError, ResultError,
    ResultKey, SigningKey, Submodule, Tier, TrustVector, policy_id, read as check,
};
use serde::Serialize;
use serde_json::Value;

use super::verify::{appraisal_time, read, read_policy, rfc3339};
use crate::{
    cli::AttestResultArgs,
    context::Context,
    failure::{Failure, OrFail as _, fail},
    printer::{fields, printable},
};

/// `build` of `ear.verifier-id`.
const BUILD: &str = concat!("casemate ", env!("CARGO_PKG_VERSION"));

/// A result that was written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written {
    pub(super) file: String,
    pub(super) status: &'static str,
    key_id: String,
}

/// Signs an appraisal. `nonce` is what the evidence was demanded to carry.
pub(super) fn write(
    path: &Path,
    key: &SigningKey,
    appraisal: Appraisal,
    nonce: Option<&[u8]>,
) -> anyhow::Result<Written> {
    let result = AttestationResult::new([appraisal], nonce)?;
    let status = result.status().name();
    let token = result.sign(key, BUILD);
    fs::write(path, format!("{token}\n")).or_fail(|| {
        Failure::usage(format!("cannot write the result to `{}`", path.display()))
            .hint("choose a file in a folder that you may write to: --result FILE")
    })?;
    Ok(Written { file: path.display().to_string(), status, key_id: key.public().id().to_owned() })
}

/// A result says when it was made. One of a time to come would count for longer than it should.
pub(super) fn check_not_ahead(at: u64) -> anyhow::Result<()> {
    let now = appraisal_time(None)?;
    if at > now.saturating_add(CLOCK_SKEW_SECONDS) {
        return fail(
            Failure::usage(format!("no result is signed ahead of its time ({})", rfc3339(at)))
                .hint("leave --at out, or name a time that has passed"),
        );
    }
    Ok(())
}

/// What is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    accepted: bool,
    /// RFC 3339: the time of the check.
    at: String,
    /// Thumbprint of the key that was trusted.
    key_id: String,
    /// Why not, a line each; empty when accepted.
    reasons: Vec<String>,
    /// Name of the check that failed, where the result is not believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What it says, where it is believed.
    #[serde(flatten)]
    says: Option<Says>,
}

/// A result that is believed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Says {
    status: &'static str,
    appraised_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    verifier: String,
    build: String,
    /// In hex.
    nonces: Vec<String>,
    evidence: BTreeMap<String, Evidence>,
}

/// One piece of evidence.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Evidence {
    status: &'static str,
    trustworthiness: TrustVector,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<String>,
    /// What Casemate's verifier adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    appraisal: Option<Value>,
}

pub(super) fn run(context: &Context, args: &AttestResultArgs) -> anyhow::Result<()> {
    let now = appraisal_time(args.at.as_deref())?;
    let key = public_key(&args.key)?;
    let policy = args.policy.as_deref().map(|path| read_policy(Some(path))).transpose()?;
    let policy = policy.as_ref().map(policy_id);
    let nonce = args.nonce.as_deref().map(nonce_of).transpose()?;
    let token = read(&args.file)?;
    let demands = Demands {
        now,
        age_seconds_max: args.max_age,
        nonce: nonce.as_deref(),
        policy_id: policy.as_deref(),
    };
    let shown = Shown {
        accepted: false,
        at: rfc3339(now),
        key_id: key.id().to_owned(),
        reasons: Vec::new(),
        error: None,
        says: None,
    };
    let shown = match check(&token, &key, &demands) {
        Ok(checked) => judged(context, args, shown, checked),
        Err(error @ (ResultError::NotCompact(_) | ResultError::TooLarge)) => {
            return Err(error).or_fail(|| {
                Failure::usage(format!("`{}` is no signed result", args.file.display()))
                    .hint("give the file that `casemate attest verify --result FILE` wrote")
            });
        }
        Err(error) => Shown {
            error: Some(format!("{error:?}").chars().take_while(|c| c.is_alphanumeric()).collect()),
            reasons: vec![reason(&error)],
            ..shown
        },
    };
    context.printer.data(&shown, || text(&shown))?;
    if shown.accepted {
        if args.policy.is_none() {
            context.printer.note(
                "What is good enough was the verifier's choice; to name yours: --policy FILE",
            );
        }
        return Ok(());
    }
    fail(
        Failure::new("the result is refused").hint(
            "have the evidence appraised anew, or appraise it yourself: casemate attest verify",
        ),
    )
}

/// Of a result that is believed: whether what it says is good enough.
fn judged(context: &Context, args: &AttestResultArgs, shown: Shown, checked: Checked) -> Shown {
    let status = checked.status();
    let accepted = match status {
        Tier::Affirming => true,
        Tier::Warning if args.allow_warning => {
            context.printer.warn("accepted although the verifier warns of it");
            true
        }
        _ => false,
    };
    let reasons = if accepted { Vec::new() } else { reasons(&checked, status) };
    let evidence = checked.submodules.into_iter().map(|(label, submodule)| {
        let shown = Evidence {
            status: submodule.status.name(),
            trustworthiness: submodule.vector,
            policy_id: submodule.policy_id,
            debug: submodule.debug_status,
            appraisal: submodule.casemate,
        };
        (label, shown)
    });
    let says = Says {
        status: status.name(),
        appraised_at: rfc3339(checked.issued_at),
        expires: checked.expires.map(rfc3339),
        verifier: checked.verifier.developer,
        build: checked.verifier.build,
        nonces: checked.nonce.0.iter().map(hex::encode).collect(),
        evidence: evidence.collect(),
    };
    Shown { accepted, reasons, says: Some(says), ..shown }
}

/// Why a result that is believed is not good enough.
fn reasons(checked: &Checked, status: Tier) -> Vec<String> {
    let mut reasons = Vec::new();
    for (label, submodule) in &checked.submodules {
        let why = why(submodule);
        match submodule.status {
            Tier::Affirming => {}
            Tier::None => reasons.push(format!("the verifier says nothing about {label}")),
            Tier::Warning => {
                let mut text = format!("the verifier warns of {label}");
                if status == Tier::Warning {
                    text.push_str(" (to accept that: --allow-warning)");
                }
                reasons.push(text + &why);
            }
            Tier::Contraindicated => reasons.push(format!("the verifier refused {label}{why}")),
        }
    }
    reasons
}

/// What Casemate's verifier says about it.
fn why(submodule: &Submodule) -> String {
    let Some(ours) = &submodule.casemate else { return String::new() };
    if let Some(reason) = ours["reason"].as_str() {
        return format!(": {reason}");
    }
    let bad = |check: &&Value| matches!(check["outcome"].as_str(), Some("failed" | "graced"));
    let names = ours["checks"].as_array().into_iter().flatten().filter(bad);
    let names: Vec<_> = names.filter_map(|check| check["name"].as_str()).collect();
    match names.as_slice() {
        [] if ours["claims"]["grade"] == "software" => ": it is a software TEE".to_owned(),
        [] => String::new(),
        names => format!(": {}", names.join(", ")),
    }
}

/// An error with its source.
fn reason(error: &ResultError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// All that the verifier wrote is signed, but its maker need not be ours: no control character of
/// theirs reaches the terminal, and no line break makes a line look like ours.
fn text(shown: &Shown) -> String {
    let mut out = String::new();
    let mut add = |indent: &str, mut lines: Vec<(&str, String)>| {
        lines.retain(|(_, value)| !value.is_empty());
        lines.iter_mut().for_each(|(_, value)| *value = printable(value));
        fields(&lines).lines().for_each(|line| out.push_str(&format!("{indent}{line}\n")));
    };
    if let Some(says) = &shown.says {
        let mut lines = vec![
            ("status", says.status.to_owned()),
            ("appraised at", says.appraised_at.clone()),
            ("expires", says.expires.clone().unwrap_or_else(|| "never".to_owned())),
            ("by", format!("{} ({})", says.build, says.verifier)),
            ("signed by", shown.key_id.clone()),
        ];
        lines.extend(says.nonces.iter().map(|nonce| ("nonce", nonce.clone())));
        add("", lines);
        for (label, evidence) in &says.evidence {
            let claims = evidence.trustworthiness.claims();
            let claims: Vec<_> = claims.map(|(name, value)| format!("{name} {value}")).collect();
            let appraisal = evidence.appraisal.as_ref().unwrap_or(&Value::Null);
            let claim = |name: &str| appraisal["claims"][name].as_str().unwrap_or_default();
            add("", vec![("evidence", format!("{label}, {}", evidence.status))]);
            add(
                "  ",
                vec![
                    ("claims", claims.join(", ")),
                    ("policy", evidence.policy_id.clone().unwrap_or_default()),
                    ("root", claim("grade").to_owned()),
                    ("report data", claim("reportData").to_owned()),
                ],
            );
        }
    }
    shown.reasons.iter().for_each(|reason| add("", vec![("refused", reason.clone())]));
    out.push_str(if shown.accepted { "accepted\n" } else { "REFUSED\n" });
    out
}

fn public_key(path: &Path) -> anyhow::Result<ResultKey> {
    let bytes = read(path)?;
    let pem = std::str::from_utf8(&bytes).map_err(|_| KeyError::Public);
    pem.and_then(ResultKey::from_spki_pem).or_fail(|| {
        Failure::usage(format!("`{}` is no public key of a verifier", path.display()))
            .hint("give the FILE.pub that `casemate attest key FILE` made")
    })
}

fn nonce_of(text: &str) -> anyhow::Result<Vec<u8>> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text))
        .ok()
        .filter(|nonce| (8..=64).contains(&nonce.len()))
        .or_fail(|| Failure::usage("--nonce takes 8 to 64 bytes in hex"))
}
