//! `casemate lease authorise`

use super::find;
use crate::{chain_ops::Chain, cli::AuthoriseArgs, context::Context, printer::fields};

pub(crate) async fn authorise(context: &Context, args: &AuthoriseArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let lease = find(context, &chain, signer.address, Some(&args.lease)).await?;
    let unit = chain.unit(lease.terms.asset).await?;
    let allowance = args.allowance.as_ref().map(|amount| unit.read(amount)).transpose()?;
    let block = chain.authorise(&signer, lease.id, args.spender, allowance).await?;
    let text = match allowance {
        Some(allowance) => format!("up to {}", unit.text(allowance)),
        None => "nothing any more".to_owned(),
    };
    let value = serde_json::json!({
        "lease": lease.id,
        "spender": args.spender,
        "allowance": allowance.map(|value| value.to_string()),
        "asset": unit.symbol(),
        "block": block,
    });
    context.printer.data(&value, || {
        fields(&[
            ("lease", lease.id.to_string()),
            ("spender", args.spender.to_string()),
            ("may put in", text),
        ])
    })
}
