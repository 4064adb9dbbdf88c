//! `casemate arbiter`

use casemate_client::chain::Motion;

use crate::{
    amount::Amount,
    asset::Unit,
    chain_ops::{Chain, refunded_in},
    cli::{ArbiterCommand, DecideArgs, VerdictArgs},
    commands::lease::dispute::any_lease,
    context::Context,
    failure::{Failure, OrFail as _, fail},
    printer::fields,
};

pub(super) async fn run(context: &Context, command: &ArbiterCommand) -> anyhow::Result<()> {
    match command {
        ArbiterCommand::Decide(args) => decide(context, args).await,
        ArbiterCommand::Resolve(args) => resolve(context, args).await,
    }
}

async fn decide(context: &Context, args: &DecideArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let details = any_lease(context, &chain, &args.lease).await?;
    let lease = details.id;
    if details.contest.is_none() {
        return fail(
            Failure::new(format!("nothing of lease {lease} is contested"))
                .hint(format!("look: casemate lease show {lease}")),
        );
    }
    let unit = chain.unit(details.terms.asset).await?;
    let motion = chain.decide(&signer, lease, args.to_publisher).await?;
    show(context, ("lease", lease.0), &motion, Some(&unit))
}

async fn resolve(context: &Context, args: &VerdictArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let complaint = args.complaint;
    chain.complaint(complaint).await?.or_fail(|| {
        Failure::new(format!("there is no open complaint {complaint}"))
            .hint("see those about a lease: casemate lease complaints LEASE")
    })?;
    let motion = chain.resolve(&signer, complaint, args.upheld).await?;
    show(context, ("complaint", complaint), &motion, None)
}

fn show(
    context: &Context,
    (what, number): (&'static str, u64),
    motion: &Motion,
    // What is refunded is in.
    unit: Option<&Unit>,
) -> anyhow::Result<()> {
    match motion {
        Motion::Executed(included) => {
            let refunded = refunded_in(&included.events);
            let block = format!("0x{}", hex::encode(included.block_hash));
            let value = serde_json::json!({
                what: number, "decided": true, "asset": unit.map(Unit::symbol),
                "refunded": Amount(refunded), "block": block,
            });
            context.printer.data(&value, || {
                let mut lines = vec![(what, number.to_string()), ("decided", "yes".to_owned())];
                lines.extend(unit.map(|unit| ("refunded", unit.text(refunded))));
                lines.push(("block", block.clone()));
                fields(&lines)
            })
        }
        Motion::Waiting { ayes, needed, block_hash } => {
            context.printer.note(format!(
                "{ayes} of {needed} members are for it: the others give the same command"
            ));
            let block = block_hash.map(|hash| format!("0x{}", hex::encode(hash)));
            let value = serde_json::json!({
                what: number, "decided": false, "ayes": ayes, "needed": needed, "block": block,
            });
            context.printer.data(&value, || {
                fields(&[
                    (what, number.to_string()),
                    ("decided", format!("no, {ayes} of {needed} are for it")),
                ])
            })
        }
    }
}
