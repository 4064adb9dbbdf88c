//! `casemate attest submit`: collateral and evidence go to the chain, whose runtime verifies them.

use casemate_attestation::{Grade, TcbStatus, TeeKind, bundle::Bundle, dcap, sev_snp};
use casemate_client::{
    chain::{Appraised, Submission},
    collateral::{self, MachineCollateral},
};
use serde::Serialize;

use super::{
    grade_text, kind_text,
    verify::{not_enough, not_readable, read_collateral, read_evidence},
};
use crate::{
    chain_ops::Chain,
    cli::{AttestSubmitArgs, EvidenceKind},
    context::Context,
    failure::{Failure, OrFail as _, fail},
    printer::fields,
};

/// What is printed: what the chain's event says, and where it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Submitted {
    kind: TeeKind,
    grade: Grade,
    tcb_status: TcbStatus,
    debug: bool,
    workload: String,
    report_data: String,
    evidence_hash: String,
    block_hash: String,
    collateral: Vec<Piece>,
}

/// A piece of collateral.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Piece {
    name: &'static str,
    /// Whether the chain had neither it nor newer.
    new: bool,
}

pub(super) async fn run(context: &Context, args: &AttestSubmitArgs) -> anyhow::Result<()> {
    let bundle = read_collateral(&args.collateral)?;
    let evidence = read_evidence(&args.evidence)?;
    let (kind, MachineCollateral { endorsements, certificate }) = match args.kind {
        EvidenceKind::Tdx | EvidenceKind::Sgx => of_intel(args, &evidence, &bundle)?,
        EvidenceKind::SevSnp => of_amd(args, &evidence, &bundle)?,
        EvidenceKind::Gpu => {
            return fail(
                Failure::usage("the chain verifies no evidence of a GPU alone")
                    .hint("appraise it here: casemate attest verify --kind gpu"),
            );
        }
    };
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let mut collateral = Vec::new();
    for endorsement in endorsements {
        let name = endorsement.name();
        context.printer.note(format!("Submitting the {name}"));
        let new = chain.endorse(&signer, endorsement).await?;
        if !new {
            context.printer.note("The chain has it, or newer");
        }
        collateral.push(Piece { name, new });
    }
    context.printer.note("Submitting the evidence");
    let submission = Submission { kind, evidence, certificate };
    let appraised = chain.appraise(&signer, submission).await?;
    let submitted = submitted(appraised, collateral);
    context.printer.data(&submitted, || text(&submitted))
}

fn of_intel(
    args: &AttestSubmitArgs,
    evidence: &[u8],
    bundle: &Bundle,
) -> anyhow::Result<(TeeKind, MachineCollateral)> {
    let quote = dcap::Quote::parse(evidence).or_fail(|| not_readable(&args.evidence, "quote"))?;
    let kind = quote.tee_kind();
    let wanted = match args.kind {
        EvidenceKind::Tdx => TeeKind::IntelTdx,
        _ => TeeKind::IntelSgx,
    };
    if kind != wanted {
        return fail(
            Failure::usage(format!(
                "`{}` is a quote of another kind: {}",
                args.evidence.display(),
                kind_text(kind)
            ))
            .hint("name its kind: --kind tdx or --kind sgx"),
        );
    }
    let raw = bundle.for_dcap(&quote).or_fail(|| not_enough(&args.collateral))?;
    let collateral = collateral::of_intel(raw).or_fail(|| not_enough(&args.collateral))?;
    Ok((kind, collateral))
}

fn of_amd(
    args: &AttestSubmitArgs,
    evidence: &[u8],
    bundle: &Bundle,
) -> anyhow::Result<(TeeKind, MachineCollateral)> {
    let report =
        sev_snp::Report::parse(evidence).or_fail(|| not_readable(&args.evidence, "report"))?;
    let raw = bundle.for_sev_snp(&report).or_fail(|| not_enough(&args.collateral))?;
    let collateral = collateral::of_amd(raw).or_fail(|| not_enough(&args.collateral))?;
    Ok((TeeKind::AmdSevSnp, collateral))
}

fn submitted(appraised: Appraised, collateral: Vec<Piece>) -> Submitted {
    let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    Submitted {
        kind: appraised.kind,
        grade: appraised.grade,
        tcb_status: appraised.tcb_status,
        debug: appraised.debug,
        workload: hex::encode(&appraised.workload),
        report_data: hex::encode(&appraised.report_data),
        evidence_hash: hex(&appraised.evidence_hash),
        block_hash: hex(&appraised.block_hash),
        collateral,
    }
}

fn text(submitted: &Submitted) -> String {
    fields(&[
        ("kind", kind_text(submitted.kind).to_owned()),
        ("root", grade_text(submitted.grade).to_owned()),
        ("firmware", format!("{:?}", submitted.tcb_status)),
        ("debugger", if submitted.debug { "may be attached" } else { "none" }.to_owned()),
        ("workload", submitted.workload.clone()),
        ("report data", submitted.report_data.clone()),
        ("evidence", submitted.evidence_hash.clone()),
        ("block", submitted.block_hash.clone()),
    ])
}
