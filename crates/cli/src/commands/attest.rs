//! `casemate attest`

mod key;
pub(super) mod lease;
mod result;
mod submit;
mod url;
mod verify;

use std::path::Path;

use casemate_attestation::{Claims, Grade, TeeKind, bundle::Bundle, policy::Policy};

use crate::{
    cli::{AppraisalArgs, AttestArgs, AttestCommand},
    context::Context,
};

pub(super) async fn run(context: &Context, args: AttestArgs) -> anyhow::Result<()> {
    match args.command {
        Some(AttestCommand::Verify(args)) => verify::run(context, &args),
        Some(AttestCommand::Submit(args)) => submit::run(context, &args).await,
        Some(AttestCommand::Lease(args)) => lease::run(context, &args).await,
        Some(AttestCommand::Key(args)) => key::run(context, &args),
        Some(AttestCommand::Result(args)) => result::run(context, &args),
        None => url::run(context, &args.url).await,
    }
}

pub(super) use self::{
    url::facts,
    verify::{collateral_files, rfc3339},
};

/// Kind and grade of a TEE in a few words.
pub(super) fn tee_text(claims: &Claims) -> String {
    format!("{} ({})", kind_text(claims.kind), grade_text(claims.grade))
}

/// Policy and collateral of the command line. A policy that accepts a software TEE is warned of.
pub(super) fn demands(context: &Context, args: &AppraisalArgs) -> anyhow::Result<(Policy, Bundle)> {
    let mut policy = verify::read_policy(args.policy.as_deref().map(Path::new))?;
    let bundle = verify::read_collateral(&args.collateral)?;
    if args.allow_software_tee && !policy.grades.contains(&Grade::Software) {
        policy.grades.push(Grade::Software);
    }
    if policy.grades.contains(&Grade::Software) {
        context.printer.warn(
            "a software TEE is accepted: whoever runs the machine can read and change what it runs",
        );
    }
    Ok((policy, bundle))
}

/// A kind of TEE as people call it.
pub(super) fn kind_text(kind: TeeKind) -> &'static str {
    match kind {
        TeeKind::IntelSgx => "SGX",
        TeeKind::IntelTdx => "TDX",
        TeeKind::AmdSevSnp => "SEV-SNP",
        TeeKind::NvidiaGpu => "GPU",
    }
}

/// What a root is worth, in a word.
pub(super) fn grade_text(grade: Grade) -> &'static str {
    match grade {
        Grade::Software => "software",
        Grade::Hardware => "hardware",
    }
}
