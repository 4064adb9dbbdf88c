//! `casemate attest verify`: appraisal of files, offline.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use casemate_attestation::{
    Claims, Grade, TrustRoot, TrustRoots, UnixSeconds, Vendor,
    bundle::Bundle,
    dcap, nvidia,
    policy::{Context as Appraisal, Policy, Verdict},
    sev_snp, x509,
};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    cli::{AttestVerifyArgs, EvidenceKind},
    context::Context,
    failure::{Failure, OrFail as _, fail},
    printer::fields,
};

/// Larger files are no evidence and no collateral.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most files of one folder.
const FILES_MAX: usize = 256;

/// What is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Appraised {
    accepted: bool,
    kind: &'static str,
    /// RFC 3339.
    at: String,
    /// Why not, a line each; empty when accepted.
    reasons: Vec<String>,
    /// Name of the verification error, where the evidence is not genuine.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What the evidence says, where it is genuine.
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<Claims>,
    /// What runs, in the one value that policies and the chain name.
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<String>,
    /// What was checked by the policy, where the evidence is genuine.
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Verdict>,
}

pub(super) fn run(context: &Context, args: &AttestVerifyArgs) -> anyhow::Result<()> {
    let now = appraisal_time(args.at.as_deref())?;
    let policy = read_policy(args.policy.as_deref())?;
    let report_data = args.report_data.as_deref().map(|hex| bytes_of::<64>(hex, "--report-data"));
    let report_data = report_data.transpose()?;
    let nonce = args.nonce.as_deref().map(|hex| bytes_of::<32>(hex, "--nonce")).transpose()?;
    if nonce.is_some() && args.kind != EvidenceKind::Gpu {
        return fail(
            Failure::usage("--nonce is for `--kind gpu`")
                .hint("the nonce of a CPU's evidence is in its report data: --report-data HEX"),
        );
    }
    let vendor = match args.kind {
        EvidenceKind::Tdx | EvidenceKind::Sgx => Vendor::Intel,
        EvidenceKind::SevSnp => Vendor::Amd,
        EvidenceKind::Gpu => Vendor::Nvidia,
    };
    let roots = trust_roots(context, &[vendor], &args.software_root)?;
    let bundle = read_collateral(&args.collateral)?;
    let evidence = read_evidence(&args.evidence)?;
    let appraisal = Appraisal { now, report_data: report_data.as_ref(), provider: None };
    let outcome = match args.kind {
        EvidenceKind::Tdx | EvidenceKind::Sgx => {
            dcap(args, &evidence, &bundle, &roots, &policy, &appraisal)?
        }
        EvidenceKind::SevSnp => snp(args, &evidence, &bundle, &roots, &policy, &appraisal)?,
        EvidenceKind::Gpu => gpu(args, &evidence, &bundle, &roots, nonce, &policy, &appraisal)?,
    };
    print(context, args.kind, now, outcome)
}

/// The end of an appraisal: the claims of genuine evidence with the policy's verdict, or why it is
/// not genuine.
enum Outcome {
    Genuine(Claims, Verdict),
    NotGenuine { name: String, reason: String },
}

impl Outcome {
    fn of<E, R: std::fmt::Debug + std::fmt::Display>(
        verified: Result<casemate_attestation::Verified<E>, R>,
        policy: &Policy,
        appraisal: &Appraisal<'_>,
    ) -> Self {
        match verified {
            Ok(verified) => {
                let verdict = match policy.appraise(&verified, appraisal) {
                    Ok(accepted) => accepted.verdict().clone(),
                    Err(verdict) => verdict,
                };
                Self::Genuine(verified.into_claims(), verdict)
            }
            Err(error) => Self::not_genuine(&error),
        }
    }

    fn not_genuine(error: &(impl std::fmt::Debug + std::fmt::Display)) -> Self {
        Self::NotGenuine {
            name: format!("{error:?}").chars().take_while(|c| c.is_alphanumeric()).collect(),
            reason: error.to_string(),
        }
    }
}

fn dcap(
    args: &AttestVerifyArgs,
    evidence: &[u8],
    bundle: &Bundle,
    roots: &TrustRoots,
    policy: &Policy,
    appraisal: &Appraisal<'_>,
) -> anyhow::Result<Outcome> {
    let quote = dcap::Quote::parse(evidence).or_fail(|| not_readable(&args.evidence, "quote"))?;
    let wanted = match args.kind {
        EvidenceKind::Tdx => casemate_attestation::TeeKind::IntelTdx,
        _ => casemate_attestation::TeeKind::IntelSgx,
    };
    if quote.tee_kind() != wanted {
        return fail(
            Failure::usage(format!(
                "`{}` is a quote of another kind: {:?}",
                args.evidence.display(),
                quote.tee_kind()
            ))
            .hint("name its kind: --kind tdx or --kind sgx"),
        );
    }
    let collateral = bundle.for_dcap(&quote).or_fail(|| not_enough(&args.collateral))?;
    let verified = dcap::verify_with_collateral(quote, &collateral, roots, appraisal.now);
    Ok(Outcome::of(verified, policy, appraisal))
}

fn snp(
    args: &AttestVerifyArgs,
    evidence: &[u8],
    bundle: &Bundle,
    roots: &TrustRoots,
    policy: &Policy,
    appraisal: &Appraisal<'_>,
) -> anyhow::Result<Outcome> {
    let report =
        sev_snp::Report::parse(evidence).or_fail(|| not_readable(&args.evidence, "report"))?;
    let endorsements = bundle.for_sev_snp(&report).or_fail(|| not_enough(&args.collateral))?;
    let verified =
        sev_snp::verify_with_endorsements(report, &endorsements, roots, None, appraisal.now);
    Ok(Outcome::of(verified, policy, appraisal))
}

fn gpu(
    args: &AttestVerifyArgs,
    evidence: &[u8],
    bundle: &Bundle,
    roots: &TrustRoots,
    nonce: Option<[u8; 32]>,
    policy: &Policy,
    appraisal: &Appraisal<'_>,
) -> anyhow::Result<Outcome> {
    let report =
        nvidia::Report::parse(evidence).or_fail(|| not_readable(&args.evidence, "report"))?;
    let chain = bundle.for_nvidia().or_fail(|| not_enough(&args.collateral))?;
    if bundle.rims().is_empty() {
        let verified = nvidia::verify(report, chain.as_bytes(), roots, nonce, None, appraisal.now);
        return Ok(Outcome::of(verified, policy, appraisal));
    }
    let mut rims = Vec::new();
    for rim in bundle.rims() {
        match nvidia::Rim::verify(rim, roots, appraisal.now) {
            Ok(rim) => rims.push(rim),
            Err(error) => return Ok(Outcome::not_genuine(&error)),
        }
    }
    // A folder may hold the manifests of many versions. Where the right one is not among them, all
    // are given, so that the verifier says which.
    let versions = [report.driver_version(), report.vbios_version()];
    let fits = |rim: &nvidia::Rim| {
        versions.iter().flatten().any(|version| rim.version().eq_ignore_ascii_case(version))
    };
    if rims.iter().any(fits) {
        rims.retain(fits);
    }
    let verified =
        nvidia::verify(report, chain.as_bytes(), roots, nonce, Some(&rims), appraisal.now);
    Ok(Outcome::of(verified, policy, appraisal))
}

fn print(
    context: &Context,
    kind: EvidenceKind,
    now: UnixSeconds,
    outcome: Outcome,
) -> anyhow::Result<()> {
    let kind = match kind {
        EvidenceKind::Tdx => "tdx",
        EvidenceKind::Sgx => "sgx",
        EvidenceKind::SevSnp => "sev-snp",
        EvidenceKind::Gpu => "gpu",
    };
    let at = rfc3339(now);
    let appraised = match outcome {
        Outcome::Genuine(claims, verdict) => Appraised {
            accepted: verdict.accepted(),
            kind,
            at,
            reasons: verdict
                .failed()
                .map(|check| format!("{}: {}; wanted: {}", check.name, check.found, check.wanted))
                .collect(),
            error: None,
            workload: Some(hex::encode(claims.measurements.workload())),
            claims: Some(claims),
            checks: Some(verdict),
        },
        Outcome::NotGenuine { name, reason } => Appraised {
            accepted: false,
            kind,
            at,
            reasons: vec![reason],
            error: Some(name),
            claims: None,
            workload: None,
            checks: None,
        },
    };
    context.printer.data(&appraised, || text(&appraised))?;
    if appraised.accepted {
        return Ok(());
    }
    fail(
        Failure::new("the evidence is refused")
            .hint("what is refused proves nothing: release no secret to it"),
    )
}

fn text(appraised: &Appraised) -> String {
    let mut out = String::new();
    if let Some(claims) = &appraised.claims {
        out.push_str(&fields(&[
            ("kind", format!("{:?}", claims.kind)),
            ("root", format!("{:?}", claims.grade)),
            ("product", claims.product.clone()),
            ("firmware", format!("{:?}", claims.tcb.status)),
            ("advisories", claims.tcb.advisories.join(", ")),
            ("workload", hex::encode(claims.measurements.workload())),
            ("report data", hex::encode(claims.report_data)),
        ]));
    }
    match &appraised.checks {
        Some(verdict) => out.push_str(&format!("{verdict}\n")),
        None => {
            for reason in &appraised.reasons {
                out.push_str(&format!("not genuine: {reason}\n"));
            }
            out.push_str("REFUSED\n");
        }
    }
    out
}

/// A time as RFC 3339 writes it.
pub(in crate::commands) fn rfc3339(at: UnixSeconds) -> String {
    i64::try_from(at)
        .ok()
        .and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok())
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.to_string())
}

pub(super) fn appraisal_time(at: Option<&str>) -> anyhow::Result<UnixSeconds> {
    let Some(at) = at else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        return now.map(|now| now.as_secs()).or_fail(|| {
            Failure::new("this machine's clock is before 1970").hint("set it, or name a time: --at")
        });
    };
    OffsetDateTime::parse(at, &Rfc3339)
        .ok()
        .and_then(|at| u64::try_from(at.unix_timestamp()).ok())
        .or_fail(|| {
            Failure::usage(format!("`{at}` is no time"))
                .hint("write it as in RFC 3339: --at 2026-10-15T00:00:00Z")
        })
}

pub(super) fn read_policy(path: Option<&Path>) -> anyhow::Result<Policy> {
    let Some(path) = path else { return Ok(Policy::default()) };
    serde_json::from_slice(&read(path)?).or_fail(|| {
        Failure::usage(format!("`{}` is no appraisal policy", path.display()))
            .hint("docs/book/attestation.md has its fields and examples")
    })
}

/// The vendors' roots, and these certificates as roots of software TEEs that imitate `vendors`.
pub(super) fn trust_roots(
    context: &Context,
    vendors: &[Vendor],
    software_roots: &[PathBuf],
) -> anyhow::Result<TrustRoots> {
    let mut roots: Vec<TrustRoot> = TrustRoots::vendors().iter().copied().collect();
    for path in software_roots {
        let bytes = read(path)?;
        let certificates = x509::Certificate::chain_from_pem(&bytes)
            .or_else(|_| x509::Certificate::from_der(&bytes).map(|one| vec![one]))
            .or_fail(|| {
                Failure::usage(format!("`{}` is no certificate", path.display()))
                    .hint("give the software TEE's root as PEM or DER")
            })?;
        context.printer.warn(format!(
            "trusting `{}` as the root of a software TEE: what it vouches for protects nothing",
            path.display()
        ));
        for root in certificates.iter().filter(|one| one.is_self_issued()) {
            let spki_sha256 = root.spki_sha256();
            roots.extend(vendors.iter().map(|&vendor| TrustRoot {
                vendor,
                grade: Grade::Software,
                spki_sha256,
            }));
        }
    }
    Ok(TrustRoots::new(roots))
}

pub(super) fn read_collateral(paths: &[PathBuf]) -> anyhow::Result<Bundle> {
    let mut bundle = Bundle::default();
    for path in paths {
        if !path.is_dir() {
            add(&mut bundle, path)?;
            continue;
        }
        let mut files = fs::read_dir(path)
            .and_then(|entries| {
                entries
                    .take(FILES_MAX)
                    .map(|entry| entry.map(|entry| entry.path()))
                    .collect::<Result<Vec<_>, _>>()
            })
            .or_fail(|| unreadable(path))?;
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            // Other things may lie in a folder.
            let _ = bundle.add(&read(file)?);
        }
    }
    Ok(bundle)
}

fn add(bundle: &mut Bundle, path: &Path) -> anyhow::Result<()> {
    bundle.add(&read(path)?).or_fail(|| {
        Failure::usage(format!("`{}` is no collateral", path.display()))
            .hint("docs/book/attestation.md lists what is read")
    })
}

/// Binary, or hex or base64 of it.
pub(super) fn read_evidence(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = read(path)?;
    let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(bytes) };
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let digits = compact.strip_prefix("0x").unwrap_or(&compact);
    if let Ok(decoded) = hex::decode(digits) {
        return Ok(decoded);
    }
    Ok(casemate_attestation::bundle::from_base64(&compact).unwrap_or(bytes))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let size = fs::metadata(path).or_fail(|| unreadable(path))?.len();
    if size > FILE_BYTES_MAX {
        return fail(Failure::usage(format!(
            "`{}` has {size} bytes, which is too large for evidence or collateral",
            path.display()
        )));
    }
    fs::read(path).or_fail(|| unreadable(path))
}

pub(super) fn bytes_of<const N: usize>(hex: &str, flag: &str) -> anyhow::Result<[u8; N]> {
    let mut out = [0; N];
    let digits = hex.strip_prefix("0x").unwrap_or(hex);
    hex::decode_to_slice(digits, &mut out)
        .or_fail(|| Failure::usage(format!("{flag} takes {N} bytes in hex")))?;
    Ok(out)
}

fn unreadable(path: &Path) -> Failure {
    Failure::usage(format!("cannot read `{}`", path.display()))
}

pub(super) fn not_readable(path: &Path, what: &str) -> Failure {
    Failure::usage(format!("`{}` is no {what} of this kind", path.display()))
        .hint("give the vendor's bytes, or hex or base64 of them, and the right --kind")
}

pub(super) fn not_enough(collateral: &[PathBuf]) -> Failure {
    let failure = Failure::usage("the collateral is not enough to verify the evidence");
    if collateral.is_empty() {
        failure.hint("name it: --collateral FILE (may be given many times)")
    } else {
        failure.hint("add the missing piece: --collateral FILE (may be given many times)")
    }
}
